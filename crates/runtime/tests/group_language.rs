//! A small language model in a group: embeddings, attention and norms, with all that may stand around an optimiser.

use std::sync::Arc;

use crate::suite::members::members;
use arenagrad::data::Batch;
use arenagrad::group::{Alone, Group, share_of};
use arenagrad::nn::{AttentionMasks, Embedding, LayerNorm, Linear, MultiHeadAttention, Phase};
use arenagrad::{AdamW, CrossEntropy, Device, Error, Expr, Inputs, Optimizer, Reduction, Tensor, Trainer};

const TOKENS: usize = 11;
const POSITIONS: usize = 6;
const WIDTH: usize = 16;

struct Language {
    tokens: Embedding,
    positions: Embedding,
    norm: LayerNorm,
    attention: MultiHeadAttention,
    head: Linear,
}

impl Language {
    fn new() -> Self {
        Language {
            tokens: Embedding::new("tokens", TOKENS, WIDTH),
            positions: Embedding::new("positions", POSITIONS, WIDTH),
            norm: LayerNorm::new("norm", [WIDTH]),
            attention: MultiHeadAttention::new("attention", WIDTH, 2).batch_first(),
            head: Linear::new("head", WIDTH, TOKENS),
        }
    }

    /// Logits of all positions, and what follows each.
    fn predictions<'g>(&self, inputs: &Inputs<'g>) -> [Expr<'g>; 2] {
        let tokens = inputs.get("x");
        let h = self.tokens.apply(tokens) + self.positions.apply(inputs.graph().iota([POSITIONS], 0));
        let h = h + self.attention.apply(self.norm.apply(h), AttentionMasks::causal(), Phase::Training);
        let predictions = inputs.extent("x", 0) * POSITIONS;
        [self.head.apply(h).reshape([predictions, TOKENS]), inputs.get("next").flatten()]
    }

    fn loss<'g>(&self, inputs: &Inputs<'g>) -> Expr<'g> {
        let [logits, labels] = self.predictions(inputs);
        inputs.report("accuracy", logits.accuracy(labels));
        logits.cross_entropy(labels)
    }
}

/// This member's part of so many texts.
fn texts(group: &dyn Group, count: usize, seed: u32) -> Batch {
    let mut state = seed;
    let mut tokens = || {
        let list = (0..count * POSITIONS).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as i32 % TOKENS as i32
        });
        let whole = Tensor::new([count, POSITIONS], list.collect::<Vec<i32>>()).unwrap();
        let own = share_of(group).range(count);
        whole.slice(0, own.start, own.end).unwrap()
    };
    Batch::new().with("x", tokens()).with("next", tokens())
}

/// Losses of micro-batches, and at the end the loss of other texts, by the weights and by their moving averages.
fn run(group: &Arc<dyn Group>, bucket_bytes: usize) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let language = Language::new();
    let optimizer = AdamW::new(1e-3).clip_norm(0.5).accumulate(2).moving_average(0.9);
    let mut trainer = Trainer::new(Device::cpu(), optimizer, |inputs| language.loss(inputs))
        .in_group(Arc::clone(group))
        .bucket_bytes(bucket_bytes);
    let evaluation = trainer.add_evaluation(|inputs| {
        let [logits, labels] = language.predictions(inputs);
        let sum = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
        vec![logits.cross_entropy_with(labels, sum)]
    });
    let mut seen = Vec::new();
    for step in 0..40 {
        let outcome = trainer.step(&texts(&**group, 5, step))?;
        seen.extend([outcome.loss, outcome.metric("accuracy")?.item()?]);
    }
    // Two texts: of three members one has none.
    let own = texts(&**group, 2, 1000);
    let count = own.get("next").unwrap().shape().elements();
    let mut evaluated = Vec::new();
    for _ in 0..2 {
        let sum = if count > 0 { trainer.evaluate(evaluation, &own)?[0].item()? } else { 0.0 };
        let sums = group.all_reduce(vec![sum, count as f64].into())?.to_f64()?;
        evaluated.push(sums[0] / sums[1]);
        trainer.session_mut().swap_averages()?;
    }
    trainer.session_mut().compare_members()?;
    Ok((seen, evaluated))
}

#[test]
fn a_language_model_follows_one_process() {
    let alone: Arc<dyn Group> = Arc::new(Alone);
    let (expected, evaluated) = run(&alone, 1).unwrap();
    assert!(evaluated[0] != evaluated[1], "averages differ from weights: {evaluated:?}");
    let differ = |a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(0.1)).fold(0.0, f64::max)
    };
    for size in [2, 3] {
        for found in members(size, |group| run(&group, 1 << 20)) {
            let (seen, others) = found.unwrap();
            assert!(seen.iter().chain(&others).all(|number| number.is_finite()));
            let (worst, of_evaluations) = (differ(&seen, &expected), differ(&others, &evaluated));
            assert!(worst <= 1e-6 && of_evaluations <= 1e-6, "{size} members: {worst:e}, {of_evaluations:e}");
        }
    }
}

#[test]
fn buckets_change_no_bit_of_two_members() {
    let runs = [1, 700, 1 << 20].map(|bytes| members(2, |group| run(&group, bytes).unwrap()).remove(1));
    assert!(runs[1] == runs[0] && runs[2] == runs[0]);
}
