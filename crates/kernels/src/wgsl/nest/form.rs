//! How the elements and rows of a nest are computed: the choice for an adapter.

use crate::wgsl::nest::facts::Facts;
use crate::wgsl::{AdapterClass, AdapterProfile};
use crate::{NestInstruction, Space};

/// How rows are computed whose folds their own elements need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Every fold is a reduction of its own, and elements are computed at the end: for few long rows, and without folds of rows.
    Staged,
    /// One dispatch, in which so many neighbouring invocations share a row: a power of two, one with `nest_rows`, more with
    /// `nest_workgroup`.
    Rows {
        /// The invocations of a row.
        lanes: usize,
    },
}

/// The blocks of columns that a total takes in before it joins another.
pub(super) const RUN: usize = 64;

/// The most lanes of a row: the invocations of a workgroup.
pub(super) const MOST_LANES: usize = 256;

/// The loop iterations of one invocation for passes over rows of that many blocks of columns, a total's tree included.
pub(super) fn iterations(blocks: usize, lanes: usize, passes: usize, folds: usize) -> usize {
    let own = blocks.div_ceil(lanes);
    passes * (own + own.div_ceil(RUN) + 2) + folds * (lanes.ilog2() as usize + 1)
}

/// The form for a nest whose columns are computed `width` at a time.
pub(super) fn form(facts: &Facts<'_>, width: usize, profile: &AdapterProfile) -> Form {
    let folds = facts.folds(Space::Row).count();
    if folds == 0 {
        return Form::Staged;
    }
    let (rows, columns) = (facts.nest.rows, facts.nest.columns);
    let blocks = columns / width;
    let lanes = match profile.class {
        AdapterClass::Cpu => 1,
        AdapterClass::Gpu if blocks <= FEW_BLOCKS => 1,
        AdapterClass::Gpu => (blocks / BLOCKS_A_LANE).next_power_of_two().clamp(2, MOST_LANES),
    };
    let whole = facts.folds(Space::Whole).count();
    let passes = facts.nest.passes() as usize;
    let fits = iterations(blocks, lanes, passes, folds + whole) <= profile.max_iterations_per_invocation as usize;
    if fits && (rows >= enough_rows(profile) || columns < LONG_ROW) { Form::Rows { lanes } } else { Form::Staged }
}

/// The blocks of columns up to which one invocation of a GPU takes a row: its neighbours' loads then share cache lines.
const FEW_BLOCKS: usize = 4;

/// The blocks of columns for which a lane is worth it.
const BLOCKS_A_LANE: usize = 2;

/// The rows that keep an adapter busy.
fn enough_rows(profile: &AdapterProfile) -> usize {
    match profile.class {
        AdapterClass::Cpu => 8,
        AdapterClass::Gpu => 32,
    }
}

/// The columns from which too few rows are worth a dispatch for each fold.
const LONG_ROW: usize = 8192;

/// The chunks of rows of `nest_columns`: `wanted` of them, or as many as keep its loops within what an invocation may run through.
pub(super) fn row_chunks(rows: usize, wanted: usize, profile: &AdapterProfile) -> usize {
    let budget = profile.max_iterations_per_invocation as usize;
    let most = budget.saturating_sub(budget / RUN + 2).max(1);
    wanted.max(rows.div_ceil(most)).min(rows)
}

/// How many neighbouring invocations of `nest_columns` have neighbouring chunks of rows. A GPU's read neighbouring columns instead, which
/// its memory hands out together; a software adapter reads each on its own, and was measured to be faster if the rows of a
/// vector of lanes are far apart.
pub(super) fn neighbouring_chunks(chunks: usize, profile: &AdapterProfile) -> usize {
    match profile.class {
        AdapterClass::Cpu if chunks >= 8 => 8,
        AdapterClass::Cpu | AdapterClass::Gpu => 1,
    }
}

/// Roughly the simple operations of elements that are computed together.
pub(super) fn operations(facts: &Facts<'_>, cone: &[u32]) -> usize {
    let of = |&number: &u32| match &facts.value(number).instruction {
        NestInstruction::Compute(instruction) if facts.value(number).space == Space::Element => {
            crate::cost::of_instruction(instruction, facts.value(number).dtype)
        }
        NestInstruction::Compute(_) | NestInstruction::Fold { .. } => 0,
    };
    cone.iter().map(of).sum::<usize>() + 1
}
