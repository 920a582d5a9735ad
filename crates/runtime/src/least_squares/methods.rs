//! The methods: from a linearised problem to the step that is tried next.

use crate::least_squares::LeastSquaresError;
use crate::least_squares::normal_equations::NormalEquations;

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
    pub(super) equations: &'a NormalEquations,
    pub(super) scale: &'a [f64],
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

/// When a fit ends, whichever comes first. More limits may come: write yours over the default,
/// `Limits { iterations: 50, ..Limits::default() }`.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "limits do nothing until a method takes them"]
pub struct Limits {
    /// The most iterations; 200 unless set.
    pub iterations: usize,
    /// A sum of squares that is small enough; 0 unless set.
    pub enough: f64,
    /// The gradient as good as zero: the largest cosine between the residuals and a column of the Jacobian; 1e-12 unless set.
    pub gradient: f64,
    /// A step too small to matter, relative to the parameters; 1e-12 unless set.
    pub step: f64,
    /// A fall of the sum of squares too small to matter, relative to it; 1e-15 unless set.
    pub cost: f64,
}

/// The update `p + 2 a J^T e`, with `a` the learning rate: gradient descent on the sum of squares, written with the Jacobian.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a method does nothing until a problem is fitted by it"]
pub struct GradientDescent {
    rate: f64,
    limits: Limits,
}

/// The method of Gauss and Newton: the step that would be right if the residuals were linear. A step that does not make the
/// sum of squares less is halved until it does, unless [`GaussNewton::full_steps`] says otherwise.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a method does nothing until a problem is fitted by it"]
pub struct GaussNewton {
    halves: bool,
    limits: Limits,
}

/// The method of Levenberg (1944) and Marquardt (1963): between gradient descent and Gauss-Newton, nearer to the latter the better
/// the linearised problem predicts the sum of squares. The damping follows Nielsen (1999), its scale Moré (1978).
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a method does nothing until a problem is fitted by it"]
pub struct LevenbergMarquardt {
    damping: f64,
    limits: Limits,
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
        let limits = [
            ("sum of squares", self.enough),
            ("gradient limit", self.gradient),
            ("step limit", self.step),
            ("cost limit", self.cost),
        ];
        for (what, value) in limits {
            require(what, value, value.is_finite() && value >= 0.0, "finite, 0 or more")?;
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { iterations: 200, enough: 0.0, gradient: 1e-12, step: 1e-12, cost: 1e-15 }
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
