//! Multiply-adds on a device, as many as it can do.

use std::time::{Duration, Instant};

use arenagrad_graph::StorageType;
use arenagrad_kernels::wgsl;

use super::GpuMemory;
use super::device::GpuDevice;
use super::encode::{GpuExecutable, LoweredStep};
use crate::error::Error;

/// A run of f32 multiply-adds and nothing else, made ready.
pub(crate) struct GpuPeak {
    memory: GpuMemory,
    executable: GpuExecutable,
    operations: u64,
}

impl GpuPeak {
    /// So many kernels of multiply-adds in one submit.
    pub(crate) fn new(device: &GpuDevice, kernels: usize) -> Result<Self, Error> {
        let what = "the measurement of a peak";
        let wgsl::Peak { lowered, invocations, operations } = wgsl::peak(device.profile());
        let mut memory = GpuMemory::new(device);
        let output = [memory.allocate(what, StorageType::F32, invocations)?];
        let step = || LoweredStep { lowered: lowered.clone(), inputs: &[], outputs: &output, what };
        let steps: Vec<LoweredStep<'_>> = (0..kernels).map(|_| step()).collect();
        let executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &[])?;
        Ok(GpuPeak { memory, executable, operations: operations * kernels as u64 })
    }

    /// How long one run takes.
    pub(crate) fn time(&mut self) -> Result<Duration, Error> {
        let begun = Instant::now();
        self.executable.start(&self.memory)?.wait()?;
        Ok(begun.elapsed())
    }

    /// How many floating-point operations a run is.
    pub(crate) fn operations(&self) -> u64 {
        self.operations
    }
}
