//! The iterations that all methods share: linearise, try steps until one is taken, and see whether that was the last.

use crate::error::Error;
use crate::least_squares::methods::{Method, NormalStep};
use crate::least_squares::normal_equations::NormalEquations;
use crate::least_squares::problem::{LeastSquares, Problem};
use crate::least_squares::{Fit, Iteration, LeastSquaresError, Minimum, Outcome};

/// How often a step is tried shorter before the present point counts as the minimum.
const MAX_FAILURES: u32 = 60;

impl LeastSquares {
    /// Fits the parameters from where they are now, and leaves them where the sum of squares is least.
    ///
    /// Errors: singular normal equations, for a method that cannot bear them; residuals or a Jacobian that are not finite; a
    /// setting out of range; what running reports.
    pub fn fit(&mut self, method: &dyn Method) -> Result<Fit, Error> {
        self.fit_observed(method, &mut |_| {})
    }

    /// As [`LeastSquares::fit`], and shows `observe` each iteration.
    pub fn fit_observed(&mut self, method: &dyn Method, observe: &mut dyn FnMut(&Iteration)) -> Result<Fit, Error> {
        let minimum = minimise(self, method, observe)?;
        Ok(Fit {
            parameters: self.present()?,
            standard_errors: minimum.standard_errors,
            cost: minimum.cost,
            residuals: self.len(),
            iterations: minimum.iterations,
            outcome: minimum.outcome,
        })
    }
}

/// Moves a problem from where it is now to where the sum of squares is least, and shows `observe` each iteration.
///
/// Errors: those of [`LeastSquares::fit`]; a problem without numbers, or one that gives another number of residuals than
/// before, or a Jacobian that is not of as many rows as there are residuals and as many columns as the problem has numbers; a
/// method that proposes a step of another length.
pub fn minimise(
    problem: &mut dyn Problem,
    method: &dyn Method,
    observe: &mut dyn FnMut(&Iteration),
) -> Result<Minimum, Error> {
    method.check()?;
    let limits = method.limits().clone();
    let mut point = problem.point()?;
    let mut outcome = Outcome::IterationLimit;
    let (mut iteration, mut damping) = (0, 0.0);
    if point.is_empty() {
        return Err(LeastSquaresError::NoParameters.into());
    }
    let mut here = Here::linearised(problem, 1, point.len(), None)?;
    let mut scale = here.equations.lengths().to_vec();
    'fit: while iteration < limits.iterations {
        if here.cost <= limits.enough {
            outcome = Outcome::Reached;
            break;
        }
        if here.alignment <= limits.gradient {
            outcome = Outcome::GradientVanished;
            break;
        }
        let mut failures = 0;
        // From one point several steps may be tried; each is an iteration, for each computes the residuals.
        loop {
            iteration += 1;
            let equations = NormalStep { equations: &here.equations, scale: &scale };
            let Some(proposal) = method.propose(&equations, failures, damping) else {
                return Err(singular(problem, iteration, &here.equations).into());
            };
            same_length(iteration, "a step", point.len(), proposal.step.len())?;
            let tried: Vec<f64> = point.iter().zip(&proposal.step).map(|(p, d)| p + d).collect();
            problem.move_to(&tried)?;
            let residuals = problem.residuals()?;
            if let Err(error) = same_length(iteration, "residuals", here.residuals, residuals.len()) {
                problem.move_to(&point)?;
                return Err(error.into());
            }
            let cost = sum_of_squares(&residuals);
            let fall = here.cost - cost;
            let gain = if proposal.expected > 0.0 { fall / proposal.expected } else { fall };
            let (accepted, next_damping) = method.judge(gain, failures, proposal.damping);
            let step = relative(&proposal.step, &point);
            observe(&Iteration {
                number: iteration,
                cost_before: here.cost,
                cost,
                gradient: here.equations.gradient().iter().fold(0.0, |largest, x| x.abs().max(largest)),
                step,
                damping: proposal.damping,
                accepted,
                point: tried.clone(),
            });
            damping = next_damping;
            if accepted {
                if !cost.is_finite() {
                    problem.move_to(&point)?;
                    return Err(LeastSquaresError::NotFinite { iteration, what: "the sum of squares" }.into());
                }
                point = tried;
                let settled = fall.abs() <= limits.cost * here.cost;
                here = Here::linearised(problem, iteration, point.len(), Some(here.residuals))?;
                scale.iter_mut().zip(here.equations.lengths()).for_each(|(most, now)| *most = most.max(*now));
                if step <= limits.step || settled {
                    outcome = if settled { Outcome::CostSettled } else { Outcome::StepVanished };
                    break 'fit;
                }
                break;
            }
            problem.move_to(&point)?;
            failures += 1;
            if step <= limits.step || failures > MAX_FAILURES {
                // No step from here makes the sum of squares less: as far as numbers of this precision go, this is it.
                outcome = Outcome::StepVanished;
                break 'fit;
            }
            if iteration >= limits.iterations {
                break 'fit;
            }
        }
    }
    let degrees = here.residuals.saturating_sub(point.len());
    let variances = here.equations.variances().filter(|_| degrees > 0);
    let scale = here.cost / degrees.max(1) as f64;
    let standard_errors = variances.map(|all| all.iter().map(|variance| (variance * scale).sqrt()).collect());
    Ok(Minimum { point, standard_errors, cost: here.cost, iterations: iteration, outcome })
}

/// The present point, linearised.
struct Here {
    equations: NormalEquations,
    residuals: usize,
    cost: f64,
    /// The largest cosine between the residuals and a column of the Jacobian: 0 at a minimum, at any scale.
    alignment: f64,
}

impl Here {
    /// Of as many residuals as there were, if there were any before, each of so many numbers.
    fn linearised(
        problem: &mut dyn Problem,
        iteration: usize,
        numbers: usize,
        residuals: Option<usize>,
    ) -> Result<Here, Error> {
        let linearised = problem.linearise()?;
        let found = linearised.residuals.len();
        same_length(iteration, "residuals", residuals.unwrap_or(found), found)?;
        let elements = found.saturating_mul(numbers);
        same_length(iteration, "a Jacobian", elements, linearised.jacobian.len())?;
        for (what, values) in [("a residual", &linearised.residuals), ("the Jacobian", &linearised.jacobian)] {
            if values.iter().any(|value| !value.is_finite()) {
                return Err(LeastSquaresError::NotFinite { iteration, what }.into());
            }
        }
        let cost = sum_of_squares(&linearised.residuals);
        // With residuals r the model misses by e = -r, whichever of the two a caller wrote: J changes its sign with r.
        let errors: Vec<f64> = linearised.residuals.iter().map(|residual| -residual).collect();
        let equations = NormalEquations::new(&linearised.jacobian, &errors, numbers);
        let cosines = equations.gradient().iter().zip(equations.lengths()).map(|(element, length)| {
            let scale = length * cost.sqrt();
            if scale > 0.0 { element.abs() / scale } else { 0.0 }
        });
        let alignment = cosines.fold(0.0, f64::max);
        Ok(Here { equations, residuals: errors.len(), cost, alignment })
    }
}

fn same_length(iteration: usize, what: &'static str, expected: usize, found: usize) -> Result<(), LeastSquaresError> {
    if expected == found {
        return Ok(());
    }
    Err(LeastSquaresError::Length { iteration, what, expected, found })
}

fn singular(problem: &dyn Problem, iteration: usize, equations: &NormalEquations) -> LeastSquaresError {
    let direction = equations.weakest_direction();
    let parts: Vec<String> = direction
        .iter()
        .enumerate()
        .filter(|(_, share)| share.abs() > 1e-3)
        .map(|(place, share)| format!("{share:+.3} {}", problem.element_name(place)))
        .collect();
    LeastSquaresError::Singular { iteration, direction: parts.join(" ") }
}

fn sum_of_squares(residuals: &[f64]) -> f64 {
    residuals.iter().map(|residual| residual * residual).sum()
}

/// The length of a step, relative to that of the point it starts from.
fn relative(step: &[f64], point: &[f64]) -> f64 {
    let length = |x: &[f64]| sum_of_squares(x).sqrt();
    length(step) / (length(point) + f64::MIN_POSITIVE.sqrt())
}
