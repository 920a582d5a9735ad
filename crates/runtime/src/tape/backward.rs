//! Gradients of a variable: the reverse mode of the graph crate over what was recorded, and where its results go.

use std::collections::HashSet;
use std::rc::{Rc, Weak};

use arenagrad_graph::{GraphError, NodeId, Origin};

use crate::error::Error;
use crate::tape::record::{Gradient, Place, Record};
use crate::tape::{Inner, Variable};
use crate::tensor::Tensor;

/// What a gradient is taken of: a node, and everything that derivatives of it may flow into.
struct Differentiated {
    root: NodeId,
    reached: HashSet<NodeId>,
    /// The leaves among that, with the nodes at which they stand: a leaf that was given a new value after it was used has
    /// several.
    leaves: Vec<(Rc<Record>, NodeId)>,
}

/// Adds the gradients of `output` to every leaf that requires one, and makes those of variables on the way known.
pub(crate) fn backward(
    tape: &Rc<Inner>,
    output: &Variable,
    upstream: Option<&Variable>,
    retain: bool,
    origin: Origin,
) -> Result<(), Error> {
    let differentiated = reach(tape, output)?;
    let upstream = upstream_node(tape, output, differentiated.root, upstream, origin)?;
    let mut on_the_way = Vec::new();
    tape.records.borrow_mut().for_each(|record| {
        if let Some(node) = record.node()
            && record.requires_grad()
            && !record.is_leaf()
            && differentiated.reached.contains(&node)
        {
            on_the_way.push((record.clone(), node));
        }
    });
    let leaves = &differentiated.leaves;
    let wanted: Vec<NodeId> = leaves.iter().chain(&on_the_way).map(|(_, node)| *node).collect();
    let gradients = build_gradients(tape, differentiated.root, upstream, &wanted, origin)?;
    let (of_leaves, of_others) = gradients.split_at(leaves.len());

    let totals = leaf_totals(tape, leaves, of_leaves)?;
    let record = output.record();
    let mut outputs: Vec<NodeId> = totals.iter().map(|(_, total)| *total).collect();
    if record.value().is_none() {
        outputs.push(differentiated.root);
    }
    let mut values = tape.run(&outputs)?;
    if outputs.len() > totals.len()
        && let Some(value) = values.pop()
    {
        record.set_value(Rc::new(value));
    }
    for ((leaf, _), value) in totals.into_iter().zip(values) {
        leaf.set_gradient(Gradient::Value(Rc::new(value)));
    }
    for ((record, _), gradient) in on_the_way.iter().zip(of_others) {
        let gradient = match record.gradient() {
            None => *gradient,
            Some(earlier) => sum(tape, &earlier, *gradient)?,
        };
        record.set_gradient(Gradient::Node(gradient));
    }
    if !retain {
        let slots = tape.slots.borrow();
        let nodes = differentiated.reached.iter().copied().filter(|node| slots.get(*node).is_none());
        tape.released.borrow_mut().extend(nodes);
        tape.epoch.set(tape.epoch.get() + 1);
    }
    Ok(())
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
        if !Rc::ptr_eq(variable.record().tape(), tape) {
            return Err(GraphError::ForeignNode { origin, op: "gradients" }.into());
        }
        if let Place::Poisoned(error) = variable.record().place() {
            return Err(error);
        }
    }
    let differentiated = reach(tape, output)?;
    let upstream = upstream_node(tape, output, differentiated.root, upstream, origin)?;
    let connected: Vec<Option<NodeId>> = wrt
        .iter()
        .map(|variable| {
            let record = variable.record();
            record.node().filter(|node| record.requires_grad() && differentiated.reached.contains(node))
        })
        .collect();
    let wanted: Vec<NodeId> = connected.iter().flatten().copied().collect();
    let mut found = build_gradients(tape, differentiated.root, upstream, &wanted, origin)?.into_iter();
    let variable =
        |node| Variable::new(Record::result(tape, Place::Node(node, None), tape.recording.get(), "gradient"));
    Ok(connected.into_iter().map(|node| node.and_then(|_| found.next()).map(variable)).collect())
}

/// Checks that `output` can be differentiated, and finds what derivatives of it flow into.
fn reach(tape: &Rc<Inner>, output: &Variable) -> Result<Differentiated, Error> {
    let record = output.record();
    if !Rc::ptr_eq(record.tape(), tape) {
        return Err(GraphError::ForeignNode { origin: Origin::here(), op: "gradients" }.into());
    }
    if let Place::Poisoned(error) = record.place() {
        return Err(error);
    }
    if !record.requires_grad() {
        return Err(Error::NoGradientRequired { variable: record.describe() });
    }
    if record.is_leaf() {
        tape.settle(&[output])?;
    }
    let root = match (record.node(), record.is_leaf()) {
        (Some(node), _) => node,
        (None, true) => tape.node_of(record)?,
        (None, false) => return Err(Error::GraphReleased { variable: record.describe() }),
    };
    let reached = tape.graph.differentiated(root)?;
    let (released, slots) = (tape.released.borrow(), tape.slots.borrow());
    let mut leaves = Vec::new();
    for node in &reached {
        if released.contains(node) {
            return Err(Error::GraphReleased { variable: record.describe() });
        }
        let Some(owner) = slots.get(*node).and_then(|slot| slot.owner.upgrade()) else { continue };
        match (owner.requires_grad(), owner.is_leaf()) {
            (true, true) => leaves.push((owner, *node)),
            // A result stands in a slot after its own graph was released.
            (true, false) => return Err(Error::GraphReleased { variable: owner.describe() }),
            (false, _) => {}
        }
    }
    Ok(Differentiated { root, reached: reached.into_iter().collect(), leaves })
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
        if !Rc::ptr_eq(upstream.record().tape(), tape) {
            return Err(GraphError::ForeignNode { origin, op: "backward" }.into());
        }
        tape.settle(&[upstream])?;
        return tape.node_of(upstream.record());
    }
    let node = tape.graph.node(root)?;
    if node.shape.elements() != 1 {
        let (op, operand, shape) = ("backward", output.record().describe(), node.shape);
        return Err(GraphError::NotScalar { origin, op, operand, shape }.into());
    }
    Ok(tape.graph.at(origin, || tape.graph.ones(&node.shape, node.dtype)).id()?)
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
    let gradients = graph.at(origin, || graph.gradients(&[graph.expr(root)], &[graph.expr(upstream)], &wrt));
    // A mistake is the caller's, who is told; the tape stays usable.
    if let Some(error) = graph.take_error() {
        return Err(error.into());
    }
    Ok(gradients?.into_iter().map(|gradient| gradient.id()).collect::<Result<_, _>>()?)
}

/// For each leaf the node of its gradient after this pass: what it had before, and what each of its nodes adds.
fn leaf_totals(
    tape: &Inner,
    leaves: &[(Rc<Record>, NodeId)],
    gradients: &[NodeId],
) -> Result<Vec<(Rc<Record>, NodeId)>, Error> {
    let mut totals: Vec<(Rc<Record>, NodeId)> = Vec::with_capacity(leaves.len());
    for ((leaf, _), gradient) in leaves.iter().zip(gradients) {
        match totals.iter_mut().find(|(other, _)| Rc::ptr_eq(other, leaf)) {
            Some((_, total)) => *total = (tape.graph.expr(*total) + tape.graph.expr(*gradient)).id()?,
            None => {
                let total = match leaf.gradient() {
                    None => *gradient,
                    Some(earlier) => sum(tape, &earlier, *gradient)?,
                };
                totals.push((leaf.clone(), total));
            }
        }
    }
    Ok(totals)
}

/// The node of an earlier gradient plus another.
fn sum(tape: &Inner, earlier: &Gradient, gradient: NodeId) -> Result<NodeId, Error> {
    let earlier = match earlier {
        Gradient::Node(node) => *node,
        Gradient::Value(value) => {
            // Nobody differentiates through an accumulated gradient, so the slot belongs to no variable.
            tape.slots.borrow_mut().take(&tape.graph, value.clone(), Weak::new())?
        }
    };
    Ok((tape.graph.expr(earlier) + tape.graph.expr(gradient)).id()?)
}

/// The gradient that has reached a variable.
pub(crate) fn gradient_of(tape: &Inner, record: &Record) -> Result<Rc<Tensor>, Error> {
    match record.gradient() {
        None => match record.place() {
            Place::Poisoned(error) => Err(error),
            Place::Value(_) | Place::Node(..) => Err(Error::NoGradient { variable: record.describe() }),
        },
        Some(Gradient::Value(value)) => Ok(value),
        Some(Gradient::Node(node)) => {
            let value = Rc::new(tape.run(&[node])?.remove(0));
            record.set_gradient(Gradient::Value(value.clone()));
            Ok(value)
        }
    }
}
