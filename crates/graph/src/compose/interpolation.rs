//! Resizing the axes behind batch and channels: PyTorch's `interpolate`.
//!
//! Every mode is separable and linear in the elements, so it is a table of weights an axis, one axis after the other. Repetition a whole
//! number of times is a view, and so is every so many-th element.
//!
//! Where an element of the result lies among those of the operand, in their numbers: `j = (i + 1/2) scale - 1/2`, with a `scale` of `n / m`;
//! with aligned corners `j = i (n - 1) / (m - 1)`, so that the outermost elements stay where they are.
//!
//! Not built: antialiasing, which PyTorch has for two modes.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

use super::pooling::{PerAxis, bounds};
use super::resample::{self, MOST_ROWS, Table};

/// How elements between those of the operand are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum InterpolationMode {
    /// The element at `i scale`, rounded down: PyTorch's `nearest`, which lies half an element off.
    #[default]
    Nearest,
    /// The element nearest to `(i + 1/2) scale - 1/2`: PyTorch's `nearest-exact`.
    NearestExact,
    /// Of the two neighbours along each axis, by their distance: PyTorch's `linear`, `bilinear` and `trilinear`.
    Linear,
    /// Of the four neighbours along each axis, by cubic convolution with `a = -3/4` (Keys 1981): PyTorch's `bicubic`.
    Cubic,
    /// The mean of the elements that an element of the result covers: PyTorch's `area`.
    Area,
}

/// To what size, and how: PyTorch's arguments with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpolation {
    size: Size,
    mode: InterpolationMode,
    align_corners: bool,
    recompute_scale_factor: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Size {
    Extents(PerAxis),
    Factors(Vec<f64>),
}

impl Interpolation {
    /// To these extents: one number for all axes behind the channels, or one for each.
    pub fn to_size(size: impl Into<PerAxis>) -> Self {
        Interpolation::of(Size::Extents(size.into()))
    }

    /// To `factor` times the extents, rounded down.
    pub fn by_factor(factor: f64) -> Self {
        Interpolation::by_factors([factor])
    }

    /// To a factor of its own for each axis behind the channels, or one for all.
    pub fn by_factors(factors: impl AsRef<[f64]>) -> Self {
        Interpolation::of(Size::Factors(factors.as_ref().to_vec()))
    }

    fn of(size: Size) -> Self {
        let mode = InterpolationMode::default();
        Interpolation { size, mode, align_corners: false, recompute_scale_factor: false }
    }

    /// How elements in between are made.
    #[must_use]
    pub fn mode(self, mode: InterpolationMode) -> Self {
        Interpolation { mode, ..self }
    }

    /// Whether the outermost elements stay where they are, of the modes [`InterpolationMode::Linear`] and [`InterpolationMode::Cubic`].
    #[must_use]
    pub fn align_corners(self, align_corners: bool) -> Self {
        Interpolation { align_corners, ..self }
    }

    /// Whether the scale is computed from the rounded extents instead of taken from the factors.
    #[must_use]
    pub fn recompute_scale_factor(self, recompute_scale_factor: bool) -> Self {
        Interpolation { recompute_scale_factor, ..self }
    }
}

/// How an axis is resized.
#[derive(Clone, Copy, Debug)]
struct Resized {
    extent: usize,
    count: usize,
    /// The distance of neighbours of the result among elements of the operand, if it is not that of the extents.
    scale: Option<f64>,
}

impl<'g> Expr<'g> {
    /// The axes behind batch and channels at another size: `[n, c, ..] -> [n, c, ..]`. Floats.
    ///
    /// Every element of the result is a weighted sum of elements of the operand, with weights that [`InterpolationMode`] says; an index past an
    /// end is that of the end. The gradient is the transposed sum.
    ///
    /// Errors: a rank below 3; another number of extents or factors than one, or one for each axis; a size of 0, or a factor that is not
    /// above 0; an axis without elements; aligned corners of a mode that has none. PyTorch's `F.interpolate`.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, Interpolation, InterpolationMode};
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 3, 8, 8]);
    /// let twice = x.interpolate(Interpolation::by_factor(2.0));
    /// let smooth = x.interpolate(Interpolation::to_size([5, 12]).mode(InterpolationMode::Linear).align_corners(true));
    /// assert_eq!(twice.shape()?.dims(), &[1, 3, 16, 16]);
    /// assert_eq!(smooth.shape()?.dims(), &[1, 3, 5, 12]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn interpolate(self, interpolation: Interpolation) -> Expr<'g> {
        let method = self.enter("interpolate");
        self.graph().at(method.origin(), || self.interpolated(&interpolation, "interpolate"))
    }

    /// [`Expr::interpolate`] by [`InterpolationMode::Nearest`], to a size or by factors: `[n, c, ..] -> [n, c, ..]`. PyTorch's
    /// `F.upsample_nearest`.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, Interpolation};
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 3, 8, 8]);
    /// assert_eq!(x.upsample_nearest(Interpolation::by_factor(2.0)).shape()?.dims(), &[1, 3, 16, 16]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn upsample_nearest(self, size: Interpolation) -> Expr<'g> {
        let method = self.enter("upsample_nearest");
        let interpolation = size.mode(InterpolationMode::Nearest).align_corners(false);
        self.graph().at(method.origin(), || self.interpolated(&interpolation, "upsample_nearest"))
    }

    /// [`Expr::interpolate`] by [`InterpolationMode::Linear`] with aligned corners, to a size or by factors:
    /// `[n, c, h, w] -> [n, c, h, w]`. PyTorch's `F.upsample_bilinear`.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, Interpolation};
    /// let g = Graph::new();
    /// let x = g.input("x", [1, 3, 8, 8]);
    /// assert_eq!(x.upsample_bilinear(Interpolation::to_size(15)).shape()?.dims(), &[1, 3, 15, 15]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn upsample_bilinear(self, size: Interpolation) -> Expr<'g> {
        let method = self.enter("upsample_bilinear");
        let origin = method.origin();
        let Some(shape) = self.read("upsample_bilinear", origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank != 4 {
            let (op, operand, expected) = ("upsample_bilinear", self.describe(), "rank 4".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let interpolation = size.mode(InterpolationMode::Linear).align_corners(true);
        self.graph().at(origin, || self.interpolated(&interpolation, "upsample_bilinear"))
    }

    fn interpolated(self, interpolation: &Interpolation, op: &'static str) -> Expr<'g> {
        let origin = self.graph().origin_or(Origin::here());
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        let rank = shape.rank();
        if rank < 3 {
            let (operand, expected) = (self.describe(), "rank 3 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let resized = match self.resized(&shape, interpolation, op, origin) {
            Ok(resized) => resized,
            Err(error) => return self.fail(error),
        };
        let mut result = self;
        for place in resample::order(resized.iter().map(|axis| (axis.extent, axis.count))) {
            if let Some(table) = resized[place].table(interpolation, dtype) {
                result = result.resampled(2 + place, &table);
            }
        }
        result
    }

    /// How each axis behind the channels is resized.
    fn resized(
        self,
        shape: &Shape,
        interpolation: &Interpolation,
        op: &'static str,
        origin: Origin,
    ) -> Result<Vec<Resized>, GraphError> {
        let argument = |what, value: f64, expected| Err(GraphError::Argument { origin, op, what, value, expected });
        let axes = shape.rank() - 2;
        if interpolation.align_corners {
            match interpolation.mode {
                InterpolationMode::Linear | InterpolationMode::Cubic => {}
                InterpolationMode::Nearest | InterpolationMode::NearestExact | InterpolationMode::Area => {
                    return argument("align_corners", 1.0, "false for a mode without corners");
                }
            }
        }
        let one_or_each = "one number, or one for each axis behind the channels,";
        let counts: Vec<(usize, Option<f64>)> = match &interpolation.size {
            Size::Extents(extents) => match extents.of(axes) {
                Ok(extents) => extents.iter().map(|&extent| (extent, None)).collect(),
                Err(given) => return argument("the number of extents", given as f64, one_or_each),
            },
            Size::Factors(factors) => {
                if factors.len() != 1 && factors.len() != axes {
                    return argument("the number of factors", factors.len() as f64, one_or_each);
                }
                let mut counts = Vec::with_capacity(axes);
                for (place, &extent) in shape[2..].iter().enumerate() {
                    let factor = if factors.len() == 1 { factors[0] } else { factors[place] };
                    if !factor.is_finite() || factor <= 0.0 {
                        return argument("a factor", factor, "a number above 0");
                    }
                    let count = (extent as f64 * factor).floor();
                    counts.push((count as usize, (!interpolation.recompute_scale_factor).then_some(1.0 / factor)));
                }
                counts
            }
        };
        let mut resized = Vec::with_capacity(axes);
        for (place, (count, scale)) in counts.into_iter().enumerate() {
            let extent = shape[2 + place];
            if count == 0 {
                return argument("the size of an axis", 0.0, "a size of at least 1");
            }
            if extent == 0 {
                let (operand, shape, axis) = (self.describe(), shape.clone(), 2 + place);
                return Err(GraphError::EmptyAxis { origin, op, function: "values in between", operand, shape, axis });
            }
            // Each element of an axis has a row of a table of weights.
            if count.max(extent) > MOST_ROWS {
                return argument("the size of an axis", count.max(extent) as f64, "at most 16777216");
            }
            // A mean of what is covered knows extents alone.
            let scale = if interpolation.mode == InterpolationMode::Area { None } else { scale };
            resized.push(Resized { extent, count, scale });
        }
        Ok(resized)
    }
}

impl Resized {
    /// The weights of this axis; none if it stays as it is.
    fn table(self, interpolation: &Interpolation, dtype: DType) -> Option<Table> {
        let Resized { extent, count, scale } = self;
        let last = extent - 1;
        let ratio = scale.unwrap_or(extent as f64 / count as f64);
        // PyTorch's scale is of the dtype, which decides where a place falls between two elements.
        let is_rounded = interpolation.mode == InterpolationMode::NearestExact && dtype == DType::F32;
        let ratio = if is_rounded { f64::from(ratio as f32) } else { ratio };
        // Where elements are whole steps apart, everything falls on elements.
        let is_same = extent == count
            && (scale.is_none()
                || scale == Some(1.0)
                || interpolation.align_corners
                || interpolation.mode == InterpolationMode::Linear);
        if is_same {
            return None;
        }
        let at = |number: usize| {
            if !interpolation.align_corners {
                ratio * (number as f64 + 0.5) - 0.5
            } else if count > 1 {
                number as f64 * (last as f64 / (count - 1) as f64)
            } else {
                0.0
            }
        };
        let whole = |element: f32| vec![((element.floor() as usize).min(last), 1.0)];
        let row = |number: usize| match interpolation.mode {
            // As PyTorch has it: a product of the dtype, rounded to f32 before it is rounded down, so that 2.9999999999 is 3.
            InterpolationMode::Nearest if dtype == DType::F64 => whole((number as f64 * ratio) as f32),
            InterpolationMode::Nearest => whole(number as f32 * ratio as f32),
            InterpolationMode::NearestExact => whole(at(number).max(0.0) as f32 + 0.5),
            InterpolationMode::Linear => {
                let at = at(number).max(0.0);
                let low = (at.floor() as usize).min(last);
                let share = (at - low as f64).clamp(0.0, 1.0);
                if low == last { vec![(low, 1.0)] } else { vec![(low, 1.0 - share), (low + 1, share)] }
            }
            InterpolationMode::Cubic => {
                let at = at(number);
                let low = at.floor().min(last as f64);
                let weights = cubic_weights((at - low).clamp(0.0, 1.0));
                let element = |tap: usize| (low + tap as f64 - 1.0).clamp(0.0, last as f64) as usize;
                weights.into_iter().enumerate().map(|(tap, weight)| (element(tap), weight)).collect()
            }
            InterpolationMode::Area => {
                let (start, end) = bounds(number, extent, count);
                (start..end).map(|element| (element, 1.0 / (end - start) as f64)).collect()
            }
        };
        Some(Table::new(extent, (0..count).map(row)))
    }
}

/// The weights of the four elements around a place `t` past the second, by cubic convolution with `a = -3/4`.
fn cubic_weights(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}
