//! A plan's steps, played through with less memory: where a result does not fit, another one is dropped that is needed again later, and
//! just before it is needed it is computed once more, by the steps that computed it, from what is still there.
//!
//! It is the way in which a cache pushes out what is not needed for longest, with what computing again costs weighed in (Kirisame et al.,
//! "Dynamic Tensor Rematerialization", 2021), but that here all that comes is known. A step that runs again is the same kernel over the same
//! elements, so it gives the same bits.
//!
//! What is dropped is chosen by a score: the work of computing it again, over its bytes times the number of steps for which they are
//! free. Scores wait in a heap and are looked at again when they come out of it, so that the time is near-linear in the steps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::plan::cluster::NONE;
use crate::plan::rematerialise::timeline::{OldValue, Timeline};

/// How many steps at most are computed again for one result: a longer way back is not looked at to its end.
const LONGEST_WAY: usize = 64;
/// How many steps may run again in all, for each step of the plan.
const MOST_AGAIN: usize = 3;

/// How the work of computing a result again is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weighing {
    /// The step that computes it, and all before it whose results will not be there any more.
    WholeWay,
    /// The step that computes it alone: what stands before it is needed by other results as well.
    OwnStep,
}

impl Weighing {
    /// Both ways.
    pub(super) const ALL: [Weighing; 2] = [Weighing::WholeWay, Weighing::OwnStep];
}

/// A run of a step.
#[derive(Debug)]
pub(super) struct Run {
    /// The step of the plan that computes everything once.
    pub(super) step: u32,
    pub(super) reads: Vec<u32>,
    pub(super) writes: Vec<u32>,
    /// The step for whose sake it runs again; none for the first run.
    pub(super) again_for: Option<u32>,
}

/// Runs in order. Entries past those of the plan are new.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) runs: Vec<Run>,
    /// For each new entry, in order, the entry whose value it holds.
    pub(super) copies: Vec<u32>,
    /// The parameters whose values are copied before the first step, and the new entries that hold the copies.
    pub(super) copied_parameters: Vec<(u32, u32)>,
    /// The work of what runs again.
    pub(super) work_again: u64,
}

/// Why steps could not be played through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// This result was dropped and cannot be computed again.
    Lost(u32),
    /// More would run again than is worth it.
    TooMuch,
}

/// The runs that hold no more than `limit` bytes of results at once, as far as that can be had.
pub(super) fn replay(timeline: &Timeline<'_>, limit: u64, weighing: Weighing) -> Result<Replayed, Stuck> {
    let count = timeline.entries.len();
    let mut releases: Vec<Vec<u32>> = vec![Vec::new(); timeline.steps.len()];
    let mut drops: Vec<Vec<u32>> = vec![Vec::new(); timeline.steps.len()];
    for entry in 0..count as u32 {
        if timeline.producer[entry as usize] != NONE && !timeline.is_pinned[entry as usize] {
            releases[timeline.last_use(entry) as usize].push(entry);
        }
        if timeline.dropped_after[entry as usize] != NONE {
            drops[timeline.dropped_after[entry as usize] as usize].push(entry);
        }
    }
    let mut replay = Replay {
        timeline,
        limit,
        weighing,
        holder: vec![NONE; count],
        locks: vec![0; count],
        held: 0,
        heap: BinaryHeap::new(),
        now: 0,
        copied: HashMap::new(),
        replayed: Replayed {
            runs: Vec::with_capacity(timeline.steps.len()),
            copies: Vec::new(),
            copied_parameters: Vec::new(),
            work_again: 0,
        },
        again: 0,
    };
    for step in 0..timeline.steps.len() {
        replay.step(step as u32)?;
        for &entry in &drops[step] {
            replay.drop_held(entry);
        }
        for &entry in &releases[step] {
            replay.drop_held(entry);
        }
    }
    Ok(replay.replayed)
}

struct Replay<'t, 'a> {
    timeline: &'t Timeline<'a>,
    limit: u64,
    weighing: Weighing,
    /// The entry that holds each result at present; [`NONE`] for results that are not there.
    holder: Vec<u32>,
    /// How many coming runs need each result to stay.
    locks: Vec<u32>,
    /// The bytes of what is held.
    held: u64,
    /// Scores of what may be dropped, by their bits, which order as they do.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    now: u32,
    /// The copies of parameters.
    copied: HashMap<u32, u32>,
    replayed: Replayed,
    /// How many steps have run again.
    again: usize,
}

impl Replay<'_, '_> {
    /// Runs a step for the first time, and before it what it needs that is not there.
    fn step(&mut self, step: u32) -> Result<(), Stuck> {
        self.now = step;
        let timeline = self.timeline;
        let own = &timeline.steps[step as usize];
        let demanded = timeline.demands.get(&step).into_iter().flatten().copied();
        let reads = own.reads.iter().copied().filter(|&read| timeline.producer[read as usize] != NONE);
        let reads = distinct(reads.chain(demanded));
        for &read in &reads {
            self.locks[read as usize] += 1;
        }
        for &read in &reads {
            if self.holder[read as usize] == NONE {
                self.bring_back(read)?;
            }
        }
        let dies = |entry: u32| {
            timeline.producer[entry as usize] != NONE
                && !timeline.is_pinned[entry as usize]
                && timeline.last_use(entry) == step
        };
        let needed = timeline.needed_bytes(step, dies);
        self.make_room(needed);
        self.held += own.writes.iter().map(|&write| timeline.bytes[write as usize]).sum::<u64>();
        let reads_held = own.reads.iter().map(|&read| self.held_by(read)).collect();
        self.replayed.runs.push(Run { step, reads: reads_held, writes: own.writes.clone(), again_for: None });
        for &write in &own.writes {
            self.holder[write as usize] = write;
        }
        self.now = step + 1;
        for &write in &own.writes {
            self.offer(write);
        }
        for &read in &reads {
            self.unlock(read);
        }
        Ok(())
    }

    /// The entry that a run reads for one of the plan.
    fn held_by(&self, entry: u32) -> u32 {
        match self.timeline.producer[entry as usize] {
            NONE => entry,
            _ => self.holder[entry as usize],
        }
    }

    /// Computes again a result that is not there, and on the way what it needs that is not there either.
    fn bring_back(&mut self, target: u32) -> Result<(), Stuck> {
        let timeline = self.timeline;
        let way = self.way_to(target)?;
        // How many runs on the way need each result.
        let mut needs: HashMap<u32, u32> = HashMap::new();
        for &step in &way {
            for read in self.computed_reads(step) {
                *needs.entry(read).or_default() += 1;
                self.locks[read as usize] += 1;
            }
        }
        for &step in &way {
            let own = &timeline.steps[step as usize];
            let is_dead = |entry: u32| !timeline.is_pinned[entry as usize] && timeline.last_use(entry) < self.now;
            let dies = |entry: u32| {
                timeline.producer[entry as usize] != NONE && is_dead(entry) && self.locks[entry as usize] == 1
            };
            let needed = timeline.needed_bytes(step, dies);
            self.make_room(needed);
            let mut reads = Vec::with_capacity(own.reads.len());
            for &read in &own.reads {
                let is_computed = timeline.producer[read as usize] != NONE;
                reads.push(match is_computed || timeline.old_value(read, self.now) != OldValue::Copied {
                    true => self.held_by(read),
                    false => self.copy_of_parameter(read),
                });
            }
            let mut writes = Vec::with_capacity(own.writes.len());
            for &write in &own.writes {
                let fresh = self.fresh(write);
                writes.push(fresh);
                let is_needed = needs.contains_key(&write) || write == target || timeline.last_use(write) >= self.now;
                if self.holder[write as usize] == NONE && is_needed {
                    self.holder[write as usize] = fresh;
                    self.held += timeline.bytes[write as usize];
                    self.offer(write);
                }
            }
            self.replayed.runs.push(Run { step, reads, writes, again_for: Some(self.now) });
            self.replayed.work_again = self.replayed.work_again.saturating_add(timeline.work[step as usize]);
            self.again += 1;
            if self.again > MOST_AGAIN * timeline.steps.len() {
                return Err(Stuck::TooMuch);
            }
            for read in self.computed_reads(step) {
                self.unlock(read);
                let is_dead = !timeline.is_pinned[read as usize] && timeline.last_use(read) < self.now;
                if is_dead && self.locks[read as usize] == 0 {
                    self.drop_held(read);
                }
            }
        }
        Ok(())
    }

    /// The results that a step reads, each once.
    fn computed_reads(&self, step: u32) -> Vec<u32> {
        let reads = self.timeline.steps[step as usize].reads.iter().copied();
        distinct(reads.filter(|&read| self.timeline.producer[read as usize] != NONE))
    }

    /// The steps that compute a result from what is there, in order.
    fn way_to(&self, target: u32) -> Result<Vec<u32>, Stuck> {
        let timeline = self.timeline;
        let most = MOST_AGAIN * timeline.steps.len();
        let first = timeline.producer[target as usize];
        let mut way = Vec::new();
        let mut seen: HashSet<u32> = HashSet::from([first]);
        let mut stack: Vec<(u32, usize)> = vec![(first, 0)];
        while let Some((step, place)) = stack.pop() {
            if !timeline.may_repeat(step, self.now) {
                return Err(Stuck::Lost(target));
            }
            let reads = &timeline.steps[step as usize].reads;
            let is_missing = |&&read: &&u32| {
                let producer = timeline.producer[read as usize];
                producer != NONE && self.holder[read as usize] == NONE && !seen.contains(&producer)
            };
            let missing = reads.iter().enumerate().skip(place).find(|(_, read)| is_missing(read));
            match missing {
                Some((place, &read)) => {
                    let producer = timeline.producer[read as usize];
                    stack.push((step, place + 1));
                    stack.push((producer, 0));
                    seen.insert(producer);
                }
                None => way.push(step),
            }
            if way.len() + self.again > most {
                return Err(Stuck::TooMuch);
            }
        }
        Ok(way)
    }

    /// A new entry for the value of one of the plan.
    fn fresh(&mut self, entry: u32) -> u32 {
        self.replayed.copies.push(entry);
        (self.timeline.entries.len() + self.replayed.copies.len() - 1) as u32
    }

    /// The entry that keeps what a parameter held before the run.
    fn copy_of_parameter(&mut self, parameter: u32) -> u32 {
        if let Some(&copy) = self.copied.get(&parameter) {
            return copy;
        }
        let copy = self.fresh(parameter);
        self.copied.insert(parameter, copy);
        self.replayed.copied_parameters.push((parameter, copy));
        copy
    }

    /// A result is not needed to stay by one run less.
    fn unlock(&mut self, entry: u32) {
        self.locks[entry as usize] -= 1;
        if self.locks[entry as usize] == 0 {
            self.offer(entry);
        }
    }

    /// Drops results, those of the least score first, until so many bytes more fit, or none is left.
    fn make_room(&mut self, bytes: u64) {
        let mut locked: Vec<u32> = Vec::new();
        while self.held.saturating_add(bytes) > self.limit {
            let Some(Reverse((known, entry))) = self.heap.pop() else { break };
            if self.holder[entry as usize] == NONE {
                continue;
            }
            if self.locks[entry as usize] > 0 {
                locked.push(entry);
                continue;
            }
            let Some(score) = self.score(entry) else { continue };
            // What it costs may have grown since it was put there. Then it waits for its turn.
            if score > known && self.heap.peek().is_some_and(|Reverse((next, _))| score > *next) {
                self.heap.push(Reverse((score, entry)));
                continue;
            }
            self.drop_held(entry);
        }
        for entry in locked {
            self.offer(entry);
        }
    }

    /// Makes a result known as one that may be dropped.
    fn offer(&mut self, entry: u32) {
        if let Some(score) = self.score(entry) {
            self.heap.push(Reverse((score, entry)));
        }
    }

    fn drop_held(&mut self, entry: u32) {
        if self.holder[entry as usize] != NONE {
            self.holder[entry as usize] = NONE;
            self.held -= self.timeline.bytes[entry as usize];
        }
    }

    /// The bits of the score of a result that is there; none for one that must stay, or is not needed again.
    fn score(&self, entry: u32) -> Option<u64> {
        let timeline = self.timeline;
        if !timeline.may_drop[entry as usize] || timeline.bytes[entry as usize] == 0 {
            return None;
        }
        let used = timeline.next_use(entry, self.now)?;
        let work = self.work_of(entry, used)?;
        let steps = u64::from(used - self.now).max(1);
        let score = work as f64 / (timeline.bytes[entry as usize] as f64 * steps as f64);
        Some(score.to_bits())
    }

    /// The work of computing a result again just before the step `used`; none if that cannot be, or leads too far back.
    fn work_of(&self, entry: u32, used: u32) -> Option<u64> {
        let timeline = self.timeline;
        let mut work = 0u64;
        let mut steps: Vec<u32> = vec![timeline.producer[entry as usize]];
        let mut next = 0;
        while let Some(&step) = steps.get(next) {
            next += 1;
            if !timeline.may_repeat(step, used) {
                return None;
            }
            work = work.saturating_add(timeline.work[step as usize]);
            for &read in &timeline.steps[step as usize].reads {
                let producer = timeline.producer[read as usize];
                if producer == NONE || steps.contains(&producer) {
                    continue;
                }
                let stays = timeline.is_pinned[read as usize] || timeline.last_use(read) >= used;
                if !stays || self.holder[read as usize] == NONE {
                    if steps.len() == LONGEST_WAY {
                        return None;
                    }
                    steps.push(producer);
                }
            }
        }
        match self.weighing {
            Weighing::WholeWay => Some(work),
            Weighing::OwnStep => Some(timeline.work[timeline.producer[entry as usize] as usize]),
        }
    }
}

fn distinct(entries: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut distinct: Vec<u32> = entries.collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}
