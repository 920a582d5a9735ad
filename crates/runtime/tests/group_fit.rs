//! The loop of `fit` in a group: one writes, all begin and stop at the same place, and what ends it for one ends it for all.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::suite::members::{members, samples, shared};
use arenagrad::fit::{Fit, FitEnd, FitError, Validation};
use arenagrad::group::{Group, GroupError};
use arenagrad::nn::Linear;
use arenagrad::{Device, Error, Sgd, Trainer};

/// A folder of a test, which is gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("arenagrad-group-fit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A trainer of one layer that is a member of a group.
fn trainer(group: Arc<dyn Group>, layer: &Linear) -> Trainer<'_> {
    Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        layer.apply(inputs.get("x")).cross_entropy(inputs.get("labels"))
    })
    .in_group(group)
}

#[test]
fn the_loop_writes_once_and_stops_everywhere_at_the_same_step() {
    let folder = Folder::new("stop");
    let layer = Linear::new("layer", 6, 3);
    let outcomes = members(2, |group| {
        let (rank, stop) = (group.rank(), Arc::new(AtomicBool::new(false)));
        let batches = shared(&samples(20), 5, &*group, None).unwrap();
        let flag = Arc::clone(&stop);
        let fit = Fit::new(10)
            .quiet()
            .folder(&folder.0)
            .without_signals()
            .stop_when(stop)
            .on_step(move |view| flag.store(rank == 1 && view.step == 6, Ordering::SeqCst));
        fit.train(&mut trainer(group, &layer), &batches).unwrap()
    });
    for outcome in &outcomes {
        assert_eq!((outcome.end, outcome.steps), (FitEnd::Interrupted, 6));
    }
    assert!(folder.0.join("last.safetensors").exists());
}

#[test]
fn members_that_would_begin_at_different_places_are_refused() {
    let (folder, elsewhere) = (Folder::new("first"), Folder::new("second"));
    let layer = Linear::new("layer", 6, 3);
    let run = |epochs: u64, folders: [&Folder; 2]| {
        members(2, |group| {
            let batches = shared(&samples(20), 5, &*group, None).unwrap();
            let fit = Fit::new(epochs).quiet().without_signals().folder(&folders[group.rank()].0).resume();
            fit.train(&mut trainer(group, &layer), &batches)
        })
    };
    for outcome in run(1, [&folder, &folder]) {
        assert_eq!(outcome.unwrap().steps, 4);
    }
    // The second member's host has no copy.
    for error in run(2, [&folder, &elsewhere]).into_iter().map(Result::unwrap_err) {
        assert!(matches!(&error, Error::Group(GroupError::StartsDiffer { .. })), "{error}");
        let text = error.to_string();
        assert!(text.contains("begins anew") && text.contains("goes on from step 4 (epoch 2, batch 1)"), "{text}");
    }
    // It has one now, which is older than the first's when that has gone on.
    for file in ["last.safetensors", "metrics.jsonl"] {
        std::fs::copy(folder.0.join(file), elsewhere.0.join(file)).unwrap();
    }
    for outcome in run(2, [&folder, &elsewhere]) {
        assert_eq!(outcome.unwrap().steps, 8);
    }
    for error in run(3, [&folder, &elsewhere]).into_iter().map(Result::unwrap_err) {
        assert!(error.to_string().contains("goes on from step 8"), "{error}");
    }
}

/// Where something goes wrong for one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Option,
    Batch,
    Validation,
    Disk,
}

#[test]
fn what_fails_for_one_member_alone_is_told_to_the_others() {
    let layer = Linear::new("layer", 6, 3);
    let cases = [(Failure::Option, 1), (Failure::Batch, 1), (Failure::Validation, 1), (Failure::Disk, 0)];
    for (failure, failing) in cases {
        let folder = Folder::new("fails");
        let begun = Instant::now();
        let errors = members(2, |group| {
            let (rank, folder) = (group.rank(), folder.0.clone());
            let fails = move |at: Failure| failure == at && rank == failing;
            let batches = shared(&samples(20), 5, &*group, None).unwrap();
            let mut trainer = trainer(group, &layer);
            let fit = Fit::new(3).quiet().without_signals().folder(folder.clone());
            let fit = fit
                .checkpoint_every(if fails(Failure::Option) { 0 } else { 3 })
                .validate(move |_| {
                    if fails(Failure::Validation) {
                        Err(FitError::caller("it failed").into())
                    } else {
                        Ok(Validation::new())
                    }
                })
                .on_step(move |view| {
                    if fails(Failure::Disk) && view.step == 2 {
                        std::fs::remove_dir_all(&folder).unwrap();
                    }
                });
            let result = fit.run(&mut trainer, |position| {
                batches.resume(position).enumerate().map(move |(number, batch)| {
                    if fails(Failure::Batch) && number == 2 { Err(FitError::caller("it failed").into()) } else { batch }
                })
            });
            // The trainer, and with it the member, is still there while the others are told.
            std::thread::sleep(Duration::from_millis(300));
            (result.unwrap_err(), trainer).0
        });
        assert!(!matches!(errors[failing], Error::Group(_)), "{failure:?}: {}", errors[failing]);
        let told = &errors[1 - failing];
        let Error::Group(GroupError::RankLeft { rank, reason, .. }) = told else { panic!("{failure:?}: {told}") };
        assert_eq!((*rank, reason), (failing, &errors[failing].to_string()), "{failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{failure:?}");
    }
}
