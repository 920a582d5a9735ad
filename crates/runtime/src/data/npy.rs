//! NumPy's format of one array, `.npy`.
//!
//! A `.npy` file is a magic, a version, the length of a header, the header (a literal of a Python dictionary of `descr`,
//! `fortran_order` and `shape`) and the elements. Only what that dictionary may hold is understood here, not Python.

use std::io::Read;
use std::path::Path;

use arenagrad_graph::{DType, Elements, Shape};

use super::DataError;
use super::npy_header::{Header, parsed, written};
use super::reading;
use crate::error::Error;
use crate::file::replace_file;
use crate::tensor::Tensor;

const FORMAT: &str = "npy";
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

/// The array that a reader holds to its end.
pub(super) fn array(reader: &mut impl Read, path: &Path) -> Result<Tensor, Error> {
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
    let mut tensor = reading::tensor(reader, turned, number, big_endian, path);
    if let Err(Error::Data(DataError::Length { shape: told, .. })) = &mut tensor {
        // The file's own, and not the order in which it is read.
        *told = shape.clone();
    }
    // The first axis varies fastest.
    tensor?.permute((0..shape.rank() as isize).rev().collect::<Vec<_>>())
}

/// The file of a tensor.
pub(super) fn bytes(tensor: &Tensor) -> Vec<u8> {
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
