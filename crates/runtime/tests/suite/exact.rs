//! When does f32 arithmetic make no rounding at all? While every number is an integer below 2^24, partial sums included.
//! Then any order of computing, on any device, gives the same result, and a difference is a bug, not an error of rounding.

use arenagrad_graph::{Graph, NodeId, Op, ReduceFunction};

use super::evaluate::{Given, evaluate};

const LIMIT: f64 = (1 << 24) as f64;

/// Whether everything that the outputs need is exact in f32, in whatever order it is computed.
pub fn is_exact(graph: &Graph, outputs: &[NodeId], given: &Given) -> bool {
    let needed = graph.needed(outputs).expect("outputs of this graph");
    let values = evaluate(graph, &needed, given);
    let largest: Vec<f64> = values.iter().map(|value| value.iter().fold(0.0, |m: f64, x| m.max(x.abs()))).collect();
    let integers = values.iter().flatten().all(|x| x.fract() == 0.0 && x.abs() < LIMIT);
    let place = |id: &NodeId| needed.iter().position(|other| other == id).expect("operands are needed");
    integers
        && needed.iter().all(|id| {
            let node = graph.node(*id).expect("a live node");
            let partial_sums = match &node.op {
                Op::Reduce { function: ReduceFunction::Sum, operand, axes } => {
                    let shape = &graph.node(*operand).expect("a live operand").shape;
                    let count: usize = axes.iter().map(|axis| shape[axis]).product();
                    largest[place(operand)] * count as f64
                }
                Op::MatMul { lhs, rhs, transpose_lhs, .. } => {
                    let shape = &graph.node(*lhs).expect("a live operand").shape;
                    let inner = shape[shape.rank() - if *transpose_lhs { 2 } else { 1 }];
                    largest[place(lhs)] * largest[place(rhs)] * inner as f64
                }
                Op::ScatterAdd { operand, updates, .. } => {
                    let count = graph.node(*updates).expect("a live operand").shape.elements();
                    largest[place(operand)] + largest[place(updates)] * count as f64
                }
                _ => 0.0,
            };
            partial_sums < LIMIT
        })
}
