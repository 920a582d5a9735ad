//! The method of Levenberg and Marquardt: parameters that make a sum of squared residuals small.
//!
//! Near a solution it is the Gauss-Newton method, which converges in a few steps however unlike the parameters' scales are; far
//! from one its damping makes it careful gradient descent. A step solves a linear least squares problem by QR, because the
//! normal equations would square the condition number. Damping also keeps a step short along directions in which no
//! residual changes, so parameters that cannot be told apart do no harm.
//!
//! This module knows nothing of networks and devices. See J. J. Moré, "The Levenberg-Marquardt algorithm: implementation and
//! theory" (1978), for the scaling, and H. B. Nielsen, "Damping parameter in Marquardt's method" (1999), for the damping.

use nalgebra::{DMatrix, DVector};

/// What is made small.
pub(super) trait Residuals {
    /// What an evaluation can fail with.
    type Error;

    /// The residuals at those parameters. They may be infinite or NaN where a model has no value.
    fn residuals(&mut self, parameters: &[f64]) -> Result<Vec<f64>, Self::Error>;

    /// The Jacobian there: a row for each residual, a column for each parameter.
    fn jacobian(&mut self, parameters: &[f64]) -> Result<DMatrix<f64>, Self::Error>;
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The mean squared residual is at most the one that was asked for.
    Reached,
    /// No step lessens the residuals any more: a minimum, as far as the arithmetic can tell.
    Minimum,
    /// The number of steps that was allowed is spent.
    Steps,
    /// The Jacobian is not finite.
    NotDifferentiable,
}

/// Where a search ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Minimum {
    /// The parameters.
    pub(super) parameters: Vec<f64>,
    /// The mean squared residual of the start and after each step.
    pub(super) losses: Vec<f64>,
    /// Why it ended.
    pub(super) stop: Stop,
}

/// Searches from `start`, with at most `steps` steps, for a mean squared residual of at most `enough`. Each step lessens the
/// residuals; `observe` is called with the number of steps so far, the mean squared residual and the parameters.
///
/// Where the residuals at the start are not finite, so is the loss in the result, and no step is made.
pub(super) fn minimise<R: Residuals>(
    problem: &mut R,
    start: &[f64],
    steps: usize,
    enough: f64,
    mut observe: impl FnMut(usize, f64, &[f64]) -> Result<(), R::Error>,
) -> Result<Minimum, R::Error> {
    let mut parameters = start.to_vec();
    let mut residuals = problem.residuals(&parameters)?;
    let mut losses = vec![mean_square(&residuals)];
    observe(0, losses[0], &parameters)?;
    let mut scale = DVector::zeros(start.len());
    let mut damping = Damping::new();
    let stop = loop {
        let loss = losses[losses.len() - 1];
        if loss <= enough {
            break Stop::Reached;
        }
        if !loss.is_finite() {
            break Stop::Minimum;
        }
        if losses.len() > steps {
            break Stop::Steps;
        }
        let jacobian = problem.jacobian(&parameters)?;
        if jacobian.iter().any(|entry| !entry.is_finite()) {
            break Stop::NotDifferentiable;
        }
        for (scale, column) in scale.iter_mut().zip(jacobian.column_iter()) {
            *scale = f64::max(*scale, column.norm());
        }
        let linear = Linear::new(jacobian, &residuals);
        let accepted = loop {
            let Some(step) = damping.step(&linear, &scale) else { break None };
            let moved: Vec<f64> = parameters.iter().zip(&step).map(|(old, step)| old + step).collect();
            if moved == parameters {
                break None;
            }
            let there = problem.residuals(&moved)?;
            let now = mean_square(&there);
            let expected = linear.reduction(&step) / residuals.len() as f64;
            if now < loss {
                damping.loosen((loss - now) / expected);
                break Some((moved, there, now));
            }
            damping.tighten();
        };
        let Some((moved, there, now)) = accepted else { break Stop::Minimum };
        (parameters, residuals) = (moved, there);
        losses.push(now);
        observe(losses.len() - 1, now, &parameters)?;
    };
    Ok(Minimum { parameters, losses, stop })
}

/// A problem's linear model at a point, `R d + c`, of as many rows as there are parameters.
struct Linear {
    triangle: DMatrix<f64>,
    right: DVector<f64>,
}

impl Linear {
    fn new(jacobian: DMatrix<f64>, residuals: &[f64]) -> Linear {
        let mut rotated = DVector::from_column_slice(residuals);
        let decomposition = jacobian.qr();
        decomposition.q_tr_mul(&mut rotated);
        let triangle = decomposition.r();
        let right = rotated.rows(0, triangle.nrows()).into_owned();
        Linear { triangle, right }
    }

    /// By how much the model says that a step lessens the sum of squares.
    fn reduction(&self, step: &DVector<f64>) -> f64 {
        let change = &self.triangle * step;
        -2.0 * self.right.dot(&change) - change.norm_squared()
    }
}

/// How much a step is shortened, and how fast that grows while steps are refused.
struct Damping {
    factor: f64,
    growth: f64,
}

impl Damping {
    fn new() -> Damping {
        Damping { factor: 1e-3, growth: 2.0 }
    }

    /// The step that makes `|R d + c|^2 + factor |D d|^2` least, or nothing once it would be too short to matter.
    fn step(&self, linear: &Linear, scale: &DVector<f64>) -> Option<DVector<f64>> {
        const LARGEST: f64 = 1e30;
        if self.factor > LARGEST {
            return None;
        }
        let (rows, columns) = linear.triangle.shape();
        let mut matrix = DMatrix::zeros(rows + columns, columns);
        matrix.rows_mut(0, rows).copy_from(&linear.triangle);
        for (place, scale) in scale.iter().enumerate() {
            // A parameter that no residual has depended on yet is left where it is.
            let scale = if *scale == 0.0 { 1.0 } else { *scale };
            matrix[(rows + place, place)] = self.factor.sqrt() * scale;
        }
        let mut right = DVector::zeros(rows + columns);
        right.rows_mut(0, rows).copy_from(&-&linear.right);
        let decomposition = matrix.qr();
        decomposition.q_tr_mul(&mut right);
        let step = decomposition.r().solve_upper_triangular(&right.rows(0, columns))?;
        step.iter().all(|entry| entry.is_finite()).then_some(step)
    }

    /// After a step that lessened the sum of squares by `gain` times what the model expected.
    fn loosen(&mut self, gain: f64) {
        const SMALLEST: f64 = 1e-20;
        let gain = if gain.is_finite() { gain } else { 0.0 };
        self.factor = (self.factor * f64::max(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0).powi(3))).max(SMALLEST);
        self.growth = 2.0;
    }

    fn tighten(&mut self) {
        self.factor *= self.growth;
        self.growth *= 2.0;
    }
}

fn mean_square(residuals: &[f64]) -> f64 {
    let sum: f64 = residuals.iter().map(|residual| residual * residual).sum();
    sum / residuals.len().max(1) as f64
}
