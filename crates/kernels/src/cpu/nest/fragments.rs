//! Fragments of a nest: what its sections compute, with folds among it.

use arenagrad_graph::{DType, StorageType};

use super::code::{Fold, Section, Store, Transfer};
use super::schedule::Layout;
use crate::cpu::ahead::Streams;
use crate::cpu::body::{
    self, AskedAhead, FoldCode, FoldPlace, MOST_AHEAD, MOST_ROWS, Named, Repeated, RowsOfChunks, Wanted,
};
use crate::cpu::machine_code::Vectors;
use crate::cpu::registers::{BLOCK, LANES};
use crate::{Nest, ProgramInput, Space, cost};

/// Makes fragments of the passes over elements, and of what becomes of columns; `kept` is read behind each pass. Gives whether they ask for the next group of rows, and
/// which registers of rows they read.
pub(super) fn make_fragments(
    nest: &Nest,
    passes: &mut [Section],
    columns: &mut Section,
    kept: &[Named],
    (inputs, stored): (&[ProgramInput], &[StorageType]),
    (layout, vectors): (&Layout, Vectors),
) -> (bool, Vec<Named>) {
    let can_be_code = |fold: &Fold| fold.dtype == DType::F32 && layout.folds_whole_chunks(fold.space);
    let ahead = streams_of_passes(nest, passes, inputs, layout);
    let (rows, read) = short_rows(passes, (inputs, stored), layout);
    compile((passes, &ahead), kept, inputs, (layout, &rows, vectors), can_be_code);
    leave_out_transfers(passes, &rows);
    let none = RowsOfChunks::default();
    compile((std::slice::from_mut(columns), &[vec![]]), &[], inputs, (layout, &none, vectors), |_| false);
    (ahead.iter().any(|streams| !streams.is_empty()), read)
}

/// What fragments of several rows read where it stands, and the registers of rows among it.
fn short_rows(
    passes: &[Section],
    inputs: (&[ProgramInput], &[StorageType]),
    layout: &Layout,
) -> (RowsOfChunks, Vec<Named>) {
    let (mut rows, mut read) = (RowsOfChunks::default(), Vec::new());
    if layout.group == 1 || !layout.width.is_multiple_of(LANES) {
        return (rows, read);
    }
    rows.width = layout.width;
    for section in passes {
        for transfer in &section.transfers {
            let has_lanes = matches!(transfer.dtype, DType::F32 | DType::I32) && !transfer.to.is_uniform();
            if has_lanes && read.len() < MOST_ROWS {
                let what = Repeated::RowRegister { number: read.len() as u32 };
                rows.repeated.push(((transfer.dtype, transfer.to), what));
                read.push((transfer.dtype, transfer.from));
            }
        }
        rows.add_loads(&section.body.code, inputs, layout.rows);
    }
    (rows, read)
}

/// Leaves out what repeats values of rows over registers that no pass reads.
fn leave_out_transfers(passes: &mut [Section], rows: &RowsOfChunks) {
    let is_read = |named: Named| {
        passes.iter().any(|section| {
            let stored = section.stores.iter().any(|store| (store.dtype, store.stored.register) == named);
            let folded = section.folds.iter().any(|fold| (fold.dtype, fold.operand) == named);
            stored || folded || section.body.reads(named)
        })
    };
    let is_needed = |transfer: &Transfer| {
        let named = (transfer.dtype, transfer.to);
        rows.repeated(named).is_none() || is_read(named)
    };
    let needed: Vec<Vec<Transfer>> =
        passes.iter().map(|section| section.transfers.iter().copied().filter(is_needed).collect()).collect();
    for (section, needed) in passes.iter_mut().zip(needed) {
        section.transfers = needed;
    }
}

/// Which streams each pass asks for of the next group of rows: what computes most waits least for memory, so the longest passes have them first. None where a row is
/// several blocks, which would drive the one before out of the nearest cache.
fn streams_of_passes(
    nest: &Nest,
    passes: &[Section],
    inputs: &[ProgramInput],
    layout: &Layout,
) -> Vec<Vec<AskedAhead>> {
    let mut streams = vec![Vec::new(); passes.len()];
    if !layout.recomputes || layout.blocks > 1 {
        return streams;
    }
    let outputs = nest.outputs.iter().map(|&output| &nest.values[output as usize]);
    let outputs: Vec<_> = outputs.filter(|value| value.space == Space::Element).collect();
    let bytes = outputs.iter().map(|value| cost::size(value.dtype)).sum();
    let all = Streams::new(inputs, bytes, nest.rows * nest.columns, 1);
    let count = all.count(outputs.len());
    let has_four_bytes = inputs.iter().all(|input| cost::size(input.dtype) == 4) && bytes == 4 * outputs.len();
    if count > MOST_AHEAD || !has_four_bytes {
        return streams;
    }
    let mut order: Vec<usize> = (0..passes.len()).collect();
    order.sort_by_key(|&pass| std::cmp::Reverse(passes[pass].body.code.len()));
    for stream in 0..count {
        let is_written = stream >= all.count(0);
        streams[order[stream % passes.len()]].push(AskedAhead { number: stream as u32, is_written });
    }
    streams
}

/// Makes fragments of what sections of one space compute, which follow one another; `kept` is read behind each. Folds that `can_be_code` become part of the code.
fn compile(
    (sections, ahead): (&mut [Section], &[Vec<AskedAhead>]),
    kept: &[Named],
    inputs: &[ProgramInput],
    (layout, rows, vectors): (&Layout, &RowsOfChunks, Vectors),
    can_be_code: impl Fn(&Fold) -> bool,
) {
    let code = sections.iter().flat_map(|section| body::repeating(&section.body.code, inputs));
    let repeating: Vec<Named> = code.collect();
    let mut live = kept.to_vec();
    for (section, ahead) in sections.iter_mut().zip(ahead).rev() {
        let named = |store: &Store| (store.dtype, store.stored.register);
        let (done, left): (Vec<Store>, Vec<Store>) = section.stores.iter().partition(|store| store.stored.in_place);
        let stores: Vec<(Named, u32)> = left.iter().map(|store| (named(store), store.part as u32)).collect();
        let mut live_behind = live.clone();
        live_behind.extend(done.iter().map(named));
        live.extend(section.stores.iter().map(named));
        let (mut coded, mut rest): (Vec<Fold>, Vec<Fold>) = section.folds.iter().partition(|fold| can_be_code(fold));
        let mut before = live.clone();
        before.extend(section.folds.iter().map(|fold| (fold.dtype, fold.operand)));
        body::live_before(&section.body.code, &mut before);
        before.extend(kept);
        let of = |fold: &Fold| FoldCode {
            function: fold.function,
            operand: fold.operand,
            place: match fold.space {
                Space::Column if layout.group > 1 => FoldPlace::ShortColumns,
                Space::Column => FoldPlace::Columns,
                Space::Row if layout.group > 1 => FoldPlace::ShortRows,
                Space::Row | Space::Whole | Space::Element => FoldPlace::Chunks { long: layout.longest > BLOCK },
            },
        };
        let mut compiled = None;
        while compiled.is_none() {
            let folds: Vec<FoldCode> = coded.iter().map(of).collect();
            let mut live = live_behind.clone();
            live.extend(rest.iter().map(|fold| (fold.dtype, fold.operand)));
            let wanted = Wanted { live: &live, stores: &stores, repeating: &repeating, folds: &folds, ahead, rows };
            compiled = section.body.compiled(vectors, inputs, wanted);
            if compiled.is_none() {
                rest.append(&mut coded);
            }
        }
        section.body = compiled.unwrap_or_default();
        for store in &mut section.stores {
            store.stored.in_place |= section.body.writes(store.part as u32);
        }
        (section.coded_folds, section.folds) = (coded, rest);
        live = before;
    }
}
