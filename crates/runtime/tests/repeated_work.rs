//! Work of which parts are wanted costs what the parts cost: written again for each part, or behind sums and products.

use arenagrad::{DType, Device, Expr, Graph, Session};

use crate::suite::devices::devices;
use crate::suite::evaluate::Given;
use crate::suite::run::numbers;

/// Operations of all steps of a plan, by what it says of itself.
fn operations(g: &Graph, outputs: &[Expr<'_>]) -> usize {
    let session = Session::evaluate(g, outputs, &Device::cpu()).unwrap_or_else(|error| panic!("{error}"));
    session.plan().steps().iter().map(|step| step.cost.operations).sum()
}

/// What is made of a sequence and a matrix, over and over.
type Work = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

const WORKS: [(&str, Work); 5] = [
    ("a function", |x, _| x.tanh()),
    ("functions of constants", |x, _| (x * 2.0 + 1.0).exp()),
    ("a product", |x, w| x.matmul(w).relu()),
    ("a reduction", |x, _| x - x.mean_keepdims(1)),
    ("a view between", |x, w| x.t().exp().t() * w.sum(0)),
];

/// Runs over the rows of the work: made once, or written again for each row.
fn recurrence<'g>(work: Work, x: Expr<'g>, w: Expr<'g>, is_repeated: bool) -> Expr<'g> {
    let rows = x.shape().expect("a shape")[0];
    let once = work(x, w);
    let row = |i: usize| if is_repeated { work(x, w).select_index(0, i) } else { once.select_index(0, i) };
    (0..rows).fold(w.select_index(0, 0), |sum, i| (sum + row(i)).sin())
}

#[test]
fn the_gradient_of_work_that_is_written_again_for_each_part_is_linear() {
    for (what, work) in WORKS {
        let operations_of = |rows: usize| {
            let g = Graph::new();
            let (x, w) = (g.input("x", [rows, 8]), g.input("w", [8, 8]));
            let [dx, dw] = recurrence(work, x, w, true).sum(..).grad([x, w]).expect("gradients");
            operations(&g, &[dx, dw])
        };
        let (few, many) = (operations_of(32), operations_of(128));
        assert!(many < 5 * few, "{what}: {few} operations for 32 rows, {many} for 128");
    }
}

#[test]
fn work_that_is_written_again_has_the_gradients_of_work_that_is_done_once() {
    for device in devices() {
        for (what, work) in WORKS {
            let g = Graph::new();
            let (x, w) = (g.input("x", [5, 4]), g.input("w", [4, 4]));
            let mut outputs = Vec::new();
            for is_repeated in [false, true] {
                let y = recurrence(work, x, w, is_repeated);
                let first = y.sum(..).grad([x, w]).expect("gradients");
                let second = (first[0].square().sum(..) + first[1].sum(..)).grad([x, w]).expect("second derivatives");
                outputs.extend(first.into_iter().chain(second));
            }
            let numbers_of = |count: usize| (0..count).map(|i| (i as f64 * 0.7).sin()).collect();
            let given = Given::from([("x".to_owned(), numbers_of(20)), ("w".to_owned(), numbers_of(16))]);
            let results = numbers(&g, &outputs, &given, &device);
            let (once, again) = results.split_at(results.len() / 2);
            for (once, again) in once.iter().flatten().zip(again.iter().flatten()) {
                assert!((once - again).abs() <= 1e-4 * once.abs().max(1.0), "{device}: {what}: {again}, not {once}");
            }
        }
    }
}

/// Each receives its own gradient, though both compute the same.
#[test]
fn equal_nodes_whose_gradients_are_wanted_stay_apart() {
    let g = Graph::new();
    let x = g.input("x", [4]);
    let (first, second, third) = (x.exp(), x.exp(), x.exp());
    let y = first.select_index(0, 0) * 2.0 + second.select_index(0, 1) * 3.0 + third.select_index(0, 2) * 5.0;
    let gradients = y.grad([first, second, x]).expect("gradients");
    let given = Given::from([("x".to_owned(), vec![0.0; 4])]);
    let results = numbers(&g, &gradients, &given, &Device::cpu());
    assert_eq!(results[0], [2.0, 0.0, 0.0, 0.0]);
    assert_eq!(results[1], [0.0, 3.0, 0.0, 0.0]);
    assert_eq!(results[2], [2.0, 3.0, 5.0, 0.0]);
    // What nobody needs is not the first of what somebody does.
    let _unused = x.sin();
    let z = x.sin().select_index(0, 1) + x.sin().select_index(0, 3);
    let [gradient] = z.grad([x]).expect("a gradient");
    assert_eq!(numbers(&g, &[gradient], &given, &Device::cpu())[0], [0.0, 1.0, 0.0, 1.0]);
}

/// Of sums and products, too, only what is wanted is computed: the whole would be two thousand million operations and more.
#[test]
fn parts_of_sums_and_products_are_all_that_is_computed() {
    let g = Graph::new();
    let s = g.input("s", []);
    let n = 1000;
    let (row, column) = (g.iota([n, n], 0).cast(DType::F32), g.iota([n, n], 1).cast(DType::F32));
    let a = row * 0.001 + s;
    let b = column * 0.002 - s;
    let stack = g.stack(&[a, b], 0);
    let outputs = [
        a.sum(1).slice(0, 5, 7),
        b.max(0).slice_step(0, 10, 20, 4),
        a.matmul(b).slice(0, 2, 4).slice(1, 7, 10),
        a.t().matmul(b.t()).select_index(0, 3).slice(0, 0, 2),
        stack.matmul(b).select_index(0, 1).slice(0, 1, 2).slice(1, 4, 6),
        (a.matmul(b) + 1.0).sum(1).slice(0, 999, 1000),
    ];
    let found = operations(&g, &outputs);
    // What is left is mostly the elements of `a` and `b`, and of both in one tensor.
    assert!(found < 100_000_000, "{found} operations");
    let whole = |i: f64| 1000.0 * (i * 0.001 + 0.5);
    let of_b = |j: f64| j * 0.002 - 0.5;
    // Rows of `a` and columns of `b` are each one number, so products are these times the other's sums.
    let product = |i: f64, j: f64| whole(i) * of_b(j);
    let sum_of_columns: f64 = (0..n).map(|j| of_b(j as f64)).sum();
    let column_of_a: f64 = (0..n).map(|i| (i as f64 * 0.001 + 0.5) * of_b(i as f64)).sum();
    let expected: [Vec<f64>; 6] = [
        vec![whole(5.0), whole(6.0)],
        vec![of_b(10.0), of_b(14.0), of_b(18.0)],
        [2.0, 3.0].iter().flat_map(|i| [7.0, 8.0, 9.0].map(|j| product(*i, j))).collect(),
        vec![column_of_a; 2],
        [4.0, 5.0].map(|j| (0..n).map(|k| of_b(k as f64) * of_b(j)).sum()).to_vec(),
        vec![whole(999.0) * sum_of_columns + 1000.0],
    ];
    for device in devices() {
        let given = Given::from([("s".to_owned(), vec![0.5])]);
        let results = numbers(&g, &outputs, &given, &device);
        for (number, (found, expected)) in results.iter().zip(&expected).enumerate() {
            let agree = found.len() == expected.len()
                && found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 1e-3 * e.abs().max(1.0));
            assert!(agree, "{device}: output {number}: {found:?}, not {expected:?}");
        }
    }
}

/// What is wanted in parts that are together most of it is computed once.
#[test]
fn parts_that_are_most_of_a_product_are_parts_of_one() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [64, 128]), g.input("w", [128, 4 * 128]));
    let gates = x.matmul(w);
    let three: Vec<Expr<'_>> = (0..3).map(|gate| gates.slice(1, gate * 128, (gate + 1) * 128).tanh()).collect();
    let session = Session::evaluate(&g, &three, &Device::cpu()).expect("a plan");
    let products = session.plan().steps().iter().filter(|step| step.kernel.starts_with("matmul")).count();
    assert_eq!(products, 1, "{}", session.plan());
}

/// What is cheap of each element is not cut apart because a sum or product stands far behind it.
#[test]
fn nearly_all_rows_of_a_norm_or_of_work_behind_a_product_are_rows_of_one() {
    fn norm<'g>(x: Expr<'g>, _: Expr<'g>) -> Expr<'g> {
        x.layer_norm(1, None, None, 1e-5)
    }
    fn hidden<'g>(x: Expr<'g>, w: Expr<'g>) -> Expr<'g> {
        x.matmul(w).relu()
    }
    for of in [norm as for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>, hidden] {
        let operations = |rows: Option<usize>| {
            let g = Graph::new();
            let y = of(g.input("x", [128, 512]), g.input("w", [512, 512]));
            let outputs: Vec<Expr<'_>> = match rows {
                None => vec![y],
                Some(rows) => (0..rows).map(|row| y.slice(0, row, row + 1)).collect(),
            };
            let session = Session::evaluate(&g, &outputs, &Device::cpu()).expect("a plan");
            // Copies of what has been computed are not what is counted.
            let is_copy =
                |step: &arenagrad::plan::PlanStep| step.fused.is_empty() && step.kernel.starts_with("elementwise");
            session.plan().steps().iter().filter(|step| !is_copy(step)).count()
        };
        assert_eq!(operations(Some(126)), operations(None));
    }
}
