//! Reductions over any axes, and argmax. Each exists in two forms: one drops the reduced axes, `…_keepdims` leaves them with
//! extent 1.

use crate::dtype::DType;
use crate::expr::{Axes, Expr};
use crate::node::Origin;
use crate::op::{Op, ReduceFunction};
use crate::shape::AxisSet;

macro_rules! reductions {
    ($($(#[$doc:meta])* $method:ident $keepdims:ident => $function:ident;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(self, axes: impl Axes) -> Expr<'g> {
                let method = self.graph().enter(stringify!($method));
                let origin = method.origin();
                self.drop_axes(stringify!($method), &axes, origin, |x, set| x.reduced(ReduceFunction::$function, set, origin))
            }

            $(#[$doc])*
            ///
            /// The reduced axes keep extent 1.
            #[track_caller]
            pub fn $keepdims(self, axes: impl Axes) -> Expr<'g> {
                let method = self.graph().enter(stringify!($keepdims));
                let origin = method.origin();
                self.keep_axes(stringify!($keepdims), &axes, origin, |x, set| x.reduced(ReduceFunction::$function, set, origin))
            }
        )*}
    };
}

reductions! {
    /// The sum over `axes` (`..` for all); over no elements it is 0. Floats and i32. The sum of bool is i32: how many hold.
    sum sum_keepdims => Sum;
    /// The largest element over `axes`; ties share the gradient evenly. NaN wins, and the gradient is NaN throughout where it
    /// did. Floats and i32, and bool, of which false is the smaller.
    max max_keepdims => Max;
    /// The smallest element over `axes`; ties share the gradient evenly. NaN wins, and the gradient is NaN throughout where it
    /// did. Floats and i32, and bool, of which false is the smaller.
    min min_keepdims => Min;
    /// The product over `axes` (`..` for all, `torch.prod`); over no elements it is 1. Floats and i32, which wraps. The product of bool is
    /// i32: 1 where all hold.
    ///
    /// The gradient of an element is the upstream times the product of all others, computed without division: derivatives of any
    /// order are right where elements are 0, one or several.
    prod prod_keepdims => Product;
}

impl<'g> Expr<'g> {
    /// i32: the first index of the largest element along an axis, which falls away; along several (`..` for all) the index among
    /// their elements in row-major order (`torch.argmax`). NaN counts as the largest. Floats and i32.
    #[track_caller]
    pub fn argmax(self, axes: impl Axes) -> Expr<'g> {
        let method = self.enter("argmax");
        let origin = method.origin();
        match self.joined_some("argmax", "argmax", &axes, origin) {
            Some(joined) => joined.without_axis(joined.elements.argmax_node(joined.axis, origin), origin),
            None => Expr::poisoned(self.graph()),
        }
    }

    /// [`Op::ArgMax`]: the axis keeps extent 1.
    pub(crate) fn argmax_node(self, axis: usize, origin: Origin) -> Expr<'g> {
        match self.raw() {
            Some(operand) => self.insert(Op::ArgMax { operand, axis }, None, None, origin),
            None => self,
        }
    }

    /// What a method of that function gives: [`Op::Reduce`] is of numbers, so truth values are 0 and 1 there. As in PyTorch their sums and
    /// products are integers, and the largest of them is one of them.
    fn reduced(self, function: ReduceFunction, axes: AxisSet, origin: Origin) -> Expr<'g> {
        if !self.is_truth() {
            return self.reduce_node(function, axes, origin);
        }
        self.graph().at(origin, || {
            let reduced = self.numbers(origin).reduce_node(function, axes, origin);
            match function {
                ReduceFunction::Sum | ReduceFunction::Product => reduced,
                ReduceFunction::Max | ReduceFunction::Min => reduced.cast(DType::Bool),
            }
        })
    }

    pub(crate) fn reduce_node(self, function: ReduceFunction, axes: AxisSet, origin: Origin) -> Expr<'g> {
        match self.raw() {
            Some(operand) if !axes.is_empty() => {
                self.insert(Op::Reduce { function, operand, axes }, None, None, origin)
            }
            Some(_) | None => self,
        }
    }

    /// Runs a reduction that keeps dimensions, then drops the reduced axes.
    pub(crate) fn drop_axes(
        self,
        op: &'static str,
        axes: &impl Axes,
        origin: Origin,
        reduce: impl FnOnce(Self, AxisSet) -> Self,
    ) -> Expr<'g> {
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axes(op, &shape, axes, origin) {
            Ok(set) => reduce(self, set).reshape_node(&shape.without(set), origin),
            Err(error) => self.fail(error),
        }
    }

    pub(crate) fn keep_axes(
        self,
        op: &'static str,
        axes: &impl Axes,
        origin: Origin,
        reduce: impl FnOnce(Self, AxisSet) -> Self,
    ) -> Expr<'g> {
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        match self.resolve_axes(op, &shape, axes, origin) {
            Ok(set) => reduce(self, set),
            Err(error) => self.fail(error),
        }
    }
}
