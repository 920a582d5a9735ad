//! Plans on the CPU: kernels made ready, run in order over host buffers.
//!
//! A run allocates nothing: kernels carry their scratch, buffers are moved out of the table and back while a kernel writes
//! them, and the list that holds them meanwhile keeps its room. Functions of matrices are the exception: they allocate. They may also
//! fail; a run that does stops there, and leaves parameters as they were.

#[cfg(not(target_family = "wasm"))]
mod driver;
#[cfg(target_os = "linux")]
mod large_pages;
mod looped;
mod safekeeping;
#[cfg(not(target_family = "wasm"))]
mod trial;
mod watch;

use std::fmt::Display;
use std::mem;
use std::sync::Arc;

use arenagrad_graph::{AlignedVec, Element, Elements, StorageType};
use arenagrad_kernels::cpu::{Buffer, Compiled, Failure, Operands};
use arenagrad_kernels::{Choice, Kernel, Stored};

#[cfg(not(target_family = "wasm"))]
use crate::backend::Lap;
use crate::backend::LoopCopies;
use crate::error::Error;
use crate::plan::{BufferSpec, FallibleStep, PlacedStep, Plan, Task};
use crate::session::LoopPlaces;
use looped::PlacedLoop;
use safekeeping::Safekeeping;
#[cfg(not(target_family = "wasm"))]
use watch::Stopwatch;
use watch::Watch;

#[cfg(not(target_family = "wasm"))]
pub(crate) use trial::CpuTrial;

/// The buffers of one session.
#[derive(Default)]
pub(crate) struct CpuMemory {
    buffers: Vec<Buffer>,
    /// The numbers of buffers that were given back.
    free: Vec<u32>,
    /// The buffers in whose place the elements of a caller stand, and the memory's own of each.
    lent: Vec<(u32, Buffer)>,
}

/// A point in the growth of a [`CpuMemory`].
pub(crate) struct CpuMark {
    buffers: usize,
    free: Vec<u32>,
}

impl CpuMemory {
    /// Elements for a buffer; `what` names it in errors.
    pub(crate) fn zeros(what: impl Display, storage: StorageType, elements: usize) -> Result<Elements, Error> {
        let bytes = (elements as u64).saturating_mul(storage.bytes() as u64);
        let zeros =
            Elements::zeros(storage, elements).map_err(|_| Error::OutOfMemory { what: what.to_string(), bytes })?;
        #[cfg(target_os = "linux")]
        large_pages::ask_for(&zeros);
        Ok(zeros)
    }

    /// Puts other elements in the place of a buffer.
    pub(crate) fn replace(&mut self, index: u32, elements: Elements) {
        self.buffers[index as usize] = elements.into();
    }

    /// The elements of a buffer, to be written. If they were a caller's, which no plan writes, they would be copied here.
    fn buffer_mut(&mut self, index: u32) -> &mut Elements {
        match &mut self.buffers[index as usize] {
            Buffer::Own(elements) => elements,
            Buffer::Lent(elements) => Arc::make_mut(elements),
        }
    }

    /// Takes the elements out of a buffer while they are written.
    fn take(&mut self, index: u32) -> Elements {
        mem::replace(self.buffer_mut(index), Elements::F32(AlignedVec::new()))
    }

    /// Puts elements that were taken back.
    fn put_back(&mut self, index: u32, elements: Elements) {
        *self.buffer_mut(index) = elements;
    }

    /// Lets elements of a caller stand in the place of a buffer until [`CpuMemory::take_back`], if they have its type: says whether they do.
    /// Nothing is copied.
    pub(crate) fn lend(&mut self, index: u32, elements: &Arc<Elements>) -> bool {
        let buffer = &mut self.buffers[index as usize];
        let is_alike = buffer.storage() == elements.storage();
        if is_alike {
            let own = mem::replace(buffer, Buffer::Lent(Arc::clone(elements)));
            self.lent.push((index, own));
        }
        is_alike
    }

    /// Ends what was lent: every buffer has elements of its own again, as they were before.
    pub(crate) fn take_back(&mut self) {
        // From the last on, so that the first has the last word of a buffer that was lent twice.
        while let Some((index, own)) = self.lent.pop() {
            self.buffers[index as usize] = own;
        }
    }

    pub(crate) fn allocate(&mut self, what: impl Display, storage: StorageType, elements: usize) -> Result<u32, Error> {
        let buffer = Buffer::Own(CpuMemory::zeros(what, storage, elements)?);
        match self.free.pop() {
            Some(index) => {
                self.buffers[index as usize] = buffer;
                Ok(index)
            }
            None => {
                self.buffers.push(buffer);
                Ok(self.buffers.len() as u32 - 1)
            }
        }
    }

    /// Gives back a buffer that nothing will use any more.
    pub(crate) fn release(&mut self, index: u32) {
        let buffer = &mut self.buffers[index as usize];
        *buffer = Elements::empty(buffer.storage()).into();
        self.free.push(index);
    }

    /// The present state of the memory.
    pub(crate) fn mark(&self) -> CpuMark {
        CpuMark { buffers: self.buffers.len(), free: self.free.clone() }
    }

    /// Gives back all buffers that were allocated since the mark was taken.
    pub(crate) fn rewind(&mut self, mark: CpuMark) {
        self.buffers.truncate(mark.buffers);
        for &index in &mark.free {
            let buffer = &mut self.buffers[index as usize];
            *buffer = Elements::empty(buffer.storage()).into();
        }
        self.free = mark.free;
    }

    /// How many bytes the buffers take, and how many there are.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (u64, usize) {
        (self.buffers.iter().map(|buffer| buffer.bytes() as u64).sum(), self.buffers.len() - self.free.len())
    }

    /// Writes the elements of a tensor from the buffer's start on, widened or narrowed if they are of another type.
    pub(crate) fn write(&mut self, index: u32, data: &Elements) {
        let is_written = self.buffer_mut(index).overwrite(data);
        assert!(is_written, "dtype and length of what is written were checked against the buffer's");
    }

    /// The first `elements` elements.
    pub(crate) fn read(&self, index: u32, elements: usize) -> Elements {
        self.buffers[index as usize].first(elements)
    }

    /// [`CpuMemory::read`] into the place of so many elements that are not needed any more; into a new one if they are of another number or
    /// type.
    pub(crate) fn read_into(&self, index: u32, elements: usize, mut place: Elements) -> Elements {
        fn copied<T: Element>(from: &Elements, elements: usize, to: &mut Elements) -> bool {
            let (Some(from), Some(to)) = (T::slice(from), T::slice_mut(to)) else { return false };
            let fits = to.len() == elements;
            if fits {
                to.copy_from_slice(&from[..elements]);
            }
            fits
        }
        let from = &self.buffers[index as usize];
        let copy = [copied::<f32>, copied::<f64>, copied::<i32>];
        if copy.iter().any(|copied| copied(from, elements, &mut place)) { place } else { from.first(elements) }
    }

    /// Exchanges a buffer's elements with these, if they are as many and of one type; says whether they were. Nothing is copied.
    pub(crate) fn exchange(&mut self, index: u32, elements: &mut Elements) -> bool {
        let buffer = self.buffer_mut(index);
        let is_alike = (buffer.storage(), buffer.len()) == (elements.storage(), elements.len());
        if is_alike {
            mem::swap(buffer, elements);
        }
        is_alike
    }

    /// The first element as a number, without copying; NaN if there is none.
    pub(crate) fn first(&self, index: u32) -> f64 {
        self.buffers[index as usize].get(0).unwrap_or(f64::NAN)
    }
}

/// A plan made ready.
#[derive(Default)]
pub(crate) struct CpuExecutable {
    steps: Vec<PlacedRoutine>,
    /// The buffers that the running step writes, out of the table for so long.
    written: Vec<Elements>,
    /// Whether a step shares its work among threads.
    divides: bool,
    /// The steps that may fail, with their numbers.
    fallible: Vec<(usize, FallibleStep)>,
    safekeeping: Safekeeping,
    /// Where the last run failed.
    failed: Option<Box<Failed>>,
}

enum PlacedRoutine {
    Kernel(PlacedKernel),
    Loop(PlacedLoop),
}

struct PlacedKernel {
    kernel: Compiled,
    inputs: Box<[u32]>,
    outputs: Box<[u32]>,
    /// The level of the loop in which a product keeps its right operand packed.
    kept_by: Option<usize>,
}

/// A kernel made ready for the buffers that its step is placed in, to be computed so.
fn compiled(kernel: &Kernel, step: &PlacedStep, buffers: &[BufferSpec], choice: Choice) -> Compiled {
    let [inputs, outputs] = step.storage(buffers);
    Compiled::with_choice(kernel, Stored { inputs: &inputs, outputs: &outputs }, choice)
}

/// The steps of a plan made ready that stands in `level` loops, whose buffers are at `places` in the session's memory, each kernel in the way that
/// comes next in `choices`.
fn routines(
    plan: &Plan,
    places: &[u32],
    loops: &[Option<LoopPlaces>],
    level: usize,
    choices: &mut impl Iterator<Item = Choice>,
) -> Vec<PlacedRoutine> {
    let place = |buffers: &[u32]| buffers.iter().map(|&buffer| places[buffer as usize]).collect::<Box<[u32]>>();
    let steps = plan.steps.iter().zip(loops);
    steps
        .map(|(step, own)| match (&step.task, own) {
            (Task::Kernel(kernel), _) => PlacedRoutine::Kernel(PlacedKernel {
                kernel: compiled(kernel, step, &plan.buffers, choices.next().unwrap_or_default()),
                inputs: place(&step.inputs),
                outputs: place(&step.outputs),
                kept_by: None,
            }),
            (Task::Loop(looped), Some(own)) => PlacedRoutine::Loop(PlacedLoop::new(
                LoopCopies::new(looped, step, places, own),
                routines(&looped.plan, &own.places, &own.loops, level + 1, choices),
                looped.plan.fallible.clone(),
                level,
            )),
            (Task::Loop(_), None) => unreachable!("every loop was given places"),
        })
        .collect()
}

/// How many outputs a kernel has at most, and whether one shares its work among threads.
fn extent(steps: &[PlacedRoutine]) -> (usize, bool) {
    let each = steps.iter().map(|step| match step {
        PlacedRoutine::Kernel(step) => (step.outputs.len(), step.kernel.divides()),
        PlacedRoutine::Loop(step) => extent(&step.steps),
    });
    each.fold((0, false), |(widest, divides), (outputs, own)| (widest.max(outputs), divides | own))
}

/// Why a kernel of a plan cannot run on a CPU, and what the kernel was to compute.
fn refusal(plan: &Plan) -> Option<Error> {
    plan.steps.iter().zip(&plan.described).find_map(|(step, described)| match &step.task {
        Task::Kernel(kernel) => {
            let reason = format!("{}: {}", kernel.name(), Compiled::refusal(kernel)?);
            Some(Error::Unsupported { what: described.computes.clone(), reason })
        }
        Task::Loop(looped) => refusal(&looped.plan),
    })
}

impl CpuExecutable {
    /// Makes the steps of a plan ready whose buffers are at `places` in the session's memory, and those of its loops at `loops`, each kernel in the way that
    /// stands in `choices`, or behind their end in the usual way.
    pub(crate) fn new(
        plan: &Plan,
        places: &[u32],
        loops: &[Option<LoopPlaces>],
        choices: &[Choice],
    ) -> Result<Self, Error> {
        if let Some(error) = refusal(plan) {
            return Err(error);
        }
        let steps = routines(plan, places, loops, 0, &mut choices.iter().copied());
        let (widest, divides) = extent(&steps);
        let (written, fallible) = (Vec::with_capacity(widest), plan.fallible.clone());
        let safekeeping = Safekeeping::new(plan, |buffer| places[buffer as usize])?;
        Ok(CpuExecutable { steps, written, divides, fallible, safekeeping, failed: None })
    }

    /// Runs the plan. A run that fails leaves parameters as they were.
    pub(crate) fn run(&mut self, memory: &mut CpuMemory) -> Result<(), Error> {
        match self.divides {
            // Entering a thread pool costs two wake-ups: once a run, not once a kernel.
            #[cfg(not(target_family = "wasm"))]
            true => driver::run_in_pool(self, memory),
            _ => self.run_steps(memory),
        }
        self.failed.take().map_or(Ok(()), |failed| Err(failed.into_error()))
    }

    fn run_steps(&mut self, memory: &mut CpuMemory) {
        let CpuExecutable { steps, written, safekeeping, failed, fallible, .. } = self;
        safekeeping.begin();
        if let Err(failure) = run(steps, fallible, written, memory, safekeeping) {
            safekeeping.restore(memory);
            *failed = Some(failure);
        }
    }

    /// Runs the plan with a clock read between its steps, and adds to `laps`, which are as many as steps, how long each took. Where a run fails, parameters
    /// may have changed.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn run_timed(&mut self, memory: &mut CpuMemory, laps: &mut [Lap]) -> Result<(), Error> {
        fn timed(executable: &mut CpuExecutable, memory: &mut CpuMemory, laps: &mut [Lap]) -> Result<(), Box<Failed>> {
            let CpuExecutable { steps, written, fallible, .. } = executable;
            run(steps, fallible, written, memory, &mut Stopwatch::new(laps))
        }
        let result = if self.divides {
            let (mut executable, mut its, mut its_laps) = (mem::take(self), mem::take(memory), laps.to_vec());
            let result;
            (*self, *memory, its_laps, result) = driver::do_in_pool(move || {
                let result = timed(&mut executable, &mut its, &mut its_laps);
                (executable, its, its_laps, result)
            });
            laps.clone_from_slice(&its_laps);
            result
        } else {
            timed(self, memory, laps)
        };
        result.map_err(|failed| failed.into_error())
    }
}

/// Where a run failed, and why. It is made when it is needed: a run that does not fail allocates nothing.
struct Failed {
    step: FallibleStep,
    failure: Failure,
}

impl Failed {
    /// What it is to the caller.
    fn into_error(self) -> Error {
        let Failed { step: FallibleStep { origin, op, operand, shape }, failure } = self;
        let mut index = Vec::new();
        let mut rest = failure.matrix;
        for &extent in shape[..shape.rank() - 2].iter().rev() {
            index.insert(0, rest % extent);
            rest /= extent;
        }
        Error::Matrix { origin: origin.to_string(), op, operand, shape, index, reason: failure.reason }
    }
}

/// Runs steps in their order while `watch` looks on.
fn run(
    steps: &mut [PlacedRoutine],
    fallible: &[(usize, FallibleStep)],
    written: &mut Vec<Elements>,
    memory: &mut CpuMemory,
    watch: &mut impl Watch,
) -> Result<(), Box<Failed>> {
    for (number, step) in steps.iter_mut().enumerate() {
        watch.before(number, memory);
        match step {
            PlacedRoutine::Kernel(step) => step.run(written, memory).map_err(|failure| {
                let found = fallible.iter().find(|(fallible, _)| *fallible == number);
                let Some((_, step)) = found else { unreachable!("only steps that may fail do") };
                Box::new(Failed { step: step.clone(), failure })
            })?,
            PlacedRoutine::Loop(step) => step.run(written, memory, &mut watch.within(number))?,
        }
    }
    watch.done();
    Ok(())
}

impl PlacedKernel {
    fn run(&mut self, written: &mut Vec<Elements>, memory: &mut CpuMemory) -> Result<(), Failure> {
        for &output in &self.outputs {
            written.push(memory.take(output));
        }
        let operands = Operands { buffers: &memory.buffers, slots: &self.inputs };
        let result = self.kernel.try_run(operands, written);
        for (&output, buffer) in self.outputs.iter().zip(written.drain(..)) {
            memory.put_back(output, buffer);
        }
        result
    }
}
