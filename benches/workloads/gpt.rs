//! A language model in the form of GPT-2 (Radford et al. 2019), of 4 layers, whose output weights are the embedding of its tokens.

use arenagrad::{DType, Error, Expr, Gelu, Graph, Init, Tape, Tensor, Variable};

use super::attention::causal_attention;
use crate::data::{indices, normal_parameter};
use crate::program::{Model, TapeModel};
use crate::update::Update;
use crate::{Kind, Workload};

const LAYERS: usize = 4;
const HEADS: usize = 4;
const WIDTH: usize = 128;
const POSITIONS: usize = 64;
const TOKENS: usize = 65;
const BATCH: usize = 12;

const UPDATE: Update = Update::AdamW { rate: 1e-3, betas: (0.9, 0.99), weight_decay: 0.1 };

pub(crate) const GPT: Workload = Workload {
    name: "gpt",
    about: "GPT of 4 layers, 4 heads, width 128, 64 positions, batch 12",
    kind: Kind::Model { define, update: Some(UPDATE) },
};

pub(crate) const TAPE_GPT: Workload = Workload {
    name: "tape_gpt",
    about: "GPT of 4 layers, 4 heads, width 128, 64 positions, batch 12, recorded anew at each step",
    kind: Kind::Tape { define: define_on_tape, update: Some(UPDATE), compiled: "gpt" },
};

fn define(graph: &Graph) -> Result<Model<'_>, Error> {
    let tokens = graph.input_of("tokens", [BATCH, POSITIONS], DType::I32);
    let targets = graph.input_of("targets", [BATCH, POSITIONS], DType::I32);
    let h = (0..LAYERS).fold(embedded(tokens), |h, layer| block(layer, h));
    Ok(Model { loss: loss_of(h, targets), inputs: inputs()? })
}

/// Block by block, as a program that is recorded would apply them; the tape keeps what they ask for.
fn define_on_tape() -> Result<TapeModel, Error> {
    let loss = |tape: &Tape, _: &[Variable], inputs: &[Variable]| {
        let h = (0..LAYERS).fold(inputs[0].map(embedded), |h, layer| h.map(|h| block(layer, h)));
        tape.record("loss", &[&h, &inputs[1]], |x| loss_of(x[0], x[1]))
    };
    Ok(TapeModel { parameters: Vec::new(), inputs: inputs()?, loss })
}

fn inputs() -> Result<Vec<(&'static str, Tensor)>, Error> {
    let (tokens, targets) = (indices(&[BATCH, POSITIONS], TOKENS, 1)?, indices(&[BATCH, POSITIONS], TOKENS, 2)?);
    Ok(vec![("tokens", tokens), ("targets", targets)])
}

fn token_embedding(graph: &Graph) -> Expr<'_> {
    graph.shared_parameter("token_embedding", [TOKENS, WIDTH], DType::F32, normal_parameter(0.02))
}

fn embedded(tokens: Expr<'_>) -> Expr<'_> {
    let graph = tokens.graph();
    let embedding = token_embedding(graph);
    let init = normal_parameter(0.02);
    let positions = graph.shared_parameter("position_embedding", [POSITIONS, WIDTH], DType::F32, init);
    embedding.index_select(0, tokens) + positions
}

fn block(layer: usize, h: Expr<'_>) -> Expr<'_> {
    let name = |part: &str| format!("layer{layer}.{part}");
    let h = h + attend(&name("attention"), norm(&name("attention_norm"), h));
    let widened = linear(&name("widen"), norm(&name("perceptron_norm"), h), [WIDTH, 4 * WIDTH]);
    h + linear(&name("narrow"), widened.gelu(Gelu::Tanh), [4 * WIDTH, WIDTH])
}

fn loss_of<'g>(h: Expr<'g>, targets: Expr<'g>) -> Expr<'g> {
    let logits = norm("norm", h).matmul_with(token_embedding(h.graph()), false, true);
    logits.reshape([BATCH * POSITIONS, TOKENS]).cross_entropy(targets.flatten())
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
    let weight = graph.shared_parameter(format!("{name}.weight"), [from, to], DType::F32, normal_parameter(0.02));
    let bias = graph.shared_parameter(format!("{name}.bias"), [to], DType::F32, Init::Constant(0.0));
    x.linear(weight, Some(bias))
}

fn norm<'g>(name: &str, x: Expr<'g>) -> Expr<'g> {
    let graph = x.graph();
    let scale = graph.shared_parameter(format!("{name}.scale"), [WIDTH], DType::F32, Init::Constant(1.0));
    let shift = graph.shared_parameter(format!("{name}.shift"), [WIDTH], DType::F32, Init::Constant(0.0));
    x.layer_norm(-1, Some(scale), Some(shift), 1e-5)
}
