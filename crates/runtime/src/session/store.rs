//! The memory and executables of a session, on whichever device it has.

#[cfg(feature = "gpu")]
use std::borrow::Cow;
use std::collections::HashMap;
#[cfg(feature = "gpu")]
use std::ops::Range;

#[cfg(feature = "gpu")]
use crate::backend::LoopCopies;
use crate::backend::cpu::{CpuExecutable, CpuMark, CpuMemory};
#[cfg(feature = "gpu")]
use crate::backend::gpu::{self, Arrival, GpuExecutable, GpuMemory, Readback};
use crate::device::{Device, DeviceKind};
use crate::error::Error;
use crate::pending::Pending;
use crate::plan::{BufferRole, BufferSpec, Plan, Task};
#[cfg(feature = "gpu")]
use crate::plan::{ElementBytes, PlacedStep};
use crate::session::pool::{Claim, Content, Pool};
use arenagrad_graph::{Elements, StorageType};
use arenagrad_kernels::Choice;
#[cfg(feature = "gpu")]
use arenagrad_kernels::{Kernel, Stored};

/// The most bytes that are read together, unless one buffer has more.
#[cfg(feature = "gpu")]
const MOST_READ_AT_ONCE: usize = 1 << 26;

/// The buffers of a session.
pub(crate) enum Memory {
    Cpu(CpuMemory),
    #[cfg(feature = "gpu")]
    Gpu(GpuMemory),
}

/// A point in the growth of a memory to which [`Memory::rewind`] returns.
pub(crate) enum Mark {
    Cpu(CpuMark),
    #[cfg(feature = "gpu")]
    Gpu(gpu::MemoryMark),
}

/// Elements that are wanted of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferRead {
    pub(crate) buffer: u32,
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "the CPU's buffers know it themselves"))]
    pub(crate) storage: StorageType,
    pub(crate) elements: usize,
}

/// What a run of a plan leaves.
pub(crate) enum Run {
    /// The outputs stand in memory.
    Done,
    /// They will arrive, in order; or, of a run whose results nobody reads, that there is room for another.
    #[cfg(feature = "gpu")]
    Arriving(Arrival),
}

/// Where the buffers of a loop's body are, and those of the loops within.
pub(crate) struct LoopPlaces {
    pub(crate) places: Vec<u32>,
    pub(crate) loops: Vec<Option<LoopPlaces>>,
}

/// A plan made ready for a session's device.
pub(crate) enum Executable {
    Cpu(Box<CpuExecutable>),
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuExecutable>),
}

impl Memory {
    pub(crate) fn new(device: &Device) -> Self {
        match &device.kind {
            DeviceKind::Cpu => Memory::Cpu(CpuMemory::default()),
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => Memory::Gpu(GpuMemory::new(device)),
        }
    }

    pub(crate) fn allocate(&mut self, what: &str, storage: StorageType, elements: usize) -> Result<u32, Error> {
        match self {
            Memory::Cpu(memory) => memory.allocate(what, storage, elements),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => memory.allocate(what, storage, elements),
        }
    }

    /// Gives back a buffer that nothing will use any more.
    pub(crate) fn release(&mut self, index: u32) {
        match self {
            Memory::Cpu(memory) => memory.release(index),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => memory.release(index),
        }
    }

    /// The present end of the memory.
    pub(crate) fn mark(&self) -> Mark {
        match self {
            Memory::Cpu(memory) => Mark::Cpu(memory.mark()),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => Mark::Gpu(memory.mark()),
        }
    }

    /// Gives back every buffer that was allocated since the mark was taken.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        match (self, mark) {
            (Memory::Cpu(memory), Mark::Cpu(mark)) => memory.rewind(mark),
            #[cfg(feature = "gpu")]
            (Memory::Gpu(memory), Mark::Gpu(mark)) => memory.rewind(mark),
            #[cfg(feature = "gpu")]
            (Memory::Cpu(_), Mark::Gpu(_)) | (Memory::Gpu(_), Mark::Cpu(_)) => {
                unreachable!("a mark of this memory is of its device")
            }
        }
    }

    /// How many bytes the buffers take, and how many buffers there are.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (u64, usize) {
        match self {
            Memory::Cpu(memory) => memory.size(),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => memory.size(),
        }
    }

    /// Writes elements from the start of a buffer on, widened or narrowed to its type.
    pub(crate) fn write(&mut self, index: u32, storage: StorageType, data: &Elements) -> Result<(), Error> {
        match self {
            Memory::Cpu(memory) => {
                // The buffer knows its type.
                let _ = storage;
                memory.write(index, data);
                Ok(())
            }
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) if data.storage() == storage => memory.write(index, data),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => memory.write(index, &data.converted(storage)),
        }
    }

    pub(crate) fn read(&self, index: u32, storage: StorageType, elements: usize) -> Result<Elements, Error> {
        match self {
            Memory::Cpu(memory) => {
                let data = memory.read(index, elements);
                debug_assert_eq!(data.storage(), storage);
                Ok(data)
            }
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => memory.read(index, storage, elements),
        }
    }

    /// The first elements of several buffers, by the number, type and count of each, as they are after all that was given to the device.
    pub(crate) fn read_later(&self, reads: &[BufferRead]) -> Result<Pending<Vec<Elements>>, Error> {
        match self {
            Memory::Cpu(memory) => {
                let read = reads.iter().map(|read| memory.read(read.buffer, read.elements));
                Ok(Pending::here(Ok(read.collect())))
            }
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => {
                let mut arrivals = Vec::new();
                let mut rest = reads;
                while let [_, ..] = rest {
                    // What is read together stands in one buffer, which may not be of any size.
                    let bytes = |read: &BufferRead| read.elements.saturating_mul(read.storage.bytes().max(4));
                    let mut sum = 0usize;
                    let fitting = rest.iter().take_while(|read| {
                        sum = sum.saturating_add(bytes(read));
                        sum <= MOST_READ_AT_ONCE
                    });
                    let (now, later) = rest.split_at(fitting.count().max(1));
                    let now: Vec<Readback> = now
                        .iter()
                        .map(|&BufferRead { buffer, storage, elements }| Readback { index: buffer, storage, elements })
                        .collect();
                    arrivals.push(memory.read_later(&now)?);
                    rest = later;
                }
                Ok(Pending::coming(arrivals, Ok))
            }
        }
    }

    /// That the device has done all that it was given.
    pub(crate) fn all_done(&self) -> Result<Pending<()>, Error> {
        match self {
            Memory::Cpu(_) => Ok(Pending::here(Ok(()))),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => Ok(Pending::coming(vec![memory.all_done()?], |_| Ok(()))),
        }
    }

    /// Refuses what would block where that must not be, before anything is done.
    pub(crate) fn require_waiting(&self, what: &str) -> Result<(), Error> {
        match self {
            #[cfg(all(feature = "gpu", target_family = "wasm"))]
            Memory::Gpu(_) => Err(Error::CannotWait { what: what.to_owned() }),
            _ => {
                let _ = what;
                Ok(())
            }
        }
    }

    /// Gives each buffer of a plan a place in this memory: parameters where they are, others in buffers of the pool or anew. Nothing
    /// is written yet.
    pub(crate) fn place(
        &mut self,
        plan: &Plan,
        parameter: impl Fn(&str) -> Option<u32>,
        pool: &Pool,
        claim: &mut Claim,
    ) -> Result<Vec<u32>, Error> {
        let name = |declaration: u32| plan.declarations[declaration as usize].name.as_str();
        let known = plan.buffers.iter().map(|spec| match &spec.role {
            BufferRole::Parameter(declaration) => parameter(name(*declaration)),
            BufferRole::Input(_) | BufferRole::Literal(_) | BufferRole::Slot => None,
        });
        let what = |spec: &BufferSpec| match &spec.role {
            BufferRole::Input(declaration) | BufferRole::Parameter(declaration) => {
                format!("{:?}", name(*declaration))
            }
            BufferRole::Literal(_) => "a literal".to_owned(),
            BufferRole::Slot => "an intermediate result".to_owned(),
        };
        let known = known.collect();
        self.place_in_pool(plan, known, what, pool, claim)
    }

    /// The places of buffers, of which some are known; the largest choose first.
    fn place_in_pool(
        &mut self,
        plan: &Plan,
        mut places: Vec<Option<u32>>,
        what: impl Fn(&BufferSpec) -> String,
        pool: &Pool,
        claim: &mut Claim,
    ) -> Result<Vec<u32>, Error> {
        let buffers = &plan.buffers;
        let mut order: Vec<usize> = (0..buffers.len()).filter(|&number| places[number].is_none()).collect();
        order.sort_by_key(|&number| std::cmp::Reverse(buffers[number].elements));
        for number in order {
            let spec = &buffers[number];
            let content = match &spec.role {
                BufferRole::Literal(_) => Content::Literal,
                BufferRole::Input(_) | BufferRole::Parameter(_) | BufferRole::Slot => Content::OfARun,
            };
            let place = pool.claim(claim, self, &what(spec), spec.storage, spec.elements, content);
            let place = place.map_err(|error| plan.told_of(number, error))?;
            places[number] = Some(place);
        }
        Ok(places.into_iter().flatten().collect())
    }

    /// Gives the buffers of the bodies of a plan's loops places, for each step in order: what is captured stands where it is, and so does
    /// a carry whose last value is wanted.
    pub(crate) fn place_loops(
        &mut self,
        plan: &Plan,
        places: &[u32],
        pool: &Pool,
        claim: &mut Claim,
    ) -> Result<Vec<Option<LoopPlaces>>, Error> {
        let mut all = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let Task::Loop(looped) = &step.task else {
                all.push(None);
                continue;
            };
            let mut given: HashMap<u32, u32> = HashMap::new();
            for captured in &looped.captured {
                given.insert(captured.buffer, places[step.inputs[captured.operand] as usize]);
            }
            for carry in &looped.carries {
                if let Some(result) = carry.result {
                    given.insert(carry.buffer, places[step.outputs[result] as usize]);
                }
            }
            let known = (0..looped.plan.buffers.len() as u32).map(|number| given.get(&number).copied()).collect();
            let what = |_: &BufferSpec| "what a round of a loop needs".to_owned();
            let own = self.place_in_pool(&looped.plan, known, what, pool, claim)?;
            let loops = self.place_loops(&looped.plan, &own, pool, claim)?;
            all.push(Some(LoopPlaces { places: own, loops }));
        }
        Ok(all)
    }

    /// Writes the literals of the bodies of a plan's loops.
    pub(crate) fn write_loop_literals(&mut self, plan: &Plan, loops: &[Option<LoopPlaces>]) -> Result<(), Error> {
        for (step, own) in plan.steps.iter().zip(loops) {
            if let (Task::Loop(looped), Some(own)) = (&step.task, own) {
                self.write_literals(&looped.plan, &own.places)?;
                self.write_loop_literals(&looped.plan, &own.loops)?;
            }
        }
        Ok(())
    }

    /// Writes the literals of a plan whose buffers have places.
    pub(crate) fn write_literals(&mut self, plan: &Plan, places: &[u32]) -> Result<(), Error> {
        for (spec, place) in plan.buffers.iter().zip(places) {
            match &spec.role {
                BufferRole::Literal(data) if !data.is_empty() => self.write(*place, spec.storage, data)?,
                BufferRole::Literal(_) | BufferRole::Input(_) | BufferRole::Parameter(_) | BufferRole::Slot => {}
            }
        }
        Ok(())
    }
}

impl Executable {
    pub(crate) fn new(
        device: &Device,
        memory: &mut Memory,
        plan: &Plan,
        places: &[u32],
        loops: &[Option<LoopPlaces>],
        choices: &[Choice],
    ) -> Result<Self, Error> {
        match (&device.kind, memory) {
            #[cfg(feature = "gpu")]
            (DeviceKind::Gpu(device), Memory::Gpu(memory)) => {
                let mut found = Found::of(choices);
                let rounds = found.rounds(plan, places, loops);
                let rounds = found.cut(memory, rounds)?;
                let steps = found.resident();
                let reads: Vec<Readback> = plan
                    .outputs
                    .iter()
                    .filter_map(|output| {
                        let buffer = output.buffer? as usize;
                        let (index, storage) = (places[buffer], plan.buffers[buffer].storage);
                        Some(Readback { index, storage, elements: output.shape.elements() })
                    })
                    .collect();
                Ok(Executable::Gpu(Box::new(GpuExecutable::in_rounds(device, memory, &steps, rounds, &reads)?)))
            }
            (_, _) => Ok(Executable::Cpu(Box::new(CpuExecutable::new(plan, places, loops, choices)?))),
        }
    }

    /// Runs the plan. On a GPU it is submitted, and with `fetch` its outputs are on their way; on the CPU they stand in memory.
    pub(crate) fn start(&mut self, memory: &mut Memory, fetch: bool) -> Result<Run, Error> {
        match (self, memory) {
            (Executable::Cpu(executable), Memory::Cpu(memory)) => {
                let _ = fetch;
                executable.run(memory)?;
                Ok(Run::Done)
            }
            #[cfg(feature = "gpu")]
            (Executable::Gpu(executable), Memory::Gpu(memory)) => match fetch {
                true => Ok(Run::Arriving(executable.start(memory)?)),
                false => Ok(executable.advance(memory)?.map_or(Run::Done, Run::Arriving)),
            },
            #[cfg(feature = "gpu")]
            (Executable::Cpu(_), Memory::Gpu(_)) | (Executable::Gpu(_), Memory::Cpu(_)) => {
                unreachable!("memory and executable of a session are of one device")
            }
        }
    }

    pub(crate) fn submits(&self) -> u64 {
        match self {
            Executable::Cpu(_) => 0,
            #[cfg(feature = "gpu")]
            Executable::Gpu(executable) => executable.submits(),
        }
    }

    pub(crate) fn dispatches(&self) -> usize {
        match self {
            Executable::Cpu(_) => 0,
            #[cfg(feature = "gpu")]
            Executable::Gpu(executable) => executable.dispatches(),
        }
    }
}

/// A plan made ready for a GPU once more, to be timed step by step.
#[cfg(all(feature = "gpu", not(target_family = "wasm")))]
pub(crate) fn profiler(
    memory: &mut GpuMemory,
    device: &gpu::GpuDevice,
    plan: &Plan,
    (places, loops): (&[u32], &[Option<LoopPlaces>]),
    choices: &[Choice],
    timestamps: bool,
) -> Result<gpu::Profiler, Error> {
    let mut found = Found::of(choices);
    let rounds = found.rounds(plan, places, loops);
    if found.is_cut(memory) {
        let reason = "kernels over tensors that are too large to be bound whole run in parts".to_owned();
        return Err(Error::Unsupported { what: "a profile of this plan".to_owned(), reason });
    }
    gpu::Profiler::new(device, memory, &found.resident(), rounds, timestamps)
}

/// The kernels of a plan and of the bodies of its loops.
#[cfg(feature = "gpu")]
struct Found<'a> {
    steps: Vec<FoundStep<'a>>,
    /// How they are computed, in their order; behind the end as usual.
    choices: &'a [Choice],
}

#[cfg(feature = "gpu")]
#[derive(Clone)]
struct FoundStep<'a> {
    kernel: Cow<'a, Kernel>,
    bound: [Vec<u32>; 2],
    stored: [Vec<StorageType>; 2],
    choice: Choice,
    what: &'a str,
    /// The plan that it is of, and its step there.
    plan: &'a Plan,
    step: &'a PlacedStep,
}

#[cfg(feature = "gpu")]
impl<'a> Found<'a> {
    fn of(choices: &'a [Choice]) -> Self {
        Found { steps: Vec::new(), choices }
    }

    /// The kernels as a device takes them.
    fn resident(&self) -> Vec<gpu::ResidentStep<'_>> {
        let each = self.steps.iter();
        each.map(|step| gpu::ResidentStep {
            kernel: &step.kernel,
            inputs: &step.bound[0],
            outputs: &step.bound[1],
            stored: Stored { inputs: &step.stored[0], outputs: &step.stored[1] },
            choice: step.choice,
            what: step.what,
        })
        .collect()
    }

    /// Adds the kernels of a plan, and says in what order they run.
    fn rounds(&mut self, plan: &'a Plan, places: &[u32], loops: &[Option<LoopPlaces>]) -> Vec<gpu::Round> {
        let place = |buffers: &[u32]| buffers.iter().map(|&buffer| places[buffer as usize]).collect::<Vec<_>>();
        let mut rounds = Vec::with_capacity(plan.steps.len());
        for ((step, described), own) in plan.steps.iter().zip(&plan.described).zip(loops) {
            match (&step.task, own) {
                (Task::Kernel(kernel), _) => {
                    rounds.push(gpu::Round::Step(self.steps.len()));
                    let choice = self.choices.get(self.steps.len()).copied().unwrap_or_default();
                    self.steps.push(FoundStep {
                        kernel: Cow::Borrowed(kernel),
                        bound: [place(&step.inputs), place(&step.outputs)],
                        stored: step.storage(&plan.buffers),
                        choice,
                        what: &described.computes,
                        plan,
                        step,
                    });
                }
                (Task::Loop(looped), Some(own)) => {
                    let body = self.rounds(&looped.plan, &own.places, &own.loops);
                    rounds.push(gpu::Round::Loop(gpu::Rounds {
                        copies: LoopCopies::new(looped, step, places, own),
                        body,
                    }));
                }
                (Task::Loop(_), None) => unreachable!("every loop was given places"),
            }
        }
        rounds
    }

    /// Whether a kernel has a tensor that is too large to be bound whole.
    fn is_cut(&self, memory: &GpuMemory) -> bool {
        let limit = memory.binding_limit();
        self.steps.iter().flat_map(|step| step.bound.iter().flatten()).any(|&index| memory.bytes(index) > limit)
    }

    /// Cuts the steps with tensors that are too large to be bound whole, and says in what order the parts run. A kernel that cannot be cut
    /// is an error that names the tensor.
    fn cut(&mut self, memory: &mut GpuMemory, rounds: Vec<gpu::Round>) -> Result<Vec<gpu::Round>, Error> {
        if !self.is_cut(memory) {
            return Ok(rounds);
        }
        let limit = memory.binding_limit();
        let mut parts: Vec<Range<usize>> = Vec::with_capacity(self.steps.len());
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            let start = steps.len();
            step.cut(memory, limit, &mut steps)?;
            parts.push(start..steps.len());
        }
        self.steps = steps;
        Ok(in_parts(rounds, &parts))
    }
}

#[cfg(feature = "gpu")]
impl<'a> FoundStep<'a> {
    /// The step, or its parts.
    fn cut(self, memory: &mut GpuMemory, limit: u64, steps: &mut Vec<FoundStep<'a>>) -> Result<(), Error> {
        let large = |index: &u32| memory.bytes(*index) > limit;
        let buffers = [&self.step.inputs, &self.step.outputs];
        let all = self.bound.iter().zip(buffers).flat_map(|(bound, buffers)| bound.iter().zip(buffers));
        let Some((&index, &buffer)) =
            all.filter(|(index, _)| large(index)).max_by_key(|(index, _)| memory.bytes(**index))
        else {
            steps.push(self);
            return Ok(());
        };
        let [inputs, outputs] = [0, 1].map(|side| {
            let bindable = |(&index, &storage): (&u32, &StorageType)| gpu::Bindable {
                bytes: memory.bytes(index),
                element: ElementBytes::Words.of(storage, 64) / 64,
            };
            self.bound[side].iter().zip(&self.stored[side]).map(bindable).collect::<Vec<_>>()
        });
        let Some(parts) = gpu::cut(&self.kernel, &inputs, &outputs, limit) else {
            let (what, bytes, adapter) = (self.what.to_owned(), memory.bytes(index), memory.adapter().to_owned());
            let error = Error::BufferTooLarge { what, bytes, limit, adapter, origin: None };
            return Err(self.plan.told_of(buffer as usize, error));
        };
        for part in parts {
            let mut bound = self.bound.clone();
            for (side, (windows, tensors)) in
                [(&part.inputs, &inputs), (&part.outputs, &outputs)].into_iter().enumerate()
            {
                for (place, (window, tensor)) in windows.iter().zip(tensors).enumerate() {
                    let Some(window) = window else { continue };
                    let (offset, bytes) = (window.start as u64 * tensor.element, window.len() as u64 * tensor.element);
                    bound[side][place] = memory.window(self.bound[side][place], offset, bytes);
                }
            }
            steps.push(FoundStep { kernel: Cow::Owned(part.kernel), bound, ..self.clone() });
        }
        Ok(())
    }
}

/// The same rounds, in which each step is its parts.
#[cfg(feature = "gpu")]
fn in_parts(rounds: Vec<gpu::Round>, parts: &[Range<usize>]) -> Vec<gpu::Round> {
    let mut all = Vec::with_capacity(rounds.len());
    for round in rounds {
        match round {
            gpu::Round::Step(step) => all.extend(parts[step].clone().map(gpu::Round::Step)),
            gpu::Round::Loop(gpu::Rounds { copies, body }) => {
                all.push(gpu::Round::Loop(gpu::Rounds { copies, body: in_parts(body, parts) }));
            }
        }
    }
    all
}
