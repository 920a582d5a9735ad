//! Layers whose weight something else may take the place of.

use crate::dtype::DType;
use crate::expr::Expr;
use crate::nn::{Parameter, within};

/// A layer of one operand around one weight, in whose place something that is computed can be put: the layers that
/// [`WeightNorm`](crate::nn::WeightNorm) and [`SpectralNorm`](crate::nn::SpectralNorm) stand around.
///
/// It also serves a parametrisation of one's own, or a weight that another layer has. Here a layer's weight is kept symmetric:
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Linear, Weighted};
///
/// let layer = Linear::new("mix", 4, 4);
/// let g = Graph::new();
/// let y = layer.apply_with(g.input("x", [8, 4]), &|dtype| {
///     let upper = layer.weight().of(&g, dtype).triu(0);
///     upper + upper.triu(1).transpose(0, 1)
/// });
/// assert_eq!(y.shape()?.dims(), &[8, 4]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
pub trait Weighted {
    /// The weight. It is declared where the layer is applied, unless something takes its place.
    fn weight(&self) -> Parameter;

    /// The layer applied to `x`, with what `weight` gives in the place of its weight: of the weight's shape, and of the dtype that it is
    /// asked for. Errors: those of the layer; a shape or dtype that does not fit.
    fn apply_with<'g>(&self, x: Expr<'g>, weight: &dyn Fn(DType) -> Expr<'g>) -> Expr<'g>;

    /// The axis of the weight that has an index for each feature of the result: the first, unless said otherwise.
    fn features_axis(&self) -> usize {
        0
    }
}

/// The name of what a weight is computed from: `"fc.weight"` with `"original0"` is `"fc.parametrizations.weight.original0"`, as
/// PyTorch's `parametrize` makes its keys.
pub(super) fn parametrization(weight: &Parameter, part: &str) -> String {
    let (layer, own) = weight.name().rsplit_once('.').unwrap_or(("", weight.name()));
    within(layer, &format!("parametrizations.{own}.{part}"))
}
