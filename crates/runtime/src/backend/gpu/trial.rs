//! A kernel that is run by itself, in one way after another, over memory of its own.

use std::time::{Duration, Instant};

use arenagrad_graph::Elements;
use arenagrad_kernels::wgsl::{self, AdapterProfile, Lowered};
use arenagrad_kernels::{Choice, Kernel, StorageType, Stored};

use super::device::GpuDevice;
use super::encode::{GpuExecutable, LoweredStep};
use super::{GpuMemory, Readback, Round};
use crate::backend::{Repeated, TrialBuffers};
use crate::error::Error;

/// The name of what is tried in errors.
const WHAT: &str = "a kernel that is tried";

/// What a kernel with one output of f32 computes of these inputs, lowered for an adapter with that profile.
pub(super) fn results_of(
    device: &GpuDevice,
    kernel: &Kernel,
    profile: &AdapterProfile,
    inputs: &[Elements],
    results: usize,
) -> Result<Vec<f64>, Error> {
    let mut memory = GpuMemory::new(device);
    let stored: Vec<StorageType> = inputs.iter().map(Elements::storage).collect();
    let allocated = inputs.iter().map(|values| memory.allocate(WHAT, values.storage(), values.len()));
    let buffers = allocated.collect::<Result<Vec<u32>, Error>>()?;
    let outputs = [memory.allocate(WHAT, StorageType::F32, results)?];
    let stored = Stored { inputs: &stored, outputs: &[StorageType::F32] };
    let unsupported = |error: wgsl::LowerError| Error::Unsupported { what: WHAT.to_owned(), reason: error.to_string() };
    let lowered = wgsl::lower_step(kernel, &buffers, stored, profile).map_err(unsupported)?;
    let steps = [LoweredStep { lowered, inputs: &buffers, outputs: &outputs, what: WHAT }];
    let reads = [Readback { index: outputs[0], storage: StorageType::F32, elements: results }];
    let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads)?;
    for (&buffer, values) in buffers.iter().zip(inputs) {
        memory.write(buffer, values)?;
    }
    let found = executable.start(&memory)?.wait()?;
    Ok(found.first().map(Elements::to_f64_vec).unwrap_or_default())
}

/// A kernel to be tried.
pub(crate) struct GpuTrial<'a> {
    device: GpuDevice,
    kernel: &'a Kernel,
    buffers: TrialBuffers,
    memory: GpuMemory,
    /// The number of each buffer in the memory.
    places: Vec<u32>,
}

impl<'a> GpuTrial<'a> {
    /// A kernel over buffers of these contents.
    pub(crate) fn new(device: &GpuDevice, kernel: &'a Kernel, buffers: TrialBuffers) -> Result<Self, Error> {
        let mut memory = GpuMemory::new(device);
        let each = buffers.contents.iter();
        let places = each.map(|content| memory.allocate(WHAT, content.storage(), content.len()));
        let places = places.collect::<Result<Vec<u32>, Error>>()?;
        Ok(GpuTrial { device: device.clone(), kernel, buffers, memory, places })
    }

    /// The kernel so often in one submit, computed so.
    fn executable(&mut self, choice: Choice, runs: usize) -> Result<GpuExecutable, Error> {
        let GpuTrial { device, kernel, buffers, memory, places } = self;
        let TrialBuffers { inputs, outputs, stored, contents } = &*buffers;
        let placed = |list: &[u32]| list.iter().map(|&number| places[number as usize]).collect::<Vec<u32>>();
        let (inputs, outputs) = (placed(inputs), placed(outputs));
        let stored_as = Stored { inputs: &stored[0], outputs: &stored[1] };
        let unsupported =
            |error: wgsl::LowerError| Error::Unsupported { what: WHAT.to_owned(), reason: error.to_string() };
        let lowered: Lowered =
            wgsl::lower_step_as(kernel, &inputs, stored_as, device.profile_for(kernel, stored_as), choice)
                .map_err(unsupported)?;
        let step = || LoweredStep { lowered: lowered.clone(), inputs: &inputs, outputs: &outputs, what: WHAT };
        let steps: Vec<LoweredStep<'_>> = (0..runs).map(|_| step()).collect();
        let read = |&output: &u32| {
            let content = &contents[output as usize];
            Readback { index: places[output as usize], storage: content.storage(), elements: content.len() }
        };
        let reads: Vec<Readback> = buffers.outputs.iter().map(read).collect();
        GpuExecutable::scheduled(device, memory, &steps, (0..runs).map(Round::Step).collect(), &reads)
    }

    /// What the kernel computes so.
    pub(crate) fn results(&mut self, choice: Choice) -> Result<Vec<Elements>, Error> {
        for (content, &place) in self.buffers.contents.iter().zip(&self.places) {
            self.memory.write(place, content)?;
        }
        self.executable(choice, 1)?.start(&self.memory)?.wait()
    }

    /// How long a run takes so, a share of the submit that several runs are one of included.
    pub(crate) fn time(&mut self, choice: Choice) -> Result<Duration, Error> {
        let mut once = self.executable(choice, 1)?;
        // Drivers compile when a module is first used.
        self.run(&mut once)?;
        let repeated = Repeated::of(self.run(&mut once)?);
        let mut executable = self.executable(choice, repeated.runs)?;
        let mut least = Duration::MAX;
        for _ in 0..repeated.samples {
            least = least.min(self.run(&mut executable)?);
        }
        Ok(least / repeated.runs as u32)
    }

    fn run(&self, executable: &mut GpuExecutable) -> Result<Duration, Error> {
        let begun = Instant::now();
        executable.advance(&self.memory)?;
        self.device.wait_for(None)?;
        Ok(begun.elapsed())
    }
}
