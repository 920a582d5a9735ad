//! L-BFGS: a quasi-Newton method for smooth losses over a whole batch, such as those of physics-informed networks and fits.
//!
//! One step evaluates loss and gradients several times, at points that depend on what the evaluations before gave; so it is no
//! part of a plan, but runs on the host over whatever evaluates them: a session's [`Objective`], a trainer, or a function of a slice. Its own
//! arithmetic is in f64 whatever the parameters are. This knows no graph.

mod checkpoint;
mod line_search;
mod objective;

pub use objective::Objective;

pub(crate) use objective::{Gradients, lower_state};

use std::collections::VecDeque;

use crate::error::{Error, Given};
use crate::train::Hyperparameters;
use line_search::{Point, strong_wolfe};

/// L-BFGS (Liu and Nocedal 1989), as PyTorch's `torch.optim.LBFGS` defines it, with its options and defaults: a rate of 1, at most 20
/// iterations and 25 evaluations a step, tolerances of 1e-7 for the largest element of the gradient and of 1e-9 for changes, the last
/// 100 changes of the gradient, and no line search unless [`Lbfgs::strong_wolfe`] asks for one, which is advised.
///
/// What it has learnt of the curvature stays for the next step, which must be over the same parameters;
/// [`Checkpoint::with_lbfgs`](crate::Checkpoint::with_lbfgs) keeps it in a file.
///
/// ```
/// use arenagrad::train::Lbfgs;
///
/// // Rosenbrock's function, least at (1, 1).
/// let mut lbfgs = Lbfgs::new(1.0).strong_wolfe().max_iterations(100).change_tolerance(1e-14);
/// let mut x = [-1.2, 1.0];
/// let outcome = lbfgs.minimise_function(&mut x, |x, gradient| {
///     let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
///     gradient[0] = -2.0 * a - 400.0 * b * x[0];
///     gradient[1] = 200.0 * b;
///     Ok(a * a + 100.0 * b * b)
/// })?;
/// assert!(outcome.loss < 1e-12 && x.iter().all(|x| (x - 1.0).abs() < 1e-5));
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an optimiser does nothing until it takes a step"]
pub struct Lbfgs {
    rate: f64,
    max_iterations: usize,
    max_evaluations: Option<usize>,
    gradient_tolerance: f64,
    change_tolerance: f64,
    history: usize,
    searches: bool,
    maximize: bool,
    memory: Memory,
}

/// What a step of L-BFGS did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LbfgsOutcome {
    /// The loss at the beginning.
    pub first_loss: f64,
    /// The last loss that was evaluated at a point that was kept: with a line search that of the parameters at the end; without one
    /// that of the last iteration's beginning, for nothing is evaluated behind it.
    pub loss: f64,
    /// How many directions were taken.
    pub iterations: usize,
    /// How often loss and gradients were evaluated.
    pub evaluations: usize,
    /// Why it ended.
    pub end: LbfgsEnd,
}

/// Why a step of L-BFGS ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LbfgsEnd {
    /// No element of the gradient is larger than the tolerance.
    Gradient,
    /// Loss or parameters change by no more than the tolerance, or the direction leads nowhere.
    Change,
    /// It had as many iterations as it may.
    Iterations,
    /// It had as many evaluations as it may.
    Evaluations,
    /// Loss or gradient are infinite or NaN: where it began, which it has not left then, or where a step without line search has
    /// led.
    NotFinite,
}

/// What is kept from one iteration to the next, and from step to step.
#[derive(Clone, Debug, Default)]
struct Memory {
    iterations: u64,
    /// The last direction, and how far along it the last iteration went.
    direction: Vec<f64>,
    length: f64,
    /// The gradient at its beginning.
    gradient: Vec<f64>,
    /// Pairs of a change of the gradient and of the parameters, the oldest first.
    pairs: VecDeque<Pair>,
    /// By what the gradient is scaled in place of the Hessian's inverse.
    scale: f64,
}

/// A change of the gradient, and of the parameters.
#[derive(Clone, Debug)]
struct Pair {
    gradient: Vec<f64>,
    parameters: Vec<f64>,
    /// One over their product.
    inverse: f64,
}

/// What L-BFGS minimises: loss and gradient at any point.
trait Evaluate {
    /// Rounds a point to what the parameters hold.
    fn round(&self, point: &mut [f64]);

    /// The loss at a point, with its gradient.
    fn evaluate(&mut self, point: &[f64], gradient: &mut [f64]) -> Result<f64, Error>;
}

/// A function of a slice.
struct Plain<F>(F);

/// What is minimised, with a count of evaluations; the negative of what is maximised.
struct Counted<'o> {
    objective: &'o mut dyn Evaluate,
    sign: f64,
    evaluations: usize,
}

impl Lbfgs {
    /// L-BFGS whose steps are so many times as long as the approximated Hessian says, where no line search decides; PyTorch's
    /// default is 1.
    pub fn new(rate: f64) -> Self {
        Lbfgs {
            rate,
            max_iterations: 20,
            max_evaluations: None,
            gradient_tolerance: 1e-7,
            change_tolerance: 1e-9,
            history: 100,
            searches: false,
            maximize: false,
            memory: Memory::default(),
        }
    }

    /// With a line search by the strong Wolfe conditions (Nocedal and Wright, algorithm 3.5).
    pub fn strong_wolfe(self) -> Self {
        Lbfgs { searches: true, ..self }
    }

    /// At most so many iterations a step.
    pub fn max_iterations(self, max_iterations: usize) -> Self {
        Lbfgs { max_iterations, ..self }
    }

    /// After so many evaluations a step begins no further iteration; 5/4 of the iterations unless set. A line search evaluates its first
    /// point, and then as often as the step had evaluations left when the search began, so that a step can have one evaluation more than that.
    /// What it has found by then is kept, as PyTorch 2.15 has it.
    pub fn max_evaluations(self, max_evaluations: usize) -> Self {
        Lbfgs { max_evaluations: Some(max_evaluations), ..self }
    }

    /// Ends where no element of the gradient is larger.
    pub fn gradient_tolerance(self, gradient_tolerance: f64) -> Self {
        Lbfgs { gradient_tolerance, ..self }
    }

    /// Ends where loss and parameters change by no more.
    pub fn change_tolerance(self, change_tolerance: f64) -> Self {
        Lbfgs { change_tolerance, ..self }
    }

    /// Keeps so many of the last changes, each of which takes twice the memory of the parameters in f64.
    pub fn history(self, history: usize) -> Self {
        Lbfgs { history, ..self }
    }

    /// Makes the loss as large as it can, instead of as small.
    pub fn maximize(self) -> Self {
        Lbfgs { maximize: true, ..self }
    }

    /// One step over a function: `evaluate` is given a point, writes the gradient there and returns the loss. `point` is where it
    /// begins, and then where it ended.
    ///
    /// Errors: a hyperparameter out of range; another number of elements than in the step before; what `evaluate` reports, after
    /// which the point is as it was.
    pub fn minimise_function(
        &mut self,
        point: &mut [f64],
        evaluate: impl FnMut(&[f64], &mut [f64]) -> Result<f64, Error>,
    ) -> Result<LbfgsOutcome, Error> {
        let mut reached = point.to_vec();
        let outcome = self.step(&mut reached, &mut Plain(evaluate))?;
        point.copy_from_slice(&reached);
        Ok(outcome)
    }

    fn check(&self, elements: usize) -> Result<(), Error> {
        let numbers = Hyperparameters::beside([], Given::Argument);
        numbers.learning_rate(self.rate)?;
        numbers.not_negative("tolerance of the gradient", self.gradient_tolerance)?;
        numbers.not_negative("tolerance of changes", self.change_tolerance)?;
        numbers.require("history", self.history as f64, self.history > 0, "1 or more")?;
        let known = self.memory.gradient.len();
        if self.memory.iterations > 0 && known != elements {
            let reason = format!("L-BFGS has learnt of {known} numbers, and is given {elements}; make one anew");
            return Err(Error::OptimizerParts { reason });
        }
        Ok(())
    }

    /// One step from a point, which is then where it ended.
    fn step(&mut self, point: &mut [f64], objective: &mut dyn Evaluate) -> Result<LbfgsOutcome, Error> {
        self.check(point.len())?;
        // What was learnt is changed only by a step that succeeds.
        let mut memory = self.memory.clone();
        let outcome = self.step_with(&mut memory, point, objective)?;
        self.memory = memory;
        Ok(outcome)
    }

    fn step_with(
        &self,
        memory: &mut Memory,
        point: &mut [f64],
        objective: &mut dyn Evaluate,
    ) -> Result<LbfgsOutcome, Error> {
        let sign = if self.maximize { -1.0 } else { 1.0 };
        let mut counted = Counted { objective, sign, evaluations: 0 };
        let max_evaluations = self.max_evaluations.unwrap_or(self.max_iterations.saturating_mul(5) / 4);
        let mut present = counted.at(point)?;
        let first_loss = sign * present.loss;
        let mut iterations = 0;
        let end = loop {
            if !present.is_finite() {
                break LbfgsEnd::NotFinite;
            }
            if iterations == 0 && largest(&present.gradient) <= self.gradient_tolerance {
                break LbfgsEnd::Gradient;
            }
            if iterations == self.max_iterations {
                break LbfgsEnd::Iterations;
            }
            iterations += 1;
            memory.turn(&present.gradient, self.history);
            let before = present.loss;
            memory.length = match memory.iterations {
                // Nothing is known of the curvature yet.
                1 => (1.0 / present.gradient.iter().map(|element| element.abs()).sum::<f64>()).min(1.0) * self.rate,
                _ => self.rate,
            };
            let slope = dot(&present.gradient, &memory.direction);
            if slope > -self.change_tolerance {
                break LbfgsEnd::Change;
            }
            let direction = &memory.direction;
            if self.searches {
                let left = max_evaluations.saturating_sub(counted.evaluations);
                let found = strong_wolfe(&present, direction, (memory.length, left), &mut |length| {
                    counted.at(&along(point, direction, length))
                })?;
                memory.length = found.length;
                present = found.point;
            }
            let mut reached = along(point, direction, memory.length);
            counted.objective.round(&mut reached);
            point.copy_from_slice(&reached);
            if iterations == self.max_iterations {
                break LbfgsEnd::Iterations;
            }
            if !self.searches {
                present = counted.at(point)?;
            }
            if !present.is_finite() {
                break LbfgsEnd::NotFinite;
            }
            if counted.evaluations >= max_evaluations {
                break LbfgsEnd::Evaluations;
            }
            if largest(&present.gradient) <= self.gradient_tolerance {
                break LbfgsEnd::Gradient;
            }
            let moved = largest(direction) * memory.length.abs();
            if moved <= self.change_tolerance || (present.loss - before).abs() < self.change_tolerance {
                break LbfgsEnd::Change;
            }
        };
        let evaluations = counted.evaluations;
        Ok(LbfgsOutcome { first_loss, loss: sign * present.loss, iterations, evaluations, end })
    }
}

impl Memory {
    /// Turns to a new direction from a point with that gradient, and remembers the gradient.
    fn turn(&mut self, gradient: &[f64], history: usize) {
        self.iterations += 1;
        if self.iterations == 1 {
            self.scale = 1.0;
        } else {
            let change: Vec<f64> = gradient.iter().zip(&self.gradient).map(|(new, old)| new - old).collect();
            let moved: Vec<f64> = self.direction.iter().map(|element| element * self.length).collect();
            let product = dot(&change, &moved);
            // Along a direction that curves the other way nothing is learnt.
            if product > 1e-10 {
                while self.pairs.len() >= history {
                    self.pairs.pop_front();
                }
                self.scale = product / dot(&change, &change);
                self.pairs.push_back(Pair { gradient: change, parameters: moved, inverse: 1.0 / product });
            }
        }
        // The two loops of Nocedal: the inverse Hessian times the gradient, from the newest pair to the oldest and back.
        let mut direction: Vec<f64> = gradient.iter().map(|element| -element).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = dot(&pair.parameters, &direction) * pair.inverse;
            add(&mut direction, -share, &pair.gradient);
            shares.push(share);
        }
        direction.iter_mut().for_each(|element| *element *= self.scale);
        for (pair, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let other = dot(&pair.gradient, &direction) * pair.inverse;
            add(&mut direction, share - other, &pair.parameters);
        }
        self.direction = direction;
        self.gradient = gradient.to_vec();
    }
}

impl Counted<'_> {
    fn at(&mut self, point: &[f64]) -> Result<Point, Error> {
        let mut gradient = vec![0.0; point.len()];
        let loss = self.sign * self.objective.evaluate(point, &mut gradient)?;
        gradient.iter_mut().for_each(|element| *element *= self.sign);
        self.evaluations += 1;
        Ok(Point { loss, gradient })
    }
}

impl<F: FnMut(&[f64], &mut [f64]) -> Result<f64, Error>> Evaluate for Plain<F> {
    fn round(&self, _: &mut [f64]) {}

    fn evaluate(&mut self, point: &[f64], gradient: &mut [f64]) -> Result<f64, Error> {
        (self.0)(point, gradient)
    }
}

/// The point so many times the direction away.
fn along(point: &[f64], direction: &[f64], length: f64) -> Vec<f64> {
    point.iter().zip(direction).map(|(element, direction)| element + length * direction).collect()
}

/// The largest magnitude of an element; 0 if there is none.
fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |largest, element| largest.max(element.abs()))
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Adds so many times a vector to another.
fn add(to: &mut [f64], times: f64, vector: &[f64]) {
    for (element, added) in to.iter_mut().zip(vector) {
        *element += times * added;
    }
}
