//! Networks as functions of their parameters: values in the place of what layers ask for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arenagrad_graph::nn::{BatchNorm, Linear, Phase, Sequential};
use arenagrad_graph::{DType, Expr, Graph, GraphError, Init};

/// The names of what a graph declares.
fn declared(g: &Graph) -> Vec<String> {
    g.declarations().into_iter().map(|declaration| declaration.name).collect()
}

fn is_used(g: &Graph, result: Expr<'_>, operand: Expr<'_>) -> bool {
    g.needed(&[result.id().unwrap()]).unwrap().contains(&operand.id().unwrap())
}

#[test]
fn layers_take_values_and_declare_the_rest() {
    let g = Graph::new();
    let (layer, x, weight) = (Linear::new("layer", 3, 2), g.input("x", [4, 3]), g.input("w", [2, 3]));
    let result = g.with_values(&[("layer.weight", weight)], || layer.apply(x));
    assert_eq!(declared(&g), ["x", "w", "layer.bias"]);
    assert!(is_used(&g, result, weight));
    // Behind it the layer has a parameter again.
    let own = layer.apply(x);
    assert_eq!(declared(&g), ["x", "w", "layer.bias", "layer.weight"]);
    assert!(!is_used(&g, own, weight));
    g.check().unwrap();
}

#[test]
fn values_are_differentiated_like_any_other() {
    let g = Graph::new();
    let (layer, x) = (Linear::new("layer", 3, 2), g.input("x", [4, 3]));
    let first = layer.apply(x).square().sum(..);
    let weight = g.expr(g.declaration_named("layer.weight").unwrap().node);
    let [gradient] = first.grad([weight]).unwrap();
    let adapted = weight - 0.1 * gradient;
    let second = g.with_values(&[("layer.weight", adapted)], || layer.apply(x)).square().sum(..);
    let [through] = second.grad([weight]).unwrap();
    assert!(is_used(&g, through, adapted));
    assert_eq!(through.shape().unwrap().dims(), [2, 3]);
}

#[test]
fn parameters_states_and_prefixes() {
    let g = Graph::new();
    let value = g.input("value", [2]);
    let names = ["a", "b", "c", "d"].map(|name| (name.to_owned(), value));
    let found = g.under_prefix("outer", || {
        g.with_values(&names, || {
            let zero = || Init::Constant(0.0);
            [
                g.parameter("a", [2], zero()),
                g.shared_parameter("b", [2], DType::F32, zero()),
                g.state("c", [2], DType::F32, zero()),
                g.shared_state("d", [2], DType::F32, zero()),
            ]
        })
    });
    assert!(found.iter().all(|found| found.id() == value.id()));
    assert_eq!(declared(&g), ["value"]);
    // The prefix of the values is the one that they were given under.
    let inner = g.with_values(&[("p.a", value)], || g.under_prefix("p", || g.parameter("a", [2], Init::Constant(0.0))));
    assert_eq!(inner.id(), value.id());
    g.check().unwrap();
}

#[test]
fn the_innermost_value_counts() {
    let g = Graph::new();
    let (one, two) = (g.input("one", []), g.input("two", []));
    let ask = || g.parameter("w", [], Init::Constant(0.0));
    let (inner, outer) = g.with_values(&[("w", one)], || (g.with_values(&[("w", two)], ask), ask()));
    assert_eq!((inner.id(), outer.id()), (two.id(), one.id()));
    g.check().unwrap();
}

#[test]
fn values_end_with_the_closure_also_when_it_panics() {
    let g = Graph::new();
    let value = g.input("value", []);
    let panicked = catch_unwind(AssertUnwindSafe(|| g.with_values(&[("w", value)], || panic!("on purpose"))));
    assert!(panicked.is_err());
    let own = g.parameter("w", [], Init::Constant(0.0));
    assert_ne!(own.id(), value.id());
    g.check().unwrap();
}

#[test]
fn mistakes_are_told_where_they_are() {
    let told = |build: &dyn Fn(&Graph)| {
        let g = Graph::new();
        build(&g);
        g.take_error().expect("a mistake").to_string()
    };
    let layer = Linear::new("layer", 3, 2);
    let line = line!() + 3;
    let unasked = told(&|g| {
        let (x, w) = (g.input("x", [4, 3]), g.input("w", [2, 3]));
        let _ = g.with_values(&[("layer.wieght", w)], || layer.apply(x));
    });
    let asked = "with_values: nothing asks for \"layer.wieght\"; what is asked for: \"layer.bias\", \"layer.weight\"";
    assert!(unasked.contains(asked) && unasked.contains(&format!("with_values.rs:{line}")), "{unasked}");
    let shape = told(&|g| {
        let (x, w) = (g.input("x", [4, 3]), g.input("w", [3, 2]));
        let _ = g.with_values(&[("layer.weight", w)], || layer.apply(x));
    });
    assert!(shape.contains("\"layer.weight\" is asked for as f32[2, 3], but is the value f32[3, 2] at"), "{shape}");
    let dtype = told(&|g| {
        let (x, w) = (g.input("x", [4, 3]), g.input_of("w", [2, 3], DType::F64));
        let _ = g.with_values(&[("layer.weight", w)], || layer.apply(x));
    });
    assert!(dtype.contains("asked for as f32[2, 3], but is the value f64[2, 3]"), "{dtype}");
    let twice = told(&|g| {
        let (x, w) = (g.input("x", [4, 3]), g.input("w", [2, 3]));
        let _ = g.with_values(&[("layer.weight", w), ("layer.weight", w)], || layer.apply(x));
    });
    assert!(twice.contains("the name \"layer.weight\" is taken"), "{twice}");
    let other = Graph::new();
    let foreign = other.input("w", [2, 3]);
    let g = Graph::new();
    let x = g.input("x", [4, 3]);
    let result = g.with_values(&[("layer.weight", foreign)], || layer.apply(x));
    assert!(result.check().is_err());
    assert!(matches!(g.take_error(), Some(GraphError::ForeignNode { op: "with_values", .. })));
    let nothing = told(&|g| {
        let w = g.input("w", []);
        g.with_values(&[("w", w)], || ());
    });
    assert!(nothing.contains("what is asked for: nothing"), "{nothing}");
}

/// Running statistics may be given, and are then no states that could be moved on.
#[test]
fn statistics_of_evaluation() {
    let network = Sequential::new("net").layer(|name| BatchNorm::new(name, 3));
    let g = Graph::new();
    let (x, mean) = (g.input("x", [4, 3]), g.input("mean", [3]));
    let y = g.with_values(&[("net.0.running_mean", mean)], || network.apply(x, Phase::Evaluation));
    assert!(is_used(&g, y, mean));
    let y = g.with_values(&[("net.0.running_mean", mean)], || network.apply(x, Phase::Training));
    assert!(y.check().is_err() || g.take_error().is_some());
}
