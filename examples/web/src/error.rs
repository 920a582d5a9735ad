//! What can go wrong on the page, beside what the library itself refuses.

use thiserror::Error;

/// Why the page cannot do what it was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WebError {
    /// What the library refused.
    #[error(transparent)]
    Engine(#[from] arenagrad::Error),
    /// A file of digits that is none.
    #[error("{name} is no file of bytes in the IDX format: {reason}")]
    Idx {
        /// Which file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Images and labels of different numbers.
    #[error("there are {images} images, but {labels} labels")]
    Counts {
        /// How many images there are.
        images: usize,
        /// How many labels there are.
        labels: usize,
    },
    /// A drawing of another size.
    #[error("a drawing has {expected} pixels, not {found}")]
    Drawing {
        /// How many pixels a drawing has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
}
