//! The totals of a partition of rows: what folds over rows have met there.

use arenagrad_graph::{DType, ReduceFunction};

use super::code::Translation;
use super::fold::{ColumnTotals, LaneTotals, lane_identity};
use crate::cpu::reducible::Reducible;
use crate::cpu::registers::LANES;
use crate::cpu::total::Compensated;

/// A total for each lane, of any type.
#[derive(Clone, Debug)]
pub(super) enum RunTotal {
    F32(LaneTotals<f32>),
    F64(LaneTotals<f64>),
    I32(LaneTotals<i32>),
}

/// The totals of all columns, of any type.
#[derive(Clone, Debug)]
pub(super) enum ColumnTotal {
    F32(ColumnTotals<f32>),
    F64(ColumnTotals<f64>),
    I32(ColumnTotals<i32>),
}

/// A type that folds are defined for.
pub(super) trait Foldable: Reducible {
    fn run_total(total: &RunTotal) -> &LaneTotals<Self>;
    fn run_total_mut(total: &mut RunTotal) -> &mut LaneTotals<Self>;
    fn column_total(total: &ColumnTotal) -> &ColumnTotals<Self>;
    fn column_total_mut(total: &mut ColumnTotal) -> &mut ColumnTotals<Self>;
}

macro_rules! foldable {
    ($($element:ty, $variant:ident;)*) => {$(
        impl Foldable for $element {
            fn run_total(total: &RunTotal) -> &LaneTotals<Self> {
                if let RunTotal::$variant(lanes) = total { lanes } else { wrong_dtype() }
            }

            fn run_total_mut(total: &mut RunTotal) -> &mut LaneTotals<Self> {
                if let RunTotal::$variant(lanes) = total { lanes } else { wrong_dtype() }
            }

            fn column_total(total: &ColumnTotal) -> &ColumnTotals<Self> {
                if let ColumnTotal::$variant(columns) = total { columns } else { wrong_dtype() }
            }

            fn column_total_mut(total: &mut ColumnTotal) -> &mut ColumnTotals<Self> {
                if let ColumnTotal::$variant(columns) = total { columns } else { wrong_dtype() }
            }
        }
    )*};
}
foldable! {
    f32, F32;
    f64, F64;
    i32, I32;
}

#[cold]
fn wrong_dtype() -> ! {
    panic!("a total is of its fold's dtype")
}

#[cold]
pub(super) fn not_foldable() -> ! {
    panic!("a fold is not defined for bool")
}

impl RunTotal {
    pub(super) fn new(dtype: DType) -> RunTotal {
        match dtype {
            DType::F32 => RunTotal::F32([0.0; LANES]),
            DType::F64 => RunTotal::F64([Compensated::default(); LANES]),
            DType::I32 => RunTotal::I32([0; LANES]),
            DType::Bool => not_foldable(),
        }
    }

    /// Makes the total ready for the first elements.
    pub(super) fn clear(&mut self, function: ReduceFunction) {
        match self {
            RunTotal::F32(lanes) => *lanes = lane_identity::<f32>(function),
            RunTotal::F64(lanes) => *lanes = lane_identity::<f64>(function),
            RunTotal::I32(lanes) => *lanes = lane_identity::<i32>(function),
        }
    }
}

impl ColumnTotal {
    fn new(dtype: DType, columns: usize) -> ColumnTotal {
        match dtype {
            DType::F32 => ColumnTotal::F32(ColumnTotals::new(columns)),
            DType::F64 => ColumnTotal::F64(ColumnTotals::new(columns)),
            DType::I32 => ColumnTotal::I32(ColumnTotals::new(columns)),
            DType::Bool => not_foldable(),
        }
    }

    fn clear(&mut self, function: ReduceFunction) {
        match self {
            ColumnTotal::F32(columns) => columns.clear(function),
            ColumnTotal::F64(columns) => columns.clear(function),
            ColumnTotal::I32(columns) => columns.clear(function),
        }
    }
}

/// The totals of a partition.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    /// Of the folds that give columns.
    pub(super) columns: Vec<ColumnTotal>,
    /// Of the folds that give the whole.
    pub(super) whole: Vec<RunTotal>,
}

impl Totals {
    pub(super) fn new(translation: &Translation, columns: usize) -> Totals {
        let [_, _, of_columns, of_whole] = &translation.totals;
        Totals {
            columns: of_columns.iter().map(|total| ColumnTotal::new(total.dtype, columns)).collect(),
            whole: of_whole.iter().map(|total| RunTotal::new(total.dtype)).collect(),
        }
    }

    /// Makes the totals ready for the first elements.
    pub(super) fn clear(&mut self, translation: &Translation) {
        let [_, _, of_columns, of_whole] = &translation.totals;
        for (total, fold) in self.columns.iter_mut().zip(of_columns) {
            total.clear(fold.function);
        }
        for (total, fold) in self.whole.iter_mut().zip(of_whole) {
            total.clear(fold.function);
        }
    }
}
