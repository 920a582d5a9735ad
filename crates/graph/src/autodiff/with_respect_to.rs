//! What derivatives are taken with respect to: one expression, or a list of them in any form that lists have.

use crate::expr::Expr;

/// What gradients are taken with respect to: an expression, whose gradient is one, an array, which has as many, or a slice or a `Vec`, whose gradients are a `Vec`.
///
/// ```
/// let g = arenagrad_graph::Graph::new();
/// let weights: Vec<_> = (0..3).map(|i| g.input(&format!("w{i}"), [2])).collect();
/// let loss = weights.iter().fold(g.scalar(0.0), |sum, w| sum + w.square().sum(..));
/// let first = loss.grad(weights[0])?;
/// let [second, third] = loss.grad([weights[1], weights[2]])?;
/// let all = loss.grad(&weights)?;
/// assert_eq!((all.len(), all[0].shape()?), (3, first.shape()?));
/// # let _ = (second, third);
/// # Ok::<(), arenagrad_graph::GraphError>(())
/// ```
pub trait WithRespectTo<'g> {
    /// The gradients with respect to it.
    type Gradients;

    /// The expressions, in order.
    fn expressions(&self) -> &[Expr<'g>];

    /// As many gradients, in the same order, in the form that they have.
    fn of_list(&self, gradients: Vec<Expr<'g>>) -> Self::Gradients;
}

impl<'g> WithRespectTo<'g> for Expr<'g> {
    type Gradients = Expr<'g>;

    fn expressions(&self) -> &[Expr<'g>] {
        std::slice::from_ref(self)
    }

    fn of_list(&self, gradients: Vec<Expr<'g>>) -> Expr<'g> {
        gradients[0]
    }
}

impl<'g, const N: usize> WithRespectTo<'g> for [Expr<'g>; N] {
    type Gradients = [Expr<'g>; N];

    fn expressions(&self) -> &[Expr<'g>] {
        self
    }

    fn of_list(&self, gradients: Vec<Expr<'g>>) -> [Expr<'g>; N] {
        let mut result = *self;
        result.copy_from_slice(&gradients);
        result
    }
}

impl<'g> WithRespectTo<'g> for &[Expr<'g>] {
    type Gradients = Vec<Expr<'g>>;

    fn expressions(&self) -> &[Expr<'g>] {
        self
    }

    fn of_list(&self, gradients: Vec<Expr<'g>>) -> Vec<Expr<'g>> {
        gradients
    }
}

impl<'g> WithRespectTo<'g> for Vec<Expr<'g>> {
    type Gradients = Vec<Expr<'g>>;

    fn expressions(&self) -> &[Expr<'g>] {
        self
    }

    fn of_list(&self, gradients: Vec<Expr<'g>>) -> Vec<Expr<'g>> {
        gradients
    }
}

impl<'g> WithRespectTo<'g> for &Vec<Expr<'g>> {
    type Gradients = Vec<Expr<'g>>;

    fn expressions(&self) -> &[Expr<'g>] {
        self
    }

    fn of_list(&self, gradients: Vec<Expr<'g>>) -> Vec<Expr<'g>> {
        gradients
    }
}

impl<'g, const N: usize> WithRespectTo<'g> for &[Expr<'g>; N] {
    type Gradients = [Expr<'g>; N];

    fn expressions(&self) -> &[Expr<'g>] {
        *self
    }

    fn of_list(&self, gradients: Vec<Expr<'g>>) -> [Expr<'g>; N] {
        (*self).of_list(gradients)
    }
}
