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

/// The most bytes of names that a process is given: a command line of Windows holds 32,767 characters.
const MOST_BYTES: usize = 24_000;

/// A program of tests.
struct Program {
    /// The folder of its package, where it is run.
    folder: PathBuf,
    path: PathBuf,
}

/// Builds and runs all tests of the workspace, doc tests last. Tests fail where there is no adapter. An error is the command that repeats it.
pub(super) fn run() -> Result<(), String> {
    let programs = build()?;
    if programs.is_empty() {
        return Err("cargo told of no program of tests".to_owned());
    }
    let processes = thread::available_parallelism().map_or(1, usize::from);
    for program in &programs {
        let tests = program.tests()?;
        println!("ci: {} with {} tests", program.path.display(), tests.len());
        let parts = if tests.len() < MANY { 1 } else { processes.min(tests.len()) };
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
        let listed = self.output(&["--list", "--format", "terse"])?;
        if !listed.status.success() {
            return Err(format!("{} lists no tests: {}", self.path.display(), listed.status));
        }
        let names = String::from_utf8_lossy(&listed.stdout);
        Ok(names.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// Runs these tests in so many processes at a time, or all that it has in one. What a process that failed has printed is printed.
    fn run(&self, tests: &[String], parts: usize) -> Result<(), String> {
        let outputs: Vec<Result<Output, String>> = if parts == 1 {
            vec![self.output(&[])]
        } else {
            // Neighbours by name take about as long as each other.
            let part = |number: usize| tests.iter().skip(number).step_by(parts).map(String::as_str).collect::<Vec<_>>();
            let run =
                |number| -> Vec<_> { in_lines(&part(number)).iter().map(|names| self.run_exactly(names)).collect() };
            thread::scope(|scope| {
                let running: Vec<_> = (0..parts).map(|number| scope.spawn(move || run(number))).collect();
                running.into_iter().flat_map(|part| part.join().expect("it panics nowhere")).collect()
            })
        };
        let (mut failed, mut ran) = (None, 0);
        for output in outputs {
            let output = output?;
            let told = String::from_utf8_lossy(&output.stdout);
            if output.status.success() {
                let result = told.lines().rfind(|line| line.starts_with("test result")).unwrap_or_default();
                println!("{result}");
                ran += counted(result);
            } else {
                println!("{told}{}", String::from_utf8_lossy(&output.stderr));
                failed = Some(output.status);
            }
        }
        match failed {
            Some(status) => {
                Err(format!("{status}; to repeat it:\n  {}={} cargo test --workspace", REQUIRE_GPU.0, REQUIRE_GPU.1))
            }
            None if ran == tests.len() => Ok(()),
            None => Err(format!("{}: {ran} tests ran, of {}", self.path.display(), tests.len())),
        }
    }

    /// Runs the tests of these names, one after the other.
    fn run_exactly(&self, names: &[&str]) -> Result<Output, String> {
        self.output(&[&["--test-threads=1", "--exact"], names].concat())
    }

    /// What the program prints with these arguments.
    fn output(&self, arguments: &[&str]) -> Result<Output, String> {
        self.command().args(arguments).output().map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// The program, as cargo runs it.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env(REQUIRE_GPU.0, REQUIRE_GPU.1);
        command
    }
}

/// Names in groups that a command line holds.
fn in_lines<'n>(names: &[&'n str]) -> Vec<Vec<&'n str>> {
    let mut lines: Vec<Vec<&str>> = Vec::new();
    let mut bytes = MOST_BYTES;
    for name in names {
        if bytes + name.len() >= MOST_BYTES {
            lines.push(Vec::new());
            bytes = 0;
        }
        bytes += name.len() + 1;
        lines.last_mut().expect("one was just made").push(name);
    }
    lines
}

/// How many tests a line with the result of a program tells of: those that passed and those that are ignored.
fn counted(result: &str) -> usize {
    let number = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        match words.as_slice() {
            [.., number, "passed" | "ignored"] => number.parse().unwrap_or(0),
            _ => 0,
        }
    };
    result.split([';', '.']).map(number).sum()
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

    #[test]
    fn results_are_counted() {
        let line = "test result: ok. 17 passed; 0 failed; 2 ignored; 0 measured; 893 filtered out; finished in 13.62s";
        assert_eq!((counted(line), counted("")), (19, 0));
    }

    #[test]
    fn every_name_stands_in_one_line() {
        let name = "a".repeat(999);
        let names = vec![name.as_str(); 50];
        let lines = in_lines(&names);
        assert!(lines.iter().all(|line| line.iter().map(|name| name.len() + 1).sum::<usize>() <= MOST_BYTES));
        assert_eq!((lines.len(), lines.concat().len(), in_lines(&[]).len()), (3, 50, 0));
    }
}
