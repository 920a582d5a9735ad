//! The iterations: from a linearised problem to the next point.

use crate::error::Error;
use crate::least_squares::normal_equations::NormalEquations;
use crate::least_squares::problem::LeastSquares;
use crate::least_squares::{Fit, Iteration, LeastSquaresError, Outcome};

/// A way to a minimum.
pub trait Method {
    /// When the fit ends.
    fn limits(&self) -> &Limits;

    /// Errors of the settings.
    fn check(&self) -> Result<(), LeastSquaresError> {
        self.limits().check()
    }

    /// What is tried next, given the normal equations at the present point. `failures` counts the points in a row that were
    /// tried from here and refused, and `damping` is the method's own between calls, 0 at the first. `None` says that the
    /// equations are singular.
    fn propose(&self, equations: &NormalStep<'_>, failures: u32, damping: f64) -> Option<Proposal>;

    /// Whether a point is taken, and the damping of the next proposal. `gain` is the fall of the sum of squares over the fall
    /// that the linearised problem expects.
    fn judge(&self, gain: f64, failures: u32, damping: f64) -> (bool, f64);
}

/// The normal equations that a method may ask.
pub struct NormalStep<'a> {
    equations: &'a NormalEquations,
    scale: &'a [f64],
}

/// A step to try.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What is added to the parameters.
    pub step: Vec<f64>,
    /// The fall of the sum of squares that the linearised problem expects of it; 0 where it does not matter.
    pub expected: f64,
    /// The damping with which it was made.
    pub damping: f64,
}

/// When a fit ends, whichever comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The most iterations; 200 unless set.
    pub iterations: usize,
    /// The gradient as good as zero: the largest cosine between the residuals and a column of the Jacobian; 1e-12 unless set.
    pub gradient: f64,
    /// A step too small to matter, relative to the parameters; 1e-12 unless set.
    pub step: f64,
    /// A fall of the sum of squares too small to matter, relative to it; 1e-15 unless set.
    pub cost: f64,
}

/// The update `p + 2 a J^T e`, with `a` the learning rate: gradient descent on the sum of squares, written with the Jacobian.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientDescent {
    rate: f64,
    limits: Limits,
}

/// The method of Gauss and Newton: the step that would be right if the residuals were linear. A step that does not make the
/// sum of squares less is halved until it does, unless [`GaussNewton::full_steps`] says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussNewton {
    halves: bool,
    limits: Limits,
}

/// The method of Levenberg (1944) and Marquardt (1963): between gradient descent and Gauss-Newton, nearer to the latter the better
/// the linearised problem predicts the sum of squares. The damping follows Nielsen (1999), its scale Moré (1978).
#[derive(Clone, Debug, PartialEq)]
pub struct LevenbergMarquardt {
    damping: f64,
    limits: Limits,
}

/// How often a step is halved before a fit gives up.
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
        method.check()?;
        let limits = method.limits().clone();
        let mut point = self.point()?;
        let mut outcome = Outcome::IterationLimit;
        let (mut iteration, mut damping) = (0, 0.0);
        let mut here = self.equations(1)?;
        let mut scale = here.equations.lengths().to_vec();
        'fit: while iteration < limits.iterations {
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
                    return Err(self.singular(iteration, &here.equations).into());
                };
                let tried: Vec<f64> = point.iter().zip(&proposal.step).map(|(p, d)| p + d).collect();
                self.move_to(&tried)?;
                let cost = sum_of_squares(&self.residuals()?);
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
                });
                damping = next_damping;
                if accepted {
                    if !cost.is_finite() {
                        self.move_to(&point)?;
                        return Err(LeastSquaresError::NotFinite { iteration, what: "the sum of squares" }.into());
                    }
                    point = tried;
                    let settled = fall.abs() <= limits.cost * here.cost;
                    here = self.equations(iteration)?;
                    scale.iter_mut().zip(here.equations.lengths()).for_each(|(most, now)| *most = most.max(*now));
                    if step <= limits.step || settled {
                        outcome = if settled { Outcome::CostSettled } else { Outcome::StepVanished };
                        break 'fit;
                    }
                    break;
                }
                self.move_to(&point)?;
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
        let fitted = point.len();
        let degrees = self.len() - fitted;
        let variances = here.equations.variances().filter(|_| degrees > 0);
        let scale = here.cost / degrees.max(1) as f64;
        Ok(Fit {
            parameters: self.present()?,
            standard_errors: variances.map(|all| all.iter().map(|variance| (variance * scale).sqrt()).collect()),
            cost: here.cost,
            residuals: self.len(),
            iterations: iteration,
            outcome,
        })
    }

    /// The normal equations at the present point.
    fn equations(&mut self, iteration: usize) -> Result<Here, Error> {
        let linearised = self.linearise()?;
        for (what, values) in [("a residual", &linearised.residuals), ("the Jacobian", &linearised.jacobian)] {
            if values.iter().any(|value| !value.is_finite()) {
                return Err(LeastSquaresError::NotFinite { iteration, what }.into());
            }
        }
        let cost = sum_of_squares(&linearised.residuals);
        // With residuals r the model misses by e = -r, whichever of the two a caller wrote: J changes its sign with r.
        let errors: Vec<f64> = linearised.residuals.iter().map(|residual| -residual).collect();
        let equations = NormalEquations::new(&linearised.jacobian, &errors);
        let alignment = alignment(&linearised.jacobian, &equations, cost);
        Ok(Here { equations, cost, alignment })
    }

    fn singular(&self, iteration: usize, equations: &NormalEquations) -> LeastSquaresError {
        let direction = equations.weakest_direction();
        let parts: Vec<String> = direction
            .iter()
            .enumerate()
            .filter(|(_, share)| share.abs() > 1e-3)
            .map(|(place, share)| format!("{share:+.3} {}", self.element_name(place)))
            .collect();
        LeastSquaresError::Singular { iteration, direction: parts.join(" ") }
    }
}

/// The present point, linearised.
struct Here {
    equations: NormalEquations,
    cost: f64,
    /// The largest cosine between the residuals and a column of the Jacobian: 0 at a minimum, at any scale.
    alignment: f64,
}

impl NormalStep<'_> {
    /// `J^T e`, half the negative gradient.
    pub fn gradient(&self) -> &[f64] {
        self.equations.gradient()
    }

    /// The step of Gauss and Newton, or `None` if the equations are singular.
    pub fn solve(&self) -> Option<Vec<f64>> {
        self.equations.solve()
    }

    /// The step of `(J^T J + damping D^2) d = J^T e`, and the fall of the sum of squares that the linearised problem expects of
    /// it. `D` is diagonal: for each parameter the largest length that its column of the Jacobian has had in this fit (Moré
    /// 1978), so that a parameter which stops to matter is not let go.
    pub fn solve_damped(&self, damping: f64) -> Option<(Vec<f64>, f64)> {
        self.equations.solve_damped(damping, self.scale)
    }
}

impl GradientDescent {
    /// Gradient descent at that learning rate, for 1000 iterations at most.
    pub fn new(rate: f64) -> Self {
        GradientDescent { rate, limits: Limits { iterations: 1000, ..Limits::default() } }
    }

    /// With other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        GradientDescent { limits, ..self }
    }
}

impl Method for GradientDescent {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn check(&self) -> Result<(), LeastSquaresError> {
        require("learning rate", self.rate, self.rate > 0.0 && self.rate.is_finite(), "finite and above 0")?;
        self.limits.check()
    }

    fn propose(&self, equations: &NormalStep<'_>, _: u32, _: f64) -> Option<Proposal> {
        let step = equations.gradient().iter().map(|element| 2.0 * self.rate * element).collect();
        Some(Proposal { step, expected: 0.0, damping: 0.0 })
    }

    /// Every step is taken, as the lecture takes it: too large a rate diverges.
    fn judge(&self, _: f64, _: u32, _: f64) -> (bool, f64) {
        (true, 0.0)
    }
}

impl GaussNewton {
    /// Gauss-Newton with steps that are halved where they lead upwards.
    pub fn new() -> Self {
        GaussNewton { halves: true, limits: Limits::default() }
    }

    /// Takes every step as it is, upwards too.
    pub fn full_steps(self) -> Self {
        GaussNewton { halves: false, ..self }
    }

    /// With other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        GaussNewton { limits, ..self }
    }
}

impl Method for GaussNewton {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn propose(&self, equations: &NormalStep<'_>, failures: u32, _: f64) -> Option<Proposal> {
        let share = 0.5f64.powi(failures as i32);
        let step = equations.solve()?.iter().map(|element| share * element).collect();
        Some(Proposal { step, expected: 0.0, damping: 0.0 })
    }

    fn judge(&self, gain: f64, _: u32, _: f64) -> (bool, f64) {
        // A sum of squares that is not finite has no gain that could be compared.
        (!self.halves || gain >= 0.0, 0.0)
    }
}

impl LevenbergMarquardt {
    /// Levenberg-Marquardt with a first damping of 1e-3.
    pub fn new() -> Self {
        LevenbergMarquardt { damping: 1e-3, limits: Limits::default() }
    }

    /// With another first damping, relative to the diagonal of `J^T J`.
    pub fn damping(self, damping: f64) -> Self {
        LevenbergMarquardt { damping, ..self }
    }

    /// With other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        LevenbergMarquardt { limits, ..self }
    }
}

impl Method for LevenbergMarquardt {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn check(&self) -> Result<(), LeastSquaresError> {
        require("damping", self.damping, self.damping > 0.0 && self.damping.is_finite(), "finite and above 0")?;
        self.limits.check()
    }

    fn propose(&self, equations: &NormalStep<'_>, _: u32, damping: f64) -> Option<Proposal> {
        let mut damping = if damping == 0.0 { self.damping } else { damping };
        // Rounding may make a matrix of very little damping singular; more of it never does.
        loop {
            match equations.solve_damped(damping) {
                Some((step, expected)) => return Some(Proposal { step, expected, damping }),
                None if damping < 1.0 => damping = (damping * 10.0).max(1e-12),
                None => return None,
            }
        }
    }

    fn judge(&self, gain: f64, failures: u32, damping: f64) -> (bool, f64) {
        if gain > 0.0 {
            let shrink = (1.0 - (2.0 * gain - 1.0).powi(3)).max(1.0 / 3.0);
            return (true, damping * shrink);
        }
        // Each refusal in a row raises it faster: by 2, 4, 8, …
        (false, damping * 2f64.powi(failures as i32 + 1))
    }
}

impl Limits {
    fn check(&self) -> Result<(), LeastSquaresError> {
        for (what, value) in [("gradient limit", self.gradient), ("step limit", self.step), ("cost limit", self.cost)] {
            require(what, value, value.is_finite() && value >= 0.0, "finite, 0 or more")?;
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { iterations: 200, gradient: 1e-12, step: 1e-12, cost: 1e-15 }
    }
}

impl Default for GaussNewton {
    fn default() -> Self {
        GaussNewton::new()
    }
}

impl Default for LevenbergMarquardt {
    fn default() -> Self {
        LevenbergMarquardt::new()
    }
}

fn require(what: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<(), LeastSquaresError> {
    if holds { Ok(()) } else { Err(LeastSquaresError::Setting { what, value, expected }) }
}

fn sum_of_squares(residuals: &[f64]) -> f64 {
    residuals.iter().map(|residual| residual * residual).sum()
}

/// The length of a step, relative to that of the point it starts from.
fn relative(step: &[f64], point: &[f64]) -> f64 {
    let length = |x: &[f64]| sum_of_squares(x).sqrt();
    length(step) / (length(point) + f64::MIN_POSITIVE.sqrt())
}

fn alignment(jacobian: &[f64], equations: &NormalEquations, cost: f64) -> f64 {
    let columns = equations.gradient().len();
    let mut lengths = vec![0.0f64; columns];
    for row in jacobian.chunks(columns.max(1)) {
        row.iter().zip(&mut lengths).for_each(|(element, length)| *length += element * element);
    }
    let cosines = equations.gradient().iter().zip(&lengths).map(|(element, length)| {
        let scale = (length * cost).sqrt();
        if scale > 0.0 { element.abs() / scale } else { 0.0 }
    });
    cosines.fold(0.0, f64::max)
}
