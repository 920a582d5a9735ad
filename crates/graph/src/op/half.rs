//! The floating-point types of 16 bits, to which values may be rounded.

use std::fmt;

use crate::bf16::Bf16;
use crate::f16::F16;
use crate::storage::StorageType;

/// A floating-point type of 16 bits. It is no dtype: values that are rounded to it stay of their dtype, and a plan then stores those of f32
/// in half of the bytes, by which nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Half {
    /// IEEE 754 half precision ([`F16`]): 11 significant bits, up to 65,504, and infinity from 65,520 on; below 2^-14 ever fewer bits, and
    /// 0 up to 2^-25.
    F16,
    /// The upper half of an f32 ([`Bf16`]): 8 significant bits over the range of f32.
    Bf16,
}

impl Half {
    /// Both types.
    pub const ALL: [Half; 2] = [Half::F16, Half::Bf16];

    /// The storage type that holds exactly what values of f32 are rounded to.
    pub const fn storage(self) -> StorageType {
        match self {
            Half::F16 => StorageType::F16,
            Half::Bf16 => StorageType::Bf16,
        }
    }

    /// The type of a storage type; none if that is not a float of 16 bits.
    pub const fn of(storage: StorageType) -> Option<Half> {
        match storage {
            StorageType::F16 => Some(Half::F16),
            StorageType::Bf16 => Some(Half::Bf16),
            StorageType::F32
            | StorageType::F64
            | StorageType::I32
            | StorageType::Bool
            | StorageType::U8
            | StorageType::I8
            | StorageType::I64 => None,
        }
    }

    /// The nearest number of the type, of two equally near the one whose last bit is 0; NaN for NaN. What is half a step past the largest
    /// number, or more, is infinite.
    pub fn round(self, value: f64) -> f64 {
        match self {
            Half::F16 => f64::from(F16::from_f64(value)),
            Half::Bf16 => f64::from(Bf16::from_f64(value)),
        }
    }

    /// The stem of the op that rounds to it.
    pub(crate) const fn op_name(self) -> &'static str {
        match self {
            Half::F16 => "round_to_f16",
            Half::Bf16 => "round_to_bf16",
        }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.storage().fmt(f)
    }
}
