//! Layers one after the other.

use std::fmt;
use std::sync::Arc;

use crate::expr::Expr;
use crate::nn::{Layer, Phase, within};
use crate::node::Origin;

/// Layers, each applied to what the one before gave. PyTorch's `torch.nn.Sequential`.
///
/// Each layer stands at a place, counted from 0, and [`Sequential::layer`] gives it the name that PyTorch's has there: the place behind the
/// name of the whole, `"features.0"`; of a network that is called `""`, the place alone. Layers without parameters are named by
/// nobody, and take their place all the same.
///
/// ```
/// use arenagrad_graph::Graph;
/// use arenagrad_graph::nn::{Activation, Conv2d, Flatten, Linear, MaxPool2d, Phase, Sequential};
///
/// let net = Sequential::new("")
///     .layer(|name| Conv2d::new(name, 1, 8, 3))
///     .then(Activation::relu())
///     .then(MaxPool2d::new(2))
///     .then(Flatten::new())
///     .layer(|name| Linear::new(name, 8 * 13 * 13, 10));
/// let g = Graph::new();
/// let logits = net.apply(g.input("x", [32, 1, 28, 28]), Phase::Training);
/// assert_eq!(logits.shape()?.dims(), &[32, 10]);
/// assert!(g.declaration_named("0.weight").is_some() && g.declaration_named("4.bias").is_some());
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
///
/// A copy shares the layers. It is a layer itself, so that one may stand in another.
#[derive(Clone)]
pub struct Sequential {
    name: String,
    layers: Vec<Arc<dyn Layer + Send + Sync>>,
}

impl Sequential {
    /// No layers yet, under that name.
    pub fn new(name: impl Into<String>) -> Self {
        Sequential { name: name.into(), layers: Vec::new() }
    }

    /// With one more layer at the end, which is made of the name of its place: `"NAME.2"` for the third.
    #[must_use]
    pub fn layer<L: Layer + Send + Sync + 'static>(self, layer: impl FnOnce(String) -> L) -> Self {
        let name = within(&self.name, &self.layers.len().to_string());
        self.then(layer(name))
    }

    /// With one more layer at the end, which is made of a name of its own: `"NAME.PART"`. PyTorch's `OrderedDict` of layers.
    #[must_use]
    pub fn named<L: Layer + Send + Sync + 'static>(self, part: &str, layer: impl FnOnce(String) -> L) -> Self {
        let name = within(&self.name, part);
        self.then(layer(name))
    }

    /// With one more layer at the end, as it is.
    #[must_use]
    pub fn then(mut self, layer: impl Layer + Send + Sync + 'static) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none: what it is applied to comes back.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layers in order.
    pub fn layers(&self) -> impl Iterator<Item = &(dyn Layer + Send + Sync)> {
        self.layers.iter().map(|layer| &**layer)
    }

    /// All layers applied, the first to `x`. Errors are those of the layers.
    #[track_caller]
    pub fn apply<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        // What is called through a table of methods does not know the caller's line, so it is said here.
        let (graph, origin) = (x.graph(), Origin::here());
        graph.layer("Sequential", &self.name, x, || {
            graph.at(origin, || self.layers.iter().fold(x, |x, layer| layer.forward(x, phase)))
        })
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward<'g>(&self, x: Expr<'g>, phase: Phase) -> Expr<'g> {
        self.apply(x, phase)
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequential").field("name", &self.name).field("layers", &self.layers.len()).finish()
    }
}
