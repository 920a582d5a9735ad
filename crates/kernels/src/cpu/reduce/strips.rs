//! The way in strips: results along a long innermost axis, accumulated side by side over all reduced positions.

use std::ops::Range;

use arenagrad_graph::{AlignedVec, DType, ReduceFunction};

use super::{ReduceScheme, Values, Way};
use crate::cpu::buffer::Parts;
use crate::cpu::interpret::{Sources, run_prologue};
use crate::cpu::parallel;
use crate::cpu::processor::{Vectorise, dispatch};
use crate::cpu::reducible::{Reducible, accumulate, fill_identity};
use crate::cpu::registers::{BLOCK, Bank};
use crate::cpu::walk::Walk;

impl ReduceScheme {
    /// Computes all results, in as many tasks as there are strips.
    pub(super) fn divide_strips<T: Reducible>(
        &self,
        banks: &mut [Bank],
        strips: &mut [AlignedVec<T::Total>],
        sources: &Sources<'_>,
        parts: &Parts<'_>,
        results: &mut [T],
    ) {
        let Way::Strips { width, .. } = &self.way else { panic!("strips belong to the way in strips") };
        let units = self.results / width * width.div_ceil(BLOCK);
        self.divide_units(banks, strips, sources, parts, results, 0..units);
    }

    /// Runs strips `units`, whose results are `results`.
    fn divide_units<T: Reducible>(
        &self,
        banks: &mut [Bank],
        strips: &mut [AlignedVec<T::Total>],
        sources: &Sources<'_>,
        parts: &Parts<'_>,
        mut results: &mut [T],
        units: Range<usize>,
    ) {
        if let ([bank], [strip]) = (&mut *banks, &mut *strips) {
            run_prologue(self.arch, &self.translation.setup, bank, sources);
            for unit in units {
                let length = self.strip(unit).len();
                let (head, tail) = results.split_at_mut(length);
                self.run_strip(bank, &mut strip[..length], sources, parts, head, unit);
                results = tail;
            }
            return;
        }
        let half = banks.len() / 2;
        let cut = parallel::cut(units.clone(), half, banks.len(), 1);
        let (head_banks, tail_banks) = banks.split_at_mut(half);
        let (head_strips, tail_strips) = strips.split_at_mut(half);
        let first = self.strip(units.start).start;
        let (head, tail) = results.split_at_mut(self.strip(cut).start - first);
        parallel::join(
            || self.divide_units(head_banks, head_strips, sources, parts, head, units.start..cut),
            || self.divide_units(tail_banks, tail_strips, sources, parts, tail, cut..units.end),
        );
    }

    /// The results of strip `unit`.
    fn strip(&self, unit: usize) -> Range<usize> {
        let Way::Strips { width, .. } = self.way else { panic!("strips belong to the way in strips") };
        let strips = width.div_ceil(BLOCK);
        let (line, at) = (unit / strips * width, unit % strips * BLOCK);
        line + at..line + width.min(at + BLOCK)
    }

    fn run_strip<T: Reducible>(
        &self,
        bank: &mut Bank,
        accumulators: &mut [T::Total],
        sources: &Sources<'_>,
        parts: &Parts<'_>,
        results: &mut [T],
        unit: usize,
    ) {
        let Way::Strips { outer, width, reduced } = &self.way else { panic!("strips belong to the way in strips") };
        fill_identity::<T>(self.function, accumulators);
        let strips = width.div_ceil(BLOCK);
        let first = outer.position(unit / strips) + unit % strips * BLOCK;
        let length = accumulators.len();
        let mut walk = Walk::new(reduced, 0);
        let mut done = 0;
        while done < reduced.elements() {
            let run = walk.next(reduced.elements() - done);
            for i in 0..run.length {
                let start = first + run.at(i);
                let values = self.values::<T>(bank, sources, parts, start, length);
                dispatch(self.arch, AccumulateStrip { function: self.function, values, accumulators });
            }
            done += run.length;
        }
        for (result, &accumulator) in results.iter_mut().zip(&*accumulators) {
            *result = T::rounded(accumulator);
        }
    }
}

/// Combines the values of a strip with its accumulators.
struct AccumulateStrip<'a, T: Reducible> {
    function: ReduceFunction,
    values: Values<'a, T>,
    accumulators: &'a mut [T::Total],
}

impl<T: Reducible> Vectorise for AccumulateStrip<'_, T> {
    type Output = ();
    const WIDEST: bool = matches!(T::DTYPE, DType::F32);

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let AccumulateStrip { function, values, accumulators } = self;
        match values {
            Values::Varying(values) => accumulate(function, values, accumulators),
            Values::Uniform(value) => accumulate(function, &[value; BLOCK], accumulators),
        }
    }
}
