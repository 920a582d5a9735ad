//! Where windows stand along the axes of an input, and what each element of the input gets back from the windows that it is in.
//!
//! Elements of an axis are numbered in groups of as many as a window moves on: element `q step + r` is the `r`-th of group `q`. The
//! windows that hold it are among those numbered `q + u`, with the same few `u` for all groups. So what an element gets back is a sum
//! over these `u` of views of the upstream gradient: nothing as large as all windows together is stored.

use smallvec::SmallVec;

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::op::{Arrangement, Extents, Op};
use crate::shape::Shape;

use super::options::{PerAxis, Pooling};

/// The most elements that windows of an axis may go over: places of elements are i32.
const LARGEST: usize = i32::MAX as usize;

/// How windows stand along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Along {
    pub(super) axis: usize,
    /// The elements of the axis.
    pub(super) extent: usize,
    pub(super) kernel: usize,
    pub(super) step: usize,
    pub(super) dilation: usize,
    /// The elements of padding before the first.
    pub(super) before: usize,
    /// How many windows there are.
    pub(super) count: usize,
}

impl Along {
    /// From the first element of a window to its last, both counted.
    pub(super) fn span(&self) -> usize {
        (self.kernel - 1).saturating_mul(self.dilation).saturating_add(1)
    }

    /// What windows read past the end.
    pub(super) fn after(&self) -> usize {
        let end = (self.count - 1).saturating_mul(self.step).saturating_add(self.span());
        end.saturating_sub(self.before.saturating_add(self.extent))
    }

    /// How far windows of the padded axis move on so that there are as many as there should be.
    pub(super) fn window_step(&self) -> usize {
        if self.count == 1 { self.before + self.extent + self.after() } else { self.step }
    }

    /// Whether each element is in one window at most, and windows stand side by side from the first element on.
    pub(super) fn is_tiled(&self) -> bool {
        self.before == 0 && self.dilation == 1 && self.step == self.kernel && self.after() == 0
    }

    /// The groups of `step` elements that are looked at: windows themselves where these tile the axis, else all that it has.
    pub(super) fn groups(&self) -> usize {
        if self.is_tiled() { self.count } else { self.extent.div_ceil(self.step) }
    }

    /// The elements of all groups: at least those of the axis that windows hold.
    pub(super) fn grid(&self) -> usize {
        self.groups().saturating_mul(self.step)
    }

    /// The `u` for which some element of group `q` is in window `q + u`; none if there are more than `most`.
    pub(super) fn offsets(&self, most: usize) -> Option<Vec<isize>> {
        let [before, step, dilation, span] = [self.before, self.step, self.dilation, self.span()].map(|n| n as isize);
        let first = (before - span + 1).div_euclid(step);
        let last = (step - 1 + before).div_euclid(step);
        let mut offsets = Vec::new();
        for u in first..=last {
            // Element `r` of the group stands `r + before - step u` behind the window's first, which must be a multiple of the dilation.
            let from = (before - step * u).max(0);
            let to = (step - 1 + before - step * u).min(span - 1);
            if from <= to && (from + dilation - 1) / dilation * dilation <= to {
                offsets.push(u);
            }
            if offsets.len() > most {
                return None;
            }
        }
        Some(offsets)
    }

    /// The elements of a group that window `q + u` holds, if it has no gaps.
    pub(super) fn held(&self, u: isize) -> std::ops::Range<usize> {
        let first = self.step as isize * u - self.before as isize;
        let end = first.saturating_add(self.kernel as isize);
        first.clamp(0, self.step as isize) as usize..end.clamp(0, self.step as isize) as usize
    }
}

/// The windows of `pooling` along the last `count` axes of an operand of that shape.
pub(super) fn along_last(
    operand: Expr<'_>,
    shape: &Shape,
    count: usize,
    pooling: &Pooling,
    op: &'static str,
) -> Result<Vec<Along>, GraphError> {
    let origin = operand.graph().origin_or(Origin::here());
    let numbers = |what, numbers: &PerAxis| numbers_of(op, what, numbers, count, origin);
    let kernels = numbers("the number of kernel extents", &pooling.kernel)?;
    let steps = match &pooling.stride {
        Some(stride) => numbers("the number of strides", stride)?,
        None => kernels.clone(),
    };
    let paddings = numbers("the number of paddings", &pooling.padding)?;
    let dilations = numbers("the number of dilations", &pooling.dilation)?;
    let first = shape.rank() - count;
    let mut windows = Vec::with_capacity(count);
    for place in 0..count {
        let (axis, extent) = (first + place, shape[first + place]);
        let (kernel, step, dilation, padding) = (kernels[place], steps[place], dilations[place], paddings[place]);
        for (what, number, expected) in [
            ("the kernel", kernel, "a kernel of at least 1"),
            ("the stride", step, "a stride of at least 1"),
            ("the dilation", dilation, "a dilation of at least 1"),
        ] {
            if number == 0 {
                return Err(GraphError::Argument { origin, op, what, value: 0.0, expected });
            }
        }
        if padding > kernel / 2 {
            let (value, expected) = (padding as f64, "at most half of the kernel");
            return Err(GraphError::Argument { origin, op, what: "the padding", value, expected });
        }
        if extent == 0 {
            let (operand, shape) = (operand.describe(), shape.clone());
            return Err(GraphError::EmptyAxis { origin, op, function: "windows", operand, shape, axis });
        }
        let span = (kernel - 1).saturating_mul(dilation).saturating_add(1);
        let padded = extent.saturating_add(padding.saturating_mul(2));
        let last = i128::try_from(padded).unwrap_or(i128::MAX) - i128::try_from(span).unwrap_or(i128::MAX);
        let wide = i128::try_from(step).unwrap_or(i128::MAX);
        let rounded = if pooling.ceil_mode { last + wide - 1 } else { last };
        let mut count = usize::try_from(rounded.div_euclid(wide) + 1).unwrap_or(0);
        // A window that would begin behind the elements and the padding in front of them does not count.
        if pooling.ceil_mode && count > 0 && (count - 1).saturating_mul(step) >= extent.saturating_add(padding) {
            count -= 1;
        }
        if count == 0 {
            let (operand, shape) = (operand.describe(), shape.clone());
            return Err(GraphError::Range { origin, op, operand, shape, axis, extent: padded, start: 0, end: span });
        }
        if span > LARGEST || padded > LARGEST {
            let (what, value, expected) =
                ("what a window spans", span.max(padded) as f64, "at most 2147483647 elements");
            return Err(GraphError::Argument { origin, op, what, value, expected });
        }
        // A single window may as well move on by its own length, so that it tiles what it holds.
        let step = if count == 1 { span } else { step };
        windows.push(Along { axis, extent, kernel, step, dilation, before: padding, count });
    }
    Ok(windows)
}

/// One number for each of `count` axes, as a caller gave them.
pub(super) fn numbers_of(
    op: &'static str,
    what: &'static str,
    numbers: &PerAxis,
    count: usize,
    origin: Origin,
) -> Result<SmallVec<[usize; 3]>, GraphError> {
    let expected = "one number, or one for each axis that is pooled,";
    numbers.of(count).map_err(|given| GraphError::Argument { origin, op, what, value: given as f64, expected })
}

impl<'g> Expr<'g> {
    /// This with `value` around, so that all windows lie within it.
    pub(super) fn padded_for(self, shape: &Shape, windows: &[Along], value: f64) -> Expr<'g> {
        let mut lows: Extents = thin_vec::thin_vec![0; shape.rank()];
        let mut padded: Vec<usize> = shape.to_vec();
        for along in windows {
            lows[along.axis] = along.before;
            padded[along.axis] = along.extent.saturating_add(along.before).saturating_add(along.after());
        }
        let interiors = thin_vec::thin_vec![0; shape.rank()];
        self.pad_node(lows, interiors, value, &Shape::from(padded), self.graph().origin_or(Origin::here()))
    }

    /// Of an expression that is padded for its windows: for each element of a window, in row-major order, that element of all windows.
    pub(super) fn window_elements(self, result: &Shape, windows: &[Along]) -> Vec<Expr<'g>> {
        let origin = self.graph().origin_or(Origin::here());
        let kernels: Vec<usize> = windows.iter().map(|along| along.kernel).collect();
        let mut elements = Vec::new();
        for places in places(&kernels) {
            let mut starts: Extents = thin_vec::thin_vec![0; result.rank()];
            let mut steps: Extents = thin_vec::thin_vec![1; result.rank()];
            for (along, place) in windows.iter().zip(places) {
                starts[along.axis] = place * along.dilation;
                steps[along.axis] = if along.count == 1 { 1 } else { along.step };
            }
            elements.push(self.slice_to(starts, steps, result, origin));
        }
        elements
    }

    /// What each element of an axis gets from the windows that hold it: the sum of what `take` makes of each window's elements in
    /// `operands`, which have an element a window; beside them stands what to take for windows that are none. `take` is
    /// given the offsets `u` and the operands, and gives `[.., groups, step, ..]` for each axis; the result has the input's shape.
    pub(super) fn from_windows(
        shape: &Shape,
        windows: &[Along],
        offsets: &[Vec<isize>],
        operands: &[(Expr<'g>, f64)],
        take: &dyn Fn(&[isize], &[Expr<'g>]) -> Expr<'g>,
    ) -> Expr<'g> {
        let first = operands[0].0;
        let origin = first.graph().origin_or(Origin::here());
        // Windows by number, from the first that any group looks for to the last.
        let padded: Vec<Expr<'g>> = operands
            .iter()
            .map(|&(operand, fill)| {
                let mut lows: Extents = thin_vec::thin_vec![0; shape.rank()];
                let mut extents: Vec<usize> = shape.to_vec();
                for (along, offsets) in windows.iter().zip(offsets) {
                    let (low, extent) = reach(along, offsets);
                    lows[along.axis] = low;
                    extents[along.axis] = extent;
                }
                operand.pad_node(lows, thin_vec::thin_vec![0; shape.rank()], fill, &Shape::from(extents), origin)
            })
            .collect();
        let mut window_shape: Vec<usize> = shape.to_vec();
        windows.iter().for_each(|along| window_shape[along.axis] = along.groups());
        let window_shape = Shape::from(window_shape);
        let grouped = with_axes_behind(&window_shape, windows, |_| 1);
        let counts: Vec<usize> = offsets.iter().map(Vec::len).collect();
        let mut total: Option<Expr<'g>> = None;
        for places in places(&counts) {
            let chosen: Vec<isize> = places.iter().zip(offsets).map(|(&place, offsets)| offsets[place]).collect();
            let mut starts: Extents = thin_vec::thin_vec![0; shape.rank()];
            for ((along, offsets), &u) in windows.iter().zip(offsets).zip(&chosen) {
                starts[along.axis] = reach(along, offsets).0.saturating_add_signed(u);
            }
            let steps: Extents = thin_vec::thin_vec![1; shape.rank()];
            let slices: Vec<Expr<'g>> = padded
                .iter()
                .map(|padded| {
                    let slice = padded.slice_to(starts.clone(), steps.clone(), &window_shape, origin);
                    slice.reshape_node(&grouped, origin)
                })
                .collect();
            let term = take(&chosen, &slices);
            total = Some(total.map_or(term, |total| total + term));
        }
        let Some(total) = total else { return first };
        // The groups' elements in order, without those of the last group that are behind the last of the axis.
        let mut grid: Vec<usize> = shape.to_vec();
        windows.iter().for_each(|along| grid[along.axis] = along.grid());
        let mut result = total.reshape_node(&Shape::from(grid.as_slice()), origin);
        let (mut kept, mut is_longer) = (grid.clone(), false);
        for along in windows {
            kept[along.axis] = along.extent.min(grid[along.axis]);
            is_longer |= kept[along.axis] < grid[along.axis];
        }
        if is_longer {
            let rank = shape.rank();
            let (starts, steps) = (thin_vec::thin_vec![0; rank], thin_vec::thin_vec![1; rank]);
            result = result.slice_to(starts, steps, &Shape::from(kept), origin);
        }
        let none: Extents = thin_vec::thin_vec![0; shape.rank()];
        result.pad_node(none.clone(), none, 0.0, shape, origin)
    }

    /// A slice of that shape along all axes at once.
    pub(super) fn slice_to(self, starts: Extents, steps: Extents, shape: &Shape, origin: Origin) -> Expr<'g> {
        match self.read("slice", origin, |id, node| (id, node.shape == *shape)) {
            None => self,
            Some((_, true)) => self,
            Some((operand, false)) => {
                let op = Op::View { operand, arrangement: Arrangement::Slice { starts, steps } };
                self.insert(op, Some(shape), None, origin)
            }
        }
    }
}

/// A shape with one more axis behind each that has windows, of the extent that `extent` says.
pub(super) fn with_axes_behind(shape: &Shape, windows: &[Along], extent: impl Fn(&Along) -> usize) -> Shape {
    let mut grouped = Vec::with_capacity(shape.rank() + windows.len());
    for (axis, &own) in shape.iter().enumerate() {
        grouped.push(own);
        if let Some(along) = windows.iter().find(|along| along.axis == axis) {
            grouped.push(extent(along));
        }
    }
    Shape::from(grouped)
}

/// How many windows that are none stand before the first, and how many there are with those before and behind.
fn reach(along: &Along, offsets: &[isize]) -> (usize, usize) {
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let low = first.min(0).unsigned_abs();
    let end = along.groups().saturating_add_signed(last).max(along.count);
    (low, low.saturating_add(end))
}

/// Whether windows have at most so many elements in all.
pub(super) fn are_few(windows: &[Along], most: usize) -> bool {
    let elements = windows.iter().try_fold(1usize, |product, along| product.checked_mul(along.kernel));
    elements.is_some_and(|elements| elements <= most)
}

/// The offsets of windows along each axis, if they are not more than `most` in all.
pub(super) fn offsets_of(windows: &[Along], most: usize) -> Option<Vec<Vec<isize>>> {
    let offsets = windows.iter().map(|along| along.offsets(most)).collect::<Option<Vec<_>>>()?;
    (offsets.iter().map(Vec::len).product::<usize>() <= most).then_some(offsets)
}

/// All places in a box of these extents, in row-major order.
pub(super) fn places(extents: &[usize]) -> impl Iterator<Item = SmallVec<[usize; 3]>> {
    let extents: SmallVec<[usize; 3]> = SmallVec::from_slice(extents);
    let count: usize = extents.iter().product();
    (0..count).map(move |mut number| {
        let mut place: SmallVec<[usize; 3]> = smallvec::smallvec![0; extents.len()];
        for axis in (0..extents.len()).rev() {
            place[axis] = number % extents[axis];
            number /= extents[axis];
        }
        place
    })
}
