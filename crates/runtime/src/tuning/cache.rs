//! What was found, in memory and in a file.
//!
//! The file is JSON: a mark of what it is, the version of its form, and for each device its peaks and the choice for each class of kernels. It is replaced as a
//! whole, by what it held and what was found since, so that processes that write it in turn keep each other's. A file of another kind or version is not ours: it is neither used nor
//! written over, which a note says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arenagrad_kernels::Choice;
use serde_json::{Map, Value, json};

use crate::file::replace_file;
use crate::profile::Peaks;

/// The file's name in its folder.
const FILE: &str = "arenagrad-tuning.json";

/// What the file says that it is.
const FORMAT: &str = "arenagrad tuning";

/// The version of its form, and of what the choices mean.
const VERSION: u64 = 1;

/// What is known of all devices.
#[derive(Default)]
pub(super) struct Cache {
    path: Option<PathBuf>,
    devices: BTreeMap<String, DeviceEntries>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct DeviceEntries {
    peaks: Option<Peaks>,
    kernels: BTreeMap<String, Entry>,
}

/// What was found for a class of kernels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) choice: Choice,
    /// How long a run took so, and in the usual way.
    pub(super) nanoseconds: u64,
    pub(super) usual_nanoseconds: u64,
}

impl Cache {
    /// What the file in a folder holds; nothing without a folder, without a file, or where the file cannot be used.
    pub(super) fn open(folder: Option<&Path>, notes: &mut Vec<String>) -> Cache {
        let Some(folder) = folder else { return Cache::default() };
        let path = folder.join(FILE);
        match read(&path) {
            Ok(devices) => Cache { path: Some(path), devices },
            Err(reason) => {
                notes.push(format!(
                    "{}: {reason}; it is left as it is, and what is found is kept in memory",
                    path.display()
                ));
                Cache::default()
            }
        }
    }

    pub(super) fn peaks(&self, device: &str) -> Option<Peaks> {
        self.devices.get(device)?.peaks
    }

    pub(super) fn set_peaks(&mut self, device: &str, peaks: Peaks) {
        self.devices.entry(device.to_owned()).or_default().peaks = Some(peaks);
    }

    pub(super) fn get(&self, device: &str, class: &str) -> Option<&Entry> {
        self.devices.get(device)?.kernels.get(class)
    }

    pub(super) fn insert(&mut self, device: &str, class: &str, entry: Entry) {
        self.devices.entry(device.to_owned()).or_default().kernels.insert(class.to_owned(), entry);
    }

    /// Writes what is known beside what others have written since.
    pub(super) fn save(&mut self, notes: &mut Vec<String>) {
        let Some(path) = &self.path else { return };
        match read(path) {
            Ok(others) => {
                for (device, others) in others {
                    let own = self.devices.entry(device).or_default();
                    own.peaks = own.peaks.or(others.peaks);
                    for (class, entry) in others.kernels {
                        own.kernels.entry(class).or_insert(entry);
                    }
                }
            }
            Err(reason) => {
                notes.push(format!(
                    "{}: {reason}; it is left as it is, and what is found is kept in memory",
                    path.display()
                ));
                self.path = None;
                return;
            }
        }
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = folder
            .map_err(|error| error.to_string())
            .and_then(|()| replace_file(path, to_json(&self.devices).as_bytes()).map_err(|error| error.to_string()));
        if let Err(reason) = written {
            notes.push(format!("what was found is kept in memory alone: {reason}"));
            self.path = None;
        }
    }
}

fn to_json(devices: &BTreeMap<String, DeviceEntries>) -> String {
    let of_device = |entries: &DeviceEntries| {
        let kernels: Map<String, Value> = entries
            .kernels
            .iter()
            .map(|(class, Entry { choice, nanoseconds, usual_nanoseconds })| {
                let choice = choice.to_string();
                let entry =
                    json!({"choice": choice, "nanoseconds": nanoseconds, "usual_nanoseconds": usual_nanoseconds});
                (class.clone(), entry)
            })
            .collect();
        let peaks = entries.peaks.map(
            |peaks| json!({"flops_per_second": peaks.flops_per_second, "bytes_per_second": peaks.bytes_per_second}),
        );
        json!({"peaks": peaks, "kernels": kernels})
    };
    let devices: Map<String, Value> =
        devices.iter().map(|(name, entries)| (name.clone(), of_device(entries))).collect();
    let all = json!({"format": FORMAT, "version": VERSION, "devices": devices});
    format!("{all:#}\n")
}

/// What a file holds; nothing if there is none. The error says why it cannot be used.
fn read(path: &Path) -> Result<BTreeMap<String, DeviceEntries>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(format!("it could not be read: {error}")),
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"))?;
    if value["format"] != FORMAT {
        return Err("it is no cache of tunings".to_owned());
    }
    if value["version"] != VERSION {
        return Err(format!("it is of version {}, and not {VERSION}", value["version"]));
    }
    let devices = value["devices"].as_object().ok_or("it has no devices")?;
    devices.iter().map(|(name, entries)| Ok((name.clone(), of_device(name, entries)?))).collect()
}

fn of_device(name: &str, value: &Value) -> Result<DeviceEntries, String> {
    let number = |value: &Value| value.as_f64().filter(|number| number.is_finite() && *number > 0.0);
    let peaks = &value["peaks"];
    let peaks = if peaks.is_null() {
        None
    } else {
        let (flops, bytes) = (number(&peaks["flops_per_second"]), number(&peaks["bytes_per_second"]));
        let (Some(flops_per_second), Some(bytes_per_second)) = (flops, bytes) else {
            return Err(format!("the peaks of {name:?} are no numbers above 0"));
        };
        Some(Peaks { flops_per_second, bytes_per_second })
    };
    let kernels = value["kernels"].as_object().ok_or_else(|| format!("{name:?} has no kernels"))?;
    let entry = |(class, value): (&String, &Value)| {
        let choice = value["choice"].as_str().and_then(|text| text.parse::<Choice>().ok());
        let times = (value["nanoseconds"].as_u64(), value["usual_nanoseconds"].as_u64());
        match (choice, times) {
            (Some(choice), (Some(nanoseconds), Some(usual_nanoseconds))) => {
                Ok((class.clone(), Entry { choice, nanoseconds, usual_nanoseconds }))
            }
            (_, _) => Err(format!("the entry of {class:?} on {name:?} is none")),
        }
    };
    Ok(DeviceEntries { peaks, kernels: kernels.iter().map(entry).collect::<Result<_, String>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("arenagrad-tuning-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    const ENTRY: Entry =
        Entry { choice: Choice::Registers { rows: 16, columns: 8 }, nanoseconds: 70, usual_nanoseconds: 100 };

    #[test]
    fn what_is_written_is_read_again() {
        let folder = folder("written");
        let mut notes = Vec::new();
        let mut cache = Cache::open(Some(&folder), &mut notes);
        assert_eq!(cache.get("a", "matmul"), None);
        cache.insert("a", "matmul", ENTRY);
        let peaks = Peaks { flops_per_second: 1.25e11, bytes_per_second: 3.5e10 };
        cache.set_peaks("a", peaks);
        cache.save(&mut notes);
        let again = Cache::open(Some(&folder), &mut notes);
        assert_eq!(again.devices, cache.devices);
        assert_eq!((again.get("a", "matmul"), again.peaks("a")), (Some(&ENTRY), Some(peaks)));
        // Another driver has entries of its own.
        assert_eq!((again.get("a, driver 2", "matmul"), again.peaks("a, driver 2")), (None, None));
        assert!(notes.is_empty(), "{notes:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn those_who_write_in_turn_keep_each_others() {
        let folder = folder("turns");
        let mut notes = Vec::new();
        let (mut first, mut second) = (Cache::open(Some(&folder), &mut notes), Cache::open(Some(&folder), &mut notes));
        first.insert("a", "one", ENTRY);
        first.save(&mut notes);
        second.insert("a", "two", Entry { choice: Choice::Usual, ..ENTRY });
        second.save(&mut notes);
        let all = Cache::open(Some(&folder), &mut notes);
        assert!(all.get("a", "one").is_some() && all.get("a", "two").is_some());
        assert!(notes.is_empty(), "{notes:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_as_it_is_and_said_so() {
        let folder = folder("foreign");
        let path = folder.join(FILE);
        let of_version = |version: u64, devices: &str| {
            format!(r#"{{"format": "arenagrad tuning", "version": {version}, "devices": {devices}}}"#)
        };
        let broken = [
            ("", "no JSON"),
            ("{\"format\"", "no JSON"),
            ("[1, 2]", "no cache"),
            ("{\"format\": \"something else\"}", "no cache"),
            (&of_version(2, "{}"), "version 2"),
            (&of_version(1, "[]"), "no devices"),
            (&of_version(1, r#"{"a": {"kernels": {"m": {"choice": "best"}}}}"#), "\"m\""),
            (&of_version(1, r#"{"a": {"peaks": {"flops_per_second": -1.0}, "kernels": {}}}"#), "peaks"),
        ];
        for (text, word) in broken {
            std::fs::write(&path, text).unwrap();
            let mut notes = Vec::new();
            let mut cache = Cache::open(Some(&folder), &mut notes);
            assert!(notes.len() == 1 && notes[0].contains(word), "{text:?}: {notes:?}");
            cache.insert("a", "matmul", ENTRY);
            cache.save(&mut notes);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(cache.get("a", "matmul"), Some(&ENTRY));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said_once() {
        let folder = folder("file");
        let file = folder.join("occupied");
        std::fs::write(&file, "").unwrap();
        let mut notes = Vec::new();
        let mut cache = Cache { path: Some(file.join(FILE)), devices: BTreeMap::new() };
        cache.insert("a", "matmul", ENTRY);
        cache.save(&mut notes);
        cache.save(&mut notes);
        assert_eq!(notes.len(), 1, "{notes:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
