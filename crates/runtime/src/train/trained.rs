//! A parameter under training, as an optimiser sees it: its value, its gradient, and what was said of it around the optimiser.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use arenagrad_graph::{DType, Expr, Graph, Init, NodeId, Shape};

use crate::error::Error;
use crate::train::schedules::{Schedule, one_number};

/// A parameter under training, which the gradient reaches.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trained<'g> {
    /// The name of its declaration.
    pub name: String,
    /// Its present value.
    pub parameter: Expr<'g>,
    /// The gradient of the loss, of the same shape.
    pub gradient: Expr<'g>,
    /// What was said of it around the optimiser.
    pub(crate) settings: Settings,
}

/// What was said of a parameter around the optimiser.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The group of parameters with an optimiser of its own: what the names of its scalars begin with.
    pub(crate) group: Option<String>,
    /// By what the learning rate is multiplied.
    pub(crate) rate_factor: f64,
    /// By what the weight decay is multiplied.
    pub(crate) decay_factor: f64,
    /// From the base rate to the present one, the outermost first.
    pub(crate) schedules: Vec<Scheduling>,
    /// The node that says whether the optimiser updates it in this step; none if it always does. Whoever stands around an
    /// optimiser reads it after the update.
    pub(crate) updated: Rc<Cell<Option<NodeId>>>,
    /// Whether there are steps of the optimiser that do not reach it: then it counts its updates itself.
    pub(crate) counts_alone: bool,
    /// The parameters that other steps of the optimiser update, and this one does not reach.
    pub(crate) missed: Rc<MissedOfStep>,
    /// The counts and the like that the optimiser has for all its parameters, and that go on whichever of these a step reaches.
    pub(crate) scalars: Rc<RefCell<HashSet<NodeId>>>,
    /// What the optimiser keeps of it, and of which counts.
    pub(crate) kept: Rc<RefCell<KeptOfOne>>,
}

/// What an optimiser keeps of one parameter.
#[derive(Debug, Default)]
pub(crate) struct KeptOfOne {
    /// The states that are its alone.
    pub(crate) states: Vec<NodeId>,
    /// The counts that others have too, each with the suffix of the state that takes its place where the parameter counts alone.
    pub(crate) shared: Vec<(String, &'static str)>,
    /// As [`Settings::updated`], where that is not what others have.
    pub(crate) updated: Option<NodeId>,
    /// The state of the norm of all gradients by which its own is clipped.
    pub(crate) norm: Option<NodeId>,
}

/// The parameters that a step does not reach and others do.
#[derive(Debug, Default)]
pub(crate) struct MissedOfStep {
    pub(crate) parameters: Vec<Missed>,
    /// Whether one of them is f64.
    pub(crate) has_wide: bool,
    /// Whether the optimiser's update depends on them.
    pub(crate) is_asked: Cell<bool>,
}

/// A parameter that other steps of an optimiser update.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
}

impl MissedOfStep {
    pub(crate) fn new(parameters: Vec<Missed>) -> Rc<Self> {
        let has_wide = parameters.iter().any(|missed| missed.dtype == DType::F64);
        Rc::new(MissedOfStep { parameters, has_wide, is_asked: Cell::new(false) })
    }
}

/// A schedule, and what came of it.
#[derive(Clone)]
pub(crate) struct Scheduling {
    pub(crate) schedule: Arc<dyn Schedule>,
    pub(crate) asked: Rc<Asked>,
}

/// What an optimiser has asked of a schedule, and whether there was an answer.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) rate: Cell<bool>,
    pub(crate) momentum: Cell<bool>,
    /// Whether the schedule says a momentum.
    pub(crate) has_momentum: Cell<bool>,
}

impl<'g> Trained<'g> {
    /// A parameter of which nothing was said.
    pub(crate) fn new(name: impl Into<String>, parameter: Expr<'g>, gradient: Expr<'g>) -> Self {
        Trained { name: name.into(), parameter, gradient, settings: Settings::default() }
    }

    /// A state of the optimiser beside this parameter, of its shape and dtype, that starts at `init`. Its name is that of the
    /// parameter with `.suffix` behind it. A number that no state starts at, such as NaN, is the graph's mistake.
    #[track_caller]
    pub fn state(&self, graph: &'g Graph, suffix: &str, init: f64) -> Result<Expr<'g>, Error> {
        let (shape, dtype) = (self.parameter.shape()?, self.parameter.dtype()?);
        let state = graph.state(self.state_name(suffix), shape, dtype, Init::Constant(init));
        self.note_state(state);
        Ok(state)
    }

    /// A count or another scalar of the optimiser for this parameter: `shared`, which others have too, unless there are steps that do not reach the
    /// parameter. Then it is a state of its own, that starts at `init`, which is returned as well, for the caller to keep it up.
    pub(crate) fn own_scalar(
        &self,
        graph: &'g Graph,
        (suffix, init): (&'static str, f64),
        shared: Expr<'g>,
    ) -> Result<(Expr<'g>, bool), Error> {
        self.settings.kept.borrow_mut().shared.push((self.settings.scalar_name(suffix), suffix));
        if !self.settings.counts_alone {
            return Ok((shared, false));
        }
        let own = graph.state(self.state_name(suffix), [], shared.dtype()?, Init::Constant(init));
        self.note_state(own);
        Ok((own, true))
    }

    /// The parameter, and the states that are its alone.
    pub(crate) fn own_nodes(&self) -> Vec<NodeId> {
        let states = self.settings.kept.borrow().states.clone();
        self.parameter.id().into_iter().chain(states).collect()
    }

    /// A parameter that this step does not reach, as if its gradient were 0. Of what an optimiser makes of it nothing is to be taken but what is
    /// [counted for all](Settings::note_scalar).
    pub(crate) fn missing(&self, graph: &'g Graph, missed: &Missed) -> Self {
        let Missed { name, shape, dtype } = missed;
        let zeros = || graph.zeros(shape, *dtype);
        let mut one = Trained::new(name.clone(), zeros(), zeros());
        let Settings { group, schedules, missed, scalars, .. } = self.settings.clone();
        one.settings = Settings { group, schedules, missed, scalars, ..Settings::default() };
        one
    }

    fn note_state(&self, state: Expr<'g>) {
        if let Ok(state) = state.id() {
            self.settings.kept.borrow_mut().states.push(state);
        }
    }

    /// By what the learning rate of this parameter is multiplied: 1, unless [`crate::Optimizer::scale_rate`] said something else.
    pub fn rate_factor(&self) -> f64 {
        self.settings.rate_factor
    }

    /// By what the weight decay of this parameter is multiplied: 0 after [`crate::Optimizer::no_decay`].
    pub fn decay_factor(&self) -> f64 {
        self.settings.decay_factor
    }

    /// The same parameter with another gradient of its shape.
    #[must_use]
    pub fn with_gradient(&self, gradient: Expr<'g>) -> Self {
        Trained { gradient, ..self.clone() }
    }

    /// The same parameter in a group with an optimiser of its own, within the group that it was in.
    pub(crate) fn in_group(&self, name: &str) -> Self {
        let mut one = self.clone();
        one.settings.group = Some(self.settings.scalar_name(name));
        one
    }

    /// The gradient, or its negative where the loss is to grow, with `penalty p` added: the gradient of an L2 penalty, scaled as the
    /// parameter's weight decay.
    pub(crate) fn penalised(&self, maximize: bool, penalty: f64) -> Expr<'g> {
        let gradient = if maximize { -self.gradient } else { self.gradient };
        let penalty = penalty * self.decay_factor();
        if penalty == 0.0 { gradient } else { gradient + self.parameter * penalty }
    }

    /// The name of a state beside this parameter.
    pub(crate) fn state_name(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.name)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            group: None,
            rate_factor: 1.0,
            decay_factor: 1.0,
            schedules: Vec::new(),
            updated: Rc::default(),
            counts_alone: false,
            missed: Rc::default(),
            scalars: Rc::default(),
            kept: Rc::default(),
        }
    }
}

impl fmt::Debug for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduling").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Settings {
    /// What the schedules make of a base rate.
    pub(crate) fn scheduled_rate<'g>(&self, base: Expr<'g>, count: Expr<'g>) -> Result<Expr<'g>, Error> {
        // What the inner schedule gives is the base of the outer one.
        let mut schedules = self.schedules.iter().rev();
        schedules.try_fold(base, |rate, Scheduling { schedule, .. }| {
            one_number("rate", schedule.rate(rate, count)?, base, count)
        })
    }

    /// Notes a state that is the optimiser's and no parameter's: it goes on at steps that reach none of its parameters.
    pub(crate) fn note_scalar(&self, state: Expr<'_>) {
        self.scalars.borrow_mut().extend(state.id());
    }

    /// The name of a scalar state that all parameters of an optimiser share.
    pub(crate) fn scalar_name(&self, name: &str) -> String {
        match &self.group {
            Some(group) => format!("{group}.{name}"),
            None => name.to_owned(),
        }
    }
}
