//! A session: plans compiled once and run many times, over parameters that stay on the device.
//!
//! Invariants: every plan of a session reads and writes the same parameters; a run checks everything the caller passed
//! before it touches the device, so a refused run changes nothing; a run on the CPU allocates nothing but what it returns,
//! and a run on a GPU is one submit.

mod builder;
mod feed;
mod store;

pub use builder::SessionBuilder;

use std::collections::HashMap;
use std::path::Path;

use arenagrad_graph::{DeclarationKind, Expr, Graph};

use crate::device::Device;
use crate::error::Error;
use crate::plan::{Plan, Request};
use crate::tensor::{Tensor, TensorData};
use crate::train::{Optimizer, initial_value, read_parameters, require, write_parameters};
use feed::Feed;
use store::{Executable, Memory};

/// Plans over one set of parameters on one device.
///
/// ```
/// use arenagrad::{Device, Graph, Init, Session, Sgd, Tensor};
///
/// let g = Graph::new();
/// let x = g.input("x", [4]);
/// let w = g.parameter("w", [], Init::Constant(3.0));
/// let loss = (w * x - x * 2.0).square().mean(..); // least at w = 2
/// let mut session = Session::train(&g, loss, Sgd::new(0.05), Device::cpu())?;
/// let x = Tensor::new([4], vec![1.0f32, 2.0, 3.0, 4.0])?;
/// for _ in 0..50 {
///     session.step(&[("x", &x)])?;
/// }
/// assert!((session.parameter("w")?.item()? - 2.0).abs() < 1e-4);
/// # Ok::<(), arenagrad::Error>(())
/// ```
pub struct Session {
    device: Device,
    memory: Memory,
    parameters: Vec<Parameter>,
    /// The place of each parameter among them, by name.
    places: HashMap<String, usize>,
    plans: Vec<Prepared>,
    /// Whether the first plan is a training step.
    trains: bool,
    seed: u64,
    number: u32,
}

/// A plan that was added to a session by [`Session::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanId {
    session: u32,
    plan: u32,
}

/// What [`Session::step_with_metrics`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The loss before the update.
    pub loss: f64,
    /// The metrics that the session was built with, in order.
    pub metrics: Vec<Tensor>,
}

struct Parameter {
    name: String,
    shape: arenagrad_graph::Shape,
    dtype: arenagrad_graph::DType,
    trainable: bool,
    buffer: u32,
}

/// A plan with everything that a run needs.
struct Prepared {
    plan: Plan,
    feed: Feed,
    executable: Executable,
    /// The session's buffer of each output; none for results without elements.
    outputs: Vec<Option<u32>>,
}

impl Session {
    /// A session that minimises `loss`, one float, over all trainable parameters of its graph. The optimiser's state takes
    /// names of its own beside them: see [`crate::train`].
    pub fn train(graph: &Graph, loss: Expr<'_>, optimizer: impl Optimizer, device: Device) -> Result<Session, Error> {
        Session::builder(device).train(graph, loss, &optimizer)
    }

    /// A session that computes `outputs`.
    pub fn evaluate(graph: &Graph, outputs: &[Expr<'_>], device: &Device) -> Result<Session, Error> {
        Session::builder(device.clone()).evaluate(graph, outputs)
    }

    /// A session with a seed, or with metrics.
    pub fn builder<'e>(device: Device) -> SessionBuilder<'e> {
        SessionBuilder::new(device)
    }

    /// Adds a plan over the same parameters: the same network on another batch size, or other outputs. Parameters that the
    /// session does not have yet are initialised; those that it has keep their values.
    pub fn add(&mut self, graph: &Graph, outputs: &[Expr<'_>]) -> Result<PlanId, Error> {
        let ids = outputs.iter().map(|output| output.check()?.id()).collect::<Result<Vec<_>, _>>()?;
        let request =
            Request { outputs: ids.clone(), stages: vec![("forward", ids)], rest: "rest", ..Request::default() };
        self.prepare(Plan::new(graph, &request)?)
    }

    /// One training step: forward pass, backward pass and update. Returns the loss before the update.
    ///
    /// Each input that the plan reads is given once, by name; others of the graph may be. Errors leave parameters as they
    /// were: an input that is missing, unknown, or of another shape or dtype than declared; an index outside its axis or a
    /// label outside its classes.
    pub fn step(&mut self, inputs: &[(&str, &Tensor)]) -> Result<f64, Error> {
        self.start(inputs)?;
        let prepared = &mut self.plans[0];
        if let (Memory::Cpu(memory), Executable::Cpu(executable), Some(buffer)) =
            (&mut self.memory, &mut prepared.executable, prepared.outputs[0])
        {
            executable.run(memory);
            return Ok(memory.first(buffer));
        }
        let results = self.execute(0, true)?;
        results[0].item()
    }

    /// One training step, and the values of the metrics in it.
    pub fn step_with_metrics(&mut self, inputs: &[(&str, &Tensor)]) -> Result<StepOutcome, Error> {
        self.start(inputs)?;
        let mut metrics = self.execute(0, true)?;
        let loss = metrics.remove(0).item()?;
        Ok(StepOutcome { loss, metrics })
    }

    /// One training step whose results nobody reads: on a GPU it does not wait for the device.
    pub fn advance(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
        self.start(inputs)?;
        let prepared = &mut self.plans[0];
        prepared.executable.run(&mut self.memory, false).map(drop)
    }

    /// Runs the first plan that is not a training step, and returns its outputs.
    pub fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Error> {
        let plan = u32::from(self.trains);
        if plan as usize >= self.plans.len() {
            return Err(Error::NothingToRun);
        }
        self.run_plan(PlanId { session: self.number, plan }, inputs)
    }

    /// Runs a plan that was added to this session, and returns its outputs.
    pub fn run_plan(&mut self, plan: PlanId, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Error> {
        if plan.session != self.number || plan.plan as usize >= self.plans.len() {
            return Err(Error::ForeignPlan);
        }
        let prepared = &mut self.plans[plan.plan as usize];
        prepared.feed.write(inputs, &mut self.memory)?;
        self.execute(plan.plan as usize, true)
    }

    /// A session of one plan that is no training step.
    pub(crate) fn of_plan(device: Device, plan: Plan) -> Result<(Session, PlanId), Error> {
        let mut session = Session::new(device, 0, false);
        let id = session.prepare(plan)?;
        Ok((session, id))
    }

    /// The id of the first plan.
    pub(crate) fn first_plan(&self) -> PlanId {
        PlanId { session: self.number, plan: 0 }
    }

    /// Runs the first plan with values for all inputs of its graph, in the order of their declarations, of which those that
    /// are unchanged since the last run need not be written again.
    pub(crate) fn run_in_order<T: AsRef<Tensor>>(
        &mut self,
        values: &[T],
        unchanged: impl Fn(usize) -> bool,
    ) -> Result<Vec<Tensor>, Error> {
        self.plans[0].feed.write_in_order(values, unchanged, &mut self.memory)?;
        self.execute(0, true)
    }

    /// Waits until the device has done everything it was given.
    pub fn wait(&self) -> Result<(), Error> {
        self.memory.wait()
    }

    /// The device that the session runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of the training step, or of the only evaluation. It prints as a table of steps and buffers.
    pub fn plan(&self) -> &Plan {
        &self.plans[0].plan
    }

    /// A plan that was added to this session.
    pub fn plan_of(&self, plan: PlanId) -> Result<&Plan, Error> {
        match self.plans.get(plan.plan as usize) {
            Some(prepared) if plan.session == self.number => Ok(&prepared.plan),
            Some(_) | None => Err(Error::ForeignPlan),
        }
    }

    /// How often work was submitted to a GPU by this session's plans; 0 on the CPU.
    pub fn submits(&self) -> u64 {
        self.plans.iter().map(|prepared| prepared.executable.submits()).sum()
    }

    /// How many dispatches one run of the first plan is on a GPU; 0 on the CPU.
    pub fn dispatches(&self) -> usize {
        self.plans[0].executable.dispatches()
    }

    /// The names of all parameters and states, in the order of their declarations.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|parameter| parameter.name.as_str())
    }

    /// The names of the parameters that the optimiser trains.
    pub fn trainable_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|parameter| parameter.trainable).map(|parameter| parameter.name.as_str())
    }

    /// The present value of a parameter or state.
    pub fn parameter(&self, name: &str) -> Result<Tensor, Error> {
        let parameter = self.find(name)?;
        let data = match parameter.shape.elements() {
            0 => TensorData::zeros(parameter.dtype, 0),
            elements => self.memory.read(parameter.buffer, parameter.dtype, elements)?,
        };
        Tensor::from_data(parameter.shape.clone(), data)
    }

    /// Sets a parameter or state to a tensor of its shape and dtype.
    pub fn set_parameter(&mut self, name: &str, value: &Tensor) -> Result<(), Error> {
        let parameter = self.find(name)?;
        if parameter.shape != *value.shape() {
            let (expected, found) = (parameter.shape.clone(), value.shape().clone());
            return Err(Error::ParameterShape { name: name.to_owned(), expected, found });
        }
        if parameter.dtype != value.dtype() {
            let (expected, found) = (parameter.dtype, value.dtype());
            return Err(Error::ParameterDType { name: name.to_owned(), expected, found });
        }
        let buffer = parameter.buffer;
        self.memory.write(buffer, value.data())
    }

    /// Sets the learning rate of the optimisers of this crate, from the next step on.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        require("learning rate", rate, rate.is_finite() && rate >= 0.0, "a finite number, 0 or more")?;
        let dtype = self.find("learning_rate")?.dtype;
        self.set_parameter("learning_rate", &Tensor::scalar(rate).cast(dtype))
    }

    /// Writes all parameters and states to a file in the safetensors format. It appears whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let tensors = self
            .parameters
            .iter()
            .map(|parameter| Ok((parameter.name.clone(), self.parameter(&parameter.name)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        write_parameters(path.as_ref(), &tensors)
    }

    /// Reads all parameters and states of this session from a file that [`Session::save`] wrote. What else the file holds is
    /// ignored. A file that is truncated, foreign, or lacks a parameter is an error, and nothing is changed.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let wanted: Vec<_> = self
            .parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.shape.clone(), parameter.dtype))
            .collect();
        let tensors = read_parameters(path.as_ref(), &wanted)?;
        for ((name, ..), tensor) in wanted.iter().zip(&tensors) {
            self.set_parameter(name, tensor)?;
        }
        Ok(())
    }

    fn new(device: Device, seed: u64, trains: bool) -> Session {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let memory = Memory::new(&device);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Session {
            device,
            memory,
            parameters: Vec::new(),
            places: HashMap::new(),
            plans: Vec::new(),
            trains,
            seed,
            number,
        }
    }

    /// Adds a plan; if that fails, the session has the parameters that it had.
    fn prepare(&mut self, plan: Plan) -> Result<PlanId, Error> {
        let known = self.parameters.len();
        let prepared = self.prepare_plan(plan);
        if prepared.is_err() {
            for parameter in self.parameters.drain(known..) {
                self.places.remove(&parameter.name);
            }
        }
        prepared
    }

    /// Makes a plan ready: parameters that are new, buffers, executable.
    fn prepare_plan(&mut self, plan: Plan) -> Result<PlanId, Error> {
        for (number, declaration) in plan.declarations.iter().enumerate() {
            let DeclarationKind::Parameter { init, trainable } = &declaration.kind else { continue };
            if !plan.alive[number] {
                continue;
            }
            let (name, shape, dtype) = (&declaration.name, &declaration.shape, declaration.dtype);
            if let Some(known) = self.places.get(name).map(|&place| &self.parameters[place]) {
                if known.shape != *shape {
                    let (expected, found) = (known.shape.clone(), shape.clone());
                    return Err(Error::ParameterShape { name: name.clone(), expected, found });
                }
                if known.dtype != dtype {
                    return Err(Error::ParameterDType { name: name.clone(), expected: known.dtype, found: dtype });
                }
                continue;
            }
            // First the buffer: where it is refused, the elements would not fit either.
            let buffer = self.memory.allocate(&format!("{name:?}"), dtype, shape.elements())?;
            let value = initial_value(init, shape, dtype, self.seed, number as u32)?;
            self.memory.write(buffer, value.data())?;
            let trainable = *trainable;
            self.places.insert(name.clone(), self.parameters.len());
            self.parameters.push(Parameter { name: name.clone(), shape: shape.clone(), dtype, trainable, buffer });
        }
        let buffer = |name: &str| self.places.get(name).map(|&place| self.parameters[place].buffer);
        let place = self.memory.place(&plan, buffer)?;
        let feed = Feed::new(&plan, &place);
        let executable = Executable::new(&self.device, &mut self.memory, &plan, &place)?;
        let outputs = plan.outputs.iter().map(|output| output.buffer.map(|buffer| place[buffer as usize])).collect();
        self.plans.push(Prepared { plan, feed, executable, outputs });
        Ok(PlanId { session: self.number, plan: self.plans.len() as u32 - 1 })
    }

    /// Checks and writes the inputs of a training step.
    fn start(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
        if !self.trains {
            return Err(Error::NotTraining);
        }
        self.plans[0].feed.write(inputs, &mut self.memory)
    }

    /// Runs a plan whose inputs are written, and reads its outputs if they are wanted.
    fn execute(&mut self, plan: usize, fetch: bool) -> Result<Vec<Tensor>, Error> {
        let prepared = &mut self.plans[plan];
        let mut fetched = prepared.executable.run(&mut self.memory, fetch)?.into_iter();
        let mut results = Vec::with_capacity(prepared.outputs.len());
        for (output, buffer) in prepared.plan.outputs.iter().zip(&prepared.outputs) {
            let data = match (buffer, &self.memory) {
                (None, _) => TensorData::zeros(output.dtype, 0),
                (Some(buffer), Memory::Cpu(memory)) => memory.read(*buffer, output.shape.elements()),
                #[cfg(feature = "gpu")]
                (Some(_), Memory::Gpu(_)) => fetched.next().unwrap_or_else(|| TensorData::zeros(output.dtype, 0)),
            };
            results.push(Tensor::from_data(output.shape.clone(), data)?);
        }
        debug_assert!(fetched.next().is_none());
        Ok(results)
    }

    fn find(&self, name: &str) -> Result<&Parameter, Error> {
        self.places.get(name).map(|&place| &self.parameters[place]).ok_or_else(|| {
            let known: Vec<_> = self.parameters.iter().map(|parameter| format!("{:?}", parameter.name)).collect();
            Error::UnknownParameter { name: name.to_owned(), known: known.join(", ") }
        })
    }
}
