//! Lowering of cumulative operations.
//!
//! Where an axis is short, or there are many, one invocation goes through a whole axis. Else the axis is cut into chunks: their totals
//! are computed, and those of chunks of these, until one chunk is all (`cumulative_totals`); then the totals before each entry of
//! each level, from the last level down (`cumulative_before`), and the results of each chunk from there (`cumulative`). The cost
//! is linear, and how chunks are cut depends on the extents alone.

use arenagrad_graph::CumulativeFunction;

use crate::DType;
use crate::kernel::Cumulation;
use crate::wgsl::indexing::declare_key;
use crate::wgsl::module::{Grid, Module, storage_type};
use crate::wgsl::output::new_scratch;
use crate::wgsl::tiles::cumulative_chunk;
use crate::wgsl::{AdapterProfile, Lowered, Resource};

/// A cumulative operation on its way to dispatches.
#[derive(Clone, Copy)]
pub(super) struct Cumulative<'a> {
    pub(super) function: Cumulation,
    pub(super) dtype: DType,
    /// Before the axis, along it and behind it.
    pub(super) extents: [usize; 3],
    pub(super) is_reversed: bool,
    pub(super) profile: &'a AdapterProfile,
}

/// The totals of the chunks of a level.
#[derive(Clone, Copy)]
struct Level {
    totals: Resource,
    /// The entries of a row that the chunks are of.
    entries: usize,
    chunks: usize,
    chunk_length: usize,
}

impl Cumulative<'_> {
    /// Appends the dispatches.
    pub(super) fn lower(&self, lowered: &mut Lowered) {
        let [outer, extent, inner] = self.extents;
        let rows = outer * inner;
        // The totals of the elements' chunks, of the chunks of those, and so on.
        let mut levels: Vec<Level> = Vec::new();
        let mut entries = extent;
        loop {
            let chunk_length = cumulative_chunk(self.profile, rows, entries);
            let chunks = entries.div_ceil(chunk_length);
            if chunks == 1 {
                break;
            }
            let totals = new_scratch(rows * chunks * self.words(), lowered);
            levels.push(Level { totals, entries, chunks, chunk_length });
            self.totals(&levels, lowered);
            entries = chunks;
        }
        // What is before each entry of the last level is found by going through all; of the others from the level above.
        for below in (0..levels.len()).rev() {
            self.before(&levels[below], levels.get(below + 1), lowered);
        }
        self.results(levels.first(), lowered);
    }

    fn rows(&self) -> usize {
        self.extents[0] * self.extents[2]
    }

    /// The words of a total.
    fn words(&self) -> usize {
        match (self.function, self.dtype) {
            (Cumulation::Recurrence, _) => 5,
            (Cumulation::Function(CumulativeFunction::Sum | CumulativeFunction::Product), DType::I32) => 1,
            (Cumulation::Function(CumulativeFunction::Product), _) => 3,
            (Cumulation::Function(_), DType::F32 | DType::F64 | DType::I32 | DType::Bool) => 2,
        }
    }

    /// Roughly how many simple operations an entry costs: floats are added and multiplied as pairs.
    fn operations(&self) -> usize {
        match (self.function, self.dtype) {
            (Cumulation::Recurrence, _) => 96,
            (Cumulation::Function(CumulativeFunction::Product), DType::F32 | DType::F64) => 64,
            (Cumulation::Function(CumulativeFunction::Sum), DType::F32 | DType::F64) => 16,
            (Cumulation::Function(_), DType::F32 | DType::F64 | DType::I32 | DType::Bool) => 8,
        }
    }

    /// Appends the totals of the last of `levels`.
    fn totals(&self, levels: &[Level], lowered: &mut Lowered) {
        let Some((level, below)) = levels.split_last() else { return };
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        let invocations = self.chunks_of(level, &mut module);
        match below.last() {
            None => {
                self.declare_function(&mut module);
                self.declare_places(&mut module);
                module.declare(
                    "fn entry(row: u32, place: u32) -> Total {\n    let index = place_index(place);\n    \
                     return start(row_start(row) + index * parameters.inner, index);\n}\n",
                );
            }
            Some(below) => {
                self.declare_function(&mut module);
                module.bind(below.totals, false, "below", "Total");
                module.declare(
                    "fn entry(row: u32, place: u32) -> Total {\n    return below[row * parameters.entries + place];\n}\n",
                );
            }
        }
        module.bind(level.totals, true, "totals", "Total");
        let iterations = level.chunk_length;
        let grid = Grid { count: invocations, each, operations: self.operations() * iterations, iterations };
        let skeleton = include_str!("../../shaders/cumulative_totals.wgsl");
        module.dispatch(skeleton, "cumulative_totals", grid, self.profile, lowered);
    }

    /// Replaces the totals of a level by those of all that is before, given the same of the level above.
    fn before(&self, level: &Level, above: Option<&Level>, lowered: &mut Lowered) {
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        // The entries that are gone through are the chunks of the level.
        let (chunks, chunk_length) = above.map_or((1, level.chunks), |above| (above.chunks, above.chunk_length));
        let invocations = self.rows() * chunks;
        module.parameter("invocations", invocations);
        module.parameter("entries", level.chunks);
        module.parameter("chunks", chunks);
        module.parameter("chunk_length", chunk_length);
        self.declare_function(&mut module);
        self.declare_before(&mut module, above);
        module.bind(level.totals, true, "totals", "Total");
        let operations = self.operations() * chunk_length;
        let grid = Grid { count: invocations, each, operations, iterations: chunk_length };
        let skeleton = include_str!("../../shaders/cumulative_before.wgsl");
        module.dispatch(skeleton, "cumulative_before", grid, self.profile, lowered);
    }

    fn results(&self, level: Option<&Level>, lowered: &mut Lowered) {
        let mut module = Module::default();
        let each = module.long_running_workgroup(self.profile);
        let [_, extent, _] = self.extents;
        let (chunks, chunk_length) = level.map_or((1, extent), |level| (level.chunks, level.chunk_length));
        let invocations = self.rows() * chunks;
        module.parameter("invocations", invocations);
        module.parameter("chunks", chunks);
        module.parameter("chunk_length", chunk_length);
        self.declare_function(&mut module);
        self.declare_places(&mut module);
        self.declare_before(&mut module, level);
        let dtype = match self.function {
            Cumulation::Function(function) if function.gives_indices() => DType::I32,
            Cumulation::Function(_) | Cumulation::Recurrence => self.dtype,
        };
        module.bind(Resource::Output(0), true, "result", storage_type(dtype));
        let operations = self.operations() * chunk_length;
        let grid = Grid { count: invocations, each, operations, iterations: chunk_length };
        let skeleton = include_str!("../../shaders/cumulative.wgsl");
        module.dispatch(skeleton, "cumulative", grid, self.profile, lowered);
    }

    /// Declares how many chunks of how many entries a level has, and gives the number of all.
    fn chunks_of(&self, level: &Level, module: &mut Module) -> usize {
        let invocations = self.rows() * level.chunks;
        module.parameter("invocations", invocations);
        module.parameter("entries", level.entries);
        module.parameter("chunks", level.chunks);
        module.parameter("chunk_length", level.chunk_length);
        invocations
    }

    /// Declares where a row begins, and which index along the axis a place in the direction of the operation is.
    fn declare_places(&self, module: &mut Module) {
        let [_, extent, inner] = self.extents;
        module.parameter("extent", extent);
        module.parameter("inner", inner);
        module.declare(
            "fn row_start(row: u32) -> u32 {\n    return row / parameters.inner * parameters.extent * parameters.inner + row % \
             parameters.inner;\n}\n",
        );
        let index = if self.is_reversed { "parameters.extent - 1u - place" } else { "place" };
        module.declare(format!("fn place_index(place: u32) -> u32 {{\n    return {index};\n}}\n"));
    }

    /// Declares the total of all that is before a chunk that is not the first of its row.
    fn declare_before(&self, module: &mut Module, level: Option<&Level>) {
        let before = match level {
            Some(level) => {
                module.bind(level.totals, false, "before_chunks", "Total");
                "before_chunks[invocation]"
            }
            // There is only the first chunk.
            None => "Total()",
        };
        module.declare(format!("fn before_chunk(invocation: u32) -> Total {{\n    return {before};\n}}\n"));
    }

    /// Declares what the function makes of runs of elements.
    fn declare_function(&self, module: &mut Module) {
        module.bind(Resource::Input(0), false, "operand", storage_type(self.dtype));
        let is_integer = self.dtype == DType::I32;
        match self.function {
            Cumulation::Recurrence => {
                module.bind(Resource::Input(1), false, "factors", "f32");
                module.declare(include_str!("../../shaders/cumulative/pair.wgsl"));
                module.declare(include_str!("../../shaders/cumulative/scaled.wgsl"));
                module.declare(include_str!("../../shaders/cumulative/linear_recurrence.wgsl"));
            }
            Cumulation::Function(CumulativeFunction::Sum) if is_integer => {
                module.declare(include_str!("../../shaders/cumulative/cumsum_i32.wgsl"));
            }
            Cumulation::Function(CumulativeFunction::Sum) => {
                module.declare(include_str!("../../shaders/cumulative/pair.wgsl"));
                module.declare(include_str!("../../shaders/cumulative/cumsum_f32.wgsl"));
            }
            Cumulation::Function(CumulativeFunction::Product) if is_integer => {
                module.declare(include_str!("../../shaders/cumulative/cumprod_i32.wgsl"));
            }
            Cumulation::Function(CumulativeFunction::Product) => {
                module.declare(include_str!("../../shaders/cumulative/pair.wgsl"));
                module.declare(include_str!("../../shaders/cumulative/scaled.wgsl"));
                module.declare(include_str!("../../shaders/cumulative/cumprod_f32.wgsl"));
            }
            Cumulation::Function(CumulativeFunction::ArgMax) => {
                declare_key(module, self.dtype, false);
                module.declare(include_str!("../../shaders/cumulative/cumargmax.wgsl"));
            }
            Cumulation::Function(CumulativeFunction::ArgMin) => {
                // NaN beats all here too.
                declare_key(module, self.dtype, true);
                module.declare(include_str!("../../shaders/cumulative/cumargmax.wgsl"));
            }
        }
    }
}
