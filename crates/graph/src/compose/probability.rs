//! The normal distribution's cumulative probability and its logarithm, with digits in both tails.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, PI};

use crate::expr::Expr;
use crate::function::{Context, Function};

impl<'g> Expr<'g> {
    /// The standard normal distribution's cumulative probability, `erfc(-x / sqrt 2) / 2`, with its digits also far below 0.
    /// PyTorch's `special.ndtr`. The derivative is the density, `e^(-x^2 / 2) / sqrt(2 pi)`. Floats.
    #[track_caller]
    pub fn ndtr(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("ndtr", &[]) else {
            return Expr::poisoned(self.graph());
        };
        (self * -FRAC_1_SQRT_2).erfc() * 0.5
    }

    /// `ln(ndtr(x))`, finite for every `x` whose square is: far below 0 it is about `-x^2 / 2`. PyTorch's `special.log_ndtr`. The
    /// derivative is the density over the probability, which keeps its digits there too. Floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [3]);
    /// let [slope] = x.log_ndtr().sum(..).grad([x])?;
    /// assert_eq!(slope.shape()?.dims(), &[3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn log_ndtr(self) -> Expr<'g> {
        let Some(_method) = self.enter_floats("log_ndtr", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self.graph().apply(&LogNdtr, &[self])
    }
}

/// The logarithm of the normal distribution's probability. Its gradient is a formula of its own at each side of 0; what one side does
/// not take sees a 0.
struct LogNdtr;

impl Function for LogNdtr {
    fn name(&self) -> &'static str {
        "log_ndtr"
    }

    fn forward<'g>(&self, _context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let x = operands[0];
        let t = x * FRAC_1_SQRT_2;
        let tail = ((-t).erfcx() * 0.5).log() - x * x * 0.5;
        x.less(-1.0).where_(tail, (t.erfc() * -0.5).log1p())
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let x = context.operands()[0];
        let is_negative = x.less(0.0);
        let below = FRAC_2_PI.sqrt() / (is_negative.where_(x, 0.0) * -FRAC_1_SQRT_2).erfcx();
        let right = is_negative.where_(0.0, x);
        let density = (right * right * -0.5).exp() * (0.5 / PI).sqrt();
        vec![Some(upstream * is_negative.where_(below, density / right.ndtr()))]
    }
}
