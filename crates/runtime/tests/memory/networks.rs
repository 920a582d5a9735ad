//! Networks whose training steps are planned with and without a budget.

use arenagrad::nn::{
    Activation, BatchNorm, Conv2d, Dropout, Embedding, Gru, Layer, LayerNorm, Linear, Phase, Residual, Sequential,
    TransformerBlock,
};
use arenagrad::{DType, Expr, Graph, Init};

/// A network, and how its loss is built in f32 or f64.
#[derive(Clone, Copy)]
pub(super) struct Network {
    pub name: &'static str,
    pub loss: for<'g> fn(&'g Graph, DType) -> Expr<'g>,
}

pub(super) const ALL: [Network; 5] = [
    Network { name: "gpt", loss: small_gpt },
    Network { name: "residual cnn", loss: residual_cnn },
    Network { name: "recurrent", loss: recurrent },
    Network { name: "mlp", loss: mlp },
    Network { name: "unrolled", loss: unrolled },
];

/// The layers, the batch, the length and the width of a model of language.
#[derive(Clone, Copy)]
pub(super) struct Gpt {
    pub layers: usize,
    pub batch: usize,
    pub length: usize,
    pub width: usize,
    pub heads: usize,
    pub dropout: f64,
}

pub(super) const VOCABULARY: usize = 65;

/// A model of language: blocks over embeddings of tokens and positions, and the cross-entropy of the next token.
pub(super) fn gpt(g: &Graph, dtype: DType, size: Gpt) -> Expr<'_> {
    let tokens = g.input_of("tokens", [size.batch, size.length], DType::I32);
    let next = g.input_of("next", [size.batch, size.length], DType::I32);
    gpt_of(tokens, next, dtype, size)
}

/// The same of tokens and of those that follow them.
pub(super) fn gpt_of<'g>(tokens: Expr<'g>, next: Expr<'g>, dtype: DType, size: Gpt) -> Expr<'g> {
    let Gpt { layers, batch, length, width, heads, dropout } = size;
    let positions = Init::Normal { mean: 0.0, deviation: 0.02 };
    let positions = tokens.graph().parameter_of("positions", [length, width], dtype, positions);
    let x = Embedding::new("embedding", VOCABULARY, width).dtype(dtype).apply(tokens) + positions;
    let x = (0..layers).fold(x, |x, layer| {
        let block = TransformerBlock::new(format!("blocks.{layer}"), width, heads).causal().dropout(dropout);
        block.forward(x, Phase::Training)
    });
    let x = LayerNorm::new("norm", [width]).apply(x);
    let logits = Linear::new("head", width, VOCABULARY).without_bias().apply(x);
    logits.reshape([batch * length, VOCABULARY]).cross_entropy(next.reshape([batch * length])).named("loss")
}

fn small_gpt(g: &Graph, dtype: DType) -> Expr<'_> {
    gpt(g, dtype, Gpt { layers: 3, batch: 2, length: 8, width: 16, heads: 2, dropout: 0.1 })
}

fn residual_cnn(g: &Graph, dtype: DType) -> Expr<'_> {
    let x = g.input_of("x", [4, 3, 8, 8], dtype);
    let labels = g.input_of("labels", [4], DType::I32);
    let convolution = |name: String, from, to| Conv2d::new(name, from, to, 3).padding(1).without_bias();
    let mut x = convolution("stem".to_owned(), 3, 8).apply(x).relu();
    for block in 0..4 {
        let name = |part: &str| format!("blocks.{block}.{part}");
        let inner = Sequential::new("")
            .then(convolution(name("conv1"), 8, 8))
            .then(BatchNorm::new(name("bn1"), 8))
            .then(Activation::relu())
            .then(convolution(name("conv2"), 8, 8))
            .then(BatchNorm::new(name("bn2"), 8));
        x = Residual::new(inner).apply(x, Phase::Training).relu();
    }
    Linear::new("head", 8, 10).apply(x.mean([2, 3])).cross_entropy(labels)
}

fn recurrent(g: &Graph, dtype: DType) -> Expr<'_> {
    let x = g.input_of("x", [12, 3, 5], dtype);
    let (outputs, _) = Gru::new("gru", 5, 8).layers(3).apply(x, None, Phase::Training);
    let y = g.input_of("y", [12, 3, 2], dtype);
    (Linear::new("head", 8, 2).apply(outputs) - y).square().mean(..)
}

fn mlp(g: &Graph, dtype: DType) -> Expr<'_> {
    let (x, labels) = (g.input_of("x", [32, 16], dtype), g.input_of("labels", [32], DType::I32));
    let x = (0..16).fold(x, |x, layer| {
        let x = Linear::new(format!("layers.{layer}"), 16, 16).apply(x).tanh();
        Dropout::new(0.05).apply(x, Phase::Training)
    });
    Linear::new("head", 16, 10).apply(x).cross_entropy(labels)
}

/// Rounds that are written out, each of which reads the weights of all others.
fn unrolled(g: &Graph, dtype: DType) -> Expr<'_> {
    let x = g.input_of("x", [8, 4], dtype);
    let w = g.parameter_of("w", [12, 12], dtype, Init::Normal { mean: 0.0, deviation: 0.3 });
    let u = g.parameter_of("u", [4, 12], dtype, Init::Normal { mean: 0.0, deviation: 0.3 });
    let drive = x.matmul(u);
    let h = (0..20).fold(drive.tanh(), |h, _| (h.matmul(w) + drive).tanh());
    h.square().mean(..)
}
