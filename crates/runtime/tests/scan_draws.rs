//! Loops that draw random numbers, within loops and within Jacobians.

use arenagrad::{DType, Expr, Graph, ScanOptions};

use crate::suite::devices::devices;
use crate::suite::evaluate::given;
use crate::suite::run::numbers;

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let is_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0));
    assert!(is_close, "{found:?}\n{expected:?}");
}

const THREE: ScanOptions = ScanOptions { reverse: false, length: Some(3) };

/// Three draws by a counter, each added to half of what was before.
fn drawn<'g>(g: &'g Graph, x: Expr<'g>) -> Expr<'g> {
    let zero = g.zeros([], DType::I32);
    let inner =
        g.scan_with(THREE, &[zero, x], &[], |c, _| (vec![c[0] + 1, c[1] * 0.5 + g.uniform([4], c[0], 7)], vec![]));
    inner.unwrap().carries[1]
}

fn straight<'g>(g: &'g Graph, x: Expr<'g>) -> Expr<'g> {
    (0..3).fold(x, |x, step| x * 0.5 + g.uniform([4], g.literal([], [step]), 7))
}

#[test]
fn a_loop_may_draw_within_a_loop() {
    for device in devices() {
        let g = Graph::new();
        let (c, x) = (g.input("c", [4]), g.input("x", [5, 4]));
        // Once a loop within the loop, once a loop within that.
        let looped = g.scan(&[c], &[x], |c, x| (vec![c[0] * drawn(&g, x[0])], vec![])).unwrap();
        let deeper = g.scan(&[c], &[x.unsqueeze(1)], |c, rows| {
            let each = g.scan(&[], &[rows[0]], |_, row| (vec![], vec![drawn(&g, row[0])])).unwrap();
            (vec![c[0] * each.outputs[0].sum([0])], vec![])
        });
        let straight = (0..5).fold(c, |c, n| c * straight(&g, x.select_index(0, n)));
        let mut results = Vec::new();
        for last in [looped.carries[0], deeper.unwrap().carries[0], straight] {
            let [dc, dx] = last.sin().sum(..).grad([c, x]).unwrap();
            results.extend([last, dc, dx]);
        }
        let values = (0..20).map(|n| f64::from(n) * 0.05 - 0.4).collect();
        let given = given([("c", vec![0.9, -0.8, 0.5, 1.1]), ("x", values)]);
        let found = numbers(&g, &results, &given, &device);
        for n in 0..3 {
            assert_close(&found[n], &found[n + 6]);
            assert_close(&found[n + 3], &found[n + 6]);
        }
    }
}

#[test]
fn a_jacobian_of_a_loop_that_draws_is_that_of_its_steps() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [4]);
        let mut results = Vec::new();
        for y in [drawn(&g, x.sin()).square(), straight(&g, x.sin()).square()] {
            results.extend([y.jacobian(x).unwrap(), y.sum(..).hessian(x).unwrap()]);
        }
        let given = given([("x", vec![0.3, -0.2, 0.7, 1.1])]);
        let found = numbers(&g, &results, &given, &device);
        (0..2).for_each(|n| assert_close(&found[n], &found[n + 2]));
    }
}

#[test]
fn what_the_batch_does_not_reach_is_repeated() {
    // Of two carries and two stacks one each depends on what is differentiated.
    for device in devices() {
        let g = Graph::new();
        let (x, y) = (g.input("x", [2]), g.input("y", [3]));
        let scanned =
            g.scan_with(THREE, &[x, y], &[], |c, _| (vec![c[0].sin(), c[1].cos()], vec![c[0].square(), c[1].square()]));
        let scanned = scanned.unwrap();
        let all = g.concat(
            &[scanned.carries[0], scanned.carries[1], scanned.outputs[0].reshape([6]), scanned.outputs[1].reshape([9])],
            0,
        );
        let (a, b) = (0..3).fold((x, y), |(a, b), _| (a.sin(), b.cos()));
        let of_x = all.jacobian(x).unwrap();
        let found = numbers(
            &g,
            &[
                of_x.slice(0, 0, 2),
                of_x.slice(0, 2, 5),
                of_x.slice(0, 11, 20),
                a.jacobian(x).unwrap(),
                all.jacobian(y).unwrap().slice(0, 2, 5),
                b.jacobian(y).unwrap(),
            ],
            &given([("x", vec![0.4, -0.9]), ("y", vec![0.1, 0.2, 0.3])]),
            &device,
        );
        assert_close(&found[0], &found[3]);
        assert!(found[1].iter().chain(&found[2]).all(|&slope| slope == 0.0), "{found:?}");
        assert_close(&found[4], &found[5]);
    }
}

#[test]
fn a_counter_that_is_carried_draws_other_numbers_in_each_round() {
    for device in devices() {
        let g = Graph::new();
        let (counter, fixed) = (g.zeros([], DType::I32), g.literal([], [5]));
        let drawn = g.scan_with(THREE, &[counter], &[], |c, _| {
            (vec![c[0] + 1], vec![g.normal([4], c[0], 7), g.normal([4], fixed, 7)])
        });
        // Noise that is made outside is another way.
        let noise = g.normal([3, 4], fixed, 7);
        let given_noise = g.scan(&[], &[noise], |_, row| (vec![], vec![row[0] * 1.0])).unwrap();
        let drawn = drawn.unwrap();
        let results = [drawn.outputs[0], drawn.outputs[1], given_noise.outputs[0]];
        let found = numbers(&g, &results, &given([]), &device);
        let rounds = |n: usize| found[n].chunks(4).map(<[f64]>::to_vec).collect::<Vec<_>>();
        let differ = |rounds: &[Vec<f64>]| rounds[0] != rounds[1] && rounds[1] != rounds[2] && rounds[0] != rounds[2];
        assert!(differ(&rounds(0)) && differ(&rounds(2)), "{device}: {found:?}");
        assert!(rounds(1).iter().all(|round| *round == rounds(1)[0]), "{device}: one step draws one noise: {found:?}");
    }
}
