//! Regression on a CSV file with missing numbers and a category.
use arenagrad::data::{Csv, Dataset, Fill, Imputation, Missing, Per, Scaling};
use arenagrad::metrics::Regression;
use arenagrad::nn::{Embedding, Linear};
use arenagrad::{AdamW, Device, Error, Expr, Inputs, Trainer};

struct Net {
    district: Embedding,
    hidden: Linear,
    price: Linear,
}

impl Net {
    fn price<'g>(&self, inputs: &Inputs<'g>) -> Expr<'g> {
        let district = self.district.apply(inputs.get("district"));
        let x = inputs.graph().concat(&[inputs.get("x"), district], 1);
        self.price.apply(self.hidden.apply(x).tanh())
    }
}

pub(super) fn main() -> Result<(), Error> {
    let table = Csv::new()
        .features("x", ["area", "rooms", "year"])
        .features("price", ["price"])
        .categories("district", "district")
        .missing(Missing::Nan)
        .read("data/flats.csv")?;
    let (train, test) = table.data.split_stratified("district", 0.8, 1)?;
    let missing = Imputation::fit(&train, "x", Per::Channel, Fill::Median)?;
    let scaling = Scaling::standardise(&train, "x", Per::Channel)?;
    let prices = Scaling::standardise(&train, "price", Per::Whole)?;
    let prepared = |data: &Dataset| scaling.apply(&missing.apply(data)?);
    let (train, test) = (prices.apply(&prepared(&train)?)?, prepared(&test)?);

    let net = Net {
        district: Embedding::new("district", 3, 2),
        hidden: Linear::new("hidden", 5, 16),
        price: Linear::new("price", 16, 1),
    };
    let mut trainer = Trainer::new(Device::auto()?, AdamW::new(1e-2), |inputs| {
        (net.price(inputs) - inputs.get("price")).square().mean(..)
    });
    let predict = trainer.add_evaluation(|inputs| vec![net.price(inputs)]);
    trainer.train(&train.batches(32).shuffled(1, 0), 60)?;

    let predicted = prices.invert(&trainer.evaluate_batches(predict, &test.batches(64))?[0])?;
    let errors = Regression::of(&predicted, test.column("price")?)?;
    println!("mean error of a price {:.1}, R2 {:.3}", errors.mean_absolute_error(), errors.r2());
    assert!(errors.r2() > 0.9);
    Ok(())
}
