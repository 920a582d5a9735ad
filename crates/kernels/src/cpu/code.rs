//! Typed code over registers, and the translation of a [`Program`] into it.
//!
//! Values that are the same for every element are told from those that vary, and move into a prologue. A varying register
//! is reused as soon as its value has been read for the last time, and an input is loaded right before its first use, so
//! that few registers are alive at once.

use arenagrad_graph::{DType, Elementwise, StorageType};

use super::block_order::BlockOrder;
use super::body::{self, Body, RowsOfChunks, Wanted};
use super::machine_code::{self, Vectors};
use super::processor::detect;
use super::registers::{Allocation, BLOCK, Bank, Demand, LANES, LONG_BLOCK, Register};
use crate::program::{Instruction, Program, ProgramInput};

/// One instruction over registers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Code {
    /// Reads an input. If `borrows`, only code reads the register, and where the elements stand side by side they are left
    /// there, and where all are one it is not repeated.
    Load {
        dtype: DType,
        input: u32,
        target: Register,
        borrows: bool,
    },
    /// Leaves an input where it stands that shares the memory of an output: fragments alone read it, before they write the output.
    Borrow {
        dtype: DType,
        input: u32,
        target: Register,
    },
    /// Reads an accumulator; `borrows` as for a load.
    Accumulator {
        dtype: DType,
        target: Register,
        borrows: bool,
    },
    Iota {
        inner: usize,
        extent: usize,
        first: usize,
        target: Register,
    },
    Uniform {
        seed: u64,
        step: Register,
        first: usize,
        target: Register,
    },
    /// An elementwise operation, from the dtype of its first operand to that of its value. If it has an output, its value goes there
    /// instead of to the register, where the output's elements are values and the block is whole chunks.
    Elementwise {
        operation: Elementwise<Register>,
        from: DType,
        to: DType,
        target: Register,
        output: Option<u32>,
    },
    /// Elementwise operations that have been compiled; see [`super::body::Body`].
    Fragment {
        number: u32,
    },
}

impl Code {
    /// Whether it brings values that it has not computed of others that vary.
    pub(super) fn is_source(&self) -> bool {
        match self {
            Code::Load { .. } | Code::Borrow { .. } | Code::Accumulator { .. } | Code::Iota { .. } => true,
            Code::Uniform { step, .. } => step.is_uniform(),
            Code::Elementwise { .. } | Code::Fragment { .. } => false,
        }
    }

    /// The registers that it reads, and of which dtypes.
    pub(super) fn operands(&self) -> impl Iterator<Item = (DType, Register)> + use<> {
        let mut operands = [None; 3];
        match *self {
            Code::Load { .. } | Code::Borrow { .. } | Code::Accumulator { .. } | Code::Iota { .. } => {}
            Code::Uniform { step, .. } => operands[0] = Some((DType::I32, step)),
            Code::Elementwise { operation, from, to, .. } => {
                operands = match operation {
                    Elementwise::Unary { operand, .. }
                    | Elementwise::Cast { operand }
                    | Elementwise::RoundTo { operand, .. } => [Some((from, operand)), None, None],
                    Elementwise::Binary { lhs, rhs, .. } | Elementwise::Compare { lhs, rhs, .. } => {
                        [Some((from, lhs)), Some((from, rhs)), None]
                    }
                    Elementwise::Where { condition, on_true, on_false } => {
                        [Some((DType::Bool, condition)), Some((to, on_true)), Some((to, on_false))]
                    }
                }
            }
            Code::Fragment { .. } => panic!("what a fragment reads is known to its maker alone"),
        }
        operands.into_iter().flatten()
    }

    /// The register that it writes, and of which dtype.
    pub(super) fn target(&self) -> (DType, Register) {
        match *self {
            Code::Load { dtype, target, .. } | Code::Borrow { dtype, target, .. } => (dtype, target),
            Code::Accumulator { dtype, target, .. } => (dtype, target),
            Code::Iota { target, .. } => (DType::I32, target),
            Code::Uniform { target, .. } => (DType::F32, target),
            Code::Elementwise { to, target, .. } => (to, target),
            Code::Fragment { .. } => panic!("what a fragment writes is known to its maker alone"),
        }
    }

    /// The code of an instruction of dtype `dtype`, whose operands are of these dtypes and in these registers.
    ///
    /// # Panics
    /// For a constant: it stands in a register from the start.
    pub(super) fn new(
        instruction: &Instruction,
        dtype: DType,
        operands: [(DType, Register); 3],
        target: Register,
    ) -> Code {
        let [(first_dtype, operand), (_, second), (_, third)] = operands;
        match *instruction {
            Instruction::Load { input } => Code::Load { dtype, input, target, borrows: false },
            Instruction::Accumulator => Code::Accumulator { dtype, target, borrows: false },
            Instruction::Constant { .. } => panic!("a constant is not computed"),
            Instruction::Iota { inner, extent, first } => Code::Iota { inner, extent, first, target },
            Instruction::Uniform { seed, first, .. } => Code::Uniform { seed, step: operand, first, target },
            Instruction::Elementwise(elementwise) => {
                let mut registers = [operand, second, third].into_iter();
                let operation = elementwise.map(|_| registers.next().expect("an operation has at most three operands"));
                Code::Elementwise { operation, from: first_dtype, to: dtype, target, output: None }
            }
        }
    }
}

/// Writes the output of this number, which stands in `register`, where it goes instead, if the body allows that: the last code that writes
/// the register is elementwise, and no input that shares the output's memory is loaded after it. The caller knows
/// that nothing but the output reads the value. Gives whether it does.
pub(super) fn write_in_place(
    body: &mut [Code],
    inputs: &[ProgramInput],
    register: Register,
    dtype: DType,
    number: u32,
) -> bool {
    let Some(last) = body.iter().rposition(|code| code.target() == (dtype, register)) else { return false };
    let is_read = |code: &Code| match code {
        Code::Load { input, .. } | Code::Borrow { input, .. } => inputs[*input as usize].in_place == Some(number),
        Code::Accumulator { .. }
        | Code::Iota { .. }
        | Code::Uniform { .. }
        | Code::Elementwise { .. }
        | Code::Fragment { .. } => false,
    };
    if register.is_uniform() || body[last..].iter().any(is_read) {
        return false;
    }
    match &mut body[last] {
        Code::Elementwise { output: output @ None, .. } => {
            *output = Some(number);
            true
        }
        Code::Elementwise { .. }
        | Code::Load { .. }
        | Code::Borrow { .. }
        | Code::Accumulator { .. }
        | Code::Iota { .. }
        | Code::Uniform { .. }
        | Code::Fragment { .. } => false,
    }
}

/// An output of translated code.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredRegister {
    /// Where its value is computed.
    pub(super) register: Register,
    /// Whether code or a fragment writes it where it goes; see [`write_in_place`] and [`Body`].
    pub(super) in_place: bool,
}

/// What a task's registers hold before it comes to the first element.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    /// How many registers there are.
    pub(super) demand: Demand,
    /// Uniform registers that hold constants.
    pub(super) constants: Vec<(DType, Register, f64)>,
    /// Computes uniform values, once a run.
    pub(super) prologue: Vec<Code>,
}

impl Setup {
    /// Registers for one task and blocks of at most `elements` elements, constants set.
    pub(super) fn bank(&self, elements: usize) -> Bank {
        let mut bank = Bank::new(&self.demand, elements);
        for &(dtype, register, value) in &self.constants {
            match dtype {
                DType::F32 => bank.set_uniform(register, value as f32),
                DType::F64 => bank.set_uniform(register, value),
                DType::I32 => bank.set_uniform(register, value as i32),
                DType::Bool => bank.set_uniform(register, u8::from(value != 0.0)),
            }
        }
        bank
    }
}

/// A program over registers.
#[derive(Clone, Debug)]
pub(super) struct Translation {
    /// What is computed before.
    pub(super) setup: Setup,
    /// Computes varying values, once a block.
    pub(super) body: Body,
    /// What is written where, in the order of the outputs.
    pub(super) outputs: Vec<(DType, StoredRegister)>,
    /// How many elements are computed at a time.
    pub(super) block: usize,
    elements: usize,
}

/// The fewest elements of a program that has fragments.
const FEWEST_ELEMENTS: usize = 2 * LANES;

/// Registers of the values so far, and those free for reuse.
struct Allocator<'a> {
    program: &'a Program,
    /// Whether some of the code may become fragments: then what is no elementwise operation has a register for itself, so that it may come before its fragment.
    has_fragments: bool,
    registers: Vec<Option<Register>>,
    uniform: Vec<bool>,
    uses: Vec<u32>,
    allocation: Allocation,
    translation: Translation,
}

impl Allocator<'_> {
    /// A register for value `value`.
    fn define(&mut self, value: usize) -> Register {
        let (dtype, uniform) = (self.program.dtypes[value], self.uniform[value]);
        let register = if self.has_fragments && is_source(&self.program.instructions[value]) {
            self.allocation.define_source(dtype, uniform)
        } else {
            self.allocation.define(dtype, uniform)
        };
        self.registers[value] = Some(register);
        register
    }

    /// The register of an operand. Inputs are loaded when they are first asked for.
    fn operand(&mut self, value: u32) -> Register {
        let value = value as usize;
        if let Some(register) = self.registers[value] {
            return register;
        }
        let dtype = self.program.dtypes[value];
        let target = self.define(value);
        let code = match self.program.instructions[value] {
            Instruction::Load { input } => {
                Code::Load { dtype, input, target, borrows: !self.program.outputs.contains(&(value as u32)) }
            }
            Instruction::Accumulator => {
                Code::Accumulator { dtype, target, borrows: !self.program.outputs.contains(&(value as u32)) }
            }
            Instruction::Constant { value } => {
                self.translation.setup.constants.push((dtype, target, value));
                return target;
            }
            ref computed @ (Instruction::Iota { .. } | Instruction::Uniform { .. } | Instruction::Elementwise(_)) => {
                panic!("value {value} is read before {computed:?} defines it")
            }
        };
        self.emit(code, value);
        target
    }

    fn emit(&mut self, code: Code, value: usize) {
        if self.uniform[value] {
            self.translation.setup.prologue.push(code);
        } else {
            self.translation.body.code.push(code);
        }
    }

    /// Notes that an operand has been read once more, and frees its register after the last time.
    fn release(&mut self, value: u32) {
        let value = value as usize;
        self.uses[value] -= 1;
        if self.uses[value] == 0
            && let Some(register) = self.registers[value]
            && !(self.has_fragments && is_source(&self.program.instructions[value]))
        {
            self.allocation.release(self.program.dtypes[value], register);
        }
    }
}

impl Translation {
    /// The code of a program.
    pub(super) fn new(program: &Program) -> Self {
        let vectors = vectors_for(program, machine_code::vectors(detect()));
        let mut translation = Translation::interpreted(program, vectors.is_some());
        translation.compile(program, &RowsOfChunks::default(), vectors);
        translation
    }

    /// Makes fragments of the code for these vectors, where that can be.
    fn compile(&mut self, program: &Program, rows: &RowsOfChunks, vectors: Option<Vectors>) {
        if let Some(vectors) = vectors {
            let (done, left): (Vec<_>, Vec<_>) = (0..).zip(&self.outputs).partition(|(_, (_, stored))| stored.in_place);
            let live: Vec<_> = done.iter().map(|(_, (dtype, stored))| (*dtype, stored.register)).collect();
            let stores: Vec<_> =
                left.iter().map(|&(number, &(dtype, stored))| ((dtype, stored.register), number)).collect();
            let repeating = body::repeating(&self.body.code, &program.inputs);
            let wanted = Wanted { live: &live, stores: &stores, repeating: &repeating, folds: &[], ahead: &[], rows };
            self.body = self.body.compiled(vectors, &program.inputs, wanted).expect("code without folds has a body");
            for (number, (_, stored)) in (0..).zip(&mut self.outputs) {
                stored.in_place |= self.body.writes(number);
            }
        }
    }

    /// The code of a program, all of it for the interpreter; `has_fragments` if some of it may become fragments.
    fn interpreted(program: &Program, has_fragments: bool) -> Self {
        let values = program.instructions.len();
        let mut uses = vec![0u32; values];
        for instruction in &program.instructions {
            let (read, count) = instruction.operands();
            read[..count].iter().for_each(|&operand| uses[operand as usize] += 1);
        }
        // An output is read once more, when it is written at the end.
        program.outputs.iter().for_each(|&value| uses[value as usize] += 1);

        let mut uniform: Vec<bool> = Vec::with_capacity(values);
        for instruction in &program.instructions {
            uniform.push(is_uniform(instruction, &program.inputs, &uniform));
        }
        let (setup, body, outputs) = (Setup::default(), Body::default(), Vec::new());
        let translation = Translation { setup, body, outputs, block: BLOCK, elements: program.elements };
        let registers = vec![None; values];
        let allocation = Allocation::default();
        let mut allocator = Allocator { program, has_fragments, registers, uniform, uses, allocation, translation };
        for (value, instruction) in program.instructions.iter().enumerate() {
            let (read, count) = instruction.operands();
            if allocator.uses[value] == 0 {
                read[..count].iter().for_each(|&operand| allocator.release(operand));
                continue;
            }
            match instruction {
                Instruction::Load { .. } | Instruction::Accumulator | Instruction::Constant { .. } => continue,
                Instruction::Iota { .. } | Instruction::Uniform { .. } | Instruction::Elementwise(_) => {}
            }
            let mut sources = [(DType::F32, Register::unused()); 3];
            for (source, &operand) in sources.iter_mut().zip(&read[..count]) {
                *source = (program.dtypes[operand as usize], allocator.operand(operand));
            }
            // The target is chosen before the operands are released: no instruction writes what it reads.
            let code = Code::new(instruction, program.dtypes[value], sources, allocator.define(value));
            allocator.emit(code, value);
            read[..count].iter().for_each(|&operand| allocator.release(operand));
        }
        for &value in &program.outputs {
            let register = allocator.operand(value);
            let stored = StoredRegister { register, in_place: false };
            allocator.translation.outputs.push((program.dtypes[value as usize], stored));
        }
        allocator.translation.setup.demand = allocator.allocation.demand();
        let mut translation = allocator.translation;
        // Code stays as long as its session.
        translation.body.code.shrink_to_fit();
        translation.setup.prologue.shrink_to_fit();
        translation
    }

    /// The code of a program whose outputs are those of its kernel: what nothing else reads is written where it goes.
    pub(super) fn storing(program: &Program, unit: usize, stored: &[StorageType]) -> Self {
        Translation::storing_with(program, machine_code::vectors(detect()), unit, stored)
    }

    /// As [`Translation::storing`], with fragments for these vectors.
    pub(super) fn storing_with(
        program: &Program,
        vectors: Option<Vectors>,
        unit: usize,
        stored: &[StorageType],
    ) -> Self {
        let vectors = vectors_for(program, vectors);
        let mut translation = Translation::interpreted(program, vectors.is_some());
        let mut uses = vec![0u32; program.instructions.len()];
        for instruction in &program.instructions {
            let (read, count) = instruction.operands();
            read[..count].iter().for_each(|&operand| uses[operand as usize] += 1);
        }
        program.outputs.iter().for_each(|&value| uses[value as usize] += 1);
        let Translation { body, outputs, .. } = &mut translation;
        for ((number, &value), (dtype, stored)) in (0..).zip(&program.outputs).zip(outputs) {
            stored.in_place = uses[value as usize] == 1
                && write_in_place(&mut body.code, &program.inputs, stored.register, *dtype, number);
        }
        // Blocks in another order begin anywhere.
        let begins_at_chunks = unit.is_multiple_of(LANES) && BlockOrder::of(&program.inputs).is_none();
        let mut rows = RowsOfChunks::default();
        if begins_at_chunks {
            rows = RowsOfChunks::of_program(program, &translation.body.code, stored);
        }
        translation.compile(program, &rows, vectors);
        if translation.body.needs_no_registers(&program.inputs) {
            translation.block = LONG_BLOCK;
        }
        translation
    }

    /// Registers for one task, constants set.
    pub(super) fn bank(&self) -> Bank {
        self.setup.bank(self.elements.min(self.block))
    }
}

/// Whether an instruction brings what is not computed of others. Where there are fragments its register is given to nothing else, so that it may come
/// before its fragment.
pub(super) fn is_source(instruction: &Instruction) -> bool {
    match instruction {
        Instruction::Load { .. }
        | Instruction::Accumulator
        | Instruction::Iota { .. }
        | Instruction::Uniform { .. } => true,
        Instruction::Constant { .. } | Instruction::Elementwise(_) => false,
    }
}

/// The vectors that a program's fragments are for. Kernels of a few elements have none: there may be tens of thousands of them in a plan, each with registers and code of its own.
fn vectors_for(program: &Program, vectors: Option<Vectors>) -> Option<Vectors> {
    vectors.filter(|_| program.elements >= FEWEST_ELEMENTS)
}

/// Whether a value is the same for every element; `uniform` says so of the values before it.
pub(super) fn is_uniform(instruction: &Instruction, inputs: &[ProgramInput], uniform: &[bool]) -> bool {
    match *instruction {
        Instruction::Constant { .. } => true,
        Instruction::Load { input } => {
            let input = &inputs[input as usize];
            input.in_place.is_none() && input.view.is_scalar()
        }
        Instruction::Accumulator | Instruction::Iota { .. } | Instruction::Uniform { .. } => false,
        Instruction::Elementwise(_) => {
            let (read, count) = instruction.operands();
            read[..count].iter().all(|&operand| uniform[operand as usize])
        }
    }
}
