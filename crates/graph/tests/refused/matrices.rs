//! Wrong calls of linear algebra and its kin.

use arenagrad_graph::MatrixNorm;

use super::{Call, Outcome};

/// Linear algebra, what is composed of products, and bits of integers.
pub(super) fn of_matrices() -> Vec<(&'static str, Vec<Call>)> {
    let mut all = calls_of_one! {
        inv() x labels scalar; det() x scalar; slogdet() x scalar; cholesky() x scalar; qr() scalar indices; eigh() x scalar;
        svd() scalar indices; svdvals() scalar indices; vector_norm(-2.0, 5) x; vector_norm(f64::NAN, ..) x;
        vector_norm(-1.0, 0) indices; matrix_norm(MatrixNorm::Nuclear, [0, 0]) x; trace() row;
        matrix_norm(MatrixNorm::LargestRow, [0, 7]) x; cov(1.0, None, None) wide indices; corrcoef() wide indices;
        matrix_power(3) x truth scalar; matrix_power(-2) x labels; matrix_exp() x indices row; pinv(None) row indices; pinv(Some(f64::NAN)) x;
        histc(3, 0.0, 1.0) labels truth; histc(0, 0.0, 1.0) x; histc(3, 1.0, 0.0) x; histc(3, -3e38, 3e38) x; histc(3, 0.0, f64::INFINITY) x;
        pdist(2.0) row indices wide; pdist(-1.0) x; bitwise_not() x;
    };
    all.extend(calls! {
        bitwise_and: |o| o.x.bitwise_and(o.x), |o| o.indices.bitwise_and(o.truth), |o| o.truth.bitwise_and(o.foreign);
        bitwise_or: |o| o.x.bitwise_or(1.0), |o| o.indices.bitwise_or(0.5), |o| o.poisoned.bitwise_or(1);
        bitwise_xor: |o| o.x.bitwise_xor(o.x), |o| o.truth.bitwise_xor(o.indices), |o| o.indices.bitwise_xor(o.foreign_labels);
        shift_left: |o| o.x.shift_left(1), |o| o.indices.shift_left(o.truth), |o| o.truth.shift_left(o.truth);
        shift_right: |o| o.x.shift_right(1), |o| o.indices.shift_right(o.x), |o| o.indices.shift_right(o.step.unsqueeze(9));
        solve: |o| o.x.solve(o.x), |o| o.other.solve(o.foreign), |o| o.poisoned.solve(o.x), |o| o.scalar.solve(o.x);
        solve_triangular: |o| o.x.solve_triangular(o.x, true, true, false), |o| o.x.solve_triangular(o.foreign, true, false, true);
        cholesky_solve: |o| o.x.cholesky_solve(o.x, false), |o| o.other.cholesky_solve(o.foreign, true), |o| o.poisoned.cholesky_solve(o.x, false);
        lstsq: |o| o.x.lstsq(o.row, None), |o| o.x.lstsq(o.foreign, None), |o| o.x.lstsq(o.x, Some(-1.0)), |o| o.stale.lstsq(o.x, None);
        bincount: |o| o.x.bincount(3, None), |o| o.labels.bincount(3, Some(o.row)), |o| o.labels.bincount(3, Some(o.foreign)),
            |o| o.labels.bincount(usize::MAX, Some(o.truth)), |o| o.poisoned.bincount(2, None);
        block_diag: |o| o.g.block_diag(&[]), |o| o.g.block_diag(&[o.x, o.foreign]), |o| o.g.block_diag(&[o.x, o.indices]),
            |o| o.g.block_diag(&[o.wide]), |o| o.g.block_diag(&[o.x, o.poisoned]);
        cov: |o| o.x.cov(1.0, Some(o.labels), None), |o| o.x.cov(1.0, None, Some(o.index_row)),
            |o| o.x.cov(1.0, Some(o.row), None), |o| o.x.cov(1.0, None, Some(o.foreign_row));
        cdist: |o| o.x.cdist(o.other, 2.0), |o| o.x.cdist(o.foreign, 2.0), |o| o.x.cdist(o.x, f64::NAN), |o| o.x.cdist(o.row, 1.0);
        bilinear: |o| o.x.bilinear(o.x, o.other, None), |o| o.x.bilinear(o.foreign, o.other, None),
            |o| o.x.bilinear(o.other, o.wide, None), |o| o.scalar.bilinear(o.x, o.wide, None);
        multi_dot: |o| o.g.multi_dot(&[]), |o| o.g.multi_dot(&[o.x]), |o| o.g.multi_dot(&[o.x, o.x]), |o| o.g.multi_dot(&[o.x, o.foreign]),
            |o| o.g.multi_dot(&[o.x, o.row, o.other]), |o| o.g.multi_dot(&[o.x, o.poisoned]);
    });
    all
}
