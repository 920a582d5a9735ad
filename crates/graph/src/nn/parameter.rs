//! What layers declare: a parameter or a state as a plain value.

use crate::arena::Graph;
use crate::declaration::Init;
use crate::expr::Expr;
use crate::shape::Shape;
use crate::storage::StorageType;

/// A parameter of a layer: its name, shape and first values. It is declared in a graph by [`Parameter::of`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a parameter is none of a graph until `of`"]
pub struct Parameter {
    name: String,
    shape: Shape,
    init: Init,
}

/// A state of a layer, which no optimiser touches: a running mean. [`Graph::update`] says what it becomes.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a state is none of a graph until `of`"]
pub struct State {
    name: String,
    shape: Shape,
    init: Init,
}

/// The name of a part of what is called `name`: `"encoder.conv1"` from `"encoder"` and `"conv1"`, as PyTorch's modules make their keys;
/// the part alone where `name` is empty, as that of a whole network is.
///
/// ```
/// use arenagrad_graph::nn::within;
///
/// assert_eq!(within("encoder", "conv1"), "encoder.conv1");
/// assert_eq!(within("", "conv1"), "conv1");
/// ```
pub fn within(name: &str, part: &str) -> String {
    if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") }
}

impl Parameter {
    /// A parameter of that name, shape and first values.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>, init: Init) -> Self {
        Parameter { name: name.into(), shape: shape.into(), init }
    }

    /// The parameter in a graph, declared there if it is not yet. See [`Graph::shared_parameter`].
    #[track_caller]
    pub fn of<'g>(&self, graph: &'g Graph, storage: impl Into<StorageType>) -> Expr<'g> {
        graph.shared_parameter(&self.name, &self.shape, storage, self.init.clone())
    }

    /// The parameter in the graph and in the dtype of `x`. Errors: those of [`Graph::shared_parameter`].
    #[track_caller]
    pub fn beside<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        match x.dtype() {
            Ok(dtype) => self.of(x.graph(), dtype),
            Err(_) => x,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The first values.
    pub fn init(&self) -> &Init {
        &self.init
    }
}

impl State {
    /// A state of that name, shape and first values.
    pub fn new(name: impl Into<String>, shape: impl Into<Shape>, init: Init) -> Self {
        State { name: name.into(), shape: shape.into(), init }
    }

    /// The state in a graph, declared there if it is not yet. See [`Graph::shared_state`].
    #[track_caller]
    pub fn of<'g>(&self, graph: &'g Graph, storage: impl Into<StorageType>) -> Expr<'g> {
        graph.shared_state(&self.name, &self.shape, storage, self.init.clone())
    }

    /// The state in the graph and in the dtype of `x`. Errors: those of [`Graph::shared_state`].
    #[track_caller]
    pub fn beside<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        match x.dtype() {
            Ok(dtype) => self.of(x.graph(), dtype),
            Err(_) => x,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}
