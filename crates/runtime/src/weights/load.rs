//! Which tensor is for which parameter, and what a session is told of it.

use std::collections::HashSet;
use std::fmt;

use arenagrad_graph::{Shape, StorageType};

use crate::error::Error;
use crate::tensor::Tensor;
use crate::weights::error::{first_of, hint};
use crate::weights::{Held, ShapeMismatch, Weight, Weights, WeightsError, WeightsMismatch};

/// A parameter or state that tensors may be for.
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a Shape,
    pub(crate) storage: StorageType,
    pub(crate) need: Need,
}

/// Whether a target wants a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It does: without one it is missing.
    Required,
    /// It takes one that is there.
    Optional,
    /// It is none of the network's, and keeps its value.
    Kept,
}

/// What [`Session::load_weights`](crate::Session::load_weights) did. It prints as a few lines for people.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Where the tensors came from.
    pub source_name: String,
    /// The parameters and states that were given values, in the order of the session.
    pub loaded: Vec<String>,
    /// The parameters and states that a plan of the session needs and that no tensor was for: they kept their values.
    pub missing: Vec<String>,
    /// The tensors that no parameter was for.
    pub unused: Vec<String>,
    /// The tensors that were converted to the type of their parameter.
    pub converted: Vec<ConvertedWeight>,
}

/// A tensor that was converted to the type of its parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConvertedWeight {
    /// The name of both.
    pub name: String,
    /// As what the tensor is stored, such as `bf16`.
    pub from: String,
    /// What the parameter holds.
    pub to: StorageType,
}

impl Need {
    /// That of a parameter or state of a network which a plan uses.
    pub(crate) fn of_network(name: &str, shape: &Shape, storage: StorageType) -> Need {
        // Batch norms count batches since PyTorch 0.4.1. Files from before and from elsewhere do not, and PyTorch takes them strictly.
        let is_count = counts_batches(name) && shape.rank() == 0 && storage == StorageType::I64;
        if is_count { Need::Optional } else { Need::Required }
    }
}

/// Whether a name is that of a batch norm's count of batches.
pub(super) fn counts_batches(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}

impl fmt::Display for ConvertedWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.name, self.from, self.to)
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LoadReport { source_name, loaded, missing, unused, converted } = self;
        write!(f, "loaded {} tensors from {source_name}", loaded.len())?;
        if !missing.is_empty() {
            write!(f, "\nmissing, kept as they were ({}): {}", missing.len(), first_of(missing.iter().cloned()))?;
        }
        if !unused.is_empty() {
            write!(f, "\nunused ({}): {}", unused.len(), first_of(unused.iter().cloned()))?;
        }
        if let Some(hint) = hint(missing, unused, loaded) {
            write!(f, "\n{hint}")?;
        }
        if !converted.is_empty() {
            write!(f, "\nconverted ({}): {}", converted.len(), first_of(converted.iter().map(ToString::to_string)))?;
        }
        Ok(())
    }
}

/// The values for those targets, each in its storage type, and what came of the others. Whatever does not fit is refused as a whole.
pub(crate) fn fitting(weights: &Weights, targets: &[Target<'_>]) -> Result<(Vec<Option<Tensor>>, LoadReport), Error> {
    weights.check()?;
    let mut report = LoadReport { source_name: weights.source_name().to_owned(), ..LoadReport::default() };
    let (mut missing, mut shapes) = (Vec::new(), Vec::new());
    let mut used = HashSet::with_capacity(targets.len());
    let mut found: Vec<Option<&Weight>> = Vec::with_capacity(targets.len());
    for Target { name, shape, need, .. } in targets {
        let weight = weights.find(name);
        found.push(weight.filter(|_| *need != Need::Kept));
        match weight {
            Some(weight) => {
                used.insert(*name);
                if *need != Need::Kept && weight.shape() != **shape {
                    let (expected, found) = ((*shape).clone(), weight.shape());
                    shapes.push(ShapeMismatch { name: (*name).to_owned(), expected, found });
                }
            }
            None if *need == Need::Required => missing.push(((*name).to_owned(), (*shape).clone())),
            None => {}
        }
    }
    let unused = weights.list.iter().filter(|weight| !weight.is_training_state && !used.contains(weight.name.as_str()));
    let unused: Vec<(String, Shape)> = unused.map(|weight| (weight.name.clone(), weight.shape())).collect();
    let fits = weights.is_lenient || (missing.is_empty() && unused.is_empty());
    if !fits || !shapes.is_empty() {
        let source_name = report.source_name;
        let used = targets.iter().map(|target| target.name).filter(|name| used.contains(name));
        let used = used.map(str::to_owned).collect();
        let (missing, unused) = if weights.is_lenient { Default::default() } else { (missing, unused) };
        return Err(WeightsError::from(Box::new(WeightsMismatch { source_name, missing, unused, shapes, used })).into());
    }
    let names = |list: Vec<(String, Shape)>| list.into_iter().map(|(name, _)| name).collect();
    (report.missing, report.unused) = (names(missing), names(unused));
    let mut values = Vec::with_capacity(targets.len());
    for (Target { name, storage, .. }, weight) in targets.iter().zip(found) {
        let Some(weight) = weight else {
            values.push(None);
            continue;
        };
        let tensor = weight.tensor()?;
        let from = match &weight.held {
            Held::Tensor(_) => weight.stored_as(),
            Held::Stored { entry, .. } => crate::weights::storage_named(&entry.dtype)
                .map_or(entry.dtype.to_ascii_lowercase(), |own| own.name().to_owned()),
        };
        if from != storage.name() {
            report.converted.push(ConvertedWeight { name: (*name).to_owned(), from, to: *storage });
        }
        values.push(Some(converted(name, tensor, *storage)?));
        report.loaded.push((*name).to_owned());
    }
    Ok((values, report))
}

/// A tensor in the type of its parameter. Floats are rounded; integers and truth values become floats that are equal to them; integers become truth
/// values if they are 0 or 1.
fn converted(name: &str, tensor: Tensor, storage: StorageType) -> Result<Tensor, Error> {
    let refused = |reason: String| {
        let (name, found) = (name.to_owned(), tensor.storage().name().to_owned());
        Err(Error::from(WeightsError::Conversion { name, found, expected: storage, reason }))
    };
    match (tensor.dtype(), storage.value()) {
        (from, to) if from == to || from.is_float() && to.is_float() => return Ok(tensor.into_cast(storage)),
        (from, _) if from.is_float() => {
            return refused("floats are not cut off to integers or truth values".to_owned());
        }
        (_, _) => {}
    }
    let cast = tensor.cast(storage);
    let (before, after) = (tensor.to_f64_vec(), cast.to_f64_vec());
    match before.iter().zip(&after).position(|(before, after)| before != after) {
        Some(place) => refused(format!("it would change element {place}, {}", before[place])),
        None => Ok(cast),
    }
}
