//! The folder of a run: what it measured, as lines of JSON, and the names of its other files.
//!
//! Each record is a whole line that has left the program when the call returns, so a run that is killed loses nothing but a line that is
//! half written, and a reader may follow the file while the run goes on. Before a checkpoint the lines are brought to the disk. The folder knows nothing of networks or of what is in a checkpoint.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::file::replace_file;
use crate::train::fit::{FitError, Record};

/// Everything from which training goes on.
pub(super) const LAST: &str = "last.safetensors";
/// The best epoch's parameters.
pub(super) const BEST: &str = "best.safetensors";

/// The folder of a run.
///
/// | file | what it holds |
/// |---|---|
/// | `metrics.jsonl` | what was measured: a [`Record`] a line |
/// | `curves.svg` | curves of all metrics |
/// | `report.html` | the run on one page |
/// | `best.safetensors` | the parameters of the best epoch |
/// | `last.safetensors` | all that training needs to go on |
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
}

impl RunFolder {
    /// A folder for a new run, made if there is none, without records: those of an earlier run in it are removed. Its other files are
    /// replaced as the new run writes them.
    ///
    /// [`Error::File`] if it cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<RunFolder, Error> {
        RunFolder::resume(path, &[])
    }

    /// The folder of an earlier run with these records of it and no others: what was written behind the checkpoint from which the run goes
    /// on is to be cut off.
    ///
    /// [`Error::File`] if it cannot be written.
    pub fn resume(path: impl AsRef<Path>, records: &[Record]) -> Result<RunFolder, Error> {
        let path = path.as_ref();
        RunFolder::make(path)?;
        let metrics = path.join("metrics.jsonl");
        let lines: String = records.iter().map(|record| record.to_json() + "\n").collect();
        replace_file(&metrics, lines.as_bytes())?;
        let opened = OpenOptions::new().append(true).open(&metrics);
        let metrics = opened.map_err(|error| refused(&metrics, "written", &error))?;
        Ok(RunFolder { path: path.to_owned(), metrics })
    }

    /// A folder for a new run, without the records and checkpoints of an earlier one: if this ends before its first checkpoint, there is nothing to
    /// go on from.
    pub(super) fn replace(path: &Path) -> Result<RunFolder, Error> {
        for name in [LAST, BEST] {
            let left = path.join(name);
            if let Err(error) = fs::remove_file(&left)
                && error.kind() != io::ErrorKind::NotFound
            {
                let reason = format!("what an earlier run left there could not be removed: {error}");
                return Err(Error::File { path: left, reason });
            }
        }
        RunFolder::create(path)
    }

    /// Makes the folder, if there is none.
    pub(super) fn make(path: &Path) -> Result<(), Error> {
        if path.exists() && !path.is_dir() {
            let reason = "this is a file, and a run needs a folder".to_owned();
            return Err(Error::File { path: path.to_owned(), reason });
        }
        fs::create_dir_all(path).map_err(|error| refused(path, "made", &error))
    }

    /// Whether a run has left something in a folder that another may want.
    pub(super) fn has_checkpoint(path: &Path) -> bool {
        [LAST, BEST].iter().any(|name| path.join(name).exists())
    }

    /// The records of the run in a folder; none if there is no such run.
    ///
    /// [`Error::File`] if they cannot be read, [`FitError::Records`] for a line that is no record, unless it is the last one and half
    /// written.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>, Error> {
        let path = path.as_ref().join("metrics.jsonl");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refused(&path, "read", &error)),
        };
        // What follows the last whole line was written by somebody who was stopped in the midst of it.
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..end].split_inclusive(|&byte| byte == b'\n').enumerate();
        let record = |(number, line): (usize, &[u8])| {
            let record = std::str::from_utf8(line).ok().and_then(Record::from_json);
            record.ok_or_else(|| FitError::Records { path: path.clone(), line: number + 1 }.into())
        };
        lines.map(record).collect()
    }

    /// Writes a record behind the others.
    ///
    /// [`Error::File`] if it cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<(), Error> {
        let line = record.to_json() + "\n";
        let written = self.metrics.write_all(line.as_bytes()).and_then(|()| self.metrics.flush());
        written.map_err(|error| refused(&self.file("metrics.jsonl"), "written", &error))
    }

    /// Brings the records to the disk, where a power failure leaves them.
    ///
    /// [`Error::File`] if that fails.
    pub fn sync(&self) -> Result<(), Error> {
        match self.metrics.sync_data() {
            // Some file systems have nothing to do here and say so.
            Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                Err(refused(&self.file("metrics.jsonl"), "written", &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes a file of the folder, which appears whole or not at all.
    ///
    /// [`Error::File`] if it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<(), Error> {
        replace_file(self.file(name), content.as_bytes())
    }

    /// The path of a file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn refused(path: &Path, what: &str, error: &io::Error) -> Error {
    Error::File { path: path.to_owned(), reason: format!("it could not be {what}: {error}") }
}
