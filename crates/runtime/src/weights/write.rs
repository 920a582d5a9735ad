//! Writing named tensors, tensor by tensor, so that no more than one of them needs memory beside what is held.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use crate::error::Error;
use crate::file::{Replacement, replace};
use crate::weights::header::{MAX_HEADER_BYTES, METADATA};
use crate::weights::{TRAINING_STATE, Weight, Weights, shards};

impl Weights {
    /// Writes the tensors and the metadata to a file in the safetensors format. It appears whole or not at all, and is on the disk when this returns:
    /// see [`replace_file`](crate::replace_file). The same tensors give the same bytes.
    ///
    /// Errors: [`Error::File`] if the path cannot be written; what reading a tensor reports; the first mistake of a transformation.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.save_with(path.as_ref(), &self.metadata)
    }

    /// [`Weights::save`] with other metadata.
    pub(crate) fn save_with(&self, path: &Path, metadata: &BTreeMap<String, String>) -> Result<(), Error> {
        self.check()?;
        let tensors: Vec<&Weight> = self.list.iter().collect();
        written(path, |write| replace(path, |file| write(file, &tensors, metadata)))
    }

    /// Writes the tensors to files of at most so many bytes of tensors each (but for a tensor that is larger by itself) in a folder,
    /// which is made if it is not there: `model-00001-of-00003.safetensors` and so on, with `model.safetensors.index.json`, which says
    /// where each tensor is; or `model.safetensors` alone where one is enough. `transformers` writes and reads the same.
    ///
    /// Each file appears whole or not at all, and the index last. While files of an older model are replaced there is no index, so
    /// nobody reads parts of two; those that are not replaced are removed at last.
    ///
    /// Errors as [`Weights::save`]; what cannot be written at all leaves the folder's files as they were.
    pub fn save_shards(&self, folder: impl AsRef<Path>, max_bytes: u64) -> Result<(), Error> {
        self.check()?;
        shards::save(self, folder.as_ref(), max_bytes)
    }

    /// The bytes of the file that [`Weights::save`] writes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.to_bytes_with(&self.metadata)
    }

    /// [`Weights::to_bytes`] with other metadata.
    pub(crate) fn to_bytes_with(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut bytes = Vec::new();
        let tensors: Vec<&Weight> = self.list.iter().collect();
        written(Path::new("bytes in memory"), |write| write(&mut bytes, &tensors, metadata))?;
        Ok(bytes)
    }

    /// What a file of some of the tensors will hold, on the disk but not in its place yet.
    pub(super) fn prepared(&self, path: &Path, tensors: &[&Weight]) -> Result<Replacement, Error> {
        written(path, |write| Replacement::prepare(path, |file| write(file, tensors, &self.metadata)))
    }
}

/// Writes a file: header and data.
type Writer<'w> = &'w mut dyn FnMut(&mut dyn Write, &[&Weight], &BTreeMap<String, String>) -> io::Result<()>;

/// What `write` gives, which is handed a function that writes a file. A tensor that cannot be read is told by its own error.
fn written<R>(path: &Path, write: impl FnOnce(Writer<'_>) -> io::Result<R>) -> Result<R, Error> {
    let mut unread = None;
    let mut writer = |target: &mut dyn Write, tensors: &[&Weight], metadata: &BTreeMap<String, String>| {
        // Wide elements first, so that those of every tensor begin at a multiple of their size.
        let mut ordered = tensors.to_vec();
        ordered.sort_by_key(|weight| std::cmp::Reverse(crate::weights::element_bytes(weight.dtype()).unwrap_or(1)));
        target.write_all(&header(tensors, &ordered, metadata)?)?;
        for weight in ordered {
            let bytes = match weight.cast {
                None => weight.file_bytes(),
                Some(_) => weight.tensor().map(|tensor| tensor.data().to_le_bytes()),
            };
            match bytes {
                Ok(bytes) => target.write_all(&bytes)?,
                Err(error) => {
                    unread = Some(error);
                    return Err(io::Error::other("a tensor could not be read"));
                }
            }
        }
        Ok(())
    };
    let result = write(&mut writer);
    match (result, unread) {
        (Ok(result), _) => Ok(result),
        (Err(_), Some(unread)) => Err(unread),
        (Err(error), None) => {
            Err(Error::File { path: path.to_owned(), reason: format!("it could not be written: {error}") })
        }
    }
}

/// The length of the header and the header, which names the tensors in their order; `placed` is the order of their data.
fn header(tensors: &[&Weight], placed: &[&Weight], metadata: &BTreeMap<String, String>) -> io::Result<Vec<u8>> {
    let mut places = std::collections::HashMap::with_capacity(placed.len());
    let mut end = 0u64;
    for weight in placed {
        let start = end;
        end += weight.bytes();
        places.insert(weight.name.as_str(), [start, end]);
    }
    let mut metadata = metadata.clone();
    let state: Vec<&str> =
        tensors.iter().filter(|weight| weight.is_training_state).map(|weight| weight.name.as_str()).collect();
    if !state.is_empty() {
        metadata.insert(TRAINING_STATE.to_owned(), serde_json::to_string(&state)?);
    }
    let mut text = String::from("{");
    if !metadata.is_empty() {
        text += &format!("{}:{}", serde_json::to_string(METADATA)?, serde_json::to_string(&metadata)?);
    }
    for weight in tensors {
        if text.len() > 1 {
            text.push(',');
        }
        text += &format!(
            "{}:{{\"dtype\":{},\"shape\":{},\"data_offsets\":{}}}",
            serde_json::to_string(&weight.name)?,
            serde_json::to_string(weight.dtype())?,
            serde_json::to_string(weight.shape().dims())?,
            serde_json::to_string(&places[weight.name.as_str()])?
        );
    }
    text.push('}');
    // The data begins at a multiple of eight bytes, so that a reader may map it into memory.
    while text.len() % 8 != 0 {
        text.push(' ');
    }
    if text.len() as u64 > MAX_HEADER_BYTES {
        let (found, most) = (text.len(), MAX_HEADER_BYTES);
        let reason = format!("names, shapes and metadata take {found} bytes, and the format allows {most}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    Ok(bytes)
}
