//! The times of a plan's steps: each step in a pass of its own between two timestamps, or where the adapter has none, in a submit of its
//! own that is waited for.
//!
//! A profiler is a second executable over the same buffers, so that the one that a session runs stays as it is; its dispatches are not joined.
//! A run costs a readback more than an ordinary one.

use std::time::{Duration, Instant};

use arenagrad_graph::StorageType;

use super::GpuMemory;
use super::buffers::create;
use super::device::GpuDevice;
use super::encode::{GpuExecutable, LoweredStep};
use super::lowering::{ResidentStep, lower};
use super::rounds::{Command, Round, Schedule};
use crate::backend::Lap;
use crate::error::Error;

/// The passes whose timestamps fit into one query set.
const PASSES_A_SET: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

/// The bytes of a timestamp.
const TICK_BYTES: u64 = wgpu::QUERY_SIZE as u64;

/// A plan made ready to be timed step by step.
pub(crate) struct Profiler {
    executable: GpuExecutable,
    /// For each dispatch the step that it is of, those of loops' bodies counted.
    step_of: Vec<usize>,
    /// For each of these steps the step of the plan that it is, or that is the loop around it.
    outer_of: Vec<usize>,
    outers: usize,
    timestamps: Option<Timestamps>,
    /// How long each of the passes took that a submit has had, from the run's beginning on.
    passes: Vec<Pass>,
}

/// What a run took.
pub(crate) struct Timed {
    /// The steps in the order of their kernels, those of loops' bodies counted.
    pub(crate) steps: Vec<Lap>,
    /// The steps of the plan, of which a loop is one.
    pub(crate) outer: Vec<Lap>,
}

/// Dispatches of one step that follow one another.
#[derive(Clone, Copy)]
struct Pass {
    step: usize,
    begin: Duration,
    end: Duration,
}

/// Where timestamps are written and how they come back.
struct Timestamps {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    /// Where they are read back from: a tensor of integers, in a memory of their own.
    memory: GpuMemory,
    ticks: u32,
    /// Nanoseconds a tick.
    period: f64,
    /// The first timestamp of the run.
    origin: Option<u64>,
}

impl GpuDevice {
    /// Whether the adapter writes timestamps before and behind a pass.
    pub(crate) fn has_timestamps(&self) -> bool {
        self.wgpu().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
}

impl Profiler {
    /// Makes steps ready that run in the order of `rounds`. With `timestamps` the adapter must have them.
    pub(crate) fn new(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        steps: &[ResidentStep<'_>],
        rounds: Vec<Round>,
        timestamps: bool,
    ) -> Result<Self, Error> {
        Profiler::from_lowered(device, memory, &lower(device, steps)?, rounds, timestamps)
    }

    /// As [`Profiler::new`], from kernels that have been lowered.
    pub(super) fn from_lowered(
        device: &GpuDevice,
        memory: &mut GpuMemory,
        lowered: &[LoweredStep<'_>],
        rounds: Vec<Round>,
        timestamps: bool,
    ) -> Result<Self, Error> {
        let mut outer_of = vec![0; lowered.len()];
        for (outer, round) in rounds.iter().enumerate() {
            round.for_each_step(&mut |step| outer_of[step] = outer);
        }
        let outers = rounds.len();
        let executable = GpuExecutable::scheduled(device, memory, lowered, rounds, &[])?;
        let each = lowered.iter().zip(0..);
        let step_of = each.flat_map(|(step, number)| step.lowered.dispatches.iter().map(move |_| number)).collect();
        let timestamps = timestamps.then(|| Timestamps::new(device, executable.most_commands())).transpose()?;
        Ok(Profiler { executable, step_of, outer_of, outers, timestamps, passes: Vec::new() })
    }

    /// Runs all steps once, and says how long each took.
    pub(crate) fn run(&mut self, memory: &GpuMemory) -> Result<Timed, Error> {
        let mut timed =
            Timed { steps: vec![Lap::default(); self.outer_of.len()], outer: vec![Lap::default(); self.outers] };
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.origin = None;
        }
        let Some(mut schedule) = self.executable.schedule.take() else { return Ok(timed) };
        let begun = Instant::now();
        let result = schedule.run(memory, &mut |copier, commands, _| {
            self.passes.clear();
            match self.timestamps.is_some() {
                true => self.submit_with_timestamps(copier, commands, memory)?,
                false => self.submit_one_by_one(copier, commands, memory, begun)?,
            }
            timed.add(&self.passes, &self.outer_of);
            Ok(())
        });
        self.executable.schedule = Some(schedule);
        result.map(|()| timed)
    }

    /// Submits commands at once, each step's dispatches between two timestamps.
    fn submit_with_timestamps(
        &mut self,
        copier: &Schedule,
        commands: &[Command],
        memory: &GpuMemory,
    ) -> Result<(), Error> {
        let Profiler { executable, step_of, timestamps, passes, .. } = self;
        let Some(timestamps) = timestamps else { return Ok(()) };
        let device = executable.device.clone();
        let mut steps = Vec::new();
        let submission = device.scoped("a profiled run", 0, || {
            let mut encoder = device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for run in chunks(commands, step_of) {
                if let [Command::Copy { from, to }] = *run {
                    copier.copy(&mut encoder, memory, from, to);
                } else {
                    let writes = timestamps.around(steps.len());
                    executable.record(&mut encoder, run.iter().filter_map(Command::dispatch), Some(writes));
                    steps.extend(run.first().and_then(Command::dispatch).map(|dispatch| step_of[dispatch]));
                }
            }
            timestamps.resolve(&mut encoder, steps.len());
            device.submit([encoder.finish()])
        })?;
        let ticks = timestamps.read(&device, submission, steps.len())?;
        for (step, [begin, end]) in steps.into_iter().zip(ticks) {
            passes.push(Pass { step, begin, end });
        }
        Ok(())
    }

    /// Submits each step's dispatches alone and waits for them. Copies of a loop go with the dispatches behind them, and rounds
    /// of a loop together.
    fn submit_one_by_one(
        &mut self,
        copier: &Schedule,
        commands: &[Command],
        memory: &GpuMemory,
        begun: Instant,
    ) -> Result<(), Error> {
        let Profiler { executable, step_of, outer_of, passes, .. } = self;
        let device = executable.device.clone();
        let mut rest = commands;
        while !rest.is_empty() {
            let outer = |command: &Command| command.dispatch().map(|dispatch| outer_of[step_of[dispatch]]);
            let own = rest.iter().find_map(outer);
            let end = rest.iter().position(|command| outer(command).is_some_and(|other| Some(other) != own));
            // Copies before another step's dispatches are that step's.
            let end = end.map_or(rest.len(), |end| {
                rest[..end].iter().rposition(Command::is_dispatch).map_or(end, |last| last + 1)
            });
            let (part, behind) = rest.split_at(end);
            rest = behind;
            let begin = begun.elapsed();
            let submission = device.scoped("a profiled run", 0, || {
                let mut encoder = device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                for run in part.chunk_by(|a, b| a.is_dispatch() && b.is_dispatch()) {
                    if let [Command::Copy { from, to }] = *run {
                        copier.copy(&mut encoder, memory, from, to);
                    } else {
                        executable.record(&mut encoder, run.iter().filter_map(Command::dispatch), None);
                    }
                }
                device.submit([encoder.finish()])
            })?;
            device.wait_for(Some(submission))?;
            if let Some(dispatch) = part.iter().find_map(Command::dispatch) {
                passes.push(Pass { step: step_of[dispatch], begin, end: begun.elapsed() });
            }
        }
        Ok(())
    }

    /// How long a submit of nothing takes, from the call until it is known to be done: the shortest of some.
    pub(crate) fn empty_submit(&self) -> Result<Duration, Error> {
        let device = &self.executable.device;
        let mut least = Duration::MAX;
        for _ in 0..16 {
            let begun = Instant::now();
            let submission = device.scoped("an empty run", 0, || {
                let encoder = device.wgpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                device.submit([encoder.finish()])
            })?;
            device.wait_for(Some(submission))?;
            least = least.min(begun.elapsed());
        }
        Ok(least)
    }
}

impl Timed {
    /// Adds the passes of one submit. What is between the first and the last pass of a loop is the loop's.
    fn add(&mut self, passes: &[Pass], outer_of: &[usize]) {
        for pass in passes {
            self.steps[pass.step].add(pass.begin, pass.end.saturating_sub(pass.begin));
        }
        for run in passes.chunk_by(|a, b| outer_of[a.step] == outer_of[b.step]) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            self.outer[outer_of[first.step]].add(first.begin, last.end.saturating_sub(first.begin));
        }
    }
}

/// Commands that are recorded together: dispatches of one step, or one copy.
fn chunks<'c>(commands: &'c [Command], step_of: &[usize]) -> impl Iterator<Item = &'c [Command]> {
    commands.chunk_by(|a, b| match (a.dispatch(), b.dispatch()) {
        (Some(a), Some(b)) => step_of[a] == step_of[b],
        (None, _) | (_, None) => false,
    })
}

impl Timestamps {
    /// Room for the timestamps of so many passes of one submit.
    fn new(device: &GpuDevice, passes: usize) -> Result<Self, Error> {
        let passes = passes.max(1);
        let what = "the timestamps of a profile";
        let mut sets = Vec::new();
        for first in (0..passes).step_by(PASSES_A_SET) {
            let count = 2 * PASSES_A_SET.min(passes - first) as u32;
            let descriptor = wgpu::QuerySetDescriptor { label: Some(what), ty: wgpu::QueryType::Timestamp, count };
            sets.push(device.scoped(what, 0, || device.wgpu().create_query_set(&descriptor))?);
        }
        let (bytes, limit) = (2 * passes as u64 * TICK_BYTES, device.limits().max_buffer_size);
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = create(device, what, bytes, limit, usage)?;
        let mut memory = GpuMemory::new(device);
        let ticks = memory.allocate(what, StorageType::I64, 2 * passes)?;
        let period = f64::from(device.queue().get_timestamp_period());
        Ok(Timestamps { sets, resolved, memory, ticks, period, origin: None })
    }

    /// The timestamps before and behind the pass of that number.
    fn around(&self, pass: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let first = 2 * (pass % PASSES_A_SET) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[pass / PASSES_A_SET],
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        }
    }

    /// Records how the timestamps of the first passes come to the host.
    fn resolve(&self, encoder: &mut wgpu::CommandEncoder, passes: usize) {
        for (set, first) in self.sets.iter().zip((0..passes).step_by(PASSES_A_SET)) {
            let count = 2 * PASSES_A_SET.min(passes - first) as u32;
            encoder.resolve_query_set(set, 0..count, &self.resolved, 2 * first as u64 * TICK_BYTES);
        }
        if passes > 0 {
            let place = self.memory.place(self.ticks);
            let (target, bytes) = (self.memory.buffer(place.buffer), 2 * passes as u64 * TICK_BYTES);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, target, place.offset, bytes);
        }
    }

    /// When each of the first passes of a submit began and ended, from the run's first timestamp on.
    fn read(
        &mut self,
        device: &GpuDevice,
        submission: wgpu::SubmissionIndex,
        passes: usize,
    ) -> Result<Vec<[Duration; 2]>, Error> {
        device.wait_for(Some(submission))?;
        if passes == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.memory.read(self.ticks, StorageType::I64, 2 * passes)?.to_le_bytes();
        let ticks: Vec<u64> = bytes.as_chunks().0.iter().map(|tick| u64::from_le_bytes(*tick)).collect();
        let origin = *self.origin.get_or_insert(ticks[0]);
        let period = self.period;
        let since = |tick: u64| Duration::from_nanos((tick.saturating_sub(origin) as f64 * period) as u64);
        Ok(ticks.as_chunks().0.iter().map(|&[begin, end]| [since(begin), since(end)]).collect())
    }
}
