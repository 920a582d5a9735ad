//! Training as graph transforms: optimisers append the nodes of the next values of parameters and of their own state, so that
//! forward pass, backward pass and update are one plan.
//!
//! The optimisers of this crate declare state under names that a graph must leave to them: `learning_rate`, `updates`, and
//! for a parameter `w` the names `w.velocity`, `w.first_moment` and `w.second_moment`. A graph that has one of them is refused
//! with [`Error::ReservedName`]. `step` is reserved as well, for the counter that [`Graph::step`] declares.
//!
//! A parameter that no gradient reaches is none that an optimiser hears of: neither its value nor any state of its own
//! changes, whatever the weight decay. A gradient that happens to be zero is a gradient: see
//! [`Graph::gradients_where_reached`].

mod adam;
mod file_header;
#[cfg(feature = "fit")]
pub mod fit;
mod hyperparameter;
mod init;
mod parameter_file;
mod sgd;
mod shuffle;

pub use adam::{Adam, AdamW};
pub use sgd::Sgd;
pub use shuffle::shuffled;

pub(crate) use file_header::METADATA;
pub(crate) use hyperparameter::{Hyperparameters, LEARNING_RATE};
pub(crate) use init::initial_value;
pub(crate) use parameter_file::{Wanted, listed, read_parameters, write_parameters};

use std::collections::{HashMap, HashSet};

use arenagrad_graph::{DType, Declaration, DeclarationKind, Expr, Graph, GraphError, Init, NodeId};

use crate::error::{Error, Given};

/// Builds the update of parameters from their gradients. Implement it for an optimiser of your own: declare state with
/// [`Graph::state`], and return what each parameter and each state becomes.
pub trait Optimizer {
    /// Appends the nodes of one update to the graph. Each pair of the result is a parameter or state, and the node of its
    /// next value, of the same shape and dtype; old values are what nodes read, whatever the order.
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error>;
}

/// A parameter under training, which the gradient reaches.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct TrainingStep<'g> {
    /// The trainable parameters that the gradient reaches, in the order of their declarations.
    pub trained: Vec<Trained<'g>>,
    /// What each parameter and each state becomes: the number of its declaration, and the node of its next value.
    pub updates: Vec<(u32, NodeId)>,
}

/// Appends the gradients of `loss` with respect to every trainable parameter of its graph that one reaches, and the
/// optimiser's update of those. A state named `step` (see [`Graph::step`]) is advanced by one.
///
/// Sessions do this by themselves and rewind it afterwards; call it to look at the graph of a whole step.
///
/// Errors: a loss that is not one float, or that depends on no trainable parameter; a name that the optimiser reserves; what
/// the optimiser reports. The graph is as it was then.
pub fn append_step<'g>(loss: Expr<'g>, optimizer: &dyn Optimizer) -> Result<TrainingStep<'g>, Error> {
    let graph = loss.check()?.graph();
    let mark = graph.mark();
    let appended = append_gradients(loss)
        .and_then(|trained| Ok(TrainingStep { updates: append_update(graph, &trained, optimizer)?, trained }));
    if appended.is_err() {
        graph.rewind(mark)?;
    }
    appended
}

/// Appends the gradients of `loss`, and returns the parameters that they reach.
fn append_gradients(loss: Expr<'_>) -> Result<Vec<Trained<'_>>, Error> {
    let graph = loss.graph();
    let (shape, dtype) = (loss.shape()?, loss.dtype()?);
    if shape.elements() != 1 || !dtype.is_float() {
        return Err(Error::LossNotScalar { shape, dtype });
    }
    let declared: Vec<Declaration> = live(graph)
        .filter(|declaration| matches!(declaration.kind, DeclarationKind::Parameter { trainable: true, .. }))
        .collect();
    let parameters: Vec<Expr<'_>> = declared.iter().map(|declaration| graph.expr(declaration.node)).collect();
    let gradients = graph.gradients_where_reached(&[loss], &[graph.ones(&shape, dtype)], &parameters)?;
    let trained: Vec<Trained<'_>> = declared
        .iter()
        .zip(parameters)
        .zip(gradients)
        .filter_map(|((declaration, parameter), gradient)| {
            let name = declaration.name.clone();
            Some(Trained { name, parameter, gradient: gradient? })
        })
        .collect();
    if trained.is_empty() {
        let known: Vec<String> = declared.iter().map(|declaration| format!("{:?}", declaration.name)).collect();
        let reason = match known.as_slice() {
            [] => format!("the graph of the loss {loss:?} has no trainable parameter"),
            _ => format!(
                "no gradient of the loss {loss:?} reaches a trainable parameter, of which there are {}",
                known.join(", ")
            ),
        };
        return Err(Error::NothingToTrain { reason });
    }
    Ok(trained)
}

/// Appends the optimiser's update of what is trained: the number of each declaration that changes, and its next value's node.
pub(crate) fn append_update<'g>(
    graph: &'g Graph,
    trained: &[Trained<'g>],
    optimizer: &dyn Optimizer,
) -> Result<Vec<(u32, NodeId)>, Error> {
    let before: Vec<Declaration> = live(graph).collect();
    let updated = optimizer.update(graph, trained).and_then(|pairs| Ok(graph.check().map(|()| pairs)?));
    let mut pairs = updated.map_err(|error| reserved(error, &before))?;
    if let Some(step) = before.iter().find(|declaration| declaration.counts_steps()) {
        let updated = pairs.iter().any(|(target, _)| target.id() == Ok(step.node));
        if !updated {
            let step = graph.expr(step.node);
            pairs.push((step, step + 1));
        }
    }
    // What layers keep up beside the parameters, such as running statistics.
    let carried: Vec<_> =
        graph.updates().into_iter().map(|(state, next)| (graph.expr(state), graph.expr(next))).collect();
    let updated: HashSet<_> = pairs.iter().filter_map(|(target, _)| target.id().ok()).collect();
    pairs.extend(carried.into_iter().filter(|(state, _)| state.id().is_ok_and(|id| !updated.contains(&id))));
    let declarations = graph.declarations();
    let numbers: HashMap<NodeId, u32> = declarations
        .iter()
        .zip(0..)
        .filter(|(declaration, _)| declaration.kind != DeclarationKind::Input)
        .map(|(declaration, number)| (declaration.node, number))
        .collect();
    let mut seen = HashSet::with_capacity(pairs.len());
    let mut updates: Vec<(u32, NodeId)> = Vec::with_capacity(pairs.len());
    for (target, next) in pairs {
        let Some(&number) = numbers.get(&target.id()?) else {
            return Err(Error::UpdateTarget { target: format!("{target:?}") });
        };
        if !seen.insert(number) {
            return Err(Error::RepeatedUpdate { target: format!("{target:?}") });
        }
        updates.push((number, replacement(graph, &declarations[number as usize], next)?));
    }
    Ok(updates)
}

/// The declarations whose nodes have not been removed.
fn live(graph: &Graph) -> impl Iterator<Item = Declaration> {
    graph.declarations().into_iter().filter(|declaration| graph.ordinal(declaration.node).is_ok())
}

/// An optimiser that declares a name which the caller has taken fails at a place in the optimiser. The caller is told the
/// place of the declaration that is in the way.
fn reserved(error: Error, before: &[Declaration]) -> Error {
    let Error::Graph(GraphError::DuplicateName { name, .. }) = &error else { return error };
    match before.iter().find(|declaration| declaration.name == *name) {
        Some(Declaration { name, origin, .. }) => Error::ReservedName {
            name: name.clone(),
            origin: origin.to_string(),
            purpose: "the state of the optimiser".to_owned(),
        },
        None => error,
    }
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
    graph.state(LEARNING_RATE, [], dtype, Init::Constant(rate))
}

/// The node of a parameter's or state's next value, which must have its shape and dtype.
fn replacement(graph: &Graph, declaration: &Declaration, next: Expr<'_>) -> Result<NodeId, Error> {
    let Declaration { name, shape, dtype, .. } = declaration;
    let id = next.id()?;
    // Ids carry their graph, so this refuses a next value of another one.
    let found = graph.node(id)?;
    if found.shape != *shape {
        let (expected, found) = (shape.clone(), found.shape);
        return Err(Error::ParameterShape { name: name.clone(), expected, found, given: Given::Update });
    }
    if found.dtype != *dtype {
        let (expected, found) = ((*dtype).into(), found.dtype.into());
        return Err(Error::ParameterDType { name: name.clone(), expected, found, given: Given::Update });
    }
    Ok(id)
}
