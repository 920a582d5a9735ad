//! Distances of many points, which are computed by other means than those of a few: the values and derivatives are the same.

use arenagrad::plan::BufferRole;
use arenagrad::{DType, Device, Expr, Graph, Session};

use crate::suite::devices::devices;
use crate::suite::evaluate::given;
use crate::suite::random::Random;
use crate::suite::run::numbers;

/// The distances as norms of differences, one pair beside the other.
fn by_differences<'g>(x: Expr<'g>, y: Expr<'g>) -> Expr<'g> {
    (x.unsqueeze(-2) - y.unsqueeze(-3)).norm(2.0, -1)
}

fn assert_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_near = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(is_near || found == expected, "{what}: {place} is {found}, expected {expected}");
    }
}

#[test]
fn distances_by_a_product_are_those_by_differences() {
    let mut random = Random(1);
    // Far from 0, beside how far they are from one another.
    let inputs = given([
        ("x", random.floats(2 * 30 * 5, 100.0, 102.0)),
        ("y", random.floats(40 * 5, 100.0, 102.0)),
        ("u", random.floats(2 * 30 * 40, -1.0, 1.0)),
    ]);
    for device in devices() {
        for (dtype, tolerance) in [(DType::F32, 2e-4), (DType::F64, 1e-10)] {
            if dtype == DType::F64 && !device.is_cpu() {
                continue;
            }
            let g = Graph::new();
            let [x, y, u] = [("x", &[2, 30, 5][..]), ("y", &[40, 5]), ("u", &[2, 30, 40])]
                .map(|(name, shape)| g.input_of(name, shape, dtype));
            let of = |distances: Expr<'_>| {
                let [of_x, of_y] = (distances * u).sum(..).grad([x, y]).unwrap();
                let [second] = (of_x.square().sum(..) + of_y.square().sum(..)).grad([y]).unwrap();
                numbers(&g, &[distances, of_x, of_y, second], &inputs, &device)
            };
            let (found, expected) = (of(x.cdist(y, 2.0)), of(by_differences(x, y)));
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let tolerance = if place == 3 { 100.0 * tolerance } else { tolerance };
                assert_near(found, expected, tolerance, &format!("{device}, {dtype}, result {place}"));
            }
        }
    }
}

#[test]
fn points_are_at_no_distance_from_themselves_and_infinite_ones_far_away() {
    let (points, coordinates) = (30, 4);
    let mut random = Random(2);
    let mut elements = random.floats(points * coordinates, -2.0, 2.0);
    // Two points that are one, so that a difference is 0 which is no point's from itself.
    let first: Vec<f64> = elements[..coordinates].to_vec();
    elements[coordinates..2 * coordinates].copy_from_slice(&first);
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [points, coordinates]);
        let distances = x.cdist(x, 2.0);
        let [gradient] = distances.sum(..).grad([x]).unwrap();
        let found = numbers(&g, &[distances, gradient], &given([("x", elements.clone())]), &device);
        assert!((0..points).all(|point| found[0][point * (points + 1)] == 0.0), "{device}");
        assert!(found[0][1] < 2e-3, "{device}: {}", found[0][1]);
        assert!(found.iter().flatten().all(|number| number.is_finite()), "{device}");
        let mut infinite = elements.clone();
        (infinite[9], infinite[17]) = (f64::INFINITY, 1e30);
        let found = numbers(&g, &[distances], &given([("x", infinite)]), &device).remove(0);
        let is_far = |point: usize| point == 2 || point == 4;
        for (place, &distance) in found.iter().enumerate() {
            let (row, column) = (place / points, place % points);
            if row != column {
                assert_eq!(is_far(row) || is_far(column), distance == f64::INFINITY, "{device}: {place} is {distance}");
            }
        }
        let mut undefined = elements.clone();
        undefined[9] = f64::NAN;
        let found = numbers(&g, &[distances], &given([("x", undefined)]), &device).remove(0);
        let is_right = |place: usize| found[place].is_nan() == (place / points == 2 || place % points == 2);
        assert!((0..points * points).all(is_right), "{device}");
    }
}

#[test]
fn distances_side_by_side_are_those_one_after_the_other() {
    let (m, n, d) = (6, 70, 5);
    let mut random = Random(3);
    let inputs = given([("x", random.floats(m * d, -2.0, 2.0)), ("y", random.floats(n * d, -2.0, 2.0))]);
    for device in devices() {
        for p in [1.0, f64::INFINITY] {
            let g = Graph::new();
            let (x, y) = (g.input("x", [m, d]), g.input("y", [n, d]));
            let weights = g.iota([m, n], 1).cast(DType::F32) + 1.0;
            let of = |distances: Expr<'_>| {
                let [of_x, of_y] = (distances * weights).sum(..).grad([x, y]).unwrap();
                numbers(&g, &[distances, of_x, of_y], &inputs, &device)
            };
            let found = of(x.cdist(y, p));
            // The first points of the second set, so few that each distance is summed by itself.
            let parts = [0, 35].map(|from| x.cdist(y.slice(0, from, from + 35), p));
            for (place, (found, expected)) in found.iter().zip(of(g.concat(&parts, 1))).enumerate() {
                assert_near(found, &expected, 1e-5, &format!("{device}, p = {p}, result {place}"));
            }
        }
    }
}

#[test]
fn distances_of_pairs_are_those_of_all_to_all() {
    let mut random = Random(5);
    for (n, d) in [(7, 3), (70, 5)] {
        let inputs = given([("x", random.floats(n * d, -2.0, 2.0))]);
        let pairs: Vec<i32> =
            (0..n).flat_map(|row| (row + 1..n).map(move |column| (row * n + column) as i32)).collect();
        for (p, device, dtype) in [0.0, 1.0, 1.5, 2.0, 3.0, f64::INFINITY].into_iter().flat_map(|p| {
            let in_f64 = [(p, Device::cpu(), DType::F64)];
            devices().into_iter().map(move |device| (p, device, DType::F32)).chain(in_f64)
        }) {
            let g = Graph::new();
            let x = g.input_of("x", [n, d], dtype);
            let weights = (g.iota([pairs.len()], 0).cast(dtype) * 0.7).sin();
            let all = (x.unsqueeze(-2) - x.unsqueeze(-3)).norm(p, -1).flatten();
            let expected = all.index_select(0, g.literal([pairs.len()], pairs.clone()));
            let of = |distances: Expr<'_>| {
                let [gradient] = (distances * weights).sum(..).grad([x]).unwrap();
                let [second] = gradient.square().sum(..).grad([x]).unwrap();
                numbers(&g, &[distances, gradient, second], &inputs, &device)
            };
            let tolerance = if dtype == DType::F64 { 1e-9 } else { 1e-3 };
            for (place, (found, expected)) in of(x.pdist(p)).iter().zip(of(expected)).enumerate() {
                let tolerance = if place == 2 { 10.0 * tolerance } else { tolerance };
                assert_near(found, &expected, tolerance, &format!("{device}, {dtype}, p = {p}, result {place}"));
            }
        }
    }
}

#[test]
fn products_of_integers_wrap_however_many_columns_they_have() {
    for device in devices() {
        for (m, k, n) in [(3, 50, 70), (3, 50, 7), (1, 9, 64)] {
            let mut random = Random(4);
            let [a, b] = [m * k, k * n].map(|count| random.integers(count, -(1 << 30), 1 << 30));
            let element = |row: usize, column: usize| {
                let product = |p: usize| (a[row * k + p] as i32).wrapping_mul(b[p * n + column] as i32);
                f64::from((0..k).fold(0i32, |sum, p| sum.wrapping_add(product(p))))
            };
            let expected: Vec<f64> = (0..m * n).map(|place| element(place / n, place % n)).collect();
            let g = Graph::new();
            let [x, y] = [("x", [m, k]), ("y", [k, n])].map(|(name, shape)| g.input_of(name, shape, DType::I32));
            let found = numbers(&g, &[x.matmul(y)], &given([("x", a.clone()), ("y", b.clone())]), &device);
            assert!(found[0] == expected, "{device}: {m} x {k} x {n}");
        }
    }
}

/// What is read again and again, with neighbours far apart, is brought in order by a step of its own, once for all that read it.
#[test]
fn what_is_read_often_is_brought_in_order() {
    let g = Graph::new();
    let (m, n, d) = (64, 96, 32);
    let (x, y) = (g.input("x", [m, d]), g.input("y", [n, d]));
    let session = Session::evaluate(&g, &[x.cdist(y, 1.0), x.cdist(y, f64::INFINITY)], &Device::cpu()).unwrap();
    let plan = session.plan();
    let slots = plan.buffers().iter().filter(|buffer| buffer.role == BufferRole::Slot);
    assert!(slots.map(|buffer| buffer.elements).max() <= Some(m * n), "{plan}");
    let writes = plan.steps().iter().flat_map(|step| &step.writes);
    let copies = writes.filter(|&&write| plan.buffers()[write as usize].elements == n * d);
    assert_eq!(copies.count(), 1, "{plan}");
}
