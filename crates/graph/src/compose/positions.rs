//! Elements by positions that are tensors: taken from, and put into, several axes at once.
//!
//! The indexed axes are made one, and the positions along them one number each; then it is a matter of one axis. What is put needs no other
//! order of the axes for that, so it costs what it writes: whole axes between indexed ones have a position for each place. Positions count from the
//! end where they are negative, as PyTorch has it of these functions. Those that stand in the graph are checked when they are used, and those of an
//! input at each run; whatever was computed cannot be, and if it is out of range, what is put there goes nowhere, and what is taken is NaN,
//! or 0 of i32 and false of bool.

use std::ops::Range;

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Expr, IntoExpr, Operand};
use crate::node::Origin;
use crate::op::{Leaf, Op};
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// Gathering along `axis` where the other axes of both broadcast: `y[.., j, ..] = x[.., i[.., j, ..], ..]`. (PyTorch's `take_along_dim`; without
    /// a `dim` it is of the flattened elements.) Both have one rank. Negative indices count from the end. The gradient is added up at the indices.
    ///
    /// Errors: an axis that there is not; indices that are not i32, of another rank, or that do not broadcast.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// let (x, i) = (g.input("x", [5, 4]), g.input_of("i", [1, 2], DType::I32));
    /// assert_eq!(x.take_along_dim(1, i).shape()?.dims(), [5, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn take_along_dim(self, axis: isize, indices: Expr<'g>) -> Expr<'g> {
        let method = self.enter("take_along_dim");
        let (origin, op) = (method.origin(), "take_along_dim");
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(indices, op, origin).is_none() {
            return poisoned;
        }
        let shapes = [self, indices].map(|expr| expr.read(op, origin, |_, node| node.shape.clone()));
        let [Some(shape), Some(index_shape)] = shapes else { return poisoned };
        let axis = match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        if shape.rank() != index_shape.rank() {
            let (operand, rank, expected) = (indices.describe(), index_shape.rank(), format!("rank {}", shape.rank()));
            return self.fail(GraphError::Rank { origin, op, operand, shape: index_shape, rank, expected });
        }
        let whole = match shape.with_extent(axis, 1).broadcast(&index_shape.with_extent(axis, 1)) {
            Ok(whole) => whole,
            Err((left, right)) => {
                let (lhs, rhs) = (self.describe(), indices.describe());
                let (lhs_shape, rhs_shape) = (shape, index_shape);
                return self.fail(GraphError::Broadcast { origin, op, lhs, lhs_shape, rhs, rhs_shape, left, right });
            }
        };
        let Some(wrapped) = indices.counted_from_end(op, shape[axis], origin) else { return poisoned };
        let data = self.broadcast_node(&whole.with_extent(axis, shape[axis]), origin);
        let indices = wrapped.broadcast_node(&whole.with_extent(axis, index_shape[axis]), origin);
        self.graph().at(origin, || data.gather(axis as isize, indices))
    }

    /// The elements at the positions `indices`, i32 of any shape, in the row-major order of this tensor: `y[..] = flat(x)[i[..]]`. Negative
    /// positions count from the end. (PyTorch's `take`.) The gradient is added up at the positions.
    ///
    /// Errors: indices that are not i32; an index that stands in the graph and is out of range; more elements than i32 can number.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [3, 4]).take(g.literal([2, 2], [0, -1, 5, 5])).shape()?.dims(), [2, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn take(self, indices: Expr<'g>) -> Expr<'g> {
        let method = self.enter("take");
        let (origin, op) = (method.origin(), "take");
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(indices, op, origin).is_none() {
            return poisoned;
        }
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        let Some(wrapped) = indices.counted_from_end(op, shape.elements(), origin) else { return poisoned };
        let flat = self.reshape_node(&Shape::from([shape.elements()]), origin);
        self.graph().at(origin, || flat.index_select(0, wrapped))
    }

    /// This with `values` in the place of, or with `accumulate` added to, the elements at the positions `indices` in row-major order; both
    /// have the same number of elements. Negative positions count from the end; of several values for one place the last wins. (PyTorch's
    /// `put`.) Gradients as of [`Expr::index_put`].
    ///
    /// Errors: indices that are not i32; another number of values than of indices, or of another dtype; an index that stands in the graph and
    /// is out of range; more elements than i32 can number.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let put = g.input("x", [3, 4]).put(g.literal([2], [0, -1]), g.input("v", [2]), false);
    /// assert_eq!(put.shape()?.dims(), [3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn put(self, indices: Expr<'g>, values: Expr<'g>, accumulate: bool) -> Expr<'g> {
        let method = self.enter("put");
        let (origin, op) = (method.origin(), "put");
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[Some(indices), Some(values)], op, origin).is_none() {
            return poisoned;
        }
        let shapes = [self, indices].map(|expr| expr.read(op, origin, |_, node| node.shape.clone()));
        let [Some(shape), Some(index_shape)] = shapes else { return poisoned };
        let vector = Shape::from([index_shape.elements()]);
        let (flat, indices) =
            (self.reshape_node(&Shape::from([shape.elements()]), origin), indices.reshape_node(&vector, origin));
        let values = values.reshape_node(&vector, origin);
        self.graph().at(origin, || flat.index_put(&[Some(indices)], values, accumulate)).reshape_node(&shape, origin)
    }

    /// This with `values` in the place of, or with `accumulate` added to, the elements at positions that tensors say: `indices[a]` are the
    /// positions along axis `a`, and `None` is the whole axis; axes past the last index are whole. (PyTorch's `index_put` and
    /// `x[i, :, j] = values`.) The index tensors broadcast to one shape `[b..]`, and `values`, a number or what broadcasts, to the elements that they
    /// name: where the indexed axes are neighbours, this shape with `[b..]` in their place, else `[b..]` and then the whole axes. A bool
    /// tensor that stands in the graph, a literal, a constant or a view of one, is the positions where it holds, along as many axes as it has.
    ///
    /// Negative positions count from the end. Of several values for one place the last in row-major order wins; with `accumulate` they add up.
    /// The gradient of `values` is the upstream gradient at the positions, without `accumulate` of the winners alone; this
    /// expression's is the upstream, without `accumulate` 0 where elements were replaced. A position that was computed and is out of
    /// range changes nothing; those of inputs are checked at each run.
    ///
    /// Errors: more indices than axes; indices that are neither i32 nor bool, or bool that do not stand in the graph or have another shape than the axes
    /// that they index; shapes that do not broadcast; values of another dtype; a position that stands in the graph and is out of range; indexed
    /// axes of more than 2147483647 places, those between them included.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let x = g.input("x", [4, 5, 6]);
    /// let (i, k) = (g.literal([3], [0, -1, 2]), g.literal([2, 1], [5, 0]));
    /// let put = x.index_put(&[Some(i), None, Some(k)], g.input("v", [2, 3, 5]), true);
    /// assert_eq!(put.shape()?.dims(), [4, 5, 6]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn index_put(self, indices: &[Option<Expr<'g>>], values: impl IntoExpr<'g>, accumulate: bool) -> Expr<'g> {
        let method = self.enter("index_put");
        let (origin, op) = (method.origin(), "index_put");
        let poisoned = Expr::poisoned(self.graph());
        let values = values.into_operand();
        let all: Vec<Option<Expr<'_>>> = indices.iter().copied().chain([values.expr()]).collect();
        if self.same_graph_all(&all, op, origin).is_none() {
            return poisoned;
        }
        let Some(shape) = self.read(op, origin, |_, node| node.shape.clone()) else { return poisoned };
        let Some(places) = self.places(op, &shape, indices, origin) else { return poisoned };
        let values = match values {
            Operand::Expr(values) => values,
            Operand::Number(value) => {
                let Some(dtype) = self.read(op, origin, |_, node| node.dtype) else { return poisoned };
                self.graph().at(origin, || self.graph().full(Shape::scalar(), value, dtype))
            }
        };
        self.graph().at(origin, || places.put(self, values, accumulate))
    }

    /// These i32 positions along an axis of that extent with negative ones counted from its end.
    fn counted_from_end(self, op: &'static str, extent: usize, origin: Origin) -> Option<Expr<'g>> {
        let (dtype, shape) = self.read(op, origin, |_, node| (node.dtype, node.shape.clone()))?;
        if dtype != DType::I32 {
            let (operand, expected) = (self.describe(), "i32");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let Ok(bound) = i32::try_from(extent) else {
            let (what, value) = ("the number of places", extent as f64);
            return self.fail_without(GraphError::Argument { origin, op, what, value, expected: "at most 2147483647" });
        };
        if let Some(error) = self.index_error(op, (-bound, extent), None, origin) {
            return self.fail_without(error);
        }
        let (source, leaf) = self.source()?;
        if let Op::Leaf(Leaf::Iota { .. }) = leaf {
            return Some(self);
        }
        if let Op::Leaf(Leaf::Literal { data }) = leaf
            && let Some(elements) = data.as_slice::<i32>()
        {
            if elements.iter().all(|&index| index >= 0) {
                return Some(self);
            }
            if source == self.raw()? {
                let counted: Vec<i32> =
                    elements.iter().map(|&index| if index < 0 { index + bound } else { index }).collect();
                return Some(self.graph().at(origin, || self.graph().literal(shape, counted)));
            }
        }
        let counted = self.graph().at(origin, || self.less(0).where_(self + bound, self));
        self.required_from_end_by(counted, bound);
        Some(counted)
    }

    /// These i32 positions along that axis of `indexed` with negative ones counted from its end.
    pub(super) fn counted_along(
        self,
        op: &'static str,
        indexed: Expr<'g>,
        axis: isize,
        origin: Origin,
    ) -> Option<Expr<'g>> {
        indexed.same_graph(self, op, origin)?;
        let shape = indexed.read(op, origin, |_, node| node.shape.clone())?;
        match indexed.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => self.counted_from_end(op, shape[axis], origin),
            Err(error) => indexed.fail_without(error),
        }
    }

    /// Which places index tensors name.
    fn places(
        self,
        op: &'static str,
        shape: &Shape,
        indices: &[Option<Expr<'g>>],
        origin: Origin,
    ) -> Option<Places<'g>> {
        let mut along: Vec<Option<Expr<'g>>> = Vec::new();
        for index in indices {
            match *index {
                None => along.push(None),
                Some(index) => {
                    let dtype = index.read(op, origin, |_, node| node.dtype)?;
                    if dtype == DType::Bool {
                        along.extend(index.where_it_holds(op, self, along.len(), shape, origin)?.into_iter().map(Some));
                    } else {
                        along.push(Some(index));
                    }
                }
            }
        }
        if along.len() > shape.rank() {
            let expected = format!("rank {} or more, the number of indices,", along.len());
            let (operand, rank, shape) = (self.describe(), shape.rank(), shape.clone());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        along.resize(shape.rank(), None);
        let axes: Vec<usize> = (0..shape.rank()).filter(|&axis| along[axis].is_some()).collect();
        let mut common = Shape::scalar();
        for index in along.iter().flatten() {
            let own = index.read(op, origin, |_, node| node.shape.clone())?;
            common = match common.broadcast(&own) {
                Ok(common) => common,
                Err((left, right)) => {
                    let (lhs, rhs) = ("the indices before".to_owned(), index.describe());
                    let (lhs_shape, rhs_shape) = (common, own);
                    return self.fail_without(GraphError::Broadcast {
                        origin,
                        op,
                        lhs,
                        lhs_shape,
                        rhs,
                        rhs_shape,
                        left,
                        right,
                    });
                }
            };
        }
        // From the first indexed axis to the last, with the whole ones in between.
        let first = axes.first().copied().unwrap_or(0);
        let span = first..axes.last().map_or(first, |last| last + 1);
        let between: Vec<usize> = span.clone().filter(|axis| along[*axis].is_none()).collect();
        let places = span.clone().fold(1usize, |places, axis| places.saturating_mul(shape[axis]));
        if i32::try_from(places).is_err() {
            let (what, value) = ("the number of places", places as f64);
            return self.fail_without(GraphError::Argument { origin, op, what, value, expected: "at most 2147483647" });
        }
        let mut flat: Option<Expr<'g>> = None;
        let mut is_inside: Option<Expr<'g>> = None;
        for axis in span.clone() {
            let extent = shape[axis];
            let mut coordinates = vec![1; between.len()];
            let (counted, is_known) = match along[axis] {
                Some(index) => {
                    let counted = index.counted_from_end(op, extent, origin)?;
                    let stands = |of: Expr<'g>| {
                        Some(matches!(of.source()?.1, Op::Leaf(Leaf::Literal { .. } | Leaf::Constant { .. })))
                    };
                    let is_known = stands(counted)? || stands(index)?;
                    let own = counted.read(op, origin, |_, node| node.shape.clone())?;
                    let aligned: Shape = own.iter().copied().chain(coordinates).collect();
                    (counted.reshape_node(&aligned, origin), is_known)
                }
                None => {
                    let number = between.iter().position(|&other| other == axis)?;
                    coordinates[number] = extent;
                    (self.graph().at(origin, || self.graph().iota(coordinates, number)), true)
                }
            };
            flat = Some(self.graph().at(origin, || match flat {
                Some(flat) => flat * extent as i32 + counted,
                None => counted,
            }));
            if !is_known {
                let own = self.graph().at(origin, || counted.greater_equal(0) & counted.less(extent as i32));
                is_inside = Some(self.graph().at(origin, || is_inside.map_or(own, |others| others & own)));
            }
        }
        let flat = match (flat, is_inside) {
            // Of one axis what is out of range is so already.
            (Some(flat), Some(is_inside)) if axes.len() > 1 => {
                self.graph().at(origin, || is_inside.where_(flat, flat.constant_beside(-1.0, origin)))
            }
            (Some(flat), _) => flat,
            (None, _) => self.graph().full(Shape::scalar(), 0.0, DType::I32),
        };
        let between: Shape = between.into_iter().map(|axis| shape[axis]).collect();
        let named: Shape = common.iter().chain(between.iter()).copied().collect();
        let flat = flat.broadcast_node(&named, origin).reshape_node(&Shape::from([named.elements()]), origin);
        Some(Places { shape: shape.clone(), span, between, common, flat, origin })
    }

    /// The positions at which this bool tensor, which stands in the graph, holds: a vector for each of its axes.
    fn where_it_holds(
        self,
        op: &'static str,
        indexed: Expr<'g>,
        first: usize,
        shape: &Shape,
        origin: Origin,
    ) -> Option<Vec<Expr<'g>>> {
        let own = self.read(op, origin, |_, node| node.shape.clone())?;
        if own.rank() == 0 {
            let (operand, expected) = (self.describe(), "rank 1 or more, for a mask stands for its axes,".to_owned());
            return self.fail_without(GraphError::Rank { origin, op, operand, shape: own, rank: 0, expected });
        }
        if !self.stands_in_graph() {
            let (operand, expected) = (self.describe(), "i32, or bool that stands in the graph");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype: DType::Bool, expected });
        }
        let end = (first + own.rank()).min(shape.rank());
        let lhs_shape = Shape::from(&shape[first.min(end)..end]);
        if lhs_shape != own {
            let lhs = format!("the indexed part of {}", indexed.describe());
            let (rhs, rhs_shape) = (self.describe(), own);
            return self.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        if i32::try_from(own.elements()).is_err() {
            let (what, value) = ("the number of places", own.elements() as f64);
            return self.fail_without(GraphError::Argument { origin, op, what, value, expected: "at most 2147483647" });
        }
        let found = self.places_that_hold()?;
        let strides = own.strides();
        let along = |axis: usize| {
            let positions: Vec<i32> = found.iter().map(|&place| (place / strides[axis] % own[axis]) as i32).collect();
            self.graph().at(origin, || self.graph().literal([found.len()], positions))
        };
        Some((0..own.rank()).map(along).collect())
    }
}

/// Places of a tensor that index tensors name.
struct Places<'g> {
    shape: Shape,
    /// From the first axis that is indexed to before the one behind the last.
    span: Range<usize>,
    /// The extents of those of them that are whole.
    between: Shape,
    /// The shape that the index tensors broadcast to.
    common: Shape,
    /// The place of each along the span as one axis: a vector, over the common shape and then the whole axes of the span.
    flat: Expr<'g>,
    origin: Origin,
}

impl<'g> Places<'g> {
    fn put(&self, whole: Expr<'g>, values: Expr<'g>, accumulate: bool) -> Expr<'g> {
        let Places { shape, span, between, common, flat, origin } = self;
        let (before, behind) = (&shape[..span.start], &shape[span.end..]);
        let rank = common.rank();
        let joined = |along: usize| -> Shape { before.iter().chain([&along]).chain(behind).copied().collect() };
        let rows = joined(flat.read("index_put", *origin, |_, node| node.shape.elements()).unwrap_or(0));
        let values = if between.rank() == 0 {
            let named: Shape = before.iter().chain(common.iter()).chain(behind).copied().collect();
            values.broadcast_node(&named, *origin)
        } else {
            // The shape of the indices stands before all whole axes, and goes behind those before the span.
            let named: Shape = common.iter().chain(before).chain(between.iter()).chain(behind).copied().collect();
            let order = (rank..rank + span.start).chain(0..rank).chain(rank + span.start..named.rank());
            values.broadcast_node(&named, *origin).permute(order.map(|axis| axis as isize).collect::<Vec<isize>>())
        };
        let rows = values.reshape_node(&rows, *origin);
        let places = shape[span.clone()].iter().product();
        let table = whole.reshape_node(&joined(places), *origin);
        let axis = span.start as isize;
        let result =
            if accumulate { table.index_add(axis, *flat, rows, 1.0) } else { table.index_copy(axis, *flat, rows) };
        result.reshape_node(shape, *origin)
    }
}
