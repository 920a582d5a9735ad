//! The optimisers of a tape: what they refuse, whom they name, and leaves that no gradient reaches.

use arenagrad::train::Trained;
use arenagrad::{
    Adam, AdamW, DType, Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd, Tape, TapeOptimizer, Tensor,
    Variable,
};

fn refused(tape: &Tape, leaves: &[&Variable]) -> Error {
    TapeOptimizer::new(tape, leaves, Sgd::new(0.1)).err().expect("refused")
}

#[test]
fn a_leaf_is_named_by_its_place_and_its_name() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(1.0).requires_grad().named("weight");
    let v = tape.leaf(2.0).requires_grad();
    assert_eq!((w.name().as_deref(), v.name()), (Some("weight"), None));
    let twice = refused(&tape, &[&v, &w, &w.clone()]);
    assert!(matches!(twice, Error::RepeatedLeaf { first: 1, .. }));
    assert!(twice.to_string().starts_with("leaf 2 of the optimiser, \"weight\" is leaf 1 too"), "{twice}");
    let constant = refused(&tape, &[&w, &tape.leaf(1.0)]).to_string();
    assert!(constant.starts_with("leaf 1 of the optimiser is not a leaf that requires a gradient"), "{constant}");
    let result = refused(&tape, &[&(&w * 2.0).named("product")]).to_string();
    assert!(result.starts_with("leaf 0 of the optimiser, \"product\" is not a leaf"), "{result}");
    let truth = Tensor::zeros([1], DType::Bool).unwrap();
    for (value, dtype) in [(Tensor::scalar(3i32), DType::I32), (truth, DType::Bool)] {
        let error = refused(&tape, &[&w, &tape.leaf(value).requires_grad().named("count")]);
        assert!(matches!(&error, Error::LeafOfNoFloats { dtype: found, .. } if *found == dtype), "{error}");
        assert!(error.to_string().starts_with("leaf 1 of the optimiser, \"count\" holds"), "{error}");
    }
    let mut optimizer = TapeOptimizer::new(&tape, &[&v, &w], Sgd::new(0.1)).unwrap();
    let none = optimizer.step().unwrap_err();
    assert!(none.to_string().contains("leaf 0 of the optimiser, leaf 1 of the optimiser, \"weight\""), "{none}");

    // A value of another shape is refused before anything is changed.
    (&w * &v).backward().unwrap();
    w.set_data(Tensor::zeros([2], DType::F32).unwrap());
    let changed = optimizer.step().unwrap_err();
    assert!(changed.to_string().starts_with("leaf 1 of the optimiser, \"weight\" was f32[] when"), "{changed}");
    assert_eq!(v.item(), Ok(2.0));
    // Errors of the tape name it too.
    w.set_data(Tensor::scalar(1.0f32));
    w.zero_grad();
    assert!(w.grad().unwrap_err().to_string().contains("\"weight\""));
}

#[test]
fn bad_numbers_are_refused() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(1.0).requires_grad();
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(TapeOptimizer::new(&tape, &[&w], Sgd::new(rate)), Err(Error::Hyperparameter { .. })));
        assert!(matches!(TapeOptimizer::new(&tape, &[&w], Adam::new(rate)), Err(Error::Hyperparameter { .. })));
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.5)).unwrap();
        assert!(matches!(optimizer.set_learning_rate(rate), Err(Error::Hyperparameter { .. })));
        w.square().backward().unwrap();
        optimizer.step().unwrap();
        assert_eq!(w.item(), Ok(0.0));
        w.set_data(Tensor::scalar(1.0f32));
        w.zero_grad();
    }
    let wrong = [
        TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1).momentum(1.0)).err(),
        TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1).weight_decay(f64::NAN)).err(),
        TapeOptimizer::new(&tape, &[&w], Adam::new(0.1).betas(0.9, 1.0)).err(),
        TapeOptimizer::new(&tape, &[&w], Adam::new(0.1).eps(-1.0)).err(),
        TapeOptimizer::new(&tape, &[&w], AdamW::new(0.1).weight_decay(f64::INFINITY)).err(),
    ];
    assert!(wrong.iter().all(|error| matches!(error, Some(Error::Hyperparameter { .. }))), "{wrong:?}");
    let none = TapeOptimizer::new(&tape, &[], Sgd::new(0.1));
    assert!(matches!(none, Err(Error::NothingToTrain { .. })), "{:?}", none.err());
}

/// Adam with weight decay of one number, in f64; where there is no gradient nothing happens.
struct Expected {
    value: f64,
    moments: (f64, f64),
    updates: i32,
}

impl Expected {
    fn step(&mut self, gradient: Option<f64>) {
        let Some(gradient) = gradient else { return };
        self.updates += 1;
        let (m, v) = self.moments;
        self.moments = (0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient * gradient);
        let corrected = self.moments.0 / (1.0 - 0.9f64.powi(self.updates));
        let scale = (self.moments.1 / (1.0 - 0.999f64.powi(self.updates))).sqrt() + 1e-8;
        self.value = self.value * (1.0 - 0.1 * 0.01) - 0.1 * corrected / scale;
    }
}

/// Leaves that no gradient has reached are left alone: value, moments, decay, and the count of their updates.
#[test]
fn a_leaf_without_a_gradient_is_left_alone() {
    let tape = Tape::new(Device::cpu());
    let leaves: Vec<Variable> = (1..=3).map(|number| tape.leaf(f64::from(number)).requires_grad()).collect();
    let all: Vec<&Variable> = leaves.iter().collect();
    let mut optimizer = TapeOptimizer::new(&tape, &all, AdamW::new(0.1)).unwrap();
    let mut expected: Vec<Expected> =
        (1..=3).map(|number| Expected { value: f64::from(number), moments: (0.0, 0.0), updates: 0 }).collect();
    for step in 0..24 {
        optimizer.zero_grad();
        // All, then without the last, then each in turn.
        let active = |leaf: usize| step < 4 || (step < 8 && leaf != 2) || (step >= 8 && step % 3 == leaf);
        for leaf in (0..3).filter(|leaf| active(*leaf)) {
            (leaves[leaf].square() * 0.5).backward().unwrap();
        }
        optimizer.step().unwrap();
        for (leaf, expected) in expected.iter_mut().enumerate() {
            let gradient = active(leaf).then_some(expected.value);
            expected.step(gradient);
            let found = leaves[leaf].item().unwrap();
            assert!((found - expected.value).abs() < 1e-5, "leaf {leaf}, step {step}: {found}, not {}", expected.value);
        }
    }
}

/// Steps whose rate is an input of the graph.
struct ByInput;

impl Optimizer for ByInput {
    fn update<'g>(&self, g: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let (p, scale) = (trained[0].parameter, g.input("scale", []));
        let _unread = g.input("unread", []);
        Ok(vec![(p, p - trained[0].gradient * scale)])
    }
}

#[test]
fn an_update_that_reads_an_input_is_refused_as_by_a_session() {
    let g = Graph::new();
    let w = g.parameter("w", [], Init::Constant(3.0));
    let by_session = Session::train(&g, w.square(), ByInput, Device::cpu()).unwrap().step(&[]).unwrap_err();
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(3.0).requires_grad().named("w");
    let mut optimizer = TapeOptimizer::new(&tape, &[&w], ByInput).unwrap();
    w.square().backward().unwrap();
    for _ in 0..2 {
        let error = optimizer.step().unwrap_err();
        assert!(matches!(&error, Error::MissingInput { name, .. } if name == "scale"), "{error}");
        assert_eq!(error, by_session);
        assert_eq!((w.item(), w.grad().unwrap().item()), (Ok(3.0), Ok(6.0)));
    }
}
