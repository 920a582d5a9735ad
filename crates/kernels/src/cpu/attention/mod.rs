//! Attention in tiles of queries and keys, forward and backward, without a stored table of scores.
//!
//! The way is that of Dao et al. ("FlashAttention", 2022). A tile of scores stays in the nearest caches: forward it becomes exponentials,
//! whose product with the values is added to the output, and where a row's largest score grows by much, what was summed before is multiplied
//! by what it is worth now ([`Scale`]). Backward it becomes probabilities by the softmax statistics of the rows, and these the gradients of the scores.
//!
//! A result's bits depend on neither threads nor how the work is divided: a row of the output, and a row of the queries' gradient, is summed over
//! blocks of [`BLOCK`] keys in order; a row of the keys' and of the values' gradient over blocks of as many queries, head after head. Within a
//! block the sums are those of matrix products. So it may be decided by the number of threads whether the backward pass goes
//! once over groups of heads, or once over blocks of keys and once more over queries.
//!
//! The blocks of a long row are added up in runs of [`RUN`] keys or queries, and then the runs: a sum that grew block by block over hundreds of
//! thousands of them would lose more digits than a sum or a product of matrices does. What is no longer than a run is added up as if there were none.

mod backward;
mod forward;
mod product;
mod scores;

use std::ops::Range;

use arenagrad_graph::{AlignedVec, DType, Elements};
use pulp::Simd;

use self::backward::Backward;
use self::forward::Forward;
use self::product::{BLOCK, LINE};
use self::scores::{Attended, Mask, Scale};
use super::buffer::{Operands, typed_mut};
use super::extents::tile_shape;
use super::pack::pack_wide_panel;
use super::parallel;
use super::processor::{Arch, detect};
use super::real::Real;
use super::tile::VECTORS;
use crate::attention::Attention as Scheme;
use crate::cost;
use crate::kernel::Matrices;

/// Queries whose running sums a task keeps while it goes over the keys.
const CHUNK: usize = 512;

/// Keys, or queries of all heads of a group, of which the blocks are added up by themselves before they are added to what came before. A row of
/// 262,144 keys has as many runs as a run has blocks.
const RUN: usize = 64 * BLOCK;

/// How many queries of each of `heads` heads make a run.
fn queries_of_a_run(heads: usize) -> usize {
    (RUN / heads / BLOCK).max(1) * BLOCK
}

/// A step of attention made ready; see [`crate::Attention`].
#[derive(Clone, Debug)]
pub(super) struct Attention {
    arch: Arch,
    scheme: Scheme,
    /// Whether the backward pass goes over groups of heads, each with all of its gradients.
    by_groups: bool,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    F32(Vec<Own<f32>>),
    F64(Vec<Own<f64>>),
}

/// The memory of one task. What is packed stands in panels of columns.
#[derive(Clone, Debug)]
struct Own<T> {
    /// Where transposed keys and values stand.
    key_transposed: Matrices,
    value_transposed: Matrices,
    /// Blocks of keys and of values, transposed.
    keys_across: AlignedVec<T>,
    values_across: AlignedVec<T>,
    /// Blocks of keys, values, queries and upstream gradients as they stand.
    keys: AlignedVec<T>,
    values: AlignedVec<T>,
    queries: AlignedVec<T>,
    upstream: AlignedVec<T>,
    /// Exponentials or probabilities.
    tile: AlignedVec<T>,
    /// Gradients of scores.
    differences: AlignedVec<T>,
    /// For each query what its sums are relative to, and the sums of exponentials of this run and of those before.
    scales: Vec<Scale<T>>,
    sums: AlignedVec<T>,
    sums_before: AlignedVec<T>,
    /// What a later run adds to rows of the output, or of the queries' gradient.
    of_queries: AlignedVec<T>,
    /// What a later run of queries adds to a block of the keys' and of the values' gradient.
    of_keys: AlignedVec<T>,
    of_values: AlignedVec<T>,
}

impl<T: Attended> Own<T> {
    fn new(scheme: &Scheme, arch: Arch) -> Self {
        let columns = tile_shape::<T>(arch).columns;
        let is_backward = scheme.is_backward();
        let zeros = |is_needed: bool, count: usize| AlignedVec::zeros(if is_needed { count } else { 0 });
        let (depth, width) = (scheme.depth(), scheme.width());
        let across = BLOCK.next_multiple_of(columns);
        let [depth_columns, width_columns] = [depth, width].map(|extent| extent.next_multiple_of(columns));
        let heads = scheme.heads_of_a_group();
        let run = queries_of_a_run(heads);
        let has_runs_of_keys = scheme.keys() > RUN;
        let has_runs_of_queries = is_backward && scheme.positions() > run;
        let of_queries = if is_backward { heads * run.min(scheme.positions()) * depth } else { CHUNK * width };
        Own {
            key_transposed: scheme.key.clone().transposed(),
            value_transposed: scheme.value.clone().transposed(),
            keys_across: zeros(true, depth * across),
            values_across: zeros(is_backward, width * across),
            keys: zeros(is_backward, BLOCK * depth_columns),
            values: zeros(!is_backward, BLOCK * width_columns),
            queries: zeros(is_backward, BLOCK * depth_columns),
            upstream: zeros(is_backward, BLOCK * width_columns),
            tile: zeros(true, BLOCK * LINE),
            differences: zeros(is_backward, BLOCK * LINE),
            scales: vec![Scale::NONE; if is_backward { 0 } else { CHUNK }],
            sums: zeros(!is_backward, CHUNK),
            sums_before: zeros(!is_backward, CHUNK),
            of_queries: zeros(has_runs_of_keys, of_queries),
            of_keys: zeros(has_runs_of_queries, BLOCK * depth),
            of_values: zeros(has_runs_of_queries, BLOCK * width),
        }
    }
}

impl Attention {
    pub(super) fn new(scheme: &Scheme) -> Self {
        let arch = detect();
        let mut tasks = parallel::tasks(cost::attention(scheme));
        let threads = parallel::threads();
        // Once over the groups is five products a tile; over keys and then over queries seven, but in smaller pieces.
        let groups = scheme.groups();
        let by_groups = tasks <= 1 || 5 * groups.div_ceil(threads) * threads <= 7 * groups;
        let units = match (scheme.is_backward(), by_groups) {
            (true, true) => groups,
            (true, false) => groups * scheme.keys().min(scheme.positions()).div_ceil(BLOCK),
            (false, _) => scheme.heads() * scheme.positions().div_ceil(BLOCK),
        };
        tasks = tasks.min(units).max(1);
        let state = match scheme.dtype {
            DType::F32 => State::F32((0..tasks).map(|_| Own::new(scheme, arch)).collect()),
            DType::F64 => State::F64((0..tasks).map(|_| Own::new(scheme, arch)).collect()),
            DType::I32 | DType::Bool => panic!("attention is not defined for {}", scheme.dtype),
        };
        Attention { arch, scheme: scheme.clone(), by_groups, state }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        match &self.state {
            State::F32(tasks) => tasks.len() > 1,
            State::F64(tasks) => tasks.len() > 1,
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let Attention { arch, scheme, by_groups, state } = self;
        match state {
            State::F32(tasks) => run(*arch, scheme, *by_groups, tasks, operands, outputs),
            State::F64(tasks) => run(*arch, scheme, *by_groups, tasks, operands, outputs),
        }
    }
}

fn run<T: Attended>(
    arch: Arch,
    scheme: &Scheme,
    by_groups: bool,
    tasks: &mut [Own<T>],
    operands: Operands<'_>,
    outputs: &mut [Elements],
) {
    let mask = Mask::of(scheme, operands);
    let inputs = Inputs {
        scheme,
        query: operands.typed(0),
        key: operands.typed(1),
        value: operands.typed(2),
        mask: mask.as_ref(),
        scale: T::from_f64(scheme.scale),
    };
    let mut results: [&mut [T]; 5] = [&mut [], &mut [], &mut [], &mut [], &mut []];
    for (&result, output) in scheme.results.iter().zip(outputs) {
        results[result as usize] = &mut typed_mut::<T>(output)[..scheme.elements(result)];
    }
    let [output, statistics, query, key, value] = results;
    let Some(upstream_layout) = &scheme.upstream else {
        let rows = 0..scheme.heads() * scheme.positions();
        let results = forward::Results { output, statistics: statistics.as_chunks_mut().0 };
        divide_forward(arch, &inputs, tasks, rows, results);
        return;
    };
    let first = scheme.upstream_input();
    let gradient = backward::Upstream {
        layout: upstream_layout,
        upstream: operands.typed(first),
        statistics: operands.typed(first + 1).as_chunks().0,
        weighted: operands.typed(first + 2),
    };
    let pass = Pass { arch, inputs, gradient };
    if by_groups {
        let groups = 0..scheme.groups();
        pass.divide(tasks, Over::Groups, groups, backward::Results { query, key, value });
        return;
    }
    if !key.is_empty() || !value.is_empty() {
        let keys = 0..scheme.groups() * scheme.keys();
        pass.divide(tasks, Over::Keys, keys, backward::Results { query: &mut [], key, value });
    }
    if !query.is_empty() {
        let queries = 0..scheme.heads() * scheme.positions();
        pass.divide(tasks, Over::Queries, queries, backward::Results { query, key: &mut [], value: &mut [] });
    }
}

/// What both passes read.
#[derive(Clone, Copy)]
struct Inputs<'a, T> {
    scheme: &'a Scheme,
    query: &'a [T],
    key: &'a [T],
    value: &'a [T],
    mask: Option<&'a Mask<'a, T>>,
    scale: T,
}

/// Computes rows of the output, counted over all heads, of which `results` are the elements.
fn divide_forward<T: Attended>(
    arch: Arch,
    inputs: &Inputs<'_, T>,
    tasks: &mut [Own<T>],
    rows: Range<usize>,
    results: forward::Results<'_, T>,
) {
    if let [own] = tasks {
        arch.dispatch(Forward { inputs, own, rows, results });
        return;
    }
    let half = tasks.len() / 2;
    let cut = cut_between_tiles(&rows, inputs.scheme.positions(), half, tasks.len());
    let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
    let (head, tail) = results.split(cut - rows.start, inputs.scheme.width());
    parallel::join(
        || divide_forward(arch, inputs, head_tasks, rows.start..cut, head),
        || divide_forward(arch, inputs, tail_tasks, cut..rows.end, tail),
    );
}

/// What the tasks of a pass divide among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Groups of heads.
    Groups,
    /// Keys of all groups, for their gradients and those of the values.
    Keys,
    /// Queries of all heads, for their gradients.
    Queries,
}

/// A pass backward.
#[derive(Clone, Copy)]
struct Pass<'a, T> {
    arch: Arch,
    inputs: Inputs<'a, T>,
    gradient: backward::Upstream<'a, T>,
}

impl<T: Attended> Pass<'_, T> {
    fn divide(&self, tasks: &mut [Own<T>], over: Over, range: Range<usize>, results: backward::Results<'_, T>) {
        if let [own] = tasks {
            let Pass { arch, inputs, gradient } = self;
            arch.dispatch(Backward { inputs, gradient, own, over, range, results });
            return;
        }
        let half = tasks.len() / 2;
        let of_one = match over {
            Over::Groups => 1,
            Over::Keys => self.inputs.scheme.keys(),
            Over::Queries => self.inputs.scheme.positions(),
        };
        let cut = cut_between_tiles(&range, of_one, half, tasks.len());
        let (head_tasks, tail_tasks) = tasks.split_at_mut(half);
        let (head, tail) = results.split(cut - range.start, over, self.inputs.scheme);
        parallel::join(
            || self.divide(head_tasks, over, range.start..cut, head),
            || self.divide(tail_tasks, over, cut..range.end, tail),
        );
    }
}

/// Where rows, which are counted over several matrices of `of_one` rows each, are cut so that `head` of `all` equal tasks stand before the
/// cut: between tiles, which begin anew in each matrix. So the tiles are the same however many tasks there are, and with them which
/// masked pairs stand in one that is computed.
fn cut_between_tiles(rows: &Range<usize>, of_one: usize, head: usize, all: usize) -> usize {
    let tiles = of_one.div_ceil(BLOCK);
    let number = |row: usize| row / of_one * tiles + (row % of_one).div_ceil(BLOCK);
    let cut = parallel::cut(number(rows.start)..number(rows.end), head, all, 1);
    cut / tiles * of_one + cut % tiles * BLOCK
}

/// Packs columns of `depth` of a matrix in panels, all of which are of full width.
#[inline(always)]
fn pack<T: Real, S: Simd>(
    simd: S,
    elements: &[T],
    start: usize,
    matrices: &Matrices,
    (columns, depth): (Range<usize>, Range<usize>),
    packed: &mut [T],
) {
    let width = VECTORS * T::lanes::<S>();
    let panels = packed.chunks_exact_mut(width * depth.len());
    for (first, panel) in columns.clone().step_by(width).zip(panels) {
        let columns = first..columns.end.min(first + width);
        pack_wide_panel::<T, S>(simd, (elements, start, matrices), columns, depth.clone(), panel);
    }
}

/// Adds what a run came to.
#[inline(always)]
fn add_run<T: Attended>(result: &mut [T], run: &[T]) {
    result.iter_mut().zip(run).for_each(|(element, &of_run)| *element = *element + of_run);
}

/// The elements of a part of a result, if it is computed.
fn split_result<T>(result: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    let at = if result.is_empty() { 0 } else { at };
    result.split_at_mut(at)
}

/// The distance of neighbouring rows.
fn row_stride(matrices: &Matrices) -> usize {
    matrices.rows.forward_stride().unwrap_or_else(|| panic!("rows of attention's operands are evenly spaced"))
}
