//! Where a run is: its position, what it has measured, and what of it is in files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::data::{NamedTensors, Position};
use crate::error::Error;
use crate::metrics::ConfusionMatrix;
use crate::train::fit::events::scalars_of;
use crate::train::fit::folder::{BEST, LAST};
use crate::train::fit::means::Means;
use crate::train::fit::start::{BATCH, EPOCH, Found, STEPS, kept_confusion, require_same_start, with_confusion};
use crate::train::fit::text::{duration, readable};
use crate::train::fit::{
    BestEpoch, Better, EarlyStopping, EventFile, Fit, FitBatch, FitEnd, FitError, FitOutcome, Kept, Record, RecordKind,
    Report, RunFolder, Validation, curves,
};
use crate::train::{LEARNING_RATE, Outcome, Trainer};
use crate::weights::Weights;

/// The page is written behind an epoch no sooner than this after it was written before.
const PAGE_AGE: Duration = Duration::from_secs(10);
/// After how many steps in a row that the scale of the loss skipped a run ends: halved as often, any scale is as small as it gets.
const MOST_SKIPPED: u32 = 256;

pub(super) struct State {
    /// The batch that comes next.
    pub(super) position: Position,
    pub(super) steps: u64,
    records: Vec<Record>,
    folder: Option<RunFolder>,
    /// The folder of a run that begins, before its first step is made: what an earlier run left there is not replaced yet.
    unopened: Option<PathBuf>,
    events: Option<EventFile>,
    /// Whether the folder's checkpoint is of this run.
    has_checkpoint: bool,
    since_record: Means,
    of_epoch: Means,
    /// How many updates had been skipped when that was last asked.
    known_skips: f64,
    /// How many steps in a row have a loss that is not finite, and were skipped.
    skips: u32,
    stopping: Option<EarlyStopping>,
    has_waited: bool,
    monitor: Option<(String, Better)>,
    best: Option<BestEpoch>,
    /// The trainer behind the best epoch, if it is to be given back and is in no file.
    best_values: Option<Weights>,
    confusion: Option<ConfusionMatrix>,
    started: Instant,
    seconds_before: f64,
    page_written: Option<Instant>,
}

impl State {
    /// A run that begins, or that goes on from its folder.
    pub(super) fn begin<'f, S>(
        fit: &Fit<'_, 'f>,
        trainer: &mut Trainer<'f>,
        batches: &mut impl FnMut(Position) -> S,
    ) -> Result<State, Error>
    where
        S: IntoIterator,
        S::Item: FitBatch,
    {
        let stopping = |(better, patience)| EarlyStopping::new(better, patience).min_delta(fit.min_delta);
        let better = fit.monitor.as_ref().map_or(Better::Lower, |(_, better)| *better);
        let mut state = State {
            position: Position::default(),
            steps: 0,
            records: Vec::new(),
            folder: None,
            unopened: None,
            events: None,
            has_checkpoint: false,
            since_record: Means::default(),
            of_epoch: Means::default(),
            known_skips: 0.0,
            skips: 0,
            stopping: fit.patience.map(|patience| stopping((better, patience))).transpose()?,
            has_waited: false,
            monitor: fit.monitor.clone(),
            best: None,
            best_values: None,
            confusion: None,
            started: Instant::now(),
            seconds_before: 0.0,
            page_written: None,
        };
        let last = fit.folder.as_ref().map(|path| path.join(LAST)).filter(|last| fit.resumes && last.exists());
        let found = last.map(Found::open).transpose()?;
        require_same_start(trainer, found.as_ref())?;
        state.known_skips = trainer.skipped_updates()?;
        let Some(path) = &fit.folder else { return Ok(state) };
        let goes_on = found.is_some();
        if let Some(found) = found {
            state.go_on(fit, path, &found, trainer, batches)?;
        }
        if trainer.group_rank() != 0 {
            // Of a group the first member writes.
            return Ok(state);
        }
        RunFolder::make(path)?;
        if goes_on {
            state.folder = Some(RunFolder::resume(path, &state.records)?);
            state.open_events(fit, path)?;
        } else {
            state.unopened = Some(path.clone());
        }
        Ok(state)
    }

    /// Makes the folder of a run that begins its own, unless it is already.
    fn open_folder(&mut self, fit: &Fit<'_, '_>) -> Result<(), Error> {
        let Some(path) = self.unopened.take() else { return Ok(()) };
        self.folder = Some(RunFolder::replace(&path)?);
        self.open_events(fit, &path)
    }

    fn open_events(&mut self, fit: &Fit<'_, '_>, path: &Path) -> Result<(), Error> {
        if fit.writes_events {
            let mut events = EventFile::create(path)?;
            // Of what an earlier run left there nothing is shown from here on.
            events.restart(self.steps + 1)?;
            self.events = Some(events);
        }
        Ok(())
    }

    /// Takes up what the folder has: checkpoint and records.
    fn go_on<S>(
        &mut self,
        fit: &Fit<'_, '_>,
        path: &Path,
        found: &Found,
        trainer: &mut Trainer<'_>,
        batches: &mut impl FnMut(Position) -> S,
    ) -> Result<(), Error>
    where
        S: IntoIterator,
        S::Item: FitBatch,
    {
        let Found { checkpoint, position, steps } = found;
        (self.position, self.steps) = (*position, *steps);
        self.take_up(path)?;
        // Behind the next validation there may be another, and there may be none.
        self.confusion = kept_confusion(checkpoint)?;
        if fit.restores_best && self.best.is_some() && trainer.group_rank() == 0 {
            // What is to be given back in the end is there, which nobody wants to learn after all epochs.
            Weights::open(path.join(BEST))?;
        }
        // The parameters are known when the training function is planned: for a batch that the run has trained, because the next may be of a
        // kind of which nothing is in the checkpoint yet.
        let Position { epoch, batch } = self.position;
        let trained = if batch == 0 { epoch.saturating_sub(1) } else { epoch };
        let first = batches(Position::start_of(trained)).into_iter().next();
        let first = first.ok_or(FitError::NoBatch { epoch: trained + 1 })?;
        trainer.prepare(first.batch()?)?;
        trainer.restore(checkpoint)?;
        self.known_skips = trainer.skipped_updates()?;
        self.has_checkpoint = true;
        Ok(())
    }

    /// Takes up the records of a folder as far as the run has come. Errors: they end before that, so that nobody knows which epoch was the
    /// best.
    fn take_up(&mut self, path: &Path) -> Result<(), Error> {
        let (epochs, steps) = (self.position.epoch, self.steps);
        let (mut found_epochs, mut found_steps) = (0, 0);
        let is_before = |record: &Record| match record.kind {
            RecordKind::Steps => record.step <= steps,
            RecordKind::Epoch => record.epoch <= epochs,
        };
        for record in RunFolder::read(path)?.into_iter().take_while(is_before) {
            self.seconds_before = record.seconds;
            found_steps = record.step;
            match record.kind {
                RecordKind::Epoch => {
                    found_epochs += 1;
                    self.judge(&record)?;
                }
                RecordKind::Steps if record.epoch == epochs + 1 => {
                    self.of_epoch.add_record(&record)?;
                }
                RecordKind::Steps => {}
            }
            self.records.push(record);
        }
        if (found_epochs, found_steps) != (epochs, steps) {
            let path = path.join("metrics.jsonl");
            return Err(FitError::RecordsEnd { path, epochs, steps, found_epochs, found_steps }.into());
        }
        Ok(())
    }

    /// Takes what a step has come to. Every so many steps it is written down, and a checkpoint made.
    pub(super) fn step(
        &mut self,
        fit: &Fit<'_, '_>,
        trainer: &Trainer<'_>,
        batch: &impl NamedTensors,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let Position { epoch, batch: number } = self.position;
        let is_skipped = !outcome.loss.is_finite() && self.is_skipped(trainer)?;
        self.skips = if is_skipped { self.skips + 1 } else { 0 };
        let goes_on = outcome.loss.is_finite() || (is_skipped && self.skips < MOST_SKIPPED);
        if !goes_on {
            let (step, epoch, batch, loss) = (self.steps + 1, epoch + 1, number + 1, outcome.loss);
            let kept = match &self.folder {
                Some(folder) if self.has_checkpoint => Kept::File(folder.file(LAST)),
                Some(_) | None => Kept::Nowhere,
            };
            return Err(match is_skipped {
                true => FitError::AllSkipped { steps: self.skips, step, epoch, batch, loss, kept },
                false => FitError::NotFinite { step, epoch, batch, loss, kept },
            }
            .into());
        }
        self.open_folder(fit)?;
        self.steps += 1;
        self.position.batch += 1;
        // In a group loss and metrics are those of all members. A step that was skipped has no part in the means.
        let samples = trainer.session().samples_of_step(batch.samples()) as u64;
        let samples = if is_skipped { 0 } else { samples };
        let others = outcome.metrics.iter().filter(|(name, _)| name != "loss");
        let scalars = others.filter_map(|(name, value)| Some((name.clone(), value.item().ok()?)));
        let metrics: Vec<(String, f64)> = std::iter::once(("loss".to_owned(), outcome.loss)).chain(scalars).collect();
        self.since_record.add(samples, metrics.iter().cloned())?;
        self.of_epoch.add(samples, metrics.into_iter())?;
        if self.since_record.steps >= fit.steps_per_record {
            self.record_steps(trainer)?;
        }
        if fit.checkpoint_every.is_some_and(|every| self.steps.is_multiple_of(every)) {
            self.checkpoint(trainer)?;
        }
        Ok(())
    }

    /// Whether the scale of the loss has left parameters alone in the step that was just made.
    fn is_skipped(&mut self, trainer: &Trainer<'_>) -> Result<bool, Error> {
        let is_skipped = trainer.is_skipped(self.known_skips)?;
        self.known_skips = trainer.skipped_updates()?;
        Ok(is_skipped)
    }

    /// Takes what was measured behind an epoch, and writes it down with a checkpoint.
    pub(super) fn epoch(
        &mut self,
        fit: &Fit<'_, '_>,
        trainer: &Trainer<'_>,
        validation: Validation,
    ) -> Result<Record, Error> {
        self.record_steps(trainer)?;
        let means = std::mem::take(&mut self.of_epoch);
        self.position = Position::start_of(self.position.epoch + 1);
        let record = Record {
            kind: RecordKind::Epoch,
            epoch: self.position.epoch,
            step: self.steps,
            seconds: self.seconds(),
            learning_rate: learning_rate(trainer),
            samples: means.samples,
            partial_samples: means.partial_samples(),
            training: means.values(),
            validation: validation.metrics,
        };
        if validation.confusion.is_some() {
            self.confusion = validation.confusion;
        }
        let is_best = self.judge(&record)?;
        self.push(record.clone())?;
        if is_best {
            if let Some(folder) = &self.folder {
                trainer.session().save(folder.file(BEST))?;
            } else if fit.restores_best {
                self.best_values = Some(trainer.session().whole_state(Path::new("a copy of the best epoch"))?);
            }
        }
        self.checkpoint(trainer)?;
        if self.page_written.is_none_or(|written| written.elapsed() >= PAGE_AGE) {
            self.write_page(fit, trainer, "running")?;
        }
        Ok(record)
    }

    /// Whether the metric has not become better for as long as the patience allows.
    pub(super) fn has_waited_enough(&self) -> bool {
        self.has_waited
    }

    /// Where the run is, in a line.
    pub(super) fn line(&self) -> String {
        let metrics: Vec<String> =
            self.since_record.values().iter().map(|(name, value)| format!("  {name} {}", readable(*value))).collect();
        format!("epoch {:>3}  step {}{}", self.position.epoch + 1, self.steps, metrics.concat())
    }

    /// Ends the run: the last checkpoint, the page, the best parameters.
    pub(super) fn finish(
        mut self,
        fit: &Fit<'_, '_>,
        trainer: &mut Trainer<'_>,
        ended: Result<FitEnd, Error>,
    ) -> Result<FitOutcome, Error> {
        // A run that ends before its first step leaves a page too, but not in the place of an earlier run.
        let opened = match &self.unopened {
            Some(path) if !RunFolder::has_checkpoint(path) => self.open_folder(fit),
            Some(_) | None => Ok(()),
        };
        let ended = ended.and_then(|end| opened.map(|()| end));
        let status = match &ended {
            Ok(FitEnd::Finished) => "finished".to_owned(),
            Ok(FitEnd::StoppedEarly) => "stopped early".to_owned(),
            Ok(FitEnd::Interrupted) => "interrupted".to_owned(),
            Err(error) => format!("failed: {error}"),
        };
        let end = match ended {
            Ok(end) => end,
            Err(error) => {
                // The first error is the one to tell.
                let _ = self.write_page(fit, trainer, &status);
                return Err(error);
            }
        };
        if end == FitEnd::Interrupted {
            self.record_steps(trainer)?;
            self.checkpoint(trainer)?;
        }
        self.write_page(fit, trainer, &status)?;
        if fit.restores_best && end != FitEnd::Interrupted {
            if self.best.is_some() {
                if let Some(folder) = &self.folder {
                    trainer.take_back(&Weights::open(folder.file(BEST))?)?;
                }
                if let Some(best) = &self.best_values {
                    trainer.take_back(best)?;
                }
            }
            // In a group the first member alone has a folder, and the others take its values.
            trainer.follow_first()?;
        }
        Ok(FitOutcome {
            end,
            steps: self.steps,
            epochs: self.position.epoch,
            seconds: self.seconds(),
            best: self.best,
            records: self.records,
            confusion: self.confusion,
        })
    }

    /// Whether an epoch is the best so far; patience is counted.
    fn judge(&mut self, record: &Record) -> Result<bool, Error> {
        let (name, better) = match &self.monitor {
            Some((name, better)) => (name.as_str(), *better),
            None => ("loss", Better::Lower),
        };
        let Some(value) = record.validation(name).or_else(|| record.training(name)) else {
            // What is measured in validation and in training under one name is told once.
            let only_trained = record.training.iter().filter(|(name, _)| record.validation(name).is_none());
            let known = record.validation.iter().chain(only_trained);
            let known = crate::train::listed(known.map(|(name, _)| name.as_str()));
            return Err(FitError::UnknownMetric { name: name.to_owned(), known }.into());
        };
        if let Some(stopping) = &mut self.stopping {
            self.has_waited = stopping.observe(value);
        }
        let best = self.best.as_ref().map_or(f64::NAN, |best| best.value);
        let is_best = better.is_better(value, best, 0.0);
        if is_best {
            self.best = Some(BestEpoch { epoch: record.epoch, metric: name.to_owned(), value });
        }
        Ok(is_best)
    }

    /// Writes down the steps since it was done last, if there are any.
    fn record_steps(&mut self, trainer: &Trainer<'_>) -> Result<(), Error> {
        let means = std::mem::take(&mut self.since_record);
        if means.steps == 0 {
            return Ok(());
        }
        self.push(Record {
            kind: RecordKind::Steps,
            epoch: self.position.epoch + 1,
            step: self.steps,
            seconds: self.seconds(),
            learning_rate: learning_rate(trainer),
            samples: means.samples,
            partial_samples: means.partial_samples(),
            training: means.values(),
            validation: Vec::new(),
        })
    }

    fn push(&mut self, record: Record) -> Result<(), Error> {
        if let Some(folder) = &mut self.folder {
            folder.append(&record)?;
        }
        if let Some(events) = &mut self.events {
            events.scalars(record.step, &scalars_of(&record))?;
        }
        self.records.push(record);
        Ok(())
    }

    /// Writes `last.safetensors`, the records of its steps before it.
    fn checkpoint(&mut self, trainer: &Trainer<'_>) -> Result<(), Error> {
        if self.folder.is_none() {
            return Ok(());
        }
        self.record_steps(trainer)?;
        let Some(folder) = &self.folder else { return Ok(()) };
        let [epoch, batch] = self.position.to_numbers();
        // A checkpoint that outlives its records would not know which epoch was the best.
        folder.sync()?;
        let checkpoint = trainer.checkpoint()?.with(EPOCH, epoch).with(BATCH, batch).with(STEPS, self.steps);
        with_confusion(checkpoint, self.confusion.as_ref())?.save(folder.file(LAST))?;
        self.has_checkpoint = true;
        Ok(())
    }

    fn write_page(&mut self, fit: &Fit<'_, '_>, trainer: &Trainer<'_>, status: &str) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut report = Report::new(fit.title.as_str())
            .setting("status", status)
            .setting("device", trainer.device())
            .setting("epochs", format!("{} of {}", self.position.epoch, fit.epochs))
            .setting("steps", self.steps)
            .setting("time", duration(self.seconds()))
            .records(&self.records)
            .best(self.best.as_ref().map(|best| best.epoch));
        if let Some(BestEpoch { epoch, metric, value }) = &self.best {
            report = report.setting("best epoch", format!("{epoch}, {metric} {}", readable(*value)));
        }
        for (name, value) in &fit.settings {
            report = report.setting(name.as_str(), value);
        }
        if let Some(confusion) = &self.confusion {
            report = report.confusion(confusion.clone());
        }
        for (heading, text) in &fit.sections {
            report = report.section(heading.as_str(), text.as_str());
        }
        folder.write("report.html", &report.html())?;
        folder.write("curves.svg", &curves(&fit.title, &self.records).svg())?;
        self.page_written = Some(Instant::now());
        Ok(())
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
}

/// An epoch in a line: its metrics in training, then those behind it.
pub(super) fn line_of(record: &Record) -> String {
    let training = record.training.iter().map(|(name, value)| format!("  {name} {}", readable(*value)));
    let validation = record.validation.iter().map(|(name, value)| format!("  validation {name} {}", readable(*value)));
    format!("epoch {:>3}{}", record.epoch, training.chain(validation).collect::<String>())
}

/// What a run has come to, in a line.
pub(super) fn closing_line(outcome: &FitOutcome) -> String {
    let end = match outcome.end {
        FitEnd::Finished => "finished",
        FitEnd::StoppedEarly => "stopped early",
        FitEnd::Interrupted => "interrupted",
    };
    let FitOutcome { epochs, steps, seconds, .. } = outcome;
    let best = outcome
        .best
        .as_ref()
        .map(|BestEpoch { epoch, metric, value }| format!("; best {metric} {} in epoch {epoch}", readable(*value)));
    let of = |count: u64, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    let (epochs, steps) = (of(*epochs, "epoch"), of(*steps, "step"));
    let best = best.unwrap_or_default();
    format!("{end} after {epochs}, {steps} in {}{best}", duration(*seconds))
}

/// The learning rate of the last step, of an optimiser that has one: what its schedule made of it, if there is a schedule.
fn learning_rate(trainer: &Trainer<'_>) -> Option<f64> {
    let session = trainer.session();
    let names: Vec<&str> = session.parameter_names().collect();
    let scheduled = format!("{LEARNING_RATE}.scheduled");
    let name = [scheduled.as_str(), LEARNING_RATE].into_iter().find(|name| names.contains(name))?;
    session.parameter(name).ok()?.item().ok()
}
