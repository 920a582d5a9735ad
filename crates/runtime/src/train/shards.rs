//! The two plans of a step in the deterministic mode: what one shard of a batch gives, and the update that all of them make together.
//!
//! What a shard gives is computed by one plan, whoever computes it, and put together on the host in an order that depends on nothing but the
//! number of shards. So the bits of a step do not depend on how many members there are.

use arenagrad_graph::{Expr, Graph, NodeId, Origin};

use crate::error::Error;
use crate::plan::Request;
use crate::precision::Precision;
use crate::train::request::{RoundedGradients, append_rounded_gradients};
use crate::train::{Optimizer, Trained, append_gradients, append_update};

/// What becomes of the values that shards give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// The mean, each weighted by its samples.
    Mean,
    /// The sum.
    Sum,
    /// What the first shard gave: all give the same.
    First,
}

/// The name of the input that the update of a parameter or state is given.
fn given_name(name: &str) -> String {
    format!("group_result.{name}")
}

/// What a shard gives: the loss, the metrics, the gradients, and the next values of what layers carry on. The names of the latter two are
/// those of the inputs of [`update_request`].
pub(crate) fn shard_request(
    loss: Expr<'_>,
    metrics: &[NodeId],
    optimizer: &dyn Optimizer,
    precision: &Precision,
) -> Result<(Request, Vec<String>), Error> {
    let graph = loss.graph();
    precision.check_patterns(graph)?;
    // The deterministic mode has no scale of the loss.
    let RoundedGradients { trained, rounding, .. } =
        append_rounded_gradients(loss, optimizer, precision, (None, None))?;
    let mut outputs: Vec<NodeId> = std::iter::once(loss.id()?).chain(metrics.iter().copied()).collect();
    let forward = outputs.clone();
    let mut names = Vec::new();
    for trained in &trained {
        names.push(given_name(&trained.name));
        outputs.push(trained.gradient.id()?);
    }
    for (state, next) in graph.updates() {
        names.push(given_name(&name_of(graph, state)));
        outputs.push(next);
    }
    let request = Request {
        stages: vec![("forward", forward)],
        rest: "backward",
        outputs,
        copies_parameters: true,
        rounding,
        ..Request::default()
    };
    Ok((request, names))
}

/// The update of a step, which is given gradients and what layers carry on.
pub(crate) fn update_request(loss: Expr<'_>, optimizer: &dyn Optimizer, origin: Origin) -> Result<Request, Error> {
    let graph = loss.graph();
    let trained = append_gradients(loss, optimizer)?;
    let given = trained.iter().map(|one| {
        let (shape, dtype) = (one.gradient.shape()?, one.gradient.dtype()?);
        Ok(one.with_gradient(graph.input_of(given_name(&one.name), shape, dtype).check()?))
    });
    let given = given.collect::<Result<Vec<Trained<'_>>, Error>>()?;
    let mut carried = Vec::new();
    for (state, next) in graph.updates() {
        let node = graph.node(next)?;
        let next = graph.input_of(given_name(&name_of(graph, state)), node.shape, node.dtype).check()?;
        carried.push((state, next.id()?));
    }
    let updates = append_update(graph, &given, optimizer, &carried, origin)?;
    Ok(Request { stages: Vec::new(), rest: "update", updates, ..Request::default() })
}

/// The name of a state.
pub(crate) fn name_of(graph: &Graph, state: NodeId) -> String {
    let declared = graph.declarations().into_iter().find(|declaration| declaration.node == state);
    declared.map(|declaration| declaration.name).unwrap_or_default()
}
