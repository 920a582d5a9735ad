//! A model in several files, and the index that says which tensor is in which: `model.safetensors.index.json`.
//!
//! An index is a JSON object whose `weight_map` gives each name a file beside the index. A file elsewhere is refused, for an index
//! that comes from a stranger has no business there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::Error;
use crate::file::{Replacement, content, unreadable};
use crate::weights::{Source, Weight, Weights, WeightsError};

const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// The file in a folder that says where the tensors are: the index, or the only file.
pub(super) fn found_in(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |error| unreadable(folder, &error);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    let of_kind = |ending: &str| -> Vec<&str> {
        names.iter().map(String::as_str).filter(|name| name.ends_with(ending) && !name.starts_with('.')).collect()
    };
    let (indices, files) = (of_kind(".safetensors.index.json"), of_kind(".safetensors"));
    let chosen = match (indices.as_slice(), files.as_slice()) {
        (indices, _) if indices.contains(&INDEX) => INDEX,
        (_, files) if files.contains(&SINGLE) => SINGLE,
        (&[only], _) => only,
        (&[], &[only]) => match shard_of(only) {
            Some(count) if count > 1 => {
                let reason = format!(
                    "{only} is one of {count} files of a model, and the index that says where its tensors are is not in this folder; \
                     open the file itself if a part is wanted"
                );
                return Err(index_mistake(folder, &reason));
            }
            Some(_) | None => only,
        },
        (&[], &[]) => return Err(index_mistake(folder, "there is no file that ends in .safetensors in this folder")),
        (indices, files) => {
            let known = super::error::known(indices.iter().chain(files).copied());
            return Err(index_mistake(
                folder,
                &format!("several files of this folder may be meant: open one of {known}"),
            ));
        }
    };
    Ok(folder.join(chosen))
}

/// The tensors of the files that an index names, sorted by name.
pub(super) fn open(path: &Path) -> Result<Weights, Error> {
    let bytes = content(path)?;
    let foreign = |what: &str| index_mistake(path, &format!("it is no index of tensors: {what}"));
    let index: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| foreign(&error.to_string()))?;
    let files = index
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| foreign("it has no object \"weight_map\" that gives each tensor's name a file"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut shards: HashMap<String, Weights> = HashMap::new();
    let mut weights = Weights { source_name: Some(path.display().to_string()), ..Weights::default() };
    // In which order an object has its entries depends on who else uses the reader.
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by_key(|&(name, _)| name);
    for (name, file) in files {
        let file = file.as_str().ok_or_else(|| foreign(&format!("it gives {name:?} no name of a file")))?;
        if !shards.contains_key(file) {
            let is_beside = matches!(Path::new(file).components().collect::<Vec<_>>()[..], [Component::Normal(only)] if only == OsStr::new(file));
            if !is_beside {
                let reason = format!("it says that {name:?} is in {file:?}, which is no file beside the index");
                return Err(index_mistake(path, &reason));
            }
            let (source, header) = Source::open(&folder.join(file))?;
            let shard = Weights::of_file(source, header)?;
            weights.metadata.extend(shard.metadata.clone());
            shards.insert(file.to_owned(), shard);
        }
        let Some(weight) = shards.get(file).and_then(|shard| shard.find(name)) else {
            return Err(index_mistake(
                path,
                &format!("it says that {name:?} is in {file:?}, which has no such tensor"),
            ));
        };
        let weight = weight.clone();
        weights.push(weight);
    }
    Ok(weights)
}

/// Writes tensors to as many files as it takes, and the index.
pub(super) fn save(weights: &Weights, folder: &Path, max_bytes: u64) -> Result<(), Error> {
    let unwritable = |path: &Path, error: std::io::Error| Error::File {
        path: path.to_owned(),
        reason: format!("it could not be written: {error}"),
    };
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let mut groups: Vec<(u64, Vec<&Weight>)> = Vec::new();
    for weight in &weights.list {
        let bytes = weight.bytes();
        match groups.last_mut() {
            Some((total, group)) if total.saturating_add(bytes) <= max_bytes => {
                *total += bytes;
                group.push(weight);
            }
            Some(_) | None => groups.push((bytes, vec![weight])),
        }
    }
    let index_path = folder.join(INDEX);
    if groups.len() <= 1 {
        let single = weights.prepared(&folder.join(SINGLE), &groups.pop().map_or(Vec::new(), |(_, group)| group))?;
        remove(&index_path).map_err(|error| unwritable(&index_path, error))?;
        single.put().map_err(|error| unwritable(&folder.join(SINGLE), error))?;
        return remove_older(folder, &[SINGLE.to_owned()]);
    }
    let name = |number: usize| format!("model-{:05}-of-{:05}.safetensors", number + 1, groups.len());
    let mut map = Map::new();
    let names: Vec<String> = (0..groups.len()).map(name).collect();
    let mut prepared = Vec::with_capacity(groups.len());
    for (number, (_, group)) in groups.iter().enumerate() {
        let path = folder.join(name(number));
        prepared.push((weights.prepared(&path, group)?, path));
        map.extend(group.iter().map(|weight| (weight.name.clone(), name(number).into())));
    }
    let total: u64 = groups.iter().map(|(bytes, _)| bytes).sum();
    let index = serde_json::json!({ "metadata": { "total_size": total }, "weight_map": map });
    let index = Replacement::prepare(&index_path, |file| file.write_all(format!("{index:#}\n").as_bytes()))
        .map_err(|error| unwritable(&index_path, error))?;
    remove(&index_path).map_err(|error| unwritable(&index_path, error))?;
    for (shard, path) in prepared {
        shard.put().map_err(|error| unwritable(&path, error))?;
    }
    index.put().map_err(|error| unwritable(&index_path, error))?;
    remove_older(folder, &names)
}

/// Removes files of an older model, of those names that [`save`] gives: nobody who opens one of them, or the folder once the index is lost,
/// shall take it for this model.
fn remove_older(folder: &Path, present: &[String]) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let Ok(name) = entry.map_err(|error| unreadable(folder, &error))?.file_name().into_string() else { continue };
        let number = |name: &str| {
            Some(name.strip_prefix("model-")?.split_once("-of-")?.0.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let is_own = name == SINGLE || (shard_of(&name).is_some() && number(&name) == Some(true));
        if is_own && !present.contains(&name) {
            let path = folder.join(&name);
            remove(&path).map_err(|error| {
                let reason = format!("a file of an older model could not be removed: {error}");
                Error::File { path, reason }
            })?;
        }
    }
    Ok(())
}

/// Of how many files of a model one is by its name, as in `model-00001-of-00003.safetensors`; nothing for other names.
fn shard_of(name: &str) -> Option<u64> {
    let (rest, count) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(number) && is_number(count) { count.parse().ok() } else { None }
}

/// Removes a file if it is there.
fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn index_mistake(path: &Path, reason: &str) -> Error {
    WeightsError::Index { path: path.to_owned(), reason: reason.to_owned() }.into()
}
