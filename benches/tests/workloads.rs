//! A figure means something only if the workload computes what it says: every phase of every workload, on every device,
//! agrees on the loss, parameters move in training steps alone, and losses and gradients are those of plain loops on the host.

mod reference;

use arenagrad::{Device, Tensor};
use arenagrad_benches::{Phase, Program, WORKLOADS, workload};

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
                // What is timed is what was called.
                program.time(1).unwrap_or_else(|error| panic!("{} {phase:?} on {device}: {error}", workload.name));
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
        for (name, parameter, rate) in [("mnist_mlp", "w1", 1e-3), ("gru", "of_state", 1e-2)] {
            let mut kept = workload(name).unwrap().program(Phase::ForwardBackward, &device).unwrap();
            let mut step = workload(name).unwrap().program(Phase::Step, &device).unwrap();
            let before = elements(&step, parameter);
            kept.call().unwrap();
            step.call().unwrap();
            let gradient = elements(&kept, &format!("{parameter}.gradient"));
            let after = elements(&step, parameter);
            let mut moved = false;
            for ((before, gradient), after) in before.into_iter().zip(gradient).zip(after) {
                moved |= gradient != 0.0;
                // Weights are below 1, so one rounding of theirs is below 6e-8.
                let expected = before - rate * gradient;
                assert!((expected - after).abs() < 1.2e-7, "{name}: {after}, not {expected} on {device}");
            }
            assert!(moved);
        }
    }
}

#[test]
fn gpt_is_updated_by_adamw() {
    for device in devices() {
        let gpt = workload("gpt").unwrap();
        let mut kept = gpt.program(Phase::ForwardBackward, &device).unwrap();
        let mut step = gpt.program(Phase::Step, &device).unwrap();
        let names: Vec<String> = kept.session().unwrap().trainable_names().map(str::to_owned).collect();
        let name = "layer2.widen.weight";
        let mut expected = elements(&step, name);
        let mut moments = vec![(0.0, 0.0); expected.len()];
        for count in 1..=2 {
            // Gradients at the parameters that the step begins with, which the first step has moved.
            for name in &names {
                let value = step.session().unwrap().parameter(name).unwrap();
                kept.session_mut().unwrap().set_parameter(name, &value).unwrap();
            }
            kept.call().unwrap();
            step.call().unwrap();
            let gradient = elements(&kept, &format!("{name}.gradient"));
            for ((value, (first, second)), gradient) in expected.iter_mut().zip(&mut moments).zip(gradient) {
                *first = 0.9 * *first + 0.1 * gradient;
                *second = 0.99 * *second + 0.01 * gradient * gradient;
                let (mean, square) = (*first / (1.0 - 0.9f64.powi(count)), *second / (1.0 - 0.99f64.powi(count)));
                *value -= 1e-3 * (mean / (square.sqrt() + 1e-8) + 0.1 * *value);
            }
            // Where a gradient is about as small as the number beside its root, its last digits decide: few of the elements.
            let after = elements(&step, name);
            let apart =
                expected.iter().zip(&after).filter(|(expected, after)| (*expected - *after).abs() > 1e-7).count();
            assert!(
                apart * 1000 <= after.len(),
                "{apart} of {} elements are others after step {count} on {device}",
                after.len()
            );
        }
    }
}

#[test]
fn losses_and_gradients_are_those_of_plain_loops() {
    let devices = devices();
    reference::hold("gaussians", &devices, |values| reference::perceptron(values, 2, 2));
    reference::hold("mnist_mlp", &devices, |values| reference::perceptron(values, 784, 10));
    reference::hold("layer_norm", &devices, reference::layer_norm);
    reference::hold("embedding", &devices, reference::embedding);
    reference::hold("gru", &devices, reference::gru);
}

#[test]
fn attention_is_that_of_plain_loops() {
    reference::hold("attention", &devices(), reference::attention);
}

#[test]
fn gpt_is_that_of_plain_loops() {
    reference::hold("gpt", &devices(), reference::gpt);
}

#[test]
fn operators_give_what_plain_loops_do() {
    for device in devices() {
        let run = |name: &str| {
            let mut program = workload(name).unwrap().program(Phase::Forward, &device).unwrap();
            let x = elements(&program, "x");
            let results = program.session_mut().unwrap().run(&[]).unwrap();
            (x, results.iter().map(Tensor::to_f64_vec).collect::<Vec<_>>())
        };
        let (x, results) = run("cumsum");
        let mut sum = 0.0f64;
        for (x, result) in x.iter().zip(&results[0]) {
            sum += x;
            assert!((result - sum).abs() <= 1e-6 * sum.abs().max(1.0), "{result}, not {sum} on {device}");
        }

        let (x, results) = run("sort");
        let mut order: Vec<usize> = (0..x.len()).collect();
        order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
        let of = |order: &[usize]| order.iter().map(|&index| x[index]).collect::<Vec<_>>();
        assert!(results[0] == of(&order), "values on {device}");
        assert!(results[1].iter().zip(&order).all(|(&index, &expected)| index as usize == expected), "{device}");

        let (_, results) = run("topk");
        let largest: Vec<f64> = order.iter().rev().take(64).map(|&index| x[index]).collect();
        assert!(results[0] == largest, "the largest on {device}");
        assert!(results[1].iter().zip(&largest).all(|(&index, &value)| x[index as usize] == value), "{device}");
    }
}

#[test]
fn a_tape_trains_as_the_compiled_workload_does() {
    for device in devices() {
        for tape in WORKLOADS {
            let Some(compiled) = tape.compiled() else { continue };
            let phase = tape.compared_phase();
            let mut recorded = tape.program(phase, &device).unwrap();
            let mut compiled = workload(compiled).unwrap().program(phase, &device).unwrap();
            assert_eq!(recorded.inputs(), compiled.inputs(), "{}", tape.name);
            let session = compiled.session_mut().unwrap();
            let trainable = session.trainable_names().count();
            // Parameters of layers begin on a tape as they do in a session.
            for (name, variable) in recorded.variables() {
                session.set_parameter(&name, &variable.data().unwrap()).unwrap();
            }
            for _ in 0..3 {
                let (loss, expected) = (recorded.call().unwrap(), compiled.call().unwrap());
                let what = format!("{} on {device}: {loss}, not {expected}", tape.name);
                assert!((loss - expected).abs() <= 1e-6 * expected.abs(), "{what}");
            }
            assert_eq!(recorded.variables().len(), trainable, "{}", tape.name);
            for (name, variable) in recorded.variables() {
                let value = variable.data().unwrap();
                let (values, expected) = (value.to_f64_vec(), elements(&compiled, &name));
                // A bias of all keys adds the same to every score of a position, so its gradient is 0 but for rounding, and Adam
                // divides each gradient by its own size.
                let keys =
                    if name.ends_with("attention.in.bias") { values.len() / 3..values.len() / 3 * 2 } else { 0..0 };
                for (place, (value, expected)) in values.into_iter().zip(expected).enumerate() {
                    assert!(
                        (value - expected).abs() < 1e-6 || keys.contains(&place),
                        "{} {name}[{place}] on {device}: {value}, not {expected}",
                        tape.name
                    );
                }
            }
        }
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

/// The elements of a parameter or state of a program's session.
fn elements(program: &Program, name: &str) -> Vec<f64> {
    let value: Tensor = program.session().unwrap().parameter(name).unwrap();
    value.to_f64_vec()
}
