//! Gradients of a variable: the reverse mode of the graph crate over what was recorded, and where its results go.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use arenagrad_graph::{GraphError, NodeId, Origin};
use smallvec::{SmallVec, smallvec};

use crate::error::Error;
use crate::tape::record::{End, Gradient, Place, Record};
use crate::tape::step::Pass;
use crate::tape::value::Value;
use crate::tape::{Inner, Variable};

/// What a gradient is taken of: a node, and everything that derivatives of it flow into.
struct Differentiated {
    root: NodeId,
    reached: HashSet<NodeId>,
    /// The leaves among that, with the nodes at which they stand: a leaf that was given a new value after it was used has
    /// several.
    leaves: Vec<(Rc<Record>, Places)>,
    /// Where a leaf stands in `leaves`.
    numbers: HashMap<*const Record, usize>,
}

/// The nodes at which a variable stands.
type Places = SmallVec<[NodeId; 1]>;

impl Differentiated {
    /// Adds a node to those at which a leaf stands.
    fn add_leaf(&mut self, leaf: Rc<Record>, node: NodeId) {
        let number = *self.numbers.entry(Rc::as_ptr(&leaf)).or_insert(self.leaves.len());
        match self.leaves.get_mut(number) {
            Some((_, places)) => places.push(node),
            None => self.leaves.push((leaf, smallvec![node])),
        }
    }

    /// The nodes at which a variable stands on the way; none if gradients do not flow into it.
    fn places(&self, record: &Rc<Record>) -> Places {
        if !record.requires_grad() {
            return Places::new();
        }
        if record.is_leaf() {
            let number = self.numbers.get(&Rc::as_ptr(record));
            return number.map(|number| self.leaves[*number].1.clone()).unwrap_or_default();
        }
        let node = record.node().filter(|node| self.reached.contains(node));
        node.into_iter().collect()
    }
}

/// Adds the gradients of `output` to every leaf that requires one, and makes those of variables on the way known.
pub(crate) fn backward(
    tape: &Rc<Inner>,
    output: &Variable,
    upstream: Option<&Variable>,
    retain: bool,
    origin: Origin,
) -> Result<(), Error> {
    tape.sweep_if_grown();
    whole(tape, upstream, || add_gradients(tape, output, upstream, retain, origin))
}

/// Does `build`, which takes back what it recorded if it fails, the place of `upstream` in the arena too.
fn whole<T>(
    tape: &Rc<Inner>,
    upstream: Option<&Variable>,
    build: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let placed = upstream.map(Variable::record).filter(|record| record.node().is_none());
    let result = tape.graph.attempt(build);
    match &result {
        // An operation around this that is refused must not take it back.
        Ok(_) => tape.graph.claim(),
        Err(_) => tape.displace(placed.as_slice()),
    }
    result
}

fn add_gradients(
    tape: &Rc<Inner>,
    output: &Variable,
    upstream: Option<&Variable>,
    retain: bool,
    origin: Origin,
) -> Result<(), Error> {
    let differentiated = reach(tape, output, origin)?;
    let upstream = upstream_node(tape, output, differentiated.root, upstream, origin)?;
    let on_the_way = tape.records.borrow_mut().results_at(&differentiated.reached);
    // In the order in which they were made. Where they stand in the arena changes from step to step, and must not make
    // another computation of the same step, which would be planned anew.
    let mut leaves: Vec<&(Rc<Record>, Places)> = differentiated.leaves.iter().collect();
    leaves.sort_by_key(|(leaf, _)| leaf.number());
    let of_leaves = leaves.iter().flat_map(|(_, places)| places);
    let wanted: Vec<NodeId> = of_leaves.chain(on_the_way.iter().map(|(_, node)| node)).copied().collect();
    let mut gradients = build_gradients(tape, differentiated.root, upstream, &wanted, origin)?.into_iter();

    // What an optimiser updates is computed with the update; a gradient that waits already is computed first, so that a graph that is
    // kept for many passes does not pile them up.
    let waits = leaves.iter().any(|(leaf, _)| leaf.residents().value.is_some());
    if waits && leaves.iter().any(|(leaf, _)| matches!(leaf.gradient(), Some(Gradient::Node(_)))) {
        tape.catch_up(None)?;
    }
    // What each leaf had before, and what each of its nodes adds.
    let mut totals = Vec::with_capacity(leaves.len());
    for (leaf, places) in &leaves {
        let Some(gradient) = sum(tape, gradients.by_ref().take(places.len()), origin)? else { continue };
        let total = match leaf.gradient() {
            None => gradient,
            Some(earlier) => accumulated(tape, &earlier, gradient, origin)?,
        };
        totals.push((leaf.clone(), total));
    }
    // The gradient of a result is computed when somebody asks for it. One that was not asked for until the next pass is
    // computed with that: a graph that is kept for many passes must not pile them up.
    let mut deferred = Vec::with_capacity(on_the_way.len());
    for ((record, _), gradient) in on_the_way.iter().zip(gradients) {
        match record.gradient() {
            None => deferred.push((record.clone(), gradient)),
            Some(earlier) => {
                let total = accumulated(tape, &earlier, gradient, origin)?;
                totals.push((record.clone(), total));
            }
        }
    }
    let record = output.record();
    if waits {
        let is_held = |(record, _): &&(Rc<Record>, NodeId)| record.residents().value.is_some();
        let gradients = totals.iter().filter(is_held).map(|(_, total)| *total).collect();
        let mut records = tape.records.borrow_mut();
        for (record, total) in totals.into_iter().chain(deferred) {
            records.set_gradient(&record, Gradient::Node(total));
            records.list_placed(&record, tape.graph.ordinal_bound());
        }
        drop(records);
        tape.waits.set(true);
        tape.note_waiting(Pass { output: Rc::downgrade(record), gradients });
        release(tape, &differentiated, &on_the_way, retain);
        return Ok(());
    }
    let mut outputs: Vec<NodeId> = totals.iter().map(|(_, total)| *total).collect();
    let root: &[NodeId] = if record.value().is_none() { &[differentiated.root] } else { &[] };
    outputs.extend(root);
    let mut values = compute_with_states(tape, &outputs, root)?;
    if !root.is_empty()
        && let Some(value) = values.pop()
    {
        record.set_value(value);
    }
    let mut records = tape.records.borrow_mut();
    for ((record, _), value) in totals.into_iter().zip(values) {
        records.set_gradient(&record, Gradient::Value(value));
    }
    for (record, gradient) in deferred {
        records.set_gradient(&record, Gradient::Node(gradient));
    }
    drop(records);
    release(tape, &differentiated, &on_the_way, retain);
    Ok(())
}

/// The values of nodes, and with them the updates of states that were recorded on the way: they are computed from the same.
fn compute_with_states(tape: &Inner, outputs: &[NodeId], kept: &[NodeId]) -> Result<Vec<Rc<Value>>, Error> {
    let states = tape.recent_states();
    if !states.is_empty() {
        let nodes = |list: &[NodeId]| -> Vec<NodeId> {
            list.iter().copied().chain(states.iter().map(|(_, node)| *node)).collect()
        };
        if let Ok(mut values) = tape.compute(&nodes(outputs), &nodes(kept), false) {
            tape.set_states(&states, values.split_off(outputs.len()));
            return Ok(values);
        }
        // They may be of another batch, and are settled by now.
    }
    tape.compute(outputs, kept, false)
}

/// Says that a graph was differentiated, and is not kept for another pass: no step goes by those results of it that are not computed.
fn release(tape: &Inner, differentiated: &Differentiated, on_the_way: &[(Rc<Record>, NodeId)], retain: bool) {
    if !retain {
        let mut records = tape.records.borrow_mut();
        let uncomputed = on_the_way.iter().filter(|(record, _)| record.uncomputed_node().is_some());
        uncomputed.for_each(|(record, _)| records.open(record));
        let slots = tape.slots.borrow();
        let nodes = differentiated.reached.iter().copied().filter(|node| slots.get(*node).is_none());
        tape.released.borrow_mut().extend(nodes);
        tape.epoch.set(tape.epoch.get() + 1);
    }
}

/// The gradients of `output` with respect to `wrt`, recorded; `None` where it does not depend on one.
pub(crate) fn gradients(
    tape: &Rc<Inner>,
    output: &Variable,
    upstream: Option<&Variable>,
    wrt: &[&Variable],
    origin: Origin,
) -> Result<Vec<Option<Variable>>, Error> {
    for variable in wrt {
        usable(tape, variable, origin)?;
    }
    tape.sweep_if_grown();
    whole(tape, upstream, || gradient_variables(tape, output, upstream, wrt, origin))
}

fn gradient_variables(
    tape: &Rc<Inner>,
    output: &Variable,
    upstream: Option<&Variable>,
    wrt: &[&Variable],
    origin: Origin,
) -> Result<Vec<Option<Variable>>, Error> {
    let differentiated = reach(tape, output, origin)?;
    let upstream = upstream_node(tape, output, differentiated.root, upstream, origin)?;
    let places: Vec<Places> = wrt.iter().map(|variable| differentiated.places(variable.record())).collect();
    let wanted: Vec<NodeId> = places.iter().flatten().copied().collect();
    let mut found = build_gradients(tape, differentiated.root, upstream, &wanted, origin)?.into_iter();
    let mut results = Vec::with_capacity(wrt.len());
    for places in places {
        results.push(match sum(tape, found.by_ref().take(places.len()), origin)? {
            None => None,
            Some(node) => {
                let node = if tape.recording.get() { node } else { stopped(tape, node)? };
                let place = Place::Node(node, None);
                Some(Variable::of(tape, Record::result(tape, place, tape.recording.get(), "gradient", origin)))
            }
        });
    }
    Ok(results)
}

/// The Jacobian of `output` with respect to `input`, recorded; a mistake poisons it.
pub(crate) fn jacobian(tape: &Rc<Inner>, output: &Variable, input: &Variable, origin: Origin) -> Rc<Record> {
    tape.sweep_if_grown();
    let recorded = whole(tape, None, || jacobian_node(tape, output, input, origin));
    if recorded.is_ok() {
        output.record().count_consumer();
        input.record().count_consumer();
    }
    let needs = recorded.is_ok() && tape.recording.get();
    Record::result(tape, Place::of(recorded), needs, "jacobian", origin)
}

fn jacobian_node(tape: &Rc<Inner>, output: &Variable, input: &Variable, origin: Origin) -> Result<NodeId, Error> {
    usable(tape, input, origin)?;
    let differentiated = reach(tape, output, origin)?;
    if !input.record().requires_grad() {
        return Err(Error::NoGradientRequired { variable: input.record().describe() });
    }
    let mut places = differentiated.places(input.record());
    if places.is_empty() {
        // It does not depend on the input, wherever that stands: the graph says so with zeros.
        tape.settle(&[input])?;
        places.push(tape.node_of(input.record(), origin)?);
    }
    let graph = &tape.graph;
    let mut jacobians = Places::new();
    for place in places {
        let jacobian = graph.at(origin, || graph.expr(differentiated.root).jacobian(graph.expr(place)))?;
        jacobians.push(jacobian.id()?);
    }
    let node = sum(tape, jacobians.into_iter(), origin)?.unwrap_or(differentiated.root);
    if tape.recording.get() { Ok(node) } else { stopped(tape, node) }
}

/// Checks that a variable is of this tape and no mistake.
fn usable(tape: &Rc<Inner>, variable: &Variable, origin: Origin) -> Result<(), Error> {
    let record = variable.record();
    if !Rc::ptr_eq(variable.tape_inner(), tape) {
        return Err(GraphError::ForeignNode { origin, op: "gradients" }.into());
    }
    match record.place() {
        Place::Poisoned(error) => Err(error),
        Place::Value(_) | Place::Node(..) => Ok(()),
    }
}

/// Refuses what was made of a variable without floats that was asked for gradients, or is one, as long as that can be seen in the arena.
fn refuse_without_floats(tape: &Rc<Inner>, record: &Rc<Record>) -> Result<(), Error> {
    let asked = tape.without_floats.borrow();
    if asked.is_empty() {
        return Ok(());
    }
    let made_of: HashSet<NodeId> = match record.node() {
        Some(node) => tape.graph.needed(&[node])?.into_iter().collect(),
        None => HashSet::new(),
    };
    for (leaf, origin) in asked.iter() {
        let Some(leaf) = leaf.upgrade().filter(|leaf| leaf.requires_grad()) else { continue };
        if Rc::ptr_eq(&leaf, record) || leaf.node().is_some_and(|node| made_of.contains(&node)) {
            let dtype = match leaf.place() {
                Place::Value(value) | Place::Node(_, Some(value)) => value.dtype(),
                Place::Node(node, None) => tape.graph.node(node)?.dtype,
                Place::Poisoned(error) => return Err(error),
            };
            if !dtype.is_float() {
                let (origin, variable) =
                    (origin.to_string(), leaf.name().map_or_else(|| leaf.kind(), |name| format!("{name:?}")));
                return Err(Error::GradientOfNoFloats { origin, variable, dtype });
            }
        }
    }
    Ok(())
}

/// Checks that `output` can be differentiated, and finds what derivatives of it flow into.
fn reach(tape: &Rc<Inner>, output: &Variable, origin: Origin) -> Result<Differentiated, Error> {
    usable(tape, output, origin)?;
    let record = output.record();
    // Also of what requires gradients: a cast to floats passes on that they were asked for, and leads none back.
    refuse_without_floats(tape, record)?;
    if !record.requires_grad() {
        return Err(Error::NoGradientRequired { variable: record.describe() });
    }
    if record.is_leaf() {
        tape.settle(&[output])?;
    }
    let root = match (record.node(), record.is_leaf()) {
        (Some(node), _) => node,
        (None, true) => tape.node_of(record, origin)?,
        (None, false) => return Err(Error::GraphReleased { variable: record.describe() }),
    };
    let (released, slots) = (tape.released.borrow(), tape.slots.borrow());
    let ends = |node| slots.get(node).is_some_and(|slot| slot.end != End::Constant);
    let reached = tape.graph.differentiated(root, ends)?;
    let mut differentiated =
        Differentiated { root, reached: HashSet::new(), leaves: Vec::new(), numbers: HashMap::new() };
    for node in &reached {
        if released.contains(node) {
            return Err(Error::GraphReleased { variable: record.describe() });
        }
        let Some(slot) = slots.get(*node) else { continue };
        match slot.end {
            End::Constant => {}
            // A leaf that was dropped, or asks for none by now, has no use for its gradient.
            End::Leaf => {
                if let Some(owner) = slot.owner.upgrade().filter(|owner| owner.requires_grad()) {
                    differentiated.add_leaf(owner, *node);
                }
            }
            End::Released => {
                let owner = slot.owner.upgrade();
                let variable = owner.map_or_else(|| "a result that was dropped".to_owned(), |owner| owner.describe());
                return Err(Error::GraphReleased { variable });
            }
        }
    }
    differentiated.reached = reached.into_iter().collect();
    Ok(differentiated)
}

/// The node of the upstream gradient: what was given, or 1 for an output of one element.
fn upstream_node(
    tape: &Rc<Inner>,
    output: &Variable,
    root: NodeId,
    upstream: Option<&Variable>,
    origin: Origin,
) -> Result<NodeId, Error> {
    if let Some(upstream) = upstream {
        if !Rc::ptr_eq(upstream.tape_inner(), tape) {
            return Err(GraphError::ForeignNode { origin, op: "backward" }.into());
        }
        tape.settle(&[upstream])?;
        return tape.node_of(upstream.record(), origin);
    }
    let node = tape.graph.node(root)?;
    if node.shape.elements() != 1 {
        let (op, operand, shape) = ("backward", output.record().describe(), node.shape);
        return Err(GraphError::NotScalar { origin, op, operand, shape }.into());
    }
    Ok(tape.graph.attempt(|| tape.graph.at(origin, || tape.graph.ones(&node.shape, node.dtype)).id())?)
}

/// Appends the gradients of a root to the arena.
fn build_gradients(
    tape: &Inner,
    root: NodeId,
    upstream: NodeId,
    wanted: &[NodeId],
    origin: Origin,
) -> Result<Vec<NodeId>, Error> {
    let graph = &tape.graph;
    let wrt: Vec<_> = wanted.iter().map(|node| graph.expr(*node)).collect();
    let gradients = graph.at(origin, || graph.gradients(&[graph.expr(root)], &[graph.expr(upstream)], &wrt))?;
    Ok(gradients.into_iter().map(|gradient| gradient.id()).collect::<Result<_, _>>()?)
}

/// The node of an earlier gradient plus another.
fn accumulated(tape: &Inner, earlier: &Gradient, gradient: NodeId, origin: Origin) -> Result<NodeId, Error> {
    let earlier = match earlier {
        Gradient::Node(node) => *node,
        // Nobody differentiates through an accumulated gradient.
        Gradient::Value(value) => tape.slots.borrow_mut().take_constant(&tape.graph, value.clone(), origin)?,
    };
    let total = add(tape, earlier, gradient, origin)?;
    // What is added to what cannot be computed cannot be either, until it is cleared.
    let mut left_out = tape.left_out.borrow_mut();
    if left_out.contains(&earlier) {
        left_out.insert(total);
    }
    Ok(total)
}

/// The node of the sum of gradients of one variable; `None` of none.
fn sum(tape: &Inner, mut gradients: impl Iterator<Item = NodeId>, origin: Origin) -> Result<Option<NodeId>, Error> {
    let Some(first) = gradients.next() else { return Ok(None) };
    gradients.try_fold(first, |total, gradient| add(tape, total, gradient, origin)).map(Some)
}

/// The node of the sum of two gradients of one variable. They differ in shape or dtype if it was given another value between.
fn add(tape: &Inner, earlier: NodeId, later: NodeId, origin: Origin) -> Result<NodeId, Error> {
    let (graph, op) = (&tape.graph, "backward");
    let (before, now) = (graph.node(earlier)?, graph.node(later)?);
    let (lhs, rhs) = ("the gradient so far".to_owned(), "what is added".to_owned());
    if before.shape != now.shape {
        let (lhs_shape, rhs_shape) = (before.shape, now.shape);
        return Err(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape }.into());
    }
    if before.dtype != now.dtype {
        let (left, right) = (before.dtype, now.dtype);
        return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right }.into());
    }
    Ok(graph.attempt(|| graph.at(origin, || graph.expr(earlier) + graph.expr(later)).id())?)
}

/// The same value, through which no gradient flows.
fn stopped(tape: &Inner, node: NodeId) -> Result<NodeId, Error> {
    Ok(tape.graph.attempt(|| tape.graph.expr(node).stop_gradient().id())?)
}

/// The gradient that has reached a variable.
pub(crate) fn gradient_of(tape: &Inner, record: &Record) -> Result<Rc<Value>, Error> {
    if matches!(record.gradient(), Some(Gradient::Node(_))) && tape.waits.get() && record.is_leaf() {
        tape.catch_up(None)?;
    }
    match record.gradient() {
        None => match record.place() {
            Place::Poisoned(error) => Err(error),
            Place::Value(_) | Place::Node(..) => Err(Error::NoGradient { variable: record.describe() }),
        },
        Some(Gradient::Value(value)) => Ok(value),
        // Also of a leaf whose gradient no step computes, because it cannot be: whoever asks is told why.
        Some(Gradient::Node(node)) => {
            let value = tape.evaluate(node)?;
            record.set_computed_gradient(value.clone());
            Ok(value)
        }
    }
}
