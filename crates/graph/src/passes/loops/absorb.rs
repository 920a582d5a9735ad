//! Views and constants that a loop captures, taken into its body: they cost nothing there, and a view may be larger than what it shows.
//!
//! A graph keeps them apart, because somebody may differentiate by them. A plan reads them where their elements stand.

use std::collections::HashMap;

use crate::arena::Graph;
use crate::body::{Body, Cut, ScanResult};
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::Op;

/// A loop that captures neither views nor constants, and what is wanted of it in the order of before.
pub(super) struct Absorbed {
    pub(super) body: Body,
    pub(super) operands: Vec<NodeId>,
    pub(super) wanted: Vec<ScanResult>,
}

/// The loop with what it captures of views and constants in its body; none if there are no such.
pub(super) fn absorb(
    graph: &Graph,
    body: &Body,
    operands: &[NodeId],
    wanted: &[ScanResult],
) -> Result<Option<Absorbed>, GraphError> {
    let arena = graph.arena();
    let op = |id: NodeId| &arena.nodes[id.key].op;
    let (entering, captured) = operands.split_at(body.carries() + body.sequences());
    if !captured.iter().any(|&id| op(id).costs_nothing()) {
        return Ok(None);
    }
    let step = Graph::with_capacity(2 * body.len());
    let placeholder = |id: NodeId, number: Option<usize>| {
        let node = &arena.nodes[id.key];
        let (shape, dtype) = number.and_then(|number| body.node(number as u32)).unwrap_or((&node.shape, node.dtype));
        Ok::<_, GraphError>(step.placeholder(shape, dtype, node.origin)?.0)
    };
    let mut inputs = Vec::with_capacity(operands.len());
    for (number, id) in entering.iter().enumerate() {
        inputs.push(placeholder(*id, Some(number))?);
    }
    let entered = inputs.clone();
    // What is captured now, and what stands for each node in the body.
    let (mut sources, mut leaves) = (Vec::new(), Vec::new());
    let mut known: HashMap<NodeId, NodeId> = HashMap::new();
    for &id in captured {
        // From the operand down to what is known or no view, and up again.
        let mut path = vec![id];
        while let Some(&last) = path.last() {
            let Op::View { operand, .. } = op(last) else { break };
            if known.contains_key(&last) {
                break;
            }
            path.push(*operand);
        }
        for &id in path.iter().rev() {
            if known.contains_key(&id) {
                continue;
            }
            let node = &arena.nodes[id.key];
            let inside = if node.op.costs_nothing() {
                let op = node.op.map_operands(|operand| known.get(&operand).copied().unwrap_or(operand));
                step.insert_node(op, Some(&node.shape), Some(node.dtype), node.origin)?
            } else {
                sources.push(id);
                leaves.push(placeholder(id, None)?);
                leaves[leaves.len() - 1]
            };
            known.insert(id, inside);
        }
        inputs.push(known[&id]);
    }
    let ids = body.replay(&step, &inputs)?;
    let next: Vec<NodeId> = body.next().iter().map(|&place| ids[place as usize]).collect();
    let stacked: Vec<NodeId> = wanted
        .iter()
        .filter_map(|result| match result {
            ScanResult::Final(_) => None,
            ScanResult::Stacked(place) => Some(ids[*place as usize]),
        })
        .collect();
    let cut = Cut {
        carries: &entered[..body.carries()],
        elements: &entered[body.carries()..],
        captured: &leaves,
        next: &next,
        stacked: &stacked,
        length: body.length(),
        reverse: body.is_reversed(),
    };
    let (body, places) = Body::cut(&step, &cut)?;
    let mut places = places.into_iter();
    let result = |result: &ScanResult| match result {
        ScanResult::Final(_) => Some(*result),
        ScanResult::Stacked(_) => places.next().map(ScanResult::Stacked),
    };
    // A body has a place for each of what is stacked.
    let wanted = wanted.iter().filter_map(result).collect();
    Ok(Some(Absorbed { body, operands: [entering, &sources].concat(), wanted }))
}
