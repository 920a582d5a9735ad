//! Shapes, broadcasting by NumPy's rules, and sets of axes.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// The largest rank (number of axes) that a tensor may have.
pub const MAX_RANK: usize = 16;

/// The extents of a tensor's axes, outermost first. Rank 0 is a scalar with one element.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Self {
        Shape::default()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The extents, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// The number of elements, or `None` when it does not fit in a `usize`.
    pub fn checked_elements(&self) -> Option<usize> {
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
    }

    /// The number of elements, or the largest `usize` where it does not fit into one, as it does for any node of a graph:
    /// [`Shape::checked_elements`] tells the two apart.
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(usize::MAX)
    }

    /// Row-major strides in elements: `[2, 3, 4]` has `[12, 4, 1]`. One that does not fit in a `usize` is the largest that does.
    pub fn strides(&self) -> SmallVec<[usize; 4]> {
        let mut strides: SmallVec<[usize; 4]> = smallvec::smallvec![1; self.rank()];
        for axis in (0..self.rank().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1].saturating_mul(self.0[axis + 1]);
        }
        strides
    }

    /// The shape that both broadcast to by NumPy's rules: aligned at the last axis, extents equal or one of them 1.
    /// `Err` holds the two extents that disagree.
    pub fn broadcast(&self, other: &Shape) -> Result<Shape, (usize, usize)> {
        let rank = self.rank().max(other.rank());
        let mut dims = SmallVec::with_capacity(rank);
        for axis in 0..rank {
            let extent = |shape: &Shape| match (axis + shape.rank()).checked_sub(rank) {
                Some(own) => shape.0[own],
                None => 1,
            };
            dims.push(match (extent(self), extent(other)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                disagree => return Err(disagree),
            });
        }
        Ok(Shape(dims))
    }

    /// The axes that must be summed to go from `self` back to `source`, which broadcasts to `self`: those that `source`
    /// lacks, and those where it has extent 1 and `self` has not.
    pub(crate) fn broadcast_axes(&self, source: &Shape) -> AxisSet {
        let missing = self.rank() - source.rank();
        let mut axes = AxisSet::empty();
        for axis in 0..self.rank() {
            if axis < missing || (source.0[axis - missing] == 1 && self.0[axis] != 1) {
                axes.insert(axis);
            }
        }
        axes
    }

    /// This shape with the extents of `axes` made 1.
    pub fn reduced(&self, axes: AxisSet) -> Shape {
        Shape(self.0.iter().enumerate().map(|(axis, &n)| if axes.contains(axis) { 1 } else { n }).collect())
    }

    /// This shape without `axes`.
    pub fn without(&self, axes: AxisSet) -> Shape {
        Shape(self.0.iter().enumerate().filter(|(axis, _)| !axes.contains(*axis)).map(|(_, &n)| n).collect())
    }

    /// This shape with the extent of one of its axes replaced.
    pub(crate) fn with_extent(&self, axis: usize, extent: usize) -> Shape {
        let mut dims = self.0.clone();
        dims[axis] = extent;
        Shape(dims)
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{extent}")?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape(SmallVec::from_slice(dims))
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Shape(SmallVec::from_vec(dims))
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(SmallVec::from_slice(&dims))
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    fn from(dims: &[usize; N]) -> Self {
        Shape(SmallVec::from_slice(dims))
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Shape(dims.into_iter().collect())
    }
}

/// A set of axes. Those of tensors are below [`MAX_RANK`]; of the others it keeps the least, so that whoever takes a set can
/// say which axis no tensor has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AxisSet {
    /// A bit for each axis below [`MAX_RANK`].
    axes: u16,
    /// The least axis at or past [`MAX_RANK`], or the largest `u32` if it is larger yet; 0 if there is none.
    beyond: u32,
}

impl AxisSet {
    /// No axis.
    pub fn empty() -> Self {
        AxisSet::default()
    }

    /// All axes of a tensor of that rank.
    pub fn all(rank: usize) -> Self {
        (0..rank.min(MAX_RANK + 1)).collect()
    }

    /// Adds an axis.
    pub fn insert(&mut self, axis: usize) {
        if axis < MAX_RANK {
            self.axes |= 1 << axis;
        } else {
            let axis = u32::try_from(axis).unwrap_or(u32::MAX);
            self.beyond = if self.beyond == 0 { axis } else { self.beyond.min(axis) };
        }
    }

    /// Whether the axis is in the set.
    pub fn contains(self, axis: usize) -> bool {
        if axis < MAX_RANK { self.axes & (1 << axis) != 0 } else { self.beyond() == Some(axis) }
    }

    /// Whether no axis is in the set.
    pub fn is_empty(self) -> bool {
        self == AxisSet::empty()
    }

    /// The number of axes in the set, of which those that no tensor has count once.
    pub fn len(self) -> usize {
        self.axes.count_ones() as usize + usize::from(self.beyond != 0)
    }

    /// The axes in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_RANK).filter(move |&axis| self.axes & (1 << axis) != 0).chain(self.beyond())
    }

    /// The axis that no tensor has, if there is one.
    fn beyond(self) -> Option<usize> {
        if self.beyond == 0 { None } else { Some(self.beyond as usize) }
    }
}

impl FromIterator<usize> for AxisSet {
    fn from_iter<I: IntoIterator<Item = usize>>(axes: I) -> Self {
        let mut set = AxisSet::empty();
        axes.into_iter().for_each(|axis| set.insert(axis));
        set
    }
}

impl fmt::Display for AxisSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.iter().collect::<Shape>(), f)
    }
}

impl fmt::Debug for AxisSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
