//! How the elements of a domain lie in a buffer.

use smallvec::SmallVec;

/// One axis of a [`View`]: how many positions, and how far apart in the buffer, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// The number of positions along the axis.
    pub extent: usize,
    /// The distance in elements between neighbours; 0 repeats one element.
    pub stride: usize,
}

/// A map from the flat, row-major index of a domain to an element of a buffer.
///
/// The axes are outermost first and their extents multiply to the domain's size. Domain index `i` has coordinates
/// `c[a]` by row-major division, and stands at `offset + sum(c[a] * axes[a].stride)`. A view is kept *collapsed*: axes of
/// extent 1 are dropped and neighbours that continue each other are merged, so a contiguous view has one axis of stride 1
/// and a broadcast scalar one axis of stride 0 (or none, for a domain of one element).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    axes: SmallVec<[Axis; 4]>,
    offset: usize,
    elements: usize,
}

impl View {
    /// The elements `0..elements` in order.
    pub fn contiguous(elements: usize) -> Self {
        View::new([Axis { extent: elements, stride: 1 }], 0)
    }

    /// The axes outermost first, and where the first element stands. The view is collapsed.
    pub fn new(axes: impl IntoIterator<Item = Axis>, offset: usize) -> Self {
        let mut collapsed: SmallVec<[Axis; 4]> = SmallVec::new();
        let mut elements = 1usize;
        for axis in axes {
            elements = elements.saturating_mul(axis.extent);
            if axis.extent == 1 {
                continue;
            }
            match collapsed.last_mut() {
                Some(outer) if outer.stride == axis.stride * axis.extent => {
                    *outer = Axis { extent: outer.extent * axis.extent, stride: axis.stride };
                }
                Some(_) | None => collapsed.push(axis),
            }
        }
        if elements == 0 {
            collapsed.clear();
            collapsed.push(Axis { extent: 0, stride: 1 });
        }
        View { axes: collapsed, offset, elements }
    }

    /// The collapsed axes, outermost first.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Where the domain's first element stands in the buffer.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The size of the domain.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Whether domain index `i` stands at `i`: the buffer is read from its start, in order.
    pub fn is_contiguous(&self) -> bool {
        self.offset == 0
            && match self.axes.as_slice() {
                [] => true,
                [axis] => axis.stride == 1,
                _ => false,
            }
    }

    /// Whether every domain index stands at the same element.
    pub fn is_scalar(&self) -> bool {
        self.axes.iter().all(|axis| axis.stride == 0)
    }

    /// Where domain index `index` stands in the buffer.
    pub fn position(&self, mut index: usize) -> usize {
        let mut position = self.offset;
        for axis in self.axes.iter().rev() {
            position += index % axis.extent * axis.stride;
            index /= axis.extent;
        }
        position
    }

    /// One past the largest buffer element that the view touches; 0 for an empty domain.
    pub fn end(&self) -> usize {
        if self.elements == 0 {
            return 0;
        }
        self.offset + self.axes.iter().map(|axis| (axis.extent - 1) * axis.stride).sum::<usize>() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(extent: usize, stride: usize) -> Axis {
        Axis { extent, stride }
    }

    #[test]
    fn collapses_what_continues() {
        assert_eq!(View::new([axis(2, 12), axis(3, 4), axis(4, 1)], 0), View::contiguous(24));
        assert_eq!(View::new([axis(2, 0), axis(1, 9), axis(3, 0)], 5).axes(), [axis(6, 0)]);
        let transposed = View::new([axis(3, 1), axis(2, 3)], 0);
        assert_eq!((0..6).map(|i| transposed.position(i)).collect::<Vec<_>>(), [0, 3, 1, 4, 2, 5]);
        assert!(!transposed.is_contiguous() && transposed.end() == 6);
    }

    #[test]
    fn empty_and_single() {
        let empty = View::new([axis(0, 3), axis(4, 1)], 0);
        assert_eq!((empty.elements(), empty.end()), (0, 0));
        let single = View::new([axis(1, 3), axis(1, 1)], 7);
        assert!(single.is_scalar() && single.position(0) == 7 && single.end() == 8);
    }
}
