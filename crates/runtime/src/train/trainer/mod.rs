//! A trainer: functions of inputs over one set of parameters, each planned for every set of shapes that comes.
//!
//! Invariants: every plan of every function reads and writes the same parameters, states and counters, which are found by name,
//! so a batch of another size goes on where the last one stopped; an optimiser's states stand under the name of its function, so
//! that there can be several; a call that is refused changes nothing and leaves no plan behind. This does not know batches,
//! epochs or files: it is given tensors under names, and the [`Session`] that it works on has the parameters.

mod adding;
mod anomaly;
mod asynchronous;
mod checkpoint;
mod cut;
mod epochs;
mod function;
mod given;
mod group;
mod inputs;
mod learning_rate;
mod minimise;
mod outcome;
mod owners;
mod planning;
#[cfg(not(target_family = "wasm"))]
mod profile;
mod reach;
mod restored;
mod tensors;

use std::sync::atomic::{AtomicU32, Ordering};

use arenagrad_graph::Expr;

use crate::data::NamedTensors;
use crate::device::Device;
use crate::error::Error;
use crate::plan::{MemoryPolicy, Plan};
use crate::precision::Precision;
use crate::session::Session;
use crate::tensor::Tensor;
use crate::train::in_group::BUCKET_BYTES;
use crate::train::{Optimizer, listed};
use function::{Body, Function, Purpose};
use group::Participation;
use owners::Owners;
use restored::Restored;
use tensors::Tensors;

pub use inputs::Inputs;
pub use outcome::{Evaluation, Outcome};

/// How many plans of a function are kept unless it is said otherwise.
const PLANS_KEPT: usize = 32;

/// Functions of inputs of any shapes over one set of parameters: training functions, each with its loss and its optimiser, and
/// evaluations.
///
/// A function is called once for each set of shapes and types that its inputs come in, builds its graph for them, and is planned;
/// from then on tensors of these shapes run the plan. Parameters are found by name, so all plans share them, and the
/// optimiser's state and the count of steps with them: a smaller last batch trains like any other. A function must build the
/// same graph for the same shapes, and may borrow what it builds with, such as a network of [`crate::nn`].
///
/// ```
/// use arenagrad::nn::Linear;
/// use arenagrad::{Adam, Device, Tensor, Trainer};
///
/// let line = Linear::new("line", 1, 1);
/// let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
///     (line.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
/// });
/// let predict = trainer.add_evaluation(|inputs| vec![line.apply(inputs.get("x"))]);
///
/// let points = |x: &[f32]| -> Result<(Tensor, Tensor), arenagrad::Error> {
///     let y = x.iter().map(|x| 2.0 * x - 1.0).collect::<Vec<_>>();
///     Ok((Tensor::new([x.len(), 1], x.to_vec())?, Tensor::new([x.len(), 1], y)?))
/// };
/// let (three, two) = (points(&[0.0, 1.0, 2.0])?, points(&[3.0, 4.0])?);
/// for _ in 0..300 {
///     for (x, y) in [&three, &two] {
///         trainer.step(&[("x", x), ("y", y)])?; // planned for three examples, and for two
///     }
/// }
/// let x = Tensor::new([1, 1], vec![10.0f32])?;
/// assert!((trainer.evaluate(predict, &[("x", &x)])?[0].item()? - 19.0).abs() < 0.1);
/// # Ok::<(), arenagrad::Error>(())
/// ```
///
/// **Shapes.** Plans are kept for the 32 sets of shapes of each function that ran last, or as many as [`Trainer::plans_kept`] says;
/// a set of shapes that has been dropped is planned anew when it comes again, to the same results. They share memory: together they need
/// little more than the largest. On a GPU plans are dropped too when a larger one outgrows what they share; so plan the largest first.
///
/// **Several losses.** [`Trainer::add_training`] adds a function with an optimiser of its own, whose states stand under the function's
/// name: `discriminator.learning_rate`. What an optimiser trains it says itself ([`Optimizer::trains`]).
///
/// **States.** A training step carries out the updates that layers ask for ([`crate::Graph::update`]) and advances the counter `step`;
/// an evaluation changes nothing.
///
/// A trainer is `Send`: its functions and optimisers must be.
pub struct Trainer<'f> {
    session: Session,
    functions: Vec<Function<'f>>,
    plans_kept: usize,
    /// What is wanted of the memory of each plan.
    memory: MemoryPolicy,
    precision: Precision,
    /// Counts runs, so that the plan that has not run for longest is known.
    now: u64,
    /// How many training steps were made.
    steps: u64,
    /// The checkpoint that was restored, as far as functions that are planned later must fit it.
    restored: Option<Restored>,
    /// Whose each state of an optimiser is.
    owners: Owners,
    number: u32,
    /// How it takes part in a group, if it is in one.
    participation: Participation,
}

/// What a plan is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// To be run by the tensors that it is asked for with.
    Run,
    /// To be ready, with first values if nothing has trained what it needs.
    Prepare,
    /// To be looked at.
    Look,
}

/// A function of a [`Trainer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FunctionId {
    trainer: u32,
    function: u32,
}

impl<'f> Trainer<'f> {
    /// A trainer that minimises what `loss` returns, one float, by an optimiser.
    ///
    /// `loss` is first called when the first batch comes, and its mistakes are errors then.
    #[track_caller]
    pub fn new<L>(device: Device, optimizer: impl Optimizer + Send + 'f, loss: L) -> Trainer<'f>
    where
        L: for<'g> Fn(&Inputs<'g>) -> Expr<'g> + Send + 'f,
    {
        let mut trainer = Trainer::without_loss(device);
        trainer.add_training("", optimizer, loss);
        trainer
    }

    /// [`Trainer::new`] with a `loss` that may fail: for what gives a `Result`, such as a loop, derivatives in the loss, or a file that
    /// is read there. What it returns is the error of the call that planned it, unless an operator was wrong before.
    ///
    /// ```
    /// use arenagrad::{Adam, Device, Init, Tensor, Trainer};
    ///
    /// let mut trainer = Trainer::try_new(Device::cpu(), Adam::new(0.1), |inputs| {
    ///     let decay = inputs.graph().parameter("decay", [3], Init::Constant(0.0));
    ///     let start = inputs.graph().zeros([3], arenagrad::DType::F32);
    ///     let states = inputs.graph().scan(&[start], &[inputs.get("x")], |y, x| (vec![decay * y[0] + x[0]], vec![]))?;
    ///     Ok(states.carries[0].square().mean(..))
    /// });
    /// # let x = Tensor::new([4, 3], vec![0.5f32; 12])?;
    /// # trainer.step(&[("x", &x)])?;
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn try_new<L>(device: Device, optimizer: impl Optimizer + Send + 'f, loss: L) -> Trainer<'f>
    where
        L: for<'g> Fn(&Inputs<'g>) -> Result<Expr<'g>, Error> + Send + 'f,
    {
        let mut trainer = Trainer::without_loss(device);
        trainer.try_add_training("", optimizer, loss);
        trainer
    }

    /// A trainer without a function: for evaluations alone, or if every training function shall have a name.
    pub fn without_loss(device: Device) -> Trainer<'f> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Trainer {
            session: Session::of_outside_plans(device),
            functions: Vec::new(),
            plans_kept: PLANS_KEPT,
            memory: MemoryPolicy::default(),
            precision: Precision::full(),
            now: 0,
            steps: 0,
            restored: None,
            owners: Owners::default(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            participation: Participation { bucket_bytes: BUCKET_BYTES, shards: None },
        }
    }

    /// With a seed of the parameters' first values and of what training draws, such as the masks of dropout; 0 unless set. It
    /// holds for what has no value yet: set it before the first step.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.session.set_seed(seed);
        self
    }

    /// With plans kept for that many sets of shapes of each function, at least one.
    #[must_use]
    pub fn plans_kept(self, plans: usize) -> Self {
        Trainer { plans_kept: plans.max(1), ..self }
    }

    /// The most bytes that each plan may take, as [`SessionBuilder::memory_budget`](crate::SessionBuilder::memory_budget) has it. It holds
    /// for plans that are not made yet; the error comes when one is made.
    #[must_use]
    pub fn memory_budget(mut self, bytes: u64) -> Self {
        self.memory.budget = Some(bytes);
        self
    }

    /// Never computes again what has a name of the pattern, as [`SessionBuilder::keep`](crate::SessionBuilder::keep) has it. A training
    /// function without such a name is refused when it is planned, unless an earlier plan of it, of another batch, had one; an evaluation need
    /// not have one.
    #[must_use]
    pub fn keep(mut self, pattern: impl Into<String>) -> Self {
        self.memory.kept.push(pattern.into());
        self
    }

    /// Computes again in the backward pass what has a name of the pattern, as
    /// [`SessionBuilder::recompute`](crate::SessionBuilder::recompute) has it. A training function without such a name is refused when it
    /// is planned, unless an earlier plan of it, of another batch, had one; an evaluation need not have one.
    #[must_use]
    pub fn recompute(mut self, pattern: impl Into<String>) -> Self {
        self.memory.recomputed.push(pattern.into());
        self
    }

    /// With plans that compute in that precision, evaluations too; [`Precision::full`] unless set. Set it before the first step. Patterns
    /// of [`Precision::keep_f32`] must be matched by each training function: by its first plan, and not by those of other batches that lack the
    /// layer.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        Trainer { precision, ..self }
    }

    /// One training step of the first training function: forward pass, backward pass and update. Returns the loss before the
    /// update, and the metrics that the function reported.
    ///
    /// Errors, after which nothing is changed: what the function got wrong, with the line where; what [`Session::train`] and
    /// [`Session::step`] refuse.
    pub fn step(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Result<Outcome, Error> {
        self.step_of(self.first_training()?, batch)
    }

    /// [`Trainer::step`] of a training function.
    pub fn step_of(&mut self, function: FunctionId, batch: &(impl NamedTensors + ?Sized)) -> Result<Outcome, Error> {
        self.session.require_waiting("Trainer::step")?;
        self.step_of_async(function, batch).wait()
    }

    /// One training step whose results nobody reads: on a GPU it does not wait for the device.
    pub fn advance(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Result<(), Error> {
        self.advance_of(self.first_training()?, batch)
    }

    /// [`Trainer::advance`] of a training function.
    pub fn advance_of(&mut self, function: FunctionId, batch: &(impl NamedTensors + ?Sized)) -> Result<(), Error> {
        self.training(function)?;
        if let Some(shards) = self.shards() {
            return self.deterministic_step(function, shards, &Tensors::of(batch)).map(drop);
        }
        let room = self.advance_plan(function, &Tensors::of(batch))?;
        // A page in a browser waits elsewhere, if it does.
        if cfg!(target_family = "wasm") { Ok(()) } else { room.wait() }
    }

    /// Runs an evaluation, and returns its outputs.
    pub fn evaluate(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Result<Vec<Tensor>, Error> {
        Ok(self.evaluate_with_metrics(function, batch)?.outputs)
    }

    /// Runs an evaluation, and returns its outputs and the metrics that it reported.
    pub fn evaluate_with_metrics(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Result<Evaluation, Error> {
        self.session.require_waiting("Trainer::evaluate")?;
        self.evaluate_with_metrics_async(function, batch).wait()
    }

    /// The gradients that the next step of the first training function would have of this batch, under the names of the parameters:
    /// of those that the optimiser trains and a gradient reaches. Nothing is changed, no counter and no running statistic. Under a scale of the
    /// loss they are computed by the present one, as those of the step, and are infinite or NaN where that would be skipped.
    pub fn gradients(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Result<Vec<(String, Tensor)>, Error> {
        self.gradients_of(self.first_training()?, batch)
    }

    /// [`Trainer::gradients`] of a training function.
    pub fn gradients_of(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Result<Vec<(String, Tensor)>, Error> {
        self.session.require_waiting("Trainer::gradients")?;
        self.gradients_of_async(function, batch).wait()
    }

    /// Plans the first training function for a batch without running it, so that the session knows its parameters: to read them,
    /// set them, or load a file of them before the first step.
    pub fn prepare(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Result<(), Error> {
        self.prepare_of(self.first_training()?, batch)
    }

    /// [`Trainer::prepare`] of a function, be it a training function or an evaluation. An evaluation that is planned so may compute with
    /// parameters that nothing has trained.
    pub fn prepare_of(&mut self, function: FunctionId, batch: &(impl NamedTensors + ?Sized)) -> Result<(), Error> {
        let is_training = matches!(self.functions[self.place(function)?].body, Body::Training { .. });
        let purpose = if is_training && self.shards().is_some() { Purpose::Update } else { Purpose::Run };
        let (number, place) = self.planned(function, purpose, &Tensors::of(batch), Use::Prepare)?;
        self.session.vouch_for(self.functions[number].kept(place).prepared.plan());
        Ok(())
    }

    /// The plan that a function has for a batch, which is planned if it was not yet. It prints as a table of steps and buffers.
    pub fn plan_of(&mut self, function: FunctionId, batch: &(impl NamedTensors + ?Sized)) -> Result<&Plan, Error> {
        let (number, place) = self.planned(function, Purpose::Run, &Tensors::of(batch), Use::Look)?;
        Ok(self.functions[number].kept(place).prepared.plan())
    }

    /// How many plans are kept at present.
    pub fn plans(&self) -> usize {
        self.functions.iter().map(Function::plans).sum()
    }

    /// The first training function: the one that the trainer was made with.
    pub fn first_training(&self) -> Result<FunctionId, Error> {
        let is_training = |function: &Function<'f>| matches!(function.body, Body::Training { .. });
        let first = self.functions.iter().position(is_training).ok_or(Error::NoTrainingFunction)?;
        Ok(FunctionId { trainer: self.number, function: first as u32 })
    }

    /// The device that the trainer runs on.
    pub fn device(&self) -> &Device {
        self.session.device()
    }

    /// The session that has the parameters and states.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The session that has the parameters and states: to set them, to load a file, or to add plans of a graph of given shapes over
    /// them.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The number of a function.
    fn place(&self, function: FunctionId) -> Result<usize, Error> {
        let place = function.function as usize;
        if function.trainer == self.number && place < self.functions.len() {
            Ok(place)
        } else {
            Err(Error::ForeignFunction)
        }
    }

    /// The name of a training function.
    fn training(&self, function: FunctionId) -> Result<String, Error> {
        match &self.functions[self.place(function)?].body {
            Body::Training { name, .. } => Ok(name.clone()),
            body @ Body::Evaluation(_) => {
                let (expected, found) = ("a training function", "an evaluation");
                Err(Error::FunctionKind { function: describe(body), expected, found })
            }
        }
    }

    /// Refuses a batch without samples: a mean over them is NaN, and so would be every parameter after the step. An input without
    /// elements beside others with some may be meant, such as the edges of a graph that has none. In a group a member may have no samples, and
    /// a batch is refused when all have said that they have none.
    fn refuse_empty(&self, tensors: &Tensors<'_>) -> Result<(), Error> {
        let mut firsts = tensors.iter().filter_map(|(_, tensor)| tensor.shape().dims().first());
        let has_samples = firsts.clone().next().is_none() || firsts.any(|samples| *samples > 0);
        if (has_samples && !tensors.is_known_empty) || self.session.group().is_some() {
            Ok(())
        } else {
            Err(empty(tensors))
        }
    }

    /// Whether everything that is ever trained is known by now.
    fn has_trained(&self) -> bool {
        let mut training = self.functions.iter().filter(|function| matches!(function.body, Body::Training { .. }));
        let is_used_only = training.clone().next().is_none() && self.session.is_filled();
        self.restored.is_some() || is_used_only || (self.steps > 0 && training.all(Function::has_run))
    }

    /// Refuses a training function whose name another has: their optimisers' states would be the same.
    fn refuse_repeated_name(&self, number: usize) -> Result<(), Error> {
        let name_of = |function: &Function<'f>| match &function.body {
            Body::Training { name, .. } => Some(name.clone()),
            Body::Evaluation(_) => None,
        };
        let Some(name) = name_of(&self.functions[number]) else { return Ok(()) };
        let same = self.functions.iter().filter(|function| name_of(function).as_deref() == Some(&*name)).count();
        if same > 1 { Err(Error::RepeatedFunction { name }) } else { Ok(()) }
    }
}

/// The error of a batch without samples.
fn empty(tensors: &[(&str, &Tensor)]) -> Error {
    let of_samples = tensors.iter().filter(|(_, tensor)| tensor.shape().rank() > 0);
    Error::EmptyBatch { inputs: listed(of_samples.map(|(name, _)| *name)) }
}

/// How errors call a function.
fn describe(body: &Body<'_>) -> String {
    match body {
        Body::Training { name, .. } => described(name),
        Body::Evaluation(_) => "the function".to_owned(),
    }
}

/// How errors call the training function of that name.
fn described(name: &str) -> String {
    if name.is_empty() { "the first training function".to_owned() } else { format!("the function {name:?}") }
}

/// A name behind a prefix, which may be empty.
pub(crate) fn under(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
