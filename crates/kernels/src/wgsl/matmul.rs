//! Lowering of matrix products.

use std::fmt::Write;

use crate::wgsl::emit::buffer_name;
use crate::wgsl::module::{Grid, Module};
use crate::wgsl::output::{Output, new_scratch};
use crate::wgsl::reduce::Reduction;
use crate::wgsl::tiles::{MatMulTile, TILED_SIDE, depth_parts, matmul_tile, span_depth, strip_width};
use crate::wgsl::{AdapterProfile, Lowered, Resource};
use crate::{BatchAxis, DType, Matrix, ReduceFunction};

/// One operand: `[extent, depth]` for lhs, and for rhs the columns instead of the rows, `[extent, depth]` of its transpose.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    resource: Resource,
    offset: usize,
    /// The distance between neighbouring rows of lhs, or columns of rhs.
    stride: usize,
    /// The distance between neighbouring depths.
    depth_stride: usize,
    /// The distances between neighbours along the batch axes.
    batch_strides: Vec<usize>,
    /// The number of rows or columns.
    extent: usize,
}

/// How four by four numbers of an operand are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Four neighbouring depths are one vector.
    DepthVectors,
    /// Four neighbouring rows (or columns) are one vector.
    ExtentVectors,
    /// One by one.
    Scalars,
}

/// A product of f32 matrices.
#[derive(Clone, Debug)]
pub(super) struct Product {
    batch: Vec<usize>,
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

impl Operand {
    /// The value of the element at the expression `place`, where elements are read one by one.
    fn element(&self, module: &mut Module, place: &str) -> String {
        let buffer = buffer_name(self.resource);
        module.narrow_element(self.resource, &buffer, place).unwrap_or_else(|| {
            module.bind(self.resource, false, buffer.clone(), "f32");
            format!("{buffer}[{place}]")
        })
    }

    fn layout(&self, k: usize) -> Layout {
        let aligned = |other: usize| {
            self.offset.is_multiple_of(4)
                && other.is_multiple_of(4)
                && self.batch_strides.iter().all(|stride| stride.is_multiple_of(4))
        };
        if self.depth_stride == 1 && k.is_multiple_of(4) && (aligned(self.stride) || self.extent == 1 && aligned(0)) {
            Layout::DepthVectors
        } else if self.stride == 1
            && self.extent.is_multiple_of(4)
            && (aligned(self.depth_stride) || k == 1 && aligned(0))
        {
            Layout::ExtentVectors
        } else {
            Layout::Scalars
        }
    }
}

impl Product {
    /// The product that a kernel asks for, its operands in the first two inputs.
    pub(super) fn new(batch: &[BatchAxis], [m, k, n]: [usize; 3], lhs: Matrix, rhs: Matrix) -> Self {
        let product = Product {
            batch: batch.iter().map(|axis| axis.extent).collect(),
            m,
            k,
            n,
            lhs: Operand {
                resource: Resource::Input(0),
                offset: lhs.offset,
                stride: lhs.row_stride,
                depth_stride: lhs.column_stride,
                batch_strides: batch.iter().map(|axis| axis.lhs_stride).collect(),
                extent: m,
            },
            rhs: Operand {
                resource: Resource::Input(1),
                offset: rhs.offset,
                stride: rhs.column_stride,
                depth_stride: rhs.row_stride,
                batch_strides: batch.iter().map(|axis| axis.rhs_stride).collect(),
                extent: n,
            },
        };
        if n == 1 && m != 1 { product.transposed() } else { product }
    }

    /// The product of the exchanged transposes. A single row or column lies in memory alike.
    fn transposed(self) -> Self {
        Product { m: self.n, n: self.m, lhs: self.rhs, rhs: self.lhs, ..self }
    }

    fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    /// Appends the dispatches that compute the product into `output`.
    pub(super) fn lower(&self, output: Output, profile: &AdapterProfile, lowered: &mut Lowered) {
        let results = self.batches() * self.m * self.n;
        let tile = matmul_tile(profile, self.batches(), self.m, self.n);
        let spans = self.k.div_ceil(span_depth(profile, tile));
        // Spans of equal lengths: multiples of sixteen, which keeps loads of several depths aligned.
        let span = self.k.div_ceil(spans).next_multiple_of(16);
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
            MatMulTile::Tiled => (TILED_SIDE, TILED_SIDE),
        };
        let (row_tiles, column_tiles) = (self.m.div_ceil(rows), self.n.div_ceil(columns));
        let strip = match tile {
            MatMulTile::Rows { .. } => strip_width(column_tiles),
            MatMulTile::Vector | MatMulTile::Tiled => 1,
        };
        let tiles = depths.parts * self.batches() * row_tiles * column_tiles.next_multiple_of(strip);
        let workgroup = match tile {
            MatMulTile::Tiled => 1,
            MatMulTile::Vector | MatMulTile::Rows { .. } => module.long_running_workgroup(profile),
        };
        module.parameter("tiles", tiles);
        module.parameter("column_tiles", column_tiles.next_multiple_of(strip));
        module.parameter("row_tiles", row_tiles);
        module.parameter("rows", self.m);
        module.parameter("columns", self.n);
        module.parameter("batches", self.batches());
        module.parameter("depth", self.k);
        module.parameter("depth_begin", depths.begin);
        module.parameter("depth_span", depths.span);
        module.parameter("part_depth", depths.part_depth);
        let has_rest = !self.k.is_multiple_of(4);
        let (skeleton, label) = match tile {
            MatMulTile::Tiled => {
                module.parameter("parts", depths.parts);
                self.declare_elements(&mut module, "lhs", &self.lhs, "row", "row", "depth");
                self.declare_elements(&mut module, "rhs", &self.rhs, "column", "depth", "column");
                (include_str!("../../shaders/matmul_tiled.wgsl").to_owned(), "matmul_tiled")
            }
            MatMulTile::Rows { rows, columns } => {
                module.declare(format!("const ROWS: u32 = {rows}u;\nconst COLUMNS: u32 = {columns}u;"));
                self.declare_tiles(&mut module, ["lhs", "lhs_rows", "lhs_tile", "lhs_step"], &self.lhs, has_rest);
                self.declare_tiles(&mut module, ["rhs", "rhs_columns", "rhs_tile", "rhs_step"], &self.rhs, has_rest);
                module.parameter("strip", strip);
                (
                    expand(include_str!("../../shaders/matmul_rows.wgsl"), [rows / 4, columns / 4], has_rest),
                    "matmul_rows",
                )
            }
            MatMulTile::Vector => {
                self.declare_vector(&mut module, has_rest);
                self.declare_tiles(&mut module, ["rhs", "rhs_columns", "rhs_tile", "rhs_step"], &self.rhs, has_rest);
                (expand(include_str!("../../shaders/matmul_vector.wgsl"), [1, 1], has_rest), "matmul_vector")
            }
        };
        let width = if self.n.is_multiple_of(4) { 4 } else { 1 };
        let mut text = "fn store_row(batch: u32, row: u32, column: u32, sums: vec4<f32>) {\n    \
                        let index = (batch * parameters.rows + row) * parameters.columns + column;\n"
            .to_owned();
        if width == 4 {
            text.push_str("    if row < parameters.rows && column < parameters.columns {\n        write_block(index, sums);\n    }\n");
        } else {
            text.push_str("    if row >= parameters.rows {\n        return;\n    }\n");
            for (lane, component) in ["x", "y", "z", "w"].iter().enumerate() {
                let _ = write!(
                    text,
                    "    if column + {lane}u < parameters.columns {{\n        write_block(index + {lane}u, sums.{component});\n    }}\n"
                );
            }
        }
        text.push_str("}\n");
        module.declare(text);
        output.bound().declare_write(&mut module, width, Some(DType::F32));
        let elements = rows * columns;
        let operations = elements.saturating_mul(depths.span.min(self.k) / 2 + output.operations());
        module.dispatch(&skeleton, label, Grid { count: tiles, each: workgroup, operations }, profile, lowered);
    }

    /// The lines that start at the first element of a batch's matrix, in units of `unit` elements.
    fn batch_start(&self, module: &mut Module, side: &str, operand: &Operand, unit: usize) -> String {
        let mut text = String::new();
        let offset = module.parameter(format!("{side}_offset"), operand.offset / unit);
        let _ = writeln!(text, "    var start = {offset};");
        let mut rest = "batch".to_owned();
        for (axis, stride) in operand.batch_strides.iter().enumerate().rev() {
            if operand.batch_strides[..=axis].iter().all(|stride| *stride == 0) {
                break;
            }
            let coordinate = if axis == 0 {
                rest.clone()
            } else {
                let extent = module.parameter(format!("batch_extent_{axis}"), self.batch[axis]);
                let coordinate = format!("({rest} % {extent})");
                let _ = writeln!(text, "    let batch_{axis} = {rest} / {extent};");
                rest = format!("batch_{axis}");
                coordinate
            };
            if *stride != 0 {
                let stride = module.parameter(format!("{side}_batch_stride_{axis}"), stride / unit);
                let _ = writeln!(text, "    start += {coordinate} * {stride};");
            }
        }
        text
    }

    /// Declares where four rows (or columns) start, the tile of four depths there, and, for a depth that four does not divide,
    /// the numbers of a single depth.
    fn declare_tiles(&self, module: &mut Module, names: [&str; 4], operand: &Operand, has_rest: bool) {
        let [side, starts, tile, step] = names;
        let layout = if module.is_narrow(operand.resource) { Layout::Scalars } else { operand.layout(self.k) };
        let unit = if layout == Layout::Scalars { 1 } else { 4 };
        let buffer = buffer_name(operand.resource);
        if unit == 4 {
            module.bind(operand.resource, false, buffer.clone(), "vec4<f32>");
        }
        let start = self.batch_start(module, side, operand, unit);
        let extent = if side == "lhs" { "parameters.rows" } else { "parameters.columns" };
        // A vector of the extent is inside or outside as a whole. Its stride then is 1, and the depth's is what counts.
        let (starts_text, load, step_load) = match layout {
            Layout::ExtentVectors => {
                let stride = module.parameter(format!("{side}_depth_stride"), operand.depth_stride / unit);
                (
                    format!("vec4<u32>(start + min(first, {extent} - 4u) / 4u)"),
                    format!(
                        "mat4x4<f32>({})",
                        (0..4).map(|d| format!("{buffer}[p + {d}u * {stride}]")).collect::<Vec<_>>().join(", ")
                    ),
                    format!("{buffer}[starts.x + depth * {stride}]"),
                )
            }
            Layout::DepthVectors => {
                let stride = module.parameter(format!("{side}_stride"), operand.stride / unit);
                let loads = ["x", "y", "z", "w"].map(|lane| format!("{buffer}[starts.{lane} + p]")).join(", ");
                (
                    format!(
                        "start + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>({extent} - 1u)) * {stride}"
                    ),
                    format!("mat4x4<f32>({loads})"),
                    // Depths divide by four here, so that no step is ever called for.
                    String::new(),
                )
            }
            Layout::Scalars => {
                let stride = module.parameter(format!("{side}_stride"), operand.stride);
                let depth_stride = module.parameter(format!("{side}_depth_stride"), operand.depth_stride);
                let mut column = |lane: &str| {
                    let place = |d: usize| format!("starts.{lane} + p + {d}u * {depth_stride}");
                    let loads: Vec<String> = (0..4).map(|d| operand.element(module, &place(d))).collect();
                    format!("vec4<f32>({})", loads.join(", "))
                };
                let columns = ["x", "y", "z", "w"].map(&mut column).join(", ");
                let step_loads = ["x", "y", "z", "w"]
                    .map(|lane| operand.element(module, &format!("starts.{lane} + depth * {depth_stride}")));
                (
                    format!(
                        "start + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>({extent} - 1u)) * {stride}"
                    ),
                    format!("mat4x4<f32>({columns})"),
                    format!("vec4<f32>({})", step_loads.join(", ")),
                )
            }
        };
        module.declare(format!(
            "fn {starts}(batch: u32, first: u32) -> vec4<u32> {{\n{start}    return {starts_text};\n}}\n"
        ));
        let p = match layout {
            Layout::DepthVectors => "depth / 4u".to_owned(),
            Layout::ExtentVectors => format!("starts.x + depth * parameters.{side}_depth_stride"),
            Layout::Scalars => format!("depth * parameters.{side}_depth_stride"),
        };
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
        let buffer = buffer_name(operand.resource);
        let vectors = operand.layout(self.k) == Layout::DepthVectors && !module.is_narrow(operand.resource);
        let unit = if vectors { 4 } else { 1 };
        if vectors {
            module.bind(operand.resource, false, buffer.clone(), "vec4<f32>");
        }
        let start = self.batch_start(module, "lhs", operand, unit);
        module.declare(format!("fn lhs_rows(batch: u32, row: u32) -> u32 {{\n{start}    return start;\n}}\n"));
        let value = if vectors {
            format!("{buffer}[start + depth / 4u]")
        } else {
            let stride = module.parameter("lhs_depth_stride", operand.depth_stride);
            let place = |d: usize| format!("start + (depth + {d}u) * {stride}");
            let loads: Vec<String> = (0..4).map(|d| operand.element(module, &place(d))).collect();
            format!("vec4<f32>({})", loads.join(", "))
        };
        module.declare(format!("fn lhs_vector(start: u32, depth: u32) -> vec4<f32> {{\n    return {value};\n}}\n"));
        if has_rest {
            let element = operand.element(module, "start + depth * parameters.lhs_depth_stride");
            module.declare(format!("fn lhs_scalar(start: u32, depth: u32) -> f32 {{\n    return {element};\n}}\n"));
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
        let stride = module.parameter(format!("{side}_stride"), operand.stride);
        let depth_stride = module.parameter(format!("{side}_depth_stride"), operand.depth_stride);
        let element = operand.element(module, &format!("start + {along} * {stride} + depth * {depth_stride}"));
        module.declare(format!(
            "fn {side}_element(start: u32, {first}: u32, {second}: u32) -> f32 {{\n    \
             if {along} >= parameters.{along}s || depth >= parameters.depth {{\n        return 0.0;\n    }}\n    \
             return {element};\n}}\n"
        ));
        // Neighbouring invocations take neighbouring depths where those lie side by side.
        let (group, depth) = if operand.depth_stride == 1 { ("/", "%") } else { ("%", "/") };
        if side == "lhs" {
            module.declare("struct Place {\n    group: u32,\n    depth: u32,\n}\n");
        }
        module.declare(format!(
            "fn {side}_place(local_index: u32) -> Place {{\n    return Place(local_index {group} 16u, local_index {depth} 16u);\n}}\n"
        ));
    }
}

/// Writes the lines of a skeleton between `//for each group` and `//end` once for each group of rows, or where they have no
/// `@`, and within each group lines with `#`, once for each group of columns. Drops what stands between
/// `//if depth has a rest` and its end unless there is one.
fn expand(skeleton: &str, [row_groups, column_groups]: [usize; 2], has_rest: bool) -> String {
    let mut text = String::new();
    let mut lines = skeleton.lines();
    let mut in_rest = false;
    while let Some(line) = lines.next() {
        let kept = has_rest || !in_rest;
        match line.trim() {
            "//if depth has a rest" => in_rest = true,
            "//end" => in_rest = false,
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
