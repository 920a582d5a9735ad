//! Where the bytes of stored tensors are: in an open file, or in memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::file::unreadable;
use crate::weights::header::{FileHeader, HeaderError, LENGTH_BYTES, header_length};

/// The bytes of a file in the safetensors format.
///
/// An open file is read where and when it is asked. Somebody who replaces it at its path, as [`crate::replace_file`] does, disturbs
/// nobody: the file that was opened stays what it was.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(Mutex<File>),
    Bytes(Vec<u8>),
}

impl Source {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<(Source, FileHeader), Error> {
        let unreadable = |error: std::io::Error| unreadable(path, &error);
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            // A pipe cannot be read twice and does not say how long it is, but its header does.
            return Source::of_bytes(path, streamed(&mut file).map_err(unreadable)?);
        }
        let header = FileHeader::read(&mut file, metadata.len()).map_err(|error| refused(path, error))?;
        Ok((Source { path: path.to_owned(), content: Content::File(Mutex::new(file)) }, header))
    }

    /// The bytes of a file that stands in memory; `path` is what errors call it.
    pub(crate) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<(Source, FileHeader), Error> {
        let header =
            FileHeader::read(&mut bytes.as_slice(), bytes.len() as u64).map_err(|error| refused(path, error))?;
        Ok((Source { path: path.to_owned(), content: Content::Bytes(bytes) }, header))
    }

    /// Where it came from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes at that place, which the header has found to be there.
    pub(crate) fn read(&self, place: Range<u64>) -> Result<Vec<u8>, Error> {
        let length = (place.end - place.start) as usize;
        match &self.content {
            Content::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(length).map_err(|_| Error::OutOfMemory {
                    what: format!("a tensor of {}", self.path.display()),
                    bytes: length as u64,
                })?;
                bytes.resize(length, 0);
                file.seek(SeekFrom::Start(place.start))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|error| unreadable(&self.path, &error))?;
                Ok(bytes)
            }
            Content::Bytes(bytes) => {
                let start = place.start as usize;
                bytes.get(start..start + length).map(<[u8]>::to_vec).ok_or_else(|| Error::ParameterFile {
                    path: self.path.clone(),
                    reason: format!("bytes {start}..{} are not there", start + length),
                })
            }
        }
    }
}

/// The bytes of a stream as far as its header says that it goes, and one more if there are more: a device may never end. Where there is no
/// header, the bytes that show it.
fn streamed(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut read = |bytes: &mut Vec<u8>, count: u64| {
        let found = stream.by_ref().take(count).read_to_end(bytes)?;
        Ok::<_, std::io::Error>(found as u64 == count)
    };
    if !read(&mut bytes, LENGTH_BYTES as u64)? {
        return Ok(bytes);
    }
    let Some(length) = header_length(&bytes) else { return Ok(bytes) };
    if read(&mut bytes, length)?
        && let Some(data) = FileHeader::data_bytes(&bytes[LENGTH_BYTES..])
    {
        read(&mut bytes, data.saturating_add(1))?;
    }
    Ok(bytes)
}

fn refused(path: &Path, error: HeaderError) -> Error {
    match error {
        HeaderError::Read(error) => unreadable(path, &error),
        HeaderError::Format(reason) => Error::ParameterFile { path: path.to_owned(), reason },
    }
}
