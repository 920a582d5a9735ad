//! The devices that suites run on: the CPU, and the first adapter if this machine has one.
//!
//! Without an adapter the tests of the GPU are skipped, and said to be, on the standard error that the test harness does
//! not capture. With `ARENAGRAD_REQUIRE_GPU=1` in the environment they fail instead.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use arenagrad::{CooperativeSupport, DType, Device, Error, Graph, Session, Tensor};

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

/// The CPU with f64, and every device with f32.
pub fn everywhere() -> Vec<(Device, DType)> {
    let mut all = vec![(Device::cpu(), DType::F64)];
    all.extend(devices().into_iter().map(|device| (device, DType::F32)));
    all
}

/// Whether the device takes numbers of f32 below 2^-126 for 0 as it adds, as WGSL allows an adapter.
pub fn flushes_subnormals(device: &Device) -> bool {
    let graph = Graph::new();
    let x = graph.input("x", []);
    let mut session = Session::evaluate(&graph, &[x + x], device).unwrap();
    session.run(&[("x", &Tensor::scalar(1e-40f32))]).unwrap()[0].item().unwrap() == 0.0
}

/// Whether the device multiplies matrices of f16 by units for that.
pub fn uses_matrix_units(device: &Device) -> bool {
    matches!(device.cooperative_support(), Some(CooperativeSupport::Used { .. }))
}
