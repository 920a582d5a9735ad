//! Negative log-likelihoods of distributions other than that over classes.

use std::f64::consts::PI;

use crate::compose::losses::Reduction;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::shape::Shape;

/// The options of [`Expr::poisson_nll_loss`]; the default is PyTorch's.
#[derive(Clone, Copy, Debug)]
#[must_use = "options do nothing until a loss takes them"]
pub struct PoissonNll {
    /// Whether predictions are logarithms of rates, or rates.
    pub log_input: bool,
    /// Whether the constant term `ln t!` is added, by Stirling's formula.
    pub full: bool,
    /// What is added to rates before their logarithm is taken.
    pub eps: f64,
    /// What becomes of the elements.
    pub reduction: Reduction,
}

impl Default for PoissonNll {
    fn default() -> PoissonNll {
        PoissonNll { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

impl<'g> Expr<'g> {
    /// The negative log-likelihood of counts `t` under Poisson distributions: `e^x - t x` for logarithms of rates, `x - t ln(x + eps)`
    /// for rates. With `full`, `t ln t - t + ln(2 pi t) / 2` is added for counts above 1. The derivatives in `x` are `e^x - t` and
    /// `1 - t / (x + eps)`.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, PoissonNll};
    /// let g = Graph::new();
    /// let (rates, counts) = (g.input("rates", [4]), g.input("counts", [4]));
    /// let loss = rates.poisson_nll_loss(counts, PoissonNll { log_input: false, ..PoissonNll::default() });
    /// assert_eq!(loss.shape()?.dims(), &[] as &[usize]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn poisson_nll_loss(self, target: Expr<'g>, options: PoissonNll) -> Expr<'g> {
        let Some(_method) = self.enter_floats("poisson_nll_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if self.form_shared_with(target, "poisson_nll_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        let loss =
            if options.log_input { self.exp() - target * self } else { self - target * (self + options.eps).log() };
        if !options.full {
            return options.reduction.of(loss);
        }
        // The other counts see a 1, of which the terms and their derivatives are finite.
        let counts = target.greater(1.0);
        let count = counts.where_(target, 1.0);
        let stirling = count * count.log() - count + (count * (2.0 * PI)).log() * 0.5;
        options.reduction.of(loss + counts.where_(stirling, 0.0))
    }

    /// The negative log-likelihood of `t` under normal distributions of mean `x`: `(ln v + (x - t)^2 / v) / 2`, where the variance `v`
    /// is at least `eps`, PyTorch's default of which is 1e-6. With `full`, `ln(2 pi) / 2` is added. A variance below `eps` gets the
    /// gradient that it would get at `eps`, as in PyTorch.
    ///
    /// The variance has the shape of the predictions, that with extent 1 along one axis, whichever it is, or that without the last axis; a
    /// scalar is that of all elements, PyTorch's number.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, Reduction};
    /// let g = Graph::new();
    /// let (x, target) = (g.input("x", [4, 3, 8]), g.input("target", [4, 3, 8]));
    /// let of_channels = g.input("variance", [4, 1, 8]);
    /// let loss = x.gaussian_nll_loss(target, of_channels, false, 1e-6, Reduction::None);
    /// assert_eq!(loss.shape()?.dims(), &[4, 3, 8]);
    /// assert!(x.gaussian_nll_loss(target, g.scalar(0.5), false, 1e-6, Reduction::Mean).check().is_ok());
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Errors: shapes that differ; `eps` is not above 0.
    #[track_caller]
    pub fn gaussian_nll_loss(
        self,
        target: Expr<'g>,
        variance: Expr<'g>,
        full: bool,
        eps: f64,
        reduction: Reduction,
    ) -> Expr<'g> {
        let Some(method) = self.enter_floats("gaussian_nll_loss", &[Some(variance)]) else {
            return Expr::poisoned(self.graph());
        };
        let (op, origin, poisoned) = ("gaussian_nll_loss", method.origin(), Expr::poisoned(self.graph()));
        if eps.is_nan() || eps <= 0.0 {
            return self.graph().refuse(op, "eps", eps, "a number above 0");
        }
        let Some(shape) = self.form_shared_with(target, op) else { return poisoned };
        if self.same_graph(variance, op, origin).is_none() {
            return poisoned;
        }
        let Some(own) = variance.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        let is_last_missing = shape.rank() > 0 && own[..] == shape[..shape.rank() - 1];
        let variance = if own == shape || own.rank() == 0 || is_one_axis_shared(&own, &shape) {
            variance
        } else if is_last_missing {
            variance.reshape_node(&shape.with_extent(shape.rank() - 1, 1), origin)
        } else {
            let (lhs, rhs) = (self.describe(), variance.describe());
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape: shape, rhs, rhs_shape: own });
        };
        // Exactly eps for every finite variance, with the gradient of the variance.
        let raised = (variance - variance.stop_gradient()) + eps;
        let variance = variance.less(eps).where_(raised, variance);
        let loss = (variance.log() + (self - target).square() / variance) * 0.5;
        reduction.of(if full { loss + 0.5 * (2.0 * PI).ln() } else { loss })
    }
}

/// Whether a shape is another one but for one axis, along which it has extent 1.
fn is_one_axis_shared(own: &Shape, shape: &Shape) -> bool {
    let mut differing = own.iter().zip(shape.iter()).filter(|(own, extent)| own != extent);
    own.rank() == shape.rank() && differing.next().is_some_and(|(own, _)| *own == 1) && differing.next().is_none()
}
