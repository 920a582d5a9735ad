//! A text cut into numbers, names, operators and parentheses, each with the byte where it begins.

use std::fmt;

use crate::message::{cut, short};
use crate::symbolic::error::{ParseError, ParseProblem};

/// One piece of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'t> {
    Number(f64),
    Name(&'t str),
    Plus,
    Minus,
    Times,
    Divide,
    Power,
    Open,
    Close,
    End,
}

/// The pieces of a text, one after the other.
pub(super) struct Tokens<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Tokens { text, offset: 0 }
    }

    /// The next piece and the byte where it begins; [`Token::End`] once there is nothing left.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'t>), ParseError> {
        let rest = &self.text[self.offset..];
        let start = self.offset + (rest.len() - rest.trim_start().len());
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else { return Ok((start, Token::End)) };
        let single = |token| Ok((token, first.len_utf8()));
        let (token, length) = match first {
            '+' => single(Token::Plus),
            '-' => single(Token::Minus),
            '*' => single(Token::Times),
            '/' => single(Token::Divide),
            '^' => single(Token::Power),
            '(' => single(Token::Open),
            ')' => single(Token::Close),
            '.' | '0'..='9' => number(rest),
            first if first == '_' || first.is_alphabetic() => {
                let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
                Ok((Token::Name(&rest[..end]), end))
            }
            found => Err(ParseProblem::UnexpectedCharacter { found }),
        }
        .map_err(|problem| ParseError::new(self.text, start, problem))?;
        self.offset = start + length;
        Ok((start, token))
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Number(value) => write!(f, "the number {}", short(*value)),
            Token::Name(name) => write!(f, "the name {}", cut(name)),
            Token::Plus => f.write_str("\"+\""),
            Token::Minus => f.write_str("\"-\""),
            Token::Times => f.write_str("\"*\""),
            Token::Divide => f.write_str("\"/\""),
            Token::Power => f.write_str("\"^\""),
            Token::Open => f.write_str("\"(\""),
            Token::Close => f.write_str("\")\""),
            Token::End => f.write_str("the end"),
        }
    }
}

/// Whether a character may stand in a name behind its first. Raised digits and fractions are no letters: `x²` is a square to who wrote it.
fn is_of_name(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_ascii_digit() || ('₀'..='₉').contains(&c)
}

/// The number at the start of a text, and its length in bytes.
fn number(rest: &str) -> Result<(Token<'_>, usize), ParseProblem> {
    let digits_and_points = |text: &str| text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let mut end = digits_and_points(rest);
    // An `e` begins an exponent only before digits; else it begins a name, which is an error of its own.
    if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            end = rest.len() - digits.len() + digits_and_points(digits);
        }
    }
    let found = &rest[..end];
    match found.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Token::Number(value), end)),
        Ok(_) => Err(ParseProblem::NumberTooLarge { found: found.to_owned() }),
        Err(_) => Err(ParseProblem::BadNumber { found: found.to_owned() }),
    }
}
