//! Mistakes are told of what the caller wrote: of the tensor that a view shows, of the caller's axes, and of the line where a layer behind a
//! pointer is called.

use std::sync::Arc;

use arenagrad_graph::function::{Context, Function};
use arenagrad_graph::nn::{Embedding, Layer, Linear, Phase};
use arenagrad_graph::{CrossEntropy, DType, Expr, Graph, PoissonNll, Reduction, ScanOptions};

use crate::told::says;

#[test]
fn views_are_told_with_the_name_of_what_they_show() {
    let g = Graph::new();
    let (x, i) = (g.input("x", [2, 3]), g.input_of("i", [2, 3], DType::I32));
    let _ = x.gather(0, x.t().t().unsqueeze(0));
    says(&g, "gather: unsqueeze (node 4) of \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = x + i.slice(0, 0, 1).stop_gradient();
    says(&g, "add: dtypes differ: \"x\" is f32, broadcast (node 7) of \"i\" is i32; cast one of them");
    let halves = (x * 0.5).named("halves");
    let _ = halves.flatten().matmul(g.input("short", [4]));
    says(
        &g,
        "matmul: inner dimensions differ: lhs reshape (node 11) of \"halves\" is [1, 6], rhs reshape (node 12) of \"short\" is [4, 1] (6 != 4)",
    );
    let options = ScanOptions { length: Some(2), ..ScanOptions::default() };
    let scanned =
        g.scan_with(options, &[x], &[], |carries, _| (vec![carries[0].t().gather(0, carries[0].t())], vec![]));
    let error = scanned.unwrap_err().to_string();
    assert!(error.contains(" of carry 0 is f32, but i32 is needed"), "{error}");
    let _ = (x * 0.5).flatten().matmul(g.input("v", [7]));
    says(
        &g,
        "matmul: inner dimensions differ: lhs reshape (node 15) of flatten (node 13) is [1, 6], rhs reshape (node 16) of \"v\" is [7, 1] (6 != 7)",
    );
}

#[test]
fn axes_are_those_of_the_caller() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [4, 5]), g.input("y", [4, 2]));
    let _ = g.stack(&[x, x, y], 0);
    says(&g, "stack: shapes differ: \"x\" is [4, 5], \"y\" is [4, 2]");
    let _ = x.index((0, 5));
    says(&g, "index: axis 1 of slice (node 2) of \"x\" has 5 elements, so 5..6 is out of range (shape [1, 5])");
    assert_eq!(x.index((-1, 2)).shape().unwrap().rank(), 0);
    assert_eq!(x.index((.., 2)).shape().unwrap().dims(), [4]);
}

#[test]
fn losses_tell_of_their_operands() {
    let g = Graph::new();
    let (x, t) = (g.input("x", [4]), g.input_of("t", [4], DType::I32));
    type Loss = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;
    let losses: [(&str, Loss); 6] = [
        ("binary_cross_entropy", |x, t| x.binary_cross_entropy(t, Reduction::Mean)),
        ("binary_cross_entropy_with_logits", |x, t| x.binary_cross_entropy_with_logits(t, Reduction::Mean)),
        ("kl_div", |x, t| x.kl_div(t, false, Reduction::Mean)),
        ("poisson_nll_loss", |x, t| x.poisson_nll_loss(t, PoissonNll::default())),
        ("mse_loss", |x, t| x.mse_loss(t, Reduction::Mean)),
        ("huber_loss", |x, t| x.huber_loss(t, 1.0, Reduction::Mean)),
    ];
    for (name, loss) in losses {
        let _ = loss(x, t);
        let error = g.take_error().expect(name).to_string();
        let expected = format!("{name}: dtypes differ: \"x\" is f32, \"t\" is i32; cast one of them");
        assert!(error.ends_with(&expected), "{error}");
    }
}

/// Its backward pass gives back what it is given, whatever the operand's shape.
struct Sum;

impl Function for Sum {
    fn name(&self) -> &'static str {
        "sum of squares"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0].square().sum(1)
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream)]
    }
}

#[test]
fn a_gradient_of_another_shape_is_called_one() {
    let g = Graph::new();
    let x = g.input("x", [6, 2]);
    let _ = g.apply(&Sum, &[x]);
    says(
        &g,
        "custom_gradient: gradient 0 that the backward pass of \"sum of squares\" gave is f32[6], but its operand \"x\" is f32[6, 2]",
    );
}

#[test]
fn layers_behind_pointers_blame_their_callers() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let layers: Vec<Box<dyn Layer>> = vec![Box::new(Linear::new("first", 3, 4)), Box::new(Linear::new("second", 5, 1))];
    let shared: Arc<dyn Layer> = Arc::new(Linear::new("third", 7, 1));
    let mut h = x;
    for layer in &layers {
        h = layer.forward(h, Phase::Training);
    }
    let error = g.take_error().unwrap().to_string();
    assert!(error.contains(&format!("messages_views.rs:{}: Linear", line!() - 3)), "{error}");
    let _ = shared.forward(x, Phase::Training);
    let error = g.take_error().unwrap().to_string();
    assert!(error.contains(&format!("messages_views.rs:{}: Linear", line!() - 2)), "{error}");
}

#[test]
fn indices_that_stand_in_the_graph_are_checked_through_parts() {
    let g = Graph::new();
    let table = g.input("table", [8, 4]);
    let _ = Embedding::new("positions", 8, 4).apply(g.iota([9], 0));
    says(&g, "Embedding: index 8 at position 8 is outside 0..8");
    let _ = table.index_select(0, g.iota([2, 9], 1).slice(1, 1, 9));
    says(&g, "index_select: index 8 at position 8 is outside 0..8");
    let literal = g.literal([2, 3], [1, 2, 8, 3, -1, 5]);
    let _ = table.index_select(0, literal.slice(0, 1, 2));
    says(&g, "index_select: index -1 at position 4 is outside 0..8");
    let _ = table.index_select(0, g.iota([1 << 30], 0));
    says(&g, "index_select: index 8 at position 8 is outside 0..8");
    let _ = table.take(g.iota([33], 0));
    says(&g, "take: index 32 at position 32 is outside -32..32");
    let _ = table.take(literal.slice(0, 0, 1) - 34);
    assert!(g.check().is_ok(), "what is computed is not known before a run");
    let _ = table.take(g.literal([2], [-33, 0]).slice(0, 0, 1));
    says(&g, "take: index -33 at position 0 is outside -32..32");
    assert!(
        table.take(g.iota([32], 0)).id().is_ok() && table.take(g.literal([2], [-33, -32]).slice(0, 1, 2)).id().is_ok()
    );
    // What is not shown may be anything.
    assert!(table.index_select(0, literal.slice(1, 0, 1)).id().is_ok());
    assert!(table.index_select(0, g.iota([2, 9], 1).slice(1, 0, 8)).id().is_ok());
    assert!(table.index_select(0, g.iota([9, 0], 0)).id().is_ok());
    assert!(table.slice(0, 0, 4).cross_entropy(g.iota([8], 0).slice(0, 0, 4)).id().is_ok());
    let _ = table.cross_entropy(g.iota([8], 0));
    says(&g, "cross_entropy: index 4 at position 4 is outside 0..4");
}

#[test]
fn a_view_is_told_with_the_extents_as_written() {
    let g = Graph::new();
    let x = g.input("x", [2, 4]);
    let _ = x.view([-1, 3]);
    says(&g, "view: \"x\" of shape [2, 4] has 8 elements, which [-1, 3] does not divide");
    let _ = x.view([5, -1, 3]);
    says(&g, "view: \"x\" of shape [2, 4] has 8 elements, which [5, -1, 3] does not divide");
}

#[test]
fn labels_of_another_shape_tell_of_the_class_axis() {
    let g = Graph::new();
    let (y, l) = (g.input("y", [2, 5, 7]), g.input_of("l", [2, 5], DType::I32));
    let taken = |axis, needed| {
        format!(
            "axis {axis} of \"y\" of shape [2, 5, 7] is taken for the classes, so labels of shape {needed} are needed, but "
        )
    };
    let _ = y.cross_entropy(l);
    says(
        &g,
        &format!(
            "cross_entropy: {}\"l\" is [2, 5]; `class_axis: Some(-1)` of `CrossEntropy` would fit them",
            taken(1, "[2, 7]")
        ),
    );
    let options = CrossEntropy { class_axis: Some(-1), ..CrossEntropy::default() };
    let _ = y.cross_entropy_with(g.input_of("first", [5, 7], DType::I32), options);
    says(
        &g,
        &format!(
            "cross_entropy_with: {}\"first\" is [5, 7]; `class_axis: Some(0)` of `CrossEntropy` would fit them",
            taken(2, "[2, 5]")
        ),
    );
    let _ = y.cross_entropy_with(g.input_of("none", [3], DType::I32), options);
    says(&g, &format!("cross_entropy_with: {}\"none\" is [3]", taken(2, "[2, 5]")));
}
