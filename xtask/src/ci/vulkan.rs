//! A Vulkan adapter for the tests: found, or installed where this process may.

use std::process::Command;

use crate::debian::{install, may_install};

/// Debian's package of Mesa's Vulkan drivers, with lavapipe, the one that needs no hardware, among them.
const PACKAGE: &str = "mesa-vulkan-drivers";

/// The names of the adapters. Where there are none, the process is root and Debian's package manager is there, Mesa's
/// drivers are installed first, which is said. The error says what is missing.
pub(super) fn find_or_install() -> Result<Vec<String>, String> {
    let adapters = names()?;
    if !adapters.is_empty() {
        return Ok(adapters);
    }
    if !may_install() {
        return Err(format!(
            "no adapter was found; install a Vulkan driver (on Debian, as root: apt-get install {PACKAGE})"
        ));
    }
    println!("ci: no Vulkan adapter was found: installing Debian's {PACKAGE}, whose lavapipe runs on the CPU");
    install(&[PACKAGE])?;
    let adapters = names()?;
    if adapters.is_empty() { Err(format!("no adapter was found even with {PACKAGE} installed")) } else { Ok(adapters) }
}

/// The adapters that a new process finds: the list that this one has made would not see a driver that came later.
fn names() -> Result<Vec<String>, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let listed = Command::new(program).arg("adapters").output();
    let listed = listed.map_err(|error| format!("the adapters cannot be listed: {error}"))?;
    Ok(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect())
}
