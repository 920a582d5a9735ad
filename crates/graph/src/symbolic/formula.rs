//! A formula: a shared arena and the node of its value.

use std::fmt;
use std::rc::Rc;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::Op;
use crate::shape::Shape;
use crate::symbolic::error::ApplyError;
use crate::symbolic::{latex, render, simplify, text};

/// A function of named scalars: an arena of f64 scalars, and the node of the value in it.
///
/// A formula, its derivatives and its simplified forms share one arena, which only grows. Cloning is cheap. [`crate::symbolic`]
/// explains the text form, in which a formula is read and printed.
///
/// ```
/// use arenagrad_graph::symbolic::parse;
///
/// let f = parse("tanh(a*x)/b")?;
/// assert_eq!(f.symbols(), ["a", "x", "b"]);
/// let slope = f.diff("x").simplify();
/// assert_eq!(slope.to_string(), "a*(1 - tanh(a*x)^2)/b");
/// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
/// ```
#[derive(Clone)]
pub struct Formula {
    graph: Rc<Graph>,
    /// None once the arena was full, which four thousand million nodes make it. Such a formula is undefined everywhere.
    output: Option<NodeId>,
}

impl Formula {
    /// The symbols that the value depends on, in the order in which the text named them first.
    pub fn symbols(&self) -> Vec<String> {
        let nodes = self.nodes();
        let arena = self.graph.arena();
        let symbols = nodes.iter().filter(|id| matches!(arena.nodes[id.key].op, Op::Input { .. }));
        symbols.filter_map(|id| arena.label(id.key).map(str::to_owned)).collect()
    }

    /// The symbols of the text and of everything made from it, whether the value depends on them or not.
    pub fn known_symbols(&self) -> Vec<String> {
        self.graph.arena().declarations.iter().map(|symbol| symbol.name.clone()).collect()
    }

    /// The derivative with respect to a symbol: the engine's reverse mode, appended to the same arena and not simplified. A name
    /// that does not occur gives 0.
    pub fn diff(&self, name: &str) -> Formula {
        let graph = &*self.graph;
        let symbol = {
            let arena = graph.arena();
            arena.names.get(name).map(|&number| arena.declarations[number as usize].node)
        };
        let derivative = match (self.output, symbol) {
            (Some(output), Some(symbol)) => {
                graph.expr(output).grad([graph.expr(symbol)]).map(|[derivative]| derivative)
            }
            (Some(_), None) => Ok(graph.zeros([], DType::F64)),
            (None, _) => return self.clone(),
        };
        let output = derivative.ok().and_then(|derivative| derivative.id().ok());
        Formula::new(Rc::clone(&self.graph), output)
    }

    /// What a person would write for the same function, as new nodes of the same arena.
    ///
    /// The value is that of this formula wherever this is defined and finite, up to rounding; it may be defined where this is
    /// not, as `x/x` becomes 1. The selections at the edges of a power's derivative go: `x^y` differentiated with respect to `y`
    /// is 0 at `x = 0`, but simplified it is `x^y*log(x)`, which has no value there.
    ///
    /// ```
    /// use arenagrad_graph::symbolic::parse;
    ///
    /// let derivative = |text: &str| Ok::<_, arenagrad_graph::symbolic::ParseError>(parse(text)?.diff("x").simplify().to_string());
    /// assert_eq!(derivative("x/(1 + x)")?, "1/(x + 1)^2");
    /// assert_eq!(derivative("tan(x)")?, "tan(x)^2 + 1");
    /// assert_eq!(derivative("x^x")?, "x^x*(log(x) + 1)");
    /// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
    /// ```
    pub fn simplify(&self) -> Formula {
        let output = self.output.map(|output| simplify::simplify(&self.graph, output));
        Formula::new(Rc::clone(&self.graph), output)
    }

    /// The formula in LaTeX, to be set in mathematics mode. Greek letters are recognised by their names, and what follows an
    /// underscore, or digits at the end of a name, are set as an index.
    ///
    /// ```
    /// use arenagrad_graph::symbolic::parse;
    ///
    /// let f = parse("sqrt(x_1)/(2*exp(alpha))")?;
    /// assert_eq!(f.latex(), r"\frac{\sqrt{x_{1}}}{2 e^{\alpha}}");
    /// # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
    /// ```
    pub fn latex(&self) -> String {
        let mut text = String::new();
        if let Some(output) = self.output
            && render::write(&mut text, &self.graph.arena(), output, latex::pieces).is_ok()
        {
            return text;
        }
        "\\text{undefined}".to_owned()
    }

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
        let operands = self.operands(arguments, origin)?;
        let (shape, dtype) = common(graph, arguments, origin)?;
        let nodes = self.nodes();
        let mut values: Vec<Option<Expr<'g>>> = vec![None; self.graph.ordinal_bound()];
        let arena = self.graph.arena();
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let poisoned = Expr::poisoned(graph);
        for &id in &nodes {
            let value = |id: NodeId| values[ordinal(id)].unwrap_or(poisoned);
            let result = match &arena.nodes[id.key].op {
                Op::Input { declaration } => match operands.get(*declaration as usize).copied().flatten() {
                    Some(argument) => argument,
                    None => {
                        let name = arena.label(id.key).unwrap_or_default().to_owned();
                        return Err(ApplyError::MissingArgument { origin, name });
                    }
                },
                Op::Constant { value } => {
                    let op = Op::Constant { value: dtype.round(*value) };
                    graph.finish(graph.insert(op, Some(&Shape::scalar()), Some(dtype), origin))
                }
                Op::Unary { function, operand } => value(*operand).unary(*function, origin),
                Op::Binary { function, lhs, rhs } => value(*lhs).binary(*function, value(*rhs), origin),
                Op::Compare { function, lhs, rhs } => value(*lhs).compare(*function, value(*rhs), origin),
                Op::Where { condition, on_true, on_false } => {
                    value(*condition).select(value(*on_true), value(*on_false), origin)
                }
                // No formula holds one: its arena is filled by the parser, by reverse mode and by simplification.
                Op::Parameter { .. }
                | Op::Literal { .. }
                | Op::Iota { .. }
                | Op::Uniform { .. }
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
                | Op::ScatterAdd { .. } => poisoned,
            };
            values[ordinal(id)] = Some(result);
        }
        let result = self.output.and_then(|output| values[ordinal(output)]).unwrap_or(poisoned);
        let result = if result.shape()? == shape { result } else { result.broadcast_to(shape) };
        result.id()?;
        Ok(result)
    }

    pub(super) fn new(graph: Rc<Graph>, output: Option<NodeId>) -> Self {
        Formula { graph, output }
    }

    /// What the value is computed from, itself included, in insertion order.
    fn nodes(&self) -> Vec<NodeId> {
        let outputs: Vec<NodeId> = self.output.into_iter().collect();
        self.graph.needed(&outputs).unwrap_or_default()
    }

    /// The arguments by the number of the symbol's declaration.
    fn operands<'g>(
        &self,
        arguments: &[(&str, Expr<'g>)],
        origin: Origin,
    ) -> Result<Vec<Option<Expr<'g>>>, ApplyError> {
        let arena = self.graph.arena();
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
        Ok(operands)
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.output {
            Some(output) => render::write(f, &self.graph.arena(), output, text::pieces),
            None => f.write_str("undefined"),
        }
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The shape to which all arguments broadcast, and their dtype.
fn common(graph: &Graph, arguments: &[(&str, Expr<'_>)], origin: Origin) -> Result<(Shape, DType), ApplyError> {
    let op = "apply";
    let Some((_, first)) = arguments.first() else { return Ok((Shape::scalar(), DType::F64)) };
    let (mut shape, dtype) = (first.shape()?, first.dtype()?);
    for (name, argument) in arguments {
        if argument.graph().tag() != graph.tag() {
            return Err(GraphError::ForeignNode { origin, op }.into());
        }
        let (own_shape, own_dtype) = (argument.shape()?, argument.dtype()?);
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
