//! `cargo xtask ci`: everything that a change must pass before it is merged.
//!
//! It needs a Rust toolchain and a C compiler; and a Vulkan adapter, `mpirun` and a standard library for WebAssembly, each of which is found,
//! or taken from Debian's packages where this runs as root there.
//!
//! The steps run in order, each announced and timed, and stop at the first failure with the command that repeats it. Steps that
//! build for this machine use the workspace's own profile, and its features but for those that are about having none, so that what one step
//! built serves the next. The check for WebAssembly shares nothing with them, and has a target folder of its own.

mod packages;
mod sources;
mod test_programs;
mod vulkan;
mod wasm;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::budget;
use crate::cpu_time::{self, Taken, Watch};
use crate::distributed;
use crate::web::workspace;

/// One command of the run.
struct Step {
    name: &'static str,
    /// Environment variables that the command needs, besides those that are set already.
    environment: &'static [(&'static str, &'static str)],
    program: Program,
    arguments: &'static [&'static str],
}

/// What a step runs.
#[derive(Clone, Copy)]
enum Program {
    Cargo,
    /// Cargo's tests, by [`test_programs`].
    Tests,
    /// An example that the tests have built, which `cargo run` might build again with other features.
    Example(&'static str),
}

/// Tests fail, instead of skipping, when no GPU adapter is found.
const REQUIRE_GPU: (&str, &str) = ("ARENAGRAD_REQUIRE_GPU", "1");

/// The folder below the workspace where steps write what nobody keeps, and a file in it.
macro_rules! out {
    () => {
        "target/ci"
    };
    ($file:literal) => {
        concat!(out!(), "/", $file)
    };
}

/// How many steps several processes follow one. `cargo xtask distributed` makes more.
const STEPS_IN_GROUP: u64 = 12;

/// How often a process of a group is killed, at each of two places. `cargo xtask distributed` does it more often.
const KILLS: u64 = 4;

/// Verification builds each packaged crate outside the workspace, by the profile in `.cargo/config.toml`, which holds there too: it uses the
/// dependencies that the tests have built.
const PACKAGE: &[&str] =
    &["package", "--package=arenagrad-graph", "--package=arenagrad-kernels", "--package=arenagrad", "--allow-dirty"];

/// Cargo takes a packaged crate of the same version for the one that it built in an earlier run, whatever has changed in it:
/// what was built is removed first. [`sources`] does the same for its sources.
const FORGET_PACKAGES: &[&str] =
    &["clean", "--package=arenagrad-graph", "--package=arenagrad-kernels", "--package=arenagrad"];

const STEPS: &[Step] = &[
    Step::cargo("format", &["fmt", "--all", "--check"]),
    Step::cargo("clippy", &["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]),
    Step {
        environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
        ..Step::cargo("documentation", &["doc", "--workspace", "--no-deps"])
    },
    Step {
        environment: &[REQUIRE_GPU],
        program: Program::Tests,
        ..Step::cargo("tests and doctests", &["test", "--workspace"])
    },
    Step::cargo(
        "clippy without features",
        &["clippy", "--package=arenagrad", "--no-default-features", "--all-targets", "--", "-Dwarnings"],
    ),
    // Without doc tests, which say the same with the features.
    Step::cargo(
        "tests without features",
        &["test", "--package=arenagrad", "--no-default-features", "--lib", "--tests"],
    ),
    Step::example("digits", &["--device", "cpu", "--epochs", "1"]),
    Step::example("digits", &["--device", "gpu", "--epochs", "1"]),
    Step::example("xor", &[]),
    Step::example("autograd", &["--device", "cpu"]),
    Step::example("autograd", &["--device", "gpu"]),
    Step::example("gradient_tape", &["--device", "cpu"]),
    Step::example("gradient_tape", &["--device", "gpu"]),
    Step::example("numerical_gradient", &["--device", "cpu"]),
    Step::example("numerical_gradient", &["--device", "gpu"]),
    Step::example("symbolic", &["--diff", "x", "--at", "x=1,y=2,z=3", "--", "(x + y)*z"]),
    Step::example("primer", &primer("cpu")),
    Step::example("primer", &primer("gpu")),
    Step::example("gradient_descent", &["--device", "cpu", "--out-dir", out!()]),
    Step::example("gradient_descent", &["--device", "gpu", "--out-dir", out!()]),
    Step::example("jacobian", &["--device", "cpu"]),
    Step::example("jacobian", &["--device", "gpu"]),
    Step::example("extending", &["--device", "cpu"]),
    Step::example("extending", &["--device", "gpu"]),
    Step::example("fine_tune", &["--device", "cpu"]),
    Step::example("fine_tune", &["--device", "gpu"]),
    Step::example("static_dynamic", &["--device", "cpu"]),
    Step::example("static_dynamic", &["--device", "gpu"]),
];

/// Full verification of the packages, where it is due.
const VERIFICATION: &[Step] = &[Step::cargo("forget packages", FORGET_PACKAGES), Step::cargo("packages", PACKAGE)];

/// The primer's options.
const fn primer(device: &'static str) -> [&'static str; 8] {
    let (dot, svg, curve) = (out!("primer-network.dot"), out!("primer-network.svg"), out!("primer-loss.svg"));
    ["--device", device, "--network-dot", dot, "--network-svg", svg, "--curve", curve]
}

/// Runs every step, and says at the end what each took. The packages are verified in full if that is asked for, or if the
/// version of one is new.
pub(crate) fn run(verify_packages: bool) -> ExitCode {
    let start = Instant::now();
    // Where cargo becomes the program that it runs, the time of its compilers is this process's.
    if let Some(built) = cpu_time::of_children() {
        println!("ci: to build this program took {built:.1} s of processor time");
    }
    let mut times: Vec<(&'static str, Taken)> = Vec::new();
    let passed = steps(verify_packages, &mut times);
    println!();
    let width = times.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, taken) in &times {
        println!("ci: {name:width$} {taken}");
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    match passed {
        Ok(()) => {
            println!("ci: passed in {minutes:.1} min");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("ci: failed after {minutes:.1} min at {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the steps up to the first that fails, and notes what each took.
fn steps(verify_packages: bool, times: &mut Vec<(&'static str, Taken)>) -> Result<(), String> {
    timed(times, "Vulkan adapter", || {
        let adapters = vulkan::find_or_install()?;
        println!("ci: found {}", adapters.join(", "));
        Ok(())
    })?;
    let published = packages::published()?;
    timed(times, "package lists", || packages::check_lists(&published))?;
    timed(times, "dependencies", || match budget::hold(true)? {
        true => Ok(()),
        false => Err("they exceed a budget; budgets and reasons stand in xtask/src/budget/limits.rs".to_owned()),
    })?;
    for step in STEPS {
        timed(times, step.name, || step.run())?;
    }
    timed(times, "check for WebAssembly", wasm::check)?;
    timed(times, "processes over MPI", || {
        println!(
            "ci: {}; to repeat it:\n  cargo xtask distributed --steps {STEPS_IN_GROUP} --kills {KILLS}",
            distributed::find_or_install()?
        );
        distributed::hold(STEPS_IN_GROUP, KILLS)
    })?;
    let unverified = packages::unverified(&published)?;
    if !verify_packages && unverified.is_empty() {
        println!("\nci: the packages were verified at these versions; to verify them again: cargo xtask ci --packages");
        return Ok(());
    }
    for package in unverified {
        println!("\nci: this version of {} was not verified yet", package.name);
    }
    sources::forget();
    for step in VERIFICATION {
        timed(times, step.name, || step.run())?;
    }
    if verify_packages { packages::record_verified(&published) } else { Ok(()) }
}

/// Announces a step, does it, and notes what it took.
fn timed(
    times: &mut Vec<(&'static str, Taken)>,
    name: &'static str,
    step: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    println!("\nci: {name}");
    let watch = Watch::start();
    step().map_err(|reason| format!("{name}: {reason}"))?;
    times.push((name, watch.taken()));
    Ok(())
}

impl Step {
    /// A step that runs cargo as it is.
    const fn cargo(name: &'static str, arguments: &'static [&'static str]) -> Step {
        Step { name, environment: &[], program: Program::Cargo, arguments }
    }

    /// A step that runs an example as the tests have built it.
    const fn example(name: &'static str, arguments: &'static [&'static str]) -> Step {
        Step { name, environment: &[], program: Program::Example(name), arguments }
    }

    /// Runs it; an error says how to repeat it.
    fn run(&self) -> Result<(), String> {
        println!("ci: {}", self.shown());
        if matches!(self.program, Program::Tests) {
            return test_programs::run();
        }
        self.make_folder(&workspace())?;
        match self.command().status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{status}; to repeat it:\n  {}", self.shown())),
            Err(error) => Err(format!("it cannot be run: {error}")),
        }
    }

    /// Makes the folder that an example writes into, which an example expects to be there. Cargo makes none in the workspace where it is told to
    /// build elsewhere.
    fn make_folder(&self, workspace: &Path) -> Result<(), String> {
        match self.program {
            Program::Cargo | Program::Tests => Ok(()),
            Program::Example(_) => {
                let folder = workspace.join(out!());
                fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))
            }
        }
    }

    fn command(&self) -> Command {
        // Cargo names itself to what it runs; by hand, the one on the path serves. It has also put this program beside
        // the examples.
        let here = std::env::current_exe().unwrap_or_default();
        let program = match self.program {
            Program::Cargo | Program::Tests => std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            Program::Example(name) => {
                here.with_file_name("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
            }
        };
        let mut command = Command::new(program);
        command.args(self.arguments).envs(self.environment.iter().copied());
        if matches!(self.program, Program::Example(_)) {
            // What it writes is named from there. Cargo stays where it is, for the folder it builds in may be named from here.
            command.current_dir(workspace());
        }
        command
    }

    /// The step as one would type it.
    fn shown(&self) -> String {
        let mut shown = String::new();
        for (name, value) in self.environment {
            shown.push_str(&format!("{name}={value} "));
        }
        shown.push_str(&match self.program {
            Program::Cargo | Program::Tests => "cargo".to_owned(),
            Program::Example(name) => format!("cargo run --package arenagrad-examples --example {name} --"),
        });
        for argument in self.arguments {
            let quoted = argument.contains(['\'', '*']);
            shown.push_str(&if quoted { format!(" \"{argument}\"") } else { format!(" {argument}") });
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Also in a checkout where cargo has built nothing.
    #[test]
    fn what_examples_write_has_a_folder() {
        let fresh = std::env::temp_dir().join(format!("arenagrad-ci-{}", std::process::id()));
        let mut written = 0;
        for step in STEPS.iter().filter(|step| matches!(step.program, Program::Example(_))) {
            step.make_folder(&fresh).expect("folders can be made there");
            for argument in step.arguments.iter().filter(|argument| argument.starts_with("target")) {
                assert!(argument.starts_with(out!()), "{}", step.shown());
                let path = fresh.join(argument);
                assert!(path.is_dir() || path.parent().is_some_and(Path::is_dir), "{}", step.shown());
                written += 1;
            }
            fs::remove_dir_all(&fresh).expect("it was made here");
        }
        assert!(written > 0);
    }

    /// Every package that this program is built with, wgpu and the library's own crates among them, has the features that it has for the tests, which
    /// would otherwise build it a second time. What differs is asked for in this program's manifest.
    #[test]
    fn tests_share_what_this_program_is_built_with() {
        let features = |which: &[&str]| {
            let mut tree = packages::cargo();
            tree.current_dir(workspace()).args(["tree", "--prefix=none", "--format={p} {f}"]).args(which);
            let listed = packages::output(&mut tree).expect("cargo lists the packages");
            // A package that stands there again is marked as such.
            listed.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect::<BTreeSet<String>>()
        };
        let own = features(&["--package=xtask", "--edges=normal,build"]);
        let of_tests = features(&["--workspace", "--edges=all"]);
        assert!(own.iter().any(|package| package.starts_with("wgpu ")));
        let apart: Vec<_> = own.difference(&of_tests).collect();
        assert!(apart.is_empty(), "packages with other features than those of the tests: {apart:#?}");
    }
}
