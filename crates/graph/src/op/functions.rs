//! The tables of elementwise functions: one row says of a function all that is known of it besides its derivative and its code.
//!
//! A row names the function, says which dtypes it is defined for, what it costs, what its value is, and where tests try it. Whoever
//! needs such a fact reads it here: inference, constant folding, value numbering, the cost model, the generated shaders, and the
//! suites, which iterate the tables. The functions of one element stand in `unary`, those of two in `binary`, comparisons in `compare`;
//! here is what their rows share. The derivatives stand in [`crate::ops::unary`] and [`crate::ops::binary`].

use crate::dtype::DType;

/// Reads a table: every function, in the order of declaration, and what the row of each says.
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

mod binary;
mod compare;
mod unary;

pub use binary::{BinaryFunction, BinaryRow};
pub use compare::{CompareFunction, CompareRow};
pub use unary::{UnaryFunction, UnaryRow};

/// What a function costs of each element, in additions of elements that stand in the cache. `arenagrad_kernels::cost` says of
/// the whole model what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As an addition.
    Simple,
    /// As a division or a square root.
    Division,
    /// As an exponential, a logarithm or a sine: a polynomial, which for f64 has about twice as many terms.
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
