//! What the crates would publish: listed in every run, and verified where a version is new.
//!
//! A list is quick, and shows a file that is missing or that does not belong there. To verify a package cargo builds it alone,
//! from what it would publish: that takes as long as all tests, so it is done for a version that `verified.txt` does not have,
//! and on request. The file is part of the repository, for a checkout without history or network cannot know what was released.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Files that a package has beside its sources.
const FIXED: [&str; 6] = ["Cargo.lock", "Cargo.toml", "Cargo.toml.orig", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// The revision of a package, which cargo adds where the checkout is a repository.
const REVISION: &str = ".cargo_vcs_info.json";

/// What a manifest must say of a package that is published.
const METADATA: [&str; 8] =
    ["description", "license", "keywords", "categories", "readme", "rust_version", "documentation", "edition"];

/// A crate of this workspace that is published.
pub(super) struct Package {
    pub(super) name: String,
    version: String,
    folder: PathBuf,
    metadata: Value,
}

/// The crates that are published, as cargo knows them.
pub(super) fn published() -> Result<Vec<Package>, String> {
    let listed = output(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let listed: Value = serde_json::from_str(&listed).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = listed["packages"].as_array().into_iter().flatten();
    let published = packages.filter(|package| package["publish"].is_null()).map(|package| {
        let text =
            |key: &str| package[key].as_str().map(str::to_owned).ok_or_else(|| format!("a package without {key}"));
        let folder = Path::new(&text("manifest_path")?).parent().map(Path::to_owned).unwrap_or_default();
        Ok(Package { name: text("name")?, version: text("version")?, folder, metadata: package.clone() })
    });
    published.collect()
}

/// Holds what each crate would publish to what it must and must not have.
pub(super) fn check_lists(packages: &[Package]) -> Result<(), String> {
    for package in packages {
        let listed = output(cargo().args(["package", "--list", "--allow-dirty", "--package", &package.name]))?;
        let listed: BTreeSet<String> = listed.lines().map(|line| line.replace('\\', "/")).collect();
        let wrong = package.wrong(&listed)?;
        if !wrong.is_empty() {
            return Err(format!("{}: {}", package.name, wrong.join("; ")));
        }
        println!("ci: {} {}: {} files", package.name, package.version, listed.len());
    }
    Ok(())
}

impl Package {
    /// What is wrong with the list of a package.
    fn wrong(&self, listed: &BTreeSet<String>) -> Result<Vec<String>, String> {
        let mut expected: BTreeSet<String> = FIXED.iter().map(|&name| name.to_owned()).collect();
        // Shaders are sources too: of the kernels.
        for sources in ["src", "shaders"] {
            self.add_files(Path::new(sources), &mut expected)?;
        }
        let mut wrong: Vec<String> = Vec::new();
        wrong.extend(expected.difference(listed).map(|file| format!("{file} is not packaged")));
        let unexpected = listed.difference(&expected).filter(|file| *file != REVISION);
        wrong.extend(unexpected.map(|file| format!("{file} does not belong into the package")));
        let says = |key: &&&str| match &self.metadata[**key] {
            Value::Null => false,
            Value::Array(values) => !values.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => true,
        };
        wrong.extend(METADATA.iter().filter(|key| !says(key)).map(|key| format!("the manifest says no {key}")));
        for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let text = |path: PathBuf| fs::read(&path).map_err(|error| format!("{}: {error}", path.display()));
            if text(self.folder.join(license))? != text(workspace().join(license))? {
                wrong.push(format!("{license} differs from the workspace's"));
            }
        }
        Ok(wrong)
    }

    /// Adds the files under a folder of the package's, if there is one.
    fn add_files(&self, folder: &Path, files: &mut BTreeSet<String>) -> Result<(), String> {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let absolute = self.folder.join(&folder);
            if !absolute.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&absolute).map_err(|error| format!("{}: {error}", absolute.display()))? {
                let entry = entry.map_err(|error| format!("{}: {error}", absolute.display()))?;
                let path = folder.join(entry.file_name());
                if entry.path().is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.to_string_lossy().replace('\\', "/"));
                }
            }
        }
        Ok(())
    }

    /// The line that `verified.txt` has of this version.
    fn line(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// The packages of versions that were never verified.
pub(super) fn unverified(packages: &[Package]) -> Result<Vec<&Package>, String> {
    let path = record();
    let recorded = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(packages.iter().filter(|package| !recorded.lines().any(|line| line == package.line())).collect())
}

/// Notes that the packages were verified, those of new versions at the end.
pub(super) fn record_verified(packages: &[Package]) -> Result<(), String> {
    let path = record();
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = fs::read_to_string(&path).map_err(failed)?;
    for package in unverified(packages)? {
        text.push_str(&package.line());
        text.push('\n');
    }
    fs::write(&path, text).map_err(failed)
}

fn record() -> PathBuf {
    workspace().join("xtask/src/ci/verified.txt")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The cargo that runs this program; by hand, the one on the path.
pub(super) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
}

/// What a command prints.
pub(super) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
