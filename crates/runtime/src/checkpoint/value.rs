//! What a program adds to a checkpoint, and how it is written as text.

use std::fmt;

/// An integer, a number or a text in a [`Checkpoint`](crate::Checkpoint).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CheckpointValue {
    /// An integer of any width up to 64 bits, with or without a sign.
    Integer(i128),
    /// A number, which may be infinite or NaN.
    Number(f64),
    /// A text.
    Text(String),
}

impl CheckpointValue {
    /// The value as text, from which [`CheckpointValue::parsed`] makes the same again.
    pub(super) fn written(&self) -> String {
        match self {
            CheckpointValue::Integer(integer) => format!("integer {integer}"),
            // Rust writes as many digits as it takes to tell a number from all others.
            CheckpointValue::Number(number) => format!("number {number:?}"),
            CheckpointValue::Text(text) => format!("text {text}"),
        }
    }

    pub(super) fn parsed(text: &str) -> Option<CheckpointValue> {
        let (kind, value) = text.split_once(' ')?;
        match kind {
            "integer" => value.parse().ok().map(CheckpointValue::Integer),
            "number" => value.parse().ok().map(CheckpointValue::Number),
            "text" => Some(CheckpointValue::Text(value.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for CheckpointValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointValue::Integer(integer) => write!(f, "{integer}"),
            CheckpointValue::Number(number) => write!(f, "{number:?}"),
            CheckpointValue::Text(text) => write!(f, "{text:?}"),
        }
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl From<$integer> for CheckpointValue {
            fn from(integer: $integer) -> Self {
                CheckpointValue::Integer(integer as i128)
            }
        }
    )*};
}
integers!(u8, i8, u16, i16, u32, i32, u64, i64, usize, isize);

impl From<f32> for CheckpointValue {
    fn from(number: f32) -> Self {
        CheckpointValue::Number(number.into())
    }
}

impl From<f64> for CheckpointValue {
    fn from(number: f64) -> Self {
        CheckpointValue::Number(number)
    }
}

impl From<&str> for CheckpointValue {
    fn from(text: &str) -> Self {
        CheckpointValue::Text(text.to_owned())
    }
}

impl From<String> for CheckpointValue {
    fn from(text: String) -> Self {
        CheckpointValue::Text(text)
    }
}
