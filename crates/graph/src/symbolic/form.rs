//! Nodes as a reader of mathematics sees them: what printing and simplification look at.
//!
//! The engine's tangent is a sine over a cosine, its square root may be a power, and the derivatives of `relu` and of a power
//! come with selections of their own. This is the one place that knows which nodes mean what on paper. A formula's arena
//! holds f64 scalars, inserted by the parser, by reverse mode and by simplification, and nothing else.

use crate::arena::Arena;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{BinaryFunction, CompareFunction, Elementwise, Leaf, Op, UnaryFunction};

/// A function of the text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum FormulaFunction {
    Exp,
    Log,
    Sqrt,
    Sin,
    Cos,
    Tan,
    Tanh,
    Sigmoid,
    Relu,
    Abs,
    Sign,
    Step,
}

impl FormulaFunction {
    /// Every function, in the order in which errors list them.
    pub(super) const ALL: [FormulaFunction; 12] = {
        use FormulaFunction::*;
        [Exp, Log, Sqrt, Sin, Cos, Tan, Tanh, Sigmoid, Relu, Abs, Sign, Step]
    };

    /// The name in the text form.
    pub(super) fn name(self) -> &'static str {
        match self {
            FormulaFunction::Exp => "exp",
            FormulaFunction::Log => "log",
            FormulaFunction::Sqrt => "sqrt",
            FormulaFunction::Sin => "sin",
            FormulaFunction::Cos => "cos",
            FormulaFunction::Tan => "tan",
            FormulaFunction::Tanh => "tanh",
            FormulaFunction::Sigmoid => "sigmoid",
            FormulaFunction::Relu => "relu",
            FormulaFunction::Abs => "abs",
            FormulaFunction::Sign => "sign",
            FormulaFunction::Step => "step",
        }
    }

    /// The function of that name.
    pub(super) fn named(name: &str) -> Option<FormulaFunction> {
        FormulaFunction::ALL.into_iter().find(|function| function.name() == name)
    }

    /// Appends the function of an expression to its graph.
    pub(super) fn of(self, x: Expr<'_>) -> Expr<'_> {
        match self {
            FormulaFunction::Exp => x.exp(),
            FormulaFunction::Log => x.log(),
            FormulaFunction::Sqrt => x.sqrt(),
            FormulaFunction::Sin => x.sin(),
            FormulaFunction::Cos => x.cos(),
            FormulaFunction::Tan => x.tan(),
            FormulaFunction::Tanh => x.tanh(),
            FormulaFunction::Sigmoid => x.sigmoid(),
            FormulaFunction::Relu => x.relu(),
            FormulaFunction::Abs => x.abs(),
            FormulaFunction::Sign => x.sign(),
            FormulaFunction::Step => x.constant_beside(1.0, Origin::here()).relu_backward(x),
        }
    }

    /// The engine's function of the same meaning, if it is one function.
    fn unary(self) -> Option<UnaryFunction> {
        match self {
            FormulaFunction::Exp => Some(UnaryFunction::Exp),
            FormulaFunction::Log => Some(UnaryFunction::Log),
            FormulaFunction::Sqrt => Some(UnaryFunction::Sqrt),
            FormulaFunction::Sin => Some(UnaryFunction::Sin),
            FormulaFunction::Cos => Some(UnaryFunction::Cos),
            FormulaFunction::Tanh => Some(UnaryFunction::Tanh),
            FormulaFunction::Sigmoid => Some(UnaryFunction::Sigmoid),
            FormulaFunction::Relu => Some(UnaryFunction::Relu),
            FormulaFunction::Abs => Some(UnaryFunction::Abs),
            FormulaFunction::Sign => Some(UnaryFunction::Sign),
            FormulaFunction::Tan | FormulaFunction::Step => None,
        }
    }

    fn of_unary(function: UnaryFunction) -> Option<FormulaFunction> {
        FormulaFunction::ALL.into_iter().find(|own| own.unary() == Some(function))
    }
}

/// What a node means on paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Number(f64),
    /// A symbol, by the number of its declaration.
    Symbol(u32),
    Negation(NodeId),
    Sum(NodeId, NodeId),
    Difference(NodeId, NodeId),
    Product(NodeId, NodeId),
    Quotient(NodeId, NodeId),
    Power(NodeId, NodeId),
    Call(FormulaFunction, NodeId),
    /// The first where the second is above 0, else 0 whatever the first is: on paper a product with `step`.
    Masked(NodeId, NodeId),
    /// The node, but 0 at an edge of a power's domain.
    Guarded(NodeId, Edge),
    /// The node itself.
    Same(NodeId),
    /// No node of a formula is one.
    Foreign,
}

/// Where a power's derivative is 0 although its formula would be the product of 0 and an infinity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    /// Is 0 there.
    pub(super) base: NodeId,
    pub(super) exponent: NodeId,
    pub(super) side: Side,
}

/// What the exponent is at an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Zero,
    NotNegative,
}

impl Form {
    /// What the node means.
    pub(super) fn of(arena: &Arena, id: NodeId) -> Form {
        match &arena.nodes[id.key].op {
            Op::Leaf(Leaf::Input { declaration }) => Form::Symbol(*declaration),
            Op::Leaf(Leaf::Constant { value }) => Form::Number(*value),
            Op::Elementwise(elementwise) => Form::of_elementwise(arena, elementwise),
            Op::Leaf(_)
            | Op::Uniform { .. }
            | Op::StopGradient { .. }
            | Op::AllReduce { .. }
            | Op::CustomGradient { .. }
            | Op::View { .. }
            | Op::Assembly(_)
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::MatMul { .. }
            | Op::Attention(_)
            | Op::Convolution { .. }
            | Op::Indexing(_)
            | Op::Ordered(_)
            | Op::Scan { .. }
            | Op::LinearAlgebra { .. } => Form::Foreign,
        }
    }

    /// What the node means, past all nodes that mean the same.
    pub(super) fn resolved(arena: &Arena, mut id: NodeId) -> Form {
        loop {
            let form = Form::of(arena, id);
            let Form::Same(inner) = form else { return form };
            id = inner;
        }
    }

    /// The nodes that this one is made of, from left to right.
    pub(super) fn operands(self) -> impl Iterator<Item = NodeId> {
        let operands = match self {
            Form::Number(_) | Form::Symbol(_) | Form::Foreign => [None; 3],
            Form::Negation(x) | Form::Call(_, x) | Form::Same(x) => [Some(x), None, None],
            Form::Guarded(x, edge) => [Some(x), Some(edge.base), Some(edge.exponent)],
            Form::Sum(a, b)
            | Form::Difference(a, b)
            | Form::Product(a, b)
            | Form::Quotient(a, b)
            | Form::Power(a, b)
            | Form::Masked(a, b) => [Some(a), Some(b), None],
        };
        operands.into_iter().flatten()
    }

    fn of_elementwise(arena: &Arena, elementwise: &Elementwise<NodeId>) -> Form {
        match *elementwise {
            Elementwise::Unary { function: UnaryFunction::Neg, operand } => Form::Negation(operand),
            Elementwise::Unary { function, operand } => match FormulaFunction::of_unary(function) {
                Some(function) => Form::Call(function, operand),
                None => Form::Foreign,
            },
            Elementwise::Binary { function, lhs, rhs } => Form::of_binary(arena, function, lhs, rhs),
            Elementwise::Where { condition, on_true, on_false } => Form::of_where(arena, condition, on_true, on_false),
            Elementwise::Compare { .. } | Elementwise::Cast { .. } | Elementwise::RoundTo { .. } => Form::Foreign,
        }
    }

    fn of_where(arena: &Arena, condition: NodeId, on_true: NodeId, on_false: NodeId) -> Form {
        let op = |id: NodeId| &arena.nodes[id.key].op;
        let compared = |id: NodeId| {
            let Op::Elementwise(Elementwise::Compare { function, lhs, rhs }) = op(id) else { return None };
            is_zero(arena, *rhs).then_some((*function, *lhs))
        };
        let Op::Elementwise(Elementwise::Binary { function: BinaryFunction::And, lhs, rhs }) = op(condition) else {
            return Form::Foreign;
        };
        let (Some((CompareFunction::Equal, base)), Some((function, exponent))) = (compared(*lhs), compared(*rhs))
        else {
            return Form::Foreign;
        };
        let side = match function {
            CompareFunction::Equal => Side::Zero,
            CompareFunction::GreaterEqual => Side::NotNegative,
            CompareFunction::NotEqual
            | CompareFunction::Less
            | CompareFunction::LessEqual
            | CompareFunction::Greater => {
                return Form::Foreign;
            }
        };
        if !is_zero(arena, on_true) {
            return Form::Foreign;
        }
        if known_number(arena, base).is_some_and(|number| number != 0.0) {
            return Form::Same(on_false);
        }
        match (side, known_number(arena, exponent)) {
            (Side::Zero, Some(number)) if number != 0.0 => Form::Same(on_false),
            (Side::NotNegative, Some(number)) if number < 0.0 => Form::Same(on_false),
            (Side::Zero | Side::NotNegative, _) => Form::Guarded(on_false, Edge { base, exponent, side }),
        }
    }

    fn of_binary(arena: &Arena, function: BinaryFunction, lhs: NodeId, rhs: NodeId) -> Form {
        if function == BinaryFunction::ReluBackward {
            return Form::of_relu_backward(arena, lhs, rhs);
        }
        if function == BinaryFunction::Div
            && let Some((UnaryFunction::Sin, x)) = called(arena, lhs)
            && called(arena, rhs) == Some((UnaryFunction::Cos, x))
        {
            return Form::Call(FormulaFunction::Tan, x);
        }
        type Written = (BinaryFunction, fn(NodeId, NodeId) -> Form);
        let written: [Written; 5] = [
            (BinaryFunction::Add, Form::Sum),
            (BinaryFunction::Sub, Form::Difference),
            (BinaryFunction::Mul, Form::Product),
            (BinaryFunction::Div, Form::Quotient),
            (BinaryFunction::Pow, Form::Power),
        ];
        // What has no sign on paper is in no formula.
        written.iter().find(|(known, _)| *known == function).map_or(Form::Foreign, |(_, form)| form(lhs, rhs))
    }

    fn of_relu_backward(arena: &Arena, lhs: NodeId, rhs: NodeId) -> Form {
        let mut condition = rhs;
        // relu(x) is above 0 exactly where x is.
        while let Some((UnaryFunction::Relu, x)) = called(arena, condition) {
            condition = x;
        }
        if arena.nodes[lhs.key].op == Op::constant(1.0) {
            Form::Call(FormulaFunction::Step, condition)
        } else {
            Form::Masked(lhs, condition)
        }
    }
}

/// A node without the minus signs before it, and whether their number is odd.
pub(super) fn without_sign(arena: &Arena, mut id: NodeId) -> (bool, NodeId) {
    let mut negated = false;
    while let Form::Negation(x) = Form::resolved(arena, id) {
        id = x;
        negated = !negated;
    }
    (negated, id)
}

/// The value of a node that is a number or a fraction less numbers, as the exponents of repeated derivatives are.
fn known_number(arena: &Arena, mut id: NodeId) -> Option<f64> {
    let mut subtracted = Vec::new();
    while let Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Sub, lhs, rhs }) = arena.nodes[id.key].op
    {
        subtracted.push(signed_number(arena, rhs)?);
        id = lhs;
    }
    let mut sign = 1.0;
    if let Some((UnaryFunction::Neg, operand)) = called(arena, id) {
        (sign, id) = (-1.0, operand);
    }
    let number = if let Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Div, lhs, rhs }) =
        arena.nodes[id.key].op
    {
        signed_number(arena, lhs)? / signed_number(arena, rhs)?
    } else {
        signed_number(arena, id)?
    };
    Some(subtracted.into_iter().rev().fold(sign * number, |value, by| value - by))
}

/// The value of a number with or without a minus before it.
fn signed_number(arena: &Arena, id: NodeId) -> Option<f64> {
    let number =
        |id: NodeId| if let Op::Leaf(Leaf::Constant { value }) = arena.nodes[id.key].op { Some(value) } else { None };
    if let Some((UnaryFunction::Neg, operand)) = called(arena, id) { Some(-number(operand)?) } else { number(id) }
}

fn is_zero(arena: &Arena, id: NodeId) -> bool {
    matches!(arena.nodes[id.key].op, Op::Leaf(Leaf::Constant { value: 0.0 }))
}

fn called(arena: &Arena, id: NodeId) -> Option<(UnaryFunction, NodeId)> {
    if let Op::Elementwise(Elementwise::Unary { function, operand }) = arena.nodes[id.key].op {
        Some((function, operand))
    } else {
        None
    }
}
