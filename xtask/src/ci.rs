//! `cargo xtask ci`: everything that a change must pass before it is merged, on a machine with only a Rust toolchain.
//!
//! The steps run in order, each announced and timed, and stop at the first failure with the command that repeats it. All
//! steps that build use the workspace's own profile and features, so that what one step built serves the next.

mod packaged;
mod vulkan;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

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
    /// An example that the tests have built, which `cargo run` might build again with other features.
    Example(&'static str),
}

/// Tests fail, instead of skipping, when no GPU adapter is found.
const REQUIRE_GPU: (&str, &str) = ("ARENAGRAD_REQUIRE_GPU", "1");

/// Verification builds each packaged crate outside the workspace, whose profiles do not reach it there. The same settings
/// on the command line let it use the dependencies that the tests have built.
const PACKAGE: &[&str] = &[
    "package",
    "--package=arenagrad-graph",
    "--package=arenagrad-kernels",
    "--package=arenagrad",
    "--allow-dirty",
    "--config=profile.dev.opt-level=1",
    "--config=profile.dev.debug='line-tables-only'",
    "--config=profile.dev.package.'*'.opt-level=2",
    "--config=profile.dev.package.'*'.debug=false",
];

/// Cargo takes a packaged crate of the same version for the one that it built in an earlier run, whatever has changed in it:
/// what was built is removed first. [`packaged`] does the same for its sources.
const FORGET_PACKAGES: &[&str] =
    &["clean", "--package=arenagrad-graph", "--package=arenagrad-kernels", "--package=arenagrad"];

const STEPS: &[Step] = &[
    Step::cargo("format", &["fmt", "--all", "--check"]),
    Step::cargo("clippy", &["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]),
    Step {
        environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
        ..Step::cargo("documentation", &["doc", "--workspace", "--no-deps"])
    },
    Step { environment: &[REQUIRE_GPU], ..Step::cargo("tests and doctests", &["test", "--workspace"]) },
    Step::cargo(
        "without the feature gpu",
        &["clippy", "--package=arenagrad", "--no-default-features", "--all-targets", "--", "-Dwarnings"],
    ),
    // Without doc tests, of which each is a program to link: they say the same with the feature.
    Step::cargo(
        "tests without the feature gpu",
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
    Step::example("gradient_descent", &["--device", "cpu", "--out-dir", "target"]),
    Step::example("gradient_descent", &["--device", "gpu", "--out-dir", "target"]),
    Step::example("jacobian", &["--device", "cpu"]),
    Step::example("jacobian", &["--device", "gpu"]),
    Step::example("extending", &["--device", "cpu"]),
    Step::example("extending", &["--device", "gpu"]),
    Step::example("static_dynamic", &["--device", "cpu"]),
    Step::example("static_dynamic", &["--device", "gpu"]),
    Step::cargo("forget packages", FORGET_PACKAGES),
    Step::cargo("packages", PACKAGE),
];

/// The primer's options: its pictures go where nothing is kept.
const fn primer(device: &'static str) -> [&'static str; 8] {
    let (dot, svg, curve) = ("target/primer-network.dot", "target/primer-network.svg", "target/primer-loss.svg");
    ["--device", device, "--network-dot", dot, "--network-svg", svg, "--curve", curve]
}

/// Runs every step, and says at the end what each took.
pub(crate) fn run() -> ExitCode {
    let start = Instant::now();
    let mut times: Vec<(&'static str, Duration)> = Vec::new();

    println!("ci: Vulkan adapter");
    match vulkan::find_or_install() {
        Ok(adapters) => println!("ci: found {}", adapters.join(", ")),
        Err(reason) => {
            eprintln!("ci: failed at Vulkan adapter: {reason}");
            return ExitCode::FAILURE;
        }
    }
    times.push(("Vulkan adapter", start.elapsed()));

    packaged::forget_sources();
    for step in STEPS {
        println!("\nci: {}: {}", step.name, step.shown());
        let begun = Instant::now();
        match step.command().status() {
            Ok(status) if status.success() => times.push((step.name, begun.elapsed())),
            Ok(status) => {
                eprintln!("ci: failed at {} ({status}); to repeat it:\n  {}", step.name, step.shown());
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("ci: failed at {}: it cannot be run: {error}", step.name);
                return ExitCode::FAILURE;
            }
        }
    }

    println!();
    let width = times.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, time) in &times {
        println!("ci: {name:width$} {:>7.1} s", time.as_secs_f64());
    }
    println!("ci: passed in {:.1} min", start.elapsed().as_secs_f64() / 60.0);
    ExitCode::SUCCESS
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

    fn command(&self) -> Command {
        // Cargo names itself to what it runs; by hand, the one on the path serves. It has also put this program beside
        // the examples.
        let here = std::env::current_exe().unwrap_or_default();
        let program = match self.program {
            Program::Cargo => std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            Program::Example(name) => {
                here.with_file_name("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
            }
        };
        let mut command = Command::new(program);
        command.args(self.arguments).envs(self.environment.iter().copied());
        command
    }

    /// The step as one would type it.
    fn shown(&self) -> String {
        let mut shown = String::new();
        for (name, value) in self.environment {
            shown.push_str(&format!("{name}={value} "));
        }
        shown.push_str(&match self.program {
            Program::Cargo => "cargo".to_owned(),
            Program::Example(name) => format!("cargo run --package arenagrad-examples --example {name} --"),
        });
        for argument in self.arguments {
            let quoted = argument.contains(['\'', '*']);
            shown.push_str(&if quoted { format!(" \"{argument}\"") } else { format!(" {argument}") });
        }
        shown
    }
}
