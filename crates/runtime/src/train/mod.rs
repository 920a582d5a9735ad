//! Training as graph transforms: optimisers append the nodes of the next values of parameters and of their own state, so that
//! forward pass, backward pass and update are one plan.

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

use arenagrad_graph::{DType, DeclarationKind, Expr, Graph, Init, NodeId};

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
    let declared: Vec<_> = graph
        .declarations()
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
    let step = graph.declarations().iter().find(|declaration| declaration.name == "step").map(|step| step.node);
    let mut pairs = optimizer.update(graph, &trained)?;
    if let Some(step) = step {
        let step = graph.expr(step);
        if step.dtype()? == DType::I32 {
            pairs.push((step, step + 1));
        }
    }
    graph.check()?;
    let mut updates = Vec::with_capacity(pairs.len());
    for (target, next) in pairs {
        updates.push((declaration_of(graph, target)?, next.id()?));
    }
    Ok(TrainingStep { trained, updates })
}

/// The f32 scalar state that holds the learning rate, so that it can be changed while training.
pub(crate) fn learning_rate_state(graph: &Graph, rate: f64) -> Expr<'_> {
    graph.state("learning_rate", [], DType::F32, Init::Constant(rate))
}

/// A number that an optimiser was given must be finite and in range.
pub(crate) fn require(what: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Hyperparameter { what, value, expected }) }
}

fn declaration_of(graph: &Graph, target: Expr<'_>) -> Result<u32, Error> {
    let id = target.id()?;
    let declarations = graph.declarations();
    match declarations.iter().position(|declaration| declaration.node == id) {
        Some(number) if declarations[number].kind != DeclarationKind::Input => Ok(number as u32),
        Some(_) | None => Err(Error::UpdateTarget { target: format!("{target:?}") }),
    }
}
