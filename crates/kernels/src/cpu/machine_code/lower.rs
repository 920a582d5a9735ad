//! Code over registers as fragments.

use arenagrad_graph::{BinaryFunction, CompareFunction, DType, Elementwise, ReduceFunction, UnaryFunction};

use super::assembler::{Opcode, Relation, Vectors};
use super::emit::{SlotLayout, Stride};
use super::fragment::{Fragment, Instruction, Slot, Value};
use crate::cpu::body::{AskedAhead, FoldCode, FoldPlace, Repeated, RowsOfChunks};
use crate::cpu::code::Code;
use crate::cpu::registers::Register;

/// What a slot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotUse {
    Read {
        dtype: DType,
        register: Register,
    },
    /// What each row or each column has one value of.
    Repeated {
        dtype: DType,
        what: Repeated,
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
    /// What a fold is made into.
    Fold {
        number: u32,
        place: FoldPlace,
    },
}

/// Whether code can be part of a fragment.
pub(in crate::cpu) fn is_lowered(code: &Code) -> bool {
    let Code::Elementwise { operation, from, to, .. } = code else { return false };
    match operation {
        Elementwise::Unary { function, .. } => unary(*function, *from).is_some(),
        Elementwise::Binary { function, .. } => binary(*function, *from).is_some(),
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
    rows: &'a RowsOfChunks,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        vectors: Vectors,
        may_repeat: &'a dyn Fn(DType, Register) -> bool,
        rows: &'a RowsOfChunks,
    ) -> Lowering<'a> {
        let (uses, layouts, values) = (Vec::new(), Vec::new(), Vec::new());
        Lowering { fragment: Fragment::new(vectors), uses, layouts, values, may_repeat, rows }
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
        if let Some(what) = self.rows.repeated((dtype, register)) {
            let stride = if what.is_of_rows() { Stride::Rows } else { Stride::Columns };
            let slot = self.slot(SlotLayout { stride, may_repeat: false }, SlotUse::Repeated { dtype, what });
            let value = self.fragment.push(Instruction::Load(slot));
            self.values.push((dtype, register, value));
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

    /// Appends that a stream is asked for.
    pub(super) fn push_ahead(&mut self, AskedAhead { number, is_written }: AskedAhead) {
        let layout = SlotLayout { stride: Stride::Elements, may_repeat: false };
        let slot = self.slot(layout, SlotUse::Ahead { number });
        self.fragment.push(Instruction::Prefetch { slot, is_written });
    }

    /// Appends a fold of a register, by its number among those of the body.
    pub(super) fn push_fold(&mut self, number: u32, fold: &FoldCode) {
        let FoldCode { function, operand, place } = *fold;
        let value = self.value(DType::F32, operand);
        let stride = match place {
            FoldPlace::Columns => Stride::Elements,
            FoldPlace::ShortColumns => Stride::Columns,
            FoldPlace::Chunks { long } => Stride::FoldedChunks { long },
            FoldPlace::ShortRows => Stride::FoldedRows,
        };
        let slot = self.slot(SlotLayout { stride, may_repeat: false }, SlotUse::Fold { number, place });
        let folded = self.fragment.push(Instruction::Load(slot));
        let folded = match function {
            ReduceFunction::Sum => self.fragment.add(folded, value),
            ReduceFunction::Product => self.fragment.mul(folded, value),
            ReduceFunction::Max => self.fragment.maximum(folded, value),
            ReduceFunction::Min => self.fragment.minimum(folded, value),
        };
        self.fragment.push(Instruction::Store(slot, folded));
    }

    fn elementwise(&mut self, operation: Elementwise<Register>, from: DType, to: DType) -> Value {
        match operation {
            Elementwise::Unary { function, operand } => {
                let x = self.value(from, operand);
                let lower = unary(function, from).unwrap_or_else(|| not_lowered(function.name()));
                lower(&mut self.fragment, x)
            }
            Elementwise::Binary { function, lhs, rhs } => {
                let (a, b) = (self.value(from, lhs), self.value(from, rhs));
                let lower = binary(function, from).unwrap_or_else(|| not_lowered(function.name()));
                lower(&mut self.fragment, a, b)
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

/// How a fragment computes a function of one value.
type Unary = fn(&mut Fragment, Value) -> Value;

/// How a fragment computes a function of two values.
type Binary = fn(&mut Fragment, Value, Value) -> Value;

/// How fragments compute a function of values of a dtype, if they do.
fn unary(function: UnaryFunction, dtype: DType) -> Option<Unary> {
    let lower: Unary = match function {
        UnaryFunction::Not => return Some(|fragment, x| fragment.push(Instruction::Not(x))),
        UnaryFunction::Neg => Fragment::neg,
        UnaryFunction::Abs => Fragment::abs,
        UnaryFunction::Sign => Fragment::sign,
        // The immediates ask for no exceptions, too.
        UnaryFunction::Round => |fragment, x| fragment.unary(Opcode::ROUNDPS, x, Some(0x8)),
        UnaryFunction::Floor => |fragment, x| fragment.unary(Opcode::ROUNDPS, x, Some(0x9)),
        UnaryFunction::Ceil => |fragment, x| fragment.unary(Opcode::ROUNDPS, x, Some(0xA)),
        UnaryFunction::Trunc => |fragment, x| fragment.unary(Opcode::ROUNDPS, x, Some(0xB)),
        UnaryFunction::Sqrt => |fragment, x| fragment.unary(Opcode::SQRTPS, x, None),
        UnaryFunction::Relu => Fragment::relu,
        UnaryFunction::Exp => Fragment::exp,
        UnaryFunction::Expm1 => Fragment::expm1,
        UnaryFunction::Log => Fragment::log,
        UnaryFunction::Tanh => Fragment::tanh,
        UnaryFunction::Sigmoid => Fragment::sigmoid,
        UnaryFunction::Erf => Fragment::erf,
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
        | UnaryFunction::BitwiseNot => return None,
    };
    (dtype == DType::F32).then_some(lower)
}

/// As [`unary`], of two values.
fn binary(function: BinaryFunction, dtype: DType) -> Option<Binary> {
    let is_integer = dtype == DType::I32;
    let lower: Binary = match function {
        BinaryFunction::And => return Some(|fragment, a, b| fragment.push(Instruction::And([a, b]))),
        BinaryFunction::Or => return Some(|fragment, a, b| fragment.push(Instruction::Or([a, b]))),
        BinaryFunction::Add if is_integer => return Some(Fragment::add_integers),
        BinaryFunction::Sub if is_integer => return Some(Fragment::sub_integers),
        BinaryFunction::Mul if is_integer => return Some(Fragment::mul_integers),
        BinaryFunction::Add => Fragment::add,
        BinaryFunction::Sub => Fragment::sub,
        BinaryFunction::Mul => Fragment::mul,
        BinaryFunction::Div => Fragment::div,
        BinaryFunction::Maximum => Fragment::maximum,
        BinaryFunction::Minimum => Fragment::minimum,
        BinaryFunction::ReluBackward => Fragment::relu_backward,
        BinaryFunction::Copysign => Fragment::copysign,
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
        | BinaryFunction::ShiftRight => return None,
    };
    (dtype == DType::F32).then_some(lower)
}

fn not_lowered(function: &str) -> ! {
    panic!("{function} is no part of fragments")
}
