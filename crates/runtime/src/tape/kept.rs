//! Values that a tape keeps beside those of its variables, so that nothing long is computed twice.
//!
//! Once the value of a node is known, what it was computed from is needed for gradients alone. A node through which none can flow
//! becomes a slot on the spot: its operands are let go, and a value that a loop carries along holds one step, however long the
//! loop runs. A node that gradients flow through keeps its history, as it must, and its value is kept beside it, so that
//! what is recorded on top is computed from there.
//!
//! A run that had long to go keeps more than what it was asked for: what it computed on the way and something else needs,
//! be it a variable or another recorded operation. So two values that a loop carries along are both cut, though only one is
//! ever asked for. A short run does not, for it would cost more to keep a value than to compute it again, unless the arena has
//! grown meanwhile.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use arenagrad_graph::{NodeId, Pending};

use crate::error::Error;
use crate::tape::Inner;
use crate::tape::record::End;
use crate::tape::value::Value;

/// A run of more nodes than this keeps what others need of what it computed.
const LONG_RUN: usize = 64;

/// A run of more nodes than this keeps values of nodes that gradients flow through too. They hold their histories all the same, so
/// this only spares time.
const VERY_LONG_RUN: usize = 1024;

/// An arena of fewer nodes than this is not large.
const LARGE_ARENA: usize = 256;

/// The values of nodes that gradients flow through.
pub(crate) type Known = HashMap<NodeId, Rc<Value>>;

impl Inner {
    /// The value of a node; it is kept as long as something may need it.
    pub(crate) fn evaluate(&self, node: NodeId) -> Result<Rc<Value>, Error> {
        match self.value_at(node) {
            Some(value) => Ok(value),
            None => Ok(self.compute(&[node], &[node], true)?.remove(0)),
        }
    }

    /// The values of nodes, of which those of `kept` are kept as long as something may need them. `with_history` says whether a
    /// very long run also keeps what gradients flow through; after a backward pass nobody asks for that again.
    pub(crate) fn compute(
        &self,
        outputs: &[NodeId],
        kept: &[NodeId],
        with_history: bool,
    ) -> Result<Vec<Rc<Value>>, Error> {
        let pending = self.pending(outputs)?;
        let mut keeps: HashSet<NodeId> = kept.iter().copied().collect();
        self.unlooked.set(self.unlooked.get() + pending.len());
        // Looking goes through all variables that stand in the arena, and is paid for by as many nodes that were computed.
        let is_paid = self.unlooked.get() >= self.records.borrow().placed_len();
        if is_paid && (pending.len() > LONG_RUN || self.has_grown()) {
            self.unlooked.set(0);
            let standing = self.standing();
            let with_history = with_history && pending.len() > VERY_LONG_RUN;
            let is_needed = |pending: &&Pending| {
                (with_history || !pending.carries_gradient)
                    && (pending.is_used_beside || standing.contains(&pending.node))
            };
            keeps.extend(pending.iter().filter(is_needed).map(|pending| pending.node));
        }
        self.computed.set(self.computed.get() + pending.len());
        // In insertion order, so that one computation is one plan.
        let keeps: Vec<Pending> = pending.into_iter().filter(|pending| keeps.contains(&pending.node)).collect();
        let asked: HashSet<NodeId> = outputs.iter().copied().collect();
        let further = keeps.iter().map(|pending| pending.node).filter(|node| !asked.contains(node));
        let nodes: Vec<NodeId> = outputs.iter().copied().chain(further).collect();
        let mut values = match self.run(&nodes) {
            Ok(values) => values,
            Err(error) => {
                // Who asks for a state itself is told that its batch is refused. Others only read the state, and that batch counts for nothing.
                // None waits after this, so it comes here once.
                let is_of_state = self.waiting_states().iter().any(|(_, node)| outputs.contains(node));
                return match self.settle_states(&error) {
                    true if !is_of_state => self.compute(outputs, kept, with_history),
                    true | false => Err(error),
                };
            }
        };
        let by_node: HashMap<NodeId, &Rc<Value>> = nodes.iter().copied().zip(&values).collect();
        for Pending { node, carries_gradient, .. } in keeps {
            if let Some(value) = by_node.get(&node) {
                self.keep(node, value, carries_gradient)?;
            }
        }
        values.truncate(outputs.len());
        Ok(values)
    }

    /// Whether the arena is large and has grown by half since it was swept: short runs may each leave a history behind that only a
    /// value needs which was computed in all of them and asked for in none.
    fn has_grown(&self) -> bool {
        let nodes = self.graph.len();
        nodes >= LARGE_ARENA && 4 * nodes >= 3 * self.sweep_at.get()
    }

    /// The value at a node, if it is known.
    pub(crate) fn value_at(&self, node: NodeId) -> Option<Rc<Value>> {
        let slots = self.slots.borrow();
        slots.get(node).map(|slot| slot.value.clone()).or_else(|| self.known.borrow().get(&node).cloned())
    }

    /// What is left to compute for nodes.
    fn pending(&self, outputs: &[NodeId]) -> Result<Vec<Pending>, Error> {
        let (slots, known) = (self.slots.borrow(), self.known.borrow());
        let carries = |node| match slots.get(node) {
            Some(slot) => Some(slot.end != End::Constant),
            None => known.contains_key(&node).then_some(true),
        };
        Ok(self.graph.pending(outputs, carries)?)
    }

    /// The nodes at which living variables and gradients stand, and states before updates that wait.
    pub(crate) fn standing(&self) -> HashSet<NodeId> {
        let mut nodes: HashSet<NodeId> = self.parameters.borrow().waiting_nodes().collect();
        self.records.borrow_mut().for_each_placed(|record| {
            nodes.extend(record.node().into_iter().chain(record.gradient_node()));
        });
        nodes
    }

    pub(crate) fn keep(&self, node: NodeId, value: &Rc<Value>, carries_gradient: bool) -> Result<(), Error> {
        self.count_kept(value);
        if carries_gradient {
            self.known.borrow_mut().insert(node, value.clone());
        } else {
            self.slots.borrow_mut().stand_at(&self.graph, node, value.clone())?;
        }
        Ok(())
    }
}
