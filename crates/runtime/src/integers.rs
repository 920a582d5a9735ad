//! Integers of other widths on their way to i32, the one dtype of integers: each must fit, and the first that does not is named.

use arenagrad_graph::{Elements, Shape};

use crate::error::Error;
use crate::tensor::Tensor;

impl Tensor {
    /// An i32 tensor of that shape from integers of any width up to 64 bits (`i64`, `u8`, `i8`, `u32`, …), row-major, as readers of labels and tokens give
    /// them.
    ///
    /// Errors: [`Error::IntegerRange`] with the place and value of the first that i32 does not hold; a number of elements that does not fit the shape.
    ///
    /// ```
    /// use arenagrad::{Error, Tensor};
    ///
    /// let labels = Tensor::from_integers([3], &[3u8, 1, 2])?;
    /// assert_eq!(labels.as_slice::<i32>()?, [3, 1, 2]);
    /// let error = Tensor::from_integers([2], &[7i64, 1 << 40]).unwrap_err();
    /// assert_eq!(error, Error::IntegerRange { position: 1, value: 1 << 40 });
    /// # Ok::<(), Error>(())
    /// ```
    pub fn from_integers<T: Copy + Into<i64>>(shape: impl Into<Shape>, elements: &[T]) -> Result<Tensor, Error> {
        let fit = |(position, &element): (usize, &T)| {
            let value: i64 = element.into();
            i32::try_from(value).map_err(|_| Error::IntegerRange { position, value })
        };
        let fitting = elements.iter().enumerate().map(fit).collect::<Result<Vec<i32>, Error>>()?;
        Tensor::from_data(shape.into(), Elements::from(fitting))
    }
}

/// How a file holds integers that are no i32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width {
    /// As the safetensors format calls them.
    name: &'static str,
    pub(crate) bytes: usize,
    is_signed: bool,
}

const WIDTHS: [Width; 6] = [
    Width { name: "I64", bytes: 8, is_signed: true },
    Width { name: "I16", bytes: 2, is_signed: true },
    Width { name: "I8", bytes: 1, is_signed: true },
    Width { name: "U32", bytes: 4, is_signed: false },
    Width { name: "U16", bytes: 2, is_signed: false },
    Width { name: "U8", bytes: 1, is_signed: false },
];

impl Width {
    /// That of a file's dtype, if it is one of integers that are no i32.
    pub(crate) fn named(dtype: &str) -> Option<Width> {
        WIDTHS.into_iter().find(|width| width.name == dtype)
    }

    /// The integers whose bytes these are, the least significant of each first; or the place and value of the first that i32 does not
    /// hold.
    pub(crate) fn elements(self, bytes: &[u8]) -> Result<Elements, (usize, i64)> {
        let integer = |bytes: &[u8]| {
            // Above the highest byte stand copies of its sign.
            let is_negative = self.is_signed && bytes.last().is_some_and(|&highest| highest >= 0x80);
            let mut word = [if is_negative { 0xff } else { 0 }; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            i64::from_le_bytes(word)
        };
        let integers = bytes.chunks_exact(self.bytes).map(integer).enumerate();
        let fitting = integers.map(|(place, value)| i32::try_from(value).map_err(|_| (place, value)));
        fitting.collect::<Result<Vec<i32>, _>>().map(Elements::from)
    }
}
