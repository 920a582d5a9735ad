//! Files that appear whole or not at all.
//!
//! A reader that opens the path at any time finds the old content or the new, whoever else writes it: the content goes into a
//! file of a name that nobody else has, in the same folder, reaches the disk, and takes the place of the old one in one step.
//! What fails leaves the old content and no other file.
//!
//! The path keeps what belongs to it rather than to its content: a symbolic link stays and its target is written, the
//! permissions of a file that was there are kept, and a file that the caller may not write is refused. A device or pipe is
//! written straight into. Other hard links of the old file keep the old content.
//!
//! Nothing here knows what is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// More links in a row are a circle; Linux follows as many.
const MAX_LINKS: usize = 40;

/// Writes a file that appears whole or not at all: readers find the old content or the new, also if several processes write
/// it, and after an error the old. The content is on the disk when this returns. A symbolic link is followed, and the
/// permissions of a file that is replaced are kept. This is how [`crate::Session::save`] writes.
///
/// [`Error::File`] if the path cannot be written.
pub fn replace_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    replace(path, |file| file.write_all(bytes))
        .map_err(|error| Error::File { path: path.to_owned(), reason: format!("it could not be written: {error}") })
}

/// The whole content of a file. [`Error::File`] if it cannot be read.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// That a file or folder cannot be opened, or not read to its end.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::File { path: path.to_owned(), reason: format!("it could not be read: {error}") }
}

/// Replaces the content of the file at `path`, or makes one, by what `write` writes.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    Replacement::prepare(path, write)?.put()
}

/// The whole new content of a file, on the disk but not in its place yet. What is dropped leaves nothing behind.
///
/// Several that are prepared before the first is put in place are refused together where the disk is full.
pub(crate) struct Replacement {
    /// None where it was written straight into a device or pipe.
    prepared: Option<Temporary>,
    target: PathBuf,
    folder: PathBuf,
}

impl Replacement {
    /// Writes the new content beside the file.
    pub(crate) fn prepare(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<Replacement> {
        let target = resolved(path)?;
        let old = match fs::metadata(&target) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let ends_in_separator = path.to_string_lossy().ends_with(std::path::is_separator);
        if old.as_ref().map_or(ends_in_separator, fs::Metadata::is_dir) {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder, not a file"));
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            Some(_) => PathBuf::from("."),
            None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no path of a file")),
        };
        if old.is_some() {
            // Whoever may not write the old file must not replace it either.
            let mut file = OpenOptions::new().write(true).open(&target)?;
            if !old.as_ref().is_some_and(fs::Metadata::is_file) {
                write(&mut file)?;
                return Ok(Replacement { prepared: None, target, folder });
            }
        }
        let (mut file, temporary) = Temporary::new(&folder, old.as_ref())?;
        write(&mut file)?;
        file.sync_all()?;
        Ok(Replacement { prepared: Some(temporary), target, folder })
    }

    /// Puts the new content in the place of the old.
    pub(crate) fn put(self) -> io::Result<()> {
        let Some(temporary) = self.prepared else { return Ok(()) };
        temporary.rename(&self.target)?;
        sync_folder(&self.folder)
    }
}

/// The file that a path leads to through symbolic links; it need not exist.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = fs::read_link(&target)?;
                // An absolute link replaces the whole path.
                target = target.parent().map_or_else(|| link.clone(), |folder| folder.join(&link));
            }
            Ok(_) => return Ok(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("there are more than {MAX_LINKS} symbolic links in a row")))
}

/// A file of its own name, which is removed unless it was renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    /// An empty file in that folder, with the permissions of `old` or those that a new file gets.
    fn new(folder: &Path, old: Option<&fs::Metadata>) -> io::Result<(File, Temporary)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".arenagrad-{}-{number}.tmp", std::process::id()));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            restrict(&mut options, old);
            let file = match options.open(&path) {
                Ok(file) => file,
                // Left behind by a process of that number that was killed, or made by one on another machine.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let temporary = Temporary { path, renamed: false };
            if let Some(old) = old {
                keep_owner(&file, old);
                file.set_permissions(old.permissions())?;
            }
            return Ok((file, temporary));
        }
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What cannot be removed is no worse than the error that is on its way to the caller.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Lets nobody open the new file who could not open the old one, not even before it has its permissions.
#[cfg(unix)]
fn restrict(options: &mut OpenOptions, old: Option<&fs::Metadata>) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if let Some(old) = old {
        options.mode(old.permissions().mode() & 0o777);
    }
}

#[cfg(not(unix))]
fn restrict(_: &mut OpenOptions, _: Option<&fs::Metadata>) {}

/// Gives the new file the owner and group of the old one, as far as the process may.
#[cfg(unix)]
fn keep_owner(file: &File, old: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    if file.metadata().is_ok_and(|new| (new.uid(), new.gid()) != (old.uid(), old.gid())) {
        // Only a privileged process may give files away; another keeps the file as its own.
        let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) {}

/// Makes a new name in a folder reach the disk.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    // A folder that may be written but not read cannot be opened. The file is in its place; there is no more to do.
    let Ok(opened) = File::open(folder) else { return Ok(()) };
    match opened.sync_all() {
        // Some file systems have nothing to do here and say so.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("arenagrad-file-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_writer_that_fails_leaves_the_old_content_and_nothing_else() {
        let folder = folder("failing");
        let path = folder.join("file");
        let fails = |file: &mut File| {
            file.write_all(b"the first half")?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"))
        };
        assert_eq!(replace(&path, fails).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(names(&folder).is_empty());
        replace_file(&path, b"old").unwrap();
        assert_eq!(replace(&path, fails).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(&folder), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        // So does one that panics.
        let panics = std::panic::catch_unwind(|| replace(&path, |_| panic!("in the midst of it")));
        assert!(panics.is_err());
        assert_eq!(names(&folder), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_name_that_was_left_behind_is_passed_over() {
        let folder = folder("left");
        let (_, first) = Temporary::new(&folder, None).unwrap();
        let number: u64 = first.path.to_str().unwrap().rsplit(['-', '.']).nth(1).unwrap().parse().unwrap();
        // Other tests of this process take numbers too, so a stretch of them is occupied.
        let taken: Vec<PathBuf> = (number + 1..number + 50)
            .map(|number| folder.join(format!(".arenagrad-{}-{number}.tmp", std::process::id())))
            .collect();
        taken.iter().for_each(|path| fs::write(path, b"another's").unwrap());
        replace_file(folder.join("file"), b"new").unwrap();
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"new");
        assert!(taken.iter().all(|path| fs::read(path).unwrap() == b"another's"));
        drop(first);
        fs::remove_dir_all(&folder).unwrap();
    }
}
