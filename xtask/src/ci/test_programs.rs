//! The workspace's tests, those of a large program in several processes at once.
//!
//! A process has one device, and a software adapter compiles and runs what its device is given one after the other, so that tests in one
//! process wait for each other where they use it. Programs of few tests stay as they are: some of them measure, or count what a process does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;

use super::{REQUIRE_GPU, packages};

/// A program with fewer tests is run as one process.
const MANY: usize = 100;

/// A program of tests.
struct Program {
    /// The folder of its package, where it is run.
    folder: PathBuf,
    path: PathBuf,
}

/// Builds and runs all tests of the workspace, doc tests last. Tests fail where there is no adapter. An error is the command that repeats it.
pub(super) fn run() -> Result<(), String> {
    let programs = build()?;
    let processes = thread::available_parallelism().map_or(1, usize::from);
    for program in &programs {
        let tests = program.tests()?;
        println!("ci: {} with {} tests", program.path.display(), tests.len());
        let parts = if tests.len() < MANY { 1 } else { processes };
        program.run(&tests, parts)?;
    }
    let repeated = "cargo test --workspace --doc";
    println!("ci: {repeated}");
    let status = cargo().args(["test", "--workspace", "--doc"]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}; to repeat it:\n  {repeated}")),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

/// The programs of tests, built.
fn build() -> Result<Vec<Program>, String> {
    let mut build = cargo();
    build
        .args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = build.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("{}; to repeat it:\n  cargo test --workspace --no-run", output.status));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().filter_map(|line| program_of(&serde_json::from_str(line).ok()?)).collect())
}

/// The program that a message of cargo tells of, if it is one of tests.
fn program_of(message: &Value) -> Option<Program> {
    let is_test = message["profile"]["test"].as_bool()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    is_test.then_some(Program { folder, path })
}

impl Program {
    /// The names of its tests.
    fn tests(&self) -> Result<Vec<String>, String> {
        let listed = self.command().args(["--list", "--format", "terse"]).output();
        let listed = listed.map_err(|error| format!("{}: {error}", self.path.display()))?;
        let names = String::from_utf8_lossy(&listed.stdout);
        Ok(names.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// Runs these tests in so many processes, or all that it has in one.
    fn run(&self, tests: &[String], parts: usize) -> Result<(), String> {
        let outputs: Vec<std::io::Result<Output>> = if parts == 1 {
            vec![self.command().output()]
        } else {
            // Neighbours by name take about as long as each other.
            let part = |number: usize| tests.iter().skip(number).step_by(parts).collect::<Vec<_>>();
            thread::scope(|scope| {
                let run = |number| self.command().args(["--test-threads=1", "--exact"]).args(part(number)).output();
                let running: Vec<_> = (0..parts).map(|number| scope.spawn(move || run(number))).collect();
                running.into_iter().map(|part| part.join().expect("it panics nowhere")).collect()
            })
        };
        for output in outputs {
            let output = output.map_err(|error| format!("{}: {error}", self.path.display()))?;
            let told = String::from_utf8_lossy(&output.stdout);
            if !output.status.success() {
                println!("{told}{}", String::from_utf8_lossy(&output.stderr));
                return Err(format!("{}; to repeat it:\n  {}", output.status, self.shown()));
            }
            told.lines().rfind(|line| line.starts_with("test result")).into_iter().for_each(|line| println!("{line}"));
        }
        Ok(())
    }

    /// The program, as cargo runs it.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env(REQUIRE_GPU.0, REQUIRE_GPU.1);
        command
    }

    /// The program as one would type it.
    fn shown(&self) -> String {
        let (folder, path) = (self.folder.display(), self.path.display());
        format!("cd {folder} && {}={} CARGO_MANIFEST_DIR={folder} {path}", REQUIRE_GPU.0, REQUIRE_GPU.1)
    }
}

fn cargo() -> Command {
    let mut command = packages::cargo();
    command.env(REQUIRE_GPU.0, REQUIRE_GPU.1);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_tests_are_told_from_libraries_and_examples() {
        let message = |test: bool, executable: &str| {
            let text = format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/a/b/Cargo.toml","profile":{{"test":{test}}},"executable":{executable}}}"#
            );
            program_of(&serde_json::from_str(&text).unwrap())
        };
        let program = message(true, r#""/t/all""#).unwrap();
        assert_eq!((program.folder, program.path), (PathBuf::from("/a/b"), PathBuf::from("/t/all")));
        assert!(message(false, r#""/t/example""#).is_none() && message(true, "null").is_none());
        assert!(program_of(&serde_json::json!({"reason": "build-finished", "success": true})).is_none());
    }
}
