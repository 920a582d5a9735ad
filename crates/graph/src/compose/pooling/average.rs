//! The mean of each window.
//!
//! A window's sum is one of views of the input, one for each element of a window, or along one axis after the other where these are many. The
//! gradient is linear in the upstream one alone: each element takes a share from the windows that hold it, by the same two ways back.

use crate::dtype::DType;
use crate::expr::Expr;
use crate::function::{Context, Function};
use crate::node::Origin;
use crate::op::ReduceFunction;
use crate::shape::Shape;

use super::along::{Along, are_few, offsets_of, with_axes_behind};
use super::options::Pooling;
use crate::compose::resample::floats;

/// The most elements of a window that are added up at once, and the most windows that an element looks at.
const FEW: usize = 16;

/// The mean of each window, or its sum over `pooling`'s own divisor.
pub(super) fn average<'g>(x: Expr<'g>, shape: &Shape, dtype: DType, windows: &[Along], pooling: &Pooling) -> Expr<'g> {
    let sums = x.graph().apply(&Sums { shape: shape.clone(), windows: windows.to_vec() }, &[x]);
    let origin = x.graph().origin_or(Origin::here());
    if let Some(divisor) = pooling.divisor {
        return sums.divided_by(divisor, origin);
    }
    let mut constant = 1usize;
    let mut counts: Option<Expr<'g>> = None;
    for along in windows {
        let list: Vec<usize> = counts_along(along, pooling.count_include_pad);
        if list.iter().all(|&count| count == along.kernel) {
            constant = constant.saturating_mul(along.kernel);
            continue;
        }
        let mut extents = vec![1; shape.rank()];
        extents[along.axis] = along.count;
        let list = list.into_iter().map(|count| count as f64).collect();
        let along = x.graph().literal(extents, floats(list, dtype));
        counts = Some(counts.map_or(along, |counts| counts * along));
    }
    match counts {
        None => sums.divided_by(constant as f64, origin),
        Some(counts) if constant == 1 => sums / counts,
        Some(counts) => sums / (counts * constant as f64),
    }
}

/// How many elements each window divides by: those of the axis, and of the padding where it counts, but none past it.
fn counts_along(along: &Along, include_padding: bool) -> Vec<usize> {
    let (before, extent) = (along.before, along.extent);
    let of_window = |window: usize| {
        let begin = window * along.step;
        let end = (begin + along.kernel).min(extent + 2 * before);
        if include_padding { end - begin } else { end.min(extent + before) - begin.max(before) }
    };
    (0..along.count).map(of_window).collect()
}

/// The sum of each window.
struct Sums {
    shape: Shape,
    windows: Vec<Along>,
}

impl Function for Sums {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        let mut shape = self.shape.clone();
        let mut sums = operands[0];
        for windows in self.at_once(|windows| are_few(windows, FEW)) {
            sums = sums_of(sums, &shape, windows);
            windows.iter().for_each(|along| shape = shape.with_extent(along.axis, along.count));
        }
        sums
    }

    fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        let mut gradient = upstream;
        let steps = self.at_once(|windows| offsets_of(windows, FEW).is_some());
        for (done, windows) in steps.iter().enumerate().rev() {
            // The axes before are still those of windows.
            let mut shape = self.shape.clone();
            for along in steps[..done].iter().copied().flatten() {
                shape = shape.with_extent(along.axis, along.count);
            }
            gradient = shares(gradient, &shape, windows);
        }
        vec![Some(gradient)]
    }
}

impl Sums {
    /// All windows at once where that is few, else those of one axis after the other.
    fn at_once(&self, is_few: impl Fn(&[Along]) -> bool) -> Vec<&[Along]> {
        if is_few(&self.windows) { vec![&self.windows] } else { self.windows.chunks(1).collect() }
    }
}

/// The sum of each window of an expression of that shape.
fn sums_of<'g>(x: Expr<'g>, shape: &Shape, windows: &[Along]) -> Expr<'g> {
    let origin = x.graph().origin_or(Origin::here());
    let padded = x.padded_for(shape, windows, 0.0);
    let mut result = shape.clone();
    windows.iter().for_each(|along| result = result.with_extent(along.axis, along.count));
    if are_few(windows, FEW) {
        let elements = padded.window_elements(&result, windows);
        return elements[1..].iter().fold(elements[0], |sum, &element| sum + element);
    }
    let axes: Vec<isize> = windows.iter().map(|along| along.axis as isize).collect();
    let list = |number: fn(&Along) -> usize| windows.iter().map(number).collect::<Vec<usize>>();
    let steps = list(Along::window_step);
    let elements = padded.windows(axes, list(|along| along.kernel), steps, vec![1; windows.len()]);
    let axes = (shape.rank()..shape.rank() + windows.len()).collect();
    elements.reduce_node(ReduceFunction::Sum, axes, origin).reshape_node(&result, origin)
}

/// The sum over the windows that hold an element, for each element of an input of that shape.
fn shares<'g>(upstream: Expr<'g>, shape: &Shape, windows: &[Along]) -> Expr<'g> {
    let graph = upstream.graph();
    let origin = graph.origin_or(Origin::here());
    let Some(offsets) = offsets_of(windows, FEW) else {
        let [along] = windows else { return upstream };
        return many_shares(upstream, shape, along);
    };
    let mut groups = shape.clone();
    windows.iter().for_each(|along| groups = groups.with_extent(along.axis, along.groups()));
    let wide = with_axes_behind(&groups, windows, |along| along.step);
    let take = |offsets: &[isize], operands: &[Expr<'g>]| {
        let whole = operands[0].broadcast_node(&wide, origin);
        let mut is_held: Option<Expr<'g>> = None;
        for (place, (along, &u)) in windows.iter().zip(offsets).enumerate() {
            let held = along.held(u);
            // Behind each axis of windows there is one more, of the elements of a group. Said of all groups, so that what is read of it
            // is a line and not a few numbers over and over.
            let mut extents = vec![1; wide.rank()];
            (extents[along.axis + place], extents[along.axis + place + 1]) = (along.groups(), along.step);
            let element = graph.iota(extents, along.axis + place + 1);
            let here = match (held.start > 0, held.end < along.step) {
                (false, false) => continue,
                (true, false) => element.greater_equal(held.start as f64),
                (false, true) => element.less(held.end as f64),
                (true, true) => element.greater_equal(held.start as f64) & element.less(held.end as f64),
            };
            is_held = Some(is_held.map_or(here, |held| held & here));
        }
        is_held.map_or(whole, |is_held| is_held.where_(whole, 0.0))
    };
    Expr::from_windows(shape, windows, &offsets, &[(upstream, 0.0)], &take)
}

/// [`shares`] along one axis where an element is in many windows. Those that hold it are neighbours, so its sum is one over a
/// window of windows: over all that hold some element of its group, without those that do not hold it.
fn many_shares<'g>(upstream: Expr<'g>, shape: &Shape, along: &Along) -> Expr<'g> {
    let graph = upstream.graph();
    let origin = graph.origin_or(Origin::here());
    let (axis, rank) = (along.axis, shape.rank());
    let [before, step, kernel] = [along.before, along.step, along.kernel].map(|number| number as isize);
    let first = (before - kernel + 1).div_euclid(step);
    let last = (step - 1 + before).div_euclid(step);
    let (groups, looked_at) = (along.groups(), (last - first + 1) as usize);
    // Window `q + first` is the first that group `q` looks at.
    let low = first.min(0).unsigned_abs();
    let skipped = first.max(0) as usize;
    let needed = (groups - 1 + looked_at + skipped).max(low + along.count);
    let mut lows = thin_vec::thin_vec![0; rank];
    lows[axis] = low;
    let padded = upstream.pad_node(lows, thin_vec::thin_vec![0; rank], 0.0, &shape.with_extent(axis, needed), origin);
    let seen = padded.slice(axis as isize, skipped, skipped + groups - 1 + looked_at);
    // [.., groups, 1, .., looked_at], beside [.., groups, step, .., looked_at].
    let seen = seen.windows([axis as isize], [looked_at], [1], [1]).unsqueeze(axis as isize + 1);
    let mut extents = vec![1; rank + 2];
    (extents[axis + 1], extents[rank + 1]) = (along.step, looked_at);
    let element = graph.iota(extents.clone(), axis + 1);
    let window = graph.iota(extents, rank + 1);
    let place = element - window * step as f64 + (before - first * step) as f64;
    let is_held = place.greater_equal(0.0) & place.less(kernel as f64);
    let sum = is_held.where_(seen, 0.0).sum(-1);
    let grid = sum.reshape(shape.with_extent(axis, along.grid()));
    let kept = along.extent.min(along.grid());
    let none: crate::op::Extents = thin_vec::thin_vec![0; rank];
    grid.slice(axis as isize, 0, kept).pad_node(none.clone(), none, 0.0, shape, origin)
}
