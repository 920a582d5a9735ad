//! Steps of an optimiser on a tape: forward pass, backward pass and update as one plan, whatever is asked before, between and after.

use crate::suite::devices::devices;
use arenagrad::{Adam, Device, Sgd, Tape, TapeOptimizer, Tensor, Variable};

fn vector(elements: &[f64]) -> Tensor {
    Tensor::new([elements.len()], elements.to_vec()).unwrap()
}

fn near(found: &[f64], expected: &[f64], what: &str) {
    let close = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-12 * expected.abs().max(1.0);
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(close),
        "{what}: {found:?}, not {expected:?}"
    );
}

fn read(variable: &Variable) -> Vec<f64> {
    variable.data().unwrap().to_f64_vec()
}

fn gradient(variable: &Variable) -> Vec<f64> {
    variable.grad().unwrap().to_f64_vec()
}

/// A leaf of f64, `loss = sum of w^3 / 3`, whose gradient is `w^2`.
struct Cubes {
    tape: Tape,
    w: Variable,
    optimizer: TapeOptimizer,
    expected: Vec<f64>,
}

const RATE: f64 = 0.0625;

impl Cubes {
    fn new() -> Cubes {
        let tape = Tape::new(Device::cpu());
        let expected = vec![1.0, -0.5, 0.25];
        let w = tape.leaf(vector(&expected)).requires_grad().named("w");
        let optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(RATE)).unwrap();
        Cubes { tape, w, optimizer, expected }
    }

    fn loss(&self) -> Variable {
        self.w.powf(3.0).sum(..) / 3.0
    }

    fn squares(&self) -> Vec<f64> {
        self.expected.iter().map(|w| w * w).collect()
    }

    fn expected_loss(&self) -> f64 {
        self.expected.iter().map(|w| w.powi(3) / 3.0).sum()
    }

    /// One step in plain numbers, of so many times the gradient.
    fn follow(&mut self, times: f64) {
        self.expected.iter_mut().for_each(|w| *w -= RATE * times * *w * *w);
    }

    fn check(&self, what: &str) {
        near(&read(&self.w), &self.expected, what);
    }
}

/// What is asked, and when, changes no answer.
#[test]
fn questions_before_between_and_after() {
    for question in 0..256u32 {
        let asks = |bit: u32| question & 1 << bit != 0;
        let mut c = Cubes::new();
        for step in 0..3 {
            let what = format!("question {question:b}, step {step}");
            let loss = c.loss();
            if asks(0) {
                near(&[loss.item().unwrap()], &[c.expected_loss()], &what);
            }
            loss.backward().unwrap();
            if asks(1) {
                near(&[loss.item().unwrap()], &[c.expected_loss()], &what);
            }
            if asks(2) {
                near(&gradient(&c.w), &c.squares(), &what);
            }
            if asks(3) {
                c.check(&what);
            }
            let (loss_before, squares) = (c.expected_loss(), c.squares());
            c.optimizer.step().unwrap();
            c.follow(1.0);
            if asks(4) {
                c.check(&what);
            }
            if asks(5) {
                near(&gradient(&c.w), &squares, &what);
            }
            if asks(6) {
                near(&[loss.item().unwrap()], &[loss_before], &what);
            }
            if asks(7) {
                c.tape.zero_grad();
            } else {
                c.optimizer.zero_grad();
            }
        }
        c.check("at the end");
    }
}

#[test]
fn gradients_of_several_passes_add_up() {
    for passes in 1..6 {
        for asks in [false, true] {
            let mut c = Cubes::new();
            for _ in 0..3 {
                for pass in 1..=passes {
                    c.loss().backward().unwrap();
                    if asks {
                        let expected: Vec<f64> = c.squares().iter().map(|square| square * f64::from(pass)).collect();
                        near(&gradient(&c.w), &expected, "a sum");
                    }
                }
                let total: Vec<f64> = c.squares().iter().map(|square| square * f64::from(passes)).collect();
                c.optimizer.step().unwrap();
                c.follow(f64::from(passes));
                c.check("after the step");
                near(&gradient(&c.w), &total, "the gradient after the step");
                c.optimizer.zero_grad();
                assert!(!c.w.has_grad() && c.w.grad().is_err());
            }
        }
    }
    // What was cleared before it was computed is none.
    let mut c = Cubes::new();
    c.loss().backward().unwrap();
    c.tape.zero_grad();
    assert!(c.optimizer.step().is_err());
    c.loss().backward().unwrap();
    c.optimizer.step().unwrap();
    c.follow(1.0);
    // A second step from the same gradient.
    let squares = gradient(&c.w);
    c.optimizer.step().unwrap();
    let expected: Vec<f64> = c.expected.iter().zip(&squares).map(|(w, square)| w - RATE * square).collect();
    near(&read(&c.w), &expected, "two steps");
}

/// What was recorded from a leaf before the step has the value that the leaf had, whenever it is asked.
#[test]
fn what_was_recorded_before_keeps_its_values() {
    let mut c = Cubes::new();
    for step in 0..4 {
        let (double, constant) = (&c.w * 2.0, c.tape.no_grad(|| &c.w + 1.0));
        let detached = c.w.detach();
        let h = c.w.powf(3.0);
        let loss = h.sum(..) / 3.0;
        loss.backward().unwrap();
        let old = c.expected.clone();
        c.optimizer.step().unwrap();
        c.follow(1.0);
        let of_old = |function: &dyn Fn(f64) -> f64| old.iter().map(|w| function(*w)).collect::<Vec<_>>();
        let what = format!("step {step}");
        near(&read(&h), &of_old(&|w| w.powi(3)), &what);
        near(&gradient(&h), &[1.0 / 3.0; 3], &what);
        near(&read(&constant), &of_old(&|w| w + 1.0), &what);
        near(&read(&detached), &old, &what);
        if step % 2 == 0 {
            near(&read(&double), &of_old(&|w| 2.0 * w), &what);
        }
        c.optimizer.zero_grad();
        // A graph that was not differentiated is, with the values that it was recorded with.
        double.square().sum(..).backward().unwrap();
        near(&gradient(&c.w), &of_old(&|w| 8.0 * w), &what);
        c.optimizer.zero_grad();
        c.check(&what);
    }
}

#[test]
fn a_graph_that_is_kept_is_differentiated_again() {
    let mut c = Cubes::new();
    let loss = c.loss();
    let squares = c.squares();
    for pass in 1..5 {
        loss.backward_retained().unwrap();
        c.optimizer.step().unwrap();
        let expected: Vec<f64> = c.expected.iter().zip(&squares).map(|(w, square)| w - RATE * square).collect();
        c.expected = expected;
        c.check(&format!("pass {pass}"));
        c.optimizer.zero_grad();
    }
    near(&[loss.item().unwrap()], &[1.0 / 3.0 - 0.125 / 3.0 + 0.015625 / 3.0], "the loss");
}

#[test]
fn a_leaf_may_be_given_another_value() {
    let mut c = Cubes::new();
    for step in 0..6 {
        let what = format!("step {step}");
        let old = &c.w * 1.0;
        let before = c.expected.clone();
        c.expected = vec![0.5, 0.25 * f64::from(step), -1.0];
        c.w.set_data(vector(&c.expected));
        c.check(&what);
        c.loss().backward().unwrap();
        if step % 2 == 0 {
            // Between the passes: what flows there is the gradient of what was recorded.
            let squares = c.squares();
            c.expected = vec![0.125; 3];
            c.w.set_data(vector(&c.expected));
            c.optimizer.step().unwrap();
            c.expected = squares.iter().map(|square| 0.125 - RATE * square).collect();
        } else {
            c.optimizer.step().unwrap();
            c.follow(1.0);
        }
        c.check(&what);
        near(&read(&old), &before, &what);
        c.optimizer.zero_grad();
    }
}

/// Two optimisers over leaves of their own, one loss: each step takes its gradients as they were.
#[test]
fn two_optimisers_of_one_loss() {
    for asks in [false, true] {
        let tape = Tape::new(Device::cpu());
        let (mut wv, mut vv) = (vec![1.0, 2.0], vec![0.5, -1.0]);
        let w = tape.leaf(vector(&wv)).requires_grad();
        let v = tape.leaf(vector(&vv)).requires_grad();
        let free = tape.leaf(vector(&[3.0, 4.0])).requires_grad();
        let mut of_w = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.125)).unwrap();
        let mut of_v = TapeOptimizer::new(&tape, &[&v], Sgd::new(0.25)).unwrap();
        for step in 0..5 {
            let loss = (&w * &v * &free).sum(..);
            tape.zero_grad();
            loss.backward().unwrap();
            of_w.step().unwrap();
            if asks {
                near(&gradient(&v), &[wv[0] * 3.0, wv[1] * 4.0], "after one step");
            }
            of_v.step().unwrap();
            let old = wv.clone();
            wv = (0..2).map(|n| wv[n] - 0.125 * vv[n] * [3.0, 4.0][n]).collect();
            near(&gradient(&free), &[old[0] * vv[0], old[1] * vv[1]], "a leaf of no optimiser");
            vv = (0..2).map(|n| vv[n] - 0.25 * old[n] * [3.0, 4.0][n]).collect();
            near(&read(&w), &wv, &format!("w, step {step}"));
            near(&read(&v), &vv, &format!("v, step {step}"));
        }
        assert!(tape.plans() < 8, "{} plans", tape.plans());
    }
}

/// A value that is carried from step to step, detached, is that of the step in which it was recorded.
#[test]
fn a_state_that_is_carried_along() {
    let mut c = Cubes::new();
    let mut h = c.tape.leaf(vector(&[0.0; 3]));
    let mut expected = vec![0.0; 3];
    let (mut largest, mut plans) = (0, 0);
    for step in 0..300 {
        let next = &h * 0.5 + &c.w;
        next.square().sum(..).backward().unwrap();
        expected = (0..3).map(|n| expected[n] * 0.5 + c.expected[n]).collect();
        h = next.detach();
        c.optimizer.step().unwrap();
        c.optimizer.zero_grad();
        c.expected = (0..3).map(|n| c.expected[n] - RATE * 2.0 * expected[n]).collect();
        largest = largest.max(c.tape.len());
        if step == 20 {
            plans = c.tape.plans();
        }
    }
    near(&read(&h), &expected, "what was carried");
    c.check("at the end");
    assert!(largest < 400 && c.tape.plans() <= plans + 1, "{largest} nodes, {plans} and {} plans", c.tape.plans());
}

/// More shapes than plans are kept: nothing is lost when they are forgotten.
#[test]
fn shapes_that_change_each_time() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(vector(&[1.0])).requires_grad();
    let mut optimizer = TapeOptimizer::new(&tape, &[&w], Adam::new(0.01)).unwrap();
    let (mut value, mut moments) = (1.0f64, (0.0, 0.0));
    let mut losses = Vec::new();
    for step in 1..=200usize {
        let x = tape.leaf(vector(&vec![0.5; step]));
        optimizer.zero_grad();
        let loss = (&x * &w).square().mean(..);
        loss.backward().unwrap();
        optimizer.step().unwrap();
        losses.push((loss, value * value * 0.25));
        let gradient = 0.5 * value;
        moments = (0.9 * moments.0 + 0.1 * gradient, 0.999 * moments.1 + 0.001 * gradient * gradient);
        let corrected = moments.0 / (1.0 - 0.9f64.powi(step as i32));
        value -= 0.01 * corrected / ((moments.1 / (1.0 - 0.999f64.powi(step as i32))).sqrt() + 1e-8);
        assert!(tape.plans() <= 128, "{} plans", tape.plans());
    }
    let found = read(&w)[0];
    assert!((found - value).abs() < 1e-9, "{found}, not {value}");
    for (loss, expected) in losses {
        assert!((loss.item().unwrap() - expected).abs() < 1e-9);
    }
}

/// A step that is refused changes nothing, and can be taken rightly afterwards.
#[test]
fn a_step_that_fails_changes_nothing() {
    let mut c = Cubes::new();
    let index = c.tape.leaf(Tensor::new([1], vec![7i32]).unwrap());
    c.w.map(|w| w * 1.0).gather(0, &index).sum(..).backward().unwrap();
    assert!(c.optimizer.step().is_err());
    assert!(c.w.grad().is_err());
    c.check("after the refusal");
    c.tape.zero_grad();
    c.loss().backward().unwrap();
    c.optimizer.step().unwrap();
    c.follow(1.0);
    c.check("after the step");
}

/// The learning rate holds from the next step on.
#[test]
fn a_learning_rate_that_changes() {
    let mut c = Cubes::new();
    for step in 0..6 {
        let rate = 0.0625 / f64::from(step + 1);
        c.optimizer.set_learning_rate(rate).unwrap();
        c.loss().backward().unwrap();
        c.optimizer.step().unwrap();
        c.optimizer.zero_grad();
        c.expected.iter_mut().for_each(|w| *w -= rate * *w * *w);
        c.check(&format!("step {step}"));
    }
    let state = c.optimizer.state().unwrap();
    assert_eq!((state.len(), state[0].0.as_str()), (1, "learning_rate"));
}

/// Every question on every device, in f32: a GPU has no f64.
#[test]
fn devices_agree_on_steps() {
    let single = |elements: &[f32]| Tensor::new([elements.len()], elements.to_vec()).unwrap();
    let run = |device: Device| -> Vec<f64> {
        let tape = Tape::new(device);
        let w = tape.leaf(single(&[1.0, -0.5, 0.25])).requires_grad();
        let v = tape.leaf(single(&[0.5, 0.5, 2.0])).requires_grad();
        let mut of_w = TapeOptimizer::new(&tape, &[&w], Adam::new(0.05)).unwrap();
        let mut of_v = TapeOptimizer::new(&tape, &[&v], Sgd::new(0.05).momentum(0.5)).unwrap();
        let mut answers = Vec::new();
        for step in 0..12 {
            let h = &w * &v;
            let loss = h.square().sum(..);
            loss.backward().unwrap();
            if step % 3 == 0 {
                answers.push(loss.item().unwrap());
                answers.extend(gradient(&v));
            }
            if step % 4 == 1 {
                (&w * &v).sum(..).backward().unwrap();
            }
            of_w.step().unwrap();
            of_v.step().unwrap();
            answers.extend(gradient(&h));
            answers.extend(gradient(&w));
            answers.push(loss.item().unwrap());
            tape.zero_grad();
        }
        answers.into_iter().chain(read(&w)).chain(read(&v)).collect()
    };
    let expected = run(Device::cpu());
    for found in devices().into_iter().map(run) {
        let close = |(found, expected): (&f64, &f64)| (found - expected).abs() < 2e-5;
        assert!(found.len() == expected.len() && found.iter().zip(&expected).all(close), "{found:?}, not {expected:?}");
    }
}

/// The step is planned once, and the arena does not grow.
#[test]
fn a_loop_plans_once() {
    let mut c = Cubes::new();
    c.optimizer.set_learning_rate(1e-6).unwrap();
    let (mut largest, mut plans) = (0, 0);
    for step in 0..20_000 {
        let loss = c.loss();
        c.optimizer.zero_grad();
        loss.backward().unwrap();
        c.optimizer.step().unwrap();
        assert!(step % 100 != 0 || loss.item().is_ok());
        largest = largest.max(c.tape.len());
        if step == 3 {
            plans = c.tape.plans();
        }
    }
    assert!(plans <= 2 && c.tape.plans() == plans, "{plans} and {} plans", c.tape.plans());
    assert!(largest < 300, "{largest} nodes");
}

/// What a plan hands on unchanged must not be the place of a parameter, which a later step writes to.
#[test]
fn a_copy_of_a_parameter_keeps_its_value_when_the_parameter_is_updated() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let w = tape.leaf(3.0).requires_grad().named("w");
        let v = tape.leaf(1.0).requires_grad();
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
        let copy = w.detach().requires_grad();
        // The gradient of the one factor is the other.
        (&w * &v).backward().unwrap();
        let gradient = v.grad().unwrap();
        w.zero_grad();
        let mut of_copy = TapeOptimizer::new(&tape, &[&copy], Sgd::new(0.1)).unwrap();
        w.square().backward().unwrap();
        optimizer.step().unwrap();
        assert!((w.item().unwrap() - 2.4).abs() < 1e-6, "{device}");
        assert_eq!((copy.item(), gradient.item()), (Ok(3.0), Ok(3.0)), "{device}");
        copy.square().backward().unwrap();
        of_copy.step().unwrap();
        assert!((copy.item().unwrap() - 2.4).abs() < 1e-6 && (w.item().unwrap() - 2.4).abs() < 1e-6, "{device}");
    }
}

/// What two optimisers overwrite in turn is read by what was recorded at any time before, whether it was computed, differentiated or frozen
/// meanwhile, and whatever was refused or swept between.
#[test]
fn what_is_held_for_long_keeps_its_values() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let (w, v) = (tape.leaf(1.0).requires_grad(), tape.leaf(2.0).requires_grad());
        let mut of_w = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.01)).unwrap();
        let mut of_v = TapeOptimizer::new(&tape, &[&v], Sgd::new(0.02)).unwrap();
        let (mut wv, mut vv, mut chained) = (1.0f64, 2.0f64, 0.0f64);
        let mut chain = tape.leaf(0.0);
        let mut held: Vec<(Variable, f64, [f64; 2])> = Vec::new();
        let mut constants: Vec<(Variable, f64)> = Vec::new();
        let check = |variable: &Variable, expected: f64, what: &str| {
            let found = variable.item().unwrap();
            assert!((found - expected).abs() < 2e-3, "{what} on {device}: {found}, not {expected}");
        };
        for step in 0..300usize {
            held.push((&w * &v, wv * vv, [vv, wv]));
            constants.push((tape.no_grad(|| &w - &v), wv - vv));
            let leaf = tape.no_grad(|| &w * 3.0 + &v).requires_grad();
            if step % 2 == 0 {
                leaf.set_requires_grad(false).unwrap();
            }
            constants.push((leaf, wv * 3.0 + vv));
            (chain, chained) = (&chain * 0.5 + &w * &v, chained * 0.5 + wv * vv);
            if step % 5 == 4 {
                assert!((&w + &tape.leaf(vector(&[1.0, 2.0]))).check().is_err());
                assert!(w.backward_with(vector(&[1.0, 2.0])).is_err());
            }
            if step % 3 == 2 {
                (&v * 1.0).backward().unwrap();
                of_v.step().unwrap();
                of_v.zero_grad();
                vv -= 0.02;
            }
            if step % 40 == 39 {
                wv = 1.0;
                w.set_data(Tensor::scalar(1.0f32));
            }
            (&w * 1.0).backward().unwrap();
            of_w.step().unwrap();
            of_w.zero_grad();
            wv -= 0.01;
            if step % 11 == 10 {
                let (variable, expected) = &constants[step * 7 % constants.len()];
                check(variable, *expected, "a constant");
                assert!(variable.set_requires_grad(false).is_ok() == variable.is_leaf());
            }
            if step % 13 == 12 {
                let (variable, expected, _) = &held[step * 7 % held.len()];
                check(variable, *expected, "a product");
            }
            if step % 17 == 16 {
                let (variable, expected, gradients) = held.swap_remove(step * 5 % held.len());
                variable.backward().unwrap();
                if step % 2 == 0 {
                    near_single(&w, gradients[0]);
                    near_single(&v, gradients[1]);
                }
                tape.zero_grad();
                constants.push((variable, expected));
            }
        }
        check(&w, wv, "w");
        check(&v, vv, "v");
        check(&chain, chained, "the chain");
        held.iter().for_each(|(variable, expected, _)| check(variable, *expected, "a product at the end"));
        constants.iter().for_each(|(variable, expected)| check(variable, *expected, "a constant at the end"));
    }
}

/// The gradient of a leaf of one element in f32.
fn near_single(variable: &Variable, expected: f64) {
    let found = variable.grad().unwrap().item().unwrap();
    assert!((found - expected).abs() < 2e-3, "{found}, not {expected}");
}
