//! Where the elements of a node stand in the buffer of another: how views come to cost nothing.

use std::ops::Deref;
use std::rc::Rc;

use arenagrad_graph::{AxisSet, MAX_RANK, Shape};
use arenagrad_kernels::{Axes, Axis, View};
use smallvec::SmallVec;

/// The elements of a node's shape as elements of the buffer of `base`: each axis of the shape goes through one or more axes of the
/// buffer, outermost first, and the element at coordinates `c` of all of them stands at `offset + sum(c[a] * strides[a])`. A stride below 0 reads
/// an axis from its end. Several elements may stand at one place, where an axis is repeated or windows overlap, so a layout is for
/// reading: nothing is ever written through one.
///
/// Most layouts of a graph are alike but for their base, so they have one [`Form`] in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// The entry whose buffer it is.
    pub(crate) base: u32,
    pub(crate) offset: usize,
    form: Rc<Form>,
}

/// A shape, and where its elements stand behind the first.
#[derive(Debug, PartialEq)]
pub(crate) struct Form {
    pub(crate) shape: Shape,
    /// The axes of the buffer, those of the shape's first axis first.
    axes: SmallVec<[Axis; 4]>,
    /// Where those of each axis of the shape end.
    ends: SmallVec<[u8; 8]>,
    /// Whether the element of flat index `i` stands `i` behind the first.
    is_row_major: bool,
}

impl Form {
    fn new(shape: Shape, axes: SmallVec<[Axis; 4]>, ends: SmallVec<[u8; 8]>) -> Rc<Self> {
        let is_row_major = View::new(axes.iter().copied(), 0).is_contiguous();
        Rc::new(Form { shape, axes, ends, is_row_major })
    }
}

impl Deref for Layout {
    type Target = Form;

    fn deref(&self) -> &Form {
        &self.form
    }
}

impl Layout {
    /// A buffer of its own, row-major.
    pub(crate) fn contiguous(base: u32, shape: &Shape) -> Self {
        let strides = shape.strides();
        let axes = shape.iter().zip(&strides).map(|(&extent, &stride)| Axis { extent, stride: stride as isize });
        let ends = (1..=shape.rank() as u8).collect();
        Layout { base, offset: 0, form: Form::new(shape.clone(), axes.collect(), ends) }
    }

    /// The axes of each of these axes of the shape.
    fn of_groups(base: u32, shape: Shape, groups: impl Iterator<Item = SmallVec<[Axis; 4]>>, offset: usize) -> Self {
        let (mut axes, mut ends): (SmallVec<[Axis; 4]>, SmallVec<[u8; 8]>) = Default::default();
        for group in groups {
            axes.extend(group);
            ends.push(axes.len() as u8);
        }
        Layout { base, offset, form: Form::new(shape, axes, ends) }
    }

    /// The same elements of another entry's buffer.
    pub(crate) fn on(self, base: u32) -> Self {
        Layout { base, ..self }
    }

    /// The axes of the buffer that an axis of the shape goes through, outermost first.
    pub(crate) fn axes_of(&self, axis: usize) -> &[Axis] {
        let begin = axis.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.axes[usize::from(begin)..usize::from(self.ends[axis])]
    }

    /// Whether each axis of the shape is one of the buffer.
    pub(crate) fn is_plain(&self) -> bool {
        self.axes.len() == self.shape.rank()
    }

    /// The map from the flat index of the shape to the buffer.
    pub(crate) fn view(&self) -> View {
        View::new(self.axes.iter().copied(), self.offset)
    }

    /// Whether flat index `i` stands at `i`.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.offset == 0 && self.is_row_major
    }

    pub(crate) fn permuted(&self, axes: &[usize]) -> Self {
        let shape = axes.iter().map(|&axis| self.shape[axis]).collect();
        let groups = axes.iter().map(|&axis| SmallVec::from_slice(self.axes_of(axis)));
        Layout::of_groups(self.base, shape, groups, self.offset)
    }

    pub(crate) fn broadcast(&self, shape: &Shape) -> Self {
        let missing = shape.rank() - self.shape.rank();
        let groups = (0..shape.rank()).map(|axis| match axis.checked_sub(missing) {
            Some(own) if self.shape[own] == shape[axis] => SmallVec::from_slice(self.axes_of(own)),
            Some(_) | None => SmallVec::from_slice(&[Axis { extent: shape[axis], stride: 0 }]),
        });
        Layout::of_groups(self.base, shape.clone(), groups, self.offset)
    }

    /// Every `steps[a]`-th coordinate of axis `a` from `starts[a]` on, backwards where the step is below 0. None if that is part of
    /// an axis that is several of the buffer's.
    pub(crate) fn sliced(&self, starts: &[usize], steps: &[isize], shape: &Shape) -> Option<Self> {
        let mut offset = self.offset;
        let mut axes: SmallVec<[Axis; 4]> = SmallVec::with_capacity(self.axes.len());
        for (axis, (&start, &step)) in starts.iter().zip(steps).enumerate() {
            match self.axes_of(axis) {
                &[Axis { stride, .. }] => {
                    // What is empty may begin behind the last element, and has no place.
                    if shape[axis] > 0 {
                        offset = offset.wrapping_add_signed(start as isize * stride);
                    }
                    axes.push(Axis { extent: shape[axis], stride: stride * step });
                }
                group if start == 0 && step == 1 && shape[axis] == self.shape[axis] => axes.extend_from_slice(group),
                _ => return None,
            }
        }
        Some(Layout { base: self.base, offset, form: Form::new(shape.clone(), axes, self.ends.clone()) })
    }

    /// From the end to the beginning along some axes.
    pub(crate) fn flipped(&self, axes: AxisSet) -> Self {
        let mut flipped = self.axes.clone();
        let mut offset = self.offset;
        for axis in axes.iter() {
            let begin = axis.checked_sub(1).map_or(0, |before| self.ends[before]);
            for own in &mut flipped[usize::from(begin)..usize::from(self.ends[axis])] {
                if own.extent > 0 {
                    offset = offset.wrapping_add_signed((own.extent - 1) as isize * own.stride);
                }
                own.stride = -own.stride;
            }
        }
        Layout { base: self.base, offset, form: Form::new(self.shape.clone(), flipped, self.ends.clone()) }
    }

    /// Windows of `extents[i]` elements, `dilations[i]` apart, that slide along `axes[i]` by `steps[i]`, under the shape that they have. None if an axis
    /// that they slide along is several of the buffer's.
    pub(crate) fn windows(
        &self,
        axes: &[usize],
        [extents, steps, dilations]: [&[usize]; 3],
        shape: &Shape,
    ) -> Option<Self> {
        let mut groups: SmallVec<[SmallVec<[Axis; 4]>; 8]> =
            (0..self.shape.rank()).map(|axis| SmallVec::from_slice(self.axes_of(axis))).collect();
        for (place, &axis) in axes.iter().enumerate() {
            let &[Axis { stride, .. }] = self.axes_of(axis) else { return None };
            // The step of one window, and the dilation of one element, may be any number: nothing stands there.
            groups[axis] =
                smallvec::smallvec![Axis { extent: shape[axis], stride: stride.wrapping_mul(steps[place] as isize) }];
            let within = Axis { extent: extents[place], stride: stride.wrapping_mul(dilations[place] as isize) };
            groups.push(smallvec::smallvec![within]);
        }
        Some(Layout::of_groups(self.base, shape.clone(), groups.into_iter(), self.offset))
    }

    /// The same elements under another shape, if axes of the buffer can say it: an axis of the new shape is a whole number of them, or
    /// part of one. It is plain where they are evenly spaced.
    pub(crate) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        // Axes of extent 1 carry no information; what remains are as few axes as there can be.
        let collapsed = Axes::new(self.axes.iter().copied());
        let mut old = collapsed.as_slice().iter().copied();
        let mut next = None;
        let (mut axes, mut ends): (SmallVec<[Axis; 4]>, SmallVec<[u8; 8]>) = Default::default();
        for &extent in shape.iter() {
            let mut left = extent;
            if left == 1 {
                axes.push(Axis { extent: 1, stride: 0 });
            }
            while left != 1 {
                let axis: Axis = next.take().or_else(|| old.next())?;
                if axis.extent == 0 || left == 0 {
                    return None;
                } else if left.is_multiple_of(axis.extent) {
                    axes.push(axis);
                    left /= axis.extent;
                } else if axis.extent.is_multiple_of(left) {
                    let inner = axis.extent / left;
                    axes.push(Axis { extent: left, stride: axis.stride * inner as isize });
                    next = Some(Axis { extent: inner, ..axis });
                    left = 1;
                } else {
                    return None;
                }
            }
            ends.push(axes.len() as u8);
        }
        let is_short = axes.iter().filter(|axis| axis.extent > 1).count() <= MAX_RANK;
        is_short.then(|| Layout { base: self.base, offset: self.offset, form: Form::new(shape.clone(), axes, ends) })
    }

    #[cfg(test)]
    fn strides(&self) -> Vec<isize> {
        self.axes.iter().map(|axis| axis.stride).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(layout: &Layout, shape: &[usize]) -> Vec<isize> {
        let reshaped = layout.reshaped(&Shape::from(shape)).expect("axes can say it");
        assert!(reshaped.is_plain());
        reshaped.strides()
    }

    fn places(layout: &Layout) -> Vec<usize> {
        let view = layout.view();
        (0..view.elements()).map(|index| view.position(index)).collect()
    }

    #[test]
    fn reshapes_what_strides_can_say() {
        let base = Layout::contiguous(0, &Shape::from([4, 6]));
        assert_eq!(plain(&base, &[2, 2, 1, 3, 2]), [12, 6, 0, 2, 1]);
        assert_eq!(plain(&base.permuted(&[1, 0]), &[2, 3, 4]), [3, 1, 6]);
    }

    #[test]
    fn an_axis_may_be_several_of_the_buffer() {
        let transposed = Layout::contiguous(0, &Shape::from([4, 6])).permuted(&[1, 0]);
        for shape in [&[24][..], &[3, 8], &[12, 2], &[2, 12], &[1, 24], &[2, 3, 2, 2]] {
            let reshaped = transposed.reshaped(&Shape::from(shape)).expect("factors of 6 and 4");
            assert_eq!(places(&reshaped), places(&transposed), "{shape:?}");
            let products: Vec<usize> =
                (0..shape.len()).map(|axis| reshaped.axes_of(axis).iter().map(|axis| axis.extent).product()).collect();
            assert_eq!(products, shape);
            let back = reshaped.reshaped(&Shape::from([6, 4])).expect("as it was");
            assert!(back == transposed, "{shape:?}: {back:?}");
        }
        let flat = transposed.reshaped(&Shape::from([24])).expect("two axes as one");
        assert!(!flat.is_plain());
        assert_eq!(flat.axes_of(0), [Axis { extent: 6, stride: 1 }, Axis { extent: 4, stride: 6 }]);
        // 6 and 4 have no such parts, and parts of several axes as one are no axes.
        assert!(
            Layout::contiguous(0, &Shape::from([4, 9])).permuted(&[1, 0]).reshaped(&Shape::from([2, 18])).is_none()
        );
        assert!(flat.sliced(&[1], &[1], &Shape::from([20])).is_none());
        assert_eq!(flat.sliced(&[0], &[1], &Shape::from([24])), Some(flat.clone()));
        let repeated = flat.reshaped(&Shape::from([1, 24])).expect("one more axis").broadcast(&Shape::from([2, 24]));
        assert_eq!(places(&repeated), [places(&flat), places(&flat)].concat());
    }

    #[test]
    fn slices_go_backwards() {
        let base = Layout::contiguous(0, &Shape::from([4, 6]));
        let flipped = base.sliced(&[3, 5], &[-1, -1], &Shape::from([4, 6])).expect("plain");
        assert_eq!((flipped.offset, flipped.strides()), (23, vec![-6, -1]));
        assert_eq!(plain(&flipped, &[24]), [-1]);
        let again = flipped.sliced(&[0, 5], &[2, -2], &Shape::from([2, 3])).expect("plain");
        assert_eq!((again.offset, again.strides()), (18, vec![-12, 2]));
        assert!(!flipped.is_contiguous());
    }

    #[test]
    fn windows_overlap() {
        let base = Layout::contiguous(0, &Shape::from([2, 7]));
        let windows = base.windows(&[1], [&[3], &[2], &[1]], &Shape::from([2, 3, 3])).expect("plain");
        assert_eq!(windows.strides(), [7, 2, 1]);
        assert_eq!(places(&windows)[..9], [0, 1, 2, 2, 3, 4, 4, 5, 6]);
        assert!(!windows.is_contiguous());
        let flipped = windows.flipped([0, 2].into_iter().collect());
        assert_eq!(places(&flipped)[..6], [9, 8, 7, 11, 10, 9]);
        // A flip of an axis that is several of the buffer's flips all of them.
        let joined = windows.reshaped(&Shape::from([2, 9])).expect("two axes as one");
        let reversed: Vec<usize> = places(&joined)[..9].iter().rev().copied().collect();
        assert_eq!(places(&joined.flipped([1].into_iter().collect()))[..9], reversed);
        assert!(joined.windows(&[1], [&[3], &[1], &[1]], &Shape::from([2, 7, 3])).is_none());
    }

    #[test]
    fn repeated_rows_merge_only_with_themselves() {
        let rows = Layout::contiguous(0, &Shape::from([3])).broadcast(&Shape::from([5, 3]));
        assert_eq!(rows.strides(), [0, 1]);
        assert!(!rows.reshaped(&Shape::from([15])).expect("two axes as one").is_plain());
        let column = Layout::contiguous(0, &Shape::from([3, 1])).broadcast(&Shape::from([3, 4]));
        assert_eq!(plain(&column, &[3, 2, 2]), [1, 0, 0]);
    }
}
