//! Checkpoints: everything that training goes on from, in one file.
//!
//! A checkpoint holds every parameter and state of a session, a trainer or a tape's optimiser with the bits that it has: what is trained, the
//! optimiser's moments and its learning rate, running statistics, the count of steps and the seed that random draws are a function
//! of. Beside them it carries what a program gives it under names of its own: the place in the data, the best loss so far, a
//! description. Training that goes on from it gives the same bits on the same device as if it had never been interrupted.
//!
//! It is a file in the safetensors format, so that any program that reads it sees the tensors; what is no tensor is text of the file's
//! metadata, with a version. The file appears whole or not at all (see [`replace_file`](crate::replace_file)).
//!
//! Nothing here knows when a checkpoint is made, or which is the best.

mod value;

pub use value::CheckpointValue;

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;
use crate::tensor::Tensor;
use crate::train::listed;
use crate::weights::Weights;

/// The version of what this writes.
const VERSION: u32 = 1;

/// The keys of the metadata.
const VERSION_KEY: &str = "arenagrad.checkpoint";
const SEED_KEY: &str = "arenagrad.seed";
const VALUE_PREFIX: &str = "arenagrad.value.";
/// What the names of tensors begin with that are neither a session's nor a tape's.
const PART_PREFIX: &str = "arenagrad.part.";

/// Everything that training goes on from.
///
/// ```
/// use arenagrad::{Adam, Checkpoint, Device, Error, Graph, Init, Session, Tensor};
///
/// let g = Graph::new();
/// let (x, w) = (g.input("x", [4]), g.parameter("w", [], Init::Constant(3.0)));
/// let loss = (w * x - x * 2.0).square().mean(..);
/// let session = || Session::train(&g, loss, Adam::new(0.01), Device::cpu());
/// let x = Tensor::new([4], vec![1.0f32, 2.0, 3.0, 4.0])?;
///
/// let mut first = session()?;
/// first.step(&[("x", &x)])?;
/// let file = std::env::temp_dir().join("after-one-step.checkpoint");
/// first.checkpoint()?.with("epoch", 1).with("best loss", 0.5).with("data", "four numbers").save(&file)?;
/// let next = first.step(&[("x", &x)])?;
///
/// let mut second = session()?;
/// let checkpoint = Checkpoint::open(&file)?;
/// second.restore(&checkpoint)?;
/// assert_eq!(second.step(&[("x", &x)])?, next);
/// let epoch: usize = checkpoint.integer("epoch")?;
/// assert_eq!((epoch, checkpoint.number("best loss")?, checkpoint.text("data")?), (1, 0.5, "four numbers"));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    tensors: Weights,
    values: BTreeMap<String, CheckpointValue>,
    /// Other texts of the file's metadata, by key.
    notes: BTreeMap<String, String>,
    seed: u64,
}

/// What is wrong with a checkpoint, of which the file may be in order.
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum CheckpointError {
    #[error("{origin} is no checkpoint but a file of tensors; `Session::load` and `Session::load_weights` read such")]
    NoCheckpoint { origin: String },

    #[error("{origin} is a checkpoint of version {found:?}; this version of arenagrad reads those up to {VERSION}")]
    Version { origin: String, found: String },

    #[error("{origin} is a checkpoint that was not written by arenagrad: its {key:?} is {found:?}")]
    Foreign { origin: String, key: String, found: String },

    #[error(
        "{origin} is one of a session or a trainer, and not of a tape's optimiser: it does not say which leaves have had gradients at the same \
         steps; go on from it by Trainer::restore or Session::restore"
    )]
    NotOfTape { origin: String },

    #[error("{origin} has no value {key:?}; it has {known}")]
    UnknownValue { origin: String, key: String, known: String },

    #[error("the value {key:?} of {origin} is {found}, and {expected} was asked for")]
    ValueKind { origin: String, key: String, found: String, expected: &'static str },

    #[error("{origin} is of other training: it lacks {missing}, which this needs")]
    Missing { origin: String, missing: String },

    #[error("{origin} is of other training: it has {unused}, which this does not know")]
    Unused { origin: String, unused: String },

    #[error(
        "{origin} has {unused}, which no layer of this tape has asked for: apply the network to any input before the checkpoint is restored; \
         if it is refused then too, it is of other training"
    )]
    NotAskedFor { origin: String, unused: String },
}

arenagrad_graph::debug_in_words!(CheckpointError);

impl Checkpoint {
    /// One of those tensors.
    pub(crate) fn new(tensors: Weights, seed: u64) -> Self {
        Checkpoint { tensors, values: BTreeMap::new(), notes: BTreeMap::new(), seed }
    }

    /// With a tensor that is neither a parameter nor a state of what is trained: it belongs to whoever asks for it by that name.
    pub(crate) fn with_part(mut self, name: &str, tensor: Tensor) -> Self {
        let name = format!("{PART_PREFIX}{name}");
        self.tensors = self.tensors.with(&name, tensor);
        self.tensors.mark_training_state(&name);
        self
    }

    /// The tensor that [`Checkpoint::with_part`] kept under that name, if it did.
    pub(crate) fn part(&self, name: &str) -> Result<Option<Tensor>, Error> {
        let name = format!("{PART_PREFIX}{name}");
        if self.tensors.contains(&name) { self.tensors.get(&name).map(Some) } else { Ok(None) }
    }

    /// The names of the tensors that belong to what is trained.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.names().filter(|name| !name.starts_with(PART_PREFIX))
    }

    /// With a note of whoever made the checkpoint, which must have this back.
    pub(crate) fn with_note(mut self, key: &str, text: String) -> Self {
        self.notes.insert(key.to_owned(), text);
        self
    }

    /// The note of that key.
    pub(crate) fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }

    /// The checkpoint of a file that [`Checkpoint::save`] wrote.
    ///
    /// Errors as [`Weights::open`]; [`CheckpointError`] for a file of tensors that is no checkpoint, or is one of a later version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Checkpoint::read(Weights::open(path)?)
    }

    /// The checkpoint of the bytes of a file.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Checkpoint::read(Weights::from_bytes(bytes)?)
    }

    fn read(mut tensors: Weights) -> Result<Self, Error> {
        let origin = tensors.source_name().to_owned();
        let mut metadata = std::mem::take(&mut tensors.metadata);
        let found =
            metadata.remove(VERSION_KEY).ok_or_else(|| CheckpointError::NoCheckpoint { origin: origin.clone() })?;
        if !found.parse().is_ok_and(|version: u32| (1..=VERSION).contains(&version)) {
            return Err(CheckpointError::Version { origin, found }.into());
        }
        let foreign = |key: &str, found: &str| {
            let (key, found) = (key.to_owned(), found.to_owned());
            Error::from(CheckpointError::Foreign { origin: origin.clone(), key, found })
        };
        let seed = metadata.remove(SEED_KEY).unwrap_or_default();
        let seed = seed.parse().map_err(|_| foreign(SEED_KEY, &seed))?;
        let (mut values, mut notes) = (BTreeMap::new(), BTreeMap::new());
        for (key, text) in metadata {
            if let Some(name) = key.strip_prefix(VALUE_PREFIX) {
                let value = CheckpointValue::parsed(&text).ok_or_else(|| foreign(&key, &text))?;
                values.insert(name.to_owned(), value);
            } else {
                notes.insert(key, text);
            }
        }
        Ok(Checkpoint { tensors, values, notes, seed })
    }

    /// With a value of the program's own: an integer, a number or a text. One that had the name before is replaced.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<CheckpointValue>) -> Self {
        self.values.insert(key.into(), value.into());
        self
    }

    /// The integer of that name. Errors: there is none, it is something else, or `T` does not hold it.
    pub fn integer<T: TryFrom<i128>>(&self, key: &str) -> Result<T, Error> {
        let value = self.value(key)?;
        let integer = if let CheckpointValue::Integer(integer) = value { T::try_from(*integer).ok() } else { None };
        integer.ok_or_else(|| self.wrong_kind(key, value, std::any::type_name::<T>()))
    }

    /// The number of that name, bit for bit; an integer counts as one. Errors: there is none, or it is a text.
    pub fn number(&self, key: &str) -> Result<f64, Error> {
        match self.value(key)? {
            CheckpointValue::Number(number) => Ok(*number),
            CheckpointValue::Integer(integer) => Ok(*integer as f64),
            value @ CheckpointValue::Text(_) => Err(self.wrong_kind(key, value, "a number")),
        }
    }

    /// The text of that name. Errors: there is none, or it is no text.
    pub fn text(&self, key: &str) -> Result<&str, Error> {
        match self.value(key)? {
            CheckpointValue::Text(text) => Ok(text),
            value @ (CheckpointValue::Integer(_) | CheckpointValue::Number(_)) => {
                Err(self.wrong_kind(key, value, "a text"))
            }
        }
    }

    /// The values of the program's own, by name.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<String, CheckpointValue> {
        &self.values
    }

    /// The tensors: parameters, states and what belongs to the training. [`Session::load_weights`](crate::Session::load_weights) loads
    /// the network's alone into another network.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.tensors
    }

    /// The seed of first values.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// What messages call this.
    pub(crate) fn origin(&self) -> &str {
        match self.tensors.source_name.as_deref() {
            Some(name) => name,
            None => "the checkpoint",
        }
    }

    /// The tensor of that name.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, Error> {
        self.tensors.get(name)
    }

    /// Writes the checkpoint to a file, which appears whole or not at all and is on the disk when this returns: who is killed in the
    /// midst of it, or has no room left, finds the file of before. Errors: [`Error::File`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.tensors.save_with(path.as_ref(), &self.metadata())
    }

    /// The bytes of the file that [`Checkpoint::save`] writes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.tensors.to_bytes_with(&self.metadata())
    }

    /// What a file says beside the tensors.
    fn metadata(&self) -> BTreeMap<String, String> {
        let own = [(VERSION_KEY, VERSION.to_string()), (SEED_KEY, self.seed.to_string())];
        let mut metadata = self.tensors.metadata.clone();
        metadata.extend(own.map(|(key, text)| (key.to_owned(), text)));
        metadata.extend(self.notes.clone());
        metadata.extend(self.values.iter().map(|(key, value)| (format!("{VALUE_PREFIX}{key}"), value.written())));
        metadata
    }

    fn value(&self, key: &str) -> Result<&CheckpointValue, Error> {
        self.values.get(key).ok_or_else(|| {
            let known = listed(self.values.keys().map(String::as_str));
            CheckpointError::UnknownValue { origin: self.origin().to_owned(), key: key.to_owned(), known }.into()
        })
    }

    fn wrong_kind(&self, key: &str, value: &CheckpointValue, expected: &'static str) -> Error {
        let (origin, found) = (self.origin().to_owned(), value.to_string());
        CheckpointError::ValueKind { origin, key: key.to_owned(), found, expected }.into()
    }
}
