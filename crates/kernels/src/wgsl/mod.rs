//! Lowering of kernels to WGSL: which modules a device must run, over which bindings, with how many workgroups.
//!
//! Everything here is text and numbers: no wgpu type, no device. A [`Lowered`] kernel is a list of [`Dispatch`]es that run
//! in order, each seeing what the ones before it wrote. Shapes travel as parameters in a uniform buffer, so kernels that
//! differ only in extents share a module (and a device's pipeline).

mod argsort;
mod assemble;
mod attention;
mod cumulative;
mod emit;
mod expressions;
mod functions;
mod indexing;
mod join;
mod lower;
mod matmul;
mod module;
mod nest;
mod output;
mod peak;
mod positions;
mod radix;
mod reduce;
mod scatter;
mod storage;
mod tiles;

use std::sync::Arc;

pub use join::{Joined, Joiner, Joining, Location};
pub use lower::{lower, lower_step, lower_step_as};
pub(crate) use module::WORKGROUP as ELEMENTWISE_INVOCATIONS;
pub use peak::{Peak, peak};
pub(crate) use tiles::{ROW_TILES as REGISTER_TILES, usual_tile};

use crate::choice::Choice;
use crate::kernel::Stored;
use storage::Narrow;

/// What lowering must know of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AdapterProfile {
    /// Whether threads are cheap and wide, or a few processor cores play a GPU.
    pub class: AdapterClass,
    /// The most workgroups along one dimension of a dispatch; 65,535 unless the adapter says more.
    pub max_workgroups_per_dimension: u32,
    /// The most loop iterations that one invocation may run in all: Mesa 22's lavapipe silently stops past 65,535.
    pub max_iterations_per_invocation: u32,
    /// Whether modules may read elements of f16 as WGSL's `f16`, which is on some adapters alone: products then do. Elsewhere words are taken
    /// apart by integers. The values are the same.
    pub reads_f16: bool,
    /// The matrices of f16 that the invocations of a subgroup multiply together, their sums in f32: products whose operands are both held in
    /// f16 are then computed so. Only where `reads_f16` is set too.
    pub cooperative: Option<CooperativeMatrix>,
    /// How many invocations every subgroup has, a power of two, where invocations may exchange words within one and lie in it in their order. The lanes
    /// of a row then do so; elsewhere by way of their workgroup's memory. The values are the same.
    pub subgroup: Option<u32>,
}

/// Square matrices that the invocations of a subgroup hold and multiply together, as units of graphics cards for that alone do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CooperativeMatrix {
    /// Rows and columns of each: 8 or 16.
    pub side: u32,
    /// How many invocations every subgroup has.
    pub subgroup: u32,
}

impl CooperativeMatrix {
    /// The most invocations that a workgroup of `matmul_cooperative` has with such subgroups.
    pub const fn most_invocations(self) -> u32 {
        self.subgroup.saturating_mul(tiles::MOST_SUBGROUPS as u32)
    }

    /// The most bytes of workgroup memory that it takes.
    pub const fn most_bytes(self) -> u32 {
        tiles::most_cooperative_bytes(self.side)
    }
}

/// The two kinds of adapter that kernels are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdapterClass {
    /// A software adapter such as lavapipe: wide register tiles, no barriers, no workgroup memory.
    Cpu,
    /// A GPU: many invocations, workgroup memory, coalesced access.
    Gpu,
}

/// A kernel as a device runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    /// What runs, in order.
    pub dispatches: Vec<Dispatch>,
    /// The sizes in 32-bit words of the buffers for intermediate results that [`Resource::Scratch`] names.
    pub scratch: Vec<usize>,
    /// What modules that are still to be made must know of the step's buffers.
    narrow: Narrow,
    /// How the kernel is computed.
    choice: Choice,
}

impl Lowered {
    /// These dispatches, over scratch of these sizes in words.
    pub fn new(dispatches: Vec<Dispatch>, scratch: Vec<usize>) -> Lowered {
        Lowered { dispatches, scratch, narrow: Narrow::default(), choice: Choice::Usual }
    }

    /// Nothing yet, of a step whose buffers hold their values so, to be computed so on such an adapter.
    fn over(stored: Stored<'_>, choice: Choice, profile: &AdapterProfile) -> Lowered {
        let narrow = Narrow::new(stored, profile.reads_f16);
        Lowered { dispatches: Vec::new(), scratch: Vec::new(), narrow, choice }
    }
}

/// One dispatch of one module.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The module: WGSL with one entry point `main`, its parameters in a uniform at `@group(0) @binding(0)` and the
    /// resources of `bindings` at bindings 1, 2, … in order.
    pub module: Arc<str>,
    /// Whether a compiler may join products and sums of the entry point itself into fused multiply-adds: only matrix
    /// products say so. All other arithmetic must be computed as it is written.
    pub contracts: bool,
    /// A short name for labels and traces, after the shader: `matmul_rows`, `elementwise`.
    pub label: &'static str,
    /// The storage buffers. No resource stands here twice.
    pub bindings: Vec<Binding>,
    /// The words of the uniform buffer; their number is a multiple of four and at least four.
    pub parameters: Vec<u32>,
    /// How many workgroups along x, y and z: each at least 1 and within the adapter's limit.
    pub workgroups: [u32; 3],
    /// Roughly how many simple operations it is, as [`crate::cost`] counts them. Work past a limit is several dispatches, so
    /// that each ends soon.
    pub operations: usize,
    /// What its invocations do, for one workgroup that does all of it.
    pub work: Work,
}

impl Dispatch {
    /// The module with bindings declared `read_write` that it only reads: those of `bindings` that `also` says it of.
    pub fn with_writable(&self, also: &[bool]) -> Arc<str> {
        assert_eq!(also.len(), self.bindings.len(), "each binding is spoken of");
        let mut module = Arc::clone(&self.module);
        for (_, binding) in also.iter().zip(1..).filter(|(also, _)| **also) {
            let declared = |access: &str| format!("@binding({binding}) var<storage, {access}>");
            module = module.replacen(&declared("read"), &declared("read_write"), 1).into();
        }
        module
    }
}

/// What the invocations of a dispatch do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// How many invocations have something to do, the first of them those of the first workgroups; or how many workgroups,
    /// where the invocations of one work together.
    pub count: usize,
    /// How many invocations of a workgroup work together, with barriers; none where each works by itself.
    pub together: Option<usize>,
    /// Roughly how many simple operations one invocation, or one workgroup whose invocations work together, is.
    pub operations: usize,
    /// How many loop iterations one invocation runs at most.
    pub iterations: usize,
}

/// A storage buffer of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Which buffer.
    pub resource: Resource,
    /// Whether the module declares it `read_write`; otherwise it is `read`.
    pub writable: bool,
}

/// A buffer of a lowered kernel, named from the step's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The step's input of that number.
    Input(u32),
    /// The step's output of that number.
    Output(u32),
    /// The lowered kernel's own buffer of that number.
    Scratch(u32),
}

/// Why a kernel cannot be lowered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// WGSL has no 64-bit floats.
    #[error("{kernel}: f64 does not exist on a GPU; use f32 or the CPU")]
    DoublePrecision {
        /// The kernel's stem.
        kernel: &'static str,
    },
    /// Only the CPU has the kernel.
    #[error("{kernel}: a GPU has no kernel for it; run this part of the graph in a session on the CPU (Device::cpu())")]
    HostAlone {
        /// The kernel's stem.
        kernel: &'static str,
    },
    /// Indices on the GPU are 32-bit.
    #[error("{kernel}: {elements} elements are past the {limit} that 32-bit indices reach")]
    TooManyElements {
        /// The kernel's stem.
        kernel: &'static str,
        /// How many elements were asked for.
        elements: usize,
        /// The largest number that works.
        limit: usize,
    },
}
