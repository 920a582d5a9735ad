//! Buffers that plans of a session share. Plans run one after another, and what a plan computes on the way to its results is of no
//! use when these have been read; so a plan takes the buffers of others for its inputs and intermediate results, and many
//! plans need little more than the largest.
//!
//! Invariants: no buffer serves a plan twice; a literal, which is written once, has a buffer of its own for as long as its plan
//! lives, and so has everything of a plan whose inputs or results must outlast the runs of others; a buffer that no plan uses any
//! more is given back. This does not know where buffers are, nor what is in them.

use std::collections::HashSet;

use arenagrad_graph::StorageType;

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
}

/// What a plan takes of a pool, until it is sure that the plan can be made.
pub(crate) struct Claim {
    sharing: Sharing,
    taken: HashSet<u32>,
    added: Vec<Pooled>,
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
        Claim { sharing, taken: HashSet::new(), added: Vec::new() }
    }
}

impl Pool {
    /// A buffer for that many elements: the smallest of the pool that is large enough, or a new one. `what` names it in errors.
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
        let fits = |pooled: &&Pooled| {
            pooled.storage == storage
                && pooled.elements >= elements
                && !pooled.is_exclusive
                && !is_exclusive
                && !claim.taken.contains(&pooled.index)
        };
        let found = self.buffers.iter().filter(fits).min_by_key(|pooled| pooled.elements).map(|pooled| pooled.index);
        let index = match found {
            Some(index) => index,
            None => {
                let index = memory.allocate(what, storage, elements)?;
                claim.added.push(Pooled { index, storage, elements, users: 0, is_exclusive });
                index
            }
        };
        claim.taken.insert(index);
        Ok(index)
    }

    /// Takes what was claimed for a plan, and returns the buffers that are to be released with it.
    pub(crate) fn take(&mut self, claim: Claim) -> Vec<u32> {
        self.buffers.extend(claim.added);
        for pooled in self.buffers.iter_mut().filter(|pooled| claim.taken.contains(&pooled.index)) {
            pooled.users += 1;
        }
        claim.taken.into_iter().collect()
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
