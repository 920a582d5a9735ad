//! Weight normalisation.

use crate::arena::Graph;
use crate::declaration::{Init, Source};
use crate::dtype::DType;
use crate::expr::Expr;
use crate::nn::weighted::parametrization;
use crate::nn::{Layer, Parameter, Phase, Weighted};
use crate::node::Origin;
use crate::shape::{AxisSet, Shape};

const OP: &str = "WeightNorm";

/// A layer whose weight is a direction times a length, which are learned apart: `weight = g v / ||v||` (Salimans and Kingma 2016), with
/// a length for each index of one axis, the first unless said otherwise, or [one for all](WeightNorm::whole). PyTorch's
/// `torch.nn.utils.parametrizations.weight_norm`.
///
/// In the place of `NAME.weight` there are `NAME.parametrizations.weight.original0`, the lengths `g`, with extent 1 along all other
/// axes, and `NAME.parametrizations.weight.original1`, the directions `v`, of the weight's shape. The directions start as the weight
/// would, and the lengths are theirs, so that the weight starts as it would without. Directions that are 0 are none: NaN, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Conv1d, WeightNorm};
///
/// let conv = WeightNorm::new(Conv1d::new("conv", 3, 8, 5).padding(2));
/// let g = Graph::new();
/// let y = conv.apply(g.input("x", [4, 3, 20]));
/// assert_eq!(y.shape()?.dims(), &[4, 8, 20]);
/// let lengths = g.declaration_named("conv.parametrizations.weight.original0").expect("declared");
/// assert_eq!(lengths.shape.dims(), &[8, 1, 1]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WeightNorm<L> {
    layer: L,
    axis: Option<usize>,
    has_older_keys: bool,
}

impl<L: Weighted> WeightNorm<L> {
    /// That layer with a length for each index of the weight's first axis.
    pub fn new(layer: L) -> Self {
        WeightNorm { layer, axis: Some(0), has_older_keys: false }
    }

    /// With a length for each index of that axis of the weight. PyTorch's `dim`.
    #[must_use]
    pub fn axis(self, axis: usize) -> Self {
        WeightNorm { axis: Some(axis), ..self }
    }

    /// With one length for the whole weight. PyTorch's `dim=None`.
    #[must_use]
    pub fn whole(self) -> Self {
        WeightNorm { axis: None, ..self }
    }

    /// With the keys of PyTorch's older `torch.nn.utils.weight_norm`: `NAME.weight_g` and `NAME.weight_v`.
    #[must_use]
    pub fn older_keys(self) -> Self {
        WeightNorm { has_older_keys: true, ..self }
    }

    /// The lengths: the weight's extent along the axis and 1 along all others, or no axes if there is one for all.
    pub fn lengths(&self) -> Parameter {
        let directions = self.directions();
        let shape: Shape = match self.axis {
            Some(own) => directions
                .shape()
                .iter()
                .enumerate()
                .map(|(axis, &extent)| if axis == own { extent } else { 1 })
                .collect(),
            None => Shape::from([]),
        };
        let (name, of) = (directions.name().to_owned(), directions.shape().clone());
        let of = Box::new(Source { name, shape: of, init: directions.init().clone() });
        Parameter::new(self.key("original0", "_g"), shape, Init::Norms { of, axis: self.axis })
    }

    /// The directions, of the weight's shape.
    pub fn directions(&self) -> Parameter {
        let weight = self.layer.weight();
        Parameter::new(self.key("original1", "_v"), weight.shape(), weight.init().clone())
    }

    /// The weight in a graph: what the layer has in the place of its own. Errors: an axis that the weight has not.
    #[track_caller]
    pub fn weight_of<'g>(&self, graph: &'g Graph, dtype: DType) -> Expr<'g> {
        let _method = graph.enter(OP);
        if let Err(refused) = self.refused(graph) {
            return refused;
        }
        let (lengths, directions) = (self.lengths(), self.directions());
        let (shape, rank) = (lengths.shape().clone(), directions.shape().rank());
        let (lengths, directions) = (lengths.of(graph, dtype), directions.of(graph, dtype));
        let others: AxisSet = (0..rank).filter(|&axis| self.axis != Some(axis)).collect();
        directions * (lengths / directions.norm(2.0, others).reshape(shape))
    }

    /// The layer applied to `x`. Errors: those of the layer; an axis that the weight has not.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        // Closures do not know the caller's line, so it is said here.
        let (graph, origin) = (x.graph(), Origin::here());
        if let Err(refused) = self.refused(graph) {
            return refused;
        }
        graph.layer(OP, "", x, || graph.at(origin, || self.layer.apply_with(x, &|dtype| self.weight_of(graph, dtype))))
    }

    /// What comes of a weight without the axis: asked before the layer is, in whose words it would be told.
    #[track_caller]
    fn refused<'g>(&self, graph: &'g Graph) -> Result<(), Expr<'g>> {
        let rank = self.layer.weight().shape().rank();
        let Some(axis) = self.axis.filter(|&axis| axis >= rank) else { return Ok(()) };
        let _method = graph.enter(OP);
        Err(graph.refuse(OP, "the axis", axis as f64, "an axis of the weight"))
    }

    fn key(&self, part: &str, older: &str) -> String {
        let weight = self.layer.weight();
        if self.has_older_keys { format!("{}{older}", weight.name()) } else { parametrization(&weight, part) }
    }
}

impl<L: Weighted> Layer for WeightNorm<L> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
