//! Which variant and tile a matrix product gets, and how much of a reduction one invocation does.

use arenagrad_graph::StorageType;

use crate::choice::Choice;
use crate::kernel::Stored;
use crate::wgsl::{AdapterClass, AdapterProfile, CooperativeMatrix};

/// How a matrix product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatMulTile {
    /// `matmul_vector`: a single row.
    Vector,
    /// `matmul_rows`: that many rows and columns an invocation, multiples of four.
    Rows {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
    /// `matmul_tiled`: so many rows and columns a workgroup, multiples of [`TILED_SIDE`].
    Tiled {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
    /// `matmul_cooperative`: so many rows and columns a workgroup, multiples of [`TILED_SIDE`], by such matrices.
    Cooperative {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
        /// What a subgroup multiplies.
        matrix: CooperativeMatrix,
    },
}

/// The side of the tile of `matmul_tiled`, or what its sides are multiples of.
pub(super) const TILED_SIDE: usize = 64;

/// The invocations of a workgroup of `matmul_tiled`.
pub(super) const TILED_WORKGROUP: usize = 256;

/// How many subgroups a workgroup of `matmul_cooperative` has with that many columns: two, one above the other, for every 32 of them.
pub(super) const fn cooperative_subgroups(columns: usize) -> usize {
    columns / 16
}

/// The most of them.
pub(super) const MOST_SUBGROUPS: usize = cooperative_subgroups(2 * TILED_SIDE);

/// How much of the depth a workgroup of `matmul_cooperative` has in its memory at a time.
pub(super) const COOPERATIVE_DEPTH: usize = 32;

/// The loop iterations of an invocation for that much depth: fours of both operands that it brings in, the steps of its subgroup, and one of the loop
/// around them.
pub(super) const fn cooperative_iterations(rows: usize, columns: usize, matrix: CooperativeMatrix) -> usize {
    let invocations = cooperative_subgroups(columns) * matrix.subgroup as usize;
    let of_rows = (rows * COOPERATIVE_DEPTH / 4).div_ceil(invocations);
    let of_columns = (columns * COOPERATIVE_DEPTH / 4).div_ceil(invocations);
    of_rows + of_columns + COOPERATIVE_DEPTH / matrix.side as usize + 1
}

/// The loop iterations of an invocation that stores what its subgroup has summed.
pub(super) const fn cooperative_stores(rows: usize, columns: usize, matrix: CooperativeMatrix) -> usize {
    (rows * columns / 4).div_ceil(cooperative_subgroups(columns) * matrix.subgroup as usize)
}

/// The elements that separate the lines of its tiles beside those that they hold, so that lines begin in different banks of the memory.
pub(super) const LINE_GAP: usize = 8;

/// The most bytes of workgroup memory that `matmul_cooperative` takes: a tile of each operand, and a matrix of sums for each subgroup.
pub(super) const fn most_cooperative_bytes(side: u32) -> u32 {
    let tile = 2 * TILED_SIDE * (COOPERATIVE_DEPTH + LINE_GAP) * 2;
    let sums = MOST_SUBGROUPS * (side * side) as usize * 4;
    (2 * tile + sums) as u32
}

/// The results from which a workgroup of `matmul_cooperative` takes the larger tile: there are then enough of those to keep a graphics card
/// busy.
const MANY_COOPERATIVE_RESULTS: usize = 128 * 128 * 128;

/// The matrices by which an adapter multiplies operands that are held in these types.
pub(super) fn cooperative_matrix(profile: &AdapterProfile, operands: [StorageType; 2]) -> Option<CooperativeMatrix> {
    profile.cooperative.filter(|_| profile.reads_f16 && operands == [StorageType::F16; 2])
}

/// The tile for `batches` products of `[m, k]` and `[k, n]`, computed so, on an adapter that multiplies the operands by such matrices, if by any.
pub(super) fn matmul_tile(
    profile: &AdapterProfile,
    cooperative: Option<CooperativeMatrix>,
    choice: Choice,
    [batches, m, n]: [usize; 3],
) -> MatMulTile {
    if m == 1 {
        return MatMulTile::Vector;
    }
    match (choice, cooperative) {
        (Choice::Registers { rows, columns }, _) => return MatMulTile::Rows { rows, columns },
        (Choice::Workgroup { rows, columns }, _) => return MatMulTile::Tiled { rows, columns },
        (Choice::Cooperative { rows, columns }, Some(matrix)) => {
            return MatMulTile::Cooperative { rows, columns, matrix };
        }
        (Choice::Usual, Some(matrix)) if m > 16 && n > 16 => {
            let many = batches.saturating_mul(m).saturating_mul(n) >= MANY_COOPERATIVE_RESULTS;
            let side = |extent| if many && extent > TILED_SIDE { 2 * TILED_SIDE } else { TILED_SIDE };
            return MatMulTile::Cooperative { rows: side(m), columns: side(n), matrix };
        }
        (
            Choice::Usual
            | Choice::Cooperative { .. }
            | Choice::Invocations(_)
            | Choice::Panels(_)
            | Choice::PackedInTurn(_)
            | Choice::Columns(_),
            _,
        ) => {}
    }
    match profile.class {
        AdapterClass::Gpu if m > 16 && n > 16 => MatMulTile::Tiled { rows: TILED_SIDE, columns: TILED_SIDE },
        AdapterClass::Gpu => MatMulTile::Rows { rows: 4, columns: 4 },
        AdapterClass::Cpu => ROW_TILES
            .into_iter()
            .min_by_key(|(rows, columns)| {
                let tiles = batches * m.div_ceil(*rows) * n.div_ceil(*columns);
                tiles.div_ceil(VECTOR_LANES).div_ceil(CPU_CORES) * (13 * (rows + columns) + rows * columns)
            })
            .map_or(MatMulTile::Rows { rows: 4, columns: 4 }, |(rows, columns)| MatMulTile::Rows { rows, columns }),
    }
}

/// The choice that is made for a product unless another is asked for.
pub(crate) fn usual_tile(profile: &AdapterProfile, stored: Stored<'_>, batches: usize, m: usize, n: usize) -> Choice {
    let operands = match stored.inputs {
        [lhs, rhs, ..] => [*lhs, *rhs],
        _ => [StorageType::F32; 2],
    };
    match matmul_tile(profile, cooperative_matrix(profile, operands), Choice::Usual, [batches, m, n]) {
        MatMulTile::Vector => Choice::Usual,
        MatMulTile::Rows { rows, columns } => Choice::Registers { rows, columns },
        MatMulTile::Tiled { rows, columns } => Choice::Workgroup { rows, columns },
        MatMulTile::Cooperative { rows, columns, matrix: _ } => Choice::Cooperative { rows, columns },
    }
}

/// The tiles of `matmul_rows` to choose from on a software adapter. The time of one is taken to grow with what it loads, its
/// rows and columns, and with what it multiplies, in the ratio that was measured on lavapipe; the choice is for the least
/// time where vectors of tiles are spread over the cores.
pub(crate) const ROW_TILES: [(usize, usize); 6] = [(16, 8), (8, 8), (16, 4), (8, 4), (4, 8), (4, 4)];

/// The invocations that a software adapter computes at once.
const VECTOR_LANES: usize = 8;

/// The cores that a software adapter is taken to have at least.
const CPU_CORES: usize = 2;

/// How many column tiles, a power of two, stand side by side before the next row of tiles: neighbouring workgroups then read
/// the same columns of rhs, which stay in the cache. The widest that leaves at most one tile in eight idle.
pub(super) fn strip_width(column_tiles: usize) -> usize {
    let idle = |width: &usize| column_tiles.next_multiple_of(*width) - column_tiles;
    [8, 4, 2].into_iter().find(|width| 8 * idle(width) <= column_tiles).unwrap_or(1)
}

/// The most depth that one invocation sums, a multiple of sixteen: as much as its loops may run through, and as hardly loses a
/// digit.
pub(super) fn span_depth(profile: &AdapterProfile, tile: MatMulTile) -> usize {
    // The loops' iterations for sixteen steps of the depth, rounded up; and 64 sums of four steps, or 16 and 64 runs of sums.
    // What else they do is beside it.
    let (iterations, most, beside) = match tile {
        // Results are stored by a loop that goes round four times a row at most.
        MatMulTile::Rows { rows, .. } => (5, 256, 8 + 4 * rows),
        MatMulTile::Vector => (5, 4096, 8),
        MatMulTile::Tiled { .. } => (17, 4096, 8),
        // Its matrices are added one after the other.
        MatMulTile::Cooperative { rows, columns, matrix } => {
            let iterations = cooperative_iterations(rows, columns, matrix).div_ceil(COOPERATIVE_DEPTH / 16);
            (iterations, 1024, cooperative_stores(rows, columns, matrix) + iterations)
        }
    };
    let budget = (profile.max_iterations_per_invocation as usize).saturating_sub(beside);
    (budget / iterations).max(1).saturating_mul(16).min(most)
}

/// Into how many parts the depth is cut whose sums stand apart until a reduction adds them up. Without parts, one dispatch a span
/// adds to what stands in the result: that is cheaper where the result keeps the device busy, and as exact for a few spans.
pub(super) fn depth_parts(results: usize, spans: usize) -> usize {
    if results >= MANY_RESULTS {
        return spans.div_ceil(SPANS_IN_TURN);
    }
    spans.min(MOST_PARTIAL_RESULTS / results.max(1)).max(1)
}

/// The results from which a dispatch for each span takes no time to speak of.
const MANY_RESULTS: usize = 1 << 16;

/// The most spans that are added up one after the other.
const SPANS_IN_TURN: usize = 64;

/// The most numbers that parts of fewer results take.
const MOST_PARTIAL_RESULTS: usize = 1 << 22;

/// Whether a scatter_add goes through all updates for each element of the result: its cost is the product of both, but it is
/// one dispatch, where sorting takes a dozen or more. The limit is what so many dispatches cost.
pub(super) fn scatters_directly(profile: &AdapterProfile, elements: usize, updates: usize) -> bool {
    let most = match profile.class {
        AdapterClass::Cpu => 1 << 18,
        AdapterClass::Gpu => 1 << 22,
    };
    let longest = MOST_DIRECT_UPDATES.min(profile.max_iterations_per_invocation as usize);
    updates <= longest && elements.saturating_mul(updates) <= most
}

/// The most updates that one invocation goes through: 64 sums of 64.
const MOST_DIRECT_UPDATES: usize = 4096;

/// How many units the invocations of a sort go through, and how many bits of their keys at a time.
pub(super) fn sort_blocks(profile: &AdapterProfile, units: usize) -> (usize, u32) {
    let budget = (profile.max_iterations_per_invocation as usize / 2).max(2);
    let digit = budget.ilog2().clamp(1, 8);
    // As many counts as keys at most.
    let least = 1 << digit;
    let size = (units / wanted_invocations(profile)).clamp(least, 4096).min(budget.max(least));
    (size, digit)
}

/// The numbers that one invocation of a prefix sum goes through.
pub(super) fn scan_length(profile: &AdapterProfile) -> usize {
    (profile.max_iterations_per_invocation as usize).clamp(2, 256)
}

/// The invocations that a reduction is split for, if each then still has [`least_chunk`] elements: on a software adapter
/// a few vectors of eight for each core.
fn wanted_invocations(profile: &AdapterProfile) -> usize {
    match profile.class {
        AdapterClass::Cpu => CPU_LANES,
        AdapterClass::Gpu => 32_768,
    }
}

/// The fewest elements for which a chunk of their own, and so perhaps one more dispatch, is worth it.
fn least_chunk(profile: &AdapterProfile) -> usize {
    match profile.class {
        AdapterClass::Cpu => 1024,
        AdapterClass::Gpu => 128,
    }
}

/// Lanes that a few cores with eight-wide vectors offer.
const CPU_LANES: usize = 64;

/// Into how many chunks a reduction of `extent` loads to each of `results` is split. `strided` says that neighbouring loads of
/// a result stand apart, a row of results between them.
pub(super) fn reduce_chunks(profile: &AdapterProfile, results: usize, extent: usize, strided: bool) -> usize {
    // An invocation needs a quarter of its loads as iterations, one more for every 64, and a few at the end.
    let most = (profile.max_iterations_per_invocation as usize).saturating_mul(3).clamp(64, MOST_LOADS);
    let needed = extent.div_ceil(most);
    let wanted = wanted_invocations(profile).div_ceil(results).min(extent / least_chunk(profile));
    let cached = match profile.class {
        AdapterClass::Cpu if strided && results.saturating_mul(extent) >= LARGE_REDUCTION => extent / CACHED_ROWS,
        AdapterClass::Cpu | AdapterClass::Gpu => 1,
    };
    needed.max(wanted).max(cached).max(1)
}

/// A software adapter goes through one chunk of all columns before the next: so many rows of a page or more each still have their
/// place in the cache when the neighbouring columns are read.
const CACHED_ROWS: usize = 32;

/// The loads from which that is worth a second dispatch.
const LARGE_REDUCTION: usize = 1 << 17;

/// The most loads of one invocation: past this the rounding error of its running total would begin to count.
const MOST_LOADS: usize = 4096;

/// How many entries of a cumulative operation one invocation goes through.
pub(super) fn cumulative_chunk(profile: &AdapterProfile, rows: usize, entries: usize) -> usize {
    let most = (profile.max_iterations_per_invocation as usize).clamp(2, MOST_LOADS);
    let wanted = wanted_invocations(profile).div_ceil(rows).min(entries / least_chunk(profile)).max(1);
    entries.div_ceil(wanted).min(most)
}

/// How many candidates one invocation of an argmax looks through.
pub(super) fn argmax_chunk(profile: &AdapterProfile, results: usize, candidates: usize) -> usize {
    let most = (profile.max_iterations_per_invocation as usize).max(2);
    let wanted = wanted_invocations(profile).div_ceil(results).min(candidates / least_chunk(profile)).max(1);
    candidates.div_ceil(wanted).min(most)
}
