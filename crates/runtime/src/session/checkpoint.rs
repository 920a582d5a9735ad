//! Everything that a session's training goes on from, out and in again.

use std::path::PathBuf;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::{Error, Given};
use crate::pending::Pending;
use crate::session::Session;
#[cfg(feature = "fit")]
use crate::session::parameters::Parameter;
use crate::session::parameters::{Place, Waiting};
use crate::tensor::Tensor;
use crate::train::listed;
#[cfg(feature = "fit")]
use crate::weights::Weights;

impl Session {
    /// Everything that training goes on from, with the bits that it has now: all parameters and states, the optimiser's too, the learning
    /// rate, the count of steps and the seed of random draws. [`Checkpoint::with`] adds values of the program's own, such as the place
    /// in the data.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let weights = self.whole_state(&PathBuf::from("a checkpoint"))?;
        Ok(Checkpoint::new(weights, self.parameters.seed()))
    }

    /// [`Session::checkpoint`] without blocking: everything as it is after all steps that were submitted before, read at once.
    pub fn checkpoint_async(&self) -> Pending<Checkpoint> {
        let seed = self.parameters.seed();
        Pending::of(self.whole_state_later(&PathBuf::from("a checkpoint")))
            .then(move |weights| Ok(Checkpoint::new(weights, seed)))
    }

    /// Goes on from a checkpoint: every parameter and state gets the bits that it had when the checkpoint was made, so that the next
    /// steps on the same device give the bits that they would have given then.
    ///
    /// Everything that a plan of this session needs must be in the checkpoint, in the same shape and type. What the checkpoint has
    /// beyond that is given to plans that are added later; only an optimiser's state that a training step does not know is refused,
    /// because it is of another optimiser.
    ///
    /// It takes checkpoints of [`Session::checkpoint`] and of [`Trainer::checkpoint`](crate::Trainer::checkpoint); one of a tape's optimiser
    /// ([`TapeOptimizer::checkpoint`](crate::TapeOptimizer::checkpoint)) where parameters and states have the same names here, which they have
    /// as long as every leaf has had a gradient at every step.
    ///
    /// Errors, after which nothing is changed: [`CheckpointError::Missing`], [`CheckpointError::Unused`], [`Error::ParameterShape`],
    /// [`Error::ParameterDType`]; a file that cannot be read any more.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.restore_where(self.trains, &|_| false, checkpoint, &[])
    }

    /// [`Session::restore`], where all training steps that there will be are known or not: only then is an optimiser's state that none
    /// of them knows of another optimiser, unless it is one that `may_wait` for a step. `more` is what the checkpoint has under another name.
    pub(crate) fn restore_where(
        &mut self,
        steps_are_known: bool,
        may_wait: &dyn Fn(&str) -> bool,
        checkpoint: &Checkpoint,
        more: &[(String, Tensor)],
    ) -> Result<(), Error> {
        let origin = checkpoint.origin().to_owned();
        let known = |name: &str| checkpoint.weights().contains(name) || more.iter().any(|(added, _)| added == name);
        let needed = self.parameters.iter().filter(|parameter| parameter.buffer().is_some());
        let missing: Vec<&str> = needed.map(|parameter| parameter.name.as_str()).filter(|name| !known(name)).collect();
        if !missing.is_empty() {
            return Err(CheckpointError::Missing { origin, missing: listed(missing.into_iter()) }.into());
        }
        let (mut values, mut waiting) = (Vec::new(), Vec::new());
        for name in checkpoint.names() {
            let value = checkpoint.tensor(name)?;
            match self.parameters.get(name) {
                Some(parameter) => {
                    let given = Given::File(origin.clone().into());
                    parameter.check_declared(value.shape(), value.storage(), given.clone())?;
                    self.parameters.check(parameter, &value, given)?;
                    values.push((name.to_owned(), parameter.buffer(), value));
                }
                None => {
                    let is_training_state = checkpoint.weights().is_training_state(name);
                    waiting.push((name.to_owned(), Waiting { value: Ok(value), is_training_state }));
                }
            }
        }
        // The states of a parameter that no plan has asked for yet wait with it.
        let waits = |name: &str| {
            let within = self.parameters.within_optimizer(name);
            let mut parents = within.match_indices('.').map(|(end, _)| &within[..end]);
            let is_unknown = |parent: &str| self.parameters.get(parent).is_none();
            let is_parameter = |parent: &str| known(parent) && !checkpoint.weights().is_training_state(parent);
            parents.any(|parent| is_unknown(parent) && is_parameter(parent))
        };
        let states = waiting.iter().filter(|(_, one)| one.is_training_state).map(|(name, _)| name.as_str());
        let unused: Vec<&str> = states.filter(|name| !waits(name) && !may_wait(name)).collect();
        if steps_are_known && !unused.is_empty() {
            return Err(CheckpointError::Unused { origin, unused: listed(unused.into_iter()) }.into());
        }
        for (name, value) in more {
            match self.parameters.get(name) {
                Some(parameter) => values.push((name.clone(), parameter.buffer(), value.clone())),
                None => waiting.push((name.clone(), Waiting { value: Ok(value.clone()), is_training_state: true })),
            }
        }
        self.parameters.set_seed(checkpoint.seed());
        self.parameters.set_waiting(waiting, Given::Checkpoint);
        for (name, buffer, value) in values {
            self.put(&name, buffer, value)?;
        }
        self.distrust();
        Ok(())
    }

    /// Gives parameters and states back what they were at an earlier point of the same training, as [`Weights`] have it. What they lack, because
    /// it is of steps that came later, keeps what it has. `more` is what they have under another name.
    ///
    /// Errors, after which nothing is changed: a value of another shape or type, or that cannot be read.
    #[cfg(feature = "fit")]
    pub(crate) fn take_back(&mut self, weights: &Weights, more: Vec<(String, Tensor)>) -> Result<(), Error> {
        let mut earlier: Vec<(String, Tensor, bool)> =
            more.into_iter().map(|(name, value)| (name, value, true)).collect();
        for name in weights.names() {
            earlier.push((name.to_owned(), weights.get(name)?, weights.is_training_state(name)));
        }
        let given = Given::Checkpoint;
        for (name, value, _) in &earlier {
            if let Some(parameter) = self.parameters.get(name) {
                parameter.check_declared(value.shape(), value.storage(), given.clone())?;
                self.parameters.check(parameter, value, given.clone())?;
            }
        }
        for (name, value, is_training_state) in earlier {
            match self.parameters.get(&name).map(Parameter::buffer) {
                Some(buffer) => self.put(&name, buffer, value)?,
                None => self.parameters.add_waiting(&name, value, is_training_state),
            }
        }
        self.distrust();
        Ok(())
    }

    /// Gives a parameter a value of its type, on the device if it has a buffer there.
    pub(super) fn put(&mut self, name: &str, buffer: Option<u32>, value: Tensor) -> Result<(), Error> {
        self.parameters.note_given(name);
        match buffer {
            Some(buffer) => self.memory.write(buffer, value.storage(), value.data()),
            None => {
                self.parameters.set_place(name, Place::Host(value));
                Ok(())
            }
        }
    }
}
