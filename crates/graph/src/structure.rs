//! What a computation is, apart from the graph that it stands in: its structure, and a graph of its own.
//!
//! Two sets of outputs with equal structures compute the same function of their inputs, whichever graphs they stand in, so a
//! plan for one serves the other. Names, origins and labels are no part of it; what inputs of indices must fulfil is.

use std::collections::HashMap;

use crate::arena::{Arena, Graph};
use crate::declaration::{DeclarationKind, IndexBound, Init, Requirement};
use crate::error::GraphError;
use crate::identity;
use crate::node::{NodeId, NodeKey, Origin};
use crate::op::{Leaf, Op};
use crate::places::Places;

/// The structure of a computation. See [`Graph::structure`].
#[derive(Clone, Debug)]
#[must_use = "the graph is left as it is"]
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
#[non_exhaustive]
#[must_use = "the graph is left as it is"]
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
        self.structure_until(outputs, |_| false)
    }

    /// As [`Graph::structure`], where nodes at which `known` holds are inputs too, whatever they are computed from.
    #[track_caller]
    pub fn structure_until(&self, outputs: &[NodeId], known: impl Fn(NodeId) -> bool) -> Result<Structure, GraphError> {
        let order = self.order_of_use(outputs, &known, "structure")?;
        let arena = self.arena();
        let required = required_of(&arena, order.iter().filter(|id| !known(**id)));
        let given = |id: NodeId| is_declared(&arena.nodes[id.key].op) || known(id);
        // Wherever a number of words is open it stands before them, so that no two computations share a key.
        let (mut key, mut inputs) = (Vec::with_capacity(order.len() * 6 + 1), Vec::new());
        let mut exchanges = 0;
        key.push(order.len() as u64);
        // Operands stand before their users, and outputs are among the nodes, so each has a position.
        let position_of =
            |id: NodeId, positions: &Places| positions.get(arena.nodes[id.key].ordinal).map_or(u64::MAX, u64::from);
        self.with_places(|positions| {
            for (position, id) in order.iter().enumerate() {
                let node = &arena.nodes[id.key];
                positions.insert(node.ordinal, position as u32);
                key.push(node.dtype as u64 | (node.shape.rank() as u64) << 8);
                key.extend(node.shape.iter().map(|&extent| extent as u64));
                if given(*id) {
                    // Which declaration it is does not matter, only what it must fulfil.
                    key.push(u64::MAX);
                    inputs.push(*id);
                    let bounds = required.get(id).map_or(&[][..], Vec::as_slice);
                    key.push(bounds.len() as u64);
                    for bound in bounds {
                        let except = bound.except.map_or(u64::MAX, |value| u64::from(value as u32));
                        key.extend([bound.least as u64, bound.bound as u64, except]);
                        key.push(u64::from(bound.shown.is_some()));
                        if let Some(shown) = &bound.shown {
                            shown.for_each_word(|word| key.push(word));
                        }
                    }
                    continue;
                }
                identity::words(&node.op, |word| key.push(word));
                if let (Op::AllReduce { .. }, Some(number)) = (&node.op, key.last_mut()) {
                    // Which one of the computation's it is, not which one of the graph's.
                    *number = exchanges;
                    exchanges += 1;
                }
                if let Op::Leaf(Leaf::Literal { data }) = &node.op {
                    data.for_each_bits(|bits| key.push(bits));
                }
                node.op.for_each_operand(|operand| {
                    key.push(position_of(operand, positions));
                });
            }
            key.extend(outputs.iter().map(|output| position_of(*output, positions)));
        });
        Ok(Structure { key, inputs })
    }

    /// What `outputs` need, in a fresh graph that has inputs where this one has inputs and parameters. Errors: an output
    /// that is stale or of another graph.
    #[track_caller]
    pub fn extract(&self, outputs: &[NodeId]) -> Result<Extracted, GraphError> {
        self.extract_until(outputs, |_| false)
    }

    /// As [`Graph::extract`], where nodes at which `known` holds become inputs too, whatever they are computed from.
    #[track_caller]
    pub fn extract_until(&self, outputs: &[NodeId], known: impl Fn(NodeId) -> bool) -> Result<Extracted, GraphError> {
        self.extract_with_parameters(outputs, known, |_| None)
    }

    /// As [`Graph::extract_until`], where inputs for which `parameter` has a name become parameters of that name, which start at 0.
    #[track_caller]
    pub fn extract_with_parameters(
        &self,
        outputs: &[NodeId],
        known: impl Fn(NodeId) -> bool,
        parameter: impl Fn(NodeId) -> Option<String>,
    ) -> Result<Extracted, GraphError> {
        let origin = Origin::here();
        let order = self.order_of_use(outputs, &known, "extract")?;
        let graph = Graph::with_capacity(order.len());
        let arena = self.arena();
        let mut copies: HashMap<NodeKey, NodeId> = HashMap::with_capacity(order.len());
        let mut inputs = 0u32;
        for id in order {
            let node = &arena.nodes[id.key];
            let is_given = is_declared(&node.op) || known(id);
            let copy = if is_given {
                let (name, kind) = match parameter(id) {
                    Some(name) => {
                        let (init, trainable) = (Init::Constant(0.0), node.dtype.is_float());
                        (name, DeclarationKind::Parameter { init, trainable })
                    }
                    None => {
                        inputs += 1;
                        ((inputs - 1).to_string(), DeclarationKind::Input)
                    }
                };
                graph.declare(name, node.shape.clone(), node.dtype.into(), kind, node.origin)?
            } else {
                let op = node.op.map_operands(|operand| {
                    // Operands stand before their users, so they have been copied.
                    copies.get(&operand.key).copied().unwrap_or(operand)
                });
                graph.insert_unrequired(op, Some(&node.shape), Some(node.dtype), node.origin)?
            };
            copies.insert(id.key, copy);
            if is_given {
                continue;
            }
            for requirement in arena.requirements.get(&id.key).into_iter().flatten() {
                let Some((input, shown)) = arena.required_input(requirement) else { continue };
                if let Some(&indices) = copies.get(&input.key) {
                    graph.arena_mut().require(copy, Requirement { indices, shown, ..*requirement });
                }
            }
        }
        let mut extracted = Vec::with_capacity(outputs.len());
        for output in outputs {
            extracted.push(copies.get(&output.key).copied().ok_or(GraphError::StaleNode { origin, op: "extract" })?);
        }
        drop(arena);
        Ok(Extracted { graph, outputs: extracted })
    }

    /// What `outputs` need in insertion order, but inputs and parameters right before what uses them first: where those were
    /// inserted says nothing of the computation.
    #[track_caller]
    fn order_of_use(
        &self,
        outputs: &[NodeId],
        known: &dyn Fn(NodeId) -> bool,
        op: &'static str,
    ) -> Result<Vec<NodeId>, GraphError> {
        let needed = self.needed_until(outputs, known, op)?;
        let arena = self.arena();
        let given = |id: NodeId| is_declared(&arena.nodes[id.key].op) || known(id);
        let mut order = Vec::with_capacity(needed.len());
        self.with_places(|placed| {
            let mut place_input = |id: NodeId, order: &mut Vec<NodeId>| {
                if given(id) && placed.insert(arena.nodes[id.key].ordinal, 0) {
                    order.push(id);
                }
            };
            for id in needed {
                if !given(id) {
                    let op = &arena.nodes[id.key].op;
                    op.for_each_operand(|operand| place_input(operand, &mut order));
                    order.push(id);
                }
            }
            outputs.iter().for_each(|output| place_input(*output, &mut order));
        });
        Ok(order)
    }

    /// Removes every node that none of `outputs` needs, but the declarations. Ids of removed nodes are stale from then on, and so are marks. The arena keeps its memory, so that
    /// growing again costs nothing. Errors: an output that is stale or of another graph.
    #[track_caller]
    pub fn retain(&self, outputs: &[NodeId]) -> Result<(), GraphError> {
        self.refuse_if_owned("retain", Origin::here())?;
        self.retain_unasked(outputs)
    }

    /// Retains without asking whose the graph is.
    #[track_caller]
    pub(crate) fn retain_unasked(&self, outputs: &[NodeId]) -> Result<(), GraphError> {
        self.require_nodes(outputs, "retain")?;
        self.prune(outputs);
        self.arena_mut().after_retain();
        Ok(())
    }
}

/// What `nodes` require of each input of indices.
fn required_of<'a>(arena: &Arena, nodes: impl Iterator<Item = &'a NodeId>) -> HashMap<NodeId, Vec<IndexBound>> {
    let mut required: HashMap<NodeId, Vec<IndexBound>> = HashMap::new();
    for bound in arena.index_bounds(nodes.map(|id| id.key)) {
        required.entry(bound.node).or_default().push(bound);
    }
    required
}

fn is_declared(op: &Op) -> bool {
    matches!(op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. }))
}
