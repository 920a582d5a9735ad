//! The normalisations of layers: each brings elements to a mean of 0 and a variance of 1, or only to a mean square of 1.
//!
//! Elements are multiplied by the reciprocal of their deviation, which is one division for all of them. Variances are those of [`Expr::var`]: from centred elements, which does not cancel as `mean(x^2) - mean(x)^2` does.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::shape::{AxisSet, Shape};

impl<'g> Expr<'g> {
    /// `(x - mean) / sqrt(var + eps) * weight + bias`, mean and variance (the population's) over `axes`; customarily the
    /// last ones. `weight` and `bias` have the extents of `axes`, in order. As with every norm here, `eps` is a finite number; with 0,
    /// elements that are all equal are divided by 0.
    #[track_caller]
    pub fn layer_norm(self, axes: impl Axes, weight: Option<Expr<'g>>, bias: Option<Expr<'g>>, eps: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("layer_norm", &[weight, bias]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("layer_norm", origin, |_, node| node.shape.clone()) else { return self };
        if !self.graph().allows_finite("layer_norm", "eps", eps) {
            return Expr::poisoned(self.graph());
        }
        match self.resolve_axes("layer_norm", &shape, &axes, origin) {
            Ok(set) => self.standardised(set, eps).scaled_and_shifted("layer_norm", &shape, set, weight, bias),
            Err(error) => self.fail(error),
        }
    }

    /// `x / sqrt(mean(x^2) + eps) * weight`, the mean over `axes`. `weight` has the extents of `axes`, in order.
    #[track_caller]
    pub fn rms_norm(self, axes: impl Axes, weight: Option<Expr<'g>>, eps: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("rms_norm", &[weight]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("rms_norm", origin, |_, node| node.shape.clone()) else { return self };
        if !self.graph().allows_finite("rms_norm", "eps", eps) {
            return Expr::poisoned(self.graph());
        }
        match self.resolve_axes("rms_norm", &shape, &axes, origin) {
            Ok(set) => {
                let scaled = self * (self.square().mean_keepdims(set) + eps).sqrt().reciprocal();
                scaled.scaled_and_shifted("rms_norm", &shape, set, weight, None)
            }
            Err(error) => self.fail(error),
        }
    }

    /// Of `[n, c, ..]`, the `c` channels in `groups` equal groups: each group of each sample brought to mean 0 and
    /// variance 1, then each channel scaled by `weight` and shifted by `bias`, both `[c]`.
    #[track_caller]
    pub fn group_norm(self, groups: usize, weight: Option<Expr<'g>>, bias: Option<Expr<'g>>, eps: f64) -> Expr<'g> {
        let Some(_method) = self.enter_floats("group_norm", &[weight, bias]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.channelled("group_norm") else { return Expr::poisoned(self.graph()) };
        if groups == 0 || shape[1] % groups != 0 {
            let expected = "a divisor of the number of channels";
            return self.graph().refuse("group_norm", "the number of groups", groups as f64, expected);
        }
        if !self.graph().allows_finite("group_norm", "eps", eps) {
            return Expr::poisoned(self.graph());
        }
        let group = shape[1..].iter().product::<usize>() / groups;
        let grouped = self.reshape_node(&Shape::from([shape[0], groups, group]), origin);
        let standardised = grouped.standardised([2].into_iter().collect(), eps).reshape_node(&shape, origin);
        standardised.scaled_and_shifted("group_norm", &shape, [1].into_iter().collect(), weight, bias)
    }

    /// Of `[n, c, ..]`: each channel's mean and variance (the population's), both `[c]`: what training normalises with, and
    /// what running statistics are made of.
    #[track_caller]
    pub fn batch_statistics(self) -> (Expr<'g>, Expr<'g>) {
        let Some(_method) = self.enter_floats("batch_statistics", &[]) else {
            return (Expr::poisoned(self.graph()), Expr::poisoned(self.graph()));
        };
        let Some(shape) = self.channelled("batch_statistics") else {
            return (Expr::poisoned(self.graph()), Expr::poisoned(self.graph()));
        };
        let others: AxisSet = (0..shape.rank()).filter(|&axis| axis != 1).collect();
        (self.mean(others), self.var(others, 0.0))
    }

    /// As [`Expr::batch_statistics`], of the batch of which each process of a group has a share, here of `count` elements a channel; and
    /// how many elements a channel has in all. A share may be empty.
    #[track_caller]
    pub(crate) fn group_statistics(self, count: usize, dtype: DType) -> ((Expr<'g>, Expr<'g>), Expr<'g>) {
        let _method = self.enter("group_statistics");
        let poisoned = Expr::poisoned(self.graph());
        let Some(shape) = self.channelled("group_statistics") else { return ((poisoned, poisoned), poisoned) };
        let others: AxisSet = (0..shape.rank()).filter(|&axis| axis != 1).collect();
        let whole = self.graph().full([], count as f64, dtype).all_reduce();
        let mean = self.sum(others).all_reduce() / whole;
        // About the mean, and not by the mean of squares, which would lose the digits of a small variance beside a large mean.
        let deviation = self - mean.along_axes("group_statistics", &shape, [1].into_iter().collect());
        let variance = deviation.square().sum(others).all_reduce() / whole;
        ((mean, variance), whole)
    }

    /// Of `[n, c, ..]`: `(x - mean) / sqrt(variance + eps) * weight + bias`, with the given statistics, all `[c]`: those of
    /// [`Expr::batch_statistics`] in training, through which gradients then flow, or running ones.
    #[track_caller]
    pub fn batch_norm(
        self,
        (mean, variance): (Expr<'g>, Expr<'g>),
        weight: Option<Expr<'g>>,
        bias: Option<Expr<'g>>,
        eps: f64,
    ) -> Expr<'g> {
        let Some(_method) = self.enter_floats("batch_norm", &[Some(mean), Some(variance), weight, bias]) else {
            return Expr::poisoned(self.graph());
        };
        let Some(shape) = self.channelled("batch_norm") else { return Expr::poisoned(self.graph()) };
        if !self.graph().allows_finite("batch_norm", "eps", eps) {
            return Expr::poisoned(self.graph());
        }
        let channel: AxisSet = [1].into_iter().collect();
        let mean = mean.along_axes("batch_norm", &shape, channel);
        let deviation = (variance.along_axes("batch_norm", &shape, channel) + eps).sqrt();
        ((self - mean) * deviation.reciprocal()).scaled_and_shifted("batch_norm", &shape, channel, weight, bias)
    }

    /// `(x - mean) / sqrt(var + eps)` over `axes`.
    #[track_caller]
    fn standardised(self, axes: AxisSet, eps: f64) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some(count) = self.read("layer_norm", origin, |_, node| {
            let extents = node.shape.iter().enumerate().filter(|(axis, _)| axes.contains(*axis));
            extents.map(|(_, &extent)| extent).product::<usize>()
        }) else {
            return self;
        };
        self.graph().apply(&Standardised { axes, count, eps }, &[self])
    }

    /// `x * weight + bias`, both with the extents of `axes` of the shape.
    #[track_caller]
    fn scaled_and_shifted(
        self,
        op: &'static str,
        shape: &Shape,
        axes: AxisSet,
        weight: Option<Expr<'g>>,
        bias: Option<Expr<'g>>,
    ) -> Expr<'g> {
        let scaled = match weight {
            Some(weight) => self * weight.along_axes(op, shape, axes),
            None => self,
        };
        match bias {
            Some(bias) => scaled + bias.along_axes(op, shape, axes),
            None => scaled,
        }
    }

    /// This, which has the extents of `axes` of the shape, with extent 1 along the other axes.
    #[track_caller]
    pub(super) fn along_axes(self, op: &'static str, shape: &Shape, axes: AxisSet) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some(own) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let wanted: Shape = axes.iter().map(|axis| shape[axis]).collect();
        if own != wanted {
            let (lhs, rhs) = (self.describe(), "what it is applied to along its axes".to_owned());
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape: own, rhs, rhs_shape: wanted });
        }
        let aligned = (0..shape.rank()).map(|axis| if axes.contains(axis) { shape[axis] } else { 1 }).collect();
        self.reshape_node(&aligned, origin)
    }

    /// The shape of a batch of samples with channels, `[n, c, ..]`.
    #[track_caller]
    fn channelled(self, op: &'static str) -> Option<Shape> {
        let origin = self.graph().origin_or(Origin::here());
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        if shape.rank() >= 2 {
            return Some(shape);
        }
        let (operand, rank, expected) = (self.describe(), shape.rank(), "rank 2 or more".to_owned());
        self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected })
    }
}

/// `y = (x - mean) / sqrt(var + eps)` over `axes`, which are `count` elements. The gradient is that of the formula, gathered by hand
/// into sums that do not wait for one another: `(u - mean(u) - y mean(u y)) / sqrt(var + eps)` for the upstream gradient `u`.
struct Standardised {
    axes: AxisSet,
    count: usize,
    eps: f64,
}

impl Standardised {
    fn mean<'g>(&self, elements: Expr<'g>) -> Expr<'g> {
        elements.sum_keepdims(self.axes).divided_by(self.count as f64, elements.graph().origin_or(Origin::here()))
    }
}

impl Function for Standardised {
    fn name(&self) -> &'static str {
        "standardised"
    }

    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let origin = operands[0].graph().origin_or(Origin::here());
        let (centred, variance) = operands[0].centred_and_variance(self.axes, 0.0, origin);
        let scale = (variance + self.eps).sqrt().reciprocal();
        let result = centred * scale;
        context.save_for_backward(&[result, scale]);
        result
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let (result, scale) = (context.saved()[0], context.saved()[1]);
        let (mean, along) = (self.mean(upstream), self.mean(upstream * result));
        vec![Some((upstream - mean - result * along) * scale)]
    }
}
