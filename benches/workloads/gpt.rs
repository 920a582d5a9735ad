//! A language model in the form of GPT-2 (Radford et al. 2019), of 4 layers, whose output weights are the embedding of its tokens.

use arenagrad::{DType, Error, Expr, Gelu, Graph, Init};

use super::attention::causal_attention;
use crate::data::{indices, normal_parameter};
use crate::program::Model;
use crate::update::Update;
use crate::{Kind, Workload};

const LAYERS: usize = 4;
const HEADS: usize = 4;
const WIDTH: usize = 128;
const POSITIONS: usize = 64;
const TOKENS: usize = 65;
const BATCH: usize = 12;

pub(crate) const GPT: Workload = Workload {
    name: "gpt",
    about: "GPT of 4 layers, 4 heads, width 128, 64 positions, batch 12",
    kind: Kind::Model { define, update: Some(Update::AdamW { rate: 1e-3, betas: (0.9, 0.99), weight_decay: 0.1 }) },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let tokens = graph.input_of("tokens", [BATCH, POSITIONS], DType::I32);
    let targets = graph.input_of("targets", [BATCH, POSITIONS], DType::I32);
    let embedding = graph.parameter("token_embedding", [TOKENS, WIDTH], normal_parameter(0.02));
    let positions = graph.parameter("position_embedding", [POSITIONS, WIDTH], normal_parameter(0.02));

    let mut h = embedding.index_select(0, tokens) + positions;
    for layer in 0..LAYERS {
        let name = |part: &str| format!("layer{layer}.{part}");
        h = h + attend(&name("attention"), norm(&name("attention_norm"), h));
        let widened = linear(&name("widen"), norm(&name("perceptron_norm"), h), [WIDTH, 4 * WIDTH]);
        h = h + linear(&name("narrow"), widened.gelu(Gelu::Tanh), [4 * WIDTH, WIDTH]);
    }
    let logits = norm("norm", h).matmul_with(embedding, false, true);
    let loss = logits.reshape([BATCH * POSITIONS, TOKENS]).cross_entropy(targets.flatten());
    let inputs = vec![
        ("tokens", indices(&[BATCH, POSITIONS], TOKENS, 1)?),
        ("targets", indices(&[BATCH, POSITIONS], TOKENS, 2)?),
    ];
    Ok(Model { loss, inputs })
}

/// Attention of several heads with its projections, `[batch, positions, width]` both ways.
fn attend<'g>(name: &str, x: Expr<'g>) -> Expr<'g> {
    let projected = linear(&format!("{name}.in"), x, [WIDTH, 3 * WIDTH]);
    let [q, k, v] = [0, 1, 2].map(|part| {
        let part = projected.slice(-1, part * WIDTH, (part + 1) * WIDTH);
        part.reshape([BATCH, POSITIONS, HEADS, WIDTH / HEADS]).transpose(1, 2)
    });
    let heads = causal_attention(q, k, v).transpose(1, 2).reshape([BATCH, POSITIONS, WIDTH]);
    linear(&format!("{name}.out"), heads, [WIDTH, WIDTH])
}

fn linear<'g>(name: &str, x: Expr<'g>, [from, to]: [usize; 2]) -> Expr<'g> {
    let graph = x.graph();
    let weight = graph.parameter(format!("{name}.weight"), [from, to], normal_parameter(0.02));
    let bias = graph.parameter(format!("{name}.bias"), [to], Init::Constant(0.0));
    x.linear(weight, Some(bias))
}

fn norm<'g>(name: &str, x: Expr<'g>) -> Expr<'g> {
    let graph = x.graph();
    let scale = graph.parameter(format!("{name}.scale"), [WIDTH], Init::Constant(1.0));
    let shift = graph.parameter(format!("{name}.shift"), [WIDTH], Init::Constant(0.0));
    x.layer_norm(-1, Some(scale), Some(shift), 1e-5)
}
