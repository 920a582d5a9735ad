//! Next values of states that a graph carries: a layer that keeps running statistics asks for them where it is applied, and
//! whoever plans a training step takes them along, and whoever asks for it where nothing is trained.
//!
//! Invariants: a state has one next value, that of the last update; what was removed from the graph is none. This does not know
//! who carries the updates out.

use crate::arena::Graph;
use crate::declaration::DeclarationKind;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};

/// States and what they become, in the order in which it was said.
pub(crate) type Updates = Vec<Update>;

/// What a state becomes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update {
    state: NodeId,
    next: NodeId,
    /// Where it was said.
    origin: Origin,
}

impl Graph {
    /// Says what a state becomes when a training step is taken: every training plan over this graph that is made from now on
    /// updates it, and so does an evaluation whose session is told to update states. A second update of a state takes the place of the first: build it on [`Graph::latest`].
    ///
    /// The next value is computed with the step, of what was there before it: of a trained parameter it reads the value before the optimiser's
    /// update, so an average that is to follow the updated one is behind by a step.
    ///
    /// What an optimiser trains has its next value from there: a session that is to train it refuses an update of it, unless the
    /// optimiser leaves it out (`freeze`). The counter of [`Graph::step`] is advanced by the step, or by the optimiser, whatever is said
    /// of it here.
    ///
    /// Errors: what is no state or parameter ([`GraphError::NotAState`]); a next value of another shape or dtype.
    ///
    /// ```
    /// use arenagrad_graph::{DType, Graph, Init};
    ///
    /// let g = Graph::new();
    /// let x = g.input("x", [8]);
    /// let mean = g.state("mean", [], DType::F32, Init::Constant(0.0));
    /// g.update(mean, g.latest(mean) * 0.9 + x.mean(..) * 0.1);
    /// assert_eq!(g.updates().len(), 1);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn update<'g>(&'g self, state: Expr<'g>, next: Expr<'g>) {
        const OP: &str = "update";
        let method = self.enter(OP);
        let origin = method.origin();
        if Expr::poisoned(self).same_graph(state, OP, origin).is_none() || state.same_graph(next, OP, origin).is_none()
        {
            return;
        }
        let read = |expr: Expr<'g>| expr.read(OP, origin, |id, node| (id, node.shape.clone(), node.dtype));
        let (Some((state_id, shape, dtype)), Some((next_id, next_shape, next_dtype))) = (read(state), read(next))
        else {
            return;
        };
        if !self.is_state(state_id) {
            let operand = state.describe();
            state.fail_without::<()>(GraphError::NotAState { origin, op: OP, operand });
        } else if shape != next_shape {
            let (lhs, rhs) = (state.describe(), next.describe());
            let (lhs_shape, rhs_shape) = (shape, next_shape);
            state.fail_without::<()>(GraphError::ShapesDiffer { origin, op: OP, lhs, lhs_shape, rhs, rhs_shape });
        } else if dtype != next_dtype {
            let (lhs, rhs) = (state.describe(), next.describe());
            let (left, right) = (dtype, next_dtype);
            state.fail_without::<()>(GraphError::DTypesDiffer { origin, op: OP, lhs, left, rhs, right });
        } else {
            self.arena_mut().updates.push(Update { state: state_id, next: next_id, origin });
        }
    }

    /// What a state is after the updates that were said so far: its next value, or itself. What an optimiser makes of a
    /// parameter is none of these: of a trained one this is the value before the step.
    #[track_caller]
    pub fn latest<'g>(&'g self, state: Expr<'g>) -> Expr<'g> {
        let Some(id) = state.raw() else { return state };
        let arena = self.arena();
        let alive = |update: &&Update| update.state == id && arena.nodes.contains_key(update.next.key);
        let next = arena.updates.iter().rev().find(alive).map(|update| update.next);
        drop(arena);
        next.map_or(state, |next| self.expr(next))
    }

    /// The states that are updated and their next values, in the order in which the states were first named.
    pub fn updates(&self) -> Vec<(NodeId, NodeId)> {
        self.updates_since(0)
    }

    /// Where it was last said what a state becomes, if it was.
    pub fn update_origin(&self, state: NodeId) -> Option<Origin> {
        let arena = self.arena();
        let alive = |update: &&Update| update.state == state && arena.nodes.contains_key(update.next.key);
        arena.updates.iter().rev().find(alive).map(|update| update.origin)
    }

    /// As [`Graph::updates`], but for the first so many that were said.
    pub(crate) fn updates_since(&self, first: usize) -> Vec<(NodeId, NodeId)> {
        let arena = self.arena();
        let mut places = std::collections::HashMap::new();
        let mut updates: Vec<(NodeId, NodeId)> = Vec::new();
        for &Update { state, next, .. } in arena.updates.iter().skip(first) {
            if !arena.nodes.contains_key(state.key) || !arena.nodes.contains_key(next.key) {
                continue;
            }
            let place = *places.entry(state).or_insert(updates.len());
            match updates.get_mut(place) {
                Some(update) => update.1 = next,
                None => updates.push((state, next)),
            }
        }
        updates
    }

    /// Whether a node is what a declaration keeps between runs.
    fn is_state(&self, id: NodeId) -> bool {
        if let Some(lender) = self.lender() {
            return lender.is_kept(id);
        }
        let arena = self.arena();
        let Some(name) = arena.label(id.key) else { return false };
        arena.names.get(name).is_some_and(|&number| {
            let declaration = &arena.declarations[number as usize];
            declaration.node == id && matches!(declaration.kind, DeclarationKind::Parameter { .. })
        })
    }
}
