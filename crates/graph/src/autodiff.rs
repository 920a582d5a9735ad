//! Differentiation: transforms that append nodes to the same graph.
//!
//! | question | answer | cost |
//! |---|---|---|
//! | `u^T J` | [`Graph::gradients`](crate::Graph::gradients), [`Expr::grad`](crate::Expr::grad), [`Expr::vjp`](crate::Expr::vjp): reverse mode | a few times the outputs' own |
//! | `J v` | [`Graph::jvp`](crate::Graph::jvp), [`Expr::jvp`](crate::Expr::jvp): forward mode | about the outputs' own |
//! | `J` | [`Expr::jacobian`](crate::Expr::jacobian): the cheaper of the two, for a whole batch of directions at once | the smaller of both numbers of elements times that |
//! | `H v`, `H` | [`Expr::hvp`](crate::Expr::hvp), [`Expr::hessian`](crate::Expr::hessian): forward over reverse mode | |
//!
//! What one op contributes stands in [`crate::ops`], and a function with a derivative of its own in [`crate::function`].

mod batch;
mod forward;
mod jacobian;
mod repeated;
mod reverse;
pub(crate) mod scan;
mod shares;
mod span;
mod substitute;
mod with_respect_to;

pub use jacobian::Mode;
pub use with_respect_to::WithRespectTo;
