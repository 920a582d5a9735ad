//! Vector-Jacobian and Jacobian-vector products, Jacobians, Hessians and Hessian-vector products on both devices, against
//! values that JAX 0.10 computed in f64.

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::run::numbers;
use arenagrad::{Context, DType, Device, Error, Expr, Function, Graph, GraphError, Mode, Session};

const W: [f64; 6] = [0.5, -1.0, 0.25, 1.5, 0.75, -0.5];
const X: [f64; 3] = [0.3, -0.7, 1.1];
const V: [f64; 3] = [1.0, -2.0, 0.5];
const U: [f64; 2] = [0.5, -1.5];

/// `tanh(w x) e^(x0, x1)`.
fn function<'g>(w: Expr<'g>, x: Expr<'g>) -> Expr<'g> {
    w.matmul(x).tanh() * x.slice(0, 0, 2).exp()
}

/// Every device with every float that it has, and the error that is allowed there.
fn each(test: impl Fn(&Device, DType, f64)) {
    test(&Device::cpu(), DType::F64, 1e-12);
    for device in devices() {
        test(&device, DType::F32, 3e-6);
    }
}

fn all_given() -> Given {
    given([("w", W.to_vec()), ("x", X.to_vec()), ("v", V.to_vec()), ("u", U.to_vec())])
}

fn assert_close(device: &Device, what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{device}: {what}");
    let scale = expected.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * scale, "{device}: {what}: {found}, not {expected}");
    }
}

#[test]
fn products_with_a_jacobian_are_those_of_jax() {
    each(|device, dtype, tolerance| {
        let g = Graph::new();
        let (w, x) = (g.input_of("w", [2, 3], dtype), g.input_of("x", [3], dtype));
        let (v, u) = (g.input_of("v", [3], dtype), g.input_of("u", [2], dtype));
        let f = function(w, x);
        let [by_w, by_x] = f.vjp(u, [w, x]).unwrap();
        let tangent = f.jvp([x], [v]).unwrap();
        let expected: [&[f64]; 4] = [
            &[1.0924421775925592, -0.27540607160549946],
            &[
                0.06986162761751712,
                -0.16301046444087325,
                0.2561593012642294,
                -0.15473032782554944,
                0.3610374315929487,
                -0.567344535360348,
            ],
            &[-0.11099450430227242, -0.20658880421401488, 0.3161019027238467],
            &[2.315020660899109, 0.4648508499745826],
        ];
        let found = numbers(&g, &[f, by_w, by_x, tangent], &all_given(), device);
        for ((what, found), expected) in ["f", "vjp by w", "vjp by x", "jvp by x"].iter().zip(&found).zip(expected) {
            assert_close(device, what, found, expected, tolerance);
        }
    });
}

#[test]
fn jacobians_by_either_mode_are_those_of_jax() {
    let by_x = [
        1.3253142696509497,
        -0.46574418411678076,
        0.11643604602919519,
        0.5157677594184982,
        -0.017522191896250372,
        -0.1719225864728327,
    ];
    let rows = [
        [0.13972325523503423, -0.3260209288817465, 0.5123186025284588],
        [0.10315355188369962, -0.24069162106196576, 0.378229690240232],
    ];
    let by_w = [&rows[0][..], &[0.0; 6], &rows[1][..]].concat();
    each(|device, dtype, tolerance| {
        let g = Graph::new();
        let (w, x) = (g.input_of("w", [2, 3], dtype), g.input_of("x", [3], dtype));
        let f = function(w, x);
        for mode in [None, Some(Mode::Reverse), Some(Mode::Forward)] {
            let jacobians = g.jacobians(f, &[w, x], mode).unwrap();
            assert_eq!(jacobians[0].shape().unwrap().dims(), [2, 2, 3]);
            assert_eq!(jacobians[1].shape().unwrap().dims(), [2, 3]);
            let found = numbers(&g, &jacobians, &all_given(), device);
            assert_close(device, "Jacobian by w", &found[0], &by_w, tolerance);
            assert_close(device, "Jacobian by x", &found[1], &by_x, tolerance);
        }
    });
}

#[test]
fn hessians_are_those_of_jax() {
    let gradient = [2.8898536633900536, -0.9055699018851365, 0.9684341053417954];
    let hessian = [
        6.765806817136622,
        -1.9955605377378842,
        0.16500172273989402,
        -1.9955605377378842,
        -1.3713023902611832,
        0.4194076002093664,
        0.16500172273989408,
        0.4194076002093664,
        0.16652618804949498,
    ];
    let product = [10.83942875398234, 0.9567480428891649, -0.5905503836540911];
    let softmax = [
        [0.0002411348690553039, -5.370076881425212e-05, -0.0001874341002411073],
        [-5.370076881425098e-05, -0.04326419731795823, 0.04331789808677248],
        [-0.0001874341002411074, 0.04331789808677248, -0.04313046398653139],
        [-0.11474144015351462, 0.08918850550231122, 0.025552934651203618],
        [0.08918850550231125, -0.1507251261677963, 0.061536620665485015],
        [0.025552934651203632, 0.06153662066548502, -0.08708955531668866],
    ];
    let softmax: Vec<f64> = (0..6)
        .flat_map(|row| if row < 3 { [softmax[row], [0.0; 3]] } else { [[0.0; 3], softmax[row]] })
        .flatten()
        .collect();
    each(|device, dtype, tolerance| {
        let g = Graph::new();
        let (w, x) = (g.input_of("w", [2, 3], dtype), g.input_of("x", [3], dtype));
        let v = g.input_of("v", [3], dtype);
        let s = function(w, x).square().sum(..) + x.logsumexp(..);
        let weights = g.literal([2], [1.0f32, 2.0]).cast(dtype);
        let c = (w.softmax(1).select_index(1, 0) * weights).sum(..);
        let outputs =
            [s.grad([x]).unwrap()[0], s.hessian(x).unwrap(), s.hvp([x], [v]).unwrap()[0], c.hessian(w).unwrap()];
        assert_eq!(outputs[3].shape().unwrap().dims(), [2, 3, 2, 3]);
        let found = numbers(&g, &outputs, &all_given(), device);
        assert_close(device, "gradient", &found[0], &gradient, tolerance);
        assert_close(device, "Hessian", &found[1], &hessian, tolerance);
        assert_close(device, "Hessian times v", &found[2], &product, tolerance);
        assert_close(device, "Hessian of a softmax", &found[3], &softmax, tolerance);
    });
}

/// What is not needed is not built: a Jacobian's plan does not grow with the number of its rows or columns.
#[test]
fn a_jacobian_is_one_batch_by_the_cheaper_mode() {
    let steps = |rows: usize, columns: usize| {
        let g = Graph::new();
        let (w, x) = (g.input("w", [rows, columns]), g.input("x", [columns]));
        let y = w.matmul(x).tanh();
        let jacobian = y.jacobian(x).unwrap();
        let session = Session::evaluate(&g, &[jacobian], &Device::cpu()).unwrap();
        let plan = session.plan();
        (plan.steps().len(), plan.buffers().iter().map(|buffer| buffer.elements).max().unwrap())
    };
    let (tall, tall_memory) = steps(500, 3);
    let (taller, _) = steps(1000, 3);
    let (wide, wide_memory) = steps(3, 500);
    assert_eq!(tall, taller);
    assert!(tall <= 6 && wide <= 6, "{tall} and {wide} steps");
    // The other mode would hold 500 rows of 500 tangents.
    assert!(tall_memory < 2000 && wide_memory < 2000, "{tall_memory} and {wide_memory} elements");
}

#[test]
fn extents_of_one_and_of_none() {
    for device in devices() {
        let g = Graph::new();
        let (x, y, none) = (g.input("x", []), g.input("y", [1, 3]), g.input("none", [0]));
        let given = given([("x", vec![2.0]), ("y", vec![1.0, 2.0, 3.0]), ("none", vec![])]);
        let shapes = |expr: Expr<'_>| expr.shape().unwrap().to_vec();
        let scalar = (x * x * x).jacobian(x).unwrap();
        let column = (y * x).jacobian(x).unwrap();
        let row = (y * x).sum(..).jacobian(y).unwrap();
        let second = (x * x * x).hessian(x).unwrap();
        let unused = (x * 2.0).jacobian(y).unwrap();
        let (empty_rows, empty_columns) = ((none * x).jacobian(x).unwrap(), (y * x).jacobian(none).unwrap());
        assert_eq!([scalar, column, row, second].map(shapes), [vec![], vec![1, 3], vec![1, 3], vec![]]);
        assert_eq!([unused, empty_rows, empty_columns].map(shapes), [vec![1, 3], vec![0], vec![1, 3, 0]]);
        let found = numbers(&g, &[scalar, column, row, second, unused, empty_rows, empty_columns], &given, &device);
        let expected: [&[f64]; 7] = [&[12.0], &[1.0, 2.0, 3.0], &[2.0, 2.0, 2.0], &[12.0], &[0.0; 3], &[], &[]];
        assert_eq!(found, expected);
    }
}

#[test]
fn mistakes_are_typed_errors() {
    let g = Graph::new();
    let (x, i) = (g.input("x", [3]), g.input_of("i", [3], DType::I32));
    let short = g.input("short", [2]);
    let is = |error: GraphError, text: &str| assert!(error.to_string().contains(text), "{error}");
    is(x.jacobian(i).unwrap_err(), "jacobian: \"i\" is i32, through which no gradient flows");
    is(x.jvp([x], [short]).unwrap_err(), "jvp: shapes differ: the input \"x\" is [3], its tangent \"short\" is [2]");
    is(g.jvp(&[x], &[x], &[]).unwrap_err(), "jvp: 1 inputs were given 0 tangents");
    is(x.hessian(x).unwrap_err(), "is not a scalar");
    let other = Graph::new();
    assert!(matches!(x.jvp([x], [other.input("y", [3])]), Err(GraphError::ForeignNode { .. })));
    assert_eq!(g.check(), Ok(()));
}

/// A function whose gradient is wrong in number or shape is refused when it is applied; a placeholder that a backward pass
/// gave away cannot be run.
#[test]
fn functions_that_are_wrong_are_refused() {
    use std::cell::RefCell;

    struct Wrong(u8);
    impl Function for Wrong {
        fn name(&self) -> &'static str {
            "wrong"
        }
        fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
            operands[0] * 2.0
        }
        fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
            match self.0 {
                0 => vec![],
                1 => vec![Some(upstream.sum(..))],
                _ => vec![Some(upstream.cast(DType::F64))],
            }
        }
    }
    for (kind, text) in [
        (0, "the backward pass of \"wrong\" gave 0 gradients for 1 operands"),
        (
            1,
            "custom_gradient: gradient 0 that the backward pass of \"wrong\" gave is f32[], but its operand \"x\" is f32[3]",
        ),
        (2, "gave is f64[3], but its operand \"x\" is f32[3]"),
    ] {
        let g = Graph::new();
        let x = g.input("x", [3]);
        let line = line!() + 1;
        let error = g.apply(&Wrong(kind), &[x]).check().unwrap_err().to_string();
        assert!(error.starts_with(&format!("crates/runtime/tests/jacobians.rs:{line}: ")), "{error}");
        assert!(error.contains(text), "{error}");
    }

    struct Leaking<'a>(&'a RefCell<Option<arenagrad::NodeId>>);
    impl Function for Leaking<'_> {
        fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
            operands[0] * 2.0
        }
        fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
            *self.0.borrow_mut() = upstream.id().ok();
            vec![Some(upstream * 2.0)]
        }
    }
    let (g, leaked) = (Graph::new(), RefCell::new(None));
    let x = g.input("x", [3]);
    let y = g.apply(&Leaking(&leaked), &[x]);
    let placeholder = g.expr(leaked.into_inner().unwrap());
    let refused = Session::evaluate(&g, &[y, placeholder], &Device::cpu()).err();
    assert!(matches!(refused, Some(Error::Graph(GraphError::Placeholder { .. }))), "{refused:?}");
    assert!(Session::evaluate(&g, &[y], &Device::cpu()).is_ok());
}

/// `factor x`.
struct Scale(f64);

impl Function for Scale {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0] * self.0
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * self.0)]
    }
}

/// `x^2`, whose backward pass applies a function to the upstream gradient.
struct Square;

impl Function for Square {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        operands[0] * operands[0]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(context.graph().apply(&Scale(2.0), &[upstream * context.saved()[0]]))]
    }
}

/// `x^4`, which applies functions in both passes.
struct Fourth;

impl Function for Fourth {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        let square = context.graph().apply(&Square, operands);
        context.graph().apply(&Square, &[square])
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let x = context.saved()[0];
        let square = context.graph().apply(&Square, &[x]);
        vec![Some(context.graph().apply(&Scale(4.0), &[square * x * upstream]))]
    }
}

/// Functions within functions, to the third derivative by each order of modes, beside the same without functions.
#[test]
fn functions_within_functions_differentiate_as_often_as_others() {
    const MODES: [Mode; 2] = [Mode::Forward, Mode::Reverse];
    let g = Graph::new();
    let x = g.input_of("x", [3], DType::F64);
    let plain = x.square().square().sin() * x;
    let own = g.apply(&Fourth, &[x]).sin() * x;
    let jacobian = |of: Expr<'_>, mode| g.jacobians(g.expr(of.id().unwrap()), &[x], Some(mode)).unwrap()[0];
    let mut pairs = vec![];
    for first in MODES {
        let once = [own, plain].map(|f| jacobian(f, first));
        pairs.push((format!("{first:?}"), once));
        pairs.push((format!("{first:?}, gradient"), once.map(|j| j.square().sum(..).grad([x]).unwrap()[0])));
        for second in MODES {
            let twice = once.map(|j| jacobian(j, second));
            pairs.push((format!("{first:?}, {second:?}"), twice));
            for third in MODES {
                pairs.push((format!("{first:?}, {second:?}, {third:?}"), twice.map(|j| jacobian(j, third))));
            }
        }
    }
    pairs.push(("hessian".to_owned(), [own, plain].map(|f| f.sum(..).hessian(x).unwrap())));
    let given = given([("x", vec![0.7, -0.4, 1.1])]);
    for (what, pair) in pairs {
        let found = numbers(&g, &pair, &given, &Device::cpu());
        assert_close(&Device::cpu(), &what, &found[0], &found[1], 1e-12);
    }
}

/// `x[i] + b`, with a gradient of its own that is ten times the true one of `x`, and none of the others.
struct Pick;

impl Function for Pick {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0].gather(0, operands[1]) + operands[2]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let zeros = context.graph().zeros([3], DType::F64);
        vec![Some(zeros.scatter_add(0, context.operands()[1], upstream) * 10.0), None, None]
    }
}

/// The identity, with the gradient reversed.
struct Reversed;

impl Function for Reversed {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0]
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(-upstream)]
    }
}

#[test]
fn functions_of_integers_of_unused_operands_and_of_themselves() {
    let g = Graph::new();
    let (x, b) = (g.input_of("x", [3], DType::F64), g.input_of("b", [2], DType::F64));
    let indices = g.input_of("i", [2], DType::I32);
    let picked = g.apply(&Pick, &[x.square(), indices, b]);
    let reversed = g.apply(&Reversed, &[x]);
    let given = given([("x", vec![1.0, 2.0, 3.0]), ("b", vec![0.5, 0.5]), ("i", vec![2.0, 0.0])]);
    for mode in [Mode::Forward, Mode::Reverse] {
        let jacobians = g.jacobians(picked, &[x, b], Some(mode)).unwrap();
        let outputs = [jacobians[0], jacobians[1], g.jacobians(reversed, &[x], Some(mode)).unwrap()[0]];
        let found = numbers(&g, &outputs, &given, &Device::cpu());
        assert_eq!(found[0], [0.0, 0.0, 60.0, 20.0, 0.0, 0.0], "{mode:?}");
        assert_eq!(found[1], [0.0; 4], "{mode:?}");
        assert_eq!(found[2], [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0], "{mode:?}");
    }
}
