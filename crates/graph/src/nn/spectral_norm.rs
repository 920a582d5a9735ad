//! Spectral normalisation.

use crate::arena::Graph;
use crate::declaration::{Init, Side, Source};
use crate::dtype::DType;
use crate::expr::Expr;
use crate::nn::weighted::parametrization;
use crate::nn::{Layer, Parameter, Phase, State, Weighted};
use crate::node::Origin;
use crate::shape::Shape;

const OP: &str = "SpectralNorm";

/// A layer whose weight is divided by its largest singular value, so that it lengthens nothing: `weight = w / sigma`,
/// `sigma = u^T W v`, where `W` is `w` as a matrix of the features by all other axes (Miyato et al. 2018). PyTorch's
/// `torch.nn.utils.parametrizations.spectral_norm`.
///
/// In the place of `NAME.weight` there are the parameter `NAME.parametrizations.weight.original`, which starts as the weight would, and
/// the states `NAME.parametrizations.weight.0._u` and `NAME.parametrizations.weight.0._v`, as long as `W` has rows and columns. They
/// start fifteen steps of the power method from a vector that is drawn. In [`Phase::Training`] each application takes one step more,
/// `u = W v / max(||W v||, eps)` and `v = W^T u / max(||W^T u||, eps)`, through which no gradient flows; what they become is an update
/// of the graph, so that training plans carry it out. In [`Phase::Evaluation`] they are what they are when a run begins.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Conv2d, Phase, SpectralNorm};
///
/// let conv = SpectralNorm::new(Conv2d::new("conv", 3, 8, 3));
/// let g = Graph::new();
/// let y = conv.apply(g.input("x", [4, 3, 9, 9]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[4, 8, 7, 7]);
/// assert_eq!(g.updates().len(), 2);
/// let right = g.declaration_named("conv.parametrizations.weight.0._v").expect("declared");
/// assert_eq!(right.shape.dims(), &[27]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SpectralNorm<L> {
    layer: L,
    axis: Option<usize>,
    iterations: usize,
    eps: f64,
    has_older_keys: bool,
}

impl<L: Weighted> SpectralNorm<L> {
    /// That layer with one step of the power method in each application, and an `eps` of 1e-12. Features are along the weight's first
    /// axis, of transposed convolutions along the second.
    pub fn new(layer: L) -> Self {
        SpectralNorm { layer, axis: None, iterations: 1, eps: 1e-12, has_older_keys: false }
    }

    /// With features along that axis of the weight. PyTorch's `dim`.
    #[must_use]
    pub fn axis(self, axis: usize) -> Self {
        SpectralNorm { axis: Some(axis), ..self }
    }

    /// With so many steps in each application, at least one. PyTorch's `n_power_iterations`.
    #[must_use]
    pub fn iterations(self, iterations: usize) -> Self {
        SpectralNorm { iterations, ..self }
    }

    /// With another number, above 0, that shorter vectors are divided by.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        SpectralNorm { eps, ..self }
    }

    /// With the keys of PyTorch's older `torch.nn.utils.spectral_norm`: `NAME.weight_orig`, `NAME.weight_u` and `NAME.weight_v`. As
    /// there, each step finds `v` before `u`.
    #[must_use]
    pub fn older_keys(self) -> Self {
        SpectralNorm { has_older_keys: true, ..self }
    }

    /// The weight before it is divided.
    pub fn original(&self) -> Parameter {
        let weight = self.layer.weight();
        Parameter::new(self.key("original", "_orig"), weight.shape(), weight.init().clone())
    }

    /// The singular vectors: as many elements as the weight has features, and as many as there are of each feature.
    pub fn vectors(&self) -> (State, State) {
        let (original, axis) = (self.original(), self.features_axis());
        let extents = original.shape().iter().enumerate();
        let rows = original.shape().get(axis).copied().unwrap_or(1);
        let columns = extents
            .filter(|(other, _)| *other != axis)
            .fold(1usize, |product, (_, &extent)| product.saturating_mul(extent));
        let vector = |key: String, side, count: usize| {
            let (name, shape) = (original.name().to_owned(), original.shape().clone());
            let of = Box::new(Source { name, shape, init: original.init().clone() });
            State::new(key, [count], Init::SingularVector { of, axis, side, eps: self.eps })
        };
        let left = vector(self.key("0._u", "_u"), Side::Left, rows);
        (left, vector(self.key("0._v", "_v"), Side::Right, columns))
    }

    /// The weight in a graph: what the layer has in the place of its own. In training the vectors take their steps.
    ///
    /// A weight of one axis is divided by its length, and has no vectors but under the older keys, as there.
    ///
    /// Errors: an axis that the weight has not; no iterations; an `eps` that is not finite or not above 0.
    #[track_caller]
    pub fn weight_of<'g>(&self, graph: &'g Graph, dtype: DType, phase: Phase) -> Expr<'g> {
        let _method = graph.enter(OP);
        if let Err(refused) = self.refused(graph) {
            return refused;
        }
        let (original, axis) = (self.original(), self.features_axis());
        let rank = original.shape().rank();
        if rank == 1 && !self.has_older_keys {
            return original.of(graph, dtype).normalize(2.0, 0, self.eps);
        }
        let (left, right) = self.vectors();
        let extents = Shape::from([left.shape()[0], right.shape()[0]]);
        let (original, states) = (original.of(graph, dtype), (left.of(graph, dtype), right.of(graph, dtype)));
        let order: Vec<isize> =
            [axis].into_iter().chain((0..rank).filter(|&other| other != axis)).map(|axis| axis as isize).collect();
        let matrix = original.permute(order).reshape(extents);
        let (left, right) = if phase.is_training() { self.step(matrix, states) } else { states };
        original / (left * matrix.matmul(right)).sum(..)
    }

    /// The layer applied to `x`. Errors: those of the layer and of [`SpectralNorm::weight_of`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        // Closures do not know the caller's line, so it is said here.
        let (graph, origin) = (x.graph(), Origin::here());
        if let Err(refused) = self.refused(graph) {
            return refused;
        }
        graph.layer(OP, "", x, || {
            graph.at(origin, || self.layer.apply_with(x, &|dtype| self.weight_of(graph, dtype, phase)))
        })
    }

    /// The vectors after the steps of one application, which are what the states become.
    #[track_caller]
    fn step<'g>(&self, matrix: Expr<'g>, states: (Expr<'g>, Expr<'g>)) -> (Expr<'g>, Expr<'g>) {
        let graph = matrix.graph();
        let matrix = matrix.stop_gradient();
        let (mut left, mut right) = (graph.latest(states.0), graph.latest(states.1));
        let next_left = |right: Expr<'g>| matrix.matmul(right).normalize(2.0, 0, self.eps);
        let next_right = |left: Expr<'g>| left.matmul(matrix).normalize(2.0, 0, self.eps);
        for _ in 0..self.iterations {
            if self.has_older_keys {
                right = next_right(left);
                left = next_left(right);
            } else {
                left = next_left(right);
                right = next_right(left);
            }
        }
        graph.update(states.0, left);
        graph.update(states.1, right);
        (left, right)
    }

    /// What comes of numbers that do not fit: asked before the layer is, in whose words it would be told.
    #[track_caller]
    fn refused<'g>(&self, graph: &'g Graph) -> Result<(), Expr<'g>> {
        let axis = self.features_axis();
        let (what, value, expected) = if axis >= self.layer.weight().shape().rank() {
            ("the axis", axis as f64, "an axis of the weight")
        } else if self.iterations == 0 {
            ("the number of iterations", 0.0, "1 or more")
        } else if !self.eps.is_finite() || self.eps <= 0.0 {
            ("eps", self.eps, "a finite number above 0")
        } else {
            return Ok(());
        };
        let _method = graph.enter(OP);
        Err(graph.refuse(OP, what, value, expected))
    }

    fn features_axis(&self) -> usize {
        self.axis.unwrap_or_else(|| self.layer.features_axis())
    }

    fn key(&self, part: &str, older: &str) -> String {
        let weight = self.layer.weight();
        if self.has_older_keys { format!("{}{older}", weight.name()) } else { parametrization(&weight, part) }
    }
}

impl<L: Weighted> Layer for SpectralNorm<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}
