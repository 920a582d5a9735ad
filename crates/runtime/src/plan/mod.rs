//! From a graph to a plan: which kernels run in which order over which memory.
//!
//! The pipeline is visible in the files: the graph is simplified ([`arenagrad_graph::passes`]), laid out in a dense table
//! with views resolved (`entries`), entries whose only reader can do their work are taken up by it (`absorb`), entries are
//! gathered in clusters of which each can be one kernel (`cluster`), what crosses from one to another is stored or computed again
//! (`recompute`), clusters that read the same become one (`merge`), what is too much for one kernel is cut (`divide`), kernels are made
//! (`step`, `program`, `nest`), put in order (`order`), and given buffers (`memory`). Which parameters are overwritten in place is
//! decided in between (`update`). Under a budget of memory steps are run again instead of keeping their results (`rematerialise`, by names of
//! `layers`), and `report` says what is held when. Results of one attention are one kernel (`attention`), products pad their operands where the device lets them (`padding`), and what depends on order along an axis has kernels of
//! its own (`ordered`). A loop is one step with a plan of its own, made before the plan around it (`looped`). A plan names no device: what it has to know of one are numbers (`target`). It holds no values but literals.

mod absorb;
mod attention;
mod border;
mod bytes;
mod channels;
mod cluster;
mod describe;
mod divide;
mod entries;
mod layers;
mod layout;
#[cfg(test)]
mod limit_tests;
pub(crate) mod looped;
mod memory;
mod merge;
mod nest;
mod nodes;
mod order;
mod ordered;
mod padding;
mod program;
mod recompute;
mod rematerialise;
mod report;
mod shaders;
mod slots;
mod step;
mod stored;
mod target;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace;
mod update;

pub use arenagrad_kernels::cost::Cost;
pub use describe::PlanStep;
pub use memory::{BufferRole, BufferSpec};
pub use report::{HeldBuffer, MemoryReport, MemoryRole, Recomputation, RecomputedStep};

use std::collections::HashSet;

use arenagrad_graph::{
    DType, Declaration, Graph, GraphError, IndexBound, Leaf, NodeId, Op, Origin, Shape, StorageType,
    passes::{self, Optimised},
};
use arenagrad_kernels::{Kernel, Program};

use crate::error::Error;
use crate::group::Intent;
use crate::precision::Rounding;
#[cfg(feature = "gpu")]
pub(crate) use bytes::ElementBytes;
use cluster::NONE;
use entries::{Entries, Entry, Work};
use layers::LayerMap;
use nodes::Nodes;
pub(crate) use rematerialise::MemoryPolicy;
use report::{Account, Once};
pub(crate) use step::Task;
pub(crate) use target::Target;
pub use target::{CPU_BINDINGS, GPU_BINDINGS};
use update::Updates;

/// What a plan must compute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Results that can be read after a run.
    pub(crate) outputs: Vec<NodeId>,
    /// Parameters that a run changes: the declaration's number, and the node of the next value.
    pub(crate) updates: Vec<(u32, NodeId)>,
    /// Names for parts of the work, in order: a step belongs to the first stage one of whose nodes needs it. What is left
    /// belongs to `rest`.
    pub(crate) stages: Vec<(&'static str, Vec<NodeId>)>,
    /// The name of what no stage needs.
    pub(crate) rest: &'static str,
    /// Whether no output stands in the place of a parameter, be it the parameter as a run leaves it or the next value that a run gives it:
    /// for outputs that are read after other plans have run, which may change it.
    pub(crate) copies_parameters: bool,
    /// What is wanted of the plan's memory.
    pub(crate) memory: MemoryPolicy,
    /// The device that the plan is for.
    pub(crate) target: Target,
    /// What is rounded to 16 bits; none where all is computed in the dtypes of the graph.
    pub(crate) rounding: Option<Rounding>,
    /// What it is for and what it exchanges, as members of a group tell each other.
    pub(crate) intent: Intent,
    /// What it is of, as members of a group are told where theirs differ: a line for the function, and one for what it reports.
    pub(crate) told: Vec<String>,
}

/// Fused kernels in order, over planned memory.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub(crate) steps: Vec<PlacedStep>,
    pub(crate) buffers: Vec<BufferSpec>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) declarations: Vec<Declaration>,
    /// Whether each declaration's node was in the graph: a removed one keeps its number, and its name is free.
    pub(crate) alive: Vec<bool>,
    pub(crate) bounds: Vec<IndexBound>,
    pub(crate) described: Vec<PlanStep>,
    /// The functions of matrices, with the numbers of their steps, ascending: what may fail in a run.
    pub(crate) fallible: Vec<(usize, FallibleStep)>,
    /// What its results are, for a report of its memory.
    pub(crate) account: Account,
    /// The numbers of the steps that are exchanges with other processes, ascending.
    pub(crate) exchanges: Vec<usize>,
    /// What it is for, and what its exchanges are of.
    pub(crate) intent: Intent,
    /// What it is of, as members of a group are told where theirs differ: a line for the function, and one for what it reports.
    pub(crate) told: Vec<String>,
}

/// What an error says of a function of matrices.
#[derive(Clone, Debug)]
pub(crate) struct FallibleStep {
    pub(crate) origin: Origin,
    pub(crate) op: &'static str,
    /// The name of what the function is applied to.
    pub(crate) operand: String,
    /// The shape of the first operand.
    pub(crate) shape: Shape,
}

/// A kernel or a loop, and the buffers that it reads and writes, by their numbers in the plan.
#[derive(Clone, Debug)]
pub(crate) struct PlacedStep {
    pub(crate) task: Task,
    pub(crate) inputs: Vec<u32>,
    pub(crate) outputs: Vec<u32>,
    /// How many elements of its inputs' buffers, and of its outputs', are its own: a buffer is as large as the largest of all that it holds.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "choices are measured on a GPU alone"))]
    pub(crate) elements: [Vec<usize>; 2],
}

/// A result that can be read after a run.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Its buffer; none for a result without elements.
    pub(crate) buffer: Option<u32>,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
}

impl PlacedStep {
    /// The storage types of its inputs and of its outputs, whose buffers are these.
    pub(crate) fn storage(&self, buffers: &[BufferSpec]) -> [Vec<StorageType>; 2] {
        [&self.inputs, &self.outputs].map(|list| list.iter().map(|&buffer| buffers[buffer as usize].storage).collect())
    }
}

impl Plan {
    /// Plans what `request` asks of `graph`. Errors: the graph's first mistake, if it has one; a budget of memory that cannot be kept.
    pub(crate) fn new(graph: &Graph, request: &Request) -> Result<Plan, Error> {
        let (nodes, mut passes, layers) = Plan::passes(graph, request)?;
        let once =
            rematerialise::rematerialise(&nodes, &mut passes, &request.memory, &layers, request.target.element_bytes)?;
        Ok(Plan::place(nodes, passes, request, &layers, once))
    }

    /// Plans what each round of a loop computes, everything once.
    pub(crate) fn of_round(graph: &Graph, request: &Request) -> Result<Plan, GraphError> {
        let (nodes, passes, layers) = Plan::passes(graph, request)?;
        Ok(Plan::place(nodes, passes, request, &layers, None))
    }

    /// The nodes of the graph that is planned, what the passes make of it, and its layers.
    fn passes(graph: &Graph, request: &Request) -> Result<(Nodes, Passes, LayerMap), GraphError> {
        graph.check()?;
        // One list of everything that must survive the passes; the request is read back from it in order.
        let wanted: Vec<NodeId> = request
            .outputs
            .iter()
            .chain(request.updates.iter().map(|(_, next)| next))
            .chain(request.stages.iter().flat_map(|(_, nodes)| nodes))
            .copied()
            .collect();
        let exchanges = exchanges_of(graph, &wanted)?;
        let wanted = [wanted, exchanges].concat();
        let rounded = request.rounding.as_ref().map(|rounding| rounding.apply(graph, &wanted)).transpose()?;
        let convolutions = request.target.convolutions;
        let optimised = match &rounded {
            Some(rounded) => {
                passes::optimise_with(&rounded.graph, &rounded.outputs, convolutions)?.after(&rounded.sources)
            }
            None => passes::optimise_with(graph, &wanted, convolutions)?,
        };
        refuse_placeholders(&optimised.graph)?;
        let mut mapped = optimised.outputs.into_iter();
        let outputs: Vec<NodeId> = mapped.by_ref().take(request.outputs.len()).collect();
        let updates: Vec<(u32, NodeId)> =
            request.updates.iter().map(|(declaration, _)| *declaration).zip(mapped.by_ref()).collect();
        let stages: Vec<Vec<NodeId>> =
            request.stages.iter().map(|(_, nodes)| mapped.by_ref().take(nodes.len()).collect()).collect();
        let exchanges: Vec<NodeId> = mapped.collect();
        let Optimised { graph: planned, sources, .. } = optimised;
        let layers = LayerMap::new(graph, &sources, request.memory.has_patterns());
        let nodes = Nodes::of(&planned);
        let collected = Collected::of(&planned, &nodes, &outputs, &updates, &stages, &exchanges, request)?;
        drop((planned, sources, rounded));
        Ok((nodes, Passes::run(collected, request)?, layers))
    }

    fn place(nodes: Nodes, passes: Passes, request: &Request, layers: &LayerMap, once: Option<Once>) -> Plan {
        let names: Vec<&'static str> = request.stages.iter().map(|(name, _)| *name).chain([request.rest]).collect();
        let names = &names[..];
        let Passes { entries, roots, required, updates, mut steps, .. } = passes;
        let (entries, roots) = (&entries[..], &roots[..request.outputs.len()]);
        let memory = memory::assign(entries, &mut steps, &required, &updates);
        let mut described = describe::describe(&nodes, entries, &steps, &memory, names);
        let fallible = fallible(&nodes, entries, &steps);
        let account = Account::new(&nodes, entries, &steps, &memory, layers, request.target.element_bytes, once);
        let exchanges = (0..steps.len()).filter(|&number| order::is_exchange(entries, &steps[number])).collect();
        let place = |list: &[u32]| list.iter().map(|&entry| memory.buffer_of[entry as usize]).collect();
        let elements = |list: &[u32]| list.iter().map(|&entry| entries[entry as usize].shape.elements()).collect();
        let mut placed: Vec<PlacedStep> = steps
            .into_iter()
            .map(|step| PlacedStep {
                inputs: place(&step.reads),
                outputs: place(&step.writes),
                elements: [elements(&step.reads), elements(&step.writes)],
                task: step.task,
            })
            .collect();
        for (parameter, next) in updates.copied_back(entries) {
            described.push(describe::copy_back(&nodes, entries, parameter, next, &memory, names));
            placed.push(PlacedStep {
                task: Task::Kernel(copy_of(&entries[parameter as usize])),
                inputs: vec![memory.buffer_of[next as usize]],
                outputs: vec![memory.buffer_of[parameter as usize]],
                elements: [next, parameter].map(|entry| vec![entries[entry as usize].shape.elements()]),
            });
        }
        let outputs = roots
            .iter()
            .map(|root| Output {
                buffer: Some(memory.buffer_of[root.base as usize]).filter(|&buffer| buffer != NONE),
                shape: root.shape.clone(),
                dtype: entries[root.base as usize].dtype,
            })
            .collect();
        Plan {
            steps: placed,
            buffers: memory.buffers,
            outputs,
            declarations: nodes.declarations,
            alive: nodes.alive,
            bounds: nodes.bounds,
            described,
            fallible,
            account,
            exchanges,
            intent: request.intent,
            told: request.told.clone(),
        }
    }

    /// The steps in order, described for a reader.
    pub fn steps(&self) -> &[PlanStep] {
        &self.described
    }

    /// The buffers that the steps' numbers refer to.
    pub fn buffers(&self) -> &[BufferSpec] {
        &self.buffers
    }
}

/// The entries that a plan is made of, which know nothing of the graph.
struct Collected {
    entries: Entries,
    /// How many of the roots are outputs, and how many are next values: the parameters that these replace, and exchanges, come after them.
    outputs: usize,
    updates: usize,
}

/// What the passes over the entries decide, one after the other.
#[cfg_attr(not(test), expect(dead_code))] // Clusters, storage and parts are shown in the planner's file tests.
struct Passes {
    entries: Vec<Entry>,
    /// Where the outputs, the next values of parameters and these parameters stand.
    roots: Vec<layout::Layout>,
    /// Which entries are read after the run.
    required: Vec<bool>,
    clusters: cluster::Clusters,
    storage: recompute::Storage,
    parts: Vec<divide::Part>,
    updates: Updates,
    /// In the order in which they run.
    steps: Vec<step::Step>,
}

impl Collected {
    fn of(
        graph: &Graph,
        nodes: &Nodes,
        outputs: &[NodeId],
        updates: &[(u32, NodeId)],
        stages: &[Vec<NodeId>],
        exchanges: &[NodeId],
        request: &Request,
    ) -> Result<Collected, GraphError> {
        let copies_parameters = request.copies_parameters;
        let updated: HashSet<u32> = updates.iter().map(|(declaration, _)| *declaration).collect();
        let parameters: Vec<NodeId> =
            updates.iter().map(|(declaration, _)| nodes.declarations[*declaration as usize].node).collect();
        // Outputs, then next values, then the parameters that these replace.
        let mut roots: Vec<NodeId> =
            outputs.iter().copied().chain(updates.iter().map(|(_, next)| *next)).chain(parameters).collect();
        roots.extend(unneeded(graph, exchanges, &roots)?);
        // What no next value may stand at: another one does, or an output that is read after other plans have run, which may be written
        // over the parameter otherwise.
        let mut taken: HashSet<u32> = HashSet::new();
        let entries = entries::collect(graph, nodes, &roots, stages, &mut |number, base, work| {
            if number < outputs.len() {
                if copies_parameters {
                    taken.insert(base);
                }
                // A parameter that this run changes is read as it was before.
                !matches!(work, Work::Parameter(declaration) if copies_parameters || updated.contains(declaration))
            } else if number < outputs.len() + updates.len() {
                work.is_computed() && taken.insert(base)
            } else {
                true
            }
        })?;
        Ok(Collected { entries, outputs: outputs.len(), updates: updates.len() })
    }
}

impl Passes {
    fn run(collected: Collected, request: &Request) -> Result<Passes, GraphError> {
        let Collected { entries: Entries { mut entries, roots, loops }, outputs, updates } = collected;
        let bindings = request.target.bindings;
        let loops = looped::plan(&entries, &loops, request.target)?;
        let mut required = vec![false; entries.len()];
        for root in &roots {
            required[root.base as usize] = true;
        }
        absorb::absorb(&mut entries, &required);
        let pairs = (0..updates).map(|n| (roots[outputs + updates + n].base, roots[outputs + n].base)).collect();
        let read_outputs: HashSet<u32> = roots[..outputs].iter().map(|root| root.base).collect();

        let mut clusters = cluster::cluster(&entries);
        let mut storage = recompute::recompute(&entries, &clusters, &required, bindings);
        merge::merge(&entries, &mut clusters, &storage, bindings);
        if request.target.gathers_channels {
            channels::merge_channels(&entries, &mut clusters, &storage, bindings);
        }
        let mut updates = Updates::new(&entries, &clusters, &storage, pairs, &read_outputs);
        let parts = divide::divide(&entries, &clusters, &mut storage, &mut updates, bindings);
        let mut steps = step::steps(&entries, &clusters, &storage, &parts, &loops);
        if request.target.pads_operands {
            padding::pad_in_products(&entries, &mut steps, &required);
        }
        updates.add_possible(&entries, &steps, &read_outputs);
        let steps = order::order(steps, &entries, &mut updates);
        debug_assert!(!exceeds_bindings(&steps, &updates, bindings), "a step binds more buffers than a kernel may");
        Ok(Passes { entries, roots, required, clusters, storage, parts, updates, steps })
    }
}

/// The steps that may fail in a run: functions of matrices, and loops for each in their bodies.
fn fallible(nodes: &Nodes, entries: &[Entry], steps: &[step::Step]) -> Vec<(usize, FallibleStep)> {
    let mut fallible = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        match &step.task {
            Task::Kernel(Kernel::LinearAlgebra { function, .. }) => {
                let entry = &entries[step.writes[0] as usize];
                let (origin, operand) = (nodes.origin(entry.node), nodes.matrices(entry.node).to_owned());
                let shape = entry.operands[0].shape.clone();
                fallible.push((number, FallibleStep { origin, op: function.name(), operand, shape }));
            }
            Task::Kernel(_) => {}
            Task::Loop(looped) => {
                fallible.extend(looped.plan.fallible.iter().map(|(_, step)| (number, step.clone())));
            }
        }
    }
    fallible
}

/// The sums over a group that what is wanted is computed from. Each of them is made, even if a pass finds that its result is not
/// needed: other processes, with batches of another size, may need it, and all must make the same ones.
fn exchanges_of(graph: &Graph, wanted: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    let mut exchanges = graph.needed(wanted)?;
    exchanges.retain(|id| graph.node(*id).is_ok_and(|node| matches!(node.op, Op::AllReduce { .. })));
    Ok(exchanges)
}

/// Those of the exchanges that the roots do not need.
fn unneeded(graph: &Graph, exchanges: &[NodeId], roots: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
    if exchanges.is_empty() {
        return Ok(Vec::new());
    }
    let needed: HashSet<NodeId> = graph.needed(roots)?.into_iter().collect();
    Ok(exchanges.iter().copied().filter(|exchange| !needed.contains(exchange)).collect())
}

/// A placeholder that is left after the passes is needed, and nothing can be computed from it.
fn refuse_placeholders(graph: &Graph) -> Result<(), GraphError> {
    for id in graph.ids() {
        let node = graph.node(id)?;
        if matches!(node.op, Op::Leaf(Leaf::Placeholder)) {
            let operand = graph.label(id).unwrap_or_else(|| format!("of shape {}", node.shape));
            return Err(GraphError::Placeholder { origin: node.origin, op: "plan", operand });
        }
    }
    Ok(())
}

/// Whether a step binds more buffers than a kernel may: a parameter and the next value that is written over it are one.
/// Assembling reads any number of pieces, a few at a time; attention computes its results one after the other where they bind too many.
fn exceeds_bindings(steps: &[step::Step], updates: &Updates, bindings: usize) -> bool {
    let overwrites = updates.overwrites();
    let is_unlimited =
        |task: &Task| matches!(task, Task::Kernel(Kernel::Assemble { .. } | Kernel::Attention(_)) | Task::Loop(_));
    steps.iter().filter(|step| !is_unlimited(&step.task)).any(|step| {
        let is_in_place = |write: &&u32| overwrites.get(write).is_some_and(|parameter| step.reads.contains(parameter));
        let is_elementwise = matches!(step.task, Task::Kernel(Kernel::Elementwise(_)));
        let read = if is_elementwise { step.reads.iter().collect::<HashSet<_>>().len() } else { step.reads.len() };
        read + step.writes.len() - step.writes.iter().filter(is_in_place).count() > bindings
    })
}

/// The kernel that copies the elements of an entry.
fn copy_of(entry: &Entry) -> Kernel {
    copy(entry.dtype, entry.shape.elements())
}

/// A kernel that copies a buffer.
fn copy(dtype: DType, elements: usize) -> Kernel {
    use arenagrad_kernels::{Instruction, ProgramInput, View};
    Kernel::Elementwise(Program {
        elements,
        inputs: vec![ProgramInput { dtype, view: View::contiguous(elements), in_place: None }],
        instructions: vec![Instruction::Load { input: 0 }],
        dtypes: vec![dtype],
        outputs: vec![0],
    })
}
