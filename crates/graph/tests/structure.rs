//! What identifies a computation apart from its graph: equal keys are the same function, and nothing else has them.

use arenagrad_graph::{DType, Expr, Graph, Half};

fn key(graph: &Graph, outputs: &[Expr<'_>]) -> Vec<u64> {
    let outputs: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
    graph.structure(&outputs).unwrap().key().to_vec()
}

#[test]
fn the_same_computation_has_one_key_wherever_it_stands() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [2, 3]), g.input("y", [2, 3]));
    let first = (x * y).sum([1]).tanh();
    let _unused = x.exp();
    let second = (y * x).sum([1]).tanh();
    assert_eq!(key(&g, &[first]), key(&g, &[second]));
    assert_ne!(key(&g, &[first]), key(&g, &[(x * x).sum([1]).tanh()]));
    assert_ne!(key(&g, &[first]), key(&g, &[first, first]));
}

/// The axes of a reduction are not taken for its operand, nor its operand for an output.
#[test]
fn reductions_of_an_extent_of_one_beside_another_output() {
    let g = Graph::new();
    let x = g.input("x", [3, 1]);
    let (y, z) = (x.exp(), x.exp());
    let two = key(&g, &[y, y.sum_keepdims([0])]);
    let one = key(&g, &[z.sum_keepdims([0, 1])]);
    assert_ne!(two, one);
}

#[test]
fn bounds_of_indices_are_part_of_a_key() {
    let g = Graph::new();
    let (table, long) = (g.input("table", [3, 2]), g.input("long", [4, 2]));
    let gathered = |table: Expr<'_>, name: &str| {
        let indices = g.input_of(name, [2, 2], DType::I32);
        key(&g, &[g.expr(table.id().unwrap()).gather(0, indices)])
    };
    assert_eq!(gathered(table, "i"), gathered(table, "j"));
    assert_ne!(gathered(table, "k"), gathered(long, "l"));
}

/// What an input must fulfil for one operation is not asked of it for another.
#[test]
fn bounds_are_those_of_the_operations_that_are_needed() {
    let g = Graph::new();
    let (short, long) = (g.input("short", [3, 2]), g.input("long", [5, 2]));
    let indices = g.input_of("indices", [2, 2], DType::I32);
    let first = short.gather(0, indices);
    let second = long.gather(0, indices);
    let bounds = |outputs: &[Expr<'_>]| -> Vec<usize> {
        let outputs: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
        g.extract(&outputs).unwrap().graph.index_bounds().iter().map(|bound| bound.bound).collect()
    };
    assert_eq!((bounds(&[first]), bounds(&[second]), bounds(&[second, first])), (vec![3], vec![5], vec![3, 5]));
    // A gradient needs the indices as the operation does.
    let [gradient] = second.square().sum(..).grad([long]).unwrap();
    assert_eq!(bounds(&[gradient]), [5]);
}

/// What nobody needs any more asks for nothing: a bound belongs to the operation, not to the input.
#[test]
fn bounds_go_with_the_operations_that_need_them() {
    let g = Graph::new();
    let (short, long) = (g.input("short", [3, 2]), g.input("long", [5, 2]));
    let indices = g.input_of("indices", [2, 2], DType::I32);
    let bounds = || -> Vec<usize> { g.index_bounds().iter().map(|bound| bound.bound).collect() };
    // Refused: by its axis, its shape, its dtype.
    let refused = [short.gather(7, indices), short.sum(0).gather(0, indices), short.index_select(7, indices)];
    assert!(refused.iter().all(|expr| expr.id().is_err()) && bounds().is_empty());
    g.take_error();

    let first = short.gather(0, indices);
    let mark = g.mark();
    let second = long.gather(0, indices.reshape([4]).reshape([2, 2]));
    assert_eq!(bounds(), [3, 5]);
    // A removal before the rewind does not shift what is forgotten.
    g.remove(first.id().unwrap()).unwrap();
    assert_eq!(bounds(), [5]);
    g.rewind(mark).unwrap();
    assert_eq!(bounds(), [0; 0]);
    assert!(second.id().is_err());

    let (kept, dropped) = (short.gather(0, indices), long.gather(0, indices));
    let [gradient] = kept.square().sum(..).grad([short]).unwrap();
    let gradient = gradient.id().unwrap();
    for optimised in [arenagrad_graph::passes::dce(&g, &[gradient]), arenagrad_graph::passes::optimise(&g, &[gradient])]
    {
        let bounds: Vec<usize> = optimised.unwrap().graph.index_bounds().iter().map(|bound| bound.bound).collect();
        assert_eq!(bounds, [3]);
    }
    g.retain(&[gradient]).unwrap();
    assert_eq!(bounds(), [3]);
    assert!(dropped.id().is_err());
}

/// Rounding is no exchange, whatever number the exchange has in its graph, and one exchange is like another elsewhere.
#[test]
fn exchanges_are_told_from_rounding_and_not_from_each_other() {
    let of = |first: usize| {
        let g = Graph::new();
        let x = g.input("x", [1]);
        let _before: Vec<_> = (0..first).map(|_| x.exp()).collect();
        (key(&g, &[x.all_reduce()]), key(&g, &[x.rounded_to(Half::Bf16)]), key(&g, &[x.rounded_to(Half::F16)]))
    };
    let (exchange, bf16, f16) = of(0);
    for count in 0..4 {
        let found = of(count);
        assert_eq!(found, (exchange.clone(), bf16.clone(), f16.clone()));
        assert!(found.0 != found.1 && found.0 != found.2 && found.1 != found.2);
    }
}
