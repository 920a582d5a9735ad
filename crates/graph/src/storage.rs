//! In what a buffer holds values: a storage type is not the dtype of the values that programs compute with.
//!
//! Programs know four dtypes ([`DType`]). A buffer may hold its elements narrower than the dtype that programs see: a load widens, which
//! is exact, and a store narrows: floating-point numbers to the nearest element, ties to even, and integers to their lowest bits. Integers
//! may also be held wider, by which nothing is lost. Only what is declared (inputs and parameters), host
//! tensors, literals and files have a storage type of their own; what a plan computes in between is stored in its dtype.
//!
//! Another storage type is a variant here and in [`crate::Elements`], a Rust type for its elements with [`Stores`], and what
//! each device does to load and to store one.

use std::fmt;

use crate::dtype::DType;

/// In what a buffer, a host tensor or a file holds values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StorageType {
    /// Values of dtype [`DType::F32`] as they are.
    F32,
    /// Values of dtype [`DType::F64`] as they are.
    F64,
    /// Values of dtype [`DType::I32`] as they are.
    I32,
    /// Values of dtype [`DType::Bool`]: one byte each on the CPU, one 32-bit word each on the GPU.
    Bool,
    /// Values of dtype [`DType::F32`] in IEEE 754 half precision ([`crate::F16`]): 11 significant bits, up to 65,504. What is larger
    /// is stored as infinity.
    F16,
    /// Values of dtype [`DType::F32`] as their upper halves ([`crate::Bf16`]): 8 significant bits, over the range of f32.
    Bf16,
    /// Values of dtype [`DType::I32`] in eight bits without a sign ([`crate::U8`]), 0 to 255. What is out of range is stored by its lowest eight bits.
    U8,
    /// Values of dtype [`DType::I32`] in eight bits with a sign ([`crate::I8`]), -128 to 127. What is out of range is stored by its lowest eight bits.
    I8,
    /// Values of dtype [`DType::I32`] in 64 bits ([`crate::I64`]), which hold nothing that i32 does not.
    I64,
}

impl StorageType {
    /// Every storage type, in the order of declaration.
    pub const ALL: [StorageType; 9] = [
        StorageType::F32,
        StorageType::F64,
        StorageType::I32,
        StorageType::Bool,
        StorageType::F16,
        StorageType::Bf16,
        StorageType::U8,
        StorageType::I8,
        StorageType::I64,
    ];

    /// The dtype of the values that are loaded from it.
    pub const fn value(self) -> DType {
        match self {
            StorageType::F32 | StorageType::F16 | StorageType::Bf16 => DType::F32,
            StorageType::F64 => DType::F64,
            StorageType::I32 | StorageType::U8 | StorageType::I8 | StorageType::I64 => DType::I32,
            StorageType::Bool => DType::Bool,
        }
    }

    /// Whether values stand in it as they are, so that loads and stores change nothing.
    pub fn is_native(self) -> bool {
        self == StorageType::from(self.value())
    }

    /// The name as it is printed: `f32`, `f64`, `i32`, `bool`, `f16`, `bf16`, `u8`, `i8` or `i64`.
    pub fn name(self) -> &'static str {
        match self {
            StorageType::F32 | StorageType::F64 | StorageType::I32 | StorageType::Bool => self.value().name(),
            StorageType::F16 => "f16",
            StorageType::Bf16 => "bf16",
            StorageType::U8 => "u8",
            StorageType::I8 => "i8",
            StorageType::I64 => "i64",
        }
    }

    /// The bytes of an element in host memory and in files.
    pub fn bytes(self) -> usize {
        match self {
            StorageType::F32 | StorageType::I32 => 4,
            StorageType::F64 | StorageType::I64 => 8,
            StorageType::Bool | StorageType::U8 | StorageType::I8 => 1,
            StorageType::F16 | StorageType::Bf16 => 2,
        }
    }
}

/// The storage type in which values of a dtype stand as they are.
impl From<DType> for StorageType {
    fn from(dtype: DType) -> Self {
        match dtype {
            DType::F32 => StorageType::F32,
            DType::F64 => StorageType::F64,
            DType::I32 => StorageType::I32,
            DType::Bool => StorageType::Bool,
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A type whose elements hold values of type `V` in a buffer.
pub trait Stores<V>: Copy {
    /// The value that the element holds, exactly.
    fn load(self) -> V;
    /// The element nearest to a floating-point value, of two the even one; NaN stays NaN. Of an integer the element that has its lowest bits.
    fn store(value: V) -> Self;
}

macro_rules! stores_itself {
    ($($element:ty),*) => {$(
        impl Stores<$element> for $element {
            #[inline(always)]
            fn load(self) -> $element {
                self
            }

            #[inline(always)]
            fn store(value: $element) -> Self {
                value
            }
        }
    )*};
}
stores_itself!(f32, f64, i32, u8);

/// The f32 that leads to the same element of a narrower type as `value` does: the nearest to even would be rounded twice. It is cut
/// off, and its last bit says whether anything was (rounding to odd; Boldo and Melquiond 2008).
pub(crate) fn rounded_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if value.is_nan() || f64::from(nearest) == value {
        return nearest;
    }
    let bits = nearest.to_bits();
    let cut = if f64::from(nearest).abs() > value.abs() { bits - 1 } else { bits };
    f32::from_bits(cut | 1)
}
