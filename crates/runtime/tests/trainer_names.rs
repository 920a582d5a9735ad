//! Names that nothing has trained, loaded or set, in evaluations and on tapes; and messages that call operands by their names.

use arenagrad::nn::Linear;
use arenagrad::{Checkpoint, Device, Error, Sgd, Tape, Tensor, Trainer};

fn x() -> Tensor {
    Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, -1.0, 0.5, 0.25]).unwrap()
}

/// A trainer of `body` and `head`, an evaluation of both, and one whose head is misspelt.
fn trainer() -> (Trainer<'static>, [arenagrad::train::FunctionId; 2]) {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let h = Linear::new("body", 3, 4).apply(inputs.get("x")).tanh();
        Linear::new("head", 4, 1).apply(h).square().mean(..)
    });
    let good = trainer.add_evaluation(|inputs| {
        let h = Linear::new("body", 3, 4).apply(inputs.get("x")).tanh();
        vec![Linear::new("head", 4, 1).apply(h)]
    });
    let misspelt = trainer.add_evaluation(|inputs| {
        let h = Linear::new("body", 3, 4).apply(inputs.get("x")).tanh();
        vec![Linear::new("hed", 4, 1).apply(h)]
    });
    (trainer, [good, misspelt])
}

/// That it is told which parameter, where, and which may have been meant.
#[track_caller]
fn is_untrained(error: &Error, expected: &str, meant: &str) {
    let Error::UntrainedParameter { name, near, .. } = error else { panic!("{error}") };
    assert_eq!((name.as_str(), near.first().map(String::as_str)), (expected, Some(meant)));
    let message = error.to_string();
    assert!(message.contains(file!()) && message.contains("prepare_of"), "{message}");
}

#[test]
fn an_evaluation_of_what_nobody_trained_is_refused_after_training() {
    let (mut trainer, [good, misspelt]) = trainer();
    let x = x();
    trainer.step(&[("x", &x)]).unwrap();
    let known: Vec<String> = trainer.session().parameter_names().map(str::to_owned).collect();
    let plans = trainer.plans();
    for _ in 0..2 {
        is_untrained(&trainer.evaluate(misspelt, &[("x", &x)]).unwrap_err(), "hed.weight", "head.weight");
    }
    // Nothing was left behind.
    assert_eq!((known, plans), (trainer.session().parameter_names().map(str::to_owned).collect(), trainer.plans()));
    trainer.evaluate(good, &[("x", &x)]).unwrap();
    // Whoever means it says so, for all shapes.
    trainer.prepare_of(misspelt, &[("x", &x)]).unwrap();
    trainer.evaluate(misspelt, &[("x", &x)]).unwrap();
    let one = x.slice(0, 0, 1).unwrap();
    trainer.evaluate(misspelt, &[("x", &one)]).unwrap();
}

#[test]
fn first_values_are_evaluated_before_training_and_told_after_it() {
    let (mut trainer, [good, misspelt]) = trainer();
    let x = x();
    // Nothing is trained yet: both are first values.
    trainer.evaluate(good, &[("x", &x)]).unwrap();
    trainer.evaluate(misspelt, &[("x", &x)]).unwrap();
    trainer.step(&[("x", &x)]).unwrap();
    trainer.evaluate(good, &[("x", &x)]).unwrap();
    is_untrained(&trainer.evaluate(misspelt, &[("x", &x)]).unwrap_err(), "hed.weight", "head.weight");
    let session = trainer.session_mut();
    session.set_parameter("hed.weight", &Tensor::zeros([1, 4], arenagrad::DType::F32).unwrap()).unwrap();
    is_untrained(&trainer.evaluate(misspelt, &[("x", &x)]).unwrap_err(), "hed.bias", "head.bias");
    trainer.session_mut().set_parameter("hed.bias", &Tensor::from([3.0f32])).unwrap();
    assert_eq!(trainer.evaluate(misspelt, &[("x", &x)]).unwrap()[0].to_f64_vec(), [3.0, 3.0]);
}

#[test]
fn restored_and_loaded_training_counts_as_training() {
    let (mut first, _) = trainer();
    let x = x();
    first.step(&[("x", &x)]).unwrap();
    let bytes = first.checkpoint().unwrap().to_bytes().unwrap();
    let (mut second, [good, misspelt]) = trainer();
    second.restore(&Checkpoint::from_bytes(bytes).unwrap()).unwrap();
    second.evaluate(good, &[("x", &x)]).unwrap();
    is_untrained(&second.evaluate(misspelt, &[("x", &x)]).unwrap_err(), "hed.weight", "head.weight");

    // A trainer that only uses what a file holds.
    let file = std::env::temp_dir().join(format!("arenagrad-names-{}.safetensors", std::process::id()));
    first.session().save(&file).unwrap();
    let mut user = Trainer::without_loss(Device::cpu());
    let good = user.add_evaluation(|inputs| vec![Linear::new("body", 3, 4).apply(inputs.get("x"))]);
    let misspelt = user.add_evaluation(|inputs| vec![Linear::new("boddy", 3, 4).apply(inputs.get("x"))]);
    user.session_mut().load(&file).unwrap();
    std::fs::remove_file(&file).ok();
    user.evaluate(good, &[("x", &x)]).unwrap();
    is_untrained(&user.evaluate(misspelt, &[("x", &x)]).unwrap_err(), "boddy.weight", "body.weight");
}

#[test]
fn what_another_function_will_train_may_be_evaluated_before() {
    let mut trainer = Trainer::without_loss(Device::cpu());
    let first = trainer.add_training("first", Sgd::new(0.1), |inputs| {
        Linear::new("first_net", 3, 1).apply(inputs.get("x")).square().mean(..)
    });
    let second = trainer.add_training("second", Sgd::new(0.1), |inputs| {
        Linear::new("second_net", 3, 1).apply(inputs.get("x")).square().mean(..)
    });
    let baseline = trainer.add_evaluation(|inputs| vec![Linear::new("second_net", 3, 1).apply(inputs.get("x"))]);
    let x = x();
    trainer.step_of(first, &[("x", &x)]).unwrap();
    trainer.evaluate(baseline, &[("x", &x)]).unwrap();
    trainer.step_of(second, &[("x", &x)]).unwrap();
    trainer.evaluate(baseline, &[("x", &x)]).unwrap();
}

#[test]
fn a_batch_without_samples_is_no_step() {
    let (mut trainer, [good, _]) = trainer();
    let (x, none) = (x(), Tensor::zeros([0, 3], arenagrad::DType::F32).unwrap());
    for result in [
        trainer.step(&[("x", &none)]).map(drop),
        trainer.advance(&[("x", &none)]),
        trainer.gradients(&[("x", &none)]).map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::EmptyBatch { inputs } if inputs.contains("x")), "{error}");
    }
    assert_eq!(trainer.evaluate(good, &[("x", &none)]).unwrap()[0].shape().dims(), &[0, 1]);
    // An input that may be empty beside one that is not is no such batch.
    let edges = Tensor::zeros([0, 2], arenagrad::DType::I32).unwrap();
    assert!(trainer.step(&[("x", &x), ("edges", &edges)]).unwrap().loss.is_finite());
}

#[test]
fn a_tape_refuses_values_that_no_layer_asks_for() {
    let (tape, head) = (Tape::new(Device::cpu()), Linear::new("head", 3, 1));
    let weight = Tensor::new([1, 3], vec![1.0f32, 1.0, 1.0]).unwrap();
    // Before anything runs, values wait.
    tape.set_parameter("head.weight", &weight).unwrap();
    tape.set_parameter("haed.bias", &Tensor::from([5.0f32])).unwrap();
    assert_eq!(tape.waiting_names(), ["haed.bias", "head.weight"]);
    let y = tape.leaf(x()).map(|x| head.apply(x));
    y.data().unwrap();
    assert_eq!(tape.waiting_names(), ["haed.bias"]);
    let error = tape.set_parameter("head.wieght", &weight).unwrap_err();
    let Error::UnknownTapeParameter { near, .. } = &error else { panic!("{error}") };
    assert_eq!(near.first().map(String::as_str), Some("head.weight"));
    tape.set_parameter("head.bias", &Tensor::from([0.0f32])).unwrap();
    tape.set_later_parameter("tail.bias", &Tensor::from([2.0f32])).unwrap();
    let tail = Linear::new("tail", 1, 1).bias_init(arenagrad::Init::Constant(0.0));
    let tail = tail.weight_init(arenagrad::Init::Constant(0.0));
    let z = tape.leaf(Tensor::new([1, 1], vec![1.0f32]).unwrap()).map(|x| tail.apply(x));
    assert_eq!(z.data().unwrap().to_f64_vec(), [2.0]);
}

#[test]
fn tapes_call_operands_by_their_names() {
    let tape = Tape::new(Device::cpu());
    let message =
        |left: &arenagrad::Variable, right: &arenagrad::Variable| (left + right).data().unwrap_err().to_string();
    let leaf = |extents: [usize; 2]| tape.leaf(Tensor::zeros(extents, arenagrad::DType::F32).unwrap());
    let (w, b) = (leaf([2, 3]).named("weights"), leaf([4, 5]));
    let told = message(&w, &b);
    assert!(told.contains("\"weights\"") && told.contains("leaf") && !told.contains("\"1\""), "{told}");
    // Named after it was used, and a slot that another name had before.
    let b = b.named("offsets");
    assert!(message(&w, &b).contains("\"offsets\""));
    drop((w, b));
    for round in 0..200 {
        let (u, v) = (leaf([2, 3]), leaf([4, 5]).named(format!("v{round}")));
        let told = message(&u, &v);
        assert!(
            told.contains(&format!("\"v{round}\"")) && !told.contains("weights") && !told.contains("offsets"),
            "{told}"
        );
    }
    let labels = tape.leaf(Tensor::from([0, -100])).named("labels");
    let logits = tape.leaf(Tensor::zeros([2, 3], arenagrad::DType::F32).unwrap());
    let told = logits.cross_entropy(&labels).data().unwrap_err().to_string();
    assert!(told.contains("ignore_index: Some(-100)"), "{told}");
}

#[test]
fn parameters_that_are_asked_for_before_anything_was_planned_are_told_to_come_later() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        Linear::new("l", 2, 1).apply(inputs.get("x")).square().mean(..)
    });
    let weight = Tensor::from([[1.0f32, 2.0]]);
    let error = trainer.session_mut().set_parameter("l.weight", &weight).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no parameter is named \"l.weight\": the trainer has planned nothing yet that has one. Its parameters are there once it was \
         prepared (Trainer::prepare) or has made a step"
    );
    trainer.prepare(&[("x", &weight)]).unwrap();
    trainer.session_mut().set_parameter("l.weight", &weight).unwrap();
    let wrong = trainer.session_mut().set_parameter("l.weight", &Tensor::from([[1.0f64, 2.0]])).unwrap_err();
    assert_eq!(wrong.to_string(), "parameter \"l.weight\" holds f32 but was given f64 (cast it: .cast(DType::F32))");
    let unknown = trainer.session().parameter("k.weight").unwrap_err();
    let known = "no parameter is named \"k.weight\"; this session has \"l.weight\", \"l.bias\", \"learning_rate\"";
    assert_eq!(unknown.to_string(), known);
}
