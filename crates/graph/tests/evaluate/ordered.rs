//! Operations along an axis that depend on the order of the elements there, by their definitions: every result from its elements anew.

use arenagrad_graph::{CumulativeFunction, Node, Ordered, ReduceFunction, Shape};

use super::functions::reduce;

/// The elements of the node from those of its operands, with their shapes.
pub(super) fn evaluate(ordered: Ordered, operands: &[(Shape, &[f64])], node: &Node) -> Vec<f64> {
    let (shape, x) = &operands[0];
    match ordered {
        Ordered::Cumulative { function, axis, is_reversed, .. } => along(shape, axis, shape[axis], |line, at| {
            let places: Vec<usize> = if is_reversed { (at..line.len()).rev().collect() } else { (0..=at).collect() };
            let elements = places.iter().map(|&place| x[line[place]]);
            match function {
                CumulativeFunction::Sum => elements.fold(0.0, |sum, x| reduce(ReduceFunction::Sum, sum, x, node.dtype)),
                CumulativeFunction::Product => {
                    elements.fold(1.0, |product, x| reduce(ReduceFunction::Product, product, x, node.dtype))
                }
                CumulativeFunction::ArgMax | CumulativeFunction::ArgMin => {
                    let sign = if function == CumulativeFunction::ArgMax { 1.0 } else { -1.0 };
                    let beats = |a: f64, b: f64| a.is_nan() || sign * a >= sign * b;
                    let best = places
                        .iter()
                        .copied()
                        .reduce(|best, place| if beats(x[line[place]], x[line[best]]) { place } else { best });
                    best.expect("a place for each result") as f64
                }
            }
        }),
        Ordered::Recurrence { axis, is_reversed, .. } => along(shape, axis, shape[axis], |line, at| {
            let places: Vec<usize> = if is_reversed { (at..line.len()).rev().collect() } else { (0..=at).collect() };
            let factors = operands[1].1;
            let mut result = x[line[places[0]]];
            for &place in &places[1..] {
                result = factors[line[place]] * result + x[line[place]];
            }
            result
        }),
        Ordered::ArgSort { axis, is_descending, count, .. } => along(shape, axis, count, |line, at| {
            let compare = |a: usize, b: usize| {
                let (p, q) = (x[line[a]], x[line[b]]);
                let order = match (p.is_nan(), q.is_nan()) {
                    (false, false) => p.partial_cmp(&q).expect("two numbers"),
                    (is_last, other) => is_last.cmp(&other),
                };
                if is_descending { order.reverse() } else { order }
            };
            let mut order: Vec<usize> = (0..line.len()).collect();
            order.sort_by(|&a, &b| compare(a, b));
            order[at] as f64
        }),
        Ordered::SearchSorted { is_right, .. } => {
            let (values_shape, values) = &operands[1];
            let length = shape[shape.rank() - 1];
            let row = if shape.rank() == 1 { values.len().max(1) } else { values_shape[values_shape.rank() - 1] };
            let search = |(place, &value): (usize, &f64)| {
                let sequence = &x[place / row * length..][..length];
                let is_before = |&&element: &&f64| if is_right { element <= value } else { element < value };
                if value.is_nan() { length as f64 } else { sequence.iter().filter(is_before).count() as f64 }
            };
            values.iter().enumerate().map(search).collect()
        }
    }
}

/// `count` results along an axis of a shape, each from where the elements along the axis stand, and its own place there.
fn along(shape: &Shape, axis: usize, count: usize, result: impl Fn(&[usize], usize) -> f64) -> Vec<f64> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let extent = shape[axis];
    let mut results = Vec::new();
    for before in 0..outer {
        for at in 0..count {
            for behind in 0..inner {
                let line: Vec<usize> = (0..extent).map(|i| (before * extent + i) * inner + behind).collect();
                results.push(result(&line, at));
            }
        }
    }
    results
}
