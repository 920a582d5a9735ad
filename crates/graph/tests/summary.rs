//! Networks as tables and drawings.

use arenagrad_graph::nn::{
    Activation, BatchNorm, Conv2d, Dropout, Flatten, Layer, Linear, Phase, Residual, Sequential, Summary,
};
use arenagrad_graph::{DType, Graph, GraphError, Init};

fn block(name: &str, channels: usize) -> Residual {
    let conv = |name: String| Conv2d::new(name, channels, channels, 3).padding(1).without_bias();
    Residual::new(
        Sequential::new(name)
            .layer(conv)
            .layer(|name| BatchNorm::new(name, channels))
            .then(Activation::relu())
            .layer(conv),
    )
}

fn network() -> Sequential {
    Sequential::new("")
        .layer(|name| Conv2d::new(name, 1, 8, 3).stride(2).padding(1))
        .layer(|name| block(&name, 8))
        .then(Dropout::new(0.5))
        .then(Flatten::new())
        .named("head", |name| Linear::new(name, 8 * 7 * 7, 10))
}

/// What stands between tags of text, in order.
fn texts(svg: &str) -> Vec<&str> {
    svg.split("<text")
        .skip(1)
        .filter_map(|text| text.split_once('>')?.1.split_once('<'))
        .map(|(text, _)| text)
        .collect()
}

#[test]
fn the_table_of_a_network() {
    let summary = Summary::of(|g| network().apply(g.input("x", [1, 1, 14, 14]), Phase::Evaluation)).unwrap();
    let expected = "\
layer      kind                                    output        parameters  states
           Sequential                              [1, 10]
  0        Conv2d(1, 8, 3x3, stride 2, padding 1)  [1, 8, 7, 7]          80
           Residual                                [1, 8, 7, 7]
    1      Sequential                              [1, 8, 7, 7]
      1.0  Conv2d(8, 8, 3x3, padding 1)            [1, 8, 7, 7]         576
      1.1  BatchNorm(8)                            [1, 8, 7, 7]          16      17
           ReLU                                    [1, 8, 7, 7]
      1.3  Conv2d(8, 8, 3x3, padding 1)            [1, 8, 7, 7]         576
           Dropout(0.5)                            [1, 8, 7, 7]
           Flatten                                 [1, 392]
  head     Linear(392, 10)                         [1, 10]            3,930
5,178 trainable numbers, 17 of states: 20,784 bytes
";
    assert_eq!(summary.to_string(), expected);
    let listed = summary.parameter_table();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 1 + summary.parameters().len());
    assert_eq!(lines[1], "0.weight                 f32[8, 1, 3, 3]        72");
    assert!(listed.contains("1.1.num_batches_tracked  i64[]                   1  state"), "{listed}");
}

#[test]
fn what_is_shared_is_counted_once_and_what_no_layer_has_is_listed() {
    let summary = Summary::of(|g| {
        let (x, layer) = (g.input_of("x", [2, 5], DType::F64), Linear::new("l", 5, 5));
        let scale = g.parameter_of("scale", [5], DType::F64, Init::Constant(1.0));
        let _ = g.state("seen", [], DType::I32, Init::Constant(0.0));
        layer.apply(layer.apply(x) * scale) + x
    });
    let expected = "\
layer  kind          output       parameters  states
l      Linear(5, 5)  [2, 5]               30
l      Linear(5, 5)  [2, 5]           shared
scale  f64[5]        of no layer           5
seen   i32[]         of no layer                   1
35 trainable numbers, 1 of states: 284 bytes
";
    let summary = summary.unwrap();
    assert_eq!(summary.to_string(), expected);
    assert_eq!((summary.trainable(), summary.states(), summary.bytes()), (35, 1, 284));
}

#[test]
fn a_drawing_has_a_box_for_each_layer_and_an_arrow_around_what_is_passed() {
    let summary = Summary::of(|g| network().apply(g.input("x<0>", [1, 1, 14, 14]), Phase::Training)).unwrap();
    let svg = summary.to_svg();
    let expected = [
        "x&lt;0&gt;",
        "[1, 1, 14, 14]",
        "0",
        "Conv2d(1, 8, 3x3, stride 2, padding 1)",
        "[1, 8, 7, 7] · 80 parameters",
        "1.0",
        "Conv2d(8, 8, 3x3, padding 1)",
        "[1, 8, 7, 7] · 576 parameters",
        "1.1",
        "BatchNorm(8)",
        "[1, 8, 7, 7] · 16 parameters",
        "ReLU",
        "[1, 8, 7, 7]",
        "1.3",
        "Conv2d(8, 8, 3x3, padding 1)",
        "[1, 8, 7, 7] · 576 parameters",
        "add",
        "[1, 8, 7, 7]",
        "Dropout(0.5)",
        "[1, 8, 7, 7]",
        "Flatten",
        "[1, 392]",
        "head",
        "Linear(392, 10)",
        "[1, 10] · 3,930 parameters",
    ];
    assert_eq!(texts(&svg), expected);
    // One arrow from each of the nine boxes to the next, and the one around the block.
    assert_eq!(svg.matches("marker-end").count(), 10, "{svg}");

    let whole = summary.to_svg_of_depth(0);
    assert_eq!(texts(&whole), ["x&lt;0&gt;", "[1, 1, 14, 14]", "Sequential", "[1, 10] · 5,178 parameters"]);
    let outer = summary.to_svg_of_depth(1);
    assert_eq!(texts(&outer)[5..7], ["Residual", "[1, 8, 7, 7] · 1,168 parameters"]);
    assert_eq!(outer.matches("marker-end").count(), 5, "{outer}");
}

#[test]
fn the_mistakes_of_a_network_are_those_of_its_summary() {
    let refused = Summary::of(|g| Linear::new("l", 3, 4).forward(g.input("x", [2, 5]), Phase::Training));
    assert!(matches!(refused, Err(GraphError::MatMul { .. })), "{refused:?}");
    let (one, other) = (Graph::new(), Graph::new());
    assert!(Summary::of_graph(&one, &[other.input("x", [2])]).is_err());
}

#[test]
fn a_long_network_with_many_ways_is_drawn_in_good_time() {
    let layer = Linear::new("l", 4, 4);
    let summary = Summary::of(|g| {
        let mut all = vec![g.input("x", [2, 4])];
        for _ in 0..60 {
            let sum = all.iter().skip(1).fold(all[0], |sum, one| sum + *one);
            all.push(layer.apply(sum));
        }
        all[60]
    });
    let svg = summary.unwrap().to_svg();
    assert!(svg.matches("<rect").count() > 100, "{}", svg.len());
}
