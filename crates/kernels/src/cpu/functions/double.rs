//! The functions of f64: those of the standard library and `libm`.

use super::Float;

impl Float for f64 {
    const CALLS: bool = true;

    #[inline(always)]
    fn floor(self) -> Self {
        f64::floor(self)
    }

    #[inline(always)]
    fn ceil(self) -> Self {
        f64::ceil(self)
    }

    #[inline(always)]
    fn round(self) -> Self {
        f64::round_ties_even(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self / other
    }

    #[inline(always)]
    fn exp<const FUSED: bool>(self) -> Self {
        f64::exp(self)
    }

    #[inline(always)]
    fn expm1<const FUSED: bool>(self) -> Self {
        f64::exp_m1(self)
    }

    #[inline(always)]
    fn log<const FUSED: bool>(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn log1p<const FUSED: bool>(self) -> Self {
        f64::ln_1p(self)
    }

    #[inline(always)]
    fn tanh<const FUSED: bool>(self) -> Self {
        f64::tanh(self)
    }

    #[inline(always)]
    fn sigmoid<const FUSED: bool>(self) -> Self {
        let e = f64::exp(-self.abs());
        let numerator = if self < 0.0 { e } else { 1.0 };
        numerator / (1.0 + e)
    }

    #[inline(always)]
    fn erf<const FUSED: bool>(self) -> Self {
        libm::erf(self)
    }

    #[inline(always)]
    fn sin<const FUSED: bool>(self) -> Self {
        f64::sin(self)
    }

    #[inline(always)]
    fn cos<const FUSED: bool>(self) -> Self {
        f64::cos(self)
    }

    #[inline(always)]
    fn in_trigonometric_range(self) -> bool {
        true
    }

    #[inline(always)]
    fn sin_of_any(self) -> Self {
        f64::sin(self)
    }

    #[inline(always)]
    fn cos_of_any(self) -> Self {
        f64::cos(self)
    }

    #[inline(always)]
    fn pow<const FUSED: bool>(self, exponent: Self) -> Self {
        f64::powf(self, exponent)
    }

    #[inline(always)]
    fn in_pow_range(self, _exponent: Self) -> bool {
        true
    }

    #[inline(always)]
    fn pow_of_any(self, exponent: Self) -> Self {
        f64::powf(self, exponent)
    }
}
