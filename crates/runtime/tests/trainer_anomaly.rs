//! Where a step of a trainer makes a NaN: the node of the function as the step builds it, with the trainer's parameters and draws, and nothing
//! is changed by the search.

use crate::suite::devices::devices;
use arenagrad::check::CheckError;
use arenagrad::nn::{BatchNorm, Dropout, Linear, Phase};
use arenagrad::{Adam, Device, Error, GraphError, Half, Init, LossScale, Precision, Sgd, Tensor, Trainer};

/// All parameters and states, by name.
fn held(trainer: &Trainer<'_>) -> Vec<(String, Tensor)> {
    let session = trainer.session();
    session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect()
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::new([values.len()], values.to_vec()).unwrap()
}

#[test]
fn a_search_names_the_line_and_changes_nothing() {
    for device in devices() {
        let line = line!() + 4;
        let mut trainer = Trainer::new(device, Adam::new(0.1), |inputs| {
            let w = inputs.graph().parameter("w", [3], Init::Constant(1.0));
            let x = inputs.get("x");
            (w * x).sqrt().square().sum(..)
        });
        let (good, bad) = (vector(&[1.0, 2.0, 3.0]), vector(&[1.0, 0.0, 3.0]));
        assert!(trainer.anomaly(&[("x", &good)]).unwrap().is_finite());
        trainer.step(&[("x", &good)]).unwrap();
        let before = held(&trainer);
        // The root of 0 has a gradient of infinity, times 0.
        let report = trainer.anomaly(&[("x", &bad)]).unwrap();
        let nan = report.nan.clone().expect("0 times infinity");
        assert!(nan.origin.ends_with(&format!("trainer_anomaly.rs:{line}")), "{report}");
        assert_eq!(nan.index, [1], "{report}");
        assert!(matches!(report.into_result(), Err(Error::Check(CheckError::Anomaly(_)))));
        assert_eq!(held(&trainer), before);
        assert!(trainer.step(&[("x", &good)]).unwrap().loss.is_finite());
    }
}

/// What has become NaN before is the first that is not finite, and so is an input.
#[test]
fn parameters_and_inputs_are_looked_at_as_they_are() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let w = inputs.graph().parameter("w", [2], Init::Constant(1.0));
        (w * inputs.get("x")).sum(..)
    });
    let report = trainer.anomaly(&[("x", &vector(&[1.0, f32::NAN]))]).unwrap();
    assert_eq!(report.nan.map(|nan| (nan.name, nan.index)), Some(("\"x\"".to_owned(), vec![1])));
    trainer.step(&[("x", &vector(&[1.0, f32::NEG_INFINITY]))]).unwrap();
    let report = trainer.anomaly(&[("x", &vector(&[1.0, 1.0]))]).unwrap();
    assert!(report.nan.is_none());
    assert_eq!(
        report.infinity.map(|infinity| (infinity.name, infinity.value)),
        Some(("\"w\"".to_owned(), f64::INFINITY))
    );
}

/// Metrics, running statistics and gradients are computed beside the loss, and each may be what is not finite.
#[test]
fn everything_that_a_step_computes_is_searched() {
    let norm = BatchNorm::new("norm", 1);
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let x = inputs.get("x");
        inputs.report("root", x.min(..).sqrt());
        norm.apply(x, Phase::Training).square().mean(..) * 0.0
    });
    let column = |values: [f32; 3]| Tensor::new([3, 1], values.to_vec()).unwrap();
    assert!(trainer.anomaly(&[("x", &column([1.0, 2.0, 4.0]))]).unwrap().is_finite());
    let report = trainer.anomaly(&[("x", &column([-1.0, 2.0, 4.0]))]).unwrap();
    assert!(report.nan.is_some_and(|nan| nan.name.starts_with("sqrt")));
    let report = trainer.anomaly(&[("x", &column([1.0, 2e20, 4e20]))]).unwrap();
    assert!(report.infinity.is_some(), "the variance leaves f32's range");
}

#[test]
fn an_evaluation_is_searched_with_what_was_trained() {
    let layer = Linear::new("layer", 1, 1);
    let mut trainer =
        Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| layer.apply(inputs.get("x")).square().mean(..));
    let logarithm = trainer.add_evaluation(|inputs| vec![layer.apply(inputs.get("x")).log()]);
    let x = Tensor::new([1, 1], vec![1.0f32]).unwrap();
    trainer.step(&[("x", &x)]).unwrap();
    trainer.session_mut().set_parameter("layer.weight", &Tensor::new([1, 1], vec![-2.0f32]).unwrap()).unwrap();
    trainer.session_mut().set_parameter("layer.bias", &Tensor::new([1], vec![0.0f32]).unwrap()).unwrap();
    let before = held(&trainer);
    let report = trainer.anomaly_of(logarithm, &[("x", &x)]).unwrap();
    assert!(report.nan.is_some_and(|nan| nan.name.starts_with("log")));
    assert_eq!(held(&trainer), before);
}

/// The search draws what the next step draws: an anomaly that a mask alone lets through is found where that step has it, and nowhere else.
#[test]
fn draws_are_those_of_the_next_step() {
    for device in devices() {
        let dropout = Dropout::new(0.5);
        let mut trainer = Trainer::new(device, Sgd::new(0.0), |inputs| {
            let w = inputs.graph().parameter("w", [4], Init::Constant(1.0));
            let kept = dropout.apply(w, Phase::Training);
            // The logarithm of -1 where the first is kept.
            (1.0 - kept.slice(0, 0, 1)).log().sum(..)
        });
        let nothing: [(&str, &Tensor); 0] = [];
        for _ in 0..8 {
            let found = trainer.anomaly(&nothing).unwrap().nan.is_some_and(|nan| nan.name.starts_with("log"));
            let kept = trainer.step(&nothing).unwrap().loss.is_nan();
            assert_eq!(found, kept);
            trainer.session_mut().set_parameter("w", &vector(&[1.0; 4])).unwrap();
        }
    }
}

/// With narrow products and a scale of the loss it is the step's own gradients that are looked at.
#[test]
fn a_search_computes_in_the_precision_of_the_steps() {
    let layer = Linear::new("layer", 1, 1).without_bias();
    let build = |precision: Precision| {
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| layer.apply(inputs.get("x")).sum(..))
            .precision(precision);
        let x = Tensor::new([1, 1], vec![1e5f32]).unwrap();
        trainer.prepare(&[("x", &x)]).unwrap();
        trainer.session_mut().set_parameter("layer.weight", &Tensor::new([1, 1], vec![1.0f32]).unwrap()).unwrap();
        trainer.anomaly(&[("x", &x)]).unwrap().is_finite()
    };
    assert!(build(Precision::full()));
    assert!(build(Precision::mixed(Half::Bf16)));
    assert!(!build(Precision::mixed(Half::F16)), "1e5 is past what f16 has");
    assert!(build(Precision::full().loss_scale(LossScale::dynamic())));
}

#[test]
fn what_gradients_refuse_a_search_refuses() {
    let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
        let w = inputs.graph().parameter("w", [2], Init::Constant(1.0));
        (w * inputs.get("x")).sum(..)
    });
    let nothing: [(&str, &Tensor); 0] = [];
    let refused = trainer.anomaly(&nothing);
    assert!(matches!(refused, Err(Error::Graph(GraphError::InputNotGiven { .. }))), "{refused:?}");
    let empty = Tensor::new([0, 2], Vec::<f32>::new()).unwrap();
    assert!(matches!(trainer.anomaly(&[("x", &empty)]), Err(Error::EmptyBatch { .. })));
    assert_eq!(trainer.plans(), 0);
}
