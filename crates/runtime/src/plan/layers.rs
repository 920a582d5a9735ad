//! To which layers of the graph that a plan was made of its nodes belong, and which names that were given there stand for them.
//!
//! A plan is made of a graph that the passes rewrote, in which no layer is noted. Each of its nodes was built for a node of the first
//! graph, and that stands among those that were inserted for a layer, or for none. Nodes of derivatives belong to none.

use std::collections::HashMap;

use arenagrad_graph::{Graph, NodeId, Op};

use crate::plan::cluster::NONE;

/// The layers of a graph, and for each node of the graph that the passes made of it the innermost one.
#[derive(Default)]
pub(crate) struct LayerMap {
    layers: Vec<MappedLayer>,
    /// By ordinal; [`NONE`] for nodes of no layer.
    of: Vec<u32>,
    /// The names of expressions, and the ordinals of the nodes that were built for what they are views of. The passes may leave nothing of a
    /// view, or of the second of two names.
    labels: Vec<(String, Option<u32>)>,
}

struct MappedLayer {
    name: String,
    /// The layer that it is part of, or [`NONE`].
    within: u32,
}

impl LayerMap {
    /// The layers of `graph`, for nodes that were built for the nodes of these ordinals; and its names of expressions, if somebody asks for those.
    pub(crate) fn new(graph: &Graph, sources: &[u32], has_labels: bool) -> LayerMap {
        let applied = graph.layers();
        let mut innermost: Vec<u32> = vec![NONE; if applied.is_empty() { 0 } else { graph.ordinal_bound() }];
        let mut layers: Vec<MappedLayer> = Vec::with_capacity(applied.len());
        // Outer layers come before their parts.
        let mut open: Vec<u32> = Vec::new();
        for (number, layer) in (0..).zip(applied) {
            open.truncate(layer.depth);
            let within = open.last().copied().unwrap_or(NONE);
            open.push(number);
            innermost[layer.nodes].fill(number);
            layers.push(MappedLayer { name: if layer.name.is_empty() { layer.kind } else { layer.name }, within });
        }
        let of = sources.iter().map(|&source| innermost.get(source as usize).copied().unwrap_or(NONE)).collect();
        LayerMap { layers, of, labels: if has_labels { labels(graph, sources) } else { Vec::new() } }
    }

    /// The names that were given to expressions, each with the ordinal of the node that it stands for, if there is one.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&str, Option<u32>)> {
        self.labels.iter().map(|(label, ordinal)| (label.as_str(), *ordinal))
    }

    /// The innermost layer of the node of that ordinal.
    pub(crate) fn innermost(&self, ordinal: usize) -> Option<u32> {
        self.of.get(ordinal).copied().filter(|&layer| layer != NONE)
    }

    /// The layer that a layer is part of.
    pub(crate) fn within(&self, layer: u32) -> Option<u32> {
        Some(self.layers[layer as usize].within).filter(|&layer| layer != NONE)
    }

    /// The names of all layers, in the order in which they were applied: that under which a layer declares its parameters, or what it is
    /// where it has no name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|layer| layer.name.as_str())
    }
}

/// For each ordinal of a graph that of the node whose elements its node shows: its own, unless it is a view.
pub(crate) fn viewed(graph: &Graph) -> Vec<u32> {
    let mut viewed: Vec<u32> = (0..graph.ordinal_bound() as u32).collect();
    // Operands come before their users.
    for id in graph.ids() {
        let _ = graph.read_node(id, |node| {
            if let Op::View { operand, .. } | Op::StopGradient { operand } = node.op
                && let Ok(operand) = graph.ordinal(operand)
            {
                viewed[node.ordinal as usize] = viewed[operand];
            }
        });
    }
    viewed
}

fn labels(graph: &Graph, sources: &[u32]) -> Vec<(String, Option<u32>)> {
    let labelled = graph.ids().into_iter().filter_map(|id| Some((id, graph.label(id)?)));
    // Of several nodes that were built for one the last is its result.
    let built: HashMap<u32, u32> = sources.iter().copied().zip(0..).collect();
    let viewed = viewed(graph);
    let stands_for = |id: NodeId| built.get(&viewed[graph.ordinal(id).ok()?]).copied();
    labelled.map(|(id, label)| (label, stands_for(id))).collect()
}
