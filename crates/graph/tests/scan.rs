//! Loops as nodes: what is in the graph, how it prints, what passes make of it, and derivatives of whole Jacobians.

use arenagrad_graph::{DType, Expr, Graph, Op, ScanOptions, passes, verify};

use crate::evaluate::{evaluate, given};

fn ids(exprs: &[Expr<'_>]) -> Vec<arenagrad_graph::NodeId> {
    exprs.iter().map(|expr| expr.id().unwrap()).collect()
}

/// How many nodes of a kind the outputs need, after all passes.
fn count(graph: &Graph, outputs: &[Expr<'_>], name: &str) -> usize {
    let optimised = passes::optimise(graph, &ids(outputs)).unwrap();
    verify(&optimised.graph).unwrap();
    let nodes = optimised.graph.needed(&optimised.outputs).unwrap();
    nodes.iter().filter(|id| optimised.graph.node(**id).unwrap().op.name() == name).count()
}

#[test]
fn a_loop_prints_its_steps_and_what_each_result_is() {
    let g = Graph::new();
    let (c, x, w) = (g.input("c", [2]), g.input("x", [4, 2]), g.input("w", [2]));
    let options = ScanOptions { reverse: true, ..ScanOptions::default() };
    let scanned = g
        .scan_with(options, &[c], &[x], |c, x| {
            let next = c[0] * w + x[0];
            (vec![next], vec![next])
        })
        .unwrap();
    let text = g.to_string();
    assert!(text.contains("scan(c, x, w, steps=4, final=0, reverse)"), "{text}");
    assert!(text.contains("scan(c, x, w, steps=4, stacked=%4, reverse)"), "{text}");
    // The loop's results, and what it was made of, no more.
    assert_eq!(g.len(), 5);
    assert_eq!(verify(&g), Ok(()));
    let given = given([("c", vec![1.0, 2.0]), ("x", (0..8).map(f64::from).collect()), ("w", vec![0.5, -1.0])]);
    let found = evaluate(&g, &ids(&[scanned.carries[0], scanned.outputs[0]]), &given);
    assert_eq!(found, expected());
}

/// `c = c w + x` from the last element to the first.
fn expected() -> Vec<Vec<f64>> {
    let (mut c, w) = ([1.0, 2.0], [0.5, -1.0]);
    let mut rows = Vec::new();
    for row in (0..4).rev() {
        c = [c[0] * w[0] + f64::from(2 * row), c[1] * w[1] + f64::from(2 * row + 1)];
        rows.push(c.to_vec());
    }
    rows.reverse();
    vec![c.to_vec(), rows.concat()]
}

#[test]
fn what_waits_for_nothing_leaves_the_loop() {
    let g = Graph::new();
    let (h, x) = (g.input("h", [2, 4]), g.input("x", [9, 2, 3]));
    let (wx, wh, b) = (g.input("wx", [3, 4]), g.input("wh", [4, 4]), g.input("b", [4]));
    let scanned = g.scan(&[h], &[x], |h, x| {
        let next = (x[0].matmul(wx) + h[0].matmul(wh) + b).tanh();
        (vec![next], vec![next.matmul(wh)])
    });
    let scanned = scanned.unwrap();
    let results = [scanned.carries[0], scanned.outputs[0]];
    // The product of all elements before it, and that of all outputs behind it.
    assert_eq!((count(&g, &results, "scan"), count(&g, &results, "matmul")), (2, 2));
    let loss = scanned.outputs[0].square().sum(..);
    let gradients = loss.grad([wx, wh, b, x]).unwrap();
    // Gradients of weights are one long product each: of `wx`, and two of `wh`; and one product gives that of `x`.
    let products = count(&g, &gradients, "matmul");
    assert!(products <= 7, "{products}");
    // A map is no loop.
    let mapped = g.scan(&[], &[x], |_, x| (vec![], vec![x[0].matmul(wx).softmax(-1)])).unwrap();
    assert_eq!(count(&g, &mapped.outputs, "scan"), 0);
    // A sum is none either.
    let sum = g.scan(&[g.zeros([3], DType::F32)], &[x], |c, x| (vec![c[0] + x[0].sum([0])], vec![])).unwrap();
    assert_eq!(count(&g, &sum.carries, "scan"), 0);
}

#[test]
fn equal_loops_are_one_and_dead_results_fall_away() {
    let g = Graph::new();
    let (c, x) = (g.input("c", [3]), g.input("x", [6, 3]));
    let scan = || {
        let scanned =
            g.scan(&[c, c.exp()], &[x], |c, x| (vec![(c[0] + x[0]).sin(), c[1] * x[0]], vec![c[0].cos(), c[1] + 1.0]));
        scanned.unwrap()
    };
    let (a, b) = (scan(), scan());
    assert_eq!(count(&g, &[a.carries[0], b.carries[0]], "scan"), 1);
    // The second carry is not needed, nor what it begins with.
    assert_eq!(count(&g, &[a.carries[0]], "exp"), 0);
    let optimised = passes::optimise(&g, &ids(&[a.carries[0]])).unwrap();
    let node = optimised.graph.node(optimised.outputs[0]).unwrap();
    let Op::Scan { body, .. } = node.op else { panic!("a loop") };
    assert_eq!((body.carries(), body.sequences(), body.captured()), (1, 1, 0));
}

#[test]
fn structures_of_equal_loops_are_equal() {
    let structure = |scale: f64| {
        let g = Graph::new();
        let (c, x) = (g.input("c", [3]), g.input("x", [6, 3]));
        let scanned = g.scan(&[c], &[x], |c, x| (vec![(c[0] * scale + x[0]).sin()], vec![])).unwrap();
        g.structure(&ids(&scanned.carries)).unwrap().key().to_vec()
    };
    assert_eq!(structure(2.0), structure(2.0));
    assert_ne!(structure(2.0), structure(3.0));
}

#[test]
fn a_jacobian_of_a_loop_is_that_of_its_steps() {
    let jacobians = |is_loop: bool| {
        let g = Graph::new();
        let (c, x, w) = (
            g.input_of("c", [2], DType::F64),
            g.input_of("x", [3, 2], DType::F64),
            g.input_of("w", [2, 2], DType::F64),
        );
        let (last, all) = if is_loop {
            let scanned = g.scan(&[c], &[x], |c, x| {
                let next = (c[0].matmul(w) + x[0]).tanh();
                (vec![next], vec![next * c[0]])
            });
            let scanned = scanned.unwrap();
            (scanned.carries[0], scanned.outputs[0])
        } else {
            let (mut state, mut rows) = (c, Vec::new());
            for row in 0..3 {
                let next = (state.matmul(w) + x.select_index(0, row)).tanh();
                rows.push((next * state).unsqueeze(0));
                state = next;
            }
            (state, g.concat(&rows, 0))
        };
        let mut results = Vec::new();
        for wrt in [c, x, w] {
            results.push(last.jacobian(wrt).unwrap());
            results.push(all.jacobian(wrt).unwrap());
        }
        let hessian = last.sum(..).hessian(w).unwrap();
        results.push(hessian);
        let given = given([
            ("c", vec![0.3, -0.2]),
            ("x", vec![0.1, 0.5, -0.4, 0.2, 0.7, -0.6]),
            ("w", vec![0.6, -0.3, 0.2, 0.9]),
        ]);
        evaluate(&g, &ids(&results), &given)
    };
    for (found, expected) in jacobians(true).into_iter().zip(jacobians(false)) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}\n{expected:?}");
    }
}
