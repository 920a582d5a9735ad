//! From parts of clusters to kernels.

use arenagrad_kernels::{Axis, BatchAxis, Kernel, Matrix, Piece, Program, Space, View};

use crate::plan::cluster::{Border, Clusters, NONE, is_in_order};
use crate::plan::divide::{Part, part_of};
use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;
use crate::plan::nest::{self, Inside};
use crate::plan::program::{Scope, build, build_operand};
use crate::plan::recompute::Storage;

/// A kernel, with entries in the place of buffers.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kernel: Kernel,
    /// The entries that the kernel's inputs read.
    pub(crate) reads: Vec<u32>,
    /// The entries that the kernel's outputs hold.
    pub(crate) writes: Vec<u32>,
    /// Why it does not belong to the kernel before it.
    pub(crate) border: Border,
}

/// The step of each part, in the order of their first results.
pub(crate) fn steps(entries: &[Entry], clusters: &Clusters, storage: &Storage, parts: &[Part]) -> Vec<Step> {
    let part_of = part_of(parts, entries.len());
    let mut steps: Vec<Step> = Vec::with_capacity(parts.len());
    for (number, part) in parts.iter().enumerate() {
        let written: Vec<u32> =
            part.members.iter().copied().filter(|&member| storage.is_stored[member as usize]).collect();
        debug_assert!(!written.is_empty(), "a part is kept because something of it is stored");
        let scope = PartScope { entries, clusters, storage, part_of: &part_of, part: number as u32 };
        steps.push(scope.step(part, written));
    }
    steps.sort_by_key(|step| step.writes[0]);
    steps
}

/// For each entry the step that computes it, and for each step those that read what it computes.
pub(crate) fn dependencies(steps: &[Step], entry_count: usize) -> (Vec<u32>, Vec<Vec<u32>>) {
    let mut writer: Vec<u32> = vec![NONE; entry_count];
    for (number, step) in steps.iter().enumerate() {
        for write in &step.writes {
            writer[*write as usize] = number as u32;
        }
    }
    let mut followers: Vec<Vec<u32>> = vec![Vec::new(); steps.len()];
    for (number, step) in steps.iter().enumerate() {
        for read in &step.reads {
            let producer = writer[*read as usize];
            if producer != NONE {
                followers[producer as usize].push(number as u32);
            }
        }
    }
    (writer, followers)
}

/// A part in the making.
struct PartScope<'a> {
    entries: &'a [Entry],
    clusters: &'a Clusters,
    storage: &'a Storage,
    part_of: &'a [u32],
    part: u32,
}

impl PartScope<'_> {
    /// Whether the part computes an entry for itself.
    fn is_inside(&self, entry: u32) -> bool {
        self.part_of[entry as usize] == self.part || self.storage.is_pulled(entry)
    }

    fn step(&self, part: &Part, writes: Vec<u32>) -> Step {
        let entries = self.entries;
        let cluster = &self.clusters.list[part.cluster as usize];
        let (first, border) = (part.members[0], part.border);
        if cluster.anchor == Some(first) {
            let (kernel, reads) = kernel(entries, &entries[first as usize]);
            let step = Step { kernel, reads, writes, border };
            return if step.writes == [first] { step } else { self.with_epilogue(step, first) };
        }
        let space = self.clusters.spaces[first as usize];
        let is_fold = |&&member: &&u32| matches!(entries[member as usize].work, Work::Reduce { .. });
        let folds: Vec<u32> = part.members.iter().filter(is_fold).copied().collect();
        let is_of = |space: Space| move |member: &u32| self.clusters.spaces[*member as usize] == space;
        if folds.is_empty() && part.members.iter().all(is_of(space)) {
            let inside = |entry: u32| self.is_inside(entry);
            let scope = Scope { entries, inside: &inside, accumulator: None };
            let built = build(&scope, entries[writes[0] as usize].shape.elements(), &writes);
            return Step { kernel: Kernel::Elementwise(built.program), reads: built.reads, writes, border };
        }
        if let [fold] = folds[..]
            && let Some(step) = self.reduction(part, fold, &writes)
        {
            return step;
        }
        let inside = |entry: u32| {
            if self.part_of[entry as usize] == self.part {
                Inside::Member(self.clusters.spaces[entry as usize])
            } else if self.storage.is_pulled(entry) {
                Inside::Pulled
            } else {
                Inside::No
            }
        };
        let built = nest::build(entries, self.clusters, &inside, &cluster.domain, &writes);
        Step { kernel: Kernel::Nest(built.nest), reads: built.reads, writes, border }
    }

    /// The step of a part with one reduction of which nothing but its result and what is made of that is stored; none for others.
    fn reduction(&self, part: &Part, fold: u32, writes: &[u32]) -> Option<Step> {
        let entries = self.entries;
        let spaces = &self.clusters.spaces;
        let space = spaces[fold as usize];
        let is_after = |member: u32| member >= fold && spaces[member as usize] == space;
        let operand = &entries[fold as usize].operands[0];
        let is_before = |member: u32| member < fold && spaces[member as usize] == spaces[operand.base as usize];
        let is_simple = writes.iter().all(|&write| is_after(write))
            && part.members.iter().all(|&member| is_after(member) || is_before(member));
        if !is_simple {
            return None;
        }
        let inside = |entry: u32| is_in_order(entries, operand) && self.is_inside(entry);
        let Work::Reduce { function, axes } = entries[fold as usize].work else { return None };
        let built = build_operand(&Scope { entries, inside: &inside, accumulator: None }, &entries[fold as usize]);
        let strides = operand.shape.strides();
        let axes_where = |reduced: bool| {
            let axes = (0..operand.shape.rank())
                .filter(|&axis| axes.contains(axis) == reduced)
                .map(|axis| Axis { extent: operand.shape[axis], stride: strides[axis] });
            View::new(axes, 0).axes().to_vec()
        };
        let (kept, reduced) = (axes_where(false), axes_where(true));
        let kernel = Kernel::Reduce { function, program: built.program, kept, reduced, epilogue: None };
        let step = Step { kernel, reads: built.reads, writes: writes.to_vec(), border: part.border };
        Some(if step.writes == [fold] { step } else { self.with_epilogue(step, fold) })
    }

    /// The step with the work on its result as its epilogue.
    fn with_epilogue(&self, mut step: Step, result: u32) -> Step {
        let inside = |entry: u32| entry != result && self.is_inside(entry);
        let scope = Scope { entries: self.entries, inside: &inside, accumulator: Some(result) };
        let built = build(&scope, self.entries[result as usize].shape.elements(), &step.writes);
        set_epilogue(&mut step.kernel, built.program);
        step.reads.extend(built.reads);
        step
    }
}

/// The kernel of an entry that has one of its own, and what it reads.
fn kernel(entries: &[Entry], entry: &Entry) -> (Kernel, Vec<u32>) {
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
        | Work::Elementwise(_)
        | Work::Reduce { .. } => unreachable!("a cluster's anchor has a kernel of its own"),
        Work::ArgMax { axis } => {
            let shape = &operands[0].shape;
            let kernel = Kernel::ArgMax {
                dtype: entries[operands[0].base as usize].dtype,
                outer: shape[..*axis].iter().product(),
                extent: shape[*axis],
                inner: shape[axis + 1..].iter().product(),
            };
            (kernel, bases())
        }
        Work::MatMul => (matmul(entry), bases()),
        Work::Gather { axis } => {
            let kernel = Kernel::Gather {
                dtype: entry.dtype,
                operand_shape: operands[0].shape.clone(),
                indices_shape: entry.shape.clone(),
                axis: *axis,
                indices: operands[1].view(),
            };
            (kernel, bases())
        }
        Work::ScatterAdd { axis, factor } => {
            let kernel = Kernel::ScatterAdd {
                dtype: entry.dtype,
                operand_shape: entry.shape.clone(),
                updates_shape: operands[2].shape.clone(),
                axis: *axis,
                indices: operands[1].view(),
                updates: operands[2].view(),
                in_place: false,
                factor: *factor,
            };
            (kernel, bases())
        }
        Work::Pad { lows, interiors, value } => {
            let steps: Vec<usize> = interiors.iter().map(|interior| interior + 1).collect();
            let destination = Layout::contiguous(0, &entry.shape).sliced(lows, &steps, &operands[0].shape).view();
            let pieces = vec![Piece { source: operands[0].view(), destination }];
            (Kernel::Assemble { dtype: entry.dtype, elements, fill: Some(*value), pieces }, bases())
        }
        Work::Concat { regions } => {
            let (mut pieces, mut reads, mut fill) = (Vec::new(), Vec::new(), None);
            for (operand, region) in operands.iter().zip(regions) {
                if let Work::Constant(value) = entries[operand.base as usize].work {
                    fill = Some(value);
                } else if operand.shape.elements() > 0 {
                    let ones = vec![1; entry.shape.rank()];
                    let whole = Layout::contiguous(0, &entry.shape);
                    let destination = whole.sliced(&region.start, &ones, &region.extents).view();
                    pieces.push(Piece { source: operand.view(), destination });
                    reads.push(operand.base);
                }
            }
            (Kernel::Assemble { dtype: entry.dtype, elements, fill, pieces }, reads)
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

fn set_epilogue(kernel: &mut Kernel, program: Program) {
    match kernel {
        Kernel::MatMul { epilogue, .. } | Kernel::Reduce { epilogue, .. } => *epilogue = Some(program),
        Kernel::Elementwise(_)
        | Kernel::Nest(_)
        | Kernel::ArgMax { .. }
        | Kernel::Gather { .. }
        | Kernel::ScatterAdd { .. }
        | Kernel::Assemble { .. } => unreachable!("only reductions and matrix products have epilogues"),
    }
}
