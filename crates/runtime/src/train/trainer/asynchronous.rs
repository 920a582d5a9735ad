//! What a trainer gives without blocking: results that will come. The methods that block are these and a wait.

use crate::data::NamedTensors;
use crate::error::Error;
use crate::pending::Pending;
use crate::tensor::Tensor;
use crate::train::trainer::function::{Body, Purpose};
use crate::train::trainer::tensors::Tensors;
use crate::train::trainer::{Evaluation, FunctionId, Outcome, Trainer, Use, describe};

/// The names of what comes last among results, and the results, which will come.
pub(super) type Started = (Vec<String>, Pending<Vec<Tensor>>);

impl Trainer<'_> {
    /// [`Trainer::step`] without blocking: the step is submitted, and its outcome will come. Several may be under way.
    pub fn step_async(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Pending<Outcome> {
        match self.first_training() {
            Ok(function) => self.step_of_async(function, batch),
            Err(error) => Pending::here(Err(error)),
        }
    }

    /// [`Trainer::step_of`] without blocking.
    pub fn step_of_async(&mut self, function: FunctionId, batch: &(impl NamedTensors + ?Sized)) -> Pending<Outcome> {
        if let Some(shards) = self.shards() {
            let known = self.training(function);
            return Pending::here(known.and_then(|_| self.deterministic_step(function, shards, &Tensors::of(batch))));
        }
        let started = self.training(function).and_then(|_| self.start_step(function, &Tensors::of(batch)));
        Pending::of(started.map(|(names, results)| {
            results.then(|mut results| {
                let loss = results.remove(0).item()?;
                Ok(Outcome { loss, metrics: names.into_iter().zip(results).collect() })
            })
        }))
    }

    /// [`Trainer::advance`] without blocking: there is room on the device for another step when this comes.
    pub fn advance_async(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Pending<()> {
        match self.first_training() {
            Ok(function) => self.advance_of_async(function, batch),
            Err(error) => Pending::here(Err(error)),
        }
    }

    /// [`Trainer::advance_of`] without blocking.
    pub fn advance_of_async(&mut self, function: FunctionId, batch: &(impl NamedTensors + ?Sized)) -> Pending<()> {
        if self.shards().is_some() {
            return self.step_of_async(function, batch).then(|_| Ok(()));
        }
        Pending::of(self.training(function).and_then(|_| self.advance_plan(function, &Tensors::of(batch))))
    }

    /// [`Trainer::evaluate`] without blocking.
    pub fn evaluate_async(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Pending<Vec<Tensor>> {
        self.evaluate_with_metrics_async(function, batch).then(|evaluation| Ok(evaluation.outputs))
    }

    /// [`Trainer::evaluate_with_metrics`] without blocking.
    pub fn evaluate_with_metrics_async(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Pending<Evaluation> {
        let started = self.start_evaluation(function, &Tensors::of(batch));
        Pending::of(started.map(|(names, outputs)| {
            outputs.then(|mut outputs| {
                let metrics = outputs.split_off(outputs.len() - names.len());
                Ok(Evaluation { outputs, metrics: names.into_iter().zip(metrics).collect() })
            })
        }))
    }

    /// [`Trainer::gradients`] without blocking.
    pub fn gradients_async(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Pending<Vec<(String, Tensor)>> {
        match self.first_training() {
            Ok(function) => self.gradients_of_async(function, batch),
            Err(error) => Pending::here(Err(error)),
        }
    }

    /// [`Trainer::gradients_of`] without blocking.
    pub fn gradients_of_async(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Pending<Vec<(String, Tensor)>> {
        let started = self.training(function).and_then(|_| self.start_gradients(function, &Tensors::of(batch)));
        Pending::of(started.map(|(names, results)| {
            results.then(|results| Ok(names.into_iter().zip(results.into_iter().skip(1)).collect()))
        }))
    }

    /// Refuses what is no evaluation.
    fn evaluation(&self, function: FunctionId) -> Result<(), Error> {
        match &self.functions[self.place(function)?].body {
            Body::Evaluation(_) => Ok(()),
            body @ Body::Training { .. } => {
                let (expected, found) = ("an evaluation", "a training function");
                Err(Error::FunctionKind { function: describe(body), expected, found })
            }
        }
    }

    /// Counts a step.
    pub(super) fn note_step(&mut self) {
        self.steps += 1;
        self.session.note_step();
    }

    /// Starts a training step.
    fn start_step(&mut self, function: FunctionId, tensors: &Tensors<'_>) -> Result<Started, Error> {
        self.refuse_empty(tensors)?;
        let planned = self.planned_together(function, Purpose::Run, tensors)?;
        let started = self.start_planned(planned, tensors)?;
        self.note_step();
        Ok(started)
    }

    /// Starts a run that gives gradients.
    pub(super) fn start_gradients(&mut self, function: FunctionId, tensors: &Tensors<'_>) -> Result<Started, Error> {
        self.refuse_empty(tensors)?;
        let planned = self.planned_together(function, Purpose::Gradients, tensors)?;
        self.start_planned(planned, tensors)
    }

    /// Starts an evaluation.
    fn start_evaluation(&mut self, function: FunctionId, tensors: &Tensors<'_>) -> Result<Started, Error> {
        self.evaluation(function)?;
        let planned = self.planned(function, Purpose::Run, tensors, Use::Run)?;
        self.start_planned(planned, tensors)
    }

    /// Starts the run of a plan, which is that of a function and a place.
    fn start_planned(&mut self, (number, place): (usize, usize), tensors: &Tensors<'_>) -> Result<Started, Error> {
        let kept = self.functions[number].kept(place);
        let inputs = kept.chosen(tensors);
        let results = self.session.start_outside(&mut kept.prepared, &inputs, tensors.samples)?;
        Ok((kept.names.clone(), results))
    }

    /// Starts a run of a function whose results nobody reads: that there is room for another.
    pub(super) fn advance_plan(&mut self, function: FunctionId, tensors: &Tensors<'_>) -> Result<Pending<()>, Error> {
        self.refuse_empty(tensors)?;
        let (number, place) = self.planned_together(function, Purpose::Run, tensors)?;
        let kept = self.functions[number].kept(place);
        let inputs = kept.chosen(tensors);
        let room = self.session.advance_outside(&mut kept.prepared, &inputs, tensors.samples)?;
        self.note_step();
        Ok(room)
    }
}
