//! Values that a long loop carries along: the arena holds what gradients and unasked values need, and nothing is computed twice.

use arenagrad::{Device, GradientTape, Tape, Tensor, Variable};

const STEPS: usize = 20_000;

/// What the arena may hold, whatever the loop does between two questions that are at most 50 steps apart.
const BOUND: usize = 1_000;

/// The largest arena of a loop whose body is given the number of the step.
fn largest(tape: &Tape, steps: usize, mut step: impl FnMut(usize)) -> usize {
    let mut largest = 0;
    for number in 0..steps {
        step(number);
        largest = largest.max(tape.len());
    }
    largest
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
}

/// `h = tanh(h w + 0.1)` after some steps, in f64.
fn carried(steps: usize, w: f64) -> f64 {
    (0..steps).fold(1.0, |h: f64, _| (h * w + 0.1).tanh())
}

#[test]
fn a_value_that_is_asked_now_and_then() {
    for every in [1, 7, 50] {
        let tape = Tape::new(Device::cpu());
        let (w, mut h) = (tape.leaf(0.9), tape.leaf(1.0));
        let nodes = largest(&tape, STEPS, |number| {
            h = (&h * &w + 0.1).tanh();
            if number % every == 0 {
                let asked = if number % 2 == 0 { h.item().unwrap() } else { h.data().unwrap().item().unwrap() };
                near(asked, carried(number.min(300) + 1, 0.9));
            }
        });
        assert!(nodes < BOUND, "{nodes} nodes, asked every {every} steps");
        assert!(tape.plans() < 12, "{} plans, asked every {every} steps", tape.plans());
    }
}

/// The question comes after the next step was recorded from the value, through a clone, or of another variable alone.
#[test]
fn a_value_that_is_asked_late_or_by_another_name() {
    let tape = Tape::new(Device::cpu());
    let (w, mut h) = (tape.leaf(0.9), tape.leaf(1.0));
    let nodes = largest(&tape, STEPS, |number| {
        let next = (&h * &w + 0.1).tanh();
        let clone = h.clone();
        let unused = &h * 3.0;
        h = next;
        if number % 50 == 49 {
            assert!(clone.item().is_ok());
            drop(unused);
        }
    });
    assert!(nodes < BOUND, "{nodes} nodes");
    near(h.item().unwrap(), carried(300, 0.9));
}

/// Several values are carried, and one of them is asked: the others are cut where its way met theirs.
#[test]
fn several_values_of_which_one_is_asked() {
    for asked in 0..3 {
        let tape = Tape::new(Device::cpu());
        let w = tape.leaf(0.5);
        let mut carried = [tape.leaf(1.0), tape.leaf(0.5), tape.leaf(0.25)];
        let mut expected = [1.0f64, 0.5, 0.25];
        let nodes = largest(&tape, STEPS, |number| {
            let [a, b, c] = &carried;
            carried = [(a * &w + b).tanh(), (b * 0.5 + c).tanh(), (c + a * 0.1).sin()];
            let [a, b, c] = expected;
            expected = [(a * 0.5 + b).tanh(), (b * 0.5 + c).tanh(), (c + a * 0.1).sin()];
            if number % 50 == 0 {
                near(carried[asked].item().unwrap(), expected[asked]);
            }
        });
        assert!(nodes < 2 * BOUND, "{nodes} nodes, asked for {asked}");
        assert!(tape.plans() < 24, "{} plans", tape.plans());
        (0..3).for_each(|number| near(carried[number].item().unwrap(), expected[number]));
    }
}

#[test]
fn a_value_beside_weights_that_are_replaced() {
    let tape = Tape::new(Device::cpu());
    let (w, mut h) = (tape.leaf(0.0), tape.leaf(1.0));
    let mut expected = 1.0f64;
    let nodes = largest(&tape, STEPS, |number| {
        let weight = (number % 10) as f32 / 10.0;
        w.set_data(Tensor::scalar(weight));
        h = (&h * &w + 0.1).tanh();
        expected = (expected * f64::from(weight) + 0.1).tanh();
        if number % 50 == 0 {
            near(h.item().unwrap(), expected);
        }
    });
    assert!(nodes < BOUND, "{nodes} nodes");
}

/// A value that is detached from a weight that requires gradients, asked, differentiated or neither.
#[test]
fn a_value_detached_from_a_graph() {
    for question in 0..4 {
        let tape = Tape::new(Device::cpu());
        let w = tape.leaf(0.9).requires_grad();
        let mut h = tape.leaf(1.0);
        let nodes = largest(&tape, STEPS / 4, |number| {
            let next = (&h * &w + 0.1).tanh();
            match question {
                0 if number % 50 == 0 => assert!(h.item().is_ok()),
                1 => next.backward().unwrap(),
                2 => next.backward_retained().unwrap(),
                3 if number % 20 == 0 => {
                    assert!(tape.gradients(&next, &[&w]).unwrap()[0].as_ref().unwrap().item().is_ok())
                }
                _ => {}
            }
            h = next.detach();
        });
        assert!(nodes < BOUND, "{nodes} nodes, question {question}");
        near(h.item().unwrap(), carried(300, 0.9));
        near(f64::from(u8::from(w.has_grad())), f64::from(u8::from(question == 1 || question == 2)));
    }
}

/// A value beside the loss that is asked through gradients alone.
#[test]
fn a_value_that_only_losses_read() {
    for persistent in [true, false] {
        let shared = Tape::new(Device::cpu());
        let w = shared.leaf(2.0).requires_grad();
        let mut h = shared.leaf(1.0);
        let asking = GradientTape::on(&shared).persistent();
        let nodes = largest(&shared, STEPS / 4, |_| {
            h = (&h * 0.9 + 0.1).tanh();
            let loss = &h * &w;
            let once = GradientTape::on(&shared);
            let gradient = if persistent { &asking } else { &once }.gradient(&loss, &[&w]).unwrap().remove(0).unwrap();
            assert!(gradient.item().is_ok());
        });
        assert!(nodes < BOUND, "{nodes} nodes, persistent {persistent}");
        near(h.item().unwrap(), carried(300, 0.9));
    }
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(2.0).requires_grad();
    let mut h = tape.leaf(1.0);
    let nodes = largest(&tape, STEPS / 4, |_| {
        h = (&h * 0.9 + 0.1).tanh();
        (&h * &w).backward_retained().unwrap();
    });
    assert!(nodes < BOUND, "{nodes} nodes");
}

/// A chain that gradients flow through grows, for its gradient may be asked at any time; its values are computed once.
#[test]
fn a_chain_that_gradients_need() {
    let steps = 3_000;
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(0.9).requires_grad();
    let mut h = &w * 1.0;
    let nodes = largest(&tape, steps, |_| {
        h = (&h * &w + 0.1).tanh();
        assert!(h.item().is_ok());
    });
    assert!(nodes < 10 * steps, "{nodes} nodes");
    assert!(tape.plans() < 12, "{} plans", tape.plans());
    h.backward().unwrap();
    let (mut value, mut slope) = (0.9f64, 1.0f64);
    for _ in 0..steps {
        let next = (value * 0.9 + 0.1).tanh();
        slope = (1.0 - next * next) * (slope * 0.9 + value);
        value = next;
    }
    near(w.grad().unwrap().item().unwrap(), slope);
}

/// Nothing is asked until the end: what was recorded is held, once.
#[test]
fn a_chain_that_is_asked_at_the_end() {
    let tape = Tape::new(Device::cpu());
    let (w, mut h) = (tape.leaf(0.9), tape.leaf(1.0));
    let mut kept: Vec<Variable> = Vec::new();
    let nodes = largest(&tape, STEPS, |number| {
        h = (&h * &w + 0.1).tanh();
        if number % 1000 == 0 {
            kept.push(h.clone());
        }
    });
    assert!(nodes <= 5 * STEPS, "{nodes} nodes");
    near(h.item().unwrap(), carried(300, 0.9));
    // Then it is let go, but for what is held, whose values are known or near.
    for (number, held) in kept.iter().enumerate().rev() {
        near(held.item().unwrap(), carried((1000 * number).min(300) + 1, 0.9));
    }
    (0..1000).for_each(|number| assert_eq!((&tape.leaf(1.0) + number).item(), Ok(f64::from(number) + 1.0)));
    assert!(tape.len() < BOUND, "{} nodes", tape.len());
}
