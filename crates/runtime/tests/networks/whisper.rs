//! Whisper: a convolutional stem, an encoder, and a decoder that attends to it; keys have no bias, and the table of tokens is
//! the last layer too.

use arenagrad::nn::{AttentionMasks, Conv1d, Embedding, GroupedQueryAttention, LayerNorm, Linear, Phase, within};
use arenagrad::{CrossEntropy, Expr, Gelu};

use super::reference::{Outputs, Reference};

const TOKENS: usize = 71;
const BANDS: usize = 16;
const WIDTH: usize = 32;
const INNER: usize = 64;
const HEADS: usize = 4;
const LAYERS: usize = 2;
const FRAMES: usize = 20;
const POSITIONS: usize = 24;
const PADDING: i32 = 0;
const START: f64 = 1.0;
const IGNORED: i32 = -100;

fn norm<'g>(name: &str, part: &str, x: Expr<'g>) -> Expr<'g> {
    LayerNorm::new(within(name, part), [WIDTH]).apply(x)
}

fn attention(name: &str, part: &str) -> GroupedQueryAttention {
    GroupedQueryAttention::new(within(name, part), WIDTH, HEADS)
        .projections(["q_proj", "k_proj", "v_proj", "out_proj"])
        .biases([true, false, true, true])
}

fn feed_forward<'g>(name: &str, x: Expr<'g>) -> Expr<'g> {
    let inner = Linear::new(within(name, "fc1"), WIDTH, INNER).apply(norm(name, "final_layer_norm", x));
    x + Linear::new(within(name, "fc2"), INNER, WIDTH).apply(inner.gelu(Gelu::Erf))
}

fn encoder_layer<'g>(name: &str, x: Expr<'g>, phase: Phase) -> Expr<'g> {
    let own = attention(name, "self_attn").apply(norm(name, "self_attn_layer_norm", x), AttentionMasks::none(), phase);
    feed_forward(name, x + own)
}

fn decoder_layer<'g>(name: &str, x: Expr<'g>, audio: Expr<'g>, phase: Phase) -> Expr<'g> {
    let read = norm(name, "self_attn_layer_norm", x);
    let x = x + attention(name, "self_attn").apply(read, AttentionMasks::causal(), phase);
    let read = norm(name, "encoder_attn_layer_norm", x);
    let x = x + attention(name, "encoder_attn").attend(read, audio, AttentionMasks::none(), phase);
    feed_forward(name, x)
}

/// `[batch, bands, 2 frames] -> [batch, frames, width]`
fn encoded<'g>(features: Expr<'g>, phase: Phase) -> Expr<'g> {
    let (graph, Ok(dtype)) = (features.graph(), features.dtype()) else { return features };
    let stem = |part: &str, channels| Conv1d::new(within("model.encoder", part), channels, WIDTH, 3).padding(1);
    let x = stem("conv1", BANDS).apply(features).gelu(Gelu::Erf);
    let x = stem("conv2", WIDTH).stride(2).apply(x).gelu(Gelu::Erf).transpose(1, 2);
    let places = Embedding::new("model.encoder.embed_positions", FRAMES, WIDTH).dtype(dtype);
    // Its places are waves, which are not trained.
    let x = x + places.weight().of(graph, dtype).stop_gradient();
    let layers = (0..LAYERS).map(|number| format!("model.encoder.layers.{number}"));
    norm("model.encoder", "layer_norm", layers.fold(x, |x, name| encoder_layer(&name, x, phase)))
}

#[test]
fn whisper_equals_its_implementation() {
    Reference::open("whisper").assert_equal(|inputs| {
        let (labels, phase) = (inputs.get("labels"), Phase::Training);
        let audio = encoded(inputs.get("input_features"), phase);
        // The decoder reads the labels one place later, behind the token that starts every text.
        let length = labels.shape().expect("two axes")[1];
        let read = labels.slice(1, 0, length - 1).pad([(0, 0), (1, 0)], START);
        let read = read.equal(f64::from(IGNORED)).where_(f64::from(PADDING), read);
        let tokens = Embedding::new("model.decoder.embed_tokens", TOKENS, WIDTH).padding(PADDING as isize);
        let tokens = tokens.dtype(inputs.dtype());
        let places = Embedding::new("model.decoder.embed_positions", POSITIONS, WIDTH).dtype(inputs.dtype());
        let x = tokens.apply(read) + places.apply(inputs.graph().iota([length], 0));
        let layers = (0..LAYERS).map(|number| format!("model.decoder.layers.{number}"));
        let x = layers.fold(x, |x, name| decoder_layer(&name, x, audio, phase));
        let table = tokens.weight().of(inputs.graph(), inputs.dtype());
        let logits = norm("model.decoder", "layer_norm", x).matmul_with(table, false, true);
        let options = CrossEntropy { class_axis: Some(-1), ignore_index: Some(IGNORED), ..CrossEntropy::default() };
        Outputs::of_loss(logits.cross_entropy_with(labels, options)).with("logits", logits)
    });
}
