//! The folder of a run: what an earlier run left there, and what is lost of it.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use crate::fit::{folder, from, points, trainer, training};
use arenagrad::Error;
use arenagrad::data::Batch;
use arenagrad::fit::{Better, Fit, FitError};

/// What every file of a folder holds.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name.ends_with(".safetensors") || name == "metrics.jsonl")
        .collect();
    files.sort();
    files
}

/// A power failure may take the end of what was written last. A run that went on all the same would take any epoch for the best.
#[test]
fn a_run_whose_records_are_lost_does_not_go_on() {
    let (path, batches) = (folder("lost"), training());
    let run = |epochs: u64, value: f64| {
        let fit = Fit::new(epochs).folder(&path).resume().validate(move |_| Ok([("measured", value)])).quiet();
        fit.monitor("measured", Better::Lower).run(&mut trainer(), |position| from(&batches, position))
    };
    run(2, 1.0).unwrap();
    let records = fs::read_to_string(path.join("metrics.jsonl")).unwrap();
    let lines: Vec<&str> = records.split_inclusive('\n').collect();
    let whole = lines.len();
    for (kept, epochs, steps) in [(0, 0, 0), (1, 0, 3), (whole - 2, 1, 3), (whole - 1, 1, 6)] {
        fs::write(path.join("metrics.jsonl"), lines[..kept].concat()).unwrap();
        let before = files(&path);
        let error = run(3, 99.0).unwrap_err();
        let Error::Fit(FitError::RecordsEnd { found_epochs, found_steps, epochs: 2, steps: 6, .. }) = &error else {
            panic!("{error}");
        };
        assert_eq!((*found_epochs, *found_steps), (epochs, steps), "{kept} of {whole} lines");
        assert!(files(&path) == before, "{error} changed the folder");
    }
    // With all of them the best stays the best.
    fs::write(path.join("metrics.jsonl"), records).unwrap();
    let best = fs::read(path.join("best.safetensors")).unwrap();
    let outcome = run(3, 99.0).unwrap();
    assert_eq!(outcome.best.map(|best| (best.epoch, best.value)), Some((1, 1.0)));
    assert!(fs::read(path.join("best.safetensors")).unwrap() == best);
    fs::remove_dir_all(&path).unwrap();
}

#[test]
fn what_is_to_be_given_back_in_the_end_is_looked_for_at_once() {
    let (path, batches) = (folder("given-back"), training());
    let run = |epochs: u64, steps: &Cell<u64>| {
        let fit = Fit::new(epochs).folder(&path).resume().restore_best().quiet();
        let fit = fit.on_step(|_| steps.set(steps.get() + 1));
        fit.run(&mut trainer(), |position| from(&batches, position))
    };
    let steps = Cell::new(0);
    run(1, &steps).unwrap();
    for content in [None, Some("no tensors")] {
        match content {
            Some(content) => fs::write(path.join("best.safetensors"), content).unwrap(),
            None => fs::remove_file(path.join("best.safetensors")).unwrap(),
        }
        let error = run(2, &steps).unwrap_err();
        assert!(error.to_string().contains("best.safetensors") && steps.get() == 3, "{error}");
    }
    fs::remove_dir_all(&path).unwrap();
}

/// A run that cannot make its first step takes nothing away.
#[test]
fn an_earlier_run_is_replaced_by_a_step() {
    let (path, batches) = (folder("replaced"), training());
    let fit = || Fit::new(1).folder(&path).quiet();
    fit().run(&mut trainer(), |position| from(&batches, position)).unwrap();
    let before = files(&path);
    assert_eq!(before.len(), 3);
    let broken = |_| [Err::<Batch, Error>(FitError::caller("no such file").into())];
    assert_eq!(fit().run(&mut trainer(), broken).unwrap_err().to_string(), "no such file");
    let not_finite = |_| [points(&[f32::NAN])];
    assert!(matches!(fit().run(&mut trainer(), not_finite), Err(Error::Fit(FitError::NotFinite { .. }))));
    assert!(files(&path) == before);
    // One that fails later has begun, and there is nothing to go on from.
    let later = |_| [Ok(batches[0].clone()), Err::<Batch, Error>(FitError::caller("no such file").into())];
    assert!(fit().run(&mut trainer(), later).is_err());
    let left: Vec<String> = files(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["metrics.jsonl"]);
    // Where no run was, the page tells of the failure.
    fs::remove_dir_all(&path).unwrap();
    assert!(fit().run(&mut trainer(), broken).is_err());
    assert!(fs::read_to_string(path.join("report.html")).unwrap().contains("failed: no such file"));
    fs::remove_dir_all(&path).unwrap();
    // A file is no folder.
    fs::write(&path, "mine").unwrap();
    let message = fit().run(&mut trainer(), |position| from(&batches, position)).unwrap_err().to_string();
    assert!(message.ends_with("this is a file, and a run needs a folder"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_file(&path).unwrap();
}
