//! Functions of whole matrices: the last two axes of operands of f32 or f64, over a batch of the axes in front.
//!
//! | op | y | gradient, with `u` the upstream |
//! |---|---|---|
//! | solve | `X`, `A X = B` | `dB = solve(A^T, u)`, `dA = -dB X^T` |
//! | solve_lower, … | the same, of a triangle of A | the same, of that triangle; 0 elsewhere |
//! | inv | `Y = A^-1` | `-Y^T u Y^T` |
//! | det | the product of the eigenvalues; 1 of no rows | `u cofactors(A)` |
//! | slogdet | `[sign, log of the magnitude]` of det | `u[1] inv(A)^T`; the sign has none |
//! | cofactors | `C = det(A) A^-T`, also where that is the limit | `<A^-T, u> C - C u^T A^-T` |
//! | cholesky | `L`, `A = L L^T` | `S + S^T`, half, of `S = L^-T f(L^T u) L^-1`; `f` takes the lower triangle, half of the diagonal |
//! | qr | `Q` of `A = Q R` | `(u - Q s) R^-T`, `s` symmetric with the upper triangle of `Q^T u` |
//! | eigh | `V` of `A = V diag(w) V^T` | `V ((V^T u) / E) V^T`, `E[i, j] = w[j] - w[i]`, nothing on the diagonal |
//! | svd | `[U; V]` of `A = U diag(s) V^T` | see `vjp_singular_vectors` |
//!
//! The formulas are those of Giles (2008) and Seeger et al. (2017), in PyTorch's conventions: that of cholesky is symmetric, that of eigh
//! is not made so, and both are meant for symmetric matrices. Tangents are the transposes of the gradients.
//!
//! Edge cases, which whoever computes it meets at run time: solve, inv, and so the gradients of slogdet and cofactors, need a matrix that is not singular;
//! cholesky one that is positive definite; eigh and svd finite elements. These are errors of the run. det of a singular matrix is 0, and has its gradient;
//! slogdet is `[0, -inf]` there. solve_lower and its like divide by what stands on the diagonal, as PyTorch's do: infinity or NaN where it is 0.
//! Vectors of equal eigenvalues or singular values are not determined, and their derivatives are infinite or NaN. Singular
//! vectors of a singular value of 0 have no derivative either, but where U and V are square.
//!
//! What has a sign to choose is told here, so that results can be compared: the columns of V of eigh, and of U of svd, have their
//! largest element (the first of equal ones) positive; `R` of qr has a diagonal that is not negative.

use crate::dtype::DType;
use crate::error::{GraphError, MatMulAxis};
use crate::expr::Expr;
use crate::node::{NodeId, Origin};
use crate::op::{MatrixFunction, Op};
use crate::ops::matmul::batch_shape;
use crate::ops::{Differentiated, Pushed, Rule};
use crate::shape::Shape;

pub(crate) fn infer(
    rule: &Rule<'_>,
    function: MatrixFunction,
    operands: &[NodeId],
) -> Result<(Shape, DType), GraphError> {
    if operands.len() != function.operands() {
        let (what, expected) = ("the number of operands", "as many as the function takes");
        let (origin, op, value) = (rule.origin, rule.op, operands.len() as f64);
        return Err(GraphError::Argument { origin, op, what, value, expected });
    }
    let matrix = operands[0];
    for &operand in operands {
        rule.float(operand)?;
        is_matrix(rule, operand)?;
    }
    let dtype = rule.node(matrix).dtype;
    let shape = &rule.node(matrix).shape;
    let (rows, columns) = last_two(shape);
    let batch = batch_shape(shape);
    let with = |last: &[usize]| batch.iter().chain(last).copied().collect::<Shape>();
    let shape = match function {
        MatrixFunction::Solve | MatrixFunction::SolveTriangular { .. } => {
            let rhs = operands[1];
            rule.same_dtype(matrix, rhs)?;
            is_square(rule, matrix)?;
            let rhs_shape = &rule.node(rhs).shape;
            let disagree = |which, left, right| GraphError::MatMul {
                origin: rule.origin,
                op: rule.op,
                which,
                lhs: rule.describe(matrix),
                lhs_shape: shape.clone(),
                rhs: rule.describe(rhs),
                rhs_shape: rhs_shape.clone(),
                left,
                right,
            };
            let (inner, _) = last_two(rhs_shape);
            if columns != inner {
                return Err(disagree(MatMulAxis::Inner, columns, inner));
            }
            let rhs_batch = batch_shape(rhs_shape);
            if batch != rhs_batch {
                let (left, right) = (batch.elements(), rhs_batch.elements());
                return Err(disagree(MatMulAxis::Batch, left, right));
            }
            rhs_shape.clone()
        }
        MatrixFunction::Inverse
        | MatrixFunction::Cofactors
        | MatrixFunction::Cholesky
        | MatrixFunction::Eigenvectors => {
            is_square(rule, matrix)?;
            shape.clone()
        }
        MatrixFunction::Determinant => {
            is_square(rule, matrix)?;
            batch
        }
        MatrixFunction::SignLogDeterminant => {
            is_square(rule, matrix)?;
            if rows == 0 {
                let (origin, op, operand) = (rule.origin, rule.op, rule.describe(matrix));
                let (function, axis) = ("logarithm of a determinant", shape.rank() - 2);
                return Err(GraphError::EmptyAxis { origin, op, function, operand, shape: shape.clone(), axis });
            }
            with(&[2])
        }
        MatrixFunction::Orthonormal => {
            if rows < columns {
                let (origin, op, operand) = (rule.origin, rule.op, rule.describe(matrix));
                let (shape, expected) = (shape.clone(), "no more columns than rows");
                return Err(GraphError::MatrixShape { origin, op, operand, shape, rows, columns, expected });
            }
            shape.clone()
        }
        MatrixFunction::SingularVectors => with(&[rows.saturating_add(columns), rows.min(columns)]),
    };
    Ok((shape, dtype))
}

pub(crate) fn vjp<'g>(
    function: MatrixFunction,
    operands: &[NodeId],
    node: &Differentiated<'g, '_>,
    give: &mut dyn FnMut(NodeId, Expr<'g>),
) {
    let rules = Rules { origin: node.origin };
    let (matrix, a) = (operands[0], node.expr(operands[0]));
    let (y, upstream) = (node.output, node.upstream);
    let wants = (node.wants)(matrix);
    if operands.iter().all(|&operand| !(node.wants)(operand)) {
        return;
    }
    let gradient = match function {
        MatrixFunction::Solve | MatrixFunction::SolveTriangular { .. } => {
            let rhs = operands[1];
            let by_rhs = rules.apply(transposed_of(function), &[rules.transposed(a), upstream]);
            if (node.wants)(rhs) {
                give(rhs, by_rhs);
            }
            if !wants {
                return;
            }
            rules.triangle_of(function, -rules.product(by_rhs, y, [false, true]))
        }
        MatrixFunction::Inverse => -rules.product(rules.product(y, upstream, [true, false]), y, [false, true]),
        MatrixFunction::Determinant => rules.scalars(upstream) * rules.apply(MatrixFunction::Cofactors, &[a]),
        MatrixFunction::SignLogDeterminant => {
            let log = rules.scalars(rules.log_of(upstream));
            log * rules.transposed(rules.apply(MatrixFunction::Inverse, &[a]))
        }
        MatrixFunction::Cofactors => {
            let inverse = rules.apply(MatrixFunction::Inverse, &[a]);
            let inner = rules.inner(rules.transposed(inverse), upstream);
            let outer = rules.product(rules.product(y, upstream, [false, true]), inverse, [false, true]);
            rules.scalars(inner) * y - outer
        }
        MatrixFunction::Cholesky => {
            let middle = rules.halved_lower(rules.product(y, upstream, [true, false]));
            let half = rules.between_inverses(y, middle);
            (half + rules.transposed(half)) * 0.5
        }
        MatrixFunction::Orthonormal => {
            let r = rules.upper(rules.product(y, a, [true, false]), 0);
            let projected = rules.product(y, upstream, [true, false]);
            let symmetric = rules.upper(projected, 0) + rules.transposed(rules.upper(projected, 1));
            let rest = upstream - rules.product(y, symmetric, [false, false]);
            rules.times_inverse_transposed(rest, r)
        }
        MatrixFunction::Eigenvectors => {
            // Of a symmetric matrix the gradient is symmetric: what of the upstream gradient would turn the vectors is skew.
            let inner = rules.product(y, upstream, [true, false]);
            let skew = (inner - rules.transposed(inner)) * 0.5;
            let core = rules.off_diagonal(skew, rules.gaps(rules.eigenvalues(a, y)));
            rules.product(rules.product(y, core, [false, false]), y, [false, true])
        }
        MatrixFunction::SingularVectors => vjp_singular_vectors(&rules, a, y, upstream),
    };
    give(matrix, gradient);
}

pub(crate) fn jvp<'g>(function: MatrixFunction, operands: &[NodeId], node: &Pushed<'g, '_>) -> Option<Expr<'g>> {
    let rules = Rules { origin: node.origin };
    let (a, y) = (node.expr(operands[0]), node.output);
    let by_matrix = (node.tangent)(operands[0]);
    if let MatrixFunction::Solve | MatrixFunction::SolveTriangular { .. } = function {
        let by_rhs = (node.tangent)(operands[1]);
        let moved = by_matrix.map(|tangent| -rules.product(rules.triangle_of(function, tangent), y, [false, false]));
        return super::sum(by_rhs, moved).map(|tangent| rules.apply(function, &[a, tangent]));
    }
    let tangent = by_matrix?;
    Some(match function {
        MatrixFunction::Solve | MatrixFunction::SolveTriangular { .. } => return None,
        MatrixFunction::Inverse => -rules.product(rules.product(y, tangent, [false, false]), y, [false, false]),
        MatrixFunction::Determinant => rules.inner(rules.apply(MatrixFunction::Cofactors, &[a]), tangent),
        MatrixFunction::SignLogDeterminant => {
            let inverse = rules.transposed(rules.apply(MatrixFunction::Inverse, &[a]));
            let log = rules.inner(inverse, tangent);
            rules.with_log(log, node.shape)
        }
        MatrixFunction::Cofactors => {
            let inverse = rules.apply(MatrixFunction::Inverse, &[a]);
            let outer = rules.product(rules.product(inverse, tangent, [true, true]), y, [false, false]);
            rules.scalars(rules.inner(y, tangent)) * rules.transposed(inverse) - outer
        }
        MatrixFunction::Cholesky => {
            let symmetric = (tangent + rules.transposed(tangent)) * 0.5;
            let lower = MatrixFunction::SolveTriangular { upper: false, unitriangular: false };
            let left = rules.apply(lower, &[y, symmetric]);
            let both = rules.transposed(rules.apply(lower, &[y, rules.transposed(left)]));
            rules.product(y, rules.halved_lower(both), [false, false])
        }
        MatrixFunction::Orthonormal => {
            let r = rules.upper(rules.product(y, a, [true, false]), 0);
            let upper = MatrixFunction::SolveTriangular { upper: true, unitriangular: false };
            let lower = transposed_of(upper);
            let scaled = rules.transposed(rules.apply(lower, &[rules.transposed(r), rules.transposed(tangent)]));
            let projected = rules.product(y, scaled, [true, false]);
            let below = rules.lower(projected, -1);
            scaled - rules.product(y, projected - below + rules.transposed(below), [false, false])
        }
        MatrixFunction::Eigenvectors => {
            let symmetric = (tangent + rules.transposed(tangent)) * 0.5;
            let inner = rules.product(rules.product(y, symmetric, [true, false]), y, [false, false]);
            rules.product(y, rules.off_diagonal(inner, rules.gaps(rules.eigenvalues(a, y))), [false, false])
        }
        MatrixFunction::SingularVectors => jvp_singular_vectors(&rules, a, y, tangent),
    })
}

/// With `F[i, j] = 1 / (s[j]^2 - s[i]^2)` off the diagonal, and `skew(X) = X - X^T`:
/// `U (F skew(U^T du) S + S F skew(V^T dv)) V^T + (I - U U^T) du S^-1 V^T + U S^-1 dv^T (I - V V^T)`, where the second term is
/// for a tall matrix and the third for a wide one.
fn vjp_singular_vectors<'g>(rules: &Rules, a: Expr<'g>, vectors: Expr<'g>, upstream: Expr<'g>) -> Expr<'g> {
    let (rows, columns) = rules.extents(a);
    let [u, v] = rules.halves(vectors, rows, columns);
    let [by_u, by_v] = rules.halves(upstream, rows, columns);
    let values = rules.singular_values(a, u, v);
    let (row, column) = (rules.as_row(values), rules.as_column(values));
    let gaps = rules.gaps(values * values);
    let u_inner = rules.product(u, by_u, [true, false]);
    let v_inner = rules.product(v, by_v, [true, false]);
    let skew = |inner: Expr<'g>| inner - rules.transposed(inner);
    let core = rules.off_diagonal(skew(u_inner), gaps) * row + column * rules.off_diagonal(skew(v_inner), gaps);
    let mut left = rules.product(u, core, [false, false]);
    if rows > columns {
        left = left + (by_u - rules.product(u, u_inner, [false, false])) / row;
    }
    let gradient = rules.product(left, v, [false, true]);
    if columns <= rows {
        return gradient;
    }
    let rest = (by_v - rules.product(v, v_inner, [false, false])) / row;
    gradient + rules.product(u, rest, [false, true])
}

/// The transpose of [`vjp_singular_vectors`].
fn jvp_singular_vectors<'g>(rules: &Rules, a: Expr<'g>, vectors: Expr<'g>, tangent: Expr<'g>) -> Expr<'g> {
    let (rows, columns) = rules.extents(a);
    let [u, v] = rules.halves(vectors, rows, columns);
    let values = rules.singular_values(a, u, v);
    let (row, column) = (rules.as_row(values), rules.as_column(values));
    let gaps = rules.gaps(values * values);
    let over_v = rules.product(tangent, v, [false, false]);
    let inner = rules.product(u, over_v, [true, false]);
    let swapped = rules.transposed(inner);
    let u_core = rules.off_diagonal(inner * row + column * swapped, gaps);
    let v_core = rules.off_diagonal(column * inner + swapped * row, gaps);
    let mut by_u = rules.product(u, u_core, [false, false]);
    let mut by_v = rules.product(v, v_core, [false, false]);
    if rows > columns {
        by_u = by_u + (over_v - rules.product(u, inner, [false, false])) / row;
    }
    if columns > rows {
        let over_u = rules.product(tangent, u, [true, false]);
        by_v = by_v + (over_u - rules.product(v, swapped, [false, false])) / row;
    }
    rules.above(by_u, by_v)
}

/// What solves with the transposed matrix.
fn transposed_of(function: MatrixFunction) -> MatrixFunction {
    match function {
        MatrixFunction::SolveTriangular { upper, unitriangular } => {
            MatrixFunction::SolveTriangular { upper: !upper, unitriangular }
        }
        other @ (MatrixFunction::Solve
        | MatrixFunction::Inverse
        | MatrixFunction::Determinant
        | MatrixFunction::SignLogDeterminant
        | MatrixFunction::Cofactors
        | MatrixFunction::Cholesky
        | MatrixFunction::Orthonormal
        | MatrixFunction::Eigenvectors
        | MatrixFunction::SingularVectors) => other,
    }
}

/// The last two extents of a shape of rank 2 or more.
fn last_two(shape: &Shape) -> (usize, usize) {
    (shape[shape.rank() - 2], shape[shape.rank() - 1])
}

fn is_matrix(rule: &Rule<'_>, operand: NodeId) -> Result<(), GraphError> {
    let shape = &rule.node(operand).shape;
    if shape.rank() >= 2 {
        return Ok(());
    }
    Err(GraphError::Rank {
        origin: rule.origin,
        op: rule.op,
        operand: rule.describe(operand),
        shape: shape.clone(),
        rank: shape.rank(),
        expected: "rank 2 or more".to_owned(),
    })
}

fn is_square(rule: &Rule<'_>, operand: NodeId) -> Result<(), GraphError> {
    let shape = &rule.node(operand).shape;
    let (rows, columns) = last_two(shape);
    if rows == columns {
        return Ok(());
    }
    let (origin, op, operand) = (rule.origin, rule.op, rule.describe(operand));
    let (shape, expected) = (shape.clone(), "a square matrix");
    Err(GraphError::MatrixShape { origin, op, operand, shape, rows, columns, expected })
}

/// The steps that the rules above are made of, each over the last two axes. Their nodes have the origin of what is differentiated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) origin: Origin,
}

impl Rules {
    pub(crate) fn shape(&self, x: Expr<'_>) -> Option<Shape> {
        x.read("linear_algebra", self.origin, |_, node| node.shape.clone())
    }

    /// Rows and columns; 0 and 0 of what is poisoned.
    fn extents(&self, x: Expr<'_>) -> (usize, usize) {
        self.shape(x).map_or((0, 0), |shape| last_two(&shape))
    }

    pub(crate) fn apply<'g>(&self, function: MatrixFunction, operands: &[Expr<'g>]) -> Expr<'g> {
        let ids: Option<Box<[NodeId]>> = operands.iter().map(|operand| operand.raw()).collect();
        match ids {
            Some(ids) => operands[0].insert(Op::LinearAlgebra { function, operands: ids }, None, None, self.origin),
            None => Expr::poisoned(operands[0].graph()),
        }
    }

    pub(crate) fn product<'g>(&self, lhs: Expr<'g>, rhs: Expr<'g>, transposed: [bool; 2]) -> Expr<'g> {
        lhs.matmul_node(rhs, transposed[0], transposed[1], self.origin)
    }

    pub(crate) fn transposed<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        x.transpose(-2, -1)
    }

    /// `[..]` as `[.., 1, 1]`.
    fn scalars<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        x.unsqueeze(-1).unsqueeze(-1)
    }

    /// `[.., n]` as `[.., 1, n]`.
    pub(crate) fn as_row<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        x.unsqueeze(-2)
    }

    /// `[.., n]` as `[.., n, 1]`.
    fn as_column<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        x.unsqueeze(-1)
    }

    /// The sum of the products of corresponding elements of each pair of matrices.
    fn inner<'g>(&self, lhs: Expr<'g>, rhs: Expr<'g>) -> Expr<'g> {
        (lhs * rhs).sum([-2, -1])
    }

    fn upper<'g>(&self, x: Expr<'g>, diagonal: isize) -> Expr<'g> {
        x.triu(diagonal)
    }

    fn lower<'g>(&self, x: Expr<'g>, diagonal: isize) -> Expr<'g> {
        x.tril(diagonal)
    }

    /// The lower triangle, half of the diagonal.
    fn halved_lower<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        (self.lower(x, 0) + self.lower(x, -1)) * 0.5
    }

    /// What of a gradient or tangent of the matrix the function reads.
    fn triangle_of<'g>(&self, function: MatrixFunction, x: Expr<'g>) -> Expr<'g> {
        match function {
            MatrixFunction::SolveTriangular { upper: true, unitriangular } => self.upper(x, isize::from(unitriangular)),
            MatrixFunction::SolveTriangular { upper: false, unitriangular } => {
                self.lower(x, -isize::from(unitriangular))
            }
            MatrixFunction::Solve
            | MatrixFunction::Inverse
            | MatrixFunction::Determinant
            | MatrixFunction::SignLogDeterminant
            | MatrixFunction::Cofactors
            | MatrixFunction::Cholesky
            | MatrixFunction::Orthonormal
            | MatrixFunction::Eigenvectors
            | MatrixFunction::SingularVectors => x,
        }
    }

    /// `L^-T x L^-1` of a lower triangular L.
    fn between_inverses<'g>(&self, lower: Expr<'g>, x: Expr<'g>) -> Expr<'g> {
        let upper = MatrixFunction::SolveTriangular { upper: true, unitriangular: false };
        let transposed = self.transposed(lower);
        let left = self.apply(upper, &[transposed, x]);
        self.transposed(self.apply(upper, &[transposed, self.transposed(left)]))
    }

    /// `x R^-T` of an upper triangular R.
    fn times_inverse_transposed<'g>(&self, x: Expr<'g>, r: Expr<'g>) -> Expr<'g> {
        let upper = MatrixFunction::SolveTriangular { upper: true, unitriangular: false };
        self.transposed(self.apply(upper, &[r, self.transposed(x)]))
    }

    /// The second of the two elements along the last axis.
    fn log_of<'g>(&self, packed: Expr<'g>) -> Expr<'g> {
        packed.select_index(-1, 1)
    }

    /// `[0, log]` along a new last axis.
    fn with_log<'g>(&self, log: Expr<'g>, packed: &Shape) -> Expr<'g> {
        let mut amounts = vec![(0, 0); packed.rank()];
        if let Some(last) = amounts.last_mut() {
            *last = (1, 0);
        }
        log.unsqueeze(-1).pad(amounts, 0.0)
    }

    /// The first `rows` rows, and the `columns` rows after them.
    pub(crate) fn halves<'g>(&self, packed: Expr<'g>, rows: usize, columns: usize) -> [Expr<'g>; 2] {
        [packed.slice(-2, 0, rows), packed.slice(-2, rows, rows + columns)]
    }

    /// One above the other.
    fn above<'g>(&self, first: Expr<'g>, second: Expr<'g>) -> Expr<'g> {
        first.graph().concat(&[first, second], -2)
    }

    /// `x[j] - x[i]` at `[i, j]`, and 1 on the diagonal.
    fn gaps<'g>(&self, x: Expr<'g>) -> Expr<'g> {
        let gaps = self.as_row(x) - self.as_column(x);
        match self.is_diagonal(gaps) {
            Some(is_diagonal) => is_diagonal.where_(1.0, gaps),
            None => gaps,
        }
    }

    /// The quotient, and 0 on the diagonal.
    fn off_diagonal<'g>(&self, x: Expr<'g>, gaps: Expr<'g>) -> Expr<'g> {
        let quotient = x / gaps;
        match self.is_diagonal(quotient) {
            Some(is_diagonal) => is_diagonal.where_(0.0, quotient),
            None => quotient,
        }
    }

    fn is_diagonal<'g>(&self, x: Expr<'g>) -> Option<Expr<'g>> {
        let shape = self.shape(x)?;
        let rank = shape.rank();
        let graph: &'g crate::Graph = x.graph();
        Some(graph.iota(&shape, rank - 2).equal(graph.iota(&shape, rank - 1)))
    }

    /// The eigenvalues that belong to the eigenvectors V of a symmetric matrix, as `v^T A v`, which is as far from them as the
    /// square of what v is off. Their gradient, `V diag(u) V^T`, is given outright: that of the formula would pass
    /// through V, and so divide by the gaps between eigenvalues.
    pub(crate) fn eigenvalues<'g>(&self, a: Expr<'g>, vectors: Expr<'g>) -> Expr<'g> {
        let symmetric = self.lower(a, 0) + self.transposed(self.lower(a, -1));
        let value = (vectors * self.product(symmetric, vectors, [false, false])).sum(-2);
        value.with_gradient(a, self.origin, |upstream| {
            self.product(vectors * self.as_row(upstream), vectors, [false, true])
        })
    }

    /// The singular values that belong to the vectors, `u^T A v`, with their gradient `U diag(u) V^T`.
    pub(crate) fn singular_values<'g>(&self, a: Expr<'g>, u: Expr<'g>, v: Expr<'g>) -> Expr<'g> {
        // Rounding may leave a singular value of 0 a little below.
        let value = (u * self.product(a, v, [false, false])).sum(-2).maximum(0.0);
        value.with_gradient(a, self.origin, |upstream| self.product(u * self.as_row(upstream), v, [false, true]))
    }
}

impl<'g> Expr<'g> {
    /// This value, differentiated as if `gradient` of an upstream gradient were its vector-Jacobian product in `operand`.
    fn with_gradient(self, operand: Expr<'g>, origin: Origin, gradient: impl FnOnce(Expr<'g>) -> Expr<'g>) -> Expr<'g> {
        let graph: &'g crate::Graph = self.graph();
        let found = self.read("custom_gradient", origin, |id, node| (id, node.shape.clone(), node.dtype));
        let (Some((value, shape, dtype)), Some(operand)) = (found, operand.raw()) else {
            return Expr::poisoned(graph);
        };
        let (upstream, placeholder) = match graph.placeholder(&shape, dtype, origin) {
            Ok(found) => found,
            Err(error) => return self.fail(error),
        };
        let Some(gradient) = graph.at(origin, || gradient(placeholder)).raw() else { return Expr::poisoned(graph) };
        let op = Op::CustomGradient { value, operands: [operand].into(), upstream, gradients: [gradient].into() };
        self.insert(op, None, None, origin)
    }
}
