//! `cargo xtask adapters`: what wgpu finds on this machine, a line an adapter: its name, kind, interface, driver, and whether
//! its compiler takes floating-point arithmetic as it is written.

use std::process::ExitCode;

use arenagrad::Device;

/// Prints the adapters; the code is 1 if there are none.
pub(crate) fn run() -> ExitCode {
    let adapters = Device::adapters();
    if adapters.is_empty() {
        eprintln!("adapters: none was found");
        return ExitCode::FAILURE;
    }
    for adapter in adapters {
        println!("{adapter}, {}: {}", adapter.driver, adapter.arithmetic);
    }
    ExitCode::SUCCESS
}
