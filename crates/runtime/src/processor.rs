//! The name of this machine's processor.

use std::sync::OnceLock;

/// The processor's name where the system tells it, else its architecture.
pub(crate) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| told().unwrap_or_else(|| format!("a processor of kind {}", std::env::consts::ARCH)))
}

fn told() -> Option<String> {
    let name = if cfg!(target_os = "linux") {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':')?.1.to_owned()
    } else if cfg!(target_os = "macos") {
        let output = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?
    } else {
        std::env::var("PROCESSOR_IDENTIFIER").ok()?
    };
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
