//! Layers of transposed convolutions.

use crate::compose::{AxisNumbers, ConvolutionTranspose};
use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::convolution::{append, by_fan_in, extents};
use crate::nn::linear::uniform_by_inputs;
use crate::nn::{Layer, Parameter, Phase, Weighted, within};

/// A transposed convolution over `D` axes: `[n, channels, spatial..] -> [n, features, spatial'..]`, or both without a batch, with the
/// parameters `NAME.weight`, `[channels, features / groups, kernel..]`, and `NAME.bias`, `[features]`. PyTorch's
/// `torch.nn.ConvTranspose1d`, `ConvTranspose2d` and `ConvTranspose3d`, with their options and defaults; [`Expr::conv_transpose1d`]
/// has the formula.
///
/// First values are uniform in `±1 / sqrt(features / groups * kernel elements)`, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::ConvTranspose2d;
///
/// let up = ConvTranspose2d::new("up", 16, 8, 4).stride(2).padding(1);
/// let g = Graph::new();
/// assert_eq!(up.apply(g.input("x", [5, 16, 7, 7])).shape()?.dims(), &[5, 8, 14, 14]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose<const D: usize> {
    name: String,
    channels: usize,
    features: usize,
    kernel: [usize; D],
    sliding: ConvolutionTranspose<D>,
    weight: Init,
    has_bias: bool,
    bias: Option<Init>,
}

/// A transposed convolution along one axis, `[n, c, l] -> [n, o, l']`. See [`ConvTranspose`].
pub type ConvTranspose1d = ConvTranspose<1>;
/// A transposed convolution along two axes, `[n, c, h, w] -> [n, o, h', w']`. See [`ConvTranspose`].
pub type ConvTranspose2d = ConvTranspose<2>;
/// A transposed convolution along three axes, `[n, c, d, h, w] -> [n, o, d', h', w']`. See [`ConvTranspose`].
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const D: usize> ConvTranspose<D> {
    const METHOD: &str = match D {
        1 => "ConvTranspose1d",
        2 => "ConvTranspose2d",
        _ => "ConvTranspose3d",
    };

    /// A layer of that name from `channels` to `features`, with a kernel of these extents, a stride of 1, no padding and a bias.
    pub fn new(name: impl Into<String>, channels: usize, features: usize, kernel: impl Into<AxisNumbers<D>>) -> Self {
        const { assert!(D >= 1 && D <= 3, "a convolution slides over one to three axes") };
        ConvTranspose {
            name: name.into(),
            channels,
            features,
            kernel: kernel.into().0,
            sliding: ConvolutionTranspose::new(),
            weight: by_fan_in(),
            has_bias: true,
            bias: None,
        }
    }

    /// How far apart the elements of the input are in the result.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<D>>) -> Self {
        ConvTranspose { sliding: self.sliding.stride(stride), ..self }
    }

    /// How many elements are left out at either end of the result.
    #[must_use]
    pub fn padding(self, padding: impl Into<AxisNumbers<D>>) -> Self {
        ConvTranspose { sliding: self.sliding.padding(padding), ..self }
    }

    /// How many elements the result has beside, at its end.
    #[must_use]
    pub fn output_padding(self, output_padding: impl Into<AxisNumbers<D>>) -> Self {
        ConvTranspose { sliding: self.sliding.output_padding(output_padding), ..self }
    }

    /// How far the weight's elements are apart in the result.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<D>>) -> Self {
        ConvTranspose { sliding: self.sliding.dilation(dilation), ..self }
    }

    /// Into how many groups channels and features fall.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        ConvTranspose { sliding: self.sliding.groups(groups), ..self }
    }

    /// Without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        ConvTranspose { has_bias: false, ..self }
    }

    /// With other first values of the weight.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        ConvTranspose { weight, ..self }
    }

    /// With a bias, and these first values of it.
    #[must_use]
    pub fn bias_init(self, bias: Init) -> Self {
        ConvTranspose { has_bias: true, bias: Some(bias), ..self }
    }

    /// The weight, `[channels, features / groups, kernel..]`.
    pub fn weight(&self) -> Parameter {
        let by_groups = self.features / self.sliding.groups.max(1);
        let shape: Vec<usize> = [self.channels, by_groups].into_iter().chain(self.kernel).collect();
        Parameter::new(within(&self.name, "weight"), shape, self.weight.clone())
    }

    /// The bias, `[features]`, if there is one.
    pub fn bias(&self) -> Option<Parameter> {
        let kernel = self.kernel.iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
        let inputs = (self.features / self.sliding.groups.max(1)).saturating_mul(kernel);
        let init = || self.bias.clone().unwrap_or_else(|| uniform_by_inputs(inputs));
        self.has_bias.then(|| Parameter::new(within(&self.name, "bias"), [self.features], init()))
    }

    /// The layer applied to `x`.
    ///
    /// Errors: those of [`Expr::conv_transpose1d`]; channels that are not the layer's.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        self.apply_with(x, &|dtype| self.weight().of(x.graph(), dtype))
    }

    /// What a table prints.
    fn kind(&self) -> String {
        let ConvolutionTranspose { stride, padding, output_padding, dilation, groups } = self.sliding;
        let mut kind = format!("{}({}, {}, {}", Self::METHOD, self.channels, self.features, extents(self.kernel));
        append(&mut kind, "stride", stride, 1);
        append(&mut kind, "padding", padding, 0);
        append(&mut kind, "output padding", output_padding, 0);
        append(&mut kind, "dilation", dilation, 1);
        append(&mut kind, "groups", [groups], 1);
        kind + ")"
    }
}

impl<const D: usize> Weighted for ConvTranspose<D> {
    fn weight(&self) -> Parameter {
        ConvTranspose::weight(self)
    }

    #[track_caller]
    fn apply_with<'g>(&self, x: Expr<'g>, weight: &dyn Fn(DType) -> Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let method = graph.enter(Self::METHOD);
        let Some(dtype) = x.dtype_for_layer(Self::METHOD) else { return Expr::poisoned(graph) };
        let groups = self.sliding.groups;
        if groups == 0 || !self.features.is_multiple_of(groups) {
            let weight = self.weight();
            let (operand, shape) = (format!("{:?}", weight.name()), weight.shape().clone());
            let (origin, op, what, channels) = (method.origin(), Self::METHOD, "features", self.features);
            return x.fail(GraphError::Groups { origin, op, what, operand, shape, channels, groups });
        }
        graph.layer(self.kind(), &self.name, x, || {
            let (weight, bias) = (weight(dtype), self.bias().map(|bias| bias.of(graph, dtype)));
            x.transposed_convolution(Self::METHOD, weight, bias, &self.sliding, method.origin())
        })
    }

    fn features_axis(&self) -> usize {
        1
    }
}

impl<const D: usize> Layer for ConvTranspose<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
