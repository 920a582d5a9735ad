//! What became of a fit.

use std::fmt;

use crate::tensor::Tensor;

/// One iteration, as an observer sees it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Iteration {
    /// Its number, counted from 1.
    pub number: usize,
    /// The sum of squared residuals where the iteration began.
    pub cost_before: f64,
    /// The sum of squared residuals at the point that was tried.
    pub cost: f64,
    /// The largest element of half the gradient, `J^T e`, where the iteration began.
    pub gradient: f64,
    /// The length of the step that was tried, relative to that of the parameters.
    pub step: f64,
    /// The damping of the normal equations; 0 but for Levenberg-Marquardt.
    pub damping: f64,
    /// Whether the point that was tried became the next one.
    pub accepted: bool,
    /// The numbers at the point that was tried.
    pub point: Vec<f64>,
}

/// Why a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The sum of squares is as small as was asked for.
    Reached,
    /// The gradient is as good as zero.
    GradientVanished,
    /// The step is too small to matter.
    StepVanished,
    /// The sum of squares no longer falls.
    CostSettled,
    /// The iterations that were allowed are used up.
    IterationLimit,
}

/// Where a problem was led.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Minimum {
    /// The numbers there.
    pub point: Vec<f64>,
    /// As [`Fit::standard_errors`].
    pub standard_errors: Option<Vec<f64>>,
    /// The sum of squared residuals.
    pub cost: f64,
    /// How many iterations were made.
    pub iterations: usize,
    /// Why it ended.
    pub outcome: Outcome,
}

/// Parameters that were fitted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fit {
    /// The parameters by name, in the order of their declarations.
    pub parameters: Vec<(String, Tensor)>,
    /// The standard error of each element of each parameter, in the same order: the square roots of the diagonal of
    /// `s^2 (J^T J)^-1`, with `s^2` the sum of squares over the degrees of freedom. `None` where there are no degrees of
    /// freedom, or `J^T J` is singular.
    pub standard_errors: Option<Vec<f64>>,
    /// The sum of squared residuals.
    pub cost: f64,
    /// The number of residuals.
    pub residuals: usize,
    /// How many iterations were made.
    pub iterations: usize,
    /// Why it ended.
    pub outcome: Outcome,
}

impl Fit {
    /// Whether the fit ended before its iterations were used up.
    pub fn converged(&self) -> bool {
        match self.outcome {
            Outcome::Reached | Outcome::GradientVanished | Outcome::StepVanished | Outcome::CostSettled => true,
            Outcome::IterationLimit => false,
        }
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&Tensor> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The residual standard deviation: the square root of the sum of squares over the degrees of freedom, or `None` where
    /// there are none.
    pub fn deviation(&self) -> Option<f64> {
        let fitted: usize = self.parameters.iter().map(|(_, value)| value.shape().elements()).sum();
        let degrees = self.residuals.checked_sub(fitted).filter(|&degrees| degrees > 0)?;
        Some((self.cost / degrees as f64).sqrt())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Reached => "the sum of squares is small enough",
            Outcome::GradientVanished => "the gradient vanished",
            Outcome::StepVanished => "the step vanished",
            Outcome::CostSettled => "the sum of squares settled",
            Outcome::IterationLimit => "the iterations were used up",
        })
    }
}

/// A line for the outcome, and one for each parameter.
impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sum of squares {:.10e} after {} iterations: {}", self.cost, self.iterations, self.outcome)?;
        let mut errors = self.standard_errors.iter().flatten();
        for (name, value) in &self.parameters {
            for (element, value) in value.to_f64_vec().iter().enumerate() {
                match errors.next() {
                    Some(error) => writeln!(f, "  {name}[{element}] = {value:.10e} +- {error:.3e}")?,
                    None => writeln!(f, "  {name}[{element}] = {value:.10e}")?,
                }
            }
        }
        Ok(())
    }
}
