//! A character model of the text in `data/kjv.txt`: the text as numbers, a network of GPT-2's form at the size of a processor,
//! and text drawn from it.

use arenagrad::nn::{Embedding, Layer, LayerNorm, Linear, Phase, within};
use arenagrad::{Attention, CrossEntropy, Error, Expr, Gelu, Init, Tensor};

/// Positions of a window.
pub const POSITIONS: usize = 64;
/// Features of a position.
const WIDTH: usize = 128;
const HEADS: usize = 4;
const BLOCKS: usize = 4;

/// A text as numbers of its distinct characters; the last tenth is for validation.
#[derive(Clone, Debug)]
pub struct Corpus {
    characters: Vec<char>,
    numbers: Vec<i32>,
}

impl Corpus {
    /// The text that is part of the program.
    pub fn read() -> Corpus {
        Corpus::of(include_str!("../data/kjv.txt"))
    }

    /// Any text.
    pub fn of(text: &str) -> Corpus {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let mut corpus = Corpus { characters, numbers: Vec::new() };
        corpus.numbers = text.chars().filter_map(|character| corpus.number(character)).collect();
        corpus
    }

    /// How many distinct characters there are.
    pub fn vocabulary(&self) -> usize {
        self.characters.len()
    }

    /// The number of a character, if the text has it.
    pub fn number(&self, character: char) -> Option<i32> {
        self.characters.binary_search(&character).ok().map(|place| place as i32)
    }

    /// The character of a number.
    pub fn character(&self, number: usize) -> Option<char> {
        self.characters.get(number).copied()
    }

    /// What is trained on: the first nine tenths.
    pub fn training(&self) -> &[i32] {
        &self.numbers[..self.numbers.len() * 9 / 10]
    }

    /// What is validated on: the last tenth.
    pub fn validation(&self) -> &[i32] {
        &self.numbers[self.numbers.len() * 9 / 10..]
    }
}

/// The windows of a text that begin at these places, and the same one character later: both i32 `[places, 64]`.
pub fn windows(text: &[i32], places: &[usize]) -> Result<(Tensor, Tensor), Error> {
    let shifted = |by: usize| {
        let numbers =
            places.iter().flat_map(|place| &text[place + by..place + by + POSITIONS]).copied().collect::<Vec<i32>>();
        Tensor::new([places.len(), POSITIONS], numbers)
    };
    Ok((shifted(0)?, shifted(1)?))
}

/// The places of a training batch: a function of the seed and the step, so that a run that is resumed sees what it would have seen.
pub fn places(text: &[i32], batch: usize, seed: u64, step: u64) -> Vec<usize> {
    let bound = (text.len() - POSITIONS) as u64;
    let mut random = Random::new(seed ^ step.wrapping_mul(0xD1B5_4A32_D192_ED03));
    (0..batch).map(|_| (random.bits() % bound) as usize).collect()
}

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number that is drawn with the probability `softmax(logits / temperature)`.
    pub fn draw(&mut self, logits: &[f64], temperature: f64) -> usize {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| ((logit - largest) / temperature).exp()).collect();
        let mut left = (self.bits() >> 11) as f64 / (1u64 << 53) as f64 * weights.iter().sum::<f64>();
        let passed = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        passed.unwrap_or(logits.len() - 1)
    }
}

/// Four blocks of attention and a feed-forward network over 128 features, learned positions, and the table of characters as the
/// last layer too.
#[derive(Clone, Debug)]
pub struct Gpt {
    tokens: Embedding,
    places: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Gpt {
    /// The network for so many distinct characters.
    pub fn new(vocabulary: usize) -> Gpt {
        Gpt {
            tokens: Embedding::new("tokens", vocabulary, WIDTH).weight_init(normal(0.02)),
            places: Embedding::new("places", POSITIONS, WIDTH).weight_init(normal(0.02)),
            blocks: (0..BLOCKS).map(|number| Block::new(&format!("blocks.{number}"))).collect(),
            norm: LayerNorm::new("norm", [WIDTH]),
        }
    }

    /// What follows each character: `[batch, positions]` numbers of characters to `[batch, positions, vocabulary]`.
    pub fn logits<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let (graph, Ok(shape)) = (x.graph(), x.shape()) else { return x };
        let places = graph.iota([shape.last().copied().unwrap_or(0)], 0);
        let h = self.tokens.apply(x) + self.places.apply(places);
        let h = self.blocks.iter().fold(h, |h, block| block.forward(h, phase));
        let table = self.tokens.weight().of(graph, arenagrad::DType::F32);
        self.norm.apply(h).matmul_with(table, false, true)
    }

    /// The mean cross-entropy of what follows each character.
    pub fn loss<'g>(&self, x: Expr<'g>, next: Expr<'g>, phase: Phase) -> Expr<'g> {
        let options = CrossEntropy { class_axis: Some(-1), ..CrossEntropy::default() };
        self.logits(x, phase).cross_entropy_with(next, options)
    }
}

/// `x + attention(norm(x))`, then `x + feed_forward(norm(x))`, with queries, keys and values of one matrix.
#[derive(Clone, Debug)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn new(name: &str) -> Block {
        let linear = |part: &str, inputs, outputs, deviation| {
            let layer = Linear::new(within(name, part), inputs, outputs);
            layer.weight_init(normal(deviation)).bias_init(Init::Constant(0.0))
        };
        // What is added to the stream by each of the parts begins small, so that their sum has the size of one.
        let of_stream = 0.02 / (2.0 * BLOCKS as f64).sqrt();
        Block {
            norm1: LayerNorm::new(within(name, "norm1"), [WIDTH]),
            qkv: linear("qkv", WIDTH, 3 * WIDTH, 0.02),
            out: linear("out", WIDTH, WIDTH, of_stream),
            norm2: LayerNorm::new(within(name, "norm2"), [WIDTH]),
            up: linear("up", WIDTH, 4 * WIDTH, 0.02),
            down: linear("down", 4 * WIDTH, WIDTH, of_stream),
        }
    }
}

impl Layer for Block {
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        let together = self.qkv.apply(self.norm1.apply(x));
        let [q, k, v] = [0, 1, 2].map(|part| together.slice(-1, part * WIDTH, (part + 1) * WIDTH).split_heads(HEADS));
        let causal = Attention { is_causal: true, ..Attention::default() };
        let x = x + self.out.apply(q.scaled_dot_product_attention(k, v, None, causal).merge_heads());
        x + self.down.apply(self.up.apply(self.norm2.apply(x)).gelu(Gelu::Tanh))
    }
}

fn normal(deviation: f64) -> Init {
    Init::Normal { mean: 0.0, deviation }
}
