//! Regions: evenly spaced elements of a tensor, as a slice takes them, and where they stand behind a view.

use crate::op::Extents;
use crate::shape::{AxisSet, Shape};

/// Elements `starts[a] + j * steps[a]` for `j` below `extents[a]`, along each axis `a`. A step along an axis of one element
/// is 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Region {
    pub(crate) starts: Extents,
    pub(crate) steps: Extents,
    pub(crate) extents: Extents,
}

impl Region {
    /// What a slice of that result takes.
    pub(crate) fn of_slice(starts: &Extents, steps: &Extents, shape: &Shape) -> Region {
        let extents: Extents = shape.iter().copied().collect();
        // A step that is never taken may be out of all proportion.
        let steps = steps.iter().zip(&extents).map(|(&step, &extent)| if extent <= 1 { 1 } else { step }).collect();
        Region { starts: starts.clone(), steps, extents }
    }

    /// All of a tensor.
    pub(crate) fn whole(shape: &Shape) -> Region {
        let rank = shape.rank();
        let extents = shape.iter().copied().collect();
        Region { starts: thin_vec::thin_vec![0; rank], steps: thin_vec::thin_vec![1; rank], extents }
    }

    /// The shape of what it takes.
    pub(crate) fn shape(&self) -> Shape {
        self.extents.iter().copied().collect()
    }

    /// Where its elements stand among those of a tensor of that shape, in order.
    pub(crate) fn places(&self, whole: &Shape) -> Vec<usize> {
        let mut places = vec![0];
        for (axis, stride) in whole.strides().into_iter().enumerate() {
            let (start, step) = (self.starts[axis], self.steps[axis]);
            let along = |before: usize| (0..self.extents[axis]).map(move |j| before + (start + j * step) * stride);
            places = places.into_iter().flat_map(along).collect();
        }
        places
    }

    /// This region of the elements that `inner` takes, as one of the tensor that `inner` is of.
    pub(crate) fn within(&self, inner: &Region) -> Region {
        let axes = 0..self.starts.len();
        let start = |axis: usize| inner.starts[axis] + self.starts[axis] * inner.steps[axis];
        let step = |axis: usize| if self.extents[axis] <= 1 { 1 } else { self.steps[axis] * inner.steps[axis] };
        let (starts, steps) = (axes.clone().map(start).collect(), axes.map(step).collect());
        Region { starts, steps, extents: self.extents.clone() }
    }

    /// This region of a tensor whose axis `i` is axis `axes[i]` of another, as one of that.
    pub(crate) fn before_permute(&self, axes: &Extents) -> Region {
        let mut region = self.clone();
        for (position, &axis) in axes.iter().enumerate() {
            region.starts[axis] = self.starts[position];
            region.steps[axis] = self.steps[position];
            region.extents[axis] = self.extents[position];
        }
        region
    }

    /// This region of a tensor of that shape, flipped along `axes`, as the one that is flipped to it.
    pub(crate) fn before_flip(&self, axes: AxisSet, shape: &Shape) -> Region {
        let mut region = self.clone();
        for axis in axes.iter().filter(|&axis| self.extents[axis] > 0) {
            let last = self.starts[axis] + (self.extents[axis] - 1) * self.steps[axis];
            region.starts[axis] = shape[axis] - 1 - last;
        }
        region
    }

    /// This region of a tensor of shape `to`, repeated from one of shape `from`, as the elements of that which it takes.
    pub(crate) fn before_broadcast(&self, from: &Shape, to: &Shape) -> Region {
        let new = to.rank() - from.rank();
        let mut region = Region::whole(from);
        for axis in (0..from.rank()).filter(|&axis| from[axis] == to[axis + new]) {
            region.starts[axis] = self.starts[axis + new];
            region.steps[axis] = self.steps[axis + new];
            region.extents[axis] = self.extents[axis + new];
        }
        region
    }

    /// This region of a tensor that was reduced along `axes`, which keep extent 1, from one of shape `from`, as one of that.
    pub(crate) fn before_reduce(&self, axes: AxisSet, from: &Shape) -> Region {
        let mut region = self.clone();
        for axis in axes.iter() {
            (region.starts[axis], region.steps[axis], region.extents[axis]) = (0, 1, from[axis]);
        }
        region
    }

    /// This region of a matrix product as one of an operand of shape `from`: all along the axis that is summed over, and along the other of its
    /// last two axes, which is the last if `is_last`, what this region takes along `axis`. The axes in front are broadcast.
    pub(crate) fn before_product(&self, axis: usize, is_last: bool, from: &Shape) -> Region {
        let mut region = Region::whole(from);
        let (rank, new) = (from.rank(), self.starts.len() - from.rank());
        let own = if is_last { rank - 1 } else { rank - 2 };
        let in_front = (0..rank - 2).filter(|&axis| from[axis] != 1).map(|axis| (axis, axis + new));
        for (to, of) in in_front.chain([(own, axis)]) {
            region.starts[to] = self.starts[of];
            region.steps[to] = self.steps[of];
            region.extents[to] = self.extents[of];
        }
        region
    }

    /// This region, not empty, of a tensor reshaped from `from` to `to`, as one of the tensor before; `None` if it is no region
    /// there.
    pub(crate) fn before_reshape(&self, from: &Shape, to: &Shape) -> Option<Region> {
        let mut region = Region { starts: Extents::new(), steps: Extents::new(), extents: Extents::new() };
        let (mut old, mut new) = (0, 0);
        while old < from.rank() || new < to.rank() {
            // The next axes of both that have as many elements together.
            let (old_start, new_start) = (old, new);
            let (mut old_count, mut new_count) = (1usize, 1usize);
            while old_count != new_count || (old == old_start && new == new_start) {
                if new == to.rank() || (old < from.rank() && old_count <= new_count) {
                    old_count *= from.get(old)?;
                    old += 1;
                } else {
                    new_count *= to.get(new)?;
                    new += 1;
                }
            }
            self.regroup(&from[old_start..old], &to[new_start..new], new_start, &mut region)?;
        }
        Some(region)
    }

    /// Appends to `region` what this one, along the axes from `first` on of extents `to`, takes of axes of extents `from`.
    fn regroup(&self, from: &[usize], to: &[usize], first: usize, region: &mut Region) -> Option<()> {
        let axes = first..first + to.len();
        let mut push = |start: usize, step: usize, extent: usize| {
            region.starts.push(start);
            region.steps.push(if extent <= 1 { 1 } else { step });
            region.extents.push(extent);
        };
        if axes.clone().zip(to).all(|(axis, extent)| self.extents[axis] == *extent) {
            from.iter().for_each(|&extent| push(0, 1, extent));
            return Some(());
        }
        // One long axis on either side, and others of one element.
        let long = |extents: &[usize]| extents.iter().filter(|extent| **extent != 1).count();
        if long(from) == 1 && long(to) == 1 {
            let axis = first + to.iter().position(|&extent| extent != 1)?;
            for &extent in from {
                match extent {
                    1 => push(0, 1, 1),
                    _ => push(self.starts[axis], self.steps[axis], self.extents[axis]),
                }
            }
            return Some(());
        }
        // What stands in one row of elements, from `start` on.
        let (mut start, mut count, mut is_run) = (0, 1, true);
        for axis in axes {
            let (extent, own) = (to[axis - first], self.extents[axis]);
            // Before an axis of which a part is taken one element may be taken of each, behind it all.
            is_run &= count == 1 || own == extent;
            is_run &= own <= 1 || self.steps[axis] == 1;
            start = start * extent + self.starts[axis];
            count *= own;
        }
        if !is_run {
            return None;
        }
        let mut stride: usize = from.iter().product();
        for &extent in from {
            stride /= extent;
            // Whole slices of this axis, or less than one of them.
            if count >= stride && (count % stride != 0 || start % stride != 0) {
                return None;
            }
            let (place, taken) = (start / stride, (count / stride).max(1));
            if place + taken > extent || (count < stride && start % stride + count > stride) {
                return None;
            }
            push(place, 1, taken);
            (start, count) = if count >= stride { (0, stride) } else { (start % stride, count) };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every region of one shape that another can say, and only those: as many as were counted by hand, each with the same
    /// elements in the same order.
    #[test]
    fn a_region_behind_a_reshape_takes_the_same_elements() {
        for (from, to, least) in [
            (vec![6], vec![2, 3], 12),
            (vec![2, 3], vec![6], 12),
            (vec![4, 1, 3], vec![4, 3], 60),
            (vec![4, 3], vec![1, 4, 1, 3], 60),
            (vec![2, 6], vec![4, 3], 20),
            (vec![12], vec![2, 2, 3], 25),
            (vec![2, 2, 3], vec![12], 20),
        ] {
            let (from, to) = (Shape::from(from), Shape::from(to));
            let mut said = 0;
            let mut regions = vec![Region { starts: Extents::new(), steps: Extents::new(), extents: Extents::new() }];
            for &extent in to.iter() {
                let mut next = Vec::new();
                for region in &regions {
                    for start in 0..extent {
                        for step in 1..3 {
                            for count in (1..=(extent - start).div_ceil(step)).filter(|&count| count > 1 || step == 1) {
                                let mut region = region.clone();
                                region.starts.push(start);
                                region.steps.push(step);
                                region.extents.push(count);
                                next.push(region);
                            }
                        }
                    }
                }
                regions = next;
            }
            for region in regions {
                if let Some(before) = region.before_reshape(&from, &to) {
                    assert_eq!(before.places(&from), region.places(&to), "{region:?} of {to}, {from} before");
                    said += 1;
                }
            }
            assert!(said >= least, "{said} regions of {to} in {from}");
        }
    }
}
