//! Convolutions over one, two and three axes, transposed ones, and the sliding blocks that they are sums over.
//!
//! Inputs are `[batch, channels, spatial..]` as in PyTorch, or `[channels, spatial..]` without a batch. All of it is one op
//! ([`crate::ops::convolution`]), of which every derivative is a convolution again. What is wrong is found here, in the caller's
//! words and numbers, before anything is inserted.

mod blocks;
mod options;
mod transposed;

pub use blocks::SlidingBlocks;
pub use options::{AxisNumbers, Convolution, ConvolutionPadding, ConvolutionTranspose};

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::{BinaryFunction, ConvolutionAxis};
use crate::shape::Shape;

macro_rules! convolutions {
    ($($(#[$doc:meta])* $method:ident, $rank:literal;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(
                self,
                weight: Expr<'g>,
                bias: Option<Expr<'g>>,
                convolution: &Convolution<$rank>,
            ) -> Expr<'g> {
                let method = self.enter(stringify!($method));
                self.convolution(stringify!($method), weight, bias, convolution, method.origin())
            }
        )*}
    };
}
convolutions! {
    /// The convolution along one axis (PyTorch's `conv1d`): `[n, c, l], [o, c / groups, k] -> [n, o, m]`, or without a batch
    /// `[c, l] -> [o, m]`, with `m = (l + padding - dilation (k - 1) - 1) / stride + 1`:
    ///
    /// `y[n, o, j] = bias[o] + sum over c, t of weight[o, c, t] x[n, c, j stride + t dilation - padding]`,
    ///
    /// x being 0 outside of its extent. With groups, feature `o` sees the channels of its own group alone. Floats. Its derivatives
    /// are convolutions, and a sum for the bias.
    ///
    /// ```
    /// # use arenagrad_graph::{Convolution, Graph};
    /// let g = Graph::new();
    /// let (x, w) = (g.input("x", [8, 3, 100]), g.input("w", [16, 3, 5]));
    /// let y = x.conv1d(w, None, &Convolution::new().stride(2).padding(2));
    /// assert_eq!(y.shape()?.dims(), [8, 16, 50]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Errors: ranks and dtypes that do not fit; channels or features that groups do not divide, or that are not the weight's; a
    /// kernel that is longer than the padded input; a bias that is not of `[o]`; a stride, dilation or number of groups of 0;
    /// padding `same` with a stride.
    conv1d, 1;
    /// The convolution along two axes (PyTorch's `conv2d`): `[n, c, h, w], [o, c / groups, kh, kw] -> [n, o, h', w']`, or
    /// without a batch `[c, h, w] -> [o, h', w']`. Formula, derivatives and errors are those of [`Expr::conv1d`], along each axis.
    ///
    /// ```
    /// # use arenagrad_graph::{Convolution, ConvolutionPadding, Graph};
    /// let g = Graph::new();
    /// let (x, w, b) = (g.input("x", [8, 4, 32, 32]), g.input("w", [4, 1, 3, 3]), g.input("b", [4]));
    /// let y = x.conv2d(w, Some(b), &Convolution::new().padding(ConvolutionPadding::Same).groups(4)); // depthwise
    /// assert_eq!(y.shape()?.dims(), [8, 4, 32, 32]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    conv2d, 2;
    /// The convolution along three axes (PyTorch's `conv3d`): `[n, c, d, h, w], [o, c / groups, kd, kh, kw] -> [n, o, d', h',
    /// w']`, or all but the weight without a batch. Formula, derivatives and errors are those of [`Expr::conv1d`], along each
    /// axis.
    ///
    /// ```
    /// # use arenagrad_graph::{Convolution, Graph};
    /// let g = Graph::new();
    /// let (x, w) = (g.input("x", [1, 2, 8, 8, 8]), g.input("w", [4, 2, 1, 3, 3]));
    /// let y = x.conv3d(w, None, &Convolution::new().padding([0, 1, 1]).dilation([1, 1, 1]));
    /// assert_eq!(y.shape()?.dims(), [1, 4, 8, 8, 8]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    conv3d, 3;
}

impl<'g> Expr<'g> {
    pub(crate) fn convolution<const D: usize>(
        self,
        op: &'static str,
        weight: Expr<'g>,
        bias: Option<Expr<'g>>,
        convolution: &Convolution<D>,
        origin: Origin,
    ) -> Expr<'g> {
        let Convolution { stride, padding, dilation, groups } = *convolution;
        let Some(operands) = self.convolved(op, weight, bias, D, groups, origin) else {
            return Expr::poisoned(self.graph());
        };
        let Convolved { input, weight_shape, .. } = &operands;
        let fail = |error| self.fail(error);
        for (what, numbers) in [("the stride", stride), ("the dilation", dilation)] {
            if numbers.contains(&0) {
                return fail(GraphError::Argument { origin, op, what, value: 0.0, expected: "at least 1" });
            }
        }
        let (channels, features) = (input[1], weight_shape[0]);
        if !features.is_multiple_of(groups) {
            let (operand, shape) = (weight.describe(), weight_shape.clone());
            let what = "features";
            return fail(GraphError::Groups { origin, op, what, operand, shape, channels: features, groups });
        }
        if let Err(error) = operands.check_channels(weight_shape[1].checked_mul(groups), (self, weight, op, origin)) {
            return fail(error);
        }
        if let Err(error) = check_bias(bias, features, (weight, weight_shape, op, origin)) {
            return fail(error);
        }
        let mut axes = Vec::with_capacity(D);
        for place in 0..D {
            let (extent, kernel) = (input[2 + place], weight_shape[2 + place]);
            let span = (kernel - 1).saturating_mul(dilation[place]).saturating_add(1);
            let (low, high) = match padding {
                ConvolutionPadding::Numbers(numbers) => (numbers[place], numbers[place]),
                ConvolutionPadding::Valid => (0, 0),
                ConvolutionPadding::Same if stride[place] == 1 => ((span - 1) / 2, (span - 1).div_ceil(2)),
                ConvolutionPadding::Same => {
                    let (what, value) = ("the stride with padding `same`", stride[place] as f64);
                    return fail(GraphError::Argument { origin, op, what, value, expected: "1" });
                }
            };
            let padded = extent.saturating_add(low).saturating_add(high);
            if span > padded {
                let (axis, dilation) = (operands.shape.rank() - D + place, dilation[place]);
                let (operand, shape) = (self.describe(), operands.shape.clone());
                return fail(GraphError::Kernel { origin, op, axis, kernel, dilation, span, operand, shape, padded });
            }
            axes.push(ConvolutionAxis {
                extent: (padded - span) / stride[place] + 1,
                stride: stride[place],
                dilation: dilation[place],
                input_dilation: 1,
                low: isize::try_from(low).unwrap_or(isize::MAX),
            });
        }
        let spatial = |shape: &Shape| shape[2..].to_vec();
        let by_groups =
            |leading: [usize; 3], spatial: Vec<usize>| leading.into_iter().chain(spatial).collect::<Shape>();
        let x = self.reshape_node(&by_groups([input[0], groups, channels / groups], spatial(input)), origin);
        let kernels = by_groups([groups, features / groups, weight_shape[1]], spatial(weight_shape));
        let result = x.convolution_node(weight.reshape_node(&kernels, origin), axes.into(), origin);
        operands.finished(result, features, bias, origin)
    }

    /// The operands of a convolution over `rank` axes, if their ranks and dtypes are right and groups divide the input's channels.
    fn convolved(
        self,
        op: &'static str,
        weight: Expr<'g>,
        bias: Option<Expr<'g>>,
        rank: usize,
        groups: usize,
        origin: Origin,
    ) -> Option<Convolved> {
        self.same_graph_all(&[Some(weight), bias], op, origin)?;
        let read = |expr: Expr<'g>| expr.read(op, origin, |_, node| (node.shape.clone(), node.dtype));
        let ((shape, dtype), (weight_shape, weight_dtype)) = (read(self)?, read(weight)?);
        let fail = |error| self.fail_without(error);
        if shape.rank() != rank + 2 && shape.rank() != rank + 1 {
            let (operand, found) = (self.describe(), shape.rank());
            let expected = format!("rank {}, or {} without a batch,", rank + 2, rank + 1);
            return fail(GraphError::Rank { origin, op, operand, shape, rank: found, expected });
        }
        if weight_shape.rank() != rank + 2 {
            let (operand, found, shape) = (weight.describe(), weight_shape.rank(), weight_shape);
            return fail(GraphError::Rank {
                origin,
                op,
                operand,
                shape,
                rank: found,
                expected: format!("rank {}", rank + 2),
            });
        }
        for other in [Some((weight, weight_dtype)), bias.and_then(|bias| Some((bias, read(bias)?.1)))] {
            if let Some((other, right)) = other
                && right != dtype
            {
                let (lhs, left, rhs) = (self.describe(), dtype, other.describe());
                return fail(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right });
            }
        }
        if !matches!(dtype, DType::F32 | DType::F64) {
            let operand = self.describe();
            return fail(GraphError::DType { origin, op, operand, dtype, expected: "a float" });
        }
        if groups == 0 {
            let (what, expected) = ("the number of groups", "at least 1");
            return fail(GraphError::Argument { origin, op, what, value: 0.0, expected });
        }
        if let Some(axis) = weight_shape[2..].iter().position(|&extent| extent == 0) {
            let (operand, shape, axis) = (weight.describe(), weight_shape, axis + 2);
            return fail(GraphError::EmptyAxis { origin, op, function: "convolution", operand, shape, axis });
        }
        let has_batch = shape.rank() == rank + 2;
        let input: Shape =
            if has_batch { shape.clone() } else { [1].into_iter().chain(shape.iter().copied()).collect() };
        if !input[1].is_multiple_of(groups) {
            let (operand, what, channels) = (self.describe(), "channels", input[1]);
            return fail(GraphError::Groups { origin, op, what, operand, shape, channels, groups });
        }
        Some(Convolved { shape, input, has_batch, weight_shape, groups })
    }
}

/// The shapes of a convolution's operands.
struct Convolved {
    /// That of the input.
    shape: Shape,
    /// That of the input with a batch.
    input: Shape,
    has_batch: bool,
    weight_shape: Shape,
    groups: usize,
}

impl Convolved {
    /// Whether the input has as many channels as the weight is for.
    fn check_channels(
        &self,
        expected: Option<usize>,
        (input, weight, op, origin): (Expr<'_>, Expr<'_>, &'static str, Origin),
    ) -> Result<(), GraphError> {
        let channels = self.input[1];
        if expected == Some(channels) {
            return Ok(());
        }
        Err(GraphError::Channels {
            origin,
            op,
            input: input.describe(),
            input_shape: self.shape.clone(),
            channels,
            weight: weight.describe(),
            weight_shape: self.weight_shape.clone(),
            expected: expected.unwrap_or(usize::MAX),
            groups: self.groups,
        })
    }

    /// `[n, g, o, spatial..]` as `[n, g o, spatial..]`, with the bias added, and without the batch that the input had not.
    fn finished<'g>(&self, result: Expr<'g>, features: usize, bias: Option<Expr<'g>>, origin: Origin) -> Expr<'g> {
        let Some(shape) = result.read("convolution", origin, |_, node| node.shape.clone()) else { return result };
        let batch = self.has_batch.then_some(shape[0]);
        let joined: Shape = batch.into_iter().chain([features]).chain(shape[3..].iter().copied()).collect();
        let joined_result = result.reshape_node(&joined, origin);
        let Some(bias) = bias else { return joined_result };
        let ones = std::iter::repeat_n(1, shape.rank() - 3);
        let bias = bias.reshape_node(&[features].into_iter().chain(ones).collect(), origin);
        joined_result.binary(BinaryFunction::Add, bias, origin)
    }
}

/// Whether a bias has a number for each feature.
fn check_bias(
    bias: Option<Expr<'_>>,
    features: usize,
    (weight, weight_shape, op, origin): (Expr<'_>, &Shape, &'static str, Origin),
) -> Result<(), GraphError> {
    let Some(bias) = bias else { return Ok(()) };
    match bias.read(op, origin, |_, node| node.shape.clone()) {
        Some(bias_shape) if bias_shape[..] != [features] => Err(GraphError::Bias {
            origin,
            op,
            bias: bias.describe(),
            bias_shape,
            features,
            weight: weight.describe(),
            weight_shape: weight_shape.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}
