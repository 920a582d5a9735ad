//! Extremes together with where they stand.

use crate::dtype::DType;
use crate::expr::{Axes, Expr};

impl<'g> Expr<'g> {
    /// i32: the first index of the smallest element along an axis, which falls away; along several (`..` for all) the index among
    /// their elements in row-major order (`torch.argmin`). NaN counts as the smallest. Floats and i32.
    ///
    /// Errors: an axis that is empty or that there is not; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [3, 4]).argmin(0).shape()?.dims(), &[4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn argmin(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("argmin");
        let Some(dtype) = self.read("argmin", method.origin(), |_, node| node.dtype) else { return self };
        let Some((_, axes)) = self.some_axes("argmin", "argmin", &axes, method.origin()) else {
            return Expr::poisoned(self.graph());
        };
        // The negative of the least i32 is itself, but -1 - x turns the order of all around.
        let turned = if dtype == DType::I32 { -1 - self } else { -self };
        turned.argmax(axes)
    }

    /// The largest element along an axis, which falls away, and its first index: `(values, indices)`, the indices i32; along several axes
    /// (`..` for all) the index among their elements in row-major order (`torch.max` with a `dim`). NaN wins. Floats and i32.
    ///
    /// The gradient goes to the element that the index names; that of [`Expr::max`] is shared by all that are equal. Errors: an axis that
    /// is empty or that there is not; an expression of bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (values, indices) = g.input("x", [3, 4]).max_with_indices(1);
    /// assert_eq!((values.shape()?.dims(), indices.shape()?.dims()), (&[3][..], &[3][..]));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn max_with_indices(self, axes: impl Axes) -> (Expr<'g>, Expr<'g>) {
        self.with_indices("max_with_indices", false, &axes)
    }

    /// The smallest element along an axis, which falls away, and its first index: [`Expr::max_with_indices`] the other way round
    /// (`torch.min` with a `dim`).
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (values, indices) = g.input("x", [3, 4]).min_with_indices(..);
    /// assert_eq!((values.shape()?.rank(), indices.shape()?.rank()), (0, 0));
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn min_with_indices(self, axes: impl Axes) -> (Expr<'g>, Expr<'g>) {
        self.with_indices("min_with_indices", true, &axes)
    }

    /// The smallest and the largest element over `axes` (`..` for all), which fall away: `(min, max)`, with the gradients of
    /// [`Expr::min`] and [`Expr::max`] (`torch.aminmax`). Floats, i32 and bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let (least, largest) = g.input("x", [3, 4]).aminmax(..);
    /// let scaled = (g.input("y", [3, 4]) - least) / (largest - least);
    /// assert_eq!(scaled.shape()?.dims(), &[3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn aminmax(self, axes: impl Axes) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter("aminmax");
        let origin = method.origin();
        let Some(shape) = self.read("aminmax", origin, |_, node| node.shape.clone()) else { return (self, self) };
        match self.resolve_axes("aminmax", &shape, &axes, origin) {
            Ok(set) => {
                let (least, largest) = (self.min(set), self.max(set));
                method.gives(&[least, largest]);
                (least, largest)
            }
            Err(error) => {
                let poisoned = self.fail(error);
                (poisoned, poisoned)
            }
        }
    }

    #[track_caller]
    fn with_indices(self, name: &'static str, is_smallest: bool, axes: &impl Axes) -> (Expr<'g>, Expr<'g>) {
        let method = self.enter(name);
        let origin = method.origin();
        let found = self.read(name, origin, |_, node| node.dtype);
        let function = if is_smallest { "minimum" } else { "maximum" };
        let (Some(dtype), Some(joined)) = (found, self.joined_some(name, function, axes, origin)) else {
            return (Expr::poisoned(self.graph()), Expr::poisoned(self.graph()));
        };
        let x = joined.elements;
        let turned = match (is_smallest, dtype) {
            (false, _) => x,
            (true, DType::I32) => -1 - x,
            (true, DType::F32 | DType::F64 | DType::Bool) => -x,
        };
        joined.chosen(turned.argmax_node(joined.axis, origin), &method)
    }
}
