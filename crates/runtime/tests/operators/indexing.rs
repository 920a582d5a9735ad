//! Gathering and scattering.

use arenagrad::ScatterReduction;

use super::table::{float, integer, operators, truth};

operators! {
    "torch.scatter" (g, x = float(&[5, 3], -2.0, 2.0), i = integer(&[4, 3], 0, 4), u = float(&[4, 3], -2.0, 2.0)) => x.scatter(0, i, u);
    "torch.scatter" (g, x = float(&[4, 5], -2.0, 2.0), i = integer(&[3, 2], 0, 4)) => x.scatter(1, i, 0.5);
    "torch.scatter_reduce" (g, x = float(&[5], -2.0, 2.0), i = integer(&[9], 0, 4), u = float(&[9], -2.0, 2.0)) => x.scatter_reduce(0, i, u, ScatterReduction::Sum, false);
    "torch.scatter_reduce" (g, x = float(&[5], -2.0, 2.0), i = integer(&[9], 0, 4), u = float(&[9], -2.0, 2.0)) => x.scatter_reduce(0, i, u, ScatterReduction::Mean, true);
    "torch.scatter_reduce" (g, x = float(&[5, 2], 0.5, 2.0), i = integer(&[6, 2], 0, 4), u = float(&[6, 2], 0.5, 2.0)) => x.scatter_reduce(0, i, u, ScatterReduction::Prod, true);
    "torch.scatter_reduce" (g, x = float(&[2, 5], -2.0, 2.0), i = integer(&[2, 7], 0, 4), u = float(&[2, 7], -2.0, 2.0)) => x.scatter_reduce(1, i, u, ScatterReduction::Amax, true);
    "torch.scatter_reduce" (g, x = float(&[5], -2.0, 2.0), i = integer(&[9], 0, 4), u = float(&[9], -2.0, 2.0)) => x.scatter_reduce(0, i, u, ScatterReduction::Amin, false);
    "torch.index_add" (g, x = float(&[5, 3], -2.0, 2.0), i = integer(&[4], 0, 4), u = float(&[4, 3], -2.0, 2.0)) => x.index_add(0, i, u, -0.5);
    "torch.index_copy" (g, x = float(&[2, 5], -2.0, 2.0), i = integer(&[4], 0, 4), u = float(&[2, 4], -2.0, 2.0)) => x.index_copy(1, i, u);
    "torch.index_fill" (g, x = float(&[5, 3], -2.0, 2.0), i = integer(&[2], 0, 2)) => x.index_fill(1, i, -1.0);
    "torch.index_reduce" (g, x = float(&[5, 3], 0.5, 2.0), i = integer(&[6], 0, 4), u = float(&[6, 3], 0.5, 2.0)) => x.index_reduce(0, i, u, ScatterReduction::Prod, false);
    "torch.index_put" (g, x = float(&[4, 3, 5], -2.0, 2.0), i = integer(&[2], -4, 3), k = integer(&[3, 1], -5, 4), v = float(&[3, 2, 3], -2.0, 2.0)) => x.index_put(&[Some(i), None, Some(k)], v, false);
    "torch.index_put" (g, x = float(&[4, 3], -2.0, 2.0), i = integer(&[6], -4, 3), k = integer(&[6], 0, 2), v = float(&[6], -2.0, 2.0)) => x.index_put(&[Some(i), Some(k)], v, true);
    "torch.Tensor.put_" (g, x = float(&[3, 4], -2.0, 2.0), i = integer(&[5], -12, 11), v = float(&[5], -2.0, 2.0)) => x.put(i, v, true);
    "torch.take" (g, x = float(&[3, 4], -2.0, 2.0), i = integer(&[2, 5], -12, 11)) => x.take(i);
    "torch.take_along_dim" (g, x = float(&[1, 5], -2.0, 2.0), i = integer(&[4, 2], 0, 4)) => x.take_along_dim(1, i);
    "torch.masked_fill" (g, x = float(&[5], -2.0, 2.0), m = truth(&[3, 5])) => x.masked_fill(m, f64::NEG_INFINITY).exp();
    "torch.gather" (g, x = float(&[5, 3], -2.0, 2.0), i = integer(&[4, 3], 0, 4)) => x.gather(0, i);
    "torch.index_select" (g, x = float(&[5, 3], -2.0, 2.0), i = integer(&[4], 0, 4)) => x.index_select(0, i);
    "torch.scatter_add" (g, x = float(&[5, 3], -2.0, 2.0), i = integer(&[4, 3], 0, 4), u = float(&[4, 3], -2.0, 2.0)) => x.scatter_add(0, i, u);
}
