//! Matrix products that are better computed together: one long product in the place of a sum of products (`sums`), and one large
//! product in the place of several that share an operand (`shared`).
//!
//! Unrolled recurrent networks are made of these: the gradient of a weight is a sum of one product for each step, and what
//! each step makes of its input is a product of a part of one tensor. As one product each they are one kernel, which reads and writes its
//! result once and has work enough for all threads.
//!
//! What is found is found in a finished graph, in one sweep, and rewritten in a second. Nothing waits for more than before: a sum needed
//! all of its products anyway, and products of parts of one tensor need that tensor alone. Results differ from those before by the order
//! in which a longer sum is added up, and in nothing else.

mod parts;
mod shared;
mod sums;

use std::collections::HashMap;

use crate::arena::Arena;
use crate::error::GraphError;
use crate::node::{Node, NodeId};
use crate::op::{Extents, Op};
use crate::passes::Optimised;
use crate::passes::rebuild::Rebuild;
use shared::SharedProducts;
use sums::Sums;

/// The most elements that become one tensor: far more than any memory holds, and fewer than a tensor may have.
const MOST_ELEMENTS: usize = isize::MAX as usize / 64;

/// What is joined in a graph, by its nodes.
pub(super) struct Joins {
    sums: Sums,
    shared: SharedProducts,
}

impl Joins {
    /// What costs less when it is joined; `None` if nothing does.
    pub(super) fn find(optimised: &Optimised) -> Option<Joins> {
        let arena = optimised.graph.arena();
        // Most graphs have too few to look further.
        let is_of_use = |key| matches!(arena.nodes[key].op, Op::MatMul { .. } | Op::Reduce { .. });
        arena.order.iter().filter(|&&key| is_of_use(key)).nth(1)?;
        let old = Old::new(&arena, optimised);
        let sums = Sums::find(&old);
        let shared = SharedProducts::find(&old, &sums);
        (!sums.is_empty() || !shared.is_empty()).then_some(Joins { sums, shared })
    }

    /// The node that takes the place of an old one, if that is part of what is joined. `replacement` tells what has taken the place of
    /// nodes before it.
    pub(super) fn replace(
        &mut self,
        rebuild: &mut Rebuild,
        arena: &Arena,
        node: &Node,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<Option<NodeId>, GraphError> {
        let sum = self.sums.replace(rebuild, arena, node, replacement)?;
        if sum.is_some() { Ok(sum) } else { self.shared.replace(rebuild, node, replacement) }
    }
}

/// The graph that is looked at.
struct Old<'a> {
    arena: &'a Arena,
    /// The nodes in order; none is missing among the ordinals.
    ids: Vec<NodeId>,
    is_output: Vec<bool>,
    /// By ordinal, the one node that has it as an operand, however often; `None` if there is no other, or are several.
    only_reader: Vec<Option<NodeId>>,
}

impl<'a> Old<'a> {
    fn new(arena: &'a Arena, optimised: &Optimised) -> Self {
        let tag = optimised.graph.tag();
        let ids: Vec<NodeId> = arena.order.iter().map(|&key| NodeId { key, graph: tag }).collect();
        let mut is_output = vec![false; ids.len()];
        for output in &optimised.outputs {
            is_output[arena.nodes[output.key].ordinal as usize] = true;
        }
        let mut only_reader: Vec<Option<NodeId>> = vec![None; ids.len()];
        let mut is_shared = vec![false; ids.len()];
        for &id in &ids {
            arena.nodes[id.key].op.for_each_operand(|operand| {
                let ordinal = arena.nodes[operand.key].ordinal as usize;
                is_shared[ordinal] |= only_reader[ordinal].is_some_and(|reader| reader != id);
                only_reader[ordinal] = Some(id);
            });
        }
        for (reader, is_shared) in only_reader.iter_mut().zip(is_shared) {
            *reader = reader.filter(|_| !is_shared);
        }
        Old { arena, ids, is_output, only_reader }
    }

    fn node(&self, id: NodeId) -> &'a Node {
        &self.arena.nodes[id.key]
    }

    fn is_output(&self, id: NodeId) -> bool {
        self.is_output[self.node(id).ordinal as usize]
    }

    /// Whether one operand of one node is all that a node is needed for.
    fn is_used_once(&self, id: NodeId) -> bool {
        self.node(id).users == 1 && !self.is_output(id)
    }
}

/// Lists of things by a key, in the order in which the keys came.
struct Groups<K, T> {
    places: HashMap<K, usize>,
    lists: Vec<Vec<T>>,
}

impl<K: std::hash::Hash + Eq, T> Groups<K, T> {
    fn new() -> Self {
        Groups { places: HashMap::new(), lists: Vec::new() }
    }

    fn add(&mut self, key: K, thing: T) {
        let place = *self.places.entry(key).or_insert_with(|| {
            self.lists.push(Vec::new());
            self.lists.len() - 1
        });
        self.lists[place].push(thing);
    }

    fn into_lists(self) -> Vec<Vec<T>> {
        self.lists
    }
}

/// The axes of a tensor with `axis` moved to the front.
fn to_front(axis: usize, rank: usize) -> Extents {
    std::iter::once(axis).chain((0..rank).filter(|&other| other != axis)).collect()
}
