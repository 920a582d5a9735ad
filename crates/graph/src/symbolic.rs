//! Symbolic differentiation: formulas over named scalars, read from text, differentiated, simplified and printed.
//!
//! A [`Formula`] is an arena and a node in it, no more: [`parse`] inserts the nodes of a text, [`Formula::diff`] is the
//! engine's own reverse mode over the same arena, [`Formula::simplify`] inserts what a person would write instead, and
//! printing, as text or [`Formula::latex`], reads the nodes back. [`Formula::apply`] replays the nodes over expressions of
//! any shape in another graph, which is how a formula becomes part of a network or of a plan. What the values are is
//! nobody's business here: formulas are computed by the crates that compute everything else.
//!
//! ```
//! use arenagrad_graph::symbolic::parse;
//!
//! let f = parse("(x + y)*z")?;
//! assert_eq!(f.diff("x").simplify().to_string(), "z");
//! let g = parse("x*sin(x)")?.diff("x");
//! assert_eq!(g.simplify().to_string(), "x*cos(x) + sin(x)");
//! # Ok::<(), arenagrad_graph::symbolic::ParseError>(())
//! ```
//!
//! # The text form
//!
//! | what | written | remarks |
//! |---|---|---|
//! | arithmetic | `+ - * / ^`, unary `-` and `+` | there is no implied product: `2*x`, not `2x` |
//! | precedence | `^`, then unary minus, then `* /`, then `+ -` | `-x^2` is `-(x^2)`, and `2^-x^2` is `2^(-(x^2))` |
//! | association | `^` to the right, the others to the left | `a^b^c` is `a^(b^c)` |
//! | functions | `exp log sqrt sin cos tan tanh sigmoid relu abs`, and `sign step` | the parentheses are required |
//! | numbers | `1`, `1.5`, `.5`, `1e-3`, `pi` | |
//! | names | a letter or `_`, then letters, digits and `_` | names of functions, and `pi`, are taken |
//!
//! `sign` (-1, 0 or 1) and `step` (1 above 0, else 0) are the derivatives of `abs` and `relu`, so that what is printed can be
//! read again.
//!
//! Nothing here recurses over a formula: one of a million nodes, nested however deep, is read, differentiated, simplified and
//! printed on a small stack.

mod apply;
mod error;
mod form;
mod formula;
mod latex;
mod parse;
mod render;
mod simplify;
mod text;
mod tokens;

pub use error::{ApplyError, ParseError, ParseProblem};
pub use formula::Formula;
pub use parse::parse;
