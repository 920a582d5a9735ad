//! Elements of one type, row-major: what a literal of a graph, a tensor on the host, and a buffer of a kernel on the CPU hold.
//!
//! It is a list and no more: shapes belong to whoever has one, and nothing here computes. An element of [`DType::Bool`] is one byte,
//! 0 or 1.

use std::collections::TryReserveError;

use crate::dtype::DType;

/// Elements of one type, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Elements of dtype [`DType::F32`].
    F32(Vec<f32>),
    /// Elements of dtype [`DType::F64`].
    F64(Vec<f64>),
    /// Elements of dtype [`DType::I32`].
    I32(Vec<i32>),
    /// Elements of dtype [`DType::Bool`], each 0 or 1.
    Bool(Vec<u8>),
}

/// A Rust type that elements can be seen as: `f32`, `f64` or `i32`.
pub trait Element: Copy + Send + Sync + 'static {
    /// The dtype of such elements.
    const DTYPE: DType;
    /// The elements as values of this type, if they are.
    fn slice(elements: &Elements) -> Option<&[Self]>;
    /// The elements as values of this type, if they are.
    fn slice_mut(elements: &mut Elements) -> Option<&mut [Self]>;
    /// The list of these values.
    fn elements(values: Vec<Self>) -> Elements;
}

/// `$body` of the list `$data`, whatever the type of its elements.
macro_rules! of_any_type {
    ($elements:expr, $data:ident => $body:expr) => {
        match $elements {
            Elements::F32($data) => $body,
            Elements::F64($data) => $body,
            Elements::I32($data) => $body,
            Elements::Bool($data) => $body,
        }
    };
}

/// The list `$body` in place of the list `$data`, of the same type.
macro_rules! of_same_type {
    ($elements:expr, $data:ident => $body:expr) => {
        match $elements {
            Elements::F32($data) => Elements::F32($body),
            Elements::F64($data) => Elements::F64($body),
            Elements::I32($data) => Elements::I32($body),
            Elements::Bool($data) => Elements::Bool($body),
        }
    };
}

impl Elements {
    /// So many zeros (false for bool), or the error that there is no memory for them.
    pub fn zeros(dtype: DType, count: usize) -> Result<Self, TryReserveError> {
        Ok(of_same_type!(Elements::empty(dtype), data => zeros(data, count)?))
    }

    /// No elements.
    pub fn empty(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Elements::F32(Vec::new()),
            DType::F64 => Elements::F64(Vec::new()),
            DType::I32 => Elements::I32(Vec::new()),
            DType::Bool => Elements::Bool(Vec::new()),
        }
    }

    /// Elements of that dtype from numbers: rounded to floats, truncated to i32, 1 for all but 0 to bool.
    pub fn from_f64(dtype: DType, values: &[f64]) -> Self {
        match dtype {
            DType::F32 => Elements::F32(values.iter().map(|&x| x as f32).collect()),
            DType::F64 => Elements::F64(values.to_vec()),
            DType::I32 => Elements::I32(values.iter().map(|&x| x as i32).collect()),
            DType::Bool => Elements::Bool(values.iter().map(|&x| u8::from(x != 0.0)).collect()),
        }
    }

    /// The same elements, truth values other than 0 made 1.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        if let Elements::Bool(data) = &mut self {
            data.iter_mut().for_each(|truth| *truth = u8::from(*truth != 0));
        }
        self
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Elements::F32(_) => DType::F32,
            Elements::F64(_) => DType::F64,
            Elements::I32(_) => DType::I32,
            Elements::Bool(_) => DType::Bool,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        of_any_type!(self, data => data.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as a slice, if they are of that type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(self)
    }

    /// The elements as a slice to write to, if they are of that type.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        T::slice_mut(self)
    }

    /// The element at `place` as a number, exact, with true as 1; none past the end.
    pub fn get(&self, place: usize) -> Option<f64> {
        of_any_type!(self, data => data.get(place).map(|&x| f64::from(x)))
    }

    /// All elements as numbers, exact, with true as 1.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        of_any_type!(self, data => data.iter().map(|&x| f64::from(x)).collect())
    }

    /// The elements at these places, which must be before the end.
    pub fn at(&self, places: impl Iterator<Item = usize>) -> Self {
        of_same_type!(self, data => places.map(|place| data[place]).collect())
    }

    /// The first `count` elements, or all if there are no more.
    pub fn first(&self, count: usize) -> Self {
        of_same_type!(self, data => data[..count.min(data.len())].to_vec())
    }

    /// Writes elements of the same dtype over those from the first on. Gives false, and writes nothing, if they are of another dtype
    /// or more than there are.
    #[must_use]
    pub fn overwrite(&mut self, from: &Elements) -> bool {
        fn copy<T: Copy>(target: &mut [T], source: &[T]) -> bool {
            let target = target.get_mut(..source.len());
            target.map(|target| target.copy_from_slice(source)).is_some()
        }
        match (self, from) {
            (Elements::F32(target), Elements::F32(source)) => copy(target, source),
            (Elements::F64(target), Elements::F64(source)) => copy(target, source),
            (Elements::I32(target), Elements::I32(source)) => copy(target, source),
            (Elements::Bool(target), Elements::Bool(source)) => copy(target, source),
            (_, _) => false,
        }
    }

    /// The bytes that the elements take in host memory.
    pub fn bytes(&self) -> usize {
        of_any_type!(self, data => std::mem::size_of_val(&data[..]))
    }

    /// The bits of each element, which tell both zeros and all NaN apart.
    pub(crate) fn for_each_bits(&self, mut visit: impl FnMut(u64)) {
        match self {
            Elements::F32(data) => data.iter().for_each(|x| visit(u64::from(x.to_bits()))),
            Elements::F64(data) => data.iter().for_each(|x| visit(x.to_bits())),
            Elements::I32(data) => data.iter().for_each(|&x| visit(u64::from(x as u32))),
            Elements::Bool(data) => data.iter().for_each(|&x| visit(u64::from(x))),
        }
    }

    /// Whether both are the same bits of the same dtype.
    pub(crate) fn has_bits_of(&self, other: &Elements) -> bool {
        if self.dtype() != other.dtype() || self.len() != other.len() {
            return false;
        }
        match (self, other) {
            (Elements::F32(a), Elements::F32(b)) => a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            (Elements::F64(a), Elements::F64(b)) => a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            (a, b) => a == b,
        }
    }
}

/// So many zeros in a list of the type of an empty one.
fn zeros<T: Clone + Default>(mut empty: Vec<T>, count: usize) -> Result<Vec<T>, TryReserveError> {
    // Asking for the memory and giving it back before taking it zeroed costs nothing: no page of it is touched.
    empty.try_reserve_exact(count)?;
    drop(empty);
    Ok(vec![T::default(); count])
}

macro_rules! element {
    ($($element:ty => $variant:ident),*) => {$(
        impl Element for $element {
            const DTYPE: DType = DType::$variant;

            fn slice(elements: &Elements) -> Option<&[Self]> {
                if let Elements::$variant(data) = elements { Some(data) } else { None }
            }

            fn slice_mut(elements: &mut Elements) -> Option<&mut [Self]> {
                if let Elements::$variant(data) = elements { Some(data) } else { None }
            }

            fn elements(values: Vec<Self>) -> Elements {
                Elements::$variant(values)
            }
        }

        impl From<Vec<$element>> for Elements {
            fn from(data: Vec<$element>) -> Self {
                Elements::$variant(data)
            }
        }

        impl From<&[$element]> for Elements {
            fn from(data: &[$element]) -> Self {
                Elements::$variant(data.to_vec())
            }
        }

        impl<const N: usize> From<[$element; N]> for Elements {
            fn from(data: [$element; N]) -> Self {
                Elements::$variant(data.to_vec())
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32);

impl From<&[bool]> for Elements {
    fn from(data: &[bool]) -> Self {
        Elements::Bool(data.iter().map(|&truth| u8::from(truth)).collect())
    }
}

impl From<Vec<bool>> for Elements {
    fn from(data: Vec<bool>) -> Self {
        Elements::from(&data[..])
    }
}

impl<const N: usize> From<[bool; N]> for Elements {
    fn from(data: [bool; N]) -> Self {
        Elements::from(&data[..])
    }
}
