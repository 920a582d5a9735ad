//! Attention on a software adapter: blocks of scores in scratch, between matrix products.
//!
//! Registers of a software adapter are memory, and a module that has whole rows in them is long to compile and slow to run. So a block of scores is
//! computed by a product, made probabilities where it stands, and multiplied by the values; the backward pass does the same once more. A block is
//! some whole heads, or some positions of one head, so that its results stand side by side. Scratch has one block at a time, whatever the
//! number of positions.

use arenagrad_graph::{AttentionResult, DType};

use super::{Lowering, add_part, declare_masked, expand};
use crate::kernel::Matrices;
use crate::wgsl::matmul::Product;
use crate::wgsl::module::{Grid, Module};
use crate::wgsl::output::{Output, new_scratch};
use crate::wgsl::{Lowered, Resource};
use crate::{Axes, Axis};

/// The most scores of a block, unless one row has more: 16 MiB.
const MOST_SCORES: usize = 1 << 22;

/// The keys of a row that an invocation goes over, unless that would make too many parts of a row.
const PART: usize = 256;

/// The invocations of a workgroup that loop for long: one vector of a software adapter's lanes.
const LANES: usize = 8;

/// A block of scores: those of some positions of some heads with the first keys.
#[derive(Clone, Copy, Debug)]
struct Block {
    head: usize,
    heads: usize,
    position: usize,
    positions: usize,
    keys: usize,
}

impl Block {
    fn rows(&self) -> usize {
        self.heads * self.positions
    }

    fn scores(&self) -> usize {
        self.rows() * self.keys
    }

    /// The scores as matrices, of each head or of all together.
    fn matrices(&self, is_joined: bool) -> Matrices {
        let (heads, rows) = if is_joined { (1, self.rows()) } else { (self.heads, self.positions) };
        Matrices {
            offset: 0,
            batch: Axes::strided(heads, (rows * self.keys) as isize),
            rows: Axes::strided(rows, self.keys as isize),
            columns: Axes::strided(self.keys, 1),
        }
    }
}

/// The lowering, and the scratch that its blocks share.
pub(super) struct Blocks<'a, 'b> {
    lowering: &'b Lowering<'a>,
    blocks: Vec<Block>,
    scores: Resource,
    /// What a block adds to a result that has several.
    part: Option<Resource>,
}

impl<'a, 'b> Blocks<'a, 'b> {
    pub(super) fn new(lowering: &'b Lowering<'a>, lowered: &mut Lowered) -> Self {
        let attention = lowering.attention;
        let blocks = blocks(lowering);
        let most = |size: &dyn Fn(&Block) -> usize| blocks.iter().map(size).max().unwrap_or(0);
        let scores = new_scratch(most(&Block::scores), lowered);
        let (depth, width) = (attention.depth(), attention.width());
        let extent = depth.max(width);
        let part = (blocks.len() > 1).then(|| {
            let keys = if attention.is_backward() { most(&|block| block.heads * block.keys) } else { 0 };
            new_scratch(extent * most(&Block::rows).max(keys), lowered)
        });
        Blocks { lowering, blocks, scores, part }
    }

    pub(super) fn forward(&self, output: Option<Resource>, statistics: Option<Resource>, lowered: &mut Lowered) {
        let attention = self.lowering.attention;
        let most = |size: &dyn Fn(&Block) -> usize| self.blocks.iter().map(size).max().unwrap_or(0);
        let parts = new_scratch(2 * most(&|block| block.rows() * self.parts(block)), lowered);
        let rows = new_scratch(2 * most(&Block::rows), lowered);
        for block in &self.blocks {
            self.products(block, lowered);
            let mut module = self.over_parts(block);
            module.bind(parts, true, "parts", "f32");
            let text = include_str!("../../../shaders/attention_scores.wgsl");
            self.dispatch(module, text, "attention_scores", self.grid(block, 2), lowered);

            let mut module = Module::default();
            module.parameter("rows", block.rows());
            module.parameter("parts_of_a_row", self.parts(block));
            module.parameter("first_row", self.first_row(block));
            ["infinity", "exp_f32", "log_f32"].into_iter().for_each(|function| {
                module.call(function);
            });
            module.bind(parts, false, "parts", "f32");
            module.bind(rows, true, "rows", "f32");
            if let Some(statistics) = statistics {
                module.bind(statistics, true, "statistics", "f32");
            }
            let text = include_str!("../../../shaders/attention_sums.wgsl");
            let text = expand(text, &[], &[("statistics", statistics.is_some())]);
            module.declare(format!("const WORKGROUP_SIZE: u32 = {LANES}u;"));
            let iterations = 2 * self.parts(block);
            let grid = Grid { count: block.rows(), each: LANES, operations: 32 * iterations, iterations };
            self.dispatch(module, &text, "attention_sums", grid, lowered);

            let Some(output) = output else { continue };
            let mut module = self.over_parts(block);
            module.bind(rows, false, "rows", "f32");
            let text = include_str!("../../../shaders/attention_probabilities.wgsl");
            self.dispatch(module, text, "attention_probabilities", self.grid(block, 1), lowered);
            let values = self.of_keys(&attention.value, block);
            let at = self.first_row(block) * attention.width();
            self.product((self.scores, &block.matrices(false)), (2, &values), (output, at, false), lowered);
        }
    }

    pub(super) fn backward(&self, results: [Option<Resource>; 3], lowered: &mut Lowered) {
        let attention = self.lowering.attention;
        let Some(layout) = &attention.upstream else { return };
        let [query_gradient, key_gradient, value_gradient] = results;
        let upstream_input = attention.upstream_input();
        let of_scores = query_gradient.is_some() || key_gradient.is_some();
        let most = self.blocks.iter().map(Block::scores).max().unwrap_or(0);
        let differences = of_scores.then(|| new_scratch(most, lowered));
        for block in &self.blocks {
            self.products(block, lowered);
            let upstream = self.of_queries(layout, block);
            let queries = self.of_queries(&attention.query, block);
            let mut module = self.over_parts(block);
            if let Some(differences) = differences {
                let values = self.of_keys(&attention.value, block).transposed();
                let product = Product::between(
                    (Resource::Input(upstream_input as u32), &upstream),
                    (Resource::Input(2), &values),
                );
                product.lower(Output::plain(DType::F32, block.scores(), differences), self.lowering.profile, lowered);
                module.bind(differences, true, "differences", "f32");
                module.bind(Resource::Input(upstream_input as u32 + 2), false, "weighted", "f32");
            }
            module.bind(Resource::Input(upstream_input as u32 + 1), false, "statistics", "f32");
            module.parameter("first_row", self.first_row(block));
            let text = include_str!("../../../shaders/attention_score_gradient.wgsl");
            let text = expand(text, &[], &[("of scores", of_scores)]);
            self.dispatch(module, &text, "attention_score_gradient", self.grid(block, 1), lowered);

            // The heads of a group are one matrix, for their keys' gradients are summed over all of them.
            let is_joined = attention.heads_of_a_group() > 1;
            let group = block.head / attention.heads_of_a_group();
            let is_first = block.head.is_multiple_of(attention.heads_of_a_group())
                && block.position + block.positions == attention.positions();
            if let (Some(result), Some(differences)) = (query_gradient, differences) {
                let keys = self.of_keys(&attention.key, block);
                let at = self.first_row(block) * attention.depth();
                self.product((differences, &block.matrices(false)), (1, &keys), (result, at, false), lowered);
            }
            let across = block.matrices(is_joined).transposed();
            if let (Some(result), Some(differences)) = (key_gradient, differences) {
                let at = group * attention.keys() * attention.depth();
                let queries = joined(queries, is_joined);
                self.product((differences, &across), (0, &queries), (result, at, !is_first), lowered);
            }
            if let Some(result) = value_gradient {
                let at = group * attention.keys() * attention.width();
                let upstream = joined(upstream, is_joined);
                self.product((self.scores, &across), (upstream_input, &upstream), (result, at, !is_first), lowered);
            }
        }
    }

    /// The products of a block's queries and keys, in `scores`.
    fn products(&self, block: &Block, lowered: &mut Lowered) {
        let attention = self.lowering.attention;
        let queries = self.of_queries(&attention.query, block);
        let keys = self.of_keys(&attention.key, block).transposed();
        let product = Product::between((Resource::Input(0), &queries), (Resource::Input(1), &keys));
        product.lower(Output::plain(DType::F32, block.scores(), self.scores), self.lowering.profile, lowered);
    }

    /// A product into a result, from an element on; or added to what stands there.
    fn product(
        &self,
        lhs: (Resource, &Matrices),
        (input, rhs): (usize, &Matrices),
        (result, at, adds): (Resource, usize, bool),
        lowered: &mut Lowered,
    ) {
        let elements = lhs.1.batch.count() * lhs.1.rows.count() * rhs.columns.count();
        let profile = self.lowering.profile;
        let product = Product::between(lhs, (Resource::Input(input as u32), rhs));
        let Some(part) = self.part else {
            product.lower(Output::plain(DType::F32, elements, result), profile, lowered);
            return;
        };
        product.lower(Output::plain(DType::F32, elements, part), profile, lowered);
        add_part(part, (result, at, elements), adds, profile, lowered);
    }

    /// A module whose invocations go over a part of a row of scores each.
    fn over_parts(&self, block: &Block) -> Module {
        let attention = self.lowering.attention;
        let mut module = Module::default();
        module.parameter("rows", block.rows());
        module.parameter("parts_of_a_row", self.parts(block));
        module.parameter("positions", block.positions);
        module.parameter("keys", block.keys);
        module.parameter("first_head", block.head);
        module.parameter("first_position", block.position);
        ["infinity", "exp_f32"].into_iter().for_each(|function| {
            module.call(function);
        });
        module.bind(self.scores, true, "scores", "f32");
        declare_masked(attention, &mut module);
        module.declare(format!("const WORKGROUP_SIZE: u32 = {LANES}u;"));
        module
    }

    /// The grid of such a module that goes over its scores so many times.
    fn grid(&self, block: &Block, times: usize) -> Grid {
        let iterations = times * block.keys.div_ceil(self.parts(block));
        Grid { count: block.rows() * self.parts(block), each: LANES, operations: 32 * iterations, iterations }
    }

    /// Into how many parts a row is cut: neither they nor the keys of one may be more than loops may go over.
    fn parts(&self, block: &Block) -> usize {
        let most = (self.lowering.profile.max_iterations_per_invocation as usize / 4).max(1);
        block.keys.div_ceil(PART.min(most)).min(most).max(1)
    }

    fn first_row(&self, block: &Block) -> usize {
        block.head * self.lowering.attention.positions() + block.position
    }

    /// A block's rows of queries, or of what has their rows.
    fn of_queries(&self, matrices: &Matrices, block: &Block) -> Matrices {
        let stride = matrices.rows.stride().unwrap_or(0);
        Matrices {
            offset: matrices.start(block.head).wrapping_add_signed(stride * block.position as isize),
            batch: part_of(&matrices.batch, block.head, block.heads).unwrap_or_else(|| Axes::new([])),
            rows: Axes::strided(block.positions, stride),
            columns: matrices.columns.clone(),
        }
    }

    /// A block's first keys, or their values, once for each head.
    fn of_keys(&self, matrices: &Matrices, block: &Block) -> Matrices {
        let heads_of_a_group = self.lowering.attention.heads_of_a_group();
        let batch = for_each_head(&matrices.batch, heads_of_a_group);
        Matrices {
            offset: matrices.start(block.head / heads_of_a_group),
            batch: part_of(&batch, block.head, block.heads).unwrap_or_else(|| Axes::new([])),
            rows: Axes::strided(block.keys, matrices.rows.stride().unwrap_or(0)),
            columns: matrices.columns.clone(),
        }
    }

    fn dispatch(&self, module: Module, text: &str, label: &'static str, grid: Grid, lowered: &mut Lowered) {
        module.dispatch(text, label, grid, self.lowering.profile, lowered);
    }
}

/// The blocks in order: heads from the first, and the positions of a head from the last, so that its first block has all keys that any of
/// its positions attends.
fn blocks(lowering: &Lowering<'_>) -> Vec<Block> {
    let attention = lowering.attention;
    let (heads, positions, keys) = (attention.heads(), attention.positions(), attention.keys());
    let heads_of_a_group = attention.heads_of_a_group();
    let whole = MOST_SCORES / positions.saturating_mul(keys).max(1);
    if whole > 0 {
        let of_heads = [Some(&attention.query), attention.upstream.as_ref()].into_iter().flatten();
        let batches: Vec<Axes> = of_heads
            .map(|matrices| matrices.batch.clone())
            .chain([&attention.key, &attention.value].map(|matrices| for_each_head(&matrices.batch, heads_of_a_group)))
            .collect();
        let is_even = |count: usize| {
            (0..heads).step_by(count).all(|head| batches.iter().all(|batch| part_of(batch, head, count).is_some()))
        };
        let is_allowed = |count: usize| {
            let sums_a_group = !attention.is_backward() || heads_of_a_group == 1 || count == heads_of_a_group;
            heads.is_multiple_of(count) && sums_a_group && is_even(count)
        };
        let count = (2..=whole.min(heads)).rev().find(|&count| is_allowed(count)).unwrap_or(1);
        let block = |head| Block { head, heads: count, position: 0, positions, keys };
        return (0..heads).step_by(count).map(block).collect();
    }
    let rows = (MOST_SCORES / keys).clamp(1, positions);
    let rows = if rows > 8 { rows / 8 * 8 } else { rows };
    let mut all = Vec::new();
    for head in 0..heads {
        for position in (0..positions).step_by(rows).rev() {
            let positions = rows.min(attention.positions() - position);
            let end = position + positions;
            // Gradients of keys that no position attends are written too, by the first block.
            let has_all = attention.is_backward() && end == attention.positions();
            let keys = if attention.is_causal && !has_all { keys.min(end) } else { keys };
            all.push(Block { head, heads: 1, position, positions, keys });
        }
    }
    all
}

/// The axes of groups, with one more of each group's heads.
fn for_each_head(batch: &Axes, heads_of_a_group: usize) -> Axes {
    let repeated = Axis { extent: heads_of_a_group, stride: 0 };
    Axes::new(batch.as_slice().iter().copied().chain([repeated]))
}

/// The axes of `count` positions from `begin` on, if they are axes.
fn part_of(axes: &Axes, begin: usize, count: usize) -> Option<Axes> {
    let mut inner = 1;
    let mut taken = Vec::new();
    for axis in axes.as_slice().iter().rev() {
        if inner == count {
            break;
        }
        if !count.is_multiple_of(inner) || !begin.is_multiple_of(inner) {
            return None;
        }
        let wanted = count / inner;
        let place = begin / inner % axis.extent;
        if wanted < axis.extent && place + wanted <= axis.extent {
            taken.push(Axis { extent: wanted, stride: axis.stride });
            inner = count;
        } else if wanted >= axis.extent && place == 0 {
            taken.push(*axis);
            inner *= axis.extent;
        } else {
            return None;
        }
    }
    (inner == count).then(|| Axes::new(taken.into_iter().rev()))
}

/// The rows of all matrices as those of one, if that is asked for.
fn joined(matrices: Matrices, is_joined: bool) -> Matrices {
    if !is_joined {
        return matrices;
    }
    let axes = matrices.batch.as_slice().iter().chain(matrices.rows.as_slice()).copied();
    Matrices { rows: Axes::new(axes), batch: Axes::new([]), ..matrices }
}

/// The places of the gradients of queries, keys and values.
pub(super) fn gradients(place: impl Fn(AttentionResult) -> Option<Resource>) -> [Option<Resource>; 3] {
    [AttentionResult::QueryGradient, AttentionResult::KeyGradient, AttentionResult::ValueGradient].map(place)
}
