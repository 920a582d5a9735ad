//! Convolutions and their kin.

use super::table::{float, operators};
use arenagrad::{Convolution, ConvolutionPadding, ConvolutionTranspose, SlidingBlocks};

operators! {
    "F.conv1d" (g, x = float(&[2, 3, 9], -2.0, 2.0), w = float(&[4, 3, 3], -1.0, 1.0), b = float(&[4], -1.0, 1.0)) =>
        x.conv1d(w, Some(b), &Convolution::new().stride(2).padding(1));
    "F.conv2d" (g, x = float(&[2, 3, 6, 5], -2.0, 2.0), w = float(&[4, 3, 3, 3], -1.0, 1.0), b = float(&[4], -1.0, 1.0)) =>
        x.conv2d(w, Some(b), &Convolution::new().padding(1));
    "F.conv2d(stride=2)" (g, x = float(&[2, 4, 7, 6], -2.0, 2.0), w = float(&[4, 2, 3, 2], -1.0, 1.0)) =>
        x.conv2d(w, None, &Convolution::new().stride(2).padding([1, 0]).dilation([1, 2]).groups(2));
    "F.conv2d(padding='same', groups=3)" (g, x = float(&[2, 3, 6, 5], -2.0, 2.0), w = float(&[3, 1, 2, 3], -1.0, 1.0)) =>
        x.conv2d(w, None, &Convolution::new().padding(ConvolutionPadding::Same).groups(3));
    "F.conv3d" (g, x = float(&[1, 2, 4, 3, 4], -2.0, 2.0), w = float(&[2, 2, 2, 2, 3], -1.0, 1.0)) =>
        x.conv3d(w, None, &Convolution::new().padding([0, 1, 1]).stride([1, 1, 2]));
    "F.conv_transpose1d" (g, x = float(&[2, 3, 5], -2.0, 2.0), w = float(&[3, 2, 4], -1.0, 1.0), b = float(&[2], -1.0, 1.0)) =>
        x.conv_transpose1d(w, Some(b), &ConvolutionTranspose::new().stride(3).padding(1).output_padding(2));
    "F.conv_transpose2d" (g, x = float(&[2, 2, 4, 3], -2.0, 2.0), w = float(&[2, 3, 3, 3], -1.0, 1.0)) =>
        x.conv_transpose2d(w, None, &ConvolutionTranspose::new().stride(2).padding(1).output_padding(1));
    "F.conv_transpose2d(groups=2)" (g, x = float(&[1, 4, 3, 3], -2.0, 2.0), w = float(&[4, 1, 2, 3], -1.0, 1.0)) =>
        x.conv_transpose2d(w, None, &ConvolutionTranspose::new().stride([3, 1]).dilation([1, 2]).groups(2));
    "F.conv_transpose3d" (g, x = float(&[1, 2, 2, 3, 2], -2.0, 2.0), w = float(&[2, 2, 2, 2, 2], -1.0, 1.0)) =>
        x.conv_transpose3d(w, None, &ConvolutionTranspose::new().stride(2));
    "F.unfold" (g, x = float(&[2, 3, 5, 4], -2.0, 2.0)) =>
        x.im2col(&SlidingBlocks::new([2, 3]).stride([2, 1]).padding(1).dilation([2, 1]));
    "F.fold" (g, x = float(&[2, 12, 12], -2.0, 2.0)) => x.col2im([4, 5], &SlidingBlocks::new(2));
    "Tensor.unfold" (g, x = float(&[3, 7], -2.0, 2.0)) => x.unfold(-1, 3, 2);
}
