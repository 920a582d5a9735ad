//! Where a function of a trainer makes a NaN or an infinity: it is built once more, with every node an output, and run with the present
//! parameters. The plan of the search is given up behind it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use arenagrad_graph::{Graph, GraphError, NodeId};

use crate::check::{AnomalyReport, Search};
use crate::data::NamedTensors;
use crate::error::Error;
use crate::plan::{Plan, Request, Target};
use crate::precision::Precision;
use crate::session::required;
use crate::train::request::{UnderPrefix, gradients_request};
use crate::train::trainer::function::{Body, Function, Purpose};
use crate::train::trainer::inputs::Inputs;
use crate::train::trainer::tensors::Tensors;
use crate::train::trainer::{FunctionId, Trainer, Use};

impl Trainer<'_> {
    /// The first node of the first training function, or of its backward pass, that is not finite for a batch, with the present
    /// parameters: see [`crate::check::anomaly`]. The loss, the metrics, the gradients and what running statistics would become are looked into. Draws are those that
    /// the next step would make. Nothing is changed, so a loop that meets a loss that is NaN can search in the step itself, if it has the
    /// batch and the parameters before it.
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{Adam, Device, Tensor, Trainer};
    ///
    /// let layer = Linear::new("layer", 1, 1);
    /// let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
    ///     let x = inputs.get("x");
    ///     (layer.apply(x) - x.log()).square().mean(..)
    /// });
    /// let x = Tensor::new([2, 1], vec![1.0f32, -1.0])?;
    /// assert!(trainer.step(&[("x", &x)])?.loss.is_nan());
    /// let report = trainer.anomaly(&[("x", &x)])?;
    /// assert!(report.nan.is_some_and(|first| first.name.contains("layer.weight"))); // the step has made it so: the search came too late
    ///
    /// trainer.session_mut().set_parameter("layer.weight", &Tensor::new([1, 1], vec![0.5f32])?)?;
    /// trainer.session_mut().set_parameter("layer.bias", &Tensor::new([1], vec![0.0f32])?)?;
    /// let report = trainer.anomaly(&[("x", &x)])?;
    /// assert!(report.nan.is_some_and(|first| first.name.starts_with("log"))); // with the line of the logarithm
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    ///
    /// In a group each member searches in its own batch, without the others. Under a scale of the loss gradients are looked at when they are divided
    /// by it. Errors: as [`Trainer::gradients`].
    pub fn anomaly(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Result<AnomalyReport, Error> {
        self.anomaly_of(self.first_training()?, batch)
    }

    /// [`Trainer::anomaly`] of a function, be it a training function or an evaluation.
    pub fn anomaly_of(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Result<AnomalyReport, Error> {
        self.session.require_waiting("Trainer::anomaly")?;
        let tensors = Tensors::of(batch);
        let purpose = match self.functions[self.place(function)?].body {
            Body::Training { .. } => {
                self.refuse_empty(&tensors)?;
                Purpose::Gradients
            }
            Body::Evaluation(_) => Purpose::Run,
        };
        // The plan without a search is made first: it has the parameters, and refuses what is to be refused.
        let (number, place) = self.planned(function, purpose, &tensors, Use::Run)?;
        let known = self.known_names();
        let (plan, search) =
            self.functions[number].search(&tensors, self.device().target(), &self.precision, &known)?;
        let inputs = self.functions[number].kept(place).chosen(&tensors);
        let mut prepared = self.session.prepare_outside(plan)?;
        let results = self.session.start_outside(&mut prepared, &inputs, tensors.samples);
        let results = results.and_then(|results| results.wait());
        self.session.drop_outside(prepared);
        Ok(search.report(&results?))
    }
}

impl Function<'_> {
    /// A plan of everything that the function computes for these tensors, and what is said of it.
    /// Patterns of the optimiser that a name of `known` has are no typing errors.
    fn search(
        &self,
        tensors: &Tensors<'_>,
        target: Target,
        precision: &Precision,
        known: &[String],
    ) -> Result<(Plan, Search), Error> {
        let graph = Graph::new();
        let inputs = Inputs::new(&graph, tensors)?;
        let (mut ends, rounding) = match &self.body {
            Body::Training { name, optimizer, loss, .. } => {
                let loss = loss(&inputs).map_err(|error| inputs.first_mistake(error))?;
                inputs.asked()?;
                let loss = required(&graph, &[loss], "loss", self.origin)?[0];
                let (shared, depends_on_missed) = (RefCell::default(), Cell::new(false));
                let optimizer = UnderPrefix {
                    prefix: name,
                    optimizer: &**optimizer,
                    reached_at_times: &BTreeSet::new(),
                    reached: &[],
                    known,
                    shared: &shared,
                    depends_on_missed: &depends_on_missed,
                };
                let precision = precision.with_matched(&self.matched);
                let (Request { outputs, rounding, .. }, _) = gradients_request(loss, &optimizer, &precision, name)?;
                (outputs, rounding)
            }
            Body::Evaluation(outputs) => {
                let outputs = outputs(&inputs).map_err(|error| inputs.first_mistake(error))?;
                inputs.asked()?;
                let outputs = required(&graph, &outputs, "outputs", self.origin)?;
                let outputs = outputs.iter().map(|output| output.id()).collect::<Result<Vec<NodeId>, GraphError>>()?;
                (outputs, precision.of_evaluation(&graph)?)
            }
        };
        ends.extend(inputs.metrics()?.1);
        if matches!(self.body, Body::Training { .. }) {
            ends.extend(graph.updates().into_iter().map(|(_, next)| next));
        }
        let search = Search::new(&graph, &ends)?;
        let outputs = search.nodes().collect();
        let request = Request { outputs, rest: "search", rounding, target, ..Request::default() };
        Ok((Plan::new(&graph, &request)?, search))
    }
}
