//! Sums, extremes, products, gathers and scatters over more than 100,000 elements, forward and backward, on every device.
//!
//! lavapipe 22 silently ends the loops of an invocation after 65,535 iterations; a kernel that runs into that returns a part of
//! a sum. Here every element counts: elements are small integers, so that f32 is exact and nothing may be missing.

use crate::suite::devices::devices;
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
use crate::suite::respawn::with_kernels_of_a_gpu;
use crate::suite::run::numbers;
use arenagrad::{DType, Device, Expr, Graph};

/// Numbers from a short list, most of them 0, so that no sum of any million leaves the exact integers of f32.
fn sparse(count: usize, seed: u64) -> Vec<f64> {
    let mut random = Random(seed);
    (0..count).map(|_| *random.pick(&[0.0, 0.0, 0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0])).collect()
}

fn elements(graph: &Graph, outputs: &[Expr<'_>], given: &Given, device: &Device) -> Vec<Vec<f64>> {
    numbers(graph, outputs, given, device)
}

#[test]
fn reductions_to_one_number() {
    for count in [100_003, 1_000_003] {
        let x = sparse(count, count as u64);
        // The last element is the extreme one, and the sum says whether each was counted.
        let mut peaked = x.clone();
        peaked[count - 1] = 9.0;
        let sum: f64 = peaked.iter().sum();
        for device in devices() {
            let g = Graph::new();
            let input = g.input("x", [count]);
            let [slope] = input.square().sum(..).grad([input]).unwrap();
            let [max_slope] = input.max(..).grad([input]).unwrap();
            let [mean_slope] = input.mean(..).grad([input]).unwrap();
            let outputs = [
                input.sum(..),
                input.mean(..),
                input.max(..),
                (-input).min(..),
                input.argmax(0),
                g.ones([count], DType::F32).sum(..),
                (input * 0.0 + 1.0).sum(..),
                slope,
                max_slope,
                mean_slope,
            ];
            let given = Given::from([("x".to_owned(), peaked.clone())]);
            let found = elements(&g, &outputs, &given, &device);
            assert_eq!(found[0], [sum], "{device}, sum of {count}");
            let mean = sum / count as f64;
            assert!((found[1][0] - mean).abs() <= 1e-6 * mean.abs(), "{device}: {} is not {mean}", found[1][0]);
            assert_eq!([found[2][0], found[3][0], found[4][0]], [9.0, -9.0, (count - 1) as f64], "{device}, {count}");
            assert_eq!([found[5][0], found[6][0]], [count as f64; 2], "{device}, {count}");
            assert!(found[7].iter().zip(&peaked).all(|(slope, x)| *slope == 2.0 * x), "{device}, {count}");
            assert!(
                found[8].iter().enumerate().all(|(i, s)| *s == f64::from(u8::from(i == count - 1))),
                "{device}, {count}"
            );
            assert!(found[9].iter().all(|s| (s * count as f64 - 1.0).abs() < 1e-6), "{device}, {count}");
        }
    }
}

#[test]
fn rows_and_columns() {
    let (few, many) = (3, 100_003);
    let rows = sparse(few * many, 5);
    let sum_of =
        |row: usize, of: &dyn Fn(f64) -> f64| rows[row * many..(row + 1) * many].iter().map(|&x| of(x)).sum::<f64>();
    let sums: Vec<f64> = (0..few).map(|row| sum_of(row, &|x| x)).collect();
    let squares: Vec<f64> = (0..few).map(|row| sum_of(row, &|x| x * x)).collect();
    let columns: Vec<f64> = (0..many).map(|column| (0..few).map(|row| rows[row * many + column]).sum()).collect();
    for device in devices() {
        let g = Graph::new();
        let (x, y) = (g.input("x", [few, many]), g.input("y", [many, few]));
        let [slope] = (x.sum(1).square().sum(..)).grad([x]).unwrap();
        let outputs =
            [x.sum(1), y.sum(0), x.square().sum(1), x.sum(0), y.sum(1), x.max(1), y.max(0), slope, x.t().sum(0)];
        let transposed = (0..many * few).map(|i| rows[i % few * many + i / few]).collect();
        let given = Given::from([("x".to_owned(), rows.clone()), ("y".to_owned(), transposed)]);
        let found = elements(&g, &outputs, &given, &device);
        assert_eq!([&found[0], &found[1], &found[8]], [&sums; 3], "{device}");
        assert_eq!(found[2], squares, "{device}");
        assert!(found[3] == columns && found[4] == columns, "{device}: sums over the short axis");
        assert_eq!([&found[5], &found[6]], [&vec![3.0; few]; 2], "{device}");
        assert!(found[7].iter().enumerate().all(|(i, s)| *s == 2.0 * sums[i / many]), "{device}: the gradient");
    }
}

#[test]
fn products_with_a_long_inner_dimension() {
    let (m, k, n) = (3, 100_003, 5);
    let (a, b) = (sparse(m * k, 7), sparse(k * n, 8));
    let product: Vec<f64> =
        (0..m * n).map(|place| (0..k).map(|p| a[place / n * k + p] * b[p * n + place % n]).sum()).collect();
    for device in devices() {
        let g = Graph::new();
        let (x, y) = (g.input("a", [m, k]), g.input("b", [k, n]));
        let (u, v) = (g.input("u", [k]), g.input("v", [k]));
        let z = x.matmul(y);
        // Sums over the long axis stand in the gradients too: of a broadcast row, and of a product's other operand.
        let wide = y * u.reshape([k, 1]);
        let [du] = wide.sum(..).grad([u]).unwrap();
        let w = g.input("w", [n, 2]);
        let [dw] = y.matmul(w).sum(..).grad([w]).unwrap();
        let outputs = [z, u.matmul(v), du, dw, x.matmul(u), y.t().matmul(v)];
        let given = Given::from([
            ("a".to_owned(), a.clone()),
            ("b".to_owned(), b.clone()),
            ("u".to_owned(), a[..k].to_vec()),
            ("v".to_owned(), a[k..2 * k].to_vec()),
            ("w".to_owned(), vec![1.0; 2 * n]),
        ]);
        let found = elements(&g, &outputs, &given, &device);
        assert_eq!(found[0], product, "{device}");
        let dot = |p: &dyn Fn(usize) -> f64, q: &dyn Fn(usize) -> f64| (0..k).map(|i| p(i) * q(i)).sum::<f64>();
        assert_eq!(found[1], [dot(&|i| a[i], &|i| a[k + i])], "{device}");
        assert!((0..k).all(|i| found[2][i] == b[i * n..(i + 1) * n].iter().sum::<f64>()), "{device}: du");
        let column = |j: usize| (0..k).map(|i| b[i * n + j]).sum::<f64>();
        assert_eq!(found[3], (0..2 * n).map(|place| column(place / 2)).collect::<Vec<_>>(), "{device}: dw");
        assert_eq!(found[4], (0..m).map(|row| dot(&|i| a[row * k + i], &|i| a[i])).collect::<Vec<_>>(), "{device}");
        let projected: Vec<f64> = (0..n).map(|j| dot(&|i| b[i * n + j], &|i| a[k + i])).collect();
        assert_eq!(found[5], projected, "{device}");
    }
}

#[test]
fn gathers_and_scatters() {
    let (rows, updates) = (7, 120_011);
    let mut random = Random(21);
    let indices: Vec<f64> = random.integers(updates, 0, rows as i64 - 1);
    let values = sparse(updates, 22);
    let mut sums = vec![1.0; rows];
    indices.iter().zip(&values).for_each(|(&index, value)| sums[index as usize] += value);
    let mut counts = vec![0.0; rows];
    indices.iter().for_each(|&index| counts[index as usize] += 1.0);
    for device in devices() {
        let g = Graph::new();
        let (table, data) = (g.input("table", [rows]), g.input("data", [updates]));
        let index = g.input_of("index", [updates], DType::I32);
        let gathered = table.gather(0, index);
        let scattered = g.ones([rows], DType::F32).scatter_add(0, index, data);
        let [d_table] = gathered.sum(..).grad([table]).unwrap();
        let [d_data] = (scattered * table).sum(..).grad([data]).unwrap();
        // The other way round: a long table, of which a few rows are taken and added to.
        let long =
            data.scatter_add(0, g.literal([3], [updates as i32 - 1, 0, updates as i32 - 1]), g.ones([3], DType::F32));
        let outputs = [gathered, scattered, d_table, d_data, long.slice(0, updates - 1, updates), long.sum(..)];
        let entries: Vec<f64> = (0..rows).map(|row| row as f64 - 3.0).collect();
        let given = Given::from([
            ("table".to_owned(), entries.clone()),
            ("data".to_owned(), values.clone()),
            ("index".to_owned(), indices.clone()),
        ]);
        let found = elements(&g, &outputs, &given, &device);
        let taken: Vec<f64> = indices.iter().map(|&index| entries[index as usize]).collect();
        assert!(found[0] == taken, "{device}: gather");
        assert_eq!(found[1], sums, "{device}: scatter_add");
        assert_eq!(found[2], counts, "{device}: the gradient of gather");
        assert!(found[3] == taken, "{device}: the gradient of scatter_add");
        assert_eq!(found[4], [values[updates - 1] + 2.0], "{device}");
        assert_eq!(found[5], [values.iter().sum::<f64>() + 3.0], "{device}");
    }
}

#[test]
fn softmax_over_a_long_axis() {
    let count = 100_003;
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2, count]);
        let softmax = x.softmax(1);
        let given = Given::from([("x".to_owned(), sparse(2 * count, 31))]);
        let found = elements(&g, &[softmax.sum(1), x.logsumexp([1])], &given, &device);
        for row in 0..2 {
            assert!((found[0][row] - 1.0).abs() < 1e-5, "{device}: probabilities sum to {}", found[0][row]);
            let x = &given["x"][row * count..(row + 1) * count];
            let expected = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            assert!((found[1][row] - expected).abs() < 1e-5, "{device}: {} is not {expected}", found[1][row]);
        }
    }
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&[
        "long::reductions_to_one_number",
        "long::rows_and_columns",
        "long::products_with_a_long_inner_dimension",
        "long::gathers_and_scatters",
        "long::softmax_over_a_long_axis",
    ]);
}
