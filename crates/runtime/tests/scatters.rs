//! scatter_add over many updates, of every rank and axis, against a loop: the elements are small integers, so that every sum is exact
//! and nothing may be missing, counted twice or in another's place.

use crate::suite::devices::devices;
use crate::suite::random::Random;
use crate::suite::respawn::with_kernels_of_a_gpu;
use arenagrad::{DType, Expr, Graph, Session, Shape, Tensor};

/// Shapes of operand and updates, the axis, and whether all elements of an update along the trailing axes have one index.
fn cases() -> Vec<(Vec<usize>, Vec<usize>, usize, bool)> {
    vec![
        (vec![3000], vec![9000], 0, false),
        (vec![9000], vec![3000], 0, false),
        (vec![40, 9, 11], vec![1500, 9, 11], 0, false),
        (vec![40, 9, 11], vec![1500, 9, 11], 0, true),
        // Updates that leave out some coordinates before and after the axis.
        (vec![40, 9, 11], vec![1500, 7, 11], 0, true),
        (vec![40, 9, 11], vec![1500, 9, 8], 0, true),
        (vec![40, 9, 11], vec![1500, 7, 8], 0, false),
        (vec![6, 50, 12], vec![6, 2500, 12], 1, true),
        (vec![6, 50, 12], vec![4, 2500, 10], 1, false),
        (vec![5, 8, 90], vec![5, 8, 1300], 2, false),
        (vec![5, 8, 90], vec![3, 7, 1300], 2, true),
        (vec![3, 7000, 2, 5], vec![3, 900, 2, 5], 1, true),
        (vec![1, 1, 1], vec![1, 100_000, 1], 1, false),
        (vec![2, 1, 300], vec![2, 40_000, 3], 1, true),
        // Many lines before the axis, of which each is computed by itself.
        (vec![12, 90], vec![12, 200], 1, false),
        (vec![3, 5, 40, 3], vec![3, 4, 130, 3], 2, true),
        (vec![9, 2, 60, 2], vec![9, 2, 80, 1], 2, false),
        // One update for each place, and a single one.
        (vec![700, 100], vec![700, 1], 1, false),
        (vec![3000, 1000], vec![1, 1000], 0, true),
    ]
}

/// The elements of `x` with the updates added.
fn expected(x: &[f64], indices: &[f64], updates: &[f64], shapes: [&[usize]; 2], axis: usize) -> Vec<f64> {
    let [shape, updates_shape] = shapes;
    let mut sums = x.to_vec();
    for (element, update) in updates.iter().enumerate() {
        let mut coordinates = vec![0; shape.len()];
        let mut rest = element;
        for other in (0..shape.len()).rev() {
            coordinates[other] = rest % updates_shape[other];
            rest /= updates_shape[other];
        }
        let index = indices[element];
        if index >= 0.0 && index < shape[axis] as f64 {
            coordinates[axis] = index as usize;
            sums[coordinates.iter().zip(shape).fold(0, |at, (c, extent)| at * extent + c)] += update;
        }
    }
    sums
}

#[test]
fn every_rank_and_axis() {
    for (number, (shape, updates_shape, axis, by_rows)) in cases().into_iter().enumerate() {
        let mut random = Random(number as u64 + 1);
        let (places, count): (usize, usize) = (shape.iter().product(), updates_shape.iter().product());
        let inner: usize = if by_rows { updates_shape[axis + 1..].iter().product() } else { 1 };
        // Some lie outside; half of them go to two places.
        let extent = shape[axis] as i64;
        let drawn: Vec<f64> = random
            .integers(count / inner, -2, extent + 1)
            .into_iter()
            .enumerate()
            .map(|(i, index)| if i % 2 == 0 { index.clamp(0.0, 1.0) } else { index })
            .collect();
        let indices: Vec<f64> = (0..count).map(|element| drawn[element / inner]).collect();
        let (x, updates) = (random.integers(places, -9, 9), random.integers(count, -9, 9));
        let found = expected(&x, &indices, &updates, [&shape, &updates_shape], axis);
        for dtype in [DType::F32, DType::I32, DType::F64] {
            for device in devices().into_iter().filter(|device| device.is_cpu() || dtype != DType::F64) {
                let g = Graph::new();
                let operand = g.input_of("x", &shape[..], dtype);
                // Computed on the device, so that what lies outside is no error.
                let index = g
                    .input("index", index_shape(&updates_shape, axis, by_rows))
                    .cast(DType::I32)
                    .broadcast_to(&updates_shape[..]);
                let given = g.input_of("updates", &updates_shape[..], dtype);
                // Updates that are stored the other way round, and an operand that the result may take the place of.
                let rank = updates_shape.len() as isize;
                let order: Vec<isize> = (0..rank).rev().collect();
                let reversed: Vec<usize> = updates_shape.iter().rev().copied().collect();
                let turned = g.input_of("turned", &reversed[..], dtype).permute(order);
                let outputs: Vec<Expr<'_>> = vec![
                    operand.scatter_add(axis as isize, index, given),
                    (operand + operand).scatter_add(axis as isize, index, turned) - operand,
                ];
                let mut session = Session::evaluate(&g, &outputs, &device).unwrap();
                let tensor =
                    |shape: &[usize], elements: &[f64]| Tensor::new(shape, elements.to_vec()).unwrap().cast(dtype);
                let narrow =
                    Tensor::new(index_shape(&updates_shape, axis, by_rows), drawn.clone()).unwrap().cast(DType::F32);
                let inputs = [
                    ("x", &tensor(&shape, &x)),
                    ("index", &narrow),
                    ("updates", &tensor(&updates_shape, &updates)),
                    ("turned", &tensor(&reversed, &turned_round(&updates_shape, &updates))),
                ];
                for result in session.run(&inputs).unwrap() {
                    assert!(
                        result.to_f64_vec() == found,
                        "{device}, {dtype}: {updates_shape:?} into {shape:?} along {axis}, by rows: {by_rows}"
                    );
                }
            }
        }
    }
}

fn index_shape(updates_shape: &[usize], axis: usize, by_rows: bool) -> Shape {
    updates_shape.iter().enumerate().map(|(a, &n)| if by_rows && a > axis { 1 } else { n }).collect()
}

/// The elements of a tensor of that shape in the order of its axes reversed.
fn turned_round(shape: &[usize], elements: &[f64]) -> Vec<f64> {
    let mut turned = vec![0.0; elements.len()];
    for (element, &value) in elements.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (element, 0, elements.len());
        for &extent in shape.iter().rev() {
            stride /= extent;
            at += rest % extent * stride;
            rest /= extent;
        }
        turned[at] = value;
    }
    turned
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&["scatters::every_rank_and_axis"]);
}
