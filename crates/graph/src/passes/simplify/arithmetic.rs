//! Rules for functions of elements, selection, casts and reductions.

use std::sync::Arc;

use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{BinaryFunction, CompareFunction, Elementwise, Half, Leaf, Op, ReduceFunction, UnaryFunction};
use crate::passes::rebuild::{Rebuild, Rewrite};
use crate::shape::{AxisSet, Shape};
use crate::storage::StorageType;

/// The first rule that applies to an elementwise operation with this result.
pub(super) fn elementwise(
    elementwise: &Elementwise<NodeId>,
    shape: &Shape,
    dtype: DType,
    graph: &mut Rebuild,
) -> Result<Rewrite, GraphError> {
    Ok(match *elementwise {
        Elementwise::Unary { function, operand } => unary(function, operand, dtype, graph),
        Elementwise::Binary { function, lhs, rhs } => binary(function, lhs, rhs, shape, dtype, graph)?,
        Elementwise::Compare { function, lhs, rhs } => compare(function, lhs, rhs, graph),
        Elementwise::Where { condition, on_true, on_false } => select(condition, on_true, on_false, graph),
        Elementwise::Cast { operand } => cast(operand, dtype, graph),
        Elementwise::RoundTo { half, operand } => round_to(half, operand, dtype, graph),
    })
}

fn unary(function: UnaryFunction, operand: NodeId, dtype: DType, graph: &Rebuild) -> Rewrite {
    if let Some(x) = graph.constant(operand) {
        return Rewrite::constant(function.row().of(x, dtype));
    }
    use UnaryFunction::{Abs, Ceil, Floor, Neg, Not, Relu, Round, Sign};
    if let Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Sub, lhs, rhs }) = graph.op(operand) {
        // -(a - b) is b - a.
        return if function == Neg { Rewrite::Op(Op::binary(BinaryFunction::Sub, rhs, lhs)) } else { Rewrite::Keep };
    }
    let Op::Elementwise(Elementwise::Unary { function: inner, operand: source }) = graph.op(operand) else {
        return Rewrite::Keep;
    };
    let is_integral = |function| matches!(function, Floor | Ceil | Round);
    if function == inner && matches!(function, Neg | Not) {
        // Each undoes itself.
        Rewrite::Existing(source)
    } else if function == Abs && matches!(inner, Neg | Abs) {
        Rewrite::Op(Op::unary(Abs, source))
    } else if (function == Relu && matches!(inner, Relu | Abs))
        || (function == Sign && inner == Sign)
        || (is_integral(function) && is_integral(inner))
    {
        // The second application finds nothing left to do.
        Rewrite::Existing(operand)
    } else {
        Rewrite::Keep
    }
}

fn binary(
    function: BinaryFunction,
    lhs: NodeId,
    rhs: NodeId,
    shape: &Shape,
    dtype: DType,
    graph: &mut Rebuild,
) -> Result<Rewrite, GraphError> {
    let (left, right) = (graph.constant(lhs), graph.constant(rhs));
    if let (Some(a), Some(b)) = (left, right) {
        return Ok(Rewrite::constant(function.row().of(a, b, dtype)));
    }
    let Some((_, rule)) = BINARY_RULES.iter().find(|(known, _)| *known == function) else { return Ok(Rewrite::Keep) };
    rule(&Pair { lhs, rhs, left, right, shape, dtype }, graph)
}

/// The operands of a function of two elements, and their values where they are constants; not both are.
struct Pair<'a> {
    lhs: NodeId,
    rhs: NodeId,
    left: Option<f64>,
    right: Option<f64>,
    shape: &'a Shape,
    dtype: DType,
}

type BinaryRule = fn(&Pair<'_>, &mut Rebuild) -> Result<Rewrite, GraphError>;

/// The functions that have rules of their own besides that for constants.
const BINARY_RULES: [(BinaryFunction, BinaryRule); 10] = [
    (BinaryFunction::Add, |pair, graph| Ok(add(pair, graph))),
    (BinaryFunction::Sub, |pair, graph| Ok(sub(pair, graph))),
    (BinaryFunction::Mul, |pair, graph| Ok(mul(pair, graph))),
    (BinaryFunction::Div, |pair, graph| Ok(div(pair, graph))),
    (BinaryFunction::Pow, pow),
    (BinaryFunction::Maximum, |pair, _| Ok(pair.same_or_keep())),
    (BinaryFunction::Minimum, |pair, _| Ok(pair.same_or_keep())),
    (BinaryFunction::ReluBackward, |pair, _| Ok(relu_backward(pair))),
    (BinaryFunction::And, |pair, _| Ok(and(pair))),
    (BinaryFunction::Or, |pair, _| Ok(or(pair))),
];

impl Pair<'_> {
    /// Of an operand beside itself these functions make nothing else.
    fn same_or_keep(&self) -> Rewrite {
        if self.lhs == self.rhs { Rewrite::Existing(self.lhs) } else { Rewrite::Keep }
    }
}

fn negation(operand: NodeId) -> Rewrite {
    Rewrite::Op(Op::unary(UnaryFunction::Neg, operand))
}

fn add(&Pair { lhs, rhs, left, right, .. }: &Pair<'_>, graph: &Rebuild) -> Rewrite {
    if right == Some(0.0) {
        return Rewrite::Existing(lhs);
    }
    if left == Some(0.0) {
        return Rewrite::Existing(rhs);
    }
    // a + (-b) is a - b, and the other way round.
    match (negated(rhs, graph), negated(lhs, graph)) {
        (Some(b), _) => Rewrite::Op(Op::binary(BinaryFunction::Sub, lhs, b)),
        (None, Some(a)) => Rewrite::Op(Op::binary(BinaryFunction::Sub, rhs, a)),
        (None, None) => Rewrite::Keep,
    }
}

fn sub(&Pair { lhs, rhs, left, right, dtype, .. }: &Pair<'_>, graph: &Rebuild) -> Rewrite {
    if right == Some(0.0) {
        return Rewrite::Existing(lhs);
    }
    if left == Some(0.0) {
        return negation(rhs);
    }
    if lhs == rhs && dtype == DType::I32 {
        return Rewrite::constant(0.0);
    }
    match negated(rhs, graph) {
        Some(b) => Rewrite::Op(Op::binary(BinaryFunction::Add, lhs, b)),
        None => Rewrite::Keep,
    }
}

fn mul(&Pair { lhs, rhs, left, right, dtype, .. }: &Pair<'_>, graph: &Rebuild) -> Rewrite {
    for (factor, other) in [(right, lhs), (left, rhs)] {
        if factor == Some(1.0) {
            return Rewrite::Existing(other);
        }
        if factor == Some(-1.0) {
            return negation(other);
        }
        if factor == Some(0.0) && dtype == DType::I32 {
            return Rewrite::constant(0.0);
        }
    }
    both_negated(BinaryFunction::Mul, lhs, rhs, graph)
}

fn div(&Pair { lhs, rhs, right, .. }: &Pair<'_>, graph: &Rebuild) -> Rewrite {
    if right == Some(1.0) {
        return Rewrite::Existing(lhs);
    }
    if right == Some(-1.0) {
        return negation(lhs);
    }
    both_negated(BinaryFunction::Div, lhs, rhs, graph)
}

/// Two minus signs make none.
fn both_negated(function: BinaryFunction, lhs: NodeId, rhs: NodeId, graph: &Rebuild) -> Rewrite {
    match (negated(lhs, graph), negated(rhs, graph)) {
        (Some(a), Some(b)) => Rewrite::Op(Op::binary(function, a, b)),
        (_, None) | (None, _) => Rewrite::Keep,
    }
}

fn pow(&Pair { lhs, right, shape, dtype, .. }: &Pair<'_>, graph: &mut Rebuild) -> Result<Rewrite, GraphError> {
    let Some(exponent) = right else { return Ok(Rewrite::Keep) };
    let square = Op::binary(BinaryFunction::Mul, lhs, lhs);
    Ok(if exponent == 0.0 {
        Rewrite::constant(1.0)
    } else if exponent == 1.0 {
        Rewrite::Existing(lhs)
    } else if exponent == 2.0 {
        Rewrite::Op(square)
    } else if exponent == 3.0 {
        let square = graph.node(square, shape, dtype)?;
        Rewrite::Op(Op::binary(BinaryFunction::Mul, square, lhs))
    } else if exponent == -1.0 && dtype.is_float() {
        let one = graph.node(Op::constant(1.0), shape, dtype)?;
        Rewrite::Op(Op::binary(BinaryFunction::Div, one, lhs))
    } else {
        Rewrite::Keep
    })
}

fn relu_backward(pair: &Pair<'_>) -> Rewrite {
    match pair.right {
        Some(x) if x <= 0.0 => Rewrite::constant(0.0),
        Some(_) => Rewrite::Existing(pair.lhs),
        None => Rewrite::Keep,
    }
}

fn and(pair: &Pair<'_>) -> Rewrite {
    match (pair.left, pair.right) {
        (Some(0.0), _) | (_, Some(0.0)) => Rewrite::constant(0.0),
        (Some(_), None) => Rewrite::Existing(pair.rhs),
        (_, Some(_)) => Rewrite::Existing(pair.lhs),
        (None, None) => pair.same_or_keep(),
    }
}

fn or(pair: &Pair<'_>) -> Rewrite {
    match (pair.left, pair.right) {
        (Some(0.0), _) => Rewrite::Existing(pair.rhs),
        (_, Some(0.0)) => Rewrite::Existing(pair.lhs),
        (Some(_), _) | (_, Some(_)) => Rewrite::constant(1.0),
        (None, None) => pair.same_or_keep(),
    }
}

fn compare(function: CompareFunction, lhs: NodeId, rhs: NodeId, graph: &Rebuild) -> Rewrite {
    match (graph.constant(lhs), graph.constant(rhs)) {
        (Some(a), Some(b)) => Rewrite::constant(f64::from(u8::from(function.holds(a, b)))),
        (Some(_), None) | (None, Some(_)) | (None, None) => Rewrite::Keep,
    }
}

fn select(condition: NodeId, on_true: NodeId, on_false: NodeId, graph: &Rebuild) -> Rewrite {
    if on_true == on_false {
        return Rewrite::Existing(on_true);
    }
    if let Some(value) = graph.constant(condition) {
        return Rewrite::Existing(if value != 0.0 { on_true } else { on_false });
    }
    let Op::Elementwise(Elementwise::Unary { function: UnaryFunction::Not, operand }) = graph.op(condition) else {
        return Rewrite::Keep;
    };
    let exchanged = Elementwise::Where { condition: operand, on_true: on_false, on_false: on_true };
    Rewrite::Op(Op::Elementwise(exchanged))
}

fn cast(operand: NodeId, dtype: DType, graph: &Rebuild) -> Rewrite {
    let from = graph.dtype(operand);
    if from == dtype {
        return Rewrite::Existing(operand);
    }
    if let Some(value) = graph.constant(operand) {
        return Rewrite::constant(dtype.round(value));
    }
    if let Op::Leaf(Leaf::Literal { data }) = graph.op(operand)
        && data.storage().bytes() >= StorageType::from(dtype).bytes()
    {
        // So that a device that lacks the literal's own type needs that of the cast alone. A larger type is left to each run.
        let values: Vec<f64> = data.to_f64_vec().into_iter().map(|value| dtype.round(value)).collect();
        let data = Arc::new(Elements::from_f64(dtype, &values));
        return Rewrite::Op(Op::Leaf(Leaf::Literal { data }));
    }
    let Op::Elementwise(Elementwise::Cast { operand: source }) = graph.op(operand) else { return Rewrite::Keep };
    // There and back again, through a type that holds every value of the first.
    if graph.dtype(source) == dtype && holds_all(from, dtype) { Rewrite::Existing(source) } else { Rewrite::Keep }
}

fn round_to(half: Half, operand: NodeId, dtype: DType, graph: &Rebuild) -> Rewrite {
    if let Some(value) = graph.constant(operand) {
        return Rewrite::constant(dtype.round(half.round(value)));
    }
    // The nearest number to one of the type is itself.
    let is_rounded =
        matches!(graph.op(operand), Op::Elementwise(Elementwise::RoundTo { half: inner, .. }) if inner == half);
    if is_rounded { Rewrite::Existing(operand) } else { Rewrite::Keep }
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
            Rewrite::constant(sum(value, count, dtype))
        }
        (Some(value), ReduceFunction::Max | ReduceFunction::Min) => Rewrite::constant(value),
        (_, ReduceFunction::Product) if shape.contains(&0) => Rewrite::constant(1.0),
        (Some(value), ReduceFunction::Product) if value == 1.0 => Rewrite::constant(value),
        (Some(_), ReduceFunction::Product) => Rewrite::Keep,
        // Of no elements, whatever they would be.
        (None, ReduceFunction::Sum) if shape.contains(&0) => Rewrite::constant(0.0),
        (None, _) => Rewrite::Keep,
    }
}

/// `x`, if the node is `-x`.
fn negated(id: NodeId, graph: &Rebuild) -> Option<NodeId> {
    graph.read(id, |op, _, _| {
        let Op::Elementwise(Elementwise::Unary { function: UnaryFunction::Neg, operand }) = op else { return None };
        Some(*operand)
    })
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

/// The sum of `count` times the same value.
fn sum(value: f64, count: usize, dtype: DType) -> f64 {
    match dtype {
        DType::I32 => f64::from((value as i32).wrapping_mul(count as i32)),
        // inf * 0 is NaN, but the sum over nothing is 0.
        DType::F32 | DType::F64 | DType::Bool if count == 0 => 0.0,
        // Zeros add up to 0, also those below it.
        DType::F32 | DType::F64 | DType::Bool => dtype.round(value * count as f64) + 0.0,
    }
}
