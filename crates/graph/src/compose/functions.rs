//! Functions of elements that are formulas over others: what rounds, interpolates or classifies numbers, and logarithms of sums and
//! products that stay right at their edges. Each keeps shape and dtype; floats, unless said otherwise.

use std::f64::consts::{LN_2, PI};

use crate::dtype::DType;
use crate::expr::{Expr, IntoExpr, Operand};
use crate::function::{Context, Function};

impl<'g> Expr<'g> {
    /// The fraction, `x - trunc(x)`, with the sign of `x`; NaN of infinities. The derivative is 1.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let fraction = g.input("x", [3]).frac();
    /// assert_eq!(fraction.shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn frac(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("frac", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self - self.trunc()
    }

    /// Linear interpolation, `x + weight (end - x)`, with broadcasting: `x` itself at a weight of 0 and exactly `end` at 1. The
    /// derivatives are `1 - weight`, `weight`, and `end - x`.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (start, end) = (g.input("start", [4, 1]), g.input("end", [3]));
    /// assert_eq!(start.lerp(end, 0.25).shape()?.dims(), &[4, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn lerp(self, end: impl IntoExpr<'g>, weight: impl IntoExpr<'g>) -> Expr<'g> {
        let (end, weight) = (end.into_operand(), weight.into_operand());
        let Some(method) = self.enter_floats("lerp", &[end.expr(), weight.expr()]) else {
            return Expr::poisoned(self.graph());
        };
        let (end, weight) = (end.beside(self, method.origin()), weight.beside(self, method.origin()));
        let distance = end - self;
        // From the nearer end, whose rounding is the smaller one. A weight that is not near counts as 0 there, for an infinite one times the
        // gradient of 0 that comes back would be NaN.
        let is_near = weight.abs().less(0.5);
        let near = is_near.where_(weight, 0.0);
        is_near.where_(self + near * distance, end - distance * (1.0 - weight))
    }

    /// `sin(pi x) / (pi x)`, and 1 at 0, where all derivatives are right too: up to 1/2 it is its power series.
    #[track_caller]
    pub fn sinc(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("sinc", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let is_near = self.abs().less(0.5);
        let near = is_near.where_(self, 0.0) * PI;
        let square = near * near;
        // The terms are (-1)^k (pi x)^(2 k) / (2 k + 1)!; what is left out is below 1e-17.
        let mut coefficients = vec![1.0];
        for k in 1..=10 {
            coefficients.push(-coefficients[k - 1] / ((2 * k) as f64 * (2 * k + 1) as f64));
        }
        let mut series = square * coefficients[10] + coefficients[9];
        for &coefficient in coefficients[..9].iter().rev() {
            series = series * square + coefficient;
        }
        // Elsewhere, and for the derivative's sake not at 0.
        let far = is_near.where_(0.5, self) * PI;
        is_near.where_(series, far.sin() / far)
    }

    /// `x ln y`, with broadcasting, where an `x` of 0 makes it 0 also if the logarithm is infinite or NaN, but for a `y` of NaN.
    /// The derivatives are `ln y` and `x / y`, and 0 where the logarithm was left out.
    #[track_caller]
    pub fn xlogy(self, y: impl IntoExpr<'g>) -> Expr<'g> {
        let y = y.into_operand();
        let Some(method) = self.enter_floats("xlogy", &[y.expr()]) else {
            return Expr::poisoned(self.graph());
        };
        let y = y.beside(self, method.origin());
        let is_left_out = self.equal(0.0) & (y.less_equal(0.0) | y.equal(f64::INFINITY));
        is_left_out.where_(0.0, self * is_left_out.where_(1.0, y).log())
    }

    /// The inverse of the sigmoid, `ln(x / (1 - x))`: infinite at 0 and 1, NaN outside. With `eps` each element is first brought
    /// into `eps..=1 - eps`, and what was outside gets no gradient. The derivative is `1 / (x (1 - x))`, and NaN where the value is. Next to
    /// 1/2, where it is 0, and next to 0 it keeps its digits.
    ///
    /// Errors: an `eps` of NaN.
    #[track_caller]
    pub fn logit(self, eps: Option<f64>) -> Expr<'g> {
        let Some(_method) = self.enter_floats("logit", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let x = match eps {
            Some(eps) if eps.is_nan() => return self.graph().refuse("logit", "eps", eps, "a number"),
            // In this order, so that with an `eps` past 1/2 each element goes to the bound that it is outside of first.
            Some(eps) => self.less(eps).where_(eps, self.greater(1.0 - eps).where_(1.0 - eps, self)),
            None => self,
        };
        let x = if eps.is_some_and(|eps| eps >= 0.0) {
            x
        } else {
            // The logarithm of a negative number is NaN, but its derivative is a number: as a factor NaN is in both.
            x * (x.less(0.0) | x.greater(1.0)).where_(x.full_like(f64::NAN), 1.0)
        };
        x.log() - (-x).log1p()
    }

    /// bool: whether each element is NaN; of what holds no floats none is. No compiler that regroups arithmetic changes it.
    #[track_caller]
    pub fn isnan(self) -> Expr<'g> {
        let _method = self.enter("isnan");
        self.not_equal(self)
    }

    /// bool: whether each element is infinite, of either sign; of what holds no floats none is.
    #[track_caller]
    pub fn isinf(self) -> Expr<'g> {
        let method = self.enter("isinf");
        match self.read("isinf", method.origin(), |_, node| node.dtype.is_float()) {
            Some(true) => self.abs().equal(f64::INFINITY),
            Some(false) => self.not_equal(self),
            None => self,
        }
    }

    /// bool: whether each element is neither infinite nor NaN; of what holds no floats all are.
    #[track_caller]
    pub fn isfinite(self) -> Expr<'g> {
        let method = self.enter("isfinite");
        match self.read("isfinite", method.origin(), |_, node| node.dtype.is_float()) {
            Some(true) => self.abs().less(f64::INFINITY),
            Some(false) => self.equal(self),
            None => self,
        }
    }

    /// Numbers in the place of NaN, infinity and minus infinity (`torch.nan_to_num`); `None` is PyTorch's default: 0 for NaN, and the largest and the
    /// least finite number of the dtype for the infinities. Of any dtype: what holds no floats has none of these and stays as it is.
    ///
    /// The derivative is 1, and 0 where a number was put in.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let finite = g.input("x", [3]).nan_to_num(None, Some(1e6), Some(-1e6));
    /// assert_eq!(finite.shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn nan_to_num(self, nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>) -> Expr<'g> {
        let method = self.enter("nan_to_num");
        let largest = match self.read("nan_to_num", method.origin(), |_, node| node.dtype) {
            Some(DType::F32) => f64::from(f32::MAX),
            Some(DType::F64) => f64::MAX,
            Some(DType::I32 | DType::Bool) => return self,
            None => return Expr::poisoned(self.graph()),
        };
        let below = self.equal(f64::NEG_INFINITY).where_(neginf.unwrap_or(-largest), self);
        let finite = self.equal(f64::INFINITY).where_(posinf.unwrap_or(largest), below);
        self.isnan().where_(nan.unwrap_or(0.0), finite)
    }

    /// `ln(e^x + e^y)`, with broadcasting, which overflows only where the result does: of two infinities of one sign it is that
    /// infinity. The derivatives are `sigmoid(x - y)` and `sigmoid(y - x)`, half each at two such infinities.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (x, y) = (g.input("x", [3]), g.input("y", [2, 3]));
    /// assert_eq!(x.logaddexp(y).shape()?.dims(), &[2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn logaddexp(self, other: impl IntoExpr<'g>) -> Expr<'g> {
        let other = other.into_operand();
        let Some(_method) = self.enter_floats("logaddexp", &[other.expr()]) else {
            return Expr::poisoned(self.graph());
        };
        self.log_of_sum("logaddexp", other, 1.0)
    }

    /// `log2(2^x + 2^y)`, as [`Expr::logaddexp`].
    #[track_caller]
    pub fn logaddexp2(self, other: impl IntoExpr<'g>) -> Expr<'g> {
        let other = other.into_operand();
        let Some(_method) = self.enter_floats("logaddexp2", &[other.expr()]) else {
            return Expr::poisoned(self.graph());
        };
        self.log_of_sum("logaddexp2", other, LN_2)
    }

    /// The logarithm of the sum of two powers, to the base whose natural logarithm is `ln_base`.
    #[track_caller]
    fn log_of_sum(self, op: &'static str, other: Operand<'g>, ln_base: f64) -> Expr<'g> {
        let origin = self.graph().origin_or(crate::node::Origin::here());
        match self.broadcast_pair(other.beside(self, origin), op, origin) {
            Some((lhs, rhs)) => {
                let operands = [lhs, rhs].map(|id| Expr::from_id(self.graph(), id));
                self.graph().apply(&LogOfSum { ln_base }, &operands)
            }
            None => Expr::poisoned(self.graph()),
        }
    }
}

/// `larger + log(1 + base^-|difference|)`, whose gradient a formula of the larger and the smaller would get wrong where they are equal.
struct LogOfSum {
    ln_base: f64,
}

impl Function for LogOfSum {
    fn name(&self) -> &'static str {
        "log_of_sum"
    }

    fn forward<'g>(&self, _context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let (a, b) = (operands[0], operands[1]);
        // The difference of two infinities would be NaN.
        let distance = a.equal(b).where_(0.0, (a - b).abs());
        let scaled = if self.ln_base == 1.0 { distance } else { distance * self.ln_base };
        let excess = (-scaled).exp().log1p();
        a.maximum(b) + if self.ln_base == 1.0 { excess } else { excess / self.ln_base }
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (a, b) = (context.operands()[0], context.operands()[1]);
        let both_infinite = a.equal(b) & a.abs().equal(f64::INFINITY);
        let difference = both_infinite.where_(0.0, a - b) * self.ln_base;
        vec![Some(upstream * difference.gate()), Some(upstream * (-difference).gate())]
    }
}
