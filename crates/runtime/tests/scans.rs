//! Loops against the same steps written one after the other: values, gradients, second derivatives and tangents, on every device.

use arenagrad::check::{Adjoint, GradCheck};
use arenagrad::{DType, Device, Expr, Graph, Init, ScanOptions, Scanned, Session, Sgd, Tensor};

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::random::Random;
use crate::suite::run::numbers;

/// What a loop is of: the next carries and outputs of a step.
type Body = for<'g> fn(&[Expr<'g>], &[Expr<'g>], &[Expr<'g>]) -> (Vec<Expr<'g>>, Vec<Expr<'g>>);

/// A loop, with the shapes of its carries, of the elements of its sequences and of what it captures.
struct Case {
    body: Body,
    carries: &'static [&'static [usize]],
    elements: &'static [&'static [usize]],
    captured: &'static [&'static [usize]],
}

/// A cell whose hidden state meets a matrix, with a bias.
const CELL: Case = Case {
    body: |carries, elements, captured| {
        let hidden = (elements[0].matmul(captured[0]) + carries[0].matmul(captured[1]) + captured[2]).tanh();
        (vec![hidden], vec![hidden])
    },
    carries: &[&[2, 4]],
    elements: &[&[2, 3]],
    captured: &[&[3, 4], &[4, 4], &[4]],
};

/// Several carries, exchanged; a sequence that is not used; what is captured is used in several ways, as one of the outputs too.
const MIXED: Case = Case {
    body: |carries, elements, captured| {
        let (a, b) = (carries[0], carries[1]);
        let scaled = (a * captured[0] + elements[0]).sigmoid();
        let other = b.t().matmul(captured[1]) * (captured[0].sum(..) * 0.2);
        (
            vec![b.t().tanh(), scaled.t() - other.t(), carries[2]],
            vec![a.max([1]), scaled.slice(1, 1, 3), carries[2], captured[0] + carries[2]],
        )
    },
    carries: &[&[2, 3], &[3, 2], &[]],
    elements: &[&[2, 3], &[5]],
    captured: &[&[3], &[3, 3]],
};

/// Nothing is carried: a map.
const MAP: Case = Case {
    body: |_, elements, captured| (vec![], vec![elements[0].matmul(captured[0]).tanh(), elements[0].sum([0])]),
    carries: &[],
    elements: &[&[2, 3]],
    captured: &[&[3, 2]],
};

/// A loop within a loop: each element of the outer sequence is one of rows.
const NESTED: Case = Case {
    body: |carries, elements, captured| {
        let inner = carries[0].graph().scan(&[carries[0]], &[elements[0]], |hidden, row| {
            let next = (hidden[0] * captured[0] + row[0] * carries[0]).sin();
            (vec![next], vec![next * 0.5])
        });
        let inner = inner.expect("a loop");
        (vec![inner.carries[0] + elements[0].sum([0])], vec![inner.outputs[0]])
    },
    carries: &[&[3]],
    elements: &[&[4, 3]],
    captured: &[&[3]],
};

/// A gradient of a step's own is part of the step.
const DERIVED: Case = Case {
    body: |carries, elements, captured| {
        let energy = (carries[0] * captured[0]).sin().sum(..) + (carries[0] * elements[0]).square().sum(..);
        let [slope] = energy.grad([carries[0]]).expect("a gradient");
        (vec![carries[0] - slope * 0.1], vec![energy, carries[0].softmax(0)])
    },
    carries: &[&[3]],
    elements: &[&[3]],
    captured: &[&[3]],
};

const CASES: [(&str, &Case); 5] =
    [("cell", &CELL), ("mixed", &MIXED), ("map", &MAP), ("nested", &NESTED), ("derived", &DERIVED)];

impl Case {
    fn leaves<'g>(&self, g: &'g Graph, length: usize, dtype: DType) -> [Vec<Expr<'g>>; 3] {
        let of = |name: &str, shapes: &[&[usize]], first: Option<usize>| {
            let shapes = shapes.iter().enumerate();
            let declared = shapes.map(|(n, shape)| {
                let shape: Vec<usize> = first.into_iter().chain(shape.iter().copied()).collect();
                g.input_of(format!("{name}{n}"), shape, dtype)
            });
            declared.collect::<Vec<_>>()
        };
        [of("c", self.carries, None), of("x", self.elements, Some(length)), of("w", self.captured, None)]
    }

    fn given(&self, length: usize) -> Given {
        let mut random = Random(7 + length as u64);
        let mut given = Given::new();
        let lists = [("c", self.carries, 1), ("x", self.elements, length), ("w", self.captured, 1)];
        for (name, shapes, times) in lists {
            for (n, shape) in shapes.iter().enumerate() {
                let count = times * shape.iter().product::<usize>();
                given.insert(format!("{name}{n}"), random.floats(count, -0.9, 0.9));
            }
        }
        given
    }

    fn looped<'g>(&self, g: &'g Graph, leaves: &[Vec<Expr<'g>>; 3], reverse: bool) -> Vec<Expr<'g>> {
        let [carries, sequences, captured] = leaves;
        let options = ScanOptions { reverse, ..ScanOptions::default() };
        let scanned = g.scan_with(options, carries, sequences, |c, x| (self.body)(c, x, captured));
        let Scanned { carries, outputs } = scanned.expect("a loop");
        [carries, outputs].concat()
    }

    fn unrolled<'g>(&self, leaves: &[Vec<Expr<'g>>; 3], length: usize, reverse: bool) -> Vec<Expr<'g>> {
        let [carries, sequences, captured] = leaves;
        let mut carries = carries.clone();
        let mut stacks: Vec<Vec<Expr<'g>>> = Vec::new();
        for step in 0..length {
            let place = if reverse { length - 1 - step } else { step };
            let elements: Vec<_> = sequences.iter().map(|sequence| sequence.select_index(0, place)).collect();
            let (next, outputs) = (self.body)(&carries, &elements, captured);
            carries = next;
            stacks.resize(outputs.len(), Vec::new());
            stacks.iter_mut().zip(outputs).for_each(|(stack, output)| stack.push(output));
        }
        let stacked = stacks.into_iter().map(|mut stack| {
            if reverse {
                stack.reverse();
            }
            let rows: Vec<_> = stack.iter().map(|row| row.unsqueeze(0)).collect();
            rows[0].graph().concat(&rows, 0)
        });
        carries.into_iter().chain(stacked).collect()
    }
}

/// A number of results, and its gradients with respect to all leaves, and those of a number of those, and tangents.
fn derived<'g>(g: &'g Graph, results: &[Expr<'g>], leaves: &[Vec<Expr<'g>>; 3]) -> Vec<Expr<'g>> {
    let leaves: Vec<Expr<'g>> = leaves.concat();
    let number = |list: &[Expr<'g>]| {
        let parts = list.iter().map(|part| (*part * 0.7 + 0.2).sin().sum(..));
        parts.fold(g.zeros([], DType::F64), |sum, part| sum + part)
    };
    let one = g.ones([], DType::F64);
    let loss = number(results);
    let gradients = g.gradients(&[loss], &[one], &leaves).expect("gradients");
    let second = g.gradients(&[number(&gradients)], &[one], &leaves).expect("second gradients");
    let tangents: Vec<_> = leaves.iter().map(|leaf| leaf.cos()).collect();
    let pushed = g.jvp(results, &leaves, &tangents).expect("tangents");
    let mixed = g.jvp(&gradients, &leaves, &tangents).expect("tangents of gradients");
    [results.to_vec(), gradients, second, pushed, mixed].concat()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} against {b} at {place}");
    }
}

#[test]
fn a_loop_is_its_steps_one_after_the_other() {
    for (name, case) in CASES {
        for (length, reverse) in [(1, false), (2, true), (5, false), (5, true)] {
            let g = Graph::new();
            let leaves = case.leaves(&g, length, DType::F64);
            let looped = derived(&g, &case.looped(&g, &leaves, reverse), &leaves);
            let unrolled = derived(&g, &case.unrolled(&leaves, length, reverse), &leaves);
            let given = case.given(length);
            let found = numbers(&g, &looped, &given, &Device::cpu());
            let expected = numbers(&g, &unrolled, &given, &Device::cpu());
            for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let what = format!("{name} of {length}, reverse: {reverse}, result {number}");
                assert_close(found, expected, 1e-11, &what);
            }
        }
    }
}

#[test]
fn long_loops_are_right_on_every_device() {
    for (name, case) in CASES {
        for length in [33, 100] {
            let g = Graph::new();
            let leaves = case.leaves(&g, length, DType::F32);
            let results = case.looped(&g, &leaves, false);
            let loss = results.iter().fold(g.scalar(0.0), |sum, part| sum + part.sin().mean(..));
            let wrt: Vec<Expr<'_>> = leaves.concat();
            let gradients = g.gradients(&[loss], &[g.scalar(1.0)], &wrt).unwrap();
            let outputs = [results, gradients].concat();

            let wide = Graph::new();
            let wide_leaves = case.leaves(&wide, length, DType::F64);
            let wide_results = case.unrolled(&wide_leaves, length, false);
            let mut wide_loss = wide.zeros([], DType::F64);
            for part in &wide_results {
                wide_loss = wide_loss + part.sin().mean(..);
            }
            let wide_wrt: Vec<Expr<'_>> = wide_leaves.concat();
            let one = wide.ones([], DType::F64);
            let wide_gradients = wide.gradients(&[wide_loss], &[one], &wide_wrt).unwrap();
            let wide_outputs = [wide_results, wide_gradients].concat();

            let given = case.given(length);
            let expected = numbers(&wide, &wide_outputs, &given, &Device::cpu());
            for device in devices() {
                let found = numbers(&g, &outputs, &given, &device);
                for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let what = format!("{name} of {length} on {device}, result {number}");
                    assert_close(found, expected, 2e-4, &what);
                }
            }
        }
    }
}

#[test]
fn a_loop_of_no_steps_gives_its_carries_back() {
    for device in devices() {
        let g = Graph::new();
        let (c, x, w) = (g.input("c", [2, 4]), g.input("x", [0, 2, 3]), g.input("w", [3, 4]));
        let scanned = g.scan(&[c], &[x], |carries, elements| {
            let next = carries[0] + elements[0].matmul(w);
            (vec![next], vec![next])
        });
        let scanned = scanned.unwrap();
        let loss = scanned.carries[0].square().sum(..) + scanned.outputs[0].sum(..);
        let [dc, dw] = loss.grad([c, w]).unwrap();
        let given = given([("c", vec![0.5; 8]), ("x", vec![]), ("w", vec![1.0; 12])]);
        let found = numbers(&g, &[scanned.carries[0], scanned.outputs[0], dc, dw], &given, &device);
        assert_eq!(found, [vec![0.5; 8], vec![], vec![1.0; 8], vec![0.0; 12]]);
    }
}

#[test]
fn the_plan_of_a_loop_does_not_grow_with_its_length() {
    let steps = |length: usize| {
        let g = Graph::new();
        let leaves = CELL.leaves(&g, length, DType::F32);
        let results = CELL.looped(&g, &leaves, false);
        let loss = results[0].square().sum(..);
        let gradients = g.gradients(&[loss], &[g.scalar(1.0)], &leaves.concat()).unwrap();
        let nodes = g.len();
        let session = Session::evaluate(&g, &[results, gradients].concat(), &Device::cpu()).unwrap();
        let plan = session.plan();
        let bodies: usize = plan.steps().iter().filter_map(|step| step.body()).map(|body| body.steps().len()).sum();
        (nodes, plan.steps().len(), bodies)
    };
    assert_eq!(steps(2), steps(1000));
    assert_eq!(steps(2), steps(100_000));
}

#[test]
fn a_million_rounds_are_run() {
    let g = Graph::new();
    let x = g.input("x", [1_000_000]);
    let sum = g.scan(&[g.zeros([], DType::I32)], &[x], |c, x| (vec![c[0] + x[0].cast(DType::I32)], vec![])).unwrap();
    let given = given([("x", vec![1.0; 1_000_000])]);
    assert_eq!(numbers(&g, &sum.carries, &given, &Device::cpu()), [[1e6]]);
}

#[test]
fn a_loop_that_repeats_needs_no_sequence() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", []);
        let options = ScanOptions { length: Some(30), ..ScanOptions::default() };
        let root = g.scan_with(options, &[x], &[], |y, _| (vec![(y[0] + x / y[0]) * 0.5], vec![])).unwrap();
        let [slope] = root.carries[0].grad([x]).unwrap();
        let found = numbers(&g, &[root.carries[0], slope], &given([("x", vec![2.0])]), &device);
        assert_close(&found.concat(), &[2f64.sqrt(), 0.5 / 2f64.sqrt()], 1e-6, "the square root of 2");
    }
}

#[test]
fn both_modes_agree_and_differences_with_them() {
    for (name, case) in CASES {
        let shapes = |list: &'static [&'static [usize]], first: Option<usize>| {
            list.iter().map(move |shape| first.into_iter().chain(shape.iter().copied()).collect::<Vec<_>>())
        };
        let shapes: Vec<Vec<usize>> = shapes(case.carries, None)
            .chain(shapes(case.elements, Some(3)))
            .chain(shapes(case.captured, None))
            .collect();
        let mut random = Random(11);
        let inputs: Vec<Tensor> = shapes
            .iter()
            .map(|shape| {
                let elements: Vec<f64> = random.floats(shape.iter().product(), -0.9, 0.9);
                Tensor::new(shape.clone(), elements).unwrap()
            })
            .collect();
        let (carries, elements) = (case.carries.len(), case.elements.len());
        let report = GradCheck::new().second().functions(|x| results(case, x, carries, elements), &inputs).unwrap();
        assert!(report.passed(), "{name}: {report}");
        let report = Adjoint::new().function(
            |x| {
                let results = results(case, x, carries, elements);
                let rows: Vec<Expr<'_>> = results.iter().map(|result| result.flatten()).collect();
                x[0].graph().concat(&rows, 0)
            },
            &inputs,
        );
        let report = report.unwrap();
        assert!(report.passed(), "{name}: {report}");
    }
}

/// The loop of a case over leaves that stand one after the other.
fn results<'g>(case: &Case, x: &[Expr<'g>], carries: usize, elements: usize) -> Vec<Expr<'g>> {
    let (carries, rest) = x.split_at(carries);
    let (elements, captured) = rest.split_at(elements);
    case.looped(x[0].graph(), &[carries.to_vec(), elements.to_vec(), captured.to_vec()], true)
}

#[test]
fn a_carry_is_read_as_a_round_finds_it_where_its_kernel_is_cut() {
    let g = Graph::new();
    let (x, w, xs) = (g.input("x", []), g.input("w", []), g.input("xs", [4]));
    let looped = g.scan(&[x], &[xs], |carries, elements| {
        let next = (carries[0] * w + elements[0]).sin();
        (vec![next], vec![next * carries[0]])
    });
    let Scanned { carries, outputs } = looped.unwrap();
    let (mut last, mut sum) = (x, g.zeros([], DType::F32));
    for place in 0..4 {
        let next = (last * w + xs.slice(0, place, place + 1).reshape([])).sin();
        (last, sum) = (next, sum + next * last);
    }
    // The loop of the second derivative has more leaves than a kernel of a GPU may bind, and several of its kernels read a carry.
    let mut wanted = Vec::new();
    for loss in [carries[0] * outputs[0].sum(0), last * sum] {
        let [first] = loss.grad([x]).unwrap();
        wanted.extend(first.grad([w]).unwrap());
    }
    let given = given([("x", vec![1.0]), ("w", vec![0.5]), ("xs", vec![0.1, 0.2, -0.3, 0.4])]);
    for device in devices() {
        let found = numbers(&g, &wanted, &given, &device);
        assert_close(&found[0], &found[1], 1e-4, &device.to_string());
    }
}

#[test]
fn a_cell_is_trained() {
    for device in devices() {
        let g = Graph::new();
        let (x, target) = (g.input("x", [6, 4, 2]), g.input("target", [4, 1]));
        let wx = g.parameter("wx", [2, 8], Init::Uniform { low: -0.5, high: 0.5 });
        let wh = g.parameter("wh", [8, 8], Init::Uniform { low: -0.5, high: 0.5 });
        let head = g.parameter("head", [8, 1], Init::Uniform { low: -0.5, high: 0.5 });
        let scanned = g.scan(&[g.zeros([4, 8], DType::F32)], &[x], |h, x| {
            let next = (x[0].matmul(wx) + h[0].matmul(wh)).tanh();
            (vec![next], vec![])
        });
        let loss = (scanned.unwrap().carries[0].matmul(head) - target).square().mean(..);
        let mut session = Session::train(&g, loss, Sgd::new(0.1), device.clone()).unwrap();
        let mut random = Random(3);
        let x = Tensor::new([6, 4, 2], random.floats(48, -1.0, 1.0).iter().map(|&x| x as f32).collect::<Vec<_>>());
        let x = x.unwrap();
        let target = Tensor::new([4, 1], vec![0.3f32, -0.2, 0.5, 0.1]).unwrap();
        let mut step = || session.step(&[("x", &x), ("target", &target)]).unwrap();
        let first = step();
        let last = (0..200).map(|_| step()).last().unwrap();
        assert!(last < first * 0.01, "{device}: {first} to {last}");
    }
}
