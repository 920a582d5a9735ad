//! The rule for slices: they are taken as near to the source as may be, so that nothing of the whole is computed where a few
//! elements are wanted. Views on the way cost nothing on either side.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::node::NodeId;
use crate::op::{Arrangement, Assembly, BinaryFunction, Extents, Leaf, Op};
use crate::passes::rebuild::{Rebuild, Rewrite};
use crate::region::Region;
use crate::shape::Shape;

/// The most views that a slice passes on its way: a graph may hold any number of them one on another.
const MOST_VIEWS: usize = 16;

pub(super) fn slice(
    mut operand: NodeId,
    starts: &Extents,
    steps: &Extents,
    shape: &Shape,
    dtype: DType,
    graph: &mut Rebuild,
) -> Result<Rewrite, GraphError> {
    let mut region = Region::of_slice(starts, steps, shape);
    // The views that were passed, the outermost first, each with the shape that it has over the slice.
    let mut passed: Vec<(Arrangement, Shape)> = Vec::new();
    let mut is_same = true;
    let source = loop {
        let own = graph.shape(operand);
        // A slice as large as its operand can only take all of it, in order.
        if own == region.shape() {
            break Rewrite::Existing(operand);
        }
        let found = graph.read(operand, |op, _, _| view(op));
        let before = match found {
            Some((inner, Arrangement::Slice { starts, steps })) => {
                (inner, region.within(&Region::of_slice(&starts, &steps, &own)), None)
            }
            Some((inner, arrangement)) if passed.len() < MOST_VIEWS => {
                match before(&arrangement, &region, &graph.shape(inner), &own) {
                    Some(before) => (inner, before, Some((arrangement, region.shape()))),
                    None => break Rewrite::Keep,
                }
            }
            Some(_) | None => match part(operand, &region, graph) {
                Part::Of(inner, before) => (inner, before, None),
                Part::Fill(value) => break Rewrite::constant(value),
                Part::Iota(axis) => break iota(axis, &region, graph)?,
                Part::Mixed => break Rewrite::Keep,
            },
        };
        is_same = false;
        let (inner, before, view) = before;
        passed.extend(view);
        (operand, region) = (inner, before);
    };
    if passed.is_empty() {
        return Ok(match source {
            Rewrite::Keep if is_same => Rewrite::Keep,
            Rewrite::Keep => Rewrite::Op(Op::View {
                operand,
                arrangement: Arrangement::Slice { starts: region.starts, steps: region.steps },
            }),
            Rewrite::Existing(_) | Rewrite::Op(_) => source,
        });
    }
    let mut result = match source {
        Rewrite::Existing(id) => id,
        Rewrite::Op(op) => graph.node(op, &region.shape(), dtype)?,
        // No rule applies to this slice any more.
        Rewrite::Keep => {
            let shape = region.shape();
            graph.unsimplified(
                Op::View { operand, arrangement: Arrangement::Slice { starts: region.starts, steps: region.steps } },
                &shape,
                dtype,
            )?
        }
    };
    while let Some((arrangement, shape)) = passed.pop() {
        result = graph.node(Op::View { operand: result, arrangement }, &shape, dtype)?;
    }
    Ok(Rewrite::Existing(result))
}

/// What a view is one of, and how, if an op is one.
fn view(op: &Op) -> Option<(NodeId, Arrangement)> {
    let Op::View { operand, arrangement } = op else { return None };
    Some((*operand, arrangement.clone()))
}

/// A region of what a view makes, of shape `to`, as one of its operand, of shape `from`. `None` if that is no region.
pub(in crate::passes) fn before(
    arrangement: &Arrangement,
    region: &Region,
    from: &Shape,
    to: &Shape,
) -> Option<Region> {
    match arrangement {
        Arrangement::Permute { axes } => Some(region.before_permute(axes)),
        Arrangement::Broadcast => Some(region.before_broadcast(from, to)),
        Arrangement::Reshape if from.contains(&0) => None,
        Arrangement::Reshape => region.before_reshape(from, to),
        Arrangement::Slice { starts, steps } => Some(region.within(&Region::of_slice(starts, steps, to))),
        Arrangement::Flip { axes } => Some(region.before_flip(*axes, to)),
        // Windows share elements, and what a region of them needs is rarely less than what they were made of.
        Arrangement::Windows(_) => None,
    }
}

/// What a region of a result that is put together is.
enum Part {
    /// A region of one operand.
    Of(NodeId, Region),
    /// That value, everywhere.
    Fill(f64),
    /// Coordinates along that axis.
    Iota(usize),
    /// Of several operands, or of something else.
    Mixed,
}

fn part(id: NodeId, region: &Region, graph: &mut Rebuild) -> Part {
    let found = graph.read(id, |op, shape, _| {
        if let Op::Leaf(Leaf::Constant { value }) = op {
            Ok(Part::Fill(*value))
        } else if let Op::Leaf(Leaf::Iota { axis }) = op {
            Ok(Part::Iota(*axis))
        } else if let Op::Assembly(Assembly::Pad { operand, lows, interiors, value }) = op {
            Ok(unpadded(*operand, lows, interiors, *value, region, graph, shape.rank()))
        } else if let Op::Assembly(Assembly::Concat { axis, .. }) = op {
            Err(*axis)
        } else {
            Ok(Part::Mixed)
        }
    });
    let axis = match found {
        Ok(part) => return part,
        Err(axis) => axis,
    };
    let (start, extent) = (region.starts[axis], region.extents[axis]);
    let last = start + extent.saturating_sub(1) * region.steps[axis];
    let Some((operand, first)) = graph.concatenated(id, axis, start, last) else { return Part::Mixed };
    let mut own = region.clone();
    own.starts[axis] -= first;
    Part::Of(operand, own)
}

/// What a region of a padded operand is: elements of the operand alone, or of the padding alone.
fn unpadded(
    operand: NodeId,
    lows: &Extents,
    interiors: &Extents,
    value: f64,
    region: &Region,
    graph: &Rebuild,
    rank: usize,
) -> Part {
    let shape = graph.shape(operand);
    let mut own = region.clone();
    let mut is_inside = true;
    for axis in 0..rank {
        let Region { starts, steps, extents } = region;
        let (start, last) = (starts[axis], starts[axis] + (extents[axis] - 1) * steps[axis]);
        let (low, spacing) = (lows[axis], interiors[axis].saturating_add(1));
        let end = low + (shape[axis] - 1) * spacing;
        if last < low || start > end || (extents[axis] == 1 && (start - low) % spacing != 0) {
            return Part::Fill(value);
        }
        let fits = start >= low && last <= end && (start - low) % spacing == 0;
        is_inside &= fits && (extents[axis] == 1 || steps[axis] % spacing == 0);
        if is_inside {
            own.starts[axis] = (start - low) / spacing;
            own.steps[axis] = if extents[axis] == 1 { 1 } else { steps[axis] / spacing };
        }
    }
    if is_inside { Part::Of(operand, own) } else { Part::Mixed }
}

/// The coordinates along an axis that a region takes.
fn iota(axis: usize, region: &Region, graph: &mut Rebuild) -> Result<Rewrite, GraphError> {
    let (start, step, extent) = (region.starts[axis], region.steps[axis], region.extents[axis]);
    if start + (extent - 1) * step > i32::MAX as usize {
        return Ok(Rewrite::Keep);
    }
    if extent == 1 {
        return Ok(Rewrite::constant(start as f64));
    }
    if (start, step) == (0, 1) {
        return Ok(Rewrite::Op(Op::Leaf(Leaf::Iota { axis })));
    }
    let shape = region.shape();
    let mut constant = |value: usize| graph.node(Op::Leaf(Leaf::Constant { value: value as f64 }), &shape, DType::I32);
    let (start, step) = (constant(start)?, constant(step)?);
    let coordinate = graph.node(Op::Leaf(Leaf::Iota { axis }), &shape, DType::I32)?;
    let scaled = Op::binary(BinaryFunction::Mul, coordinate, step);
    let scaled = graph.node(scaled, &shape, DType::I32)?;
    Ok(Rewrite::Op(Op::binary(BinaryFunction::Add, scaled, start)))
}
