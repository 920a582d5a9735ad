//! A list of numbers whose memory begins at a line of the processor's caches.
//!
//! A vector of AVX-512 is as long as a line. Read from memory that begins elsewhere, each vector lies in two lines and is read twice; an
//! allocator promises 16 bytes and mostly gives no more. So a list that makes room for itself takes a line more than it needs, and begins where the first
//! line does. A list that was a `Vec` stays where it is: moving it would cost what reading it from there costs.
//!
//! It knows nothing of what its elements mean; [`Elements`](crate::Elements) does.

use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

/// The bytes of a line of the caches, on the processors of today or a multiple of what they have.
const CACHE_LINE: usize = 64;

/// The fewest bytes for which a line more is spent. Shorter lists are many, and a vector or a few of each are read.
const LEAST: usize = 512;

/// A list of numbers, as a `Vec` is, which begins at a line of the processor's caches if it made room for itself. It is used as the slice that it
/// [derefs](Deref) to; a `Vec` becomes one, and it a `Vec`, by `into`.
///
/// ```
/// # use arenagrad_graph::AlignedVec;
/// let zeros = AlignedVec::<f32>::zeros(1000);
/// assert_eq!((zeros.len(), zeros[999]), (1000, 0.0));
/// assert!(zeros.as_ptr().addr().is_multiple_of(64));
/// assert_eq!(AlignedVec::from(vec![1.0, 2.0]).iter().sum::<f64>(), 3.0);
/// ```
#[derive(Default)]
pub struct AlignedVec<T> {
    /// What stands before `start` is there so that the elements begin where they should.
    memory: Vec<T>,
    start: usize,
}

impl<T> AlignedVec<T> {
    /// A list of no elements, for which no memory is asked.
    pub const fn new() -> Self {
        AlignedVec { memory: Vec::new(), start: 0 }
    }
}

impl<T: Clone> AlignedVec<T> {
    /// So many times one value.
    pub fn repeated(value: T, count: usize) -> Self {
        // All at once, so that a system can hand out pages of zeros.
        let mut memory = vec![value; count.saturating_add(padding::<T>(count))];
        let start = start_of(memory.as_ptr(), count);
        memory.truncate(start + count);
        AlignedVec { memory, start }
    }

    /// Appends elements.
    pub fn extend_from_slice(&mut self, elements: &[T]) {
        self.memory.extend_from_slice(elements);
    }

    /// No elements, with room for so many, where `filler` stands before the first.
    fn with_room(count: usize, filler: T) -> Self {
        let mut memory = Vec::with_capacity(count.saturating_add(padding::<T>(count)));
        let start = start_of(memory.as_ptr(), count);
        memory.resize(start, filler);
        AlignedVec { memory, start }
    }
}

impl<T: Clone + Default> AlignedVec<T> {
    /// So many zeros.
    pub fn zeros(count: usize) -> Self {
        Self::repeated(T::default(), count)
    }

    /// As [`AlignedVec::zeros`], or the error that there is no memory for them.
    pub fn try_zeros(count: usize) -> Result<Self, TryReserveError> {
        // No page of what is asked for and given back is touched, so this costs no more than filling the memory, and for most types less.
        Vec::<T>::new().try_reserve_exact(count.saturating_add(padding::<T>(count)))?;
        Ok(Self::zeros(count))
    }

    /// No elements, with room for so many.
    pub fn with_capacity(count: usize) -> Self {
        Self::with_room(count, T::default())
    }

    /// Makes room for so many more elements.
    pub fn reserve_exact(&mut self, count: usize) {
        if self.memory.is_empty() {
            *self = Self::with_capacity(count);
        } else {
            self.memory.reserve_exact(count);
        }
    }
}

/// How many elements more than these to ask for, so that they can begin at a line.
const fn padding<T>(count: usize) -> usize {
    if size_of::<T>() == 0 || count < LEAST / size_of::<T>() { 0 } else { CACHE_LINE.div_ceil(size_of::<T>()) }
}

/// From which element of memory, whose first is here, on a list of so many begins.
fn start_of<T>(memory: *const T, count: usize) -> usize {
    let padding = padding::<T>(count);
    // No place is at a line if lines are no multiple of an element; the list then begins where the memory does.
    let start = if padding == 0 { 0 } else { memory.align_offset(CACHE_LINE) };
    if start <= padding { start } else { 0 }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.memory[self.start..]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..]
    }
}

impl<T> From<Vec<T>> for AlignedVec<T> {
    fn from(memory: Vec<T>) -> Self {
        AlignedVec { memory, start: 0 }
    }
}

impl<T: Clone> From<&[T]> for AlignedVec<T> {
    fn from(elements: &[T]) -> Self {
        match elements {
            [first, ..] if padding::<T>(elements.len()) > 0 => {
                let mut list = Self::with_room(elements.len(), first.clone());
                list.extend_from_slice(elements);
                list
            }
            _ => elements.to_vec().into(),
        }
    }
}

impl<T> From<AlignedVec<T>> for Vec<T> {
    fn from(mut list: AlignedVec<T>) -> Self {
        list.memory.drain(..list.start);
        list.memory
    }
}

impl<T: Clone + Default> FromIterator<T> for AlignedVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let elements = elements.into_iter();
        // An iterator that has more than it says makes the memory move, maybe off the line.
        let mut list = Self::with_capacity(elements.size_hint().0);
        list.memory.extend(elements);
        list
    }
}

impl<T> Extend<T> for AlignedVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        self.memory.extend(elements);
    }
}

impl<T: Clone> Clone for AlignedVec<T> {
    fn clone(&self) -> Self {
        Self::from(&self[..])
    }
}

impl<T: PartialEq> PartialEq for AlignedVec<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for AlignedVec<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

impl<'a, T> IntoIterator for &'a AlignedVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut AlignedVec<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_at_a_line<T>(list: &[T]) -> bool {
        list.as_ptr().addr().is_multiple_of(CACHE_LINE)
    }

    #[test]
    fn lists_that_make_their_room_begin_at_a_line() {
        // Several sizes, since an allocator may place one of them so by chance.
        for count in [512, 513, 1000, 4096, 100_003, 3_000_000] {
            let numbers: Vec<u8> = (0..count).map(|i| i as u8).collect();
            let lists = [
                AlignedVec::zeros(count),
                AlignedVec::try_zeros(count).unwrap(),
                AlignedVec::from(&numbers[..]),
                AlignedVec::from(&numbers[..]).clone(),
                numbers.iter().copied().collect(),
            ];
            for (number, list) in lists.iter().enumerate() {
                assert!(is_at_a_line(list), "list {number} of {count}");
                assert_eq!(list.len(), count);
                assert!(number < 2 || **list == *numbers, "list {number} of {count}");
            }
            assert!(is_at_a_line(&AlignedVec::<f32>::zeros(count)) && is_at_a_line(&AlignedVec::<f64>::zeros(count)));
            let mut grown = AlignedVec::new();
            grown.reserve_exact(count);
            grown.extend_from_slice(&numbers);
            assert!(is_at_a_line(&grown) && *grown == *numbers);
            // Past its room it may move, and stays what it is.
            grown.extend(numbers.iter().copied());
            assert_eq!((grown.len(), &grown[count..]), (2 * count, &numbers[..]));
        }
    }

    #[test]
    fn lists_and_vectors_become_each_other() {
        for count in [0, 1, 127, 128, 1000] {
            let vector: Vec<f32> = (0..count).map(|i| i as f32).collect();
            assert_eq!(Vec::from(AlignedVec::from(&vector[..])), vector);
            let address = vector.as_ptr();
            let list = AlignedVec::from(vector);
            assert_eq!(list.as_ptr(), address, "a vector is not moved");
        }
        assert_eq!(AlignedVec::<f64>::new(), AlignedVec::zeros(0));
        assert_eq!(format!("{:?}", AlignedVec::from(vec![1, 2])), "[1, 2]");
        assert!(AlignedVec::<f64>::try_zeros(usize::MAX).is_err());
    }
}
