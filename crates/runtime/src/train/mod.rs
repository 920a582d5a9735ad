//! Training as graph transforms: optimisers append the nodes of the next values of parameters and of their own state, so that
//! forward pass, backward pass and update are one plan.
//!
//! The optimisers of this crate declare state under names that a graph must leave to them: `learning_rate`, `updates`, and
//! for a parameter `w` the names `w.velocity`, `w.first_moment`, `w.second_moment` and `w.largest_second_moment`; [`optimisers`], [`options`] and
//! [`schedules`] name theirs. A graph that has one of them is refused with [`Error::ReservedName`]. `step` is reserved as well, for the counter that [`Graph::step`] declares.
//!
//! A parameter that no gradient reaches is none that an optimiser hears of: neither its value nor any state of its own
//! changes, whatever the weight decay. A gradient that happens to be zero is a gradient: see
//! [`Graph::gradients_where_reached`]. Where some steps of a [`Trainer`]'s function reach a parameter and others do not, what
//! optimisers count is counted for it alone, in states of the names `w.updates`, `w.micro_batches`, `w.averaged` and `w.momentum_product`.

mod adam;
#[cfg(feature = "fit")]
pub mod fit;
mod hyperparameter;
pub(crate) mod in_group;
mod init;
mod lbfgs;
pub(crate) mod loss_scale;
mod moments;
mod near;
mod norm;
pub mod optimisers;
pub mod options;
mod parameter_file;
mod request;
mod scalars;
pub mod schedules;
mod sgd;
pub(crate) mod shards;
mod shuffle;
pub(crate) mod trained;
mod trainer;

pub use adam::{Adam, AdamW};
pub use lbfgs::{Lbfgs, LbfgsEnd, LbfgsOutcome, Objective};
pub use loss_scale::LossScale;
pub use optimisers::{Adadelta, Adagrad, Adamax, Lamb, Lion, Muon, NAdam, RAdam, RmsProp};
pub use scalars::Scalars;
pub use sgd::Sgd;
pub use shuffle::shuffled;
pub use trained::Trained;
pub use trainer::{Evaluation, FunctionId, Inputs, Outcome, Trainer};

pub(crate) use hyperparameter::{Hyperparameters, LEARNING_RATE};
pub(crate) use init::initial_value;
pub(crate) use near::near_names;
pub(crate) use parameter_file::{Wanted, listed, read_parameters};
pub(crate) use request::training_request;
pub(crate) use trainer::under;

use std::collections::{HashMap, HashSet};

use arenagrad_graph::{DType, Declaration, DeclarationKind, Expr, Graph, GraphError, NodeId, Origin};

use crate::error::{Error, Given};
pub(crate) use crate::weights::matches_pattern;

/// In whose words a mistake in what an optimiser returns is told.
const UPDATE: &str = "Optimizer::update";

/// Builds the update of parameters from their gradients. Implement it for an optimiser of your own: declare state with
/// [`Graph::state`], and return what each parameter and each state becomes.
pub trait Optimizer {
    /// Appends the nodes of one update to the graph. Each pair of the result is a parameter or state, and the node of its
    /// next value, of the same shape and dtype; old values are what nodes read, whatever the order.
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error>;

    /// Whether the trainable parameter of that name is trained. It is asked before the loss is differentiated: what is not
    /// trained costs no gradient. All are, unless [`Optimizer::freeze`] or [`Optimizer::only`] says otherwise.
    fn trains(&self, name: &str) -> bool {
        let _ = name;
        true
    }

    /// The patterns by which parameters were named around the optimiser. One that no trainable parameter has is refused, for
    /// it is a typing error ([`Error::UnmatchedPattern`]).
    fn patterns(&self) -> Vec<String> {
        Vec::new()
    }

    /// This optimiser at a rate that a schedule says, in the plan: `Adam::new(1e-3).schedule(Cosine::new(1000))`. See
    /// [`schedules`]. Of several, what the inner one gives is the base rate of the outer.
    ///
    /// Errors, as for all of these, come when a session is made: a number out of range; an optimiser without a learning rate of
    /// [`Scalars`], or without momentum under a schedule that says one ([`Error::OptimizerParts`]).
    fn schedule(self, schedule: impl schedules::Schedule + 'static) -> options::Scheduled<Self>
    where
        Self: Sized,
    {
        options::Scheduled::new(self, schedule)
    }

    /// All gradients together as one vector of no greater Euclidean norm than `bound`: each is multiplied by
    /// `min(1, bound / (norm + 1e-6))`, as by PyTorch's `torch.nn.utils.clip_grad_norm_`. The norm overflows only where it is itself
    /// beyond the largest float. The state `gradient_norm` is that of the last step, before clipping. A bound of infinity clips nothing, and
    /// records the norm.
    fn clip_norm(self, bound: f64) -> options::NormClipped<Self>
    where
        Self: Sized,
    {
        options::NormClipped::new(self, bound)
    }

    /// Each element of each gradient in `[-bound, bound]`, as by PyTorch's `torch.nn.utils.clip_grad_value_`. NaN stays NaN.
    fn clip_value(self, bound: f64) -> options::ValueClipped<Self>
    where
        Self: Sized,
    {
        options::ValueClipped::new(self, bound)
    }

    /// No weight decay for the parameters whose names have the pattern, in which `*` stands for any text: `"*.bias"`. A pattern without `*` is
    /// the name of a parameter, or of a layer for all that is inside: `"head"` for `head.weight`, not for `header.weight`. So are all patterns
    /// of names, those of [`Weights`](crate::Weights) too.
    ///
    /// Errors: a pattern that no trainable parameter has ([`Error::UnmatchedPattern`]), as for every pattern.
    fn no_decay(self, pattern: impl Into<String>) -> options::Scaled<Self>
    where
        Self: Sized,
    {
        options::Scaled::decay(self, pattern, 0.0)
    }

    /// Another weight decay for the parameters of the pattern: this factor times that of the others.
    fn scale_decay(self, pattern: impl Into<String>, factor: f64) -> options::Scaled<Self>
    where
        Self: Sized,
    {
        options::Scaled::decay(self, pattern, factor)
    }

    /// Another learning rate for the parameters of the pattern: this factor times that of the others. Schedules begin from it, as from the
    /// rate of a parameter group in PyTorch: what they multiply is multiplied alike, and a floor is the same for all. Above a floor
    /// a factor of 0 does not keep them where they are; [`Optimizer::freeze`] does.
    fn scale_rate(self, pattern: impl Into<String>, factor: f64) -> options::Scaled<Self>
    where
        Self: Sized,
    {
        options::Scaled::rate(self, pattern, factor)
    }

    /// Another optimiser for the parameters of the pattern, and this one for the rest. The name stands in front of its
    /// scalars: `Adam::new(1e-3).group("head", "head.*", Sgd::new(0.1))` has the base rates `learning_rate` and
    /// `head.learning_rate`. What is put around both holds for both.
    fn group<P: Optimizer>(
        self,
        name: impl Into<String>,
        pattern: impl Into<String>,
        members: P,
    ) -> options::Grouped<Self, P>
    where
        Self: Sized,
    {
        options::Grouped::new(self, name, pattern, members)
    }

    /// Trains the parameters of the pattern and no others: neither gradients nor states are made for the rest. Said twice it trains what is of both patterns; to train
    /// several parts, freeze the others or give each a [group](Optimizer::group).
    fn only(self, pattern: impl Into<String>) -> options::Selected<Self>
    where
        Self: Sized,
    {
        options::Selected::only(self, pattern)
    }

    /// Leaves the parameters of the pattern as they are: neither gradients nor states are made for them.
    fn freeze(self, pattern: impl Into<String>) -> options::Selected<Self>
    where
        Self: Sized,
    {
        options::Selected::frozen(self, pattern)
    }

    /// One update in `batches` steps, from the mean of their gradients: for a loss that is a mean and batches of one size, what one batch of all
    /// their examples gives; a smaller batch weighs as much as the others. In between parameters and all that the optimiser keeps stay as they are, the count of updates among it; the
    /// state `step`, from which random masks are drawn, and running statistics of layers move on at each step.
    ///
    /// A parameter that only some batches reach has its update when as many have reached it, from their mean: it counts them in `w.micro_batches`.
    ///
    /// What stands within, such as `Adam::new(1e-3).clip_norm(1.0).accumulate(4)`, sees the mean; what stands around sees the gradients
    /// of each step. It costs a state `w.accumulated` for each parameter `w`, and the counter `micro_batches`.
    fn accumulate(self, batches: impl schedules::Count) -> options::Accumulated<Self>
    where
        Self: Sized,
    {
        options::Accumulated::new(self, batches.count())
    }

    /// Keeps for each parameter `w` a state `w.average`, the exponential moving average of its values after each update:
    /// `average = decay average + (1 - decay) w`, after the first update `w` itself. PyTorch's `AveragedModel` with
    /// `get_ema_multi_avg_fn(decay)`. [`crate::Session::with_averages`] computes with them. Where only some steps reach a parameter, its average begins with
    /// what it was before the first of them, and each brings it up to date with the updates in between.
    fn moving_average(self, decay: f64) -> options::Averaged<Self>
    where
        Self: Sized,
    {
        options::Averaged::new(self, decay)
    }
}

impl<O: Optimizer + ?Sized> Optimizer for &O {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        (**self).update(graph, trained)
    }

    fn trains(&self, name: &str) -> bool {
        (**self).trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        (**self).patterns()
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        (**self).update(graph, trained)
    }

    fn trains(&self, name: &str) -> bool {
        (**self).trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        (**self).patterns()
    }
}

/// What [`append_step`] appended to a graph.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainingStep<'g> {
    /// The trainable parameters that the gradient reaches, in the order of their declarations.
    pub trained: Vec<Trained<'g>>,
    /// What each parameter and each state becomes: the number of its declaration, and the node of its next value.
    pub updates: Vec<(u32, NodeId)>,
}

/// Appends the gradients of `loss` with respect to every trainable parameter of its graph that one reaches, and the
/// optimiser's update of those. A state named `step` (see [`Graph::step`]) is advanced by one.
///
/// Sessions do this by themselves and rewind it afterwards; call it to look at the graph of a whole step.
///
/// Errors: a loss that is not one float, or that depends on no trainable parameter; a name that the optimiser reserves; what
/// the optimiser reports. The graph is as it was then.
#[track_caller]
pub fn append_step<'g>(loss: Expr<'g>, optimizer: &dyn Optimizer) -> Result<TrainingStep<'g>, Error> {
    let (graph, method, origin) = (loss.graph(), "append_step", Origin::here());
    let loss = graph.require(loss, method)?;
    graph.require_own(method)?;
    graph.attempt(|| {
        let trained = append_gradients(loss, optimizer)?;
        Ok(TrainingStep { updates: append_update(graph, &trained, optimizer, &[], origin)?, trained })
    })
}

/// Appends the gradients of `loss` with respect to the parameters that the optimiser trains, and returns those that they reach.
pub(crate) fn append_gradients<'g>(loss: Expr<'g>, optimizer: &dyn Optimizer) -> Result<Vec<Trained<'g>>, Error> {
    let one = loss.graph().ones(loss.shape()?, loss.dtype()?);
    append_gradients_of(loss, one, optimizer, &mut |_, _| {})
}

/// Refuses a loss that is not one float.
fn require_scalar(loss: Expr<'_>) -> Result<(), Error> {
    let (shape, dtype) = (loss.shape()?, loss.dtype()?);
    if shape.elements() == 1 && dtype.is_float() {
        return Ok(());
    }
    let origin = loss.graph().node(loss.id()?)?.origin.to_string();
    Err(Error::LossNotScalar { origin, shape, dtype })
}

/// The same where the gradient of the loss itself is `upstream`; `source` is told of which node's derivative the nodes from an ordinal on
/// are part ([`Graph::gradients_by_source`]).
fn append_gradients_of<'g>(
    loss: Expr<'g>,
    upstream: Expr<'g>,
    optimizer: &dyn Optimizer,
    source: &mut dyn FnMut(usize, NodeId),
) -> Result<Vec<Trained<'g>>, Error> {
    let graph = loss.graph();
    require_scalar(loss)?;
    let trainable: Vec<Declaration> = live(graph)
        .filter(|declaration| matches!(declaration.kind, DeclarationKind::Parameter { trainable: true, .. }))
        .collect();
    check_patterns(optimizer, &trainable)?;
    let (declared, frozen): (Vec<Declaration>, Vec<Declaration>) =
        trainable.into_iter().partition(|declaration| optimizer.trains(&declaration.name));
    let parameters: Vec<Expr<'_>> = declared.iter().map(|declaration| graph.expr(declaration.node)).collect();
    let gradients = graph.gradients_by_source(&[loss], &[upstream], &parameters, source)?;
    let trained: Vec<Trained<'_>> = declared
        .iter()
        .zip(parameters)
        .zip(gradients)
        .filter_map(|((declaration, parameter), gradient)| Some(Trained::new(&declaration.name, parameter, gradient?)))
        .collect();
    if trained.is_empty() {
        let names = |list: &[Declaration]| listed(list.iter().map(|declaration| declaration.name.as_str()));
        let reason = match (declared.as_slice(), frozen.as_slice()) {
            ([], []) => format!("the graph of the loss {loss:?} has no trainable parameter"),
            ([], frozen) => {
                let patterns = optimizer.patterns();
                let of_all = match patterns.len() {
                    0 | 1 => String::new(),
                    _ => format!(
                        "; its patterns are {}, and `only` said twice is what both have",
                        listed(patterns.iter().map(String::as_str))
                    ),
                };
                format!("the optimiser trains none of the parameters of the loss {loss:?}: {}{of_all}", names(frozen))
            }
            (declared, _) => format!(
                "no gradient of the loss {loss:?} reaches a trainable parameter, of which there are {}",
                names(declared)
            ),
        };
        // Where the loss was made, which says more than where a session was asked for.
        let origin = graph.node(loss.id()?)?.origin.to_string();
        return Err(Error::NothingToTrain { origin, reason });
    }
    Ok(trained)
}

/// Appends the optimiser's update of what is trained: the number of each declaration that changes, and its next value's node. States that layers
/// keep up beside it, such as running statistics, become what the graph says, or what `instead` has for them. What is wrong with what
/// the optimiser returns is told at `origin`, where it was given.
pub(crate) fn append_update<'g>(
    graph: &'g Graph,
    trained: &[Trained<'g>],
    optimizer: &dyn Optimizer,
    instead: &[(NodeId, NodeId)],
    origin: Origin,
) -> Result<Vec<(u32, NodeId)>, Error> {
    let before: Vec<Declaration> = live(graph).collect();
    let start = graph.mark();
    let updated = optimizer.update(graph, trained).and_then(|pairs| Ok(graph.check().map(|()| pairs)?));
    let mut pairs = updated.map_err(|error| reserved(error, &before))?;
    graph.at(origin, || graph.require_mark(start, UPDATE))?;
    let step = before.iter().find(|declaration| declaration.counts_steps()).map(|step| step.node);
    let updated: HashSet<NodeId> = pairs.iter().filter_map(|(target, _)| target.id().ok()).collect();
    if let Some(step) = step.filter(|step| !updated.contains(step)).map(|step| graph.expr(step)) {
        pairs.push((step, step + 1));
    }
    let instead: HashMap<NodeId, NodeId> = instead.iter().copied().collect();
    // The counter is advanced already.
    for (state, next) in graph.updates().into_iter().filter(|(state, _)| Some(*state) != step) {
        if updated.contains(&state) {
            let origin = graph.update_origin(state).unwrap_or(origin).to_string();
            return Err(Error::UpdatedByBoth { origin, name: shards::name_of(graph, state) });
        }
        let next = instead.get(&state).copied().unwrap_or(next);
        pairs.push((graph.expr(state), graph.expr(next)));
    }
    let declarations = graph.declarations();
    let numbers: HashMap<NodeId, u32> = declarations
        .iter()
        .zip(0..)
        .filter(|(declaration, _)| declaration.kind != DeclarationKind::Input)
        .map(|(declaration, number)| (declaration.node, number))
        .collect();
    let mut seen = HashSet::with_capacity(pairs.len());
    let mut updates: Vec<(u32, NodeId)> = Vec::with_capacity(pairs.len());
    for (target, next) in pairs {
        let alive = target.graph().at(origin, || target.graph().require(target, UPDATE))?;
        let Some(&number) = numbers.get(&alive.id()?) else {
            return Err(Error::UpdateTarget { target: format!("{target:?}") });
        };
        if !seen.insert(number) {
            return Err(Error::RepeatedUpdate { target: format!("{target:?}") });
        }
        updates.push((number, replacement(graph, &declarations[number as usize], next, origin)?));
    }
    Ok(updates)
}

/// What the graph's states become by a run that trains nothing: as [`append_update`] has it.
pub(crate) fn append_state_updates(graph: &Graph, origin: Origin) -> Result<Vec<(u32, NodeId)>, Error> {
    struct OfNothing;
    impl Optimizer for OfNothing {
        fn update<'g>(&self, _: &'g Graph, _: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
            Ok(Vec::new())
        }
    }
    append_update(graph, &[], &OfNothing, &[], origin)
}

/// Refuses inputs that an update declares and needs where nobody can give them. They are those from a number on.
pub(crate) fn refuse_inputs_of_update(graph: &Graph, declared: usize, updates: &[(u32, NodeId)]) -> Result<(), Error> {
    let next: Vec<NodeId> = updates.iter().map(|(_, next)| *next).collect();
    let mut inputs = graph.declarations();
    inputs.drain(..declared.min(inputs.len()));
    inputs.retain(|declaration| declaration.kind == DeclarationKind::Input);
    if inputs.is_empty() {
        return Ok(());
    }
    let needed: HashSet<NodeId> = graph.needed(&next)?.into_iter().collect();
    match inputs.into_iter().find(|input| needed.contains(&input.node)) {
        Some(Declaration { name, shape, origin, .. }) => {
            Err(Error::MissingInput { name, shape, origin: origin.to_string() })
        }
        None => Ok(()),
    }
}

/// Refuses a pattern that no trainable parameter's name has.
fn check_patterns(optimizer: &dyn Optimizer, trainable: &[Declaration]) -> Result<(), Error> {
    for pattern in optimizer.patterns() {
        if !trainable.iter().any(|declaration| matches_pattern(&pattern, &declaration.name)) {
            let known = listed(trainable.iter().map(|declaration| declaration.name.as_str()));
            return Err(Error::UnmatchedPattern { pattern, known });
        }
    }
    Ok(())
}

/// The declarations whose nodes have not been removed.
fn live(graph: &Graph) -> impl Iterator<Item = Declaration> {
    graph.declarations().into_iter().filter(|declaration| graph.ordinal(declaration.node).is_ok())
}

/// An optimiser that declares a name which the caller has taken fails at a place in the optimiser. The caller is told the
/// place of the declaration that is in the way.
fn reserved(error: Error, before: &[Declaration]) -> Error {
    let Error::Graph(GraphError::DuplicateName { name, .. }) = &error else { return error };
    match before.iter().find(|declaration| declaration.name == *name) {
        Some(Declaration { name, origin, .. }) => Error::ReservedName {
            name: name.clone(),
            origin: origin.to_string(),
            purpose: "the state of the optimiser".to_owned(),
        },
        None => Error::OptimizerParts {
            reason: format!(
                "two of them keep a state {name:?}; is an option given twice, or does a group have another's name?"
            ),
        },
    }
}

/// The dtype of the scalars of an optimiser: f64 if a parameter is, be it one that this step does not reach.
pub(crate) fn scalar_dtype(trained: &[Trained<'_>]) -> Result<DType, Error> {
    for Trained { parameter, settings, .. } in trained {
        if settings.missed.has_wide || parameter.dtype()? == DType::F64 {
            return Ok(DType::F64);
        }
    }
    Ok(DType::F32)
}

/// The node of a parameter's or state's next value, which must have its shape and dtype.
fn replacement(graph: &Graph, declaration: &Declaration, next: Expr<'_>, origin: Origin) -> Result<NodeId, Error> {
    let Declaration { name, shape, dtype, .. } = declaration;
    let id = graph.at(origin, || graph.require(next, UPDATE))?.id()?;
    let found = graph.node(id)?;
    if found.shape != *shape {
        let (expected, found) = (shape.clone(), found.shape);
        return Err(Error::ParameterShape { name: name.clone(), expected, found, given: Given::Update });
    }
    if found.dtype != *dtype {
        let (expected, found) = ((*dtype).into(), found.dtype.into());
        return Err(Error::ParameterDType { name: name.clone(), expected, found, given: Given::Update });
    }
    Ok(id)
}
