//! The parameters and states that a session knows: their names, what they may hold, and where their values are.
//!
//! A session knows all parameters of its graphs, and has on its device those that a plan reads or writes. The others cost
//! nothing: the value of one is made when somebody asks for it, or stands on the host since somebody gave it one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use arenagrad_graph::{Declaration, Init, Shape, StorageType};

use crate::error::{Error, Given};
use crate::tensor::Tensor;
use crate::train::{Hyperparameters, initial_value, listed};
use crate::weights::Need;

/// The state whose first value makes random draws another sequence under each seed.
pub(super) const RANDOM_SEED: &str = "random_seed";

/// All parameters of a session, in the order in which it came to know them.
pub(super) struct Parameters {
    list: Vec<Parameter>,
    by_name: HashMap<String, usize>,
    seed: u64,
    /// Whether an optimiser's state is among them.
    trains: bool,
    /// What stands before the names of the states of optimisers, beside nothing.
    prefixes: Vec<String>,
    /// Values of a checkpoint or a file for parameters that are not known yet, or that they do not fit.
    waiting: BTreeMap<String, Waiting>,
    /// Who gave the values that wait.
    waiting_given: Given,
    /// Names of trainable parameters that only an evaluation has asked for so far and that have their first values still.
    untrained: HashSet<String>,
    /// Whether a file or a checkpoint was read, whose values wait.
    is_filled: bool,
    /// The file that the values came from that wait, and the names in it, until a step is made.
    file: Option<(PathBuf, HashSet<String>)>,
    /// Whether somebody else adds plans, so that there may be parameters later where there are none.
    pub(super) may_come_later: bool,
}

/// A value that waits for its parameter.
#[derive(Clone)]
pub(super) struct Waiting {
    /// What could not be read, because there are no such tensors, is an error for the parameter that takes it, if one does.
    pub(super) value: Result<Tensor, Error>,
    /// Whether it belongs to the training.
    pub(super) is_training_state: bool,
}

/// A parameter or state.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// In what the device holds it: values of its dtype.
    pub(super) storage: StorageType,
    pub(super) trainable: bool,
    /// Whether it belongs to the training and not to the network: an optimiser's state, or the count of steps.
    pub(super) is_training_state: bool,
    /// Where it was declared.
    pub(super) origin: String,
    pub(super) place: Place,
    /// The value that waited for it, where it was converted: as long as the plan that declares it may be refused.
    waited: Option<Tensor>,
}

impl Parameter {
    /// Whether a file must have it, if a plan uses it.
    pub(super) fn need(&self) -> Need {
        Need::of_network(&self.name, &self.shape, self.storage)
    }

    /// Whether random draws begin with this state, and not a parameter that is called so.
    pub(super) fn seeds_draws(&self) -> bool {
        self.name == RANDOM_SEED && !self.trainable
    }
}

/// Where the value of a parameter is.
pub(super) enum Place {
    /// On the device, in that buffer: a plan needs it.
    Device(u32),
    /// Nowhere yet.
    Initial(Init),
    /// On the host.
    Host(Tensor),
    /// Nowhere: a file was loaded whose tensor does not fit. It is an error as soon as the value is needed.
    Unfit(Error),
}

impl Parameters {
    pub(super) fn new(seed: u64, trains: bool) -> Self {
        let (prefixes, waiting, waiting_given) = (Vec::new(), BTreeMap::new(), Given::Checkpoint);
        let (list, by_name, untrained) = (Vec::new(), HashMap::new(), HashSet::new());
        let (is_filled, file, may_come_later) = (false, None, false);
        Parameters {
            list,
            by_name,
            seed,
            trains,
            prefixes,
            waiting,
            waiting_given,
            untrained,
            is_filled,
            file,
            may_come_later,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Parameter> {
        self.by_name.get(name).map(|&place| &self.list[place])
    }

    /// The parameter of that name.
    pub(super) fn find(&self, name: &str) -> Result<&Parameter, Error> {
        self.get(name).ok_or_else(|| {
            if self.list.is_empty() && self.may_come_later {
                return Error::NoParameterYet { name: name.to_owned() };
            }
            let known = listed(self.list.iter().map(|parameter| parameter.name.as_str()));
            Error::UnknownParameter { name: name.to_owned(), known }
        })
    }

    /// Notes that an optimiser's states stand under a prefix.
    pub(super) fn note_optimizer(&mut self, prefix: &str) {
        if !prefix.is_empty() {
            self.prefixes.push(format!("{prefix}."));
        }
    }

    /// The name that an optimiser gave a state, without the prefix under which its states stand.
    pub(super) fn within_optimizer<'n>(&self, name: &'n str) -> &'n str {
        // The longest: a function may be called `a`, and another one `a.b`.
        let within = self.prefixes.iter().filter_map(|prefix| name.strip_prefix(prefix.as_str()));
        within.min_by_key(|within| within.len()).unwrap_or(name)
    }

    /// Makes the parameter of a declaration known.
    pub(super) fn add(&mut self, declaration: &Declaration, init: &Init, trainable: bool) {
        self.by_name.insert(declaration.name.clone(), self.list.len());
        self.list.push(Parameter {
            name: declaration.name.clone(),
            shape: declaration.shape.clone(),
            storage: declaration.storage,
            trainable,
            is_training_state: declaration.is_of_training(),
            origin: declaration.origin.to_string(),
            place: Place::Initial(init.clone()),
            waited: None,
        });
        self.take_waiting(&declaration.name);
    }

    /// Gives a new parameter the value that waits for it. One that does not fit stays where it is, and is an error once the parameter
    /// is needed.
    fn take_waiting(&mut self, name: &str) {
        let Some(Waiting { value, is_training_state }) = self.waiting.remove(name) else { return };
        let Some(parameter) = self.list.last() else { return };
        let fitting = value.clone().and_then(|value| Ok((self.fitting(parameter, &value)?, value)));
        let (place, waited) = match fitting {
            Ok((fitting, value)) => {
                let is_converted = fitting.storage() != value.storage();
                (Place::Host(fitting), is_converted.then_some(value))
            }
            Err(error) => {
                self.waiting.insert(name.to_owned(), Waiting { value, is_training_state });
                (Place::Unfit(error), None)
            }
        };
        if let Some(parameter) = self.list.last_mut() {
            parameter.waited = waited;
            parameter.is_training_state |= is_training_state;
            parameter.place = place;
        }
    }

    /// A value that waited, in the type of its parameter: as if the parameter had been known when the value was given.
    fn fitting(&self, parameter: &Parameter, value: &Tensor) -> Result<Tensor, Error> {
        let given = self.waiting_given.clone();
        match given {
            // A checkpoint gives back the bits that were there, and converts nothing.
            Given::Checkpoint => parameter.check_declared(value.shape(), value.storage(), given.clone())?,
            Given::Argument | Given::File(_) | Given::Declaration(_) | Given::Update => {}
        }
        self.check(parameter, value, given)?;
        Ok(value.cast(parameter.storage))
    }

    /// The values that wait for parameters, by name.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&String, &Waiting)> {
        self.waiting.iter()
    }

    /// Keeps values for parameters that are not known yet in the place of those kept before. What a file gave is converted as
    /// [`Session::load`](crate::Session::load) does, what a checkpoint gave must be of the parameter's type.
    pub(super) fn set_waiting(&mut self, values: impl IntoIterator<Item = (String, Waiting)>, given: Given) {
        self.waiting_given = given;
        self.is_filled = true;
        self.file = None;
        self.waiting = values.into_iter().collect();
    }

    /// Notes that these are the names in the file that the values came from which wait.
    pub(super) fn note_file(&mut self, path: &Path, names: HashSet<String>) {
        self.file = Some((path.to_owned(), names));
    }

    /// Notes that a training step found in the file what it needed. Later ones may bring parameters of their own.
    pub(super) fn forget_file(&mut self) {
        self.file = None;
    }

    /// Refuses a parameter that is to be trained from its first value although a file was read, which was to have them all.
    pub(super) fn refuse_lacking(&self, parameter: &Parameter) -> Result<(), Error> {
        match (&self.file, &parameter.place) {
            (Some((path, names)), Place::Initial(_)) if parameter.trainable && !names.contains(&parameter.name) => {
                let mut known: Vec<&str> = names.iter().map(String::as_str).collect();
                known.sort_unstable();
                let (name, shape) = (parameter.name.clone(), parameter.shape.clone());
                Err(Error::MissingParameter { path: path.clone(), name, shape, known: listed(known.into_iter()) })
            }
            (_, Place::Initial(_) | Place::Host(_) | Place::Device(_) | Place::Unfit(_)) => Ok(()),
        }
    }

    /// The value that waits for a parameter of that name, if one does.
    pub(super) fn waiting_for(&self, name: &str) -> Option<Result<Tensor, Error>> {
        self.waiting.get(name).map(|waiting| waiting.value.clone())
    }

    /// Has a value wait for its parameter or state.
    pub(super) fn add_waiting(&mut self, name: &str, value: Tensor, is_training_state: bool) {
        self.waiting.insert(name.to_owned(), Waiting { value: Ok(value), is_training_state });
    }

    /// Has nothing of that name wait any more.
    pub(super) fn remove_waiting(&mut self, name: &str) {
        self.waiting.remove(name);
    }

    /// The seed of first values.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether a value waits for a parameter of that name.
    pub(super) fn has_waiting(&self, name: &str) -> bool {
        self.waiting.contains_key(name)
    }

    /// Whether values for all parameters were read from a file or a checkpoint.
    pub(super) fn is_filled(&self) -> bool {
        self.is_filled
    }

    /// Whether there is a parameter with its first value that nothing but an evaluation has asked for.
    pub(super) fn has_untrained(&self) -> bool {
        !self.untrained.is_empty()
    }

    /// Whether that is one.
    pub(super) fn is_untrained(&self, name: &str) -> bool {
        self.untrained.contains(name)
    }

    /// Notes that nothing but an evaluation has asked for that parameter yet.
    pub(super) fn note_untrained(&mut self, name: &str) {
        self.untrained.insert(name.to_owned());
    }

    /// Notes that a parameter is trained, or is wanted as it is.
    pub(super) fn vouch(&mut self, name: &str) {
        self.untrained.remove(name);
    }

    /// Notes that a parameter was given a value. One that waited because it did not fit would be an older one.
    pub(super) fn note_given(&mut self, name: &str) {
        self.vouch(name);
        self.waiting.remove(name);
    }

    /// Sets the seed of first values that are not made yet.
    pub(super) fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Forgets what was added after there were `len` of them.
    pub(super) fn truncate(&mut self, len: usize) {
        for parameter in self.list.drain(len..) {
            self.by_name.remove(&parameter.name);
            self.untrained.remove(&parameter.name);
            // Nobody else gave a new parameter a value: it waits again.
            if let Place::Host(value) = parameter.place {
                let value = Ok(parameter.waited.unwrap_or(value));
                let is_training_state = parameter.is_training_state;
                self.waiting.insert(parameter.name, Waiting { value, is_training_state });
            }
        }
    }

    /// That what was added after there were `len` of them stays.
    pub(super) fn settle(&mut self, len: usize) {
        self.list[len..].iter_mut().for_each(|parameter| parameter.waited = None);
    }

    /// Notes that these belong to the training and not to the network.
    pub(super) fn mark_training_state(&mut self, names: &[String]) {
        for parameter in names.iter().filter_map(|name| self.by_name.get(name)) {
            self.list[*parameter].is_training_state = true;
        }
    }

    pub(super) fn set_place(&mut self, name: &str, place: Place) {
        if let Some(&number) = self.by_name.get(name) {
            self.list[number].place = place;
        }
    }

    /// The present value of a parameter that is not on the device, in the type that the device would hold it in; nothing for one that is
    /// there.
    pub(super) fn present(&self, parameter: &Parameter) -> Option<Result<Tensor, Error>> {
        let Parameter { name, shape, storage, .. } = parameter;
        match &parameter.place {
            Place::Device(_) => None,
            Place::Initial(init) => Some(initial_value(init, name, shape, *storage, self.seed)),
            Place::Host(value) => Some(Ok(value.clone())),
            Place::Unfit(error) => Some(Err(error.clone())),
        }
    }

    /// Refuses a value that a parameter cannot hold: another shape or dtype, or a number that its optimiser could not use.
    pub(super) fn check(&self, parameter: &Parameter, value: &Tensor, given: Given) -> Result<(), Error> {
        parameter.check_value(value, given.clone())?;
        if self.trains && !parameter.trainable {
            self.hyperparameters(parameter, given).state(self.within_optimizer(&parameter.name), value)?;
        }
        Ok(())
    }

    /// Refuses a learning rate that the optimiser could not use, whose state for it has that name.
    pub(super) fn check_learning_rate(&self, name: &str, rate: f64) -> Result<(), Error> {
        match self.get(name) {
            Some(parameter) => self.hyperparameters(parameter, Given::Argument).learning_rate(rate),
            // A number that no optimiser could use is told before that there is none.
            None => Hyperparameters::beside([], Given::Argument).learning_rate(rate),
        }
    }

    /// The rules for a scalar that the optimiser uses beside all that it trains.
    fn hyperparameters(&self, parameter: &Parameter, given: Given) -> Hyperparameters {
        let trained = self.list.iter().filter(|other| other.trainable).map(|other| other.storage.value());
        Hyperparameters::beside(trained.chain([parameter.storage.value()]), given)
    }
}

impl Parameter {
    /// Its buffer on the device, if a plan needs it.
    pub(super) fn buffer(&self) -> Option<u32> {
        match self.place {
            Place::Device(buffer) => Some(buffer),
            Place::Initial(_) | Place::Host(_) | Place::Unfit(_) => None,
        }
    }

    /// Refuses a value of another shape or dtype. Narrower or wider elements of its dtype are as good.
    fn check_value(&self, value: &Tensor, given: Given) -> Result<(), Error> {
        let storage = if value.dtype() == self.storage.value() { self.storage } else { value.storage() };
        self.check_declared(value.shape(), storage, given)
    }

    /// Refuses another shape or storage type.
    pub(super) fn check_declared(&self, shape: &Shape, storage: StorageType, given: Given) -> Result<(), Error> {
        let name = self.name.clone();
        if self.shape != *shape {
            let (expected, found) = (self.shape.clone(), shape.clone());
            return Err(Error::ParameterShape { name, expected, found, given });
        }
        if self.storage != storage {
            return Err(Error::ParameterDType { name, expected: self.storage, found: storage, given });
        }
        Ok(())
    }
}
