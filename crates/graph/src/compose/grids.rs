//! Several tensors side by side: stacks along the first, second and third axis, and grids of coordinates.

use crate::arena::Graph;
use crate::error::GraphError;
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

/// Which of a grid's first two axes is the first vector's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GridOrder {
    /// As a matrix is indexed: axis `i` is the `i`-th vector's. PyTorch's `indexing="ij"`.
    #[default]
    Ij,
    /// As a plane is drawn: the first vector goes along axis 1, the second along axis 0. PyTorch's `indexing="xy"`.
    Xy,
}

impl Graph {
    /// The expressions side by side: scalars and vectors along axis 0, all others along axis 1. (PyTorch's `hstack`.) Dtypes and other
    /// extents are equal. Errors as of [`Graph::concat`].
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.hstack(&[g.input("x", [2, 3]), g.input("y", [2, 1])]).shape()?.dims(), [2, 4]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn hstack<'g>(&'g self, operands: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("hstack");
        let origin = method.origin();
        let is_vector = |operand: &Expr<'_>| {
            operand.read("hstack", origin, |_, node| node.shape.rank()).is_none_or(|rank| rank < 2)
        };
        let axis = if operands.first().is_none_or(is_vector) { 0 } else { 1 };
        self.stacked("hstack", operands, axis, origin, |operand| operand.at_least(1, origin))
    }

    /// The expressions one below the other, along axis 0; vectors are rows. (PyTorch's `vstack`.) Dtypes and other extents are equal.
    /// Errors as of [`Graph::concat`].
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.vstack(&[g.input("x", [3]), g.input("y", [3])]).shape()?.dims(), [2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn vstack<'g>(&'g self, operands: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("vstack");
        let origin = method.origin();
        self.stacked("vstack", operands, 0, origin, |operand| operand.at_least(2, origin))
    }

    /// The expressions one behind the other, along axis 2; vectors become `[1, n, 1]`, matrices `[m, n, 1]`. (PyTorch's `dstack`.)
    /// Dtypes and other extents are equal. Errors as of [`Graph::concat`].
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.dstack(&[g.input("x", [3]), g.input("y", [3])]).shape()?.dims(), [1, 3, 2]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn dstack<'g>(&'g self, operands: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("dstack");
        let origin = method.origin();
        self.stacked("dstack", operands, 2, origin, |operand| operand.at_least(3, origin))
    }

    /// The expressions as columns of a matrix: scalars and vectors become columns, others are put side by side along axis 1 as they are.
    /// (PyTorch's `column_stack`.) Dtypes and other extents are equal. Errors as of [`Graph::concat`].
    ///
    /// ```
    /// # use arenagrad_graph::Graph;
    /// # let g = Graph::new();
    /// assert_eq!(g.column_stack(&[g.input("x", [3]), g.input("y", [3, 2])]).shape()?.dims(), [3, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn column_stack<'g>(&'g self, operands: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("column_stack");
        let origin = method.origin();
        self.stacked("column_stack", operands, 1, origin, |operand| {
            match operand.read("column_stack", origin, |_, node| node.shape.clone()) {
                Some(shape) if shape.rank() < 2 => operand.reshape_node(&Shape::from([shape.elements(), 1]), origin),
                Some(_) | None => operand,
            }
        })
    }

    /// What becomes of each operand, concatenated.
    fn stacked<'g>(
        &'g self,
        op: &'static str,
        operands: &[Expr<'g>],
        axis: isize,
        origin: Origin,
        prepare: impl Fn(Expr<'g>) -> Expr<'g>,
    ) -> Expr<'g> {
        let poisoned = Expr::poisoned(self);
        if operands.iter().any(|operand| poisoned.same_graph(*operand, op, origin).is_none()) {
            return poisoned;
        }
        let prepared: Vec<Expr<'g>> = operands.iter().map(|operand| prepare(*operand)).collect();
        self.at(origin, || self.concat(&prepared, axis))
    }

    /// A grid of the elements of some vectors, as one tensor for each: of vectors of `m` and `n` elements two `[m, n]`, the first of
    /// which is the same along axis 1 and the second along axis 0. Scalars are vectors of one. With [`GridOrder::Xy`] the first two axes are
    /// exchanged. (PyTorch's `meshgrid`.) Each result repeats its vector, and nothing is copied.
    ///
    /// Errors, to the caller alone: no vectors; one of rank 2 or more, or of another dtype than the first; more vectors than a shape may
    /// have axes.
    ///
    /// ```
    /// # use arenagrad_graph::{Graph, GridOrder};
    /// # let g = Graph::new();
    /// let [x, y] = [3, 2].map(|n| g.input(format!("x{n}"), [n]));
    /// assert_eq!(g.meshgrid(&[x, y], GridOrder::Xy)?[0].shape()?.dims(), [2, 3]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn meshgrid<'g>(&'g self, vectors: &[Expr<'g>], order: GridOrder) -> Result<Vec<Expr<'g>>, GraphError> {
        let method = self.enter("meshgrid");
        let (origin, op) = (method.origin(), "meshgrid");
        let mut extents = Vec::with_capacity(vectors.len());
        let mut first = None;
        for vector in vectors {
            let id = vector.id_in(self, op, origin)?;
            let (shape, dtype) = self.read(id, op, origin, |node| (node.shape.clone(), node.dtype))?;
            if shape.rank() > 1 {
                let (operand, rank, expected) = (vector.describe(), shape.rank(), "rank 0 or 1".to_owned());
                return Err(GraphError::Rank { origin, op, operand, shape, rank, expected });
            }
            let (lhs, left) = first.get_or_insert_with(|| (vector.describe(), dtype)).clone();
            if left != dtype {
                let (rhs, right) = (vector.describe(), dtype);
                return Err(GraphError::DTypesDiffer { origin, op, lhs, left, rhs, right });
            }
            extents.push(shape.elements());
        }
        if vectors.is_empty() {
            return Err(GraphError::NoOperands { origin, op });
        }
        let axis = |vector: usize| match (order, vector) {
            (GridOrder::Xy, 0) if vectors.len() > 1 => 1,
            (GridOrder::Xy, 1) => 0,
            (GridOrder::Ij | GridOrder::Xy, vector) => vector,
        };
        let mut grid = vec![1; vectors.len()];
        extents.iter().enumerate().for_each(|(vector, &extent)| grid[axis(vector)] = extent);
        let grid = Shape::from(grid);
        self.attempt(|| {
            let repeated = |(number, vector): (usize, &Expr<'g>)| {
                let mut aligned = vec![1; vectors.len()];
                aligned[axis(number)] = extents[number];
                vector.reshape_node(&Shape::from(aligned), origin).broadcast_node(&grid, origin).check()
            };
            vectors.iter().enumerate().map(repeated).collect()
        })
    }
}
