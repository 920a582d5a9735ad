//! The adjoint test: forward and reverse mode held against each other.
//!
//! For a function with Jacobian `J`, any tangents `v` and any upstream gradients `u`, the two numbers
//!
//! ```text
//! <J v, u>      from forward mode
//! <v, Jᵀ u>     from reverse mode
//! ```
//!
//! are one number, whatever `J` is. No step size and no function values are needed, so the two agree to rounding, and one
//! run of each checks Jacobians of any size. What the test cannot see is a mistake that both modes share.

use std::fmt;

use arenagrad_graph::{Expr, Graph, Origin};

use crate::check::CheckError;
use crate::check::error::require_tolerances;
use crate::check::evaluation::Evaluation;
use crate::check::function::{CheckedFunction, normal};
use crate::device::Device;
use crate::error::Error;
use crate::tensor::Tensor;

/// Holds forward against reverse mode for a function of tensors, with the default settings of [`Adjoint`].
///
/// ```
/// use arenagrad::check::adjoint;
/// use arenagrad::{Expr, Tensor};
///
/// let x = Tensor::new([2, 3], vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6])?;
/// let report = adjoint(|x: &[Expr]| x[0].softmax(-1), &[x])?.into_result()?;
/// assert!((report.forward - report.reverse).abs() < 1e-14);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[track_caller]
pub fn adjoint(function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>, inputs: &[Tensor]) -> Result<AdjointReport, Error> {
    Adjoint::new().function(function, inputs)
}

/// An adjoint test, with its settings. It runs on the CPU in f64, whatever the graph declares.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a check does nothing until it is given a function or a graph"]
pub struct Adjoint {
    tolerance: f64,
    seed: u64,
}

/// The outcome of an adjoint test. It prints as one line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use = "a check that failed is no error but a report: see `into_result`"]
pub struct AdjointReport {
    /// `<J v, u>`, from forward mode.
    pub forward: f64,
    /// `<v, Jᵀ u>`, from reverse mode.
    pub reverse: f64,
    /// The largest difference that passes: the relative tolerance times `|J v| |u| + |v| |Jᵀ u|`, in Euclidean norms.
    pub tolerance: f64,
}

impl Adjoint {
    /// A test with the relative tolerance 1e-12.
    pub fn new() -> Self {
        Adjoint { tolerance: 1e-12, seed: 0 }
    }

    /// With another relative tolerance, finite and not below 0.
    pub fn tolerance(self, tolerance: f64) -> Self {
        Adjoint { tolerance, ..self }
    }

    /// The seed of parameters that are given no value, and of `u` and `v`, which are standard normal.
    pub fn seed(self, seed: u64) -> Self {
        Adjoint { seed, ..self }
    }

    /// Tests a function by every input that holds floats.
    #[track_caller]
    pub fn function(
        &self,
        function: impl for<'g> Fn(&[Expr<'g>]) -> Expr<'g>,
        inputs: &[Tensor],
    ) -> Result<AdjointReport, Error> {
        let called = ("adjoint", Origin::here());
        CheckedFunction::of_closure(|x| vec![function(x)], inputs, called, |function| self.compare(function))
    }

    /// Tests expressions of a graph by the inputs and parameters that `wrt` names, or by all floats that the outputs need if
    /// it names none. Values as [`crate::check::GradCheck::graph`] takes them.
    #[track_caller]
    pub fn graph(
        &self,
        graph: &Graph,
        outputs: &[Expr<'_>],
        wrt: &[&str],
        values: &[(&str, &Tensor)],
    ) -> Result<AdjointReport, Error> {
        let called = ("adjoint", Origin::here());
        CheckedFunction::of_graph(graph, outputs, wrt, values, called, |function| self.compare(function))
    }

    fn compare(&self, mut function: CheckedFunction<'_>) -> Result<AdjointReport, Error> {
        require_tolerances(0.0, self.tolerance)?;
        let graph = function.graph;
        let inputs = function.inputs()?;
        let (upstreams, tangents) = (function.upstreams()?, function.tangents()?);
        let mut draws = Vec::new();
        for (number, (name, direction)) in upstreams.iter().chain(&tangents).enumerate() {
            let value = normal(&direction.shape()?, self.seed, number)?;
            draws.push(value.to_f64_vec());
            function.values.push((name.clone(), value));
        }
        let seeds: Vec<Expr<'_>> = upstreams.iter().map(|(_, upstream)| *upstream).collect();
        let directions: Vec<Expr<'_>> = tangents.iter().map(|(_, tangent)| *tangent).collect();
        let pushed = graph.jvp(&function.outputs, &inputs, &directions)?;
        let pulled = graph.gradients(&function.outputs, &seeds, &inputs)?;
        let results: Vec<Expr<'_>> = pushed.iter().chain(&pulled).copied().collect();
        let (mut evaluation, plan) = Evaluation::new(graph, &results, &function.borrowed(), &Device::cpu(), self.seed)?;
        let results: Vec<Vec<f64>> = evaluation.run(plan)?.iter().map(Tensor::to_f64_vec).collect();
        let (pushed, pulled) = results.split_at(pushed.len());
        let (u, v) = draws.split_at(upstreams.len());
        let scale = norm(pushed) * norm(u) + norm(v) * norm(pulled);
        let (forward, reverse) = (inner_product(pushed, u), inner_product(v, pulled));
        Ok(AdjointReport { forward, reverse, tolerance: self.tolerance * scale })
    }
}

impl Default for Adjoint {
    fn default() -> Self {
        Adjoint::new()
    }
}

impl AdjointReport {
    /// Whether the two agree. Numbers that are not finite do not.
    pub fn passed(&self) -> bool {
        (self.forward - self.reverse).abs() <= self.tolerance
    }

    /// The report, or the error that says how far the two are apart.
    pub fn into_result(self) -> Result<AdjointReport, Error> {
        if self.passed() { Ok(self) } else { Err(CheckError::Adjoint(Box::new(self)).into()) }
    }
}

impl fmt::Display for AdjointReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AdjointReport { forward, reverse, tolerance } = self;
        let outcome = if self.passed() { "passed" } else { "failed" };
        let difference = (forward - reverse).abs();
        write!(f, "adjoint test {outcome}: forward mode says {forward}, reverse mode {reverse}, ")?;
        write!(f, "difference {difference:.1e}, tolerance {tolerance:.1e}")
    }
}

fn inner_product(left: &[Vec<f64>], right: &[Vec<f64>]) -> f64 {
    left.iter().flatten().zip(right.iter().flatten()).map(|(left, right)| left * right).sum()
}

fn norm(vectors: &[Vec<f64>]) -> f64 {
    inner_product(vectors, vectors).sqrt()
}
