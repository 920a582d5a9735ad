//! Singular values and vectors by one-sided rotations (Hestenes 1958; Drmac and Veselic 2008): the columns of a triangular factor are
//! rotated in pairs until all are orthogonal to each other. What is left are the singular values, as their lengths.
//!
//! It finds small singular values, and vectors of them, to more digits than the usual way over a bidiagonal matrix, and each kind of matrix
//! (of low rank, of ones, of zeros) is like any other to it.

use nalgebra::{DMatrix, DVector};

use crate::cpu::linear_algebra::FailureReason;

/// Rounds over all pairs, after which it is given up. Six to ten are usual.
const ROUNDS: usize = 60;

/// The least square of a length that has all its digits. A shorter column, beside which the longest is about 1, has no direction that could be
/// computed: its products with others vanish, or keep a few digits that never get small enough.
const LEAST_SQUARE: f64 = f64::MIN_POSITIVE / f64::EPSILON;

/// `A = U diag(values) V^T`, the values descending; the columns of U and V are orthonormal, also those of values of 0.
pub(super) struct Singular {
    pub(super) u: DMatrix<f64>,
    pub(super) values: DVector<f64>,
    pub(super) v: DMatrix<f64>,
}

/// The decomposition of a matrix that is not empty and whose elements are finite.
pub(super) fn singular_vectors(matrix: DMatrix<f64>) -> Result<Singular, FailureReason> {
    let is_wide = matrix.ncols() > matrix.nrows();
    let tall = if is_wide { matrix.transpose() } else { matrix };
    let largest = tall.amax();
    // Squares of elements must neither overflow nor vanish.
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let (q, mut r, order) = (tall / scale).col_piv_qr().unpack();
    order.inv_permute_columns(&mut r);
    // With R^T W = Y, whose columns are orthogonal, R = W Y^T, and so A = (Q W) Y^T.
    let (mut columns, mut rotations) = (r.transpose(), DMatrix::identity(r.ncols(), r.ncols()));
    rotate(&mut columns, &mut rotations)?;
    let lengths: Vec<f64> = columns.column_iter().map(|column| column.norm()).collect();
    let mut descending: Vec<usize> = (0..lengths.len()).collect();
    descending.sort_by(|&a, &b| lengths[b].total_cmp(&lengths[a]));
    let left = q * rotations.select_columns(&descending);
    let mut right = columns.select_columns(&descending);
    let values = DVector::from_iterator(lengths.len(), descending.iter().map(|&column| lengths[column]));
    normalise(&mut right, &values);
    let values = values * scale;
    Ok(if is_wide { Singular { u: right, values, v: left } } else { Singular { u: left, values, v: right } })
}

/// Rotates pairs of columns until all are orthogonal, and the columns of `rotations` with them.
fn rotate(columns: &mut DMatrix<f64>, rotations: &mut DMatrix<f64>) -> Result<(), FailureReason> {
    let count = columns.ncols();
    let tolerance = f64::EPSILON * (columns.nrows() as f64).sqrt();
    for _ in 0..ROUNDS {
        let mut is_orthogonal = true;
        for p in 0..count {
            for q in p + 1..count {
                let product = columns.column(p).dot(&columns.column(q));
                let (a, b) = (columns.column(p).norm_squared(), columns.column(q).norm_squared());
                if a.min(b) < LEAST_SQUARE || product == 0.0 || product.abs() <= tolerance * a.sqrt() * b.sqrt() {
                    continue;
                }
                is_orthogonal = false;
                let zeta = (b - a) / (2.0 * product);
                let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = cosine * tangent;
                turn(columns, p, q, cosine, sine);
                turn(rotations, p, q, cosine, sine);
            }
        }
        if is_orthogonal {
            return Ok(());
        }
    }
    Err(FailureReason::NotConverged)
}

fn turn(matrix: &mut DMatrix<f64>, p: usize, q: usize, cosine: f64, sine: f64) {
    let (mut first, mut second) = matrix.columns_range_pair_mut(p, q);
    for (x, y) in first.iter_mut().zip(second.iter_mut()) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// Brings columns of these lengths to length 1. Those of length 0 become orthogonal to all others.
fn normalise(columns: &mut DMatrix<f64>, lengths: &DVector<f64>) {
    // What is shorter was not made orthogonal to others.
    let least = LEAST_SQUARE.sqrt();
    for column in 0..columns.ncols() {
        if lengths[column] >= least {
            let length = columns.column(column).norm();
            columns.column_mut(column).unscale_mut(length);
            continue;
        }
        let rows = columns.nrows();
        let directions = (0..rows).map(|row| {
            let mut direction = DVector::zeros(rows);
            direction[row] = 1.0;
            for other in (0..column).chain(0..column) {
                let share = columns.column(other).dot(&direction);
                direction.axpy(-share, &columns.column(other), 1.0);
            }
            direction
        });
        // One of them is at least as long as all have on average, which is not 0: there are fewer columns before than rows.
        let longest = directions.max_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()));
        if let Some(direction) = longest {
            columns.set_column(column, &direction.normalize());
        }
    }
}
