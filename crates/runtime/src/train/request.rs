//! What a training step and a look at its gradients ask of a plan.

use arenagrad_graph::{Expr, Graph, NodeId};

use crate::error::Error;
use crate::plan::Request;
use crate::precision::{Precision, Rounding};
use crate::train::loss_scale::{TracedStep, append_traced_step};
use crate::train::{Optimizer, Trained, append_gradients_of};

/// A training step: the loss, then the metrics, read before the update. Gradients and updates are appended to the graph. States of a scale
/// of the loss stand under a prefix.
pub(crate) fn training_request(
    loss: Expr<'_>,
    metrics: &[NodeId],
    optimizer: &dyn Optimizer,
    precision: &Precision,
    prefix: &str,
) -> Result<Request, Error> {
    let graph = loss.check()?.graph();
    precision.check_patterns(graph)?;
    let TracedStep { step, gradients, backward, update, sources } =
        append_traced_step(loss, optimizer, precision.scale(), prefix, None)?;
    let outputs: Vec<NodeId> = std::iter::once(loss.id()?).chain(metrics.iter().copied()).collect();
    Ok(Request {
        stages: vec![("forward", outputs.clone()), ("backward", gradients)],
        rest: "update",
        outputs,
        updates: step.updates,
        rounding: precision.rounding(graph, backward, update, &sources)?,
        ..Request::default()
    })
}

/// The loss and the gradients of what the optimiser trains, with the names of these; nothing is changed. The loss is not scaled.
pub(crate) fn gradients_request(
    loss: Expr<'_>,
    optimizer: &dyn Optimizer,
    precision: &Precision,
) -> Result<(Request, Vec<String>), Error> {
    let (trained, rounding) = append_rounded_gradients(loss, optimizer, precision)?;
    let loss = loss.id()?;
    let gradients = trained.iter().map(|trained| trained.gradient.id()).collect::<Result<Vec<_>, _>>()?;
    let names = trained.into_iter().map(|trained| trained.name).collect();
    let outputs = std::iter::once(loss).chain(gradients).collect();
    let stages = vec![("forward", vec![loss])];
    Ok((Request { stages, rest: "backward", outputs, rounding, ..Request::default() }, names))
}

/// Appends the gradients of `loss` with respect to what the optimiser trains, and says what of the graph is rounded. The loss is not scaled.
pub(crate) fn append_rounded_gradients<'g>(
    loss: Expr<'g>,
    optimizer: &dyn Optimizer,
    precision: &Precision,
) -> Result<(Vec<Trained<'g>>, Option<Rounding>), Error> {
    let graph = loss.check()?.graph();
    precision.check_patterns(graph)?;
    let backward = graph.ordinal_bound();
    let one = graph.ones(loss.shape()?, loss.dtype()?);
    let mut sources = Vec::new();
    let trained = append_gradients_of(loss, one, optimizer, &mut |ordinal, source| sources.push((ordinal, source)))?;
    let rounding = precision.rounding(graph, backward, graph.ordinal_bound(), &sources)?;
    Ok((trained, rounding))
}

/// An optimiser whose states stand under a prefix, so that several can work on one set of parameters.
pub(crate) struct UnderPrefix<'o> {
    pub(crate) prefix: &'o str,
    pub(crate) optimizer: &'o dyn Optimizer,
}

impl Optimizer for UnderPrefix<'_> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        graph.under_prefix(self.prefix, || self.optimizer.update(graph, trained))
    }

    fn trains(&self, name: &str) -> bool {
        self.optimizer.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.optimizer.patterns()
    }
}
