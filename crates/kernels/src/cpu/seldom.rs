//! Instructions that are seldom a program's hot loop: arithmetic of f64, i32 and bool, conversions, and loads of elements that are
//! narrower than their values.
//!
//! They are compiled apart from the others, without an instance for the widest instruction set, for the loops of each dtype
//! are many and most programs compute in f32. A call of one is a call for a whole block.

use arenagrad_graph::DType;

use super::code::Code;
use super::interpret::Block;
use super::narrow::of_storage;
use super::processor::{Vectorise, detect, dispatch};

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
        match code {
            Code::Unary { function, dtype, operand, target } => match dtype {
                DType::F32 => often(code),
                DType::F64 => block.unary_float::<f64, FUSED>(function, operand, target),
                DType::I32 => block.unary_i32(function, operand, target),
                DType::Bool => block.unary_bool(function, operand, target),
            },
            Code::Binary { function, dtype, lhs, rhs, target } => match dtype {
                DType::F32 => often(code),
                DType::F64 => block.binary_float::<f64, FUSED>(function, lhs, rhs, target),
                DType::I32 => block.binary_i32(function, lhs, rhs, target),
                DType::Bool => block.binary_bool(function, lhs, rhs, target),
            },
            Code::Compare { function, dtype, lhs, rhs, target } => match dtype {
                DType::F32 | DType::I32 => often(code),
                DType::F64 => block.compare::<f64>(function, lhs, rhs, target),
                DType::Bool => block.compare::<u8>(function, lhs, rhs, target),
            },
            Code::Where { dtype, condition, on_true, on_false, target } => match dtype {
                DType::F32 => often(code),
                DType::F64 => block.choose::<f64>(condition, on_true, on_false, target),
                DType::I32 => block.choose::<i32>(condition, on_true, on_false, target),
                DType::Bool => block.choose::<u8>(condition, on_true, on_false, target),
            },
            Code::Cast { from, to, operand, target } => block.cast(from, to, operand, target),
            Code::Load { input, target, .. } => {
                of_storage!(block.stored(input), E => block.load_narrow::<E>(input, target));
            }
            Code::Accumulator { .. } | Code::Iota { .. } | Code::Uniform { .. } => often(code),
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
        dispatch(detect(), Seldom { block: self, code });
    }
}
