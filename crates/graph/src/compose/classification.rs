//! Losses and measures of classifiers: cross-entropy, negative log-likelihood, one-hot encoding, accuracy.
//!
//! Logits have one axis of classes: axis 1 as in PyTorch's `[n, classes, d1, ..]`, or axis 0 if there is no other. Labels are
//! i32 class indices in the shape of the logits without that axis. The class is picked by comparing the labels with the
//! coordinates along the axis and summing, which fuses with what stands around it; a gather would not.
//!
//! Labels that stand in the graph are checked when they are used, labels that come from an input at each run. A label that
//! was computed on the device cannot be; if it is out of range the loss and its gradient are NaN, never silently 0.

use crate::compose::losses::Reduction;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::{Leaf, Op};
use crate::shape::Shape;

/// The options of cross-entropy and negative log-likelihood; the default is the plain mean. More may come: write yours over the
/// default, `CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() }`.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options do nothing until a loss takes them"]
pub struct CrossEntropy<'g> {
    /// The axis of the classes; negative ones count from the end. `None`: axis 1, or axis 0 of logits of rank 1.
    pub class_axis: Option<isize>,
    /// `[classes]`: how much each class counts. A mean divides by the sum of the labels' weights.
    pub weight: Option<Expr<'g>>,
    /// A label that is left out of loss, gradient and mean; it need not be a class. PyTorch's default is -100.
    pub ignore_index: Option<i32>,
    /// The share of the target that is spread evenly over all classes, in [0, 1].
    pub label_smoothing: f64,
    /// What becomes of the samples' losses. Over nothing but ignored labels the mean is NaN.
    pub reduction: Reduction,
}

impl<'g> Expr<'g> {
    /// The mean cross-entropy of logits `[n, classes]` and targets, `-ln softmax(x)[label]`: either i32 class indices `[n]`, or
    /// class probabilities of the logits' shape and dtype. Finite for finite logits; a logit of -inf counts as far as its class
    /// is possible, and not at all where its probability or its weight is 0. The derivative is `(softmax(x) - target) / n`.
    ///
    /// Further axes, weights, ignored labels and smoothing: [`Expr::cross_entropy_with`].
    #[track_caller]
    pub fn cross_entropy(self, targets: Expr<'g>) -> Expr<'g> {
        let Some(_method) = self.enter_floats("cross_entropy", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self.cross_entropy_with(targets, CrossEntropy::default())
    }

    /// The cross-entropy of logits `[n, classes, d1, ..]` and class indices `[n, d1, ..]`, or class probabilities of the
    /// logits' shape:
    /// `sum over classes c of -weight[c] q[c] ln softmax(x)[c]`, where `q` is `(1 - label_smoothing) target + label_smoothing / classes`.
    ///
    /// With probabilities the mean is over the samples, whatever the weights, and there is no ignored label, as in PyTorch.
    #[track_caller]
    pub fn cross_entropy_with(self, targets: Expr<'g>, options: CrossEntropy<'g>) -> Expr<'g> {
        let Some(_method) = self.enter_floats("cross_entropy_with", &[]) else {
            return Expr::poisoned(self.graph());
        };
        let origin = self.graph().origin_or(Origin::here());
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(targets, "cross_entropy", origin).is_none() {
            return poisoned;
        }
        match targets.read("cross_entropy", origin, |_, node| node.dtype) {
            Some(DType::F32 | DType::F64) => self.cross_entropy_probabilities(targets, options),
            Some(DType::I32 | DType::Bool) => self.class_index_loss("cross_entropy", targets, options, true),
            None => poisoned,
        }
    }

    /// [`Expr::cross_entropy_with`] for class probabilities, which have the logits' shape and dtype.
    #[track_caller]
    pub fn cross_entropy_probabilities(self, targets: Expr<'g>, options: CrossEntropy<'g>) -> Expr<'g> {
        let _method = self.enter("cross_entropy_probabilities");
        let op = "cross_entropy";
        if let Some(ignored) = options.ignore_index {
            let expected = "no ignored label beside class probabilities";
            return self.graph().refuse(op, "ignore_index", f64::from(ignored), expected);
        }
        let (poisoned, origin) = (Expr::poisoned(self.graph()), self.graph().origin_or(Origin::here()));
        if self.same_graph_all(&[options.weight], op, origin).is_none() {
            return poisoned;
        }
        let Some((shape, axis)) = self.class_axis(op, options) else { return poisoned };
        if self.are_probabilities(op, targets, &shape, axis).is_none() {
            return poisoned;
        }
        let classes = shape[axis];
        let smoothing = options.label_smoothing;
        let smoothed =
            if smoothing == 0.0 { targets } else { targets * (1.0 - smoothing) + smoothing / classes as f64 };
        let weighted = match options.weight {
            Some(weight) => smoothed * weight.along_axes(op, &shape, [axis].into_iter().collect()),
            None => smoothed,
        };
        options.reduction.of(-self.log_softmax(axis as isize).weighted_by(weighted).sum([axis]))
    }

    /// Checks that class probabilities have the shape of these logits, and says if not what targets may be.
    #[track_caller]
    fn are_probabilities(self, op: &'static str, targets: Expr<'g>, shape: &Shape, axis: usize) -> Option<()> {
        let origin = self.graph().origin_or(Origin::here());
        self.same_graph(targets, op, origin)?;
        let (target_shape, dtype) = targets.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        if target_shape == *shape && dtype.is_float() {
            return Some(());
        }
        self.fail_without(GraphError::Targets {
            origin,
            op,
            targets: targets.describe(),
            dtype,
            target_shape,
            logits: self.describe(),
            logits_shape: shape.clone(),
            label_shape: shape.without([axis].into_iter().collect()),
        })
    }

    /// The mean negative log-likelihood of logarithms of probabilities `[n, classes]` at class indices `[n]`: `-x[label]`.
    #[track_caller]
    pub fn nll_loss(self, labels: Expr<'g>) -> Expr<'g> {
        let Some(_method) = self.enter_floats("nll_loss", &[]) else {
            return Expr::poisoned(self.graph());
        };
        self.nll_loss_with(labels, CrossEntropy::default())
    }

    /// [`Expr::nll_loss`] of `[n, classes, d1, ..]` with options, of which `label_smoothing` must be 0.
    #[track_caller]
    pub fn nll_loss_with(self, labels: Expr<'g>, options: CrossEntropy<'g>) -> Expr<'g> {
        let Some(_method) = self.enter_floats("nll_loss_with", &[]) else {
            return Expr::poisoned(self.graph());
        };
        if options.label_smoothing != 0.0 {
            let expected = "0 (only cross_entropy smooths labels)";
            return self.graph().refuse("nll_loss", "label_smoothing", options.label_smoothing, expected);
        }
        self.class_index_loss("nll_loss", labels, options, false)
    }

    /// f32 `[.., classes]`: 1 at each i32 element's own index along the new last axis, else 0. Indices out of range: as
    /// labels of a loss, an error where they can be checked, else a row of NaN.
    #[track_caller]
    pub fn one_hot(self, classes: usize) -> Expr<'g> {
        let _method = self.enter("one_hot");
        let origin = self.graph().origin_or(Origin::here());
        let Some(shape) = self.read("one_hot", origin, |_, node| node.shape.clone()) else { return self };
        let range = match self.checked_labels("one_hot", classes, None) {
            Some(range) => range,
            None => return Expr::poisoned(self.graph()),
        };
        let axis = shape.rank();
        let column: Shape = shape.iter().copied().chain([1]).collect();
        let labels = self.reshape_node(&column, origin);
        let coordinate = self.graph().iota(column.with_extent(axis, classes), axis);
        let comparison = labels.equal(coordinate);
        let encoded = comparison.cast(DType::F32);
        match range {
            Range::Checked => encoded,
            Range::OfInput => {
                labels.required_by(comparison, classes, None);
                encoded
            }
            Range::Unknown => encoded * labels.nan_outside(classes, None, encoded),
        }
    }

    /// The share of samples whose largest logit stands at their label, an f32 scalar: logits `[n, classes, ..]`, i32 labels
    /// `[n, ..]`. No gradient flows through it.
    #[track_caller]
    pub fn accuracy(self, labels: Expr<'g>) -> Expr<'g> {
        let _method = self.enter("accuracy");
        let poisoned = Expr::poisoned(self.graph());
        let Some((_, axis)) = self.class_axis("accuracy", CrossEntropy::default()) else { return poisoned };
        let origin = self.graph().origin_or(Origin::here());
        match labels.read("accuracy", origin, |_, node| node.dtype) {
            Some(DType::I32) => {}
            Some(dtype) => {
                let (op, operand, expected) = ("accuracy", labels.describe(), "i32");
                return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
            }
            None => return poisoned,
        }
        let guess = self.argmax(axis as isize);
        if guess.shape_shared_with(labels, "accuracy").is_none() {
            return poisoned;
        }
        guess.equal(labels).cast(DType::F32).mean(..)
    }

    /// The loss at class indices, of logits (`normalise`) or of logarithms of probabilities.
    #[track_caller]
    #[allow(clippy::manual_map)] // A closure would hide the caller's line from the nodes that are built in it.
    fn class_index_loss(
        self,
        op: &'static str,
        labels: Expr<'g>,
        options: CrossEntropy<'g>,
        normalise: bool,
    ) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[Some(labels), options.weight], op, origin).is_none() {
            return poisoned;
        }
        let Some((shape, axis)) = self.class_axis(op, options) else { return poisoned };
        let classes = shape[axis];
        let sample_shape = shape.without([axis].into_iter().collect());
        let Some(label_shape) = labels.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        if label_shape != sample_shape {
            let fits = |axis: &usize| shape.without([*axis].into_iter().collect()) == label_shape;
            let last = shape.rank().saturating_sub(1);
            // Of logits [n, classes] the other axis is that of the samples.
            let others = if shape.rank() > 2 { 0..shape.rank() } else { 0..0 };
            let fitting = others.rev().find(fits).map(|axis| if axis == last { -1 } else { axis as isize });
            let (logits, logits_shape) = (self.describe(), shape);
            let (labels, labels_shape) = (labels.describe(), label_shape);
            return self.fail(GraphError::ClassAxis {
                origin,
                op,
                logits,
                logits_shape,
                axis,
                labels,
                labels_shape,
                fitting,
            });
        }
        let Some(range) = labels.checked_labels(op, classes, options.ignore_index) else { return poisoned };

        // Class axes keep extent 1 until the end, so that everything broadcasts.
        let labels = labels.reshape_node(&shape.with_extent(axis, 1), origin);
        let chosen = labels.equal(self.graph().iota(&shape, axis));
        let factor = match range {
            Range::Checked | Range::OfInput => None,
            Range::Unknown => Some(labels.nan_outside(classes, options.ignore_index, self)),
        };
        // Of a label that is no class nothing is chosen, and no gradient would pass. What comes in is spoilt, so that gradients
        // are NaN, and what goes out, so that loss and tangents are.
        let scores = self.spoilt_by(factor);
        // ln softmax(x) is (x - m) - ln sum e^(x - m): the two parts are kept apart, so that only one of them has the
        // size of the logits and the large m never cancels.
        let scores = if normalise { scores - scores.max_keepdims([axis]).stop_gradient() } else { scores };
        let picked = chosen.where_(scores, 0.0).sum_keepdims([axis]);
        let normaliser = if normalise { Some(scores.exp().sum_keepdims([axis]).log()) } else { None };
        let mut loss = match normaliser {
            Some(normaliser) => normaliser - picked,
            None => -picked,
        };
        let class_weight = match options.weight {
            Some(weight) => Some(weight.along_axes(op, &shape, [axis].into_iter().collect()).spoilt_by(factor)),
            None => None,
        };
        let kept = options.ignore_index.map(|ignored| labels.not_equal(ignored));
        // Of an ignored label nothing is weighed, whatever its weight: the 0 that comes back to it times a NaN would be NaN.
        let label_weight = class_weight.map(|weight| {
            let weight = chosen.where_(weight, 0.0).sum_keepdims([axis]);
            kept.map_or(weight, |kept| kept.where_(weight, 0.0))
        });
        if let Some(weight) = label_weight {
            loss = loss.weighted_by(weight);
        }
        if let (Some(normaliser), true) = (normaliser, options.label_smoothing > 0.0) {
            let everywhere = match class_weight {
                Some(weight) => (normaliser - scores).weighted_by(weight).sum_keepdims([axis]),
                None => (normaliser - scores).sum_keepdims([axis]),
            };
            let share = options.label_smoothing;
            loss = loss * (1.0 - share) + everywhere * (share / classes as f64);
        }
        let mut counted = label_weight;
        if let Some(kept) = kept {
            loss = kept.where_(loss, 0.0);
            let one = loss.constant_beside(1.0, origin);
            counted = counted.or_else(|| Some(kept.where_(one, 0.0)));
        }
        match range {
            Range::Checked | Range::Unknown => {}
            Range::OfInput => labels.required_by(chosen, classes, options.ignore_index),
        }
        loss = loss.spoilt_by(factor);
        match (options.reduction, counted) {
            (Reduction::None, _) => loss.reshape_node(&sample_shape, origin),
            (Reduction::Sum, _) => loss.sum(..),
            (Reduction::Mean, None) => loss.mean(..),
            (Reduction::Mean, Some(counted)) => loss.sum(..) / counted.sum(..),
        }
    }

    /// The shape of these logits and their class axis, with the options that depend on neither checked.
    #[track_caller]
    fn class_axis(self, op: &'static str, options: CrossEntropy<'g>) -> Option<(Shape, usize)> {
        let origin = self.graph().origin_or(Origin::here());
        if !(0.0..=1.0).contains(&options.label_smoothing) {
            let _poisoned = self.graph().refuse(op, "label_smoothing", options.label_smoothing, "a number in 0..=1");
            return None;
        }
        let (shape, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        if !dtype.is_float() {
            return self.fail_without(GraphError::DType {
                origin,
                op,
                operand: self.describe(),
                dtype,
                expected: "a float",
            });
        }
        let axis = options.class_axis.unwrap_or(if shape.rank() > 1 { 1 } else { 0 });
        match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => Some((shape, axis)),
            Err(error) => self.fail_without(error),
        }
    }

    /// Checks that these are i32 and, as far as can be known now, in `0..classes` or `except`. `None`, and an error in the
    /// graph, if not.
    #[track_caller]
    fn checked_labels(self, op: &'static str, classes: usize, except: Option<i32>) -> Option<Range> {
        let origin = self.graph().origin_or(Origin::here());
        let dtype = self.read(op, origin, |_, node| node.dtype)?;
        if dtype != DType::I32 {
            let (operand, expected) = (self.describe(), "i32");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        if let Some(error) = self.index_error(op, (0, classes), except, origin) {
            return self.fail_without(error);
        }
        let arena = self.graph().arena();
        let (leaf, _) = arena.shown(self.raw()?).unzip();
        Some(match leaf.and_then(|leaf| arena.nodes.get(leaf.key)).map(|node| &node.op) {
            Some(Op::Leaf(Leaf::Literal { .. } | Leaf::Constant { .. } | Leaf::Iota { .. })) => Range::Checked,
            Some(Op::Leaf(Leaf::Input { .. })) => Range::OfInput,
            _ => Range::Unknown,
        })
    }

    /// For labels that cannot be checked, [`Expr::nan_outside`]; `None` for others, and where there is a mistake.
    #[track_caller]
    pub(super) fn nan_if_unchecked(self, op: &'static str, classes: usize, beside: Expr<'g>) -> Option<Expr<'g>> {
        match self.checked_labels(op, classes, None)? {
            Range::Checked | Range::OfInput => None,
            Range::Unknown => Some(self.nan_outside(classes, None, beside)),
        }
    }

    /// This times a factor that is 1 or NaN, if there is one.
    #[track_caller]
    pub(super) fn spoilt_by(self, factor: Option<Expr<'g>>) -> Expr<'g> {
        match factor {
            Some(factor) => self * factor,
            None => self,
        }
    }

    /// 1 where these labels are in `0..classes` or `except`, else NaN, in the dtype of `beside`: a factor, so that the
    /// gradient is NaN as well.
    #[track_caller]
    fn nan_outside(self, classes: usize, except: Option<i32>, beside: Expr<'g>) -> Expr<'g> {
        let mut is_outside = self.less(0) | self.greater_equal(i32::try_from(classes).unwrap_or(i32::MAX));
        if let Some(except) = except {
            is_outside = is_outside & self.not_equal(except);
        }
        is_outside.nan_where(beside)
    }

    /// NaN where this bool holds, else 1, in the dtype of `beside`. As a factor it makes a gradient NaN that passes it; a choice of NaN
    /// would make it 0.
    #[track_caller]
    pub(crate) fn nan_where(self, beside: Expr<'g>) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some(dtype) = beside.read("where", origin, |_, node| node.dtype) else { return beside };
        let scalar = Shape::scalar();
        self.where_(self.graph().full(&scalar, f64::NAN, dtype), self.graph().full(&scalar, 1.0, dtype))
    }
}

/// What is known of labels when the graph is built.
enum Range {
    /// They are in range.
    Checked,
    /// They come from an input, and are checked on the host before each run.
    OfInput,
    /// They are computed on the device.
    Unknown,
}
