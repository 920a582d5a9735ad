//! Sampling an image where a grid says, and the grid of an affine map: spatial transformers (Jaderberg et al. 2015).
//!
//! A coordinate of -1 is one end of an axis and 1 the other: the middles of the outermost elements with aligned corners, else their outer
//! edges. The last number of a point belongs to the last axis. Elements are gathered by indices that are computed, and weighted by how far
//! the point is from them; gradients by the image are scattered to the same places, those by the grid go through the weights.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

/// How a value between elements is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum GridMode {
    /// Of the two neighbours along each axis, by their distance; PyTorch's `bilinear`, also along three axes.
    #[default]
    Linear,
    /// The nearest element, halves to the even one.
    Nearest,
    /// Of the four neighbours along each axis, by cubic convolution with `a = -3/4`; PyTorch's `bicubic`, also along three axes.
    Cubic,
}

/// What is outside of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum GridPadding {
    /// Zeros.
    #[default]
    Zeros,
    /// The nearest element of the border.
    Border,
    /// The image mirrored at its ends, as often as it takes.
    Reflection,
}

/// How a grid is sampled: PyTorch's arguments of `grid_sample`, with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct GridSample {
    /// How a value between elements is made.
    pub mode: GridMode,
    /// What is outside of the image.
    pub padding: GridPadding,
    /// Whether -1 and 1 are the middles of the outermost elements instead of their outer edges.
    pub align_corners: bool,
}

/// One axis of the image beside the coordinates of all points along it.
#[derive(Clone, Copy)]
struct Axis<'g> {
    extent: usize,
    /// In numbers of elements, of shape `[n, 1, points]`.
    at: Expr<'g>,
}

/// An element along one axis for each point, and its weight.
#[derive(Clone, Copy)]
struct Tap<'g> {
    /// A whole number as a float, perhaps outside of the axis.
    element: Expr<'g>,
    weight: Option<Expr<'g>>,
}

impl<'g> Expr<'g> {
    /// The image where the points of `grid` are: `[n, c, h, w] x [n, oh, ow, 2] -> [n, c, oh, ow]`, or of volumes
    /// `[n, c, d, h, w] x [n, od, oh, ow, 3] -> [n, c, od, oh, ow]`. Floats of one dtype.
    ///
    /// A point is `(x, y)`, or `(x, y, z)`: `x` along the last axis, from -1 to 1. Gradients flow to the image and, but for
    /// [`GridMode::Nearest`], to the grid; where a point is brought to the border that by its coordinate is 0.
    ///
    /// Errors: other ranks; other batches; points of another number of coordinates; dtypes that differ; an
    /// axis of the image without elements. PyTorch's `F.grid_sample`.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, GridSample, GridPadding};
    /// let g = Graph::new();
    /// let (image, theta) = (g.input("image", [1, 3, 8, 8]), g.input("theta", [1, 2, 3]));
    /// let grid = theta.affine_grid([6, 7], false);
    /// let y = image.grid_sample(grid, GridSample { padding: GridPadding::Border, ..GridSample::default() });
    /// assert_eq!(y.shape()?.dims(), &[1, 3, 6, 7]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn grid_sample(self, grid: Expr<'g>, options: GridSample) -> Expr<'g> {
        let method = self.enter("grid_sample");
        let origin = method.origin();
        match self.sampled_shapes(grid, origin) {
            Some((image, points)) => self.graph().at(origin, || self.sampled(&image, grid, &points, options)),
            None => Expr::poisoned(self.graph()),
        }
    }

    /// The points that an affine map sends those of an image of that size to: `[n, 2, 3] -> [n, h, w, 2]` for a size of two extents, or
    /// `[n, 3, 4] -> [n, d, h, w, 3]` for one of three. Floats.
    ///
    /// The point of each element is `theta (x, y, 1)`, with `x` and `y` evenly from -1 to 1: the middles of the outermost elements with
    /// aligned corners, else their outer edges. Errors: another size or shape. PyTorch's `F.affine_grid`, without the batch and channels
    /// in its size.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let theta = g.input("theta", [4, 2, 3]);
    /// assert_eq!(theta.affine_grid([5, 6], false).shape()?.dims(), &[4, 5, 6, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn affine_grid(self, size: impl AsRef<[usize]>, align_corners: bool) -> Expr<'g> {
        let method = self.enter("affine_grid");
        let (origin, op, size) = (method.origin(), "affine_grid", size.as_ref());
        let Some((shape, dtype)) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype)) else {
            return self;
        };
        let axes = size.len();
        if axes != 2 && axes != 3 {
            return self.graph().refuse(op, "the number of extents", axes as f64, "2 or 3");
        }
        if shape.rank() != 3 {
            let (operand, rank, expected) = (self.describe(), shape.rank(), "rank 3".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let wanted = Shape::from([shape[0], axes, axes + 1]);
        if shape != wanted {
            let (lhs, rhs) = (self.describe(), "the affine map of such a size".to_owned());
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape: shape, rhs, rhs_shape: wanted });
        }
        if !dtype.is_float() {
            let (operand, expected) = (self.describe(), "a float");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        self.graph().at(origin, || {
            // Each column of the map beside the points: [n, 1, 1, axes].
            let mut extents = vec![1; axes + 2];
            (extents[0], extents[axes + 1]) = (shape[0], axes);
            let column = |number: usize| self.slice(2, number, number + 1).reshape(extents.clone());
            let mut whole: Vec<usize> = [shape[0]].into_iter().chain(size.iter().copied()).collect();
            whole.push(axes);
            let mut points = column(axes).broadcast_to(whole);
            for (place, &extent) in size.iter().enumerate() {
                let mut along = vec![1; axes + 2];
                along[place + 1] = extent;
                let number = self.graph().iota(along, place + 1).cast(dtype);
                let at = if align_corners {
                    let steps = extent.saturating_sub(1).max(1) as f64;
                    // A single element is in the middle.
                    if extent == 1 { number } else { number * (2.0 / steps) - 1.0 }
                } else {
                    (number * 2.0 + 1.0) / extent.max(1) as f64 - 1.0
                };
                points = points + column(axes - 1 - place) * at;
            }
            points
        })
    }

    /// The shapes of image and grid, if they fit.
    fn sampled_shapes(self, grid: Expr<'g>, origin: Origin) -> Option<(Shape, Shape)> {
        let op = "grid_sample";
        self.same_graph(grid, op, origin)?;
        let (image, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let (points, other) = grid.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = image.rank();
        if rank != 4 && rank != 5 {
            let (operand, expected) = (self.describe(), "rank 4 or 5".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape: image, rank, expected });
        }
        if points.rank() != rank {
            let (operand, expected) = (grid.describe(), format!("rank {rank}, that of the image,"));
            let rank = points.rank();
            return self.fail_without(GraphError::Rank { origin, op, operand, shape: points, rank, expected });
        }
        for (operand, dtype) in [(self, dtype), (grid, other)] {
            if !dtype.is_float() {
                let (operand, expected) = (operand.describe(), "a float");
                return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
            }
        }
        if dtype != other {
            let (lhs, rhs) = (self.describe(), grid.describe());
            return self.fail_without(GraphError::DTypesDiffer { origin, op, lhs, left: dtype, rhs, right: other });
        }
        for (axis, wanted) in [(0, image[0]), (rank - 1, rank - 2)] {
            if points[axis] != wanted {
                let (lhs, rhs) = ("what the image needs".to_owned(), grid.describe());
                let lhs_shape = points.with_extent(axis, wanted);
                let (left, right) = (wanted, points[axis]);
                let (rhs_shape, lhs) = (points, lhs);
                return self.fail_without(GraphError::Extent {
                    origin,
                    op,
                    axis,
                    lhs,
                    lhs_shape,
                    rhs,
                    rhs_shape,
                    left,
                    right,
                });
            }
        }
        if let Some(axis) = (2..rank).find(|&axis| image[axis] == 0) {
            let (operand, function) = (self.describe(), "values in between");
            return self.fail_without(GraphError::EmptyAxis { origin, op, function, operand, shape: image, axis });
        }
        let plane = image[2..].iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        if plane.is_none_or(|plane| i32::try_from(plane).is_err()) {
            return self.fail_without(GraphError::TooManyElements { origin, op, shape: image });
        }
        Some((image, points))
    }

    fn sampled(self, image: &Shape, grid: Expr<'g>, points: &Shape, options: GridSample) -> Expr<'g> {
        let axes = image.rank() - 2;
        let count = points[1..=axes].iter().product();
        let flat = [image[0], 1, count];
        let plane: usize = image[2..].iter().product();
        let elements = self.reshape([image[0], image[1], plane]);
        // The first number of a point belongs to the last axis.
        let along: Vec<Axis<'g>> = (0..axes)
            .map(|place| {
                let extent = image[2 + place];
                let coordinate = grid.select_index(-1, axes - 1 - place).reshape(flat);
                let at = if options.align_corners {
                    (coordinate + 1.0) * ((extent - 1) as f64 / 2.0)
                } else {
                    ((coordinate + 1.0) * extent as f64 - 1.0) / 2.0
                };
                Axis { extent, at }
            })
            .collect();
        let taps: Vec<Vec<Tap<'g>>> = along.iter().map(|axis| axis.taps(options)).collect();
        let counts: Vec<usize> = taps.iter().map(Vec::len).collect();
        let mut sum: Option<Expr<'g>> = None;
        for number in 0..counts.iter().product() {
            let mut rest = number;
            let (mut place, mut weight, mut is_inside): (Option<Expr<'g>>, Option<Expr<'g>>, Option<Expr<'g>>) =
                (None, None, None);
            let mut stride = 1usize;
            for (axis, taps) in along.iter().zip(&taps).rev() {
                let tap = taps[rest % taps.len()];
                rest /= taps.len();
                // Bounds are compared as floats: a coordinate may be past what i32 holds.
                let last = (axis.extent - 1) as f64;
                let brought = tap.element.stop_gradient().clamp(Some(0.0), Some(last)).cast(DType::I32);
                // A neighbour past the last element has no part in a place on it, however large the element is that it is brought to.
                if options.padding == GridPadding::Zeros || options.mode == GridMode::Linear {
                    let here = tap.element.greater_equal(0.0) & tap.element.less_equal(last);
                    is_inside = Some(is_inside.map_or(here, |inside| inside & here));
                }
                let scaled = if stride == 1 { brought } else { brought * stride as f64 };
                place = Some(place.map_or(scaled, |place| place + scaled));
                weight = match (weight, tap.weight) {
                    (Some(weight), Some(own)) => Some(weight * own),
                    (weight, own) => weight.or(own),
                };
                stride *= axis.extent;
            }
            let Some(place) = place else { return self };
            let mut value = elements.gather(2, place.broadcast_to([image[0], image[1], count]));
            if let Some(is_inside) = is_inside {
                value = is_inside.where_(value, 0.0);
            }
            let term = weight.map_or(value, |weight| value * weight);
            sum = Some(sum.map_or(term, |sum| sum + term));
        }
        let result: Vec<usize> = image[..2].iter().chain(&points[1..=axes]).copied().collect();
        sum.map_or(self, |sum| sum.reshape(result))
    }
}

impl<'g> Axis<'g> {
    /// The elements that make a value along this axis.
    fn taps(&self, options: GridSample) -> Vec<Tap<'g>> {
        match options.mode {
            GridMode::Nearest => {
                vec![Tap { element: self.brought_inside(self.at, options).round(), weight: None }]
            }
            GridMode::Linear => {
                let at = self.brought_inside(self.at, options);
                let low = at.floor();
                let share = at - low;
                vec![Tap { element: low, weight: Some(1.0 - share) }, Tap { element: low + 1.0, weight: Some(share) }]
            }
            GridMode::Cubic => {
                let low = self.at.floor();
                let weights = cubic_weights(self.at - low);
                // Each of the four elements is brought inside, not the point between them.
                let element = |tap: usize| self.brought_inside(low.stop_gradient() + (tap as f64 - 1.0), options);
                weights
                    .into_iter()
                    .enumerate()
                    .map(|(tap, weight)| Tap { element: element(tap), weight: Some(weight) })
                    .collect()
            }
        }
    }

    /// Places of the axis in the place of those outside, with the derivatives that PyTorch has: 0 where a place is brought to the border.
    fn brought_inside(&self, at: Expr<'g>, options: GridSample) -> Expr<'g> {
        match options.padding {
            GridPadding::Zeros => at,
            GridPadding::Border => self.clipped(at),
            GridPadding::Reflection => {
                // Mirrors stand at the middles of the outermost elements, or at their outer edges.
                let (low, span) =
                    if options.align_corners { (0.0, (self.extent - 1) as f64) } else { (-0.5, self.extent as f64) };
                if span == 0.0 {
                    return at * 0.0;
                }
                let from_low = at - low;
                let distance = from_low.less(0.0).where_(-from_low, from_low);
                let times = (distance / span).floor();
                let rest = distance - times * span;
                let is_mirrored = (times - (times / 2.0).floor() * 2.0).equal(1.0);
                self.clipped(is_mirrored.where_((span + low) - rest, rest + low))
            }
        }
    }

    fn clipped(&self, at: Expr<'g>) -> Expr<'g> {
        let last = (self.extent - 1) as f64;
        let raised = at.less_equal(0.0).where_(0.0, at);
        raised.greater_equal(last).where_(last, raised)
    }
}

/// The weights of four elements around a place `t` past the second, by cubic convolution with `a = -3/4`.
fn cubic_weights<'g>(t: Expr<'g>) -> [Expr<'g>; 4] {
    const A: f64 = -0.75;
    let near = |x: Expr<'g>| ((x * (A + 2.0) - (A + 3.0)) * x) * x + 1.0;
    let far = |x: Expr<'g>| ((x * A - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}
