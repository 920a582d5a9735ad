//! Leaves whose values have places on the device: one place is read as one value, and nobody else's value stands there.

use crate::suite::devices::devices;
use arenagrad::{DType, Sgd, Tape, TapeOptimizer, Tensor};

fn vector(elements: &[f32]) -> Tensor {
    Tensor::new([elements.len()], elements.to_vec()).unwrap()
}

/// An output and the next value of a leaf's gradient may be one computation. The leaf's place is written again, the output is not.
#[test]
fn a_gradient_of_two_leaves_of_which_one_is_updated() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let (w, v) = (tape.leaf(1.0).requires_grad(), tape.leaf(1.0).requires_grad());
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
        (&w + &v).square().backward().unwrap();
        optimizer.step().unwrap();
        optimizer.zero_grad();
        (&w * 3.0).backward().unwrap();
        optimizer.step().unwrap();
        assert_eq!((v.grad().unwrap().item(), w.grad().unwrap().item()), (Ok(4.0), Ok(3.0)), "{device}");
        assert!((w.item().unwrap() - 0.3).abs() < 1e-6, "{device}");
    }
}

/// A leaf that was a constant for one part of a loss and is trained in another.
#[test]
fn a_leaf_that_is_frozen_for_a_part() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let w = tape.leaf(2.0).requires_grad();
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.25)).unwrap();
        let mut expected = 2.0;
        for _ in 0..3 {
            w.set_requires_grad(false).unwrap();
            let target = &w * 2.0;
            w.set_requires_grad(true).unwrap();
            let loss = &w * 3.0 - &target;
            assert_eq!(loss.item(), Ok(expected), "{device}");
            loss.square().backward().unwrap();
            optimizer.step().unwrap();
            assert_eq!(w.grad().unwrap().item(), Ok(6.0 * expected), "{device}");
            optimizer.zero_grad();
            expected -= 0.25 * 6.0 * expected;
            assert_eq!(w.item(), Ok(expected), "{device}");
        }
    }
}

/// What was recorded before a leaf was given another value reads the old one, though that has the leaf's place.
#[test]
fn a_leaf_at_two_values_in_one_loss() {
    for device in devices() {
        for steps in 0..3 {
            let tape = Tape::new(device.clone());
            let w = tape.leaf(2.0).requires_grad();
            let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.5)).unwrap();
            for _ in 0..steps {
                w.backward().unwrap();
                optimizer.step().unwrap();
                optimizer.zero_grad();
            }
            let old = 2.0 - 0.5 * f64::from(steps);
            let y = &w * &w;
            w.set_data(Tensor::scalar(10.0f32));
            (&y + &w).backward().unwrap();
            optimizer.step().unwrap();
            assert_eq!(w.grad().unwrap().item(), Ok(2.0 * old + 1.0), "{device}, {steps} steps");
            assert_eq!((w.item(), y.item()), (Ok(10.0 - 0.5 * (2.0 * old + 1.0)), Ok(old * old)), "{device}");
        }
    }
}

/// A leaf of an optimiser may be given a value that does not fit its place: an optimiser refuses it, and nothing else does.
#[test]
fn a_leaf_of_another_shape_is_evaluated() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let w = tape.leaf(vector(&[1.0, 2.0])).requires_grad();
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.5)).unwrap();
        w.square().sum(..).backward().unwrap();
        optimizer.step().unwrap();
        optimizer.zero_grad();
        w.set_data(vector(&[1.0, 2.0, 3.0]));
        let y = (&w * 2.0).sum(..);
        assert_eq!(y.item(), Ok(12.0), "{device}");
        y.backward().unwrap();
        assert_eq!(w.grad().unwrap().to_f64_vec(), [2.0; 3], "{device}");
        assert!(optimizer.step().is_err());
        w.zero_grad();
        w.set_data(Tensor::new([2], vec![1i32, 2]).unwrap());
        assert_eq!((&w + 1).data().unwrap().to_f64_vec(), [2.0, 3.0], "{device}");
        // Another optimiser of the leaf as it is now.
        w.set_data(vector(&[4.0]));
        let mut other = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.5)).unwrap();
        w.square().sum(..).backward().unwrap();
        other.step().unwrap();
        assert_eq!(w.data().unwrap().to_f64_vec(), [0.0], "{device}");
        assert_eq!(w.dtype(), Ok(DType::F32));
    }
}
