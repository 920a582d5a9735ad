//! Which layers were applied in a graph, for tables and drawings of a network. Nothing that is computed depends on it.

use std::ops::Range;

use crate::arena::Graph;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};

/// The layers that were applied in a graph, in the order in which they began.
pub(crate) type Layers = Vec<AppliedLayer>;

/// A layer that was applied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppliedLayer {
    /// The name under which its parameters are declared; empty for a layer that has none.
    pub name: String,
    /// What it is, as a table prints it: `Linear(64, 10)`.
    pub kind: String,
    /// How many applied layers it is part of.
    pub depth: usize,
    /// What it was applied to.
    pub input: NodeId,
    /// Its result; none while it is being applied.
    pub output: Option<NodeId>,
    /// The ordinals of the nodes that were inserted for it. What it passes on unchanged, as dropout does in evaluation, is none.
    pub nodes: Range<usize>,
}

/// That a layer is being applied. Without a result it is forgotten, with all that was part of it, also when its builder panics: the layers
/// that come after it would be taken for parts of it.
struct Applying<'g> {
    graph: &'g Graph,
    place: usize,
}

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        let mut arena = self.graph.arena_mut();
        if arena.layers.get(self.place).is_some_and(|layer| layer.output.is_none()) {
            arena.layers.truncate(self.place);
        }
    }
}

impl Graph {
    /// Applies a layer to `x` and notes that it was: its name, and what it is. Layers that are applied meanwhile are parts of it. What
    /// `build` gives is the result; a layer that is refused is not noted.
    ///
    /// Mistakes are told at the lines of `build` and in the words of the methods that it calls.
    #[track_caller]
    pub fn layer<'g>(
        &'g self,
        kind: impl Into<String>,
        name: impl Into<String>,
        x: Expr<'g>,
        build: impl FnOnce() -> Expr<'g>,
    ) -> Expr<'g> {
        let input = match x.id_for("layer", self.origin_or(Origin::here())) {
            Ok(input) => input,
            Err(error) => return self.finish(Err(error)),
        };
        let place = {
            let mut arena = self.arena_mut();
            let depth = arena.layers.iter().filter(|layer| layer.output.is_none()).count();
            let (name, kind, first) = (name.into(), kind.into(), arena.order.len());
            arena.layers.push(AppliedLayer { name, kind, depth, input, output: None, nodes: first..first });
            arena.layers.len() - 1
        };
        let _applying = Applying { graph: self, place };
        let result = build();
        if let Some(output) = result.raw().filter(|output| !self.alive_of(&[*output]).is_empty()) {
            let mut arena = self.arena_mut();
            let end = arena.order.len();
            if let Some(layer) = arena.layers.get_mut(place) {
                layer.output = Some(output);
                layer.nodes.end = end.max(layer.nodes.start);
            }
            if self.owner().is_some()
                && let Some(layer) = arena.layers.get(place).cloned()
            {
                // A graph that is lent forgets its layers when the operation is recorded.
                arena.call_by_layer(&layer);
            }
        }
        result
    }

    /// The layers that were applied in this graph, outer ones before their parts. Those in the body of a loop are part of the body, and not of the graph,
    /// but for what is computed once for all steps.
    pub fn layers(&self) -> Vec<AppliedLayer> {
        let arena = self.arena();
        // The layers that the next one may be part of, dead ones too: the depth of each, and how many alive ones it and those around it are.
        let mut around: Vec<(usize, usize)> = Vec::new();
        let mut alive = Vec::new();
        for layer in &arena.layers {
            while around.last().is_some_and(|(depth, _)| *depth >= layer.depth) {
                around.pop();
            }
            let depth = around.last().map_or(0, |(_, alive)| *alive);
            let is_alive = layer.output.is_some_and(|output| arena.nodes.contains_key(output.key));
            if is_alive {
                alive.push(AppliedLayer { depth, ..layer.clone() });
            }
            around.push((layer.depth, depth + usize::from(is_alive)));
        }
        alive
    }
}
