//! Lowering of nests: which dispatches compute the values of each space, and what stands where in between.
//!
//! Rows come first. Where their folds are needed by their own elements, one dispatch computes elements and rows together
//! (`rows`); a nest without such folds, or with few long rows, has a reduction for each fold and elementwise
//! dispatches (`flat`). Folds over the rows compute elements again from the inputs and from what is known of each row (`columns`);
//! those to the whole start from the part of each row. What is computed from them comes last.
//!
//! Between dispatches, values stand in one buffer of words (`store`). Every dispatch binds at most the step's own buffers and this one,
//! and at most eight: one that would bind nine takes a detour through the store.
//!
//! An input may be written over by an output. Whoever needs such an input comes before the dispatch that writes, or finds
//! what it needs in the store.

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
        let columns: Vec<Fold> = facts.folds(Space::Column).collect();
        let operands: Vec<u32> = columns.iter().map(|fold| fold.operand).collect();
        // What the folds over the rows must know of each row.
        let needed = facts.needed(&operands, Space::Row);
        if !columns.is_empty() && needed.is_empty() {
            self.columns(&columns);
        }
        let later = if needed.is_empty() { Vec::new() } else { columns };
        match form(facts, self.width, self.profile) {
            Form::Staged => self.staged(&later),
            Form::Rows { lanes } => self.fused(lanes, &later, needed),
        }
        self.after();
    }

    /// Elements and rows by one dispatch, and the folds over the rows, `later` being those to columns that come after it.
    fn fused(&mut self, lanes: usize, later: &[Fold], mut needed: Vec<u32>) {
        let facts = self.facts;
        let whole: Vec<Fold> = facts.folds(Space::Whole).collect();
        let (partials, of_rows): (Vec<Fold>, Vec<Fold>) =
            whole.iter().partition(|fold| facts.value(fold.operand).space == Space::Element);
        needed.extend(of_rows.iter().map(|fold| fold.operand));
        let elements = facts.outputs(Space::Element);
        // Folds to columns read inputs again; outputs must not be written over those before.
        let apart = !elements.is_empty() && later.iter().any(|fold| self.reads_overwritten(fold.operand));
        if apart {
            let values: Vec<u32> = elements.iter().map(|&output| facts.nest.outputs[output]).collect();
            needed.extend(facts.needed(&values, Space::Row));
        }
        needed.sort_unstable();
        needed.dedup();
        let mut stored: Vec<(u32, Words)> = Vec::new();
        for value in needed.into_iter().chain(partials.iter().map(|fold| fold.value)) {
            stored.push((value, self.store.array(facts.nest.rows, self.lowered)));
        }
        self.rows(lanes, &partials, if apart { &[] } else { &elements }, &stored);
        let (values, parts) = stored.split_at(stored.len() - partials.len());
        for &(value, words) in values {
            self.store.put(value, words);
        }
        if !later.is_empty() {
            self.columns(later);
        }
        if apart {
            self.write_outputs(Space::Element);
        }
        for (fold, &(_, words)) in partials.iter().zip(parts) {
            let dtype = facts.value(fold.operand).dtype;
            self.reduce(fold.value, Reduction::of_parts(fold.function, dtype, words, [facts.nest.rows, 1]));
        }
        for fold in of_rows {
            if let Some(words) = self.store.find(fold.operand) {
                let dtype = facts.value(fold.operand).dtype;
                self.reduce(fold.value, Reduction::of_parts(fold.function, dtype, words, [facts.nest.rows, 1]));
            }
        }
    }

    /// Whether a value of elements is computed from an input over which an output is written.
    fn reads_overwritten(&self, value: u32) -> bool {
        let facts = self.facts;
        let overwritten = |number: &u32| {
            facts.value(*number).space == Space::Element
                && facts.loaded(*number).is_some_and(|input| facts.nest.inputs[input as usize].in_place.is_some())
        };
        facts.cone(&[value], |_| false).iter().any(overwritten)
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
