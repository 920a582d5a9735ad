//! What belongs to the graph of a variable and what does not, as in PyTorch and TensorFlow: constants that two graphs share,
//! values given later, results that were dropped, and what long loops leave behind.

use arenagrad::{DType, Device, Error, GradientTape, GraphError, Tape, Tensor, Variable};

fn vector(values: &[f32]) -> Tensor {
    Tensor::new([values.len()], values.to_vec()).unwrap()
}

fn pair() -> Tensor {
    vector(&[1.0, 2.0])
}

fn gradient(variable: &Variable) -> Vec<f64> {
    variable.grad().unwrap().to_f64_vec()
}

fn only(gradients: Vec<Option<Variable>>) -> Option<Vec<f64>> {
    gradients[0].as_ref().map(|gradient| gradient.data().unwrap().to_f64_vec())
}

/// What requires no gradient is part of no graph, so no backward pass releases it.
#[test]
fn two_graphs_share_a_constant() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(2.0);
    let (v, w) = (tape.leaf(3.0).requires_grad(), tape.leaf(4.0).requires_grad());
    let hidden = tape.no_grad(|| &w * 2.0);
    for shared in [&x * 3.0, (&w * 1.5).detach(), hidden] {
        tape.zero_grad();
        let (first, second) = (&shared * &v, &shared * &w);
        first.backward().unwrap();
        second.backward().unwrap();
        let expected = vec![shared.item().unwrap()];
        assert_eq!((gradient(&v), gradient(&w)), (expected.clone(), expected));
        assert!(matches!(second.backward(), Err(Error::GraphReleased { .. })));
    }
}

#[test]
fn what_was_recorded_before_a_leaf_was_watched_stays_a_constant() {
    let tape = GradientTape::new(Device::cpu()).persistent();
    let c = tape.constant(3.0);
    let before = &c * &c;
    tape.watch(&c);
    let after = &before * &c;
    assert_eq!(only(tape.gradient(&after, &[&c]).unwrap()), Some(vec![9.0]));
    // Recorded with a variable that was watched, but before this one was.
    let (x, d) = (tape.variable(5.0), tape.constant(2.0));
    let product = &x * &d;
    tape.watch(&d);
    assert_eq!(only(tape.gradient(&product, &[&d]).unwrap()), None);
    assert_eq!(only(tape.gradient(&product, &[&x]).unwrap()), Some(vec![2.0]));
}

#[test]
fn a_leaf_is_frozen_and_thawed() {
    let tape = Tape::new(Device::cpu());
    let (v, w) = (tape.leaf(2.0).requires_grad(), tape.leaf(5.0).requires_grad());
    let earlier = &v * &w;
    v.set_requires_grad(false).unwrap();
    assert!(tape.gradients(&earlier, &[&v]).unwrap()[0].is_none());
    let frozen = &v * &w + &v;
    v.set_requires_grad(true).unwrap();
    let thawed = &v * &w;
    frozen.backward().unwrap();
    assert_eq!((v.has_grad(), gradient(&w)), (false, vec![2.0]));
    thawed.backward().unwrap();
    assert_eq!((gradient(&v), gradient(&w)), (vec![5.0], vec![4.0]));
    // What was recorded while it required gradients adds none while it is frozen.
    v.set_requires_grad(false).unwrap();
    earlier.backward().unwrap();
    assert_eq!((gradient(&v), gradient(&w)), (vec![5.0], vec![6.0]));

    let result = &w * 2.0;
    assert!(matches!(result.set_requires_grad(false), Err(Error::NotFrozen { .. })));
    assert!(result.does_require_grad() && tape.leaf(1.0).set_requires_grad(false).is_ok());
}

/// Which leaf was given another value last does not make another plan of the same step.
#[test]
fn one_step_is_one_plan_whichever_leaf_changes() {
    let tape = Tape::new(Device::cpu());
    let leaves: Vec<Variable> = (0..4).map(|number| tape.leaf(f64::from(number)).requires_grad()).collect();
    let step = |changed: usize| {
        tape.zero_grad();
        leaves.iter().skip(1).fold(&leaves[0] * 1.0, |product, leaf| product * leaf + 1.0).backward().unwrap();
        leaves[changed].set_data(Tensor::scalar(0.5f32));
    };
    (0..4).for_each(step);
    let plans = tape.plans();
    (0..100).for_each(|number| step(number * number / 3 % 4));
    assert_eq!(tape.plans(), plans);
}

#[test]
fn gradients_made_without_recording_are_constants() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(3.0).requires_grad();
    let y = x.square();
    let slope = tape.no_grad(|| tape.gradients(&y, &[&x]).unwrap().remove(0).unwrap());
    let jacobian = tape.no_grad(|| tape.jacobian(&y, &x));
    for constant in [slope, jacobian] {
        x.zero_grad();
        assert!(!constant.does_require_grad());
        (&constant * &x).backward().unwrap();
        assert_eq!(gradient(&x), [6.0]);
    }
}

#[test]
fn a_result_whose_graph_was_released_ends_no_gradient_silently() {
    let tape = Tape::new(Device::cpu());
    let (v, w) = (tape.leaf(3.0).requires_grad(), tape.leaf(pair()).requires_grad());
    let h = &v * 2.0;
    h.backward().unwrap();
    let e = &h * 3.0 + &v;
    // Whether the variable is still held does not matter.
    drop(h);
    assert!(matches!(e.backward(), Err(Error::GraphReleased { .. })));

    let y = w.square();
    y.sum(..).backward().unwrap();
    assert!(matches!(tape.jacobian(&y, &w).data(), Err(Error::GraphReleased { .. })));
    let constant = tape.leaf(1.0);
    assert!(matches!(tape.jacobian(&w.square(), &constant).data(), Err(Error::NoGradientRequired { .. })));
    // Without a dependence there are zeros.
    assert_eq!(tape.jacobian(&w.square(), &v).data().unwrap().to_f64_vec(), [0.0, 0.0]);
}

#[test]
fn gradients_find_a_leaf_that_was_given_another_value() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(pair()).requires_grad();
    let y = x.square();
    x.set_data(vector(&[10.0, 20.0]));
    assert_eq!(tape.jacobian(&y, &x).data().unwrap().to_f64_vec(), [2.0, 0.0, 0.0, 4.0]);
    assert_eq!(only(tape.gradients(&y.sum(..), &[&x]).unwrap()), Some(vec![2.0, 4.0]));
    let both = (&y + &x.square()).sum(..);
    assert_eq!(only(tape.gradients(&both, &[&x]).unwrap()), Some(vec![22.0, 44.0]));
}

#[test]
fn gradients_of_another_shape_do_not_add_up() {
    let tape = Tape::new(Device::cpu());
    for (before, after) in [(pair(), vector(&[1.0, 2.0, 3.0])), (Tensor::scalar(1.0f32), pair())] {
        let w = tape.leaf(before).requires_grad();
        w.square().sum(..).backward().unwrap();
        let earlier = gradient(&w);
        w.set_data(after);
        let error = w.square().sum(..).backward().unwrap_err();
        assert!(matches!(error, Error::Graph(GraphError::ShapesDiffer { .. })), "{error}");
        assert!(error.to_string().starts_with("crates/runtime/tests/tape_ownership.rs"), "{error}");
        assert_eq!(gradient(&w), earlier);
        // The tape goes on.
        w.zero_grad();
        w.square().sum(..).backward().unwrap();
        assert_eq!(gradient(&w), (&w * 2.0).data().unwrap().to_f64_vec());
    }
}

/// One graph asked over and over: neither the arena nor a question's cost grows, and every gradient is the sum of all passes.
#[test]
fn many_passes_over_one_graph_leave_nothing_behind() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(0.5).requires_grad();
    let h = x.square();
    let y = &h * 2.0;
    for pass in 1..=2000 {
        y.backward_retained().unwrap();
        let slope = tape.gradients(&y, &[&x]).unwrap().remove(0).unwrap();
        assert_eq!(slope.item(), Ok(2.0));
        assert!(tape.len() < 256, "{} nodes after {pass} passes", tape.len());
    }
    assert_eq!((gradient(&x), gradient(&h), gradient(&y)), (vec![4000.0], vec![4000.0], vec![2000.0]));
}

/// Shapes that never come back, and values that were let go of: their places in the arena are given back.
#[test]
fn places_that_are_not_used_again_are_given_back() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(0.5).requires_grad();
    let step = |x: &Variable| (x * &w).sum(..).backward().unwrap();
    for extent in 1..400 {
        step(&tape.leaf(vector(&vec![1.0; extent])));
    }
    assert!(tape.len() < 256, "{} nodes after many shapes", tape.len());
    let held: Vec<Variable> = (0..1000).map(|number| &tape.leaf(f64::from(number)) * 2.0).collect();
    assert!(held.iter().all(|variable| variable.item().is_ok()) && tape.len() >= 2000);
    drop(held);
    (0..1000).for_each(|_| step(&tape.leaf(1.0)));
    assert!(tape.len() < 256, "{} nodes after many values", tape.len());
}

/// What an operation has built so far belongs to no variable yet; operations recorded meanwhile do not give it back.
#[test]
fn operations_are_recorded_while_another_is() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(0.5).requires_grad();
    for _ in 0..500 {
        let outer = tape.record("outer", &[&w], |x| {
            let doubled = x[0] * 2.0;
            doubled * (&w * 3.0).item().unwrap()
        });
        assert_eq!(outer.item(), Ok(1.5));
    }
}

/// Indices that are out of range for one operation are its mistake alone.
#[test]
fn indices_are_checked_for_the_operations_that_are_asked_for() {
    let tape = Tape::new(Device::cpu());
    let (short, long) = (tape.leaf(Tensor::zeros([3, 1], DType::F32).unwrap()), tape.leaf(1.0).broadcast_to([5, 1]));
    let indices = tape.leaf(Tensor::new([2, 1], vec![0i32, 4]).unwrap());
    let wrong = tape.record("gather", &[&short, &indices], |x| x[0].gather(0, x[1]));
    let right = tape.record("gather", &[&long, &indices], |x| x[0].gather(0, x[1]));
    assert_eq!(right.data().unwrap().to_f64_vec(), [1.0, 1.0]);
    assert!(matches!(wrong.data(), Err(Error::IndexOutOfRange { .. })));
    assert_eq!((&right * 2.0).data().unwrap().to_f64_vec(), [2.0, 2.0]);
}

/// A caller that panics while it records, and goes on: the next mistake has its own line.
#[test]
fn a_panic_while_recording_leaves_no_line_behind() {
    let tape = Tape::new(Device::cpu());
    let matrix = tape.leaf(Tensor::zeros([2, 3], DType::F32).unwrap());
    let record = || tape.record("panics", &[&matrix], |_| std::panic::resume_unwind(Box::new(())));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(record)).is_err());
    let line = line!() + 1;
    let error = matrix.matmul(&matrix).data().unwrap_err().to_string();
    assert!(error.starts_with(&format!("crates/runtime/tests/tape_ownership.rs:{line}: ")), "{error}");
}
