//! Profiles of a session's plans: the plan is run some times and timed step by step, and what it changed is put back.

use std::time::{Duration, Instant};

use arenagrad_graph::{Elements, StorageType};

use crate::backend::Lap;
#[cfg(feature = "gpu")]
use crate::backend::gpu;
use crate::device::DeviceKind;
use crate::error::Error;
#[cfg(feature = "gpu")]
use crate::plan::Task;
use crate::plan::{BufferRole, Plan};
use crate::profile::{Clock, Peaks, Profile, ProfileOptions, Times, measured};
use crate::session::prepared::Prepared;
#[cfg(feature = "gpu")]
use crate::session::store::profiler;
use crate::session::store::{Executable, Memory};
use crate::session::{PlanId, Session};
use crate::tensor::Tensor;

impl Session {
    /// Profiles the session's first plan, which is its training step if it trains: see [`crate::profile`]. Inputs and errors as
    /// [`Session::step`], and [`Error::Unsupported`] in a group for a plan with exchanges; parameters, states and counters are afterwards as they were.
    pub fn profile(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Profile, Error> {
        self.profile_plan(self.first_plan(), inputs, &ProfileOptions::default())
    }

    /// Profiles a plan of this session under options of one's own. [`Session::first_plan`] is the one that [`Session::profile`] takes.
    pub fn profile_plan(
        &mut self,
        plan: PlanId,
        inputs: &[(&str, &Tensor)],
        options: &ProfileOptions,
    ) -> Result<Profile, Error> {
        let number = plan.plan as usize;
        if plan.session != self.number {
            return Err(Error::ForeignPlan);
        }
        if number >= self.plans.len() {
            return Err(Error::NothingToRun);
        }
        // Out of the list for so long, so that the session can be lent beside it.
        let mut prepared = self.plans.swap_remove(number);
        let profile = self.profile_prepared(&mut prepared, inputs, options);
        self.plans.push(prepared);
        let last = self.plans.len() - 1;
        self.plans.swap(number, last);
        profile
    }

    /// Profiles a plan that was made ready for this session.
    pub(crate) fn profile_prepared(
        &mut self,
        prepared: &mut Prepared,
        inputs: &[(&str, &Tensor)],
        options: &ProfileOptions,
    ) -> Result<Profile, Error> {
        if matches!(prepared.executable, Executable::InGroup(_)) {
            return Err(Error::Unsupported {
                what: "a profile of a step that several processes make together".to_owned(),
                reason: "its parts run between exchanges; profile the step of one process".to_owned(),
            });
        }
        let peaks = match options.peaks {
            Some(peaks) => peaks,
            None => Peaks::of(&self.device)?,
        };
        prepared.feed.write(inputs, &mut self.memory)?;
        let kept = Kept::of(&prepared.plan, &prepared.places, &self.memory)?;
        let runs = self.timed_runs(prepared, options);
        kept.put_back(&mut self.memory)?;
        let Runs { clock, whole, timed, laps, empty_submit } = runs?;
        let mut order: Vec<usize> = (0..timed.len()).collect();
        order.sort_unstable_by_key(|&run| timed[run]);
        let shown = order.get(order.len() / 2).copied().unwrap_or(0);
        Ok(Profile {
            device: self.device.to_string(),
            clock,
            runs: laps.len(),
            steps: measured(&prepared.plan, &laps, shown),
            run: Times::of(whole),
            timed_run: Times::of(timed),
            empty_submit,
            peaks,
        })
    }

    fn timed_runs(&mut self, prepared: &mut Prepared, options: &ProfileOptions) -> Result<Runs, Error> {
        let mut timer = Timer::new(&self.device.kind, &mut self.memory, prepared, options)?;
        let mut runs = Runs {
            clock: timer.clock(),
            whole: Vec::new(),
            timed: Vec::new(),
            laps: Vec::new(),
            empty_submit: timer.empty_submit()?,
        };
        for number in 0..options.warm_up + options.runs.max(1) {
            // In turns, so that what changes meanwhile changes both.
            let begun = Instant::now();
            prepared.execute(&mut self.memory, false)?;
            self.memory.all_done()?.wait()?;
            let whole = begun.elapsed();
            let begun = Instant::now();
            let laps = timer.run(&mut self.memory, prepared)?;
            let timed = begun.elapsed();
            if number >= options.warm_up {
                runs.whole.push(whole);
                runs.timed.push(timed);
                runs.laps.push(laps);
            }
        }
        Ok(runs)
    }
}

/// What was measured.
struct Runs {
    clock: Clock,
    whole: Vec<Duration>,
    timed: Vec<Duration>,
    laps: Vec<Vec<Lap>>,
    empty_submit: Option<Duration>,
}

/// What times the steps of a plan.
enum Timer {
    Cpu,
    #[cfg(feature = "gpu")]
    Gpu(Box<gpu::Profiler>, Clock),
}

impl Timer {
    fn new(
        device: &DeviceKind,
        memory: &mut Memory,
        prepared: &Prepared,
        options: &ProfileOptions,
    ) -> Result<Timer, Error> {
        match (device, memory) {
            #[cfg(feature = "gpu")]
            (DeviceKind::Gpu(device), Memory::Gpu(memory)) => {
                let has_timestamps = options.timestamps && device.has_timestamps();
                let places = (prepared.places.as_slice(), prepared.loops.as_slice());
                let profiler = profiler(memory, device, &prepared.plan, places, &prepared.choices, has_timestamps)?;
                Ok(Timer::Gpu(Box::new(profiler), if has_timestamps { Clock::Timestamps } else { Clock::Submits }))
            }
            (_, _) => {
                let _ = (prepared, options);
                Ok(Timer::Cpu)
            }
        }
    }

    fn clock(&self) -> Clock {
        match self {
            Timer::Cpu => Clock::Host,
            #[cfg(feature = "gpu")]
            Timer::Gpu(_, clock) => *clock,
        }
    }

    fn empty_submit(&self) -> Result<Option<Duration>, Error> {
        match self {
            Timer::Cpu => Ok(None),
            #[cfg(feature = "gpu")]
            Timer::Gpu(profiler, _) => profiler.empty_submit().map(Some),
        }
    }

    /// Runs the plan once, and says how long each of its steps took.
    fn run(&mut self, memory: &mut Memory, prepared: &mut Prepared) -> Result<Vec<Lap>, Error> {
        match (self, memory, &mut prepared.executable) {
            (Timer::Cpu, Memory::Cpu(memory), Executable::Cpu(executable)) => {
                let mut laps = Lap::of_plan(&prepared.plan);
                executable.run_timed(memory, &mut laps)?;
                Ok(laps)
            }
            #[cfg(feature = "gpu")]
            (Timer::Gpu(profiler, clock), Memory::Gpu(memory), Executable::Gpu(_)) => {
                let gpu::Timed { steps, outer } = profiler.run(memory)?;
                let mut steps = steps.into_iter();
                let mut laps = laps_of(&prepared.plan, &mut steps, *clock);
                for (lap, outer) in laps.iter_mut().zip(outer) {
                    (lap.start, lap.spent, lap.times) = (outer.start, outer.spent, outer.times);
                }
                Ok(laps)
            }
            (_, _, Executable::InGroup(_)) => unreachable!("steps of several processes are refused before"),
            #[cfg(feature = "gpu")]
            (Timer::Cpu | Timer::Gpu(..), _, Executable::Cpu(_) | Executable::Gpu(_)) => {
                unreachable!("memory, executable and timer of a session are of one device")
            }
        }
    }
}

/// The laps of a plan, given those of its kernels in order, loops' bodies included: a loop takes what its body takes.
#[cfg(feature = "gpu")]
fn laps_of(plan: &Plan, kernels: &mut impl Iterator<Item = Lap>, clock: Clock) -> Vec<Lap> {
    let mut laps = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        laps.push(match &step.task {
            Task::Kernel(_) => kernels.next().unwrap_or_default(),
            Task::Loop(looped) => {
                let mut body = laps_of(&looped.plan, kernels, clock);
                if clock == Clock::Submits {
                    // A submit was of the whole loop, under the name of its first step.
                    body.iter_mut().for_each(|lap| (lap.spent, lap.times) = (Duration::ZERO, 0));
                }
                let spent = body.iter().map(|lap| lap.spent).sum();
                Lap { start: body.first().map(|lap| lap.start).unwrap_or_default(), spent, times: 1, body }
            }
        });
    }
    laps
}

/// The parameters and states that a plan overwrites, as they were before.
struct Kept(Vec<(u32, StorageType, Elements)>);

impl Kept {
    fn of(plan: &Plan, places: &[u32], memory: &Memory) -> Result<Kept, Error> {
        let mut kept = Vec::new();
        let mut is_written = vec![false; plan.buffers.len()];
        plan.steps.iter().flat_map(|step| &step.outputs).for_each(|&buffer| is_written[buffer as usize] = true);
        for ((spec, &place), is_written) in plan.buffers.iter().zip(places).zip(is_written) {
            if matches!(spec.role, BufferRole::Parameter(_)) && is_written {
                kept.push((place, spec.storage, memory.read(place, spec.storage, spec.elements)?));
            }
        }
        Ok(Kept(kept))
    }

    fn put_back(self, memory: &mut Memory) -> Result<(), Error> {
        self.0.into_iter().try_for_each(|(place, storage, value)| memory.write(place, storage, &value))
    }
}
