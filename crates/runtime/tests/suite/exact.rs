//! When does f32 arithmetic make no rounding at all? While every number is one of f32, and every sum of products, partial ones
//! included, a multiple of some power of two that 24 bits can count. Then any order of computing, on any device, gives the
//! same result, and a difference is a bug, not an error of rounding.

use arenagrad_graph::{Graph, Indexing, NodeId, Op, ReduceFunction, ScatterFunction};

use super::evaluate::{Given, evaluate};

const LIMIT: f64 = (1 << 24) as f64;

/// What the elements of a node have in common.
#[derive(Clone, Copy)]
struct Magnitude {
    /// The largest, without its sign.
    largest: f64,
    /// A number of which all are multiples.
    unit: f64,
}

/// Whether everything that the outputs need is exact in f32, in whatever order it is computed.
pub fn is_exact(graph: &Graph, outputs: &[NodeId], given: &Given) -> bool {
    let needed = graph.needed(outputs).expect("outputs of this graph");
    let values = evaluate(graph, &needed, given);
    if values.iter().flatten().any(|&x| f64::from(x as f32) != x) {
        return false;
    }
    let magnitudes: Vec<Magnitude> = values.iter().map(|value| magnitude(value)).collect();
    let of = |id: &NodeId| magnitudes[needed.iter().position(|other| other == id).expect("operands are needed")];
    needed.iter().all(|id| {
        let node = graph.node(*id).expect("a live node");
        let shape_of = |operand: &NodeId| graph.node(*operand).expect("a live operand").shape.clone();
        match &node.op {
            Op::Reduce { function: ReduceFunction::Sum, operand, axes } => {
                let shape = shape_of(operand);
                let count: usize = axes.iter().map(|axis| shape[axis]).product();
                of(operand).largest * count as f64 / of(operand).unit < LIMIT
            }
            Op::MatMul { lhs, rhs, transpose_lhs, .. } => {
                let shape = shape_of(lhs);
                let inner = shape[shape.rank() - if *transpose_lhs { 2 } else { 1 }];
                let (a, b) = (of(lhs), of(rhs));
                a.largest * b.largest * inner as f64 / (a.unit * b.unit) < LIMIT
            }
            Op::Convolution { input, weight, .. } => {
                let terms: usize = shape_of(weight)[2..].iter().product();
                let (a, b) = (of(input), of(weight));
                a.largest * b.largest * terms as f64 / (a.unit * b.unit) < LIMIT
            }
            Op::Indexing(Indexing::ScatterAdd { operand, updates, .. }) => {
                let count = shape_of(updates).elements();
                let (a, b) = (of(operand), of(updates));
                (a.largest + b.largest * count as f64) / a.unit.min(b.unit) < LIMIT
            }
            Op::Attention(_) => false,
            Op::Indexing(Indexing::ScatterReduce { function: ScatterFunction::Mul, operand, updates, .. }) => {
                let count = shape_of(updates).elements() as i32;
                let (a, b) = (of(operand), of(updates));
                a.largest.max(1.0) * b.largest.max(1.0).powi(count) / (a.unit * b.unit.powi(count)) < LIMIT
            }
            // One of several elements, whichever is seen first.
            Op::Indexing(Indexing::ScatterReduce { .. }) => true,
            Op::Leaf(_)
            | Op::Uniform { .. }
            | Op::Elementwise(_)
            | Op::StopGradient { .. }
            | Op::AllReduce { .. }
            | Op::CustomGradient { .. }
            | Op::View { .. }
            | Op::Assembly(_)
            | Op::Reduce { .. }
            | Op::ArgMax { .. }
            | Op::Ordered(_)
            | Op::Indexing(Indexing::Gather { .. }) => true,
            // Its rounds are not looked into.
            Op::Scan { .. } => false,
            // Quotients and roots are rounded.
            Op::LinearAlgebra { .. } => false,
        }
    })
}

fn magnitude(elements: &[f64]) -> Magnitude {
    let largest = elements.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    let mut unit = 1.0;
    while unit > 1e-9 && elements.iter().any(|x| (x / unit).fract() != 0.0) {
        unit *= 0.5;
    }
    Magnitude { largest, unit }
}
