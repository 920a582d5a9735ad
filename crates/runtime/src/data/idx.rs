//! The IDX format of the MNIST files (LeCun, Cortes and Burges): two zeros, a byte for the type, a byte for the rank, the
//! extents and the elements, all big-endian.

use std::io::Write;
use std::path::Path;

use arenagrad_graph::{Elements, Shape};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::DataError;
use super::reading::{self, Number};
use crate::error::Error;
use crate::file::replace_file;
use crate::tensor::Tensor;

const FORMAT: &str = "IDX";

/// The tensor of a file in the IDX format, gzipped or not, whatever its name: `[60000, 28, 28]` of u8 for the images of MNIST, `[60000]`
/// for their labels. Integers of 16 bits become i32.
///
/// Errors: [`Error::File`] if it cannot be read, [`DataError::Format`] if it is none, [`DataError::Length`] if it has not the
/// elements that its header tells of.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Tensor, Error> {
    let path = path.as_ref();
    let mut reader = reading::opened(path)?;
    let wrong = |offset: u64, reason: String| -> Error {
        DataError::Format { path: path.to_owned(), format: FORMAT, offset, reason }.into()
    };
    let magic = reading::up_to(&mut reader, 4, path)?;
    let &[first, second, kind, rank] = &magic[..] else {
        return Err(wrong(magic.len() as u64, "the file ends within its first four bytes".to_owned()));
    };
    if (first, second) != (0, 0) {
        return Err(wrong(0, format!("it begins with {first:#04x} {second:#04x}, not with two zeros")));
    }
    let number = match kind {
        0x08 => Number::U8,
        0x09 => Number::I8,
        0x0B => Number::I16,
        0x0C => Number::I32,
        0x0D => Number::F32,
        0x0E => Number::F64,
        other => return Err(wrong(2, format!("{other:#04x} is no type of elements"))),
    };
    let extents = reading::up_to(&mut reader, 4 * u64::from(rank), path)?;
    if extents.len() < 4 * usize::from(rank) {
        let reason = format!("the file ends within the extents of its {rank} axes");
        return Err(wrong(4 + extents.len() as u64, reason));
    }
    let (words, _) = extents.as_chunks::<4>();
    let shape: Shape = words.iter().map(|&word| u32::from_be_bytes(word) as usize).collect();
    reading::tensor(&mut reader, shape, number, true, path)
}

/// Writes a tensor in the IDX format, whole or not at all; gzipped if the name ends in `.gz`. Types that the format has not are
/// widened: f16 and bf16 to f32, truth values to u8, integers of 64 bits, which hold values of i32, to i32.
///
/// Errors: [`Error::File`] if it cannot be written, [`DataError::Unwritable`] for more than 255 axes or an extent past `u32`.
pub fn write_idx(path: impl AsRef<Path>, tensor: &Tensor) -> Result<(), Error> {
    let path = path.as_ref();
    let wrong =
        |reason: String| -> Error { DataError::Unwritable { path: path.to_owned(), format: FORMAT, reason }.into() };
    let rank = tensor.shape().rank();
    let rank = u8::try_from(rank).map_err(|_| wrong(format!("{rank} axes are more than its 255")))?;
    let (kind, bytes) = match tensor.data() {
        Elements::U8(_) | Elements::Bool(_) => (0x08, tensor.data().to_le_bytes()),
        Elements::I8(_) => (0x09, tensor.data().to_le_bytes()),
        Elements::I32(_) | Elements::I64(_) => (0x0C, swapped(tensor.cast(arenagrad_graph::DType::I32), 4)),
        Elements::F32(_) | Elements::F16(_) | Elements::Bf16(_) => {
            (0x0D, swapped(tensor.cast(arenagrad_graph::DType::F32), 4))
        }
        Elements::F64(_) => (0x0E, swapped(tensor.clone(), 8)),
    };
    let mut content = vec![0, 0, kind, rank];
    for &extent in tensor.shape().dims() {
        let extent = u32::try_from(extent).map_err(|_| wrong(format!("an extent of {extent} is past its 32 bits")))?;
        content.extend(extent.to_be_bytes());
    }
    content.extend(bytes);
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        let packed = packed.write_all(&content).and_then(|()| packed.finish());
        content = packed.map_err(|error| wrong(format!("it could not be packed: {error}")))?;
    }
    replace_file(path, &content)
}

/// The bytes of the elements, the most significant of each first.
fn swapped(tensor: Tensor, width: usize) -> Vec<u8> {
    let mut bytes = tensor.data().to_le_bytes();
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    bytes
}
