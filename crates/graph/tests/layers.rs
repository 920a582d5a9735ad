//! Layers as values, and what graphs keep for them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arenagrad_graph::nn::{Linear, Phase};
use arenagrad_graph::{DType, Expr, Graph, GraphError, Init};

#[test]
fn a_layer_has_the_same_parameters_at_each_application() {
    let head = Linear::new("head", 3, 2);
    let g = Graph::new();
    let first = head.apply(g.input("x", [4, 3]));
    let second = head.apply(g.input("y", [7, 3]));
    let names: Vec<String> = g.declarations().into_iter().map(|declaration| declaration.name).collect();
    assert_eq!(names, ["x", "head.weight", "head.bias", "y"]);
    assert_eq!((first.shape().unwrap().dims(), second.shape().unwrap().dims()), (&[4, 2][..], &[7, 2][..]));
    let applied: Vec<_> = g.layers().into_iter().map(|layer| (layer.name, layer.kind, layer.depth)).collect();
    let head = ("head".to_owned(), "Linear(3, 2)".to_owned(), 0);
    assert_eq!(applied, [head.clone(), head]);
}

#[test]
fn a_name_that_is_something_else_is_refused() {
    let g = Graph::new();
    let x = g.input("x", [4, 3]);
    let _taken = g.parameter("head.weight", [2, 4], Init::Constant(0.0));
    let refused = g.attempt(|| Linear::new("head", 3, 2).apply(x).check()).unwrap_err();
    assert!(matches!(refused, GraphError::SharedDeclaration { .. }), "{refused}");
    let message = refused.to_string();
    assert!(
        message.contains("\"head.weight\" is asked for as a parameter f32[2, 3], but is a parameter f32[2, 4] at"),
        "{message}"
    );
}

#[test]
fn the_last_update_of_a_state_counts_and_a_rewind_forgets_it() {
    let g = Graph::new();
    let x = g.input("x", [4]);
    let state = g.state("mean", [], DType::F32, Init::Constant(0.0));
    g.update(state, x.mean(..));
    let mark = g.mark();
    g.update(state, g.latest(state) + 1.0);
    assert_eq!(g.updates(), [(state.id().unwrap(), g.latest(state).id().unwrap())]);
    g.rewind(mark).unwrap();
    assert_eq!(g.updates().len(), 1);
    assert_ne!(g.latest(state).id(), state.id());
    g.update(x, x);
    assert!(matches!(g.take_error(), Some(GraphError::NotAState { .. })));
}

#[test]
fn dropout_draws_at_each_place_and_not_in_evaluation() {
    let g = Graph::new();
    let x = g.input("x", [4]);
    assert_eq!(x.dropout_in(Phase::Evaluation, 0.5).id(), x.id());
    let masks = [x.dropout_in(Phase::Training, 0.5), x.dropout_in(Phase::Training, 0.5)];
    let text = g.display(&masks).to_string();
    assert_eq!(text.matches("uniform(").count(), 2, "{text}");
}

#[test]
fn a_prefix_stands_before_declared_names_but_not_before_the_graph_s_own() {
    let g = Graph::new();
    let names = |g: &Graph| g.declarations().into_iter().map(|declaration| declaration.name).collect::<Vec<_>>();
    let [first, second, plain] = ["first", "second", ""].map(|prefix| {
        g.under_prefix(prefix, || g.shared_state("rate", [], DType::F32, Init::Constant(0.0)).id().unwrap())
    });
    let again = g.under_prefix("first", || g.shared_state("rate", [], DType::F32, Init::Constant(0.0)).id().unwrap());
    assert_eq!(first, again);
    assert!(first != second && second != plain && first != plain);
    assert_eq!(names(&g), ["first.rate", "second.rate", "rate"]);
    let _w = g.under_prefix("outer", || g.under_prefix("inner", || g.parameter("w", [2], Init::Constant(0.0))));
    let _step = g.under_prefix("outer", || g.step());
    let _dropped = g.under_prefix("outer", || g.input("x", [2]).dropout_in(Phase::Training, 0.5));
    assert_eq!(names(&g)[3..], ["outer.inner.w", "step", "x", "random_seed"]);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| g.under_prefix("lost", || panic!()))).is_err());
    let _after = g.state("after", [], DType::F32, Init::Constant(0.0));
    assert!(g.declaration_named("after").is_some());
}

#[test]
fn an_input_that_was_not_given_is_told_beside_those_that_were() {
    for (given, told) in
        [(&[][..], "given was nothing"), (&["y"], "given was \"y\""), (&["y", "z"], "given were \"y\", \"z\"")]
    {
        let g = Graph::new();
        let (line, x) = (line!(), g.input_not_given("x", given));
        assert!(x.id().is_err());
        let error = g.check().unwrap_err();
        assert!(matches!(error, GraphError::InputNotGiven { .. }));
        assert_eq!(error.to_string(), format!("{}:{line}: no input \"x\" was given; {told}", file!()));
    }
}

#[test]
fn names_that_the_graph_keeps_for_itself_are_said_to_be_reserved() {
    // Whichever of the two comes first, the place of the caller's declaration is told.
    for (name, purpose) in [
        ("step", "the i32 scalar state that counts training steps"),
        ("random_seed", "the i32 scalar state that random draws begin with"),
    ] {
        for graph_is_first in [true, false] {
            let g = Graph::new();
            let x = g.input("x", [4]);
            let own = || x.dropout_in(Phase::Training, 0.5);
            let _own = graph_is_first.then(own);
            let (line, _taken) = (line!(), g.parameter(name, [2], Init::Constant(0.0)));
            let _own = (!graph_is_first).then(own);
            let error = g.check().unwrap_err();
            assert!(matches!(&error, GraphError::ReservedName { name: found, .. } if found == name), "{error}");
            let told = format!("the name {name:?} is reserved for {purpose}, but was given at {}:{line}; ", file!());
            assert!(error.to_string().contains(&told), "{error}");
        }
    }
}

/// What an expression's mistake says behind its place.
fn said<'g>(g: &'g Graph, build: impl FnOnce() -> Expr<'g>) -> String {
    let error: GraphError = g.attempt(|| build().check().map(drop)).unwrap_err();
    error.to_string().split_once(": ").unwrap().1.to_owned()
}

#[test]
fn floats_for_labels_and_axes_past_the_rank_are_told_in_the_caller_s_words() {
    let g = Graph::new();
    let (x, floats) = (g.input("x", [4, 3]), g.input("labels", [4]));
    let cast = "(cast them: .cast(DType::I32))";
    assert!(said(&g, || x.cross_entropy(floats)).starts_with("cross_entropy: targets \"labels\" are f32[4]"));
    assert!(said(&g, || x.cross_entropy(floats)).contains(cast));
    let cast = "\"labels\" is f32, but i32 is needed (cast it: .cast(DType::I32))";
    assert_eq!(said(&g, || x.nll_loss(floats)), format!("nll_loss: {cast}"));
    assert_eq!(said(&g, || x.accuracy(floats)), format!("accuracy: {cast}"));
    assert_eq!(said(&g, || x.gather(0, floats)), format!("gather: {cast}"));
    assert_eq!(said(&g, || floats.one_hot(3)), format!("one_hot: {cast}"));
    assert_eq!(said(&g, || x.sum(2)), "sum: axis 2 is out of range for \"x\" of shape [4, 3] (rank 2)");
}

#[test]
fn a_layer_whose_builder_panics_is_no_layer_and_has_no_parts() {
    let g = Graph::new();
    let x = g.input("x", [4, 3]);
    let inner = Linear::new("inner", 3, 3);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _result = g.layer("Outer", "outer", x, || {
            let _part = inner.apply(x);
            panic!("on purpose")
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(g.layers(), []);
    let _result = Linear::new("head", 3, 2).apply(x);
    assert_eq!(g.layers().iter().map(|layer| (layer.name.as_str(), layer.depth)).collect::<Vec<_>>(), [("head", 0)]);
}
