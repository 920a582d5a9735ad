//! Options of a session before it is made.

use std::sync::Arc;

use arenagrad_graph::{Expr, Graph, NodeId, Origin};

use crate::device::Device;
use crate::error::Error;
use crate::group::{Group, GroupError};
use crate::plan::{MemoryPolicy, Plan, Request};
use crate::precision::Precision;
use crate::session::grouped::samples_of;
use crate::session::{Session, required};
use crate::train::in_group::{BUCKET_BYTES, Bucketing, group_training_request};
use crate::train::{Optimizer, training_request};

/// A session in the making: [`Session::builder`] starts it, [`SessionBuilder::train`] or [`SessionBuilder::evaluate`] ends it.
#[must_use = "a builder makes no session until `train` or `evaluate`"]
pub struct SessionBuilder<'e> {
    device: Device,
    seed: u64,
    metrics: Vec<Expr<'e>>,
    memory: MemoryPolicy,
    group: Option<Arc<dyn Group>>,
    precision: Precision,
    updates_states: bool,
}

impl<'e> SessionBuilder<'e> {
    pub(crate) fn new(device: Device) -> Self {
        SessionBuilder {
            device,
            seed: 0,
            metrics: Vec::new(),
            memory: MemoryPolicy::default(),
            precision: Precision::full(),
            group: None,
            updates_states: false,
        }
    }

    /// The seed of the parameters' first values; 0 unless set. The same seed gives the same values on every device.
    pub fn seed(self, seed: u64) -> Self {
        SessionBuilder { seed, ..self }
    }

    /// What each training step reports beside the loss, such as an accuracy.
    pub fn metrics(self, metrics: &[Expr<'e>]) -> Self {
        SessionBuilder { metrics: metrics.to_vec(), ..self }
    }

    /// The most bytes that a plan of the session may take ([`MemoryReport::allocated_bytes`](crate::plan::MemoryReport::allocated_bytes)):
    /// parameters, states, inputs and results together. Where it would take more, results are dropped and computed again just before they
    /// are needed, those first that take many bytes for long and little work. Every value keeps its bits. What it costs says
    /// [`Plan::memory`]. It holds for each plan of the session by itself.
    ///
    /// Errors, when a plan is made: [`Error::MemoryBudget`], with the least bytes that were reached.
    ///
    /// ```
    /// use arenagrad::nn::{Activation, Layer, Linear, Sequential};
    /// use arenagrad::{Device, Graph, Session, Sgd};
    ///
    /// let mut network = Sequential::new("network");
    /// for layer in 0..8 {
    ///     network = network.then(Linear::new(format!("layers.{layer}"), 64, 64)).then(Activation::tanh());
    /// }
    /// let g = Graph::new();
    /// let x = g.input("x", [512, 64]);
    /// let loss = network.forward(x, arenagrad::nn::Phase::Training).square().mean(..);
    /// let all = Session::train(&g, loss, Sgd::new(0.1), Device::cpu())?.plan().memory();
    /// let session = Session::builder(Device::cpu())
    ///     .memory_budget(all.allocated_bytes * 3 / 4)
    ///     .train(&g, loss, &Sgd::new(0.1))?;
    /// let memory = session.plan().memory();
    /// assert!(memory.allocated_bytes <= all.allocated_bytes * 3 / 4);
    /// println!("{:.1} % more operations", memory.recomputation.unwrap().more_operations() * 100.0);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn memory_budget(self, bytes: u64) -> Self {
        SessionBuilder { memory: MemoryPolicy { budget: Some(bytes), ..self.memory }, ..self }
    }

    /// Never computes again what is computed in the layers, or as the named expressions ([`Expr::named`]), whose names have the pattern, in
    /// which `*` stands for any text. Of what is named both here and in [`SessionBuilder::recompute`], it is kept.
    ///
    /// Errors, when the first plan is made: [`Error::UnmatchedName`].
    pub fn keep(mut self, pattern: impl Into<String>) -> Self {
        self.memory.kept.push(pattern.into());
        self
    }

    /// Computes again in the backward pass what is computed in the layers whose names have the pattern, or as the expressions of such
    /// names, whether or not there is a budget: PyTorch's `torch.utils.checkpoint` around each of the layers. What a layer gives to the
    /// outside is kept. The plan that computes everything once is taken after all where this one takes no less memory.
    ///
    /// Errors, when the first plan is made: [`Error::UnmatchedName`].
    pub fn recompute(mut self, pattern: impl Into<String>) -> Self {
        self.memory.recomputed.push(pattern.into());
        self
    }

    /// As a member of a group, whose steps all members make together, each with its share of a batch; everything as
    /// [`Trainer::in_group`](crate::Trainer::in_group) has it. How many samples a member's graph is for is the extent of the first axis of its first
    /// input that has axes.
    pub fn in_group(self, group: Arc<dyn Group>) -> Self {
        SessionBuilder { group: Some(group), ..self }
    }

    /// In what precision the session's plans compute, those of training and all others; [`Precision::full`] unless set.
    pub fn precision(self, precision: Precision) -> Self {
        SessionBuilder { precision, ..self }
    }

    /// Has the plan of [`SessionBuilder::evaluate`], and those that are added to that session, update states as [`Graph::update`] says, and count their runs where
    /// [`Graph::step`] is asked for, as training steps do: for what is carried on from run to run, such as the keys and values of a text that is written
    /// word by word, or the state of a filter. Outputs are computed from states as they were before. Without it a run changes nothing.
    ///
    /// A plan carries out all updates of its graph, and needs the inputs of them all: what only reads states is a plan of another graph. Errors, when a
    /// session is made: a group of several members, whose states would come apart.
    ///
    /// ```
    /// use arenagrad::{DType, Device, Graph, Init, Session, Tensor};
    ///
    /// let g = Graph::new();
    /// let (x, mean) = (g.input("x", []), g.state("mean", [], DType::F32, Init::Constant(0.0)));
    /// let next = mean * 0.5 + x * 0.5;
    /// g.update(mean, next);
    /// let mut filter = Session::builder(Device::cpu()).updating_states().evaluate(&g, &[next])?;
    /// for expected in [4.0, 6.0, 7.0] {
    ///     assert_eq!(filter.run(&[("x", &Tensor::from(8.0f32))])?[0].item()?, expected);
    /// }
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn updating_states(self) -> Self {
        SessionBuilder { updates_states: true, ..self }
    }

    /// A session that minimises `loss`, one float, over all trainable parameters of its graph. The graph is left as it was:
    /// gradients and updates are appended, planned and taken back, also if it is refused or the optimiser panics.
    ///
    /// Errors: as [`Session::train`], and a metric that is stale or of another graph.
    #[track_caller]
    pub fn train(self, graph: &Graph, loss: Expr<'_>, optimizer: &dyn Optimizer) -> Result<Session, Error> {
        let declared = graph.declarations().len();
        let plan = self.training_plan(graph, loss, optimizer, Origin::here());
        let mut session = Session::new(self.device, self.seed, true);
        session.memory_policy = self.memory;
        if let Some(group) = self.group {
            session.join(group);
        }
        session.precision = self.precision;
        let plan = plan?;
        // What stands behind the graph's own declarations is the optimiser's.
        let state: Vec<String> = plan.declarations.iter().skip(declared).map(|state| state.name.clone()).collect();
        session.prepare(plan)?;
        session.mark_training_state(&state);
        Ok(session)
    }

    /// A session that computes `outputs`. Errors: as [`Session::evaluate`].
    #[track_caller]
    pub fn evaluate(self, graph: &Graph, outputs: &[Expr<'_>]) -> Result<Session, Error> {
        let origin = Origin::here();
        let outputs = required(graph, outputs, "Session::evaluate", origin)?;
        if let Some(size) =
            self.group.as_ref().map(|group| group.size()).filter(|&size| size > 1 && self.updates_states)
        {
            return Err(GroupError::StatesOfEach { size }.into());
        }
        let mut session = Session::new(self.device, self.seed, false);
        session.memory_policy = self.memory;
        if let Some(group) = self.group {
            session.join(group);
        }
        session.precision = self.precision;
        session.updates_states = self.updates_states;
        session.add_required(graph, &outputs, origin)?;
        Ok(session)
    }

    fn training_plan(
        &self,
        graph: &Graph,
        loss: Expr<'_>,
        optimizer: &dyn Optimizer,
        origin: Origin,
    ) -> Result<Plan, Error> {
        let method = "Session::train";
        let loss = required(graph, &[loss], method, origin)?[0];
        let metrics = required(graph, &self.metrics, method, origin)?;
        let metrics = metrics.iter().map(|metric| metric.id()).collect::<Result<Vec<NodeId>, _>>()?;
        // The optimiser declares its states there.
        graph.at(origin, || graph.require_own(method))?;
        let precision = &self.precision;
        graph.temporarily(|| {
            let request = match &self.group {
                Some(group) if group.size() > 1 => {
                    let has_samples = samples_of(&graph.declarations()) > 0;
                    let bucketing = Bucketing { bytes: BUCKET_BYTES, has_samples };
                    group_training_request(loss, &metrics, optimizer, bucketing, (precision, ""), origin)?
                }
                Some(_) | None => training_request(loss, &metrics, optimizer, (precision, ""), origin)?,
            };
            let (memory, target) = (self.memory.clone(), self.device.target());
            Plan::new(graph, &Request { memory, target, ..request })
        })
    }
}
