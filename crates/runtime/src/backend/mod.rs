//! What a plan runs on: host memory, or the buffers of a wgpu device. Both run the same plan, and neither knows the other.

pub(crate) mod cpu;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
