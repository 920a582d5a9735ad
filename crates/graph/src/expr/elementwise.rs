//! Elementwise operators and functions, with broadcasting.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Expr, IntoExpr, Operand};
use crate::node::Origin;
use crate::op::{BinaryFunction, CompareFunction, Elementwise, Half, Leaf, Op, UnaryFunction};

/// The methods that are one function of one element each, with their documentation: calls `$with` with the list, so that whoever
/// offers the same methods has the same ones.
#[doc(hidden)]
#[macro_export]
macro_rules! unary_methods {
    ($with:ident) => {
        $with! {
            /// `|x|` of each element; the derivative at 0 is 0. Floats and i32.
            abs => Abs;
            /// -1, 0 or 1 of each element; NaN stays NaN, and -0 gives 0. The derivative is 0. Floats and i32.
            sign => Sign;
            /// The largest integer not above each element. The derivative is 0.
            floor => Floor;
            /// The smallest integer not below each element. The derivative is 0.
            ceil => Ceil;
            /// The nearest integer, halves to the even one. The derivative is 0.
            round => Round;
            /// `e^x`.
            exp => Exp;
            /// `e^x - 1`, exact for small `x`.
            expm1 => Expm1;
            /// The natural logarithm: -inf at 0, NaN below. The derivative is infinite at 0, and a gradient of 0 that comes back there
            /// gives NaN: how to keep 0 out of a logarithm shows [`Expr::where_`].
            log => Log;
            /// `ln(1 + x)`, exact for small `x`.
            log1p => Log1p;
            /// The square root: NaN below 0. The derivative is infinite at 0, and a gradient of 0 that comes back there gives NaN:
            /// for a root of a sum of squares take [`Expr::norm`] or [`Expr::std`], whose derivatives are finite, and for others add
            /// a small number under the root, or keep 0 out of it as [`Expr::where_`] shows.
            sqrt => Sqrt;
            /// The sine, of radians.
            sin => Sin;
            /// The cosine, of radians.
            cos => Cos;
            /// The hyperbolic tangent.
            tanh => Tanh;
            /// `1 / (1 + e^-x)`.
            sigmoid => Sigmoid;
            /// The error function, `2 / sqrt(pi) * integral of e^(-t^2) from 0 to x`.
            erf => Erf;
            /// 0 below 0, else `x`; the derivative at 0 is 0. NaN stays NaN, and lets the gradient through; -0 stays -0.
            relu => Relu;
            /// The angle whose tangent is `x`, in radians between `-pi/2` and `pi/2`. The derivative is `1 / (1 + x^2)`. In f32 within
            /// 2 units of the last place.
            atan => Atan;
            /// The angle between `-pi/2` and `pi/2` whose sine is `x`; NaN outside [-1, 1]. The derivative is `1 / sqrt(1 - x^2)`, which is
            /// infinite at both ends. In f32 within 2 units of the last place.
            asin => Asin;
            /// The angle between 0 and `pi` whose cosine is `x`; NaN outside [-1, 1]. The derivative is `-1 / sqrt(1 - x^2)`, which is
            /// infinite at both ends. In f32 within 2 units of the last place, also next to 1, where it is small.
            acos => Acos;
            /// The hyperbolic sine, `(e^x - e^-x) / 2`, exact for small `x`. The derivative is `cosh x`. In f32 within 2 units of the
            /// last place.
            sinh => Sinh;
            /// The hyperbolic cosine, `(e^x + e^-x) / 2`. The derivative is `sinh x`. In f32 within 2 units of the last place.
            cosh => Cosh;
            /// The inverse of the hyperbolic sine, `ln(x + sqrt(x^2 + 1))`, exact for small and for large `x`. The derivative is
            /// `1 / sqrt(x^2 + 1)`. In f32 within 2 units of the last place.
            asinh => Asinh;
            /// The inverse of the hyperbolic cosine, `ln(x + sqrt(x^2 - 1))`, exact next to 1; NaN below 1. The derivative is
            /// `1 / sqrt(x^2 - 1)`, which is infinite at 1. In f32 within 2 units of the last place.
            acosh => Acosh;
            /// The inverse of the hyperbolic tangent, `ln((1 + x) / (1 - x)) / 2`, exact for small `x`: infinite at -1 and 1, NaN
            /// outside. The derivative is `1 / (1 - x^2)`. In f32 within 2 units of the last place.
            atanh => Atanh;
            /// The logarithm to base 2, exact at powers of 2: -inf at 0, NaN below. The derivative is `1 / (x ln 2)`. In f32 within 2
            /// units of the last place.
            log2 => Log2;
            /// The logarithm to base 10: -inf at 0, NaN below. The derivative is `1 / (x ln 10)`. In f32 within 2 units of the last place.
            log10 => Log10;
            /// `2^x`, exact at integers. The derivative is `2^x ln 2`. In f32 within 2 units of the last place.
            exp2 => Exp2;
            /// The integer next to each element towards 0. The derivative is 0.
            trunc => Trunc;
            /// What the error function is short of 1, `1 - erf(x)`, to its last digits also where it is tiny. The derivative is
            /// `-2 / sqrt(pi) e^(-x^2)`. In f32 within 4 units of the last place.
            erfc => Erfc;
            /// The error function's complement, scaled: `e^(x^2) erfc(x)`, which for large `x` is about `1 / (x sqrt(pi))`, where the
            /// complement is 0. Infinite far below 0. PyTorch's `special.erfcx`. The derivative is `2 x erfcx(x) - 2 / sqrt(pi)`, and
            /// computed by a series where those two cancel. In f32 within 4 units of the last place.
            erfcx => Erfcx;
            /// The inverse of the error function: infinite at -1 and 1, NaN outside. The derivative is `sqrt(pi) / 2 e^(y^2)` of the
            /// result `y`. In f32 within 3 units of the last place.
            erfinv => Erfinv;
            /// The logarithm of the gamma function's magnitude: infinite at 0 and the negative integers. The derivative is
            /// [`Expr::digamma`]. In f32 on the CPU to the last place; on a GPU, which has no wider floats, errors next to the zeros
            /// below 0 are those of the terms that cancel there.
            lgamma => Lgamma;
            /// The derivative of [`Expr::lgamma`], the logarithmic derivative of the gamma function. At 0 it is the infinity of
            /// the other sign, as in PyTorch, and at the negative integers NaN. The derivative is [`Expr::trigamma`]. In f32 as
            /// exact as that.
            digamma => Digamma;
            /// The derivative of [`Expr::digamma`], PyTorch's `polygamma(1, x)`: infinite at 0 and the negative integers. Its own
            /// derivatives are the polygamma functions of higher orders. In f32 as exact as [`Expr::lgamma`].
            trigamma => Trigamma;
        }
    };
}

/// The methods that are one function of two elements each, as [`unary_methods`] lists those of one.
#[doc(hidden)]
#[macro_export]
macro_rules! binary_methods {
    ($with:ident) => {
        $with! {
            /// `x^exponent`, elementwise with broadcasting. A negative base with an integer exponent is right; with any other it
            /// is NaN. `x^0` is 1 for every `x`, NaN too. Floats and i32.
            ///
            /// Powers of i32 are exact and wrap around. Those of 1 and -1 have negative exponents as well; of all other numbers such a power
            /// is 0, and so it is of 0, as in PyTorch's powers of two tensors.
            ///
            /// The derivatives are `exponent x^(exponent - 1)` and `x^exponent ln x`, and 0 where those are products of 0 and an
            /// infinity: by `x` for an exponent of 0, and for an infinite one where the power is 0 all around; by the exponent at an
            /// `x` of 0 if the exponent is not below 0, and at an infinite `x` if it is. By the exponent the derivative at a negative
            /// `x` is NaN.
            pow => Pow;
            /// The angle in radians, from -pi to pi, of the point with this `y` and the other's `x`: `atan(y / x)` in the right quadrant,
            /// also where `x` is 0. The signs of zeros count: of `(0, -1)` it is pi, of `(-0, -1)` -pi. The derivatives are
            /// `x / (x^2 + y^2)` and `-y / (x^2 + y^2)`, NaN at the origin.
            atan2 => Atan2;
            /// The larger of two elements; at a tie each operand gets half the gradient, and NaN wins.
            maximum => Maximum;
            /// The smaller of two elements; at a tie each operand gets half the gradient, and NaN wins.
            minimum => Minimum;
            /// 0 where the other is at most 0, else `self`: the backward pass of [`Expr::relu`], with `self` as upstream gradient and the
            /// other as operand or result. Where that is NaN the gradient passes.
            relu_backward => ReluBackward;
            /// The remainder of a division whose quotient is rounded towards 0, exact: it has the sign of `self`. NaN where the divisor
            /// is 0 or `self` infinite; of i32 by 0 it is `self`. The derivatives are 1 and `-trunc(x / y)`. Floats and i32.
            fmod => Fmod;
            /// The remainder of a division whose quotient is rounded down: it has the sign of the divisor. NaN where the divisor is 0
            /// or `self` infinite; of i32 by 0 it is `self`. The derivatives are 1 and `-floor(x / y)`. Floats and i32.
            remainder => Remainder;
            /// The quotient rounded down, of the true quotient and not of the rounded one: `1.0` by `0.1` gives 9. On a GPU a quotient of
            /// millions may be an integer off. By 0 it is `x / 0`; of i32 by 0 it is 0. No gradient flows through it. Floats and i32.
            floor_divide => FloorDivide;
            /// The magnitude of `self` with the sign of the other, of which the signs of zeros count too. The derivative in `self` is 1
            /// or -1, and 0 where `self` is 0; that in the other is 0.
            copysign => Copysign;
            /// The length of the vector of both, `sqrt(x^2 + y^2)`: no square overflows or vanishes. The derivatives are `x` and `y`
            /// over the result, and 0 where that is 0.
            hypot => Hypot;
        }
    };
}

/// The methods that are one comparison each, as [`unary_methods`] lists functions of one element.
#[doc(hidden)]
#[macro_export]
macro_rules! compare_methods {
    ($with:ident) => {
        $with! {
            /// bool: whether each element is below the other.
            less => Less;
            /// bool: whether each element is at most the other.
            less_equal => LessEqual;
            /// bool: whether each element is above the other.
            greater => Greater;
            /// bool: whether each element is at least the other.
            greater_equal => GreaterEqual;
            /// bool: whether each element equals the other.
            equal => Equal;
            /// bool: whether each element differs from the other; NaN differs from everything.
            not_equal => NotEqual;
        }
    };
}

macro_rules! unary {
    ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(self) -> Expr<'g> {
                self.unary(UnaryFunction::$function, Origin::here())
            }
        )*}
    };
}
crate::unary_methods!(unary);

macro_rules! binary {
    ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
                self.binary(BinaryFunction::$function, rhs, Origin::here())
            }
        )*}
    };
}
crate::binary_methods!(binary);

macro_rules! compare {
    ($($(#[$doc:meta])* $method:ident => $function:ident;)*) => {
        impl<'g> Expr<'g> {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(self, rhs: impl IntoExpr<'g>) -> Expr<'g> {
                self.compare(CompareFunction::$function, rhs, Origin::here())
            }
        )*}
    };
}
crate::compare_methods!(compare);

impl<'g> Expr<'g> {
    /// A function of the table of functions of one element: what programs call that have the function as a value.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, UnaryFunction};
    /// let g = Graph::new();
    /// let x = g.input("x", [2]);
    /// let both = UnaryFunction::ALL.iter().filter(|function| ["sin", "cos"].contains(&function.name()));
    /// let results: Vec<_> = both.map(|&function| x.unary_function(function)).collect();
    /// assert_eq!(results.len(), 2);
    /// ```
    #[track_caller]
    pub fn unary_function(self, function: UnaryFunction) -> Expr<'g> {
        self.unary(function, Origin::here())
    }

    /// A function of the table of functions of two elements, with broadcasting.
    #[track_caller]
    pub fn binary_function(self, function: BinaryFunction, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        self.binary(function, rhs, Origin::here())
    }

    /// A comparison of the table of comparisons, with broadcasting.
    #[track_caller]
    pub fn compare_function(self, function: CompareFunction, rhs: impl IntoExpr<'g>) -> Expr<'g> {
        self.compare(function, rhs, Origin::here())
    }

    /// `x^exponent` for a number, in the shortest form: `x * x` for 2, `sqrt` for 0.5, a quotient for -1. Floats and i32, of which the
    /// exponent is a whole number and the power that of [`Expr::pow`].
    ///
    /// Errors: truth values; an exponent that i32 does not hold, of an expression that is i32.
    #[track_caller]
    pub fn powf(self, exponent: f64) -> Expr<'g> {
        let _method = self.enter("powf");
        let origin = Origin::here();
        let is_integer = self.raw().is_some() && self.dtype() == Ok(DType::I32);
        match exponent {
            1.0 => self,
            2.0 => self.binary(BinaryFunction::Mul, self, origin),
            3.0 => self.binary(BinaryFunction::Mul, self, origin).binary(BinaryFunction::Mul, self, origin),
            0.5 if !is_integer => self.unary(UnaryFunction::Sqrt, origin),
            -1.0 if !is_integer => self.constant_beside(1.0, origin).binary(BinaryFunction::Div, self, origin),
            exponent => self.binary(BinaryFunction::Pow, exponent, origin),
        }
    }

    /// `on_true` where this bool expression holds, else `on_false`, all three broadcast. Numbers take the dtype of the
    /// expression beside them; two numbers give f32. The gradient goes to the operand that was taken; the other gets 0.
    ///
    /// That 0 still goes back through whatever made the other operand. Where the derivative there is infinite or NaN, 0 times
    /// it is NaN, which then is the whole gradient, as it is in PyTorch and in JAX. So select twice: first something harmless
    /// *before* the function that has no finite derivative, then what it gave. `arenagrad::check::anomaly` finds the line where
    /// such a NaN began.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [3]);
    /// let is_positive = x.greater(0.0);
    /// // The value is right, but the gradient at x = 0 is 0 / 0:
    /// let trap = is_positive.where_(x.log(), 0.0);
    /// // The logarithm never sees a 0, and the gradient at x = 0 is 0:
    /// let safe = is_positive.where_(is_positive.where_(x, 1.0).log(), 0.0);
    /// let [gradient] = safe.sum(..).grad([x])?;
    /// # let _ = (trap, gradient);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn where_(self, on_true: impl IntoExpr<'g>, on_false: impl IntoExpr<'g>) -> Expr<'g> {
        let _method = self.enter("where");
        let origin = self.graph().origin_or(Origin::here());
        let (on_true, on_false) = (on_true.into_operand(), on_false.into_operand());
        if self.same_graph_all(&[on_true.expr(), on_false.expr()], "where", origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        let (on_true, on_false) = match (on_true, on_false) {
            (Operand::Expr(on_true), Operand::Expr(on_false)) => (on_true, on_false),
            (Operand::Expr(on_true), Operand::Number(value)) => (on_true, on_true.constant_beside(value, origin)),
            (Operand::Number(value), Operand::Expr(on_false)) => (on_false.constant_beside(value, origin), on_false),
            (Operand::Number(on_true), Operand::Number(on_false)) => {
                let Some(shape) = self.read("where", origin, |_, node| node.shape.clone()) else { return self };
                let constant = |value| {
                    let op = Op::Leaf(Leaf::Constant { value: DType::F32.round(value) });
                    self.insert(op, Some(&shape), Some(DType::F32), origin)
                };
                (constant(on_true), constant(on_false))
            }
        };
        self.select(on_true, on_false, origin)
    }

    /// The elements in another dtype. Floats to i32 truncate towards zero and saturate, NaN to 0; anything but 0 is true.
    /// Gradients flow between floats alone.
    #[track_caller]
    pub fn cast(self, dtype: DType) -> Expr<'g> {
        let _method = self.enter("cast");
        let origin = self.graph().origin_or(Origin::here());
        match self.read("cast", origin, |id, node| (id, node.dtype)) {
            Some((_, own)) if own == dtype => self,
            Some((operand, _)) => {
                self.insert(Op::Elementwise(Elementwise::Cast { operand }), None, Some(dtype), origin)
            }
            None => Expr::poisoned(self.graph()),
        }
    }

    /// The elements, floats, rounded to the nearest number that a float of 16 bits holds; the dtype stays. Of two equally near it is the
    /// one whose last bit is 0, NaN stays NaN, and what is half a step past the largest number, or more, is infinite: 65,520 for f16.
    ///
    /// A plan stores an f32 result that is rounded so in 16 bits, if it stores it at all, and matrix products read it there: half of the
    /// memory, and the same values on every device. So the graph alone says what a computation in mixed precision gives.
    ///
    /// Gradients and tangents pass through as they are, unrounded, as through a cast of PyTorch or JAX there and back.
    ///
    /// ```
    /// use arenagrad_graph::{Graph, Half};
    /// let g = Graph::new();
    /// let (x, w) = (g.input("x", [8, 4]), g.parameter("w", [4, 3], arenagrad_graph::Init::KaimingUniform));
    /// let y = x.rounded_to(Half::Bf16).matmul(w.rounded_to(Half::Bf16)); // summed in f32
    /// let [gradient] = y.sum(..).grad([w])?;
    /// # let _ = gradient;
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    ///
    /// Errors: anything but floats.
    #[track_caller]
    pub fn rounded_to(self, half: Half) -> Expr<'g> {
        let _method = self.enter("rounded_to");
        let origin = self.graph().origin_or(Origin::here());
        match self.raw() {
            Some(operand) => self.insert(Op::Elementwise(Elementwise::RoundTo { half, operand }), None, None, origin),
            None => self,
        }
    }

    /// The identity, through which no gradient flows.
    #[track_caller]
    pub fn stop_gradient(self) -> Expr<'g> {
        let _method = self.enter("stop_gradient");
        let origin = self.graph().origin_or(Origin::here());
        match self.raw() {
            Some(operand) => self.insert(Op::StopGradient { operand }, None, None, origin),
            None => self,
        }
    }

    pub(crate) fn unary(self, function: UnaryFunction, origin: Origin) -> Expr<'g> {
        let origin = self.graph().origin_or(origin);
        match self.raw() {
            Some(operand) => self.insert(Op::Elementwise(Elementwise::Unary { function, operand }), None, None, origin),
            None => self,
        }
    }

    pub(crate) fn binary(self, function: BinaryFunction, rhs: impl IntoExpr<'g>, origin: Origin) -> Expr<'g> {
        let method = self.graph().enter_at(function.name(), origin);
        let origin = method.origin();
        match self.broadcast_pair(rhs.into_operand().beside(self, origin), function.name(), origin) {
            Some((lhs, rhs)) => {
                self.insert(Op::Elementwise(Elementwise::Binary { function, lhs, rhs }), None, None, origin)
            }
            None => Expr::poisoned(self.graph()),
        }
    }

    pub(crate) fn compare(self, function: CompareFunction, rhs: impl IntoExpr<'g>, origin: Origin) -> Expr<'g> {
        let method = self.graph().enter_at(function.name(), origin);
        let origin = method.origin();
        match self.broadcast_pair(rhs.into_operand().beside(self, origin), function.name(), origin) {
            Some((lhs, rhs)) => {
                self.insert(Op::Elementwise(Elementwise::Compare { function, lhs, rhs }), None, None, origin)
            }
            None => Expr::poisoned(self.graph()),
        }
    }

    /// `on_true` where this holds, else `on_false`, all three broadcast.
    pub(crate) fn select(self, on_true: Expr<'g>, on_false: Expr<'g>, origin: Origin) -> Expr<'g> {
        let _operation = self.graph().operation();
        let poisoned = Expr::poisoned(self.graph());
        // The first pairs fix the common shape; the second pass brings each operand to it.
        let Some((on_true, on_false)) = on_true.broadcast_pair(on_false, "where", origin) else { return poisoned };
        let (on_true, on_false) = (Expr::from_id(self.graph(), on_true), Expr::from_id(self.graph(), on_false));
        let Some((condition, on_true)) = self.broadcast_pair(on_true, "where", origin) else { return poisoned };
        let common = Expr::from_id(self.graph(), on_true);
        let Some((on_false, _)) = on_false.broadcast_pair(common, "where", origin) else { return poisoned };
        self.insert(Op::Elementwise(Elementwise::Where { condition, on_true, on_false }), None, None, origin)
    }

    /// Both operands brought to their common shape by broadcast nodes where they need one.
    pub(crate) fn broadcast_pair(
        self,
        rhs: Expr<'g>,
        op: &'static str,
        origin: Origin,
    ) -> Option<(crate::NodeId, crate::NodeId)> {
        self.same_graph(rhs, op, origin)?;
        let (lhs_id, rhs_id) = (self.raw()?, rhs.raw()?);
        let common = {
            let arena = self.graph().arena();
            match (arena.nodes.get(lhs_id.key), arena.nodes.get(rhs_id.key)) {
                (Some(lhs), Some(rhs)) if lhs.shape == rhs.shape => return Some((lhs_id, rhs_id)),
                (Some(lhs), Some(rhs)) => {
                    lhs.shape.broadcast(&rhs.shape).map_err(|(left, right)| GraphError::Broadcast {
                        origin,
                        op,
                        lhs: arena.describe(lhs_id),
                        lhs_shape: lhs.shape.clone(),
                        rhs: arena.describe(rhs_id),
                        rhs_shape: rhs.shape.clone(),
                        left,
                        right,
                    })
                }
                _ => Err(GraphError::StaleNode { origin, op }),
            }
        };
        match common {
            Ok(shape) => Some((self.broadcast_node(&shape, origin).raw()?, rhs.broadcast_node(&shape, origin).raw()?)),
            Err(error) => self.fail_without(error),
        }
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $function:ident;)*) => {$(
        impl<'g, R: IntoExpr<'g>> $trait<R> for Expr<'g> {
            type Output = Expr<'g>;

            #[track_caller]
            fn $method(self, rhs: R) -> Expr<'g> {
                self.binary(BinaryFunction::$function, rhs, Origin::here())
            }
        }
        // One float type and one integer type, so that the type of the literal in `(1.0 - x).log()` can be inferred.
        operators!(@number f64 $trait $method $function);
        operators!(@number i32 $trait $method $function);
    )*};
    (@number $number:ident $trait:ident $method:ident $function:ident) => {
        impl<'g> $trait<Expr<'g>> for $number {
            type Output = Expr<'g>;

            #[track_caller]
            fn $method(self, rhs: Expr<'g>) -> Expr<'g> {
                let method = rhs.enter(BinaryFunction::$function.name());
                let origin = method.origin();
                Operand::Number(f64::from(self)).beside(rhs, origin).binary(BinaryFunction::$function, rhs, origin)
            }
        }
    };
}
operators! {
    Add add Add;
    Sub sub Sub;
    Mul mul Mul;
    Div div Div;
}

impl<'g> Neg for Expr<'g> {
    type Output = Expr<'g>;

    #[track_caller]
    fn neg(self) -> Expr<'g> {
        self.unary(UnaryFunction::Neg, Origin::here())
    }
}

impl<'g> Not for Expr<'g> {
    type Output = Expr<'g>;

    #[track_caller]
    fn not(self) -> Expr<'g> {
        self.unary(UnaryFunction::Not, Origin::here())
    }
}

impl<'g> BitAnd for Expr<'g> {
    type Output = Expr<'g>;

    #[track_caller]
    fn bitand(self, rhs: Expr<'g>) -> Expr<'g> {
        self.binary(BinaryFunction::And, rhs, Origin::here())
    }
}

impl<'g> BitOr for Expr<'g> {
    type Output = Expr<'g>;

    #[track_caller]
    fn bitor(self, rhs: Expr<'g>) -> Expr<'g> {
        self.binary(BinaryFunction::Or, rhs, Origin::here())
    }
}
