//! Tensors on the host: a dtype, a shape and the elements, row-major.

use arenagrad_graph::{DType, Element, Elements, Shape};

use crate::error::Error;

/// A tensor in host memory: what goes into a run and what comes out.
///
/// ```
/// use arenagrad::{DType, Tensor};
///
/// let t = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// assert_eq!((t.dtype(), t.shape().dims()), (DType::F32, &[2, 3][..]));
/// assert_eq!(t.as_slice::<f32>()?[4], 5.0);
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Elements,
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
            Some(elements) if elements == data.len() => Ok(Tensor { shape, data }),
            Some(_) | None => Err(Error::ElementCount { shape, elements: data.len() }),
        }
    }

    /// A tensor of truth values.
    pub fn from_bools(shape: impl Into<Shape>, elements: &[bool]) -> Result<Self, Error> {
        Tensor::from_data(shape.into(), Elements::Bool(elements.iter().map(|&b| u8::from(b)).collect()))
    }

    /// A scalar (rank 0).
    pub fn scalar<T: Element>(value: T) -> Self {
        Tensor { shape: Shape::scalar(), data: T::elements(vec![value]) }
    }

    /// A tensor of zeros. [`Error::OutOfMemory`] if there is no memory for it.
    pub fn zeros(shape: impl Into<Shape>, dtype: DType) -> Result<Self, Error> {
        let shape = shape.into();
        let elements = shape.checked_elements().unwrap_or(usize::MAX);
        match Elements::zeros(dtype, elements) {
            Ok(data) => Ok(Tensor { shape, data }),
            Err(_) => {
                let bytes = (elements as u64).saturating_mul(dtype.bytes() as u64);
                Err(Error::OutOfMemory { what: format!("a tensor of shape {shape}"), bytes })
            }
        }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The elements.
    pub fn data(&self) -> &Elements {
        &self.data
    }

    /// The elements as a slice; their dtype must be that of `T`.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], Error> {
        T::slice(&self.data).ok_or(Error::TensorDType { expected: T::DTYPE, found: self.dtype() })
    }

    /// The elements as a slice to write to; their dtype must be that of `T`.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], Error> {
        let found = self.dtype();
        T::slice_mut(&mut self.data).ok_or(Error::TensorDType { expected: T::DTYPE, found })
    }

    /// All elements as `f64`, whatever the dtype: exact, with true as 1.
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

    /// The elements rounded, truncated or tested into another dtype.
    pub fn cast(&self, dtype: DType) -> Tensor {
        Tensor { shape: self.shape.clone(), data: Elements::from_f64(dtype, &self.to_f64_vec()) }
    }
}
