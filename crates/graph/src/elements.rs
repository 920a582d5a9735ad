//! Elements of one type, row-major: what a literal of a graph, a tensor on the host, and a buffer of a kernel on the CPU hold.
//!
//! It is a list and no more: shapes belong to whoever has one. The type of its elements is a [`StorageType`]; what they are worth to a
//! program, a value of [`StorageType::value`]. An element of [`StorageType::Bool`] is one byte, 0 or 1.

use std::collections::TryReserveError;

use crate::aligned::AlignedVec;
use crate::bf16::Bf16;
use crate::dtype::DType;
use crate::f16::F16;
use crate::integers::{I8, I64, U8};
use crate::storage::{StorageType, Stores};

/// Elements of one type, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Elements of type [`StorageType::F32`].
    F32(AlignedVec<f32>),
    /// Elements of type [`StorageType::F64`].
    F64(AlignedVec<f64>),
    /// Elements of type [`StorageType::I32`].
    I32(AlignedVec<i32>),
    /// Elements of type [`StorageType::Bool`], each 0 or 1.
    Bool(AlignedVec<u8>),
    /// Elements of type [`StorageType::F16`].
    F16(AlignedVec<F16>),
    /// Elements of type [`StorageType::Bf16`].
    Bf16(AlignedVec<Bf16>),
    /// Elements of type [`StorageType::U8`].
    U8(AlignedVec<U8>),
    /// Elements of type [`StorageType::I8`].
    I8(AlignedVec<I8>),
    /// Elements of type [`StorageType::I64`].
    I64(AlignedVec<I64>),
}

/// A Rust type that elements can be seen as: `f32`, `f64`, `i32`, [`F16`], [`Bf16`], [`U8`], [`I8`] or [`I64`].
pub trait Element: Copy + Send + Sync + 'static {
    /// The type of such elements.
    const STORAGE: StorageType;
    /// The elements as values of this type, if they are.
    fn slice(elements: &Elements) -> Option<&[Self]>;
    /// The elements as values of this type, if they are.
    fn slice_mut(elements: &mut Elements) -> Option<&mut [Self]>;
    /// The list of these values, which is not moved.
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
            Elements::F16($data) => $body,
            Elements::Bf16($data) => $body,
            Elements::U8($data) => $body,
            Elements::I8($data) => $body,
            Elements::I64($data) => $body,
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
            Elements::F16($data) => Elements::F16($body),
            Elements::Bf16($data) => Elements::Bf16($body),
            Elements::U8($data) => Elements::U8($body),
            Elements::I8($data) => Elements::I8($body),
            Elements::I64($data) => Elements::I64($body),
        }
    };
}

impl Elements {
    /// So many zeros (false for bool), or the error that there is no memory for them.
    pub fn zeros(storage: impl Into<StorageType>, count: usize) -> Result<Self, TryReserveError> {
        Ok(of_same_type!(Elements::empty(storage), data => zeros(data, count)?))
    }

    /// No elements.
    pub fn empty(storage: impl Into<StorageType>) -> Self {
        match storage.into() {
            StorageType::F32 => Elements::F32(AlignedVec::new()),
            StorageType::F64 => Elements::F64(AlignedVec::new()),
            StorageType::I32 => Elements::I32(AlignedVec::new()),
            StorageType::Bool => Elements::Bool(AlignedVec::new()),
            StorageType::F16 => Elements::F16(AlignedVec::new()),
            StorageType::Bf16 => Elements::Bf16(AlignedVec::new()),
            StorageType::U8 => Elements::U8(AlignedVec::new()),
            StorageType::I8 => Elements::I8(AlignedVec::new()),
            StorageType::I64 => Elements::I64(AlignedVec::new()),
        }
    }

    /// Elements of that type from numbers: rounded to floats, truncated to i32 and stored as such, 1 for all but 0 to bool.
    pub fn from_f64(storage: impl Into<StorageType>, values: &[f64]) -> Self {
        match storage.into() {
            StorageType::F32 => Elements::F32(values.iter().map(|&x| x as f32).collect()),
            StorageType::F64 => Elements::F64(values.into()),
            StorageType::I32 => Elements::I32(values.iter().map(|&x| x as i32).collect()),
            StorageType::Bool => Elements::Bool(values.iter().map(|&x| u8::from(x != 0.0)).collect()),
            StorageType::F16 => Elements::F16(values.iter().map(|&x| F16::from_f64(x)).collect()),
            StorageType::Bf16 => Elements::Bf16(values.iter().map(|&x| Bf16::from_f64(x)).collect()),
            StorageType::U8 => Elements::U8(values.iter().map(|&x| U8::store(x as i32)).collect()),
            StorageType::I8 => Elements::I8(values.iter().map(|&x| I8::store(x as i32)).collect()),
            StorageType::I64 => Elements::I64(values.iter().map(|&x| I64::store(x as i32)).collect()),
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

    /// The type of the elements.
    pub fn storage(&self) -> StorageType {
        match self {
            Elements::F32(_) => StorageType::F32,
            Elements::F64(_) => StorageType::F64,
            Elements::I32(_) => StorageType::I32,
            Elements::Bool(_) => StorageType::Bool,
            Elements::F16(_) => StorageType::F16,
            Elements::Bf16(_) => StorageType::Bf16,
            Elements::U8(_) => StorageType::U8,
            Elements::I8(_) => StorageType::I8,
            Elements::I64(_) => StorageType::I64,
        }
    }

    /// The dtype of the values that the elements hold.
    pub fn dtype(&self) -> DType {
        self.storage().value()
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
    #[expect(clippy::useless_conversion, reason = "one of the types is f64")]
    pub fn get(&self, place: usize) -> Option<f64> {
        of_any_type!(self, data => data.get(place).map(|&x| f64::from(x)))
    }

    /// All elements as numbers, exact, with true as 1.
    #[expect(clippy::useless_conversion, reason = "one of the types is f64")]
    pub fn to_f64_vec(&self) -> Vec<f64> {
        of_any_type!(self, data => data.iter().map(|&x| f64::from(x)).collect())
    }

    /// The elements at these places, which must be before the end.
    pub fn at(&self, places: impl Iterator<Item = usize>) -> Self {
        of_same_type!(self, data => places.map(|place| data[place]).collect())
    }

    /// The first `count` elements, or all if there are no more.
    pub fn first(&self, count: usize) -> Self {
        of_same_type!(self, data => data[..count.min(data.len())].into())
    }

    /// Writes other elements over those from the first on, widened or narrowed where the types differ. Gives false, and writes
    /// nothing, if their values are of another dtype or they are more than there are.
    #[must_use]
    pub fn overwrite(&mut self, from: &Elements) -> bool {
        if self.dtype() != from.dtype() || self.len() < from.len() {
            return false;
        }
        match (self, from) {
            (Elements::F64(target), Elements::F64(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::I32(target), Elements::I32(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::Bool(target), Elements::Bool(source)) => target[..source.len()].copy_from_slice(source),
            // Of the same type also NaN keeps its bits.
            (Elements::F32(target), Elements::F32(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::F16(target), Elements::F16(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::Bf16(target), Elements::Bf16(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::U8(target), Elements::U8(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::I8(target), Elements::I8(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::I64(target), Elements::I64(source)) => target[..source.len()].copy_from_slice(source),
            (Elements::F32(target), source) => source.narrow_into(target),
            (Elements::F16(target), source) => source.narrow_into(target),
            (Elements::Bf16(target), source) => source.narrow_into(target),
            (Elements::I32(target), source) => source.integers_into(target),
            (Elements::U8(target), source) => source.integers_into(target),
            (Elements::I8(target), source) => source.integers_into(target),
            (Elements::I64(target), source) => source.integers_into(target),
            (Elements::F64(_) | Elements::Bool(_), _) => {}
        }
        true
    }

    /// Writes values of f32 into elements that store such, from the first on; other elements hold none.
    fn narrow_into<T: Stores<f32>>(&self, target: &mut [T]) {
        match self {
            Elements::F32(source) => convert(source, target),
            Elements::F16(source) => convert(source, target),
            Elements::Bf16(source) => convert(source, target),
            Elements::F64(_) | Elements::Bool(_) => {}
            Elements::I32(_) | Elements::U8(_) | Elements::I8(_) | Elements::I64(_) => {}
        }
    }

    /// Writes values of i32 into elements that store such, from the first on; other elements hold none.
    fn integers_into<T: Stores<i32>>(&self, target: &mut [T]) {
        match self {
            Elements::I32(source) => convert(source, target),
            Elements::U8(source) => convert(source, target),
            Elements::I8(source) => convert(source, target),
            Elements::I64(source) => convert(source, target),
            Elements::F32(_) | Elements::F64(_) | Elements::Bool(_) | Elements::F16(_) | Elements::Bf16(_) => {}
        }
    }

    /// The same values in another type, rounded to the nearest, truncated to integers, of which narrower ones hold the lowest bits, or
    /// tested for truth.
    pub fn converted(&self, storage: impl Into<StorageType>) -> Self {
        let storage = storage.into();
        if storage == self.storage() {
            return self.clone();
        }
        if storage.value() == self.dtype() {
            let mut converted = of_same_type!(Elements::empty(storage), data => repeated(data, self.len()));
            let is_written = converted.overwrite(self);
            debug_assert!(is_written, "elements of one dtype overwrite each other");
            return converted;
        }
        Elements::from_f64(storage, &self.to_f64_vec())
    }

    /// The first integer that is as sought, with its place, in whatever type integers are stored; none among elements of another dtype.
    pub fn find_integer(&self, is_sought: impl Fn(i32) -> bool) -> Option<(usize, i32)> {
        fn find<T: Stores<i32>>(data: &[T], is_sought: impl Fn(i32) -> bool) -> Option<(usize, i32)> {
            let place = data.iter().position(|element| is_sought(element.load()))?;
            Some((place, data[place].load()))
        }
        match self {
            Elements::I32(data) => find(data, is_sought),
            Elements::U8(data) => find(data, is_sought),
            Elements::I8(data) => find(data, is_sought),
            Elements::I64(data) => find(data, is_sought),
            Elements::F32(_) | Elements::F64(_) | Elements::Bool(_) | Elements::F16(_) | Elements::Bf16(_) => None,
        }
    }

    /// As [`Elements::find_integer`], of the elements at these places, in their order.
    pub(crate) fn find_integer_among(
        &self,
        mut places: impl Iterator<Item = usize>,
        is_sought: impl Fn(i32) -> bool,
    ) -> Option<(usize, i32)> {
        fn find<T: Stores<i32>>(
            data: &[T],
            places: &mut impl Iterator<Item = usize>,
            is_sought: impl Fn(i32) -> bool,
        ) -> Option<(usize, i32)> {
            places.map(|place| (place, data[place].load())).find(|&(_, element)| is_sought(element))
        }
        match self {
            Elements::I32(data) => find(data, &mut places, is_sought),
            Elements::U8(data) => find(data, &mut places, is_sought),
            Elements::I8(data) => find(data, &mut places, is_sought),
            Elements::I64(data) => find(data, &mut places, is_sought),
            Elements::F32(_) | Elements::F64(_) | Elements::Bool(_) | Elements::F16(_) | Elements::Bf16(_) => None,
        }
    }

    /// The bytes that the elements take in host memory.
    pub fn bytes(&self) -> usize {
        of_any_type!(self, data => std::mem::size_of_val(&data[..]))
    }

    /// Where the first element stands in host memory.
    pub fn address(&self) -> usize {
        of_any_type!(self, data => data.as_ptr().addr())
    }

    /// The bytes of the elements, the least significant of each first.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        /// Written to memory that is there already: with a push for each byte, no loop would become a copy.
        fn bytes<const N: usize, T: Copy>(data: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
            let mut bytes = vec![0; data.len() * N];
            for (target, &element) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(data) {
                *target = to_bytes(element);
            }
            bytes
        }
        match self {
            Elements::F32(data) => bytes(data, f32::to_le_bytes),
            Elements::F64(data) => bytes(data, f64::to_le_bytes),
            Elements::I32(data) => bytes(data, i32::to_le_bytes),
            Elements::Bool(data) => data.to_vec(),
            Elements::F16(data) => bytes(data, |x| x.to_bits().to_le_bytes()),
            Elements::Bf16(data) => bytes(data, |x| x.to_bits().to_le_bytes()),
            Elements::U8(data) => data.iter().map(|x| x.get()).collect(),
            Elements::I8(data) => data.iter().map(|x| x.get() as u8).collect(),
            Elements::I64(data) => bytes(data, |x| x.get().to_le_bytes()),
        }
    }

    /// The elements of that type whose bytes these are, as [`Elements::to_le_bytes`] has them. What is no whole element at the end is
    /// left out. Of integers of 64 bits, which hold values of i32, the lower half counts.
    pub fn from_le_bytes(storage: impl Into<StorageType>, bytes: &[u8]) -> Self {
        fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
            bytes.as_chunks::<N>().0.iter().copied()
        }
        match storage.into() {
            StorageType::F32 => Elements::F32(words(bytes).map(f32::from_le_bytes).collect()),
            StorageType::F64 => Elements::F64(words(bytes).map(f64::from_le_bytes).collect()),
            StorageType::I32 => Elements::I32(words(bytes).map(i32::from_le_bytes).collect()),
            StorageType::Bool => Elements::Bool(bytes.into()).normalised(),
            StorageType::F16 => Elements::F16(words(bytes).map(u16::from_le_bytes).map(F16::from_bits).collect()),
            StorageType::Bf16 => Elements::Bf16(words(bytes).map(u16::from_le_bytes).map(Bf16::from_bits).collect()),
            StorageType::U8 => Elements::U8(bytes.iter().map(|&byte| U8::from(byte)).collect()),
            StorageType::I8 => Elements::I8(bytes.iter().map(|&byte| I8::from(byte as i8)).collect()),
            StorageType::I64 => Elements::I64(words(bytes).map(I64::from_le_bytes).collect()),
        }
    }

    /// The bits of each element, which tell both zeros and all NaN apart.
    pub(crate) fn for_each_bits(&self, mut visit: impl FnMut(u64)) {
        match self {
            Elements::F32(data) => data.iter().for_each(|x| visit(u64::from(x.to_bits()))),
            Elements::F64(data) => data.iter().for_each(|x| visit(x.to_bits())),
            Elements::I32(data) => data.iter().for_each(|&x| visit(u64::from(x as u32))),
            Elements::Bool(data) => data.iter().for_each(|&x| visit(u64::from(x))),
            Elements::F16(data) => data.iter().for_each(|x| visit(u64::from(x.to_bits()))),
            Elements::Bf16(data) => data.iter().for_each(|x| visit(u64::from(x.to_bits()))),
            Elements::U8(data) => data.iter().for_each(|x| visit(u64::from(x.get()))),
            Elements::I8(data) => data.iter().for_each(|x| visit(x.get() as u64)),
            Elements::I64(data) => data.iter().for_each(|x| visit(x.get() as u64)),
        }
    }

    /// Whether both are the same bits of the same type.
    pub(crate) fn has_bits_of(&self, other: &Elements) -> bool {
        if self.storage() != other.storage() || self.len() != other.len() {
            return false;
        }
        match (self, other) {
            (Elements::F32(a), Elements::F32(b)) => a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            (Elements::F64(a), Elements::F64(b)) => a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            (Elements::F16(a), Elements::F16(b)) => a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            (Elements::Bf16(a), Elements::Bf16(b)) => a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()),
            (a, b) => a == b,
        }
    }
}

/// Brings elements of one type into another that stores the same values, as many as there are.
fn convert<V, S: Stores<V>, T: Stores<V>>(source: &[S], target: &mut [T]) {
    for (target, &element) in target.iter_mut().zip(source) {
        *target = T::store(element.load());
    }
}

/// So many zeros in a list of the type of an empty one.
fn repeated<T: Copy + Default>(_: AlignedVec<T>, count: usize) -> AlignedVec<T> {
    AlignedVec::zeros(count)
}

/// As [`repeated`], or the error that there is no memory for them.
fn zeros<T: Copy + Default>(_: AlignedVec<T>, count: usize) -> Result<AlignedVec<T>, TryReserveError> {
    AlignedVec::try_zeros(count)
}

macro_rules! element {
    ($($element:ty => $variant:ident),*) => {$(
        impl Element for $element {
            const STORAGE: StorageType = StorageType::$variant;

            fn slice(elements: &Elements) -> Option<&[Self]> {
                if let Elements::$variant(data) = elements { Some(data) } else { None }
            }

            fn slice_mut(elements: &mut Elements) -> Option<&mut [Self]> {
                if let Elements::$variant(data) = elements { Some(data) } else { None }
            }

            fn elements(values: Vec<Self>) -> Elements {
                Elements::$variant(values.into())
            }
        }

        impl From<Vec<$element>> for Elements {
            fn from(data: Vec<$element>) -> Self {
                Elements::$variant(data.into())
            }
        }

        impl From<&[$element]> for Elements {
            fn from(data: &[$element]) -> Self {
                Elements::$variant(data[..].into())
            }
        }

        impl<const N: usize> From<[$element; N]> for Elements {
            fn from(data: [$element; N]) -> Self {
                Elements::$variant(data[..].into())
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32, F16 => F16, Bf16 => Bf16, U8 => U8, I8 => I8, I64 => I64);

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
