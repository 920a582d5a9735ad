//! A small transformer that learns which character comes next, and writes some.
use arenagrad::data::{Batches, Characters, Tokenizer, Tokens, read_text};
use arenagrad::nn::{AttentionMasks, Embedding, Linear, Phase, TransformerEncoder, TransformerEncoderLayer};
use arenagrad::train::schedules::{Cosine, Schedule};
use arenagrad::{AdamW, DType, Device, Error, Expr, Optimizer, Tensor, Trainer};

const LENGTH: usize = 24;
const WIDTH: usize = 32;

struct Net {
    tokens: Embedding,
    positions: Embedding,
    blocks: TransformerEncoder,
    head: Linear,
}

impl Net {
    fn logits<'g>(&self, x: Expr<'g>, length: usize, phase: Phase) -> Expr<'g> {
        let places = x.graph().iota([length], 0);
        let h = self.tokens.apply(x) + self.positions.apply(places);
        self.head.apply(self.blocks.apply(h, AttentionMasks::causal(), phase))
    }
}

pub(super) fn main() -> Result<(), Error> {
    let text: String = read_text("data/kjv.txt")?.chars().take(20_000).collect();
    let characters = Characters::of(&text);
    let (train, validation) = Tokens::of(&characters, &text)?.split(0.9)?;
    let count = characters.vocabulary();
    let layer = TransformerEncoderLayer::new("", WIDTH, 2).feed_forward(64).dropout(0.0).batch_first().norm_first();
    let net = Net {
        tokens: Embedding::new("tokens", count, WIDTH),
        positions: Embedding::new("positions", LENGTH, WIDTH),
        blocks: TransformerEncoder::new("blocks", layer, 2).norm(),
        head: Linear::new("head", WIDTH, count),
    };
    let batches = Batches::new(train.random_windows(LENGTH, 12 * 60, 1)?, 12);
    let schedule = Cosine::new(batches.len()).after_warm_up(10);
    let optimizer = AdamW::new(1e-2).no_decay("*.bias").clip_norm(1.0).schedule(schedule);
    let mut trainer = Trainer::new(Device::auto()?, optimizer, |inputs| {
        let logits = net.logits(inputs.get("x"), LENGTH, Phase::Training);
        logits.flatten_axes(0, 1).cross_entropy(inputs.get("labels").flatten())
    });
    let logits =
        trainer.add_evaluation(|inputs| vec![net.logits(inputs.get("x"), inputs.extent("x", 1), Phase::Evaluation)]);
    trainer.train(&batches, 1)?;

    let mut perplexity = arenagrad::metrics::Perplexity::new();
    for batch in Batches::new(validation.windows(LENGTH)?, 12).epoch(0) {
        let (batch, labels) = (batch.clone()?, batch?.get("labels").cloned());
        let logits = trainer.evaluate(logits, &batch)?[0].permute([0, 2, 1])?;
        perplexity.add(&logits, &labels.unwrap_or_else(|| Tensor::from(0)))?;
    }
    println!("validation loss {:.2} of {:.2} without learning", perplexity.cross_entropy(), (count as f64).ln());
    assert!(perplexity.cross_entropy() < 3.0);

    let mut written = characters.encode("And ")?;
    for _ in 0..12 {
        let x = Tensor::new([1, written.len()], written.clone())?;
        let next = trainer.evaluate(logits, &[("x", &x)])?[0].argmax_along(-1)?;
        written.push(next.cast(DType::I32).as_slice::<i32>()?[written.len() - 1]);
    }
    println!("{}", characters.decode(&written)?);
    Ok(())
}
