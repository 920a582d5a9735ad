//! The engine for WebAssembly, checked: what a page is made of must build, whatever is tried with it in a browser.

use crate::web::toolchain::{BUILT, TARGET, Toolchain, run};

/// The features that the three crates are checked with, each set in a run of its own.
const FEATURES: [&[&str]; 3] =
    [&["--no-default-features"], &["--no-default-features", "--features=arenagrad/gpu"], &[]];

/// Macros and what builds them run once for each line that they are asked for: to optimise them takes longer than it saves here.
const PLAIN: &str = "profile.dev.package.'*'.opt-level=0";

/// Has the compiler check the three crates for the target, with no features, with `gpu` and with those that are on by default; nothing is linked.
/// A toolchain with the target is found or installed, as `cargo xtask web` does.
pub(super) fn check() -> Result<(), String> {
    let toolchain = Toolchain::find_or_install()?;
    println!("ci: {toolchain}");
    for features in FEATURES {
        println!("ci: cargo check for {TARGET} {}", features.join(" "));
        let mut cargo = toolchain.cargo();
        cargo
            .current_dir(crate::web::workspace())
            .args(["check", "--package=arenagrad-graph", "--package=arenagrad-kernels", "--package=arenagrad", "--lib"])
            .args(["--target", TARGET, "--target-dir", BUILT, "--config", PLAIN])
            .args(toolchain.arguments())
            .args(features);
        run(&mut cargo)?;
    }
    Ok(())
}
