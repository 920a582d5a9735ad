//! Elements of one tensor in another arrangement: rolled, rotated, repeated, under other axes.
//!
//! All of it is made of views, and of concatenations where elements go round an end. Nothing is computed, so any dtype will do, and each
//! gradient is the same arrangement backwards.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::{AxisSet, MAX_RANK, Shape};

/// How many axes are repeated at once: each of them is two axes then, with another between it and the next.
const MOST_TILED: usize = (MAX_RANK - 1) / 3;

impl<'g> Expr<'g> {
    /// The elements moved by `shifts[i]` places along `axes[i]`; those that go past the end come in again at the start:
    /// `y[(j + shift) mod n] = x[j]`. Negative shifts move towards the start. Without axes (`[]`) there is one shift, of the elements in
    /// row-major order. (PyTorch's `roll`.) The gradient is rolled back.
    ///
    /// Errors: an axis that there is not; lists of different lengths.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [4, 5]);
    /// assert_eq!(x.roll([1, -2], [0, 1]).shape()?.dims(), [4, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn roll(self, shifts: impl AsRef<[isize]>, axes: impl AsRef<[isize]>) -> Expr<'g> {
        let method = self.enter("roll");
        let origin = method.origin();
        let Some(shape) = self.read("roll", origin, |_, node| node.shape.clone()) else { return self };
        let (shifts, axes) = (shifts.as_ref(), axes.as_ref());
        let wanted = axes.len().max(1);
        if shifts.len() != wanted {
            let (what, value) = ("the number of shifts", shifts.len() as f64);
            let expected = "one for each axis, or one where there are no axes,";
            return self.fail(GraphError::Argument { origin, op: "roll", what, value, expected });
        }
        if axes.is_empty() {
            let flat = self.reshape_node(&Shape::from([shape.elements()]), origin);
            return flat.rolled(0, shifts[0], shape.elements(), origin).reshape_node(&shape, origin);
        }
        let mut rolled = self;
        for (&shift, &axis) in shifts.iter().zip(axes) {
            match self.resolve_axis("roll", &shape, axis, origin) {
                Ok(axis) => rolled = rolled.rolled(axis, shift, shape[axis], origin),
                Err(error) => return self.fail(error),
            }
        }
        rolled
    }

    /// Rolled along one axis of `extent` elements.
    fn rolled(self, axis: usize, shift: isize, extent: usize, origin: Origin) -> Expr<'g> {
        let shift = match isize::try_from(extent) {
            Ok(extent) if extent > 0 => shift.rem_euclid(extent) as usize,
            _ => 0,
        };
        if shift == 0 {
            return self;
        }
        let axis = axis as isize;
        self.graph().at(origin, || {
            let parts = [self.slice(axis, extent - shift, extent), self.slice(axis, 0, extent - shift)];
            self.graph().concat(&parts, axis)
        })
    }

    /// Turned by `quarters` times 90 degrees in the plane of two axes, from the first towards the second: `y[i, j] = x[j, n - 1 - i]` for one.
    /// Negative numbers turn back. (PyTorch's `rot90`, whose default is one quarter and the axes 0 and 1.) It is a view; the gradient is
    /// turned back.
    ///
    /// Errors: an axis that there is not; the same axis twice.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// assert_eq!(g.input("x", [4, 5]).rot90(1, [0, 1]).shape()?.dims(), [5, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn rot90(self, quarters: isize, axes: [isize; 2]) -> Expr<'g> {
        let method = self.enter("rot90");
        let origin = method.origin();
        let Some(shape) = self.read("rot90", origin, |_, node| node.shape.clone()) else { return self };
        let [first, second] = match self.resolve_pair("rot90", &shape, axes, origin) {
            Ok(pair) => pair,
            Err(error) => return self.fail(error),
        };
        let set = |axis: usize| -> AxisSet { [axis].into_iter().collect() };
        let exchanged = |x: Expr<'g>| self.graph().at(origin, || x.transpose(first as isize, second as isize));
        match quarters.rem_euclid(4) {
            1 => exchanged(self.flip_node(set(second), origin)),
            2 => self.flip_node([first, second].into_iter().collect(), origin),
            3 => exchanged(self.flip_node(set(first), origin)),
            _ => self,
        }
    }

    /// Two different axes.
    pub(crate) fn resolve_pair(
        self,
        op: &'static str,
        shape: &Shape,
        [first, second]: [isize; 2],
        origin: Origin,
    ) -> Result<[usize; 2], GraphError> {
        let first = self.resolve_axis(op, shape, first, origin)?;
        let second = self.resolve_axis(op, shape, second, origin)?;
        if first == second {
            return Err(GraphError::RepeatedAxis { origin, op, axis: first });
        }
        Ok([first, second])
    }

    /// The columns from the last to the first: flipped along axis 1. (PyTorch's `fliplr`.) Errors: a rank below 2.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let mirrored = g.input("x", [2, 3]).fliplr();
    /// # mirrored.check().unwrap();
    /// ```
    #[track_caller]
    pub fn fliplr(self) -> Expr<'g> {
        let method = self.enter("fliplr");
        self.flipped(1, "fliplr", "rank 2 or more", method.origin())
    }

    /// The rows from the last to the first: flipped along axis 0. (PyTorch's `flipud`.) Errors: a scalar.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let upside_down = g.input("x", [2, 3]).flipud();
    /// # upside_down.check().unwrap();
    /// ```
    #[track_caller]
    pub fn flipud(self) -> Expr<'g> {
        let method = self.enter("flipud");
        self.flipped(0, "flipud", "rank 1 or more", method.origin())
    }

    fn flipped(self, axis: usize, op: &'static str, expected: &'static str, origin: Origin) -> Expr<'g> {
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        if shape.rank() > axis {
            return self.flip_node([axis].into_iter().collect(), origin);
        }
        let (operand, rank) = (self.describe(), shape.rank());
        self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected: expected.to_owned() })
    }

    /// The axes `sources[i]` moved to the places `destinations[i]` of the result; the others keep their order. (PyTorch's `movedim`.)
    /// Negative numbers count from the end. It is a view.
    ///
    /// Errors: an axis that there is not or that a list names twice; lists of different lengths.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// let g = Graph::new();
    /// let x = g.input("x", [2, 3, 4]);
    /// assert_eq!(x.movedim([0], [-1]).shape()?.dims(), [3, 4, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn movedim(self, sources: impl AsRef<[isize]>, destinations: impl AsRef<[isize]>) -> Expr<'g> {
        let method = self.enter("movedim");
        let (origin, op) = (method.origin(), "movedim");
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let (sources, destinations) = (sources.as_ref(), destinations.as_ref());
        if sources.len() != destinations.len() {
            let (what, value) = ("the number of destinations", destinations.len() as f64);
            return self.fail(GraphError::Argument { origin, op, what, value, expected: "one for each source" });
        }
        let mut places: Vec<Option<usize>> = vec![None; shape.rank()];
        let mut moved = AxisSet::empty();
        for (&source, &destination) in sources.iter().zip(destinations) {
            let resolved = self
                .resolve_axis(op, &shape, source, origin)
                .and_then(|source| Ok((source, self.resolve_axis(op, &shape, destination, origin)?)));
            let (source, destination) = match resolved {
                Ok(pair) => pair,
                Err(error) => return self.fail(error),
            };
            let repeated = match (moved.contains(source), places[destination]) {
                (true, _) => Some(source),
                (false, Some(_)) => Some(destination),
                (false, None) => None,
            };
            if let Some(axis) = repeated {
                return self.fail(GraphError::RepeatedAxis { origin, op, axis });
            }
            moved.insert(source);
            places[destination] = Some(source);
        }
        let mut others = (0..shape.rank()).filter(|&axis| !moved.contains(axis));
        let axes: Vec<isize> =
            places.into_iter().filter_map(|place| place.or_else(|| others.next())).map(|axis| axis as isize).collect();
        self.graph().at(origin, || self.permute(axes))
    }

    /// At least one axis: a scalar becomes `[1]`. (PyTorch's `atleast_1d`.)
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", []).atleast_1d().shape()?.dims(), [1]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn atleast_1d(self) -> Expr<'g> {
        let method = self.enter("atleast_1d");
        self.at_least(1, method.origin())
    }

    /// At least two axes: a scalar becomes `[1, 1]`, a vector a row `[1, n]`. (PyTorch's `atleast_2d`.)
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [4]).atleast_2d().shape()?.dims(), [1, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn atleast_2d(self) -> Expr<'g> {
        let method = self.enter("atleast_2d");
        self.at_least(2, method.origin())
    }

    /// At least three axes: a vector becomes `[1, n, 1]`, a matrix `[m, n, 1]`. (PyTorch's `atleast_3d`.)
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [4]).atleast_3d().shape()?.dims(), [1, 4, 1]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn atleast_3d(self) -> Expr<'g> {
        let method = self.enter("atleast_3d");
        self.at_least(3, method.origin())
    }

    pub(crate) fn at_least(self, rank: usize, origin: Origin) -> Expr<'g> {
        let Some(shape) = self.read("reshape", origin, |_, node| node.shape.clone()) else { return self };
        let dims: Vec<usize> = match (rank, shape.dims()) {
            (1, []) => vec![1],
            (2, []) => vec![1, 1],
            (2, &[n]) => vec![1, n],
            (3, []) => vec![1, 1, 1],
            (3, &[n]) => vec![1, n, 1],
            (3, &[m, n]) => vec![m, n, 1],
            _ => return self,
        };
        self.reshape_node(&Shape::from(dims), origin)
    }

    /// One axis as several, in row-major order: `[a, m * n, b] -> [a, m, n, b]` by `unflatten(1, [m, n])`. (PyTorch's `unflatten`.)
    ///
    /// Errors: an axis that there is not; extents whose product is another number.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 12]).unflatten(-1, [3, 4]).shape()?.dims(), [2, 3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn unflatten(self, axis: isize, extents: impl Into<Shape>) -> Expr<'g> {
        let method = self.enter("unflatten");
        let (origin, extents) = (method.origin(), extents.into());
        let Some(shape) = self.read("unflatten", origin, |_, node| node.shape.clone()) else { return self };
        let axis = match self.resolve_axis("unflatten", &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        // Also where another axis is empty, so that as many elements do not say enough.
        if extents.checked_elements() != Some(shape[axis]) {
            let (operand, from) = (self.describe(), Shape::from([shape[axis]]));
            let (from_elements, to_elements) = (shape[axis], extents.elements());
            let op = "unflatten";
            return self.fail(GraphError::Reshape {
                origin,
                op,
                operand,
                from,
                from_elements,
                to: extents,
                to_elements,
            });
        }
        let split = shape[..axis].iter().chain(extents.iter()).chain(&shape[axis + 1..]).copied().collect();
        self.reshape_node(&split, origin)
    }

    /// The axes `first..=last` as one, in row-major order: `[a, m, n, b] -> [a, m * n, b]` by `flatten_axes(1, 2)`; a scalar becomes
    /// `[1]`. (PyTorch's `flatten(start_dim, end_dim)`.) Negative numbers count from the end.
    ///
    /// Errors: an axis that there is not; a last axis before the first.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [8, 3, 5, 5]).flatten_axes(1, -1).shape()?.dims(), [8, 75]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn flatten_axes(self, first: isize, last: isize) -> Expr<'g> {
        let method = self.enter("flatten_axes");
        let (origin, op) = (method.origin(), "flatten_axes");
        let scalar = self.at_least(1, origin);
        let Some(shape) = scalar.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let pair = self.resolve_axis(op, &shape, first, origin);
        let pair = pair.and_then(|first| Ok((first, self.resolve_axis(op, &shape, last, origin)?)));
        let (first, last) = match pair {
            Ok(pair) => pair,
            Err(error) => return self.fail(error),
        };
        if last < first {
            let (what, value) = ("the last axis", last as f64);
            return self.fail(GraphError::Argument { origin, op, what, value, expected: "one not before the first" });
        }
        let joined = shape[first..=last].iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
        let joined = shape[..first].iter().copied().chain([joined]).chain(shape[last + 1..].iter().copied()).collect();
        scalar.reshape_node(&joined, origin)
    }

    /// Repeated as a whole `repeats[i]` times along axis `i`; the two are aligned at the last axis, and whichever has fewer gets axes of
    /// one in front. `[2, 3] -> [2, 6]` by `tile([2])`. (PyTorch's `tile`, and `repeat`, which wants at least as many repeats as
    /// axes.) The gradient is the sum over the copies.
    ///
    /// Errors: more elements than can be counted, more axes than a shape may have.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3]).tile([4, 1, 2]).shape()?.dims(), [4, 2, 6]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn tile(self, repeats: impl AsRef<[usize]>) -> Expr<'g> {
        let method = self.enter("tile");
        let origin = method.origin();
        let Some(shape) = self.read("tile", origin, |_, node| node.shape.clone()) else { return self };
        let repeats = repeats.as_ref();
        let rank = shape.rank().max(repeats.len());
        let extents = (0..rank).map(|axis| (axis + shape.rank()).checked_sub(rank).map_or(1, |axis| shape[axis]));
        let mut extents: Vec<usize> = extents.collect();
        let repeat_of = |axis: usize| (axis + repeats.len()).checked_sub(rank).map_or(1, |axis| repeats[axis]);
        let result: Shape =
            extents.iter().zip(0..).map(|(extent, axis)| extent.saturating_mul(repeat_of(axis))).collect();
        if result.checked_elements().is_none() {
            return self.fail(GraphError::TooManyElements { origin, op: "tile", shape: result });
        }
        let repeated: Vec<usize> = (0..rank).filter(|&axis| repeat_of(axis) != 1).collect();
        let mut value = self.reshape_node(&Shape::from(extents.clone()), origin);
        // An axis is given an axis of copies in front of it, and the two are joined. An axis of one element is its own axis of copies. Axes
        // that are not repeated are one between those that are, and few are repeated at once, so that there are never too many.
        for axes in repeated.chunks(MOST_TILED) {
            let (mut split, mut copies) = (Vec::new(), Vec::new());
            let mut between = 1usize;
            for (axis, extent) in extents.iter_mut().enumerate() {
                if !axes.contains(&axis) {
                    between = between.saturating_mul(*extent);
                    continue;
                }
                let repeat = repeat_of(axis);
                split.extend([between, 1]);
                copies.extend([between, repeat]);
                if *extent != 1 {
                    split.push(*extent);
                    copies.push(*extent);
                }
                *extent = extent.saturating_mul(repeat);
                between = 1;
            }
            split.push(between);
            copies.push(between);
            value = value.reshape_node(&Shape::from(split), origin).broadcast_node(&Shape::from(copies), origin);
            value = value.reshape_node(&Shape::from(extents.clone()), origin);
        }
        value
    }

    /// Each element along an axis `repeats` times: `[a, b] -> [a, a, b, b]` by `repeat_interleave(2, 0)`. (PyTorch's
    /// `repeat_interleave` with a number; without a `dim` PyTorch flattens first.) The gradient is the sum over the copies.
    ///
    /// Errors: an axis that there is not; more elements than can be counted.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3]).repeat_interleave(2, 1).shape()?.dims(), [2, 6]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn repeat_interleave(self, repeats: usize, axis: isize) -> Expr<'g> {
        let method = self.enter("repeat_interleave");
        let origin = method.origin();
        let Some(shape) = self.read("repeat_interleave", origin, |_, node| node.shape.clone()) else { return self };
        let axis = match self.resolve_axis("repeat_interleave", &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        // The axes behind it are one, so that there are never too many.
        let behind = shape[axis + 1..].iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
        let before = shape[..axis].iter().fold(1usize, |product, &extent| product.saturating_mul(extent));
        let beside = |copies: usize| Shape::from([before, shape[axis], copies, behind]);
        let joined = shape.with_extent(axis, shape[axis].saturating_mul(repeats));
        let copies = self.reshape_node(&beside(1), origin).broadcast_node(&beside(repeats), origin);
        copies.reshape_node(&joined, origin)
    }

    /// Element `i` along an axis `counts[i]` times. How many elements the result has must be known when the graph is built, so the counts
    /// are numbers of the program and no tensor. (PyTorch's `repeat_interleave` with a tensor of repeats.) The gradient is the
    /// sum over the copies.
    ///
    /// Errors: an axis that there is not; another number of counts than of elements; more than 2147483647 elements along the axis.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [3]).repeat_interleave_counts(&[2, 0, 3], 0).shape()?.dims(), [5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn repeat_interleave_counts(self, counts: &[usize], axis: isize) -> Expr<'g> {
        let method = self.enter("repeat_interleave_counts");
        let (origin, op) = (method.origin(), "repeat_interleave_counts");
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return self };
        let axis = match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        if counts.len() != shape[axis] {
            let (shape, elements) = (Shape::from([shape[axis]]), counts.len());
            return self.fail(GraphError::ElementCount { origin, op, shape, elements });
        }
        let total = counts.iter().fold(0usize, |total, &count| total.saturating_add(count));
        if i32::try_from(total).is_err() {
            let (what, value) = ("the sum of the counts", total as f64);
            return self.fail(GraphError::Argument { origin, op, what, value, expected: "at most 2147483647" });
        }
        let indices: Vec<i32> = (0..).zip(counts).flat_map(|(i, &count)| std::iter::repeat_n(i, count)).collect();
        self.graph().at(origin, || self.index_select(axis as isize, self.graph().literal([total], indices)))
    }
}
