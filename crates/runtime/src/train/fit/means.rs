//! What the steps of a stretch have come to.

use crate::error::Error;
use crate::metrics::Mean;
use crate::train::fit::Record;

/// The means of the loss and of other metrics over samples.
#[derive(Default)]
pub(super) struct Means {
    pub(super) samples: u64,
    pub(super) steps: u64,
    /// The mean of each metric, and over how many samples it is: not every batch needs to report each.
    means: Vec<(String, Mean, u64)>,
}

impl Means {
    pub(super) fn add(&mut self, samples: u64, metrics: impl Iterator<Item = (String, f64)>) -> Result<(), Error> {
        for (name, value) in metrics {
            self.add_one(name, value, samples)?;
        }
        self.samples += samples;
        self.steps += 1;
        Ok(())
    }

    /// Adds what a record of several steps says: each metric over as many samples as it was reported for.
    pub(super) fn add_record(&mut self, record: &Record) -> Result<(), Error> {
        for (name, value) in &record.training {
            self.add_one(name.clone(), *value, record.samples_of(name))?;
        }
        self.samples += record.samples;
        self.steps += 1;
        Ok(())
    }

    pub(super) fn values(&self) -> Vec<(String, f64)> {
        self.means.iter().map(|(name, mean, _)| (name.clone(), mean.value())).collect()
    }

    /// Over how many samples those metrics are that not all samples were reported for.
    pub(super) fn partial_samples(&self) -> Vec<(String, u64)> {
        let partial = self.means.iter().filter(|(.., samples)| *samples != self.samples);
        partial.map(|(name, _, samples)| (name.clone(), *samples)).collect()
    }

    fn add_one(&mut self, name: String, value: f64, samples: u64) -> Result<(), Error> {
        let place = self.means.iter().position(|(known, ..)| *known == name).unwrap_or_else(|| {
            self.means.push((name, Mean::new(), 0));
            self.means.len() - 1
        });
        let (_, mean, known) = &mut self.means[place];
        mean.add(value, samples as f64)?;
        *known += samples;
        Ok(())
    }
}
