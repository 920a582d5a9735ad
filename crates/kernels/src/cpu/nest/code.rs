//! Translation of a nest into code over registers: for each pass over a row what becomes of the row before it, and of its
//! elements, and what becomes of columns and the whole after all rows.
//!
//! Each space has registers of its own. What a space reads of another one is brought into its registers first.

use arenagrad_graph::{DType, ReduceFunction, StorageType};

use super::fragments::make_fragments;
use super::schedule::{Layout, Schedule, for_each_operand};
use super::scope::Scope;
use crate::cpu::body::{self, Body};
use crate::cpu::code::{Code, Setup, StoredRegister, is_source, write_in_place};
use crate::cpu::machine_code::Vectors;
use crate::cpu::registers::Register;
use crate::{Instruction, Nest as NestKernel, NestInstruction, ProgramInput, Space};

/// A nest over registers.
#[derive(Clone, Debug)]
pub(super) struct Translation {
    /// The registers of each space, in the order of its number.
    pub(super) setups: [Setup; 4],
    /// What becomes of the rows before each pass, and after the last one.
    pub(super) rows: Vec<Section>,
    /// What becomes of the elements in each pass.
    pub(super) passes: Vec<Section>,
    pub(super) columns: Section,
    pub(super) whole: Section,
    /// The inputs; one that shares the buffer of an output names it by its place among the outputs of its space.
    pub(super) inputs: Vec<ProgramInput>,
    /// The element registers of values that are kept from one pass to the next, where what is cheap is computed anew.
    pub(super) kept: Vec<(DType, Register)>,
    /// The folds that give values of each space, in the order of its number.
    pub(super) totals: [Vec<Total>; 4],
    /// Coordinates that are the same in every block of elements, and computed before the first.
    pub(super) coordinates: Vec<Code>,
    /// The registers of rows that fragments read there.
    pub(super) rows_read: Vec<(DType, Register)>,
    /// Whether fragments ask for the elements of the next group of rows.
    pub(super) asks_ahead: bool,
}

/// What a fold gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total {
    pub(super) function: ReduceFunction,
    pub(super) dtype: DType,
    /// Where the results stand.
    pub(super) result: Register,
}

/// What is computed of one space at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// What is brought here first.
    pub(super) transfers: Vec<Transfer>,
    pub(super) body: Body,
    /// Which outputs of the space are written.
    pub(super) stores: Vec<Store>,
    /// The folds of what has been computed that are no part of the code.
    pub(super) folds: Vec<Fold>,
    /// The folds that are part of the code, in their order there.
    pub(super) coded_folds: Vec<Fold>,
    /// Which of the values that are kept are read or written.
    pub(super) kept: Vec<usize>,
}

/// Brings a value into the registers of another space, over which it is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) dtype: DType,
    pub(super) from: Register,
    pub(super) to: Register,
}

/// Writes a register to an output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Store {
    pub(super) dtype: DType,
    pub(super) stored: StoredRegister,
    /// The place of the output among those of its space.
    pub(super) part: usize,
}

/// Folds a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    pub(super) function: ReduceFunction,
    pub(super) dtype: DType,
    pub(super) operand: Register,
    /// The space of the result.
    pub(super) space: Space,
    /// Which of the totals of that space.
    pub(super) total: usize,
    /// Where the result goes.
    pub(super) result: Register,
}

/// A translation that is under way.
struct Translator<'a> {
    nest: &'a NestKernel,
    schedule: &'a Schedule,
    scopes: [Scope; 4],
    /// The place of each output among those of its space.
    parts: Vec<usize>,
    /// The number of each value among those that are kept.
    kept: Vec<Option<usize>>,
    /// The number of each fold among the totals of its space.
    totals: Vec<usize>,
    /// How often each value is read or written to an output in all.
    uses: Vec<u32>,
    /// The inputs, as [`Translation::inputs`].
    inputs: Vec<ProgramInput>,
}

const SPACES: [Space; 4] = [Space::Element, Space::Row, Space::Column, Space::Whole];

impl Translation {
    pub(super) fn new(
        nest: &NestKernel,
        schedule: &Schedule,
        vectors: Option<Vectors>,
        stored: &[StorageType],
    ) -> Translation {
        let mut counts = [0; 4];
        let mut count = |space: Space| {
            counts[space as usize] += 1;
            counts[space as usize] - 1
        };
        let parts: Vec<usize> = nest.outputs.iter().map(|&output| count(nest.values[output as usize].space)).collect();
        let inputs = nest.inputs.iter().map(|input| ProgramInput {
            in_place: input.in_place.map(|output| parts[output as usize] as u32),
            ..input.clone()
        });
        let inputs: Vec<ProgramInput> = inputs.collect();
        let mut uses = vec![0; nest.values.len()];
        for value in &nest.values {
            for_each_operand(&value.instruction, |operand| uses[operand] += 1);
        }
        nest.outputs.iter().for_each(|&output| uses[output as usize] += 1);
        let mut translator = Translator {
            nest,
            schedule,
            scopes: SPACES.map(|space| Scope::new(space, nest.values.len())),
            parts,
            kept: vec![None; nest.values.len()],
            totals: vec![0; nest.values.len()],
            uses,
            inputs,
        };
        translator.define_uniform();
        let totals = translator.define_folds();
        let kept = translator.define_kept();
        let mut rows = vec![translator.section_of(Space::Row, 0)];
        let mut passes = Vec::new();
        if !schedule.layout.recomputes {
            (0..schedule.passes).for_each(|pass| translator.count_uses(pass));
        }
        for pass in 0..schedule.passes {
            if schedule.layout.recomputes {
                translator.count_uses(pass);
            }
            passes.push(translator.pass(pass));
            rows.push(translator.section_of(Space::Row, pass + 1));
        }
        let whole = translator.section_of(Space::Whole, schedule.passes);
        let mut columns = translator.section_of(Space::Column, schedule.passes);
        let coordinates = coordinates_of_blocks(&mut passes, &kept, &schedule.layout);
        let (mut asks_ahead, mut rows_read) = (false, Vec::new());
        if let Some(vectors) = vectors {
            let inputs = (&translator.inputs[..], stored);
            (asks_ahead, rows_read) =
                make_fragments(nest, &mut passes, &mut columns, &kept, inputs, (&schedule.layout, vectors));
        }
        let inputs = translator.inputs;
        let setups = translator.scopes.map(|scope| Setup { demand: scope.allocation.demand(), ..scope.setup });
        Translation { setups, rows, passes, columns, whole, inputs, kept, totals, coordinates, rows_read, asks_ahead }
    }
}

/// Takes those coordinates out of the passes that repeat in every block. Their registers must be given to nothing else.
fn coordinates_of_blocks(passes: &mut [Section], kept: &[(DType, Register)], layout: &Layout) -> Vec<Code> {
    let mut coordinates = Vec::new();
    if layout.blocks > 1 || !body::is_available() {
        return coordinates;
    }
    let repeats = |code: &Code| {
        let Code::Iota { inner, extent, .. } = *code else { return false };
        let repeats =
            inner.checked_mul(extent).is_some_and(|period| (layout.grain * layout.width).is_multiple_of(period));
        repeats && !kept.contains(&code.target())
    };
    for section in passes {
        coordinates.extend(section.body.code.extract_if(.., |code| repeats(code)));
    }
    coordinates
}

/// Appends an element and gives its place.
fn push<T>(list: &mut Vec<T>, element: T) -> usize {
    list.push(element);
    list.len() - 1
}

impl Translator<'_> {
    fn dtype(&self, number: usize) -> DType {
        self.nest.values[number].dtype
    }

    /// Gives each space registers for the uniform values that it reads, folds or writes, and the code that computes them.
    fn define_uniform(&mut self) {
        let Translator { nest, schedule, scopes, .. } = self;
        for scope in scopes {
            let mut wanted = vec![false; nest.values.len()];
            for &output in &nest.outputs {
                wanted[output as usize] |= nest.values[output as usize].space == scope.space;
            }
            for (number, value) in nest.values.iter().enumerate().filter(|&(number, _)| schedule.live[number]) {
                for_each_operand(&value.instruction, |operand| {
                    // A fold reads in its operand's space, all other code in its own.
                    let reader = match value.instruction {
                        NestInstruction::Fold { .. } => nest.values[operand].space,
                        NestInstruction::Compute(_) => value.space,
                    };
                    wanted[operand] |= reader == scope.space && !schedule.uniform[number];
                });
            }
            for number in (0..nest.values.len()).rev() {
                if wanted[number] && schedule.uniform[number] {
                    for_each_operand(&nest.values[number].instruction, |operand| wanted[operand] = true);
                }
            }
            for (number, value) in nest.values.iter().enumerate() {
                let NestInstruction::Compute(instruction) = &value.instruction else { continue };
                if !wanted[number] || !schedule.uniform[number] {
                    continue;
                }
                let target = scope.define(number, value.dtype, true);
                if let Instruction::Constant { value: constant } = *instruction {
                    scope.setup.constants.push((value.dtype, target, constant));
                    continue;
                }
                let mut operands = [(DType::F32, target); 3];
                let (read, count) = instruction.operands();
                for (source, &operand) in operands.iter_mut().zip(&read[..count]) {
                    let register = scope.registers[operand as usize].expect("a uniform value has uniform operands");
                    *source = (nest.values[operand as usize].dtype, register);
                }
                scope.setup.prologue.push(Code::new(instruction, value.dtype, operands, target));
            }
        }
    }

    /// Gives the results of folds their numbers and registers.
    fn define_folds(&mut self) -> [Vec<Total>; 4] {
        let mut totals = [const { Vec::new() }; 4];
        for (number, value) in self.nest.values.iter().enumerate() {
            if let NestInstruction::Fold { function, .. } = value.instruction
                && self.schedule.live[number]
            {
                let result = self.scopes[value.space as usize].define(number, value.dtype, false);
                let total = Total { function, dtype: value.dtype, result };
                self.totals[number] = push(&mut totals[value.space as usize], total);
            }
        }
        totals
    }

    /// Gives what is kept of rows over which passes compute anew registers that nothing else is computed in.
    fn define_kept(&mut self) -> Vec<(DType, Register)> {
        let mut kept = Vec::new();
        if self.schedule.layout.recomputes {
            for number in (0..self.nest.values.len()).filter(|&number| self.schedule.kept[number]) {
                let dtype = self.dtype(number);
                let register = self.scopes[Space::Element as usize].define(number, dtype, false);
                self.kept[number] = Some(push(&mut kept, (dtype, register)));
            }
        }
        kept
    }

    /// The folds that a pass makes of elements, or the rows of a level, by the number of the result.
    fn folds_of(&self, space: Space, level: u32) -> impl Iterator<Item = (usize, usize)> {
        let (nest, schedule) = (self.nest, self.schedule);
        nest.values.iter().enumerate().filter_map(move |(number, value)| match value.instruction {
            NestInstruction::Fold { operand, .. } => {
                let operand = operand as usize;
                let is_here = nest.values[operand].space == space && schedule.levels[operand] == level;
                (schedule.live[number] && is_here).then_some((number, operand))
            }
            NestInstruction::Compute(_) => None,
        })
    }

    /// The outputs of a level of a space: which value, and its place among the outputs of the space.
    fn outputs_of(&self, space: Space, level: u32) -> impl Iterator<Item = (usize, usize)> {
        let (nest, schedule, parts) = (self.nest, self.schedule, self.parts.clone());
        nest.outputs.iter().zip(parts).filter_map(move |(&output, part)| {
            let output = output as usize;
            (nest.values[output].space == space && schedule.levels[output] == level).then_some((output, part))
        })
    }

    /// Counts how often a pass reads each value, so that registers are free for others after the last time.
    fn count_uses(&mut self, pass: u32) {
        let mut read: Vec<usize> = Vec::new();
        for &number in &self.schedule.computed[pass as usize] {
            for_each_operand(&self.nest.values[number as usize].instruction, |operand| read.push(operand));
        }
        read.extend(self.folds_of(Space::Element, pass).map(|(_, operand)| operand));
        read.extend(self.outputs_of(Space::Element, pass).map(|(output, _)| output));
        for number in read {
            if self.kept[number].is_none() && !self.schedule.uniform[number] {
                *self.scopes[Space::Element as usize].uses[number].get_or_insert(0) += 1;
            }
        }
    }

    /// The code of a row level, of all columns or of the whole. Its values are few and have registers for themselves.
    fn section_of(&mut self, space: Space, level: u32) -> Section {
        let mut section = Section::default();
        let (nest, schedule) = (self.nest, self.schedule);
        for (number, value) in nest.values.iter().enumerate() {
            let is_here = value.space == space && schedule.levels[number] == level && schedule.live[number];
            if let NestInstruction::Compute(instruction) = &value.instruction
                && is_here
                && !schedule.uniform[number]
            {
                self.compute(space, number, instruction, &mut section);
            }
        }
        self.finish(space, level, &mut section);
        section
    }

    /// The code of a pass over elements.
    fn pass(&mut self, pass: u32) -> Section {
        let mut section = Section::default();
        let computed = &self.schedule.computed[pass as usize];
        // Registers of what is brought over are taken before those of the pass are reused.
        for &number in computed {
            for_each_operand(&self.nest.values[number as usize].instruction, |operand| {
                if self.nest.values[operand].space != Space::Element {
                    self.operand(Space::Element, operand, &mut section);
                }
            });
        }
        for &number in computed {
            let number = number as usize;
            let NestInstruction::Compute(instruction) = &self.nest.values[number].instruction else {
                panic!("a fold does not give an element");
            };
            // An input is loaded right before its first use.
            if !matches!(instruction, Instruction::Load { .. }) || self.kept[number].is_some() {
                self.compute(Space::Element, number, instruction, &mut section);
            }
        }
        self.finish(Space::Element, pass, &mut section);
        section
    }

    /// The code that computes a varying value.
    fn compute(&mut self, space: Space, number: usize, instruction: &Instruction, section: &mut Section) {
        let mut operands = [(DType::F32, Register::unused()); 3];
        let (read, count) = instruction.operands();
        for (source, &operand) in operands.iter_mut().zip(&read[..count]) {
            *source = (self.dtype(operand as usize), self.operand(space, operand as usize, section));
        }
        // The target is chosen before the operands are released: no instruction writes what it reads.
        let target = self.target(space, number, section);
        section.body.code.push(Code::new(instruction, self.dtype(number), operands, target));
        for &operand in &read[..count] {
            self.release(space, operand as usize);
        }
    }

    /// Stores and folds at the end of a section.
    fn finish(&mut self, space: Space, level: u32, section: &mut Section) {
        for (output, part) in self.outputs_of(space, level).collect::<Vec<_>>() {
            let register = self.operand(space, output, section);
            let stored = StoredRegister { register, in_place: false };
            section.stores.push(Store { dtype: self.dtype(output), stored, part });
        }
        for (number, operand) in self.folds_of(space, level).collect::<Vec<_>>() {
            let value = &self.nest.values[number];
            let NestInstruction::Fold { function, .. } = value.instruction else { panic!("folds are folds") };
            let result = self.scopes[value.space as usize].registers[number].expect("folds have registers");
            let operand = self.operand(space, operand, section);
            section.folds.push(Fold {
                function,
                dtype: value.dtype,
                operand,
                space: value.space,
                total: self.totals[number],
                result,
            });
        }
        // Now that all of the section's loads are there, some of which may be of what an output is written over.
        for (store, (output, part)) in section.stores.iter_mut().zip(self.outputs_of(space, level).collect::<Vec<_>>())
        {
            let register = store.stored.register;
            store.stored.in_place = self.is_only_stored(output)
                && write_in_place(&mut section.body.code, &self.inputs, register, self.dtype(output), part as u32);
        }
        for (output, _) in self.outputs_of(space, level).collect::<Vec<_>>() {
            self.release(space, output);
        }
        for (_, operand) in self.folds_of(space, level).collect::<Vec<_>>() {
            self.release(space, operand);
        }
    }

    /// Whether nothing reads a value but the one output that it is.
    fn is_only_stored(&self, number: usize) -> bool {
        self.uses[number] == 1 && self.kept[number].is_none()
    }

    /// The register that a value is computed in.
    fn target(&mut self, space: Space, number: usize, section: &mut Section) -> Register {
        if space == Space::Element && self.kept[number].is_some() {
            return self.kept_register(number, section);
        }
        let dtype = self.dtype(number);
        if self.is_source(number) {
            return self.scopes[space as usize].define_source(number, dtype);
        }
        self.scopes[space as usize].define(number, dtype, false)
    }

    fn is_source(&self, number: usize) -> bool {
        match &self.nest.values[number].instruction {
            NestInstruction::Compute(instruction) => is_source(instruction) && body::is_available(),
            NestInstruction::Fold { .. } => false,
        }
    }

    /// The register of a value that is kept, which the section needs.
    fn kept_register(&mut self, number: usize, section: &mut Section) -> Register {
        let kept = self.kept[number].expect("a value that is kept");
        if !section.kept.contains(&kept) {
            section.kept.push(kept);
        }
        let scope = &mut self.scopes[Space::Element as usize];
        scope.registers[number].expect("a value that is kept has a register")
    }

    /// The register of an operand. Inputs are loaded when they are first asked for, and what stands in another space's registers
    /// is brought over.
    fn operand(&mut self, space: Space, number: usize, section: &mut Section) -> Register {
        if space == Space::Element && self.kept[number].is_some() {
            return self.kept_register(number, section);
        }
        if let Some(register) = self.scopes[space as usize].registers[number] {
            return register;
        }
        let value = &self.nest.values[number];
        if value.space != space {
            let from = self.scopes[value.space as usize].registers[number];
            let from = from.unwrap_or_else(|| panic!("value {number} is read before it is computed"));
            // Over one row or the whole a value is uniform.
            let uniform = value.space == Space::Whole || self.schedule.layout.group == 1;
            let scope = &mut self.scopes[space as usize];
            let to = if !uniform && body::is_available() {
                scope.define_source(number, value.dtype)
            } else {
                scope.define(number, value.dtype, uniform)
            };
            section.transfers.push(Transfer { dtype: value.dtype, from, to });
            return to;
        }
        let NestInstruction::Compute(Instruction::Load { input }) = value.instruction else {
            panic!("value {number} is read before {:?} defines it", value.instruction)
        };
        let dtype = value.dtype;
        let target = self.target(space, number, section);
        let borrows = !self.nest.outputs.contains(&(number as u32));
        section.body.code.push(Code::Load { dtype, input, target, borrows });
        target
    }

    fn release(&mut self, space: Space, number: usize) {
        let dtype = self.dtype(number);
        let is_brought = self.nest.values[number].space != space && body::is_available();
        let is_source = self.is_source(number) || is_brought;
        self.scopes[space as usize].release(number, dtype, is_source);
    }
}
