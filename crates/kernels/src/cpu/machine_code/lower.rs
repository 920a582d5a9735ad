//! Code over registers as fragments.

use arenagrad_graph::{BinaryFunction, CompareFunction, DType, Elementwise, ReduceFunction, UnaryFunction};

use super::assembler::{Opcode, Relation, Vectors};
use super::emit::{SlotLayout, Stride};
use super::fragment::{Fragment, Instruction, Slot, Value};
use crate::cpu::body::FoldCode;
use crate::cpu::code::Code;
use crate::cpu::registers::Register;

/// What a slot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotUse {
    Read {
        dtype: DType,
        register: Register,
    },
    /// A register, or an output where that can be.
    Written {
        dtype: DType,
        register: Register,
        output: Option<u32>,
    },
    /// What is asked for: the elements that a later block will need.
    Ahead {
        number: u32,
    },
    /// What a fold is made into, of columns or of a few chunks.
    Fold {
        number: u32,
        of_columns: bool,
    },
}

/// Whether code can be part of a fragment.
pub(in crate::cpu) fn is_lowered(code: &Code) -> bool {
    let Code::Elementwise { operation, from, to, .. } = code else { return false };
    match operation {
        Elementwise::Unary { function, .. } => match function {
            UnaryFunction::Neg
            | UnaryFunction::Abs
            | UnaryFunction::Sign
            | UnaryFunction::Floor
            | UnaryFunction::Ceil
            | UnaryFunction::Round
            | UnaryFunction::Trunc
            | UnaryFunction::Sqrt
            | UnaryFunction::Relu
            | UnaryFunction::Exp
            | UnaryFunction::Expm1
            | UnaryFunction::Log
            | UnaryFunction::Tanh
            | UnaryFunction::Sigmoid
            | UnaryFunction::Erf => *from == DType::F32,
            UnaryFunction::Not => true,
            UnaryFunction::Log1p
            | UnaryFunction::Sin
            | UnaryFunction::Cos
            | UnaryFunction::Atan
            | UnaryFunction::Asin
            | UnaryFunction::Acos
            | UnaryFunction::Sinh
            | UnaryFunction::Cosh
            | UnaryFunction::Asinh
            | UnaryFunction::Acosh
            | UnaryFunction::Atanh
            | UnaryFunction::Log2
            | UnaryFunction::Log10
            | UnaryFunction::Exp2
            | UnaryFunction::Erfc
            | UnaryFunction::Erfcx
            | UnaryFunction::Erfinv
            | UnaryFunction::Lgamma
            | UnaryFunction::Digamma
            | UnaryFunction::Trigamma
            | UnaryFunction::BitwiseNot => false,
        },
        Elementwise::Binary { function, .. } => match function {
            BinaryFunction::Add | BinaryFunction::Sub | BinaryFunction::Mul => {
                matches!(from, DType::F32 | DType::I32)
            }
            BinaryFunction::Div
            | BinaryFunction::Maximum
            | BinaryFunction::Minimum
            | BinaryFunction::ReluBackward
            | BinaryFunction::Copysign => *from == DType::F32,
            BinaryFunction::And | BinaryFunction::Or => true,
            BinaryFunction::Pow
            | BinaryFunction::Atan2
            | BinaryFunction::Hypot
            | BinaryFunction::Fmod
            | BinaryFunction::Remainder
            | BinaryFunction::FloorDivide
            | BinaryFunction::BitwiseAnd
            | BinaryFunction::BitwiseOr
            | BinaryFunction::BitwiseXor
            | BinaryFunction::ShiftLeft
            | BinaryFunction::ShiftRight => false,
        },
        Elementwise::Compare { .. } => matches!(from, DType::F32 | DType::I32),
        Elementwise::Where { .. } => matches!(to, DType::F32 | DType::I32),
        Elementwise::Cast { .. } => matches!((from, to), (DType::I32 | DType::Bool, DType::F32)),
        Elementwise::RoundTo { .. } => false,
    }
}

/// Some code as a fragment, and what its slots are.
pub(super) struct Lowering<'a> {
    pub(super) fragment: Fragment,
    pub(super) uses: Vec<SlotUse>,
    pub(super) layouts: Vec<SlotLayout>,
    /// The value that a register has by now.
    values: Vec<(DType, Register, Value)>,
    /// Whether a register may hold one value for a whole block.
    may_repeat: &'a dyn Fn(DType, Register) -> bool,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(vectors: Vectors, may_repeat: &'a dyn Fn(DType, Register) -> bool) -> Lowering<'a> {
        let (uses, layouts, values) = (Vec::new(), Vec::new(), Vec::new());
        Lowering { fragment: Fragment::new(vectors), uses, layouts, values, may_repeat }
    }

    fn slot(&mut self, layout: SlotLayout, what: SlotUse) -> Slot {
        self.layouts.push(layout);
        self.uses.push(what);
        Slot(self.uses.len() as u32 - 1)
    }

    /// The value of a register.
    fn value(&mut self, dtype: DType, register: Register) -> Value {
        if let Some(&(_, _, value)) = self.values.iter().find(|&&(of, at, _)| (of, at) == (dtype, register)) {
            return value;
        }
        let is_bytes = dtype == DType::Bool;
        let may_repeat = if register.is_uniform() { is_bytes } else { (self.may_repeat)(dtype, register) };
        let stride = if is_bytes { Stride::Bytes } else { Stride::Elements };
        let slot = self.slot(SlotLayout { stride, may_repeat }, SlotUse::Read { dtype, register });
        let value = self.fragment.push(match (is_bytes, register.is_uniform()) {
            (true, _) => Instruction::LoadMask(slot),
            (false, true) => Instruction::Uniform(slot),
            (false, false) => Instruction::Load(slot),
        });
        self.values.push((dtype, register, value));
        value
    }

    /// Appends code that [`is_lowered`]. If it `is_read` outside of the fragment its value is written.
    pub(super) fn push(&mut self, code: &Code, is_read: bool) {
        let Code::Elementwise { operation, from, to, target, output } = *code else {
            panic!("{code:?} is no elementwise code")
        };
        let value = self.elementwise(operation, from, to);
        self.values.retain(|&(dtype, register, _)| (dtype, register) != (to, target));
        self.values.push((to, target, value));
        if is_read || output.is_some() {
            let is_bytes = to == DType::Bool;
            let stride = if is_bytes { Stride::Bytes } else { Stride::Elements };
            let layout = SlotLayout { stride, may_repeat: false };
            let slot = self.slot(layout, SlotUse::Written { dtype: to, register: target, output });
            self.fragment.push(if is_bytes {
                Instruction::StoreMask(slot, value)
            } else {
                Instruction::Store(slot, value)
            });
        }
    }

    /// Appends that a stream is asked for, by its number.
    pub(super) fn push_ahead(&mut self, number: u32) {
        let layout = SlotLayout { stride: Stride::Elements, may_repeat: false };
        let slot = self.slot(layout, SlotUse::Ahead { number });
        self.fragment.push(Instruction::Prefetch(slot));
    }

    /// Appends a fold of a register, by its number among those of the body.
    pub(super) fn push_fold(&mut self, number: u32, fold: &FoldCode) {
        let FoldCode { function, operand, of_columns, long } = *fold;
        let value = self.value(DType::F32, operand);
        let stride = if of_columns { Stride::Elements } else { Stride::FoldedChunks { long } };
        let slot = self.slot(SlotLayout { stride, may_repeat: false }, SlotUse::Fold { number, of_columns });
        let folded = self.fragment.push(Instruction::Load(slot));
        let function = match function {
            ReduceFunction::Sum => BinaryFunction::Add,
            ReduceFunction::Product => BinaryFunction::Mul,
            ReduceFunction::Max => BinaryFunction::Maximum,
            ReduceFunction::Min => BinaryFunction::Minimum,
        };
        let folded = self.binary(function, DType::F32, folded, value);
        self.fragment.push(Instruction::Store(slot, folded));
    }

    fn elementwise(&mut self, operation: Elementwise<Register>, from: DType, to: DType) -> Value {
        match operation {
            Elementwise::Unary { function, operand } => {
                let x = self.value(from, operand);
                self.unary(function, x)
            }
            Elementwise::Binary { function, lhs, rhs } => {
                let (a, b) = (self.value(from, lhs), self.value(from, rhs));
                self.binary(function, from, a, b)
            }
            Elementwise::Compare { function, lhs, rhs } => {
                let (a, b) = (self.value(from, lhs), self.value(from, rhs));
                self.compare(function, from, a, b)
            }
            Elementwise::Where { condition, on_true, on_false } => {
                let mask = self.value(DType::Bool, condition);
                let (on_true, on_false) = (self.value(to, on_true), self.value(to, on_false));
                self.fragment.choose(mask, on_true, on_false)
            }
            Elementwise::Cast { operand } => {
                let x = self.value(from, operand);
                if from == DType::I32 {
                    return self.fragment.unary(Opcode::CVTDQ2PS, x, None);
                }
                let (one, zero) = (self.fragment.constant(1.0), self.fragment.constant(0.0));
                self.fragment.choose(x, one, zero)
            }
            Elementwise::RoundTo { .. } => panic!("no fragment rounds to 16 bits"),
        }
    }

    fn unary(&mut self, function: UnaryFunction, x: Value) -> Value {
        let fragment = &mut self.fragment;
        let zero = fragment.constant(0.0);
        // Roundings by the immediate, which also asks for no exceptions.
        let mut round = |immediate: u8| fragment.unary(Opcode::ROUNDPS, x, Some(immediate));
        match function {
            UnaryFunction::Round => round(0x8),
            UnaryFunction::Floor => round(0x9),
            UnaryFunction::Ceil => round(0xA),
            UnaryFunction::Trunc => round(0xB),
            UnaryFunction::Neg => fragment.neg(x),
            UnaryFunction::Abs => fragment.abs(x),
            UnaryFunction::Sign => {
                let (one, minus_one) = (fragment.constant(1.0), fragment.constant(-1.0));
                let sum = fragment.add(x, zero);
                let is_positive = fragment.compare(Relation::Less, zero, x);
                let value = fragment.choose(is_positive, one, sum);
                let is_negative = fragment.compare(Relation::Less, x, zero);
                fragment.choose(is_negative, minus_one, value)
            }
            UnaryFunction::Sqrt => fragment.unary(Opcode::SQRTPS, x, None),
            UnaryFunction::Relu => fragment.larger_or_second(zero, x),
            UnaryFunction::Exp => fragment.exp(x),
            UnaryFunction::Expm1 => fragment.expm1(x),
            UnaryFunction::Log => fragment.log(x),
            UnaryFunction::Tanh => fragment.tanh(x),
            UnaryFunction::Sigmoid => fragment.sigmoid(x),
            UnaryFunction::Erf => fragment.erf(x),
            UnaryFunction::Not => fragment.push(Instruction::Not(x)),
            UnaryFunction::Log1p
            | UnaryFunction::Sin
            | UnaryFunction::Cos
            | UnaryFunction::Atan
            | UnaryFunction::Asin
            | UnaryFunction::Acos
            | UnaryFunction::Sinh
            | UnaryFunction::Cosh
            | UnaryFunction::Asinh
            | UnaryFunction::Acosh
            | UnaryFunction::Atanh
            | UnaryFunction::Log2
            | UnaryFunction::Log10
            | UnaryFunction::Exp2
            | UnaryFunction::Erfc
            | UnaryFunction::Erfcx
            | UnaryFunction::Erfinv
            | UnaryFunction::Lgamma
            | UnaryFunction::Digamma
            | UnaryFunction::Trigamma
            | UnaryFunction::BitwiseNot => not_lowered(function.name()),
        }
    }

    fn binary(&mut self, function: BinaryFunction, dtype: DType, a: Value, b: Value) -> Value {
        let fragment = &mut self.fragment;
        let is_float = dtype == DType::F32;
        match function {
            BinaryFunction::Add if is_float => fragment.add(a, b),
            BinaryFunction::Sub if is_float => fragment.sub(a, b),
            BinaryFunction::Mul if is_float => fragment.mul(a, b),
            BinaryFunction::Add => fragment.add_integers(a, b),
            BinaryFunction::Sub => fragment.sub_integers(a, b),
            BinaryFunction::Mul => fragment.mul_integers(a, b),
            BinaryFunction::Div => fragment.div(a, b),
            BinaryFunction::Maximum => {
                let larger = fragment.larger_or_second(a, b);
                let is_nan = fragment.compare(Relation::NotEqual, a, a);
                fragment.choose(is_nan, a, larger)
            }
            BinaryFunction::Minimum => {
                let smaller = fragment.smaller_or_second(a, b);
                let is_nan = fragment.compare(Relation::NotEqual, a, a);
                fragment.choose(is_nan, a, smaller)
            }
            BinaryFunction::ReluBackward => {
                let zero = fragment.constant(0.0);
                let is_off = fragment.compare(Relation::LessEqual, b, zero);
                fragment.choose(is_off, zero, a)
            }
            BinaryFunction::Copysign => fragment.copysign(a, b),
            BinaryFunction::And => fragment.push(Instruction::And([a, b])),
            BinaryFunction::Or => fragment.push(Instruction::Or([a, b])),
            BinaryFunction::Pow
            | BinaryFunction::Atan2
            | BinaryFunction::Hypot
            | BinaryFunction::Fmod
            | BinaryFunction::Remainder
            | BinaryFunction::FloorDivide
            | BinaryFunction::BitwiseAnd
            | BinaryFunction::BitwiseOr
            | BinaryFunction::BitwiseXor
            | BinaryFunction::ShiftLeft
            | BinaryFunction::ShiftRight => not_lowered(function.name()),
        }
    }

    fn compare(&mut self, function: CompareFunction, dtype: DType, a: Value, b: Value) -> Value {
        let (relation, a, b) = match function {
            CompareFunction::Equal => (Relation::Equal, a, b),
            CompareFunction::NotEqual => (Relation::NotEqual, a, b),
            CompareFunction::Less => (Relation::Less, a, b),
            CompareFunction::LessEqual => (Relation::LessEqual, a, b),
            CompareFunction::Greater => (Relation::Less, b, a),
            CompareFunction::GreaterEqual => (Relation::LessEqual, b, a),
        };
        let fragment = &mut self.fragment;
        if dtype == DType::F32 {
            return fragment.compare(relation, a, b);
        }
        // AVX2 has two relations of integers; the others are what these are not.
        match (fragment.vectors, relation) {
            (Vectors::Vex, Relation::NotEqual) => {
                let mask = fragment.compare_integers(Relation::Equal, a, b);
                fragment.push(Instruction::Not(mask))
            }
            (Vectors::Vex, Relation::LessEqual) => {
                let mask = fragment.compare_integers(Relation::Less, b, a);
                fragment.push(Instruction::Not(mask))
            }
            _ => fragment.compare_integers(relation, a, b),
        }
    }
}

fn not_lowered(function: &str) -> ! {
    panic!("{function} is no part of fragments")
}
