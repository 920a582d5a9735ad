//! The device that tests of this folder run on.

use super::{GpuDevice, Selector};
use crate::error::Error;

/// The device, or nothing where there is no adapter, which a run that requires one does not pass.
pub(super) fn present(opened: Result<GpuDevice, Error>) -> Option<GpuDevice> {
    match opened {
        Ok(device) => Some(device),
        Err(error @ Error::NoAdapter { .. }) => {
            let required = std::env::var("ARENAGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "ARENAGRAD_REQUIRE_GPU is set: {error}");
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The device of the wanted adapter.
pub(super) fn open_now(selector: &Selector) -> Result<GpuDevice, Error> {
    pollster::block_on(GpuDevice::open(selector))
}
