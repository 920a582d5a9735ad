//! What the passes do to a graph, and that what it computes stays the same.

use crate::differences::Random;
use crate::evaluate::{Given, evaluate};
use arenagrad_graph::passes::{self, Optimised};
use arenagrad_graph::{BinaryFunction, DType, Expr, Graph, Init, OpKind, UnaryFunction, verify};

/// The text of what `output` becomes, after it was verified.
fn simplified(output: Expr<'_>) -> String {
    let output = output.check().unwrap();
    let result = passes::optimise(output.graph(), &[output.id().unwrap()]).unwrap();
    verify(&result.graph).unwrap();
    result.graph.display_nodes(&result.outputs).to_string()
}

/// One line a rule: what a caller writes, and the ops that are left of it.
fn assert_ops(output: Expr<'_>, expected: &[&str]) {
    let text = simplified(output);
    let ops: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(_, op)| op.split(['(', ' ']).next().unwrap())
        .collect();
    assert_eq!(ops, expected, "\n{text}");
}

#[test]
fn identities_go() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    for same in [
        x + 0.0,
        0.0 + x,
        x - 0.0,
        x * 1.0,
        1.0 * x,
        x / 1.0,
        -(-x),
        x.pow(1.0),
        x.maximum(x),
        x.minimum(x),
        x.reshape([3, 1]).reshape([3]),
        x.unsqueeze(0).sum(0),
        x.unsqueeze(0).max(0),
        x.slice(0, 0, 3),
        x.pad([(0, 0)], 1.0),
        x.cast(DType::F64).cast(DType::F32),
        x.stop_gradient(),
        x.less(1.0).where_(x, x),
        g.full([3], 1.0, DType::Bool).where_(x, x.exp()),
        g.full([3], 0.0, DType::Bool).where_(x.exp(), x),
        x.relu_backward(g.ones([3], DType::F32)),
        x.unsqueeze(0).permute([1, 0]).permute([1, 0]).squeeze(0),
        x * g.literal([], [1.0f32]),
    ] {
        assert_ops(same, &["input"]);
    }
}

#[test]
fn what_is_known_is_computed() {
    let g = Graph::new();
    let two = g.full([2, 2], 2.0, DType::F32);
    let cases = [
        ((two + 1.0) * 4.0, "12"),
        (two.exp().log().round(), "2"),
        (two.sum([0, 1]), "8"),
        (two.max(0), "2"),
        (two.t().reshape([4]).slice(0, 1, 2), "2"),
        (two.pow(0.0), "1"),
        (two.less(3.0).cast(DType::F32), "1"),
        (g.full([], 1.0, DType::F32) / 3.0, "0.33333334"),
        (g.full([], 2_147_483_647.0, DType::I32) + 1, "-2147483648"),
        (g.iota([1], 0), "0"),
        (g.input("empty", [0, 3]).exp(), "0"),
        (g.input("none", [2, 0]).sum(1), "0"),
        (g.input("rows", [2, 0]).matmul(g.input("columns", [0, 3])), "0"),
    ];
    for (expr, value) in cases {
        let text = simplified(expr);
        assert!(text.starts_with(&format!("%0 = constant({value}) :")), "{text}");
    }
}

#[test]
fn products_with_zero_stay_for_floats_and_go_for_integers() {
    let g = Graph::new();
    assert_ops(g.input("x", [2]) * 0.0, &["input", "constant", "mul"]);
    let y = g.input("y", [2]);
    let same = y;
    assert_ops(y - same, &["input", "sub"]);
    let i = g.input_of("i", [2], DType::I32);
    let zero = 0;
    assert_ops(i * zero, &["constant"]);
    let same = i;
    assert_ops(i - same, &["constant"]);
}

#[test]
fn forms_become_shorter() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [2, 3]), g.input("y", [2, 3]));
    assert_ops(x + (-y), &["input", "input", "sub"]);
    assert_ops(-x + y, &["input", "input", "sub"]);
    assert_ops(x - (-y), &["input", "input", "add"]);
    assert_ops(-(x - y), &["input", "input", "sub"]);
    assert_ops(-x * -y, &["input", "input", "mul"]);
    assert_ops(x * -1.0, &["input", "neg"]);
    assert_ops(0.0 - x, &["input", "neg"]);
    assert_ops(x.pow(2.0), &["input", "mul"]);
    assert_ops(x.pow(3.0), &["input", "mul", "mul"]);
    assert_ops(x.pow(-1.0), &["input", "constant", "div"]);
    assert_ops((-x).abs().abs(), &["input", "abs"]);
    assert_ops(x.relu().relu(), &["input", "relu"]);
    assert_ops(x.t().matmul(y), &["input", "input", "matmul"]);
    assert_ops(x.matmul(y.t()), &["input", "input", "matmul"]);
    assert!(simplified(x.t().matmul(y)).contains("matmul(x, y, transpose_lhs)"));
    assert_ops(x.broadcast_to([4, 2, 3]).broadcast_to([5, 4, 2, 3]), &["input", "broadcast"]);
    assert_ops(x.slice(0, 1, 2).slice_step(1, 1, 3, 2), &["input", "slice"]);
    assert_ops((!x.less(y)).where_(x, y), &["input", "input", "less", "where"]);
    assert_ops(g.concat(&[x, g.zeros([0, 3], DType::F32)], 0), &["input"]);
}

#[test]
fn equal_nodes_are_shared_whatever_their_operands_order() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [2]), g.input("y", [2]));
    assert_ops((x + y).maximum(y + x), &["input", "input", "add"]);
    assert_ops((x * y).sin().minimum((y * x).sin()), &["input", "input", "mul", "sin"]);
    assert_ops((x - y) * (y - x), &["input", "input", "sub", "sub", "mul"]);
    let step = g.step();
    assert_ops(g.uniform([2], step, 1).maximum(g.uniform([2], step, 1)), &["parameter", "uniform"]);
    assert_ops(g.uniform([2], step, 1) * g.uniform([2], step, 2), &["parameter", "uniform", "uniform", "mul"]);
    // -0 and 0 are equal numbers and other bits: their reciprocals differ.
    let zeros = (x / g.full([2], 0.0, DType::F32)) * (x / g.full([2], -0.0, DType::F32));
    assert_ops(zeros, &["input", "constant", "div", "constant", "div", "mul"]);
    let literals = g.literal([2], [1.0f32, f32::NAN]) * g.literal([2], [1.0f32, f32::NAN]);
    assert_ops(literals, &["literal", "mul"]);
}

#[test]
fn what_stands_in_the_graph_is_cast_at_once() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let weights = x * g.literal([2], [0.1, 3.0]).cast(DType::F32);
    assert_ops(weights, &["input", "literal", "mul"]);
    assert!(!simplified(weights).contains("f64"));
    assert_ops(g.literal([2], [2.9, -1e300]).cast(DType::I32), &["literal"]);
    // What would take more room than it does as it stands.
    assert_ops(x * g.literal([2], [true, false]).cast(DType::F32), &["input", "literal", "cast", "mul"]);
}

#[test]
fn declarations_labels_bounds_and_origins_come_along() {
    let g = Graph::new();
    let removed = g.input("removed", [1]);
    let unused = g.input("unused", [2]);
    let labels = g.input_of("labels", [2], DType::I32);
    let w = g.parameter("w", [3], Init::Constant(1.5));
    let (loss, line) = (w.gather(0, labels).exp().sum(..).named("loss"), line!());
    g.remove(removed.id().unwrap()).unwrap();
    let Optimised { graph, outputs, .. } = passes::optimise(&g, &[loss.id().unwrap()]).unwrap();
    verify(&graph).unwrap();
    let names: Vec<String> = graph.declarations().iter().map(|declaration| declaration.name.clone()).collect();
    assert_eq!(names, ["removed", "unused", "labels", "w"]);
    assert!(graph.node(graph.declarations()[0].node).is_err());
    for (before, after) in g.declarations().iter().zip(graph.declarations().iter()).skip(1) {
        assert_eq!(graph.node(after.node).unwrap().op, g.node(before.node).unwrap().op);
        assert_eq!((&before.kind, before.origin), (&after.kind, after.origin));
    }
    assert_eq!(graph.index_bounds().len(), 1);
    assert_eq!(graph.index_bounds()[0].node, graph.declarations()[2].node);
    assert_eq!(graph.label(outputs[0]).as_deref(), Some("loss"));
    assert_eq!(graph.node(outputs[0]).unwrap().origin.line(), line);
    assert_eq!(unused.graph().len(), g.len());
    // The names are known to the new graph: none can be declared twice.
    let _again = graph.input("w", [1]);
    assert!(graph.check().is_err());
}

#[test]
fn a_graph_with_a_mistake_and_stale_outputs_are_refused() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let y = x.exp().id().unwrap();
    g.remove(y).unwrap();
    assert!(passes::optimise(&g, &[y]).is_err());
    assert!(passes::optimise(&Graph::new(), &[x.id().unwrap()]).is_err());
    let _ = x.reshape([3]);
    assert!(passes::optimise(&g, &[x.id().unwrap()]).is_err());
    g.take_error();
    assert!(passes::optimise(&g, &[x.id().unwrap()]).is_ok());
}

#[test]
fn an_output_may_be_named_twice_or_be_an_input() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let ids = [x, x + 0.0, x.exp(), x].map(|expr| expr.id().unwrap());
    let Optimised { graph, outputs, .. } = passes::optimise(&g, &ids).unwrap();
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[3]);
    assert_eq!(graph.len(), 2);
}

#[test]
fn the_single_passes_do_one_thing_each() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let y = (x.exp() + 0.0) * (x.exp().stop_gradient() * 1.0);
    let _dead = x.sin();
    let output = [y.id().unwrap()];
    let length = |result: Result<Optimised, _>| {
        let Optimised { graph, .. } = result.unwrap();
        verify(&graph).unwrap();
        graph.len()
    };
    assert_eq!(g.len(), 10);
    assert_eq!(length(passes::dce(&g, &output)), 9);
    assert_eq!(length(passes::cse(&g, &output)), 8);
    // x, e^x twice, stop_gradient and the product are left.
    assert_eq!(length(passes::simplify(&g, &output)), 5);
    // x, e^x and the product.
    assert_eq!(length(passes::optimise(&g, &output)), 3);
}

/// A random graph over two inputs, with what the rules look for in it: constants, views of views, repetitions.
fn random_graph<'g>(g: &'g Graph, random: &mut Random) -> Expr<'g> {
    let mut pool = vec![g.input_of("a", [2, 3], DType::F64), g.input_of("b", [2, 3], DType::F64)];
    for value in [0.0, 1.0, -1.0, 2.0] {
        pool.push(g.full([2, 3], value, DType::F64));
    }
    for _ in 0..60 {
        let mut pick = |pool: &[Expr<'g>]| pool[(random.bits() % pool.len() as u64) as usize];
        let (x, y) = (pick(&pool), pick(&pool));
        let next = match random.bits() % 16 {
            0 => x + y,
            1 => x - y,
            2 => x * y,
            3 => x.maximum(y),
            4 => x.minimum(y),
            5 => x.relu_backward(y),
            6 => x.less(y).where_(x, y),
            7 => x.t().reshape([6]).reshape([3, 2]).t(),
            8 => x.t().matmul(y).slice(0, 0, 2).tanh(),
            9 => x.sum_keepdims(0).broadcast_to([2, 3]).tanh(),
            10 => x.pad([(1, 1), (0, 2)], 0.0).slice(0, 1, 3).slice(1, 0, 3),
            11 => g.concat(&[x.slice(0, 0, 1), y.slice(0, 1, 2)], 0),
            12 => (!x.equal(y)).where_(x * 0.5, y),
            13 => x.max_keepdims([0, 1]).broadcast_to([2, 3]) - y,
            14 => x.tanh().powf(3.0) + y.pow(2.0).tanh(),
            _ => {
                use UnaryFunction::{Abs, Floor, Neg, Relu, Tanh};
                x.unary_function([Neg, Abs, Relu, Tanh, Floor][(random.bits() % 5) as usize])
            }
        };
        // Values stay of moderate size, so that rounding stays small against them.
        pool.push(if random.bits().is_multiple_of(3) { next.tanh() } else { next.clamp(Some(-8.0), Some(8.0)) });
    }
    *pool.last().unwrap()
}

#[test]
fn random_graphs_compute_the_same_after_every_pass() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let g = Graph::new();
        let output = random_graph(&g, &mut random);
        let output = output.check().unwrap().id().unwrap();
        let mut elements = Given::new();
        elements.insert("a".to_owned(), random.spread(6, -3.0, 3.0));
        elements.insert("b".to_owned(), vec![0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NAN]);
        let before = &evaluate(&g, &[output], &elements)[0];
        for pass in [passes::dce, passes::cse, passes::simplify, passes::optimise] {
            let Optimised { graph, outputs, .. } = pass(&g, &[output]).unwrap();
            verify(&graph).unwrap();
            let after = &evaluate(&graph, &outputs, &elements)[0];
            for (b, a) in before.iter().zip(after) {
                let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * b.abs().max(1.0);
                assert!(same, "seed {seed}: {before:?} became {after:?}\n{}\n{graph}", g.display_nodes(&[output]));
            }
        }
    }
}

#[test]
fn a_second_run_of_the_passes_finds_little_left() {
    for seed in 0..50 {
        let g = Graph::new();
        let output = random_graph(&g, &mut Random(seed)).id().unwrap();
        let once = passes::optimise(&g, &[output]).unwrap();
        let twice = passes::optimise(&once.graph, &once.outputs).unwrap();
        assert_eq!(
            once.graph.display_nodes(&once.outputs).to_string(),
            twice.graph.display_nodes(&twice.outputs).to_string()
        );
    }
}

#[test]
fn folding_agrees_with_the_definitions() {
    let values = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-3];
    let of_one = UnaryFunction::ALL.map(OpKind::Unary).into_iter();
    for kind in of_one.chain(BinaryFunction::ALL.map(OpKind::Binary)) {
        let g = Graph::new();
        let of = |dtypes: &[DType]| if dtypes.contains(&DType::F64) { DType::F64 } else { dtypes[0] };
        let constant = |value: f64, dtype: DType| match dtype {
            DType::F32 | DType::F64 => g.full([1], value, dtype),
            DType::I32 => g.full([1], f64::from(value as i32), dtype),
            DType::Bool => g.full([1], 1.0, dtype),
        };
        let exprs: Vec<Expr<'_>> = if let OpKind::Unary(function) = kind {
            let dtype = of(function.row().dtypes);
            values.iter().map(|&x| constant(x, dtype).unary_function(function)).collect()
        } else if let OpKind::Binary(function) = kind {
            let dtype = of(function.row().dtypes);
            let pairs = values.iter().flat_map(|&a| values.map(|b| (a, b)));
            pairs.map(|(a, b)| constant(a, dtype).binary_function(function, constant(b, dtype))).collect()
        } else {
            vec![]
        };
        for expr in exprs {
            let output = expr.check().unwrap().id().unwrap();
            let optimised = passes::optimise(&g, &[output]).unwrap();
            assert_eq!(optimised.graph.len(), 1, "{optimised:?}");
            let before = evaluate(&g, &[output], &Given::new())[0][0];
            let after = evaluate(&optimised.graph, &optimised.outputs, &Given::new())[0][0];
            let close = after == before || (after - before).abs() < 1e-15 || (after.is_nan() && before.is_nan());
            assert!(close, "{kind:?}: {before} became {after}\n{g}");
        }
    }
}
