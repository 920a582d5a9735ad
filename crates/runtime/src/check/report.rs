//! What a gradcheck found: both Jacobians, how many derivatives agree, and which agrees least.

use std::fmt;

use arenagrad_graph::Shape;

use crate::check::CheckError;
use crate::check::differences::{Place, coordinates};
use crate::error::Error;
use crate::tensor::Tensor;

/// The outcome of a gradcheck. It prints as one line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use = "a check that failed is no error but a report: see `into_result`"]
pub struct GradientReport {
    /// Whether first or second derivatives were checked.
    pub order: Order,
    /// The Jacobians of every output by every input, outputs outermost.
    pub jacobians: Vec<JacobianPair>,
    /// How many derivatives were compared.
    pub compared: usize,
    /// How many differ by more than their tolerance.
    pub failed: usize,
    /// The derivative whose difference is largest beside its tolerance; none if nothing was compared.
    pub worst: Option<Derivative>,
}

/// Which derivatives are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Gradients, by gradcheck.
    First,
    /// Gradients of gradients, by gradgradcheck.
    Second,
}

/// One Jacobian as the engine says and as differences say. Both tensors hold f64 and have the output's shape followed by
/// the input's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JacobianPair {
    /// The output's name.
    pub output: String,
    /// The output's shape.
    pub output_shape: Shape,
    /// The input's name.
    pub input: String,
    /// The input's shape.
    pub input_shape: Shape,
    /// The engine's derivatives.
    pub analytic: Tensor,
    /// The slopes of finite differences.
    pub numerical: Tensor,
}

/// One partial derivative, twice. It prints as `d y[0] / d w[1, 2]: analytic 3, numerical 2.5, difference 0.5, tolerance 1e-3`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Derivative {
    /// The output's name.
    pub output: String,
    /// The output's element, by its place along each axis.
    pub output_index: Vec<usize>,
    /// The input's name.
    pub input: String,
    /// The input's element, by its place along each axis.
    pub input_index: Vec<usize>,
    /// What the engine says.
    pub analytic: f64,
    /// What finite differences say.
    pub numerical: f64,
    /// The absolute difference of the two; NaN if one of them is NaN.
    pub difference: f64,
    /// The largest difference that passes: `absolute + relative |numerical|`.
    pub tolerance: f64,
}

impl GradientReport {
    /// Whether every derivative agrees.
    pub fn passed(&self) -> bool {
        self.failed == 0
    }

    /// The report, or the error that names the worst derivative if the check failed.
    pub fn into_result(self) -> Result<GradientReport, Error> {
        match (self.failed, &self.worst) {
            (0, _) | (_, None) => Ok(self),
            (failed, Some(worst)) => {
                let worst = Box::new(worst.clone());
                Err(CheckError::Gradient { order: self.order, failed, compared: self.compared, worst }.into())
            }
        }
    }

    /// Compares the pairs element by element, as `torch.allclose` does.
    pub(super) fn new(order: Order, jacobians: Vec<JacobianPair>, absolute: f64, relative: f64) -> Self {
        let mut report = GradientReport { order, jacobians, compared: 0, failed: 0, worst: None };
        let mut largest = f64::NEG_INFINITY;
        for pair in &report.jacobians {
            let (analytic, numerical) = (pair.analytic.to_f64_vec(), pair.numerical.to_f64_vec());
            let columns = pair.input_shape.elements();
            for (element, (&analytic, &numerical)) in analytic.iter().zip(&numerical).enumerate() {
                let tolerance = absolute + relative * numerical.abs();
                // Equal infinities agree, though their difference is NaN.
                let difference = if analytic == numerical { 0.0 } else { (analytic - numerical).abs() };
                let agrees = difference <= tolerance && difference.is_finite();
                report.compared += 1;
                report.failed += usize::from(!agrees);
                let excess = match (agrees, difference / tolerance) {
                    (false, ratio) if !ratio.is_finite() => f64::INFINITY,
                    (true, ratio) if ratio.is_nan() => 0.0, // no difference at no tolerance
                    (_, ratio) => ratio,
                };
                if excess > largest {
                    largest = excess;
                    report.worst = Some(Derivative {
                        output: pair.output.clone(),
                        output_index: coordinates(&pair.output_shape, element / columns),
                        input: pair.input.clone(),
                        input_index: coordinates(&pair.input_shape, element % columns),
                        analytic,
                        numerical,
                        difference,
                        tolerance,
                    });
                }
            }
        }
        report
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::First => "gradcheck",
            Order::Second => "gradgradcheck",
        })
    }
}

impl fmt::Display for GradientReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GradientReport { order, compared, failed, worst, .. } = self;
        match failed {
            0 => write!(f, "{order} passed: {compared} derivatives agree")?,
            failed => write!(f, "{order} failed: {failed} of {compared} derivatives differ")?,
        }
        match worst {
            Some(worst) => write!(f, ", worst {worst}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Derivative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = Place { name: &self.output, index: &self.output_index };
        let input = Place { name: &self.input, index: &self.input_index };
        let Derivative { analytic, numerical, difference, tolerance, .. } = self;
        write!(f, "d {output} / d {input}: analytic {analytic}, numerical {numerical}, ")?;
        write!(f, "difference {difference:.1e}, tolerance {tolerance:.1e}")
    }
}
