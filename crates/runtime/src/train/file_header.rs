//! The header of a file in the safetensors format: which tensors it holds, and where.
//!
//! A file is eight bytes with the header's length, the header, and the data of all tensors one behind the other. The header
//! is a JSON object: for each name dtype, shape and the range of its bytes in the data; `__metadata__` holds text about the
//! file. What does not fit together is told apart here, because each mistake wants another remedy: a file that was cut off is
//! fetched again, one of another format converted.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// A name that the format keeps for itself.
pub(crate) const METADATA: &str = "__metadata__";

/// The bytes of the header's length.
const LENGTH_BYTES: usize = 8;

/// The format allows no longer header.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors of a file.
pub(super) struct FileHeader {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

/// What a header says of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// As the format writes it: `F32`, `BF16`.
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl FileHeader {
    /// The header of a file, and the data behind it. The error says what is wrong with the file.
    pub(super) fn read(bytes: &[u8]) -> Result<(FileHeader, &[u8]), String> {
        let Some((length, rest)) = bytes.split_at_checked(LENGTH_BYTES) else {
            let found = bytes.len();
            return Err(format!("it is cut off: it has {found} bytes, and the length of its header alone takes 8"));
        };
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        if length > MAX_HEADER_BYTES {
            return Err(format!(
                "it is of another format: it begins with {:?}, which is no length of a header",
                String::from_utf8_lossy(&bytes[..LENGTH_BYTES])
            ));
        }
        let Some((header, data)) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) else {
            let (needed, found) = (LENGTH_BYTES as u64 + length, bytes.len());
            return Err(format!(
                "it is cut off, or of another format: its header ends at byte {needed}, but it has {found}"
            ));
        };
        let pairs: Pairs =
            serde_json::from_slice(header).map_err(|error| format!("its header is no JSON object: {error}"))?;
        let mut by_name = HashMap::with_capacity(pairs.0.len());
        let mut entries = Vec::with_capacity(pairs.0.len());
        for (name, value) in pairs.0 {
            if by_name.insert(name.clone(), entries.len()).is_some() {
                return Err(format!("its header names {name:?} twice"));
            }
            if name != METADATA {
                entries.push(Entry::read(name, &value)?);
            }
        }
        by_name.remove(METADATA);
        let header = FileHeader { entries, by_name };
        header.check_data(data.len())?;
        Ok((header, data))
    }

    /// The tensor of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|&place| &self.entries[place])
    }

    /// The names of all tensors, in the order of the header.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The tensors must lie one behind the other, without gaps, up to the end of the data.
    fn check_data(&self, bytes: usize) -> Result<(), String> {
        let mut placed: Vec<&Entry> = self.entries.iter().collect();
        placed.sort_by_key(|entry| (entry.start, entry.end));
        let mut end = 0;
        for entry in placed {
            if entry.start != end {
                let Entry { name, start, .. } = entry;
                return Err(format!(
                    "the data of {name:?} begins at byte {start}, but that of the tensor before it ends at {end}"
                ));
            }
            end = entry.end;
        }
        if bytes < end {
            return Err(format!("it is cut off: its tensors take {end} bytes, but {bytes} are there"));
        }
        if bytes > end {
            return Err(format!("its tensors take {end} bytes, but {bytes} are there: something was appended to it"));
        }
        Ok(())
    }
}

impl Entry {
    fn read(name: String, value: &Value) -> Result<Entry, String> {
        let wrong = |what: &str| format!("its header gives {name:?} no proper {what}: {value}");
        let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let numbers = |key: &str| value.get(key)?.as_array()?.iter().map(number).collect::<Option<Vec<usize>>>();
        let dtype = value.get("dtype").and_then(Value::as_str).ok_or_else(|| wrong("dtype"))?.to_owned();
        let shape = numbers("shape").ok_or_else(|| wrong("shape"))?;
        let range = numbers("data_offsets").ok_or_else(|| wrong("data_offsets"))?;
        let &[start, end] = range.as_slice() else { return Err(wrong("data_offsets")) };
        if start > end {
            return Err(wrong("data_offsets"));
        }
        Ok(Entry { name, dtype, shape, start, end })
    }

    /// The bytes of the tensor, whose elements take that many each.
    pub(super) fn data<'a>(&self, data: &'a [u8], element_bytes: usize) -> Result<&'a [u8], String> {
        let Entry { name, shape, start, end, .. } = self;
        let needed = shape.iter().try_fold(element_bytes, |bytes, &extent| bytes.checked_mul(extent));
        if needed != Some(end - start) {
            let found = end - start;
            return Err(format!("{name:?} has {found} bytes, which are no {} elements of shape {shape:?}", self.dtype));
        }
        data.get(*start..*end).ok_or_else(|| format!("the data of {name:?} is not there"))
    }
}

/// The pairs of a JSON object in their order; a name may come twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an entry for each tensor")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}
