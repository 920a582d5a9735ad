//! Everything that a tape's optimiser goes on from, out and in again.
//!
//! Beside leaves and states a checkpoint notes which leaves count their updates alone.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::{Error, Given};
use crate::tape::optimizer::TapeOptimizer;
use crate::tape::optimizer::members::Members;
use crate::tape::{Tape, Variable};
use crate::tensor::Tensor;
use crate::train::Hyperparameters;
use crate::weights::Weights;

/// The note of a checkpoint that says which leaves count alone.
const NOTE: &str = "arenagrad.tape";

impl TapeOptimizer {
    /// Everything that training goes on from, with the bits that it has now: the leaves under the names by which the optimiser knows
    /// them, the states that layers keep on the tape (running statistics, the count of draws and their seed), and the optimiser's own,
    /// the learning rate among them. Parameters of the tape that join at the next step are among the leaves. Gradients are not kept.
    ///
    /// ```
    /// use arenagrad::{Adam, Checkpoint, Device, Error, Tape, TapeOptimizer, Variable};
    ///
    /// fn start() -> Result<(Variable, TapeOptimizer), Error> {
    ///     let tape = Tape::new(Device::cpu());
    ///     let w = tape.leaf(3.0).requires_grad().named("w");
    ///     let optimizer = TapeOptimizer::new(&tape, &[&w], Adam::new(0.1))?;
    ///     Ok((w, optimizer))
    /// }
    /// fn step(w: &Variable, optimizer: &mut TapeOptimizer) -> Result<f64, Error> {
    ///     optimizer.zero_grad();
    ///     (w - 2.0).square().backward()?;
    ///     optimizer.step()?;
    ///     w.item()
    /// }
    ///
    /// let (w, mut optimizer) = start()?;
    /// step(&w, &mut optimizer)?;
    /// let file = optimizer.checkpoint()?.with("epoch", 1).to_bytes()?;
    /// let second = step(&w, &mut optimizer)?;
    ///
    /// let (w, mut optimizer) = start()?;
    /// optimizer.restore(&Checkpoint::from_bytes(file)?)?;
    /// assert_eq!(step(&w, &mut optimizer)?, second);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let (members, begun) = self.members_to_be()?;
        let mut weights = Weights::new();
        for leaf in &members.leaves {
            weights = weights.with(&leaf.name, Variable::of(&self.tape, leaf.record.clone()).data()?);
        }
        for (name, state) in self.kept_states() {
            weights = weights.with(name, state.data()?);
        }
        for (name, value) in self.state_of(&members, &begun)? {
            weights = weights.with(&name, value);
            weights.mark_training_state(&name);
        }
        let alone = members.leaves.iter().filter(|leaf| leaf.counts_alone).map(|leaf| leaf.name.as_str());
        let alone: Vec<&str> = alone.collect();
        // As text, because JSON has no infinite numbers and readers of it may round others.
        let rate = self.rate.map(|rate| format!("{rate:?}"));
        let note = json!({ "count_alone": alone, "has_begun": members.has_begun, "rate": rate });
        Ok(Checkpoint::new(weights, 0).with_note(NOTE, note.to_string()))
    }

    /// Goes on from a checkpoint of an optimiser over leaves of the same names, on this tape or another. On another, what layers keep is
    /// there once they have been applied: apply the network to any input first, and make the tape with the same seed.
    ///
    /// It takes checkpoints of [`TapeOptimizer::checkpoint`] alone: those of sessions and trainers do not say which leaves count their
    /// updates alone. [`crate::Trainer::restore`] and [`crate::Session::restore`] take those.
    ///
    /// Errors, after which nothing is changed: [`CheckpointError::NotOfTape`] for a checkpoint of a session or a trainer;
    /// [`CheckpointError::Missing`] for a leaf or state that the checkpoint lacks, [`CheckpointError::Unused`] for one that it alone has,
    /// or, of an optimiser of a tape's parameters, [`CheckpointError::NotAskedFor`]; another shape or dtype.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        if self.joins {
            self.join_new()?;
        }
        let noted = self.noted(checkpoint)?;
        let (variables, states) = self.fitting(&noted.members, checkpoint)?;
        (self.members, self.rate) = (noted.members, noted.rate);
        // What was given before is of what is gone.
        self.given.clear();
        self.given_counts.clear();
        variables.into_iter().for_each(|(variable, value)| variable.set_data(value));
        self.set_states(&states)
    }

    /// The states that layers keep on the tape.
    fn kept_states(&self) -> Vec<(String, Variable)> {
        Tape { inner: self.tape.clone() }.states()
    }

    /// What the note of a checkpoint says, about leaves of this optimiser.
    fn noted(&self, checkpoint: &Checkpoint) -> Result<Noted, Error> {
        let Some(text) = checkpoint.note(NOTE) else {
            return Err(CheckpointError::NotOfTape { origin: checkpoint.origin().to_owned() }.into());
        };
        let foreign = || {
            let (origin, key) = (checkpoint.origin().to_owned(), NOTE.to_owned());
            Error::from(CheckpointError::Foreign { origin, key, found: text.to_owned() })
        };
        let note: Value = serde_json::from_str(text).map_err(|_| foreign())?;
        let (alone, has_begun) = (note["count_alone"].as_array(), note["has_begun"].as_bool());
        let (alone, has_begun) = alone.zip(has_begun).ok_or_else(foreign)?;
        let alone = alone.iter().map(|name| name.as_str()).collect::<Option<BTreeSet<&str>>>().ok_or_else(foreign)?;
        let rate = match note["rate"].as_str() {
            Some(rate) => Some(rate.parse::<f64>().map_err(|_| foreign())?),
            None => None,
        };
        let leaves = &self.members.leaves;
        let known: HashSet<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
        if let Some(name) = alone.iter().find(|name| !known.contains(*name)) {
            return Err(self.unused(checkpoint, name));
        }
        let mut members = self.members.counting_alone(&alone, &*self.optimizer, self.origin)?;
        members.has_begun = has_begun;
        Ok(Noted { members, rate })
    }

    /// The values of leaves and of what layers keep, and those of the optimiser's states, each checked.
    fn fitting(&self, members: &Members, checkpoint: &Checkpoint) -> Result<Fitting, Error> {
        let mut used = HashSet::new();
        let mut value = |name: &str| {
            if !checkpoint.weights().contains(name) {
                return Err(self.missing(checkpoint, name));
            }
            used.insert(name.to_owned());
            checkpoint.tensor(name)
        };
        let given = || Given::File(checkpoint.origin().into());
        let leaves =
            members.leaves.iter().map(|leaf| (leaf.name.clone(), Variable::of(&self.tape, leaf.record.clone())));
        let mut variables = Vec::new();
        for (name, variable) in leaves.chain(self.kept_states()) {
            let (found, present) = (value(&name)?, variable.data()?);
            if found.shape() != present.shape() {
                let (expected, found) = (present.shape().clone(), found.shape().clone());
                return Err(Error::ParameterShape { name, expected, found, given: given() });
            }
            if found.storage() != present.storage() {
                let (expected, found) = (present.storage(), found.storage());
                return Err(Error::ParameterDType { name, expected, found, given: given() });
            }
            variables.push((variable, found));
        }
        let mut states = Vec::new();
        for state in &members.states {
            let name = state.name.clone();
            let found = value(&name)?;
            if *found.shape() != state.shape {
                let (expected, found) = (state.shape.clone(), found.shape().clone());
                return Err(Error::ParameterShape { name, expected, found, given: given() });
            }
            if found.dtype() != state.storage.value() {
                let (expected, found) = (state.storage, found.storage());
                return Err(Error::ParameterDType { name, expected, found, given: given() });
            }
            Hyperparameters::beside(members.dtypes(), given()).state(&state.name, &found)?;
            states.push((name, found));
        }
        match checkpoint.names().find(|name| !used.contains(*name)) {
            Some(name) => Err(self.unused(checkpoint, name)),
            None => Ok((variables, states)),
        }
    }

    fn missing(&self, checkpoint: &Checkpoint, name: &str) -> Error {
        CheckpointError::Missing { origin: checkpoint.origin().to_owned(), missing: format!("{name:?}") }.into()
    }

    fn unused(&self, checkpoint: &Checkpoint, name: &str) -> Error {
        let (origin, unused) = (checkpoint.origin().to_owned(), format!("{name:?}"));
        let is_state = checkpoint.weights().is_training_state(name);
        if self.joins && !is_state {
            return CheckpointError::NotAskedFor { origin, unused }.into();
        }
        CheckpointError::Unused { origin, unused }.into()
    }
}

/// Values of variables, and values of states by name.
type Fitting = (Vec<(Variable, Tensor)>, Vec<(String, Tensor)>);

/// What a checkpoint says beside tensors.
struct Noted {
    /// The leaves, of which some count alone.
    members: Members,
    rate: Option<f64>,
}
