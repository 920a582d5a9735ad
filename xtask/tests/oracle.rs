//! The repository's own PyTorch cases, through `cargo xtask oracle`: on every device that there is, or on all of them where
//! the GPU is required.

use std::path::Path;
use std::process::Command;

#[test]
fn the_repository_s_cases_pass() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/runtime/tests/oracle");
    let mut oracle = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // The list is of more cases than these: none of those may be missing that it calls whole.
    oracle.arg("oracle").arg(&cases).arg("--passing").arg(cases.join("PASSING.txt"));
    if std::env::var_os("ARENAGRAD_REQUIRE_GPU").is_some() {
        oracle.args(["--device", "all"]);
    }
    let output = oracle.output().expect("the task starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let summary = printed.lines().last().unwrap_or_default();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(summary.ends_with("0 failed, 0 unsupported"), "{summary}");
}
