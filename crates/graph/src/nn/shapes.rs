//! Layers that change the shape alone, and one that changes nothing.

use crate::compose::Interpolation;
use crate::expr::Expr;
use crate::nn::{Layer, Phase};
use crate::shape::Shape;

/// What it is applied to. PyTorch's `torch.nn.Identity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Identity;

/// Some neighbouring axes as one, all but the first unless said otherwise: `[n, c, h, w] -> [n, c h w]`. PyTorch's `torch.nn.Flatten`;
/// see [`Expr::flatten_axes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten {
    first: isize,
    last: isize,
}

/// One axis as several: `[n, c h w] -> [n, c, h, w]`. PyTorch's `torch.nn.Unflatten`; see [`Expr::unflatten`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unflatten {
    axis: isize,
    extents: Shape,
}

/// The axes behind batch and channels at another size: `[n, c, ..] -> [n, c, ..]`. PyTorch's `torch.nn.Upsample`; see
/// [`Expr::interpolate`].
///
/// ```
/// use arenagrad_graph::nn::Upsample;
/// use arenagrad_graph::{Graph, Interpolation, InterpolationMode};
///
/// let twice = Upsample::new(Interpolation::by_factor(2.0).mode(InterpolationMode::Linear));
/// let g = Graph::new();
/// assert_eq!(twice.apply(g.input("x", [1, 3, 8, 8])).shape()?.dims(), &[1, 3, 16, 16]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Upsample {
    interpolation: Interpolation,
}

impl Flatten {
    /// All axes but the first as one.
    pub fn new() -> Self {
        Flatten { first: 1, last: -1 }
    }

    /// The axes `first..=last` as one; negative numbers count from the end.
    pub fn axes(first: isize, last: isize) -> Self {
        Flatten { first, last }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::flatten_axes`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("Flatten");
        x.graph().layer("Flatten", "", x, || x.flatten_axes(self.first, self.last))
    }
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten::new()
    }
}

impl Unflatten {
    /// That axis as several of these extents; a negative number counts from the end.
    pub fn new(axis: isize, extents: impl Into<Shape>) -> Self {
        Unflatten { axis, extents: extents.into() }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::unflatten`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("Unflatten");
        x.graph().layer("Unflatten", "", x, || x.unflatten(self.axis, &self.extents))
    }
}

impl Upsample {
    /// To the size and in the way that the interpolation says.
    pub fn new(interpolation: Interpolation) -> Self {
        Upsample { interpolation }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::interpolate`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("Upsample");
        x.graph().layer("Upsample", "", x, || x.interpolate(self.interpolation.clone()))
    }
}

impl Layer for Identity {
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        x
    }
}

impl Layer for Flatten {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for Unflatten {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for Upsample {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
