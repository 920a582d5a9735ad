//! Bad input is a typed error that names what was wrong and where, on every device; the process lives, nothing has changed,
//! and the device goes on working.

use std::fs;
use std::path::PathBuf;

use crate::suite::devices::{devices, gpu};
use arenagrad::graph::MatMulAxis;
use arenagrad::{
    Adam, AdamW, CrossEntropy, DType, Device, Error, Expr, Graph, GraphError, Init, Optimizer, Session, Sgd,
    StorageType, Tensor,
};

/// That the message contains each of the parts.
#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

/// What planning a graph whose building went wrong says.
#[track_caller]
fn refused(build: impl for<'g> Fn(&'g Graph) -> Expr<'g>, device: &Device) -> Error {
    let g = Graph::new();
    let y = build(&g);
    let error = Session::evaluate(&g, &[y], device).err().expect("the graph is wrong");
    assert_eq!(Err(error.clone()), g.check().map_err(Error::Graph));
    error
}

/// A regression whose only parameter is `w`, and its input.
fn session(device: &Device) -> (Session, Tensor) {
    let g = Graph::new();
    let x = g.input("x", [4]);
    let w = g.parameter("w", [], Init::Constant(3.0));
    let loss = (w * x - x * 2.0).square().mean(..);
    let session = Session::train(&g, loss, Sgd::new(0.05).momentum(0.5), device.clone()).unwrap();
    (session, Tensor::new([4], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap())
}

/// That the device still computes.
#[track_caller]
fn still_works(device: &Device) {
    let (mut session, x) = session(device);
    for _ in 0..3 {
        session.step(&[("x", &x)]).unwrap();
    }
    assert!((session.parameter("w").unwrap().item().unwrap() - 2.0).abs() < 0.9);
}

#[test]
fn shapes_that_do_not_fit() {
    for device in devices() {
        let error = refused(|g| g.input("x", [2, 3]) + g.input("y", [2, 4]), &device);
        let here = format!("errors.rs:{}", line!() - 1);
        says(&error, &[&here, "add", "\"x\"", "[2, 3]", "\"y\"", "[2, 4]", "3 != 4"]);
        assert!(matches!(error, Error::Graph(GraphError::Broadcast { left: 3, right: 4, .. })));

        let error = refused(|g| g.input("h", [64, 784]).matmul(g.input("w1", [785, 256])), &device);
        let here = format!("errors.rs:{}", line!() - 1);
        says(&error, &[&here, "matmul: inner", "\"h\" is [64, 784]", "\"w1\" is [785, 256]", "784 != 785"]);
        assert!(matches!(error, Error::Graph(GraphError::MatMul { which: MatMulAxis::Inner, .. })));

        let error = refused(|g| g.input("x", [2, 3]).reshape([4, 2]), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "reshape", "6 elements", "[4, 2] has 8"]);
        let error = refused(|g| g.input("x", [2, 3]).sum(2), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "axis 2", "[2, 3]", "rank 2"]);
        assert!(matches!(error, Error::Graph(GraphError::Axis { axis: 2, rank: 2, .. })));
        let error = refused(|g| g.input("x", [2, 3]).softmax(-3), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "axis -3"]);
        let error = refused(|g| g.input("x", [2, 3]).slice(1, 1, 4), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "slice", "1..4", "3 elements"]);
        let error = refused(|g| g.concat(&[g.input("x", [2, 3]), g.input("y", [2, 4])], 0), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "concat", "3 != 4"]);
        let error = refused(|g| g.input("x", [0, 3]).max(0), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "max", "empty"]);
        let error = refused(|g| g.literal([2, 2], [1.0f32, 2.0]), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "2 elements", "[2, 2]"]);
        still_works(&device);
    }
}

#[test]
fn dtypes_that_do_not_fit() {
    for device in devices() {
        let error = refused(|g| g.input("x", [2]) + g.input_of("n", [2], DType::I32), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "\"x\" is f32", "\"n\" is i32", "cast"]);
        assert!(matches!(error, Error::Graph(GraphError::DTypesDiffer { .. })));
        let error = refused(|g| g.input_of("n", [2], DType::I32).exp(), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "exp", "\"n\" is i32"]);
        let error = refused(|g| g.input("x", [2]).where_(1.0, 2.0), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "where", "bool"]);
        let error = refused(|g| g.input("x", [2]).gather(0, g.input("i", [2])), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "gather", "i32"]);
        still_works(&device);
    }
}

#[test]
fn names_that_are_taken() {
    let error = refused(|g| g.input("x", [2]) + g.input("x", [2]), &Device::cpu());
    let place = format!("errors.rs:{}", line!() - 1);
    says(&error, &[&place, "\"x\" is taken", "first at"]);
    assert!(matches!(error, Error::Graph(GraphError::DuplicateName { .. })));
}

#[test]
fn inputs_of_a_run() {
    for device in devices() {
        let g = Graph::new();
        let (x, n) = (g.input("x", [2, 3]), g.input_of("n", [2], DType::I32));
        let place = format!("errors.rs:{}", line!() - 1);
        let y = x.sum(1) * n.cast(DType::F32);
        let mut session = Session::evaluate(&g, &[y], &device).unwrap();
        let good = Tensor::new([2, 3], vec![1.0f32; 6]).unwrap();
        let counts = Tensor::new([2], vec![2, 3]).unwrap();

        let error = session.run(&[("x", &good)]).unwrap_err();
        says(&error, &["\"n\"", "[2]", &place, "not given"]);
        assert!(matches!(error, Error::MissingInput { .. }));
        let error = session.run(&[("x", &good), ("n", &counts), ("z", &good)]).unwrap_err();
        says(&error, &["\"z\"", "\"x\"", "\"n\""]);
        assert!(matches!(error, Error::UnknownInput { .. }));
        let error = session.run(&[("x", &good), ("n", &counts), ("x", &good)]).unwrap_err();
        assert_eq!(error, Error::RepeatedInput { name: "x".to_owned() });
        let flat = Tensor::new([6], vec![1.0f32; 6]).unwrap();
        let error = session.run(&[("n", &counts), ("x", &flat)]).unwrap_err();
        says(&error, &["\"x\"", "[2, 3]", &place, "[6]"]);
        assert!(matches!(error, Error::InputShape { .. }));
        let double = Tensor::new([2, 3], vec![1.0f64; 6]).unwrap();
        let error = session.run(&[("x", &double), ("n", &counts)]).unwrap_err();
        says(&error, &["\"x\"", "f32", &place, "f64"]);
        assert!(matches!(error, Error::InputDType { expected: StorageType::F32, found: StorageType::F64, .. }));

        // A refused run leaves nothing behind: the order and number of earlier mistakes do not matter.
        let result = session.run(&[("n", &counts), ("x", &good)]).unwrap();
        assert_eq!(result[0].as_slice::<f32>().unwrap(), [6.0, 9.0], "{device}");
        assert!(matches!(session.run(&[]), Err(Error::MissingInput { .. })));
    }
}

#[test]
fn stale_and_foreign_expressions() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let mark = g.mark();
        let y = x.exp();
        let id = y.id().unwrap();
        g.rewind(mark).unwrap();
        let z = x.sin();
        assert!(z.check().is_ok());
        assert!(matches!(g.node(id).err(), Some(GraphError::StaleNode { .. })));
        let error = Session::evaluate(&g, &[y], &device).err().unwrap();
        assert!(matches!(&error, Error::Graph(GraphError::StaleNode { .. })), "{error}");
        let mark = g.mark();
        let error = Session::evaluate(&g, &[y + z], &device).err().unwrap();
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "add", "stale"]);
        g.rewind(mark).unwrap();

        let other = Graph::new();
        let foreign = other.input("x", [2]);
        let error = Session::evaluate(&g, &[foreign], &device).err().unwrap();
        assert!(matches!(error, Error::Graph(GraphError::ForeignNode { .. })), "{error}");
        let error = Session::train(&g, foreign.sum(..), Sgd::new(0.1), device.clone()).err().unwrap();
        assert!(matches!(error, Error::Graph(GraphError::ForeignNode { .. })), "{error}");
        let mark = g.mark();
        let error = Session::evaluate(&g, &[z + foreign], &device).err().unwrap();
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "add", "another graph"]);
        g.rewind(mark).unwrap();
        let x = Tensor::new([2], vec![0.0f32, 0.5]).unwrap();
        let result = Session::evaluate(&g, &[z], &device).unwrap().run(&[("x", &x)]).unwrap();
        assert!((result[0].as_slice::<f32>().unwrap()[1] - 0.5f32.sin()).abs() < 1e-6);
    }
}

#[test]
fn labels_outside_their_classes() {
    for device in devices() {
        let g = Graph::new();
        let logits = g.input("logits", [3, 4]) * g.parameter("scale", [], Init::Constant(1.0));
        let labels = g.input_of("labels", [3], DType::I32);
        let loss = logits.cross_entropy(labels);
        let place = format!("errors.rs:{}", line!() - 1);
        let mut session = Session::train(&g, loss, Adam::new(0.1), device.clone()).unwrap();
        let x = Tensor::new([3, 4], (0..12).map(|i| i as f32).collect()).unwrap();
        let before = session.parameter("scale").unwrap();
        for (bad, position) in [([0, 4, 1], 1), ([-1, 0, 1], 0), ([0, 1, i32::MAX], 2)] {
            let labels = Tensor::new([3], bad.to_vec()).unwrap();
            let error = session.step(&[("logits", &x), ("labels", &labels)]).unwrap_err();
            says(&error, &["\"labels\"", &bad[position].to_string(), "0..4", &place]);
            assert!(matches!(error, Error::IndexOutOfRange { position: p, bound: 4, .. } if p == position));
        }
        assert_eq!(session.parameter("scale").unwrap(), before, "{device}");
        assert_eq!(session.parameter("updates").unwrap().item().unwrap(), 0.0, "{device}");
        let labels = Tensor::new([3], vec![0, 3, 1]).unwrap();
        session.step(&[("logits", &x), ("labels", &labels)]).unwrap();
        assert_ne!(session.parameter("scale").unwrap(), before, "{device}");

        let error = refused(|g| g.input("x", [2, 4]).cross_entropy(g.literal([2], [0, 4])), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "cross_entropy", "index 4 at position 1", "0..4"]);
        assert!(matches!(error, Error::Graph(GraphError::Index { value: 4, bound: 4, .. })));
        let error = refused(|g| g.input("x", [5, 2]).gather(0, g.literal([1, 2], [5, 0])), &device);
        says(&error, &[&format!("errors.rs:{}", line!() - 1), "gather", "index 5", "0..5"]);

        // An ignored label is no class, and allowed all the same.
        let g = Graph::new();
        let labels = g.input_of("labels", [2], DType::I32);
        let options = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
        let loss = g.input("logits", [2, 4]).cross_entropy_with(labels, options);
        let mut session = Session::evaluate(&g, &[loss], &device).unwrap();
        let x = Tensor::new([2, 4], vec![0.0f32; 8]).unwrap();
        let labels = Tensor::new([2], vec![-100, 3]).unwrap();
        let loss = session.run(&[("logits", &x), ("labels", &labels)]).unwrap()[0].item().unwrap();
        assert!((loss - 4.0f64.ln()).abs() < 1e-6, "{device}: {loss}");
        let labels = Tensor::new([2], vec![-99, 3]).unwrap();
        assert!(session.run(&[("logits", &x), ("labels", &labels)]).is_err());
    }
}

#[test]
fn tensors_past_the_limits_of_an_adapter() {
    let Some(device) = gpu() else { return };
    // 2^34 elements: past what any adapter binds, and never allocated on the host.
    let g = Graph::new();
    let y = g.input("huge", [1 << 17, 1 << 17]).sum(..);
    let error = Session::evaluate(&g, &[y], &device).err().unwrap();
    assert!(matches!(&error, Error::BufferTooLarge { bytes, .. } if *bytes == 1 << 36), "{error}");
    says(&error, &["\"huge\"", &device.adapter().unwrap().name]);
    let g = Graph::new();
    let w = g.parameter("w", [1 << 17, 1 << 17], Init::Constant(0.0));
    let error = Session::evaluate(&g, &[w.sum(..)], &device).err().unwrap();
    assert!(matches!(&error, Error::BufferTooLarge { .. } | Error::OutOfMemory { .. }), "{error}");
    says(&error, &["w"]);
    still_works(&device);
}

#[test]
fn a_parameter_of_160_megabytes() {
    let Some(device) = gpu() else { return };
    let g = Graph::new();
    let w = g.parameter("weights", [40_000_000], Init::Constant(0.5));
    match Session::evaluate(&g, &[w.slice(0, 0, 2).sum(..)], &device) {
        // An adapter that binds as much takes it.
        Ok(mut session) => assert_eq!(session.run(&[]).unwrap()[0].item().unwrap(), 1.0),
        Err(error) => {
            assert!(matches!(&error, Error::BufferTooLarge { bytes: 160_000_000, .. }), "{error}");
            says(&error, &["weights", "160000000", &device.adapter().unwrap().name]);
        }
    }
    still_works(&device);
}

#[test]
fn tensors_past_the_memory_of_the_host() {
    let device = Device::cpu();
    for build in [
        (|g| g.input("huge", [1 << 30, 1 << 28]).sum(..)) as for<'g> fn(&'g Graph) -> Expr<'g>,
        |g| g.parameter("huge", [1 << 30, 1 << 28], Init::Constant(1.0)).sum(..),
        |g| (g.input("x", [1 << 29, 1]) * g.input("y", [1, 1 << 29])).argmax(0),
    ] {
        let g = Graph::new();
        let y = build(&g);
        let error = Session::evaluate(&g, &[y], &device).err().expect("no machine has this memory");
        assert!(matches!(&error, Error::OutOfMemory { .. }), "{error}");
    }
    let error = refused(|g| g.input("x", [usize::MAX, 2]).exp(), &device);
    says(&error, &[&format!("errors.rs:{}", line!() - 1), "too many elements"]);
    assert!(matches!(error, Error::Graph(GraphError::TooManyElements { .. })));
    still_works(&device);
}

#[test]
fn unknown_devices() {
    let error = Device::named("Voodoo 2").err().unwrap();
    if let Error::UnknownDevice { name, known } = &error {
        assert_eq!(name.to_lowercase(), "voodoo 2");
        for adapter in Device::adapters() {
            assert!(known.contains(&adapter.name), "{known}");
        }
        says(&error, &["auto, cpu, gpu"]);
    } else {
        assert!(matches!(error, Error::NoAdapter { .. }), "{error}");
        assert!(Device::adapters().is_empty());
    }
    assert!(Device::named("cpu").unwrap().is_cpu());
    assert!(Device::named("CPU").unwrap().is_cpu());
    devices().iter().for_each(still_works);
}

#[test]
fn double_precision_on_a_gpu() {
    let Some(device) = gpu() else { return };
    let g = Graph::new();
    let x = g.input_of("x", [3], DType::F64);
    let error = Session::evaluate(&g, &[x.exp()], &device).err().unwrap();
    assert!(matches!(&error, Error::Unsupported { .. }), "{error}");
    says(&error, &["\"x\"", "f64"]);
    // In the middle of a graph, where no input shows it.
    let g = Graph::new();
    let y = g.input("x", [3]).cast(DType::F64).exp().cast(DType::F32);
    let result = Session::evaluate(&g, &[y], &device);
    assert!(matches!(result.as_ref().err(), Some(Error::Unsupported { .. })), "{:?}", result.err());
    let g = Graph::new();
    let error = Session::evaluate(&g, &[g.literal([3], [0.1, 0.2, 0.3]).flip([0])], &device).err().unwrap();
    says(&error, &["a literal of 3 elements of f64", "f64 does not exist on a GPU"]);
    still_works(&device);
}

fn file(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("errors");
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

#[test]
fn parameter_files() {
    for (number, device) in devices().into_iter().enumerate() {
        let (mut session, x) = session(&device);
        session.step(&[("x", &x)]).unwrap();
        let path = file(&format!("good{number}.safetensors"));
        session.save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let before = session.parameter("w").unwrap();
        session.step(&[("x", &x)]).unwrap();
        let later = session.parameter("w").unwrap();
        assert_ne!(before, later);

        let bad = file(&format!("bad{number}.safetensors"));
        let shown = bad.display().to_string();
        // Cut off at every length: in its header's length, in its header, in its data.
        for length in 0..whole.len() {
            fs::write(&bad, &whole[..length]).unwrap();
            let error = session.load(&bad).unwrap_err();
            assert!(matches!(&error, Error::ParameterFile { .. }), "{length}: {error}");
            says(&error, &[&shown]);
        }
        for foreign in [&b"hello"[..], &[0xFF; 4096], &[0; 64], b"PK\x03\x04 and so on, not a parameter file at all"] {
            fs::write(&bad, foreign).unwrap();
            let error = session.load(&bad).unwrap_err();
            assert!(matches!(&error, Error::ParameterFile { .. }), "{error}");
        }
        let error = session.load(file("none such")).unwrap_err();
        assert!(matches!(&error, Error::File { .. }), "{error}");
        says(&error, &["none such"]);
        let error = session.save(file("no such folder").join("file")).unwrap_err();
        assert!(matches!(&error, Error::File { .. }), "{error}");

        // Files of other sessions: without the velocity, and with a `w` of another shape or dtype.
        let other = |shape: &[usize], dtype: DType, optimizer: &dyn Optimizer| {
            let g = Graph::new();
            let w = g.parameter_of("w", shape, dtype, Init::Constant(1.0));
            let other = Session::builder(Device::cpu()).train(&g, w.sum(..), optimizer).unwrap();
            other.save(&bad).unwrap();
        };
        other(&[], DType::F32, &Sgd::new(0.1));
        let error = session.load(&bad).unwrap_err();
        says(&error, &["\"w.velocity\"", &shown]);
        assert!(matches!(error, Error::MissingParameter { .. }));
        other(&[2], DType::F32, &Sgd::new(0.1).momentum(0.5));
        let error = session.load(&bad).unwrap_err();
        assert!(matches!(&error, Error::ParameterShape { name, .. } if name.starts_with('w')), "{error}");
        other(&[], DType::F64, &Sgd::new(0.1).momentum(0.5));
        let error = session.load(&bad).unwrap_err();
        says(&error, &["w", "f64", "f32"]);
        assert!(matches!(error, Error::ParameterDType { .. }));

        assert_eq!(session.parameter("w").unwrap(), later, "{device}: a refused file changes nothing");
        session.load(&path).unwrap();
        assert_eq!(session.parameter("w").unwrap(), before, "{device}");
        session.step(&[("x", &x)]).unwrap();
        assert_eq!(session.parameter("w").unwrap(), later, "{device}");
    }
}

#[test]
fn sessions_used_for_what_they_are_not() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [4]);
        let mut evaluation = Session::evaluate(&g, &[x.exp()], &device).unwrap();
        let value = Tensor::new([4], vec![0.0f32; 4]).unwrap();
        assert_eq!(evaluation.step(&[("x", &value)]).unwrap_err(), Error::NotTraining);
        assert_eq!(evaluation.step_with_metrics(&[("x", &value)]).unwrap_err(), Error::NotTraining);
        assert_eq!(evaluation.advance(&[("x", &value)]).unwrap_err(), Error::NotTraining);
        assert_eq!(evaluation.run(&[("x", &value)]).unwrap()[0].to_f64_vec(), [1.0; 4]);
        assert!(matches!(evaluation.set_learning_rate(0.1), Err(Error::UnknownParameter { .. })));

        let (mut training, x) = session(&device);
        assert_eq!(training.run(&[("x", &x)]).unwrap_err(), Error::NothingToRun);
        let other = evaluation.add(&g, &[g.expr(g.ids()[0])]).unwrap();
        assert_eq!(training.run_plan(other, &[("x", &x)]).unwrap_err(), Error::ForeignPlan);
        assert!(matches!(training.plan_of(other), Err(Error::ForeignPlan)));
        let error = training.parameter("v").unwrap_err();
        says(&error, &["\"v\"", "\"w\"", "\"learning_rate\""]);
        let error = training.set_parameter("w", &x).unwrap_err();
        assert!(matches!(error, Error::ParameterShape { .. }), "{error}");
        let error = training.set_parameter("w", &Tensor::scalar(1.0f64)).unwrap_err();
        assert!(matches!(error, Error::ParameterDType { .. }), "{error}");

        // A second plan whose parameter of the same name has another shape.
        let g = Graph::new();
        let w = g.parameter("w", [2], Init::Constant(0.0));
        let error = training.add(&g, &[w]).unwrap_err();
        assert!(matches!(&error, Error::ParameterShape { name, .. } if name == "w"), "{error}");
        training.step(&[("x", &x)]).unwrap();
    }
}

#[test]
fn losses_that_are_no_scalar() {
    for device in devices() {
        let g = Graph::new();
        let w = g.parameter("w", [3], Init::Constant(1.0));
        let length = g.len();
        let error = Session::train(&g, w * 2.0, Sgd::new(0.1), device.clone()).err().unwrap();
        says(&error, &[file!(), "the loss must be one float, but is f32[3]; reduce it, as by mean(..)"]);
        let of_line = |error: Error| matches!(error, Error::LossNotScalar { origin, .. } if origin.contains(file!()));
        assert!(of_line(error));
        let count = g.literal([], [1]);
        let error = Session::train(&g, count, Sgd::new(0.1), device.clone()).err().unwrap();
        says(&error, &["the loss must be one float, but is i32[]"]);
        assert!(of_line(error));
        assert_eq!(g.len(), length + 3);
        Session::train(&g, w.sum(..), Sgd::new(0.1), device.clone()).unwrap();
    }
}

#[test]
fn hyperparameters_out_of_range() {
    let g = Graph::new();
    let loss = g.parameter("w", [3], Init::Constant(1.0)).square().sum(..);
    let length = g.len();
    let bad: [(&dyn Optimizer, &str, &str); 12] = [
        (&Sgd::new(-0.1), "learning rate", "-0.1"),
        (&Sgd::new(f64::NAN), "learning rate", "NaN"),
        (&Sgd::new(f64::INFINITY), "learning rate", "inf"),
        (&Sgd::new(0.1).momentum(1.0), "momentum", "1"),
        (&Sgd::new(0.1).momentum(-0.5), "momentum", "-0.5"),
        (&Sgd::new(0.1).weight_decay(-1.0), "weight decay", "-1"),
        (&Sgd::new(0.1).nesterov(), "momentum", "0"),
        (&Adam::new(0.1).betas(1.0, 0.9), "beta", "1"),
        (&Adam::new(0.1).betas(0.9, -0.1), "beta", "-0.1"),
        (&Adam::new(0.1).eps(f64::NAN), "eps", "NaN"),
        (&AdamW::new(f64::NAN), "learning rate", "NaN"),
        (&AdamW::new(0.1).weight_decay(f64::INFINITY), "weight decay", "inf"),
    ];
    for (optimizer, what, value) in bad {
        let result = Session::builder(Device::cpu()).train(&g, loss, optimizer);
        let error = result.err().unwrap_or_else(|| panic!("{what} {value} was taken"));
        assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
        says(&error, &[what, value]);
        assert_eq!(g.len(), length, "the graph is as it was");
    }
    Session::train(&g, loss, Sgd::new(0.0), Device::cpu()).unwrap();
}

/// What is undefined is NaN, as IEEE 754 has it; it is shown, not refused.
#[test]
fn a_loss_that_is_not_a_number() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let w = g.parameter("w", [], Init::Constant(1.0));
        let mut session = Session::train(&g, (x.log() * w).sum(..), Sgd::new(0.1), device.clone()).unwrap();
        let good = Tensor::new([2], vec![1.0f32, 2.0]).unwrap();
        assert!(session.step(&[("x", &good)]).unwrap().is_finite());
        let bad = Tensor::new([2], vec![1.0f32, -2.0]).unwrap();
        assert!(session.step(&[("x", &bad)]).unwrap().is_nan(), "{device}");
        assert!(session.parameter("w").unwrap().item().unwrap().is_nan(), "{device}");
        session.set_parameter("w", &Tensor::scalar(1.0f32)).unwrap();
        assert!(session.step(&[("x", &good)]).unwrap().is_finite());
        still_works(&device);
    }
}

#[test]
fn a_refused_step_changes_nothing() {
    for device in devices() {
        let (mut trained, x) = session(&device);
        trained.step(&[("x", &x)]).unwrap();
        let names: Vec<String> = trained.parameter_names().map(str::to_owned).collect();
        let state = |session: &Session| names.iter().map(|name| session.parameter(name).unwrap()).collect::<Vec<_>>();
        let before = state(&trained);
        let short = Tensor::new([3], vec![1.0f32; 3]).unwrap();
        for inputs in [vec![], vec![("x", &short)], vec![("x", &x), ("y", &x)], vec![("x", &x), ("x", &x)]] {
            assert!(trained.step(&inputs).is_err());
            assert!(trained.advance(&inputs).is_err());
            assert_eq!(state(&trained), before, "{device}");
        }
        trained.step(&[("x", &x)]).unwrap();
        assert_ne!(state(&trained), before, "{device}");
    }
}

#[test]
fn tensors_that_contradict_themselves() {
    assert!(matches!(Tensor::new([2, 3], vec![1.0f32; 5]), Err(Error::ElementCount { elements: 5, .. })));
    assert!(matches!(Tensor::new([usize::MAX, 2], vec![1.0f32; 5]), Err(Error::ElementCount { .. })));
    assert!(matches!(Tensor::zeros([usize::MAX, 2], DType::F32), Err(Error::OutOfMemory { .. })));
    let t = Tensor::new([2], vec![1.0f32, 2.0]).unwrap();
    assert!(matches!(
        t.as_slice::<i32>(),
        Err(Error::TensorDType { expected: StorageType::I32, found: StorageType::F32 })
    ));
    let error = t.item().unwrap_err();
    assert!(
        matches!(&error, Error::NotOneElement { shape, elements } if *shape == *t.shape() && *elements == t.data().len())
    );
    assert!(error.to_string().contains(&t.shape().to_string()), "{error}");
}
