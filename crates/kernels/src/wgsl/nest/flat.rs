//! Values of a nest as a [`Program`] over the flat domain of one space, for elementwise dispatches and reductions.

use crate::view::{Axis, View};
use crate::wgsl::Resource;
use crate::wgsl::emit::{Place, Words};
use crate::wgsl::nest::facts::Facts;
use crate::wgsl::nest::store::Store;
use crate::{DType, Instruction, NestInstruction, Program, ProgramInput, Space};

/// A program, and where its inputs stand.
pub(super) struct Flat {
    pub(super) program: Program,
    pub(super) inputs: Vec<Place>,
}

/// What a program is made for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The domain.
    pub(super) space: Space,
    /// The values that are the program's outputs.
    pub(super) values: &'a [u32],
    /// Which output of the nest each of them is written to, if to any.
    pub(super) outputs: &'a [Option<usize>],
    /// The fold whose results are the program's accumulators.
    pub(super) accumulator: Option<u32>,
}

impl Flat {
    /// The program of what is wanted. Values that are stored are loaded; those of other spaces are stored or at hand.
    pub(super) fn new(facts: &Facts<'_>, store: &Store, wanted: Wanted<'_>) -> Self {
        let extent = facts.nest.extent(wanted.space);
        let (inputs, instructions, dtypes) = (Vec::new(), Vec::new(), Vec::new());
        let program = Program { elements: extent, inputs, instructions, dtypes, outputs: Vec::new() };
        let mut flat = Flat { program, inputs: Vec::new() };
        let mut numbers = vec![0; facts.nest.values.len()];
        let is_known = |number: u32| store.find(number).is_some() || wanted.accumulator == Some(number);
        for number in facts.cone(wanted.values, is_known) {
            let value = facts.value(number);
            let instruction = if wanted.accumulator == Some(number) {
                Instruction::Accumulator
            } else if let Some(words) = store.find(number) {
                flat.load_words(
                    value.dtype,
                    over(facts, &View::contiguous(facts.nest.extent(value.space)), [value.space, wanted.space]),
                    words,
                )
            } else {
                match value.instruction {
                    NestInstruction::Compute(Instruction::Load { input }) => {
                        flat.load_input(facts, input, [value.space, wanted.space], wanted.outputs)
                    }
                    NestInstruction::Compute(instruction) => renumbered(instruction, &numbers),
                    NestInstruction::Fold { .. } => unreachable!("a fold's result is stored before it is used"),
                }
            };
            numbers[number as usize] = flat.program.instructions.len() as u32;
            flat.program.instructions.push(instruction);
            flat.program.dtypes.push(value.dtype);
        }
        flat.program.outputs = wanted.values.iter().map(|&value| numbers[value as usize]).collect();
        flat
    }

    fn load_words(&mut self, dtype: DType, view: View, words: Words) -> Instruction {
        self.program.inputs.push(ProgramInput { dtype, view, in_place: None });
        self.inputs.push(Place::Words(words));
        Instruction::Load { input: self.inputs.len() as u32 - 1 }
    }

    fn load_input(
        &mut self,
        facts: &Facts<'_>,
        input: u32,
        [from, to]: [Space; 2],
        outputs: &[Option<usize>],
    ) -> Instruction {
        let place = Place::Buffer(Resource::Input(input));
        let known = self.inputs.iter().position(|known| *known == place);
        let number = known.unwrap_or_else(|| {
            let declared = &facts.nest.inputs[input as usize];
            let shared = |output: u32| outputs.iter().position(|written| *written == Some(output as usize));
            let in_place = if from == to { declared.in_place.and_then(shared) } else { None };
            self.program.inputs.push(ProgramInput {
                dtype: declared.dtype,
                view: over(facts, &declared.view, [from, to]),
                in_place: in_place.map(|output| output as u32),
            });
            self.inputs.push(place);
            self.inputs.len() - 1
        });
        Instruction::Load { input: number as u32 }
    }
}

/// A view over the domain of one space as one over another that it reaches.
fn over(facts: &Facts<'_>, view: &View, [from, to]: [Space; 2]) -> View {
    if from == to {
        return view.clone();
    }
    // A row is repeated over its columns, and the whole over all columns.
    let columns = Axis { extent: facts.nest.columns, stride: 0 };
    View::new(view.axes().iter().copied().chain([columns]), view.offset())
}

/// An instruction with its operands under their numbers in the program.
fn renumbered(instruction: Instruction, numbers: &[u32]) -> Instruction {
    let at = |operand: u32| numbers[operand as usize];
    match instruction {
        Instruction::Load { .. }
        | Instruction::Accumulator
        | Instruction::Constant { .. }
        | Instruction::Iota { .. } => instruction,
        Instruction::Uniform { seed, step, first } => Instruction::Uniform { seed, step: at(step), first },
        Instruction::Elementwise(elementwise) => Instruction::Elementwise(elementwise.map(at)),
    }
}
