//! Numbers that describe a whole tensor, as `f64`, and comparisons within a tolerance.

use std::fmt;

use arenagrad_graph::{Elements, Shape};

use crate::error::Error;
use crate::tensor::{Tensor, TensorError};

/// So many elements are added up one after the other before sums are added to sums.
const RUN: usize = 64;

impl Tensor {
    /// The sum of all elements, with true as 1. Added up in f64 by a fixed tree; 0 for no elements.
    #[must_use]
    pub fn sum(&self) -> f64 {
        let mut sums = match &*self.data {
            Elements::F32(data) => sums_of_runs(data, f64::from),
            Elements::F64(data) => sums_of_runs(data, |x| x),
            Elements::I32(data) => sums_of_runs(data, f64::from),
            Elements::Bool(_) | Elements::F16(_) | Elements::Bf16(_) => self.to_f64_vec(),
            Elements::U8(_) | Elements::I8(_) | Elements::I64(_) => self.to_f64_vec(),
        };
        while sums.len() > 1 {
            sums = sums.chunks(RUN).map(|run| run.iter().sum()).collect();
        }
        sums.first().copied().unwrap_or(0.0)
    }

    /// The mean of all elements. [`TensorError::NoElements`] if there are none.
    pub fn mean(&self) -> Result<f64, Error> {
        self.some("mean").map(|count| self.sum() / count as f64)
    }

    /// The least element; NaN if there is one among them. [`TensorError::NoElements`] if there are none.
    pub fn min(&self) -> Result<f64, Error> {
        self.some("min").map(|_| self.chosen(|x, least| x < least).1)
    }

    /// The greatest element; NaN if there is one among them. [`TensorError::NoElements`] if there are none.
    pub fn max(&self) -> Result<f64, Error> {
        self.some("max").map(|_| self.chosen(|x, greatest| x > greatest).1)
    }

    /// Where in row-major order the greatest element is: the first of several, or the first NaN. [`TensorError::NoElements`] if there are
    /// none.
    pub fn argmax(&self) -> Result<usize, Error> {
        self.some("argmax").map(|_| self.chosen(|x, greatest| x > greatest).0)
    }

    /// [`Tensor::argmax`] along one axis, which falls away: of logits `[examples, classes]`, `t.argmax_along(-1)` is the class of each
    /// example, i32.
    ///
    /// ```
    /// use arenagrad::Tensor;
    ///
    /// let logits = Tensor::from([[0.1, 2.0, -1.0], [3.0, 0.0, 0.5]]);
    /// assert_eq!(logits.argmax_along(-1)?.as_slice::<i32>()?, [1, 0]);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn argmax_along(&self, axis: isize) -> Result<Tensor, Error> {
        let axis = self.axis("argmax_along", axis)?;
        let extent = self.shape[axis];
        if extent == 0 {
            return Err(TensorError::NoElements { method: "argmax_along", shape: self.shape.clone() }.into());
        }
        let inner = self.shape[axis + 1..].iter().fold(1usize, |inner, &extent| inner.saturating_mul(extent));
        let places = match &*self.data {
            Elements::F32(data) => greatest_along(data, extent, inner),
            Elements::F64(data) => greatest_along(data, extent, inner),
            Elements::I32(data) => greatest_along(data, extent, inner),
            Elements::Bool(_) | Elements::F16(_) | Elements::Bf16(_) => {
                greatest_along(&self.to_f64_vec(), extent, inner)
            }
            Elements::U8(_) | Elements::I8(_) | Elements::I64(_) => greatest_along(&self.to_f64_vec(), extent, inner),
        };
        let shape: Vec<usize> = self.shape[..axis].iter().chain(&self.shape[axis + 1..]).copied().collect();
        Tensor::from_data(shape.into(), Elements::from(places))
    }

    /// Whether each element is within `atol + rtol * |e|` of the element `e` of `expected`: [`Tensor::compare`] without the report.
    /// [`TensorError::ComparedShapes`] for other shapes.
    pub fn allclose(&self, expected: &Tensor, rtol: f64, atol: f64) -> Result<bool, Error> {
        Ok(self.compared("allclose", expected, rtol, atol)?.is_close())
    }

    /// How far the elements are from those of `expected`, of the same shape and any dtype, and which is worst by the tolerance `atol + rtol * |e|`. An infinite
    /// element is close to itself alone, and NaN to nothing.
    ///
    /// ```
    /// use arenagrad::Tensor;
    ///
    /// let report = Tensor::from([[1.0, 2.0], [3.0, 4.5]]).compare(&Tensor::from([[1.0, 2.0], [3.0, 4.0]]), 0.0, 0.25)?;
    /// assert!(!report.is_close());
    /// assert_eq!(report.to_string(), "1 of 4 elements are not close; the worst is [1, 1]: 4.5 instead of 4, off by 0.5 (tolerance 2.5e-1)");
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn compare(&self, expected: &Tensor, rtol: f64, atol: f64) -> Result<Comparison, Error> {
        self.compared("compare", expected, rtol, atol)
    }

    fn compared(&self, method: &'static str, expected: &Tensor, rtol: f64, atol: f64) -> Result<Comparison, Error> {
        if self.shape != expected.shape {
            let (expected, found) = (expected.shape.clone(), self.shape.clone());
            return Err(TensorError::ComparedShapes { method, expected, found }.into());
        }
        let mut comparison = Comparison { elements: self.data.len(), outside: 0, worst: None };
        let mut worst_ratio = f64::NEG_INFINITY;
        for (place, (found, expected)) in self.to_f64_vec().into_iter().zip(expected.to_f64_vec()).enumerate() {
            let (difference, tolerance) = ((found - expected).abs(), atol + rtol * expected.abs());
            let is_close = found == expected || (difference <= tolerance && expected.is_finite());
            // How many tolerances away; what is not close is worse than whatever is.
            let ratio = match (is_close, difference / tolerance) {
                (true, _) if difference.is_nan() || difference == 0.0 => 0.0,
                (true, ratio) => ratio.min(1.0),
                (false, ratio) if ratio.is_nan() => f64::INFINITY,
                (false, ratio) => ratio.max(1.0 + f64::EPSILON),
            };
            comparison.outside += usize::from(!is_close);
            if ratio > worst_ratio {
                worst_ratio = ratio;
                let index = index_of(place, &self.shape);
                comparison.worst = Some(WorstElement { index, found, expected, tolerance });
            }
        }
        Ok(comparison)
    }

    /// The [chosen] element of all with its place, of types that are long most often read where they stand.
    fn chosen(&self, is_better: impl Fn(f64, f64) -> bool) -> (usize, f64) {
        match &*self.data {
            Elements::F32(data) => chosen(data.iter().map(|&x| f64::from(x)), is_better),
            Elements::F64(data) => chosen(data.iter().copied(), is_better),
            Elements::I32(data) => chosen(data.iter().map(|&x| f64::from(x)), is_better),
            Elements::Bool(_) | Elements::F16(_) | Elements::Bf16(_) => {
                chosen(self.to_f64_vec().into_iter(), is_better)
            }
            Elements::U8(_) | Elements::I8(_) | Elements::I64(_) => chosen(self.to_f64_vec().into_iter(), is_better),
        }
    }

    /// How many elements there are, if there are any.
    fn some(&self, method: &'static str) -> Result<usize, Error> {
        match self.data.len() {
            0 => Err(TensorError::NoElements { method, shape: self.shape.clone() }.into()),
            count => Ok(count),
        }
    }
}

/// What [`Tensor::compare`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// How many elements were compared.
    pub elements: usize,
    /// How many are not close.
    pub outside: usize,
    /// The element that is farthest off, by its tolerance; none if there are no elements.
    pub worst: Option<WorstElement>,
}

/// The element that is farthest off.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorstElement {
    /// Its place along each axis.
    pub index: Vec<usize>,
    /// What it is.
    pub found: f64,
    /// What was expected.
    pub expected: f64,
    /// How far off it might have been.
    pub tolerance: f64,
}

impl Comparison {
    /// Whether all elements are close.
    #[must_use]
    pub fn is_close(&self) -> bool {
        self.outside == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { elements, outside, worst } = self;
        match outside {
            0 => write!(f, "all {elements} elements are close")?,
            _ => write!(f, "{outside} of {elements} elements are not close")?,
        }
        let Some(WorstElement { index, found, expected, tolerance }) = worst else { return Ok(()) };
        let off = (found - expected).abs();
        write!(f, "; the worst is {index:?}: {found} instead of {expected}, off by {off} (tolerance {tolerance:e})")
    }
}

/// The place along each axis of an element.
fn index_of(place: usize, shape: &Shape) -> Vec<usize> {
    shape.strides().iter().zip(shape.iter()).map(|(&stride, &extent)| place / stride.max(1) % extent.max(1)).collect()
}

/// The sums of the first runs of the tree by which [`Tensor::sum`] adds up.
fn sums_of_runs<T: Copy>(data: &[T], value: impl Fn(T) -> f64) -> Vec<f64> {
    data.chunks(RUN).map(|run| run.iter().map(|&element| value(element)).sum()).collect()
}

/// The first element that is better than all, with its place, or the first NaN.
fn chosen(values: impl Iterator<Item = f64>, is_better: impl Fn(f64, f64) -> bool) -> (usize, f64) {
    let mut best: Option<(usize, f64)> = None;
    for (place, value) in values.enumerate() {
        if value.is_nan() {
            return (place, value);
        }
        if best.is_none_or(|(_, best)| is_better(value, best)) {
            best = Some((place, value));
        }
    }
    best.unwrap_or((0, f64::NAN))
}

/// Where along an axis of that extent the greatest elements are, as [`chosen`] finds them, row by row of the `inner` ones behind it.
#[allow(clippy::eq_op)] // Only NaN differs from itself.
fn greatest_along<T: Copy + PartialOrd>(data: &[T], extent: usize, inner: usize) -> Vec<i32> {
    let mut places = Vec::with_capacity(data.len() / extent);
    let is_greater = |x: T, greatest: T| (x > greatest) | ((x != x) & (greatest == greatest));
    if inner == 1 {
        for row in data.chunks_exact(extent) {
            let mut best = (0, row[0]);
            for (place, &x) in (0..).zip(row) {
                if is_greater(x, best.1) {
                    best = (place, x);
                }
            }
            places.push(best.0);
        }
        return places;
    }
    // Of no elements there are no blocks.
    for block in data.chunks_exact(extent.saturating_mul(inner).max(1)) {
        let mut greatest = block[..inner].to_vec();
        let first = places.len();
        places.resize(first + inner, 0);
        for (place, row) in (1..).zip(block[inner..].chunks_exact(inner)) {
            for ((best, at), &x) in greatest.iter_mut().zip(&mut places[first..]).zip(row) {
                if is_greater(x, *best) {
                    (*best, *at) = (x, place);
                }
            }
        }
    }
    places
}
