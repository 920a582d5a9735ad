//! Layers that stand for operators, and tables and products that have operators of their own: keys, shapes, tables and what they refuse.

use arenagrad_graph::nn::{
    Activation, AdaptiveLogSoftmaxWithLoss, Bilinear, ChannelShuffle, EmbeddingBag, Fold, Layer, LocalResponseNorm,
    LpPool1d, LpPool2d, LpPool3d, Pad1d, Pad2d, Pad3d, Phase, PixelShuffle, PixelUnshuffle, RRelu, Sequential, Unfold,
};
use arenagrad_graph::{BagMode, DType, DeclarationKind, Expr, Graph, Init, PadMode};

/// What a table calls a layer, and the extents of what it gives.
fn told(layer: &dyn Layer, shape: &[usize]) -> (String, Vec<usize>) {
    let g = Graph::new();
    let y = layer.forward(g.input("x", shape.to_vec()), Phase::Training);
    let extents = y.shape().unwrap_or_else(|error| panic!("{error}")).to_vec();
    (g.layers()[0].kind.clone(), extents)
}

#[test]
fn kinds_and_shapes() {
    let image = [2, 4, 6, 8];
    let cases: Vec<(Box<dyn Layer>, &str, Vec<usize>)> = vec![
        (Box::new(PixelShuffle::new(2)), "PixelShuffle(2)", vec![2, 1, 12, 16]),
        (Box::new(PixelUnshuffle::new(2)), "PixelUnshuffle(2)", vec![2, 16, 3, 4]),
        (Box::new(ChannelShuffle::new(2)), "ChannelShuffle(2)", image.to_vec()),
        (
            Box::new(Unfold::new([3, 2]).stride(2).padding([1, 0])),
            "Unfold(3x2, stride 2, padding 1x0)",
            vec![2, 24, 12],
        ),
        (Box::new(Unfold::new(2).dilation([1, 3])), "Unfold(2x2, dilation 1x3)", vec![2, 16, 25]),
        (Box::new(LpPool2d::new(3.0, [3, 2]).stride(2)), "LPPool2d(3, 3x2, stride 2)", vec![2, 4, 2, 4]),
        (Box::new(LpPool2d::new(2.0, 4).ceil_mode(true)), "LPPool2d(2, 4)", vec![2, 4, 2, 2]),
        (Box::new(LocalResponseNorm::new(5).alpha(1.0).beta(0.5).k(2.0)), "LocalResponseNorm(5)", image.to_vec()),
        (Box::new(Pad1d::zero(3)), "ZeroPad1d(3)", vec![2, 4, 6, 14]),
        (Box::new(Pad2d::reflection(1)), "ReflectionPad2d(1)", vec![2, 4, 8, 10]),
        (Box::new(Pad2d::replication([(1, 0), (0, 2)])), "ReplicationPad2d([(1, 0), (0, 2)])", vec![2, 4, 7, 10]),
        (Box::new(Pad2d::constant(-1, 0.5)), "ConstantPad2d(-1, 0.5)", vec![2, 4, 4, 6]),
        (Box::new(Pad3d::circular(2)), "CircularPad3d(2)", vec![2, 8, 10, 12]),
        (Box::new(Pad2d::new(1, PadMode::Constant(-0.0))), "ZeroPad2d(1)", vec![2, 4, 8, 10]),
        (Box::new(RRelu::default().bounds(0.25, 0.5)), "RReLU(0.25, 0.5)", image.to_vec()),
        (Box::new(Activation::softmin(1)), "Softmin(1)", image.to_vec()),
        (Box::new(Activation::hardshrink(0.5)), "Hardshrink(0.5)", image.to_vec()),
        (Box::new(Activation::softshrink(0.5)), "Softshrink(0.5)", image.to_vec()),
        (Box::new(Activation::tanhshrink()), "Tanhshrink", image.to_vec()),
        (Box::new(Activation::threshold(0.5, 2.0)), "Threshold(0.5, 2)", image.to_vec()),
    ];
    for (layer, kind, extents) in cases {
        assert_eq!(told(&*layer, &image), (kind.to_owned(), extents));
    }
    assert_eq!(told(&Fold::new([4, 5], 2), &[2, 12, 12]), ("Fold(4x5, 2x2)".to_owned(), vec![2, 3, 4, 5]));
    assert_eq!(told(&LpPool1d::new(2.0, 2), &[4, 6]).1, [4, 3]);
    assert_eq!(told(&LpPool3d::new(2.0, 2), &[4, 6, 6, 4]).1, [4, 3, 3, 2]);
    // As other layers, they stand in a sequence and take their places there.
    let net = Sequential::new("net").then(Pad2d::reflection(1)).then(PixelUnshuffle::new(2)).layer(|name| {
        assert_eq!(name, "net.2");
        LocalResponseNorm::new(3)
    });
    assert_eq!(told(&net, &image), ("Sequential".to_owned(), vec![2, 16, 4, 5]));
}

#[test]
fn keys_and_first_values_are_those_of_pytorch() {
    let g = Graph::new();
    let (x, i) = (g.input("x", [3, 4]), g.input_of("i", [3, 2], DType::I32));
    let _ = Bilinear::new("b", 4, 4, 5).apply(x, x);
    let _ = EmbeddingBag::new("e", 7, 3).padding(-1).apply(i);
    let _ = AdaptiveLogSoftmaxWithLoss::new("s", 4, 10, [2, 5]).log_prob(x);
    let _ = AdaptiveLogSoftmaxWithLoss::new("t", 4, 10, [2]).head_bias().div_value(2.0).log_prob(x);
    let told: Vec<String> =
        g.declarations()[2..].iter().map(|one| format!("{} {}{}", one.name, one.storage, one.shape)).collect();
    let expected = [
        "b.bias f32[5]",
        "b.weight f32[5, 4, 4]",
        "e.weight f32[7, 3]",
        "s.head.weight f32[4, 4]",
        "s.tail.0.0.weight f32[1, 4]",
        "s.tail.0.1.weight f32[3, 1]",
        "s.tail.1.0.weight f32[0, 4]",
        "s.tail.1.1.weight f32[5, 0]",
        "t.head.weight f32[3, 4]",
        "t.head.bias f32[3]",
        "t.tail.0.0.weight f32[2, 4]",
        "t.tail.0.1.weight f32[8, 2]",
    ];
    assert_eq!(told, expected);
    let init = |name: &str| match g.declaration_named(name).unwrap_or_else(|| panic!("{name}")).kind {
        DeclarationKind::Parameter { init, .. } => init,
        DeclarationKind::Input => panic!("{name} is an input"),
    };
    assert_eq!(init("b.weight"), Init::Uniform { low: -0.5, high: 0.5 });
    assert_eq!(init("b.bias"), Init::Uniform { low: -0.5, high: 0.5 });
    let others = Box::new(Init::Normal { mean: 0.0, deviation: 1.0 });
    assert_eq!(init("e.weight"), Init::ZeroRow { row: 6, others });
    assert_eq!(g.layers()[1].kind, "EmbeddingBag(7, 3, mean)");
    assert_eq!(g.layers()[2].kind, "AdaptiveLogSoftmaxWithLoss(4, 10, [2, 5])");
    g.check().unwrap();
}

#[test]
fn mistakes_are_told_in_the_layers_words_at_the_callers_line() {
    #[track_caller]
    fn says(build: impl for<'g> Fn(&'g Graph) -> Expr<'g>, parts: &[&str]) {
        let g = Graph::new();
        let error = build(&g).id().map(|_| ()).and(g.check()).expect_err("a mistake");
        let line = std::panic::Location::caller().line();
        let text = error.to_string();
        for part in parts.iter().map(|part| (*part).to_owned()).chain([format!("nn_operators.rs:{line}: {}", parts[0])])
        {
            assert!(text.contains(&part), "{text:?} does not say {part:?}");
        }
        assert!(g.layers().is_empty(), "a refused layer was noted");
    }
    says(|g| PixelShuffle::new(2).apply(g.input("x", [1, 3, 4, 4])), &["PixelShuffle: ", "the factor is 2"]);
    says(|g| PixelUnshuffle::new(3).apply(g.input("x", [1, 3, 4, 4])), &["PixelUnshuffle: ", "the factor is 3"]);
    says(|g| ChannelShuffle::new(2).apply(g.input("x", [1, 3, 4, 4])), &["ChannelShuffle: ", "groups is 2"]);
    says(|g| Unfold::new(9).apply(g.input("x", [1, 3, 4, 4])), &["Unfold: ", "9"]);
    says(|g| Fold::new(4, 2).apply(g.input("x", [1, 8, 4])), &["Fold: ", "9"]);
    says(|g| LpPool2d::new(0.0, 2).apply(g.input("x", [1, 3, 4, 4])), &["LpPool2d: ", "p is 0"]);
    says(|g| Pad2d::reflection(4).apply(g.input("x", [1, 3, 4, 4])), &["Pad2d: ", "the padding is 4"]);
    says(|g| Pad3d::zero(4).apply(g.input("x", [3, 4])), &["Pad3d: ", "rank 3 or more"]);
    says(|g| LocalResponseNorm::new(0).apply(g.input("x", [1, 3, 4])), &["LocalResponseNorm: ", "the size is 0"]);
    says(|g| LocalResponseNorm::new(3).apply(g.input("x", [3, 4])), &["LocalResponseNorm: ", "rank 3 or more"]);
    let rrelu = RRelu::new();
    for phase in [Phase::Training, Phase::Evaluation] {
        says(|g| rrelu.bounds(0.5, 0.25).apply(g.input("x", [3]), phase), &["RRelu: ", "the upper bound is 0.25"]);
        says(|g| rrelu.bounds(f64::NAN, 0.25).apply(g.input("x", [3]), phase), &["RRelu: ", "the lower bound is NaN"]);
        says(|g| rrelu.apply(g.input_of("x", [3], DType::I32), phase), &["RRelu: ", "a float"]);
    }
    let score = Bilinear::new("b", 3, 4, 5);
    says(|g| score.apply(g.input("x", [2, 4]), g.input("y", [2, 4])), &["Bilinear: ", "(4 != 3)"]);
    says(|g| score.apply(g.input("x", [2, 3]), g.input("y", [3, 4])), &["Bilinear: ", "[3, 4]"]);
    says(|g| score.apply(g.input_of("x", [2, 3], DType::I32), g.input("y", [2, 4])), &["Bilinear: ", "a float"]);
    let bag = EmbeddingBag::new("e", 5, 2);
    let i32s = |g: &Graph, shape: &[usize]| g.input_of("i", shape.to_vec(), DType::I32).id().expect("an input");
    says(|g| bag.apply(g.input("x", [2, 3])), &["EmbeddingBag: ", "i32"]);
    says(|g| bag.apply(g.expr(i32s(g, &[4]))), &["EmbeddingBag: ", "rank 2 without offsets"]);
    says(|g| bag.apply_bags(g.expr(i32s(g, &[4])), Some(&[1]), None), &["EmbeddingBag: ", "the first offset is 1"]);
    says(|g| bag.clone().padding(5).apply(g.expr(i32s(g, &[2, 3]))), &["EmbeddingBag: ", "the padding is 5"]);
    says(|g| bag.clone().dtype(DType::I32).apply(g.expr(i32s(g, &[2, 3]))), &["EmbeddingBag: ", "\"e.weight\" is i32"]);
    let max = bag.clone().mode(BagMode::Max);
    says(|g| max.apply_bags(g.expr(i32s(g, &[2, 3])), None, Some(g.input("w", [2, 3]))), &["EmbeddingBag: ", "a sum"]);
    let softmax = |cutoffs: &[usize]| AdaptiveLogSoftmaxWithLoss::new("s", 4, 10, cutoffs.to_vec());
    let name = "AdaptiveLogSoftmaxWithLoss: ";
    says(|g| softmax(&[]).log_prob(g.input("x", [2, 4])), &[name, "the number of cutoffs is 0"]);
    for (cutoffs, refused) in [(&[0][..], 0), (&[10], 10), (&[4, 4], 4), (&[4, 2], 2)] {
        says(|g| softmax(cutoffs).log_prob(g.input("x", [2, 4])), &[name, &format!("a cutoff is {refused}")]);
    }
    says(|g| softmax(&[2]).div_value(0.0).log_prob(g.input("x", [2, 4])), &[name, "div_value is 0"]);
    says(|g| softmax(&[2]).log_prob(g.input("x", [2, 5])), &[name, "(5 != 4)"]);
    says(|g| softmax(&[2]).apply(g.input("x", [2, 4]), g.input("labels", [2])).1, &[name, "i32"]);
    says(|g| softmax(&[2]).apply(g.input("x", [2, 4]), g.expr(i32s(g, &[3]))).1, &[name, "[3, 1]"]);
}
