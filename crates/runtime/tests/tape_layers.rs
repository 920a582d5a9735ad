//! Layers on a tape: parameters and states by name, first values, random draws, and the same training as in a session.

use crate::suite::devices::devices;
use arenagrad::nn::{Linear, Parameter, Phase, State};
use arenagrad::train::schedules::{Cosine, OneCycle};
use arenagrad::{
    Adam, AdamW, DType, Device, Error, Expr, Graph, GraphError, Init, Optimizer, Reduction, Session, Sgd, Tape,
    TapeOptimizer, Tensor, Variable,
};

const BATCH: usize = 6;

/// A network with dropout and a running mean that evaluation reads.
fn network(x: Expr<'_>, phase: Phase) -> Expr<'_> {
    let h = Linear::new("hidden", 5, 7).apply(x).relu().dropout_in(phase, 0.25);
    let graph = x.graph();
    let running = State::new("centre.running_mean", [7], Init::Constant(0.0)).of(graph, DType::F32);
    let centre = if phase.is_training() {
        let mean = h.mean(0);
        graph.update(running, graph.latest(running) * 0.9 + mean * 0.1);
        mean
    } else {
        running
    };
    Linear::new("head", 7, 3).apply(h - centre).dropout_in(phase, 0.1)
}

fn batch(step: usize) -> (Tensor, Tensor) {
    let x = (0..BATCH * 5).map(|n| ((n * 7 + step * 13) % 11) as f32 * 0.2 - 1.0).collect();
    let labels = (0..BATCH).map(|n| ((n + step) % 3) as i32).collect();
    (Tensor::new([BATCH, 5], x).unwrap(), Tensor::new([BATCH], labels).unwrap())
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    tensor.to_f64_vec().iter().map(|element| element.to_bits()).collect()
}

/// The same network, seed and batches, in a session and on a tape: every loss, parameter, state and moment has the same bits.
#[test]
fn a_tape_trains_as_a_session_does() {
    devices().into_iter().for_each(|device| trains_as_a_session_does(device, AdamW::new(0.02)));
    // With what stands around an optimiser: it knows the parameters by the names that the session knows.
    let around = || AdamW::new(0.02).no_decay("*.bias").clip_norm(0.5).freeze("hidden.weight");
    trains_as_a_session_does(Device::cpu(), around());
    trains_as_a_session_does(Device::cpu(), Sgd::new(0.1).momentum(0.9).clip_value(0.05).moving_average(0.9));
    trains_as_a_session_does(Device::cpu(), Adam::new(0.02).accumulate(3));
    // A pattern of no parameter is refused as often as a step is tried, whenever the layers come, and nothing is changed.
    for is_applied_before in [false, true] {
        let tape = Tape::new(Device::cpu());
        let loss = || tape.leaf(batch(0).0).map(|x| network(x, Phase::Training).square().mean(..));
        if is_applied_before {
            loss().check().unwrap();
        }
        let mut optimizer = TapeOptimizer::of_parameters(&tape, Sgd::new(0.1).freeze("hiden.*")).unwrap();
        loss().backward().unwrap();
        let values = || tape.parameters().iter().map(|(_, value)| bits(&value.data().unwrap())).collect::<Vec<_>>();
        let before = values();
        for _ in 0..2 {
            assert!(matches!(optimizer.step(), Err(Error::UnmatchedPattern { .. })));
        }
        assert_eq!(values(), before);
    }
}

fn trains_as_a_session_does(device: Device, optimizer: impl Optimizer + Clone + 'static) {
    let g = Graph::new();
    let (x, labels) = (g.input("x", [BATCH, 5]), g.input_of("labels", [BATCH], DType::I32));
    let logits = network(x, Phase::Training);
    let loss = logits.cross_entropy(labels);
    let mut session = Session::builder(device.clone()).seed(3).train(&g, loss, &optimizer).unwrap();
    let tape = Tape::new(device).seed(3);
    let mut optimizer = TapeOptimizer::of_parameters(&tape, optimizer).unwrap();
    for step in 0..20 {
        let (x, labels) = batch(step);
        let expected = session.step(&[("x", &x), ("labels", &labels)]).unwrap();
        let (x, labels) = (tape.leaf(x), tape.leaf(labels));
        let loss = tape.record("loss", &[&x, &labels], |x| network(x[0], Phase::Training).cross_entropy(x[1]));
        optimizer.zero_grad();
        loss.backward().unwrap();
        optimizer.step().unwrap();
        assert_eq!(loss.item().unwrap().to_bits(), expected.to_bits(), "step {step}");
    }
    for (name, parameter) in tape.parameters().into_iter().chain(tape.states()) {
        let expected = session.parameter(&name).unwrap();
        assert_eq!(bits(&parameter.data().unwrap()), bits(&expected), "{name}");
    }
    assert_eq!(tape.parameters().len(), 4);
    let state = optimizer.state().unwrap();
    assert!(state.iter().any(|(name, _)| name.starts_with("head.bias.")), "{state:?}");
    for (name, value) in state {
        assert_eq!(bits(&value), bits(&session.parameter(&name).unwrap()), "{name}");
    }
    // In evaluation nothing is drawn and nothing changes.
    let (x, _) = batch(50);
    let evaluation = Graph::new();
    let expected = network(evaluation.input("x", [BATCH, 5]), Phase::Evaluation);
    let plan = session.add(&evaluation, &[expected]).unwrap();
    let expected = session.run_plan(plan, &[("x", &x)]).unwrap().remove(0);
    let found = tape.leaf(x).map(|x| network(x, Phase::Evaluation)).data().unwrap();
    assert_eq!(bits(&found), bits(&expected));
    assert_eq!(tape.parameter("step").unwrap().item(), Ok(20.0));
}

#[test]
fn first_values_are_those_of_a_session() {
    for seed in [0, 1, 77] {
        let g = Graph::new();
        let y = network(g.input("x", [BATCH, 5]), Phase::Training);
        let session = Session::builder(Device::cpu()).seed(seed).evaluate(&g, &[y]).unwrap();
        let tape = Tape::new(Device::cpu()).seed(seed);
        tape.leaf(batch(0).0).map(|x| network(x, Phase::Training)).check().unwrap();
        for (name, parameter) in tape.parameters() {
            assert!(parameter.does_require_grad() && parameter.is_leaf());
            assert_eq!(parameter.name().as_deref(), Some(name.as_str()));
            assert_eq!(bits(&parameter.data().unwrap()), bits(&session.parameter(&name).unwrap()), "{name}");
        }
    }
}

/// Dropout drops others each time, the same under the same seed, and nothing in evaluation.
#[test]
fn draws_follow_the_seed_and_the_order() {
    let masks = |seed: u64| -> Vec<Vec<f64>> {
        let tape = Tape::new(Device::cpu()).seed(seed);
        let ones = tape.leaf(Tensor::new([64], vec![1.0f32; 64]).unwrap());
        let dropped = (0..4).map(|number| match number % 2 {
            0 => ones.dropout_in(Phase::Training, 0.5),
            _ => ones.map(|x| x.dropout_in(Phase::Training, 0.5)),
        });
        dropped.map(|mask| mask.data().unwrap().to_f64_vec()).collect()
    };
    let (first, again, other) = (masks(1), masks(1), masks(2));
    assert_eq!(first, again);
    for (number, mask) in first.iter().enumerate() {
        assert!(mask.iter().all(|element| [0.0, 2.0].contains(element)));
        assert!(first[..number].iter().all(|earlier| earlier != mask) && other.iter().all(|others| others != mask));
    }
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap());
    assert_eq!(x.dropout_in(Phase::Evaluation, 0.5).data().unwrap().to_f64_vec(), [1.0, 2.0, 3.0]);
    assert!(matches!(x.dropout_in(Phase::Training, 1.5).check(), Err(Error::Graph(_))));
    assert!(tape.states().is_empty());
}

/// A layer that is applied twice has its parameters once, and both applications pass gradients to them.
#[test]
fn a_layer_that_is_applied_twice_is_one() {
    let tape = Tape::new(Device::cpu());
    let layer = Linear::new("layer", 2, 2).without_bias();
    let x = tape.leaf(Tensor::new([1, 2], vec![1.0f32, 2.0]).unwrap());
    let h = x.map(|x| layer.apply(x));
    let y = h.map(|h| layer.apply(h)) + x.map(|x| layer.apply(layer.apply(x)));
    y.sum(..).backward().unwrap();
    assert_eq!(tape.parameters().len(), 1);
    let weight = tape.parameter("layer.weight").unwrap();
    let w = weight.data().unwrap().to_f64_vec();
    // Twice the sum of W W x, whose gradient by W_ij is (W x)_j and the sum of column i times x_j.
    let x = [1.0, 2.0];
    let wx = [w[0] * x[0] + w[1] * x[1], w[2] * x[0] + w[3] * x[1]];
    let columns = [w[0] + w[2], w[1] + w[3]];
    let expected: Vec<f64> = (0..4).map(|n| 2.0 * (wx[n % 2] + columns[n / 2] * x[n % 2])).collect();
    let found = weight.grad().unwrap().to_f64_vec();
    assert!(
        found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-5),
        "{found:?} {expected:?}"
    );
}

#[test]
fn what_is_refused_is_not_kept() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(Tensor::new([1, 2], vec![1.0f32, 2.0]).unwrap());
    let wrong = x.map(|x| Linear::new("wrong", 3, 2).apply(x));
    assert!(matches!(wrong.check(), Err(Error::Graph(_))));
    assert!(tape.parameters().is_empty());
    assert!(matches!(tape.parameter("wrong.weight"), Err(Error::NoTapeParameter { .. })));
    x.map(|x| Linear::new("layer", 2, 2).apply(x)).check().unwrap();
    let other = x.map(|x| Linear::new("layer", 2, 5).apply(x)).check().unwrap_err();
    assert!(
        matches!(&other, Error::Graph(GraphError::SharedDeclaration { name, .. }) if name == "layer.weight"),
        "{other}"
    );
    let as_state = x.map(|x| x + State::new("layer.bias", [2], Init::Constant(0.0)).of(x.graph(), DType::F32));
    assert!(matches!(as_state.check(), Err(Error::Graph(GraphError::SharedDeclaration { .. }))));
    let not_finite = x.map(|x| x + Parameter::new("bad", [2], Init::Constant(f64::NAN)).of(x.graph(), DType::F32));
    assert!(matches!(not_finite.check(), Err(Error::Graph(GraphError::InitialValue { .. }))));
    let no_state = x.map(|x| {
        x.graph().update(x, x + 1.0);
        x
    });
    assert!(matches!(no_state.check(), Err(Error::Graph(GraphError::NotAState { .. }))));
    assert_eq!(
        tape.parameters().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["layer.weight", "layer.bias"]
    );
    assert_eq!((&x + 1.0).data().unwrap().to_f64_vec(), [2.0, 3.0]);
}

/// A running mean that nobody asks for, with and without backward passes: its history does not grow, and its value is right.
#[test]
fn states_are_computed_before_they_pile_up() {
    for question in 0..3 {
        let tape = Tape::new(Device::cpu());
        let scale = Linear::new("scale", 1, 1);
        let mut expected = 0.0f64;
        let (mut largest, mut plans) = (0, 0);
        for step in 0..600 {
            let number = (step % 10) as f32;
            let x = tape.leaf(Tensor::new([1, 1], vec![number]).unwrap());
            let y = x.map(|x| {
                let mean = State::new("mean", [], Init::Constant(0.0)).of(x.graph(), DType::F32);
                x.graph().update(mean, x.graph().latest(mean) * 0.5 + x.mean(..) * 0.5);
                scale.apply(x)
            });
            expected = expected * 0.5 + f64::from(number) * 0.5;
            match question {
                0 => assert!(y.item().is_ok()),
                1 => y.backward().unwrap(),
                _ => {}
            }
            largest = largest.max(tape.len());
            if step == 300 {
                plans = tape.plans();
            }
        }
        let mean = tape.parameter("mean").unwrap();
        assert!(!mean.does_require_grad());
        assert!((mean.item().unwrap() - expected).abs() < 1e-5, "question {question}");
        assert!(largest < 500 && tape.plans() <= plans + 1, "{largest} nodes, {plans} plans, question {question}");
    }
}

/// Parameters that appear where another layer is first applied join the optimiser, with a count of updates of their own.
#[test]
fn parameters_that_appear_later_join() {
    let tape = Tape::new(Device::cpu()).seed(5);
    let mut optimizer = TapeOptimizer::of_parameters(&tape, Adam::new(0.05)).unwrap();
    let none = optimizer.step().unwrap_err();
    assert!(matches!(none, Error::NoGradient { .. }), "{none}");
    let x = || tape.leaf(Tensor::new([2, 2], vec![1.0f32, 2.0, -1.0, 0.5]).unwrap());
    let (first, second) = (Linear::new("first", 2, 2), Linear::new("second", 2, 2));
    for step in 0..6 {
        let x = x();
        let h = x.map(|x| first.apply(x));
        let y = if step < 3 { h } else { h.map(|h| second.apply(h)) };
        optimizer.zero_grad();
        y.square().mean(..).backward().unwrap();
        optimizer.step().unwrap();
    }
    let state = optimizer.state().unwrap();
    let count = |name: &str| state.iter().find(|(own, _)| own == name).map(|(_, value)| value.item().unwrap());
    assert_eq!((count("updates"), count("second.bias.updates")), (Some(6.0), Some(3.0)), "{state:?}");
    assert_eq!(count("first.bias.updates"), None, "{state:?}");
    assert!(state.iter().any(|(name, _)| name == "second.weight.first_moment"));
}

/// State by name makes another tape go on as if it had not been interrupted.
#[test]
fn training_goes_on_from_parameters_and_state() {
    let step = |tape: &Tape, optimizer: &mut TapeOptimizer, number: usize| -> f64 {
        let (x, labels) = batch(number);
        let (x, labels) = (tape.leaf(x), tape.leaf(labels));
        optimizer.zero_grad();
        let loss = x.map(|x| network(x, Phase::Training)).cross_entropy(&labels);
        loss.backward().unwrap();
        optimizer.step().unwrap();
        loss.item().unwrap()
    };
    let (tape, other) = (Tape::new(Device::cpu()).seed(1), Tape::new(Device::cpu()).seed(2));
    let mut optimizer = TapeOptimizer::of_parameters(&tape, Adam::new(0.05)).unwrap();
    for number in 0..5 {
        step(&tape, &mut optimizer, number);
    }
    let mut resumed = TapeOptimizer::of_parameters(&other, Adam::new(0.05)).unwrap();
    step(&other, &mut resumed, 0);
    let kept: Vec<(String, Variable)> = tape.parameters().into_iter().chain(tape.states()).collect();
    for (name, variable) in kept {
        other.parameter(&name).unwrap().set_data(variable.data().unwrap());
    }
    for (name, value) in optimizer.state().unwrap() {
        resumed.set_state(&name, &value).unwrap();
    }
    for number in 5..9 {
        let (expected, found) = (step(&tape, &mut optimizer, number), step(&other, &mut resumed, number));
        assert_eq!(found.to_bits(), expected.to_bits(), "step {number}");
    }
    let wrong = Tensor::zeros([2], DType::F32).unwrap();
    assert!(matches!(resumed.set_state("updates", &wrong), Err(Error::ParameterShape { .. })));
    assert!(matches!(other.set_parameter("hidden.bias", &wrong), Err(Error::ParameterShape { .. })));

    // So does one that was filled before anything ran on it.
    let fresh = Tape::new(Device::cpu()).seed(3);
    let mut begun = TapeOptimizer::of_parameters(&fresh, Adam::new(0.05)).unwrap();
    for (name, variable) in tape.parameters().into_iter().chain(tape.states()) {
        fresh.set_parameter(&name, &variable.data().unwrap()).unwrap();
    }
    for (name, value) in optimizer.state().unwrap() {
        begun.set_state(&name, &value).unwrap();
    }
    for number in 9..12 {
        let (expected, found) = (step(&tape, &mut optimizer, number), step(&fresh, &mut begun, number));
        assert_eq!(found.to_bits(), expected.to_bits(), "step {number}");
    }
    let unfit = Tape::new(Device::cpu());
    unfit.set_parameter("layer.weight", &wrong).unwrap();
    let refused = unfit.leaf(batch(0).0).map(|x| Linear::new("layer", 5, 2).apply(x)).check().unwrap_err();
    assert!(matches!(&refused, Error::ParameterShape { name, .. } if name == "layer.weight"), "{refused}");
    let w = unfit.leaf(1.0).requires_grad();
    let mut of_one = TapeOptimizer::new(&unfit, &[&w], Sgd::new(0.1)).unwrap();
    let unknown = of_one.set_state("learning_rat", &wrong).unwrap_err();
    assert!(matches!(unknown, Error::NoOptimizerState { .. }), "{unknown}");
    let text = unknown.to_string();
    assert!(
        text.starts_with("the tape's optimiser has no state \"learning_rat\"") && text.contains("\"learning_rate\""),
        "{text}"
    );
}

/// A layer in a loss of operators beside it, on a leaf that has gradients too.
#[test]
fn gradients_reach_what_the_layer_is_applied_to() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(Tensor::new([1, 2], vec![1.0f32, 2.0]).unwrap()).requires_grad();
    let layer = Linear::new("layer", 2, 1);
    let loss =
        x.map(|x| layer.apply(x)).mse_loss(&tape.leaf(Tensor::new([1, 1], vec![0.0f32]).unwrap()), Reduction::Sum);
    let mut optimizer = TapeOptimizer::of_parameters(&tape, Sgd::new(0.1)).unwrap();
    loss.backward().unwrap();
    let (w, b) = (tape.parameter("layer.weight").unwrap(), tape.parameter("layer.bias").unwrap());
    let (wv, bv) = (w.data().unwrap().to_f64_vec(), b.data().unwrap().to_f64_vec());
    optimizer.step().unwrap();
    let y = wv[0] + 2.0 * wv[1] + bv[0];
    let near = |found: Vec<f64>, expected: &[f64]| {
        assert!(
            found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-5),
            "{found:?} {expected:?}"
        );
    };
    near(x.grad().unwrap().to_f64_vec(), &[2.0 * y * wv[0], 2.0 * y * wv[1]]);
    near(w.grad().unwrap().to_f64_vec(), &[2.0 * y, 4.0 * y]);
    near(w.data().unwrap().to_f64_vec(), &[wv[0] - 0.2 * y, wv[1] - 0.4 * y]);
    near(vec![loss.item().unwrap()], &[y * y]);
}

/// An optimiser that counts its updates has something to do even where there are no parameters yet.
#[test]
fn schedules_around_optimisers_of_a_tapes_parameters() {
    let optimizers: [Box<dyn Fn() -> Box<dyn Optimizer>>; 4] = [
        Box::new(|| Box::new(AdamW::new(0.05).schedule(Cosine::new(20)))),
        Box::new(|| Box::new(Adam::new(0.05).schedule(OneCycle::new(30)).clip_norm(1.0))),
        Box::new(|| Box::new(AdamW::new(0.05).schedule(Cosine::new(20)).accumulate(2))),
        Box::new(|| Box::new(arenagrad::Lamb::new(0.05).no_decay("*.bias").schedule(Cosine::new(20)))),
    ];
    let layer = Linear::new("layer", 2, 1);
    for optimizer in &optimizers {
        let tape = Tape::new(Device::cpu()).seed(3);
        let mut of_parameters = TapeOptimizer::of_parameters(&tape, optimizer()).unwrap();
        let g = Graph::new();
        let x = g.input("x", [2, 2]);
        let loss = layer.apply(x).square().mean(..);
        let mut session = Session::builder(Device::cpu()).seed(3).train(&g, loss, &optimizer()).unwrap();
        let batch = Tensor::from([[1.0f32, 2.0], [-0.5, 0.25]]);
        for _ in 0..8 {
            of_parameters.zero_grad();
            tape.leaf(&batch).map(|x| layer.apply(x).square().mean(..)).backward().unwrap();
            of_parameters.step().unwrap();
            session.step(&[("x", &batch)]).unwrap();
        }
        for name in ["layer.weight", "layer.bias"] {
            let (on_tape, in_session) =
                (tape.parameter(name).unwrap().data().unwrap(), session.parameter(name).unwrap());
            assert!(on_tape.allclose(&in_session, 1e-6, 1e-7).unwrap(), "{name}: {on_tape} and {in_session}");
        }
    }
}
