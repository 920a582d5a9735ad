//! How the results of a product leave the registers of an invocation.

use std::fmt::Write;

use crate::wgsl::module::Module;
use crate::wgsl::tiles::MatMulTile;
use crate::wgsl::{AdapterClass, AdapterProfile};

/// The way of the results of a tile into the epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stores {
    /// Each by code of its own.
    AtOnce,
    /// By a loop over the lines of a tile, in which each four columns have an epilogue. A software adapter's compiler takes longer for
    /// 128 epilogues of a tile than many a program runs.
    InTurnByFours,
    /// By a loop over the lines of a tile and one of each four columns, where rows are no whole fours.
    InTurnOneByOne,
}

impl Stores {
    /// How the results of a tile are stored, so many at a time.
    pub(super) fn of(profile: &AdapterProfile, tile: MatMulTile, width: usize) -> Self {
        match (profile.class, tile) {
            (AdapterClass::Cpu, MatMulTile::Rows { .. }) if width == 4 => Stores::InTurnByFours,
            (AdapterClass::Cpu, MatMulTile::Rows { .. }) => Stores::InTurnOneByOne,
            (AdapterClass::Cpu | AdapterClass::Gpu, _) => Stores::AtOnce,
        }
    }

    /// What holds of `matmul_rows` then.
    pub(super) fn conditions(self) -> &'static [&'static str] {
        match self {
            Stores::AtOnce => &["results are stored at once"],
            Stores::InTurnByFours => &["results are stored in turn by fours"],
            Stores::InTurnOneByOne => &["results are stored in turn one by one"],
        }
    }

    /// How often the loop goes round for a tile of so many rows.
    pub(super) fn iterations(self, rows: usize) -> usize {
        match self {
            Stores::AtOnce => 0,
            Stores::InTurnByFours => rows,
            Stores::InTurnOneByOne => 4 * rows,
        }
    }

    /// Declares what hands the results of a row to `write_block`: `store_row`, four results from a column on, which rows of whole fours have
    /// all or not at all; or `store_number`, one of them.
    pub(super) fn declare(self, module: &mut Module, width: usize) {
        let index = "let index = (batch * parameters.rows + row) * parameters.columns + column;";
        let inside = "(row < parameters.rows) & (column < parameters.columns)";
        if self == Stores::InTurnOneByOne {
            module.declare(format!(
                "fn store_number(batch: u32, row: u32, column: u32, sum: f32) {{\n    {index}\n    if {inside} {{\n        \
                 write_block(index, sum);\n    }}\n}}\n"
            ));
            return;
        }
        let mut text = format!("fn store_row(batch: u32, row: u32, column: u32, sums: vec4<f32>) {{\n    {index}\n");
        if width == 4 {
            let _ = write!(text, "    if {inside} {{\n        write_block(index, sums);\n    }}\n");
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
    }
}
