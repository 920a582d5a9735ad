//! Rules that replace an operation by a simpler one with the same result.
//!
//! A rule holds for every value, infinities and NaN included: `x * 0` stays for floats, for `inf * 0` is NaN, and goes for
//! i32. What may differ from the operation as it stood:
//!
//! * the sign of zero, in `x + 0`, `0 - x` and `-(a - b)`, where IEEE 754 tells 0 from -0;
//! * the last bits of what is computed here instead of on the device: functions of constants, in f64 and then rounded
//!   (arithmetic is done in the dtype itself and is the same), `x^2` and `x^3` as products, and the sum of a constant,
//!   which is one product here;
//! * which NaN it is.
//!
//! Everything that has no elements becomes a constant. Views of views become one view, views of constants and coordinates
//! constants and coordinates, and a matrix product takes a transposition of its operands upon itself. Slices go as near to their
//! source as may be; work of elements of which few are wanted is done for those alone.

mod arithmetic;
mod slices;
mod views;

use crate::body::ScanResult;
use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Arrangement, Assembly, Indexing, Leaf, Op, Ordered};
use crate::passes::convolution;
use crate::passes::rebuild::{Rebuild, Rewrite};
use crate::shape::Shape;

pub(super) use slices::before;

/// The first rule that applies to an operation with this result, whose operands have been simplified.
pub(super) fn rewrite(op: &Op, shape: &Shape, dtype: DType, graph: &mut Rebuild) -> Result<Rewrite, GraphError> {
    // What is declared, or stands for something else, keeps its identity.
    let is_named = matches!(op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Placeholder));
    if shape.contains(&0) && !is_named && !matches!(op, Op::Leaf(Leaf::Constant { .. })) {
        return Ok(Rewrite::constant(0.0));
    }
    if let Op::Scan { body, operands, result: ScanResult::Final(carry) } = op
        && body.length() == 0
    {
        return Ok(Rewrite::Existing(operands[*carry as usize]));
    }
    Ok(match op {
        Op::Leaf(leaf) => match leaf {
            Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Constant { .. } | Leaf::Placeholder => Rewrite::Keep,
            Leaf::Literal { data } => single(data),
            Leaf::Iota { axis } if shape[*axis] == 1 => Rewrite::constant(0.0),
            Leaf::Iota { .. } => Rewrite::Keep,
        },
        Op::Uniform { .. } | Op::StopGradient { .. } | Op::CustomGradient { .. } | Op::Scan { .. } => Rewrite::Keep,
        // Never known in advance, not even of a constant: it depends on how many processes there are.
        Op::AllReduce { .. } => Rewrite::Keep,
        Op::Elementwise(elementwise) => arithmetic::elementwise(elementwise, shape, dtype, graph)?,
        Op::View { operand, arrangement } => match arrangement {
            Arrangement::Reshape => views::reshape(*operand, shape, graph),
            Arrangement::Permute { axes } => views::permute(*operand, axes, graph),
            Arrangement::Broadcast => views::broadcast(*operand, shape, graph),
            Arrangement::Slice { starts, steps } => slices::slice(*operand, starts, steps, shape, dtype, graph)?,
            Arrangement::Flip { axes } => views::flip(*operand, *axes, graph),
            Arrangement::Windows(windows) => views::windows(*operand, windows, graph),
        },
        Op::Assembly(Assembly::Pad { operand, value, .. }) => views::pad(*operand, *value, shape, graph),
        Op::Assembly(Assembly::Concat { operands, axis }) => views::concat(operands, *axis, graph),
        Op::Reduce { function, operand, axes } => arithmetic::reduce(*function, *operand, *axes, dtype, graph),
        Op::ArgMax { operand, axis } if graph.shape(*operand)[*axis] == 1 => Rewrite::constant(0.0),
        Op::ArgMax { .. } => Rewrite::Keep,
        Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
            views::matmul(*lhs, *rhs, *transpose_lhs, *transpose_rhs, graph)
        }
        Op::Convolution { .. } if graph.rewrites.keep_derivatives => Rewrite::Keep,
        Op::Convolution { input, weight, axes } => {
            Rewrite::Existing(convolution::lower(*input, *weight, axes, dtype, graph)?)
        }
        Op::Indexing(
            Indexing::ScatterAdd { operand, updates, .. } | Indexing::ScatterReduce { operand, updates, .. },
        ) if graph.shape(*updates).contains(&0) => Rewrite::Existing(*operand),
        Op::Attention(_) | Op::Indexing(_) | Op::LinearAlgebra { .. } => Rewrite::Keep,
        Op::Ordered(ordered) => along_one_element(*ordered, graph),
    })
}

/// Along an axis of one element nothing comes before it.
fn along_one_element(ordered: Ordered, graph: &Rebuild) -> Rewrite {
    let is_one = |operand: NodeId, axis: usize| graph.shape(operand)[axis] == 1;
    match ordered {
        Ordered::Cumulative { function, operand, axis, .. } if is_one(operand, axis) => {
            if function.gives_indices() {
                Rewrite::constant(0.0)
            } else {
                Rewrite::Existing(operand)
            }
        }
        Ordered::Recurrence { operand, axis, .. } if is_one(operand, axis) => Rewrite::Existing(operand),
        Ordered::ArgSort { operand, axis, .. } if is_one(operand, axis) => Rewrite::constant(0.0),
        Ordered::Cumulative { .. }
        | Ordered::Recurrence { .. }
        | Ordered::ArgSort { .. }
        | Ordered::SearchSorted { .. } => Rewrite::Keep,
    }
}

/// A literal of one element is a constant.
fn single(data: &Elements) -> Rewrite {
    match data.get(0) {
        Some(value) if data.len() == 1 => Rewrite::constant(value),
        Some(_) | None => Rewrite::Keep,
    }
}
