//! The tables of elementwise functions: one row says of a function all that is known of it besides its derivative and its code.
//!
//! A row names the function, says which dtypes it is defined for, what it costs, what its value is, and where tests try it. Whoever
//! needs such a fact reads it here: inference, constant folding, value numbering, the cost model, the generated shaders, and the
//! suites, which iterate the tables. The derivatives stand in [`crate::ops::unary`] and [`crate::ops::binary`].

use crate::dtype::DType;
use crate::op::{division, special};

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

/// Functions of two elements. Derivatives and edge cases: [`crate::ops::binary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // Each is explained at its rule in `crate::ops::binary`.
pub enum BinaryFunction {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Atan2,
    Maximum,
    Minimum,
    ReluBackward,
    And,
    Or,
    Fmod,
    Remainder,
    FloorDivide,
    Copysign,
    Hypot,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    ShiftLeft,
    ShiftRight,
}

/// Comparisons of two elements. A comparison with NaN is false, except `NotEqual`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum CompareFunction {
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
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
}

/// What is known of a function of two elements.
#[derive(Clone, Copy, Debug)]
pub struct BinaryRow {
    /// The function that the row is of.
    pub function: BinaryFunction,
    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub name: &'static str,
    /// What the operands may be, both the same; the value is of the same dtype.
    pub dtypes: &'static [DType],
    /// Whether exchanging the operands leaves the result the same.
    pub exchange: Exchange,
    /// What it costs.
    pub effort: Effort,
    /// The value for floats, in f64, and for truth values, which are 0 and 1.
    pub value: fn(f64, f64) -> f64,
    /// The value for i32, if the function is defined for it.
    pub integer: Option<fn(i32, i32) -> i32>,
    /// Where the function and its derivatives are finite and of moderate size, for each operand: the least and the largest
    /// argument that tests of derivatives take.
    pub domain: [(f64, f64); 2],
    /// How far a kernel's value for f32 may be from the right one, in units of the last place.
    pub accuracy: f64,
}

/// What is known of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct CompareRow {
    /// The comparison that the row is of.
    pub function: CompareFunction,
    /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
    pub name: &'static str,
    /// What the operands may be, both the same; the value is bool.
    pub dtypes: &'static [DType],
    /// Whether exchanging the operands leaves the result the same.
    pub exchange: Exchange,
}

/// What a function costs of each element, in additions of elements that stand in the cache. `arenagrad_kernels::cost` says of
/// the whole model what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As an addition.
    Simple,
    /// As a division or a square root.
    Division,
    /// As an exponential, a logarithm or a sine: a polynomial, which for f64 is a call of a library.
    Transcendental,
    /// As a power: several of those.
    Power,
}

/// Whether exchanging the operands of a function of two elements leaves the result the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// To the last bit.
    SameBits,
    /// But for the sign of a zero, or for which NaN it is.
    SameValue,
    /// It does not.
    Differs,
}

/// The dtypes of floats.
pub(crate) const FLOATS: &[DType] = &[DType::F32, DType::F64];
/// The dtypes of numbers.
pub(crate) const NUMBERS: &[DType] = &[DType::F32, DType::F64, DType::I32];
const TRUTH_VALUES: &[DType] = &[DType::Bool];
const INTEGERS: &[DType] = &[DType::I32];

/// Where a function without poles is tried.
const NEAR_ZERO: (f64, f64) = (-2.0, 2.0);
const POSITIVE: (f64, f64) = (0.4, 3.0);
const WITHIN_ONE: (f64, f64) = (-0.8, 0.8);

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
    UnaryRow { function, name, dtypes: FLOATS, effort, value, integer: None, domain, range, accuracy }
}

/// A row of a function of numbers whose value is exact.
const fn exact(
    function: UnaryFunction,
    name: &'static str,
    value: fn(f64) -> f64,
    integer: fn(i32) -> i32,
) -> UnaryRow {
    let (domain, range, integer) = (NEAR_ZERO, (-3.0, 3.0), Some(integer));
    UnaryRow { function, name, dtypes: NUMBERS, effort: Effort::Simple, value, integer, domain, range, accuracy: 0.0 }
}

/// A row of a function of the bits of integers.
const fn bits(
    function: BinaryFunction,
    name: &'static str,
    exchange: Exchange,
    integer: fn(i32, i32) -> i32,
    value: fn(f64, f64) -> f64,
) -> BinaryRow {
    let (effort, integer, domain) = (Effort::Simple, Some(integer), [NEAR_ZERO; 2]);
    BinaryRow { function, name, dtypes: INTEGERS, exchange, effort, value, integer, domain, accuracy: 0.0 }
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
        float(Lgamma, "lgamma", Transcendental, libm::lgamma, POSITIVE, (-6.0, 30.0), 1.0),
        float(Digamma, "digamma", Transcendental, special::digamma, POSITIVE, (-6.0, 30.0), 1.0),
        float(Trigamma, "trigamma", Transcendental, special::trigamma, POSITIVE, (-6.0, 30.0), 1.0),
        UnaryRow { dtypes: INTEGERS, ..exact(BitwiseNot, "bitwise_not", |x| -x - 1.0, |x| !x) },
    ]
};

/// The functions of two elements, in the order of declaration.
const BINARY: [BinaryRow; 21] = {
    use BinaryFunction::*;
    use Exchange::{Differs, SameBits, SameValue};
    // Rounded once: half a unit of the last place.
    let number = BinaryRow {
        function: Add,
        name: "add",
        dtypes: NUMBERS,
        exchange: SameBits,
        effort: Effort::Simple,
        value: |a, b| a + b,
        integer: Some(i32::wrapping_add),
        domain: [NEAR_ZERO, (-2.1, 1.9)],
        accuracy: 0.5,
    };
    let float = BinaryRow { dtypes: FLOATS, exchange: Differs, integer: None, ..number };
    let truth_values = BinaryRow { dtypes: TRUTH_VALUES, integer: None, domain: [(0.0, 1.0); 2], ..number };
    [
        number,
        BinaryRow {
            function: Sub,
            name: "sub",
            exchange: Differs,
            value: |a, b| a - b,
            integer: Some(i32::wrapping_sub),
            ..number
        },
        BinaryRow { function: Mul, name: "mul", value: |a, b| a * b, integer: Some(i32::wrapping_mul), ..number },
        BinaryRow {
            function: Div,
            name: "div",
            effort: Effort::Division,
            value: |a, b| a / b,
            domain: [NEAR_ZERO, (0.5, 2.0)],
            ..float
        },
        BinaryRow {
            function: Pow,
            name: "pow",
            effort: Effort::Power,
            value: f64::powf,
            domain: [(0.5, 2.0), NEAR_ZERO],
            accuracy: 2.0,
            ..float
        },
        BinaryRow {
            function: Atan2,
            name: "atan2",
            effort: Effort::Transcendental,
            value: f64::atan2,
            domain: [NEAR_ZERO, (-2.1, 1.9)],
            accuracy: 2.0,
            ..float
        },
        // Which zero is the larger of 0 and -0 may depend on the order.
        BinaryRow {
            function: Maximum,
            name: "maximum",
            exchange: SameValue,
            value: |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) },
            integer: Some(max),
            ..number
        },
        BinaryRow {
            function: Minimum,
            name: "minimum",
            exchange: SameValue,
            value: |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) },
            integer: Some(min),
            ..number
        },
        BinaryRow {
            function: ReluBackward,
            name: "relu_backward",
            value: |a, b| if b <= 0.0 { 0.0 } else { a },
            ..float
        },
        BinaryRow { function: And, name: "and", value: |a, b| truth(a != 0.0 && b != 0.0), ..truth_values },
        BinaryRow { function: Or, name: "or", value: |a, b| truth(a != 0.0 || b != 0.0), ..truth_values },
        // The domains of the three keep quotients between two integers, where they have no jump.
        BinaryRow {
            function: Fmod,
            name: "fmod",
            exchange: Differs,
            effort: Effort::Power,
            value: division::fmod,
            integer: Some(division::fmod_integer),
            domain: [(2.1, 2.9), (0.75, 1.0)],
            accuracy: 0.5,
            ..number
        },
        BinaryRow {
            function: Remainder,
            name: "remainder",
            exchange: Differs,
            effort: Effort::Power,
            value: division::remainder,
            integer: Some(division::remainder_integer),
            domain: [(2.1, 2.9), (-1.0, -0.75)],
            accuracy: 0.5,
            ..number
        },
        BinaryRow {
            function: FloorDivide,
            name: "floor_divide",
            exchange: Differs,
            effort: Effort::Power,
            value: division::floor_divide,
            integer: Some(division::floor_divide_integer),
            domain: [(2.1, 2.9), (-1.0, -0.75)],
            accuracy: 0.5,
            ..number
        },
        BinaryRow { function: Copysign, name: "copysign", value: f64::copysign, accuracy: 0.0, ..float },
        BinaryRow {
            function: Hypot,
            name: "hypot",
            exchange: SameValue,
            effort: Effort::Transcendental,
            value: f64::hypot,
            accuracy: 0.51,
            ..float
        },
        bits(BitwiseAnd, "bitwise_and", SameBits, |a, b| a & b, |a, b| f64::from(a as i32 & b as i32)),
        bits(BitwiseOr, "bitwise_or", SameBits, |a, b| a | b, |a, b| f64::from(a as i32 | b as i32)),
        bits(BitwiseXor, "bitwise_xor", SameBits, |a, b| a ^ b, |a, b| f64::from(a as i32 ^ b as i32)),
        bits(ShiftLeft, "shift_left", Differs, shift_left, |a, b| f64::from(shift_left(a as i32, b as i32))),
        bits(ShiftRight, "shift_right", Differs, shift_right, |a, b| f64::from(shift_right(a as i32, b as i32))),
    ]
};

/// The comparisons, in the order of declaration.
const COMPARE: [CompareRow; 6] = {
    use CompareFunction::*;
    const fn ordered(function: CompareFunction, name: &'static str) -> CompareRow {
        CompareRow { function, name, dtypes: NUMBERS, exchange: Exchange::Differs }
    }
    const fn equality(function: CompareFunction, name: &'static str) -> CompareRow {
        CompareRow { function, name, dtypes: &DType::ALL, exchange: Exchange::SameBits }
    }
    [
        ordered(Less, "less"),
        ordered(LessEqual, "less_equal"),
        ordered(Greater, "greater"),
        ordered(GreaterEqual, "greater_equal"),
        equality(Equal, "equal"),
        equality(NotEqual, "not_equal"),
    ]
};

macro_rules! reads_its_row {
    ($function:ident, $row:ident, $table:ident, $count:literal) => {
        impl $function {
            /// Every function, in the order of declaration.
            pub const ALL: [$function; $count] = {
                let mut all = [$table[0].function; $count];
                let mut place = 0;
                while place < $count {
                    all[place] = $table[place].function;
                    assert!(all[place] as usize == place, "the rows stand in the order of declaration");
                    place += 1;
                }
                all
            };

            /// What is known of it.
            pub fn row(self) -> &'static $row {
                const TABLE: &[$row; $count] = &$table;
                &TABLE[self as usize]
            }

            /// The stem used in printed graphs, shaders, CPU kernels, tests and benches.
            pub fn name(self) -> &'static str {
                self.row().name
            }
        }
    };
}
reads_its_row!(UnaryFunction, UnaryRow, UNARY, 37);
reads_its_row!(BinaryFunction, BinaryRow, BINARY, 21);
reads_its_row!(CompareFunction, CompareRow, COMPARE, 6);

impl UnaryRow {
    /// The value for an element of a dtype that the function is defined for, rounded once.
    pub fn of(&self, x: f64, dtype: DType) -> f64 {
        match (dtype, self.integer) {
            (DType::I32, Some(value)) => f64::from(value(x as i32)),
            (DType::I32 | DType::F32 | DType::F64 | DType::Bool, _) => dtype.round((self.value)(x)),
        }
    }
}

impl BinaryRow {
    /// The value for elements of a dtype that the function is defined for, rounded once. What arithmetic of f32 gives in f64 and then
    /// rounds is to the last bit what f32 gives.
    pub fn of(&self, a: f64, b: f64, dtype: DType) -> f64 {
        match (dtype, self.integer) {
            (DType::I32, Some(value)) => f64::from(value(a as i32, b as i32)),
            (DType::I32 | DType::F32 | DType::F64 | DType::Bool, _) => dtype.round((self.value)(a, b)),
        }
    }
}

impl CompareFunction {
    /// What the comparison says of two values.
    pub fn holds<T: PartialOrd>(self, lhs: T, rhs: T) -> bool {
        match self {
            CompareFunction::Less => lhs < rhs,
            CompareFunction::LessEqual => lhs <= rhs,
            CompareFunction::Greater => lhs > rhs,
            CompareFunction::GreaterEqual => lhs >= rhs,
            CompareFunction::Equal => lhs == rhs,
            CompareFunction::NotEqual => lhs != rhs,
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

fn max(a: i32, b: i32) -> i32 {
    a.max(b)
}

fn min(a: i32, b: i32) -> i32 {
    a.min(b)
}

/// Nothing is left of what is moved too far, or by fewer than 0 places.
fn shift_left(a: i32, b: i32) -> i32 {
    if (0..32).contains(&b) { a << b } else { 0 }
}

/// The sign is left of what is moved too far, or by fewer than 0 places.
fn shift_right(a: i32, b: i32) -> i32 {
    if (0..31).contains(&b) { a >> b } else { a >> 31 }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no other suite holds against anything but the table itself.
    #[test]
    fn values_that_are_known() {
        let sigmoid = UnaryFunction::Sigmoid.row().value;
        let known = [(0.0, 0.5), (1.0, 0.731_058_578_630_004_9), (-1.0, 0.268_941_421_369_995_1)];
        for (x, expected) in known.into_iter().chain([(40.0, 1.0), (750.0, 1.0), (-750.0, 0.0)]) {
            assert!((sigmoid(x) - expected).abs() <= 1e-15, "{x}");
        }
        assert_eq!(sigmoid(-40.0), 4.248_354_255_291_589e-18);
        let i32_of = |function: BinaryFunction, a: i32, b: i32| function.row().of(a.into(), b.into(), DType::I32);
        assert_eq!(i32_of(BinaryFunction::Add, i32::MAX, 1), f64::from(i32::MIN));
        assert_eq!(i32_of(BinaryFunction::Sub, i32::MIN, 1), f64::from(i32::MAX));
        assert_eq!(i32_of(BinaryFunction::Mul, 1 << 30, 4), 0.0);
        assert_eq!((i32_of(BinaryFunction::Maximum, -3, 2), i32_of(BinaryFunction::Minimum, -3, 2)), (2.0, -3.0));
        assert_eq!(UnaryFunction::Abs.row().of(f64::from(i32::MIN), DType::I32), f64::from(i32::MIN));
        let truth = |function: BinaryFunction| {
            [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)].map(|(a, b)| (function.row().value)(a, b))
        };
        assert_eq!(truth(BinaryFunction::And), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(truth(BinaryFunction::Or), [0.0, 1.0, 1.0, 1.0]);
        assert_eq!([0.0, 1.0].map(UnaryFunction::Not.row().value), [1.0, 0.0]);
        let far = [(1, 31, i32::MIN, 0), (-5, 1, -10, -3), (-5, 32, 0, -1), (7, -1, 0, 0), (i32::MIN, 31, 0, -1)];
        for (a, b, left, right) in far {
            assert_eq!(i32_of(BinaryFunction::ShiftLeft, a, b), f64::from(left), "{a} << {b}");
            assert_eq!(i32_of(BinaryFunction::ShiftRight, a, b), f64::from(right), "{a} >> {b}");
        }
        let bits = [BinaryFunction::BitwiseAnd, BinaryFunction::BitwiseOr, BinaryFunction::BitwiseXor];
        assert_eq!(bits.map(|function| i32_of(function, -4, 6)), [4.0, -2.0, -6.0]);
        assert_eq!(UnaryFunction::BitwiseNot.row().of(6.0, DType::I32), -7.0);
        use CompareFunction::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        let held = |a: f64, b: f64| {
            CompareFunction::ALL.into_iter().filter(|function| function.holds(a, b)).collect::<Vec<_>>()
        };
        assert_eq!(held(1.0, 2.0), [Less, LessEqual, NotEqual]);
        assert_eq!(held(2.0, 1.0), [Greater, GreaterEqual, NotEqual]);
        assert_eq!(held(0.0, -0.0), [LessEqual, GreaterEqual, Equal]);
        assert_eq!(held(f64::NAN, f64::NAN), [NotEqual]);
    }
}
