//! Tensors under names: what one run of a plan is given.

use crate::tensor::Tensor;

/// Tensors and the names of the inputs that they are for: a [`Batch`], or a list such as `[("x", &x), ("labels", &labels)]`.
pub trait NamedTensors {
    /// The tensors with their names.
    fn named_tensors(&self) -> Vec<(&str, &Tensor)>;
}

/// Tensors of one batch under the names of the inputs that they are for, in the order in which they were added.
///
/// ```
/// use arenagrad::{Tensor, data::Batch};
///
/// let batch = Batch::new().with("x", Tensor::new([2, 1], vec![0.5f32, 1.5])?);
/// assert_eq!(batch.get("x").map(|x| x.shape().dims()), Some(&[2, 1][..]));
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    tensors: Vec<(String, Tensor)>,
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

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }
}

impl NamedTensors for Batch {
    fn named_tensors(&self) -> Vec<(&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
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
