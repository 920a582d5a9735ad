//! The public face under arguments that nobody means: whatever a caller passes, the answer is a value or a typed error, and
//! the graph is whole afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arenagrad_graph::{
    Arrangement, Assembly, Axes, AxisSet, BinaryFunction, CompareFunction, CrossEntropy, DType, Elementwise, Expr,
    Gelu, Graph, GraphError, Half, Indexing, Init, Leaf, MAX_RANK, Op, Origin, ReduceFunction, Reduction, Shape,
    UnaryFunction, passes, symbolic, verify,
};
use thin_vec::thin_vec;

const SIZES: [usize; 8] = [0, 1, 2, 15, 16, 17, 1 << 40, usize::MAX];
const AXES: [isize; 10] = [0, 1, -1, 15, 16, 17, -16, -17, isize::MAX, isize::MIN];
const NUMBERS: [f64; 9] = [0.0, -0.0, 1.0, -1.0, 0.5, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN];

/// Shapes of rank 0 and of the largest rank, empty ones, large ones, and some between.
fn shapes() -> Vec<Shape> {
    vec![
        Shape::scalar(),
        Shape::from([3]),
        Shape::from([0]),
        Shape::from([2, 3]),
        Shape::from([3, 3]),
        Shape::from([2, 4, 3]),
        Shape::from([0, 1 << 40]),
        Shape::from([1 << 30, 1 << 29]),
        Shape::from(vec![1; MAX_RANK]),
        Shape::from(vec![2; MAX_RANK]),
    ]
}

/// Every shape that a caller can write down, those that no tensor has among them.
fn any_shapes() -> Vec<Shape> {
    let mut shapes = shapes();
    shapes.extend([
        Shape::from(vec![1; MAX_RANK + 1]),
        Shape::from(vec![0; 40]),
        Shape::from([usize::MAX]),
        Shape::from([usize::MAX, usize::MAX]),
        Shape::from([1 << 32, 1 << 32]),
        Shape::from([0, usize::MAX]),
        Shape::from([1 << 60]),
    ]);
    shapes
}

/// One call: what it is, and the call itself on an operand of floats, one of integers and one of truth values, of one shape.
type Call = (String, Box<dyn for<'g> Fn(&'g Graph, [Expr<'g>; 3]) -> Result<(), GraphError>>);

/// Adds calls whose results are expressions.
macro_rules! calls {
    ($calls:ident; $($name:expr, |$graph:ident, $x:ident, $i:ident, $b:ident| $call:expr;)*) => {$(
        $calls.push((
            $name.to_string(),
            Box::new(move |$graph, [$x, $i, $b]| {
                let _ = ($graph, $x, $i, $b);
                $call.check().map(|_| ())
            }),
        ));
    )*};
}

fn calls() -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for axis in AXES {
        calls! { calls;
            format!("sum {axis}"), |g, x, i, b| x.sum(axis);
            format!("sum of i32 {axis}"), |g, x, i, b| i.sum_keepdims([axis, axis]);
            format!("sum of bool {axis}"), |g, x, i, b| b.sum(axis);
            format!("max {axis}"), |g, x, i, b| x.max_keepdims([0, axis]);
            format!("min {axis}"), |g, x, i, b| i.min(axis);
            format!("mean {axis}"), |g, x, i, b| x.mean([axis]);
            format!("var {axis}"), |g, x, i, b| x.var(axis, f64::NAN);
            format!("argmax {axis}"), |g, x, i, b| x.argmax(axis);
            format!("logsumexp {axis}"), |g, x, i, b| x.logsumexp(axis);
            format!("softmax {axis}"), |g, x, i, b| x.softmax(axis);
            format!("log_softmax {axis}"), |g, x, i, b| x.log_softmax(axis);
            format!("unsqueeze {axis}"), |g, x, i, b| b.unsqueeze(axis);
            format!("squeeze {axis}"), |g, x, i, b| i.squeeze(axis);
            format!("permute {axis}"), |g, x, i, b| x.permute([axis, 0]);
            format!("permute of all {axis}"), |g, x, i, b| x.permute(vec![axis; x.shape().unwrap().rank()]);
            format!("transpose {axis}"), |g, x, i, b| x.transpose(axis, 0);
            format!("transpose -1 {axis}"), |g, x, i, b| x.transpose(-1, axis);
            format!("concat {axis}"), |g, x, i, b| g.concat(&[x, x], axis);
            format!("concat of dtypes {axis}"), |g, x, i, b| g.concat(&[x, i], axis);
            format!("concat of nothing {axis}"), |g, x, i, b| g.concat(&[], axis);
            format!("stack {axis}"), |g, x, i, b| g.stack(&[x, x, x], axis);
            format!("gather {axis}"), |g, x, i, b| x.gather(axis, i);
            format!("gather at floats {axis}"), |g, x, i, b| x.gather(axis, x);
            format!("scatter_add {axis}"), |g, x, i, b| x.scatter_add(axis, i, x);
            format!("index_select {axis}"), |g, x, i, b| b.index_select(axis, i);
            format!("tril {axis}"), |g, x, i, b| x.tril(axis);
            format!("triu {axis}"), |g, x, i, b| i.triu(axis);
            format!("layer_norm {axis}"), |g, x, i, b| x.layer_norm(axis, None, None, f64::NAN);
            format!("rms_norm {axis}"), |g, x, i, b| x.rms_norm(axis, Some(x), -1.0);
        }
        for number in NUMBERS {
            calls! { calls;
                format!("norm {number} {axis}"), |g, x, i, b| x.norm(number, axis);
                format!("var {number} {axis}"), |g, x, i, b| x.var_keepdims(axis, number);
            }
        }
        for size in SIZES {
            calls! { calls;
                format!("slice {axis} {size}"), |g, x, i, b| x.slice(axis, 0, size);
                format!("slice back {axis} {size}"), |g, x, i, b| x.slice(axis, size, 0);
                format!("slice_step {axis} {size}"), |g, x, i, b| i.slice_step(axis, 0, 2, size);
                format!("slice_step far {axis} {size}"), |g, x, i, b| i.slice_step(axis, size, usize::MAX, usize::MAX);
                format!("select_index {axis} {size}"), |g, x, i, b| b.select_index(axis, size);
            }
        }
    }
    for size in SIZES {
        calls! { calls;
            format!("a set of {size}"), |g, x, i, b| x.sum([size].into_iter().collect::<AxisSet>());
            format!("all axes of {size}"), |g, x, i, b| x.sum_keepdims(AxisSet::all(size));
            format!("axes {size}"), |g, x, i, b| x.sum(vec![size]);
            format!("iota {size}"), |g, x, i, b| g.iota(x.shape()?, size);
            format!("one_hot {size}"), |g, x, i, b| i.one_hot(size);
            format!("group_norm {size}"), |g, x, i, b| x.group_norm(size, None, None, 1e-5);
            format!("pad {size}"), |g, x, i, b| x.pad(vec![(size, 1); x.shape().unwrap().rank()], f64::NAN);
            format!("pad both {size}"), |g, x, i, b| i.pad(vec![(size, size); x.shape().unwrap().rank()], 1e300);
            format!("pads {size}"), |g, x, i, b| b.pad(vec![(1, 1); size.min(64)], -1.0);
            format!("reshape {size}"), |g, x, i, b| x.reshape([size]);
            format!("broadcast_to {size}"), |g, x, i, b| x.broadcast_to([size, 3]);
            format!("literal {size}"), |g, x, i, b| g.literal([size], vec![1.0f32, 2.0]);
        }
    }
    for shape in any_shapes() {
        let (a, b, c, d, e) = (shape.clone(), shape.clone(), shape.clone(), shape.clone(), shape.clone());
        let (f, h, k) = (shape.clone(), shape.clone(), shape.clone());
        calls! { calls;
            format!("reshape {shape}"), |g, x, i, bool| x.reshape(&a);
            format!("broadcast_to {shape}"), |g, x, i, bool| x.broadcast_to(&b);
            format!("input {shape}"), |g, x, i, bool| g.input("", &c);
            format!("parameter {shape}"), |g, x, i, bool| g.parameter("p", &d, Init::KaimingUniform);
            format!("values {shape}"), |g, x, i, bool| g.parameter("v", &f, Init::Values(vec![f64::NAN]));
            format!("state {shape}"), |g, x, i, bool| g.state("s", &e, DType::Bool, Init::Constant(f64::NAN));
            format!("full {shape}"), |g, x, i, bool| g.full(&h, f64::NAN, DType::I32);
            format!("iota {shape}"), |g, x, i, bool| g.iota(&k, 0);
        }
        let (a, b, c) = (shape.clone(), shape.clone(), shape.clone());
        calls! { calls;
            format!("uniform {shape}"), |g, x, i, bool| g.uniform(&a, g.step(), u64::MAX);
            format!("normal {shape}"), |g, x, i, bool| g.normal(&b, x, 0);
            format!("literal {shape}"), |g, x, i, bool| g.literal(&c, Vec::<f64>::new());
        }
    }
    for number in NUMBERS {
        calls! { calls;
            format!("powf {number}"), |g, x, i, b| x.powf(number);
            format!("powf of i32 {number}"), |g, x, i, b| i.powf(number);
            format!("beside {number}"), |g, x, i, b| i + number;
            format!("beside bool {number}"), |g, x, i, b| b.equal(number);
            format!("where {number}"), |g, x, i, b| b.where_(number, i);
            format!("clamp {number}"), |g, x, i, b| x.clamp(Some(number), Some(-number));
            format!("clamp_between {number}"), |g, x, i, b| x.clamp_between(number, i);
            format!("leaky_relu {number}"), |g, x, i, b| x.leaky_relu(number);
            format!("elu {number}"), |g, x, i, b| x.elu(number);
            format!("softplus {number}"), |g, x, i, b| x.softplus(number, number);
            format!("bernoulli {number}"), |g, x, i, b| g.bernoulli(x.shape()?, number, g.step(), 1);
            format!("dropout {number}"), |g, x, i, b| x.dropout(number, g.step(), 1);
            format!("huber_loss {number}"), |g, x, i, b| x.huber_loss(x, number, Reduction::Mean);
            format!("smooth_l1_loss {number}"), |g, x, i, b| x.smooth_l1_loss(x, number, Reduction::Sum);
            format!("batch_norm {number}"), |g, x, i, b| x.batch_norm((x, x), None, Some(i), number);
            format!("smoothing {number}"), |g, x, i, b| {
                x.cross_entropy_with(i, CrossEntropy { label_smoothing: number, ..CrossEntropy::default() })
            };
        }
    }
    for ignored in [i32::MIN, -1, i32::MAX] {
        calls! { calls;
            format!("nll_loss without {ignored}"), |g, x, i, b| {
                x.nll_loss_with(i, CrossEntropy { ignore_index: Some(ignored), weight: Some(x), ..CrossEntropy::default() })
            };
        }
    }
    calls! { calls;
        "sum of all", |g, x, i, b| x.sum(..);
        "max of all", |g, x, i, b| x.max(..);
        "var of all", |g, x, i, b| x.var(.., f64::INFINITY);
        "matmul", |g, x, i, b| x.matmul(x);
        "matmul of dtypes", |g, x, i, b| x.matmul(i);
        "matmul transposed", |g, x, i, b| x.matmul_with(x, true, true);
        "linear", |g, x, i, b| x.linear(x, Some(x));
        "t", |g, x, i, b| x.t();
        "flatten", |g, x, i, b| b.flatten();
        "cross_entropy", |g, x, i, b| x.cross_entropy(i);
        "cross_entropy with floats", |g, x, i, b| x.cross_entropy(x);
        "cross_entropy_probabilities", |g, x, i, b| x.cross_entropy_probabilities(x, CrossEntropy::default());
        "accuracy", |g, x, i, b| x.accuracy(i);
        "batch_statistics", |g, x, i, b| x.batch_statistics().1;
        "gelu", |g, x, i, b| i.gelu(Gelu::Tanh);
        "and", |g, x, i, b| b & i;
        "not", |g, x, i, b| !x;
        "relu_backward", |g, x, i, b| x.relu_backward(i);
        "named", |g, x, i, b| x.named("");
        "kl_div", |g, x, i, b| x.kl_div(b, false, Reduction::None);
        "mse_loss", |g, x, i, b| x.mse_loss(x.sum(..), Reduction::Mean);
        "gradient", |g, x, i, b| x.grad([x])?[0];
        "gradient of integers", |g, x, i, b| i.grad([x])?[0];
        "jacobian", |g, x, i, b| x.square().jacobian(x)?;
        "hessian", |g, x, i, b| x.square().sum(..).hessian(x)?;
        "jvp", |g, x, i, b| x.jvp([x], [i])?;
        "vjp", |g, x, i, b| x.vjp(i, [x])?[0];
    }
    calls
}

/// Ops as nobody but a program would write them, straight into the arena.
fn raw_ops(x: arenagrad_graph::NodeId, i: arenagrad_graph::NodeId) -> Vec<Op> {
    let mut ops = Vec::new();
    for size in SIZES {
        ops.extend([
            Op::Leaf(Leaf::Iota { axis: size }),
            Op::View { operand: x, arrangement: Arrangement::Permute { axes: thin_vec![size, size] } },
            Op::View {
                operand: x,
                arrangement: Arrangement::Slice { starts: thin_vec![size], steps: thin_vec![size] },
            },
            Op::View {
                operand: x,
                arrangement: Arrangement::Slice { starts: thin_vec![size, 0], steps: thin_vec![1, size] },
            },
            Op::View { operand: x, arrangement: Arrangement::Slice { starts: thin_vec![], steps: thin_vec![size] } },
            Op::Assembly(Assembly::Pad {
                operand: x,
                lows: thin_vec![size, size],
                interiors: thin_vec![0, size],
                value: f64::NAN,
            }),
            Op::Assembly(Assembly::Pad {
                operand: x,
                lows: thin_vec![0, size],
                interiors: thin_vec![size, 0],
                value: 0.0,
            }),
            Op::Assembly(Assembly::Pad { operand: x, lows: thin_vec![size], interiors: thin_vec![], value: 0.0 }),
            Op::Assembly(Assembly::Concat { operands: [x, x].into_iter().collect(), axis: size }),
            Op::ArgMax { operand: x, axis: size },
            Op::Indexing(Indexing::Gather { operand: x, indices: i, axis: size }),
            Op::Indexing(Indexing::ScatterAdd { operand: x, indices: i, updates: x, axis: size }),
            Op::Reduce { function: ReduceFunction::Max, operand: x, axes: [size, 0].into_iter().collect() },
        ]);
    }
    ops.extend([
        Op::Assembly(Assembly::Concat { operands: [].into_iter().collect(), axis: 0 }),
        Op::Elementwise(Elementwise::Unary { function: UnaryFunction::Exp, operand: i }),
        Op::binary(BinaryFunction::Pow, x, i),
        Op::Elementwise(Elementwise::Compare { function: CompareFunction::Less, lhs: i, rhs: x }),
        Op::Elementwise(Elementwise::Where { condition: x, on_true: x, on_false: i }),
        Op::MatMul { lhs: x, rhs: x, transpose_lhs: true, transpose_rhs: true },
        Op::MatMul { lhs: i, rhs: x, transpose_lhs: false, transpose_rhs: false },
        Op::Uniform { step: x, seed: 0 },
        Op::Leaf(Leaf::Constant { value: f64::NAN }),
        Op::View { operand: x, arrangement: Arrangement::Reshape },
        Op::View { operand: x, arrangement: Arrangement::Broadcast },
        Op::Elementwise(Elementwise::Cast { operand: x }),
        Op::Elementwise(Elementwise::RoundTo { half: Half::F16, operand: i }),
        Op::Leaf(Leaf::Placeholder),
    ]);
    ops
}

/// What a call gave, or that it panicked.
fn caught<T>(what: &str, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| panic!("{what} panicked"))
}

#[test]
fn no_call_panics_and_every_graph_stays_whole() {
    let (mut refused, mut answered) = (0, 0);
    for shape in shapes() {
        for (name, call) in calls() {
            let what = format!("{name} on {shape}");
            let graph = Graph::new();
            let operands = [("x", DType::F32), ("i", DType::I32), ("b", DType::Bool)]
                .map(|(name, dtype)| graph.input_of(name, &shape, dtype));
            graph.check().unwrap();
            match caught(&what, || call(&graph, operands)) {
                Ok(()) => {
                    answered += 1;
                    caught(&what, || verify(&graph)).unwrap_or_else(|errors| panic!("{what}: {errors:?}"));
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
    assert!(refused > 1000 && answered > 1000, "{refused} refused, {answered} answered");
}

#[test]
fn no_op_panics_whatever_its_attributes() {
    for shape in shapes() {
        for wanted in [None, Some(Shape::from([usize::MAX, 2])), Some(Shape::from([4, 3])), Some(Shape::scalar())] {
            let graph = Graph::new();
            let [x, i] = [("x", DType::F32), ("i", DType::I32)]
                .map(|(name, dtype)| graph.input_of(name, &shape, dtype).id().unwrap());
            for op in raw_ops(x, i) {
                let what = format!("{op:?} on {shape} to {wanted:?}");
                let inserted = caught(&what, || graph.insert(op.clone(), wanted.as_ref(), None, Origin::here()));
                caught(&what, || verify(&graph)).unwrap_or_else(|errors| panic!("{what}: {errors:?}"));
                if let Ok(id) = inserted {
                    let optimised = caught(&what, || passes::optimise(&graph, &[id]));
                    assert!(optimised.is_ok(), "{what}: {optimised:?}");
                    let _ = caught(&what, || graph.gradients(&[graph.expr(id)], &[graph.expr(id)], &[graph.expr(x)]));
                    let _ = caught(&what, || (graph.to_string(), graph.structure(&[id]), graph.extract(&[id])));
                }
            }
        }
    }
}

#[test]
fn a_capacity_is_a_hint() {
    for nodes in [0, 1, 1 << 25, 1 << 40, usize::MAX / 2, usize::MAX] {
        let graph = Graph::with_capacity(nodes);
        let x = graph.input("x", [2]);
        assert_eq!((x + x).shape().unwrap(), Shape::from([2]));
    }
}

#[test]
fn a_set_knows_of_an_axis_that_no_tensor_has() {
    let set: AxisSet = [3, 17, 16].into_iter().collect();
    assert_eq!(set.iter().collect::<Vec<_>>(), [3, 16]);
    assert!(set.contains(3) && set.contains(16) && !set.contains(0) && !set.contains(1));
    assert_eq!((set.len(), set.is_empty()), (2, false));
    assert_eq!(AxisSet::all(usize::MAX).iter().last(), Some(MAX_RANK));
    assert_eq!(AxisSet::all(MAX_RANK).len(), MAX_RANK);
    assert_eq!(Axes::list(&set), Some(vec![3, 16]));
    let graph = Graph::new();
    let x = graph.input("x", vec![2; MAX_RANK]);
    let beyond: AxisSet = [17].into_iter().collect();
    let error = x.sum(beyond).check().unwrap_err();
    assert!(matches!(error, GraphError::Axis { axis: 17, rank: 16, .. }), "{error}");
}

#[test]
fn shapes_answer_whatever_their_extents() {
    for shape in any_shapes() {
        let what = format!("{shape}");
        caught(&what, || {
            let all = AxisSet::all(usize::MAX);
            let _ = (shape.elements(), shape.strides(), shape.reduced(all), shape.without(all), shape.to_string());
            for other in any_shapes() {
                let _ = shape.broadcast(&other);
            }
        });
    }
    assert_eq!(Shape::from([1 << 32, 1 << 32]).checked_elements(), None);
    assert_eq!(Shape::from([0, usize::MAX]).checked_elements(), Some(0));
}

#[test]
fn no_text_panics_as_a_formula() {
    let deep = format!("{}x{}", "(".repeat(20_000), ")".repeat(20_000));
    let long = "x+".repeat(20_000) + "x";
    let power = "x^9999999999999999999999999";
    let texts = [
        "",
        " ",
        "x",
        "1e999",
        "1e-999",
        "-",
        "((",
        "x^x^x^x",
        "0/0",
        "1/0",
        "x^-1/0",
        "nan",
        "∞",
        power,
        "9".repeat(5000).as_str(),
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([deep, long, "-".repeat(20_000) + "1", "sin(".repeat(5_000) + "x" + &")".repeat(5_000)]);
    for text in texts {
        let what = text.chars().take(30).collect::<String>();
        caught(&what, || {
            if let Ok(formula) = symbolic::parse(&text) {
                let _ = (formula.to_string(), formula.latex(), formula.symbols());
                if text.len() < 100 {
                    let _ = (
                        formula.simplify().to_string(),
                        formula.diff("x").simplify().to_string(),
                        formula.diff("").latex(),
                    );
                }
            }
        });
    }
}
