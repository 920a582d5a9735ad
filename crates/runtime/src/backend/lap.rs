//! How long a step took in one run.

use std::time::Duration;

use crate::plan::{Plan, Task};

/// How long a step took in one run, and if it is a loop, the steps of its body.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Lap {
    /// When it began, from the first step's beginning; of a step that ran several times, the first time.
    pub(crate) start: Duration,
    /// How long it took; of a step that ran several times, all of them together.
    pub(crate) spent: Duration,
    /// How often it ran.
    pub(crate) times: u32,
    /// The steps of a loop's body, over all rounds.
    pub(crate) body: Vec<Lap>,
}

impl Lap {
    /// Adds a time that the step ran.
    pub(crate) fn add(&mut self, start: Duration, spent: Duration) {
        if self.times == 0 {
            self.start = start;
        }
        self.spent += spent;
        self.times += 1;
    }

    /// One for each step of a plan, before a run.
    pub(crate) fn of_plan(plan: &Plan) -> Vec<Lap> {
        let of_step = |task: &Task| match task {
            Task::Kernel(_) => Lap::default(),
            Task::Loop(looped) => Lap { body: Lap::of_plan(&looped.plan), ..Lap::default() },
        };
        plan.steps.iter().map(|step| of_step(&step.task)).collect()
    }
}
