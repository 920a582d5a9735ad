//! Element types, and literal tensors that stand in the graph itself.

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

/// The elements of a tensor that stands in the graph as a constant, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Elements of dtype [`DType::F32`].
    F32(Box<[f32]>),
    /// Elements of dtype [`DType::F64`].
    F64(Box<[f64]>),
    /// Elements of dtype [`DType::I32`].
    I32(Box<[i32]>),
    /// Elements of dtype [`DType::Bool`].
    Bool(Box<[bool]>),
}

impl Literal {
    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Literal::F32(_) => DType::F32,
            Literal::F64(_) => DType::F64,
            Literal::I32(_) => DType::I32,
            Literal::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Literal::F32(data) => data.len(),
            Literal::F64(data) => data.len(),
            Literal::I32(data) => data.len(),
            Literal::Bool(data) => data.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! literal_from {
    ($($element:ty => $variant:ident),*) => {$(
        impl From<Vec<$element>> for Literal {
            fn from(data: Vec<$element>) -> Self {
                Literal::$variant(data.into_boxed_slice())
            }
        }
        impl From<&[$element]> for Literal {
            fn from(data: &[$element]) -> Self {
                Literal::$variant(data.into())
            }
        }
        impl<const N: usize> From<[$element; N]> for Literal {
            fn from(data: [$element; N]) -> Self {
                Literal::$variant(Box::new(data))
            }
        }
    )*};
}
literal_from!(f32 => F32, f64 => F64, i32 => I32, bool => Bool);
