//! What `matmul_cooperative` is told of the operands: how their elements come into a workgroup's memory, and where a subgroup finds its
//! matrices there.

use crate::wgsl::CooperativeMatrix;
use crate::wgsl::emit::buffer_name;
use crate::wgsl::matmul::operand::{Distance, Layout, Operand, in_fours};
use crate::wgsl::matmul::{Product, expand};
use crate::wgsl::module::Module;
use crate::wgsl::positions::declare_position;
use crate::wgsl::tiles::{COOPERATIVE_DEPTH, LINE_GAP, cooperative_subgroups};

/// The columns that a subgroup computes.
const SUBGROUP_COLUMNS: usize = 32;

/// Which way four neighbours of an operand go that are one vector of a workgroup's memory: the way in which they lie side by side in the buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fours {
    /// A line is a row of lhs or a column of rhs.
    Depths,
    /// A line is a depth.
    Extents,
}

impl Product {
    /// Declares all that the skeleton needs for tiles of so many rows and columns, and gives its text.
    pub(super) fn declare_cooperative(
        &self,
        module: &mut Module,
        [rows, columns]: [usize; 2],
        matrix: CooperativeMatrix,
    ) -> String {
        module.enable_cooperative_matrices();
        let side = matrix.side as usize;
        let subgroups = cooperative_subgroups(columns);
        let invocations = subgroups * matrix.subgroup as usize;
        module.declare(format!(
            "const ROWS: u32 = {rows}u;\nconst COLUMNS: u32 = {columns}u;\nconst DEPTH: u32 = {COOPERATIVE_DEPTH}u;\nconst \
             SIDE: u32 = {side}u;\nconst SUBGROUPS: u32 = {subgroups}u;\nconst SUBGROUP_SIZE: u32 = {}u;\nconst \
             INVOCATIONS: u32 = {invocations}u;",
            matrix.subgroup
        ));
        let name = |of: &str, role: &str| format!("alias Matrix{role} = coop_mat{side}x{side}<{of}, {role}>;\n");
        module.declare([name("f16", "A"), name("f16", "B"), name("f32", "C")].concat());
        let lhs = self.declare_lines(module, "lhs", &self.lhs, rows);
        let rhs = self.declare_lines(module, "rhs", &self.rhs, columns);
        // The rows of a matrix of lhs are rows, those of one of rhs depths: lines of the memory are rows of it, or columns.
        let load = |is_row_major: bool| if is_row_major { "coopLoadT" } else { "coopLoad" };
        let groups = [rows / 2 / side, SUBGROUP_COLUMNS / side];
        expand(include_str!("../../../shaders/matmul_cooperative.wgsl"), groups, &[])
            .replace("load_lhs", load(lhs == Fours::Depths))
            .replace("load_rhs", load(rhs == Fours::Extents))
    }

    /// Declares, for tiles of so many rows (or columns), the lines in which the operand comes into the memory: `SIDE_start`, where a batch begins;
    /// `SIDE_four`, four neighbours of a tile by their number; `SIDE_place`, where they stand in the memory; and `SIDE_at`, where a
    /// subgroup's matrix begins there.
    fn declare_lines(&self, module: &mut Module, side: &str, operand: &Operand, extent: usize) -> Fours {
        let (along, extent_name) = if side == "lhs" { ("row", "rows") } else { ("column", "columns") };
        let layout = operand.layout(module);
        let fours = match layout {
            Layout::DepthVectors => Fours::Depths,
            Layout::ExtentVectors => Fours::Extents,
            Layout::Scalars if operand.depth.as_slice().last().is_some_and(|inner| inner.stride == 1) => Fours::Depths,
            Layout::Scalars => Fours::Extents,
        };
        let (lines, elements) = match fours {
            Fours::Depths => (extent, COOPERATIVE_DEPTH),
            Fours::Extents => (COOPERATIVE_DEPTH, extent),
        };
        let (in_line, stride) = (elements / 4, (elements + LINE_GAP) / 4);
        let upper = side.to_uppercase();
        module.declare(format!(
            "const {upper}_FOURS: u32 = {}u;\nconst {upper}_STRIDE: u32 = {stride}u;\nvar<workgroup> {side}_tile: \
             array<vec4<f16>, {}>;",
            lines * in_line,
            lines * stride,
        ));
        let unit = if layout == Layout::Scalars { 1 } else { 4 };
        let start = self.batch_start(module, side, operand, unit);
        module.declare(format!("fn {side}_start(batch: u32) -> u32 {{\n{start}    return start;\n}}"));
        let buffer = buffer_name(operand.resource);
        let value = if layout == Layout::Scalars {
            module.bind_f16(operand.resource, buffer.clone(), 1);
            let along_distance =
                Distance::of(module, format!("{side}_{along}"), format!("{side}_stride"), &operand.along, 1);
            let depth_distance =
                Distance::of(module, format!("{side}_depth"), format!("{side}_depth_stride"), &operand.depth, 1);
            module.declare(format!(
                "fn {side}_element(start: u32, {along}: u32, depth: u32) -> f16 {{\n    \
                 if ({along} >= parameters.{extent_name}) | (depth >= parameters.depth) {{\n        return f16();\n    }}\n    \
                 return {buffer}[start + {} + {}];\n}}",
                along_distance.at(along),
                depth_distance.at("depth"),
            ));
            let element = |step: u32| match fours {
                Fours::Depths => format!("{side}_element(start, {along}, depth + {step}u)"),
                Fours::Extents => format!("{side}_element(start, {along} + {step}u, depth)"),
            };
            format!("vec4<f16>({})", [0, 1, 2, 3].map(element).join(", "))
        } else {
            module.bind_f16(operand.resource, buffer.clone(), 4);
            // The one of both in which four neighbours are a vector, counted in such.
            let counted = |module: &mut Module, name: &str, axes: &crate::Axes| {
                if axes.is_unit() {
                    return format!("{name} / 4u");
                }
                let function = format!("{side}_{name}_position");
                declare_position(module, &function, &in_fours(axes), 0);
                format!("{function}({name} / 4u)")
            };
            let place = match fours {
                Fours::Depths => {
                    let lines =
                        Distance::of(module, format!("{side}_{along}"), format!("{side}_stride"), &operand.along, 4);
                    format!("{} + {}", lines.at(along), counted(module, "depth", &operand.depth))
                }
                Fours::Extents => {
                    let lines = Distance::of(
                        module,
                        format!("{side}_depth"),
                        format!("{side}_depth_stride"),
                        &operand.depth,
                        4,
                    );
                    format!("{} + {}", lines.at("depth"), counted(module, along, &operand.along))
                }
            };
            format!("{buffer}[start + {place}]")
        };
        let (line, four) = match fours {
            Fours::Depths => (along, "depth"),
            Fours::Extents => ("depth", along),
        };
        // A vector is inside or outside as a whole, and single elements look for themselves.
        let outside = match layout {
            Layout::Scalars => String::new(),
            Layout::DepthVectors | Layout::ExtentVectors => format!(
                "    if ({along} >= parameters.{extent_name}) | (depth >= parameters.depth) {{\n        return \
                 vec4<f16>();\n    }}\n"
            ),
        };
        module.declare(format!(
            "fn {side}_four(start: u32, first_{along}: u32, first_depth: u32, number: u32) -> vec4<f16> {{\n    \
             let {line} = first_{line} + number / {in_line}u;\n    \
             let {four} = first_{four} + number % {in_line}u * 4u;\n{outside}    return {value};\n}}"
        ));
        module.declare(format!(
            "fn {side}_place(number: u32) -> u32 {{\n    return number / {in_line}u * {upper}_STRIDE + number % {in_line}u;\n}}"
        ));
        let (line, four) = match fours {
            Fours::Depths => (along, "depth"),
            Fours::Extents => ("depth", along),
        };
        module.declare(format!(
            "fn {side}_at({along}: u32, depth: u32) -> u32 {{\n    return {line} * {upper}_STRIDE + {four} / 4u;\n}}"
        ));
        fours
    }
}
