//! Buffers that plans of a session share. Plans run one after another, and what a plan computes on the way to its results is of no
//! use when these have been read; so a plan takes the buffers of others for its inputs and intermediate results, and many
//! plans need little more than the largest, in whatever order they come. Where none is large enough, the largest of them is to be larger: on the
//! CPU it grows, and the plans that have it go on with it. On a GPU they are bound to it as it is; there a new one takes its place, and
//! whoever has plans with the outgrown one gives them up and makes them ready anew when they are asked for.
//!
//! Invariants: no buffer serves a plan twice; a literal, which is written once, has a buffer of its own for as long as its plan
//! lives, and so has everything of a plan whose inputs or results must outlast the runs of others; a buffer that no plan uses any
//! more is given back. This does not know where buffers are, nor what is in them.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;

use arenagrad_graph::{Elements, StorageType};

use crate::error::Error;
use crate::session::store::Memory;

/// The buffers of a session's plans that are none of its parameters.
#[derive(Default)]
pub(crate) struct Pool {
    /// Those that plans share, by their indices. A plan's own are not among them.
    buffers: Vec<Option<Pooled>>,
    /// Those that a further plan may take.
    shared: Shared,
}

/// Buffers by storage type, size and index.
type Shared = BTreeSet<(StorageType, usize, u32)>;

/// A buffer of a pool.
#[derive(Clone, Copy)]
struct Pooled {
    storage: StorageType,
    elements: usize,
    /// How many plans use it.
    users: u32,
    /// Whether a larger one has taken its place: no further plan takes it.
    is_outgrown: bool,
}

/// What a plan takes of a pool, until it is sure that the plan can be made.
pub(crate) struct Claim {
    sharing: Sharing,
    /// What it may take of the pool's, since it first asked. A session has many plans, and few buffers that they share.
    free: Option<Shared>,
    taken: Vec<u32>,
    added: Vec<(u32, Pooled)>,
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
        let (taken, outgrown) = (Vec::new(), HashSet::new());
        Claim { sharing, free: None, taken, added: Vec::new(), grown: Vec::new(), outgrown }
    }

    /// A new buffer that plans will share.
    fn add(
        &mut self,
        memory: &mut Memory,
        what: &impl Display,
        storage: StorageType,
        elements: usize,
    ) -> Result<u32, Error> {
        let index = memory.allocate(what, storage, elements)?;
        self.added.push((index, Pooled { storage, elements, users: 0, is_outgrown: false }));
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
        what: &impl Display,
        storage: StorageType,
        elements: usize,
        content: Content,
    ) -> Result<u32, Error> {
        if content == Content::Literal || claim.sharing == Sharing::Own {
            let index = memory.allocate(what, storage, elements)?;
            claim.taken.push(index);
            return Ok(index);
        }
        let free = claim.free.get_or_insert_with(|| self.shared.clone());
        let fitting = free.range((storage, elements, 0)..=(storage, usize::MAX, u32::MAX)).next().copied();
        let largest = free.range((storage, 0, 0)..=(storage, usize::MAX, u32::MAX)).next_back().copied();
        let index = match (fitting, largest) {
            (Some(fitting), _) => {
                free.remove(&fitting);
                fitting.2
            }
            (None, Some(largest)) => {
                free.remove(&largest);
                let (_, before, index) = largest;
                match memory.larger(what, storage, elements)? {
                    Some(larger) => {
                        claim.grown.push((index, larger));
                        index
                    }
                    None => {
                        // Of buffers that are twice as large each time all together are no larger than the last: not worth making plans anew.
                        if before > elements / 2 {
                            claim.outgrown.insert(index);
                        } else if let Some(free) = &mut claim.free {
                            free.insert(largest);
                        }
                        claim.add(memory, what, storage, elements)?
                    }
                }
            }
            (None, None) => claim.add(memory, what, storage, elements)?,
        };
        claim.taken.push(index);
        Ok(index)
    }

    /// Takes what was claimed for a plan, and returns the buffers that are to be released with it.
    pub(crate) fn take(&mut self, claim: Claim, memory: &mut Memory) -> Vec<u32> {
        let Claim { taken, added, grown, outgrown, sharing: _, free: _ } = claim;
        let end = added.iter().map(|(index, _)| *index as usize + 1).max().unwrap_or(0);
        if end > self.buffers.len() {
            self.buffers.resize(end, None);
        }
        self.shared.extend(added.iter().map(|(index, pooled)| pooled.key(*index)));
        for (index, pooled) in added {
            self.buffers[index as usize] = Some(pooled);
        }
        for (index, larger) in grown {
            if let Some(pooled) = self.pooled(index) {
                let before = pooled.key(index);
                pooled.elements = larger.len();
                let now = pooled.key(index);
                self.shared.remove(&before);
                self.shared.insert(now);
            }
            memory.replace(index, larger);
        }
        for index in outgrown {
            if let Some(pooled) = self.pooled(index) {
                pooled.is_outgrown = true;
                let key = pooled.key(index);
                self.shared.remove(&key);
            }
        }
        for &index in &taken {
            if let Some(pooled) = self.pooled(index) {
                pooled.users += 1;
            }
        }
        taken
    }

    /// Whether one of these buffers of a plan is outgrown.
    pub(crate) fn has_outgrown(&self, buffers: &[u32]) -> bool {
        let mut pooled = buffers.iter().filter_map(|&index| self.buffers.get(index as usize)?.as_ref());
        pooled.any(|pooled| pooled.is_outgrown)
    }

    /// Releases the buffers of a plan that is dropped: its own are given back, and those that no other uses.
    pub(crate) fn release(&mut self, buffers: &[u32], memory: &mut Memory) {
        for &index in buffers {
            if let Some(pooled) = self.pooled(index) {
                pooled.users -= 1;
                if pooled.users > 0 {
                    continue;
                }
                let key = pooled.key(index);
                self.shared.remove(&key);
                self.buffers[index as usize] = None;
            }
            memory.release(index);
        }
    }

    /// The buffer of that index, if it is one that plans share.
    fn pooled(&mut self, index: u32) -> Option<&mut Pooled> {
        self.buffers.get_mut(index as usize)?.as_mut()
    }
}

impl Pooled {
    /// Where the buffer of that index is among those that plans share.
    fn key(&self, index: u32) -> (StorageType, usize, u32) {
        (self.storage, self.elements, index)
    }
}
