//! Chromium: found, or Debian's installed where this process may.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::devtools::Browser;
use crate::debian;

const PACKAGE: &str = "chromium";
/// The names under which it is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// What makes WebGPU run on a machine without a GPU: Chromium's own adapter in software. What is no longer shown must not sleep: nothing is
/// shown here.
const OPTIONS: &[&str] = &[
    "--no-sandbox",
    "--disable-gpu-sandbox",
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan,WebGPU",
    "--use-webgpu-adapter=swiftshader",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// The program. Where there is none, the process is root and Debian's package manager is there, Debian's is installed first, which is
/// said. The error says what is missing.
pub(super) fn find_or_install() -> Result<PathBuf, String> {
    if let Some(found) = found() {
        return Ok(found);
    }
    if !debian::may_install() {
        return Err(format!("there is no Chromium to test in (on Debian, as root: apt-get install {PACKAGE})"));
    }
    println!("web: no Chromium was found: installing Debian's {PACKAGE}");
    debian::install(&[PACKAGE])?;
    found().ok_or_else(|| format!("there is no Chromium even with {PACKAGE} installed"))
}

fn found() -> Option<PathBuf> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    NAMES.iter().find(|name| runs(name)).map(PathBuf::from)
}

/// Starts it without a window.
pub(super) fn start(program: &Path) -> Result<Browser, String> {
    let folder = std::env::temp_dir().join(format!("arenagrad-web-{}", std::process::id()));
    Browser::start(program, OPTIONS, &folder)
}

/// What it calls itself, such as `Chromium 156.0.8078.108`.
pub(super) fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
