//! Data in memory: columns of samples.

use std::sync::Arc;

use super::batch::Batch;
use super::batches::Batches;
use super::source::Source;
use super::{DataError, listed, rows};
use crate::error::Error;
use crate::tensor::Tensor;

/// Columns under names, each a tensor whose first axis is that of the samples: `x` of `[n, 4]`, `labels` of `[n]`.
///
/// A value: what changes it gives another one, and a clone shares the columns.
///
/// ```
/// use arenagrad::{Tensor, data::Dataset};
///
/// let data = Dataset::new()
///     .with("x", Tensor::new([5, 2], (0..10).map(|x| x as f32).collect())?)?
///     .with("labels", Tensor::new([5], vec![0, 1, 0, 1, 0])?)?;
/// let (train, test) = data.split(0.6, 1)?;
/// assert_eq!((train.len(), test.len()), (3, 2));
/// for batch in train.batches(2).shuffled(1, 0) {
///     let batch = batch?;
///     assert!(batch.get("x").is_some_and(|x| x.shape().dims()[1] == 2));
/// }
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    columns: Vec<(String, Arc<Tensor>)>,
}

impl Dataset {
    /// A set without columns, and so without samples.
    #[must_use]
    pub fn new() -> Self {
        Dataset::default()
    }

    /// A set of these columns, such as those of an `.npz` file. Errors as [`Dataset::with`].
    pub fn of(columns: impl IntoIterator<Item = (impl Into<String>, Tensor)>) -> Result<Self, Error> {
        columns.into_iter().try_fold(Dataset::new(), |data, (name, column)| data.with(name, column))
    }

    /// With a column of that name; one that had the name before is replaced.
    ///
    /// Errors: [`DataError::NoSampleAxis`] for a scalar, [`DataError::SampleCount`] for another number of samples than the other
    /// columns have.
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Result<Self, Error> {
        let name = name.into();
        let Some(&found) = tensor.shape().dims().first() else {
            return Err(DataError::NoSampleAxis { column: name }.into());
        };
        if let Some((first, other)) = self.columns.iter().find(|(known, _)| *known != name) {
            let expected = samples(other);
            if found != expected {
                let first = first.clone();
                return Err(DataError::SampleCount { column: name, found, first, expected }.into());
            }
        }
        let tensor = Arc::new(tensor);
        match self.columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, column)) => *column = tensor,
            None => self.columns.push((name, tensor)),
        }
        Ok(self)
    }

    /// Without the column of that name. [`DataError::UnknownColumn`] if there is none.
    pub fn without(mut self, name: &str) -> Result<Self, Error> {
        self.column(name)?;
        self.columns.retain(|(known, _)| known != name);
        Ok(self)
    }

    /// With another name for a column. [`DataError::UnknownColumn`] if there is none of the old one,
    /// [`DataError::RepeatedColumn`] if there is one of the new.
    pub fn renamed(mut self, old: &str, new: impl Into<String>) -> Result<Self, Error> {
        let new = new.into();
        self.column(old)?;
        if old != new && self.get(&new).is_some() {
            return Err(DataError::RepeatedColumn { name: new, known: self.known() }.into());
        }
        self.columns.iter_mut().filter(|(known, _)| known == old).for_each(|(name, _)| name.clone_from(&new));
        Ok(self)
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| samples(column))
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns with their names, in the order in which they were added.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), &**column))
    }

    /// The column of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| &**column)
    }

    /// The column of that name. [`DataError::UnknownColumn`] if there is none.
    pub fn column(&self, name: &str) -> Result<&Tensor, Error> {
        self.get(name).ok_or_else(|| DataError::UnknownColumn { name: name.to_owned(), known: self.known() }.into())
    }

    /// The samples of these numbers, in this order; one may be there several times. [`DataError::SampleIndex`] for one that is not.
    pub fn select(&self, indices: &[usize]) -> Result<Dataset, Error> {
        self.check(indices)?;
        let columns = self
            .columns
            .iter()
            .map(|(name, column)| Ok((name.clone(), Arc::new(rows::gathered(column, indices.iter().copied())?))));
        Ok(Dataset { columns: columns.collect::<Result<_, Error>>()? })
    }

    /// The samples of several sets, one set behind the other. Columns have the names and the order of the first set.
    ///
    /// Errors: a set that lacks a column or has one more, or whose samples are of another shape or type.
    pub fn concat(sets: &[&Dataset]) -> Result<Dataset, Error> {
        let Some(first) = sets.first() else { return Ok(Dataset::new()) };
        for set in sets {
            for (name, _) in &set.columns {
                first.column(name)?;
            }
        }
        let mut columns = Vec::with_capacity(first.columns.len());
        for (name, expected) in &first.columns {
            let parts = sets.iter().map(|set| set.column(name)).collect::<Result<Vec<_>, _>>()?;
            let kind = |tensor: &Tensor| (rows::row_shape(tensor), tensor.storage());
            if let Some(part) = parts.iter().find(|part| kind(part) != kind(expected)) {
                let (column, found, expected) = (name.clone(), kind(part), kind(expected));
                return Err(DataError::Unlike { column, found, expected }.into());
            }
            columns.push((name.clone(), Arc::new(Tensor::concat(&parts, 0)?)));
        }
        Ok(Dataset { columns })
    }

    /// Batches of `size` samples; the last of an epoch may be smaller. The default is the order of the samples: see [`Batches`].
    pub fn batches(&self, size: usize) -> Batches {
        Batches::new(self.clone(), size)
    }

    /// All samples as one batch, as for a test at the end.
    #[must_use]
    pub fn to_batch(&self) -> Batch {
        self.columns().fold(Batch::new(), |batch, (name, column)| batch.with(name, column.clone()))
    }

    /// The names of the columns, for messages.
    pub(super) fn known(&self) -> String {
        listed(self.columns.iter().map(|(name, _)| name.as_str()))
    }

    fn check(&self, indices: &[usize]) -> Result<(), Error> {
        let samples = self.len();
        match indices.iter().find(|&&index| index >= samples) {
            Some(&index) => Err(DataError::SampleIndex { index, samples }.into()),
            None => Ok(()),
        }
    }
}

impl Source for Dataset {
    fn samples(&self) -> usize {
        self.len()
    }

    fn sample(&self, index: usize) -> Result<Batch, Error> {
        self.check(&[index])?;
        self.columns().try_fold(Batch::new(), |sample, (name, column)| Ok(sample.with(name, rows::row(column, index)?)))
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch, Error> {
        self.check(indices)?;
        self.columns().try_fold(Batch::new(), |batch, (name, column)| {
            Ok(batch.with(name, rows::gathered(column, indices.iter().copied())?))
        })
    }
}

/// How many samples a column has.
fn samples(column: &Tensor) -> usize {
    column.shape().dims().first().copied().unwrap_or(0)
}
