//! Totals of several runs side by side, of functions whose totals hold how far products of factors went.
//!
//! As long as every product on the way is far from both ends of the range of f64 it need not be held [scaled](super::scaled): a plain one
//! is rounded the same. A run that has another, or a zero, has no sketch, and is gone through with care.

use super::functions::{Run, Source};
use super::scaled::Course;

/// How many runs are sketched at a time.
pub(super) const LANES: usize = 8;

/// What is kept of each run in plain numbers.
struct Sketch {
    product: [f64; LANES],
    /// The largest and the least magnitude of a product of the first factors, that of none among them, and the most by which one was larger
    /// than the least before it.
    most: [f64; LANES],
    least: [f64; LANES],
    rise: [f64; LANES],
}

impl Sketch {
    #[inline(always)]
    fn grow(&mut self, factors: [f64; LANES]) {
        for (lane, factor) in factors.into_iter().enumerate() {
            let product = self.product[lane] * factor;
            let magnitude = product.abs();
            self.product[lane] = product;
            // What is not a number is found at the end, for it stays.
            self.most[lane] = larger(self.most[lane], magnitude);
            self.least[lane] = if magnitude < self.least[lane] { magnitude } else { self.least[lane] };
            self.rise[lane] = larger(self.rise[lane], magnitude - self.least[lane]);
        }
    }
}

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// The totals of runs of `count` elements, of which `read` gives one place of each run as [`Run::plain`] does; none of a run that has no
/// sketch.
#[inline(always)]
pub(super) fn totals<F: Run>(count: usize, read: impl Fn(usize) -> [[f64; LANES]; 2]) -> [Option<F::Total>; LANES] {
    let mut sketch = Sketch { product: [1.0; LANES], most: [1.0; LANES], least: [1.0; LANES], rise: [0.0; LANES] };
    let [factors, mut values] = read(0);
    sketch.grow(factors);
    let mut largest = values.map(f64::abs);
    for place in 1..count {
        let [factors, added] = read(place);
        sketch.grow(factors);
        if F::HAS_FACTORS {
            for lane in 0..LANES {
                values[lane] = factors[lane] * values[lane] + added[lane];
                largest[lane] = larger(largest[lane], values[lane].abs());
            }
        }
    }
    let Sketch { product, most, least, rise } = sketch;
    std::array::from_fn(|lane| {
        let course = Course::of_plain(product[lane], [least[lane], most[lane]], rise[lane])?;
        F::of_sketch(course, values[lane], largest[lane])
    })
}

/// One place of each of some runs, from where each has it.
#[inline(always)]
pub(super) fn read<F: Run>(source: Source<'_, F::Element>, position: impl Fn(usize) -> usize) -> [[f64; LANES]; 2] {
    let plain: [[f64; 2]; LANES] = std::array::from_fn(|lane| F::plain(source, position(lane)));
    [plain.map(|[factor, _]| factor), plain.map(|[_, added]| added)]
}

#[cfg(test)]
mod tests {
    use super::super::functions::{Product, Recurrence};
    use super::super::scaled::Scaled;
    use super::*;

    /// Factors around `size`, the same in every run.
    fn factors(count: usize, size: f64) -> Vec<f64> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / 2f64.powi(53)
        };
        (0..count).map(|_| size * (0.5 + next()) * if next() < 0.5 { -1.0 } else { 1.0 }).collect()
    }

    /// The totals of lanes of `count` elements each, and those of each alone, as far as there are sketches.
    fn both<F: Run<Element = f64>>(elements: &[f64], factors: &[f64]) -> Vec<(Option<F::Total>, F::Total)> {
        let count = elements.len() / LANES;
        let source = Source { elements, factors };
        let found = totals::<F>(count, |place| read::<F>(source, |lane| lane * count + place));
        let alone = |lane: usize| {
            let places = lane * count..(lane + 1) * count;
            places.skip(1).fold(F::start(source, lane * count, 0), |total, at| F::grow(total, source, at, 0))
        };
        found.into_iter().enumerate().map(|(lane, total)| (total, alone(lane))).collect()
    }

    #[test]
    fn sketches_are_the_totals_themselves() {
        for size in [0.6, 1.0, 1.9] {
            let elements = factors(LANES * 300, size);
            for (found, expected) in both::<Product<f64>>(&elements, &[]) {
                let found = found.expect("a run within the range");
                assert_eq!(found.product.value().to_bits(), expected.product.value().to_bits(), "{size}");
                for before in [1.0, 1e-300, 1e300, 1e-200] {
                    let [found, expected] =
                        [found, expected].map(|course| course.leaves_range_behind(Scaled::new(before)));
                    assert_eq!(found, expected, "{size} behind {before:e}");
                }
            }
            for (found, expected) in both::<Recurrence<f64>>(&elements, &factors(LANES * 300, size)) {
                let [found, expected] =
                    [found.expect("a run within the range"), expected].map(Recurrence::<f64>::begin);
                assert_eq!(found.to_bits(), expected.to_bits(), "{size}");
            }
        }
    }

    #[test]
    fn runs_near_the_ends_of_the_range_have_none() {
        for odd in [0.0, f64::INFINITY, f64::NAN, 1e300, 1e-300, f64::from_bits(1)] {
            for at in [0, 7, 39] {
                let mut elements = factors(LANES * 40, 1.0);
                elements[3 * 40 + at] = odd;
                // Brought back into the range right behind it.
                if at < 39 && odd.is_normal() {
                    elements[3 * 40 + at + 1] = 1.0 / odd;
                }
                let found = both::<Product<f64>>(&elements, &[]);
                assert!((0..LANES).all(|lane| found[lane].0.is_none() == (lane == 3)), "{odd:e} at {at}");
            }
        }
    }
}
