//! L-BFGS over the parameters of a trainer, its checkpoints, and checkpoints of other optimisers.

use arenagrad::nn::Linear;
use arenagrad::train::{Lbfgs, LbfgsOutcome, Objective};
use arenagrad::{
    Adam, Checkpoint, CheckpointError, DType, Device, Error, Graph, Optimizer, Session, Sgd, Tensor, Trainer,
};

use crate::suite::devices::devices;

fn batch() -> (Tensor, Tensor) {
    let x: Vec<f32> = (0..24).map(|i| (i as f32 * 0.7).sin()).collect();
    let y = x.chunks(2).map(|x| x[0] * x[1] + 0.5 * x[0]).collect();
    (Tensor::new([12, 2], x).unwrap(), Tensor::new([12, 1], y).unwrap())
}

fn trainer<'f>(device: &Device, optimizer: impl Optimizer + Send + 'f) -> Trainer<'f> {
    Trainer::new(device.clone(), optimizer, |inputs| {
        let h = Linear::new("hidden", 2, 5).apply(inputs.get("x")).tanh();
        (Linear::new("out", 5, 1).apply(h) - inputs.get("y")).square().mean(..)
    })
    .seed(2)
}

fn lbfgs() -> Lbfgs {
    Lbfgs::new(1.0).strong_wolfe().max_iterations(4).history(5)
}

fn parameters(trainer: &Trainer<'_>) -> Vec<Tensor> {
    let names = ["hidden.weight", "hidden.bias", "out.weight", "out.bias"];
    names.map(|name| trainer.session().parameter(name).unwrap()).into()
}

#[test]
fn a_trainer_is_minimised_as_a_session_is() {
    for device in devices() {
        let (x, y) = batch();
        let mut trainer = trainer(&device, Sgd::new(0.1));
        let (mut first, mut second) = (lbfgs(), lbfgs());
        let found: Vec<LbfgsOutcome> =
            (0..5).map(|_| trainer.minimise(&mut first, &[("x", &x), ("y", &y)]).unwrap()).collect();
        assert!(found[4].loss < 0.2 * found[0].first_loss, "{found:?}");
        let g = Graph::new();
        let h = Linear::new("hidden", 2, 5).apply(g.input("x", [12, 2])).tanh();
        let loss = (Linear::new("out", 5, 1).apply(h) - g.input("y", [12, 1])).square().mean(..);
        let mut session = Session::builder(device.clone()).seed(2).train(&g, loss, &Sgd::new(0.1)).unwrap();
        let objective = Objective::new(&mut session, &g, loss).unwrap();
        let expected: Vec<LbfgsOutcome> =
            (0..5).map(|_| second.minimise(&mut session, &objective, &[("x", &x), ("y", &y)]).unwrap()).collect();
        assert_eq!(found, expected, "{device}");
    }
}

#[test]
fn what_is_frozen_is_not_moved_and_a_refused_step_moves_nothing() {
    let (x, y) = batch();
    let mut trainer = trainer(&Device::cpu(), Sgd::new(0.1).freeze("hidden"));
    trainer.prepare(&[("x", &x), ("y", &y)]).unwrap();
    let before = parameters(&trainer);
    trainer.minimise(&mut lbfgs(), &[("x", &x), ("y", &y)]).unwrap();
    let after = parameters(&trainer);
    assert_eq!(before[..2], after[..2]);
    assert!(before[2] != after[2] && before[3] != after[3]);
    let mut wrong = Lbfgs::new(-1.0);
    assert!(matches!(trainer.minimise(&mut wrong, &[("x", &x), ("y", &y)]), Err(Error::Hyperparameter { .. })));
    let none = Tensor::zeros([0, 2], DType::F32).unwrap();
    assert!(matches!(trainer.minimise(&mut lbfgs(), &[("x", &none)]), Err(Error::EmptyBatch { .. })));
    assert_eq!(parameters(&trainer), after);
}

#[test]
fn l_bfgs_goes_on_from_a_checkpoint_to_the_same_bits() {
    for device in devices() {
        let (x, y) = batch();
        let given = [("x", &x), ("y", &y)];
        let (mut first, mut learnt) = (trainer(&device, Sgd::new(0.1)), lbfgs());
        for _ in 0..3 {
            first.minimise(&mut learnt, &given).unwrap();
        }
        let bytes = first.checkpoint().unwrap().with_lbfgs(&learnt).unwrap().with("epoch", 3).to_bytes().unwrap();
        let expected: Vec<LbfgsOutcome> = (0..3).map(|_| first.minimise(&mut learnt, &given).unwrap()).collect();

        let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
        let (mut second, mut learnt) = (trainer(&device, Sgd::new(0.1)), lbfgs());
        second.restore(&checkpoint).unwrap();
        learnt.restore(&checkpoint).unwrap();
        let found: Vec<LbfgsOutcome> = (0..3).map(|_| second.minimise(&mut learnt, &given).unwrap()).collect();
        assert_eq!((found, parameters(&second)), (expected, parameters(&first)), "{device}");
        // Planned before, it takes the file as well, and the next checkpoint has nothing of L-BFGS unless it is given.
        second.restore(&checkpoint).unwrap();
        assert!(matches!(
            lbfgs().restore(&second.checkpoint().unwrap()),
            Err(Error::Checkpoint(CheckpointError::Missing { .. }))
        ));
    }
    // What has learnt nothing yet, and what is of other parameters.
    let (x, y) = batch();
    let first = trainer(&Device::cpu(), Sgd::new(0.1));
    let checkpoint = first.checkpoint().unwrap().with_lbfgs(&lbfgs()).unwrap();
    let mut fresh = lbfgs();
    fresh.restore(&checkpoint).unwrap();
    let mut twelve = [1.0; 12];
    fresh
        .minimise_function(&mut twelve, |x, gradient| {
            gradient.copy_from_slice(x);
            Ok(x.iter().map(|x| x * x / 2.0).sum())
        })
        .unwrap();
    let mut of_others = trainer(&Device::cpu(), Sgd::new(0.1));
    assert!(matches!(of_others.minimise(&mut fresh, &[("x", &x), ("y", &y)]), Err(Error::OptimizerParts { .. })));
}

#[test]
fn a_checkpoint_of_another_optimiser_is_refused_by_the_first_step() {
    let (x, y) = batch();
    let given = [("x", &x), ("y", &y)];
    let kept = |optimizer: Box<dyn Optimizer + Send>| {
        let mut trainer = trainer(&Device::cpu(), optimizer);
        trainer.step(&given).unwrap();
        Checkpoint::from_bytes(trainer.checkpoint().unwrap().to_bytes().unwrap()).unwrap()
    };
    let (adam, momentum) = (kept(Box::new(Adam::new(0.1))), kept(Box::new(Sgd::new(0.1).momentum(0.9))));
    let first_step = |optimizer: Box<dyn Optimizer + Send>, checkpoint: &Checkpoint| {
        let mut trainer = trainer(&Device::cpu(), optimizer);
        trainer.restore(checkpoint).unwrap();
        let result = trainer.step(&given).map(drop);
        // It stays refused, and nothing is planned.
        assert_eq!(trainer.step(&given).map(drop), result);
        assert_eq!(trainer.plans(), usize::from(result.is_ok()));
        result
    };
    let of = |error: Result<(), Error>| match error {
        Err(Error::Checkpoint(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(of(first_step(Box::new(Sgd::new(0.1)), &adam)), CheckpointError::Unused { .. }));
    assert!(matches!(of(first_step(Box::new(Adam::new(0.1)), &momentum)), CheckpointError::Missing { .. }));
    let error = of(first_step(Box::new(Adam::new(0.1).clip_norm(1.0)), &adam));
    assert!(matches!(&error, CheckpointError::Missing { missing, .. } if missing.contains("gradient_norm")), "{error}");
    first_step(Box::new(Adam::new(0.1)), &adam).unwrap();
    first_step(Box::new(Sgd::new(0.1).momentum(0.9)), &momentum).unwrap();
}

#[test]
fn functions_that_a_checkpoint_does_not_know_begin_anew() {
    let (x, y) = batch();
    let given = [("x", &x), ("y", &y)];
    let make = || {
        let mut trainer = trainer(&Device::cpu(), Adam::new(0.1));
        let second = trainer.add_training("second", Sgd::new(0.1).momentum(0.5), |inputs| {
            Linear::new("second_net", 2, 1).apply(inputs.get("x")).square().mean(..)
        });
        (trainer, second)
    };
    let (mut trainer, second) = make();
    trainer.step(&given).unwrap();
    let early = trainer.checkpoint().unwrap();
    trainer.step_of(second, &given).unwrap();
    let late = trainer.checkpoint().unwrap();
    for checkpoint in [&early, &late] {
        let (mut restored, second) = make();
        restored.restore(checkpoint).unwrap();
        restored.step_of(second, &given).unwrap();
        restored.step(&given).unwrap();
    }
}
