//! Tensors on the host: a shape and the elements, row-major, perhaps narrower than the values of their dtype.

mod append;
mod arithmetic;
mod arrange;
mod conversions;
mod display;
mod error;
mod indexing;
#[cfg(feature = "ndarray")]
mod ndarray;
mod numbers;
mod permuted;

pub(crate) use append::{append, reserve};
pub use arithmetic::Number;
pub use error::TensorError;
pub use numbers::{Comparison, WorstElement};

use std::sync::Arc;

use arenagrad_graph::{DType, Element, Elements, Shape, StorageType};

use crate::error::Error;

/// A tensor in host memory: what goes into a run and what comes out. A clone has the same elements until one of the two is written, and
/// copies none.
///
/// ```
/// use arenagrad::{DType, Tensor};
///
/// let t = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// assert_eq!((t.dtype(), t.shape().dims()), (DType::F32, &[2, 3][..]));
/// assert_eq!(t.as_slice::<f32>()?[4], 5.0);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Tensor {
    shape: Shape,
    /// Shared with copies of the tensor, and with a session while it runs over them.
    data: Arc<Elements>,
}

impl Tensor {
    /// A tensor of that shape from its elements, row-major. The number of elements must fit the shape.
    pub fn new<T: Element>(shape: impl Into<Shape>, elements: Vec<T>) -> Result<Self, Error> {
        Tensor::from_data(shape.into(), T::elements(elements))
    }

    /// A tensor of that shape from data of any dtype. The number of elements must fit the shape. Truth values other than 0
    /// become 1.
    pub fn from_data(shape: Shape, data: Elements) -> Result<Self, Error> {
        let data = data.normalised();
        match shape.checked_elements() {
            Some(elements) if elements == data.len() => Ok(Tensor::of(shape, data)),
            Some(_) | None => Err(Error::ElementCount { shape, elements: data.len() }),
        }
    }

    /// A tensor of truth values.
    pub fn from_bools(shape: impl Into<Shape>, elements: &[bool]) -> Result<Self, Error> {
        Tensor::from_data(shape.into(), Elements::Bool(elements.iter().map(|&b| u8::from(b)).collect()))
    }

    /// A scalar (rank 0).
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Self {
        Tensor::of(Shape::scalar(), T::elements(vec![value]))
    }

    /// A tensor of as many elements as its shape has.
    fn of(shape: Shape, data: Elements) -> Self {
        Tensor { shape, data: Arc::new(data) }
    }

    /// A tensor of zeros of a dtype or [`StorageType`]. [`Error::OutOfMemory`] if there is no memory for it.
    pub fn zeros(shape: impl Into<Shape>, storage: impl Into<StorageType>) -> Result<Self, Error> {
        let (shape, storage) = (shape.into(), storage.into());
        let elements = shape.checked_elements().unwrap_or(usize::MAX);
        match Elements::zeros(storage, elements) {
            Ok(data) => Ok(Tensor::of(shape, data)),
            Err(_) => {
                let bytes = (elements as u64).saturating_mul(storage.bytes() as u64);
                Err(Error::OutOfMemory { what: format!("a tensor of shape {shape}"), bytes })
            }
        }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The dtype of the values that the elements hold: f32 also for narrower elements of it.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The type of the elements.
    pub fn storage(&self) -> StorageType {
        self.data.storage()
    }

    /// The elements.
    pub fn data(&self) -> &Elements {
        &self.data
    }

    /// The elements as a slice; their type must be `T`. [`Error::TensorDType`] if it is not: cast elements that are narrower than
    /// their dtype to it first.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], Error> {
        T::slice(&self.data).ok_or(Error::TensorDType { expected: T::STORAGE, found: self.storage() })
    }

    /// The elements as a slice to write to; their storage type must be `T`'s. They are copied first if a clone of the tensor has them too.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], Error> {
        let found = self.storage();
        T::slice_mut(Arc::make_mut(&mut self.data)).ok_or(Error::TensorDType { expected: T::STORAGE, found })
    }

    /// The elements, shared.
    pub(crate) fn shared(&self) -> &Arc<Elements> {
        &self.data
    }

    /// All elements as `f64`, whatever the dtype: exact, with true as 1.
    #[must_use]
    pub fn to_f64_vec(&self) -> Vec<f64> {
        self.data.to_f64_vec()
    }

    /// The only element as `f64`. [`Error::NotOneElement`] for a tensor of several, or of none.
    pub fn item(&self) -> Result<f64, Error> {
        match self.data.get(0) {
            Some(value) if self.data.len() == 1 => Ok(value),
            Some(_) | None => Err(Error::NotOneElement { shape: self.shape.clone(), elements: self.data.len() }),
        }
    }

    /// The elements rounded, truncated or tested into another dtype, or in another [`StorageType`].
    #[must_use = "the tensor itself keeps its elements"]
    pub fn cast(&self, storage: impl Into<StorageType>) -> Tensor {
        Tensor::of(self.shape.clone(), self.data.converted(storage))
    }

    /// As [`Tensor::cast`], without a copy of what is of that type already.
    pub(crate) fn into_cast(self, storage: impl Into<StorageType>) -> Tensor {
        let storage = storage.into();
        if self.storage() == storage { self } else { self.cast(storage) }
    }

    /// The values as they are, in their dtype.
    pub(crate) fn into_native(self) -> Tensor {
        let dtype = self.dtype();
        self.into_cast(dtype)
    }
}
