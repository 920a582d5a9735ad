//! What a run of the loop is told before it begins.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::train::fit::stopping::require_min_delta;
use crate::train::fit::{Better, FitError, Record, Validation};
use crate::train::schedules::Count;
use crate::train::{Outcome, Trainer};

/// A run of a [`Trainer`]: for how many epochs, what is measured behind each, when it ends early, and what is written down.
///
/// ```
/// use arenagrad::data::Batch;
/// use arenagrad::fit::{Better, Fit};
/// use arenagrad::metrics::Regression;
/// use arenagrad::nn::Linear;
/// use arenagrad::{Adam, Device, Tensor, Trainer};
///
/// let line = Linear::new("line", 1, 1);
/// let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
///     (line.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
/// });
/// let predict = trainer.add_evaluation(|inputs| vec![line.apply(inputs.get("x"))]);
/// let points = |x: &[f32]| -> Result<Batch, arenagrad::Error> {
///     let y = x.iter().map(|x| 2.0 * x - 1.0).collect::<Vec<_>>();
///     let batch = Batch::new().with("x", Tensor::new([x.len(), 1], x.to_vec())?);
///     Ok(batch.with("y", Tensor::new([x.len(), 1], y)?))
/// };
/// let training = [points(&[0.0, 1.0, 2.0])?, points(&[3.0, 4.0])?];
/// let held_out = points(&[-1.0, 5.0])?;
///
/// let outcome = Fit::new(400)
///     .validate(|trainer| {
///         let mut errors = Regression::new();
///         let predicted = &trainer.evaluate(predict, &held_out)?[0];
///         errors.add(predicted, held_out.get("y").unwrap_or(predicted))?;
///         Ok([("mean absolute error", errors.mean_absolute_error())])
///     })
///     .monitor("mean absolute error", Better::Lower)
///     .patience(50)
///     .restore_best()
///     .quiet()
///     .run(&mut trainer, |position| &training[position.batch as usize..])?;
/// assert!(outcome.best.is_some_and(|best| best.value < 0.1));
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[must_use = "a run does nothing until it is started by `run`"]
pub struct Fit<'c, 'f> {
    pub(super) epochs: u64,
    pub(super) title: String,
    pub(super) validate: Option<Validate<'c, 'f>>,
    pub(super) monitor: Option<(String, Better)>,
    pub(super) patience: Option<u64>,
    pub(super) min_delta: f64,
    pub(super) restores_best: bool,
    pub(super) folder: Option<PathBuf>,
    pub(super) resumes: bool,
    pub(super) writes_events: bool,
    pub(super) checkpoint_every: Option<u64>,
    pub(super) steps_per_record: u64,
    pub(super) settings: Vec<(String, String)>,
    pub(super) sections: Vec<(String, String)>,
    pub(super) on_step: Option<OnStep<'c>>,
    pub(super) on_epoch: Option<OnEpoch<'c>>,
    pub(super) line: Option<Line<'c>>,
    pub(super) is_quiet: bool,
    pub(super) handles_signals: bool,
    pub(super) stop: Option<Arc<AtomicBool>>,
}

/// Measures behind an epoch.
type Validate<'c, 'f> = Box<dyn FnMut(&mut Trainer<'f>) -> Result<Validation, Error> + 'c>;

/// What is called behind each step.
type OnStep<'c> = Box<dyn FnMut(&StepView<'_>) + 'c>;

/// What is called behind each epoch.
type OnEpoch<'c> = Box<dyn FnMut(&Record) + 'c>;

/// How an epoch is told in a line.
type Line<'c> = Box<dyn Fn(&Record) -> String + 'c>;

/// A step that has been made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StepView<'s> {
    /// How many steps the run has made, this one included.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// How many batches of the epoch have been trained on, this one included.
    pub batch: u64,
    /// What the step returned.
    pub outcome: &'s Outcome,
}

impl<'c, 'f> Fit<'c, 'f> {
    /// A run of so many epochs, those before it was resumed included, which shows its progress, writes nothing, and ends behind its present
    /// step at Ctrl-C.
    pub fn new(epochs: impl Count) -> Self {
        Fit {
            epochs: epochs.count(),
            title: "run".to_owned(),
            validate: None,
            monitor: None,
            patience: None,
            min_delta: 0.0,
            restores_best: false,
            folder: None,
            resumes: false,
            writes_events: false,
            checkpoint_every: None,
            steps_per_record: 10,
            settings: Vec::new(),
            sections: Vec::new(),
            on_step: None,
            on_epoch: None,
            line: None,
            is_quiet: false,
            handles_signals: true,
            stop: None,
        }
    }

    /// What is measured behind each epoch: metrics by name, such as `[("accuracy", 0.9)]`, or a [`Validation`] with a confusion matrix. A
    /// closure that fails by another error than this library's returns [`FitError::caller`] of it.
    pub fn validate<V: Into<Validation>>(
        mut self,
        mut measure: impl FnMut(&mut Trainer<'f>) -> Result<V, Error> + 'c,
    ) -> Self {
        self.validate = Some(Box::new(move |trainer| measure(trainer).map(Into::into)));
        self
    }

    /// By which metric the best epoch is told: one that was measured behind the epoch or, where none has that name, one of training. Unless
    /// it is said here, by the lower loss.
    pub fn monitor(mut self, metric: impl Into<String>, better: Better) -> Self {
        self.monitor = Some((metric.into(), better));
        self
    }

    /// Ends the run when the metric has not become better for so many epochs in a row ([`EarlyStopping`](super::EarlyStopping)).
    pub fn patience(mut self, epochs: impl Count) -> Self {
        self.patience = Some(epochs.count());
        self
    }

    /// The metric must become better by more than that for patience to begin anew. 0 unless it is said here.
    pub fn min_delta(mut self, delta: f64) -> Self {
        self.min_delta = delta;
        self
    }

    /// In the end the trainer gets back what it was behind the best epoch: parameters, states and the optimiser's. A run without a folder
    /// keeps a copy of them on the host. Parts of the network that no batch until then had asked for keep what they have come to.
    pub fn restore_best(mut self) -> Self {
        self.restores_best = true;
        self
    }

    /// The folder of the run, made if there is none ([`RunFolder`](super::RunFolder) says what is in it). A run that was in it before is
    /// replaced once the first step of this one is made, unless it is resumed.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// Writes what it writes down also as an event file in the folder, for TensorBoard.
    pub fn tensorboard(mut self) -> Self {
        self.writes_events = true;
        self
    }

    /// Goes on from `last.safetensors` in the folder, if that is there, else begins: on the same device, and with batches that depend on
    /// their position alone, to the same bits as if the run had not been interrupted. The first batch of the last epoch that it has
    /// trained in is asked for again, to plan the training and see that the checkpoint is of it.
    ///
    /// Which epoch was the best so far, and how long patience has waited, is read from the records beside it. If their end is lost, the run
    /// is refused ([`FitError::RecordsEnd`]), as it is where [`Fit::restore_best`] would find no `best.safetensors`.
    pub fn resume(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// Writes `last.safetensors` also behind every so many steps, and not only behind each epoch.
    pub fn checkpoint_every(mut self, steps: impl Count) -> Self {
        self.checkpoint_every = Some(steps.count());
        self
    }

    /// Writes down the means over every so many steps, 10 unless it is said here; over fewer behind the last step of an epoch.
    pub fn record_every(mut self, steps: impl Count) -> Self {
        self.steps_per_record = steps.count();
        self
    }

    /// The title of the run's page and curves: `run`, unless it is said here.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A line in the page's table of settings, behind those that the loop knows itself.
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// A section of text on the page, such as the table of the network.
    pub fn section(mut self, heading: impl Into<String>, text: impl Into<String>) -> Self {
        self.sections.push((heading.into(), text.into()));
        self
    }

    /// Called behind each step.
    pub fn on_step(mut self, call: impl FnMut(&StepView<'_>) + 'c) -> Self {
        self.on_step = Some(Box::new(call));
        self
    }

    /// Called behind each epoch, when it was measured.
    pub fn on_epoch(mut self, call: impl FnMut(&Record) + 'c) -> Self {
        self.on_epoch = Some(Box::new(call));
        self
    }

    /// How an epoch is told in a line. Unless it is said here, by all its metrics.
    pub fn line(mut self, line: impl Fn(&Record) -> String + 'c) -> Self {
        self.line = Some(Box::new(line));
        self
    }

    /// Shows nothing.
    pub fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    /// Leaves signals alone: Ctrl-C ends the program at once, as it does outside of a run.
    pub fn without_signals(mut self) -> Self {
        self.handles_signals = false;
        self
    }

    /// Ends the run behind its present step when the flag is raised, as Ctrl-C does: from another thread, or from a closure of the run.
    pub fn stop_when(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = Some(flag);
        self
    }

    /// Refuses numbers that no run can have.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |what, value, expected| Err(FitError::Option { what, value, expected }.into());
        require_min_delta(self.min_delta)?;
        for (what, value) in
            [("record_every", Some(self.steps_per_record)), ("checkpoint_every", self.checkpoint_every)]
        {
            if value == Some(0) {
                return refused(what, 0.0, "1 or more");
            }
        }
        if (self.resumes || self.writes_events) && self.folder.is_none() {
            return Err(FitError::NoFolder.into());
        }
        Ok(())
    }
}
