//! Logits and labels of a batch, checked and taken apart into samples.

use arenagrad_graph::{DType, Elements, Shape, StorageType};

use crate::metrics::MetricError;
use crate::tensor::Tensor;

/// The label that PyTorch's losses leave out.
pub(super) const IGNORED: i32 = -100;

/// The logits of a batch, `[n, classes, d1, ..]` in f64, each sample's classes `stride` elements apart.
pub(super) struct Logits {
    values: Vec<f64>,
    pub(super) classes: usize,
    stride: usize,
}

impl Logits {
    /// Logits of floats with an axis of classes, and their labels in the shape without that axis.
    pub(super) fn with_labels(logits: &Tensor, labels: &Tensor) -> Result<(Logits, Vec<i64>), MetricError> {
        let found = logits.dtype();
        if !found.is_float() {
            return Err(MetricError::DType { what: "logits", found, expected: "floats" });
        }
        let shape = logits.shape();
        let axis = match shape.rank() {
            0 => return Err(MetricError::NoClasses { shape: shape.clone() }),
            1 => 0,
            _ => 1,
        };
        let expected: Shape = shape.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, extent)| *extent).collect();
        let classes = shape.dims()[axis];
        if classes == 0 {
            return Err(MetricError::NoClasses { shape: shape.clone() });
        }
        let labels = class_indices("labels", labels, "logits without their axis of classes", &expected)?;
        let stride = shape.dims()[axis + 1..].iter().fold(1usize, |stride, &extent| stride.saturating_mul(extent));
        Ok((Logits { values: logits.to_f64_vec(), classes, stride }, labels))
    }

    /// The logits of a sample, by class.
    pub(super) fn of(&self, sample: usize) -> impl Iterator<Item = f64> + Clone {
        let first = sample / self.stride * self.stride * self.classes + sample % self.stride;
        self.values[first..].iter().step_by(self.stride).take(self.classes).copied()
    }

    /// How many classes of a sample are likelier than `class`: 0 for the class that is guessed.
    pub(super) fn rank(&self, sample: usize, class: usize) -> usize {
        let own = self.of(sample).nth(class).unwrap_or(f64::NAN);
        let is_before = |(other, value): (usize, f64)| match (value.is_nan(), own.is_nan()) {
            (true, false) => true,
            (false, true) => false,
            (true, true) => other < class,
            (false, false) => value > own || value == own && other < class,
        };
        self.of(sample).enumerate().filter(|pair| is_before(*pair)).count()
    }

    /// The likeliest class of a sample.
    pub(super) fn guess(&self, sample: usize) -> usize {
        let mut best = (0, f64::NEG_INFINITY);
        for (class, value) in self.of(sample).enumerate() {
            if value.is_nan() {
                return class;
            }
            if value > best.1 {
                best = (class, value);
            }
        }
        best.0
    }

    /// `-ln softmax(x)[class]` of a sample.
    pub(super) fn cross_entropy(&self, sample: usize, class: usize) -> f64 {
        let largest = self.of(sample).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.of(sample).map(|x| (x - largest).exp()).sum();
        sum.ln() - (self.of(sample).nth(class).unwrap_or(f64::NAN) - largest)
    }
}

/// Class indices of whole numbers or truth values, in the shape of what they stand beside.
pub(super) fn class_indices(
    what: &'static str,
    tensor: &Tensor,
    beside: &'static str,
    expected: &Shape,
) -> Result<Vec<i64>, MetricError> {
    if tensor.dtype().is_float() {
        let expected = "class indices; cast them to i32 if that is what they are";
        return Err(MetricError::DType { what, found: tensor.dtype(), expected });
    }
    same_shape(what, tensor.shape(), beside, expected)?;
    let integers = tensor.cast(StorageType::from(DType::I32));
    let Elements::I32(values) = integers.data() else { unreachable!("a tensor that was cast to i32") };
    Ok(values.iter().map(|value| i64::from(*value)).collect())
}

/// Refuses a shape that is not the one beside it.
pub(super) fn same_shape(
    what: &'static str,
    found: &Shape,
    beside: &'static str,
    expected: &Shape,
) -> Result<(), MetricError> {
    if found == expected {
        return Ok(());
    }
    Err(MetricError::ShapesDiffer { what, found: found.clone(), beside, expected: expected.clone() })
}

/// The places of the labels that count, each with its class. Every other label must be the ignored one.
pub(super) fn counted(
    labels: &[i64],
    classes: usize,
    ignored: Option<i32>,
) -> Result<Vec<(usize, usize)>, MetricError> {
    let mut counted = Vec::with_capacity(labels.len());
    for (position, label) in labels.iter().enumerate() {
        if ignored.is_some_and(|ignored| i64::from(ignored) == *label) {
            continue;
        }
        counted.push((position, class_of("labels", position, *label, classes)?));
    }
    Ok(counted)
}

/// A class index that must be below the number of classes.
pub(super) fn class_of(what: &'static str, position: usize, class: i64, classes: usize) -> Result<usize, MetricError> {
    match usize::try_from(class) {
        Ok(index) if index < classes => Ok(index),
        Ok(_) | Err(_) => {
            let hint = if what == "labels" { "; ignore() names a label that is left out" } else { "" };
            Err(MetricError::NoSuchClass { what, position, class, classes, hint })
        }
    }
}
