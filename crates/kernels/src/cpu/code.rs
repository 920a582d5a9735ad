//! Translation of a [`Program`] into typed code over registers.
//!
//! Values that are the same for every element are told from those that vary, and move into a prologue. A varying register
//! is reused as soon as its value has been read for the last time, and an input is loaded right before its first use, so
//! that few registers are alive at once.

use arenagrad_graph::{BinaryFunction, CompareFunction, DType, UnaryFunction};

use super::registers::{Bank, Demand, Register};
use crate::program::{Instruction, Program};

/// One instruction over registers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Code {
    Load { dtype: DType, input: u32, target: Register },
    Accumulator { target: Register },
    Iota { inner: usize, extent: usize, target: Register },
    Uniform { seed: u64, step: Register, target: Register },
    Unary { function: UnaryFunction, dtype: DType, operand: Register, target: Register },
    Binary { function: BinaryFunction, dtype: DType, lhs: Register, rhs: Register, target: Register },
    Compare { function: CompareFunction, dtype: DType, lhs: Register, rhs: Register, target: Register },
    Where { dtype: DType, condition: Register, on_true: Register, on_false: Register, target: Register },
    Cast { from: DType, to: DType, operand: Register, target: Register },
}

/// A program over registers.
#[derive(Clone, Debug)]
pub(super) struct Translation {
    /// Computes uniform values, once a run.
    pub(super) prologue: Vec<Code>,
    /// Computes varying values, once a block.
    pub(super) body: Vec<Code>,
    /// What is written where, in the order of the outputs.
    pub(super) outputs: Vec<(DType, Register)>,
    /// Uniform registers that hold constants.
    pub(super) constants: Vec<(DType, Register, f64)>,
    demand: Demand,
    elements: usize,
}

/// Registers of the values so far, and those free for reuse.
struct Allocator<'a> {
    program: &'a Program,
    registers: Vec<Option<Register>>,
    uniform: Vec<bool>,
    uses: Vec<u32>,
    free: [Vec<u32>; 4],
    translation: Translation,
}

impl Allocator<'_> {
    /// A register for value `value`.
    fn define(&mut self, value: usize) -> Register {
        let dtype = self.program.dtypes[value] as usize;
        let uniform = self.uniform[value];
        let demand = &mut self.translation.demand;
        let index = match self.free[dtype].pop() {
            Some(index) if !uniform => index,
            reusable => {
                self.free[dtype].extend(reusable);
                let count = if uniform { &mut demand.uniform[dtype] } else { &mut demand.varying[dtype] };
                *count += 1;
                *count - 1
            }
        };
        let register = Register { index, uniform };
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
            Instruction::Load { input } => Code::Load { dtype, input, target },
            Instruction::Accumulator => Code::Accumulator { target },
            Instruction::Constant { value } => {
                self.translation.constants.push((dtype, target, value));
                return target;
            }
            ref other => panic!("value {value} is read before {other:?} defines it"),
        };
        self.emit(code, value);
        target
    }

    fn emit(&mut self, code: Code, value: usize) {
        if self.uniform[value] {
            self.translation.prologue.push(code);
        } else {
            self.translation.body.push(code);
        }
    }

    /// Notes that an operand has been read once more, and frees its register after the last time.
    fn release(&mut self, value: u32) {
        let value = value as usize;
        self.uses[value] -= 1;
        if self.uses[value] == 0
            && let Some(register) = self.registers[value]
            && !register.uniform
        {
            self.free[self.program.dtypes[value] as usize].push(register.index);
        }
    }
}

impl Translation {
    /// The code of a program.
    pub(super) fn new(program: &Program) -> Self {
        let values = program.instructions.len();
        let mut uses = vec![0u32; values];
        let mut uniform: Vec<bool> = Vec::with_capacity(values);
        for instruction in &program.instructions {
            let (read, count) = instruction.operands();
            read[..count].iter().for_each(|&operand| uses[operand as usize] += 1);
            uniform.push(match *instruction {
                Instruction::Constant { .. } => true,
                Instruction::Load { input } => {
                    let input = &program.inputs[input as usize];
                    input.in_place.is_none() && input.view.is_scalar()
                }
                Instruction::Accumulator | Instruction::Iota { .. } | Instruction::Uniform { .. } => false,
                Instruction::Unary { .. }
                | Instruction::Binary { .. }
                | Instruction::Compare { .. }
                | Instruction::Where { .. }
                | Instruction::Cast { .. } => read[..count].iter().all(|&operand| uniform[operand as usize]),
            });
        }
        // An output is read once more, when it is written at the end.
        program.outputs.iter().for_each(|&value| uses[value as usize] += 1);

        let translation = Translation {
            prologue: Vec::new(),
            body: Vec::new(),
            outputs: Vec::new(),
            constants: Vec::new(),
            demand: Demand::default(),
            elements: program.elements,
        };
        let registers = vec![None; values];
        let free = [const { Vec::new() }; 4];
        let mut allocator = Allocator { program, registers, uniform, uses, free, translation };
        for (value, instruction) in program.instructions.iter().enumerate() {
            let (read, count) = instruction.operands();
            if allocator.uses[value] == 0 {
                read[..count].iter().for_each(|&operand| allocator.release(operand));
                continue;
            }
            let mut sources = [Register { index: 0, uniform: true }; 3];
            for (source, &operand) in sources.iter_mut().zip(&read[..count]) {
                *source = allocator.operand(operand);
            }
            let [first, second, third] = sources;
            let dtype = program.dtypes[value];
            let of = |operand: u32| program.dtypes[operand as usize];
            // The target is chosen before the operands are released: no instruction writes what it reads.
            let code = match *instruction {
                Instruction::Load { .. } | Instruction::Accumulator | Instruction::Constant { .. } => continue,
                Instruction::Iota { inner, extent } => Code::Iota { inner, extent, target: allocator.define(value) },
                Instruction::Uniform { seed, .. } => {
                    Code::Uniform { seed, step: first, target: allocator.define(value) }
                }
                Instruction::Unary { function, .. } => {
                    Code::Unary { function, dtype, operand: first, target: allocator.define(value) }
                }
                Instruction::Binary { function, .. } => {
                    Code::Binary { function, dtype, lhs: first, rhs: second, target: allocator.define(value) }
                }
                Instruction::Compare { function, lhs, .. } => {
                    Code::Compare { function, dtype: of(lhs), lhs: first, rhs: second, target: allocator.define(value) }
                }
                Instruction::Where { .. } => {
                    let target = allocator.define(value);
                    Code::Where { dtype, condition: first, on_true: second, on_false: third, target }
                }
                Instruction::Cast { operand } => {
                    Code::Cast { from: of(operand), to: dtype, operand: first, target: allocator.define(value) }
                }
            };
            allocator.emit(code, value);
            read[..count].iter().for_each(|&operand| allocator.release(operand));
        }
        for &value in &program.outputs {
            let register = allocator.operand(value);
            allocator.translation.outputs.push((program.dtypes[value as usize], register));
        }
        allocator.translation
    }

    /// Registers for one task, constants set.
    pub(super) fn bank(&self) -> Bank {
        let mut bank = Bank::new(&self.demand, self.elements);
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
