//! How a convolution slides along one axis.

/// How a convolution slides along one axis of its input: element `j` of the result is the sum over the places `t` of the weight of
/// `weight[t] * input[(j * stride + t * dilation - low) / input_dilation]`, wherever that is an element of the input; anything else counts
/// as 0. So `low` is the padding before the first element, or below 0 how many elements are left out there, and `input_dilation - 1` is how
/// many zeros stand between neighbours of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionAxis {
    /// The elements of the result along the axis.
    pub extent: usize,
    /// How far apart neighbours of the result are in the input, at least 1.
    pub stride: usize,
    /// How far apart neighbours of the weight are in the input, at least 1.
    pub dilation: usize,
    /// How far apart neighbours of the input are, zeros between them, at least 1.
    pub input_dilation: usize,
    /// The zeros before the first element of the input; below 0 it is how many elements are left out.
    pub low: isize,
}

impl ConvolutionAxis {
    /// Every element beside the next, and none left out: as many results as there are elements if the weight has one.
    pub fn dense(extent: usize) -> Self {
        ConvolutionAxis { extent, stride: 1, dilation: 1, input_dilation: 1, low: 0 }
    }
}
