//! Rules for functions of elements, selection, casts and reductions.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{BinaryFunction, CompareFunction, Op, ReduceFunction, UnaryFunction};
use crate::passes::rebuild::{Rebuild, Rewrite};
use crate::passes::simplify::folding;
use crate::shape::{AxisSet, Shape};

pub(super) fn unary(function: UnaryFunction, operand: NodeId, dtype: DType, graph: &Rebuild) -> Rewrite {
    if let Some(value) = graph.constant(operand).and_then(|x| folding::unary(function, x, dtype)) {
        return Rewrite::constant(value);
    }
    use UnaryFunction::{Abs, Ceil, Floor, Neg, Not, Relu, Round, Sign};
    let inner = graph.op(operand);
    if let (Neg, Op::Binary { function: BinaryFunction::Sub, lhs, rhs }) = (function, &inner) {
        // -(a - b) is b - a.
        return Rewrite::Op(Op::Binary { function: BinaryFunction::Sub, lhs: *rhs, rhs: *lhs });
    }
    let Op::Unary { function: inner, operand: inner_operand } = inner else { return Rewrite::Keep };
    match (function, inner) {
        // Each undoes itself.
        (Neg, Neg) | (Not, Not) => Rewrite::Existing(inner_operand),
        (Abs, Neg | Abs) => Rewrite::Op(Op::Unary { function, operand: inner_operand }),
        // The second application finds nothing left to do.
        (Relu, Relu | Abs) | (Sign, Sign) => Rewrite::Existing(operand),
        (Floor | Ceil | Round, Floor | Ceil | Round) => Rewrite::Existing(operand),
        _ => Rewrite::Keep,
    }
}

pub(super) fn binary(
    function: BinaryFunction,
    lhs: NodeId,
    rhs: NodeId,
    shape: &Shape,
    dtype: DType,
    graph: &mut Rebuild,
) -> Result<Rewrite, GraphError> {
    let (left, right) = (graph.constant(lhs), graph.constant(rhs));
    if let (Some(a), Some(b)) = (left, right)
        && let Some(value) = folding::binary(function, a, b, dtype)
    {
        return Ok(Rewrite::constant(value));
    }
    let other = |function, lhs, rhs| Rewrite::Op(Op::Binary { function, lhs, rhs });
    let negation = |operand| Rewrite::Op(Op::Unary { function: UnaryFunction::Neg, operand });
    use BinaryFunction::{Add, And, Div, Maximum, Minimum, Mul, Or, Pow, ReluBackward, Sub};
    Ok(match function {
        Add if right == Some(0.0) => Rewrite::Existing(lhs),
        Add if left == Some(0.0) => Rewrite::Existing(rhs),
        // a + (-b) is a - b, and the other way round.
        Add => match (negated(rhs, graph), negated(lhs, graph)) {
            (Some(b), _) => other(Sub, lhs, b),
            (None, Some(a)) => other(Sub, rhs, a),
            (None, None) => Rewrite::Keep,
        },
        Sub if right == Some(0.0) => Rewrite::Existing(lhs),
        Sub if left == Some(0.0) => negation(rhs),
        Sub if lhs == rhs && dtype == DType::I32 => Rewrite::constant(0.0),
        Sub => match negated(rhs, graph) {
            Some(b) => other(Add, lhs, b),
            None => Rewrite::Keep,
        },
        Mul if right == Some(1.0) => Rewrite::Existing(lhs),
        Mul if left == Some(1.0) => Rewrite::Existing(rhs),
        Mul if right == Some(-1.0) => negation(lhs),
        Mul if left == Some(-1.0) => negation(rhs),
        Mul if dtype == DType::I32 && (left == Some(0.0) || right == Some(0.0)) => Rewrite::constant(0.0),
        Mul => match (negated(lhs, graph), negated(rhs, graph)) {
            (Some(a), Some(b)) => other(Mul, a, b),
            (_, None) | (None, _) => Rewrite::Keep,
        },
        Div if right == Some(1.0) => Rewrite::Existing(lhs),
        Div if right == Some(-1.0) => negation(lhs),
        Div => match (negated(lhs, graph), negated(rhs, graph)) {
            (Some(a), Some(b)) => other(Div, a, b),
            (_, None) | (None, _) => Rewrite::Keep,
        },
        Pow if right == Some(0.0) => Rewrite::constant(1.0),
        Pow if right == Some(1.0) => Rewrite::Existing(lhs),
        Pow if right == Some(2.0) => other(Mul, lhs, lhs),
        Pow if right == Some(3.0) => {
            let square = graph.node(Op::Binary { function: Mul, lhs, rhs: lhs }, shape, dtype)?;
            other(Mul, square, lhs)
        }
        Pow if right == Some(-1.0) => {
            let one = graph.node(Op::Constant { value: 1.0 }, shape, dtype)?;
            other(Div, one, lhs)
        }
        Pow => Rewrite::Keep,
        Maximum | Minimum | And | Or if lhs == rhs => Rewrite::Existing(lhs),
        Maximum | Minimum => Rewrite::Keep,
        And => match (left, right) {
            (Some(0.0), _) | (_, Some(0.0)) => Rewrite::constant(0.0),
            (Some(_), None) => Rewrite::Existing(rhs),
            (_, Some(_)) => Rewrite::Existing(lhs),
            (None, None) => Rewrite::Keep,
        },
        Or => match (left, right) {
            (Some(0.0), _) => Rewrite::Existing(rhs),
            (_, Some(0.0)) => Rewrite::Existing(lhs),
            (Some(_), _) | (_, Some(_)) => Rewrite::constant(1.0),
            (None, None) => Rewrite::Keep,
        },
        ReluBackward => match right {
            Some(x) if x <= 0.0 => Rewrite::constant(0.0),
            Some(_) => Rewrite::Existing(lhs),
            None => Rewrite::Keep,
        },
    })
}

pub(super) fn compare(function: CompareFunction, lhs: NodeId, rhs: NodeId, graph: &Rebuild) -> Rewrite {
    match (graph.constant(lhs), graph.constant(rhs)) {
        (Some(a), Some(b)) => Rewrite::constant(f64::from(u8::from(function.holds(a, b)))),
        (Some(_), None) | (None, Some(_)) | (None, None) => Rewrite::Keep,
    }
}

pub(super) fn select(condition: NodeId, on_true: NodeId, on_false: NodeId, graph: &Rebuild) -> Rewrite {
    if on_true == on_false {
        return Rewrite::Existing(on_true);
    }
    if let Some(value) = graph.constant(condition) {
        return Rewrite::Existing(if value != 0.0 { on_true } else { on_false });
    }
    let Op::Unary { function: UnaryFunction::Not, operand } = graph.op(condition) else { return Rewrite::Keep };
    Rewrite::Op(Op::Where { condition: operand, on_true: on_false, on_false: on_true })
}

pub(super) fn cast(operand: NodeId, dtype: DType, graph: &Rebuild) -> Rewrite {
    let from = graph.dtype(operand);
    if from == dtype {
        return Rewrite::Existing(operand);
    }
    if let Some(value) = graph.constant(operand) {
        return Rewrite::constant(dtype.round(value));
    }
    let Op::Cast { operand: source } = graph.op(operand) else { return Rewrite::Keep };
    // There and back again, through a type that holds every value of the first.
    if graph.dtype(source) == dtype && holds_all(from, dtype) { Rewrite::Existing(source) } else { Rewrite::Keep }
}

pub(super) fn reduce(
    function: ReduceFunction,
    operand: NodeId,
    axes: AxisSet,
    dtype: DType,
    graph: &Rebuild,
) -> Rewrite {
    let shape = graph.shape(operand);
    let reduced: AxisSet = axes.iter().filter(|&axis| shape[axis] != 1).collect();
    if reduced.is_empty() {
        return Rewrite::Existing(operand);
    }
    if reduced != axes {
        return Rewrite::Op(Op::Reduce { function, operand, axes: reduced });
    }
    match (graph.constant(operand), function) {
        (Some(value), ReduceFunction::Sum) => {
            let count = axes.iter().map(|axis| shape[axis]).product();
            Rewrite::constant(folding::sum(value, count, dtype))
        }
        (Some(value), ReduceFunction::Max | ReduceFunction::Min) => Rewrite::constant(value),
        // Of no elements, whatever they would be.
        (None, ReduceFunction::Sum) if shape.contains(&0) => Rewrite::constant(0.0),
        (None, _) => Rewrite::Keep,
    }
}

/// `x`, if the node is `-x`.
fn negated(id: NodeId, graph: &Rebuild) -> Option<NodeId> {
    graph.read(
        id,
        |op, _, _| {
            if let Op::Unary { function: UnaryFunction::Neg, operand } = op { Some(*operand) } else { None }
        },
    )
}

/// Whether every value of `narrow` is one of `wide`, so that a cast there and back changes nothing.
fn holds_all(wide: DType, narrow: DType) -> bool {
    match (narrow, wide) {
        (DType::Bool, _) => true,
        (DType::I32 | DType::F32, DType::F64) => true,
        (DType::I32 | DType::F32, DType::F32 | DType::I32 | DType::Bool) => narrow == wide,
        (DType::F64, _) => wide == DType::F64,
    }
}
