//! Padded operands that matrix products make for themselves, so that they are stored nowhere.
//!
//! A convolution is a product with windows of a padded tensor: of its images forward, of the upstream gradient for the gradient by its input, and
//! of the images with channels first for the gradient by its weight. Where all that reads a padded tensor are products that can pad it block by
//! block as [`Padding`] says, the step that pads it falls away, and they read what it was padded from. This comes when steps are
//! made, and before they are put in order.

use std::collections::HashMap;

use arenagrad_graph::Shape;
use arenagrad_kernels::{Kernel, Matrices, Padding, Piece, View};

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
    let (several, one): (Vec<usize>, Vec<usize>) = (0..entry.shape.rank()).partition(|&axis| entry.shape[axis] > 1);
    several.into_iter().chain(one).filter_map(|axis| in_blocks(entry, matrices, axis)).find(suits)
}

/// A padded operand in blocks along an axis, and how these are made; none where that axis is padded as well.
fn in_blocks(entry: &Entry, matrices: &Matrices, axis: usize) -> Option<(Matrices, Padding)> {
    let Work::Pad { lows, interiors, value } = &entry.work else { return None };
    let (shape, operand): (_, &Layout) = (&entry.shape, &entry.operands[0]);
    let rank = shape.rank();
    if operand.shape[axis] != shape[axis] || lows[axis] != 0 || interiors[axis] != 0 {
        return None;
    }
    let stride = match operand.axes_of(axis) {
        [] => 0,
        [along] => usize::try_from(along.stride).ok()?,
        _ => return None,
    };
    let others = || (0..rank).filter(|&other| other != axis);
    let block: Shape = others().map(|other| shape[other]).collect();
    let part: Shape = others().map(|other| operand.shape[other]).collect();
    let lows: Vec<usize> = others().map(|other| lows[other]).collect();
    let steps: Vec<isize> = others().map(|other| interiors[other] as isize + 1).collect();
    let source = View::new(others().flat_map(|other| operand.axes_of(other).iter().copied()), operand.offset);
    let matrices = match axis {
        0 => matrices.clone(),
        _ => {
            let [before, behind] = [&shape[..axis], &shape[axis + 1..]].map(|extents| extents.iter().product());
            matrices.blocks_first([before, shape[axis], behind])?
        }
    };
    let piece = Piece { source, destination: region(&block, &lows, &steps, &part) };
    let padding = Padding { blocks: shape[axis], elements: block.elements(), stride, piece, fill: *value };
    Some((matrices, padding))
}
