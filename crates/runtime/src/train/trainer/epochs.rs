//! Whole epochs of a data set: the shortest loop, and an evaluation of all of it.

use arenagrad_graph::Origin;

use crate::data::{Batches, NamedTensors};
use crate::error::Error;
use crate::metrics::Mean;
use crate::tensor::Tensor;
use crate::train::loss_scale::{GOOD_STEPS, SKIPPED_UPDATES};
use crate::train::schedules::Count;
use crate::train::trainer::under;
use crate::train::trainer::{FunctionId, Trainer};

impl Trainer<'_> {
    /// Trains the first training function on so many epochs of these batches, from the first epoch on, and returns the mean of the last
    /// epoch's losses over its samples; NaN for no epochs. A loss that is not finite, of a step that a scale of the loss skipped, has no part in it. `Fit` of the feature `fit` is the same with progress, validation and checkpoints.
    ///
    /// Errors: those of the batches and of [`Trainer::step`], after which the steps before stay; no batches ([`Error::NoBatches`]).
    ///
    /// ```
    /// use arenagrad::data::Dataset;
    /// use arenagrad::nn::Linear;
    /// use arenagrad::{Adam, Device, Tensor, Trainer};
    ///
    /// let x = Tensor::new([8, 1], (0..8).map(|x| x as f32 / 4.0).collect())?;
    /// let data = Dataset::new().with("y", 2.0f32 * &x - 1.0)?.with("x", x)?;
    /// let line = Linear::new("line", 1, 1);
    /// let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
    ///     (line.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
    /// });
    /// let predict = trainer.add_evaluation(|inputs| vec![line.apply(inputs.get("x"))]);
    /// let loss = trainer.train(&data.batches(3).shuffled(1, 0), 100)?;
    /// assert!(loss < 0.01);
    /// let predicted = &trainer.evaluate_batches(predict, &data.batches(5))?[0];
    /// assert!(predicted.allclose(data.column("y")?, 0.0, 0.3)?);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    #[track_caller]
    pub fn train(&mut self, batches: &Batches, epochs: impl Count) -> Result<f64, Error> {
        let mut loss = Mean::new();
        let mut known_skips = self.skipped_updates()?;
        for epoch in 0..epochs.count() {
            loss = Mean::new();
            for batch in batches.epoch(epoch) {
                // The others of a group are told, who wait for this member.
                let batch = self.session.noted(batch)?;
                let own = batch.samples();
                let of_batch = self.step(&batch)?.loss;
                if !of_batch.is_finite() {
                    let is_skipped = self.is_skipped(known_skips)?;
                    known_skips = self.skipped_updates()?;
                    if is_skipped {
                        continue;
                    }
                }
                loss.add(of_batch, self.session().samples_of_step(own) as f64)?;
            }
            // Behind the loop, which tells a size of batches that is none.
            if batches.is_empty() {
                return Err(Error::NoBatches { method: "train", origin: Origin::here().to_string() });
            }
        }
        Ok(loss.value())
    }

    /// How many updates of the first training function its scale of the loss has skipped; 0 if it has none.
    pub(crate) fn skipped_updates(&self) -> Result<f64, Error> {
        Ok(self.scale_state(SKIPPED_UPDATES)?.unwrap_or(0.0))
    }

    /// Whether the step that was just made, by that function, is one that its scale of the loss skipped, where `known` updates were skipped when that
    /// was last asked. A step that changed the scale because it was time to counts as one if others were skipped since.
    pub(crate) fn is_skipped(&self, known: f64) -> Result<bool, Error> {
        // Steps of finite losses are skipped too, if their gradients are not finite, and nobody asks then.
        Ok(self.skipped_updates()? > known && self.scale_state(GOOD_STEPS)? == Some(0.0))
    }

    /// A state of the first training function's scale of the loss, if it has one.
    fn scale_state(&self, state: &str) -> Result<Option<f64>, Error> {
        let name = under(&self.training(self.first_training()?)?, state);
        let is_known = self.precision.scale().is_some() && self.session.parameter_bytes(&name).is_some();
        if is_known { self.session.parameter(&name)?.item().map(Some) } else { Ok(None) }
    }

    /// Runs an evaluation on all batches of an epoch, in their order, and returns each output for all samples: those of the batches one behind the
    /// other along the first axis. Scalars become `[batches]`. Of batches that are not shuffled, the results are in the order of the samples.
    ///
    /// Errors: those of the batches and of [`Trainer::evaluate`]; outputs of batches that differ in more than the first axis
    /// ([`TensorError::Shapes`](crate::TensorError::Shapes)); no batches ([`Error::NoBatches`]).
    #[track_caller]
    pub fn evaluate_batches(&mut self, function: FunctionId, batches: &Batches) -> Result<Vec<Tensor>, Error> {
        let mut outputs: Vec<Vec<Tensor>> = Vec::new();
        for batch in batches.epoch(0) {
            for (number, output) in self.evaluate(function, &batch?)?.into_iter().enumerate() {
                let output = if output.shape().rank() == 0 { output.reshape([1usize])? } else { output };
                match outputs.get_mut(number) {
                    Some(known) => known.push(output),
                    None => outputs.push(vec![output]),
                }
            }
        }
        if batches.is_empty() {
            return Err(Error::NoBatches { method: "evaluate_batches", origin: Origin::here().to_string() });
        }
        outputs.iter().map(|parts| Tensor::concat(parts, 0)).collect()
    }
}
