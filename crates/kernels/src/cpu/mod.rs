//! Kernels over host memory.
//!
//! [`Compiled::new`] makes a [`Kernel`] ready: its program is translated into typed code over registers, its work is divided
//! into tasks, and all memory that a run needs is allocated. [`Compiled::run`] then allocates nothing on the calling thread
//! nor on others, but for functions of matrices, which alone may fail, too. Work that is worth it is shared among the threads of rayon's current pool; a result has the same bits on
//! any number of threads. WebAssembly has one thread, and there everything runs on it.
//!
//! Elementwise code is run by an interpreter, block by block: each instruction is one loop over a block's registers, compiled
//! for several instruction sets of which the processor's widest is taken. Where it is known how to write code for the processor, instructions that follow one another are
//! one such loop (`machine_code`). The module knows nothing of plans: which buffers a
//! step reads and writes, and that they are long enough, is the caller's business, and a mismatch is a broken invariant.

mod ahead;
mod apply;
mod argmax;
mod argsort;
mod assemble;
mod attention;
#[cfg(not(target_family = "wasm"))]
mod bell;
mod block;
mod block_order;
mod body;
mod buffer;
mod cache_lines;
mod code;
mod column_blocks;
mod cumulative;
mod direct;
mod double;
mod elementwise;
mod error_functions;
mod extents;
mod functions;
mod gather;
mod hyperbolic;
mod interpret;
mod lanes;
mod linear_algebra;
mod load;
#[cfg_attr(
    not(all(target_arch = "x86_64", target_pointer_width = "64", any(unix, windows))),
    path = "no_machine_code.rs"
)]
mod machine_code;
mod matmul;
mod narrow;
mod nest;
mod pack;
mod pack_rows;
mod padded;
mod parallel;
mod peak;
mod processor;
mod product;
mod product_scratch;
pub mod random;
mod real;
mod reduce;
mod reducible;
mod registers;
mod scalar;
mod scatter_add;
mod scatter_reduce;
mod searchsorted;
mod seldom;
mod short_runs;
mod tile;
mod total;
mod walk;
#[cfg(target_family = "wasm")]
mod wasm;
mod way;
mod windows;

#[cfg(not(target_family = "wasm"))]
pub use bell::Bell;
pub use buffer::{Buffer, Operands};
pub use linear_algebra::{Failure, FailureReason};
pub use parallel::threads;
#[cfg(not(target_family = "wasm"))]
pub use parallel::{lead_team, serve_team};
pub use peak::multiply_adds;
pub(crate) use way::usual as usual_product;

use arenagrad_graph::Elements;

use crate::choice::Choice;
use crate::kernel::{Kernel, Stored};
use argmax::ArgMax;
use argsort::ArgSort;
use assemble::Assemble;
use attention::Attention;
use cumulative::Cumulative;
use elementwise::Elementwise;
use gather::Gather;
use interpret::Accumulators;
use linear_algebra::LinearAlgebra;
use matmul::MatMul;
use nest::Nest;
use reduce::Reduce;
use registers::BLOCK;
use scatter_add::ScatterAdd;
use scatter_reduce::ScatterReduce;
use searchsorted::SearchSorted;

/// A [`Kernel`] made ready for the CPU: typed, specialised, with its own preallocated scratch.
#[derive(Clone, Debug)]
pub struct Compiled(Routine);

#[derive(Clone, Debug)]
enum Routine {
    Elementwise(Elementwise),
    Reduce(Box<Reduce>),
    ArgMax(ArgMax),
    Nest(Box<Nest>),
    MatMul(Box<MatMul>),
    Attention(Box<Attention>),
    Gather(Gather),
    ScatterAdd(Box<ScatterAdd>),
    ScatterReduce(Box<ScatterReduce>),
    Assemble(Assemble),
    LinearAlgebra(LinearAlgebra),
    Cumulative(Cumulative),
    ArgSort(Box<ArgSort>),
    SearchSorted(SearchSorted),
}

impl Compiled {
    /// Why this build cannot compute a kernel, which then must not be made ready; none if it can.
    pub fn refusal(kernel: &Kernel) -> Option<&'static str> {
        if matches!(kernel, Kernel::LinearAlgebra { .. }) { linear_algebra::REFUSAL } else { None }
    }

    /// Makes a kernel ready, for about as many threads as rayon's current pool has.
    ///
    /// # Panics
    /// If the kernel breaks an invariant of [`Kernel`]: a value read before it is defined, or a function of a dtype that
    /// it is not defined for.
    pub fn new(kernel: &Kernel) -> Compiled {
        Compiled::with_storage(kernel, Stored::default())
    }

    /// Makes a kernel ready whose buffers hold their values in these storage types.
    ///
    /// # Panics
    /// As [`Compiled::new`].
    pub fn with_storage(kernel: &Kernel, stored: Stored<'_>) -> Compiled {
        Compiled::with_choice(kernel, stored, Choice::Usual)
    }

    /// As [`Compiled::with_storage`], of a kernel that is to be computed so: one of the candidates of [`crate::choice::on_cpu`]. A choice that the kernel
    /// does not have is as the usual one.
    ///
    /// # Panics
    /// As [`Compiled::new`].
    pub fn with_choice(kernel: &Kernel, stored: Stored<'_>, choice: Choice) -> Compiled {
        Compiled(match kernel {
            Kernel::Elementwise(program) => Routine::Elementwise(Elementwise::new(program, 0, BLOCK, stored.inputs)),
            Kernel::Reduce { function, program, kept, reduced, epilogue } => Routine::Reduce(Box::new(Reduce::new(
                *function,
                program,
                [kept, reduced],
                epilogue.as_ref(),
                stored.inputs,
            ))),
            Kernel::Nest(nest) => Routine::Nest(Box::new(Nest::new(nest, stored.inputs))),
            Kernel::ArgMax { dtype, outer, extent, inner } => {
                Routine::ArgMax(ArgMax::new(*dtype, *outer, *extent, *inner))
            }
            Kernel::MatMul { dtype, lhs, rhs, padding, epilogue } => {
                let padding = [0, 1].map(|operand: usize| padding[operand].as_deref());
                let product = MatMul::new(*dtype, [lhs, rhs], padding, stored.inputs, epilogue.as_ref(), choice);
                Routine::MatMul(Box::new(product))
            }
            Kernel::Attention(attention) => Routine::Attention(Box::new(Attention::new(attention))),
            Kernel::Gather { dtype, operand_shape, indices_shape, axis, indices } => {
                Routine::Gather(Gather::new(*dtype, operand_shape, indices_shape, *axis, indices))
            }
            Kernel::ScatterAdd { dtype, operand_shape, updates_shape, axis, indices, updates, in_place, factor } => {
                let (shapes, views) = ([operand_shape, updates_shape], (indices, updates));
                Routine::ScatterAdd(Box::new(ScatterAdd::new(*dtype, shapes, *axis, views, *in_place, *factor)))
            }
            Kernel::ScatterReduce {
                dtype,
                function,
                operand_shape,
                updates_shape,
                axis,
                indices,
                updates,
                in_place,
            } => {
                let (shapes, views) = ([operand_shape, updates_shape], (indices, updates));
                Routine::ScatterReduce(Box::new(ScatterReduce::new(*dtype, *function, shapes, *axis, views, *in_place)))
            }
            Kernel::Assemble { dtype, elements, fill, pieces } => {
                Routine::Assemble(Assemble::new(*dtype, *elements, *fill, pieces))
            }
            Kernel::LinearAlgebra { function, dtype, extents } => {
                Routine::LinearAlgebra(LinearAlgebra::new(*function, *dtype, *extents))
            }
            Kernel::Cumulative { function, dtype, outer, extent, inner, is_reversed } => {
                Routine::Cumulative(Cumulative::new(*function, *dtype, [*outer, *extent, *inner], *is_reversed))
            }
            Kernel::ArgSort { dtype, rows, extent, count, is_descending } => {
                Routine::ArgSort(Box::new(ArgSort::new(*dtype, [*rows, *extent, *count], *is_descending)))
            }
            Kernel::SearchSorted { dtype, length, values, row, is_right } => {
                Routine::SearchSorted(SearchSorted::new(*dtype, [*length, *values, *row], *is_right))
            }
        })
    }

    /// Whether a run is shared among threads. It then enters rayon's current pool; a thread outside of all pools does that
    /// through a queue that allocates now and then, so whoever runs many kernels enters a pool once and runs them there.
    pub fn divides(&self) -> bool {
        match &self.0 {
            Routine::Elementwise(routine) => routine.divides(),
            Routine::Reduce(routine) => routine.divides(),
            Routine::ArgMax(routine) => routine.divides(),
            Routine::Nest(routine) => routine.divides(),
            Routine::MatMul(routine) => routine.divides(),
            Routine::Attention(routine) => routine.divides(),
            Routine::Gather(routine) => routine.divides(),
            Routine::ScatterAdd(routine) => routine.divides(),
            Routine::ScatterReduce(routine) => routine.divides(),
            Routine::Assemble(routine) => routine.divides(),
            Routine::LinearAlgebra(routine) => routine.divides(),
            Routine::Cumulative(routine) => routine.divides(),
            Routine::ArgSort(routine) => routine.divides(),
            Routine::SearchSorted(routine) => routine.divides(),
        }
    }

    /// Lets a matrix product keep its right operand packed between runs, and says whether it does: until [`Compiled::rhs_changed`] it goes on with
    /// what the operand held in the first run. Bits of results are the same. Every other kernel reads its operands anew.
    pub fn keep_rhs(&mut self) -> bool {
        self.product().is_some_and(MatMul::keep_rhs)
    }

    /// Reads a right operand anew that was [kept](Compiled::keep_rhs).
    pub fn rhs_changed(&mut self) {
        self.product().into_iter().for_each(MatMul::rhs_changed);
    }

    fn product(&mut self) -> Option<&mut MatMul> {
        if let Routine::MatMul(product) = &mut self.0 { Some(product) } else { None }
    }

    /// Runs the kernel. `outputs` are in the kernel's order and hold what shares their memory among the inputs.
    ///
    /// # Panics
    /// If a buffer holds values of another dtype than the kernel says, or in a type that the kernel does not load or store (see
    /// [`Stored`]), or is shorter than what the kernel touches.
    pub fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        if let Err(Failure { matrix, reason }) = self.try_run(operands, outputs) {
            panic!("matrix {matrix} {reason}");
        }
    }

    /// [`Compiled::run`] of a kernel that may fail: what then stands in the outputs is no result.
    ///
    /// # Panics
    ///
    /// As [`Compiled::run`], but for a failure.
    pub fn try_run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) -> Result<(), Failure> {
        match &mut self.0 {
            Routine::Elementwise(routine) => routine.run(operands, Accumulators::None, outputs),
            Routine::Reduce(routine) => routine.run(operands, outputs),
            Routine::ArgMax(routine) => routine.run(operands, outputs),
            Routine::Nest(routine) => routine.run(operands, outputs),
            Routine::MatMul(routine) => routine.run(operands, outputs),
            Routine::Attention(routine) => routine.run(operands, outputs),
            Routine::Gather(routine) => routine.run(operands, outputs),
            Routine::ScatterAdd(routine) => routine.run(operands, outputs),
            Routine::ScatterReduce(routine) => routine.run(operands, outputs),
            Routine::Assemble(routine) => routine.run(operands, outputs),
            Routine::LinearAlgebra(routine) => return routine.run(operands, outputs),
            Routine::Cumulative(routine) => routine.run(operands, outputs),
            Routine::ArgSort(routine) => routine.run(operands, outputs),
            Routine::SearchSorted(routine) => routine.run(operands, outputs),
        }
        Ok(())
    }
}
