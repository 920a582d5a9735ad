//! Nonlinear least squares: parameters that make the sum of squared residuals least.
//!
//! | method | step | for |
//! |---|---|---|
//! | [`GradientDescent`] | `p + 2 a J^T e` | seeing what the others do better |
//! | [`GaussNewton`] | `(J^T J) d = J^T e` | residuals that are small or nearly linear near the end |
//! | [`LevenbergMarquardt`] | `(J^T J + l D) d = J^T e` | everything else |
//!
//! with `J` the Jacobian of the model by the parameters and `e` what the model misses, the observed minus the predicted. The
//! Jacobian is the engine's, by forward mode where there are fewer parameters than residuals; `nalgebra` solves the normal
//! equations in f64.
//!
//! - `problem`: residuals and their Jacobian, compiled once.
//! - `normal_equations`: their scaled form, its solution, and what cannot be told apart.
//! - `methods`: what is tried next. `iterate`: trying it.
//! - `report`: what became of a fit.
//!
//! The module does not know whether a minimum is the least of all: it finds the one that its start leads to.

mod error;
mod iterate;
mod methods;
mod normal_equations;
mod problem;
mod report;

pub use error::LeastSquaresError;
pub use iterate::minimise;
pub use methods::{GaussNewton, GradientDescent, LevenbergMarquardt, Limits, Method, NormalStep, Proposal};
pub use problem::{LeastSquares, Linearised, Problem};
pub use report::{Fit, Iteration, Minimum, Outcome};
