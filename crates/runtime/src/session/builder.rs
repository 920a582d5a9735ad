//! Options of a session before it is made.

use arenagrad_graph::{Expr, Graph, NodeId};

use crate::device::Device;
use crate::error::Error;
use crate::plan::Plan;
use crate::precision::Precision;
use crate::session::Session;
use crate::train::{Optimizer, training_request};

/// A session in the making: [`Session::builder`] starts it, [`SessionBuilder::train`] or [`SessionBuilder::evaluate`] ends it.
#[must_use = "a builder makes no session until `train` or `evaluate`"]
pub struct SessionBuilder<'e> {
    device: Device,
    seed: u64,
    metrics: Vec<Expr<'e>>,
    precision: Precision,
}

impl<'e> SessionBuilder<'e> {
    pub(crate) fn new(device: Device) -> Self {
        SessionBuilder { device, seed: 0, metrics: Vec::new(), precision: Precision::full() }
    }

    /// The seed of the parameters' first values; 0 unless set. The same seed gives the same values on every device.
    pub fn seed(self, seed: u64) -> Self {
        SessionBuilder { seed, ..self }
    }

    /// What each training step reports beside the loss, such as an accuracy.
    pub fn metrics(self, metrics: &[Expr<'e>]) -> Self {
        SessionBuilder { metrics: metrics.to_vec(), ..self }
    }

    /// In what precision the session's plans compute, those of training and all others; [`Precision::full`] unless set.
    pub fn precision(self, precision: Precision) -> Self {
        SessionBuilder { precision, ..self }
    }

    /// A session that minimises `loss`, one float, over all trainable parameters of its graph. The graph is left as it was:
    /// gradients and updates are appended, planned and rewound.
    pub fn train(self, graph: &Graph, loss: Expr<'_>, optimizer: &dyn Optimizer) -> Result<Session, Error> {
        let mark = graph.mark();
        let declared = graph.declarations().len();
        let plan = self.training_plan(graph, loss, optimizer);
        graph.rewind(mark)?;
        let mut session = Session::new(self.device, self.seed, true);
        session.precision = self.precision;
        let plan = plan?;
        // What stands behind the graph's own declarations is the optimiser's.
        let state: Vec<String> = plan.declarations[declared..].iter().map(|state| state.name.clone()).collect();
        session.prepare(plan)?;
        session.mark_training_state(&state);
        Ok(session)
    }

    /// A session that computes `outputs`.
    pub fn evaluate(self, graph: &Graph, outputs: &[Expr<'_>]) -> Result<Session, Error> {
        let mut session = Session::new(self.device, self.seed, false);
        session.precision = self.precision;
        session.add(graph, outputs)?;
        Ok(session)
    }

    fn training_plan(&self, graph: &Graph, loss: Expr<'_>, optimizer: &dyn Optimizer) -> Result<Plan, Error> {
        let loss = graph.expr(loss.check()?.id()?).check()?;
        let metrics = self
            .metrics
            .iter()
            .map(|metric| graph.expr(metric.check()?.id()?).id())
            .collect::<Result<Vec<NodeId>, _>>()?;
        let request = training_request(loss, &metrics, optimizer, &self.precision, "")?;
        Ok(Plan::new(graph, &request)?)
    }
}
