//! Where the elements of a node stand in the buffer of another: how views come to cost nothing.

use arenagrad_graph::Shape;
use arenagrad_kernels::{Axis, View};
use smallvec::SmallVec;

/// The elements of a node's shape as elements of the buffer of `base`: the element at coordinates `c` stands at
/// `offset + sum(c[a] * strides[a])`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// The entry whose buffer it is.
    pub(crate) base: u32,
    pub(crate) shape: Shape,
    pub(crate) strides: SmallVec<[usize; 4]>,
    pub(crate) offset: usize,
}

impl Layout {
    /// A buffer of its own, row-major.
    pub(crate) fn contiguous(base: u32, shape: &Shape) -> Self {
        Layout { base, shape: shape.clone(), strides: shape.strides(), offset: 0 }
    }

    /// The map from the flat index of the shape to the buffer.
    pub(crate) fn view(&self) -> View {
        let axes = self.shape.iter().zip(&self.strides).map(|(&extent, &stride)| Axis { extent, stride });
        View::new(axes, self.offset)
    }

    /// Whether flat index `i` stands at `i`.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.view().is_contiguous()
    }

    pub(crate) fn permuted(&self, axes: &[usize]) -> Self {
        Layout {
            base: self.base,
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            offset: self.offset,
        }
    }

    pub(crate) fn broadcast(&self, shape: &Shape) -> Self {
        let missing = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank())
            .map(|axis| match axis.checked_sub(missing) {
                Some(own) if self.shape[own] == shape[axis] => self.strides[own],
                Some(_) | None => 0,
            })
            .collect();
        Layout { base: self.base, shape: shape.clone(), strides, offset: self.offset }
    }

    pub(crate) fn sliced(&self, starts: &[usize], steps: &[usize], shape: &Shape) -> Self {
        let offset =
            self.offset + starts.iter().zip(&self.strides).map(|(start, stride)| start * stride).sum::<usize>();
        let strides = self.strides.iter().zip(steps).map(|(stride, step)| stride * step).collect();
        Layout { base: self.base, shape: shape.clone(), strides, offset }
    }

    /// The same elements under another shape, if strides can say it: each run of old axes that corresponds to a run of
    /// new ones must be evenly spaced.
    pub(crate) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        // Axes of extent 1 carry no information; what remains is split into groups of equal element counts.
        let old: SmallVec<[(usize, usize); 4]> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|(extent, _)| *extent != 1).collect();
        let mut strides: SmallVec<[usize; 4]> = smallvec::smallvec![0; shape.rank()];
        let (mut from, mut axis) = (0, 0);
        while axis < shape.rank() {
            if shape[axis] == 1 {
                axis += 1;
                continue;
            }
            let (mut old_count, mut new_count) = (old.get(from)?.0, shape[axis]);
            let (mut from_end, mut axis_end) = (from + 1, axis + 1);
            while old_count != new_count {
                if old_count < new_count {
                    old_count *= old.get(from_end)?.0;
                    from_end += 1;
                } else {
                    new_count *= *shape.get(axis_end)?;
                    axis_end += 1;
                }
            }
            let run = &old[from..from_end];
            if run.windows(2).any(|pair| pair[0].1 != pair[1].0 * pair[1].1) {
                return None;
            }
            let mut stride = run.last()?.1;
            for position in (axis..axis_end).rev() {
                strides[position] = stride;
                stride *= shape[position];
            }
            (from, axis) = (from_end, axis_end);
        }
        Some(Layout { base: self.base, shape: shape.clone(), strides, offset: self.offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshapes_what_strides_can_say() {
        let base = Layout::contiguous(0, &Shape::from([4, 6]));
        let split = base.reshaped(&Shape::from([2, 2, 1, 3, 2])).expect("contiguous reshapes to anything");
        assert_eq!(split.strides.as_slice(), [12, 6, 0, 2, 1]);
        let transposed = base.permuted(&[1, 0]);
        assert!(transposed.reshaped(&Shape::from([24])).is_none());
        let kept = transposed.reshaped(&Shape::from([2, 3, 4])).expect("splits one strided axis");
        assert_eq!(kept.strides.as_slice(), [3, 1, 6]);
    }

    #[test]
    fn repeated_rows_merge_only_with_themselves() {
        let row = Layout::contiguous(0, &Shape::from([3]));
        let rows = row.broadcast(&Shape::from([5, 3]));
        assert_eq!(rows.strides.as_slice(), [0, 1]);
        assert!(rows.reshaped(&Shape::from([15])).is_none());
        let column = Layout::contiguous(0, &Shape::from([3, 1])).broadcast(&Shape::from([3, 4]));
        assert_eq!(
            column.reshaped(&Shape::from([3, 2, 2])).expect("splits a repeated axis").strides.as_slice(),
            [1, 0, 0]
        );
    }
}
