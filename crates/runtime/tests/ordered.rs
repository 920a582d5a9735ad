//! Cumulative operations, sorts and what is made of them, on every device: at sizes across the borders of blocks, and at the edges
//! (NaN, zeros, ties, nothing at all).

use crate::suite::devices::devices;
use crate::suite::evaluate::{Given, given};
use crate::suite::random::Random;
use crate::suite::run::numbers;
use arenagrad::{DType, Device, Expr, Graph, QuantileInterpolation, Session, Tape, Tensor};

const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

/// What a function makes of one row of numbers, f32 on every device.
fn on_every_device(x: &[f64], function: impl for<'g> Fn(Expr<'g>) -> Vec<Expr<'g>>) -> Vec<(Device, Vec<Vec<f64>>)> {
    let compute = |device: Device| {
        let g = Graph::new();
        let outputs = function(g.input("x", [x.len()]));
        let found = numbers(&g, &outputs, &given([("x", x.to_vec())]), &device);
        (device, found)
    };
    devices().into_iter().map(compute).collect()
}

fn same(found: &[f64], expected: &[f64]) -> bool {
    let is_same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    found.len() == expected.len() && found.iter().zip(expected).all(is_same)
}

#[track_caller]
fn gives(x: &[f64], function: impl for<'g> Fn(Expr<'g>) -> Vec<Expr<'g>>, expected: &[&[f64]]) {
    for (device, found) in on_every_device(x, function) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(same(found, expected), "{device}: {found:?}, not {expected:?}");
        }
    }
}

#[test]
fn lengths_across_the_borders_of_blocks() {
    for length in [1, 2, 63, 64, 65, 255, 256, 257, 4095, 4097, 70_000, 1_000_000] {
        // Integers with ties, whose sums are exact.
        let mut random = Random(length as u64);
        let x: Vec<f64> = random.integers(length, -3, 9);
        let k = length.div_ceil(5).min(50);
        let mut order: Vec<usize> = (0..length).collect();
        order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
        let mut falling: Vec<usize> = (0..length).collect();
        falling.sort_by(|&a, &b| x[b].total_cmp(&x[a]));
        let sum = |sum: &mut f64, x: &f64| {
            *sum += x;
            Some(*sum)
        };
        let sums: Vec<f64> = x.iter().scan(0.0, sum).collect();
        let mut best = 0;
        let largest = (0..length).map(|i| {
            best = if x[i] >= x[best] { i } else { best };
            best as f64
        });
        let largest: Vec<f64> = largest.collect();
        let as_numbers = |order: &[usize]| order.iter().map(|&i| i as f64).collect::<Vec<f64>>();
        let expected = [
            sums,
            largest,
            as_numbers(&order),
            order.iter().map(|&i| x[i]).collect(),
            as_numbers(&falling[..k]),
            falling[..k].iter().map(|&i| x[i]).collect(),
        ];
        for (device, found) in on_every_device(&x, |x| {
            let (values, indices) = x.sort(0, false);
            let (first_values, first_indices) = x.topk(k, 0, true);
            vec![x.cumsum(0), x.cummax(0).1, indices, values, first_indices, first_values]
        }) {
            for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!(same(found, expected), "{device}: output {number} of {length}");
            }
        }
    }
}

#[test]
fn long_sums_keep_their_digits() {
    let x: Vec<f64> = Random(3).floats(1_000_000, 0.1, 1.1).iter().map(|&x| f64::from(x as f32)).collect();
    for (device, found) in on_every_device(&x, |x| vec![x.cumsum(0)]) {
        let mut sum = 0.0;
        for (place, (found, x)) in found[0].iter().zip(&x).enumerate() {
            sum += x;
            assert!((found - sum).abs() <= 2e-7 * sum, "{device}: {found} at {place}, not {sum}");
        }
    }
}

#[test]
fn rows_and_columns() {
    for (shape, axis) in [([300, 70], 1), ([70, 300], 0), ([1000, 3], 0), ([2, 5000], 1)] {
        let count = shape[0] * shape[1];
        // Each number once, for the prime divides none of the counts.
        let x: Vec<f64> = (0..count).map(|i| (i * 7919 % count) as f64).collect();
        let mut results = Vec::new();
        for device in devices() {
            let g = Graph::new();
            let y = g.input("x", shape);
            let outputs = [y.argsort(axis, true), y.topk(2, axis, false).1, y.cummin(axis).1];
            results.push((device.to_string(), numbers(&g, &outputs, &given([("x", x.clone())]), &device)));
        }
        let at = |line: usize, place: usize| match axis {
            0 => x[place * shape[1] + line],
            _ => x[line * shape[1] + place],
        };
        let (lines, extent) = if axis == 0 { (shape[1], shape[0]) } else { (shape[0], shape[1]) };
        for (device, found) in &results {
            for line in 0..lines {
                let mut order: Vec<usize> = (0..extent).collect();
                order.sort_by(|&a, &b| at(line, b).total_cmp(&at(line, a)));
                for (place, &index) in order.iter().enumerate() {
                    let position = if axis == 0 { place * lines + line } else { line * extent + place };
                    assert_eq!(found[0][position], index as f64, "{device}, {shape:?} along {axis}");
                }
                for place in 0..2 {
                    let position = if axis == 0 { place * lines + line } else { line * 2 + place };
                    assert_eq!(
                        found[1][position],
                        order[extent - 1 - place] as f64,
                        "{device}, {shape:?} along {axis}"
                    );
                }
            }
        }
        assert!(results.iter().all(|(_, found)| found == &results[0].1), "{shape:?} along {axis}");
    }
}

#[test]
fn order_at_the_edges() {
    let x = [1.0, NAN, -INFINITY, -0.0, INFINITY, 0.0, NAN];
    gives(&x, |x| vec![x.argsort(0, false)], &[&[2.0, 3.0, 5.0, 0.0, 4.0, 1.0, 6.0]]);
    gives(&x, |x| vec![x.argsort(0, true)], &[&[1.0, 6.0, 4.0, 0.0, 3.0, 5.0, 2.0]]);
    gives(&x, |x| vec![x.topk(3, 0, true).0, x.topk(2, 0, false).0], &[&[NAN, NAN, INFINITY], &[-INFINITY, 0.0]]);
    gives(&x, |x| vec![x.topk(0, 0, true).0, x.topk(0, 0, true).1], &[&[], &[]]);
    gives(&x, |x| vec![x.kthvalue(3, 0).0, x.kthvalue(3, 0).1], &[&[0.0], &[5.0]]);
    gives(&x, |x| vec![x.median(0).0, x.median(0).1], &[&[NAN], &[1.0]]);
    gives(&x, |x| vec![x.nanmedian(..).0, x.nanmedian(..).1], &[&[0.0], &[5.0]]);
    gives(&[NAN, NAN], |x| vec![x.nanmedian(0).0], &[&[NAN]]);
    gives(&[4.0, 1.0, 3.0, 2.0], |x| vec![x.median(0).0, x.median(0).1], &[&[2.0], &[3.0]]);
    gives(&x, |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Linear)], &[&[NAN]]);
    gives(&[4.0, 1.0, 3.0, 2.0], |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Linear)], &[&[2.5]]);
    gives(&[4.0, 1.0, 3.0, 2.0], |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Lower)], &[&[2.0]]);
    gives(&[4.0, 1.0, 3.0, 2.0], |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Higher)], &[&[3.0]]);
    gives(&[4.0, 1.0, 3.0, 8.0], |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Midpoint)], &[&[3.5]]);
    gives(&[4.0, 1.0, 3.0, 2.0], |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Nearest)], &[&[3.0]]);
    // From the nearer of two numbers, of which one may be an infinity.
    gives(&[-INFINITY, 5.0], |x| vec![x.quantile(0.5, 0, QuantileInterpolation::Linear)], &[&[-INFINITY]]);
    for q in [0.25, 0.5, 0.75] {
        let linear = QuantileInterpolation::Linear;
        for (device, found) in on_every_device(&[1.0, INFINITY], |x| vec![x.quantile(q, 0, linear)]) {
            assert!(same(&found[0], &[INFINITY]), "{device}: {found:?} at {q}");
        }
        for (device, found) in on_every_device(&[-INFINITY, 5.0], |x| vec![x.quantile(q, 0, linear)]) {
            assert!(same(&found[0], &[-INFINITY]), "{device}: {found:?} at {q}");
        }
    }
    gives(&[], |x| vec![x.sort(0, false).0, x.cumsum(0), x.cummax(0).0], &[&[], &[], &[]]);
}

#[test]
fn cumulative_operations_at_the_edges() {
    let x = [-INFINITY, -1.0, NAN, 3.0];
    gives(&x, |x| vec![x.cummax(0).0, x.cummax(0).1], &[&[-INFINITY, -1.0, NAN, NAN], &[0.0, 1.0, 2.0, 2.0]]);
    gives(&[0.0, 2.0, INFINITY], |x| vec![x.cumprod(0)], &[&[0.0, 0.0, NAN]]);
    let then = |first: f64, factor: f64| [vec![first], vec![factor; 14]].concat();
    for (first, factor) in [(NAN, 1e10), (NAN, 1e-10), (INFINITY, 1e-10), (-INFINITY, 1e10)] {
        gives(&then(first, factor), |x| vec![x.cumprod(0)], &[&[first; 15]]);
    }
    gives(&[vec![1e30; 30], vec![NAN]].concat(), |x| vec![x.cumprod(0).select_index(0, 30)], &[&[NAN]]);
    gives(&[vec![1e38; 9], vec![1e-38; 40]].concat(), |x| vec![x.cumprod(0).select_index(0, 48)], &[&[INFINITY]]);
    gives(&[INFINITY, 1.0, -INFINITY], |x| vec![x.cumsum(0)], &[&[INFINITY, INFINITY, NAN]]);
    let x = [-INFINITY, -INFINITY, 0.0, -INFINITY, INFINITY, 1.0];
    gives(&x, |x| vec![x.logcumsumexp(0)], &[&[-INFINITY, -INFINITY, 0.0, 0.0, INFINITY, INFINITY]]);
    gives(&[NAN, 1.0], |x| vec![x.logcumsumexp(0)], &[&[NAN, NAN]]);
    // Far apart: neither end is lost.
    gives(&[-1000.0, 0.0, 1000.0, -1000.0], |x| vec![x.logcumsumexp(0)], &[&[-1000.0, 0.0, 1000.0, 1000.0]]);
    gives(&[-1000.0, 1000.0], |x| vec![gradient_of(x, &|x| x.logcumsumexp(0))], &[&[1.0, 1.0]]);
    gives(&[-INFINITY, 1.0], |x| vec![gradient_of(x, &|x| x.logcumsumexp(0))], &[&[NAN, 1.0]]);
}

/// Sums of parts of a run may leave the range of numbers where no sum of the run does.
#[test]
fn sums_near_the_end_of_the_range() {
    // Of 512 elements some sum leaves the range, and their total does not; or only together with those before.
    let mut lanes = vec![0.0; 600];
    (lanes[0], lanes[1], lanes[16], lanes[17]) = (1e308, 1e308, -1e308, -1e308);
    let mut over = vec![0.0; 2000];
    (over[0], over[1], over[512], over[513]) = (1e308, 0.5e308, 1e308, -1e308);
    let alternating = |extent: usize| (0..extent).map(|place| if place % 2 == 0 { 1e308 } else { -1e308 }).collect();
    let cases: Vec<Vec<f64>> =
        [100usize, 1024, 5000, 100_000].into_iter().map(alternating).chain([lanes, over]).collect();
    for x in cases {
        let extent = x.len();
        let sum = |sum: &mut f64, x: &f64| {
            *sum += x;
            Some(*sum)
        };
        let expected: Vec<f64> = x.iter().scan(0.0, sum).collect();
        let g = Graph::new();
        let sums = g.input_of("x", [extent], DType::F64).cumsum(0);
        let found = Session::evaluate(&g, &[sums], &Device::cpu())
            .and_then(|mut session| session.run(&[("x", &Tensor::new([extent], x)?)]))
            .expect("numbers");
        assert!(same(&found[0].to_f64_vec(), &expected), "{extent}");
    }
}

#[test]
fn products_with_zeros_have_gradients() {
    let of = |x: &[f64], function: for<'g> fn(Expr<'g>) -> Expr<'g>, expected: &[f64]| {
        for (device, found) in on_every_device(x, |x| vec![gradient_of(x, &function)]) {
            assert!(same(&found[0], expected), "{device}: {:?}, not {expected:?}", found[0]);
        }
    };
    of(&[2.0, 0.0, 3.0], |x| x.prod(..), &[0.0, 6.0, 0.0]);
    of(&[0.0, 0.0, 3.0], |x| x.prod(..), &[0.0, 0.0, 0.0]);
    of(&[5.0], |x| x.prod(..), &[1.0]);
    of(&[2.0, 0.0, 3.0], |x| x.cumprod(0), &[1.0, 8.0, 0.0]);
    of(&[0.0, 0.0, 3.0], |x| x.cumprod(0), &[1.0, 0.0, 0.0]);
    // The products of what is behind are too large for f32.
    let tens = [vec![0.0, 0.0], vec![10.0; 46]].concat();
    let first = |first: f64| [vec![first], vec![0.0; 47]].concat();
    of(&tens, |x| x.prod(..), &first(0.0));
    let expected = first(1.0);
    // A GPU goes back through the factors in f32.
    let found = on_every_device(&tens, |x| vec![gradient_of(x, &|x| x.cumprod(0))]);
    assert!(same(&found[0].1[0], &expected), "{:?}", found[0].1);
    // Products that leave the range on their way and come back.
    let x = [vec![1e-30; 3], vec![1e30; 3]].concat();
    for (device, found) in on_every_device(&x, |x| vec![x.cumprod(0).select_index(0, 5), x.prod(..)]) {
        assert!(found.iter().all(|found| (found[0] - 1.0).abs() < 1e-5), "{device}: {found:?}");
    }
    // An infinity among the elements is none of that.
    of(&[0.0, 1.0, INFINITY], |x| x.prod(..), &[INFINITY, NAN, 0.0]);
    // Of x y z the second derivatives are the third factor.
    of(&[0.0, 0.0, 3.0], |x| gradient_of(x, &|x| x.prod(..)).select_index(0, 0), &[0.0, 3.0, 0.0]);
    of(&[0.0, 0.0, 3.0], |x| gradient_of(x, &|x| x.cumprod(0)).select_index(0, 0), &[0.0, 4.0, 0.0]);
}

fn gradient_of<'g>(x: Expr<'g>, function: &dyn Fn(Expr<'g>) -> Expr<'g>) -> Expr<'g> {
    let [gradient] = function(x).sum(..).grad([x]).expect("a float");
    gradient
}

#[test]
fn ties_and_extremes() {
    let x = [2.0, 5.0, 5.0, 1.0, 1.0];
    gives(&x, |x| vec![x.max_with_indices(0).0, x.max_with_indices(0).1], &[&[5.0], &[1.0]]);
    gives(&x, |x| vec![x.min_with_indices(..).0, x.min_with_indices(..).1], &[&[1.0], &[3.0]]);
    gives(&x, |x| vec![gradient_of(x, &|x| x.max_with_indices(0).0)], &[&[0.0, 1.0, 0.0, 0.0, 0.0]]);
    gives(&x, |x| vec![gradient_of(x, &|x| x.aminmax(0).1)], &[&[0.0, 0.5, 0.5, 0.0, 0.0]]);
    // The last of equal elements is the largest so far.
    gives(&x, |x| vec![gradient_of(x, &|x| x.cummax(0).0)], &[&[1.0, 1.0, 3.0, 0.0, 0.0]]);
    gives(&[1.0, NAN, 0.0], |x| vec![x.argmin(0), x.argmax(..)], &[&[1.0], &[1.0]]);
    for device in devices() {
        let g = Graph::new();
        let x = g.literal([4], [7, i32::MIN, i32::MAX, 0]);
        let found = numbers(&g, &[x.argmin(0), x.argmax(0), x.min_with_indices(0).0], &Given::new(), &device);
        assert_eq!(found, [[1.0], [2.0], [f64::from(i32::MIN)]], "{device}");
    }
}

#[test]
fn counts_and_what_is_missing() {
    gives(
        &[],
        |x| vec![x.any(..), x.all(..), x.count_nonzero(0), x.prod(..), x.nansum(0)],
        &[&[0.0], &[1.0], &[0.0], &[1.0], &[0.0]],
    );
    gives(&[NAN, 0.0, 2.0], |x| vec![x.any(..), x.all(..), x.count_nonzero(..)], &[&[1.0], &[0.0], &[2.0]]);
    gives(&[NAN, 1.0, 2.0], |x| vec![x.nansum(0), x.nanmean(0)], &[&[3.0], &[1.5]]);
    gives(&[NAN, NAN], |x| vec![x.nansum(0), x.nanmean(0)], &[&[0.0], &[NAN]]);
    gives(&[NAN, 1.0, 2.0], |x| vec![gradient_of(x, &|x| x.nanmean(0))], &[&[0.0, 0.5, 0.5]]);
}

#[test]
fn differences_and_integrals() {
    gives(
        &[1.0, 4.0, 9.0, 16.0],
        |x| vec![x.diff(1, 0), x.diff(2, 0), x.diff(0, 0)],
        &[&[3.0, 5.0, 7.0], &[2.0, 2.0], &[1.0, 4.0, 9.0, 16.0]],
    );
    gives(&[1.0, 4.0], |x| vec![x.diff(2, 0), x.diff(usize::MAX, 0)], &[&[], &[]]);
    gives(&[1.0, 4.0], |x| vec![x.diff_with(1, 0, Some(x), Some(x))], &[&[3.0, -3.0, 3.0, -3.0, 3.0]]);
    gives(&[1.0], |x| vec![x.trapezoid(2.0, 0), x.trapezoid_at(x, 0)], &[&[0.0], &[0.0]]);
    gives(&[], |x| vec![x.trapezoid(2.0, 0)], &[&[0.0]]);
    gives(&[1.0, 4.0, 9.0], |x| vec![x.numerical_gradient(1.0, 0, 2)], &[&[2.0, 4.0, 6.0]]);
    gives(&[0.0, 1.0, 2.0], |x| vec![x.numerical_gradient_at(x, 0, 2)], &[&[1.0, 1.0, 1.0]]);
}

#[test]
fn variables_have_the_same_methods() {
    let tape = Tape::new(Device::cpu());
    let leaf = |data: Vec<f32>| tape.leaf(Tensor::new([data.len()], data).expect("as many"));
    let x = leaf(vec![3.0, 1.0, 2.0]).requires_grad();
    let (values, indices) = x.sort(0, false);
    assert_eq!(values.data().expect("a value").to_f64_vec(), [1.0, 2.0, 3.0]);
    assert_eq!(indices.data().expect("a value").to_f64_vec(), [1.0, 2.0, 0.0]);
    let differences = x.diff_with(1, 0, None, Some(&x));
    assert_eq!(differences.data().expect("a value").to_f64_vec(), [-2.0, 1.0, 1.0, -2.0, 1.0]);
    let top = x.topk(2, 0, true).0;
    (&top.cumprod(0) * 1.0).sum(..).backward().expect("a scalar");
    assert_eq!(x.grad().expect("a gradient").to_f64_vec(), [3.0, 0.0, 3.0]);
}
