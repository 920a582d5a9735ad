//! Nests as reductions and elementwise dispatches over flat domains, each value that later ones need being stored.

use std::collections::BTreeSet;

use crate::view::Axis;
use crate::wgsl::Resource;
use crate::wgsl::emit::{BoundProgram, Place, Words};
use crate::wgsl::nest::Lowering;
use crate::wgsl::nest::facts::Fold;
use crate::wgsl::nest::flat::{Flat, Wanted};
use crate::wgsl::output::{Output, elementwise};
use crate::wgsl::reduce::Reduction;
use crate::{NestInstruction, Space};

/// The most storage buffers of a dispatch.
const MOST_BUFFERS: usize = 8;

impl Lowering<'_> {
    /// Each fold of rows as a reduction, then the folds over the rows, and at last the outputs of elements and rows, which may be
    /// written over what was read until then.
    pub(super) fn staged(&mut self) {
        let facts = self.facts;
        let mut users: Vec<u32> = facts.live(Space::Element).collect();
        users.extend(facts.folds(Space::Whole).map(|fold| fold.operand));
        let used: BTreeSet<u32> = users
            .iter()
            .flat_map(|&user| facts.operands(user).chain([user]))
            .filter(|&value| facts.value(value).space == Space::Row && !facts.is_at_hand(value))
            .collect();
        let rows: Vec<u32> = facts.live(Space::Row).collect();
        let last = rows.iter().map(|&value| facts.level(value)).max().unwrap_or(0);
        for level in 0..=last {
            let folds: Vec<Fold> = facts.folds(Space::Row).filter(|fold| facts.level(fold.value) == level).collect();
            for fold in folds {
                self.fold(fold);
            }
            let computed: Vec<u32> = rows
                .iter()
                .copied()
                .filter(|value| facts.level(*value) == level && used.contains(value))
                .filter(|&value| self.store.find(value).is_none())
                .collect();
            self.store_values(&computed);
        }
        let columns: Vec<Fold> = facts.folds(Space::Column).collect();
        let (of_elements, of_rows): (Vec<Fold>, Vec<Fold>) =
            facts.folds(Space::Whole).partition(|fold| facts.value(fold.operand).space == Space::Element);
        if columns.is_empty() {
            of_elements.into_iter().for_each(|fold| self.fold(fold));
        } else {
            self.columns([&columns, &of_elements], &facts.outputs(Space::Element));
        }
        of_rows.into_iter().for_each(|fold| self.fold(fold));
        self.write_outputs(Space::Element);
        self.write_outputs(Space::Row);
    }

    /// Appends a fold of elements to rows, or of elements or rows to the whole, and says where its result stands.
    fn fold(&mut self, fold: Fold) {
        let facts = self.facts;
        let (rows, columns) = (facts.nest.rows, facts.nest.columns);
        let operand = facts.value(fold.operand).space;
        let axis = |extent: usize, stride: usize| if extent > 1 { vec![Axis { extent, stride }] } else { Vec::new() };
        let (kept, reduced) = match facts.value(fold.value).space {
            Space::Row => (axis(rows, columns), axis(columns, 1)),
            Space::Element | Space::Column | Space::Whole => (Vec::new(), axis(facts.nest.extent(operand), 1)),
        };
        let values = [fold.operand];
        let wanted = Wanted { space: operand, values: &values, outputs: &[None], accumulator: None };
        let flat = loop {
            let flat = Flat::new(facts, &self.store, wanted);
            // The inputs, the store if it is not among them already, and what stages in between need.
            let buffers: BTreeSet<Resource> = flat.inputs.iter().map(|place| place.resource()).collect();
            let stored = flat.inputs.iter().any(|place| matches!(place, Place::Words(_)));
            if buffers.len() + usize::from(!stored) < MOST_BUFFERS || !self.copy_input(&flat, &[]) {
                break flat;
            }
        };
        let reduction =
            Reduction { function: fold.function, program: flat.program, inputs: flat.inputs, kept, reduced };
        self.reduce(fold.value, reduction);
    }

    /// Appends a reduction to a value, which is stored or, where the outputs of its space are all made of it alone, made into them
    /// at once.
    pub(super) fn reduce(&mut self, value: u32, reduction: Reduction) {
        let facts = self.facts;
        let space = facts.value(value).space;
        if let Some(output) = self.epilogue(value, &reduction) {
            reduction.lower(output, self.profile, self.lowered);
            self.finished.insert(space);
            return;
        }
        let dtype = facts.value(value).dtype;
        let words = self.store.array(facts.nest.extent(space), self.lowered);
        reduction.lower(Output::plain(dtype, facts.nest.extent(space), words), self.profile, self.lowered);
        self.store.put(value, words);
    }

    /// The outputs of a fold's space as the epilogue of its reduction, if nothing else is needed for them nor they for anything
    /// else, and one dispatch can bind it all.
    fn epilogue(&self, value: u32, reduction: &Reduction) -> Option<Output> {
        let facts = self.facts;
        let space = facts.value(value).space;
        let alone = match space {
            Space::Column => {
                facts.live(Space::Whole).all(|whole| facts.is_at_hand(whole) || !self.reaches_columns(whole))
            }
            Space::Whole => facts.live(Space::Whole).all(|whole| !self.reaches_columns(whole)),
            Space::Element | Space::Row => false,
        };
        if !alone || facts.folds(space).count() != 1 {
            return None;
        }
        let outputs = facts.outputs(space);
        let values: Vec<u32> = outputs.iter().map(|&output| facts.nest.outputs[output]).collect();
        let written: Vec<Option<usize>> = outputs.iter().copied().map(Some).collect();
        let wanted = Wanted { space, values: &values, outputs: &written, accumulator: Some(value) };
        let flat = Flat::new(facts, &self.store, wanted);
        let places: Vec<Place> = outputs.iter().map(|&output| Resource::Output(output as u32).into()).collect();
        let mut buffers: BTreeSet<Resource> = reduction.inputs.iter().map(|place| place.resource()).collect();
        buffers.extend(buffers_of(&flat, &places));
        (buffers.len() <= MOST_BUFFERS).then(|| Output::of_epilogue(flat.program, flat.inputs, places))
    }

    /// Whether a value of the whole is an operand of one of a column.
    fn reaches_columns(&self, whole: u32) -> bool {
        let facts = self.facts;
        facts.live(Space::Column).any(|column| facts.operands(column).any(|operand| operand == whole))
    }

    /// Appends what computes values of one space and stores them.
    pub(super) fn store_values(&mut self, values: &[u32]) {
        let facts = self.facts;
        let Some(&first) = values.first() else { return };
        let space = facts.value(first).space;
        let arrays: Vec<Words> =
            values.iter().map(|_| self.store.array(facts.nest.extent(space), self.lowered)).collect();
        let places: Vec<Place> = arrays.iter().copied().map(Place::Words).collect();
        self.compute(space, values.to_vec(), vec![None; values.len()], places);
        for (&value, words) in values.iter().zip(arrays) {
            self.store.put(value, words);
        }
    }

    /// Appends what computes and writes the outputs of a space.
    pub(super) fn write_outputs(&mut self, space: Space) {
        let outputs = self.facts.outputs(space);
        if self.finished.contains(&space) || outputs.is_empty() {
            return;
        }
        let values = outputs.iter().map(|&output| self.facts.nest.outputs[output]).collect();
        let places = outputs.iter().map(|&output| Resource::Output(output as u32).into()).collect();
        self.compute(space, values, outputs.into_iter().map(Some).collect(), places);
    }

    /// Appends the elementwise dispatch of values of one space. If it would bind too many buffers, inputs are copied to the
    /// store before, or results go to the store and are copied to their outputs after.
    fn compute(&mut self, space: Space, values: Vec<u32>, mut outputs: Vec<Option<usize>>, mut places: Vec<Place>) {
        let facts = self.facts;
        let mut copied_after: Vec<(u32, Words, Place)> = Vec::new();
        loop {
            let wanted = Wanted { space, values: &values, outputs: &outputs, accumulator: None };
            let flat = Flat::new(facts, &self.store, wanted);
            if buffers_of(&flat, &places).len() <= MOST_BUFFERS {
                elementwise(
                    &BoundProgram { program: &flat.program, inputs: &flat.inputs, outputs: &places },
                    self.profile,
                    self.lowered,
                );
                break;
            }
            if self.copy_input(&flat, &places) {
                continue;
            }
            // All inputs share the buffers of outputs: one of them is copied, and its output is written later.
            let Some(position) = places.iter().rposition(|place| matches!(place, Place::Buffer(_))) else { break };
            if let Some(input) = flat.program.inputs.iter().position(|input| input.in_place == Some(position as u32)) {
                self.copy_to_store(flat.inputs[input].resource());
            }
            let words = self.store.array(facts.nest.extent(space), self.lowered);
            copied_after.push((values[position], words, places[position]));
            places[position] = Place::Words(words);
            outputs[position] = None;
        }
        for (value, words, place) in copied_after {
            self.store.put(value, words);
            let wanted = Wanted { space, values: &[value], outputs: &[None], accumulator: None };
            let flat = Flat::new(facts, &self.store, wanted);
            let bound = BoundProgram { program: &flat.program, inputs: &flat.inputs, outputs: &[place] };
            elementwise(&bound, self.profile, self.lowered);
        }
    }

    /// Copies one of a program's inputs to the store that shares no buffer with what the program writes, and says whether there
    /// was one.
    fn copy_input(&mut self, flat: &Flat, places: &[Place]) -> bool {
        let inputs = flat.program.inputs.iter().zip(&flat.inputs);
        let shares = |output: Option<u32>| output.is_some_and(|output| (output as usize) < places.len());
        let candidate = inputs
            .filter(|(input, place)| matches!(place, Place::Buffer(_)) && !shares(input.in_place))
            .map(|(_, place)| place.resource())
            .next_back();
        match candidate {
            Some(resource) => {
                self.copy_to_store(resource);
                true
            }
            None => false,
        }
    }

    /// Appends the copy of a step's input to the store, over the domain of the values that load it.
    fn copy_to_store(&mut self, resource: Resource) {
        let facts = self.facts;
        let loads: Vec<u32> = (0..facts.nest.values.len() as u32)
            .filter(|&number| facts.loaded(number).map(Resource::Input) == Some(resource))
            .filter(|&number| matches!(facts.value(number).instruction, NestInstruction::Compute(_)))
            .collect();
        let Some(&first) = loads.first() else { return };
        let space = facts.value(first).space;
        let words = self.store.array(facts.nest.extent(space), self.lowered);
        let wanted = Wanted { space, values: &[first], outputs: &[None], accumulator: None };
        let flat = Flat::new(facts, &self.store, wanted);
        let bound = BoundProgram { program: &flat.program, inputs: &flat.inputs, outputs: &[Place::Words(words)] };
        elementwise(&bound, self.profile, self.lowered);
        for load in loads {
            self.store.put(load, words);
        }
    }
}

/// The buffers that a program over these outputs binds.
fn buffers_of(flat: &Flat, places: &[Place]) -> BTreeSet<Resource> {
    let read = flat.program.inputs.iter().zip(&flat.inputs).filter(|(input, _)| input.in_place.is_none());
    read.map(|(_, place)| place.resource()).chain(places.iter().map(|place| place.resource())).collect()
}
