//! Layers of sequences as graphs see them: the names, shapes and first values of their parameters, what the phase changes, and
//! what their mistakes say.

use arenagrad_graph::nn::{
    AttentionMasks, AttentionWeights, GroupedQueryAttention, Gru, GruCell, Lstm, LstmCell, MultiHeadAttention, Phase,
    Rnn, RnnCell, TransformerBlock, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder,
    TransformerEncoderLayer,
};
use arenagrad_graph::{DType, DeclarationKind, Expr, Graph, GraphError, Init, verify};

/// The parameters of a graph: names, shapes and first values.
fn parameters(g: &Graph) -> Vec<(String, Vec<usize>, Init)> {
    let of_parameters = g.declarations().into_iter().filter_map(|declaration| match declaration.kind {
        DeclarationKind::Parameter { init, trainable: true } => {
            Some((declaration.name, declaration.shape.dims().to_vec(), init))
        }
        DeclarationKind::Parameter { .. } | DeclarationKind::Input => None,
    });
    of_parameters.collect()
}

fn uniform(bound: f64) -> Init {
    Init::Uniform { low: -bound, high: bound }
}

#[test]
fn attention_declares_what_that_of_pytorch_has() {
    let g = Graph::new();
    let (x, memory) = (g.input("x", [2, 5, 8]), g.input("memory", [2, 7, 6]));
    let _ = MultiHeadAttention::new("a", 8, 2).batch_first().apply(x, AttentionMasks::none(), Phase::Training);
    let wide = MultiHeadAttention::new("b", 8, 2).key_width(6).value_width(6).batch_first();
    let _ = wide.attend(x, memory, memory, AttentionMasks::none(), Phase::Training);
    let zero = || Init::Constant(0.0);
    let expected = [
        ("a.in_proj_weight", vec![24, 8], Init::XavierUniform),
        ("a.in_proj_bias", vec![24], zero()),
        ("a.out_proj.weight", vec![8, 8], uniform(1.0 / 8f64.sqrt())),
        ("a.out_proj.bias", vec![8], zero()),
        ("b.q_proj_weight", vec![8, 8], Init::XavierUniform),
        ("b.k_proj_weight", vec![8, 6], Init::XavierUniform),
        ("b.v_proj_weight", vec![8, 6], Init::XavierUniform),
        ("b.in_proj_bias", vec![24], zero()),
        ("b.out_proj.weight", vec![8, 8], uniform(1.0 / 8f64.sqrt())),
        ("b.out_proj.bias", vec![8], zero()),
    ];
    let expected = expected.map(|(name, shape, init)| (name.to_owned(), shape, init));
    assert_eq!(parameters(&g), expected);
}

#[test]
fn projections_have_the_names_and_biases_that_were_asked_for() {
    let g = Graph::new();
    let x = g.input_of("x", [5, 8], DType::F64);
    let attention = GroupedQueryAttention::new("layer.attention", 8, 4)
        .key_value_heads(2)
        .head_width(3)
        .projections(["self.query", "self.key", "self.value", "output.dense"])
        .biases([true, false, false, true]);
    let y = attention.apply(x, AttentionMasks::causal(), Phase::Training);
    assert_eq!((y.shape().unwrap().dims(), y.dtype()), (&[5, 8][..], Ok(DType::F64)));
    let found: Vec<_> = parameters(&g).into_iter().map(|(name, shape, _)| (name, shape)).collect();
    let expected = [
        ("layer.attention.self.query.weight", vec![12, 8]),
        ("layer.attention.self.query.bias", vec![12]),
        ("layer.attention.self.key.weight", vec![6, 8]),
        ("layer.attention.self.value.weight", vec![6, 8]),
        ("layer.attention.output.dense.weight", vec![8, 12]),
        ("layer.attention.output.dense.bias", vec![8]),
    ];
    assert_eq!(found, expected.map(|(name, shape)| (name.to_owned(), shape)));
}

#[test]
fn recurrent_networks_declare_what_those_of_pytorch_have() {
    let g = Graph::new();
    let x = g.input("x", [7, 2, 3]);
    let lstm = Lstm::new("", 3, 16).layers(2).bidirectional().projection(5);
    let (outputs, (state, memory)) = lstm.apply(x, None, Phase::Evaluation);
    assert_eq!(outputs.shape().unwrap().dims(), &[7, 2, 10]);
    assert_eq!((state.shape().unwrap().dims(), memory.shape().unwrap().dims()), (&[4, 2, 5][..], &[4, 2, 16][..]));
    let found = parameters(&g);
    assert!(found.iter().all(|(_, _, init)| *init == uniform(0.25)), "{found:?}");
    let of_one = |inputs: usize, suffix: &str| {
        [
            (format!("weight_ih_{suffix}"), vec![64, inputs]),
            (format!("weight_hh_{suffix}"), vec![64, 5]),
            (format!("bias_ih_{suffix}"), vec![64]),
            (format!("bias_hh_{suffix}"), vec![64]),
            (format!("weight_hr_{suffix}"), vec![5, 16]),
        ]
    };
    let layers = [of_one(3, "l0"), of_one(3, "l0_reverse"), of_one(10, "l1"), of_one(10, "l1_reverse")];
    let found: Vec<_> = found.into_iter().map(|(name, shape, _)| (name, shape)).collect();
    assert_eq!(found, layers.concat());
}

#[test]
fn transformers_declare_what_those_of_pytorch_have() {
    let g = Graph::new();
    let (x, memory) = (g.input("x", [5, 2, 8]), g.input("memory", [7, 2, 8]));
    let decoder = TransformerDecoder::new("d", TransformerDecoderLayer::new("", 8, 2).feed_forward(6), 1).norm();
    let none = AttentionMasks::none();
    let _ = decoder.apply(x, memory, AttentionMasks::causal(), none, Phase::Training);
    let names = |g: &Graph| parameters(g).into_iter().map(|(name, _, _)| name).collect::<Vec<_>>();
    let of_attention = |name: &str| {
        ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"].map(|part| format!("{name}.{part}"))
    };
    let of_two = |name: &str| ["weight", "bias"].map(|part| format!("{name}.{part}"));
    let mut expected: Vec<String> = of_attention("d.layers.0.self_attn").into();
    expected.extend(of_two("d.layers.0.norm1"));
    expected.extend(of_attention("d.layers.0.multihead_attn"));
    expected
        .extend(["norm2", "linear1", "linear2", "norm3"].iter().flat_map(|part| of_two(&format!("d.layers.0.{part}"))));
    expected.extend(of_two("d.norm"));
    assert_eq!(names(&g), expected);

    let without = |build: &dyn for<'g> Fn(Expr<'g>) -> Expr<'g>| {
        let g = Graph::new();
        let _ = build(g.input("x", [5, 2, 8])).check().unwrap();
        names(&g)
    };
    let layer = TransformerEncoderLayer::new("", 8, 2).without_bias();
    let encoder = TransformerEncoder::new("", layer, 2).norm();
    let found = without(&|x| encoder.apply(x, AttentionMasks::none(), Phase::Training));
    assert!(found.iter().all(|name| name.ends_with("weight")), "{found:?}");
    assert_eq!((found[0].as_str(), found.len()), ("layers.0.self_attn.in_proj_weight", 2 * 6 + 1));
    let block = TransformerBlock::new("b", 8, 2).causal().norm_last();
    let layer = TransformerEncoderLayer::new("b", 8, 2).feed_forward(32).batch_first();
    let of_block = without(&|x| block.apply(x, AttentionMasks::none(), Phase::Training));
    let of_layer = without(&|x| layer.apply(x, AttentionMasks::none(), Phase::Training));
    assert_eq!(of_block, of_layer);
}

#[test]
fn a_transformer_is_noted_with_its_parts() {
    let g = Graph::new();
    let layer = TransformerEncoderLayer::new("", 8, 2).feed_forward(6);
    let _ =
        TransformerEncoder::new("e", layer, 1).apply(g.input("x", [5, 2, 8]), AttentionMasks::none(), Phase::Training);
    let found: Vec<_> = g.layers().into_iter().map(|layer| (layer.depth, layer.name, layer.kind)).collect();
    let found: Vec<_> = found.iter().map(|(depth, name, kind)| (*depth, name.as_str(), kind.as_str())).collect();
    let expected = [
        (0, "e", "TransformerEncoder(1 layers)"),
        (1, "e.layers.0", "TransformerEncoderLayer(8, 2)"),
        (2, "e.layers.0.self_attn", "MultiHeadAttention(8, 2)"),
        (3, "e.layers.0.self_attn.out_proj", "Linear(8, 8)"),
    ];
    assert_eq!(found[..4], expected);
    let rest: Vec<_> = found[4..].iter().filter(|(depth, ..)| *depth == 2).map(|(_, name, _)| *name).collect();
    for part in ["norm1", "linear1", "linear2", "norm2"] {
        assert!(rest.contains(&format!("e.layers.0.{part}").as_str()), "{rest:?}");
    }
}

/// Where networks draw masks: not in evaluation, between layers but not behind the last, and of probabilities.
#[test]
fn dropout_is_of_the_training_phase() {
    let masks = |build: &dyn for<'g> Fn(Expr<'g>, Phase) -> Expr<'g>| {
        [Phase::Training, Phase::Evaluation].map(|phase| {
            let g = Graph::new();
            let y = build(g.input("x", [5, 2, 8]), phase);
            g.check().unwrap();
            g.display(&[y]).to_string().matches("uniform(").count()
        })
    };
    assert_eq!(masks(&|x, phase| Gru::new("g", 8, 4).layers(3).dropout(0.5).apply(x, None, phase).0), [2, 0]);
    assert_eq!(masks(&|x, phase| Rnn::new("g", 8, 4).dropout(0.5).apply(x, None, phase).0), [0, 0]);
    let attention = MultiHeadAttention::new("a", 8, 2).dropout(0.5);
    assert_eq!(masks(&|x, phase| attention.apply(x, AttentionMasks::causal(), phase)), [1, 0]);
    let layer = TransformerEncoderLayer::new("t", 8, 2);
    assert_eq!(masks(&|x, phase| layer.apply(x, AttentionMasks::none(), phase)), [4, 0]);
    let block = TransformerBlock::new("t", 8, 2);
    assert_eq!(masks(&|x, phase| block.apply(x, AttentionMasks::none(), phase)), [0, 0]);
    let attention = GroupedQueryAttention::new("a", 8, 4).key_value_heads(2).dropout(0.5);
    assert_eq!(masks(&|x, phase| attention.apply(x, AttentionMasks::causal(), phase)), [1, 0]);
}

/// Asserts that applying something is refused with that message, which follows this file's name, and that the graph is as it was.
#[track_caller]
fn refused<'g>(g: &'g Graph, message: &str, apply: impl FnOnce() -> Expr<'g>) {
    let before = (g.len(), g.to_string());
    let error = g.attempt(|| apply().check()).expect_err("a mistake").to_string();
    let (origin, text) = error.split_once(": ").expect("an origin");
    assert_eq!(text, message);
    assert!(origin.contains("sequences.rs:"), "{error}");
    assert_eq!((g.len(), g.to_string()), before, "something is left of {message}");
    assert_eq!(verify(g), Ok(()));
}

#[test]
fn attention_that_cannot_be() {
    let g = Graph::new();
    let (x, wide, row) = (g.input("x", [2, 5, 8]), g.input("wide", [2, 7, 6]), g.input("row", [8]));
    let (other, whole) = (g.input("other", [3, 5, 8]), g.input_of("whole", [2, 5, 8], DType::I32));
    let mask = g.input_of("mask", [2, 4], DType::Bool);
    let scores = g.input_of("scores", [4, 5, 5], DType::F64);
    let attention = MultiHeadAttention::new("a", 8, 2).batch_first();
    let (none, phase) = (AttentionMasks::none(), Phase::Training);
    let apply = |x, masks| attention.apply(x, masks, phase);
    refused(
        &g,
        "MultiHeadAttention: extents differ along axis 2: \"wide\" is [2, 7, 6], the width of \"a\" is [8] (6 != 8)",
        || attention.attend(x, wide, wide, none, phase),
    );
    refused(&g, "MultiHeadAttention: \"row\" of shape [8] has rank 1, but rank 2 or 3 is needed", || apply(row, none));
    refused(&g, "MultiHeadAttention: \"whole\" is i32, but a float is needed (cast it: .cast(DType::F32))", || {
        apply(whole, none)
    });
    refused(&g, "MultiHeadAttention: \"mask\" of shape [2, 4] does not broadcast to [2, 5]", || {
        apply(x, none.key_padding(mask))
    });
    refused(&g, "MultiHeadAttention: \"mask\" of shape [2, 4] does not broadcast to [2, 2, 5, 5]", || {
        apply(x, none.attention(mask))
    });
    refused(&g, "MultiHeadAttention: \"scores\" is f64, but bool or the dtype of the queries is needed", || {
        apply(x, none.attention(scores))
    });
    refused(&g, "MultiHeadAttention: the rate is 1.5, but a number in 0..=1 is needed", || {
        attention.clone().dropout(1.5).apply(x, none, Phase::Evaluation)
    });
    let odd = MultiHeadAttention::new("a", 8, 3).batch_first();
    let error = g.attempt(|| odd.apply(x, none, phase).check()).unwrap_err();
    assert!(matches!(error, GraphError::UnevenHeads { features: 8, heads: 3, .. }), "{error}");
    let error = g.attempt(|| attention.attend(x, other, other, none, phase).check()).unwrap_err();
    assert!(matches!(error, GraphError::Extent { axis: 0, left: 2, right: 3, .. }), "{error}");
    refused(&g, "TransformerEncoderLayer: the rate is 2, but a number in 0..=1 is needed", || {
        TransformerEncoderLayer::new("t", 8, 2).dropout(2.0).apply(x, none, phase)
    });
    let grouped = GroupedQueryAttention::new("a", 8, 4).key_value_heads(3);
    let error = g.attempt(|| grouped.apply(x, none, phase).check()).unwrap_err();
    assert!(matches!(error, GraphError::Heads { heads: 4, groups: 3, .. }), "{error}");
    let grouped = GroupedQueryAttention::new("a", 8, 3);
    refused(&g, "GroupedQueryAttention: 3 heads do not divide the 8 features of \"x\" of shape [2, 5, 8]", || {
        grouped.apply(x, none, phase)
    });
    let elsewhere = Graph::new();
    let foreign = elsewhere.input("x", [2, 5, 8]);
    let error = g.attempt(|| attention.attend(x, foreign, foreign, none, phase).check()).unwrap_err();
    assert!(matches!(error, GraphError::ForeignNode { .. }), "{error}");
    let (result, weights) = attention.attend_with_weights(x, x, x, none, AttentionWeights::Averaged, phase);
    assert_eq!((result.shape().unwrap().dims(), weights.shape().unwrap().dims()), (&[2, 5, 8][..], &[2, 5, 5][..]));
}

#[test]
fn recurrent_networks_that_cannot_be() {
    let g = Graph::new();
    let (x, row) = (g.input("x", [7, 2, 3]), g.input("row", [3]));
    let (state, double) = (g.input("state", [1, 3, 4]), g.input_of("double", [1, 2, 4], DType::F64));
    let whole = g.input_of("whole", [7, 2, 3], DType::I32);
    let phase = Phase::Training;
    refused(&g, "Gru: extents differ along axis 2: \"x\" is [7, 2, 3], the inputs of \"g\" is [5] (3 != 5)", || {
        Gru::new("g", 5, 4).apply(x, None, phase).0
    });
    refused(&g, "Lstm: \"row\" of shape [3] has rank 1, but rank 2 or 3 is needed", || {
        Lstm::new("l", 3, 4).apply(row, None, phase).0
    });
    refused(&g, "Rnn: \"whole\" is i32, but a float is needed (cast it: .cast(DType::F32))", || {
        Rnn::new("r", 3, 4).apply(whole, None, phase).0
    });
    refused(&g, "Rnn: the number of layers is 0, but a number in 1..=65536 is needed", || {
        Rnn::new("r", 3, 4).layers(0).apply(x, None, phase).0
    });
    refused(&g, "Gru: shapes differ: \"state\" is [1, 3, 4], a first state of \"g\" is [1, 2, 4]", || {
        Gru::new("g", 3, 4).apply(x, Some(state), phase).0
    });
    refused(&g, "Gru: dtypes differ: \"double\" is f64, \"x\" is f32; cast one of them", || {
        Gru::new("g", 3, 4).apply(x, Some(double), phase).0
    });
    refused(&g, "Gru: the rate is -1, but a number in 0..=1 is needed", || {
        Gru::new("g", 3, 4).dropout(-1.0).apply(x, None, phase).0
    });
    let first = x.slice(0, 0, 1).squeeze(0);
    refused(&g, "RnnCell: shapes differ: \"state\" is [1, 3, 4], a first state of \"c\" is [2, 4]", || {
        RnnCell::new("c", 3, 4).apply(first, Some(state))
    });
    refused(&g, "GruCell: \"x\" of shape [7, 2, 3] has rank 3, but rank 1 or 2 is needed", || {
        GruCell::new("c", 3, 4).apply(x, None)
    });
    refused(&g, "LstmCell: extents differ along axis 0: \"row\" is [3], the inputs of \"c\" is [2] (3 != 2)", || {
        LstmCell::new("c", 2, 4).apply(row, None).0
    });
}

#[test]
fn extents_past_counting_are_errors() {
    let g = Graph::new();
    let x = g.input("x", [3, 2, 4]);
    for layers in [1 << 20, 1 << 60, usize::MAX] {
        let refused = g.attempt(|| {
            Ok::<_, GraphError>(Rnn::new("r", 4, 4).layers(layers).bidirectional().apply(x, None, Phase::Training))
        });
        assert!(matches!(refused, Err(GraphError::Argument { .. })), "{layers}");
    }
    let refused = g.attempt(|| Ok::<_, GraphError>(Lstm::new("l", 4, 1 << 62).apply(x, None, Phase::Training)));
    assert!(refused.is_err());
}
