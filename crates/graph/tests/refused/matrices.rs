//! Wrong calls of linear algebra, of Fourier transforms, and their kin.

use arenagrad_graph::{DType, MatrixNorm};

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
        pdist(2.0) row indices wide; pdist(-1.0) x; bitwise_not() x; rfft(2) x; rfft(0) indices scalar;
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
        fft: |o| o.x.fft(o.x, 2), |o| o.x.fft(o.row, 0), |o| o.x.fft(o.foreign, 0), |o| o.indices.fft(o.x, 0);
        ifft: |o| o.x.ifft(o.x, 2), |o| o.x.ifft(o.poisoned, 0), |o| o.x.ifft(o.indices, 0), |o| o.x.ifft(o.other, 0);
        irfft: |o| o.x.irfft(o.x, 0, 1), |o| o.x.irfft(o.x, 3, 2), |o| o.x.irfft(o.row, 3, 1), |o| o.x.irfft(o.foreign, 3, 1),
            |o| o.row.irfft(o.row, usize::MAX, 0), |o| o.row.irfft(o.row, (1 << 24) + 1, 0), |o| o.wide.irfft(o.wide, 3, 16);
        stft: |o| o.x.stft(o.x, 1, true), |o| o.x.stft(o.row, 0, false), |o| o.x.stft(o.long_row, 1, false), |o| o.column.stft(o.long_row, 1, true),
            |o| o.scalar.stft(o.row, 1, false), |o| o.x.stft(o.foreign_row, 1, true), |o| o.x.stft(o.index_row, 1, true);
        istft: |o| o.x.istft(o.x, o.row, 0, true, None), |o| o.x.istft(o.x, o.long_row, 1, true, None), |o| o.x.istft(o.other, o.row, 1, true, None),
            |o| o.row.istft(o.row, o.row, 1, true, None), |o| o.x.istft(o.x, o.foreign_row, 1, true, None), |o| o.x.istft(o.x, o.row, usize::MAX, true, None),
            |o| o.x.istft(o.x, o.row, 1, true, Some(usize::MAX));
        hann_window: |o| o.g.hann_window(4, true, DType::I32), |o| o.g.hann_window((1 << 24) + 1, true, DType::F32);
        hamming_window: |o| o.g.hamming_window(4, true, DType::Bool);
        blackman_window: |o| o.g.blackman_window(4, true, DType::Bool);
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
