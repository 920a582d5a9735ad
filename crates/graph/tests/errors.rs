//! Every mistake that can be made through the public interface, and the message that it gives: the caller's line, the op,
//! the operands by name, and the two numbers that disagree.

use arenagrad_graph::{
    Arrangement, Assembly, CrossEntropy, DType, Expr, Graph, GraphError, Init, Leaf, Op, Origin, Reduction, Shape,
};

use crate::told::says;

const WHOLE: &str =
    "whole numbers in -2147483648..=2147483647 alone; a float would hold it: .cast(DType::F32) makes one";

#[test]
fn shapes_that_disagree() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [64, 784]), g.input("w", [785, 10]));
    let _ = x.matmul(w);
    says(&g, "matmul: inner dimensions differ: lhs \"x\" is [64, 784], rhs \"w\" is [785, 10] (784 != 785)");
    let _ = g.input("b2", [2, 3, 4]).matmul(g.input("b5", [5, 4, 3]));
    says(&g, "matmul: batch dimensions differ: lhs \"b2\" is [2, 3, 4], rhs \"b5\" is [5, 4, 3] (2 != 5)");
    let _ = g.scalar(1.0).matmul(x);
    says(&g, "matmul: scalar (node 4) of shape [] has rank 0, but rank 1 or more is needed");
    let _ = x.exp() + g.input("row", [3]);
    says(&g, "add: shapes do not broadcast: lhs exp (node 5) is [64, 784], rhs \"row\" is [3] (784 != 3)");
    let _ = x.broadcast_to([2, 784]);
    says(&g, "broadcast_to: \"x\" of shape [64, 784] does not broadcast to [2, 784]");
    let _ = x.reshape([5, 5]);
    says(&g, "reshape: \"x\" of shape [64, 784] has 50176 elements, but [5, 5] has 25");
    let _ = x.mse_loss(w, Reduction::Mean);
    says(&g, "mse_loss: shapes differ: \"x\" is [64, 784], \"w\" is [785, 10]");
    let _ = g.concat(&[x, w], 0);
    says(&g, "concat: extents differ along axis 1: \"x\" is [64, 784], \"w\" is [785, 10] (784 != 10)");
    let _ = x.gather(1, g.input_of("i", [65, 1], DType::I32));
    says(&g, "gather: extents differ along axis 0: \"x\" is [64, 784], \"i\" is [65, 1] (64 != 65)");
    let _ = g.literal([3], [1.0f32, 2.0]);
    says(&g, "literal: 2 elements were given for shape [3]");
    let _ = g.parameter("p", [3], Init::Values(vec![1.0]));
    says(&g, "parameter: 1 elements were given for shape [3]");
    let _ = x.cross_entropy(g.input_of("labels", [63], DType::I32));
    says(
        &g,
        "cross_entropy: axis 1 of \"x\" of shape [64, 784] is taken for the classes, so labels of shape [64] are needed, but \"labels\" is [63]",
    );
    let rest = "\"gain\" is [10], what it is applied to along its axes is [784]";
    let _ = x.layer_norm(1, Some(g.input("gain", [10])), None, 1e-5);
    says(&g, &format!("layer_norm: shapes differ: {rest}"));
}

#[test]
fn axes_and_ranges_out_of_bounds() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let _ = x.sum(2);
    says(&g, "sum: axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)");
    let _ = x.softmax(-3);
    says(&g, "softmax: axis -3 is out of range for \"x\" of shape [2, 3] (rank 2)");
    let _ = x.sum([0, -2]);
    says(&g, "sum: axis 0 is named twice");
    let _ = x.permute([1, 1]);
    says(&g, "permute: axis 1 is named twice");
    let _ = x.permute([0]);
    says(&g, "permute: \"x\" of shape [2, 3] has rank 2, but rank 1, that of the list of axes, is needed");
    let _ = x.pad([(0, 0)], 0.0);
    says(&g, "pad: \"x\" of shape [2, 3] has rank 2, but rank 1, that of the amounts, is needed");
    let _ = x.slice(1, 2, 4);
    says(&g, "slice: axis 1 of \"x\" has 3 elements, so 2..4 is out of range (shape [2, 3])");
    let _ = x.select_index(0, 2);
    says(&g, "select_index: axis 0 of \"x\" has 2 elements, so 2..3 is out of range (shape [2, 3])");
    let _ = x.slice_step(0, 0, 2, 0);
    says(&g, "slice_step: the step is 0, but a step of at least 1 is needed");
    let _ = x.flip(2);
    says(&g, "flip: axis 2 is out of range for \"x\" of shape [2, 3] (rank 2)");
    let _ = x.windows([1], [4], [1], [1]);
    says(&g, "windows: axis 1 of \"x\" has 3 elements, so 0..4 is out of range (shape [2, 3])");
    let _ = x.windows([1], [2], [1], [3]);
    says(&g, "windows: axis 1 of \"x\" has 3 elements, so 0..4 is out of range (shape [2, 3])");
    let _ = x.windows([0, -2], [1, 1], [1, 1], [1, 1]);
    says(&g, "windows: axis 0 is named twice");
    let _ = x.windows([5], [1], [1], [1]);
    says(&g, "windows: axis 5 is out of range for \"x\" of shape [2, 3] (rank 2)");
    let _ = x.windows([0, 1], [1], [1, 1], [1, 1]);
    says(&g, "windows: the number of extents is 1, but one for each axis is needed");
    let _ = x.windows([0], [1], [], [1]);
    says(&g, "windows: the number of steps is 0, but one for each axis is needed");
    let _ = x.windows([0], [0], [1], [1]);
    says(&g, "windows: the extent of a window is 0, but an extent of at least 1 is needed");
    let _ = x.windows([0], [1], [0], [1]);
    says(&g, "windows: the step is 0, but a step of at least 1 is needed");
    let _ = x.windows([0], [1], [1], [0]);
    says(&g, "windows: the dilation is 0, but a dilation of at least 1 is needed");
    let _ = x.windows([0], [usize::MAX], [1], [usize::MAX]);
    says(&g, &format!("windows: axis 0 of \"x\" has 2 elements, so 0..{} is out of range (shape [2, 3])", usize::MAX));
    let _ = x.unsqueeze(4);
    says(&g, "unsqueeze: axis 4 is out of range for \"x\" of shape [2, 3] (rank 2)");
    let _ = g.iota([2], 1);
    says(&g, "iota: axis 1 is out of range for the result of shape [2] (rank 1)");
    let _ = g.input("none", [2, 0]).max(1);
    says(&g, "max: axis 1 of \"none\" is empty (shape [2, 0]), and an empty set has no max");
    let _ = g.input("nobody", [2, 0]).argmax(1);
    says(&g, "argmax: axis 1 of \"nobody\" is empty (shape [2, 0]), and an empty set has no argmax");
    let _ = g.input("vector", [3]).tril(0);
    says(&g, "tril: \"vector\" of shape [3] has rank 1, but rank 2 or more is needed");
    let _ = x.group_norm(2, None, None, 1e-5);
    says(&g, "group_norm: the number of groups is 2, but a divisor of the number of channels is needed");
    let _ = g.concat(&[], 0);
    says(&g, "concat: no operands were given");
}

#[test]
fn dtypes_that_do_not_fit() {
    let g = Graph::new();
    let (x, i) = (g.input("x", [2]), g.input_of("i", [2], DType::I32));
    let _ = x + i;
    says(&g, "add: dtypes differ: \"x\" is f32, \"i\" is i32; cast one of them");
    let _ = i.exp();
    says(&g, "exp: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    // The number takes the dtype of what stands beside it, which is what a caller can change.
    let of_masks = Graph::new();
    let mask = of_masks.input_of("mask", [2], DType::Bool);
    let message = "sub: \"mask\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))";
    let _ = 1.0 - mask;
    says(&of_masks, message);
    let _ = mask - 1.0;
    says(&of_masks, message);
    let _ = !x;
    says(&g, "not: \"x\" is f32, but bool is needed");
    let _ = x.where_(x, x);
    says(&g, "where: \"x\" is f32, but bool is needed");
    let _ = i.mean(..);
    says(&g, "mean: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = i.softmax(0);
    says(&g, "softmax: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = x.gather(0, x);
    says(&g, "gather: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = g.uniform([2], x.sum(..), 1);
    says(&g, "uniform: sum (node 3) is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = x.one_hot(3);
    says(&g, "one_hot: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = i + 2.5;
    says(&g, &format!("add: the number is 2.5, but \"i\" is i32, which holds {WHOLE}"));
    let _ = g.input("m", [2, 3]).nll_loss(g.input("f", [2]));
    says(&g, "nll_loss: \"f\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
}

#[test]
fn numbers_and_labels_out_of_range() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let _ = x.dropout(1.5, g.step(), 1);
    says(&g, "dropout: the rate is 1.5, but a number in 0..=1 is needed");
    let _ = g.bernoulli([2], f64::NAN, g.step(), 1);
    says(&g, "bernoulli: the probability is NaN, but a number in 0..=1 is needed");
    let _ = x.clamp(Some(f64::NAN), None);
    says(&g, "clamp: a bound is NaN, but a number is needed");
    let _ = x.softplus(0.0, 20.0);
    says(&g, "softplus: beta is 0, but a finite number other than 0 is needed");
    let _ = x.huber_loss(x, 0.0, Reduction::Mean);
    says(&g, "huber_loss: delta is 0, but a number above 0 is needed");
    let _ = x.smooth_l1_loss(x, -1.0, Reduction::Mean);
    says(&g, "smooth_l1_loss: beta is -1, but a number not below 0 is needed");
    let _ = x.norm(f64::NAN, ..);
    says(&g, "norm: p is NaN, but a number is needed");
    let _ = x.cross_entropy(g.literal([2], [2, 3]));
    says(&g, "cross_entropy: index 3 at position 1 is outside 0..3");
    let _ = x.cross_entropy(g.literal([1, 2], [-1, 0]).reshape([2]));
    says(&g, "cross_entropy: index -1 at position 0 is outside 0..3");
    let _ = g.full([2], 7.0, DType::I32).one_hot(7);
    says(&g, "one_hot: index 7 at position 0 is outside 0..7");
    let _ = x.gather(1, g.literal([1, 1], [3]));
    says(&g, "gather: index 3 at position 0 is outside 0..3");
    let smoothed = CrossEntropy { label_smoothing: 1.5, ..CrossEntropy::default() };
    let _ = x.cross_entropy_with(g.literal([2], [0, 1]), smoothed);
    says(&g, "cross_entropy_with: label_smoothing is 1.5, but a number in 0..=1 is needed");
    let _ = x.nll_loss_with(g.literal([2], [0, 1]), CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() });
    says(&g, "nll_loss_with: label_smoothing is 0.1, but 0 (only cross_entropy smooths labels) is needed");
    let rest = "no ignored label beside class probabilities is needed";
    let _ = x.cross_entropy_with(x, CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() });
    says(&g, &format!("cross_entropy_with: ignore_index is -100, but {rest}"));
}

#[test]
fn sizes_past_the_limits() {
    let g = Graph::new();
    let _ = g.input("huge", [usize::MAX, 2]);
    says(&g, &format!("input: shape [{}, 2] has too many elements to count", usize::MAX));
    let _ = g.input("x", vec![1; 17]);
    says(&g, "input: rank 17 is past the largest, 16");
    let _ = g.iota([1 << 32], 0);
    says(&g, "iota: shape [4294967296] has too many elements to count");
    let wide = g.input("wide", [1 << 30]);
    let _ = wide.pad([(usize::MAX, usize::MAX)], 0.0);
    assert!(matches!(g.take_error(), Some(GraphError::TooManyElements { .. } | GraphError::Range { .. })));
    let _ = wide.broadcast_to([usize::MAX, 1 << 30]);
    assert!(matches!(g.take_error(), Some(GraphError::TooManyElements { .. })));
    let _ = g.scalar(1.0).reshape(vec![1; 17]);
    assert!(matches!(g.take_error(), Some(GraphError::RankLimit { .. })));
}

#[test]
fn derivatives_that_do_not_exist() {
    let g = Graph::new();
    let (x, i) = (g.input("x", [2]), g.input_of("i", [2], DType::I32));
    let text = |error: GraphError| error.to_string().split_once(": ").unwrap().1.to_owned();
    let line = line!() + 1;
    let error = x.exp().grad([x]).unwrap_err();
    assert!(error.to_string().contains(&format!("errors.rs:{line}: ")), "{error}");
    let rest = "is not a scalar; give an upstream gradient of its shape";
    assert_eq!(text(error), format!("grad: the output exp (node 2) of shape [2] {rest}"));
    assert_eq!(text(x.sum(..).grad([i]).unwrap_err()), "grad: \"i\" is i32, through which no gradient flows");
    assert_eq!(text(i.sum(..).grad([x]).unwrap_err()), "grad: sum (node 6) is i32, through which no gradient flows");
    assert_eq!(text(g.gradients(&[x], &[], &[x]).unwrap_err()), "gradients: 1 outputs were given 0 upstream gradients");
    let error = x.vjp(g.scalar(1.0).named("one"), [x]).unwrap_err();
    assert_eq!(text(error), "vjp: shapes differ: the output \"x\" is [2], its upstream gradient \"one\" is []");
    let double = g.input_of("d", [2], DType::F64);
    assert_eq!(
        text(x.vjp(double, [x]).unwrap_err()),
        "vjp: dtypes differ: the output \"x\" is f32, its upstream gradient \"d\" is f64; cast one of them"
    );
}

#[test]
fn handles_that_are_stale_foreign_or_in_use() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let y = x.exp();
    let id = y.id().unwrap();
    let text = g.remove(x.id().unwrap()).unwrap_err().to_string();
    assert!(text.ends_with("remove: \"x\" still has 1 users"), "{text}");
    g.remove(id).unwrap();
    let _ = y.exp();
    says(
        &g,
        "exp: a node is stale: it was removed or rewound away after its id was taken, or stood in the body of a loop that is done",
    );
    let _ = g.expr(id);
    says(
        &g,
        "expr: a node is stale: it was removed or rewound away after its id was taken, or stood in the body of a loop that is done",
    );
    let other = Graph::new();
    let _ = other.input("z", [2]) + x;
    says(&g, "add: a node belongs to another graph, or to another tape");
    let _ = g.input("x", [2]);
    let error = g.take_error().unwrap().to_string();
    assert!(error.contains("the name \"x\" is taken, first at "), "{error}");
    let mark = other.mark();
    assert!(
        g.rewind(mark)
            .unwrap_err()
            .to_string()
            .ends_with("rewind: a node belongs to another graph, or to another tape")
    );
    let before = g.mark();
    let _ = x.sin();
    let after = g.mark();
    g.rewind(before).unwrap();
    let text = g.rewind(after).unwrap_err().to_string();
    assert!(text.ends_with("rewind: the mark is stale: the graph was rewound to before it"), "{text}");
}

#[test]
fn operators_report_the_line_on_which_they_stand() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [2]), g.input("y", [3]));
    type Operation = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;
    let operations: [(u32, Operation); 9] = [
        (line!(), |x, y| x - y),
        (line!(), |x, y| x * y),
        (line!(), |x, y| x / y),
        (line!(), |x, y| x.pow(y)),
        (line!(), |x, y| x.maximum(y)),
        (line!(), |x, y| x.less(y)),
        (line!(), |x, y| x.less(0.0).where_(x, y)),
        (line!(), |x, y| x.clamp_between(y, y)),
        (line!(), |x, y| x.batch_norm((y, y), None, None, 1e-5)),
    ];
    for (line, operation) in operations {
        let _ = operation(x, y);
        let error = g.take_error().unwrap().to_string();
        assert!(error.contains(&format!("errors.rs:{line}: ")), "{error}, not line {line}");
    }
}

#[test]
fn raw_insertion_keeps_to_the_rules() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]).id().unwrap();
    let origin = Origin::here();
    let insert = |op: Op, shape: Option<Shape>| g.insert(op, shape.as_ref(), None, origin);
    let extents = |values: [usize; 2]| values.into_iter().collect();
    let slice = Op::View {
        operand: x,
        arrangement: Arrangement::Slice { starts: extents([usize::MAX, 0]), steps: extents([1, 1]) },
    };
    assert!(matches!(insert(slice, None), Err(GraphError::Range { .. })));
    let slice =
        Op::View { operand: x, arrangement: Arrangement::Slice { starts: extents([0, 0]), steps: extents([0, 1]) } };
    assert!(matches!(insert(slice, None), Err(GraphError::Range { .. })));
    let pad = Op::Assembly(Assembly::Pad {
        operand: x,
        lows: extents([1, 0]),
        interiors: extents([0, usize::MAX]),
        value: 0.0,
    });
    assert!(matches!(insert(pad, None), Err(GraphError::Range { .. })));
    let permute = Op::View { operand: x, arrangement: Arrangement::Permute { axes: extents([0, 5]) } };
    assert!(matches!(insert(permute, None), Err(GraphError::Axis { .. })));
    let concat = Op::Assembly(Assembly::Concat { operands: Box::default(), axis: 0 });
    assert!(matches!(insert(concat, None), Err(GraphError::NoOperands { .. })));
    let argmax = Op::ArgMax { operand: x, axis: 2 };
    assert!(matches!(insert(argmax, None), Err(GraphError::Axis { .. })));
    assert_eq!(g.len(), 1);
}

#[test]
fn a_custom_gradient_has_a_gradient_for_each_operand() {
    let g = Graph::new();
    let (x, origin) = (g.input("x", [3]).id().unwrap(), Origin::here());
    let upstream = g.insert(Op::Leaf(Leaf::Placeholder), Some(&Shape::from([3])), None, origin).unwrap();
    let op = Op::CustomGradient { value: x, operands: [x, x].into(), upstream, gradients: [upstream].into() };
    let error = g.insert(op, None, None, origin).unwrap_err();
    assert!(matches!(error, GraphError::GradientCount { operands: 2, gradients: 1, .. }), "{error}");
}
