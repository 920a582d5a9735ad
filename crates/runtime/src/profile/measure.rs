//! From the laps of some runs to a profile.

use std::time::Duration;

use crate::backend::Lap;
use crate::plan::{Cost, Plan, Task};
use crate::profile::{StepProfile, Times};

/// The steps of a plan with the times that they took in each run, of which `shown` is the one whose beginnings are told.
pub(crate) fn measured(plan: &Plan, runs: &[Vec<Lap>], shown: usize) -> Vec<StepProfile> {
    let runs: Vec<&[Lap]> = runs.iter().map(Vec::as_slice).collect();
    steps(plan, &runs, shown, 1)
}

/// The steps of a plan that runs `rounds` times in each run.
fn steps(plan: &Plan, runs: &[&[Lap]], shown: usize, rounds: usize) -> Vec<StepProfile> {
    let each = plan.steps.iter().zip(&plan.described).enumerate();
    each.map(|(number, (placed, described))| {
        let (flops, body) = match &placed.task {
            Task::Kernel(kernel) => (kernel.flops() as u64, Vec::new()),
            Task::Loop(looped) => {
                let bodies: Vec<&[Lap]> = runs.iter().map(|run| run[number].body.as_slice()).collect();
                let body = steps(&looped.plan, &bodies, shown, rounds.saturating_mul(looped.length));
                // Of all rounds together already, and of the rounds around this loop.
                let flops = body.iter().fold(0u64, |sum, step| sum.saturating_add(step.flops));
                (flops / rounds.max(1) as u64, body)
            }
        };
        let lap = |run: &&[Lap]| run[number].spent;
        let Lap { start, spent, .. } = runs.get(shown).map(|run| run[number].clone()).unwrap_or_default();
        StepProfile {
            stage: described.stage,
            kernel: described.kernel.clone(),
            fused: described.fused.clone(),
            computes: described.computes.clone(),
            origin: described.origin,
            time: Times::of(runs.iter().map(lap).collect::<Vec<Duration>>()),
            start,
            spent,
            cost: times(described.cost, rounds),
            flops: flops.saturating_mul(rounds as u64),
            body,
        }
    })
    .collect()
}

/// What so many runs cost.
fn times(cost: Cost, runs: usize) -> Cost {
    let of = |amount: usize| amount.saturating_mul(runs);
    Cost { operations: of(cost.operations), read: of(cost.read), written: of(cost.written) }
}
