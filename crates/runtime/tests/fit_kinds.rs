//! Runs whose batches are of several kinds: some have labels, or are trained with dropout, and others not.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fit::folder;
use arenagrad::data::{Batch, Position};
use arenagrad::fit::{Fit, FitEnd, FitOutcome};
use arenagrad::nn::{Linear, Phase};
use arenagrad::train::schedules::Exponential;
use arenagrad::{Adam, AdamW, CheckpointError, Device, Error, Expr, Inputs, Optimizer, Sgd, Tensor, Trainer};

fn loss<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
    let x = inputs.get("x");
    let body = Linear::new("body", 1, 4).apply(x);
    let body = if inputs.has("noise") { body.dropout_in(Phase::Training, 0.5) } else { body };
    let loss = (body - 1.0).square().mean(..);
    if inputs.has("y") { loss + (Linear::new("head", 1, 1).apply(x) - inputs.get("y")).square().mean(..) } else { loss }
}

fn trainer_of(optimizer: impl Optimizer + Send + 'static) -> Trainer<'static> {
    Trainer::new(Device::cpu(), optimizer, loss).seed(2)
}

fn trainer() -> Trainer<'static> {
    trainer_of(AdamW::new(0.1).moving_average(0.5))
}

/// A part that only some batches reach is the rest beside a group.
fn grouped() -> Trainer<'static> {
    let halved = || Sgd::new(0.1).momentum(0.9).schedule(Exponential::new(0.5));
    trainer_of(halved().group("bodies", "body.*", Adam::new(0.1).schedule(Exponential::new(0.5))))
}

fn column(value: f32) -> Tensor {
    Tensor::new([2, 1], vec![value, value + 0.5]).unwrap()
}

fn plain() -> Batch {
    Batch::new().with("x", column(1.0))
}

fn labelled() -> Batch {
    plain().with("y", column(50.0))
}

fn noisy() -> Batch {
    plain().with("noise", column(0.0))
}

/// All parameters and states by name.
fn values(trainer: &Trainer<'_>) -> Vec<(String, Tensor)> {
    let session = trainer.session();
    session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect()
}

/// That the trainer has these, among others.
fn assert_has(trainer: &Trainer<'_>, expected: &[(String, Tensor)], what: &str) {
    let found = values(trainer);
    assert!(expected.iter().all(|one| found.contains(one)), "{what}: {found:?}, and not {expected:?}");
}

#[test]
fn a_run_that_is_stopped_between_them_goes_on_to_the_same_bits() {
    let kinds = [
        ("labels later", vec![plain(), labelled()]),
        ("labels first", vec![labelled(), plain()]),
        ("noise first", vec![noisy(), plain()]),
        ("noise later", vec![plain(), noisy(), labelled()]),
    ];
    let makes: [fn() -> Trainer<'static>; 2] = [trainer, grouped];
    for (what, list, trainer) in kinds.iter().flat_map(|(what, list)| makes.map(|make| (what, list, make))) {
        let batches = |position: Position| list[position.batch as usize..].to_vec();
        let run = |path: &Path, trainer: &mut Trainer<'static>, stop_at: u64| -> Result<FitOutcome, Error> {
            let flag = Arc::new(AtomicBool::new(false));
            Fit::new(2)
                .folder(path)
                .resume()
                .stop_when(Arc::clone(&flag))
                .on_step(|step| flag.store(step.step == stop_at, Ordering::SeqCst))
                .without_signals()
                .quiet()
                .run(trainer, batches)
        };
        let path = folder("kinds-whole");
        let (mut whole, steps) = (trainer(), 2 * list.len() as u64);
        assert_eq!(run(&path, &mut whole, 0).unwrap().steps, steps);
        // Once more each, so that no state waits for a batch which has it.
        let again = |trainer: &mut Trainer<'static>| list.iter().for_each(|batch| drop(trainer.step(batch).unwrap()));
        again(&mut whole);
        fs::remove_dir_all(&path).unwrap();
        for stop_at in 1..steps {
            let path = folder("kinds-stopped");
            assert_eq!(run(&path, &mut trainer(), stop_at).unwrap().end, FitEnd::Interrupted);
            let mut resumed = trainer();
            let outcome = run(&path, &mut resumed, 0).unwrap_or_else(|error| panic!("{what}, {stop_at}: {error}"));
            assert_eq!((outcome.end, outcome.steps), (FitEnd::Finished, steps), "{what}, {stop_at}");
            again(&mut resumed);
            assert_has(&resumed, &values(&whole), &format!("{what}, {stop_at}"));
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

/// Where a run goes on, other training than its own is refused before a step is made.
#[test]
fn a_run_of_other_training_does_not_go_on() {
    let path = folder("kinds-other");
    let batches = |position: Position| [plain(), labelled()][position.batch as usize..].to_vec();
    let steps = Cell::new(0);
    let run = |trainer: &mut Trainer<'static>, epochs: u64| {
        let fit = Fit::new(epochs).folder(&path).resume().without_signals().quiet();
        fit.on_step(|_| steps.set(steps.get() + 1)).run(trainer, batches).map(drop)
    };
    run(&mut trainer(), 1).unwrap();
    let other = Trainer::new(Device::cpu(), AdamW::new(0.1).moving_average(0.5), |inputs: &Inputs<'_>| {
        Linear::new("trunk", 1, 4).apply(inputs.get("x")).square().mean(..)
    });
    for (mut other, is_missing) in
        [(trainer_of(Sgd::new(0.1)), false), (trainer_of(Adam::new(0.1).amsgrad()), true), (other, true)]
    {
        let error = run(&mut other, 2).unwrap_err();
        let is_expected = match is_missing {
            true => matches!(error, Error::Checkpoint(CheckpointError::Missing { .. })),
            false => matches!(error, Error::Checkpoint(CheckpointError::Unused { .. })),
        };
        assert!(is_expected, "{error}");
    }
    run(&mut trainer(), 2).unwrap();
    assert_eq!(steps.get(), 4);
    fs::remove_dir_all(&path).unwrap();
}

/// Two epochs of one batch each, of which the first is the best by what is measured.
fn best_of_two(path: Option<&Path>, list: &[Batch; 2], restores: bool) -> Trainer<'static> {
    let mut trainer = trainer();
    let epoch = Cell::new(0.0);
    let mut fit = Fit::new(2).without_signals().quiet().validate(|_| {
        epoch.set(epoch.get() + 1.0);
        Ok([("loss", epoch.get())])
    });
    if restores {
        fit = fit.restore_best();
    }
    if let Some(path) = path {
        fit = fit.folder(path);
    }
    let outcome = fit.run(&mut trainer, |position| vec![list[position.epoch as usize].clone()]).unwrap();
    assert_eq!(outcome.best.map(|best| best.epoch), Some(1));
    trainer
}

#[test]
fn the_best_epoch_is_given_back_though_parts_came_later() {
    for (name, list) in
        [("later", [plain(), labelled()]), ("missed", [labelled(), plain()]), ("noise", [plain(), noisy()])]
    {
        let mut best = trainer();
        best.step(&list[0]).unwrap();
        let behind_best = values(&best);
        let last = best_of_two(None, &list, false);
        let folder = folder("kinds-best");
        for path in [None, Some(folder.as_path())] {
            let mut found = best_of_two(path, &list, true);
            assert_has(&found, &behind_best, name);
            // What came later keeps what it has come to.
            let is_later = |one: &(String, Tensor)| behind_best.iter().all(|(name, _)| *name != one.0);
            let kept: Vec<(String, Tensor)> = values(&last).into_iter().filter(is_later).collect();
            assert_has(&found, &kept, name);
            // Training goes on from there: what the best epoch had counts as it did then.
            let mut straight = trainer();
            straight.step(&list[0]).unwrap();
            for trainer in [&mut found, &mut straight] {
                trainer.step(&list[0]).unwrap();
            }
            let is_parameter = |(name, _): &(String, Tensor)| name.ends_with(".weight") || name.ends_with(".average");
            let expected: Vec<(String, Tensor)> = values(&straight).into_iter().filter(is_parameter).collect();
            assert_has(&found, &expected, name);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn the_mean_of_a_metric_that_some_batches_report_is_over_those() {
    // Of batches of 2, 4 and 2 samples the first and the last are labelled.
    let batch = |samples: usize, y: Option<f32>| {
        let column = |value: f32| Tensor::new([samples, 1], vec![value; samples]).unwrap();
        let batch = Batch::new().with("x", column(1.0));
        if let Some(y) = y { batch.with("y", column(y)) } else { batch }
    };
    let batches = [batch(2, Some(1.0)), batch(4, None), batch(6, Some(5.0))];
    let run = |path: &Path, stop_at: u64, every: u64| {
        let flag = Arc::new(AtomicBool::new(false));
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.0), |inputs| {
            if inputs.has("y") {
                inputs.report("target", inputs.get("y").mean(..));
            }
            Linear::new("body", 1, 1).apply(inputs.get("x")).square().mean(..)
        });
        let fit = Fit::new(1).folder(path).resume().record_every(every).quiet().without_signals();
        fit.stop_when(Arc::clone(&flag))
            .on_step(|step| flag.store(step.step == stop_at, Ordering::SeqCst))
            .run(&mut trainer, |position: Position| &batches[position.batch as usize..])
            .unwrap()
    };
    let expected = (1.0 * 2.0 + 5.0 * 6.0) / 8.0;
    for (stop_at, every) in [(0, 1), (0, 2), (1, 1), (2, 1), (2, 2), (2, 10)] {
        let path = folder(&format!("partial-{stop_at}-{every}"));
        if stop_at > 0 {
            assert_eq!(run(&path, stop_at, every).end, FitEnd::Interrupted);
        }
        let outcome = run(&path, 0, every);
        let record = outcome.records.last().unwrap();
        assert_eq!(record.training("target"), Some(expected), "{stop_at} {every}");
        assert_eq!((record.samples, record.samples_of("target"), record.samples_of("loss")), (12, 8, 12));
        fs::remove_dir_all(&path).unwrap();
    }
}
