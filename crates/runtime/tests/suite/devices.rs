//! The devices that suites run on: the CPU, and the first adapter if this machine has one.
//!
//! Without an adapter the tests of the GPU are skipped, and said to be, on the standard error that the test harness does
//! not capture. With `ARENAGRAD_REQUIRE_GPU=1` in the environment they fail instead.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use arenagrad::{Device, Error};

/// The tests that went without a GPU. The harness gives each test's thread its name.
static SKIPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The first adapter, or `None` after saying how many GPU tests this program has skipped so far.
pub fn gpu() -> Option<Device> {
    match Device::gpu() {
        Ok(device) => Some(device),
        Err(Error::NoAdapter { reason }) => {
            let required = std::env::var("ARENAGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "ARENAGRAD_REQUIRE_GPU is set, but no adapter was found: {reason}");
            let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
            if skipped.insert(std::thread::current().name().unwrap_or("main").to_owned()) {
                // In one piece, for the harness writes there too. If its standard error is closed, the notice is lost, not
                // the test.
                let notice = format!("skipped: {} GPU tests, no adapter\n", skipped.len());
                let _ = std::io::stderr().write_all(notice.as_bytes());
            }
            None
        }
        Err(error) => panic!("the adapter does not open: {error}"),
    }
}

/// The CPU, and the first adapter if there is one.
pub fn devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gpu()).collect()
}
