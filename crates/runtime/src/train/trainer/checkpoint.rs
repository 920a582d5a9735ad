//! Everything that a trainer goes on from, out and in again.

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::train::trainer::Trainer;
use crate::train::trainer::function::{Body, Function};

impl Trainer<'_> {
    /// Everything that training goes on from: see [`Session::checkpoint`](crate::Session::checkpoint). What is not planned yet has no
    /// parameters and no optimiser's state to be kept, and begins from the seed.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.session.checkpoint()
    }

    /// Goes on from a checkpoint, before the first step or after any: parameters and states of functions that are planned later get
    /// their values then. A learning rate that was set before is that of the checkpoint from now on.
    ///
    /// Errors, after which nothing is changed: as [`Session::restore`](crate::Session::restore). Values that do not fit a function that is
    /// planned later are an error when it is. An optimiser's state that no training function knows is refused where all of them are
    /// planned ([`Trainer::prepare`]).
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let is_known = |function: &Function<'_>| match &function.body {
            Body::Training { .. } => function.has_run(),
            Body::Evaluation(_) => true,
        };
        let has_training = self.functions.iter().any(|function| matches!(function.body, Body::Training { .. }));
        let steps_are_known = has_training && self.functions.iter().all(is_known);
        self.session.restore_where(steps_are_known, checkpoint)?;
        for function in &mut self.functions {
            if let Body::Training { learning_rate, .. } = &mut function.body {
                *learning_rate = None;
            }
        }
        Ok(())
    }
}
