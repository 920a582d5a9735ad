//! How the updates of a scatter-add fall into units that share one index, and which places of the result they go to.

use arenagrad_graph::Shape;

use crate::view::{Axis, View};

/// The updates of a scatter-add as units: elements side by side that follow one index to elements of the result that lie
/// side by side too. A look-up of embeddings has a unit for each row; where each element has an index of its own, it is a
/// unit.
///
/// Units are counted row-major over `[outer, count, inner]`: `count` along the indexed axis, `outer` before and `inner` after
/// it. They go to places, counted row-major over `[outer, extent, inner]`, so unit `(o, j, i)` of index `x` goes to place
/// `(o, x, i)`. Elements of the result at other coordinates than the updates have belong to no place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Units {
    /// The elements of a unit.
    pub(crate) width: usize,
    /// Units before the axis.
    pub(crate) outer: usize,
    /// Units along the axis.
    pub(crate) count: usize,
    /// Units after the axis.
    pub(crate) inner: usize,
    /// The extent of the result along the axis.
    pub(crate) extent: usize,
    /// Where each place begins in the result.
    pub(crate) places: View,
    /// Where the index of each unit stands.
    pub(crate) indices: View,
    /// How many of the axes belong to units and places; those after them are within a unit.
    pub(crate) rank: usize,
}

impl Units {
    /// The units of updates whose indices lie as `indices` says over the updates' domain.
    pub(crate) fn new(operand_shape: &Shape, updates_shape: &Shape, axis: usize, indices: &View) -> Units {
        let strides = operand_shape.strides();
        let repeated = match indices.axes().last() {
            None => 1,
            Some(inner) if inner.stride == 0 => inner.extent,
            Some(_) => 1,
        };
        let (mut width, mut rank) = (1, updates_shape.rank());
        if updates_shape.elements() > 0 {
            // An axis joins if all units would keep their elements side by side in the result, and one index each.
            while rank > axis + 1
                && strides[rank - 1] == width
                && repeated.is_multiple_of(width * updates_shape[rank - 1])
            {
                width *= updates_shape[rank - 1];
                rank -= 1;
            }
        }
        let product = |axes: std::ops::Range<usize>| axes.map(|other| updates_shape[other]).product::<usize>();
        let places = (0..rank).map(|other| {
            let extent = if other == axis { operand_shape[axis] } else { updates_shape[other] };
            Axis { extent, stride: strides[other] as isize }
        });
        let per_unit = indices.axes().iter().enumerate().map(|(place, axis)| {
            let last = place + 1 == indices.axes().len();
            Axis { extent: if last && width > 1 { axis.extent / width } else { axis.extent }, stride: axis.stride }
        });
        Units {
            width,
            outer: product(0..axis),
            count: updates_shape[axis],
            inner: product(axis + 1..rank),
            extent: operand_shape[axis],
            places: View::new(places, 0),
            indices: View::new(per_unit, indices.offset()),
            rank,
        }
    }

    /// How many units there are.
    pub(crate) fn units(&self) -> usize {
        self.outer.saturating_mul(self.count).saturating_mul(self.inner)
    }

    /// How many coordinates along the axis and before it there are in the result: the places of each follow one another.
    pub(crate) fn rows(&self) -> usize {
        self.outer.saturating_mul(self.extent)
    }

    /// How many places they can go to.
    pub(crate) fn places(&self) -> usize {
        self.outer.saturating_mul(self.extent).saturating_mul(self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(extent: usize, stride: isize) -> Axis {
        Axis { extent, stride }
    }

    #[test]
    fn rows_with_one_index_are_units() {
        let rows = View::new([axis(5, 1), axis(12, 0)], 3);
        let units = Units::new(&[9, 3, 4].into(), &[5, 3, 4].into(), 0, &rows);
        assert_eq!((units.width, units.units(), units.places()), (12, 5, 9));
        assert_eq!(units.indices, View::new([axis(5, 1)], 3));
        assert_eq!(units.places, View::new([axis(9, 12)], 0));
        // A narrower update leaves part of each row: the rows of the last axis are units, of three a unit of the first.
        let units = Units::new(&[9, 3, 5].into(), &[5, 3, 4].into(), 0, &rows);
        assert_eq!((units.width, units.outer, units.count, units.inner), (4, 1, 5, 3));
        assert_eq!((0..4).map(|place| units.places.position(place)).collect::<Vec<_>>(), [0, 5, 10, 15]);
        assert_eq!((0..4).map(|unit| units.indices.position(unit)).collect::<Vec<_>>(), [3, 3, 3, 4]);
    }

    #[test]
    fn elements_with_indices_of_their_own_are_units() {
        let units = Units::new(&[2, 7, 3].into(), &[2, 4, 3].into(), 1, &View::contiguous(24));
        assert_eq!((units.width, units.outer, units.count, units.inner), (1, 2, 4, 3));
        assert_eq!((units.units(), units.places()), (24, 42));
        // Along the last axis each update has its own place, also where all go to the same.
        let same = View::new([axis(8, 0)], 0);
        let units = Units::new(&[2, 7].into(), &[2, 4].into(), 1, &same);
        assert_eq!((units.width, units.units(), units.places()), (1, 8, 14));
    }
}
