//! Programs in a group: the launcher is found or installed, and told what to run.

use std::ffi::OsString;
use std::io::Read;
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
        let mut command = Command::new(example());
        command.arg("--alone").args(arguments);
        Launch { command }
    }

    /// In so many processes.
    pub(super) fn group(ranks: usize, arguments: &[&str]) -> Launch {
        let mut command = Command::new("mpirun");
        command.args(LAUNCHER).args(["-n", &ranks.to_string()]).arg(example()).args(arguments);
        Launch { command }
    }

    /// In a process at each end of a link.
    pub(super) fn between(link: &Link, arguments: &[&str]) -> Launch {
        let mut command = link.launcher();
        command.arg(example()).args(arguments);
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
        let mut child = self.command.spawn().map_err(|error| {
            format!("{} cannot be run: {error}; build it: cargo build --workspace --examples", program.display())
        })?;
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

/// The example, beside this program.
fn example() -> OsString {
    let here = std::env::current_exe().unwrap_or_default();
    let name = here.with_file_name("examples").join("distributed");
    name.with_extension(std::env::consts::EXE_EXTENSION).into_os_string()
}
