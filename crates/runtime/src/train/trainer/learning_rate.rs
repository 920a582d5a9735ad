//! The learning rate of a training function, set by hand: at once, or as soon as the function is planned.

use arenagrad_graph::DeclarationKind;

use crate::error::{Error, Given};
use crate::plan::Plan;
use crate::train::trainer::function::{Body, Purpose};
use crate::train::trainer::{FunctionId, Trainer, under};
use crate::train::{Hyperparameters, LEARNING_RATE, listed};

impl Trainer<'_> {
    /// Sets the learning rate of the first training function, for all its plans, from the next step on. Errors as
    /// [`Session::set_learning_rate`](crate::Session::set_learning_rate); before the first plan is made, that the optimiser has none,
    /// or that its dtype does not hold the rate, is told by each step until a rate is set that can be used.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<(), Error> {
        self.set_learning_rate_of(self.first_training()?, rate)
    }

    /// [`Trainer::set_learning_rate`] of a training function.
    pub fn set_learning_rate_of(&mut self, function: FunctionId, rate: f64) -> Result<(), Error> {
        let (number, name) = (self.place(function)?, self.training(function)?);
        let is_planned = self.session.set_learning_rate_under(&name, rate)?;
        if !is_planned && self.functions[number].has_run() {
            // There is a plan of a step, and its optimiser has declared no learning rate.
            self.session.parameter(&under(&name, LEARNING_RATE))?;
        }
        if let Body::Training { learning_rate, .. } = &mut self.functions[number].body {
            *learning_rate = (!is_planned).then_some(rate);
        }
        Ok(())
    }

    /// Refuses a learning rate that was given before the function had a plan, if its optimiser has none or could not use it. It is
    /// refused again at each step until another is set.
    pub(super) fn refuse_waiting_learning_rate(
        &self,
        number: usize,
        purpose: Purpose,
        plan: &Plan,
    ) -> Result<(), Error> {
        let Body::Training { name, learning_rate: Some(rate), .. } = &self.functions[number].body else {
            return Ok(());
        };
        if matches!(purpose, Purpose::Gradients | Purpose::Shard) {
            return Ok(());
        }
        let wanted = under(name, LEARNING_RATE);
        let declared = plan.declarations.iter().zip(&plan.alive).filter(|(_, alive)| **alive);
        let declared = declared.map(|(declaration, _)| declaration);
        let Some(state) = declared.clone().find(|declaration| declaration.name == wanted) else {
            let known = listed(declared.map(|declaration| declaration.name.as_str()));
            return Err(Error::UnknownParameter { name: wanted, known });
        };
        // Before the plan is kept: once it is, nothing would ask any more, and a step would train at another rate.
        let trained = declared.filter(|declaration| match declaration.kind {
            DeclarationKind::Input => false,
            DeclarationKind::Parameter { trainable, .. } => trainable,
        });
        let dtypes = trained.chain([state]).map(|declaration| declaration.storage.value());
        Hyperparameters::beside(dtypes.chain(self.session.trained_dtypes()), Given::Argument).learning_rate(*rate)
    }

    /// Sets a learning rate that was given before the function had a plan.
    pub(super) fn set_waiting_learning_rate(&mut self, number: usize) -> Result<(), Error> {
        let Body::Training { name, learning_rate, .. } = &mut self.functions[number].body else { return Ok(()) };
        let Some(rate) = *learning_rate else { return Ok(()) };
        if self.session.set_learning_rate_under(name, rate)? {
            *learning_rate = None;
        }
        Ok(())
    }
}
