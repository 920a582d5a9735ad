//! Attention.

use arenagrad::{Attention, RotaryEmbedding, RotaryPairs};

use super::table::{float, operators, truth};

operators! {
    "F.scaled_dot_product_attention(q, k, v)"
        (g, q = float(&[2, 3, 4], -2.0, 2.0), k = float(&[2, 5, 4], -2.0, 2.0), v = float(&[2, 5, 3], -2.0, 2.0)) =>
        q.scaled_dot_product_attention(k, v, None, Attention::default());
    "F.scaled_dot_product_attention(q, k, v, is_causal=True)"
        (g, q = float(&[2, 6, 3], -2.0, 2.0), k = float(&[2, 6, 3], -2.0, 2.0), v = float(&[2, 6, 5], -2.0, 2.0)) =>
        q.scaled_dot_product_attention(k, v, None, Attention { is_causal: true, ..Attention::default() });
    "F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)"
        (g, q = float(&[4, 3, 2], -2.0, 2.0), k = float(&[2, 5, 2], -2.0, 2.0), v = float(&[2, 5, 4], -2.0, 2.0)) =>
        q.scaled_dot_product_attention(
            k,
            v,
            None,
            Attention { is_causal: true, enable_gqa: true, ..Attention::default() }
        );
    "F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.5)"
        (g, q = float(&[2, 2, 3, 4], -2.0, 2.0), k = float(&[2, 2, 5, 4], -2.0, 2.0), v = float(&[2, 2, 5, 4], -2.0, 2.0),
            bias = float(&[2, 1, 5], -1.0, 1.0)) =>
        q.scaled_dot_product_attention(k, v, Some(bias), Attention { scale: Some(0.5), ..Attention::default() });
    "F.scaled_dot_product_attention(q, k, v, attn_mask=mask)"
        (g, q = float(&[2, 3, 4], -2.0, 2.0), k = float(&[1, 5, 4], -2.0, 2.0), v = float(&[5, 2], -2.0, 2.0), mask = truth(&[3, 5])) =>
        q.scaled_dot_product_attention(k, v, Some(mask), Attention::default());
    "rotary position embedding, halves (Llama)" (g, q = float(&[2, 3, 5, 6], -2.0, 2.0)) =>
        q.rotary_embedding(None, RotaryEmbedding::default());
    "rotary position embedding, interleaved, positions given"
        (g, q = float(&[2, 4, 4], -2.0, 2.0), positions = float(&[4], 0.0, 9.0)) =>
        q.rotary_embedding(
            Some(positions),
            RotaryEmbedding { pairs: RotaryPairs::Interleaved, theta: 500.0, ..RotaryEmbedding::default() }
        );
}
