//! Convolutions of variables, and the blocks that they are sums over.

use arenagrad_graph::{Convolution, ConvolutionTranspose, Origin, SlidingBlocks};

use crate::tape::Variable;

/// Methods with a weight and perhaps a bias, which the lists cannot say: `name(options)`.
macro_rules! convolutions {
    ($($method:ident: $options:ty;)*) => {
        impl Variable {$(
            #[doc = concat!("See [`Expr::", stringify!($method), "`](crate::Expr::", stringify!($method), ").")]
            #[track_caller]
            pub fn $method(&self, weight: &Variable, bias: Option<&Variable>, convolution: &$options) -> Variable {
                let operands: Vec<&Variable> = [self, weight].into_iter().chain(bias).collect();
                let record = |method, operands: &[&Variable], origin| {
                    self.tape_inner().record(method, operands, origin, |_, operands| match *operands {
                        [this, weight] => Ok(this.$method(weight, None, convolution)),
                        [this, weight, bias] => Ok(this.$method(weight, Some(bias), convolution)),
                        _ => panic!("as many operands as were recorded"),
                    })
                };
                Variable::new(record(stringify!($method), &operands, Origin::here()))
            }
        )*}
    };
}
convolutions! {
    conv1d: Convolution<1>;
    conv2d: Convolution<2>;
    conv3d: Convolution<3>;
    conv_transpose1d: ConvolutionTranspose<1>;
    conv_transpose2d: ConvolutionTranspose<2>;
    conv_transpose3d: ConvolutionTranspose<3>;
}

methods! {
    /// The blocks that slide over the last two axes, each as a column.
    im2col(; blocks: &SlidingBlocks);
    /// The sums of what sliding blocks hold of each element.
    col2im(; extents: [usize; 2], blocks: &SlidingBlocks);
    /// The slices of `size` elements of an axis, `step` apart, along a new last axis.
    unfold(; axis: isize, size: usize, step: usize);
}
