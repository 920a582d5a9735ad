//! What the steps of a plan need of each other, in numbers: who computes a result, who reads it when, what it takes and what computing it
//! again would cost.

use std::collections::HashMap;

use arenagrad_kernels::Kernel;

use crate::plan::bytes::ElementBytes;
use crate::plan::cluster::NONE;
use crate::plan::entries::Entry;
use crate::plan::order::is_exchange;
use crate::plan::step::{Step, Task};
use crate::plan::update::Updates;

/// How many bytes move to and from memory in the time of one operation.
const OPERATION_BYTES: u64 = 2;
/// The most bytes of a parameter that is copied before it is overwritten, so that a step that reads its old value may run again, and of a
/// result that stays because the step that computes it cannot: counters, rates and what is made of them are that small.
const MOST_COPIED: u64 = 1 << 10;

/// Steps in the order in which they run, and the results that they compute, by their entries.
pub(super) struct Timeline<'a> {
    pub(super) steps: &'a [Step],
    pub(super) entries: &'a [Entry],
    /// The bytes that each entry takes while it is held; 0 for what has no slot.
    pub(super) bytes: Vec<u64>,
    /// The step that computes each entry, or [`NONE`].
    pub(super) producer: Vec<u32>,
    /// The steps that need each computed entry to be there, ascending: those that read it, and those before which something is computed
    /// again from it.
    pub(super) uses: Vec<Vec<u32>>,
    /// What stays from when it is computed to the end.
    pub(super) is_pinned: Vec<bool>,
    /// What may be dropped between two uses.
    pub(super) may_drop: Vec<bool>,
    /// After which step each entry is to be dropped, or [`NONE`].
    pub(super) dropped_after: Vec<u32>,
    /// What must be there before a step, though it does not read it: the step overwrites a parameter that computing it again reads.
    pub(super) demands: HashMap<u32, Vec<u32>>,
    /// What each step costs, in simple operations.
    pub(super) work: Vec<u64>,
    /// Which steps may run more than once.
    pub(super) is_repeatable: Vec<bool>,
    /// The step that overwrites each parameter, by the parameter's entry.
    overwritten_by: HashMap<u32, u32>,
    unit: ElementBytes,
}

/// Whether what a step reads of the parameters is still there when it is to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OldValue {
    /// It is not overwritten before.
    There,
    /// It is, and small enough to be copied first.
    Copied,
    /// It is lost.
    Lost,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(
        entries: &'a [Entry],
        steps: &'a [Step],
        required: &[bool],
        updates: &Updates,
        unit: ElementBytes,
    ) -> Timeline<'a> {
        let overwrites = updates.overwrites();
        let mut bytes = vec![0; entries.len()];
        let mut producer = vec![NONE; entries.len()];
        let mut uses: Vec<Vec<u32>> = vec![Vec::new(); entries.len()];
        let mut overwritten_by = HashMap::new();
        let mut is_repeatable = Vec::with_capacity(steps.len());
        for (number, step) in (0..).zip(steps) {
            let mut overwrites_any = false;
            for &write in &step.writes {
                producer[write as usize] = number;
                match overwrites.get(&write) {
                    Some(&parameter) => {
                        overwritten_by.insert(parameter, number);
                        overwrites_any = true;
                    }
                    None => {
                        let entry = &entries[write as usize];
                        bytes[write as usize] = unit.of(entry.storage, entry.shape.elements());
                    }
                }
            }
            is_repeatable.push(!overwrites_any && !may_fail(&step.task) && !is_exchange(entries, step));
        }
        for (number, step) in (0..).zip(steps) {
            for &read in &step.reads {
                let uses = &mut uses[read as usize];
                if producer[read as usize] != NONE && uses.last() != Some(&number) {
                    uses.push(number);
                }
            }
        }
        let is_pinned = (0..entries.len()).map(|entry| match producer[entry] {
            NONE => required[entry],
            producer => required[entry] || !is_repeatable[producer as usize] && bytes[entry] <= MOST_COPIED,
        });
        let is_pinned: Vec<bool> = is_pinned.collect();
        let may_drop = (0..entries.len())
            .map(|entry| producer[entry] != NONE && !is_pinned[entry] && is_repeatable[producer[entry] as usize])
            .collect();
        let work = steps.iter().map(|step| {
            let cost = step.task.cost();
            cost.operations as u64 + (cost.read as u64).saturating_add(cost.written as u64) / OPERATION_BYTES
        });
        let mut timeline = Timeline {
            work: work.collect(),
            dropped_after: vec![NONE; entries.len()],
            demands: HashMap::new(),
            steps,
            entries,
            bytes,
            producer,
            uses,
            is_pinned,
            may_drop,
            is_repeatable,
            overwritten_by,
            unit,
        };
        timeline.demand();
        timeline
    }

    /// Notes what must be there before a parameter is overwritten.
    fn demand(&mut self) {
        for entry in (0..self.entries.len()).filter(|&entry| self.may_drop[entry]) {
            let producer = self.producer[entry];
            let reads = &self.steps[producer as usize].reads;
            let is_large = |read: &&u32| self.old_value(**read, u32::MAX) == OldValue::Lost;
            let overwritten = reads.iter().filter(is_large).filter_map(|read| self.overwritten_by.get(read));
            let Some(&step) = overwritten.min() else { continue };
            let uses = &mut self.uses[entry];
            let place = uses.partition_point(|&used| used < step);
            if step > producer && place < uses.len() && uses[place] != step {
                uses.insert(place, step);
                self.demands.entry(step).or_default().push(entry as u32);
            }
        }
    }

    /// The last step that needs a computed entry: the one that computes it if none reads it.
    pub(super) fn last_use(&self, entry: u32) -> u32 {
        self.uses[entry as usize].last().copied().unwrap_or(self.producer[entry as usize])
    }

    /// The first step from `step` on that needs an entry.
    pub(super) fn next_use(&self, entry: u32, step: u32) -> Option<u32> {
        let uses = &self.uses[entry as usize];
        uses.get(uses.partition_point(|&used| used < step)).copied()
    }

    /// Whether what an entry held before the run is still there just before `step`.
    pub(super) fn old_value(&self, entry: u32, step: u32) -> OldValue {
        match self.overwritten_by.get(&entry) {
            Some(&overwriting) if overwriting < step => {
                let spec = &self.entries[entry as usize];
                match self.unit.of(spec.storage, spec.shape.elements()) <= MOST_COPIED {
                    true => OldValue::Copied,
                    false => OldValue::Lost,
                }
            }
            Some(_) | None => OldValue::There,
        }
    }

    /// Whether a step may run again just before another one.
    pub(super) fn may_repeat(&self, step: u32, before: u32) -> bool {
        let reads = &self.steps[step as usize].reads;
        self.is_repeatable[step as usize] && reads.iter().all(|&read| self.old_value(read, before) != OldValue::Lost)
    }

    /// The bytes that a step's results take beside what it reads: an elementwise step may write over an operand that dies with it.
    pub(super) fn needed_bytes(&self, step: u32, dies: impl Fn(u32) -> bool) -> u64 {
        let own = &self.steps[step as usize];
        let all: u64 = own.writes.iter().map(|&write| self.bytes[write as usize]).sum();
        let Task::Kernel(Kernel::Elementwise(_)) = &own.task else { return all };
        let mut taken: Vec<u32> = Vec::new();
        let mut saved = 0;
        for &write in own.writes.iter().filter(|&&write| self.bytes[write as usize] > 0) {
            let result = &self.entries[write as usize];
            let fits = |read: &&u32| {
                let operand = &self.entries[**read as usize];
                self.bytes[**read as usize] == self.bytes[write as usize]
                    && operand.storage == result.storage
                    && !taken.contains(*read)
                    && dies(**read)
            };
            if let Some(&operand) = own.reads.iter().find(fits) {
                taken.push(operand);
                saved += self.bytes[write as usize];
            }
        }
        all - saved
    }

    /// The bytes that no order of computing again does without: the most that one step reads and writes.
    pub(super) fn floor(&self) -> u64 {
        let of_step = |step: &Step| -> u64 {
            let mut touched: Vec<u32> = step.reads.iter().chain(&step.writes).copied().collect();
            touched.sort_unstable();
            touched.dedup();
            touched.into_iter().map(|entry| self.bytes[entry as usize]).sum()
        };
        self.steps.iter().map(of_step).max().unwrap_or(0)
    }
}

/// Whether a step may fail in a run. What it overwrites is kept for that case, so it had better not come later than it must.
fn may_fail(task: &Task) -> bool {
    match task {
        Task::Kernel(kernel) => matches!(kernel, Kernel::LinearAlgebra { .. }),
        Task::Loop(looped) => !looped.plan.fallible.is_empty(),
    }
}
