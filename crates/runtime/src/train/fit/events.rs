//! Event files of TensorBoard: scalars over the steps of a run.
//!
//! A file is a sequence of records, each a length and a message with checksums of both (the TFRecord format, CRC-32C). A message is an
//! `Event` in the wire format of protocol buffers, of which scalars need five fields. The crates that write such files need a compiler of
//! protocol buffers to be built or have not been kept up, and this is all there is to it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::train::fit::{Record, RecordKind};

/// An event file that is being written.
///
/// ```
/// use arenagrad::fit::EventFile;
///
/// let folder = std::env::temp_dir().join(format!("arenagrad-events-{}", std::process::id()));
/// let mut events = EventFile::create(&folder)?; // tensorboard --logdir shows the folder
/// for step in 1..=3 {
///     events.scalars(step, &[("loss/training", 1.0 / step as f64)])?;
/// }
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file of a name of its own in a folder, which is made if there is none. What other files of the folder say of later steps
    /// stands beside it, unless [`EventFile::restart`] says that the run goes on from an earlier one.
    ///
    /// [`Error::File`] if it cannot be written.
    pub fn create(folder: impl AsRef<Path>) -> Result<EventFile, Error> {
        let folder = folder.as_ref();
        let made = |error: &io::Error| refused(folder, error);
        fs::create_dir_all(folder).map_err(|error| made(&error))?;
        let seconds = now() as u64;
        for number in 0u32.. {
            let name = format!("events.out.tfevents.{seconds:010}.arenagrad.{}.{number}", std::process::id());
            let path = folder.join(name);
            match File::create_new(&path) {
                Ok(file) => {
                    let mut events = EventFile { path, file };
                    events.write(&event(now(), 0, &text(3, "brain.Event:2")))?;
                    return Ok(events);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(made(&error)),
            }
        }
        unreachable!("one of four billion names is free")
    }

    /// The run goes on from a checkpoint of that step: what was written of later steps is no longer shown.
    pub fn restart(&mut self, step: u64) -> Result<(), Error> {
        const START: u64 = 1;
        self.write(&event(now(), step, &message(7, &varint_field(1, START))))
    }

    /// Writes values at a step, each under a tag; those whose tags have the same text before a `/` are shown side by side. They are held
    /// in f32. All have left the program when this returns.
    ///
    /// [`Error::File`] if they cannot be written.
    pub fn scalars<T: AsRef<str>>(&mut self, step: u64, values: &[(T, f64)]) -> Result<(), Error> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut scalar = text(1, tag.as_ref());
            scalar.push(key(2, 5));
            scalar.extend((*value as f32).to_le_bytes());
            summary.extend(message(1, &scalar));
        }
        self.write(&event(now(), step, &message(5, &summary)))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, event: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(&record(event)).and_then(|()| self.file.flush());
        written.map_err(|error| refused(&self.path, &error))
    }
}

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.to_owned(), reason: format!("it could not be written: {error}") }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |passed| passed.as_secs_f64())
}

/// An event: wall time, step, and one more field.
fn event(time: f64, step: u64, content: &[u8]) -> Vec<u8> {
    let mut event = vec![key(1, 1)];
    event.extend(time.to_le_bytes());
    event.extend(varint_field(2, step));
    event.extend(content);
    event
}

/// The key of a field by its number and wire type: 0 for a varint, 1 for eight bytes, 2 for a length and so many bytes, 5 for four.
fn key(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn varint_field(number: u8, value: u64) -> Vec<u8> {
    [vec![key(number, 0)], varint(value)].concat()
}

fn message(number: u8, content: &[u8]) -> Vec<u8> {
    [vec![key(number, 2)], varint(content.len() as u64), content.to_vec()].concat()
}

fn text(number: u8, text: &str) -> Vec<u8> {
    message(number, text.as_bytes())
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

/// The checksum as records hold it: turned and shifted, so that a checksum over data with checksums in it stays a good one.
fn masked_checksum(bytes: &[u8]) -> u32 {
    checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C, the polynomial of Castagnoli.
fn checksum(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let next = |state: u32, byte: &u8| {
        (0..8).fold(state ^ u32::from(*byte), |state, _| state >> 1 ^ if state & 1 == 1 { POLYNOMIAL } else { 0 })
    };
    !bytes.iter().fold(!0, next)
}

/// A record's values under the tags that TensorBoard shows them by: what is of one metric side by side.
pub(super) fn scalars_of(record: &Record) -> Vec<(String, f64)> {
    let of = |kind: &str, metrics: &[(String, f64)]| -> Vec<(String, f64)> {
        metrics.iter().map(|(name, value)| (format!("{name}/{kind}"), *value)).collect()
    };
    let (training, rate) = match record.kind {
        RecordKind::Steps => ("steps", record.learning_rate.map(|rate| ("learning rate".to_owned(), rate))),
        RecordKind::Epoch => ("training", None),
    };
    of(training, &record.training).into_iter().chain(of("validation", &record.validation)).chain(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the polynomial's definition (RFC 3720).
    #[test]
    fn checksums_are_those_of_castagnolis_polynomial() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(masked_checksum(b"123456789"), 0xc78a_b0e5); // (checksum >> 15 | checksum << 17) + 0xa282ead8
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
    }

    /// Bytes that TensorBoard's own reader takes for step 300 with a loss of 0.5.
    #[test]
    fn a_scalar_is_an_event_of_five_fields() {
        let scalar = [text(1, "loss"), vec![key(2, 5)], 0.5f32.to_le_bytes().to_vec()].concat();
        let event = event(2.0, 300, &message(5, &message(1, &scalar)));
        let expected =
            b"\x09\x00\x00\x00\x00\x00\x00\x00\x40\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f";
        assert_eq!(event, expected);
        let record = record(&event);
        assert_eq!(record.len(), 8 + 4 + event.len() + 4);
        assert_eq!(record[..8], (event.len() as u64).to_le_bytes());
    }

    #[test]
    fn each_file_has_a_name_of_its_own() {
        let folder = std::env::temp_dir().join(format!("arenagrad-event-files-{}", std::process::id()));
        let files = [(); 3].map(|()| EventFile::create(&folder).unwrap());
        assert!(files[0].path() != files[1].path() && files[1].path() != files[2].path());
        assert!(
            fs::read(files[0].path())
                .unwrap()
                .ends_with(&masked_checksum(&fs::read(files[0].path()).unwrap()[12..][..26]).to_le_bytes())
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
