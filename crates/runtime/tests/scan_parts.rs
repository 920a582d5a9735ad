//! Loops beside other parts: functions with gradients of their own, random numbers, indices, narrow parameters, a tape, threads.

use arenagrad::{Context, DType, Device, Expr, Function, Graph, Init, ScanOptions, Session, StorageType, Tape, Tensor};

use crate::suite::devices::devices;
use crate::suite::evaluate::given;
use crate::suite::run::{borrowed, inputs, numbers};

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let is_close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0));
    assert!(is_close, "{found:?}\n{expected:?}");
}

/// `x^8` by a loop that squares, whose gradient is a loop too: `2 x` times the gradient of the square, three times.
struct EighthPower;

impl Function for EighthPower {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let g = context.graph();
        let options = ScanOptions { length: Some(3), ..ScanOptions::default() };
        let scanned =
            g.scan_with(options, &[operands[0]], &[], |x, _| (vec![x[0] * x[0]], vec![x[0]])).expect("a loop");
        context.save_for_backward(&[scanned.outputs[0]]);
        scanned.carries[0]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let options = ScanOptions { reverse: true, ..ScanOptions::default() };
        let scanned = context
            .graph()
            .scan_with(options, &[upstream], &[context.saved()[0]], |u, x| (vec![u[0] * x[0] * 2.0], vec![]));
        vec![Some(scanned.expect("a loop").carries[0])]
    }
}

/// `x^3`, with its gradient written by hand.
struct Cube;

impl Function for Cube {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0] * operands[0] * operands[0]
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * context.operands()[0].square() * 3.0)]
    }
}

#[test]
fn a_function_with_a_gradient_of_its_own_may_be_a_loop() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2]);
        let y = g.apply(&EighthPower, &[x]);
        let [first] = y.sum(..).grad([x]).unwrap();
        let [second] = first.sum(..).grad([x]).unwrap();
        let pushed = y.jvp([x], [g.ones([2], DType::F32)]).unwrap();
        let found = numbers(&g, &[y, first, second, pushed], &given([("x", vec![1.0, 1.1])]), &device);
        let x = 1.1f64;
        assert_close(&found[0], &[1.0, x.powi(8)], 1e-5);
        assert_close(&found[1], &[8.0, 8.0 * x.powi(7)], 1e-5);
        assert_close(&found[2], &[56.0, 56.0 * x.powi(6)], 1e-5);
        assert_close(&found[3], &[8.0, 8.0 * x.powi(7)], 1e-5);
    }
}

#[test]
fn a_loop_may_use_a_function_with_a_gradient_of_its_own() {
    for device in devices() {
        let g = Graph::new();
        let (c, x) = (g.input("c", [2]), g.input("x", [3, 2]));
        let looped = g.scan(&[c], &[x], |c, x| (vec![g.apply(&Cube, &[c[0] * 0.9]) + x[0]], vec![])).unwrap();
        let straight = (0..3).fold(c, |c, step| {
            let scaled = c * 0.9;
            scaled * scaled * scaled + x.select_index(0, step)
        });
        let mut results = Vec::new();
        for last in [looped.carries[0], straight] {
            let [dc, dx] = last.sin().sum(..).grad([c, x]).unwrap();
            let [second] = dc.sum(..).grad([c]).unwrap();
            results.extend([last, dc, dx, second, last.jvp([c], [x.select_index(0, 1)]).unwrap()]);
        }
        let given = given([("c", vec![0.6, -0.8]), ("x", vec![0.1, 0.2, -0.3, 0.4, 0.5, -0.6])]);
        let found = numbers(&g, &results, &given, &device);
        let (looped, straight) = found.split_at(5);
        looped.iter().zip(straight).for_each(|(a, b)| assert_close(a, b, 1e-5));
    }
}

#[test]
fn random_numbers_differ_from_round_to_round_as_their_steps_do() {
    for device in devices() {
        let g = Graph::new();
        let steps = g.iota([4], 0);
        let scanned = g.scan(&[], &[steps], |_, step| (vec![], vec![g.uniform([3], step[0], 9)])).unwrap();
        let each: Vec<_> = (0..4).map(|step| g.uniform([3], g.literal([], [step]), 9)).collect();
        let found = numbers(&g, &[&scanned.outputs[..], &each].concat(), &given([]), &device);
        assert_eq!(found[0], found[1..].concat());
    }
}

#[test]
fn indices_and_counts_are_carried() {
    // Each element says where to go next; what is read there is stacked.
    for device in devices() {
        let g = Graph::new();
        let next = g.input_of("next", [5], DType::I32);
        let value = g.input("value", [5]);
        let options = ScanOptions { length: Some(6), ..ScanOptions::default() };
        let start = g.zeros([1], DType::I32);
        let walked = g.scan_with(options, &[start], &[], |place, _| {
            (vec![next.gather(0, place[0])], vec![value.gather(0, place[0]), place[0].cast(DType::F32)])
        });
        let walked = walked.unwrap();
        let [slope] = walked.outputs[0].sum(..).grad([value]).unwrap();
        let given = given([("next", vec![3.0, 2.0, 0.0, 1.0, 4.0]), ("value", vec![10.0, 11.0, 12.0, 13.0, 14.0])]);
        let results = [walked.outputs[0], walked.outputs[1], walked.carries[0], slope];
        let found = numbers(&g, &results, &given, &device);
        assert_eq!(found[0], [10.0, 13.0, 11.0, 12.0, 10.0, 13.0]);
        assert_eq!(found[1], [0.0, 3.0, 1.0, 2.0, 0.0, 3.0]);
        assert_eq!(found[2], [1.0]);
        assert_eq!(found[3], [2.0, 1.0, 1.0, 2.0, 0.0]);
    }
}

#[test]
fn what_is_captured_may_be_stored_narrower() {
    for device in devices() {
        let g = Graph::new();
        let (c, x) = (g.input("c", [2, 2]), g.input_of("x", [3, 2, 2], StorageType::F16));
        let w = g.parameter_of("w", [2, 2], StorageType::Bf16, Init::Values(vec![0.5, -0.25, 1.0, 0.75]));
        let scanned = g.scan(&[c], &[x], |c, x| (vec![(c[0].matmul(w) + x[0]).tanh()], vec![])).unwrap();
        let straight = (0..3).fold(c, |c, step| (c.matmul(w) + x.select_index(0, step)).tanh());
        let given = given([("c", vec![0.5; 4]), ("x", (0..12).map(|i| f64::from(i) * 0.125 - 0.5).collect())]);
        let mut session = Session::evaluate(&g, &[scanned.carries[0], straight], &device).unwrap();
        let inputs: Vec<(String, Tensor)> = inputs(session.plan(), &g, &given);
        let found = session.run(&borrowed(&inputs)).unwrap();
        assert_close(&found[0].to_f64_vec(), &found[1].to_f64_vec(), 1e-6);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let bits = || {
        let g = Graph::new();
        let w = g.parameter("w", [96, 96], Init::Uniform { low: -0.1, high: 0.1 });
        let x = g.parameter("x", [20, 64, 96], Init::Uniform { low: -1.0, high: 1.0 });
        let scanned = g.scan(&[g.zeros([64, 96], DType::F32)], &[x], |c, x| {
            let next = (c[0].matmul(w) + x[0]).tanh();
            (vec![next], vec![next.square()])
        });
        let loss = scanned.unwrap().outputs[0].mean(..);
        let [dw, dx] = loss.grad([w, x]).unwrap();
        let mut session = Session::evaluate(&g, &[loss, dw, dx], &Device::cpu()).unwrap();
        let results = session.run(&[]).unwrap();
        results.iter().flat_map(Tensor::to_f64_vec).map(f64::to_bits).collect::<Vec<u64>>()
    };
    let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(bits);
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(3), one);
}

#[test]
fn a_tape_records_loops() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let x = tape.leaf(Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap()).requires_grad();
        let (w, first) = (tape.leaf(0.5).requires_grad(), tape.leaf(0.0));
        for round in 1..=2 {
            let (last, sums) =
                tape.scan(ScanOptions::default(), &[&first], &[&x], &[&w], |carries, elements, captured| {
                    let sum = carries[0] * captured[0] + elements[0];
                    (vec![sum], vec![sum])
                });
            assert_eq!((last.len(), sums.len()), (1, 1));
            assert_eq!(sums[0].data().unwrap().to_f64_vec(), [1.0, 2.5, 4.25]);
            last[0].backward().unwrap();
            // The derivative of w (w + 2) + 3, added up.
            assert_eq!(w.grad().unwrap().to_f64_vec(), [3.0 * f64::from(round)]);
        }
        // A loop within what a variable is mapped by.
        let mapped = x.map(|x| {
            let g = x.graph();
            let product = g.scan(&[g.ones([], DType::F32)], &[x], |c, x| (vec![c[0] * x[0]], vec![]));
            product.map_or_else(|_| x.sum(..), |product| product.carries[0])
        });
        let before = x.grad().unwrap().to_f64_vec();
        mapped.backward().unwrap();
        let after = x.grad().unwrap().to_f64_vec();
        let added: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(added, [6.0, 3.0, 2.0]);
        let (none, nothing) = tape.scan(ScanOptions::default(), &[], &[&x], &[], |_, _, _| (vec![], vec![]));
        assert!(none.is_empty() && nothing.iter().all(|variable| variable.data().is_err()));
    }
}

/// Products of a round whose right operands no round writes, of which a device may keep what it made of them: weights of all rounds, of a loop within a
/// loop, of one that is captured by it alone; beside operands that rounds do write, as carries and as elements of a sequence.
#[test]
fn weights_differ_between_rounds_and_runs_where_they_are_written() {
    const ROWS: usize = 6;
    const WIDTH: usize = 24;
    fn inner<'g>(h: Expr<'g>, steady: Expr<'g>, own: Expr<'g>) -> Expr<'g> {
        (h.matmul(steady) + h.matmul(own)).tanh()
    }
    let g = Graph::new();
    let h = g.input("h", [ROWS, WIDTH]);
    let (steady, carried) = (
        g.parameter("steady", [WIDTH, WIDTH], Init::Constant(0.0)),
        g.parameter("carried", [WIDTH, WIDTH], Init::Constant(0.0)),
    );
    let sequence = g.parameter("sequence", [3, WIDTH, WIDTH], Init::Constant(0.0));
    let twice = ScanOptions { length: Some(2), ..ScanOptions::default() };
    let scanned = g
        .scan(&[h, carried], &[sequence], |carries, elements| {
            let (h, weight) = (carries[0], carries[1]);
            let next = (h.matmul(steady) + h.matmul(weight) + h.matmul(elements[0])).tanh();
            // The element is another in each round of the outer loop, and the same in both of the inner one.
            let within = g
                .scan_with(twice, &[next], &[], |h, _| (vec![inner(h[0], steady, elements[0])], vec![]))
                .expect("a loop");
            (vec![within.carries[0], (weight * 0.5).sin()], vec![])
        })
        .unwrap();
    let (mut x, mut weight) = (h, carried);
    for round in 0..3 {
        let element = sequence.select_index(0, round);
        x = (x.matmul(steady) + x.matmul(weight) + x.matmul(element)).tanh();
        for _ in 0..2 {
            x = inner(x, steady, element);
        }
        weight = (weight * 0.5).sin();
    }
    let values = |seed: usize, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let value = |place: usize| (((place * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5) * 0.8;
        Tensor::new(shape, (0..count).map(value).collect::<Vec<f32>>()).unwrap()
    };
    for device in devices() {
        let leaves = [h, steady, carried, sequence];
        let outputs: Vec<Expr<'_>> = [scanned.carries[0], x]
            .into_iter()
            .flat_map(|result| std::iter::once(result).chain(result.square().sum(..).grad(leaves).unwrap()))
            .collect();
        let mut session = Session::evaluate(&g, &outputs, &device).unwrap();
        for seed in 0..3 {
            session.set_parameter("steady", &values(seed, &[WIDTH, WIDTH])).unwrap();
            session.set_parameter("carried", &values(seed + 10, &[WIDTH, WIDTH])).unwrap();
            session.set_parameter("sequence", &values(seed + 20, &[3, WIDTH, WIDTH])).unwrap();
            let found = session.run(&[("h", &values(seed + 30, &[ROWS, WIDTH]))]).unwrap();
            let (looped, straight) = found.split_at(5);
            for (looped, straight) in looped.iter().zip(straight) {
                assert_close(&looped.to_f64_vec(), &straight.to_f64_vec(), 2e-5);
            }
        }
    }
}
