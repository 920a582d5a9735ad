//! What becomes of columns and the whole after all rows: the totals of the partitions are combined in their order, and
//! what the nest computes from them is written.

use arenagrad_graph::DType;

use super::code::Total;
use super::fold::combine_lanes;
use super::rows::{NestScheme, store_section};
use super::totals::{Foldable, Totals, not_foldable};
use crate::Space;
use crate::cpu::ahead::Ahead;
use crate::cpu::buffer::Parts;
use crate::cpu::cache_lines::AtLine;
use crate::cpu::interpret::{Outputs, Sources, run_block, run_prologue};
use crate::cpu::reducible::{combine, identity};
use crate::cpu::registers::{BLOCK, Bank, Lane, Register};

/// The memory of what comes after all rows.
#[derive(Clone, Debug)]
pub(super) struct After {
    columns: Bank,
    whole: Bank,
}

impl After {
    pub(super) fn new(scheme: &NestScheme) -> After {
        let [_, _, columns, whole] = &scheme.translation.setups;
        After { columns: columns.bank(BLOCK), whole: whole.bank(1) }
    }

    /// Computes and writes the values of the whole.
    pub(super) fn run_whole(
        &mut self,
        scheme: &NestScheme,
        sources: &Sources<'_>,
        totals: &[Totals],
        parts: &mut Parts<'_>,
    ) {
        let NestScheme { arch, translation, .. } = scheme;
        for (fold, total) in translation.totals[Space::Whole as usize].iter().enumerate() {
            match total.dtype {
                DType::F32 => combine_whole::<f32>(&mut self.whole, totals, fold, total),
                DType::F64 => combine_whole::<f64>(&mut self.whole, totals, fold, total),
                DType::I32 => combine_whole::<i32>(&mut self.whole, totals, fold, total),
                DType::Bool => not_foldable(),
            }
        }
        run_prologue(*arch, &translation.setups[Space::Whole as usize], &mut self.whole, sources);
        run_block(
            *arch,
            &translation.whole.body,
            &mut self.whole,
            sources,
            Outputs::Written(parts),
            (0, 0..1),
            &mut Ahead::none(),
        );
        store_section(&translation.whole, &self.whole, parts, 0..1);
    }

    /// Computes and writes the values of the columns, when those of the whole are known.
    pub(super) fn run_columns(
        &mut self,
        scheme: &NestScheme,
        sources: &Sources<'_>,
        totals: &[Totals],
        parts: &mut Parts<'_>,
        columns: usize,
    ) {
        let NestScheme { arch, translation, .. } = scheme;
        let section = &translation.columns;
        if section.stores.is_empty() {
            return;
        }
        run_prologue(*arch, &translation.setups[Space::Column as usize], &mut self.columns, sources);
        for transfer in &section.transfers {
            match transfer.dtype {
                DType::F32 => self.transfer::<f32>(transfer.from, transfer.to),
                DType::F64 => self.transfer::<f64>(transfer.from, transfer.to),
                DType::I32 => self.transfer::<i32>(transfer.from, transfer.to),
                DType::Bool => self.transfer::<u8>(transfer.from, transfer.to),
            }
        }
        for start in (0..columns).step_by(BLOCK) {
            let end = columns.min(start + BLOCK);
            for (fold, total) in translation.totals[Space::Column as usize].iter().enumerate() {
                match total.dtype {
                    DType::F32 => combine_columns::<f32>(&mut self.columns, totals, fold, total, start..end),
                    DType::F64 => combine_columns::<f64>(&mut self.columns, totals, fold, total, start..end),
                    DType::I32 => combine_columns::<i32>(&mut self.columns, totals, fold, total, start..end),
                    DType::Bool => not_foldable(),
                }
            }
            run_block(
                *arch,
                &section.body,
                &mut self.columns,
                sources,
                Outputs::Written(parts),
                (0, start..end),
                &mut Ahead::none(),
            );
            store_section(section, &self.columns, parts, start..end);
        }
    }

    /// Brings a value of the whole into the registers of columns.
    fn transfer<T: Lane>(&mut self, from: Register, to: Register) {
        let value = self.whole.varying::<T>(from, 1)[0];
        self.columns.set_uniform(to, value);
    }
}

/// Combines the partitions' totals of a fold that gives the whole.
fn combine_whole<T: Foldable>(bank: &mut Bank, totals: &[Totals], fold: usize, total: &Total) {
    let function = total.function;
    let mut combined = identity::<T>(function).total();
    for partition in totals {
        let lanes = T::run_total(&partition.whole[fold]);
        combined = combine::<T>(function, combined, combine_lanes::<T>(function, lanes));
    }
    bank.varying_mut::<T>(total.result)[0] = T::rounded(combined);
}

/// Combines the partitions' totals of some columns, at most a block.
fn combine_columns<T: Foldable>(
    bank: &mut Bank,
    totals: &[Totals],
    fold: usize,
    total: &Total,
    columns: std::ops::Range<usize>,
) {
    let function = total.function;
    let AtLine(combined) = &mut AtLine([identity::<T>(function).total(); BLOCK]);
    for partition in totals {
        let partition = &T::column_total(&partition.columns[fold]).totals[columns.clone()];
        for (combined, &total) in combined.iter_mut().zip(partition) {
            *combined = combine::<T>(function, *combined, total);
        }
    }
    let results = &mut bank.varying_mut::<T>(total.result)[..columns.len()];
    for (result, &combined) in results.iter_mut().zip(&*combined) {
        *result = T::rounded(combined);
    }
}
