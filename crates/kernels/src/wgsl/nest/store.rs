//! The buffer of words in which a nest's dispatches leave what later ones must know.
//!
//! All of it is one buffer, so that no dispatch binds more than one besides the step's own.

use crate::wgsl::emit::Words;
use crate::wgsl::output::new_scratch;
use crate::wgsl::{Lowered, Resource};

/// What stands in the buffer of words.
pub(super) struct Store {
    resource: Option<Resource>,
    arrays: usize,
    words: usize,
    /// The array of each value that is stored.
    values: Vec<Option<Words>>,
}

impl Store {
    /// An empty store for that many values.
    pub(super) fn new(values: usize) -> Self {
        Store { resource: None, arrays: 0, words: 0, values: vec![None; values] }
    }

    /// A new array.
    pub(super) fn array(&mut self, elements: usize, lowered: &mut Lowered) -> Words {
        let resource = *self.resource.get_or_insert_with(|| new_scratch(0, lowered));
        let words = Words { resource, array: self.arrays, offset: self.words };
        self.arrays += 1;
        self.words += elements.next_multiple_of(4);
        if let Resource::Scratch(number) = resource {
            lowered.scratch[number as usize] = self.words;
        }
        words
    }

    /// Says that a value stands in an array from here on.
    pub(super) fn put(&mut self, value: u32, words: Words) {
        self.values[value as usize] = Some(words);
    }

    /// Where a value stands.
    pub(super) fn find(&self, value: u32) -> Option<Words> {
        self.values[value as usize]
    }
}
