//! The scalars that an optimiser has for all its parameters: the learning rate, base and present, and the count of updates.

use std::collections::HashMap;

use arenagrad_graph::{DType, Expr, Graph, Init, NodeId, Origin};

use crate::error::Error;
use crate::train::hyperparameter::UPDATES;
use crate::train::schedules::one_number;
use crate::train::{LEARNING_RATE, Trained, scalar_dtype};

/// The name of the state that holds the learning rate of the last update, where a schedule says it.
pub(crate) const SCHEDULED_RATE: &str = "learning_rate.scheduled";

/// The learning rate and the count of updates of an optimiser, as states of the graph. An optimiser of one's own that takes its
/// rate from here can be scheduled, and its parameters may have rates of their own.
///
/// The base rate is the state `learning_rate`, which [`crate::Session::set_learning_rate`] sets. The present one is what the
/// schedules around the optimiser make of it; without any it is the base rate.
///
/// ```
/// use arenagrad::train::{Scalars, Trained};
/// use arenagrad::{Error, Expr, Graph, Optimizer};
///
/// /// Steps of one length: `p = p - rate sign(g)`.
/// struct SignDescent {
///     rate: f64,
/// }
///
/// impl Optimizer for SignDescent {
///     fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
///         let scalars = Scalars::new(graph, trained, self.rate)?;
///         let mut pairs = scalars.updates();
///         for one in trained {
///             pairs.push((one.parameter, one.parameter - scalars.learning_rate(one)? * one.gradient.sign()));
///         }
///         Ok(pairs)
///     }
/// }
/// # let g = Graph::new();
/// # let w = g.parameter("w", [2], arenagrad::Init::Constant(1.0));
/// # let optimizer = SignDescent { rate: 0.25 }.schedule(arenagrad::train::schedules::Exponential::new(0.5));
/// # let mut session = arenagrad::Session::train(&g, w.sum(..), optimizer, arenagrad::Device::cpu())?;
/// # session.step(&[])?;
/// # session.step(&[])?;
/// # assert_eq!(session.parameter("w")?.to_f64_vec(), [0.625, 0.625]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scalars<'g> {
    base: Expr<'g>,
    present: Expr<'g>,
    /// The present rates of parameters with a factor, by the factor's bits, where a schedule says them.
    by_factor: HashMap<u64, Expr<'g>>,
    number: Option<Expr<'g>>,
    /// Those of parameters that count their updates alone, by the parameter.
    own_numbers: HashMap<NodeId, Expr<'g>>,
    momentum: Option<Expr<'g>>,
    updates: Vec<(Expr<'g>, Expr<'g>)>,
}

impl<'g> Scalars<'g> {
    /// The states of an optimiser whose rate is `rate` at first. Updates are counted only if a schedule needs it.
    ///
    /// Errors: what the schedules report of their numbers. A rate that no state starts at, such as NaN, is the graph's mistake.
    #[track_caller]
    pub fn new(graph: &'g Graph, trained: &[Trained<'g>], rate: f64) -> Result<Self, Error> {
        Scalars::of(graph, trained, rate, false)
    }

    /// The same with a count of updates: see [`Scalars::number`].
    #[track_caller]
    pub fn counted(graph: &'g Graph, trained: &[Trained<'g>], rate: f64) -> Result<Self, Error> {
        Scalars::of(graph, trained, rate, true)
    }

    #[track_caller]
    fn of(graph: &'g Graph, trained: &[Trained<'g>], rate: f64, is_counted: bool) -> Result<Self, Error> {
        let origin = Origin::here();
        let dtype = scalar_dtype(trained)?;
        let settings = trained.first().map(|first| first.settings.clone()).unwrap_or_default();
        let state = |name: &str, init: f64| {
            graph.at(origin, || graph.state(settings.scalar_name(name), [], dtype, Init::Constant(init)))
        };
        let base = state(LEARNING_RATE, rate);
        let mut scalars = Scalars {
            base,
            present: base,
            by_factor: HashMap::new(),
            number: None,
            own_numbers: HashMap::new(),
            momentum: None,
            updates: Vec::new(),
        };
        if !is_counted && settings.schedules.is_empty() {
            return Ok(scalars);
        }
        // f32 counts to 16,777,216 exactly; by then what depends on the count has long come to its end.
        let count = state(UPDATES, 0.0);
        settings.note_scalar(count);
        let number = (count + 1.0).named(settings.scalar_name("updates.next"));
        scalars.number = Some(number);
        scalars.updates.push((count, number));
        for one in trained.iter().filter(|_| is_counted) {
            let (own, is_own) = graph.at(origin, || one.own_scalar(graph, (UPDATES, 0.0), count))?;
            if is_own {
                let next = (own + 1.0).named(format!("{}.next", one.state_name(UPDATES)));
                scalars.own_numbers.insert(one.parameter.id()?, next);
                scalars.updates.push((own, next));
            }
        }
        scalars.present = settings.scheduled_rate(base, count)?;
        // Each begins from a base rate of its own, so that a floor is the same for all.
        for factor in trained.iter().map(Trained::rate_factor).filter(|factor| *factor != 1.0) {
            if !settings.schedules.is_empty() && !scalars.by_factor.contains_key(&factor.to_bits()) {
                scalars.by_factor.insert(factor.to_bits(), settings.scheduled_rate(base * factor, count)?);
            }
        }
        for scheduling in settings.schedules.iter().rev() {
            scheduling.asked.rate.set(true);
            if let Some(momentum) = scheduling.schedule.momentum(count)? {
                scheduling.asked.has_momentum.set(true);
                scalars.momentum = Some(one_number("momentum", momentum, base, count)?);
            }
        }
        if !settings.schedules.is_empty() {
            let last = state(SCHEDULED_RATE, 0.0);
            settings.note_scalar(last);
            scalars.updates.push((last, scalars.present));
        }
        Ok(scalars)
    }

    /// The present learning rate of a parameter, in its dtype and with its factor.
    #[track_caller]
    pub fn learning_rate(&self, trained: &Trained<'g>) -> Result<Expr<'g>, Error> {
        Ok(self.rate_with_factor(trained.rate_factor()).cast(trained.parameter.dtype()?))
    }

    /// The state of the base rate, in the dtype of the scalars.
    pub fn base_rate(&self) -> Expr<'g> {
        self.base
    }

    /// The number of this update, counted from 1, in the dtype of the scalars; none if updates are not counted.
    pub fn number(&self) -> Option<Expr<'g>> {
        self.number
    }

    /// The number of this update of a parameter, counted from 1, in the dtype of the scalars; none if updates are not counted. It is that of
    /// [`Scalars::number`] unless there are steps that do not reach the parameter, as where only some batches have what a part of a network
    /// needs: then it counts those that do, as PyTorch's optimisers count for each parameter. Schedules go by the count of all.
    pub fn number_of(&self, trained: &Trained<'g>) -> Option<Expr<'g>> {
        let own = trained.parameter.id().ok().and_then(|parameter| self.own_numbers.get(&parameter));
        own.copied().or(self.number)
    }

    /// What a schedule says of the momentum, or of Adam's first beta, in the dtype of the scalars; none if no schedule does. An
    /// optimiser without either does not ask, and is then refused under such a schedule.
    pub fn momentum(&self, trained: &[Trained<'g>]) -> Option<Expr<'g>> {
        for scheduling in trained.iter().flat_map(|one| &one.settings.schedules) {
            scheduling.asked.momentum.set(true);
        }
        self.momentum
    }

    /// The next values of these states, which belong to those of the optimiser's update.
    pub fn updates(&self) -> Vec<(Expr<'g>, Expr<'g>)> {
        self.updates.clone()
    }

    /// The number of this update, for an optimiser that counts them.
    pub(crate) fn number_or_first(&self) -> Expr<'g> {
        self.number.unwrap_or_else(|| self.base.full_like(1.0))
    }

    /// The number of this update of a parameter, for an optimiser that counts them.
    pub(crate) fn number_of_or_first(&self, trained: &Trained<'g>) -> Expr<'g> {
        self.number_of(trained).unwrap_or_else(|| self.number_or_first())
    }

    /// One more scalar state of the optimiser.
    pub(crate) fn state(
        &self,
        graph: &'g Graph,
        trained: &[Trained<'g>],
        name: &str,
        init: f64,
    ) -> Result<Expr<'g>, Error> {
        let settings = trained.first().map(|first| first.settings.clone()).unwrap_or_default();
        let state = graph.state(settings.scalar_name(name), [], self.dtype()?, Init::Constant(init));
        settings.note_scalar(state);
        Ok(state)
    }

    /// The present rate of parameters whose base rate is multiplied by a factor, in the dtype of the scalars.
    pub(crate) fn rate_with_factor(&self, factor: f64) -> Expr<'g> {
        match self.by_factor.get(&factor.to_bits()) {
            Some(rate) => *rate,
            None if factor == 1.0 => self.present,
            None => self.present * factor,
        }
    }

    /// The dtype of the scalars: f64 if a parameter is.
    pub(crate) fn dtype(&self) -> Result<DType, Error> {
        Ok(self.base.dtype()?)
    }
}
