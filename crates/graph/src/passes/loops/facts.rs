//! What is known of each node of one step: what it depends on, what it costs, and how large it would be for all steps at once.
//!
//! **How large is too large.** What is moved out of a loop stands in memory for all steps where it stood for one. A product with an element
//! is about as large as the sequence, several times if it feeds several gates, and moving it is what makes loops fast; scores of one chunk of queries
//! after the other, or a copy of a table for each step, are what a loop keeps small. The loop itself tells them apart: what is no larger
//! than [`TIMES`] all that the loop is given and gives changes the order of magnitude of nothing, and [`ALWAYS`] bytes matter nowhere.

use crate::body::{Body, ScanResult};
use crate::node::{Node, NodeId};
use crate::op::Op;
use crate::passes::Optimised;
use crate::shape::MAX_RANK;

/// How many times all operands and results of a loop together something may be for all steps. A cell of four gates whose states are
/// results computes four times these.
const TIMES: usize = 4;

/// How many bytes something may be for all steps, whatever the loop.
const ALWAYS: usize = 4 << 20;

/// What is known of each node.
pub(super) struct Facts {
    /// Which input it is.
    pub(super) input: Vec<Option<Input>>,
    /// Whether it depends on a carry, and on an element.
    pub(super) by_carry: Vec<bool>,
    pub(super) by_element: Vec<bool>,
    /// Whether it can be computed for all steps at once, before the loop.
    pub(super) is_free: Vec<bool>,
    /// Whether it, or something that it is computed from, costs more than its elements.
    pub(super) is_heavy: Vec<bool>,
    /// Whether it differs from step to step and is too large to stand in memory for all of them.
    pub(super) is_large: Vec<bool>,
    /// Whether it can be had for all steps: it is not too large, or it is a view of what is not.
    pub(super) fits: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Carry(usize),
    Element(usize),
    /// A carry that never changes is captured.
    Captured(usize),
}

impl Facts {
    pub(super) fn new(
        step: &Optimised,
        body: &Body,
        wanted: &[ScanResult],
        inputs: &[NodeId],
        next: &[Option<NodeId>],
    ) -> Facts {
        let arena = step.graph.arena();
        let count = arena.order.len();
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let mut input = vec![None; count];
        for (number, id) in inputs.iter().enumerate() {
            input[ordinal(*id)] = Some(if number >= body.carries() + body.sequences() {
                Input::Captured(number)
            } else if number >= body.carries() {
                Input::Element(number)
            } else if next[number] == Some(*id) {
                Input::Captured(number)
            } else {
                Input::Carry(number)
            });
        }
        let most = most_bytes(body, wanted);
        let none = || vec![false; count];
        let mut facts = Facts {
            input,
            by_carry: none(),
            by_element: none(),
            is_free: none(),
            is_heavy: none(),
            is_large: none(),
            fits: none(),
        };
        for (place, &key) in arena.order.iter().enumerate() {
            let node = &arena.nodes[key];
            let op = &node.op;
            facts.by_carry[place] = matches!(facts.input[place], Some(Input::Carry(_)));
            facts.by_element[place] = matches!(facts.input[place], Some(Input::Element(_)));
            let mut is_free = !facts.by_carry[place];
            facts.is_heavy[place] = is_heavy(op);
            let (mut operands_fit, mut most_elements) = (true, 0);
            op.for_each_operand(|operand| {
                most_elements = most_elements.max(arena.nodes[operand.key].shape.elements());
                let operand = ordinal(operand);
                facts.by_carry[place] |= facts.by_carry[operand];
                facts.by_element[place] |= facts.by_element[operand];
                facts.is_heavy[place] |= facts.is_heavy[operand];
                is_free &= facts.is_free[operand];
                operands_fit &= facts.fits[operand];
            });
            let bytes = bytes_of_all(node, body);
            let varies = facts.by_carry[place] || facts.by_element[place];
            let is_there = matches!(facts.input[place], Some(Input::Element(_)));
            facts.is_large[place] = varies && !is_there && bytes > most;
            // A view that repeats what fits stands nowhere.
            let is_view = matches!(op, Op::View { .. }) && operands_fit && most_elements <= node.shape.elements();
            let is_possible = node.shape.rank() < MAX_RANK && bytes <= isize::MAX as usize;
            facts.fits[place] = !varies || (is_possible && (!facts.is_large[place] || is_view));
            facts.is_free[place] = is_free && (!facts.by_element[place] || (is_batched(op) && facts.fits[place]));
        }
        facts
    }
}

/// The bytes of a node for all steps.
fn bytes_of_all(node: &Node, body: &Body) -> usize {
    node.shape.elements().saturating_mul(node.dtype.bytes()).saturating_mul(body.length())
}

/// How many bytes something may be for all steps.
fn most_bytes(body: &Body, wanted: &[ScanResult]) -> usize {
    let needed = body.needed(wanted);
    let operands = (0..body.inputs()).filter(|&number| needed[number]).filter_map(|number| body.operand(number));
    let results = wanted.iter().filter_map(|result| body.result(*result));
    let sum = operands
        .chain(results)
        .fold(0usize, |sum, (shape, dtype)| sum.saturating_add(shape.elements().saturating_mul(dtype.bytes())));
    sum.saturating_mul(TIMES).max(ALWAYS)
}

/// Whether an op costs more than to load its elements.
pub(super) fn is_heavy(op: &Op) -> bool {
    match op {
        Op::MatMul { .. }
        | Op::AllReduce { .. }
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::Indexing(_)
        | Op::Attention(_)
        | Op::Scan { .. }
        | Op::LinearAlgebra { .. }
        | Op::Convolution { .. }
        | Op::Ordered(_) => true,
        Op::Leaf(_)
        | Op::Uniform { .. }
        | Op::Elementwise(_)
        | Op::StopGradient { .. }
        | Op::CustomGradient { .. }
        | Op::View { .. }
        | Op::Assembly(_) => false,
    }
}

/// Whether an op can be computed for all steps at once: random numbers are drawn by one step each, also those that a loop draws.
pub(super) fn is_batched(op: &Op) -> bool {
    match op {
        Op::Uniform { .. } | Op::CustomGradient { .. } => false,
        Op::Scan { body, .. } => !body.draws(),
        Op::Leaf(_)
        | Op::Elementwise(_)
        | Op::StopGradient { .. }
        | Op::AllReduce { .. }
        | Op::View { .. }
        | Op::Assembly(_)
        | Op::Reduce { .. }
        | Op::ArgMax { .. }
        | Op::MatMul { .. }
        | Op::Indexing(_)
        | Op::Attention(_)
        | Op::LinearAlgebra { .. }
        | Op::Convolution { .. }
        | Op::Ordered(_) => true,
    }
}
