//! What cumulative operations make of runs of elements.
//!
//! A [`Run`] says how a total of a run grows by one element, and how the totals of neighbouring runs become one. Totals have more
//! precision than elements, so that long sums keep their digits, or more range: a product of a run may overflow where the product with
//! what comes before it does not.

use arenagrad_graph::DType;

use crate::cpu::buffer::Element;
use crate::cpu::total::Summable;

/// The operands of a cumulative operation.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub(super) elements: &'a [T],
    /// Those of a linear recurrence; of as many elements, or none.
    pub(super) factors: &'a [T],
}

/// A function of runs of neighbouring elements.
pub(super) trait Run: Copy + Send + Sync + std::fmt::Debug + 'static {
    type Element: Element;
    type Output: Element;
    type Total: Copy + Default + Send + Sync + std::fmt::Debug;
    /// Whether code for the widest vectors is worth its time to build.
    const WIDEST: bool = false;

    /// Whether totals are exact enough, and of range enough, for neighbours to be joined in any grouping, so that the results of a few
    /// elements at a time can be computed. Such a function takes no factors and no notice of where an element stands.
    const IS_GROUPED: bool = false;

    /// The total of the one element at `position`, whose place along the axis is `index`.
    fn start(source: Source<'_, Self::Element>, position: usize, index: usize) -> Self::Total;
    /// The total of a run and of the element behind it.
    fn grow(total: Self::Total, source: Source<'_, Self::Element>, position: usize, index: usize) -> Self::Total;
    /// The total of two runs, the second behind the first.
    fn join(first: Self::Total, second: Self::Total) -> Self::Total;
    /// The result of a run.
    fn result(total: Self::Total) -> Self::Output;

    /// What a total is grown from when no more than results are wanted of it.
    #[inline(always)]
    fn begin(total: Self::Total) -> Self::Total {
        total
    }

    /// [`Run::grow`] from what [`Run::begin`] gave, where no more than results are wanted.
    #[inline(always)]
    fn step(total: Self::Total, source: Source<'_, Self::Element>, position: usize, index: usize) -> Self::Total {
        Self::grow(total, source, position, index)
    }

    /// The total of neighbouring elements in lanes, if their order does not matter.
    #[inline(always)]
    fn in_lanes(_elements: &[Self::Element]) -> Option<Self::Total> {
        None
    }
}

/// The cumulative sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum<T>(std::marker::PhantomData<T>);

/// How many sums of a run are added up side by side.
const LANES: usize = 16;

impl<T: Element + Summable + std::fmt::Debug> Run for Sum<T> {
    type Element = T;
    type Output = T;
    type Total = T::Total;
    const WIDEST: bool = matches!(T::DTYPE, DType::F32);
    const IS_GROUPED: bool = matches!(T::DTYPE, DType::F32 | DType::I32);

    #[inline(always)]
    fn start(source: Source<'_, T>, position: usize, _: usize) -> T::Total {
        source.elements[position].total()
    }

    #[inline(always)]
    fn grow(mut total: T::Total, source: Source<'_, T>, position: usize, _: usize) -> T::Total {
        source.elements[position].add_to(&mut total);
        total
    }

    #[inline(always)]
    fn join(mut first: T::Total, second: T::Total) -> T::Total {
        T::join(&mut first, second);
        first
    }

    #[inline(always)]
    fn result(total: T::Total) -> T {
        T::rounded(total)
    }

    #[inline(always)]
    fn in_lanes(elements: &[T]) -> Option<T::Total> {
        let mut lanes = [T::identity(); LANES];
        let mut chunks = elements.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (lane, element) in lanes.iter_mut().zip(chunk) {
                element.add_to(lane);
            }
        }
        let mut total = T::identity();
        lanes.into_iter().for_each(|lane| T::join(&mut total, lane));
        chunks.remainder().iter().for_each(|element| element.add_to(&mut total));
        Some(total)
    }
}

/// A product that neither overflows nor underflows: `mantissa * 2^exponent`, with a mantissa far from both ends of the range, or 0,
/// infinite or NaN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    mantissa: f64,
    exponent: i32,
}

impl Default for Scaled {
    fn default() -> Self {
        Scaled { mantissa: 1.0, exponent: 0 }
    }
}

/// Mantissas are brought within `2^-NEAR ..= 2^NEAR`.
const NEAR: i32 = 256;

impl Scaled {
    #[inline(always)]
    fn new(value: f64) -> Self {
        // Three times as far, so that the least and the largest number end up well within the range.
        Scaled { mantissa: value, exponent: 0 }.brought_near(3 * NEAR)
    }

    #[inline(always)]
    fn brought_near(self, by: i32) -> Self {
        let Scaled { mantissa, exponent } = self;
        let magnitude = mantissa.abs();
        if magnitude > power_of_two(NEAR) && magnitude < f64::INFINITY {
            Scaled { mantissa: mantissa * power_of_two(-by), exponent: exponent.saturating_add(by) }
        } else if magnitude < power_of_two(-NEAR) && magnitude > 0.0 {
            Scaled { mantissa: mantissa * power_of_two(by), exponent: exponent.saturating_sub(by) }
        } else {
            self
        }
    }

    #[inline(always)]
    fn times(self, other: Scaled) -> Self {
        let exponent = self.exponent.saturating_add(other.exponent);
        Scaled { mantissa: self.mantissa * other.mantissa, exponent }.brought_near(2 * NEAR)
    }

    /// The number, rounded once if it is in the range of normal numbers.
    #[inline(always)]
    fn value(self) -> f64 {
        let mut value = self.mantissa;
        // Each step is exact until the last: what is far out of range needs no more of them to get there.
        let mut exponent = self.exponent.clamp(-4 * 1024, 4 * 1024);
        while exponent != 0 {
            let step = exponent.clamp(-512, 512);
            value *= power_of_two(step);
            exponent -= step;
        }
        value
    }
}

/// `2^exponent`, for exponents of normal numbers.
#[inline(always)]
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The cumulative product of floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product<T>(std::marker::PhantomData<T>);

/// A float as f64, and back.
pub(super) trait Wide: Element + PartialOrd + std::fmt::Debug {
    fn wide(self) -> f64;
    fn narrow(value: f64) -> Self;
}

impl Wide for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn narrow(value: f64) -> f32 {
        value as f32
    }
}

impl Wide for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn narrow(value: f64) -> f64 {
        value
    }
}

impl<T: Wide> Run for Product<T> {
    type Element = T;
    type Output = T;
    type Total = Scaled;

    #[inline(always)]
    fn start(source: Source<'_, T>, position: usize, _: usize) -> Scaled {
        Scaled::new(source.elements[position].wide())
    }

    #[inline(always)]
    fn grow(total: Scaled, source: Source<'_, T>, position: usize, _: usize) -> Scaled {
        total.times(Scaled::new(source.elements[position].wide()))
    }

    #[inline(always)]
    fn join(first: Scaled, second: Scaled) -> Scaled {
        first.times(second)
    }

    #[inline(always)]
    fn result(total: Scaled) -> T {
        T::narrow(total.mantissa)
    }

    #[inline(always)]
    fn begin(total: Scaled) -> Scaled {
        Scaled { mantissa: total.value(), exponent: 0 }
    }

    #[inline(always)]
    fn step(total: Scaled, source: Source<'_, T>, position: usize, _: usize) -> Scaled {
        Scaled { mantissa: total.mantissa * source.elements[position].wide(), exponent: 0 }
    }
}

/// The cumulative product of i32, which wraps.
#[derive(Clone, Copy, Debug)]
pub(super) struct IntegerProduct;

impl Run for IntegerProduct {
    type Element = i32;
    type Output = i32;
    type Total = i32;

    #[inline(always)]
    fn start(source: Source<'_, i32>, position: usize, _: usize) -> i32 {
        source.elements[position]
    }

    #[inline(always)]
    fn grow(total: i32, source: Source<'_, i32>, position: usize, _: usize) -> i32 {
        total.wrapping_mul(source.elements[position])
    }

    #[inline(always)]
    fn join(first: i32, second: i32) -> i32 {
        first.wrapping_mul(second)
    }

    #[inline(always)]
    fn result(total: i32) -> i32 {
        total
    }
}

/// The last index of the largest element, or of the smallest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extreme<T, const LARGEST: bool>(std::marker::PhantomData<T>);

/// The element that is found, and its index.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found<T> {
    element: T,
    index: i32,
}

impl<T: Element + PartialOrd + std::fmt::Debug, const LARGEST: bool> Extreme<T, LARGEST> {
    /// The later of the two, unless the first beats it.
    #[inline(always)]
    #[allow(clippy::eq_op)] // Only NaN differs from itself.
    fn better(first: Found<T>, second: Found<T>) -> Found<T> {
        let (a, b) = (first.element, second.element);
        let is_at_least = if LARGEST { b >= a } else { b <= a };
        if (b != b) | is_at_least { second } else { first }
    }
}

impl<T: Element + PartialOrd + std::fmt::Debug, const LARGEST: bool> Run for Extreme<T, LARGEST> {
    type Element = T;
    type Output = i32;
    type Total = Found<T>;

    #[inline(always)]
    fn start(source: Source<'_, T>, position: usize, index: usize) -> Found<T> {
        Found { element: source.elements[position], index: index as i32 }
    }

    #[inline(always)]
    fn grow(total: Found<T>, source: Source<'_, T>, position: usize, index: usize) -> Found<T> {
        Self::better(total, Self::start(source, position, index))
    }

    #[inline(always)]
    fn join(first: Found<T>, second: Found<T>) -> Found<T> {
        Self::better(first, second)
    }

    #[inline(always)]
    fn result(total: Found<T>) -> i32 {
        total.index
    }
}

/// The linear recurrence `y[i] = factors[i] * y[i - 1] + x[i]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrence<T>(std::marker::PhantomData<T>);

/// What a run makes of the result before it: `factor * before + value`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    factor: Scaled,
    value: f64,
}

impl<T: Wide> Run for Recurrence<T> {
    type Element = T;
    type Output = T;
    type Total = Passed;

    #[inline(always)]
    fn start(source: Source<'_, T>, position: usize, _: usize) -> Passed {
        Passed { factor: Scaled::new(source.factors[position].wide()), value: source.elements[position].wide() }
    }

    #[inline(always)]
    fn grow(total: Passed, source: Source<'_, T>, position: usize, index: usize) -> Passed {
        let factor = total.factor.times(Scaled::new(source.factors[position].wide()));
        Passed { factor, value: Self::step(total, source, position, index).value }
    }

    #[inline(always)]
    fn join(first: Passed, second: Passed) -> Passed {
        let before = second.factor.times(Scaled::new(first.value)).value();
        Passed { factor: first.factor.times(second.factor), value: before + second.value }
    }

    #[inline(always)]
    fn result(total: Passed) -> T {
        T::narrow(total.value)
    }

    #[inline(always)]
    fn step(total: Passed, source: Source<'_, T>, position: usize, _: usize) -> Passed {
        let value = source.factors[position].wide() * total.value + source.elements[position].wide();
        Passed { value, ..total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_pass_over_both_ends_of_the_range() {
        let product = |factors: &[f64]| {
            factors.iter().fold(Scaled::default(), |product, &factor| product.times(Scaled::new(factor))).value()
        };
        assert_eq!(product(&[f64::MAX, 4.0, f64::MIN_POSITIVE, 0.25]), f64::MAX * f64::MIN_POSITIVE);
        assert_eq!(product(&[5e-324, 5e-324, f64::powi(2.0, 1023), f64::powi(2.0, 1023)]), f64::powi(2.0, -102));
        assert_eq!(product(&[f64::MAX; 100]), f64::INFINITY);
        assert_eq!(product(&[1e-300; 100]), 0.0);
        assert_eq!(product(&[0.0, f64::MAX, f64::MAX]), 0.0);
        assert!(product(&[0.0, f64::INFINITY]).is_nan() && product(&[f64::NAN, 0.0]).is_nan());
    }
}
