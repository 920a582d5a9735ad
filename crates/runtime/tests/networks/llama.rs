//! Llama: root-mean-square norms, rotary positions, heads that share keys and values, a gated feed-forward network, and the
//! table of tokens as the last layer too.

use arenagrad::nn::{AttentionMasks, Embedding, GroupedQueryAttention, Linear, Phase, RmsNorm, within};
use arenagrad::{Expr, RotaryEmbedding};

use super::reference::{Outputs, Reference};

const TOKENS: usize = 101;
const WIDTH: usize = 48;
const INNER: usize = 80;
const HEADS: usize = 6;
const KEY_VALUE_HEADS: usize = 2;
const BLOCKS: usize = 2;

fn norm<'g>(name: &str, part: &str, x: Expr<'g>) -> Expr<'g> {
    RmsNorm::new(within(name, part), [WIDTH]).eps(1e-5).apply(x)
}

fn feed_forward<'g>(name: &str, x: Expr<'g>) -> Expr<'g> {
    let linear = |part: &str, inputs, outputs| Linear::new(within(name, part), inputs, outputs).without_bias();
    let gate = linear("gate_proj", WIDTH, INNER).apply(x).silu();
    linear("down_proj", INNER, WIDTH).apply(gate * linear("up_proj", WIDTH, INNER).apply(x))
}

fn block<'g>(name: &str, x: Expr<'g>, phase: Phase) -> Expr<'g> {
    let attention = GroupedQueryAttention::new(within(name, "self_attn"), WIDTH, HEADS)
        .key_value_heads(KEY_VALUE_HEADS)
        .rotary(RotaryEmbedding::default());
    let x = x + attention.apply(norm(name, "input_layernorm", x), AttentionMasks::causal(), phase);
    x + feed_forward(&within(name, "mlp"), norm(name, "post_attention_layernorm", x))
}

#[test]
fn llama_equals_its_implementation() {
    // Parts of the implementation compute in f32 whatever they are given.
    Reference::open("llama").exact_to(1e-5).assert_equal(|inputs| {
        let (ids, labels) = (inputs.get("input_ids"), inputs.get("labels"));
        let length = ids.shape().expect("two axes")[1];
        let tokens = Embedding::new("model.embed_tokens", TOKENS, WIDTH).dtype(inputs.dtype());
        let blocks = (0..BLOCKS).map(|number| format!("model.layers.{number}"));
        let x = blocks.fold(tokens.apply(ids), |x, name| block(&name, x, Phase::Training));
        let table = tokens.weight().of(inputs.graph(), inputs.dtype());
        let logits = norm("model", "norm", x).matmul_with(table, false, true);
        let next = logits.slice(1, 0, length - 1).flatten_axes(0, 1);
        let loss = next.cross_entropy(labels.slice(1, 1, length).flatten());
        Outputs::of_loss(loss).with("logits", logits)
    });
}
