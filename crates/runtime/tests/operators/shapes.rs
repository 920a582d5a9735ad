//! Shapes and contractions.

// A range to a position from the end looks empty to the lint, and is not.
#![allow(clippy::reversed_empty_ranges)]

use arenagrad::{AxisIndex, DType, GridOrder};

use super::table::{float, operators};

operators! {
    "torch.roll" (g, x = float(&[4, 5], -2.0, 2.0)) => x.roll([1, -2], [0, 1]);
    "torch.rot90" (g, x = float(&[4, 5], -2.0, 2.0)) => x.rot90(1, [0, 1]);
    "torch.fliplr" (g, x = float(&[4, 5], -2.0, 2.0)) => x.fliplr();
    "torch.flipud" (g, x = float(&[4, 5], -2.0, 2.0)) => x.flipud();
    "torch.flip" (g, x = float(&[4, 5], -2.0, 2.0)) => x.flip([0, 1]);
    "torch.movedim" (g, x = float(&[2, 3, 4], -2.0, 2.0)) => x.movedim([0, 2], [-1, 0]);
    "torch.swapaxes" (g, x = float(&[2, 3, 4], -2.0, 2.0)) => x.transpose(0, -1);
    "torch.diagonal" (g, x = float(&[3, 4, 5], -2.0, 2.0)) => x.diagonal(1, 0, -1);
    "torch.diag" (g, x = float(&[4, 5], -2.0, 2.0)) => x.diag(-1);
    "torch.diag_embed" (g, x = float(&[2, 3], -2.0, 2.0)) => x.diag_embed(1, 0, 2);
    "torch.diagonal_scatter" (g, x = float(&[4, 5], -2.0, 2.0), d = float(&[4], -2.0, 2.0)) => x.diagonal_scatter(d, 1, 0, 1);
    "torch.select" (g, x = float(&[4, 5], -2.0, 2.0)) => x.select_index(1, -2);
    "torch.Tensor.__getitem__" (g, x = float(&[4, 5, 6], -2.0, 2.0)) => x.index((.., 1..-1, -1));
    "torch.Tensor.__getitem__" (g, x = float(&[4, 5, 6], -2.0, 2.0)) => x.index((AxisIndex::Ellipsis, 2.., AxisIndex::NewAxis));
    "torch.select_scatter" (g, x = float(&[4, 5], -2.0, 2.0), s = float(&[4], -2.0, 2.0)) => x.select_scatter(s, 1, -2);
    "torch.slice_scatter" (g, x = float(&[7], -2.0, 2.0), s = float(&[3], -2.0, 2.0)) => x.slice_scatter(s, 0, 1, 7, 2);
    "torch.unbind" (g, x = float(&[3, 4], -2.0, 2.0)) => x.unbind(1);
    "torch.chunk" (g, x = float(&[7, 2], -2.0, 2.0)) => x.chunk(3, 0);
    "torch.split" (g, x = float(&[7, 2], -2.0, 2.0)) => x.split(3, 0);
    "torch.split_with_sizes" (g, x = float(&[2, 7], -2.0, 2.0)) => x.split_sizes([1, 4, 2], 1);
    "torch.tensor_split" (g, x = float(&[7, 2], -2.0, 2.0)) => x.tensor_split(3, 0);
    "torch.tensor_split" (g, x = float(&[7, 2], -2.0, 2.0)) => x.tensor_split_at([2, -1], 0);
    "torch.tile" (g, x = float(&[3, 2], -2.0, 2.0)) => x.tile([2, 1, 3]);
    "torch.Tensor.repeat" (g, x = float(&[3, 1], -2.0, 2.0)) => x.tile([2, 3]);
    "torch.repeat_interleave" (g, x = float(&[3, 2], -2.0, 2.0)) => x.repeat_interleave(2, 0);
    "torch.repeat_interleave" (g, x = float(&[3, 2], -2.0, 2.0)) => x.repeat_interleave_counts(&[2, 0, 1], 0);
    "torch.meshgrid" (g, x = float(&[3], -2.0, 2.0), y = float(&[4], -2.0, 2.0)) => g.meshgrid(&[x, y], GridOrder::Xy);
    "torch.hstack" (g, x = float(&[3, 2], -2.0, 2.0), y = float(&[3, 1], -2.0, 2.0)) => g.hstack(&[x, y]);
    "torch.vstack" (g, x = float(&[3], -2.0, 2.0), y = float(&[2, 3], -2.0, 2.0)) => g.vstack(&[x, y]);
    "torch.dstack" (g, x = float(&[3], -2.0, 2.0), y = float(&[3], -2.0, 2.0)) => g.dstack(&[x, y]);
    "torch.column_stack" (g, x = float(&[3], -2.0, 2.0), y = float(&[3, 2], -2.0, 2.0)) => g.column_stack(&[x, y]);
    "torch.atleast_1d" (g, x = float(&[], -2.0, 2.0)) => x.atleast_1d();
    "torch.atleast_2d" (g, x = float(&[3], -2.0, 2.0)) => x.atleast_2d();
    "torch.atleast_3d" (g, x = float(&[3, 2], -2.0, 2.0)) => x.atleast_3d();
    "torch.unflatten" (g, x = float(&[3, 8], -2.0, 2.0)) => x.unflatten(1, [2, 4]);
    "torch.flatten" (g, x = float(&[2, 3, 4], -2.0, 2.0)) => x.flatten_axes(1, -1);
    "torch.broadcast_to" (g, x = float(&[3, 1], -2.0, 2.0)) => x.broadcast_to([2, 3, 4]);
    "torch.full_like" (g, x = float(&[3, 2], -2.0, 2.0)) => x.full_like(0.5) * x;
    "torch.zeros_like" (g, x = float(&[3, 2], -2.0, 2.0)) => x.zeros_like() + x;
    "torch.ones_like" (g, x = float(&[3, 2], -2.0, 2.0)) => x.ones_like() + x;
    "torch.arange" (g, x = float(&[4], -2.0, 2.0)) => g.arange(-1.0, 1.0, 0.5, x.dtype().expect("a row of the table")) * x;
    "torch.linspace" (g, x = float(&[5], -2.0, 2.0)) => g.linspace(-1.0, 2.0, 5, x.dtype().expect("a row of the table")) * x;
    "torch.eye" (g) => g.eye(3, 4, DType::F32);
    "torch.einsum" (g, x = float(&[2, 3, 4], -2.0, 2.0), y = float(&[2, 4, 5], -2.0, 2.0)) => g.einsum("bij,bjk->bik", &[x, y]);
    "torch.einsum" (g, x = float(&[3, 3, 2], -2.0, 2.0)) => g.einsum("ii...->...i", &[x]);
    "torch.einsum" (g, x = float(&[3, 4], -2.0, 2.0), y = float(&[4, 5], -2.0, 2.0), z = float(&[5, 2], -2.0, 2.0)) => g.einsum("ij,jk,kl", &[x, y, z]);
    "torch.tensordot" (g, x = float(&[2, 5, 3], -2.0, 2.0), y = float(&[3, 4, 5], -2.0, 2.0)) => x.tensordot(y, [1, 2], [2, 0]);
    "torch.outer" (g, x = float(&[3], -2.0, 2.0), y = float(&[4], -2.0, 2.0)) => x.outer(y);
    "torch.dot" (g, x = float(&[5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.dot(y);
    "torch.vdot" (g, x = float(&[5], -2.0, 2.0), y = float(&[5], -2.0, 2.0)) => x.dot(y);
    "torch.inner" (g, x = float(&[2, 5], -2.0, 2.0), y = float(&[3, 5], -2.0, 2.0)) => x.inner(y);
    "torch.kron" (g, x = float(&[2, 3], -2.0, 2.0), y = float(&[3, 2], -2.0, 2.0)) => x.kron(y);
    "torch.linalg.cross" (g, x = float(&[4, 3], -2.0, 2.0), y = float(&[1, 3], -2.0, 2.0)) => x.cross(y, -1);
    "torch.bmm" (g, x = float(&[2, 3, 4], -2.0, 2.0), y = float(&[2, 4, 5], -2.0, 2.0)) => x.matmul(y);
}
