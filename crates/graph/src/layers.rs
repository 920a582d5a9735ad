//! Which layers were applied in a graph, for tables and drawings of a network. Nothing that is computed depends on it.

use crate::arena::Graph;
use crate::expr::Expr;
use crate::node::NodeId;

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
    /// Its result; none while it is being applied, and of one that was refused.
    pub output: Option<NodeId>,
}

impl Graph {
    /// Applies a layer to `x` and notes that it was: its name, and what it is. Layers that are applied meanwhile are parts of it.
    /// Everything that `build` inserts carries the caller's line, and its mistakes are told in the layer's name.
    #[track_caller]
    pub fn layer<'g>(
        &'g self,
        kind: impl Into<String>,
        name: impl Into<String>,
        x: Expr<'g>,
        build: impl FnOnce() -> Expr<'g>,
    ) -> Expr<'g> {
        let Ok(input) = x.id() else { return Expr::poisoned(self) };
        let place = {
            let mut arena = self.arena_mut();
            let depth = arena.layers.iter().rev().take_while(|layer| layer.output.is_none()).count();
            let (name, kind) = (name.into(), kind.into());
            arena.layers.push(AppliedLayer { name, kind, depth, input, output: None });
            arena.layers.len() - 1
        };
        let result = build();
        if let (Ok(output), Some(layer)) = (result.id(), self.arena_mut().layers.get_mut(place)) {
            layer.output = Some(output);
        }
        result
    }

    /// The layers that were applied in this graph, outer ones before their parts.
    pub fn layers(&self) -> Vec<AppliedLayer> {
        let arena = self.arena();
        let alive = |layer: &&AppliedLayer| layer.output.is_some_and(|output| arena.nodes.contains_key(output.key));
        arena.layers.iter().filter(alive).cloned().collect()
    }
}
