//! Tensors from and to the arrays of the crate ndarray, of any rank and layout.

use arenagrad_graph::Element;
use ndarray::{Array, ArrayD, ArrayView, Dimension, IxDyn};

use crate::error::Error;
use crate::tensor::Tensor;

/// An array of what no tensor refuses.
macro_rules! tensors_from_arrays {
    ($($element:ty),*) => {$(
        /// A tensor of the array's shape, whose elements are moved if they lie row by row, and else copied.
        ///
        /// ```
        /// use arenagrad::Tensor;
        /// use ndarray::array;
        ///
        /// let t = Tensor::from(array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]].reversed_axes());
        /// assert_eq!(t, Tensor::from([[1.0f32, 4.0], [2.0, 5.0], [3.0, 6.0]]));
        /// assert_eq!(t.to_ndarray::<f32>()?[[2, 1]], 6.0);
        /// # Ok::<(), arenagrad::Error>(())
        /// ```
        impl<D: Dimension> From<Array<$element, D>> for Tensor {
            fn from(array: Array<$element, D>) -> Self {
                if !array.is_standard_layout() {
                    return Tensor::from(array.view());
                }
                let shape = array.shape().to_vec();
                let (elements, start) = array.into_raw_vec_and_offset();
                let count = shape.iter().product::<usize>();
                let first = start.unwrap_or(0);
                let elements = if first == 0 && elements.len() == count {
                    elements
                } else {
                    elements[first..first + count].to_vec()
                };
                Tensor { shape: shape.into(), data: Tensor::from(elements).data }
            }
        }

        /// A tensor of the array's shape, whose elements are copied.
        impl<D: Dimension> From<&Array<$element, D>> for Tensor {
            fn from(array: &Array<$element, D>) -> Self {
                Tensor::from(array.view())
            }
        }

        /// A tensor of the view's shape, whose elements are copied.
        impl<D: Dimension> From<ArrayView<'_, $element, D>> for Tensor {
            fn from(array: ArrayView<'_, $element, D>) -> Self {
                let elements: Vec<$element> = array.iter().copied().collect();
                Tensor { shape: array.shape().to_vec().into(), data: Tensor::from(elements).data }
            }
        }
    )*};
}
tensors_from_arrays!(f32, f64, i32, bool, u8);

/// An array of integers that i32 may not hold.
macro_rules! integers_from_arrays {
    ($($integer:ty),*) => {$(
        /// An i32 tensor of the array's shape. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl<D: Dimension> TryFrom<Array<$integer, D>> for Tensor {
            type Error = Error;

            fn try_from(array: Array<$integer, D>) -> Result<Self, Error> {
                Tensor::try_from(array.view())
            }
        }

        /// An i32 tensor of the array's shape. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl<D: Dimension> TryFrom<&Array<$integer, D>> for Tensor {
            type Error = Error;

            fn try_from(array: &Array<$integer, D>) -> Result<Self, Error> {
                Tensor::try_from(array.view())
            }
        }

        /// An i32 tensor of the view's shape. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl<D: Dimension> TryFrom<ArrayView<'_, $integer, D>> for Tensor {
            type Error = Error;

            fn try_from(array: ArrayView<'_, $integer, D>) -> Result<Self, Error> {
                let elements: Vec<$integer> = array.iter().copied().collect();
                Ok(Tensor { shape: array.shape().to_vec().into(), data: Tensor::indices(&elements)?.data })
            }
        }
    )*};
}
integers_from_arrays!(i64, u32, u64, usize);

impl Tensor {
    /// The elements as an array of the crate ndarray, of the tensor's shape; their type must be `T`, as for [`Tensor::as_slice`].
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>, Error> {
        let elements = self.to_vec::<T>()?;
        match ArrayD::from_shape_vec(IxDyn(self.shape.dims()), elements) {
            Ok(array) => Ok(array),
            // More than an array may have, which only a tensor beside an empty axis can.
            Err(_) => Err(Error::ElementCount { shape: self.shape.clone(), elements: self.data.len() }),
        }
    }
}
