//! What errors call the nodes of a graph: by what the caller wrote.
//!
//! A method is often several nodes, and the op of the last of them says little: a sum ends in a reshape, a softmax in a function with a
//! gradient of its own. So the method that the caller called is kept of the node that it inserted last, which is its result, and a layer
//! is found among those that were applied.
//!
//! Invariant: nothing is kept of a node whose op has the method's name, as those of operators and functions of single elements have: a
//! graph of these alone is as large as if nothing were kept.

use std::borrow::Cow;

use crate::arena::{Arena, Graph};
use crate::layers::AppliedLayer;
use crate::node::{NodeId, NodeKey};
use crate::op::{Leaf, Op};
use crate::views::shown_by;

impl Graph {
    /// Keeps of the last of the nodes that were inserted since that ordinal that it is the result of `method`. Those of several results it
    /// gives names itself: see [`crate::method::Method::gives`].
    pub(crate) fn call_last(&self, first: u32, method: &'static str) {
        let mut arena = self.arena_mut();
        if let Some(&key) = arena.order.get(first as usize..).and_then(<[NodeKey]>::last) {
            arena.call(key, method);
        }
    }
}

impl Arena {
    /// Keeps that a node is the result of `method`, unless it is known to be that of a layer.
    pub(crate) fn call(&mut self, key: NodeKey, method: &'static str) {
        let is_called_otherwise = |op: &Op| {
            let is_declared = matches!(op, Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. }));
            !is_declared && op.name() != method
        };
        let is_of_layer = matches!(self.methods.get(&key), Some(Cow::Owned(_)));
        if !is_of_layer && self.nodes.get(key).is_some_and(|node| is_called_otherwise(&node.op)) {
            self.methods.insert(key, Cow::Borrowed(method));
        }
    }

    /// Keeps of a layer's result which layer that was, where the layers that were applied are forgotten. Outer ones come after their parts.
    pub(crate) fn call_by_layer(&mut self, layer: &AppliedLayer) {
        if let Some(output) = layer.output.filter(|output| *output != layer.input) {
            self.methods.insert(output.key, Cow::Owned(described_layer(layer)));
        }
    }

    /// How errors refer to a node: its name in quotes, or what it is the result of and its ordinal, a layer, a method or an op. What an
    /// input was called later goes before the name that it was declared by.
    pub(crate) fn describe(&self, id: NodeId) -> String {
        let Some(node) = self.nodes.get(id.key) else { return "a removed node".to_owned() };
        if let Some(name) = self.name_or_role(id.key) {
            return name;
        }
        if let Some(layer) = self.layer_of(id) {
            return layer;
        }
        let of = self.viewed_name(&node.op).map_or_else(String::new, |name| format!(" of {name}"));
        let method = self.methods.get(&id.key).map_or_else(|| node.op.name(), Cow::as_ref);
        format!("{method} (node {}){of}", node.ordinal)
    }

    /// The layer that a node is the result of, the outermost of several.
    fn layer_of(&self, id: NodeId) -> Option<String> {
        // Outer layers stand before their parts.
        let is_result = |layer: &&AppliedLayer| layer.output == Some(id) && layer.input != id;
        let layer = self.layers.iter().find(is_result)?;
        Some(format!("{} (node {})", described_layer(layer), self.nodes.get(id.key)?.ordinal))
    }

    /// The name of a node in quotes, or what a placeholder stands for. What a result became that a tape has computed since has a method
    /// in the place of its number there.
    fn name_or_role(&self, key: NodeKey) -> Option<String> {
        if let Some(called) = self.labels.get(&key) {
            return Some(format!("{called:?}"));
        }
        let label = self.label(key).filter(|_| !self.methods.contains_key(&key));
        label.map(|label| format!("{label:?}")).or_else(|| self.roles.get(&key).map(ToString::to_string))
    }

    /// What errors call that which an op views, through views of views, if it has a name or a role; else the layer or method that one of
    /// those is the result of.
    fn viewed_name(&self, op: &Op) -> Option<String> {
        let mut op = op;
        let mut result = None;
        while let Some(operand) = shown_by(op) {
            if let Some(name) = self.name_or_role(operand.key) {
                return Some(name);
            }
            let node = self.nodes.get(operand.key)?;
            let of_method = || Some(format!("{} (node {})", self.methods.get(&operand.key)?, node.ordinal));
            result = result.or_else(|| self.layer_of(operand)).or_else(of_method);
            op = &node.op;
        }
        result
    }
}

/// A layer by what it is and its name: `Linear "head"`.
fn described_layer(layer: &AppliedLayer) -> String {
    let kind = layer.kind.split('(').next().unwrap_or_default();
    if layer.name.is_empty() { kind.to_owned() } else { format!("{kind} {:?}", layer.name) }
}
