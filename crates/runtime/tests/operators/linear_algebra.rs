//! Linear algebra.

use arenagrad::MatrixNorm;

use super::table::{float, integer, operators};

operators! {
    "torch.linalg.solve" cpu_alone (g, a = float(&[2, 3, 3], -2.0, 2.0), b = float(&[3, 2], -1.0, 1.0)) => a.solve(b);
    "torch.linalg.solve_triangular" cpu_alone (g, a = float(&[3, 3], 0.5, 2.0), b = float(&[2, 3, 2], -1.0, 1.0)) =>
        a.solve_triangular(b, true, true, false);
    "torch.linalg.solve_triangular(left=False, unitriangular=True)" cpu_alone (g, a = float(&[3, 3], -2.0, 2.0), b = float(&[2, 3], -1.0, 1.0)) =>
        a.solve_triangular(b, false, false, true);
    "torch.linalg.inv" cpu_alone (g, a = float(&[2, 3, 3], -2.0, 2.0)) => a.inv();
    "torch.linalg.det" cpu_alone (g, a = float(&[2, 3, 3], -2.0, 2.0)) => a.det();
    "torch.linalg.slogdet" cpu_alone (g, a = float(&[2, 3, 3], -2.0, 2.0)) => a.slogdet();
    "torch.linalg.cholesky" cpu_alone (g, x = float(&[3, 4], -2.0, 2.0)) => x.matmul(x.t()).cholesky();
    "torch.linalg.cholesky(upper=True)" cpu_alone (g, x = float(&[3, 4], -2.0, 2.0)) => x.matmul(x.t()).cholesky().transpose(-2, -1);
    "torch.linalg.qr" cpu_alone (g, a = float(&[4, 3], -2.0, 2.0)) => a.qr();
    "torch.linalg.eigh" cpu_alone (g, a = float(&[3, 3], -2.0, 2.0)) => (a + a.t()).eigh();
    "torch.linalg.eigvalsh" cpu_alone (g, a = float(&[3, 3], -2.0, 2.0)) => (a + a.t()).eigh().0;
    "torch.linalg.svd(full_matrices=False)" cpu_alone (g, a = float(&[2, 4, 3], -2.0, 2.0)) => a.svd();
    "torch.linalg.svdvals" cpu_alone (g, a = float(&[3, 4], -2.0, 2.0)) => a.svdvals();
    "torch.linalg.matrix_power" (g, a = float(&[2, 3, 3], -1.0, 1.0)) => a.matrix_power(5);
    "torch.linalg.matrix_power(n=-2)" cpu_alone (g, a = float(&[3, 3], -2.0, 2.0)) => a.matrix_power(-2);
    "torch.linalg.matrix_exp" (g, a = float(&[2, 3, 3], -1.0, 1.0)) => a.matrix_exp();
    "torch.cholesky_solve" cpu_alone (g, l = float(&[3, 3], 0.5, 2.0), b = float(&[2, 3, 2], -1.0, 1.0)) => l.cholesky_solve(b, false);
    "torch.cholesky_solve(upper=True)" cpu_alone (g, u = float(&[3, 3], 0.5, 2.0), b = float(&[3, 2], -1.0, 1.0)) => u.cholesky_solve(b, true);
    "torch.linalg.pinv" cpu_alone (g, a = float(&[2, 4, 3], -2.0, 2.0)) => a.pinv(None);
    "torch.linalg.lstsq(A, B).solution" cpu_alone (g, a = float(&[4, 3], -2.0, 2.0), b = float(&[4], -1.0, 1.0)) => a.lstsq(b, None);
    "torch.block_diag" (g, a = float(&[2, 3], -2.0, 2.0), b = float(&[2], -2.0, 2.0)) => g.block_diag(&[a, b]);
    "torch.linalg.matrix_norm" (g, a = float(&[2, 3, 4], -2.0, 2.0)) => a.matrix_norm(MatrixNorm::Frobenius, [-2, -1]);
    "torch.linalg.matrix_norm(ord=inf)" (g, a = float(&[2, 3, 4], -2.0, 2.0)) => a.matrix_norm(MatrixNorm::LargestRow, [-2, -1]);
    "torch.linalg.matrix_norm(ord=-1)" (g, a = float(&[2, 3, 4], -2.0, 2.0)) => a.matrix_norm(MatrixNorm::LeastColumn, [0, 2]);
    "torch.linalg.matrix_norm(ord='nuc')" cpu_alone (g, a = float(&[3, 4], -2.0, 2.0)) => a.matrix_norm(MatrixNorm::Nuclear, [-2, -1]);
    "torch.linalg.matrix_norm(ord=2)" cpu_alone (g, a = float(&[4, 2, 3], -2.0, 2.0)) => a.matrix_norm(MatrixNorm::Spectral, [-1, 0]);
    "torch.linalg.vector_norm" (g, x = float(&[3, 4], -2.0, 2.0)) => x.vector_norm(2.0, -1);
    "torch.linalg.vector_norm(ord=-2)" (g, x = float(&[3, 4], -2.0, 2.0)) => x.vector_norm(-2.0, -1);
    "torch.linalg.multi_dot" (g, a = float(&[2, 5], -2.0, 2.0), b = float(&[5, 3], -2.0, 2.0), c = float(&[3], -2.0, 2.0)) => g.multi_dot(&[a, b, c]);
    "torch.trace" (g, x = float(&[4, 3], -2.0, 2.0)) => x.trace();
    "torch.mv" (g, a = float(&[3, 4], -2.0, 2.0), x = float(&[4], -2.0, 2.0)) => a.matmul(x);
    "torch.addmv" (g, x = float(&[3], -2.0, 2.0), a = float(&[3, 4], -2.0, 2.0), b = float(&[4], -2.0, 2.0)) => x * 0.5 + a.matmul(b) * 2.0;
    "torch.addr" (g, x = float(&[3, 4], -2.0, 2.0), a = float(&[3], -2.0, 2.0), b = float(&[4], -2.0, 2.0)) => x * 0.5 + a.unsqueeze(1) * b * 2.0;
    "torch.baddbmm" (g, x = float(&[2, 3, 4], -2.0, 2.0), a = float(&[2, 3, 5], -2.0, 2.0), b = float(&[2, 5, 4], -2.0, 2.0)) => x * 0.5 + a.matmul(b) * 2.0;
    "torch.addbmm" (g, x = float(&[3, 4], -2.0, 2.0), a = float(&[2, 3, 5], -2.0, 2.0), b = float(&[2, 5, 4], -2.0, 2.0)) => x * 0.5 + a.matmul(b).sum(0) * 2.0;
    "torch.cov" (g, x = float(&[3, 5], -2.0, 2.0)) => x.cov(1.0, None, None);
    "torch.cov(fweights, aweights)" (g, x = float(&[3, 5], -2.0, 2.0), f = integer(&[5], 1, 4), w = float(&[5], 0.5, 2.0)) => x.cov(1.0, Some(f), Some(w));
    "torch.corrcoef" (g, x = float(&[3, 6], -2.0, 2.0)) => x.corrcoef();
    "torch.cdist" (g, x = float(&[2, 4, 3], -2.0, 2.0), y = float(&[5, 3], -2.0, 2.0)) => x.cdist(y, 2.0);
    "torch.cdist(p=inf)" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[5, 3], -2.0, 2.0)) => x.cdist(y, f64::INFINITY);
    "F.pdist" (g, x = float(&[5, 3], -2.0, 2.0)) => x.pdist(2.0);
    "F.bilinear" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[4, 2], -2.0, 2.0), w = float(&[5, 3, 2], -1.0, 1.0), b = float(&[5], -1.0, 1.0)) => x.bilinear(y, w, Some(b));
}
