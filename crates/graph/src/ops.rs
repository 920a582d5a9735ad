//! What every op means, each in one place: its formula, its shape and dtype rule, its derivative, and its edge cases.
//!
//! A rule reads the operands' nodes and infers the result's shape and dtype, or says what is wrong. A derivative is made of
//! graph nodes, so it can be differentiated again. There are two of each op: the vector-Jacobian product (`vjp`) builds, from
//! the upstream gradient, one expression for each operand that wants one; the Jacobian-vector product (`jvp`) builds, from
//! the tangents of the operands, the tangent of the result.

pub mod all_reduce;
pub mod assemble;
pub mod attention;
pub mod binary;
pub mod compare;
pub mod convolution;
pub mod custom;
pub mod elementwise;
pub mod indexing;
pub mod leaf;
pub mod linear_algebra;
pub mod matmul;
pub mod ordered;
pub mod reduce;
pub mod rounding;
pub mod scan;
pub mod scatter_reduce;
pub mod scatter_replace;
mod special;
pub mod unary;
pub mod views;
pub mod windows;

use crate::arena::Arena;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{Node, NodeId, Origin};
use crate::op::{FLOATS, NUMBERS, Op};
use crate::shape::Shape;

/// What a rule may look at: the arena, and what errors must name.
pub(crate) struct Rule<'a> {
    pub(crate) arena: &'a Arena,
    pub(crate) op: &'static str,
    pub(crate) origin: Origin,
}

impl<'a> Rule<'a> {
    /// An operand. The caller has checked that it is alive and of this graph.
    pub(crate) fn node(&self, id: NodeId) -> &'a Node {
        &self.arena.nodes[id.key]
    }

    pub(crate) fn describe(&self, id: NodeId) -> String {
        self.arena.describe(id)
    }

    /// The dtype of an operand that must hold floats.
    pub(crate) fn float(&self, id: NodeId) -> Result<DType, GraphError> {
        self.dtype_in(id, FLOATS, "a float")
    }

    /// The dtype of an operand that must hold numbers.
    pub(crate) fn number(&self, id: NodeId) -> Result<DType, GraphError> {
        self.dtype_in(id, NUMBERS, "a float or i32")
    }

    /// The dtype of an operand that must be one of `allowed`.
    pub(crate) fn dtype_in(&self, id: NodeId, allowed: &[DType], expected: &'static str) -> Result<DType, GraphError> {
        let dtype = self.node(id).dtype;
        if allowed.contains(&dtype) {
            return Ok(dtype);
        }
        Err(GraphError::DType { origin: self.origin, op: self.op, operand: self.describe(id), dtype, expected })
    }

    /// The dtype of an operand of a function that is defined for `dtypes`.
    pub(crate) fn defined_for(&self, id: NodeId, dtypes: &'static [DType]) -> Result<DType, GraphError> {
        let has = |dtype| dtypes.contains(&dtype);
        let expected = match (has(DType::F32), has(DType::I32), has(DType::Bool)) {
            (true, false, false) => "a float",
            (true, true, false) => "a float or i32",
            (false, false, true) => "bool",
            (false, true, false) => "i32",
            (_, _, true) | (false, false, false) => "of a dtype that the function is defined for",
        };
        self.dtype_in(id, dtypes, expected)
    }

    /// Checks that a number can be an element of a dtype, which is that of `operand`.
    fn held(&self, value: f64, dtype: DType, operand: impl FnOnce() -> String) -> Result<(), GraphError> {
        if dtype.holds(value) {
            return Ok(());
        }
        let (origin, op, what) = (self.origin, self.op, "the value");
        Err(GraphError::Number { origin, op, what, value, operand: operand(), dtype })
    }

    /// The dtype that two operands share.
    pub(crate) fn same_dtype(&self, lhs: NodeId, rhs: NodeId) -> Result<DType, GraphError> {
        let (left, right) = (self.node(lhs).dtype, self.node(rhs).dtype);
        if left == right {
            return Ok(left);
        }
        let (lhs, rhs) = (self.describe(lhs), self.describe(rhs));
        Err(GraphError::DTypesDiffer { origin: self.origin, op: self.op, lhs, left, rhs, right })
    }

    /// The shape that two operands share.
    pub(crate) fn same_shape(&self, lhs: NodeId, rhs: NodeId) -> Result<&'a Shape, GraphError> {
        let (lhs_shape, rhs_shape) = (&self.node(lhs).shape, &self.node(rhs).shape);
        if lhs_shape == rhs_shape {
            return Ok(lhs_shape);
        }
        Err(GraphError::ShapesDiffer {
            origin: self.origin,
            op: self.op,
            lhs: self.describe(lhs),
            lhs_shape: lhs_shape.clone(),
            rhs: self.describe(rhs),
            rhs_shape: rhs_shape.clone(),
        })
    }

    /// Checks that an axis exists in an operand.
    pub(crate) fn axis(&self, id: NodeId, axis: usize) -> Result<(), GraphError> {
        let shape = &self.node(id).shape;
        if axis < shape.rank() {
            return Ok(());
        }
        Err(GraphError::Axis {
            origin: self.origin,
            op: self.op,
            axis: axis as isize,
            operand: self.describe(id),
            shape: shape.clone(),
            rank: shape.rank(),
        })
    }

    /// An operand whose rank is not what the op's attributes need.
    pub(crate) fn rank(&self, id: NodeId, expected: usize) -> Result<(), GraphError> {
        let shape = &self.node(id).shape;
        if shape.rank() == expected {
            return Ok(());
        }
        Err(GraphError::Rank {
            origin: self.origin,
            op: self.op,
            operand: self.describe(id),
            shape: shape.clone(),
            rank: shape.rank(),
            expected: format!("rank {expected}"),
        })
    }
}

/// Shape and dtype of an op's result. `shape` and `dtype` are what the caller wants of ops that leave it open; ops that
/// determine their result ignore them.
pub(crate) fn infer(
    rule: &Rule<'_>,
    op: &Op,
    shape: Option<&Shape>,
    dtype: Option<DType>,
) -> Result<(Shape, DType), GraphError> {
    match op {
        Op::Leaf(leaf) => leaf::infer(rule, leaf, shape, dtype),
        Op::Uniform { step, .. } => leaf::infer_uniform(rule, *step, shape),
        Op::Elementwise(elementwise) => elementwise::infer(rule, elementwise, dtype),
        Op::StopGradient { operand } => Ok((rule.node(*operand).shape.clone(), rule.node(*operand).dtype)),
        Op::AllReduce { operand, .. } => all_reduce::infer(rule, *operand),
        Op::CustomGradient { value, operands, upstream, gradients } => {
            custom::infer(rule, *value, operands, *upstream, gradients)
        }
        Op::View { operand, arrangement } => views::infer(rule, *operand, arrangement, shape),
        Op::Assembly(assembly) => assemble::infer(rule, assembly, shape),
        Op::Reduce { function, operand, axes } => reduce::infer(rule, *function, *operand, *axes),
        Op::ArgMax { operand, axis } => reduce::infer_argmax(rule, *operand, *axis),
        Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
            matmul::infer(rule, *lhs, *rhs, *transpose_lhs, *transpose_rhs)
        }
        Op::Attention(attention) => attention::infer(rule, attention),
        Op::Convolution { input, weight, axes } => convolution::infer(rule, *input, *weight, axes),
        Op::Indexing(indexing) => indexing::infer(rule, *indexing),
        Op::Scan { body, operands, result } => scan::infer(rule, body, operands, *result),
        Op::LinearAlgebra { function, operands } => linear_algebra::infer(rule, *function, operands),
        Op::Ordered(ordered) => ordered::infer(rule, *ordered),
    }
}

/// A node as its derivative sees it.
pub(crate) struct Differentiated<'g, 'a> {
    /// The node, as an expression.
    pub(crate) output: Expr<'g>,
    /// Its shape.
    pub(crate) shape: &'a Shape,
    /// The gradient of the differentiated output with respect to it.
    pub(crate) upstream: Expr<'g>,
    /// Where its derivative's nodes come from: its own origin.
    pub(crate) origin: Origin,
    /// Whether an operand wants a gradient.
    pub(crate) wants: &'a dyn Fn(NodeId) -> bool,
}

impl<'g> Differentiated<'g, '_> {
    /// An operand as an expression.
    pub(crate) fn expr(&self, id: NodeId) -> Expr<'g> {
        Expr::from_id(self.output.graph(), id)
    }

    /// The shape of an operand.
    pub(crate) fn shape_of(&self, id: NodeId) -> Shape {
        self.output.graph().arena().nodes[id.key].shape.clone()
    }
}

/// The vector-Jacobian product of one node: calls `give` with each operand that wants a gradient and its share of it.
pub(crate) fn vjp<'g>(op: &Op, node: &Differentiated<'g, '_>, give: &mut dyn FnMut(NodeId, Expr<'g>)) {
    match op {
        // Leaves have no operands; an index carries no gradient; stop_gradient stops it.
        Op::Leaf(_) | Op::Uniform { .. } | Op::ArgMax { .. } | Op::StopGradient { .. } => {}
        Op::Elementwise(elementwise) => elementwise::vjp(elementwise, node, give),
        Op::AllReduce { operand, .. } => all_reduce::vjp(*operand, node, give),
        Op::CustomGradient { operands, upstream, gradients, .. } => {
            custom::vjp(operands, *upstream, gradients, node, give);
        }
        Op::View { operand, arrangement } => views::vjp(*operand, arrangement, node, give),
        Op::Assembly(assembly) => assemble::vjp(assembly, node, give),
        Op::Reduce { function, operand, .. } => reduce::vjp(*function, *operand, node, give),
        Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
            matmul::vjp(*lhs, *rhs, *transpose_lhs, *transpose_rhs, node, give);
        }
        Op::Attention(attention) => attention::vjp(attention, node, give),
        Op::Convolution { input, weight, axes } => convolution::vjp(*input, *weight, axes, node, give),
        Op::Indexing(indexing) => indexing::vjp(*indexing, node, give),
        // Reverse mode takes all results of a loop together: see `crate::autodiff::scan`.
        Op::Scan { body, operands, result } => scan::vjp(body, operands, *result, node, give),
        Op::LinearAlgebra { function, operands } => linear_algebra::vjp(*function, operands, node, give),
        Op::Ordered(ordered) => ordered::vjp(*ordered, node, give),
    }
}

/// A node as forward mode sees it.
pub(crate) struct Pushed<'g, 'a> {
    /// The node, as an expression.
    pub(crate) output: Expr<'g>,
    /// Its shape.
    pub(crate) shape: &'a Shape,
    /// Where its tangent's nodes come from: its own origin.
    pub(crate) origin: Origin,
    /// The tangent of an operand, of its shape and dtype; `None` is zero.
    pub(crate) tangent: &'a dyn Fn(NodeId) -> Option<Expr<'g>>,
}

impl<'g> Pushed<'g, '_> {
    /// An operand as an expression.
    pub(crate) fn expr(&self, id: NodeId) -> Expr<'g> {
        Expr::from_id(self.output.graph(), id)
    }

    /// The shape of an operand.
    pub(crate) fn shape_of(&self, id: NodeId) -> Shape {
        self.output.graph().arena().nodes[id.key].shape.clone()
    }

    /// The dtype of the node and of its tangent.
    pub(crate) fn dtype(&self) -> DType {
        self.output.read("jvp", self.origin, |_, output| output.dtype).unwrap_or(DType::F32)
    }

    /// The tangent of an operand, as zeros where it is zero.
    pub(crate) fn tangent_or_zeros(&self, id: NodeId) -> Expr<'g> {
        (self.tangent)(id).unwrap_or_else(|| self.output.graph().zeros(self.shape_of(id), self.dtype()))
    }

    /// Inserts an op; one without an operand (`None`) is of a poisoned tangent, and poisoned too.
    pub(crate) fn insert(&self, op: impl FnOnce() -> Option<Op>, shape: Option<&Shape>) -> Expr<'g> {
        match op() {
            Some(op) => self.output.insert(op, shape, None, self.origin),
            None => Expr::poisoned(self.output.graph()),
        }
    }
}

/// The Jacobian-vector product of one node: its tangent, of its shape and dtype. `None` is zero.
pub(crate) fn jvp<'g>(op: &Op, node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    match op {
        // Leaves have no operands; an index has no tangent; stop_gradient stops it.
        Op::Leaf(_) | Op::Uniform { .. } | Op::ArgMax { .. } | Op::StopGradient { .. } => None,
        Op::Elementwise(elementwise) => elementwise::jvp(elementwise, node),
        Op::AllReduce { operand, .. } => all_reduce::jvp(*operand, node),
        Op::CustomGradient { operands, upstream, gradients, .. } => custom::jvp(operands, *upstream, gradients, node),
        Op::View { operand, .. } => views::jvp(op, *operand, node),
        Op::Assembly(assembly) => assemble::jvp(assembly, node),
        Op::Reduce { function, operand, axes } => reduce::jvp(*function, *operand, *axes, node),
        Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } => {
            matmul::jvp(*lhs, *rhs, *transpose_lhs, *transpose_rhs, node)
        }
        Op::Attention(attention) => attention::jvp(attention, node),
        Op::Convolution { input, weight, axes } => convolution::jvp(*input, *weight, axes, node),
        Op::Indexing(indexing) => indexing::jvp(*indexing, node),
        Op::Scan { body, operands, result } => scan::jvp(body, operands, *result, node),
        Op::LinearAlgebra { function, operands } => linear_algebra::jvp(*function, operands, node),
        Op::Ordered(ordered) => ordered::jvp(*ordered, node),
    }
}

/// The sum of two parts of a derivative, of which each may be zero.
fn sum<'g>(a: Option<Expr<'g>>, b: Option<Expr<'g>>) -> Option<Expr<'g>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, None) | (None, one) => one,
    }
}
