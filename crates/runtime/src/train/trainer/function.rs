//! A function of a trainer, and the plans that were made of it.
//!
//! Invariants: a plan is kept with all that it depends on of the tensors it was made for, so that other tensors to which the same
//! applies are run by it; no more plans are kept than the trainer allows, and the one that has not run for longest goes
//! first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use arenagrad_graph::{Declaration, DeclarationKind, Expr, Graph, NodeId, Origin};

use crate::error::Error;
use crate::group::{Intent, digest};
use crate::plan::{MemoryPolicy, Plan, Request, Target};
use crate::precision::Precision;
use crate::session::{Prepared, intent, required, told};
use crate::tensor::Tensor;
use crate::train::in_group::{Bucketing, group_gradients_request, group_training_request};
use crate::train::request::{SharedCount, UnderPrefix, gradients_request, training_request};
use crate::train::shards::{shard_request, update_request};
use crate::train::trained::Missed;
use crate::train::trainer::describe;
use crate::train::trainer::inputs::{Asked, Inputs};
use crate::train::trainer::reach::Reach;
use crate::train::trainer::tensors::Tensors;
use crate::train::{Optimizer, listed};

/// Builds the loss of a training function.
pub(super) type BuildLoss<'f> = Box<dyn for<'g> Fn(&Inputs<'g>) -> Result<Expr<'g>, Error> + Send + 'f>;

/// Builds the outputs of an evaluation.
pub(super) type BuildOutputs<'f> = Box<dyn for<'g> Fn(&Inputs<'g>) -> Result<Vec<Expr<'g>>, Error> + Send + 'f>;

/// A closure that may fail, as a function that builds a loss.
pub(super) fn build_loss<'f, L>(loss: L) -> BuildLoss<'f>
where
    L: for<'g> Fn(&Inputs<'g>) -> Result<Expr<'g>, Error> + Send + 'f,
{
    Box::new(loss)
}

/// A closure that may fail, as a function that builds outputs.
pub(super) fn build_outputs<'f, O>(outputs: O) -> BuildOutputs<'f>
where
    O: for<'g> Fn(&Inputs<'g>) -> Result<Vec<Expr<'g>>, Error> + Send + 'f,
{
    Box::new(outputs)
}

/// A function of a trainer.
pub(super) struct Function<'f> {
    pub(super) body: Body<'f>,
    /// Where the caller gave it.
    pub(super) origin: Origin,
    plans: Vec<Kept>,
    has_run: bool,
    /// What its steps have trained.
    pub(super) reach: Reach,
    /// The patterns of what is kept, computed again or keeps f32 for which a plan of it had a name.
    pub(super) matched: Vec<String>,
}

/// What a function computes.
pub(super) enum Body<'f> {
    Training {
        /// What stands before the names of its optimiser's states: nothing for the first.
        name: String,
        optimizer: Box<dyn Optimizer + Send + 'f>,
        loss: BuildLoss<'f>,
        /// A learning rate that was set before there was a plan.
        learning_rate: Option<f64>,
    },
    Evaluation(BuildOutputs<'f>),
}

/// What a plan of a function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A training step, or an evaluation.
    Run,
    /// The gradients of a training step.
    Gradients,
    /// What one shard of a batch gives to a step of the deterministic mode.
    Shard,
    /// The update of a step of the deterministic mode, whatever the shapes of its inputs.
    Update,
}

/// A plan of a function that is kept.
pub(super) struct Kept {
    purpose: Purpose,
    has_samples: bool,
    asked: Vec<Asked>,
    /// The names of what comes last among the outputs: metrics, or gradients.
    pub(super) names: Vec<String>,
    /// How many of the names are those of metrics.
    pub(super) reported: usize,
    pub(super) prepared: Prepared,
    /// The names of the parameters that it trains.
    trained: Vec<String>,
    /// What [`Kept::intent`] gives, once it was asked for.
    intent: Option<(Intent, Arc<str>)>,
    /// When it was last asked for.
    last: u64,
}

/// What a trainer wants of the plans of its functions.
pub(super) struct Wanted<'w> {
    pub(super) memory: MemoryPolicy,
    /// The device that they are for.
    pub(super) target: Target,
    /// In a group, by which buckets gradients are exchanged.
    pub(super) exchanges_by: Option<Bucketing>,
    pub(super) precision: &'w Precision,
    /// The parameters that count the steps which reach them alone.
    pub(super) at_times: &'w BTreeSet<String>,
    /// What plans of the function's steps update, as far as there were such.
    pub(super) reached: &'w [Missed],
    /// The parameters that other plans have declared to be trained, or that wait for a plan.
    pub(super) known: &'w [String],
}

impl<'f> Function<'f> {
    pub(super) fn new(body: Body<'f>, origin: Origin) -> Self {
        let (plans, matched) = (Vec::new(), Vec::new());
        Function { body, origin, plans, has_run: false, reach: Reach::default(), matched }
    }

    /// The place of a plan that these tensors can be run by, if there is one.
    pub(super) fn find(&mut self, purpose: Purpose, tensors: &Tensors<'_>, now: u64) -> Option<usize> {
        let fits = |kept: &Kept| fits((kept.purpose, kept.has_samples, &kept.asked), purpose, tensors);
        let place = self.plans.iter().position(fits)?;
        self.plans[place].last = now;
        Some(place)
    }

    /// Whether there was a plan of a training step or of an evaluation.
    pub(super) fn has_run(&self) -> bool {
        self.has_run
    }

    /// Gives up plans of which that is so.
    pub(super) fn give_up(&mut self, is_given_up: impl Fn(&Kept) -> bool) -> Vec<Prepared> {
        let (given_up, kept): (Vec<Kept>, Vec<Kept>) =
            std::mem::take(&mut self.plans).into_iter().partition(is_given_up);
        self.plans = kept;
        given_up.into_iter().map(|kept| kept.prepared).collect()
    }

    /// Gives up plans of steps that train one of these parameters.
    pub(super) fn give_up_steps_of(&mut self, parameters: &BTreeSet<String>) -> Vec<Prepared> {
        self.give_up(|kept| kept.trained.iter().any(|name| parameters.contains(name)))
    }

    /// Gives up plans of steps.
    pub(super) fn give_up_steps(&mut self) -> Vec<Prepared> {
        self.give_up(|kept| matches!(kept.purpose, Purpose::Run | Purpose::Update))
    }

    /// Plans the function for these tensors, as it is wanted of the trainer's plans.
    pub(super) fn plan(
        &self,
        purpose: Purpose,
        tensors: &Tensors<'_>,
        Wanted { memory, target, exchanges_by, precision, at_times, reached, known }: Wanted<'_>,
    ) -> Result<(Plan, Parts), Error> {
        let graph = Graph::new();
        let inputs = Inputs::new(&graph, tensors)?;
        // An expression of another graph is refused here.
        let origin = self.origin;
        // What is declared from there on belongs to the optimiser.
        let mut declared = usize::MAX;
        let mut reported = 0;
        let (mut shared, mut depends) = (Vec::new(), false);
        let (request, names, asked) = match &self.body {
            Body::Training { name, optimizer, loss, .. } => {
                let loss = loss(&inputs).map_err(|error| inputs.first_mistake(error))?;
                let asked = inputs.asked()?;
                let loss = required(&graph, &[loss], "loss", origin)?[0];
                let (shared_counts, depends_on_missed) = (RefCell::default(), Cell::new(false));
                let optimizer = UnderPrefix {
                    prefix: name,
                    optimizer: &**optimizer,
                    reached_at_times: at_times,
                    reached,
                    known,
                    shared: &shared_counts,
                    depends_on_missed: &depends_on_missed,
                };
                let requested = match purpose {
                    Purpose::Run => {
                        let (names, metrics) = inputs.metrics()?;
                        declared = graph.declarations().len();
                        let request = match exchanges_by {
                            Some(buckets) => {
                                group_training_request(loss, &metrics, &optimizer, buckets, (precision, name), origin)?
                            }
                            None => training_request(loss, &metrics, &optimizer, (precision, name), origin)?,
                        };
                        (request, names, asked)
                    }
                    Purpose::Gradients => {
                        // The scale of the loss, which is the step's.
                        declared = graph.declarations().len();
                        let (request, names) = match exchanges_by {
                            Some(buckets) => group_gradients_request(loss, &optimizer, buckets, (precision, name))?,
                            None => gradients_request(loss, &optimizer, precision, name)?,
                        };
                        (request, names, asked)
                    }
                    Purpose::Shard => {
                        let (mut names, metrics) = inputs.metrics()?;
                        reported = names.len();
                        let (request, given) = shard_request(loss, &metrics, &optimizer, precision)?;
                        names.extend(given);
                        (request, names, asked)
                    }
                    Purpose::Update => {
                        declared = graph.declarations().len();
                        (update_request(loss, &optimizer, origin)?, Vec::new(), Vec::new())
                    }
                };
                (shared, depends) = (shared_counts.take(), depends_on_missed.get());
                requested
            }
            Body::Evaluation(outputs) => {
                let outputs = outputs(&inputs).map_err(|error| inputs.first_mistake(error))?;
                let asked = inputs.asked()?;
                let outputs = required(&graph, &outputs, "outputs", origin)?;
                let mut outputs = outputs.iter().map(|output| output.id()).collect::<Result<Vec<NodeId>, _>>()?;
                let (names, metrics) = inputs.metrics()?;
                outputs.extend(metrics);
                let stages = vec![("forward", outputs.clone())];
                let rounding = precision.of_evaluation(&graph)?;
                (Request { outputs, stages, rest: "rest", rounding, ..Request::default() }, names, asked)
            }
        };
        // Members of a group find each other's training functions by their names. Evaluations have none.
        let function = match &self.body {
            Body::Training { name, .. } => digest(name.bytes()),
            Body::Evaluation(_) => 0,
        };
        let Intent { signature, .. } = request.intent;
        let named = names.iter().flat_map(|name| name.bytes().chain([b'\n']));
        let signature = digest(signature.to_le_bytes().into_iter().chain(named));
        let intent = Intent { function, signature, ..request.intent };
        let updated: Vec<u32> = request.updates.iter().map(|(number, _)| *number).collect();
        let told = match (&self.body, purpose) {
            (Body::Evaluation(_), _) => Vec::new(),
            (body @ Body::Training { .. }, Purpose::Run) if !names.is_empty() => {
                vec![describe(body), format!("that reports {}", listed(names.iter().map(String::as_str)))]
            }
            (body @ Body::Training { .. }, Purpose::Run) => vec![describe(body), "that reports nothing".to_owned()],
            (body @ Body::Training { .. }, Purpose::Gradients | Purpose::Shard | Purpose::Update) => {
                vec![describe(body)]
            }
        };
        let plan = Plan::new(&graph, &Request { memory, target, intent, told, ..request })?;
        let is_state = |declaration: &&Declaration| matches!(declaration.kind, DeclarationKind::Parameter { .. });
        let alive = plan.declarations.iter().zip(&plan.alive).skip(declared).filter(|(_, alive)| **alive);
        let state = alive.map(|(declaration, _)| declaration).filter(is_state);
        let training_state = state.map(|declaration| declaration.name.clone()).collect();
        let is_trained =
            |declaration: &&Declaration| matches!(declaration.kind, DeclarationKind::Parameter { trainable: true, .. });
        let trained = updated.into_iter().map(|number| &plan.declarations[number as usize]).filter(is_trained);
        let trained = trained.map(|declaration| declaration.name.clone()).collect();
        let parts = Parts {
            purpose,
            has_samples: tensors.samples > 0,
            asked,
            names,
            reported,
            training_state,
            trained,
            shared,
            depends_on_missed: depends,
            at_times: BTreeSet::new(),
        };
        Ok((plan, parts))
    }

    /// Keeps a plan that was made ready, and returns its place and those that are kept no longer.
    pub(super) fn keep(&mut self, planned: Parts, prepared: Prepared, most: usize, now: u64) -> (usize, Vec<Prepared>) {
        let mut dropped = Vec::new();
        while self.plans.len() >= most.max(1) {
            let oldest = (0..self.plans.len()).min_by_key(|&place| self.plans[place].last).unwrap_or(0);
            dropped.push(self.plans.swap_remove(oldest).prepared);
        }
        let Parts { purpose, has_samples, asked, names, reported, trained, .. } = planned;
        self.has_run |= matches!(purpose, Purpose::Run | Purpose::Update);
        let intent = None;
        let kept = Kept { purpose, has_samples, asked, names, reported, prepared, trained, intent, last: now };
        self.plans.push(kept);
        (self.plans.len() - 1, dropped)
    }

    pub(super) fn kept(&mut self, place: usize) -> &mut Kept {
        &mut self.plans[place]
    }

    /// How many plans are kept.
    pub(super) fn plans(&self) -> usize {
        self.plans.len()
    }
}

/// What stands beside a plan of a function, before it is made ready and behind it.
pub(super) struct Parts {
    purpose: Purpose,
    /// Whether it is for batches with samples.
    has_samples: bool,
    asked: Vec<Asked>,
    pub(super) names: Vec<String>,
    pub(super) reported: usize,
    /// The names of the states that the optimiser declared.
    pub(super) training_state: Vec<String>,
    /// The names of the parameters that the plan trains.
    pub(super) trained: Vec<String>,
    /// The counts of the optimiser that these share.
    pub(super) shared: Vec<SharedCount>,
    /// Whether what it computes depends on what other steps of the function train and it does not.
    pub(super) depends_on_missed: bool,
    /// Parameters of which it is seen now that some steps do not reach them.
    pub(super) at_times: BTreeSet<String>,
}

impl Parts {
    /// Whether it is of a plan that updates parameters.
    pub(super) fn updates(&self) -> bool {
        matches!(self.purpose, Purpose::Run | Purpose::Update)
    }

    /// Whether it computes the network, and was refused if a pattern of the precision had nothing in it.
    pub(super) fn is_checked_for_precision(&self) -> bool {
        match self.purpose {
            Purpose::Run | Purpose::Gradients | Purpose::Shard => true,
            Purpose::Update => false,
        }
    }

    /// Whether the plan is of that purpose, and these tensors can be run by it.
    pub(super) fn fits(&self, purpose: Purpose, tensors: &Tensors<'_>) -> bool {
        fits((self.purpose, self.has_samples, &self.asked), purpose, tensors)
    }

    /// Those of the tensors that the plan's graph declares.
    pub(super) fn chosen<'t>(&self, tensors: &[(&'t str, &'t Tensor)]) -> Vec<(&'t str, &'t Tensor)> {
        chosen(&self.asked, tensors)
    }
}

impl Kept {
    /// What members of a group must have alike to make a step with this plan, and what that is in words: it takes the names of all parameters to
    /// compute.
    pub(super) fn intent(&mut self) -> (Intent, Arc<str>) {
        let Kept { prepared, intent: known, .. } = self;
        known.get_or_insert_with(|| (intent(prepared.plan()), told(prepared.plan()).into())).clone()
    }

    /// Those of the tensors that the plan's graph declares.
    pub(super) fn chosen<'t>(&self, tensors: &[(&'t str, &'t Tensor)]) -> Vec<(&'t str, &'t Tensor)> {
        chosen(&self.asked, tensors)
    }
}

/// Whether tensors can be run by a plan of that purpose, for batches with samples or for such as have none, whose function has asked for that.
fn fits((planned, has_samples, asked): (Purpose, bool, &[Asked]), purpose: Purpose, tensors: &Tensors<'_>) -> bool {
    // A member without samples gives zeros in an exchange. The update of the deterministic mode depends on no tensors at all.
    let as_many = purpose == Purpose::Update || has_samples == (tensors.samples > 0);
    planned == purpose && as_many && asked.iter().all(|asked| asked.is_met_by(tensors))
}

/// Those of the tensors that a graph declares whose function has asked for that.
fn chosen<'t>(asked: &[Asked], tensors: &[(&'t str, &'t Tensor)]) -> Vec<(&'t str, &'t Tensor)> {
    let is_declared = |name: &str| asked.iter().any(|asked| asked.is_declared && asked.name == name);
    tensors.iter().filter(|(name, _)| is_declared(name)).copied().collect()
}
