//! Lowering of multiply-adds and nothing else, by which a device's peak is measured.

use crate::wgsl::module::{Grid, Module};
use crate::wgsl::{AdapterClass, AdapterProfile, Lowered, Resource};

/// How often the skeleton's steps stand in a round, so that counting rounds takes no time to speak of.
const UNROLLED: usize = 16;

/// The operations of a step: three vectors of four, each element multiplied and added.
const OPERATIONS: usize = 3 * 4 * 2;

/// What computes f32 multiply-adds and nothing else.
#[derive(Clone, Debug)]
pub struct Peak {
    /// One dispatch, whose one output takes a number an invocation.
    pub lowered: Lowered,
    /// The elements of that output.
    pub invocations: usize,
    /// How many floating-point operations a run is.
    pub operations: u64,
}

/// Multiply-adds that keep an adapter busy for some time: a tenth of a millisecond to milliseconds.
pub fn peak(profile: &AdapterProfile) -> Peak {
    let (invocations, rounds) = match profile.class {
        AdapterClass::Cpu => (1 << 10, 512),
        AdapterClass::Gpu => (1 << 18, 128),
    };
    let rounds = rounds.min(profile.max_iterations_per_invocation as usize / 2).max(1);
    let mut lowered = Lowered::new(Vec::new(), Vec::new());
    let mut module: Module = lowered.module();
    let workgroup = module.long_running_workgroup(profile);
    module.parameter("invocations", invocations);
    module.parameter("rounds", rounds);
    module.word("factor".to_owned(), "f32", 0.5f32.to_bits());
    module.word("term".to_owned(), "f32", 1.0f32.to_bits());
    module.bind(Resource::Output(0), true, "result", "f32");
    let operations = rounds * UNROLLED * OPERATIONS;
    let skeleton = unrolled(include_str!("../../shaders/peak.wgsl"));
    let grid = Grid { count: invocations, each: workgroup, operations: operations / 2, iterations: rounds };
    module.dispatch(&skeleton, "peak", grid, profile, &mut lowered);
    Peak { lowered, invocations, operations: operations as u64 * invocations as u64 }
}

/// The skeleton with its steps as often as they stand in a round.
fn unrolled(skeleton: &str) -> String {
    let (head, rest) = skeleton.split_once("        //for each step\n").unwrap_or((skeleton, ""));
    let (steps, tail) = rest.split_once("        //end\n").unwrap_or(("", rest));
    format!("{head}{}{tail}", steps.repeat(UNROLLED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_its_steps() {
        for class in [AdapterClass::Cpu, AdapterClass::Gpu] {
            let profile = AdapterProfile {
                class,
                max_workgroups_per_dimension: 65_535,
                max_iterations_per_invocation: 24_000,
                reads_f16: false,
                cooperative: None,
                subgroup: None,
            };
            let Peak { lowered, invocations, operations } = peak(&profile);
            let [dispatch] = &lowered.dispatches[..] else { panic!("{} dispatches", lowered.dispatches.len()) };
            let steps = dispatch.module.matches("fma(").count();
            assert_eq!(steps, 3 * UNROLLED);
            let rounds = dispatch.parameters[1] as usize;
            assert_eq!(operations, (steps * rounds * invocations * 4 * 2) as u64);
            assert_eq!(dispatch.work.count, invocations);
        }
    }
}
