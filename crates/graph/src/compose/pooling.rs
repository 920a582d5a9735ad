//! Pooling over the last one, two or three axes: largest elements, means and power means of windows, and pooling to given sizes.
//!
//! All of it is made of views: no tensor of windows is stored, neither on the way forward nor on the way back. Sizes that do not divide an
//! axis are the exception: their windows differ in length and are gathered, an axis at a time. Axes before those that are
//! pooled are left as they are: customarily a batch and channels, or channels alone.

mod adaptive;
mod along;
mod average;
mod maximum;
mod options;

use crate::compose::resample::{self, MOST_ROWS};
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::{AxisSet, Shape};

pub(crate) use adaptive::bounds;
pub(crate) use maximum::first_place;
pub use options::{PerAxis, Pooling};

macro_rules! pooling_methods {
    ($($axes:literal, $from:literal -> $to:literal, $sized:literal:
        $max:ident $max_with_indices:ident $avg:ident $lp:ident
        $adaptive_avg:ident $adaptive_max:ident $adaptive_max_with_indices:ident;)*) => {
        impl<'g> Expr<'g> {$(
            #[doc = concat!("The largest element of each window: `", $from, " -> ", $to, "`; without a batch the first axis is missing. Floats and i32.")]
            ///
            /// An axis of `n` elements has `(n + 2 padding - dilation (kernel - 1) - 1) / stride + 1` windows, rounded down, or up with
            /// [`Pooling::ceil_mode`]. Padding is never chosen. The gradient of a window goes to the first of its largest elements;
            /// NaN is the largest, and of several the last.
            ///
            /// Errors: another rank; a kernel, stride or dilation of 0; padding of more than half of the kernel; a window longer than
            #[doc = concat!("the padded axis; an axis without elements. PyTorch's `max_pool", $axes, "d`.")]
            ///
            /// ```
            /// # use arenagrad_graph::{Graph, Pooling};
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("let halved = x.", stringify!($max), "(2);")]
            #[doc = concat!("let padded = x.", stringify!($max), "(Pooling::new(3).stride(2).padding(1));")]
            /// assert_eq!(halved.shape()?.dims()[2..], padded.shape()?.dims()[2..]);
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $max(self, pooling: impl Into<Pooling>) -> Expr<'g> {
                let method = self.enter(stringify!($max));
                let pooling = pooling.into();
                self.graph().at(method.origin(), || self.max_pooled($axes, &pooling, false, stringify!($max)).0)
            }

            #[doc = concat!("[`Expr::", stringify!($max), "`], and i32 beside it: where each chosen element stands among all of its plane,")]
            /// row by row, as PyTorch's `return_indices` has it. A window of padding alone, which only a dilation can make, has a number
            /// that is no place.
            ///
            /// ```
            /// # use arenagrad_graph::Graph;
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("let (values, indices) = x.", stringify!($max_with_indices), "(2);")]
            /// assert_eq!(values.shape()?, indices.shape()?);
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $max_with_indices(self, pooling: impl Into<Pooling>) -> (Expr<'g>, Expr<'g>) {
                let method = self.enter(stringify!($max_with_indices));
                let pooling = pooling.into();
                self.graph().at(method.origin(), || {
                    let (values, places) = self.max_pooled($axes, &pooling, true, stringify!($max_with_indices));
                    let places = places.unwrap_or(values);
                    method.gives(&[values, places]);
                    (values, places)
                })
            }

            #[doc = concat!("The mean of each window: `", $from, " -> ", $to, "`; without a batch the first axis is missing. Floats.")]
            ///
            #[doc = concat!("Windows stand as for [`Expr::", stringify!($max), "`]. A mean divides by the number of elements of its window, padding")]
            /// among them unless [`Pooling::count_include_pad`] says otherwise, or by [`Pooling::divisor`]. The gradient of an
            /// element is the sum of what the windows that hold it get, each divided alike.
            ///
            #[doc = concat!("Errors: those of [`Expr::", stringify!($max), "`]; a dilation other than 1; a divisor of 0. PyTorch's `avg_pool", $axes, "d`.")]
            ///
            /// ```
            /// # use arenagrad_graph::{Graph, Pooling};
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("let smoothed = x.", stringify!($avg), "(Pooling::new(3).stride(1).padding(1).count_include_pad(false));")]
            /// assert_eq!(smoothed.shape()?, x.shape()?);
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $avg(self, pooling: impl Into<Pooling>) -> Expr<'g> {
                let method = self.enter(stringify!($avg));
                let pooling = pooling.into();
                self.graph().at(method.origin(), || self.avg_pooled($axes, &pooling, stringify!($avg)))
            }

            #[doc = concat!("The p-norm of each window, `(sum of x^p)^(1/p)`: `", $from, " -> ", $to, "`. Floats.")]
            ///
            /// As PyTorch has it, a window that passes the end has a sum brought to that of a whole one. `x^p` is taken as it is: a
            /// negative sum gives NaN for most `p`; where the sum is 0 the derivative is 0 for a `p` from 1 on.
            ///
            #[doc = concat!("Errors: those of [`Expr::", stringify!($avg), "`]; padding; a `p` of 0 or that is not finite. PyTorch's `lp_pool", $axes, "d`.")]
            ///
            /// ```
            /// # use arenagrad_graph::Graph;
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("let lengths = x.", stringify!($lp), "(2.0, 4);")]
            /// assert_eq!(lengths.shape()?[2], 2);
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $lp(self, p: f64, pooling: impl Into<Pooling>) -> Expr<'g> {
                let method = self.enter(stringify!($lp));
                let pooling = pooling.into();
                self.graph().at(method.origin(), || self.lp_pooled($axes, p, &pooling, stringify!($lp)))
            }

            #[doc = concat!("Means of so many windows as `size` says: `", $from, " -> ", $sized, "`; without a batch the first axis is missing. Floats.")]
            ///
            /// Window `i` of `m` along an axis of `n` elements goes from `i n / m`, rounded down, to `(i + 1) n / m`, rounded up; neighbours
            /// may share elements. The gradient of an element is the sum over its windows, each divided by its size.
            ///
            #[doc = concat!("Errors: another rank; an axis without elements. PyTorch's `adaptive_avg_pool", $axes, "d`, whose `None` for a size is the axis's own extent.")]
            ///
            /// ```
            /// # use arenagrad_graph::Graph;
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("assert_eq!(x.", stringify!($adaptive_avg), "(3).shape()?[2..], [3; ", $axes, "]);")]
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $adaptive_avg(self, size: impl Into<PerAxis>) -> Expr<'g> {
                let method = self.enter(stringify!($adaptive_avg));
                let size = size.into();
                self.graph().at(method.origin(), || self.adaptive_averages($axes, &size, stringify!($adaptive_avg)))
            }

            #[doc = concat!("The largest element of each of so many windows as `size` says: `", $from, " -> ", $sized, "`. Floats and i32.")]
            ///
            #[doc = concat!("Windows are those of [`Expr::", stringify!($adaptive_avg), "`], the chosen element and its gradient those of [`Expr::", stringify!($max), "`].")]
            ///
            #[doc = concat!("Errors: another rank; an axis without elements. PyTorch's `adaptive_max_pool", $axes, "d`.")]
            ///
            /// ```
            /// # use arenagrad_graph::Graph;
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("assert_eq!(x.", stringify!($adaptive_max), "(3).shape()?[2..], [3; ", $axes, "]);")]
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $adaptive_max(self, size: impl Into<PerAxis>) -> Expr<'g> {
                let method = self.enter(stringify!($adaptive_max));
                let size = size.into();
                self.graph().at(method.origin(), || self.adaptive_largest($axes, &size, false, stringify!($adaptive_max)).0)
            }

            #[doc = concat!("[`Expr::", stringify!($adaptive_max), "`], and i32 beside it: where each chosen element stands among all of its plane,")]
            /// row by row, as PyTorch's `return_indices` has it.
            ///
            /// ```
            /// # use arenagrad_graph::Graph;
            /// let g = Graph::new();
            #[doc = concat!("let x = g.input(\"x\", vec![8; ", $axes, " + 2]);")]
            #[doc = concat!("let (values, indices) = x.", stringify!($adaptive_max_with_indices), "(3);")]
            /// assert_eq!(values.shape()?, indices.shape()?);
            /// # Ok::<(), arenagrad_graph::GraphError>(())
            /// ```
            #[track_caller]
            pub fn $adaptive_max_with_indices(self, size: impl Into<PerAxis>) -> (Expr<'g>, Expr<'g>) {
                let method = self.enter(stringify!($adaptive_max_with_indices));
                let size = size.into();
                self.graph().at(method.origin(), || {
                    let (values, places) =
                        self.adaptive_largest($axes, &size, true, stringify!($adaptive_max_with_indices));
                    let places = places.unwrap_or(values);
                    method.gives(&[values, places]);
                    (values, places)
                })
            }
        )*}
    };
}

pooling_methods! {
    1, "[n, c, w]" -> "[n, c, ow]", "[n, c, size]": max_pool1d max_pool1d_with_indices avg_pool1d lp_pool1d
        adaptive_avg_pool1d adaptive_max_pool1d adaptive_max_pool1d_with_indices;
    2, "[n, c, h, w]" -> "[n, c, oh, ow]", "[n, c, size, size]": max_pool2d max_pool2d_with_indices avg_pool2d lp_pool2d
        adaptive_avg_pool2d adaptive_max_pool2d adaptive_max_pool2d_with_indices;
    3, "[n, c, d, h, w]" -> "[n, c, od, oh, ow]", "[n, c, size, size, size]": max_pool3d max_pool3d_with_indices avg_pool3d
        lp_pool3d adaptive_avg_pool3d adaptive_max_pool3d adaptive_max_pool3d_with_indices;
}

impl<'g> Expr<'g> {
    /// The mean of each channel: `[n, c, ..] -> [n, c]`. Floats. Without elements behind the channels it is NaN.
    ///
    /// Errors: a rank below 3.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 16, 7, 7]);
    /// assert_eq!(x.global_avg_pool().shape()?.dims(), &[2, 16]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn global_avg_pool(self) -> Expr<'g> {
        let method = self.enter("global_avg_pool");
        match self.behind_channels("global_avg_pool", method.origin()) {
            Some(axes) => self.mean(axes),
            None => Expr::poisoned(self.graph()),
        }
    }

    /// The largest element of each channel: `[n, c, ..] -> [n, c]`. Floats and i32. The gradient goes to the first of the largest elements,
    /// as in [`Expr::max_pool2d`].
    ///
    /// Errors: a rank below 3; an axis behind the channels that has no elements.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 16, 7, 7]);
    /// assert_eq!(x.global_max_pool().shape()?.dims(), &[2, 16]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn global_max_pool(self) -> Expr<'g> {
        let method = self.enter("global_max_pool");
        let origin = method.origin();
        if self.behind_channels("global_max_pool", origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        let Some(shape) = self.read("global_max_pool", origin, |_, node| node.shape.clone()) else { return self };
        let plane = shape[2..].iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
        let pooling = Pooling::new(plane.max(1));
        self.graph().at(origin, || {
            let flat = self.reshape([shape[0], shape[1], plane]);
            flat.max_pooled(1, &pooling, false, "global_max_pool").0.reshape([shape[0], shape[1]])
        })
    }

    /// The axes behind batch and channels.
    fn behind_channels(self, op: &'static str, origin: Origin) -> Option<AxisSet> {
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let rank = shape.rank();
        if rank >= 3 {
            return Some((2..rank).collect());
        }
        let (operand, expected) = (self.describe(), "rank 3 or more".to_owned());
        self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected })
    }

    /// Shape and dtype of what is pooled over its last axes: with channels in front of these, or a batch of such.
    fn pooled_shape(self, axes: usize, op: &'static str) -> Option<(Shape, DType)> {
        let origin = self.graph().origin_or(Origin::here());
        let (shape, dtype) = self.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        let rank = shape.rank();
        if rank == axes + 1 || rank == axes + 2 {
            return Some((shape, dtype));
        }
        let (operand, expected) = (self.describe(), format!("rank {} or {}", axes + 1, axes + 2));
        self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected })
    }

    /// Refuses what holds no floats, and with `or_integers` what holds no numbers.
    fn pooled_dtype(self, dtype: DType, or_integers: bool, op: &'static str) -> Option<()> {
        let is_taken = match dtype {
            DType::F32 | DType::F64 => true,
            DType::I32 => or_integers,
            DType::Bool => false,
        };
        if is_taken {
            return Some(());
        }
        let origin = self.graph().origin_or(Origin::here());
        let expected = if or_integers { "a float or i32" } else { "a float" };
        self.fail_without(GraphError::DType { origin, op, operand: self.describe(), dtype, expected })
    }

    /// The largest elements of windows over the last axes, and their places if they are asked for.
    fn max_pooled(
        self,
        axes: usize,
        pooling: &Pooling,
        with_places: bool,
        op: &'static str,
    ) -> (Expr<'g>, Option<Expr<'g>>) {
        let poisoned = (Expr::poisoned(self.graph()), None);
        let origin = self.graph().origin_or(Origin::here());
        let Some((shape, dtype)) = self.pooled_shape(axes, op) else { return poisoned };
        if self.pooled_dtype(dtype, true, op).is_none() {
            return poisoned;
        }
        let windows = along::along_last(self, &shape, axes, pooling, op);
        let windows = windows.and_then(|windows| maximum::check_plane(&shape, &windows, op, origin).map(|()| windows));
        match windows {
            Ok(windows) => {
                let places = with_places.then(|| maximum::places_of_largest(self, &shape, dtype, &windows));
                (maximum::largest(self, &shape, dtype, &windows), places)
            }
            Err(error) => (self.fail(error), None),
        }
    }

    /// The means of windows over the last axes.
    fn avg_pooled(self, axes: usize, pooling: &Pooling, op: &'static str) -> Expr<'g> {
        let Some((shape, dtype)) = self.pooled_shape(axes, op) else { return Expr::poisoned(self.graph()) };
        if self.pooled_dtype(dtype, false, op).is_none() {
            return Expr::poisoned(self.graph());
        }
        if let Some(divisor) = pooling.divisor.filter(|&divisor| divisor == 0.0 || divisor.is_nan()) {
            return self.graph().refuse(op, "the divisor", divisor, "a number other than 0");
        }
        match along::along_last(self, &shape, axes, pooling, op) {
            Ok(windows) => {
                if let Some(along) = windows.iter().find(|along| along.dilation != 1) {
                    return self.graph().refuse(op, "the dilation", along.dilation as f64, "a dilation of 1");
                }
                average::average(self, &shape, dtype, &windows, pooling)
            }
            Err(error) => self.fail(error),
        }
    }

    /// `(sum of x^p)^(1/p)` of windows over the last axes.
    fn lp_pooled(self, axes: usize, p: f64, pooling: &Pooling, op: &'static str) -> Expr<'g> {
        let graph = self.graph();
        if p == 0.0 || !p.is_finite() {
            return graph.refuse(op, "p", p, "a finite number other than 0");
        }
        let origin = graph.origin_or(Origin::here());
        let of_axes = |what, numbers: &PerAxis| along::numbers_of(op, what, numbers, axes, origin);
        let kernels = of_axes("the number of kernel extents", &pooling.kernel);
        let paddings = of_axes("the number of paddings", &pooling.padding);
        match (kernels, paddings) {
            (Ok(kernels), Ok(paddings)) => {
                if let Some(&padding) = paddings.iter().find(|&&padding| padding > 0) {
                    return graph.refuse(op, "the padding", padding as f64, "a padding of 0");
                }
                if let Some(divisor) = pooling.divisor {
                    return graph.refuse(op, "the divisor", divisor, "no divisor, for a norm is no mean");
                }
                let elements = kernels.iter().fold(1.0, |product, &kernel| product * kernel as f64);
                let mean = self.powf(p).avg_pooled(axes, pooling, op);
                let sums = mean * elements;
                if p < 0.0 {
                    return sums.powf(1.0 / p);
                }
                // The root has an infinite derivative at 0: there it is taken of 1, and the derivative of windows of zeros is 0.
                let is_zero = mean.equal(0.0);
                is_zero.where_(0.0, is_zero.where_(1.0, sums).powf(1.0 / p))
            }
            (Err(error), _) | (_, Err(error)) => self.fail(error),
        }
    }

    /// One size for each axis that is pooled, none of them without elements.
    fn adaptive_sizes(self, shape: &Shape, axes: usize, size: &PerAxis, op: &'static str) -> Option<Vec<usize>> {
        let origin = self.graph().origin_or(Origin::here());
        let sizes = match along::numbers_of(op, "the number of sizes", size, axes, origin) {
            Ok(sizes) => sizes.to_vec(),
            Err(error) => return self.fail_without(error),
        };
        let first = shape.rank() - axes;
        for (axis, &extent) in shape.iter().enumerate().skip(first) {
            if extent == 0 {
                let (operand, shape) = (self.describe(), shape.clone());
                return self.fail_without(GraphError::EmptyAxis {
                    origin,
                    op,
                    function: "windows",
                    operand,
                    shape,
                    axis,
                });
            }
        }
        let plane = |extents: &[usize]| extents.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let is_small = |elements: Option<usize>| elements.is_some_and(|elements| i32::try_from(elements).is_ok());
        if let Some(&size) = sizes.iter().find(|&&size| size > MOST_ROWS) {
            let (what, value, expected) = ("the size of an axis", size as f64, "at most 16777216");
            return self.fail_without(GraphError::Argument { origin, op, what, value, expected });
        }
        if is_small(plane(&shape[first..])) && is_small(plane(&sizes)) {
            return Some(sizes);
        }
        self.fail_without(GraphError::TooManyElements { origin, op, shape: shape.clone() })
    }

    /// An expression whose pooled axes have these extents, of which some are 0.
    fn without_windows(self, shape: &Shape, sizes: &[usize], dtype: DType) -> Expr<'g> {
        let first = shape.rank() - sizes.len();
        let empty: Shape = shape[..first].iter().chain(sizes).copied().collect();
        // Connected to the operand, whose gradient is 0.
        let none = self.flatten().slice(0, 0, 0).reshape(empty);
        none.cast(dtype)
    }

    fn adaptive_averages(self, axes: usize, size: &PerAxis, op: &'static str) -> Expr<'g> {
        let poisoned = Expr::poisoned(self.graph());
        let Some((shape, dtype)) = self.pooled_shape(axes, op) else { return poisoned };
        if self.pooled_dtype(dtype, false, op).is_none() {
            return poisoned;
        }
        let Some(sizes) = self.adaptive_sizes(&shape, axes, size, op) else { return poisoned };
        if sizes.contains(&0) {
            return self.without_windows(&shape, &sizes, dtype);
        }
        if let Some(windows) = adaptive::tiles(&shape, &sizes) {
            return average::average(self, &shape, dtype, &windows, &Pooling::new(1));
        }
        let first = shape.rank() - axes;
        let mut result = self;
        for place in resample::order(shape[first..].iter().copied().zip(sizes.iter().copied())) {
            let (extent, count) = (shape[first + place], sizes[place]);
            if count != extent {
                result = result.resampled(first + place, &adaptive::means(extent, count));
            }
        }
        result
    }

    fn adaptive_largest(
        self,
        axes: usize,
        size: &PerAxis,
        with_places: bool,
        op: &'static str,
    ) -> (Expr<'g>, Option<Expr<'g>>) {
        let poisoned = (Expr::poisoned(self.graph()), None);
        let Some((shape, dtype)) = self.pooled_shape(axes, op) else { return poisoned };
        if self.pooled_dtype(dtype, true, op).is_none() {
            return poisoned;
        }
        let Some(sizes) = self.adaptive_sizes(&shape, axes, size, op) else { return poisoned };
        if sizes.contains(&0) {
            let values = self.without_windows(&shape, &sizes, dtype);
            return (values, with_places.then(|| self.without_windows(&shape, &sizes, DType::I32)));
        }
        if let Some(windows) = adaptive::tiles(&shape, &sizes) {
            let places = with_places.then(|| maximum::places_of_largest(self, &shape, dtype, &windows));
            return (maximum::largest(self, &shape, dtype, &windows), places);
        }
        if !dtype.is_float() {
            let (values, places) = adaptive::chosen(self, &shape, &sizes);
            return (values, Some(places));
        }
        let places = with_places.then(|| adaptive::chosen(self, &shape, &sizes).1);
        (self.graph().apply(&adaptive::AdaptiveLargest { shape, sizes }, &[self]), places)
    }
}
