//! Plans on any wgpu device: an adapter is chosen and opened, kernels are lowered to WGSL and made into pipelines, and
//! a run is one command buffer in one submit, or several where it is large.
//!
//! - [`adapter`] lists the adapters of this machine and chooses one; each is opened once a process.
//! - [`device`] is an opened adapter: what it can do, whether it still lives, how errors come back.
//! - [`buffers`] holds the tensors of one session in storage buffers.
//! - [`uploads`] brings what the host writes there, and sees that little of it is on its way.
//! - [`cut`] makes kernels over parts, where whole ones would bind more at once than the adapter allows.
//! - [`pipelines`] compiles modules, once for each text and access pattern, for all sessions of a device.
//! - [`spirv`] makes a module one whose arithmetic a driver may not regroup, where `float_controls` finds that the driver can be told so.
//! - [`lowering`] makes dispatches of the kernels of steps.
//! - [`launch`] says what a run asks of the device: the dispatches of the steps, small ones joined.
//! - `half` tries whether the adapter reads f16 right, and `cooperative` whether it multiplies matrices of it right; `subgroups`
//!   tries whether invocations may exchange words within one.
//! - [`encode`] makes the steps of a plan into something that is recorded and submitted as often as wanted.
//! - [`rounds`] runs the bodies of loops, round after round.
//! - [`readback`] brings results to the host, [`submitted`] and [`answer`] say when, and [`clock`] how long it took.
//! - `profiler` times the steps of a plan one by one, `trial` runs one kernel in several ways, and `peak` what a device is held against. They wait, which a
//!   page in a browser must not, and are not part of one.
//!
//! Invariants: no call panics or hangs because of what a driver did (a lost device, a refused allocation and a broken
//! module are typed errors, and but for the first the device stays usable); a run allocates no buffer, pipeline or bind
//! group; elements take one 32-bit word each, truth values included, but for those stored in 16 or 8 bits, of which two or
//! four share one, and those of 64, which are two; so there is no `f64` here.
//!
//! Nothing here knows of graphs, plans or parameters: steps come with their kernels and with the numbers of their
//! buffers.

mod adapter;
mod answer;
#[cfg(test)]
mod attention_tests;
mod buffers;
#[cfg(test)]
mod choice_tests;
mod clock;
#[cfg(not(target_family = "wasm"))]
mod cooperative;
mod cut;
#[cfg(test)]
mod cut_tests;
mod device;
mod encode;
#[cfg(not(target_family = "wasm"))]
mod float_controls;
#[cfg(not(target_family = "wasm"))]
mod half;
#[cfg(test)]
mod join_tests;
mod launch;
mod lowering;
#[cfg(test)]
mod nest_tests;
#[cfg(not(target_family = "wasm"))]
mod peak;
mod pipelines;
#[cfg(test)]
mod product_tests;
#[cfg(not(target_family = "wasm"))]
mod profiler;
mod readback;
mod rounds;
#[cfg(any(target_family = "wasm", test))]
mod scopes;
mod settings;
#[cfg(not(target_family = "wasm"))]
mod spirv;
#[cfg(not(target_family = "wasm"))]
mod subgroups;
mod submitted;
#[cfg(test)]
mod test_device;
#[cfg(test)]
mod tests;
#[cfg(not(target_family = "wasm"))]
mod trial;
mod uploads;
mod variables;
#[cfg(test)]
mod view_tests;

pub(crate) use adapter::Selector;
pub(crate) use buffers::{GpuMemory, MemoryMark, own_bytes};
pub(crate) use cut::{Bindable, CutLimits, cut};
pub(crate) use device::GpuDevice;
pub(crate) use encode::GpuExecutable;
pub(crate) use lowering::{ResidentStep, kept_bytes};
#[cfg(not(target_family = "wasm"))]
pub(crate) use peak::GpuPeak;
#[cfg(not(target_family = "wasm"))]
pub(crate) use profiler::{Profiler, Timed};
pub(crate) use readback::{Arrival, Readback};
pub(crate) use rounds::{Round, Rounds};
#[cfg(not(target_family = "wasm"))]
pub(crate) use trial::GpuTrial;
#[cfg(target_family = "wasm")]
pub(crate) use variables::set_variable;
