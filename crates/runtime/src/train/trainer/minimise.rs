//! Steps of L-BFGS over the parameters of a training function.

use crate::data::NamedTensors;
use crate::error::Error;
use crate::session::Session;
use crate::tensor::Tensor;
use crate::train::lbfgs::{Gradients, lower_state};
use crate::train::loss_scale::LOSS_SCALE;
use crate::train::trainer::function::Purpose;
use crate::train::trainer::tensors::Tensors;
use crate::train::trainer::{FunctionId, Trainer, under};
use crate::train::{Lbfgs, LbfgsOutcome};

/// The loss and the gradients of a function of a trainer, of one batch.
struct OfBatch<'t, 'f> {
    trainer: &'t mut Trainer<'f>,
    function: FunctionId,
    batch: Tensors<'t>,
}

impl Trainer<'_> {
    /// One step of L-BFGS over the first training function: its loss and gradients are evaluated several times, all of this batch, which is
    /// the whole data as a rule. The parameters that are moved are those that the function's optimiser trains and a gradient reaches; the optimiser
    /// itself is left alone, as are the count of steps and running statistics. A scale of the loss shrinks where gradients overflow by it.
    ///
    /// Errors, after which the parameters are as they were: those of [`Trainer::gradients`] and of
    /// [`Lbfgs::minimise`](crate::train::Lbfgs::minimise).
    ///
    /// ```
    /// use arenagrad::nn::Linear;
    /// use arenagrad::train::Lbfgs;
    /// use arenagrad::{Adam, Device, Tensor, Trainer};
    ///
    /// let line = Linear::new("line", 1, 1);
    /// let mut trainer = Trainer::new(Device::cpu(), Adam::new(0.1), |inputs| {
    ///     let x = inputs.get("x");
    ///     (line.apply(x) - (x * 2.0 - 1.0)).square().mean(..)
    /// });
    /// let x = Tensor::new([4, 1], vec![0.0f32, 1.0, 2.0, 3.0])?;
    /// trainer.step(&[("x", &x)])?; // Adam begins,
    /// let outcome = trainer.minimise(&mut Lbfgs::new(1.0).strong_wolfe(), &[("x", &x)])?; // and L-BFGS ends
    /// assert!(outcome.loss < 1e-8);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn minimise(&mut self, lbfgs: &mut Lbfgs, batch: &(impl NamedTensors + ?Sized)) -> Result<LbfgsOutcome, Error> {
        self.minimise_of(self.first_training()?, lbfgs, batch)
    }

    /// [`Trainer::minimise`] of a training function.
    pub fn minimise_of(
        &mut self,
        function: FunctionId,
        lbfgs: &mut Lbfgs,
        batch: &(impl NamedTensors + ?Sized),
    ) -> Result<LbfgsOutcome, Error> {
        self.session.require_waiting("Trainer::minimise")?;
        self.training(function)?;
        let batch = Tensors::of(batch);
        self.refuse_empty(&batch)?;
        let (number, place) = self.planned_together(function, Purpose::Gradients, &batch)?;
        let names = self.functions[number].kept(place).names.clone();
        lbfgs.minimise_over(&mut OfBatch { trainer: self, function, batch }, names)
    }
}

impl Gradients for OfBatch<'_, '_> {
    fn session(&mut self) -> &mut Session {
        self.trainer.session_mut()
    }

    fn compute(&mut self) -> Result<Vec<Tensor>, Error> {
        let (_, results) = self.trainer.start_gradients(self.function, &self.batch)?;
        let results = results.wait()?;
        Ok(results)
    }

    fn lower_scale(&mut self) -> Result<bool, Error> {
        let Some(settings) = self.trainer.precision.scale() else { return Ok(false) };
        let name = under(&self.trainer.training(self.function)?, LOSS_SCALE);
        lower_state(&mut self.trainer.session, &name, settings)
    }
}
