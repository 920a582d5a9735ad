//! A plan in a group of processes: parts that run between exchanges.
//!
//! A plan's exchanges are steps of it. It is cut there: what stands before one runs, then its operand is brought to the host and the exchange is
//! begun; what does not wait for it runs meanwhile, and its result is written to where it belongs just before the first step that touches
//! that place. Every part is a plan of its own for the device, over the same buffers, so neither device knows of exchanges.
//!
//! Invariant: exchanges are begun in the order of the plan, which is the same for all members.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arenagrad_graph::{DeclarationKind, Elements, StorageType};
use arenagrad_kernels::Choice;

use crate::device::Device;
use crate::error::Error;
use crate::group::{Exchange, Group, Intent, Pending, StepReport, Values, digest};
use crate::plan::{BufferRole, PlacedStep, Plan, Task};
use crate::session::LoopPlaces;
use crate::session::store::{Executable, Memory, Run};

/// A plan made ready whose exchanges are made with a group.
pub(crate) struct Parts {
    group: Arc<dyn Group>,
    parts: Vec<Executable>,
    actions: Vec<Action>,
    exchanges: Vec<Placed>,
    report: StepReport,
}

/// An exchange, and the session's buffers that it reads and writes.
struct Placed {
    from: u32,
    to: u32,
    storage: StorageType,
    elements: usize,
    /// Whether its operand may be taken out of its buffer, and its result put into its own in the place of what is there: on the CPU nothing is
    /// copied then.
    is_moved: bool,
    /// Elements that are not needed any more, for the next run.
    spare: Elements,
}

impl Placed {
    /// What is exchanged.
    fn bring(&mut self, memory: &mut Memory) -> Result<Values, Error> {
        let mut elements = std::mem::replace(&mut self.spare, Elements::empty(self.storage));
        if !self.is_moved || !memory.exchange(self.from, &mut elements) {
            elements = memory.read_into(self.from, self.storage, self.elements, elements)?;
        }
        Ok(values(elements))
    }

    /// Puts what came of it where it belongs.
    fn put(&mut self, memory: &mut Memory, values: Values) -> Result<(), Error> {
        self.spare = elements(values);
        if self.is_moved && memory.exchange(self.to, &mut self.spare) {
            return Ok(());
        }
        memory.write(self.to, self.storage, &self.spare)?;
        if !memory.is_on_host() {
            // Reading from a GPU makes a list of its own whatever it is given, so one that were kept would only take memory.
            self.spare = Elements::empty(self.storage);
        }
        Ok(())
    }
}

/// Whether an exchange's operand is read by nothing else behind it, and both operand and result are a plan's own.
fn is_moved(plan: &Plan, exchange: usize) -> bool {
    let (from, to) = (plan.steps[exchange].inputs[0], plan.steps[exchange].outputs[0]);
    let is_own = |buffer: u32| plan.buffers[buffer as usize].role == BufferRole::Slot;
    let next =
        plan.steps[exchange + 1..].iter().find(|step| step.inputs.contains(&from) || step.outputs.contains(&from));
    let is_read = match next {
        Some(next) => next.inputs.contains(&from),
        None => plan.outputs.iter().any(|output| output.buffer == Some(from)),
    };
    is_own(from) && is_own(to) && !is_read
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Run(usize),
    Begin(usize),
    End(usize),
}

/// What is done in which order: parts as ranges of steps, and actions.
#[derive(Debug, PartialEq, Eq)]
struct Schedule {
    parts: Vec<Range<usize>>,
    actions: Vec<Action>,
}

impl Schedule {
    /// Cuts a plan at its exchanges. The last part has the outputs, and may have no step.
    fn new(plan: &Plan) -> Schedule {
        let steps = plan.steps.len();
        // Where the result of each exchange must have been written.
        let ends: Vec<usize> = plan
            .exchanges
            .iter()
            .map(|&exchange| {
                let to = plan.steps[exchange].outputs[0];
                let touches = |step: usize| {
                    let step = &plan.steps[step];
                    step.inputs.contains(&to) || step.outputs.contains(&to)
                };
                (exchange + 1..steps).find(|&step| touches(step)).unwrap_or(steps)
            })
            .collect();
        let mut schedule = Schedule { parts: Vec::new(), actions: Vec::new() };
        let mut begun = 0;
        for step in 0..=steps {
            let ending: Vec<usize> = (0..ends.len()).filter(|&number| ends[number] == step).collect();
            let exchange = plan.exchanges.iter().position(|&exchange| exchange == step);
            if !ending.is_empty() || exchange.is_some() || step == steps {
                if begun < step {
                    schedule.run(begun..step);
                }
                begun = step;
            }
            schedule.actions.extend(ending.into_iter().map(Action::End));
            if let Some(exchange) = exchange {
                schedule.actions.push(Action::Begin(exchange));
                begun = step + 1;
            }
        }
        if schedule.actions.last().is_none_or(|last| !matches!(last, Action::Run(_))) {
            schedule.run(steps..steps);
        }
        schedule
    }

    fn run(&mut self, steps: Range<usize>) {
        self.actions.push(Action::Run(self.parts.len()));
        self.parts.push(steps);
    }
}

/// A part of a plan as a plan, over the same buffers.
fn part(plan: &Plan, steps: Range<usize>, is_last: bool) -> Plan {
    let fallible = plan.fallible.iter().filter(|(step, _)| steps.contains(step));
    Plan {
        steps: plan.steps[steps.clone()].to_vec(),
        buffers: plan.buffers.clone(),
        outputs: if is_last { plan.outputs.clone() } else { Vec::new() },
        declarations: plan.declarations.clone(),
        alive: plan.alive.clone(),
        described: plan.described[steps.clone()].to_vec(),
        fallible: fallible.map(|(step, fallible)| (step - steps.start, fallible.clone())).collect(),
        ..Plan::default()
    }
}

impl Parts {
    /// Makes a plan ready whose buffers are at `places`, and those of its loops at `loops`.
    pub(crate) fn new(
        group: &Arc<dyn Group>,
        device: &Device,
        memory: &mut Memory,
        plan: &Plan,
        (places, loops): (&[u32], &[Option<LoopPlaces>]),
        choices: &[Choice],
    ) -> Result<Self, Error> {
        let Schedule { parts, actions } = Schedule::new(plan);
        let last = parts.len() - 1;
        let mut made = Vec::with_capacity(parts.len());
        for (number, steps) in parts.into_iter().enumerate() {
            let own = part(plan, steps.clone(), number == last);
            let choices = choices.get(kernels(&plan.steps[..steps.start])..).unwrap_or_default();
            made.push(Executable::new(device, memory, &own, places, &loops[steps], choices)?);
        }
        let exchanges = plan.exchanges.iter().map(|&exchange| {
            let step = &plan.steps[exchange];
            let (from, to) = (step.inputs[0], step.outputs[0]);
            let (storage, elements) = (plan.buffers[to as usize].storage, exchanged(plan, exchange));
            let [from, to] = [from, to].map(|buffer| places[buffer as usize]);
            Placed { from, to, storage, elements, is_moved: is_moved(plan, exchange), spare: Elements::empty(storage) }
        });
        let exchanges = exchanges.collect();
        Ok(Parts { group: Arc::clone(group), parts: made, actions, exchanges, report: StepReport::default() })
    }

    /// Runs the plan; see [`Executable::start`]. All exchanges have been made then. After a run that fails the session leaves the group
    /// ([`Session::noted`](crate::session::Session::noted)).
    pub(crate) fn start(&mut self, memory: &mut Memory, fetch: bool) -> Result<Run, Error> {
        let begun = Instant::now();
        let mut report = StepReport::default();
        let mut pending: Vec<Option<Pending>> = self.exchanges.iter().map(|_| None).collect();
        let mut run = Run::Done;
        let last = self.parts.len() - 1;
        for &action in &self.actions {
            match action {
                Action::Run(number) => {
                    run = self.parts[number].start(memory, fetch && number == last)?;
                }
                Action::Begin(number) => {
                    let values = self.exchanges[number].bring(memory)?;
                    pending[number] = Some(self.group.begin(Exchange::Sum, values));
                }
                Action::End(number) => {
                    let Some(exchange) = pending[number].take() else { continue };
                    let waiting = Instant::now();
                    let done = exchange.wait_timed()?;
                    report.exchanged(done.values.bytes(), done.took, waiting.elapsed());
                    self.exchanges[number].put(memory, done.values)?;
                }
            }
        }
        report.compute = begun.elapsed().saturating_sub(report.wait);
        self.report = report;
        Ok(run)
    }

    /// What the last run cost.
    pub(crate) fn report(&self) -> StepReport {
        self.report
    }

    pub(crate) fn executables(&self) -> &[Executable] {
        &self.parts
    }
}

/// How many kernels steps and the bodies of their loops have.
fn kernels(steps: &[PlacedStep]) -> usize {
    let each = steps.iter().map(|step| match &step.task {
        Task::Kernel(_) => 1,
        Task::Loop(looped) => kernels(&looped.plan.steps),
    });
    each.sum()
}

/// How many elements an exchange of a plan has.
fn exchanged(plan: &Plan, exchange: usize) -> usize {
    // A slot may be longer than what stands in it.
    match &plan.steps[exchange].task {
        Task::Kernel(arenagrad_kernels::Kernel::Assemble { elements, .. }) => *elements,
        Task::Kernel(_) | Task::Loop(_) => {
            unreachable!("an exchange is planned as the copy that it is in a group of one")
        }
    }
}

/// What members of a group must have alike to run a plan together: what it is for, the exchanges, their order, types and lengths, what is
/// in them, the types and numbers of axes of the results, and the names of the parameters.
pub(crate) fn intent(plan: &Plan) -> Intent {
    let exchanges = plan.exchanges.iter().flat_map(|&exchange| {
        let storage = plan.buffers[plan.steps[exchange].outputs[0] as usize].storage;
        [exchanged(plan, exchange) as u64, storage as u64]
    });
    // Their extents may depend on how many samples there are.
    let results = plan.outputs.iter().flat_map(|output| [output.dtype as u64, output.shape.rank() as u64]);
    let numbers = std::iter::once(plan.intent.signature).chain(exchanges).chain(results);
    // All that were declared: which of them are needed may depend on how many samples there are.
    let parameters = plan.declarations.iter().filter(|declaration| declaration.kind != DeclarationKind::Input);
    let names = parameters.flat_map(|parameter| parameter.name.bytes().chain([b'\n']));
    Intent { signature: digest(numbers.flat_map(u64::to_le_bytes).chain(names)), ..plan.intent }
}

/// What [`intent`] is of in words, a line for each thing: members whose intents differ are told the first line that does.
pub(crate) fn told(plan: &Plan) -> String {
    let mut exchanges = plan.exchanges.iter().map(|&exchange| {
        let storage = plan.buffers[plan.steps[exchange].outputs[0] as usize].storage;
        format!("{storage}[{}]", exchanged(plan, exchange))
    });
    let mut results = plan.outputs.iter().map(|output| format!("{} of rank {}", output.dtype, output.shape.rank()));
    let parameters = plan.declarations.iter().filter(|declaration| declaration.kind != DeclarationKind::Input);
    let mut names = parameters.map(|parameter| format!("{:?}", parameter.name));
    let listed = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
    let of_function = plan.told.first().map_or(String::new(), |function| format!(" of {function}"));
    let lines = [of_function].into_iter().chain(plan.told.iter().skip(1).cloned());
    let of_plan = [
        format!("that declares {}", listed(&mut names)),
        format!("that exchanges {}", listed(&mut exchanges)),
        format!("that gives {}", listed(&mut results)),
    ];
    lines.chain(of_plan).collect::<Vec<_>>().join("\n")
}

/// What a buffer holds, as members exchange it.
fn values(elements: Elements) -> Values {
    match elements {
        Elements::F32(list) => Values::F32(list),
        Elements::F64(list) => Values::F64(list),
        Elements::I32(list) => Values::I32(list),
        Elements::Bool(_)
        | Elements::F16(_)
        | Elements::Bf16(_)
        | Elements::U8(_)
        | Elements::I8(_)
        | Elements::I64(_) => unreachable!("a sum is of numbers that are held as they are"),
    }
}

/// What was exchanged, as a buffer holds it.
fn elements(values: Values) -> Elements {
    match values {
        Values::F32(list) => Elements::F32(list),
        Values::F64(list) => Elements::F64(list),
        Values::I32(list) => Elements::I32(list),
        Values::Bytes(_) => unreachable!("no sum has bytes"),
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::{Graph, Half, Init, Origin};

    use super::{Action, Schedule, exchanged, is_moved};
    use crate::plan::{BufferRole, Plan, Request};
    use crate::precision::Precision;
    use crate::train::in_group::{Bucketing, group_training_request};
    use crate::train::{LossScale, Sgd};

    /// A training step of a network of so many layers, whose gradients are exchanged one by one.
    fn plan(layers: usize) -> Plan {
        plan_in(layers, &Precision::full())
    }

    /// The same in that precision.
    fn plan_in(layers: usize, precision: &Precision) -> Plan {
        let g = Graph::new();
        let mut h = g.input("x", [8, 16]);
        for layer in 0..layers {
            h = h.matmul(g.parameter(format!("w{layer}"), [16, 16], Init::XavierUniform)).tanh();
        }
        let bucketing = Bucketing { bytes: 1, has_samples: true };
        let request = group_training_request(
            h.square().mean(..),
            &[],
            &Sgd::new(0.1),
            bucketing,
            (precision, ""),
            Origin::here(),
        )
        .unwrap();
        Plan::new(&g, &request).unwrap()
    }

    #[test]
    fn every_step_is_in_one_part_and_every_exchange_begins_before_it_ends() {
        let plan = plan(4);
        let Schedule { parts, actions } = Schedule::new(&plan);
        // The loss, and four gradients.
        assert_eq!(plan.exchanges.len(), 5);
        let mut steps: Vec<usize> = parts.iter().cloned().flatten().chain(plan.exchanges.iter().copied()).collect();
        steps.sort_unstable();
        assert_eq!(steps, (0..plan.steps.len()).collect::<Vec<_>>());
        let begun: Vec<usize> = actions
            .iter()
            .filter_map(|action| if let Action::Begin(number) = action { Some(*number) } else { None })
            .collect();
        assert_eq!(begun, [0, 1, 2, 3, 4], "in order, for all members begin them so");
        let place = |action: Action| actions.iter().position(|other| *other == action).unwrap();
        for number in 0..5 {
            assert!(place(Action::Begin(number)) < place(Action::End(number)));
        }
        let runs: Vec<Action> = (0..parts.len()).map(Action::Run).collect();
        assert!(actions.iter().filter(|action| matches!(action, Action::Run(_))).eq(&runs));
        assert!(matches!(actions.last(), Some(Action::Run(_))), "the last part has the outputs");
    }

    #[test]
    fn exchanges_go_on_while_the_backward_pass_does() {
        overlaps(&plan(4));
    }

    #[test]
    fn a_scale_of_the_loss_leaves_that_as_it_is() {
        let plan = plan_in(4, &Precision::mixed(Half::F16).loss_scale(LossScale::dynamic()));
        let lengths: Vec<usize> = plan.exchanges.iter().map(|&exchange| exchanged(&plan, exchange)).collect();
        // Whether a gradient has overflown is seen in the sums.
        assert_eq!(lengths, [1, 256, 256, 256, 256]);
        overlaps(&plan);
    }

    /// Holds a plan of four layers to it that gradients are exchanged while those before them are computed.
    fn overlaps(plan: &Plan) {
        let Schedule { parts, actions } = Schedule::new(plan);
        let place = |action: Action| actions.iter().position(|other| *other == action).unwrap();
        let products = |action: &Action| match action {
            Action::Run(number) => {
                let described = &plan.described[parts[*number].clone()];
                described.iter().filter(|step| step.stage == "backward").count()
            }
            Action::Begin(_) | Action::End(_) => 0,
        };
        // The gradient of each layer but the first, which comes last, is under way while those before it are computed.
        for number in 1..4 {
            let between = &actions[place(Action::Begin(number))..place(Action::End(number))];
            let computed: usize = between.iter().map(products).sum();
            assert!(computed > 0, "exchange {number} waits for nothing: {actions:?}\n{plan}");
        }
        // Nothing is updated before the last gradient is on its way.
        let last = place(Action::Begin(4));
        assert!((0..5).all(|number| place(Action::End(number)) > last || number == 0), "{actions:?}");
    }

    #[test]
    fn what_is_read_behind_an_exchange_is_copied() {
        let g = Graph::new();
        let [x, y] = ["x", "y"].map(|name| g.input(name, [8]));
        // A product is not computed twice.
        let (own, other) = (x.reshape([2, 4]).matmul(x.reshape([4, 2])), y * 3.0);
        // The first operand is read again behind its exchange, the second is not, and an input is not the plan's own.
        let outputs = [own.all_reduce() + own, other.all_reduce(), x.all_reduce()];
        let request = Request { outputs: outputs.map(|e| e.id().unwrap()).to_vec(), ..Request::default() };
        let plan = Plan::new(&g, &request).unwrap();
        let mut moved: Vec<(bool, bool)> = Vec::new();
        for &exchange in &plan.exchanges {
            let operand = plan.steps[exchange].inputs[0];
            let is_own = plan.buffers[operand as usize].role == BufferRole::Slot;
            moved.push((is_own, is_moved(&plan, exchange)));
        }
        moved.sort_unstable();
        assert_eq!(moved, [(false, false), (true, false), (true, true)], "{plan}");
    }

    #[test]
    fn what_reads_between_exchanges_is_no_way_back() {
        // Two products read z between exchanges; as one kernel they would have to run before and after the third.
        let g = Graph::new();
        let [u, v, z] = ["u", "v", "z"].map(|name| g.input(name, [32]));
        let first = u.all_reduce() * z;
        let second = first.all_reduce();
        let third = v.all_reduce() * z;
        let request = Request { outputs: [second, third].map(|e| e.id().unwrap()).to_vec(), ..Request::default() };
        let plan = Plan::new(&g, &request).unwrap();
        assert_eq!((plan.exchanges.len(), plan.steps.len()), (3, 5));
    }
}
