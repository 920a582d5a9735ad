//! `cargo xtask budget`: what a program on arenagrad costs its author, held to the budgets in `limits`.
//!
//! The program is the example `xor`, in a package of its own outside this workspace, so that its profile is the usual one and
//! only the features that it asks for are built. Machines differ, so the time of its clean release build is held as a multiple
//! of what a program on wgpu alone takes in the same sitting.

mod limits;
mod program;

use std::process::{Command, ExitCode};

use limits::{
    BUILD_RATIO, BUILD_RATIO_WITHOUT_GPU, Budget, DEPENDENCIES, DEPENDENCIES_WITHOUT_GPU, SIZE, SIZE_WITHOUT_GPU,
};
use program::{Program, cargo};

/// Prints what is measured beside its budget; the code is 1 if one is exceeded, or nothing could be measured.
pub(crate) fn run(only_dependencies: bool) -> ExitCode {
    match hold(only_dependencies) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("budget: exceeded; budgets and reasons stand in xtask/src/budget/limits.rs");
            ExitCode::FAILURE
        }
        Err(reason) => {
            eprintln!("budget: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all budgets hold.
pub(crate) fn hold(only_dependencies: bool) -> Result<bool, String> {
    let mut holds = dependencies(&DEPENDENCIES, &[])?;
    holds &= dependencies(&DEPENDENCIES_WITHOUT_GPU, &["--no-default-features"])?;
    if only_dependencies {
        return Ok(holds);
    }
    let wgpu = program::build(Program::WgpuAlone)?;
    println!("budget: a clean release build of a program on wgpu alone: {}", wgpu.taken);
    let programs =
        [(Program::WithoutGpu, &BUILD_RATIO_WITHOUT_GPU, &SIZE_WITHOUT_GPU), (Program::WithGpu, &BUILD_RATIO, &SIZE)];
    for (which, ratio, size) in programs {
        let built = program::build(which)?;
        println!("budget: a clean release build of {}: {}", which.described(), built.taken);
        holds &= ratio.holds(built.taken.cost() / wgpu.taken.cost());
        holds &= size.holds(built.bytes as f64 / 1e6);
    }
    Ok(holds)
}

/// Whether the number of crates that the library is built with, itself left out, is within its budget.
fn dependencies(budget: &Budget, features: &[&str]) -> Result<bool, String> {
    let mut command = cargo();
    command
        .args(["tree", "--package=arenagrad", "--edges=normal,build", "--prefix=none", "--format={p}"])
        .args(features);
    let listed = listing(&mut command)?;
    // A crate that stands there again is marked as such.
    let mut crates: Vec<&str> = listed.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    crates.sort_unstable();
    crates.dedup();
    Ok(budget.holds(crates.len() as f64 - 1.0))
}

/// What a command prints.
fn listing(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
