//! Sums of products: `A_1 B_1 + A_2 B_2 + ..` is one product, of the left operands side by side and the right ones one below the other.
//!
//! Each product that is avoided saves writing a result and reading it again. Against that stands putting the operands together, which
//! reads and writes them once; where they are neighbouring parts of one tensor, in whatever order they are added, it costs nothing.
//! A sum of sums along an axis, such as the gradient of a bias, is one sum along the axis too, of what is put together anyway.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Assembly, BinaryFunction, Elementwise, Op, ReduceFunction};
use crate::passes::products::parts::{Part, Range, Source};
use crate::passes::products::{Groups, MOST_ELEMENTS, Old};
use crate::passes::rebuild::Rebuild;
use crate::shape::{AxisSet, Shape};

/// Sums of which terms are joined, by their nodes.
#[derive(Default)]
pub(super) struct Sums {
    /// The ordinals of the outermost additions of sums of which something is joined.
    roots: HashSet<u32>,
    /// The ordinals of additions within such sums.
    inner: HashSet<u32>,
    /// By the ordinal of a term, the place of what it is joined to.
    term_of: HashMap<u32, usize>,
    joined: Vec<Joined>,
}

/// Several terms as one.
struct Joined {
    kind: Kind,
    /// The shape of the sum.
    shape: Shape,
    is_built: bool,
}

enum Kind {
    Product { transpose: [bool; 2], operands: [Operands; 2] },
    Reduction { axes: AxisSet, operands: Operands },
}

/// What is put together along an axis.
#[derive(Clone)]
struct Operands {
    axis: usize,
    /// In order.
    list: Vec<NodeId>,
    /// The range of one tensor that they are together.
    range: Option<Range>,
}

/// A term that may be joined with others: through at most one reshape, a product or a sum along axes.
#[derive(Clone, Copy)]
struct Term {
    /// The operand of the addition.
    leaf: NodeId,
    /// What computes it.
    node: NodeId,
}

/// Terms with equal keys may be joined.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Product {
        root: u32,
        shape: Shape,
        dtype: DType,
        transpose: [bool; 2],
        /// The shapes of the operands with an extent of 1 along the axis that the product sums.
        operands: [Shape; 2],
        /// Of what the operands are parts, if others in the sum are parts of the same.
        sources: [Option<Source>; 2],
    },
    Reduction {
        root: u32,
        shape: Shape,
        dtype: DType,
        axes: AxisSet,
        /// The axis along which operands differ in extent or are put together.
        axis: usize,
        operand: Shape,
    },
}

impl Sums {
    /// The sums of a graph that are better joined.
    pub(super) fn find(old: &Old<'_>) -> Sums {
        let mut finder = Finder { old, sums: Sums::default(), planned: HashMap::new(), postponed: Vec::new() };
        let mut is_inner = vec![false; old.ids.len()];
        let mut reductions: Vec<(NodeId, Rc<[NodeId]>, Vec<Term>)> = Vec::new();
        for &id in old.ids.iter().rev() {
            if is_inner[old.node(id).ordinal as usize] || addends(old.node(id)).is_none() {
                continue;
            }
            let (inner, leaves) = finder.leaves(id);
            inner.iter().for_each(|&addition| is_inner[old.node(addition).ordinal as usize] = true);
            let mut products = Vec::new();
            let mut sums = Vec::new();
            for leaf in leaves {
                let Some(term) = finder.term(leaf) else { continue };
                if let Op::MatMul { .. } = old.node(term.node).op { products.push(term) } else { sums.push(term) }
            }
            finder.products(id, &inner, &products);
            if sums.len() > 1 {
                reductions.push((id, inner, sums));
            }
        }
        // Others may have put together by now what was not worth it for one sum alone.
        for (root, inner, terms) in std::mem::take(&mut finder.postponed) {
            finder.join_products(root, &inner, &terms);
        }
        for (root, inner, terms) in reductions {
            finder.reductions(root, &inner, &terms);
        }
        finder.sums
    }

    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    /// Whether a node becomes part of another.
    pub(super) fn has(&self, node: &Node) -> bool {
        self.term_of.contains_key(&node.ordinal)
    }

    /// What takes the place of a node that is the outermost addition of a sum.
    pub(super) fn replace(
        &mut self,
        rebuild: &mut Rebuild,
        arena: &Arena,
        node: &Node,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<Option<NodeId>, GraphError> {
        if !self.roots.contains(&node.ordinal) {
            return Ok(None);
        }
        // The additions as they stood, without the terms that are in another. Operands first: an addition is seen a second time after
        // both.
        let mut values: Vec<Option<NodeId>> = Vec::new();
        let mut stack: Vec<(&Node, Option<NodeId>, bool)> = vec![(node, None, false)];
        while let Some((next, id, is_seen)) = stack.pop() {
            let is_addition = next.ordinal == node.ordinal || self.inner.contains(&next.ordinal);
            let addends = addends(next).filter(|_| is_addition);
            match (addends, is_seen) {
                (Some([lhs, rhs]), false) => {
                    stack.push((next, id, true));
                    stack.push((&arena.nodes[rhs.key], Some(rhs), false));
                    stack.push((&arena.nodes[lhs.key], Some(lhs), false));
                }
                (Some(_), true) => {
                    let (rhs, lhs) = (values.pop().flatten(), values.pop().flatten());
                    values.push(match (lhs, rhs) {
                        (Some(lhs), Some(rhs)) => {
                            let sum = Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs, rhs });
                            Some(rebuild.node(sum, &next.shape, next.dtype)?)
                        }
                        (lhs, rhs) => lhs.or(rhs),
                    });
                }
                (None, _) => values.push(match self.term_of.get(&next.ordinal) {
                    Some(&joined) => self.joined[joined].build(rebuild, next.dtype, replacement)?,
                    None => id.map(replacement),
                }),
            }
        }
        Ok(values.pop().flatten())
    }
}

/// The operands of an addition.
fn addends(node: &Node) -> Option<[NodeId; 2]> {
    let Op::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs, rhs }) = node.op else { return None };
    Some([lhs, rhs])
}

impl Joined {
    /// The joined terms at the place of the first of them; nothing at those of the others.
    fn build(
        &mut self,
        rebuild: &mut Rebuild,
        dtype: DType,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<Option<NodeId>, GraphError> {
        if std::mem::replace(&mut self.is_built, true) {
            return Ok(None);
        }
        let result = match &self.kind {
            Kind::Product { transpose: [transpose_lhs, transpose_rhs], operands: [lhs, rhs] } => {
                let (lhs, rhs) = (lhs.build(rebuild, replacement)?, rhs.build(rebuild, replacement)?);
                let (transpose_lhs, transpose_rhs) = (*transpose_lhs, *transpose_rhs);
                rebuild.inferred(Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs })?
            }
            Kind::Reduction { axes, operands } => {
                let operand = operands.build(rebuild, replacement)?;
                let shape = rebuild.shape(operand).reduced(*axes);
                let sum = Op::Reduce { function: ReduceFunction::Sum, operand, axes: *axes };
                rebuild.node(sum, &shape, dtype)?
            }
        };
        rebuild.node(Op::View { operand: result, arrangement: Arrangement::Reshape }, &self.shape, dtype).map(Some)
    }
}

impl Operands {
    fn build(&self, rebuild: &mut Rebuild, replacement: &dyn Fn(NodeId) -> NodeId) -> Result<NodeId, GraphError> {
        if let Some(range) = &self.range {
            return range.build(rebuild, replacement(range.source.tensor));
        }
        let operands: Box<[NodeId]> = self.list.iter().map(|&operand| replacement(operand)).collect();
        let first = rebuild.shape(operands[0]);
        let extent = operands.iter().map(|&operand| rebuild.shape(operand)[self.axis]).sum();
        let dtype = rebuild.dtype(operands[0]);
        rebuild.node(
            Op::Assembly(Assembly::Concat { operands, axis: self.axis }),
            &first.with_extent(self.axis, extent),
            dtype,
        )
    }
}

struct Finder<'a> {
    old: &'a Old<'a>,
    sums: Sums,
    /// What is put together already, in which order: by what it is, whatever the order, and the axis.
    planned: HashMap<(Vec<u32>, usize), Vec<NodeId>>,
    /// Products that were not worth joining when they were looked at: the outermost addition, those within, and the terms.
    postponed: Vec<(NodeId, Rc<[NodeId]>, Vec<Term>)>,
}

impl Finder<'_> {
    /// The additions within the sum whose outermost one is `root`, and its terms in order.
    fn leaves(&self, root: NodeId) -> (Rc<[NodeId]>, Vec<NodeId>) {
        let (mut inner, mut leaves) = (Vec::new(), Vec::new());
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            match addends(self.old.node(id)) {
                Some([lhs, rhs]) if id == root || self.old.is_used_once(id) => {
                    stack.extend([rhs, lhs]);
                    if id != root {
                        inner.push(id);
                    }
                }
                Some(_) | None => leaves.push(id),
            }
        }
        (inner.into(), leaves)
    }

    fn term(&self, leaf: NodeId) -> Option<Term> {
        let node = if let Op::View { operand, arrangement: Arrangement::Reshape } = self.old.node(leaf).op {
            operand
        } else {
            leaf
        };
        let is_of_use =
            matches!(self.old.node(node).op, Op::MatMul { .. } | Op::Reduce { function: ReduceFunction::Sum, .. });
        let is_joinable = is_of_use && self.old.is_used_once(leaf) && self.old.is_used_once(node);
        is_joinable.then_some(Term { leaf, node })
    }

    /// Joins the products of a sum.
    fn products(&mut self, root: NodeId, inner: &Rc<[NodeId]>, terms: &[Term]) {
        if terms.len() < 2 {
            return;
        }
        let mut parts_of: HashMap<(usize, Source), usize> = HashMap::new();
        let source = |side: usize, operand| Part::of(self.old.arena, operand).map(|part| (side, part.source));
        for term in terms {
            for (side, operand) in self.operands(*term).into_iter().enumerate() {
                if let Some(key) = source(side, operand) {
                    *parts_of.entry(key).or_default() += 1;
                }
            }
        }
        let mut groups = Groups::new();
        for &term in terms {
            let node = self.old.node(term.node);
            let Op::MatMul { transpose_lhs, transpose_rhs, .. } = node.op else { continue };
            let transpose = [transpose_lhs, transpose_rhs];
            let operands = self.operands(term);
            let axes = self.summed_axes(term);
            let of_several =
                |side: usize| source(side, operands[side]).filter(|key| parts_of[key] > 1).map(|(_, source)| source);
            let key = Key::Product {
                root: self.old.node(root).ordinal,
                shape: self.old.node(term.leaf).shape.clone(),
                dtype: node.dtype,
                transpose,
                operands: [0, 1].map(|side| self.old.node(operands[side]).shape.with_extent(axes[side], 1)),
                sources: [of_several(0), of_several(1)],
            };
            groups.add(key, term);
        }
        for group in groups.into_lists() {
            if group.len() > 1 && !self.join_products(root, inner, &group) {
                self.postponed.push((root, inner.clone(), group));
            }
        }
    }

    /// The operands of a product.
    fn operands(&self, term: Term) -> [NodeId; 2] {
        let Op::MatMul { lhs, rhs, .. } = self.old.node(term.node).op else { unreachable!("terms that are products") };
        [lhs, rhs]
    }

    /// The axes of its operands that a product sums.
    fn summed_axes(&self, term: Term) -> [usize; 2] {
        let Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } = self.old.node(term.node).op else {
            unreachable!("terms that are products")
        };
        let rank = |operand| self.old.node(operand).shape.rank();
        [rank(lhs) - if transpose_lhs { 2 } else { 1 }, rank(rhs) - if transpose_rhs { 1 } else { 2 }]
    }

    /// Makes one product of several if that costs less than it saves, and says whether it does.
    fn join_products(&mut self, root: NodeId, inner: &Rc<[NodeId]>, terms: &[Term]) -> bool {
        let axes = self.summed_axes(terms[0]);
        let lists = [0, 1].map(|side| terms.iter().map(|&term| self.operands(term)[side]).collect::<Vec<_>>());
        let elements =
            |list: &[NodeId]| list.iter().map(|&id| self.old.node(id).shape.elements()).fold(0, usize::saturating_add);
        // The order of the side that costs more to put together, where one of it costs nothing.
        let dearer = usize::from(elements(&lists[1]) > elements(&lists[0]));
        let order = [dearer, 1 - dearer].into_iter().find_map(|side| self.free_order(&lists[side], axes[side]));
        let order = order.unwrap_or_else(|| (0..terms.len()).collect());
        let operands = [0, 1].map(|side| {
            let list: Vec<NodeId> = order.iter().map(|&place| lists[side][place]).collect();
            let range = Range::of(self.old.arena, &list, axes[side]);
            let range = range.filter(|(_, order)| order.is_sorted()).map(|(range, _)| range);
            Operands { axis: axes[side], list, range }
        });
        let copied = operands.iter().filter(|operands| operands.range.is_none() && !self.is_planned(operands));
        let spent = copied.fold(0, |sum: usize, operands| sum.saturating_add(elements(&operands.list)));
        let product = self.old.node(terms[0].node);
        let saved = product.shape.elements().saturating_mul(terms.len() - 1);
        // Together they must not be more than a tensor may have.
        let largest = operands.iter().map(|operands| elements(&operands.list)).max();
        if spent >= saved || largest.is_none_or(|elements| elements > MOST_ELEMENTS) {
            return false;
        }
        for operands in operands.iter().filter(|operands| operands.range.is_none()) {
            self.planned.entry((self.set(&operands.list), operands.axis)).or_insert_with(|| operands.list.clone());
        }
        let Op::MatMul { transpose_lhs, transpose_rhs, .. } = product.op else { return false };
        self.join(root, inner, terms, Kind::Product { transpose: [transpose_lhs, transpose_rhs], operands });
        true
    }

    /// Joins sums along axes whose operands are together anyway.
    fn reductions(&mut self, root: NodeId, inner: &Rc<[NodeId]>, terms: &[Term]) {
        let mut groups = Groups::new();
        let mut is_joined: HashSet<u32> = HashSet::new();
        for &term in terms {
            let node = self.old.node(term.node);
            let Op::Reduce { axes, operand, .. } = node.op else { continue };
            for axis in axes.iter() {
                let key = Key::Reduction {
                    root: self.old.node(root).ordinal,
                    shape: self.old.node(term.leaf).shape.clone(),
                    dtype: node.dtype,
                    axes,
                    axis,
                    operand: self.old.node(operand).shape.with_extent(axis, 1),
                };
                groups.add(key, (term, axis, axes));
            }
        }
        for group in groups.into_lists() {
            let [(_, axis, axes), _, ..] = group[..] else { continue };
            let terms: Vec<Term> = group.into_iter().map(|(term, ..)| term).collect();
            if terms.iter().any(|term| is_joined.contains(&self.old.node(term.node).ordinal)) {
                continue;
            }
            let operand = |term: &Term| {
                let Op::Reduce { operand, .. } = self.old.node(term.node).op else { return None };
                Some(operand)
            };
            let list: Vec<NodeId> = terms.iter().filter_map(operand).collect();
            let Some(order) = self.free_order(&list, axis) else { continue };
            let range = Range::of(self.old.arena, &list, axis).map(|(range, _)| range);
            let list = order.iter().map(|&place| list[place]).collect();
            is_joined.extend(terms.iter().map(|term| self.old.node(term.node).ordinal));
            self.join(root, inner, &terms, Kind::Reduction { axes, operands: Operands { axis, list, range } });
        }
    }

    /// An order of operands, as places among them, in which they are together anyway.
    fn free_order(&self, list: &[NodeId], axis: usize) -> Option<Vec<usize>> {
        if let Some((_, order)) = Range::of(self.old.arena, list, axis) {
            return Some(order);
        }
        let planned = self.planned.get(&(self.set(list), axis))?;
        let places: HashMap<NodeId, usize> = list.iter().copied().zip(0..).collect();
        // An operand that stands there twice has no place of its own.
        (places.len() == list.len()).then(|| planned.iter().map(|operand| places[operand]).collect())
    }

    fn is_planned(&self, operands: &Operands) -> bool {
        self.planned.get(&(self.set(&operands.list), operands.axis)).is_some_and(|planned| *planned == operands.list)
    }

    /// Operands whatever their order.
    fn set(&self, list: &[NodeId]) -> Vec<u32> {
        let mut set: Vec<u32> = list.iter().map(|&id| self.old.node(id).ordinal).collect();
        set.sort_unstable();
        set
    }

    fn join(&mut self, root: NodeId, inner: &Rc<[NodeId]>, terms: &[Term], kind: Kind) {
        let shape = self.old.node(terms[0].leaf).shape.clone();
        if self.sums.roots.insert(self.old.node(root).ordinal) {
            self.sums.inner.extend(inner.iter().map(|&addition| self.old.node(addition).ordinal));
        }
        let place = self.sums.joined.len();
        let nodes: SmallVec<[u32; 8]> =
            terms.iter().flat_map(|term| [term.leaf, term.node]).map(|id| self.old.node(id).ordinal).collect();
        self.sums.term_of.extend(nodes.into_iter().map(|ordinal| (ordinal, place)));
        self.sums.joined.push(Joined { kind, shape, is_built: false });
    }
}
