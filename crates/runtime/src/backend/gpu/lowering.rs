//! Steps of a plan as they come, and their kernels lowered for a device.

use arenagrad_kernels::wgsl::{self, Lowered};
use arenagrad_kernels::{Choice, Kernel, Stored};

use super::buffers::WORD_BYTES;
use super::device::GpuDevice;
use super::encode::LoweredStep;
use crate::error::Error;

/// A step of a plan, its tensors named by their numbers in a [`GpuMemory`].
#[derive(Clone, Copy)]
pub(crate) struct ResidentStep<'a> {
    /// What is computed.
    pub(crate) kernel: &'a Kernel,
    /// The buffers of its inputs, in the kernel's order.
    pub(crate) inputs: &'a [u32],
    /// The buffers of its outputs, in the kernel's order.
    pub(crate) outputs: &'a [u32],
    /// In what types these hold their values.
    pub(crate) stored: Stored<'a>,
    /// How the kernel is computed.
    pub(crate) choice: Choice,
    /// The step's name in errors.
    pub(crate) what: &'a str,
}

/// The kernels of steps, lowered for a device.
pub(super) fn lower<'a>(device: &GpuDevice, steps: &[ResidentStep<'a>]) -> Result<Vec<LoweredStep<'a>>, Error> {
    let mut lowered = Vec::with_capacity(steps.len());
    for step in steps {
        let unsupported =
            |error: wgsl::LowerError| Error::Unsupported { what: step.what.to_owned(), reason: error.to_string() };
        lowered.push(LoweredStep {
            lowered: lower_step(device, step).map_err(unsupported)?,
            inputs: step.inputs,
            outputs: step.outputs,
            what: step.what,
        });
    }
    Ok(lowered)
}

fn lower_step(device: &GpuDevice, step: &ResidentStep<'_>) -> Result<Lowered, wgsl::LowerError> {
    let profile = device.profile_for(step.kernel, step.stored);
    wgsl::lower_step_as(step.kernel, step.inputs, step.stored, profile, step.choice)
}

/// The bytes of the largest buffer for intermediate results that a step needs on a device; none where there are surely less than `limit`.
/// A kernel that does not exist there needs none: that is told when it is made ready.
pub(crate) fn kept_bytes(device: &GpuDevice, step: &ResidentStep<'_>, limit: u64) -> u64 {
    // What is kept was read or computed before. Lowering is text, which small steps are spared.
    let cost = step.kernel.cost();
    let most = [cost.operations.saturating_mul(4), cost.read, cost.written].into_iter().fold(0, usize::saturating_add);
    if matches!(step.kernel, Kernel::Elementwise(_)) || (most.saturating_mul(2) as u64) < limit {
        return 0;
    }
    let words = lower_step(device, step).map_or(0, |lowered| lowered.scratch.into_iter().max().unwrap_or(0));
    (words as u64).saturating_mul(WORD_BYTES)
}
