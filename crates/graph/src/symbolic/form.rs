//! Nodes as a reader of mathematics sees them: what printing and simplification look at.
//!
//! The engine's tangent is a sine over a cosine, its square root may be a power, and the derivatives of `relu` and of a power
//! come with selections of their own. This is the one place that knows which nodes mean what on paper. A formula's arena
//! holds f64 scalars, inserted by the parser, by reverse mode and by simplification, and nothing else.

use crate::arena::Arena;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{BinaryFunction, Op, UnaryFunction};

/// A function of the text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Function {
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

impl Function {
    /// Every function, in the order in which errors list them.
    pub(super) const ALL: [Function; 12] = {
        use Function::*;
        [Exp, Log, Sqrt, Sin, Cos, Tan, Tanh, Sigmoid, Relu, Abs, Sign, Step]
    };

    /// The name in the text form.
    pub(super) fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Log => "log",
            Function::Sqrt => "sqrt",
            Function::Sin => "sin",
            Function::Cos => "cos",
            Function::Tan => "tan",
            Function::Tanh => "tanh",
            Function::Sigmoid => "sigmoid",
            Function::Relu => "relu",
            Function::Abs => "abs",
            Function::Sign => "sign",
            Function::Step => "step",
        }
    }

    /// The function of that name.
    pub(super) fn named(name: &str) -> Option<Function> {
        Function::ALL.into_iter().find(|function| function.name() == name)
    }

    /// Appends the function of an expression to its graph.
    pub(super) fn of(self, x: Expr<'_>) -> Expr<'_> {
        match self {
            Function::Exp => x.exp(),
            Function::Log => x.log(),
            Function::Sqrt => x.sqrt(),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Tan => x.tan(),
            Function::Tanh => x.tanh(),
            Function::Sigmoid => x.sigmoid(),
            Function::Relu => x.relu(),
            Function::Abs => x.abs(),
            Function::Sign => x.sign(),
            Function::Step => x.constant_beside(1.0, Origin::here()).relu_backward(x),
        }
    }

    fn of_unary(function: UnaryFunction) -> Option<Function> {
        match function {
            UnaryFunction::Exp => Some(Function::Exp),
            UnaryFunction::Log => Some(Function::Log),
            UnaryFunction::Sqrt => Some(Function::Sqrt),
            UnaryFunction::Sin => Some(Function::Sin),
            UnaryFunction::Cos => Some(Function::Cos),
            UnaryFunction::Tanh => Some(Function::Tanh),
            UnaryFunction::Sigmoid => Some(Function::Sigmoid),
            UnaryFunction::Relu => Some(Function::Relu),
            UnaryFunction::Abs => Some(Function::Abs),
            UnaryFunction::Sign => Some(Function::Sign),
            UnaryFunction::Neg
            | UnaryFunction::Floor
            | UnaryFunction::Ceil
            | UnaryFunction::Round
            | UnaryFunction::Expm1
            | UnaryFunction::Log1p
            | UnaryFunction::Erf
            | UnaryFunction::Not => None,
        }
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
    Call(Function, NodeId),
    /// The first where the second is above 0, else 0: on paper a product with `step`.
    Masked(NodeId, NodeId),
    /// The function of the node itself; only the edges of its domain differ.
    Same(NodeId),
    /// No node of a formula is one.
    Foreign,
}

impl Form {
    /// What the node means.
    pub(super) fn of(arena: &Arena, id: NodeId) -> Form {
        match &arena.nodes[id.key].op {
            Op::Input { declaration } => Form::Symbol(*declaration),
            Op::Constant { value } => Form::Number(*value),
            Op::Unary { function: UnaryFunction::Neg, operand } => Form::Negation(*operand),
            Op::Unary { function, operand } => match Function::of_unary(*function) {
                Some(function) => Form::Call(function, *operand),
                None => Form::Foreign,
            },
            Op::Binary { function, lhs, rhs } => Form::of_binary(arena, *function, *lhs, *rhs),
            // A power's derivative is 0 at an edge where its formula would be the product of 0 and an infinity.
            Op::Where { on_false, .. } => Form::Same(*on_false),
            Op::Parameter { .. }
            | Op::Literal { .. }
            | Op::Iota { .. }
            | Op::Uniform { .. }
            | Op::Compare { .. }
            | Op::Cast { .. }
            | Op::Placeholder
            | Op::CustomGradient { .. }
            | Op::StopGradient { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Broadcast { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::MatMul { .. }
            | Op::Gather { .. }
            | Op::ScatterAdd { .. } => Form::Foreign,
        }
    }

    /// What the node means, past all nodes that mean the same.
    pub(super) fn resolved(arena: &Arena, mut id: NodeId) -> Form {
        loop {
            match Form::of(arena, id) {
                Form::Same(inner) => id = inner,
                form => return form,
            }
        }
    }

    /// The nodes that this one is made of, from left to right.
    pub(super) fn operands(self) -> impl Iterator<Item = NodeId> {
        let (first, second) = match self {
            Form::Number(_) | Form::Symbol(_) | Form::Foreign => (None, None),
            Form::Negation(x) | Form::Call(_, x) | Form::Same(x) => (Some(x), None),
            Form::Sum(a, b)
            | Form::Difference(a, b)
            | Form::Product(a, b)
            | Form::Quotient(a, b)
            | Form::Power(a, b)
            | Form::Masked(a, b) => (Some(a), Some(b)),
        };
        first.into_iter().chain(second)
    }

    fn of_binary(arena: &Arena, function: BinaryFunction, lhs: NodeId, rhs: NodeId) -> Form {
        match function {
            BinaryFunction::Add => Form::Sum(lhs, rhs),
            BinaryFunction::Sub => Form::Difference(lhs, rhs),
            BinaryFunction::Mul => Form::Product(lhs, rhs),
            BinaryFunction::Div => {
                if let Some((UnaryFunction::Sin, x)) = called(arena, lhs)
                    && called(arena, rhs) == Some((UnaryFunction::Cos, x))
                {
                    return Form::Call(Function::Tan, x);
                }
                Form::Quotient(lhs, rhs)
            }
            BinaryFunction::Pow => Form::Power(lhs, rhs),
            BinaryFunction::ReluBackward => {
                let mut condition = rhs;
                // relu(x) is above 0 exactly where x is.
                while let Some((UnaryFunction::Relu, x)) = called(arena, condition) {
                    condition = x;
                }
                if matches!(arena.nodes[lhs.key].op, Op::Constant { value: 1.0 }) {
                    Form::Call(Function::Step, condition)
                } else {
                    Form::Masked(lhs, condition)
                }
            }
            BinaryFunction::Maximum | BinaryFunction::Minimum | BinaryFunction::And | BinaryFunction::Or => {
                Form::Foreign
            }
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

fn called(arena: &Arena, id: NodeId) -> Option<(UnaryFunction, NodeId)> {
    if let Op::Unary { function, operand } = arena.nodes[id.key].op { Some((function, operand)) } else { None }
}
