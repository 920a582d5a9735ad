//! What convolutions are told beside their operands.

/// A number for each of `D` axes: one for all of them, or one each. (Where a method settles how many axes there are and not a type,
/// it is a [`PerAxis`](crate::PerAxis).)
///
/// ```
/// # use arenagrad_graph::Convolution;
/// let both = Convolution::<2>::new().stride(2);
/// assert_eq!(both, Convolution::new().stride([2, 2]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisNumbers<const D: usize>(pub [usize; D]);

impl<const D: usize> From<usize> for AxisNumbers<D> {
    fn from(number: usize) -> Self {
        AxisNumbers([number; D])
    }
}

impl<const D: usize> From<[usize; D]> for AxisNumbers<D> {
    fn from(numbers: [usize; D]) -> Self {
        AxisNumbers(numbers)
    }
}

/// Zeros around the input of a convolution. Numbers become one: `padding(1)`, `padding([0, 1])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvolutionPadding<const D: usize> {
    /// So many before the first and after the last element of each axis.
    Numbers([usize; D]),
    /// As many as make the result as long as the input, where the stride is 1; of an odd number the last is behind.
    Same,
    /// None.
    Valid,
}

impl<const D: usize> From<usize> for ConvolutionPadding<D> {
    fn from(number: usize) -> Self {
        ConvolutionPadding::Numbers([number; D])
    }
}

impl<const D: usize> From<[usize; D]> for ConvolutionPadding<D> {
    fn from(numbers: [usize; D]) -> Self {
        ConvolutionPadding::Numbers(numbers)
    }
}

/// How a convolution over `D` axes slides: PyTorch's arguments and defaults. Unless said otherwise, the stride is 1, nothing is padded,
/// the weight's elements are neighbours, and there is one group.
///
/// ```
/// # use arenagrad_graph::{Convolution, Graph};
/// let g = Graph::new();
/// let (x, w) = (g.input("x", [1, 8, 32, 32]), g.input("w", [8, 4, 3, 3]));
/// let halved = Convolution::new().stride(2).padding(1).groups(2);
/// assert_eq!(x.conv2d(w, None, &halved).shape()?.dims(), [1, 8, 16, 16]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution<const D: usize> {
    pub(crate) stride: [usize; D],
    pub(crate) padding: ConvolutionPadding<D>,
    pub(crate) dilation: [usize; D],
    pub(crate) groups: usize,
}

impl<const D: usize> Convolution<D> {
    /// The defaults.
    pub fn new() -> Self {
        Convolution { stride: [1; D], padding: ConvolutionPadding::Valid, dilation: [1; D], groups: 1 }
    }

    /// How far each result is from its neighbours, in elements of the input.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<D>>) -> Self {
        Convolution { stride: stride.into().0, ..self }
    }

    /// The zeros around the input: numbers, or a [`ConvolutionPadding`].
    #[must_use]
    pub fn padding(self, padding: impl Into<ConvolutionPadding<D>>) -> Self {
        Convolution { padding: padding.into(), ..self }
    }

    /// How far the weight's elements are apart, in elements of the input.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<D>>) -> Self {
        Convolution { dilation: dilation.into().0, ..self }
    }

    /// Into how many groups channels and features fall: each feature sees the channels of its group alone. As many groups as channels
    /// are a depthwise convolution.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Convolution { groups, ..self }
    }
}

impl<const D: usize> Default for Convolution<D> {
    fn default() -> Self {
        Convolution::new()
    }
}

/// How a transposed convolution over `D` axes slides: PyTorch's arguments and defaults. All but the output padding are those of the
/// convolution that it is the transposition of.
///
/// ```
/// # use arenagrad_graph::{ConvolutionTranspose, Graph};
/// let g = Graph::new();
/// let (x, w) = (g.input("x", [1, 8, 16, 16]), g.input("w", [8, 4, 3, 3]));
/// let doubled = ConvolutionTranspose::new().stride(2).padding(1).output_padding(1);
/// assert_eq!(x.conv_transpose2d(w, None, &doubled).shape()?.dims(), [1, 4, 32, 32]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionTranspose<const D: usize> {
    pub(crate) stride: [usize; D],
    pub(crate) padding: [usize; D],
    pub(crate) output_padding: [usize; D],
    pub(crate) dilation: [usize; D],
    pub(crate) groups: usize,
}

impl<const D: usize> ConvolutionTranspose<D> {
    /// The defaults.
    pub fn new() -> Self {
        ConvolutionTranspose { stride: [1; D], padding: [0; D], output_padding: [0; D], dilation: [1; D], groups: 1 }
    }

    /// How far apart the elements of the input are in the result.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<D>>) -> Self {
        ConvolutionTranspose { stride: stride.into().0, ..self }
    }

    /// How many elements are left out at either end of the result.
    #[must_use]
    pub fn padding(self, padding: impl Into<AxisNumbers<D>>) -> Self {
        ConvolutionTranspose { padding: padding.into().0, ..self }
    }

    /// How many elements the result has beside, at its end: a strided convolution gives the same extent for several of its input.
    #[must_use]
    pub fn output_padding(self, output_padding: impl Into<AxisNumbers<D>>) -> Self {
        ConvolutionTranspose { output_padding: output_padding.into().0, ..self }
    }

    /// How far the weight's elements are apart in the result.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<D>>) -> Self {
        ConvolutionTranspose { dilation: dilation.into().0, ..self }
    }

    /// Into how many groups channels and features fall.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        ConvolutionTranspose { groups, ..self }
    }
}

impl<const D: usize> Default for ConvolutionTranspose<D> {
    fn default() -> Self {
        ConvolutionTranspose::new()
    }
}
