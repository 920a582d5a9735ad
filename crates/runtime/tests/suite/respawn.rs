//! Running tests once more with the kernels of a real GPU.
//!
//! A software adapter gets kernels of its own. `ARENAGRAD_ADAPTER_CLASS=gpu` gives it those that a GPU gets, which use
//! workgroup memory, but is read once in a process: so the test program starts itself.

use std::process::Command;

use super::devices::gpu;

const CLASS: &str = "ARENAGRAD_ADAPTER_CLASS";

/// Runs tests of this program, by their full names, in a process whose kernels are those of a real GPU.
pub fn with_kernels_of_a_gpu(tests: &[&str]) {
    if std::env::var_os(CLASS).is_some() || gpu().is_none() {
        return;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program).args(tests).arg("--exact").env(CLASS, "gpu").output().expect("it starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = format!("{} passed", tests.len());
    assert!(output.status.success() && text.contains(&passed), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
