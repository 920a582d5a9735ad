//! A kernel that is run by itself, in one way after another, over memory of its own.

use std::mem;
use std::time::{Duration, Instant};

use arenagrad_graph::Elements;
use arenagrad_kernels::cpu::Compiled;
use arenagrad_kernels::{Choice, Kernel, Stored};

use super::driver::do_in_pool;
use super::{CpuMemory, PlacedKernel};
use crate::backend::{Repeated, TrialBuffers};
use crate::error::Error;

/// A kernel to be tried.
pub(crate) struct CpuTrial<'a> {
    kernel: &'a Kernel,
    buffers: TrialBuffers,
    memory: CpuMemory,
    written: Vec<Elements>,
}

impl<'a> CpuTrial<'a> {
    /// A kernel over buffers of these contents.
    pub(crate) fn new(kernel: &'a Kernel, buffers: TrialBuffers) -> Result<Self, Error> {
        let mut memory = CpuMemory::default();
        for content in &buffers.contents {
            memory.allocate("a kernel that is tried", content.storage(), content.len())?;
        }
        Ok(CpuTrial { kernel, buffers, memory, written: Vec::new() })
    }

    fn compiled(&self, choice: Choice) -> PlacedKernel {
        let TrialBuffers { inputs, outputs, stored, .. } = &self.buffers;
        let stored = Stored { inputs: &stored[0], outputs: &stored[1] };
        let kernel = Compiled::with_choice(self.kernel, stored, choice);
        PlacedKernel { kernel, inputs: inputs[..].into(), outputs: outputs[..].into(), kept_by: None }
    }

    fn run(&mut self, mut step: PlacedKernel, times: usize) -> (PlacedKernel, Duration) {
        let (mut memory, mut written) = (mem::take(&mut self.memory), mem::take(&mut self.written));
        let divides = step.kernel.divides();
        let run = move || {
            let begun = Instant::now();
            for _ in 0..times {
                // Only functions of matrices fail, and they leave no choice.
                let _ = step.run(&mut written, &mut memory);
            }
            (begun.elapsed(), step, memory, written)
        };
        let (spent, step);
        (spent, step, self.memory, self.written) = if divides { do_in_pool(run) } else { run() };
        (step, spent)
    }

    /// What the kernel computes so.
    pub(crate) fn results(&mut self, choice: Choice) -> Vec<Elements> {
        for (content, number) in self.buffers.contents.iter().zip(0..) {
            self.memory.write(number, content);
        }
        let step = self.compiled(choice);
        self.run(step, 1);
        let lengths = self.buffers.contents.iter().map(Elements::len).collect::<Vec<_>>();
        self.buffers.outputs.iter().map(|&output| self.memory.read(output, lengths[output as usize])).collect()
    }

    /// How long a run takes so.
    pub(crate) fn time(&mut self, choice: Choice) -> Duration {
        let (step, first) = self.run(self.compiled(choice), 1);
        let (mut step, second) = self.run(step, 1);
        let repeated = Repeated::of(first.min(second));
        let mut least = Duration::MAX;
        for _ in 0..repeated.samples {
            let spent;
            (step, spent) = self.run(step, repeated.runs);
            least = least.min(spent);
        }
        least / repeated.runs as u32
    }
}
