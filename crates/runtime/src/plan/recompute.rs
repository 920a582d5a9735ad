//! Which values are stored, and which are computed again in each kernel that reads them.
//!
//! A value that crosses from one cluster to another is written to memory and read back, unless it is cheaper to compute it again from what is
//! stored anyway. Values of rows and columns are small and always stored; so are results of reductions and of kernels of their own. What
//! remains are elementwise values that their readers would take element by element.
//!
//! What is rounded to 16 bits is stored where it crosses, for that is why it was rounded.
//!
//! A value whose computation leads back to something that is not stored, such as the result of a matrix product that only its own
//! elementwise work reads, is stored, unless several values lead back to the same one: then that one is stored, and
//! they are computed from it.

use std::collections::{HashMap, HashSet};

use arenagrad_kernels::{Space, cost};
use smallvec::SmallVec;

use crate::plan::cluster::{Clusters, NONE, is_in_order};
use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;

/// How far back a value is computed again: so many entries.
const FARTHEST: usize = 16;
/// The most operations of one entry that is computed a second time.
const MOST_OPERATIONS: usize = 4;
/// How many bytes move to and from memory in the time of one operation.
const OPERATION_BYTES: usize = 2;

/// What becomes of each entry.
#[derive(Clone)]
pub(crate) struct Storage {
    /// Whether the entry has a buffer that its kernel writes.
    pub(crate) is_stored: Vec<bool>,
    /// Whether whoever reads it computes it for itself.
    pub(crate) is_recomputed: Vec<bool>,
}

impl Storage {
    /// Whether a kernel that does not have the entry among its members computes it for itself.
    pub(crate) fn is_pulled(&self, entry: u32) -> bool {
        self.is_recomputed[entry as usize] && !self.is_stored[entry as usize]
    }

    /// Calls `visit` for what an entry reads, through entries that whoever computes it computes for itself.
    pub(crate) fn for_each_read(&self, entries: &[Entry], entry: u32, visit: &mut dyn FnMut(&Layout)) {
        for computed in self.computed_for(entries, entry) {
            let operands = &entries[computed as usize].operands;
            operands.iter().filter(|operand| !self.is_pulled(operand.base)).for_each(&mut *visit);
        }
    }

    /// What whoever computes an entry computes for it, the entry itself first.
    pub(crate) fn computed_for(&self, entries: &[Entry], entry: u32) -> SmallVec<[u32; 8]> {
        let mut computed: SmallVec<[u32; 8]> = SmallVec::new();
        computed.push(entry);
        let mut next = 0;
        while let Some(&entry) = computed.get(next) {
            next += 1;
            for operand in &entries[entry as usize].operands {
                if self.is_pulled(operand.base) && !computed.contains(&operand.base) {
                    computed.push(operand.base);
                }
            }
        }
        computed
    }
}

/// Decides for all entries; those that `required` marks are stored. A kernel has so many bindings.
pub(crate) fn recompute(entries: &[Entry], clusters: &Clusters, required: &[bool], bindings: usize) -> Storage {
    let mut readers = Readers::new(entries, clusters);
    let mut storage = Storage { is_stored: required.to_vec(), is_recomputed: vec![false; entries.len()] };
    let mut crossing: Vec<u32> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if !entry.work.is_computed() || required[index] {
            continue;
        }
        match readers.kind[index] {
            Reading::AtHome => {}
            Reading::Taken
                if matches!(entry.work, Work::Elementwise(_))
                    && clusters.spaces[index] == Space::Element
                    // What is rounded to fewer bytes is meant to be stored in them: from what is wider it would be computed again.
                    && entry.storage.is_native() =>
            {
                crossing.push(index as u32);
            }
            Reading::Taken | Reading::Stored => storage.is_stored[index] = true,
        }
    }
    let mut is_crossing = vec![false; entries.len()];
    crossing.iter().for_each(|&value| is_crossing[value as usize] = true);
    let mut rejected: Vec<u32> = Vec::new();
    let mut decider = Decider { entries, clusters, readers: &readers, is_crossing, loads: HashSet::new() };
    // How many values lead back to each entry that is not stored.
    let mut leading: HashMap<u32, u32> = HashMap::new();
    for &value in &crossing {
        if let Some(back) = decider.back(value, &storage)
            && let [source] = back.unstored[..]
        {
            *leading.entry(source).or_default() += 1;
        }
    }
    for &value in &crossing {
        if storage.is_stored[value as usize] {
            continue;
        }
        let Some(mut back) = decider.back(value, &storage) else {
            storage.is_stored[value as usize] = true;
            continue;
        };
        if let [source] = back.unstored[..]
            && leading.get(&source).is_some_and(|&count| count > 1)
        {
            storage.is_stored[source as usize] = true;
            back.loads.push((source, NONE));
            back.unstored.clear();
        }
        if back.unstored.is_empty() && decider.pays(value, &back) {
            for &(load, _) in &back.loads {
                // A row's value that only its own kernel has read so far.
                storage.is_stored[load as usize] |= entries[load as usize].work.is_computed();
            }
            for &entry in &back.computed {
                storage.is_recomputed[entry as usize] = true;
            }
        } else {
            storage.is_stored[value as usize] = true;
            rejected.push(value);
        }
    }
    // What a value was needed for at home may have moved to its readers meanwhile: they may as well compute the value too.
    let Decider { is_crossing, loads, .. } = decider;
    readers.follow_moved(entries, clusters, &storage);
    let mut decider = Decider { entries, clusters, readers: &readers, is_crossing, loads };
    for value in rejected {
        storage.is_stored[value as usize] = false;
        match decider.back(value, &storage) {
            Some(back) if back.unstored.is_empty() && decider.pays(value, &back) => {
                for &(load, _) in &back.loads {
                    storage.is_stored[load as usize] |= entries[load as usize].work.is_computed();
                }
                back.computed.iter().for_each(|&entry| storage.is_recomputed[entry as usize] = true);
            }
            Some(_) | None => storage.is_stored[value as usize] = true,
        }
    }
    keep_within_bindings(entries, &mut storage, bindings);
    storage
}

/// Stores values again where one entry alone would read too many buffers because of what it computes again.
fn keep_within_bindings(entries: &[Entry], storage: &mut Storage, bindings: usize) {
    let mut stored: Vec<u32> = Vec::new();
    for index in 0..entries.len() as u32 {
        keep_entry_within(entries, storage, bindings, index, &mut stored);
    }
    if stored.is_empty() {
        return;
    }
    // A value that is stored for the sake of one entry is one buffer more for another that goes on reading what it is computed from.
    let mut users: HashMap<u32, Vec<u32>> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        for operand in entry.operands.iter().filter(|operand| storage.is_recomputed[operand.base as usize]) {
            users.entry(operand.base).or_default().push(index as u32);
        }
    }
    while let Some(value) = stored.pop() {
        let mut seen = HashSet::from([value]);
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            for &user in users.get(&value).into_iter().flatten() {
                keep_entry_within(entries, storage, bindings, user, &mut stored);
                // Whoever computes the user for itself reads the value too.
                if storage.is_pulled(user) && seen.insert(user) {
                    stack.push(user);
                }
            }
        }
    }
}

/// Stores operands of one entry until it reads few enough buffers, and adds them to `stored`.
fn keep_entry_within(entries: &[Entry], storage: &mut Storage, bindings: usize, index: u32, stored: &mut Vec<u32>) {
    let entry = &entries[index as usize];
    if !matches!(entry.work, Work::Elementwise(_) | Work::Reduce { .. }) {
        return;
    }
    for operand in &entry.operands {
        let mut reads: SmallVec<[u32; 8]> = SmallVec::new();
        storage.for_each_read(entries, index, &mut |read| {
            if !entries[read.base as usize].work.is_inlined() {
                reads.push(read.base);
            }
        });
        // One binding is for the result.
        if reads.len() < bindings {
            break;
        }
        if storage.is_pulled(operand.base) {
            storage.is_stored[operand.base as usize] = true;
            stored.push(operand.base);
        }
    }
}

/// How an entry is read by other clusters than its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Not at all.
    AtHome,
    /// Element by element, by what could compute it for itself.
    Taken,
    /// By something that needs it in memory.
    Stored,
}

struct Readers {
    kind: Vec<Reading>,
    /// The clusters other than its own that read each entry.
    clusters: Vec<SmallVec<[u32; 2]>>,
    /// How often each entry is an operand.
    uses: Vec<u32>,
    /// How often it is one in its own cluster.
    home_uses: Vec<u32>,
    /// What clusters read that others compute, or nobody: how often each cluster uses each entry.
    loads: HashMap<(u32, u32), u32>,
}

impl Readers {
    fn new(entries: &[Entry], clusters: &Clusters) -> Self {
        let mut kind = vec![Reading::AtHome; entries.len()];
        let mut reading: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); entries.len()];
        let mut uses = vec![0; entries.len()];
        let mut home_uses = vec![0; entries.len()];
        let mut loads: HashMap<(u32, u32), u32> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let home = clusters.home[index];
            for operand in &entry.operands {
                let base = operand.base as usize;
                uses[base] += 1;
                home_uses[base] += u32::from(clusters.home[base] == home);
                if clusters.home[base] != home {
                    *loads.entry((home, operand.base)).or_default() += 1;
                }
                if clusters.home[base] == NONE || clusters.home[base] == home {
                    continue;
                }
                let is_taken = match entry.work {
                    Work::Elementwise(_) => {
                        is_in_order(entries, operand) && entry.shape.elements() == operand.shape.elements()
                    }
                    Work::Reduce { .. } => is_in_order(entries, operand),
                    Work::Input(_)
                    | Work::Parameter(_)
                    | Work::Literal(_)
                    | Work::Constant(_)
                    | Work::Empty
                    | Work::Iota { .. }
                    | Work::ArgMax { .. }
                    | Work::Ordered(_)
                    | Work::MatMul
                    | Work::Attention(_)
                    | Work::Gather { .. }
                    | Work::ScatterAdd { .. }
                    | Work::ScatterReduce { .. }
                    | Work::Pad { .. }
                    | Work::Concat { .. }
                    | Work::Scan { .. }
                    | Work::AllReduce
                    | Work::LinearAlgebra { .. } => false,
                };
                if !is_taken {
                    kind[base] = Reading::Stored;
                } else if kind[base] == Reading::AtHome {
                    kind[base] = Reading::Taken;
                }
                if !reading[base].contains(&home) {
                    reading[base].push(home);
                }
            }
        }
        Readers { kind, clusters: reading, uses, home_uses, loads }
    }
}

impl Readers {
    /// Counts what is computed again as done by its readers, and no more at home.
    fn follow_moved(&mut self, entries: &[Entry], clusters: &Clusters, storage: &Storage) {
        for index in (0..entries.len()).rev().filter(|&index| storage.is_pulled(index as u32)) {
            for operand in &entries[index].operands {
                let base = operand.base as usize;
                if clusters.home[base] == NONE || clusters.home[base] != clusters.home[index] {
                    continue;
                }
                self.home_uses[base] -= 1;
                let moved: SmallVec<[u32; 2]> = self.clusters[index]
                    .iter()
                    .copied()
                    .filter(|reader| !self.clusters[base].contains(reader))
                    .collect();
                self.clusters[base].extend(moved);
            }
        }
    }
}

/// What computing a value again comes to.
struct Back {
    /// The entries that are computed, the value itself among them.
    computed: SmallVec<[u32; 8]>,
    /// For each of these what its own cluster reads from others on the way to it.
    through: SmallVec<[u32; 8]>,
    /// What is read from memory, and what the value's own cluster reads from others on the way to that.
    loads: SmallVec<[(u32, u32); 8]>,
    /// What would have to be read and is not stored.
    unstored: SmallVec<[u32; 4]>,
}

struct Decider<'a> {
    entries: &'a [Entry],
    clusters: &'a Clusters,
    readers: &'a Readers,
    /// Whether each entry is one of those that are decided here.
    is_crossing: Vec<bool>,
    /// What clusters read from memory because of values that they compute again: a cluster and an entry each.
    loads: HashSet<(u32, u32)>,
}

impl Decider<'_> {
    /// How a value is computed from what is stored; none if that leads too far.
    ///
    /// The way back ends at other values that are decided here, unless they are to be computed again, and at the border of the cluster.
    fn back(&self, value: u32, storage: &Storage) -> Option<Back> {
        let home = self.clusters.home[value as usize];
        let mut back = Back {
            computed: SmallVec::new(),
            through: SmallVec::new(),
            loads: SmallVec::new(),
            unstored: SmallVec::new(),
        };
        back.computed.push(value);
        back.through.push(NONE);
        let mut next = 0;
        while let Some(&entry) = back.computed.get(next) {
            let through = back.through[next];
            next += 1;
            let entry = &self.entries[entry as usize];
            for operand in &entry.operands {
                let base = operand.base;
                let source = &self.entries[base as usize];
                let is_known = back.computed.contains(&base)
                    || back.unstored.contains(&base)
                    || back.loads.iter().any(|&(load, _)| load == base);
                if source.work.is_inlined() || is_known {
                    continue;
                }
                let through = if through == NONE && self.clusters.home[base as usize] != home { base } else { through };
                let in_order = is_in_order(self.entries, operand) && source.shape.elements() == entry.shape.elements();
                let is_small = self.clusters.spaces[base as usize] != Space::Element;
                let is_border = self.clusters.home[base as usize] != home || self.is_crossing[base as usize];
                // What is rounded to fewer bytes is stored if anything is computed again from it.
                let is_narrow = !source.storage.is_native();
                let ends = is_narrow || (is_border && !storage.is_recomputed[base as usize]);
                if !source.work.is_computed() || storage.is_stored[base as usize] || is_small || ends {
                    back.loads.push((base, through));
                } else if in_order && self.is_computable(base) {
                    if back.computed.len() == FARTHEST {
                        return None;
                    }
                    back.computed.push(base);
                    back.through.push(through);
                } else {
                    back.unstored.push(base);
                }
            }
        }
        Some(back)
    }

    /// Whether an entry on the way back may be computed too: it is cheap, or nobody else needs it.
    fn is_computable(&self, entry: u32) -> bool {
        operations(&self.entries[entry as usize])
            .is_some_and(|operations| operations <= MOST_OPERATIONS || self.readers.uses[entry as usize] == 1)
    }

    /// Whether computing a value again costs no more than storing it and reading it back. If so, what its readers load for it counts as
    /// loaded from now on.
    fn pays(&mut self, value: u32, back: &Back) -> bool {
        let entry = &self.entries[value as usize];
        let elements = entry.shape.elements();
        let readers = &self.readers.clusters[value as usize];
        let mut saved = entry.storage.bytes() * (1 + readers.len());
        let mut spent = 0;
        // What is needed at home no more is computed no more often than before if there is one reader. From users to operands.
        let mut order = back.computed.clone();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let mut moved: SmallVec<[u32; 8]> = SmallVec::new();
        for computed in order {
            let home = self.clusters.home[computed as usize];
            let users = moved.iter().filter(|&&user| self.clusters.home[user as usize] == home);
            let uses = users.flat_map(|&user| &self.entries[user as usize].operands);
            let uses = uses.filter(|operand| operand.base == computed).count() as u32;
            let is_moved = self.readers.home_uses[computed as usize] == uses;
            if is_moved {
                moved.push(computed);
            }
            let times = readers.len() - usize::from(is_moved).min(readers.len());
            spent += OPERATION_BYTES * operations(&self.entries[computed as usize]).unwrap_or(0) * times;
        }
        // What the value's own cluster read for nothing else need not be read there any more.
        let home = self.clusters.home[value as usize];
        let at_home = || moved.iter().filter(|&&user| self.clusters.home[user as usize] == home);
        for &(load, through) in back.loads.iter().filter(|(_, through)| *through != NONE) {
            let operands = at_home().flat_map(|&user| &self.entries[user as usize].operands);
            let uses = operands.filter(|operand| operand.base == through).count() as u32;
            let source = &self.entries[load as usize];
            if source.shape.elements() == elements && self.readers.loads.get(&(home, through)) == Some(&uses) {
                saved += source.storage.bytes();
            }
        }
        let mut added: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        for &reader in readers {
            for &(load, _) in &back.loads {
                let source = &self.entries[load as usize];
                if source.shape.elements() == elements
                    && !self.readers.loads.contains_key(&(reader, load))
                    && !self.loads.contains(&(reader, load))
                {
                    spent += source.storage.bytes();
                    added.push((reader, load));
                }
            }
        }
        let pays = spent <= saved;
        if pays {
            self.loads.extend(added);
        }
        pays
    }
}

/// The operations of an elementwise entry; none for others.
fn operations(entry: &Entry) -> Option<usize> {
    match &entry.work {
        Work::Elementwise(Some(op)) => Some(cost::of_instruction(&op.instruction(&[0; 3]), entry.dtype)),
        Work::Elementwise(None) => Some(0),
        Work::Input(_)
        | Work::Parameter(_)
        | Work::Literal(_)
        | Work::Constant(_)
        | Work::Empty
        | Work::Iota { .. }
        | Work::Reduce { .. }
        | Work::ArgMax { .. }
        | Work::Ordered(_)
        | Work::MatMul
        | Work::Attention(_)
        | Work::Gather { .. }
        | Work::ScatterAdd { .. }
        | Work::ScatterReduce { .. }
        | Work::Pad { .. }
        | Work::Concat { .. }
        | Work::Scan { .. }
        | Work::AllReduce
        | Work::LinearAlgebra { .. } => None,
    }
}
