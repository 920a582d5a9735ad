//! GPT-2: learned positions, norms in front, queries, keys and values of one matrix `[in, out]`, and the table of tokens as the
//! last layer too.

use arenagrad::nn::{Embedding, Layer, LayerNorm, Parameter, Phase, within};
use arenagrad::{Attention, Expr, Gelu, Init};

use super::reference::{Outputs, Reference};

const TOKENS: usize = 97;
const POSITIONS: usize = 24;
const WIDTH: usize = 32;
const HEADS: usize = 4;
const BLOCKS: usize = 2;

/// A linear layer whose weight is `[inputs, outputs]`, which this network calls `Conv1D`.
struct Conv1D {
    name: String,
    inputs: usize,
    outputs: usize,
}

impl Conv1D {
    fn new(name: &str, part: &str, inputs: usize, outputs: usize) -> Conv1D {
        Conv1D { name: within(name, part), inputs, outputs }
    }
}

impl Layer for Conv1D {
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        let (graph, Ok(dtype)) = (x.graph(), x.dtype()) else { return x };
        let weight = Init::Normal { mean: 0.0, deviation: 0.02 };
        let weight = Parameter::new(within(&self.name, "weight"), [self.inputs, self.outputs], weight);
        let bias = Parameter::new(within(&self.name, "bias"), [self.outputs], Init::Constant(0.0));
        x.linear(weight.of(graph, dtype), Some(bias.of(graph, dtype)))
    }
}

fn attention<'g>(name: &str, x: Expr<'g>, phase: Phase) -> Expr<'g> {
    let together = Conv1D::new(name, "c_attn", WIDTH, 3 * WIDTH).forward(x, phase);
    let [q, k, v] = [0, 1, 2].map(|part| together.slice(-1, part * WIDTH, (part + 1) * WIDTH).split_heads(HEADS));
    let causal = Attention { is_causal: true, ..Attention::default() };
    let attended = q.scaled_dot_product_attention(k, v, None, causal).merge_heads();
    Conv1D::new(name, "c_proj", WIDTH, WIDTH).forward(attended, phase)
}

fn block<'g>(name: &str, x: Expr<'g>, phase: Phase) -> Expr<'g> {
    let norm = |part: &str, x| LayerNorm::new(within(name, part), [WIDTH]).apply(x);
    let x = x + attention(&within(name, "attn"), norm("ln_1", x), phase);
    let inner = Conv1D::new(name, "mlp.c_fc", WIDTH, 4 * WIDTH).forward(norm("ln_2", x), phase);
    x + Conv1D::new(name, "mlp.c_proj", 4 * WIDTH, WIDTH).forward(inner.gelu(Gelu::Tanh), phase)
}

#[test]
fn gpt2_equals_its_implementation() {
    // The implementation computes the loss of its logits in f32 whatever it is given: in f64 throughout it is 1.1e-7 from itself.
    Reference::open("gpt2").exact_to(1e-6).assert_equal(|inputs| {
        let (ids, labels, phase) = (inputs.get("input_ids"), inputs.get("labels"), Phase::Training);
        let length = ids.shape().expect("two axes")[1];
        let tokens = Embedding::new("transformer.wte", TOKENS, WIDTH).dtype(inputs.dtype());
        let places = Embedding::new("transformer.wpe", POSITIONS, WIDTH).dtype(inputs.dtype());
        let x = tokens.apply(ids) + places.apply(inputs.graph().iota([length], 0));
        let blocks = (0..BLOCKS).map(|number| format!("transformer.h.{number}"));
        let x = blocks.fold(x, |x, name| block(&name, x, phase));
        let x = LayerNorm::new("transformer.ln_f", [WIDTH]).apply(x);
        let logits = x.matmul_with(tokens.weight().of(inputs.graph(), inputs.dtype()), false, true);
        let next = logits.slice(1, 0, length - 1).flatten_axes(0, 1);
        let loss = next.cross_entropy(labels.slice(1, 1, length).flatten());
        Outputs::of_loss(loss).with("logits", logits)
    });
}
