//! A convolutional network on images of digits, with validation and early stopping.
use arenagrad::data::Csv;
use arenagrad::fit::{Better, Fit};
use arenagrad::metrics::Accuracy;
use arenagrad::nn::{Conv2d, Linear, Phase};
use arenagrad::{AdamW, Device, Error, Expr, Trainer};

struct Net {
    conv: Conv2d,
    head: Linear,
}

impl Net {
    fn logits<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let h = self.conv.apply((x / 16.0).unflatten(1, [1, 8, 8])).relu().max_pool2d(2);
        self.head.apply(h.flatten_axes(1, -1).dropout_in(phase, 0.1))
    }
}

pub(super) fn main() -> Result<(), Error> {
    let digits = Csv::new().without_header().integers("labels", 64).remaining("x").read("data/digits.csv")?;
    let (train, test) = digits.data.split_stratified("labels", 0.8, 1)?;
    let net = Net { conv: Conv2d::new("conv", 1, 16, 3).padding(1), head: Linear::new("head", 16 * 4 * 4, 10) };
    let mut trainer = Trainer::new(Device::auto()?, AdamW::new(1e-2), |inputs| {
        net.logits(inputs.get("x"), Phase::Training).cross_entropy(inputs.get("labels"))
    });
    let logits = trainer.add_evaluation(|inputs| vec![net.logits(inputs.get("x"), Phase::Evaluation)]);
    let outcome = Fit::new(5)
        .validate(|trainer| {
            let logits = &trainer.evaluate_batches(logits, &test.batches(128))?[0];
            Ok([("accuracy", Accuracy::of(logits, test.column("labels")?)?)])
        })
        .monitor("accuracy", Better::Higher)
        .patience(2)
        .restore_best()
        .train(&mut trainer, &train.batches(64).shuffled(1, 0))?;
    assert!(outcome.best.is_some_and(|best| best.value > 0.9));
    Ok(())
}
