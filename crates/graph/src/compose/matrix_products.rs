//! What is made of products of matrices: chains of them, traces, and forms that are linear in two vectors.

use crate::arena::Graph;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::node::Origin;
use crate::shape::Shape;

impl Graph {
    /// The product of two or more matrices in the order of multiplications that needs the fewest: `[a, b], [b, c], .. [y, z] -> [a, z]`. The first may be
    /// a row `[b]` and the last a column `[y]`, and the axis that this adds falls away again. (PyTorch's `linalg.multi_dot`.) Floats, and i32,
    /// whose sums wrap.
    ///
    /// The gradients are those of the products. Errors: fewer than two operands; other ranks; inner extents or dtypes that differ.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (a, b, v) = (g.input("a", [30, 50]), g.input("b", [50, 20]), g.input("v", [20]));
    /// assert_eq!(g.multi_dot(&[a, b, v]).shape()?.dims(), &[30]); // a (b v)
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn multi_dot<'g>(&'g self, operands: &[Expr<'g>]) -> Expr<'g> {
        let method = self.enter("multi_dot");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self);
        let others: Vec<Option<Expr<'_>>> = operands.iter().copied().map(Some).collect();
        if poisoned.same_graph_all(&others, "multi_dot", origin).is_none() {
            return poisoned;
        }
        if operands.len() < 2 {
            let (what, value, expected) = ("the number of operands", operands.len() as f64, "two or more");
            return self.refuse("multi_dot", what, value, expected);
        }
        let mut shapes = Vec::with_capacity(operands.len());
        let last = operands.len() - 1;
        for (place, operand) in operands.iter().enumerate() {
            let Some(shape) = operand.read("multi_dot", origin, |_, node| node.shape.clone()) else { return poisoned };
            let rank = shape.rank();
            let may_be_vector = place == 0 || place == last;
            if rank != 2 && !(may_be_vector && rank == 1) {
                let expected = if may_be_vector { "rank 1 or 2" } else { "rank 2" };
                let (op, operand, expected) = ("multi_dot", operand.describe(), expected.to_owned());
                return self.finish(Err(GraphError::Rank { origin, op, operand, shape, rank, expected }));
            }
            shapes.push(shape);
        }
        let (is_row, is_column) = (shapes[0].rank() == 1, shapes[last].rank() == 1);
        let mut matrices = operands.to_vec();
        if is_row {
            matrices[0] = matrices[0].unsqueeze(0);
            shapes[0] = Shape::from([1, shapes[0][0]]);
        }
        if is_column {
            matrices[last] = matrices[last].unsqueeze(1);
            shapes[last] = Shape::from([shapes[last][0], 1]);
        }
        for place in 0..last {
            let (left, right) = (shapes[place][1], shapes[place + 1][0]);
            if left != right {
                return self.finish(Err(GraphError::MatMul {
                    origin,
                    op: "multi_dot",
                    which: MatMulAxis::Inner,
                    lhs: operands[place].describe(),
                    lhs_shape: shapes[place].clone(),
                    rhs: operands[place + 1].describe(),
                    rhs_shape: shapes[place + 1].clone(),
                    left,
                    right,
                }));
            }
        }
        let extents: Vec<usize> = shapes.iter().map(|shape| shape[0]).chain([shapes[last][1]]).collect();
        let mut product = chain(&matrices, &splits(&extents), origin);
        if is_column {
            product = product.squeeze(1);
        }
        if is_row { product.squeeze(0) } else { product }
    }
}

/// For each chain of matrices `first..=last` after which of them the last multiplication stands, where the fewest multiplications are made; matrix `i` has
/// `extents[i]` rows and `extents[i + 1]` columns.
fn splits(extents: &[usize]) -> Vec<Vec<usize>> {
    let count = extents.len() - 1;
    let mut cost = vec![vec![0.0f64; count]; count];
    let mut splits = vec![vec![0; count]; count];
    for length in 1..count {
        for first in 0..count - length {
            let last = first + length;
            cost[first][last] = f64::INFINITY;
            for split in first..last {
                let product = [first, split + 1, last + 1].iter().map(|&at| extents[at] as f64).product::<f64>();
                let found = cost[first][split] + cost[split + 1][last] + product;
                if found < cost[first][last] {
                    (cost[first][last], splits[first][last]) = (found, split);
                }
            }
        }
    }
    splits
}

/// The products in that order, by a stack of chains.
fn chain<'g>(matrices: &[Expr<'g>], splits: &[Vec<usize>], origin: Origin) -> Expr<'g> {
    enum Task {
        Chain(usize, usize),
        Multiply,
    }
    let mut tasks = vec![Task::Chain(0, matrices.len() - 1)];
    let mut products: Vec<Expr<'g>> = Vec::new();
    while let Some(task) = tasks.pop() {
        match task {
            Task::Chain(first, last) if first == last => products.push(matrices[first]),
            Task::Chain(first, last) => {
                let split = splits[first][last];
                tasks.extend([Task::Multiply, Task::Chain(split + 1, last), Task::Chain(first, split)]);
            }
            Task::Multiply => {
                if let (Some(rhs), Some(lhs)) = (products.pop(), products.pop()) {
                    products.push(lhs.product_node(rhs, false, false, origin));
                }
            }
        }
    }
    products.pop().unwrap_or(matrices[0])
}

impl<'g> Expr<'g> {
    /// The sum of the diagonal of each matrix of the last two axes: `[.., m, n] -> [..]`. Floats and i32; of bool it is i32, as sums are. (PyTorch's
    /// `trace`, and of batches too.)
    ///
    /// The gradient is the upstream's on the diagonal, 0 elsewhere. Errors: a rank below 2.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// assert_eq!(g.input("x", [5, 3, 4]).trace().shape()?.dims(), &[5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn trace(self) -> Expr<'g> {
        let method = self.enter("trace");
        let origin = method.origin();
        let Some(shape) = self.read("trace", origin, |_, node| node.shape.clone()) else { return self };
        let rank = shape.rank();
        if rank < 2 {
            let (op, operand, expected) = ("trace", self.describe(), "rank 2 or more".to_owned());
            return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
        }
        self.diagonal_of_matrix(&shape).sum(-1)
    }

    /// The diagonals of the matrices of the last two axes of a tensor of that shape, as a last axis.
    #[track_caller]
    pub(super) fn diagonal_of_matrix(self, shape: &Shape) -> Expr<'g> {
        let (batch, matrix) = shape.split_at(shape.rank() - 2);
        let (rows, columns) = (matrix[0], matrix[1]);
        let rows_as_one: Shape = batch.iter().copied().chain([rows * columns]).collect();
        let flat = self.reshape(rows_as_one);
        match rows.min(columns) {
            0 => flat,
            // Neighbours on the diagonal are a row and an element apart.
            count => flat.slice_step(-1, 0, (count - 1) * (columns + 1) + 1, columns + 1),
        }
    }

    /// `y[.., o] = sum over i, j of x[.., i] weight[o, i, j] other[.., j] + bias[o]`: `[.., m], [.., n], [k, m, n], [k] -> [.., k]`. Both operands have the same
    /// axes in front. Floats of one dtype. (PyTorch's `nn.functional.bilinear`.)
    ///
    /// The gradients are those of the two products that it is. Errors: axes in front that differ; a weight of another rank than 3, or extents that do not
    /// fit.
    ///
    /// ```
    /// # let g = arenagrad_graph::Graph::new();
    /// let (x, y, w) = (g.input("x", [8, 3]), g.input("y", [8, 4]), g.input("w", [5, 3, 4]));
    /// assert_eq!(x.bilinear(y, w, None).shape()?.dims(), &[8, 5]);
    /// # Ok::<(), arenagrad_graph::GraphError>(())
    /// ```
    #[track_caller]
    pub fn bilinear(self, other: Expr<'g>, weight: Expr<'g>, bias: Option<Expr<'g>>) -> Expr<'g> {
        let method = self.enter("bilinear");
        let origin = method.origin();
        let poisoned = Expr::poisoned(self.graph());
        if self.same_graph_all(&[Some(other), Some(weight), bias], "bilinear", origin).is_none() {
            return poisoned;
        }
        let shape_of = |x: Expr<'g>| x.read("bilinear", origin, |_, node| node.shape.clone());
        let (Some(shape), Some(other_shape), Some(weight_shape)) = (shape_of(self), shape_of(other), shape_of(weight))
        else {
            return poisoned;
        };
        for (operand, shape, fits, expected) in [
            (self, &shape, shape.rank() > 0, "rank 1 or more"),
            (other, &other_shape, other_shape.rank() > 0, "rank 1 or more"),
            (weight, &weight_shape, weight_shape.rank() == 3, "rank 3"),
        ] {
            if !fits {
                let (op, operand, rank) = ("bilinear", operand.describe(), shape.rank());
                let (shape, expected) = (shape.clone(), expected.to_owned());
                return self.fail(GraphError::Rank { origin, op, operand, shape, rank, expected });
            }
        }
        let (front, last) = shape.split_at(shape.rank() - 1);
        let (other_front, other_last) = other_shape.split_at(other_shape.rank() - 1);
        if front != other_front {
            let (op, lhs, rhs) = ("bilinear", self.describe(), other.describe());
            let (lhs_shape, rhs_shape) = (shape.clone(), other_shape.clone());
            return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
        }
        for (operand, operand_shape, left, right) in
            [(self, &shape, last[0], weight_shape[1]), (other, &other_shape, other_last[0], weight_shape[2])]
        {
            if left != right {
                return self.fail(GraphError::MatMul {
                    origin,
                    op: "bilinear",
                    which: MatMulAxis::Inner,
                    lhs: operand.describe(),
                    lhs_shape: operand_shape.clone(),
                    rhs: weight.describe(),
                    rhs_shape: weight_shape,
                    left,
                    right,
                });
            }
        }
        if let Some(bias) = bias {
            let Some(rhs_shape) = bias.read("bilinear", origin, |_, node| node.shape.clone()) else { return bias };
            let lhs_shape = Shape::from([weight_shape[0]]);
            if rhs_shape != lhs_shape {
                let (op, lhs, rhs) = ("bilinear", format!("the outputs of {}", weight.describe()), bias.describe());
                return self.fail(GraphError::ShapesDiffer { origin, op, lhs, lhs_shape, rhs, rhs_shape });
            }
        }
        let rows = front.iter().product::<usize>();
        let (outputs, m, n) = (weight_shape[0], weight_shape[1], weight_shape[2]);
        // [rows, m] x [m, outputs n], and the rest of each row is a product with its own vector.
        let flat = weight.permute([1, 0, 2]).reshape([m, outputs * n]);
        let forms = self.reshape([rows, m]).matmul(flat).reshape([rows, outputs, n]);
        let sums = (forms * other.reshape([rows, 1, n])).sum(-1);
        let result = front.iter().copied().chain([outputs]).collect::<Shape>();
        let product = sums.reshape(result);
        bias.map_or(product, |bias| product + bias)
    }
}
