//! Programs in a group: the launcher is found or installed, and told what to run.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::slow::Link;
use crate::debian::{install, is_root, may_install};

/// Debian's packages of Open MPI: the launcher, and the library that programs load.
const PACKAGES: [&str; 2] = ["openmpi-bin", "libopenmpi3"];

/// What the launcher calls itself. Where it is missing, this process is root and Debian's package manager is there, Open MPI is installed
/// first, which is said.
pub(crate) fn find_or_install() -> Result<String, String> {
    if let Some(version) = version() {
        return Ok(version);
    }
    let packages = PACKAGES.join(" ");
    if !may_install() {
        return Err(format!("mpirun was not found; install Open MPI (on Debian, as root: apt-get install {packages})"));
    }
    println!("distributed: mpirun was not found: installing Debian's {packages}");
    install(&PACKAGES)?;
    version().ok_or_else(|| format!("mpirun was not found even with {packages} installed"))
}

fn version() -> Option<String> {
    let output = Command::new("mpirun").arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

/// What starts a group on this machine, before the number of processes. The survivors of a process that died go on, to tell of it; more
/// processes than cores are allowed, and offer theirs to one another while they wait.
const LAUNCHER: [&str; 5] = ["--enable-recovery", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"];

/// How long a run may take: one that hangs, which is what must not be, would otherwise hold up whoever waits for it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A run of the example.
pub(super) struct Launch {
    command: Command,
}

impl Launch {
    /// In one process without MPI.
    pub(super) fn alone(arguments: &[&str]) -> Launch {
        let mut command = Command::new(Place::here().example());
        command.arg("--alone").args(arguments);
        Launch { command }
    }

    /// In so many processes.
    pub(super) fn group(ranks: usize, arguments: &[&str]) -> Launch {
        let mut command = Command::new("mpirun");
        command.args(LAUNCHER).args(["-n", &ranks.to_string()]).arg(Place::here().example()).args(arguments);
        Launch { command }
    }

    /// In a process at each end of a link.
    pub(super) fn between(link: &Link, arguments: &[&str]) -> Launch {
        let mut command = link.launcher();
        command.arg(Place::here().example()).args(arguments);
        Launch { command }
    }

    /// With so many threads a process.
    pub(super) fn threads(mut self, threads: usize) -> Launch {
        self.command.env("RAYON_NUM_THREADS", threads.to_string());
        self
    }

    /// What it printed; an error if it failed.
    pub(super) fn run(self) -> Result<String, String> {
        let output = self.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(format!("the example failed ({}):\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
    }

    pub(super) fn output(mut self) -> Result<Output, String> {
        if is_root() {
            // Open MPI asks twice whether root means it.
            self.command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        }
        let program = self.command.get_program().to_owned();
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            self.command.spawn().map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
        let begun = Instant::now();
        let (streams, errors) = (child.stdout.take(), child.stderr.take());
        let read = |stream: Option<Box<dyn Read + Send>>| {
            thread::spawn(move || {
                let mut text = Vec::new();
                stream.map(|mut stream| stream.read_to_end(&mut text));
                text
            })
        };
        let stdout = read(streams.map(|stream| Box::new(stream) as _));
        let stderr = read(errors.map(|stream| Box::new(stream) as _));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begun.elapsed() > PATIENCE => {
                    // The launcher, told to end, ends its processes: it is not killed.
                    let _ = Command::new("kill").arg(child.id().to_string()).status();
                    let _ = child.wait();
                    return Err(format!("{} did not end in {} s", program.display(), PATIENCE.as_secs()));
                }
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(format!("{} cannot be waited for: {error}", program.display())),
            }
        };
        let text = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
        Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
    }
}

/// Has `cargo` build the example in the profile that this program was built in: what lies beside it may be of other sources, or not be there.
pub(super) fn build() -> Result<(), String> {
    let Place { target, profile } = Place::here();
    // In the features that a build of the whole workspace has, so that what the tests have built serves.
    let arguments = ["build", "--workspace", "--example", "distributed", "--profile", &profile, "--target-dir"];
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(arguments).arg(target).stdin(Stdio::null());
    let status = command.status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the example could not be built ({status}): cargo {} ..", arguments.join(" "))),
        Err(error) => Err(format!("cargo cannot be run: {error}")),
    }
}

/// Where this program lies: `cargo`'s folder, and the profile.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    target: PathBuf,
    profile: String,
}

impl Place {
    fn here() -> Place {
        Place::of(&std::env::current_exe().unwrap_or_default())
    }

    fn of(program: &Path) -> Place {
        let folder = program.parent().unwrap_or(Path::new(""));
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // The only profile whose folder has another name.
        let profile = if name == "debug" { "dev".to_owned() } else { name };
        Place { target: folder.parent().unwrap_or(Path::new("")).to_owned(), profile }
    }

    fn example(&self) -> OsString {
        let folder = if self.profile == "dev" { "debug" } else { &self.profile };
        let name = self.target.join(folder).join("examples").join("distributed");
        name.with_extension(std::env::consts::EXE_EXTENSION).into_os_string()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Place;

    #[test]
    fn the_example_is_built_and_run_where_this_program_was() {
        for (folder, profile) in [("debug", "dev"), ("release", "release"), ("bench", "bench")] {
            let place = Place::of(&Path::new("target").join(folder).join("xtask"));
            assert_eq!(place, Place { target: "target".into(), profile: profile.to_owned() });
            let example = Path::new("target").join(folder).join("examples").join("distributed");
            let expected = example.with_extension(std::env::consts::EXE_EXTENSION);
            assert_eq!(Path::new(&place.example()), expected);
        }
    }
}
