//! The types of values.

use std::fmt;

/// The type of a tensor's elements.
///
/// `F64` exists on the CPU alone (WGSL has no such type); `I32` holds indices and labels; `Bool` is what comparisons give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// Signed 32-bit integers.
    I32,
    /// Truth values: one byte each on the CPU, one 32-bit word each on the GPU.
    Bool,
}

impl DType {
    /// Every dtype, in the order of declaration.
    pub const ALL: [DType; 4] = [DType::F32, DType::F64, DType::I32, DType::Bool];

    /// Whether gradients can flow through values of this type.
    pub fn is_float(self) -> bool {
        match self {
            DType::F32 | DType::F64 => true,
            DType::I32 | DType::Bool => false,
        }
    }

    /// The name as it is printed: `f32`, `f64`, `i32` or `bool`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::Bool => "bool",
        }
    }

    /// The bytes of an element in host memory.
    pub fn bytes(self) -> usize {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::F64 => 8,
            DType::Bool => 1,
        }
    }

    /// `value` as an element of this type holds it: rounded to f32, truncated to i32, or made 0 or 1 for bool.
    pub fn round(self, value: f64) -> f64 {
        match self {
            DType::F32 => f64::from(value as f32),
            DType::F64 => value,
            DType::I32 => f64::from(value as i32),
            DType::Bool => f64::from(u8::from(value != 0.0)),
        }
    }

    /// Whether a number can stand for an element: a float dtype rounds any, i32 and bool hold some numbers and no others.
    pub(crate) fn holds(self, value: f64) -> bool {
        self.is_float() || self.round(value) == value
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
