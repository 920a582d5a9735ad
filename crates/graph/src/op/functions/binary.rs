//! Functions of two elements: what they are called, and the table of what is known of them.

use super::{Effort, Exchange, FLOATS, INTEGERS, NEAR_ZERO, NUMBERS, TRUTH_VALUES, truth};
use crate::dtype::DType;
use crate::op::division;

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
    /// The same of a GPU's value, where the adapter computes arithmetic as it is written.
    pub accuracy_on_gpu: f64,
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
    let (dtypes, accuracy) = (INTEGERS, 0.0);
    BinaryRow { function, name, dtypes, exchange, effort, value, integer, domain, accuracy, accuracy_on_gpu: accuracy }
}

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
        accuracy_on_gpu: 0.5,
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
            integer: Some(power),
            domain: [(0.5, 2.0), NEAR_ZERO],
            exchange: Differs,
            accuracy: 2.0,
            accuracy_on_gpu: 2.0,
            ..number
        },
        BinaryRow {
            function: Atan2,
            name: "atan2",
            effort: Effort::Transcendental,
            value: f64::atan2,
            domain: [NEAR_ZERO, (-2.1, 1.9)],
            accuracy: 2.0,
            accuracy_on_gpu: 2.0,
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
            // A GPU rounds the quotient three times, each half a unit or, past a power of 2, a whole one.
            accuracy_on_gpu: 3.0,
            ..number
        },
        BinaryRow {
            function: Copysign,
            name: "copysign",
            value: f64::copysign,
            accuracy: 0.0,
            accuracy_on_gpu: 0.0,
            ..float
        },
        BinaryRow {
            function: Hypot,
            name: "hypot",
            exchange: SameValue,
            effort: Effort::Transcendental,
            value: f64::hypot,
            accuracy: 0.51,
            // Of squares that are rounded.
            accuracy_on_gpu: 1.5,
            ..float
        },
        bits(BitwiseAnd, "bitwise_and", SameBits, |a, b| a & b, |a, b| f64::from(a as i32 & b as i32)),
        bits(BitwiseOr, "bitwise_or", SameBits, |a, b| a | b, |a, b| f64::from(a as i32 | b as i32)),
        bits(BitwiseXor, "bitwise_xor", SameBits, |a, b| a ^ b, |a, b| f64::from(a as i32 ^ b as i32)),
        bits(ShiftLeft, "shift_left", Differs, shift_left, |a, b| f64::from(shift_left(a as i32, b as i32))),
        bits(ShiftRight, "shift_right", Differs, shift_right, |a, b| f64::from(shift_right(a as i32, b as i32))),
    ]
};

reads_its_row!(BinaryFunction, BinaryRow, BINARY, 21);

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

fn max(a: i32, b: i32) -> i32 {
    a.max(b)
}

fn min(a: i32, b: i32) -> i32 {
    a.min(b)
}

/// The power wraps. That of a negative exponent is a fraction, of which nothing is left but for 1 and -1.
fn power(base: i32, exponent: i32) -> i32 {
    match (u32::try_from(exponent), base) {
        (Ok(exponent), _) => base.wrapping_pow(exponent),
        (Err(_), 1) => 1,
        (Err(_), -1) => 1 - 2 * (exponent & 1),
        (Err(_), _) => 0,
    }
}

/// Nothing is left of what is moved too far, or by fewer than 0 places.
fn shift_left(a: i32, b: i32) -> i32 {
    if (0..32).contains(&b) { a << b } else { 0 }
}

/// The sign is left of what is moved too far, or by fewer than 0 places.
fn shift_right(a: i32, b: i32) -> i32 {
    if (0..31).contains(&b) { a >> b } else { a >> 31 }
}
