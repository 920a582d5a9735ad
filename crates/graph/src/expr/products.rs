//! Matrix products, gather and scatter.

use crate::dtype::DType;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{Indexing, Op};
use crate::shape::Shape;

impl<'g> Expr<'g> {
    /// The matrix product `[.., m, k] x [.., k, n] -> [.., m, n]`; axes before the last two broadcast. As in NumPy, a rank-1
    /// left operand is a row and a rank-1 right operand a column, and the axis that this adds falls away again:
    /// `[k] x [k] -> []`, `[m, k] x [k] -> [m]`. Floats, and i32, whose sums wrap.
    #[track_caller]
    pub fn matmul(self, rhs: Expr<'g>) -> Expr<'g> {
        let _method = self.enter("matmul");
        let origin = self.graph().origin_or(Origin::here());
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(rhs, "matmul", origin).is_none() {
            return poisoned;
        }
        let (Some(lhs_shape), Some(rhs_shape)) = (
            self.read("matmul", origin, |_, node| node.shape.clone()),
            rhs.read("matmul", origin, |_, node| node.shape.clone()),
        ) else {
            return poisoned;
        };
        let row = |shape: &Shape| Shape::from([1, shape[0]]);
        let column = |shape: &Shape| Shape::from([shape[0], 1]);
        let lhs = if lhs_shape.rank() == 1 { self.reshape_node(&row(&lhs_shape), origin) } else { self };
        let rhs_matrix = if rhs_shape.rank() == 1 { rhs.reshape_node(&column(&rhs_shape), origin) } else { rhs };
        let product = lhs.product_node(rhs_matrix, false, false, origin);
        let Some(shape) = product.read("matmul", origin, |_, node| node.shape.clone()) else { return poisoned };
        let mut dims = shape.to_vec();
        if rhs_shape.rank() == 1 {
            dims.pop();
        }
        if lhs_shape.rank() == 1 {
            dims.remove(shape.rank() - 2);
        }
        product.reshape_node(&Shape::from(dims), origin)
    }

    /// `result[.., j, ..] = self[.., indices[.., j, ..], ..]` along `axis`. The i32 `indices` have this expression's rank and
    /// no larger extent along the other axes; the result has their shape. (PyTorch's `gather`.)
    ///
    /// Indices that are an input, also reshaped, permuted or repeated, are checked at each run. Others, computed on the device
    /// or slices of an input, cannot be: out of range they give NaN for floats and 0 for i32 and bool.
    #[track_caller]
    pub fn gather(self, axis: isize, indices: Expr<'g>) -> Expr<'g> {
        let _method = self.enter("gather");
        let origin = self.graph().origin_or(Origin::here());
        match self.indexed("gather", axis, indices, origin) {
            Some((operand, indices, axis)) => {
                self.insert(Op::Indexing(Indexing::Gather { operand, indices, axis }), None, None, origin)
            }
            None => Expr::poisoned(self.graph()),
        }
    }

    /// This with `updates[.., j, ..]` added at `[.., indices[.., j, ..], ..]` along `axis`; indices may repeat. `indices` and
    /// `updates` have equal shapes, this expression's rank, and no larger extent along the other axes. (PyTorch's
    /// `scatter_add`.) An index computed on the device that is out of range adds nothing. Floats and i32. Of bool, as in PyTorch, an
    /// element holds if it did or one of its updates does.
    #[track_caller]
    pub fn scatter_add(self, axis: isize, indices: Expr<'g>, updates: Expr<'g>) -> Expr<'g> {
        let _method = self.enter("scatter_add");
        let origin = self.graph().origin_or(Origin::here());
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(updates, "scatter_add", origin).is_none() {
            return poisoned;
        }
        let indexed = self.indexed("scatter_add", axis, indices, origin);
        if indexed.is_some() && self.is_truth() && updates.is_truth() {
            let [operand, updates] = [self, updates].map(|truth| truth.numbers(origin));
            return operand.scatter_add(axis, indices, updates).cast(DType::Bool);
        }
        match (indexed, updates.raw()) {
            (Some((operand, indices, axis)), Some(updates)) => {
                self.insert(Op::Indexing(Indexing::ScatterAdd { operand, indices, updates, axis }), None, None, origin)
            }
            _ => poisoned,
        }
    }

    /// The slices of `axis` at the i32 `indices`, of any shape, which takes the axis's place:
    /// `[a, n, b], [i, j] -> [a, i, j, b]`. An embedding is `table.index_select(0, tokens)`.
    #[track_caller]
    pub fn index_select(self, axis: isize, indices: Expr<'g>) -> Expr<'g> {
        let _method = self.enter("index_select");
        let origin = self.graph().origin_or(Origin::here());
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph(indices, "index_select", origin).is_none() {
            return poisoned;
        }
        let (Some(shape), Some((index_shape, dtype))) = (
            self.read("index_select", origin, |_, node| node.shape.clone()),
            indices.read("index_select", origin, |_, node| (node.shape.clone(), node.dtype)),
        ) else {
            return poisoned;
        };
        // Here, where the indices still are those of the caller.
        if dtype != DType::I32 {
            let (op, operand, expected) = ("index_select", indices.describe(), "i32");
            return self.fail(GraphError::DType { origin, op, operand, dtype, expected });
        }
        let axis = match self.resolve_axis("index_select", &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        let count = index_shape.elements();
        let mut aligned = vec![1; shape.rank()];
        aligned[axis] = count;
        let wide = shape.with_extent(axis, count);
        let indices = indices.reshape_node(&Shape::from(aligned), origin).broadcast_node(&wide, origin);
        let result: Shape = shape[..axis].iter().chain(index_shape.iter()).chain(&shape[axis + 1..]).copied().collect();
        self.gather(axis as isize, indices).reshape_node(&result, origin)
    }

    /// [`Expr::matmul_node`], and that of integers.
    pub(crate) fn product_node(
        self,
        rhs: Expr<'g>,
        transpose_lhs: bool,
        transpose_rhs: bool,
        origin: Origin,
    ) -> Expr<'g> {
        let are_integers = [self, rhs].into_iter().all(|x| {
            x.read("matmul", origin, |_, node| node.dtype == DType::I32 && node.shape.rank() > 1).unwrap_or(false)
        });
        if !are_integers {
            return self.matmul_node(rhs, transpose_lhs, transpose_rhs, origin);
        }
        let [lhs, rhs] = [(self, transpose_lhs), (rhs, transpose_rhs)]
            .map(|(x, is_transposed)| if is_transposed { x.graph().at(origin, || x.transpose(-2, -1)) } else { x });
        let shape = |x: Expr<'g>| x.read("matmul", origin, |_, node| node.shape.clone());
        match (shape(lhs), shape(rhs)) {
            (Some(lhs_shape), Some(rhs_shape)) => lhs.integer_product(rhs, [&lhs_shape, &rhs_shape], origin),
            (_, _) => Expr::poisoned(self.graph()),
        }
    }

    /// A product whose operands may be stored transposed; both have rank 2 or more.
    pub(crate) fn matmul_node(
        self,
        rhs: Expr<'g>,
        transpose_lhs: bool,
        transpose_rhs: bool,
        origin: Origin,
    ) -> Expr<'g> {
        match (self.raw(), rhs.raw()) {
            (Some(lhs), Some(rhs)) => {
                self.insert(Op::MatMul { lhs, rhs, transpose_lhs, transpose_rhs }, None, None, origin)
            }
            _ => Expr::poisoned(self.graph()),
        }
    }

    /// The checked operands of gather and scatter: data, indices, axis.
    pub(crate) fn indexed(
        self,
        op: &'static str,
        axis: isize,
        indices: Expr<'g>,
        origin: Origin,
    ) -> Option<(NodeId, NodeId, usize)> {
        self.same_graph(indices, op, origin)?;
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let axis = match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => {
                return self.fail_without(error);
            }
        };
        if let Some(error) = indices.index_error(op, (0, shape[axis]), None, origin) {
            return self.fail_without(error);
        }
        Some((self.raw()?, indices.raw()?, axis))
    }
}
