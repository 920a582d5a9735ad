//! Symbolic differentiation: formulas over named scalars, read from text, differentiated, simplified and printed.
//!
//! A [`Formula`] is an arena and a node in it, no more: [`parse`] inserts the nodes of a text, [`Formula::diff`] is the
//! engine's own reverse mode, [`Formula::simplify`] is what a person would write instead, each in an arena of its own, and
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
//! Products are 0 by some of their factors, whatever the others are. This is how the derivatives of `relu` and of powers are 0
//! where a formula alone would multiply 0 by an infinity:
//!
//! | a product with | is 0 where | example |
//! |---|---|---|
//! | `step(c)` above the fraction bar | `c` is not above 0 | `step(x)/sqrt(x)` at -1 |
//! | `a^(b - k)` and `b`, for a `b` with symbols and a whole `k` above 0 | `b` is 0 | `y*x^(y - 1)` at x = y = 0 |
//! | `a^b` and a factor or summand `log(a)`, for a `b` with symbols | `a` is 0 | `x^y*log(x)` at x = 0 |
//!
//! Nothing here recurses over a formula: one of a million nodes, nested however deep, is read, differentiated, simplified and
//! printed on a small stack.

mod apply;
mod complete;
mod error;
mod form;
mod formula;
mod implied;
mod latex;
mod own;
mod parse;
mod render;
mod simplify;
mod text;
mod tokens;

pub use error::{ApplyError, ParseError, ParseProblem};
pub use formula::Formula;
pub use parse::parse;
