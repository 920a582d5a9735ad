//! Expressions: `Copy` handles to nodes that read like mathematics.
//!
//! A mistake never panics and never returns `Result` from an operator: the expression is *poisoned*, the graph keeps the
//! first error with the caller's file and line, and [`Expr::check`] or whatever compiles the graph returns it. What is
//! built from a poisoned expression is poisoned too.

mod all_reduce;
mod axes;
mod cumulative;
mod elementwise;
mod indices;
mod integers;
pub(crate) mod joined;
mod leaf;
mod linear_algebra;
mod moments;
mod positions;
mod products;
mod reductions;
mod shapes;
mod sorting;

pub use axes::Axes;
pub use positions::{AxisIndex, AxisIndices, Position};
pub use sorting::QuantileInterpolation;

use std::fmt;
use std::num::NonZeroU64;

use slotmap::{Key, KeyData};

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId, Origin};
use crate::op::Op;
use crate::shape::Shape;

/// A handle to a node of a [`Graph`], or a poisoned one. Operators and methods append nodes and return their handles.
///
/// Binary operators broadcast by NumPy's rules and take numbers on either side: `1.0 - x * 2.0`.
#[derive(Clone, Copy)]
#[must_use = "an expression is a handle of a node: what is dropped is not computed"]
pub struct Expr<'g> {
    graph: &'g Graph,
    /// The key alone, as one number, for the graph knows the rest of an id. A pointer and a number are given to functions in registers. What has more
    /// parts is given by its address, and rustc 1.95 with optimisation gives two calls of a closure with equal arguments the same address: a function
    /// that changes its argument, here or in a user's program, has then changed what the second call reads.
    key: Option<NonZeroU64>,
}

impl<'g> Expr<'g> {
    /// The graph that the expression belongs to.
    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    /// The node's id, or the mistake that poisoned the expression.
    #[track_caller]
    pub fn id(self) -> Result<NodeId, GraphError> {
        self.id_for("id", self.graph.origin_or(Origin::here()))
    }

    /// `Err` with the first mistake of the whole graph, if this expression or any other has one.
    #[track_caller]
    pub fn check(self) -> Result<Expr<'g>, GraphError> {
        self.graph.check()?;
        self.id_for("check", self.graph.origin_or(Origin::here())).map(|_| self)
    }

    /// The shape of the result.
    #[track_caller]
    pub fn shape(self) -> Result<Shape, GraphError> {
        let (origin, op) = (self.graph.origin_or(Origin::here()), "shape");
        self.graph.read(self.id_for(op, origin)?, op, origin, |node| node.shape.clone())
    }

    /// The dtype of the result.
    #[track_caller]
    pub fn dtype(self) -> Result<DType, GraphError> {
        let (origin, op) = (self.graph.origin_or(Origin::here()), "dtype");
        self.graph.read(self.id_for(op, origin)?, op, origin, |node| node.dtype)
    }

    /// Gives the node a name, under which errors, printed graphs and plans refer to it.
    #[track_caller]
    pub fn named(self, name: impl Into<String>) -> Expr<'g> {
        if let Ok(id) = self.id() {
            self.graph.set_label(id, name.into());
        }
        self
    }

    pub(crate) fn from_id(graph: &'g Graph, id: NodeId) -> Self {
        debug_assert!(id.graph == graph.tag(), "an expression is of the graph that its node is in");
        // No key is 0.
        Expr { graph, key: NonZeroU64::new(id.key.data().as_ffi()) }
    }

    pub(crate) fn poisoned(graph: &'g Graph) -> Self {
        Expr { graph, key: None }
    }

    /// The node's id, or the mistake, which is told as one of `op` at the caller's place `origin`.
    pub(crate) fn id_for(self, op: &'static str, origin: Origin) -> Result<NodeId, GraphError> {
        let Some(id) = self.whole_id() else {
            self.graph.note_refusal();
            // The error was taken out of the graph, or rewound away with the node, if there is none.
            let stale = self.graph.in_method(GraphError::StaleNode { origin, op });
            return self.graph.check().and(Err(stale));
        };
        self.graph.read(id, op, origin, |_| id)
    }

    /// [`Expr::id_for`] of an expression that must be of that graph.
    pub(crate) fn id_in(self, graph: &Graph, op: &'static str, origin: Origin) -> Result<NodeId, GraphError> {
        if self.graph.tag() != graph.tag() {
            return Err(graph.in_method(GraphError::ForeignNode { origin, op }));
        }
        self.id_for(op, origin)
    }

    /// The id without a check, or `None` if the expression is poisoned.
    pub(crate) fn raw(self) -> Option<NodeId> {
        if self.key.is_none() {
            self.graph.note_refusal();
        }
        self.whole_id()
    }

    fn whole_id(self) -> Option<NodeId> {
        let key = KeyData::from_ffi(self.key?.get()).into();
        Some(NodeId { key, graph: self.graph.tag() })
    }

    /// Inserts an op over this expression's graph.
    pub(crate) fn insert(self, op: Op, shape: Option<&Shape>, dtype: Option<DType>, origin: Origin) -> Expr<'g> {
        let result = self.graph.insert_node(op, shape, dtype, origin);
        self.graph.finish(result)
    }

    /// Keeps an error as the graph's first and returns a poisoned expression.
    pub(crate) fn fail(self, error: GraphError) -> Expr<'g> {
        self.graph.finish(Err(error))
    }

    /// Keeps an error as the graph's first where the caller goes on without a result.
    pub(crate) fn fail_without<T>(self, error: GraphError) -> Option<T> {
        let _poisoned = self.fail(error);
        None
    }

    /// Reads this expression's node. `None` if the expression is poisoned; a stale node is recorded as an error of `op`.
    pub(crate) fn read<T>(self, op: &'static str, origin: Origin, read: impl FnOnce(NodeId, &Node) -> T) -> Option<T> {
        let id = self.raw()?;
        let arena = self.graph.arena();
        if let Some(node) = arena.nodes.get(id.key) {
            return Some(read(id, node));
        }
        drop(arena);
        self.fail_without(GraphError::StaleNode { origin, op })
    }

    /// How errors refer to this expression.
    pub(crate) fn describe(self) -> String {
        match self.whole_id() {
            Some(id) => self.graph.arena().describe(id),
            None => "a poisoned expression".to_owned(),
        }
    }

    /// Whether `other` is of the same graph; if not, the error is recorded in both and `None` returned.
    pub(crate) fn same_graph(self, other: Expr<'_>, op: &'static str, origin: Origin) -> Option<()> {
        if self.graph.tag() == other.graph.tag() {
            return Some(());
        }
        let _poisoned = other.fail(GraphError::ForeignNode { origin, op });
        self.fail_without(GraphError::ForeignNode { origin, op })
    }

    /// Whether all of `others` that there are belong to the same graph; to be asked before anything is built of them.
    pub(crate) fn same_graph_all(self, others: &[Option<Expr<'_>>], op: &'static str, origin: Origin) -> Option<()> {
        others.iter().flatten().try_for_each(|other| self.same_graph(*other, op, origin))
    }
}

impl Graph {
    /// The expression of a node, to go on building from an id that was kept.
    #[track_caller]
    pub fn expr(&self, id: NodeId) -> Expr<'_> {
        let origin = self.origin_or(Origin::here());
        let result = if id.graph != self.tag() {
            Err(GraphError::ForeignNode { origin, op: "expr" })
        } else if self.arena().nodes.contains_key(id.key) {
            Ok(id)
        } else {
            Err(GraphError::StaleNode { origin, op: "expr" })
        };
        self.finish(result)
    }

    /// The same expression, if it is one of this graph and nothing is wrong: for a method that takes a graph and expressions of it, under
    /// whose name the mistake is told, at the line of its caller.
    ///
    /// Errors, of which none is kept in this graph: the first mistake of the expression's graph or of this one; a stale node, or one of
    /// another graph.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, GraphError};
    ///
    /// let (g, other) = (Graph::new(), Graph::new());
    /// let refused = g.require(other.input("x", [2]), "norm").unwrap_err();
    /// assert!(matches!(refused, GraphError::ForeignNode { op: "norm", .. }));
    /// assert_eq!(g.check(), Ok(()));
    /// ```
    #[track_caller]
    pub fn require(&self, expr: Expr<'_>, method: &'static str) -> Result<Expr<'_>, GraphError> {
        let origin = self.origin_or(Origin::here());
        expr.graph().check()?;
        let id = expr.id_in(self, method, origin)?;
        self.check()?;
        Ok(Expr::from_id(self, id))
    }

    /// An expression of a result; an error is kept as the graph's first, and the expression is poisoned.
    pub(crate) fn finish(&self, result: Result<NodeId, GraphError>) -> Expr<'_> {
        match result {
            Ok(id) => Expr::from_id(self, id),
            Err(error) => {
                let error = self.in_method(error);
                self.keep_error(error);
                Expr::poisoned(self)
            }
        }
    }
}

impl fmt::Debug for Expr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole_id() {
            Some(id) => f.write_str(&self.graph.arena().describe(id)),
            None => f.write_str("poisoned"),
        }
    }
}

/// What can stand as an operand beside an expression: another expression, or a number, which takes its dtype.
///
/// On the right of an operator stands any of them: `x * 2.0`, `x * rate` for a `rate` of f32. On the left stand f64 and i32 alone:
/// `2.0 * x` and `f64::from(rate) * x`. Were there an implementation for f32 too, the compiler could not tell the type of the number in
/// `(1.0 - x).log()`: a method is looked up before a literal falls back to f64, so two float types that fit make
/// it ambiguous (E0282); and one generic implementation for both types is not allowed (E0210), because neither the traits of the
/// operators nor numbers are of this crate.
pub trait IntoExpr<'g> {
    /// This operand, expression or number.
    fn into_operand(self) -> Operand<'g>;
}

/// An operand before it is a node.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'g> {
    /// An expression.
    Expr(Expr<'g>),
    /// A number, which becomes a constant of the shape and dtype of the expression beside it.
    Number(f64),
}

impl<'g> Operand<'g> {
    /// The expression, if it is one.
    pub(crate) fn expr(self) -> Option<Expr<'g>> {
        match self {
            Operand::Expr(expr) => Some(expr),
            Operand::Number(_) => None,
        }
    }

    /// This operand as an expression of the same graph as `neighbour`.
    pub(crate) fn beside(self, neighbour: Expr<'g>, origin: Origin) -> Expr<'g> {
        match self {
            Operand::Expr(expr) => expr,
            Operand::Number(value) => neighbour.constant_beside(value, origin),
        }
    }
}

impl<'g> IntoExpr<'g> for Expr<'g> {
    fn into_operand(self) -> Operand<'g> {
        Operand::Expr(self)
    }
}

impl<'g> IntoExpr<'g> for f64 {
    fn into_operand(self) -> Operand<'g> {
        Operand::Number(self)
    }
}

impl<'g> IntoExpr<'g> for f32 {
    fn into_operand(self) -> Operand<'g> {
        Operand::Number(f64::from(self))
    }
}

impl<'g> IntoExpr<'g> for i32 {
    fn into_operand(self) -> Operand<'g> {
        Operand::Number(f64::from(self))
    }
}
