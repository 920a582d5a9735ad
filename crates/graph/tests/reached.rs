//! Which nodes a gradient reaches: a derivative that is zero is told apart from none.

use arenagrad_graph::{Context, DType, Expr, Function, Graph, Init};

/// Whether a gradient of `build(w)`, summed, reaches `w`.
fn reaches(build: impl for<'g> Fn(&'g Graph, Expr<'g>) -> Expr<'g>) -> bool {
    let g = Graph::new();
    let w = g.parameter("w", [3], Init::Constant(2.0));
    let loss = build(&g, w).sum(..);
    let gradients = g.gradients_where_reached(&[loss], &[g.scalar(1.0)], &[w]).unwrap();
    let gradient = gradients[0];
    if let Some(gradient) = gradient {
        assert_eq!(gradient.shape().unwrap().dims(), [3]);
    }
    // Whoever does not ask gets zeros, of the same shape.
    assert_eq!(g.gradients(&[loss], &[g.scalar(1.0)], &[w]).unwrap()[0].shape().unwrap().dims(), [3]);
    gradient.is_some()
}

/// As `reaches`, of a function that needs no graph.
fn reached_through(build: impl for<'g> Fn(Expr<'g>) -> Expr<'g>) -> bool {
    reaches(|_, w| build(w))
}

#[test]
fn a_derivative_of_zero_is_a_gradient() {
    assert!(reached_through(|w| w.floor()));
    assert!(reached_through(|w| w.ceil()));
    assert!(reached_through(|w| w.round()));
    assert!(reached_through(|w| w.sign()));
    assert!(reached_through(|w| w.floor().exp()), "behind other functions too");
    assert!(reached_through(|w| w * 0.0));
    assert!(reached_through(|w| w - w));
    assert!(reached_through(|w| (-w.square()).relu()));
    assert!(reached_through(|w| w.slice(0, 0, 1)), "of some elements");
    assert!(reached_through(|w| w.greater(5.0).where_(w, 0.0)), "whichever side is taken");
    assert!(reached_through(|w| w.stop_gradient() * w), "along one of two ways");
}

#[test]
fn where_no_way_leads_there_is_no_gradient() {
    assert!(!reaches(|g, _| g.ones([3], DType::F32)));
    assert!(!reached_through(|w| w.stop_gradient()));
    assert!(!reached_through(|w| w.exp().stop_gradient().square()));
    assert!(!reached_through(|w| w.greater(1.0).cast(DType::F32)));
    assert!(!reached_through(|w| w.greater(1.0).where_(1.0, 0.0)));
    assert!(!reached_through(|w| w.cast(DType::I32).cast(DType::F32)));
    assert!(!reached_through(|w| w.argmax(0).cast(DType::F32)));
    // On a way that leads elsewhere.
    assert!(!reaches(|g, w| {
        let _beside = w.exp();
        g.parameter("v", [3], Init::Constant(1.0)).square()
    }));
}

/// The sum of its operands, with a gradient into the second alone.
struct IntoSecond;

impl Function for IntoSecond {
    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        operands[0] + operands[1]
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![None, Some(upstream * 0.0)]
    }
}

#[test]
fn gradients_of_a_functions_own_reach_what_they_are_given_for() {
    assert!(!reaches(|g, w| g.apply(&IntoSecond, &[w, g.ones([3], DType::F32)])));
    assert!(reaches(|g, w| g.apply(&IntoSecond, &[g.ones([3], DType::F32), w])));
}

#[test]
fn several_outputs_reach_each_their_own() {
    let g = Graph::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| g.input(name, []));
    let (first, second) = ((a * b.stop_gradient()).named("first"), b.exp() + c.floor());
    let one = g.scalar(1.0);
    let reached = |outputs: &[Expr<'_>]| -> Vec<bool> {
        let outputs: Vec<Expr<'_>> = outputs.iter().map(|output| g.expr(output.id().unwrap())).collect();
        let upstreams = vec![one; outputs.len()];
        let gradients = g.gradients_where_reached(&outputs, &upstreams, &[a, b, c, d]).unwrap();
        gradients.iter().map(Option::is_some).collect()
    };
    assert_eq!(reached(&[first]), [true, false, false, false]);
    assert_eq!(reached(&[second]), [false, true, true, false]);
    assert_eq!(reached(&[first, second]), [true, true, true, false]);
    assert_eq!(reached(&[d]), [false, false, false, true], "an output is reached by its own upstream gradient");
    assert_eq!(reached(&[]), [false; 4]);
}
