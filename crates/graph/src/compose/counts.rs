//! How many elements are not 0, and so whether any or all are.

use crate::dtype::DType;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::AxisSet;

impl<'g> Expr<'g> {
    /// i32: how many elements over `axes` (`..` for all), which fall away, are not 0 (`torch.count_nonzero`). Of any dtype; NaN is not 0.
    ///
    /// Errors: an axis that there is not, or that is named twice.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// let g = Graph::new();
    /// let count = g.input("x", [3, 4]).count_nonzero(1);
    /// assert_eq!((count.shape()?.dims(), count.dtype()?), (&[3][..], DType::I32));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn count_nonzero(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("count_nonzero");
        let origin = method.origin();
        self.drop_axes("count_nonzero", &axes, origin, |x, set| x.count_of(set, origin))
    }

    /// bool: whether any element over `axes` (`..` for all), which fall away, is not 0 (`torch.any`). Of no elements none is. Of any dtype;
    /// NaN is not 0.
    ///
    /// Errors: an axis that there is not, or that is named twice.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// let g = Graph::new();
    /// let any = g.input("x", [3, 4]).greater(0.5).any(1);
    /// assert_eq!((any.shape()?.dims(), any.dtype()?), (&[3][..], DType::Bool));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn any(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("any");
        let origin = method.origin();
        self.drop_axes("any", &axes, origin, |x, set| x.graph().at(origin, || x.are_all(set, true, origin).equal(0)))
    }

    /// [`Expr::any`] over `axes`, which keep extent 1.
    #[track_caller]
    pub fn any_keepdims(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("any_keepdims");
        let origin = method.origin();
        self.keep_axes("any_keepdims", &axes, origin, |x, set| {
            x.graph().at(origin, || x.are_all(set, true, origin).equal(0))
        })
    }

    /// bool: whether all elements over `axes` (`..` for all), which fall away, are other than 0 (`torch.all`). Of no elements all are. Of
    /// any dtype; NaN is not 0.
    ///
    /// Errors: an axis that there is not, or that is named twice.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let all = g.input("x", [3, 4]).less(0.5).all(..);
    /// assert_eq!(all.shape()?.rank(), 0);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn all(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("all");
        let origin = method.origin();
        self.drop_axes("all", &axes, origin, |x, set| {
            x.graph().at(origin, || x.are_all(set, false, origin).not_equal(0))
        })
    }

    /// [`Expr::all`] over `axes`, which keep extent 1.
    #[track_caller]
    pub fn all_keepdims(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("all_keepdims");
        let origin = method.origin();
        self.keep_axes("all_keepdims", &axes, origin, |x, set| {
            x.graph().at(origin, || x.are_all(set, false, origin).not_equal(0))
        })
    }

    /// How many elements are not 0, over axes that keep extent 1.
    fn count_of(self, axes: AxisSet, origin: Origin) -> Expr<'g> {
        self.holds(false, origin).cast(DType::I32).reduce_node(ReduceFunction::Sum, axes, origin)
    }

    /// 1 if all elements are 0, or if none is, else 0, over axes that keep extent 1. A product of ones does not grow as a count does.
    fn are_all(self, axes: AxisSet, zeros: bool, origin: Origin) -> Expr<'g> {
        self.holds(zeros, origin).cast(DType::I32).reduce_node(ReduceFunction::Product, axes, origin)
    }

    /// Of each element whether it is 0, or whether it is not.
    fn holds(self, zeros: bool, origin: Origin) -> Expr<'g> {
        let Some(dtype) = self.read("count_nonzero", origin, |_, node| node.dtype) else { return self };
        self.graph().at(origin, || match (dtype, zeros) {
            (DType::Bool, false) => self,
            (DType::Bool, true) => !self,
            (DType::F32 | DType::F64 | DType::I32, false) => self.not_equal(0),
            (DType::F32 | DType::F64 | DType::I32, true) => self.equal(0),
        })
    }
}
