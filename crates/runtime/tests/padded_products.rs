//! Products of views of padded tensors: whether a product pads its operand itself or reads what was padded before, it gives the same.

use arenagrad::{DType, Device, Expr, Graph, Session, Tensor};

use crate::suite::random::Random;

/// A number from `from` to `to`.
fn pick(random: &mut Random, from: usize, to: usize) -> usize {
    from + (random.unit() * (to - from + 1) as f64) as usize
}

/// Integers, so few that every sum of products of them is exact, whatever its order.
fn integers(random: &mut Random, shape: &[usize]) -> Tensor {
    let elements: usize = shape.iter().product();
    let values: Vec<f32> = (0..elements).map(|_| (random.unit() * 9.0).floor() as f32 - 4.0).collect();
    Tensor::new(shape, values).unwrap()
}

/// What a run gives of outputs that are computed together.
fn run(graph: &Graph, outputs: &[Expr<'_>], inputs: &[(&str, &Tensor)]) -> Vec<Vec<f64>> {
    let mut session = Session::evaluate(graph, outputs, &Device::cpu()).unwrap();
    session.run(inputs).unwrap().iter().map(Tensor::to_f64_vec).collect()
}

/// Axes in some order.
fn permuted<'g>(random: &mut Random, x: Expr<'g>) -> Expr<'g> {
    let rank = x.shape().unwrap().rank();
    let mut axes: Vec<isize> = (0..rank as isize).collect();
    for place in (1..rank).rev() {
        axes.swap(place, pick(random, 0, place));
    }
    x.permute(axes)
}

/// A part along some axis, of every element or every second one.
fn sliced<'g>(random: &mut Random, x: Expr<'g>) -> Expr<'g> {
    let shape = x.shape().unwrap();
    let axis = pick(random, 0, shape.rank() - 1);
    let start = pick(random, 0, shape[axis] - 1);
    let end = pick(random, start + 1, shape[axis]);
    x.slice_step(axis as isize, start, end, pick(random, 1, 2))
}

/// The same elements as a matrix, or a batch of some.
fn reshaped<'g>(random: &mut Random, x: Expr<'g>) -> Expr<'g> {
    let shape = x.shape().unwrap();
    let cut = pick(random, 1, shape.rank() - 1);
    let [rows, columns] = [&shape[..cut], &shape[cut..]].map(|extents| extents.iter().product::<usize>());
    match shape.rank() {
        rank if rank > 2 && pick(random, 0, 1) == 1 => {
            x.reshape([shape[0], rows / shape[0] * columns / shape[rank - 1], shape[rank - 1]])
        }
        _ => x.reshape([rows, columns]),
    }
}

#[test]
fn views_of_padded_tensors() {
    let mut random = Random(7);
    let mut padded_itself = 0;
    for number in 0..300 {
        let graph = Graph::new();
        let rank = pick(&mut random, 3, 4);
        let extents: Vec<usize> = (0..rank).map(|_| pick(&mut random, 1, 6)).collect();
        let x = graph.input("x", extents.clone());
        let mut source = x;
        for _ in 0..pick(&mut random, 0, 2) {
            source =
                if pick(&mut random, 0, 1) == 0 { permuted(&mut random, source) } else { sliced(&mut random, source) };
        }
        let amounts: Vec<(usize, usize)> =
            (0..rank)
                .map(|_| {
                    if pick(&mut random, 0, 2) == 0 {
                        (0, 0)
                    } else {
                        (pick(&mut random, 0, 2), pick(&mut random, 0, 2))
                    }
                })
                .collect();
        let padded = source.pad(amounts, 3.0);
        let mut view = padded;
        for _ in 0..pick(&mut random, 0, 4) {
            view = match pick(&mut random, 0, 3) {
                0 => permuted(&mut random, view),
                1 => reshaped(&mut random, view),
                _ => sliced(&mut random, view),
            };
        }
        if view.shape().unwrap().rank() > 3 {
            view = reshaped(&mut random, view);
        }
        let shape = view.shape().unwrap();
        let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        let other = pick(&mut random, 1, 5);
        let from_left = pick(&mut random, 0, 1) == 0;
        let w_shape = if from_left { [other, rows] } else { [columns, other] };
        let w = graph.input_of("w", w_shape, DType::F32);
        let product = if from_left { w.matmul(view) } else { view.matmul(w) };
        let (given_x, given_w) = (integers(&mut random, &extents), integers(&mut random, &w_shape));
        let inputs: [(&str, &Tensor); 2] = [("x", &given_x), ("w", &given_w)];
        let alone = run(&graph, &[product], &inputs);
        // An output has memory, so the product reads it.
        let beside = run(&graph, &[product, padded], &inputs);
        assert!(alone[0] == beside[0], "{number}:\n{graph}");
        let plan = Session::evaluate(&graph, &[product], &Device::cpu()).unwrap().plan().to_string();
        padded_itself += usize::from(plan.contains("padded)"));
    }
    assert!(padded_itself >= 60, "{padded_itself} products padded their operands");
}

/// Rows that begin in one line of a padded tensor and end in the next.
#[test]
fn rows_across_lines() {
    let graph = Graph::new();
    let (x, w) = (graph.input("x", [4, 3, 8]), graph.input("w", [2, 3]));
    let padded = x.pad([(0, 0), (0, 0), (1, 1)], 0.0);
    let rows = padded.reshape([4, 30]).slice(0, 0, 3).slice(1, 5, 13);
    let given_x = Tensor::new([4, 3, 8], (1..=96).map(|i| i as f32).collect()).unwrap();
    let given_w = Tensor::new([2, 3], vec![1.0f32, 0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
    let found = run(&graph, &[w.matmul(rows)], &[("x", &given_x), ("w", &given_w)]);
    // Elements 5 to 12 of a line of 0, eight numbers, 0 twice, and eight more.
    let line =
        |first: f64| vec![first + 4.0, first + 5.0, first + 6.0, first + 7.0, 0.0, 0.0, first + 8.0, first + 9.0];
    assert_eq!(found[0], [line(1.0), line(25.0)].concat());
}
