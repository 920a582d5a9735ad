//! A run that is cut off after two epochs and goes on as if it had not been.
use arenagrad::data::Csv;
use arenagrad::fit::Fit;
use arenagrad::nn::{Linear, Phase};
use arenagrad::{AdamW, Device, Error, Trainer};

pub(super) fn main() -> Result<(), Error> {
    let digits = Csv::new().without_header().integers("labels", 64).remaining("x").read("data/digits.csv")?;
    let batches = digits.data.batches(64).shuffled(1, 0);
    let folder = std::env::temp_dir().join(format!("arenagrad-resume-{}", std::process::id()));
    let head = Linear::new("head", 64, 10);
    let train = |epochs: u64, folder: &std::path::Path| {
        let mut trainer = Trainer::new(Device::auto()?, AdamW::new(1e-2), |inputs| {
            let x = (inputs.get("x") / 16.0).dropout_in(Phase::Training, 0.2);
            head.apply(x).cross_entropy(inputs.get("labels"))
        });
        Fit::new(epochs).folder(folder).resume().quiet().train(&mut trainer, &batches)?;
        trainer.session().parameter("head.weight")
    };
    train(2, &folder.join("cut"))?;
    let resumed = train(4, &folder.join("cut"))?;
    assert_eq!(resumed, train(4, &folder.join("whole"))?);
    std::fs::remove_dir_all(&folder).ok();
    Ok::<(), Error>(())
}
