//! Instance normalisation.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::nn::batch_norm::Running;
use crate::nn::norms::{Affine, check_channels};
use crate::nn::{Layer, Parameter, Phase};
use crate::shape::{AxisSet, Shape};

/// Each channel of each sample brought to mean 0 and variance 1 over its `D` axes: `[n, channels, spatial..]`, or without a batch
/// `[channels, spatial..]`, to the same shape. PyTorch's `torch.nn.InstanceNorm1d`, `InstanceNorm2d` and `InstanceNorm3d` (Ulyanov et
/// al. 2016), with their defaults: an `eps` of 1e-5, no parameters and no running statistics.
///
/// With [`InstanceNorm::affine`] there are the parameters `NAME.weight` and `NAME.bias`, both `[channels]`, 1 and 0 at first. With
/// [`InstanceNorm::running_statistics`] evaluation takes running ones, which in training follow the mean of those of the samples,
/// under the names of [`BatchNorm`](crate::nn::BatchNorm); `num_batches_tracked` is there, and stays 0, as in PyTorch.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{InstanceNorm2d, Phase};
///
/// let norm = InstanceNorm2d::new("norm", 8).affine();
/// let g = Graph::new();
/// let y = norm.apply(g.input("x", [5, 8, 9, 9]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[5, 8, 9, 9]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceNorm<const D: usize> {
    name: String,
    channels: usize,
    eps: f64,
    affine: Affine,
    momentum: f64,
    tracks: bool,
}

/// Over one axis: `[n, c, l]` or `[c, l]`. See [`InstanceNorm`].
pub type InstanceNorm1d = InstanceNorm<1>;
/// Over two axes: `[n, c, h, w]` or `[c, h, w]`. See [`InstanceNorm`].
pub type InstanceNorm2d = InstanceNorm<2>;
/// Over three axes: `[n, c, d, h, w]` or `[c, d, h, w]`. See [`InstanceNorm`].
pub type InstanceNorm3d = InstanceNorm<3>;

impl<const D: usize> InstanceNorm<D> {
    const METHOD: &str = match D {
        1 => "InstanceNorm1d",
        2 => "InstanceNorm2d",
        _ => "InstanceNorm3d",
    };

    /// A layer of that name over so many channels.
    pub fn new(name: impl Into<String>, channels: usize) -> Self {
        const { assert!(D >= 1 && D <= 3, "instances have one to three axes") };
        InstanceNorm { name: name.into(), channels, eps: 1e-5, affine: Affine::None, momentum: 0.1, tracks: false }
    }

    /// With another number under the root, a finite one.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        InstanceNorm { eps, ..self }
    }

    /// With a weight and a bias. PyTorch's `affine=True`.
    #[must_use]
    pub fn affine(self) -> Self {
        InstanceNorm { affine: Affine::WeightAndBias, ..self }
    }

    /// With a weight alone, behind [`InstanceNorm::affine`]. PyTorch's `bias=False`.
    #[must_use]
    pub fn without_bias(self) -> Self {
        InstanceNorm { affine: self.affine.without_bias(), ..self }
    }

    /// With running statistics, which evaluation takes. PyTorch's `track_running_stats=True`.
    #[must_use]
    pub fn running_statistics(self) -> Self {
        InstanceNorm { tracks: true, ..self }
    }

    /// With another share of the batch in what the running statistics become, customarily from 0 to 1.
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        InstanceNorm { momentum, ..self }
    }

    /// The layer applied to `x`.
    ///
    /// Errors: no float; another rank; other channels than the layer's; an `eps` or a momentum that is not finite; where the statistics are those of samples, one element a
    /// channel, which has no variance.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let (graph, op) = (x.graph(), Self::METHOD);
        let method = graph.enter(op);
        let (origin, poisoned) = (method.origin(), Expr::poisoned(graph));
        let Some(dtype) = x.dtype_for_layer(op) else { return poisoned };
        let Some(shape) = x.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        let has_batch = shape.rank() == D + 2;
        if !has_batch && shape.rank() != D + 1 {
            let (operand, rank) = (x.describe(), shape.rank());
            let expected = format!("rank {}, or {} without a batch,", D + 2, D + 1);
            return x.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if check_channels(x, usize::from(has_batch), (&self.name, self.channels), op, origin).is_none() {
            return poisoned;
        }
        let is_finite = |(what, value)| graph.allows_finite(op, what, value);
        if ![("eps", self.eps), ("the momentum", self.momentum)].into_iter().all(is_finite) {
            return poisoned;
        }
        let count = shape[shape.rank() - D..].iter().fold(1usize, |count, &extent| count.saturating_mul(extent));
        let takes_samples = phase.is_training() || !self.tracks;
        if takes_samples && count == 1 {
            let expected = "more than 1 (one element has no variance)";
            return graph.refuse(op, "the number of elements of each channel", 1.0, expected);
        }
        graph.layer(format!("{op}({})", self.channels), &self.name, x, || {
            let (of, channels) = (|parameter: Parameter| parameter.of(graph, dtype), Shape::from([self.channels]));
            let weight = self.affine.weight(&self.name, &channels).map(of);
            let bias = self.affine.bias(&self.name, &channels).map(of);
            let running = self.tracks.then(|| Running::of(x, &self.name, self.channels, dtype));
            let batch = if has_batch { x } else { x.unsqueeze(0) };
            let normalised = match running {
                Some(running) if !takes_samples => {
                    batch.batch_norm((running.mean, running.variance), weight, bias, self.eps)
                }
                running => {
                    if let Some(running) = running.filter(|_| phase.is_training()) {
                        let spatial: AxisSet = (2..D + 2).collect();
                        let (variance, mean) = batch.var_mean(spatial, 1.0);
                        running.mix(mean.mean(0), variance.mean(0), self.momentum);
                    }
                    batch.group_norm(self.channels, weight, bias, self.eps)
                }
            };
            if has_batch { normalised } else { normalised.squeeze(0) }
        })
    }
}

impl<const D: usize> Layer for InstanceNorm<D> {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}
