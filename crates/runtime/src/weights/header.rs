//! The header of a file in the safetensors format: which tensors it holds, and where.
//!
//! A file is eight bytes with the header's length, the header, and the data of all tensors one behind the other. The header
//! is a JSON object: for each name dtype, shape and the range of its bytes in the data; `__metadata__` holds text about the
//! file. What does not fit together is told apart here, because each mistake wants another remedy: a file that was cut off is
//! fetched again, one of another format converted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::weights::format::element_bytes;

/// A name that the format keeps for itself.
pub(crate) const METADATA: &str = "__metadata__";

/// The bytes of the header's length.
pub(super) const LENGTH_BYTES: usize = 8;

/// The format allows no longer header.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors of a file.
#[derive(Debug)]
pub(crate) struct FileHeader {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
    /// Where in the file the data begins.
    data: u64,
}

/// Why there is no header.
pub(crate) enum HeaderError {
    /// The file could not be read.
    Read(io::Error),
    /// The file is not in the format: what is wrong with it.
    Format(String),
}

/// What a header says of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// As the format writes it: `F32`, `BF16`.
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl FileHeader {
    /// The header of a file of so many bytes, which is read from its begin on.
    pub(crate) fn read(file: &mut impl Read, bytes: u64) -> Result<FileHeader, HeaderError> {
        let mut begin = [0; LENGTH_BYTES];
        let present = LENGTH_BYTES.min(usize::try_from(bytes).unwrap_or(LENGTH_BYTES));
        file.read_exact(&mut begin[..present]).map_err(HeaderError::Read)?;
        // The length of a header may begin with the bytes that another format begins with, so these count where there is no header.
        let refused = |reason: String| HeaderError::Format(other_format(&begin[..present]).unwrap_or(reason));
        if present < LENGTH_BYTES {
            let reason = format!("it is cut off: it has {bytes} bytes, and the length of its header alone takes 8");
            return Err(refused(reason));
        }
        let length = u64::from_le_bytes(begin);
        if length > MAX_HEADER_BYTES {
            return Err(refused(format!(
                "it is of another format: it begins with {:?}, which is no length of a header",
                String::from_utf8_lossy(&begin)
            )));
        }
        let data = LENGTH_BYTES as u64 + length;
        if data > bytes {
            return Err(refused(format!(
                "it is cut off, or of another format: its header ends at byte {data}, but it has {bytes}"
            )));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(HeaderError::Read)?;
        if header.first() != Some(&b'{')
            && let Some(reason) = other_format(&begin)
        {
            return Err(HeaderError::Format(reason));
        }
        FileHeader::parse(&header, data, bytes - data).map_err(HeaderError::Format)
    }

    /// How many bytes of data a header tells of; none if it is no header.
    pub(super) fn data_bytes(header: &[u8]) -> Option<u64> {
        let header = FileHeader::parse_text(header, 0).ok()?;
        header.entries.iter().try_for_each(Entry::check_size).ok()?;
        Some(header.entries.iter().map(|entry| entry.end as u64).max().unwrap_or(0))
    }

    /// The header of that text, in a file whose data begins at byte `data` and has `bytes`.
    fn parse(header: &[u8], data: u64, bytes: u64) -> Result<FileHeader, String> {
        let header = FileHeader::parse_text(header, data)?;
        header.check_data(bytes)?;
        Ok(header)
    }

    /// What a header says, whatever data there is.
    fn parse_text(header: &[u8], data: u64) -> Result<FileHeader, String> {
        let pairs: Pairs =
            serde_json::from_slice(header).map_err(|error| format!("its header is no JSON object: {error}"))?;
        let mut by_name = HashMap::with_capacity(pairs.0.len());
        let mut entries = Vec::with_capacity(pairs.0.len());
        let mut metadata = BTreeMap::new();
        for (name, value) in pairs.0 {
            if by_name.insert(name.clone(), entries.len()).is_some() {
                return Err(format!("its header names {name:?} twice"));
            }
            if name == METADATA {
                metadata = serde_json::from_value(value)
                    .map_err(|error| format!("its header's {METADATA:?} is no object of texts: {error}"))?;
            } else {
                entries.push(Entry::read(name, &value)?);
            }
        }
        by_name.remove(METADATA);
        Ok(FileHeader { entries, by_name, metadata, data })
    }

    /// The tensor of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|&place| &self.entries[place])
    }

    /// The names of all tensors, in the order of the header.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The tensors in the order of the header, and the texts about the file.
    pub(super) fn into_parts(self) -> (Vec<Entry>, BTreeMap<String, String>) {
        (self.entries, self.metadata)
    }

    /// Where in the file a tensor's bytes are.
    pub(crate) fn place(&self, entry: &Entry) -> Range<u64> {
        self.data + entry.start as u64..self.data + entry.end as u64
    }

    /// The tensors must lie one behind the other, without gaps, up to the end of the data.
    fn check_data(&self, bytes: u64) -> Result<(), String> {
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
            entry.check_size()?;
        }
        let end = end as u64;
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

    /// Refuses a number of bytes that is not that of the elements; of dtypes that nobody here knows any will do.
    fn check_size(&self) -> Result<(), String> {
        let Entry { name, dtype, shape, start, end } = self;
        let Some(element_bytes) = element_bytes(dtype) else { return Ok(()) };
        // An empty axis makes an empty tensor, however long the others are said to be.
        let needed = match shape.contains(&0) {
            true => Some(0),
            false => shape.iter().try_fold(element_bytes, |bytes, &extent| bytes.checked_mul(extent)),
        };
        let found = end - start;
        match needed == Some(found) {
            true => Ok(()),
            false => Err(format!("{name:?} has {found} bytes, which are no {dtype} elements of shape {shape:?}")),
        }
    }
}

/// The length of the header that a file's first bytes tell of; none if no header is as long.
pub(super) fn header_length(begin: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(*begin.first_chunk()?);
    (length <= MAX_HEADER_BYTES).then_some(length)
}

/// What a file is that begins with these bytes, if it is known to be of another format.
fn other_format(begin: &[u8]) -> Option<String> {
    let is_pickle = matches!(begin, [0x80, 2..=5, ..]);
    let is_archive = begin.starts_with(b"PK\x03\x04");
    let what = if is_pickle {
        "a pickle of Python, as .pt, .pth and .bin files of old versions of PyTorch are"
    } else if is_archive {
        "an archive (it begins with \"PK\"), as .pt, .pth and .bin files of PyTorch and .npz files are"
    } else if begin.starts_with(b"GGUF") {
        return Some("it is of another format: GGUF; export the model to safetensors".to_owned());
    } else if begin.starts_with(b"\x89HDF") {
        return Some("it is of another format: HDF5; export the weights to safetensors".to_owned());
    } else if begin.starts_with(b"\x93NUMPY") {
        return Some("it is of another format: an .npy file of NumPy".to_owned());
    } else {
        return None;
    };
    Some(format!(
        "it is of another format: {what}; in Python, `safetensors.torch.save_file({{name: tensor.clone(memory_format=torch.contiguous_format) for \
         name, tensor in torch.load(path, weights_only=True).items()}}, \"model.safetensors\")` converts a state_dict"
    ))
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
