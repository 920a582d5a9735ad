//! Functions of whole matrices, each over the last two axes of its operands; the axes in front are a batch.

/// A function of matrices that no sum of products says. What each computes, and its derivative, stands in
/// [`crate::ops::linear_algebra`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatrixFunction {
    /// `A, B -> X` with `A X = B`.
    Solve,
    /// `A, B -> X` with `A X = B`, where of A one triangle is read.
    SolveTriangular {
        /// Whether that is the upper triangle, and not the lower one.
        upper: bool,
        /// Whether its diagonal is taken for ones, whatever stands there.
        unitriangular: bool,
    },
    /// `A -> A^-1`.
    Inverse,
    /// `A -> det A`, without the last two axes.
    Determinant,
    /// `A -> [sign(det A), log |det A|]`, as the last axis.
    SignLogDeterminant,
    /// `A -> C`, where `C[i, j]` is the derivative of `det A` in `A[i, j]`.
    Cofactors,
    /// `A -> L`, lower triangular, with `A = L L^T`; the lower triangle of A is read.
    Cholesky,
    /// `A -> Q`, of orthonormal columns, with `A = Q R` for an upper triangular R whose diagonal is not negative; as many rows as columns or more.
    Orthonormal,
    /// `A -> V`, whose columns are the orthonormal eigenvectors, by ascending eigenvalue, of the symmetric matrix whose lower triangle is A's.
    Eigenvectors,
    /// `A -> [U; V]`, one above the other, with `A = U S V^T`, by descending singular value.
    SingularVectors,
}

impl MatrixFunction {
    /// Every function, in the order of declaration.
    pub const ALL: [MatrixFunction; 13] = [
        MatrixFunction::Solve,
        MatrixFunction::SolveTriangular { upper: false, unitriangular: false },
        MatrixFunction::SolveTriangular { upper: false, unitriangular: true },
        MatrixFunction::SolveTriangular { upper: true, unitriangular: false },
        MatrixFunction::SolveTriangular { upper: true, unitriangular: true },
        MatrixFunction::Inverse,
        MatrixFunction::Determinant,
        MatrixFunction::SignLogDeterminant,
        MatrixFunction::Cofactors,
        MatrixFunction::Cholesky,
        MatrixFunction::Orthonormal,
        MatrixFunction::Eigenvectors,
        MatrixFunction::SingularVectors,
    ];

    /// The stem used in printed graphs, CPU kernels, errors and tests.
    pub fn name(self) -> &'static str {
        match self {
            MatrixFunction::Solve => "solve",
            MatrixFunction::SolveTriangular { upper: false, unitriangular: false } => "solve_lower",
            MatrixFunction::SolveTriangular { upper: false, unitriangular: true } => "solve_unit_lower",
            MatrixFunction::SolveTriangular { upper: true, unitriangular: false } => "solve_upper",
            MatrixFunction::SolveTriangular { upper: true, unitriangular: true } => "solve_unit_upper",
            MatrixFunction::Inverse => "inv",
            MatrixFunction::Determinant => "det",
            MatrixFunction::SignLogDeterminant => "slogdet",
            MatrixFunction::Cofactors => "cofactors",
            MatrixFunction::Cholesky => "cholesky",
            MatrixFunction::Orthonormal => "qr",
            MatrixFunction::Eigenvectors => "eigh",
            MatrixFunction::SingularVectors => "svd",
        }
    }

    /// How many operands it takes.
    pub fn operands(self) -> usize {
        match self {
            MatrixFunction::Solve | MatrixFunction::SolveTriangular { .. } => 2,
            MatrixFunction::Inverse
            | MatrixFunction::Determinant
            | MatrixFunction::SignLogDeterminant
            | MatrixFunction::Cofactors
            | MatrixFunction::Cholesky
            | MatrixFunction::Orthonormal
            | MatrixFunction::Eigenvectors
            | MatrixFunction::SingularVectors => 1,
        }
    }

    /// Its place in [`MatrixFunction::ALL`].
    pub(crate) fn number(self) -> u64 {
        MatrixFunction::ALL.iter().position(|function| *function == self).map_or(0, |place| place as u64)
    }
}
