//! What can be wrong with a text, and with the arguments of a formula.

use std::fmt;

use crate::error::GraphError;
use crate::message::cut;
use crate::node::Origin;

/// A text that is no formula: what is wrong, and in which column.
///
/// It prints the problem and, under the text, a caret at the column:
///
/// ```
/// let error = arenagrad_graph::symbolic::parse("2*(x + 1").unwrap_err();
/// assert_eq!(error.column(), 3);
/// assert_eq!(error.to_string(), "column 3: this parenthesis is not closed\n  2*(x + 1\n    ^");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    problem: ParseProblem,
    column: usize,
    excerpt: String,
    caret: usize,
}

crate::debug_in_words!(ParseError);

/// What is wrong with a text at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum ParseProblem {
    #[error("the text is empty")]
    Empty,

    #[error("{found:?} cannot stand in a formula")]
    UnexpectedCharacter { found: char },

    #[error("{} is not a number", cut(.found))]
    BadNumber { found: String },

    #[error("{} is too large for a number", cut(.found))]
    NumberTooLarge { found: String },

    #[error("a number, a name or a parenthesis is expected, but {found} stands here")]
    ExpectedOperand { found: String },

    #[error("an operator is missing before {found}; a product is written with *")]
    MissingOperator { found: String },

    #[error("no function is named {}; there are {known}, and a product is written with *", cut(.name))]
    UnknownFunction { name: String, known: String },

    #[error("the function {name} needs its argument in parentheses: {name}(x)")]
    FunctionWithoutParentheses { name: String },

    #[error("this parenthesis is not closed")]
    UnclosedParenthesis,

    #[error("this parenthesis closes none")]
    UnopenedParenthesis,
}

/// Why a formula was not applied to its arguments.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum ApplyError {
    #[error("{origin}: apply: the formula needs a value for {name:?}, which was not given")]
    MissingArgument { origin: Origin, name: String },

    #[error("{origin}: apply: a value for {name:?} was given twice")]
    RepeatedArgument { origin: Origin, name: String },

    #[error("{origin}: apply: the formula has no symbol {name:?}; it has {known}")]
    UnknownArgument { origin: Origin, name: String, known: String },

    #[error(transparent)]
    Graph(#[from] GraphError),
}

crate::debug_in_words!(ApplyError);

impl ParseError {
    /// What is wrong.
    pub fn problem(&self) -> &ParseProblem {
        &self.problem
    }

    /// Where, in characters counted from 1. One past the text means its end.
    pub fn column(&self) -> usize {
        self.column
    }

    /// `offset` counts bytes from the start of `text`.
    pub(super) fn new(text: &str, offset: usize, problem: ParseProblem) -> Self {
        const BEFORE: usize = 60;
        const AFTER: usize = 20;
        let (head, tail) = (text.get(..offset).unwrap_or(text), text.get(offset..).unwrap_or_default());
        let column = head.chars().count() + 1;
        // Of a long text only the neighbourhood is shown. Anything that would move the caret becomes a space.
        let shown = |c: char| if c.is_whitespace() || c.is_control() { ' ' } else { c };
        let skipped = (column - 1).saturating_sub(BEFORE);
        let mut excerpt = String::from(if skipped > 0 { "…" } else { "" });
        excerpt.extend(head.chars().skip(skipped).map(shown));
        let caret = excerpt.chars().count();
        excerpt.extend(tail.chars().take(AFTER).map(shown));
        if tail.chars().nth(AFTER).is_some() {
            excerpt.push('…');
        }
        ParseError { problem, column, excerpt, caret }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "column {}: {}\n  {}\n  {:>width$}",
            self.column,
            self.problem,
            self.excerpt,
            '^',
            width = self.caret + 1
        )
    }
}

impl std::error::Error for ParseError {}
