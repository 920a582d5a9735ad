//! Edges where caller and engine meet: optimisers of the caller's own, names taken and freed, shapes at the limits.

use arenagrad::data::{Batch, Dataset};
use arenagrad::graph::{Leaf, Op};
use arenagrad::{
    Adam, DType, Device, Elements, Error, Expr, Graph, GraphError, Init, Optimizer, Session, Sgd, Tensor, Trainer,
    train::Trained,
};

use crate::suite::devices::devices;

/// An optimiser that replaces the first parameter by what the function makes of it.
struct Replace(for<'g> fn(Expr<'g>) -> Vec<Expr<'g>>);

impl Optimizer for Replace {
    fn update<'g>(&self, _: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let parameter = trained[0].parameter;
        Ok((self.0)(parameter).into_iter().map(|next| (parameter, next)).collect())
    }
}

fn train_with(optimizer: Replace) -> Result<Session, Error> {
    let g = Graph::new();
    let w = g.parameter("w", [4], Init::Constant(1.0));
    Session::train(&g, w.sum(..), optimizer, Device::cpu())
}

#[test]
fn a_next_value_has_the_shape_and_dtype_of_its_parameter() {
    assert!(matches!(train_with(Replace(|w| vec![w.sum(..)])), Err(Error::ParameterShape { .. })));
    assert!(matches!(train_with(Replace(|w| vec![w.broadcast_to([4, 4])])), Err(Error::ParameterShape { .. })));
    assert!(matches!(train_with(Replace(|w| vec![w.cast(DType::F64)])), Err(Error::ParameterDType { .. })));
    assert!(matches!(train_with(Replace(|w| vec![w - 1.0, w + 1.0])), Err(Error::RepeatedUpdate { .. })));
    let mut session = train_with(Replace(|w| vec![w * 3.0])).expect("a proper update");
    session.step(&[]).expect("a step");
    assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [3.0; 4]);
}

#[test]
fn what_is_trained_has_no_other_next_value() {
    let g = Graph::new();
    let (w, b) = (g.parameter("w", [4], Init::Constant(1.0)), g.parameter("b", [], Init::Constant(0.0)));
    let loss = (w + b).sum(..);
    g.update(w, w * 2.0);
    let line = line!() - 1;
    let refused = Session::train(&g, loss, Sgd::new(0.1), Device::cpu()).err().expect("two next values");
    assert!(matches!(refused, Error::UpdatedByBoth { .. }), "{refused}");
    let told = refused.to_string();
    let start = format!("{}:{line}: Graph::update gives \"w\" a next value", file!());
    assert!(told.starts_with(&start) && told.contains("freeze(\"w\")"), "{told}");
    // As is advised.
    let mut session = Session::train(&g, loss, Sgd::new(0.1).freeze("w"), Device::cpu()).expect("one next value each");
    session.step(&[]).expect("a step");
    assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [2.0; 4]);
    assert!(session.parameter("b").unwrap().item().unwrap() < 0.0);
}

#[test]
fn what_is_given_no_batches_says_so() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| inputs.get("x").sum(..));
    let double = trainer.add_evaluation(|inputs| vec![inputs.get("x") * 2.0]);
    let data = Dataset::new().with("x", Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap()).unwrap();
    let line = line!() + 1;
    let error = trainer.evaluate_batches(double, &data.batches(4).drop_last()).unwrap_err();
    assert!(matches!(error, Error::NoBatches { .. }), "{error}");
    assert!(
        error.to_string().starts_with(&format!("{}:{line}: evaluate_batches was given no batch", file!())),
        "{error}"
    );
    // So does training: there is no mean of no losses.
    let line = line!() + 1;
    let error = trainer.train(&data.batches(4).drop_last(), 2).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}:{line}: train was given no batch", file!())), "{error}");
    assert!(trainer.train(&data.batches(4).drop_last(), 0).unwrap().is_nan());
    // A batch that says it has no samples has none, whatever else is in it.
    let empty = Batch::new().with("x", Tensor::from([1.0f32, 2.0])).of_samples(0);
    assert!(matches!(trainer.step(&empty), Err(Error::EmptyBatch { .. })));
    assert!(matches!(trainer.train(&data.batches(0), 1), Err(Error::Data(_))));
    assert_eq!(trainer.evaluate_batches(double, &data.batches(2)).unwrap()[0].to_f64_vec(), [2.0, 4.0, 6.0]);
}

#[test]
fn a_random_draw_reads_its_step_through_views() {
    let g = Graph::new();
    let viewed = g.uniform([8], g.iota([5], 0).select_index(0, 3), 7);
    let plain = g.uniform([8], g.full([], 3.0, DType::I32), 7);
    let results = Session::evaluate(&g, &[viewed, plain], &Device::cpu()).unwrap().run(&[]).unwrap();
    assert_eq!(results[0], results[1]);
}

#[test]
fn a_removed_declaration_frees_its_name() {
    let g = Graph::new();
    let old = g.parameter("w", [4], Init::Constant(1.0));
    let old_input = g.input("x", [4]);
    g.remove(old.id().unwrap()).unwrap();
    g.remove(old_input.id().unwrap()).unwrap();
    let (w, x) = (g.parameter("w", [3], Init::Constant(2.0)), g.input("x", [3]));
    let mut session = Session::train(&g, (w * x).sum(..), Sgd::new(1.0), Device::cpu()).unwrap();
    let x = Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap();
    assert_eq!(session.step(&[("x", &x)]).unwrap(), 12.0);
    assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [1.0, 0.0, -1.0]);
}

#[test]
fn an_input_may_be_named_step() {
    let g = Graph::new();
    let step = g.input_of("step", [], DType::I32);
    // Powers of two: each set of kept elements has a sum of its own.
    let w = g.parameter("w", [20], Init::Values((0..20).map(|power| f64::from(1 << power)).collect()));
    let loss = w.dropout(0.5, step, 3).sum(..);
    let mut session = Session::train(&g, loss, Sgd::new(0.0), Device::cpu()).unwrap();
    let mut at = |step: i32| session.step(&[("step", &Tensor::scalar(step))]).unwrap();
    let (first, second, again) = (at(0), at(1), at(0));
    assert_eq!(first, again);
    assert_ne!(first, second);
}

#[test]
fn no_kernel_binds_more_buffers_than_its_device_allows() {
    /// All inputs and the parameter go into its next value, which another update needs beside the old one.
    struct Wide;
    impl Optimizer for Wide {
        fn update<'g>(&self, g: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
            let (p, m) = (trained[0].parameter, trained[1].parameter);
            let mut next = p * 0.5;
            for declaration in g.declarations().iter().filter(|declaration| declaration.name.starts_with('a')) {
                next = next + g.expr(declaration.node);
            }
            Ok(vec![(p, next), (m, next.matmul(p))])
        }
    }
    for device in devices() {
        let most = if device.is_cpu() { arenagrad::plan::CPU_BINDINGS } else { arenagrad::plan::GPU_BINDINGS };
        let g = Graph::new();
        let p = g.parameter("p", [2, 2], Init::Values(vec![1.0, 2.0, 3.0, 4.0]));
        let m = g.parameter("m", [2, 2], Init::Constant(0.0));
        let names: Vec<String> = (1..most).map(|number| format!("a{number}")).collect();
        for name in &names {
            let _ = g.input(name.clone(), [2, 2]);
        }
        let mut session = Session::train(&g, (p + m).sum(..), Wide, device).unwrap();
        let buffers =
            session.plan().steps().iter().map(|step| step.reads.len() + step.writes.len() - step.in_place.len());
        assert_eq!(buffers.max(), Some(most), "{}", session.plan());
        let one = Tensor::new([2, 2], vec![1.0f32; 4]).unwrap();
        let inputs: Vec<(&str, &Tensor)> = names.iter().map(|name| (name.as_str(), &one)).collect();
        session.step(&inputs).unwrap();
        let sum = names.len() as f64;
        let next = [0.5 + sum, 1.0 + sum, 1.5 + sum, 2.0 + sum];
        assert_eq!(session.parameter("p").unwrap().to_f64_vec(), next);
        // The next value times the parameter as it was.
        let [a, b, c, d] = next;
        let product = [a + 3.0 * b, 2.0 * a + 4.0 * b, c + 3.0 * d, 2.0 * c + 4.0 * d];
        assert_eq!(session.parameter("m").unwrap().to_f64_vec(), product);
    }
}

#[test]
fn a_refused_plan_leaves_the_session_as_it_was() {
    let g = Graph::new();
    let w = g.parameter("w", [4], Init::Constant(1.0));
    let mut session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let other = Graph::new();
    let z = other.parameter("z", [2], Init::Constant(0.0));
    let _ = other.parameter("w", [5], Init::Constant(1.0));
    assert!(matches!(session.add(&other, &[z]), Err(Error::ParameterShape { .. })));
    assert_eq!(session.parameter_names().collect::<Vec<_>>(), ["w"]);
    assert_eq!(session.run(&[]).unwrap()[0].to_f64_vec(), [1.0; 4]);
}

#[test]
fn first_values_keep_their_bounds() {
    let g = Graph::new();
    let kaiming = g.parameter("kaiming", [100, 6, 5], Init::KaimingUniform);
    let session = Session::evaluate(&g, &[kaiming], &Device::cpu()).unwrap();
    let largest = session.parameter("kaiming").unwrap().to_f64_vec().iter().fold(0.0f64, |most, x| most.max(x.abs()));
    assert!((0.99..=1.0).contains(&largest), "{largest}");
}

#[test]
fn adam_corrects_its_bias_exactly_in_f64() {
    let g = Graph::new();
    let w = g.parameter_of("w", [], DType::F64, Init::Constant(1.0));
    let mut session = Session::train(&g, w * 2.0, Adam::new(0.1), Device::cpu()).unwrap();
    session.step(&[]).unwrap();
    // The first step is rate * g / (|g| + epsilon), whatever the betas.
    let expected = 1.0 - 0.1 * 2.0 / (2.0 + 1e-8);
    let found = session.parameter("w").unwrap().item().unwrap();
    assert!((found - expected).abs() < 1e-14, "{found} is not {expected}");
    session.set_learning_rate(0.0).unwrap();
    session.step(&[]).unwrap();
    assert_eq!(session.parameter("w").unwrap().item().unwrap(), found);
}

#[test]
fn sizes_at_the_limits_are_errors_and_not_panics() {
    assert!(matches!(Tensor::zeros([usize::MAX], DType::F32), Err(Error::OutOfMemory { .. })));
    let g = Graph::new();
    let huge = g.input("huge", [usize::MAX, 2, 0]);
    assert!(matches!(huge.check().map(|_| ()), Err(GraphError::TooManyElements { .. })));
    g.take_error();
    let x = g.input("x", [4, 4]);
    let sliced = x.slice_step(0, 1, 2, usize::MAX);
    let [gradient] = sliced.sum(..).grad([x]).unwrap();
    let mut session = Session::evaluate(&g, &[sliced, gradient], &Device::cpu()).unwrap();
    let results = session.run(&[("x", &Tensor::new([4, 4], vec![2.0f32; 16]).unwrap())]).unwrap();
    assert_eq!(results[0].to_f64_vec(), [2.0; 4]);
    assert_eq!(results[1].to_f64_vec().iter().sum::<f64>(), 4.0);
}

/// The step of a single window and the dilation of a single element lead nowhere, and may be any number.
#[test]
fn windows_with_steps_past_every_axis_are_what_they_show() {
    let g = Graph::new();
    let x = g.input("x", [2, 40]);
    let one = x.windows([1], [2], [usize::MAX / 2], [1]);
    let long = x.windows([1], [39], [usize::MAX / 2], [1]);
    let single = x.windows([0], [1], [1], [usize::MAX / 2]);
    let mut outputs = vec![one, long, single];
    for windows in [one, long, single] {
        outputs.extend(windows.sum(..).grad([x]).unwrap());
    }
    let given = Tensor::new([2, 40], (0..80).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let mut session = Session::evaluate(&g, &outputs, &Device::cpu()).unwrap();
    let found: Vec<Vec<f64>> = session.run(&[("x", &given)]).unwrap().iter().map(Tensor::to_f64_vec).collect();
    assert_eq!(found[0], [0.0, 1.0, 40.0, 41.0]);
    assert_eq!(found[1].iter().sum::<f64>(), found[2].iter().sum::<f64>() - 39.0 - 79.0);
    let shown = |place: usize, width: usize| f64::from(u8::from(place % 40 < width));
    for (gradient, width) in found[3..].iter().zip([2, 39, 40]) {
        assert_eq!(*gradient, (0..80).map(|place| shown(place, width)).collect::<Vec<_>>());
    }
}

/// Sixteen axes that do not continue one another, as one axis of a matrix, beside one that repeats them.
#[test]
fn products_over_as_many_axes_as_there_can_be() {
    let g = Graph::new();
    let x = g.input("x", [2; 16]);
    let reversed: Vec<isize> = (0..16).rev().collect();
    let rows = x.permute(&reversed).reshape([1 << 16, 1]).broadcast_to([3, 1 << 16, 1]);
    let product = rows.matmul(g.literal([1, 2], [1.0f32, 2.0]));
    let mut session = Session::evaluate(&g, &[product], &Device::cpu()).unwrap();
    let given = Tensor::new([2; 16], (0..1 << 16).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let found = session.run(&[("x", &given)]).unwrap()[0].to_f64_vec();
    for (place, pair) in found.chunks(2).enumerate() {
        let expected = f64::from((place as u16).reverse_bits());
        assert_eq!(pair, [expected, 2.0 * expected], "row {place}");
    }
}

#[test]
fn what_is_declared_is_not_inserted() {
    let g = Graph::new();
    let origin = arenagrad::graph::Origin::here();
    let inserted = g.insert(Op::Leaf(Leaf::Input { declaration: 9 }), None, None, origin);
    assert!(matches!(inserted, Err(GraphError::Undeclared { .. })));
}

#[test]
fn truth_values_are_0_or_1() {
    let t = Tensor::from_data([3].into(), Elements::Bool(vec![7, 1, 0].into())).unwrap();
    assert_eq!(t.to_f64_vec(), [1.0, 1.0, 0.0]);
}

#[test]
fn a_name_that_the_file_format_keeps_is_refused() {
    let g = Graph::new();
    let w = g.parameter("__metadata__", [1], Init::Constant(1.0));
    let session = Session::evaluate(&g, &[w], &Device::cpu()).unwrap();
    let path = std::env::temp_dir().join(format!("arenagrad-metadata-{}.safetensors", std::process::id()));
    assert!(matches!(session.save(&path), Err(Error::File { .. })));
    assert!(!path.exists());
}

#[test]
fn a_long_concatenation_does_not_cost_fused_updates() {
    let steps_with = |pieces: usize| {
        let g = Graph::new();
        let w = g.parameter("w", [3, 3], Init::Constant(1.0));
        let x = g.input("x", [3, 3]);
        let rows: Vec<Expr<'_>> = (0..pieces).map(|_| x).collect();
        let loss = g.concat(&rows, 0).matmul(w).sum(..);
        let session = Session::train(&g, loss, Adam::new(0.1), Device::cpu()).unwrap();
        session.plan().steps().len()
    };
    assert_eq!(steps_with(12), steps_with(2));
}
