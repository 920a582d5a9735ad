//! NumPy's format of several arrays under names, `.npz`: an archive of `.npy` files.

use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::DeflateDecoder;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder, ZipArchiveWriter,
};

use super::batch::NamedTensors;
use super::npy::{array, bytes};
use super::{DataError, listed};
use crate::error::Error;
use crate::file::{replace_file, unreadable};
use crate::tensor::Tensor;

const ARCHIVE: &str = "npz";

/// An `.npz` file that is open: its arrays are read one by one, when they are asked for, so that of a large file no more is in memory than
/// is needed.
///
/// ```
/// # use arenagrad::{Tensor, data::{Npz, write_npz}};
/// # let path = std::env::temp_dir().join(format!("arenagrad-doc-npz-{}.npz", std::process::id()));
/// let (x, t) = (Tensor::new([2, 1], vec![1.0f32, 2.0])?, Tensor::new([2], vec![0, 1])?);
/// write_npz(&path, &[("x", &x), ("t", &t)])?;
/// let file = Npz::open(&path)?;
/// assert_eq!(file.names().collect::<Vec<_>>(), ["x", "t"]);
/// assert_eq!(file.read("t")?, t);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Debug)]
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<FileReader>,
    entries: Vec<Entry>,
}

/// Where an array of an archive is.
#[derive(Debug)]
struct Entry {
    name: String,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

impl Npz {
    /// Opens a file and reads what is in it, but none of its arrays.
    ///
    /// Errors: [`Error::File`] if it cannot be opened, [`DataError::Archive`] if it is no archive of arrays.
    pub fn open(path: impl AsRef<Path>) -> Result<Npz, Error> {
        let path = path.as_ref();
        let wrong = |reason: String| -> Error { DataError::Archive { path: path.to_owned(), reason }.into() };
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(file, &mut buffer).map_err(|error| wrong(error.to_string()))?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut list = archive.entries(&mut buffer);
        while let Some(entry) = list.next_entry().map_err(|error| wrong(error.to_string()))? {
            let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
            let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
                return Err(wrong(format!("it holds {name:?}, which is no array")));
            };
            if entries.iter().any(|known| known.name == name) {
                return Err(wrong(format!("it holds two arrays named {name:?}")));
            }
            entries.push(Entry { name, place: entry.wayfinder(), method: entry.compression_method() });
        }
        Ok(Npz { path: path.to_owned(), archive, entries })
    }

    /// The names of the arrays, without `.npy`, in the order of the file.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Reads the array of that name, stored or deflated.
    ///
    /// Errors: [`DataError::UnknownColumn`] if there is none; those of [`read_npy`](super::read_npy); [`DataError::Archive`] for one that is
    /// packed in another way; [`Error::File`] for one whose checksum says that it is damaged.
    pub fn read(&self, name: &str) -> Result<Tensor, Error> {
        match self.entries.iter().find(|entry| entry.name == name) {
            Some(entry) => self.array(entry),
            None => Err(DataError::UnknownColumn { name: name.to_owned(), known: listed(self.names()) }.into()),
        }
    }

    fn array(&self, Entry { name, place, method }: &Entry) -> Result<Tensor, Error> {
        let wrong = |reason: String| -> Error { DataError::Archive { path: self.path.clone(), reason }.into() };
        let found = self.archive.get_entry(*place).map_err(|error| wrong(format!("{name:?}: {error}")))?;
        // Errors of an array say which it is by a path within the archive.
        let within = self.path.join(format!("{name}.npy"));
        let packed = BufReader::new(found.reader());
        if *method == CompressionMethod::STORE {
            array(&mut found.verifying_reader(packed), &within)
        } else if *method == CompressionMethod::DEFLATE {
            array(&mut found.verifying_reader(DeflateDecoder::new(packed)), &within)
        } else {
            Err(wrong(format!("{name:?} is packed by {method:?}; stored and deflated arrays can be read")))
        }
    }
}

/// All arrays of an `.npz` file, stored or deflated, in the order of the file, by their names without `.npy`. [`Npz`] reads them one by one.
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
/// Errors: those of [`Npz::open`] and [`Npz::read`].
pub fn read_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>, Error> {
    let file = Npz::open(path)?;
    file.entries.iter().map(|entry| Ok((entry.name.clone(), file.array(entry)?))).collect()
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
