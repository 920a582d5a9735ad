//! Statistics of channels: reductions along axes before and after those that they keep, as one kernel.
//!
//! Batch normalisation sums `[n, c, h, w]` over `n`, `h` and `w`. These are neither rows nor columns of the elements in their order, so
//! `cluster` gives each such sum a kernel of its own, and each reads the images once more. Element by element in the order `[c, n, h, w]`
//! they are sums of rows, and a nest computes any number of them, one from the other too: a variance from a mean. What a nest writes
//! it writes in its own order, so this is for clusters that store what is known of channels and nothing else.
//!
//! It comes after `merge`, when it is known what is computed again where it is read. Ranks are found anew then: what is only computed
//! again gives a cluster no later place.

use std::collections::{HashMap, HashSet};

use arenagrad_graph::{AxisSet, Shape};
use arenagrad_kernels::{Axis, View};
use smallvec::SmallVec;

use crate::plan::cluster::{Cluster, Clusters, LONGEST_ROW, NONE, is_in_order};
use crate::plan::entries::{ElementOp, Entry, Work};
use crate::plan::layout::Layout;
use crate::plan::merge::Merger;
use crate::plan::recompute::Storage;

/// The fewest channels that are computed side by side where there are many elements: threads divide them.
const FEWEST_CHANNELS: usize = 16;
/// The same where a channel alone is many elements, for which more threads are at hand.
const FEWEST_LONG_CHANNELS: usize = 64;
/// The fewest elements of a channel that must stand side by side where there are many: each such run is found on its own.
const SHORTEST_RUN: usize = 16;
/// How many elements are few: one thread reads them, and what a kernel costs before it begins counts for more than the order.
const FEW_ELEMENTS: usize = 1 << 13;
/// The most members of a cluster that others are merged with: what is longer is cut anyway.
const MOST_MEMBERS: usize = 64;
/// How many clusters that cannot be merged with one are looked at before it is taken as it is.
const MOST_MISFITS: usize = 16;
/// How many clusters are raised for the sake of one that is merged with what it reads.
const MOST_RAISED: usize = 64;

/// The axes that a reduction keeps between an outer and an inner part of what it reduces: the channels of images `[n, c, h, w]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Channels {
    pub(crate) count: usize,
    /// How many elements of a channel stand side by side.
    pub(crate) inner: usize,
}

impl Channels {
    /// What a reduction along `axes` of a shape keeps, if these are before and after it. Axes of extent 1 count for nothing, and what has no
    /// elements has no channels.
    pub(crate) fn of(shape: &Shape, axes: AxisSet) -> Option<Channels> {
        let mut parts: SmallVec<[(bool, usize); 4]> = SmallVec::new();
        for axis in (0..shape.rank()).filter(|&axis| shape[axis] != 1) {
            let is_reduced = axes.contains(axis);
            match parts.last_mut() {
                Some((last, extent)) if *last == is_reduced => *extent *= shape[axis],
                Some(_) | None => parts.push((is_reduced, shape[axis])),
            }
        }
        match parts[..] {
            [(true, outer), (false, count), (true, inner)] if outer * count * inner > 0 => {
                Some(Channels { count, inner })
            }
            _ => None,
        }
    }

    /// A view of `elements` elements in their order as one of the elements channel by channel: `[n, c, i]` as `[c, n, i]`. None where an axis
    /// of the view goes across a border of the channels.
    pub(crate) fn gathered(self, view: &View) -> Option<View> {
        let borders = [self.inner, self.inner * self.count];
        // The axes within, of and around channels, each from the innermost one on.
        let mut groups: [SmallVec<[Axis; 4]>; 3] = Default::default();
        let mut done = 1;
        for &Axis { mut extent, mut stride } in view.axes().iter().rev() {
            while extent > 1 {
                let group = borders.iter().take_while(|&&border| done >= border).count();
                let part = match borders.get(group) {
                    Some(&border) if done * extent > border => {
                        let part = border / done;
                        if !border.is_multiple_of(done) || !extent.is_multiple_of(part) {
                            return None;
                        }
                        part
                    }
                    Some(_) | None => extent,
                };
                groups[group].push(Axis { extent: part, stride });
                done *= part;
                extent /= part;
                stride *= part as isize;
            }
        }
        let [inner, channels, outer] = groups;
        let axes = [channels, outer, inner].into_iter().flat_map(|group| group.into_iter().rev());
        Some(View::new(axes, view.offset()))
    }

    /// The view of a channel's value from `elements` elements in their order.
    fn repeated(self, elements: usize) -> View {
        let outer = elements / (self.count * self.inner);
        let axis = |extent, stride| Axis { extent, stride };
        View::new([axis(outer, 0), axis(self.count, 1), axis(self.inner, 0)], 0)
    }
}

/// Merges clusters of reductions that keep the same channels: those that read one tensor, and those of which one reads what the other
/// computes.
pub(crate) fn merge_channels(entries: &[Entry], clusters: &mut Clusters, storage: &Storage, bindings: usize) {
    let merger = Merger::new(entries, clusters, storage, bindings);
    let mut gathering = Gathering { merger, readers: Vec::new() };
    let all = 0..gathering.merger.clusters.list.len() as u32;
    let candidates: Vec<u32> = all.filter(|&number| gathering.may_be_gathered(number)).collect();
    if candidates.len() > 1 {
        gathering.rank_anew();
        gathering.merge_beside(&candidates);
        gathering.merge_below(&candidates);
    }
    gathering.merger.finish();
}

struct Gathering<'a> {
    merger: Merger<'a>,
    /// The clusters that run after each: those that read from it, and the next exchange after an exchange.
    readers: Vec<SmallVec<[u32; 4]>>,
}

impl Gathering<'_> {
    fn cluster(&self, number: u32) -> &Cluster {
        &self.merger.clusters.list[number as usize]
    }

    fn rank(&self, number: u32) -> u32 {
        self.cluster(number).rank
    }

    /// The channels of a cluster and how many elements they have in all.
    fn channels(&self, number: u32) -> Option<(Channels, usize)> {
        let domain = &self.cluster(number).domain;
        domain.channels.map(|channels| (channels, domain.elements))
    }

    /// Whether a cluster can be computed channel by channel, and gains by it if another one is.
    fn may_be_gathered(&self, number: u32) -> bool {
        let Some((channels, elements)) = self.channels(number) else { return false };
        let is_long = elements / channels.count > LONGEST_ROW;
        let fewest = if is_long { FEWEST_LONG_CHANNELS } else { FEWEST_CHANNELS };
        let pays = channels.count >= fewest && channels.inner >= SHORTEST_RUN;
        (elements <= FEW_ELEMENTS || pays)
            && self.reductions(number).all(|reduction| self.is_gathered(reduction, channels))
    }

    fn reductions(&self, number: u32) -> impl Iterator<Item = u32> {
        let members = self.cluster(number).members.iter().copied();
        members.filter(|&member| matches!(self.merger.entries[member as usize].work, Work::Reduce { .. }))
    }

    /// Whether all that a reduction reads, and computes again, can be read and computed channel by channel.
    fn is_gathered(&self, reduction: u32, channels: Channels) -> bool {
        let Merger { entries, storage, .. } = &self.merger;
        // A number that is drawn or counts for a position knows it by the order of the elements.
        let is_drawn =
            |&entry: &u32| matches!(entries[entry as usize].work, Work::Elementwise(Some(ElementOp::Uniform { .. })));
        let mut is_gathered = !storage.computed_for(entries, reduction).iter().any(is_drawn);
        storage.for_each_read(entries, reduction, &mut |read| {
            is_gathered &= !matches!(entries[read.base as usize].work, Work::Iota { .. })
                && channels.gathered(&read.view()).is_some();
        });
        is_gathered
    }

    /// Calls `visit` for the clusters that a cluster reads from, more than once where it reads from one several times.
    fn for_each_source(&self, number: u32, visit: &mut dyn FnMut(u32)) {
        for &member in &self.cluster(number).members {
            self.merger.storage.for_each_read(self.merger.entries, member, &mut |read| {
                let home = self.merger.clusters.home[read.base as usize];
                if home != NONE && self.merger.root(home) != number {
                    visit(self.merger.root(home));
                }
            });
        }
    }

    /// Gives each cluster the least rank above those of what it reads, and exchanges with other processes ranks in their order.
    fn rank_anew(&mut self) {
        let mut order: Vec<u32> = (0..self.merger.clusters.list.len() as u32).collect();
        order.sort_by_key(|&number| self.rank(number));
        let mut ranks = vec![0; order.len()];
        let mut readers: Vec<SmallVec<[u32; 4]>> = vec![SmallVec::new(); order.len()];
        let mut exchange: Option<u32> = None;
        for number in order {
            let mut rank = 0;
            let mut follow = |source: u32| {
                rank = rank.max(ranks[source as usize]);
                if readers[source as usize].last() != Some(&number) {
                    readers[source as usize].push(number);
                }
            };
            self.for_each_source(number, &mut follow);
            let anchor = self.cluster(number).anchor;
            if anchor.is_some_and(|anchor| self.merger.entries[anchor as usize].work == Work::AllReduce) {
                exchange.replace(number).into_iter().for_each(follow);
            }
            ranks[number as usize] = rank + 1;
            self.merger.clusters.list[number as usize].rank = rank + 1;
        }
        self.readers = readers;
    }

    /// Merges clusters of which none needs another where they read one tensor in order.
    fn merge_beside(&mut self, candidates: &[u32]) {
        let mut places: HashMap<u32, usize> = HashMap::new();
        let mut readers: Vec<Vec<u32>> = Vec::new();
        for &number in candidates {
            for base in self.tensors(number) {
                let place = *places.entry(base).or_insert_with(|| {
                    readers.push(Vec::new());
                    readers.len() - 1
                });
                readers[place].push(number);
            }
        }
        for mut readers in readers {
            readers.sort_by_key(|&number| self.rank(number));
            // Clusters that have become one have been held against the rest together.
            let mut done: HashSet<u32> = HashSet::new();
            for (place, &first) in readers.iter().enumerate() {
                if !done.insert(self.merger.root(first)) {
                    continue;
                }
                let mut misfits = 0;
                for &second in &readers[place + 1..] {
                    let (first, second) = (self.merger.root(first), self.merger.root(second));
                    if first == second || self.channels(first) != self.channels(second) {
                        continue;
                    }
                    misfits = if self.merge_pair(first, second) { 0 } else { misfits + 1 };
                    if misfits == MOST_MISFITS {
                        break;
                    }
                }
            }
        }
    }

    /// Merges two clusters, if one kernel can be both and neither needs the other.
    fn merge_pair(&mut self, first: u32, second: u32) -> bool {
        let (higher, lower) = if self.rank(first) >= self.rank(second) { (first, second) } else { (second, first) };
        let fits = self.is_short(lower, higher) && self.merger.fits(lower, higher);
        fits && self.raise(&[(lower, self.rank(higher))], higher) && {
            self.unite(higher, lower);
            true
        }
    }

    fn is_short(&self, first: u32, second: u32) -> bool {
        self.cluster(first).members.len() + self.cluster(second).members.len() <= MOST_MEMBERS
    }

    fn unite(&mut self, first: u32, second: u32) {
        self.merger.unite(first, second);
        let moved = std::mem::take(&mut self.readers[second as usize]);
        self.readers[first as usize].extend(moved);
    }

    /// The tensors that a cluster reduces, or computes what it reduces from, each once.
    fn tensors(&self, number: u32) -> SmallVec<[u32; 4]> {
        let elements = self.cluster(number).domain.elements;
        let mut tensors: SmallVec<[u32; 4]> = SmallVec::new();
        for reduction in self.reductions(number) {
            self.merger.storage.for_each_read(self.merger.entries, reduction, &mut |read| {
                let is_whole = read.shape.elements() == elements && is_in_order(self.merger.entries, read);
                if is_whole && !tensors.contains(&read.base) {
                    tensors.push(read.base);
                }
            });
        }
        tensors
    }

    /// Merges clusters with one that they read from, as a variance reads a mean.
    fn merge_below(&mut self, candidates: &[u32]) {
        for &number in candidates {
            let lower = self.merger.root(number);
            let Some(upper) = self.upper(lower) else { continue };
            if !self.is_short(upper, lower) || !self.merger.fits(upper, lower) {
                continue;
            }
            // What else reads from the upper one comes after both.
            let rank = self.rank(lower);
            let mut others: SmallVec<[(u32, u32); 8]> = SmallVec::new();
            for &reader in &self.readers[upper as usize] {
                if self.merger.root(reader) != lower {
                    others.push((reader, rank + 1));
                }
            }
            if self.raise(&others, lower) {
                self.unite(upper, lower);
                self.merger.clusters.list[upper as usize].rank = rank;
            }
        }
    }

    /// The cluster that a cluster reads values of its own channels from, if no third one is between them: all else that it reads is of
    /// lower rank than that.
    fn upper(&self, lower: u32) -> Option<u32> {
        let (channels, elements) = self.channels(lower)?;
        if elements / channels.count > LONGEST_ROW {
            return None;
        }
        let mut sources: SmallVec<[u32; 8]> = SmallVec::new();
        self.for_each_source(lower, &mut |source| {
            if !sources.contains(&source) {
                sources.push(source);
            }
        });
        let upper = sources.iter().copied().max_by_key(|&source| self.rank(source))?;
        let is_lone = sources.iter().filter(|&&source| self.rank(source) == self.rank(upper)).count() == 1;
        let is_alike = self.channels(upper) == Some((channels, elements)) && self.may_be_gathered(upper);
        let of_upper = self.tensors(upper);
        let shares = self.tensors(lower).iter().any(|tensor| of_upper.contains(tensor));
        (is_lone && is_alike && shares && self.reads_channels(lower, upper)).then_some(upper)
    }

    /// Whether all that a cluster reads of what another one computes are values of a channel, for its elements or for the channel
    /// itself.
    fn reads_channels(&self, lower: u32, upper: u32) -> bool {
        let Some((channels, elements)) = self.channels(lower) else { return false };
        let (repeated, mut reads_channels) = (channels.repeated(elements), true);
        let mut visit = |read: &Layout, is_for_elements: bool| {
            let home = self.merger.clusters.home[read.base as usize];
            if home != NONE && self.merger.root(home) == upper {
                reads_channels &= match is_for_elements {
                    true => read.shape.elements() == elements && read.view() == repeated,
                    false => is_in_order(self.merger.entries, read),
                };
            }
        };
        let Merger { entries, storage, .. } = &self.merger;
        for &member in &self.cluster(lower).members {
            let is_for_elements = matches!(entries[member as usize].work, Work::Reduce { .. });
            storage.for_each_read(entries, member, &mut |read| visit(read, is_for_elements));
        }
        reads_channels
    }

    /// Raises clusters to ranks, and what runs after them above these; nothing, if that is too much or comes to `end`, which keeps its
    /// rank.
    fn raise(&mut self, clusters: &[(u32, u32)], end: u32) -> bool {
        let mut raised: SmallVec<[(u32, u32); 8]> = SmallVec::new();
        let mut stack: SmallVec<[(u32, u32); 8]> = SmallVec::from_slice(clusters);
        while let Some((number, rank)) = stack.pop() {
            let number = self.merger.root(number);
            let before = self.rank(number);
            if before >= rank {
                continue;
            }
            if number == end || raised.len() == MOST_RAISED {
                for (number, rank) in raised.into_iter().rev() {
                    self.merger.clusters.list[number as usize].rank = rank;
                }
                return false;
            }
            raised.push((number, before));
            self.merger.clusters.list[number as usize].rank = rank;
            stack.extend(self.readers[number as usize].iter().map(|&reader| (reader, rank + 1)));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(axes: &[(usize, isize)]) -> View {
        View::new(axes.iter().map(|&(extent, stride)| Axis { extent, stride }), 100)
    }

    /// Images `[2, 3, 4]` as `[3, 2, 4]`.
    const CHANNELS: Channels = Channels { count: 3, inner: 4 };

    #[test]
    fn channels_lie_between_what_is_reduced() {
        let of = |shape: &[usize], axes: &[usize]| Channels::of(&Shape::from(shape), axes.iter().copied().collect());
        assert_eq!(of(&[2, 3, 2, 2], &[0, 2, 3]), Some(CHANNELS));
        assert_eq!(of(&[2, 1, 3, 1, 4], &[0, 4]), Some(CHANNELS));
        for (shape, axes) in
            [(&[2, 3, 4][..], &[1][..]), (&[2, 3, 4], &[0]), (&[2, 3, 4], &[0, 1, 2]), (&[2, 3, 4, 5], &[0, 2])]
        {
            assert_eq!(of(shape, axes), None, "{shape:?} along {axes:?}");
        }
    }

    #[test]
    fn a_gathered_view_has_every_element_where_it_was() {
        let views = [
            view(&[(24, 1)]),
            view(&[(24, 0)]),
            view(&[(24, -1)]),
            view(&[(2, 0), (3, 1), (4, 0)]),
            view(&[(2, 100), (3, 4), (4, 7)]),
            view(&[(2, 1), (3, 8), (2, 2), (2, 30)]),
            view(&[(6, 5), (4, 0)]),
            view(&[(2, 0), (12, 3)]),
        ];
        for view in views {
            let gathered = CHANNELS.gathered(&view).unwrap_or_else(|| panic!("{view:?}"));
            for (channel, outer, inner) in (0..24).map(|i| (i / 8, i / 4 % 2, i % 4)) {
                let (own, other) = ((channel * 2 + outer) * 4 + inner, (outer * 3 + channel) * 4 + inner);
                assert_eq!(gathered.position(own), view.position(other), "{view:?} at {other}");
            }
        }
    }

    #[test]
    fn an_axis_across_a_border_is_refused() {
        for axes in [&[(4, 0), (6, 1)][..], &[(8, 2), (3, 0)], &[(3, 0), (8, 1)]] {
            assert_eq!(CHANNELS.gathered(&view(axes)), None, "{axes:?}");
        }
    }
}
