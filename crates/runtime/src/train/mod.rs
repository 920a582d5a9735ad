//! Training as graph transforms: optimisers append the nodes of the next values of parameters and of their own state, so that
//! forward pass, backward pass and update are one plan.
//!
//! The optimisers of this crate declare state under names that a graph must leave to them: `learning_rate`, `updates`, and
//! for a parameter `w` the names `w.velocity`, `w.first_moment` and `w.second_moment`.

mod adam;
mod init;
mod parameter_file;
mod sgd;
mod shuffle;

pub use adam::{Adam, AdamW};
pub use sgd::Sgd;
pub use shuffle::shuffled;

pub(crate) use init::initial_value;
pub(crate) use parameter_file::{read_parameters, write_parameters};

use std::collections::{HashMap, HashSet};

use arenagrad_graph::{DType, Declaration, DeclarationKind, Expr, Graph, Init, NodeId};

use crate::error::Error;

/// Builds the update of parameters from their gradients. Implement it for an optimiser of your own: declare state with
/// [`Graph::state`], and return what each parameter and each state becomes.
pub trait Optimizer {
    /// Appends the nodes of one update to the graph. Each pair of the result is a parameter or state, and the node of its
    /// next value, of the same shape and dtype; old values are what nodes read, whatever the order.
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error>;
}

/// A parameter under training.
#[derive(Clone, Debug)]
pub struct Trained<'g> {
    /// The name of its declaration.
    pub name: String,
    /// Its present value.
    pub parameter: Expr<'g>,
    /// The gradient of the loss, of the same shape.
    pub gradient: Expr<'g>,
}

/// What [`append_step`] appended to a graph.
#[derive(Clone, Debug)]
pub struct TrainingStep<'g> {
    /// The trainable parameters and their gradients, in the order of their declarations.
    pub trained: Vec<Trained<'g>>,
    /// What each parameter and each state becomes: the number of its declaration, and the node of its next value.
    pub updates: Vec<(u32, NodeId)>,
}

/// Appends the gradients of `loss` with respect to every trainable parameter of its graph, and the optimiser's update. A
/// state named `step` (see [`Graph::step`]) is advanced by one.
///
/// Sessions do this by themselves and rewind it afterwards; call it to look at the graph of a whole step.
pub fn append_step<'g>(loss: Expr<'g>, optimizer: &dyn Optimizer) -> Result<TrainingStep<'g>, Error> {
    let graph = loss.check()?.graph();
    let (shape, dtype) = (loss.shape()?, loss.dtype()?);
    if shape.elements() != 1 || !dtype.is_float() {
        return Err(Error::LossNotScalar { shape, dtype });
    }
    let alive: Vec<_> =
        graph.declarations().into_iter().filter(|declaration| graph.ordinal(declaration.node).is_ok()).collect();
    let declared: Vec<_> = alive
        .iter()
        .filter(|declaration| matches!(declaration.kind, DeclarationKind::Parameter { trainable: true, .. }))
        .map(|declaration| (declaration.name.clone(), declaration.node))
        .collect();
    let parameters: Vec<Expr<'g>> = declared.iter().map(|(_, node)| graph.expr(*node)).collect();
    let gradients = graph.gradients(&[loss], &[graph.ones(&shape, dtype)], &parameters)?;
    let trained: Vec<Trained<'g>> = declared
        .into_iter()
        .zip(parameters)
        .zip(gradients)
        .map(|(((name, _), parameter), gradient)| Trained { name, parameter, gradient })
        .collect();
    let updates = append_update(graph, &trained, optimizer)?;
    Ok(TrainingStep { trained, updates })
}

/// Appends the optimiser's update of what is trained: the number of each declaration that changes, and its next value's node.
pub(crate) fn append_update<'g>(
    graph: &'g Graph,
    trained: &[Trained<'g>],
    optimizer: &dyn Optimizer,
) -> Result<Vec<(u32, NodeId)>, Error> {
    let alive: Vec<_> =
        graph.declarations().into_iter().filter(|declaration| graph.ordinal(declaration.node).is_ok()).collect();
    let mut pairs = optimizer.update(graph, trained)?;
    graph.check()?;
    if let Some(step) = alive.iter().find(|declaration| declaration.counts_steps()) {
        let updated = pairs.iter().any(|(target, _)| target.id() == Ok(step.node));
        if !updated {
            let step = graph.expr(step.node);
            pairs.push((step, step + 1));
        }
    }
    let declarations = graph.declarations();
    let numbers: HashMap<NodeId, u32> = (0..).zip(&declarations).map(|(number, it)| (it.node, number)).collect();
    let mut updates: Vec<(u32, NodeId)> = Vec::with_capacity(pairs.len());
    let mut updated = HashSet::with_capacity(pairs.len());
    for (target, next) in pairs {
        let number = match numbers.get(&target.id()?) {
            Some(&number) if declarations[number as usize].kind != DeclarationKind::Input => number,
            Some(_) | None => return Err(Error::UpdateTarget { target: format!("{target:?}") }),
        };
        replaces(graph, &declarations[number as usize], next)?;
        if !updated.insert(number) {
            return Err(Error::RepeatedUpdate { target: format!("{target:?}") });
        }
        updates.push((number, next.id()?));
    }
    Ok(updates)
}

/// The dtype of the scalars of an optimiser: f64 if a parameter is.
pub(crate) fn scalar_dtype(trained: &[Trained<'_>]) -> Result<DType, Error> {
    for Trained { parameter, .. } in trained {
        if parameter.dtype()? == DType::F64 {
            return Ok(DType::F64);
        }
    }
    Ok(DType::F32)
}

/// The scalar state that holds the learning rate, so that it can be changed while training.
pub(crate) fn learning_rate_state(graph: &Graph, rate: f64, dtype: DType) -> Expr<'_> {
    graph.state("learning_rate", [], dtype, Init::Constant(rate))
}

/// A number that an optimiser was given must be finite and in range.
pub(crate) fn require(what: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Hyperparameter { what, value, expected }) }
}

/// `Err` unless `next` is of this graph, and of the shape and dtype of what it replaces.
fn replaces(graph: &Graph, declaration: &Declaration, next: Expr<'_>) -> Result<(), Error> {
    let Declaration { name, shape, dtype, .. } = declaration;
    // Ids carry their graph, so this refuses a next value of another one.
    let found = graph.node(next.id()?)?;
    if found.shape != *shape {
        return Err(Error::ParameterShape { name: name.clone(), expected: shape.clone(), found: found.shape });
    }
    if found.dtype != *dtype {
        return Err(Error::ParameterDType { name: name.clone(), expected: *dtype, found: found.dtype });
    }
    Ok(())
}
