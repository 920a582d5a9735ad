//! Scaling of the loss: gradients are computed of a multiple of it, so that in 16 bits none is lost for being small, and a step whose
//! gradients overflow changes nothing but the scale.
//!
//! All of it is part of the plan: whether a gradient is infinite or NaN is a sum over all of them, by which every next value is selected.
//! So a step is one submit on a GPU, and nothing waits for the host.

use arenagrad_graph::{DType, Declaration, Expr, Graph, Init, NodeId, Origin};

use crate::error::{Error, Given};
use crate::train::hyperparameter::Hyperparameters;
use crate::train::{Optimizer, Trained, TrainingStep, append_gradients_of, append_update, live, reserved};

/// The name of the state that holds the present scale.
pub(crate) const LOSS_SCALE: &str = "loss_scale";
/// The name of the state that counts steps since the scale last changed.
pub(crate) const GOOD_STEPS: &str = "good_steps";
/// The name of the state that counts steps that changed nothing.
pub(crate) const SKIPPED_UPDATES: &str = "skipped_updates";

/// The largest scale, `2^126`: the inverse of a larger one is less than the least normal number, which a device may take for 0.
const LARGEST: f32 = 1.0 / f32::MIN_POSITIVE;
/// What is said of another scale.
pub(crate) const EXPECTED_LOSS_SCALE: &str = "a number from 2^-126 to 2^126";

/// Whether f32 holds a scale and its inverse as normal numbers.
pub(crate) fn is_loss_scale(scale: f64) -> bool {
    (f32::MIN_POSITIVE..=LARGEST).contains(&(scale as f32))
}

/// By what the loss is multiplied before it is differentiated, and what becomes of that: [`crate::Precision::loss_scale`].
///
/// Gradients are divided by the scale before anything else sees them: clipping, accumulation, and the norm that it reports, are of the
/// loss itself. If an element of any gradient is infinite or NaN, the update is *skipped*: parameters, moments, counts of updates,
/// averages and running statistics of layers stay as they are; the count of steps, from which random masks are drawn, moves on. PyTorch's
/// `GradScaler`, whose numbers are the defaults, skips the optimiser's step alike, though not running statistics, and under accumulation the whole update.
///
/// [`Trainer::gradients`](crate::Trainer::gradients) and L-BFGS are computed by the scale of the step that would come, and declare its state if there was no step
/// yet; L-BFGS shrinks it where its gradients overflow.
///
/// States of the plan, in checkpoints with all others: `loss_scale` (f32), `good_steps` (i32) since the scale last changed, and
/// `skipped_updates` (i32) in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    initial: f64,
    growth: f64,
    backoff: f64,
    interval: i32,
}

impl LossScale {
    /// 65,536 at first, doubled after 2,000 steps in a row that were good, up to `2^126`, and halved by one that was skipped.
    pub fn dynamic() -> Self {
        LossScale { initial: 65_536.0, growth: 2.0, backoff: 0.5, interval: 2_000 }
    }

    /// A scale that stays. Steps are skipped and counted all the same. A checkpoint that is resumed brings its own scale, which stays then.
    pub fn fixed(scale: f64) -> Self {
        LossScale { initial: scale, growth: 1.0, backoff: 1.0, interval: i32::MAX }
    }

    /// With another scale at first: from `2^-126` to `2^126`, so that f32 holds its inverse too.
    #[must_use]
    pub fn initial(self, scale: f64) -> Self {
        LossScale { initial: scale, ..self }
    }

    /// Multiplied by another factor after good steps: 1 or more. No scale grows past `2^126`.
    #[must_use]
    pub fn growth_factor(self, factor: f64) -> Self {
        LossScale { growth: factor, ..self }
    }

    /// Multiplied by another factor after a skipped step: above 0, and at most 1.
    #[must_use]
    pub fn backoff_factor(self, factor: f64) -> Self {
        LossScale { backoff: factor, ..self }
    }

    /// Grown after so many good steps in a row: 1 or more.
    #[must_use]
    pub fn growth_interval(self, steps: i32) -> Self {
        LossScale { interval: steps, ..self }
    }

    /// The scale at first.
    pub(crate) fn first(&self) -> f64 {
        self.initial
    }

    /// The scale behind one by which gradients overflowed; nothing where it stays, or where the loss is not scaled up.
    pub(crate) fn lowered(&self, scale: f64) -> Option<f64> {
        (self.backoff < 1.0 && scale > 1.0).then(|| (scale * self.backoff).max(1.0))
    }

    fn declare_scale<'g>(&self, graph: &'g Graph) -> Expr<'g> {
        graph.state(LOSS_SCALE, [], DType::F32, Init::Constant(self.initial))
    }

    fn check(&self) -> Result<(), Error> {
        let numbers = Hyperparameters::beside([DType::F32], Given::Argument);
        numbers.require("loss scale", self.initial, is_loss_scale(self.initial), EXPECTED_LOSS_SCALE)?;
        let grows = self.growth >= 1.0 && (self.growth as f32).is_finite();
        numbers.require("growth factor", self.growth, grows, "a finite number, 1 or more")?;
        let shrinks = (f32::MIN_POSITIVE..=1.0).contains(&(self.backoff as f32)) && self.backoff <= 1.0;
        numbers.require("backoff factor", self.backoff, shrinks, "above 0, and at most 1")?;
        numbers.require("growth interval", f64::from(self.interval), self.interval >= 1, "1 or more")
    }
}

/// The scale that the next training step of a function will have, for its gradients without the step: the state under a prefix.
pub(crate) fn present_scale<'g>(graph: &'g Graph, settings: LossScale, prefix: &str) -> Result<Expr<'g>, Error> {
    settings.check()?;
    let before: Vec<Declaration> = live(graph).collect();
    let scale = graph.under_prefix(prefix, || settings.declare_scale(graph));
    graph.check().map_err(|error| reserved(error.into(), &before))?;
    Ok(scale)
}

/// The scale as an input of that name, where no training step keeps one up.
pub(crate) fn given_scale(graph: &Graph, settings: LossScale) -> Result<Expr<'_>, Error> {
    settings.check()?;
    let before: Vec<Declaration> = live(graph).collect();
    let scale = graph.input_of(LOSS_SCALE, [], DType::F32);
    scale.check().map_err(|error| reserved(error.into(), &before))
}

/// The gradient of the loss itself: the scale and the weight of this member of a group, as far as there are such.
///
/// What is differentiated is the caller's loss and no product of it, so that mistakes name what the caller wrote.
pub(crate) fn upstream<'g>(
    loss: Expr<'g>,
    scale: Option<Expr<'g>>,
    weight: Option<Expr<'g>>,
) -> Result<Expr<'g>, Error> {
    let (shape, dtype) = (loss.shape()?, loss.dtype()?);
    let factors = [scale, weight].into_iter().flatten().filter(|_| dtype.is_float());
    let product = factors.map(|factor| factor.cast(dtype)).reduce(|product, factor| product * factor);
    Ok(match product {
        Some(product) => product.broadcast_to(shape),
        None => loss.graph().ones(shape, dtype),
    })
}

/// A parameter with its gradient divided by the scale.
pub(crate) fn unscaled<'g>(one: &Trained<'g>, scale: Expr<'g>) -> Result<Trained<'g>, Error> {
    let inverse = (1.0 / scale).cast(one.gradient.dtype()?);
    Ok(one.with_gradient(one.gradient * inverse))
}

/// What becomes of gradients before anything else sees them: in a group the sums over its members, which are exchanged. As they are the same for
/// all, either all skip a step or none.
pub(crate) type Exchange<'e, 'g> = &'e dyn Fn(&[Trained<'g>]) -> Result<Exchanged<'g>, Error>;

/// What a step of a member of a group is made with.
#[derive(Clone, Copy)]
pub(crate) struct Member<'e, 'g> {
    /// The weight of this member's samples among those of all, by which its loss counts.
    pub(crate) weight: Expr<'g>,
    pub(crate) exchange: Exchange<'e, 'g>,
}

/// What was exchanged.
pub(crate) struct Exchanged<'g> {
    pub(crate) trained: Vec<Trained<'g>>,
    /// States that layers carry on, and what becomes of them instead of what the graph says.
    pub(crate) carried: Vec<(NodeId, NodeId)>,
}

/// A training step, and which of its nodes belong to the backward pass.
pub(crate) struct TracedStep<'g> {
    pub(crate) step: TrainingStep<'g>,
    /// What the backward pass ends with: gradients before they are exchanged.
    pub(crate) gradients: Vec<NodeId>,
    /// The ordinal of the first node of the backward pass.
    pub(crate) backward: usize,
    /// The ordinal of the first node behind it.
    pub(crate) update: usize,
    /// From an ordinal on, of which node's derivative the nodes are part.
    pub(crate) sources: Vec<(usize, NodeId)>,
}

/// Appends a training step, of a scaled loss if there is a scale, whose states stand under a prefix. Mistakes of the optimiser are told at
/// `origin`. What was appended before one stays: the graph is the caller's own, or is put back by the caller.
pub(crate) fn append_traced_step<'g>(
    loss: Expr<'g>,
    optimizer: &dyn Optimizer,
    (scale, prefix): (Option<LossScale>, &str),
    member: Option<Member<'_, 'g>>,
    origin: Origin,
) -> Result<TracedStep<'g>, Error> {
    let graph = loss.check()?.graph();
    let scaling = scale.map(|scale| Scaling::declare(graph, scale, prefix)).transpose()?;
    let backward = graph.ordinal_bound();
    let scale = scaling.as_ref().map(|scaling| scaling.scale);
    let upstream = upstream(loss, scale, member.map(|member| member.weight))?;
    let mut sources = Vec::new();
    let mut trained =
        append_gradients_of(loss, upstream, optimizer, &mut |ordinal, source| sources.push((ordinal, source)))?;
    let update = graph.ordinal_bound();
    let ids = |trained: &[Trained<'g>]| trained.iter().map(|one| one.gradient.id()).collect::<Result<Vec<_>, _>>();
    let local = member.map(|_| ids(&trained)).transpose()?;
    let mut carried = Vec::new();
    if let Some(Member { exchange, .. }) = member {
        // Scaled as they are: whether a sum is finite all members see alike, and nothing more has to be exchanged for it.
        Exchanged { trained, carried } = exchange(&trained)?;
    }
    let finite = scaling.as_ref().map(|scaling| scaling.unscale(graph, &mut trained)).transpose()?;
    let gradients = match local {
        Some(local) => local,
        None => ids(&trained)?,
    };
    let mut updates = append_update(graph, &trained, optimizer, &carried, origin)?;
    if let (Some(scaling), Some(finite)) = (scaling, finite) {
        let declarations = graph.declarations();
        for (number, next) in &mut updates {
            let declaration = &declarations[*number as usize];
            if !declaration.counts_steps() {
                *next = finite.where_(graph.expr(*next), graph.expr(declaration.node)).id()?;
            }
        }
        updates.extend(scaling.updates(finite, &declarations)?);
    }
    graph.check()?;
    Ok(TracedStep { step: TrainingStep { trained, updates }, gradients, backward, update, sources })
}

/// The states of a scale in a graph.
struct Scaling<'g> {
    settings: LossScale,
    scale: Expr<'g>,
    good: Expr<'g>,
    skipped: Expr<'g>,
}

impl<'g> Scaling<'g> {
    fn declare(graph: &'g Graph, settings: LossScale, prefix: &str) -> Result<Self, Error> {
        settings.check()?;
        let before: Vec<Declaration> = live(graph).collect();
        let scaling = graph.under_prefix(prefix, || Scaling {
            settings,
            scale: settings.declare_scale(graph),
            good: graph.state(GOOD_STEPS, [], DType::I32, Init::Constant(0.0)),
            skipped: graph.state(SKIPPED_UPDATES, [], DType::I32, Init::Constant(0.0)),
        });
        graph.check().map_err(|error| reserved(error.into(), &before))?;
        Ok(scaling)
    }

    /// Divides the gradients by the scale; whether all their elements are finite.
    fn unscale(&self, graph: &'g Graph, trained: &mut [Trained<'g>]) -> Result<Expr<'g>, Error> {
        let mut overflows = graph.zeros([], DType::F32);
        for one in trained {
            *one = unscaled(one, self.scale)?;
            overflows = overflows + (!one.gradient.isfinite()).cast(DType::F32).sum(..);
        }
        Ok(overflows.equal(0.0))
    }

    /// What becomes of the states: the numbers of their declarations, and their next values.
    fn updates(&self, finite: Expr<'g>, declarations: &[Declaration]) -> Result<Vec<(u32, NodeId)>, Error> {
        let LossScale { growth, backoff, interval, .. } = self.settings;
        let one_more = self.good + 1;
        let is_time = one_more.greater_equal(interval);
        // Neither the scale nor its inverse leaves the range of normal numbers.
        let grown = is_time.where_((self.scale * growth).minimum(f64::from(LARGEST)), self.scale);
        let shrunk = (self.scale * backoff).maximum(f64::from(f32::MIN_POSITIVE));
        let good = is_time.where_(0, one_more);
        let pairs = [
            (self.scale, finite.where_(grown, shrunk)),
            (self.good, finite.where_(good, 0)),
            (self.skipped, self.skipped + (!finite).cast(DType::I32)),
        ];
        let mut updates = Vec::with_capacity(pairs.len());
        for (state, next) in pairs {
            let (state, next) = (state.id()?, next.id()?);
            let number = declarations.iter().position(|declaration| declaration.node == state);
            updates.extend(number.map(|number| (number as u32, next)));
        }
        Ok(updates)
    }
}
