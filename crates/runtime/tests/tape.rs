//! Define-by-run: the numbers of the literature's exercises, what is refused, and what is given back.

use crate::suite::devices::devices;
use crate::suite::random::Random;
use arenagrad::{
    Adam, Context, DType, Device, Error, Expr, Function, GradientTape, Graph, GraphError, Init, Session, Sgd, Tape,
    TapeOptimizer, Tensor, Variable,
};

fn gradients(variables: &[&Variable]) -> Vec<f64> {
    variables.iter().map(|variable| variable.grad().unwrap().item().unwrap()).collect()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f64_vec()
}

/// a = 1, b = 2, c = a + b, d = c + a.
#[test]
fn the_exercise_of_a_tensor_class() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let (a, b) = (tape.leaf(1.0).requires_grad(), tape.leaf(2.0).requires_grad());
        let c = &a + &b;
        let d = &c + &a;
        assert_eq!((c.item().unwrap(), d.item().unwrap()), (3.0, 4.0));
        assert_eq!([&a, &b, &c, &d].map(Variable::consumers), [2, 1, 1, 0]);
        assert_eq!([&a, &b, &c, &d].map(Variable::grad_fn), [None, None, Some("add"), Some("add")]);
        assert_eq!([&a, &c].map(Variable::is_leaf), [true, false]);
        d.backward().unwrap();
        assert_eq!(gradients(&[&d, &c, &b, &a]), [1.0, 1.0, 1.0, 2.0], "{device}");
        let error = d.backward().unwrap_err();
        assert!(matches!(error, Error::GraphReleased { .. }), "{error}");
        assert!(error.to_string().contains("backward_retained"), "{error}");

        // Built anew, without zero_grad: gradients accumulate.
        let c = &a + &b;
        let d = &c + &a;
        d.backward().unwrap();
        assert_eq!(gradients(&[&b, &a]), [2.0, 4.0], "{device}");
        assert_eq!(gradients(&[&d, &c]), [1.0, 1.0], "{device}");

        tape.zero_grad();
        assert!(matches!(a.grad(), Err(Error::NoGradient { .. })));
        let d = &(&a + &b) + &a;
        d.backward().unwrap();
        assert_eq!(gradients(&[&b, &a]), [1.0, 2.0], "{device}");
    }
}

#[test]
fn a_retained_graph_is_differentiated_again_and_a_released_one_is_not() {
    for device in devices() {
        let tape = Tape::new(device);
        let (a, b) = (tape.leaf(3.0).requires_grad(), tape.leaf(5.0).requires_grad());
        let c = &a * &b;
        let d = &c * &a + &c;
        d.backward_retained().unwrap();
        assert_eq!(gradients(&[&a, &b, &c]), [35.0, 12.0, 4.0]);
        d.backward().unwrap();
        assert_eq!(gradients(&[&a, &b, &c]), [70.0, 24.0, 8.0]);
        assert!(matches!(d.backward(), Err(Error::GraphReleased { .. })));
        assert!(matches!(c.backward(), Err(Error::GraphReleased { .. })));
        // Another result of the same part of the graph: its way to the leaves is gone.
        let e = &c * 2.0;
        assert_eq!(e.item().unwrap(), 30.0);
        assert!(matches!(e.backward(), Err(Error::GraphReleased { .. })));
        // What was refused changed nothing.
        assert_eq!(gradients(&[&a, &b]), [70.0, 24.0]);
    }
}

#[test]
fn two_results_of_one_graph() {
    let tape = Tape::new(Device::cpu());
    let (x, w) = (tape.leaf(2.0), tape.leaf(3.0).requires_grad());
    let h = &x * &w;
    let (first, second) = (h.square(), h.exp());
    first.backward_retained().unwrap();
    assert_eq!(gradients(&[&w]), [24.0]);
    second.backward().unwrap();
    let expected = 24.0 + 2.0 * (6.0f32).exp();
    assert!((gradients(&[&w])[0] - f64::from(expected)).abs() < 1e-3);
    assert!(first.backward().is_err());
}

#[test]
fn gradients_flow_only_where_they_are_required() {
    let tape = Tape::new(Device::cpu());
    let (x, w, v) = (tape.leaf(2.0), tape.leaf(3.0).requires_grad(), tape.leaf(4.0).requires_grad());
    let y = &(&x * &w) + &(&w * &v).detach();
    assert!(y.does_require_grad());
    y.backward().unwrap();
    assert_eq!(gradients(&[&w]), [2.0]);
    assert!(!x.has_grad() && !v.has_grad());
    let frozen = &x * 3.0;
    assert!(!frozen.does_require_grad());
    assert_eq!(frozen.grad_fn(), None);
    assert!(matches!(frozen.backward(), Err(Error::NoGradientRequired { .. })));

    // What is made without recording is a constant for what comes after.
    let square = tape.no_grad(|| &w * &w);
    assert!(!square.does_require_grad() && square.is_leaf());
    w.zero_grad();
    (&square * &w).backward().unwrap();
    assert_eq!(gradients(&[&w]), [9.0]);
    // And recording goes on after it.
    assert!((&w * &w).does_require_grad());
}

#[test]
fn a_detached_value_can_require_a_gradient_of_its_own() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(3.0).requires_grad();
    let h = (&w * 2.0).detach().requires_grad();
    (&h * &h).backward().unwrap();
    assert_eq!(gradients(&[&h]), [12.0]);
    assert!(!w.has_grad());
}

#[test]
fn values_of_several_elements_take_an_upstream_gradient() {
    for device in devices() {
        let tape = Tape::new(device);
        let x = tape.leaf(Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap()).requires_grad();
        let y = &x * &x;
        let error = y.backward().unwrap_err();
        assert!(matches!(error, Error::Graph(GraphError::NotScalar { .. })), "{error}");
        let short = y.backward_with(Tensor::new([2], vec![1.0f32; 2]).unwrap()).unwrap_err();
        assert!(matches!(short, Error::Graph(GraphError::ShapesDiffer { .. })), "{short}");
        y.backward_with_retained(Tensor::new([3], vec![1.0f32, 0.1, 0.0]).unwrap()).unwrap();
        assert_eq!(x.grad().unwrap().as_slice::<f32>().unwrap(), [2.0, 0.4, 0.0]);
        y.backward_with(Tensor::new([3], vec![0.0f32, 0.0, 1.0]).unwrap()).unwrap();
        assert_eq!(x.grad().unwrap().as_slice::<f32>().unwrap(), [2.0, 0.4, 6.0]);
        assert_eq!(numbers(&y.data().unwrap()), [1.0, 4.0, 9.0]);
    }
}

#[test]
fn a_leaf_is_given_another_value() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(3.0).requires_grad();
    let before = w.square();
    w.set_data(Tensor::scalar(10.0f32));
    let after = w.square();
    // What was recorded keeps the value that it was recorded with, evaluated before or not.
    assert_eq!((before.item().unwrap(), after.item().unwrap()), (9.0, 100.0));
    (&before + &after).backward().unwrap();
    assert_eq!(gradients(&[&w]), [26.0]);
    // Another shape is another plan.
    w.zero_grad();
    w.set_data(Tensor::new([2], vec![1.0f32, 2.0]).unwrap());
    w.square().sum(..).backward().unwrap();
    assert_eq!(numbers(&w.grad().unwrap()), [2.0, 4.0]);
}

#[test]
fn mistakes_poison_one_result_and_name_the_callers_line() {
    let tape = Tape::new(Device::cpu());
    let (a, b) = (tape.leaf(Tensor::zeros([2, 3], DType::F32).unwrap()), tape.leaf(1.0).requires_grad());
    let line = line!() + 1;
    let wrong = a.matmul(&a);
    let worse = &wrong + &b;
    for variable in [&wrong, &worse] {
        let error = variable.data().unwrap_err().to_string();
        assert!(error.starts_with(&format!("crates/runtime/tests/tape.rs:{line}: matmul: inner")), "{error}");
    }
    assert!(worse.backward().unwrap_err().to_string().contains("matmul"));
    assert!(wrong.check().is_err() && wrong.shape().is_err());
    // The tape goes on.
    let fine = &b * 2.0;
    fine.backward().unwrap();
    assert_eq!(gradients(&[&b]), [2.0]);

    let other = Tape::new(Device::cpu());
    let foreign = &b + &other.leaf(1.0);
    assert!(matches!(foreign.data(), Err(Error::Graph(GraphError::ForeignNode { .. }))));
    let gradients_of = tape.gradients(&b, &[&other.leaf(1.0)]).map(drop);
    assert!(matches!(gradients_of, Err(Error::Graph(GraphError::ForeignNode { .. }))));
    assert_eq!((&b + 1.0).item(), Ok(2.0));
    assert_eq!((&other.leaf(1.0) + 1.0).item(), Ok(2.0));
}

#[test]
fn labels_are_checked_and_the_tape_goes_on() {
    let tape = Tape::new(Device::cpu());
    let logits = tape.leaf(Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 0.0, 0.0, 0.0]).unwrap()).requires_grad();
    let labels = |labels: Vec<i32>| tape.leaf(Tensor::new([2], labels).unwrap());
    let wrong = logits.cross_entropy(&labels(vec![0, 3]));
    assert!(matches!(wrong.backward(), Err(Error::IndexOutOfRange { .. })));
    assert!(!logits.has_grad());
    let loss = logits.cross_entropy(&labels(vec![0, 2]));
    loss.backward().unwrap();
    let expected = (2.407_605_9 + 3.0f64.ln()) / 2.0;
    assert!((loss.item().unwrap() - expected).abs() < 1e-6);
    // The same ops over other data plan once.
    let plans = tape.plans();
    for _ in 0..100 {
        logits.zero_grad();
        logits.cross_entropy(&labels(vec![1, 1])).backward().unwrap();
    }
    assert_eq!(tape.plans(), plans);
}

#[test]
fn the_arena_does_not_grow() {
    let tape = Tape::new(Device::cpu());
    let (a, b) = (tape.leaf(1.0).requires_grad(), tape.leaf(2.0).requires_grad());
    let mut largest = 0;
    let mut kept = Vec::new();
    for step in 0..20_000 {
        let x = tape.leaf(step as f32);
        let c = &a * &x + &b;
        let d = (&c + &a).tanh();
        let unused = d.exp() * 2.0;
        d.backward().unwrap();
        if step % 1000 == 0 {
            a.set_data(Tensor::scalar(1.5f32));
            kept.push(d);
        }
        assert_eq!(unused.grad_fn(), Some("mul"));
        largest = largest.max(tape.len());
        if step == 1000 {
            // From here on, what is alive is the same but for what is kept.
            largest = tape.len().max(256);
        }
    }
    assert!(largest <= 512, "{largest} nodes");
    assert!(kept.iter().all(|d| d.item().is_ok_and(|d| d.abs() <= 1.0)));
    assert!(tape.plans() < 10);
}

/// A state that each step hands to the next, detached: neither the arena nor a step's work grows.
#[test]
fn a_state_that_is_carried_along_holds_one_step() {
    for before in [true, false] {
        let tape = Tape::new(Device::cpu());
        let w = tape.leaf(0.5).requires_grad();
        let mut state = tape.leaf(1.0);
        let mut expected = 1.0f32;
        for _ in 0..300 {
            let next = (&state * &w).tanh();
            if before {
                let detached = next.detach();
                next.backward().unwrap();
                state = detached;
            } else {
                next.backward().unwrap();
                state = next.detach();
            }
            expected = (expected * 0.5).tanh();
            assert!(tape.len() < 300, "{}", tape.len());
        }
        assert!(tape.plans() < 12, "{} plans", tape.plans());
        assert!((state.item().unwrap() - f64::from(expected)).abs() < 1e-6);
    }
}

/// Two networks trained against each other: one graph is used after the other, over the same value, was released.
#[test]
fn a_value_made_before_a_backward_pass_is_differentiated_after_it() {
    let tape = Tape::new(Device::cpu());
    let (g, d) = (tape.leaf(2.0).requires_grad(), tape.leaf(3.0).requires_grad());
    let fake = &g * 5.0;
    (&fake.detach() * &d).backward().unwrap();
    assert_eq!((gradients(&[&d]), g.has_grad()), (vec![10.0], false));
    d.zero_grad();
    (&fake * &d).backward().unwrap();
    assert_eq!(gradients(&[&g, &d]), [15.0, 10.0]);
}

#[test]
fn gradients_are_variables() {
    for device in devices() {
        let tape = Tape::new(device);
        let (x, y) = (tape.leaf(3.0).requires_grad(), tape.leaf(2.0).requires_grad());
        let unused = tape.leaf(1.0).requires_grad();
        let constant = tape.leaf(1.0);
        let f = &(&x * &x) * &(&x * &y);
        let first = tape.gradients(&f, &[&x, &y, &unused, &constant]).unwrap();
        let [Some(dx), Some(dy), None, None] = &first[..] else { panic!("{first:?}") };
        assert_eq!((dx.item().unwrap(), dy.item().unwrap()), (54.0, 27.0));
        let second = tape.gradients(dx, &[&x, &y]).unwrap();
        let values: Vec<f64> = second.iter().flatten().map(|g| g.item().unwrap()).collect();
        assert_eq!(values, [36.0, 27.0]);
        // A penalty on a gradient's norm.
        (&dx.square() + &f).backward().unwrap();
        // d/dx (9 x^4 y^2 + x^3 y) = 36 x^3 y^2 + 3 x^2 y.
        assert_eq!(gradients(&[&x]), [36.0 * 27.0 * 4.0 + 54.0]);
        assert!(x.item().is_ok());
    }
}

#[test]
fn jacobians_of_variables() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap());
    let x = tape.leaf(Tensor::new([2], vec![0.5f32, -1.0]).unwrap()).requires_grad();
    let jacobian = tape.jacobian(&w.matmul(&x).square(), &x);
    assert_eq!(jacobian.shape().unwrap().dims(), [2, 2]);
    assert_eq!(numbers(&jacobian.data().unwrap()), [-3.0, -6.0, -15.0, -20.0]);
}

/// A perceptron by hand, on the tape and compiled: the same losses, step by step.
#[test]
fn the_tape_and_a_session_train_alike() {
    for device in devices() {
        let mut random = Random(7);
        let tensor = |shape: [usize; 2], values: &[f64]| {
            Tensor::new(shape, values.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap()
        };
        let (w1, w2) = (random.floats(40, -0.7, 0.7), random.floats(16, -0.7, 0.7));
        let (x, t) = (tensor([8, 5], &random.floats(40, -1.0, 1.0)), tensor([8, 2], &random.floats(16, -1.0, 1.0)));

        let graph = Graph::new();
        let (gx, gt) = (graph.input("x", [8, 5]), graph.input("t", [8, 2]));
        let (p1, p2) = (
            graph.parameter("w1", [5, 8], Init::Values(w1.clone())),
            graph.parameter("w2", [8, 2], Init::Values(w2.clone())),
        );
        let loss = (gx.matmul(p1).relu().matmul(p2) - gt).square().sum(..);

        let tape = Tape::new(device.clone());
        let (v1, v2) = (tape.leaf(tensor([5, 8], &w1)).requires_grad(), tape.leaf(tensor([8, 2], &w2)).requires_grad());
        let (vx, vt) = (tape.leaf(&x), tape.leaf(&t));
        let by_hand = |rate: f64| {
            let loss = (&vx.matmul(&v1).relu().matmul(&v2) - &vt).square().sum(..);
            loss.backward().unwrap();
            for w in [&v1, &v2] {
                let gradient = tape.leaf(w.grad().unwrap());
                w.set_data(tape.no_grad(|| &*w - &(gradient * rate)).data().unwrap());
                w.zero_grad();
            }
            loss.item().unwrap()
        };
        let mut session = Session::train(&graph, loss, Sgd::new(0.01), device.clone()).unwrap();
        for step in 0..20 {
            let compiled = session.step(&[("x", &x), ("t", &t)]).unwrap();
            let dynamic = by_hand(0.01);
            assert!((compiled - dynamic).abs() <= 1e-5 * compiled, "{device}, step {step}: {compiled}, {dynamic}");
        }

        let mut optimizer = TapeOptimizer::new(&tape, &[&v1, &v2], Adam::new(0.01)).unwrap();
        v1.set_data(session.parameter("w1").unwrap());
        v2.set_data(session.parameter("w2").unwrap());
        let (start1, start2) = (v1.data().unwrap(), v2.data().unwrap());
        let mut session = Session::train(&graph, loss, Adam::new(0.01), device.clone()).unwrap();
        session.set_parameter("w1", &start1).unwrap();
        session.set_parameter("w2", &start2).unwrap();
        for step in 0..20 {
            let compiled = session.step(&[("x", &x), ("t", &t)]).unwrap();
            optimizer.zero_grad();
            let loss = (&vx.matmul(&v1).relu().matmul(&v2) - &vt).square().sum(..);
            loss.backward().unwrap();
            optimizer.step().unwrap();
            let dynamic = loss.item().unwrap();
            assert!((compiled - dynamic).abs() <= 1e-5 * compiled, "{device}, step {step}: {compiled}, {dynamic}");
        }
    }
}

#[test]
fn an_optimizer_refuses_what_it_cannot_update() {
    let tape = Tape::new(Device::cpu());
    let (w, constant) = (tape.leaf(1.0).requires_grad(), tape.leaf(1.0));
    let refused = |leaf: &Variable| TapeOptimizer::new(&tape, &[leaf], Sgd::new(0.1)).err();
    assert!(matches!(refused(&constant), Some(Error::NotALeaf { .. })));
    assert!(matches!(refused(&(&w * 2.0)), Some(Error::NotALeaf { .. })));
    assert!(matches!(refused(&Tape::new(Device::cpu()).leaf(1.0)), Some(Error::Graph(GraphError::ForeignNode { .. }))));
    assert!(TapeOptimizer::new(&tape, &[&w], Sgd::new(-1.0)).is_err());
    let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
    assert!(matches!(optimizer.step(), Err(Error::NoGradient { .. })));
    assert_eq!(w.item(), Ok(1.0));
}

fn answer(gradients: Result<Vec<Option<Variable>>, Error>) -> Vec<Option<f64>> {
    gradients.unwrap().iter().map(|gradient| gradient.as_ref().map(|gradient| gradient.item().unwrap())).collect()
}

/// f = (x + y) z at (-2, 5, -4).
#[test]
fn a_gradient_tape_answers_once_unless_it_is_persistent() {
    for device in devices() {
        let tape = GradientTape::new(device.clone());
        let (x, y, z) = (tape.variable(-2.0), tape.variable(5.0), tape.variable(-4.0));
        let f = (&x + &y) * &z;
        assert_eq!(answer(tape.gradient(&f, &[&x, &y, &z])), [Some(-4.0), Some(-4.0), Some(3.0)], "{device}");
        assert_eq!(tape.gradient(&f, &[&x]).map(drop), Err(Error::TapeUsed));

        let tape = GradientTape::new(device).persistent();
        let x = tape.variable(3.0);
        let y = &x * &x;
        let z = &y * &y;
        assert_eq!(answer(tape.gradient(&z, &[&x])), [Some(108.0)]);
        assert_eq!(answer(tape.gradient(&z, &[&y])), [Some(18.0)]);
        assert_eq!(answer(tape.gradient(&y, &[&x])), [Some(6.0)]);
        // Several elements count as their sum.
        let v = tape.variable(Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap());
        let gradient = tape.gradient(&v.square(), &[&v]).unwrap().remove(0).unwrap();
        assert_eq!(numbers(&gradient.data().unwrap()), [2.0, 4.0, 6.0]);
        let jacobian = tape.jacobian(&v.square(), &v).unwrap();
        assert_eq!(numbers(&jacobian.data().unwrap()), [2.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 6.0]);
    }
}

#[test]
fn a_gradient_tape_knows_what_is_watched() {
    let tape = GradientTape::new(Device::cpu()).persistent();
    let (c, x) = (tape.constant(3.0), tape.variable(2.0));
    let before = &c * &c;
    assert_eq!(answer(tape.gradient(&before, &[&c])), [None]);
    tape.watch(&c);
    // What was computed before it was watched is not recorded.
    assert_eq!(answer(tape.gradient(&before, &[&c, &x])), [None, None]);
    assert_eq!(answer(tape.gradient(&(&c * &c), &[&c, &x])), [Some(6.0), None]);
    let hidden = tape.stop_recording(|| &x * &x);
    assert_eq!(answer(tape.gradient(&(&hidden * &x), &[&x])), [Some(4.0)]);
    assert_eq!(answer(tape.gradient(&hidden, &[&x])), [None]);

    // A gradient is recorded on the tape that is around it.
    let shared = Tape::new(Device::cpu());
    let (outer, inner) = (GradientTape::on(&shared), GradientTape::on(&shared));
    let x = outer.variable(2.0);
    let first = inner.gradient(&x.powf(3.0), &[&x]).unwrap().remove(0).unwrap();
    assert_eq!(first.item(), Ok(12.0));
    assert_eq!(answer(outer.gradient(&first, &[&x])), [Some(12.0)]);
}

/// `x^3` forward, and a backward pass that saves what it needs.
struct Cube;

impl Function for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        operands[0].powf(3.0)
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * context.saved()[0].square() * 3.0)]
    }
}

#[test]
fn functions_of_ones_own() {
    for device in devices() {
        let tape = Tape::new(device);
        let x = tape.leaf(2.0).requires_grad();
        let y = tape.apply(&Cube, &[&x]);
        assert_eq!((y.item().unwrap(), y.grad_fn()), (8.0, Some("cube")));
        y.backward().unwrap();
        assert_eq!(gradients(&[&x]), [12.0]);
    }
}

#[test]
fn doubles_and_integers() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf(Tensor::scalar(0.1f64)).requires_grad();
    x.exp().backward().unwrap();
    assert_eq!(x.grad().unwrap().item().unwrap(), 0.1f64.exp());
    assert_eq!(x.dtype(), Ok(DType::F64));
    let i = &tape.leaf(7) + 1;
    assert_eq!((i.item().unwrap(), i.dtype().unwrap()), (8.0, DType::I32));
    // A leaf of integers that is asked for a gradient has none, and says so.
    let (i, line) = (tape.leaf(7).requires_grad(), line!());
    let results = [
        (&i + 1).backward(),
        (&i * &i).backward(),
        i.cast(DType::F32).square().backward(),
        (i.cast(DType::F64) * &x).backward(),
        i.backward(),
    ];
    for error in results.map(|result| result.unwrap_err()) {
        assert!(matches!(error, Error::GradientOfNoFloats { .. }), "{error}");
        let told = format!("{}:{line}: a leaf of shape [] is asked for a gradient, but it is i32", file!());
        assert!(error.to_string().starts_with(&told), "{error}");
    }
    // What has nothing to do with it is told what it was.
    assert!(matches!((&tape.leaf(7) + 1).backward(), Err(Error::NoGradientRequired { .. })));
    i.set_requires_grad(false).unwrap();
    assert!(matches!((&i + 1).backward(), Err(Error::NoGradientRequired { .. })));
}

/// An upstream gradient is widened as a leaf is.
#[test]
fn an_upstream_gradient_that_is_held_narrower() {
    for storage in [arenagrad::graph::StorageType::Bf16, arenagrad::graph::StorageType::F16] {
        let tape = Tape::new(Device::cpu());
        let w = tape.leaf(Tensor::new([2], vec![1.0f32, 2.0]).unwrap()).requires_grad();
        let upstream = Tensor::new([2], vec![0.5f32, -3.0]).unwrap().cast(storage);
        (&w * 2.0).backward_with(upstream).unwrap();
        assert_eq!(w.grad().unwrap().to_f64_vec(), [1.0, -6.0], "{storage}");
    }
}
