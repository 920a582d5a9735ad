//! Layers with a way around them.

use std::fmt;
use std::sync::Arc;

use crate::expr::Expr;
use crate::nn::{Layer, Phase};
use crate::node::Origin;

/// `f(x) + x`, or `f(x) + shortcut(x)` (He et al. 2016): what `f` gives has the shape of what is added to it.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{BatchNorm, Conv2d, Phase, Residual, Sequential};
///
/// let halved = |name: &str| Sequential::new(name)
///     .layer(|name| Conv2d::new(name, 8, 16, 3).stride(2).padding(1))
///     .layer(|name| BatchNorm::new(name, 16));
/// let block = Residual::new(halved("main")).shortcut(Conv2d::new("shortcut", 8, 16, 1).stride(2));
/// let g = Graph::new();
/// let y = block.apply(g.input("x", [4, 8, 9, 9]), Phase::Training);
/// assert_eq!(y.shape()?.dims(), &[4, 16, 5, 5]);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
#[derive(Clone)]
pub struct Residual {
    function: Arc<dyn Layer + Send + Sync>,
    shortcut: Option<Arc<dyn Layer + Send + Sync>>,
}

impl Residual {
    /// `x` added to what `function` gives.
    pub fn new(function: impl Layer + Send + Sync + 'static) -> Self {
        Residual { function: Arc::new(function), shortcut: None }
    }

    /// With a layer on the way around, such as a convolution where the shape changes.
    #[must_use]
    pub fn shortcut(self, shortcut: impl Layer + Send + Sync + 'static) -> Self {
        Residual { shortcut: Some(Arc::new(shortcut)), ..self }
    }

    /// The layer applied to `x`. Errors: those of its parts; results whose shapes do not broadcast.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        let (graph, origin) = (x.graph(), Origin::here());
        graph.layer("Residual", "", x, || {
            graph.at(origin, || {
                let result = self.function.forward(x, phase);
                result + self.shortcut.forward(x, phase)
            })
        })
    }
}

impl Layer for Residual {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}

impl fmt::Debug for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Residual").field("shortcut", &self.shortcut.is_some()).finish_non_exhaustive()
    }
}
