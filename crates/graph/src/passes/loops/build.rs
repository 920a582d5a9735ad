//! Building what a loop was taken apart into: what comes before, the loop that is left, and what comes after.
//!
//! What a loop requires of indices is noted at its results, and taken over from there. No node that is built here requires more: what
//! a loop did not check because it came element by element is not checked either where it is read at once.

use std::sync::Arc;

use super::facts::Input;
use super::{Split, Term, TermKind};
use crate::arena::Graph;
use crate::body::{Body, Cut, ScanResult};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, BinaryFunction, Extents, Indexing, Leaf, Op, ReduceFunction};
use crate::shape::{AxisSet, Shape};

/// One loop in the making.
struct Builder<'g, 'a> {
    graph: &'g Graph,
    split: &'a Split,
    body: &'a Body,
    operands: &'a [NodeId],
    origin: Origin,
    /// For each node of the step what stands for it, in one step, outside of the loop.
    templates: Vec<Option<NodeId>>,
    /// Those that are placeholders, and what stands in their places for all steps.
    varying: Vec<(NodeId, Expr<'g>)>,
}

impl Split {
    /// The nodes of the results in a graph where the loop's operands are these.
    pub(super) fn build(
        &self,
        graph: &Graph,
        body: &Body,
        operands: &[NodeId],
        wanted: &[ScanResult],
        origin: Origin,
    ) -> Result<Vec<NodeId>, GraphError> {
        let templates = vec![None; self.facts.input.len()];
        let mut builder = Builder { graph, split: self, body, operands, origin, templates, varying: Vec::new() };
        builder.inputs()?;
        let stacked = builder.inner(wanted)?;
        builder.after(wanted, stacked)
    }
}

/// The last value of each carry of the loop that is left, by its number.
type Finals = Vec<Option<NodeId>>;

impl<'g> Builder<'g, '_> {
    /// Gives the inputs templates: what is captured itself, and a placeholder for each element.
    fn inputs(&mut self) -> Result<(), GraphError> {
        for (place, input) in self.split.facts.input.iter().enumerate() {
            match *input {
                Some(Input::Captured(number)) => self.templates[place] = Some(self.operands[number]),
                Some(Input::Element(number)) => {
                    let Some((shape, dtype)) = self.body.node(number as u32) else { continue };
                    let (id, _) = self.graph.placeholder(shape, dtype, self.origin)?;
                    self.templates[place] = Some(id);
                    self.varying.push((id, Expr::from_id(self.graph, self.operands[number])));
                }
                Some(Input::Carry(_)) | None => {}
            }
        }
        Ok(())
    }

    /// Builds the templates of `wanted`, as far as there are none.
    fn build_templates(&mut self, wanted: &[bool]) -> Result<(), GraphError> {
        let arena = self.split.step.graph.arena();
        let ordinal = |id: NodeId| arena.nodes[id.key].ordinal as usize;
        let mut needed = wanted.to_vec();
        for (place, &key) in arena.order.iter().enumerate().rev() {
            if needed[place] && self.templates[place].is_none() {
                arena.nodes[key].op.for_each_operand(|operand| needed[ordinal(operand)] = true);
            }
        }
        for (place, &key) in arena.order.iter().enumerate() {
            if !needed[place] || self.templates[place].is_some() {
                continue;
            }
            let node = &arena.nodes[key];
            let op = node.op.map_operands(|id| self.templates[ordinal(id)].unwrap_or(id));
            let id = self.graph.insert_unrequired(op, Some(&node.shape), Some(node.dtype), node.origin)?;
            self.templates[place] = Some(id);
        }
        Ok(())
    }

    /// The nodes at these places for all steps, along a new first axis.
    fn for_all_steps(&self, places: &[usize]) -> Result<Vec<NodeId>, GraphError> {
        let templates: Vec<NodeId> = places.iter().filter_map(|&place| self.templates[place]).collect();
        let found = self.graph.batch(&templates, &self.varying, self.body.length(), self.origin)?;
        found.into_iter().map(Expr::id).collect()
    }

    /// What comes before the loop, and the loop that is left; the last values of its carries. What it stacks becomes something that varies.
    fn inner(&mut self, wanted: &[ScanResult]) -> Result<Finals, GraphError> {
        let (split, body) = (self.split, self.body);
        let places = &split.places;
        self.build_templates(&places.enters)?;
        let entering: Vec<usize> = (0..places.enters.len()).filter(|&place| places.enters[place]).collect();
        let (varies, same): (Vec<usize>, Vec<usize>) =
            entering.into_iter().partition(|&place| split.facts.by_element[place]);
        let tag = split.step.graph.tag();
        let ids: Vec<NodeId> = split.step.graph.arena().order.iter().map(|&key| NodeId { key, graph: tag }).collect();

        let (mut elements, mut captured) = (Vec::new(), Vec::new());
        for (place, id) in ids.iter().enumerate().filter(|(place, _)| places.is_inside[*place]) {
            match split.facts.input[place] {
                Some(Input::Element(number)) => elements.push((*id, self.operands[number])),
                Some(Input::Captured(number)) => captured.push((*id, self.operands[number])),
                Some(Input::Carry(_)) | None => {}
            }
        }
        let before = self.for_all_steps(&varies)?;
        elements.extend(varies.iter().map(|&place| ids[place]).zip(before));
        captured.extend(same.iter().filter_map(|&place| Some((ids[place], self.templates[place]?))));

        let carried: Vec<(usize, NodeId)> = split.carried().collect();
        let stacked: Vec<usize> = (0..ids.len()).filter(|&place| places.is_stacked[place]).collect();
        let mut finals: Finals = vec![None; body.carries()];
        if carried.is_empty() && stacked.is_empty() {
            return Ok(finals);
        }
        let firsts = |list: &[(NodeId, NodeId)]| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        let leaves: Vec<NodeId> = carried.iter().map(|(carry, _)| split.inputs[*carry]).collect();
        let next: Vec<NodeId> = carried.iter().map(|(_, next)| *next).collect();
        let stacked_ids: Vec<NodeId> = stacked.iter().map(|&place| ids[place]).collect();
        let cut = Cut {
            carries: &leaves,
            elements: &firsts(&elements),
            captured: &firsts(&captured),
            next: &next,
            stacked: &stacked_ids,
            length: body.length(),
            reverse: body.is_reversed(),
        };
        let (inner, stacks) = Body::cut(&split.step.graph, &cut)?;
        let inner = Arc::new(inner);
        let initial = carried.iter().map(|(carry, _)| self.operands[*carry]);
        let operands: Box<[NodeId]> =
            initial.chain(elements.iter().chain(&captured).map(|(_, operand)| *operand)).collect();
        let result = |result: ScanResult| {
            let op = Op::Scan { body: Arc::clone(&inner), operands: operands.clone(), result };
            self.graph.insert_unrequired(op, None, None, self.origin)
        };
        for (number, (carry, _)) in (0..).zip(&carried) {
            if wanted.contains(&ScanResult::Final(*carry as u32)) {
                finals[*carry] = Some(result(ScanResult::Final(number))?);
            }
        }
        let mut varying = Vec::new();
        for (place, stack) in stacked.into_iter().zip(stacks) {
            let values = Expr::from_id(self.graph, result(ScanResult::Stacked(stack))?);
            let Some((shape, dtype)) = inner.node(stack) else { continue };
            let (id, _) = self.graph.placeholder(shape, dtype, self.origin)?;
            varying.push((place, id, values));
        }
        for (place, id, values) in varying {
            self.templates[place] = Some(id);
            self.varying.push((id, values));
        }
        Ok(finals)
    }

    /// What comes after the loop: the results.
    fn after(&mut self, wanted: &[ScanResult], finals: Finals) -> Result<Vec<NodeId>, GraphError> {
        let split = self.split;
        let mut list: Vec<usize> = Vec::new();
        let stacked = split.stacked.iter().flatten().copied();
        let terms = split.sums.iter().flat_map(|(_, terms)| terms).flat_map(|term| term.kind.operands());
        for id in stacked.chain(terms) {
            list.push(split.ordinal(id));
        }
        list.sort_unstable();
        list.dedup();
        let mut needed = vec![false; self.templates.len()];
        list.iter().for_each(|&place| needed[place] = true);
        self.build_templates(&needed)?;
        let values = self.for_all_steps(&list)?;
        let value = |id: NodeId| {
            let place = list.binary_search(&split.ordinal(id));
            place.map_or(id, |place| values[place])
        };
        let mut results = Vec::with_capacity(wanted.len());
        for (result, stacked) in wanted.iter().zip(&split.stacked) {
            let id = match (result, stacked) {
                (ScanResult::Stacked(_), Some(id)) => value(*id),
                (ScanResult::Final(carry), _) | (ScanResult::Stacked(carry), None) => {
                    let carry = *carry as usize;
                    match (split.sums.iter().find(|(sum, _)| *sum == carry), finals[carry]) {
                        (Some((_, terms)), _) => self.sum(self.operands[carry], terms, &value)?,
                        (None, Some(last)) => last,
                        // It never changes.
                        (None, None) => self.operands[carry],
                    }
                }
            };
            results.push(id);
        }
        Ok(results)
    }

    fn insert(&self, op: Op, shape: Option<&Shape>) -> Result<NodeId, GraphError> {
        self.graph.insert_unrequired(op, shape, None, self.origin)
    }

    /// `first` and the terms of all steps added up.
    fn sum(&self, first: NodeId, terms: &[Term], value: &dyn Fn(NodeId) -> NodeId) -> Result<NodeId, GraphError> {
        let mut sum = first;
        for term in terms {
            if let (TermKind::Scatter { indices, updates, axis, .. }, []) = (&term.kind, &term.views[..]) {
                sum = self.scattered(sum, [value(*indices), value(*updates)], *axis)?;
                continue;
            }
            let mut total = match &term.kind {
                TermKind::Product { lhs, rhs, transpose_lhs, transpose_rhs } => {
                    let lhs = self.joined(value(*lhs), !*transpose_lhs)?;
                    let rhs = self.joined(value(*rhs), *transpose_rhs)?;
                    let (transpose_lhs, transpose_rhs) = (*transpose_lhs, *transpose_rhs);
                    self.insert(Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs }, None)?
                }
                TermKind::Scatter { indices, updates, axis, shape } => {
                    let dtype = self.graph.arena().nodes[sum.key].dtype;
                    let zeros = Op::Leaf(Leaf::Constant { value: 0.0 });
                    let zeros = self.graph.insert_unrequired(zeros, Some(shape), Some(dtype), self.origin)?;
                    self.scattered(zeros, [value(*indices), value(*updates)], *axis)?
                }
                TermKind::Sum { operand, axes, shape } => {
                    let axes = std::iter::once(0).chain(axes.iter().map(|axis| axis + 1)).collect();
                    self.reduced(value(*operand), axes, shape)?
                }
                TermKind::Value { id, shape } => self.reduced(value(*id), [0].into_iter().collect(), shape)?,
            };
            for (arrangement, shape) in term.views.iter().rev() {
                let op = Op::View { operand: total, arrangement: arrangement.clone() };
                total = self.insert(op, Some(shape))?;
            }
            sum = self.insert(Op::binary(BinaryFunction::Add, sum, total), None)?;
        }
        Ok(sum)
    }

    /// A sum over axes, of which the first is that of the steps, which is left out of the result's shape.
    fn reduced(&self, operand: NodeId, axes: AxisSet, shape: &Shape) -> Result<NodeId, GraphError> {
        let operand = self.insert(Op::Reduce { function: ReduceFunction::Sum, operand, axes }, None)?;
        self.insert(Op::View { operand, arrangement: Arrangement::Reshape }, Some(shape))
    }

    /// The updates of all steps, `[steps, .., k, ..]` as are their indices, added at those: one scatter of `steps * k` along the axis.
    fn scattered(&self, operand: NodeId, of_steps: [NodeId; 2], axis: usize) -> Result<NodeId, GraphError> {
        let mut joined = [operand; 2];
        for (joined, id) in joined.iter_mut().zip(of_steps) {
            let shape = self.graph.arena().nodes[id.key].shape.clone();
            let axes: Extents = (1..=axis).chain([0]).chain(axis + 1..shape.rank()).collect();
            let permuted = self.insert(Op::View { operand: id, arrangement: Arrangement::Permute { axes } }, None)?;
            let extents = shape.iter().skip(1).copied().enumerate();
            let shape = extents.map(|(n, extent)| if n == axis { extent * shape[0] } else { extent }).collect();
            *joined = self.insert(Op::View { operand: permuted, arrangement: Arrangement::Reshape }, Some(&shape))?;
        }
        let [indices, updates] = joined;
        self.insert(Op::Indexing(Indexing::ScatterAdd { operand, indices, updates, axis }), None)
    }

    /// `[steps, a, b]` as `[steps * a, b]`, or as `[a, steps * b]` if the summed axis is the last: operands of one product that sums over all steps.
    fn joined(&self, operand: NodeId, is_last: bool) -> Result<NodeId, GraphError> {
        let shape = self.graph.arena().nodes[operand.key].shape.clone();
        let (steps, a, b) = (shape[0], shape[1], shape[2]);
        let (operand, shape) = if is_last {
            let axes: Extents = [1, 0, 2].into_iter().collect();
            let permuted = self.insert(Op::View { operand, arrangement: Arrangement::Permute { axes } }, None)?;
            (permuted, Shape::from([a, steps * b]))
        } else {
            (operand, Shape::from([steps * a, b]))
        };
        self.insert(Op::View { operand, arrangement: Arrangement::Reshape }, Some(&shape))
    }
}
