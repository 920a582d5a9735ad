//! Pooling, padding, interpolation and sampling.

use arenagrad_graph::{
    EmbeddingBagOptions, EmbeddingOptions, GridSample, Interpolation, Origin, PadMode, PerAxis, Pooling,
};
// The documentation has links to the methods of expressions.
#[allow(unused_imports)]
use arenagrad_graph::Expr;

use crate::tape::Variable;

methods! {
    /// The largest element of each window over the last axis.
    max_pool1d(; pooling: impl Into<Pooling>);
    /// The mean of each window over the last axis.
    avg_pool1d(; pooling: impl Into<Pooling>);
    /// The p-norm of each window over the last axis.
    lp_pool1d(; p: f64, pooling: impl Into<Pooling>);
    /// Means of so many windows over the last axis.
    adaptive_avg_pool1d(; size: impl Into<PerAxis>);
    /// The largest element of each of so many windows over the last axis.
    adaptive_max_pool1d(; size: impl Into<PerAxis>);
    /// The largest element of each window over the last two axes.
    max_pool2d(; pooling: impl Into<Pooling>);
    /// The mean of each window over the last two axes.
    avg_pool2d(; pooling: impl Into<Pooling>);
    /// The p-norm of each window over the last two axes.
    lp_pool2d(; p: f64, pooling: impl Into<Pooling>);
    /// Means of so many windows over the last two axes.
    adaptive_avg_pool2d(; size: impl Into<PerAxis>);
    /// The largest element of each of so many windows over the last two axes.
    adaptive_max_pool2d(; size: impl Into<PerAxis>);
    /// The largest element of each window over the last three axes.
    max_pool3d(; pooling: impl Into<Pooling>);
    /// The mean of each window over the last three axes.
    avg_pool3d(; pooling: impl Into<Pooling>);
    /// The p-norm of each window over the last three axes.
    lp_pool3d(; p: f64, pooling: impl Into<Pooling>);
    /// Means of so many windows over the last three axes.
    adaptive_avg_pool3d(; size: impl Into<PerAxis>);
    /// The largest element of each of so many windows over the last three axes.
    adaptive_max_pool3d(; size: impl Into<PerAxis>);
    /// The mean of each channel.
    global_avg_pool(;);
    /// The largest element of each channel.
    global_max_pool(;);
    /// The last axes padded by what they have at their ends, or cropped.
    pad_with(; amounts: impl AsRef<[(isize, isize)]>, mode: PadMode);
    /// The axes behind batch and channels at another size.
    interpolate(; interpolation: Interpolation);
    /// The axes behind batch and channels at another size, by repetition.
    upsample_nearest(; size: Interpolation);
    /// Height and width at another size, by lines between neighbours and with aligned corners.
    upsample_bilinear(; size: Interpolation);
    /// Channels as pixels.
    pixel_shuffle(; factor: usize);
    /// Pixels as channels.
    pixel_unshuffle(; factor: usize);
    /// Channels of groups interleaved.
    channel_shuffle(; groups: usize);
    /// The image where the points of a grid are.
    grid_sample(grid; options: GridSample);
    /// The points that an affine map sends those of an image to.
    affine_grid(; size: impl AsRef<[usize]>, align_corners: bool);
}

/// Methods of two results, each recorded on its own; a plan computes what they share once.
macro_rules! with_indices {
    ($($(#[$doc:meta])* $method:ident($argument:ident: $type:ty);)*) => {
        impl Variable {$(
            $(#[$doc])*
            #[doc = concat!("See [`Expr::", stringify!($method), "`](crate::Expr::", stringify!($method), ").")]
            #[track_caller]
            pub fn $method(&self, $argument: impl Into<$type>) -> (Variable, Variable) {
                let (origin, argument) = (Origin::here(), $argument.into());
                let part = |second: bool| {
                    Variable::new(self.tape_inner().record(stringify!($method), &[self], origin, |_, operands| {
                        let (values, indices) = operands[0].$method(argument.clone());
                        Ok(if second { indices } else { values })
                    }))
                };
                (part(false), part(true))
            }
        )*}
    };
}

with_indices! {
    /// The largest element of each window over the last axis, and where it stands in its plane.
    max_pool1d_with_indices(pooling: Pooling);
    /// The largest element of each of so many windows over the last axis, and where it stands in its plane.
    adaptive_max_pool1d_with_indices(size: PerAxis);
    /// The largest element of each window over the last two axes, and where it stands in its plane.
    max_pool2d_with_indices(pooling: Pooling);
    /// The largest element of each of so many windows over the last two axes, and where it stands in its plane.
    adaptive_max_pool2d_with_indices(size: PerAxis);
    /// The largest element of each window over the last three axes, and where it stands in its plane.
    max_pool3d_with_indices(pooling: Pooling);
    /// The largest element of each of so many windows over the last three axes, and where it stands in its plane.
    adaptive_max_pool3d_with_indices(size: PerAxis);
}

impl Variable {
    /// The rows of this table at i32 indices. See [`Expr::embedding`](crate::Expr::embedding).
    #[track_caller]
    pub fn embedding(&self, indices: &Variable, options: EmbeddingOptions) -> Variable {
        let origin = Origin::here();
        Variable::new(
            self.tape_inner().record("embedding", &[self, indices], origin, |_, x| Ok(x[0].embedding(x[1], options))),
        )
    }

    /// What is made of bags of rows of this table, with a weight for each row if there are any. See
    /// [`Expr::embedding_bag`](crate::Expr::embedding_bag).
    #[track_caller]
    pub fn embedding_bag(&self, indices: &Variable, weights: Option<&Variable>, bags: EmbeddingBagOptions) -> Variable {
        let origin = Origin::here();
        let operands: Vec<&Variable> = [self, indices].into_iter().chain(weights).collect();
        Variable::new(
            self.tape_inner().record("embedding_bag", &operands, origin, |_, x| {
                Ok(x[0].embedding_bag(x[1], x.get(2).copied(), bags))
            }),
        )
    }
}
