//! Derivatives of special functions that are formulas of some length. Like all derivatives they are built from ops, so they are
//! differentiated again.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use crate::dtype::DType;
use crate::expr::Expr;

/// The derivative of `y = erfcx(x)`: `2 x y - 2 / sqrt(pi)`.
///
/// Far out those two cancel, and there the asymptotic series stands for them,
/// `-1 / (sqrt(pi) x^2) (1 - 3 v + 15 v^2 - ..)` with `v = 1 / (2 x^2)`. What the other case takes sees numbers at which it and
/// its derivatives are finite.
pub(super) fn erfcx_slope<'g>(x: Expr<'g>, y: Expr<'g>) -> Expr<'g> {
    // Where the cancellation has cost about as much as the series leaves out.
    let far = match x.dtype() {
        Ok(DType::F64) => 30.0,
        Ok(DType::F32 | DType::I32 | DType::Bool) | Err(_) => 8.0,
    };
    let is_far = x.greater(far);
    let near = is_far.where_(0.0, x) * y * 2.0 - FRAC_2_SQRT_PI;
    let inverse = 1.0 / is_far.where_(x, far);
    let square = inverse * inverse;
    let v = square * 0.5;
    let mut series = v * 135_135.0 - 10_395.0;
    for coefficient in [945.0, -105.0, 15.0, -3.0, 1.0] {
        series = series * v + coefficient;
    }
    is_far.where_(square * series * (-0.5 * FRAC_2_SQRT_PI), near)
}

/// The derivative of `trigamma(x)`, the polygamma function of order 2: `-2 sum of 1 / (x + k)^3` over all `k` from 0 on.
///
/// The first eight terms are summed and the rest is the asymptotic series. Below 1/2 the function is that of `1 - x` and the
/// derivative of the reflection, `-2 pi^3 cos(pi x) / sin(pi x)^3`.
pub(super) fn trigamma_slope(x: Expr<'_>) -> Expr<'_> {
    let is_low = x.less(0.5);
    let z = is_low.where_(1.0 - x, x);
    let mut terms = cubed_inverse(z);
    for k in 1..8 {
        terms = terms + cubed_inverse(z + f64::from(k));
    }
    let inverse = 1.0 / (z + 8.0);
    let v = inverse * inverse;
    let mut series = v * (691.0 / 210.0) - 5.0 / 6.0;
    for coefficient in [3.0 / 10.0, -1.0 / 6.0, 1.0 / 6.0] {
        series = series * v + coefficient;
    }
    // -1/y^2 - 1/y^3 - 1/(2 y^4) + the series times 1/y^6.
    let rest = v * ((series * v - 0.5) * v - inverse - 1.0);
    let sum = rest - terms * 2.0;
    // Where the function is not reflected, a place between two poles stands in.
    let from_integer = is_low.where_(x - x.round(), 0.25) * PI;
    let sine = from_integer.sin();
    let reflection = from_integer.cos() / (sine * sine * sine) * (-2.0 * PI * PI * PI);
    is_low.where_(reflection + sum, sum)
}

fn cubed_inverse(x: Expr<'_>) -> Expr<'_> {
    let inverse = 1.0 / x;
    inverse * inverse * inverse
}
