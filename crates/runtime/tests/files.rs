//! Parameter files appear whole or not at all, whoever else writes them, and keep what belongs to their paths.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arenagrad::{Device, Error, Graph, Init, Session, Tensor};

/// So many elements that a file is not written in one piece.
const ELEMENTS: usize = 60_000;

/// An empty folder of that name.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("files").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What is in a folder, hidden files too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A session whose parameter has that number everywhere.
fn filled(number: f32) -> Session {
    let g = Graph::new();
    let w = g.parameter("w", [ELEMENTS], Init::Constant(f64::from(number)));
    Session::evaluate(&g, &[w], &Device::cpu()).unwrap()
}

/// Loads a file, which must be a whole one, and returns its number.
fn number_in(path: &Path, into: &mut Session) -> f32 {
    into.load(path).unwrap();
    let w = into.parameter("w").unwrap();
    let elements = w.as_slice::<f32>().unwrap();
    assert!(elements.iter().all(|element| *element == elements[0]), "parts of two files");
    elements[0]
}

/// Saves again and again.
fn save_until(path: &Path, number: f32, done: impl Fn() -> bool) -> usize {
    let session = filled(number);
    let mut saves = 0;
    // Twice at least, however long a busy machine lets the thread wait.
    while !done() || saves < 2 {
        session.save(path).unwrap();
        saves += 1;
    }
    saves
}

/// A second of loading while others save; the numbers that were seen must be theirs.
fn read_for_a_second(path: &Path, savers: usize, done: &AtomicBool) {
    let (mut session, started, mut reads) = (filled(-1.0), Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(1) || reads < 20 {
        let number = number_in(path, &mut session);
        assert!((0..=savers).any(|saver| saver as f32 == number), "{number}");
        reads += 1;
    }
    done.store(true, Ordering::Relaxed);
}

#[test]
fn threads_that_save_one_path() {
    for savers in [2, 8] {
        let folder = folder(&format!("threads{savers}"));
        let path = folder.join("shared.safetensors");
        filled(0.0).save(&path).unwrap();
        let (done, saves) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for saver in 1..=savers {
                let (path, done, saves) = (&path, &done, &saves);
                scope.spawn(move || {
                    let count = save_until(path, saver as f32, || done.load(Ordering::Relaxed));
                    saves.fetch_add(count, Ordering::Relaxed);
                });
            }
            read_for_a_second(&path, savers, &done);
        });
        assert!(saves.into_inner() > savers, "they did save");
        assert_eq!(names(&folder), ["shared.safetensors"]);
    }
}

const SAVE_TO: &str = "ARENAGRAD_TEST_SAVE_TO";
const SAVE_NUMBER: &str = "ARENAGRAD_TEST_SAVE_NUMBER";

/// No test by itself: what `processes_that_save_one_path` starts. It ends when the folder has a file named `done`.
#[test]
fn a_saver_in_a_process_of_its_own() {
    let Some(path) = std::env::var_os(SAVE_TO).map(PathBuf::from) else { return };
    let number: f32 = std::env::var(SAVE_NUMBER).unwrap().parse().unwrap();
    let (done, started) = (path.with_file_name("done"), Instant::now());
    save_until(&path, number, || done.exists() || started.elapsed() > Duration::from_secs(60));
}

#[test]
fn processes_that_save_one_path() {
    let folder = folder("processes");
    let path = folder.join("shared.safetensors");
    filled(0.0).save(&path).unwrap();
    let start = |number: usize| -> Child {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["files::a_saver_in_a_process_of_its_own", "--exact"]);
        command.env(SAVE_TO, &path).env(SAVE_NUMBER, number.to_string()).spawn().unwrap()
    };
    let children = [start(1), start(2)];
    // Both are at work before the second is measured.
    let (mut session, started) = (filled(-1.0), Instant::now());
    let mut seen = [false; 3];
    while !(seen[1] && seen[2]) && started.elapsed() < Duration::from_secs(30) {
        seen[number_in(&path, &mut session) as usize] = true;
    }
    read_for_a_second(&path, 2, &AtomicBool::new(false));
    fs::write(folder.join("done"), "").unwrap();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(seen[1] && seen[2], "both saved");
    assert_eq!(names(&folder), ["done", "shared.safetensors"]);
}

#[test]
fn links_are_followed_and_stay() {
    let folder = folder("links");
    fs::create_dir(folder.join("elsewhere")).unwrap();
    let target = folder.join("elsewhere/target.safetensors");
    let (relative, absolute, twice) = (folder.join("relative"), folder.join("absolute"), folder.join("twice"));
    symlink("elsewhere/target.safetensors", &relative).unwrap();
    symlink(&target, &absolute).unwrap();
    symlink("relative", &twice).unwrap();
    // At first the links lead to a file that is not there.
    for (number, link) in [&twice, &relative, &absolute, &twice].into_iter().enumerate() {
        filled(number as f32).save(link).unwrap();
        assert!(fs::symlink_metadata(link).unwrap().is_symlink());
        assert!(fs::symlink_metadata(&target).unwrap().is_file());
        assert_eq!(number_in(&target, &mut filled(-1.0)), number as f32);
        assert_eq!(number_in(link, &mut filled(-1.0)), number as f32);
    }
    assert_eq!(names(&folder.join("elsewhere")), ["target.safetensors"]);
    assert_eq!(names(&folder), ["absolute", "elsewhere", "relative", "twice"]);
    // A folder may be behind a link as well.
    symlink("elsewhere", folder.join("folder")).unwrap();
    filled(9.0).save(folder.join("folder/target.safetensors")).unwrap();
    assert_eq!(number_in(&target, &mut filled(-1.0)), 9.0);
    // A link into a folder that is not there, and links in a circle, are errors.
    symlink("nowhere/target", folder.join("dangling")).unwrap();
    symlink("circle", folder.join("circle")).unwrap();
    for name in ["dangling", "circle"] {
        let error = filled(1.0).save(folder.join(name)).unwrap_err();
        assert!(matches!(&error, Error::File { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert!(fs::symlink_metadata(folder.join(name)).unwrap().is_symlink());
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn permissions_of_a_file_are_kept() {
    let folder = folder("permissions");
    let (path, plain) = (folder.join("parameters"), folder.join("plain"));
    filled(1.0).save(&path).unwrap();
    fs::write(&plain, "made the ordinary way").unwrap();
    assert_eq!(mode(&path), mode(&plain), "a new file has the usual permissions");
    for kept in [0o600, 0o640, 0o644, 0o666, 0o700, 0o751] {
        fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
        filled(kept as f32).save(&path).unwrap();
        assert_eq!(mode(&path), kept, "{kept:o}");
        assert_eq!(number_in(&path, &mut filled(-1.0)), kept as f32);
        let link = folder.join(format!("link{kept:o}"));
        symlink(&path, &link).unwrap();
        filled(1.0).save(&link).unwrap();
        assert_eq!(mode(&path), kept, "{kept:o} through a link");
    }
    // Whoever may give files away keeps their owners too.
    if std::os::unix::fs::chown(&path, Some(12_345), Some(54_321)).is_ok() {
        filled(2.0).save(&path).unwrap();
        let owner = fs::metadata(&path).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (12_345, 54_321));
    }
}

#[test]
fn a_file_of_the_callers_own_is_left_alone() {
    let folder = folder("own");
    let path = folder.join("x");
    for name in ["x.partial", "x.tmp", ".x", "x~"] {
        fs::write(folder.join(name), name).unwrap();
    }
    let target = folder.join("secret");
    fs::write(&target, "untouched").unwrap();
    symlink(&target, folder.join("x.new")).unwrap();
    let before = names(&folder);
    filled(1.0).save(&path).unwrap();
    filled(2.0).save(&path).unwrap();
    let mut expected = before.clone();
    expected.push("x".to_owned());
    expected.sort();
    assert_eq!(names(&folder), expected);
    for name in ["x.partial", "x.tmp", ".x", "x~"] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), name);
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
}

#[test]
fn paths_that_cannot_be_written() {
    let folder = folder("errors");
    fs::create_dir(folder.join("folder")).unwrap();
    fs::write(folder.join("file"), "a file").unwrap();
    let before = names(&folder);
    let long = "n".repeat(300);
    let paths = ["missing/file", "folder", "folder/", "new/", "file/below", "", "folder/..", &long];
    for path in paths {
        let path = if path.is_empty() { PathBuf::new() } else { folder.join(path) };
        let error = filled(1.0).save(&path).unwrap_err();
        assert!(matches!(&error, Error::File { .. }), "{}: {error}", path.display());
        assert!(error.to_string().contains("could not be written"), "{error}");
        assert_eq!(names(&folder), before, "{}", path.display());
        assert!(names(&folder.join("folder")).is_empty());
    }
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "a file");
    // A name as long as names may be leaves room for no addition.
    filled(1.0).save(folder.join("n".repeat(255))).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_and_not_replaced() {
    filled(1.0).save("/dev/null").unwrap();
    let error = filled(1.0).save("/dev/full").unwrap_err();
    assert!(matches!(&error, Error::File { .. }), "{error}");
    for device in ["/dev/null", "/dev/full"] {
        assert!(fs::metadata(device).unwrap().file_type().is_char_device(), "{device}");
    }
    // A file system that takes no files.
    let error = filled(1.0).save("/proc/parameters").unwrap_err();
    assert!(matches!(&error, Error::File { .. }), "{error}");
}

#[test]
fn relative_paths() {
    let folder = folder("relative");
    let here = std::env::current_dir().unwrap();
    let name = format!("arenagrad-test-{}.safetensors", std::process::id());
    filled(3.0).save(&name).unwrap();
    fs::rename(here.join(&name), folder.join(&name)).unwrap();
    assert_eq!(number_in(&folder.join(&name), &mut filled(-1.0)), 3.0);
    let value = Tensor::new([ELEMENTS], vec![4.0f32; ELEMENTS]).unwrap();
    let mut session = filled(0.0);
    session.set_parameter("w", &value).unwrap();
    session.save(folder.join("../relative").join(&name)).unwrap();
    assert_eq!(number_in(&folder.join(&name), &mut filled(-1.0)), 4.0);
}
