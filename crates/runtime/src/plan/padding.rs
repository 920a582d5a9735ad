//! Padded operands that matrix products make for themselves, so that they are stored nowhere.
//!
//! A convolution is a product with windows of a padded tensor: of its images forward, of the upstream gradient for the gradient by its input, and
//! of the images with channels first for the gradient by its weight. Where all that reads a padded tensor are products that can pad it block by
//! block as [`Padding`] says, the step that pads it falls away, and they read what it was padded from. This comes when steps are
//! made, and before they are put in order.

use std::collections::HashMap;
use std::ops::Range;

use arenagrad_graph::Shape;
use arenagrad_kernels::{Axes, Kernel, Matrices, Padding, Piece, View};

use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;
use crate::plan::step::{Step, Task, region};

/// Lets products pad their operands where they can. Entries that `required` marks are stored.
pub(crate) fn pad_in_products(entries: &[Entry], steps: &mut Vec<Step>, required: &[bool]) {
    let is_candidate =
        |entry: u32| matches!(entries[entry as usize].work, Work::Pad { .. }) && !required[entry as usize];
    // The operands of products that read each candidate, and how often it is read at all.
    let mut readers: HashMap<u32, Vec<(usize, usize)>> = HashMap::new();
    let mut reads: HashMap<u32, usize> = HashMap::new();
    for (number, step) in steps.iter().enumerate() {
        for (place, &read) in step.reads.iter().enumerate().filter(|(_, read)| is_candidate(**read)) {
            *reads.entry(read).or_default() += 1;
            if place < 2 && matches!(step.task, Task::Kernel(Kernel::MatMul { .. })) {
                readers.entry(read).or_default().push((number, place));
            }
        }
    }
    let mut is_made: Vec<bool> = vec![true; steps.len()];
    for number in 0..steps.len() {
        let [written] = steps[number].writes[..] else { continue };
        let Some(products) = readers.get(&written).filter(|products| reads.get(&written) == Some(&products.len()))
        else {
            continue;
        };
        let operands = products.iter().map(|&(reader, place)| operand_of(entries, written, &steps[reader], place));
        let Some(operands) = operands.collect::<Option<Vec<_>>>() else { continue };
        for (&(reader, place), (matrices, own)) in products.iter().zip(operands) {
            let Task::Kernel(Kernel::MatMul { lhs, rhs, padding, .. }) = &mut steps[reader].task else { continue };
            *(if place == 0 { lhs } else { rhs }) = matrices;
            padding[place] = Some(Box::new(own));
            steps[reader].reads[place] = entries[written as usize].operands[0].base;
        }
        is_made[number] = false;
    }
    let mut made = is_made.into_iter();
    steps.retain(|_| made.next() != Some(false));
}

/// Operand `place` of a product as one that the product makes of what the entry `padded` is padded from; none where it cannot.
fn operand_of(entries: &[Entry], padded: u32, product: &Step, place: usize) -> Option<(Matrices, Padding)> {
    let Task::Kernel(Kernel::MatMul { lhs, rhs, .. }) = &product.task else { return None };
    let entry = &entries[padded as usize];
    let source = &entries[entry.operands[0].base as usize];
    // What stays on the device may be written in the run.
    if matches!(source.work, Work::Parameter(_)) || source.storage != entry.storage {
        return None;
    }
    let suits = |(matrices, padding): &(Matrices, Padding)| match place {
        0 => padding.suits_lhs(matrices),
        _ => padding.suits_rhs(matrices),
    };
    let matrices = if place == 0 { lhs } else { rhs };
    // Blocks along an axis are smaller than all as one, which an axis of extent 1 stands for.
    let rank = entry.shape.rank();
    let (several, one): (Vec<usize>, Vec<usize>) = (0..rank).partition(|&axis| entry.shape[axis] > 1);
    // Along several axes as one they are smaller still: the planes of images.
    let leading = (2..=rank).rev().map(|end| 0..end);
    let single = several.into_iter().chain(one).map(|axis| axis..axis + 1);
    leading.chain(single).filter_map(|axes| in_blocks(entry, matrices, axes)).find(suits)
}

/// A padded operand in blocks along an axis, or along the first few as one, and how these are made; none where such an axis is padded as well, or they are not
/// evenly spaced.
fn in_blocks(entry: &Entry, matrices: &Matrices, along: Range<usize>) -> Option<(Matrices, Padding)> {
    let Work::Pad { lows, interiors, value } = &entry.work else { return None };
    let (shape, operand): (_, &Layout) = (&entry.shape, &entry.operands[0]);
    let rank = shape.rank();
    let is_padded = |axis| operand.shape[axis] != shape[axis] || lows[axis] != 0 || interiors[axis] != 0;
    if along.clone().any(is_padded) {
        return None;
    }
    let stride = Axes::new(along.clone().flat_map(|axis| operand.axes_of(axis).iter().copied())).stride()?;
    let stride = usize::try_from(stride).ok()?;
    let others = || (0..rank).filter(|other| !along.contains(other));
    let block: Shape = others().map(|other| shape[other]).collect();
    let part: Shape = others().map(|other| operand.shape[other]).collect();
    let lows: Vec<usize> = others().map(|other| lows[other]).collect();
    let steps: Vec<isize> = others().map(|other| interiors[other] as isize + 1).collect();
    let source = View::new(others().flat_map(|other| operand.axes_of(other).iter().copied()), operand.offset);
    let blocks = shape[along.clone()].iter().product();
    let matrices = match along.start {
        0 => matrices.clone(),
        _ => {
            let [before, behind] = [&shape[..along.start], &shape[along.end..]].map(|extents| extents.iter().product());
            matrices.blocks_first([before, blocks, behind])?
        }
    };
    let piece = Piece { source, destination: region(&block, &lows, &steps, &part) };
    let padding = Padding { blocks, elements: block.elements(), stride, piece, fill: *value };
    Some((matrices, padding))
}
