//! Products that are computed together: what is left of them, and that their values stay the same.

use crate::differences::Random;
use crate::evaluate::{Given, evaluate};
use arenagrad_graph::passes::{self, Optimised};
use arenagrad_graph::{Assembly, DType, DeclarationKind, Expr, Graph, Op, verify};

/// The graph that is left of some outputs, after its values were held against theirs.
fn optimised(outputs: &[Expr<'_>]) -> Optimised {
    let graph = outputs[0].check().unwrap().graph();
    let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
    let result = passes::optimise(graph, &ids).unwrap();
    verify(&result.graph).unwrap();
    let mut given = Given::new();
    for (number, declaration) in graph.declarations().iter().enumerate() {
        assert_eq!(declaration.kind, DeclarationKind::Input);
        let mut random = Random(number as u64 + 7);
        given.insert(declaration.name.clone(), random.spread(declaration.shape.elements(), -2.0, 2.0));
    }
    let (before, after) = (evaluate(graph, &ids, &given), evaluate(&result.graph, &result.outputs, &given));
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_eq!(before.len(), after.len());
        for (b, a) in before.iter().zip(after) {
            assert!((a - b).abs() <= 1e-11 * b.abs().max(1.0), "output {number}: {b} became {a}\n{}", result.graph);
        }
    }
    result
}

/// How many products, concatenations and sums along axes are left.
fn counts(outputs: &[Expr<'_>]) -> [usize; 3] {
    let Optimised { graph, .. } = optimised(outputs);
    let mut counts = [0; 3];
    for id in graph.ids() {
        let op = graph.node(id).unwrap().op;
        counts[0] += usize::from(matches!(op, Op::MatMul { .. }));
        counts[1] += usize::from(matches!(op, Op::Assembly(Assembly::Concat { .. })));
        counts[2] += usize::from(matches!(op, Op::Reduce { .. }));
    }
    counts
}

fn input<'g>(g: &'g Graph, name: &str, shape: &[usize]) -> Expr<'g> {
    g.input_of(name, shape, DType::F64)
}

/// Inputs of one shape, by number.
fn inputs<'g>(g: &'g Graph, name: &str, count: usize, shape: &[usize]) -> Vec<Expr<'g>> {
    (0..count).map(|number| input(g, &format!("{name}{number}"), shape)).collect()
}

fn sum<'g>(terms: impl IntoIterator<Item = Expr<'g>>) -> Expr<'g> {
    terms.into_iter().reduce(|sum, term| sum + term).unwrap()
}

#[test]
fn a_sum_of_products_is_one_product_however_its_operands_lie() {
    for (transpose_lhs, transpose_rhs) in [(false, false), (false, true), (true, false), (true, true)] {
        for batch in [&[][..], &[2], &[2, 1]] {
            let g = Graph::new();
            let shape = |transposed: bool, rows: usize, columns: usize| {
                let matrix = if transposed { [columns, rows] } else { [rows, columns] };
                [batch, &matrix].concat()
            };
            // Depths that differ are put together too.
            let terms = [2, 1, 3].into_iter().enumerate().map(|(number, depth)| {
                let a = input(&g, &format!("a{number}"), &shape(transpose_lhs, 8, depth));
                let b = input(&g, &format!("b{number}"), &shape(transpose_rhs, depth, 9));
                a.matmul_with(b, transpose_lhs, transpose_rhs)
            });
            assert_eq!(counts(&[sum(terms)]), [1, 2, 0], "{transpose_lhs} {transpose_rhs} {batch:?}");
        }
    }
}

#[test]
fn what_stands_between_the_products_of_a_sum_stays() {
    let g = Graph::new();
    let (a, b) = (inputs(&g, "a", 4, &[8, 1]), inputs(&g, "b", 4, &[1, 8]));
    let (x, y) = (input(&g, "x", &[8, 8]), input(&g, "y", &[8, 8]));
    let product = |number: usize| a[number].matmul(b[number]);
    let total = ((product(0) + x) + (product(1) + product(2))) + (y.tanh() + product(3));
    assert_eq!(counts(&[total]), [1, 2, 0]);
    // The same through a reshape of each, as the gradients of a layer over rows of rows are.
    let flat = |number: usize| product(number).reshape([64]);
    assert_eq!(counts(&[flat(0) + x.reshape([64]) + flat(1)]), [1, 2, 0]);
}

#[test]
fn products_that_are_needed_elsewhere_stay() {
    let g = Graph::new();
    let (a, b) = (inputs(&g, "a", 3, &[8, 1]), inputs(&g, "b", 3, &[1, 8]));
    let products: Vec<Expr<'_>> = (0..3).map(|number| a[number].matmul(b[number])).collect();
    let total = sum(products.iter().copied());
    assert_eq!(counts(&[total]), [1, 2, 0]);
    // One of three is read by others: two are left to join.
    assert_eq!(counts(&[total, products[1].exp()]), [2, 2, 0]);
    assert_eq!(counts(&[total, products[1]]), [2, 2, 0]);
    // A sum of two that others read is a sum of its own, and a term of the larger one.
    assert_eq!(counts(&[total, (products[0] + products[1]).exp()]), [2, 2, 0]);
    assert_eq!(counts(&[total, products[0], products[1].exp()]), [3, 0, 0]);
}

#[test]
fn operands_that_are_larger_than_results_are_not_put_together() {
    let g = Graph::new();
    let (a, b) = (inputs(&g, "a", 2, &[2, 40]), inputs(&g, "b", 2, &[40, 2]));
    assert_eq!(counts(&[a[0].matmul(b[0]) + a[1].matmul(b[1])]), [2, 0, 0]);
    // 8 x 8 results and 8 x 2 + 2 x 8 operands of each: 64 elements saved, 64 copied.
    let (a, b) = (inputs(&g, "c", 2, &[8, 2]), inputs(&g, "d", 2, &[2, 8]));
    assert_eq!(counts(&[a[0].matmul(b[0]) + a[1].matmul(b[1])]), [2, 0, 0]);
}

#[test]
fn neighbouring_parts_of_a_tensor_cost_nothing() {
    let g = Graph::new();
    let (x, y) = (input(&g, "x", &[6, 3, 4]), input(&g, "y", &[6, 3, 5]));
    let step = |t: usize| x.select_index(0, t).t().matmul(y.select_index(0, t));
    // All of both, in whatever order, and some of both.
    assert_eq!(counts(&[sum((0..6).map(step))]), [1, 0, 0]);
    assert_eq!(counts(&[sum((0..6).rev().map(step))]), [1, 0, 0]);
    assert_eq!(counts(&[sum([3, 1, 4, 2].map(step))]), [1, 0, 0]);
    // Parts along the axis itself.
    let (u, v) = (input(&g, "u", &[2, 40]), input(&g, "v", &[40, 2]));
    let part = |start: usize, end: usize| u.slice(1, start, end).matmul(v.slice(0, start, end));
    assert_eq!(counts(&[part(10, 13) + part(0, 10) + part(13, 40)]), [1, 0, 0]);
    // A gap is none: here copies cost more than they save.
    assert_eq!(counts(&[part(0, 10) + part(20, 40)]), [2, 0, 0]);
    // Of one side alone, the other in another order.
    let reversed = |t: usize| x.select_index(0, t).t().matmul(y.select_index(0, 5 - t));
    assert_eq!(counts(&[sum((0..6).map(reversed))]), [1, 1, 0]);
}

#[test]
fn sums_along_axes_follow_products_that_put_their_operands_together() {
    let g = Graph::new();
    let (x, gradients) = (input(&g, "x", &[4, 3, 8]), inputs(&g, "g", 4, &[3, 9]));
    let of_weight = sum((0..4).rev().map(|t| x.select_index(0, t).t().matmul(gradients[t])));
    let of_bias = sum((0..4).map(|t| gradients[t].sum(0)));
    assert_eq!(counts(&[of_bias, of_weight]), [1, 1, 1]);
    // By themselves they are not worth copies.
    assert_eq!(counts(&[of_bias]), [0, 0, 4]);
    let parts = input(&g, "parts", &[12, 9]);
    assert_eq!(counts(&[sum((0..4).map(|t| parts.slice(0, 3 * t, 3 * t + 3).sum(0)))]), [0, 0, 1]);
}

#[test]
fn products_of_parts_of_a_tensor_are_parts_of_a_product() {
    let g = Graph::new();
    let (w, bias) = (input(&g, "w", &[4, 5]), input(&g, "bias", &[5]));
    let first = input(&g, "first", &[6, 3, 4]);
    let second = input(&g, "second", &[3, 6, 4]);
    let rows = input(&g, "rows", &[18, 4]);
    // Needed as they are, after a bias, and after more that is done alike to each.
    for along in 0..3 {
        let part = |t: usize| match along {
            0 => first.select_index(0, t),
            1 => second.select_index(1, t),
            _ => rows.slice(0, 3 * t, 3 * t + 3),
        };
        let plain: Vec<Expr<'_>> = (0..6).map(|t| part(t).matmul(w)).collect();
        assert_eq!(counts(&plain), [1, 0, 0], "{along}");
        let linear: Vec<Expr<'_>> = (0..6).map(|t| part(t).linear(w, Some(bias))).collect();
        let Optimised { graph, .. } = optimised(&linear);
        let additions = graph.ids().into_iter().filter(|&id| graph.node(id).unwrap().op.name() == "add").count();
        assert_eq!(additions, 1, "{along}\n{graph}");
        let layers: Vec<Expr<'_>> = (0..6).map(|t| (part(t).linear(w, Some(bias)) * 0.5).tanh()).collect();
        let Optimised { graph, .. } = optimised(&layers);
        let functions = graph.ids().into_iter().filter(|&id| graph.node(id).unwrap().op.name() == "tanh").count();
        assert_eq!(functions, 1, "{along}\n{graph}");
    }
}

#[test]
fn either_operand_may_be_shared_and_lie_transposed() {
    for transpose in [false, true] {
        let g = Graph::new();
        let h = input(&g, "h", &[3, 40]);
        let w = input(&g, "w", if transpose { &[15, 40] } else { &[40, 15] });
        let axis = if transpose { 0 } else { 1 };
        let gate = |start: usize, end: usize| h.matmul_with(w.slice(axis, start, end), false, transpose);
        assert_eq!(counts(&[gate(5, 10), gate(0, 5), gate(10, 15).exp()]), [1, 0, 0]);
        // Of other widths, overlapping, and with a gap behind.
        assert_eq!(counts(&[gate(0, 5), gate(3, 7), gate(10, 12), gate(12, 15)]), [2, 0, 0]);
        let x = input(&g, "x", if transpose { &[40, 12] } else { &[12, 40] });
        let rows = |start: usize| x.slice(axis ^ 1, start, start + 3);
        let product = |start: usize| rows(start).matmul_with(w, transpose, transpose);
        assert_eq!(counts(&[product(0), product(3), product(6)]), [1, 0, 0]);
        // Parts along the axis that a product sums are none of its result.
        let deep = input(&g, "deep", &[6, 15]);
        let depth = |start: usize| input_part(h, start).matmul_with(deep.slice(0, start, start + 2), false, false);
        assert_eq!(counts(&[depth(0), depth(2)]), [2, 0, 0]);
    }
}

/// Two neighbouring columns.
fn input_part(x: Expr<'_>, start: usize) -> Expr<'_> {
    x.slice(1, start, start + 2)
}

#[test]
fn batches_keep_their_meaning() {
    let g = Graph::new();
    let (x, w) = (input(&g, "x", &[2, 6, 4]), input(&g, "w", &[2, 4, 5]));
    let rows = |t: usize| x.slice(1, 2 * t, 2 * t + 2).matmul(w);
    assert_eq!(counts(&[rows(0), rows(1), rows(2)]), [1, 0, 0]);
    // Along an axis on which the other operand differs, a part meets another matrix each.
    let heads = input(&g, "heads", &[2, 3, 4]);
    let head = |t: usize| heads.slice(0, t, t + 1).matmul(w.slice(0, t, t + 1));
    assert_eq!(counts(&[head(0), head(1)]), [2, 0, 0]);
    // Along an axis on which it has one matrix all parts meet that.
    let (deep, one) = (input(&g, "deep", &[4, 2, 3, 4]), input(&g, "one", &[1, 2, 4, 5]));
    let layer = |t: usize| deep.slice(0, t, t + 2).matmul(one);
    assert_eq!(counts(&[layer(0), layer(2)]), [1, 0, 0]);
    let last = input(&g, "last", &[4, 5]);
    assert_eq!(counts(&[0, 1].map(|t| deep.select_index(1, t).matmul(last))), [1, 0, 0]);
}

#[test]
fn products_that_need_each_other_are_not_joined() {
    let g = Graph::new();
    let (x, w, u) = (input(&g, "x", &[5, 3, 4]), input(&g, "w", &[4, 4]), input(&g, "u", &[4, 4]));
    let mut h = input(&g, "h", &[3, 4]);
    let mut states = Vec::new();
    for t in 0..5 {
        h = (x.select_index(0, t).matmul(w) + h.matmul(u)).tanh();
        states.push(h);
    }
    // One product of the whole input, and one of each state.
    assert_eq!(counts(&states), [6, 0, 0]);
    // Parts of what the products themselves lead to.
    let y = h.matmul(u);
    let z = y.slice(0, 0, 1).matmul(u) + y.slice(0, 1, 2).matmul(u);
    assert_eq!(counts(&[z]), [8, 0, 0]);
}

#[test]
fn results_that_would_only_be_written_once_more_stay_where_they_are() {
    let g = Graph::new();
    let (x, small) = (input(&g, "x", &[4, 50, 2]), input(&g, "w", &[2, 3]));
    let others = inputs(&g, "other", 4, &[50, 3]);
    let fused: Vec<Expr<'_>> = (0..4).map(|t| x.select_index(0, t).matmul(small) * others[t]).collect();
    assert_eq!(counts(&fused), [4, 0, 0]);
    let (x, large) = (input(&g, "y", &[4, 1, 50]), input(&g, "v", &[50, 50]));
    let others = inputs(&g, "beside", 4, &[1, 50]);
    let fused: Vec<Expr<'_>> = (0..4).map(|t| x.select_index(0, t).matmul(large) * others[t]).collect();
    assert_eq!(counts(&fused), [1, 0, 0]);
}

#[test]
fn the_gradients_of_a_recurrent_network_are_few_products() {
    let (steps, batch, width, units) = (5, 3, 4, 12);
    for along in 0..2 {
        let g = Graph::new();
        let x = input(&g, "x", if along == 0 { &[5, 3, 4] } else { &[3, 5, 4] });
        let (w, u) = (input(&g, "w", &[width, units]), input(&g, "u", &[units, units]));
        let bias = input(&g, "bias", &[units]);
        let mut h = input(&g, "h", &[batch, units]);
        for t in 0..steps {
            h = (x.select_index(along, t).linear(w, Some(bias)) + h.matmul(u)).tanh();
        }
        let loss = h.square().sum(..);
        let gradients = g.gradients(&[loss], &[g.ones([], DType::F64)], &[w, u, bias]).unwrap();
        // Forward one of the input and one a step; back one a step but the first, and one for each weight.
        let [products, _, sums] = counts(&[loss, gradients[0], gradients[1], gradients[2]]);
        assert_eq!((products, sums), (1 + steps + (steps - 1) + 2, 2), "{along}");
    }
}

#[test]
fn random_sums_of_random_products_keep_their_values() {
    let mut joined = 0;
    for seed in 0..400 {
        let mut random = Random(seed);
        let g = Graph::new();
        let mut below = |bound: u64| (random.bits() % bound) as usize;
        let (m, n, k) = (1 + below(7), 1 + below(7), 1 + below(3));
        let count = 2 + below(6);
        let stack = [input(&g, "s", &[8, m, k]), input(&g, "t", &[m, 8, k]), input(&g, "r", &[8 * m, k])];
        let right = [input(&g, "b", &[8, k, n]), input(&g, "c", &[k, 8 * n]), input(&g, "d", &[n, 8, k])];
        let (fixed, bias) = (input(&g, "f", &[k, n]), input(&g, "bias", &[n]));
        let mut outputs = Vec::new();
        let mut terms: Vec<Expr<'_>> = Vec::new();
        let way = below(3);
        for number in 0..count {
            let (t, v) = (below(8), if below(4) > 0 { number } else { below(8) });
            let lhs = match (way + below(8) / 7) % 3 {
                0 => stack[0].select_index(0, t),
                1 => stack[1].select_index(1, v),
                _ => stack[2].slice(0, m * v, m * (v + 1)),
            };
            let product = match below(5) {
                0 => lhs.matmul(fixed),
                1 => lhs.linear(fixed, Some(bias)),
                2 => lhs.matmul(right[0].select_index(0, v)),
                3 => lhs.matmul(right[1].slice(1, n * v, n * (v + 1))),
                _ => lhs.matmul_with(right[2].select_index(1, v), false, true),
            };
            if below(6) == 0 {
                outputs.push(product.tanh());
            }
            terms.push(match below(8) {
                0 => product.tanh(),
                1 => product.t().t(),
                _ => product,
            });
        }
        while terms.len() > 1 {
            let (first, second) = (terms.swap_remove(below(terms.len() as u64)), terms.len());
            let second = below(second as u64).min(terms.len() - 1);
            let sum = first + terms[second];
            terms[second] = if below(12) == 0 { sum.exp() * 1e-3 } else { sum };
        }
        outputs.extend(terms);
        let total = outputs.iter().fold(g.zeros([], DType::F64), |total, output| total + output.sum(..));
        let wanted = [stack[0], stack[2], right[0], fixed, bias];
        outputs.extend(g.gradients(&[total], &[g.ones([], DType::F64)], &wanted).unwrap());
        let before =
            |graph: &Graph| graph.ids().iter().filter(|id| graph.node(**id).unwrap().op.name() == "matmul").count();
        let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
        let unjoined = passes::simplify(&g, &ids).unwrap();
        joined += usize::from(before(&optimised(&outputs).graph) < before(&unjoined.graph));
    }
    assert!(joined > 150, "products were joined in {joined} of 400 graphs");
}
