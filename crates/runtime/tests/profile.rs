//! Profiles: what they count, what they leave as it was, and how they are written down.

use std::time::Duration;

use arenagrad::nn::Linear;
use arenagrad::profile::{Clock, Peaks};
use arenagrad::{Adam, DType, Device, Error, Graph, Init, ProfileOptions, Session, Sgd, Tensor, Trainer};

use rayon::prelude::*;

use crate::suite::devices::devices;
use crate::suite::respawn::in_time;

/// Peaks that are given, so that no test waits for a measurement.
const PEAKS: Peaks = Peaks { flops_per_second: 1e9, bytes_per_second: 1e9 };

fn options(runs: usize) -> ProfileOptions {
    ProfileOptions { runs, warm_up: 1, peaks: Some(PEAKS), ..ProfileOptions::default() }
}

fn batch() -> (Tensor, Tensor) {
    let values = |count: usize, of: f32| (0..count).map(|i| (i as f32 * of).sin()).collect::<Vec<f32>>();
    let x = Tensor::new([6, 5], values(30, 0.7)).unwrap();
    let y = Tensor::new([6, 3], values(18, 1.3)).unwrap();
    (x, y)
}

/// A network that trains by Adam, whose states and counter a step changes too.
fn network(device: &Device) -> Session {
    let g = Graph::new();
    let (x, y) = (g.input("x", [6, 5]), g.input("y", [6, 3]));
    let w = g.parameter("w", [5, 3], Init::XavierUniform);
    let b = g.parameter("b", [3], Init::Constant(0.1));
    let loss = ((x.matmul(w) + b).tanh() - y).square().mean(..);
    Session::train(&g, loss, Adam::new(0.1), device.clone()).unwrap()
}

fn state(session: &Session) -> Vec<(String, Vec<f64>)> {
    let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
    names.into_iter().map(|name| (name.clone(), session.parameter(&name).unwrap().to_f64_vec())).collect()
}

#[test]
fn a_profile_has_each_step_and_changes_nothing() {
    for device in devices() {
        let (x, y) = batch();
        let inputs = [("x", &x), ("y", &y)];
        let (mut profiled, mut other) = (network(&device), network(&device));
        profiled.step(&inputs).unwrap();
        other.step(&inputs).unwrap();
        let before = state(&profiled);
        let plan = profiled.first_plan();
        let profile = profiled.profile_plan(plan, &inputs, &options(4)).unwrap();
        assert_eq!(state(&profiled), before, "{device}");
        // Training goes on as if there had been none.
        for _ in 0..3 {
            assert_eq!(profiled.step(&inputs).unwrap().to_bits(), other.step(&inputs).unwrap().to_bits(), "{device}");
        }
        assert_eq!(state(&profiled), state(&other), "{device}");

        let steps = profiled.plan().steps();
        assert_eq!(profile.steps.len(), steps.len());
        assert_eq!((profile.runs, profile.peaks), (4, PEAKS));
        for (step, planned) in profile.steps.iter().zip(steps) {
            assert_eq!((&step.kernel, &step.computes, step.cost), (&planned.kernel, &planned.computes, planned.cost));
            assert!(step.origin.unwrap().file().ends_with(".rs"), "{:?}", step.origin);
            assert!(step.time.least <= step.time.median, "{}: {:?}", step.kernel, step.time);
        }
        let product = profile.steps.iter().find(|step| step.kernel.starts_with("matmul")).unwrap();
        assert!(product.flops >= 2 * 6 * 5 * 3, "{} is {} operations", product.kernel, product.flops);
        assert!(profile.run.median >= profile.run.least && !profile.run.least.is_zero());
        assert_eq!(profile.clock == Clock::Host, device.is_cpu(), "{:?}", profile.clock);
        assert_eq!(profile.empty_submit.is_some(), !device.is_cpu());
    }
}

/// Without timestamps each step of a GPU is submitted alone; where there are some, both clocks see the same steps.
#[test]
fn steps_are_timed_by_submits_where_timestamps_are_not_wanted() {
    for device in devices().into_iter().filter(|device| !device.is_cpu()) {
        let (x, y) = batch();
        let inputs = [("x", &x), ("y", &y)];
        let mut session = network(&device);
        let (before, plan) = (state(&session), session.first_plan());
        let submits = ProfileOptions { timestamps: false, ..options(3) };
        let profile = session.profile_plan(plan, &inputs, &submits).unwrap();
        assert_eq!(profile.clock, Clock::Submits);
        assert_eq!(state(&session), before);
        // A submit that is waited for takes time that a clock shows.
        assert!(profile.steps.iter().all(|step| !step.time.least.is_zero()), "{profile}");
        let other = session.profile_plan(plan, &inputs, &options(3)).unwrap();
        let kernels = |of: &arenagrad::Profile| of.steps.iter().map(|step| step.kernel.clone()).collect::<Vec<_>>();
        assert_eq!(kernels(&profile), kernels(&other));
    }
}

/// The rounds of a loop count together, those of a loop within it once for each round around it.
#[test]
fn a_loop_has_the_steps_of_its_body() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [7, 4, 3]);
        let w = g.parameter("w", [3, 3], Init::XavierUniform);
        let start = g.zeros([4, 3], DType::F32);
        let scanned = g.scan(&[start], &[x], |carries, elements| {
            let next = (carries[0].matmul(w) + elements[0]).tanh();
            (vec![next], vec![])
        });
        let last = scanned.unwrap().carries[0].square().sum(..);
        let mut session = Session::evaluate(&g, &[last], &device).unwrap();
        let x = Tensor::new([7, 4, 3], vec![0.25f32; 84]).unwrap();
        for timestamps in [true, false] {
            let options = ProfileOptions { timestamps, ..options(3) };
            let plan = session.first_plan();
            let profile = session.profile_plan(plan, &[("x", &x)], &options).unwrap();
            let looped = profile.steps.iter().find(|step| !step.body.is_empty()).unwrap();
            assert!(looped.kernel.starts_with("scan 7 rounds"), "{}", looped.kernel);
            let product = looped.body.iter().find(|step| step.kernel.starts_with("matmul")).unwrap();
            // Products, then additions and tangents, in seven rounds.
            assert!(product.flops >= 7 * 2 * 4 * 3 * 3, "{} operations", product.flops);
            assert_eq!(looped.flops, looped.body.iter().map(|step| step.flops).sum::<u64>());
            assert_eq!(looped.cost.read, looped.body.iter().map(|step| step.cost.read).sum::<usize>());
            let inside: std::time::Duration = looped.body.iter().map(|step| step.spent).sum();
            assert!(looped.spent >= inside, "{:?} in a loop of {:?}", inside, looped.spent);
            if profile.clock == Clock::Submits {
                assert!(looped.body.iter().all(|step| step.spent.is_zero()));
            }
        }
    }
}

#[test]
fn times_and_shares_follow_from_what_was_measured() {
    let g = Graph::new();
    let x = g.input("x", [100, 10]);
    let mut session = Session::evaluate(&g, &[(x * 2.0).exp()], &Device::cpu()).unwrap();
    let x = Tensor::new([100, 10], vec![0.5f32; 1000]).unwrap();
    let plan = session.first_plan();
    let profile = session.profile_plan(plan, &[("x", &x)], &options(5)).unwrap();
    let [step] = &profile.steps[..] else { panic!("{} steps", profile.steps.len()) };
    assert_eq!((step.bytes(), step.flops), (8000, 2000));
    let seconds = step.time.median.as_secs_f64();
    assert!(seconds > 0.0);
    assert_eq!(step.bytes_per_second(), 8000.0 / seconds);
    assert_eq!(step.flops_per_second(), 2000.0 / seconds);
    // At 1 GB/s the bytes take longer than the operations do at 1 GFLOP/s; were the machine ten times as fast at bytes, not so.
    assert_eq!(step.roofline_share(&PEAKS), 8e-6 / seconds);
    assert_eq!(step.roofline_share(&Peaks { bytes_per_second: 1e10, ..PEAKS }), 2e-6 / seconds);
    assert_eq!((profile.bytes(), profile.flops()), (8000, 2000));
    assert_eq!(profile.steps_time(), step.time.median);
    let overhead = profile.run.median.as_secs_f64() - seconds;
    assert!((profile.overhead_seconds() - overhead).abs() < 1e-12);
}

#[test]
fn a_trainers_functions_are_profiled_for_a_batch() {
    let line = Linear::new("line", 5, 3);
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        (line.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
    });
    let predict = trainer.add_evaluation(|inputs| vec![line.apply(inputs.get("x"))]);
    let (x, y) = batch();
    trainer.prepare(&[("x", &x), ("y", &y)]).unwrap();
    let before = state(trainer.session());
    let training = trainer.first_training().unwrap();
    let profile = trainer.profile_of(training, &[("x", &x), ("y", &y)], &options(2)).unwrap();
    assert!(profile.steps.iter().any(|step| step.stage == "update"), "{profile}");
    assert_eq!(state(trainer.session()), before);
    let profile = trainer.profile_of(predict, &[("x", &x)], &options(2)).unwrap();
    assert_eq!(profile.steps.iter().filter(|step| step.kernel.starts_with("matmul")).count(), 1);
}

#[test]
fn a_trace_parses_back_to_the_steps() {
    for device in devices() {
        let (x, y) = batch();
        let mut session = network(&device);
        let plan = session.first_plan();
        let profile = session.profile_plan(plan, &[("x", &x), ("y", &y)], &options(3)).unwrap();
        let path =
            std::env::temp_dir().join(format!("arenagrad-trace-{}-{}.json", std::process::id(), device.is_cpu()));
        profile.write_trace(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let trace: serde_json::Value = serde_json::from_str(&text).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let complete: Vec<&serde_json::Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(complete.len(), profile.steps.len());
        let mut end = 0.0;
        for (event, step) in complete.iter().zip(&profile.steps) {
            assert_eq!(event["name"].as_str().unwrap(), step.kernel);
            assert_eq!(event["cat"].as_str().unwrap(), step.stage);
            let (begin, duration) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            // Steps of one run follow one another; on a GPU those that do not wait for one another may overlap.
            assert!(begin >= end - 1e-3 && duration >= 0.0, "{begin} after {end}");
            end = if device.is_cpu() { begin + duration } else { begin };
            assert_eq!(event["args"]["flops"].as_u64().unwrap(), step.flops);
            assert_eq!(event["args"]["bytes_read"].as_u64().unwrap(), step.cost.read as u64);
        }
        assert!(events.iter().any(|event| event["ph"] == "M" && event["name"] == "process_name"));
    }
}

#[test]
fn a_profile_prints_a_line_for_each_step() {
    let (x, y) = batch();
    let mut session = network(&Device::cpu());
    let plan = session.first_plan();
    let profile = session.profile_plan(plan, &[("x", &x), ("y", &y)], &options(3)).unwrap();
    let text = profile.to_string();
    for step in &profile.steps {
        assert!(text.lines().any(|line| line.contains(&step.kernel)), "{} in\n{text}", step.kernel);
    }
    for word in ["forward:", "update:", "roofline", "beyond its steps", "at most 1.0 GFLOP/s"] {
        assert!(text.contains(word), "{word:?} in\n{text}");
    }
}

#[test]
fn what_cannot_be_profiled_is_refused_and_changes_nothing() {
    let (x, y) = batch();
    let (mut session, other) = (network(&Device::cpu()), network(&Device::cpu()));
    let before = state(&session);
    let plan = session.first_plan();
    let missing = session.profile_plan(plan, &[("x", &x)], &options(2));
    assert!(matches!(missing, Err(Error::MissingInput { .. })), "{missing:?}");
    let foreign = session.profile_plan(other.first_plan(), &[("x", &x), ("y", &y)], &options(2));
    assert!(matches!(foreign, Err(Error::ForeignPlan)), "{foreign:?}");
    assert_eq!(state(&session), before);
    let profile = session.profile_plan(plan, &[("x", &x), ("y", &y)], &options(0)).unwrap();
    assert_eq!(profile.runs, 1);
    let trainer = Trainer::without_loss(Device::cpu());
    let mut empty = trainer;
    let none = empty.session_mut().profile(&[]);
    assert!(matches!(none, Err(Error::NothingToRun)), "{none:?}");
}

/// A step that fails in the middle of a run leaves parameters as they were, those that were overwritten before it included.
#[cfg(feature = "linear_algebra")]
#[test]
fn a_run_that_fails_leaves_parameters_as_they_were() {
    let g = Graph::new();
    let x = g.input_of("x", [2, 2], DType::F64);
    let n = g.state("n", [], DType::F64, Init::Constant(1.0));
    g.update(n, n + 1.0);
    let w = g.parameter_of("w", [2, 2], DType::F64, Init::Constant(0.5));
    let loss = (x.inv() * w).sum(..);
    let mut session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu()).unwrap();
    let singular = Tensor::new([2, 2], vec![1.0f64, 2.0, 2.0, 4.0]).unwrap();
    let before = state(&session);
    let plan = session.first_plan();
    let failed = session.profile_plan(plan, &[("x", &singular)], &options(2));
    assert!(matches!(failed, Err(Error::Matrix { .. })), "{failed:?}");
    assert_eq!(state(&session), before);
}

/// The peaks of a machine are numbers that its kernels can be held against, and are measured once.
#[test]
fn peaks_are_measured_once() {
    for device in devices() {
        let peaks = Peaks::of(&device).unwrap();
        assert!(peaks.flops_per_second > 1e6 && peaks.flops_per_second < 1e16, "{device}: {peaks}");
        assert!(peaks.bytes_per_second > 1e6 && peaks.bytes_per_second < 1e14, "{device}: {peaks}");
        assert_eq!(Peaks::of(&device).unwrap(), peaks);
        assert_eq!(peaks.least_seconds(0, 0), 0.0);
    }
}

/// Peaks are measured on all threads of the pool whose tasks ask for them.
#[test]
fn profiles_are_made_in_tasks_of_a_pool() {
    in_time(Duration::from_secs(120), 4, "profile::profiles_are_made_in_tasks_of_a_pool", || {
        for device in devices() {
            let profile = |_| {
                let (x, y) = batch();
                let mut session = network(&device);
                let profile = session.profile(&[("x", &x), ("y", &y)]).unwrap();
                profile.peaks
            };
            let peaks: Vec<Peaks> = (0..4).into_par_iter().map(profile).collect();
            let known = Peaks::of(&device).unwrap();
            assert!(peaks.iter().all(|peaks| peaks.flops_per_second <= known.flops_per_second), "{device}: {peaks:?}");
        }
    });
}
