//! Cumulative operations along one axis: shape and dtype stay, and each result is of its element and all before it. Of truth values sums and
//! products are integers, as those of reductions are.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::{CumulativeFunction, Indexing, Op, Ordered};

impl<'g> Expr<'g> {
    /// The cumulative sum along `axis`: `y[i] = x[0] + .. + x[i]` (`torch.cumsum`). Shape and dtype stay. Floats and i32, which wraps.
    /// Of bool the result is i32: how many hold so far.
    ///
    /// Sums keep their digits however long the axis is. The gradient is the cumulative sum of the upstream from the last element to
    /// the first. Errors: an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 5]);
    /// assert_eq!(x.cumsum(1).shape()?.dims(), &[2, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cumsum(self, axis: isize) -> Expr<'g> {
        self.cumulative("cumsum", CumulativeFunction::Sum, axis)
    }

    /// The cumulative product along `axis`: `y[i] = x[0] .. x[i]` (`torch.cumprod`). Shape and dtype stay. Floats and i32, which wraps.
    /// Of bool the result is i32: 1 for as long as all hold.
    ///
    /// `y[i]` is `y[i-1] x[i]` in the range of f64, whatever the dtype, as in PyTorch: past it, it is infinite or NaN to the end of the
    /// axis. A GPU computes long axes in chunks, behind which a product may be in the range again.
    ///
    /// Derivatives of any order are right where elements are 0, one or several, for nothing is divided: the gradient of `x[k]` is
    /// `y[k-1] (u[k] + x[k+1] (u[k+1] + x[k+2] (..)))`. On a GPU what is in parentheses must stay in the range of f32.
    /// Errors: an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [4]);
    /// let [gradient] = x.cumprod(0).sum(..).grad([x])?;
    /// assert_eq!(gradient.shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cumprod(self, axis: isize) -> Expr<'g> {
        self.cumulative("cumprod", CumulativeFunction::Product, axis)
    }

    /// The largest element so far along `axis`, and where it stands: `(values, indices)`, both of the same shape, the indices i32
    /// (`torch.cummax`). Floats and i32, and bool, of which false is the smaller.
    ///
    /// Of equal elements the last one counts, and from the first NaN on values are NaN. The gradient goes to the elements that the
    /// indices name. Errors: an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// let g = Graph::new();
    /// let (values, indices) = g.input("x", [3, 4]).cummax(1);
    /// assert_eq!((values.dtype()?, indices.dtype()?), (DType::F32, DType::I32));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cummax(self, axis: isize) -> (Expr<'g>, Expr<'g>) {
        self.cumulative_extreme("cummax", CumulativeFunction::ArgMax, axis)
    }

    /// The smallest element so far along `axis`, and where it stands: [`Expr::cummax`] the other way round (`torch.cummin`).
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (values, indices) = g.input("x", [3, 4]).cummin(0);
    /// assert_eq!(values.shape()?, indices.shape()?);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cummin(self, axis: isize) -> (Expr<'g>, Expr<'g>) {
        self.cumulative_extreme("cummin", CumulativeFunction::ArgMin, axis)
    }

    /// The linear recurrence along `axis` that this expression drives: `y[i] = factors[i] y[i-1] + x[i]`, with `y[0] = x[0]`
    /// (`factors[0]` has no part in it). Operands and result are of one shape and one dtype of floats.
    ///
    /// On the CPU it is computed in f64, and what is infinite or NaN stays so to the end of the axis; of a GPU see [`Expr::cumprod`].
    ///
    /// It is the recurrence of exponential moving averages, discounted returns and diagonal state space models, computed in
    /// linear work, and in parallel. The gradient of x is `s[k] = u[k] + factors[k+1] s[k+1]`, a recurrence from the
    /// other end, and that of the factors `s[k] y[k-1]`. Errors: shapes or dtypes that differ; no floats; an axis that there is not.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (rewards, discounts) = (g.input("rewards", [8, 100]), g.input("discounts", [8, 100]));
    /// let returns = rewards.linear_recurrence(discounts, 1);
    /// assert_eq!(returns.shape()?.dims(), &[8, 100]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn linear_recurrence(self, factors: Expr<'g>, axis: isize) -> Expr<'g> {
        let method = self.enter("linear_recurrence");
        let origin = method.origin();
        if self.same_graph(factors, "linear_recurrence", origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        match self.axis_of("linear_recurrence", axis, origin) {
            Ok(Some(axis)) => self.recurrence_node(factors, axis, false, origin),
            Ok(None) => self,
            Err(error) => self.fail(error),
        }
    }

    /// This as numbers: truth values are 0 and 1 of i32, all else stays.
    pub(crate) fn numbers(self, origin: Origin) -> Expr<'g> {
        if self.is_truth() { self.graph().at(origin, || self.cast(DType::I32)) } else { self }
    }

    #[track_caller]
    fn cumulative(self, name: &'static str, function: CumulativeFunction, axis: isize) -> Expr<'g> {
        let method = self.enter(name);
        let origin = method.origin();
        match self.axis_of(name, axis, origin) {
            Ok(Some(axis)) => self.numbers(origin).cumulative_node(function, axis, false, origin),
            Ok(None) => self,
            Err(error) => self.fail(error),
        }
    }

    #[track_caller]
    fn cumulative_extreme(self, name: &'static str, function: CumulativeFunction, axis: isize) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter(name);
        let origin = method.origin();
        match self.axis_of(name, axis, origin) {
            Ok(Some(axis)) => {
                let indices = self.numbers(origin).cumulative_node(function, axis, false, origin);
                let values = self.gather_node(indices, axis, origin);
                method.gives(&[values, indices]);
                (values, indices)
            }
            Ok(None) => (self, self),
            Err(error) => {
                let poisoned = self.fail(error);
                (poisoned, poisoned)
            }
        }
    }

    /// The axis that a caller named; none if the expression is poisoned.
    pub(crate) fn axis_of(self, op: &'static str, axis: isize, origin: Origin) -> Result<Option<usize>, GraphError> {
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return Ok(None) };
        self.resolve_axis(op, &shape, axis, origin).map(Some)
    }

    pub(crate) fn cumulative_node(
        self,
        function: CumulativeFunction,
        axis: usize,
        is_reversed: bool,
        origin: Origin,
    ) -> Expr<'g> {
        let Some(operand) = self.raw() else { return self };
        let op = Op::Ordered(Ordered::Cumulative { function, operand, axis, is_reversed });
        self.insert(op, None, None, origin)
    }

    pub(crate) fn recurrence_node(self, factors: Expr<'g>, axis: usize, is_reversed: bool, origin: Origin) -> Expr<'g> {
        let (Some(operand), Some(factors)) = (self.raw(), factors.raw()) else {
            return Expr::poisoned(self.graph());
        };
        let op = Op::Ordered(Ordered::Recurrence { operand, factors, axis, is_reversed });
        self.insert(op, None, None, origin)
    }

    /// The elements at computed indices along an axis, all of them in range.
    pub(crate) fn gather_node(self, indices: Expr<'g>, axis: usize, origin: Origin) -> Expr<'g> {
        let (Some(operand), Some(indices)) = (self.raw(), indices.raw()) else {
            return Expr::poisoned(self.graph());
        };
        self.insert(Op::Indexing(Indexing::Gather { operand, indices, axis }), None, None, origin)
    }
}
