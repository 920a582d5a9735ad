//! What a fragment computes, value by value: vectors of 32-bit lanes and masks, before they have registers.
//!
//! A value is the number of the instruction that gives it, and is given once. What a fragment reads and writes are slots, whose addresses it is told at each call.

use super::assembler::{Opcode, Relation, Shift, Vectors};

/// A value, by the number of its instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(pub(super) u32);

/// A place that is read or written, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(pub(super) u32);

/// One instruction over values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Instruction {
    /// These bits in every lane.
    Constant(u32),
    /// What a slot holds for all elements.
    Uniform(Slot),
    Load(Slot),
    /// A mask: which bytes of a slot are not 0.
    LoadMask(Slot),
    /// `opcode` of two vectors; `commutes` if their order is the same to it.
    Binary {
        opcode: Opcode,
        commutes: bool,
        operands: [Value; 2],
    },
    /// `a b + c`, rounded once.
    MultiplyAdd([Value; 3]),
    Shift {
        shift: Shift,
        operand: Value,
        bits: u8,
    },
    Unary {
        opcode: Opcode,
        operand: Value,
        immediate: Option<u8>,
    },
    /// A mask.
    Compare {
        relation: Relation,
        integers: bool,
        operands: [Value; 2],
    },
    /// The second vector where the mask is set, else the third.
    Choose([Value; 3]),
    /// Of masks.
    And([Value; 2]),
    /// Of masks.
    Or([Value; 2]),
    /// Of a mask.
    Not(Value),
    Store(Slot, Value),
    /// Asks for the memory of a slot, which is neither read nor written here.
    Prefetch {
        slot: Slot,
        is_written: bool,
    },
    /// Writes 1 where a mask is set, else 0, as bytes.
    StoreMask(Slot, Value),
}

impl Instruction {
    /// The values that it reads.
    pub(super) fn operands(&self) -> impl Iterator<Item = Value> + use<> {
        let (list, count) = match *self {
            Instruction::Constant(_)
            | Instruction::Uniform(_)
            | Instruction::Load(_)
            | Instruction::LoadMask(_)
            | Instruction::Prefetch { .. } => ([Value(0); 3], 0),
            Instruction::Binary { operands: [a, b], .. }
            | Instruction::Compare { operands: [a, b], .. }
            | Instruction::And([a, b])
            | Instruction::Or([a, b]) => ([a, b, b], 2),
            Instruction::MultiplyAdd(operands) | Instruction::Choose(operands) => (operands, 3),
            Instruction::Shift { operand, .. }
            | Instruction::Unary { operand, .. }
            | Instruction::Not(operand)
            | Instruction::Store(_, operand)
            | Instruction::StoreMask(_, operand) => ([operand; 3], 1),
        };
        list.into_iter().take(count)
    }

    /// Whether it is the same in each chunk, and known before the first.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self, Instruction::Constant(_) | Instruction::Uniform(_))
    }
}

/// A fragment.
#[derive(Clone, Debug)]
pub(super) struct Fragment {
    /// The vectors that it is for.
    pub(super) vectors: Vectors,
    pub(super) instructions: Vec<Instruction>,
}

impl Fragment {
    pub(super) fn new(vectors: Vectors) -> Fragment {
        Fragment { vectors, instructions: Vec::new() }
    }

    pub(super) fn push(&mut self, instruction: Instruction) -> Value {
        self.instructions.push(instruction);
        Value(self.instructions.len() as u32 - 1)
    }

    /// An instruction that other code gave already, or else a new one.
    pub(super) fn push_once(&mut self, instruction: Instruction) -> Value {
        match self.instructions.iter().position(|other| *other == instruction) {
            Some(number) => Value(number as u32),
            None => self.push(instruction),
        }
    }

    pub(super) fn bits(&mut self, bits: u32) -> Value {
        self.push_once(Instruction::Constant(bits))
    }

    pub(super) fn constant(&mut self, value: f32) -> Value {
        self.bits(value.to_bits())
    }

    fn binary(&mut self, opcode: Opcode, commutes: bool, a: Value, b: Value) -> Value {
        self.push(Instruction::Binary { opcode, commutes, operands: [a, b] })
    }

    pub(super) fn add(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::ADDPS, true, a, b)
    }

    pub(super) fn sub(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::SUBPS, false, a, b)
    }

    pub(super) fn mul(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::MULPS, true, a, b)
    }

    pub(super) fn div(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::DIVPS, false, a, b)
    }

    /// `a` where it is larger, else `b`: also where one is NaN.
    pub(super) fn larger_or_second(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::MAXPS, false, a, b)
    }

    /// `a` where it is smaller, else `b`: also where one is NaN.
    pub(super) fn smaller_or_second(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::MINPS, false, a, b)
    }

    pub(super) fn and(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::PAND, true, a, b)
    }

    pub(super) fn or(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::POR, true, a, b)
    }

    pub(super) fn xor(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::PXOR, true, a, b)
    }

    pub(super) fn add_integers(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::PADDD, true, a, b)
    }

    pub(super) fn sub_integers(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::PSUBD, false, a, b)
    }

    pub(super) fn mul_integers(&mut self, a: Value, b: Value) -> Value {
        self.binary(Opcode::PMULLD, true, a, b)
    }

    /// `a 2^n`, for an integer `n` that is a float.
    pub(super) fn scale(&mut self, a: Value, n: Value) -> Value {
        self.binary(Opcode::SCALEFPS, false, a, n)
    }

    pub(super) fn mul_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.push(Instruction::MultiplyAdd([a, b, c]))
    }

    pub(super) fn shift(&mut self, shift: Shift, operand: Value, bits: u8) -> Value {
        self.push(Instruction::Shift { shift, operand, bits })
    }

    pub(super) fn unary(&mut self, opcode: Opcode, operand: Value, immediate: Option<u8>) -> Value {
        self.push(Instruction::Unary { opcode, operand, immediate })
    }

    pub(super) fn compare(&mut self, relation: Relation, a: Value, b: Value) -> Value {
        self.push(Instruction::Compare { relation, integers: false, operands: [a, b] })
    }

    pub(super) fn compare_integers(&mut self, relation: Relation, a: Value, b: Value) -> Value {
        self.push(Instruction::Compare { relation, integers: true, operands: [a, b] })
    }

    pub(super) fn choose(&mut self, mask: Value, on_true: Value, on_false: Value) -> Value {
        self.push(Instruction::Choose([mask, on_true, on_false]))
    }

    pub(super) fn abs(&mut self, x: Value) -> Value {
        let magnitude = self.bits(0x7FFF_FFFF);
        self.and(x, magnitude)
    }

    pub(super) fn neg(&mut self, x: Value) -> Value {
        let sign = self.bits(0x8000_0000);
        self.xor(x, sign)
    }

    /// The magnitude of `x` with the sign of `sign`.
    pub(super) fn copysign(&mut self, x: Value, sign: Value) -> Value {
        let magnitude = self.abs(x);
        let bit = self.bits(0x8000_0000);
        let sign = self.and(sign, bit);
        self.or(magnitude, sign)
    }

    /// The value at `x` of the polynomial with these coefficients, lowest first.
    pub(super) fn polynomial(&mut self, x: Value, coefficients: &[f32]) -> Value {
        let (&highest, rest) = coefficients.split_last().expect("a polynomial has coefficients");
        let mut value = self.constant(highest);
        for &coefficient in rest.iter().rev() {
            let coefficient = self.constant(coefficient);
            value = self.mul_add(value, x, coefficient);
        }
        value
    }

    /// `low` or `high` outside the interval; NaN stays NaN.
    pub(super) fn limit(&mut self, x: Value, low: f32, high: f32) -> Value {
        let low = self.constant(low);
        let x = self.larger_or_second(low, x);
        let high = self.constant(high);
        self.smaller_or_second(high, x)
    }
}
