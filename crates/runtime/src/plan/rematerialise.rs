//! Computing results again instead of keeping them, so that a plan takes less memory.
//!
//! It works on steps in their order, after everything else of a plan is decided: a step that runs again is the same kernel over the same
//! elements, so results have the same bits, and what it costs is known. A step runs again just before the step that needs its result
//! (`replay`), for nothing that stands in the order is moved.
//!
//! Of the plan that computes everything once and those that compute something again the smallest is kept, or under a budget the one that
//! fits and takes the least work.
//!
//! What never runs again: a step that overwrites a parameter, one that may fail, an exchange with other processes, and one that reads an old value of a parameter that
//! has been overwritten meanwhile, unless that is small enough to be copied.

mod names;
mod replay;
mod timeline;

use smallvec::smallvec;

use crate::error::Error;
use crate::plan::border::Border;
use crate::plan::bytes::ElementBytes;
use crate::plan::cluster::NONE;
use crate::plan::entries::{Entry, Work};
use crate::plan::layers::LayerMap;
use crate::plan::layout::Layout;
use crate::plan::memory::{self, BufferRole};
use crate::plan::nodes::Nodes;
use crate::plan::report::{Once, stage};
use crate::plan::step::{Step, Task};
use crate::plan::{Passes, copy_of};
use replay::{Replayed, Stuck, Weighing, replay};
use timeline::Timeline;

/// How many limits are tried for each weighing until a plan fits.
const MOST_TRIES: usize = 12;
/// How many limits are tried for each weighing where no plan fits, to say how little memory would do.
const LIMITS: u64 = 12;
/// How often a result is kept after all, because it could not be computed again where it was needed.
const MOST_LOST: usize = 64;

/// What a caller wants of a plan's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    /// The most bytes that the plan may take.
    pub(crate) budget: Option<u64>,
    /// Patterns of names of what is never computed again.
    pub(crate) kept: Vec<String>,
    /// Patterns of names of what is computed again wherever a backward pass needs it.
    pub(crate) recomputed: Vec<String>,
    /// Whether no pattern need have a name.
    pub(crate) is_lenient: bool,
    /// Patterns for which another plan of the same function had a name: where this one has none, that is no typing error.
    pub(crate) matched: Vec<String>,
}

impl MemoryPolicy {
    /// Whether it names anything.
    pub(crate) fn has_patterns(&self) -> bool {
        !self.kept.is_empty() || !self.recomputed.is_empty()
    }
}

/// Steps and what they compute, and what that takes.
struct Candidate {
    entries: Vec<Entry>,
    required: Vec<bool>,
    steps: Vec<Step>,
    allocated: u64,
    work_again: u64,
}

/// Rewrites the steps as `policy` wants. Says what the plan that computes everything once would have taken, if something is computed again.
pub(super) fn rematerialise(
    nodes: &Nodes,
    passes: &mut Passes,
    policy: &MemoryPolicy,
    layers: &LayerMap,
    unit: ElementBytes,
) -> Result<Option<Once>, Error> {
    if policy.budget.is_none() && !policy.has_patterns() {
        return Ok(None);
    }
    let names = names::Names::new(nodes, passes, layers);
    names.check(policy)?;
    let once = measure(passes, &passes.entries, &passes.required, &passes.steps, unit);
    let budget = policy.budget.unwrap_or(u64::MAX);
    if policy.recomputed.is_empty() && once.allocated <= budget {
        return Ok(None);
    }
    let mut timeline = Timeline::new(&passes.entries, &passes.steps, &passes.required, &passes.updates, unit);
    names.apply(policy, &mut timeline);
    let Measured { allocated, standing, peak, operations } = once;
    let mut search = Search { passes, unit, timeline, budget, standing, peak, best: None };
    let least = search.run().unwrap_or(allocated).min(allocated);
    let Some(best) = search.best.filter(|best| best.allocated < allocated) else {
        return if allocated <= budget { Ok(None) } else { Err(Error::MemoryBudget { budget, least, standing }) };
    };
    let Candidate { entries, required, steps, .. } = best;
    (passes.entries, passes.required, passes.steps) = (entries, required, steps);
    Ok(Some(Once { operations, peak_bytes: peak, allocated_bytes: allocated }))
}

/// What steps take.
struct Measured {
    /// All buffers.
    allocated: u64,
    /// Those that are there before the run, and what loops have to themselves.
    standing: u64,
    /// The most that is held in one step.
    peak: u64,
    /// Their operations, once it is known which of them work in place.
    operations: u64,
}

fn measure(passes: &Passes, entries: &[Entry], required: &[bool], steps: &[Step], unit: ElementBytes) -> Measured {
    let mut steps = steps.to_vec();
    let memory = memory::assign(entries, &mut steps, required, &passes.updates);
    let loops = unit.of_loops(steps.iter().map(|step| &step.task));
    let leaves = unit.of_buffers(memory.buffers.iter().filter(|spec| spec.role != BufferRole::Slot));
    let slots = unit.of_buffers(memory.buffers.iter().filter(|spec| spec.role == BufferRole::Slot));
    let standing = leaves.saturating_add(loops);
    let mut change = vec![0i128; steps.len() + 1];
    for held in &memory.held {
        let entry = &entries[held.entry as usize];
        let bytes = i128::from(unit.of(entry.storage, entry.shape.elements()));
        change[held.first as usize] += bytes;
        change[held.last.map_or(steps.len(), |last| last as usize + 1)] -= bytes;
    }
    let mut now = 0;
    let most = change
        .iter()
        .map(|change| {
            now += change;
            now
        })
        .max()
        .unwrap_or(0);
    let copies = passes.updates.copied_back(entries).map(|(parameter, _)| copy_of(&entries[parameter as usize]).cost());
    let costs = steps.iter().map(|step| step.task.cost()).chain(copies);
    let operations = costs.map(|cost| cost.operations as u64).fold(0, u64::saturating_add);
    let peak = standing.saturating_add(most as u64);
    Measured { allocated: standing.saturating_add(slots), standing, peak, operations }
}

/// The search for the limit under which steps are played through.
struct Search<'a> {
    passes: &'a Passes,
    unit: ElementBytes,
    timeline: Timeline<'a>,
    budget: u64,
    /// What is there for the whole run.
    standing: u64,
    /// The most that is held in one step of the plan that computes everything once.
    peak: u64,
    /// The best that fits: the least work under a budget, and else the least memory.
    best: Option<Candidate>,
}

impl Search<'_> {
    /// Searches for the best. The least bytes that were reached are returned where nothing fits.
    fn run(&mut self) -> Option<u64> {
        if self.budget == u64::MAX {
            let reached = self.attempt(u64::MAX, Weighing::WholeWay);
            return if self.best.is_some() { None } else { reached };
        }
        let room = self.budget.saturating_sub(self.standing);
        let floor = self.timeline.floor();
        for weighing in Weighing::ALL {
            self.approach(room, floor, weighing);
        }
        if self.best.is_some() {
            return None;
        }
        // Limits that do not depend on the budget, so that one of as many bytes as were reached is kept.
        let span = self.peak.saturating_sub(self.standing).saturating_sub(floor);
        let limits = (0..LIMITS).map(|step| floor + span / LIMITS * step);
        let tried = limits.flat_map(|limit| Weighing::ALL.map(|weighing| (limit, weighing)));
        let reached: Vec<Option<u64>> = tried.map(|(limit, weighing)| self.attempt(limit, weighing)).collect();
        if self.best.is_some() { None } else { reached.into_iter().flatten().min() }
    }

    /// Tries limits until one fits, and then those between it and the last that did not: they may take less work.
    fn approach(&mut self, room: u64, floor: u64, weighing: Weighing) {
        let (mut limit, mut fitting, mut failing) = (room, None, None);
        for _ in 0..MOST_TRIES {
            let allocated = self.attempt(limit, weighing);
            match allocated {
                Some(allocated) if allocated <= self.budget => fitting = Some(limit),
                Some(_) | None => failing = Some(limit),
            }
            limit = match (fitting, failing, allocated) {
                (None, _, _) if limit <= floor => break,
                // What is held under a limit may take more than the limit, for slots are of several sizes.
                (None, _, Some(allocated)) => {
                    let excess = allocated.saturating_sub(self.budget).clamp(room / 32, (limit / 4).max(room / 32));
                    limit.saturating_sub(excess).max(floor)
                }
                (None, _, None) => (limit - limit / 8).max(floor),
                (Some(low), Some(high), _) if low + room / 32 < high => low + (high - low) / 2,
                (Some(_), _, _) => break,
            };
        }
    }

    /// Plays the steps through under a limit of results, and keeps what comes of it if it is the best. Returns what it takes.
    fn attempt(&mut self, limit: u64, weighing: Weighing) -> Option<u64> {
        let (may_drop, dropped_after) = (self.timeline.may_drop.clone(), self.timeline.dropped_after.clone());
        let mut lost = 0;
        let replayed = loop {
            match replay(&self.timeline, limit, weighing) {
                Ok(replayed) => break Some(replayed),
                Err(Stuck::Lost(entry)) if lost < MOST_LOST => {
                    lost += 1;
                    self.timeline.may_drop[entry as usize] = false;
                    self.timeline.dropped_after[entry as usize] = NONE;
                }
                Err(Stuck::Lost(_) | Stuck::TooMuch) => break None,
            }
        };
        (self.timeline.may_drop, self.timeline.dropped_after) = (may_drop, dropped_after);
        let candidate = self.candidate(replayed?);
        let allocated = candidate.allocated;
        let order = |candidate: &Candidate| match self.budget {
            u64::MAX => (candidate.allocated, candidate.work_again),
            _ => (candidate.work_again, candidate.allocated),
        };
        let is_better = self.best.as_ref().is_none_or(|best| order(&candidate) < order(best));
        if allocated <= self.budget && is_better {
            self.best = Some(candidate);
        }
        Some(allocated)
    }

    /// The steps of runs, and what they take.
    fn candidate(&self, replayed: Replayed) -> Candidate {
        let passes = self.passes;
        let Replayed { runs, copies, copied_parameters, work_again } = replayed;
        let mut entries = passes.entries.clone();
        entries.extend(copies.iter().map(|&entry| passes.entries[entry as usize].clone()));
        let mut required = passes.required.clone();
        required.resize(entries.len(), false);
        let mut steps = Vec::with_capacity(runs.len() + copied_parameters.len());
        for (parameter, fresh) in copied_parameters {
            let entry = &mut entries[fresh as usize];
            let operand = Layout::contiguous(parameter, &entry.shape);
            (entry.work, entry.operands) = (Work::Elementwise(None), smallvec![operand]);
            entry.storage = entry.dtype.into();
            let task = Task::Kernel(copy_of(entry));
            steps.push(Step { task, reads: vec![parameter], writes: vec![fresh], border: Border::Leaves });
        }
        for run in runs {
            let own = &passes.steps[run.step as usize];
            let mut border = own.border;
            if let Some(reader) = run.again_for {
                border = Border::Again;
                let stage = stage(&passes.entries, &passes.steps[reader as usize]);
                run.writes.iter().for_each(|&write| entries[write as usize].stage = stage);
            }
            steps.push(Step { task: own.task.clone(), reads: run.reads, writes: run.writes, border });
        }
        let allocated = measure(passes, &entries, &required, &steps, self.unit).allocated;
        Candidate { entries, required, steps, allocated, work_again }
    }
}
