//! What a network is applied for.

/// Whether a network is applied to train it or to use it. It is an argument wherever it matters: dropout drops in training alone,
/// and batch normalisation takes the batch's statistics in training and running ones in evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A training step.
    Training,
    /// Everything else: validation, testing, prediction.
    Evaluation,
}

impl Phase {
    /// Whether this is training.
    #[must_use]
    pub fn is_training(self) -> bool {
        match self {
            Phase::Training => true,
            Phase::Evaluation => false,
        }
    }
}
