//! How work grows with a graph: what is computed is counted, and where only time shows it, one run over eight times as many of
//! something may take three times as long as eight runs. What is quadratic takes eight times as long.

mod differences;
mod evaluate;

use std::time::{Duration, Instant};

use arenagrad_graph::{Assembly, DType, Dot, Expr, Graph, Indexing, Init, Leaf, Mode, NodeId, Op, passes, verify};
use differences::{Case, check};
use evaluate::{Given, evaluate};

/// The elements that a plan of these outputs computes or copies: views cost nothing, and a scatter its updates.
fn computed(graph: &Graph, outputs: &[NodeId]) -> usize {
    let optimised = passes::optimise(graph, outputs).unwrap();
    verify(&optimised.graph).unwrap();
    let nodes = optimised.graph.needed(&optimised.outputs).unwrap();
    let cost = |id: NodeId| {
        let node = optimised.graph.node(id).unwrap();
        match node.op {
            Op::Leaf(Leaf::Input { .. } | Leaf::Parameter { .. } | Leaf::Constant { .. })
            | Op::Leaf(Leaf::Literal { .. } | Leaf::Iota { .. }) => 0,
            Op::View { .. } => 0,
            Op::Indexing(Indexing::ScatterAdd { updates, .. } | Indexing::ScatterReduce { updates, .. }) => {
                optimised.graph.node(updates).unwrap().shape.elements()
            }
            Op::Reduce { operand, .. } => optimised.graph.node(operand).unwrap().shape.elements(),
            Op::Uniform { .. }
            | Op::Leaf(Leaf::Placeholder)
            | Op::Elementwise(_)
            | Op::StopGradient { .. }
            | Op::AllReduce { .. }
            | Op::CustomGradient { .. }
            | Op::Assembly(_)
            | Op::ArgMax { .. }
            | Op::Ordered(_)
            | Op::MatMul { .. }
            | Op::Attention(_)
            | Op::LinearAlgebra { .. }
            | Op::Convolution { .. }
            | Op::Indexing(Indexing::Gather { .. })
            | Op::Scan { .. } => node.shape.elements(),
        }
    };
    nodes.into_iter().map(cost).sum()
}

type Parts = for<'g> fn(Expr<'g>, usize) -> Expr<'g>;

fn sum<'g>(graph: &'g Graph, parts: impl Iterator<Item = Expr<'g>>) -> Expr<'g> {
    parts.fold(graph.zeros([], DType::F64), |sum, part| (sum + part.tanh()).sin())
}

fn flat<'g>(graph: &'g Graph, parts: impl Iterator<Item = Expr<'g>>) -> Expr<'g> {
    parts.fold(graph.zeros([], DType::F64), |sum, part| sum + part.tanh().sum(..))
}

/// Uses of parts of `x`, of shape `[3, 8 k, 4]`, whose elements together are about as many as those of `x`, or a few times so.
const PARTS: [(&str, Parts); 21] = [
    ("selects", |x, t| sum(x.graph(), (0..t).map(|i| x.select_index(1, i)))),
    ("selects in another order", |x, t| sum(x.graph(), (0..t).map(|i| x.select_index(1, i * 7 % t)))),
    ("chunks", |x, t| sum(x.graph(), (0..t / 4).map(|i| x.slice(1, 4 * i, 4 * i + 4)))),
    ("splits of several lengths", |x, t| flat(x.graph(), (0..t / 4).map(|i| x.slice(1, 4 * i, 4 * i + 1 + i % 4)))),
    ("few far apart", |x, t| sum(x.graph(), [0, t - 1].into_iter().map(|i| x.select_index(1, i)))),
    ("windows that overlap", |x, t| sum(x.graph(), (0..t - 3).map(|i| x.slice(1, i, i + 4)))),
    ("the same part again and again", |x, t| sum(x.graph(), (0..t).map(|i| x.select_index(1, i % 2)))),
    ("a part and the whole", |x, t| x.sin().sum(..) + sum(x.graph(), (0..t).map(|i| x.select_index(1, i))).sum(..)),
    ("steps", |x, t| sum(x.graph(), (0..t / 4).map(|i| x.slice_step(1, i, t, t / 4)))),
    ("steps, some of them", |x, t| sum(x.graph(), (0..t / 4).step_by(2).map(|i| x.slice_step(1, i, t - 1, t / 4)))),
    ("steps and boxes", |x, t| {
        let steps = sum(x.graph(), (0..t / 4).map(|i| x.slice_step(1, i, t, t / 4)));
        steps.sum(..) + sum(x.graph(), (0..t).map(|i| x.select_index(1, i))).sum(..)
    }),
    ("slices of slices", |x, t| sum(x.graph(), (0..t).map(|i| x.select_index(1, i).slice(1, i % 4, i % 4 + 1)))),
    ("peeled", |x, t| {
        let (mut rest, mut parts) = (x, Vec::new());
        for i in 0..t {
            parts.push(rest.select_index(1, 0));
            rest = if i + 1 < t { rest.slice(1, 1, t - i) } else { rest };
        }
        sum(x.graph(), parts.into_iter())
    }),
    ("of transposes", |x, t| sum(x.graph(), (0..t).map(|i| x.permute([1, 2, 0]).select_index(0, i)))),
    ("of reshapes", |x, t| sum(x.graph(), (0..3 * t).map(|i| x.flatten().slice(0, 4 * i, 4 * i + 4)))),
    ("of rows", |x, t| sum(x.graph(), (0..t).map(|i| x.permute([1, 0, 2]).reshape([t, 12]).select_index(0, i)))),
    ("of repetitions", |x, t| {
        let row = x.slice(1, 0, 1);
        sum(x.graph(), (0..t).map(|i| row.broadcast_to([3, t, 4]).select_index(1, i)))
    }),
    ("cells", |x, t| flat(x.graph(), (0..3 * t).map(|i| x.select_index(0, i % 3).select_index(0, i / 3)))),
    ("corners", |x, t| {
        let side = t.isqrt();
        let square = x.select_index(0, 0).flatten().slice(0, 0, side * side).reshape([side, side]);
        let bands = (0..side).flat_map(|i| [square.slice(0, i, i + 1), square.slice(1, i, i + 1)]);
        flat(x.graph(), bands)
    }),
    ("beginnings", |x, t| {
        let side = (2 * t).isqrt();
        flat(x.graph(), (1..side).map(|i| x.slice(1, 0, i)))
    }),
    ("gathers", |x, t| {
        let index = |i: usize| x.graph().full([3, 1, 4], i as f64, DType::I32);
        sum(x.graph(), (0..t).map(|i| x.gather(1, index(i * 5 % t))))
    }),
];

#[test]
fn gradients_of_parts_are_right() {
    for (name, parts) in PARTS {
        check(name, &Case::new(&[(vec![3, 8, 4], 0.2, 1.5)], move |_, x| parts(x[0], 8)));
        check(name, &Case::new(&[(vec![3, 16, 4], 0.2, 1.5)], move |_, x| parts(x[0].sin(), 16)));
    }
}

/// The gradient with respect to a node in the midst of slices is all of it, though they pass theirs on to the first.
#[test]
fn what_is_wanted_in_the_midst_of_slices_gets_all_of_its_gradient() {
    let g = Graph::new();
    let x = g.input_of("x", [6], DType::F64);
    let middle = x.slice(0, 1, 5);
    let inner = middle.slice(0, 1, 3);
    let y = (inner.square().sum(..) + middle.square().sum(..)) + x.square().sum(..);
    let [dx, dm, di] = y.grad([x, middle, inner]).unwrap();
    let ids = [dx, dm, di].map(|gradient| gradient.id().unwrap());
    let given = Given::from([("x".to_owned(), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
    let expected = vec![vec![2.0, 8.0, 18.0, 24.0, 20.0, 12.0], vec![4.0, 12.0, 16.0, 10.0], vec![6.0, 8.0]];
    assert_eq!(evaluate(&g, &ids, &given), expected);
}

#[test]
fn parts_of_no_elements_pass_nothing_back() {
    let g = Graph::new();
    let x = g.input_of("x", [4, 2], DType::F64);
    let empty = x.slice(0, 2, 2);
    let y = empty.sum(..) + empty.slice(1, 0, 1).tanh().sum(..);
    let [dx, de] = y.grad([x, empty]).unwrap();
    assert_eq!((dx.shape().unwrap().dims(), de.shape().unwrap().dims()), (&[4, 2][..], &[0, 2][..]));
    let both = y + x.slice(0, 1, 2).sum(..);
    let [dx] = both.grad([x]).unwrap();
    let given = Given::from([("x".to_owned(), vec![1.0; 8])]);
    assert_eq!(evaluate(&g, &[dx.id().unwrap()], &given), [[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]);
}

/// Eight times as many parts of a tensor eight times as large: eight times the work, and a little more where halves of halves are
/// added.
#[test]
fn the_work_of_gradients_of_parts_is_near_linear() {
    for (name, parts) in PARTS {
        let work = |t: usize| {
            let g = Graph::new();
            let x = g.input_of("x", [3, t, 4], DType::F64);
            let y = parts(x, t).sum(..);
            let [first] = y.grad([x]).unwrap();
            let along = first.jvp([x], [x]).unwrap();
            let [second] = (first * x).sum(..).grad([x]).unwrap();
            [first, along, second].map(|gradient| (gradient.graph().len(), computed(&g, &[gradient.id().unwrap()])))
        };
        for (order, (few, many)) in work(32).into_iter().zip(work(256)).enumerate() {
            assert!(many.1 <= 14 * few.1, "{name}, {order}: {} elements, then {}", few.1, many.1);
            assert!(many.0 <= 14 * few.0, "{name}, {order}: {} nodes, then {}", few.0, many.0);
        }
    }
}

#[test]
fn parts_that_do_not_overlap_are_concatenated_once() {
    let g = Graph::new();
    let x = g.input("x", [4, 100, 5]);
    let y = (0..100).fold(g.zeros([4, 5], DType::F32), |sum, i| (sum + x.select_index(1, 99 - i)).tanh());
    let [gradient] = y.sum(..).grad([x]).unwrap();
    let id = gradient.id().unwrap();
    let Op::Assembly(Assembly::Concat { operands, axis }) = g.node(id).unwrap().op else {
        panic!("{}", g.display(&[gradient]))
    };
    assert_eq!((operands.len(), axis), (100, 1));
    let is_pad = |id: &NodeId| matches!(g.node(*id).unwrap().op, Op::Assembly(Assembly::Pad { .. }));
    assert!(!g.needed(&[id]).unwrap().iter().any(is_pad));
}

/// What a few elements of something vast cost.
fn of_few(build: impl for<'g> Fn(&'g Graph, usize) -> Expr<'g>) {
    let small = Graph::new();
    let output = build(&small, 90).check().unwrap();
    let optimised = passes::optimise(&small, &[output.id().unwrap()]).unwrap();
    let given = Given::from([("x".to_owned(), (0..90).map(|i| f64::from(i) / 7.0).collect())]);
    let expected = evaluate(&small, &[output.id().unwrap()], &given);
    assert_eq!(evaluate(&optimised.graph, &optimised.outputs, &given), expected, "\n{}", optimised.graph);

    let vast = Graph::new();
    let output = build(&vast, 40_000).check().unwrap();
    let work = computed(&vast, &[output.id().unwrap()]);
    assert!(work <= 2_000, "{work} elements\n{}", vast.display(&[output]));
    let optimised = passes::optimise(&vast, &[output.id().unwrap()]).unwrap();
    for id in optimised.graph.needed(&optimised.outputs).unwrap() {
        let node = optimised.graph.node(id).unwrap();
        assert!(node.shape.elements() <= 40_000, "{}\n{}", node.shape, optimised.graph);
    }
}

#[test]
fn of_something_vast_only_what_is_wanted_is_computed() {
    of_few(|g, n| g.iota([n, n], 0).slice(0, 3, 4).slice(1, 5, 7));
    of_few(|g, n| g.iota([n, n], 1).slice(0, 3, 4).slice_step(1, 5, 40, 7));
    of_few(|g, n| g.iota([n, n], 1).t().slice(0, 10, 14).slice_step(1, 0, 9, 2));
    of_few(|g, n| g.iota([n], 0).unsqueeze(1).broadcast_to([n, n]).slice(0, 7, 9).slice(1, 7, 9));
    of_few(|g, n| g.iota([n * 100], 0).reshape([n, 100]).select_index(0, 11));
    of_few(|g, n| g.iota([n, 100], 0).flatten().slice(0, 300, 500));
    of_few(|g, n| g.iota([n, n], 0).greater_equal(g.iota([n, n], 1)).slice(0, 20, 24).slice(1, 19, 30));
    of_few(|g, n| g.ones([n, n], DType::F32).tril(0).slice(0, 20, 24).slice(1, 19, 30));
    of_few(|g, n| (g.iota([n, n], 0).cast(DType::F32) * 2.0 + 1.0).exp().t().slice(0, 0, 3).select_index(1, 5));
    of_few(|g, n| {
        let x = g.input("x", [n]);
        let outer = (x.unsqueeze(1) * x.unsqueeze(0) + 1.0).tanh();
        outer.select_index(0, 3).slice(0, 1, 5) + outer.select_index(1, 4).slice(0, 2, 6)
    });
    of_few(|g, n| {
        g.input("x", [n]).unsqueeze(0).broadcast_to([n, n]).sin().stop_gradient().slice(0, 1, 2).slice(1, 0, 9)
    });
    of_few(|g, n| {
        let square = g.iota([n, n], 0).cast(DType::F64).exp().reshape([n * n]);
        let (empty, few) = (square.slice(0, 5, 5), square.slice(0, 5, 7));
        empty.sum(..) + few.sum(..)
    });
    of_few(|g, n| {
        let numbers: Vec<f32> = (0..100 * n).map(|i| (i % 1000) as f32 / 100.0).collect();
        g.literal([numbers.len() / 4, 4], numbers).exp().slice(0, 7, 30).slice_step(1, 1, 4, 2)
    });
    of_few(|g, n| g.input("x", [n]).pad([(n, 2 * n)], 0.5).slice_step(0, n + 3, n + 20, 3));
    of_few(|g, n| g.input("x", [n]).pad([(n, 2 * n)], 0.5).slice(0, 3, 8));
    of_few(|g, n| {
        let x = g.input("x", [n]);
        g.concat(&[x, x.sin(), x], 0).slice(0, 2 * n + 4, 2 * n + 9)
    });
}

/// Work of which much is wanted is not done for each slice again.
#[test]
fn what_many_slices_want_is_computed_once() {
    let g = Graph::new();
    let x = g.input("x", [200, 200]);
    let y = x.exp();
    let parts: Vec<NodeId> = (0..150).map(|i| y.slice(0, i, i + 50).id().unwrap()).collect();
    assert_eq!(computed(&g, &parts), 200 * 200);
    let rest = y.slice(0, 0, 1).id().unwrap();
    assert_eq!(computed(&g, &[y.id().unwrap(), rest]), 200 * 200);
}

/// How long work takes on so many things that were prepared for it.
fn time<T>(runs: usize, prepare: impl Fn() -> T, work: impl Fn(&mut T)) -> Duration {
    let mut prepared: Vec<T> = (0..runs).map(|_| prepare()).collect();
    let start = Instant::now();
    prepared.iter_mut().for_each(work);
    start.elapsed()
}

/// Holds one run over `8 few` against eight over `few`, as long as each other if time is linear, so that a busy machine hinders
/// both alike. It is tried again where it hindered the one: what is quadratic exceeds the bound each time.
fn assert_near_linear(what: &str, few: usize, time_of: impl Fn(usize, usize) -> Duration) {
    let mut measured = Vec::new();
    for _ in 0..10 {
        let (eight, one) = (time_of(8, few), time_of(1, 8 * few));
        if one < 3 * eight {
            return;
        }
        measured.push((eight, one));
    }
    panic!("{what}: eight times {few}, and {}: {measured:?}", 8 * few);
}

#[test]
fn literals_are_told_apart_in_near_linear_time() {
    assert_near_linear("literals", 1_000, |runs, n| {
        let prepare = || {
            let g = Graph::new();
            let sum = (0..n).fold(g.zeros([2], DType::F32), |sum, i| sum + g.literal([2], vec![i as f32, 1.0]));
            let output = sum.id().unwrap();
            (g, output)
        };
        time(runs, prepare, |(g, output)| drop(passes::cse(g, &[*output]).unwrap()))
    });
}

#[test]
fn nodes_are_removed_in_near_linear_time() {
    assert_near_linear("removals", 10_000, |runs, n| {
        let prepare = || {
            let g = Graph::new();
            let nodes: Vec<NodeId> = (0..n).map(|_| g.scalar(1.0).id().unwrap()).collect();
            (g, nodes)
        };
        time(runs, prepare, |(g, nodes)| nodes.iter().for_each(|id| g.remove(*id).unwrap()))
    });
}

#[test]
fn a_graph_from_which_nodes_were_removed_is_whole() {
    let g = Graph::new();
    let x = g.input_of("x", [], DType::F64);
    let (first, second) = (x.sin(), x.cos());
    let mark = g.mark();
    let third = second.exp();
    g.remove(first.id().unwrap()).unwrap();
    assert_eq!((g.len(), g.ids().len(), g.ordinal_bound()), (3, 3, 4));
    verify(&g).unwrap();
    let [gradient] = third.grad([x]).unwrap();
    let at = 0.5f64;
    let given = Given::from([("x".to_owned(), vec![at])]);
    assert!((evaluate(&g, &[gradient.id().unwrap()], &given)[0][0] + at.sin() * at.cos().exp()).abs() < 1e-15);
    assert!(first.id().is_err() && g.display(&[third]).to_string().contains("exp"));
    g.rewind(mark).unwrap();
    assert_eq!((g.len(), second.id().is_ok(), third.id().is_err()), (2, true, true));
    g.retain(&[second.id().unwrap()]).unwrap();
    assert_eq!(g.ordinal_bound(), 2);
    verify(&g).unwrap();
}

#[test]
fn index_bounds_are_kept_and_found_in_near_linear_time() {
    assert_near_linear("bounds", 500, |runs, n| {
        time(runs, Graph::new, |g| {
            let table = g.input("table", [7]);
            let rows = (0..n).map(|i| table.gather(0, g.input_of(format!("i{i}"), [3], DType::I32)).sum(..));
            let output = rows.fold(g.scalar(0.0), |sum, row| sum + row).id().unwrap();
            assert_eq!(g.index_bounds().len(), n);
            let _ = g.structure(&[output]).unwrap();
            let _ = g.extract(&[output]).unwrap();
        })
    });
}

/// A bound of an input that was removed is gone, and those that came after a mark go with it.
#[test]
fn bounds_of_removed_inputs_are_gone() {
    let g = Graph::new();
    let table = g.input("table", [7]);
    let index = |name: &str| g.input_of(name, [3], DType::I32);
    let removed = index("a");
    let gathered = table.gather(0, removed);
    let mark = g.mark();
    let _ = table.gather(0, index("b"));
    assert_eq!(g.index_bounds().len(), 2);
    g.remove(gathered.id().unwrap()).unwrap();
    g.remove(removed.id().unwrap()).unwrap();
    assert_eq!(g.index_bounds().len(), 1);
    g.rewind(mark).unwrap();
    assert!(g.index_bounds().is_empty());
    verify(&g).unwrap();
    let _ = table.gather(0, index("b"));
    assert_eq!(g.index_bounds().len(), 1);
}

#[test]
fn jacobians_by_many_inputs_take_near_linearly_many_nodes() {
    let nodes = |n: usize| {
        let g = Graph::new();
        let xs: Vec<_> = (0..n).map(|i| g.parameter_of(format!("x{i}"), [], DType::F64, Init::Constant(1.0))).collect();
        let y = xs.iter().fold(g.zeros([3], DType::F64), |sum, x| (sum + x.tanh()).sin());
        let before = g.len();
        g.jacobians(y, &xs, Some(Mode::Forward)).unwrap();
        verify(&g).unwrap();
        g.len() - before
    };
    let (few, many) = (nodes(64), nodes(512));
    assert!(many < 14 * few, "{few}, then {many}");
}

/// Inputs that are swept together have the Jacobians that reverse mode gives them.
#[test]
fn jacobians_by_many_inputs_are_those_of_reverse_mode() {
    let g = Graph::new();
    let mut given = Given::new();
    let shapes: [&[usize]; 3] = [&[], &[2], &[2, 1]];
    let xs: Vec<Expr<'_>> = (0..40)
        .map(|i| {
            let (name, shape) = (format!("x{i}"), shapes[i % 3].to_vec());
            let x = g.input_of(&name, shape, DType::F64);
            let elements = x.shape().unwrap().elements();
            given.insert(name, (0..elements).map(|j| 0.3 + (i + 2 * j) as f64 / 20.0).collect());
            x
        })
        .collect();
    let y = xs.iter().fold(g.zeros([2, 2], DType::F64), |sum, x| (sum * *x).sin() + x.tanh());
    let values = |mode| {
        let jacobians = g.jacobians(y, &xs, Some(mode)).unwrap();
        let shapes: Vec<_> = jacobians.iter().map(|jacobian| jacobian.shape().unwrap()).collect();
        let ids: Vec<NodeId> = jacobians.iter().map(|jacobian| jacobian.id().unwrap()).collect();
        (shapes, evaluate(&g, &ids, &given).concat())
    };
    let (forward, reverse) = (values(Mode::Forward), values(Mode::Reverse));
    assert_eq!(forward.0, reverse.0);
    for (left, right) in forward.1.iter().zip(&reverse.1) {
        assert!((left - right).abs() < 1e-12 * (1.0 + left.abs()), "{left} and {right}");
    }
}

#[test]
fn many_outputs_are_drawn_in_near_linear_time() {
    assert_near_linear("outputs", 500, |runs, n| {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let outputs: Vec<_> = (0..n).map(|i| (x + i as f64).tanh()).collect();
        time(runs, || (), |()| drop(Dot::of(&g, &outputs).to_string()))
    });
}
