//! What can be wrong with named tensors that is not wrong with their file.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use arenagrad_graph::{Origin, Shape, StorageType};

use crate::train::listed;
use crate::weights::load::counts_batches;

/// A mistake with [`Weights`](crate::weights::Weights). Of a file that is none in the format speaks
/// [`Error::ParameterFile`](crate::Error::ParameterFile).
#[derive(Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The messages say what the fields are.
pub enum WeightsError {
    #[error("{source_name} has no tensor named {name:?}; it has {known}")]
    UnknownTensor { source_name: String, name: String, known: String },

    #[error("{origin}: {method} gives the name {name:?} to two tensors, {first:?} and {second:?}")]
    RepeatedName { origin: Origin, method: &'static str, name: String, first: String, second: String },

    #[error("{origin}: {method}: the name {name:?} is reserved by the safetensors format")]
    ReservedName { origin: Origin, method: &'static str, name: String },

    #[error("{origin}: {method}: {pattern:?}: {reason}")]
    Pattern { origin: Origin, method: &'static str, pattern: String, reason: String },

    #[error("{path}: {reason}", path = .path.display())]
    Index { path: PathBuf, reason: String },

    #[error("{path}: the tensor {name:?} holds {found}, which arenagrad has no tensors of; convert it in the library that wrote it", path = .path.display())]
    UnsupportedType { path: PathBuf, name: String, found: String },

    #[error("the tensor {name:?} holds {found} and cannot be loaded into {expected}: {reason}")]
    Conversion { name: String, found: String, expected: StorageType, reason: String },

    #[error(
        "the session has no parameters yet; a trainer's are known once it is planned for a batch: call `prepare` first"
    )]
    NoParameters,

    #[error(transparent)]
    Mismatch(#[from] Box<WeightsMismatch>),
}

arenagrad_graph::debug_in_words!(WeightsError);

/// How named tensors and the parameters of a session differ, so that nothing was loaded.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct WeightsMismatch {
    /// Where the tensors come from.
    pub source_name: String,
    /// Parameters and states that the session needs and that no tensor is for, with their shapes. Empty if loading was not strict.
    pub missing: Vec<(String, Shape)>,
    /// Tensors that no parameter is for, with their shapes. Empty if loading was not strict.
    pub unused: Vec<(String, Shape)>,
    /// Tensors whose shapes are not those of their parameters.
    pub shapes: Vec<ShapeMismatch>,
    /// The tensors for which there is a parameter.
    pub used: Vec<String>,
}

arenagrad_graph::debug_in_words!(WeightsMismatch);

/// A tensor whose shape is not that of its parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShapeMismatch {
    /// The name of both.
    pub name: String,
    /// The shape of the parameter.
    pub expected: Shape,
    /// The shape of the tensor.
    pub found: Shape,
}

impl std::error::Error for WeightsMismatch {}

impl fmt::Display for WeightsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WeightsMismatch { source_name, missing, unused, shapes, used } = self;
        write!(f, "{source_name} does not fit the session, and nothing was loaded")?;
        let mut separator = ": ";
        if !shapes.is_empty() {
            let described = shapes.iter().map(|shape| {
                let ShapeMismatch { name, expected, found } = shape;
                let is_transposed = expected.rank() == 2 && expected.iter().eq(found.iter().rev());
                let hint = if is_transposed { " (as by a transposition)" } else { "" };
                format!("{name:?} is {expected} but was given {found}{hint}")
            });
            write!(f, "{separator}{}", first_of(described))?;
            separator = "; ";
        }
        if !missing.is_empty() {
            write!(f, "{separator}missing are {}", with_shapes(missing))?;
            separator = "; ";
        }
        if !unused.is_empty() {
            write!(f, "{separator}unused are {}", with_shapes(unused))?;
        }
        let names = |list: &'_ [(String, Shape)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if let Some(hint) = hint(&names(missing), &names(unused), used) {
            return write!(f, "; {hint}");
        }
        if missing.is_empty() && unused.is_empty() {
            return write!(f, "; transpose, leave out or rename the tensors");
        }
        write!(f, "; rename, select or leave out tensors, or load with not_strict")
    }
}

/// Names with their shapes for a message.
pub(super) fn with_shapes(list: &[(String, Shape)]) -> String {
    first_of(list.iter().map(|(name, shape)| format!("{name:?} {shape}")))
}

/// The first of many texts for a message, and how many more there are.
pub(super) fn first_of(texts: impl Iterator<Item = String>) -> String {
    const MAX_LISTED: usize = 20;
    let mut texts = texts;
    let first: Vec<String> = texts.by_ref().take(MAX_LISTED).collect();
    match texts.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// What to do where names are missing and others unused, if that can be told from the names: what leaves those alone that are used.
pub(super) fn hint(missing: &[String], unused: &[String], used: &[String]) -> Option<String> {
    let of_others = |prefix: &String| !used.iter().any(|name| name.starts_with(prefix.as_str()));
    if let Some(prefix) = common_prefix(missing, unused).filter(of_others) {
        let names = "the unused names are the missing ones";
        return Some(format!("{names} behind {prefix:?}, so .rename({prefix:?}, \"\") helps"));
    }
    // What may be missing is not among the missing.
    let telling: Vec<String> = unused.iter().filter(|name| !counts_batches(name)).cloned().collect();
    if let Some(prefix) = common_prefix(&telling, missing).filter(|_| used.is_empty()) {
        let names = "the unused names are among the missing ones";
        return Some(format!("{names} behind {prefix:?}, so .prefix({prefix:?}) helps"));
    }
    let has = |names: &[String], suffix: &str| names.iter().any(|name| name.ends_with(suffix));
    let is_older = has(missing, ".parametrizations.weight.original0") && has(unused, "weight_g");
    is_older.then(|| "the file has WeightNorm's older names, which WeightNorm::older_keys reads".to_owned())
}

/// What stands before each of some names among others, as a module puts it there that wraps the rest.
fn common_prefix(names: &[String], others: &[String]) -> Option<String> {
    let first = names.first()?;
    let known: HashSet<&str> = others.iter().map(String::as_str).collect();
    let is_one = |prefix: &str| names.iter().all(|name| known.contains(format!("{prefix}{name}").as_str()));
    let prefixes = others.iter().filter_map(|name| name.strip_suffix(first.as_str()));
    prefixes.filter(|prefix| prefix.ends_with('.')).find(|prefix| is_one(prefix)).map(str::to_owned)
}

/// What an error calls the names that there are.
pub(super) fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    listed(names)
}
