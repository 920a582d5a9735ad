//! Operators of numbers on truth values: what PyTorch gives there. Sums are integers; what is added at indices stays a truth value.

use crate::suite::devices::devices;
use crate::suite::evaluate::Given;
use crate::suite::run::numbers;
use arenagrad::{DType, Expr, Graph, ScatterReduction};

type Function = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// The elements of `[2, 4]` that hold.
const TRUTH: [f64; 8] = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0];

#[test]
fn sums_are_integers_and_extremes_truth_values() {
    let cases: &[(&str, Function, DType, &[f64])] = &[
        ("sum", |b| b.sum(..), DType::I32, &[5.0]),
        ("sum over an axis", |b| b.sum(0), DType::I32, &[1.0, 0.0, 2.0, 2.0]),
        ("sum over no axis", |b| b.sum_keepdims(&[] as &[isize]), DType::I32, &TRUTH),
        ("sum of nothing", |b| b.slice(0, 0, 0).sum(..), DType::I32, &[0.0]),
        ("prod", |b| b.prod(0), DType::I32, &[0.0, 0.0, 1.0, 1.0]),
        ("prod of nothing", |b| b.slice(0, 0, 0).prod_keepdims(..), DType::I32, &[1.0]),
        ("max", |b| b.max(0), DType::Bool, &[1.0, 0.0, 1.0, 1.0]),
        ("min", |b| b.min_keepdims(1), DType::Bool, &[0.0, 0.0]),
        ("cumsum", |b| b.cumsum(1), DType::I32, &[1.0, 1.0, 2.0, 3.0, 0.0, 0.0, 1.0, 2.0]),
        ("cumprod", |b| b.cumprod(1), DType::I32, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ("cummax", |b| b.cummax(1).0, DType::Bool, &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]),
        ("the places of cummax", |b| b.cummax(1).1, DType::I32, &[0.0, 0.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]),
        ("cummin", |b| b.cummin(0).0, DType::Bool, &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]),
        ("diff", |b| b.diff(1, 1), DType::Bool, &[1.0, 1.0, 0.0, 0.0, 1.0, 0.0]),
        ("diff twice", |b| b.diff(2, 1), DType::Bool, &[0.0, 1.0, 1.0, 1.0]),
        (
            "diff with what is before",
            |b| b.diff_with(1, 0, Some(b.slice(0, 1, 2)), None),
            DType::Bool,
            &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        ),
    ];
    check(cases);
}

#[test]
fn what_is_added_at_indices_holds_if_one_does() {
    fn row<'g>(b: Expr<'g>, number: usize) -> Expr<'g> {
        b.select_index(0, number)
    }
    fn places<'g>(b: Expr<'g>) -> Expr<'g> {
        b.graph().literal([4], [0, 1, 1, 0])
    }
    /// The second row, scattered onto the first.
    fn scattered<'g>(b: Expr<'g>, reduction: ScatterReduction, include_self: bool) -> Expr<'g> {
        row(b, 0).scatter_reduce(0, places(b), row(b, 1), reduction, include_self)
    }
    use ScatterReduction::{Amax, Amin, Prod, Sum};
    let any: &[f64] = &[1.0, 1.0, 1.0, 1.0];
    let cases: &[(&str, Function, DType, &[f64])] = &[
        ("scatter_add", |b| row(b, 0).scatter_add(0, places(b), row(b, 1)), DType::Bool, any),
        ("index_add", |b| row(b, 0).index_add(0, places(b), row(b, 1), 1.0), DType::Bool, any),
        ("index_add of nothing", |b| row(b, 0).index_add(0, places(b), row(b, 1), 0.0), DType::Bool, &TRUTH[..4]),
        ("index_put", |b| row(b, 0).index_put(&[Some(places(b))], row(b, 1), true), DType::Bool, any),
        ("put", |b| row(b, 0).put(places(b), row(b, 1), true), DType::Bool, any),
        ("sum", |b| scattered(b, Sum, true), DType::Bool, any),
        ("largest", |b| scattered(b, Amax, true), DType::Bool, any),
        ("product", |b| scattered(b, Prod, true), DType::Bool, &[0.0, 0.0, 1.0, 1.0]),
        ("smallest", |b| scattered(b, Amin, true), DType::Bool, &[0.0, 0.0, 1.0, 1.0]),
        ("sum without the target", |b| scattered(b, Sum, false), DType::Bool, any),
        ("product without the target", |b| scattered(b, Prod, false), DType::Bool, &[0.0, 0.0, 1.0, 1.0]),
        (
            "index_reduce",
            |b| row(b, 0).index_reduce(0, places(b), row(b, 1), Prod, true),
            DType::Bool,
            &[0.0, 0.0, 1.0, 1.0],
        ),
    ];
    check(cases);
}

fn check(cases: &[(&str, Function, DType, &[f64])]) {
    for device in devices() {
        let g = Graph::new();
        let b = g.input_of("b", [2, 4], DType::Bool);
        let results: Vec<Expr<'_>> = cases.iter().map(|(_, function, ..)| function(b)).collect();
        g.check().expect("no mistake");
        let given = Given::from([("b".to_owned(), TRUTH.to_vec())]);
        let found = numbers(&g, &results, &given, &device);
        for (((name, _, dtype, expected), result), found) in cases.iter().zip(&results).zip(found) {
            assert_eq!(result.dtype(), Ok(*dtype), "{name}");
            assert_eq!(found, *expected, "{device}: {name}");
        }
    }
}
