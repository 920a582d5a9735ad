//! Draws of categories. By Gumbel numbers: the largest of logits, each with such a number added, stands at each place with the probability that
//! softmax gives it, and a smooth form of it has a gradient. Or, where many are drawn from the same weights, by where uniform numbers fall among
//! these weights' sums.

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::Phase;
use crate::node::Origin;
use crate::shape::Shape;

/// Half the step between uniform numbers, which are multiples of `2^-24`: what stands for an exponential number of 0, so that its logarithm is
/// finite.
const LEAST_EXPONENTIAL: f64 = 1.0 / (1u64 << 25) as f64;

impl<'g> Expr<'g> {
    /// `softmax((x + g) / temperature)` along an axis, with `g` of the standard Gumbel distribution: a smooth draw of a category of the logits
    /// `x`, with a gradient (Jang et al., Maddison et al., 2016; PyTorch's `F.gumbel_softmax`). Shape and dtype stay. Floats.
    ///
    /// The lower the temperature the nearer each slice comes to a draw, 1 at one place and 0 elsewhere. With `hard` it is one: 1 where the smooth
    /// draw is largest, the first of equal ones. The gradient is that of the smooth draw in either case: `y (u - sum(u y)) / temperature` for its
    /// `y` and the upstream gradient `u`.
    ///
    /// In a [`Phase`](crate::nn::Phase) it draws as [`Graph::uniform_in`] does. `g` is `-ln(E)` with `E = -ln(1 - u)` of uniform `u` of 24 bits, and
    /// `E` is held above `2^-25`, so `g` is between -2.9 and 17.4. A logit of -inf beside a finite one gives 0.
    ///
    /// Errors: a temperature that is not finite or not above 0; an expression that holds no floats; an axis that there is not; an empty axis, if
    /// `hard`.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, nn::Phase};
    /// let g = Graph::new();
    /// let logits = g.input("logits", [8, 5]);
    /// let code = logits.gumbel_softmax_in(Phase::Training, 0.5, true, -1);
    /// let [gradient] = code.square().sum(..).grad([logits])?;
    /// assert_eq!(gradient.shape()?.dims(), &[8, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn gumbel_softmax_in(self, phase: Phase, temperature: f64, hard: bool, axis: isize) -> Expr<'g> {
        let (op, poisoned) = ("gumbel_softmax_in", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[]) else { return poisoned };
        let Some((shape, dtype, axis)) = self.logits(op, axis, method.origin()) else { return poisoned };
        let held = dtype.round(temperature);
        if !(held > 0.0 && held.is_finite()) {
            return self.graph().refuse(op, "the temperature", temperature, "a finite number above 0");
        }
        if hard && self.some_axes(op, "draw", &axis, method.origin()).is_none() {
            return poisoned;
        }
        let noisy = self + self.graph().gumbel_in(phase, &shape, dtype);
        let smooth = (noisy / temperature).softmax(axis as isize);
        if !hard {
            return smooth;
        }
        let largest = smooth.argmax(axis).unsqueeze(axis as isize);
        let drawn = self.graph().iota(&shape, axis).equal(largest).cast(dtype);
        // The difference is 0 and keeps the value exact; its gradient is that of the smooth draw.
        drawn + (smooth - smooth.stop_gradient())
    }

    /// i32: a category of each slice along an axis, which falls away, drawn with the probabilities `softmax(x)` of logits `x`
    /// (`torch.distributions.Categorical(logits=x).sample()`, `jax.random.categorical`). Floats.
    ///
    /// The draw is the place of the largest `x + g`, with `g` of the standard Gumbel distribution as in [`Expr::gumbel_softmax_in`], and is made in a
    /// [`Phase`](crate::nn::Phase) as [`Graph::uniform_in`] draws: in training anew at each step, and the same in every run of an evaluation, whose actions or tokens would then be
    /// those of one fixed noise. To draw with a counter of one's own, say `(x - (-g.uniform(shape, step, seed).log()).log()).argmax(axis)`. A category of -inf beside a finite one is never drawn, nor is one whose
    /// probability is far below the `2^-24` that the draws resolve at its rate. NaN counts as the largest. No gradient flows through it.
    ///
    /// Errors: an expression that holds no floats; an axis that there is not, or that is empty.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph, nn::Phase};
    /// let g = Graph::new();
    /// let token = g.input("logits", [8, 50]).categorical_in(Phase::Evaluation, -1);
    /// assert_eq!((token.shape()?.dims(), token.dtype()?), (&[8][..], DType::I32));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn categorical_in(self, phase: Phase, axis: isize) -> Expr<'g> {
        let (op, poisoned) = ("categorical_in", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[]) else { return poisoned };
        let Some((shape, dtype, axis)) = self.logits(op, axis, method.origin()) else { return poisoned };
        if self.some_axes(op, "draw", &axis, method.origin()).is_none() {
            return poisoned;
        }
        (self + self.graph().gumbel_in(phase, &shape, dtype)).argmax(axis)
    }

    /// i32: `samples` categories of each row of weights, drawn with probabilities in proportion to them, which need not sum to 1:
    /// `[n] -> [samples]`, `[m, n] -> [m, samples]` (PyTorch's `multinomial`). Floats.
    ///
    /// With replacement each is a draw of its own: the place where a uniform number falls among the cumulative sums of the weights. Without, no category is drawn
    /// twice, and each next one is drawn with the weights of those that
    /// are left: the places of the largest `ln(weight) + g`, with `g` of the standard Gumbel distribution (Kool et al., 2019). What
    /// has a weight of 0 is never drawn, nor is what has a negative one or NaN; where nothing is left that may be drawn, -1 stands. It draws in a
    /// [`Phase`](crate::nn::Phase) as [`Graph::uniform_in`] does, and resolves probabilities as [`Expr::categorical_in`], or with replacement those above
    /// `2^-24` of the sum. No gradient flows through it.
    ///
    /// Errors: an expression that holds no floats, or of another rank than 1 or 2; weights of no category; no samples, or without replacement more
    /// than there are categories.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, nn::Phase};
    /// let g = Graph::new();
    /// let hand = g.ones([4, 52], arenagrad_graph::DType::F32).multinomial_in(Phase::Training, 5, false);
    /// assert_eq!(hand.shape()?.dims(), &[4, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn multinomial_in(self, phase: Phase, samples: usize, with_replacement: bool) -> Expr<'g> {
        let (op, poisoned) = ("multinomial_in", Expr::poisoned(self.graph()));
        let Some(method) = self.enter_floats(op, &[]) else { return poisoned };
        let origin = method.origin();
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        let rank = shape.rank();
        let (1 | 2, Some((&categories, rows))) = (rank, shape.split_last()) else {
            let (operand, expected) = (self.describe(), "rank 1 or 2".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        };
        if categories == 0 {
            let (function, operand, axis) = ("draw", self.describe(), rank - 1);
            return self.fail(GraphError::EmptyAxis { origin, op, function, operand, shape, axis });
        }
        if samples == 0 {
            return self.graph().refuse(op, "the number of samples", 0.0, "at least 1");
        }
        if !with_replacement && samples > categories {
            let (operand, axis) = (self.describe(), rank - 1);
            let (extent, start, end) = (categories, 0, samples);
            return self.fail(GraphError::Range { origin, op, operand, shape, axis, extent, start, end });
        }
        let is_drawable = self.greater(0.0);
        if with_replacement {
            let each: Shape = rows.iter().copied().chain([samples]).collect();
            return self.drawn_by_sums(phase, &each, is_drawable, [rank - 1, categories]);
        }
        let logits = is_drawable.where_(self.log(), f64::NEG_INFINITY);
        let (largest, places) = (logits + self.graph().gumbel_in(phase, &shape, dtype)).topk(samples, -1, true);
        largest.greater(f64::NEG_INFINITY).where_(places, -1)
    }

    /// Draws with replacement, of that shape: where a uniform number falls among the sums of a row's weights.
    #[track_caller]
    fn drawn_by_sums(
        self,
        phase: Phase,
        each: &Shape,
        is_drawable: Expr<'g>,
        [axis, categories]: [usize; 2],
    ) -> Expr<'g> {
        // Of the largest 1, so that no sum leaves the range. Beside an infinite one nothing else counts.
        let weights = self.equal(f64::INFINITY).where_(1.0, self / is_drawable.where_(self, 0.0).max_keepdims(-1));
        let sums = is_drawable.where_(weights, 0.0).cumsum(-1);
        let total = sums.slice(-1, categories - 1, categories);
        let uniform = self.graph().uniform_in(phase, each).cast(self.dtype().unwrap_or(DType::F32));
        let places = sums.searchsorted(uniform * total, true).minimum((categories - 1) as f64);
        // Sums are rounded, so that a place next to the right one may be found, or one behind the last: the nearest before it that may be drawn.
        let numbers = self.graph().iota(self.shape().unwrap_or_default(), axis);
        let drawable = is_drawable.where_(numbers, -1.0).cummax(-1).0;
        drawable.gather(-1, places)
    }

    /// Shape, dtype and the axis of the categories, of what is to be drawn; an error is kept if there is no such axis.
    fn logits(self, op: &'static str, axis: isize, origin: Origin) -> Option<(Shape, DType, usize)> {
        let (shape, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => Some((shape, dtype, axis)),
            Err(error) => self.fail_without(error),
        }
    }
}

impl Graph {
    /// Numbers of the standard Gumbel distribution, finite all, in the dtype of what they are added to.
    #[track_caller]
    fn gumbel_in(&self, phase: Phase, shape: &Shape, dtype: DType) -> Expr<'_> {
        // 1 - u is in (0, 1] and exact.
        let exponential = -(1.0 - self.uniform_in(phase, shape)).log();
        (-exponential.maximum(LEAST_EXPONENTIAL).log()).cast(dtype)
    }
}
