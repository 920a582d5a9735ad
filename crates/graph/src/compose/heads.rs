//! The features of attention in heads, and back.

use crate::error::GraphError;
use crate::expr::Expr;

impl<'g> Expr<'g> {
    /// The features of each position as so many heads beside one another: `[.., positions, heads * depth] -> [.., heads,
    /// positions, depth]`, which is what [`Expr::scaled_dot_product_attention`] takes. Any dtype. [`Expr::merge_heads`] is the
    /// way back. (PyTorch: `x.unflatten(-1, (heads, -1)).transpose(-3, -2)`.)
    ///
    /// Errors: less than rank 2; heads that do not divide the features, or none.
    ///
    /// Attention whose queries, keys and values come of one matrix, as in GPT-2:
    ///
    /// ```
    /// use arenagrad_graph::{Attention, Graph, nn::Linear};
    ///
    /// let (width, heads) = (64, 4);
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 10, width]);
    /// let together = Linear::new("c_attn", width, 3 * width).apply(x);
    /// let [q, k, v] = [0, 1, 2].map(|part| together.slice(-1, part * width, (part + 1) * width).split_heads(heads));
    /// let causal = Attention { is_causal: true, ..Attention::default() };
    /// let attended = q.scaled_dot_product_attention(k, v, None, causal).merge_heads();
    /// assert_eq!(q.shape()?.dims(), &[2, 4, 10, 16]);
    /// assert_eq!(Linear::new("c_proj", width, width).apply(attended).shape()?.dims(), &[2, 10, 64]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn split_heads(self, heads: usize) -> Expr<'g> {
        const OP: &str = "split_heads";
        let method = self.enter(OP);
        let origin = method.origin();
        let Some(shape) = self.read(OP, origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank < 2 {
            let (operand, expected) = (self.describe(), "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op: OP, operand, shape, rank, expected });
        }
        let features = shape[rank - 1];
        if heads == 0 || features % heads != 0 {
            let operand = self.describe();
            return self.fail(GraphError::UnevenHeads { origin, op: OP, operand, shape, features, heads });
        }
        self.unflatten(-1, [heads, features / heads]).transpose(-3, -2)
    }

    /// Heads as the features of each position: `[.., heads, positions, depth] -> [.., positions, heads * depth]`, the way back from
    /// [`Expr::split_heads`]. Any dtype.
    ///
    /// Errors: less than rank 3.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 4, 10, 16]).merge_heads().shape()?.dims(), &[2, 10, 64]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn merge_heads(self) -> Expr<'g> {
        const OP: &str = "merge_heads";
        let method = self.enter(OP);
        let origin = method.origin();
        let Some(shape) = self.read(OP, origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank < 3 {
            let (operand, expected) = (self.describe(), "rank 3 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op: OP, operand, shape, rank, expected });
        }
        self.transpose(-3, -2).flatten_axes(-2, -1)
    }
}
