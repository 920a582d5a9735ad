//! Running tests once more with what another adapter gets.
//!
//! A software adapter gets kernels of its own. `ARENAGRAD_ADAPTER_CLASS=gpu` gives it those that a GPU gets, which use
//! workgroup memory, `ARENAGRAD_ADAPTER_ARITHMETIC=regrouped` takes it for one whose compiler may regroup sums, and
//! `ARENAGRAD_ADAPTER_JOINING=always` joins small dispatches wherever that can be done. `ARENAGRAD_ADAPTER_BINDING=n` has kernels see no more than
//! n bytes of a tensor at once. All are read once in a process: so the test
//! program starts itself.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::devices::gpu;

const CLASS: &str = "ARENAGRAD_ADAPTER_CLASS";
const ARITHMETIC: &str = "ARENAGRAD_ADAPTER_ARITHMETIC";
const JOINING: &str = "ARENAGRAD_ADAPTER_JOINING";
const BINDING: &str = "ARENAGRAD_ADAPTER_BINDING";

/// Runs tests of this program, by their full names, in a process whose kernels are those of a real GPU.
pub fn with_kernels_of_a_gpu(tests: &[&str]) {
    again(tests, &[(CLASS, "gpu")]);
}

/// Runs tests of this program, by their full names, in a process whose adapters may regroup arithmetic.
pub fn with_regrouped_arithmetic(tests: &[&str]) {
    again(tests, &[(ARITHMETIC, "regrouped")]);
}

/// Runs tests of this program, by their full names, in a process that joins all dispatches that can be joined.
pub fn with_all_dispatches_joined(tests: &[&str]) {
    again(tests, &[(JOINING, "always")]);
}

/// Runs tests of this program, by their full names, in a process whose adapters bind no more than so many bytes.
pub fn with_bindings_of(bytes: u64, tests: &[&str]) {
    again(tests, &[(BINDING, &bytes.to_string())]);
}

/// Runs tests of this program, by their full names, in a process whose adapters bind no more than so many bytes, and that joins all
/// dispatches that can be joined.
pub fn with_bindings_of_and_joined(bytes: u64, tests: &[&str]) {
    again(tests, &[(BINDING, &bytes.to_string()), (JOINING, "always")]);
}

/// The most bytes that adapters bind in this process, if that was lowered.
pub fn lowered_binding() -> Option<u64> {
    std::env::var(BINDING).ok()?.parse().ok()
}

/// Set in the process of a test that might never end.
const TIMED: &str = "ARENAGRAD_TEST_IN_TIME";

/// Does work of a test, by its full name, that hangs its process if it fails: in a process of its own with so many threads in rayon's pool,
/// which is ended after the time that is given.
pub fn in_time(limit: Duration, threads: usize, test: &str, work: impl FnOnce()) {
    if std::env::var_os(TIMED).is_some() {
        return work();
    }
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args([test, "--exact"]).env(TIMED, "1").env("RAYON_NUM_THREADS", threads.to_string());
    let mut child = command.stdout(Stdio::null()).spawn().expect("it starts again");
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            assert!(status.success(), "{test} failed in a process of its own: {status}");
            return;
        }
        if begun.elapsed() > limit {
            child.kill().and_then(|()| child.wait()).expect("it is our child");
            panic!("{test} did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn again(tests: &[&str], variables: &[(&str, &str)]) {
    if [CLASS, ARITHMETIC, JOINING, BINDING].iter().any(|set| std::env::var_os(set).is_some()) || gpu().is_none() {
        return;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let variables = variables.iter().copied();
    let output = Command::new(program).args(tests).arg("--exact").envs(variables).output().expect("it starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = format!("{} passed", tests.len());
    assert!(output.status.success() && text.contains(&passed), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
