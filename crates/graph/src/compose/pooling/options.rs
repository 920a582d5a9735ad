//! How windows of a pooling are to stand: what a caller says, before it is held against an input.

use smallvec::SmallVec;

/// A number for each of some axes: one number stands for all of them, a list has one for each, outermost first.
///
/// ```
/// use arenagrad_graph::{Graph, Pooling};
///
/// let g = Graph::new();
/// let x = g.input("x", [1, 8, 12, 12]);
/// let square = x.max_pool2d(Pooling::new(3).stride(2));
/// let flat = x.max_pool2d(Pooling::new([1, 3]).stride([1, 2]));
/// assert_eq!(square.shape()?.dims(), &[1, 8, 5, 5]);
/// assert_eq!(flat.shape()?.dims(), &[1, 8, 12, 5]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PerAxis(SmallVec<[usize; 3]>);

impl PerAxis {
    /// The number of each of `axes` axes, or how many there are if that is neither one nor one for each.
    pub(crate) fn of(&self, axes: usize) -> Result<SmallVec<[usize; 3]>, usize> {
        match self.0.len() {
            1 => Ok(smallvec::smallvec![self.0[0]; axes]),
            count if count == axes => Ok(self.0.clone()),
            count => Err(count),
        }
    }
}

impl From<usize> for PerAxis {
    fn from(number: usize) -> Self {
        PerAxis(smallvec::smallvec![number])
    }
}

impl<const N: usize> From<[usize; N]> for PerAxis {
    fn from(numbers: [usize; N]) -> Self {
        PerAxis(SmallVec::from_slice(&numbers))
    }
}

impl From<&[usize]> for PerAxis {
    fn from(numbers: &[usize]) -> Self {
        PerAxis(SmallVec::from_slice(numbers))
    }
}

impl From<Vec<usize>> for PerAxis {
    fn from(numbers: Vec<usize>) -> Self {
        PerAxis(SmallVec::from_vec(numbers))
    }
}

/// The windows of a pooling, with PyTorch's names and defaults: a stride equal to the kernel, no padding, a dilation of 1, no
/// window that passes the end, padding counted in an average.
///
/// A kernel alone is one, too: `x.max_pool2d(2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooling {
    pub(crate) kernel: PerAxis,
    pub(crate) stride: Option<PerAxis>,
    pub(crate) padding: PerAxis,
    pub(crate) dilation: PerAxis,
    pub(crate) ceil_mode: bool,
    pub(crate) count_include_pad: bool,
    pub(crate) divisor: Option<f64>,
}

impl Pooling {
    /// Windows of `kernel` elements that stand side by side.
    pub fn new(kernel: impl Into<PerAxis>) -> Self {
        Pooling {
            kernel: kernel.into(),
            stride: None,
            padding: PerAxis::from(0),
            dilation: PerAxis::from(1),
            ceil_mode: false,
            count_include_pad: true,
            divisor: None,
        }
    }

    /// How far each window begins after the one before.
    #[must_use]
    pub fn stride(self, stride: impl Into<PerAxis>) -> Self {
        Pooling { stride: Some(stride.into()), ..self }
    }

    /// So many elements more on both sides of each axis, at most half of the kernel: of a value below all others for a maximum,
    /// zeros for an average.
    #[must_use]
    pub fn padding(self, padding: impl Into<PerAxis>) -> Self {
        Pooling { padding: padding.into(), ..self }
    }

    /// How far the elements of a window stand apart. An average takes 1 alone, as PyTorch's does.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<PerAxis>) -> Self {
        Pooling { dilation: dilation.into(), ..self }
    }

    /// Whether a last window counts that passes the end of the padded axis, as long as it begins among the elements or the padding in
    /// front of them.
    #[must_use]
    pub fn ceil_mode(self, ceil_mode: bool) -> Self {
        Pooling { ceil_mode, ..self }
    }

    /// Whether padding counts among the elements that an average divides by. What lies past the padding never does.
    #[must_use]
    pub fn count_include_pad(self, count_include_pad: bool) -> Self {
        Pooling { count_include_pad, ..self }
    }

    /// What an average divides by instead of the number of elements: PyTorch's `divisor_override`.
    #[must_use]
    pub fn divisor(self, divisor: f64) -> Self {
        Pooling { divisor: Some(divisor), ..self }
    }
}

impl From<usize> for Pooling {
    fn from(kernel: usize) -> Self {
        Pooling::new(kernel)
    }
}

impl<const N: usize> From<[usize; N]> for Pooling {
    fn from(kernel: [usize; N]) -> Self {
        Pooling::new(kernel)
    }
}
