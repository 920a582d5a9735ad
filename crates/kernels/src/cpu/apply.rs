//! Which loop computes which function of which dtype.
//!
//! A function of a dtype that it is not defined for is a broken invariant of the graph, and panics.

use arenagrad_graph::{BinaryFunction, CompareFunction, DType, UnaryFunction};

use super::functions::Float;
use super::interpret::Block;
use super::registers::{Lane, Register};
use super::scalar::{Number, maximum, minimum, relu, relu_backward};

#[cold]
#[inline(never)]
fn undefined(function: &str, dtype: DType) -> ! {
    panic!("{function} is not a function of {dtype}")
}

impl Block<'_, '_> {
    #[inline(always)]
    pub(super) fn unary_float<T: Lane + Float + Number, const FUSED: bool>(
        &mut self,
        function: UnaryFunction,
        operand: Register,
        target: Register,
    ) {
        match function {
            UnaryFunction::Neg => self.map(operand, target, <T as Number>::neg),
            UnaryFunction::Abs => self.map(operand, target, <T as Number>::abs),
            UnaryFunction::Sign => self.map(operand, target, <T as Number>::sign),
            UnaryFunction::Floor => self.map(operand, target, T::floor),
            UnaryFunction::Ceil => self.map(operand, target, T::ceil),
            UnaryFunction::Round => self.map(operand, target, T::round),
            UnaryFunction::Exp => self.map_function(operand, target, T::exp::<FUSED>),
            UnaryFunction::Expm1 => self.map_function(operand, target, T::expm1::<FUSED>),
            UnaryFunction::Log => self.map_function(operand, target, T::log::<FUSED>),
            UnaryFunction::Log1p => self.map_function(operand, target, T::log1p::<FUSED>),
            UnaryFunction::Sqrt => self.map(operand, target, T::sqrt),
            UnaryFunction::Sin => {
                if T::CALLS {
                    self.call(operand, target, T::sin_of_any);
                } else {
                    self.map_checked(operand, target, T::sin::<FUSED>, T::in_trigonometric_range, T::sin_of_any);
                }
            }
            UnaryFunction::Cos => {
                if T::CALLS {
                    self.call(operand, target, T::cos_of_any);
                } else {
                    self.map_checked(operand, target, T::cos::<FUSED>, T::in_trigonometric_range, T::cos_of_any);
                }
            }
            UnaryFunction::Tanh => self.map_function(operand, target, T::tanh::<FUSED>),
            UnaryFunction::Sigmoid => self.map_function(operand, target, T::sigmoid::<FUSED>),
            UnaryFunction::Erf => self.map_function(operand, target, T::erf::<FUSED>),
            UnaryFunction::Relu => self.map(operand, target, relu::<T>),
            UnaryFunction::Not => undefined(function.name(), T::DTYPE),
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
    pub(super) fn binary_float<T: Lane + Float + Number, const FUSED: bool>(
        &mut self,
        function: BinaryFunction,
        lhs: Register,
        rhs: Register,
        target: Register,
    ) {
        match function {
            BinaryFunction::Add => self.map2(lhs, rhs, target, <T as Number>::add),
            BinaryFunction::Sub => self.map2(lhs, rhs, target, <T as Number>::sub),
            BinaryFunction::Mul => self.map2(lhs, rhs, target, <T as Number>::mul),
            BinaryFunction::Div => self.map2(lhs, rhs, target, <T as Float>::div),
            BinaryFunction::Pow => {
                if T::CALLS {
                    self.call2(lhs, rhs, target, T::pow_of_any);
                } else {
                    self.map2_checked((lhs, rhs), target, T::pow::<FUSED>, T::in_pow_range, T::pow_of_any);
                }
            }
            BinaryFunction::Maximum => self.map2(lhs, rhs, target, maximum::<T>),
            BinaryFunction::Minimum => self.map2(lhs, rhs, target, minimum::<T>),
            BinaryFunction::ReluBackward => self.map2(lhs, rhs, target, relu_backward::<T>),
            BinaryFunction::And | BinaryFunction::Or => undefined(function.name(), T::DTYPE),
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

    /// `map` of a function that may be one of a library.
    #[inline(always)]
    fn map_function<T: Lane + Float>(&mut self, operand: Register, target: Register, f: impl Fn(T) -> T) {
        if T::CALLS { self.call(operand, target, f) } else { self.map(operand, target, f) }
    }

    /// `map` that is compiled once, whatever instruction sets its callers are compiled for.
    #[inline(never)]
    fn call<T: Lane>(&mut self, operand: Register, target: Register, f: impl Fn(T) -> T) {
        self.map(operand, target, f);
    }

    /// `map2` that is compiled once, whatever instruction sets its callers are compiled for.
    #[inline(never)]
    fn call2<T: Lane>(&mut self, lhs: Register, rhs: Register, target: Register, f: impl Fn(T, T) -> T) {
        self.map2(lhs, rhs, target, f);
    }
}
