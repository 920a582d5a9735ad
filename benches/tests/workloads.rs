//! A figure means something only if the workload computes what it says: every phase of every workload, on every device,
//! agrees on the loss, and parameters move in training steps alone.

use arenagrad::Device;
use arenagrad_benches::{Phase, WORKLOADS, workload};

/// The CPU, and an adapter if there is one.
fn devices() -> Vec<Device> {
    [Some(Device::cpu()), arenagrad_benches::gpu().unwrap()].into_iter().flatten().collect()
}

#[test]
fn phases_and_devices_agree_on_the_loss() {
    for workload in WORKLOADS {
        let mut reference = None;
        for device in devices() {
            for &phase in workload.phases(!device.is_cpu()) {
                let mut program = workload.program(phase, &device).unwrap();
                let loss = program.call().unwrap();
                if phase == Phase::QueuedSteps {
                    continue;
                }
                let expected: f64 = *reference.get_or_insert(loss);
                let difference = (loss - expected).abs();
                assert!(
                    loss.is_finite() && difference <= 1e-5 * expected.abs(),
                    "{} {phase:?} on {device}: {loss}, not {expected}",
                    workload.name
                );
            }
        }
    }
}

#[test]
fn only_training_steps_change_parameters() {
    for device in devices() {
        for (phase, changes) in
            [(Phase::Forward, false), (Phase::ForwardBackward, false), (Phase::Step, true), (Phase::QueuedSteps, true)]
        {
            let mut program = workload("mnist_mlp").unwrap().program(phase, &device).unwrap();
            let before = program.session().unwrap().parameter("w0").unwrap();
            program.time(3).unwrap();
            let after = program.session().unwrap().parameter("w0").unwrap();
            assert_eq!(before != after, changes, "{phase:?} on {device}");
        }
    }
}

#[test]
fn kept_gradients_are_those_of_the_update() {
    for device in devices() {
        let mnist = workload("mnist_mlp").unwrap();
        let mut kept = mnist.program(Phase::ForwardBackward, &device).unwrap();
        let mut step = mnist.program(Phase::Step, &device).unwrap();
        let before = step.session().unwrap().parameter("w1").unwrap();
        kept.call().unwrap();
        step.call().unwrap();
        let gradient = kept.session().unwrap().parameter("w1.gradient").unwrap();
        let after = step.session().unwrap().parameter("w1").unwrap();
        let triples = before.to_f64_vec().into_iter().zip(gradient.to_f64_vec()).zip(after.to_f64_vec());
        let mut moved = false;
        for ((before, gradient), after) in triples {
            moved |= gradient != 0.0;
            // Weights are below 1, so one rounding of theirs is below 6e-8.
            assert!((before - 1e-3 * gradient - after).abs() < 1.2e-7, "{before} {gradient} {after} on {device}");
        }
        assert!(moved);
    }
}

#[test]
fn values_that_are_known() {
    let cpu = Device::cpu();
    let mut scalar = workload("scalar").unwrap().program(Phase::ForwardBackward, &cpu).unwrap();
    assert_eq!(scalar.call().unwrap(), -12.0);
    let gradients = ["x", "y", "z"]
        .map(|name| scalar.session().unwrap().parameter(&format!("{name}.gradient")).unwrap().item().unwrap());
    assert_eq!(gradients, [-4.0, -4.0, 3.0]);

    let mut construction = workload("graph_build").unwrap().program(Phase::Build, &cpu).unwrap();
    assert_eq!(construction.call().unwrap(), 1_000_000.0);

    // Logits of deviation 1 among 2048 classes: about ln 2048 + 1/2.
    let loss = workload("softmax_xent").unwrap().program(Phase::Forward, &cpu).unwrap().call().unwrap();
    assert!((loss - (2048f64.ln() + 0.5)).abs() < 0.1, "{loss}");
}
