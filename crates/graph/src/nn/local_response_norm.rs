//! Normalisation by neighbouring channels as a layer.

use crate::expr::Expr;
use crate::nn::{Layer, Phase};

/// Each element over a power of the mean square of `size` neighbouring channels, `[n, c, ..] -> [n, c, ..]`. PyTorch's
/// `torch.nn.LocalResponseNorm`, with its defaults: an `alpha` of 1e-4, a `beta` of 0.75 and a `k` of 1; see
/// [`Expr::local_response_norm`].
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::LocalResponseNorm;
///
/// let norm = LocalResponseNorm::new(5).k(2.0);
/// let g = Graph::new();
/// assert_eq!(norm.apply(g.input("x", [2, 96, 27, 27])).shape()?.dims(), &[2, 96, 27, 27]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LocalResponseNorm {
    /// Over so many channels.
    pub fn new(size: usize) -> Self {
        LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    /// With another factor of the mean square.
    #[must_use]
    pub fn alpha(self, alpha: f64) -> Self {
        LocalResponseNorm { alpha, ..self }
    }

    /// With another exponent.
    #[must_use]
    pub fn beta(self, beta: f64) -> Self {
        LocalResponseNorm { beta, ..self }
    }

    /// With another number that is added to the mean square.
    #[must_use]
    pub fn k(self, k: f64) -> Self {
        LocalResponseNorm { k, ..self }
    }

    /// The layer applied to `x`. Errors: those of [`Expr::local_response_norm`].
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let _method = x.enter("LocalResponseNorm");
        let LocalResponseNorm { size, alpha, beta, k } = *self;
        x.graph().layer(format!("LocalResponseNorm({size})"), "", x, || x.local_response_norm(size, alpha, beta, k))
    }
}

impl Layer for LocalResponseNorm {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, _phase: Phase) -> Expr<'g> {
        self.apply(x)
    }
}
