//! What a loop reads in each step is not repeated for all steps, and what it keeps small stays small; with the values of the steps written
//! one after the other.

use arenagrad::{DType, Device, Expr, Graph, Session};

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::random::Random;
use crate::suite::run::numbers;

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let is_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0));
    assert!(is_close, "{found:?}\n{expected:?}");
}

fn allocated(g: &Graph, outputs: &[Expr<'_>]) -> u64 {
    Session::evaluate(g, outputs, &Device::cpu()).unwrap().plan().memory().allocated_bytes
}

/// A recurrent cell over rows of a table, and its gradients: all in a loop, or one step after the other.
fn words<'g>(g: &'g Graph, [steps, batch, rows, width]: [usize; 4], is_loop: bool) -> Vec<Expr<'g>> {
    let (h, w) = (g.input("h", [batch, width]), g.input("w", [width, width]));
    let (table, words) = (g.input("table", [rows, width]), g.input_of("words", [steps, batch], DType::I32));
    let step = |state: Expr<'g>, word: Expr<'g>| (state.matmul(w) + table.index_select(0, word)).tanh();
    let last = if is_loop {
        g.scan(&[h], &[words], |c, x| (vec![step(c[0], x[0])], vec![])).unwrap().carries[0]
    } else {
        (0..steps).fold(h, |state, n| step(state, words.select_index(0, n)))
    };
    let [dh, dw, dtable] = last.square().sum(..).grad([h, w, table]).unwrap();
    vec![last, dh, dw, dtable]
}

#[test]
fn a_table_is_not_repeated_for_each_step() {
    let of = |steps: usize| {
        let g = Graph::new();
        allocated(&g, &words(&g, [steps, 2, 40_000, 16], true))
    };
    let table = 40_000 * 16 * 4;
    let (short, long) = (of(64), of(512));
    assert!(short < 4 * table, "{short}");
    // States, products and indices of each step, and nothing of the table.
    assert!(long - short < 448 * 2 * 16 * 4 * 16, "{short} {long}");
}

#[test]
fn rows_of_a_table_and_their_gradients_are_right() {
    for device in devices() {
        let mut random = Random(5);
        let given = given([
            ("h", random.floats(6, -0.9, 0.9)),
            ("w", random.floats(9, -0.9, 0.9)),
            ("table", random.floats(15, -0.9, 0.9)),
            ("words", [3, 0, 3, 1, 4, 4, 0, 2].map(f64::from).to_vec()),
        ]);
        let of = |is_loop: bool| {
            let g = Graph::new();
            numbers(&g, &words(&g, [4, 2, 5, 3], is_loop), &given, &device)
        };
        of(true).iter().zip(&of(false)).for_each(|(a, b)| assert_close(a, b));
    }
}

/// What a step looks up in a table `[5, 4, 3]` by indices `[2, 2, 2]` and a carry `[2, 2]`.
type Look = for<'g> fn(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;

const LOOKS: [Look; 6] = [
    // Along each axis, where the other ones are shorter than the table's.
    |table, indices, _| table.gather(0, indices).sum([0]),
    |table, indices, carry| table.gather(1, indices).sum([1]) * carry,
    |table, indices, _| table.gather(2, indices).sum([2]),
    // Two in one step, and a product with the same table.
    |table, indices, carry| {
        let rows = table.reshape([20, 3]);
        let looked = rows.index_select(0, indices).sum([0, 3]) + rows.index_select(0, 19 - indices).sum([1, 3]);
        let scores = carry.reshape([1, 4]).pad([(0, 0), (0, 16)], 0.5).matmul(rows).tanh();
        looked * scores.sum(..)
    },
    // A table that is another one in each step.
    |table, indices, carry| (table * carry.sum(..)).gather(0, indices).sum([1]),
    |table, indices, _| (table * indices.cast(DType::F32).mean(..)).gather(1, indices).sin().sum([2]),
];

/// What comes of three steps that look up, with derivatives.
fn looked<'g>(g: &'g Graph, look: Look, is_loop: bool) -> Vec<Expr<'g>> {
    let (carry, table, seed) = (g.input("carry", [2, 2]), g.input("table", [5, 4, 3]), g.input("seed", [5, 4, 3]));
    let indices = g.input_of("indices", [3, 2, 2, 2], DType::I32);
    let output = |index: Expr<'g>| look(table, index, index.select_index(0, 0).cast(DType::F32));
    let step = |carry: Expr<'g>, index: Expr<'g>| (carry * 0.5 + look(table, index, carry)).sin();
    let (last, all) = if is_loop {
        let looped = g.scan(&[carry], &[indices], |c, x| (vec![step(c[0], x[0])], vec![output(x[0])])).unwrap();
        (looped.carries[0], looped.outputs[0])
    } else {
        let (mut state, mut rows) = (carry, Vec::new());
        for n in 0..3 {
            let index = indices.select_index(0, n);
            rows.push(output(index));
            state = step(state, index);
        }
        (state, g.stack(&rows, 0))
    };
    let value = last.square().sum(..) + all.cos().sum(..);
    let [dcarry, dtable] = value.grad([carry, table]).unwrap();
    let [second] = (dtable * seed).sum(..).grad([table]).unwrap();
    let tangent = all.jvp([table], [seed]).unwrap();
    let jacobians = [all, last].map(|y| y.jacobian(table).unwrap());
    [vec![last, all, dcarry, dtable, second, tangent], jacobians.to_vec()].concat()
}

#[test]
fn tables_are_read_along_any_axis() {
    for device in devices() {
        let mut random = Random(3);
        let indices: Vec<f64> = (0..24).map(|n| f64::from((n * 7 + n / 5) % 3)).collect();
        let given: Given = given([
            ("carry", random.floats(4, 0.1, 0.9)),
            ("table", random.floats(60, -0.9, 0.9)),
            ("indices", indices),
            ("seed", random.floats(60, -0.9, 0.9)),
        ]);
        for look in LOOKS {
            let of = |is_loop: bool| {
                let g = Graph::new();
                numbers(&g, &looked(&g, look, is_loop), &given, &device)
            };
            of(true).iter().zip(&of(false)).for_each(|(a, b)| assert_close(a, b));
        }
    }
}

#[cfg(feature = "linear_algebra")]
#[test]
fn a_matrix_is_decomposed_once_for_all_steps() {
    let g = Graph::new();
    let (a, b) = (g.input("a", [64, 64]), g.input("b", [512, 64]));
    let solved = g.scan(&[], &[b], |_, b| (vec![], vec![a.solve(b[0].unsqueeze(-1))])).unwrap().outputs[0];
    let bytes = allocated(&g, &[solved]);
    assert!(bytes < 512 * 64 * 4 * 6, "{bytes}");

    let g = Graph::new();
    let (a, b) = (g.input_of("a", [2, 3, 3], DType::F64), g.input_of("b", [4, 2, 3, 2], DType::F64));
    let looped = g.scan(&[], &[b], |_, b| (vec![], vec![a.solve(b[0])])).unwrap().outputs[0];
    let straight = g.stack(&[0, 1, 2, 3].map(|n| a.solve(b.select_index(0, n))), 0);
    let mut random = Random(9);
    let mut matrices = random.floats(18, -0.3, 0.3);
    (0..18).filter(|n| n % 9 % 4 == 0).for_each(|n| matrices[n] += 1.0);
    let given = given([("a", matrices), ("b", random.floats(48, -0.9, 0.9))]);
    let mut results = Vec::new();
    for solved in [looped, straight] {
        let [da, db] = solved.sin().sum(..).grad([a, b]).unwrap();
        results.extend([solved, da, db]);
    }
    let found = numbers(&g, &results, &given, &Device::cpu());
    (0..3).for_each(|n| assert_close(&found[n], &found[n + 3]));
}

#[test]
fn what_is_sorted_is_searched_for_all_steps() {
    for device in devices() {
        let g = Graph::new();
        let (sorted, rows) = (g.input("sorted", [5]), g.input("rows", [2, 4]));
        let x = g.input("x", [3, 2, 2]);
        let looped = g.scan(&[], &[x], |_, x| {
            let scalar = x[0].select_index(0, 1).select_index(0, 0);
            let outputs =
                [sorted.searchsorted(x[0], false), sorted.searchsorted(scalar, true), rows.searchsorted(x[0], true)];
            (vec![], outputs.to_vec())
        });
        let looped = looped.unwrap().outputs;
        let each = |search: &dyn Fn(Expr<'_>) -> Vec<f64>| {
            (0..3).flat_map(|n| search(x.select_index(0, n))).collect::<Vec<f64>>()
        };
        let given = given([
            ("sorted", vec![-0.8, -0.1, 0.0, 0.4, 0.9]),
            ("rows", vec![-0.5, 0.0, 0.1, 0.2, 0.0, 0.3, 0.5, 0.7]),
            ("x", vec![0.1, -0.9, 0.0, 0.3, 0.5, 1.0, -0.1, 0.6, 0.2, 0.0, 0.9, -0.3]),
        ]);
        let run = |expr: Expr<'_>| numbers(&g, &[expr.cast(DType::F32)], &given, &device).remove(0);
        assert_eq!(run(looped[0]), each(&|x| run(sorted.searchsorted(x, false))), "{device}");
        let scalar = |x: Expr<'_>| run(sorted.searchsorted(x.select_index(0, 1).select_index(0, 0), true));
        assert_eq!(run(looped[1]), each(&scalar), "{device}");
        assert_eq!(run(looped[2]), each(&|x| run(rows.searchsorted(x, true))), "{device}");
    }
}

/// Attention of one chunk of queries after the other.
fn chunked(g: &Graph, [chunks, queries, keys]: [usize; 3]) -> [Expr<'_>; 4] {
    let q = g.input("q", [chunks, queries, 8]);
    let (k, v) = (g.input("k", [keys, 8]), g.input("v", [keys, 8]));
    let scanned = g.scan(&[], &[q], |_, q| (vec![], vec![q[0].matmul(k.t()).softmax(-1).matmul(v)]));
    [scanned.unwrap().outputs[0], q, k, v]
}

#[test]
fn scores_of_one_chunk_after_the_other_do_not_stand_side_by_side() {
    let g = Graph::new();
    let [attended, ..] = chunked(&g, [32, 64, 2048]);
    let bytes = allocated(&g, &[attended]);
    let scores = 64 * 2048 * 4;
    assert!(bytes < 6 * scores, "{bytes}");
    // What is small is done at once, and right either way.
    let mut random = Random(17);
    for extents in [[3, 4, 5], [24, 32, 1600]] {
        let g = Graph::new();
        let [attended, q, k, v] = chunked(&g, extents);
        let whole = q.matmul(k.t()).softmax(-1).matmul(v);
        let [chunks, queries, keys] = extents;
        let mut of = |count: usize| random.floats(count, -0.9, 0.9);
        let given = given([("q", of(chunks * queries * 8)), ("k", of(keys * 8)), ("v", of(keys * 8))]);
        let mut results = Vec::new();
        for attended in [attended, whole] {
            let [dq, dk, dv] = (attended * attended.exp()).sum(..).grad([q, k, v]).unwrap();
            results.extend([attended, dq, dk, dv]);
        }
        let found = numbers(&g, &results, &given, &Device::cpu());
        (0..4).for_each(|n| assert_close(&found[n], &found[n + 4]));
    }
}

#[test]
fn a_sum_of_large_terms_is_added_up_step_by_step() {
    // In each step scores of all pairs, of which a carry keeps the sum of products with them.
    let g = Graph::new();
    let (x, k) = (g.input("x", [64, 32, 4]), g.input("k", [2048, 4]));
    let zeros = g.zeros([2048, 4], DType::F32);
    let scanned = g.scan(&[zeros], &[x], |c, x| {
        let scores = x[0].matmul(k.t()).sigmoid();
        (vec![c[0] + scores.t().matmul(x[0])], vec![])
    });
    let sum = scanned.unwrap().carries[0];
    let bytes = allocated(&g, &[sum]);
    assert!(bytes < 8 * 32 * 2048 * 4, "{bytes}");
    let all = x.reshape([2048, 4]);
    let straight = all.matmul(k.t()).sigmoid().t().matmul(all);
    let mut random = Random(23);
    let given = given([("x", random.floats(64 * 32 * 4, -0.9, 0.9)), ("k", random.floats(2048 * 4, -0.9, 0.9))]);
    let found = numbers(&g, &[sum, straight], &given, &Device::cpu());
    let is_close = found[0].iter().zip(&found[1]).all(|(a, b)| (a - b).abs() <= 1e-4 * b.abs().max(10.0));
    assert!(is_close);
}

#[test]
fn the_products_of_a_cell_leave_the_loop_however_long_it_is() {
    // Four gates of a wide state over a narrow sequence: larger than the sequence, and no larger than the states that are wanted.
    let g = Graph::new();
    let (x, h) = (g.input("x", [400, 4, 32]), g.input("h", [4, 128]));
    let (of_input, of_state) = (g.input("of_input", [32, 512]), g.input("of_state", [128, 512]));
    let scanned = g.scan(&[h], &[x], |h, x| {
        let gates = x[0].matmul(of_input) + h[0].matmul(of_state);
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| gates.slice(1, 128 * n, 128 * (n + 1)).tanh());
        let next = a * h[0] + b * c - d;
        (vec![next], vec![next])
    });
    let text = Session::evaluate(&g, &scanned.unwrap().outputs, &Device::cpu()).unwrap().plan().to_string();
    assert!(text.contains("matmul 1600x32x512"), "{text}");
}
