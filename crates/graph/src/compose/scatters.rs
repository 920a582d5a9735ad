//! Tensors with elements replaced by, or combined with, others at indices along an axis.
//!
//! **Replacing.** Where several updates go to one place the last one wins, on every device and in every run. That is one op, `scatter_replace`
//! ([`crate::ops::scatter_replace`]), whose cost is that of the updates where nothing else needs the tensor any more, and one copy more where
//! something does. The winner alone takes the gradient, and what was replaced takes none.
//!
//! Indices are as [`Expr::gather`] and [`Expr::scatter_add`] take them: those that stand in the graph are checked when they are used, and inputs
//! at each run; one that was computed on the device and is out of range changes nothing. Negative indices are out of range, as in PyTorch. Those
//! of [`Expr::index_fill`], and of [`Expr::index_put`], [`Expr::put`], [`Expr::take`] and [`Expr::take_along_dim`], count from the end, as there.

use crate::arena::Graph;
use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::{Expr, IntoExpr, Operand};
use crate::node::Origin;
use crate::op::{Indexing, Op, ScatterFunction};
use crate::shape::Shape;

/// How updates that go to one place become one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScatterReduction {
    /// The sum.
    Sum,
    /// The sum divided by how many there are. Floats.
    Mean,
    /// The product.
    Prod,
    /// The largest; NaN wins.
    Amax,
    /// The smallest; NaN wins.
    Amin,
}

impl ScatterReduction {
    /// What changes nothing when it is combined with others, in a dtype of numbers.
    fn identity(self, dtype: DType) -> f64 {
        match (self, dtype) {
            (ScatterReduction::Sum | ScatterReduction::Mean, _) => 0.0,
            (ScatterReduction::Prod, _) => 1.0,
            (ScatterReduction::Amax, DType::I32) => f64::from(i32::MIN),
            (ScatterReduction::Amin, DType::I32) => f64::from(i32::MAX),
            (ScatterReduction::Amax, DType::F32 | DType::F64 | DType::Bool) => f64::NEG_INFINITY,
            (ScatterReduction::Amin, DType::F32 | DType::F64 | DType::Bool) => f64::INFINITY,
        }
    }
}

/// A scatter whose operands fit.
struct Scatter<'g> {
    operand: Expr<'g>,
    indices: Expr<'g>,
    axis: usize,
    shape: Shape,
    /// The indices' shape, and the updates'.
    updated: Shape,
    origin: Origin,
}

impl<'g> Expr<'g> {
    /// This with `updates[.., j, ..]` in the place of the element at `[.., indices[.., j, ..], ..]` along `axis`. Of several that go to one
    /// place the last wins: the one with the largest `j`. (PyTorch's `scatter`, which leaves open which one wins; NumPy's
    /// `put_along_axis`.) `indices` have this expression's rank and no larger extents along the other axes; updates are at least
    /// as large as they are, and only the part that the indices cover counts; or one number. Any dtype, the same of both.
    ///
    /// The winner takes the upstream gradient of its place, other updates none, and this expression that of the places to which nothing
    /// goes. An index that was computed and is out of range changes nothing.
    ///
    /// Errors: an axis that there is not; indices that are not i32, of another rank, or larger along another axis; updates that are smaller
    /// than the indices, or of another dtype; an index that stands in the graph and is out of range.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph};
    /// # let g = Graph::new();
    /// let (x, updates) = (g.input("x", [5]), g.input("updates", [3]));
    /// let replaced = x.scatter(0, g.literal([3], [4, 0, 4]), updates);
    /// let marked = x.scatter(0, g.input_of("i", [2], DType::I32), 1.0);
    /// assert_eq!(replaced.shape()?, marked.shape()?);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn scatter(self, axis: isize, indices: Expr<'g>, updates: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.enter("scatter");
        let origin = method.origin();
        let Some(scatter) = self.scatter_of("scatter", axis, indices, origin) else {
            return Expr::poisoned(self.graph());
        };
        match updates.into_operand() {
            Operand::Number(value) => self.graph().at(origin, || scatter.replaced(scatter.filled(value))),
            Operand::Expr(updates) => match scatter.covered("scatter", updates) {
                Some(updates) => self.graph().at(origin, || scatter.replaced(updates)),
                None => Expr::poisoned(self.graph()),
            },
        }
    }

    /// This with each element combined with the updates that go to it: `updates[.., j, ..]` goes to
    /// `[.., indices[.., j, ..], ..]` along `axis`. With `include_self` the element itself is one of them; without, elements to which updates
    /// go are those updates' sum, mean, product, largest or smallest alone, and the others stay. (PyTorch's `scatter_reduce`.) Shapes are as
    /// of [`Expr::scatter`]. Floats and i32; means of floats alone. Of bool the sum and the largest are whether one holds, the product and the
    /// smallest whether all do.
    ///
    /// Gradients: of a sum the upstream, of a mean its share; of a product the product of all others, right where some are 0 (and so
    /// is the second derivative); the largest or smallest share it evenly with what is equal to them, and what is not included takes no
    /// part. An index that was computed and is out of range changes nothing.
    ///
    /// Errors as of [`Expr::scatter`]; the mean of i32 or bool.
    ///
    /// ```
    /// # use arenagrad_graph::{DType, Graph, ScatterReduction};
    /// # let g = Graph::new();
    /// let (x, updates) = (g.input("x", [5]), g.input("updates", [3]));
    /// let largest = x.scatter_reduce(0, g.literal([3], [4, 0, 4]), updates, ScatterReduction::Amax, true);
    /// assert_eq!(largest.shape()?.dims(), [5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn scatter_reduce(
        self,
        axis: isize,
        indices: Expr<'g>,
        updates: Expr<'g>,
        reduction: ScatterReduction,
        include_self: bool,
    ) -> Expr<'g> {
        let method = self.enter("scatter_reduce");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        let Some(scatter) = self.scatter_of("scatter_reduce", axis, indices, origin) else { return poisoned };
        let Some(updates) = scatter.covered("scatter_reduce", updates) else { return poisoned };
        self.graph().at(origin, || scatter.reduced("scatter_reduce", updates, reduction, include_self))
    }

    /// This with `alpha` times the slices of `source` along `axis` added at the positions `indices`: `source[.., j, ..]` is added to
    /// `[.., indices[j], ..]`, and indices may repeat. `indices` are i32 `[k]`, or a scalar for one slice; `source` has this expression's
    /// shape but for `k` along the axis. (PyTorch's `index_add`.) Floats and i32. Of bool, with an `alpha` of 1 or 0, an element holds if it did
    /// or one of what is added to it does. The gradient of `source` is `alpha` times the upstream's slices at the indices.
    ///
    /// Errors: an axis that there is not; indices that are no vector or not i32; a source of another shape or dtype; an `alpha` that the dtype
    /// does not hold.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let added = g.input("x", [5, 3]).index_add(0, g.literal([2], [4, 4]), g.input("s", [2, 3]), -1.0);
    /// assert_eq!(added.shape()?.dims(), [5, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn index_add(self, axis: isize, indices: Expr<'g>, source: Expr<'g>, alpha: f64) -> Expr<'g> {
        let method = self.enter("index_add");
        let origin = method.origin();
        let Some(slices) = self.slices_of("index_add", axis, indices, Some(source), origin) else {
            return Expr::poisoned(self.graph());
        };
        self.graph().at(origin, || {
            let source = match alpha {
                1.0 => source,
                alpha if source.is_truth() => source & source.constant_beside(alpha, origin),
                alpha => source * alpha,
            };
            self.scatter_add(slices.axis as isize, slices.by_element().indices, source)
        })
    }

    /// This with the slices of `source` along `axis` in the place of those at the positions `indices`: `source[.., j, ..]` stands at
    /// `[.., indices[j], ..]`; of several that go to one place the last wins. Shapes are as of [`Expr::index_add`]. (PyTorch's
    /// `index_copy`.) Any dtype, the same of both. The winner takes the gradient; what was replaced takes none.
    ///
    /// Errors as of [`Expr::index_add`], but that bool will do.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let copied = g.input("x", [5, 3]).index_copy(0, g.literal([2], [4, 0]), g.input("s", [2, 3]));
    /// assert_eq!(copied.shape()?.dims(), [5, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn index_copy(self, axis: isize, indices: Expr<'g>, source: Expr<'g>) -> Expr<'g> {
        let method = self.enter("index_copy");
        let origin = method.origin();
        let Some(slices) = self.slices_of("index_copy", axis, indices, Some(source), origin) else {
            return Expr::poisoned(self.graph());
        };
        self.graph().at(origin, || slices.by_element().replaced(source))
    }

    /// This with `value`, a number or a scalar, in all elements of the slices along `axis` at the positions `indices`, i32 `[k]` or a scalar.
    /// Negative positions count from the end. (PyTorch's `index_fill`.) Any dtype, the same of both. The gradient of `value` is the sum over the elements that it fills, and what
    /// was replaced takes none.
    ///
    /// Errors: an axis that there is not; indices that are no vector or not i32; a value of another dtype, or that does not broadcast to
    /// this shape; a position that stands in the graph and is out of range. Those of inputs are checked at each run.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [5, 3]).index_fill(1, g.literal([2], [-1, 0]), -1.0).shape()?.dims(), [5, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn index_fill(self, axis: isize, indices: Expr<'g>, value: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.enter("index_fill");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        let Some(counted) = indices.counted_along("index_fill", self, axis, origin) else { return poisoned };
        let Some(slices) = self.slices_of("index_fill", axis, counted, None, origin) else { return poisoned };
        let value = value.into_operand();
        if self.same_graph_all(&[value.expr()], "index_fill", origin).is_none() {
            return poisoned;
        }
        self.graph().at(origin, || {
            let value = match value {
                Operand::Number(value) => return slices.by_element().replaced(slices.filled(value)),
                Operand::Expr(value) => value,
            };
            let Some(own) = value.read("index_fill", origin, |_, node| node.shape.clone()) else { return poisoned };
            let does_broadcast = slices.shape.broadcast(&own).is_ok_and(|common| common == slices.shape);
            // The axis of the value that lies along the indexed one, if there is one: both end alike.
            let along = (slices.axis + own.rank()).checked_sub(slices.shape.rank()).map_or(1, |axis| own[axis]);
            let values = if does_broadcast && along == 1 {
                value.broadcast_node(&slices.updated, origin)
            } else {
                value.broadcast_node(&slices.shape, origin).index_select(slices.axis as isize, slices.indices)
            };
            slices.by_element().replaced(values)
        })
    }

    /// This with its slices along `axis` combined with those of `source` at the positions `indices`, as [`Expr::scatter_reduce`] does of
    /// elements. Shapes are as of [`Expr::index_add`]. (PyTorch's `index_reduce`.) Dtypes are those of [`Expr::scatter_reduce`].
    ///
    /// Errors as of [`Expr::index_add`]; the mean of i32 or bool.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, ScatterReduction};
    /// # let g = Graph::new();
    /// let (x, s) = (g.input("x", [5, 3]), g.input("s", [2, 3]));
    /// let product = x.index_reduce(0, g.literal([2], [4, 4]), s, ScatterReduction::Prod, false);
    /// assert_eq!(product.shape()?.dims(), [5, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn index_reduce(
        self,
        axis: isize,
        indices: Expr<'g>,
        source: Expr<'g>,
        reduction: ScatterReduction,
        include_self: bool,
    ) -> Expr<'g> {
        let method = self.enter("index_reduce");
        let origin = method.origin();
        let Some(slices) = self.slices_of("index_reduce", axis, indices, Some(source), origin) else {
            return Expr::poisoned(self.graph());
        };
        self.graph().at(origin, || slices.by_element().reduced("index_reduce", source, reduction, include_self))
    }

    /// `value`, a number or what broadcasts, where the bool `mask` holds, else this; the three broadcast. (PyTorch's `masked_fill`.) Any
    /// dtype, the same of this and the value. The gradient of what was replaced is 0, also where it is infinite or NaN.
    ///
    /// Errors: a mask that is not bool; shapes that do not broadcast; a value of another dtype.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let scores = g.input("scores", [4, 4]);
    /// let masked = scores.masked_fill(scores.greater(2.0), f64::NEG_INFINITY);
    /// assert_eq!(masked.shape()?.dims(), [4, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn masked_fill(self, mask: Expr<'g>, value: impl IntoExpr<'g>) -> Expr<'g> {
        let method = self.enter("masked_fill");
        let origin = method.origin();
        let value = value.into_operand();
        if self.same_graph_all(&[Some(mask), value.expr()], "masked_fill", origin).is_none() {
            return Expr::poisoned(self.graph());
        }
        self.graph().at(origin, || mask.where_(value.beside(self, origin), self))
    }

    /// The checked operands of a scatter.
    fn scatter_of(self, op: &'static str, axis: isize, indices: Expr<'g>, origin: Origin) -> Option<Scatter<'g>> {
        let (_, _, axis) = self.indexed(op, axis, indices, origin)?;
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let (updated, dtype) = indices.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        if dtype != DType::I32 {
            let (operand, expected) = (indices.describe(), "i32");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        if updated.rank() != shape.rank() {
            let (operand, rank, expected) = (indices.describe(), updated.rank(), format!("rank {}", shape.rank()));
            return self.fail_without(GraphError::Rank { origin, op, operand, shape: updated, rank, expected });
        }
        let larger = (0..shape.rank()).find(|&other| other != axis && updated[other] > shape[other]);
        if let Some(axis) = larger {
            let (lhs, rhs) = (self.describe(), indices.describe());
            let (left, right) = (shape[axis], updated[axis]);
            let (lhs_shape, rhs_shape) = (shape, updated);
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
        Some(Scatter { operand: self, indices, axis, shape, updated, origin })
    }

    /// The checked operands of a scatter of slices: the indices are a vector.
    fn slices_of(
        self,
        op: &'static str,
        axis: isize,
        indices: Expr<'g>,
        source: Option<Expr<'g>>,
        origin: Origin,
    ) -> Option<Scatter<'g>> {
        self.same_graph_all(&[source], op, origin)?;
        let (_, _, axis) = self.indexed(op, axis, indices, origin)?;
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let (index_shape, dtype) = indices.read(op, origin, |_, node| (node.shape.clone(), node.dtype))?;
        if dtype != DType::I32 {
            let (operand, expected) = (indices.describe(), "i32");
            return self.fail_without(GraphError::DType { origin, op, operand, dtype, expected });
        }
        if index_shape.rank() > 1 {
            let (operand, rank, shape) = (indices.describe(), index_shape.rank(), index_shape);
            let expected = "rank 0 or 1".to_owned();
            return self.fail_without(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        let count = index_shape.elements();
        let updated = shape.with_extent(axis, count);
        if let Some(source) = source {
            let rhs_shape = source.read(op, origin, |_, node| node.shape.clone())?;
            if rhs_shape != updated {
                let lhs = format!("the slices of {} at the indices", self.describe());
                let (lhs_shape, rhs) = (updated, source.describe());
                return self.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
            }
            self.same_dtype_as(op, source, origin)?;
        }
        let indices = indices.reshape_node(&Shape::from([count]), origin);
        Some(Scatter { operand: self, indices, axis, shape, updated, origin })
    }

    /// Whether both have one dtype.
    fn same_dtype_as(self, op: &'static str, other: Expr<'g>, origin: Origin) -> Option<()> {
        let left = self.read(op, origin, |_, node| node.dtype)?;
        let right = other.read(op, origin, |_, node| node.dtype)?;
        if left == right {
            return Some(());
        }
        let (lhs, rhs) = (self.describe(), other.describe());
        self.fail_without(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right })
    }
}

impl<'g> Scatter<'g> {
    fn graph(&self) -> &'g Graph {
        self.operand.graph()
    }

    fn is_empty(&self) -> bool {
        self.updated.contains(&0)
    }

    /// The part of the updates that the indices cover.
    fn covered(&self, op: &'static str, updates: Expr<'g>) -> Option<Expr<'g>> {
        let origin = self.origin;
        self.operand.same_graph(updates, op, origin)?;
        let rhs_shape = updates.read(op, origin, |_, node| node.shape.clone())?;
        self.operand.same_dtype_as(op, updates, origin)?;
        let covers = rhs_shape.rank() == self.updated.rank()
            && rhs_shape.iter().zip(self.updated.iter()).all(|(updates, indices)| updates >= indices);
        if !covers {
            let (lhs, lhs_shape, rhs) = (self.indices.describe(), self.updated.clone(), updates.describe());
            return self.operand.fail_without(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        let covered = (0..rhs_shape.rank())
            .fold(updates, |updates, axis| updates.slice_node(axis as isize, 0, self.updated[axis], 1, origin));
        Some(covered)
    }

    /// Updates that are all one number.
    fn filled(&self, value: f64) -> Expr<'g> {
        let dtype = self.operand.read("scatter", self.origin, |_, node| node.dtype);
        match dtype.filter(|dtype| dtype.holds(value)) {
            Some(dtype) => self.graph().full(&self.updated, value, dtype),
            // Refused there, in words of the operand.
            None => self.operand.constant_beside(value, self.origin),
        }
    }

    /// The operand with the last of the updates that go to each place.
    fn replaced(&self, updates: Expr<'g>) -> Expr<'g> {
        if self.is_empty() {
            return self.operand;
        }
        self.operand.with_replaced(self.indices, updates, self.axis, self.origin)
    }

    fn reduced(
        &self,
        op: &'static str,
        updates: Expr<'g>,
        reduction: ScatterReduction,
        include_self: bool,
    ) -> Expr<'g> {
        let (operand, origin) = (self.operand, self.origin);
        let Some(dtype) = operand.read(op, origin, |_, node| node.dtype) else { return operand };
        if reduction == ScatterReduction::Mean && !dtype.is_float() {
            let expected = "a float";
            return operand.fail(GraphError::DType { origin, op, operand: operand.describe(), dtype, expected });
        }
        if self.is_empty() {
            return operand;
        }
        if dtype == DType::Bool {
            // Of what is 0 or 1 the sum is not 0 where one is not, and the product where none is.
            let numbers = Scatter {
                operand: operand.numbers(origin),
                shape: self.shape.clone(),
                updated: self.updated.clone(),
                ..*self
            };
            return numbers.reduced(op, updates.numbers(origin), reduction, include_self).cast(DType::Bool);
        }
        let base = if include_self { operand } else { self.replaced(self.filled(reduction.identity(dtype))) };
        let axis = self.axis as isize;
        let function = match reduction {
            ScatterReduction::Sum => return base.scatter_add(axis, self.indices, updates),
            ScatterReduction::Mean => {
                let own = operand.constant_beside(if include_self { 1.0 } else { 0.0 }, origin);
                let counts = own.scatter_add(axis, self.indices, updates.constant_beside(1.0, origin));
                return base.scatter_add(axis, self.indices, updates) / counts.maximum(1.0);
            }
            ScatterReduction::Prod => ScatterFunction::Mul,
            ScatterReduction::Amax => ScatterFunction::Max,
            ScatterReduction::Amin => ScatterFunction::Min,
        };
        match (base.raw(), self.indices.raw(), updates.raw()) {
            (Some(operand), Some(indices), Some(updates)) => {
                let op = Indexing::ScatterReduce { function, operand, indices, updates, axis: self.axis };
                base.insert(Op::Indexing(op), None, None, origin)
            }
            _ => Expr::poisoned(self.graph()),
        }
    }

    /// Of slices, whose indices are a vector: the same with an index for each of their elements.
    fn by_element(&self) -> Scatter<'g> {
        let mut along = vec![1; self.shape.rank()];
        along[self.axis] = self.updated[self.axis];
        let aligned = self.indices.reshape_node(&Shape::from(along), self.origin);
        let indices = aligned.broadcast_node(&self.updated, self.origin);
        Scatter { indices, shape: self.shape.clone(), updated: self.updated.clone(), ..*self }
    }
}
