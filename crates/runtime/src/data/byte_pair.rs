//! Tokenizers of files: byte-pair encoding and its kin, as published models have them.
//!
//! The crate `tokenizers`, of those who publish the files, does the work, without its parts in C.

use std::panic::catch_unwind;
use std::path::Path;

use super::DataError;
use super::tokens::Tokenizer;
use crate::error::Error;
use crate::file::content;

/// A tokenizer that a `tokenizer.json` describes: byte-pair encoding (GPT-2, Llama), WordPiece (BERT) or Unigram (T5), with the
/// normalisation, special tokens and decoding that the file tells of.
///
/// ```no_run
/// use arenagrad::data::{BytePair, Tokenizer, Tokens, read_text};
///
/// let tokenizer = BytePair::read("gpt2/tokenizer.json")?;
/// let tokens = Tokens::of(&tokenizer, &read_text("book.txt")?)?;
/// assert_eq!(tokenizer.decode(&tokenizer.encode("a text")?)?, "a text");
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BytePair {
    tokenizer: tokenizers::Tokenizer,
}

impl BytePair {
    /// Reads a `tokenizer.json`.
    ///
    /// Errors: [`Error::File`] if it cannot be read, [`DataError::Tokenizer`] if it describes no tokenizer.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = content(path)?;
        let wrong = |reason: String| DataError::Tokenizer { reason: format!("{}: {reason}", path.display()) };
        // The crate panics where parts of a file are not what it expects: a file that was cut is found before, and whatever else there
        // may be is caught. What it was making is dropped.
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|error| wrong(error.to_string()))?;
        let mut tokenizer = catch_unwind(|| tokenizers::Tokenizer::from_bytes(bytes))
            .map_err(|_| wrong("it describes no tokenizer that is known".to_owned()))?
            .map_err(|error| wrong(error.to_string()))?;
        // Files of models for sentences ask for texts of one length. Here a text has all of its tokens and no others.
        tokenizer.with_truncation(None).map_err(|error| wrong(error.to_string()))?;
        tokenizer.with_padding(None);
        Ok(BytePair { tokenizer })
    }

    /// The number of a token, such as `<|endoftext|>`, if it is one.
    pub fn token(&self, text: &str) -> Option<i32> {
        self.tokenizer.token_to_id(text).and_then(|token| i32::try_from(token).ok())
    }
}

impl Tokenizer for BytePair {
    /// One more than the largest number of a token, those that were added to the model's own among them: a file may leave numbers out.
    fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab(true).values().max().map_or(0, |largest| *largest as usize + 1)
    }

    /// Without special tokens before or behind the text; those that stand in it are found.
    fn encode(&self, text: &str) -> Result<Vec<i32>, Error> {
        let encoding = self.tokenizer.encode(text, false).map_err(|error| refused(&*error))?;
        let number = |&token: &u32| i32::try_from(token).map_err(|error| refused(&error));
        encoding.get_ids().iter().map(number).collect()
    }

    /// With special tokens as text.
    fn decode(&self, tokens: &[i32]) -> Result<String, Error> {
        let known = self.vocabulary();
        let number = |(position, &token): (usize, &i32)| match u32::try_from(token) {
            Ok(number) if self.tokenizer.id_to_token(number).is_some() => Ok(number),
            Ok(_) | Err(_) => Err(DataError::UnknownToken { token, position, known }),
        };
        let numbers = tokens.iter().enumerate().map(number).collect::<Result<Vec<u32>, _>>()?;
        self.tokenizer.decode(&numbers, false).map_err(|error| refused(&*error))
    }
}

fn refused(error: &dyn std::error::Error) -> Error {
    DataError::Tokenizer { reason: error.to_string() }.into()
}
