//! What a session needs of the parameters that its graphs declare, and what they start with.

use std::path::PathBuf;

use crate::suite::devices::{devices, gpu};
use arenagrad::{Adam, AdamW, DType, Device, Error, Expr, Graph, Init, Session, Sgd, Tensor};

fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("parameters");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// An encoder and a decoder over its code.
fn autoencoder(g: &Graph) -> [Expr<'_>; 2] {
    let x = g.input("x", [2, 3]);
    let code = x.matmul(g.parameter("encoder.w", [3, 2], Init::XavierUniform)).tanh();
    let decoded = code.matmul(g.parameter("decoder.w", [2, 3], Init::KaimingUniform));
    [code, decoded]
}

fn sample() -> Tensor {
    Tensor::new([2, 3], vec![0.5f32, -1.0, 0.25, 1.0, 0.0, -0.5]).unwrap()
}

#[test]
fn a_session_needs_the_parameters_of_its_outputs_and_no_others() {
    for (number, device) in devices().into_iter().enumerate() {
        // A file that has the encoder alone.
        let path = file(&format!("encoder{number}.safetensors"));
        let g = Graph::new();
        let code = g.input("x", [2, 3]).matmul(g.parameter("encoder.w", [3, 2], Init::Constant(0.5))).tanh();
        let mut encoder = Session::evaluate(&g, &[code], &device).unwrap();
        let expected = encoder.run(&[("x", &sample())]).unwrap();
        encoder.save(&path).unwrap();

        let g = Graph::new();
        let [code, decoded] = autoencoder(&g);
        let _counter = g.step();
        let unseen = g.input("unseen", [7]);
        let _unused = code.sum(..) * unseen;
        let mut session = Session::evaluate(&g, &[code], &device).unwrap();
        session.load(&path).unwrap();
        assert_eq!(session.run(&[("x", &sample())]).unwrap(), expected, "{device}");
        // Once a plan needs the decoder, a file must have it.
        let first = session.parameter("decoder.w").unwrap();
        let plan = session.add(&g, &[decoded]).unwrap();
        assert_eq!(session.parameter("decoder.w").unwrap(), first, "{device}");
        let error = session.load(&path).unwrap_err();
        assert!(matches!(&error, Error::MissingParameter { name, .. } if name == "decoder.w"), "{error}");
        for part in ["\"decoder.w\"", "[2, 3]", "\"encoder.w\"", &path.display().to_string()] {
            assert!(error.to_string().contains(part), "{error}");
        }
        session.run_plan(plan, &[("x", &sample())]).unwrap();
    }
}

/// What a file holds beyond what is needed now is there when a plan comes to need it.
#[test]
fn a_file_may_be_loaded_before_a_plan_is_added() {
    for (number, device) in devices().into_iter().enumerate() {
        let path = file(&format!("both{number}.safetensors"));
        let g = Graph::new();
        let [code, decoded] = autoencoder(&g);
        let mut whole = Session::builder(device.clone()).seed(5).evaluate(&g, &[decoded]).unwrap();
        let expected = whole.run(&[("x", &sample())]).unwrap();
        whole.save(&path).unwrap();

        let mut session = Session::builder(device.clone()).seed(6).evaluate(&g, &[code]).unwrap();
        session.load(&path).unwrap();
        assert_eq!(session.parameter("decoder.w"), whole.parameter("decoder.w"), "{device}");
        let plan = session.add(&g, &[decoded]).unwrap();
        assert_eq!(session.run_plan(plan, &[("x", &sample())]).unwrap(), expected, "{device}");

        // What does not fit is no error before it is needed.
        let other = Graph::new();
        let [code, _] = autoencoder(&other);
        let mut narrow = Session::evaluate(&other, &[code], &device).unwrap();
        let changed = Graph::new();
        let w = changed.parameter("decoder.w", [5], Init::Constant(1.0));
        let encoder = changed.parameter("encoder.w", [3, 2], Init::Constant(1.0));
        Session::evaluate(&changed, &[w, encoder], &Device::cpu()).unwrap().save(&path).unwrap();
        narrow.load(&path).unwrap();
        narrow.run(&[("x", &sample())]).unwrap();
        let error = narrow.parameter("decoder.w").unwrap_err();
        assert!(matches!(&error, Error::ParameterShape { name, .. } if name == "decoder.w"), "{error}");
        let g = Graph::new();
        let [_, decoded] = autoencoder(&g);
        assert_eq!(narrow.add(&g, &[decoded]), Err(error));
        // Whoever gives it a value has one.
        let value = Tensor::new([2, 3], vec![1.0f32; 6]).unwrap();
        narrow.set_parameter("decoder.w", &value).unwrap();
        narrow.add(&g, &[decoded]).unwrap();
        assert_eq!(narrow.parameter("decoder.w").unwrap(), value, "{device}");
    }
}

#[test]
fn a_training_session_saves_all_and_needs_what_it_trains_with() {
    for (number, device) in devices().into_iter().enumerate() {
        let path = file(&format!("trained{number}.safetensors"));
        let g = Graph::new();
        let [code, _] = autoencoder(&g);
        let mut training = Session::train(&g, code.square().sum(..), AdamW::new(0.1), device.clone()).unwrap();
        training.step(&[("x", &sample())]).unwrap();
        training.save(&path).unwrap();
        // Another graph shares the encoder, and its whole file can be evaluated, and trained further.
        let g = Graph::new();
        let [code, decoded] = autoencoder(&g);
        let mut session = Session::evaluate(&g, &[code, decoded], &device).unwrap();
        session.load(&path).unwrap();
        assert_eq!(session.parameter("encoder.w"), training.parameter("encoder.w"), "{device}");
        assert_eq!(session.parameter("decoder.w"), training.parameter("decoder.w"), "{device}");
        let mut further = Session::train(&g, code.square().sum(..), AdamW::new(0.5), device.clone()).unwrap();
        further.load(&path).unwrap();
        assert_eq!(further.step(&[("x", &sample())]), training.step(&[("x", &sample())]), "{device}");
        // A file of an evaluation has no state for an optimiser.
        session.save(&path).unwrap();
        let error = further.load(&path).unwrap_err();
        assert!(matches!(&error, Error::MissingParameter { .. }), "{error}");
    }
}

#[test]
fn what_no_plan_needs_may_be_what_the_device_has_not() {
    let Some(device) = gpu() else { return };
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(1.0));
    let _precise = g.parameter_of("precise", [2], DType::F64, Init::Constant(0.5));
    let _huge = g.parameter("huge", [1 << 17, 1 << 17], Init::Constant(0.0));
    let session = Session::evaluate(&g, &[w], &device).unwrap();
    assert_eq!(session.parameter("precise").unwrap().to_f64_vec(), [0.5, 0.5]);
    let mut session = Session::train(&g, w.square().sum(..), Adam::new(0.1), device).unwrap();
    session.step(&[]).unwrap();
    assert_eq!(session.parameter("precise").unwrap().to_f64_vec(), [0.5, 0.5]);
}

#[test]
fn an_input_that_no_output_needs_need_not_be_given() {
    for device in devices() {
        let g = Graph::new();
        let (x, y) = (g.input("x", [2]), g.input_of("y", [3], DType::I32));
        let w = g.parameter("w", [2], Init::Constant(3.0));
        let (product, sum) = ((x * w).sum(..), y.sum(..));
        let mut session = Session::evaluate(&g, &[product], &device).unwrap();
        let both = session.add(&g, &[product, sum]).unwrap();
        let (xs, ys) = (Tensor::new([2], vec![1.0f32, 2.0]).unwrap(), Tensor::new([3], vec![1, 2, 3]).unwrap());
        assert_eq!(session.run(&[("x", &xs)]).unwrap()[0].item(), Ok(9.0), "{device}");
        // Plans over one graph can be fed alike; what is given is checked whether it is read or not.
        assert_eq!(session.run(&[("x", &xs), ("y", &ys)]).unwrap()[0].item(), Ok(9.0), "{device}");
        assert!(matches!(session.run(&[("x", &xs), ("y", &xs)]), Err(Error::InputShape { .. })));
        assert!(matches!(session.run(&[("y", &ys)]), Err(Error::MissingInput { name, .. }) if name == "x"));
        let error = session.run_plan(both, &[("x", &xs)]).unwrap_err();
        assert!(matches!(error, Error::MissingInput { name, .. } if name == "y"), "{device}");
        assert_eq!(session.run_plan(both, &[("y", &ys), ("x", &xs)]).unwrap()[1].item(), Ok(6.0), "{device}");
        let mut training = Session::train(&g, product, Sgd::new(0.1), device.clone()).unwrap();
        training.step(&[("x", &xs)]).unwrap();
        assert!(matches!(training.step(&[("y", &ys)]), Err(Error::MissingInput { name, .. }) if name == "x"));
    }
}

/// The kinds of initial values that are drawn.
fn drawn() -> [Init; 4] {
    [
        Init::Uniform { low: -2.0, high: 3.0 },
        Init::Normal { mean: 0.5, deviation: 2.0 },
        Init::KaimingUniform,
        Init::XavierUniform,
    ]
}

#[test]
fn initial_values_are_a_function_of_seed_and_name() {
    let shape = [4, 5];
    for init in drawn() {
        let alone = |device: &Device, seed: u64, name: &str| {
            let g = Graph::new();
            let w = g.parameter(name, shape, init.clone());
            Session::builder(device.clone()).seed(seed).evaluate(&g, &[w]).unwrap().parameter(name).unwrap()
        };
        let expected = alone(&Device::cpu(), 3, "w");
        assert_ne!(alone(&Device::cpu(), 4, "w"), expected);
        assert_ne!(alone(&Device::cpu(), 3, "v"), expected);
        for device in devices() {
            assert_eq!(alone(&device, 3, "w"), expected, "{init:?}, {device}");
            let g = Graph::new();
            let builder = || Session::builder(device.clone()).seed(3);
            // Behind an input, another parameter, a removed one, and nodes.
            let x = g.input("x", shape);
            let _other = g.parameter("other", [7], init.clone());
            g.remove(g.parameter("gone", [7], init.clone()).id().unwrap()).unwrap();
            let _nodes = x.exp() + 1.0;
            let w = g.parameter("w", shape, init.clone());
            let v = g.parameter("v", shape, init.clone());
            let product = (w * x * v).sum(..);
            let evaluated = builder().evaluate(&g, &[product]).unwrap();
            assert_eq!(evaluated.parameter("w").unwrap(), expected, "{init:?}, {device}: evaluated");
            let trained = builder().train(&g, product, &AdamW::new(0.1)).unwrap();
            assert_eq!(trained.parameter("w").unwrap(), expected, "{init:?}, {device}: trained");
            let idle = builder().train(&g, v.square().sum(..), &AdamW::new(0.1)).unwrap();
            assert_eq!(idle.parameter("w").unwrap(), expected, "{init:?}, {device}: not in the loss");
            let mut added = builder().evaluate(&g, &[x]).unwrap();
            added.add(&g, &[product]).unwrap();
            assert_eq!(added.parameter("w").unwrap(), expected, "{init:?}, {device}: added");
            let results = builder().evaluate(&g, &[w]).unwrap().run(&[]).unwrap();
            assert_eq!(results[0], expected, "{init:?}, {device}: as plans read it");
        }
    }
}

/// f64 parameters draw the same numbers, before they are rounded.
#[test]
fn a_dtype_rounds_what_is_drawn() {
    for init in drawn() {
        let of = |dtype: DType| {
            let g = Graph::new();
            let w = g.parameter_of("w", [3, 3], dtype, init.clone());
            Session::evaluate(&g, &[w], &Device::cpu()).unwrap().parameter("w").unwrap()
        };
        assert_eq!(of(DType::F64).cast(DType::F32), of(DType::F32), "{init:?}");
    }
}

/// Names that differ in one letter, and small seeds, draw unrelated numbers.
#[test]
fn names_and_seeds_draw_unrelated_numbers() {
    let count = 2000;
    let value = |seed: u64, name: &str| {
        let g = Graph::new();
        let w = g.parameter(name, [count], Init::Uniform { low: -1.0, high: 1.0 });
        Session::builder(Device::cpu()).seed(seed).evaluate(&g, &[w]).unwrap().parameter(name).unwrap().to_f64_vec()
    };
    let draws: Vec<Vec<f64>> = [(0, "w1"), (0, "w2"), (1, "w1"), (2, "w1"), (0, "1w"), (0, ""), (u64::MAX, "w1")]
        .map(|(seed, name)| value(seed, name))
        .to_vec();
    // The standard deviation of a product of two is a third.
    let limit = 5.0 / 3.0 / (count as f64).sqrt();
    for (number, left) in draws.iter().enumerate() {
        let mean = left.iter().sum::<f64>() / count as f64;
        assert!(mean.abs() < 5.0 / 3.0f64.sqrt() / (count as f64).sqrt(), "{number}: mean {mean}");
        for right in &draws[..number] {
            let correlation = left.iter().zip(right).map(|(a, b)| a * b).sum::<f64>() / count as f64;
            assert!(correlation.abs() < limit, "{number}: {correlation}");
        }
    }
}
