//! The layers of sequences against PyTorch's modules of the same names, in all their forms: results, states and probabilities,
//! and the gradients of every parameter and of what they read.

use arenagrad::nn::{
    Activation, AttentionMasks, AttentionWeights, GroupedQueryAttention, Gru, GruCell, Lstm, LstmCell,
    MultiHeadAttention, Parameter, Phase, Rnn, RnnCell, RnnNonlinearity, Transformer, TransformerDecoder,
    TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer, TransformerMasks,
};
use arenagrad::{Expr, Gelu, Init, RotaryEmbedding, RotaryPairs, Shape};

use super::reference::{Inputs, Outputs, Reference};

const PHASE: Phase = Phase::Evaluation;

/// What the modules read, which is a parameter so that it has a gradient too.
fn read<'g>(inputs: &Inputs<'g, '_>, name: &str, shape: impl Into<Shape>) -> Expr<'g> {
    Parameter::new(name, shape, Init::Constant(0.0)).of(inputs.graph(), inputs.dtype())
}

/// A mask, which the file has as i32.
fn mask<'g>(inputs: &Inputs<'g, '_>, name: &str) -> Expr<'g> {
    inputs.get(name).not_equal(0.0)
}

/// The sum of all results' products with what the file has for them, whose gradients so reach everything.
fn outputs<'g>(inputs: &Inputs<'g, '_>, results: Vec<(&'static str, Expr<'g>)>) -> Outputs<'g> {
    let parts = results.iter().map(|(name, result)| (*result * inputs.get(&format!("cotangent_{name}"))).sum(..));
    let loss = parts.reduce(|sum, part| sum + part).expect("results");
    results.into_iter().fold(Outputs::of_loss(loss), |outputs, (name, result)| outputs.with(name, result))
}

#[test]
fn attention_equals_that_of_pytorch() {
    Reference::open("multi_head_attention").assert_equal(|inputs| {
        let (x, memory) = (read(inputs, "x", [2, 5, 6]), read(inputs, "memory", [4, 2, 6]));
        let own = MultiHeadAttention::new("own", 6, 2).batch_first();
        let masks = AttentionMasks::causal().key_padding(mask(inputs, "padding"));
        let (result, averaged) = own.attend_with_weights(x, x, x, masks, AttentionWeights::Averaged, PHASE);
        let own_fused = own.apply(x, masks, PHASE);
        let cross = MultiHeadAttention::new("cross", 6, 3).without_bias();
        let masks = AttentionMasks::none().attention(inputs.get("scores"));
        let steps_first = x.transpose(0, 1);
        let (crossed, per_head) =
            cross.attend_with_weights(steps_first, memory, memory, masks, AttentionWeights::PerHead, PHASE);
        let cross_fused = cross.attend(steps_first, memory, memory, masks, PHASE);
        let wide = MultiHeadAttention::new("wide", 6, 2).key_width(4).batch_first();
        let values = memory.transpose(0, 1);
        let masks = AttentionMasks::none().attention(mask(inputs, "hidden"));
        let wide = wide.attend(x, values.slice(-1, 0, 4), values, masks, PHASE);
        let [first, second] = [0, 1].map(|sample| x.select_index(0, sample));
        let none = AttentionMasks::none();
        let (single, alone) = own.attend_with_weights(first, second, second, none, AttentionWeights::Averaged, PHASE);
        outputs(
            inputs,
            vec![
                ("own", result),
                ("averaged", averaged),
                ("cross", crossed),
                ("per_head", per_head),
                ("wide", wide),
                ("single", single),
                ("alone", alone),
                ("own_fused", own_fused),
                ("cross_fused", cross_fused),
            ],
        )
    });
}

#[test]
fn attention_with_projections_of_its_own_equals_its_formula() {
    Reference::open("grouped_query_attention").assert_equal(|inputs| {
        let (x, memory) = (read(inputs, "x", [2, 5, 8]), read(inputs, "memory", [2, 3, 4]));
        let rotary = RotaryEmbedding { theta: 500.0, ..RotaryEmbedding::default() };
        let normed = GroupedQueryAttention::new("normed", 8, 4).key_value_heads(2).head_width(6);
        let normed = normed.query_key_norm(1e-6).rotary(rotary);
        let normed = normed.apply_at(x, inputs.get("positions"), AttentionMasks::causal(), PHASE);
        let rotary = RotaryEmbedding { pairs: RotaryPairs::Interleaved, ..RotaryEmbedding::default() };
        let partial = GroupedQueryAttention::new("partial", 8, 2).key_value_heads(1).biases([true; 4]);
        let partial = partial.projections(["q", "k", "v", "dense"]).rotary(rotary).rotary_width(2);
        let partial = partial.apply(x, AttentionMasks::causal(), PHASE);
        let cross = GroupedQueryAttention::new("cross", 8, 2).memory_width(4).scale(1.0);
        let cross = cross.projections(["q_proj", "k_proj", "v_proj", "out_proj"]).biases([true, false, true, true]);
        let cross = cross.attend(x, memory, AttentionMasks::none().key_padding(mask(inputs, "padding")), PHASE);
        outputs(inputs, vec![("normed", normed), ("partial", partial), ("cross", cross)])
    });
}

#[test]
fn encoders_equal_those_of_pytorch() {
    Reference::open("transformer_encoders").assert_equal(|inputs| {
        let x = read(inputs, "x", [5, 2, 6]);
        let layer = TransformerEncoderLayer::new("", 6, 2).feed_forward(8);
        let masks = AttentionMasks::none().key_padding(mask(inputs, "padding"));
        let post = TransformerEncoder::new("post", layer, 2).norm().apply(x, masks, PHASE);
        let layer = TransformerEncoderLayer::new("", 6, 3).feed_forward(8).activation(Activation::gelu(Gelu::Erf));
        let layer = layer.eps(1e-3).batch_first().norm_first().without_bias();
        let pre = TransformerEncoder::new("pre", layer, 2).apply(x.transpose(0, 1), AttentionMasks::causal(), PHASE);
        outputs(inputs, vec![("post", post), ("pre", pre)])
    });
}

#[test]
fn decoders_equal_those_of_pytorch() {
    Reference::open("transformer_decoders").assert_equal(|inputs| {
        let (x, memory) = (read(inputs, "x", [2, 5, 4]), read(inputs, "memory", [2, 3, 4]));
        let layer = TransformerDecoderLayer::new("", 4, 2).feed_forward(6).batch_first();
        let masks = AttentionMasks::none().key_padding(mask(inputs, "padding"));
        let post = TransformerDecoder::new("post", layer, 2).norm();
        let post = post.apply(x, memory, AttentionMasks::causal(), masks, PHASE);
        let pre = TransformerDecoderLayer::new("pre", 4, 1).feed_forward(6).norm_first();
        let pre = pre.activation(Activation::gelu(Gelu::Erf));
        let masks = AttentionMasks::none().attention(mask(inputs, "hidden"));
        let (x, memory) = (x.transpose(0, 1), memory.transpose(0, 1));
        let pre = pre.apply(x, memory, AttentionMasks::none(), masks, PHASE);
        outputs(inputs, vec![("post", post), ("pre", pre)])
    });
}

#[test]
fn whole_transformers_equal_those_of_pytorch() {
    Reference::open("transformers").assert_equal(|inputs| {
        let (source, target) = (read(inputs, "source", [2, 5, 4]), read(inputs, "target", [2, 3, 4]));
        let padding = AttentionMasks::none().key_padding(mask(inputs, "padding"));
        let masks = TransformerMasks { source: padding, memory: padding, ..TransformerMasks::causal() };
        let post = Transformer::new("post", 4, 2).layers(2, 1).feed_forward(6).batch_first();
        let post = post.apply(source, target, masks, PHASE);
        let memory = AttentionMasks::none().attention(mask(inputs, "hidden"));
        let masks = TransformerMasks { memory, ..TransformerMasks::causal() };
        let pre = Transformer::new("pre", 4, 1).layers(1, 2).feed_forward(6).activation(Activation::gelu(Gelu::Erf));
        let pre = pre.eps(1e-3).norm_first().without_bias();
        let pre = pre.apply(source.transpose(0, 1), target.transpose(0, 1), masks, PHASE);
        outputs(inputs, vec![("post", post), ("pre", pre)])
    });
}

#[test]
fn recurrent_networks_equal_those_of_pytorch() {
    Reference::open("recurrent").assert_equal(|inputs| {
        let (x, h) = (read(inputs, "x", [5, 2, 3]), read(inputs, "h", [4, 2, 4]));
        let (rnn, rnn_last) = Rnn::new("rnn", 3, 4).layers(2).without_bias().apply(x, None, PHASE);
        let relu = Rnn::new("relu", 3, 4).nonlinearity(RnnNonlinearity::Relu).bidirectional();
        let state = h.slice(0, 0, 2).select_index(1, 0);
        let (relu, relu_last) = relu.apply(x.select_index(1, 0), Some(state), PHASE);
        let gru = Gru::new("gru", 3, 4).layers(2).bidirectional().batch_first();
        let (gru, gru_last) = gru.apply(x.transpose(0, 1), Some(h), PHASE);
        let step = |step: usize| x.select_index(0, step);
        let cell = RnnCell::new("rnn_cell", 3, 4).nonlinearity(RnnNonlinearity::Relu);
        let rnn_cell = cell.apply(step(0), Some(cell.apply(step(1), None)));
        let state = h.select_index(0, 0).select_index(0, 0);
        let gru_cell = GruCell::new("gru_cell", 3, 4).apply(step(0).select_index(0, 0), Some(state));
        outputs(
            inputs,
            vec![
                ("rnn", rnn),
                ("rnn_last", rnn_last),
                ("relu", relu),
                ("relu_last", relu_last),
                ("gru", gru),
                ("gru_last", gru_last),
                ("rnn_cell", rnn_cell),
                ("gru_cell", gru_cell),
            ],
        )
    });
}

#[test]
fn padded_sequences_give_what_packed_ones_give_in_pytorch() {
    Reference::open("padded").assert_equal(|inputs| {
        let (x, lengths) = (read(inputs, "x", [6, 4, 3]), inputs.get("lengths"));
        let (h, c, p) = (read(inputs, "h", [4, 4, 4]), read(inputs, "c", [4, 4, 3]), read(inputs, "p", [4, 4, 2]));
        let rnn = Rnn::new("rnn", 3, 4).nonlinearity(RnnNonlinearity::Relu).bidirectional();
        let (rnn, rnn_last) = rnn.apply_padded(x, lengths, None, PHASE);
        let gru = Gru::new("gru", 3, 4).layers(2).bidirectional().batch_first();
        let (gru, gru_last) = gru.apply_padded(x.transpose(0, 1), lengths, Some(h), PHASE);
        let lstm = Lstm::new("lstm", 3, 3).layers(2).bidirectional();
        let (lstm, (lstm_last, lstm_memory)) = lstm.apply_padded(x, lengths, None, PHASE);
        let projected = Lstm::new("projected", 3, 3).layers(2).bidirectional().batch_first().projection(2);
        let states = Some((p, c));
        let (projected, last) = projected.apply_padded(x.transpose(0, 1), lengths, states, PHASE);
        outputs(
            inputs,
            vec![
                ("rnn", rnn),
                ("rnn_last", rnn_last),
                ("gru", gru),
                ("gru_last", gru_last),
                ("lstm", lstm),
                ("lstm_last", lstm_last),
                ("lstm_memory", lstm_memory),
                ("projected", projected),
                ("projected_last", last.0),
                ("projected_memory", last.1),
            ],
        )
    });
}

#[test]
fn long_short_term_memories_equal_those_of_pytorch() {
    Reference::open("memories").assert_equal(|inputs| {
        let x = read(inputs, "x", [5, 2, 3]);
        let (h, p) = (read(inputs, "h", [4, 2, 3]), read(inputs, "p", [4, 2, 2]));
        let lstm = Lstm::new("lstm", 3, 3).layers(2).bidirectional();
        let (lstm, (lstm_last, lstm_memory)) = lstm.apply(x, Some((h, h.flip(0))), PHASE);
        let projected = Lstm::new("projected", 3, 3).layers(2).bidirectional().batch_first().projection(2);
        let (projected, (projected_last, projected_memory)) = projected.apply(x.transpose(0, 1), Some((p, h)), PHASE);
        let cell = LstmCell::new("cell", 3, 3).without_bias();
        let states = cell.apply(x.select_index(0, 0), None);
        let (cell, cell_memory) = cell.apply(x.select_index(0, 1), Some(states));
        outputs(
            inputs,
            vec![
                ("lstm", lstm),
                ("lstm_last", lstm_last),
                ("lstm_memory", lstm_memory),
                ("projected", projected),
                ("projected_last", projected_last),
                ("projected_memory", projected_memory),
                ("cell", cell),
                ("cell_memory", cell_memory),
            ],
        )
    });
}
