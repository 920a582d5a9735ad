//! What the steps of a stretch have come to.

use crate::error::Error;
use crate::metrics::Mean;

/// The means of the loss and of other metrics over samples.
#[derive(Default)]
pub(super) struct Means {
    pub(super) samples: u64,
    pub(super) steps: u64,
    means: Vec<(String, Mean)>,
}

impl Means {
    pub(super) fn add(&mut self, samples: u64, metrics: impl Iterator<Item = (String, f64)>) -> Result<(), Error> {
        for (name, value) in metrics {
            let place = self.means.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                self.means.push((name, Mean::new()));
                self.means.len() - 1
            });
            self.means[place].1.add(value, samples as f64)?;
        }
        self.samples += samples;
        self.steps += 1;
        Ok(())
    }

    pub(super) fn values(&self) -> Vec<(String, f64)> {
        self.means.iter().map(|(name, mean)| (name.clone(), mean.value())).collect()
    }
}
