//! One tensor from the gradients of its regions.
//!
//! Regions that are the same are added. Regions with steps become boxes, without steps, of a tensor in which each such axis is
//! folded into rows as long as the step. Boxes that some axis separates are concatenated along it. Boxes that no axis separates
//! overlap: they are halved in the order in which they start, each half is put together within its own bounds, and the halves
//! are added. Along one axis the bounds of the parts exceed the tensor by no more than the boxes together are long, so that
//! every halving costs about as much as the tensor and the boxes, however many boxes there are.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::arena::Graph;
use crate::dtype::DType;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Arrangement, Assembly, Extents, Op};
use crate::region::Region;
use crate::shape::{MAX_RANK, Shape};

/// After so many divisions one within the other boxes are only halved: that bounds the depth, whatever their pattern.
const MOST_SEPARATIONS: usize = 32;

/// The gradient of a region, of the region's extents.
pub(crate) struct Piece<'g> {
    pub(crate) region: Region,
    pub(crate) gradient: Expr<'g>,
}

/// A tensor of shape `whole`: the sum of the pieces, each in its place, and zero where there is none.
pub(crate) fn assemble<'g>(
    graph: &'g Graph,
    whole: &Shape,
    dtype: DType,
    pieces: Vec<Piece<'g>>,
    origin: Origin,
) -> Expr<'g> {
    let assembly = Mosaic { graph, dtype, origin };
    let mut pieces = joined(pieces);
    if let [only] = &mut pieces[..] {
        let Region { starts, steps, .. } = &only.region;
        let interiors = steps.iter().map(|step| step - 1).collect();
        return only.gradient.pad_node(starts.clone(), interiors, 0.0, whole, origin);
    }
    let (boxes, stepped) =
        pieces.into_iter().partition::<Vec<_>, _>(|piece| piece.region.steps.iter().all(|&s| s == 1));
    let mut boxes: Vec<Block<'g>> = boxes.into_iter().map(Block::of).collect();
    for class in by_steps(stepped) {
        boxes.extend(assembly.unfolded(whole, class));
    }
    let bounds = Bounds { starts: thin_vec::thin_vec![0; whole.rank()], ends: whole.iter().copied().collect() };
    assembly.combined(boxes, &bounds, 0)
}

/// Pieces of the same region added up, in the order of their coming.
fn joined(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let mut places: HashMap<Region, usize> = HashMap::with_capacity(pieces.len());
    let mut joined: Vec<Piece<'_>> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match places.get(&piece.region) {
            Some(&place) => joined[place].gradient = joined[place].gradient + piece.gradient,
            None => {
                places.insert(piece.region.clone(), joined.len());
                joined.push(piece);
            }
        }
    }
    joined
}

/// Pieces with the same steps together.
fn by_steps(pieces: Vec<Piece<'_>>) -> Vec<Vec<Piece<'_>>> {
    let mut places: HashMap<Extents, usize> = HashMap::new();
    let mut classes: Vec<Vec<Piece<'_>>> = Vec::new();
    for piece in pieces {
        let place = *places.entry(piece.region.steps.clone()).or_insert_with(|| {
            classes.push(Vec::new());
            classes.len() - 1
        });
        classes[place].push(piece);
    }
    classes
}

/// Coordinates from `starts` to below `ends`.
#[derive(Clone, Debug)]
struct Bounds {
    starts: Extents,
    ends: Extents,
}

impl Bounds {
    fn extents(&self) -> Shape {
        self.starts.iter().zip(&self.ends).map(|(start, end)| end - start).collect()
    }

    /// The least bounds around those of all blocks.
    fn around(blocks: &[Block<'_>]) -> Bounds {
        let mut all = blocks[0].bounds.clone();
        for Block { bounds, .. } in &blocks[1..] {
            all.starts.iter_mut().zip(&bounds.starts).for_each(|(all, own)| *all = (*all).min(*own));
            all.ends.iter_mut().zip(&bounds.ends).for_each(|(all, own)| *all = (*all).max(*own));
        }
        all
    }

    fn elements(&self) -> usize {
        self.extents().elements()
    }
}

/// A gradient that fills its bounds.
struct Block<'g> {
    bounds: Bounds,
    gradient: Expr<'g>,
}

impl<'g> Block<'g> {
    fn of(piece: Piece<'g>) -> Block<'g> {
        let Region { starts, extents, .. } = piece.region;
        let ends = starts.iter().zip(&extents).map(|(start, extent)| start + extent).collect();
        Block { bounds: Bounds { starts, ends }, gradient: piece.gradient }
    }
}

/// What blocks are put together in.
struct Mosaic<'g> {
    graph: &'g Graph,
    dtype: DType,
    origin: Origin,
}

impl<'g> Mosaic<'g> {
    /// The sum of the blocks, each in its place within `target`, which holds them all.
    fn combined(&self, mut blocks: Vec<Block<'g>>, target: &Bounds, depth: usize) -> Expr<'g> {
        if let [only] = &blocks[..] {
            return self.padded(only, target);
        }
        let separated = (depth < MOST_SEPARATIONS).then(|| separating_axis(&blocks)).flatten();
        if let Some(axis) = separated {
            return self.concatenated(blocks, axis, target, depth);
        }
        let axis = halving_axis(&mut blocks);
        sort_along(&mut blocks, axis);
        let later = blocks.split_off(blocks.len() / 2);
        let [first, second] = [blocks, later].map(|half| {
            let bounds = Bounds::around(&half);
            let gradient = self.combined(half, &bounds, depth + 1);
            self.padded(&Block { bounds, gradient }, target)
        });
        first + second
    }

    /// The blocks one after the other along an axis that separates them.
    fn concatenated(&self, mut blocks: Vec<Block<'g>>, axis: usize, target: &Bounds, depth: usize) -> Expr<'g> {
        sort_along(&mut blocks, axis);
        let mut parts: Vec<Expr<'g>> = Vec::new();
        let mut reached = target.starts[axis];
        let mut rest = blocks.into_iter().peekable();
        while let Some(first) = rest.next() {
            let mut own = Bounds { ..target.clone() };
            (own.starts[axis], own.ends[axis]) = (first.bounds.starts[axis], first.bounds.ends[axis]);
            let mut group = vec![first];
            while let Some(next) = rest.next_if(|next| next.bounds.starts[axis] < own.ends[axis]) {
                own.ends[axis] = own.ends[axis].max(next.bounds.ends[axis]);
                group.push(next);
            }
            parts.extend(self.gap(target, axis, reached, own.starts[axis]));
            reached = own.ends[axis];
            parts.push(self.combined(group, &own, depth + 1));
        }
        parts.extend(self.gap(target, axis, reached, target.ends[axis]));
        let operands: Option<Box<[NodeId]>> = parts.iter().map(|part| part.raw()).collect();
        match operands {
            Some(operands) => {
                parts[0].insert(Op::Assembly(Assembly::Concat { operands, axis }), None, None, self.origin)
            }
            None => Expr::poisoned(self.graph),
        }
    }

    /// Zeros between two places along an axis, if there is room.
    fn gap(&self, target: &Bounds, axis: usize, start: usize, end: usize) -> Option<Expr<'g>> {
        (start < end).then(|| self.graph.zeros(target.extents().with_extent(axis, end - start), self.dtype))
    }

    /// A block with zeros around it.
    fn padded(&self, block: &Block<'g>, target: &Bounds) -> Expr<'g> {
        let lows: Extents = block.bounds.starts.iter().zip(&target.starts).map(|(own, all)| own - all).collect();
        let interiors = thin_vec::thin_vec![0; lows.len()];
        block.gradient.pad_node(lows, interiors, 0.0, &target.extents(), self.origin)
    }

    /// Pieces that all have the same steps, as one block of `whole`, or as one each where folding would need too many axes.
    fn unfolded(&self, whole: &Shape, class: Vec<Piece<'g>>) -> Vec<Block<'g>> {
        let steps = class[0].region.steps.clone();
        let folded_axes = steps.iter().filter(|&&step| step > 1).count();
        let is_alone = class.len() == 1;
        if is_alone || whole.rank() + folded_axes > MAX_RANK {
            return class.into_iter().map(|piece| self.spread(piece)).collect();
        }
        let blocks: Vec<Block<'g>> = class.into_iter().map(|piece| self.folded(piece)).collect();
        // Whole rows of what is folded, so that it can be unfolded.
        let mut bounds = Bounds::around(&blocks);
        let (mut flat, mut lengths) = (Bounds { starts: Extents::new(), ends: Extents::new() }, Extents::new());
        let mut place = 0;
        for (axis, &step) in steps.iter().enumerate() {
            let (first, end) = (bounds.starts[place], bounds.ends[place]);
            flat.starts.push(first * step);
            flat.ends.push((end * step).min(whole[axis]));
            lengths.push((end - first) * step);
            if step > 1 {
                (bounds.starts[place + 1], bounds.ends[place + 1]) = (0, step);
                place += 1;
            }
            place += 1;
        }
        let rows = self.combined(blocks, &bounds, 0).reshape_node(&lengths.iter().copied().collect(), self.origin);
        // The last row may reach beyond the end.
        let shape = flat.extents();
        let gradient = match rows.raw() {
            Some(operand) if lengths[..] != *shape.dims() => {
                let (starts, ones) = (thin_vec::thin_vec![0; lengths.len()], thin_vec::thin_vec![1; lengths.len()]);
                rows.insert(
                    Op::View { operand, arrangement: Arrangement::Slice { starts, steps: ones } },
                    Some(&shape),
                    None,
                    self.origin,
                )
            }
            Some(_) | None => rows,
        };
        vec![Block { bounds: flat, gradient }]
    }

    /// A piece with zeros between its elements.
    fn spread(&self, piece: Piece<'g>) -> Block<'g> {
        let Region { starts, steps, extents } = piece.region;
        let lengths: Extents = steps.iter().zip(&extents).map(|(step, extent)| (extent - 1) * step + 1).collect();
        let ends = starts.iter().zip(&lengths).map(|(start, length)| start + length).collect();
        let (lows, interiors) = (thin_vec::thin_vec![0; steps.len()], steps.iter().map(|step| step - 1).collect());
        let shape = lengths.iter().copied().collect();
        let gradient = piece.gradient.pad_node(lows, interiors, 0.0, &shape, self.origin);
        Block { bounds: Bounds { starts, ends }, gradient }
    }

    /// A piece as a block of the tensor in which each axis with a step is one of rows as long as the step and one within them.
    fn folded(&self, piece: Piece<'g>) -> Block<'g> {
        let Region { starts, steps, extents } = piece.region;
        let mut bounds = Bounds { starts: Extents::new(), ends: Extents::new() };
        for ((&start, &step), &extent) in starts.iter().zip(&steps).zip(&extents) {
            bounds.starts.push(start / step);
            bounds.ends.push(start / step + extent);
            if step > 1 {
                bounds.starts.push(start % step);
                bounds.ends.push(start % step + 1);
            }
        }
        let gradient = piece.gradient.reshape_node(&bounds.extents(), self.origin);
        Block { bounds, gradient }
    }
}

/// The axis along which most groups of blocks stand apart, if there is one along which two do.
fn separating_axis(blocks: &[Block<'_>]) -> Option<usize> {
    let mut best = (1, None);
    for axis in 0..blocks[0].bounds.starts.len() {
        let mut spans: Vec<(usize, usize)> =
            blocks.iter().map(|block| (block.bounds.starts[axis], block.bounds.ends[axis])).collect();
        spans.sort_unstable();
        let (mut groups, mut reached) = (0, 0);
        for (start, end) in spans {
            groups += usize::from(groups == 0 || start >= reached);
            reached = reached.max(end);
        }
        if groups > best.0 {
            best = (groups, Some(axis));
        }
    }
    best.1
}

/// The axis along which the bounds of both halves are least.
fn halving_axis(blocks: &mut [Block<'_>]) -> usize {
    let axes = 0..blocks[0].bounds.starts.len();
    let cost = |axis: usize, blocks: &mut [Block<'_>]| {
        sort_along(blocks, axis);
        let (first, second) = blocks.split_at(blocks.len() / 2);
        Bounds::around(first).elements().saturating_add(Bounds::around(second).elements())
    };
    let costs: SmallVec<[(usize, usize); 4]> = axes.map(|axis| (cost(axis, blocks), axis)).collect();
    costs.into_iter().min().map_or(0, |(_, axis)| axis)
}

/// Sorts blocks by where they start along an axis, and where they end.
fn sort_along(blocks: &mut [Block<'_>], axis: usize) {
    blocks.sort_by_key(|block| (block.bounds.starts[axis], block.bounds.ends[axis]));
}
