//! The derivatives of loops, which are loops.
//!
//! **Reverse mode** goes over the sequence the other way. The carries of that loop are the gradients of the carries; its body is the
//! vector-Jacobian product of the body. Gradients of what is captured are added up in a carry each, gradients of elements are
//! stacked. **Forward mode** goes the same way, and carries the tangents of the carries.
//!
//! Both need values of the steps of the loop that they differentiate. Those are further results of that loop, stacked, and only where they must be:
//! views, and what costs no more than an addition, are computed again from values that are there.
//!
//! All results of a loop are differentiated together ([`Groups`]), so that one loop is the derivative of one.

mod step;

use std::collections::HashMap;
use std::sync::Arc;

use crate::arena::Graph;
use crate::autodiff::span::Span;
use crate::body::{Body, Cut, ScanResult};
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, Extents, Op};
use crate::shape::Shape;
use step::Step;

/// A loop in a graph.
pub(crate) struct Loop<'g, 'a> {
    pub(crate) graph: &'g Graph,
    pub(crate) body: &'a Arc<Body>,
    pub(crate) operands: &'a [NodeId],
    pub(crate) origin: Origin,
}

/// A result of a loop and the gradient that reached it.
type Reached<'g> = (ScanResult, Expr<'g>);

/// The results of loops among the nodes of a span, those of one loop together.
pub(crate) struct Groups<'g> {
    /// By place in the span.
    group_of: HashMap<usize, usize>,
    /// The first place of each loop, and the results that gradients or tangents were found for.
    groups: Vec<(usize, Vec<Reached<'g>>)>,
    /// The other places of each loop that are on the way, and what stands there.
    members: Vec<Vec<(usize, ScanResult)>>,
}

impl<'g> Groups<'g> {
    pub(crate) fn find(graph: &Graph, span: &Span, on_the_way: &[bool]) -> Groups<'g> {
        let arena = graph.arena();
        let mut groups = Groups { group_of: HashMap::new(), groups: Vec::new(), members: Vec::new() };
        let mut known: HashMap<(*const Body, &[NodeId]), usize> = HashMap::new();
        for id in span.nodes() {
            let node = &arena.nodes[id.key];
            let Op::Scan { body, operands, result } = &node.op else { continue };
            let Some(place) = span.place_of(node.ordinal).filter(|&place| on_the_way[place]) else { continue };
            let group = *known.entry((Arc::as_ptr(body), operands)).or_insert_with(|| {
                groups.groups.push((place, Vec::new()));
                groups.members.push(Vec::new());
                groups.groups.len() - 1
            });
            groups.group_of.insert(place, group);
            groups.members[group].push((place, *result));
        }
        groups
    }

    /// Notes the gradient of the result at a place.
    pub(crate) fn add(&mut self, place: usize, result: ScanResult, upstream: Expr<'g>) {
        if let Some(&group) = self.group_of.get(&place) {
            self.groups[group].1.push((result, upstream));
        }
    }

    /// Everything that was noted of a loop, at the first of its results.
    pub(crate) fn take(&mut self, place: usize) -> Option<Vec<Reached<'g>>> {
        let group = *self.group_of.get(&place)?;
        let (first, reached) = &mut self.groups[group];
        (*first == place).then(|| std::mem::take(reached))
    }

    /// Whether the loop whose first result stands at a place was reached by a gradient.
    pub(crate) fn is_reached(&self, place: usize) -> bool {
        self.group_of.get(&place).is_some_and(|&group| {
            let (first, reached) = &self.groups[group];
            *first == place && !reached.is_empty()
        })
    }

    /// The places and results of a loop, at the first of them.
    pub(crate) fn members(&self, place: usize) -> &[(usize, ScanResult)] {
        match self.group_of.get(&place) {
            Some(&group) if self.groups[group].0 == place => &self.members[group],
            Some(_) | None => &[],
        }
    }
}

impl<'g> Loop<'g, '_> {
    /// The node of a result.
    pub(crate) fn result(&self, result: ScanResult) -> Result<NodeId, GraphError> {
        let op = Op::Scan { body: Arc::clone(self.body), operands: self.operands.into(), result };
        self.graph.insert_node(op, None, None, self.origin)
    }

    /// Calls `give` with the gradient of each operand that wants one, where gradients of these results reach it.
    pub(crate) fn vjp(
        &self,
        upstreams: &[Reached<'g>],
        wants: &dyn Fn(NodeId) -> bool,
        give: &mut dyn FnMut(NodeId, Expr<'g>),
    ) -> Result<(), GraphError> {
        let body = self.body;
        let step = Step::new(body)?;
        let (graph, carries) = (&step.graph, body.carries());
        let is_active = step.reached_from(body, &|number| wants(self.operands[number]));
        let mut finals: Vec<Option<Expr<'g>>> = vec![None; carries];
        let mut stacked: Vec<(NodeId, Expr<'g>)> = Vec::new();
        for (result, upstream) in upstreams {
            match *result {
                ScanResult::Final(carry) => {
                    let sum = &mut finals[carry as usize];
                    *sum = Some(sum.map_or(*upstream, |sum| sum + *upstream));
                }
                ScanResult::Stacked(place) => stacked.push((step.ids[place as usize], *upstream)),
            }
        }
        let targets: Vec<NodeId> = stacked.iter().map(|(id, _)| *id).collect();
        let is_useful = step.leading_to(body, &targets, &|carry| finals[carry].is_some());
        let carried: Vec<usize> = (0..carries).filter(|&carry| is_active[carry] && is_useful[carry]).collect();

        let placeholder = |like: NodeId| step.like(like, self.origin);
        let mut derived = Derived::default();
        let (mut outputs, mut seeds) = (Vec::new(), Vec::new());
        for &carry in &carried {
            let seed = placeholder(step.inputs()[carry])?;
            let upstream = match finals[carry] {
                Some(upstream) => upstream,
                None => self.zeros_like(carry)?,
            };
            derived.carries.push((seed, upstream.id()?));
            outputs.push(graph.expr(step.next(body, carry)));
            seeds.push(graph.expr(seed));
        }
        for (id, upstream) in stacked {
            let seed = placeholder(id)?;
            derived.elements.push((seed, upstream.id()?));
            outputs.push(graph.expr(id));
            seeds.push(graph.expr(seed));
        }
        let others: Vec<usize> =
            (carries..body.inputs()).filter(|&number| is_active[number] && wants(self.operands[number])).collect();
        let wanted: Vec<Expr<'_>> =
            carried.iter().chain(&others).map(|&number| graph.expr(step.inputs()[number])).collect();
        let gradients = graph.gradients_where_reached(&outputs, &seeds, &wanted)?;
        let (of_carries, of_others) = gradients.split_at(carried.len());
        for (gradient, carry) in of_carries.iter().zip(&carried) {
            let next = match gradient {
                Some(gradient) => *gradient,
                None => step.zeros_like(*carry)?,
            };
            derived.next.push(next.id()?);
        }
        let mut of_elements = Vec::new();
        let mut of_captured = Vec::new();
        for (gradient, &number) in of_others.iter().zip(&others) {
            let Some(gradient) = gradient else { continue };
            if number < carries + body.sequences() {
                derived.stacked.push(gradient.id()?);
                of_elements.push(number);
            } else {
                let sum = placeholder(step.inputs()[number])?;
                derived.carries.push((sum, self.zeros_like(number)?.id()?));
                derived.next.push((graph.expr(sum) + *gradient).id()?);
                of_captured.push(number);
            }
        }
        let (derivative, operands, places) = self.derivative(&step, derived, !body.is_reversed())?;
        let place = Loop { graph: self.graph, body: &derivative, operands: &operands, origin: self.origin };
        let of_carries = carried.iter().copied().filter(|&carry| wants(self.operands[carry]));
        let numbers = carried.iter().copied().zip(0..).collect::<HashMap<usize, u32>>();
        for carry in of_carries {
            let gradient = place.result(ScanResult::Final(numbers[&carry]))?;
            give(self.operands[carry], Expr::from_id(self.graph, gradient));
        }
        for (number, sum) in of_captured.into_iter().zip(carried.len() as u32..) {
            let gradient = place.result(ScanResult::Final(sum))?;
            give(self.operands[number], Expr::from_id(self.graph, gradient));
        }
        for (number, stacked) in of_elements.into_iter().zip(places) {
            let gradient = place.result(ScanResult::Stacked(stacked))?;
            give(self.operands[number], Expr::from_id(self.graph, gradient));
        }
        Ok(())
    }

    /// The tangent of each of these results; `None` is zero.
    pub(crate) fn jvp(
        &self,
        results: &[ScanResult],
        tangent: &dyn Fn(NodeId) -> Option<Expr<'g>>,
    ) -> Result<Vec<Option<Expr<'g>>>, GraphError> {
        let body = self.body;
        let step = Step::new(body)?;
        let (graph, carries) = (&step.graph, body.carries());
        let tangents: Vec<Option<Expr<'g>>> = self.operands.iter().map(|operand| tangent(*operand)).collect();
        let is_active = step.reached_from(body, &|number| tangents[number].is_some());
        let mut derived = Derived::default();
        let (mut inputs, mut seeds) = (Vec::new(), Vec::new());
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for number in (0..body.inputs()).filter(|&number| is_active[number]) {
            let seed = step.like(step.inputs()[number], self.origin)?;
            inputs.push(graph.expr(step.inputs()[number]));
            seeds.push(graph.expr(seed));
            let tangent = match tangents[number] {
                Some(tangent) => tangent,
                None => self.zeros_like(number)?,
            };
            let pair = (seed, tangent.id()?);
            if number < carries {
                numbers.insert(number as u32, derived.carries.len() as u32);
                derived.carries.push(pair);
            } else if number < carries + body.sequences() {
                derived.elements.push(pair);
            } else {
                derived.captured.push(pair);
            }
        }
        let mut outputs: Vec<Expr<'_>> = Vec::new();
        for carry in (0..carries).filter(|&carry| is_active[carry]) {
            outputs.push(graph.expr(step.next(body, carry)));
        }
        let carried = outputs.len();
        let depends = step.depends(&is_active);
        let mut stacked: Vec<u32> = Vec::new();
        for result in results {
            if let ScanResult::Stacked(place) = *result
                && depends[place as usize]
            {
                stacked.push(place);
                outputs.push(graph.expr(step.ids[place as usize]));
            }
        }
        if outputs.is_empty() {
            return Ok(vec![None; results.len()]);
        }
        let pushed = graph.jvp(&outputs, &inputs, &seeds)?;
        for (number, pushed) in pushed.into_iter().enumerate() {
            let list = if number < carried { &mut derived.next } else { &mut derived.stacked };
            list.push(pushed.id()?);
        }
        let (derivative, operands, places) = self.derivative(&step, derived, body.is_reversed())?;
        let place = Loop { graph: self.graph, body: &derivative, operands: &operands, origin: self.origin };
        let placed: HashMap<u32, u32> = stacked.into_iter().zip(places).collect();
        let of = |result: &ScanResult| {
            let own = match result {
                ScanResult::Final(carry) => numbers.get(carry).map(|&number| ScanResult::Final(number)),
                ScanResult::Stacked(at) => placed.get(at).map(|&at| ScanResult::Stacked(at)),
            };
            own.map(|own| Ok(Expr::from_id(self.graph, place.result(own)?))).transpose()
        };
        results.iter().map(of).collect()
    }

    /// A result of this loop over a batch: `batched` gives the batched form of an operand, `[batch, ..]`, if it has one. Carries that
    /// nothing batched reaches in any step stay as they are: a counter that random numbers are drawn by is one for the whole batch.
    pub(crate) fn batched(
        &self,
        result: ScanResult,
        batched: &dyn Fn(NodeId) -> Option<Expr<'g>>,
        batch: usize,
    ) -> Result<Expr<'g>, GraphError> {
        let body = self.body;
        let lifted = |shape: &Shape| -> Shape { std::iter::once(batch).chain(shape.iter().copied()).collect() };
        let values: Vec<Option<Expr<'g>>> = self.operands.iter().map(|operand| batched(*operand)).collect();
        let is_lifted = body.depending(&values.iter().map(Option::is_some).collect::<Vec<bool>>());
        let (ScanResult::Final(place) | ScanResult::Stacked(place)) = result;
        if !is_lifted[place as usize] {
            let shared = self.unrequired(self.body, self.operands, result)?;
            let shape = lifted(&self.graph.node(shared)?.shape);
            return Ok(Expr::from_id(self.graph, shared).broadcast_node(&shape, self.origin));
        }
        let step = Step::new(body)?;
        let (mut inputs, mut operands) = (step.inputs().to_vec(), self.operands.to_vec());
        let mut starts: Vec<(NodeId, Expr<'_>)> = Vec::new();
        for (number, value) in values.into_iter().enumerate().filter(|(number, _)| is_lifted[*number]) {
            let Some((shape, dtype)) = body.operand(number) else { continue };
            let is_element = (body.carries()..body.carries() + body.sequences()).contains(&number);
            let value = match value {
                Some(value) if is_element => Expr::from_id(self.graph, self.exchanged(value.id()?)?),
                Some(value) => value,
                None => Expr::from_id(self.graph, self.operands[number]).broadcast_node(&lifted(&shape), self.origin),
            };
            operands[number] = value.id()?;
            let Some((own, _)) = body.node(number as u32) else { continue };
            let (id, expr) = step.graph.placeholder(&lifted(own), dtype, self.origin)?;
            starts.push((inputs[number], expr));
            inputs[number] = id;
        }
        let carried: Vec<usize> = (0..body.carries()).filter(|&carry| is_lifted[carry]).collect();
        let mut wanted: Vec<NodeId> = carried.iter().map(|&carry| step.next(body, carry)).collect();
        if let ScanResult::Stacked(place) = result {
            wanted.push(step.ids[place as usize]);
        }
        let outputs = step.graph.batch(&wanted, &starts, batch, self.origin)?;
        let outputs = outputs.into_iter().map(Expr::id).collect::<Result<Vec<_>, _>>()?;
        let (of_carried, stacked) = outputs.split_at(carried.len());
        let mut next: Vec<NodeId> = (0..body.carries()).map(|carry| step.next(body, carry)).collect();
        carried.iter().zip(of_carried).for_each(|(&carry, id)| next[carry] = *id);
        let (carries, rest) = inputs.split_at(body.carries());
        let (elements, captured) = rest.split_at(body.sequences());
        let (length, reverse) = (body.length(), body.is_reversed());
        let cut = Cut { carries, elements, captured, next: &next, stacked, length, reverse };
        let (body, places) = Body::cut(&step.graph, &cut)?;
        let place = places.first().map_or(result, |&place| ScanResult::Stacked(place));
        let found = self.unrequired(&Arc::new(body), &operands, place)?;
        let found = if places.is_empty() { found } else { self.exchanged(found)? };
        Ok(Expr::from_id(self.graph, found))
    }

    /// The node of a result of another loop that does the work of this one, and requires nothing of indices but what this one does.
    fn unrequired(&self, body: &Arc<Body>, operands: &[NodeId], result: ScanResult) -> Result<NodeId, GraphError> {
        let op = Op::Scan { body: Arc::clone(body), operands: operands.into(), result };
        self.graph.insert_unrequired(op, None, None, self.origin)
    }

    /// The first two axes, of the batch and of the steps, exchanged.
    fn exchanged(&self, operand: NodeId) -> Result<NodeId, GraphError> {
        let rank = self.graph.node(operand)?.shape.rank();
        let axes = [1, 0].into_iter().chain(2..rank).collect::<Extents>();
        let op = Op::View { operand, arrangement: Arrangement::Permute { axes } };
        self.graph.insert_node(op, None, None, self.origin)
    }

    fn zeros_like(&self, number: usize) -> Result<Expr<'g>, GraphError> {
        let (shape, dtype) = {
            let arena = self.graph.arena();
            let node = &arena.nodes[self.operands[number].key];
            (node.shape.clone(), node.dtype)
        };
        self.graph.zeros(shape, dtype).check()
    }

    /// The body that computes `derived`, the operands of its loop, and the places of what it stacks.
    #[expect(clippy::type_complexity, reason = "three things that are of one loop")]
    fn derivative(
        &self,
        step: &Step,
        mut derived: Derived,
        reverse: bool,
    ) -> Result<(Arc<Body>, Vec<NodeId>, Vec<u32>), GraphError> {
        let body = self.body;
        let wanted: Vec<NodeId> = derived.next.iter().chain(&derived.stacked).copied().collect();
        for place in step.saved(body, &wanted)? {
            let stacked = self.result(ScanResult::Stacked(place))?;
            derived.elements.push((step.ids[place as usize], stacked));
        }
        let saved: Vec<NodeId> = derived.elements.iter().map(|(id, _)| *id).collect();
        for number in body.carries()..body.inputs() {
            let input = step.inputs()[number];
            if saved.contains(&input) {
                continue;
            }
            let is_element = number < body.carries() + body.sequences();
            let list = if is_element { &mut derived.elements } else { &mut derived.captured };
            list.push((input, self.operands[number]));
        }
        // What is not needed is no input.
        let known: Vec<NodeId> = [&derived.carries, &derived.elements, &derived.captured]
            .into_iter()
            .flat_map(|list| list.iter().map(|(id, _)| *id))
            .collect();
        let needed = step.graph.needed_until(&wanted, &|id| known.contains(&id), "scan")?;
        derived.elements.retain(|(id, _)| needed.contains(id));
        derived.captured.retain(|(id, _)| needed.contains(id));
        let ids = |list: &[(NodeId, NodeId)]| list.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        let (carries, elements, captured) = (ids(&derived.carries), ids(&derived.elements), ids(&derived.captured));
        let cut = Cut {
            carries: &carries,
            elements: &elements,
            captured: &captured,
            next: &derived.next,
            stacked: &derived.stacked,
            length: body.length(),
            reverse,
        };
        let (cut, places) = Body::cut(&step.graph, &cut)?;
        let lists = [derived.carries, derived.elements, derived.captured];
        let operands = lists.into_iter().flatten().map(|(_, operand)| operand).collect();
        Ok((Arc::new(cut), operands, places))
    }
}

/// A derivative in the making: inputs of its body, each with the operand that it is given, and what it computes.
#[derive(Default)]
struct Derived {
    carries: Vec<(NodeId, NodeId)>,
    elements: Vec<(NodeId, NodeId)>,
    captured: Vec<(NodeId, NodeId)>,
    next: Vec<NodeId>,
    stacked: Vec<NodeId>,
}
