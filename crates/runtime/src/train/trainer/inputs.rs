//! What the function of a trainer is given: inputs of the shapes that have come, the graph, and a place for metrics.
//!
//! Invariants: a name is declared once, where it is first asked for; the first mistake counts, whether it was made here or in the
//! graph. This knows shapes and types, and no values: the same shapes give the same graph.

use std::cell::RefCell;
use std::collections::HashMap;

use arenagrad_graph::{Expr, Graph, NodeId, Origin, Shape, StorageType};

use crate::error::Error;
use crate::session::required;
use crate::tensor::Tensor;

/// The inputs of a function of a [`Trainer`](crate::Trainer), in the shapes in which they have come.
///
/// A function may ask only for what it is given. What it is given and does not ask for is left alone: one batch serves the
/// training step, which needs its labels, and the prediction, which does not.
pub struct Inputs<'g> {
    graph: &'g Graph,
    given: Vec<Given>,
    asked: RefCell<Vec<Asked>>,
    nodes: RefCell<HashMap<String, Expr<'g>>>,
    metrics: RefCell<Vec<(String, Expr<'g>, Origin)>>,
    mistake: RefCell<Option<Error>>,
}

/// A tensor that has come.
struct Given {
    name: String,
    kind: Kind,
}

/// What a plan depends on of a tensor that has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    shape: Shape,
    storage: StorageType,
}

/// A name that a function has asked for, and what stood under it; nothing if it only asked whether something does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    /// Whether the graph has it as an input, and not its extents alone.
    pub(super) is_declared: bool,
}

impl Kind {
    fn of(tensor: &Tensor) -> Self {
        Kind { shape: tensor.shape().clone(), storage: tensor.storage() }
    }
}

impl Asked {
    /// Whether that is what stands under the name in these tensors too.
    pub(super) fn is_met_by(&self, tensors: &[(&str, &Tensor)]) -> bool {
        let found = tensors.iter().find(|(name, _)| *name == self.name).map(|(_, tensor)| tensor);
        match (&self.kind, found) {
            (None, None) => true,
            (Some(kind), Some(tensor)) => kind.storage == tensor.storage() && kind.shape == *tensor.shape(),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl<'g> Inputs<'g> {
    /// Those that are given by tensors. Errors: a name that is given twice.
    pub(super) fn new(graph: &'g Graph, tensors: &[(&str, &Tensor)]) -> Result<Self, Error> {
        let mut given: Vec<Given> = Vec::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            if given.iter().any(|given| given.name == *name) {
                return Err(Error::RepeatedInput { name: (*name).to_owned() });
            }
            given.push(Given { name: (*name).to_owned(), kind: Kind::of(tensor) });
        }
        Ok(Inputs {
            graph,
            given,
            asked: RefCell::default(),
            nodes: RefCell::default(),
            metrics: RefCell::default(),
            mistake: RefCell::default(),
        })
    }

    /// The input of that name: of the shape, and held in the type, of the tensor that has come. Asked for again it is the same
    /// node.
    ///
    /// Errors: a name that nothing has come under
    /// ([`GraphError::InputNotGiven`](arenagrad_graph::GraphError::InputNotGiven)).
    #[track_caller]
    pub fn get(&self, name: &str) -> Expr<'g> {
        let known = self.nodes.borrow().get(name).copied();
        if let Some(known) = known {
            return known;
        }
        let Some(kind) = self.ask(name) else {
            let given: Vec<&str> = self.given.iter().map(|given| given.name.as_str()).collect();
            return self.graph.input_not_given(name, &given);
        };
        if let Some(asked) = self.asked.borrow_mut().iter_mut().find(|asked| asked.name == name) {
            asked.is_declared = true;
        }
        let input = self.graph.at(Origin::here(), || self.graph.input_of(name, kind.shape, kind.storage));
        self.nodes.borrow_mut().insert(name.to_owned(), input);
        input
    }

    /// Whether something has come under that name: for inputs that may be left out, such as a mask.
    pub fn has(&self, name: &str) -> bool {
        self.ask(name).is_some()
    }

    /// The extent of an axis of an input: how many examples have come, `inputs.extent("x", 0)`.
    ///
    /// Errors, with which it is 0: a name that nothing has come under; an axis that the input has not
    /// ([`Error::InputAxis`]).
    #[track_caller]
    pub fn extent(&self, name: &str, axis: usize) -> usize {
        let origin = Origin::here();
        let Some(Kind { shape, .. }) = self.ask(name) else {
            let _input = self.graph.at(origin, || self.get(name));
            return 0;
        };
        shape.dims().get(axis).copied().unwrap_or_else(|| {
            self.refuse(Error::InputAxis { origin: origin.to_string(), name: name.to_owned(), shape, axis });
            0
        })
    }

    /// The graph that the function builds in.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Reports a metric, of any shape: its value in a run comes back under that name.
    ///
    /// Errors: a name under which another is reported ([`Error::RepeatedMetric`]).
    #[track_caller]
    pub fn report(&self, name: impl Into<String>, metric: Expr<'g>) {
        let (name, origin) = (name.into(), Origin::here());
        let first = self.metrics.borrow().iter().find(|(known, ..)| *known == name).map(|(.., first)| *first);
        if let Some(first) = first {
            let (origin, first) = (origin.to_string(), first.to_string());
            return self.refuse(Error::RepeatedMetric { origin, name, first });
        }
        self.metrics.borrow_mut().push((name, metric, origin));
    }

    /// What a plan that is made of the function depends on. Errors: the first mistake that was made.
    pub(super) fn asked(&self) -> Result<Vec<Asked>, Error> {
        if let Some(mistake) = self.mistake.borrow().clone() {
            return Err(mistake);
        }
        self.graph.check()?;
        Ok(self.asked.borrow().clone())
    }

    /// The first mistake that was made, where a function failed with this one, which may follow from it.
    pub(super) fn first_mistake(&self, error: Error) -> Error {
        self.asked().err().unwrap_or(error)
    }

    /// The names of the metrics and their nodes, in the order in which they were reported.
    pub(super) fn metrics(&self) -> Result<(Vec<String>, Vec<NodeId>), Error> {
        let metrics = self.metrics.borrow();
        // A metric of another graph is refused here.
        let node = |(_, metric, origin): &(String, Expr<'g>, Origin)| {
            Ok::<_, Error>(required(self.graph, &[*metric], "report", *origin)?[0].id()?)
        };
        let nodes = metrics.iter().map(node).collect::<Result<_, _>>()?;
        Ok((metrics.iter().map(|(name, ..)| name.clone()).collect(), nodes))
    }

    /// What has come under a name, and notes that the function depends on it.
    fn ask(&self, name: &str) -> Option<Kind> {
        let kind = self.given.iter().find(|given| given.name == name).map(|given| given.kind.clone());
        let mut asked = self.asked.borrow_mut();
        if !asked.iter().any(|asked| asked.name == name) {
            asked.push(Asked { name: name.to_owned(), kind: kind.clone(), is_declared: false });
        }
        kind
    }

    /// Keeps a mistake, if nothing was wrong before.
    fn refuse(&self, error: Error) {
        if self.graph.check().is_ok() {
            self.mistake.borrow_mut().get_or_insert(error);
        }
    }
}
