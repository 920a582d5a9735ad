//! The typed views of buffers that kernels work on. A buffer may be longer than what a kernel touches.
//!
//! A kernel that meets a buffer of another type than its plan says has found a broken invariant of the planner, and panics.

use std::fmt::Display;
use std::ops::Deref;
use std::sync::Arc;

use arenagrad_graph::{Bf16, DType, Elements, F16, I8, I64, StorageType, Stores, U8};
use smallvec::SmallVec;

/// The inputs of a step: input `i` is `buffers[slots[i]]`.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// The slots of the plan.
    pub buffers: &'a [Buffer],
    /// Which slot each input of the step stands in.
    pub slots: &'a [u32],
}

impl<'a> Operands<'a> {
    /// The buffer of input `input`.
    pub(super) fn buffer(self, input: usize) -> &'a Elements {
        &self.buffers[self.slots[input] as usize]
    }

    /// The elements of input `input`, which the plan gave type `T::STORAGE`.
    pub(super) fn typed<T: Element>(self, input: usize) -> &'a [T] {
        typed(self.buffer(input))
    }
}

/// What stands in a slot of a plan.
#[derive(Clone, Debug)]
pub enum Buffer {
    /// Elements of its own, which steps read and write.
    Own(Elements),
    /// Those of somebody else, which steps only read.
    Lent(Arc<Elements>),
}

impl Deref for Buffer {
    type Target = Elements;

    #[inline]
    fn deref(&self) -> &Elements {
        match self {
            Buffer::Own(elements) => elements,
            Buffer::Lent(elements) => elements,
        }
    }
}

impl From<Elements> for Buffer {
    fn from(elements: Elements) -> Buffer {
        Buffer::Own(elements)
    }
}

/// A type that elements of a buffer have.
pub(super) trait Element: Copy + Default + PartialEq + Send + Sync + 'static {
    const STORAGE: StorageType;
    /// The dtype of the values that it holds.
    const DTYPE: DType = Self::STORAGE.value();
    fn elements(buffer: &Elements) -> Option<&[Self]>;
    fn elements_mut(buffer: &mut Elements) -> Option<&mut [Self]>;
    fn part<'b>(part: &'b Part<'_>) -> Option<&'b [Self]>;
    fn part_mut<'b>(part: &'b mut Part<'_>) -> Option<&'b mut [Self]>;
    /// The element that holds `value`, rounded as [`DType::round`] does.
    fn from_f64(value: f64) -> Self;
}

macro_rules! element {
    ($($element:ty, $variant:ident, |$value:ident| $from:expr;)*) => {$(
        impl Element for $element {
            const STORAGE: StorageType = StorageType::$variant;

            fn elements(buffer: &Elements) -> Option<&[Self]> {
                if let Elements::$variant(data) = buffer { Some(data) } else { None }
            }

            fn elements_mut(buffer: &mut Elements) -> Option<&mut [Self]> {
                if let Elements::$variant(data) = buffer { Some(data) } else { None }
            }

            fn part<'b>(part: &'b Part<'_>) -> Option<&'b [Self]> {
                if let Part::$variant(data) = part { Some(data) } else { None }
            }

            fn part_mut<'b>(part: &'b mut Part<'_>) -> Option<&'b mut [Self]> {
                if let Part::$variant(data) = part { Some(data) } else { None }
            }

            fn from_f64($value: f64) -> Self {
                $from
            }
        }
    )*};
}
element! {
    f32, F32, |value| value as f32;
    f64, F64, |value| value;
    i32, I32, |value| value as i32;
    u8, Bool, |value| u8::from(value != 0.0);
    F16, F16, |value| F16::from_f64(value);
    Bf16, Bf16, |value| Bf16::from_f64(value);
    U8, U8, |value| U8::store(value as i32);
    I8, I8, |value| I8::store(value as i32);
    I64, I64, |value| I64::store(value as i32);
}

#[cold]
pub(super) fn wrong_storage(expected: impl Display, found: StorageType) -> ! {
    panic!("the plan says {expected}, the buffer holds {found}")
}

/// The elements of a buffer that the plan gave type `T::STORAGE`.
#[inline]
pub(super) fn typed<T: Element>(buffer: &Elements) -> &[T] {
    match T::elements(buffer) {
        Some(data) => data,
        None => wrong_storage(T::STORAGE, buffer.storage()),
    }
}

/// The elements of a buffer that the plan gave type `T::STORAGE`.
#[inline]
pub(super) fn typed_mut<T: Element>(buffer: &mut Elements) -> &mut [T] {
    let storage = buffer.storage();
    match T::elements_mut(buffer) {
        Some(data) => data,
        None => wrong_storage(T::STORAGE, storage),
    }
}

/// A part of an output buffer that one task writes.
#[derive(Debug)]
pub(super) enum Part<'a> {
    F32(&'a mut [f32]),
    F64(&'a mut [f64]),
    I32(&'a mut [i32]),
    Bool(&'a mut [u8]),
    F16(&'a mut [F16]),
    Bf16(&'a mut [Bf16]),
    U8(&'a mut [U8]),
    I8(&'a mut [I8]),
    I64(&'a mut [I64]),
}

/// The parts of a step's outputs that one task writes. A step with more outputs than fit in place allocates on each run.
pub(super) type Parts<'a> = SmallVec<[Part<'a>; 8]>;

impl<'a> Part<'a> {
    /// The first `elements` elements of a buffer.
    #[inline(always)]
    fn new(buffer: &'a mut Elements, elements: usize) -> Self {
        match buffer {
            Elements::F32(data) => Part::F32(&mut data[..elements]),
            Elements::F64(data) => Part::F64(&mut data[..elements]),
            Elements::I32(data) => Part::I32(&mut data[..elements]),
            Elements::Bool(data) => Part::Bool(&mut data[..elements]),
            Elements::F16(data) => Part::F16(&mut data[..elements]),
            Elements::Bf16(data) => Part::Bf16(&mut data[..elements]),
            Elements::U8(data) => Part::U8(&mut data[..elements]),
            Elements::I8(data) => Part::I8(&mut data[..elements]),
            Elements::I64(data) => Part::I64(&mut data[..elements]),
        }
    }

    /// Where the first element stands in memory.
    #[inline]
    pub(super) fn address(&self) -> usize {
        match self {
            Part::F32(data) => data.as_ptr().addr(),
            Part::F64(data) => data.as_ptr().addr(),
            Part::I32(data) => data.as_ptr().addr(),
            Part::Bool(data) => data.as_ptr().addr(),
            Part::F16(data) => data.as_ptr().addr(),
            Part::Bf16(data) => data.as_ptr().addr(),
            Part::U8(data) => data.as_ptr().addr(),
            Part::I8(data) => data.as_ptr().addr(),
            Part::I64(data) => data.as_ptr().addr(),
        }
    }

    /// The elements before `at`, and the rest.
    pub(super) fn split_at(self, at: usize) -> (Part<'a>, Part<'a>) {
        match self {
            Part::F32(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::F32(a), Part::F32(b))
            }
            Part::F64(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::F64(a), Part::F64(b))
            }
            Part::I32(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::I32(a), Part::I32(b))
            }
            Part::Bool(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::Bool(a), Part::Bool(b))
            }
            Part::F16(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::F16(a), Part::F16(b))
            }
            Part::Bf16(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::Bf16(a), Part::Bf16(b))
            }
            Part::U8(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::U8(a), Part::U8(b))
            }
            Part::I8(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::I8(a), Part::I8(b))
            }
            Part::I64(data) => {
                let (a, b) = data.split_at_mut(at);
                (Part::I64(a), Part::I64(b))
            }
        }
    }

    /// The type of the elements.
    pub(super) fn storage(&self) -> StorageType {
        match self {
            Part::F32(_) => StorageType::F32,
            Part::F64(_) => StorageType::F64,
            Part::I32(_) => StorageType::I32,
            Part::Bool(_) => StorageType::Bool,
            Part::F16(_) => StorageType::F16,
            Part::Bf16(_) => StorageType::Bf16,
            Part::U8(_) => StorageType::U8,
            Part::I8(_) => StorageType::I8,
            Part::I64(_) => StorageType::I64,
        }
    }

    /// The elements, which the plan gave type `T::STORAGE`.
    #[inline]
    pub(super) fn typed<T: Element>(&self) -> &[T] {
        match T::part(self) {
            Some(data) => data,
            None => wrong_storage(T::STORAGE, self.storage()),
        }
    }

    /// The elements, which the plan gave type `T::STORAGE`.
    #[inline]
    pub(super) fn typed_mut<T: Element>(&mut self) -> &mut [T] {
        let storage = self.storage();
        match T::part_mut(self) {
            Some(data) => data,
            None => wrong_storage(T::STORAGE, storage),
        }
    }
}

/// The first `elements` elements of each output.
#[inline]
pub(super) fn parts(outputs: &mut [Elements], elements: usize) -> Parts<'_> {
    let mut parts = Parts::new();
    for buffer in outputs {
        parts.push(Part::new(buffer, elements));
    }
    parts
}

/// The first `elements` elements of one output.
#[inline]
pub(super) fn part(buffer: &mut Elements, elements: usize) -> Part<'_> {
    Part::new(buffer, elements)
}

/// All elements of each output.
#[inline]
pub(super) fn all_parts(outputs: &mut [Elements]) -> Parts<'_> {
    outputs
        .iter_mut()
        .map(|buffer| {
            let elements = buffer.len();
            Part::new(buffer, elements)
        })
        .collect()
}

/// Each part cut in two after `at` elements.
pub(super) fn split_parts(parts: Parts<'_>, at: usize) -> (Parts<'_>, Parts<'_>) {
    let (mut head, mut tail) = (Parts::new(), Parts::new());
    for part in parts {
        let (a, b) = part.split_at(at);
        head.push(a);
        tail.push(b);
    }
    (head, tail)
}
