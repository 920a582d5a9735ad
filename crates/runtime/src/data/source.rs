//! Where samples come from: memory, or whatever can give one sample at a time.

use std::sync::Arc;

use super::batch::{Batch, NamedTensors};
use super::{DataError, rows};
use crate::error::Error;

/// Samples by their numbers. A [`Dataset`](super::Dataset) holds them in memory; implement this for data that does not fit there,
/// and [`Batches`](super::Batches) reads what each batch needs, on a thread of its own if it prefetches.
///
/// ```
/// use arenagrad::{Error, Tensor, data::{Batch, Batches, Source}};
///
/// /// The numbers and their squares.
/// struct Squares;
///
/// impl Source for Squares {
///     fn samples(&self) -> usize {
///         1000
///     }
///
///     fn sample(&self, index: usize) -> Result<Batch, Error> {
///         let x = index as f32;
///         Ok(Batch::new().with("x", Tensor::new([1], vec![x])?).with("t", Tensor::new([1], vec![x * x])?))
///     }
/// }
///
/// let batches = Batches::new(Squares, 64).shuffled(1, 0).prefetch(2);
/// let first = batches.epoch(0).next().expect("there are 16")?;
/// assert_eq!(first.get("t").map(|t| t.shape().dims()), Some(&[64, 1][..]));
/// # Ok::<(), Error>(())
/// ```
pub trait Source: Send + Sync {
    /// How many samples there are.
    fn samples(&self) -> usize;

    /// The tensors of the sample of that number, from 0: without an axis of samples, under the same names in the same order for
    /// each sample, of the same shapes and types.
    fn sample(&self, index: usize) -> Result<Batch, Error>;

    /// The samples of these numbers along a new first axis of each tensor. A source that has a quicker way than one sample after
    /// the other says so here.
    fn batch(&self, indices: &[usize]) -> Result<Batch, Error> {
        let samples = indices.iter().map(|&index| self.sample(index)).collect::<Result<Vec<_>, _>>()?;
        stacked(&samples, indices)
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn samples(&self) -> usize {
        (**self).samples()
    }

    fn sample(&self, index: usize) -> Result<Batch, Error> {
        (**self).sample(index)
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch, Error> {
        (**self).batch(indices)
    }
}

/// Samples along a new first axis; `indices` are their numbers, for messages.
pub(super) fn stacked(samples: &[Batch], indices: &[usize]) -> Result<Batch, Error> {
    let (Some(first), Some(&first_index)) = (samples.first(), indices.first()) else { return Ok(Batch::new()) };
    let expected = first.named_tensors();
    let mut columns: Vec<Vec<_>> = vec![Vec::with_capacity(samples.len()); expected.len()];
    for (sample, &index) in samples.iter().zip(indices) {
        let found = sample.named_tensors();
        if found.len() != expected.len() || found.iter().zip(&expected).any(|(found, expected)| found.0 != expected.0) {
            let (found, expected) = (listed(&found), listed(&expected));
            return Err(DataError::SampleColumns { index, found, first: first_index, expected }.into());
        }
        for ((column, (name, found)), (_, expected)) in columns.iter_mut().zip(found).zip(&expected) {
            let kind = |tensor: &crate::Tensor| (tensor.shape().clone(), tensor.storage());
            if kind(found) != kind(expected) {
                let (column, found, expected) = (name.to_owned(), kind(found), kind(expected));
                return Err(DataError::SampleShape { column, index, found, first: first_index, expected }.into());
            }
            column.push(found);
        }
    }
    let mut batch = Batch::new();
    for ((name, _), column) in expected.iter().zip(columns) {
        batch = batch.with(*name, rows::stacked(&column)?);
    }
    Ok(batch)
}

/// The samples of a batch of `count`, each without the axis of samples.
pub(super) fn unstacked(batch: &Batch, count: usize) -> Result<Vec<Batch>, Error> {
    let tensors = batch.named_tensors();
    for (name, tensor) in &tensors {
        match tensor.shape().dims() {
            [] => return Err(DataError::NoSampleAxis { column: (*name).to_owned() }.into()),
            [found, ..] if *found != count => {
                let (column, first) = ((*name).to_owned(), "the batch".to_owned());
                return Err(DataError::SampleCount { column, found: *found, first, expected: count }.into());
            }
            [_, ..] => {}
        }
    }
    (0..count)
        .map(|number| {
            tensors
                .iter()
                .try_fold(Batch::new(), |sample, (name, tensor)| Ok(sample.with(*name, rows::row(tensor, number)?)))
        })
        .collect()
}

fn listed(tensors: &[(&str, &crate::Tensor)]) -> String {
    super::listed(tensors.iter().map(|(name, _)| *name))
}
