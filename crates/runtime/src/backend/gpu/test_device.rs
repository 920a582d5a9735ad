//! The device that tests of this folder run on.

use super::GpuDevice;
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
