//! Opening files and reading what a header promises, without believing it: no memory is taken for bytes that are not there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use arenagrad_graph::{Elements, I64, Shape, StorageType};

use super::gzip::Gzip;
use super::{DataError, Found};
use crate::error::Error;
use crate::file::unreadable;
use crate::tensor::Tensor;

/// The first bytes of a gzipped file.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The content of a file, unpacked if it is gzipped, whatever its name.
pub(super) fn opened(path: &Path) -> Result<Box<dyn Read>, Error> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut file = BufReader::new(file);
    let start = file.fill_buf().map_err(|error| unreadable(path, &error))?;
    Ok(if start.starts_with(&GZIP) { Box::new(Gzip::new(file)) } else { Box::new(file) })
}

/// Up to `count` bytes; fewer if there are no more.
pub(super) fn up_to(reader: &mut impl Read, count: u64, path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // Memory grows with what arrives, so a count that is made up takes none.
    reader.take(count).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

/// A type of numbers in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl Number {
    /// As NumPy's users know it: `u64`.
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn bytes(self) -> usize {
        match self {
            Number::Bool | Number::U8 | Number::I8 => 1,
            Number::U16 | Number::I16 | Number::F16 => 2,
            Number::U32 | Number::I32 | Number::F32 => 4,
            Number::U64 | Number::I64 | Number::F64 => 8,
        }
    }
}

/// The tensor that stands in the rest of a reader: so many numbers as the shape has, and nothing behind them.
pub(super) fn tensor(
    reader: &mut impl Read,
    shape: Shape,
    number: Number,
    big_endian: bool,
    path: &Path,
) -> Result<Tensor, Error> {
    let expected = bytes_of(&shape, number.bytes()).map_or(u64::MAX, |bytes| bytes as u64);
    // One byte more would be one too many.
    let bytes = up_to(reader, expected.saturating_add(1), path)?;
    let found = bytes.len() as u64;
    if found != expected {
        let found = if found > expected { Found::More } else { Found::Exactly(found) };
        let (path, type_name) = (path.to_owned(), number.name());
        return Err(DataError::Length { path, shape, type_name, expected, found }.into());
    }
    Tensor::from_data(shape, elements(bytes, number, big_endian, path)?)
}

/// The bytes of elements of that width, if they can be counted. Where there are none the other extents may be any.
fn bytes_of(shape: &Shape, width: usize) -> Option<usize> {
    let extents = || shape.dims().iter().copied();
    if extents().any(|extent| extent == 0) { Some(0) } else { extents().try_fold(width, usize::checked_mul) }
}

/// Numbers as elements. Those of 16 bits become i32; what is wider than i32 must hold no more than that.
fn elements(mut bytes: Vec<u8>, number: Number, big_endian: bool, path: &Path) -> Result<Elements, Error> {
    if big_endian && number.bytes() > 1 {
        bytes.chunks_exact_mut(number.bytes()).for_each(<[u8]>::reverse);
    }
    let plain = |storage: StorageType| Ok(Elements::from_le_bytes(storage, &bytes));
    let outside = |position: usize, value: i128| -> Error {
        DataError::Integer { path: path.to_owned(), position, value, type_name: number.name() }.into()
    };
    match number {
        Number::Bool => plain(StorageType::Bool),
        Number::U8 => plain(StorageType::U8),
        Number::I8 => plain(StorageType::I8),
        Number::I32 => plain(StorageType::I32),
        Number::F16 => plain(StorageType::F16),
        Number::F32 => plain(StorageType::F32),
        Number::F64 => plain(StorageType::F64),
        Number::U16 => Ok(words(&bytes).map(|word| i32::from(u16::from_le_bytes(word))).collect::<Vec<_>>().into()),
        Number::I16 => Ok(words(&bytes).map(|word| i32::from(i16::from_le_bytes(word))).collect::<Vec<_>>().into()),
        Number::U32 => {
            let values = words(&bytes).map(u32::from_le_bytes).enumerate();
            let values = values.map(|(at, value)| i32::try_from(value).map_err(|_| outside(at, value.into())));
            Ok(values.collect::<Result<Vec<i32>, _>>()?.into())
        }
        Number::I64 => {
            let values = words(&bytes).map(i64::from_le_bytes).enumerate();
            let values = values.map(|(at, value)| I64::try_from(value).map_err(|_| outside(at, value.into())));
            Ok(values.collect::<Result<Vec<I64>, _>>()?.into())
        }
        Number::U64 => {
            let values = words(&bytes).map(u64::from_le_bytes).enumerate();
            let values = values.map(|(at, value)| {
                let held = i64::try_from(value).ok().and_then(|value| I64::try_from(value).ok());
                held.ok_or_else(|| outside(at, value.into()))
            });
            Ok(values.collect::<Result<Vec<I64>, _>>()?.into())
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
