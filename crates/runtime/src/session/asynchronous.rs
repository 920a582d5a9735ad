//! What a session gives without blocking: results that will come.
//!
//! The methods that block are these and a wait. In a page, which must not block, these are the ones that work on a GPU.

use arenagrad_graph::Elements;

use crate::error::Error;
use crate::pending::Pending;
use crate::session::parameters::{Parameter, Place};
use crate::session::store::{BufferRead, Executable, Memory};
use crate::session::{PlanId, Session, StepOutcome};
use crate::tensor::Tensor;
use crate::weights::Weights;

impl Session {
    /// [`Session::step`] without blocking: the step is submitted, and its loss will come. Several may be under way; each trains on what the
    /// one before it left.
    pub fn step_async(&mut self, inputs: &[(&str, &Tensor)]) -> Pending<f64> {
        Pending::of(self.start(inputs).and_then(|()| match self.loss_here()? {
            Some(loss) => Ok(Pending::here(Ok(loss))),
            None => self.loss_later(),
        }))
    }

    /// Runs a training step whose inputs are written, if that is done when this returns, and reads the loss where it stands: a small step takes
    /// no longer than a result that is passed on.
    pub(super) fn loss_here(&mut self) -> Result<Option<f64>, Error> {
        let prepared = &mut self.plans[0];
        let (Memory::Cpu(memory), Executable::Cpu(executable), Some(buffer)) =
            (&mut self.memory, &mut prepared.executable, prepared.outputs[0])
        else {
            return Ok(None);
        };
        let run = executable.run(memory);
        let loss = memory.first(buffer);
        memory.take_back();
        run.map(|()| Some(loss))
    }

    /// Runs a training step whose inputs are written: its loss, which will come.
    pub(super) fn loss_later(&mut self) -> Result<Pending<f64>, Error> {
        Ok(self.begin(0)?.then(|results| results[0].item()))
    }

    /// [`Session::step_with_metrics`] without blocking.
    pub fn step_with_metrics_async(&mut self, inputs: &[(&str, &Tensor)]) -> Pending<StepOutcome> {
        Pending::of(self.start(inputs).and_then(|()| {
            Ok(self.begin(0)?.then(|mut metrics| {
                let loss = metrics.remove(0).item()?;
                Ok(StepOutcome { loss, metrics })
            }))
        }))
    }

    /// [`Session::advance`] without blocking: the step is submitted, and there is room on the device for another when this comes. Whoever
    /// awaits it has never more than a few steps under way.
    pub fn advance_async(&mut self, inputs: &[(&str, &Tensor)]) -> Pending<()> {
        Pending::of(self.start(inputs).and_then(|()| {
            let room = self.plans[0].advance(&mut self.memory);
            self.after_run(self.plans[0].executable.report(), room)
        }))
    }

    /// [`Session::run`] without blocking.
    pub fn run_async(&mut self, inputs: &[(&str, &Tensor)]) -> Pending<Vec<Tensor>> {
        let plan = u32::from(self.trains);
        if plan as usize >= self.plans.len() {
            return Pending::here(Err(Error::NothingToRun));
        }
        self.run_plan_async(PlanId { session: self.number, plan }, inputs)
    }

    /// [`Session::run_plan`] without blocking.
    pub fn run_plan_async(&mut self, plan: PlanId, inputs: &[(&str, &Tensor)]) -> Pending<Vec<Tensor>> {
        if plan.session != self.number || plan.plan as usize >= self.plans.len() {
            return Pending::here(Err(Error::ForeignPlan));
        }
        let plan = plan.plan as usize;
        Pending::of(self.lend(plan, inputs).and_then(|()| self.begin(plan)))
    }

    /// Runs a plan whose inputs are written: its results, which will come.
    fn begin(&mut self, plan: usize) -> Result<Pending<Vec<Tensor>>, Error> {
        let results = self.plans[plan].start(&mut self.memory);
        self.after_run(self.plans[plan].executable.report(), results)
    }

    /// [`Session::wait`] without blocking: that the device has done everything it was given. In a browser errors of what came before
    /// come with it, those of making plans among them.
    pub fn wait_async(&self) -> Pending<()> {
        Pending::of(self.memory.all_done())
    }

    /// [`Session::parameter`] without blocking: the value after all steps that were submitted before.
    pub fn parameter_async(&self, name: &str) -> Pending<Tensor> {
        Pending::of(self.parameters.find(name).and_then(|parameter| self.values_later(&[parameter])))
            .then(|mut values| Ok(values.remove(0).into_native()))
    }

    /// [`Session::weights`] without blocking: all values after all steps that were submitted before, read at once.
    pub fn weights_async(&self) -> Pending<Weights> {
        // What an earlier file could not give is not there to be written.
        let is_there = |parameter: &Parameter| !matches!(parameter.place, Place::Unfit(_));
        let is_wanted = |parameter: &&Parameter| !parameter.is_training_state && is_there(parameter);
        let wanted: Vec<&Parameter> = self.parameters.iter().filter(is_wanted).collect();
        let names: Vec<String> = wanted.iter().map(|parameter| parameter.name.clone()).collect();
        Pending::of(self.values_later(&wanted)).then(|values| Ok(names.into_iter().zip(values).collect()))
    }

    /// The values of parameters in the types that the device holds them in.
    pub(super) fn values_later(&self, wanted: &[&Parameter]) -> Result<Pending<Vec<Tensor>>, Error> {
        let (mut reads, mut values) = (Vec::new(), Vec::with_capacity(wanted.len()));
        for parameter in wanted {
            let value = match self.parameters.present(parameter) {
                Some(value) => Some(value?),
                None => {
                    let Parameter { shape, storage, .. } = parameter;
                    reads.extend(parameter.buffer().filter(|_| shape.elements() > 0).map(|buffer| BufferRead {
                        buffer,
                        storage: *storage,
                        elements: shape.elements(),
                    }));
                    None
                }
            };
            values.push((parameter.shape.clone(), parameter.storage, value));
        }
        let read = if reads.is_empty() { Pending::here(Ok(Vec::new())) } else { self.memory.read_later(&reads)? };
        Ok(read.then(|read| {
            let mut read = read.into_iter();
            let tensors = values.into_iter().map(|(shape, storage, value)| match value {
                Some(value) => Ok(value),
                None if shape.elements() == 0 => Tensor::from_data(shape, Elements::empty(storage)),
                None => Tensor::from_data(shape, read.next().unwrap_or_else(|| Elements::empty(storage))),
            });
            tensors.collect()
        }))
    }
}
