//! How the safetensors format calls and writes elements.

use arenagrad_graph::{Elements, StorageType};

use crate::integers::Width;

/// The format's name of a storage type.
pub(crate) fn format_name(storage: StorageType) -> &'static str {
    match storage {
        StorageType::F32 => "F32",
        StorageType::F64 => "F64",
        StorageType::I32 => "I32",
        StorageType::Bool => "BOOL",
        StorageType::F16 => "F16",
        StorageType::Bf16 => "BF16",
        StorageType::U8 => "U8",
        StorageType::I8 => "I8",
        StorageType::I64 => "I64",
    }
}

/// The storage type of that name.
pub(crate) fn storage_named(dtype: &str) -> Option<StorageType> {
    StorageType::ALL.into_iter().find(|known| format_name(*known) == dtype)
}

/// The bytes of an element, of every dtype of the format whose elements are whole bytes.
pub(crate) fn element_bytes(dtype: &str) -> Option<usize> {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => Some(1),
        "F16" | "BF16" | "U16" | "I16" => Some(2),
        "F32" | "U32" | "I32" => Some(4),
        "F64" | "U64" | "I64" | "C64" => Some(8),
        _ => None,
    }
}

/// Why bytes are no elements of this crate.
pub(crate) enum DecodeError {
    /// The dtype has no elements here.
    Unsupported,
    /// The element at that place is an integer that i32 does not hold.
    Integer { position: usize, value: i64 },
}

/// The elements whose bytes these are. Integers keep their width where there is a storage type of it and become i32 otherwise; each
/// must fit i32.
pub(crate) fn decoded(dtype: &str, bytes: &[u8]) -> Result<Elements, DecodeError> {
    let storage = storage_named(dtype);
    if let Some(width) = Width::named(dtype) {
        let integers = width.elements(bytes).map_err(|(position, value)| DecodeError::Integer { position, value })?;
        return Ok(storage.map_or_else(|| integers.clone(), |storage| integers.converted(storage)));
    }
    storage.map(|storage| Elements::from_le_bytes(storage, bytes)).ok_or(DecodeError::Unsupported)
}

/// The bytes of a matrix of that many rows and columns, transposed.
pub(crate) fn transposed(bytes: &[u8], [rows, columns]: [usize; 2], element_bytes: usize) -> Vec<u8> {
    let mut transposed = Vec::with_capacity(bytes.len());
    // Of no elements there may be any number of rows or of columns.
    if bytes.is_empty() {
        return transposed;
    }
    for column in 0..columns {
        for row in 0..rows {
            let start = (row * columns + column) * element_bytes;
            transposed.extend_from_slice(&bytes[start..start + element_bytes]);
        }
    }
    transposed
}
