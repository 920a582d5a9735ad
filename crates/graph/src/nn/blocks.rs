//! Sliding blocks of images as columns, and back.

use crate::compose::{AxisNumbers, SlidingBlocks};
use crate::expr::Expr;
use crate::nn::convolution::{append, extents};
use crate::nn::{Layer, Phase};

/// The blocks that slide over images as columns: `[n, c, h, w] -> [n, c kh kw, blocks]`, or both without a batch. PyTorch's
/// `torch.nn.Unfold`; see [`Expr::im2col`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Fold, Unfold};
///
/// let g = Graph::new();
/// let patches = Unfold::new(4).stride(4).apply(g.input("x", [2, 3, 8, 8]));
/// assert_eq!(patches.shape()?.dims(), &[2, 48, 4]);
/// assert_eq!(Fold::new(8, 4).stride(4).apply(patches).shape()?.dims(), &[2, 3, 8, 8]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfold {
    blocks: SlidingBlocks,
}

/// Columns as the blocks of images, whose elements are the sums of what the blocks have there: `[n, c kh kw, blocks] -> [n, c, h, w]`,
/// or both without a batch. PyTorch's `torch.nn.Fold`; see [`Expr::col2im`] and the example of [`Unfold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    size: [usize; 2],
    blocks: SlidingBlocks,
}

impl Unfold {
    /// Blocks of that many elements along height and width, a stride of 1 and no padding.
    pub fn new(kernel: impl Into<AxisNumbers<2>>) -> Self {
        Unfold { blocks: SlidingBlocks::new(kernel) }
    }

    /// How far each block is from its neighbours.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<2>>) -> Self {
        Unfold { blocks: self.blocks.stride(stride) }
    }

    /// So many zeros before the first and after the last element of each axis.
    #[must_use]
    pub fn padding(self, padding: impl Into<AxisNumbers<2>>) -> Self {
        Unfold { blocks: self.blocks.padding(padding) }
    }

    /// How far the elements of a block are apart.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<2>>) -> Self {
        Unfold { blocks: self.blocks.dilation(dilation) }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::im2col`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("Unfold");
        let (kernel, rest) = told(&self.blocks);
        x.graph().layer(format!("Unfold({kernel}{rest})"), "", x, || x.im2col(&self.blocks))
    }
}

impl Fold {
    /// Blocks of `kernel` elements, a stride of 1 and no padding, of images of that size.
    pub fn new(size: impl Into<AxisNumbers<2>>, kernel: impl Into<AxisNumbers<2>>) -> Self {
        Fold { size: size.into().0, blocks: SlidingBlocks::new(kernel) }
    }

    /// How far each block is from its neighbours.
    #[must_use]
    pub fn stride(self, stride: impl Into<AxisNumbers<2>>) -> Self {
        Fold { blocks: self.blocks.stride(stride), ..self }
    }

    /// So many elements before the first and after the last of each axis, which fall away.
    #[must_use]
    pub fn padding(self, padding: impl Into<AxisNumbers<2>>) -> Self {
        Fold { blocks: self.blocks.padding(padding), ..self }
    }

    /// How far the elements of a block are apart.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<AxisNumbers<2>>) -> Self {
        Fold { blocks: self.blocks.dilation(dilation), ..self }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::col2im`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("Fold");
        let (kernel, rest) = told(&self.blocks);
        let kind = format!("Fold({}, {kernel}{rest})", extents(self.size));
        x.graph().layer(kind, "", x, || x.col2im(self.size, &self.blocks))
    }
}

impl Layer for Unfold {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for Fold {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

/// What a table prints of the blocks: `4x4`, and `, stride 4`.
fn told(blocks: &SlidingBlocks) -> (String, String) {
    let mut rest = String::new();
    append(&mut rest, "stride", blocks.stride, 1);
    append(&mut rest, "padding", blocks.padding, 0);
    append(&mut rest, "dilation", blocks.dilation, 1);
    (extents(blocks.kernel), rest)
}
