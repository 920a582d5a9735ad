//! The invariants of a graph, checked.
//!
//! 1. The insertion order lists every live node once, with strictly ascending ordinals below the bound.
//! 2. Every operand is alive, of the same graph, and stands before its user: a graph has no cycles.
//! 3. Shape and dtype of a node are what the op's rule infers from its operands.
//! 4. `users` is the number of operand slots that name the node.
//! 5. The value of a constant and of padding is exact in the node's dtype.
//! 6. An input or parameter names its declaration, which names the node, and the two agree in kind, shape and dtype; the
//!    names of live declarations differ.
//! 7. What is required of indices is required by a live node, of a live i32 one.
//!
//! [`Graph::insert`] keeps all but the fifth and sixth by itself; a test that builds graphs, and a pass that rewrites them,
//! calls [`verify`] to be sure. It does not stop at the first violation.

use std::collections::HashSet;

use slotmap::Key;

use crate::arena::{Arena, Graph};
use crate::declaration::DeclarationKind;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId};
use crate::op::{Assembly, Leaf, Op};
use crate::ops::{self, Rule};
use crate::shape::Shape;

/// A violated invariant; `node` is described by its name, or its op and ordinal.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum VerifyError {
    #[error("the insertion order lists {listed} nodes, but {alive} are alive")]
    Order { listed: usize, alive: usize },
    #[error("{node} has ordinal {ordinal}, which is not above its predecessor's or not below {bound}")]
    Ordinal { node: String, ordinal: u32, bound: usize },
    #[error("operand {operand} of {node} is a removed node, or another graph's")]
    DeadOperand { node: String, operand: usize },
    #[error("operand {operand} of {node} stands after it")]
    LateOperand { node: String, operand: usize },
    #[error("{node} breaks its op's rule: {error}")]
    Rule { node: String, error: GraphError },
    #[error("{node} has shape {stored}, but its op's rule infers {inferred}")]
    Shape { node: String, stored: Shape, inferred: Shape },
    #[error("{node} is {stored}, but its op's rule infers {inferred}")]
    DType { node: String, stored: DType, inferred: DType },
    #[error("{node} counts {stored} users, but {counted} operand slots name it")]
    Users { node: String, stored: u32, counted: u32 },
    #[error("{node} holds the value {value:?}, which {dtype} does not")]
    Inexact { node: String, value: f64, dtype: DType },
    #[error("{node} disagrees with its declaration: {what}")]
    Declaration { node: String, what: &'static str },
    #[error("the name {name:?} is declared twice")]
    DuplicateName { name: String },
    #[error("something is required of {node} as indices, which is not a live i32 node, or by a removed node")]
    Bound { node: String },
}

crate::debug_in_words!(VerifyError);

/// `Err` with every violation of the invariants that this module lists.
pub fn verify(graph: &Graph) -> Result<(), Vec<VerifyError>> {
    let arena = graph.arena();
    let mut errors = Vec::new();
    let listed = arena.alive(..).count();
    if listed != arena.nodes.len() {
        errors.push(VerifyError::Order { listed, alive: arena.nodes.len() });
    }
    let bound = graph.ordinal_bound();
    let mut users = vec![0u32; bound];
    for (place, &key) in arena.order.iter().enumerate().filter(|(_, key)| !key.is_null()) {
        let id = NodeId { key, graph: graph.tag() };
        let Some(node) = arena.nodes.get(key) else {
            errors.push(VerifyError::Order { listed, alive: arena.nodes.len() });
            continue;
        };
        if node.ordinal as usize != place {
            errors.push(VerifyError::Ordinal { node: arena.describe(id), ordinal: node.ordinal, bound });
        }
        if check_operands(graph, &arena, id, node, &mut users, &mut errors) {
            check_result(&arena, id, node, &mut errors);
        }
        check_declaration(&arena, id, node, &mut errors);
    }
    for key in arena.alive(..) {
        let (id, Some(node)) = (NodeId { key, graph: graph.tag() }, arena.nodes.get(key)) else { continue };
        let counted = users.get(node.ordinal as usize).copied().unwrap_or_default();
        if counted != node.users {
            errors.push(VerifyError::Users { node: arena.describe(id), stored: node.users, counted });
        }
    }
    let mut names = HashSet::new();
    for declaration in &arena.declarations {
        let alive = declaration.node.graph == graph.tag() && arena.nodes.contains_key(declaration.node.key);
        if alive && !names.insert(declaration.name.as_str()) {
            errors.push(VerifyError::DuplicateName { name: declaration.name.clone() });
        }
    }
    for (owner, requirements) in &arena.requirements {
        for requirement in requirements {
            let indices = requirement.indices;
            let node = arena.nodes.get(indices.key).filter(|_| indices.graph == graph.tag());
            if !arena.nodes.contains_key(*owner) || node.is_none_or(|node| node.dtype != DType::I32) {
                errors.push(VerifyError::Bound { node: arena.describe(indices) });
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Counts the operand slots, and says whether every operand is alive, so that the rule can be asked.
fn check_operands(
    graph: &Graph,
    arena: &Arena,
    id: NodeId,
    node: &Node,
    users: &mut [u32],
    errors: &mut Vec<VerifyError>,
) -> bool {
    let (mut alive, mut place) = (true, 0);
    node.op.for_each_operand(|operand| {
        match arena.nodes.get(operand.key).filter(|_| operand.graph == graph.tag()) {
            Some(found) => {
                if let Some(count) = users.get_mut(found.ordinal as usize) {
                    *count += 1;
                }
                if found.ordinal >= node.ordinal {
                    errors.push(VerifyError::LateOperand { node: arena.describe(id), operand: place });
                }
            }
            None => {
                alive = false;
                errors.push(VerifyError::DeadOperand { node: arena.describe(id), operand: place });
            }
        }
        place += 1;
    });
    alive
}

/// Compares shape, dtype and values with what the op's rule says.
fn check_result(arena: &Arena, id: NodeId, node: &Node, errors: &mut Vec<VerifyError>) {
    let rule = Rule { arena, op: node.op.name(), origin: node.origin };
    match ops::infer(&rule, &node.op, Some(&node.shape), Some(node.dtype)) {
        Ok((shape, dtype)) => {
            if shape != node.shape {
                let (stored, inferred) = (node.shape.clone(), shape);
                errors.push(VerifyError::Shape { node: arena.describe(id), stored, inferred });
            }
            if dtype != node.dtype {
                errors.push(VerifyError::DType { node: arena.describe(id), stored: node.dtype, inferred: dtype });
            }
        }
        Err(error) => errors.push(VerifyError::Rule { node: arena.describe(id), error }),
    }
    if let Op::Leaf(Leaf::Constant { value }) | Op::Assembly(Assembly::Pad { value, .. }) = node.op {
        let exact = if value.is_nan() { node.dtype.is_float() } else { node.dtype.round(value) == value };
        if !exact {
            errors.push(VerifyError::Inexact { node: arena.describe(id), value, dtype: node.dtype });
        }
    }
}

fn check_declaration(arena: &Arena, id: NodeId, node: &Node, errors: &mut Vec<VerifyError>) {
    let (Op::Leaf(Leaf::Input { declaration: number }) | Op::Leaf(Leaf::Parameter { declaration: number })) = node.op
    else {
        return;
    };
    let is_input = matches!(node.op, Op::Leaf(Leaf::Input { .. }));
    let mut wrong = |what| errors.push(VerifyError::Declaration { node: arena.describe(id), what });
    let Some(declaration) = arena.declarations.get(number as usize) else { return wrong("there is none") };
    if declaration.node != id {
        wrong("it is another node's");
    }
    if declaration.shape != node.shape || declaration.dtype != node.dtype || declaration.storage.value() != node.dtype {
        wrong("shape or dtype differ");
    }
    let declared_input = match declaration.kind {
        DeclarationKind::Input => true,
        DeclarationKind::Parameter { .. } => false,
    };
    if declared_input != is_input {
        wrong("one is an input, the other a parameter");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The violations after `breakage` had its way with the arena of a small graph.
    fn after(breakage: impl FnOnce(&mut Arena, [NodeId; 3])) -> Vec<VerifyError> {
        let graph = Graph::new();
        let x = graph.input("x", [2, 3]);
        let y = x.exp();
        let z = x * y;
        let ids = [x, y, z].map(|expr| expr.id().unwrap());
        assert_eq!(verify(&graph), Ok(()));
        breakage(&mut graph.arena_mut(), ids);
        verify(&graph).unwrap_err()
    }

    #[test]
    fn a_wrong_shape_dtype_and_user_count_are_all_found() {
        let errors = after(|arena, [_, y, z]| {
            arena.nodes[y.key].shape = Shape::from([3, 2]);
            arena.nodes[z.key].users = 7;
        });
        assert!(errors.iter().any(|e| matches!(e, VerifyError::Shape { .. })), "{errors:?}");
        assert!(errors.iter().any(|e| matches!(e, VerifyError::Rule { .. })), "{errors:?}");
        assert!(errors.iter().any(|e| matches!(e, VerifyError::Users { stored: 7, counted: 0, .. })), "{errors:?}");
        let errors = after(|arena, [_, _, z]| arena.nodes[z.key].dtype = DType::F64);
        assert!(matches!(errors[..], [VerifyError::DType { .. }]), "{errors:?}");
    }

    #[test]
    fn what_raw_insertion_lets_through_is_found() {
        let graph = Graph::new();
        let (here, shape) = (crate::Origin::here(), Shape::from([2]));
        let undeclared = graph.insert_node(Op::Leaf(Leaf::Input { declaration: 5 }), Some(&shape), None, here);
        let inexact = graph.insert(Op::Leaf(Leaf::Constant { value: 0.1 }), Some(&shape), Some(DType::F32), here);
        assert!(undeclared.is_ok() && inexact.is_ok());
        let errors = verify(&graph).unwrap_err();
        assert!(matches!(errors[..], [VerifyError::Declaration { .. }, VerifyError::Inexact { .. }]), "{errors:?}");
        assert!(errors[1].to_string().ends_with("holds the value 0.1, which f32 does not"));
    }

    #[test]
    fn a_dead_operand_is_found() {
        let errors = after(|arena, [_, y, _]| {
            arena.nodes.remove(y.key);
        });
        assert!(errors.iter().any(|e| matches!(e, VerifyError::DeadOperand { operand: 1, .. })), "{errors:?}");
        assert!(errors.iter().any(|e| matches!(e, VerifyError::Order { listed: 3, alive: 2 })), "{errors:?}");
    }

    #[test]
    fn a_late_operand_and_descending_ordinals_are_found() {
        let errors = after(|arena, [_, y, z]| {
            arena.nodes[y.key].ordinal = 2;
            arena.nodes[z.key].ordinal = 1;
        });
        assert!(errors.iter().any(|e| matches!(e, VerifyError::LateOperand { operand: 1, .. })), "{errors:?}");
        assert!(errors.iter().any(|e| matches!(e, VerifyError::Ordinal { ordinal: 1, .. })), "{errors:?}");
    }

    #[test]
    fn a_declaration_of_another_kind_is_found() {
        let errors = after(|arena, _| {
            let init = crate::Init::Constant(0.0);
            arena.declarations[0].kind = DeclarationKind::Parameter { init, trainable: true };
        });
        assert!(matches!(errors[..], [VerifyError::Declaration { .. }]), "{errors:?}");
    }
}
