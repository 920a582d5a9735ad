//! Which numbers an [`Init`] may hold. What it makes of them is the runtime's matter.

use crate::bf16::Bf16;
use crate::declaration::Init;
use crate::dtype::DType;
use crate::f16::F16;
use crate::storage::StorageType;

/// A number of an [`Init`] that cannot be what a parameter starts with.
pub(crate) struct Refused {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) expected: &'static str,
}

impl Init {
    /// The first of the numbers that a parameter of that type cannot start with.
    pub(crate) fn check(&self, storage: StorageType, trainable: bool) -> Result<(), Refused> {
        match self {
            Init::Constant(value) => element("the initial value", *value, storage, trainable),
            Init::Values(values) => {
                values.iter().try_for_each(|value| element("an initial value", *value, storage, trainable))
            }
            Init::Uniform { low, high } => {
                bound("the lower bound of the initial values", *low, storage)?;
                bound("the upper bound of the initial values", *high, storage)?;
                if low > high {
                    let what = "the upper bound of the initial values";
                    return Err(Refused { what, value: *high, expected: "a number not below the lower bound" });
                }
                // The distance of two numbers of f64 may be past the largest of them.
                bound("the range of the initial values", high - low, StorageType::F64)
            }
            Init::Normal { mean, deviation } => {
                bound("the mean of the initial values", *mean, storage)?;
                let what = "the standard deviation of the initial values";
                bound(what, *deviation, storage)?;
                if *deviation < 0.0 {
                    return Err(Refused { what, value: *deviation, expected: "0 or more" });
                }
                let what = "the mean of the initial values and six standard deviations";
                let reach = FARTHEST_DRAW * deviation;
                [mean + reach, mean - reach].into_iter().try_for_each(|value| bound(what, value, storage))
            }
            Init::KaimingUniform | Init::XavierUniform => Ok(()),
        }
    }
}

/// No normal number is drawn farther from the mean, in standard deviations: draws are made of 24 random bits, and
/// `sqrt(2 ln 2^24)` is less.
const FARTHEST_DRAW: f64 = 6.0;

/// An element itself.
fn element(what: &'static str, value: f64, storage: StorageType, trainable: bool) -> Result<(), Refused> {
    let refuse = |expected| Err(Refused { what, value, expected });
    let dtype = storage.value();
    match dtype {
        DType::F32 | DType::F64 if value.is_infinite() && !trainable => Ok(()),
        DType::F32 | DType::F64 => bound(what, value, storage),
        DType::I32 if dtype.round(value) != value => refuse("a 32-bit integer"),
        DType::Bool if dtype.round(value) != value => refuse("0 or 1"),
        DType::I32 => bound(what, value, storage),
        DType::Bool => Ok(()),
    }
}

/// A number that elements are made of: within the range of their type.
fn bound(what: &'static str, value: f64, storage: StorageType) -> Result<(), Refused> {
    let refuse = |expected| Err(Refused { what, value, expected });
    if !value.is_finite() {
        return refuse("a finite number");
    }
    match storage {
        StorageType::F32 if !DType::F32.round(value).is_finite() => refuse("a number that f32 holds"),
        StorageType::Bf16 if !Bf16::from_f64(value).to_f32().is_finite() => refuse("a number that bf16 holds"),
        StorageType::F16 if !F16::from_f64(value).to_f32().is_finite() => refuse("a number that f16 holds"),
        StorageType::I32 if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) => {
            refuse("a number that i32 holds")
        }
        StorageType::F32 | StorageType::F64 | StorageType::I32 | StorageType::Bool => Ok(()),
        StorageType::U8 if !(0.0..=255.0).contains(&value) => refuse("a number that u8 holds"),
        StorageType::I8 if !(-128.0..=127.0).contains(&value) => refuse("a number that i8 holds"),
        StorageType::I64 if !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value) => {
            refuse("a number that i64 holds for i32")
        }
        StorageType::F16 | StorageType::Bf16 | StorageType::U8 | StorageType::I8 | StorageType::I64 => Ok(()),
    }
}
