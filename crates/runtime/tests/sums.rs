//! Long sums keep their digits, by whatever path they are taken: sums and means, matrix products, scatters, the gradients of
//! look-ups and losses, in every dtype and on every device.
//!
//! Every element is one constant, so rounding always errs to the same side: a sum that is taken element by element is wrong
//! in its second digit after some million elements.

use crate::suite::devices::devices;
use crate::suite::respawn::with_kernels_of_a_gpu;
use arenagrad::{Attention, DType, Device, Expr, Graph, Reduction, Session, Tensor};

/// The dtypes of floats that a device has, each with the error that a long sum of it may have, relative to the sum.
fn floats(device: &Device) -> Vec<(DType, f64)> {
    let all = [(DType::F32, 2e-6), (DType::F64, 1e-14)];
    all.into_iter().filter(|(dtype, _)| device.is_cpu() || *dtype == DType::F32).collect()
}

fn constant(shape: &[usize], dtype: DType, value: f64) -> Tensor {
    let elements = shape.iter().product();
    Tensor::new(shape, vec![value; elements]).unwrap().cast(dtype)
}

/// The value as the dtype holds it.
fn rounded(dtype: DType, value: f64) -> f64 {
    Tensor::scalar(value).cast(dtype).item().unwrap()
}

/// Checks every element of every output against the same number.
fn check(
    what: &str,
    device: &Device,
    graph: &Graph,
    outputs: &[(Expr<'_>, f64)],
    inputs: &[(&str, &Tensor)],
    error: f64,
) {
    let expressions: Vec<Expr<'_>> = outputs.iter().map(|output| output.0).collect();
    let found = Session::evaluate(graph, &expressions, device).and_then(|mut session| session.run(inputs));
    let found = found.unwrap_or_else(|error| panic!("{device}, {what}: {error}"));
    for (number, (found, (_, exact))) in found.iter().zip(outputs).enumerate() {
        let worst = found.to_f64_vec().into_iter().map(|x| (x - exact).abs()).fold(0.0, f64::max);
        assert!(worst <= error * exact.abs(), "{device}, {what}, output {number}: off by {worst} of {exact}");
    }
}

const LONG: usize = 1_000_003;

#[test]
fn products_over_a_long_axis() {
    for device in devices() {
        for (dtype, error) in floats(&device) {
            for (value, k) in [(0.1, LONG), (0.7, 65_537), (1.0, 300_000), (0.3, 4097)] {
                let value = rounded(dtype, value);
                for (m, n) in [(1, 1), (1, 5), (5, 1), (2, 3), (1, 64), (20, 24), (33, 4)] {
                    if m * n * k > 30_000_000 {
                        continue;
                    }
                    let (x, w) = (constant(&[k, m], dtype, value), constant(&[k, n], dtype, 1.0));
                    let g = Graph::new();
                    let (a, b) = (g.input_of("x", [k, m], dtype), g.input_of("w", [k, n], dtype));
                    let product = a.t().matmul(b);
                    let outputs = [
                        (product, value * k as f64),
                        (b.t().matmul(a), value * k as f64),
                        // With work behind it that reads the result.
                        ((product * 2.0).relu() + 0.0, 2.0 * value * k as f64),
                        (product.sum(..), value * (k * m * n) as f64),
                    ];
                    check(
                        &format!("[{m}, {k}] x [{k}, {n}] of {dtype}"),
                        &device,
                        &g,
                        &outputs,
                        &[("x", &x), ("w", &w)],
                        error,
                    );
                }
            }
        }
    }
}

#[test]
fn batches_and_rows_of_products() {
    for device in devices() {
        for (dtype, error) in floats(&device) {
            let value = rounded(dtype, 0.1);
            let k = 150_001;
            let g = Graph::new();
            let (a, b) = (g.input_of("x", [3, 2, k], dtype), g.input_of("w", [3, k, 2], dtype));
            let (row, column) = (g.input_of("row", [k], dtype), g.input_of("column", [k, 2], dtype));
            let outputs = [
                (a.matmul(b), value * k as f64),
                (a.matmul(column), value * k as f64),
                (a.matmul(row), value * k as f64),
                (row.matmul(row * value), value * k as f64),
            ];
            let inputs = [
                ("x", &constant(&[3, 2, k], dtype, value)),
                ("w", &constant(&[3, k, 2], dtype, 1.0)),
                ("row", &constant(&[k], dtype, 1.0)),
                ("column", &constant(&[k, 2], dtype, 1.0)),
            ];
            check(&format!("batches of {dtype}"), &device, &g, &outputs, &inputs, error);
        }
    }
}

#[test]
fn the_gradient_of_a_weight_over_a_large_batch() {
    for device in devices() {
        for (dtype, error) in floats(&device) {
            let value = rounded(dtype, 0.1);
            let g = Graph::new();
            let x = g.input_of("x", [LONG, 2], dtype);
            let (w, bias) = (g.input_of("w", [2, 3], dtype), g.input_of("bias", [3], dtype));
            let y = x.matmul(w) + bias;
            let [dw, db] = y.sum(..).grad([w, bias]).unwrap();
            let outputs = [
                (dw, value * LONG as f64),
                (db, LONG as f64),
                (y.sum(..), 3.0 * (2.0 * value + 1.0) * LONG as f64),
                (y.mean([0]), 2.0 * value + 1.0),
                (y.mse_loss(y * 0.0, Reduction::Mean), (2.0 * value + 1.0).powi(2)),
            ];
            let inputs = [
                ("x", &constant(&[LONG, 2], dtype, value)),
                ("w", &constant(&[2, 3], dtype, 1.0)),
                ("bias", &constant(&[3], dtype, 1.0)),
            ];
            // The terms of the last three are rounded before they are summed.
            check(&format!("a weight of {dtype}"), &device, &g, &outputs, &inputs, error);
        }
    }
}

#[test]
fn sums_along_every_axis() {
    for device in devices() {
        for (dtype, error) in floats(&device) {
            for shape in [[LONG, 1, 1], [3, LONG, 1], [LONG, 3, 1], [1, 30_011, 64], [2, 20_011, 70], [300, 8, 700]] {
                let value = rounded(dtype, 0.1);
                let g = Graph::new();
                let x = g.input_of("x", shape, dtype);
                let outputs: Vec<(Expr<'_>, f64)> = (0..3)
                    .flat_map(|axis| {
                        let sum = value * shape[axis as usize] as f64;
                        [(x.sum([axis]), sum), (x.mean([axis]), value), ((x * 1.0 + 0.0).sum_keepdims([axis]), sum)]
                    })
                    .chain([(x.sum(..), value * shape.iter().product::<usize>() as f64), (x.mean(..), value)])
                    .collect();
                check(
                    &format!("{shape:?} of {dtype}"),
                    &device,
                    &g,
                    &outputs,
                    &[("x", &constant(&shape, dtype, value))],
                    error,
                );
            }
        }
    }
}

/// Updates of one constant into some places, and the number of times that each place is hit.
fn scatter(device: &Device, dtype: DType, value: f64, indices: &[i32], places: usize, error: f64) {
    let value = rounded(dtype, value);
    let count = indices.len();
    let mut hits = vec![0u32; places];
    let inside = |index: i32| usize::try_from(index).ok().filter(|index| *index < places);
    indices.iter().filter_map(|&index| inside(index)).for_each(|index| hits[index] += 1);
    let g = Graph::new();
    // Computed, so that indices may lie outside.
    let index = g.input("index", [count]).cast(DType::I32);
    let updates = g.input_of("updates", [count], dtype);
    let zeros = g.input_of("zeros", [places], dtype);
    let sum = zeros.scatter_add(0, index, updates);
    let mut session = Session::evaluate(&g, &[sum], device).unwrap();
    let index: Vec<f32> = indices.iter().map(|&index| index as f32).collect();
    let index = Tensor::new([count], index).unwrap();
    let (zeros, updates) = (constant(&[places], dtype, 0.0), constant(&[count], dtype, value));
    let found = session.run(&[("index", &index), ("zeros", &zeros), ("updates", &updates)]).unwrap()[0].to_f64_vec();
    for (place, (found, &hits)) in found.iter().zip(&hits).enumerate() {
        let exact = value * f64::from(hits);
        assert!(
            (found - exact).abs() <= error * exact.abs(),
            "{device}, {count} updates of {dtype} into {places}: place {place} of {hits} is {found}, not {exact}"
        );
    }
}

#[test]
fn scatters_of_many_updates() {
    for device in devices() {
        for (dtype, error) in floats(&device).into_iter().chain([(DType::I32, 0.0)]) {
            let value = if dtype == DType::I32 { 3.0 } else { 0.1 };
            let all = |count: usize, of: &dyn Fn(usize) -> i32| (0..count).map(of).collect::<Vec<i32>>();
            scatter(&device, dtype, value, &all(2_000_000, &|_| 0), 1, error);
            scatter(&device, dtype, value, &all(1_000_000, &|_| 77_777), 100_000, error);
            scatter(&device, dtype, value, &all(1_000_000, &|i| (i * 7919 % 100_000) as i32), 100_000, error);
            scatter(&device, dtype, value, &all(300_000, &|i| (i * 7919 % 300_000) as i32), 300_000, error);
            // Most of them outside, before and behind.
            scatter(&device, dtype, value, &all(300_000, &|i| (i % 11) as i32 * 100 - 300), 250, error);
            scatter(&device, dtype, value, &all(100, &|i| (i % 3) as i32 - 1), 200_000, error);
            scatter(&device, dtype, value, &all(4000, &|i| (i % 3) as i32 - 1), 2, error);
        }
        scatter(&device, DType::F32, 1.0, &vec![0; 20_000_000], 1, 0.0);
    }
}

#[test]
fn the_gradient_of_a_row_that_is_looked_up_often() {
    for device in devices() {
        for (dtype, error) in floats(&device) {
            let value = rounded(dtype, 0.1);
            for (rows, width, count) in [(10, 3, 400_000), (1000, 64, 30_000), (3, 1, 2_000_000)] {
                let g = Graph::new();
                let table = g.input_of("table", [rows, width], dtype);
                let index = g.input_of("index", [count], DType::I32);
                let looked_up = table.gather(0, index.reshape([count, 1]).broadcast_to([count, width]));
                let [gradient] = (looked_up * value).sum(..).grad([table]).unwrap();
                let row = gradient.slice(0, 2, 3);
                // Row 2 alone, but for the last look-up.
                let mut indices = vec![2; count];
                indices[count - 1] = 0;
                let outputs = [
                    (row, value * (count - 1) as f64),
                    (gradient.slice(0, 0, 1), value),
                    (gradient.slice(0, 1, 2), 0.0),
                ];
                let inputs = [
                    ("table", &constant(&[rows, width], dtype, 1.0)),
                    ("index", &Tensor::new([count], indices).unwrap()),
                ];
                check(
                    &format!("[{rows}, {width}] looked up {count} times, {dtype}"),
                    &device,
                    &g,
                    &outputs,
                    &inputs,
                    error,
                );
            }
        }
    }
}

fn attend<'g>(query: Expr<'g>, key: Expr<'g>, value: Expr<'g>) -> Expr<'g> {
    query.scaled_dot_product_attention(key, value, None, Attention::default())
}

/// Averages over many keys, and the gradients of one key, which are sums over many queries. Every key has the same score.
#[test]
fn attention_over_many_keys_and_queries() {
    for device in devices() {
        for (dtype, error) in floats(&device) {
            let value = rounded(dtype, 0.1);
            let n = 200_001;
            let g = Graph::new();
            let many = g.input_of("many", [1, n, 1], dtype);
            let (one, key) = (g.input_of("one", [1, 1, 1], dtype), g.input_of("key", [1, 2, 1], dtype));
            let averages = attend(one * 0.0, many, many);
            let of_one = attend(many, one * 0.0, one);
            let [by_value] = (of_one * many).sum(..).grad([one]).unwrap();
            // Of two keys with a score of 0 and the values 1 and -1: q p (v - 0) for each query q.
            let sign = g.literal([1, 2, 1], vec![1.0f32, -1.0]).cast(dtype);
            let [by_key] = attend(many, key * 0.0 + key, sign).sum(..).grad([key]).unwrap();
            // The covariance of keys and values, which are 0.1 and -0.1 by turns but for the first.
            let is_even = g.iota([1, n, 1], 1).cast(dtype) * 0.5;
            let turns = (is_even - is_even.floor()).greater(0.1).where_(many, -many);
            let [by_query] = attend(one * 0.0, turns, turns).sum(..).grad([one]).unwrap();
            let query = attend(one, turns, turns).sum(..).grad([one]).unwrap()[0];
            let by_turns = value * value * (1.0 - (n as f64).powi(-2));
            let outputs = [
                (averages, value),
                (by_value, value * n as f64),
                (by_key.slice(1, 0, 1), 0.5 * value * n as f64),
                (by_key.slice(1, 1, 2), -0.5 * value * n as f64),
                (by_query, 0.0),
                (query, by_turns),
            ];
            let inputs = [
                ("many", &constant(&[1, n, 1], dtype, value)),
                ("one", &constant(&[1, 1, 1], dtype, 0.0)),
                ("key", &constant(&[1, 2, 1], dtype, 0.0)),
            ];
            check(&format!("attention of {dtype}"), &device, &g, &outputs, &inputs, error);
        }
    }
}

/// Averages and sums of weights where each key has a larger score than those before it, by little or by much, and the last of them count most.
#[test]
fn attention_whose_scores_keep_rising() {
    let n = 60_000;
    for device in devices() {
        for (dtype, error) in floats(&device) {
            // Few bits, so that all scores are exact in f32.
            for rise in [10.0 / 1_048_576.0, 1.0 / 4096.0, 5.0 / 256.0, 2.0f64] {
                let g = Graph::new();
                let one = g.input_of("one", [1, 1, 1], dtype);
                let value = rounded(dtype, 0.1);
                let scores = g.iota([1, n, 1], 1).cast(dtype) * rise;
                let values = g.input_of("values", [1, n, 1], dtype);
                let average = attend(one, scores, values);
                let [by_value] = average.sum(..).grad([values]).unwrap();
                // The largest of a geometric series, by its sum.
                let weight = (-rise).exp_m1() / (-rise * n as f64).exp_m1();
                let outputs = [(average, value), (by_value.sum(..), 1.0), (by_value.slice(1, n - 1, n), weight)];
                let inputs =
                    [("one", &constant(&[1, 1, 1], dtype, 1.0)), ("values", &constant(&[1, n, 1], dtype, value))];
                check(&format!("scores that rise by {rise} in {dtype}"), &device, &g, &outputs, &inputs, error);
            }
        }
    }
}

/// Recurrences and products along an axis: what each step rounds does not add up either. Those of f64 are computed in f64: a step
/// rounds twice, by half an epsilon at most.
#[test]
fn recurrences_and_products_over_a_long_axis() {
    for device in devices() {
        for (dtype, error) in [(DType::F32, 2e-6), (DType::F64, LONG as f64 * f64::EPSILON)] {
            if !device.is_cpu() && dtype == DType::F64 {
                continue;
            }
            for factor in [1.0, 1.000_003, 0.999_997, -1.000_003] {
                let (factor, value) = (rounded(dtype, factor), rounded(dtype, 0.1));
                let g = Graph::new();
                let operand = g.input_of("operand", [LONG], dtype);
                let factors = g.input_of("factors", [LONG], dtype);
                // LONG is odd, so that the power has the sign of the factor.
                let logarithm = LONG as f64 * (factor.abs() - 1.0).ln_1p();
                let power = logarithm.exp().copysign(factor);
                let sum = match factor {
                    1.0 => LONG as f64,
                    factor if factor > 0.0 => logarithm.exp_m1() / (factor - 1.0),
                    factor => (power - 1.0) / (factor - 1.0),
                };
                let recurrence = operand.linear_recurrence(factors, 0);
                let product = factors.cumprod(0);
                let [by_operand] = recurrence.sum(..).grad([operand]).unwrap();
                let outputs = [
                    (recurrence.slice(0, LONG - 1, LONG), value * sum),
                    (product.slice(0, LONG - 1, LONG), power),
                    (by_operand.slice(0, 0, 1), sum),
                ];
                let inputs =
                    [("operand", &constant(&[LONG], dtype, value)), ("factors", &constant(&[LONG], dtype, factor))];
                check(&format!("a factor of {factor} in {dtype}"), &device, &g, &outputs, &inputs, error);
            }
        }
    }
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&[
        "sums::products_over_a_long_axis",
        "sums::batches_and_rows_of_products",
        "sums::the_gradient_of_a_weight_over_a_large_batch",
        "sums::sums_along_every_axis",
        "sums::scatters_of_many_updates",
        "sums::the_gradient_of_a_row_that_is_looked_up_often",
        "sums::attention_over_many_keys_and_queries",
        "sums::attention_whose_scores_keep_rising",
        "sums::recurrences_and_products_over_a_long_axis",
    ]);
}
