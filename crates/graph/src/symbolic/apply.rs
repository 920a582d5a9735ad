//! Applying a formula: its nodes are replayed over expressions of another graph.

use crate::arena::{Arena, Graph};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Elementwise, Leaf, Op};
use crate::shape::Shape;
use crate::symbolic::error::ApplyError;
use crate::symbolic::form::{Form, FormulaFunction};
use crate::symbolic::formula::Formula;

impl Formula {
    /// Appends the formula to another graph, over an expression for each symbol, and returns the expression of its value.
    ///
    /// The arguments are floats of one dtype and of any shapes that broadcast with each other; the formula is applied to their
    /// elements. Numbers in it take the arguments' dtype, and the result has their common shape, even where the formula
    /// does not depend on all of them. Without arguments the result is an f64 scalar.
    ///
    /// A symbol of the text that this formula no longer depends on, such as `y` in the derivative of `x + y`, may be given
    /// or left out.
    ///
    /// Errors: a symbol without a value; a value for a name that the text never had, or twice for one; arguments of
    /// integers or truth values, of different dtypes, of shapes that do not broadcast, or of another graph.
    ///
    /// ```
    /// use arenagrad_graph::{DType, Graph, symbolic::parse};
    ///
    /// let gelu = parse("x*(1 + tanh(0.79788456*(x + 0.044715*x^3)))/2").unwrap();
    /// let g = Graph::new();
    /// let y = gelu.apply(&g, &[("x", g.input("hidden", [64, 128]))]).unwrap();
    /// assert_eq!((y.shape().unwrap().dims(), y.dtype().unwrap()), (&[64, 128][..], DType::F32));
    /// ```
    #[track_caller]
    pub fn apply<'g>(&self, graph: &'g Graph, arguments: &[(&str, Expr<'g>)]) -> Result<Expr<'g>, ApplyError> {
        let origin = graph.origin_or(Origin::here());
        graph.attempt(|| self.replay(graph, arguments, true, origin))
    }

    /// [`Formula::apply`] for where digits matter more than time: differences from 1 that would cancel are computed by functions
    /// that keep all digits.
    ///
    /// | in the formula | computed as |
    /// |---|---|
    /// | `1 - sigmoid(x)` | `sigmoid(-x)` |
    /// | `1 - tanh(x)^2` | `4*sigmoid(2*x)*sigmoid(-2*x)` |
    /// | `log(1 + x)` | `log1p(x)` |
    /// | `exp(x) - 1` | `expm1(x)` |
    ///
    /// Errors as [`Formula::apply`].
    #[track_caller]
    pub fn apply_accurately<'g>(
        &self,
        graph: &'g Graph,
        arguments: &[(&str, Expr<'g>)],
    ) -> Result<Expr<'g>, ApplyError> {
        let origin = graph.origin_or(Origin::here());
        graph.attempt(|| self.replay(graph, arguments, false, origin))
    }

    fn replay<'g>(
        &self,
        graph: &'g Graph,
        arguments: &[(&str, Expr<'g>)],
        cancellation: bool,
        origin: Origin,
    ) -> Result<Expr<'g>, ApplyError> {
        let nodes = self.nodes();
        let operands = self.operands(&nodes, arguments, origin)?;
        let (shape, dtype) = common(graph, arguments, origin)?;
        let mut values: Vec<Option<Expr<'g>>> = vec![None; self.graph().ordinal_bound()];
        let arena = self.graph().arena();
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let poisoned = Expr::poisoned(graph);
        for &id in &nodes {
            let value = |id: NodeId| values[ordinal(id)].unwrap_or(poisoned);
            let accurate = if cancellation { None } else { without_cancellation(&arena, id, &value) };
            if accurate.is_some() {
                values[ordinal(id)] = accurate;
                continue;
            }
            let result = match &arena.nodes[id.key].op {
                Op::Leaf(Leaf::Input { declaration }) => operands[*declaration as usize].unwrap_or(poisoned),
                Op::Leaf(Leaf::Constant { value }) => {
                    let op = Op::constant(dtype.round(*value));
                    graph.finish(graph.insert(op, Some(&Shape::scalar()), Some(dtype), origin))
                }
                Op::Elementwise(elementwise) => match elementwise.map(value) {
                    Elementwise::Unary { function, operand } => operand.unary(function, origin),
                    Elementwise::Binary { function, lhs, rhs } => lhs.binary(function, rhs, origin),
                    Elementwise::Compare { function, lhs, rhs } => lhs.compare(function, rhs, origin),
                    Elementwise::Where { condition, on_true, on_false } => condition.select(on_true, on_false, origin),
                    Elementwise::Cast { .. } | Elementwise::RoundTo { .. } => poisoned,
                },
                // No formula holds one: its arena is filled by the parser, by reverse mode and by simplification.
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
                | Op::Scan { .. }
                | Op::LinearAlgebra { .. }
                | Op::Ordered(_) => poisoned,
            };
            values[ordinal(id)] = Some(result);
        }
        let result = self.output().and_then(|output| values[ordinal(output)]).unwrap_or(poisoned);
        let result = if result.shape()? == shape { result } else { result.broadcast_to(shape) };
        result.id()?;
        Ok(result)
    }

    /// The arguments by the number of the symbol's declaration; there is one for each symbol among the nodes.
    fn operands<'g>(
        &self,
        nodes: &[NodeId],
        arguments: &[(&str, Expr<'g>)],
        origin: Origin,
    ) -> Result<Vec<Option<Expr<'g>>>, ApplyError> {
        let arena = self.graph().arena();
        let mut operands = vec![None; arena.declarations.len()];
        for (name, argument) in arguments {
            let Some(&number) = arena.names.get(*name) else {
                let known: Vec<_> = arena.declarations.iter().map(|known| format!("{:?}", known.name)).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(ApplyError::UnknownArgument { origin, name: (*name).to_owned(), known });
            };
            if operands[number as usize].replace(*argument).is_some() {
                return Err(ApplyError::RepeatedArgument { origin, name: (*name).to_owned() });
            }
        }
        for id in nodes {
            let Op::Leaf(Leaf::Input { declaration }) = arena.nodes[id.key].op else { continue };
            if operands[declaration as usize].is_none() {
                let name = arena.label(id.key).unwrap_or_default().to_owned();
                return Err(ApplyError::MissingArgument { origin, name });
            }
        }
        Ok(operands)
    }
}

/// The shape to which all arguments broadcast, and their dtype.
fn common(graph: &Graph, arguments: &[(&str, Expr<'_>)], origin: Origin) -> Result<(Shape, DType), ApplyError> {
    let op = "apply";
    let read = |argument: &Expr<'_>| {
        let id = argument.id_in(graph, op, origin)?;
        graph.read(id, op, origin, |node| (node.shape.clone(), node.dtype))
    };
    let Some((_, first)) = arguments.first() else { return Ok((Shape::scalar(), DType::F64)) };
    let (mut shape, dtype) = read(first)?;
    for (name, argument) in arguments {
        let (own_shape, own_dtype) = read(argument)?;
        let operand = format!("the argument {name:?}");
        if !own_dtype.is_float() {
            return Err(GraphError::DType { origin, op, operand, dtype: own_dtype, expected: "a float" }.into());
        }
        if own_dtype != dtype {
            let lhs = format!("the argument {:?}", arguments[0].0);
            return Err(
                GraphError::DTypesDiffer { origin, op, lhs, left: dtype, rhs: operand, right: own_dtype }.into()
            );
        }
        shape = shape.broadcast(&own_shape).map_err(|(left, right)| GraphError::Broadcast {
            origin,
            op,
            lhs: "of the arguments before".to_owned(),
            lhs_shape: shape.clone(),
            rhs: operand,
            rhs_shape: own_shape.clone(),
            left,
            right,
        })?;
    }
    Ok((shape, dtype))
}

/// The value of a node whose own operation would subtract nearly equal numbers, by one that does not; none for other nodes.
fn without_cancellation<'g>(arena: &Arena, id: NodeId, value: &dyn Fn(NodeId) -> Expr<'g>) -> Option<Expr<'g>> {
    let is_one = |id| Form::resolved(arena, id) == Form::Number(1.0);
    let form = Form::of(arena, id);
    if let Form::Difference(one, x) = form
        && is_one(one)
    {
        return complement(arena, x, value);
    }
    if let Form::Difference(x, one) = form
        && is_one(one)
    {
        if let Form::Call(FormulaFunction::Exp, x) = Form::resolved(arena, x) {
            return Some(value(x).expm1());
        }
        return complement(arena, x, value).map(|complement| -complement);
    }
    if let Form::Call(FormulaFunction::Log, x) = form {
        return match Form::resolved(arena, x) {
            Form::Sum(one, x) | Form::Sum(x, one) if is_one(one) => Some(value(x).log1p()),
            Form::Difference(one, x) if is_one(one) => Some((-value(x)).log1p()),
            Form::Number(_)
            | Form::Symbol(_)
            | Form::Negation(_)
            | Form::Sum(..)
            | Form::Difference(..)
            | Form::Product(..)
            | Form::Quotient(..)
            | Form::Power(..)
            | Form::Call(..)
            | Form::Masked(..)
            | Form::Guarded(..)
            | Form::Same(_)
            | Form::Foreign => None,
        };
    }
    None
}

/// 1 minus a node, if that is a sigmoid or the square of a hyperbolic tangent.
fn complement<'g>(arena: &Arena, id: NodeId, value: &dyn Fn(NodeId) -> Expr<'g>) -> Option<Expr<'g>> {
    let form = Form::resolved(arena, id);
    if let Form::Call(FormulaFunction::Sigmoid, x) = form {
        return Some((-value(x)).sigmoid());
    }
    let base = match form {
        Form::Product(a, b) if a == b => a,
        Form::Power(base, exponent) if Form::resolved(arena, exponent) == Form::Number(2.0) => base,
        Form::Number(_)
        | Form::Symbol(_)
        | Form::Negation(_)
        | Form::Sum(..)
        | Form::Difference(..)
        | Form::Product(..)
        | Form::Quotient(..)
        | Form::Power(..)
        | Form::Call(..)
        | Form::Masked(..)
        | Form::Guarded(..)
        | Form::Same(_)
        | Form::Foreign => return None,
    };
    if let Form::Call(FormulaFunction::Tanh, x) = Form::resolved(arena, base) {
        let twice = value(x) * 2.0;
        return Some(twice.sigmoid() * (-twice).sigmoid() * 4.0);
    }
    None
}
