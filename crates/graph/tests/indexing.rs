//! What methods that arrange, contract and index give, element by element, and their derivatives where elements tie or are 0.

// A range to a position from the end looks empty to the lint, and is not.
#![allow(clippy::reversed_empty_ranges)]

use arenagrad_graph::{DType, Expr, Graph, GraphError, GridOrder, Op, ScatterReduction, Shape};

use crate::evaluate::{Given, evaluate};

use ScatterReduction::{Amax, Amin, Mean, Prod, Sum};

/// The elements of an expression of what stands in the graph alone.
fn elements(expr: Expr<'_>) -> Vec<f64> {
    evaluate(expr.graph(), &[expr.check().unwrap().id().unwrap()], &Given::new()).remove(0)
}

fn numbers<'g>(g: &'g Graph, shape: &[usize], values: &[f64]) -> Expr<'g> {
    g.literal(shape, values.to_vec())
}

/// `0, 1, 2, ..` under a shape.
fn counted<'g>(g: &'g Graph, shape: &[usize]) -> Expr<'g> {
    let count: usize = shape.iter().product();
    numbers(g, shape, &(0..count).map(|x| x as f64).collect::<Vec<_>>())
}

fn dims(expr: Expr<'_>) -> Vec<usize> {
    expr.shape().unwrap().to_vec()
}

#[test]
fn elements_are_rolled_turned_and_repeated() {
    let g = Graph::new();
    let x = counted(&g, &[2, 3]);
    assert_eq!(elements(x.roll([1], [1])), [2.0, 0.0, 1.0, 5.0, 3.0, 4.0]);
    assert_eq!(elements(x.roll([-1, 4], [0, -1])), [5.0, 3.0, 4.0, 2.0, 0.0, 1.0]);
    assert_eq!(elements(x.roll([1], [])), [5.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(elements(x.rot90(1, [0, 1])), [2.0, 5.0, 1.0, 4.0, 0.0, 3.0]);
    assert_eq!(elements(x.rot90(-1, [0, 1])), elements(x.rot90(3, [0, 1])));
    assert_eq!(elements(x.rot90(2, [0, 1])), [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(elements(x.rot90(1, [1, 0])), elements(x.rot90(-1, [0, 1])));
    // Of as many axes as there may be.
    let many = counted(&g, &[2; 9]).tile([2; 9]);
    assert_eq!(many.shape().unwrap().dims(), [4; 9]);
    let nested = (0..9).fold(counted(&g, &[2; 9]), |x, axis| {
        x.tile((0..9).map(|other| if other == axis { 2 } else { 1 }).collect::<Vec<_>>())
    });
    assert_eq!(elements(many), elements(nested));
    let wide = counted(&g, &[1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 2]).repeat_interleave(2, 7);
    assert_eq!(elements(wide), [0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
    assert_eq!(elements(counted(&g, &[2, 1, 2]).tile([2, 2, 1, 2])).len(), 32);
    assert_eq!(elements(counted(&g, &[2]).tile([2, 2])), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    assert_eq!(elements(counted(&g, &[3]).repeat_interleave(2, 0)), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    assert_eq!(elements(counted(&g, &[3]).repeat_interleave_counts(&[2, 0, 1], 0)), [0.0, 0.0, 2.0]);
    assert_eq!(dims(counted(&g, &[2, 3, 4]).movedim([0, 2], [2, 0])), [4, 3, 2]);
    let grid = g.meshgrid(&[counted(&g, &[3]), counted(&g, &[2])], GridOrder::Xy).unwrap();
    assert_eq!(
        (elements(grid[0]), elements(grid[1])),
        (vec![0.0, 1.0, 2.0, 0.0, 1.0, 2.0], vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    );
}

#[test]
fn empty_tensors_are_arranged() {
    let g = Graph::new();
    let x = counted(&g, &[0, 3]);
    for arranged in [x.roll([5], [0]), x.roll([5], []), x.fliplr(), x.tile([2, 1]), x.repeat_interleave(3, 0)] {
        assert_eq!(elements(arranged), [0.0; 0]);
    }
    assert_eq!(dims(x.diagonal(0, 0, 1)), [0]);
    assert_eq!(dims(counted(&g, &[3, 2]).diagonal(7, 0, 1)), [0]);
    assert_eq!(elements(counted(&g, &[0]).diag(1)), [0.0]);
    assert_eq!(x.split(2, 0).unwrap().len(), 1);
    assert_eq!(x.chunk(4, 0).unwrap().len(), 4);
    assert_eq!(dims(g.einsum("ij,jk->ik", &[x, counted(&g, &[3, 2])])), [0, 2]);
    assert_eq!(elements(g.einsum("ij,ik->jk", &[x, counted(&g, &[0, 1])])), [0.0; 3]);
    assert_eq!(elements(counted(&g, &[2]).scatter(0, g.literal([0], Vec::<i32>::new()), 7.0)), [0.0, 1.0]);
}

#[test]
fn diagonals_are_taken_made_and_replaced() {
    let g = Graph::new();
    let x = counted(&g, &[2, 3, 4]);
    for (offset, first, second) in [(0, 0, 1), (1, 0, 2), (-1, 1, 2), (2, 2, 0), (0, 2, 1), (-1, 0, 2)] {
        let extents = [2usize, 3, 4];
        let strides = [12usize, 4, 1];
        let third = 3 - first - second;
        let (row, column) = if offset < 0 { (-offset as usize, 0) } else { (0, offset as usize) };
        let length = extents[first].saturating_sub(row).min(extents[second].saturating_sub(column));
        let expected: Vec<f64> = (0..extents[third])
            .flat_map(|k| {
                (0..length).map(move |i| {
                    ((row + i) * strides[first] + (column + i) * strides[second] + k * strides[third]) as f64
                })
            })
            .collect();
        let taken = x.diagonal(offset, first as isize, second as isize);
        assert_eq!(elements(taken), expected, "{offset} {first} {second}");
        // What was put in its place is what is taken again, and the rest stays.
        let other = taken * -1.0 - 1.0;
        let replaced = x.diagonal_scatter(other, offset, first as isize, second as isize);
        assert_eq!(elements(replaced.diagonal(offset, first as isize, second as isize)), elements(other));
        let changed = elements(replaced).iter().zip(elements(x)).filter(|(a, b)| **a != *b).count();
        assert_eq!(changed, expected.len());
    }
    let line = numbers(&g, &[2], &[f64::INFINITY, 2.0]);
    assert_eq!(elements(line.diag(-1)), [0.0, 0.0, 0.0, f64::INFINITY, 0.0, 0.0, 0.0, 2.0, 0.0]);
    assert_eq!(dims(counted(&g, &[5, 2]).diag_embed(1, 0, 2)), [3, 5, 3]);
    // Neighbours in memory: a slice with a step, and no gather.
    let views = g.ids().into_iter().filter(|id| matches!(g.node(*id).unwrap().op, Op::Indexing(_))).count();
    assert_eq!(views, 0);
}

#[test]
fn indices_may_add_axes_and_leave_some_whole() {
    use arenagrad_graph::AxisIndex::{At, Ellipsis, NewAxis};
    let g = Graph::new();
    let x = counted(&g, &[2, 3, 4]);
    assert_eq!(elements(x.index((Ellipsis, 0))), [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]);
    assert_eq!(dims(x.index((Ellipsis, 0))), [2, 3]);
    assert_eq!(elements(x.index((1, Ellipsis, -1))), [15.0, 19.0, 23.0]);
    assert_eq!(dims(x.index((NewAxis, 1, Ellipsis, NewAxis, 1..3))), [1, 3, 1, 2]);
    assert_eq!(elements(x.index((NewAxis, 1, Ellipsis, NewAxis, 1..3))), [13.0, 14.0, 17.0, 18.0, 21.0, 22.0]);
    // It stands for no axis where the others leave none.
    assert_eq!(elements(x.index((0, 1, Ellipsis, 2))), [6.0]);
    assert_eq!(dims(x.index((Ellipsis, NewAxis))), [2, 3, 4, 1]);
    assert_eq!(dims(g.scalar(1.0).index((NewAxis, Ellipsis, NewAxis))), [1, 1]);
    let several = x.index((Ellipsis, 0, Ellipsis)).shape().unwrap_err();
    assert!(several.to_string().contains("the number of ellipses"), "{several}");
    let g = Graph::new();
    let too_many = counted(&g, &[2, 3, 4]).index(vec![At(0), At(0), Ellipsis, At(0), At(0)]).shape().unwrap_err();
    assert!(matches!(too_many, GraphError::Rank { rank: 3, .. }), "{too_many}");
}

#[test]
fn negative_positions_count_from_the_end() {
    let g = Graph::new();
    let x = counted(&g, &[3, 4]);
    assert_eq!(elements(x.select_index(0, -1)), [8.0, 9.0, 10.0, 11.0]);
    assert_eq!(elements(x.index((1..-1, -1))), [7.0]);
    assert_eq!(elements(x.index((.., 1..=-2))), [1.0, 2.0, 5.0, 6.0, 9.0, 10.0]);
    assert_eq!(elements(x.index((-1, ..2usize))), [8.0, 9.0]);
    assert_eq!(elements(x.index((arenagrad_graph::AxisIndex::from(..).step_by(2), -1))), [3.0, 11.0]);
    assert_eq!(elements(x.take(g.literal([3], [-1, 0, -12]))), [11.0, 0.0, 0.0]);
    let starts: Vec<Vec<usize>> = x.tensor_split_at([3, 1, -9], 1).unwrap().into_iter().map(dims).collect();
    assert_eq!(starts, [[3, 3], [3, 0], [3, 0], [3, 4]]);
    let put = x.index_put(&[Some(g.literal([2], [-1, 0])), Some(g.literal([2], [0, -1]))], -1.0, false);
    assert_eq!(elements(put), [0.0, 1.0, 2.0, -1.0, 4.0, 5.0, 6.0, 7.0, -1.0, 9.0, 10.0, 11.0]);
    let mask = g.literal([3], [true, false, true]);
    let row = numbers(&g, &[2, 1], &[-1.0, -2.0]);
    assert_eq!(
        elements(x.index_put(&[Some(mask)], row, false)),
        [-1.0, -1.0, -1.0, -1.0, 4.0, 5.0, 6.0, 7.0, -2.0, -2.0, -2.0, -2.0]
    );
    // Views of masks, and constants, stand in the graph as well.
    let turned = g.literal([1, 3], [true, false, false]).flip([1]).reshape([3]);
    let put = elements(x.index_put(&[Some(turned)], -1.0, false));
    assert_eq!(put, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -1.0, -1.0, -1.0, -1.0]);
    let all = g.full([3, 1], 1.0, DType::Bool).broadcast_to([3, 4]);
    assert_eq!(elements(x.index_put(&[Some(all)], -1.0, false)), [-1.0; 12]);
    assert_eq!(elements(x.index_put(&[Some(g.zeros([3], DType::Bool))], -1.0, false)), elements(x));
}

#[test]
fn the_last_of_several_updates_wins_and_takes_the_gradient() {
    let g = Graph::new();
    let (x, u) = (counted(&g, &[4]), numbers(&g, &[5], &[10.0, 20.0, 30.0, 40.0, 50.0]));
    let replaced = x.scatter(0, g.literal([5], [2, 0, 2, 0, 2]), u);
    assert_eq!(elements(replaced), [40.0, 1.0, 50.0, 3.0]);
    let weights = numbers(&g, &[4], &[1.0, 2.0, 3.0, 4.0]);
    let [of_x, of_u] = (replaced * weights).sum(..).grad([x, u]).unwrap();
    assert_eq!((elements(of_x), elements(of_u)), (vec![0.0, 2.0, 0.0, 4.0], vec![0.0, 0.0, 0.0, 1.0, 3.0]));
    // Fewer columns than the target has, and updates beyond the indices.
    let wide = counted(&g, &[2, 3]).scatter(
        0,
        g.literal([2, 2], [1, 1, 1, 0]),
        numbers(&g, &[3, 2], &[-1.0, -2.0, -3.0, -4.0, 9.0, 9.0]),
    );
    assert_eq!(elements(wide), [0.0, -4.0, 2.0, -3.0, -2.0, 5.0]);
    let rows = counted(&g, &[3, 2]).index_copy(0, g.literal([2], [1, 1]), numbers(&g, &[2, 2], &[7.0, 8.0, 9.0, 9.5]));
    assert_eq!(elements(rows), [0.0, 1.0, 9.0, 9.5, 4.0, 5.0]);
    // Computed and out of range: nothing happens.
    let outside = g.iota([3], 0) * 5 - 5;
    assert_eq!(elements(x.scatter(0, outside, 9.0)), [9.0, 1.0, 2.0, 3.0]);
    let u = numbers(&g, &[3], &[2.0, 3.0, 4.0]);
    let product = x.scatter_reduce(0, outside, u, Prod, true);
    let [of_u] = product.sum(..).grad([u]).unwrap();
    assert_eq!((elements(product), elements(of_u)), (vec![0.0, 1.0, 2.0, 3.0], vec![0.0; 3]));
}

#[test]
fn reductions_of_updates_with_and_without_the_target() {
    let g = Graph::new();
    let (x, u) = (numbers(&g, &[3], &[5.0, -1.0, 7.0]), numbers(&g, &[4], &[2.0, 3.0, 3.0, -4.0]));
    let indices = g.literal([4], [0, 0, 0, 1]);
    let of = |reduction, include_self| elements(x.scatter_reduce(0, indices, u, reduction, include_self));
    assert_eq!(of(Sum, true), [13.0, -5.0, 7.0]);
    assert_eq!(of(Sum, false), [8.0, -4.0, 7.0]);
    assert_eq!(of(Mean, true), [3.25, -2.5, 7.0]);
    assert_eq!(of(Mean, false), [8.0 / 3.0, -4.0, 7.0]);
    assert_eq!(of(Prod, true), [90.0, 4.0, 7.0]);
    assert_eq!(of(Prod, false), [18.0, -4.0, 7.0]);
    assert_eq!(of(Amax, true), [5.0, -1.0, 7.0]);
    assert_eq!(of(Amax, false), [3.0, -4.0, 7.0]);
    assert_eq!(of(Amin, true), [2.0, -4.0, 7.0]);
    assert_eq!(of(Amin, false), [2.0, -4.0, 7.0]);
    // Ties share evenly, and what is not included takes no part.
    let x = numbers(&g, &[2], &[3.0, 1.0]);
    let largest = |include_self| {
        let largest = x.scatter_reduce(0, g.literal([4], [0; 4]), u, Amax, include_self);
        let [of_x, of_u] = largest.sum(..).grad([x, u]).unwrap();
        (elements(of_x), elements(of_u))
    };
    let third = 1.0 / 3.0;
    assert_eq!(largest(true), (vec![third, 1.0], vec![0.0, third, third, 0.0]));
    assert_eq!(largest(false), (vec![0.0, 1.0], vec![0.0, 0.5, 0.5, 0.0]));
    // NaN wins, and says nothing of any element.
    let with_nan = numbers(&g, &[4], &[2.0, f64::NAN, 3.0, -4.0]);
    let smallest = x.scatter_reduce(0, g.literal([4], [0; 4]), with_nan, Amin, true);
    let [of_u] = smallest.sum(..).grad([with_nan]).unwrap();
    assert!(elements(smallest)[0].is_nan() && elements(of_u).iter().all(|x| x.is_nan()));
}

#[test]
fn derivatives_of_products_are_right_beside_zeros() {
    // All products of up to four numbers with zeros in every place: gradient and second derivatives by the product of the others,
    // to the digits of the largest product there is.
    for zeros in 0..16u32 {
        let g = Graph::new();
        let values: Vec<f64> = (0..4).map(|i| if zeros >> i & 1 == 1 { 0.0 } else { f64::from(i) + 2.0 }).collect();
        let (x, u) = (numbers(&g, &[1], &values[..1]), numbers(&g, &[3], &values[1..]));
        let product = x.scatter_reduce(0, g.literal([3], [0; 3]), u, Prod, true).sum(..);
        let [of_x, of_u] = product.grad([x, u]).unwrap();
        let others = |left_out: &[usize]| (0..4).filter(|i| !left_out.contains(i)).map(|i| values[i]).product::<f64>();
        let gradient: Vec<f64> = elements(of_x).into_iter().chain(elements(of_u)).collect();
        assert_eq!(gradient, (0..4).map(|i| others(&[i])).collect::<Vec<_>>(), "{values:?}");
        for first in 0..4 {
            let slope = if first == 0 { of_x.sum(..) } else { of_u.select_index(0, first - 1) };
            let [of_x, of_u] = slope.grad([x, u]).unwrap();
            let second: Vec<f64> = elements(of_x).into_iter().chain(elements(of_u)).collect();
            let expected: Vec<f64> = (0..4).map(|i| if i == first { 0.0 } else { others(&[first, i]) }).collect();
            for (found, expected) in second.iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-13 * 120.0, "{values:?}, {first}: {second:?} {expected:?}");
            }
        }
    }
}

/// The sum of products by its definition, over all values of all labels.
fn by_definition(labels: &[&str], result: &str, extents: &dyn Fn(char) -> usize, operands: &[Vec<f64>]) -> Vec<f64> {
    let mut all: Vec<char> = result.chars().collect();
    labels.iter().for_each(|own| {
        own.chars().for_each(|label| {
            if !all.contains(&label) {
                all.push(label)
            }
        })
    });
    let place = |own: &str, at: &[usize]| {
        own.chars().fold(0, |flat, label| flat * extents(label) + at[all.iter().position(|l| *l == label).unwrap()])
    };
    let mut sums = vec![0.0; result.chars().map(extents).product()];
    let count: usize = all.iter().map(|&label| extents(label)).product();
    for mut flat in 0..count {
        let mut at = vec![0; all.len()];
        for (axis, &label) in all.iter().enumerate().rev() {
            at[axis] = flat % extents(label);
            flat /= extents(label);
        }
        let product: f64 = labels.iter().zip(operands).map(|(own, data)| data[place(own, &at)]).product();
        sums[place(result, &at)] += product;
    }
    sums
}

#[test]
fn sums_of_products_are_those_of_the_definition() {
    let extents = |label: char| (label as usize) % 4 + 1;
    let equations: &[(&[&str], &str)] = &[
        (&["ij"], "ji"),
        (&["ij"], ""),
        (&["ijk"], "j"),
        (&["ii"], "i"),
        (&["iij", "jk"], "ki"),
        (&["iji"], "j"),
        (&["ij", "jk"], "ik"),
        (&["ij", "kj"], "ki"),
        (&["bij", "bjk"], "bik"),
        (&["bij", "bjk"], "kib"),
        (&["abij", "jbka"], "ikba"),
        (&["i", "j"], "ji"),
        (&["i", "i"], ""),
        (&["bi", "bi"], "b"),
        (&["ijk", "jil", "kl"], ""),
        (&["ij", "jk", "kl", "lm"], "mi"),
        (&["ia", "jb", "abc", "cd", "d"], "ijc"),
        (&["a", "ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "i"], "e"),
        (&["", "ij"], "ij"),
    ];
    for (labels, result) in equations {
        let g = Graph::new();
        let data: Vec<Vec<f64>> = labels
            .iter()
            .enumerate()
            .map(|(number, own)| {
                let count = own.chars().map(extents).product::<usize>();
                (0..count).map(|i| ((i * 7 + number * 3) % 11) as f64 - 5.0).collect()
            })
            .collect();
        let operands: Vec<Expr<'_>> = labels
            .iter()
            .zip(&data)
            .map(|(own, data)| numbers(&g, &own.chars().map(extents).collect::<Vec<_>>(), data))
            .collect();
        let equation = format!("{} -> {result}", labels.join(", "));
        let sum = g.einsum(&equation, &operands);
        let expected = by_definition(labels, result, &extents, &data);
        assert_eq!(elements(sum), expected, "{equation}");
        let whole: Vec<Expr<'_>> = operands.iter().map(|operand| operand.cast(DType::I32)).collect();
        assert_eq!(elements(g.einsum(&equation, &whole)), expected, "{equation} of i32");
    }
}

#[test]
fn equations_with_ellipses_implied_results_and_ones() {
    let g = Graph::new();
    let (x, y) = (counted(&g, &[2, 3, 4]), counted(&g, &[4, 5]));
    assert_eq!(dims(g.einsum("...ij,jk", &[x, y])), [2, 3, 5]);
    assert_eq!(dims(g.einsum("...i,ij->...j", &[x, y])), [2, 3, 5]);
    assert_eq!(elements(g.einsum("...i->i", &[x])), elements(x.sum([0, 1])));
    assert_eq!(elements(g.einsum("ba", &[y])), elements(y.t()));
    assert_eq!(elements(g.einsum("aB", &[y])), elements(y.t()));
    assert_eq!(elements(g.einsum("...,...", &[x, counted(&g, &[3, 1])])), elements(x * counted(&g, &[3, 1])));
    let one = numbers(&g, &[1, 2], &[2.0, 3.0]);
    assert_eq!(elements(g.einsum("ij,ik->ijk", &[y, one])), elements(y.unsqueeze(2) * numbers(&g, &[2], &[2.0, 3.0])));
    assert_eq!(elements(g.einsum("ij,ik->k", &[y, one])), [2.0 * 190.0, 3.0 * 190.0]);
    let c = counted(&g, &[2, 3]);
    assert_eq!(elements(x.tensordot(c, [0, 1], [0, 1])), elements((x * c.unsqueeze(2)).sum([0, 1])));
    assert_eq!(elements(c.kron(one))[..4], [0.0, 0.0, 2.0, 3.0]);
    assert_eq!(elements(c.cross(c + 1.0, 1)), [-1.0, 2.0, -1.0, -1.0, 2.0, -1.0]);
}

#[test]
fn evenly_spaced_numbers() {
    let g = Graph::new();
    assert_eq!(elements(g.arange(1.0, 2.0, 0.25, DType::F64)), [1.0, 1.25, 1.5, 1.75]);
    assert_eq!(elements(g.arange(3.0, -3.0, -2.0, DType::I32)), [3.0, 1.0, -1.0]);
    assert_eq!(elements(g.arange(0.0, 0.0, 1.0, DType::I32)), [0.0; 0]);
    // A way that is nothing beside the step has its start.
    assert_eq!(elements(g.arange(1e-200, 2e-200, 1e200, DType::F64)), [1e-200]);
    assert_eq!(elements(g.linspace(-1.0, 1.0, 5, DType::F64)), [-1.0, -0.5, 0.0, 0.5, 1.0]);
    assert_eq!(elements(g.linspace(0.1, 0.7, 4, DType::F64))[3], 0.7);
    assert_eq!(
        (elements(g.linspace(2.0, 9.0, 1, DType::F64)), elements(g.eye(2, 3, DType::I32))),
        (vec![2.0], vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    );
}

/// Two calls of a closure with equal arguments are two calls of a method with the same handle, whatever the method does with its own. A
/// compiler that gave both calls one copy of the handle's memory made the second index the result of the first; see `Expr`.
#[test]
fn equal_calls_of_a_closure_give_equal_expressions() {
    fn row_and_difference<'g>(g: &'g Graph, x: Expr<'g>) -> [Expr<'g>; 4] {
        // So long that it is called and not written out.
        let row = |e: Expr<'g>, at: isize| {
            let one = g.scalar(1.0) + g.scalar(2.0) + g.scalar(3.0) - g.scalar(5.0) * g.scalar(1.0);
            e.index((at,)) * one
        };
        let difference = |e: Expr<'g>, times: usize| {
            let one = g.scalar(1.0) + g.scalar(2.0) + g.scalar(3.0) - g.scalar(5.0) * g.scalar(1.0);
            e.diff(times, -1) * one
        };
        [row(x, 1), row(x, 1), difference(x, 1), difference(x, 1)]
    }
    let g = Graph::new();
    let [first, second, third, fourth] = row_and_difference(&g, g.input("x", [2, 2])).map(|e| e.shape().unwrap());
    assert_eq!((&first, &third), (&Shape::from([2]), &Shape::from([2, 1])));
    assert_eq!((first, third), (second, fourth));
}
