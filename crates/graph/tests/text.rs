//! The text forms of graphs, held against files under `snapshots`. After a wanted change run the tests once with
//! `UPDATE_SNAPSHOTS=1` and review the difference of the files.

use std::path::Path;

use arenagrad_graph::{CrossEntropy, DType, Dot, Expr, Gelu, Graph, Init, passes};

/// Compares with `snapshots/NAME.txt`, or rewrites it.
#[track_caller]
fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    if expected == text {
        return;
    }
    let line = expected.lines().zip(text.lines()).position(|(expected, line)| expected != line);
    let line = line.unwrap_or_else(|| expected.lines().count().min(text.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("the end").to_owned();
    panic!(
        "snapshots/{name}.txt differs in line {}:\n  expected: {}\n  found:    {}\n\nthe whole text:\n{text}\n\
         If the change is wanted, run this test with UPDATE_SNAPSHOTS=1.",
        line + 1,
        at(&expected),
        at(text)
    );
}

/// The text of a network's loss and gradients.
fn network(g: &Graph) -> [Expr<'_>; 3] {
    let (x, t) = (g.input("x", [64, 784]), g.input_of("t", [64], DType::I32));
    let w = g.parameter("w", [784, 10], Init::KaimingUniform);
    let b = g.parameter("b", [10], Init::Constant(0.0));
    let logits = x.linear(w, Some(b)).named("logits");
    let loss = logits.cross_entropy(t).named("loss");
    let [dw, db] = loss.grad([w, b]).unwrap();
    [loss, dw.named("dw"), db.named("db")]
}

#[test]
fn a_network_its_gradients_and_what_the_passes_make_of_them() {
    let g = Graph::new();
    let outputs = network(&g);
    snapshot("network", &g.display(&outputs[..1]).to_string());
    snapshot("network_gradients", &g.display(&outputs).to_string());
    let ids = outputs.map(|output| output.id().unwrap());
    let optimised = passes::optimise(&g, &ids).unwrap();
    snapshot("network_optimised", &optimised.graph.display_nodes(&optimised.outputs).to_string());
}

#[test]
fn every_attribute_is_printed() {
    let g = Graph::new();
    let x = g.input("x", [2, 3]);
    let i = g.iota([2, 3], 1).named("coordinate");
    let outputs = [
        x.permute([1, 0]),
        x.slice_step(1, 0, 3, 2),
        x.pad([(0, 1), (2, 0)], -0.5),
        g.concat(&[x, x], -1),
        x.max_keepdims([0, 1]),
        x.argmax(1),
        x.matmul_with(x, true, false),
        x.gather(1, i),
        x.scatter_add(1, i, x),
        g.uniform([3], g.step(), 7),
        g.literal([2], [true, false]),
        x.less(0.5).where_(x, x.cast(DType::F64).cast(DType::F32)),
        x.broadcast_to([4, 2, 3]),
        x.stop_gradient().reshape([6]),
    ];
    snapshot("attributes", &g.display(&outputs).to_string());
    snapshot("attributes_dot", &Dot::of(&g, &outputs).to_string());
}

#[test]
fn compositions_read_like_their_formulas() {
    let g = Graph::new();
    let x = g.input("x", [4, 3]);
    let labels = g.input_of("labels", [4], DType::I32);
    let weight = g.parameter("weight", [3], Init::Constant(1.0));
    let options = CrossEntropy { weight: Some(weight), ignore_index: Some(-100), ..CrossEntropy::default() };
    for (name, output) in [
        ("softmax", x.softmax(1)),
        ("gelu", x.gelu(Gelu::Erf)),
        ("layer_norm", x.layer_norm(1, Some(weight), None, 1e-5)),
        ("cross_entropy_weighted", x.cross_entropy_with(labels, options)),
        ("dropout", x.dropout(0.5, g.step(), 1)),
    ] {
        snapshot(name, &g.display(&[output]).to_string());
    }
}

#[test]
fn names_that_are_not_words_or_not_unique_are_quoted_and_numbered() {
    let g = Graph::new();
    let x = g.input("a name", [1]);
    let (y, z) = (x.exp().named("twice"), x.sin().named("twice"));
    let sum = (y + z).named("the \"sum\"");
    let expected = "\"a name\"%0 = input : f32[1]\n\
                    \"twice\"%1 = exp(\"a name\"%0) : f32[1]\n\
                    \"twice\"%2 = sin(\"a name\"%0) : f32[1]\n\
                    \"the \\\"sum\\\"\"%3 = add(\"twice\"%1, \"twice\"%2) : f32[1]\n";
    assert_eq!(g.to_string(), expected);
    let dot = Dot::new(&g).to_string();
    assert!(dot.contains(r#"[label = "the \"sum\"\nadd\nf32[1]""#), "{dot}");
    assert!(g.display(&[sum]).to_string().ends_with("return \"the \\\"sum\\\"\"%3\n"));
}

#[test]
fn origins_are_printed_on_demand_and_without_directories() {
    let g = Graph::new();
    let (x, line) = (g.input("x", []), line!());
    let text = g.display(&[x]).with_origins().to_string();
    assert_eq!(text, format!("x = input : f32[]  // text.rs:{line}\nreturn x\n"));
}

#[test]
fn poisoned_outputs_are_left_out() {
    let g = Graph::new();
    let x = g.input("x", [2]);
    assert_eq!(g.display(&[x.reshape([3]), x]).to_string(), "x = input : f32[2]\nreturn x\n");
    assert_eq!(g.display(&[]).to_string(), "return \n");
    assert_eq!(Graph::new().to_string(), "");
}

#[test]
fn outputs_that_are_stale_or_of_another_graph_are_left_out() {
    let (g, other) = (Graph::new(), Graph::new());
    let x = g.input("x", [2]);
    let foreign = other.input("x", [2]);
    let mark = g.mark();
    let outputs = [foreign, x, x.exp()];
    // What is printed becomes stale before it is.
    let (listing, drawing, by_id) =
        (g.display(&outputs), Dot::of(&g, &outputs), g.display_nodes(&[foreign.id().unwrap(), x.id().unwrap()]));
    g.rewind(mark).unwrap();
    let text = "x = input : f32[2]\nreturn x\n";
    assert_eq!((listing.to_string(), by_id.to_string()), (text.to_owned(), text.to_owned()));
    assert_eq!(drawing.to_string(), Dot::of(&g, &[x]).to_string());
    assert_eq!(g.display(&[foreign]).to_string(), "return \n");
    assert_eq!(g.display_nodes(&[foreign.id().unwrap()]).to_string(), "return \n");
}
