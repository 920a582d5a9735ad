//! Functions of one element: what they are called, and the table of what is known of them.

use super::{Effort, FLOATS, INTEGERS, NEAR_ZERO, NUMBERS, POSITIVE, TRUTH_VALUES, WITHIN_ONE, truth};
use crate::dtype::DType;
use crate::op::special;

/// Functions of one element. Derivatives and edge cases: [`crate::ops::unary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // Each is explained at its rule in `crate::ops::unary`.
pub enum UnaryFunction {
    Neg,
    Abs,
    Sign,
    Floor,
    Ceil,
    Round,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Erf,
    Relu,
    Not,
    Atan,
    Asin,
    Acos,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    Log2,
    Log10,
    Exp2,
    Trunc,
    Erfc,
    Erfcx,
    Erfinv,
    Lgamma,
    Digamma,
    Trigamma,
    BitwiseNot,
}

/// What is known of a function of one element.
#[derive(Clone, Copy, Debug)]
pub struct UnaryRow {
    /// The function that the row is of.
    pub function: UnaryFunction,
    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub name: &'static str,
    /// What the operand may be; the value is of the same dtype.
    pub dtypes: &'static [DType],
    /// What it costs.
    pub effort: Effort,
    /// The value for floats, in f64, and for truth values, which are 0 and 1.
    pub value: fn(f64) -> f64,
    /// The value for i32, if the function is defined for it.
    pub integer: Option<fn(i32) -> i32>,
    /// Where the function and its derivatives are finite and of moderate size: the least and the largest argument that tests of
    /// derivatives take.
    pub domain: (f64, f64),
    /// Where the kernels' values for f32 are held to [`UnaryRow::accuracy`].
    pub range: (f64, f64),
    /// How far a kernel's value for f32 may be from the right one, in units of the last place.
    pub accuracy: f64,
    /// The same of a GPU's value, where the adapter computes arithmetic as it is written. Of `lgamma` and `digamma`, which are sums there whose terms
    /// cancel next to zeros, the units are those of 1 where the value is smaller; of these and `trigamma` nothing is said below the `range`.
    pub accuracy_on_gpu: f64,
}

/// A row of a function of floats that is exact to its `accuracy` in the `range`.
const fn float(
    function: UnaryFunction,
    name: &'static str,
    effort: Effort,
    value: fn(f64) -> f64,
    domain: (f64, f64),
    range: (f64, f64),
    accuracy: f64,
) -> UnaryRow {
    let accuracy_on_gpu = accuracy;
    UnaryRow { function, name, dtypes: FLOATS, effort, value, integer: None, domain, range, accuracy, accuracy_on_gpu }
}

/// A row of a function of numbers whose value is exact.
const fn exact(
    function: UnaryFunction,
    name: &'static str,
    value: fn(f64) -> f64,
    integer: fn(i32) -> i32,
) -> UnaryRow {
    let (domain, range, integer) = (NEAR_ZERO, (-3.0, 3.0), Some(integer));
    let (dtypes, effort) = (NUMBERS, Effort::Simple);
    UnaryRow { function, name, dtypes, effort, value, integer, domain, range, accuracy: 0.0, accuracy_on_gpu: 0.0 }
}

/// The functions of one element, in the order of declaration.
const UNARY: [UnaryRow; 37] = {
    use Effort::{Division, Simple, Transcendental};
    use UnaryFunction::*;
    [
        exact(Neg, "neg", |x| -x, i32::wrapping_neg),
        exact(Abs, "abs", f64::abs, i32::wrapping_abs),
        exact(Sign, "sign", sign, i32::signum),
        float(Floor, "floor", Simple, f64::floor, NEAR_ZERO, (-5.0, 5.0), 0.0),
        float(Ceil, "ceil", Simple, f64::ceil, NEAR_ZERO, (-5.0, 5.0), 0.0),
        float(Round, "round", Simple, f64::round_ties_even, NEAR_ZERO, (-5.0, 5.0), 0.0),
        float(Exp, "exp", Transcendental, f64::exp, NEAR_ZERO, (-105.0, 90.0), 2.0),
        float(Expm1, "expm1", Transcendental, f64::exp_m1, NEAR_ZERO, (-20.0, 20.0), 2.0),
        float(Log, "log", Transcendental, f64::ln, POSITIVE, (0.0, 4.0), 2.0),
        float(Log1p, "log1p", Transcendental, f64::ln_1p, (-0.5, 3.0), (-1.0, 3.0), 2.0),
        float(Sqrt, "sqrt", Division, f64::sqrt, POSITIVE, (0.0, 100.0), 0.51),
        float(Sin, "sin", Transcendental, f64::sin, (-4.0, 4.0), (-1e5, 1e5), 2.0),
        float(Cos, "cos", Transcendental, f64::cos, (-4.0, 4.0), (-1e5, 1e5), 2.0),
        float(Tanh, "tanh", Transcendental, f64::tanh, NEAR_ZERO, (-10.0, 10.0), 2.5),
        float(Sigmoid, "sigmoid", Transcendental, sigmoid, (-3.0, 3.0), (-105.0, 20.0), 2.5),
        float(Erf, "erf", Transcendental, libm::erf, NEAR_ZERO, (-4.5, 4.5), 2.0),
        float(Relu, "relu", Simple, |x| if x < 0.0 { 0.0 } else { x }, NEAR_ZERO, (-3.0, 3.0), 0.0),
        UnaryRow {
            function: Not,
            name: "not",
            dtypes: TRUTH_VALUES,
            effort: Simple,
            value: |x| truth(x == 0.0),
            integer: None,
            domain: (0.0, 1.0),
            range: (0.0, 1.0),
            accuracy: 0.0,
            accuracy_on_gpu: 0.0,
        },
        float(Atan, "atan", Transcendental, f64::atan, NEAR_ZERO, (-100.0, 100.0), 2.0),
        float(Asin, "asin", Transcendental, f64::asin, WITHIN_ONE, (-1.0, 1.0), 2.0),
        float(Acos, "acos", Transcendental, f64::acos, WITHIN_ONE, (-1.0, 1.0), 2.0),
        float(Sinh, "sinh", Transcendental, f64::sinh, NEAR_ZERO, (-92.0, 92.0), 2.0),
        float(Cosh, "cosh", Transcendental, f64::cosh, NEAR_ZERO, (-92.0, 92.0), 2.0),
        float(Asinh, "asinh", Transcendental, libm::asinh, NEAR_ZERO, (-100.0, 100.0), 2.0),
        float(Acosh, "acosh", Transcendental, acosh, (1.3, 4.0), (1.0, 10.0), 2.0),
        float(Atanh, "atanh", Transcendental, libm::atanh, WITHIN_ONE, (-1.0, 1.0), 2.0),
        float(Log2, "log2", Transcendental, f64::log2, POSITIVE, (0.0, 4.0), 2.0),
        float(Log10, "log10", Transcendental, f64::log10, POSITIVE, (0.0, 4.0), 2.0),
        float(Exp2, "exp2", Transcendental, f64::exp2, NEAR_ZERO, (-151.0, 129.0), 2.0),
        float(Trunc, "trunc", Simple, f64::trunc, NEAR_ZERO, (-5.0, 5.0), 0.0),
        float(Erfc, "erfc", Transcendental, libm::erfc, NEAR_ZERO, (-4.0, 10.5), 4.0),
        float(Erfcx, "erfcx", Transcendental, special::erfcx, NEAR_ZERO, (-9.5, 30.0), 4.0),
        float(Erfinv, "erfinv", Transcendental, special::erfinv, WITHIN_ONE, (-1.0, 1.0), 3.0),
        // The CPU's are those of f64.
        UnaryRow {
            accuracy_on_gpu: 6.0,
            ..float(Lgamma, "lgamma", Transcendental, libm::lgamma, POSITIVE, (-6.0, 30.0), 1.0)
        },
        UnaryRow {
            accuracy_on_gpu: 6.0,
            ..float(Digamma, "digamma", Transcendental, special::digamma, POSITIVE, (-6.0, 30.0), 1.0)
        },
        UnaryRow {
            accuracy_on_gpu: 6.0,
            ..float(Trigamma, "trigamma", Transcendental, special::trigamma, POSITIVE, (-6.0, 30.0), 1.0)
        },
        UnaryRow { dtypes: INTEGERS, ..exact(BitwiseNot, "bitwise_not", |x| -x - 1.0, |x| !x) },
    ]
};

reads_its_row!(UnaryFunction, UnaryRow, UNARY, 37);

impl UnaryRow {
    /// The value for an element of a dtype that the function is defined for, rounded once.
    pub fn of(&self, x: f64, dtype: DType) -> f64 {
        match (dtype, self.integer) {
            (DType::I32, Some(value)) => f64::from(value(x as i32)),
            (DType::I32 | DType::F32 | DType::F64 | DType::Bool, _) => dtype.round((self.value)(x)),
        }
    }
}

/// -1, 0 or 1; of -0 it is 0, where the standard library's `signum` takes the sign bit.
fn sign(x: f64) -> f64 {
    if x.is_nan() || x == 0.0 { x + 0.0 } else { x.signum() }
}

/// Of the smaller power, which does not overflow.
fn sigmoid(x: f64) -> f64 {
    let power = (-x.abs()).exp();
    (if x < 0.0 { power } else { 1.0 }) / (1.0 + power)
}

/// NaN below 1, where the library's takes the logarithm of a rounding error.
fn acosh(x: f64) -> f64 {
    if x < 1.0 { f64::NAN } else { libm::acosh(x) }
}
