//! Which kernel computes which entry.
//!
//! A *cluster* is what one kernel will compute: elementwise entries and reductions over one domain, or a kernel of its own such as
//! a matrix product with the elementwise work on its result. Entries are taken in order, and each joins the cluster of its
//! operands if that cluster's domain can carry it: an element of the domain, a row's value that a reduction along the row gives, or what is
//! known after all rows. The vocabulary is that of [`arenagrad_kernels::Nest`].
//!
//! Every cluster has a *rank*, and what it reads comes from clusters of lower rank. So the clusters have no cycle, whatever is
//! joined: an entry joins a cluster only if its other operands have lower ranks, clusters of one rank may be merged, and a
//! cluster may be raised above another of its own rank. Nothing is planned twice.
//!
//! What is not decided here: which values are stored and which are computed again where they are read (`recompute`), and how many
//! buffers one kernel may bind (`divide`).

use std::collections::{HashMap, hash_map};

use arenagrad_graph::AxisSet;
use arenagrad_kernels::{Axis, Space, View};
use smallvec::SmallVec;

use crate::plan::border::Border;
use crate::plan::channels::Channels;
use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;

/// No cluster, or no buffer.
pub(crate) const NONE: u32 = u32::MAX;

/// The longest row whose values are read again after the row's reduction: it is to stay in a near cache.
pub(crate) const LONGEST_ROW: usize = 1 << 16;
/// The most columns of a reduction over rows that is computed beside other work: each thread has a total for each of them.
const MOST_COLUMNS: usize = 1 << 14;
/// The fewest rows of such a reduction.
const FEWEST_ROWS: usize = 16;
/// How many clusters are raised for the sake of one entry.
const MOST_RAISED: usize = 64;

/// The clusters of a plan.
pub(crate) struct Clusters {
    /// The cluster of each entry; [`NONE`] for what nobody computes.
    pub(crate) home: Vec<u32>,
    /// Over what each computed entry has elements, in its cluster's domain.
    pub(crate) spaces: Vec<Space>,
    pub(crate) list: Vec<Cluster>,
}

/// What one kernel computes.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Greater than that of every cluster that it reads from.
    pub(crate) rank: u32,
    /// The entry with a kernel of its own whose result the members work on.
    pub(crate) anchor: Option<u32>,
    pub(crate) domain: Domain,
    /// The members in order, the anchor among them.
    pub(crate) members: Vec<u32>,
    /// Why the first member did not join the clusters that it reads from.
    pub(crate) border: Border,
    /// The clusters that read from it.
    readers: Vec<u32>,
}

/// The positions that a cluster's members are computed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) elements: usize,
    /// How many rows the elements are divided into, once a reduction has decided it.
    pub(crate) rows: Option<usize>,
    /// Whether the one reduction goes along axes that are neither rows nor columns.
    pub(crate) is_irregular: bool,
    /// What an irregular reduction keeps, if that is neighbouring axes between those that are reduced.
    pub(crate) channels: Option<Channels>,
}

impl Domain {
    fn flat(elements: usize) -> Self {
        Domain { elements, rows: None, is_irregular: false, channels: None }
    }

    /// How many elements a row has.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.rows.map(|rows| self.elements / rows)
    }

    /// The view of a row's value from the elements.
    fn row_view(&self) -> Option<View> {
        let (rows, columns) = (self.rows?, self.columns()?);
        Some(View::new([Axis { extent: rows, stride: 1 }, Axis { extent: columns, stride: 0 }], 0))
    }

    /// Whether sums over the rows may be computed beside other work: there are rows enough and not too many columns, for each
    /// thread has a total of its own for each column.
    pub(crate) fn allows_column_sums(&self) -> bool {
        self.rows.is_some_and(|rows| rows >= FEWEST_ROWS)
            && self.columns().is_some_and(|columns| columns <= MOST_COLUMNS)
    }

    /// The domain that both domains' members can be computed in.
    pub(crate) fn joined(&self, other: &Domain) -> Option<Domain> {
        let rows = match (self.rows, other.rows) {
            (Some(a), Some(b)) if a != b => return None,
            (Some(rows), _) | (None, Some(rows)) => Some(rows),
            (None, None) => None,
        };
        let fits = self.elements == other.elements && !self.is_irregular && !other.is_irregular;
        fits.then_some(Domain { rows, ..Domain::flat(self.elements) })
    }
}

/// Whether an operand is its whole base in order: the element at a position stands at that position.
pub(crate) fn is_in_order(entries: &[Entry], operand: &Layout) -> bool {
    operand.is_contiguous() && entries[operand.base as usize].shape.elements() == operand.shape.elements()
}

/// Which axes of a shape are reduced, as rows and columns. Axes of extent 1 count for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduced {
    All,
    /// The last axes: so many rows remain.
    Columns {
        rows: usize,
    },
    /// The first axes, which are so many rows.
    Rows {
        rows: usize,
    },
    Other,
}

fn reduced(operand: &Layout, axes: AxisSet) -> Reduced {
    let long = || (0..operand.shape.rank()).filter(|&axis| operand.shape[axis] != 1);
    let extent = |reduced: bool| -> usize {
        long().filter(|&axis| axes.contains(axis) == reduced).map(|axis| operand.shape[axis]).product()
    };
    let changes = long().zip(long().skip(1)).filter(|&(a, b)| axes.contains(a) != axes.contains(b)).count();
    match long().next_back() {
        None => Reduced::All,
        Some(_) if changes > 1 => Reduced::Other,
        Some(last) if changes == 0 && axes.contains(last) => Reduced::All,
        Some(_) if changes == 0 => Reduced::Other,
        Some(last) if axes.contains(last) => Reduced::Columns { rows: extent(false) },
        Some(_) => Reduced::Rows { rows: extent(true) },
    }
}

/// The clusters of all computed entries.
pub(crate) fn cluster(entries: &[Entry]) -> Clusters {
    let mut builder = Builder {
        entries,
        widens: widens(entries),
        home: vec![NONE; entries.len()],
        spaces: vec![Space::Element; entries.len()],
        list: Vec::new(),
        parents: Vec::new(),
        loops: HashMap::new(),
        attention: HashMap::new(),
        exchange: None,
    };
    for (index, entry) in entries.iter().enumerate() {
        if entry.work.is_computed() {
            builder.place(index as u32);
        }
    }
    builder.finish()
}

/// Which entries are repeated over a larger domain by what is computed from them: a row's largest element that is subtracted from
/// the row, against a sum that is only reported.
fn widens(entries: &[Entry]) -> Vec<bool> {
    let mut widens = vec![false; entries.len()];
    for (index, entry) in entries.iter().enumerate().rev() {
        if let Work::Elementwise(_) = entry.work {
            for operand in &entry.operands {
                let base = operand.base as usize;
                let (own, all) = (entries[base].shape.elements(), entry.shape.elements());
                widens[base] |= own < all || own == all && widens[index];
            }
        }
    }
    widens
}

struct Builder<'a> {
    entries: &'a [Entry],
    widens: Vec<bool>,
    home: Vec<u32>,
    spaces: Vec<Space>,
    list: Vec<Cluster>,
    /// Clusters that were merged point to the one that they became part of.
    parents: Vec<u32>,
    /// The cluster of each loop, which computes all its results.
    loops: HashMap<u32, u32>,
    /// The cluster of each computation of attention.
    attention: HashMap<u32, u32>,
    /// The cluster of the last exchange with other processes.
    exchange: Option<u32>,
}

/// How an entry would join a cluster.
#[derive(Clone, Copy)]
struct Fit {
    space: Space,
    domain: Domain,
}

impl Builder<'_> {
    fn place(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let mut sources = self.sources(entry);
        if entry.work == Work::AllReduce {
            // Exchanges follow one another in all processes alike, so none may be of the rank of another.
            if let Some(last) = self.exchange
                && !sources.contains(&last)
            {
                sources.push(last);
            }
            self.exchange = Some(self.list.len() as u32);
        }
        if let Work::Scan { number, .. } = entry.work {
            let cluster = *self.loops.entry(number).or_insert(self.list.len() as u32);
            if let Some(own) = self.list.get_mut(cluster as usize) {
                own.members.push(index);
                self.home[index as usize] = cluster;
                return;
            }
        }
        if let Some(cluster) = self.of_same_attention(entry) {
            self.list[cluster as usize].members.push(index);
            self.home[index as usize] = cluster;
            return self.link(&sources, cluster);
        }
        let rank = sources.iter().map(|&source| self.list[source as usize].rank).max().unwrap_or(0);
        let mut border = if sources.is_empty() { Border::Leaves } else { Border::Dependence };
        if matches!(entry.work, Work::Elementwise(_) | Work::Reduce { .. }) {
            let mut candidates: SmallVec<[u32; 4]> =
                sources.iter().copied().filter(|&source| self.list[source as usize].rank == rank).collect();
            // Results of kernels of their own first: they are the largest, and their work joins nothing else.
            candidates.sort_by_key(|&candidate| self.list[candidate as usize].anchor.is_none());
            for &candidate in &candidates {
                match self.join(index, candidate, &candidates) {
                    Ok(()) => return self.link(&sources, self.home[index as usize]),
                    Err(other) => border = other,
                }
            }
        } else {
            border = Border::OwnKernel;
        }
        let fit = self.alone(index);
        let number = self.list.len() as u32;
        let anchor = (border == Border::OwnKernel).then_some(index);
        let domain = fit.domain;
        self.list.push(Cluster { rank: rank + 1, anchor, domain, members: vec![index], border, readers: Vec::new() });
        self.parents.push(number);
        self.home[index as usize] = number;
        self.spaces[index as usize] = fit.space;
        self.link(&sources, number);
    }

    /// The cluster of another result of the same attention. It reads what this one reads, so it may compute both.
    fn of_same_attention(&mut self, entry: &Entry) -> Option<u32> {
        let Work::Attention(work) = &entry.work else { return None };
        match self.attention.entry(work.computation) {
            hash_map::Entry::Occupied(known) => Some(find(&mut self.parents, *known.get())),
            hash_map::Entry::Vacant(unknown) => {
                unknown.insert(self.list.len() as u32);
                None
            }
        }
    }

    /// The clusters that an entry reads from, each once.
    fn sources(&mut self, entry: &Entry) -> SmallVec<[u32; 4]> {
        let mut sources: SmallVec<[u32; 4]> = SmallVec::new();
        for operand in &entry.operands {
            let home = self.home[operand.base as usize];
            if home != NONE {
                let home = find(&mut self.parents, home);
                if !sources.contains(&home) {
                    sources.push(home);
                }
            }
        }
        sources
    }

    fn link(&mut self, sources: &[u32], reader: u32) {
        for &source in sources {
            let source = find(&mut self.parents, source);
            if source != reader {
                self.list[source as usize].readers.push(reader);
            }
        }
    }

    /// Makes an entry a member of `cluster`, whose `others` of the same rank it reads from too: they are merged with it, or it is
    /// raised above them.
    fn join(&mut self, index: u32, cluster: u32, others: &[u32]) -> Result<(), Border> {
        let mut target = self.list[cluster as usize].domain;
        if self.list[cluster as usize].anchor.is_some_and(|anchor| !self.entries[anchor as usize].work.is_product()) {
            return Err(Border::AfterKernel);
        }
        let mut merged: SmallVec<[u32; 4]> = SmallVec::new();
        if self.list[cluster as usize].anchor.is_none() {
            for &other in others.iter().filter(|&&other| other != cluster) {
                let other_cluster = &self.list[other as usize];
                if let Some(joined) = target.joined(&other_cluster.domain).filter(|_| other_cluster.anchor.is_none()) {
                    target = joined;
                    merged.push(other);
                }
            }
        }
        let within = |home: u32| home == cluster || merged.contains(&home);
        let fit = self.fit(index, &target, self.list[cluster as usize].anchor.is_some(), &within)?;
        if merged.len() + 1 < others.len() {
            let rank = self.list[cluster as usize].rank;
            let mut raised: SmallVec<[u32; 4]> = merged.clone();
            raised.push(cluster);
            if !self.raise(&raised, rank + 1) {
                return Err(Border::Dependence);
            }
        }
        for other in merged {
            self.merge(cluster, other);
        }
        let joined = &mut self.list[cluster as usize];
        joined.domain = fit.domain;
        joined.members.push(index);
        self.home[index as usize] = cluster;
        self.spaces[index as usize] = fit.space;
        Ok(())
    }

    /// How an entry would join clusters over `domain`, of which `within` tells what belongs to them.
    fn fit(
        &mut self,
        index: u32,
        domain: &Domain,
        is_anchored: bool,
        within: &dyn Fn(u32) -> bool,
    ) -> Result<Fit, Border> {
        let entries = self.entries;
        let entry = &entries[index as usize];
        let elements = entry.shape.elements();
        let mut space: Option<Space> = None;
        for operand in &entry.operands {
            let base = operand.base as usize;
            if self.home[base] == NONE || !within(find(&mut self.parents, self.home[base])) {
                continue;
            }
            let own = self.spaces[base];
            if let Work::Reduce { axes, .. } = entry.work {
                return self.fit_reduction(index, operand, axes, domain, is_anchored);
            }
            let carried = is_in_order(entries, operand) && elements == entries[base].shape.elements();
            let seen = match own {
                _ if carried => own,
                Space::Element => return Err(Border::Order),
                Space::Row if elements == domain.elements && domain.row_view().as_ref() == Some(&operand.view()) => {
                    if domain.columns().is_some_and(|columns| columns > LONGEST_ROW) {
                        return Err(Border::Length);
                    }
                    Space::Element
                }
                Space::Row => return Err(Border::Order),
                Space::Whole if Some(elements) == domain.columns() && space != Some(Space::Whole) => Space::Column,
                Space::Column | Space::Whole => return Err(Border::AfterAllRows),
            };
            if space.is_some_and(|space| space != seen) {
                return Err(Border::Order);
            }
            space = Some(seen);
        }
        match space {
            Some(space) => Ok(Fit { space, domain: *domain }),
            None => Err(Border::Leaves),
        }
    }

    fn fit_reduction(
        &self,
        index: u32,
        operand: &Layout,
        axes: AxisSet,
        domain: &Domain,
        is_anchored: bool,
    ) -> Result<Fit, Border> {
        if is_anchored {
            return Err(Border::AfterKernel);
        }
        if !is_in_order(self.entries, operand) {
            return Err(Border::Order);
        }
        let fit = |space, rows| Ok(Fit { space, domain: Domain { rows, ..*domain } });
        let along = reduced(operand, axes);
        match self.spaces[operand.base as usize] {
            Space::Element if domain.is_irregular => Err(Border::Axes),
            Space::Element => match along {
                Reduced::All => match domain.rows {
                    None | Some(1) if self.widens[index as usize] && domain.elements <= LONGEST_ROW => {
                        fit(Space::Row, Some(1))
                    }
                    rows => fit(Space::Whole, rows),
                },
                Reduced::Columns { rows } | Reduced::Rows { rows } if domain.rows.is_some_and(|own| own != rows) => {
                    Err(Border::Axes)
                }
                Reduced::Columns { rows } => fit(Space::Row, Some(rows)),
                Reduced::Rows { rows } if Domain { rows: Some(rows), ..*domain }.allows_column_sums() => {
                    fit(Space::Column, Some(rows))
                }
                Reduced::Rows { .. } => Err(Border::Length),
                Reduced::Other => Err(Border::Axes),
            },
            Space::Row if along == Reduced::All && !domain.is_irregular => fit(Space::Whole, domain.rows),
            Space::Row => Err(Border::Axes),
            Space::Column | Space::Whole => Err(Border::AfterAllRows),
        }
    }

    /// The space and domain of an entry that begins a cluster.
    fn alone(&self, index: u32) -> Fit {
        let entry = &self.entries[index as usize];
        let Work::Reduce { axes, .. } = entry.work else {
            return Fit { space: Space::Element, domain: Domain::flat(entry.shape.elements()) };
        };
        let operand = &entry.operands[0];
        let flat = Domain::flat(operand.shape.elements());
        let with = |rows| Domain { rows: Some(rows), ..flat };
        let repeated = self.widens[index as usize] && flat.elements <= LONGEST_ROW;
        match reduced(operand, axes) {
            Reduced::All if repeated => Fit { space: Space::Row, domain: with(1) },
            Reduced::All => Fit { space: Space::Whole, domain: flat },
            Reduced::Columns { rows } => Fit { space: Space::Row, domain: with(rows) },
            Reduced::Rows { rows } => Fit { space: Space::Column, domain: with(rows) },
            Reduced::Other => {
                let channels = Channels::of(&operand.shape, axes);
                Fit { space: Space::Row, domain: Domain { is_irregular: true, channels, ..flat } }
            }
        }
    }

    /// Raises clusters to `rank`, and what reads from them above it; or nothing, if that is too many.
    fn raise(&mut self, clusters: &[u32], rank: u32) -> bool {
        let mut raised: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        let mut stack: SmallVec<[(u32, u32); 8]> = clusters.iter().map(|&cluster| (cluster, rank)).collect();
        while let Some((cluster, rank)) = stack.pop() {
            let before = self.list[cluster as usize].rank;
            if before >= rank {
                continue;
            }
            if raised.len() == MOST_RAISED {
                for (cluster, rank) in raised.into_iter().rev() {
                    self.list[cluster as usize].rank = rank;
                }
                return false;
            }
            raised.push((cluster, before));
            self.list[cluster as usize].rank = rank;
            for place in 0..self.list[cluster as usize].readers.len() {
                let reader = self.list[cluster as usize].readers[place];
                stack.push((find(&mut self.parents, reader), rank + 1));
            }
        }
        true
    }

    /// Makes `other` part of `cluster`, which keeps its number.
    fn merge(&mut self, cluster: u32, other: u32) {
        self.parents[other as usize] = cluster;
        let mut members = std::mem::take(&mut self.list[other as usize].members);
        let mut readers = std::mem::take(&mut self.list[other as usize].readers);
        let joined = &mut self.list[cluster as usize];
        // The fewer are added to the more, so that a cluster that grows by merging does not move its members each time.
        if joined.members.len() < members.len() {
            std::mem::swap(&mut joined.members, &mut members);
        }
        if joined.readers.len() < readers.len() {
            std::mem::swap(&mut joined.readers, &mut readers);
        }
        joined.members.extend(members);
        joined.readers.extend(readers);
    }

    fn finish(mut self) -> Clusters {
        let mut home = std::mem::take(&mut self.home);
        for home in home.iter_mut().filter(|home| **home != NONE) {
            *home = find(&mut self.parents, *home);
        }
        for cluster in &mut self.list {
            cluster.members.sort_unstable();
        }
        Clusters { home, spaces: self.spaces, list: self.list }
    }
}

/// The root of a set, with the path to it halved on the way.
pub(crate) fn find(parents: &mut [u32], mut index: u32) -> u32 {
    while parents[index as usize] != index {
        let next = parents[parents[index as usize] as usize];
        parents[index as usize] = next;
        index = next;
    }
    index
}
