//! The convolution, in a form of which every derivative is one again.
//!
//! `y[n, g, o, j..] = sum over c, t.. of w[g, o, c, t..] x~[n, g, c, j stride + t dilation - low, ..]`, for
//! `[n, g, c, spatial..], [g, o, c, kernel..] -> [n, g, o, result..]`, where `x~` is x with `input_dilation - 1` zeros between
//! neighbours and zeros wherever it has no element (see [`ConvolutionAxis`]). Groups are an axis of their own, so that the roles of
//! batch, channels and features can be exchanged. It is the cross-correlation that deep learning calls convolution, in the manner of
//! XLA's `ConvGeneralDilated`.
//!
//! With `u` the upstream gradient, each is a convolution with the numbers of the axis exchanged:
//!
//! | of | input | weight | stride | dilation | input dilation | low | extent |
//! |---|---|---|---|---|---|---|---|
//! | `dx` | u | w, c and o exchanged, flipped | input dilation | dilation | stride | (kernel - 1) dilation - low | that of x |
//! | `dw` | x, n and c exchanged | u, n in the place of c | dilation | stride | input dilation | low | that of w |
//!
//! A tangent is `tx * w + x * tw`. A sum over no elements is 0.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{ConvolutionAxis, Op};
use crate::ops::{Differentiated, Pushed, Rule, sum};
use crate::shape::{AxisSet, Shape};

/// The axes before those along which the weight slides: batch, groups and channels of the input; groups, features and channels
/// of the weight.
pub(crate) const LEADING: usize = 3;

/// The largest distance that may occur along an axis: no sum of a few of them overflows. It is 2^48 where an extent has 64 bits, and
/// 2^24 where it has 32.
const REACH: usize = 1 << (usize::BITS / 4 * 3);

/// What a padding may be longer: derivatives exchange it for what reaches further.
const PADDING: usize = 1 << (usize::BITS / 8);

/// The largest distance, in errors.
const EXPECTED: &str = if usize::BITS == 64 { "at most 2^48" } else { "at most 2^24" };

pub(crate) fn infer(
    rule: &Rule<'_>,
    input: NodeId,
    weight: NodeId,
    axes: &[ConvolutionAxis],
) -> Result<(Shape, DType), GraphError> {
    let (origin, op) = (rule.origin, rule.op);
    let dtype = rule.same_dtype(input, weight)?;
    rule.float(input)?;
    rule.rank(input, LEADING + axes.len())?;
    rule.rank(weight, LEADING + axes.len())?;
    let (x, w) = (&rule.node(input).shape, &rule.node(weight).shape);
    for (axis, left, right) in [(1, x[1], w[0]), (2, x[2], w[2])] {
        if left != right {
            return Err(GraphError::Extent {
                origin,
                op,
                axis,
                lhs: rule.describe(input),
                lhs_shape: x.clone(),
                rhs: rule.describe(weight),
                rhs_shape: w.clone(),
                left,
                right,
            });
        }
    }
    for (place, axis) in axes.iter().enumerate() {
        for (what, number, expected) in [
            ("the stride", axis.stride, "a stride of at least 1"),
            ("the dilation", axis.dilation, "a dilation of at least 1"),
            ("the input dilation", axis.input_dilation, "an input dilation of at least 1"),
        ] {
            if number == 0 {
                return Err(GraphError::Argument { origin, op, what, value: 0.0, expected });
            }
        }
        let (extent, kernel) = (x[LEADING + place], w[LEADING + place]);
        for (what, count, step) in [
            ("the reach of the stride", axis.extent, axis.stride),
            ("the reach of the dilation", kernel, axis.dilation),
            ("the reach of the input dilation", extent, axis.input_dilation),
            ("the padding", axis.low.unsigned_abs() / PADDING, 1),
        ] {
            let reach = count.saturating_mul(step);
            if reach > REACH {
                return Err(GraphError::Argument { origin, op, what, value: reach as f64, expected: EXPECTED });
            }
        }
    }
    let leading = [x[0], x[1], w[1]];
    Ok((leading.into_iter().chain(axes.iter().map(|axis| axis.extent)).collect(), dtype))
}

pub(crate) fn vjp<'g>(
    input: NodeId,
    weight: NodeId,
    axes: &[ConvolutionAxis],
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let (x, w) = (node.shape_of(input), node.shape_of(weight));
    let spatial = LEADING..LEADING + axes.len();
    let exchanged = |leading: [isize; LEADING]| -> Vec<isize> {
        leading.into_iter().chain(spatial.clone().map(|axis| axis as isize)).collect()
    };
    if (node.wants)(input) {
        let flipped: AxisSet = spatial.clone().collect();
        let reversed = node.expr(weight).permute(exchanged([0, 2, 1])).flip_node(flipped, node.origin);
        let of_input = axes.iter().enumerate().map(|(place, axis)| {
            let (extent, kernel) = (x[LEADING + place], w[LEADING + place]);
            let ConvolutionAxis { stride, dilation, input_dilation, low, .. } = *axis;
            // Single elements have no neighbours, however far apart these would be.
            let reach = (kernel as isize - 1).max(0) * dilation as isize;
            let stride = if node.shape[LEADING + place] == 1 { 1 } else { stride };
            ConvolutionAxis { extent, stride: input_dilation, dilation, input_dilation: stride, low: reach - low }
        });
        give(input, node.upstream.convolution_node(reversed, of_input.collect(), node.origin));
    }
    if (node.wants)(weight) {
        let features = node.upstream.permute(exchanged([1, 2, 0]));
        let of_weight = axes.iter().enumerate().map(|(place, axis)| {
            let ConvolutionAxis { stride, dilation, input_dilation, low, .. } = *axis;
            let extent = w[LEADING + place];
            ConvolutionAxis { extent, stride: dilation, dilation: stride, input_dilation, low }
        });
        let exchanged_input = node.expr(input).permute(exchanged([2, 1, 0]));
        let gradient = exchanged_input.convolution_node(features, of_weight.collect(), node.origin);
        give(weight, gradient.permute(exchanged([1, 2, 0])));
    }
}

pub(crate) fn jvp<'g>(
    input: NodeId,
    weight: NodeId,
    axes: &[ConvolutionAxis],
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let convolution = |x: Expr<'g>, w: Expr<'g>| x.convolution_node(w, axes.into(), node.origin);
    let by_input = (node.tangent)(input).map(|tangent| convolution(tangent, node.expr(weight)));
    let by_weight = (node.tangent)(weight).map(|tangent| convolution(node.expr(input), tangent));
    sum(by_input, by_weight)
}

impl<'g> Expr<'g> {
    /// The convolution of `[n, g, c, spatial..]` and `[g, o, c, kernel..]`.
    pub(crate) fn convolution_node(self, weight: Expr<'g>, axes: Box<[ConvolutionAxis]>, origin: Origin) -> Expr<'g> {
        match (self.raw(), weight.raw()) {
            (Some(input), Some(weight)) => self.insert(Op::Convolution { input, weight, axes }, None, None, origin),
            _ => Expr::poisoned(self.graph()),
        }
    }
}
