//! Loops: steps that run a plan of their own, round after round.
//!
//! The plan of a body is made as any other, of a graph in which the carries are states, overwritten in each round where that can be in place, and
//! elements and what is captured are inputs. So it is as long as the body, however many rounds there are. Its buffers are its own,
//! but for what is captured: that is read where it stands.
//!
//! What this does not know: how a device runs rounds, nor where buffers are.

use std::sync::Arc;

use arenagrad_graph::{Body, GraphError, NodeId, Op, Origin, ScanResult};
use arenagrad_kernels::cost::Cost;

use crate::plan::entries::{Entry, Work};
use crate::plan::{BufferRole, Plan, Request, Target};

/// A loop as a step. Numbers of `operand` count the step's inputs, those of `result` its outputs, and those of `buffer` the buffers
/// of the body's plan.
#[derive(Clone, Debug)]
pub(crate) struct LoopPlan {
    pub(crate) length: usize,
    /// Whether the first round is that of the last elements.
    pub(crate) reverse: bool,
    /// What each round runs.
    pub(crate) plan: Plan,
    pub(crate) carries: Vec<CarryPlace>,
    pub(crate) sequences: Vec<OperandPlace>,
    pub(crate) captured: Vec<OperandPlace>,
    /// What is stacked after each round.
    pub(crate) stacked: Vec<ResultPlace>,
    /// Carries whose values are stacked as a round finds them.
    pub(crate) found: Vec<ResultPlace>,
    /// Which operands of the loop are the step's inputs.
    operands: Vec<usize>,
}

/// A carry: a buffer that begins with what an operand holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CarryPlace {
    pub(crate) operand: usize,
    pub(crate) buffer: u32,
    pub(crate) elements: usize,
    /// The result that is the carry's last value.
    pub(crate) result: Option<usize>,
}

/// An operand, and the buffer that holds it or an element of it in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperandPlace {
    pub(crate) operand: usize,
    pub(crate) buffer: u32,
    /// How many elements of the buffer are of one round.
    pub(crate) elements: usize,
}

/// A stack, and the buffer that holds what is put there in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResultPlace {
    pub(crate) result: usize,
    pub(crate) buffer: u32,
    pub(crate) elements: usize,
}

/// Loops that a reader sees as the same.
impl PartialEq for LoopPlan {
    fn eq(&self, other: &Self) -> bool {
        let shown = |looped: &LoopPlan| (looped.length, looped.reverse, looped.plan.buffers.len());
        shown(self) == shown(other) && self.plan.described == other.plan.described
    }
}

impl LoopPlan {
    /// What all rounds cost together.
    pub(crate) fn cost(&self) -> Cost {
        let mut sum = Cost { operations: 0, read: 0, written: 0 };
        for step in &self.plan.described {
            sum = sum.and(step.cost);
        }
        let times = |amount: usize| amount.saturating_mul(self.length);
        Cost { operations: times(sum.operations), read: times(sum.read), written: times(sum.written) }
    }
}

/// The plans of the loops whose bodies these are, each with those results that have entries.
pub(crate) fn plan(entries: &[Entry], bodies: &[Arc<Body>], target: Target) -> Result<Vec<Arc<LoopPlan>>, GraphError> {
    let mut results: Vec<Vec<ScanResult>> = vec![Vec::new(); bodies.len()];
    for entry in entries {
        if let Work::Scan { number, result } = &entry.work {
            results[*number as usize].push(*result);
        }
    }
    bodies.iter().zip(results).map(|(body, results)| Ok(Arc::new(plan_one(body, &results, target)?))).collect()
}

fn plan_one(body: &Body, results: &[ScanResult], target: Target) -> Result<LoopPlan, GraphError> {
    let (graph, ids) = body.stand_alone()?;
    let needed = body.needed(results);
    let outputs: Vec<NodeId> = results
        .iter()
        .filter_map(|result| match result {
            ScanResult::Final(_) => None,
            // A carry stands in its buffer before the round.
            ScanResult::Stacked(place) => (*place as usize >= body.carries()).then(|| ids[*place as usize]),
        })
        .collect();
    let updates = (0..body.carries())
        .filter(|&carry| needed[carry])
        .map(|carry| (carry as u32, ids[body.next()[carry] as usize]))
        .collect();
    let request = Request { outputs, updates, rest: "each round", target, ..Request::default() };
    let plan = Plan::of_round(&graph, &request)?;
    if !plan.exchanges.is_empty() {
        let nodes = graph.ids().into_iter().filter_map(|id| graph.node(id).ok());
        let exchange = nodes.clone().find(|node| matches!(node.op, Op::AllReduce { .. }));
        let origin = exchange.map_or_else(Origin::here, |node| node.origin);
        return Err(GraphError::AllReduceInLoop { origin, op: "all_reduce" });
    }

    let (mut operands, mut carries, mut sequences, mut captured) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..body.inputs() {
        let is_own = |role: &BufferRole| match role {
            BufferRole::Input(declaration) | BufferRole::Parameter(declaration) => *declaration as usize == number,
            BufferRole::Literal(_) | BufferRole::Slot => false,
        };
        let Some(buffer) = plan.buffers.iter().position(|spec| is_own(&spec.role)) else { continue };
        let elements = plan.buffers[buffer].elements;
        if elements == 0 {
            continue;
        }
        let (operand, buffer) = (operands.len(), buffer as u32);
        operands.push(number);
        if number < body.carries() {
            let is_last = |result: &ScanResult| *result == ScanResult::Final(number as u32);
            carries.push(CarryPlace { operand, buffer, elements, result: results.iter().position(is_last) });
        } else if number < body.carries() + body.sequences() {
            sequences.push(OperandPlace { operand, buffer, elements });
        } else {
            captured.push(OperandPlace { operand, buffer, elements });
        }
    }
    let (mut numbers, mut found) = (Vec::new(), Vec::new());
    for (result, stacked) in results.iter().enumerate() {
        let ScanResult::Stacked(place) = *stacked else { continue };
        if place as usize >= body.carries() {
            numbers.push(result);
        } else if let Some(carry) = carries.iter().find(|carry| operands[carry.operand] == place as usize) {
            found.push(ResultPlace { result, buffer: carry.buffer, elements: carry.elements });
        }
    }
    let stacked = numbers
        .into_iter()
        .zip(&plan.outputs)
        .filter_map(|(result, output)| {
            Some(ResultPlace { result, buffer: output.buffer?, elements: output.shape.elements() })
        })
        .collect();
    let (length, reverse) = (body.length(), body.is_reversed());
    Ok(LoopPlan { length, reverse, plan, carries, sequences, captured, stacked, found, operands })
}

/// The entries that a loop's step reads, where one of its results has the operands of `entry`.
pub(crate) fn reads(entry: &Entry, looped: &LoopPlan) -> Vec<u32> {
    looped.operands.iter().map(|&operand| entry.operands[operand].base).collect()
}
