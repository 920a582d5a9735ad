//! How one step of a plan computes, on each backend. **This is the inside of `arenagrad`: nothing in this crate is promised from one
//! version to the next**, and a program depends on `arenagrad` alone.
//!
//! [`Kernel`] is the closed list of what a backend must run and the one vocabulary between planner and backends.
//! [`cpu`] runs a kernel over host memory; [`wgsl`] lowers it to dispatches of WGSL modules, as text: nothing here names a
//! wgpu type or owns a device. A fused elementwise kernel carries a [`Program`], a small SSA program over one element.
//! [`cost`] says what a kernel costs, and [`Kernel::flops`] how many floating-point operations it is.
//!
//! The planner makes kernels that agree with themselves: one whose parts contradict each other is a broken invariant here, and
//! panics.
//!
//! The crate knows nothing of graphs beyond the elementwise functions and dtypes it shares with them.

mod attention;
pub mod choice;
pub mod cost;
pub mod cpu;
mod flops;
mod kernel;
mod nest;
mod padding;
mod program;
mod units;
mod view;
pub mod wgsl;

pub use arenagrad_graph::{
    AttentionResult, BinaryFunction, CompareFunction, CumulativeFunction, DType, Elements, Elementwise, Half,
    ReduceFunction, ScatterFunction, StorageType, UnaryFunction,
};
pub use attention::{Attention, AttentionMask};
pub use choice::{Candidate, Choice};
pub use kernel::{Cumulation, Factor, Kernel, Matrices, MatrixExtents, Piece, ProductExtents, Stored};
pub use nest::{Nest, NestInstruction, NestValue, Space};
pub use padding::Padding;
pub use program::{Instruction, Program, ProgramInput};
pub use view::{Axes, Axis, View};
