//! What a training step and a look at its gradients ask of a plan.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};

use arenagrad_graph::{Expr, Graph, NodeId, Origin};

use crate::error::Error;
use crate::plan::Request;
use crate::precision::{Precision, Rounding};
use crate::train::loss_scale::{TracedStep, append_traced_step, present_scale, unscaled, upstream};
use crate::train::trained::{Missed, MissedOfStep};
use crate::train::{Optimizer, Trained, append_gradients_of, matches_pattern, under};

/// A training step: the loss, then the metrics, read before the update. Gradients and updates are appended to the graph. States of a scale
/// of the loss stand under a prefix. Mistakes of the optimiser are told at `origin`.
pub(crate) fn training_request(
    loss: Expr<'_>,
    metrics: &[NodeId],
    optimizer: &dyn Optimizer,
    (precision, prefix): (&Precision, &str),
    origin: Origin,
) -> Result<Request, Error> {
    let graph = loss.check()?.graph();
    precision.check_patterns(graph)?;
    let TracedStep { step, gradients, backward, update, sources } =
        append_traced_step(loss, optimizer, (precision.scale(), prefix), None, origin)?;
    let outputs: Vec<NodeId> = std::iter::once(loss.id()?).chain(metrics.iter().copied()).collect();
    Ok(Request {
        stages: vec![("forward", outputs.clone()), ("backward", gradients)],
        rest: "update",
        outputs,
        updates: step.updates,
        rounding: precision.rounding(graph, backward, update, &sources)?,
        ..Request::default()
    })
}

/// The loss and the gradients of what the optimiser trains, with the names of these, as the training step would have them whose states stand
/// under a prefix; nothing is changed.
pub(crate) fn gradients_request(
    loss: Expr<'_>,
    optimizer: &dyn Optimizer,
    precision: &Precision,
    prefix: &str,
) -> Result<(Request, Vec<String>), Error> {
    let gradients = append_step_gradients(loss, optimizer, (precision, prefix), None)?;
    let (trained, rounding) = (gradients.unscaled(&gradients.trained)?, gradients.rounding);
    let loss = loss.id()?;
    let gradients = trained.iter().map(|trained| trained.gradient.id()).collect::<Result<Vec<_>, _>>()?;
    let names = trained.into_iter().map(|trained| trained.name).collect();
    let outputs = std::iter::once(loss).chain(gradients).collect();
    let stages = vec![("forward", vec![loss])];
    Ok((Request { stages, rest: "backward", outputs, rounding, ..Request::default() }, names))
}

/// Gradients that were computed in some precision.
pub(crate) struct RoundedGradients<'g> {
    /// What is trained, with gradients that are multiplied by the scale.
    pub(crate) trained: Vec<Trained<'g>>,
    /// What of the graph is rounded.
    pub(crate) rounding: Option<Rounding>,
    scale: Option<Expr<'g>>,
}

impl<'g> RoundedGradients<'g> {
    /// These, which are what is trained with the gradients or with sums of such, divided by the scale.
    pub(crate) fn unscaled(&self, scaled: &[Trained<'g>]) -> Result<Vec<Trained<'g>>, Error> {
        scaled.iter().map(|one| self.scale.map_or_else(|| Ok(one.clone()), |scale| unscaled(one, scale))).collect()
    }
}

/// Appends the gradients of `loss` with respect to what the optimiser trains as the training step has them whose states stand under a
/// prefix: of a loss that is multiplied by the step's scale, and by the weight of a member of a group.
pub(crate) fn append_step_gradients<'g>(
    loss: Expr<'g>,
    optimizer: &dyn Optimizer,
    (precision, prefix): (&Precision, &str),
    weight: Option<Expr<'g>>,
) -> Result<RoundedGradients<'g>, Error> {
    let graph = loss.check()?.graph();
    precision.check_patterns(graph)?;
    let scale = precision.scale().map(|settings| present_scale(graph, settings, prefix)).transpose()?;
    append_rounded_gradients(loss, optimizer, precision, (scale, weight))
}

/// Appends the gradients of `loss` with respect to what the optimiser trains, multiplied by a scale if there is one: where their operands
/// are rounded to 16 bits, none is lost for being small. They are multiplied by the weight of a member of a group too.
pub(crate) fn append_rounded_gradients<'g>(
    loss: Expr<'g>,
    optimizer: &dyn Optimizer,
    precision: &Precision,
    (scale, weight): (Option<Expr<'g>>, Option<Expr<'g>>),
) -> Result<RoundedGradients<'g>, Error> {
    let graph = loss.check()?.graph();
    let backward = graph.ordinal_bound();
    let upstream = upstream(loss, scale, weight)?;
    let mut sources = Vec::new();
    let trained =
        append_gradients_of(loss, upstream, optimizer, &mut |ordinal, source| sources.push((ordinal, source)))?;
    let rounding = precision.rounding(graph, backward, graph.ordinal_bound(), &sources)?;
    Ok(RoundedGradients { trained, rounding, scale })
}

/// An optimiser whose states stand under a prefix, so that several can work on one set of parameters.
pub(crate) struct UnderPrefix<'o> {
    pub(crate) prefix: &'o str,
    pub(crate) optimizer: &'o dyn Optimizer,
    /// The parameters that some of its steps do not reach.
    pub(crate) reached_at_times: &'o BTreeSet<String>,
    /// What its steps update, as far as they are known.
    pub(crate) reached: &'o [Missed],
    /// Parameters that others of its steps have: a pattern that one of their names has is no typing error.
    pub(crate) known: &'o [String],
    /// What it was found to share between parameters, when it was asked for an update.
    pub(crate) shared: &'o RefCell<Vec<SharedCount>>,
    /// Whether the update depends on what the step does not reach.
    pub(crate) depends_on_missed: &'o Cell<bool>,
}

/// A count of an optimiser that parameters share, as long as all steps reach them all.
#[derive(Clone, Debug)]
pub(crate) struct SharedCount {
    /// The parameter.
    pub(crate) parameter: String,
    /// The name of the count.
    pub(crate) name: String,
    /// The name of the state that takes its place where the parameter counts alone.
    pub(crate) own: String,
}

impl Optimizer for UnderPrefix<'_> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let names: HashSet<&str> = trained.iter().map(|one| one.name.as_str()).collect();
        let missed = self.reached.iter().filter(|known| !names.contains(known.name.as_str())).cloned();
        let missed = MissedOfStep::new(missed.collect());
        let trained: Vec<Trained<'g>> = trained
            .iter()
            .map(|one| {
                let mut one = one.clone();
                one.settings.counts_alone = self.reached_at_times.contains(&one.name);
                one.settings.missed = missed.clone();
                one
            })
            .collect();
        let updated = graph.under_prefix(self.prefix, || self.optimizer.update(graph, &trained));
        let of_one = |one: &Trained<'g>| {
            let kept = one.settings.kept.borrow();
            let shared = kept.shared.iter().map(|(name, suffix)| SharedCount {
                parameter: one.name.clone(),
                name: under(self.prefix, name),
                own: under(self.prefix, &one.state_name(suffix)),
            });
            shared.collect::<Vec<_>>()
        };
        self.depends_on_missed.set(missed.is_asked.get());
        self.shared.replace(trained.iter().flat_map(of_one).collect());
        updated
    }

    fn trains(&self, name: &str) -> bool {
        self.optimizer.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        let is_known = |pattern: &String| self.known.iter().any(|name| matches_pattern(pattern, name));
        self.optimizer.patterns().into_iter().filter(|pattern| !is_known(pattern)).collect()
    }
}
