//! Optimisers of tapes go on from a checkpoint with the bits that they would have had.

use std::collections::HashMap;

use arenagrad::nn::{BatchNorm, Linear, Phase};
use arenagrad::{
    Adam, AdamW, Checkpoint, CheckpointError, Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd, Tape,
    TapeOptimizer, Tensor, Trainer, Variable,
};

use crate::suite::devices::devices;

/// A network with running statistics and random draws.
struct Network {
    hidden: Linear,
    norm: BatchNorm,
    head: Linear,
}

impl Network {
    fn new() -> Self {
        Network {
            hidden: Linear::new("hidden", 3, 4),
            norm: BatchNorm::new("norm", 4),
            head: Linear::new("head", 4, 1),
        }
    }

    fn output<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let h = self.norm.apply(self.hidden.apply(x), Phase::Training).relu();
        self.head.apply(h.dropout_in(Phase::Training, 0.3))
    }
}

fn numbers(step: usize) -> Tensor {
    let elements = (0..15).map(|n| ((n * 7 + step * 5) % 11) as f32 / 11.0 - 0.4).collect();
    Tensor::new([5, 3], elements).unwrap()
}

fn step(tape: &Tape, network: &Network, optimizer: &mut TapeOptimizer, number: usize) -> f64 {
    optimizer.zero_grad();
    let x = tape.leaf(numbers(number));
    let loss = x.map(|x| network.output(x)).square().mean(..);
    loss.backward().unwrap();
    optimizer.step().unwrap();
    loss.item().unwrap()
}

#[test]
fn layers_on_a_tape_resume_bit_for_bit() {
    for device in devices() {
        let network = Network::new();
        let start = |seed: u64| {
            let tape = Tape::new(device.clone()).seed(seed);
            let optimizer = TapeOptimizer::of_parameters(&tape, AdamW::new(0.05).clip_norm(1.0)).unwrap();
            (tape, optimizer)
        };
        let (tape, mut optimizer) = start(3);
        let losses: Vec<f64> = (0..10).map(|number| step(&tape, &network, &mut optimizer, number)).collect();
        let after: Vec<Tensor> =
            tape.parameters().iter().chain(&tape.states()).map(|(_, kept)| kept.data().unwrap()).collect();

        let (tape, mut optimizer) = start(3);
        (0..5).for_each(|number| assert_eq!(step(&tape, &network, &mut optimizer, number), losses[number]));
        let file = optimizer.checkpoint().unwrap().with("step", 5usize).to_bytes().unwrap();

        // A tape of another seed, on which the layers were applied before, and one that has taken steps.
        for steps_before in [0, 2] {
            let (tape, mut optimizer) = start(8);
            let _ = tape.leaf(numbers(0)).map(|x| network.output(x)).data().unwrap();
            for number in 0..steps_before {
                step(&tape, &network, &mut optimizer, number);
            }
            let checkpoint = Checkpoint::from_bytes(file.clone()).unwrap();
            optimizer.restore(&checkpoint).unwrap();
            let from: usize = checkpoint.integer("step").unwrap();
            let resumed: Vec<f64> = (from..10).map(|number| step(&tape, &network, &mut optimizer, number)).collect();
            assert_eq!(resumed, losses[5..], "{device:?}, {steps_before} steps before");
            let own: Vec<Tensor> =
                tape.parameters().iter().chain(&tape.states()).map(|(_, kept)| kept.data().unwrap()).collect();
            assert_eq!(own, after);
        }
    }
}

/// Two leaves, of which the second has no gradient in every other step.
fn alternating(leaves: &[Variable; 2], optimizer: &mut TapeOptimizer, number: usize) -> [f64; 2] {
    optimizer.zero_grad();
    let [a, b] = leaves;
    let loss = if number.is_multiple_of(2) { (a * b - 2.0).square() } else { (a - 1.0).square() };
    loss.backward().unwrap();
    optimizer.step().unwrap();
    [a.item().unwrap(), b.item().unwrap()]
}

#[test]
fn leaves_that_have_had_gradients_at_different_steps_keep_their_counts() {
    let start = || {
        let tape = Tape::new(Device::cpu());
        let leaves = [3.0, -1.0].map(|value| tape.leaf(value).requires_grad());
        let [a, b] = leaves;
        let leaves = [a.named("a"), b.named("b")];
        let optimizer = TapeOptimizer::new(&tape, &[&leaves[0], &leaves[1]], Adam::new(0.1)).unwrap();
        (leaves, optimizer)
    };
    let (leaves, mut optimizer) = start();
    optimizer.set_learning_rate(0.07).unwrap();
    let whole: Vec<[f64; 2]> = (0..9).map(|number| alternating(&leaves, &mut optimizer, number)).collect();
    let (leaves, mut optimizer) = start();
    optimizer.set_learning_rate(0.07).unwrap();
    (0..4).for_each(|number| assert_eq!(alternating(&leaves, &mut optimizer, number), whole[number]));
    let file = optimizer.checkpoint().unwrap().to_bytes().unwrap();
    let (leaves, mut optimizer) = start();
    optimizer.restore(&Checkpoint::from_bytes(file).unwrap()).unwrap();
    let resumed: Vec<[f64; 2]> = (4..9).map(|number| alternating(&leaves, &mut optimizer, number)).collect();
    assert_eq!(resumed, whole[4..]);
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() {
    let tape = Tape::new(Device::cpu());
    let (a, b) = (tape.leaf(3.0).requires_grad().named("a"), tape.leaf(1.0).requires_grad().named("b"));
    let mut adam = TapeOptimizer::new(&tape, &[&a], Adam::new(0.1)).unwrap();
    (&a - 1.0).square().backward().unwrap();
    adam.step().unwrap();
    let checkpoint = adam.checkpoint().unwrap();
    let value = a.item().unwrap();
    let before = adam.state().unwrap();
    let mut two = TapeOptimizer::new(&tape, &[&a, &b], Adam::new(0.1)).unwrap();
    let error = two.restore(&checkpoint).unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::Missing { missing, .. }) if missing == "\"b\""),
        "{error}"
    );
    let mut sgd = TapeOptimizer::new(&tape, &[&a], Sgd::new(0.1)).unwrap();
    let error = sgd.restore(&checkpoint).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint(CheckpointError::Unused { .. })), "{error}");
    let error = adam.restore(&two.checkpoint().unwrap()).unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::Unused { unused, .. }) if unused == "\"b\""),
        "{error}"
    );
    // A checkpoint of a session is none of a tape.
    let g = Graph::new();
    let w = g.parameter("a", [], Init::Constant(1.0));
    let session = Session::train(&g, w.square(), Adam::new(0.1), Device::cpu()).unwrap();
    let error = adam.restore(&session.checkpoint().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint(CheckpointError::NotOfTape { .. })), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("the checkpoint is one of a session or a trainer, and not of a tape's optimiser"),
        "{text}"
    );
    // So is one of a trainer.
    let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
        (inputs.graph().parameter("a", [], Init::Constant(1.0)) * inputs.get("x")).square()
    });
    trainer.step(&[("x", &Tensor::scalar(1.0f32))]).unwrap();
    let error = adam.restore(&trainer.checkpoint().unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Checkpoint(CheckpointError::NotOfTape { .. })), "{error}");
    assert_eq!((a.item().unwrap(), adam.state().unwrap()), (value, before));
    // The other way the names are the same here.
    trainer.restore(&checkpoint).unwrap();
    assert_eq!(trainer.session().parameter("a").unwrap().item().unwrap(), value);
}

/// Parameters that a layer has asked for and that no step has updated belong to the optimiser as well.
#[test]
fn parameters_that_have_not_joined_yet() {
    let (first, second) = (Linear::new("first", 3, 2), Linear::new("second", 2, 1));
    let loss = |tape: &Tape, layers: usize| {
        let y = tape.leaf(numbers(1)).map(|x| first.apply(x));
        if layers > 1 { y.map(|y| second.apply(y)).square().mean(..) } else { y.square().mean(..) }
    };
    let optimizer_of = |tape: &Tape| TapeOptimizer::of_parameters(tape, Adam::new(0.05)).unwrap();
    let values = |tape: &Tape| tape.parameters().iter().map(|(_, value)| value.data().unwrap()).collect::<Vec<_>>();
    for steps_before in [0, 2] {
        let tape = Tape::new(Device::cpu()).seed(4);
        let mut optimizer = optimizer_of(&tape);
        for _ in 0..steps_before {
            optimizer.zero_grad();
            loss(&tape, 1).backward().unwrap();
            optimizer.step().unwrap();
        }
        loss(&tape, 2).backward().unwrap();
        assert!(tape.parameter("second.weight").unwrap().has_grad());
        optimizer.zero_grad();
        assert!(tape.parameters().iter().all(|(_, parameter)| !parameter.has_grad()), "{steps_before} steps");
        optimizer.set_learning_rate(0.25).unwrap();
        optimizer.set_state("second.weight.first_moment", &Tensor::new([1, 2], vec![0.5f32, -0.5]).unwrap()).unwrap();
        let checkpoint = optimizer.checkpoint().unwrap();

        let other = Tape::new(Device::cpu()).seed(5);
        let _ = loss(&other, 2);
        let mut resumed = optimizer_of(&other);
        resumed.restore(&checkpoint).unwrap();
        for _ in 0..3 {
            for (tape, optimizer) in [(&tape, &mut optimizer), (&other, &mut resumed)] {
                optimizer.zero_grad();
                loss(tape, 2).backward().unwrap();
                optimizer.step().unwrap();
            }
            assert_eq!(values(&tape), values(&other), "{steps_before} steps");
        }
        let by_name = |optimizer: &TapeOptimizer| optimizer.state().unwrap().into_iter().collect::<HashMap<_, _>>();
        assert_eq!(by_name(&optimizer), by_name(&resumed));
    }
}
