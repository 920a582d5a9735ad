//! Products that share an operand: `x_1 W`, `x_2 W`, .. of parts `x_t` of one tensor are parts of one product of the tensor.
//!
//! The parts cost nothing before nor after, and the shared operand is read once. What is done alike to each of the results, such as
//! adding a bias, is done to all of them at once. None of the products waits for another: each needed the tensor and the shared
//! operand, and so does the product of all.

use std::cmp::Reverse;
use std::collections::HashMap;

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::{Node, NodeId};
use crate::op::{Arrangement, Leaf, Op, OpKind};
use crate::passes::products::parts::{self, Part, Source};
use crate::passes::products::sums::Sums;
use crate::passes::products::{Groups, MOST_ELEMENTS, Old, to_front};
use crate::passes::rebuild::Rebuild;
use crate::shape::Shape;

/// The most steps of work that follow on the products and are done to all of them at once.
const MOST_FOLLOWING: usize = 16;

/// Products that are parts of others, by their nodes.
#[derive(Default)]
pub(super) struct SharedProducts {
    /// By the ordinal of a node, which group it belongs to, at which step of the work, and which part of its result it is.
    places: HashMap<u32, Place>,
    groups: Vec<Group>,
}

#[derive(Clone, Copy)]
struct Place {
    group: usize,
    /// 0 for the product, then what follows on it.
    step: usize,
    start: usize,
    extent: usize,
}

/// Products of parts of one tensor with the same other operand.
struct Group {
    /// Whether the parts are left operands.
    is_lhs: bool,
    source: Source,
    ends: [usize; 2],
    shared: NodeId,
    transpose: [bool; 2],
    /// The axis of the result along which the parts stand.
    axis: usize,
    /// Whether the tensor's axis is brought to the front before it is multiplied.
    is_moved: bool,
    following: Vec<Following>,
    /// The result, and what each step makes of it, as far as they have been built.
    built: Vec<NodeId>,
}

/// Work that is done alike to all parts.
#[derive(Clone, PartialEq)]
struct Following {
    kind: OpKind,
    op: Op,
    dtype: DType,
    operands: SmallVec<[Operand; 3]>,
}

#[derive(Clone, Copy, PartialEq)]
enum Operand {
    /// The part itself.
    Part,
    /// Everywhere that value.
    Constant(u64),
    /// A node that is repeated, up to the part's shape, for all parts.
    Repeated(NodeId),
}

/// A product that may be one of a group.
#[derive(Clone, Copy)]
struct Member {
    id: NodeId,
    part: Part,
    shared: NodeId,
    is_lhs: bool,
    transpose: [bool; 2],
    axis: usize,
    is_moved: bool,
}

impl SharedProducts {
    /// The products of a graph that are better computed together, but for those that `sums` has.
    pub(super) fn find(old: &Old<'_>, sums: &Sums) -> SharedProducts {
        let mut groups = Groups::new();
        for &id in &old.ids {
            if sums.has(old.node(id)) {
                continue;
            }
            for member in [true, false].into_iter().filter_map(|is_lhs| member(old, id, is_lhs)) {
                let Member { part, shared, is_lhs, transpose, .. } = member;
                groups.add((part.source, shared, is_lhs, transpose), member);
            }
        }
        let mut found = SharedProducts::default();
        let mut lists = groups.into_lists();
        // A product whose operands are both parts goes where it has more company.
        lists.sort_by_key(|list| Reverse(list.len()));
        for mut list in lists {
            list.retain(|member| !found.places.contains_key(&old.node(member.id).ordinal));
            list.sort_by_key(|member| member.part.start);
            let mut rest = &list[..];
            while let Some(first) = rest.first() {
                let mut end = first.part.end();
                let mut count = 1;
                while let Some(next) = rest.get(count).filter(|next| next.part.start <= end) {
                    end = end.max(next.part.end());
                    count += 1;
                }
                let (run, tail) = rest.split_at(count);
                if run.len() > 1 {
                    found.add(old, run, [first.part.start, end]);
                }
                rest = tail;
            }
        }
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds a group if that costs less than it saves.
    fn add(&mut self, old: &Old<'_>, members: &[Member], ends: [usize; 2]) {
        let Member { part, shared, is_lhs, transpose, axis, is_moved, .. } = members[0];
        let mut steps: Vec<Vec<NodeId>> = vec![members.iter().map(|member| member.id).collect()];
        let mut following: Vec<Following> = Vec::new();
        while let Some((work, nodes)) = follow(old, &steps[steps.len() - 1], axis, part.source.is_dropped)
            && following.len() < MOST_FOLLOWING
        {
            following.push(work);
            steps.push(nodes);
        }
        // A result that elementwise work took from the product as it came is written and read again now. What also reads
        // another product could take but one of the two as it came.
        let is_taken = |id: &&NodeId| {
            old.only_reader[old.node(**id).ordinal as usize].is_some_and(|reader| {
                let reader = &old.node(reader).op;
                let mut is_after_product = false;
                reader.for_each_operand(|operand| {
                    is_after_product |= operand != **id && matches!(old.node(operand).op, Op::MatMul { .. });
                });
                is_elementwise(reader) && !is_after_product
            })
        };
        let last = &steps[steps.len() - 1];
        let elements = |id: &NodeId| old.node(*id).shape.elements();
        let spent =
            last.iter().filter(is_taken).fold(0, |sum: usize, id| sum.saturating_add(elements(id).saturating_mul(2)));
        let saved = elements(&shared).saturating_mul(members.len() - 1);
        let all = steps[0].iter().fold(0, |sum: usize, id| sum.saturating_add(elements(id)));
        if spent > saved || all > MOST_ELEMENTS {
            return;
        }
        let group = self.groups.len();
        for (step, nodes) in steps.iter().enumerate() {
            for (id, member) in nodes.iter().zip(members) {
                let Part { start, extent, .. } = member.part;
                self.places.insert(old.node(*id).ordinal, Place { group, step, start, extent });
            }
        }
        let source = part.source;
        let built = Vec::new();
        self.groups.push(Group { is_lhs, source, ends, shared, transpose, axis, is_moved, following, built });
    }

    /// What takes the place of a node that is part of another.
    pub(super) fn replace(
        &mut self,
        rebuild: &mut Rebuild,
        node: &Node,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<Option<NodeId>, GraphError> {
        let Some(&Place { group, step, start, extent }) = self.places.get(&node.ordinal) else { return Ok(None) };
        let group = &mut self.groups[group];
        while group.built.len() <= step {
            let next = match group.built.last() {
                None => group.product(rebuild, replacement)?,
                Some(&before) => group.follow(rebuild, before, replacement)?,
            };
            group.built.push(next);
        }
        let source = Source { tensor: group.built[step], axis: group.axis, is_dropped: group.source.is_dropped };
        let first = group.ends[0];
        let part = parts::range(rebuild, source, source.tensor, [start - first, start - first + extent])?;
        if source.is_dropped {
            rebuild
                .node(Op::View { operand: part, arrangement: Arrangement::Reshape }, &node.shape, node.dtype)
                .map(Some)
        } else {
            Ok(Some(part))
        }
    }
}

/// A product as one that could be joined with others, with its left or right operand as the part. `None` if that operand is no part, or
/// one along an axis that the product sums.
fn member(old: &Old<'_>, id: NodeId, is_lhs: bool) -> Option<Member> {
    let node = old.node(id);
    let Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs } = node.op else { return None };
    let (own, shared) = if is_lhs { (lhs, rhs) } else { (rhs, lhs) };
    let transpose = [transpose_lhs, transpose_rhs];
    let part = Part::of(old.arena, own)?;
    let Source { tensor, axis, is_dropped } = part.source;
    let (shape, other) = (&old.node(own).shape, &old.node(shared).shape);
    let (rank, result_rank) = (shape.rank(), node.shape.rank());
    let member = |axis, is_moved| Some(Member { id, part, shared, is_lhs, transpose, axis, is_moved });
    if is_dropped {
        // The tensor as it lies is rows of rows for a left operand, and else a stack of matrices.
        if is_lhs && !transpose_lhs && axis == 1 && rank == 2 && other.rank() == 2 {
            return member(1, false);
        }
        debug_assert_eq!(old.node(tensor).shape.rank(), rank + 1, "a part that lacks one axis");
        return if rank == result_rank { member(0, axis != 0) } else { None };
    }
    let own_axis = if is_lhs != transpose[usize::from(!is_lhs)] { rank - 2 } else { rank - 1 };
    if axis == own_axis {
        return member(if is_lhs { result_rank - 2 } else { result_rank - 1 }, false);
    }
    if axis + 2 >= rank {
        return None;
    }
    // Along a batch axis the other operand must be the same for all.
    let axis = axis + result_rank - rank;
    let is_repeated = (axis + other.rank()).checked_sub(result_rank).is_none_or(|own| other[own] == 1);
    if is_repeated { member(axis, false) } else { None }
}

/// The work that follows on each of `nodes`, if it is the same for all and each is needed for nothing else, and the nodes that do
/// it. The nodes are parts along `axis`.
fn follow(old: &Old<'_>, nodes: &[NodeId], axis: usize, is_dropped: bool) -> Option<(Following, Vec<NodeId>)> {
    let mut readers = Vec::with_capacity(nodes.len());
    let mut work: Option<Following> = None;
    for &id in nodes {
        let reader = old.only_reader[old.node(id).ordinal as usize].filter(|_| !old.is_output(id))?;
        let own = following(old, id, reader, axis, is_dropped)?;
        if work.get_or_insert_with(|| own.clone()).is_other_than(&own) {
            return None;
        }
        readers.push(reader);
    }
    work.map(|work| (work, readers))
}

/// What `reader` does to `part`.
fn following(old: &Old<'_>, part: NodeId, reader: NodeId, axis: usize, is_dropped: bool) -> Option<Following> {
    let node = old.node(reader);
    if !is_elementwise(&node.op) {
        return None;
    }
    let mut operands: SmallVec<[Operand; 3]> = SmallVec::new();
    let mut is_alike = true;
    node.op.for_each_operand(|operand| {
        let found = if operand == part { Some(Operand::Part) } else { repeated(old, operand, axis, is_dropped) };
        is_alike &= found.is_some();
        operands.extend(found);
    });
    is_alike.then(|| Following { kind: node.op.kind(), op: node.op.clone(), dtype: node.dtype, operands })
}

/// An operand that can be the same for all parts along `axis`.
fn repeated(old: &Old<'_>, id: NodeId, axis: usize, is_dropped: bool) -> Option<Operand> {
    let node = old.node(id);
    if let Op::Leaf(Leaf::Constant { value }) = node.op {
        return Some(Operand::Constant(value.to_bits()));
    }
    if let Op::View { operand, arrangement: Arrangement::Broadcast } = node.op {
        let source = &old.node(operand).shape;
        let own = (axis + source.rank()).checked_sub(node.shape.rank());
        let is_repeated = is_dropped || own.is_none_or(|own| source[own] == 1);
        return is_repeated.then_some(Operand::Repeated(operand));
    }
    is_dropped.then_some(Operand::Repeated(id))
}

fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Elementwise(_))
}

impl Following {
    fn is_other_than(&self, other: &Following) -> bool {
        (self.kind, self.dtype, &self.operands) != (other.kind, other.dtype, &other.operands)
    }
}

impl Group {
    /// The product of all parts.
    fn product(&self, rebuild: &mut Rebuild, replacement: &dyn Fn(NodeId) -> NodeId) -> Result<NodeId, GraphError> {
        let mut own = parts::range(rebuild, self.source, replacement(self.source.tensor), self.ends)?;
        if self.is_moved {
            let (shape, dtype) = (rebuild.shape(own), rebuild.dtype(own));
            let axes = to_front(self.source.axis, shape.rank());
            let moved: Shape = axes.iter().map(|&axis| shape[axis]).collect();
            own = rebuild.node(Op::View { operand: own, arrangement: Arrangement::Permute { axes } }, &moved, dtype)?;
        }
        let shared = replacement(self.shared);
        let (lhs, rhs) = if self.is_lhs { (own, shared) } else { (shared, own) };
        let [transpose_lhs, transpose_rhs] = self.transpose;
        rebuild.inferred(Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs })
    }

    /// The next step of the work on all parts, whose results so far are `before`.
    fn follow(
        &self,
        rebuild: &mut Rebuild,
        before: NodeId,
        replacement: &dyn Fn(NodeId) -> NodeId,
    ) -> Result<NodeId, GraphError> {
        let shape = rebuild.shape(before);
        let Following { op, dtype, operands, .. } = &self.following[self.built.len() - 1];
        let mut originals = Vec::with_capacity(operands.len());
        op.for_each_operand(|operand| originals.push(operand));
        let mut wholes: SmallVec<[NodeId; 3]> = SmallVec::new();
        for (operand, original) in operands.iter().zip(originals) {
            wholes.push(match *operand {
                Operand::Part => before,
                Operand::Constant(bits) => {
                    let dtype = rebuild.dtype(replacement(original));
                    rebuild.node(Op::Leaf(Leaf::Constant { value: f64::from_bits(bits) }), &shape, dtype)?
                }
                Operand::Repeated(source) => self.repeat(rebuild, replacement(source), &shape)?,
            });
        }
        let mut wholes = wholes.into_iter();
        let op = op.map_operands(|operand| wholes.next().unwrap_or(operand));
        rebuild.node(op, &shape, *dtype)
    }

    /// A node repeated for all parts.
    fn repeat(&self, rebuild: &mut Rebuild, source: NodeId, shape: &Shape) -> Result<NodeId, GraphError> {
        let dtype = rebuild.dtype(source);
        let mut source = source;
        if self.source.is_dropped && self.axis > 0 {
            // The axis that the parts lack stands among the source's own.
            let own = rebuild.shape(source);
            let missing = (shape.rank() - 1).saturating_sub(own.rank());
            let mut extents: SmallVec<[usize; 4]> =
                std::iter::repeat_n(1, missing).chain(own.iter().copied()).collect();
            extents.insert(self.axis, 1);
            let stacked: Shape = extents.into_iter().collect();
            source = rebuild.node(Op::View { operand: source, arrangement: Arrangement::Reshape }, &stacked, dtype)?;
        }
        rebuild.node(Op::View { operand: source, arrangement: Arrangement::Broadcast }, shape, dtype)
    }
}
