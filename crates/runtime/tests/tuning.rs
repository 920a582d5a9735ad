//! Choices that are measured: every way of a kernel computes the same, what was found is known afterwards, and nothing changes that was not
//! asked for.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use arenagrad::tuning::Stopped;
use arenagrad::{Device, Graph, Init, Session, Sgd, Tensor, Tuning, TuningOptions};

use rayon::prelude::*;

use crate::suite::devices::devices;
use crate::suite::respawn::in_time;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("arenagrad-tuned-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn noise(count: usize, of: f64) -> Vec<f32> {
    (0..count).map(|i| (i as f64 * of).sin() as f32).collect()
}

/// A network whose training step has products of several shapes, with and without work behind them, and elementwise work.
fn network(device: &Device) -> (Session, Tensor) {
    let g = Graph::new();
    let x = g.input("x", [70, 36]);
    let hidden = g.parameter("hidden", [36, 132], Init::XavierUniform);
    let bias = g.parameter("bias", [132], Init::Constant(0.1));
    let out = g.parameter("out", [132, 20], Init::XavierUniform);
    let loss = (x.matmul(hidden) + bias).tanh().matmul(out).square().mean(..);
    let session = Session::train(&g, loss, Sgd::new(0.5), device.clone()).unwrap();
    (session, Tensor::new([70, 36], noise(70 * 36, 0.37)).unwrap())
}

/// The bits of losses and parameters of some steps.
fn trained(device: &Device) -> Vec<u64> {
    let (mut session, x) = network(device);
    let mut bits: Vec<u64> = (0..4).map(|_| session.step(&[("x", &x)]).unwrap().to_bits()).collect();
    for name in ["hidden", "bias", "out"] {
        bits.extend(session.parameter(name).unwrap().to_f64_vec().into_iter().map(f64::to_bits));
    }
    bits
}

/// Options under which all ways are tried.
fn thorough() -> TuningOptions {
    TuningOptions { patience: usize::MAX, roofline: 1e9, ..TuningOptions::default() }
}

#[test]
fn a_tuned_session_computes_the_same_bits() {
    for device in devices() {
        let usual = trained(&device);
        let tuning = Tuning::new(thorough());
        assert_eq!(trained(&device.clone().tuned(&tuning)), usual, "{device}");
        let found = tuning.found();
        assert!(found.iter().any(|found| found.class.starts_with("matmul")), "{device}: {found:?}");
        for found in &found {
            assert!(found.trials.len() > 1 && found.trials[0].choice == "usual", "{found}");
            // Ways that are said to give the same bits do.
            assert!(found.trials.iter().all(|trial| trial.refused.is_none()), "{found}");
            let time = |choice: &str| found.trials.iter().find(|trial| trial.choice == choice).unwrap().time.unwrap();
            assert!(time(&found.chosen) <= time("usual"), "{found}");
            assert_eq!(found.stopped, Some(Stopped::Exhausted), "{found}");
        }
        assert!(tuning.notes().is_empty(), "{:?}", tuning.notes());
    }
}

/// Elementwise work leaves a choice on adapters alone; reductions leave none.
#[test]
fn what_leaves_no_choice_is_not_measured() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [1000]);
        let tuning = Tuning::new(thorough());
        let results = |device: &Device| {
            let mut session = Session::evaluate(&g, &[(x * 2.0 + 1.0).tanh()], device).unwrap();
            let x = Tensor::new([1000], noise(1000, 0.1)).unwrap();
            session.run(&[("x", &x)]).unwrap().remove(0)
        };
        let (tuned, usual) = (results(&device.clone().tuned(&tuning)), results(&device));
        assert_eq!(tuned.as_slice::<f32>().unwrap(), usual.as_slice::<f32>().unwrap());
        let classes: Vec<String> = tuning.found().into_iter().map(|found| found.class).collect();
        match device.is_cpu() {
            true => assert!(classes.is_empty() && tuning.timed() == 0, "{classes:?}"),
            false => assert!(classes.len() == 1 && classes[0].starts_with("elementwise 1024 of"), "{classes:?}"),
        }
        drop(Session::evaluate(&g, &[x.sum(..)], &device.clone().tuned(&tuning)).unwrap());
        assert_eq!(tuning.found().len(), classes.len());
    }
}

/// Ways that add up in another order are tried only where that is asked for, and are right to rounding.
#[test]
fn other_bits_are_a_matter_of_asking() {
    for device in devices() {
        let same = Tuning::new(thorough());
        let (session, _) = network(&device.clone().tuned(&same));
        drop(session);
        let other = Tuning::new(TuningOptions { other_bits: true, ..thorough() });
        let usual = trained(&device);
        let found = trained(&device.clone().tuned(&other));
        for (found, usual) in found.iter().zip(&usual) {
            let (found, usual) = (f64::from_bits(*found), f64::from_bits(*usual));
            assert!((found - usual).abs() <= 1e-4 * (1.0 + usual.abs()), "{device}: {found} for {usual}");
        }
        // What was asked for is kept apart: its choices are not those of who did not ask.
        let is_other = |tuning: &Tuning| {
            let found = tuning.found();
            assert!(!found.is_empty());
            found.iter().map(|found| found.class.ends_with("(other bits)")).collect::<Vec<_>>()
        };
        assert!(is_other(&other).iter().all(|&other| other) && !is_other(&same).contains(&true));
    }
}

#[test]
fn kernels_of_one_class_do_not_undo_each_other() {
    let tuning = Tuning::new(TuningOptions::default());
    let device = Device::cpu().tuned(&tuning);
    // Of one class, and with other heights of panels to choose from.
    let plan = |rows: usize| {
        let g = Graph::new();
        let (x, w) = (g.input("x", [rows, 256]), g.input("w", [256, 256]));
        Session::evaluate(&g, &[x.matmul(w)], &device).map(drop).unwrap();
    };
    [40, 60].into_iter().for_each(plan);
    let timed = tuning.timed();
    assert!(timed > 0);
    [40, 60].into_iter().for_each(plan);
    assert_eq!(tuning.timed(), timed);
}

#[test]
fn what_is_known_is_measured_no_more() {
    for device in devices() {
        let folder = folder(if device.is_cpu() { "cpu" } else { "gpu" });
        let options = TuningOptions { folder: Some(folder.clone()), ..TuningOptions::default() };
        let first = Tuning::new(options.clone());
        let usual = trained(&device.clone().tuned(&first));
        assert!(first.timed() > 0);
        let timed = first.timed();
        // In the same process, and in another that has read the file.
        assert_eq!(trained(&device.clone().tuned(&first)), usual);
        assert_eq!(first.timed(), timed);
        let second = Tuning::new(options);
        assert_eq!(trained(&device.clone().tuned(&second)), usual);
        assert_eq!((second.timed(), second.notes()), (0, Vec::new()));
        let chosen = |tuning: &Tuning| {
            let found = tuning.found().into_iter().map(|found| (found.device, found.class, found.chosen));
            found.collect::<Vec<_>>()
        };
        assert_eq!(chosen(&second), chosen(&first));
        assert!(second.found().iter().all(|found| found.stopped.is_none() && found.trials.is_empty()));
        // The file is JSON, with an entry for each class under the device.
        let text = std::fs::read_to_string(folder.join("arenagrad-tuning.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let devices = file["devices"].as_object().unwrap();
        assert_eq!(devices.len(), 1);
        for (identity, class, choice) in chosen(&first) {
            assert_eq!(devices[&identity]["kernels"][&class]["choice"].as_str().unwrap(), choice);
        }
        // Another driver, another processor: entries of its own.
        let other = text.replace(devices.keys().next().unwrap().as_str(), "another device");
        std::fs::write(folder.join("arenagrad-tuning.json"), other).unwrap();
        let third = Tuning::new(first.options().clone());
        drop(network(&device.clone().tuned(&third)));
        assert!(third.timed() > 0);
        let text = std::fs::read_to_string(folder.join("arenagrad-tuning.json")).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["devices"].as_object().unwrap().len(), 2);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn patience_and_the_roofline_end_the_search() {
    for device in devices() {
        let hasty =
            Tuning::new(TuningOptions { patience: 1, least_gain: 1.0, roofline: 1e9, ..TuningOptions::default() });
        drop(network(&device.clone().tuned(&hasty)));
        for found in hasty.found() {
            // Nothing is faster by all of the time, so the first that is tried beside the usual way is the last.
            assert_eq!((found.trials.len(), found.chosen.as_str()), (2, "usual"), "{found}");
        }
        let content = Tuning::new(TuningOptions { roofline: 0.0, ..TuningOptions::default() });
        drop(network(&device.clone().tuned(&content)));
        for found in content.found() {
            assert_eq!((found.trials.len(), found.stopped), (1, Some(Stopped::Roofline)), "{found}");
        }
    }
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let folder = folder("foreign");
    let path = folder.join("arenagrad-tuning.json");
    std::fs::write(&path, "not a cache").unwrap();
    let tuning = Tuning::new(TuningOptions { folder: Some(folder.clone()), ..TuningOptions::default() });
    let device = Device::cpu();
    assert_eq!(trained(&device.clone().tuned(&tuning)), trained(&device));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a cache");
    assert!(tuning.notes().len() == 1 && tuning.notes()[0].contains("no JSON"), "{:?}", tuning.notes());
    std::fs::remove_dir_all(&folder).unwrap();
}

/// What is measured runs on the pool whose threads ask for it: none may wait for another that holds what it knows.
#[test]
fn sessions_are_tuned_in_tasks_of_a_pool() {
    in_time(Duration::from_secs(120), 4, "tuning::sessions_are_tuned_in_tasks_of_a_pool", || {
        for device in devices() {
            let usual = trained(&device);
            let tuning = Tuning::new(TuningOptions::default());
            let tuned = device.clone().tuned(&tuning);
            let found: Vec<Vec<u64>> = (0..8).into_par_iter().map(|_| trained(&tuned)).collect();
            assert!(found.iter().all(|found| *found == usual), "{device}");
            // Each class was noted once, whoever measured it, and is known.
            let (found, timed) = (tuning.found(), tuning.timed());
            let mut classes: Vec<&str> = found.iter().map(|found| found.class.as_str()).collect();
            classes.sort_unstable();
            classes.dedup();
            assert!(classes.len() == found.len() && timed > 0, "{found:?}");
            assert_eq!(trained(&tuned), usual);
            assert_eq!(tuning.timed(), timed);
        }
    });
}

/// Set in a process of its own: that the environment is asked.
const CHILD: &str = "ARENAGRAD_TUNING_TEST_CHILD";

/// A folder in the environment tunes what is given no tuning; without one nothing is measured and nothing written.
#[test]
fn the_environment_asks_for_a_folder() {
    if std::env::var_os(CHILD).is_some() {
        drop(network(&Device::cpu()));
        let tuning = Tuning::from_environment();
        println!("timed {}", tuning.map_or(0, |tuning| tuning.timed()));
        return;
    }
    let folder = folder("environment");
    let child = |variable: Option<&PathBuf>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["tuning::the_environment_asks_for_a_folder", "--exact", "--nocapture"]).env(CHILD, "1");
        match variable {
            Some(folder) => command.env("ARENAGRAD_TUNING", folder),
            None => command.env_remove("ARENAGRAD_TUNING"),
        };
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let path = folder.join("arenagrad-tuning.json");
    assert!(child(None).contains("timed 0") && !path.exists());
    assert!(!child(Some(&folder)).contains("timed 0") && path.exists());
    assert!(child(Some(&folder)).contains("timed 0"));
    std::fs::remove_dir_all(&folder).unwrap();
}
