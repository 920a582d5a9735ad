//! Which samples an epoch goes over, and in which order.

use super::DataError;
use super::draws::Draws;
use crate::error::Error;
use crate::train::shuffled;

/// The order of an epoch.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// That of the source.
    AsTheyStand,
    /// Each sample once.
    Shuffled { seed: u64 },
    /// As many samples as the source has, each drawn by the weights.
    Weighted { seed: u64, weights: Vec<f64> },
}

impl Order {
    /// What it is called, without a weight for each sample.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Order::AsTheyStand => "as they stand",
            Order::Shuffled { .. } => "shuffled",
            Order::Weighted { .. } => "weighted",
        }
    }

    /// The samples of an epoch by their numbers; none where they come as they stand.
    pub(super) fn of_epoch(&self, samples: usize, epoch: u64) -> Result<Option<Vec<Visit>>, Error> {
        let once = |sample| Visit { sample, before: 0 };
        match self {
            Order::AsTheyStand => Ok(None),
            Order::Shuffled { seed } => Ok(Some(shuffled(samples, *seed, epoch)?.into_iter().map(once).collect())),
            Order::Weighted { seed, weights } => {
                let mut visits = vec![0; weights.len()];
                let visit = |sample: usize| {
                    visits[sample] += 1;
                    Visit { sample, before: visits[sample] - 1 }
                };
                Ok(Some(drawn(weights, samples, Draws::new(*seed).of(epoch))?.into_iter().map(visit).collect()))
            }
        }
    }
}

/// A sample's turn in an epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) sample: usize,
    /// How often it came before in the epoch.
    pub(super) before: u64,
}

/// As many numbers of samples as there are, each drawn with a probability in proportion to its weight.
fn drawn(weights: &[f64], samples: usize, mut draws: Draws) -> Result<Vec<usize>, Error> {
    if weights.len() != samples {
        return Err(DataError::WeightCount { found: weights.len(), samples }.into());
    }
    if let Some(sample) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
        return Err(DataError::SampleWeight { sample, weight: weights[sample] }.into());
    }
    // Weights up to the largest number may have a sum that is none.
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 && samples > 0 {
        return Err(DataError::NoSampleWeight { samples }.into());
    }
    let mut sum = 0.0;
    let ends: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight / largest;
            sum
        })
        .collect();
    let last = weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0);
    let mut draw = || {
        let place = draws.uniform() * sum;
        // The first sample that ends behind the place: none of weight 0.
        ends.partition_point(|end| *end <= place).min(last)
    };
    Ok((0..samples).map(|_| draw()).collect())
}
