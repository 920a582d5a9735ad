//! Clusters as parts that one kernel each can compute.
//!
//! A kernel binds so many buffers and has so many instructions at most; several views of one buffer are one binding in elementwise work,
//! and else one each. A cluster that needs more is cut, in the order of its members: each
//! part reads from memory what an earlier part computed. A cluster's parts run one after the other, so they have no cycle
//! either. This is the only place that knows the limits.

use std::collections::{HashMap, HashSet};

use arenagrad_kernels::{Space, View};

use crate::plan::border::Border;
use crate::plan::cluster::{Cluster, Clusters, NONE};
use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;
use crate::plan::recompute::Storage;
use crate::plan::update::Updates;

/// The most entries that a kernel computes: more gives nothing, and the CPU's registers leave the nearest cache.
const MOST_MEMBERS: usize = 64;

/// What one kernel computes of a cluster.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) cluster: u32,
    /// In order, without those that readers compute for themselves.
    pub(crate) members: Vec<u32>,
    /// Why the part does not belong to the kernel before it.
    pub(crate) border: Border,
}

/// The parts of all clusters, in order of their clusters. What is read across a cut becomes stored. A parameter and the next value that is certain
/// to be written over it take one binding. A later part of the cluster that reads the parameter may need what the next value's part computes, and
/// would then have to run before and after it: a cut between the two makes the update uncertain. A kernel has `bindings` at most.
pub(crate) fn divide(
    entries: &[Entry],
    clusters: &Clusters,
    storage: &mut Storage,
    updates: &mut Updates,
    bindings: usize,
) -> Vec<Part> {
    let overwrites = updates.overwrites();
    let mut divider = Divider {
        entries,
        clusters,
        overwrites: &overwrites,
        bindings,
        last_use: vec![0; entries.len()],
        is_needed: vec![false; entries.len()],
        separated: HashSet::new(),
    };
    let mut parts = Vec::new();
    for cluster in 0..clusters.list.len() {
        divider.divide(cluster as u32, storage, &mut parts);
    }
    updates.make_uncertain(&divider.separated);
    parts
}

struct Divider<'a> {
    entries: &'a [Entry],
    clusters: &'a Clusters,
    /// The parameter that each next value is written over, where that is certain.
    overwrites: &'a HashMap<u32, u32>,
    bindings: usize,
    /// For each member of the cluster at hand, and for each parameter that a member is written over, the place of its last reader among the members
    /// that are kept.
    last_use: Vec<u32>,
    is_needed: Vec<bool>,
    /// The next values whose parameter is read behind the end of their part.
    separated: HashSet<u32>,
}

impl Divider<'_> {
    fn divide(&mut self, number: u32, storage: &mut Storage, parts: &mut Vec<Part>) {
        let cluster = &self.clusters.list[number as usize];
        let kept = self.kept(number, storage);
        for (place, &member) in kept.iter().enumerate() {
            self.last_use[member as usize] = place as u32;
            if let Some(&parameter) = self.overwrites.get(&member) {
                self.last_use[parameter as usize] = 0;
            }
        }
        for (place, &member) in kept.iter().enumerate() {
            // What is neither a member nor such a parameter is never asked for.
            storage.for_each_read(self.entries, member, &mut |read| self.last_use[read.base as usize] = place as u32);
        }
        // Results of attention are computed together, however many buffers that binds: its kernel sees to it.
        if cluster.anchor.is_some_and(|anchor| matches!(self.entries[anchor as usize].work, Work::Attention(_))) {
            if !kept.is_empty() {
                parts.push(Part { cluster: number, members: kept, border: cluster.border });
            }
            return;
        }
        let mut start = 0;
        while start < kept.len() {
            let end = self.longest_part(cluster, &kept, start, storage);
            for &member in &kept[start..end] {
                storage.is_stored[member as usize] |= self.last_use[member as usize] as usize >= end;
                if let Some(&parameter) = self.overwrites.get(&member)
                    && self.last_use[parameter as usize] as usize >= end
                {
                    self.separated.insert(member);
                }
            }
            let border = if start > 0 { Border::Limits } else { cluster.border };
            parts.push(Part { cluster: number, members: kept[start..end].to_vec(), border });
            start = end;
        }
    }

    /// The members that something stored needs and that are computed here alone.
    fn kept(&mut self, number: u32, storage: &Storage) -> Vec<u32> {
        let members = &self.clusters.list[number as usize].members;
        for &member in members.iter().rev() {
            let index = member as usize;
            self.is_needed[index] |= storage.is_stored[index];
            if self.is_needed[index] {
                for operand in &self.entries[index].operands {
                    if self.clusters.home[operand.base as usize] == number {
                        self.is_needed[operand.base as usize] = true;
                    }
                }
            }
        }
        let is_kept = |&&member: &&u32| self.is_needed[member as usize] && !storage.is_pulled(member);
        members.iter().filter(is_kept).copied().collect()
    }

    /// Where the longest part from `start` on ends that keeps within the limits, at least one member later.
    fn longest_part(&self, cluster: &Cluster, kept: &[u32], start: usize, storage: &Storage) -> usize {
        let anchor = cluster.anchor;
        if matches!(self.entries[kept[start] as usize].work, Work::Scan { .. }) {
            // A loop binds nothing: its steps do.
            return kept.len();
        }
        // What is read, and over what: a kernel has an input for each of these.
        let mut reads: Vec<(u32, View, Option<Space>)> = Vec::new();
        let mut bases: Vec<u32> = Vec::new();
        let mut inside: Vec<u32> = Vec::new();
        // Elementwise work binds a buffer once, however many views of it are read.
        let mut distinct: Vec<u32> = Vec::new();
        let mut is_flat = anchor.is_none();
        let mut best = start + 1;
        for place in start..kept.len().min(start + MOST_MEMBERS) {
            let member = kept[place];
            inside.push(member);
            is_flat &= matches!(self.entries[member as usize].work, Work::Elementwise(_))
                && self.clusters.spaces[member as usize] == self.clusters.spaces[kept[start] as usize];
            let is_anchor = anchor == Some(member);
            storage.for_each_read(self.entries, member, &mut |read| {
                if inside.contains(&read.base) || self.entries[read.base as usize].work.is_inlined() {
                    return;
                }
                let space = (!is_anchor).then(|| self.space_of_read(cluster, member, read));
                let key = (read.base, read.view(), space);
                if is_anchor || !reads.contains(&key) {
                    reads.push(key);
                    bases.push(read.base);
                    if !distinct.contains(&read.base) {
                        distinct.push(read.base);
                    }
                }
            });
            let is_written =
                |&&member: &&u32| storage.is_stored[member as usize] || self.last_use[member as usize] as usize > place;
            let is_in_place = |&&member: &&u32| {
                self.overwrites.get(&member).is_some_and(|parameter| {
                    bases.contains(parameter) && self.last_use[*parameter as usize] as usize <= place
                })
            };
            let written = inside.iter().filter(is_written).filter(|member| !is_in_place(member)).count();
            let read = if is_flat { distinct.len() } else { bases.len() };
            if read + written <= self.bindings {
                best = place + 1;
            } else if read > self.bindings {
                break;
            }
        }
        best
    }

    /// Over what a member reads something: a reduction over the elements that it reduces, but for one of stored values of rows.
    fn space_of_read(&self, cluster: &Cluster, member: u32, read: &Layout) -> Space {
        let own = self.clusters.spaces[member as usize];
        if !matches!(self.entries[member as usize].work, Work::Reduce { .. }) {
            return own;
        }
        let is_of_rows = own == Space::Whole
            && self.clusters.spaces[read.base as usize] == Space::Row
            && read.shape.elements() != cluster.domain.elements;
        if is_of_rows { Space::Row } else { Space::Element }
    }
}

/// The part that computes each entry that a part computes.
pub(crate) fn part_of(parts: &[Part], entries: usize) -> Vec<u32> {
    let mut part_of = vec![NONE; entries];
    for (number, part) in parts.iter().enumerate() {
        for &member in &part.members {
            part_of[member as usize] = number as u32;
        }
    }
    part_of
}
