//! Batch normalisation, and the running statistics that layers keep.

use crate::declaration::Init;
use crate::dtype::DType;
use crate::expr::Expr;
use crate::nn::norms::{Affine, check_channels};
use crate::nn::{Layer, Parameter, Phase, State, within};
use crate::shape::Shape;
use crate::storage::StorageType;

/// Each channel brought to mean 0 and variance 1 over the whole batch, then scaled and shifted: `[n, channels, ..] ->
/// [n, channels, ..]` of any rank from 2 on, by `(x - mean) / sqrt(variance + eps) * weight + bias`, with the parameters
/// `NAME.weight` and `NAME.bias`, both `[channels]`, 1 and 0 at first. PyTorch's `torch.nn.BatchNorm1d`, `BatchNorm2d` and
/// `BatchNorm3d` (Ioffe and Szegedy 2015), with their defaults.
///
/// In [`Phase::Training`] mean and variance are the batch's, and what the states `NAME.running_mean` and `NAME.running_var` become is an
/// update of the graph, so that training plans carry it out: `(1 - momentum) * running + momentum * batch`, of the variance
/// with Bessel's correction. `NAME.num_batches_tracked` counts. Two applications in one step update one after the other. In
/// [`Phase::Evaluation`] mean and variance are the running ones, as they are when a run begins.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{BatchNorm, Phase};
///
/// let norm = BatchNorm::new("bn1", 64);
/// let g = Graph::new();
/// let y = norm.apply(g.input("x", [8, 64, 9, 9]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[8, 64, 9, 9]);
/// assert_eq!(g.updates().len(), 3);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[doc(alias = "BatchNorm1d")]
#[doc(alias = "BatchNorm2d")]
#[doc(alias = "BatchNorm3d")]
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    name: String,
    channels: usize,
    eps: f64,
    affine: Affine,
    momentum: Option<f64>,
    tracks: bool,
    synchronised: bool,
}

impl BatchNorm {
    /// A layer of that name over so many channels: an `eps` of 1e-5, a momentum of 0.1, a weight, a bias and running statistics.
    pub fn new(name: impl Into<String>, channels: usize) -> Self {
        let (affine, momentum) = (Affine::WeightAndBias, Some(0.1));
        BatchNorm { name: name.into(), channels, eps: 1e-5, affine, momentum, tracks: true, synchronised: false }
    }

    /// With another number under the root, a finite one.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        BatchNorm { eps, ..self }
    }

    /// With another share of the batch in what the running statistics become, customarily from 0 to 1.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        BatchNorm { momentum: Some(momentum), ..self }
    }

    /// With running statistics that are the plain mean of those of all batches. PyTorch's `momentum=None`.
    #[must_use]
    pub fn cumulative(self) -> Self {
        BatchNorm { momentum: None, ..self }
    }

    /// With a weight alone. PyTorch's `bias=False`.
    #[must_use]
    pub fn without_bias(self) -> Self {
        BatchNorm { affine: self.affine.without_bias(), ..self }
    }

    /// Without parameters. PyTorch's `affine=False`.
    #[must_use]
    pub fn without_affine(self) -> Self {
        BatchNorm { affine: Affine::None, ..self }
    }

    /// Without running statistics: evaluation takes the batch's, too. PyTorch's `track_running_stats=False`.
    #[must_use]
    pub fn without_running_statistics(self) -> Self {
        BatchNorm { tracks: false, ..self }
    }

    /// With statistics of the whole batch of a group of processes that train together, instead of each process's share of it: as if
    /// one process had the batch. It costs two small sums over the group forward, and as many backward ([`Expr::all_reduce`]). In a
    /// process on its own it changes nothing but the last bits. PyTorch's `torch.nn.SyncBatchNorm`.
    #[must_use]
    pub fn synchronised(self) -> Self {
        BatchNorm { synchronised: true, ..self }
    }

    /// The layer applied to `x`.
    ///
    /// Errors: no float; a rank below 2; other channels than the layer's; an `eps` or a momentum that is not finite; where the batch's statistics are taken, one element a
    /// channel, which has no variance. How many a whole group has is not known then: one in all of it has a variance of 0.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        const OP: &str = "BatchNorm";
        let graph = x.graph();
        let method = graph.enter(OP);
        let Some(dtype) = x.dtype_for_layer(OP) else { return Expr::poisoned(graph) };
        let Some(shape) = check_channels(x, 1, (&self.name, self.channels), OP, method.origin()) else {
            return Expr::poisoned(graph);
        };
        let has_momentum = |momentum| graph.allows_finite(OP, "the momentum", momentum);
        if !graph.allows_finite(OP, "eps", self.eps) || !self.momentum.is_none_or(has_momentum) {
            return Expr::poisoned(graph);
        }
        let extents = shape.iter().enumerate().filter(|(axis, _)| *axis != 1);
        let count = extents.fold(1usize, |count, (_, &extent)| count.saturating_mul(extent));
        let takes_batch = phase.is_training() || !self.tracks;
        if takes_batch && count == 1 && !self.synchronised {
            let expected = "more than 1 (one element has no variance)";
            return graph.refuse(OP, "the number of elements of each channel", 1.0, expected);
        }
        graph.layer(format!("BatchNorm({})", self.channels), &self.name, x, || {
            let (of, channels) = (|parameter: Parameter| parameter.of(graph, dtype), Shape::from([self.channels]));
            let weight = self.affine.weight(&self.name, &channels).map(of);
            let bias = self.affine.bias(&self.name, &channels).map(of);
            let running = self.tracks.then(|| Running::of(x, &self.name, self.channels, dtype));
            let mut whole = None;
            let statistics = match &running {
                Some(running) if !takes_batch => (running.mean, running.variance),
                _ if self.synchronised => {
                    let (statistics, elements) = x.group_statistics(count, dtype);
                    whole = Some(elements);
                    statistics
                }
                _ => x.batch_statistics(),
            };
            if let Some(running) = running.filter(|_| phase.is_training()) {
                let (mean, variance) = statistics;
                let unbiased = match whole {
                    // One element in all of the group has a variance of 0.
                    Some(whole) => variance * (whole / (whole - 1.0).maximum(1.0)),
                    None => variance * (count as f64 / (count as f64 - 1.0)),
                };
                // An empty batch has no statistics; it counts as a batch, as in PyTorch.
                let followed = (count > 0 || self.synchronised).then_some((mean, unbiased));
                running.follow(followed, self.momentum, dtype);
            }
            x.batch_norm(statistics, weight, bias, self.eps)
        })
    }
}

impl Layer for BatchNorm {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}

/// The states of running statistics in a graph, under PyTorch's names.
pub(super) struct Running<'g> {
    pub(super) mean: Expr<'g>,
    pub(super) variance: Expr<'g>,
    /// How many batches there were. An i64, as in PyTorch's files.
    count: Expr<'g>,
}

impl<'g> Running<'g> {
    /// Those of the layer of that name, in the graph of `x`.
    #[track_caller]
    pub(super) fn of(x: Expr<'g>, name: &str, channels: usize, dtype: DType) -> Self {
        let graph = x.graph();
        let statistic =
            |part: &str, first| State::new(within(name, part), [channels], Init::Constant(first)).of(graph, dtype);
        let (mean, variance) = (statistic("running_mean", 0.0), statistic("running_var", 1.0));
        let count = State::new(within(name, "num_batches_tracked"), [], Init::Constant(0.0));
        Running { mean, variance, count: count.of(graph, StorageType::I64) }
    }

    /// Says that they follow the statistics of a batch, its mean and unbiased variance: by `momentum`, or so that they are the mean of
    /// those of all batches. Without statistics a batch is only counted.
    #[track_caller]
    fn follow(&self, statistics: Option<(Expr<'g>, Expr<'g>)>, momentum: Option<f64>, dtype: DType) {
        let graph = self.mean.graph();
        let batches = graph.latest(self.count) + 1;
        graph.update(self.count, batches);
        let Some((mean, unbiased)) = statistics else {
            // An update as any other: members of a group exchange it, whoever has samples.
            for state in [self.mean, self.variance] {
                graph.update(state, graph.latest(state));
            }
            return;
        };
        match momentum {
            Some(momentum) => self.mix(mean, unbiased, momentum),
            None => {
                let share = batches.cast(dtype).reciprocal();
                for (state, batch) in [(self.mean, mean), (self.variance, unbiased)] {
                    let before = graph.latest(state);
                    graph.update(state, before + (batch - before) * share);
                }
            }
        }
    }

    /// Says that they become `momentum` of these and the rest of what they are.
    #[track_caller]
    pub(super) fn mix(&self, mean: Expr<'g>, variance: Expr<'g>, momentum: f64) {
        let graph = self.mean.graph();
        for (state, batch) in [(self.mean, mean), (self.variance, variance)] {
            graph.update(state, graph.latest(state) * (1.0 - momentum) + batch * momentum);
        }
    }
}
