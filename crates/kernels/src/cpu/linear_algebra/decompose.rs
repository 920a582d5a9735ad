//! One matrix of f64: its solutions, inverse, determinant and decompositions.

use arenagrad_graph::MatrixFunction;
use nalgebra::linalg::{Cholesky, SymmetricEigen};
use nalgebra::{DMatrix, DVector};

use super::orthonormal::orthonormal;
use super::singular::{Singular, singular_vectors};
use super::{FailureReason, MatrixExtents};

pub(super) const REFUSAL: Option<&str> = None;

/// Rounds of an iteration for each row, after which it is given up. Two or three are usual.
const ROUNDS_PER_ROW: usize = 200;

/// The function of a row-major matrix, and of its right-hand side if it has one, row-major.
pub(super) fn compute(
    function: MatrixFunction,
    extents: MatrixExtents,
    matrix: Vec<f64>,
    mut rhs: Vec<f64>,
) -> Result<Vec<f64>, FailureReason> {
    let MatrixExtents { rows, columns, rhs_columns, .. } = extents;
    if let MatrixFunction::SolveTriangular { upper, unitriangular } = function {
        substitute(&matrix, rows, &mut rhs, rhs_columns, upper, unitriangular);
        return Ok(rhs);
    }
    let matrix = DMatrix::from_row_slice(rows, columns, &matrix);
    Ok(match function {
        MatrixFunction::SolveTriangular { .. } => rhs,
        MatrixFunction::Solve => {
            let mut solution = DMatrix::from_row_slice(rows, rhs_columns, &rhs);
            if !matrix.lu().solve_mut(&mut solution) {
                return Err(FailureReason::Singular);
            }
            row_major(&solution)
        }
        MatrixFunction::Inverse => row_major(&matrix.lu().try_inverse().ok_or(FailureReason::Singular)?),
        MatrixFunction::Determinant => vec![matrix.lu().determinant()],
        MatrixFunction::SignLogDeterminant => sign_and_logarithm(matrix).to_vec(),
        MatrixFunction::Cofactors => cofactors(matrix)?,
        MatrixFunction::Cholesky => row_major(&Cholesky::new(matrix).ok_or(FailureReason::NotPositiveDefinite)?.l()),
        MatrixFunction::Orthonormal => row_major(&orthonormal(matrix)),
        MatrixFunction::Eigenvectors => row_major(&eigenvectors(matrix)?),
        MatrixFunction::SingularVectors => {
            is_finite(&matrix)?;
            let Singular { mut u, mut v, .. } = singular_vectors(matrix)?;
            for column in 0..u.ncols() {
                if has_negative_sign(&u, column) {
                    u.column_mut(column).neg_mut();
                    v.column_mut(column).neg_mut();
                }
            }
            let mut packed = row_major(&u);
            packed.extend(row_major(&v));
            packed
        }
    })
}

fn row_major(matrix: &DMatrix<f64>) -> Vec<f64> {
    // The elements of the transpose by columns are those of the matrix by rows.
    matrix.transpose().as_slice().to_vec()
}

/// Solves with a triangle in place. What stands on the diagonal is divided by, whatever it is.
fn substitute(matrix: &[f64], rows: usize, rhs: &mut [f64], columns: usize, upper: bool, unitriangular: bool) {
    for step in 0..rows {
        let row = if upper { rows - 1 - step } else { step };
        let known = if upper { row + 1..rows } else { 0..row };
        for other in known {
            let factor = matrix[row * rows + other];
            for column in 0..columns {
                rhs[row * columns + column] -= factor * rhs[other * columns + column];
            }
        }
        if !unitriangular {
            let diagonal = matrix[row * rows + row];
            rhs[row * columns..][..columns].iter_mut().for_each(|x| *x /= diagonal);
        }
    }
}

/// The sign of the determinant, and the logarithm of its magnitude.
fn sign_and_logarithm(matrix: DMatrix<f64>) -> [f64; 2] {
    let lu = matrix.lu();
    let mut sign = lu.p().determinant::<f64>();
    let mut logarithm = 0.0;
    for &pivot in lu.lu_internal().diagonal().iter() {
        sign *= if pivot == 0.0 { 0.0 } else { pivot.signum() };
        logarithm += pivot.abs().ln();
    }
    [sign, logarithm]
}

/// The smallest pivot beside the largest from which on a matrix is taken to be far from singular.
const REGULAR: f64 = 1e-4;

/// `det(A) A^-T`. Where the matrix is near a singular one this is found without a division: with `A = U S V^T` it is `det(U V^T) U C V^T`,
/// where C is diagonal and has for each place the product of all other singular values. That takes many times as long as an inverse.
fn cofactors(matrix: DMatrix<f64>) -> Result<Vec<f64>, FailureReason> {
    let n = matrix.nrows();
    if is_finite(&matrix).is_err() {
        return Ok(vec![f64::NAN; n * n]);
    }
    let lu = matrix.clone().lu();
    let pivots = lu.lu_internal().diagonal().abs();
    let determinant = lu.determinant();
    if pivots.min() > REGULAR * pivots.max()
        && determinant.is_normal()
        && let Some(inverse) = lu.try_inverse()
    {
        return Ok(row_major(&(inverse.transpose() * determinant)));
    }
    let Singular { u, values, v } = singular_vectors(matrix)?;
    let sign = (u.clone().lu().determinant() * v.clone().lu().determinant()).signum();
    let mut others = DVector::from_element(n, sign);
    let mut product = 1.0;
    for place in 0..n {
        others[place] *= product;
        product *= values[place];
    }
    product = 1.0;
    for place in (0..n).rev() {
        others[place] *= product;
        product *= values[place];
    }
    let mut scaled = u;
    for (mut column, factor) in scaled.column_iter_mut().zip(others.iter()) {
        column *= *factor;
    }
    Ok(row_major(&(scaled * v.transpose())))
}

/// By ascending eigenvalue, the largest element of each positive.
fn eigenvectors(mut matrix: DMatrix<f64>) -> Result<DMatrix<f64>, FailureReason> {
    // The whole matrix is scaled by its largest element, so what is not read must not stand there.
    matrix.fill_upper_triangle_with_lower_triangle();
    is_finite(&matrix)?;
    let rounds = ROUNDS_PER_ROW * matrix.nrows();
    let found = SymmetricEigen::try_new(matrix, f64::EPSILON, rounds).ok_or(FailureReason::NotConverged)?;
    let mut order: Vec<usize> = (0..found.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| found.eigenvalues[a].total_cmp(&found.eigenvalues[b]));
    let mut vectors = found.eigenvectors.select_columns(&order);
    for column in 0..vectors.ncols() {
        if has_negative_sign(&vectors, column) {
            vectors.column_mut(column).neg_mut();
        }
    }
    Ok(vectors)
}

fn is_finite(matrix: &DMatrix<f64>) -> Result<(), FailureReason> {
    if matrix.iter().all(|x| x.is_finite()) { Ok(()) } else { Err(FailureReason::NotFinite) }
}

/// Whether the largest element of a column, of equal ones the first, is negative.
fn has_negative_sign(matrix: &DMatrix<f64>, column: usize) -> bool {
    let mut largest = 0.0f64;
    for &x in matrix.column(column).iter() {
        // Rounding must not decide between elements that are equal but for it.
        if x.abs() > largest.abs() * (1.0 + 1e-8) {
            largest = x;
        }
    }
    largest < 0.0
}
