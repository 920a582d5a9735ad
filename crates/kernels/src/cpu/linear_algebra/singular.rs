//! Singular values and vectors by one-sided rotations (Hestenes 1958; Drmac and Veselic 2008): the columns of a triangular factor are
//! rotated in pairs until all are orthogonal to each other. What is left are the singular values, as their lengths.
//!
//! It finds small singular values, and vectors of them, to more digits than the usual way over a bidiagonal matrix, and each kind of matrix
//! (of low rank, of ones, of zeros) is like any other to it.

use nalgebra::{DMatrix, DVector, DVectorView};

use crate::cpu::linear_algebra::FailureReason;
use crate::cpu::linear_algebra::orthonormal::{inverse_power_of_two, orthonormalised};

/// Rounds over all pairs, after which it is given up. Six to ten are usual.
const ROUNDS: usize = 60;

/// The least number whose rounding is a rounding of its digits: below it results lose digits by themselves. It is so of squares of lengths, and of
/// elements.
const LEAST: f64 = f64::MIN_POSITIVE / f64::EPSILON;

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
    let scaled = tall / scale;
    let (mut q, mut r, order) = scaled.clone().col_piv_qr().unpack();
    order.inv_permute_columns(&mut r);
    if let Some(orthonormal) = orthonormalised(&q, &r) {
        r = orthonormal.tr_mul(&scaled);
        q = orthonormal;
    }
    // With R^T W = Y, whose columns are orthogonal, R = W Y^T, and so A = (Q W) Y^T.
    let (mut columns, mut rotations) = (r.transpose(), DMatrix::identity(r.ncols(), r.ncols()));
    rotate(&mut columns, &mut rotations)?;
    let lengths: Vec<f64> = columns.column_iter().map(length).collect();
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
                let (mut a, mut b, mut product) = products(columns, p, q, 1.0);
                if a.min(b) < LEAST {
                    // Short columns beside each other are as good as long ones, once both are brought to where squares have all their digits.
                    let largest = [columns.column(p).amax(), columns.column(q).amax()];
                    if largest[0].min(largest[1]) < LEAST {
                        continue;
                    }
                    (a, b, product) = products(columns, p, q, inverse_power_of_two(largest[0].max(largest[1])));
                }
                if a.min(b) < LEAST || product == 0.0 || product.abs() <= tolerance * a.sqrt() * b.sqrt() {
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

/// The squares of the lengths of two columns and their product with each other, all of them after multiplication with `factor`.
fn products(columns: &DMatrix<f64>, p: usize, q: usize, factor: f64) -> (f64, f64, f64) {
    let (first, second) = (columns.column(p), columns.column(q));
    if factor == 1.0 {
        return (first.norm_squared(), second.norm_squared(), first.dot(&second));
    }
    let (first, second) = (first * factor, second * factor);
    (first.norm_squared(), second.norm_squared(), first.dot(&second))
}

/// The length of a column, whose square may vanish.
fn length(column: DVectorView<'_, f64>) -> f64 {
    let factor = inverse_power_of_two(column.amax());
    (column * factor).norm() / factor
}

/// Brings columns of these lengths to length 1. Short ones, which are not orthogonal to much longer ones, keep of their direction what is;
/// where that is next to nothing, as of columns of length 0, any direction orthogonal to all others will do.
fn normalise(columns: &mut DMatrix<f64>, lengths: &DVector<f64>) {
    let least = LEAST.sqrt();
    for column in 0..columns.ncols() {
        if lengths[column] >= least {
            let length = columns.column(column).norm();
            columns.column_mut(column).unscale_mut(length);
            continue;
        }
        let apart = |mut direction: DVector<f64>| {
            for other in (0..column).chain(0..column) {
                let share = columns.column(other).dot(&direction);
                direction.axpy(-share, &columns.column(other), 1.0);
            }
            direction
        };
        let own = columns.column(column) * inverse_power_of_two(columns.column(column).amax());
        let own = Some(own).filter(|own| own.norm() > 0.0).map(|own| apart(own.normalize()));
        let rows = columns.nrows();
        let unit = |row: usize| DVector::from_fn(rows, |place, _| if place == row { 1.0 } else { 0.0 });
        let direction = own.filter(|own| own.norm() > 0.5).or_else(|| {
            // One of them is at least as long as all have on average, which is not 0: there are fewer columns before than rows.
            (0..rows).map(|row| apart(unit(row))).max_by(|a, b| a.norm_squared().total_cmp(&b.norm_squared()))
        });
        if let Some(direction) = direction {
            columns.set_column(column, &direction.normalize());
        }
    }
}
