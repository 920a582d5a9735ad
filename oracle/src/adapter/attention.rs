//! Attention.

use arenagrad::{Attention, Expr};

use super::arguments::{Call, Value};
use super::{Operator, Refusal};

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "scaled_dot_product_attention" => Some(Operator::new(
            &["query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa"],
            attention,
        )),
        _ => None,
    }
}

fn attention<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    if call.number_or("dropout_p", 0.0)? != 0.0 {
        return Err(Refusal::unsupported("which weights are dropped is drawn by another generator"));
    }
    let mask = match call.get("attn_mask") {
        None | Some(Value::None) => None,
        Some(_) => Some(call.tensor("attn_mask")?),
    };
    let scale = match call.get("scale") {
        None | Some(Value::None) => None,
        Some(_) => Some(call.number_or("scale", 1.0)?),
    };
    let (is_causal, enable_gqa) = (call.boolean_or("is_causal", false)?, call.boolean_or("enable_gqa", false)?);
    let [query, key, value] = [call.float("query")?, call.float("key")?, call.float("value")?];
    Ok(query.scaled_dot_product_attention(key, value, mask, Attention { is_causal, scale, enable_gqa }))
}
