//! A graph for each formula: what its value needs, and the symbols that it knows.
//!
//! Derivatives and simplified forms are built beside the nodes that they come from and then copied out, so a formula holds no
//! node that it does not need, and what is dropped is gone.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Leaf, Op};

/// A fresh graph with the symbols of `source`, in their order and with their numbers, used or not.
pub(super) fn with_symbols_of(source: &Graph, nodes: usize) -> Result<Graph, GraphError> {
    let arena = source.arena();
    let graph = Graph::with_capacity(arena.declarations.len() + nodes).on_paper();
    for symbol in &arena.declarations {
        graph.declare(symbol.name.clone(), symbol.shape.clone(), symbol.storage, symbol.kind.clone(), symbol.origin)?;
    }
    Ok(graph)
}

/// What `output` needs in a graph of its own, and its node there.
pub(super) fn extract(source: &Graph, output: NodeId) -> Result<(Graph, NodeId), GraphError> {
    let needed = source.needed(&[output])?;
    let graph = with_symbols_of(source, needed.len())?;
    let symbols: Vec<NodeId> = graph.arena().declarations.iter().map(|symbol| symbol.node).collect();
    let arena = source.arena();
    let mut copies: Vec<Option<NodeId>> = vec![None; source.ordinal_bound()];
    for id in needed {
        let node = &arena.nodes[id.key];
        let copy = if let Op::Leaf(Leaf::Input { declaration }) | Op::Leaf(Leaf::Parameter { declaration }) = &node.op {
            symbols[*declaration as usize]
        } else {
            // Operands stand before their users, so they have been copied.
            let copied = |operand: NodeId| copies[arena.nodes[operand.key].ordinal as usize].unwrap_or(operand);
            graph.insert_node(node.op.map_operands(copied), Some(&node.shape), Some(node.dtype), node.origin)?
        };
        copies[node.ordinal as usize] = Some(copy);
    }
    let copy = copies[arena.nodes[output.key].ordinal as usize].unwrap_or(output);
    Ok((graph, copy))
}
