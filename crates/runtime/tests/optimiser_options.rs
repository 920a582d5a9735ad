//! What is put around optimisers: clipping at the ends of the range of floats, selections, accumulation, averages, and what does not fit.

use crate::optimisers::{PARAMETERS, network};
use crate::suite::devices::{devices, flushes_subnormals};
use arenagrad::nn::Linear;
use arenagrad::train::Trained;
use arenagrad::train::schedules::{Exponential, OneCycle};
use arenagrad::{
    Adam, AdamW, DType, Device, Error, Expr, Graph, Init, Muon, Optimizer, Session, Sgd, StorageType, Tensor,
};

/// A loss whose gradients are these numbers, whatever the parameters, which start at the same numbers: no square overflows in it.
fn constant_gradients<'g>(g: &'g Graph, values: &[(&str, Vec<f64>)], dtype: DType) -> Expr<'g> {
    let terms = values.iter().map(|(name, values)| {
        let (shape, init) = ([values.len()], Init::Values(values.clone()));
        let gradient = g.state(format!("{name}.constant"), shape, dtype, init);
        (g.parameter_of(*name, shape, dtype, Init::Constant(0.0)) * gradient).sum(..)
    });
    terms.reduce(|sum, next| sum + next).expect("a parameter")
}

#[test]
fn norms_at_the_ends_of_the_range() {
    let f32_sizes = [1e-42, 1e-30, 1e-19, 1e-3, 1.0, 1e10, 1e19, 1e30, 5e37];
    let f64_sizes = [1e-300, 1e-160, 1e-3, 1.0, 1e150, 1e160, 1e300];
    let runs = std::iter::once((Device::cpu(), DType::F64, f64_sizes.as_slice()))
        .chain(devices().into_iter().map(|device| (device, DType::F32, f32_sizes.as_slice())));
    for (device, dtype, sizes) in runs {
        for &size in sizes {
            // A GPU may flush what is subnormal: the gradient, or what it is multiplied by.
            let is_subnormal = size == 1e-42 || ((1.0 / (5.0 * size)) as f32).is_subnormal();
            if is_subnormal && flushes_subnormals(&device) {
                continue;
            }
            let g = Graph::new();
            let loss = constant_gradients(&g, &[("a", vec![3.0 * size, 0.0]), ("b", vec![4.0 * size])], dtype);
            let optimizer = Sgd::new(1.0).clip_norm(1.0);
            let mut session = Session::train(&g, loss, optimizer, device.clone()).unwrap();
            session.advance(&[]).unwrap();
            let norm = session.parameter("gradient_norm").unwrap().item().unwrap();
            let precision = if size == 1e-42 { 1e-3 } else { 2e-6 };
            assert!((norm / (5.0 * size) - 1.0).abs() < precision, "{device}, {dtype}, {size:e}: {norm:e}");
            let step = -session.parameter("a").unwrap().to_f64_vec()[0];
            let expected = 3.0 * size * (1.0 / (5.0 * size + 1e-6)).min(1.0);
            let precision = if size == 1e-42 { 1e-3 } else { 1e-5 };
            assert!((step - expected).abs() <= precision * expected, "{device}, {dtype}, {size:e}: {step:e}");
        }
    }
}

/// PyTorch's way to record the norm alone.
#[test]
fn an_infinite_bound_records_the_norm_and_clips_nothing() {
    let runs = std::iter::once((Device::cpu(), DType::F64)).chain(devices().into_iter().map(|d| (d, DType::F32)));
    for (device, dtype) in runs {
        let g = Graph::new();
        let loss = constant_gradients(&g, &[("a", vec![3e3, 0.0]), ("b", vec![4e3])], dtype);
        let mut plain = Session::train(&g, loss, Adam::new(0.1), device.clone()).unwrap();
        let mut recorded = Session::train(&g, loss, Adam::new(0.1).clip_norm(f64::INFINITY), device.clone()).unwrap();
        for _ in 0..3 {
            plain.advance(&[]).unwrap();
            recorded.advance(&[]).unwrap();
        }
        for name in ["a", "b", "a.second_moment"] {
            assert_eq!(recorded.parameter(name), plain.parameter(name), "{device}, {dtype}, {name}");
        }
        assert_eq!(recorded.parameter("gradient_norm").unwrap().item(), Ok(5e3), "{device}, {dtype}");
    }
}

#[test]
fn gradients_that_are_no_numbers() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", []);
        let (a, b) = (g.parameter("a", [2], Init::Constant(1.0)), g.parameter("b", [], Init::Constant(1.0)));
        let loss = (a * x).sum(..) + b;
        let mut session = Session::train(&g, loss, Sgd::new(1.0).clip_norm(1.0), device.clone()).unwrap();
        session.step(&[("x", &Tensor::scalar(f32::NAN))]).unwrap();
        assert!(session.parameter("b").unwrap().item().unwrap().is_nan(), "{device}: as PyTorch has it");
        let mut session = Session::train(&g, loss, Sgd::new(1.0).clip_norm(1.0), device.clone()).unwrap();
        session.step(&[("x", &Tensor::scalar(f32::INFINITY))]).unwrap();
        assert_eq!(session.parameter("gradient_norm").unwrap().item().unwrap(), f64::INFINITY, "{device}");
        assert_eq!(session.parameter("b").unwrap().item().unwrap(), 1.0, "{device}: a share of 0");
        assert!(session.parameter("a").unwrap().to_f64_vec()[0].is_nan(), "{device}");
        let mut session = Session::train(&g, loss, Sgd::new(1.0).clip_value(0.5), device.clone()).unwrap();
        session.step(&[("x", &Tensor::scalar(f32::INFINITY))]).unwrap();
        assert_eq!(session.parameter("a").unwrap().to_f64_vec(), [0.5; 2], "{device}");
        assert_eq!(session.parameter("b").unwrap().item().unwrap(), 0.5, "{device}");
    }
}

/// The network's rows, one after the other, as batches of one example.
fn rows(inputs: &[(&'static str, Tensor)], row: usize) -> Vec<(&'static str, Tensor)> {
    inputs
        .iter()
        .map(|(name, tensor)| {
            let width = tensor.shape().dims()[1];
            let values = tensor.to_f64_vec()[row * width..(row + 1) * width].to_vec();
            (*name, Tensor::new([1, width], values).unwrap().cast(tensor.dtype()))
        })
        .collect()
}

fn step(session: &mut Session, inputs: &[(&'static str, Tensor)]) -> f64 {
    let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    session.step(&inputs).unwrap()
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let optimizers: [(&str, &dyn Optimizer, &dyn Optimizer); 4] = [
        ("adamw", &AdamW::new(0.02), &AdamW::new(0.02).accumulate(5)),
        ("clipped", &Adam::new(0.02).clip_norm(0.3), &Adam::new(0.02).clip_norm(0.3).accumulate(5)),
        (
            "scheduled around",
            &Sgd::new(0.1).momentum(0.9).schedule(Exponential::new(0.8)),
            &Sgd::new(0.1).momentum(0.9).accumulate(5).schedule(Exponential::new(0.8)),
        ),
        (
            "averaged around",
            &Adam::new(0.02).schedule(OneCycle::new(9)).moving_average(0.8),
            &Adam::new(0.02).schedule(OneCycle::new(9)).accumulate(5).moving_average(0.8),
        ),
    ];
    let runs = std::iter::once((Device::cpu(), DType::F64)).chain(devices().into_iter().map(|d| (d, DType::F32)));
    for (device, dtype) in runs {
        for (case, whole, parts) in optimizers {
            let g = Graph::new();
            let (loss, inputs) = network(&g, dtype);
            let mut whole = Session::builder(device.clone()).train(&g, loss, whole).unwrap();
            let single = Graph::new();
            let one = single_network(&single, dtype);
            let mut parts = Session::builder(device.clone()).train(&single, one, parts).unwrap();
            for update in 1..=6 {
                step(&mut whole, &inputs);
                let kept: Vec<(String, Tensor)> = parts
                    .parameter_names()
                    .filter(|name| !name.ends_with(".accumulated") && *name != "micro_batches")
                    .map(|name| (name.to_owned(), parts.parameter(name).unwrap()))
                    .collect();
                for row in 0..5 {
                    for (name, value) in &kept {
                        assert_eq!(&parts.parameter(name).unwrap(), value, "{case}, {name} before row {row}");
                    }
                    step(&mut parts, &rows(&inputs, row));
                }
                for (name, _) in &kept {
                    let (found, expected) = (parts.parameter(name).unwrap(), whole.parameter(name).unwrap());
                    for (found, expected) in found.to_f64_vec().iter().zip(expected.to_f64_vec()) {
                        let tolerance = if dtype == DType::F64 { 1e-12 } else { 4e-5 };
                        assert!(
                            (found - expected).abs() <= tolerance * expected.abs().max(1.0),
                            "{case}, {device}, {dtype}, {name} after {update}: {found}, not {expected}"
                        );
                    }
                }
                let accumulated = parts.parameter("w1.accumulated").unwrap().to_f64_vec();
                assert!(accumulated.iter().all(|&sum| sum == 0.0), "{case}");
            }
        }
    }
}

/// The network of the reference for one example.
fn single_network(g: &Graph, dtype: DType) -> Expr<'_> {
    let whole = Graph::new();
    let _ = network(&whole, dtype);
    let [w1, b1, w2, s] = PARAMETERS.map(|(name, shape)| {
        let declared = whole.declarations().into_iter().find(|declaration| declaration.name == name).unwrap();
        let arenagrad::graph::DeclarationKind::Parameter { init, .. } = declared.kind else { panic!("a parameter") };
        g.parameter_of(name, shape, dtype, init)
    });
    let (x, t) = (g.input_of("x", [1, 3], dtype), g.input_of("t", [1, 2], dtype));
    ((x.matmul(w1) + b1).tanh().matmul(w2) * s - t).square().mean(..)
}

#[test]
fn accumulation_goes_on_from_a_file() {
    let g = Graph::new();
    let loss = single_network(&g, DType::F32);
    let whole = Graph::new();
    let (_, inputs) = network(&whole, DType::F32);
    let make = || Session::train(&g, loss, Adam::new(0.02).accumulate(3), Device::cpu()).unwrap();
    let mut first = make();
    for row in [0, 1, 2, 3] {
        step(&mut first, &rows(&inputs, row));
    }
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("accumulated.safetensors");
    first.save(&path).unwrap();
    let mut second = make();
    second.load(&path).unwrap();
    for row in [4, 0, 1, 2, 3] {
        assert_eq!(step(&mut first, &rows(&inputs, row)), step(&mut second, &rows(&inputs, row)));
    }
    assert_eq!(second.parameter("updates").unwrap().item().unwrap(), 3.0);
}

#[test]
fn what_is_frozen_costs_no_state_and_no_gradient() {
    let g = Graph::new();
    let (loss, inputs) = network(&g, DType::F32);
    let before = Session::train(&g, loss, Sgd::new(0.1), Device::cpu()).unwrap();
    let all = Session::train(&g, loss, Adam::new(0.1), Device::cpu()).unwrap();
    for (optimizer, trained) in [
        (Box::new(AdamW::new(0.1).only("*2")) as Box<dyn Optimizer>, vec!["w2"]),
        (Box::new(AdamW::new(0.1).freeze("w*")), vec!["b1", "s"]),
        (Box::new(AdamW::new(0.1).freeze("w*").only("*1")), vec!["b1"]),
        (Box::new(Adam::new(0.1).group("rest", "w*", Sgd::new(0.1).freeze("w1"))), vec!["b1", "s", "w2"]),
    ] {
        let mut session = Session::builder(Device::cpu()).train(&g, loss, &*optimizer).unwrap();
        step(&mut session, &inputs);
        for (name, _) in PARAMETERS {
            let changed = session.parameter(name).unwrap() != before.parameter(name).unwrap();
            assert_eq!(changed, trained.contains(&name), "{name} of {trained:?}");
        }
        let moments = session.parameter_names().filter(|name| name.ends_with(".first_moment")).count();
        assert!(moments <= trained.len());
        assert!(session.plan().steps().len() < all.plan().steps().len());
    }
}

#[test]
fn averages_take_the_place_of_weights() {
    for device in devices() {
        let g = Graph::new();
        let p = g.parameter("p", [2], Init::Constant(1.0));
        let average = Sgd::new(0.5).moving_average(0.5);
        let mut session = Session::train(&g, p.sum(..), average, device.clone()).unwrap();
        let evaluate = session.add(&g, &[p * 1.0]).unwrap();
        assert!(matches!(session.swap_averages(), Err(Error::NoAverages { .. })), "before the first update");
        for _ in 0..3 {
            session.step(&[]).unwrap();
        }
        // p is 0.5, 0, -0.5; its averages 0.5, 0.25, -0.125.
        let value = session.with_averages(|session| session.run_plan(evaluate, &[])).unwrap();
        assert_eq!(value[0].to_f64_vec(), [-0.125; 2], "{device}");
        assert_eq!(session.run_plan(evaluate, &[]).unwrap()[0].to_f64_vec(), [-0.5; 2], "{device}");
        let failed: Result<(), Error> = session.with_averages(|_| Err(Error::NothingToRun));
        assert_eq!(failed, Err(Error::NothingToRun));
        assert_eq!(session.parameter("p").unwrap().to_f64_vec(), [-0.5; 2], "{device}: also after a failure");
        let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("averages.safetensors");
        session.with_averages(|session| session.save(&path)).unwrap();
        let mut plain = Session::train(&g, p.sum(..), Sgd::new(0.5), device.clone()).unwrap();
        plain.load(&path).unwrap();
        assert_eq!(plain.parameter("p").unwrap().to_f64_vec(), [-0.125; 2], "{device}: a file of the averages");
    }
    let g = Graph::new();
    let loss = g.parameter("p", [2], Init::Constant(1.0)).sum(..);
    let mut none = Session::train(&g, loss, Sgd::new(0.5), Device::cpu()).unwrap();
    let error = none.swap_averages().unwrap_err();
    assert!(error.to_string().contains("moving_average"), "{error}");
}

#[test]
fn groups_have_rates_of_their_own() {
    let g = Graph::new();
    let (a, b) = (g.parameter("a", [], Init::Constant(0.0)), g.parameter("head.b", [], Init::Constant(0.0)));
    let optimizer = Sgd::new(1.0).group("head", "head.*", Sgd::new(0.5)).schedule(Exponential::new(0.5));
    let mut session = Session::train(&g, -(a + b), optimizer, Device::cpu()).unwrap();
    session.step(&[]).unwrap();
    session.step(&[]).unwrap();
    assert_eq!(session.parameter("a").unwrap().item().unwrap(), 1.5);
    assert_eq!(session.parameter("head.b").unwrap().item().unwrap(), 0.75);
    session.set_parameter("head.learning_rate", &Tensor::scalar(0.0f32)).unwrap();
    session.step(&[]).unwrap();
    assert_eq!(session.parameter("a").unwrap().item().unwrap(), 1.75);
    assert_eq!(session.parameter("head.b").unwrap().item().unwrap(), 0.75);
    let refused = session.set_parameter("head.learning_rate", &Tensor::scalar(-1.0f32));
    assert!(matches!(refused, Err(Error::Hyperparameter { .. })));
}

/// Takes its rate from nowhere.
struct Fixed;

impl Optimizer for Fixed {
    fn update<'g>(&self, _: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Ok(trained.iter().map(|one| (one.parameter, one.parameter - one.gradient * 0.125)).collect())
    }
}

#[test]
fn parts_that_do_not_fit() {
    let g = Graph::new();
    let (loss, _) = network(&g, DType::F32);
    let length = g.len();
    let parts: [(Box<dyn Optimizer>, &str); 7] = [
        (Box::new(Fixed.schedule(Exponential::new(0.5))), "schedule"),
        (Box::new(Sgd::new(0.1).clip_norm(1.0).clip_norm(2.0)), "gradient_norm"),
        (Box::new(Sgd::new(0.1).accumulate(2).accumulate(2)), "twice"),
        (Box::new(Sgd::new(0.1).moving_average(0.5).moving_average(0.9)), "average"),
        (Box::new(Sgd::new(0.1).group("x", "b1", Sgd::new(0.1)).group("x", "w2", Sgd::new(0.1))), "x.learning_rate"),
        (Box::new(Sgd::new(0.1).group("x", "b1", Sgd::new(0.1).accumulate(2)).moving_average(0.5)), "different steps"),
        (Box::new(Fixed.schedule(Exponential::new(0.5)).accumulate(3)), "schedule"),
    ];
    for (optimizer, what) in parts {
        let error = Session::builder(Device::cpu()).train(&g, loss, &*optimizer).err().unwrap();
        assert!(matches!(error, Error::OptimizerParts { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(g.len(), length, "the graph is as it was");
    }
    let patterns: [Box<dyn Optimizer>; 6] = [
        Box::new(AdamW::new(0.1).no_decay("*.bias")),
        Box::new(AdamW::new(0.1).freeze("*.bias")),
        Box::new(AdamW::new(0.1).only("*.bias")),
        Box::new(AdamW::new(0.1).scale_rate("*.bias", 2.0).clip_norm(1.0).moving_average(0.5)),
        Box::new(AdamW::new(0.1).group("x", "*.bias", Fixed).accumulate(2)),
        Box::new(AdamW::new(0.1).group("x", "b1", Sgd::new(0.1).freeze("*.bias"))),
    ];
    for optimizer in patterns {
        let error = Session::builder(Device::cpu()).train(&g, loss, &*optimizer).err().unwrap();
        assert!(matches!(&error, Error::UnmatchedPattern { pattern, .. } if pattern == "*.bias"), "{error}");
        assert!(error.to_string().contains("\"w1\""), "{error}");
    }
    let error = Session::train(&g, loss, Sgd::new(0.1).freeze("*"), Device::cpu()).err().unwrap();
    assert!(matches!(error, Error::NothingToTrain { .. }), "{error}");
    let error = Session::train(&g, loss, Muon::new(0.1), Device::cpu()).err().unwrap();
    assert!(matches!(&error, Error::NotAMatrix { name, .. } if name == "b1"), "{error}");
    let bad: [(Box<dyn Optimizer>, &str); 9] = [
        (Box::new(Sgd::new(0.1).clip_norm(-1.0)), "gradient norm"),
        (Box::new(Sgd::new(0.1).clip_norm(f64::NAN)), "gradient norm"),
        (Box::new(Sgd::new(0.1).clip_norm(f64::NEG_INFINITY)), "gradient norm"),
        (Box::new(Sgd::new(0.1).clip_value(f64::NAN)), "gradient element"),
        (Box::new(Sgd::new(0.1).accumulate(0)), "number of batches"),
        (Box::new(Sgd::new(0.1).moving_average(1.0)), "averages"),
        (Box::new(Sgd::new(0.1).scale_rate("w1", -1.0)), "learning rate"),
        (Box::new(Sgd::new(0.1).dampening(0.5).momentum(0.9).nesterov()), "dampening"),
        (Box::new(Muon::new(0.1).iterations(100).rest(Sgd::new(0.1))), "iterations"),
    ];
    for (optimizer, what) in bad {
        let error = Session::builder(Device::cpu()).train(&g, loss, &*optimizer).err().unwrap();
        assert!(matches!(error, Error::Hyperparameter { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(g.len(), length, "the graph is as it was");
    }
    // A name that the caller has taken.
    let g = Graph::new();
    let taken = g.parameter("w.average", [], Init::Constant(1.0));
    let w = g.parameter("w", [], Init::Constant(1.0));
    let error = Session::train(&g, w * taken, Sgd::new(0.1).moving_average(0.5), Device::cpu()).err().unwrap();
    assert!(matches!(&error, Error::ReservedName { name, .. } if name == "w.average"), "{error}");
}

/// Options add few kernels on the CPU, whose kernels bind as many buffers as states need: one that a moving average begins with, and those
/// for the sums of a norm.
#[test]
fn options_are_part_of_few_kernels() {
    let g = Graph::new();
    let x = g.input("x", [32, 64]);
    let labels = g.input_of("labels", [32], DType::I32);
    let (first, second) = (Linear::new("first", 64, 128), Linear::new("second", 128, 10));
    let loss = second.apply(first.apply(x).relu()).cross_entropy(labels);
    let steps = |optimizer: &dyn Optimizer| {
        let session = Session::builder(Device::cpu()).train(&g, loss, optimizer).unwrap();
        println!("{}", session.plan()); // For whoever reads a failure.
        session.plan().steps().len()
    };
    let (plain, parameters) = (steps(&AdamW::new(1e-3)), 4);
    assert!(steps(&AdamW::new(1e-3).schedule(Exponential::new(0.9))) <= plain);
    assert!(steps(&AdamW::new(1e-3).no_decay("*.bias").scale_rate("second.*", 0.5)) <= plain);
    assert!(steps(&AdamW::new(1e-3).clip_value(0.5)) <= plain);
    assert!(steps(&AdamW::new(1e-3).moving_average(0.9)) <= plain + 1);
    assert!(steps(&AdamW::new(1e-3).accumulate(4)) <= plain);
    // Small gradients are put beside one another by one kernel and summed up by one, large ones each by one, and one says the share. Until
    // that is known no update can be, so none is part of the kernel that computes its gradient.
    assert!(steps(&AdamW::new(1e-3).clip_norm(1.0)) <= plain + 4 + parameters);
}

/// PyTorch's `AveragedModel` copies the weights as they are stored.
#[test]
fn averages_are_of_the_weights_as_they_are_stored() {
    let g = Graph::new();
    let w = g.parameter_of("w", [], StorageType::Bf16, Init::Constant(1.0));
    let optimizer = Sgd::new(0.001).moving_average(0.5);
    let mut session = Session::train(&g, w * 1.0, optimizer, Device::cpu()).unwrap();
    for _ in 0..4 {
        session.advance(&[]).unwrap();
    }
    let value = |name: &str| session.parameter(name).unwrap().item().unwrap();
    assert_eq!((value("w"), value("w.average")), (1.0, 1.0));
}
