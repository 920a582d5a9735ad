//! Lowering of nests: which dispatches compute the values of each space, and what stands where in between.
//!
//! Rows come first. Where there are folds of rows, one dispatch passes over each row as often as they need (`rows`) and, in a last
//! pass, writes elements; but of few long rows each fold is a reduction of its own (`staged`). Folds to columns are one more
//! dispatch, which computes elements from the inputs and from what is known of each row, and writes them as well
//! (`columns`). Folds to the whole start from the parts of rows or columns. What is computed from folds over the rows comes last.
//!
//! Between dispatches, values stand in one buffer of words (`store`). Every dispatch binds at most the step's own buffers and this one,
//! and at most eight: one that would bind nine takes a detour through the store.
//!
//! An input may be written over by an output. Elements are written by the last dispatch that reads any; later ones find
//! what they need of a row in the store.

mod code;
mod columns;
mod facts;
mod flat;
mod form;
mod reads;
mod rows;
mod staged;
mod store;

use std::collections::BTreeSet;

use crate::wgsl::emit::Words;
use crate::wgsl::nest::facts::{Facts, Fold};
use crate::wgsl::nest::form::{Form, form};
use crate::wgsl::nest::store::Store;
use crate::wgsl::reduce::Reduction;
use crate::wgsl::{AdapterProfile, Lowered};
use crate::{Nest, Space};

/// Appends the dispatches of a nest.
pub(super) fn lower(nest: &Nest, profile: &AdapterProfile, lowered: &mut Lowered) {
    let facts = Facts::new(nest);
    let width = if nest.columns.is_multiple_of(4) { 4 } else { 1 };
    let store = Store::new(nest.values.len());
    Lowering { facts: &facts, width, store, finished: BTreeSet::new(), profile, lowered }.run();
}

/// A nest being lowered.
struct Lowering<'a> {
    facts: &'a Facts<'a>,
    /// How many neighbouring columns are computed at once: one, or four.
    width: usize,
    store: Store,
    /// The spaces whose outputs are written already.
    finished: BTreeSet<Space>,
    profile: &'a AdapterProfile,
    lowered: &'a mut Lowered,
}

impl Lowering<'_> {
    fn run(mut self) {
        let facts = self.facts;
        match form(facts, self.width, self.profile) {
            Form::Staged => self.staged(),
            Form::Rows { lanes } => self.fused(lanes),
        }
        self.after();
    }

    /// Rows by one dispatch, with the elements where no folds to columns compute those again, and then the folds over the rows.
    fn fused(&mut self, lanes: usize) {
        let facts = self.facts;
        let columns: Vec<Fold> = facts.folds(Space::Column).collect();
        let whole: Vec<Fold> = facts.folds(Space::Whole).collect();
        let (of_elements, of_rows): (Vec<Fold>, Vec<Fold>) =
            whole.iter().partition(|fold| facts.value(fold.operand).space == Space::Element);
        let mut elements = facts.outputs(Space::Element);
        let mut needed: Vec<u32> = of_rows.iter().map(|fold| fold.operand).collect();
        let (mut partials, mut later) = (of_elements, Vec::new());
        let mut beside = Vec::new();
        if !columns.is_empty() {
            // The dispatch of folds to columns passes over all elements once more. What is known only in a last pass is left to it.
            std::mem::swap(&mut elements, &mut beside);
            let last = facts.folds(Space::Row).map(|fold| facts.level(fold.operand)).max().unwrap_or(0);
            (partials, later) = partials.iter().partition(|fold| facts.level(fold.operand) <= last);
            needed.extend(facts.needed(&self.roots([&columns, &later], &beside), Space::Row));
        }
        needed.sort_unstable();
        needed.dedup();
        let mut stored: Vec<(u32, Words)> = Vec::new();
        for value in needed.into_iter().chain(partials.iter().map(|fold| fold.value)) {
            stored.push((value, self.store.array(facts.nest.rows, self.lowered)));
        }
        self.rows(lanes, &partials, &elements, &stored);
        let (values, parts) = stored.split_at(stored.len() - partials.len());
        for &(value, words) in values {
            self.store.put(value, words);
        }
        if columns.is_empty() {
            self.finished.insert(Space::Element);
        } else {
            self.columns([&columns, &later], &beside);
        }
        self.finished.insert(Space::Row);
        for (fold, &(_, words)) in partials.iter().zip(parts) {
            self.whole(*fold, words, facts.nest.rows);
        }
        for fold in of_rows {
            if let Some(words) = self.store.find(fold.operand) {
                self.whole(fold, words, facts.nest.rows);
            }
        }
    }

    /// Appends the reduction of the parts of a fold to the whole.
    fn whole(&mut self, fold: Fold, parts: Words, count: usize) {
        let dtype = self.facts.value(fold.operand).dtype;
        self.reduce(fold.value, Reduction::of_parts(fold.function, dtype, parts, [count, 1]));
    }

    /// The elements that folds reduce and outputs hold.
    fn roots(&self, folds: [&[Fold]; 2], outputs: &[usize]) -> Vec<u32> {
        let folded = folds.into_iter().flatten().map(|fold| fold.operand);
        folded.chain(outputs.iter().map(|&output| self.facts.nest.outputs[output])).collect()
    }

    /// The values of columns and of the whole that are computed from folds. A column may read an input of the whole that the whole
    /// is written over, so columns come first.
    fn after(&mut self) {
        let facts = self.facts;
        let columns: Vec<u32> =
            facts.outputs(Space::Column).into_iter().map(|output| facts.nest.outputs[output]).collect();
        let needed: Vec<u32> = facts
            .needed(&columns, Space::Whole)
            .into_iter()
            .filter(|&value| self.store.find(value).is_none())
            .collect();
        self.store_values(&needed);
        self.write_outputs(Space::Column);
        self.write_outputs(Space::Whole);
    }
}
