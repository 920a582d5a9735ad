//! What a plan holds in memory, step by step: the most at once, and what that is.
//!
//! A result is held from the step that computes it to the last one that reads it; parameters, states, inputs and literals stand there for
//! the whole run, and so does what the rounds of a loop work with. The sum over one step is what no way of giving out memory can do without in
//! that step. What the buffers really take is more where slots of several sizes follow one another.
//!
//! What this does not know: working memory that a kernel has beside the plan's buffers, and what other plans of a session hold.

mod table;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use arenagrad_graph::{DeclarationKind, Origin, Shape, StorageType};

use crate::error::Error;
use crate::plan::bytes::ElementBytes;
use crate::plan::describe;
use crate::plan::entries::Entry;
use crate::plan::layers::LayerMap;
use crate::plan::memory::Memory;
use crate::plan::nodes::Nodes;
use crate::plan::step::{Step, Task};
use crate::plan::{BufferRole, Plan};

/// What a buffer that is held is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MemoryRole {
    /// A parameter that is declared to be trained.
    Parameter,
    /// Another one: an optimiser's moments and counters, running statistics of layers.
    State,
    /// An input.
    Input,
    /// Elements that stand in the graph.
    Literal,
    /// A result that is read after the run, or copied into a parameter at its end.
    Output,
    /// A result of the forward pass that is kept for a later one.
    Activation,
    /// Any other result, until its last reader.
    Temporary,
    /// What the rounds of a loop work with: buffers of the plan that each round runs.
    Loop,
}

impl MemoryRole {
    /// Every role, in the order of declaration.
    pub const ALL: [MemoryRole; 8] = [
        MemoryRole::Parameter,
        MemoryRole::State,
        MemoryRole::Input,
        MemoryRole::Literal,
        MemoryRole::Output,
        MemoryRole::Activation,
        MemoryRole::Temporary,
        MemoryRole::Loop,
    ];

    /// The name as it is printed.
    pub fn name(self) -> &'static str {
        match self {
            MemoryRole::Parameter => "parameter",
            MemoryRole::State => "state",
            MemoryRole::Input => "input",
            MemoryRole::Literal => "literal",
            MemoryRole::Output => "output",
            MemoryRole::Activation => "activation",
            MemoryRole::Temporary => "temporary",
            MemoryRole::Loop => "loop",
        }
    }
}

/// What a plan holds in memory: [`Plan::memory`]. It prints as a table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// The most bytes that are held in one step: no way of giving out memory takes less.
    pub peak_bytes: u64,
    /// The first step in which that is so, by its number among [`Plan::steps`]; none for a plan without steps.
    pub peak_step: Option<usize>,
    /// What that step computes.
    pub peak_computes: String,
    /// The bytes of all buffers of the plan, which is what a device sets aside for it: slots are as large as the largest of the results that
    /// they hold one after the other. A device rounds sizes up, by 16 bytes a buffer at the most.
    pub allocated_bytes: u64,
    /// The most bytes that results of the forward pass take in one step, if a later pass still reads them.
    pub activation_bytes: u64,
    /// What is held in that step, the largest first.
    pub held: Vec<HeldBuffer>,
    /// The bytes that are held in each step.
    pub step_bytes: Vec<u64>,
    /// What is computed more than once, and what that costs; none for a plan that computes everything once.
    pub recomputation: Option<Recomputation>,
}

/// A buffer that is held in the step of the peak.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HeldBuffer {
    /// Its bytes.
    pub bytes: u64,
    /// What it is.
    pub role: MemoryRole,
    /// Its number among [`Plan::buffers`]; none for a loop, which has several of its own.
    pub buffer: Option<u32>,
    /// What it holds: the name of a declaration or node, or the op that made it.
    pub name: String,
    /// The shape of what it holds.
    pub shape: Shape,
    /// The type of its elements; none for a loop.
    pub storage: Option<StorageType>,
    /// Where that was declared or made; none for a literal.
    pub origin: Option<Origin>,
    /// The innermost layer that made it, if one did: its name, or what it is if it has none.
    pub layer: Option<String>,
    /// The step that computed it; none for what is there before the run.
    pub computed_in: Option<usize>,
    /// The last step that reads it; none for what stays.
    pub last_read_in: Option<usize>,
}

/// What a plan computes more than once so that it need not be kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recomputation {
    /// Simple operations ([`Cost::operations`](crate::plan::Cost::operations)) of one run of the plan.
    pub operations: u64,
    /// The same of the plan that computes everything once.
    pub operations_once: u64,
    /// [`MemoryReport::peak_bytes`] of the plan that computes everything once.
    pub peak_bytes_once: u64,
    /// [`MemoryReport::allocated_bytes`] of that plan.
    pub allocated_bytes_once: u64,
    /// The steps that are computed once more, in order.
    pub steps: Vec<RecomputedStep>,
}

impl Recomputation {
    /// How many more operations the plan takes, as a part of those of the plan that computes everything once.
    pub fn more_operations(&self) -> f64 {
        (self.operations as f64 - self.operations_once as f64) / (self.operations_once as f64).max(1.0)
    }
}

/// A step that computes what an earlier one computed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecomputedStep {
    /// Its number among [`Plan::steps`].
    pub step: usize,
    /// What it computes.
    pub computes: String,
    /// Where the first of its results was made.
    pub origin: Origin,
    /// The innermost layer that made it, if one did.
    pub layer: Option<String>,
    /// Its simple operations.
    pub operations: u64,
}

/// What a plan knows of its memory beside its buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) unit: ElementBytes,
    results: Vec<Result>,
    /// The names of results, and their shapes, each once.
    names: Vec<String>,
    shapes: Vec<Shape>,
    layers: Vec<String>,
    /// What the plan that computes everything once would have taken, where this one computes something again.
    once: Option<Once>,
}

/// What a plan that computes everything once takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Once {
    pub(crate) operations: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) allocated_bytes: u64,
}

/// A result that is held, and what it is.
#[derive(Clone, Debug)]
struct Result {
    slot: u32,
    first: u32,
    last: Option<u32>,
    bytes: u64,
    role: MemoryRole,
    /// Its place among the names.
    name: u32,
    /// Its place among the shapes.
    shape: u32,
    storage: StorageType,
    origin: Origin,
    layer: Option<u32>,
}

/// Things of which many are the same, each once.
struct Distinct<T> {
    list: Vec<T>,
    places: HashMap<T, u32>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Distinct { list: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Distinct<T> {
    /// The place of an item, which is added if it is not there.
    fn place<Q: ToOwned<Owned = T> + Eq + Hash + ?Sized>(&mut self, item: &Q) -> u32
    where
        T: Borrow<Q>,
    {
        if let Some(&place) = self.places.get(item) {
            return place;
        }
        let place = self.list.len() as u32;
        self.list.push(item.to_owned());
        self.places.insert(item.to_owned(), place);
        place
    }
}

impl Account {
    /// The account of a plan of these steps, which have been given memory.
    pub(crate) fn new(
        nodes: &Nodes,
        entries: &[Entry],
        steps: &[Step],
        memory: &Memory,
        layers: &LayerMap,
        unit: ElementBytes,
        once: Option<Once>,
    ) -> Account {
        let stage_of = |step: u32| stage(entries, &steps[step as usize]);
        let mut last_stage: Vec<u8> = vec![0; entries.len()];
        for step in steps {
            let stage = stage(entries, step);
            for &read in &step.reads {
                last_stage[read as usize] = last_stage[read as usize].max(stage);
            }
        }
        let (mut names, mut shapes) = (Distinct::default(), Distinct::default());
        let results = memory.held.iter().map(|held| {
            let entry = &entries[held.entry as usize];
            let role = match held.last {
                None => MemoryRole::Output,
                Some(_) if stage_of(held.first) == 0 && last_stage[held.entry as usize] > 0 => MemoryRole::Activation,
                Some(_) => MemoryRole::Temporary,
            };
            Result {
                slot: held.slot,
                first: held.first,
                last: held.last,
                bytes: unit.of(entry.storage, entry.shape.elements()),
                role,
                name: names.place::<str>(&describe::name(nodes, entries, held.entry)),
                shape: shapes.place(&entry.shape),
                storage: entry.storage,
                origin: nodes.origin(entry.node),
                layer: layers.innermost(entry.node as usize),
            }
        });
        let results = results.collect();
        let layers = layers.names().map(str::to_owned).collect();
        Account { unit, results, names: names.list, shapes: shapes.list, layers, once }
    }

    fn name(&self, result: &Result) -> &str {
        &self.names[result.name as usize]
    }

    fn shape(&self, result: &Result) -> &Shape {
        &self.shapes[result.shape as usize]
    }

    fn layer(&self, layer: Option<u32>) -> Option<String> {
        layer.map(|layer| self.layers[layer as usize].clone())
    }
}

/// The stage of a step.
pub(crate) fn stage(entries: &[Entry], step: &Step) -> u8 {
    step.writes.iter().map(|&write| entries[write as usize].stage).min().unwrap_or(u8::MAX)
}

impl Plan {
    /// What the plan holds in memory: the most bytes at once, in which step that is and what they are of; what of it is kept for the
    /// backward pass; and what its buffers take.
    ///
    /// ```
    /// use arenagrad::plan::MemoryRole;
    /// use arenagrad::{Device, Graph, Init, Session, Sgd};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", [64, 100]);
    /// let w = g.parameter("w", [100, 100], Init::Constant(0.01));
    /// let v = g.parameter("v", [100, 10], Init::Constant(0.01));
    /// let hidden = x.matmul(w).tanh().named("hidden");
    /// let session = Session::train(&g, hidden.matmul(v).square().mean(..), Sgd::new(0.1), Device::cpu())?;
    /// let memory = session.plan().memory();
    /// assert_eq!(memory.bytes_of(MemoryRole::Parameter), 44_000);
    /// assert_eq!(memory.bytes_of(MemoryRole::Input), 25_600);
    /// assert!(memory.held.iter().any(|held| held.name == "hidden"));
    /// println!("{memory}");
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[must_use]
    pub fn memory(&self) -> MemoryReport {
        let standing = self.standing();
        let fixed: u64 = standing.iter().map(|held| held.bytes).fold(0, u64::saturating_add);
        let count = self.steps.len();
        // What begins and what ends in each step.
        let ends = |result: &Result| result.last.map_or(count, |last| last as usize + 1);
        let over_steps = |is_counted: &dyn Fn(&Result) -> bool| -> Vec<u64> {
            let (mut begins, mut ended) = (vec![0; count], vec![0; count + 1]);
            for result in self.account.results.iter().filter(|result| is_counted(result)) {
                begins[result.first as usize] += result.bytes;
                ended[ends(result)] += result.bytes;
            }
            let mut now = 0;
            begins
                .iter()
                .zip(&ended)
                .map(|(begun, ended)| {
                    now = now + begun - ended;
                    now
                })
                .collect()
        };
        let step_bytes: Vec<u64> = over_steps(&|_| true).into_iter().map(|bytes| fixed.saturating_add(bytes)).collect();
        let activations = over_steps(&|result| result.role == MemoryRole::Activation);
        let peak_bytes = step_bytes.iter().copied().max().unwrap_or(fixed);
        let peak_step = step_bytes.iter().position(|&bytes| bytes == peak_bytes);
        let is_held =
            |result: &&Result| peak_step.is_some_and(|step| (result.first as usize) <= step && step < ends(result));
        let mut held = standing;
        held.extend(self.account.results.iter().filter(is_held).map(|result| HeldBuffer {
            bytes: result.bytes,
            role: result.role,
            buffer: Some(result.slot),
            name: self.account.name(result).to_owned(),
            shape: self.account.shape(result).clone(),
            storage: Some(result.storage),
            origin: Some(result.origin),
            layer: self.account.layer(result.layer),
            computed_in: Some(result.first as usize),
            last_read_in: result.last.map(|last| last as usize),
        }));
        held.sort_by_key(|held| std::cmp::Reverse(held.bytes));
        MemoryReport {
            peak_bytes,
            peak_step,
            peak_computes: peak_step.map(|step| self.described[step].computes.clone()).unwrap_or_default(),
            allocated_bytes: self.allocated_bytes(),
            activation_bytes: activations.into_iter().max().unwrap_or(0),
            held,
            step_bytes,
            recomputation: self.recomputation(),
        }
    }

    /// An error about a buffer of the plan, which says what was to stand there and where that was declared or computed: of a slot the largest
    /// of its results.
    pub(crate) fn told_of(&self, buffer: usize, error: Error) -> Error {
        let Error::BufferTooLarge { what, bytes, limit, adapter, origin } = error else { return error };
        let (what, origin) = match &self.buffers[buffer].role {
            BufferRole::Input(declaration) | BufferRole::Parameter(declaration) => {
                let declared = &self.declarations[*declaration as usize];
                (format!("{:?}", declared.name), Some(declared.origin))
            }
            BufferRole::Literal(_) => (what, origin),
            BufferRole::Slot => {
                // The largest is the one that is told of, unless others that stand there before and after are larger.
                let is_told_of = |result: &&Result| result.slot as usize == buffer && result.bytes <= bytes;
                match self.account.results.iter().filter(is_told_of).max_by_key(|result| result.bytes) {
                    Some(result) => {
                        let (name, shape) = (self.account.name(result), self.account.shape(result));
                        (format!("{name} ({}{shape})", result.storage), Some(result.origin))
                    }
                    None => (what, origin),
                }
            }
        };
        Error::BufferTooLarge { what, bytes, limit, adapter, origin }
    }

    /// The bytes of all buffers, those that loops have to themselves included.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let unit = self.account.unit;
        unit.of_buffers(self.buffers.iter()).saturating_add(unit.of_loops(self.steps.iter().map(|step| &step.task)))
    }

    /// Simple operations of one run.
    pub(crate) fn operations(&self) -> u64 {
        self.described.iter().map(|step| step.cost.operations as u64).fold(0, u64::saturating_add)
    }

    /// What is there for the whole run.
    fn standing(&self) -> Vec<HeldBuffer> {
        let unit = self.account.unit;
        let mut standing = Vec::new();
        for (number, spec) in (0..).zip(&self.buffers) {
            let declared = |declaration: &u32| &self.declarations[*declaration as usize];
            let (role, name, shape, origin) = match &spec.role {
                BufferRole::Slot => continue,
                BufferRole::Input(declaration) => {
                    let declared = declared(declaration);
                    (MemoryRole::Input, declared.name.clone(), declared.shape.clone(), Some(declared.origin))
                }
                BufferRole::Parameter(declaration) => {
                    let declared = declared(declaration);
                    let role = match declared.kind {
                        DeclarationKind::Parameter { trainable: true, .. } => MemoryRole::Parameter,
                        DeclarationKind::Parameter { trainable: false, .. } | DeclarationKind::Input => {
                            MemoryRole::State
                        }
                    };
                    (role, declared.name.clone(), declared.shape.clone(), Some(declared.origin))
                }
                BufferRole::Literal(_) => {
                    (MemoryRole::Literal, "literal".to_owned(), Shape::from([spec.elements]), None)
                }
            };
            standing.push(HeldBuffer {
                bytes: unit.of(spec.storage, spec.elements),
                role,
                buffer: Some(number),
                name,
                shape,
                storage: Some(spec.storage),
                origin,
                layer: None,
                computed_in: None,
                last_read_in: None,
            });
        }
        for (number, step) in self.steps.iter().enumerate() {
            let Task::Loop(looped) = &step.task else { continue };
            let result = self.account.results.iter().find(|result| result.first as usize == number);
            standing.push(HeldBuffer {
                bytes: unit.of_loop(looped),
                role: MemoryRole::Loop,
                buffer: None,
                name: self.described[number].kernel.clone(),
                shape: Shape::from([]),
                storage: None,
                origin: result.map(|result| result.origin),
                layer: result.and_then(|result| self.account.layer(result.layer)),
                computed_in: Some(number),
                last_read_in: None,
            });
        }
        standing
    }

    fn recomputation(&self) -> Option<Recomputation> {
        let once = self.account.once?;
        let again = self.described.iter().enumerate().filter(|(_, step)| step.is_recomputed);
        let steps = again.filter_map(|(number, step)| {
            // Results are in the order of the steps that compute them.
            let place = self.account.results.partition_point(|result| (result.first as usize) < number);
            let result = self.account.results.get(place).filter(|result| result.first as usize == number)?;
            Some(RecomputedStep {
                step: number,
                computes: step.computes.clone(),
                origin: result.origin,
                layer: self.account.layer(result.layer),
                operations: step.cost.operations as u64,
            })
        });
        Some(Recomputation {
            operations: self.operations(),
            operations_once: once.operations,
            peak_bytes_once: once.peak_bytes,
            allocated_bytes_once: once.allocated_bytes,
            steps: steps.collect(),
        })
    }
}

impl MemoryReport {
    /// The bytes of all that is held in the step of the peak in that role.
    pub fn bytes_of(&self, role: MemoryRole) -> u64 {
        self.held.iter().filter(|held| held.role == role).map(|held| held.bytes).fold(0, u64::saturating_add)
    }

    /// The bytes of all results that are held in the step of the peak: activations, temporaries and outputs. It is what computing some of
    /// them again can lower.
    pub fn result_bytes(&self) -> u64 {
        [MemoryRole::Activation, MemoryRole::Temporary, MemoryRole::Output].map(|role| self.bytes_of(role)).iter().sum()
    }
}
