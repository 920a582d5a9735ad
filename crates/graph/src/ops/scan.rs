//! A loop over a sequence, as `jax.lax.scan`: its results, one node each.
//!
//! | op | y | derivative |
//! |---|---|---|
//! | scan, final | `c_n`, where `(c_{t+1}, o_t) = body(c_t, x_t, w)` for `t` from 0 to `n - 1`, or from the last element to the first | another loop: [`crate::autodiff`], `scan.rs` |
//! | scan, stacked | `[o_0, .., o_{n-1}]` along a new first axis | the same |
//!
//! A loop of no steps gives the first values of its carries back, and stacks of extent 0.

use std::sync::Arc;

use crate::autodiff::scan;
use crate::body::{Body, ScanResult};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::NodeId;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    body: &Body,
    operands: &[NodeId],
    result: ScanResult,
) -> Result<(Shape, DType), GraphError> {
    let (origin, op) = (rule.origin, rule.op);
    if operands.len() != body.inputs() {
        let (given, inputs) = (operands.len(), body.inputs());
        return Err(GraphError::OperandCount { origin, op, given, inputs });
    }
    for (number, &operand) in operands.iter().enumerate() {
        let node = rule.node(operand);
        let Some((shape, dtype)) = body.operand(number) else { continue };
        let what = || format!("what the body takes for operand {number}");
        if node.shape != shape {
            let (lhs, lhs_shape) = (rule.describe(operand), node.shape.clone());
            return Err(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs: what(), rhs_shape: shape });
        }
        if node.dtype != dtype {
            let (lhs, left) = (rule.describe(operand), node.dtype);
            return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs: what(), right: dtype });
        }
    }
    body.result(result).ok_or(GraphError::StaleNode { origin, op })
}

pub(crate) fn vjp<'g>(
    body: &Arc<Body>,
    operands: &[NodeId],
    result: ScanResult,
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let graph = node.output.graph();
    let place = scan::Loop { graph, body, operands, origin: node.origin };
    if let Err(error) = place.vjp(&[(result, node.upstream)], node.wants, give) {
        let _poisoned = graph.finish(Err(error));
    }
}

pub(crate) fn jvp<'g>(
    body: &Arc<Body>,
    operands: &[NodeId],
    result: ScanResult,
    node: &Pushed<'g, '_>,
) -> Option<Expr<'g>> {
    let graph = node.output.graph();
    let place = scan::Loop { graph, body, operands, origin: node.origin };
    match place.jvp(&[result], node.tangent) {
        Ok(tangents) => tangents.into_iter().next().flatten(),
        Err(error) => Some(graph.finish(Err(error))),
    }
}
