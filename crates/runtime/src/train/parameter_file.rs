//! Parameters on disk, in the safetensors format: readable by every framework that reads it.

use std::path::Path;

use arenagrad_graph::{DType, Shape};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::Error;
use crate::tensor::{Tensor, TensorData};

/// Writes tensors under their names. The file appears whole or not at all: it is written beside its place and moved there.
pub(crate) fn write_parameters(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), Error> {
    if tensors.iter().any(|(name, _)| name == "__metadata__") {
        return Err(file_error(path, "the format keeps the name \"__metadata__\" for itself"));
    }
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| to_bytes(tensor.data())).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, tensor), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(file_dtype(tensor.dtype()), tensor.shape().to_vec(), bytes)
            .map_err(|error| file_error(path, error))?;
        views.push((name.as_str(), view));
    }
    let serialized = safetensors::serialize(views, None).map_err(|error| file_error(path, error))?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, serialized)
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|error| file_error(path, error))
}

/// The tensors of a file with those names, in their order. Every one must be there with that shape and dtype; others are
/// ignored.
pub(crate) fn read_parameters(path: &Path, wanted: &[(String, Shape, DType)]) -> Result<Vec<Tensor>, Error> {
    let bytes = std::fs::read(path).map_err(|error| file_error(path, error))?;
    let foreign = |reason: String| Error::ParameterFile { path: path.to_owned(), reason };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| foreign(error.to_string()))?;
    let mut tensors = Vec::with_capacity(wanted.len());
    for (name, shape, dtype) in wanted {
        let view =
            file.tensor(name).map_err(|_| Error::MissingParameter { path: path.to_owned(), name: name.clone() })?;
        let found = Shape::from(view.shape());
        if found != *shape {
            return Err(Error::ParameterShape { name: name.clone(), expected: shape.clone(), found });
        }
        if let Some(found) = DType::ALL.into_iter().find(|found| file_dtype(*found) == view.dtype() && found != dtype) {
            return Err(Error::ParameterDType { name: name.clone(), expected: *dtype, found });
        }
        if view.dtype() != file_dtype(*dtype) {
            return Err(foreign(format!("{name:?} holds {:?}, not {dtype}", view.dtype())));
        }
        tensors.push(Tensor::from_data(found, from_bytes(*dtype, view.data()))?);
    }
    Ok(tensors)
}

fn file_error(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::File { path: path.to_owned(), reason: error.to_string() }
}

fn file_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I32 => Dtype::I32,
        DType::Bool => Dtype::BOOL,
    }
}

/// Elements as the format wants them: little-endian.
fn to_bytes(data: &TensorData) -> Vec<u8> {
    match data {
        TensorData::F32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::F64(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::I32(data) => data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        TensorData::Bool(data) => data.clone(),
    }
}

fn from_bytes(dtype: DType, bytes: &[u8]) -> TensorData {
    match dtype {
        DType::F32 => TensorData::F32(words(bytes).map(f32::from_le_bytes).collect()),
        DType::F64 => TensorData::F64(words(bytes).map(f64::from_le_bytes).collect()),
        DType::I32 => TensorData::I32(words(bytes).map(i32::from_le_bytes).collect()),
        DType::Bool => TensorData::Bool(bytes.iter().map(|&byte| u8::from(byte != 0)).collect()),
    }
}

/// The bytes of each element. The format has checked that the data is as long as the shape needs.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
