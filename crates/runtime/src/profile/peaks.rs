//! What a machine can do at most, measured by kernels that do one thing alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arenagrad_graph::{DType, Graph, Init};
use arenagrad_kernels::{cost, cpu};

#[cfg(feature = "gpu")]
use crate::backend::gpu::{GpuDevice, GpuPeak};
use crate::device::{Device, DeviceKind};
use crate::error::Error;
use crate::session::Session;
use crate::tensor::Tensor;

/// What a device can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// f32 operations a second: multiply-adds between registers, on all threads or invocations that there are, counted as two each.
    pub flops_per_second: f64,
    /// Bytes a second that are read and written by a copy that is too large for caches.
    pub bytes_per_second: f64,
}

/// How long a measurement takes at least, so that the cost of starting it does not count.
const LEAST_TIME: Duration = Duration::from_millis(20);

/// How often it is made at most: the fastest counts, for what disturbs one only makes it slower.
const REPETITIONS: usize = 5;

/// How long all of them take at most, but for the first.
const MOST_TIME: Duration = Duration::from_millis(500);

/// What the copy is given.
const NO_INPUTS: &[Arc<Tensor>] = &[];

/// The elements that the copy reads: 64 MiB of them, and as much is written.
const COPIED: usize = 1 << 24;

impl Peaks {
    /// The peaks of a device: those that its tuning knows, else measured at the first question of a process, which takes some tenths of a second.
    /// Threads that ask at the same time measure at the same time, and what any of them reached counts.
    ///
    /// Errors: what the device cannot hold.
    pub fn of(device: &Device) -> Result<Peaks, Error> {
        static KNOWN: Mutex<Option<HashMap<String, Peaks>>> = Mutex::new(None);
        let (key, tuning) = (device.identity(), device.tuning());
        if let Some(peaks) = tuning.as_ref().and_then(|tuning| tuning.peaks(&key)) {
            return Ok(peaks);
        }
        // Never held while something is measured: that waits for all threads of a pool, and one of them may be asking the same.
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().as_ref().and_then(|known| known.get(&key).copied());
        let peaks = match before {
            Some(peaks) => peaks,
            None => {
                let measured = Peaks::measure(device)?;
                // Of several that measured at the same time none had the machine for itself: what any of them reached is possible.
                let mut known = known();
                let peaks = known.get_or_insert_default().entry(key.clone()).or_insert(measured);
                *peaks = peaks.or_higher(measured);
                *peaks
            }
        };
        if let Some(tuning) = tuning {
            tuning.keep_peaks(&key, peaks);
        }
        Ok(peaks)
    }

    /// The peaks of a device, measured now.
    pub fn measure(device: &Device) -> Result<Peaks, Error> {
        // To tune by peaks, these must be there first.
        let device = &device.untuned();
        Ok(Peaks { flops_per_second: flops_per_second(device)?, bytes_per_second: bytes_per_second(device)? })
    }

    /// Of each figure the higher.
    fn or_higher(self, other: Peaks) -> Peaks {
        Peaks {
            flops_per_second: self.flops_per_second.max(other.flops_per_second),
            bytes_per_second: self.bytes_per_second.max(other.bytes_per_second),
        }
    }

    /// The least time in seconds that so many f32 operations and bytes can take: of both, what takes longer.
    pub fn least_seconds(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / self.flops_per_second).max(bytes as f64 / self.bytes_per_second)
    }
}

fn flops_per_second(device: &Device) -> Result<f64, Error> {
    match &device.kind {
        DeviceKind::Cpu => {
            let run = |rounds: usize| {
                let begun = Instant::now();
                let done = rayon::broadcast(|_| cpu::multiply_adds(rounds));
                Ok((done.iter().map(|&operations| operations as f64).sum(), begun.elapsed()))
            };
            best_rate(1 << 10, run)
        }
        #[cfg(feature = "gpu")]
        DeviceKind::Gpu(device) => gpu_flops_per_second(device),
    }
}

#[cfg(feature = "gpu")]
fn gpu_flops_per_second(device: &GpuDevice) -> Result<f64, Error> {
    let mut ready: Option<(usize, GpuPeak)> = None;
    let run = |kernels: usize| {
        if ready.as_ref().is_none_or(|(of, _)| *of != kernels) {
            let mut peak = GpuPeak::new(device, kernels)?;
            // The first run waits for a driver that compiles.
            peak.time()?;
            ready = Some((kernels, peak));
        }
        let (_, peak) = ready.as_mut().unwrap_or_else(|| unreachable!("made ready before"));
        Ok((peak.operations() as f64, peak.time()?))
    };
    best_rate(1, run)
}

/// The bandwidth of a copy: a negation, which reads each element once and writes it once.
fn bytes_per_second(device: &Device) -> Result<f64, Error> {
    let graph = Graph::new();
    let from = graph.state("from", [COPIED], DType::F32, Init::Constant(1.0));
    let mut session = Session::evaluate(&graph, &[-from], device)?;
    let plan = session.first_plan();
    session.run_unread(plan, NO_INPUTS, |_| true)?;
    session.wait()?;
    let run = |copies: usize| {
        let begun = Instant::now();
        for _ in 0..copies {
            session.run_unread(plan, NO_INPUTS, |_| true)?;
        }
        session.wait()?;
        Ok((copies as f64 * 2.0 * COPIED as f64 * cost::size(DType::F32) as f64, begun.elapsed()))
    };
    best_rate(1, run)
}

/// The best rate at which `run` does something of which it says how much it did in which time, so often at once that it takes long enough to
/// be measured.
fn best_rate(mut amount: usize, mut run: impl FnMut(usize) -> Result<(f64, Duration), Error>) -> Result<f64, Error> {
    while amount < 1 << 28 {
        let (_, time) = run(amount)?;
        if time >= LEAST_TIME {
            break;
        }
        amount *= 2;
    }
    let (mut best, mut spent) = (0.0f64, Duration::ZERO);
    for _ in 0..REPETITIONS {
        let (done, time) = run(amount)?;
        best = best.max(done / time.as_secs_f64());
        spent += time;
        if spent > MOST_TIME {
            break;
        }
    }
    Ok(best)
}
