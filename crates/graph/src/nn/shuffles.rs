//! Layers that bring channels and pixels into another order.

use crate::expr::Expr;
use crate::nn::{Layer, Phase};

/// Channels as pixels: `[.., c r r, h, w] -> [.., c, h r, w r]` for the factor `r`, as the last layer of a network that enlarges images
/// (Shi et al. 2016). PyTorch's `torch.nn.PixelShuffle`; see [`Expr::pixel_shuffle`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Conv2d, Phase, PixelShuffle, Sequential};
///
/// let twice = Sequential::new("up").layer(|name| Conv2d::new(name, 8, 12, 3).padding(1)).then(PixelShuffle::new(2));
/// let g = Graph::new();
/// assert_eq!(twice.apply(g.input("x", [1, 8, 5, 7]), Phase::Training).shape()?.dims(), &[1, 3, 10, 14]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelShuffle {
    factor: usize,
}

/// Pixels as channels: `[.., c, h r, w r] -> [.., c r r, h, w]` for the factor `r`. PyTorch's `torch.nn.PixelUnshuffle`; see
/// [`Expr::pixel_unshuffle`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::PixelUnshuffle;
///
/// let g = Graph::new();
/// assert_eq!(PixelUnshuffle::new(2).apply(g.input("x", [1, 3, 10, 14])).shape()?.dims(), &[1, 12, 5, 7]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelUnshuffle {
    factor: usize,
}

/// The channels of so many groups interleaved, `[n, c, ..] -> [n, c, ..]`, between convolutions of groups. PyTorch's
/// `torch.nn.ChannelShuffle`; see [`Expr::channel_shuffle`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::ChannelShuffle;
///
/// let g = Graph::new();
/// assert_eq!(ChannelShuffle::new(2).apply(g.input("x", [1, 6, 4, 4])).shape()?.dims(), &[1, 6, 4, 4]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelShuffle {
    groups: usize,
}

impl PixelShuffle {
    /// By that factor along height and width.
    pub fn new(factor: usize) -> Self {
        PixelShuffle { factor }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::pixel_shuffle`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("PixelShuffle");
        x.graph().layer(format!("PixelShuffle({})", self.factor), "", x, || x.pixel_shuffle(self.factor))
    }
}

impl PixelUnshuffle {
    /// By that factor along height and width.
    pub fn new(factor: usize) -> Self {
        PixelUnshuffle { factor }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::pixel_unshuffle`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("PixelUnshuffle");
        x.graph().layer(format!("PixelUnshuffle({})", self.factor), "", x, || x.pixel_unshuffle(self.factor))
    }
}

impl ChannelShuffle {
    /// Of so many groups.
    pub fn new(groups: usize) -> Self {
        ChannelShuffle { groups }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::channel_shuffle`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("ChannelShuffle");
        x.graph().layer(format!("ChannelShuffle({})", self.groups), "", x, || x.channel_shuffle(self.groups))
    }
}

impl Layer for PixelShuffle {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for PixelUnshuffle {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}

impl Layer for ChannelShuffle {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
