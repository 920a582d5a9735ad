//! Functions of whole matrices, a batch of them shared among threads.
//!
//! The crate nalgebra decomposes. Everything is computed in f64 and rounded once, so an ill-conditioned matrix of f32 loses what f32 loses
//! by holding it, and no more. Each matrix is computed by one thread, so the bits do not depend on how many there are.
//!
//! This is the one routine that allocates in a run: the decompositions own their matrices. It is also the one that may fail. It then says
//! which matrix was the first that it could not do; the others are computed, or not.

use arenagrad_graph::{DType, Elements, MatrixFunction};

use super::buffer::{Element, Operands, typed_mut};
use super::parallel;
use crate::cost;
use crate::kernel::MatrixExtents;

/// Why a kernel that was run has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which matrix of the batch, the first of those that have none.
    pub matrix: usize,
    /// What is wrong with it.
    pub reason: FailureReason,
}

/// What is wrong with a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureReason {
    /// It has no inverse.
    #[error("is singular")]
    Singular,
    /// It has no Cholesky decomposition.
    #[error("is not positive definite")]
    NotPositiveDefinite,
    /// It has infinite elements, or NaN.
    #[error("has elements that are not finite")]
    NotFinite,
    /// The iteration did not end.
    #[error("has a decomposition that was not found: the iteration does not converge")]
    NotConverged,
}

/// A function of matrices made ready; see [`crate::Kernel::LinearAlgebra`].
#[derive(Clone, Debug)]
pub(super) struct LinearAlgebra {
    function: MatrixFunction,
    dtype: DType,
    extents: MatrixExtents,
    tasks: usize,
}

/// The elements that a matrix, its right-hand side and its result have.
#[derive(Clone, Copy)]
struct Sizes {
    matrix: usize,
    rhs: usize,
    result: usize,
}

impl LinearAlgebra {
    pub(super) fn new(function: MatrixFunction, dtype: DType, extents: MatrixExtents) -> Self {
        let tasks = parallel::tasks(cost::linear_algebra(function, dtype, extents)).min(extents.batches);
        LinearAlgebra { function, dtype, extents, tasks }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        self.tasks > 1
    }

    pub(super) fn run(&self, operands: Operands<'_>, outputs: &mut [Elements]) -> Result<(), Failure> {
        match self.dtype {
            DType::F32 => self.run_typed::<f32>(operands, outputs),
            DType::F64 => self.run_typed::<f64>(operands, outputs),
            DType::I32 | DType::Bool => unreachable!("matrices are of floats"),
        }
    }

    fn run_typed<T: Element + Into<f64>>(
        &self,
        operands: Operands<'_>,
        outputs: &mut [Elements],
    ) -> Result<(), Failure> {
        let MatrixExtents { batches, rows, columns, rhs_columns } = self.extents;
        let result = self.extents.results(self.function);
        let sizes = Sizes { matrix: rows * columns, rhs: rows * rhs_columns, result };
        let matrices = &operands.typed::<T>(0)[..batches * sizes.matrix];
        let rhs = if self.function.operands() > 1 { operands.typed::<T>(1) } else { &[] };
        let results = &mut typed_mut::<T>(&mut outputs[0])[..batches * result];
        self.divide(self.tasks, 0, sizes, [matrices, rhs], results).map_or(Ok(()), Err)
    }

    /// The first failure of so many tasks, whose first matrix has the number `first`.
    fn divide<T: Element + Into<f64>>(
        &self,
        tasks: usize,
        first: usize,
        sizes: Sizes,
        [matrices, rhs]: [&[T]; 2],
        results: &mut [T],
    ) -> Option<Failure> {
        let count = results.len() / sizes.result;
        if tasks <= 1 {
            return (0..count).find_map(|number| {
                let matrix = &matrices[number * sizes.matrix..][..sizes.matrix];
                let rhs = if rhs.is_empty() { rhs } else { &rhs[number * sizes.rhs..][..sizes.rhs] };
                let result = &mut results[number * sizes.result..][..sizes.result];
                let reason = self.matrix(matrix, rhs, result).err()?;
                Some(Failure { matrix: first + number, reason })
            });
        }
        let half = tasks / 2;
        let cut = parallel::cut(0..count, half, tasks, 1);
        let (head, tail) = results.split_at_mut(cut * sizes.result);
        let (head_matrices, tail_matrices) = matrices.split_at(cut * sizes.matrix);
        let (head_rhs, tail_rhs) = if rhs.is_empty() { (rhs, rhs) } else { rhs.split_at(cut * sizes.rhs) };
        let (mut of_head, mut of_tail) = (None, None);
        parallel::join(
            || of_head = self.divide(half, first, sizes, [head_matrices, head_rhs], head),
            || of_tail = self.divide(tasks - half, first + cut, sizes, [tail_matrices, tail_rhs], tail),
        );
        of_head.or(of_tail)
    }

    fn matrix<T: Element + Into<f64>>(&self, matrix: &[T], rhs: &[T], result: &mut [T]) -> Result<(), FailureReason> {
        let widen = |data: &[T]| data.iter().map(|&x| x.into()).collect::<Vec<f64>>();
        let computed = decompose::compute(self.function, self.extents, widen(matrix), widen(rhs))?;
        for (result, value) in result.iter_mut().zip(computed) {
            *result = T::from_f64(value);
        }
        Ok(())
    }
}

/// Why this build cannot compute functions of matrices; none if it can.
pub(super) const REFUSAL: Option<&str> = decompose::REFUSAL;

#[cfg(not(feature = "linear_algebra"))]
mod decompose {
    use super::{FailureReason, MatrixExtents, MatrixFunction};

    pub(super) const REFUSAL: Option<&str> =
        Some("linear algebra was left out of this build; enable the feature linear_algebra of the crate arenagrad");

    pub(super) fn compute(
        _: MatrixFunction,
        _: MatrixExtents,
        _: Vec<f64>,
        _: Vec<f64>,
    ) -> Result<Vec<f64>, FailureReason> {
        unreachable!("a kernel that this build cannot compute is not made ready")
    }
}

#[cfg(feature = "linear_algebra")]
mod decompose;
#[cfg(feature = "linear_algebra")]
mod orthonormal;
#[cfg(feature = "linear_algebra")]
mod singular;
