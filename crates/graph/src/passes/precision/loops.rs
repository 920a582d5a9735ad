//! Mixed precision in loops: a body is a graph of its own, and goes through the pass as one. There is no backward pass in it, so that the
//! operands of products are all that is rounded.

use std::sync::Arc;

use super::{MixedPrecision, mixed_precision};
use crate::body::{Body, Cut, ScanResult};
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Half, Op, OpKind};

/// A result of a loop in whose body the operands of products are rounded.
pub(super) fn scan(
    half: Half,
    keeps_f32_in_loops: &dyn Fn(OpKind) -> bool,
    body: &Body,
    operands: Box<[NodeId]>,
    result: ScanResult,
) -> Result<Op, GraphError> {
    let (graph, ids) = body.alone()?;
    let end = graph.ordinal_bound();
    let mut keeps_f32 = vec![false; end];
    for id in graph.ids() {
        let node = graph.node(id)?;
        keeps_f32[node.ordinal as usize] = keeps_f32_in_loops(node.op.kind());
    }
    let keeps_f32 = |ordinal: usize| keeps_f32[ordinal];
    let precision = MixedPrecision { half, backward: end, update: end, keeps_f32: &keeps_f32, keeps_f32_in_loops };
    let mixed = mixed_precision(&graph, &ids, &precision)?;
    let ids = mixed.outputs;
    let (carries, rest) = ids[..body.inputs()].split_at(body.carries());
    let (elements, captured) = rest.split_at(body.sequences());
    let next: Vec<NodeId> = body.next().iter().map(|&place| ids[place as usize]).collect();
    // All places, so that the bodies of all results of a loop are the same.
    let cut = Cut {
        carries,
        elements,
        captured,
        next: &next,
        stacked: &ids,
        length: body.length(),
        reverse: body.is_reversed(),
    };
    let (mixed_body, places) = Body::cut(&mixed.graph, &cut)?;
    let result = match result {
        ScanResult::Final(carry) => ScanResult::Final(carry),
        ScanResult::Stacked(place) => ScanResult::Stacked(places[place as usize]),
    };
    Ok(Op::Scan { body: Arc::new(mixed_body), operands, result })
}
