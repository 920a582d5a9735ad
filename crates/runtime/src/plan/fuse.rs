//! Which elementwise entries become one kernel.
//!
//! Entries get a *level*: an edge that one kernel cannot carry (into a reduction or matrix product, out of one, or through a
//! view that reorders elements) raises it by one. Elementwise entries then sink to the highest level that their users allow,
//! so that work is done where it is used: a part of a derivative in the backward pass, a decayed moment beside the gradient
//! that joins it. Elementwise entries that are joined by edges within a level form a group: any path that leaves such a
//! group and returns would have to raise the level, so merging a group makes no cycle. Groups that are too long, or read and
//! write too many buffers, are cut in order into chunks.

use std::collections::HashMap;

use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;

/// What one kernel may bind.
pub(crate) struct Limits {
    /// How many buffers.
    pub(crate) bindings: usize,
    /// Next values of parameters, and the parameter that each will be written over: such a pair takes one binding.
    pub(crate) overwrites: HashMap<u32, u32>,
}

impl Limits {
    /// Whether a kernel that reads and writes these entries keeps within the limit.
    pub(crate) fn allow(&self, reads: &[u32], writes: impl Iterator<Item = u32>) -> bool {
        let own = writes.filter(|write| self.overwrites.get(write).is_none_or(|target| !reads.contains(target)));
        reads.len() + own.count() <= self.bindings
    }
}

/// The most instructions of a fused program: more gives nothing, and the CPU's registers leave the cache.
const MAX_INSTRUCTIONS: usize = 48;

/// The entries' fusion: chunks in order of their first member, each in order of entries.
pub(crate) struct Fusion {
    pub(crate) chunks: Vec<Vec<u32>>,
    /// The chunk of each elementwise entry; `NONE` for others.
    pub(crate) chunk_of: Vec<u32>,
    /// The level of each entry: an entry can only depend on one of its level or below, and on a kernel's result that is
    /// not elementwise only from a higher one.
    pub(crate) levels: Vec<u32>,
}

pub(crate) const NONE: u32 = u32::MAX;

/// Whether a kernel over `entry`'s elements can take the base of `operand` as a value it has computed itself.
pub(crate) fn carries(entries: &[Entry], entry: &Entry, operand: &Layout) -> bool {
    let base = &entries[operand.base as usize];
    operand.is_contiguous() && base.shape.elements() == entry.shape.elements()
}

pub(crate) fn fuse(entries: &[Entry], required: &[bool], limits: &Limits) -> Fusion {
    let levels = levels(entries, required);
    let mut parents: Vec<u32> = (0..entries.len() as u32).collect();
    for (index, entry) in entries.iter().enumerate() {
        if !matches!(entry.work, Work::Elementwise(_)) {
            continue;
        }
        for operand in &entry.operands {
            let base = operand.base as usize;
            if matches!(entries[base].work, Work::Elementwise(_))
                && levels[base] == levels[index]
                && carries(entries, entry, operand)
            {
                let (a, b) = (find(&mut parents, index as u32), find(&mut parents, base as u32));
                parents[a.max(b) as usize] = a.min(b);
            }
        }
    }
    let mut members: Vec<Vec<u32>> = Vec::new();
    let mut group_of: Vec<u32> = vec![NONE; entries.len()];
    for (index, entry) in entries.iter().enumerate() {
        if matches!(entry.work, Work::Elementwise(_)) {
            let root = find(&mut parents, index as u32) as usize;
            if group_of[root] == NONE {
                group_of[root] = members.len() as u32;
                members.push(Vec::new());
            }
            members[group_of[root] as usize].push(index as u32);
        }
    }
    let uses = count_uses(entries, required);
    let mut fusion = Fusion { chunks: Vec::new(), chunk_of: vec![NONE; entries.len()], levels };
    for group in members {
        split(entries, &uses, &group, limits, &mut fusion);
    }
    fusion
}

fn levels(entries: &[Entry], required: &[bool]) -> Vec<u32> {
    let carried = |entry: &Entry, operand: &Layout| {
        let elementwise = |work: &Work| matches!(work, Work::Elementwise(_));
        elementwise(&entry.work)
            && elementwise(&entries[operand.base as usize].work)
            && carries(entries, entry, operand)
    };
    let mut levels = vec![0u32; entries.len()];
    for (index, entry) in entries.iter().enumerate() {
        for operand in entry.operands.iter().filter(|operand| entries[operand.base as usize].work.is_computed()) {
            let level = levels[operand.base as usize] + u32::from(!carried(entry, operand));
            levels[index] = levels[index].max(level);
        }
    }
    // The highest level that users allow; what must be kept stays as early as it can be.
    let mut highest = vec![u32::MAX; entries.len()];
    for (index, entry) in entries.iter().enumerate().rev() {
        let sinks = matches!(entry.work, Work::Elementwise(_)) && !required[index] && highest[index] != u32::MAX;
        if sinks {
            levels[index] = highest[index];
        }
        for operand in &entry.operands {
            let bound = levels[index].saturating_sub(u32::from(!carried(entry, operand)));
            let highest = &mut highest[operand.base as usize];
            *highest = (*highest).min(bound);
        }
    }
    levels
}

/// The root of a set, with the path to it halved on the way.
fn find(parents: &mut [u32], mut index: u32) -> u32 {
    while parents[index as usize] != index {
        let next = parents[parents[index as usize] as usize];
        parents[index as usize] = next;
        index = next;
    }
    index
}

/// How often each entry is an operand, with one more use for what must be kept.
fn count_uses(entries: &[Entry], required: &[bool]) -> Vec<u32> {
    let mut uses: Vec<u32> = required.iter().map(|&kept| u32::from(kept)).collect();
    for entry in entries {
        for operand in &entry.operands {
            uses[operand.base as usize] += 1;
        }
    }
    uses
}

/// Cuts a group, in order, into the longest chunks that keep within the limits.
fn split(entries: &[Entry], uses: &[u32], group: &[u32], limits: &Limits, fusion: &mut Fusion) {
    let mut start = 0;
    while start < group.len() {
        let end = start + longest_chunk(entries, uses, &group[start..], limits);
        let number = fusion.chunks.len() as u32;
        for &member in &group[start..end] {
            fusion.chunk_of[member as usize] = number;
        }
        fusion.chunks.push(group[start..end].to_vec());
        start = end;
    }
}

/// How many of `rest` fit into one chunk: at least one.
fn longest_chunk(entries: &[Entry], uses: &[u32], rest: &[u32], limits: &Limits) -> usize {
    // What the chunk reads from outside, and for each member how many of its uses are still outside.
    let mut reads: Vec<&Layout> = Vec::new();
    let mut read_bases: Vec<u32> = Vec::new();
    let mut outside: Vec<(u32, u32)> = Vec::new();
    let mut best = 1;
    for (count, &member) in rest.iter().enumerate().take(MAX_INSTRUCTIONS) {
        for operand in &entries[member as usize].operands {
            match outside.iter_mut().find(|(other, _)| *other == operand.base) {
                // An edge between members is always carried: one that is not would have raised the level.
                Some((_, uses)) => *uses -= 1,
                None if entries[operand.base as usize].work.is_inlined() => {}
                None => {
                    if !reads.iter().any(|read| read.base == operand.base && read.view() == operand.view()) {
                        reads.push(operand);
                        read_bases.push(operand.base);
                    }
                }
            }
        }
        outside.push((member, uses[member as usize]));
        let writes = outside.iter().filter(|(_, uses)| *uses > 0).map(|(member, _)| *member);
        if limits.allow(&read_bases, writes) {
            best = count + 1;
        } else if reads.len() > limits.bindings {
            break;
        }
    }
    best
}
