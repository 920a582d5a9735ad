//! A Rust toolchain that builds for WebAssembly: rustup's, or Debian's.
//!
//! Where the toolchain at hand has the target's standard library, that is used. Else it is said how to get one, and on Debian, as root, the
//! packages `rustc-web` and its companions are unpacked into a folder of this workspace: nothing of the system's Rust is touched. They
//! come with the sources of the standard library, which cargo then builds with everything else.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Where everything is built for it, in the workspace.
pub(crate) const BUILT: &str = "target/wasm";

/// What Debian's compiler is linked with, and its linker for WebAssembly.
const NEEDED: &[&str] = &["libllvm22", "lld-22", "libgit2-1.5", "libhttp-parser2.9"];
const LINKER: &str = "wasm-ld-22";

/// A toolchain.
pub(crate) enum Toolchain {
    /// The one that runs this program, which has the target.
    Present,
    /// Debian's, unpacked into this folder.
    Debian(PathBuf),
}

impl Toolchain {
    /// The toolchain at hand if it has the target, else Debian's. The error says what to do.
    pub(crate) fn find_or_install() -> Result<Toolchain, String> {
        if has_target()? {
            return Ok(Toolchain::Present);
        }
        let folder = super::workspace().join("target/wasm-toolchain");
        let toolchain = Toolchain::Debian(folder.clone());
        if toolchain.works() {
            return Ok(toolchain);
        }
        let advice = format!("this toolchain has no target {TARGET}; to add it: rustup target add {TARGET}");
        if !debian::may_install() {
            return Err(format!("{advice} (on Debian, as root, this command would take Debian's packages instead)"));
        }
        println!("web: {advice}\nweb: taking Debian's rustc-web instead, unpacked into {}", folder.display());
        unpack(&folder)?;
        if toolchain.works() {
            Ok(toolchain)
        } else {
            Err(format!("{advice}; Debian's, in {}, does not run", folder.display()))
        }
    }

    /// Cargo, to be told what to do. What the environment would have compilers do is meant for this machine's programs, and is not passed on:
    /// a page's program would have other instructions, or none of those that are asked for here.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = self.inheriting();
        for variable in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
        ] {
            cargo.env_remove(variable);
        }
        cargo
    }

    fn inheriting(&self) -> Command {
        match self {
            Toolchain::Present => Command::new(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)),
            Toolchain::Debian(folder) => {
                let mut cargo = Command::new(folder.join("root/usr/bin/cargo"));
                cargo
                    .env("RUSTC", folder.join("root/usr/bin/rustc"))
                    .env("LD_LIBRARY_PATH", libraries(folder))
                    // The standard library is built from its sources, which cargo calls unstable.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER)
                    // What the rustup that runs this program would have its own toolchain do.
                    .env_remove("CARGO")
                    .env_remove("RUSTUP_TOOLCHAIN");
                cargo
            }
        }
    }

    /// What a build must be told beside the target.
    pub(crate) fn arguments(&self) -> &'static [&'static str] {
        match self {
            Toolchain::Present => &[],
            Toolchain::Debian(_) => &["-Zbuild-std=std,panic_abort"],
        }
    }

    fn works(&self) -> bool {
        self.cargo().arg("--version").output().is_ok_and(|output| output.status.success())
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Toolchain::Present => write!(f, "this toolchain has the target {TARGET}"),
            Toolchain::Debian(folder) => write!(f, "Debian's toolchain in {}", folder.display()),
        }
    }
}

/// Whether the compiler at hand has the standard library of the target.
fn has_target() -> Result<bool, String> {
    let rustc = std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from);
    let output = Command::new(&rustc).args(["--print", "sysroot"]).output();
    let output = output.map_err(|error| format!("{} cannot be run: {error}", rustc.display()))?;
    let root = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(root.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn libraries(folder: &Path) -> std::ffi::OsString {
    let architecture = if cfg!(target_arch = "aarch64") { "aarch64-linux-gnu" } else { "x86_64-linux-gnu" };
    let usr = folder.join("root/usr/lib");
    let mut paths = usr.join(architecture).into_os_string();
    paths.push(":");
    paths.push(usr);
    paths
}

/// Takes the packages from Debian's archive and unpacks them.
fn unpack(folder: &Path) -> Result<(), String> {
    debian::install(NEEDED)?;
    let packages = folder.join("packages");
    // What an earlier try has left there may be of another version, or half of a file.
    if packages.exists() {
        fs::remove_dir_all(&packages).map_err(|error| format!("{}: {error}", packages.display()))?;
    }
    fs::create_dir_all(&packages).map_err(|error| format!("{}: {error}", packages.display()))?;
    let version = candidate("rustc-web")?;
    // The library's package has the compiler's version in its name: 1.96.
    let series: Vec<&str> = version.splitn(3, '.').take(2).collect();
    let library = format!("libstd-rust-web-{}", series.join("."));
    let names = ["rustc-web", "cargo-web", "libstd-rust-web-dev", &library, "rust-web-src"];
    let wanted = names.map(|name| format!("{name}={version}"));
    run(Command::new("apt-get").arg("download").args(&wanted).current_dir(&packages))?;
    let listed = fs::read_dir(&packages).map_err(|error| format!("{}: {error}", packages.display()))?;
    for entry in listed.flatten() {
        run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(folder.join("root")))?;
    }
    fs::remove_dir_all(&packages).map_err(|error| format!("{}: {error}", packages.display()))
}

/// The version of a package that would be installed.
fn candidate(package: &str) -> Result<String, String> {
    let output = Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output();
    let output = output.map_err(|error| format!("apt-cache cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let candidate = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    match candidate {
        Some(version) if version != "(none)" => Ok(version.to_owned()),
        Some(_) | None => Err(format!("Debian's archive has no package {package}")),
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?} cannot be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_for_programs_of_this_machine_do_not_reach_those_of_a_page() {
        for toolchain in [Toolchain::Present, Toolchain::Debian(PathBuf::from("folder"))] {
            let cargo = toolchain.cargo();
            let removed = |variable: &str| cargo.get_envs().any(|(name, value)| name == variable && value.is_none());
            assert!(removed("RUSTFLAGS") && removed("CARGO_ENCODED_RUSTFLAGS"), "{cargo:?}");
        }
    }
}
