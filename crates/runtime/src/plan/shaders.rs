//! The WGSL that a GPU would run for a plan, for a reader.

use arenagrad_kernels::Stored;
use arenagrad_kernels::wgsl::{self, AdapterClass, AdapterProfile};

use crate::error::Error;
use crate::plan::{Plan, Task};

/// What every GPU offers; the device that a plan runs on may have other limits, and other modules where they matter.
const PROFILE: AdapterProfile = AdapterProfile {
    reads_f16: false,
    cooperative: None,
    subgroup: None,
    class: AdapterClass::Gpu,
    max_workgroups_per_dimension: 65_535,
    max_iterations_per_invocation: 1 << 30,
};

impl Plan {
    /// The WGSL modules that a GPU runs for each step, in order. A step of elementwise work is one generated line for each
    /// node, over the functions that it calls. Of a loop these are the modules of its body's steps.
    ///
    /// Errors: a kernel that no GPU can compute, such as one over f64.
    pub fn wgsl(&self) -> Result<Vec<Vec<String>>, Error> {
        self.steps
            .iter()
            .zip(&self.described)
            .map(|(step, described)| {
                let kernel = match &step.task {
                    Task::Kernel(kernel) => kernel,
                    Task::Loop(looped) => return Ok(looped.plan.wgsl()?.concat()),
                };
                let [inputs, outputs] = step.storage(&self.buffers);
                let stored = Stored { inputs: &inputs, outputs: &outputs };
                match wgsl::lower_step(kernel, &step.inputs, stored, &PROFILE) {
                    Ok(lowered) => {
                        Ok(lowered.dispatches.iter().map(|dispatch| dispatch.module.to_string()).collect::<Vec<_>>())
                    }
                    Err(error) => {
                        Err(Error::Unsupported { what: described.computes.clone(), reason: error.to_string() })
                    }
                }
            })
            .collect()
    }
}
