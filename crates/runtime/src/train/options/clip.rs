//! Gradients that are kept from becoming too large.

use arenagrad_graph::{Expr, Graph, Init};

use crate::error::Error;
use crate::train::hyperparameter::Hyperparameters;
use crate::train::norm::global_norm;
use crate::train::{Optimizer, Trained, scalar_dtype};

/// The name of the state that holds the norm of the last gradients, before they were clipped.
const GRADIENT_NORM: &str = "gradient_norm";

/// An optimiser whose gradients have no norm above a bound: see [`Optimizer::clip_norm`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct NormClipped<O> {
    inner: O,
    bound: f64,
}

/// An optimiser whose gradients have no element beyond a bound: see [`Optimizer::clip_value`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an optimiser does nothing until a session or a tape takes it"]
pub struct ValueClipped<O> {
    inner: O,
    bound: f64,
}

impl<O> NormClipped<O> {
    pub(crate) fn new(inner: O, bound: f64) -> Self {
        NormClipped { inner, bound }
    }
}

impl<O> ValueClipped<O> {
    pub(crate) fn new(inner: O, bound: f64) -> Self {
        ValueClipped { inner, bound }
    }
}

impl<O: Optimizer> Optimizer for NormClipped<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Hyperparameters::of(trained)?.bound("largest gradient norm", self.bound)?;
        let Some(first) = trained.first() else { return self.inner.update(graph, trained) };
        let dtype = scalar_dtype(trained)?;
        let name = first.settings.scalar_name(GRADIENT_NORM);
        let gradients: Vec<Expr<'g>> = trained.iter().map(|one| one.gradient).collect();
        let norm = global_norm(&gradients, dtype)?.named(format!("{name}.next"));
        let last = graph.state(name, [], dtype, Init::Constant(0.0));
        for one in trained {
            one.settings.kept.borrow_mut().norm = Some(last.id()?);
        }
        let mut pairs = if self.bound == f64::INFINITY {
            // The norm is recorded alone, and no pass over the gradients multiplies them by 1.
            self.inner.update(graph, trained)?
        } else {
            // The small number is PyTorch's. A norm that is NaN makes NaN of all, as there.
            let share = (self.bound / (norm + 1e-6)).minimum(1.0).named("clipped_share");
            let clipped = trained
                .iter()
                .map(|one| Ok(one.with_gradient(one.gradient * share.cast(one.gradient.dtype()?))))
                .collect::<Result<Vec<_>, Error>>()?;
            self.inner.update(graph, &clipped)?
        };
        pairs.push((last, norm));
        Ok(pairs)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}

impl<O: Optimizer> Optimizer for ValueClipped<O> {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        Hyperparameters::of(trained)?.bound("largest gradient element", self.bound)?;
        if self.bound == f64::INFINITY {
            return self.inner.update(graph, trained);
        }
        let clipped: Vec<Trained<'g>> = trained
            .iter()
            .map(|one| one.with_gradient(one.gradient.clamp(Some(-self.bound), Some(self.bound))))
            .collect();
        self.inner.update(graph, &clipped)
    }

    fn trains(&self, name: &str) -> bool {
        self.inner.trains(name)
    }

    fn patterns(&self) -> Vec<String> {
        self.inner.patterns()
    }
}
