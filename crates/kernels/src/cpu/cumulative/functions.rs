//! What cumulative operations make of runs of elements.
//!
//! A [`Run`] says how a total of a run grows by one element, and how the totals of neighbouring runs become one. Totals have more
//! precision than elements, so that long sums keep their digits, or more range: a product of a run may overflow where the product with
//! what comes before it does not.

use arenagrad_graph::DType;

use crate::cpu::buffer::Element;
use crate::cpu::cumulative::scaled::{Course, Scaled};
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
    /// What of a total the next result is computed from.
    type State: Copy + Default + Send + Sync + std::fmt::Debug;
    /// Whether code for the widest vectors is worth its time to build.
    const WIDEST: bool = false;

    /// Whether totals are exact enough, and of range enough, for neighbours to be joined in any grouping, so that the results of a few
    /// elements at a time can be computed. Such a function takes no factors and no notice of where an element stands.
    const IS_GROUPED: bool = false;

    /// Whether there are factors.
    const HAS_FACTORS: bool = false;

    /// Whether totals hold the course of a product, which most runs have a [sketch](super::sketch) of.
    const IS_SKETCHED: bool = false;

    /// The total of the one element at `position`, whose place along the axis is `index`.
    fn start(source: Source<'_, Self::Element>, position: usize, index: usize) -> Self::Total;
    /// The total of a run and of the element behind it.
    fn grow(total: Self::Total, source: Source<'_, Self::Element>, position: usize, index: usize) -> Self::Total;
    /// The total of two runs, the second behind the first.
    fn join(first: Self::Total, second: Self::Total) -> Self::Total;
    /// What the next results are computed from behind a run.
    fn begin(total: Self::Total) -> Self::State;
    /// The same behind one more element.
    fn step(state: Self::State, source: Source<'_, Self::Element>, position: usize, index: usize) -> Self::State;
    /// The result there.
    fn result(state: Self::State) -> Self::Output;

    /// Whether the results of a run, which is behind all of `before`, may not be what they are if each is computed from the one before it:
    /// because one of them, or one of an earlier run, leaves the range of numbers.
    #[inline(always)]
    fn leaves_range(_before: Option<&Self::Total>, _run: &Self::Total) -> bool {
        false
    }

    /// Whether the first result of a run, at `position`, goes on from the last of the run before.
    fn goes_on(
        _before: Self::Output,
        _source: Source<'_, Self::Element>,
        _position: usize,
        _now: Self::Output,
    ) -> bool {
        true
    }

    /// What one element multiplies, and what it adds, where there are sketches.
    #[inline(always)]
    fn plain(_source: Source<'_, Self::Element>, _position: usize) -> [f64; 2] {
        [1.0, 0.0]
    }

    /// The total of a run with that course of its factors, which is worth `value`, and was worth no more than `largest` on the way.
    #[inline(always)]
    fn of_sketch(_course: Course, _value: f64, _largest: f64) -> Option<Self::Total> {
        None
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
    type State = T::Total;
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
    fn begin(total: T::Total) -> T::Total {
        total
    }

    #[inline(always)]
    fn step(state: T::Total, source: Source<'_, T>, position: usize, index: usize) -> T::Total {
        Self::grow(state, source, position, index)
    }

    #[inline(always)]
    fn result(state: T::Total) -> T {
        T::rounded(state)
    }

    fn goes_on(before: T, source: Source<'_, T>, position: usize, now: T) -> bool {
        T::goes_on(before, source.elements[position], now)
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
    type Total = Course;
    type State = f64;
    const IS_SKETCHED: bool = true;

    #[inline(always)]
    fn start(source: Source<'_, T>, position: usize, _: usize) -> Course {
        Course::new(source.elements[position].wide())
    }

    #[inline(always)]
    fn grow(total: Course, source: Source<'_, T>, position: usize, _: usize) -> Course {
        total.grown(source.elements[position].wide())
    }

    #[inline(always)]
    fn join(first: Course, second: Course) -> Course {
        Course::of_product(first.product.times(second.product))
    }

    #[inline(always)]
    fn begin(total: Course) -> f64 {
        total.product.value()
    }

    #[inline(always)]
    fn step(state: f64, source: Source<'_, T>, position: usize, _: usize) -> f64 {
        state * source.elements[position].wide()
    }

    #[inline(always)]
    fn result(state: f64) -> T {
        T::narrow(state)
    }

    #[inline(always)]
    fn leaves_range(before: Option<&Course>, run: &Course) -> bool {
        run.leaves_range_behind(before.map_or_else(Scaled::default, |before| before.product))
    }

    #[inline(always)]
    fn plain(source: Source<'_, T>, position: usize) -> [f64; 2] {
        [source.elements[position].wide(), 0.0]
    }

    #[inline(always)]
    fn of_sketch(course: Course, _: f64, _: f64) -> Option<Course> {
        Some(course)
    }
}

/// The cumulative product of i32, which wraps.
#[derive(Clone, Copy, Debug)]
pub(super) struct IntegerProduct;

impl Run for IntegerProduct {
    type Element = i32;
    type Output = i32;
    type Total = i32;
    type State = i32;

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
    fn begin(total: i32) -> i32 {
        total
    }

    #[inline(always)]
    fn step(state: i32, source: Source<'_, i32>, position: usize, index: usize) -> i32 {
        Self::grow(state, source, position, index)
    }

    #[inline(always)]
    fn result(state: i32) -> i32 {
        state
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
        let is_later = (b != b) | is_at_least;
        // One choice for each part: nobody foretells which it will be, and a jump that was foretold wrongly costs more than both.
        Found {
            element: std::hint::select_unpredictable(is_later, b, a),
            index: std::hint::select_unpredictable(is_later, second.index, first.index),
        }
    }
}

impl<T: Element + PartialOrd + std::fmt::Debug, const LARGEST: bool> Run for Extreme<T, LARGEST> {
    type Element = T;
    type Output = i32;
    type Total = Found<T>;
    type State = Found<T>;

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
    fn begin(total: Found<T>) -> Found<T> {
        total
    }

    #[inline(always)]
    fn step(state: Found<T>, source: Source<'_, T>, position: usize, index: usize) -> Found<T> {
        Self::grow(state, source, position, index)
    }

    #[inline(always)]
    fn result(state: Found<T>) -> i32 {
        state.index
    }
}

/// The linear recurrence `y[i] = factors[i] * y[i - 1] + x[i]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recurrence<T>(std::marker::PhantomData<T>);

/// What a run makes of the result before it: `factor * before + value`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    factor: Course,
    value: f64,
    /// The largest magnitude of what was added so far, as it was passed on.
    largest: f64,
}

/// Sums of numbers that are no larger are in the range.
const LARGE: f64 = f64::MAX / 1e6;

impl<T: Wide> Run for Recurrence<T> {
    type Element = T;
    type Output = T;
    type Total = Passed;
    type State = f64;
    const HAS_FACTORS: bool = true;
    const IS_SKETCHED: bool = true;

    #[inline(always)]
    fn start(source: Source<'_, T>, position: usize, _: usize) -> Passed {
        let value = source.elements[position].wide();
        Passed { factor: Course::new(source.factors[position].wide()), value, largest: value.abs() }
    }

    #[inline(always)]
    fn grow(total: Passed, source: Source<'_, T>, position: usize, index: usize) -> Passed {
        let factor = total.factor.grown(source.factors[position].wide());
        let value = Self::step(total.value, source, position, index);
        Passed { factor, value, largest: total.largest.max(value.abs()) }
    }

    #[inline(always)]
    fn join(first: Passed, second: Passed) -> Passed {
        let before = second.factor.product.times(Scaled::new(first.value)).value();
        let value = before + second.value;
        let factor = Course::of_product(first.factor.product.times(second.factor.product));
        Passed { factor, value, largest: value.abs() }
    }

    #[inline(always)]
    fn leaves_range(before: Option<&Passed>, run: &Passed) -> bool {
        // What is not finite stays so to the end of the run. The factor of the first element has no part in anything.
        let is_near = run.value.is_finite() && run.largest <= LARGE;
        !is_near || before.is_some_and(|before| run.factor.leaves_range_behind(Scaled::new(before.value)))
    }

    #[inline(always)]
    fn plain(source: Source<'_, T>, position: usize) -> [f64; 2] {
        [source.factors[position].wide(), source.elements[position].wide()]
    }

    #[inline(always)]
    fn of_sketch(factor: Course, value: f64, largest: f64) -> Option<Passed> {
        Some(Passed { factor, value, largest })
    }

    #[inline(always)]
    fn begin(total: Passed) -> f64 {
        total.value
    }

    #[inline(always)]
    fn step(state: f64, source: Source<'_, T>, position: usize, _: usize) -> f64 {
        source.factors[position].wide() * state + source.elements[position].wide()
    }

    #[inline(always)]
    fn result(state: f64) -> T {
        T::narrow(state)
    }
}
