//! Losses with a margin: what is right by more than the margin costs nothing. Labels that say which of two sides is meant are 1 and
//! -1, of the predictions' dtype. Where a loss has a corner its derivative is 0.

use crate::compose::losses::Reduction;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

/// The options of [`Expr::triplet_margin_loss`]; the default is PyTorch's.
#[derive(Clone, Copy, Debug)]
#[must_use = "options do nothing until a loss takes them"]
pub struct TripletMargin {
    /// By how much the negative must be farther away than the positive.
    pub margin: f64,
    /// The order of the norm that is the distance.
    pub p: f64,
    /// What is added to differences before the norm is taken.
    pub eps: f64,
    /// Whether the negative's distance from the positive counts where it is the smaller one.
    pub swap: bool,
    /// What becomes of the triplets' losses.
    pub reduction: Reduction,
}

impl Default for TripletMargin {
    fn default() -> TripletMargin {
        TripletMargin { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

impl<'g> Expr<'g> {
    /// `max(0, -t (x - other) + margin)`: `x` should be the larger where `t` is 1, and `other` where it is -1. The derivative in `x` is
    /// `-t` where the loss is above 0. All three broadcast to one shape, as in PyTorch.
    #[track_caller]
    pub fn margin_ranking_loss(self, other: Expr<'g>, target: Expr<'g>, margin: f64, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_loss("margin_ranking_loss", reduction) else {
            return Expr::poisoned(self.graph());
        };
        reduction.of((margin - target * (self - other)).relu())
    }

    /// Of distances `x`: `x` where `t` is 1, and `max(0, margin - x)` where it is -1. PyTorch's default of the margin is 1.
    #[track_caller]
    pub fn hinge_embedding_loss(self, target: Expr<'g>, margin: f64, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_loss("hinge_embedding_loss", reduction) else {
            return Expr::poisoned(self.graph());
        };
        if self.shape_shared_with(target, "hinge_embedding_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        // Of any other label both terms count, as in PyTorch.
        let hinge = target.not_equal(1.0).where_((margin - self).relu(), 0.0);
        reduction.of(hinge + target.not_equal(-1.0).where_(self, 0.0))
    }

    /// `ln(1 + e^(-t x))`, finite for every finite product. The derivative in `x` is `-t sigmoid(-t x)`.
    #[track_caller]
    pub fn soft_margin_loss(self, target: Expr<'g>, reduction: Reduction) -> Expr<'g> {
        let Some(_method) = self.enter_floats("soft_margin_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if self.shape_shared_with(target, "soft_margin_loss").is_none() {
            return Expr::poisoned(self.graph());
        }
        reduction.of(-(target * self).log_sigmoid())
    }

    /// Of vectors `[n, d]`, or one `[d]`, and labels `[n]` or `[]`: `1 - cos` of the angle between both where the label is 1, and
    /// `max(0, cos - margin)` where it is -1. PyTorch adds 1e-12 to the squares of the lengths, and so does this: gradients are
    /// finite also at zero vectors.
    ///
    /// Errors: vectors or labels of other shapes.
    #[track_caller]
    pub fn cosine_embedding_loss(
        self,
        other: Expr<'g>,
        target: Expr<'g>,
        margin: f64,
        reduction: Reduction,
    ) -> Expr<'g> {
        let Some(method) = self.enter_floats("cosine_embedding_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let (op, origin, poisoned) = ("cosine_embedding_loss", method.origin(), Expr::poisoned(self.graph()));
        let Some(shape) = self.shape_shared_with(other, op) else { return poisoned };
        let rank = shape.rank();
        if rank == 0 || rank > 2 {
            let (operand, expected) = (self.describe(), "rank 1 or 2".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        // PyTorch's number is an f32, in f64 too: between vectors of zeros the gradient shows it.
        let least = f64::from(1e-12f32);
        let square = |x: Expr<'g>| x.graph().at(origin, || x.square().sum([-1]) + least);
        let cosine = (self * other).sum([-1]) / (square(self) * square(other)).sqrt();
        if cosine.shape_shared_with(target, op).is_none() {
            return poisoned;
        }
        let alike = target.equal(1.0).where_(1.0 - cosine, 0.0);
        reduction.of(alike + target.equal(-1.0).where_((cosine - margin).relu(), 0.0))
    }

    /// Of anchors, positives and negatives `[.., d]`: `max(0, |a - p| - |a - n| + margin)`, the distances those of
    /// [`Expr::pairwise_distance`]; one loss a triplet, `[..]`. With `swap` the negative's distance is the smaller of those from the
    /// anchor and from the positive (Balntas et al., 2016).
    ///
    /// ```
    /// use arenagrad_graph::{Graph, TripletMargin};
    /// let g = Graph::new();
    /// let [anchor, positive, negative] = ["a", "p", "n"].map(|name| g.input(name, [8, 16]));
    /// let loss = anchor.triplet_margin_loss(positive, negative, TripletMargin { swap: true, ..TripletMargin::default() });
    /// assert_eq!(loss.shape()?.rank(), 0);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn triplet_margin_loss(self, positive: Expr<'g>, negative: Expr<'g>, options: TripletMargin) -> Expr<'g> {
        let Some(_method) = self.enter_floats("triplet_margin_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        for operand in [positive, negative] {
            if self.shape_shared_with(operand, "triplet_margin_loss").is_none() {
                return Expr::poisoned(self.graph());
            }
        }
        let TripletMargin { margin, p, eps, swap, reduction } = options;
        let near = self.pairwise_distance(positive, p, eps);
        let far = self.pairwise_distance(negative, p, eps);
        let far = if swap { far.minimum(positive.pairwise_distance(negative, p, eps)) } else { far };
        reduction.of((near - far + margin).relu())
    }

    /// [`Expr::triplet_margin_loss`] by a distance of the caller's own, one number for each pair of vectors:
    /// `max(0, distance(a, p) - distance(a, n) + margin)`, where with `swap` the smaller of `distance(a, n)` and `distance(p, n)` counts. (PyTorch's
    /// `triplet_margin_with_distance_loss`, whose default of the margin is 1.) Floats.
    ///
    /// The gradients are those of the distance, and 0 where the loss is. Errors: anchors, positives and negatives of other shapes; distances of other
    /// shapes; what the distance refuses.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, Reduction};
    /// let g = Graph::new();
    /// let [anchor, positive, negative] = ["a", "p", "n"].map(|name| g.input(name, [8, 16]));
    /// let loss = anchor.triplet_margin_with_distance_loss(
    ///     positive,
    ///     negative,
    ///     |x, y| 1.0 - x.cosine_similarity(y, -1, 1e-8),
    ///     0.5,
    ///     false,
    ///     Reduction::Mean,
    /// );
    /// assert_eq!(loss.shape()?.rank(), 0);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn triplet_margin_with_distance_loss(
        self,
        positive: Expr<'g>,
        negative: Expr<'g>,
        distance: impl Fn(Expr<'g>, Expr<'g>) -> Expr<'g>,
        margin: f64,
        swap: bool,
        reduction: Reduction,
    ) -> Expr<'g> {
        let op = "triplet_margin_with_distance_loss";
        let Some(_method) = self.enter_floats(op, &[Some(positive), Some(negative)]) else {
            return Expr::poisoned(self.graph());
        };
        for operand in [positive, negative] {
            if self.shape_shared_with(operand, op).is_none() {
                return Expr::poisoned(self.graph());
            }
        }
        let (near, far) = (distance(self, positive), distance(self, negative));
        let other = if swap { distance(positive, negative) } else { far };
        for distance in [far, other] {
            if near.form_shared_with(distance, op).is_none() {
                return Expr::poisoned(self.graph());
            }
        }
        let far = if swap { far.minimum(other) } else { far };
        reduction.of((near - far + margin).relu())
    }

    /// Of scores `[n, classes]` and i32 labels `[n]`, or `[classes]` and `[]`: the sum over all other classes `i` of
    /// `max(0, margin - x[label] + x[i])^p`, over the number of classes. `weight`, `[classes]`, scales each sample by its label's. PyTorch's
    /// defaults are a `p` of 1 and a margin of 1.
    ///
    /// Errors: `p` is neither 1 nor 2; labels that are no classes, as in [`Expr::cross_entropy`]; other shapes.
    #[track_caller]
    #[allow(clippy::manual_map)] // A closure would hide the caller's line from the node that is built in it.
    pub fn multi_margin_loss(
        self,
        labels: Expr<'g>,
        p: i32,
        margin: f64,
        weight: Option<Expr<'g>>,
        reduction: Reduction,
    ) -> Expr<'g> {
        let Some(method) = self.enter_floats("multi_margin_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let (op, origin, poisoned) = ("multi_margin_loss", method.origin(), Expr::poisoned(self.graph()));
        if p != 1 && p != 2 {
            return self.graph().refuse(op, "p", f64::from(p), "1 or 2");
        }
        if self.same_graph_all(&[Some(labels), weight], op, origin).is_none() {
            return poisoned;
        }
        let Some(shape) = self.rows_of_classes(op) else { return poisoned };
        let (last, classes) = (shape.rank() - 1, shape[shape.rank() - 1]);
        let axis = last as isize;
        // The score at the label, and whatever the labels must fulfil.
        let label_score = -self.nll_loss_with(
            labels,
            crate::compose::CrossEntropy {
                class_axis: Some(axis),
                reduction: Reduction::None,
                ..crate::compose::CrossEntropy::default()
            },
        );
        let is_label = labels.unsqueeze(-1).equal(self.graph().iota(&shape, last));
        // Beside a label that is no class nothing may be finite, neither what comes in, for the gradients, nor what goes out.
        let factor = labels.nan_if_unchecked(op, classes, self);
        let factor_of_row = match factor {
            Some(factor) => Some(factor.unsqueeze(-1)),
            None => None,
        };
        let excess = (self.spoilt_by(factor_of_row) - label_score.unsqueeze(-1) + margin).relu();
        let raised = if p == 1 { excess } else { excess.square() };
        let mut loss = is_label.where_(0.0, raised).sum([axis]) / classes as f64;
        if let Some(weight) = weight {
            let weight = weight.along_axes(op, &shape, [last].into_iter().collect()).spoilt_by(factor_of_row);
            loss = loss * is_label.where_(weight, 0.0).sum([axis]);
        }
        reduction.of(loss.spoilt_by(factor))
    }

    /// Of scores `[n, classes]` or `[classes]` and i32 labels of the same shape, where a row lists the classes that are right and ends at the
    /// first label below 0: the sum over every right class `j` and every other `i` of `max(0, 1 - x[j] + x[i])`, over the number of
    /// classes. Each pair of classes is compared, which is what the loss is a sum over.
    ///
    /// Errors: labels that are not i32; other shapes. A label past the classes is NaN, and its gradient too.
    #[track_caller]
    pub fn multilabel_margin_loss(self, labels: Expr<'g>, reduction: Reduction) -> Expr<'g> {
        let Some(method) = self.enter_floats("multilabel_margin_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let (op, origin, poisoned) = ("multilabel_margin_loss", method.origin(), Expr::poisoned(self.graph()));
        let Some(shape) = self.rows_of_classes(op) else { return poisoned };
        if self.shape_shared_with(labels, op).is_none() {
            return poisoned;
        }
        match labels.read(op, origin, |_, node| node.dtype) {
            Some(DType::I32) => {}
            Some(dtype) => {
                let (operand, expected) = (labels.describe(), "i32");
                return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
            }
            None => return poisoned,
        }
        let (rank, classes) = (shape.rank(), shape[shape.rank() - 1]);
        // [.., j, i]: label j of the row beside label or class i.
        let pairs: Shape = shape.iter().copied().chain([classes]).collect();
        let (row, column) = (self.graph().iota(&pairs, rank - 1), self.graph().iota(&pairs, rank));
        let (label_of_row, label_of_column) = (labels.unsqueeze(-1), labels.unsqueeze(-2));
        let one = self.constant_beside(1.0, origin);
        // The labels up to j that end the list.
        let ends = (column.less_equal(row) & label_of_column.less(0)).where_(one.unsqueeze(-1), 0.0).sum([-1]);
        let is_listed = ends.equal(0.0).unsqueeze(-1);
        let is_chosen = is_listed & label_of_row.equal(column);
        let is_past = is_listed & label_of_row.greater_equal(i32::try_from(classes).unwrap_or(i32::MAX));
        // What comes in, for the gradients, and what goes out.
        let factor = is_past.any([-2]).nan_where(self);
        let scores = (self * factor).unsqueeze(-2);
        let chosen_score = is_chosen.where_(scores, 0.0).sum_keepdims([-1]);
        let is_right = is_chosen.where_(one.unsqueeze(-1), 0.0).sum_keepdims([-2]).greater(0.0);
        let counts = is_listed & !is_right;
        let loss = counts.where_((1.0 - chosen_score + scores).relu(), 0.0);
        reduction.of(loss.sum([-2, -1]) / classes as f64 * factor.squeeze(-1))
    }

    /// Of logits `[.., classes]` and targets in [0, 1] of the same shape: the mean over the classes of
    /// `-weight (t ln sigmoid(x) + (1 - t) ln sigmoid(-x))`, finite for every finite `x`. The weight broadcasts to the logits' shape. The
    /// derivative in `x` is `weight (sigmoid(x) - t)` over the number of classes.
    ///
    /// Errors: scalars; shapes that differ.
    #[track_caller]
    pub fn multilabel_soft_margin_loss(
        self,
        target: Expr<'g>,
        weight: Option<Expr<'g>>,
        reduction: Reduction,
    ) -> Expr<'g> {
        let Some(_method) = self.enter_floats("multilabel_soft_margin_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let loss = self.binary_cross_entropy_with_logits_weighted(target, weight, None, Reduction::None);
        reduction.of(loss.mean([-1]))
    }

    /// The shape of scores `[n, classes]` or `[classes]`.
    #[track_caller]
    fn rows_of_classes(self, op: &'static str) -> Option<Shape> {
        let origin = self.graph().origin_or(Origin::here());
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        if matches!(shape.rank(), 1 | 2) {
            return Some(shape);
        }
        let (operand, rank, expected) = (self.describe(), shape.rank(), "rank 1 or 2".to_owned());
        self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected })
    }
}
