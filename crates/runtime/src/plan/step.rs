//! From entries to kernels: one step for each, with elementwise work drawn into the reduction after it and into the epilogue
//! of the reduction or matrix product before it.

use arenagrad_kernels::{Axis, BatchAxis, Kernel, Matrix, Piece, Program, View};
use smallvec::SmallVec;

use crate::plan::entries::{Entry, Work};
use crate::plan::fuse::{Fusion, Limits, NONE};
use crate::plan::layout::Layout;
use crate::plan::program::{Scope, build, build_operand};

/// A kernel, with entries in the place of buffers.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kernel: Kernel,
    /// The entries that the kernel's inputs read.
    pub(crate) reads: Vec<u32>,
    /// The entries that the kernel's outputs hold.
    pub(crate) writes: Vec<u32>,
}

/// The most instructions of a reduction's program, which may repeat work of a chunk.
const MAX_REDUCTION_INSTRUCTIONS: usize = 64;

/// The steps that compute everything that `required` marks, in order of entries; with epilogues if they are wanted.
pub(crate) fn steps(
    entries: &[Entry],
    fusion: &Fusion,
    required: &[bool],
    limits: &Limits,
    epilogues: bool,
) -> Vec<Step> {
    let materialised = materialised(entries, fusion, required, limits);
    let mut steps: Vec<Option<Step>> = Vec::new();
    // The step of each chunk, for the epilogues below.
    let mut chunk_steps: Vec<u32> = vec![NONE; fusion.chunks.len()];
    for (number, chunk) in fusion.chunks.iter().enumerate() {
        let outputs: Vec<u32> = chunk.iter().copied().filter(|&member| materialised[member as usize]).collect();
        if outputs.is_empty() {
            continue;
        }
        let inside = |entry: u32| fusion.chunk_of[entry as usize] == number as u32;
        let scope = Scope { entries, inside: &inside, accumulator: None };
        let built = build(&scope, entries[outputs[0] as usize].shape.elements(), &outputs);
        chunk_steps[number] = steps.len() as u32;
        let kernel = Kernel::Elementwise(built.program);
        steps.push(Some(Step { kernel, reads: built.reads, writes: outputs }));
    }
    let mut kernels: Vec<u32> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some((kernel, reads)) = kernel(entries, fusion, &materialised, entry) {
            kernels.push(steps.len() as u32);
            steps.push(Some(Step { kernel, reads, writes: vec![index as u32] }));
        }
    }
    if epilogues {
        draw_in_epilogues(entries, fusion, required, limits, &mut steps, &kernels, &chunk_steps);
    }
    let mut steps: Vec<Step> = steps.into_iter().flatten().collect();
    steps.sort_by_key(|step| step.writes[0]);
    steps
}

/// Which elementwise entries need a buffer: those that a step outside their chunk reads, except where every reader is a
/// reduction that can compute the value for itself.
fn materialised(entries: &[Entry], fusion: &Fusion, required: &[bool], limits: &Limits) -> Vec<bool> {
    let mut readers: Vec<(u32, u32)> = vec![(0, 0); entries.len()];
    let mut materialised = required.to_vec();
    for (index, entry) in entries.iter().enumerate() {
        for operand in &entry.operands {
            let base = operand.base as usize;
            let chunk = fusion.chunk_of[base];
            if chunk == NONE || chunk == fusion.chunk_of[index] {
                continue;
            }
            readers[base].0 += 1;
            readers[base].1 += u32::from(takes_in(entries, entry, operand));
        }
    }
    // A member that its own chunk uses as well is only worth computing twice if it need not be stored for that: it is not,
    // because the chunk has it as a value.
    for (base, (all, reductions)) in readers.iter().enumerate() {
        materialised[base] |= *all > *reductions;
    }
    for entry in entries {
        if let Work::Reduce { .. } = entry.work {
            let base = entry.operands[0].base;
            if takes_in(entries, entry, &entry.operands[0]) && !materialised[base as usize] {
                let inside = |other: u32| is_inside(fusion, &materialised, base, other);
                let scope = Scope { entries, inside: &inside, accumulator: None };
                let built = build_operand(&scope, entry);
                let fits = built.reads.len() < limits.bindings
                    && built.program.instructions.len() <= MAX_REDUCTION_INSTRUCTIONS;
                materialised[base as usize] |= !fits;
            }
        }
    }
    materialised
}

/// Whether a reduction could compute its operand's elements itself.
fn takes_in(entries: &[Entry], reduction: &Entry, operand: &Layout) -> bool {
    matches!(reduction.work, Work::Reduce { .. })
        && operand.is_contiguous()
        && entries[operand.base as usize].shape.elements() == operand.shape.elements()
}

/// Whether a reduction over `base` computes `other` itself: of one chunk with it, and without a buffer to read.
fn is_inside(fusion: &Fusion, materialised: &[bool], base: u32, other: u32) -> bool {
    let chunk = fusion.chunk_of[base as usize];
    chunk != NONE && fusion.chunk_of[other as usize] == chunk && !materialised[other as usize]
}

/// The kernel of an entry that is not elementwise, and what it reads.
fn kernel(entries: &[Entry], fusion: &Fusion, materialised: &[bool], entry: &Entry) -> Option<(Kernel, Vec<u32>)> {
    let operands = &entry.operands;
    let bases = || operands.iter().map(|operand| operand.base).collect::<Vec<_>>();
    let elements = entry.shape.elements();
    match &entry.work {
        Work::Input(_)
        | Work::Parameter(_)
        | Work::Literal(_)
        | Work::Constant(_)
        | Work::Empty
        | Work::Iota { .. }
        | Work::Elementwise(_) => None,
        Work::Reduce { function, axes } => {
            let operand = &operands[0];
            let inside =
                |other: u32| takes_in(entries, entry, operand) && is_inside(fusion, materialised, operand.base, other);
            let built = build_operand(&Scope { entries, inside: &inside, accumulator: None }, entry);
            let strides = operand.shape.strides();
            let axes_where = |reduced: bool| {
                let axes = (0..operand.shape.rank())
                    .filter(|&axis| axes.contains(axis) == reduced)
                    .map(|axis| Axis { extent: operand.shape[axis], stride: strides[axis] });
                View::new(axes, 0).axes().to_vec()
            };
            let (kept, reduced) = (axes_where(false), axes_where(true));
            Some((
                Kernel::Reduce { function: *function, program: built.program, kept, reduced, epilogue: None },
                built.reads,
            ))
        }
        Work::ArgMax { axis } => {
            let shape = &operands[0].shape;
            let kernel = Kernel::ArgMax {
                dtype: entries[operands[0].base as usize].dtype,
                outer: shape[..*axis].iter().product(),
                extent: shape[*axis],
                inner: shape[axis + 1..].iter().product(),
            };
            Some((kernel, bases()))
        }
        Work::MatMul => Some((matmul(entry), bases())),
        Work::Gather { axis } => {
            let kernel = Kernel::Gather {
                dtype: entry.dtype,
                operand_shape: operands[0].shape.clone(),
                indices_shape: entry.shape.clone(),
                axis: *axis,
                indices: operands[1].view(),
            };
            Some((kernel, bases()))
        }
        Work::ScatterAdd { axis } => {
            let kernel = Kernel::ScatterAdd {
                dtype: entry.dtype,
                operand_shape: entry.shape.clone(),
                updates_shape: operands[2].shape.clone(),
                axis: *axis,
                indices: operands[1].view(),
                updates: operands[2].view(),
                in_place: false,
            };
            Some((kernel, bases()))
        }
        Work::Pad { lows, interiors, value } => {
            let steps: Vec<usize> = interiors.iter().map(|interior| interior + 1).collect();
            let destination = Layout::contiguous(0, &entry.shape).sliced(lows, &steps, &operands[0].shape).view();
            let pieces = vec![Piece { source: operands[0].view(), destination }];
            Some((Kernel::Assemble { dtype: entry.dtype, elements, fill: Some(*value), pieces }, bases()))
        }
        Work::Concat { axis } => {
            let (mut pieces, mut reads, mut start, mut fill) = (Vec::new(), Vec::new(), 0, None);
            for operand in operands {
                if let Work::Constant(value) = entries[operand.base as usize].work {
                    fill = Some(value);
                } else if operand.shape.elements() > 0 {
                    let mut starts = vec![0; entry.shape.rank()];
                    starts[*axis] = start;
                    let ones = vec![1; entry.shape.rank()];
                    let destination = Layout::contiguous(0, &entry.shape).sliced(&starts, &ones, &operand.shape).view();
                    pieces.push(Piece { source: operand.view(), destination });
                    reads.push(operand.base);
                }
                start += operand.shape[*axis];
            }
            Some((Kernel::Assemble { dtype: entry.dtype, elements, fill, pieces }, reads))
        }
    }
}

fn matmul(entry: &Entry) -> Kernel {
    let (lhs, rhs) = (&entry.operands[0], &entry.operands[1]);
    let rank = entry.shape.rank();
    let (mut m, n, k) = (entry.shape[rank - 2], entry.shape[rank - 1], lhs.shape[lhs.shape.rank() - 1]);
    let mut batch: Vec<BatchAxis> = Vec::new();
    for axis in 0..rank - 2 {
        let extent = entry.shape[axis];
        let stride = |operand: &Layout| match (axis + operand.shape.rank()).checked_sub(rank) {
            Some(own) if operand.shape[own] == extent => operand.strides[own],
            Some(_) | None => 0,
        };
        let next = BatchAxis { extent, lhs_stride: stride(lhs), rhs_stride: stride(rhs) };
        if extent == 1 {
            continue;
        }
        match batch.last_mut() {
            Some(outer)
                if outer.lhs_stride == next.lhs_stride * extent && outer.rhs_stride == next.rhs_stride * extent =>
            {
                *outer = BatchAxis { extent: outer.extent * extent, ..next };
            }
            Some(_) | None => batch.push(next),
        }
    }
    let (mut lhs_matrix, rhs_matrix) = (matrix(lhs), matrix(rhs));
    // Matrices that follow one another and meet the same right operand are one taller matrix.
    if let [BatchAxis { extent, lhs_stride, rhs_stride: 0 }] = batch[..] {
        if m == 1 && lhs_matrix.column_stride == 1 {
            lhs_matrix.row_stride = lhs_stride;
            (m, batch) = (extent, Vec::new());
        } else if lhs_matrix.column_stride == 1 && lhs_stride == m * lhs_matrix.row_stride {
            (m, batch) = (m * extent, Vec::new());
        }
    }
    Kernel::MatMul { dtype: entry.dtype, batch, m, k, n, lhs: lhs_matrix, rhs: rhs_matrix, epilogue: None }
}

/// The last two axes of a layout. A single row or column takes whichever strides make it look stored in order.
fn matrix(layout: &Layout) -> Matrix {
    let rank = layout.shape.rank();
    let (rows, columns) = (layout.shape[rank - 2], layout.shape[rank - 1]);
    let (mut row_stride, mut column_stride) = (layout.strides[rank - 2], layout.strides[rank - 1]);
    if columns == 1 {
        column_stride = 1;
    }
    if rows == 1 {
        row_stride = if column_stride == 1 { columns } else { 1 };
    }
    Matrix { offset: layout.offset, row_stride, column_stride }
}

/// Merges chunks into the reductions and matrix products whose results they read first. A result that others read as well
/// is written beside what the chunk computes.
fn draw_in_epilogues(
    entries: &[Entry],
    fusion: &Fusion,
    required: &[bool],
    limits: &Limits,
    steps: &mut [Option<Step>],
    kernels: &[u32],
    chunk_steps: &[u32],
) {
    // The steps that read each entry, once for each input that does.
    let mut readers: Vec<SmallVec<[u32; 2]>> = vec![SmallVec::new(); entries.len()];
    for (number, step) in steps.iter().enumerate() {
        for read in step.iter().flat_map(|step| &step.reads) {
            readers[*read as usize].push(number as u32);
        }
    }
    // Matrix products first: where a chunk could go to either, their results are the larger.
    let rank = |number: &u32| match steps[*number as usize].as_ref().map(|step| &step.kernel) {
        Some(Kernel::MatMul { .. }) => 0,
        Some(_) | None => 1,
    };
    let mut order = kernels.to_vec();
    order.sort_by_key(rank);
    for number in order {
        let Some(step) = &steps[number as usize] else { continue };
        if !matches!(step.kernel, Kernel::MatMul { .. } | Kernel::Reduce { .. }) {
            continue;
        }
        let result = step.writes[0];
        let kept = required[result as usize] || readers[result as usize].len() > 1;
        let candidate = readers[result as usize]
            .iter()
            .filter(|&&reader| may_follow(entries, fusion, steps, chunk_steps, result, reader, kept))
            .min_by_key(|&&reader| steps[reader as usize].as_ref().map(|step| step.writes[0]))
            .copied();
        let Some(reader) = candidate else { continue };
        let Some(chunk_step) = &steps[reader as usize] else { continue };
        let mut writes = chunk_step.writes.clone();
        if kept {
            writes.push(result);
        }
        let others = chunk_step.reads.iter().filter(|&&read| read != result);
        let reads: Vec<u32> = step.reads.iter().chain(others).copied().collect();
        if !limits.allow(&reads, writes.iter().copied()) {
            continue;
        }
        let chunk = fusion.chunk_of[chunk_step.writes[0] as usize];
        let inside = |entry: u32| fusion.chunk_of[entry as usize] == chunk;
        let scope = Scope { entries, inside: &inside, accumulator: Some(result) };
        let built = build(&scope, entries[result as usize].shape.elements(), &writes);
        steps[reader as usize] = None;
        if let Some(step) = &mut steps[number as usize] {
            set_epilogue(&mut step.kernel, built.program);
            step.reads.extend(built.reads);
            step.writes = writes;
        }
    }
}

/// Whether step `reader` is a chunk that can become the epilogue of the kernel that computes `result`: it reads each element
/// in order, and if others read the result too, nothing that it needs besides can depend on it.
fn may_follow(
    entries: &[Entry],
    fusion: &Fusion,
    steps: &[Option<Step>],
    chunk_steps: &[u32],
    result: u32,
    reader: u32,
    kept: bool,
) -> bool {
    let Some(Step { kernel: Kernel::Elementwise(program), reads, writes }) = &steps[reader as usize] else {
        return false;
    };
    let chunk = fusion.chunk_of[writes[0] as usize];
    let in_order = reads.iter().zip(&program.inputs).all(|(&read, input)| read != result || input.view.is_contiguous());
    let level = |entry: u32| fusion.levels[entry as usize];
    // Of two kernels of one level, each with a chunk that reads both, only the later one may draw its chunk in: the other
    // way round each would wait for the other.
    let independent = |&read: &u32| {
        let work = &entries[read as usize].work;
        let earlier = matches!(work, Work::Elementwise(_)) || read < result;
        read == result
            || !work.is_computed()
            || level(read) < level(result)
            || (level(read) == level(result) && earlier)
    };
    chunk != NONE
        && chunk_steps[chunk as usize] == reader
        && program.elements == entries[result as usize].shape.elements()
        && in_order
        && (!kept || reads.iter().all(independent))
}

fn set_epilogue(kernel: &mut Kernel, program: Program) {
    match kernel {
        Kernel::MatMul { epilogue, .. } | Kernel::Reduce { epilogue, .. } => *epilogue = Some(program),
        Kernel::Elementwise(_)
        | Kernel::ArgMax { .. }
        | Kernel::Gather { .. }
        | Kernel::ScatterAdd { .. }
        | Kernel::Assemble { .. } => unreachable!("only reductions and matrix products have epilogues"),
    }
}
