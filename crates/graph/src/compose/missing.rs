//! Sums and means of the elements that are not NaN.

use crate::error::GraphError;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::AxisSet;

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident $keepdims:ident => $build:ident;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(self, axes: impl Axes) -> Expr<'g> {
                let method = self.enter(stringify!($method));
                let origin = method.origin();
                self.drop_axes(stringify!($method), &axes, origin, |x, set| x.$build(stringify!($method), set, origin))
            }

            #[doc = concat!("[`Expr::", stringify!($method), "`] over `axes`, which keep extent 1.")]
            #[track_caller]
            pub fn $keepdims(self, axes: impl Axes) -> Expr<'g> {
                let method = self.enter(stringify!($keepdims));
                let origin = method.origin();
                self.keep_axes(stringify!($keepdims), &axes, origin, |x, set| x.$build(stringify!($keepdims), set, origin))
            }
        )*}
    };
}

methods! {
    /// The sum over `axes` (`..` for all), which fall away, of the elements that are not NaN; of none it is 0 (`torch.nansum`). Floats.
    ///
    /// The gradient is the upstream, and 0 at elements that are NaN. Errors: an axis that there is not; an expression that holds no floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [3, 4]).nansum(0).shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    nansum nansum_keepdims => nansum_node;
    /// The mean over `axes` (`..` for all), which fall away, of the elements that are not NaN; of none it is NaN (`torch.nanmean`). Floats.
    ///
    /// The gradient is the upstream over their number, and 0 at elements that are NaN. Errors: an axis that there is not; an expression
    /// that holds no floats.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [3, 4]).nanmean(0).shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    nanmean nanmean_keepdims => nanmean_node;
}

impl<'g> Expr<'g> {
    fn nansum_node(self, op: &'static str, axes: AxisSet, origin: Origin) -> Expr<'g> {
        match self.is_number(op, origin) {
            Some(is_number) => {
                let counted = self.graph().at(origin, || is_number.where_(self, 0.0));
                counted.reduce_node(ReduceFunction::Sum, axes, origin)
            }
            None => Expr::poisoned(self.graph()),
        }
    }

    fn nanmean_node(self, op: &'static str, axes: AxisSet, origin: Origin) -> Expr<'g> {
        let dtype = self.read(op, origin, |_, node| node.dtype);
        let (Some(dtype), Some(is_number)) = (dtype, self.is_number(op, origin)) else {
            return Expr::poisoned(self.graph());
        };
        self.graph().at(origin, || {
            let sum = is_number.where_(self, 0.0).reduce_node(ReduceFunction::Sum, axes, origin);
            // Counted as integers: a float of 24 bits would stop counting.
            let count = is_number.cast(crate::DType::I32).reduce_node(ReduceFunction::Sum, axes, origin);
            sum / count.cast(dtype)
        })
    }

    /// bool: whether each element is a number; none, with an error in the graph, if the expression holds no floats.
    fn is_number(self, op: &'static str, origin: Origin) -> Option<Expr<'g>> {
        let dtype = self.read(op, origin, |_, node| node.dtype)?;
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        // Only NaN differs from itself.
        Some(self.graph().at(origin, || self.equal(self)))
    }
}
