//! What a computation is, apart from the graph that it stands in: its structure, and a graph of its own.
//!
//! Two sets of outputs with equal structures compute the same function of their inputs, whichever graphs they stand in, so a
//! plan for one serves the other. Names, origins and labels are no part of it; what inputs of indices must fulfil is.

use std::collections::{HashMap, HashSet};

use crate::arena::{Arena, Graph};
use crate::declaration::{DeclarationKind, IndexBound};
use crate::dtype::Literal;
use crate::error::GraphError;
use crate::identity;
use crate::node::{NodeId, Origin};
use crate::op::Op;

/// The structure of a computation. See [`Graph::structure`].
#[derive(Clone, Debug)]
pub struct Structure {
    key: Vec<u64>,
    inputs: Vec<NodeId>,
}

impl Structure {
    /// The structure as words: equal for computations that are the same function of their inputs in order.
    pub fn key(&self) -> &[u64] {
        &self.key
    }

    /// The inputs and parameters that the computation reads, in the order of their first use.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// A short number that equal structures share.
    pub fn hash(&self) -> u64 {
        let mix = |hash: u64, word: &u64| (hash.rotate_left(5) ^ word).wrapping_mul(0xF135_7AEA_2E62_A9C5);
        let hash = self.key.iter().fold(0, mix);
        hash ^ (hash >> 32)
    }
}

/// A computation in a graph of its own. See [`Graph::extract`].
#[derive(Debug)]
pub struct Extracted {
    /// The graph. Its inputs are named `0`, `1`, … in the order of [`Structure::inputs`].
    pub graph: Graph,
    /// The outputs in it, in the order in which they were asked for.
    pub outputs: Vec<NodeId>,
}

impl Graph {
    /// The structure of what `outputs` need. Inputs and parameters are taken for what the computation is a function of.
    /// Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn structure(&self, outputs: &[NodeId]) -> Result<Structure, GraphError> {
        let order = self.order_of_use(outputs)?;
        let arena = self.arena();
        let required = required_bounds(&arena, &order);
        let mut positions: Vec<u32> = vec![u32::MAX; self.ordinal_bound()];
        // Wherever a number of words is open it stands before them, so that no two computations share a key.
        let (mut key, mut inputs) = (Vec::with_capacity(order.len() * 6 + 1), Vec::new());
        key.push(order.len() as u64);
        for (position, id) in order.iter().enumerate() {
            let node = &arena.nodes[id.key];
            positions[node.ordinal as usize] = position as u32;
            key.push(node.dtype as u64 | (node.shape.rank() as u64) << 8);
            key.extend(node.shape.iter().map(|&extent| extent as u64));
            if is_declared(&node.op) {
                // Which declaration it is does not matter, only what it must fulfil.
                key.push(u64::MAX);
                inputs.push(*id);
                let bounds = required.get(id).map_or(&[][..], Vec::as_slice);
                key.push(bounds.len() as u64);
                for bound in bounds {
                    let except = bound.except.map_or(u64::MAX, |value| u64::from(value as u32));
                    key.extend([bound.bound as u64, except]);
                }
                continue;
            }
            identity::words(&node.op, |word| key.push(word));
            if let Op::Literal { data } = &node.op {
                push_elements(data, &mut key);
            }
            node.op.for_each_operand(|operand| {
                key.push(u64::from(positions[arena.nodes[operand.key].ordinal as usize]));
            });
        }
        key.extend(outputs.iter().map(|output| u64::from(positions[arena.nodes[output.key].ordinal as usize])));
        Ok(Structure { key, inputs })
    }

    /// What `outputs` need, in a fresh graph that has inputs where this one has inputs and parameters. Errors: an output
    /// that is stale or of another graph.
    #[track_caller]
    pub fn extract(&self, outputs: &[NodeId]) -> Result<Extracted, GraphError> {
        let origin = Origin::here();
        let order = self.order_of_use(outputs)?;
        let graph = Graph::with_capacity(order.len());
        let arena = self.arena();
        let required = required_bounds(&arena, &order);
        let mut copies: Vec<Option<NodeId>> = vec![None; self.ordinal_bound()];
        let mut inputs = 0u32;
        for id in order {
            let node = &arena.nodes[id.key];
            let copy = if is_declared(&node.op) {
                let name = inputs.to_string();
                inputs += 1;
                let copy = graph.declare(name, node.shape.clone(), node.dtype, DeclarationKind::Input, node.origin)?;
                for bound in required.get(&id).into_iter().flatten() {
                    graph.require_index_bound(IndexBound { node: copy, ..(*bound).clone() });
                }
                copy
            } else {
                let op = node.op.map_operands(|operand| {
                    // Operands stand before their users, so they have been copied.
                    copies[arena.nodes[operand.key].ordinal as usize].unwrap_or(operand)
                });
                graph.insert_node(op, Some(&node.shape), Some(node.dtype), node.origin)?
            };
            copies[node.ordinal as usize] = Some(copy);
        }
        let mut extracted = Vec::with_capacity(outputs.len());
        for output in outputs {
            let copy = copies[arena.nodes[output.key].ordinal as usize];
            extracted.push(copy.ok_or(GraphError::StaleNode { origin, op: "extract" })?);
        }
        drop(arena);
        Ok(Extracted { graph, outputs: extracted })
    }

    /// What `outputs` need in insertion order, but inputs and parameters right before what uses them first: where those were
    /// inserted says nothing of the computation.
    #[track_caller]
    fn order_of_use(&self, outputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        let needed = self.needed(outputs)?;
        let arena = self.arena();
        let mut placed: Vec<bool> = vec![false; self.ordinal_bound()];
        let mut order = Vec::with_capacity(needed.len());
        let mut place_input = |id: NodeId, order: &mut Vec<NodeId>| {
            let node = &arena.nodes[id.key];
            if is_declared(&node.op) && !std::mem::replace(&mut placed[node.ordinal as usize], true) {
                order.push(id);
            }
        };
        for id in needed {
            let op = &arena.nodes[id.key].op;
            if !is_declared(op) {
                op.for_each_operand(|operand| place_input(operand, &mut order));
                order.push(id);
            }
        }
        outputs.iter().for_each(|output| place_input(*output, &mut order));
        Ok(order)
    }

    /// Removes every node that none of `outputs` needs, but the declarations, and forgets what is required of inputs that no
    /// node uses any more. Ids of removed nodes are stale from then on, and so are marks. The arena keeps its memory, so that
    /// growing again costs nothing. Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn retain(&self, outputs: &[NodeId]) -> Result<(), GraphError> {
        for output in outputs {
            self.ordinal(*output)?;
        }
        self.prune(outputs);
        self.arena_mut().after_retain();
        Ok(())
    }
}

/// What `nodes` need of each input of indices. An operation and its derivatives have one origin, and so has what it requires:
/// the same input may have to fulfil more for an operation that is not among them.
fn required_bounds<'a>(arena: &'a Arena, nodes: &[NodeId]) -> HashMap<NodeId, Vec<&'a IndexBound>> {
    let mut required: HashMap<NodeId, Vec<&IndexBound>> = HashMap::new();
    if arena.bounds.all().is_empty() {
        return required;
    }
    let origins: HashSet<Origin> = nodes.iter().map(|id| arena.nodes[id.key].origin).collect();
    for bound in arena.bounds.all().iter().filter(|bound| origins.contains(&bound.origin)) {
        required.entry(bound.node).or_default().push(bound);
    }
    required
}

fn is_declared(op: &Op) -> bool {
    matches!(op, Op::Input { .. } | Op::Parameter { .. })
}

fn push_elements(data: &Literal, key: &mut Vec<u64>) {
    match data {
        Literal::F32(data) => key.extend(data.iter().map(|x| u64::from(x.to_bits()))),
        Literal::F64(data) => key.extend(data.iter().map(|x| x.to_bits())),
        Literal::I32(data) => key.extend(data.iter().map(|&x| u64::from(x as u32))),
        Literal::Bool(data) => key.extend(data.iter().map(|&x| u64::from(x))),
    }
}
