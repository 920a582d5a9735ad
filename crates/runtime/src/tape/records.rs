//! The living variables of a tape, in the lists by which those are found that something is to be done with, whatever else is held.
//!
//! A program may hold any number of variables that were computed long ago or are never asked for, and a step of an optimiser must not look
//! at them all each time. So there is a list of those that a step may have to compute and that none has looked at yet (*open*), one of
//! those whose gradients wait, and one of those that have gradients; and those that stand in the arena are listed with the *time* at which
//! they came there, so that a step finds those that can read what it overwrites.
//!
//! A time is how many ordinals the arena had. Whoever sweeps the arena, which numbers its nodes anew, sets the times of all that stand
//! there back to 0.

use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};

use arenagrad_graph::NodeId;
use smallvec::SmallVec;

use crate::tape::record::{Gradient, Record};

/// So many variables to a node are looked through rather than found by their nodes.
const FEW_TIMES: usize = 4;

/// Fewer records than this are not worth forgetting.
const LEAST_FORGOTTEN: usize = 64;

/// The living variables of a tape.
#[derive(Default)]
pub(crate) struct Records {
    /// Those that stand in the arena or whose gradient does, each once, in the order in which they came there and with the times at which
    /// they did, with some that have died or no longer stand there. A program may hold far more values than these.
    placed: Vec<(usize, Weak<Record>)>,
    /// The first `indexed` of these by their nodes, with some that stand there no longer.
    by_node: HashMap<NodeId, SmallVec<[Weak<Record>; 1]>>,
    indexed: usize,
    /// Those that are to be computed by the next step, if no gradient can flow through them any more, with some that have died or are computed.
    open: Vec<Weak<Record>>,
    /// Those whose gradients are to be computed, with some that have died or whose gradients are computed.
    waiting_gradients: Vec<Weak<Record>>,
    /// Those that have been given gradients since all were cleared, with some that have died or whose gradient was cleared.
    with_gradients: Vec<Weak<Record>>,
    /// How many of these there may be before those are forgotten that have none.
    forget_at: usize,
    /// How many variables there have been.
    made: u64,
}

impl Records {
    /// The number of a variable that is made.
    pub(super) fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made - 1
    }

    /// Calls `visit` with each living record that stands in the arena, or whose gradient does.
    pub(crate) fn for_each_placed(&mut self, mut visit: impl FnMut(&Rc<Record>)) {
        let (mut number, mut indexed) = (0, 0);
        self.placed.retain(|(_, record)| {
            let is_placed = record.upgrade().is_some_and(|record| {
                visit(&record);
                let is_placed = record.node().is_some() || record.gradient_node().is_some();
                record.lists.placed.set(is_placed);
                is_placed
            });
            indexed += usize::from(is_placed && number < self.indexed);
            number += 1;
            is_placed
        });
        self.indexed = indexed;
        if self.by_node.len() > FEW_TIMES * self.placed.len() {
            (self.by_node, self.indexed) = (HashMap::new(), 0);
        }
    }

    /// Calls `visit` with each living record that came to stand in the arena at that time or later.
    pub(crate) fn for_each_placed_since(&self, time: usize, visit: impl FnMut(Rc<Record>)) {
        let first = self.placed.partition_point(|(placed, _)| *placed < time);
        self.placed[first..].iter().filter_map(|(_, record)| record.upgrade()).for_each(visit);
    }

    /// The living results that stand at nodes and have gradients, in the order in which they were made. The cost is that of the nodes, or of the
    /// results that were recorded since this was last asked.
    pub(crate) fn results_at(&mut self, nodes: &HashSet<NodeId>) -> Vec<(Rc<Record>, NodeId)> {
        let mut found = Vec::new();
        let mut add = |record: &Rc<Record>| {
            let node = record.node().filter(|node| nodes.contains(node));
            found.extend(
                node.filter(|_| record.requires_grad() && !record.is_leaf()).map(|node| (record.clone(), node)),
            );
        };
        if self.placed.len() <= FEW_TIMES * nodes.len() {
            self.for_each_placed(add);
        } else {
            self.index();
            let at = |node| self.by_node.get(node).into_iter().flatten();
            nodes.iter().flat_map(at).filter_map(Weak::upgrade).for_each(|record| add(&record));
        }
        found.sort_by_key(|(record, _)| record.number());
        found.dedup_by_key(|(record, _)| record.number());
        found
    }

    /// The living results that stand at a node.
    pub(crate) fn at(&mut self, node: NodeId) -> Vec<Rc<Record>> {
        self.index();
        self.by_node.get(&node).into_iter().flatten().filter_map(Weak::upgrade).collect()
    }

    fn index(&mut self) {
        for (_, record) in &self.placed[self.indexed..] {
            if let Some(node) = record.upgrade().and_then(|record| record.node()) {
                self.by_node.entry(node).or_default().push(record.clone());
            }
        }
        self.indexed = self.placed.len();
    }

    /// How many there are at most that stand in the arena, or whose gradient does.
    pub(crate) fn placed_len(&self) -> usize {
        self.placed.len()
    }

    /// Notes that a record stands in the arena, from that time on.
    pub(crate) fn list_placed(&mut self, record: &Rc<Record>, time: usize) {
        if !record.lists.placed.replace(true) {
            // What was refused may have been taken back from the arena meanwhile.
            self.placed
                .iter_mut()
                .rev()
                .take_while(|(placed, _)| *placed > time)
                .for_each(|(placed, _)| *placed = time);
            self.placed.push((time, Rc::downgrade(record)));
        }
        if record.uncomputed_node().is_some() {
            self.open(record);
        }
    }

    /// Notes that the next step is to look at a record.
    pub(crate) fn open(&mut self, record: &Rc<Record>) {
        if !record.lists.open.replace(true) {
            self.open.push(Rc::downgrade(record));
        }
    }

    /// The living records that the next step is to look at.
    pub(crate) fn opened(&self) -> impl Iterator<Item = Rc<Record>> {
        self.open.iter().filter_map(Weak::upgrade)
    }

    /// Notes that a step has looked at all.
    pub(crate) fn close(&mut self) {
        self.open.drain(..).filter_map(|record| record.upgrade()).for_each(|record| record.lists.open.set(false));
    }

    /// Gives a variable a gradient.
    pub(crate) fn set_gradient(&mut self, record: &Rc<Record>, gradient: Gradient) {
        if matches!(gradient, Gradient::Node(_)) && !record.lists.waiting_gradients.replace(true) {
            self.waiting_gradients.push(Rc::downgrade(record));
        }
        record.set_listed_gradient(gradient);
        if record.lists.with_gradients.replace(true) {
            return;
        }
        self.with_gradients.push(Rc::downgrade(record));
        // Whenever there are twice as many as the last time.
        if self.with_gradients.len() >= self.forget_at {
            keep(&mut self.with_gradients, |record| {
                record.lists.with_gradients.set(record.gradient().is_some());
                record.lists.with_gradients.get()
            });
            self.forget_at = (2 * self.with_gradients.len()).max(LEAST_FORGOTTEN);
        }
    }

    /// The living records whose gradients are to be computed. Those whose gradients are known by now are forgotten.
    pub(crate) fn with_waiting_gradients(&mut self) -> Vec<(Rc<Record>, NodeId)> {
        let mut waiting = Vec::new();
        keep(&mut self.waiting_gradients, |record| {
            let node = record.gradient_node();
            waiting.extend(node.map(|node| (record.clone(), node)));
            record.lists.waiting_gradients.set(node.is_some());
            node.is_some()
        });
        waiting
    }

    /// Clears all gradients.
    pub(crate) fn clear_gradients(&mut self) {
        for record in self.with_gradients.drain(..).filter_map(|record| record.upgrade()) {
            record.lists.with_gradients.set(false);
            record.clear_gradient();
        }
    }

    /// After the arena was swept: its ordinals were closed up, and what has died is forgotten.
    pub(crate) fn after_sweep(&mut self) {
        self.placed.iter_mut().for_each(|(time, _)| *time = 0);
        keep(&mut self.open, |record| {
            record.lists.open.set(record.uncomputed_node().is_some());
            record.lists.open.get()
        });
        self.with_waiting_gradients();
    }
}

/// Forgets the records that have died and those at which `keeps` does not hold.
fn keep(records: &mut Vec<Weak<Record>>, mut keeps: impl FnMut(&Rc<Record>) -> bool) {
    records.retain(|record| record.upgrade().is_some_and(|record| keeps(&record)));
}
