//! Runs gone through: once for their totals, and once more for results from what is before each.

use std::ops::Range;

use super::functions::{Run, Source};
use super::sketch::{self, LANES};
use super::{SIDE_BY_SIDE, Scheme, groups};
use crate::cpu::processor::Vectorise;

/// The totals of runs from run `first` on.
pub(super) struct Totals<'a, F: Run> {
    pub(super) scheme: &'a Scheme,
    pub(super) first: usize,
    pub(super) totals: &'a mut [F::Total],
    pub(super) source: Source<'a, F::Element>,
}

impl<F: Run> Vectorise for Totals<'_, F> {
    type Output = ();
    const WIDEST: bool = F::WIDEST;

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Totals { scheme, first, totals, source } = self;
        let inner = scheme.inner;
        if F::IS_SKETCHED {
            sketched::<F>(scheme, first, totals, source);
            return;
        }
        for (run, totals) in (first..).zip(totals.chunks_exact_mut(inner)) {
            let places = scheme.places(run);
            if inner == 1 {
                let (low, high) = (scheme.index(places.start), scheme.index(places.end - 1));
                if let Some(total) = F::in_lanes(&source.elements[low.min(high)..=low.max(high)]) {
                    totals[0] = total;
                    continue;
                }
            }
            for place in places.clone() {
                let index = scheme.index(place);
                for (column, total) in totals.iter_mut().enumerate() {
                    let position = index * inner + column;
                    *total = if place == places.start {
                        F::start(source, position, index)
                    } else {
                        F::grow(*total, source, position, index)
                    };
                }
            }
        }
    }
}

/// The totals of runs from run `first` on, from sketches where there are some.
#[inline(always)]
fn sketched<F: Run>(scheme: &Scheme, first: usize, totals: &mut [F::Total], source: Source<'_, F::Element>) {
    let inner = scheme.inner;
    if inner == 1 {
        // Runs beside each other, but for the last of the axis, which may be shorter.
        let whole = (scheme.extent / scheme.run).saturating_sub(first).min(totals.len());
        for number in (0..whole).step_by(LANES) {
            let last = LANES.min(whole - number) - 1;
            let of_lane = |lane: usize| (first + number + lane.min(last)) * scheme.run;
            let found = sketch::totals::<F>(scheme.run, |place| {
                sketch::read::<F>(source, |lane| scheme.index(of_lane(lane) + place))
            });
            for (lane, found) in found.into_iter().enumerate().take(last + 1) {
                totals[number + lane] = found.unwrap_or_else(|| careful::<F>(scheme, first + number + lane, 0, source));
            }
        }
        for (number, total) in totals.iter_mut().enumerate().skip(whole) {
            *total = careful::<F>(scheme, first + number, 0, source);
        }
        return;
    }
    for (run, totals) in (first..).zip(totals.chunks_exact_mut(inner)) {
        let places = scheme.places(run);
        for (columns, totals) in (0..).step_by(LANES).zip(totals.chunks_mut(LANES)) {
            let index = |place: usize| scheme.index(places.start + place) * inner + columns;
            let found = if totals.len() == LANES {
                sketch::totals::<F>(places.len(), |place| {
                    // A row of a known length, so that no column need be looked for in it.
                    let elements = &source.elements[index(place)..][..LANES];
                    let factors = if F::HAS_FACTORS { &source.factors[index(place)..][..LANES] } else { &[] };
                    sketch::read::<F>(Source { elements, factors }, |lane| lane)
                })
            } else {
                let last = totals.len() - 1;
                sketch::totals::<F>(places.len(), |place| {
                    sketch::read::<F>(source, |lane| index(place) + lane.min(last))
                })
            };
            for (column, (total, found)) in totals.iter_mut().zip(found).enumerate() {
                *total = found.unwrap_or_else(|| careful::<F>(scheme, run, columns + column, source));
            }
        }
    }
}

/// The total of one column of a run, element by element.
fn careful<F: Run>(scheme: &Scheme, run: usize, column: usize, source: Source<'_, F::Element>) -> F::Total {
    let places = scheme.places(run);
    let at = |place: usize| (scheme.index(place) * scheme.inner + column, scheme.index(place));
    let (position, index) = at(places.start);
    let first = F::start(source, position, index);
    places.skip(1).fold(first, |total, place| {
        let (position, index) = at(place);
        F::grow(total, source, position, index)
    })
}

/// The results of runs from run `first` on, `result`, from the totals of all that is before each.
pub(super) struct Results<'a, F: Run> {
    pub(super) scheme: &'a Scheme,
    pub(super) first: usize,
    pub(super) starts: &'a [F::Total],
    pub(super) states: &'a mut [F::State],
    pub(super) source: Source<'a, F::Element>,
    pub(super) result: &'a mut [F::Output],
}

impl<F: Run> Vectorise for Results<'_, F> {
    type Output = ();
    const WIDEST: bool = F::WIDEST;

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Results { scheme, mut first, starts, states, source, result } = self;
        let inner = scheme.inner;
        let from = first * scheme.run;
        let count = result.len() / inner;
        // Where the results of a place stand among those that are computed here.
        let target = |place: usize| if scheme.is_reversed { count - 1 - (place - from) } else { place - from };
        let mut rest = starts;
        if first == 0 {
            let index = scheme.index(0);
            for (column, state) in states.iter_mut().enumerate() {
                *state = F::begin(F::start(source, index * inner + column, index));
                result[target(0) * inner + column] = F::result(*state);
            }
            if F::IS_GROUPED && inner == 1 {
                let total = F::start(source, index, index);
                walk_groups::<F>(scheme, 1..scheme.places(0).end, total, source, result, &target);
            } else {
                walk::<F>(scheme, 1..scheme.places(0).end, states, source, result, &target);
            }
            (first, rest) = (1, starts.get(inner..).unwrap_or_default());
        }
        if inner == 1 && !F::IS_GROUPED {
            while rest.len() >= SIDE_BY_SIDE && (first + SIDE_BY_SIDE) * scheme.run <= scheme.extent {
                let (starts, others) = rest.split_at(SIDE_BY_SIDE);
                let mut side: [F::State; SIDE_BY_SIDE] = std::array::from_fn(|number| F::begin(starts[number]));
                for step in 0..scheme.run {
                    for (number, state) in side.iter_mut().enumerate() {
                        let place = (first + number) * scheme.run + step;
                        let index = scheme.index(place);
                        *state = F::step(*state, source, index, index);
                        result[target(place)] = F::result(*state);
                    }
                }
                (first, rest) = (first + SIDE_BY_SIDE, others);
            }
        }
        for (run, starts) in (first..).zip(rest.chunks_exact(inner)) {
            if let ([total], true) = (starts, F::IS_GROUPED) {
                walk_groups::<F>(scheme, scheme.places(run), *total, source, result, &target);
                continue;
            }
            states.iter_mut().zip(starts).for_each(|(state, &total)| *state = F::begin(total));
            walk::<F>(scheme, scheme.places(run), states, source, result, &target);
        }
    }
}

/// Steps through places of a single axis, a group at a time.
#[inline(always)]
fn walk_groups<F: Run>(
    scheme: &Scheme,
    places: Range<usize>,
    mut total: F::Total,
    source: Source<'_, F::Element>,
    result: &mut [F::Output],
    target: &impl Fn(usize) -> usize,
) {
    if places.is_empty() {
        return;
    }
    let (first, last) = (places.start, places.end - 1);
    let ends = |ends: [usize; 2]| ends[0].min(ends[1])..=ends[0].max(ends[1]);
    let elements = &source.elements[ends([scheme.index(first), scheme.index(last)])];
    let results = &mut result[ends([target(first), target(last)])];
    groups::walk::<F>(scheme.is_reversed, &mut total, elements, results);
}

/// Steps through places of an axis and those beside it.
#[inline(always)]
fn walk<F: Run>(
    scheme: &Scheme,
    places: Range<usize>,
    states: &mut [F::State],
    source: Source<'_, F::Element>,
    result: &mut [F::Output],
    target: &impl Fn(usize) -> usize,
) {
    let inner = scheme.inner;
    let states = &mut states[..inner];
    for place in places {
        let index = scheme.index(place);
        let results = &mut result[target(place) * inner..][..inner];
        // Rows of one length, so that no column need be looked for in each.
        let elements = &source.elements[index * inner..][..inner];
        let factors = if F::HAS_FACTORS { &source.factors[index * inner..][..inner] } else { &[] };
        let row = Source { elements, factors };
        for column in 0..inner {
            states[column] = F::step(states[column], row, column, index);
            results[column] = F::result(states[column]);
        }
    }
}
