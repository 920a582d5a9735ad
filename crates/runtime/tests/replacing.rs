//! Updates that replace few elements of a large tensor: they cost what they write where nothing else needs the tensor any more, by the bytes
//! that plans say they move, and give what a loop over the updates gives, the last of several at last.

use crate::suite::devices::devices;
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
use crate::suite::respawn::with_kernels_of_a_gpu;
use crate::suite::run::{run, tensor};
use arenagrad::{DType, Device, Expr, Graph, Init, Plan, ScatterReduction, Session, Sgd, Shape};

/// Something of a tensor `[rows, 32]` replaced, by an index `i32 [1]` and a row `[1, 32]`.
type Put = for<'g> fn(Expr<'g>, Expr<'g>, Expr<'g>) -> Expr<'g>;

const WIDTH: usize = 32;

fn puts() -> Vec<(&'static str, Put)> {
    vec![
        ("index_copy", |x, i, row| x.index_copy(0, i, row)),
        ("index_copy of a column", |x, i, row| x.index_copy(1, i, row.narrowed(x))),
        ("index_fill", |x, i, row| x.index_fill(0, i, row.sum(..))),
        ("index_fill by a number", |x, i, _| x.index_fill(0, i, 0.5)),
        ("index_add", |x, i, row| x.index_add(0, i, row, 1.0)),
        ("index_reduce", |x, i, row| x.index_reduce(0, i, row, ScatterReduction::Amax, false)),
        ("index_put", |x, i, row| x.index_put(&[Some(i)], row, false)),
        ("index_put of elements", |x, i, row| x.index_put(&[Some(i), Some(i - 1)], row.sum(..), false)),
        ("index_put, accumulating", |x, i, row| x.index_put(&[Some(i), Some(i)], row.sum(..), true)),
        ("index_put around an axis", |x, i, row| {
            let (rows, width) = (x.shape().unwrap()[0], WIDTH / 4);
            let blocks = x.reshape([rows, 4, width]);
            blocks.index_put(&[Some(i), None, Some(i)], row.sum(..), false).reshape([rows, WIDTH])
        }),
        ("put", |x, i, row| x.put(i, row.sum(..).reshape([1]), false)),
        ("scatter", |x, i, row| x.scatter(0, i.reshape([1, 1]).broadcast_to([1, WIDTH]), row)),
        ("scatter of a number", |x, i, _| x.scatter(0, i.reshape([1, 1]), 2.0)),
        ("select_scatter", |x, _, row| x.select_scatter(row.reshape([WIDTH]), 0, 3)),
        ("slice_scatter", |x, _, row| x.slice_scatter(row.broadcast_to([2, WIDTH]), 0, 4, 6, 1)),
        ("slice_scatter with a step", |x, _, row| x.slice_scatter(row.broadcast_to([2, WIDTH]), 0, 4, 8, 2)),
        ("concat", |x, _, row| {
            let rows = x.shape().unwrap()[0] as isize;
            x.graph().concat(&[x.slice(0, 0, 2), row, x.slice(0, 3, rows as usize)], 0)
        }),
    ]
}

/// One row as a column of `x`.
trait Narrowed<'g> {
    fn narrowed(self, x: Expr<'g>) -> Expr<'g>;
}

impl<'g> Narrowed<'g> for Expr<'g> {
    fn narrowed(self, x: Expr<'g>) -> Expr<'g> {
        self.sum(..).broadcast_to([x.shape().unwrap()[0], 1])
    }
}

/// The bytes that all steps of a plan move.
fn moved(plan: &Plan) -> usize {
    plan.steps().iter().map(|step| step.cost.read + step.cost.written).sum()
}

/// A training step that replaces something of a state beside.
fn updating(rows: usize, put: Put, device: &Device) -> Session {
    let g = Graph::new();
    let (i, row) = (g.input_of("i", [1], DType::I32), g.input("row", [1, WIDTH]));
    let w = g.parameter("w", [WIDTH], Init::Constant(1.0));
    let state = g.state("state", [rows, WIDTH], DType::F32, Init::Constant(0.0));
    g.update(state, put(state, i, row));
    let loss = (row * w).sum(..) + i.cast(DType::F32).sum(..) * 0.0;
    Session::train(&g, loss, Sgd::new(0.1), device.clone()).unwrap()
}

/// A tensor of zeros of which something is replaced so many times, and a row of it.
fn chain(rows: usize, times: usize, put: Put, device: &Device) -> Session {
    let g = Graph::new();
    let (i, row) = (g.input_of("i", [1], DType::I32), g.input("row", [1, WIDTH]));
    let x = (0..times).fold(g.zeros([rows, WIDTH], DType::F32), |x, n| put(x, i + n as i32, row * (n as f64 + 1.0)));
    let y = x.index_select(0, i) + row + i.cast(DType::F32).sum(..);
    Session::evaluate(&g, &[y], device).unwrap()
}

#[test]
fn an_update_of_a_state_costs_what_it_writes() {
    for device in devices() {
        // Without the tensor itself a reduction is two scatters, of which the last alone is over the state.
        for (name, put) in puts().into_iter().filter(|(name, _)| *name != "index_reduce") {
            let [small, large] = [64, 4096].map(|rows| updating(rows, put, &device));
            let (few, many) = (moved(small.plan()), moved(large.plan()));
            // A column is as long as there are rows.
            let more = if name.ends_with("column") { 40 * 4096 } else { 0 };
            assert!(many <= few + more, "{device}, {name}: {few} bytes, then {many}\n{}", large.plan());
            assert!(few < 64 * 4 * WIDTH, "{device}, {name}: {few} bytes\n{}", small.plan());
        }
    }
}

#[test]
fn a_chain_of_updates_costs_what_they_write() {
    for device in devices() {
        for (name, put) in puts().into_iter().filter(|(name, _)| !name.ends_with("column")) {
            let bytes = |rows: usize, times: usize| moved(chain(rows, times, put, &device).plan());
            let [few, many] = [64, 4096].map(|rows| bytes(rows, 9) - bytes(rows, 3));
            assert_eq!(few, many, "{device}, {name}: {}", chain(64, 3, put, &device).plan());
        }
    }
}

#[test]
fn a_loop_that_fills_rows_costs_a_row_each_time() {
    let round = |rows: usize| {
        let g = Graph::new();
        let (places, x) = (g.input_of("places", [8], DType::I32), g.input("x", [8, WIDTH]));
        let filled = g
            .scan(&[g.zeros([rows, WIDTH], DType::F32)], &[places, x], |carries, elements| {
                let row = elements[1].tanh().reshape([1, WIDTH]);
                (vec![carries[0].index_copy(0, elements[0].reshape([1]), row)], vec![])
            })
            .unwrap();
        let session = Session::evaluate(&g, &filled.carries, &Device::cpu()).unwrap();
        let steps = session.plan().steps();
        steps.iter().find_map(|step| step.body()).map(moved).expect("a loop")
    };
    assert_eq!(round(64), round(4096));
}

#[test]
fn gradients_of_a_chain_cost_what_it_writes() {
    // Of every row but those that are written the gradient is the upstream one: nothing of the tensor's size is made again for each update.
    let bytes = |rows: usize, times: usize| {
        let g = Graph::new();
        let (x, row) = (g.input("x", [rows, WIDTH]), g.input("row", [1, WIDTH]));
        let index = |n: usize| g.literal([1], [n as i32]);
        let y = (0..times).fold(x, |y, n| y.index_copy(0, index(n), row * (n as f64 + 1.0)));
        let gradients = y.square().sum(..).grad([x]).unwrap();
        moved(Session::evaluate(&g, &gradients, &Device::cpu()).unwrap().plan())
    };
    let [few, many] = [64, 4096].map(|rows| bytes(rows, 9) - bytes(rows, 3));
    assert_eq!(few, many);
}

#[test]
fn a_tensor_that_lives_on_is_copied_once() {
    let g = Graph::new();
    let (x, i, row) = (g.input("x", [64, WIDTH]), g.input_of("i", [1], DType::I32), g.input("row", [1, WIDTH]));
    let (first, second) = (x.index_copy(0, i, row), x.index_copy(0, i + 1, row));
    let session = Session::evaluate(&g, &[first, second], &Device::cpu()).unwrap();
    let (tensor, row) = (4 * 64 * WIDTH, 4 * WIDTH);
    assert!(moved(session.plan()) < 2 * 2 * tensor + 2 * 8 * row, "{}", session.plan());
}

#[test]
fn replaced_states_have_the_values_of_a_loop() {
    for device in devices() {
        for (name, put) in puts() {
            let rows = 9;
            let mut session = updating(rows, put, &device);
            // The same without a state, one after the other, with everything kept.
            let g = Graph::new();
            let (i, row) = (g.input_of("i", [1], DType::I32), g.input("row", [1, WIDTH]));
            let x = g.input("x", [rows, WIDTH]);
            let y = put(x, i, row);
            let mut plain = Session::evaluate(&g, &[y, x + 1.0], &Device::cpu()).unwrap();
            let mut so_far = tensor(&Shape::from([rows, WIDTH]), DType::F32, &vec![0.0; rows * WIDTH]);
            for (step, index) in [2, 7, 2].into_iter().enumerate() {
                let values: Vec<f64> = (0..WIDTH).map(|c| (c * 3 + step) as f64 / 4.0 + 1.0).collect();
                let row = tensor(&Shape::from([1, WIDTH]), DType::F32, &values);
                let index = tensor(&Shape::from([1]), DType::I32, &[f64::from(index)]);
                session.step(&[("i", &index), ("row", &row)]).unwrap();
                so_far = plain.run(&[("i", &index), ("row", &row), ("x", &so_far)]).unwrap().remove(0);
                let found = session.parameter("state").unwrap();
                assert_eq!(found.to_f64_vec(), so_far.to_f64_vec(), "{device}, {name}");
            }
            assert!(so_far.to_f64_vec().iter().any(|x| *x != 0.0), "{name}");
        }
    }
}

/// `x` with the updates in the place of its elements, one after the other.
fn replaced(x: &[f64], indices: &[f64], updates: &[f64], shapes: [&[usize]; 2], axis: usize) -> Vec<f64> {
    let [shape, updates_shape] = shapes;
    let mut result = x.to_vec();
    for (element, &update) in updates.iter().enumerate() {
        let mut at = vec![0; shape.len()];
        let mut rest = element;
        for other in (0..shape.len()).rev() {
            at[other] = rest % updates_shape[other];
            rest /= updates_shape[other];
        }
        if (0.0..shape[axis] as f64).contains(&indices[element]) {
            at[axis] = indices[element] as usize;
            result[at.iter().zip(shape).fold(0, |place, (c, extent)| place * extent + c)] = update;
        }
    }
    result
}

#[test]
fn the_last_wins_whatever_the_shapes_and_devices() {
    let cases: [(&[usize], usize, usize); 9] = [
        (&[5], 40, 0),
        (&[3000], 9000, 0),
        (&[9000], 3000, 0),
        (&[40, 9, 11], 63, 0),
        (&[40, 9, 11], 64, 0),
        (&[40, 70, 11], 900, 1),
        (&[700, 300], 1500, 0),
        (&[5, 8, 90], 1300, 2),
        (&[2, 100_000, 3], 7, 1),
    ];
    for (number, (shape, count, axis)) in cases.into_iter().enumerate() {
        let mut random = Random(number as u64 + 1);
        let mut updated = shape.to_vec();
        updated[axis] = count;
        let inner: usize = shape[axis + 1..].iter().product();
        // Some lie outside; half of them go to two places.
        let drawn = random.integers(count, -2, shape[axis] as i64 + 1).into_iter().enumerate();
        let rows: Vec<f64> = drawn.map(|(i, index)| if i % 2 == 0 { index.clamp(0.0, 1.0) } else { index }).collect();
        let (elements, updates) = (shape.iter().product(), updated.iter().product());
        let each: Vec<f64> = random.integers(updates, -2, shape[axis] as i64 + 1);
        let same: Vec<f64> = (0..updates).map(|element| rows[element / inner % count]).collect();
        for dtype in [DType::F32, DType::I32, DType::Bool, DType::F64] {
            let low = if dtype == DType::Bool { 0 } else { -9 };
            let high = if dtype == DType::Bool { 1 } else { 9 };
            let (x, u) = (random.integers(elements, low, high), random.integers(updates, low, high));
            let expected = [&same, &each].map(|indices| replaced(&x, indices, &u, [shape, &updated], axis));
            let given: Given =
                [("x", &x), ("u", &u), ("rows", &rows), ("each", &each)].map(|(n, v)| (n.to_owned(), v.clone())).into();
            for device in devices().into_iter().filter(|device| device.is_cpu() || dtype != DType::F64) {
                let g = Graph::new();
                let (operand, updates) = (g.input_of("x", shape, dtype), g.input_of("u", &updated[..], dtype));
                // Computed on the device, so that what lies outside is no error.
                let rows = g.input("rows", [count]).cast(DType::I32);
                let each = g.input("each", &updated[..]).cast(DType::I32);
                let temporary = || operand.equal(operand).where_(operand, updates.slice_first());
                let along = axis as isize;
                let outputs = [
                    operand.index_copy(along, rows, updates),
                    operand.scatter(along, each, updates),
                    temporary().index_copy(along, rows, updates),
                    temporary().scatter(along, each, updates),
                ];
                for (place, result) in run(&g, &outputs, &given, &device).unwrap().into_iter().enumerate() {
                    let what = format!("{device}, {dtype}: {updated:?} into {shape:?} along {axis}, {place}");
                    assert!(result.to_f64_vec() == expected[place % 2], "{what}");
                }
            }
        }
    }
}

/// The first element, as a scalar.
trait First<'g> {
    fn slice_first(self) -> Expr<'g>;
}

impl<'g> First<'g> for Expr<'g> {
    fn slice_first(self) -> Expr<'g> {
        let count: usize = self.shape().unwrap().iter().product();
        self.reshape([count]).slice(0, 0, 1).reshape(Shape::scalar())
    }
}

#[test]
fn positions_along_several_axes() {
    // Of every choice of indexed axes of four, by a loop over the positions.
    let shape = [3, 4, 2, 5];
    let elements: usize = shape.iter().product();
    for chosen in 1..16u32 {
        let mut random = Random(u64::from(chosen));
        let axes: Vec<usize> = (0..4).filter(|axis| chosen >> axis & 1 == 1).collect();
        let others: Vec<usize> = (0..4).filter(|axis| !axes.contains(axis)).collect();
        let common = [2, 6];
        let count = 12;
        let positions: Vec<Vec<f64>> =
            axes.iter().map(|&axis| random.integers(count, -(shape[axis] as i64) - 1, shape[axis] as i64)).collect();
        let are_neighbours = axes.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        let before = if are_neighbours { axes[0] } else { 0 };
        let named: Vec<usize> = others[..before]
            .iter()
            .map(|&axis| shape[axis])
            .chain(common)
            .chain(others[before..].iter().map(|&axis| shape[axis]))
            .collect();
        let x = random.integers(elements, -9, 9);
        let values = random.integers(named.iter().product(), 10, 99);
        for accumulate in [false, true] {
            let mut expected = x.clone();
            for (place, value) in values.iter().enumerate() {
                let mut at = vec![0; named.len()];
                let mut rest = place;
                for axis in (0..named.len()).rev() {
                    (at[axis], rest) = (rest % named[axis], rest / named[axis]);
                }
                let number = at[before] * common[1] + at[before + 1];
                let whole: Vec<usize> = at[..before].iter().chain(&at[before + 2..]).copied().collect();
                let coordinate = |axis: usize| match axes.iter().position(|&other| other == axis) {
                    Some(of) => {
                        let index = positions[of][number];
                        let counted = if index < 0.0 { index + shape[axis] as f64 } else { index };
                        (0.0..shape[axis] as f64).contains(&counted).then_some(counted as usize)
                    }
                    None => Some(whole[others.iter().position(|&other| other == axis).unwrap()]),
                };
                let to = (0..4).try_fold(0, |to, axis| Some(to * shape[axis] + coordinate(axis)?));
                let Some(to) = to else { continue };
                expected[to] = if accumulate { expected[to] + value } else { *value };
            }
            for device in devices() {
                let g = Graph::new();
                let operand = g.input("x", shape);
                let given: Given = (0..axes.len())
                    .map(|of| (format!("i{of}"), positions[of].clone()))
                    .chain([("x".to_owned(), x.clone()), ("v".to_owned(), values.clone())])
                    .collect();
                let names: Vec<String> = (0..axes.len()).map(|of| format!("i{of}")).collect();
                let indices: Vec<Option<Expr<'_>>> = (0..4)
                    .map(|axis| axes.iter().position(|&other| other == axis))
                    .map(|of| of.map(|of| g.input(&names[of], common).cast(DType::I32)))
                    .collect();
                let put = operand.index_put(&indices, g.input("v", &named[..]), accumulate);
                let found = run(&g, &[put], &given, &device).unwrap().remove(0).to_f64_vec();
                assert_eq!(found, expected, "{device}: {axes:?}, accumulate: {accumulate}");
            }
        }
    }
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&[
        "replacing::the_last_wins_whatever_the_shapes_and_devices",
        "replacing::replaced_states_have_the_values_of_a_loop",
    ]);
}
