//! What of a loop's body is better done for all steps at once, before the loop or after it.
//!
//! What depends on elements and not on carries waits for nothing: its products are one product over the whole sequence, before the
//! loop. What no next carry needs is computed after it, of values that the loop stacks. A carry that only adds something up is no carry: that is a sum over all
//! steps after the loop, and where products are added up, which is the gradient of a weight, one long product. So of a recurrent cell a step keeps
//! the product with its state, and of a loop without carries nothing is left.
//!
//! Only what costs more than its elements is moved: products, reductions, what follows indices, loops. Elementwise work stays where its
//! values are, unless less has to be stacked without it. Results differ from those before by the order in which sums are added up.
//!
//! A loop may have been written so that what is large exists for one step at a time. So nothing is moved that would have to stand in memory for all
//! steps at once and be much larger than what the loop is given and gives (`loops/facts.rs`): that stays, and what is computed from it.
//!
//! A body is optimised on the way, and what nobody needs of it is left out, carries and operands included. Views and constants that a loop captures become part
//! of its body first (`loops/absorb.rs`).

mod absorb;
mod build;
mod facts;

use std::collections::HashMap;

use crate::arena::Arena;
use crate::body::{Body, ScanResult};
use crate::error::GraphError;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, BinaryFunction, Elementwise, Indexing, Leaf, Op, ReduceFunction};
use crate::passes::rebuild::Rebuild;
use crate::passes::{ConvolutionForms, Optimised, optimise_with};
use crate::shape::{AxisSet, Shape};
use absorb::absorb;
use facts::{Facts, is_batched, is_heavy};

/// The loops of a graph.
pub(super) struct Loops {
    /// The loop of each result, by its node's ordinal.
    loop_of: HashMap<u32, usize>,
    /// The results that are wanted of each.
    wanted: Vec<Vec<ScanResult>>,
    /// The nodes of these results, once the loop is built.
    built: Vec<Option<Vec<NodeId>>>,
}

impl Loops {
    /// The loops; `None` if there are none.
    pub(super) fn find(optimised: &Optimised) -> Option<Loops> {
        let arena = optimised.graph.arena();
        let mut loops = Loops { loop_of: HashMap::new(), wanted: Vec::new(), built: Vec::new() };
        // What is found out later about a body is no part of what it is.
        #[allow(clippy::mutable_key_type)]
        let mut known: HashMap<(&Body, &[NodeId]), usize> = HashMap::new();
        for key in arena.alive(..) {
            let node = &arena.nodes[key];
            let Op::Scan { body, operands, result } = &node.op else { continue };
            if body.length() == 0 {
                continue;
            }
            let number = *known.entry((body, operands)).or_insert_with(|| {
                loops.wanted.push(Vec::new());
                loops.built.push(None);
                loops.wanted.len() - 1
            });
            loops.loop_of.insert(node.ordinal, number);
            loops.wanted[number].push(*result);
        }
        (!loops.wanted.is_empty()).then_some(loops)
    }

    /// The node that takes the place of a loop's result.
    pub(super) fn replace(
        &mut self,
        rebuild: &mut Rebuild,
        node: &Node,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<Option<NodeId>, GraphError> {
        let (Some(&number), Op::Scan { body, operands, result }) = (self.loop_of.get(&node.ordinal), &node.op) else {
            return Ok(None);
        };
        let wanted = &self.wanted[number];
        if self.built[number].is_none() {
            let operands: Vec<NodeId> = operands.iter().map(|operand| replacement(*operand)).collect();
            let absorbed = absorb(&rebuild.graph, body, &operands, wanted)?;
            let (body, operands, results) = match &absorbed {
                Some(absorbed) => (&absorbed.body, &absorbed.operands, &absorbed.wanted),
                None => (&**body, &operands, wanted),
            };
            let split = Split::new(body, results, rebuild.rewrites.convolutions)?;
            self.built[number] = Some(split.build(&rebuild.graph, body, operands, results, node.origin)?);
        }
        let place = wanted.iter().position(|other| other == result);
        Ok(place.zip(self.built[number].as_ref()).map(|(place, built)| built[place]))
    }
}

/// A body that is taken apart: what stays in the loop, by the ordinals of an optimised graph of one step.
struct Split {
    step: Optimised,
    /// The node of each input.
    inputs: Vec<NodeId>,
    /// The next value of each carry that is needed.
    next: Vec<Option<NodeId>>,
    /// The node of each result that is wanted, if that is stacked.
    stacked: Vec<Option<NodeId>>,
    facts: Facts,
    /// Carries that only add something up, and what that is.
    sums: Vec<(usize, Vec<Term>)>,
    /// What becomes of each node.
    places: Places,
}

/// What becomes of each node.
struct Places {
    /// Computed for all steps at once.
    is_outside: Vec<bool>,
    /// Stacked by the loop, because something outside needs it.
    is_stacked: Vec<bool>,
    /// An input of the loop that is computed before it.
    enters: Vec<bool>,
    /// Computed in the loop, or an input of it.
    is_inside: Vec<bool>,
}

/// Something that is added up over all steps, and how the sum is then looked at: the last first.
struct Term {
    kind: TermKind,
    views: Vec<(Arrangement, Shape)>,
}

enum TermKind {
    /// Matrix products: one long product.
    Product { lhs: NodeId, rhs: NodeId, transpose_lhs: bool, transpose_rhs: bool },
    /// What is added at indices: one scatter of all steps' updates.
    Scatter { indices: NodeId, updates: NodeId, axis: usize, shape: Shape },
    /// Sums over axes.
    Sum { operand: NodeId, axes: AxisSet, shape: Shape },
    /// Anything.
    Value { id: NodeId, shape: Shape },
}

impl Split {
    fn new(body: &Body, wanted: &[ScanResult], convolutions: ConvolutionForms) -> Result<Split, GraphError> {
        let (graph, ids) = body.alone()?;
        let needed = body.needed(wanted);
        let mut outputs: Vec<NodeId> = ids[..body.inputs()].to_vec();
        let carries: Vec<usize> = (0..body.carries()).filter(|&carry| needed[carry]).collect();
        outputs.extend(carries.iter().map(|&carry| ids[body.next()[carry] as usize]));
        let stacked = wanted.iter().filter_map(|result| match result {
            ScanResult::Final(_) => None,
            ScanResult::Stacked(place) => Some(ids[*place as usize]),
        });
        outputs.extend(stacked);
        let step = optimise_with(&graph, &outputs, convolutions)?;
        let mut found = step.outputs.iter().copied();
        let inputs: Vec<NodeId> = found.by_ref().take(body.inputs()).collect();
        let mut next = vec![None; body.carries()];
        carries.iter().zip(&mut found).for_each(|(&carry, id)| next[carry] = Some(id));
        let of = |result: &ScanResult| match result {
            ScanResult::Final(_) => None,
            ScanResult::Stacked(_) => found.next(),
        };
        let stacked: Vec<Option<NodeId>> = wanted.iter().map(of).collect();
        let facts = Facts::new(&step, body, wanted, &inputs, &next);
        let mut split = Split { step, inputs, next, stacked, facts, sums: Vec::new(), places: Places::nothing(0) };
        split.sums = split.find_sums(wanted);
        split.places = split.decide();
        Ok(split)
    }

    fn ordinal(&self, id: NodeId) -> usize {
        self.step.graph.arena().nodes[id.key].ordinal as usize
    }

    /// The carries that stay in the loop, with their next values.
    fn carried(&self) -> impl Iterator<Item = (usize, NodeId)> {
        let is_sum = |carry: usize| self.sums.iter().any(|(sum, _)| *sum == carry);
        let changes = move |carry: usize, next: NodeId| next != self.inputs[carry] && !is_sum(carry);
        self.next
            .iter()
            .enumerate()
            .filter_map(move |(carry, next)| next.filter(|next| changes(carry, *next)).map(|next| (carry, next)))
    }

    /// The carries that only add something up.
    fn find_sums(&self, wanted: &[ScanResult]) -> Vec<(usize, Vec<Term>)> {
        let arena = self.step.graph.arena();
        let mut uses: HashMap<NodeId, u32> = HashMap::new();
        self.next.iter().chain(&self.stacked).flatten().for_each(|id| *uses.entry(*id).or_default() += 1);
        let uses_of = |id: NodeId| arena.nodes[id.key].users + uses.get(&id).copied().unwrap_or(0);
        let mut sums = Vec::new();
        for (carry, next) in self.next.iter().enumerate() {
            let (leaf, Some(next)) = (self.inputs[carry], *next) else { continue };
            let Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs, rhs }) =
                arena.nodes[next.key].op
            else {
                continue;
            };
            let is_final = wanted.contains(&ScanResult::Final(carry as u32));
            if (lhs == leaf) == (rhs == leaf) || uses_of(leaf) != 1 || uses_of(next) != 1 || !is_final {
                continue;
            }
            let term = if lhs == leaf { rhs } else { lhs };
            let terms = self.terms(&arena, term);
            let fits = |id: NodeId| self.facts.fits[arena.nodes[id.key].ordinal as usize];
            if terms.iter().flat_map(|term| term.kind.operands()).all(fits) {
                sums.push((carry, terms));
            }
        }
        sums
    }

    /// What a term of a sum is a sum of.
    fn terms(&self, arena: &Arena, term: NodeId) -> Vec<Term> {
        let varies = |id: NodeId| {
            let ordinal = arena.nodes[id.key].ordinal as usize;
            self.facts.by_carry[ordinal] || self.facts.by_element[ordinal]
        };
        let mut terms = Vec::new();
        let mut waiting: Vec<(NodeId, Vec<(Arrangement, Shape)>)> = vec![(term, Vec::new())];
        while let Some((id, mut views)) = waiting.pop() {
            let node = &arena.nodes[id.key];
            let is_matrix = |id: NodeId| arena.nodes[id.key].shape.rank() == 2 && varies(id);
            let kind = match &node.op {
                Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs, rhs }) if node.users <= 1 => {
                    waiting.push((*rhs, views.clone()));
                    waiting.push((*lhs, views));
                    continue;
                }
                Op::View {
                    operand,
                    arrangement: arrangement @ (Arrangement::Reshape | Arrangement::Permute { .. }),
                } => {
                    views.push((arrangement.clone(), node.shape.clone()));
                    waiting.push((*operand, views));
                    continue;
                }
                Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } if is_matrix(*lhs) && is_matrix(*rhs) => {
                    let (transpose_lhs, transpose_rhs) = (*transpose_lhs, *transpose_rhs);
                    TermKind::Product { lhs: *lhs, rhs: *rhs, transpose_lhs, transpose_rhs }
                }
                Op::Indexing(Indexing::ScatterAdd { operand, indices, updates, axis })
                    if node.users <= 1 && (varies(*indices) || varies(*updates)) =>
                {
                    // What is added to is another term, unless it is nothing.
                    if !matches!(arena.nodes[operand.key].op, Op::Leaf(Leaf::Constant { value: 0.0 })) {
                        waiting.push((*operand, views.clone()));
                    }
                    let (indices, updates, shape) = (*indices, *updates, node.shape.clone());
                    TermKind::Scatter { indices, updates, axis: *axis, shape }
                }
                Op::Reduce { function: ReduceFunction::Sum, operand, axes } if varies(*operand) => {
                    TermKind::Sum { operand: *operand, axes: *axes, shape: node.shape.clone() }
                }
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
                | Op::MatMul { .. }
                | Op::Indexing(_)
                | Op::Attention(_)
                | Op::LinearAlgebra { .. }
                | Op::Convolution { .. }
                | Op::Ordered(_)
                | Op::Scan { .. } => TermKind::Value { id, shape: node.shape.clone() },
            };
            terms.push(Term { kind, views });
        }
        terms
    }

    /// Decides for each node where it is computed.
    fn decide(&self) -> Places {
        let arena = self.step.graph.arena();
        let ids: Vec<NodeId> = arena.order.iter().map(|&key| NodeId { key, graph: self.step.graph.tag() }).collect();
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let mut for_next = vec![false; ids.len()];
        self.carried().for_each(|(_, next)| for_next[ordinal(next)] = true);
        for (place, id) in ids.iter().enumerate().rev() {
            if for_next[place] {
                arena.nodes[id.key].op.for_each_operand(|operand| for_next[ordinal(operand)] = true);
            }
        }
        let mut places = Places::nothing(ids.len());
        let mut demanded = vec![false; ids.len()];
        self.stacked.iter().flatten().for_each(|id| demanded[ordinal(*id)] = true);
        for term in self.sums.iter().flat_map(|(_, terms)| terms) {
            term.kind.operands().for_each(|id| demanded[ordinal(id)] = true);
        }
        for place in (0..ids.len()).rev() {
            if !demanded[place] {
                continue;
            }
            let node = &arena.nodes[ids[place].key];
            let moves = || {
                let mut new = 0usize;
                let mut seen: Vec<usize> = Vec::new();
                node.op.for_each_operand(|operand| {
                    let own = ordinal(operand);
                    if !self.facts.is_free[own] && !demanded[own] && !seen.contains(&own) {
                        seen.push(own);
                        new = new.saturating_add(arena.nodes[operand.key].shape.elements());
                    }
                });
                is_heavy(&node.op) || new <= node.shape.elements()
            };
            let fits = || {
                let mut fits = true;
                node.op.for_each_operand(|operand| fits &= self.facts.fits[ordinal(operand)]);
                fits
            };
            let is_input = self.facts.input[place].is_some();
            // A view is no work to do twice, and a large one is not to be stacked.
            let is_done_inside = for_next[place] && !self.facts.is_large[place];
            let is_outside = self.facts.is_free[place]
                || (!is_input && !is_done_inside && is_batched(&node.op) && moves() && fits());
            if is_outside {
                places.is_outside[place] = true;
                node.op.for_each_operand(|operand| demanded[ordinal(operand)] = true);
            } else {
                places.is_stacked[place] = true;
            }
        }
        for (place, is_stacked) in places.is_stacked.iter().enumerate() {
            places.is_inside[place] |= is_stacked;
        }
        self.carried().for_each(|(carry, next)| {
            places.is_inside[ordinal(next)] = true;
            places.is_inside[ordinal(self.inputs[carry])] = true;
        });
        for place in (0..ids.len()).rev() {
            if !places.is_inside[place] || self.facts.input[place].is_some() {
                continue;
            }
            if self.facts.is_free[place] && self.facts.is_heavy[place] && !self.facts.is_large[place] {
                places.enters[place] = true;
                continue;
            }
            arena.nodes[ids[place].key].op.for_each_operand(|operand| places.is_inside[ordinal(operand)] = true);
        }
        places
    }
}

impl TermKind {
    /// What is needed of each step.
    fn operands(&self) -> impl Iterator<Item = NodeId> {
        let (first, second) = match self {
            TermKind::Product { lhs, rhs, .. } => (*lhs, Some(*rhs)),
            TermKind::Scatter { indices, updates, .. } => (*indices, Some(*updates)),
            TermKind::Sum { operand, .. } => (*operand, None),
            TermKind::Value { id, .. } => (*id, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl Places {
    fn nothing(nodes: usize) -> Places {
        let none = || vec![false; nodes];
        Places { is_outside: none(), is_stacked: none(), enters: none(), is_inside: none() }
    }
}
