//! Owned graphs whose owner lends what layers ask for by name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use arenagrad_graph::nn::{Linear, Phase, State, init};
use arenagrad_graph::{
    DType, Declaration, DeclarationKind, Expr, GraphError, Init, Lender, NodeId, Op, Origin, OwnedGraph, Wanted,
};

/// Keeps everything that it is asked for, as inputs.
struct Keeper {
    graph: Rc<OwnedGraph>,
    kept: RefCell<HashMap<String, Declaration>>,
}

impl Lender for Keeper {
    fn kept(&self, name: &str, _: Origin) -> Result<Option<Declaration>, GraphError> {
        Ok(self.kept.borrow().get(name).cloned())
    }

    fn keep(&self, wanted: Wanted) -> Result<NodeId, GraphError> {
        let (shape, dtype) = (wanted.shape.clone(), wanted.storage.value());
        let node = self.graph.declare(format!("kept {}", wanted.name), shape, dtype, wanted.origin)?;
        self.kept.borrow_mut().insert(wanted.name.clone(), wanted.declaration(node));
        Ok(node)
    }

    fn is_kept(&self, node: NodeId) -> bool {
        self.kept.borrow().values().any(|kept| kept.node == node)
    }
}

fn lent() -> (Rc<OwnedGraph>, Rc<Keeper>, NodeId) {
    let graph = Rc::new(OwnedGraph::new("a recording"));
    let keeper = Rc::new(Keeper { graph: graph.clone(), kept: RefCell::default() });
    let x = graph.declare("x", [2, 3], DType::F32, Origin::here()).unwrap();
    (graph, keeper, x)
}

fn counted(x: Expr<'_>) -> Expr<'_> {
    let graph = x.graph();
    let count = State::new("count", [], Init::Constant(0.0)).of(graph, DType::F32);
    graph.update(count, graph.latest(count) + 1.0);
    graph.update(count, graph.latest(count) + 1.0);
    Linear::new("layer", 3, 4).apply(x)
}

#[test]
fn what_is_shared_comes_from_the_owner() {
    let (graph, keeper, x) = lent();
    for _ in 0..2 {
        let (y, updates) = graph.lending(keeper.clone(), || counted(graph.expr(x)));
        assert_eq!(y.shape().unwrap().dims(), &[2, 4]);
        assert_eq!((updates.len(), updates[0].0), (1, keeper.kept.borrow()["count"].node));
        // It is said once, and forgotten by the graph.
        assert!(graph.updates().is_empty() && graph.layers().is_empty());
    }
    let mut names: Vec<String> = keeper.kept.borrow().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["count", "layer.bias", "layer.weight"]);
    let is_trained = |name: &str| {
        let DeclarationKind::Parameter { trainable, .. } = keeper.kept.borrow()[name].kind else { return None };
        Some(trainable)
    };
    assert_eq!((is_trained("layer.weight"), is_trained("count")), (Some(true), Some(false)));
    // Without a lender it is the owner's alone.
    assert!(matches!(counted(graph.expr(x)).id(), Err(GraphError::Owned { op: "parameter", .. })));
    graph.take_error();
    assert!(matches!(graph.step().id(), Err(GraphError::Owned { .. })));
}

#[test]
fn what_is_kept_as_something_else_is_refused() {
    let (graph, keeper, x) = lent();
    graph.lending(keeper.clone(), || assert!(counted(graph.expr(x)).id().is_ok()));
    let asked = |ask: &dyn Fn() -> Result<NodeId, GraphError>| {
        let refused = graph.lending(keeper.clone(), || graph.attempt(ask)).0.unwrap_err();
        (matches!(refused, GraphError::SharedDeclaration { .. } | GraphError::InitialValue { .. }), refused.to_string())
    };
    let constant = || Init::Constant(0.0);
    for (told, text) in [
        asked(&|| graph.shared_parameter("layer.weight", [4, 5], DType::F32, constant()).id()),
        asked(&|| graph.shared_parameter("layer.weight", [4, 3], DType::F64, constant()).id()),
        asked(&|| graph.shared_state("layer.bias", [4], DType::F32, constant()).id()),
        asked(&|| graph.shared_parameter("count", [], DType::F32, constant()).id()),
        asked(&|| graph.shared_parameter("new", [], DType::F32, Init::Constant(f64::NAN)).id()),
    ] {
        assert!(told, "{text}");
        assert!(text.contains(file!()), "{text}");
    }
    assert!(!keeper.kept.borrow().contains_key("new"));
}

/// Draws are numbered from the first wherever a lender is asked, and count on where it is not; a lender within another is asked alone.
#[test]
fn draws_begin_anew_and_lenders_nest() {
    let (graph, keeper, x) = lent();
    let seeds = || {
        let drawn = graph.expr(x).dropout_in(Phase::Training, 0.5).id().unwrap();
        let seed = |id: NodeId| {
            let Op::Uniform { seed, .. } = graph.node(id).unwrap().op else { return None };
            Some(seed)
        };
        graph.ids().into_iter().filter(|id| *id != drawn).filter_map(seed).next_back().unwrap()
    };
    let twice = graph.lending(keeper.clone(), || (seeds(), seeds())).0;
    assert_ne!(twice.0, twice.1);
    let (nested, outer) = graph
        .lending(keeper.clone(), || {
            let first = seeds();
            let other = Rc::new(Keeper { graph: graph.clone(), kept: RefCell::default() });
            // The one within is asked alone.
            let known = keeper.kept.borrow().len();
            let (inner, _) = graph.lending(other.clone(), || counted(graph.expr(x)).id().is_ok());
            assert!(inner && other.kept.borrow().len() == 3 && keeper.kept.borrow().len() == known);
            (first, seeds())
        })
        .0;
    assert_eq!((nested, outer), twice);
}

#[test]
fn a_panic_ends_the_lending() {
    let (graph, keeper, x) = lent();
    let panics = || {
        graph.lending(keeper.clone(), || {
            assert!(counted(graph.expr(x)).id().is_ok());
            std::panic::resume_unwind(Box::new(()));
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert!(graph.updates().is_empty());
    assert!(matches!(
        graph.shared_state("count", [], DType::F32, Init::Constant(0.0)).id(),
        Err(GraphError::Owned { .. })
    ));
}

#[test]
fn first_values_that_a_shape_cannot_have_are_refused() {
    let (graph, keeper, x) = lent();
    for init in [init::dirac(1), init::sparse(0.5, 1.0), init::eye()] {
        let of = || Linear::new("l", 3, 2).bias_init(init.clone()).apply(graph.expr(x)).check().map(|_| ());
        let refused = graph.lending(keeper.clone(), || graph.attempt(of)).0.unwrap_err();
        assert!(matches!(refused, GraphError::Rank { .. }), "{refused}");
    }
}
