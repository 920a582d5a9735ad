//! From sources to a folder that any server of static files can serve.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::toolchain::{self, TARGET, Toolchain, run};

/// The most that the page's program may take on its way, gzipped: a second at 12 Mbit/s.
const BUDGET: u64 = 1_500_000;
/// What compilers call vectors of 128 bits.
const VECTORS: &str = "simd128";

/// Whether the CPU of a page computes with several numbers at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Vectors {
    /// With one number at a time, which every engine can.
    None,
    /// With vectors of 128 bits, `simd128`, which every browser has had since 2023.
    Of128Bits,
}

/// A program for a page.
pub(super) struct Built {
    /// Its size.
    pub(super) bytes: u64,
    /// Its size as a server sends it.
    pub(super) gzipped: u64,
}

impl Built {
    /// Says the size, and whether it is within the budget.
    pub(super) fn report(&self) -> bool {
        super::say_size("its program", self);
        let holds = self.gzipped <= BUDGET;
        if !holds {
            println!("web: of at most {:.2} MB gzipped  EXCEEDED", BUDGET as f64 / 1e6);
        }
        holds
    }
}

/// Builds the page: its program, its files and its data.
pub(super) fn page(toolchain: &Toolchain, out: &Path, vectors: Vectors) -> Result<Built, String> {
    let examples = super::workspace().join("examples");
    let built = program(toolchain, "arenagrad-web", out, vectors)?;
    copy(&examples.join("web/page"), out)?;
    copy(&examples.join("data/mnist"), &out.join("data"))?;
    copy_file(&examples.join("data/SOURCE.md"), &out.join("data/SOURCE.md"))?;
    Ok(built)
}

/// Builds what runs the operators' cases, with the cases.
pub(super) fn cases(toolchain: &Toolchain, out: &Path, vectors: Vectors) -> Result<Built, String> {
    let built = program(toolchain, "arenagrad-oracle", out, vectors)?;
    let folder = super::workspace().join("crates/runtime/tests/oracle");
    let mut lines = String::new();
    for path in sorted(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        lines += &fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    write(&out.join("cases.jsonl"), lines.as_bytes())?;
    write(
        &out.join("index.html"),
        b"<!doctype html><meta charset=\"utf-8\"><title>Cases</title><link rel=\"icon\" href=\"data:,\">",
    )?;
    Ok(built)
}

/// Builds a package as a program for pages, with the scripts that call it.
fn program(toolchain: &Toolchain, package: &str, out: &Path, vectors: Vectors) -> Result<Built, String> {
    let target = super::workspace().join(toolchain::BUILT);
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(super::workspace())
        .args([
            "rustc",
            "--package",
            package,
            "--lib",
            "--crate-type",
            "cdylib",
            "--profile",
            "web",
            "--target",
            TARGET,
        ])
        .args(toolchain.arguments())
        .arg("--target-dir")
        .arg(&target);
    if vectors == Vectors::Of128Bits {
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", format!("-Ctarget-feature=+{VECTORS}"));
    }
    run(&mut cargo)?;
    let name = package.replace('-', "_");
    let wasm = target.join(TARGET).join("web").join(format!("{name}.wasm"));
    let linked = fs::read(&wasm).map_err(|error| format!("{}: {error}", wasm.display()))?;
    let instructions = super::instructions::of(&linked)?;
    println!("web: {package} may have {}", instructions.join(", "));
    if vectors == Vectors::Of128Bits && !instructions.contains(&VECTORS) {
        return Err(format!("{package} was to have {VECTORS}, and has not"));
    }
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let mut bind = Command::new(bindgen()?);
    bind.args([
        "--target",
        "web",
        "--no-typescript",
        "--remove-name-section",
        "--remove-producers-section",
        "--out-dir",
    ])
    .arg(out)
    .arg(&wasm);
    run(&mut bind)?;
    let bound = out.join(format!("{name}_bg.wasm"));
    let bytes = fs::read(&bound).map_err(|error| format!("{}: {error}", bound.display()))?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let packed = packed.write_all(&bytes).and_then(|()| packed.finish());
    let packed = packed.map_err(|error| format!("{} cannot be packed: {error}", bound.display()))?;
    Ok(Built { bytes: bytes.len() as u64, gzipped: packed.len() as u64 })
}

/// The command that writes the scripts, in the version of the library that the program is built with: each knows its own format alone.
/// It is installed into the target folder if it is not there.
fn bindgen() -> Result<PathBuf, String> {
    let lock = super::workspace().join("Cargo.lock");
    let text = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let version = locked(&text, "wasm-bindgen").ok_or("Cargo.lock has no wasm-bindgen")?;
    let folder = super::workspace().join("target/wasm-bindgen");
    let command = folder.join("bin/wasm-bindgen").with_extension(std::env::consts::EXE_EXTENSION);
    let present = Command::new(&command).arg("--version").output();
    let is = |printed: &[u8]| String::from_utf8_lossy(printed).split_whitespace().nth(1) == Some(version);
    if present.is_ok_and(|output| is(&output.stdout)) {
        return Ok(command);
    }
    println!("web: installing the command of wasm-bindgen {version} into {}", folder.display());
    let install = |locked: &[&str]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
        cargo.args(["install", "wasm-bindgen-cli", "--force", "--version", version, "--root"]).arg(&folder);
        run(cargo.args(locked))
    };
    // With the dependencies that its makers have tried it with. A mirror of the registry may not have all of them yet.
    install(&["--locked"]).or_else(|refusal| {
        println!("web: {refusal}; again with the dependencies that there are");
        install(&[])
    })?;
    Ok(command)
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    for path in sorted(from)?.into_iter().filter(|path| path.is_file()) {
        copy_file(&path, &to.join(path.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write(to, &bytes)
}

fn write(to: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(to, bytes).map_err(|error| format!("{}: {error}", to.display()))
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::locked;

    #[test]
    fn the_version_of_a_locked_package_is_found_by_its_whole_name() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked(lock, "wasm"), None);
    }
}
