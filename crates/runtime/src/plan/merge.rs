//! Clusters that read the same elements become one, so that these are read once.
//!
//! The gradient of a layer's bias sums what the next gradient is computed from; neither needs the other, so `cluster` had no reason to
//! put them together; and `x cos - y sin` and `x sin + y cos` of two slices x and y of one tensor have one pass over these in common. Clusters of one rank have no path
//! between them and can always be merged. They are if they read one tensor in order, or through one view, over domains that fit together, and if
//! one kernel can bind all that both read and write.

use std::collections::{HashMap, HashSet};

use arenagrad_kernels::Space;
use smallvec::SmallVec;

use crate::plan::cluster::{Cluster, Clusters, Domain, NONE, find, is_in_order};
use crate::plan::entries::Entry;
use crate::plan::layout::Layout;
use crate::plan::recompute::Storage;

/// The most members of a cluster that is looked at for merging: what is longer is cut anyway.
const MOST_MEMBERS: usize = 64;

/// How many readers in a row are looked at that cannot be in one kernel with a cluster, before it is taken as it is. Thousands of readers
/// of one tensor would otherwise all be held against one another.
const MOST_MISFITS: usize = 16;

/// Views of a buffer, none for the buffer as it is, each with the place of its readers.
type PlacesOfViews = SmallVec<[(Option<Layout>, usize); 1]>;

/// Merges what can be in kernels of so many bindings. What a cluster computes again counts as read from where that leads.
pub(crate) fn merge(entries: &[Entry], clusters: &mut Clusters, storage: &Storage, bindings: usize) {
    let mut readers: Vec<SmallVec<[u32; 4]>> = Vec::new();
    // Those who read a buffer as it is, and through each view of it. Thousands of slices of one buffer begin at places of their own.
    let mut places_of: HashMap<(u32, usize, usize), PlacesOfViews> = HashMap::new();
    for (number, cluster) in clusters.list.iter().enumerate() {
        if cluster.anchor.is_some() || cluster.members.len() > MOST_MEMBERS || cluster.domain.is_irregular {
            continue;
        }
        for &member in &cluster.members {
            storage.for_each_read(entries, member, &mut |operand| {
                let base = operand.base;
                let is_own = clusters.home[base as usize] == number as u32 || entries[base as usize].work.is_inlined();
                let elements = operand.shape.elements();
                // What is spread is little to read, and no reason to go together.
                let is_spread = entries[base as usize].shape.elements() < elements;
                if !is_own && !is_spread && elements == cluster.domain.elements {
                    let view = (!is_in_order(entries, operand)).then_some(operand);
                    let places = places_of.entry((base, operand.offset, elements)).or_default();
                    let known = places.iter().find(|(of, _)| of.as_ref() == view).map(|(_, place)| *place);
                    let place = known.unwrap_or_else(|| {
                        readers.push(SmallVec::new());
                        places.push((view.cloned(), readers.len() - 1));
                        readers.len() - 1
                    });
                    if readers[place].last() != Some(&(number as u32)) {
                        readers[place].push(number as u32);
                    }
                }
            });
        }
    }
    let ranks: Vec<u32> = clusters.list.iter().map(|cluster| cluster.rank).collect();
    let mut merger = Merger::new(entries, clusters, storage, bindings);
    for mut readers in readers {
        // Clusters of other ranks never become one, and a tensor may be read at thousands of them.
        readers.sort_by_key(|&reader| ranks[reader as usize]);
        readers
            .chunk_by(|&a, &b| ranks[a as usize] == ranks[b as usize])
            .for_each(|readers| merger.merge_readers(readers));
    }
    merger.finish();
}

/// What came of two clusters.
enum Attempt {
    Merged,
    /// They are of another kind, or one already.
    Unlike,
    /// Together they are too much for one kernel.
    Misfit,
}

pub(super) struct Merger<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) clusters: &'a mut Clusters,
    pub(super) storage: &'a Storage,
    pub(super) bindings: usize,
    pub(super) parents: Vec<u32>,
}

impl<'a> Merger<'a> {
    pub(super) fn new(entries: &'a [Entry], clusters: &'a mut Clusters, storage: &'a Storage, bindings: usize) -> Self {
        let parents = (0..clusters.list.len() as u32).collect();
        Merger { entries, clusters, storage, bindings, parents }
    }

    /// The cluster that a cluster has become part of.
    pub(super) fn root(&self, mut cluster: u32) -> u32 {
        while self.parents[cluster as usize] != cluster {
            cluster = self.parents[cluster as usize];
        }
        cluster
    }

    /// Gives the members of merged clusters their new home.
    pub(super) fn finish(mut self) {
        for home in self.clusters.home.iter_mut().filter(|home| **home != NONE) {
            *home = find(&mut self.parents, *home);
        }
    }

    /// Merges what can be of clusters that read one tensor, each with those after it.
    fn merge_readers(&mut self, readers: &[u32]) {
        // Clusters that have become one have been held against the rest together.
        let mut done: HashSet<u32> = HashSet::new();
        for (place, &first) in readers.iter().enumerate() {
            if !done.insert(find(&mut self.parents, first)) {
                continue;
            }
            let mut misfits = 0;
            for &second in &readers[place + 1..] {
                match self.try_merge(first, second) {
                    Attempt::Merged => misfits = 0,
                    Attempt::Unlike => {}
                    Attempt::Misfit => misfits += 1,
                }
                if misfits == MOST_MISFITS {
                    break;
                }
            }
        }
    }

    fn try_merge(&mut self, first: u32, second: u32) -> Attempt {
        let (first, second) = (find(&mut self.parents, first), find(&mut self.parents, second));
        let list = &self.clusters.list;
        let (a, b) = (&list[first as usize], &list[second as usize]);
        if first == second || a.rank != b.rank {
            return Attempt::Unlike;
        }
        if a.members.len() + b.members.len() > MOST_MEMBERS {
            return Attempt::Misfit;
        }
        let Some(domain) = a.domain.joined(&b.domain) else { return Attempt::Unlike };
        if !self.sums_columns_well(a, b, &domain) {
            return Attempt::Misfit;
        }
        if !self.fits(first, second) {
            return Attempt::Misfit;
        }
        self.unite(first, second);
        self.clusters.list[first as usize].domain = domain;
        Attempt::Merged
    }

    /// Makes the members of a cluster those of another.
    pub(super) fn unite(&mut self, first: u32, second: u32) {
        let members = std::mem::take(&mut self.clusters.list[second as usize].members);
        let merged = &mut self.clusters.list[first as usize];
        merged.members.extend(members);
        merged.members.sort_unstable();
        self.parents[second as usize] = first;
    }

    /// Whether sums over the rows may stand beside the other work; see [`Domain::allows_column_sums`].
    fn sums_columns_well(&self, a: &Cluster, b: &Cluster, domain: &Domain) -> bool {
        let mut members = a.members.iter().chain(&b.members);
        members.all(|&member| self.clusters.spaces[member as usize] != Space::Column) || domain.allows_column_sums()
    }

    /// Whether one kernel can bind what both clusters read and write.
    pub(super) fn fits(&mut self, first: u32, second: u32) -> bool {
        let Merger { entries, clusters, storage, bindings, parents } = self;
        let mut reads: SmallVec<[u32; 16]> = SmallVec::new();
        let mut written = 0;
        for cluster in [first, second] {
            for &member in &clusters.list[cluster as usize].members {
                written += usize::from(storage.is_stored[member as usize]);
                storage.for_each_read(entries, member, &mut |operand| {
                    let base = operand.base;
                    let home = clusters.home[base as usize];
                    let home = if home == NONE { NONE } else { find(parents, home) };
                    let is_read = home != first && home != second && !entries[base as usize].work.is_inlined();
                    if is_read && !reads.contains(&base) {
                        reads.push(base);
                    }
                });
            }
        }
        reads.len() + written <= *bindings
    }
}
