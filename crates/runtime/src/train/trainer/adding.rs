//! The functions that a trainer is given.

use arenagrad_graph::{Expr, Origin};

use crate::error::Error;
use crate::train::Optimizer;
use crate::train::trainer::function::{Body, Function, build_loss, build_outputs};
use crate::train::trainer::{FunctionId, Inputs, Trainer};

impl<'f> Trainer<'f> {
    /// Adds a training function with an optimiser of its own, over the same parameters. Its name stands before the names of the
    /// optimiser's states. A name that another has is an error when the function is planned ([`Error::RepeatedFunction`]), and so is one
    /// under which a state of its optimiser has the name of another function's state ([`Error::SharedState`]), or of a parameter that is
    /// trained ([`Error::ReservedName`]).
    #[track_caller]
    pub fn add_training<L>(
        &mut self,
        name: impl Into<String>,
        optimizer: impl Optimizer + Send + 'f,
        loss: L,
    ) -> FunctionId
    where
        L: for<'g> Fn(&Inputs<'g>) -> Expr<'g> + Send + 'f,
    {
        self.try_add_training(name, optimizer, build_loss(move |inputs| Ok(loss(inputs))))
    }

    /// [`Trainer::add_training`] with a `loss` that may fail, as [`Trainer::try_new`] has it.
    #[track_caller]
    pub fn try_add_training<L>(
        &mut self,
        name: impl Into<String>,
        optimizer: impl Optimizer + Send + 'f,
        loss: L,
    ) -> FunctionId
    where
        L: for<'g> Fn(&Inputs<'g>) -> Result<Expr<'g>, Error> + Send + 'f,
    {
        let name = name.into();
        self.session.note_optimizer(&name);
        let (optimizer, loss) = (Box::new(optimizer), build_loss(loss));
        self.add(Body::Training { name, optimizer, loss, learning_rate: None })
    }

    /// Adds a function that computes outputs and changes nothing.
    ///
    /// What it computes with after training must have been trained, loaded or set: a parameter that nothing else has asked for is
    /// [`Error::UntrainedParameter`], because it is a misspelt layer as a rule. Before the first step, and before every training function has
    /// run, first values are what there is, and evaluations take them. Where they are wanted later, as of a random projection, plan the
    /// evaluation by [`Trainer::prepare_of`].
    #[track_caller]
    pub fn add_evaluation<O>(&mut self, outputs: O) -> FunctionId
    where
        O: for<'g> Fn(&Inputs<'g>) -> Vec<Expr<'g>> + Send + 'f,
    {
        self.try_add_evaluation(build_outputs(move |inputs| Ok(outputs(inputs))))
    }

    /// [`Trainer::add_evaluation`] with a function that may fail, as [`Trainer::try_new`] has it.
    #[track_caller]
    pub fn try_add_evaluation<O>(&mut self, outputs: O) -> FunctionId
    where
        O: for<'g> Fn(&Inputs<'g>) -> Result<Vec<Expr<'g>>, Error> + Send + 'f,
    {
        self.add(Body::Evaluation(build_outputs(outputs)))
    }

    #[track_caller]
    fn add(&mut self, body: Body<'f>) -> FunctionId {
        self.functions.push(Function::new(body, Origin::here()));
        FunctionId { trainer: self.number, function: self.functions.len() as u32 - 1 }
    }
}
