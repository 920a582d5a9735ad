//! Functions of one or two elements that are a few instructions each, as arguments for the loops over lanes.

/// A type with an order, and arithmetic that does not panic: floats by IEEE 754, i32 modulo 2^32.
pub(super) trait Number: Copy + PartialOrd {
    const ZERO: Self;
    fn neg(self) -> Self;
    fn abs(self) -> Self;
    /// -1, 0 or 1; NaN of NaN.
    fn sign(self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
}

macro_rules! float_number {
    ($($float:ty),*) => {$(
        impl Number for $float {
            const ZERO: Self = 0.0;

            #[inline(always)]
            fn neg(self) -> Self {
                -self
            }

            #[inline(always)]
            fn abs(self) -> Self {
                <$float>::abs(self)
            }

            #[inline(always)]
            fn sign(self) -> Self {
                // The sum makes 0 of -0 and keeps NaN.
                let value = if self > 0.0 { 1.0 } else { self + 0.0 };
                if self < 0.0 { -1.0 } else { value }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }
        }
    )*};
}
float_number!(f32, f64);

impl Number for i32 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn neg(self) -> Self {
        self.wrapping_neg()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.wrapping_abs()
    }

    #[inline(always)]
    fn sign(self) -> Self {
        self.signum()
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
}

/// The larger; NaN if either is.
#[inline(always)]
#[allow(clippy::eq_op)] // Only NaN differs from itself.
pub(super) fn maximum<T: Copy + PartialOrd>(a: T, b: T) -> T {
    if (a != a) | (a > b) { a } else { b }
}

/// The smaller; NaN if either is.
#[inline(always)]
#[allow(clippy::eq_op)] // Only NaN differs from itself.
pub(super) fn minimum<T: Copy + PartialOrd>(a: T, b: T) -> T {
    if (a != a) | (a < b) { a } else { b }
}

/// 0 where `x` is negative, else `x`: NaN stays NaN, and -0 stays -0.
#[inline(always)]
pub(super) fn relu<T: Number>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// 0 where `x` is at most 0, else `upstream`: also where `x` is NaN.
#[inline(always)]
pub(super) fn relu_backward<T: Number>(upstream: T, x: T) -> T {
    if x <= T::ZERO { T::ZERO } else { upstream }
}

/// A float type.
pub(super) trait Float: Number {
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round_ties_even(self) -> Self;
    fn trunc(self) -> Self;
    fn sqrt(self) -> Self;
    fn copysign(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
}

macro_rules! float {
    ($($float:ident)*) => {$(
        impl Float for $float {
            #[inline(always)]
            fn floor(self) -> Self {
                $float::floor(self)
            }

            #[inline(always)]
            fn ceil(self) -> Self {
                $float::ceil(self)
            }

            #[inline(always)]
            fn round_ties_even(self) -> Self {
                $float::round_ties_even(self)
            }

            #[inline(always)]
            fn trunc(self) -> Self {
                $float::trunc(self)
            }

            #[inline(always)]
            fn copysign(self, other: Self) -> Self {
                $float::copysign(self, other)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self / other
            }
        }
    )*};
}
float!(f32 f64);
