//! Running tests once more with what another adapter gets.
//!
//! A software adapter gets kernels of its own. `ARENAGRAD_ADAPTER_CLASS=gpu` gives it those that a GPU gets, which use
//! workgroup memory, `ARENAGRAD_ADAPTER_ARITHMETIC=regrouped` takes it for one whose compiler may regroup sums, and
//! `ARENAGRAD_ADAPTER_JOINING=always` joins small dispatches wherever that can be done. `ARENAGRAD_ADAPTER_BINDING=n` has kernels see no more than
//! n bytes of a tensor at once. All are read once in a process: so the test
//! program starts itself.

use std::process::Command;

use super::devices::gpu;

const CLASS: &str = "ARENAGRAD_ADAPTER_CLASS";
const ARITHMETIC: &str = "ARENAGRAD_ADAPTER_ARITHMETIC";
const JOINING: &str = "ARENAGRAD_ADAPTER_JOINING";
const BINDING: &str = "ARENAGRAD_ADAPTER_BINDING";

/// Runs tests of this program, by their full names, in a process whose kernels are those of a real GPU.
pub fn with_kernels_of_a_gpu(tests: &[&str]) {
    again(tests, CLASS, "gpu");
}

/// Runs tests of this program, by their full names, in a process whose adapters may regroup arithmetic.
pub fn with_regrouped_arithmetic(tests: &[&str]) {
    again(tests, ARITHMETIC, "regrouped");
}

/// Runs tests of this program, by their full names, in a process that joins all dispatches that can be joined.
pub fn with_all_dispatches_joined(tests: &[&str]) {
    again(tests, JOINING, "always");
}

/// Runs tests of this program, by their full names, in a process whose adapters bind no more than so many bytes.
pub fn with_bindings_of(bytes: u64, tests: &[&str]) {
    again(tests, BINDING, &bytes.to_string());
}

/// The most bytes that adapters bind in this process, if that was lowered.
pub fn lowered_binding() -> Option<u64> {
    std::env::var(BINDING).ok()?.parse().ok()
}

fn again(tests: &[&str], variable: &str, value: &str) {
    if [CLASS, ARITHMETIC, JOINING, BINDING].iter().any(|set| std::env::var_os(set).is_some()) || gpu().is_none() {
        return;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let output =
        Command::new(program).args(tests).arg("--exact").env(variable, value).output().expect("it starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = format!("{} passed", tests.len());
    assert!(output.status.success() && text.contains(&passed), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
