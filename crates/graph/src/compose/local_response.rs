//! Normalisation of each element by its neighbours along the channels.

use crate::error::GraphError;
use crate::expr::Expr;

impl<'g> Expr<'g> {
    /// Each element over a power of the mean square of `size` neighbouring channels at its place, `[n, c, ..] -> [n, c, ..]`:
    /// `x / (k + alpha mean(x'^2))^beta`, the mean over the channels `c - size / 2..=c + (size - 1) / 2`, both rounded down, with
    /// zeros beside the first and the last (Krizhevsky et al. 2012). Floats. PyTorch's `F.local_response_norm`, whose defaults are an
    /// `alpha` of 1e-4, a `beta` of 0.75 and a `k` of 1.
    ///
    /// Errors: no float; a rank below 3; a size of 0; numbers that are not finite.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 16, 7, 7]);
    /// assert_eq!(x.local_response_norm(5, 1e-4, 0.75, 2.0).shape()?, x.shape()?);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn local_response_norm(self, size: usize, alpha: f64, beta: f64, k: f64) -> Expr<'g> {
        const OP: &str = "local_response_norm";
        let method = self.enter(OP);
        let (graph, origin) = (self.graph(), method.origin());
        let poisoned = Expr::poisoned(graph);
        let Some((shape, dtype)) = self.read(OP, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return poisoned;
        };
        if !dtype.is_float() {
            let (op, operand, expected) = (OP, self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let rank = shape.rank();
        if rank < 3 {
            let (op, operand, expected) = (OP, self.describe(), "rank 3 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if size == 0 {
            return graph.refuse(OP, "the size", 0.0, "1 or more");
        }
        let is_finite = |(what, value)| graph.allows_finite(OP, what, value);
        if ![("alpha", alpha), ("beta", beta), ("k", k)].into_iter().all(is_finite) {
            return poisoned;
        }
        if shape.contains(&0) {
            return self;
        }
        let mut around = vec![(0, 0); rank];
        // Further than all channels there are zeros alone.
        let (before, behind) = ((size / 2).min(shape[1]), ((size - 1) / 2).min(shape[1]));
        around[1] = (before, behind);
        let squares = self.square().pad(around, 0.0).windows([1], [before + behind + 1], [1], [1]);
        self / (squares.sum([-1]) * (alpha / size as f64) + k).powf(beta)
    }
}
