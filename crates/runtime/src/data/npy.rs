//! NumPy's formats: `.npy`, one array, and `.npz`, an archive of such under names.
//!
//! A `.npy` file is a magic, a version, the length of a header, the header (a literal of a Python dictionary of `descr`,
//! `fortran_order` and `shape`) and the elements. Only what that dictionary may hold is understood here, not Python.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use arenagrad_graph::{DType, Elements, Shape};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveWriter};

use super::DataError;
use super::batch::NamedTensors;
use super::npy_header::{Header, parsed, written};
use super::reading;
use crate::error::Error;
use crate::file::replace_file;
use crate::tensor::Tensor;

const FORMAT: &str = "npy";
const ARCHIVE: &str = "npz";
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy writes headers of about a hundred bytes, and reads none longer than this by itself.
const LONGEST_HEADER: u64 = 10_000;

/// The array of a file in NumPy's `.npy` format, row by row, whatever its order in the file.
///
/// Types: bool, u8, i8, i32, f16, f32 and f64 as they are; i16, u16 and u32 as i32; i64 and u64 as i64, which holds values of i32
/// here. Either order of bytes.
///
/// Errors: [`Error::File`] if it cannot be read, [`DataError::Format`] if it is none or holds another type (complex numbers,
/// text, records, objects), [`DataError::Length`] if it has not the elements that its header tells of, [`DataError::Integer`] for
/// an integer past i32.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Tensor, Error> {
    let path = path.as_ref();
    array(&mut reading::opened(path)?, path)
}

/// Writes a tensor in NumPy's `.npy` format, whole or not at all. NumPy has no bf16: such is written as f32.
///
/// [`Error::File`] if it cannot be written.
pub fn write_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<(), Error> {
    replace_file(path, &bytes(tensor))
}

/// The arrays of an `.npz` file, stored or deflated, in the order of the file, by their names without `.npy`.
///
/// ```
/// # use arenagrad::{Tensor, data::{Dataset, read_npz, write_npz}};
/// # let path = std::env::temp_dir().join(format!("arenagrad-doc-{}.npz", std::process::id()));
/// let (x, t) = (Tensor::new([2, 1], vec![1.0f32, 2.0])?, Tensor::new([2], vec![0, 1])?);
/// write_npz(&path, &[("x", &x), ("t", &t)])?;
/// let data = Dataset::of(read_npz(&path)?)?;
/// assert_eq!(data.column("t")?, &t);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), arenagrad::Error>(())
/// ```
///
/// Errors: those of [`read_npy`]; [`DataError::Archive`] if the file is no archive, or an array is packed in another way;
/// [`Error::File`] for one whose checksum says that it is damaged.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>, Error> {
    let path = path.as_ref();
    let content = reading::content(path)?;
    let wrong = |reason: String| -> Error { DataError::Archive { path: path.to_owned(), reason }.into() };
    let archive = ZipArchive::from_slice(&content[..]).map_err(|error| wrong(error.to_string()))?;
    let mut entries = archive.entries();
    let mut arrays: Vec<(String, Tensor)> = Vec::new();
    while let Some(entry) = entries.next_entry().map_err(|error| wrong(error.to_string()))? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            return Err(wrong(format!("it holds {name:?}, which is no array")));
        };
        if arrays.iter().any(|(known, _)| *known == name) {
            return Err(wrong(format!("it holds two arrays named {name:?}")));
        }
        let method = entry.compression_method();
        let found = archive.get_entry(entry.wayfinder()).map_err(|error| wrong(format!("{name:?}: {error}")))?;
        // Errors of an array say which it is by a path within the archive.
        let within = path.join(format!("{name}.npy"));
        let tensor = if method == CompressionMethod::STORE {
            array(&mut found.verifying_reader(found.data()), &within)?
        } else if method == CompressionMethod::DEFLATE {
            array(&mut found.verifying_reader(DeflateDecoder::new(found.data())), &within)?
        } else {
            return Err(wrong(format!("{name:?} is packed by {method:?}; stored and deflated arrays can be read")));
        };
        arrays.push((name, tensor));
    }
    Ok(arrays)
}

/// Writes tensors in NumPy's `.npz` format without packing them, as `numpy.savez` does, whole or not at all.
///
/// Errors: [`Error::File`] if it cannot be written, [`DataError::Unwritable`] for a name that an archive cannot have.
pub fn write_npz(path: impl AsRef<Path>, tensors: &(impl NamedTensors + ?Sized)) -> Result<(), Error> {
    let path = path.as_ref();
    let wrong =
        |reason: String| -> Error { DataError::Unwritable { path: path.to_owned(), format: ARCHIVE, reason }.into() };
    let mut archive = ZipArchiveWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in tensors.named_tensors() {
        let refused = |error: &dyn std::fmt::Display| wrong(format!("{name:?}: {error}"));
        let file = archive.new_file(format!("{name}.npy")).compression_method(CompressionMethod::STORE);
        let (mut entry, config) = file.start().map_err(|error| refused(&error))?;
        let mut data = config.wrap(&mut entry);
        data.write_all(&bytes(tensor)).map_err(|error| refused(&error))?;
        let (_, descriptor) = data.finish().map_err(|error| refused(&error))?;
        entry.finish(descriptor).map_err(|error| refused(&error))?;
    }
    let content = archive.finish().map_err(|error| wrong(error.to_string()))?;
    replace_file(path, &content.into_inner())
}

/// The array that a reader holds to its end.
fn array(reader: &mut impl Read, path: &Path) -> Result<Tensor, Error> {
    let wrong = |offset: u64, reason: String| -> Error {
        DataError::Format { path: path.to_owned(), format: FORMAT, offset, reason }.into()
    };
    let start = reading::up_to(reader, 8, path)?;
    if !start.starts_with(MAGIC) {
        return Err(wrong(0, "it does not begin with \\x93NUMPY".to_owned()));
    }
    let ends = |found: usize| wrong(found as u64, "the file ends within its header".to_owned());
    let &[_, _, _, _, _, _, version, _] = &start[..] else { return Err(ends(start.len())) };
    let width = match version {
        1 => 2,
        2 | 3 => 4,
        other => return Err(wrong(6, format!("{other} is no version of the format that is known"))),
    };
    let length = reading::up_to(reader, width, path)?;
    if (length.len() as u64) < width {
        return Err(ends(8 + length.len()));
    }
    let length = length.iter().rev().fold(0, |length: u64, &byte| length << 8 | u64::from(byte));
    if length > LONGEST_HEADER {
        return Err(wrong(8, format!("a header of {length} bytes; {LONGEST_HEADER} are the most")));
    }
    let header = reading::up_to(reader, length, path)?;
    let offset = 8 + width;
    if (header.len() as u64) < length {
        return Err(ends(offset as usize + header.len()));
    }
    let Header { number, big_endian, is_fortran, shape } =
        parsed(&header).map_err(|(at, reason)| wrong(offset + at as u64, reason))?;
    if !is_fortran {
        return reading::tensor(reader, shape, number, big_endian, path);
    }
    let turned: Shape = shape.dims().iter().rev().copied().collect();
    let tensor = reading::tensor(reader, turned, number, big_endian, path)?;
    transposed(&tensor, shape)
}

/// The elements of a tensor of the reversed shape, whose axes are put the other way round.
fn transposed(tensor: &Tensor, shape: Shape) -> Result<Tensor, Error> {
    let dims = shape.dims().to_vec();
    // The first axis varies fastest.
    let stride = |stride: &mut usize, &extent: &usize| Some(std::mem::replace(stride, *stride * extent));
    let strides: Vec<usize> = dims.iter().scan(1, stride).collect();
    let mut index = vec![0; dims.len()];
    let mut place = 0;
    let places = (0..shape.elements()).map(|_| {
        let here = place;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            place -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
        here
    });
    Tensor::from_data(shape.clone(), tensor.data().at(places))
}

/// The file of a tensor.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    let (descr, widened) = match tensor.data() {
        Elements::F32(_) => ("<f4", None),
        Elements::F64(_) => ("<f8", None),
        Elements::I32(_) => ("<i4", None),
        Elements::Bool(_) => ("|b1", None),
        Elements::F16(_) => ("<f2", None),
        Elements::Bf16(_) => ("<f4", Some(tensor.cast(DType::F32))),
        Elements::U8(_) => ("|u1", None),
        Elements::I8(_) => ("|i1", None),
        Elements::I64(_) => ("<i8", None),
    };
    let mut bytes = MAGIC.to_vec();
    bytes.extend(written(descr, tensor.shape(), bytes.len()));
    bytes.extend(widened.as_ref().unwrap_or(tensor).data().to_le_bytes());
    bytes
}
