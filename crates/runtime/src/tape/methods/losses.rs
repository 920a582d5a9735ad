//! Losses and distances.

use arenagrad_graph::{Ctc, Expr, Origin, PoissonNll, Reduction, TripletMargin};

use crate::tape::Variable;

methods! {
    /// The p-norm of differences along the last axis.
    pairwise_distance(other; p: f64, eps: f64);
    /// The cosine of the angle between vectors along an axis.
    cosine_similarity(other; axis: isize, eps: f64);
    /// `max(0, -t (x - other) + margin)`.
    margin_ranking_loss(other, target; margin: f64, reduction: Reduction);
    /// Of distances: `x` where the target is 1, `max(0, margin - x)` where it is -1.
    hinge_embedding_loss(target; margin: f64, reduction: Reduction);
    /// `ln(1 + e^(-t x))`.
    soft_margin_loss(target; reduction: Reduction);
    /// How far the angle between vectors is from what the target says.
    cosine_embedding_loss(other, target; margin: f64, reduction: Reduction);
    /// `max(0, |a - p| - |a - n| + margin)`.
    triplet_margin_loss(positive, negative; options: TripletMargin);
    /// Several right classes, each ahead of all others by a margin.
    multilabel_margin_loss(labels; reduction: Reduction);
    /// The negative log-likelihood of counts.
    poisson_nll_loss(target; options: PoissonNll);
    /// The negative log-likelihood under normal distributions.
    gaussian_nll_loss(target, variance; full: bool, eps: f64, reduction: Reduction);
    /// The negative logarithm of a label sequence's probability over all its alignments.
    ctc_loss(targets, input_lengths, target_lengths; options: Ctc);
}

impl Variable {
    /// The right class ahead of all others by a margin. See [`Expr::multi_margin_loss`](crate::Expr::multi_margin_loss).
    #[track_caller]
    pub fn multi_margin_loss(
        &self,
        labels: &Variable,
        p: i32,
        margin: f64,
        weight: Option<&Variable>,
        reduction: Reduction,
    ) -> Variable {
        let operands: Vec<&Variable> = [self, labels].into_iter().chain(weight).collect();
        Variable::new(self.tape_inner().record("multi_margin_loss", &operands, Origin::here(), |_, x| {
            Ok(x[0].multi_margin_loss(x[1], p, margin, x.get(2).copied(), reduction))
        }))
    }

    /// `max(0, distance(a, p) - distance(a, n) + margin)`; the distance is of expressions. See
    /// [`Expr::triplet_margin_with_distance_loss`](crate::Expr::triplet_margin_with_distance_loss).
    #[track_caller]
    pub fn triplet_margin_with_distance_loss(
        &self,
        positive: &Variable,
        negative: &Variable,
        distance: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> Expr<'g>,
        margin: f64,
        swap: bool,
        reduction: Reduction,
    ) -> Variable {
        let (name, operands) = ("triplet_margin_with_distance_loss", [self, positive, negative]);
        Variable::new(self.tape_inner().record(name, &operands, Origin::here(), |_, x| {
            Ok(x[0].triplet_margin_with_distance_loss(x[1], x[2], distance, margin, swap, reduction))
        }))
    }

    /// The mean over the classes of each one's own logistic loss. See
    /// [`Expr::multilabel_soft_margin_loss`](crate::Expr::multilabel_soft_margin_loss).
    #[track_caller]
    pub fn multilabel_soft_margin_loss(
        &self,
        target: &Variable,
        weight: Option<&Variable>,
        reduction: Reduction,
    ) -> Variable {
        let operands: Vec<&Variable> = [self, target].into_iter().chain(weight).collect();
        Variable::new(self.tape_inner().record("multilabel_soft_margin_loss", &operands, Origin::here(), |_, x| {
            Ok(x[0].multilabel_soft_margin_loss(x[1], x.get(2).copied(), reduction))
        }))
    }
}
