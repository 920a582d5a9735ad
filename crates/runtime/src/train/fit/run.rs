//! The loop itself.

use std::sync::atomic::Ordering;

use crate::data::{Batch, Batches, Position};
use crate::error::Error;
use crate::metrics::ConfusionMatrix;
use crate::train::Trainer;
use crate::train::fit::state::{State, closing_line, line_of};
use crate::train::fit::{Fit, FitError, Interrupt, Progress, Record, StepView, Validation};

/// A batch as an iterator gives it: itself, a reference, or the result of making it.
pub trait FitBatch {
    /// The batch, or the error with which a run ends.
    fn batch(&self) -> Result<&Batch, Error>;
}

impl FitBatch for Batch {
    fn batch(&self) -> Result<&Batch, Error> {
        Ok(self)
    }
}

impl FitBatch for &Batch {
    fn batch(&self) -> Result<&Batch, Error> {
        Ok(self)
    }
}

impl FitBatch for Result<Batch, Error> {
    fn batch(&self) -> Result<&Batch, Error> {
        self.as_ref().map_err(Clone::clone)
    }
}

/// What a run has come to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FitOutcome {
    /// Why it ended.
    pub end: FitEnd,
    /// How many steps it made, those before it was resumed included.
    pub steps: u64,
    /// How many epochs it finished, those before it was resumed included.
    pub epochs: u64,
    /// How long it took, what it took before it was resumed included.
    pub seconds: f64,
    /// The best epoch, if one was finished and the metric was a number.
    pub best: Option<BestEpoch>,
    /// What was measured.
    pub records: Vec<Record>,
    /// The confusion matrix of the last validation that gave one.
    pub confusion: Option<ConfusionMatrix>,
}

/// The best epoch of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BestEpoch {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The name of the metric by which it is the best.
    pub metric: String,
    /// The metric's value.
    pub value: f64,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FitEnd {
    /// All epochs are done.
    Finished,
    /// The metric has not become better for as many epochs as the patience allows.
    StoppedEarly,
    /// By Ctrl-C, or by a flag.
    Interrupted,
}

impl<'f> Fit<'_, 'f> {
    /// [`Fit::run`] on the batches of a data set: `batches.resume(position)` of each position that is asked for.
    pub fn train(self, trainer: &mut Trainer<'f>, batches: &Batches) -> Result<FitOutcome, Error> {
        self.run(trainer, |position| batches.resume(position))
    }

    /// Trains. `batches` gives the batches of the epoch of a [`Position`], from that batch on: the first of an epoch, but where a run is
    /// resumed. [`Batches::resume`](crate::data::Batches::resume) does so, or any iterator.
    ///
    /// In a group ([`Trainer::in_group`]) every member runs it, with its share of each batch; the first one shows progress and writes files, all read them
    /// where a run is resumed, and all stop at the same step: they ask each other after every step, which is an exchange of 4 bytes more. What
    /// `validate` measures must be the same on all of them. Members that would begin at different places, because one has another checkpoint or
    /// none, are refused ([`GroupError::StartsDiffer`](crate::group::GroupError::StartsDiffer)); an error that one member has ends the group.
    ///
    /// A run that is interrupted ends behind its present step as one that is finished does: with a checkpoint and the page of the run.
    ///
    /// Errors, for which the page is finished too and no checkpoint is written: what the trainer, the batches or the validation report;
    /// [`FitError::NotFinite`] for a loss that is NaN or infinite, or, if a [`LossScale`](crate::LossScale) skips such steps, which are then
    /// left out of all means, [`FitError::AllSkipped`] after many of them in a row; [`FitError::NoBatch`] for an epoch without one; what cannot be written.
    pub fn run<S>(self, trainer: &mut Trainer<'f>, mut batches: impl FnMut(Position) -> S) -> Result<FitOutcome, Error>
    where
        S: IntoIterator,
        S::Item: FitBatch,
    {
        let ran = self.check().and_then(|()| self.run_here(trainer, &mut batches));
        match ran {
            // Losses are those of all members of a group: these errors all have alike, and the group goes on.
            Err(
                error @ (Error::Fit(FitError::NotFinite { .. } | FitError::AllSkipped { .. })
                | Error::EmptyBatch { .. }),
            ) => Err(error),
            // Whatever else happens to one, such as a wrong option, a full disk or a batch that cannot be made, the others are told, who
            // wait for it.
            ran => trainer.tell(ran),
        }
    }

    fn run_here<S>(
        mut self,
        trainer: &mut Trainer<'f>,
        batches: &mut impl FnMut(Position) -> S,
    ) -> Result<FitOutcome, Error>
    where
        S: IntoIterator,
        S::Item: FitBatch,
    {
        let interrupt = if self.handles_signals { Some(Interrupt::watch()?) } else { None };
        let mut state = State::begin(&self, trainer, batches)?;
        let mut progress = if self.is_quiet || trainer.group_rank() != 0 {
            Progress::quiet()
        } else {
            Progress::new(self.epochs, None)
        };
        let ended = self.go(trainer, batches, &mut state, &mut progress, interrupt.as_ref());
        progress.finish();
        let outcome = state.finish(&self, trainer, ended)?;
        progress.say(&closing_line(&outcome));
        Ok(outcome)
    }

    fn go<S>(
        &mut self,
        trainer: &mut Trainer<'f>,
        batches: &mut impl FnMut(Position) -> S,
        state: &mut State,
        progress: &mut Progress,
        interrupt: Option<&Interrupt>,
    ) -> Result<FitEnd, Error>
    where
        S: IntoIterator,
        S::Item: FitBatch,
    {
        let stop = self.stop.clone();
        let is_interrupted = || {
            interrupt.is_some_and(Interrupt::is_raised) || stop.as_ref().is_some_and(|flag| flag.load(Ordering::SeqCst))
        };
        while state.position.epoch < self.epochs && !trainer.anyone(state.has_waited_enough())? {
            let epoch = batches(state.position).into_iter();
            if let Some(left) = epoch.size_hint().1 {
                progress.expect(state.position.batch + left as u64, self.epochs, state.steps);
            }
            for batch in epoch {
                let batch = batch.batch()?;
                let outcome = trainer.step(batch)?;
                state.step(self, trainer, batch, &outcome)?;
                progress.step(|| state.line());
                if let Some(call) = &mut self.on_step {
                    let (epoch, batch) = (state.position.epoch + 1, state.position.batch);
                    call(&StepView { step: state.steps, epoch, batch, outcome: &outcome });
                }
                // Members of a group stop at the same step.
                if trainer.anyone(is_interrupted())? {
                    return Ok(FitEnd::Interrupted);
                }
            }
            if state.position.batch == 0 {
                return Err(FitError::NoBatch { epoch: state.position.epoch + 1 }.into());
            }
            let validation = match &mut self.validate {
                Some(measure) => measure(trainer)?,
                None => Validation::new(),
            };
            let record = state.epoch(self, trainer, validation)?;
            let line = self.line.as_ref().map_or_else(|| line_of(&record), |line| line(&record));
            progress.epoch(record.epoch, &line);
            if let Some(call) = &mut self.on_epoch {
                call(&record);
            }
            if trainer.anyone(is_interrupted())? && state.position.epoch < self.epochs {
                return Ok(FitEnd::Interrupted);
            }
        }
        // Before the last epoch only patience ends it, be it another member's.
        Ok(if state.position.epoch < self.epochs || state.has_waited_enough() {
            FitEnd::StoppedEarly
        } else {
            FitEnd::Finished
        })
    }
}
