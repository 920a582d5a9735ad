//! Insertion, removal, marks, and what becomes of mistakes and stale handles.

use crate::evaluate::{evaluate, given};
use arenagrad_graph::{
    DType, Elementwise, Expr, Graph, GraphError, Init, NodeId, Op, Origin, Shape, UnaryFunction, verify,
};

#[test]
fn fan_out_is_counted_and_accumulates() {
    let g = Graph::new();
    let (a, b) = (g.input("a", []), g.input("b", []));
    let c = a + b;
    let d = c + a;
    let users = |expr: Expr<'_>| g.node(expr.id().unwrap()).unwrap().users;
    assert_eq!((users(a), users(b), users(c), users(d)), (2, 1, 1, 0));
    let gradients = d.grad([a, b]).unwrap().map(|gradient| gradient.id().unwrap());
    let values = evaluate(&g, &gradients, &given([("a", vec![5.0]), ("b", vec![7.0])]));
    assert_eq!(values, [[2.0], [1.0]]);
    assert_eq!(verify(&g), Ok(()));
}

#[test]
fn insertion_order_is_kept_and_positions_are_ordinals() {
    let g = Graph::with_capacity(4);
    assert!(g.is_empty());
    let x = g.input("x", [2]);
    let y = x.exp();
    let ids = [x, y].map(|expr| expr.id().unwrap());
    assert_eq!(g.ids(), ids);
    assert_eq!(g.node(ids[1]).unwrap().ordinal, 1);
    assert_eq!(g.ordinal_bound(), 2);
    assert_eq!(
        g.node(ids[1]).unwrap().op,
        Op::Elementwise(Elementwise::Unary { function: UnaryFunction::Exp, operand: ids[0] })
    );
}

#[test]
fn origins_are_the_callers_lines() {
    let g = Graph::new();
    let (x, line) = (g.input("x", [4, 3]), line!());
    let (y, y_line) = (x.var(0, 1.0).softmax(0), line!());
    assert_eq!(g.node(x.id().unwrap()).unwrap().origin.line(), line);
    // Every node of a composition carries the line on which it was asked for.
    for id in &g.ids()[1..] {
        let node = g.node(*id).unwrap();
        assert!(node.origin.file().ends_with("arena.rs"), "{}: {}", node.op.name(), node.origin);
        assert_eq!(node.origin.line(), y_line, "{}", node.op.name());
    }
    let before = g.len();
    let (_, grad_line) = (y.sum(..).grad([x]).unwrap(), line!());
    // A derivative's nodes come from the line of the node that is differentiated, or of the call.
    for id in &g.ids()[before..] {
        let node = g.node(*id).unwrap();
        assert!([y_line, grad_line].contains(&node.origin.line()), "{}: {}", node.op.name(), node.origin);
        assert!(node.origin.file().ends_with("arena.rs"), "{}: {}", node.op.name(), node.origin);
    }
}

#[test]
fn a_mistake_poisons_what_follows_and_the_first_is_kept() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let (wrong, line) = (x.reshape([4]), line!());
    let later = (wrong + 1.0).exp().sum(..).matmul(x);
    let _second = x.matmul(x);
    let nodes = g.len();
    let _ = later.softmax(0).where_(wrong, 1.0).cross_entropy(later).dropout(0.5, later, 1).norm(2.0, ..);
    assert_eq!(g.len(), nodes, "poisoned expressions insert nothing");
    let error = later.check().unwrap_err();
    assert_eq!(error, g.check().unwrap_err());
    assert_eq!(error, wrong.id().unwrap_err());
    assert_eq!(error, later.grad([x]).unwrap_err());
    let text = error.to_string();
    assert!(
        text.ends_with(&format!("arena.rs:{line}: reshape: \"x\" of shape [2, 3] has 6 elements, but [4] has 4")),
        "{text}"
    );
    assert_eq!(format!("{wrong:?}"), "poisoned");
}

#[test]
fn a_graph_is_usable_after_its_error_was_taken() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let wrong = x.reshape([3]);
    assert!(matches!(g.take_error(), Some(GraphError::Reshape { .. })));
    assert!(g.take_error().is_none());
    assert!(g.check().is_ok());
    let y = x.exp().sum(..);
    assert!(y.check().is_ok());
    assert!(y.grad([x]).is_ok());
    // What was poisoned stays so.
    assert!(matches!(wrong.id(), Err(GraphError::StaleNode { .. })));
    assert!(matches!((wrong + x).id(), Err(GraphError::StaleNode { .. })));
    assert_eq!(verify(&g), Ok(()));
}

#[test]
fn rewinding_forgets_nodes_names_and_later_errors() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let mark = g.mark();
    let y = g.input("y", [2]) + x;
    let _ = y.reshape([7]);
    assert!(g.check().is_err());
    g.rewind(mark).unwrap();
    assert!(g.check().is_ok());
    assert_eq!((g.len(), g.declarations().len(), g.ordinal_bound()), (1, 1, 1));
    assert!(matches!(y.id(), Err(GraphError::StaleNode { .. })));
    // The slots are used again, and the old handles still find nothing.
    let again = g.input("y", [5]).exp();
    assert!(again.check().is_ok());
    assert!(matches!(y.id(), Err(GraphError::StaleNode { .. })));
    let _ = y + 1.0;
    assert!(matches!(g.take_error(), Some(GraphError::StaleNode { .. })));
    assert_eq!(verify(&g), Ok(()));
}

#[test]
fn an_error_from_before_the_mark_is_kept() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let _ = x.reshape([3]);
    let mark = g.mark();
    let _ = x.exp();
    g.rewind(mark).unwrap();
    assert!(g.check().is_err());
}

#[test]
fn marks_nest_and_stale_ones_are_refused() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let outer = g.mark();
    let _y = x.exp();
    let inner = g.mark();
    let _z = x.sin();
    g.rewind(inner).unwrap();
    g.rewind(inner).unwrap();
    assert_eq!(g.len(), 2);
    g.rewind(outer).unwrap();
    // Regrown past where the inner mark was: what is there now is not what it marked.
    let _ = (x.cos(), g.input("other", [3]), x.tanh());
    assert!(matches!(g.rewind(inner), Err(GraphError::StaleMark { .. })));
    assert_eq!(g.len(), 4);
    g.rewind(outer).unwrap();
    assert_eq!(g.len(), 1);
    assert!(matches!(Graph::new().rewind(outer), Err(GraphError::ForeignNode { .. })));
}

#[test]
fn a_mark_outlives_the_removal_of_earlier_nodes() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    let unused = x.sin();
    let mark = g.mark();
    let _y = x.exp();
    g.remove(unused.id().unwrap()).unwrap();
    g.rewind(mark).unwrap();
    assert_eq!(g.len(), 1);
    g.rewind(mark).unwrap();
    assert_eq!(verify(&g), Ok(()));
}

#[test]
fn removal_frees_the_name_and_leaves_the_rest() {
    let g = Graph::new();
    let (x, labels) = (g.input("x", [2, 3]), g.input_of("labels", [2], DType::I32));
    let loss = x.cross_entropy(labels);
    assert_eq!(g.index_bounds().len(), 1);
    let used = g.remove(x.id().unwrap()).unwrap_err();
    assert!(matches!(used, GraphError::NodeInUse { .. }), "{used}");
    let order: Vec<NodeId> = g.ids().into_iter().rev().collect();
    assert_eq!(order[0], loss.id().unwrap());
    for id in order {
        g.remove(id).unwrap();
        assert_eq!(verify(&g), Ok(()));
    }
    assert!(g.is_empty());
    assert!(g.index_bounds().is_empty());
    assert!(matches!(x.id(), Err(GraphError::StaleNode { .. })));
    assert!(g.input("x", [5]).check().is_ok());
}

#[test]
fn foreign_handles_are_typed_errors_in_both_graphs() {
    let (g, h) = (Graph::new(), Graph::new());
    let (x, y) = (g.input("x", [2]), h.input("y", [2]));
    let sum = x + y;
    assert!(matches!(sum.id(), Err(GraphError::ForeignNode { op: "add", .. })));
    assert!(matches!(g.take_error(), Some(GraphError::ForeignNode { .. })));
    assert!(matches!(h.take_error(), Some(GraphError::ForeignNode { .. })));
    let (x_id, y_id) = (x.id().unwrap(), y.id().unwrap());
    assert!(matches!(g.node(y_id), Err(GraphError::ForeignNode { .. })));
    assert!(matches!(g.remove(y_id), Err(GraphError::ForeignNode { .. })));
    assert!(matches!(g.expr(y_id).id(), Err(GraphError::ForeignNode { .. })));
    g.take_error();
    let insert = g.insert(Op::StopGradient { operand: y_id }, None, None, Origin::here());
    assert!(matches!(insert, Err(GraphError::ForeignNode { .. })));
    assert!(matches!(x.exp().sum(..).grad([y]), Err(GraphError::ForeignNode { .. })));
    assert_ne!(x_id, y_id);
    type Operation = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;
    let operations: [Operation; 9] = [
        |x, y| x.matmul(y),
        |x, y| x.mse_loss(y, arenagrad_graph::Reduction::Mean),
        |x, y| x.cross_entropy(y),
        |x, y| x.graph().concat(&[x, y], 0),
        |x, y| x.index_select(0, y),
        |x, y| x.scatter_add(0, x, y),
        |x, y| x.less(0.0).where_(x, y),
        |x, y| x.dropout(0.5, y, 1),
        |x, y| x.layer_norm(0, Some(y), None, 1e-5),
    ];
    for operation in operations {
        let (g, h) = (Graph::new(), Graph::new());
        assert!(operation(g.input("x", [2]), h.input("y", [2])).id().is_err());
        assert!(g.check().is_err());
    }
}

#[test]
fn names_are_unique_and_steps_are_one() {
    let g = Graph::new();
    let (_x, line) = (g.input("x", [2]), line!());
    let again = g.parameter("x", [2], Init::Constant(0.0));
    let text = again.id().unwrap_err().to_string();
    assert!(
        text.contains("the name \"x\" is taken, first at ") && text.ends_with(&format!("arena.rs:{line}")),
        "{text}"
    );
    g.take_error();
    assert_eq!(g.step().id().unwrap(), g.step().id().unwrap());
    assert_eq!(g.step().dtype().unwrap(), DType::I32);
}

#[test]
fn broadcasting_follows_numpy() {
    type Row<'a> = (&'a [usize], &'a [usize], Option<&'a [usize]>);
    let table: &[Row<'_>] = &[
        (&[], &[], Some(&[])),
        (&[], &[3], Some(&[3])),
        (&[3], &[1], Some(&[3])),
        (&[2, 1], &[1, 3], Some(&[2, 3])),
        (&[8, 1, 6, 1], &[7, 1, 5], Some(&[8, 7, 6, 5])),
        (&[5, 4], &[1], Some(&[5, 4])),
        (&[5, 4], &[4], Some(&[5, 4])),
        (&[15, 3, 5], &[15, 1, 5], Some(&[15, 3, 5])),
        (&[15, 3, 5], &[3, 1], Some(&[15, 3, 5])),
        (&[256, 256, 3], &[3], Some(&[256, 256, 3])),
        (&[0], &[1], Some(&[0])),
        (&[2, 0], &[1, 1], Some(&[2, 0])),
        (&[0, 3], &[3], Some(&[0, 3])),
        (&[1], &[0, 1], Some(&[0, 1])),
        (&[3], &[4], None),
        (&[2, 1], &[8, 4, 3], None),
        (&[0], &[2], None),
        (&[2, 3], &[2], None),
    ];
    for (a, b, expected) in table {
        let expected = expected.map(Shape::from);
        for (left, right) in [(a, b), (b, a)] {
            assert_eq!(Shape::from(*left).broadcast(&Shape::from(*right)).ok(), expected, "{left:?} {right:?}");
            let g = Graph::new();
            let sum = g.input("a", *left) + g.input("b", *right);
            assert_eq!(sum.shape().ok(), expected, "{left:?} {right:?}");
        }
    }
}

#[test]
fn what_is_built_temporarily_is_taken_back_on_every_way() {
    let g = Graph::new();
    let x = g.input("x", [3]);
    let start = g.mark();
    let before = g.to_string();
    let shape = g.temporarily(|| {
        let _state = g.parameter("w", [3], Init::Constant(0.0));
        x.exp().sum(..).shape()
    });
    assert_eq!(shape.unwrap().rank(), 0);
    let refused = g.temporarily(|| {
        let _poisoned = x.exp().reshape([7]);
        Ok::<_, GraphError>(())
    });
    assert!(matches!(refused, Err(GraphError::Reshape { .. })));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        g.temporarily(|| -> Result<(), GraphError> {
            let _exp = x.exp();
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!((g.to_string(), g.check(), verify(&g)), (before, Ok(()), Ok(())));
    assert_eq!(g.require_mark(start, "test"), Ok(()));
    // An error that the graph held before is held still.
    let _poisoned = x.reshape([8]);
    g.temporarily(|| x.exp().shape()).unwrap();
    assert!(matches!(g.take_error(), Some(GraphError::Reshape { .. })));
}
