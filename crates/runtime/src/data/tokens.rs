//! Text as numbers: tokens, and the windows of them that a language model learns from.

use std::collections::HashMap;
use std::sync::Arc;

use super::DataError;
use super::batch::Batch;
use super::draws::Draws;
use super::source::Source;
use crate::error::Error;
use crate::tensor::Tensor;

/// What makes tokens of text, and text of tokens.
pub trait Tokenizer {
    /// How many tokens there are: each is one of `0..vocabulary()`.
    fn vocabulary(&self) -> usize;

    /// The tokens of a text.
    fn encode(&self, text: &str) -> Result<Vec<i32>, Error>;

    /// The text of tokens.
    fn decode(&self, tokens: &[i32]) -> Result<String, Error>;
}

/// Tokens that are the characters of a text (Unicode scalar values), numbered in their order in Unicode.
///
/// ```
/// use arenagrad::data::{Characters, Tokenizer};
///
/// let characters = Characters::of("banana");
/// assert_eq!(characters.encode("nab")?, [2, 0, 1]);
/// assert_eq!(characters.decode(&[1, 0, 2])?, "ban");
/// assert!(characters.encode("bandana").is_err());
/// // A model that is saved keeps its vocabulary as a text.
/// assert_eq!(Characters::of(&characters.text()), characters);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characters {
    characters: Vec<char>,
    numbers: HashMap<char, i32>,
}

impl Characters {
    /// The characters that a text has.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let numbers = characters.iter().copied().zip(0..).collect();
        Characters { characters, numbers }
    }

    /// All characters, each once, in the order of their numbers.
    pub fn text(&self) -> String {
        self.characters.iter().collect()
    }
}

impl Tokenizer for Characters {
    fn vocabulary(&self) -> usize {
        self.characters.len()
    }

    /// [`DataError::UnknownCharacter`] for one that the text did not have of which these are.
    fn encode(&self, text: &str) -> Result<Vec<i32>, Error> {
        let number = |(position, character)| {
            let known = self.characters.len();
            let unknown = || DataError::UnknownCharacter { character, position, known }.into();
            self.numbers.get(&character).copied().ok_or_else(unknown)
        };
        text.chars().enumerate().map(number).collect()
    }

    /// [`DataError::UnknownToken`] for a number that is none of a character.
    fn decode(&self, tokens: &[i32]) -> Result<String, Error> {
        let character = |(position, &token): (usize, &i32)| {
            let found = usize::try_from(token).ok().and_then(|place| self.characters.get(place).copied());
            found.ok_or_else(|| DataError::UnknownToken { token, position, known: self.characters.len() }.into())
        };
        tokens.iter().enumerate().map(character).collect()
    }
}

/// Tokens that are the 256 bytes: of any text, in UTF-8.
///
/// ```
/// use arenagrad::data::{Bytes, Tokenizer};
///
/// assert_eq!(Bytes.encode("né")?, [110, 195, 169]);
/// assert_eq!(Bytes.decode(&[110, 195, 169])?, "né");
/// assert!(Bytes.decode(&[110, 195]).is_err()); // half a character
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes;

impl Tokenizer for Bytes {
    fn vocabulary(&self) -> usize {
        256
    }

    fn encode(&self, text: &str) -> Result<Vec<i32>, Error> {
        Ok(text.bytes().map(i32::from).collect())
    }

    /// [`DataError::UnknownToken`] for a number that is no byte, [`DataError::BrokenText`] for bytes that are no UTF-8.
    fn decode(&self, tokens: &[i32]) -> Result<String, Error> {
        let byte = |(position, &token): (usize, &i32)| {
            u8::try_from(token).map_err(|_| DataError::UnknownToken { token, position, known: 256 })
        };
        let bytes = tokens.iter().enumerate().map(byte).collect::<Result<Vec<u8>, _>>()?;
        String::from_utf8(bytes).map_err(|error| DataError::BrokenText { at: error.utf8_error().valid_up_to() }.into())
    }
}

/// A text in tokens, in their order. A clone shares them.
///
/// ```
/// use arenagrad::data::{Batches, Characters, Tokens};
///
/// let text = "the quick brown fox jumps over the lazy dog";
/// let tokens = Tokens::of(&Characters::of(text), text)?;
/// let (train, validation) = tokens.split(0.7)?;
/// let batches = Batches::new(train.random_windows(8, 100, 1)?, 4).prefetch(2);
/// let batch = batches.epoch(0).next().expect("there are 25")?;
/// assert_eq!(batch.get("x").map(|x| x.shape().dims()), Some(&[4, 8][..]));
/// assert_eq!(batch.get("labels").map(|next| next.shape().dims()), Some(&[4, 8][..]));
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    tokens: Arc<[i32]>,
}

impl Tokens {
    /// These tokens.
    #[must_use]
    pub fn new(tokens: Vec<i32>) -> Self {
        Tokens { tokens: tokens.into() }
    }

    /// The tokens of a text.
    pub fn of(tokenizer: &(impl Tokenizer + ?Sized), text: &str) -> Result<Self, Error> {
        Ok(Tokens::new(tokenizer.encode(text)?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens.
    pub fn as_slice(&self) -> &[i32] {
        &self.tokens
    }

    /// The beginning and the end of the text: `fraction` of the tokens, rounded down, and the others. They are not shuffled, for
    /// tokens beside those of the validation would tell of it. [`DataError::Fraction`] if the fraction is outside `0..=1`.
    pub fn split(&self, fraction: f64) -> Result<(Tokens, Tokens), Error> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(DataError::Fraction { fraction }.into());
        }
        let (first, second) = self.tokens.split_at(((self.len() as f64 * fraction) as usize).min(self.len()));
        Ok((Tokens::new(first.to_vec()), Tokens::new(second.to_vec())))
    }

    /// Windows side by side, which together have each token once as `x`, but for those at the end that fill no window: for
    /// validation. [`DataError::Window`] if there is not one.
    pub fn windows(&self, length: usize) -> Result<Windows, Error> {
        self.sliding_windows(length, length)
    }

    /// Windows of which each begins `stride` tokens behind the one before. [`DataError::Window`] if there is not one, or for a
    /// stride of 0.
    pub fn sliding_windows(&self, length: usize, stride: usize) -> Result<Windows, Error> {
        let starts = self.starts(length)?;
        if stride == 0 {
            return Err(DataError::Window { tokens: self.len(), length }.into());
        }
        Ok(Windows { tokens: self.clone(), length, count: (starts - 1) / stride + 1, start: Start::Every(stride) })
    }

    /// `count` windows at random places, each as likely; several may be at one place. A window's place depends on the seed and its
    /// number alone, so batches of one epoch in their order are the random batches of a training run, and a run is as long as
    /// `count` says. [`DataError::Window`] if there is not one.
    pub fn random_windows(&self, length: usize, count: usize, seed: u64) -> Result<Windows, Error> {
        let starts = self.starts(length)?;
        Ok(Windows { tokens: self.clone(), length, count, start: Start::Random { seed, starts } })
    }

    /// At how many places a window may begin: behind each is one token more.
    fn starts(&self, length: usize) -> Result<usize, Error> {
        match self.len().checked_sub(length) {
            Some(starts) if starts > 0 && length > 0 => Ok(starts),
            Some(_) | None => Err(DataError::Window { tokens: self.len(), length }.into()),
        }
    }
}

/// Windows of a text: samples of `x`, the tokens of a window (`[length]` in i32), and `labels`, the token behind each of them
/// (`[length]`), which a language model predicts.
#[derive(Clone, Debug)]
pub struct Windows {
    tokens: Tokens,
    length: usize,
    count: usize,
    start: Start,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Every(usize),
    Random { seed: u64, starts: usize },
}

impl Windows {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The token at which a window begins.
    fn start(&self, index: usize) -> usize {
        match self.start {
            Start::Every(stride) => index * stride,
            Start::Random { seed, starts } => Draws::new(seed).of(index as u64).below(starts),
        }
    }
}

impl Source for Windows {
    fn samples(&self) -> usize {
        self.count
    }

    fn sample(&self, index: usize) -> Result<Batch, Error> {
        let batch = self.batch(&[index])?;
        let rows = super::source::unstacked(&batch, 1)?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    fn batch(&self, indices: &[usize]) -> Result<Batch, Error> {
        let (mut x, mut labels) = (Vec::new(), Vec::new());
        for &index in indices {
            if index >= self.count {
                return Err(DataError::SampleIndex { index, samples: self.count }.into());
            }
            let start = self.start(index);
            x.extend_from_slice(&self.tokens.tokens[start..start + self.length]);
            labels.extend_from_slice(&self.tokens.tokens[start + 1..=start + self.length]);
        }
        let shape = [indices.len(), self.length];
        Ok(Batch::new().with("x", Tensor::new(shape, x)?).with("labels", Tensor::new(shape, labels)?))
    }
}
