//! Attention and rotary positions, called with something wrong: what the messages say.

use arenagrad_graph::{Attention, DType, Graph, GraphError, RotaryEmbedding, RotaryScaling};

const GROUPED: Attention = Attention { is_causal: false, scale: None, enable_gqa: true };

/// The message of the graph's mistake without its place; the graph holds nothing but its declarations.
fn message(g: &Graph, declared: usize) -> String {
    let error = g.take_error().expect("a mistake").to_string();
    assert_eq!(g.len(), declared, "a refused call leaves nothing behind");
    let (origin, text) = error.split_once(": ").expect("an origin");
    assert!(origin.contains("messages_attention.rs"), "{origin}");
    text.to_owned()
}

#[test]
fn operands_that_do_not_fit() {
    let g = Graph::new();
    let (q, k, v) = (g.input("q", [2, 4, 3, 8]), g.input("k", [2, 4, 5, 8]), g.input("v", [2, 4, 5, 6]));
    let (short, narrow) = (g.input("short", [2, 4, 4, 6]), g.input("narrow", [2, 4, 5, 7]));
    let (three, other) = (g.input("three", [2, 3, 5, 8]), g.input("other", [3, 4, 5, 6]));
    let (row, whole) = (g.input("row", [8]), g.input_of("whole", [2, 4, 5, 8], DType::I32));
    let double = g.input_of("double", [2, 4, 5, 6], DType::F64);
    let count = g.len();
    let plain = Attention::default();
    let op = "scaled_dot_product_attention";
    let _ = q.scaled_dot_product_attention(narrow, v, None, plain);
    let expected = "extents differ along axis 3: \"q\" is [2, 4, 3, 8], \"narrow\" is [2, 4, 5, 7] (8 != 7)";
    assert_eq!(message(&g, count), format!("{op}: {expected}"));
    let _ = q.scaled_dot_product_attention(k, short, None, plain);
    let expected = "extents differ along axis 2: \"k\" is [2, 4, 5, 8], \"short\" is [2, 4, 4, 6] (5 != 4)";
    assert_eq!(message(&g, count), format!("{op}: {expected}"));
    let _ = q.scaled_dot_product_attention(k, other, None, plain);
    let expected = "shapes do not broadcast: lhs \"q\" is [2, 4, 3, 8], rhs \"other\" is [3, 4, 5, 6] (2 != 3)";
    assert_eq!(message(&g, count), format!("{op}: {expected}"));
    let _ = q.scaled_dot_product_attention(three, three, None, GROUPED);
    let expected = "the 4 heads of \"q\" ([2, 4, 3, 8]) are no multiple of the 3 heads of \"three\" ([2, 3, 5, 8])";
    assert_eq!(message(&g, count), format!("{op}: {expected}"));
    let _ = q.scaled_dot_product_attention(three, v, None, GROUPED);
    let expected = "extents differ along axis 1: \"three\" is [2, 3, 5, 8], \"v\" is [2, 4, 5, 6] (3 != 4)";
    assert_eq!(message(&g, count), format!("{op}: {expected}"));
    let _ = row.scaled_dot_product_attention(k, v, None, plain);
    assert_eq!(message(&g, count), format!("{op}: \"row\" of shape [8] has rank 1, but rank 2 or more is needed"));
    let _ = q.scaled_dot_product_attention(whole, v, None, plain);
    assert_eq!(
        message(&g, count),
        format!("{op}: \"whole\" is i32, but a float is needed (cast it: .cast(DType::F32))")
    );
    let _ = q.scaled_dot_product_attention(k, double, None, plain);
    let expected = "dtypes differ: \"q\" is f32, \"double\" is f64; cast one of them";
    assert_eq!(message(&g, count), format!("{op}: {expected}"));
    let elsewhere = Graph::new();
    let _ = q.scaled_dot_product_attention(k, elsewhere.input("v", [2, 4, 5, 6]), None, plain);
    assert!(matches!(g.take_error(), Some(GraphError::ForeignNode { .. })));
}

#[test]
fn masks_that_do_not_fit() {
    let g = Graph::new();
    let (q, k, v) = (g.input("q", [2, 4, 3, 8]), g.input("k", [2, 4, 5, 8]), g.input("v", [2, 4, 5, 6]));
    let (turned, whole) = (g.input("turned", [5, 3]), g.input_of("whole", [3, 5], DType::I32));
    let deep = g.input_of("deep", [1, 2, 4, 3, 5], DType::Bool);
    let count = g.len();
    let op = "scaled_dot_product_attention";
    let _ = q.scaled_dot_product_attention(k, v, Some(turned), Attention::default());
    assert_eq!(message(&g, count), format!("{op}: \"turned\" of shape [5, 3] does not broadcast to [2, 4, 3, 5]"));
    let _ = q.scaled_dot_product_attention(k, v, Some(deep), Attention::default());
    assert_eq!(
        message(&g, count),
        format!("{op}: \"deep\" of shape [1, 2, 4, 3, 5] does not broadcast to [2, 4, 3, 5]")
    );
    let _ = q.scaled_dot_product_attention(k, v, Some(whole), Attention::default());
    assert_eq!(message(&g, count), format!("{op}: dtypes differ: \"q\" is f32, \"whole\" is i32; cast one of them"));
}

#[test]
fn rotary_positions() {
    let g = Graph::new();
    let (x, odd, row) = (g.input("x", [2, 3, 4]), g.input("odd", [3, 5]), g.input("row", [4]));
    let (positions, truth) = (g.input_of("positions", [2], DType::I32), g.input_of("truth", [3], DType::Bool));
    let count = g.len();
    let options = RotaryEmbedding::default();
    let _ = odd.rotary_embedding(None, options);
    assert_eq!(message(&g, count), "rotary_embedding: the last extent is 5, but an even number is needed");
    let _ = row.rotary_embedding(None, options);
    assert_eq!(message(&g, count), "rotary_embedding: \"row\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = x.rotary_embedding(Some(positions), options);
    assert_eq!(message(&g, count), "rotary_embedding: \"positions\" of shape [2] does not broadcast to [2, 3]");
    let _ = x.rotary_embedding(Some(truth), options);
    assert_eq!(
        message(&g, count),
        "rotary_embedding: \"truth\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))"
    );
    let _ = x.rotary_embedding(None, RotaryEmbedding { theta: -1.0, ..options });
    assert_eq!(message(&g, count), "rotary_embedding: theta is -1, but a positive number is needed");
    let _ = x.rotary_embedding(None, RotaryEmbedding { scaling: RotaryScaling::Linear { factor: 0.0 }, ..options });
    assert_eq!(
        message(&g, count),
        "rotary_embedding: the factor of a scaling is 0, but a finite number above 0 is needed"
    );
    let scaling = RotaryScaling::Llama3 {
        factor: 8.0,
        low_frequency_factor: 4.0,
        high_frequency_factor: 1.0,
        original_positions: 8192,
    };
    let _ = x.rotary_embedding(None, RotaryEmbedding { scaling, ..options });
    let expected = "the high frequency factor is 1, but more than the low frequency factor is needed";
    assert_eq!(message(&g, count), format!("rotary_embedding: {expected}"));
}

#[test]
fn heads() {
    let g = Graph::new();
    let (x, row) = (g.input("x", [2, 5, 8]), g.input("row", [8]));
    let count = g.len();
    for (heads, message) in [
        (3, "split_heads: 3 heads do not divide the 8 features of \"x\" of shape [2, 5, 8]"),
        (0, "split_heads: 0 heads do not divide the 8 features of \"x\" of shape [2, 5, 8]"),
    ] {
        let _ = x.split_heads(heads);
        assert_eq!(self::message(&g, count), message);
    }
    let _ = row.split_heads(2);
    assert_eq!(message(&g, count), "split_heads: \"row\" of shape [8] has rank 1, but rank 2 or more is needed");
    let _ = row.merge_heads();
    assert_eq!(message(&g, count), "merge_heads: \"row\" of shape [8] has rank 1, but rank 3 or more is needed");
}
