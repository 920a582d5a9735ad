//! Results a group at a time, for functions whose totals may be joined in any grouping: within a group they wait for each other three
//! times instead of eight, and the groups wait for one joining each.

use super::functions::{Run, Source};

/// The elements of a group.
const GROUP: usize = 8;

/// Goes on from `total` over neighbouring elements, in the order of memory or in the reverse of it.
#[inline(always)]
pub(super) fn walk<F: Run>(
    is_reversed: bool,
    total: &mut F::Total,
    elements: &[F::Element],
    results: &mut [F::Output],
) {
    let of_groups = elements.len() - elements.len() % GROUP;
    if is_reversed {
        let rest = elements.len() - of_groups;
        let groups = elements[rest..].chunks_exact(GROUP).zip(results[rest..].chunks_exact_mut(GROUP));
        groups.rev().for_each(|(elements, results)| group::<F, true>(total, elements, results));
        let others = elements[..rest].iter().zip(&mut results[..rest]);
        others.rev().for_each(|(element, result)| one::<F>(total, element, result));
    } else {
        let groups = elements.chunks_exact(GROUP).zip(results.chunks_exact_mut(GROUP));
        groups.for_each(|(elements, results)| group::<F, false>(total, elements, results));
        let others = elements[of_groups..].iter().zip(&mut results[of_groups..]);
        others.for_each(|(element, result)| one::<F>(total, element, result));
    }
}

#[inline(always)]
fn one<F: Run>(total: &mut F::Total, element: &F::Element, result: &mut F::Output) {
    *total = F::join(*total, start::<F>(element));
    *result = F::result(F::begin(*total));
}

#[inline(always)]
fn start<F: Run>(element: &F::Element) -> F::Total {
    F::start(Source { elements: std::slice::from_ref(element), factors: &[] }, 0, 0)
}

#[inline(always)]
fn group<F: Run, const REVERSED: bool>(total: &mut F::Total, elements: &[F::Element], results: &mut [F::Output]) {
    let (elements, results) = (&elements[..GROUP], &mut results[..GROUP]);
    let mut totals: [F::Total; GROUP] = std::array::from_fn(|place| start::<F>(&elements[place]));
    // After each round a place has the total of twice as many: of itself and of those in front of it in its group.
    for distance in [1, 2, 4] {
        let before = totals;
        for place in distance..GROUP {
            let (from, to) = (place - distance, place);
            if REVERSED {
                let (from, to) = (GROUP - 1 - from, GROUP - 1 - to);
                totals[to] = F::join(before[from], before[to]);
            } else {
                totals[to] = F::join(before[from], before[to]);
            }
        }
    }
    for (result, of_group) in results.iter_mut().zip(totals) {
        *result = F::result(F::begin(F::join(*total, of_group)));
    }
    *total = F::join(*total, totals[if REVERSED { 0 } else { GROUP - 1 }]);
}
