//! From parts of clusters to kernels.

use arenagrad_graph::Shape;
use std::sync::Arc;

use arenagrad_kernels::cost::Cost;
use arenagrad_kernels::{Axes, Axis, Kernel, Matrices, MatrixExtents, Piece, Program, Space, View};

use crate::plan::attention;
use crate::plan::border::Border;
use crate::plan::cluster::{Clusters, NONE, is_in_order};
use crate::plan::divide::{Part, part_of};
use crate::plan::entries::{Entry, Work};
use crate::plan::layout::Layout;
use crate::plan::looped::{self, LoopPlan};
use crate::plan::nest::{self, Inside};
use crate::plan::program::{Scope, build, build_operand};
use crate::plan::recompute::Storage;

/// What a step does.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each step, and nearly all are kernels")]
pub(crate) enum Task {
    /// One kernel.
    Kernel(Kernel),
    /// A loop over a plan of its own.
    Loop(Arc<LoopPlan>),
}

impl Task {
    /// What it costs.
    pub(crate) fn cost(&self) -> Cost {
        match self {
            Task::Kernel(kernel) => kernel.cost(),
            Task::Loop(looped) => looped.cost(),
        }
    }
}

/// A kernel or a loop, with entries in the place of buffers.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) task: Task,
    /// The entries that the kernel's inputs read.
    pub(crate) reads: Vec<u32>,
    /// The entries that the kernel's outputs hold.
    pub(crate) writes: Vec<u32>,
    /// Why it does not belong to the kernel before it.
    pub(crate) border: Border,
}

/// The step of each part, in the order of their first results.
pub(crate) fn steps(
    entries: &[Entry],
    clusters: &Clusters,
    storage: &Storage,
    parts: &[Part],
    loops: &[Arc<LoopPlan>],
) -> Vec<Step> {
    let part_of = part_of(parts, entries.len());
    let mut steps: Vec<Step> = Vec::with_capacity(parts.len());
    for (number, part) in parts.iter().enumerate() {
        let written: Vec<u32> =
            part.members.iter().copied().filter(|&member| storage.is_stored[member as usize]).collect();
        debug_assert!(!written.is_empty(), "a part is kept because something of it is stored");
        let scope = PartScope { entries, clusters, storage, part_of: &part_of, part: number as u32, loops };
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
    loops: &'a [Arc<LoopPlan>],
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
        if let Work::Scan { number, .. } = entries[first as usize].work {
            let task = Task::Loop(Arc::clone(&self.loops[number as usize]));
            // Results that nobody reads any more have places too: the body's plan computes them.
            let writes = cluster.members.clone();
            return Step {
                task,
                reads: looped::reads(&entries[first as usize], &self.loops[number as usize]),
                writes,
                border,
            };
        }
        if let Work::Attention(_) = entries[first as usize].work {
            let (kernel, reads) = attention::kernel(entries, &writes);
            return Step { task: Task::Kernel(kernel), reads, writes, border };
        }
        if cluster.anchor == Some(first) {
            let (kernel, reads) = kernel(entries, &entries[first as usize]);
            let step = Step { task: Task::Kernel(kernel), reads, writes, border };
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
            return Step { task: Task::Kernel(Kernel::Elementwise(built.program)), reads: built.reads, writes, border };
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
        Step { task: Task::Kernel(Kernel::Nest(built.nest)), reads: built.reads, writes, border }
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
                .map(|axis| Axis { extent: operand.shape[axis], stride: strides[axis] as isize });
            View::new(axes, 0).axes().to_vec()
        };
        let (kept, reduced) = (axes_where(false), axes_where(true));
        let kernel = Kernel::Reduce { function, program: built.program, kept, reduced, epilogue: None };
        let step =
            Step { task: Task::Kernel(kernel), reads: built.reads, writes: writes.to_vec(), border: part.border };
        Some(if step.writes == [fold] { step } else { self.with_epilogue(step, fold) })
    }

    /// The step with the work on its result as its epilogue.
    fn with_epilogue(&self, mut step: Step, result: u32) -> Step {
        let inside = |entry: u32| entry != result && self.is_inside(entry);
        let scope = Scope { entries: self.entries, inside: &inside, accumulator: Some(result) };
        let built = build(&scope, self.entries[result as usize].shape.elements(), &step.writes);
        if let Task::Kernel(kernel) = &mut step.task {
            set_epilogue(kernel, built.program);
        }
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
        | Work::Reduce { .. }
        | Work::Scan { .. } => unreachable!("a cluster's anchor has a kernel of its own"),
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
        Work::Attention(_) => unreachable!("results of attention are one step"),
        Work::Ordered(along) => (along.kernel(entries, entry), bases()),
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
        Work::LinearAlgebra { function } => {
            let shape = &operands[0].shape;
            let rank = shape.rank();
            let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
            let rhs_columns = operands.get(1).map_or(0, |rhs| rhs.shape[rhs.shape.rank() - 1]);
            let batches = shape[..rank - 2].iter().product();
            let extents = MatrixExtents { batches, rows, columns, rhs_columns };
            (Kernel::LinearAlgebra { function: *function, dtype: entry.dtype, extents }, bases())
        }
        Work::ScatterReduce { function, axis } => {
            let kernel = Kernel::ScatterReduce {
                dtype: entry.dtype,
                function: *function,
                operand_shape: entry.shape.clone(),
                updates_shape: operands[2].shape.clone(),
                axis: *axis,
                indices: operands[1].view(),
                updates: operands[2].view(),
                in_place: false,
            };
            (kernel, bases())
        }
        Work::AllReduce => {
            // What one process computes on its own. One that is in a group exchanges in this step's place.
            let pieces = vec![Piece { source: operands[0].view(), destination: View::contiguous(elements) }];
            (Kernel::Assemble { dtype: entry.dtype, elements, fill: None, pieces }, bases())
        }
        Work::Pad { lows, interiors, value } => {
            let steps: Vec<isize> = interiors.iter().map(|&interior| interior as isize + 1).collect();
            let destination = region(&entry.shape, lows, &steps, &operands[0].shape);
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
                    let destination = self::region(&entry.shape, &region.start, &ones, &region.extents);
                    pieces.push(Piece { source: operand.view(), destination });
                    reads.push(operand.base);
                }
            }
            (Kernel::Assemble { dtype: entry.dtype, elements, fill, pieces }, reads)
        }
    }
}

/// Where the elements of a region of a contiguous tensor stand.
pub(crate) fn region(shape: &Shape, starts: &[usize], steps: &[isize], extents: &Shape) -> View {
    let strides = shape.strides();
    let axes = strides.iter().zip(steps).zip(extents.iter());
    let axes = axes.map(|((&stride, step), &extent)| Axis { extent, stride: stride as isize * step });
    View::new(axes, starts.iter().zip(&strides).map(|(start, stride)| start * stride).sum())
}

fn matmul(entry: &Entry) -> Kernel {
    let (lhs, rhs) = (&entry.operands[0], &entry.operands[1]);
    let rank = entry.shape.rank();
    // The axes of each batch axis of the result, in either operand.
    let of_batch = |operand: &Layout, axis: usize| -> Vec<Axis> {
        let extent = entry.shape[axis];
        match (axis + operand.shape.rank()).checked_sub(rank) {
            Some(own) if operand.shape[own] == extent => operand.axes_of(own).to_vec(),
            Some(_) | None => vec![Axis { extent, stride: 0 }],
        }
    };
    let is_repeated = |axes: &[Axis]| axes.iter().all(|axis| axis.stride == 0 || axis.extent == 1);
    let matrices = |operand: &Layout| {
        let own = operand.shape.rank();
        let [rows, columns] = [own - 2, own - 1].map(|axis| operand.axes_of(axis).to_vec());
        (rows, columns)
    };
    let ((mut rows, depth), (rhs_depth, columns)) = (matrices(lhs), matrices(rhs));
    // Matrices that meet the same right operand are one taller matrix.
    let mut batches = rank - 2;
    let reads_along_depth = Axes::new(depth.iter().copied()).as_slice().last().is_none_or(|inner| inner.stride == 1);
    while reads_along_depth && batches > 0 && is_repeated(&of_batch(rhs, batches - 1)) {
        batches -= 1;
        let mut taller = of_batch(lhs, batches);
        taller.append(&mut rows);
        rows = taller;
    }
    let batch = |operand: &Layout| Axes::new((0..batches).flat_map(|axis| of_batch(operand, axis)));
    Kernel::MatMul {
        dtype: entry.dtype,
        lhs: Matrices { offset: lhs.offset, batch: batch(lhs), rows: Axes::new(rows), columns: Axes::new(depth) },
        rhs: Matrices {
            offset: rhs.offset,
            batch: batch(rhs),
            rows: Axes::new(rhs_depth),
            columns: Axes::new(columns),
        },
        padding: [None, None],
        epilogue: None,
    }
}

fn set_epilogue(kernel: &mut Kernel, program: Program) {
    match kernel {
        Kernel::MatMul { epilogue, .. } | Kernel::Reduce { epilogue, .. } => *epilogue = Some(program),
        Kernel::Elementwise(_)
        | Kernel::Nest(_)
        | Kernel::ArgMax { .. }
        | Kernel::Attention(_)
        | Kernel::Gather { .. }
        | Kernel::ScatterAdd { .. }
        | Kernel::ScatterReduce { .. }
        | Kernel::Assemble { .. }
        | Kernel::LinearAlgebra { .. }
        | Kernel::Cumulative { .. }
        | Kernel::ArgSort { .. }
        | Kernel::SearchSorted { .. } => unreachable!("only reductions and matrix products have epilogues"),
    }
}
