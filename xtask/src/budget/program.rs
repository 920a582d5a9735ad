//! Programs outside the workspace, built from nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpu_time::{Taken, Watch};

/// What is built.
#[derive(Clone, Copy)]
pub(super) enum Program {
    /// The example `xor`, with the default features.
    WithGpu,
    /// The same without default features.
    WithoutGpu,
    /// A program that finds an adapter with the features of wgpu that arenagrad uses.
    WgpuAlone,
}

/// A program that has been built.
pub(super) struct Built {
    pub(super) taken: Taken,
    /// Its size, with its symbols stripped.
    pub(super) bytes: u64,
}

const EXAMPLE: &str = include_str!("../../../examples/xor.rs");

const WGPU_PROGRAM: &str = r#"fn main() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
    println!("{:?}", adapter.map(|adapter| adapter.get_info()));
}
"#;

impl Program {
    pub(super) const fn described(self) -> &'static str {
        match self {
            Program::WithGpu => "the example xor",
            Program::WithoutGpu => "the example xor without default features",
            Program::WgpuAlone => "a program on wgpu alone",
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Program::WithGpu | Program::WithoutGpu => EXAMPLE,
            Program::WgpuAlone => WGPU_PROGRAM,
        }
    }
}

/// Builds a program from nothing in a folder of its own, which is removed again.
pub(super) fn build(program: Program) -> Result<Built, String> {
    let folder = std::env::temp_dir().join(format!("arenagrad-budget-{}", std::process::id()));
    let built = build_in(&folder, program);
    // What is left of it does no harm but to the disk.
    let _ = fs::remove_dir_all(&folder);
    built
}

fn build_in(folder: &Path, program: Program) -> Result<Built, String> {
    let write = |path: &str, text: &str| {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let workspace = workspace();
    // The versions of the workspace, so that both programs build the same wgpu, and nothing is looked up.
    write("Cargo.lock", &text(&workspace.join("Cargo.lock"))?)?;
    write("Cargo.toml", &manifest(&workspace, program)?)?;
    write("src/main.rs", program.source())?;
    let mut build = cargo();
    build.args(["build", "--release", "--quiet"]).current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    let watch = Watch::start();
    succeed(&mut build)?;
    let taken = watch.taken();
    let file = folder.join("target/release/program").with_extension(std::env::consts::EXE_EXTENSION);
    let bytes = fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    Ok(Built { taken, bytes })
}

/// The manifest of a package that is its own workspace.
fn manifest(workspace: &Path, program: Program) -> Result<String, String> {
    let arenagrad = |features: &str| {
        let folder = workspace.join("crates/runtime").display().to_string();
        format!("arenagrad = {{ path = {folder:?}{features} }}\n")
    };
    let dependencies = match program {
        Program::WithGpu => arenagrad(""),
        Program::WithoutGpu => arenagrad(", default-features = false"),
        Program::WgpuAlone => {
            // As the workspace asks for them, with the same features.
            let manifest = text(&workspace.join("Cargo.toml"))?;
            let of =
                |name: &str| manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).map(str::to_owned);
            let (wgpu, pollster) = of("wgpu").zip(of("pollster")).ok_or("the workspace names no wgpu")?;
            format!("{wgpu}\n{pollster}\n")
        }
    };
    Ok(format!(
        "[package]\nname = \"program\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\
         [profile.release]\nstrip = true\n\n[workspace]\n"
    ))
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The folder of this workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Cargo as it was called; by hand, the one on the path.
pub(super) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed ({status})")) }
}
