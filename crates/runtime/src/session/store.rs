//! The memory and executables of a session, on whichever device it has.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::sync::Arc;

use crate::backend::cpu::{CpuExecutable, CpuMark, CpuMemory};
#[cfg(feature = "gpu")]
use crate::backend::gpu::{self, Arrival, GpuExecutable, GpuMemory, Readback};
use crate::device::{Device, DeviceKind};
use crate::error::Error;
use crate::group::{Group, StepReport};
use crate::pending::Pending;
use crate::plan::{BufferRole, Plan, Task};
#[cfg(feature = "gpu")]
use crate::session::found::Found;
use crate::session::parts::Parts;
use crate::session::pool::{Claim, Content, Pool};
use arenagrad_graph::{Elements, StorageType};
use arenagrad_kernels::Choice;

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
    /// On either device, with exchanges in between.
    InGroup(Box<Parts>),
}

impl Memory {
    pub(crate) fn new(device: &Device) -> Self {
        match &device.kind {
            DeviceKind::Cpu => Memory::Cpu(CpuMemory::default()),
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => Memory::Gpu(GpuMemory::new(device)),
        }
    }

    /// Whether buffers are the host's own memory.
    pub(crate) fn is_on_host(&self) -> bool {
        match self {
            Memory::Cpu(_) => true,
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => false,
        }
    }

    pub(crate) fn allocate(&mut self, what: impl Display, storage: StorageType, elements: usize) -> Result<u32, Error> {
        match self {
            Memory::Cpu(memory) => memory.allocate(what, storage, elements),
            #[cfg(feature = "gpu")]
            Memory::Gpu(memory) => memory.allocate(&what.to_string(), storage, elements),
        }
    }

    /// Elements for a buffer that is to be larger than it is, where plans name buffers and are not bound to them.
    pub(crate) fn larger(
        &self,
        what: impl Display,
        storage: StorageType,
        elements: usize,
    ) -> Result<Option<Elements>, Error> {
        match self {
            Memory::Cpu(_) => CpuMemory::zeros(what, storage, elements).map(Some),
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => Ok(None),
        }
    }

    /// Puts what [`Memory::larger`] gave in the place of a buffer, in which nothing is of use any more.
    pub(crate) fn replace(&mut self, index: u32, larger: Elements) {
        match self {
            Memory::Cpu(memory) => memory.replace(index, larger),
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => unreachable!("a GPU's buffers do not grow"),
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

    /// [`Memory::write`] for a run: where buffers are the host's own memory, nothing is copied, and the elements stand in the place of the
    /// buffer's until [`Memory::take_back`].
    pub(crate) fn lend(&mut self, index: u32, storage: StorageType, data: &Arc<Elements>) -> Result<(), Error> {
        let is_lent = match self {
            Memory::Cpu(memory) => memory.lend(index, data),
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => false,
        };
        if is_lent { Ok(()) } else { self.write(index, storage, data) }
    }

    /// Ends what was lent: every buffer has elements of its own again.
    pub(crate) fn take_back(&mut self) {
        match self {
            Memory::Cpu(memory) => memory.take_back(),
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => {}
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

    /// [`Memory::read`] into the place of elements that are not needed any more, where that can be done: memory that is new each time costs
    /// more than the copy.
    pub(crate) fn read_into(
        &self,
        index: u32,
        storage: StorageType,
        elements: usize,
        place: Elements,
    ) -> Result<Elements, Error> {
        match self {
            Memory::Cpu(memory) => {
                let data = memory.read_into(index, elements, place);
                debug_assert_eq!(data.storage(), storage);
                Ok(data)
            }
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => self.read(index, storage, elements),
        }
    }

    /// Exchanges a buffer's elements with these without a copy, where they are on the host, as many and of one type; says whether that was done.
    pub(crate) fn exchange(&mut self, index: u32, elements: &mut Elements) -> bool {
        match self {
            Memory::Cpu(memory) => memory.exchange(index, elements),
            #[cfg(feature = "gpu")]
            Memory::Gpu(_) => false,
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
        // In words only where an error needs them: a plan can have a million buffers.
        let what = |number: usize| {
            let spec = &plan.buffers[number];
            fmt::from_fn(move |f| match &spec.role {
                BufferRole::Input(declaration) | BufferRole::Parameter(declaration) => {
                    write!(f, "{:?}", name(*declaration))
                }
                BufferRole::Literal(_) => write!(f, "a literal of {} elements of {}", spec.elements, spec.storage),
                BufferRole::Slot => f.write_str("an intermediate result"),
            })
        };
        let known = known.collect();
        self.place_in_pool(plan, known, what, pool, claim)
    }

    /// The places of buffers, of which some are known; the largest choose first.
    fn place_in_pool<What: Display>(
        &mut self,
        plan: &Plan,
        mut places: Vec<Option<u32>>,
        what: impl Fn(usize) -> What,
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
            let place = pool.claim(claim, self, &what(number), spec.storage, spec.elements, content);
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
            let what = |_| "what a round of a loop needs";
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

    /// A plan whose exchanges are made with a group.
    pub(crate) fn in_group(
        group: &Arc<dyn Group>,
        device: &Device,
        memory: &mut Memory,
        plan: &Plan,
        places: (&[u32], &[Option<LoopPlaces>]),
        choices: &[Choice],
    ) -> Result<Self, Error> {
        Ok(Executable::InGroup(Box::new(Parts::new(group, device, memory, plan, places, choices)?)))
    }

    /// What the last run cost in a group.
    pub(crate) fn report(&self) -> Option<StepReport> {
        match self {
            Executable::InGroup(parts) => Some(parts.report()),
            Executable::Cpu(_) => None,
            #[cfg(feature = "gpu")]
            Executable::Gpu(_) => None,
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
            (Executable::InGroup(parts), memory) => parts.start(memory, fetch),
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
            Executable::InGroup(parts) => parts.executables().iter().map(Executable::submits).sum(),
        }
    }

    pub(crate) fn dispatches(&self) -> usize {
        match self {
            Executable::Cpu(_) => 0,
            #[cfg(feature = "gpu")]
            Executable::Gpu(executable) => executable.dispatches(),
            Executable::InGroup(parts) => parts.executables().iter().map(Executable::dispatches).sum(),
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
        let reason = "kernels that would bind more at once than the adapter allows run in parts".to_owned();
        return Err(Error::Unsupported { what: "a profile of this plan".to_owned(), reason });
    }
    found.narrow(memory);
    gpu::Profiler::new(device, memory, &found.resident(), rounds, timestamps)
}
