//! Tensors on the host: a dtype, a shape and the elements, row-major.

use arenagrad_graph::{DType, Literal, Shape};

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
    data: TensorData,
}

/// The elements of a [`Tensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Elements of dtype [`DType::F32`].
    F32(Vec<f32>),
    /// Elements of dtype [`DType::F64`].
    F64(Vec<f64>),
    /// Elements of dtype [`DType::I32`].
    I32(Vec<i32>),
    /// Elements of dtype [`DType::Bool`], 0 or 1 each.
    Bool(Vec<u8>),
}

/// A Rust type that a tensor's elements can be seen as: `f32`, `f64` or `i32`.
pub trait Element: Copy + Send + Sync + 'static {
    /// The dtype of such elements.
    const DTYPE: DType;
    /// The data as elements of this type, if they are.
    fn slice(data: &TensorData) -> Option<&[Self]>;
    /// The data as elements of this type, if they are.
    fn slice_mut(data: &mut TensorData) -> Option<&mut [Self]>;
    /// Data made of elements.
    fn data(elements: Vec<Self>) -> TensorData;
}

impl Tensor {
    /// A tensor of that shape from its elements, row-major. The number of elements must fit the shape.
    pub fn new<T: Element>(shape: impl Into<Shape>, elements: Vec<T>) -> Result<Self, Error> {
        Tensor::from_data(shape.into(), T::data(elements))
    }

    /// A tensor of that shape from data of any dtype. The number of elements must fit the shape. Truth values other than 0
    /// become 1.
    pub fn from_data(shape: Shape, mut data: TensorData) -> Result<Self, Error> {
        if let TensorData::Bool(data) = &mut data {
            data.iter_mut().for_each(|truth| *truth = u8::from(*truth != 0));
        }
        match shape.checked_elements() {
            Some(elements) if elements == data.len() => Ok(Tensor { shape, data }),
            Some(_) | None => Err(Error::ElementCount { shape, elements: data.len() }),
        }
    }

    /// A tensor of truth values.
    pub fn from_bools(shape: impl Into<Shape>, elements: &[bool]) -> Result<Self, Error> {
        Tensor::from_data(shape.into(), TensorData::Bool(elements.iter().map(|&b| u8::from(b)).collect()))
    }

    /// A scalar (rank 0).
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Self {
        Tensor { shape: Shape::scalar(), data: T::data(vec![value]) }
    }

    /// A tensor of zeros. [`Error::OutOfMemory`] if there is no memory for it.
    pub fn zeros(shape: impl Into<Shape>, dtype: DType) -> Result<Self, Error> {
        let shape = shape.into();
        let elements = shape.checked_elements().unwrap_or(usize::MAX);
        match TensorData::zeros(dtype, elements) {
            Ok(data) => Ok(Tensor { shape, data }),
            Err(Error::OutOfMemory { bytes, .. }) => {
                Err(Error::OutOfMemory { what: format!("a tensor of shape {shape}"), bytes })
            }
            Err(error) => Err(error),
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
    pub fn data(&self) -> &TensorData {
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
    #[must_use]
    pub fn to_f64_vec(&self) -> Vec<f64> {
        match &self.data {
            TensorData::F32(data) => data.iter().map(|&x| f64::from(x)).collect(),
            TensorData::F64(data) => data.clone(),
            TensorData::I32(data) => data.iter().map(|&x| f64::from(x)).collect(),
            TensorData::Bool(data) => data.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The only element as `f64`. [`Error::NotOneElement`] for a tensor of several, or of none.
    pub fn item(&self) -> Result<f64, Error> {
        if self.data.len() == 1 {
            Ok(match &self.data {
                TensorData::F32(data) => f64::from(data[0]),
                TensorData::F64(data) => data[0],
                TensorData::I32(data) => f64::from(data[0]),
                TensorData::Bool(data) => f64::from(data[0]),
            })
        } else {
            Err(Error::NotOneElement { shape: self.shape.clone(), elements: self.data.len() })
        }
    }

    /// The elements rounded, truncated or tested into another dtype.
    #[must_use = "the tensor itself keeps its dtype"]
    pub fn cast(&self, dtype: DType) -> Tensor {
        let values = self.to_f64_vec();
        let data = match dtype {
            DType::F32 => TensorData::F32(values.iter().map(|&x| x as f32).collect()),
            DType::F64 => TensorData::F64(values),
            DType::I32 => TensorData::I32(values.iter().map(|&x| x as i32).collect()),
            DType::Bool => TensorData::Bool(values.iter().map(|&x| u8::from(x != 0.0)).collect()),
        };
        Tensor { shape: self.shape.clone(), data }
    }
}

impl TensorData {
    /// `elements` zeros. [`Error::OutOfMemory`] if there is no memory for them.
    pub fn zeros(dtype: DType, elements: usize) -> Result<Self, Error> {
        Ok(match dtype {
            DType::F32 => TensorData::F32(allocated(elements, 0.0)?),
            DType::F64 => TensorData::F64(allocated(elements, 0.0)?),
            DType::I32 => TensorData::I32(allocated(elements, 0)?),
            DType::Bool => TensorData::Bool(allocated(elements, 0)?),
        })
    }

    /// No elements.
    pub(crate) fn empty(dtype: DType) -> Self {
        match dtype {
            DType::F32 => TensorData::F32(Vec::new()),
            DType::F64 => TensorData::F64(Vec::new()),
            DType::I32 => TensorData::I32(Vec::new()),
            DType::Bool => TensorData::Bool(Vec::new()),
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            TensorData::F32(data) => data.len(),
            TensorData::F64(data) => data.len(),
            TensorData::I32(data) => data.len(),
            TensorData::Bool(data) => data.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            TensorData::F32(_) => DType::F32,
            TensorData::F64(_) => DType::F64,
            TensorData::I32(_) => DType::I32,
            TensorData::Bool(_) => DType::Bool,
        }
    }
}

/// A vector of equal elements, if there is memory for it.
fn allocated<T: Clone>(elements: usize, value: T) -> Result<Vec<T>, Error> {
    // Asking for the memory and giving it back before taking it zeroed costs nothing: no page of it is touched.
    match Vec::<T>::new().try_reserve_exact(elements) {
        Ok(()) => Ok(vec![value; elements]),
        Err(_) => {
            let bytes = (elements as u64).saturating_mul(size_of::<T>() as u64);
            Err(Error::OutOfMemory { what: format!("data of {elements} elements"), bytes })
        }
    }
}

impl From<&Literal> for TensorData {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::F32(data) => TensorData::F32(data.to_vec()),
            Literal::F64(data) => TensorData::F64(data.to_vec()),
            Literal::I32(data) => TensorData::I32(data.to_vec()),
            Literal::Bool(data) => TensorData::Bool(data.iter().map(|&b| u8::from(b)).collect()),
        }
    }
}

macro_rules! element {
    ($($element:ty => $variant:ident),*) => {$(
        impl Element for $element {
            const DTYPE: DType = DType::$variant;

            fn slice(data: &TensorData) -> Option<&[Self]> {
                if let TensorData::$variant(data) = data { Some(data) } else { None }
            }

            fn slice_mut(data: &mut TensorData) -> Option<&mut [Self]> {
                if let TensorData::$variant(data) = data { Some(data) } else { None }
            }

            fn data(elements: Vec<Self>) -> TensorData {
                TensorData::$variant(elements)
            }
        }
    )*};
}
element!(f32 => F32, f64 => F64, i32 => I32);
