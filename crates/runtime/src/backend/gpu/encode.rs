//! A plan's steps made ready to run: recorded into one command buffer and submitted at once, as often as wanted. A run that is
//! more than a device should be asked for at once is several submits, each waited for before the next.
//!
//! wgpu cannot replay a command buffer, so each run records the dispatches again from prepared pipelines and bind
//! groups. All parameters lie in one uniform buffer that is written once. Dispatches run in the order of the steps, in a plan that has run
//! for long small ones that follow one another as one; wgpu puts barriers where one reads what another wrote.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

#[cfg(test)]
use arenagrad_graph::Elements;
use arenagrad_kernels::wgsl::{AdapterClass, Dispatch, Joining, Lowered, Resource};
#[cfg(not(target_family = "wasm"))]
use rayon::prelude::*;

use super::buffers::{GpuMemory, WORD_BYTES, create};
use super::clock::{Begun, Clock};
use super::device::GpuDevice;
use super::launch::{Launch, Placed, launches};
use super::lowering::{ResidentStep, lower};
use super::pipelines::{Pipeline, PipelineKey};
use super::readback::{Arrival, Passage, Readback, Staging};
#[cfg(not(target_family = "wasm"))]
use super::rounds::MOST_COMMANDS;
use super::rounds::{Command, Round, Schedule, has_loops};
use super::submitted::Submitted;
use crate::error::Error;

/// How many runs that nobody waits for may be on their way: enough that the device is never idle while the next is
/// recorded, few enough that what they hold stays small.
const MAX_IN_FLIGHT: usize = 3;

/// The most simple operations of one submit: seconds on a software adapter, milliseconds on a GPU. So even a few of them on their way
/// are far below what makes a device count as lost. Where counts have 32 bits they saturate above, so it is less there.
pub(super) const MOST_OPERATIONS: usize = 1 << if usize::BITS == 64 { 34 } else { 31 };

/// What a dispatch that waits for the one before it costs beside its work: measured on lavapipe with two cores, reasoned for a GPU.
const SOFTWARE_DISPATCH: Duration = Duration::from_micros(30);
const GPU_DISPATCH: Duration = Duration::from_micros(5);

/// Dispatches are joined where that saves at least one part in so many of a run.
const LEAST_SHARE: u32 = 10;

/// A step whose kernel has been lowered.
pub(super) struct LoweredStep<'a> {
    pub(super) lowered: Lowered,
    pub(super) inputs: &'a [u32],
    pub(super) outputs: &'a [u32],
    pub(super) what: &'a str,
}

/// A plan made ready for a device.
pub(crate) struct GpuExecutable {
    pub(super) device: GpuDevice,
    dispatches: Vec<ReadyDispatch>,
    /// What a run with loops records; a run without records the dispatches in their order.
    pub(super) schedule: Option<Schedule>,
    /// The dispatches of each submit of a run: one, unless the run is large.
    submissions: Vec<Range<usize>>,
    /// The launches that shall take the place of the dispatches when the plan has run for long, if there are better ones.
    later: Option<Vec<Launch>>,
    /// How long runs have taken, while there are better ones.
    clock: Clock,
    staging: Staging,
    in_flight: VecDeque<Submitted>,
    submits: u64,
}

struct ReadyDispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

impl GpuExecutable {
    /// Makes the steps ready, to run in their order over these buffers, and room for what a run shall bring to the
    /// host. Errors name the step: its kernel may not exist on this device, or its module may be refused.
    #[cfg(test)]
    pub(crate) fn new(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        steps: &[ResidentStep<'_>],
        reads: &[Readback],
    ) -> Result<Self, Error> {
        Self::from_lowered(device, memory, &lower(device, steps)?, reads)
    }

    /// As [`GpuExecutable::new`], to run in the order of `rounds`.
    pub(crate) fn in_rounds(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        steps: &[ResidentStep<'_>],
        rounds: Vec<Round>,
        reads: &[Readback],
    ) -> Result<Self, Error> {
        let lowered = lower(device, steps)?;
        if !has_loops(&rounds) {
            return Self::from_lowered(device, memory, &lowered, reads);
        }
        Self::scheduled(device, memory, &lowered, rounds, reads)
    }

    /// As [`GpuExecutable::in_rounds`], from kernels that have been lowered, none of which are joined, also where there is no loop.
    pub(super) fn scheduled(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        lowered: &[LoweredStep<'_>],
        rounds: Vec<Round>,
        reads: &[Readback],
    ) -> Result<Self, Error> {
        let mut executable = Self::with_joining(device, memory, lowered, reads, Joining::Never)?;
        let mut end = 0;
        let ranges = lowered.iter().map(|step| {
            let start = end;
            end += step.lowered.dispatches.len();
            start..end
        });
        let dispatches = ranges.collect();
        let operations = lowered
            .iter()
            .flat_map(|step| step.lowered.dispatches.iter().map(|dispatch| dispatch.operations))
            .collect();
        executable.schedule = Some(Schedule::new(device, memory, rounds, dispatches, operations)?);
        Ok(executable)
    }

    /// As [`GpuExecutable::new`], from kernels that have been lowered.
    pub(super) fn from_lowered(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        steps: &[LoweredStep<'_>],
        reads: &[Readback],
    ) -> Result<Self, Error> {
        Self::with_joining(device, memory, steps, reads, device.joining())
    }

    fn with_joining(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        steps: &[LoweredStep<'_>],
        reads: &[Readback],
        joining: Joining,
    ) -> Result<Self, Error> {
        let staging = Staging::new(device, reads)?;
        let scratch = scratch_sizes(steps)
            .into_iter()
            .enumerate()
            .map(|(number, words)| memory.scratch(number, words))
            .collect::<Result<Vec<u32>, Error>>()?;
        let placed: Vec<Placed<'_>> = steps
            .iter()
            .flat_map(|step| step.lowered.dispatches.iter().map(|dispatch| step.place(dispatch, &scratch)))
            .collect();
        let joined = launches(device, joining, memory, &placed)?;
        let joins_later = joined.len() < placed.len() && !device.join_after().is_zero();
        let (launches, later) = match joins_later {
            true => (launches(device, Joining::Never, memory, &placed)?, Some(joined)),
            false => (joined, None),
        };
        let (dispatches, submissions) = ready(device, memory, &launches)?;
        Ok(GpuExecutable {
            device: device.clone(),
            dispatches,
            schedule: None,
            submissions,
            later,
            clock: Clock::default(),
            staging,
            in_flight: VecDeque::with_capacity(MAX_IN_FLIGHT + 1),
            submits: 0,
        })
    }

    /// Runs all steps once. With `fetch` it waits and returns the results in the order of the reads; without, it
    /// returns nothing and waits only for the run before the last few.
    #[cfg(test)]
    pub(crate) fn run(&mut self, memory: &GpuMemory, fetch: bool) -> Result<Vec<Elements>, Error> {
        match fetch {
            true => self.start(memory)?.wait(),
            false => self.advance(memory)?.map_or(Ok(Vec::new()), Arrival::wait),
        }
    }

    /// Runs all steps once, and waits for nothing but, where a run is several submits and there are threads, for all of them but the last.
    pub(crate) fn start(&mut self, memory: &GpuMemory) -> Result<Arrival, Error> {
        let begun = self.begin(memory);
        let passage = self.staging.lend(&self.device)?;
        let submission = self.submit_run(memory, Some(&passage))?;
        self.in_flight.clear();
        passage.arrive(&self.device, submission, begun)
    }

    /// As [`GpuExecutable::start`] where nobody reads the results: that of them the run before the last few is done, if there were so many.
    pub(crate) fn advance(&mut self, memory: &GpuMemory) -> Result<Option<Arrival>, Error> {
        let begun = self.begin(memory);
        let submission = self.submit_run(memory, None)?;
        self.in_flight.push_back(Submitted::new(&self.device, Some(submission)).measured(begun));
        let oldest = if self.in_flight.len() > MAX_IN_FLIGHT { self.in_flight.pop_front() } else { None };
        Ok(oldest.map(Arrival::of_nothing))
    }

    /// Begins a run, by better launches if there are any and runs have taken long enough; what is measured is when it ends.
    fn begin(&mut self, memory: &GpuMemory) -> Option<Begun> {
        self.later.as_ref()?;
        let (spent, runs) = self.clock.spent();
        if spent >= self.device.join_after()
            && let Some(launches) = self.later.take()
            && self.pays(launches.len(), spent / runs.max(1))
            // What cannot be made ready changes nothing: the plan runs as it did.
            && let Ok((dispatches, submissions)) = ready(&self.device, memory, &launches)
        {
            (self.dispatches, self.submissions) = (dispatches, submissions);
        }
        // The first run waits for drivers that compile when a module is first used.
        (self.submits > 0).then(|| self.clock.begin())
    }

    /// Whether runs of so many dispatches would be shorter by a share that can be seen of what a run takes.
    fn pays(&self, dispatches: usize, run: Duration) -> bool {
        let saved = self.dispatches.len().saturating_sub(dispatches) as u32;
        let saved = saved
            * match self.device.profile().class {
                AdapterClass::Cpu => SOFTWARE_DISPATCH,
                AdapterClass::Gpu => GPU_DISPATCH,
            };
        self.device.joining() == Joining::Always || LEAST_SHARE * saved >= run
    }

    /// Makes the submits of a run, the last of them with the copies of the results.
    fn submit_run(&mut self, memory: &GpuMemory, passage: Option<&Passage>) -> Result<wgpu::SubmissionIndex, Error> {
        match self.schedule.take() {
            Some(mut schedule) => {
                let submission = self.run_rounds(&mut schedule, memory, passage);
                self.schedule = Some(schedule);
                submission
            }
            None => self.run_straight(memory, passage),
        }
    }

    /// The last submit of a run without loops.
    fn run_straight(&mut self, memory: &GpuMemory, passage: Option<&Passage>) -> Result<wgpu::SubmissionIndex, Error> {
        let last = self.submissions.len() - 1;
        for number in 0..last {
            let submission = self.submit(number, memory, None)?;
            self.device.pace(submission)?;
        }
        self.submit(last, memory, passage)
    }

    /// The last submit of a run with loops.
    fn run_rounds(
        &mut self,
        schedule: &mut Schedule,
        memory: &GpuMemory,
        passage: Option<&Passage>,
    ) -> Result<wgpu::SubmissionIndex, Error> {
        let mut submission = None;
        schedule.run(memory, &mut |copier, commands, is_last| {
            if let Some(earlier) = submission.take() {
                self.device.pace(earlier)?;
            }
            let submitted = self.device.scoped("a run", 0, || {
                let mut encoder = self.device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                for run in commands.chunk_by(|a, b| a.is_dispatch() && b.is_dispatch()) {
                    if let [Command::Copy { from, to }] = *run {
                        copier.copy(&mut encoder, memory, from, to);
                    } else {
                        self.record(&mut encoder, run.iter().filter_map(|command| command.dispatch()), None);
                    }
                }
                if let (true, Some(passage)) = (is_last, passage) {
                    passage.record(&mut encoder, memory);
                }
                self.device.submit([encoder.finish()])
            })?;
            self.submits += 1;
            submission = Some(submitted);
            Ok(())
        })?;
        Ok(submission.unwrap_or_else(|| unreachable!("the last submit was made")))
    }

    /// The most commands of a submit, as far as is known before a run.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn most_commands(&self) -> usize {
        match &self.schedule {
            Some(schedule) if schedule.has_loops() => MOST_COMMANDS,
            Some(_) | None => self.dispatches.len().min(MOST_COMMANDS),
        }
    }

    /// How many dispatches the next run has.
    pub(crate) fn dispatches(&self) -> usize {
        self.dispatches.len()
    }

    /// How many submits there have been: one a run, unless the plan is so large that a run is several.
    pub(crate) fn submits(&self) -> u64 {
        self.submits
    }

    /// Submits some dispatches of a run, and behind them the copies of the results, if they are wanted.
    fn submit(
        &mut self,
        number: usize,
        memory: &GpuMemory,
        passage: Option<&Passage>,
    ) -> Result<wgpu::SubmissionIndex, Error> {
        let submission = self.device.scoped("a run", 0, || {
            let mut encoder = self.device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            self.record(&mut encoder, self.submissions[number].clone(), None);
            if let Some(passage) = passage {
                passage.record(&mut encoder, memory);
            }
            self.device.submit([encoder.finish()])
        })?;
        self.submits += 1;
        Ok(submission)
    }

    /// Records dispatches in one pass, with timestamps before and behind it where they are wanted.
    pub(super) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        dispatches: impl Iterator<Item = usize>,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        let mut current: Option<&wgpu::ComputePipeline> = None;
        for dispatch in dispatches {
            let dispatch = &self.dispatches[dispatch];
            if current != Some(&dispatch.pipeline) {
                pass.set_pipeline(&dispatch.pipeline);
                current = Some(&dispatch.pipeline);
            }
            pass.set_bind_group(0, &dispatch.bind_group, &[]);
            let [x, y, z] = dispatch.workgroups;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

/// Launches made ready to be recorded, and the dispatches of each submit.
fn ready(
    device: &GpuDevice,
    memory: &GpuMemory,
    launches: &[Launch],
) -> Result<(Vec<ReadyDispatch>, Vec<Range<usize>>), Error> {
    let pipelines = compile(device, launches)?;
    let (parameters, words, ranges) = parameters(device, launches)?;
    let mut dispatches = Vec::with_capacity(launches.len());
    for ((launch, range), pipeline) in launches.iter().zip(ranges).zip(pipelines) {
        let uniform = wgpu::BufferBinding { buffer: &parameters, offset: range.offset, size: range.size };
        let bound = launch.buffers.iter().map(|bound| {
            let buffer = memory.buffer(bound.buffer);
            let (offset, size) =
                bound.range.map_or((0, None), |(offset, bytes)| (offset, wgpu::BufferSize::new(bytes)));
            wgpu::BufferBinding { buffer, offset, size }
        });
        let entries: Vec<wgpu::BindGroupEntry<'_>> = std::iter::once(uniform)
            .chain(bound)
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(buffer) })
            .collect();
        let descriptor =
            wgpu::BindGroupDescriptor { label: Some(launch.label), layout: &pipeline.bindings, entries: &entries };
        let bind_group = device.scoped(&launch.what, 0, || device.wgpu().create_bind_group(&descriptor))?;
        dispatches.push(ReadyDispatch { pipeline: pipeline.compute, bind_group, workgroups: launch.workgroups });
    }
    // Last: wgpu keeps what is written until the next submit, also if the plan was refused meanwhile.
    if !words.is_empty() {
        device.upload(PARAMETERS, &parameters, 0, bytemuck::cast_slice(&words))?;
    }
    Ok((dispatches, divide(launches.iter().map(|launch| launch.operations))))
}

impl<'a> LoweredStep<'a> {
    /// A dispatch of the step with the numbers of its tensors in the session's memory.
    fn place<'b>(&'b self, dispatch: &'b Dispatch, scratch: &[u32]) -> Placed<'b> {
        let tensor = |resource: Resource| match resource {
            Resource::Input(number) => self.inputs[number as usize],
            Resource::Output(number) => self.outputs[number as usize],
            Resource::Scratch(number) => scratch[number as usize],
        };
        let tensors = dispatch.bindings.iter().map(|binding| tensor(binding.resource)).collect();
        Placed { dispatch, what: self.what, tensors }
    }
}

/// The dispatches of each submit, given the operations of each dispatch: as many as keep below [`MOST_OPERATIONS`], and at least
/// one. There is at least one submit.
fn divide(operations: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut submissions = Vec::new();
    let (mut start, mut end, mut sum) = (0, 0, 0usize);
    for operations in operations {
        if end > start && sum.saturating_add(operations) > MOST_OPERATIONS {
            submissions.push(start..end);
            (start, sum) = (end, 0);
        }
        sum = sum.saturating_add(operations);
        end += 1;
    }
    submissions.push(start..end);
    submissions
}

/// Where a dispatch's parameters lie in the uniform buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ParameterRange {
    offset: u64,
    size: Option<wgpu::BufferSize>,
}

/// For each of the steps' scratch buffers the most words that any step wants.
fn scratch_sizes(steps: &[LoweredStep<'_>]) -> Vec<usize> {
    let mut sizes = Vec::new();
    for step in steps {
        for (number, &words) in step.lowered.scratch.iter().enumerate() {
            match sizes.get_mut(number) {
                Some(size) => *size = words.max(*size),
                None => sizes.push(words),
            }
        }
    }
    sizes
}

/// The pipeline of each launch. Those that are new are compiled side by side: that is most of what making a plan
/// ready costs.
fn compile(device: &GpuDevice, launches: &[Launch]) -> Result<Vec<Pipeline>, Error> {
    let mut numbers: HashMap<PipelineKey, usize> = HashMap::new();
    let mut wanted = Vec::new();
    let mut chosen = Vec::with_capacity(launches.len());
    for launch in launches {
        let key = PipelineKey::new(launch);
        let number = *numbers.entry(key.clone()).or_insert_with(|| {
            wanted.push((key, launch.label, &*launch.what));
            wanted.len() - 1
        });
        chosen.push(number);
    }
    #[cfg(not(target_family = "wasm"))]
    let wanted = wanted.par_iter();
    #[cfg(target_family = "wasm")]
    let wanted = wanted.iter();
    let made: Vec<Result<Pipeline, Error>> =
        wanted.map(|(key, label, what)| device.pipelines().get(device, key, label, what)).collect();
    // The first error in the order of the steps, whichever thread was first.
    let made = made.into_iter().collect::<Result<Vec<Pipeline>, Error>>()?;
    Ok(chosen.into_iter().map(|number| made[number].clone()).collect())
}

/// What errors call the uniform buffer.
const PARAMETERS: &str = "the parameters of a plan";

/// The uniform buffer for all parameters, the words that belong there, and where those of each launch lie.
fn parameters(device: &GpuDevice, launches: &[Launch]) -> Result<(wgpu::Buffer, Vec<u32>, Vec<ParameterRange>), Error> {
    let alignment = u64::from(device.limits().min_uniform_buffer_offset_alignment);
    let (words, ranges) = pack(launches.iter().map(|launch| &launch.parameters[..]), alignment);
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let size = (words.len() as u64 * WORD_BYTES).max(alignment);
    let buffer = create(device, PARAMETERS, size, device.limits().max_buffer_size, usage)?;
    Ok((buffer, words, ranges))
}

/// Puts blocks of words one behind the other, each at a multiple of `alignment` bytes.
fn pack<'a>(blocks: impl Iterator<Item = &'a [u32]>, alignment: u64) -> (Vec<u32>, Vec<ParameterRange>) {
    let alignment = usize::try_from(alignment / WORD_BYTES).unwrap_or(usize::MAX).max(1);
    let mut words = Vec::new();
    let mut ranges = Vec::new();
    for block in blocks {
        words.resize(words.len().next_multiple_of(alignment), 0);
        let bytes = |words: usize| words as u64 * WORD_BYTES;
        ranges.push(ParameterRange { offset: bytes(words.len()), size: wgpu::BufferSize::new(bytes(block.len())) });
        words.extend_from_slice(block);
    }
    (words, ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submits_keep_below_the_limit() {
        let half = MOST_OPERATIONS / 2;
        assert_eq!(divide([].into_iter()), std::slice::from_ref(&(0..0)));
        assert_eq!(divide([1, 2, half, half - 3].into_iter()), std::slice::from_ref(&(0..4)));
        assert_eq!(divide([half, half, 1, usize::MAX, usize::MAX, 5].into_iter()), [0..2, 2..3, 3..4, 4..5, 5..6]);
    }

    #[test]
    fn parameters_stand_at_aligned_offsets() {
        let blocks: [&[u32]; 3] = [&[1, 2, 3, 4], &[5, 6, 7, 8, 9, 10, 11, 12], &[13, 14, 15, 16]];
        let (words, ranges) = pack(blocks.into_iter(), 32);
        assert_eq!(ranges.iter().map(|range| range.offset).collect::<Vec<_>>(), [0, 32, 64]);
        assert_eq!(ranges.iter().map(|range| range.size.unwrap().get()).collect::<Vec<_>>(), [16, 32, 16]);
        assert_eq!(words.len(), 20);
        assert_eq!(words[..8], [1, 2, 3, 4, 0, 0, 0, 0]);
        assert_eq!(words[16..], [13, 14, 15, 16]);
    }
}
