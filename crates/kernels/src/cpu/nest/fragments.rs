//! Fragments of a nest: what its sections compute, with folds among it.

use arenagrad_graph::DType;

use super::code::{Fold, Section};
use super::schedule::Layout;
use crate::cpu::ahead::Streams;
use crate::cpu::body::{self, FoldCode, MOST_AHEAD, Named, Wanted};
use crate::cpu::machine_code::Vectors;
use crate::cpu::registers::BLOCK;
use crate::{Nest, ProgramInput, Space, cost};

/// Makes fragments of the passes over elements, and of what becomes of columns; `kept` is read behind each pass.
pub(super) fn make_fragments(
    nest: &Nest,
    passes: &mut [Section],
    columns: &mut Section,
    kept: &[Named],
    inputs: &[ProgramInput],
    (layout, vectors): (&Layout, Vectors),
) -> bool {
    let can_be_code = |fold: &Fold| fold.dtype == DType::F32 && layout.folds_whole_chunks(fold.space);
    let ahead = streams_of_passes(nest, passes, inputs, layout);
    compile((passes, &ahead), kept, inputs, (layout, vectors), can_be_code);
    compile((std::slice::from_mut(columns), &[vec![]]), &[], inputs, (layout, vectors), |_| false);
    ahead.iter().any(|streams| !streams.is_empty())
}

/// Which streams each pass asks for of the next row: what computes most waits least for memory, so the longest passes have them first. None where a row is
/// several blocks, which would drive the one before out of the nearest cache.
fn streams_of_passes(nest: &Nest, passes: &[Section], inputs: &[ProgramInput], layout: &Layout) -> Vec<Vec<u32>> {
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
        streams[order[stream % passes.len()]].push(stream as u32);
    }
    streams
}

/// Makes fragments of what sections of one space compute, which follow one another; `kept` is read behind each. Folds that `can_be_code` become part of the code.
fn compile(
    (sections, ahead): (&mut [Section], &[Vec<u32>]),
    kept: &[Named],
    inputs: &[ProgramInput],
    (layout, vectors): (&Layout, Vectors),
    can_be_code: impl Fn(&Fold) -> bool,
) {
    let code = sections.iter().flat_map(|section| body::repeating(&section.body.code, inputs));
    let repeating: Vec<Named> = code.collect();
    let mut live = kept.to_vec();
    for (section, ahead) in sections.iter_mut().zip(ahead).rev() {
        live.extend(section.stores.iter().map(|store| (store.dtype, store.stored.register)));
        let (mut coded, mut rest): (Vec<Fold>, Vec<Fold>) = section.folds.iter().partition(|fold| can_be_code(fold));
        let mut before = live.clone();
        before.extend(section.folds.iter().map(|fold| (fold.dtype, fold.operand)));
        body::live_before(&section.body.code, &mut before);
        before.extend(kept);
        let of = |fold: &Fold| FoldCode {
            function: fold.function,
            operand: fold.operand,
            of_columns: fold.space == Space::Column,
            long: layout.longest > BLOCK,
        };
        let mut compiled = None;
        while compiled.is_none() {
            let folds: Vec<FoldCode> = coded.iter().map(of).collect();
            let mut live = live.clone();
            live.extend(rest.iter().map(|fold| (fold.dtype, fold.operand)));
            let wanted = Wanted { live: &live, repeating: &repeating, folds: &folds, ahead };
            compiled = section.body.compiled(vectors, inputs, wanted);
            if compiled.is_none() {
                rest.append(&mut coded);
            }
        }
        section.body = compiled.unwrap_or_default();
        (section.coded_folds, section.folds) = (coded, rest);
        live = before;
    }
}
