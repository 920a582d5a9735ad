//! What a loop does in each of its steps: a piece of a graph, cut out and closed.
//!
//! A [`Body`] never changes and belongs to no graph: its nodes name each other by their places. The first places are its inputs, in
//! the order of a loop's operands: the *carries*, which each step replaces by the next ones; the *elements*, which are this step's parts of the sequences;
//! and what is *captured*, which is the same in every step. Whoever wants to look into a body, or to make another one of it, replays it into a graph.
//!
//! Invariants: an operand's place is below its user's; inputs are placeholders, all different; the next value of a carry has its shape
//! and dtype. Two bodies are equal if they say the same, wherever they were built.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::OnceLock;

use slotmap::{Key, KeyData};

use crate::arena::Graph;
use crate::declaration::{DeclarationKind, Init};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::identity;
use crate::node::{Node, NodeId, NodeKey};
use crate::op::{Leaf, Op};
use crate::passes::cse::Mix;
use crate::requirements::indices_of;
use crate::shape::Shape;
use crate::views::{Views, views_down};

/// The graph that ids within bodies are of.
const NOWHERE: u32 = u32::MAX;

/// What a result of a loop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScanResult {
    /// The last value of the carry of that number.
    Final(u32),
    /// The values that the node at that place of the body had in each step, along a new first axis; in the order of the sequences, also
    /// where the loop goes over them from the end.
    Stacked(u32),
}

/// What a loop does in each of its steps. See the module.
pub struct Body {
    nodes: Vec<Node>,
    carries: usize,
    elements: usize,
    captured: usize,
    next: Vec<u32>,
    length: usize,
    reverse: bool,
    key: Vec<u64>,
    /// A number that equal bodies share. Each result of a loop is a node over its body, so the whole key is not read for each.
    digest: u64,
    /// For each place on which inputs the node depends differentiably, within one step: a set of bits.
    within: OnceLock<Vec<Box<[u64]>>>,
    draws: bool,
    indexed: Vec<Indexed>,
}

/// A captured input that is indices.
struct Indexed {
    input: usize,
    /// Below what its elements must be.
    bound: usize,
    /// The place of what indexes by it.
    user: u32,
    /// Which of its elements, where not all.
    shown: Option<Views>,
}

/// What a body is cut out of a graph by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut<'a> {
    pub(crate) carries: &'a [NodeId],
    pub(crate) elements: &'a [NodeId],
    pub(crate) captured: &'a [NodeId],
    /// The next values of the carries.
    pub(crate) next: &'a [NodeId],
    /// What shall have a place beside.
    pub(crate) stacked: &'a [NodeId],
    pub(crate) length: usize,
    pub(crate) reverse: bool,
}

fn id_of(place: u32) -> NodeId {
    // A version of 1 is that of a slot's first node, so the key is none that means nobody.
    NodeId { key: NodeKey::from(KeyData::from_ffi((1 << 32) | (u64::from(place) + 1))), graph: NOWHERE }
}

fn place_of(id: NodeId) -> u32 {
    (id.key.data().as_ffi() as u32) - 1
}

impl Body {
    /// Cuts out of a graph what the next carries and `stacked` are computed from, as far as the inputs; and the place of each of
    /// `stacked`. Everything is of `graph`, the inputs are different nodes, and all that depends on nothing else.
    pub(crate) fn cut(graph: &Graph, cut: &Cut<'_>) -> Result<(Body, Vec<u32>), GraphError> {
        let inputs: Vec<NodeId> = [cut.carries, cut.elements, cut.captured].concat();
        let mut places: Vec<Option<u32>> = vec![None; graph.ordinal_bound()];
        for (place, input) in (0..).zip(&inputs) {
            places[graph.ordinal(*input)?] = Some(place);
        }
        let wanted: Vec<NodeId> = cut.next.iter().chain(cut.stacked).copied().collect();
        let needed = {
            let arena = graph.arena();
            let is_input = |id: NodeId| places[arena.nodes[id.key].ordinal as usize].is_some();
            graph.needed_until(&wanted, &is_input, "scan")?
        };
        let arena = graph.arena();
        let mut nodes: Vec<Node> = Vec::with_capacity(inputs.len() + needed.len());
        for (place, input) in (0..).zip(&inputs) {
            let Node { shape, dtype, origin, .. } = arena.nodes[input.key].clone();
            nodes.push(Node { op: Op::Leaf(Leaf::Placeholder), shape, dtype, origin, ordinal: place, users: 0 });
        }
        for id in needed {
            let node = &arena.nodes[id.key];
            let ordinal = node.ordinal as usize;
            if places[ordinal].is_some() {
                continue;
            }
            let place = nodes.len() as u32;
            let placed = |id: NodeId| id_of(places[arena.nodes[id.key].ordinal as usize].unwrap_or(0));
            nodes.push(Node { op: node.op.map_operands(placed), ordinal: place, users: 0, ..node.clone() });
            places[ordinal] = Some(place);
        }
        let place = |id: &NodeId| places[arena.nodes[id.key].ordinal as usize].unwrap_or(0);
        let next: Vec<u32> = cut.next.iter().map(place).collect();
        let stacked = cut.stacked.iter().map(place).collect();
        let (carries, elements, captured) = (cut.carries.len(), cut.elements.len(), cut.captured.len());
        let key = key(&nodes, [carries, elements, captured, cut.length, usize::from(cut.reverse)], &next);
        let digest = Mix::of(&key);
        let (length, reverse, within) = (cut.length, cut.reverse, OnceLock::new());
        let draws = nodes.iter().any(|node| {
            let is_of_loop = matches!(&node.op, Op::Scan { body, .. } if body.draws);
            is_of_loop || matches!(node.op, Op::Uniform { .. })
        });
        let indexed = indexed(&nodes, carries + elements..inputs.len());
        let body =
            Body { nodes, carries, elements, captured, next, length, reverse, key, digest, within, draws, indexed };
        Ok((body, stacked))
    }

    /// How many steps the loop has.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether the loop goes over its sequences from the end.
    pub fn is_reversed(&self) -> bool {
        self.reverse
    }

    /// How many carries there are.
    pub fn carries(&self) -> usize {
        self.carries
    }

    /// How many sequences the loop goes over.
    pub fn sequences(&self) -> usize {
        self.elements
    }

    /// How many tensors the body captures.
    pub fn captured(&self) -> usize {
        self.captured
    }

    /// The number of inputs: carries, elements and what is captured, in that order.
    pub fn inputs(&self) -> usize {
        self.carries + self.elements + self.captured
    }

    /// The place of each carry's next value.
    pub fn next(&self) -> &[u32] {
        &self.next
    }

    /// The number of nodes, inputs among them.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The op of each place; its operands are places.
    pub(crate) fn ops(&self) -> impl Iterator<Item = &Op> {
        self.nodes.iter().map(|node| &node.op)
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Shape and dtype of the node at a place.
    pub fn node(&self, place: u32) -> Option<(&Shape, DType)> {
        self.nodes.get(place as usize).map(|node| (&node.shape, node.dtype))
    }

    /// The shape that the operand of that number must have, and its dtype.
    pub fn operand(&self, number: usize) -> Option<(Shape, DType)> {
        let node = self.nodes.get(number).filter(|_| number < self.inputs())?;
        let is_sequence = (self.carries..self.carries + self.elements).contains(&number);
        Some((if is_sequence { self.along_steps(&node.shape) } else { node.shape.clone() }, node.dtype))
    }

    /// What a result is of: its shape and dtype; none if there is no such carry or place.
    pub fn result(&self, result: ScanResult) -> Option<(Shape, DType)> {
        match result {
            ScanResult::Final(carry) => {
                let node = self.nodes.get(carry as usize).filter(|_| (carry as usize) < self.carries)?;
                Some((node.shape.clone(), node.dtype))
            }
            ScanResult::Stacked(place) => {
                self.nodes.get(place as usize).map(|node| (self.along_steps(&node.shape), node.dtype))
            }
        }
    }

    /// The shape of what has that shape in each step.
    pub(crate) fn along_steps(&self, shape: &Shape) -> Shape {
        std::iter::once(self.length).chain(shape.iter().copied()).collect()
    }

    /// The body as words: equal for bodies that say the same.
    pub(crate) fn key(&self) -> &[u64] {
        &self.key
    }

    /// A number that equal bodies share.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Builds the body in a graph over these nodes in the place of its inputs; the node of each place.
    pub fn replay(&self, graph: &Graph, inputs: &[NodeId]) -> Result<Vec<NodeId>, GraphError> {
        let mut ids: Vec<NodeId> = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            if let Some(input) = inputs.get(place).filter(|_| place < self.inputs()) {
                ids.push(*input);
                continue;
            }
            let op = node.op.map_operands(|id| ids[place_of(id) as usize]);
            ids.push(graph.insert_node(op, Some(&node.shape), Some(node.dtype), node.origin)?);
        }
        Ok(ids)
    }

    /// A graph of the body alone, with placeholders as its inputs, and the node of each place.
    pub(crate) fn alone(&self) -> Result<(Graph, Vec<NodeId>), GraphError> {
        let graph = Graph::with_capacity(self.nodes.len() * 2);
        let inputs = self.nodes[..self.inputs()]
            .iter()
            .map(|node| Ok(graph.placeholder(&node.shape, node.dtype, node.origin)?.0))
            .collect::<Result<Vec<_>, GraphError>>()?;
        let ids = self.replay(&graph, &inputs)?;
        Ok((graph, ids))
    }

    /// A graph of its own, in which the carries are states and all other inputs are inputs, declared in their order; and the node of
    /// each place. What a plan of the body is made of.
    pub fn stand_alone(&self) -> Result<(Graph, Vec<NodeId>), GraphError> {
        let graph = Graph::with_capacity(self.nodes.len() * 2);
        let mut inputs = Vec::with_capacity(self.inputs());
        for (place, node) in self.nodes[..self.inputs()].iter().enumerate() {
            let (kind, name) = if place < self.carries {
                (DeclarationKind::Parameter { init: Init::Constant(0.0), trainable: false }, format!("carry {place}"))
            } else if place < self.carries + self.elements {
                (DeclarationKind::Input, format!("element {}", place - self.carries))
            } else {
                (DeclarationKind::Input, format!("captured {}", place - self.carries - self.elements))
            };
            inputs.push(graph.declare(name, node.shape.clone(), node.dtype.into(), kind, node.origin)?);
        }
        let ids = self.replay(&graph, &inputs)?;
        Ok((graph, ids))
    }

    /// Whether a step draws random numbers, also in a loop of its own.
    pub(crate) fn draws(&self) -> bool {
        self.draws
    }

    /// Which captured inputs a result needs as indices: their numbers, below what they must be, and which of their elements, where not all.
    pub(crate) fn indexed(&self, result: ScanResult) -> Vec<(usize, usize, Option<Views>)> {
        if self.indexed.is_empty() {
            return Vec::new();
        }
        let needed = self.needed_places(&[result]);
        let of_needed = self.indexed.iter().filter(|indexed| needed[indexed.user as usize]);
        of_needed.map(|indexed| (indexed.input, indexed.bound, indexed.shown.clone())).collect()
    }

    /// Which places depend, in some step, on inputs for which that holds.
    pub(crate) fn depending(&self, inputs: &[bool]) -> Vec<bool> {
        let mut depends = inputs.to_vec();
        depends.resize(self.nodes.len(), false);
        loop {
            for place in self.inputs()..self.nodes.len() {
                let mut found = false;
                self.nodes[place].op.for_each_operand(|operand| found |= depends[place_of(operand) as usize]);
                depends[place] = found;
            }
            let new = |carry: &usize| !depends[*carry] && depends[self.next[*carry] as usize];
            let new: Vec<usize> = (0..self.carries).filter(new).collect();
            if new.is_empty() {
                return depends;
            }
            new.into_iter().for_each(|carry| depends[carry] = true);
        }
    }

    /// Which inputs these results need, in some step.
    pub fn needed(&self, results: &[ScanResult]) -> Vec<bool> {
        let mut needed = self.needed_places(results);
        needed.truncate(self.inputs());
        needed
    }

    /// Which places these results need, in some step.
    fn needed_places(&self, results: &[ScanResult]) -> Vec<bool> {
        let mut needed = vec![false; self.nodes.len()];
        for result in results {
            match result {
                // The carry, whose next value is looked at below.
                ScanResult::Final(carry) => needed[*carry as usize] = true,
                ScanResult::Stacked(place) => needed[*place as usize] = true,
            }
        }
        loop {
            for carry in 0..self.carries {
                if needed[carry] {
                    needed[self.next[carry] as usize] = true;
                }
            }
            let before = needed[..self.carries].to_vec();
            for place in (self.inputs()..self.nodes.len()).rev() {
                if needed[place] {
                    self.nodes[place].op.for_each_operand(|operand| needed[place_of(operand) as usize] = true);
                }
            }
            if before == needed[..self.carries] {
                return needed;
            }
        }
    }

    /// The numbers of the operands on which a result depends differentiably.
    pub(crate) fn differentiated(&self, result: ScanResult) -> Vec<u32> {
        let within = self.within.get_or_init(|| within(&self.nodes, self.inputs()));
        let mut set: Vec<u64> = vec![0; self.inputs().div_ceil(64)];
        let mut waiting: Vec<u32> = Vec::new();
        let add = |from: &[u64], set: &mut Vec<u64>, waiting: &mut Vec<u32>| {
            for (word, (own, from)) in set.iter_mut().zip(from).enumerate() {
                let mut new = *from & !*own;
                *own |= new;
                while new != 0 {
                    waiting.push(word as u32 * 64 + new.trailing_zeros());
                    new &= new - 1;
                }
            }
        };
        match result {
            ScanResult::Final(carry) if self.nodes[carry as usize].dtype.is_float() => {
                add(&within[carry as usize], &mut set, &mut waiting);
            }
            ScanResult::Final(_) => {}
            ScanResult::Stacked(place) => add(&within[place as usize], &mut set, &mut waiting),
        }
        while let Some(input) = waiting.pop() {
            if let Some(&next) = self.next.get(input as usize) {
                add(&within[next as usize], &mut set, &mut waiting);
            }
        }
        (0..self.inputs() as u32).filter(|&input| set[input as usize / 64] >> (input % 64) & 1 == 1).collect()
    }
}

/// For each place the inputs on which the node depends differentiably within a step.
fn within(nodes: &[Node], inputs: usize) -> Vec<Box<[u64]>> {
    let words = inputs.div_ceil(64);
    let mut sets: Vec<Box<[u64]>> = Vec::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        let mut set = vec![0; words].into_boxed_slice();
        if node.dtype.is_float() {
            if place < inputs {
                set[place / 64] |= 1 << (place % 64);
            }
            node.op.for_each_differentiated(|id| {
                let operand = &sets[place_of(id) as usize];
                set.iter_mut().zip(operand).for_each(|(own, operand)| *own |= operand);
            });
        }
        sets.push(set);
    }
    sets
}

/// Which of the captured inputs are indices, as they are or as views of them.
fn indexed(nodes: &[Node], captured: Range<usize>) -> Vec<Indexed> {
    let mut found = Vec::new();
    for (user, node) in (0..).zip(nodes) {
        let mut add = |indices: NodeId, bound: usize, shown: Option<Views>| {
            // Operands stand before their users, so there is a node of each.
            let Some((input, views)) = views_down(indices, |id| nodes.get(place_of(id) as usize)) else { return };
            let input = place_of(input) as usize;
            if captured.contains(&input) {
                let shown = match shown {
                    Some(shown) => Some(shown.over(views)),
                    None => Views::taking(views),
                };
                found.push(Indexed { input, bound, user, shown });
            }
        };
        if let Op::Scan { body, operands, result } = &node.op {
            body.indexed(*result).into_iter().for_each(|(number, bound, shown)| add(operands[number], bound, shown));
        } else if let Some((operand, indices, axis)) = indices_of(&node.op) {
            add(indices, nodes[place_of(operand) as usize].shape[axis], None);
        }
    }
    found
}

/// The words that tell bodies apart.
fn key(nodes: &[Node], numbers: [usize; 5], next: &[u32]) -> Vec<u64> {
    let mut key: Vec<u64> = vec![nodes.len() as u64];
    key.extend(numbers.map(|number| number as u64));
    key.extend(next.iter().map(|&place| u64::from(place)));
    for node in nodes {
        key.push(node.dtype as u64 | (node.shape.rank() as u64) << 8);
        key.extend(node.shape.iter().map(|&extent| extent as u64));
        identity::words(&node.op, |word| key.push(word));
        if let Op::Leaf(Leaf::Literal { data }) = &node.op {
            data.for_each_bits(|bits| key.push(bits));
        }
        node.op.for_each_operand(|operand| key.push(u64::from(place_of(operand))));
    }
    key
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.digest == other.digest && self.key == other.key)
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("nodes", &self.nodes.len())
            .field("carries", &self.carries)
            .field("elements", &self.elements)
            .field("captured", &self.captured)
            .field("length", &self.length)
            .field("reverse", &self.reverse)
            .finish_non_exhaustive()
    }
}
