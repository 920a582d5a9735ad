//! Parameters that an evaluation asks for and that nobody has trained, loaded or set: misspelt names, as a rule.

use arenagrad_graph::{Declaration, DeclarationKind};

use crate::error::Error;
use crate::plan::Plan;
use crate::session::Session;
use crate::train::near_names;

impl Session {
    /// Whether values for all parameters were read from a file or a checkpoint.
    pub(crate) fn is_filled(&self) -> bool {
        self.parameters.is_filled()
    }

    /// Refuses a plan of an evaluation that computes with a parameter's first value, because nothing else has asked for it and nobody gave
    /// it another.
    pub(crate) fn refuse_untrained(&self, plan: &Plan) -> Result<(), Error> {
        let Some(declaration) = trainable(plan).find(|declaration| self.is_untrained(declaration)) else {
            return Ok(());
        };
        let (name, origin) = (declaration.name.clone(), declaration.origin.to_string());
        let known = self.trainable_names().filter(|known| !self.parameters.is_untrained(known));
        let near = near_names(&name, known.chain(self.waiting_names()));
        Err(Error::UntrainedParameter { origin, name, near })
    }

    /// The parameters of a plan that would have their first values, because nothing has asked for them yet and nobody gave them others.
    pub(crate) fn new_names(&self, plan: &Plan) -> Vec<String> {
        let new = trainable(plan).filter(|declaration| self.parameters.get(&declaration.name).is_none());
        let untrained = new.filter(|declaration| self.is_untrained(declaration));
        untrained.map(|declaration| declaration.name.clone()).collect()
    }

    /// Notes that nothing but an evaluation has asked for these yet.
    pub(crate) fn note_untrained(&mut self, names: &[String]) {
        names.iter().for_each(|name| self.parameters.note_untrained(name));
    }

    /// Whether there is a parameter that nothing but an evaluation has asked for.
    pub(crate) fn has_untrained(&self) -> bool {
        self.parameters.has_untrained()
    }

    /// Notes that what a plan computes with is trained, or wanted as it is.
    pub(crate) fn vouch_for(&mut self, plan: &Plan) {
        if self.parameters.has_untrained() {
            trainable(plan).for_each(|declaration| self.parameters.vouch(&declaration.name));
        }
    }

    fn is_untrained(&self, declaration: &Declaration) -> bool {
        match self.parameters.get(&declaration.name) {
            Some(parameter) => self.parameters.is_untrained(&parameter.name),
            None => !self.parameters.has_waiting(&declaration.name),
        }
    }
}

/// The parameters of a plan that are declared to be trained.
fn trainable(plan: &Plan) -> impl Iterator<Item = &Declaration> {
    let alive = plan.declarations.iter().zip(&plan.alive).filter(|(_, alive)| **alive);
    let is_trainable = |kind: &DeclarationKind| match kind {
        DeclarationKind::Input => false,
        DeclarationKind::Parameter { trainable, .. } => *trainable,
    };
    alive.map(|(declaration, _)| declaration).filter(move |declaration| is_trainable(&declaration.kind))
}
