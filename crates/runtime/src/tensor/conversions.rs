//! Tensors from and to Rust's own numbers, lists and arrays.

use arenagrad_graph::{Element, Elements, Shape, U8};

use crate::error::Error;
use crate::tensor::{Tensor, TensorError};

/// Tensors of scalars, lists, and arrays of arrays up to rank 4, from values that no tensor refuses.
macro_rules! tensors_from {
    ($($element:ty => $elements:expr),* $(,)?) => {$(
        /// A scalar (rank 0).
        impl From<$element> for Tensor {
            fn from(value: $element) -> Self {
                of_known(&[], &[value], $elements)
            }
        }

        /// A tensor of rank 1.
        impl From<Vec<$element>> for Tensor {
            fn from(values: Vec<$element>) -> Self {
                of_known(&[values.len()], &values, $elements)
            }
        }

        /// A tensor of rank 1.
        impl From<&[$element]> for Tensor {
            fn from(values: &[$element]) -> Self {
                of_known(&[values.len()], values, $elements)
            }
        }

        /// A tensor of shape `[A]`.
        impl<const A: usize> From<[$element; A]> for Tensor {
            fn from(values: [$element; A]) -> Self {
                of_known(&[A], &values, $elements)
            }
        }

        /// A tensor of shape `[A, B]`.
        impl<const A: usize, const B: usize> From<[[$element; B]; A]> for Tensor {
            fn from(values: [[$element; B]; A]) -> Self {
                of_known(&[A, B], values.as_flattened(), $elements)
            }
        }

        /// A tensor of shape `[A, B, C]`.
        impl<const A: usize, const B: usize, const C: usize> From<[[[$element; C]; B]; A]> for Tensor {
            fn from(values: [[[$element; C]; B]; A]) -> Self {
                of_known(&[A, B, C], values.as_flattened().as_flattened(), $elements)
            }
        }

        /// A tensor of shape `[A, B, C, D]`.
        impl<const A: usize, const B: usize, const C: usize, const D: usize> From<[[[[$element; D]; C]; B]; A]> for Tensor {
            fn from(values: [[[[$element; D]; C]; B]; A]) -> Self {
                of_known(&[A, B, C, D], values.as_flattened().as_flattened().as_flattened(), $elements)
            }
        }

        /// A tensor of rank 2. [`TensorError::Ragged`] unless all rows are of one length.
        impl TryFrom<Vec<Vec<$element>>> for Tensor {
            type Error = Error;

            fn try_from(rows: Vec<Vec<$element>>) -> Result<Self, Error> {
                let columns = columns_of(rows.iter().map(Vec::len))?;
                Ok(of_known(&[rows.len(), columns], &rows.concat(), $elements))
            }
        }
    )*};
}
tensors_from!(
    f32 => |values: &[f32]| Elements::from(values),
    f64 => |values: &[f64]| Elements::from(values),
    i32 => |values: &[i32]| Elements::from(values),
    bool => |values: &[bool]| Elements::from(values),
    u8 => |values: &[u8]| Elements::U8(values.iter().map(|&value| U8::from(value)).collect()),
);

/// The tensor of values that are as many as the extents say.
fn of_known<T>(extents: &[usize], values: &[T], elements: impl Fn(&[T]) -> Elements) -> Tensor {
    Tensor::of(Shape::from(extents), elements(values))
}

/// How many columns rows have.
fn columns_of(lengths: impl Iterator<Item = usize>) -> Result<usize, Error> {
    let mut expected = None;
    for (row, found) in lengths.enumerate() {
        let expected = *expected.get_or_insert(found);
        if found != expected {
            return Err(TensorError::Ragged { method: "rows", row, expected, found }.into());
        }
    }
    Ok(expected.unwrap_or(0))
}

/// Integers that i32 may not hold, as labels, tokens and indices come: i32 tensors of the same shapes.
macro_rules! integers_into {
    ($($integer:ty),*) => {$(
        /// A tensor of rank 1, i32. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl TryFrom<Vec<$integer>> for Tensor {
            type Error = Error;

            fn try_from(values: Vec<$integer>) -> Result<Self, Error> {
                Tensor::indices(&values)
            }
        }

        /// A tensor of rank 1, i32. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl TryFrom<&[$integer]> for Tensor {
            type Error = Error;

            fn try_from(values: &[$integer]) -> Result<Self, Error> {
                Tensor::indices(values)
            }
        }

        /// A tensor of shape `[A]`, i32. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl<const A: usize> TryFrom<[$integer; A]> for Tensor {
            type Error = Error;

            fn try_from(values: [$integer; A]) -> Result<Self, Error> {
                Tensor::indices(&values)
            }
        }

        /// A tensor of shape `[A, B]`, i32. [`Error::IntegerRange`] for a value that i32 does not hold.
        impl<const A: usize, const B: usize> TryFrom<[[$integer; B]; A]> for Tensor {
            type Error = Error;

            fn try_from(values: [[$integer; B]; A]) -> Result<Self, Error> {
                Tensor::indices(values.as_flattened())?.reshape([A, B])
            }
        }
    )*};
}
integers_into!(i64, u32, u64, usize, isize);

impl Tensor {
    /// An i32 tensor of rank 1 from integers of any type, as labels, tokens and places come: `Tensor::indices(&labels)` of `&[usize]` or
    /// `&[i64]`. [`Error::IntegerRange`] with the place and value of the first that i32 does not hold.
    ///
    /// ```
    /// use arenagrad::Tensor;
    ///
    /// let labels: Vec<usize> = vec![3, 1, 2];
    /// assert_eq!(Tensor::indices(&labels)?.as_slice::<i32>()?, [3, 1, 2]);
    /// assert!(Tensor::indices(&[1u64 << 40]).is_err());
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn indices<T: Copy + TryInto<i64>>(elements: &[T]) -> Result<Tensor, Error> {
        // What i64 does not hold is larger than all that it does.
        let wide: Vec<i64> = elements.iter().map(|&element| element.try_into().unwrap_or(i64::MAX)).collect();
        Tensor::from_integers([wide.len()], &wide)
    }

    /// The elements as a list; their type must be `T`, as for [`Tensor::as_slice`].
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, Error> {
        self.as_slice::<T>().map(<[T]>::to_vec)
    }

    /// The elements of a tensor of rank 2 as rows; their type must be `T`. [`TensorError::PositionCount`] for another rank.
    pub fn to_rows<T: Element>(&self) -> Result<Vec<Vec<T>>, Error> {
        let &[rows, columns] = self.shape.dims() else {
            return Err(TensorError::PositionCount { method: "to_rows", found: 2, shape: self.shape.clone() }.into());
        };
        let elements = self.as_slice::<T>()?;
        // Rows of no elements may be any number.
        if Vec::<Vec<T>>::new().try_reserve_exact(rows).is_err() {
            let bytes = (rows as u64).saturating_mul(size_of::<Vec<T>>() as u64);
            return Err(Error::OutOfMemory { what: format!("the rows of a tensor of shape {}", self.shape), bytes });
        }
        Ok((0..rows).map(|row| elements[row * columns..(row + 1) * columns].to_vec()).collect())
    }
}
