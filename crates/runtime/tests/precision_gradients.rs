//! Gradients that no update follows, in 16 bits: those that the step has, for a trainer, a group and L-BFGS.

use std::sync::Arc;

use arenagrad::group::{Alone, Group};
use arenagrad::train::{Lbfgs, Objective};
use arenagrad::{
    Checkpoint, Device, Expr, Graph, Half, Init, Inputs, LossScale, Optimizer, Precision, Session, Sgd, Tensor, Trainer,
};

use crate::suite::devices::devices;
use crate::suite::members::members;

const FACTOR: f64 = 1e-9;

fn ones(rows: usize) -> Tensor {
    Tensor::new([rows, 3], vec![1.0f32; rows * 3]).unwrap()
}

/// A loss whose gradient is smaller than any number of f16: the factor by each row.
fn small<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
    let w = inputs.graph().parameter("w", [3, 2], Init::Constant(0.0));
    (inputs.get("x").matmul(w) * FACTOR).sum(..)
}

fn trainer(device: &Device, scale: LossScale) -> Trainer<'static> {
    Trainer::new(device.clone(), Sgd::new(1.0), small).precision(Precision::mixed(Half::F16).loss_scale(scale))
}

#[track_caller]
fn is_near(found: &[f64], expected: f64) {
    assert!(found.iter().all(|found| (found / expected - 1.0).abs() < 2e-3), "{found:?}, expected {expected:e}");
}

#[test]
fn small_gradients_are_those_of_the_step() {
    for device in devices() {
        for scale in [LossScale::dynamic(), LossScale::fixed(3e5)] {
            let mut trainer = trainer(&device, scale);
            let x = ones(4);
            let gradients = trainer.gradients(&[("x", &x)]).unwrap();
            is_near(&gradients[0].1.to_f64_vec(), 4.0 * FACTOR);
            trainer.step(&[("x", &x)]).unwrap();
            let stepped: Vec<f64> =
                trainer.session().parameter("w").unwrap().to_f64_vec().into_iter().map(|w| -w).collect();
            assert_eq!(gradients[0].1.to_f64_vec(), stepped, "{device}");
        }
    }
}

#[test]
fn gradients_follow_the_scale_of_their_function() {
    let mut trainer = trainer(&Device::cpu(), LossScale::dynamic());
    let steep = trainer.add_training("steep", Sgd::new(1e-3).only("v"), |inputs: &Inputs<'_>| {
        let v = inputs.graph().parameter("v", [3, 2], Init::Constant(0.0));
        (inputs.get("x").matmul(v) * 100.0).sum(..)
    });
    let x = ones(4);
    // The scale is too large at first, for the gradients as for the step.
    let is_finite = |trainer: &mut Trainer<'_>| {
        let gradients = trainer.gradients_of(steep, &[("x", &x)]).unwrap();
        gradients[0].1.to_f64_vec().into_iter().all(f64::is_finite)
    };
    assert!(!is_finite(&mut trainer));
    for _ in 0..20 {
        trainer.step_of(steep, &[("x", &x)]).unwrap();
    }
    assert!(is_finite(&mut trainer));
    let skipped = trainer.session().parameter("steep.skipped_updates").unwrap().item().unwrap();
    assert!(skipped > 0.0 && skipped < 20.0, "{skipped}");
    is_near(&trainer.gradients(&[("x", &x)]).unwrap()[0].1.to_f64_vec(), 4.0 * FACTOR);
}

#[test]
fn a_checkpoint_behind_gradients_alone_begins_anew() {
    let x = ones(4);
    let mut first = trainer(&Device::cpu(), LossScale::dynamic());
    first.gradients(&[("x", &x)]).unwrap();
    let checkpoint = Checkpoint::from_bytes(first.checkpoint().unwrap().to_bytes().unwrap()).unwrap();
    // It belongs to the training and not to the network.
    assert_eq!(first.session().weights().unwrap().names().collect::<Vec<_>>(), ["w"]);
    let mut second = trainer(&Device::cpu(), LossScale::dynamic());
    second.restore(&checkpoint).unwrap();
    second.step(&[("x", &x)]).unwrap();
    first.step(&[("x", &x)]).unwrap();
    assert_eq!(first.session().parameter("w").unwrap(), second.session().parameter("w").unwrap());
}

#[test]
fn members_of_a_group_have_them_too() {
    let gradients = |group: Arc<dyn Group>| {
        let mut trainer = trainer(&Device::cpu(), LossScale::dynamic()).in_group(Arc::clone(&group));
        let found = trainer.gradients(&[("x", &ones(4))]).unwrap();
        let again = trainer.gradients(&[("x", &ones(4))]).unwrap();
        assert_eq!(found, again);
        found[0].1.to_f64_vec()
    };
    // The mean of the members' losses.
    for found in members(2, gradients).into_iter().chain([gradients(Arc::new(Alone))]) {
        is_near(&found, 4.0 * FACTOR);
    }
}

#[test]
fn lbfgs_moves_by_them() {
    let x = ones(4);
    for trains in [false, true] {
        let g = Graph::new();
        let w = g.parameter("w", [3, 2], Init::Constant(0.0));
        let loss = (g.input("x", [4, 3]).matmul(w) * FACTOR).sum(..);
        let builder = Session::builder(Device::cpu()).precision(Precision::mixed(Half::F16));
        let mut session = match trains {
            true => builder.train(&g, loss, &Sgd::new(1.0)).unwrap(),
            false => builder.evaluate(&g, &[loss]).unwrap(),
        };
        let before: Vec<String> = session.parameter_names().map(str::to_owned).collect();
        let objective = Objective::new(&mut session, &g, loss).unwrap();
        assert_eq!(before, session.parameter_names().collect::<Vec<_>>());
        let mut lbfgs = Lbfgs::new(1.0 / FACTOR).max_iterations(1).gradient_tolerance(0.0).change_tolerance(0.0);
        lbfgs.minimise(&mut session, &objective, &[("x", &x)]).unwrap();
        is_near(&session.parameter("w").unwrap().to_f64_vec(), -4.0);
    }
}

/// The scale at first is too large for these errors, and no training step makes it smaller.
#[test]
fn lbfgs_shrinks_a_scale_that_is_too_large() {
    let (x, y) = (ones(4), Tensor::new([4, 2], vec![8.0f32; 8]).unwrap());
    let given = [("x", &x), ("y", &y)];
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(1.0), |inputs| {
        let w = inputs.graph().parameter("w", [3, 2], Init::Constant(0.0));
        (inputs.get("x").matmul(w) - inputs.get("y")).square().sum(..)
    });
    trainer = trainer.precision(Precision::mixed(Half::F16));
    let outcome = trainer.minimise(&mut Lbfgs::new(1.0).strong_wolfe(), &given).unwrap();
    assert!(outcome.loss < 1e-2, "{outcome:?}");
    assert!(trainer.session().parameter("loss_scale").unwrap().item().unwrap() < 65_536.0);
    for trains in [false, true] {
        let g = Graph::new();
        let w = g.parameter("w", [3, 2], Init::Constant(0.0));
        let loss = (g.input("x", [4, 3]).matmul(w) - g.input("y", [4, 2])).square().sum(..);
        let builder = Session::builder(Device::cpu()).precision(Precision::mixed(Half::F16));
        let mut session = match trains {
            true => builder.train(&g, loss, &Sgd::new(1.0)).unwrap(),
            false => builder.evaluate(&g, &[loss]).unwrap(),
        };
        let objective = Objective::new(&mut session, &g, loss).unwrap();
        let outcome = Lbfgs::new(1.0).strong_wolfe().minimise(&mut session, &objective, &given).unwrap();
        assert!(outcome.loss < 1e-2, "{outcome:?}");
    }
}
