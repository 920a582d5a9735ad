//! Plans over a session's parameters that somebody else keeps, one for each set of shapes that comes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use arenagrad_graph::DType;

use crate::device::Device;
use crate::error::Error;
use crate::pending::Pending;
use crate::plan::Plan;
use crate::session::feed::Feed;
use crate::session::grouped::{Exchanged, WEIGHT, lend_weighted};
use crate::session::parameters::{Place, Waiting};
use crate::session::pool::Sharing;
use crate::session::{Prepared, Session};
use crate::tensor::Tensor;
use crate::train::{LEARNING_RATE, under};
use crate::weights::{Weights, WeightsError};

/// What a file holds for parameters that are not known yet, and all names in it.
pub(super) struct ForLater {
    pub(super) values: Vec<(String, Waiting)>,
    pub(super) names: HashSet<String>,
}

impl Session {
    /// A session without plans, of which others will train its parameters.
    pub(crate) fn of_outside_plans(device: Device) -> Session {
        let mut session = Session::new(device, 0, true);
        session.trains = false;
        session.has_outside_plans = true;
        session.parameters.may_come_later = true;
        session
    }

    /// The names of the values that were loaded and that no parameter has taken yet: those of functions that a trainer has not planned, or
    /// of none.
    pub fn waiting_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.waiting().map(|(name, _)| name.as_str())
    }

    /// What a file holds for parameters that this session does not know; nothing if the session's plans are its own. Nobody may ever ask for
    /// a tensor of a type that there is none of here, so that is told to who does.
    pub(super) fn values_for_later(&self, path: &Path) -> Result<Option<ForLater>, Error> {
        if !self.has_outside_plans {
            return Ok(None);
        }
        let weights = Weights::open(path)?;
        let unknown = weights.names().filter(|name| self.parameters.get(name).is_none());
        let values = unknown.map(|name| {
            let value = match weights.get(name) {
                Err(error) if !is_of_tensor(&error) => return Err(error),
                value => value,
            };
            Ok((name.to_owned(), Waiting { value, is_training_state: weights.is_training_state(name) }))
        });
        let values = values.collect::<Result<Vec<_>, Error>>()?;
        Ok(Some(ForLater { values, names: weights.names().map(str::to_owned).collect() }))
    }

    /// Where a parameter or state was declared first; nothing if there is none of that name.
    pub(crate) fn origin_of(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(|parameter| parameter.origin.as_str())
    }

    /// How much memory the elements of a parameter or state take on the host; none if there is none of that name.
    pub(crate) fn parameter_bytes(&self, name: &str) -> Option<usize> {
        let parameter = self.parameters.get(name)?;
        Some(parameter.shape.elements() * parameter.storage.value().bytes())
    }

    /// Sets the seed of first values that are not made yet.
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.parameters.set_seed(seed);
    }

    /// Notes that an optimiser's states will stand under a prefix, so that values for its scalars are checked.
    pub(crate) fn note_optimizer(&mut self, prefix: &str) {
        self.parameters.note_optimizer(prefix);
    }

    /// Sets the learning rate of the optimiser whose states stand under a prefix, if the session knows it yet, and says whether it
    /// does.
    pub(crate) fn set_learning_rate_under(&mut self, prefix: &str, rate: f64) -> Result<bool, Error> {
        let name = under(prefix, LEARNING_RATE);
        self.parameters.check_learning_rate(&name, rate)?;
        let Some(parameter) = self.parameters.get(&name) else { return Ok(false) };
        let dtype = parameter.storage.value();
        self.set_parameter(&name, &Tensor::scalar(rate).cast(dtype))?;
        Ok(true)
    }

    /// The dtypes of the parameters that are declared to be trained.
    pub(crate) fn trained_dtypes(&self) -> impl Iterator<Item = DType> {
        self.parameters.iter().filter(|parameter| parameter.trainable).map(|parameter| parameter.storage.value())
    }

    /// Refuses inputs that a run of a plan would refuse which is not ready yet; the weight of a member's samples is not among them.
    pub(crate) fn refuse_inputs(&self, plan: &Plan, inputs: &[(&str, &Tensor)]) -> Result<(), Error> {
        let weight =
            Exchanged::of(plan).and_then(|exchanged| exchanged.weight).map(|dtype| Tensor::scalar(1.0).cast(dtype));
        let weight = weight.as_ref().map(|weight| (WEIGHT, weight));
        Feed::check(plan, &inputs.iter().copied().chain(weight).collect::<Vec<_>>())
    }

    /// Makes a plan ready over this session's parameters, which shares buffers with others of its kind: its inputs are written anew for
    /// each run. If that fails, the session has the parameters and buffers that it had.
    pub(crate) fn prepare_outside(&mut self, plan: Plan) -> Result<Prepared, Error> {
        self.prepare_with(plan, Sharing::Shared)
    }

    /// The same, where states of an optimiser that this session does not know yet are to begin with these values: those of the plan, and others
    /// that come later.
    pub(crate) fn prepare_outside_with(&mut self, plan: Plan, states: &[(String, Tensor)]) -> Result<Prepared, Error> {
        for (name, value) in states {
            self.parameters.add_waiting(name, value.clone(), true);
        }
        let prepared = self.prepare_outside(plan);
        if prepared.is_err() {
            states.iter().for_each(|(name, _)| self.parameters.remove_waiting(name));
        }
        prepared
    }

    /// The value of a parameter or state, or what waits for it; nothing if there is neither.
    pub(crate) fn present(&self, name: &str) -> Option<Result<Tensor, Error>> {
        if self.parameters.get(name).is_some() { Some(self.parameter(name)) } else { self.parameters.waiting_for(name) }
    }

    /// Whether there is a parameter or state of that name, or a value that waits for one.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.parameters.get(name).is_some() || self.parameters.has_waiting(name)
    }

    pub(super) fn prepare_with(&mut self, plan: Plan, sharing: Sharing) -> Result<Prepared, Error> {
        let (mark, known) = (self.memory.mark(), self.parameters.len());
        match self.make_ready(plan, sharing) {
            Ok((prepared, moved)) => {
                self.parameters.settle(known);
                for (name, buffer) in moved {
                    self.parameters.set_place(&name, Place::Device(buffer));
                }
                Ok(prepared)
            }
            Err(error) => {
                self.memory.rewind(mark);
                self.parameters.truncate(known);
                Err(error)
            }
        }
    }

    /// Whether a plan has a buffer in whose place there is a larger one: given up, it takes no memory of its own when it is made ready anew.
    pub(crate) fn has_outgrown(&self, prepared: &Prepared) -> bool {
        self.pool.has_outgrown(&prepared.buffers)
    }

    /// Gives back what a plan has that is not needed any more.
    pub(crate) fn drop_outside(&mut self, prepared: Prepared) {
        let Prepared { buffers, executable, .. } = prepared;
        // What refers to the buffers goes before them.
        drop(executable);
        self.pool.release(&buffers, &mut self.memory);
    }

    /// Notes that a trainer makes a step.
    pub(crate) fn note_step(&mut self) {
        self.parameters.forget_file();
    }

    /// Runs a plan that was made ready for this session, on a batch of so many samples: its results, which will come.
    pub(crate) fn start_outside(
        &mut self,
        prepared: &mut Prepared,
        inputs: &[(&str, &Tensor)],
        samples: usize,
    ) -> Result<Pending<Vec<Tensor>>, Error> {
        self.lend_outside(prepared, inputs, samples)?;
        let results = prepared.start(&mut self.memory);
        self.after_run(prepared.executable.report(), results)
    }

    /// Runs a plan that was made ready for this session, on a batch of so many samples, and whose results nobody reads: that there is room on the device for another run.
    pub(crate) fn advance_outside(
        &mut self,
        prepared: &mut Prepared,
        inputs: &[(&str, &Tensor)],
        samples: usize,
    ) -> Result<Pending<()>, Error> {
        self.lend_outside(prepared, inputs, samples)?;
        let room = prepared.advance(&mut self.memory);
        self.after_run(prepared.executable.report(), room)
    }

    /// Lends the inputs of a plan for a run, and in a group the weight of this member's samples if the plan asks for it. The other members are met before.
    fn lend_outside(
        &mut self,
        prepared: &mut Prepared,
        inputs: &[(&str, &Tensor)],
        samples: usize,
    ) -> Result<(), Error> {
        let Some(exchanged) = prepared.exchanged.clone() else {
            return prepared.feed.lend(inputs, &mut self.memory);
        };
        let weight = self.weight_for(Some(exchanged.of_samples(samples)))?;
        let written = lend_weighted(&mut prepared.feed, &mut self.memory, inputs, weight.as_ref());
        self.noted(written)
    }

    /// Refuses what would block where that must not be, before anything is done.
    pub(crate) fn require_waiting(&self, what: &str) -> Result<(), Error> {
        self.memory.require_waiting(what)
    }
}

/// Whether an error is about what one tensor of a file holds, and not about the file.
fn is_of_tensor(error: &Error) -> bool {
    matches!(error, Error::Weights(WeightsError::UnsupportedType { .. }) | Error::FileInteger { .. })
}

/// What a session without plans shows as its first.
pub(super) fn empty_plan() -> &'static Plan {
    static EMPTY: OnceLock<Plan> = OnceLock::new();
    EMPTY.get_or_init(Plan::default)
}
