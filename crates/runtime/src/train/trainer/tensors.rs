//! What a run of a function is given: tensors under names, and of how many samples they are.

use std::ops::Deref;

use crate::data::NamedTensors;
use crate::tensor::Tensor;

/// The tensors of a batch, and the number of samples by which it counts in means over several batches and over the members of a group.
pub(super) struct Tensors<'t> {
    named: Vec<(&'t str, &'t Tensor)>,
    pub(super) samples: usize,
    /// Whether somebody has said that there are none.
    pub(super) is_known_empty: bool,
}

impl<'t> Tensors<'t> {
    /// Those of a batch.
    pub(super) fn of(batch: &'t (impl NamedTensors + ?Sized)) -> Self {
        let is_known_empty = batch.known_samples() == Some(0);
        Tensors { named: batch.named_tensors(), samples: batch.samples(), is_known_empty }
    }

    /// These, of a part of a batch that has so many samples.
    pub(super) fn of_part(tensors: &'t [(String, Tensor)], samples: usize) -> Self {
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        Tensors { named, samples, is_known_empty: samples == 0 }
    }
}

impl<'t> Deref for Tensors<'t> {
    type Target = [(&'t str, &'t Tensor)];

    fn deref(&self) -> &Self::Target {
        &self.named
    }
}
