//! Connectionist temporal classification, by Graves et al. (2006): the likelihood of a sequence of labels, summed over all ways to
//! align it with a longer sequence of predictions.
//!
//! The forward recursion goes over the label sequence with a blank before, between and behind its labels, in logarithms. What is impossible
//! has a very small logarithm that is finite, so that neither sums nor their derivatives ever meet two infinities; the loss of a target
//! that no alignment gives is made infinite, or 0, at the end.

use crate::compose::losses::Reduction;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

/// The options of [`Expr::ctc_loss`]; the default is PyTorch's.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options do nothing until a loss takes them"]
pub struct Ctc {
    /// The class that stands for no label.
    pub blank: usize,
    /// Whether targets that no alignment gives cost 0 instead of infinity.
    pub zero_infinity: bool,
    /// What becomes of the sequences' losses. The mean is that of each loss over its target's length, or over 1 if that is 0.
    pub reduction: Reduction,
}

/// The logarithm of what is impossible. Thousands of millions of them can be added up in f32.
const IMPOSSIBLE: f64 = -1e29;

impl<'g> Expr<'g> {
    /// Of logarithms of probabilities `[t, n, classes]`, i32 targets `[n, s]` and the i32 lengths of both, `[n]`: the negative logarithm
    /// of the probability that the predictions, with repetitions and then blanks taken out, are the target.
    ///
    /// The labels of a target behind its length do not count. No target may have the blank as a label. Gradients are finite, also
    /// where the loss is infinite, where they are 0. The gradient is the derivative by the logarithms themselves, minus the
    /// probability that an alignment passes through a class at a time; PyTorch adds `e^x` to it, which a log-softmax in front takes away
    /// again.
    ///
    /// Each of the `t` steps is one kernel over `[n, 2 s + 1]`, forward and backward, so a graph of a long sequence has many
    /// nodes; time and memory are in proportion to `t n s`, and to `t n classes` for the gradient.
    ///
    /// A sequence of no predictions costs 0 if its target is empty, else infinity. A label that is no class makes the loss and its
    /// gradient NaN, and so does a length that is below 0 or more than there is.
    ///
    /// Errors: other ranks, extents or dtypes; a blank that is no class; no step at all.
    ///
    /// ```
    /// use arenagrad_graph::{Ctc, DType, Graph};
    /// let g = Graph::new();
    /// let x = g.input("x", [12, 2, 5]).log_softmax(-1);
    /// let targets = g.input_of("targets", [2, 3], DType::I32);
    /// let (steps, lengths) = (g.literal([2], [12, 10]), g.literal([2], [3, 2]));
    /// assert_eq!(x.ctc_loss(targets, steps, lengths, Ctc::default()).shape()?.rank(), 0);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn ctc_loss(
        self,
        targets: Expr<'g>,
        input_lengths: Expr<'g>,
        target_lengths: Expr<'g>,
        options: Ctc,
    ) -> Expr<'g> {
        let method = self.enter("ctc_loss");
        let (op, origin, graph) = ("ctc_loss", method.origin(), self.graph());
        let poisoned = Expr::poisoned(graph);
        let others = [targets, input_lengths, target_lengths];
        if self.same_graph_all(&others.map(Some), op, origin).is_none() {
            return poisoned;
        }
        let Some([steps, batch, classes]) = self.extents_of(op, "rank 3") else { return poisoned };
        let Some([samples, longest]) = targets.extents_of(op, "rank 2") else { return poisoned };
        for (operand, shape) in [
            (targets, Shape::from([batch, longest])),
            (input_lengths, Shape::from([batch])),
            (target_lengths, Shape::from([batch])),
        ] {
            if operand.is_i32_of(op, &shape).is_none() {
                return poisoned;
            }
        }
        debug_assert_eq!(samples, batch);
        if options.blank >= classes {
            return graph.refuse(op, "the blank", options.blank as f64, "one of the classes");
        }
        if steps == 0 {
            return graph.refuse(op, "the number of steps", 0.0, "at least 1");
        }
        let Some(places) = longest.checked_mul(2).and_then(|twice| twice.checked_add(1)) else {
            let shape = Shape::from([batch, longest]);
            return self.fail(GraphError::TooManyElements { origin, op, shape });
        };
        let bounded = [(input_lengths, steps), (target_lengths, longest)].map(|(lengths, most)| (lengths, most + 1));
        for (lengths, bound) in bounded {
            if let Some(error) = lengths.index_error(op, (0, bound), None, origin) {
                return self.fail(error);
            }
        }
        let blank = options.blank as i32;
        let lengths = target_lengths.unsqueeze(-1);

        // [n, 2 s + 1]: blanks at even places, labels at odd ones. Labels behind a target's end are blanks.
        let is_label = graph.iota([batch, longest], 1).less(lengths);
        let labels = is_label.where_(targets, blank).unsqueeze(-1);
        let with_blanks = labels.pad([(0, 0), (0, 0), (1, 0)], f64::from(blank)).reshape([batch, 2 * longest]);
        let labels = with_blanks.pad([(0, 0), (0, 1)], f64::from(blank));
        let place = graph.iota([batch, places], 1);
        // From two places before only to another label, over the blank in between.
        let two_before = labels.pad([(0, 0), (2, 0)], f64::from(blank)).slice(1, 0, places);
        let may_skip = labels.not_equal(blank) & labels.not_equal(two_before);

        let lies_outside = |length: Expr<'g>, most: usize| length.less(0) | length.greater(most as f64);
        let last_class = classes.saturating_sub(1);
        let is_no_class = graph.at(origin, || (is_label & lies_outside(targets, last_class)).any([1]));
        let is_wrong = graph
            .at(origin, || is_no_class | lies_outside(target_lengths, longest) | lies_outside(input_lengths, steps));
        // Those of an input are checked before each run; what is computed shows itself by the NaN.
        for (lengths, bound) in bounded {
            lengths.required_by(is_wrong, bound, None);
        }
        // What comes in, for the gradients, and below what goes out.
        let factor = is_wrong.nan_where(self);

        // [t, n, 2 s + 1]: what each place costs at each step.
        let indices = labels.unsqueeze(0).broadcast_to([steps, batch, places]);
        let scores = (self * factor.unsqueeze(-1)).clamp(Some(IMPOSSIBLE), None).gather(2, indices);
        // Before the first step everything is at the first place, and the next step may stay there or go on.
        let zeros = scores.select_index(0, 0) * 0.0;
        let mut alpha = place.equal(0).where_(zeros, IMPOSSIBLE);
        for step in 0..steps {
            let padded = alpha.pad([(0, 0), (2, 0)], IMPOSSIBLE);
            let one_before = padded.slice(1, 1, places + 1);
            let skipped = may_skip.where_(padded.slice(1, 0, places), IMPOSSIBLE);
            let largest = alpha.maximum(one_before).maximum(skipped).stop_gradient();
            let sum = (alpha - largest).exp() + (one_before - largest).exp() + (skipped - largest).exp();
            let next = scores.select_index(0, step) + (largest + sum.log());
            // A sequence that has ended stays as it is.
            alpha = input_lengths.greater(step as f64).unsqueeze(-1).where_(next, alpha);
        }
        let end = lengths + lengths;
        let at_blank = place.equal(end).where_(alpha, 0.0).sum([1]);
        let at_label = place.equal(end - 1).where_(alpha, 0.0).sum([1]);
        let at_label = target_lengths.greater(0).where_(at_label, IMPOSSIBLE);
        let loss = -at_blank.logaddexp(at_label);
        let is_impossible = loss.greater(-0.5 * IMPOSSIBLE);
        let loss = is_impossible.where_(if options.zero_infinity { 0.0 } else { f64::INFINITY }, loss);
        let loss = loss * factor;
        if options.reduction != Reduction::Mean {
            return options.reduction.of(loss);
        }
        let Some(dtype) = self.read(op, origin, |_, node| node.dtype) else { return poisoned };
        (loss / target_lengths.maximum(1).cast(dtype)).mean(..)
    }

    /// The extents of an operand whose rank is `N`.
    #[track_caller]
    fn extents_of<const N: usize>(self, op: &'static str, expected: &str) -> Option<[usize; N]> {
        let origin = self.graph().origin_or(Origin::here());
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        if let Ok(extents) = <[usize; N]>::try_from(&shape[..]) {
            return Some(extents);
        }
        let (operand, rank, expected) = (self.describe(), shape.rank(), expected.to_owned());
        self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected })
    }

    /// Checks that an operand is i32 and has that shape.
    #[track_caller]
    fn is_i32_of(self, op: &'static str, shape: &Shape) -> Option<()> {
        let origin = self.graph().origin_or(Origin::here());
        let (own, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        if dtype != DType::I32 {
            let (operand, expected) = (self.describe(), "i32");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        if own != *shape {
            let (lhs, rhs) = (self.describe(), "what goes with the predictions".to_owned());
            let (lhs_shape, rhs_shape) = (own, shape.clone());
            return self.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        Some(())
    }
}
