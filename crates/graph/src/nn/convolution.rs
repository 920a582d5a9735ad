//! Convolutional layers.

use crate::compose::{AxisNumbers, Convolution, ConvolutionPadding, PadMode};
use crate::declaration::Init;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::init::{Distribution, Fan};
use crate::nn::linear::uniform_by_inputs;
use crate::nn::{Layer, Parameter, Phase, Weighted, within};

/// A convolution over `D` axes: `[n, channels, spatial..] -> [n, features, spatial'..]`, or both without a batch, with the
/// parameters `NAME.weight`, `[features, channels / groups, kernel..]`, and `NAME.bias`, `[features]`. PyTorch's `torch.nn.Conv1d`,
/// `Conv2d` and `Conv3d`, with their options and defaults; [`Expr::conv1d`] has the formula.
///
/// First values are uniform in `±1 / sqrt(channels / groups * kernel elements)`, as there.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::Conv2d;
///
/// let stem = Conv2d::new("conv1", 3, 64, 7).stride(2).padding(3).without_bias();
/// let g = Graph::new();
/// let y = stem.apply(g.input("x", [8, 3, 224, 224]));
/// assert_eq!(y.shape()?.dims(), &[8, 64, 112, 112]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv<const D: usize> {
    name: String,
    channels: usize,
    features: usize,
    kernel: [usize; D],
    sliding: Convolution<D>,
    padding_mode: PadMode,
    weight: Init,
    has_bias: bool,
    bias: Option<Init>,
}

/// A convolution along one axis, `[n, c, l] -> [n, o, l']`. See [`Conv`].
pub type Conv1d = Conv<1>;
/// A convolution along two axes, `[n, c, h, w] -> [n, o, h', w']`. See [`Conv`].
pub type Conv2d = Conv<2>;
/// A convolution along three axes, `[n, c, d, h, w] -> [n, o, d', h', w']`. See [`Conv`].
pub type Conv3d = Conv<3>;

impl<const D: usize> Conv<D> {
    const METHOD: &str = match D {
        1 => "Conv1d",
        2 => "Conv2d",
        _ => "Conv3d",
    };

    /// A layer of that name from `channels` to `features`, with a kernel of these extents, a stride of 1, no padding and a bias.
    pub fn new(name: impl Into<String>, channels: usize, features: usize, kernel: impl Into<AxisNumbers<D>>) -> Self {
        const { assert!(D >= 1 && D <= 3, "a convolution slides over one to three axes") };
        Conv {
            name: name.into(),
            channels,
            features,
            kernel: kernel.into().0,
            sliding: Convolution::new(),
            padding_mode: PadMode::Constant(0.0),
            weight: by_fan_in(),
            has_bias: true,
            bias: None,
        }
    }

    /// How far each result is from its neighbours, in elements of the input.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<D>>) -> Self {
        Conv { sliding: self.sliding.stride(stride), ..self }
    }

    /// So many elements more around the input: numbers, or [`ConvolutionPadding::Same`] or `Valid`.
    #[must_use]
    pub fn padding(self, padding: impl Into<ConvolutionPadding<D>>) -> Self {
        Conv { sliding: self.sliding.padding(padding), ..self }
    }

    /// What the padding is of: zeros unless said otherwise.
    #[must_use]
    pub fn padding_mode(self, padding_mode: PadMode) -> Self {
        Conv { padding_mode, ..self }
    }

    /// How far the weight's elements are apart, in elements of the input.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<D>>) -> Self {
        Conv { sliding: self.sliding.dilation(dilation), ..self }
    }

    /// Into how many groups channels and features fall: each feature sees the channels of its group alone.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Conv { sliding: self.sliding.groups(groups), ..self }
    }

    /// Without a bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Conv { has_bias: false, ..self }
    }

    /// With other first values of the weight.
    #[must_use]
    pub fn weight_init(self, weight: Init) -> Self {
        Conv { weight, ..self }
    }

    /// With a bias, and these first values of it.
    #[must_use]
    pub fn bias_init(self, bias: Init) -> Self {
        Conv { has_bias: true, bias: Some(bias), ..self }
    }

    /// The weight, `[features, channels / groups, kernel..]`.
    pub fn weight(&self) -> Parameter {
        let by_groups = self.channels / self.sliding.groups.max(1);
        let shape: Vec<usize> = [self.features, by_groups].into_iter().chain(self.kernel).collect();
        Parameter::new(within(&self.name, "weight"), shape, self.weight.clone())
    }

    /// The bias, `[features]`, if there is one.
    pub fn bias(&self) -> Option<Parameter> {
        let kernel = self.kernel.iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
        let inputs = (self.channels / self.sliding.groups.max(1)).saturating_mul(kernel);
        let init = || self.bias.clone().unwrap_or_else(|| uniform_by_inputs(inputs));
        self.has_bias.then(|| Parameter::new(within(&self.name, "bias"), [self.features], init()))
    }

    /// The layer applied to `x`.
    ///
    /// Errors: those of [`Expr::conv1d`]; channels that are not the layer's.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        self.apply_with(x, &|dtype| self.weight().of(x.graph(), dtype))
    }

    /// What the convolution is of, and how it slides there: padding of other than zeros is put around the input first.
    fn padded<'g>(&self, x: Expr<'g>) -> (Expr<'g>, Convolution<D>) {
        let is_zeros = matches!(self.padding_mode, PadMode::Constant(value) if value == 0.0);
        let around: Vec<(isize, isize)> = match self.sliding.padding {
            _ if is_zeros => return (x, self.sliding),
            ConvolutionPadding::Valid => return (x, self.sliding),
            ConvolutionPadding::Numbers(numbers) => {
                numbers.iter().map(|&number| signed(number)).map(|number| (number, number)).collect()
            }
            ConvolutionPadding::Same if self.sliding.stride != [1; D] => return (x, self.sliding),
            ConvolutionPadding::Same => {
                let spans = self.kernel.iter().zip(self.sliding.dilation);
                let beside = spans.map(|(&kernel, dilation)| kernel.saturating_sub(1).saturating_mul(dilation));
                beside.map(|beside| (signed(beside / 2), signed(beside.div_ceil(2)))).collect()
            }
        };
        (x.pad_with(around, self.padding_mode), self.sliding.padding(ConvolutionPadding::Valid))
    }

    /// What a table prints.
    fn kind(&self) -> String {
        let Convolution { stride, padding, dilation, groups } = self.sliding;
        let mut kind = format!("{}({}, {}, {}", Self::METHOD, self.channels, self.features, extents(self.kernel));
        append(&mut kind, "stride", stride, 1);
        match padding {
            ConvolutionPadding::Numbers(numbers) => append(&mut kind, "padding", numbers, 0),
            ConvolutionPadding::Same => kind.push_str(", padding same"),
            ConvolutionPadding::Valid => {}
        }
        append(&mut kind, "dilation", dilation, 1);
        append(&mut kind, "groups", [groups], 1);
        kind + ")"
    }
}

impl<const D: usize> Weighted for Conv<D> {
    fn weight(&self) -> Parameter {
        Conv::weight(self)
    }

    #[track_caller]
    fn apply_with<'g>(&self, x: Expr<'g>, weight: &dyn Fn(DType) -> Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let method = graph.enter(Self::METHOD);
        let Some(dtype) = x.dtype_for_layer(Self::METHOD) else { return Expr::poisoned(graph) };
        let groups = self.sliding.groups;
        if groups == 0 || !self.channels.is_multiple_of(groups) {
            let weight = self.weight();
            let (operand, shape) = (format!("{:?}", weight.name()), weight.shape().clone());
            let (origin, op, what, channels) = (method.origin(), Self::METHOD, "channels", self.channels);
            return x.fail(GraphError::Groups { origin, op, what, operand, shape, channels, groups });
        }
        graph.layer(self.kind(), &self.name, x, || {
            let (weight, bias) = (weight(dtype), self.bias().map(|bias| bias.of(graph, dtype)));
            let (x, sliding) = self.padded(x);
            x.convolution(Self::METHOD, weight, bias, &sliding, method.origin())
        })
    }
}

impl<const D: usize> Layer for Conv<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// Uniform in `±1 / sqrt(fan in)`, PyTorch's first values of convolutional weights.
pub(super) fn by_fan_in() -> Init {
    Init::VarianceScaling { gain: (1.0f64 / 3.0).sqrt(), fan: Fan::In, distribution: Distribution::Uniform }
}

/// Extents as a table prints them: `7x7`.
pub(super) fn extents<const D: usize>(extents: [usize; D]) -> String {
    extents.map(|extent| extent.to_string()).join("x")
}

/// Numbers of axes as a table prints them, unless they are the usual ones: `, stride 2`.
pub(super) fn append<const D: usize>(kind: &mut String, what: &str, numbers: [usize; D], usual: usize) {
    if numbers == [usual; D] {
        return;
    }
    let is_one = numbers.iter().all(|&number| number == numbers[0]);
    let numbers = if is_one { numbers[0].to_string() } else { extents(numbers) };
    kind.push_str(&format!(", {what} {numbers}"));
}

fn signed(number: usize) -> isize {
    isize::try_from(number).unwrap_or(isize::MAX)
}
