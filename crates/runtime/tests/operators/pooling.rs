//! Pooling.

use arenagrad::Pooling;

use super::table::{float, operators};

operators! {
    "F.max_pool1d" (g, x = float(&[2, 3, 11], -2.0, 2.0)) => x.max_pool1d(Pooling::new(3).stride(2).padding(1));
    "F.max_pool2d" (g, x = float(&[2, 3, 6, 8], -2.0, 2.0)) => x.max_pool2d(2);
    "F.max_pool2d(stride, padding)" (g, x = float(&[2, 2, 7, 6], -2.0, 2.0)) =>
        x.max_pool2d(Pooling::new(3).stride(2).padding(1));
    "F.max_pool2d(dilation, ceil_mode)" (g, x = float(&[2, 7, 8], -2.0, 2.0)) =>
        x.max_pool2d(Pooling::new([3, 2]).stride([2, 1]).padding([0, 1]).dilation([1, 2]).ceil_mode(true));
    "F.max_pool2d(kernel_size=5)" (g, x = float(&[1, 2, 9, 9], -2.0, 2.0)) =>
        x.max_pool2d(Pooling::new(5).stride(1).padding(2));
    "F.max_pool2d(return_indices=True)" (g, x = float(&[2, 2, 5, 6], -2.0, 2.0)) =>
        x.max_pool2d_with_indices(Pooling::new(2).stride(1));
    "F.max_pool3d" (g, x = float(&[1, 2, 4, 4, 5], -2.0, 2.0)) => x.max_pool3d(Pooling::new(2).stride([2, 2, 1]));
    "F.avg_pool1d" (g, x = float(&[2, 3, 10], -2.0, 2.0)) => x.avg_pool1d(Pooling::new(3).padding(1));
    "F.avg_pool2d" (g, x = float(&[2, 3, 6, 8], -2.0, 2.0)) => x.avg_pool2d(2);
    "F.avg_pool2d(stride, padding)" (g, x = float(&[2, 2, 7, 6], -2.0, 2.0)) =>
        x.avg_pool2d(Pooling::new(3).stride(2).padding(1).ceil_mode(true).count_include_pad(false));
    "F.avg_pool2d(divisor_override)" (g, x = float(&[2, 5, 6], -2.0, 2.0)) =>
        x.avg_pool2d(Pooling::new([3, 2]).stride(1).divisor(4.0));
    "F.avg_pool2d(kernel_size=7)" (g, x = float(&[1, 2, 9, 23], -2.0, 2.0)) =>
        x.avg_pool2d(Pooling::new([7, 19]).stride(1).padding([3, 9]));
    "F.avg_pool3d" (g, x = float(&[1, 2, 4, 5, 6], -2.0, 2.0)) => x.avg_pool3d(Pooling::new([2, 3, 2]).stride(2));
    "F.lp_pool1d" (g, x = float(&[2, 2, 9], 0.5, 2.0)) => x.lp_pool1d(3.0, 3);
    "F.lp_pool2d" (g, x = float(&[2, 2, 6, 4], 0.5, 2.0)) => x.lp_pool2d(2.0, Pooling::new([3, 2]).stride(2));
    "F.lp_pool3d" (g, x = float(&[2, 3, 4, 4], 0.5, 2.0)) => x.lp_pool3d(2.0, [1, 2, 2]);
    "F.adaptive_avg_pool1d" (g, x = float(&[2, 3, 7], -2.0, 2.0)) => x.adaptive_avg_pool1d(3);
    "F.adaptive_avg_pool2d" (g, x = float(&[2, 2, 6, 7], -2.0, 2.0)) => x.adaptive_avg_pool2d([3, 4]);
    "F.adaptive_avg_pool2d(1)" (g, x = float(&[2, 2, 6, 7], -2.0, 2.0)) => x.adaptive_avg_pool2d(1);
    "F.adaptive_avg_pool3d" (g, x = float(&[1, 2, 4, 3, 5], -2.0, 2.0)) => x.adaptive_avg_pool3d([2, 5, 3]);
    "F.adaptive_max_pool1d" (g, x = float(&[2, 3, 7], -2.0, 2.0)) => x.adaptive_max_pool1d(3);
    "F.adaptive_max_pool2d" (g, x = float(&[2, 2, 6, 7], -2.0, 2.0)) => x.adaptive_max_pool2d([4, 3]);
    "F.adaptive_max_pool2d(return_indices=True)" (g, x = float(&[2, 6, 7], -2.0, 2.0)) =>
        x.adaptive_max_pool2d_with_indices([4, 9]);
    "F.adaptive_max_pool3d" (g, x = float(&[2, 4, 3, 5], -2.0, 2.0)) => x.adaptive_max_pool3d([2, 2, 2]);
    "x.mean((2, 3))" (g, x = float(&[2, 3, 4, 5], -2.0, 2.0)) => x.global_avg_pool();
    "x.amax((2, 3))" (g, x = float(&[2, 3, 4, 5], -2.0, 2.0)) => x.global_max_pool();
}
