//! A set divided: into two, by classes, into folds.
//!
//! Which sample goes where is a function of the seed and of the labels alone.

use std::collections::BTreeMap;

use super::DataError;
use super::dataset::Dataset;
use crate::error::Error;
use crate::train::shuffled;

impl Dataset {
    /// Two sets: `fraction` of the samples, rounded to the nearest number, and the others. Both are shuffled.
    ///
    /// [`DataError::Fraction`] if the fraction is outside `0..=1`.
    pub fn split(&self, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), Error> {
        let first = share(self.len(), fraction)?;
        let order = shuffled(self.len(), seed, 0)?;
        let (first, second) = order.split_at(first);
        Ok((self.select(first)?, self.select(second)?))
    }

    /// As [`Dataset::split`], with the classes of column `labels` (`[n]`, integers or truth values) in both sets as in the whole:
    /// of `m` samples of a class the first set has `fraction` times `m`, rounded up for those classes that lose most by rounding
    /// down, so that the whole set has as many as without classes (the largest remainder; where classes lose the same, the smaller
    /// number comes first).
    ///
    /// Errors: [`DataError::Fraction`], [`DataError::UnknownColumn`], [`DataError::Labels`].
    pub fn split_stratified(&self, labels: &str, fraction: f64, seed: u64) -> Result<(Dataset, Dataset), Error> {
        let total = share(self.len(), fraction)?;
        let classes = self.classes(labels, seed)?;
        let exact: Vec<f64> = classes.iter().map(|class| class.len() as f64 * fraction).collect();
        let mut counts: Vec<usize> = exact.iter().map(|exact| exact.floor() as usize).collect();
        let mut by_loss: Vec<usize> = (0..classes.len()).collect();
        let loss = |class: usize| exact[class] - exact[class].floor();
        by_loss.sort_by(|&a, &b| loss(b).total_cmp(&loss(a)));
        let lacking = total.saturating_sub(counts.iter().sum());
        by_loss.iter().take(lacking).for_each(|&class| counts[class] += 1);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for (class, count) in classes.iter().zip(counts) {
            let (of_first, of_second) = class.split_at(count.min(class.len()));
            first.extend_from_slice(of_first);
            second.extend_from_slice(of_second);
        }
        Ok((self.select(&mixed(&first, seed)?)?, self.select(&mixed(&second, seed)?)?))
    }

    /// `count` pairs of a training set and a validation set: each sample is in one validation set and in all training sets but
    /// that. Sizes of the validation sets differ by at most one.
    ///
    /// ```
    /// # use arenagrad::{Tensor, data::Dataset};
    /// let data = Dataset::new().with("x", Tensor::new([10], vec![0.0f32; 10])?)?;
    /// for (train, validation) in data.folds(5, 1)? {
    ///     assert_eq!((train.len(), validation.len()), (8, 2));
    /// }
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    ///
    /// [`DataError::Folds`] for fewer than two, or more than there are samples.
    pub fn folds(&self, count: usize, seed: u64) -> Result<Folds<'_>, Error> {
        self.check_folds(count)?;
        Ok(Folds { data: self, folds: dealt(&shuffled(self.len(), seed, 0)?, count), next: 0 })
    }

    /// As [`Dataset::folds`], with the classes of column `labels` spread evenly: of each class, and of all samples, the numbers in
    /// two validation sets differ by at most one.
    ///
    /// Errors: [`DataError::Folds`], [`DataError::UnknownColumn`], [`DataError::Labels`].
    pub fn folds_stratified(&self, labels: &str, count: usize, seed: u64) -> Result<Folds<'_>, Error> {
        self.check_folds(count)?;
        // One class behind the other, dealt out in turns: neighbours go to different sets, across classes too.
        let order = self.classes(labels, seed)?.concat();
        let mut folds = dealt(&order, count);
        for fold in &mut folds {
            *fold = mixed(fold, seed)?;
        }
        Ok(Folds { data: self, folds, next: 0 })
    }

    fn check_folds(&self, folds: usize) -> Result<(), Error> {
        let samples = self.len();
        if folds < 2 || folds > samples { Err(DataError::Folds { folds, samples }.into()) } else { Ok(()) }
    }

    /// The samples of each class in an order of the seed, the classes by their numbers.
    fn classes(&self, labels: &str, seed: u64) -> Result<Vec<Vec<usize>>, Error> {
        let column = self.column(labels)?;
        if column.shape().rank() != 1 || column.dtype().is_float() {
            let (shape, storage) = (column.shape().clone(), column.storage());
            return Err(DataError::Labels { column: labels.to_owned(), shape, storage }.into());
        }
        let numbers = column.to_f64_vec();
        let mut classes: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for sample in shuffled(self.len(), seed, 0)? {
            classes.entry(numbers[sample] as i64).or_default().push(sample);
        }
        Ok(classes.into_values().collect())
    }
}

/// The pairs of training and validation set of [`Dataset::folds`], each made when it is asked for.
#[derive(Clone, Debug)]
pub struct Folds<'a> {
    data: &'a Dataset,
    folds: Vec<Vec<usize>>,
    next: usize,
}

impl Iterator for Folds<'_> {
    type Item = (Dataset, Dataset);

    fn next(&mut self) -> Option<Self::Item> {
        let validation = self.folds.get(self.next)?;
        let others = self.folds.iter().enumerate().filter(|(number, _)| *number != self.next);
        let train: Vec<usize> = others.flat_map(|(_, fold)| fold.iter().copied()).collect();
        self.next += 1;
        let chosen = |indices: &[usize]| self.data.select(indices).expect("folds hold numbers of samples");
        Some((chosen(&train), chosen(validation)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.folds.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Folds<'_> {}

/// How many of `samples` a fraction is.
fn share(samples: usize, fraction: f64) -> Result<usize, Error> {
    if !(0.0..=1.0).contains(&fraction) {
        return Err(DataError::Fraction { fraction }.into());
    }
    Ok(((samples as f64 * fraction).round() as usize).min(samples))
}

/// Numbers dealt out in turns to so many.
fn dealt(order: &[usize], count: usize) -> Vec<Vec<usize>> {
    (0..count).map(|first| order.iter().copied().skip(first).step_by(count).collect()).collect()
}

/// The numbers in an order of the seed, another than that in which a class was shuffled.
fn mixed(numbers: &[usize], seed: u64) -> Result<Vec<usize>, Error> {
    Ok(shuffled(numbers.len(), seed, 1)?.into_iter().map(|place| numbers[place]).collect())
}
