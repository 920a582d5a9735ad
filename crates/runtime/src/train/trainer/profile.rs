//! Profiles of a trainer's functions.

use crate::data::NamedTensors;
use crate::error::Error;
use crate::profile::{Profile, ProfileOptions};
use crate::train::trainer::function::Purpose;
use crate::train::trainer::tensors::Tensors;
use crate::train::trainer::{FunctionId, Trainer, Use};

impl Trainer<'_> {
    /// Profiles the training step of the first training function for a batch: see [`crate::profile`]. Parameters, states and counters
    /// are afterwards as they were. Errors as [`Trainer::step`], and [`Error::Unsupported`](crate::Error::Unsupported)
    /// in a group: its steps run in parts between exchanges.
    pub fn profile(&mut self, batch: &(impl NamedTensors + ?Sized)) -> Result<Profile, Error> {
        self.profile_of(self.first_training()?, batch, &ProfileOptions::default())
    }

    /// Profiles a function, be it a training function or an evaluation, under options of one's own.
    pub fn profile_of(
        &mut self,
        function: FunctionId,
        batch: &(impl NamedTensors + ?Sized),
        options: &ProfileOptions,
    ) -> Result<Profile, Error> {
        let tensors = Tensors::of(batch);
        let (number, place) = self.planned(function, Purpose::Run, &tensors, Use::Run)?;
        let kept = self.functions[number].kept(place);
        let inputs = kept.chosen(&tensors);
        self.session.profile_prepared(&mut kept.prepared, &inputs, options)
    }
}
