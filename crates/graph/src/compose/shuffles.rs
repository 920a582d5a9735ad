//! Channels for pixels, pixels for channels, and channels among themselves: views.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// `factor^2` channels as one of an image `factor` times as high and wide: `[.., c r^2, h, w] -> [.., c, h r, w r]`. Any dtype.
    ///
    /// `y[.., c, h r + i, w r + j] = x[.., c r^2 + i r + j, h, w]`: the sub-pixel convolution's arrangement (Shi et al. 2016). The gradient
    /// is [`Expr::pixel_unshuffle`] of the upstream one.
    ///
    /// Errors: a rank below 3; a factor of 0; channels that `factor^2` does not divide. PyTorch's `pixel_shuffle`.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 12, 4, 4]);
    /// assert_eq!(x.pixel_shuffle(2).shape()?.dims(), &[1, 3, 8, 8]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pixel_shuffle(self, factor: usize) -> Expr<'g> {
        let method = self.enter("pixel_shuffle");
        let origin = method.origin();
        let Some(shape) = self.image_shape("pixel_shuffle", origin) else { return Expr::poisoned(self.graph()) };
        let first = shape.rank() - 3;
        let [channels, height, width] = [shape[first], shape[first + 1], shape[first + 2]];
        let square = factor.saturating_mul(factor);
        if square == 0 || channels % square != 0 {
            let expected = "a number whose square divides the number of channels";
            return self.graph().refuse("pixel_shuffle", "the factor", factor as f64, expected);
        }
        let apart = [channels / square, factor, factor, height, width];
        let joined = [channels / square, height.saturating_mul(factor), width.saturating_mul(factor)];
        self.rearranged(&shape[..first], &apart, [0, 3, 1, 4, 2], &joined, origin)
    }

    /// Blocks of `factor` by `factor` pixels as channels: `[.., c, h r, w r] -> [.., c r^2, h, w]`, the inverse of
    /// [`Expr::pixel_shuffle`], which is its gradient. Any dtype.
    ///
    /// Errors: a rank below 3; a factor that does not divide height and width. PyTorch's `pixel_unshuffle`.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 3, 8, 8]);
    /// assert_eq!(x.pixel_unshuffle(2).shape()?.dims(), &[1, 12, 4, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pixel_unshuffle(self, factor: usize) -> Expr<'g> {
        let method = self.enter("pixel_unshuffle");
        let origin = method.origin();
        let Some(shape) = self.image_shape("pixel_unshuffle", origin) else { return Expr::poisoned(self.graph()) };
        let first = shape.rank() - 3;
        let [channels, height, width] = [shape[first], shape[first + 1], shape[first + 2]];
        if factor == 0 || height % factor != 0 || width % factor != 0 {
            let expected = "a number that divides height and width";
            return self.graph().refuse("pixel_unshuffle", "the factor", factor as f64, expected);
        }
        let (height, width) = (height / factor, width / factor);
        let apart = [channels, height, factor, width, factor];
        let square = factor.saturating_mul(factor);
        let joined = [channels.saturating_mul(square), height, width];
        self.rearranged(&shape[..first], &apart, [0, 2, 4, 1, 3], &joined, origin)
    }

    /// Channels of `groups` groups interleaved, `[n, c, ..]`: the first of each group, then the second of each, and so on, so that the
    /// next grouped convolution sees all groups (Zhang et al. 2018). The gradient is that of the inverse order. Any dtype.
    ///
    /// Errors: a rank below 2; a number of groups that does not divide the channels. PyTorch's `channel_shuffle`.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 6, 4, 4]);
    /// let y = x.channel_shuffle(2); // channels 0, 3, 1, 4, 2, 5
    /// assert_eq!(y.shape()?, x.shape()?);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn channel_shuffle(self, groups: usize) -> Expr<'g> {
        let method = self.enter("channel_shuffle");
        let origin = method.origin();
        let Some(shape) = self.read("channel_shuffle", origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank < 2 {
            let (op, operand, expected) = ("channel_shuffle", self.describe(), "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if groups == 0 || shape[1] % groups != 0 {
            let expected = "a divisor of the number of channels";
            return self.graph().refuse("channel_shuffle", "the number of groups", groups as f64, expected);
        }
        let others = shape[2..].iter().product();
        let apart = Shape::from([shape[0], groups, shape[1] / groups, others]);
        self.reshape_node(&apart, origin).permute([0, 2, 1, 3]).reshape_node(&shape, origin)
    }

    /// The shape, if it is that of images with channels: `[.., c, h, w]`.
    fn image_shape(self, op: &'static str, origin: Origin) -> Option<Shape> {
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let rank = shape.rank();
        if rank >= 3 {
            return Some(shape);
        }
        let (operand, expected) = (self.describe(), "rank 3 or more".to_owned());
        self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected })
    }

    /// The last axes taken apart, in another order, and joined; those in front are left, as one while it lasts.
    fn rearranged(
        self,
        leading: &[usize],
        apart: &[usize; 5],
        order: [isize; 5],
        joined: &[usize; 3],
        origin: Origin,
    ) -> Expr<'g> {
        let count: usize = leading.iter().product();
        let wide: Shape = [count].into_iter().chain(*apart).collect();
        let order: Vec<isize> = [0].into_iter().chain(order.map(|axis| axis + 1)).collect();
        let result: Shape = leading.iter().chain(joined).copied().collect();
        self.reshape_node(&wide, origin).permute(order).reshape_node(&result, origin)
    }
}
