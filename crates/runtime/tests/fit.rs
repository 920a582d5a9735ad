//! The loop around a trainer: what it trains is what a loop by hand trains, what it writes can be read, and a run that was cut off goes on to
//! the same bits.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arenagrad::data::{Batch, Dataset, Position};
use arenagrad::fit::{Better, Fit, FitEnd, FitError, Record, RecordKind, RunFolder, Validation};
use arenagrad::metrics::ConfusionMatrix;
use arenagrad::nn::Linear;
use arenagrad::{Adam, Device, Error, Init, LossScale, Precision, Sgd, Tensor, Trainer};

/// A folder of that name that is not there.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("arenagrad-fit-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

/// Batches of 4, 4 and 2 points of a line.
pub(crate) fn training() -> Vec<Batch> {
    let x: Vec<f32> = (0..10).map(|i| i as f32 * 0.3 - 1.0).collect();
    x.chunks(4).map(points).collect()
}

pub(crate) fn points(x: &[f32]) -> Batch {
    let y = x.iter().map(|x| 2.0 * x - 1.0).collect::<Vec<_>>();
    let tensor = |values: Vec<f32>| Tensor::new([values.len(), 1], values).unwrap();
    Batch::new().with("x", tensor(x.to_vec())).with("y", tensor(y))
}

/// A trainer of a network that reports a metric beside its loss.
pub(crate) fn trainer() -> Trainer<'static> {
    Trainer::new(Device::cpu(), Adam::new(0.05), |inputs| {
        let (hidden, out) = (Linear::new("hidden", 1, 8), Linear::new("out", 8, 1));
        let error = out.apply(hidden.apply(inputs.get("x")).tanh()) - inputs.get("y");
        inputs.report("mean absolute error", error.abs().mean(..));
        error.square().mean(..)
    })
    .seed(3)
}

/// All parameters and states by name.
fn values(trainer: &Trainer<'_>) -> Vec<(String, Tensor)> {
    let session = trainer.session();
    session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect()
}

/// The batches of an epoch from one on, whose order depends on the epoch alone.
pub(crate) fn from(batches: &[Batch], position: Position) -> Vec<Batch> {
    let turn = position.epoch as usize % batches.len();
    let turned = batches[turn..].iter().chain(&batches[..turn]);
    turned.skip(position.batch as usize).cloned().collect()
}

#[test]
fn a_run_trains_as_a_loop_by_hand_does() {
    let batches = training();
    let mut by_hand = trainer();
    let mut means = Vec::new();
    for epoch in 0..3 {
        let mut sum = 0.0;
        for batch in from(&batches, Position::start_of(epoch)) {
            let samples = batch.get("x").unwrap().shape().dims()[0];
            sum += by_hand.step(&batch).unwrap().loss * samples as f64;
        }
        means.push(sum / 10.0);
    }
    let path = folder("by-hand");
    let mut looped = trainer();
    let (steps, epochs) = (Cell::new(0), Cell::new(0));
    let outcome = Fit::new(3)
        .folder(&path)
        .title("points & lines")
        .setting("optimiser", "Adam")
        .section("network", "1 -> 8 -> 1")
        .record_every(2)
        .on_step(|step| steps.set(steps.get() + step.batch))
        .on_epoch(|record| epochs.set(epochs.get() + record.epoch))
        .quiet()
        .run(&mut looped, |position| from(&batches, position))
        .unwrap();
    assert_eq!(values(&looped), values(&by_hand));
    assert_eq!((outcome.end, outcome.steps, outcome.epochs), (FitEnd::Finished, 9, 3));
    assert_eq!((steps.get(), epochs.get()), (3 * (1 + 2 + 3), 1 + 2 + 3));

    let records = RunFolder::read(&path).unwrap();
    assert_eq!(records, sorted(&outcome.records));
    let kinds: Vec<(RecordKind, u64, u64)> = records.iter().map(|r| (r.kind, r.epoch, r.step)).collect();
    use RecordKind::{Epoch, Steps};
    let expected = [(1, 2), (1, 3), (2, 5), (2, 6), (3, 8), (3, 9)];
    assert_eq!(
        kinds.iter().filter(|(kind, ..)| *kind == Steps).map(|(_, e, s)| (*e, *s)).collect::<Vec<_>>(),
        expected
    );
    let of_epochs: Vec<&Record> = records.iter().filter(|record| record.kind == Epoch).collect();
    assert_eq!(of_epochs.len(), 3);
    for (record, mean) in of_epochs.iter().zip(means) {
        assert!((record.training("loss").unwrap() - mean).abs() < 1e-12, "{record:?}");
        assert_eq!((record.samples, record.learning_rate), (10, Some(f64::from(0.05f32))));
        assert!(record.training("mean absolute error").is_some());
    }
    assert_eq!(outcome.best.unwrap().epoch, 3);

    let page = fs::read_to_string(path.join("report.html")).unwrap();
    for part in
        ["<title>points &amp; lines</title>", "<td>finished</td>", "<td>Adam</td>", "1 -&gt; 8", "<polyline", "3 of 3"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(fs::read_to_string(path.join("curves.svg")).unwrap().contains(">mean absolute error</text>"));
    for file in ["best.safetensors", "last.safetensors"] {
        let mut loaded = trainer();
        loaded.prepare(&batches[0]).unwrap();
        loaded.session_mut().load(path.join(file)).unwrap();
        assert_eq!(values(&loaded), values(&by_hand), "{file}");
    }
    fs::remove_dir_all(&path).unwrap();
}

/// The records as they are read back: metrics sorted by name.
fn sorted(records: &[Record]) -> Vec<Record> {
    records.iter().map(|record| Record::from_json(&record.to_json()).unwrap()).collect()
}

#[test]
fn the_best_epoch_is_kept_and_patience_ends_a_run() {
    let batches = training();
    for path in [None, Some(folder("best"))] {
        let script = [0.5, 0.7, 0.6, f64::NAN, 0.705, 0.9];
        let mut trainer = trainer();
        let epochs = Cell::new(0);
        let mut fit = Fit::new(20)
            .validate(|_| {
                epochs.set(epochs.get() + 1);
                let confusion = ConfusionMatrix::named(["yes", "no"]);
                Ok(Validation::from([("accuracy", script[epochs.get() - 1])]).confusion(confusion))
            })
            .monitor("accuracy", Better::Higher)
            .patience(3)
            .min_delta(0.01)
            .restore_best()
            .quiet();
        if let Some(path) = &path {
            fit = fit.folder(path);
        }
        let outcome = fit.run(&mut trainer, |_| &batches).unwrap();
        assert_eq!((outcome.end, outcome.epochs), (FitEnd::StoppedEarly, 5));
        let best = outcome.best.unwrap();
        assert_eq!((best.epoch, best.metric.as_str(), best.value), (5, "accuracy", 0.705));
        assert_eq!(outcome.confusion.unwrap().names(), ["yes", "no"]);
        if let Some(path) = path {
            assert!(fs::read_to_string(path.join("report.html")).unwrap().contains("stopped early"));
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn the_trainer_gets_back_what_it_was_behind_the_best_epoch() {
    let batches = training();
    let mut two_epochs = trainer();
    Fit::new(2).quiet().run(&mut two_epochs, |_| &batches).unwrap();
    for path in [None, Some(folder("restored"))] {
        let mut trainer = trainer();
        let script = Cell::new([0.0, 3.0, 1.0, 2.0].as_slice());
        let mut fit = Fit::new(4)
            .validate(|_| {
                script.set(&script.get()[1..]);
                Ok([("loss", script.get().first().copied().unwrap_or(9.0))])
            })
            .restore_best()
            .quiet();
        if let Some(path) = &path {
            fit = fit.folder(path);
        }
        let outcome = fit.run(&mut trainer, |_| &batches).unwrap();
        assert_eq!((outcome.epochs, outcome.best.unwrap().epoch), (4, 2));
        assert_eq!(values(&trainer), values(&two_epochs));
        if let Some(path) = path {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

/// In the midst of an epoch, at its end, and behind the last one.
#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let batches = training();
    let run = |path: &Path, trainer: &mut Trainer<'static>, stop_at: u64| {
        let flag = Arc::new(AtomicBool::new(false));
        Fit::new(4)
            .folder(path)
            .resume()
            .record_every(1)
            .validate(|_| Ok([("constant", 1.0)]))
            .stop_when(Arc::clone(&flag))
            .on_step(|step| flag.store(step.step == stop_at, Ordering::SeqCst))
            .without_signals()
            .quiet()
            .run(trainer, |position| from(&batches, position))
            .unwrap()
    };
    let whole_path = folder("whole");
    let mut whole = trainer();
    let expected = run(&whole_path, &mut whole, 0);
    assert_eq!((expected.end, expected.steps), (FitEnd::Finished, 12));
    for stop_at in [1, 3, 5, 12] {
        let path = folder(&format!("interrupted-{stop_at}"));
        let first = run(&path, &mut trainer(), stop_at);
        assert_eq!((first.end, first.steps), (FitEnd::Interrupted, stop_at));
        assert!(fs::read_to_string(path.join("report.html")).unwrap().contains("<td>interrupted</td>"));
        // What was written behind the checkpoint, here a step that did not happen, is cut off.
        let mut stray = first.records.last().unwrap().clone();
        stray.step += 1;
        let lines = fs::read_to_string(path.join("metrics.jsonl")).unwrap();
        fs::write(path.join("metrics.jsonl"), format!("{lines}{}\n{{\"kind\":\"st", stray.to_json())).unwrap();

        let mut resumed = trainer();
        let second = run(&path, &mut resumed, 0);
        assert_eq!((second.end, second.steps, second.epochs), (FitEnd::Finished, 12, 4), "{stop_at}");
        assert_eq!(values(&resumed), values(&whole), "{stop_at}");
        let without_time = |records: &[Record]| -> Vec<Record> {
            sorted(records)
                .into_iter()
                .map(|mut record| {
                    record.seconds = 0.0;
                    record
                })
                .collect()
        };
        for (found, expected) in without_time(&second.records).iter().zip(&without_time(&expected.records)) {
            assert_eq!(
                (found.kind, found.epoch, found.step, found.samples),
                (expected.kind, expected.epoch, expected.step, expected.samples)
            );
            // Sums that are taken up again may be rounded otherwise.
            for (found, expected) in [(&found.training, &expected.training), (&found.validation, &expected.validation)]
            {
                assert_eq!(found.len(), expected.len());
                for ((name, found), (same, expected)) in found.iter().zip(expected) {
                    assert!(name == same && (found - expected).abs() < 1e-14, "{name} {same}: {found} {expected}");
                }
            }
            assert_eq!(found.learning_rate, expected.learning_rate);
        }
        assert_eq!(second.records.len(), expected.records.len());
        assert_eq!(RunFolder::read(&path).unwrap(), sorted(&second.records));
        // A run that is done has nothing more to do.
        let third = run(&path, &mut trainer(), 0);
        assert_eq!((third.end, third.steps), (FitEnd::Finished, 12));
        fs::remove_dir_all(&path).unwrap();
    }
    fs::remove_dir_all(&whole_path).unwrap();
}

#[test]
fn a_run_that_goes_on_has_the_confusion_matrix_of_its_last_validation() {
    let batches = training();
    let mut confusion = ConfusionMatrix::named(["straight", "bent"]);
    confusion.add_classes(&Tensor::from([0, 1, 1]), &Tensor::from([0, 0, 1])).unwrap();
    let path = folder("confusion");
    // Interrupted behind the first epoch, then in the midst of the second, then finished, then finished already.
    for (stop_at, end) in
        [(4, FitEnd::Interrupted), (5, FitEnd::Interrupted), (0, FitEnd::Finished), (0, FitEnd::Finished)]
    {
        let flag = Arc::new(AtomicBool::new(false));
        let outcome = Fit::new(2)
            .folder(&path)
            .resume()
            .validate(|trainer| {
                // Of the second epoch nobody gives one.
                let is_first = trainer.session().parameter("updates")?.item()? < 4.0;
                Ok(if is_first { Validation::new().confusion(confusion.clone()) } else { Validation::new() })
            })
            .stop_when(Arc::clone(&flag))
            .on_step(|step| flag.store(step.step == stop_at, Ordering::SeqCst))
            .without_signals()
            .quiet()
            .run(&mut trainer(), |position| from(&batches, position))
            .unwrap();
        assert_eq!((outcome.end, outcome.confusion.as_ref()), (end, Some(&confusion)), "{stop_at}");
        assert!(fs::read_to_string(path.join("report.html")).unwrap().contains("straight"), "{stop_at}");
    }
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn a_loss_that_is_not_finite_ends_a_run_and_leaves_the_last_checkpoint() {
    let path = folder("nan");
    let mut batches = training();
    let mut trainer = trainer();
    Fit::new(1).folder(&path).quiet().run(&mut trainer, |_| &batches).unwrap();
    let before = fs::read(path.join("last.safetensors")).unwrap();
    batches[1] = points(&[1.0, f32::INFINITY]);
    let mut resumed = self::trainer();
    let result = Fit::new(2).folder(&path).resume().quiet().run(&mut resumed, |position| from(&batches, position));
    let Err(Error::Fit(FitError::NotFinite { step, epoch, batch, loss, .. })) = &result else { panic!("{result:?}") };
    assert_eq!((*step, *epoch, *batch), (4, 2, 1));
    assert!(!loss.is_finite());
    let message = result.unwrap_err().to_string();
    assert!(message.contains("Trainer::anomaly") && message.contains("last.safetensors"), "{message}");
    assert_eq!(fs::read(path.join("last.safetensors")).unwrap(), before);
    assert!(fs::read_to_string(path.join("report.html")).unwrap().contains("failed: the loss of step 4"));
    fs::remove_dir_all(&path).unwrap();
}

/// What the scale of the loss skips has changed nothing: the run goes on, and tells it only where it never ends.
#[test]
fn a_step_that_the_scale_of_the_loss_skips_does_not_end_a_run() {
    let mut batches = training();
    let scaled = || trainer().precision(Precision::full().loss_scale(LossScale::dynamic().growth_interval(1)));
    let bad = points(&[1.0, f32::INFINITY]);
    let path = folder("skipped");
    batches.insert(1, bad.clone());
    let mut trainer = scaled();
    let fit = || Fit::new(2).folder(&path).checkpoint_every(1).record_every(1).quiet();
    let outcome = fit().run(&mut trainer, |position| from(&batches, position)).unwrap();
    let epochs: Vec<&Record> = outcome.records.iter().filter(|record| record.kind == RecordKind::Epoch).collect();
    assert_eq!((outcome.steps, epochs.len()), (8, 2));
    // Its samples are in no mean.
    assert!(epochs.iter().all(|record| record.samples == 10 && record.training("loss").unwrap().is_finite()));
    assert_eq!(trainer.session().parameter("skipped_updates").unwrap().item(), Ok(2.0));
    fs::remove_dir_all(&path).unwrap();

    let result = Fit::new(1000).quiet().run(&mut scaled(), |_| [bad.clone()]);
    let Err(Error::Fit(FitError::AllSkipped { steps, step, epoch, loss, .. })) = &result else { panic!("{result:?}") };
    assert_eq!((*steps, *step, *epoch), (256, 256, 256));
    assert!(!loss.is_finite() && result.unwrap_err().to_string().contains("256 steps in a row"));
}

/// Steps of finite losses are skipped too, of which nobody asks: a loss that is not finite of a step that was made is still told.
#[test]
fn a_step_that_was_made_is_not_taken_for_one_that_was_skipped() {
    let x = Tensor::new([3, 1], vec![1e30f32, 1.0, 1.0]).unwrap();
    let penalty = Tensor::new([3], vec![0.0, 0.0, f32::INFINITY]).unwrap();
    let data = Dataset::new().with("x", x).unwrap().with("penalty", penalty).unwrap();
    let trainer = || {
        Trainer::new(Device::cpu(), Sgd::new(0.0), |inputs| {
            let w = inputs.graph().parameter("w", [1, 1], Init::Constant(0.0));
            (inputs.get("x").matmul(w) * 1e10).mean(..) + inputs.get("penalty").mean(..)
        })
        .precision(Precision::full().loss_scale(LossScale::dynamic()))
    };
    assert!(!trainer().train(&data.batches(1), 1).unwrap().is_finite());
    let batches = data.batches(1);
    let result = Fit::new(1).quiet().run(&mut trainer(), |position| batches.resume(position));
    assert!(matches!(result, Err(Error::Fit(FitError::NotFinite { step: 3, .. }))), "{result:?}");
}

#[test]
fn the_mean_of_an_epoch_leaves_out_what_the_scale_of_the_loss_skipped() {
    let x = Tensor::new([6, 1], vec![1.0, 2.0, f32::INFINITY, 1.0, 0.5, 1.0]).unwrap();
    let data = Dataset::new().with("x", x).unwrap();
    let line = Linear::new("line", 1, 1);
    let trainer =
        || Trainer::new(Device::cpu(), Sgd::new(0.01), |inputs| line.apply(inputs.get("x")).square().mean(..));
    let mut scaled = trainer().precision(Precision::full().loss_scale(LossScale::dynamic()));
    assert!(scaled.train(&data.batches(2), 1).unwrap().is_finite());
    assert!(!trainer().train(&data.batches(2), 1).unwrap().is_finite());
}

#[test]
fn what_no_run_can_do_is_refused() {
    let batches = training();
    let mut trainer = trainer();
    let told = |result: Result<arenagrad::fit::FitOutcome, Error>| result.unwrap_err().to_string();
    let none: [Batch; 0] = [];
    let message = told(Fit::new(1).quiet().run(&mut trainer, |_| &none));
    assert_eq!(message, "epoch 1 has no batch, so there is nothing to train on");
    let message = told(Fit::new(1).resume().run(&mut trainer, |_| &batches));
    assert_eq!(message, "a run without a folder has nothing to go on from and nowhere to write; name one by folder()");
    let message = told(Fit::new(1).min_delta(f64::NAN).run(&mut trainer, |_| &batches));
    assert_eq!(message, "the min_delta of a run is NaN, which is not a finite number of 0 or more");
    let message = told(Fit::new(1).record_every(0).run(&mut trainer, |_| &batches));
    assert_eq!(message, "the record_every of a run is 0, which is not 1 or more");
    let message = told(Fit::new(1).monitor("acuracy", Better::Higher).quiet().run(&mut trainer, |_| &batches));
    assert!(
        message.starts_with("no metric is named \"acuracy\"") && message.contains("\"mean absolute error\""),
        "{message}"
    );
    let measured = |_: &mut Trainer<'static>| Ok(Validation::new().with("loss", 1.0));
    let twice = Fit::new(1).monitor("los", Better::Lower).validate(measured).quiet();
    let message = told(twice.run(&mut trainer, |_| &batches));
    assert!(message.ends_with("there is \"loss\", \"mean absolute error\""), "{message}");
    let failing = |_: &mut Trainer<'static>| Err::<Validation, _>(FitError::caller("the disk is gone").into());
    assert_eq!(told(Fit::new(1).validate(failing).quiet().run(&mut trainer, |_| &batches)), "the disk is gone");
    let broken = |_| [Err::<Batch, Error>(FitError::caller("no such file").into())];
    assert_eq!(told(Fit::new(1).quiet().run(&mut trainer, broken)), "no such file");

    // A file that no run has written.
    let path = folder("foreign");
    fs::create_dir_all(&path).unwrap();
    trainer.session().save(path.join("last.safetensors")).unwrap();
    let message = told(Fit::new(1).folder(&path).resume().quiet().run(&mut trainer, |_| &batches));
    assert!(message.ends_with("a run cannot go on from this file: it does not say where the run was"), "{message}");
    fs::write(path.join("metrics.jsonl"), "not a record\n{\"half").unwrap();
    assert!(RunFolder::read(&path).unwrap_err().to_string().ends_with("metrics.jsonl:1: this is no record of a run"));
    // A last line that was cut in the midst of a character.
    fs::write(path.join("metrics.jsonl"), b"{\"training\":{\"gr\xc3").unwrap();
    assert_eq!(RunFolder::read(&path).unwrap(), []);
    fs::remove_dir_all(&path).unwrap();
}

/// Where the child of the test below writes its run.
const CHILD: &str = "ARENAGRAD_FIT_CHILD";

/// The child process: a run without an end.
#[test]
#[ignore = "the child of `ctrl_c_leaves_a_checkpoint`"]
fn child_that_runs_until_it_is_interrupted() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let batches = training();
    let mut trainer = trainer();
    let run = Fit::new(u64::MAX).folder(&path).record_every(1).validate(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        Ok([("constant", 1.0)])
    });
    let outcome = run.quiet().run(&mut trainer, |position| from(&batches, position)).unwrap();
    assert_eq!(outcome.end, FitEnd::Interrupted);
    fs::write(Path::new(&path).join("ended"), outcome.steps.to_string()).unwrap();
    // Outside of a run the signal does what it always does.
    std::thread::sleep(std::time::Duration::from_secs(600));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_checkpoint() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let path = folder("signal");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fit::child_that_runs_until_it_is_interrupted", "--ignored", "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let signal = |id: u32| {
        let status = Command::new("sh").args(["-c", &format!("kill -INT {id}")]).status().unwrap();
        assert!(status.success());
    };
    let started = Instant::now();
    let mut wait_for = |what: &dyn Fn() -> bool| {
        while !what() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the child ended: {status}");
            }
            assert!(started.elapsed() < Duration::from_secs(120), "the child hangs");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(&|| fs::read_to_string(path.join("metrics.jsonl")).is_ok_and(|text| text.lines().count() > 8));
    let id = child.id();
    signal(id);
    let wait_for = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(120), "the child hangs");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(&|| fs::read_to_string(path.join("ended")).is_ok_and(|text| !text.is_empty()));
    signal(id);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(2), "a second signal ends the program as it always does: {status}");

    // The checkpoint is that of the last step.
    let steps: u64 = fs::read_to_string(path.join("ended")).unwrap().parse().unwrap();
    assert_eq!(RunFolder::read(&path).unwrap().last().unwrap().step, steps);
    assert!(fs::read_to_string(path.join("report.html")).unwrap().contains("<td>interrupted</td>"));
    let batches = training();
    let mut by_hand = trainer();
    for step in 0..steps {
        let epoch = Position::start_of(step / 3);
        by_hand.step(&from(&batches, epoch)[step as usize % 3]).unwrap();
    }
    let mut resumed = trainer();
    resumed.prepare(&batches[0]).unwrap();
    resumed.session_mut().load(path.join("last.safetensors")).unwrap();
    assert_eq!(values(&resumed), values(&by_hand));
    fs::remove_dir_all(&path).unwrap();
}
