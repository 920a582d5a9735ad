//! Sliding blocks: what convolutions are sums over, as columns of their own, and back.

use crate::compose::convolution::AxisNumbers;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::{Arrangement, Extents, Op, Windows};
use crate::shape::Shape;

/// Blocks that slide over two axes: PyTorch's arguments of `unfold` and `fold`, and their defaults. Unless said otherwise, the stride
/// is 1, nothing is padded, and the elements of a block are neighbours.
///
/// ```
/// # use arenagrad_graph::{Graph, SlidingBlocks};
/// let g = Graph::new();
/// let x = g.input("x", [2, 3, 8, 8]);
/// let blocks = SlidingBlocks::new(2).stride(2);
/// let columns = x.im2col(&blocks);
/// assert_eq!(columns.shape()?.dims(), [2, 12, 16]);
/// assert_eq!(columns.col2im([8, 8], &blocks).shape()?.dims(), [2, 3, 8, 8]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingBlocks {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl SlidingBlocks {
    /// Blocks of that many elements along each axis.
    pub fn new(kernel: impl Into<AxisNumbers<2>>) -> Self {
        SlidingBlocks { kernel: kernel.into().0, stride: [1; 2], padding: [0; 2], dilation: [1; 2] }
    }

    /// How far each block is from its neighbours.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<2>>) -> Self {
        SlidingBlocks { stride: stride.into().0, ..self }
    }

    /// The zeros before the first and after the last element of each axis.
    #[must_use]
    pub fn padding(self, padding: impl Into<AxisNumbers<2>>) -> Self {
        SlidingBlocks { padding: padding.into().0, ..self }
    }

    /// How far the elements of a block are apart.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<2>>) -> Self {
        SlidingBlocks { dilation: dilation.into().0, ..self }
    }

    /// How many blocks there are along each of the last two axes of `shape`, of `operand`.
    fn counts(
        &self,
        shape: &Shape,
        operand: Expr<'_>,
        op: &'static str,
        origin: Origin,
    ) -> Result<[usize; 2], GraphError> {
        for (what, numbers) in
            [("the kernel", self.kernel), ("the stride", self.stride), ("the dilation", self.dilation)]
        {
            if numbers.contains(&0) {
                return Err(GraphError::Argument { origin, op, what, value: 0.0, expected: "at least 1" });
            }
        }
        let mut counts = [0; 2];
        for (place, count) in counts.iter_mut().enumerate() {
            let (kernel, dilation, axis) = (self.kernel[place], self.dilation[place], shape.rank() - 2 + place);
            let span = (kernel - 1).saturating_mul(dilation).saturating_add(1);
            let padded = shape[axis].saturating_add(self.padding[place].saturating_mul(2));
            if span > padded {
                let (operand, shape) = (operand.describe(), shape.clone());
                return Err(GraphError::Kernel { origin, op, axis, kernel, dilation, span, operand, shape, padded });
            }
            *count = (padded - span) / self.stride[place] + 1;
        }
        Ok(counts)
    }

    /// The blocks of `[n, c, h, w]`, as `[n, c, kh, kw, blocks along h, blocks along w]`.
    fn of<'g>(&self, x: Expr<'g>, shape: &Shape, origin: Origin) -> Expr<'g> {
        let padded: Shape = shape[..2]
            .iter()
            .copied()
            .chain((0..2).map(|place| shape[2 + place].saturating_add(self.padding[place].saturating_mul(2))))
            .collect();
        let lows = thin_vec::thin_vec![0, 0, self.padding[0], self.padding[1]];
        let padded = x.pad_node(lows, thin_vec::thin_vec![0; 4], 0.0, &padded, origin);
        let [extents, steps, dilations] = [self.kernel, self.stride, self.dilation].map(Extents::from);
        let arrangement =
            Arrangement::Windows(Box::new(Windows { axes: thin_vec::thin_vec![2, 3], extents, steps, dilations }));
        let Some(operand) = padded.raw() else { return padded };
        padded.insert(Op::View { operand, arrangement }, None, None, origin).permute([0, 1, 4, 5, 2, 3])
    }
}

impl<'g> Expr<'g> {
    /// The blocks that slide over the last two axes, each as a column (PyTorch's `torch.nn.functional.unfold`, im2col):
    /// `[n, c, h, w] -> [n, c kh kw, blocks]`, or without a batch `[c, h, w] -> [c kh kw, blocks]`. Element `(c kh + i) kw + j` of
    /// block `(p, q)` is `x[n, c, p stride + i dilation - padding, q stride + j dilation - padding]`, 0 outside of x. A product reads
    /// such columns where they stand, without a copy. The gradient adds up what an element has in all blocks: [`Expr::col2im`].
    ///
    /// Errors: a rank that is neither 4 nor 3; a block that is longer than the padded axis; a kernel, stride or dilation of 0.
    #[track_caller]
    pub fn im2col(self, blocks: &SlidingBlocks) -> Expr<'g> {
        let method = self.enter("im2col");
        let (op, origin) = ("im2col", method.origin());
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank != 4 && rank != 3 {
            let (operand, expected) = (self.describe(), "rank 4, or 3 without a batch,".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let counts = match blocks.counts(&shape, self, op, origin) {
            Ok(counts) => counts,
            Err(error) => return self.fail(error),
        };
        let batched: Shape = std::iter::repeat_n(1, 4 - rank).chain(shape.iter().copied()).collect();
        let windows = blocks.of(self.reshape_node(&batched, origin), &batched, origin);
        let rows = batched[1].saturating_mul(blocks.kernel[0]).saturating_mul(blocks.kernel[1]);
        let batch = (rank == 4).then_some(batched[0]);
        let columns = batch.into_iter().chain([rows, counts[0].saturating_mul(counts[1])]).collect();
        windows.reshape_node(&columns, origin)
    }

    /// The sums of columns that [`Expr::im2col`] would take from the same elements of a tensor whose last two extents are `extents`
    /// (PyTorch's `torch.nn.functional.fold`, col2im): `[n, c kh kw, blocks] -> [n, c, h, w]`, or without a batch. It is the gradient of
    /// `im2col`, and `im2col` is its.
    ///
    /// Errors: a rank that is neither 3 nor 2; rows that are no whole number of blocks; another number of columns than there are blocks;
    /// and those of `im2col`.
    #[track_caller]
    pub fn col2im(self, extents: [usize; 2], blocks: &SlidingBlocks) -> Expr<'g> {
        let method = self.enter("col2im");
        let (op, origin) = ("col2im", method.origin());
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        let rank = shape.rank();
        if rank != 3 && rank != 2 {
            let (operand, expected) = (self.describe(), "rank 3, or 2 without a batch,".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if !dtype.is_float() {
            let operand = self.describe();
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected: "a float" });
        }
        let result = Shape::from(extents);
        let counts = match blocks.counts(&result, self, op, origin) {
            Ok(counts) => counts,
            Err(error) => return self.fail(error),
        };
        let (rows, columns) = (shape[rank - 2], shape[rank - 1]);
        let in_block = blocks.kernel[0].saturating_mul(blocks.kernel[1]);
        let refused = |what, extent, expected| {
            let (operand, shape, result) = (self.describe(), shape.clone(), result.clone());
            self.fail(GraphError::Blocks { origin, op, what, operand, shape, extent, expected, result })
        };
        if !rows.is_multiple_of(in_block) {
            return refused("rows", rows, format!("a multiple of {in_block}"));
        }
        let count = counts[0].saturating_mul(counts[1]);
        if columns != count {
            return refused("columns", columns, count.to_string());
        }
        let (n, c) = (if rank == 3 { shape[0] } else { 1 }, rows / in_block);
        let [kernel_rows, kernel_columns] = blocks.kernel;
        let upstream = Shape::from([n, c, kernel_rows, kernel_columns, counts[0], counts[1]]);
        let upstream = self.reshape_node(&upstream, origin);
        // What reverse mode makes of blocks of anything of the result's shape: they are a view, so its elements have no part in it.
        let target = Shape::from([n, c, extents[0], extents[1]]);
        let place = self.graph().zeros(target.clone(), dtype);
        let of_blocks = blocks.of(place, &target, origin);
        let folded = match self.graph().gradients(&[of_blocks], &[upstream], &[place]) {
            Ok(gradients) => gradients[0],
            Err(error) => return self.fail(error),
        };
        let batch = (rank == 3).then_some(n);
        folded.reshape_node(&batch.into_iter().chain([c]).chain(extents).collect(), origin)
    }

    /// The slices of `size` elements of an axis, `step` apart, along a new last axis (PyTorch's `Tensor.unfold`):
    /// `[.., n, ..] -> [.., (n - size) / step + 1, .., size]`. Nothing is copied: it is one axis of [`Expr::windows`]. Negative axes
    /// count from the end.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [7, 2]).unfold(0, 3, 2).shape()?.dims(), [3, 2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Errors: an axis that is none; a size or step of 0; a size that is longer than the axis.
    #[track_caller]
    pub fn unfold(self, axis: isize, size: usize, step: usize) -> Expr<'g> {
        let _method = self.enter("unfold");
        self.windows([axis], [size], [step], [1])
    }
}
