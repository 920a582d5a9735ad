//! Widening: the same graph with every f32 tensor held in f64.
//!
//! Declarations, literals, constants and results that were f32 are f64; names, shapes, bounds and all other dtypes stay.
//! Constants keep the value that f32 rounded them to, and random numbers are drawn as before and then cast, so what the
//! graph computes is what it computed, with less rounding. That is what a check by finite differences needs: in f32 the
//! differences lose half of their digits to rounding.
//!
//! The rule knows nothing of values: it is one dtype for another, and only [`Op::Literal`] and [`Op::Uniform`] carry their
//! dtype in themselves.

use std::sync::Arc;

use crate::body::{Body, Cut, ScanResult};
use crate::dtype::DType;
use crate::elements::Elements;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Elementwise, Leaf, Op};
use crate::passes::rebuild::Rebuild;
use crate::shape::Shape;

/// The dtype that takes the place of another.
pub(super) fn widened(dtype: DType) -> DType {
    match dtype {
        DType::F32 | DType::F64 => DType::F64,
        DType::I32 => DType::I32,
        DType::Bool => DType::Bool,
    }
}

/// Rebuilds a node whose operands are widened already.
pub(super) fn node(rebuild: &mut Rebuild, op: Op, shape: &Shape, dtype: DType) -> Result<NodeId, GraphError> {
    let op = if let Op::Scan { body, operands, result } = op { scan(&body, operands, result)? } else { op };
    if dtype != DType::F32 {
        return rebuild.node(op, shape, dtype);
    }
    if matches!(op, Op::Uniform { .. }) {
        let operand = rebuild.node(op, shape, DType::F32)?;
        return rebuild.node(Op::Elementwise(Elementwise::Cast { operand }), shape, DType::F64);
    }
    let op =
        if let Op::Leaf(Leaf::Literal { data }) = op { Op::Leaf(Leaf::Literal { data: literal(data) }) } else { op };
    rebuild.node(op, shape, DType::F64)
}

/// A literal whose dtype is widened.
fn literal(data: Arc<Elements>) -> Arc<Elements> {
    if data.dtype() == DType::F32 { Arc::new(Elements::F64(data.to_f64_vec().into())) } else { data }
}

/// A result of a loop whose body is widened.
fn scan(body: &Body, operands: Box<[NodeId]>, result: ScanResult) -> Result<Op, GraphError> {
    let (graph, ids) = body.alone()?;
    let wide = super::widen(&graph, &ids)?;
    let ids = wide.outputs;
    let (carries, rest) = ids[..body.inputs()].split_at(body.carries());
    let (elements, captured) = rest.split_at(body.sequences());
    let next: Vec<NodeId> = body.next().iter().map(|&place| ids[place as usize]).collect();
    let stacked = match result {
        ScanResult::Final(_) => None,
        ScanResult::Stacked(place) => Some(ids[place as usize]),
    };
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
    let (wide_body, places) = Body::cut(&wide.graph, &cut)?;
    let place = stacked.and_then(|id| ids.iter().position(|other| *other == id));
    let result = place.map_or(result, |place| ScanResult::Stacked(places[place]));
    Ok(Op::Scan { body: Arc::new(wide_body), operands, result })
}
