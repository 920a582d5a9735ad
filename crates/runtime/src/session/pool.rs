//! Buffers that plans of a session share. Plans run one after another, and what a plan computes on the way to its results is of no
//! use when these have been read; so a plan takes the buffers of others for its inputs and intermediate results, and many
//! plans need little more than the largest, in whatever order they come. Where none is large enough, the largest of them is to be larger: on the
//! CPU it grows, and the plans that have it go on with it. On a GPU they are bound to it as it is; there a new one takes its place, and
//! whoever has plans with the outgrown one gives them up and makes them ready anew when they are asked for.
//!
//! Invariants: no buffer serves a plan twice; a literal, which is written once, has a buffer of its own for as long as its plan
//! lives, and so has everything of a plan whose inputs or results must outlast the runs of others; a buffer that no plan uses any
//! more is given back. This does not know where buffers are, nor what is in them.

use std::collections::{HashMap, HashSet};

use arenagrad_graph::{Elements, StorageType};

use crate::error::Error;
use crate::session::store::Memory;

/// The buffers of a session's plans that are none of its parameters.
#[derive(Default)]
pub(crate) struct Pool {
    buffers: Vec<Pooled>,
}

/// A buffer of a pool.
#[derive(Clone, Copy)]
struct Pooled {
    index: u32,
    storage: StorageType,
    elements: usize,
    /// How many plans use it.
    users: usize,
    is_exclusive: bool,
    /// Whether a larger one has taken its place: no further plan takes it.
    is_outgrown: bool,
}

/// What a plan takes of a pool, until it is sure that the plan can be made.
pub(crate) struct Claim {
    sharing: Sharing,
    taken: HashSet<u32>,
    added: Vec<Pooled>,
    /// Buffers that are to grow, and what they will be.
    grown: Vec<(u32, Elements)>,
    /// Buffers in whose place larger ones were added.
    outgrown: HashSet<u32>,
}

/// Whether the inputs and results of a plan must outlast the runs of others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They are written before each run and read right after it.
    Shared,
    /// They stay until the plan runs again.
    Own,
}

/// What a buffer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Written anew in each run.
    OfARun,
    /// Written once.
    Literal,
}

impl Claim {
    /// For a plan that takes nothing yet.
    pub(crate) fn new(sharing: Sharing) -> Self {
        let (taken, outgrown) = (HashSet::new(), HashSet::new());
        Claim { sharing, taken, added: Vec::new(), grown: Vec::new(), outgrown }
    }

    /// A new buffer.
    fn add(
        &mut self,
        memory: &mut Memory,
        what: &str,
        storage: StorageType,
        elements: usize,
        is_exclusive: bool,
    ) -> Result<u32, Error> {
        let index = memory.allocate(what, storage, elements)?;
        self.added.push(Pooled { index, storage, elements, users: 0, is_exclusive, is_outgrown: false });
        Ok(index)
    }
}

impl Pool {
    /// A buffer for that many elements: the smallest of the pool that is large enough, the largest of those that are too small, which grows,
    /// or a new one. `what` names it in errors.
    pub(crate) fn claim(
        &self,
        claim: &mut Claim,
        memory: &mut Memory,
        what: &str,
        storage: StorageType,
        elements: usize,
        content: Content,
    ) -> Result<u32, Error> {
        let is_exclusive = content == Content::Literal || claim.sharing == Sharing::Own;
        let is_free = |pooled: &&Pooled| {
            let is_in_use = claim.taken.contains(&pooled.index) || claim.outgrown.contains(&pooled.index);
            let is_kept_apart = is_exclusive || pooled.is_exclusive || pooled.is_outgrown;
            pooled.storage == storage && !is_kept_apart && !is_in_use
        };
        let free = || self.buffers.iter().filter(is_free);
        let fitting = free().filter(|pooled| pooled.elements >= elements).min_by_key(|pooled| pooled.elements);
        let index = match (fitting, free().max_by_key(|pooled| pooled.elements)) {
            (Some(fitting), _) => fitting.index,
            (None, Some(largest)) => {
                let largest = *largest;
                match memory.larger(what, storage, elements)? {
                    Some(larger) => {
                        claim.grown.push((largest.index, larger));
                        largest.index
                    }
                    None => {
                        // Of buffers that are twice as large each time all together are no larger than the last: not worth making plans anew.
                        if largest.elements > elements / 2 {
                            claim.outgrown.insert(largest.index);
                        }
                        claim.add(memory, what, storage, elements, is_exclusive)?
                    }
                }
            }
            (None, None) => claim.add(memory, what, storage, elements, is_exclusive)?,
        };
        claim.taken.insert(index);
        Ok(index)
    }

    /// Takes what was claimed for a plan, and returns the buffers that are to be released with it.
    pub(crate) fn take(&mut self, claim: Claim, memory: &mut Memory) -> Vec<u32> {
        let Claim { taken, added, grown, outgrown, sharing: _ } = claim;
        self.buffers.extend(added);
        let mut lengths: HashMap<u32, usize> = HashMap::new();
        for (index, larger) in grown {
            lengths.insert(index, larger.len());
            memory.replace(index, larger);
        }
        for pooled in &mut self.buffers {
            pooled.users += usize::from(taken.contains(&pooled.index));
            pooled.is_outgrown |= outgrown.contains(&pooled.index);
            pooled.elements = lengths.get(&pooled.index).copied().unwrap_or(pooled.elements);
        }
        taken.into_iter().collect()
    }

    /// Whether one of these buffers of a plan is outgrown.
    pub(crate) fn has_outgrown(&self, buffers: &[u32]) -> bool {
        let outgrown = self.buffers.iter().filter(|pooled| pooled.is_outgrown);
        outgrown.into_iter().any(|pooled| buffers.contains(&pooled.index))
    }

    /// Releases the buffers of a plan that is dropped; those that no other uses are given back.
    pub(crate) fn release(&mut self, buffers: &[u32], memory: &mut Memory) {
        let buffers: HashSet<u32> = buffers.iter().copied().collect();
        self.buffers.retain_mut(|pooled| {
            pooled.users -= usize::from(buffers.contains(&pooled.index));
            if pooled.users == 0 {
                memory.release(pooled.index);
            }
            pooled.users > 0
        });
    }
}
