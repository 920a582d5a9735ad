//! Distances and directions of vectors that stand along one axis.

use crate::expr::Expr;

impl<'g> Expr<'g> {
    /// Each vector along `axis` divided by its p-norm, or by `eps` where that is larger: length 1. PyTorch's defaults are a `p` of 2, axis
    /// 1 and an `eps` of 1e-12. Shape and dtype stay. Floats. The gradient goes through the norm as far as it is at least `eps`; it is
    /// finite at the zero vector.
    ///
    /// Errors: `p` or `eps` is NaN; an axis that there is not.
    #[track_caller]
    pub fn normalize(self, p: f64, axis: isize, eps: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("normalize", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self / self.norm(p, axis).clamp(Some(eps), None).unsqueeze(axis)
    }

    /// The p-norm along the last axis of the differences of two tensors, to each of which `eps` is added, with broadcasting:
    /// `[.., n] x [.., n] -> [..]`. PyTorch's defaults are a `p` of 2 and an `eps` of 1e-6. Floats. The derivatives are those of
    /// [`Expr::norm`].
    ///
    /// Errors: `p` is NaN; shapes that do not broadcast; scalars.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (x, y) = (g.input("x", [8, 1, 3]), g.input("y", [5, 3]));
    /// assert_eq!(x.pairwise_distance(y, 2.0, 1e-6).shape()?.dims(), &[8, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn pairwise_distance(self, other: Expr<'g>, p: f64, eps: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("pairwise_distance", &[Some(other)]) else {
            return Expr::poisoned(self.graph());
        };
        (self - other + eps).norm(p, -1)
    }

    /// The cosine of the angle between vectors along `axis`, with broadcasting: the sum of products of both, each divided by its length, or
    /// by `eps` where that is larger. PyTorch's defaults are axis 1 and an `eps` of 1e-8. Floats. `axis` falls away. The gradients are
    /// finite also at zero vectors.
    ///
    /// Errors: shapes that do not broadcast; an axis that there is not.
    #[track_caller]
    pub fn cosine_similarity(self, other: Expr<'g>, axis: isize, eps: f64) -> Expr<'g> {
        let Some(method) = self.enter_floats("cosine_similarity", &[Some(other)]) else {
            return Expr::poisoned(self.graph());
        };
        match self.broadcast_pair(other, "cosine_similarity", method.origin()) {
            Some((lhs, rhs)) => {
                let [lhs, rhs] = [lhs, rhs].map(|id| Expr::from_id(self.graph(), id));
                (lhs.normalize(2.0, axis, eps) * rhs.normalize(2.0, axis, eps)).sum([axis])
            }
            None => Expr::poisoned(self.graph()),
        }
    }
}
