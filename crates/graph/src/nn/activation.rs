//! Functions of elements as layers.

use std::fmt;
use std::sync::Arc;

use crate::compose::Gelu;
use crate::declaration::Init;
use crate::expr::Expr;
use crate::nn::{Layer, Parameter, Phase, within};
use crate::node::Origin;

/// A function without parameters as a layer: for a [`Sequential`](crate::nn::Sequential). Elsewhere the method is shorter, `x.relu()`.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::Activation;
///
/// let swish = Activation::new("swish", |x| x * (x * 1.5).sigmoid());
/// let g = Graph::new();
/// let y = swish.apply(Activation::relu().apply(g.input("x", [8, 64])));
/// assert_eq!(y.shape()?.dims(), &[8, 64]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone)]
pub struct Activation {
    name: String,
    function: Arc<Function>,
}

type Function = dyn for<'g> Fn(Expr<'g>) -> Expr<'g> + Send + Sync;

/// `x` above 0, else a slope that is learned times `x`, with the parameter `NAME.weight`: `[1]`, one slope for all, or `[channels]`, one for
/// each channel of `[n, channels, ..]`; 0.25 at first. PyTorch's `torch.nn.PReLU` (He et al. 2015).
#[derive(Clone, Debug, PartialEq)]
pub struct PRelu {
    name: String,
    count: usize,
    init: f64,
}

impl Activation {
    /// The function, under the name that a table prints. It need not be one of elements: whatever takes one expression will do.
    pub fn new(
        name: impl Into<String>,
        function: impl for<'g> Fn(Expr<'g>) -> Expr<'g> + Send + Sync + 'static,
    ) -> Self {
        Activation { name: name.into(), function: Arc::new(function) }
    }

    /// `max(x, 0)`. See [`Expr::relu`].
    pub fn relu() -> Self {
        Activation::new("ReLU", |x| x.relu())
    }

    /// `min(max(x, 0), 6)`. See [`Expr::relu6`].
    pub fn relu6() -> Self {
        Activation::new("ReLU6", |x| x.relu6())
    }

    /// `x` above 0, else `slope * x`. See [`Expr::leaky_relu`]; PyTorch's default is 0.01.
    pub fn leaky_relu(slope: f64) -> Self {
        Activation::new(format!("LeakyReLU({slope})"), move |x| x.leaky_relu(slope))
    }

    /// The exponential linear unit. See [`Expr::elu`]; PyTorch's default is 1.
    pub fn elu(alpha: f64) -> Self {
        Activation::new(format!("ELU({alpha})"), move |x| x.elu(alpha))
    }

    /// The scaled exponential linear unit. See [`Expr::selu`].
    pub fn selu() -> Self {
        Activation::new("SELU", |x| x.selu())
    }

    /// The exponential linear unit whose derivative is continuous. See [`Expr::celu`]; PyTorch's default is 1.
    pub fn celu(alpha: f64) -> Self {
        Activation::new(format!("CELU({alpha})"), move |x| x.celu(alpha))
    }

    /// The Gaussian error linear unit. See [`Expr::gelu`]; PyTorch's default is [`Gelu::Erf`].
    pub fn gelu(form: Gelu) -> Self {
        Activation::new("GELU", move |x| x.gelu(form))
    }

    /// `x sigmoid(x)`. See [`Expr::silu`].
    pub fn silu() -> Self {
        Activation::new("SiLU", |x| x.silu())
    }

    /// `x tanh(softplus(x))`. See [`Expr::mish`].
    pub fn mish() -> Self {
        Activation::new("Mish", |x| x.mish())
    }

    /// `1 / (1 + e^-x)`. See [`Expr::sigmoid`].
    pub fn sigmoid() -> Self {
        Activation::new("Sigmoid", |x| x.sigmoid())
    }

    /// `ln(sigmoid(x))`. See [`Expr::log_sigmoid`].
    pub fn log_sigmoid() -> Self {
        Activation::new("LogSigmoid", |x| x.log_sigmoid())
    }

    /// The hyperbolic tangent. See [`Expr::tanh`].
    pub fn tanh() -> Self {
        Activation::new("Tanh", |x| x.tanh())
    }

    /// Each element brought into `min..=max`. See [`Expr::hardtanh`]; PyTorch's defaults are -1 and 1.
    pub fn hardtanh(min: f64, max: f64) -> Self {
        Activation::new(format!("Hardtanh({min}, {max})"), move |x| x.hardtanh(min, max))
    }

    /// 0 where the magnitude is at most `lambda`. See [`Expr::hardshrink`]; PyTorch's default is 0.5.
    pub fn hardshrink(lambda: f64) -> Self {
        Activation::new(format!("Hardshrink({lambda})"), move |x| x.hardshrink(lambda))
    }

    /// Each element brought nearer to 0 by `lambda`. See [`Expr::softshrink`]; PyTorch's default is 0.5.
    pub fn softshrink(lambda: f64) -> Self {
        Activation::new(format!("Softshrink({lambda})"), move |x| x.softshrink(lambda))
    }

    /// `x - tanh(x)`. See [`Expr::tanhshrink`].
    pub fn tanhshrink() -> Self {
        Activation::new("Tanhshrink", |x| x.tanhshrink())
    }

    /// `value` where an element is not above the threshold. See [`Expr::threshold`].
    pub fn threshold(threshold: f64, value: f64) -> Self {
        Activation::new(format!("Threshold({threshold}, {value})"), move |x| x.threshold(threshold, value))
    }

    /// See [`Expr::hardsigmoid`].
    pub fn hardsigmoid() -> Self {
        Activation::new("Hardsigmoid", |x| x.hardsigmoid())
    }

    /// See [`Expr::hardswish`].
    pub fn hardswish() -> Self {
        Activation::new("Hardswish", |x| x.hardswish())
    }

    /// `ln(1 + e^(beta x)) / beta`. See [`Expr::softplus`]; PyTorch's defaults are 1 and 20.
    pub fn softplus(beta: f64, threshold: f64) -> Self {
        Activation::new(format!("Softplus({beta}, {threshold})"), move |x| x.softplus(beta, threshold))
    }

    /// `x / (1 + |x|)`. See [`Expr::softsign`].
    pub fn softsign() -> Self {
        Activation::new("Softsign", |x| x.softsign())
    }

    /// See [`Expr::softmax`]. PyTorch's `Softmax2d`, over the channels of images, is that of the axis -3.
    #[doc(alias = "Softmax2d")]
    pub fn softmax(axis: isize) -> Self {
        Activation::new(format!("Softmax({axis})"), move |x| x.softmax(axis))
    }

    /// The softmax of `-x`. See [`Expr::softmin`].
    pub fn softmin(axis: isize) -> Self {
        Activation::new(format!("Softmin({axis})"), move |x| x.softmin(axis))
    }

    /// See [`Expr::log_softmax`].
    pub fn log_softmax(axis: isize) -> Self {
        Activation::new(format!("LogSoftmax({axis})"), move |x| x.log_softmax(axis))
    }

    /// The first half along `axis` times the sigmoid of the second. See [`Expr::glu`].
    pub fn glu(axis: isize) -> Self {
        Activation::new(format!("GLU({axis})"), move |x| x.glu(axis))
    }

    /// The name that a table prints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The function of `x`.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        // A closure does not know the caller's line, so it is said here.
        let (graph, origin) = (x.graph(), Origin::here());
        graph.layer(&self.name, "", x, || graph.at(origin, || (self.function)(x)))
    }
}

impl PRelu {
    /// A layer of that name with so many slopes: 1, or as many as there are channels.
    pub fn new(name: impl Into<String>, count: usize) -> Self {
        PRelu { name: name.into(), count, init: 0.25 }
    }

    /// With another first slope.
    #[must_use]
    pub fn init(self, init: f64) -> Self {
        PRelu { init, ..self }
    }

    /// The layer applied to `x`. Errors: no float; slopes that are neither one nor one a channel.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter("PRelu");
        let Some(dtype) = x.dtype_for_layer("PRelu") else { return Expr::poisoned(graph) };
        graph.layer(format!("PReLU({})", self.count), &self.name, x, || {
            let slopes = Parameter::new(within(&self.name, "weight"), [self.count], Init::Constant(self.init));
            x.prelu(slopes.of(graph, dtype))
        })
    }
}

impl Layer for Activation {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for PRelu {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Activation").field(&self.name).finish()
    }
}
