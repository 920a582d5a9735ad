//! Adding updates at indices along an axis.
//!
//! Each element of the result is the sum of the operand's element and its updates, taken in the ascending order along the axis
//! in a total of higher precision and rounded once. So the sum of millions of updates is as good as that of two, and the
//! number of threads shows in no bit. With a factor the updates are summed by themselves, and the operand's element is added to the
//! product.
//!
//! There are three ways. *By lines* ([`lines`]): where there are hardly more places than updates, and axes before the indexed one, the places of each of their
//! coordinates have totals in turn, which the updates are added to as they come. *Densely* ([`dense`]): where there are no such axes, all places have totals at once.
//! *Sorted* ([`sorted`]): where the places are many or wide, the updates are
//! brought into the order of their places, and each place is summed at once; places without updates are not touched. All cost about as
//! much as the updates, beside a copy of the operand where the result is another buffer, and which one is taken depends on the
//! kernel's extents alone.

mod dense;
mod lines;
mod sorted;

use arenagrad_graph::{DType, Elements, Shape};

use super::buffer::{Element, Operands, typed_mut};
use super::parallel;
use super::processor::{Arch, detect};
use super::scalar::Number;
use super::total::Summable;
use crate::cost;
use crate::kernel::Factor;
use crate::units::Units;
use crate::view::View;
use dense::Dense;
use lines::Lines;
use sorted::Sorted;

/// A type that can be scattered.
pub(super) trait Scattered: Element + Number + Summable {
    /// A number that is exact in the type.
    fn of(value: f64) -> Self;
    fn is_finite(self) -> bool;
}

impl Scattered for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}

impl Scattered for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

impl Scattered for i32 {
    fn of(value: f64) -> Self {
        value as i32
    }

    fn is_finite(self) -> bool {
        true
    }
}

/// The widest unit for which places have totals, rather than updates an order.
const DENSE_WIDTH: usize = 4;

/// How many updates there must be for every two places that have totals.
const DENSE_UPDATES: usize = 1;

/// How many places there may be for every update where lines are computed one after the other: to go through the places of a line, which are
/// near, costs less than to bring its updates into an order.
const LINE_PLACES: usize = 4;

/// The fewest lines that are computed one after the other.
const FEWEST_LINES: usize = 8;

/// The fewest updates of a line, so that what a line costs by itself does not count.
const SHORTEST_LINE: usize = 64;

/// The most totals of a line: they are to stay in a near cache.
const LONGEST_LINE: usize = 1 << 16;

/// A scatter-add made ready; see [`crate::Kernel::ScatterAdd`].
#[derive(Clone, Debug)]
pub(super) struct ScatterAdd {
    scheme: ScatterScheme,
    state: State,
}

/// What all tasks share.
#[derive(Clone, Debug)]
struct ScatterScheme {
    arch: Arch,
    units: Units,
    /// Where the updates lie, over their row-major domain.
    updates: View,
    /// The elements of the result.
    elements: usize,
    in_place: bool,
    factor: Option<Factor>,
}

#[derive(Clone, Debug)]
enum State {
    F32(Way<f32>),
    F64(Way<f64>),
    I32(Way<i32>),
}

#[derive(Clone, Debug)]
enum Way<T: Scattered> {
    Lines(Lines<T>),
    Dense(Dense<T>),
    Sorted(Sorted<T>),
}

impl ScatterAdd {
    /// A scatter-add to a tensor of the first shape of updates of `dtype` and the second, in the views `(indices, updates)`.
    pub(super) fn new(
        dtype: DType,
        [operand_shape, updates_shape]: [&Shape; 2],
        axis: usize,
        (indices, updates): (&View, &View),
        in_place: bool,
        factor: Option<Factor>,
    ) -> Self {
        let scheme = ScatterScheme {
            arch: detect(),
            units: Units::new(operand_shape, updates_shape, axis, indices),
            updates: updates.clone(),
            elements: operand_shape.elements(),
            in_place,
            factor,
        };
        let shapes = [operand_shape, updates_shape];
        let tasks = parallel::tasks(cost::scatter_add(dtype, shapes, in_place, factor.is_some()));
        let state = match dtype {
            DType::F32 => State::F32(Way::new(&scheme, tasks)),
            DType::F64 => State::F64(Way::new(&scheme, tasks)),
            DType::I32 => State::I32(Way::new(&scheme, tasks)),
            DType::Bool => panic!("scatter_add is not defined for bool"),
        };
        ScatterAdd { scheme, state }
    }

    /// Whether a run is shared among threads.
    pub(super) fn divides(&self) -> bool {
        match &self.state {
            State::F32(way) => way.divides(),
            State::F64(way) => way.divides(),
            State::I32(way) => way.divides(),
        }
    }

    pub(super) fn run(&mut self, operands: Operands<'_>, outputs: &mut [Elements]) {
        let ScatterAdd { scheme, state } = self;
        match state {
            State::F32(way) => way.run(scheme, operands, outputs),
            State::F64(way) => way.run(scheme, operands, outputs),
            State::I32(way) => way.run(scheme, operands, outputs),
        }
    }
}

impl<T: Scattered> Way<T> {
    fn new(scheme: &ScatterScheme, tasks: usize) -> Self {
        let Units { width, .. } = scheme.units;
        let (units, places) = (scheme.units.units(), scheme.units.places());
        let Units { outer, count, inner, extent, .. } = scheme.units;
        let line = extent.saturating_mul(inner).saturating_mul(width);
        let is_narrow = width <= DENSE_WIDTH && units > 0;
        let has_lines = outer >= FEWEST_LINES && count * inner >= SHORTEST_LINE && line <= LONGEST_LINE;
        if is_narrow && has_lines && places <= units.saturating_mul(LINE_PLACES) {
            Way::Lines(Lines::new(scheme, tasks))
        } else if is_narrow && places.saturating_mul(DENSE_UPDATES) <= units.saturating_mul(2) {
            Way::Dense(Dense::new(scheme, tasks))
        } else {
            Way::Sorted(Sorted::new(scheme, tasks))
        }
    }

    fn divides(&self) -> bool {
        match self {
            Way::Lines(lines) => lines.divides(),
            Way::Dense(dense) => dense.divides(),
            Way::Sorted(sorted) => sorted.divides(),
        }
    }

    fn run(&mut self, scheme: &ScatterScheme, operands: Operands<'_>, outputs: &mut [Elements]) {
        let result = &mut typed_mut::<T>(&mut outputs[0])[..scheme.elements];
        let operand = if scheme.in_place { None } else { Some(&operands.typed::<T>(0)[..scheme.elements]) };
        let factor = scheme.factor.map(|factor| match factor {
            Factor::Constant(value) => T::of(value),
            Factor::Input { is_negated: false } => operands.typed::<T>(3)[0],
            Factor::Input { is_negated: true } => operands.typed::<T>(3)[0].neg(),
        });
        let sources = Sources { scheme, operand, indices: operands.typed(1), updates: operands.typed(2), factor };
        match self {
            Way::Lines(lines) => lines.run(sources, result),
            Way::Dense(dense) => dense.run(sources, result),
            Way::Sorted(sorted) => sorted.run(sources, result),
        }
    }
}

/// What all tasks read.
#[derive(Clone, Copy)]
struct Sources<'a, T> {
    scheme: &'a ScatterScheme,
    /// The operand, unless the result holds it.
    operand: Option<&'a [T]>,
    indices: &'a [i32],
    updates: &'a [T],
    factor: Option<T>,
}

impl<T: Scattered> Sources<'_, T> {
    /// What the updates of a place are added to, where the operand has that element.
    #[inline(always)]
    fn start(&self, element: T) -> T::Total {
        if self.factor.is_some() { T::ZERO.total() } else { element.total() }
    }

    /// The result at a place where the operand has that element, and the total is that.
    #[inline(always)]
    fn finish(&self, element: T, total: T::Total) -> T {
        match self.factor {
            None => T::rounded(total),
            Some(factor) => element.add(factor.mul(T::rounded(total))),
        }
    }

    /// [`Sources::finish`] of elements side by side, without a factor.
    #[inline(always)]
    fn finish_all(elements: &mut [T], totals: &[T::Total]) {
        for (element, &total) in elements.iter_mut().zip(totals) {
            let mut sum = element.total();
            T::join(&mut sum, total);
            *element = T::rounded(sum);
        }
    }

    /// The result at a place with one update: of two numbers the sum is rounded once in any case.
    #[inline(always)]
    fn add_one(&self, element: T, update: T) -> T {
        match self.factor {
            None => element.add(update),
            Some(factor) => element.add(factor.mul(T::ZERO.add(update))),
        }
    }

    /// The factor, if elements without updates do not stay as they are: one that is not finite makes NaN of 0.
    fn spreading(&self) -> Option<T> {
        self.factor.filter(|factor| !factor.is_finite())
    }
}

/// Goes through the elements that have no updates, from one that has to the next, for a factor that is not finite.
struct Left<T> {
    factor: Option<T>,
    /// The first element that was not seen yet.
    reached: usize,
}

impl<T: Scattered> Left<T> {
    fn new(sources: Sources<'_, T>) -> Self {
        Left { factor: sources.spreading(), reached: 0 }
    }

    /// Sees to the elements before `start`, of which those from there to `end` have updates.
    #[inline(always)]
    fn pass(&mut self, result: &mut [T], start: usize, end: usize) {
        if let Some(factor) = self.factor {
            result[self.reached..start].iter_mut().for_each(|element| *element = element.add(factor.mul(T::ZERO)));
            self.reached = end;
        }
    }
}

/// Goes through units and tells the place of each.
pub(in crate::cpu) struct Places {
    count: usize,
    inner: usize,
    extent: usize,
    /// The coordinates of the next unit along the axis and after it.
    j: usize,
    i: usize,
    /// The place of index 0 before the axis.
    base: usize,
}

impl Places {
    /// Begins at unit `start`.
    pub(in crate::cpu) fn new(units: &Units, start: usize) -> Self {
        let Units { count, inner, extent, .. } = *units;
        let (row, i) = (start / inner, start % inner);
        Places { count, inner, extent, j: row % count, i, base: row / count * extent * inner }
    }

    /// The place of the next unit, whose index is given; none if that lies outside the axis.
    #[inline(always)]
    pub(in crate::cpu) fn next(&mut self, index: i32) -> Option<usize> {
        let index = index as usize;
        // A negative index is past every extent.
        let place = (index < self.extent).then(|| self.base + index * self.inner + self.i);
        self.i += 1;
        if self.i == self.inner {
            self.i = 0;
            self.j += 1;
            if self.j == self.count {
                self.j = 0;
                self.base += self.extent * self.inner;
            }
        }
        place
    }
}
