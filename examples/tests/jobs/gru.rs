//! A recurrent network that learns which character comes next.
use arenagrad::data::{Batches, Characters, Tokenizer, Tokens, read_text};
use arenagrad::nn::{Embedding, Gru, Linear, Phase};
use arenagrad::{AdamW, Device, Error, Expr, Inputs, Optimizer, Trainer};

struct Net {
    tokens: Embedding,
    gru: Gru,
    next: Linear,
}

impl Net {
    fn loss<'g>(&self, inputs: &Inputs<'g>, phase: Phase) -> Expr<'g> {
        let (states, _) = self.gru.apply(self.tokens.apply(inputs.get("x")), None, phase);
        self.next.apply(states).flatten_axes(0, 1).cross_entropy(inputs.get("labels").flatten())
    }
}

pub(super) fn main() -> Result<(), Error> {
    let text: String = read_text("data/kjv.txt")?.chars().take(20_000).collect();
    let characters = Characters::of(&text);
    let (train, validation) = Tokens::of(&characters, &text)?.split(0.9)?;
    let count = characters.vocabulary();
    let (tokens, gru) = (Embedding::new("tokens", count, 16), Gru::new("gru", 16, 32).batch_first());
    let net = Net { tokens, gru, next: Linear::new("next", 32, count) };
    let mut trainer =
        Trainer::new(Device::auto()?, AdamW::new(2e-2).clip_norm(1.0), |inputs| net.loss(inputs, Phase::Training));
    let loss = trainer.add_evaluation(|inputs| vec![net.loss(inputs, Phase::Evaluation)]);
    trainer.train(&Batches::new(train.random_windows(24, 16 * 60, 1)?, 16), 1)?;
    let loss = trainer.evaluate_batches(loss, &Batches::new(validation.windows(24)?, 16).drop_last())?[0].mean()?;
    println!("validation loss {loss:.2} of {:.2} without learning", (count as f64).ln());
    assert!(loss < 3.0);
    Ok(())
}
