//! The machine that a table of times is of.

use std::fmt;
use std::process::Command;

use arenagrad::{AdapterDescription, AdapterKind};

/// The processor, and the adapter that the GPU's column is of.
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) threads: usize,
    pub(super) adapter: Option<AdapterDescription>,
}

impl Machine {
    /// This machine. An adapter that is there but cannot be opened is an error.
    pub(super) fn find() -> Result<Machine, String> {
        let gpu = arenagrad_benches::gpu().map_err(|error| error.to_string())?;
        Ok(Machine {
            processor: processor().unwrap_or_else(|| format!("a processor of kind {}", std::env::consts::ARCH)),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            adapter: gpu.and_then(|device| device.adapter().cloned()),
        })
    }

    /// Whether the adapter is the processor itself, playing a GPU.
    pub(super) fn is_software(&self) -> bool {
        self.adapter.as_ref().is_some_and(|adapter| adapter.kind == AdapterKind::Software)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.threads == 1 { "" } else { "s" };
        writeln!(f, "CPU: {}, {} thread{plural}", self.processor, self.threads)?;
        match &self.adapter {
            None => writeln!(f, "GPU: no adapter"),
            Some(adapter) => {
                writeln!(f, "GPU: {adapter}, driver {}", adapter.driver)?;
                if self.is_software() {
                    let shows = "its column shows that the GPU path works, not how fast a GPU is";
                    writeln!(f, "     a software adapter is no GPU: {shows}")?;
                }
                Ok(())
            }
        }
    }
}

/// The processor's name, where the system tells it.
fn processor() -> Option<String> {
    let name = if cfg!(target_os = "linux") {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':')?.1.to_owned()
    } else if cfg!(target_os = "macos") {
        let output = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?
    } else {
        std::env::var("PROCESSOR_IDENTIFIER").ok()?
    };
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
