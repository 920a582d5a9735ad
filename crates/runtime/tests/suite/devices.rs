//! The devices that suites run on: the CPU, and the first adapter if this machine has one.
//!
//! Without an adapter the tests of the GPU are skipped, and said to be, on the standard error that the test harness does
//! not capture. With `ARENAGRAD_REQUIRE_GPU=1` in the environment they fail instead.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use arenagrad::{Device, Error};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// The first adapter, or `None` after saying how many GPU tests this program has skipped so far.
pub fn gpu() -> Option<Device> {
    match Device::gpu() {
        Ok(device) => Some(device),
        Err(Error::NoAdapter { reason }) => {
            let required = std::env::var("ARENAGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "ARENAGRAD_REQUIRE_GPU is set, but no adapter was found: {reason}");
            let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
            // A harness that has closed its standard error loses the notice, not the test.
            let _ = writeln!(std::io::stderr(), "skipped: {skipped} GPU tests, no adapter");
            None
        }
        Err(error) => panic!("the adapter does not open: {error}"),
    }
}

/// The CPU, and the first adapter if there is one.
pub fn devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gpu()).collect()
}
