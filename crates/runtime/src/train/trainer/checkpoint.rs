//! Everything that a trainer goes on from, out and in again.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::pending::Pending;
use crate::train::LEARNING_RATE;
use crate::train::trainer::function::{Body, Function};
use crate::train::trainer::owners::OF_NO_OPTIMISER;
#[cfg(feature = "fit")]
use crate::train::trainer::reach::Reach;
use crate::train::trainer::restored::Restored;
use crate::train::trainer::{Trainer, under};
#[cfg(feature = "fit")]
use crate::weights::Weights;

/// The note of a checkpoint that has the learning rates of functions which were not planned, by their names.
const NOTE: &str = "arenagrad.trainer";

impl Trainer<'_> {
    /// Everything that training goes on from: see [`Session::checkpoint`](crate::Session::checkpoint). What is not planned yet has no
    /// parameters and no optimiser's state to be kept, and begins from the seed; a learning rate that was set for it is kept.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        Ok(noted(self.session.checkpoint()?, self.rates_for_later(), self.other_notes()))
    }

    /// [`Trainer::checkpoint`] without blocking: everything as it is after all steps that were submitted before, read at once.
    pub fn checkpoint_async(&self) -> Pending<Checkpoint> {
        let (rates, notes) = (self.rates_for_later(), self.other_notes());
        self.session.checkpoint_async().then(|checkpoint| Ok(noted(checkpoint, rates, notes)))
    }

    /// Whose states are, and what steps reach.
    fn other_notes(&self) -> Vec<(&'static str, String)> {
        self.owners_note().into_iter().chain(self.reach_note()).collect()
    }

    /// The learning rates that were set for functions which are not planned yet, by their names.
    fn rates_for_later(&self) -> Map<String, Value> {
        let mut rates = Map::new();
        for function in &self.functions {
            if let Body::Training { name, learning_rate: Some(rate), .. } = &function.body {
                // As text, because readers of JSON may round numbers. It is no tensor, for nobody knows yet in which dtype it will be.
                rates.insert(name.clone(), Value::from(format!("{rate:?}")));
            }
        }
        rates
    }

    /// Goes on from a checkpoint, before the first step or after any: parameters and states of functions that are planned later get
    /// their values then. A learning rate that was set before is that of the checkpoint from now on, if it has one for the function.
    ///
    /// It takes the checkpoints that [`Session::restore`](crate::Session::restore) takes: of trainers and of sessions, and one of a tape's
    /// optimiser whose leaves and states have the names that they have here.
    ///
    /// It takes its own at any time, and those of a trainer of the same functions that has planned other batches: the states of parameters and
    /// groups that only some steps reach, and the seed and the count of steps that random draws need, wait for a plan that has them.
    ///
    /// Errors, after which nothing is changed: as [`Session::restore`](crate::Session::restore). Values that do not fit a function that is
    /// planned later are an error when it is. The states of its optimiser must be those that the checkpoint has of it, no more and no fewer, of the parameters that both have: a
    /// checkpoint of another optimiser is refused here if the training functions are planned ([`Trainer::prepare`]), and else by the first step.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let is_known = |function: &Function<'_>| match &function.body {
            Body::Training { .. } => function.has_run(),
            Body::Evaluation(_) => true,
        };
        let has_training = self.functions.iter().any(|function| matches!(function.body, Body::Training { .. }));
        let steps_are_known = has_training && self.functions.iter().all(is_known);
        let (rates, restored) = (waiting_rates(checkpoint)?, Restored::of(checkpoint)?);
        let reach = self.restored_reach(checkpoint)?;
        let lacking = self.lacking_counts(&reach, checkpoint.weights())?;
        let states = self.states_to_come(&reach, checkpoint);
        let may_wait = |state: &str| states.contains(state) || OF_NO_OPTIMISER.contains(&state);
        self.session.restore_where(steps_are_known, &may_wait, checkpoint, &lacking)?;
        self.restore_reach(reach);
        self.restored = Some(restored);
        for function in &mut self.functions {
            if let Body::Training { name, learning_rate, .. } = &mut function.body {
                if let Some(rate) = rates.get(name) {
                    *learning_rate = Some(*rate);
                } else if checkpoint.weights().contains(&under(name, LEARNING_RATE)) {
                    *learning_rate = None;
                }
            }
        }
        Ok(())
    }

    /// Goes back to what parameters and states were at an earlier point of this training; parts of the network that have appeared since keep
    /// what they have. A count that was shared then, and is a parameter's own by now, is what the shared one was.
    #[cfg(feature = "fit")]
    pub(crate) fn take_back(&mut self, weights: &Weights) -> Result<(), Error> {
        let reaches: Vec<Reach> = self.functions.iter().map(|function| function.reach.clone()).collect();
        let lacking = self.lacking_counts(&reaches, weights)?;
        self.session.take_back(weights, lacking)
    }
}

/// A checkpoint with the learning rates that are set later, and with other notes.
fn noted(checkpoint: Checkpoint, rates: Map<String, Value>, notes: Vec<(&str, String)>) -> Checkpoint {
    let rates = if rates.is_empty() { None } else { Some((NOTE, Value::from(rates).to_string())) };
    rates.into_iter().chain(notes).fold(checkpoint, |checkpoint, (key, text)| checkpoint.with_note(key, text))
}

/// The learning rates of functions that were not planned when a checkpoint was made. Refuses a note that no trainer writes.
fn waiting_rates(checkpoint: &Checkpoint) -> Result<HashMap<String, f64>, Error> {
    let Some(text) = checkpoint.note(NOTE) else { return Ok(HashMap::new()) };
    let foreign = || {
        let (origin, key) = (checkpoint.origin().to_owned(), NOTE.to_owned());
        Error::from(CheckpointError::Foreign { origin, key, found: text.to_owned() })
    };
    let rates: HashMap<String, String> = serde_json::from_str(text).map_err(|_| foreign())?;
    let rate = |(name, rate): (String, String)| match rate.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok((name, rate)),
        Ok(_) | Err(_) => Err(foreign()),
    };
    rates.into_iter().map(rate).collect()
}
