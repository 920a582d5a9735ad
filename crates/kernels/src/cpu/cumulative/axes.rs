//! Axes that are one run each, with nothing beside them several at a time: in one alone every result waits for the one before it.

use super::functions::{Run, Source};
use super::runs::Results;
use super::{SIDE_BY_SIDE, Scheme};
use crate::cpu::processor::Vectorise;

/// Up to so many elements along an axis groups gain nothing: most of a short axis is outside of them.
const SHORT: usize = 32;

/// Axes one after the other, each of a single run. What is in front of the first has no part in anything.
pub(super) struct Axes<'a, F: Run> {
    pub(super) scheme: &'a Scheme,
    pub(super) states: &'a mut [F::State],
    pub(super) source: Source<'a, F::Element>,
    pub(super) result: &'a mut [F::Output],
}

impl<F: Run> Vectorise for Axes<'_, F> {
    type Output = ();
    const WIDEST: bool = F::WIDEST;

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Axes { scheme, states, mut source, mut result } = self;
        // The extents alone decide, so an axis has the same bits wherever threads begin.
        let is_grouped = F::IS_GROUPED && scheme.extent > SHORT;
        if scheme.inner == 1 && !is_grouped {
            let block = SIDE_BY_SIDE * scheme.extent;
            while result.len() >= block {
                let (part, others) = source.split_at(block);
                let (results, other_results) = result.split_at_mut(block);
                side_by_side::<F>(scheme, part, results);
                (source, result) = (others, other_results);
            }
            while !result.is_empty() {
                let (part, others) = source.split_at(scheme.extent);
                let (results, other_results) = result.split_at_mut(scheme.extent);
                alone::<F>(scheme, part, results);
                (source, result) = (others, other_results);
            }
            return;
        }
        while !result.is_empty() {
            let (part, others) = source.split_at(scheme.block());
            let (results, other_results) = result.split_at_mut(scheme.block());
            Results::<F> { scheme, first: 0, starts: &[], states, source: part, result: results }.run::<FUSED>();
            (source, result) = (others, other_results);
        }
    }
}

/// Several axes, element by element in the order in which each would be gone through alone.
#[inline(always)]
fn side_by_side<F: Run>(scheme: &Scheme, source: Source<'_, F::Element>, result: &mut [F::Output]) {
    let extent = scheme.extent;
    let rows: [Source<'_, F::Element>; SIDE_BY_SIDE] = std::array::from_fn(|number| {
        let elements = &source.elements[number * extent..][..extent];
        let factors = if F::HAS_FACTORS { &source.factors[number * extent..][..extent] } else { &[] };
        Source { elements, factors }
    });
    let mut rest = result;
    let results: [&mut [F::Output]; SIDE_BY_SIDE] = std::array::from_fn(|_| {
        let (row, others) = std::mem::take(&mut rest).split_at_mut(extent);
        rest = others;
        row
    });
    let start = scheme.index(0);
    let mut states: [F::State; SIDE_BY_SIDE] =
        std::array::from_fn(|number| F::begin(F::start(rows[number], start, start)));
    for number in 0..SIDE_BY_SIDE {
        results[number][start] = F::result(states[number]);
    }
    for place in 1..extent {
        let index = scheme.index(place);
        for number in 0..SIDE_BY_SIDE {
            states[number] = F::step(states[number], rows[number], index, index);
            results[number][index] = F::result(states[number]);
        }
    }
}

#[inline(always)]
fn alone<F: Run>(scheme: &Scheme, source: Source<'_, F::Element>, result: &mut [F::Output]) {
    let start = scheme.index(0);
    let mut state = F::begin(F::start(source, start, start));
    result[start] = F::result(state);
    for place in 1..scheme.extent {
        let index = scheme.index(place);
        state = F::step(state, source, index, index);
        result[index] = F::result(state);
    }
}
