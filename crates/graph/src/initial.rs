//! Which numbers an [`Init`] may hold. What it makes of them is the runtime's matter.

use crate::declaration::Init;
use crate::dtype::DType;

/// A number of an [`Init`] that cannot be what a parameter starts with.
pub(crate) struct Refused {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) expected: &'static str,
}

impl Init {
    /// The first of the numbers that a parameter of that dtype cannot start with.
    pub(crate) fn check(&self, dtype: DType, trainable: bool) -> Result<(), Refused> {
        match self {
            Init::Constant(value) => element("the initial value", *value, dtype, trainable),
            Init::Values(values) => {
                values.iter().try_for_each(|value| element("an initial value", *value, dtype, trainable))
            }
            Init::Uniform { low, high } => {
                bound("the lower bound of the initial values", *low, dtype)?;
                bound("the upper bound of the initial values", *high, dtype)?;
                if low > high {
                    let what = "the upper bound of the initial values";
                    return Err(Refused { what, value: *high, expected: "a number not below the lower bound" });
                }
                // The distance of two numbers of f64 may be past the largest of them.
                bound("the range of the initial values", high - low, DType::F64)
            }
            Init::Normal { mean, deviation } => {
                bound("the mean of the initial values", *mean, dtype)?;
                let what = "the standard deviation of the initial values";
                bound(what, *deviation, dtype)?;
                if *deviation < 0.0 {
                    return Err(Refused { what, value: *deviation, expected: "0 or more" });
                }
                let reach = mean.abs() + FARTHEST_DRAW * deviation;
                bound("the mean of the initial values and six standard deviations", reach, dtype)
            }
            Init::KaimingUniform | Init::XavierUniform => Ok(()),
        }
    }
}

/// No normal number is drawn farther from the mean, in standard deviations: draws are made of 24 random bits, and
/// `sqrt(2 ln 2^24)` is less.
const FARTHEST_DRAW: f64 = 6.0;

/// An element itself.
fn element(what: &'static str, value: f64, dtype: DType, trainable: bool) -> Result<(), Refused> {
    let refuse = |expected| Err(Refused { what, value, expected });
    match dtype {
        DType::F32 | DType::F64 if value.is_infinite() && !trainable => Ok(()),
        DType::F32 | DType::F64 => bound(what, value, dtype),
        DType::I32 if dtype.round(value) != value => refuse("a 32-bit integer"),
        DType::Bool if dtype.round(value) != value => refuse("0 or 1"),
        DType::I32 | DType::Bool => Ok(()),
    }
}

/// A number that elements are made of: within the range of their dtype.
fn bound(what: &'static str, value: f64, dtype: DType) -> Result<(), Refused> {
    let refuse = |expected| Err(Refused { what, value, expected });
    match dtype {
        DType::F32 | DType::F64 | DType::I32 | DType::Bool if !value.is_finite() => refuse("a finite number"),
        DType::F32 if !dtype.round(value).is_finite() => refuse("a number that f32 holds"),
        DType::I32 if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) => {
            refuse("a number that i32 holds")
        }
        DType::F32 | DType::F64 | DType::I32 | DType::Bool => Ok(()),
    }
}
