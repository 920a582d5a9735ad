//! Instructions that are seldom a program's hot loop: arithmetic of f64, i32 and bool, and conversions.
//!
//! They are compiled apart from the others, for the loops of each dtype are many and most programs compute in f32, and all but the functions of f64 that are
//! many instructions, where wider vectors are felt, without an instance for the widest instruction set. A call of one is a call for a whole block.

use arenagrad_graph::{BinaryFunction, DType, Effort, Elementwise, UnaryFunction};

use super::apply::undefined;
use super::code::Code;
use super::interpret::Block;
use super::processor::{Vectorise, detect, dispatch};
use super::registers::Register;

/// One instruction of a block's code.
struct Seldom<'c, 'a, 'b> {
    block: &'c mut Block<'a, 'b>,
    code: Code,
}

impl Vectorise for Seldom<'_, '_, '_> {
    type Output = ();
    const WIDEST: bool = false;

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Seldom { block, code } = self;
        let Code::Elementwise { operation, from, to, target, .. } = code else { often(code) };
        match operation {
            Elementwise::Unary { function, operand } => match from {
                DType::F32 => often(code),
                DType::F64 => block.unary_float::<f64>(function, operand, target),
                DType::I32 => block.unary_i32(function, operand, target),
                DType::Bool => block.unary_bool(function, operand, target),
            },
            Elementwise::Binary { function, lhs, rhs } => match from {
                DType::F32 => often(code),
                DType::F64 => block.binary_float::<f64>(function, lhs, rhs, target),
                DType::I32 => block.binary_i32(function, lhs, rhs, target),
                DType::Bool => block.binary_bool(function, lhs, rhs, target),
            },
            Elementwise::Compare { function, lhs, rhs } => match from {
                DType::F32 | DType::I32 => often(code),
                DType::F64 => block.compare::<f64>(function, lhs, rhs, target),
                DType::Bool => block.compare::<u8>(function, lhs, rhs, target),
            },
            Elementwise::Where { condition, on_true, on_false } => match to {
                DType::F32 => often(code),
                DType::F64 => block.choose::<f64>(condition, on_true, on_false, target),
                DType::I32 => block.choose::<i32>(condition, on_true, on_false, target),
                DType::Bool => block.choose::<u8>(condition, on_true, on_false, target),
            },
            Elementwise::Cast { operand } => block.cast(from, to, operand, target),
            Elementwise::RoundTo { half, operand } => match from {
                DType::F32 => often(code),
                DType::F64 => block.round_to_f64(half, operand, target),
                DType::I32 | DType::Bool => undefined("rounding to 16 bits", from),
            },
        }
    }
}

/// A function of f64 that is many instructions, to be computed for a block.
struct LongCall<'c, 'a, 'b> {
    block: &'c mut Block<'a, 'b>,
    function: LongFunction,
    target: Register,
}

enum LongFunction {
    Unary(UnaryFunction, Register),
    Binary(BinaryFunction, (Register, Register)),
}

impl Vectorise for LongCall<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let LongCall { block, function, target } = self;
        match function {
            LongFunction::Unary(function, operand) => block.long_unary_f64::<FUSED>(function, operand, target),
            LongFunction::Binary(function, operands) => block.long_binary_f64::<FUSED>(function, operands, target),
        }
    }
}

impl LongFunction {
    /// What the code computes, if it is such a function.
    fn of(code: Code) -> Option<(Self, Register)> {
        let Code::Elementwise { operation, from: DType::F64, target, .. } = code else { return None };
        let (function, effort) = match operation {
            Elementwise::Unary { function, operand } => (LongFunction::Unary(function, operand), function.row().effort),
            Elementwise::Binary { function, lhs, rhs } => {
                (LongFunction::Binary(function, (lhs, rhs)), function.row().effort)
            }
            Elementwise::Compare { .. }
            | Elementwise::Where { .. }
            | Elementwise::Cast { .. }
            | Elementwise::RoundTo { .. } => return None,
        };
        match effort {
            Effort::Simple | Effort::Division => None,
            Effort::Transcendental | Effort::Power => Some((function, target)),
        }
    }
}

#[cold]
#[inline(never)]
fn often(code: Code) -> ! {
    panic!("{code:?} is executed with the block's own instruction set")
}

impl Block<'_, '_> {
    /// Executes an instruction of those that this module is for.
    pub(super) fn execute_seldom(&mut self, code: Code) {
        match LongFunction::of(code) {
            Some((function, target)) => dispatch(detect(), LongCall { block: self, function, target }),
            None => dispatch(detect(), Seldom { block: self, code }),
        }
    }
}
