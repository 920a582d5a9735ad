//! Totals of long sums: what the sums of short runs are added up in, with more precision than an element has.
//!
//! A sum of floats that is taken element by element loses a digit for about every ten times that it grows. So kernels sum in
//! their own type for a short run only, and add the runs up in totals: f32 in f64, f64 in two f64 of which the second holds
//! what rounding took from the first, i32 modulo 2^32. A total is rounded once, at the end.

/// An element type whose sums are added up in totals.
pub(super) trait Summable: Copy {
    /// What sums of runs are added up in; its default is 0.
    type Total: Copy + Default + Send + Sync + std::fmt::Debug;
    /// The total of nothing, from which a sum of negative zeros stays one.
    fn identity() -> Self::Total;
    /// The total of one element.
    fn total(self) -> Self::Total;
    fn add_to(self, total: &mut Self::Total);
    /// Adds one total to another.
    fn join(total: &mut Self::Total, other: Self::Total);
    /// The product of two totals.
    fn product(a: Self::Total, b: Self::Total) -> Self::Total;
    fn rounded(total: Self::Total) -> Self;
    /// Whether a sum of elements that was begun from the total of those before goes on from the sum of these, which an element stands between.
    /// It does not where a total has no more range than elements have, and its parts left that although no sum did, or the other way round.
    fn goes_on(_before: Self, _element: Self, _now: Self) -> bool {
        true
    }
}

impl Summable for f32 {
    type Total = f64;

    #[inline(always)]
    fn identity() -> f64 {
        -0.0
    }

    #[inline(always)]
    fn total(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn join(total: &mut f64, other: f64) {
        *total += other;
    }

    #[inline(always)]
    fn add_to(self, total: &mut f64) {
        *total += f64::from(self);
    }

    #[inline(always)]
    fn product(a: f64, b: f64) -> f64 {
        a * b
    }

    #[inline(always)]
    fn rounded(total: f64) -> f32 {
        total as f32
    }
}

/// A sum of f64, and what its roundings have taken from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(super) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Summable for f64 {
    type Total = Compensated;

    #[inline(always)]
    fn identity() -> Compensated {
        (-0.0).total()
    }

    #[inline(always)]
    fn total(self) -> Compensated {
        Compensated { sum: self, lost: 0.0 }
    }

    #[inline(always)]
    fn join(total: &mut Compensated, other: Compensated) {
        other.sum.add_to(total);
        total.lost += other.lost;
    }

    #[inline(always)]
    fn add_to(self, total: &mut Compensated) {
        // Knuth's exact sum: `sum + lost` of one addition is `a + b` without any rounding.
        let sum = total.sum + self;
        let other = sum - total.sum;
        total.lost += (total.sum - (sum - other)) + (self - other);
        total.sum = sum;
    }

    #[inline(always)]
    fn product(a: Compensated, b: Compensated) -> Compensated {
        (Self::rounded(a) * Self::rounded(b)).total()
    }

    #[inline(always)]
    fn rounded(total: Compensated) -> f64 {
        // Past the largest number nothing is lost by rounding, and what stands in `lost` is not a number. A loss of nothing
        // would make 0 of -0.
        if total.lost == 0.0 || !total.sum.is_finite() { total.sum } else { total.sum + total.lost }
    }

    fn goes_on(before: f64, element: f64, now: f64) -> bool {
        let next = before + element;
        (before.is_finite() && now.is_finite()) || next == now || (next.is_nan() && now.is_nan())
    }
}

impl Summable for i32 {
    type Total = i32;

    #[inline(always)]
    fn identity() -> i32 {
        0
    }

    #[inline(always)]
    fn total(self) -> i32 {
        self
    }

    #[inline(always)]
    fn join(total: &mut i32, other: i32) {
        *total = total.wrapping_add(other);
    }

    #[inline(always)]
    fn add_to(self, total: &mut i32) {
        *total = total.wrapping_add(self);
    }

    #[inline(always)]
    fn product(a: i32, b: i32) -> i32 {
        a.wrapping_mul(b)
    }

    #[inline(always)]
    fn rounded(total: i32) -> i32 {
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum<T: Summable>(elements: impl IntoIterator<Item = T>) -> T {
        let mut total = T::identity();
        elements.into_iter().for_each(|element| element.add_to(&mut total));
        T::rounded(total)
    }

    #[test]
    fn totals_keep_what_elements_lose() {
        assert_eq!(sum(std::iter::repeat_n(1f32, 20_000_000)), 2e7);
        assert_eq!(sum(std::iter::repeat_n(0.1f64, 1_000_000)), 1e5);
        assert_eq!(sum([1e16, 1.0, -1e16, 1e-3]), 1.001);
        assert_eq!(sum([i32::MAX, 1]), i32::MIN);
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        assert_eq!(sum([f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(sum([f64::MAX, f64::MAX]), f64::INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum([-0.0f64, -0.0]).is_sign_negative() && sum([-0.0f32]).is_sign_negative());
        assert!(sum([1.0, f64::NAN]).is_nan() && sum([1f32, f32::NAN]).is_nan());
    }
}
