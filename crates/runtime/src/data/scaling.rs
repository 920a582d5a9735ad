//! Numbers brought to a common scale, by what was fitted to training data, and back.
//!
//! Whoever fits names the set that is looked at, and nothing else is: numbers of test data never reach what they are scaled by.

use std::ops::RangeInclusive;

use arenagrad_graph::{DType, Shape};

use super::batch::{Batch, NamedTensors};
use super::dataset::Dataset;
use super::{DataError, rows};
use crate::error::Error;
use crate::tensor::Tensor;

/// Which elements share their offset and scale. A sample is what a column has along its other axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Per {
    /// Those of one place along axis 1: the columns of a table `[n, k]`, the channels of images `[n, c, h, w]`. Of a column `[n]` all.
    #[default]
    Channel,
    /// All of them.
    Whole,
    /// Those of one place in each sample: every pixel has its own.
    Element,
}

/// Offsets and scales that were fitted to a column of training data: `y = (x - offset) / scale`.
///
/// What is scaled is f64 if it was, and f32 otherwise; NaN stays NaN, and is passed over when numbers are fitted.
///
/// ```
/// use arenagrad::{Tensor, data::{Dataset, Per, Scaling}};
///
/// let data = |x: Vec<f32>| Dataset::new().with("x", Tensor::new([x.len() / 2, 2], x)?);
/// let (train, test) = (data(vec![0.0, 10.0, 2.0, 30.0])?, data(vec![4.0, 20.0])?);
/// let scaling = Scaling::standardise(&train, "x", Per::Channel)?; // means 1 and 20, deviations 1 and 10
/// let (train, test) = (scaling.apply(&train)?, scaling.apply(&test)?);
/// assert_eq!(train.column("x")?.as_slice::<f32>()?, [-1.0, -1.0, 1.0, 1.0]);
/// assert_eq!(test.column("x")?.as_slice::<f32>()?, [3.0, 0.0]);
/// assert_eq!(scaling.invert(test.column("x")?)?.as_slice::<f32>()?, [4.0, 20.0]);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    column: String,
    /// Both in f64, and of a shape that broadcasts over a sample: `[]`, `[c, 1, 1]` or the sample's own.
    offset: Tensor,
    scale: Tensor,
}

impl Scaling {
    /// Mean 0 and deviation 1: the offset is the mean and the scale the deviation of all samples (divided by their number, as in
    /// scikit-learn's `StandardScaler`), or 1 where all elements are the same.
    ///
    /// Errors: [`DataError::UnknownColumn`]; [`DataError::Fit`] where there is no number to fit to.
    pub fn standardise(train: &Dataset, column: &str, per: Per) -> Result<Self, Error> {
        let fit = Fit::new("a mean", train, column, per)?;
        let mut sums = vec![(0.0, 0_u64); fit.groups];
        fit.for_each(|group, x| sums[group] = (sums[group].0 + x, sums[group].1 + 1))?;
        let mut extremes = vec![(f64::INFINITY, f64::NEG_INFINITY); fit.groups];
        fit.for_each(|group, x| extremes[group] = (extremes[group].0.min(x), extremes[group].1.max(x)))?;
        let means = sums
            .iter()
            .enumerate()
            .map(|(group, &(sum, count))| if count == 0 { Err(fit.refused(group)) } else { Ok(sum / count as f64) });
        let mut means = means.collect::<Result<Vec<f64>, _>>()?;
        // The mean of equal numbers is rounded and may be none of them; what they differ from it by would pass for a deviation.
        for (mean, &(least, greatest)) in means.iter_mut().zip(&extremes) {
            *mean = if least == greatest { least } else { *mean };
        }
        // A second pass over differences: the difference of two large sums would lose what is sought.
        let mut squares = vec![0.0; fit.groups];
        fit.for_each(|group, x| squares[group] += (x - means[group]).powi(2))?;
        let deviations = squares.iter().zip(&sums).map(|(square, &(_, count))| (square / count as f64).sqrt());
        let scales = deviations.map(|deviation| if deviation > 0.0 { deviation } else { 1.0 }).collect();
        fit.scaling(means, scales)
    }

    /// The least number becomes the start of `range` and the greatest its end, `0.0..=1.0` as a rule. Where all elements are the
    /// same, they become the start. Numbers outside those of the training data end outside the range. (scikit-learn's `MinMaxScaler`.)
    ///
    /// Errors: [`DataError::UnknownColumn`]; [`DataError::Fit`] where there is no number to fit to, or for a range that is none.
    pub fn min_max(train: &Dataset, column: &str, per: Per, range: RangeInclusive<f64>) -> Result<Self, Error> {
        let fit = Fit::new("a range", train, column, per)?;
        let (low, width) = (*range.start(), range.end() - range.start());
        if !(width.is_finite() && width > 0.0) {
            return Err(fit.error(format!("{range:?} is no range from a number to a greater one")));
        }
        let mut bounds = vec![(f64::INFINITY, f64::NEG_INFINITY); fit.groups];
        fit.for_each(|group, x| bounds[group] = (bounds[group].0.min(x), bounds[group].1.max(x)))?;
        let (mut offsets, mut scales) = (Vec::new(), Vec::new());
        for (group, &(least, greatest)) in bounds.iter().enumerate() {
            if least > greatest {
                return Err(fit.refused(group));
            }
            let scale = if greatest > least { (greatest - least) / width } else { 1.0 };
            offsets.push(least - low * scale);
            scales.push(scale);
        }
        fit.scaling(offsets, scales)
    }

    /// The set with its column scaled. The others are as they were.
    ///
    /// Errors: [`DataError::UnknownColumn`]; [`DataError::Scaling`] if its samples are of another shape than those of the training
    /// data.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, Error> {
        let scaled = self.transform(data.column(&self.column)?)?;
        data.clone().with(self.column.clone(), scaled)
    }

    /// A batch of such samples scaled: `[n, ..]`. [`DataError::Scaling`] for samples of another shape.
    pub fn transform(&self, samples: &Tensor) -> Result<Tensor, Error> {
        self.changed(samples, |x, offset, scale| (x - offset) / scale)
    }

    /// A batch as it was before it was scaled, `y * scale + offset`: what a network predicts in the units of the data.
    /// [`DataError::Scaling`] for samples of another shape.
    pub fn invert(&self, samples: &Tensor) -> Result<Tensor, Error> {
        self.changed(samples, |y, offset, scale| y * scale + offset)
    }

    /// The name of the column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The offsets, in f64, of a shape that broadcasts over a sample.
    pub fn offset(&self) -> &Tensor {
        &self.offset
    }

    /// The scales, in f64, of the same shape.
    pub fn scale(&self) -> &Tensor {
        &self.scale
    }

    /// The numbers under names, to be saved beside parameters: `x.offset` and `x.scale` for a column `x`.
    #[must_use]
    pub fn tensors(&self) -> Batch {
        let [offset, scale] = names(&self.column);
        Batch::new().with(offset, self.offset.clone()).with(scale, self.scale.clone())
    }

    /// The scaling of a column whose numbers are among these tensors, as [`Scaling::tensors`] names them.
    ///
    /// Errors: [`DataError::UnknownColumn`] if one is missing; [`DataError::Scaling`] if both are not of one shape.
    pub fn from_tensors(column: &str, tensors: &(impl NamedTensors + ?Sized)) -> Result<Self, Error> {
        let tensors = tensors.named_tensors();
        let get = |name: &str| match tensors.iter().find(|(known, _)| *known == name) {
            Some((_, tensor)) => Ok(tensor.cast(DType::F64)),
            None => {
                let known = super::listed(tensors.iter().map(|(name, _)| *name));
                Err(Error::from(DataError::UnknownColumn { name: name.to_owned(), known }))
            }
        };
        let [offset, scale] = names(column);
        let (offset, scale) = (get(&offset)?, get(&scale)?);
        if offset.shape() != scale.shape() {
            let (numbers, found) = (offset.shape().clone(), scale.shape().clone());
            return Err(DataError::Scaling { numbers, found }.into());
        }
        Ok(Scaling { column: column.to_owned(), offset, scale })
    }

    fn changed(&self, samples: &Tensor, change: impl Fn(f64, f64, f64) -> f64) -> Result<Tensor, Error> {
        let (offset, scale) = (self.offset.as_slice::<f64>()?, self.scale.as_slice::<f64>()?);
        changed(samples, self.offset.shape(), |group, x| change(x, offset[group], scale[group]))
    }
}

/// Samples, `[n, ..]`, each of whose elements is changed by the number that belongs to its place, of numbers of that shape. f64 stays, and
/// everything else becomes f32. [`DataError::Scaling`] for samples that the numbers do not fit.
pub(super) fn changed(samples: &Tensor, numbers: &Shape, change: impl Fn(usize, f64) -> f64) -> Result<Tensor, Error> {
    let row = rows::row_shape(samples);
    let group = group_of(numbers, &row)
        .filter(|_| samples.shape().rank() > 0)
        .ok_or_else(|| DataError::Scaling { numbers: numbers.clone(), found: row.clone() })?;
    let rows = samples.shape().dims()[0];
    let change = |row: &[f64], changed: &mut dyn FnMut(f64)| {
        row.iter().enumerate().for_each(|(place, &x)| changed(change(group(place), x)));
    };
    // Row by row, so that a set of bytes is never held in f64 as a whole.
    if samples.dtype() == DType::F64 {
        let mut all: Vec<f64> = Vec::with_capacity(samples.data().len());
        change_rows(samples, rows, |row| change(row, &mut |x| all.push(x)))?;
        Tensor::new(samples.shape(), all)
    } else {
        let mut all: Vec<f32> = Vec::with_capacity(samples.data().len());
        change_rows(samples, rows, |row| change(row, &mut |x| all.push(x as f32)))?;
        Tensor::new(samples.shape(), all)
    }
}

/// Integers as vectors of zeros with a one at the integer's place: `[n] -> [n, classes]` in f32.
///
/// [`DataError::Class`] for an integer that is none of the classes, [`DataError::Labels`] for anything but integers or truth values.
/// (PyTorch's `one_hot`, in floats.)
pub fn one_hot(labels: &Tensor, classes: usize) -> Result<Tensor, Error> {
    if labels.dtype().is_float() {
        let (column, shape, storage) = ("labels".to_owned(), labels.shape().clone(), labels.storage());
        return Err(DataError::Labels { column, shape, storage }.into());
    }
    let dims: Vec<usize> = labels.shape().dims().iter().copied().chain([classes]).collect();
    let mut tensor = Tensor::zeros(dims, DType::F32)?;
    let elements = tensor.as_mut_slice::<f32>()?;
    for (position, label) in labels.to_f64_vec().into_iter().enumerate() {
        if !(0.0..classes as f64).contains(&label) {
            let (what, value) = ("the labels".to_owned(), label as i32);
            return Err(DataError::Class { what, position, value, classes }.into());
        }
        elements[position * classes + label as usize] = 1.0;
    }
    Ok(tensor)
}

fn names(column: &str) -> [String; 2] {
    [format!("{column}.offset"), format!("{column}.scale")]
}

/// The number that belongs to each place of a sample, if numbers of that shape fit it.
fn group_of(numbers: &Shape, row: &Shape) -> Option<impl Fn(usize) -> usize + Copy + use<>> {
    // A place divided by the extents behind those that have numbers of their own.
    let is_of_channels = || {
        numbers.rank() == row.rank() && numbers.first() == row.first() && numbers[1..].iter().all(|&extent| extent == 1)
    };
    let divisor = if numbers.rank() == 0 {
        row.elements()
    } else if numbers == row {
        1
    } else if is_of_channels() {
        row[1..].iter().copied().fold(1, usize::saturating_mul)
    } else {
        return None;
    };
    let divisor = divisor.max(1);
    Some(move |place: usize| place / divisor)
}

fn change_rows(samples: &Tensor, rows: usize, mut each: impl FnMut(&[f64])) -> Result<(), Error> {
    (0..rows).try_for_each(|row| {
        each(&rows::row(samples, row)?.to_f64_vec());
        Ok(())
    })
}

/// A column that numbers are fitted to.
pub(super) struct Fit<'a> {
    what: &'static str,
    name: &'a str,
    column: &'a Tensor,
    /// The shape of the numbers, and how many they are.
    pub(super) numbers: Shape,
    pub(super) groups: usize,
}

impl<'a> Fit<'a> {
    pub(super) fn new(what: &'static str, train: &'a Dataset, name: &'a str, per: Per) -> Result<Self, Error> {
        let column = train.column(name)?;
        let row = rows::row_shape(column);
        let numbers: Shape = match per {
            Per::Whole => Shape::scalar(),
            Per::Element => row,
            Per::Channel => row.iter().enumerate().map(|(axis, &extent)| if axis == 0 { extent } else { 1 }).collect(),
        };
        let fit = Fit { what, name, column, groups: numbers.elements(), numbers };
        // Of no samples the shape may be past what can be counted.
        if column.data().is_empty() { Err(fit.error("it has no elements".to_owned())) } else { Ok(fit) }
    }

    /// Goes over all numbers, those that are missing left out.
    pub(super) fn for_each(&self, mut each: impl FnMut(usize, f64)) -> Result<(), Error> {
        let Some(group) = group_of(&self.numbers, &rows::row_shape(self.column)) else {
            return Err(self.error("its samples have no such elements".to_owned()));
        };
        change_rows(self.column, self.column.shape()[0], |row| {
            row.iter().enumerate().filter(|(_, x)| !x.is_nan()).for_each(|(place, &x)| each(group(place), x));
        })
    }

    fn scaling(&self, offsets: Vec<f64>, scales: Vec<f64>) -> Result<Scaling, Error> {
        if let Some(group) = offsets.iter().zip(&scales).position(|(offset, scale)| !(offset + scale).is_finite()) {
            return Err(self.error(format!("element {group} of what was fitted is not finite")));
        }
        let offset = Tensor::new(&self.numbers, offsets)?;
        Ok(Scaling { column: self.name.to_owned(), offset, scale: Tensor::new(&self.numbers, scales)? })
    }

    pub(super) fn refused(&self, group: usize) -> Error {
        self.error(format!("there is no number for element {group} of it"))
    }

    pub(super) fn error(&self, reason: String) -> Error {
        let (shape, storage) = (self.column.shape().clone(), self.column.storage());
        DataError::Fit { what: self.what, column: self.name.to_owned(), shape, storage, reason }.into()
    }
}
