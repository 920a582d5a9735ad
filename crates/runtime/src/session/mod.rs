//! A session: plans compiled once and run many times, over parameters that stay on the device.
//!
//! Invariants: every plan of a session reads and writes the same parameters; a session needs of its parameters those that a
//! plan computes with, and of a run's inputs those that its plan reads; a call checks everything the caller passed before it
//! touches the device, so a refused call changes nothing and leaves no buffer behind; a run on the CPU allocates nothing but
//! what it returns, and a run on a GPU is one submit, unless it is so large that the device would not
//! answer for seconds.

mod asynchronous;
mod averages;
mod builder;
mod checkpoint;
mod evaluation;
mod feed;
#[cfg(feature = "gpu")]
mod found;
pub(crate) mod grouped;
mod outside;
mod parameters;
mod parts;
mod pool;
mod prepared;
#[cfg(not(target_family = "wasm"))]
mod profile;
mod store;
#[cfg(test)]
mod tests;
mod untrained;
mod values;
mod weights;

pub use builder::SessionBuilder;

use std::collections::{HashMap, HashSet};

use arenagrad_graph::{DType, DeclarationKind, Elements, Expr, Graph, GraphError, Origin, Shape};

use crate::device::Device;
use crate::error::{Error, Given};
use crate::plan::{BufferRole, BufferSpec, MemoryPolicy, Plan};
use crate::precision::Precision;
use crate::tensor::Tensor;
use crate::train::Optimizer;
use crate::train::loss_scale::{LOSS_SCALE, given_scale, present_scale};
#[cfg(not(target_family = "wasm"))]
use crate::tuning;
use feed::Feed;
use parameters::{Parameters, Place};
pub(crate) use parts::{intent, told};
use pool::{Claim, Pool, Sharing};
pub(crate) use prepared::Prepared;
pub(crate) use store::LoopPlaces;
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
///
/// A session is `Send` and `Sync`: it may be made on one thread and trained on another, and sessions on several threads do not
/// disturb each other.
pub struct Session {
    device: Device,
    memory: Memory,
    /// What of the memory the plans share.
    pool: Pool,
    parameters: Parameters,
    plans: Vec<Prepared>,
    /// Whether the first plan is a training step.
    trains: bool,
    /// Whether its own plans that train nothing update states.
    updates_states: bool,
    /// Whether others keep its plans and make more of them as they need.
    has_outside_plans: bool,
    /// What is wanted of the memory of each of its plans.
    memory_policy: MemoryPolicy,
    /// In what precision its own plans compute.
    precision: Precision,
    number: u32,
    /// The group that it is a member of.
    membership: Option<grouped::Membership>,
}

/// A plan that was added to a session by [`Session::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanId {
    session: u32,
    plan: u32,
}

/// What [`Session::step_with_metrics`] returns.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepOutcome {
    /// The loss before the update.
    pub loss: f64,
    /// The metrics that the session was built with, in order.
    pub metrics: Vec<Tensor>,
}

/// These expressions, which a caller at that place gave a method of that name beside a graph: refused if they are none of its own.
pub(crate) fn required<'g>(
    graph: &'g Graph,
    expressions: &[Expr<'_>],
    method: &'static str,
    origin: Origin,
) -> Result<Vec<Expr<'g>>, GraphError> {
    graph.at(origin, || expressions.iter().map(|expression| graph.require(*expression, method)).collect())
}

impl Session {
    /// A session that minimises `loss`, one float, over all trainable parameters of its graph that a gradient reaches; the
    /// others keep their values. The optimiser's state takes names of its own beside them: see [`crate::train`].
    ///
    /// Errors: the graph's first mistake; a loss that is not one float, or that depends on no trainable parameter
    /// ([`Error::NothingToTrain`]); a hyperparameter out of range; a name that the optimiser reserves; what the device
    /// cannot compute or hold.
    #[track_caller]
    pub fn train(graph: &Graph, loss: Expr<'_>, optimizer: impl Optimizer, device: Device) -> Result<Session, Error> {
        Session::builder(device).train(graph, loss, &optimizer)
    }

    /// A session that computes `outputs`. It needs no more than these do: a parameter of the graph that no output depends on
    /// takes no memory on the device and need not be in a file that is loaded, and an input need not be given.
    ///
    /// Errors: the graph's first mistake; an output that is stale or of another graph; what the device cannot compute or hold.
    #[track_caller]
    pub fn evaluate(graph: &Graph, outputs: &[Expr<'_>], device: &Device) -> Result<Session, Error> {
        Session::builder(device.clone()).evaluate(graph, outputs)
    }

    /// A session with a seed, with metrics, or of another precision.
    pub fn builder<'e>(device: Device) -> SessionBuilder<'e> {
        SessionBuilder::new(device)
    }

    /// In what precision its plans compute.
    pub(crate) fn precision(&self) -> &Precision {
        &self.precision
    }

    /// The scale of the loss for gradients that are no training step, if the precision has one: the state of the session's training steps, or an input
    /// where there is none.
    pub(crate) fn scale_of_gradients<'g>(&self, graph: &'g Graph) -> Result<Option<Expr<'g>>, Error> {
        let has_state = self.has_loss_scale();
        let scale =
            |settings| if has_state { present_scale(graph, settings, "") } else { given_scale(graph, settings) };
        self.precision.scale().map(scale).transpose()
    }

    /// Whether training steps of the session keep up a scale of the loss.
    pub(crate) fn has_loss_scale(&self) -> bool {
        self.trains && self.parameters.get(LOSS_SCALE).is_some()
    }

    /// One training step: forward pass, backward pass and update. Returns the loss before the update.
    ///
    /// Each input that the plan reads is given once, by name; others of the graph may be, so that plans over one graph can be
    /// fed alike, and are then checked like the rest. Errors leave parameters as they
    /// were: an input that is missing, unknown, or of another shape or dtype than declared; an index outside its axis or a
    /// label outside its classes.
    pub fn step(&mut self, inputs: &[(&str, &Tensor)]) -> Result<f64, Error> {
        self.memory.require_waiting("Session::step")?;
        self.start(inputs)?;
        match self.loss_here()? {
            Some(loss) => Ok(loss),
            None => self.loss_later()?.wait(),
        }
    }

    /// One training step, and the values of the metrics in it.
    pub fn step_with_metrics(&mut self, inputs: &[(&str, &Tensor)]) -> Result<StepOutcome, Error> {
        self.memory.require_waiting("Session::step_with_metrics")?;
        self.step_with_metrics_async(inputs).wait()
    }

    /// One training step whose results nobody reads: on a GPU it does not wait for the device, but for a run that is a few runs old. In a
    /// browser it waits for nothing: await [`Session::advance_async`] now and then.
    pub fn advance(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
        self.start(inputs)?;
        self.execute(0, false).map(drop)
    }

    /// Runs the first plan that is not a training step, and returns its outputs. Inputs and errors as [`Session::step`].
    pub fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Error> {
        self.memory.require_waiting("Session::run")?;
        self.run_async(inputs).wait()
    }

    /// Runs a plan that was added to this session, and returns its outputs. Inputs and errors as [`Session::step`].
    pub fn run_plan(&mut self, plan: PlanId, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, Error> {
        self.memory.require_waiting("Session::run_plan")?;
        self.run_plan_async(plan, inputs).wait()
    }

    /// The id of the first plan: the training step's, or of the first evaluation. Where there is none it is refused when it is used.
    pub fn first_plan(&self) -> PlanId {
        PlanId { session: self.number, plan: 0 }
    }

    /// Runs the first plan with values for all inputs of its graph, in the order of their declarations, of which those that
    /// are unchanged since the last run need not be written again.
    pub(crate) fn run_in_order<T: AsRef<Tensor>>(
        &mut self,
        values: &[T],
        unchanged: impl Fn(usize) -> bool,
    ) -> Result<Vec<Tensor>, Error> {
        self.memory.require_waiting("Session::run")?;
        self.plans[0].feed.write_in_order(values, unchanged, &mut self.memory)?;
        self.plans[0].execute(&mut self.memory, true)
    }

    /// A session without plans.
    pub(crate) fn empty(device: Device) -> Session {
        Session::new(device, 0, false)
    }

    /// Runs a plan with values for all inputs of its graph, in the order of their declarations, of which those that are unchanged since
    /// its last run need not be written again. What it computes stays on the device, for [`Session::output`].
    pub(crate) fn run_unread<T: AsRef<Tensor>>(
        &mut self,
        plan: PlanId,
        values: &[T],
        unchanged: impl Fn(usize) -> bool,
    ) -> Result<(), Error> {
        let prepared = &mut self.plans[plan.plan as usize];
        prepared.feed.write_in_order(values, unchanged, &mut self.memory)?;
        prepared.execute(&mut self.memory, false).map(drop)
    }

    /// The shapes and dtypes of what a plan computes.
    pub(crate) fn outputs(&self, plan: PlanId) -> Vec<(Shape, DType)> {
        let outputs = &self.plans[plan.plan as usize].plan.outputs;
        outputs.iter().map(|output| (output.shape.clone(), output.dtype)).collect()
    }

    /// What a plan computed when it last ran.
    pub(crate) fn output(&self, plan: PlanId, number: u32) -> Result<Tensor, Error> {
        self.memory.require_waiting("Variable::data")?;
        let prepared = &self.plans[plan.plan as usize];
        let output = &prepared.plan.outputs[number as usize];
        let data = match (output.buffer, prepared.outputs[number as usize]) {
            (Some(spec), Some(buffer)) => {
                let storage = prepared.plan.buffers[spec as usize].storage;
                self.memory.read(buffer, storage, output.shape.elements())?
            }
            (None, _) | (_, None) => Elements::empty(output.dtype),
        };
        Ok(Tensor::from_data(output.shape.clone(), data)?.into_native())
    }

    /// Waits until the device has done everything it was given.
    pub fn wait(&self) -> Result<(), Error> {
        self.memory.require_waiting("Session::wait")?;
        self.wait_async().wait()
    }

    /// The device that the session runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The plan of the training step, or of the only evaluation: the first. It prints as a table of steps and buffers. A session
    /// without one, such as a trainer's, has an empty plan here.
    pub fn plan(&self) -> &Plan {
        self.plans.first().map(|prepared| &prepared.plan).unwrap_or_else(|| outside::empty_plan())
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

    /// How many dispatches the next run of the first plan is on a GPU; 0 on the CPU. Small steps that follow one another become one when
    /// the plan has run for a second in all, if that saves a tenth of a run: before, compiling them together would take longer than it
    /// saves. The bits stay the same. Dispatches of a loop's body count once, however many rounds it has, and steps beside a loop are not
    /// joined.
    pub fn dispatches(&self) -> usize {
        self.plans.first().map_or(0, |prepared| prepared.executable.dispatches())
    }

    fn new(device: Device, seed: u64, trains: bool) -> Session {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let memory = Memory::new(&device);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (pool, parameters) = (Pool::default(), Parameters::new(seed, trains));
        let (memory_policy, membership, precision) = (MemoryPolicy::default(), None, Precision::full());
        let (plans, has_outside_plans) = (Vec::new(), false);
        Session {
            device,
            memory,
            pool,
            parameters,
            plans,
            trains,
            updates_states: false,
            has_outside_plans,
            memory_policy,
            precision,
            number,
            membership,
        }
    }

    /// Adds a plan; if that fails, the session has the parameters and buffers that it had.
    pub(crate) fn prepare(&mut self, plan: Plan) -> Result<PlanId, Error> {
        let prepared = self.prepare_with(plan, Sharing::Own)?;
        self.plans.push(prepared);
        Ok(PlanId { session: self.number, plan: self.plans.len() as u32 - 1 })
    }

    /// Makes a plan ready. Parameters that are new become known, and those that the plan is the first to need get buffers,
    /// which are returned beside it. Values are written when nothing can be refused any more: a device that has been given
    /// something to write keeps the buffer until it is next given work.
    fn make_ready(&mut self, plan: Plan, sharing: Sharing) -> Result<(Prepared, Vec<(String, u32)>), Error> {
        let needed: HashSet<u32> = plan
            .buffers
            .iter()
            .filter_map(|spec| match spec.role {
                BufferRole::Parameter(declaration) => Some(declaration),
                BufferRole::Input(_) | BufferRole::Literal(_) | BufferRole::Slot => None,
            })
            .collect();
        let mut moved = Vec::new();
        for ((declaration, number), alive) in plan.declarations.iter().zip(0..).zip(&plan.alive) {
            let DeclarationKind::Parameter { init, trainable } = &declaration.kind else { continue };
            if !alive {
                continue;
            }
            let name = &declaration.name;
            match self.parameters.get(name) {
                None => self.parameters.add(declaration, init, *trainable),
                Some(known) => {
                    // Two parameters of one name are a mistake, whether they are needed or not.
                    let given = Given::Declaration(declaration.origin.to_string());
                    known.check_declared(&declaration.shape, declaration.storage, given)?;
                }
            }
            if !needed.contains(&number) {
                continue;
            }
            let parameter = self.parameters.find(name)?;
            self.parameters.refuse_lacking(parameter)?;
            match &parameter.place {
                Place::Device(_) => {}
                Place::Unfit(error) => return Err(error.clone()),
                Place::Initial(_) | Place::Host(_) => {
                    let elements = declaration.shape.elements();
                    let buffer = self.memory.allocate(format_args!("{name:?}"), declaration.storage, elements);
                    let buffer = buffer.map_err(|error| {
                        let is_own = |spec: &BufferSpec| spec.role == BufferRole::Parameter(number);
                        match plan.buffers.iter().position(is_own) {
                            Some(own) => plan.told_of(own, error),
                            None => error,
                        }
                    })?;
                    moved.push((name.clone(), buffer));
                }
            }
        }
        let new: HashMap<&str, u32> = moved.iter().map(|(name, buffer)| (name.as_str(), *buffer)).collect();
        let parameters = &self.parameters;
        let buffer = |name: &str| match parameters.get(name)?.place {
            Place::Device(buffer) => Some(buffer),
            Place::Initial(_) | Place::Host(_) | Place::Unfit(_) => new.get(name).copied(),
        };
        let mut claim = Claim::new(sharing);
        let place = self.memory.place(&plan, buffer, &self.pool, &mut claim)?;
        let feed = Feed::new(&plan, &place);
        let loops = self.memory.place_loops(&plan, &place, &self.pool, &mut claim)?;
        #[cfg(not(target_family = "wasm"))]
        let choices = tuning::choices(&self.device, &plan)?;
        // A page in a browser measures nothing.
        #[cfg(target_family = "wasm")]
        let choices = Vec::new();
        let exchanged = grouped::Exchanged::of(&plan);
        let group = self.group().filter(|_| exchanged.is_some()).cloned();
        let executable = match group {
            Some(group) => {
                Executable::in_group(&group, &self.device, &mut self.memory, &plan, (&place, &loops), &choices)?
            }
            None => Executable::new(&self.device, &mut self.memory, &plan, &place, &loops, &choices)?,
        };
        self.memory.write_literals(&plan, &place)?;
        self.memory.write_loop_literals(&plan, &loops)?;
        for (name, buffer) in &moved {
            let parameter = self.parameters.find(name)?;
            // It is not on the device yet.
            if let Some(value) = self.parameters.present(parameter) {
                self.memory.write(*buffer, parameter.storage, value?.data())?;
            }
        }
        let outputs = plan.outputs.iter().map(|output| output.buffer.map(|buffer| place[buffer as usize])).collect();
        let buffers = self.pool.take(claim, &mut self.memory);
        Ok((
            Prepared {
                plan,
                feed,
                executable,
                #[cfg(not(target_family = "wasm"))]
                places: place,
                #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
                loops,
                #[cfg(all(feature = "gpu", not(target_family = "wasm")))]
                choices,
                outputs,
                buffers,
                exchanged,
            },
            moved,
        ))
    }

    /// Checks and writes the inputs of a training step.
    fn start(&mut self, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
        if !self.trains {
            return Err(Error::NotTraining);
        }
        self.lend(0, inputs)
    }

    /// Checks and lends the inputs of a plan for a run. In a group the other members are met before, if the plan has exchanges.
    fn lend(&mut self, plan: usize, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
        let exchanged = self.plans[plan].exchanged.clone();
        if exchanged.is_none() {
            return self.plans[plan].feed.lend(inputs, &mut self.memory);
        }
        let weight = self.weight_for(exchanged)?;
        let feed = &mut self.plans[plan].feed;
        let written = grouped::lend_weighted(feed, &mut self.memory, inputs, weight.as_ref());
        // The others have been met, and wait for this member.
        self.noted(written)
    }

    /// Runs a plan whose inputs are written, and reads its outputs if they are wanted.
    fn execute(&mut self, plan: usize, fetch: bool) -> Result<Vec<Tensor>, Error> {
        let results = self.plans[plan].execute(&mut self.memory, fetch);
        self.after_run(self.plans[plan].executable.report(), results)
    }
}
