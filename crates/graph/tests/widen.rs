//! Widening: every f32 tensor in f64, and nothing else changed.

use crate::evaluate::{Given, evaluate};
use arenagrad_graph::{DType, Graph, Init, Op, passes, verify};

#[test]
fn all_floats_are_f64_and_all_else_stays() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let labels = g.input_of("labels", [2], DType::I32);
    let w = g.parameter("w", [3, 4], Init::XavierUniform);
    let kept = g.input_of("kept", [4], DType::F64);
    let unused = g.parameter("unused", [1], Init::Constant(0.1));
    let logits = (x.matmul(w) + g.literal([4], [0.1f32, 0.2, 0.3, 0.4])).named("logits");
    let loss = logits.cross_entropy(labels) + (kept.cast(DType::F32) * 0.5).sum(..).stop_gradient();
    let wide = passes::widen(&g, &[loss.id().unwrap()]).unwrap();
    verify(&wide.graph).unwrap();

    for id in wide.graph.ids() {
        assert_ne!(wide.graph.node(id).unwrap().dtype, DType::F32, "{}", wide.graph);
    }
    let declared: Vec<_> = wide.graph.declarations().into_iter().map(|d| (d.name, d.dtype)).collect();
    let expected = [("x", DType::F64), ("labels", DType::I32), ("w", DType::F64), ("kept", DType::F64)]
        .into_iter()
        .chain([("unused", DType::F64)]);
    assert_eq!(declared, expected.map(|(name, dtype)| (name.to_owned(), dtype)).collect::<Vec<_>>());
    assert_eq!(wide.graph.index_bounds().len(), g.index_bounds().len());
    let ids = wide.graph.ids();
    assert!(ids.iter().any(|id| wide.graph.label(*id).as_deref() == Some("logits")));
    assert!(ids.iter().any(|id| matches!(wide.graph.node(*id).unwrap().op, Op::StopGradient { .. })));
    assert!(unused.check().is_ok(), "the old graph is left as it was");
    assert_eq!(x.dtype().unwrap(), DType::F32);
}

#[test]
fn values_stay_and_random_draws_are_those_of_f32() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let draw = g.uniform([3], g.step(), 7);
    // 0.1 in f32 is not 0.1: the constant keeps the value that it had.
    let y = x * 0.1 + draw + g.literal([3], [0.1f32, 0.7, 1e-30]);
    let output = y.id().unwrap();
    let given = Given::from([("x".to_owned(), vec![1.0, 2.0, 3.0]), ("step".to_owned(), vec![5.0])]);
    let wide = passes::widen(&g, &[output]).unwrap();
    verify(&wide.graph).unwrap();
    // The evaluator computes in f64 whatever the dtype, so the two must agree to the bit.
    assert_eq!(evaluate(&g, &[output], &given), evaluate(&wide.graph, &wide.outputs, &given));
}

#[test]
fn a_widened_graph_differentiates_and_a_wide_one_is_itself() {
    let g = Graph::new();
    let x = g.input("x", []);
    let wide = passes::widen(&g, &[(x * x * x).id().unwrap()]).unwrap();
    let y = wide.graph.expr(wide.outputs[0]);
    let x = wide.graph.expr(wide.graph.declarations()[0].node);
    let [slope] = y.grad([x]).unwrap();
    let given = Given::from([("x".to_owned(), vec![2.0])]);
    assert_eq!(evaluate(&wide.graph, &[slope.id().unwrap()], &given)[0], [12.0]);
    let again = passes::widen(&wide.graph, &[slope.id().unwrap()]).unwrap();
    assert_eq!(again.graph.expr(again.outputs[0]).dtype(), Ok(DType::F64));
}

#[test]
fn a_long_chain_widens_without_recursion() {
    let g = Graph::new();
    let mut y = g.input("x", []);
    for _ in 0..200_000 {
        y = y + 1.0;
    }
    let wide = passes::widen(&g, &[y.id().unwrap()]).unwrap();
    assert_eq!(wide.graph.len(), g.len());
}

#[test]
fn mistakes_are_refused() {
    let (g, other) = (Graph::new(), Graph::new());
    let x = other.input("x", []);
    assert!(passes::widen(&g, &[x.id().unwrap()]).is_err());
    let _ = g.input("a", [2]) + g.input("b", [3]);
    assert!(passes::widen(&g, &[]).is_err());
}
