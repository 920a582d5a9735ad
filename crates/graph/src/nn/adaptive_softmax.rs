//! A softmax over very many classes, of which the rare ones have fewer features.

use crate::expr::Expr;
use crate::nn::{Linear, within};

/// Log-probabilities of very many classes, which are numbered from the most frequent on (Grave et al. 2017). Those before the first
/// cutoff have an output each; those from each cutoff to the next are a cluster, which has one output among these and, behind it,
/// classes of its own over fewer features. PyTorch's `torch.nn.AdaptiveLogSoftmaxWithLoss`.
///
/// Parameters are those of its parts: `NAME.head.weight`, `[first cutoff + clusters, inputs]`, with `NAME.head.bias` if asked for, and
/// for each cluster `i` two layers without a bias, `NAME.tail.i.0.weight`, `[inputs / div_value^(i + 1), inputs]`, and
/// `NAME.tail.i.1.weight`, `[classes of the cluster, features]`.
///
/// Each row is given the log-probabilities of all classes: which clusters a row needs is known from its label alone, and shapes here do
/// not depend on values. So it saves parameters, and the products of rare classes by `div_value`, but no rows.
///
/// ```
/// use arenagrad_graph::nn::AdaptiveLogSoftmaxWithLoss;
/// use arenagrad_graph::{DType, Graph};
///
/// let softmax = AdaptiveLogSoftmaxWithLoss::new("softmax", 64, 1000, [100, 400]);
/// let g = Graph::new();
/// let (x, labels) = (g.input("x", [8, 64]), g.input_of("labels", [8], DType::I32));
/// let (log_probabilities, loss) = softmax.apply(x, labels);
/// assert_eq!((log_probabilities.shape()?.dims(), loss.shape()?.dims()), (&[8][..], &[][..]));
/// assert_eq!(softmax.log_prob(x).shape()?.dims(), &[8, 1000]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveLogSoftmaxWithLoss {
    name: String,
    inputs: usize,
    classes: usize,
    cutoffs: Vec<usize>,
    div_value: f64,
    has_head_bias: bool,
}

const OP: &str = "AdaptiveLogSoftmaxWithLoss";

impl AdaptiveLogSoftmaxWithLoss {
    /// A layer of that name from so many features to so many classes, cut at these numbers of classes, which ascend from 1 on to less than
    /// that of all: a `div_value` of 4 and no bias.
    pub fn new(name: impl Into<String>, inputs: usize, classes: usize, cutoffs: impl Into<Vec<usize>>) -> Self {
        let (name, cutoffs) = (name.into(), cutoffs.into());
        AdaptiveLogSoftmaxWithLoss { name, inputs, classes, cutoffs, div_value: 4.0, has_head_bias: false }
    }

    /// With another number, above 0, by which each cluster has fewer features than the one before.
    #[must_use]
    pub fn div_value(self, div_value: f64) -> Self {
        AdaptiveLogSoftmaxWithLoss { div_value, ..self }
    }

    /// With a bias of the frequent classes and the clusters. PyTorch's `head_bias=True`.
    #[must_use]
    pub fn head_bias(self) -> Self {
        AdaptiveLogSoftmaxWithLoss { has_head_bias: true, ..self }
    }

    /// The log-probabilities of all classes, `[.., inputs] -> [.., classes]`.
    ///
    /// Errors: no float; a last axis of other than `inputs` features; no cutoffs, or such as do not ascend from 1 on to less than the
    /// number of classes; a `div_value` that is not finite or not above 0.
    #[track_caller]
    pub fn log_prob<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let graph = x.graph();
        let _method = graph.enter(OP);
        if let Err((what, value, expected)) = self.check() {
            return graph.refuse(OP, what, value, expected);
        }
        let kind = format!("{OP}({}, {}, {:?})", self.inputs, self.classes, self.cutoffs);
        graph.layer(kind, &self.name, x, || {
            let frequent = self.cutoffs[0];
            let head = Linear::new(within(&self.name, "head"), self.inputs, frequent + self.cutoffs.len());
            let head = if self.has_head_bias { head } else { head.without_bias() };
            let head = head.apply(x).log_softmax(-1);
            let mut parts = vec![head.slice(-1, 0, frequent)];
            let ends = self.cutoffs.iter().skip(1).chain([&self.classes]);
            for (cluster, (&start, &end)) in self.cutoffs.iter().zip(ends).enumerate() {
                let layer = |place: usize, inputs, outputs| {
                    let name = within(&self.name, &format!("tail.{cluster}.{place}"));
                    Linear::new(name, inputs, outputs).without_bias()
                };
                let narrow = self.features(cluster);
                let within_cluster = layer(1, narrow, end - start).apply(layer(0, self.inputs, narrow).apply(x));
                let whole = head.slice(-1, frequent + cluster, frequent + cluster + 1);
                parts.push(within_cluster.log_softmax(-1) + whole);
            }
            graph.concat(&parts, -1)
        })
    }

    /// The log-probability of each row's label, and the mean of them times -1, the loss: `[.., inputs]` and i32 `[..]` to `[..]` and `[]`.
    ///
    /// Errors: those of [`AdaptiveLogSoftmaxWithLoss::log_prob`]; labels that are not i32, or of another shape than the rows. Labels of an
    /// input are checked at each run.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, labels: Expr<'g>) -> (Expr<'g>, Expr<'g>) {
        let graph = x.graph();
        let _method = graph.enter(OP);
        let all = self.log_prob(x);
        let chosen = all.gather(-1, labels.unsqueeze(-1)).squeeze(-1);
        (chosen, -chosen.mean(..))
    }

    /// What is wrong with the numbers, if anything is.
    fn check(&self) -> Result<(), (&'static str, f64, &'static str)> {
        if self.cutoffs.is_empty() {
            return Err(("the number of cutoffs", 0.0, "at least one"));
        }
        let mut before = 0;
        for &cutoff in &self.cutoffs {
            if cutoff <= before || cutoff >= self.classes {
                let expected = "above the one before it, and below the number of classes";
                return Err(("a cutoff", cutoff as f64, expected));
            }
            before = cutoff;
        }
        if !self.div_value.is_finite() || self.div_value <= 0.0 {
            return Err(("div_value", self.div_value, "a finite number above 0"));
        }
        Ok(())
    }

    /// How many features a cluster has.
    fn features(&self, cluster: usize) -> usize {
        (self.inputs as f64 / self.div_value.powi(cluster as i32 + 1)) as usize
    }
}
