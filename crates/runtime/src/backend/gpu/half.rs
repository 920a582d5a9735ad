//! Whether products of a device read operands of f16 as WGSL's `f16`.
//!
//! An adapter may have the type. Whether it widens every number of it right is tried before it is relied on, the first time that a large
//! product reads f16: one product with the identity gives all finite numbers back, the subnormal ones too, which an adapter may take for 0. A
//! device that fails reads words and takes them apart by integers, as those without the type do, and says why.

use arenagrad_graph::F16;
use arenagrad_kernels::wgsl::AdapterProfile;
use arenagrad_kernels::{Axes, Axis, DType, Elements, Kernel, Matrices, ProductExtents};

use super::cooperative;
use super::device::GpuDevice;
use super::trial::results_of;
use super::variables::variable;
use crate::device::{CooperativeSupport, F16Support};
use crate::error::Error;

/// With `never` as its value, no adapter is taken to have the type, so that both ways can be compared on one.
const VARIABLE: &str = "ARENAGRAD_ADAPTER_F16";

/// How a device reads f16, and what lowering must know of it then.
pub(super) struct HalfReads {
    pub(super) support: F16Support,
    pub(super) cooperative: CooperativeSupport,
    pub(super) profile: AdapterProfile,
}

impl HalfReads {
    /// Finds out, which takes a dispatch where the adapter has the type.
    pub(super) fn find(device: &GpuDevice) -> HalfReads {
        let plain = *device.profile();
        let emulated = |reason: String| HalfReads {
            cooperative: CooperativeSupport::Unused { reason: "f16 is not read as such".to_owned() },
            support: F16Support::Emulated { reason },
            profile: plain,
        };
        if variable(VARIABLE).is_some_and(|value| value == "never") {
            return emulated(format!("{VARIABLE} is \"never\""));
        }
        if !device.has_f16() {
            return emulated("the adapter does not have the type f16 in shaders".to_owned());
        }
        let profile = AdapterProfile { reads_f16: true, ..plain };
        match differing(device, &profile) {
            Ok(None) => {
                let (cooperative, profile) = cooperative::find(device, profile);
                HalfReads { support: F16Support::Native, cooperative, profile }
            }
            Ok(Some((number, found))) => {
                emulated(format!("the adapter has the type f16 in shaders, and reads {number:e} as {found:e}"))
            }
            Err(error) => {
                emulated(format!("the adapter has the type f16 in shaders, and a trial of it failed: {error}"))
            }
        }
    }
}

/// The product of operands of f16 as a device with that profile computes it.
pub(super) fn product(
    device: &GpuDevice,
    profile: &AdapterProfile,
    [lhs, rhs]: [&Matrices; 2],
    operands: [Vec<F16>; 2],
) -> Result<Vec<f64>, Error> {
    let results = ProductExtents::new(lhs, rhs).results();
    let kernel =
        Kernel::MatMul { dtype: DType::F32, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue: None };
    results_of(device, &kernel, profile, &operands.map(Elements::from), results)
}

/// The first finite number of f16 that such a product does not give back, and what it gives.
fn differing(device: &GpuDevice, profile: &AdapterProfile) -> Result<Option<(f32, f32)>, Error> {
    const WIDTH: usize = 4;
    let numbers: Vec<F16> = (0..=u16::MAX).map(F16::from_bits).filter(|number| number.to_f32().is_finite()).collect();
    let rows = numbers.len() / WIDTH;
    let identity = (0..WIDTH * WIDTH).map(|place| if place % (WIDTH + 1) == 0 { 1.0 } else { 0.0 });
    let identity: Vec<F16> = identity.map(F16::from_f64).collect();
    let matrix = |rows: usize| {
        let axis = |extent: usize, stride: isize| Axes::new([Axis { extent, stride }]);
        Matrices::single(0, axis(rows, WIDTH as isize), axis(WIDTH, 1))
    };
    let found = product(device, profile, [&matrix(rows), &matrix(WIDTH)], [numbers.clone(), identity])?;
    assert_eq!(found.len(), numbers.len(), "a run gives what was asked for");
    let pairs = numbers.iter().map(|number| number.to_f32()).zip(found.iter().map(|&found| found as f32));
    // A zero of either sign is one.
    Ok(pairs.into_iter().find(|(number, found)| number != found))
}

#[cfg(test)]
mod tests {
    use arenagrad_kernels::{Axes, Axis, DType, Kernel, Matrices, StorageType, Stored};

    use super::super::nest_tests::device;
    use super::{HalfReads, differing};
    use crate::device::F16Support;

    #[test]
    fn what_is_relied_on_was_tried() {
        let Some(device) = device() else { return };
        let HalfReads { support, profile, .. } = HalfReads::find(&device);
        println!("{support:?}");
        assert_eq!(profile.reads_f16, support == F16Support::Native);
        if profile.reads_f16 {
            assert_eq!(differing(&device, &profile).unwrap(), None);
        }
        // The way that needs nothing gives all numbers back on every adapter.
        assert_eq!(differing(&device, device.profile()).unwrap(), None);
    }

    #[test]
    fn only_what_reads_f16_is_lowered_for_it() {
        let Some(device) = device() else { return };
        let reads = |side: usize, inputs| {
            let axis = |stride: isize| Axes::new([Axis { extent: side, stride }]);
            let matrix = || Matrices::single(0, axis(side as isize), axis(1));
            let kernel = Kernel::MatMul {
                dtype: DType::F32,
                lhs: matrix(),
                rhs: matrix(),
                padding: [None, None],
                epilogue: None,
            };
            device.profile_for(&kernel, Stored { inputs, outputs: &[StorageType::F16] }).reads_f16
        };
        assert!(!reads(256, &[StorageType::F32, StorageType::Bf16]));
        assert!(!reads(16, &[StorageType::F32, StorageType::F16]), "a small product may be joined");
        assert_eq!(reads(256, &[StorageType::F32, StorageType::F16]), device.f16_support() == &F16Support::Native);
    }
}
