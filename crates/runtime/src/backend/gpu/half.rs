//! Whether products of a device read operands of f16 as WGSL's `f16`.
//!
//! An adapter may have the type. Whether it widens every number of it right is tried before it is relied on, the first time that a large
//! product reads f16: one product with the identity gives all finite numbers back, the subnormal ones too, which an adapter may take for 0. A
//! device that fails reads words and takes them apart by integers, as those without the type do, and says why.

use arenagrad_graph::F16;
use arenagrad_kernels::wgsl::{self, AdapterProfile};
use arenagrad_kernels::{Axes, Axis, DType, Elements, Kernel, Matrices, StorageType, Stored};

use super::device::GpuDevice;
use super::encode::LoweredStep;
use super::variables::variable;
use super::{GpuExecutable, GpuMemory, Readback};
use crate::device::F16Support;
use crate::error::Error;

/// With `never` as its value, no adapter is taken to have the type, so that both ways can be compared on one.
const VARIABLE: &str = "ARENAGRAD_ADAPTER_F16";

/// How a device reads f16, and what lowering must know of it then.
pub(super) struct HalfReads {
    pub(super) support: F16Support,
    pub(super) profile: AdapterProfile,
}

impl HalfReads {
    /// Finds out, which takes a dispatch where the adapter has the type.
    pub(super) fn find(device: &GpuDevice) -> HalfReads {
        let plain = *device.profile();
        let emulated = |reason: String| HalfReads { support: F16Support::Emulated { reason }, profile: plain };
        if variable(VARIABLE).is_some_and(|value| value == "never") {
            return emulated(format!("{VARIABLE} is \"never\""));
        }
        if !device.has_f16() {
            return emulated("the adapter does not have the type f16 in shaders".to_owned());
        }
        let profile = AdapterProfile { reads_f16: true, ..plain };
        match differing(device, &profile) {
            Ok(None) => HalfReads { support: F16Support::Native, profile },
            Ok(Some((number, found))) => {
                emulated(format!("the adapter has the type f16 in shaders, and reads {number:e} as {found:e}"))
            }
            Err(error) => {
                emulated(format!("the adapter has the type f16 in shaders, and a trial of it failed: {error}"))
            }
        }
    }
}

/// The first finite number of f16 that such a product does not give back, and what it gives.
fn differing(device: &GpuDevice, profile: &AdapterProfile) -> Result<Option<(f32, f32)>, Error> {
    const WIDTH: usize = 4;
    let what = "a trial of f16";
    let numbers: Vec<F16> = (0..=u16::MAX).map(F16::from_bits).filter(|number| number.to_f32().is_finite()).collect();
    let rows = numbers.len() / WIDTH;
    let identity = (0..WIDTH * WIDTH).map(|place| if place % (WIDTH + 1) == 0 { 1.0 } else { 0.0 });
    let identity = identity.map(F16::from_f64).collect();
    let matrix = |rows: usize| {
        let axis = |extent: usize, stride: isize| Axes::new([Axis { extent, stride }]);
        Matrices::single(0, axis(rows, WIDTH as isize), axis(WIDTH, 1))
    };
    let kernel = Kernel::MatMul { dtype: DType::F32, lhs: matrix(rows), rhs: matrix(WIDTH), epilogue: None };
    let mut memory = GpuMemory::new(device);
    let inputs = [
        memory.allocate(what, StorageType::F16, numbers.len())?,
        memory.allocate(what, StorageType::F16, WIDTH * WIDTH)?,
    ];
    let outputs = [memory.allocate(what, StorageType::F32, numbers.len())?];
    let stored = Stored { inputs: &[StorageType::F16; 2], outputs: &[StorageType::F32] };
    let unsupported = |error: wgsl::LowerError| Error::Unsupported { what: what.to_owned(), reason: error.to_string() };
    let lowered = wgsl::lower_step(&kernel, &inputs, stored, profile).map_err(unsupported)?;
    let steps = [LoweredStep { lowered, inputs: &inputs, outputs: &outputs, what }];
    let reads = [Readback { index: outputs[0], storage: StorageType::F32, elements: numbers.len() }];
    let mut executable = GpuExecutable::from_lowered(device, &mut memory, &steps, &reads)?;
    memory.write(inputs[0], &Elements::F16(numbers.clone()))?;
    memory.write(inputs[1], &Elements::F16(identity))?;
    let results = executable.start(&memory)?.wait()?;
    let found = results.first().map(Elements::to_f64_vec).unwrap_or_default();
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
        let HalfReads { support, profile } = HalfReads::find(&device);
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
            let kernel = Kernel::MatMul { dtype: DType::F32, lhs: matrix(), rhs: matrix(), epilogue: None };
            device.profile_for(&kernel, Stored { inputs, outputs: &[StorageType::F16] }).reads_f16
        };
        assert!(!reads(256, &[StorageType::F32, StorageType::Bf16]));
        assert!(!reads(16, &[StorageType::F32, StorageType::F16]), "a small product may be joined");
        assert_eq!(reads(256, &[StorageType::F32, StorageType::F16]), device.f16_support() == &F16Support::Native);
    }
}
