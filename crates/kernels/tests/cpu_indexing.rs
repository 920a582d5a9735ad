//! Gather, scatter-add and assembly against the reference.

use crate::reference::{assert_close, buffer, noise, own_buffers, run, values, view};
use arenagrad_graph::Shape;
use arenagrad_kernels::cpu::{Compiled, Operands};
use arenagrad_kernels::{DType, Elements, Factor, Kernel, Piece, ScatterFunction, View};

/// Shapes of operand and indices, and the axis.
fn cases() -> Vec<(Vec<usize>, Vec<usize>, usize)> {
    vec![
        (vec![5], vec![3], 0),
        (vec![1], vec![1], 0),
        (vec![10, 4], vec![64, 4], 0),
        (vec![64, 10], vec![64, 1], 1),
        (vec![6, 7, 8], vec![5, 9, 6], 1),
        (vec![6, 7, 8], vec![6, 7, 3], 2),
        (vec![2, 3, 700], vec![4, 3, 650], 0),
        (vec![1000, 129], vec![700, 129], 0),
        (vec![20, 45], vec![700, 45], 0),
        (vec![40, 1], vec![1500, 1], 0),
        (vec![300, 7], vec![300, 1], 1),
        (vec![4, 5, 6], vec![4, 1, 1], 1),
    ]
}

/// Indices of which some lie outside of `0..extent`.
fn indices(count: usize, extent: usize) -> Vec<f64> {
    noise(5, count).into_iter().map(|x| ((x * 0.55 + 0.5) * extent as f64).floor()).collect()
}

/// Where an index tuple with `index` in place of coordinate `axis` stands.
fn position(shape: &[usize], indices_shape: &[usize], axis: usize, mut element: usize, index: f64) -> Option<usize> {
    let mut coordinates = vec![0; shape.len()];
    for a in (0..shape.len()).rev() {
        coordinates[a] = element % indices_shape[a];
        element /= indices_shape[a];
    }
    if index < 0.0 || index >= shape[axis] as f64 {
        return None;
    }
    coordinates[axis] = index as usize;
    Some(coordinates.iter().zip(shape).fold(0, |position, (c, n)| position * n + c))
}

#[test]
fn gathers() {
    for (operand_shape, indices_shape, axis) in cases() {
        for dtype in DType::ALL {
            let (count, elements) = (operand_shape.iter().product(), indices_shape.iter().product::<usize>());
            let operand: Vec<f64> = noise(1, count).into_iter().map(|x| dtype.round((x * 50.0).max(0.0))).collect();
            // All different, and the same along the last axis as in a look-up of rows.
            let last = indices_shape[indices_shape.len() - 1];
            let views = [View::contiguous(elements), view(&[(elements / last, 1), (last, 0)], 2)];
            for indices_view in views {
                let indices = indices(indices_view.end(), operand_shape[axis]);
                let outside = if dtype.is_float() { f64::NAN } else { 0.0 };
                let expected: Vec<f64> = (0..elements)
                    .map(|element| {
                        let index = indices[indices_view.position(element)];
                        position(&operand_shape, &indices_shape, axis, element, index).map_or(outside, |at| operand[at])
                    })
                    .collect();
                let kernel = Kernel::Gather {
                    dtype,
                    operand_shape: Shape::from(&operand_shape[..]),
                    indices_shape: Shape::from(&indices_shape[..]),
                    axis,
                    indices: indices_view,
                };
                let inputs = [buffer(dtype, &operand), buffer(DType::I32, &indices)];
                let found = run(&kernel, &inputs, &[(dtype, elements)]);
                assert_close(
                    &values(&found[0]),
                    &expected,
                    0.0,
                    &format!("{operand_shape:?} {indices_shape:?} {axis}"),
                );
            }
        }
    }
}

/// A number of the dtype with at most 30 binary digits, of which any thousand have an exact sum in f64.
fn few_digits(dtype: DType, value: f64) -> f64 {
    dtype.round((value * 2f64.powi(24)).round() * 2f64.powi(-24))
}

#[test]
fn scatters() {
    for (operand_shape, updates_shape, axis) in cases() {
        for dtype in [DType::F32, DType::F64, DType::I32] {
            let (count, elements) = (operand_shape.iter().product(), updates_shape.iter().product::<usize>());
            let operand: Vec<f64> = noise(1, count).into_iter().map(|x| few_digits(dtype, x * 50.0)).collect();
            let last = updates_shape[updates_shape.len() - 1];
            let rows = view(&[(elements / last, 1), (last, 0)], 2);
            let views = [(View::contiguous(elements), rows.clone()), (rows, View::contiguous(elements))];
            for (indices_view, updates_view) in views {
                let indices = indices(indices_view.end(), operand_shape[axis]);
                let updates: Vec<f64> =
                    noise(2, updates_view.end()).into_iter().map(|x| few_digits(dtype, x * 50.0)).collect();
                // Exact sums, for the few digits of these numbers fit in f64 many times over; then one rounding.
                let mut totals = vec![0.0; operand.len()];
                for element in 0..elements {
                    let index = indices[indices_view.position(element)];
                    if let Some(at) = position(&operand_shape, &updates_shape, axis, element, index) {
                        totals[at] += updates[updates_view.position(element)];
                    }
                }
                let kernel = |in_place, factor| Kernel::ScatterAdd {
                    dtype,
                    operand_shape: Shape::from(&operand_shape[..]),
                    updates_shape: Shape::from(&updates_shape[..]),
                    axis,
                    indices: indices_view.clone(),
                    updates: updates_view.clone(),
                    in_place,
                    factor,
                };
                let scale = 3.0;
                let inputs = [
                    buffer(dtype, &operand),
                    buffer(DType::I32, &indices),
                    buffer(dtype, &updates),
                    buffer(dtype, &[scale]),
                ];
                let what = format!("{dtype} {operand_shape:?} {updates_shape:?} {axis}");
                let factors = [(Factor::Constant(-1.0), -1.0), (Factor::Constant(0.5), 0.5)];
                let from_input = [false, true]
                    .map(|is_negated| (Factor::Input { is_negated }, if is_negated { -scale } else { scale }));
                let factors = factors.into_iter().chain(from_input).map(|(factor, value)| (Some(factor), value));
                for (factor, value) in factors.chain([(None, 1.0)]).filter(|(_, v)| dtype.is_float() || *v != 0.5) {
                    // The total, the product and the sum are rounded one after the other; without a factor the sum alone.
                    let expected: Vec<f64> = operand
                        .iter()
                        .zip(&totals)
                        .map(|(&element, &total)| match factor {
                            None => dtype.round(element + total),
                            Some(_) => dtype.round(element + dtype.round(value * dtype.round(total))),
                        })
                        .collect();
                    let found = run(&kernel(false, factor), &inputs, &[(dtype, count)]);
                    assert_close(&values(&found[0]), &expected, 0.0, &format!("{what} {factor:?}"));
                    let mut outputs = [inputs[0].clone()];
                    let mut buffers = own_buffers(&inputs);
                    buffers[0] = Elements::zeros(dtype, 0).unwrap().into();
                    let operands = Operands { buffers: &buffers, slots: &[0, 1, 2, 3] };
                    Compiled::new(&kernel(true, factor)).run(operands, &mut outputs);
                    assert_close(&values(&outputs[0]), &expected, 0.0, &format!("{what} {factor:?} in place"));
                }
            }
        }
    }
}

#[test]
fn assemblies() {
    for dtype in DType::ALL {
        // A concatenation along the last axis: [6, 2] and a transposed [6, 3].
        let a: Vec<f64> = (0..12).map(|i| dtype.round(f64::from(i))).collect();
        let b: Vec<f64> = (0..18).map(|i| dtype.round(f64::from(i % 5))).collect();
        let pieces = vec![
            Piece { source: View::contiguous(12), destination: view(&[(6, 5), (2, 1)], 0) },
            Piece { source: view(&[(6, 1), (3, 6)], 0), destination: view(&[(6, 5), (3, 1)], 2) },
        ];
        let kernel = Kernel::Assemble { dtype, elements: 30, fill: None, pieces };
        let found = run(&kernel, &[buffer(dtype, &a), buffer(dtype, &b)], &[(dtype, 30)]);
        let expected: Vec<f64> = (0..6)
            .flat_map(|row| {
                let left = (0..2).map(move |column| row * 2 + column);
                let right = (0..3).map(move |column| column * 6 + row);
                left.map(|i| a[i]).chain(right.map(|i| b[i])).collect::<Vec<f64>>()
            })
            .collect();
        assert_close(&values(&found[0]), &expected, 0.0, "concatenation");

        // A padding with interior: every third element of 2000, filled elsewhere.
        let source: Vec<f64> = noise(1, 2000).into_iter().map(|x| dtype.round(x * 9.0)).collect();
        let pieces = vec![Piece { source: View::contiguous(2000), destination: view(&[(2000, 3)], 4) }];
        let fill = dtype.round(1.0);
        let kernel = Kernel::Assemble { dtype, elements: 6010, fill: Some(fill), pieces };
        let found = run(&kernel, &[buffer(dtype, &source)], &[(dtype, 6010)]);
        let mut expected = vec![fill; 6010];
        (0..2000).for_each(|i| expected[4 + 3 * i] = source[i]);
        assert_close(&values(&found[0]), &expected, 0.0, "padding");
    }
}

/// Updates of 0.1 to few places: along the first axis with an index for each row, along the last with one for each element,
/// to one place and to some.
#[test]
fn long_scatters_lose_no_digits() {
    let count = 2_000_000;
    for dtype in [DType::F32, DType::F64, DType::I32] {
        let update = dtype.round(if dtype == DType::I32 { 3.0 } else { 0.1 });
        for (operand_shape, updates_shape, axis, indices_view) in [
            (vec![1], vec![count], 0, View::contiguous(count)),
            (vec![5, 3], vec![count / 4, 3], 0, view(&[(count / 4, 1), (3, 0)], 0)),
            (vec![5, 40], vec![count / 40, 40], 0, view(&[(count / 40, 1), (40, 0)], 0)),
            (vec![2, 700_000], vec![2, count / 2], 1, View::contiguous(count)),
            (vec![3, 2_000_000], vec![3, count], 1, View::new([], 0)),
        ] {
            let elements: usize = updates_shape.iter().product();
            let indices_view = if indices_view.elements() == 1 { view(&[(elements, 0)], 0) } else { indices_view };
            let extent = operand_shape[axis];
            // Three of four updates go to place 0, the others anywhere.
            let indices: Vec<f64> =
                (0..indices_view.end()).map(|i| if i % 4 == 0 { (i / 4 % extent) as f64 } else { 0.0 }).collect();
            let places: usize = operand_shape.iter().product();
            let mut hits = vec![0u32; places];
            for element in 0..elements {
                let index = indices[indices_view.position(element)];
                hits[position(&operand_shape, &updates_shape, axis, element, index).unwrap()] += 1;
            }
            let kernel = Kernel::ScatterAdd {
                dtype,
                operand_shape: Shape::from(&operand_shape[..]),
                updates_shape: Shape::from(&updates_shape[..]),
                axis,
                indices: indices_view,
                updates: view(&[(elements, 0)], 0),
                in_place: false,
                factor: None,
            };
            let inputs =
                [Elements::zeros(dtype, places).unwrap(), buffer(DType::I32, &indices), buffer(dtype, &[update])];
            let found = values(&run(&kernel, &inputs, &[(dtype, places)])[0]);
            let unit = if dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) };
            for (place, (found, &hits)) in found.iter().zip(&hits).enumerate() {
                let exact = f64::from(hits) * update;
                let wrapped = if dtype == DType::I32 { exact } else { *found };
                assert!(
                    (found - exact).abs() <= 1.01 * unit * exact && *found == wrapped,
                    "{dtype} {operand_shape:?} {updates_shape:?}: place {place} of {hits} updates is {found}, not {exact}"
                );
            }
        }
    }
}

#[test]
fn scatters_combine_in_the_order_of_the_updates() {
    for (operand_shape, updates_shape, axis) in cases() {
        let functions = DType::ALL.into_iter().flat_map(|dtype| ScatterFunction::ALL.map(|function| (dtype, function)));
        for (dtype, function) in functions.filter(|(dtype, function)| function.takes(*dtype)) {
            let (count, elements) = (operand_shape.iter().product(), updates_shape.iter().product::<usize>());
            let numbers = |seed: u64, count: usize| -> Vec<f64> {
                let number =
                    |x: f64| if dtype == DType::Bool { f64::from(x > 0.0) } else { few_digits(dtype, 1.0 + x * 0.25) };
                noise(seed, count).into_iter().map(number).collect()
            };
            let operand = numbers(1, count);
            let last = updates_shape[updates_shape.len() - 1];
            let rows = view(&[(elements / last, 1), (last, 0)], 2);
            for (indices_view, updates_view) in
                [(View::contiguous(elements), rows.clone()), (rows, View::contiguous(elements))]
            {
                let indices = indices(indices_view.end(), operand_shape[axis]);
                let mut updates = numbers(2, updates_view.end());
                if dtype.is_float() && updates.len() > 3 {
                    updates[3] = f64::NAN;
                }
                let mut expected = operand.clone();
                for element in 0..elements {
                    let index = indices[indices_view.position(element)];
                    if let Some(at) = position(&operand_shape, &updates_shape, axis, element, index) {
                        let (a, b) = (expected[at], updates[updates_view.position(element)]);
                        let is_nan = a.is_nan() || b.is_nan();
                        expected[at] = dtype.round(match function {
                            ScatterFunction::Replace => b,
                            _ if is_nan => f64::NAN,
                            ScatterFunction::Mul => a * b,
                            ScatterFunction::Max => a.max(b),
                            ScatterFunction::Min => a.min(b),
                        });
                    }
                }
                let kernel = |in_place| Kernel::ScatterReduce {
                    dtype,
                    function,
                    operand_shape: Shape::from(&operand_shape[..]),
                    updates_shape: Shape::from(&updates_shape[..]),
                    axis,
                    indices: indices_view.clone(),
                    updates: updates_view.clone(),
                    in_place,
                };
                let inputs = [buffer(dtype, &operand), buffer(DType::I32, &indices), buffer(dtype, &updates)];
                let what = format!("{} {dtype} {operand_shape:?} {updates_shape:?} {axis}", function.name());
                let bits = |found: &[f64]| -> Vec<u64> {
                    found.iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect()
                };
                let found = run(&kernel(false), &inputs, &[(dtype, count)]);
                assert_eq!(bits(&values(&found[0])), bits(&expected), "{what}");
                let mut outputs = [inputs[0].clone()];
                let mut buffers = own_buffers(&inputs);
                buffers[0] = Elements::zeros(dtype, 0).unwrap().into();
                Compiled::new(&kernel(true)).run(Operands { buffers: &buffers, slots: &[0, 1, 2] }, &mut outputs);
                assert_eq!(bits(&values(&outputs[0])), bits(&expected), "{what} in place");
            }
        }
    }
}
