//! Tensors under names: what one run of a plan is given.

use crate::tensor::Tensor;

/// Tensors and the names of the inputs that they are for: a [`Batch`], or a list such as `[("x", &x), ("labels", &labels)]`.
pub trait NamedTensors {
    /// The tensors with their names.
    fn named_tensors(&self) -> Vec<(&str, &Tensor)>;

    /// How many samples the tensors are of, if somebody has said so: a [`Batch`] may know it.
    fn known_samples(&self) -> Option<usize> {
        None
    }

    /// How many samples the tensors are of: what a batch weighs in means over several batches, and over the members of a group. Where nobody has
    /// said so, it is the extent of the first axis of the first tensor that has axes, or 1 if none has any.
    fn samples(&self) -> usize {
        let of_first = || self.named_tensors().iter().find_map(|(_, tensor)| tensor.shape().first().copied());
        self.known_samples().or_else(of_first).unwrap_or(1)
    }
}

/// Tensors of one batch under the names of the inputs that they are for, in the order in which they were added.
///
/// A batch counts by its samples in every mean over several batches, and by those of each member in a group. One that
/// [`Batches`](super::Batches) makes knows of how many it was made. Of one that is put together by hand the first tensor that has axes tells, so a
/// tensor that is not of samples, such as weights of classes, is given behind the others, or the number is said ([`Batch::of_samples`]).
///
/// ```
/// use arenagrad::{Tensor, data::Batch};
///
/// let batch = Batch::new().with("x", Tensor::new([2, 1], vec![0.5f32, 1.5])?);
/// assert_eq!(batch.get("x").map(|x| x.shape().dims()), Some(&[2, 1][..]));
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    tensors: Vec<(String, Tensor)>,
    /// How many samples they are of, if somebody has said so.
    samples: Option<usize>,
}

impl Batch {
    /// A batch of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Batch::default()
    }

    /// With a tensor of that name; one that had the name before is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        let name = name.into();
        match self.tensors.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = tensor,
            None => self.tensors.push((name, tensor)),
        }
        self
    }

    /// Of so many samples ([`NamedTensors::samples`]), whatever extents its tensors have.
    #[must_use]
    pub fn of_samples(self, samples: usize) -> Self {
        Batch { samples: Some(samples), ..self }
    }

    /// Of so many samples, if nobody has said it.
    pub(super) fn or_of_samples(self, samples: usize) -> Self {
        Batch { samples: self.samples.or(Some(samples)), ..self }
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }
}

impl NamedTensors for Batch {
    fn named_tensors(&self) -> Vec<(&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
    }

    fn known_samples(&self) -> Option<usize> {
        self.samples
    }
}

/// Batches are equal that have the same tensors in the same order, and as many samples.
impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.tensors == other.tensors && self.samples() == other.samples()
    }
}

impl NamedTensors for [(&str, &Tensor)] {
    fn named_tensors(&self) -> Vec<(&str, &Tensor)> {
        self.to_vec()
    }
}

impl<const N: usize> NamedTensors for [(&str, &Tensor); N] {
    fn named_tensors(&self) -> Vec<(&str, &Tensor)> {
        self.to_vec()
    }
}
