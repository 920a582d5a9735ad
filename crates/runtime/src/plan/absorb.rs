//! Entries that the kernel of their only reader can do the work of, so that they need no memory of their own.
//!
//! * A concatenation of concatenations is one of all their pieces.
//! * A concatenation reads elements in whatever order they stand: a copy that brings them in order for it alone is not made.
//! * `table + factor * scatter_add(zeros, indices, updates)`, as gradient descent makes it of a table of which some rows were used, adds the
//!   updates to the table itself: nothing of the table's size is computed. So does a difference, and one without a factor.
//!
//! What is absorbed stays in the table of entries as one that is empty.

use arenagrad_graph::{BinaryFunction, DType, Elementwise};
use arenagrad_kernels::Factor;
use smallvec::SmallVec;

use crate::plan::cluster::is_in_order;
use crate::plan::entries::{ElementOp, Entry, Region, Work};
use crate::plan::layout::Layout;

/// Absorbs what can be. Entries that `required` marks need their memory.
pub(crate) fn absorb(entries: &mut [Entry], required: &[bool]) {
    let mut readers = Readers::new(entries, required);
    for index in 0..entries.len() {
        let Work::Elementwise(Some(ElementOp::Function(Elementwise::Binary { function, .. }))) = &entries[index].work
        else {
            continue;
        };
        let is_sum = matches!(function, BinaryFunction::Add | BinaryFunction::Sub);
        if is_sum
            && readers.keep_in_memory[index]
            && let Some(update) = update_of_table(entries, index, &readers)
        {
            for absorbed in update.absorbed {
                empty(&mut entries[absorbed as usize]);
                readers.count[absorbed as usize] = 0;
            }
            entries[index].work = Work::ScatterAdd { axis: update.axis, factor: Some(update.factor) };
            entries[index].operands = update.operands;
        }
    }
    // The outermost first, which takes up the pieces of all within: each piece is moved once, however deep it stands.
    for index in (0..entries.len()).rev() {
        if matches!(entries[index].work, Work::Concat { .. }) {
            concatenation(entries, index, &readers);
            copies(entries, index, &readers);
        }
    }
}

/// How entries are read.
struct Readers<'a> {
    /// How often each is an operand.
    count: Vec<u32>,
    /// Whether nothing reads an entry that could compute it for itself.
    keep_in_memory: Vec<bool>,
    required: &'a [bool],
}

impl<'a> Readers<'a> {
    fn new(entries: &[Entry], required: &'a [bool]) -> Self {
        let mut readers =
            Readers { count: vec![0; entries.len()], keep_in_memory: vec![true; entries.len()], required };
        for entry in entries {
            for operand in &entry.operands {
                readers.count[operand.base as usize] += 1;
                let is_fused = matches!(entry.work, Work::Elementwise(_) | Work::Reduce { .. });
                readers.keep_in_memory[operand.base as usize] &= !is_fused;
            }
        }
        readers
    }

    /// Whether one operand of one entry is all that needs an entry.
    fn is_read_once(&self, entry: u32) -> bool {
        self.count[entry as usize] == 1 && !self.required[entry as usize]
    }
}

fn empty(entry: &mut Entry) {
    entry.work = Work::Empty;
    entry.operands.clear();
}

/// Takes up the pieces of concatenations that only this one reads, or that only one reads which it takes up.
fn concatenation(entries: &mut [Entry], index: usize, readers: &Readers<'_>) {
    let is_inner = |entries: &[Entry], operand: &Layout| {
        let base = &entries[operand.base as usize];
        matches!(base.work, Work::Concat { .. })
            && readers.is_read_once(operand.base)
            && operand.shape == base.shape
            && is_in_order(entries, operand)
    };
    let fill_of = |entries: &[Entry], operands: &[Layout]| {
        operands.iter().find_map(|operand| {
            let Work::Constant(value) = entries[operand.base as usize].work else { return None };
            Some(value.to_bits())
        })
    };
    if !entries[index].operands.iter().any(|operand| is_inner(entries, operand)) {
        return;
    }
    let mut fill = fill_of(entries, &entries[index].operands);
    let mut pieces: SmallVec<[Layout; 1]> = SmallVec::new();
    let mut places: Vec<Region> = Vec::new();
    // Pieces that are to be looked at, the next one last.
    let mut left = taken(entries, index);
    while let Some((operand, region)) = left.pop() {
        if is_inner(entries, &operand) {
            let own_fill = fill_of(entries, &entries[operand.base as usize].operands);
            // The result is filled with one constant.
            if own_fill.is_none() || fill.is_none() || own_fill == fill {
                fill = fill.or(own_fill);
                let inner = taken(entries, operand.base as usize);
                empty(&mut entries[operand.base as usize]);
                left.extend(inner.into_iter().map(|(piece, Region { start, extents })| {
                    let start = region.start.iter().zip(&start).map(|(outer, inner)| outer + inner).collect();
                    (piece, Region { start, extents })
                }));
                continue;
            }
        }
        pieces.push(operand);
        places.push(region);
    }
    entries[index].operands = pieces;
    entries[index].work = Work::Concat { regions: places };
}

/// The pieces of a concatenation, the last first, which it has no longer.
fn taken(entries: &mut [Entry], index: usize) -> Vec<(Layout, Region)> {
    let entry = &mut entries[index];
    let Work::Concat { regions } = &mut entry.work else { return Vec::new() };
    let regions = std::mem::take(regions).into_iter();
    std::mem::take(&mut entry.operands).into_iter().zip(regions).rev().collect()
}

/// Reads what copies for this concatenation alone would have brought in order.
fn copies(entries: &mut [Entry], index: usize, readers: &Readers<'_>) {
    for place in 0..entries[index].operands.len() {
        let operand = &entries[index].operands[place];
        let copy = &entries[operand.base as usize];
        let is_absorbed = copy.work == Work::Elementwise(None)
            && readers.is_read_once(operand.base)
            && is_in_order(entries, operand)
            && !entries[copy.operands[0].base as usize].work.is_inlined();
        if is_absorbed {
            let base = operand.base;
            entries[index].operands[place] = copy.operands[0].clone();
            empty(&mut entries[base as usize]);
        }
    }
}

/// Updates that are added to a table.
struct TableUpdate {
    axis: usize,
    factor: Factor,
    operands: SmallVec<[Layout; 1]>,
    /// What nobody needs any more.
    absorbed: SmallVec<[u32; 3]>,
}

/// What an addition or subtraction is, if it adds updates to a table.
fn update_of_table(entries: &[Entry], index: usize, readers: &Readers<'_>) -> Option<TableUpdate> {
    let entry = &entries[index];
    let Work::Elementwise(Some(ElementOp::Function(Elementwise::Binary { function, .. }))) = &entry.work else {
        return None;
    };
    let [lhs, rhs] = &entry.operands[..] else { return None };
    let is_subtracted = *function == BinaryFunction::Sub;
    let swapped = (!is_subtracted).then_some((rhs, lhs));
    [Some((lhs, rhs)), swapped].into_iter().flatten().find_map(|(table, term)| {
        if !is_table(entries, table) || !is_in_order(entries, table) {
            return None;
        }
        let scattered = scattered(entries, term, entry, is_subtracted, readers)?;
        let scatter = &entries[scattered.scatter as usize];
        let Work::ScatterAdd { axis, factor: None } = scatter.work else { return None };
        let zeros = scatter.operands[0].base;
        if scatter.shape != entry.shape || !is_zero(entries, zeros) {
            return None;
        }
        let mut absorbed = scattered.through;
        absorbed.push(scattered.scatter);
        if readers.is_read_once(zeros) {
            absorbed.push(zeros);
        }
        let mut operands: SmallVec<[Layout; 1]> = SmallVec::new();
        operands.push(Layout::contiguous(table.base, &entry.shape));
        operands.extend(scatter.operands[1..].iter().cloned());
        operands.extend(scattered.factor_operand);
        Some(TableUpdate { axis, factor: scattered.factor, operands, absorbed })
    })
}

/// Whether something stands in memory whoever reads it, its values as they are: an elementwise result would be computed by its
/// readers, and a scatter-add does not narrow what it stores.
fn is_table(entries: &[Entry], table: &Layout) -> bool {
    let table = &entries[table.base as usize];
    if !table.storage.is_native() {
        return false;
    }
    match table.work {
        Work::Input(_)
        | Work::Parameter(_)
        | Work::Literal(_)
        | Work::ArgMax { .. }
        | Work::Ordered(_)
        | Work::Gather { .. }
        | Work::ScatterAdd { .. }
        | Work::ScatterReduce { .. }
        | Work::Pad { .. }
        | Work::Concat { .. }
        | Work::Scan { .. }
        | Work::AllReduce
        | Work::LinearAlgebra { .. } => true,
        Work::Constant(_)
        | Work::Empty
        | Work::Iota { .. }
        | Work::Elementwise(_)
        | Work::Reduce { .. }
        | Work::MatMul
        | Work::Attention(_) => false,
    }
}

/// A scatter-add times a factor.
struct ScatteredTerm {
    scatter: u32,
    factor: Factor,
    factor_operand: Option<Layout>,
    /// The product, if there is one.
    through: SmallVec<[u32; 3]>,
}

/// The scatter-add that a term is, or is a multiple of, where `sum` alone needs it.
fn scattered(
    entries: &[Entry],
    term: &Layout,
    sum: &Entry,
    is_subtracted: bool,
    readers: &Readers<'_>,
) -> Option<ScatteredTerm> {
    let is_whole = |layout: &Layout| {
        is_in_order(entries, layout)
            && layout.shape.elements() == sum.shape.elements()
            && readers.is_read_once(layout.base)
    };
    if !is_whole(term) {
        return None;
    }
    let through = term.base;
    let own = &entries[through as usize];
    let signed = |value: f64| match (is_subtracted, own.dtype) {
        (false, _) => value,
        // The least integer is its own negative.
        (true, DType::I32) => f64::from((value as i32).wrapping_neg()),
        (true, DType::F32 | DType::F64 | DType::Bool) => -value,
    };
    if let Work::ScatterAdd { .. } = own.work {
        let (factor, factor_operand) = (Factor::Constant(signed(1.0)), None);
        return Some(ScatteredTerm { scatter: through, factor, factor_operand, through: SmallVec::new() });
    }
    let Work::Elementwise(Some(ElementOp::Function(Elementwise::Binary { function: BinaryFunction::Mul, .. }))) =
        own.work
    else {
        return None;
    };
    let [lhs, rhs] = &own.operands[..] else { return None };
    [(lhs, rhs), (rhs, lhs)].into_iter().find_map(|(scatter, scale)| {
        let is_scatter = matches!(entries[scatter.base as usize].work, Work::ScatterAdd { .. });
        if !is_scatter || !is_whole(scatter) {
            return None;
        }
        let base = &entries[scale.base as usize];
        let (factor, factor_operand) = match base.work {
            Work::Constant(value) => (Factor::Constant(signed(value)), None),
            Work::Empty | Work::Iota { .. } => return None,
            Work::Input(_)
            | Work::Parameter(_)
            | Work::Literal(_)
            | Work::Elementwise(_)
            | Work::Reduce { .. }
            | Work::ArgMax { .. }
            | Work::Ordered(_)
            | Work::MatMul
            | Work::Attention(_)
            | Work::Gather { .. }
            | Work::ScatterAdd { .. }
            | Work::ScatterReduce { .. }
            | Work::Pad { .. }
            | Work::Concat { .. }
            | Work::Scan { .. }
            | Work::AllReduce
            | Work::LinearAlgebra { .. } => {
                if base.shape.elements() != 1 || !base.storage.is_native() {
                    return None;
                }
                let operand = Layout::contiguous(scale.base, &base.shape);
                (Factor::Input { is_negated: is_subtracted }, Some(operand))
            }
        };
        Some(ScatteredTerm { scatter: scatter.base, factor, factor_operand, through: SmallVec::from_slice(&[through]) })
    })
}

/// Whether an entry is a copy of the constant 0.
fn is_zero(entries: &[Entry], entry: u32) -> bool {
    let entry = &entries[entry as usize];
    let is_copy = matches!(entry.work, Work::Elementwise(None));
    is_copy && entry.operands.iter().all(|operand| entries[operand.base as usize].work == Work::Constant(0.0))
}
