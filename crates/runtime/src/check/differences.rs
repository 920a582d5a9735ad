//! Finite differences: the slope of a function along each element of its argument, from its values alone.
//!
//! Each element is moved by a step `h` and put back, as the numerical gradient of the cs231n notes does it. The divisor is
//! the distance that the element really moved, after rounding, and not the step that was asked for: in f32 the two differ by
//! percents.

use std::fmt;

use arenagrad_graph::{DType, Shape};

use crate::check::CheckError;

/// How slopes are taken from values.
///
/// With `f` smooth and values that are exact to a relative `ε`, the error of a slope is about
///
/// | scheme | truncation | rounding | least near `h` | default in f64 | default in f32 |
/// |---|---|---|---|---|---|
/// | forward, `(f(x + h) - f(x)) / h` | `h f'' / 2` | `2 ε f / h` | `√ε` | 1e-7 | 5e-4 |
/// | central, `(f(x + h) - f(x - h)) / 2h` | `h² f''' / 6` | `ε f / h` | `∛ε` | 1e-5 | 5e-3 |
///
/// so central differences reach ten digits in f64 and four in f32, at twice the cost. The notes' own step is 1e-5.
///
/// ```
/// use arenagrad::check::Differences;
///
/// let f = |x: &[f64]| (x[0] + x[1]) * x[2];
/// let gradient = Differences::central().gradient(f, &[-2.0, 5.0, -4.0])?;
/// for (slope, exact) in gradient.iter().zip([-4.0, -4.0, 3.0]) {
///     assert!((slope - exact).abs() < 1e-9);
/// }
/// # Ok::<(), arenagrad::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "differences do nothing until they are asked for a gradient"]
pub struct Differences {
    scheme: DifferenceScheme,
    step: Option<f64>,
}

/// At which points a function is evaluated for a slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DifferenceScheme {
    /// At `x` and `x + h`.
    Forward,
    /// At `x - h` and `x + h`.
    Central,
}

/// The evaluation of a function before and after one element is moved, as an observer sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Probe<'a> {
    /// The name of the input or parameter; `x` for the argument of a closure.
    pub input: &'a str,
    /// The element's place in row-major order.
    pub element: usize,
    /// The element's place along each axis.
    pub index: &'a [usize],
    /// The element before and after its turn.
    pub old: f64,
    /// The lower of the two points: `x` itself for forward differences.
    pub lower: Sample<'a>,
    /// The upper of the two points.
    pub upper: Sample<'a>,
    /// The slope of each value of the function.
    pub slopes: &'a [f64],
}

/// A point at which the function was evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample<'a> {
    /// The element there, as its dtype holds it.
    pub at: f64,
    /// The values of the function there; one for a scalar function.
    pub values: &'a [f64],
}

impl Differences {
    /// Central differences with the default step of each dtype.
    pub fn central() -> Self {
        Differences { scheme: DifferenceScheme::Central, step: None }
    }

    /// Forward differences with the default step of each dtype.
    pub fn forward() -> Self {
        Differences { scheme: DifferenceScheme::Forward, step: None }
    }

    /// With that step for every element. It must be finite and above 0, and lead from each element to another number that
    /// its dtype holds, which is checked where it is used.
    pub fn step(self, step: f64) -> Self {
        Differences { step: Some(step), ..self }
    }

    /// Where the function is evaluated.
    pub fn scheme(&self) -> DifferenceScheme {
        self.scheme
    }

    /// The step for elements of that dtype.
    pub fn step_for(&self, dtype: DType) -> f64 {
        self.step.unwrap_or(match (self.scheme, dtype) {
            (DifferenceScheme::Forward, DType::F32) => 5e-4,
            (DifferenceScheme::Central, DType::F32) => 5e-3,
            (DifferenceScheme::Forward, DType::F64 | DType::I32 | DType::Bool) => 1e-7,
            (DifferenceScheme::Central, DType::F64 | DType::I32 | DType::Bool) => 1e-5,
        })
    }

    /// The gradient of `f` at `x`, one element at a time.
    ///
    /// Errors: a step that is not finite and above 0, too small to change an element, or too large for its dtype.
    pub fn gradient(&self, f: impl FnMut(&[f64]) -> f64, x: &[f64]) -> Result<Vec<f64>, CheckError> {
        self.gradient_observed(f, x, |_| {})
    }

    /// The gradient of `f` at `x`, with each probe shown to `observe`. Errors as [`Differences::gradient`].
    ///
    /// ```
    /// use arenagrad::check::Differences;
    ///
    /// let mut seen = Vec::new();
    /// let square = |x: &[f64]| x[0] * x[0];
    /// Differences::forward().step(0.5).gradient_observed(square, &[3.0], |probe| seen.push(probe.to_string()))?;
    /// assert_eq!(seen, ["x[0]: 3 -> 3.5, f: 9 -> 12.25, slope 6.5"]);
    /// # Ok::<(), arenagrad::Error>(())
    /// ```
    pub fn gradient_observed(
        &self,
        mut f: impl FnMut(&[f64]) -> f64,
        x: &[f64],
        observe: impl FnMut(&Probe<'_>),
    ) -> Result<Vec<f64>, CheckError> {
        self.try_gradient(|x| Ok(f(x)), x, observe)
    }

    /// The gradient at `x` of a function that can fail, with each probe shown to `observe`. The first failure ends it.
    ///
    /// Errors: the function's own, and those of [`Differences::gradient`].
    pub fn try_gradient<E: From<CheckError>>(
        &self,
        f: impl FnMut(&[f64]) -> Result<f64, E>,
        x: &[f64],
        mut observe: impl FnMut(&Probe<'_>),
    ) -> Result<Vec<f64>, E> {
        let shape = Shape::from([x.len()]);
        let mut argument = Argument { f, x: x.to_vec() };
        let step = self.step_for(DType::F64);
        let columns = self.slopes(&mut argument, &Moved { input: "x", shape: &shape, step }, &mut observe)?;
        Ok(columns.into_iter().flatten().collect())
    }

    /// The slopes of all values of a function by every element of what is moved: one row an element.
    pub(super) fn slopes<P: Movable>(
        &self,
        point: &mut P,
        moved: &Moved<'_>,
        observe: &mut dyn FnMut(&Probe<'_>),
    ) -> Result<Vec<Vec<f64>>, P::Error> {
        let &Moved { input, shape, step } = moved;
        if !(step.is_finite() && step > 0.0) {
            return Err(CheckError::Step { step }.into());
        }
        let elements = shape.elements();
        let here = match self.scheme {
            DifferenceScheme::Forward if elements > 0 => Some(point.evaluate()?),
            DifferenceScheme::Forward | DifferenceScheme::Central => None,
        };
        let mut rows = Vec::with_capacity(elements);
        for element in 0..elements {
            let old = point.element(element);
            let (lower_at, lower) = match &here {
                Some(values) => (old, values.clone()),
                None => {
                    let at = point.move_element(element, old - step)?;
                    (at, point.evaluate()?)
                }
            };
            let upper_at = point.move_element(element, old + step)?;
            let upper = point.evaluate()?;
            point.move_element(element, old)?;
            let distance = upper_at - lower_at;
            // An element that is NaN or infinite has no slope, which is what the difference of its neighbours says too.
            if distance == 0.0 {
                return Err(CheckError::StepVanishes { input: input.to_owned(), element, value: old, step }.into());
            }
            // Over an infinite distance every slope would be 0.
            if old.is_finite() && !distance.is_finite() {
                return Err(CheckError::StepOverflows { input: input.to_owned(), element, value: old, step }.into());
            }
            let slopes: Vec<f64> = upper.iter().zip(&lower).map(|(upper, lower)| (upper - lower) / distance).collect();
            observe(&Probe {
                input,
                element,
                index: &coordinates(shape, element),
                old,
                lower: Sample { at: lower_at, values: &lower },
                upper: Sample { at: upper_at, values: &upper },
                slopes: &slopes,
            });
            rows.push(slopes);
        }
        Ok(rows)
    }
}

impl Probe<'_> {
    /// How far that value of the function moved, upper minus lower; `None` past its last value.
    pub fn difference(&self, value: usize) -> Option<f64> {
        Some(self.upper.values.get(value)? - self.lower.values.get(value)?)
    }
}

impl fmt::Display for Probe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", Place { name: self.input, index: self.index })?;
        if self.lower.at == self.old {
            write!(f, "{} -> {}", self.old, self.upper.at)?;
        } else {
            write!(f, "{} -> {} and {}", self.old, self.lower.at, self.upper.at)?;
        }
        let (lower, upper) = (Values(self.lower.values), Values(self.upper.values));
        write!(f, ", f: {lower} -> {upper}, slope {}", Values(self.slopes))
    }
}

/// What is moved, and by how much.
pub(super) struct Moved<'a> {
    pub(super) input: &'a str,
    pub(super) shape: &'a Shape,
    pub(super) step: f64,
}

/// A point that can be moved along one element at a time.
pub(super) trait Movable {
    type Error: From<CheckError>;

    /// An element as it is now.
    fn element(&self, element: usize) -> f64;

    /// Sets an element, and returns what its dtype holds of the value.
    fn move_element(&mut self, element: usize, value: f64) -> Result<f64, Self::Error>;

    /// The values of the function at the point.
    fn evaluate(&mut self) -> Result<Vec<f64>, Self::Error>;
}

/// The argument of a closure.
struct Argument<F> {
    f: F,
    x: Vec<f64>,
}

impl<E: From<CheckError>, F: FnMut(&[f64]) -> Result<f64, E>> Movable for Argument<F> {
    type Error = E;

    fn element(&self, element: usize) -> f64 {
        self.x[element]
    }

    fn move_element(&mut self, element: usize, value: f64) -> Result<f64, E> {
        self.x[element] = value;
        Ok(value)
    }

    fn evaluate(&mut self) -> Result<Vec<f64>, E> {
        (self.f)(&self.x).map(|value| vec![value])
    }
}

/// The place along each axis of an element in row-major order.
pub(super) fn coordinates(shape: &Shape, element: usize) -> Vec<usize> {
    let strides = shape.strides();
    shape.iter().zip(&strides).map(|(&extent, &stride)| element / stride.max(1) % extent.max(1)).collect()
}

/// A name with an index behind it, if there is one: `loss`, `w[1, 2]`.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) index: &'a [usize],
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.index.is_empty() { Ok(()) } else { write!(f, "{:?}", self.index) }
    }
}

/// One number bare, several in brackets.
struct Values<'a>(&'a [f64]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [value] => write!(f, "{value}"),
            values => write!(f, "{values:?}"),
        }
    }
}
