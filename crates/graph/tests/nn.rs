//! Layers of `nn`: shapes, names, what they declare, and what they refuse.

use std::collections::HashSet;

use arenagrad_graph::nn::{
    Activation, AdaptiveAvgPool2d, BatchNorm, Conv1d, Conv2d, Conv3d, ConvTranspose2d, Dropout, Dropout2d, Embedding,
    Flatten, GroupNorm, GroupedQueryAttention, InstanceNorm1d, InstanceNorm2d, Layer, LayerNorm, Linear, MaxPool2d,
    PRelu, Phase, Residual, RmsNorm, Sequential,
};
use arenagrad_graph::{ConvolutionPadding, DType, Expr, Graph, GraphError, Init, PadMode, StorageType};

/// The names, types and shapes that a layer declares beside the input `x`.
fn declared(layer: &dyn Layer, shape: &[usize]) -> Vec<String> {
    let g = Graph::new();
    let _ = layer.forward(g.input("x", shape.to_vec()), Phase::Training);
    g.check().unwrap_or_else(|error| panic!("{error}"));
    let declarations = g.declarations().into_iter().filter(|declaration| declaration.name != "x");
    declarations.map(|one| format!("{} {}{}", one.name, one.storage, one.shape)).collect()
}

fn extents(layer: &dyn Layer, shape: &[usize]) -> Vec<usize> {
    let g = Graph::new();
    let y = layer.forward(g.input("x", shape.to_vec()), Phase::Training);
    y.shape().unwrap_or_else(|error| panic!("{error}")).to_vec()
}

fn refused(build: impl for<'g> Fn(&'g Graph) -> Expr<'g>) -> GraphError {
    let g = Graph::new();
    let refused = build(&g).id().map(|_| ()).and(g.check()).expect_err("a mistake");
    assert!(g.layers().is_empty(), "a refused layer was noted");
    refused
}

#[test]
fn keys_and_layouts_are_those_of_pytorch() {
    assert_eq!(declared(&Linear::new("fc", 3, 5), &[2, 3]), ["fc.weight f32[5, 3]", "fc.bias f32[5]"]);
    assert_eq!(declared(&Linear::new("", 3, 5).without_bias(), &[2, 3]), ["weight f32[5, 3]"]);
    let conv = Conv2d::new("c", 4, 6, [3, 5]).groups(2);
    assert_eq!(declared(&conv, &[1, 4, 9, 9]), ["c.weight f32[6, 2, 3, 5]", "c.bias f32[6]"]);
    let up = ConvTranspose2d::new("u", 4, 6, 3).groups(2);
    assert_eq!(declared(&up, &[1, 4, 9, 9]), ["u.weight f32[4, 3, 3, 3]", "u.bias f32[6]"]);
    let running = ["bn.running_mean f32[4]", "bn.running_var f32[4]", "bn.num_batches_tracked i64[]"];
    let affine = ["bn.weight f32[4]", "bn.bias f32[4]"];
    assert_eq!(declared(&BatchNorm::new("bn", 4), &[3, 4]), [&affine[..], &running].concat());
    assert_eq!(declared(&BatchNorm::new("bn", 4).without_affine(), &[3, 4, 2]), running);
    assert_eq!(declared(&BatchNorm::new("bn", 4).without_running_statistics(), &[3, 4, 2, 2]), affine);
    assert_eq!(declared(&InstanceNorm2d::new("bn", 4), &[3, 4, 2, 2]), [""; 0]);
    let both = InstanceNorm2d::new("bn", 4).affine().running_statistics();
    assert_eq!(declared(&both, &[3, 4, 2, 2]), [&affine[..], &running].concat());
    assert_eq!(declared(&LayerNorm::new("ln", [3, 4]), &[2, 3, 4]), ["ln.weight f32[3, 4]", "ln.bias f32[3, 4]"]);
    assert_eq!(declared(&LayerNorm::new("ln", [4]).without_bias(), &[2, 3, 4]), ["ln.weight f32[4]"]);
    assert_eq!(declared(&LayerNorm::new("ln", [4]).without_affine().without_bias(), &[2, 3, 4]), [""; 0]);
    assert_eq!(declared(&RmsNorm::new("n", [4]), &[2, 3, 4]), ["n.weight f32[4]"]);
    assert_eq!(declared(&GroupNorm::new("gn", 2, 4), &[2, 4, 3]), ["gn.weight f32[4]", "gn.bias f32[4]"]);
    assert_eq!(declared(&GroupNorm::new("gn", 2, 4).without_bias(), &[2, 4, 3]), ["gn.weight f32[4]"]);
    let weight = BatchNorm::new("bn", 4).without_running_statistics().without_bias();
    assert_eq!(declared(&weight, &[3, 4, 2]), ["bn.weight f32[4]"]);
    let weight = InstanceNorm2d::new("bn", 4).affine().without_bias();
    assert_eq!(declared(&weight, &[3, 4, 2, 2]), ["bn.weight f32[4]"]);
    assert_eq!(declared(&PRelu::new("act", 4), &[2, 4, 3]), ["act.weight f32[4]"]);
}

#[test]
fn heads_too_wide_to_count_are_refused() {
    for attention in [
        GroupedQueryAttention::new("a", 48, 6).head_width(usize::MAX),
        GroupedQueryAttention::new("a", 48, 6).key_value_heads(usize::MAX),
    ] {
        refused(|g| attention.forward(g.input("x", [2, 5, 48]), Phase::Training));
    }
}

#[test]
fn parameters_have_the_dtype_of_what_a_layer_is_applied_to() {
    let g = Graph::new();
    let x = g.input_of("x", [3, 4, 5], DType::F64);
    let net = Sequential::new("net")
        .layer(|name| Conv1d::new(name, 4, 6, 3))
        .layer(|name| BatchNorm::new(name, 6))
        .layer(|name| PRelu::new(name, 1))
        .layer(|name| InstanceNorm1d::new(name, 6).affine())
        .then(Flatten::new())
        .layer(|name| LayerNorm::new(name, [18]))
        .layer(|name| Linear::new(name, 18, 2));
    let y = net.apply(x, Phase::Training).check().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(y.dtype().unwrap(), DType::F64);
    for declaration in g.declarations() {
        let counts = declaration.name.ends_with("num_batches_tracked");
        let expected = if counts { StorageType::I64 } else { StorageType::F64 };
        assert_eq!(declaration.storage, expected, "{}", declaration.name);
    }
}

#[test]
fn shapes_of_layers() {
    assert_eq!(extents(&Linear::new("l", 3, 5), &[3]), [5]);
    assert_eq!(extents(&Linear::new("l", 3, 5), &[2, 4, 3]), [2, 4, 5]);
    assert_eq!(extents(&Conv1d::new("c", 3, 5, 4).padding(ConvolutionPadding::Same), &[2, 3, 9]), [2, 5, 9]);
    assert_eq!(extents(&Conv3d::new("c", 3, 5, [1, 2, 3]).stride([1, 2, 1]), &[3, 4, 6, 8]), [5, 4, 3, 6]);
    for mode in [PadMode::Constant(0.0), PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        let same = Conv2d::new("c", 3, 5, [2, 3]).dilation(2).padding(ConvolutionPadding::Same).padding_mode(mode);
        assert_eq!(extents(&same, &[2, 3, 7, 9]), [2, 5, 7, 9]);
        let numbers = Conv2d::new("c", 3, 5, [2, 3]).stride(2).padding([1, 2]).padding_mode(mode);
        assert_eq!(extents(&numbers, &[2, 3, 7, 9]), [2, 5, 4, 6]);
    }
    let up = ConvTranspose2d::new("u", 3, 6, 3).stride(2).padding(1).output_padding(1);
    assert_eq!(extents(&up, &[3, 7, 5]), [6, 14, 10]);
    assert_eq!(extents(&InstanceNorm2d::new("n", 3).affine(), &[3, 7, 5]), [3, 7, 5]);
    assert_eq!(extents(&MaxPool2d::new(3).stride(2).padding(1), &[2, 3, 7, 5]), [2, 3, 4, 3]);
    assert_eq!(extents(&AdaptiveAvgPool2d::new([1, 2]), &[2, 3, 7, 5]), [2, 3, 1, 2]);
    assert_eq!(extents(&Dropout2d::new(0.5), &[2, 3, 7, 5]), [2, 3, 7, 5]);
    let widened = Residual::new(Conv2d::new("c", 3, 5, 3).padding(1)).shortcut(Conv2d::new("s", 3, 5, 1));
    assert_eq!(extents(&widened, &[2, 3, 7, 5]), [2, 5, 7, 5]);
    assert_eq!(extents(&None::<Linear>, &[2, 3]), [2, 3]);
}

#[test]
fn a_sequence_names_its_places_and_tells_its_layers() {
    let inner = |name: &str| Sequential::new(name).layer(|name| Linear::new(name, 4, 4)).then(Activation::relu());
    let net = Sequential::new("net")
        .named("first", |name| Linear::new(name, 3, 4))
        .then(Dropout::new(0.1))
        .layer(|name| inner(&name));
    let g = Graph::new();
    let y = net.clone().apply(g.input("x", [2, 3]), Phase::Evaluation);
    assert!(g.declaration_named("net.first.weight").is_some() && g.declaration_named("net.2.0.bias").is_some());
    assert_eq!((net.len(), net.layers().count(), y.shape().unwrap().to_vec()), (3, 3, vec![2, 4]));
    let told: Vec<String> = g
        .layers()
        .into_iter()
        .map(|layer| format!("{}{} {}", "  ".repeat(layer.depth), layer.kind, layer.name).trim_end().to_owned())
        .collect();
    let expected = [
        "Sequential net",
        "  Linear(3, 4) net.first",
        "  Dropout(0.1)",
        "  Sequential net.2",
        "    Linear(4, 4) net.2.0",
        "    ReLU",
    ];
    assert_eq!(told, expected);
}

#[test]
fn running_statistics_are_updates_of_training_alone() {
    let norm = BatchNorm::new("bn", 4);
    let g = Graph::new();
    let x = g.input("x", [3, 4]);
    let _ = norm.apply(x, Phase::Evaluation);
    assert_eq!(g.updates(), []);
    let _ = norm.apply(x, Phase::Training);
    let once = g.updates();
    let _ = norm.apply(x + 1.0, Phase::Training);
    let twice = g.updates();
    assert_eq!((once.len(), twice.len()), (3, 3));
    // The second is built on the first.
    for ((state, first), (same, second)) in once.iter().zip(&twice) {
        assert_eq!(state, same);
        let (mut waiting, mut seen) = (vec![*second], HashSet::new());
        while let Some(node) = waiting.pop() {
            if seen.insert(node) {
                waiting.extend(g.node(node).unwrap().op.operands());
            }
        }
        assert!(first != second && seen.contains(first), "{}", g.display(&[g.expr(*second)]));
    }
    let _ = InstanceNorm1d::new("in", 4).apply(g.input("y", [3, 4, 5]), Phase::Training);
    assert_eq!(g.updates().len(), 3);
}

#[test]
fn mistakes_are_told_in_the_layers_words_at_the_callers_line() {
    let line = line!() + 1;
    let error = refused(|g| Linear::new("fc", 3, 5).apply(g.input("x", [2, 4]))).to_string();
    assert!(error.contains(&format!("nn.rs:{line}: Linear: ")) && error.contains("(4 != 3)"), "{error}");
    let net = Sequential::new("s").layer(|name| Linear::new(name, 3, 5));
    let line = line!() + 1;
    let error = refused(|g| net.apply(g.input("x", [2, 4]), Phase::Training));
    assert!(error.to_string().contains(&format!("nn.rs:{line}: Linear: ")), "{error}");

    let says = |error: GraphError, parts: &[&str]| {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
    };
    let i32s = |g: &Graph| g.input_of("i", [2, 4], DType::I32).id().unwrap();
    says(refused(|g| Linear::new("fc", 4, 5).apply(g.expr(i32s(g)))), &["Linear: \"i\" is i32, but a float"]);
    says(refused(|g| Conv2d::new("c", 3, 5, 3).apply(g.input("x", [2, 4, 9, 9]))), &["Conv2d", "4"]);
    says(
        refused(|g| Conv2d::new("c", 3, 5, 3).groups(2).apply(g.input("x", [2, 4, 9, 9]))),
        &["2 groups do not divide the 3 channels of \"c.weight\""],
    );
    says(
        refused(|g| ConvTranspose2d::new("c", 3, 5, 3).groups(0).apply(g.input("x", [2, 3, 9, 9]))),
        &["0 groups do not divide the 5 features of \"c.weight\""],
    );
    let norm =
        |g: &Graph, shape: &[usize]| BatchNorm::new("b", 4).apply(g.input("x", shape.to_vec()), Phase::Training).id();
    for (shape, parts) in [
        (&[3, 5][..], ["BatchNorm", "(5 != 4)"]),
        (&[4], ["BatchNorm", "rank 2 or more"]),
        (&[1, 4, 1], ["BatchNorm", "number of elements of each channel is 1"]),
    ] {
        says(refused(|g| norm(g, shape).map_or(g.expr(i32s(&Graph::new())), |id| g.expr(id))), &parts);
    }
    says(
        refused(|g| InstanceNorm2d::new("b", 4).apply(g.input("x", [4, 9]), Phase::Training)),
        &["rank 4, or 3 without"],
    );
    says(refused(|g| InstanceNorm1d::new("b", 4).apply(g.input("x", [2, 4, 1]), Phase::Training)), &["channel is 1"]);
    says(
        refused(|g| LayerNorm::new("ln", [4, 3]).apply(g.input("x", [2, 3, 4]))),
        &["LayerNorm", "[2, 3, 4]", "[4, 3]"],
    );
    says(refused(|g| RmsNorm::new("n", []).apply(g.input("x", [2]))), &["RmsNorm", "[2]", "[]"]);
    says(refused(|g| GroupNorm::new("gn", 3, 4).apply(g.input("x", [2, 4]))), &["GroupNorm", "groups is 3"]);
    says(refused(|g| Dropout::new(1.5).apply(g.input("x", [2, 4]), Phase::Evaluation)), &["Dropout", "1.5"]);
    says(refused(|g| Dropout2d::new(-0.5).apply(g.input("x", [2, 4, 4]), Phase::Evaluation)), &["Dropout2d", "-0.5"]);
    says(refused(|g| Dropout2d::new(0.5).apply(g.input("x", [2, 4]), Phase::Training)), &["Dropout2d", "rank 3 or 4"]);
    says(refused(|g| Embedding::new("e", 5, 2).apply(g.input("x", [2]))), &["Embedding", "i32"]);
    says(refused(|g| Embedding::new("e", 5, 2).dtype(DType::I32).apply(g.expr(i32s(g)))), &["Embedding", "a float"]);
    for padding in [5, -6, isize::MIN] {
        let parts = ["Embedding", "the padding", "an index of the table"];
        says(refused(|g| Embedding::new("e", 5, 2).padding(padding).apply(g.expr(i32s(g)))), &parts);
    }
}

#[test]
fn first_values_are_those_of_pytorchs_modules() {
    let g = Graph::new();
    let init = |name: &str| match g.declaration_named(name).unwrap_or_else(|| panic!("{name}")).kind {
        arenagrad_graph::DeclarationKind::Parameter { init, .. } => init,
        arenagrad_graph::DeclarationKind::Input => panic!("{name} is an input"),
    };
    let _ = Conv2d::new("c", 4, 6, 3).groups(2).apply(g.input("x", [1, 4, 9, 9]));
    let _ = ConvTranspose2d::new("u", 4, 6, 3).groups(2).apply(g.input("y", [1, 4, 9, 9]));
    let _ = Embedding::new("e", 7, 3).padding(-1).apply(g.input_of("i", [2], DType::I32));
    let bound = 1.0 / 18.0f64.sqrt();
    assert_eq!(init("c.bias"), Init::Uniform { low: -bound, high: bound });
    let bound = 1.0 / 27.0f64.sqrt();
    assert_eq!(init("u.bias"), Init::Uniform { low: -bound, high: bound });
    let others = Box::new(Init::Normal { mean: 0.0, deviation: 1.0 });
    assert_eq!(init("e.weight"), Init::ZeroRow { row: 6, others });
    g.check().unwrap();
}
