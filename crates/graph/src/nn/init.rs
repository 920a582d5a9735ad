//! First values of parameters, under the names of PyTorch's `torch.nn.init`: each function gives an [`Init`], which a layer's
//! `weight_init` takes, or a declaration.
//!
//! Fans are counted as there, for weights that lie as `[out, in, kernel..]`: `fan_in` is `in` times the elements of the kernel and
//! `fan_out` is `out` times them. So [`xavier_uniform`] is for the weights of layers, while [`Init::XavierUniform`] and
//! [`Init::KaimingUniform`] are for matrices `[in, out]` that stand on the right of a product.
//!
//! ```
//! use arenagrad_graph::Graph;
//! use arenagrad_graph::nn::Conv2d;
//! use arenagrad_graph::nn::init::{Fan, Nonlinearity, kaiming_normal};
//!
//! let conv = Conv2d::new("conv1", 3, 64, 7).weight_init(kaiming_normal(Fan::Out, Nonlinearity::Relu));
//! let g = Graph::new();
//! let y = conv.apply(g.input("x", [1, 3, 32, 32]));
//! g.check()?;
//! # Ok::<(), arenagrad_graph::GraphError>(())
//! ```

pub use crate::declaration::{Distribution, Fan, Side, Source};

use crate::declaration::Init;

/// What stands behind a layer: it settles by what factor a weight must be larger for the variance to stay the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nonlinearity {
    /// Nothing, or a convolution: 1.
    Linear,
    /// 1.
    Sigmoid,
    /// 5/3.
    Tanh,
    /// The square root of 2.
    Relu,
    /// `sqrt(2 / (1 + slope^2))`, of the slope below 0.
    LeakyRelu(f64),
    /// 3/4.
    Selu,
}

/// By what factor a weight must be larger in front of that function. PyTorch's `calculate_gain`.
pub fn calculate_gain(nonlinearity: Nonlinearity) -> f64 {
    match nonlinearity {
        Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
        Nonlinearity::Tanh => 5.0 / 3.0,
        Nonlinearity::Relu => std::f64::consts::SQRT_2,
        Nonlinearity::LeakyRelu(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
        Nonlinearity::Selu => 0.75,
    }
}

/// Uniform in `[low, high)`. PyTorch's `uniform_`.
pub fn uniform(low: f64, high: f64) -> Init {
    Init::Uniform { low, high }
}

/// Normal, of that mean and standard deviation. PyTorch's `normal_`.
pub fn normal(mean: f64, deviation: f64) -> Init {
    Init::Normal { mean, deviation }
}

/// Normal, of that mean and standard deviation, of the numbers within `low..=high` alone. PyTorch's `trunc_normal_`, whose defaults are
/// 0, 1, -2 and 2.
pub fn trunc_normal(mean: f64, deviation: f64, low: f64, high: f64) -> Init {
    Init::TruncatedNormal { mean, deviation, low, high }
}

/// Every element the value. PyTorch's `constant_`.
pub fn constant(value: f64) -> Init {
    Init::Constant(value)
}

/// Every element 1. PyTorch's `ones_`.
pub fn ones() -> Init {
    Init::Constant(1.0)
}

/// Every element 0. PyTorch's `zeros_`.
pub fn zeros() -> Init {
    Init::Constant(0.0)
}

/// A matrix of 1 on the diagonal and 0 beside it. PyTorch's `eye_`.
pub fn eye() -> Init {
    Init::Eye
}

/// A convolution's weight of one to three axes that passes as many channels of each group as it can through unchanged. PyTorch's
/// `dirac_`.
pub fn dirac(groups: usize) -> Init {
    Init::Dirac { groups }
}

/// Uniform in `±gain sqrt(6 / (fan_in + fan_out))`. PyTorch's `xavier_uniform_` (Glorot and Bengio 2010), whose default gain is 1.
pub fn xavier_uniform(gain: f64) -> Init {
    Init::VarianceScaling { gain, fan: Fan::Average, distribution: Distribution::Uniform }
}

/// Normal, of mean 0 and deviation `gain sqrt(2 / (fan_in + fan_out))`. PyTorch's `xavier_normal_`, whose default gain is 1.
pub fn xavier_normal(gain: f64) -> Init {
    Init::VarianceScaling { gain, fan: Fan::Average, distribution: Distribution::Normal }
}

/// Uniform in `±gain sqrt(3 / fan)`, the gain that of the function. PyTorch's `kaiming_uniform_` (He et al. 2015); its argument `a` is
/// the slope of [`Nonlinearity::LeakyRelu`], and its default is [`Fan::In`] and a slope of 0.
pub fn kaiming_uniform(fan: Fan, nonlinearity: Nonlinearity) -> Init {
    Init::VarianceScaling { gain: calculate_gain(nonlinearity), fan, distribution: Distribution::Uniform }
}

/// Normal, of mean 0 and deviation `gain / sqrt(fan)`, the gain that of the function. PyTorch's `kaiming_normal_` (He et al. 2015).
pub fn kaiming_normal(fan: Fan, nonlinearity: Nonlinearity) -> Init {
    Init::VarianceScaling { gain: calculate_gain(nonlinearity), fan, distribution: Distribution::Normal }
}

/// Rows, or columns if there are fewer, that are orthogonal and of length `gain`; of more than two axes, the first by all others. PyTorch's
/// `orthogonal_` (Saxe et al. 2014), whose default gain is 1.
pub fn orthogonal(gain: f64) -> Init {
    Init::Orthogonal { gain }
}

/// A matrix whose columns have that share of zeros each, rounded up, at places drawn for each, and else normal numbers of mean 0.
/// PyTorch's `sparse_` (Martens 2010), whose default deviation is 0.01.
pub fn sparse(sparsity: f64, deviation: f64) -> Init {
    Init::Sparse { sparsity, deviation }
}
