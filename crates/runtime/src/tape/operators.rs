//! The operators and methods of variables: each records what the method of the same name of [`Expr`](crate::Expr) appends. What is not
//! here, [`Variable::map`] and [`crate::Tape::record`] reach.

use std::ops::{Add, Div, Mul, Neg, Sub};

use arenagrad_graph::{Axes, Origin, Reduction, Shape};
// The documentation of the methods that both have links to those of expressions.
#[allow(unused_imports)]
use arenagrad_graph::Expr;

use crate::tape::Variable;
use crate::tape::methods::methods;

macro_rules! unary {
    ($($(#[$doc:meta])* $method:ident $(=> $function:ident)?;)*) => {
        impl Variable {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Variable {
                self.unary(stringify!($method), Origin::here(), |x| x.$method())
            }
        )*}
    };
}
arenagrad_graph::unary_methods!(unary);

unary! {
    /// The tangent, of radians. See [`Expr::tan`](crate::Expr::tan).
    tan;
    /// `x sigmoid(x)`. See [`Expr::silu`](crate::Expr::silu).
    silu;
    /// `x^2`. See [`Expr::square`](crate::Expr::square).
    square;
    /// `1 / x`. See [`Expr::reciprocal`](crate::Expr::reciprocal).
    reciprocal;
    /// `ln sigmoid(x)`. See [`Expr::log_sigmoid`](crate::Expr::log_sigmoid).
    log_sigmoid;
    /// All elements along one axis. See [`Expr::flatten`](crate::Expr::flatten).
    flatten;
    /// The last two axes exchanged. See [`Expr::t`](crate::Expr::t).
    t;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $method:ident $(=> $function:ident)?;)*) => {
        impl Variable {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, other: &Variable) -> Variable {
                self.binary(stringify!($method), other, Origin::here(), |lhs, rhs| lhs.$method(rhs))
            }
        )*}
    };
}

arenagrad_graph::binary_methods!(binary);
arenagrad_graph::compare_methods!(binary);

binary! {
    /// The matrix product `[.., m, k] x [.., k, n] -> [.., m, n]`. See [`Expr::matmul`](crate::Expr::matmul).
    matmul;
    /// The mean cross-entropy of these logits `[n, classes]` and i32 labels `[n]`. See [`Expr::cross_entropy`](crate::Expr::cross_entropy).
    cross_entropy;
    /// The share of rows whose largest logit is the label's. See [`Expr::accuracy`](crate::Expr::accuracy).
    accuracy;
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $method:ident;)*) => {
        impl Variable {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, axes: impl Axes) -> Variable {
                self.unary(stringify!($method), Origin::here(), |x| x.$method(axes))
            }
        )*}
    };
}

reductions! {
    /// The sum over axes, or `..` for all. See [`Expr::sum`](crate::Expr::sum).
    sum;
    /// The sum over axes, which keep extent 1. See [`Expr::sum_keepdims`](crate::Expr::sum_keepdims).
    sum_keepdims;
    /// The mean over axes, or `..` for all. See [`Expr::mean`](crate::Expr::mean).
    mean;
    /// The mean over axes, which keep extent 1. See [`Expr::mean_keepdims`](crate::Expr::mean_keepdims).
    mean_keepdims;
    /// The largest element over axes, or `..` for all. See [`Expr::max`](crate::Expr::max).
    max;
    /// The smallest element over axes, or `..` for all. See [`Expr::min`](crate::Expr::min).
    min;
}

methods! {
    /// `x^exponent` for a number.
    powf(; exponent: f64);
    /// Each element between `min` and `max`.
    clamp(; min: Option<f64>, max: Option<f64>);
    /// The variance over axes, or `..` for all.
    var(; axes: impl Axes, correction: f64);
    /// The standard deviation over axes, or `..` for all, with a gradient of 0 where all elements are equal.
    std(; axes: impl Axes, correction: f64);
    /// The p-norm over axes, or `..` for all, with a gradient of 0 where it is 0.
    norm(; p: f64, axes: impl Axes);
    /// Softmax along an axis.
    softmax(; axis: isize);
    /// The logarithm of softmax along an axis.
    log_softmax(; axis: isize);
    /// The same elements in row-major order under another shape.
    reshape(; shape: impl Into<Shape>);
    view(; extents: impl AsRef<[isize]>);
    /// Result axis `i` is axis `axes[i]`.
    permute(; axes: impl AsRef<[isize]>);
    /// Two axes exchanged.
    transpose(; first: isize, second: isize);
    /// Repeated up to a shape.
    broadcast_to(; shape: impl Into<Shape>);
    /// Elements `start..end` along an axis.
    slice(; axis: isize, start: usize, end: usize);
    /// The slice at one index, without the axis.
    select_index(; axis: isize, index: impl arenagrad_graph::Position);
    /// The squared error of a target of the same shape.
    mse_loss(target; reduction: Reduction);
}

impl Variable {
    /// `on_true` where this bool variable holds, else `on_false`. See [`Expr::where_`](crate::Expr::where_).
    #[track_caller]
    pub fn where_(&self, on_true: &Variable, on_false: &Variable) -> Variable {
        let origin = Origin::here();
        let operands = [self, on_true, on_false];
        Variable::new(self.tape_inner().record("where", &operands, origin, |_, x| Ok(x[0].where_(x[1], x[2]))))
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident;)*) => {$(
        operators!(@variable $trait $method, &Variable, &Variable);
        operators!(@variable $trait $method, Variable, &Variable);
        operators!(@variable $trait $method, &Variable, Variable);
        operators!(@variable $trait $method, Variable, Variable);
        operators!(@number $trait $method, &Variable, f64);
        operators!(@number $trait $method, Variable, f64);
        operators!(@number $trait $method, &Variable, i32);
        operators!(@number $trait $method, Variable, i32);
    )*};
    (@variable $trait:ident $method:ident, $lhs:ty, $rhs:ty) => {
        impl $trait<$rhs> for $lhs {
            type Output = Variable;

            #[track_caller]
            fn $method(self, rhs: $rhs) -> Variable {
                #[allow(clippy::needless_borrow)]
                self.binary(stringify!($method), &rhs, Origin::here(), |lhs, rhs| lhs.$method(rhs))
            }
        }
    };
    (@number $trait:ident $method:ident, $variable:ty, $number:ty) => {
        impl $trait<$number> for $variable {
            type Output = Variable;

            #[track_caller]
            fn $method(self, rhs: $number) -> Variable {
                self.unary(stringify!($method), Origin::here(), |lhs| lhs.$method(rhs))
            }
        }

        impl $trait<$variable> for $number {
            type Output = Variable;

            #[track_caller]
            fn $method(self, rhs: $variable) -> Variable {
                let lhs = self;
                rhs.unary(stringify!($method), Origin::here(), |rhs| lhs.$method(rhs))
            }
        }
    };
}
operators! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}

impl Neg for &Variable {
    type Output = Variable;

    #[track_caller]
    fn neg(self) -> Variable {
        self.unary("neg", Origin::here(), |x| -x)
    }
}

impl Neg for Variable {
    type Output = Variable;

    #[track_caller]
    fn neg(self) -> Variable {
        -&self
    }
}
