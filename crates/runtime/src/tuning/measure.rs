//! The choices for a plan's kernels: known ones, or measured now.

use std::time::Duration;

use arenagrad_graph::{Elements, StorageType};
use arenagrad_kernels::{Candidate, Choice, Kernel, Stored, choice};

use crate::backend::TrialBuffers;
use crate::backend::cpu::CpuTrial;
#[cfg(feature = "gpu")]
use crate::backend::gpu::GpuTrial;
use crate::device::{Device, DeviceKind};
use crate::error::Error;
use crate::plan::{BufferSpec, PlacedStep, Plan, Task};
use crate::profile::Peaks;
use crate::tuning::cache::Entry;
use crate::tuning::class::class;
use crate::tuning::search::{Limits, Stopped, search};
use crate::tuning::{Found, State, Trial, Tuning};

/// The choice for each kernel of a plan, those of loops' bodies included, in the order in which they stand; empty where all are the usual ones.
///
/// Errors: a device that was lost. What cannot be measured, for want of memory say, is computed in the usual way, and a note says why.
pub(crate) fn choices(device: &Device, plan: &Plan) -> Result<Vec<Choice>, Error> {
    let Some(tuning) = device.tuning() else { return Ok(Vec::new()) };
    let peaks = match Peaks::of(device) {
        Ok(peaks) => peaks,
        Err(error @ Error::DeviceLost { .. }) => return Err(error),
        Err(error) => {
            tuning.state().notes.push(format!("kernels are computed in the usual way: {error}"));
            return Ok(Vec::new());
        }
    };
    let mut tuner = Tuner { device, identity: device.identity(), options: &tuning, peaks, has_measured: false };
    let mut choices = Vec::new();
    let result = tuner.plan(plan, &mut choices);
    // What was measured before something failed is known all the same.
    if tuner.has_measured {
        let mut state = tuning.state();
        let State { cache, notes, .. } = &mut *state;
        cache.save(notes);
    }
    result.map(|()| choices)
}

/// What is known is looked up and noted under a lock, which is never held while something is measured: kernels run on the threads of a pool,
/// and one that waits for the others may do another of their tasks meanwhile, which makes a tuned session too.
struct Tuner<'a> {
    device: &'a Device,
    identity: String,
    options: &'a Tuning,
    peaks: Peaks,
    has_measured: bool,
}

impl Tuner<'_> {
    fn plan(&mut self, plan: &Plan, choices: &mut Vec<Choice>) -> Result<(), Error> {
        for step in &plan.steps {
            match &step.task {
                Task::Kernel(kernel) => {
                    let choice = self.kernel(kernel, step, &plan.buffers)?;
                    choices.push(choice);
                }
                Task::Loop(looped) => self.plan(&looped.plan, choices)?,
            }
        }
        Ok(())
    }

    /// The choice for a kernel of a plan.
    fn kernel(&mut self, kernel: &Kernel, step: &PlacedStep, buffers: &[BufferSpec]) -> Result<Choice, Error> {
        let options = self.options.options();
        let [inputs, outputs] = step.storage(buffers);
        let stored = Stored { inputs: &inputs, outputs: &outputs };
        let mut candidates = match &self.device.kind {
            DeviceKind::Cpu => choice::on_cpu(kernel),
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => choice::on_adapter(kernel, stored, device.profile_for(kernel, stored)),
        };
        candidates.retain(|candidate| candidate.has_same_bits || options.other_bits);
        let class = class(kernel, stored);
        let Some(mut class) = class.filter(|_| candidates.len() > 1) else { return Ok(Choice::Usual) };
        if options.other_bits {
            class.push_str(" (other bits)");
        }
        if let Some(known) = self.known(&mut self.options.state(), &class, &candidates) {
            return Ok(known);
        }
        match self.measure(kernel, &class, &candidates, step, buffers) {
            Ok(choice) => Ok(choice),
            Err(error @ Error::DeviceLost { .. }) => Err(error),
            Err(error) => {
                self.options.state().notes.push(format!("{class} is computed in the usual way: {error}"));
                Ok(Choice::Usual)
            }
        }
    }

    /// The choice for kernels of that class, if it is known.
    fn known(&self, state: &mut State, class: &str, candidates: &[Candidate]) -> Option<Choice> {
        let entry = state.cache.get(&self.identity, class)?;
        // What is no candidate of this kernel was measured for another one of its class, or written by another version. Measured again,
        // it would be exchanged for this one's, and the other kernel would measure next.
        let is_candidate = candidates.iter().any(|candidate| candidate.choice == entry.choice);
        let known = if is_candidate { entry.choice } else { Choice::Usual };
        note_found(state, self.found(class, known));
        Some(known)
    }

    fn found(&self, class: &str, choice: Choice) -> Found {
        let (device, class, chosen) = (self.identity.clone(), class.to_owned(), choice.to_string());
        Found { device, class, chosen, trials: Vec::new(), stopped: None }
    }

    fn measure(
        &mut self,
        kernel: &Kernel,
        class: &str,
        candidates: &[Candidate],
        step: &PlacedStep,
        buffers: &[BufferSpec],
    ) -> Result<Choice, Error> {
        let mut bench = Bench::new(self.device, kernel, trial_buffers(step, buffers))?;
        let (patience, least_gain, share) = {
            let options = self.options.options();
            (options.patience, options.least_gain, options.roofline)
        };
        let cost = kernel.cost();
        let bytes = (cost.read as u64).saturating_add(cost.written as u64);
        // Units that multiply matrices pass the peak of single multiplications and additions, which is what is known: bytes alone bound those.
        let is_cooperative = |candidate: &Candidate| matches!(candidate.choice, Choice::Cooperative { .. });
        let flops = if candidates.iter().any(is_cooperative) { 0 } else { kernel.flops() as u64 };
        let least = self.peaks.least_seconds(flops, bytes) / share;
        let good_enough = Duration::try_from_secs_f64(least).unwrap_or(Duration::MAX);
        let usual = bench.results(Choice::Usual)?;
        let mut trials: Vec<Trial> = Vec::new();
        self.has_measured = true;
        let state = || self.options.state();
        let time = |number: usize| -> Result<Option<Duration>, Error> {
            let Candidate { choice, has_same_bits } = candidates[number];
            let refused = match bench.results(choice) {
                Err(error @ Error::DeviceLost { .. }) => return Err(error),
                Err(error) => Some(error.to_string()),
                Ok(results) if has_same_bits && !have_same_bits(&results, &usual) => {
                    Some("it gives other bits on this device".to_owned())
                }
                Ok(_) => None,
            };
            let time = match refused {
                None => {
                    state().timed += 1;
                    Some(bench.time(choice)?)
                }
                Some(_) => None,
            };
            trials.push(Trial { choice: choice.to_string(), time, refused });
            Ok(time)
        };
        let limits = Limits { patience, good_enough, least_gain };
        let (best, stopped): (usize, Stopped) = search(candidates.len(), limits, time)?;
        let choice = candidates[best].choice;
        let nanoseconds = |text: &str| {
            let trial = trials.iter().find(|trial| trial.choice == text);
            let time = trial.and_then(|trial| trial.time).unwrap_or_default();
            u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
        };
        let entry = Entry {
            choice,
            nanoseconds: nanoseconds(&choice.to_string()),
            usual_nanoseconds: nanoseconds(&Choice::Usual.to_string()),
        };
        let mut state = state();
        // Another thread may have measured the class meanwhile. What it found stays, so that all sessions compute in one way.
        if let Some(known) = self.known(&mut state, class, candidates) {
            return Ok(known);
        }
        state.cache.insert(&self.identity, class, entry);
        note_found(&mut state, Found { stopped: Some(stopped), trials, ..self.found(class, choice) });
        Ok(choice)
    }
}

/// Notes what was found for a class, once.
fn note_found(state: &mut State, found: Found) {
    let is_known = |known: &Found| known.device == found.device && known.class == found.class;
    if !state.found.iter().any(is_known) {
        state.found.push(found);
    }
}

/// A kernel that is tried on a device.
enum Bench<'a> {
    Cpu(Box<CpuTrial<'a>>),
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuTrial<'a>>),
}

impl<'a> Bench<'a> {
    fn new(device: &Device, kernel: &'a Kernel, buffers: TrialBuffers) -> Result<Self, Error> {
        match &device.kind {
            DeviceKind::Cpu => CpuTrial::new(kernel, buffers).map(|trial| Bench::Cpu(Box::new(trial))),
            #[cfg(feature = "gpu")]
            DeviceKind::Gpu(device) => Ok(Bench::Gpu(Box::new(GpuTrial::new(device, kernel, buffers)?))),
        }
    }

    fn results(&mut self, choice: Choice) -> Result<Vec<Elements>, Error> {
        match self {
            Bench::Cpu(trial) => Ok(trial.results(choice)),
            #[cfg(feature = "gpu")]
            Bench::Gpu(trial) => trial.results(choice),
        }
    }

    fn time(&mut self, choice: Choice) -> Result<Duration, Error> {
        match self {
            Bench::Cpu(trial) => Ok(trial.time(choice)),
            #[cfg(feature = "gpu")]
            Bench::Gpu(trial) => trial.time(choice),
        }
    }
}

/// Whether two lists of results are the same bit for bit.
fn have_same_bits(a: &[Elements], b: &[Elements]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_le_bytes() == b.to_le_bytes())
}

/// The buffers of a step, each once, with numbers between -1 and 1 in them.
fn trial_buffers(step: &PlacedStep, buffers: &[BufferSpec]) -> TrialBuffers {
    // Each with the elements that are the step's own: other results that its buffer holds may be too large for any kernel.
    let mut numbers: Vec<(u32, usize)> = Vec::new();
    let mut place = |(&buffer, &elements): (&u32, &usize)| match numbers.iter().position(|known| known.0 == buffer) {
        Some(place) => {
            numbers[place].1 = numbers[place].1.max(elements);
            place as u32
        }
        None => {
            numbers.push((buffer, elements));
            numbers.len() as u32 - 1
        }
    };
    let inputs: Vec<u32> = step.inputs.iter().zip(&step.elements[0]).map(&mut place).collect();
    let outputs: Vec<u32> = step.outputs.iter().zip(&step.elements[1]).map(&mut place).collect();
    let content =
        |(&(buffer, elements), seed): (&(u32, usize), u64)| noise(buffers[buffer as usize].storage, elements, seed);
    let contents = numbers.iter().zip(1..).map(content).collect();
    TrialBuffers { contents, inputs, outputs, stored: step.storage(buffers) }
}

/// Numbers between -1 and 1 that follow from the seed (xorshift).
fn noise(storage: StorageType, elements: usize, seed: u64) -> Elements {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    let values: Vec<f64> = std::iter::repeat_with(next).take(elements).collect();
    Elements::from_f64(storage, &values)
}
