//! Parameters on disk, in the safetensors format: readable by every framework that reads it.

use std::path::Path;

use arenagrad_graph::{DType, Elements, Shape};
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Given};
use crate::file::replace_file;
use crate::tensor::Tensor;
use crate::train::file_header::{Entry, FileHeader};

/// A name that the format keeps for itself.
pub(crate) const METADATA: &str = "__metadata__";

/// A tensor that a reader looks for.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) shape: &'a Shape,
    pub(crate) dtype: DType,
    /// Whether a file without it is refused.
    pub(crate) required: bool,
}

/// Writes tensors under their names, of which none is [`METADATA`]. The file appears whole or not at all, whoever else writes
/// it: see [`replace_file`].
pub(crate) fn write_parameters(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), Error> {
    let refused = |error: &dyn std::fmt::Display| Error::File {
        path: path.to_owned(),
        reason: format!("it could not be written: {error}"),
    };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| to_bytes(tensor.data())).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, tensor), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(file_dtype(tensor.dtype()), tensor.shape().to_vec(), bytes)
            .map_err(|error| refused(&error))?;
        views.push((name.as_str(), view));
    }
    let serialized = safetensors::serialize(views, None).map_err(|error| refused(&error))?;
    replace_file(path, &serialized)
}

/// What a file says of a tensor that is not required: that there is none, or an error where it does not fit.
pub(crate) type Found = Option<Result<Tensor, Error>>;

/// The tensors of a file with those names, in their order. Those that are required must be there, with that shape and dtype.
/// What else the file holds is ignored.
pub(crate) fn read_parameters(path: &Path, wanted: &[Wanted<'_>]) -> Result<Vec<Found>, Error> {
    let bytes = std::fs::read(path)
        .map_err(|error| Error::File { path: path.to_owned(), reason: format!("it could not be read: {error}") })?;
    let foreign = |reason: String| Error::ParameterFile { path: path.to_owned(), reason };
    let (header, data) = FileHeader::read(&bytes).map_err(foreign)?;
    let mut tensors = Vec::with_capacity(wanted.len());
    for Wanted { name, shape, dtype, required } in wanted {
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
        match fitting(path, entry, name, shape, *dtype) {
            Err(error) if *required => return Err(error),
            Err(error) => tensors.push(Some(Err(error))),
            Ok(()) => {
                let data = entry.data(data, element_bytes(*dtype)).map_err(foreign)?;
                tensors.push(Some(Tensor::from_data((*shape).clone(), from_bytes(*dtype, data))));
            }
        }
    }
    Ok(tensors)
}

/// Refuses an entry of another dtype or shape than the parameter's.
fn fitting(path: &Path, entry: &Entry, name: &str, shape: &Shape, dtype: DType) -> Result<(), Error> {
    let name = name.to_owned();
    let known = DType::ALL.into_iter().find(|known| entry.dtype == file_dtype(*known).to_string());
    let Some(found) = known else {
        let found = entry.dtype.to_ascii_lowercase();
        return Err(Error::FileDType { path: path.to_owned(), name, found, expected: dtype });
    };
    let given = Given::File(path.to_owned());
    if entry.shape.as_slice() != shape.dims() {
        let (expected, found) = (shape.clone(), Shape::from(entry.shape.as_slice()));
        return Err(Error::ParameterShape { name, expected, found, given });
    }
    if found != dtype {
        return Err(Error::ParameterDType { name, expected: dtype, found, given });
    }
    Ok(())
}

/// How many names an error lists.
const MAX_LISTED: usize = 20;

/// Names for an error: the first of them, if there are many.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.peekable();
    if names.peek().is_none() {
        return "none".to_owned();
    }
    let first: Vec<String> = names.by_ref().take(MAX_LISTED).map(|name| format!("{name:?}")).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn file_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I32 => Dtype::I32,
        DType::Bool => Dtype::BOOL,
    }
}

fn element_bytes(dtype: DType) -> usize {
    match dtype {
        DType::F32 | DType::I32 => 4,
        DType::F64 => 8,
        DType::Bool => 1,
    }
}

/// Elements as the format wants them: little-endian.
fn to_bytes(data: &Elements) -> Vec<u8> {
    match data {
        Elements::F32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Elements::F64(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Elements::I32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Elements::Bool(data) => data.clone(),
    }
}

fn from_bytes(dtype: DType, bytes: &[u8]) -> Elements {
    match dtype {
        DType::F32 => Elements::F32(words(bytes).map(f32::from_le_bytes).collect()),
        DType::F64 => Elements::F64(words(bytes).map(f64::from_le_bytes).collect()),
        DType::I32 => Elements::I32(words(bytes).map(i32::from_le_bytes).collect()),
        DType::Bool => Elements::Bool(bytes.iter().map(|&byte| u8::from(byte != 0)).collect()),
    }
}

/// The bytes of each element. The data is as long as the shape needs.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
