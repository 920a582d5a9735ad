//! Products of vectors, matrices and tensors by their names: each is a sum of products over axes, as `einsum` says any of them.

use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

use super::einsum::{Label, Labelled, alike, contract};

impl<'g> Expr<'g> {
    /// The sum of products over the axes `own[i]` of this and `others[i]` of `other`, which fall away:
    /// `[a, k, b] x [k, c] -> [a, b, c]` by `tensordot(y, [1], [0])`. The result has this tensor's other axes and then those of `other`.
    /// (PyTorch's `tensordot` with `dims` of two lists; a number `n` there is the last `n` axes of the one and the first `n` of the other.)
    /// An axis of extent 1 broadcasts to the other of its pair. Without axes it is the outer product. Floats and i32.
    ///
    /// Errors: lists of different lengths; an axis that there is not or that is named twice; extents of a pair that differ; different
    /// dtypes, or bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// let (x, y) = (g.input("x", [2, 5, 3]), g.input("y", [5, 4]));
    /// assert_eq!(x.tensordot(y, [1], [0]).shape()?.dims(), [2, 3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn tensordot(self, other: Expr<'g>, own: impl AsRef<[isize]>, others: impl AsRef<[isize]>) -> Expr<'g> {
        let method = self.enter("tensordot");
        let (origin, op) = (method.origin(), "tensordot");
        let Some([shape, other_shape]) = self.numeric_pair(op, other, origin) else {
            return Expr::poisoned(self.graph());
        };
        match self.dotted(other, [&shape, &other_shape], [own.as_ref(), others.as_ref()], origin) {
            Ok(result) => result,
            Err(error) => self.fail(error),
        }
    }

    fn dotted(
        self,
        other: Expr<'g>,
        [shape, other_shape]: [&Shape; 2],
        [own, others]: [&[isize]; 2],
        origin: Origin,
    ) -> Result<Expr<'g>, GraphError> {
        let op = "tensordot";
        if own.len() != others.len() {
            let (what, value) = ("the number of the other's axes", others.len() as f64);
            return Err(GraphError::Argument { origin, op, what, value, expected: "one for each axis of this" });
        }
        // Each once, before the lists go by their order.
        self.resolve_axes(op, shape, own, origin)?;
        other.resolve_axes(op, other_shape, others, origin)?;
        let mut labels: Vec<Label> = (0..shape.rank() as Label).collect();
        let free = shape.rank() as Label;
        let mut other_labels: Vec<Label> = (free..free + other_shape.rank() as Label).collect();
        let mut extents: Vec<usize> = shape.iter().chain(other_shape.iter()).copied().collect();
        let (mut ones, mut other_ones) = (Vec::new(), Vec::new());
        for (&axis, &other_axis) in own.iter().zip(others) {
            let axis = self.resolve_axis(op, shape, axis, origin)?;
            let other_axis = other.resolve_axis(op, other_shape, other_axis, origin)?;
            let (left, right) = (shape[axis], other_shape[other_axis]);
            match (left, right) {
                _ if left == right => {}
                (1, _) => ones.push(axis),
                (_, 1) => other_ones.push(other_axis),
                _ => {
                    let (lhs, rhs) = (self.describe(), other.describe());
                    let (lhs_shape, rhs_shape) = (shape.clone(), other_shape.clone());
                    return Err(GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right });
                }
            }
            extents[axis] = left.max(right);
            other_labels[other_axis] = labels[axis];
        }
        let result: Vec<Label> = labels
            .iter()
            .copied()
            .filter(|label| !other_labels.contains(label))
            .chain(other_labels.iter().copied().filter(|&label| label >= free))
            .collect();
        Ok(self.graph().at(origin, || {
            let dropped = |expr: Expr<'g>, shape: &Shape, labels: &mut Vec<Label>, ones: &[usize]| {
                let mut axis = 0;
                labels.retain(|_| {
                    axis += 1;
                    !ones.contains(&(axis - 1))
                });
                expr.reshape_node(&shape.without(ones.iter().copied().collect()), origin)
            };
            let lhs = dropped(self, shape, &mut labels, &ones);
            let rhs = dropped(other, other_shape, &mut other_labels, &other_ones);
            let terms = vec![Labelled { expr: lhs, labels }, Labelled { expr: rhs, labels: other_labels }];
            contract(terms, &result, &|label| extents[label as usize], origin)
        }))
    }

    /// The product of each element of this vector with each of the other's: `[m] x [n] -> [m, n]`, `y[i, j] = a[i] b[j]`. (PyTorch's
    /// `outer`.) Floats and i32. Errors: an operand that is no vector; different dtypes, or bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [3]).outer(g.input("y", [4])).shape()?.dims(), [3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn outer(self, other: Expr<'g>) -> Expr<'g> {
        let method = self.enter("outer");
        let (origin, op) = (method.origin(), "outer");
        let poisoned = Expr::poisoned(self.graph());
        let Some([shape, other_shape]) = self.numeric_pair(op, other, origin) else { return poisoned };
        if self.is_vector(op, &shape, origin) && other.is_vector(op, &other_shape, origin) {
            self.graph().at(origin, || self.unsqueeze(1) * other)
        } else {
            poisoned
        }
    }

    /// The scalar product of two vectors: `[n] x [n] -> []`, `sum a[i] b[i]`. (PyTorch's `dot`, and `vdot`, which is the same of real
    /// numbers.) Floats and i32. Errors: an operand that is no vector; different lengths; different dtypes, or bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [3]).dot(g.input("y", [3])).shape()?.dims(), []);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn dot(self, other: Expr<'g>) -> Expr<'g> {
        let method = self.enter("dot");
        let (origin, op) = (method.origin(), "dot");
        let poisoned = Expr::poisoned(self.graph());
        let Some([lhs_shape, rhs_shape]) = self.numeric_pair(op, other, origin) else { return poisoned };
        if !self.is_vector(op, &lhs_shape, origin) || !other.is_vector(op, &rhs_shape, origin) {
            return poisoned;
        }
        if lhs_shape != rhs_shape {
            let (lhs, rhs) = (self.describe(), other.describe());
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        self.graph().at(origin, || (self * other).sum(0))
    }

    /// The sum of products over the last axes: `[.., k] x [__, k] -> [.., __]`; a scalar multiplies the other. (PyTorch's `inner`.)
    /// Floats and i32. Errors: last axes of different extents; different dtypes, or bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3, 5]).inner(g.input("y", [4, 5])).shape()?.dims(), [2, 3, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn inner(self, other: Expr<'g>) -> Expr<'g> {
        let method = self.enter("inner");
        let (origin, op) = (method.origin(), "inner");
        let Some([lhs_shape, rhs_shape]) = self.numeric_pair(op, other, origin) else {
            return Expr::poisoned(self.graph());
        };
        let (Some(&left), Some(&right)) = (lhs_shape.last(), rhs_shape.last()) else {
            return self.graph().at(origin, || self * other);
        };
        if left != right {
            let (lhs, rhs, axis) = (self.describe(), other.describe(), lhs_shape.rank() - 1);
            return self.fail(GraphError::Extent { origin, op, axis, lhs, lhs_shape, rhs, rhs_shape, left, right });
        }
        self.graph().at(origin, || self.tensordot(other, [-1], [-1]))
    }

    /// Kronecker's product: each element of this times the whole of the other, `[m, n] x [p, q] -> [m p, n q]`,
    /// `y[i p + k, j q + l] = a[i, j] b[k, l]`; likewise of any ranks, which are aligned at the last axis. (PyTorch's `kron`.)
    /// Floats and i32. Errors: different dtypes, or bool; more elements than can be counted; more than half the axes that a shape may have.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [2, 3]).kron(g.input("y", [4, 5])).shape()?.dims(), [8, 15]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn kron(self, other: Expr<'g>) -> Expr<'g> {
        let method = self.enter("kron");
        let (origin, op) = (method.origin(), "kron");
        let Some([shape, other_shape]) = self.numeric_pair(op, other, origin) else {
            return Expr::poisoned(self.graph());
        };
        let rank = shape.rank().max(other_shape.rank());
        let extent = |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(1, |axis| shape[axis]);
        let spread = |shape: &Shape, is_first: bool| -> Shape {
            let pair = |axis| if is_first { [extent(shape, axis), 1] } else { [1, extent(shape, axis)] };
            (0..rank).flat_map(pair).collect()
        };
        let joined: Shape =
            (0..rank).map(|axis| extent(&shape, axis).saturating_mul(extent(&other_shape, axis))).collect();
        self.graph().at(origin, || {
            let first = self.reshape_node(&spread(&shape, true), origin);
            (first * other.reshape_node(&spread(&other_shape, false), origin)).reshape_node(&joined, origin)
        })
    }

    /// The vector product of vectors of three elements along an axis: `y = [a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0]`. The other axes
    /// broadcast. (PyTorch's `linalg.cross`; `torch.cross` without a `dim` takes the first axis of three elements.) Floats and i32.
    /// The derivative is `da x b + a x db`.
    ///
    /// Errors: an axis that there is not; one that has not three elements; different ranks; shapes that do not broadcast; different dtypes,
    /// or bool.
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.input("x", [5, 3]).cross(g.input("y", [5, 3]), -1).shape()?.dims(), [5, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn cross(self, other: Expr<'g>, axis: isize) -> Expr<'g> {
        let method = self.enter("cross");
        let (origin, op) = (method.origin(), "cross");
        let poisoned = Expr::poisoned(self.graph());
        let Some([shape, other_shape]) = self.numeric_pair(op, other, origin) else { return poisoned };
        if shape.rank() != other_shape.rank() {
            let (operand, rank) = (other.describe(), other_shape.rank());
            let expected = format!("rank {}, that of {},", shape.rank(), self.describe());
            return self.fail(GraphError::Rank { origin, op, operand, shape: other_shape, rank, expected });
        }
        let axis = match self.resolve_axis(op, &shape, axis, origin) {
            Ok(axis) => axis,
            Err(error) => return self.fail(error),
        };
        for (operand, shape) in [(self, &shape), (other, &other_shape)] {
            if shape[axis] != 3 {
                let (operand, shape) = (operand.describe(), shape.clone());
                return self.fail(GraphError::Range {
                    origin,
                    op,
                    operand,
                    extent: shape[axis],
                    shape,
                    axis,
                    start: 0,
                    end: 3,
                });
            }
        }
        let axis = axis as isize;
        self.graph().at(origin, || {
            let parts = |x: Expr<'g>| [0, 1, 2].map(|place| x.slice(axis, place, place + 1));
            let ([a0, a1, a2], [b0, b1, b2]) = (parts(self), parts(other));
            self.graph().concat(&[a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis)
        })
    }

    /// The shapes of two operands of one dtype that holds numbers.
    fn numeric_pair(self, op: &'static str, other: Expr<'g>, origin: Origin) -> Option<[Shape; 2]> {
        self.same_graph(other, op, origin)?;
        let shape = self.read(op, origin, |_, node| node.shape.clone())?;
        let other_shape = other.read(op, origin, |_, node| node.shape.clone())?;
        match alike(op, &[self, other], origin) {
            Ok(()) => Some([shape, other_shape]),
            Err(error) => self.fail_without(error),
        }
    }

    fn is_vector(self, op: &'static str, shape: &Shape, origin: Origin) -> bool {
        if shape.rank() == 1 {
            return true;
        }
        let (operand, rank, shape) = (self.describe(), shape.rank(), shape.clone());
        let _poisoned = self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected: "rank 1".to_owned() });
        false
    }
}
