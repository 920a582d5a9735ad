//! Which loop computes which function of which dtype.
//!
//! A function of a dtype that it is not defined for is a broken invariant of the graph, and panics.

use arenagrad_graph::{Bf16, BinaryFunction, CompareFunction, DType, F16, Half, UnaryFunction};

use super::double;
use super::error_functions::{erfc, erfcx, erfinv};
use super::functions::{self, in_pow_range, in_trigonometric_range};
use super::hyperbolic;
use super::interpret::Block;
use super::lanes::{Long, Long2};
use super::registers::{Lane, Register};
use super::scalar::{Float, Number, maximum, minimum, relu, relu_backward};

#[cold]
#[inline(never)]
pub(super) fn undefined(function: &str, dtype: DType) -> ! {
    panic!("{function} is not a function of {dtype}")
}

/// A [`Long`] or [`Long2`] that calls a function of the surrounding `FUSED`.
macro_rules! long {
    ($float:ty: $function:path) => {{
        struct Function<const FUSED: bool>;
        impl<const FUSED: bool> Long<$float> for Function<FUSED> {
            #[inline(always)]
            fn of(&self, a: $float) -> $float {
                $function(a)
            }
        }
        Function::<FUSED>
    }};
    ($float:ty, $_:ty: $function:path) => {{
        struct Function<const FUSED: bool>;
        impl<const FUSED: bool> Long2<$float> for Function<FUSED> {
            #[inline(always)]
            fn of(&self, a: $float, b: $float) -> $float {
                $function(a, b)
            }
        }
        Function::<FUSED>
    }};
}

/// A function of f64 for f32.
struct Widened<F>(F);

impl<F: Long2<f64>> Long2<f32> for Widened<F> {
    #[inline(always)]
    fn of(&self, a: f32, b: f32) -> f32 {
        self.0.of(f64::from(a), f64::from(b)) as f32
    }
}

#[cold]
#[inline(never)]
fn short(function: &str) -> ! {
    panic!("{function} is compiled with the functions that are a few instructions")
}

impl Block<'_, '_> {
    #[inline(always)]
    pub(super) fn unary_f32<const FUSED: bool>(
        &mut self,
        function: UnaryFunction,
        operand: Register,
        target: Register,
    ) {
        match function {
            UnaryFunction::Exp => self.map_long(operand, target, long!(f32: functions::exp::<FUSED>)),
            UnaryFunction::Expm1 => self.map_long(operand, target, long!(f32: functions::expm1::<FUSED>)),
            UnaryFunction::Log => self.map_long(operand, target, long!(f32: functions::log::<FUSED>)),
            UnaryFunction::Log1p => self.map_long(operand, target, long!(f32: functions::log1p::<FUSED>)),
            UnaryFunction::Sin => {
                self.map_checked(
                    operand,
                    target,
                    long!(f32: functions::sin::<FUSED>),
                    in_trigonometric_range,
                    f32::sin,
                );
            }
            UnaryFunction::Cos => {
                self.map_checked(
                    operand,
                    target,
                    long!(f32: functions::cos::<FUSED>),
                    in_trigonometric_range,
                    f32::cos,
                );
            }
            UnaryFunction::Tanh => self.map_long(operand, target, long!(f32: functions::tanh::<FUSED>)),
            UnaryFunction::Sigmoid => self.map_long(operand, target, long!(f32: functions::sigmoid::<FUSED>)),
            UnaryFunction::Erf => self.map_long(operand, target, long!(f32: functions::erf::<FUSED>)),
            UnaryFunction::Atan => self.map_long(operand, target, long!(f32: functions::atan::<FUSED>)),
            UnaryFunction::Asin => self.map_long(operand, target, long!(f32: hyperbolic::asin::<FUSED>)),
            UnaryFunction::Acos => self.map_long(operand, target, long!(f32: hyperbolic::acos::<FUSED>)),
            UnaryFunction::Sinh => self.map_long(operand, target, long!(f32: hyperbolic::sinh::<FUSED>)),
            UnaryFunction::Cosh => self.map_long(operand, target, long!(f32: hyperbolic::cosh::<FUSED>)),
            UnaryFunction::Asinh => self.map_long(operand, target, long!(f32: hyperbolic::asinh::<FUSED>)),
            UnaryFunction::Acosh => self.map_long(operand, target, long!(f32: hyperbolic::acosh::<FUSED>)),
            UnaryFunction::Atanh => self.map_long(operand, target, long!(f32: hyperbolic::atanh::<FUSED>)),
            UnaryFunction::Log2 => self.map_long(operand, target, long!(f32: functions::log2::<FUSED>)),
            UnaryFunction::Log10 => self.map_long(operand, target, long!(f32: functions::log10::<FUSED>)),
            UnaryFunction::Exp2 => self.map_long(operand, target, long!(f32: functions::exp2::<FUSED>)),
            UnaryFunction::Erfc => self.map_long(operand, target, long!(f32: erfc::<FUSED>)),
            UnaryFunction::Erfcx => self.map_long(operand, target, long!(f32: erfcx::<FUSED>)),
            UnaryFunction::Erfinv => self.map_long(operand, target, long!(f32: erfinv::<FUSED>)),
            // Next to their zeros only wider floats keep the digits.
            UnaryFunction::Lgamma | UnaryFunction::Digamma | UnaryFunction::Trigamma => {
                let value = function.row().value;
                self.map(operand, target, |x: f32| value(f64::from(x)) as f32);
            }
            UnaryFunction::Neg
            | UnaryFunction::Abs
            | UnaryFunction::Sign
            | UnaryFunction::Floor
            | UnaryFunction::Ceil
            | UnaryFunction::Round
            | UnaryFunction::Trunc
            | UnaryFunction::Sqrt
            | UnaryFunction::Relu
            | UnaryFunction::Not
            | UnaryFunction::BitwiseNot => self.unary_float::<f32>(function, operand, target),
        }
    }

    #[inline(always)]
    pub(super) fn round_to_f32(&mut self, half: Half, operand: Register, target: Register) {
        match half {
            Half::F16 => self.map(operand, target, |x: f32| F16::from_f32(x).to_f32()),
            Half::Bf16 => self.map(operand, target, |x: f32| Bf16::from_f32(x).to_f32()),
        }
    }

    #[inline(always)]
    pub(super) fn round_to_f64(&mut self, half: Half, operand: Register, target: Register) {
        self.map(operand, target, |x: f64| half.round(x));
    }

    /// Functions of f64 that are many instructions.
    #[inline(always)]
    pub(super) fn long_unary_f64<const FUSED: bool>(
        &mut self,
        function: UnaryFunction,
        operand: Register,
        target: Register,
    ) {
        match function {
            UnaryFunction::Exp => self.map_long(operand, target, long!(f64: double::exp::<FUSED>)),
            UnaryFunction::Expm1 => self.map_long(operand, target, long!(f64: double::expm1::<FUSED>)),
            UnaryFunction::Log => self.map_long(operand, target, long!(f64: double::log::<FUSED>)),
            UnaryFunction::Log1p => self.map_long(operand, target, long!(f64: double::log1p::<FUSED>)),
            UnaryFunction::Sin => {
                self.map_checked(
                    operand,
                    target,
                    long!(f64: double::sin::<FUSED>),
                    double::in_trigonometric_range,
                    f64::sin,
                );
            }
            UnaryFunction::Cos => {
                self.map_checked(
                    operand,
                    target,
                    long!(f64: double::cos::<FUSED>),
                    double::in_trigonometric_range,
                    f64::cos,
                );
            }
            UnaryFunction::Tanh => self.map_long(operand, target, long!(f64: double::tanh::<FUSED>)),
            UnaryFunction::Sigmoid => self.map_long(operand, target, long!(f64: double::sigmoid::<FUSED>)),
            UnaryFunction::Erf => self.map_long(operand, target, long!(f64: double::erf::<FUSED>)),
            UnaryFunction::Atan => self.map_long(operand, target, long!(f64: double::atan::<FUSED>)),
            UnaryFunction::Asin => self.map_long(operand, target, long!(f64: double::asin::<FUSED>)),
            UnaryFunction::Acos => self.map_long(operand, target, long!(f64: double::acos::<FUSED>)),
            UnaryFunction::Sinh => self.map_long(operand, target, long!(f64: double::sinh::<FUSED>)),
            UnaryFunction::Cosh => self.map_long(operand, target, long!(f64: double::cosh::<FUSED>)),
            UnaryFunction::Asinh => self.map_long(operand, target, long!(f64: double::asinh::<FUSED>)),
            UnaryFunction::Acosh => self.map_long(operand, target, long!(f64: double::acosh::<FUSED>)),
            UnaryFunction::Atanh => self.map_long(operand, target, long!(f64: double::atanh::<FUSED>)),
            UnaryFunction::Log2 => self.map_long(operand, target, long!(f64: double::log2::<FUSED>)),
            UnaryFunction::Log10 => self.map_long(operand, target, long!(f64: double::log10::<FUSED>)),
            UnaryFunction::Exp2 => self.map_long(operand, target, long!(f64: double::exp2::<FUSED>)),
            UnaryFunction::Erfc => self.map_long(operand, target, long!(f64: double::erfc::<FUSED>)),
            UnaryFunction::Erfcx => self.map_long(operand, target, long!(f64: double::erfcx::<FUSED>)),
            UnaryFunction::Erfinv => self.map_long(operand, target, long!(f64: double::erfinv::<FUSED>)),
            // By sums whose length depends on the argument.
            UnaryFunction::Lgamma | UnaryFunction::Digamma | UnaryFunction::Trigamma => {
                self.map(operand, target, function.row().value);
            }
            UnaryFunction::Neg
            | UnaryFunction::Abs
            | UnaryFunction::Sign
            | UnaryFunction::Floor
            | UnaryFunction::Ceil
            | UnaryFunction::Round
            | UnaryFunction::Trunc
            | UnaryFunction::Sqrt
            | UnaryFunction::Relu
            | UnaryFunction::Not
            | UnaryFunction::BitwiseNot => short(function.name()),
        }
    }

    /// The functions that are one instruction, or a few.
    #[inline(always)]
    pub(super) fn unary_float<T: Lane + Number + Float>(
        &mut self,
        function: UnaryFunction,
        operand: Register,
        target: Register,
    ) {
        if function == UnaryFunction::Neg {
            self.map(operand, target, <T as Number>::neg);
        } else if function == UnaryFunction::Abs {
            self.map(operand, target, <T as Number>::abs);
        } else if function == UnaryFunction::Sign {
            self.map(operand, target, <T as Number>::sign);
        } else if function == UnaryFunction::Floor {
            self.map(operand, target, T::floor);
        } else if function == UnaryFunction::Ceil {
            self.map(operand, target, T::ceil);
        } else if function == UnaryFunction::Round {
            self.map(operand, target, T::round_ties_even);
        } else if function == UnaryFunction::Trunc {
            self.map(operand, target, T::trunc);
        } else if function == UnaryFunction::Sqrt {
            self.map(operand, target, T::sqrt);
        } else if function == UnaryFunction::Relu {
            self.map(operand, target, relu::<T>);
        } else {
            undefined(function.name(), T::DTYPE);
        }
    }

    #[inline(always)]
    pub(super) fn unary_i32(&mut self, function: UnaryFunction, operand: Register, target: Register) {
        if function == UnaryFunction::Neg {
            self.map(operand, target, <i32 as Number>::neg);
        } else if function == UnaryFunction::Abs {
            self.map(operand, target, <i32 as Number>::abs);
        } else if function == UnaryFunction::Sign {
            self.map(operand, target, <i32 as Number>::sign);
        } else if function == UnaryFunction::BitwiseNot {
            self.map(operand, target, |x: i32| !x);
        } else {
            undefined(function.name(), DType::I32);
        }
    }

    #[inline(always)]
    pub(super) fn unary_bool(&mut self, function: UnaryFunction, operand: Register, target: Register) {
        if function == UnaryFunction::Not {
            self.map(operand, target, |x: u8| x ^ 1);
        } else {
            undefined(function.name(), DType::Bool);
        }
    }

    #[inline(always)]
    pub(super) fn binary_f32<const FUSED: bool>(
        &mut self,
        function: BinaryFunction,
        lhs: Register,
        rhs: Register,
        target: Register,
    ) {
        match function {
            BinaryFunction::Pow => {
                self.map2_checked(
                    (lhs, rhs),
                    target,
                    long!(f32, f32: functions::pow::<FUSED>),
                    in_pow_range,
                    f32::powf,
                );
            }
            BinaryFunction::Atan2 => self.map2_long((lhs, rhs), target, long!(f32, f32: functions::atan2::<FUSED>)),
            BinaryFunction::Hypot => self.map2(lhs, rhs, target, functions::hypot),
            BinaryFunction::Fmod => {
                self.divide_f32::<FUSED>((lhs, rhs), target, long!(f64, f64: double::fmod::<FUSED>), |a, b| {
                    (BinaryFunction::Fmod.row().value)(f64::from(a), f64::from(b)) as f32
                })
            }
            BinaryFunction::Remainder => {
                self.divide_f32::<FUSED>((lhs, rhs), target, long!(f64, f64: double::remainder::<FUSED>), |a, b| {
                    (BinaryFunction::Remainder.row().value)(f64::from(a), f64::from(b)) as f32
                });
            }
            BinaryFunction::FloorDivide => {
                self.divide_f32::<FUSED>((lhs, rhs), target, long!(f64, f64: double::floor_divide::<FUSED>), |a, b| {
                    (BinaryFunction::FloorDivide.row().value)(f64::from(a), f64::from(b)) as f32
                });
            }
            BinaryFunction::Add
            | BinaryFunction::Sub
            | BinaryFunction::Mul
            | BinaryFunction::Div
            | BinaryFunction::Maximum
            | BinaryFunction::Minimum
            | BinaryFunction::ReluBackward
            | BinaryFunction::Copysign
            | BinaryFunction::And
            | BinaryFunction::Or
            | BinaryFunction::BitwiseAnd
            | BinaryFunction::BitwiseOr
            | BinaryFunction::BitwiseXor
            | BinaryFunction::ShiftLeft
            | BinaryFunction::ShiftRight => self.binary_float::<f32>(function, lhs, rhs, target),
        }
    }

    /// A division in f64, where what is rounded after its exact remainder is rounded once.
    #[inline(always)]
    fn divide_f32<const FUSED: bool>(
        &mut self,
        operands: (Register, Register),
        target: Register,
        fast: impl Long2<f64>,
        slow: fn(f32, f32) -> f32,
    ) {
        let accepts = |a: f32, b: f32| double::in_division_range::<FUSED>(f64::from(a), f64::from(b));
        self.map2_checked(operands, target, Widened(fast), accepts, slow);
    }

    /// Functions of f64 that are many instructions.
    #[inline(always)]
    pub(super) fn long_binary_f64<const FUSED: bool>(
        &mut self,
        function: BinaryFunction,
        operands: (Register, Register),
        target: Register,
    ) {
        let in_division_range = double::in_division_range::<FUSED>;
        match function {
            BinaryFunction::Pow => {
                self.map2_checked(
                    operands,
                    target,
                    long!(f64, f64: double::pow::<FUSED>),
                    double::in_pow_range,
                    f64::powf,
                );
            }
            BinaryFunction::Atan2 => self.map2_long(operands, target, long!(f64, f64: double::atan2::<FUSED>)),
            BinaryFunction::Hypot => self.map2_long(operands, target, long!(f64, f64: double::hypot::<FUSED>)),
            BinaryFunction::Fmod => {
                self.map2_checked(
                    operands,
                    target,
                    long!(f64, f64: double::fmod::<FUSED>),
                    in_division_range,
                    function.row().value,
                );
            }
            BinaryFunction::Remainder => {
                self.map2_checked(
                    operands,
                    target,
                    long!(f64, f64: double::remainder::<FUSED>),
                    in_division_range,
                    function.row().value,
                );
            }
            BinaryFunction::FloorDivide => {
                let value = function.row().value;
                self.map2_checked(
                    operands,
                    target,
                    long!(f64, f64: double::floor_divide::<FUSED>),
                    in_division_range,
                    value,
                );
            }
            BinaryFunction::Add
            | BinaryFunction::Sub
            | BinaryFunction::Mul
            | BinaryFunction::Div
            | BinaryFunction::Maximum
            | BinaryFunction::Minimum
            | BinaryFunction::ReluBackward
            | BinaryFunction::Copysign
            | BinaryFunction::And
            | BinaryFunction::Or
            | BinaryFunction::BitwiseAnd
            | BinaryFunction::BitwiseOr
            | BinaryFunction::BitwiseXor
            | BinaryFunction::ShiftLeft
            | BinaryFunction::ShiftRight => short(function.name()),
        }
    }

    /// The functions that are one instruction, or a few.
    #[inline(always)]
    pub(super) fn binary_float<T: Lane + Number + Float>(
        &mut self,
        function: BinaryFunction,
        lhs: Register,
        rhs: Register,
        target: Register,
    ) {
        if function == BinaryFunction::Add {
            self.map2(lhs, rhs, target, <T as Number>::add);
        } else if function == BinaryFunction::Sub {
            self.map2(lhs, rhs, target, <T as Number>::sub);
        } else if function == BinaryFunction::Mul {
            self.map2(lhs, rhs, target, <T as Number>::mul);
        } else if function == BinaryFunction::Div {
            self.map2(lhs, rhs, target, T::div);
        } else if function == BinaryFunction::Maximum {
            self.map2(lhs, rhs, target, maximum::<T>);
        } else if function == BinaryFunction::Minimum {
            self.map2(lhs, rhs, target, minimum::<T>);
        } else if function == BinaryFunction::ReluBackward {
            self.map2(lhs, rhs, target, relu_backward::<T>);
        } else if function == BinaryFunction::Copysign {
            self.map2(lhs, rhs, target, T::copysign);
        } else {
            undefined(function.name(), T::DTYPE);
        }
    }

    #[inline(always)]
    pub(super) fn binary_i32(&mut self, function: BinaryFunction, lhs: Register, rhs: Register, target: Register) {
        if function == BinaryFunction::Add {
            self.map2(lhs, rhs, target, <i32 as Number>::add);
        } else if function == BinaryFunction::Sub {
            self.map2(lhs, rhs, target, <i32 as Number>::sub);
        } else if function == BinaryFunction::Mul {
            self.map2(lhs, rhs, target, <i32 as Number>::mul);
        } else if function == BinaryFunction::Maximum {
            self.map2(lhs, rhs, target, maximum::<i32>);
        } else if function == BinaryFunction::Minimum {
            self.map2(lhs, rhs, target, minimum::<i32>);
        } else if function == BinaryFunction::BitwiseAnd {
            self.map2(lhs, rhs, target, |a: i32, b: i32| a & b);
        } else if function == BinaryFunction::BitwiseOr {
            self.map2(lhs, rhs, target, |a: i32, b: i32| a | b);
        } else if function == BinaryFunction::BitwiseXor {
            self.map2(lhs, rhs, target, |a: i32, b: i32| a ^ b);
        } else if function == BinaryFunction::ShiftLeft {
            // Both ways are computed and one is taken, which vectors do without a jump.
            self.map2(lhs, rhs, target, |a: i32, b: i32| if b as u32 > 31 { 0 } else { a.wrapping_shl(b as u32) });
        } else if function == BinaryFunction::ShiftRight {
            self.map2(lhs, rhs, target, |a: i32, b: i32| a.wrapping_shr((b as u32).min(31)));
        } else if let Some(value) = function.row().integer {
            // Behind the functions that have loops of their own: calls of a row's function become no vector instructions.
            self.map2(lhs, rhs, target, value);
        } else {
            undefined(function.name(), DType::I32);
        }
    }

    #[inline(always)]
    pub(super) fn binary_bool(&mut self, function: BinaryFunction, lhs: Register, rhs: Register, target: Register) {
        if function == BinaryFunction::And {
            self.map2(lhs, rhs, target, |a: u8, b: u8| a & b);
        } else if function == BinaryFunction::Or {
            self.map2(lhs, rhs, target, |a: u8, b: u8| a | b);
        } else {
            undefined(function.name(), DType::Bool);
        }
    }

    #[inline(always)]
    pub(super) fn compare<T: Lane + PartialOrd>(
        &mut self,
        function: CompareFunction,
        lhs: Register,
        rhs: Register,
        target: Register,
    ) {
        // `a > b` is `b < a`: half as many loops to compile.
        let (lhs, rhs) = match function {
            CompareFunction::Greater | CompareFunction::GreaterEqual => (rhs, lhs),
            CompareFunction::Less | CompareFunction::LessEqual | CompareFunction::Equal | CompareFunction::NotEqual => {
                (lhs, rhs)
            }
        };
        match function {
            CompareFunction::Less | CompareFunction::Greater => {
                self.map2(lhs, rhs, target, |a: T, b: T| u8::from(a < b));
            }
            CompareFunction::LessEqual | CompareFunction::GreaterEqual => {
                self.map2(lhs, rhs, target, |a: T, b: T| u8::from(a <= b));
            }
            CompareFunction::Equal => self.map2(lhs, rhs, target, |a: T, b: T| u8::from(a == b)),
            CompareFunction::NotEqual => self.map2(lhs, rhs, target, |a: T, b: T| u8::from(a != b)),
        }
    }

    #[inline(always)]
    pub(super) fn cast(&mut self, from: DType, to: DType, operand: Register, target: Register) {
        match (from, to) {
            (DType::F32, DType::F32) => self.map(operand, target, |x: f32| x),
            (DType::F32, DType::F64) => self.map(operand, target, |x: f32| f64::from(x)),
            (DType::F32, DType::I32) => self.map(operand, target, |x: f32| x as i32),
            (DType::F32, DType::Bool) => self.map(operand, target, |x: f32| u8::from(x != 0.0)),
            (DType::F64, DType::F32) => self.map(operand, target, |x: f64| x as f32),
            (DType::F64, DType::F64) => self.map(operand, target, |x: f64| x),
            (DType::F64, DType::I32) => self.map(operand, target, |x: f64| x as i32),
            (DType::F64, DType::Bool) => self.map(operand, target, |x: f64| u8::from(x != 0.0)),
            (DType::I32, DType::F32) => self.map(operand, target, |x: i32| x as f32),
            (DType::I32, DType::F64) => self.map(operand, target, |x: i32| f64::from(x)),
            (DType::I32, DType::I32) => self.map(operand, target, |x: i32| x),
            (DType::I32, DType::Bool) => self.map(operand, target, |x: i32| u8::from(x != 0)),
            (DType::Bool, DType::F32) => self.map(operand, target, |x: u8| f32::from(x)),
            (DType::Bool, DType::F64) => self.map(operand, target, |x: u8| f64::from(x)),
            (DType::Bool, DType::I32) => self.map(operand, target, |x: u8| i32::from(x)),
            (DType::Bool, DType::Bool) => self.map(operand, target, |x: u8| x),
        }
    }
}
