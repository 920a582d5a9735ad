//! Debian's packages: found, or installed where this process may.

use std::path::Path;
use std::process::Command;

/// Whether this is a Debian machine, and the process root on it.
pub(crate) fn may_install() -> bool {
    is_root() && Path::new("/usr/bin/apt-get").exists()
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Runs the package manager.
pub(crate) fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("apt-get {} failed ({status})", arguments.join(" "))),
        Err(error) => Err(format!("apt-get cannot be run: {error}")),
    }
}

/// Installs packages, with the list of what there is brought up to date before.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}
