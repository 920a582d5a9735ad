//! Numerical gradients, gradcheck and gradgradcheck, and the parity of devices.

use crate::suite::devices::{devices, gpu};
use crate::suite::random::Random;
use arenagrad::check::{
    Adjoint, CheckError, DifferenceScheme, Differences, GradCheck, Order, Parity, adjoint, gradcheck, gradgradcheck,
    parity,
};
use arenagrad::graph::StorageType;
use arenagrad::{
    Context, DType, Device, Error, Expr, Function as CustomFunction, Gelu, Graph, Init, Mode, Reduction, Tensor,
};

fn tensor(shape: &[usize], elements: &[f64]) -> Tensor {
    Tensor::new(shape, elements.to_vec()).unwrap()
}

/// Elements between the bounds, away from multiples of one half.
fn spread(random: &mut Random, shape: &[usize], low: f64, high: f64) -> Tensor {
    tensor(shape, &random.spread(shape.iter().product(), low, high))
}

#[test]
fn numerical_gradients_of_closures() {
    // sum of squares and a product: 2 x0 + x1 x2, ...
    let f = |x: &[f64]| x[0] * x[0] + x[0] * x[1] * x[2];
    let exact = [2.0 * 1.5 + -2.0 * 0.5, 1.5 * 0.5, 1.5 * -2.0];
    for (differences, tolerance) in [(Differences::central(), 1e-9), (Differences::forward(), 1e-6)] {
        let mut calls = 0;
        let count = |x: &[f64]| {
            calls += 1;
            f(x)
        };
        let gradient = differences.gradient(count, &[1.5, -2.0, 0.5]).unwrap();
        for (slope, exact) in gradient.iter().zip(exact) {
            assert!((slope - exact).abs() < tolerance, "{differences:?}: {gradient:?}");
        }
        assert_eq!(calls, if differences.scheme() == DifferenceScheme::Central { 6 } else { 4 });
    }
    assert_eq!(Differences::central().gradient(|_| 1.0, &[]), Ok(vec![]));
    // At a kink the central slope is the mean of both sides, the forward slope that of the right.
    assert_eq!(Differences::central().gradient(|x| x[0].abs(), &[0.0]), Ok(vec![0.0]));
    assert_eq!(Differences::forward().gradient(|x| x[0].abs(), &[0.0]), Ok(vec![1.0]));
}

#[test]
fn every_step_is_shown() {
    let mut seen = Vec::new();
    let f = |x: &[f64]| x[0] * x[1];
    Differences::central()
        .step(0.25)
        .gradient_observed(f, &[2.0, 3.0], |step| {
            seen.push((step.element, step.old, step.lower.at, step.upper.at, step.difference(0), step.slopes[0]));
            assert_eq!((step.input, step.index, step.difference(1)), ("x", &[step.element][..], None));
        })
        .unwrap();
    assert_eq!(seen, [(0, 2.0, 1.75, 2.25, Some(1.5), 3.0), (1, 3.0, 2.75, 3.25, Some(1.0), 2.0)]);
}

/// What a run holds narrower than its dtype moves as far as it holds.
#[test]
fn elements_that_are_held_narrower_move_as_far_as_they_are_held() {
    for storage in [StorageType::Bf16, StorageType::F16, StorageType::F32] {
        let g = Graph::new();
        let w = g.parameter_of("w", [2], storage, Init::Values(vec![4.0, 1.0]));
        let x = g.input_of("x", [2], storage);
        let y = (w * w + x * 3.0).sum(..);
        // Halfway between two numbers of bf16.
        let x_value = Tensor::new([2], vec![2.0f32, 1.0 + 1.0 / 512.0]).unwrap();
        for differences in [Differences::central(), Differences::forward()] {
            let slopes = |step: f64| {
                let mut exact = true;
                let observe = |probe: &arenagrad::check::Probe<'_>| {
                    let held = |at: f64| Tensor::scalar(at).cast(storage).item() == Ok(at);
                    exact &= held(probe.old) && held(probe.lower.at) && held(probe.upper.at);
                };
                let differences = differences.step(step);
                let jacobians =
                    differences.jacobian_observed(y, &["w", "x"], &[("x", &x_value)], &Device::cpu(), observe);
                jacobians.map(|jacobians| (exact, jacobians.iter().flat_map(Tensor::to_f64_vec).collect::<Vec<_>>()))
            };
            let beyond = if differences.scheme() == DifferenceScheme::Central { 0.0 } else { 0.25 };
            let (is_exact, found) = slopes(0.25).unwrap();
            // The sum is in f32.
            let expected = [8.0 + beyond, 2.0 + beyond, 3.0, 3.0];
            let near = found.iter().zip(expected).all(|(slope, expected)| (slope - expected).abs() < 1e-2);
            assert!(is_exact && near, "{storage}: {found:?}");
            let vanishes = slopes(1e-4);
            let is_coarse = storage != StorageType::F32;
            let is_told = matches!(vanishes, Err(Error::Check(CheckError::StepVanishes { .. })));
            assert_eq!(is_told, is_coarse, "{storage}: {vanishes:?}");
        }
    }
}

#[test]
fn steps_that_cannot_be_made_are_errors() {
    for step in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = Differences::central().step(step).gradient(|x| x[0], &[1.0]).unwrap_err();
        assert!(matches!(refused, CheckError::Step { .. }), "{refused}");
    }
    let vanishes = Differences::central().step(1e-9).gradient(|x| x[0], &[1.0, 1e9]).unwrap_err();
    assert_eq!(vanishes.to_string(), "x[1] is 1000000000, which a step of 1e-9 does not change");
    // A function's own error ends the sweep and comes out.
    let failing = |x: &[f64]| if x[1] > 2.0 { Err(Error::NotTraining) } else { Ok(x[0]) };
    assert_eq!(Differences::central().try_gradient(failing, &[1.0, 2.0], |_| {}), Err(Error::NotTraining));
}

#[test]
fn numerical_jacobians_of_graphs_on_every_device() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let w = g.parameter("w", [2, 3], Init::Values(vec![1.0, -2.0, 0.5, 0.25, 1.0, 3.0]));
    let y = x.unsqueeze(0).matmul(w).squeeze(0).tanh();
    let at = Tensor::new([2], vec![0.5f32, -0.25]).unwrap();
    for device in devices() {
        let mut steps = 0;
        let jacobians = Differences::central()
            .jacobian_observed(y, &["x", "w"], &[("x", &at)], &device, |step| {
                steps += 1;
                assert_eq!(step.slopes.len(), 3);
            })
            .unwrap();
        assert_eq!(steps, 2 + 6, "{device}");
        let w: [[f64; 3]; 2] = [[1.0, -2.0, 0.5], [0.25, 1.0, 3.0]];
        let outer = |k: usize| 1.0 - (0.5 * w[0][k] - 0.25 * w[1][k]).tanh().powi(2);
        let (by_x, by_w) = (jacobians[0].to_f64_vec(), jacobians[1].to_f64_vec());
        assert_eq!((jacobians[0].shape().dims(), jacobians[1].shape().dims()), (&[3, 2][..], &[3, 2, 3][..]));
        for k in 0..3 {
            for i in 0..2 {
                // f32: four digits.
                assert!((by_x[k * 2 + i] - outer(k) * w[i][k]).abs() < 1e-3, "{device}: {by_x:?}");
                for j in 0..3 {
                    let exact = if j == k { outer(k) * [0.5, -0.25][i] } else { 0.0 };
                    assert!((by_w[k * 6 + i * 3 + j] - exact).abs() < 1e-3, "{device}: {by_w:?}");
                }
            }
        }
    }
}

#[test]
fn values_by_name_are_checked() {
    let g = Graph::new();
    let (x, labels) = (g.input("x", [2]), g.input_of("labels", [2], DType::I32));
    let y = x * labels.cast(DType::F32);
    let (at, ones) = (tensor(&[2], &[1.0, 2.0]), Tensor::new([2], vec![1, 1]).unwrap());
    let jacobian = |wrt: &[&str], values: &[(&str, &Tensor)]| {
        Differences::central().jacobian(y, wrt, values, &Device::cpu()).unwrap_err().to_string()
    };
    let both = [("x", &at), ("labels", &ones)];
    assert_eq!(
        jacobian(&["z"], &both),
        r#""z" is neither an input nor a parameter of the graph, which has "x", "labels""#
    );
    assert_eq!(jacobian(&["labels"], &both), r#""labels" holds i32, by which nothing can be differentiated"#);
    assert_eq!(jacobian(&["x"], &[("labels", &ones)]), r#"no value was given for "x""#);
    assert!(jacobian(&["x"], &[("x", &at)]).starts_with(r#"input "labels" ([2], declared at"#));
    assert_eq!(jacobian(&["x"], &[("x", &at), ("x", &at)]), r#"input "x" was given twice"#);
    let long = tensor(&[3], &[1.0, 2.0, 3.0]);
    assert!(jacobian(&["x"], &[("x", &long), ("labels", &ones)]).contains("was declared [2]"));
    let wrong = jacobian(&["x"], &[("x", &at), ("labels", &at)]);
    assert!(wrong.contains("was declared i32"), "{wrong}");
}

type Function = for<'g> fn(&[Expr<'g>]) -> Expr<'g>;

#[test]
fn right_gradients_pass_to_second_order() {
    let mut random = Random(11);
    let mut make = |shape: &[usize]| spread(&mut random, shape, -2.0, 2.0);
    let cases: Vec<(&str, Function, Vec<Tensor>)> = vec![
        ("product", |x| x[0] * x[1], vec![make(&[2, 3]), make(&[3])]),
        ("matmul", |x| x[0].matmul(x[1]).tanh(), vec![make(&[2, 3]), make(&[3, 2])]),
        ("softmax", |x| x[0].softmax(-1), vec![make(&[2, 4])]),
        ("gelu", |x| x[0].gelu(Gelu::Tanh), vec![make(&[5])]),
        ("layer norm", |x| x[0].layer_norm(-1, Some(x[1]), Some(x[2]), 1e-5), {
            vec![make(&[2, 5]), make(&[5]), make(&[5])]
        }),
        ("huber", |x| x[0].huber_loss(x[1], 1.0, Reduction::Mean), vec![make(&[4]), make(&[4])]),
        ("reductions", |x| x[0].max(0) * x[0].sum(0) + x[0].min(0).square(), vec![make(&[3, 2])]),
        ("views", |x| x[0].pad([(1, 0), (0, 1)], 0.5).slice(1, 0, 3).t().square(), vec![make(&[2, 3])]),
    ];
    for (name, function, inputs) in &cases {
        let first = gradcheck(function, inputs).unwrap();
        assert!(first.passed(), "{name}: {first}");
        let second = gradgradcheck(function, inputs).unwrap();
        assert!(second.passed(), "{name}: {second}");
        assert_eq!((first.order, second.order), (Order::First, Order::Second));
        let forward = GradCheck::new().mode(Mode::Forward);
        for report in [forward.clone(), forward.second()].map(|check| check.function(function, inputs).unwrap()) {
            assert!(report.passed(), "{name}, forward mode: {report}");
        }
        let both = adjoint(function, inputs).unwrap();
        assert!(both.passed(), "{name}: {both}");
        // Far below what passes: the tolerance is PyTorch's, the engine is better.
        for report in [first, second] {
            let worst = report.worst.unwrap();
            assert!(worst.difference < 1e-7 * (1.0 + worst.numerical.abs()), "{name}: {worst}");
        }
    }
}

#[test]
fn a_check_by_what_flows_alone_passes_beside_stop_gradient() {
    let g = Graph::new();
    let [a, b] = ["a", "b"].map(|name| g.input_of(name, [2], DType::F64));
    let (at_a, at_b) = (tensor(&[2], &[0.5, 1.5]), tensor(&[2], &[-1.0, 2.0]));
    let y = a.stop_gradient() * b;
    let values = [("a", &at_a), ("b", &at_b)];
    assert!(GradCheck::new().graph(&g, &[y], &["b"], &values).unwrap().passed());
    assert!(!GradCheck::new().graph(&g, &[y], &["a"], &values).unwrap().passed());
}

#[test]
fn labels_are_passed_on_and_f32_is_checked_in_f64() {
    let x = Tensor::new([2, 3], vec![0.3f32, -0.2, 0.9, 1.4, 0.0, -1.0]).unwrap();
    let labels = Tensor::new([2], vec![2, 0]).unwrap();
    let loss: Function = |x| x[0].cross_entropy(x[1]);
    let inputs = [x, labels];
    let report = gradcheck(loss, &inputs).unwrap();
    assert!(report.passed() && report.compared == 6, "{report}");
    assert!(report.worst.as_ref().unwrap().difference < 1e-8, "{report}");
    assert_eq!(report.jacobians[0].analytic.dtype(), DType::F64);
    assert!(gradgradcheck(loss, &inputs).unwrap().passed());
    assert_eq!(gradcheck(|x: &[Expr]| x[0].cast(DType::F32), &inputs[1..]), Err(CheckError::NothingToCheck.into()));
}

#[test]
fn several_outputs_of_any_shape_have_one_jacobian_each() {
    let inputs = [tensor(&[2], &[0.5, -1.5]), tensor(&[], &[2.5])];
    let report = GradCheck::new().functions(|x| vec![x[0] * x[1], (x[0] * x[0]).sum(..)], &inputs).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.compared, 2 * 2 + 2 + 2 + 1);
    let of = |output: usize, input: usize| report.jacobians[output * 2 + input].analytic.to_f64_vec();
    assert_eq!(of(0, 0), [2.5, 0.0, 0.0, 2.5]);
    assert_eq!(of(0, 1), [0.5, -1.5]);
    assert_eq!(of(1, 0), [1.0, -3.0]);
    assert_eq!(of(1, 1), [0.0]);
}

#[test]
fn wrong_gradients_are_caught_and_the_worst_element_is_named() {
    // Only one path of x0[1] loses its gradient: d/dx0[1] of (x0 x1 + 3 x0[1]) is x1[1] instead of x1[1] + 3.
    let wrong: Function = |x| {
        let mask = x[0].graph().literal([2], [0.0, 3.0]);
        (x[0] * x[1] + (x[0] * mask).stop_gradient()).named("y")
    };
    let inputs = [tensor(&[2], &[0.5, -1.5]), tensor(&[2], &[2.0, 4.0])];
    let report = gradcheck(wrong, &inputs).unwrap();
    assert!(!report.passed());
    assert_eq!((report.failed, report.compared), (1, 8));
    let worst = report.worst.clone().unwrap();
    assert_eq!((worst.output.as_str(), worst.output_index), ("y", vec![1]));
    assert_eq!((worst.input.as_str(), worst.input_index), ("x0", vec![1]));
    assert_eq!(worst.analytic, 4.0);
    assert!((worst.numerical - 7.0).abs() < 1e-6 && (worst.difference - 3.0).abs() < 1e-6);
    assert!(report.to_string().starts_with("gradcheck failed: 1 of 8 derivatives differ, worst d y[1] / d x0[1]: "));
    let error = report.into_result().unwrap_err();
    assert!(matches!(&error, Error::Check(CheckError::Gradient { failed: 1, compared: 8, .. })), "{error}");

    // A second derivative that is lost while the first is right.
    let wrong: Function =
        |x| (x[0] - x[0].stop_gradient()) * x[0].stop_gradient() * 2.0 + (x[0] * x[0]).stop_gradient();
    let inputs = [tensor(&[1], &[1.5])];
    let first = gradcheck(wrong, &inputs).unwrap();
    assert!(first.passed(), "{first}");
    let second = gradgradcheck(wrong, &inputs).unwrap();
    assert!(!second.passed(), "{second}");
    assert_eq!(second.worst.as_ref().unwrap().output, "gradient by x0");
}

#[test]
fn kinks_and_values_that_are_not_numbers_fail() {
    // The engine says 0 at a kink of relu, differences say one half.
    let report = gradcheck(|x: &[Expr]| x[0].relu(), &[tensor(&[3], &[-1.0, 0.0, 1.0])]).unwrap();
    assert_eq!(report.failed, 1);
    let worst = report.worst.unwrap();
    assert_eq!((worst.input_index, worst.analytic, worst.numerical), (vec![1], 0.0, 0.5));

    let report = gradcheck(|x: &[Expr]| x[0].log(), &[tensor(&[2], &[1.0, -1.0])]).unwrap();
    assert!(!report.passed());
    assert!(report.worst.as_ref().unwrap().difference.is_nan(), "{report}");
    assert_eq!(report.worst.unwrap().output_index, [1]);
}

#[test]
fn settings_of_a_check() {
    let cube: Function = |x| x[0] * x[0] * x[0];
    let inputs = [tensor(&[1], &[1.0])];
    // A step of 0.1 makes an error of 0.01 = h² f''' / 6.
    let coarse = GradCheck::new().differences(Differences::central().step(0.1));
    assert!(!coarse.clone().function(cube, &inputs).unwrap().passed());
    assert!(coarse.clone().tolerances(0.02, 0.0).function(cube, &inputs).unwrap().passed());
    assert!(coarse.tolerances(0.0, 0.01).function(cube, &inputs).unwrap().passed());
    for (absolute, relative) in [(-1.0, 0.0), (0.0, f64::NAN), (f64::INFINITY, 0.0)] {
        let refused = GradCheck::new().tolerances(absolute, relative).function(cube, &inputs).unwrap_err();
        assert!(matches!(refused, Error::Check(CheckError::Tolerance { .. })), "{refused}");
    }
    let report = GradCheck::new().tolerances(0.0, 0.0).function(|x| x[0] * 2.0, &[tensor(&[1], &[1.0])]).unwrap();
    assert_eq!(report.compared, 1);
}

#[test]
fn a_graph_is_checked_by_all_that_it_trains_and_left_as_it_was() {
    let g = Graph::new();
    let x = g.input("x", [4, 3]);
    let labels = g.input_of("labels", [4], DType::I32);
    let w = g.parameter("w", [3, 2], Init::XavierUniform);
    let b = g.parameter("b", [2], Init::Constant(0.1));
    let momentum = g.state("momentum", [2], DType::F32, Init::Constant(0.5));
    let unused = g.parameter("unused", [7], Init::Constant(0.0));
    let loss = ((x.matmul(w) + b) * momentum).cross_entropy(labels).named("loss");
    let nodes = g.len();
    let mut random = Random(3);
    let x = spread(&mut random, &[4, 3], -1.0, 1.0).cast(DType::F32);
    let labels = Tensor::new([4], vec![0, 1, 1, 0]).unwrap();
    let values = [("x", &x), ("labels", &labels)];
    let report = GradCheck::new().graph(&g, &[loss], &[], &values).unwrap();
    assert!(report.passed(), "{report}");
    let inputs: Vec<_> = report.jacobians.iter().map(|pair| pair.input.as_str()).collect();
    assert_eq!(inputs, ["x", "w", "b"]);
    assert_eq!(report.jacobians[0].output, "loss");
    let seeded = GradCheck::new().seed(9).second().graph(&g, &[loss], &["w", "b"], &values).unwrap();
    assert!(seeded.passed(), "{seeded}");
    assert_eq!(g.len(), nodes);
    assert!(g.check().is_ok() && unused.check().is_ok());
    // The parameter that is not needed has derivatives too: zeros.
    let report = GradCheck::new().graph(&g, &[loss], &["unused"], &values).unwrap();
    assert!(report.passed() && report.compared == 7);
}

#[test]
fn mistakes_in_the_function_come_out() {
    let inputs = [tensor(&[2], &[1.0, 2.0]), tensor(&[3], &[1.0, 2.0, 3.0])];
    assert!(matches!(gradcheck(|x: &[Expr]| x[0] + x[1], &inputs), Err(Error::Graph(_))));
    assert!(matches!(gradcheck(|x: &[Expr]| x[0].less(1.0), &inputs), Err(Error::Graph(_))));
}

#[test]
fn devices_agree_node_by_node() {
    let g = Graph::new();
    let x = g.input("x", [8, 6]);
    let labels = g.input_of("labels", [8], DType::I32);
    let w = g.parameter("w", [6, 5], Init::KaimingUniform);
    let hidden = x.matmul(w).relu();
    let loss = hidden.cross_entropy(labels);
    let [slope] = loss.grad([w]).unwrap();
    let x = spread(&mut Random(5), &[8, 6], -1.0, 1.0).cast(DType::F32);
    let labels = Tensor::new([8], vec![0, 1, 2, 3, 4, 0, 1, 2]).unwrap();
    let values = [("x", &x), ("labels", &labels)];
    let cpu = Device::cpu();
    let report = parity(&g, &[loss, slope], &values, [&cpu, &cpu]).unwrap();
    assert!(report.agrees() && report.nodes > 15 && report.largest == 0.0, "{report}");
    if let Some(gpu) = gpu() {
        let report = parity(&g, &[loss, slope], &values, [&cpu, &gpu]).unwrap();
        assert!(report.agrees(), "{report}");
        // With no tolerance the first node that rounds otherwise is named, and it is a node of this graph.
        let strict = Parity::new().tolerances(0.0, 0.0).compare(&g, &[loss, slope], &values, [&cpu, &gpu]).unwrap();
        if let Some(first) = strict.first.clone() {
            assert!(g.node(first.node).is_ok());
            assert!(first.origin.contains("check.rs:"), "{first}");
            assert!(matches!(strict.into_result(), Err(Error::Check(CheckError::Parity(_)))));
        }
    }
}

#[test]
fn both_modes_give_the_same_jacobians() {
    let function: Function = |x| (x[0].matmul(x[1]).sin() * x[2]).sum(0);
    let mut random = Random(21);
    let inputs = [[2, 3].as_slice(), &[3, 4], &[4]].map(|shape| spread(&mut random, shape, -1.0, 1.0));
    let reverse = gradcheck(function, &inputs).unwrap();
    let forward = GradCheck::new().mode(Mode::Forward).function(function, &inputs).unwrap();
    assert_eq!(reverse.jacobians.len(), forward.jacobians.len());
    for (reverse, forward) in reverse.jacobians.iter().zip(&forward.jacobians) {
        assert_eq!(reverse.analytic.shape(), forward.analytic.shape());
        for (a, b) in reverse.analytic.to_f64_vec().iter().zip(forward.analytic.to_f64_vec()) {
            assert!((a - b).abs() < 1e-14, "{} by {}: {a} and {b}", reverse.output, reverse.input);
        }
    }
}

/// The sine, with a gradient by hand that is right or not.
struct Sine {
    factor: f64,
}

impl CustomFunction for Sine {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        operands[0].sin()
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * context.saved()[0].cos() * self.factor)]
    }
}

fn sine<'g>(x: &[Expr<'g>], factor: f64) -> Expr<'g> {
    x[0].graph().apply(&Sine { factor }, &x[..1])
}

#[test]
fn gradients_by_hand_are_checked_in_both_modes() {
    for dtype in [DType::F32, DType::F64] {
        let inputs = [tensor(&[3], &[0.5, -1.25, 2.0]).cast(dtype)];
        for mode in [Mode::Reverse, Mode::Forward] {
            let check = GradCheck::new().mode(mode);
            let report = check.function(|x| sine(x, 1.0), &inputs).unwrap();
            assert!(report.passed(), "{mode:?}, {dtype}: {report}");
            let report = check.clone().second().function(|x| sine(x, 1.0), &inputs).unwrap();
            assert!(report.passed(), "{mode:?}, {dtype}: {report}");
            let report = check.function(|x| sine(x, 1.01), &inputs).unwrap();
            assert_eq!(report.failed, 3, "{mode:?}, {dtype}: {report}");
        }
    }
    // Both modes come from the one rule, so the adjoint test cannot see that the rule is wrong: gradcheck is for that.
    assert!(adjoint(|x: &[Expr]| sine(x, 1.01), &[tensor(&[2], &[0.5, 1.0])]).unwrap().passed());
}

#[test]
fn adjoints_of_graphs() {
    let g = Graph::new();
    let x = g.input("x", [4, 3]);
    let w = g.parameter("w", [3, 2], Init::XavierUniform);
    let hidden = x.matmul(w).tanh();
    let at = spread(&mut Random(8), &[4, 3], -1.0, 1.0).cast(DType::F32);
    for seed in 0..5 {
        let report = Adjoint::new().seed(seed).graph(&g, &[hidden, hidden.sum(..)], &[], &[("x", &at)]).unwrap();
        assert!(report.passed() && report.forward != 0.0, "{report}");
    }
    let refused = Adjoint::new().tolerance(-1.0).graph(&g, &[hidden], &[], &[("x", &at)]).unwrap_err();
    assert!(matches!(refused, Error::Check(CheckError::Tolerance { .. })), "{refused}");
    // With values that are not numbers the two cannot agree, and the error says so.
    let failed = adjoint(|x: &[Expr]| x[0].log(), &[tensor(&[1], &[f64::NAN])]).unwrap();
    assert!(!failed.passed());
    let error = failed.into_result().unwrap_err();
    assert!(error.to_string().starts_with("adjoint test failed: "), "{error}");
}

#[test]
fn parity_passes_over_gradients_by_hand() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let y = g.apply(&Sine { factor: 1.0 }, &[x]).sum(..);
    let [slope] = y.grad([x]).unwrap();
    let at = Tensor::new([3], vec![0.5f32, 1.0, -2.0]).unwrap();
    let cpu = Device::cpu();
    for device in devices() {
        let report = parity(&g, &[y, slope], &[("x", &at)], [&cpu, &device]).unwrap();
        assert!(report.agrees() && report.nodes > 2, "{report}");
    }
}

/// A random smooth function of two tensors of shape `[2, 3]`, whose values stay small.
fn random_expression<'g>(random: &mut Random, x: &[Expr<'g>]) -> Expr<'g> {
    let mut pool = vec![x[0], x[1]];
    for _ in 0..8 {
        let (a, b) = (*random.pick(&pool), *random.pick(&pool));
        pool.push(match random.below(9) {
            0 => a + b * 0.5,
            1 => a * b.tanh(),
            2 => (a - b).sin(),
            3 => a.sigmoid() * b.cos(),
            4 => a / (b.square() + 1.0),
            5 => (a.square() + 1.0).sqrt() - b,
            6 => a.softmax(-1) * 2.0,
            7 => a.matmul(b.t()).tanh().matmul(a),
            _ => (a.square() * -0.5).exp() + b.mean_keepdims(0),
        });
    }
    pool[pool.len() - 1].tanh()
}

#[test]
fn random_expressions_pass_and_a_gradient_spoilt_anywhere_is_found() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let inputs = [(); 2].map(|()| spread(&mut random, &[2, 3], -1.5, 1.5));
        let draws = random.bits();
        for mode in [Mode::Reverse, Mode::Forward] {
            let check = GradCheck::new().mode(mode);
            let report = check.function(|x| random_expression(&mut Random(draws), x), &inputs).unwrap();
            assert!(report.passed(), "{seed}, {mode:?}: {report}");
            let report = check.second().function(|x| random_expression(&mut Random(draws), x), &inputs).unwrap();
            assert!(report.passed(), "{seed}, {mode:?}: {report}");
        }
        let both = adjoint(|x: &[Expr]| random_expression(&mut Random(draws), x), &inputs).unwrap();
        assert!(both.passed(), "{seed}: {both}");

        // One element of one input has a second way to one output, through which the gradient does not flow.
        let (output, input, number) = (random.below(6), random.below(6), random.below(2));
        let one_hot = |place: usize| -> Vec<f64> { (0..6).map(|i| f64::from(u8::from(i == place))).collect() };
        let (at_output, at_input) = (one_hot(output), one_hot(input));
        let spoilt = GradCheck::new()
            .function(
                |x| {
                    let g = x[0].graph();
                    let lost = (x[number] * g.literal([2, 3], at_input.clone())).sum(..) * 3.0;
                    let spilt = lost.stop_gradient() * g.literal([2, 3], at_output.clone());
                    random_expression(&mut Random(draws), x) + spilt
                },
                &inputs,
            )
            .unwrap();
        assert_eq!((spoilt.failed, spoilt.compared), (1, 72), "{seed}: {spoilt}");
        let worst = spoilt.worst.unwrap();
        assert_eq!(worst.output_index, [output / 3, output % 3], "{seed}");
        assert_eq!((worst.input, worst.input_index), (format!("x{number}"), vec![input / 3, input % 3]), "{seed}");
        assert!((worst.difference - 3.0).abs() < 1e-6, "{seed}");
    }
}
