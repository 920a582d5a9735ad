//! Lowering of matrix products.

mod cooperative;
mod operand;
mod stores;

use std::fmt::Write;

use crate::wgsl::matmul::operand::{Distance, Layout, Operand, in_fours};
use crate::wgsl::matmul::stores::Stores;
use crate::wgsl::module::{Grid, Module};
use crate::wgsl::output::{Output, new_scratch};
use crate::wgsl::positions::declare_position;
use crate::wgsl::reduce::Reduction;
use crate::wgsl::tiles::{
    COOPERATIVE_DEPTH, MatMulTile, TILED_SIDE, TILED_WORKGROUP, cooperative_iterations, cooperative_stores,
    cooperative_subgroups, depth_parts, matmul_tile, span_depth, strip_width,
};
use crate::wgsl::{AdapterProfile, Lowered, Resource};
use crate::{DType, Matrices, ProductExtents, ReduceFunction};

/// A product of f32 matrices.
#[derive(Clone, Debug)]
pub(super) struct Product {
    batches: usize,
    m: usize,
    k: usize,
    n: usize,
    lhs: Operand,
    rhs: Operand,
}

/// Which depths a dispatch sums: of each part, which begins `part_depth` after the one before, `span` from `begin` on.
#[derive(Clone, Copy, Debug)]
struct Depths {
    begin: usize,
    span: usize,
    parts: usize,
    part_depth: usize,
}

impl Product {
    /// The product that a kernel asks for, its operands in the first two inputs.
    pub(super) fn new(lhs: &Matrices, rhs: &Matrices) -> Self {
        Product::between((Resource::Input(0), lhs), (Resource::Input(1), rhs))
    }

    /// The product of matrices in two buffers.
    pub(super) fn between((lhs_in, lhs): (Resource, &Matrices), (rhs_in, rhs): (Resource, &Matrices)) -> Self {
        let ProductExtents { batches, m, k, n } = ProductExtents::new(lhs, rhs);
        let lhs = Operand::new(lhs_in, lhs);
        let rhs = Operand::new(rhs_in, &rhs.clone().transposed());
        let product = Product { batches, m, k, n, lhs, rhs };
        if n == 1 && m != 1 { product.transposed() } else { product }
    }

    /// The product of the exchanged transposes. A single row or column lies in memory alike.
    fn transposed(self) -> Self {
        Product { m: self.n, n: self.m, lhs: self.rhs, rhs: self.lhs, ..self }
    }

    /// Appends the dispatches that compute the product into `output`.
    pub(super) fn lower(&self, output: Output, profile: &AdapterProfile, lowered: &mut Lowered) {
        let results = self.batches * self.m * self.n;
        let module = lowered.module();
        let are_f16 = module.is_f16(self.lhs.resource) && module.is_f16(self.rhs.resource);
        let cooperative = profile.cooperative.filter(|_| are_f16);
        let tile = matmul_tile(profile, cooperative, lowered.choice, [self.batches, self.m, self.n]);
        let spans = self.k.div_ceil(span_depth(profile, tile));
        // Spans of equal lengths: multiples of what is brought into a workgroup's memory at a time, which keeps loads of several depths aligned.
        let span = self.k.div_ceil(spans).next_multiple_of(match tile {
            MatMulTile::Vector | MatMulTile::Rows { .. } | MatMulTile::Tiled { .. } => 16,
            MatMulTile::Cooperative { .. } => COOPERATIVE_DEPTH,
        });
        if spans == 1 {
            let depths = Depths { begin: 0, span, parts: 1, part_depth: span };
            self.dispatch(tile, depths, &output, profile, lowered);
            return;
        }
        let parts = depth_parts(results, spans);
        let rounds = spans.div_ceil(parts);
        let parts = spans.div_ceil(rounds);
        // The sums so far must stand somewhere: in parts of their own, in the result, or, where an epilogue makes something
        // else of it (perhaps in place of what it still reads), in scratch.
        let elements = parts * results;
        let sums = if parts > 1 { new_scratch(elements, lowered) } else { output.without_epilogue(elements, lowered) };
        let first = Output::plain(DType::F32, elements, sums);
        let further = Output::accumulating(elements, sums);
        for round in 0..rounds {
            let depths = Depths { begin: round * span, span, parts, part_depth: rounds * span };
            self.dispatch(tile, depths, if round == 0 { &first } else { &further }, profile, lowered);
        }
        if parts > 1 {
            Reduction::of_parts(ReduceFunction::Sum, DType::F32, sums, [parts, results])
                .lower(output, profile, lowered);
        } else {
            output.finish(sums, profile, lowered);
        }
    }

    fn dispatch(
        &self,
        tile: MatMulTile,
        depths: Depths,
        output: &Output,
        profile: &AdapterProfile,
        lowered: &mut Lowered,
    ) {
        let mut module = lowered.module();
        module.contract();
        let (rows, columns) = match tile {
            MatMulTile::Vector => (1, 4),
            MatMulTile::Rows { rows, columns } => (rows, columns),
            MatMulTile::Tiled { rows, columns } => (rows, columns),
            MatMulTile::Cooperative { rows, columns, matrix: _ } => (rows, columns),
        };
        let (row_tiles, column_tiles) = (self.m.div_ceil(rows), self.n.div_ceil(columns));
        let strip = match tile {
            MatMulTile::Rows { .. } => strip_width(column_tiles),
            MatMulTile::Vector | MatMulTile::Tiled { .. } | MatMulTile::Cooperative { .. } => 1,
        };
        let tiles = depths.parts * self.batches * row_tiles * column_tiles.next_multiple_of(strip);
        let workgroup = match tile {
            MatMulTile::Tiled { .. } | MatMulTile::Cooperative { .. } => 1,
            MatMulTile::Vector | MatMulTile::Rows { .. } => module.long_running_workgroup(profile),
        };
        module.parameter("tiles", tiles);
        module.parameter("column_tiles", column_tiles.next_multiple_of(strip));
        module.parameter("row_tiles", row_tiles);
        module.parameter("rows", self.m);
        module.parameter("columns", self.n);
        module.parameter("batches", self.batches);
        module.parameter("depth", self.k);
        module.parameter("depth_begin", depths.begin);
        module.parameter("depth_span", depths.span);
        module.parameter("part_depth", depths.part_depth);
        let has_rest = !self.k.is_multiple_of(4);
        let rest: &[&str] = if has_rest { &["depth has a rest"] } else { &[] };
        let width = if self.n.is_multiple_of(4) { 4 } else { 1 };
        let stores = Stores::of(profile, tile, width);
        let (skeleton, label) = match tile {
            MatMulTile::Tiled { rows, columns } => {
                module.parameter("parts", depths.parts);
                self.declare_elements(&mut module, "lhs", &self.lhs, "row", "row", "depth");
                self.declare_elements(&mut module, "rhs", &self.rhs, "column", "depth", "column");
                let groups = [rows / TILED_SIDE, columns / TILED_SIDE];
                module.declare(format!(
                    "const ROW_GROUPS: u32 = {}u;\nconst COLUMN_GROUPS: u32 = {}u;",
                    groups[0], groups[1]
                ));
                (expand(include_str!("../../shaders/matmul_tiled.wgsl"), groups, &[]), "matmul_tiled")
            }
            MatMulTile::Cooperative { rows, columns, matrix } => {
                module.parameter("parts", depths.parts);
                (self.declare_cooperative(&mut module, [rows, columns], matrix), "matmul_cooperative")
            }
            MatMulTile::Rows { rows, columns } => {
                module.declare(format!("const ROWS: u32 = {rows}u;\nconst COLUMNS: u32 = {columns}u;"));
                self.declare_tiles(&mut module, ["lhs", "lhs_rows", "lhs_tile", "lhs_step"], &self.lhs, has_rest);
                self.declare_tiles(&mut module, ["rhs", "rhs_columns", "rhs_tile", "rhs_step"], &self.rhs, has_rest);
                module.parameter("strip", strip);
                let conditions = [stores.conditions(), rest].concat();
                (
                    expand(include_str!("../../shaders/matmul_rows.wgsl"), [rows / 4, columns / 4], &conditions),
                    "matmul_rows",
                )
            }
            MatMulTile::Vector => {
                self.declare_vector(&mut module, has_rest);
                self.declare_tiles(&mut module, ["rhs", "rhs_columns", "rhs_tile", "rhs_step"], &self.rhs, has_rest);
                (expand(include_str!("../../shaders/matmul_vector.wgsl"), [1, 1], rest), "matmul_vector")
            }
        };
        stores.declare(&mut module, width);
        output.bound().declare_write(&mut module, width, Some(DType::F32));
        let elements = rows * columns;
        let operations = elements.saturating_mul(depths.span.min(self.k) / 2 + output.operations());
        let depth = depths.span.min(self.k);
        let iterations = match tile {
            MatMulTile::Rows { .. } => depth / 4 + depth / 64 + 5 + stores.iterations(rows),
            MatMulTile::Vector => depth / 4 + depth / 64 + 5,
            MatMulTile::Tiled { .. } => depth.div_ceil(16) * 17,
            MatMulTile::Cooperative { rows, columns, matrix } => {
                depth.div_ceil(COOPERATIVE_DEPTH) * cooperative_iterations(rows, columns, matrix)
                    + cooperative_stores(rows, columns, matrix)
            }
        };
        match tile {
            MatMulTile::Tiled { .. } => module.work_together(TILED_WORKGROUP),
            MatMulTile::Cooperative { columns, matrix, .. } => {
                module.work_together(cooperative_subgroups(columns) * matrix.subgroup as usize);
            }
            MatMulTile::Vector | MatMulTile::Rows { .. } => {}
        }
        module.dispatch(
            &skeleton,
            label,
            Grid { count: tiles, each: workgroup, operations, iterations },
            profile,
            lowered,
        );
    }

    /// The lines that start at the first element of a batch's matrix, in units of `unit` elements.
    fn batch_start(&self, module: &mut Module, side: &str, operand: &Operand, unit: usize) -> String {
        let mut text = String::new();
        let offset = module.parameter(format!("{side}_offset"), operand.offset / unit);
        let _ = writeln!(text, "    var start = {offset};");
        let mut rest = "batch".to_owned();
        let axes = operand.batch.as_slice();
        for (place, axis) in axes.iter().enumerate().rev() {
            if axes[..=place].iter().all(|axis| axis.stride == 0) {
                break;
            }
            let coordinate = if place == 0 {
                rest.clone()
            } else {
                let extent = module.parameter(format!("{side}_batch_extent_{place}"), axis.extent);
                let coordinate = format!("({rest} % {extent})");
                let _ = writeln!(text, "    let batch_{place} = {rest} / {extent};");
                rest = format!("batch_{place}");
                coordinate
            };
            if axis.stride != 0 {
                let stride = module.stride(format!("{side}_batch_stride_{place}"), axis.stride / unit as isize);
                let _ = writeln!(text, "    start += {coordinate} * {stride};");
            }
        }
        text
    }

    /// Declares where four rows (or columns) start, the tile of four depths there, and, for a depth that four does not divide,
    /// the numbers of a single depth.
    fn declare_tiles(&self, module: &mut Module, names: [&str; 4], operand: &Operand, has_rest: bool) {
        let [side, starts, tile, step] = names;
        let layout = operand.layout(module);
        let unit = if layout == Layout::Scalars { 1 } else { 4 };
        let vector = (unit == 4).then(|| operand.bind_vectors(module));
        let vector = |place: String| vector.as_ref().map_or_else(String::new, |vector| vector(&place));
        let start = self.batch_start(module, side, operand, unit);
        let (extent, along) = if side == "lhs" { ("parameters.rows", "row") } else { ("parameters.columns", "column") };
        // Where the four rows (or columns) from `first` on begin. Past the last it is the last.
        let four = |module: &mut Module| {
            let along = Distance::of(module, format!("{side}_{along}"), format!("{side}_stride"), &operand.along, unit);
            let last = format!("min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>({extent} - 1u))");
            match along {
                Distance::Strided(stride) => format!("start + {last} * {stride}"),
                Distance::Walked(function) => {
                    let each = ["x", "y", "z", "w"].map(|lane| format!("{function}(last.{lane})")).join(", ");
                    format!("start + vec4<u32>({each})")
                }
            }
        };
        let depth_distance = |module: &mut Module| {
            Distance::of(module, format!("{side}_depth"), format!("{side}_depth_stride"), &operand.depth, unit)
        };
        // A vector of the extent is inside or outside as a whole. Its stride then is 1, and the depth's is what counts.
        let (p, starts_text, load, step_load) = match layout {
            Layout::ExtentVectors => {
                let first = format!("min(first, {extent} - 4u) / 4u");
                let first = if operand.along.is_unit() {
                    first
                } else {
                    let fours = in_fours(&operand.along);
                    let function = format!("{side}_{along}_position");
                    declare_position(module, &function, &fours, 0);
                    format!("{function}({first})")
                };
                let (p, loads, step_load) = match depth_distance(module) {
                    Distance::Strided(stride) => (
                        format!("starts.x + depth * {stride}"),
                        [0, 1, 2, 3].map(|d| vector(format!("p + {d}u * {stride}"))),
                        vector(format!("starts.x + depth * {stride}")),
                    ),
                    Distance::Walked(function) => (
                        "starts.x".to_owned(),
                        [0, 1, 2, 3].map(|d| vector(format!("p + {function}(depth + {d}u)"))),
                        vector(format!("starts.x + {function}(depth)")),
                    ),
                };
                (p, format!("vec4<u32>(start + {first})"), format!("mat4x4<f32>({})", loads.join(", ")), step_load)
            }
            Layout::DepthVectors => {
                let loads = ["x", "y", "z", "w"].map(|lane| vector(format!("starts.{lane} + p"))).join(", ");
                let p = if operand.depth.is_unit() {
                    "depth / 4u".to_owned()
                } else {
                    let function = format!("{side}_depth_position");
                    declare_position(module, &function, &in_fours(&operand.depth), 0);
                    format!("{function}(depth / 4u)")
                };
                // Depths divide by four here, so that no step is ever called for.
                (p, four(module), format!("mat4x4<f32>({loads})"), String::new())
            }
            Layout::Scalars => {
                let starts_text = four(module);
                let (p, at, step_at) = match depth_distance(module) {
                    Distance::Strided(stride) => (
                        format!("depth * {stride}"),
                        [0, 1, 2, 3].map(|d| format!("p + {d}u * {stride}")),
                        format!("depth * {stride}"),
                    ),
                    Distance::Walked(function) => (
                        format!("vec4<u32>({})", [0, 1, 2, 3].map(|d| format!("{function}(depth + {d}u)")).join(", ")),
                        ["x", "y", "z", "w"].map(|lane| format!("p.{lane}")),
                        format!("{function}(depth)"),
                    ),
                };
                let mut column = |lane: &str| {
                    let loads = at.each_ref().map(|at| operand.element(module, &format!("starts.{lane} + {at}")));
                    format!("vec4<f32>({})", loads.join(", "))
                };
                let columns = ["x", "y", "z", "w"].map(&mut column).join(", ");
                let step_loads =
                    ["x", "y", "z", "w"].map(|lane| operand.element(module, &format!("starts.{lane} + {step_at}")));
                (p, starts_text, format!("mat4x4<f32>({columns})"), format!("vec4<f32>({})", step_loads.join(", ")))
            }
        };
        let last = if starts_text.contains("last.") {
            format!(
                "    let last = min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>({extent} - 1u));\n"
            )
        } else {
            String::new()
        };
        module.declare(format!(
            "fn {starts}(batch: u32, first: u32) -> vec4<u32> {{\n{start}{last}    return {starts_text};\n}}\n"
        ));
        // As loaded, columns of the matrix are depths for vectors of the extent, else rows of lhs or columns of rhs. A tile of
        // lhs has rows of lhs in its columns, a tile of rhs depths.
        let transpose = (layout == Layout::ExtentVectors) == (side == "lhs");
        let value = if transpose { format!("transpose({load})") } else { load };
        module.declare(format!(
            "fn {tile}(starts: vec4<u32>, depth: u32) -> mat4x4<f32> {{\n    let p = {p};\n    return {value};\n}}\n"
        ));
        if has_rest {
            module.declare(format!(
                "fn {step}(starts: vec4<u32>, depth: u32) -> vec4<f32> {{\n    return {step_load};\n}}\n"
            ));
        }
    }

    /// Declares where the single row of lhs starts, four depths of it and one.
    fn declare_vector(&self, module: &mut Module, has_rest: bool) {
        let operand = &self.lhs;
        let vectors = operand.layout(module) == Layout::DepthVectors;
        let unit = if vectors { 4 } else { 1 };
        let vector = vectors.then(|| operand.bind_vectors(module));
        let start = self.batch_start(module, "lhs", operand, unit);
        module.declare(format!("fn lhs_rows(batch: u32, row: u32) -> u32 {{\n{start}    return start;\n}}\n"));
        let mut scalar = String::new();
        let value = if let Some(vector) = &vector {
            if operand.depth.is_unit() {
                vector("start + depth / 4u")
            } else {
                declare_position(module, "lhs_depth_position", &in_fours(&operand.depth), 0);
                vector("start + lhs_depth_position(depth / 4u)")
            }
        } else {
            let distance =
                Distance::of(module, "lhs_depth".to_owned(), "lhs_depth_stride".to_owned(), &operand.depth, unit);
            let mut element = |depth: &str| operand.element(module, &format!("start + {}", distance.at(depth)));
            let loads = [0, 1, 2, 3].map(|d| element(&format!("(depth + {d}u)")));
            scalar = element("depth");
            format!("vec4<f32>({})", loads.join(", "))
        };
        module.declare(format!("fn lhs_vector(start: u32, depth: u32) -> vec4<f32> {{\n    return {value};\n}}\n"));
        if has_rest {
            module.declare(format!("fn lhs_scalar(start: u32, depth: u32) -> f32 {{\n    return {scalar};\n}}\n"));
        }
    }

    /// Declares what `matmul_tiled` reads an operand with.
    fn declare_elements(
        &self,
        module: &mut Module,
        side: &str,
        operand: &Operand,
        along: &str,
        first: &str,
        second: &str,
    ) {
        let start = self.batch_start(module, side, operand, 1);
        module.declare(format!("fn {side}_start(batch: u32) -> u32 {{\n{start}    return start;\n}}\n"));
        let distance = Distance::of(module, format!("{side}_{along}"), format!("{side}_stride"), &operand.along, 1);
        let depth_distance =
            Distance::of(module, format!("{side}_depth"), format!("{side}_depth_stride"), &operand.depth, 1);
        let place = format!("start + {} + {}", distance.at(along), depth_distance.at("depth"));
        let element = operand.element(module, &place);
        module.declare(format!(
            "fn {side}_element(start: u32, {first}: u32, {second}: u32) -> f32 {{\n    \
             if {along} >= parameters.{along}s || depth >= parameters.depth {{\n        return 0.0;\n    }}\n    \
             return {element};\n}}\n"
        ));
        // Neighbouring invocations take neighbouring depths where those lie side by side.
        let is_along_depth = operand.depth.as_slice().last().is_some_and(|inner| inner.stride == 1);
        let (group, depth) = if is_along_depth { ("/", "%") } else { ("%", "/") };
        if side == "lhs" {
            module.declare("struct Place {\n    group: u32,\n    depth: u32,\n}\n");
        }
        module.declare(format!(
            "fn {side}_place(local_index: u32) -> Place {{\n    return Place(local_index {group} 16u, local_index {depth} 16u);\n}}\n"
        ));
    }
}

/// Writes the lines of a skeleton between `//for each group` and `//end` once for each group of rows, or where they have no
/// `@`, and within each group lines with `#`, once for each group of columns; those between `//for each tile` and `//end` once for each pair
/// of groups. Drops what stands between `//if` with a condition and its end unless that is one of those that hold.
fn expand(skeleton: &str, [row_groups, column_groups]: [usize; 2], conditions: &[&str]) -> String {
    let mut text = String::new();
    let mut lines = skeleton.lines();
    let mut kept = true;
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if let Some(condition) = trimmed.strip_prefix("//if ") {
            kept = conditions.contains(&condition);
            continue;
        }
        match trimmed {
            "//end" => kept = true,
            "//for each group" => {
                let body: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "//end").collect();
                let by_rows = body.iter().any(|line| line.contains('@'));
                for row in (0..if by_rows { row_groups } else { 1 }).filter(|_| kept) {
                    for line in &body {
                        for column in 0..if line.contains('#') { column_groups } else { 1 } {
                            text.push_str(&line.replace('@', &row.to_string()).replace('#', &column.to_string()));
                            text.push('\n');
                        }
                    }
                }
            }
            "//for each tile" => {
                let body: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "//end").collect();
                for (row, column) in (0..row_groups).flat_map(|row| (0..column_groups).map(move |column| (row, column)))
                {
                    for line in &body {
                        text.push_str(&line.replace('@', &row.to_string()).replace('#', &column.to_string()));
                        text.push('\n');
                    }
                }
            }
            // Comments and attributes of the skeleton have the signs as such.
            _ if kept => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    text
}
