//! What a session reads of a file of its own: the parameters that it knows, by their names.

use std::path::Path;

use arenagrad_graph::message::cut_at;
use arenagrad_graph::{DType, Elements, Shape, StorageType};

use crate::error::{Error, Given};
use crate::integers::Width;
use crate::tensor::Tensor;
use crate::weights::{Entry, Source, storage_named};

/// A tensor that a reader looks for.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a Shape,
    pub(crate) storage: StorageType,
    /// Whether a file without it is refused.
    pub(crate) required: bool,
}

/// What a file says of a tensor that is not required: that there is none, or an error where it does not fit.
pub(crate) type Found = Option<Result<Tensor, Error>>;

/// The tensors of a file with those names, in their order. Those that are required must be there, with that shape and
/// values of that dtype, which are brought to that type. Integers of any width up to 64 bits, that fit, are values of i32; of those
/// a narrower parameter holds the lowest bits.
/// What else the file holds is ignored.
pub(crate) fn read_parameters(path: &Path, wanted: &[Wanted<'_>]) -> Result<Vec<Found>, Error> {
    let (source, header) = Source::open(path)?;
    let mut tensors = Vec::with_capacity(wanted.len());
    for Wanted { name, shape, storage, required } in wanted {
        let Some(entry) = header.find(name) else {
            if *required {
                let known = listed(header.names());
                return Err(Error::MissingParameter {
                    path: path.to_owned(),
                    name: (*name).to_owned(),
                    shape: (*shape).clone(),
                    known,
                });
            }
            tensors.push(None);
            continue;
        };
        match fitting(path, entry, name, shape, *storage) {
            Err(error) if *required => return Err(error),
            Err(error) => tensors.push(Some(Err(error))),
            Ok(Format::Stored(found)) => {
                let data = source.read(header.place(entry))?;
                let tensor = Tensor::from_data((*shape).clone(), Elements::from_le_bytes(found, &data));
                tensors.push(Some(tensor.map(|tensor| tensor.into_cast(*storage))));
            }
            Ok(Format::Integers(width)) => {
                let data = source.read(header.place(entry))?;
                let narrowed = width.elements(&data).map_err(|(position, value)| {
                    let (path, name) = (path.to_owned(), (*name).to_owned());
                    Error::FileInteger { path, name, position, value }
                });
                match narrowed.and_then(|elements| Tensor::from_data((*shape).clone(), elements)) {
                    Err(error) if *required => return Err(error),
                    tensor => tensors.push(Some(tensor.map(|tensor| tensor.into_cast(*storage)))),
                }
            }
        }
    }
    Ok(tensors)
}

/// How a file holds the elements of a parameter.
enum Format {
    /// In a storage type.
    Stored(StorageType),
    /// As integers of another width, for a parameter that holds values of i32.
    Integers(Width),
}

/// The type of an entry's elements. Refuses one of another shape than the parameter's, or whose values are of another dtype.
fn fitting(path: &Path, entry: &Entry, name: &str, shape: &Shape, storage: StorageType) -> Result<Format, Error> {
    let name = name.to_owned();
    let known = storage_named(&entry.dtype);
    let width = Width::named(&entry.dtype).filter(|_| storage.value() == DType::I32);
    if known.is_none() && width.is_none() {
        let found = entry.dtype.to_ascii_lowercase();
        return Err(Error::FileDType { path: path.to_owned(), name, found, expected: storage });
    }
    let given = Given::File(path.to_owned());
    if entry.shape.as_slice() != shape.dims() {
        let (expected, found) = (shape.clone(), Shape::from(entry.shape.as_slice()));
        return Err(Error::ParameterShape { name, expected, found, given });
    }
    match (known, width) {
        (_, Some(width)) => Ok(Format::Integers(width)),
        (Some(found), None) if found.value() != storage.value() => {
            Err(Error::ParameterDType { name, expected: storage, found, given })
        }
        (found, None) => Ok(Format::Stored(found.unwrap_or(storage))),
    }
}

/// How many names an error lists.
const MAX_LISTED: usize = 20;

/// How many characters of a name an error lists.
const LONGEST_NAME: usize = 200;

/// Names for an error: the first of them, if there are many.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return "none".to_owned();
    }
    let first: Vec<String> = names.by_ref().take(MAX_LISTED).map(|name| cut_at(LONGEST_NAME, name)).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
