//! What a plan says of the nodes that it was made of: their ops and names, and where they stand in the caller's source.
//!
//! It is read from the graph once, so that a large graph need not outlive the passes over its entries. Nodes are told by their ordinals, of which
//! that graph, which the passes over graphs made, leaves out none. What a node computes, and from what, entries know.

use std::collections::HashMap;

use arenagrad_graph::{Declaration, Graph, IndexBound, Node, NodeId, Op, OpKind, Origin};

use crate::plan::layers::viewed;

/// What is said of each node, by ordinal, and of what the graph declares.
pub(crate) struct Nodes {
    kinds: Vec<OpKind>,
    origins: Vec<Origin>,
    labels: HashMap<u32, String>,
    /// What functions of matrices are applied to.
    matrices: HashMap<u32, String>,
    /// For each node that whose elements it shows: itself, unless it is a view.
    viewed: Vec<u32>,
    pub(crate) declarations: Vec<Declaration>,
    /// Whether the node of each declaration is there.
    pub(crate) alive: Vec<bool>,
    pub(crate) bounds: Vec<IndexBound>,
}

impl Nodes {
    /// Those of a graph.
    pub(crate) fn of(graph: &Graph) -> Nodes {
        let declarations = graph.declarations();
        let alive = declarations.iter().map(|declaration| graph.ordinal(declaration.node).is_ok()).collect();
        let (mut kinds, mut origins) =
            (Vec::with_capacity(graph.ordinal_bound()), Vec::with_capacity(graph.ordinal_bound()));
        let (mut labels, mut matrices) = (HashMap::new(), HashMap::new());
        for (ordinal, id) in (0..).zip(graph.ids()) {
            let _ = graph.read_node(id, |node| {
                kinds.push(node.op.kind());
                origins.push(node.origin);
                if let Op::LinearAlgebra { operands, .. } = &node.op {
                    let names: Vec<String> = operands.iter().map(|&operand| shown_name(graph, operand)).collect();
                    matrices.insert(ordinal, names.join(" and "));
                }
            });
            labels.extend(graph.label(id).map(|label| (ordinal, label)));
        }
        Nodes {
            kinds,
            origins,
            labels,
            matrices,
            viewed: viewed(graph),
            declarations,
            alive,
            bounds: graph.index_bounds(),
        }
    }

    /// What kind of op a node is.
    pub(crate) fn kind(&self, node: u32) -> OpKind {
        self.kinds[node as usize]
    }

    /// Where a node was made.
    pub(crate) fn origin(&self, node: u32) -> Origin {
        self.origins[node as usize]
    }

    /// The name that a node was given, if any.
    pub(crate) fn label(&self, node: u32) -> Option<&str> {
        self.labels.get(&node).map(String::as_str)
    }

    /// All names that were given, with the nodes, in their order.
    pub(crate) fn labels(&self) -> Vec<(u32, &str)> {
        let mut labels: Vec<(u32, &str)> = self.labels.iter().map(|(&node, label)| (node, label.as_str())).collect();
        labels.sort_unstable();
        labels
    }

    /// The names of what a function of matrices is applied to: labels, or ops where there is none.
    pub(crate) fn matrices(&self, node: u32) -> &str {
        self.matrices.get(&node).map_or("", String::as_str)
    }

    /// The node whose elements a node shows: itself, unless it is a view.
    pub(crate) fn viewed(&self, node: u32) -> u32 {
        self.viewed[node as usize]
    }
}

/// A node's label, or its op and place.
fn shown_name(graph: &Graph, node: NodeId) -> String {
    let mut shown = node;
    loop {
        match (graph.label(shown), graph.node(shown)) {
            (Some(label), _) => return label,
            // What a reader wrote stands before its views.
            (None, Ok(Node { op: Op::View { operand, .. }, .. })) => shown = operand,
            (None, Ok(Node { op, origin, .. })) => return format!("{} at {origin}", op.name()),
            (None, Err(_)) => return "removed".to_owned(),
        }
    }
}
