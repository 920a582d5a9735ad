//! How the elements of a domain lie in a buffer.

use smallvec::SmallVec;

/// One axis of a [`View`]: how many positions, and how far apart in the buffer, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// The number of positions along the axis.
    pub extent: usize,
    /// The distance in elements from one position to the next: 0 repeats one element, one below 0 goes back through the buffer.
    pub stride: isize,
}

/// Some axes as one: positions in row-major order, each a distance away from the first.
///
/// The axes are outermost first and their extents multiply to the number of positions. They are kept *collapsed*: axes of
/// extent 1 are dropped and neighbours that continue each other are merged, so what is evenly spaced has one axis, and what is
/// a single position has none. Strides may be such that several positions are the same element, as where windows overlap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axes {
    /// Most have one, and a plan has a view for each of its reads: room for more would be the most of what plans take.
    axes: SmallVec<[Axis; 1]>,
    count: usize,
}

impl Axes {
    /// The axes, outermost first.
    pub fn new(axes: impl IntoIterator<Item = Axis>) -> Self {
        let mut collapsed: SmallVec<[Axis; 1]> = SmallVec::new();
        let mut count = 1usize;
        for axis in axes {
            count = count.saturating_mul(axis.extent);
            if axis.extent == 1 {
                continue;
            }
            match collapsed.last_mut() {
                Some(outer) if outer.stride == axis.stride.wrapping_mul(axis.extent as isize) => {
                    *outer = Axis { extent: outer.extent * axis.extent, stride: axis.stride };
                }
                Some(_) | None => collapsed.push(axis),
            }
        }
        if count == 0 {
            collapsed.clear();
            collapsed.push(Axis { extent: 0, stride: 1 });
        }
        Axes { axes: collapsed, count }
    }

    /// `extent` positions, `stride` apart.
    pub fn strided(extent: usize, stride: isize) -> Self {
        Axes::new([Axis { extent, stride }])
    }

    /// The collapsed axes, outermost first.
    pub fn as_slice(&self) -> &[Axis] {
        &self.axes
    }

    /// The number of positions.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How far apart neighbouring positions are, if all are equally far apart; 0 for a single one.
    pub fn stride(&self) -> Option<isize> {
        match self.axes.as_slice() {
            [] => Some(0),
            [axis] => Some(axis.stride),
            _ => None,
        }
    }

    /// [`Axes::stride`], if it does not go back.
    pub(crate) fn forward_stride(&self) -> Option<usize> {
        self.stride().and_then(|stride| usize::try_from(stride).ok())
    }

    /// Whether neighbouring positions are neighbouring elements, in order; so is a single one.
    pub fn is_unit(&self) -> bool {
        self.axes.is_empty() || self.stride() == Some(1)
    }

    /// Whether all positions are one element.
    pub fn is_repeated(&self) -> bool {
        self.axes.iter().all(|axis| axis.stride == 0)
    }

    /// How far position `index` is from the first.
    pub fn distance(&self, mut index: usize) -> isize {
        let mut distance = 0;
        for axis in self.axes.iter().rev() {
            distance += (index % axis.extent) as isize * axis.stride;
            index /= axis.extent;
        }
        distance
    }

    /// The distances of the positions that lie furthest before the first and furthest after it; 0 and 0 if there is none.
    pub fn reach(&self) -> (isize, isize) {
        if self.count == 0 {
            return (0, 0);
        }
        self.axes.iter().fold((0, 0), |(before, after), axis| {
            let last = (axis.extent - 1) as isize * axis.stride;
            (before + last.min(0), after + last.max(0))
        })
    }
}

/// A map from the flat, row-major index of a domain to an element of a buffer.
///
/// The domain has [`Axes`], and its first element stands at the offset: domain index `i` has coordinates
/// `c[a]` by row-major division, and stands at `offset + sum(c[a] * axes[a].stride)`, which is never below 0. A contiguous view has
/// one axis of stride 1 and a broadcast scalar one axis of stride 0 (or none, for a domain of one element). An element of the buffer may
/// stand at several domain indices, so only what writes to distinct ones writes through a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    axes: Axes,
    offset: usize,
}

impl View {
    /// The elements `0..elements` in order.
    pub fn contiguous(elements: usize) -> Self {
        View::new([Axis { extent: elements, stride: 1 }], 0)
    }

    /// The axes outermost first, and where the first element stands. The view is collapsed.
    pub fn new(axes: impl IntoIterator<Item = Axis>, offset: usize) -> Self {
        View { axes: Axes::new(axes), offset }
    }

    /// The collapsed axes, outermost first.
    pub fn axes(&self) -> &[Axis] {
        self.axes.as_slice()
    }

    /// Where the domain's first element stands in the buffer.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The size of the domain.
    pub fn elements(&self) -> usize {
        self.axes.count()
    }

    /// Whether domain index `i` stands at `i`: the buffer is read from its start, in order.
    pub fn is_contiguous(&self) -> bool {
        self.offset == 0 && self.axes.is_unit()
    }

    /// Whether every domain index stands at the same element.
    pub fn is_scalar(&self) -> bool {
        self.axes.is_repeated()
    }

    /// Where domain index `index` stands in the buffer.
    pub fn position(&self, index: usize) -> usize {
        self.offset.wrapping_add_signed(self.axes.distance(index))
    }

    /// The smallest buffer element that the view touches, which is the offset where no stride is below 0; 0 for an empty domain.
    pub fn begin(&self) -> usize {
        if self.elements() == 0 { 0 } else { self.offset.saturating_add_signed(self.axes.reach().0) }
    }

    /// One past the largest buffer element that the view touches; 0 for an empty domain.
    pub fn end(&self) -> usize {
        if self.elements() == 0 { 0 } else { self.offset.saturating_add_signed(self.axes.reach().1) + 1 }
    }

    /// The most distinct elements that the view can touch: those of its axes that repeat none, and no more than lie between the
    /// first and the last.
    pub fn distinct(&self) -> usize {
        let moving = self.axes().iter().filter(|axis| axis.stride != 0);
        let count = moving.fold(1usize, |product, axis| product.saturating_mul(axis.extent));
        count.min(self.end() - self.begin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(extent: usize, stride: isize) -> Axis {
        Axis { extent, stride }
    }

    fn positions(view: &View) -> Vec<usize> {
        (0..view.elements()).map(|index| view.position(index)).collect()
    }

    #[test]
    fn collapses_what_continues() {
        assert_eq!(View::new([axis(2, 12), axis(3, 4), axis(4, 1)], 0), View::contiguous(24));
        assert_eq!(View::new([axis(2, 0), axis(1, 9), axis(3, 0)], 5).axes(), [axis(6, 0)]);
        let transposed = View::new([axis(3, 1), axis(2, 3)], 0);
        assert_eq!(positions(&transposed), [0, 3, 1, 4, 2, 5]);
        assert!(!transposed.is_contiguous() && transposed.end() == 6);
    }

    #[test]
    fn empty_and_single() {
        let empty = View::new([axis(0, 3), axis(4, 1)], 0);
        assert_eq!((empty.elements(), empty.begin(), empty.end(), empty.distinct()), (0, 0, 0, 0));
        let single = View::new([axis(1, 3), axis(1, -1)], 7);
        assert!(single.is_scalar() && single.position(0) == 7 && (single.begin(), single.end()) == (7, 8));
    }

    #[test]
    fn strides_below_zero_go_back() {
        let flipped = View::new([axis(2, -3), axis(3, -1)], 5);
        assert_eq!(flipped.axes(), [axis(6, -1)]);
        assert_eq!(positions(&flipped), [5, 4, 3, 2, 1, 0]);
        assert!(!flipped.is_contiguous() && (flipped.begin(), flipped.end(), flipped.distinct()) == (0, 6, 6));
        let half = View::new([axis(2, 4), axis(4, -1)], 3);
        assert_eq!(positions(&half), [3, 2, 1, 0, 7, 6, 5, 4]);
        assert_eq!((half.axes().len(), half.begin(), half.end()), (2, 0, 8));
    }

    #[test]
    fn windows_share_elements() {
        let windows = View::new([axis(4, 1), axis(3, 1)], 2);
        assert_eq!(positions(&windows), [2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7]);
        assert!(!windows.is_contiguous() && !windows.is_scalar());
        assert_eq!((windows.begin(), windows.end(), windows.distinct()), (2, 8, 6));
        // Side by side they are the elements in order.
        assert_eq!(View::new([axis(4, 3), axis(3, 1)], 0), View::contiguous(12));
    }
}
