//! A variational autoencoder of digits.
use arenagrad::data::Csv;
use arenagrad::nn::{Linear, Phase};
use arenagrad::{Adam, Device, Error, Expr, Tensor, Trainer};

struct Vae {
    encoder: [Linear; 2],
    decoder: [Linear; 2],
}

impl Vae {
    /// `[n, 64] -> [n, 4], [n, 4]`: mean and logarithm of the variance of the code.
    fn encode<'g>(&self, x: Expr<'g>) -> (Expr<'g>, Expr<'g>) {
        let code = self.encoder[1].apply(self.encoder[0].apply(x).relu());
        (code.slice(1, 0, 4), code.slice(1, 4, 8))
    }

    /// `[n, 4] -> [n, 64]`, logits of the pixels.
    fn decode<'g>(&self, code: Expr<'g>) -> Expr<'g> {
        self.decoder[1].apply(self.decoder[0].apply(code).relu())
    }
}

pub(super) fn main() -> Result<(), Error> {
    let digits = Csv::new().without_header().integers("labels", 64).remaining("x").read("data/digits.csv")?.data;
    let x = digits.column("x")? / 16.0;
    let digits = digits.with("x", x)?;
    let vae = Vae {
        encoder: [Linear::new("encoder.0", 64, 64), Linear::new("encoder.1", 64, 8)],
        decoder: [Linear::new("decoder.0", 4, 64), Linear::new("decoder.1", 64, 64)],
    };
    let mut trainer = Trainer::new(Device::auto()?, Adam::new(3e-3), |inputs| {
        let x = inputs.get("x");
        let (mean, log_variance) = vae.encode(x);
        let noise = x.graph().normal_in(Phase::Training, [inputs.extent("x", 0), 4]);
        let logits = vae.decode(mean + (log_variance * 0.5).exp() * noise);
        let divergence = (mean.square() + log_variance.exp() - log_variance - 1.0).sum(1) * 0.5;
        (logits.softplus(1.0, 20.0) - x * logits).sum(1).mean(..) + divergence.mean(..)
    });
    let sample = trainer.add_evaluation(|inputs| vec![vae.decode(inputs.get("code")).sigmoid()]);
    let batches = digits.batches(64).shuffled(1, 0).drop_last();
    let (first, last) = (trainer.train(&batches, 1)?, trainer.train(&batches, 6)?);
    println!("loss {first:.2}, then {last:.2}");
    assert!(last < 0.9 * first);
    let images = &trainer.evaluate(sample, &[("code", &Tensor::zeros([1, 4], arenagrad::DType::F32)?)])?[0];
    println!("{:.1}", images.reshape([8, 8])?);
    Ok(())
}
