//! Normalisations of each sample by itself, which training and evaluation do alike.

use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::{Layer, Parameter, Phase, within};
use crate::shape::Shape;

/// The last axes brought to mean 0 and variance 1, then scaled and shifted: `[.., shape..] -> [.., shape..]`, by
/// `(x - mean) / sqrt(variance + eps) * weight + bias`, with the parameters `NAME.weight` and `NAME.bias`, both of `shape`, 1 and 0
/// at first. PyTorch's `torch.nn.LayerNorm`; an `eps` of 1e-5 unless said otherwise.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::LayerNorm;
///
/// let g = Graph::new();
/// let y = LayerNorm::new("ln_f", [64]).apply(g.input("x", [8, 20, 64]));
/// assert_eq!(y.shape()?.dims(), &[8, 20, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    name: String,
    shape: Shape,
    eps: f64,
    affine: Affine,
}

/// The last axes brought to a mean square of 1, then scaled: `x / sqrt(mean(x^2) + eps) * weight`, `[.., shape..] -> [.., shape..]`,
/// with the parameter `NAME.weight` of `shape`, 1 at first. PyTorch's `torch.nn.RMSNorm` (Zhang and Sennrich 2019).
///
/// Unless said otherwise, `eps` is the distance from 1 to the next number of the dtype, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::RmsNorm;
///
/// let g = Graph::new();
/// let y = RmsNorm::new("norm", [64]).eps(1e-6).apply(g.input("x", [8, 20, 64]));
/// assert_eq!(y.shape()?.dims(), &[8, 20, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNorm {
    name: String,
    shape: Shape,
    eps: Option<f64>,
    affine: Affine,
}

/// Each group of channels of each sample brought to mean 0 and variance 1, then each channel scaled and shifted:
/// `[n, channels, ..] -> [n, channels, ..]`, with the parameters `NAME.weight` and `NAME.bias`, both `[channels]`, 1 and 0 at first.
/// PyTorch's `torch.nn.GroupNorm` (Wu and He 2018); an `eps` of 1e-5 unless said otherwise.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::GroupNorm;
///
/// let g = Graph::new();
/// let y = GroupNorm::new("norm", 4, 12).apply(g.input("x", [8, 12, 9, 9]));
/// assert_eq!(y.shape()?.dims(), &[8, 12, 9, 9]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    name: String,
    groups: usize,
    channels: usize,
    eps: f64,
    affine: Affine,
}

/// Which parameters scale and shift what a layer has normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affine {
    None,
    Weight,
    WeightAndBias,
}

impl Affine {
    /// The same without a bias.
    pub(super) fn without_bias(self) -> Self {
        match self {
            Affine::None => Affine::None,
            Affine::Weight | Affine::WeightAndBias => Affine::Weight,
        }
    }

    /// The weight, 1 at first, if there is one.
    pub(super) fn weight(self, name: &str, shape: &Shape) -> Option<Parameter> {
        let parameter = || Parameter::new(within(name, "weight"), shape, Init::Constant(1.0));
        match self {
            Affine::None => None,
            Affine::Weight | Affine::WeightAndBias => Some(parameter()),
        }
    }

    /// The bias, 0 at first, if there is one.
    pub(super) fn bias(self, name: &str, shape: &Shape) -> Option<Parameter> {
        match self {
            Affine::None | Affine::Weight => None,
            Affine::WeightAndBias => Some(Parameter::new(within(name, "bias"), shape, Init::Constant(0.0))),
        }
    }
}

impl LayerNorm {
    /// A layer of that name over last axes of these extents, with a weight and a bias.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        LayerNorm { name: name.into(), shape: shape.into(), eps: 1e-5, affine: Affine::WeightAndBias }
    }

    /// With another number under the root, a finite one.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        LayerNorm { eps, ..self }
    }

    /// With a weight alone. PyTorch's `bias=False`.
    #[must_use]
    pub fn without_bias(self) -> Self {
        LayerNorm { affine: self.affine.without_bias(), ..self }
    }

    /// Without parameters. PyTorch's `elementwise_affine=False`.
    #[must_use]
    pub fn without_affine(self) -> Self {
        LayerNorm { affine: Affine::None, ..self }
    }

    /// The layer applied to `x`.
    ///
    /// Errors: no float; last axes of other extents than the layer's; an `eps` that is not finite.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let method = graph.enter("LayerNorm");
        let Some((dtype, axes)) = last_axes(x, (&self.name, &self.shape), "LayerNorm", method.origin()) else {
            return Expr::poisoned(graph);
        };
        if !graph.allows_finite("LayerNorm", "eps", self.eps) {
            return Expr::poisoned(graph);
        }
        graph.layer(format!("LayerNorm{}", self.shape), &self.name, x, || {
            let of = |parameter: Parameter| parameter.of(graph, dtype);
            let weight = self.affine.weight(&self.name, &self.shape).map(of);
            let bias = self.affine.bias(&self.name, &self.shape).map(of);
            x.layer_norm(axes, weight, bias, self.eps)
        })
    }
}

impl RmsNorm {
    /// A layer of that name over last axes of these extents, with a weight.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>) -> Self {
        RmsNorm { name: name.into(), shape: shape.into(), eps: None, affine: Affine::Weight }
    }

    /// With another number under the root, a finite one.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        RmsNorm { eps: Some(eps), ..self }
    }

    /// Without a weight. PyTorch's `elementwise_affine=False`.
    #[must_use]
    pub fn without_affine(self) -> Self {
        RmsNorm { affine: Affine::None, ..self }
    }

    /// The layer applied to `x`.
    ///
    /// Errors: no float; last axes of other extents than the layer's; an `eps` that is not finite.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let method = graph.enter("RmsNorm");
        let Some((dtype, axes)) = last_axes(x, (&self.name, &self.shape), "RmsNorm", method.origin()) else {
            return Expr::poisoned(graph);
        };
        let eps = self.eps.unwrap_or(match dtype {
            DType::F64 => f64::EPSILON,
            DType::F32 | DType::I32 | DType::Bool => f64::from(f32::EPSILON),
        });
        if !graph.allows_finite("RmsNorm", "eps", eps) {
            return Expr::poisoned(graph);
        }
        graph.layer(format!("RmsNorm{}", self.shape), &self.name, x, || {
            let weight = self.affine.weight(&self.name, &self.shape).map(|weight| weight.of(graph, dtype));
            x.rms_norm(axes, weight, eps)
        })
    }
}

impl GroupNorm {
    /// A layer of that name over `channels` in `groups` equal groups, with a weight and a bias.
    pub fn new(name: impl Into<String>, groups: usize, channels: usize) -> Self {
        GroupNorm { name: name.into(), groups, channels, eps: 1e-5, affine: Affine::WeightAndBias }
    }

    /// With another number under the root, a finite one.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        GroupNorm { eps, ..self }
    }

    /// With a weight alone. PyTorch's `bias=False`.
    #[must_use]
    pub fn without_bias(self) -> Self {
        GroupNorm { affine: self.affine.without_bias(), ..self }
    }

    /// Without parameters. PyTorch's `affine=False`.
    #[must_use]
    pub fn without_affine(self) -> Self {
        GroupNorm { affine: Affine::None, ..self }
    }

    /// The layer applied to `x`.
    ///
    /// Errors: no float; a rank below 2; other channels than the layer's; groups that do not divide them; an `eps` that is not finite.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let method = graph.enter("GroupNorm");
        let Some(dtype) = x.dtype_for_layer("GroupNorm") else { return Expr::poisoned(graph) };
        if check_channels(x, 1, (&self.name, self.channels), "GroupNorm", method.origin()).is_none() {
            return Expr::poisoned(graph);
        }
        if !graph.allows_finite("GroupNorm", "eps", self.eps) {
            return Expr::poisoned(graph);
        }
        graph.layer(format!("GroupNorm({}, {})", self.groups, self.channels), &self.name, x, || {
            let (of, shape) = (|parameter: Parameter| parameter.of(graph, dtype), Shape::from([self.channels]));
            let weight = self.affine.weight(&self.name, &shape).map(of);
            let bias = self.affine.bias(&self.name, &shape).map(of);
            x.group_norm(self.groups, weight, bias, self.eps)
        })
    }
}

impl Layer for LayerNorm {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for RmsNorm {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for GroupNorm {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// The dtype of `x` and the axes that a layer of that name normalises over last axes of these extents, if they are its last ones.
fn last_axes(
    x: Expr<'_>,
    (name, extents): (&str, &Shape),
    op: &'static str,
    origin: crate::Origin,
) -> Option<(DType, Vec<isize>)> {
    let dtype = x.dtype_for_layer(op)?;
    let shape = x.read(op, origin, |_, node| node.shape.clone())?;
    if extents.rank() > 0 && shape.ends_with(extents) {
        return Some((dtype, (1..=extents.rank() as isize).rev().map(|axis| -axis).collect()));
    }
    let (lhs, rhs) = (x.describe(), format!("what {name:?} normalises"));
    let (lhs_shape, rhs_shape) = (shape, extents.clone());
    x.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape })
}

/// The shape of `x`, if it has as many channels along that axis as a layer of that name is for.
pub(super) fn check_channels(
    x: Expr<'_>,
    axis: usize,
    (name, channels): (&str, usize),
    op: &'static str,
    origin: crate::Origin,
) -> Option<Shape> {
    let shape = x.read(op, origin, |_, node| node.shape.clone())?;
    let Some(&found) = shape.get(axis) else {
        let (operand, rank, expected) = (x.describe(), shape.rank(), format!("rank {} or more", axis + 1));
        return x.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
    };
    if found == channels {
        return Some(shape);
    }
    let (lhs, rhs) = (x.describe(), format!("what {name:?} is for"));
    let rhs_shape = shape.with_extent(axis, channels);
    x.fail_without(GraphError::Extent {
        origin,
        op,
        axis,
        lhs,
        lhs_shape: shape,
        rhs,
        rhs_shape,
        left: found,
        right: channels,
    })
}
