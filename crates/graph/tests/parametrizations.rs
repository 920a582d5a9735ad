//! Weight and spectral normalisation: keys, layouts, first values, tables and what they refuse.

use arenagrad_graph::nn::init::{Side, Source};
use arenagrad_graph::nn::{
    Activation, Conv2d, ConvTranspose1d, Embedding, Layer, Linear, Phase, Sequential, SpectralNorm, Summary,
    WeightNorm, Weighted,
};
use arenagrad_graph::{DType, DeclarationKind, Expr, Graph, GraphError, Init};

/// The names, types and shapes that a layer declares beside the input `x`, and whether each is trained.
fn declared(layer: &dyn Layer, shape: &[usize], dtype: DType) -> Vec<String> {
    let g = Graph::new();
    let _ = layer.forward(g.input_of("x", shape.to_vec(), dtype), Phase::Training);
    g.check().unwrap_or_else(|error| panic!("{error}"));
    let declarations = g.declarations().into_iter().filter(|declaration| declaration.name != "x");
    let told = declarations.map(|one| {
        let is_state = matches!(one.kind, DeclarationKind::Parameter { trainable: false, .. });
        format!("{} {}{}{}", one.name, one.storage, one.shape, if is_state { " state" } else { "" })
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

#[test]
fn keys_and_layouts_are_those_of_pytorch() {
    let conv = || Conv2d::new("c", 4, 6, [3, 2]).groups(2);
    let (x, f32, f64) = ([1, 4, 9, 9], DType::F32, DType::F64);
    let expected = [
        "c.bias f64[6]",
        "c.parametrizations.weight.original0 f64[6, 1, 1, 1]",
        "c.parametrizations.weight.original1 f64[6, 2, 3, 2]",
    ];
    assert_eq!(declared(&WeightNorm::new(conv()), &x, f64), expected);
    let expected = ["c.bias f32[6]", "c.weight_g f32[1, 1, 3, 1]", "c.weight_v f32[6, 2, 3, 2]"];
    assert_eq!(declared(&WeightNorm::new(conv()).axis(2).older_keys(), &x, f32), expected);
    let expected = ["parametrizations.weight.original0 f32[]", "parametrizations.weight.original1 f32[5, 3]"];
    assert_eq!(declared(&WeightNorm::new(Linear::new("", 3, 5).without_bias()).whole(), &[2, 3], f32), expected);
    let expected = [
        "c.bias f64[6]",
        "c.parametrizations.weight.0._u f64[6] state",
        "c.parametrizations.weight.0._v f64[12] state",
        "c.parametrizations.weight.original f64[6, 2, 3, 2]",
    ];
    assert_eq!(declared(&SpectralNorm::new(conv()), &x, f64), expected);
    let up = SpectralNorm::new(ConvTranspose1d::new("u", 4, 6, 3));
    let expected =
        ["u.bias f32[6]", "u.weight_orig f32[4, 6, 3]", "u.weight_u f32[6] state", "u.weight_v f32[12] state"];
    assert_eq!(declared(&up.clone().older_keys(), &[1, 4, 9], f32), expected);
    let vectors = |layer: &dyn Layer| declared(layer, &[1, 4, 9], f32)[1..3].to_vec();
    let expected = ["u.parametrizations.weight.0._u f32[4] state", "u.parametrizations.weight.0._v f32[18] state"];
    assert_eq!(vectors(&up.axis(0)), expected);
    let expected = ["e.parametrizations.weight.0._u f64[7] state", "e.parametrizations.weight.0._v f64[3] state"];
    let table = SpectralNorm::new(Embedding::new("e", 7, 3).dtype(f64));
    assert_eq!(declared(&table, &[2], DType::I32)[..2], expected);
}

#[test]
fn first_values_are_those_of_the_weight() {
    let plain = Linear::new("fc", 3, 5).weight_init(Init::Normal { mean: 0.5, deviation: 0.1 });
    let of = |name: &str| {
        let (name, init) = (name.to_owned(), plain.weight().init().clone());
        Box::new(Source { name, shape: [5, 3].into(), init })
    };
    let normed = WeightNorm::new(plain.clone());
    assert_eq!(normed.directions().init(), plain.weight().init());
    let expected = Init::Norms { of: of("fc.parametrizations.weight.original1"), axis: Some(0) };
    assert_eq!(normed.lengths().init(), &expected);
    assert_eq!(SpectralNorm::new(plain.clone()).original().init(), plain.weight().init());
    // Under a prefix both stand under it.
    let g = Graph::new();
    let _ = g.under_prefix("critic", || {
        g.under_prefix("a", || SpectralNorm::new(plain.clone()).eps(1e-6).apply(g.input("x", [2, 3]), Phase::Training))
    });
    let state = g.declaration_named("critic.a.fc.parametrizations.weight.0._v").expect("declared");
    let of = of("critic.a.fc.parametrizations.weight.original");
    let init = Init::SingularVector { of, axis: 0, side: Side::Right, eps: 1e-6 };
    assert_eq!(state.kind, DeclarationKind::Parameter { init, trainable: false });
}

#[test]
fn the_weight_is_that_of_the_layer() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let layer = WeightNorm::new(Linear::new("fc", 3, 5));
    let y = layer.apply(x);
    let weight = layer.weight_of(&g, DType::F32);
    assert_eq!(weight.shape().unwrap().dims(), &[5, 3]);
    // It is applied twice, and has its parameters once.
    let before = g.declarations().len();
    let _ = layer.apply(x + y.sum(..));
    assert_eq!((g.declarations().len(), g.updates().len()), (before, 0));
    let divided = SpectralNorm::new(Linear::new("sn", 3, 3));
    let _ = divided.apply(divided.apply(x, Phase::Training), Phase::Training);
    let _ = divided.apply(x, Phase::Evaluation);
    assert_eq!(g.updates().len(), 2);
    g.check().unwrap();
}

#[test]
fn they_stand_in_tables_and_drawings() {
    let net = Sequential::new("net")
        .layer(|name| SpectralNorm::new(Conv2d::new(name, 1, 2, 3)))
        .then(Activation::relu())
        .layer(|name| WeightNorm::new(Conv2d::new(name, 2, 4, 3)));
    for phase in [Phase::Training, Phase::Evaluation] {
        let summary = Summary::of(|g| net.apply(g.input("x", [1, 1, 8, 8]), phase)).unwrap();
        let expected = "\
layer      kind                output        parameters  states
net        Sequential          [1, 4, 4, 4]
           SpectralNorm        [1, 2, 6, 6]
    net.0  Conv2d(1, 2, 3x3)   [1, 2, 6, 6]          20      11
           ReLU                [1, 2, 6, 6]
           WeightNorm          [1, 4, 4, 4]
    net.2  Conv2d(2, 4, 3x3)   [1, 4, 4, 4]          80
100 trainable numbers, 11 of states: 444 bytes
";
        let expected = expected.replace("kind                output", "kind               output");
        let squeezed = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(squeezed(&summary.to_string()), squeezed(&expected), "{summary}");
        let svg = summary.to_svg();
        assert!(svg.contains("SpectralNorm") || svg.contains("Conv2d(1, 2, 3x3)"), "{svg}");
    }
}

#[test]
fn mistakes_are_told_at_the_callers_line() {
    #[track_caller]
    fn says(build: impl for<'g> Fn(&'g Graph) -> Expr<'g>, parts: &[&str]) {
        let g = Graph::new();
        let error = build(&g).id().map(|_| ()).and(g.check()).expect_err("a mistake");
        let first = std::panic::Location::caller().line();
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
        // The call may be written over some lines.
        let is_of_line = |line: u32| text.contains(&format!("parametrizations.rs:{line}: {}", parts[0]));
        assert!((first..first + 6).any(is_of_line), "{text:?} is not of line {first}");
        assert!(g.layers().is_empty() && !matches!(error, GraphError::StaleMark { .. }), "a refused layer was noted");
    }
    let fc = || Linear::new("fc", 3, 5);
    says(
        |g| WeightNorm::new(fc()).axis(2).apply(g.input("x", [2, 3])),
        &["WeightNorm: ", "the axis is 2", "an axis of the weight"],
    );
    says(|g| WeightNorm::new(fc()).apply(g.input("x", [2, 4])), &["Linear: ", "(4 != 3)"]);
    says(|g| WeightNorm::new(fc()).apply(g.input_of("x", [2, 3], DType::I32)), &["Linear: \"x\" is i32"]);
    says(
        |g| SpectralNorm::new(fc()).axis(2).apply(g.input("x", [2, 3]), Phase::Training),
        &["SpectralNorm: ", "the axis is 2"],
    );
    says(
        |g| SpectralNorm::new(fc()).iterations(0).apply(g.input("x", [2, 3]), Phase::Evaluation),
        &["SpectralNorm: ", "iterations is 0"],
    );
    says(
        |g| SpectralNorm::new(fc()).eps(0.0).apply(g.input("x", [2, 3]), Phase::Training),
        &["SpectralNorm: ", "eps is 0", "above 0"],
    );
    says(
        |g| SpectralNorm::new(fc()).eps(f64::NAN).weight_of(g, DType::F32, Phase::Training),
        &["SpectralNorm: ", "eps"],
    );
    says(|g| WeightNorm::new(fc()).axis(7).weight_of(g, DType::F32), &["WeightNorm: ", "the axis is 7"]);
    // What takes a weight's place must be like it.
    says(|g| fc().apply_with(g.input("x", [2, 3]), &|_| g.input("w", [5, 4])), &["Linear: ", "4"]);
    says(|g| fc().apply_with(g.input("x", [2, 3]), &|_| g.input_of("w", [5, 3], DType::F64)), &["Linear: ", "f64"]);
    says(
        |g| {
            let x = g.input("x", [2, 3]);
            let _ = g.input("fc.parametrizations.weight.original1", [5, 3]);
            WeightNorm::new(fc()).apply(x)
        },
        &["\"fc.parametrizations.weight.original1\" is asked for as a parameter", "an input f32[5, 3]"],
    );
}
