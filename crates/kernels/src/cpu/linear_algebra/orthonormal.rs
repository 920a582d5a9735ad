//! `A = Q R` by reflections, whose columns Q are orthonormal however small what is left of a column has become.
//!
//! A reflection squares what it reflects. nalgebra's does so as the elements are, and where the square vanishes, or keeps a few digits, what it gives is
//! no reflection.

use nalgebra::{DMatrix, QR};

/// The length from which on squares have all their digits, by far.
const LEAST_LENGTH: f64 = 1e-140;

/// The orthonormal columns of `A = Q R`.
pub(super) fn orthonormal(mut matrix: DMatrix<f64>) -> DMatrix<f64> {
    // The squares of a column's elements must neither overflow nor vanish. A factor of a column is one of a column of R: Q is the same, and
    // by powers of two it has the same bits.
    for mut column in matrix.column_iter_mut() {
        let largest = column.amax();
        if largest > 0.0 && largest < f64::INFINITY {
            column *= inverse_power_of_two(largest);
        }
    }
    let decomposed = QR::new(matrix);
    let q = decomposed.q();
    orthonormalised(&q, &decomposed.r()).unwrap_or(q)
}

/// The columns of Q made orthonormal, where what was left of a column was so short that its reflection was none; R has these lengths on its
/// diagonal. Such columns are far from nothing themselves, so that once more is enough.
pub(super) fn orthonormalised(q: &DMatrix<f64>, r: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    r.iter().any(|&x| x != 0.0 && x.abs() < LEAST_LENGTH).then(|| QR::new(q.clone()).q())
}

/// A power of two that brings a number near 1, exactly; those at both ends of the range less near.
pub(super) fn inverse_power_of_two(number: f64) -> f64 {
    let exponent = ((number.to_bits() >> 52) & 0x7ff).clamp(23, 2023);
    f64::from_bits((2046 - exponent) << 52)
}
