//! Random draws made of [`Graph::uniform`]. Each is a function of its seed, the i32 scalar `step` and each element's flat
//! index. Masks are compared in exact arithmetic and so are the same on every device; normal numbers go through a logarithm
//! and a cosine, and agree as closely as those do.

use crate::arena::Graph;
use crate::declaration::{Init, RANDOM_SEED};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::Phase;
use crate::node::Origin;
use crate::shape::Shape;

/// 2 pi rounded towards 0 in f32, so that an angle computed with it never leaves [-pi, pi], where a GPU's cosine is exact
/// enough.
const TWO_PI_F32: f64 = std::f32::consts::TAU.next_down() as f64;

impl Graph {
    /// f32 numbers from the normal distribution of mean 0 and deviation 1, by Box and Muller's transform
    /// `sqrt(-2 ln(1 - u)) cos(2 pi (v - 1/2))` of two uniform draws, whose seeds are derived from `seed`. Since `u` has 24 bits
    /// no magnitude exceeds 5.77.
    #[track_caller]
    pub fn normal(&self, shape: impl Into<Shape>, step: Expr<'_>, seed: u64) -> Expr<'_> {
        let _method = self.enter("normal");
        let shape = shape.into();
        let radius_draw = self.uniform(&shape, step, derived_seed(seed, 0));
        let angle_draw = self.uniform(&shape, step, derived_seed(seed, 1));
        // 1 - u is in (0, 1] and exact, so its logarithm is finite.
        let radius = ((1.0 - radius_draw).log() * -2.0).sqrt();
        radius * ((angle_draw - 0.5) * TWO_PI_F32).cos()
    }

    /// [`Graph::uniform`] that nobody counts seeds for: f32 numbers, uniform in [0, 1), of draws of their own at each place where it is
    /// called and under each seed of a session or trainer.
    ///
    /// In [`Phase::Training`](crate::nn::Phase) each training step draws others. In [`Phase::Evaluation`](crate::nn::Phase) the draws are
    /// the same each time, and others than those of training: two validations differ by what was learnt between them and by
    /// nothing else. The places of a graph are told apart by the order in which they were built.
    ///
    /// ```
    /// use arenagrad_graph::Graph;
    /// use arenagrad_graph::nn::Phase;
    ///
    /// let g = Graph::new();
    /// let (mean, deviation) = (g.input("mean", [8, 2]), g.input("deviation", [8, 2]));
    /// // The reparametrisation of a variational autoencoder:
    /// let sample = mean + deviation * g.normal_in(Phase::Training, [8, 2]);
    /// assert_eq!(sample.shape()?.dims(), &[8, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn uniform_in(&self, phase: Phase, shape: impl Into<Shape>) -> Expr<'_> {
        let _method = self.enter("uniform_in");
        let (step, seed) = self.draw_in(phase);
        self.uniform(shape, step, seed)
    }

    /// [`Graph::normal`] that nobody counts seeds for: f32 numbers of mean 0 and deviation 1, drawn as [`Graph::uniform_in`] draws.
    #[track_caller]
    pub fn normal_in(&self, phase: Phase, shape: impl Into<Shape>) -> Expr<'_> {
        let _method = self.enter("normal_in");
        let (step, seed) = self.draw_in(phase);
        self.normal(shape, step, seed)
    }

    /// [`Graph::bernoulli`] that nobody counts seeds for, drawn as [`Graph::uniform_in`] draws. Errors: a probability outside [0, 1].
    #[track_caller]
    pub fn bernoulli_in(&self, phase: Phase, shape: impl Into<Shape>, probability: f64) -> Expr<'_> {
        let _method = self.enter("bernoulli_in");
        let (step, seed) = self.draw_in(phase);
        self.bernoulli(shape, probability, step, seed)
    }

    /// bool: each element true with that probability. Errors: a probability outside [0, 1].
    #[track_caller]
    pub fn bernoulli(&self, shape: impl Into<Shape>, probability: f64, step: Expr<'_>, seed: u64) -> Expr<'_> {
        let _method = self.enter("bernoulli");
        if !(0.0..=1.0).contains(&probability) {
            return self.refuse("bernoulli", "the probability", probability, "a number in 0..=1");
        }
        self.uniform(shape, step, seed).less(probability)
    }
}

impl<'g> Expr<'g> {
    /// Each element 0 with probability `rate`, else divided by `1 - rate`, so that the expectation stays. `step` (see
    /// [`Graph::step`]) makes every training step drop others; each dropout of a graph needs its own `seed`.
    ///
    /// A rate of 0 is the identity, a rate of 1 gives zeros. Errors: a rate outside [0, 1]; a `step` that is not an i32 scalar.
    #[track_caller]
    pub fn dropout(self, rate: f64, step: Expr<'g>, seed: u64) -> Expr<'g> {
        let _method = self.enter("dropout");
        if !(0.0..=1.0).contains(&rate) {
            return self.graph().refuse("dropout", "the rate", rate, "a number in 0..=1");
        }
        if rate == 0.0 {
            return self;
        }
        let origin = self.graph().origin_or(crate::Origin::here());
        let Some((shape, dtype)) = self.read("dropout", origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        if !dtype.is_float() {
            let (op, operand, expected) = ("dropout", self.describe(), "a float");
            return self.fail(crate::GraphError::DType { origin, op, operand, dtype, expected });
        }
        let kept = self.graph().uniform(&shape, step, seed).greater_equal(rate);
        // With a rate that f32 rounds to 1 nothing is kept, and a scale would only turn the 0 that comes back into NaN.
        let scaled = if DType::F32.round(rate) == 1.0 { self } else { self * (1.0 / (1.0 - rate)) };
        kept.where_(scaled, 0.0)
    }

    /// [`Expr::dropout`] that draws a mask of its own at each place where it is called, in each training step, and under each seed
    /// of a session; nobody counts seeds. In [`Phase::Evaluation`](crate::nn::Phase) it does nothing.
    ///
    /// The places of a graph are told apart by the order in which they were built. A session's seed reaches the draw as the
    /// first value of the state `random_seed`. Errors as [`Expr::dropout`].
    #[track_caller]
    pub fn dropout_in(self, phase: Phase, rate: f64) -> Expr<'g> {
        let _method = self.enter("dropout_in");
        let graph = self.graph();
        if !phase.is_training() || rate == 0.0 {
            // A rate that is none is refused in either phase.
            return if (0.0..=1.0).contains(&rate) { self } else { self.dropout(rate, graph.step(), 0) };
        }
        let (step, place) = graph.draw();
        self.dropout(rate, step, place)
    }
}

impl Graph {
    /// What a draw of random numbers without a seed of its own takes for its step and its seed: a number that is another one in each
    /// training step and under each seed of a session, and the number of the place that draws.
    pub(crate) fn draw(&self) -> (Expr<'_>, u64) {
        self.draw_in(Phase::Training)
    }

    /// [`Graph::draw`] in a phase: what evaluation takes does not change from step to step.
    fn draw_in(&self, phase: Phase) -> (Expr<'_>, u64) {
        let number = f64::from(i32::MAX);
        let init = Init::Uniform { low: -number, high: number };
        let seed = match self.declaration_named("random_seed") {
            Some(other) if other.own_purpose().is_none() => {
                let (origin, name, first) = (self.origin_or(Origin::here()), other.name, other.origin);
                self.finish(Err(GraphError::ReservedName { origin, name, purpose: RANDOM_SEED, first }))
            }
            Some(_) | None => self.without_prefix(|| self.shared_state("random_seed", [], DType::I32, init)),
        };
        let place = {
            let mut arena = self.arena_mut();
            arena.draws += 1;
            arena.draws
        };
        match phase {
            Phase::Training => (self.step() + seed, derived_seed(u64::from(place), 0)),
            Phase::Evaluation => (seed, derived_seed(u64::from(place), 1)),
        }
    }
}

/// The seed of one of several draws under one seed: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), a bijection that
/// mixes every bit into every other, of the seed moved on by the draw's number.
fn derived_seed(seed: u64, draw: u64) -> u64 {
    let mut bits = seed.wrapping_add((draw + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
