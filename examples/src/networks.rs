//! The two networks that the example `distributed` trains, and samples for them that are the same in every process.

use arenagrad::data::Batch;
use arenagrad::nn::{AttentionMasks, Embedding, LayerNorm, Linear, MultiHeadAttention, Phase};
use arenagrad::{DType, Error, Expr, Gelu, Inputs, Tensor};

/// Numbers of 24 bits that are the same in every process.
fn numbers(count: usize, seed: u32) -> impl Iterator<Item = u32> {
    let mut state = seed;
    (0..count).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    })
}

/// The numbers below `count`, in an order that the seed gives.
pub fn shuffled(count: usize, seed: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for (place, number) in (1..count).rev().zip(numbers(count, seed)) {
        order.swap(place, number as usize % (place + 1));
    }
    order
}

/// `x` of `[n, 784]` and `labels` of `[n]`, by a seed whose next one is used too.
pub fn images(samples: usize, seed: u32) -> Result<Batch, Error> {
    let x = numbers(samples * 784, seed).map(|bits| bits as f32 / (1 << 24) as f32).collect::<Vec<f32>>();
    let labels = numbers(samples, seed + 1).map(|bits| (bits % 10) as i32).collect::<Vec<i32>>();
    Ok(Batch::new().with("x", Tensor::new([samples, 784], x)?).with("labels", Tensor::new([samples], labels)?))
}

const POSITIONS: usize = 64;
const TOKENS: usize = 65;
const WIDTH: usize = 128;

/// `x` and `labels`, both of `[n, 64]` tokens, by a seed whose next one is used too.
pub fn text(samples: usize, seed: u32) -> Result<Batch, Error> {
    let tokens = |seed| {
        let list = numbers(samples * POSITIONS, seed).map(|bits| (bits % TOKENS as u32) as i32).collect::<Vec<i32>>();
        Tensor::new([samples, POSITIONS], list)
    };
    Ok(Batch::new().with("x", tokens(seed)?).with("labels", tokens(seed + 1)?))
}

/// What is trained.
pub enum Network {
    /// A perceptron of 784, 128 and 10: `[n, 784] -> [n, 10]`.
    Perceptron(Box<Perceptron>),
    /// A language model in the form of GPT-2, of 4 layers of width 128 over 65 tokens.
    Gpt(Box<Gpt>),
}

/// A network of two layers.
pub struct Perceptron {
    hidden: Linear,
    head: Linear,
}

/// A language model.
pub struct Gpt {
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

struct Block {
    attention_norm: LayerNorm,
    attention: MultiHeadAttention,
    perceptron_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl Network {
    /// The network of that name, `mnist_mlp` or `gpt`.
    pub fn named(name: &str) -> Option<Network> {
        match name {
            "mnist_mlp" => {
                let (hidden, head) = (Linear::new("hidden", 784, 128), Linear::new("head", 128, 10));
                Some(Network::Perceptron(Box::new(Perceptron { hidden, head })))
            }
            "gpt" => Some(Network::Gpt(Box::new(Gpt::new()))),
            _ => None,
        }
    }

    /// So many samples, `x` and `labels`.
    pub fn samples(&self, count: usize, seed: u32) -> Result<Batch, Error> {
        match self {
            Network::Perceptron(_) => images(count, seed),
            Network::Gpt(_) => text(count, seed),
        }
    }

    /// Logits `[predictions, classes]` and labels `[predictions]`: a prediction a sample, or of text one for each position.
    pub fn predictions<'g>(&self, inputs: &Inputs<'g>) -> [Expr<'g>; 2] {
        let (x, labels) = (inputs.get("x"), inputs.get("labels"));
        match self {
            Network::Perceptron(network) => [network.head.apply(network.hidden.apply(x).relu()), labels],
            Network::Gpt(gpt) => {
                let predictions = inputs.extent("x", 0) * POSITIONS;
                [gpt.logits(x).reshape([predictions, TOKENS]), labels.flatten()]
            }
        }
    }

    /// The mean cross-entropy of all predictions.
    pub fn loss<'g>(&self, inputs: &Inputs<'g>) -> Expr<'g> {
        let [logits, labels] = self.predictions(inputs);
        logits.cross_entropy(labels)
    }
}

impl Gpt {
    fn new() -> Self {
        let block = |layer: usize| {
            let name = |part: &str| format!("layer{layer}.{part}");
            Block {
                attention_norm: LayerNorm::new(name("attention_norm"), [WIDTH]),
                attention: MultiHeadAttention::new(name("attention"), WIDTH, 4).batch_first(),
                perceptron_norm: LayerNorm::new(name("perceptron_norm"), [WIDTH]),
                widen: Linear::new(name("widen"), WIDTH, 4 * WIDTH),
                narrow: Linear::new(name("narrow"), 4 * WIDTH, WIDTH),
            }
        };
        Gpt {
            tokens: Embedding::new("tokens", TOKENS, WIDTH),
            positions: Embedding::new("positions", POSITIONS, WIDTH),
            blocks: (0..4).map(block).collect(),
            norm: LayerNorm::new("norm", [WIDTH]),
            head: Linear::new("head", WIDTH, TOKENS),
        }
    }

    /// `[n, 64] -> [n, 64, 65]`
    fn logits<'g>(&self, tokens: Expr<'g>) -> Expr<'g> {
        let places = tokens.graph().iota([POSITIONS], 0);
        let mut h = self.tokens.apply(tokens) + self.positions.apply(places);
        for block in &self.blocks {
            let x = block.attention_norm.apply(h);
            h = h + block.attention.apply(x, AttentionMasks::causal(), Phase::Training);
            let x = block.widen.apply(block.perceptron_norm.apply(h)).gelu(Gelu::Tanh);
            h = h + block.narrow.apply(x);
        }
        self.head.apply(self.norm.apply(h)).cast(DType::F32)
    }
}
