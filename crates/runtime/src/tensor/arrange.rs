//! The same elements in other shapes and orders, and several tensors as one.

use std::borrow::Borrow;

use arenagrad_graph::{Elements, Position, Shape};

use crate::error::Error;
use crate::tensor::append::interleaved;
use crate::tensor::permuted::permuted;
use crate::tensor::{Tensor, TensorError};

/// Other shapes and orders, all copies.
impl Tensor {
    /// The same elements, row-major, in another shape. One extent may be -1: it becomes what is left. [`TensorError::Reshape`] if
    /// the number of elements does not fit.
    ///
    /// ```
    /// use arenagrad::Tensor;
    ///
    /// let t = Tensor::from([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([2, -1])?;
    /// assert_eq!(t, Tensor::from([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn reshape<P: Position + Copy>(&self, extents: impl AsRef<[P]>) -> Result<Tensor, Error> {
        let extents: Vec<isize> = extents.as_ref().iter().map(|extent| extent.position()).collect();
        let refused = |reason: &str| {
            let (shape, reason) = (self.shape.clone(), reason.to_owned());
            Error::from(TensorError::Reshape { method: "reshape", shape, extents: extents.clone(), reason })
        };
        if extents.iter().any(|extent| *extent < -1) {
            return Err(refused("an extent is 0 or more, or -1 for what is left"));
        }
        let known = extents.iter().filter(|extent| **extent >= 0).map(|extent| extent.unsigned_abs());
        let known = Shape::from(known.collect::<Vec<usize>>()).checked_elements();
        let elements = self.shape.elements();
        let inferred = match (extents.iter().filter(|extent| **extent == -1).count(), known) {
            (0, Some(known)) if known == elements => 0,
            (0, _) => return Err(refused("these are another number of elements")),
            (1, Some(0)) => return Err(refused("with an extent of 0, -1 may stand for any number")),
            (1, Some(known)) if elements.is_multiple_of(known) => elements / known,
            (1, _) => return Err(refused("the others do not divide the number of elements")),
            (_, _) => return Err(refused("only one extent may be -1")),
        };
        let shape: Vec<usize> =
            extents.iter().map(|extent| if *extent == -1 { inferred } else { extent.unsigned_abs() }).collect();
        Ok(Tensor { shape: shape.into(), data: self.data.clone() })
    }

    /// The axes in another order: axis `i` of the result is axis `axes[i]`. [`TensorError::Permutation`] unless each is named once.
    pub fn permute(&self, axes: impl AsRef<[isize]>) -> Result<Tensor, Error> {
        self.permuted("permute", axes.as_ref())
    }

    /// Two axes exchanged: `t.transpose(0, 1)` of a matrix.
    pub fn transpose(&self, first: isize, second: isize) -> Result<Tensor, Error> {
        let (first, second) = (self.axis("transpose", first)?, self.axis("transpose", second)?);
        let mut axes: Vec<isize> = (0..self.shape.rank() as isize).collect();
        axes.swap(first, second);
        self.permuted("transpose", &axes)
    }

    fn permuted(&self, method: &'static str, axes: &[isize]) -> Result<Tensor, Error> {
        let refused =
            || Error::from(TensorError::Permutation { method, axes: axes.to_vec(), shape: self.shape.clone() });
        let mut order = Vec::with_capacity(axes.len());
        for axis in axes {
            let axis = self.axis(method, *axis).map_err(|_| refused())?;
            if order.contains(&axis) {
                return Err(refused());
            }
            order.push(axis);
        }
        if order.len() != self.shape.rank() {
            return Err(refused());
        }
        let strides = self.shape.strides();
        let extents: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
        let data = permuted(&self.data, &extents, &steps);
        Ok(Tensor::of(extents.into(), data))
    }

    /// Tensors of one shape and type as one, along a new axis at that place: rows become a matrix at axis 0.
    ///
    /// Errors: no tensors; [`TensorError::Shapes`] and [`TensorError::Types`] with the place of the first that does not fit.
    ///
    /// ```
    /// use arenagrad::Tensor;
    ///
    /// let rows = [Tensor::from([1.0, 2.0]), Tensor::from([3.0, 4.0])];
    /// assert_eq!(Tensor::stack(&rows, 0)?, Tensor::from([[1.0, 2.0], [3.0, 4.0]]));
    /// assert_eq!(Tensor::stack(&rows, 1)?, Tensor::from([[1.0, 3.0], [2.0, 4.0]]));
    /// assert_eq!(Tensor::concat(&rows, 0)?, Tensor::from([1.0, 2.0, 3.0, 4.0]));
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn stack<T: Borrow<Tensor>>(tensors: &[T], axis: isize) -> Result<Tensor, Error> {
        let first = first_of("stack", tensors)?;
        let mut extents = first.shape.to_vec();
        let rank = extents.len() as isize + 1;
        let place = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&place) {
            return Err(TensorError::Axis { method: "stack", axis, shape: first.shape.clone() }.into());
        }
        extents.insert(place as usize, 1);
        joined("stack", tensors, &extents, place as usize, |shape| *shape == first.shape)
    }

    /// Tensors that differ in the extent of one axis at most, one behind the other along it. Errors as [`Tensor::stack`], and
    /// [`TensorError::Extents`].
    pub fn concat<T: Borrow<Tensor>>(tensors: &[T], axis: isize) -> Result<Tensor, Error> {
        let first = first_of("concat", tensors)?;
        let axis = first.axis("concat", axis)?;
        let is_alike = |shape: &Shape| {
            let others = |shape: &Shape| -> Vec<usize> {
                shape.iter().enumerate().filter(|(other, _)| *other != axis).map(|(_, &extent)| extent).collect()
            };
            shape.rank() == first.shape.rank() && others(shape) == others(&first.shape)
        };
        joined("concat", tensors, &first.shape, axis, is_alike)
    }
}

fn first_of<'t, T: Borrow<Tensor>>(method: &'static str, tensors: &'t [T]) -> Result<&'t Tensor, Error> {
    tensors.first().map(Borrow::borrow).ok_or_else(|| TensorError::NoTensors { method }.into())
}

/// Tensors one behind the other along an axis of `extents`, the first one's.
fn joined<T: Borrow<Tensor>>(
    method: &'static str,
    tensors: &[T],
    extents: &[usize],
    axis: usize,
    is_alike: impl Fn(&Shape) -> bool,
) -> Result<Tensor, Error> {
    let first = first_of(method, tensors)?;
    for (place, tensor) in tensors.iter().map(Borrow::borrow).enumerate() {
        if !is_alike(&tensor.shape) {
            let (expected, found) = (first.shape.clone(), tensor.shape.clone());
            return Err(TensorError::Shapes { method, place, expected, found }.into());
        }
        if tensor.storage() != first.storage() {
            let (expected, found) = (first.storage(), tensor.storage());
            return Err(TensorError::Types { method, place, expected, found }.into());
        }
    }
    let outer = extents[..axis].iter().fold(1usize, |outer, &extent| outer.saturating_mul(extent));
    let sources: Vec<&Elements> = tensors.iter().map(|tensor| &*tensor.borrow().data).collect();
    let data = interleaved(first.storage(), &sources, outer);
    let mut shape = extents.to_vec();
    shape[axis] = match extents.len() == first.shape.rank() {
        // Of no elements there may be any extent, and two may be more than is counted.
        true => tensors
            .iter()
            .try_fold(0usize, |sum, tensor| sum.checked_add(tensor.borrow().shape[axis]))
            .ok_or(TensorError::Extents { method, axis })?,
        false => tensors.len(),
    };
    Tensor::from_data(shape.into(), data)
}
