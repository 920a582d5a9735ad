//! Parts of a tensor: elements, slices and rows. Each part is a tensor of its own.

use arenagrad_graph::{AxisIndex, AxisIndices, Position, Shape};

use crate::error::Error;
use crate::tensor::{Tensor, TensorError};

/// A part of an axis.
struct Part {
    start: usize,
    count: usize,
    step: usize,
}

/// Parts, by positions from 0 on; negative ones count from the end. All of them are copies.
impl Tensor {
    /// The element at a place of as many positions as there are axes, as `f64`: `t.get([i, j])`.
    ///
    /// Errors: [`TensorError::PositionCount`], [`TensorError::Position`].
    ///
    /// ```
    /// use arenagrad::Tensor;
    ///
    /// let t = Tensor::from([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!((t.get([1, 0])?, t.get([0, -1])?), (3.0, 2.0));
    /// assert!(t.get([2, 0]).is_err());
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn get<P: Position + Copy>(&self, place: impl AsRef<[P]>) -> Result<f64, Error> {
        let place = place.as_ref();
        if place.len() != self.shape.rank() {
            let shape = self.shape.clone();
            return Err(TensorError::PositionCount { method: "get", found: place.len(), shape }.into());
        }
        let mut element = 0;
        for (axis, (position, stride)) in place.iter().zip(self.shape.strides()).enumerate() {
            element += self.position("get", axis, position.position())? * stride;
        }
        self.data
            .get(element)
            .ok_or_else(|| TensorError::NoElements { method: "get", shape: self.shape.clone() }.into())
    }

    /// What is at one position of the first axis, without that axis: a row of a matrix, a matrix of a batch.
    pub fn at(&self, position: impl Position) -> Result<Tensor, Error> {
        self.select("at", 0, position.position())
    }

    /// What is at one position of an axis, without that axis, as [`Expr::select_index`](crate::Expr::select_index).
    pub fn select_index(&self, axis: isize, index: impl Position) -> Result<Tensor, Error> {
        self.select("select_index", axis, index.position())
    }

    /// Elements `start..end` along one axis. Negative axes and positions count from the end: `t.slice(0, -3, -1)` is the last three rows but
    /// the last. See [`Tensor::index`] for a range up to the end.
    ///
    /// Errors: [`TensorError::Axis`]; [`TensorError::Range`] for a range that is not within the axis or that runs back.
    pub fn slice(&self, axis: isize, start: impl Position, end: impl Position) -> Result<Tensor, Error> {
        let axis = self.axis("slice", axis)?;
        let range = AxisIndex::Range { start: start.position(), end: Some(end.position()), step: 1 };
        self.parts("slice", axis, &[range])
    }

    /// The part that each of the first axes is indexed by: a position, after which the axis falls away, or a range. Axes behind
    /// them stay whole, as in [`Expr::index`](crate::Expr::index); so do those of [`AxisIndex::Ellipsis`], and [`AxisIndex::NewAxis`] is one more.
    ///
    /// Errors: [`TensorError::PositionCount`], [`TensorError::Position`], [`TensorError::Range`], [`TensorError::Ellipses`].
    ///
    /// ```
    /// use arenagrad::{AxisIndex, Tensor};
    ///
    /// let t = Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    /// assert_eq!(t.index((.., 1..))?, Tensor::from([[2.0, 3.0], [5.0, 6.0]]));
    /// assert_eq!(t.index((-1, ..2))?, Tensor::from([4.0, 5.0]));
    /// assert_eq!(t.index((AxisIndex::Ellipsis, 0, AxisIndex::NewAxis))?, Tensor::from([[1.0], [4.0]]));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn index(&self, indices: impl AxisIndices) -> Result<Tensor, Error> {
        let indices = indices.list();
        let Some(expanded) = AxisIndex::without_ellipsis(&indices, self.shape.rank()) else {
            let found = indices.iter().filter(|&&index| index == AxisIndex::Ellipsis).count();
            return Err(TensorError::Ellipses { method: "index", found }.into());
        };
        self.parts("index", 0, &expanded)
    }

    /// The rows: what is at each position of the first axis, in order. [`TensorError::Axis`] for a scalar.
    pub fn rows(&self) -> Result<impl ExactSizeIterator<Item = Tensor> + '_, Error> {
        let axis = self.axis("rows", 0)?;
        let shape = Shape::from(&self.shape[axis + 1..]);
        let elements = shape.elements();
        Ok((0..self.shape[axis]).map(move |row| {
            let places = row * elements..(row + 1) * elements;
            Tensor::of(shape.clone(), self.data.at(places))
        }))
    }

    fn select(&self, method: &'static str, axis: isize, index: isize) -> Result<Tensor, Error> {
        let axis = self.axis(method, axis)?;
        self.parts(method, axis, &[AxisIndex::At(index)])
    }

    /// The parts of the axes from `first` on; others stay whole.
    fn parts(&self, method: &'static str, first: usize, indices: &[AxisIndex]) -> Result<Tensor, Error> {
        let rank = self.shape.rank();
        let found = AxisIndex::axes_of(indices);
        if first + found > rank {
            return Err(TensorError::PositionCount { method, found, shape: self.shape.clone() }.into());
        }
        let mut parts: Vec<Part> = self.shape.iter().map(|&count| Part { start: 0, count, step: 1 }).collect();
        // The extents that the result has: those of the axes before the first, of what is indexed, and of the axes behind it.
        let mut shape: Vec<usize> = self.shape[..first].to_vec();
        let mut axis = first;
        for index in indices {
            match *index {
                AxisIndex::At(index) => {
                    parts[axis] = Part { start: self.position(method, axis, index)?, count: 1, step: 1 };
                    axis += 1;
                }
                AxisIndex::Range { start, end, step } => {
                    let extent = self.shape[axis];
                    let from = bound(start, extent);
                    let to = end.map_or(Some(extent), |end| bound(end, extent));
                    let (Some(from), Some(to), 1..) = (from, to, step) else {
                        return Err(self.outside(method, axis, start, end));
                    };
                    if from > to {
                        return Err(self.outside(method, axis, start, end));
                    }
                    parts[axis] = Part { start: from, count: (to - from).div_ceil(step), step };
                    shape.push(parts[axis].count);
                    axis += 1;
                }
                AxisIndex::NewAxis => shape.push(1),
                AxisIndex::Ellipsis => unreachable!("ranges stand in its place"),
            }
        }
        shape.extend(&self.shape[axis..]);
        let extents: Vec<usize> = parts.iter().map(|part| part.count).collect();
        let strides = self.shape.strides();
        let steps: Vec<usize> =
            parts.iter().zip(&strides).map(|(part, stride)| part.step.saturating_mul(*stride)).collect();
        let count = Shape::from(extents.as_slice()).elements();
        // Of nothing there is no first place.
        let start =
            if count == 0 { 0 } else { parts.iter().zip(&strides).map(|(part, stride)| part.start * stride).sum() };
        Ok(Tensor::of(shape.into(), self.data.at(Places::new(start, extents, steps))))
    }

    /// The axis of that number, negative ones counted from the end.
    pub(super) fn axis(&self, method: &'static str, axis: isize) -> Result<usize, Error> {
        match bound(axis, self.shape.rank()) {
            Some(found) if found < self.shape.rank() => Ok(found),
            Some(_) | None => Err(TensorError::Axis { method, axis, shape: self.shape.clone() }.into()),
        }
    }

    /// A position in an axis.
    fn position(&self, method: &'static str, axis: usize, index: isize) -> Result<usize, Error> {
        match bound(index, self.shape[axis]) {
            Some(found) if found < self.shape[axis] => Ok(found),
            Some(_) | None => Err(TensorError::Position { method, index, axis, shape: self.shape.clone() }.into()),
        }
    }

    fn outside(&self, method: &'static str, axis: usize, start: isize, end: Option<isize>) -> Error {
        let end = end.unwrap_or(self.shape[axis] as isize);
        TensorError::Range { method, start, end, axis, shape: self.shape.clone() }.into()
    }
}

/// A position from 0 up to the extent, negative ones counted from the end.
fn bound(position: isize, extent: usize) -> Option<usize> {
    let found = if position < 0 { extent.checked_sub(position.unsigned_abs())? } else { position.unsigned_abs() };
    (found <= extent).then_some(found)
}

/// The places of elements that lie in strides, row-major.
pub(super) struct Places {
    left: usize,
    place: usize,
    extents: Vec<usize>,
    steps: Vec<usize>,
    counts: Vec<usize>,
}

impl Places {
    pub(super) fn new(start: usize, extents: Vec<usize>, steps: Vec<usize>) -> Self {
        let left = Shape::from(extents.as_slice()).elements();
        let counts = vec![0; extents.len()];
        Places { left, place: start, extents, steps, counts }
    }
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let place = self.place;
        if self.left == 0 {
            return Some(place);
        }
        for axis in (0..self.extents.len()).rev() {
            self.counts[axis] += 1;
            self.place = self.place.wrapping_add(self.steps[axis]);
            if self.counts[axis] < self.extents[axis] {
                break;
            }
            self.place = self.place.wrapping_sub(self.steps[axis].wrapping_mul(self.extents[axis]));
            self.counts[axis] = 0;
        }
        Some(place)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
