//! Numbers that make no sense are refused, whoever gives them: an argument, a tensor or a file.

use std::path::PathBuf;

use crate::suite::devices::devices;
use arenagrad::check::{Adjoint, CheckError, Differences, GradCheck, Parity};
use arenagrad::train::schedules::Step;
use arenagrad::{
    Adam, AdamW, DType, Device, Error, Graph, GraphError, Init, Optimizer, Session, Sgd, Tape, TapeOptimizer, Tensor,
};

/// A session that trains a parameter of that dtype by gradient descent.
fn training(dtype: DType, optimizer: &dyn Optimizer, device: &Device) -> Result<Session, Error> {
    let g = Graph::new();
    let w = g.parameter_of("w", [2], dtype, Init::Constant(1.0));
    Session::builder(device.clone()).train(&g, w.square().sum(..), optimizer)
}

#[track_caller]
fn is_hyperparameter(result: Result<Session, Error>, value: &str) {
    match result.map(drop) {
        Err(error @ Error::Hyperparameter { .. }) => assert!(error.to_string().contains(value), "{error}"),
        other => panic!("{value}: {other:?}"),
    }
}

#[test]
fn hyperparameters_that_f32_does_not_hold() {
    let single: [(&dyn Optimizer, &str); 12] = [
        (&Sgd::new(1e300), "1e300"),
        (&Sgd::new(1e-300), "1e-300"),
        (&Sgd::new(0.1).weight_decay(1e39), "1e39"),
        (&Sgd::new(0.1).momentum(1.0 - 1e-12), "0.999999999999"),
        (&Adam::new(1e300), "1e300"),
        (&Adam::new(0.1).betas(1.0 - 1e-12, 0.9), "0.999999999999"),
        (&Adam::new(0.1).betas(0.9, 1.0 - 1e-12), "0.999999999999"),
        (&Adam::new(0.1).eps(1e-60), "1e-60"),
        (&Adam::new(0.1).eps(1e60), "1e60"),
        (&AdamW::new(0.1).weight_decay(1e60), "1e60"),
        (&AdamW::new(0.1).weight_decay(-0.1), "-0.1"),
        (&AdamW::new(0.1).weight_decay(f64::NAN), "NaN"),
    ];
    for (number, (optimizer, value)) in single.into_iter().enumerate() {
        is_hyperparameter(training(DType::F32, optimizer, &Device::cpu()), value);
        if number < 10 {
            training(DType::F64, optimizer, &Device::cpu()).unwrap();
        }
    }
    // Beside both, the narrower decides.
    let g = Graph::new();
    let single = g.parameter("single", [2], Init::Constant(1.0));
    let double = g.parameter_of("double", [2], DType::F64, Init::Constant(1.0));
    let loss = single.cast(DType::F64).square().sum(..) + double.square().sum(..);
    is_hyperparameter(Session::train(&g, loss, Sgd::new(1e300), Device::cpu()), "1e300");
    let mut session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu()).unwrap();
    assert!(matches!(session.set_learning_rate(1e300), Err(Error::Hyperparameter { .. })));
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(1.0).requires_grad();
    assert!(matches!(TapeOptimizer::new(&tape, &[&w], Sgd::new(1e300)), Err(Error::Hyperparameter { .. })));
    let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
    for rate in [1e300, 1e-300, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(optimizer.set_learning_rate(rate), Err(Error::Hyperparameter { .. })), "{rate}");
    }
    optimizer.set_learning_rate(0.0).unwrap();
}

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("numbers");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// Writes a file as a training session would, with another value for one of its scalars.
fn file_with(path: &std::path::Path, name: &str, value: f32) {
    let g = Graph::new();
    let of = |other: &str, shape: &[usize], init: f64| {
        let init = if other == name { Init::Values(vec![0.0; shape.iter().product()]) } else { Init::Constant(init) };
        g.state(other, shape, DType::F32, init)
    };
    let outputs = [
        of("w", &[2], 1.0),
        of("w.first_moment", &[2], 0.5),
        of("w.second_moment", &[2], 0.25),
        of("learning_rate", &[], 0.1),
        of("updates", &[], 3.0),
    ];
    let mut session = Session::evaluate(&g, &outputs, &Device::cpu()).unwrap();
    let shape = session.parameter(name).unwrap().shape().clone();
    let elements = vec![value; shape.elements()];
    session.set_parameter(name, &Tensor::new(shape, elements).unwrap()).unwrap();
    session.save(path).unwrap();
}

#[test]
fn scalars_of_an_optimiser_that_it_could_not_use() {
    for (number, device) in devices().into_iter().enumerate() {
        let mut session = training(DType::F32, &Adam::new(0.1), &device).unwrap();
        session.step(&[]).unwrap();
        let path = file(&format!("scalars{number}.safetensors"));
        let refused = [
            ("learning_rate", f32::NAN),
            ("learning_rate", f32::INFINITY),
            ("learning_rate", f32::NEG_INFINITY),
            ("learning_rate", -0.5),
            ("updates", f32::NAN),
            ("updates", f32::INFINITY),
            ("updates", -1.0),
            ("updates", 0.5),
        ];
        for (name, value) in refused {
            let before = session.parameter(name).unwrap();
            let error = session.set_parameter(name, &Tensor::scalar(value)).unwrap_err();
            assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
            assert!(error.to_string().contains(&value.to_string()), "{error}");
            file_with(&path, name, value);
            let error = session.load(&path).unwrap_err();
            assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
            for part in [value.to_string(), path.display().to_string()] {
                assert!(error.to_string().contains(&part), "{error}");
            }
            assert_eq!(session.parameter(name).unwrap(), before, "{device}: a refused value changes nothing");
            assert_ne!(session.parameter("w.first_moment").unwrap().to_f64_vec(), [0.5, 0.5]);
        }
        for rate in [1e300, 1e-300, f64::NAN, f64::INFINITY, -1.0] {
            let error = session.set_learning_rate(rate).unwrap_err();
            assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
        }
        // What training that diverged leaves can be saved, loaded and set.
        for name in ["w", "w.first_moment", "w.second_moment"] {
            for value in [f32::NAN, f32::INFINITY, -1.0] {
                file_with(&path, name, value);
                session.load(&path).unwrap();
                let found = session.parameter(name).unwrap();
                assert_eq!(format!("{:?}", found.to_f64_vec()), format!("{:?}", [f64::from(value); 2]), "{device}");
                session.set_parameter(name, &found).unwrap();
            }
        }
        // Where no optimiser is, these names mean nothing.
        let g = Graph::new();
        let rate = g.parameter("learning_rate", [], Init::Constant(1.0));
        let mut session = Session::evaluate(&g, &[rate], &device).unwrap();
        session.set_parameter("learning_rate", &Tensor::scalar(f32::NAN)).unwrap();
    }
}

#[test]
fn initial_values_are_refused_where_they_are_declared() {
    for device in devices() {
        let g = Graph::new();
        let w = g.parameter("w", [2], Init::Constant(f64::NAN));
        let place = format!("numbers.rs:{}", line!() - 1);
        let error = Session::evaluate(&g, &[w], &device).err().unwrap();
        assert!(matches!(error, Error::Graph(GraphError::InitialValue { .. })), "{error}");
        assert!(error.to_string().contains(&place), "{error}");
        let g = Graph::new();
        let w = g.parameter("w", [2], Init::Uniform { low: 1.0, high: -1.0 });
        let error = Session::train(&g, w.sum(..), Sgd::new(0.1), device).err().unwrap();
        assert!(matches!(error, Error::Graph(GraphError::InitialValue { .. })), "{error}");
    }
}

#[test]
fn devices_of_no_name() {
    for name in ["", " ", "\t\n"] {
        let error = Device::named(name).expect_err("no device has this name");
        assert!(matches!(error, Error::UnknownDevice { .. }), "{error}");
        assert!(error.to_string().contains("auto, cpu, gpu"), "{error}");
    }
    assert!(Device::named(" cpu\n").unwrap().is_cpu(), "what a shell adds is no part of a name");
}

#[test]
fn settings_of_checks() {
    let x = Tensor::new([2], vec![0.5f64, 1.5]).unwrap();
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
        let result = GradCheck::new().tolerances(wrong, 0.0).function(|x| x[0].square(), std::slice::from_ref(&x));
        assert!(matches!(result, Err(Error::Check(CheckError::Tolerance { .. }))), "{wrong}");
        let result = GradCheck::new().tolerances(0.0, wrong).function(|x| x[0].square(), std::slice::from_ref(&x));
        assert!(matches!(result, Err(Error::Check(CheckError::Tolerance { .. }))), "{wrong}");
        let result = Adjoint::new().tolerance(wrong).function(|x| x[0].square(), std::slice::from_ref(&x));
        assert!(matches!(result, Err(Error::Check(CheckError::Tolerance { .. }))), "{wrong}");
        let g = Graph::new();
        let y = g.input_of("x", [2], DType::F64).square();
        let cpu = Device::cpu();
        let result = Parity::new().tolerances(wrong, 0.0).compare(&g, &[y], &[("x", &x)], [&cpu, &cpu]);
        assert!(matches!(result, Err(Error::Check(CheckError::Tolerance { .. }))), "{wrong}");
    }
    for wrong in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-300] {
        for differences in [Differences::central().step(wrong), Differences::forward().step(wrong)] {
            let error = differences.gradient(|x| x[0], &[1.0]).unwrap_err();
            assert!(matches!(error, CheckError::Step { .. } | CheckError::StepVanishes { .. }), "{wrong}: {error}");
            let check = GradCheck::new().differences(differences);
            let result = check.function(|x| x[0].square(), std::slice::from_ref(&x));
            assert!(matches!(result, Err(Error::Check(_))), "{wrong}");
        }
    }
    // A step past the largest number makes no point to evaluate at.
    for differences in [Differences::central().step(1e308), Differences::forward().step(1e308)] {
        let error = differences.gradient(|x| x[0], &[1.7e308]).unwrap_err();
        assert!(matches!(error, CheckError::StepOverflows { .. }), "{error}");
    }
    let check = GradCheck::new().differences(Differences::central().step(1e308));
    let far = Tensor::new([1], vec![1.7e308f64]).unwrap();
    let result = check.function(|x| x[0] * 0.5, &[far]);
    assert!(matches!(result, Err(Error::Check(CheckError::StepOverflows { .. }))), "{result:?}");
}

/// A count is written as one.
#[test]
fn counts_in_messages_have_no_fraction() {
    let counts: [(&dyn Optimizer, &str); 3] = [
        (&Sgd::new(0.1).schedule(Step::new(0)), "number of updates in a step is 0, which"),
        (&Sgd::new(0.1).accumulate(0), "number of batches is 0, which"),
        (&Sgd::new(-1.0), "learning rate is -1, which"),
    ];
    for (optimizer, message) in counts {
        is_hyperparameter(training(DType::F32, optimizer, &Device::cpu()), message);
    }
}
