//! Functions of matrices: what they infer, and functions that exercise their derivatives, for the suites of all ops.
#![allow(dead_code)] // Each test program that includes this uses a part of it.

use arenagrad_graph::{DType, Expr, Graph, MatrixFunction};

/// Uses of a function of matrices of that dtype, with the shape and dtype that they must have.
pub(crate) fn inferred(g: &Graph, function: MatrixFunction, dtype: DType) -> Vec<(Expr<'_>, Vec<usize>, DType)> {
    let full = |shape: &[usize]| g.full(shape, 1.0, dtype);
    let (square, batch) = (full(&[3, 3]), full(&[2, 1, 3, 3]));
    let results = match function {
        MatrixFunction::Solve => vec![
            (square.solve(full(&[3, 4])), vec![3, 4]),
            (square.solve(full(&[3])), vec![3]),
            (batch.solve(full(&[5, 3, 0])), vec![2, 5, 3, 0]),
            (batch.solve(full(&[2, 1, 3])), vec![2, 1, 3]),
            (full(&[0, 0]).solve(full(&[0, 2])), vec![0, 2]),
        ],
        MatrixFunction::SolveTriangular { upper, unitriangular } => vec![
            (square.solve_triangular(full(&[3, 4]), upper, true, unitriangular), vec![3, 4]),
            (batch.solve_triangular(full(&[5, 4, 3]), !upper, false, unitriangular), vec![2, 5, 4, 3]),
        ],
        MatrixFunction::Inverse => vec![(batch.inv(), vec![2, 1, 3, 3])],
        MatrixFunction::Determinant => vec![(batch.det(), vec![2, 1]), (full(&[0, 0]).det(), vec![])],
        MatrixFunction::SignLogDeterminant => {
            vec![(batch.slogdet().0, vec![2, 1]), (full(&[4, 0, 0]).slogdet().1, vec![4])]
        }
        MatrixFunction::Cofactors => {
            let x = g.input_of("x", [2, 3, 3], dtype);
            let determinant = x.det().sum(..);
            let gradient = if g.check().is_ok() { determinant.grad([x]).ok() } else { None };
            vec![(gradient.map_or(determinant, |[gradient]| gradient), vec![2, 3, 3])]
        }
        MatrixFunction::Cholesky => vec![(batch.cholesky(), vec![2, 1, 3, 3])],
        MatrixFunction::Orthonormal => {
            let (tall, wide) = (full(&[2, 5, 3]).qr(), full(&[2, 3, 5]).qr());
            vec![(tall.0, vec![2, 5, 3]), (tall.1, vec![2, 3, 3]), (wide.0, vec![2, 3, 3]), (wide.1, vec![2, 3, 5])]
        }
        MatrixFunction::Eigenvectors => vec![(batch.eigh().0, vec![2, 1, 3]), (batch.eigh().1, vec![2, 1, 3, 3])],
        MatrixFunction::SingularVectors => {
            let (u, s, v) = full(&[2, 3, 5]).svd();
            vec![(u, vec![2, 3, 3]), (s, vec![2, 3]), (v, vec![2, 3, 5]), (full(&[5, 2]).svdvals(), vec![2])]
        }
    };
    results.into_iter().map(|(expr, shape)| (expr, shape, dtype)).collect()
}

/// A matrix far from singular, whose eigenvalues and singular values are far from each other: a multiple of `x`, with more on the diagonal
/// row by row.
pub(crate) fn far_from_singular(x: Expr<'_>) -> Expr<'_> {
    let shape = x.shape().unwrap();
    let (row, column) = (x.graph().iota(&shape, shape.rank() - 2), x.graph().iota(&shape, shape.rank() - 1));
    row.equal(column).where_(row.cast(x.dtype().unwrap()) * 2.0 + 2.0, 0.0) + x * 0.3
}

/// As [`far_from_singular`], symmetric and positive definite.
pub(crate) fn positive_definite(x: Expr<'_>) -> Expr<'_> {
    let a = far_from_singular(x);
    a + a.transpose(-2, -1)
}

/// A function of operands.
pub(crate) type MatrixCase = Box<dyn for<'g> Fn(&[Expr<'g>]) -> Expr<'g>>;

/// Functions of operands whose elements are in -1..1, that exercise a function of matrices: calls `add` with the shapes of the operands.
pub(crate) fn for_each_case(function: MatrixFunction, add: &mut dyn FnMut(&[&[usize]], MatrixCase)) {
    let squares: [&[usize]; 4] = [&[1, 1], &[3, 3], &[2, 3, 3], &[0, 2, 2]];
    let others: [&[usize]; 4] = [&[3, 3], &[2, 4, 2], &[2, 4], &[0, 2, 3]];
    let mut one = |shapes: &[&[usize]], f: for<'g> fn(Expr<'g>) -> Expr<'g>| {
        shapes.iter().for_each(|shape| add(&[shape], Box::new(move |x| f(x[0]))));
    };
    match function {
        MatrixFunction::Solve => {
            let shapes: [[&[usize]; 2]; 4] =
                [[&[3, 3], &[3, 2]], [&[2, 3, 3], &[2, 3]], [&[3, 3], &[2, 3, 1]], [&[2, 0, 0], &[2, 0, 2]]];
            shapes.iter().for_each(|shapes| add(shapes, Box::new(|x| far_from_singular(x[0]).solve(x[1]))));
        }
        MatrixFunction::SolveTriangular { upper, unitriangular } => {
            for left in [true, false] {
                let upper = if left { upper } else { !upper };
                add(
                    &[&[2, 3, 3], &[3, 3]],
                    Box::new(move |x| far_from_singular(x[0]).solve_triangular(x[1], upper, left, unitriangular)),
                );
            }
        }
        MatrixFunction::Inverse => one(&squares, |x| far_from_singular(x).inv()),
        MatrixFunction::Determinant => one(&squares, |x| far_from_singular(x).det()),
        MatrixFunction::SignLogDeterminant => one(&squares, |x| far_from_singular(x).slogdet().1),
        MatrixFunction::Cofactors => one(&squares, |x| {
            let a = far_from_singular(x);
            let [gradient] = a.det().sum(..).grad([a]).unwrap();
            gradient
        }),
        MatrixFunction::Cholesky => one(&squares, |x| positive_definite(x).cholesky()),
        MatrixFunction::Orthonormal => {
            one(&[&[3, 2], &[2, 4, 3]], |x| far_from_singular(x).qr().0);
            one(&[&[3, 3], &[2, 3, 5], &[4, 2]], |x| far_from_singular(x).qr().1);
        }
        MatrixFunction::Eigenvectors => {
            one(&squares, |x| positive_definite(x).eigh().0);
            one(&squares, |x| positive_definite(x).eigh().1);
        }
        MatrixFunction::SingularVectors => {
            one(&others, |x| far_from_singular(x).svd().0);
            one(&others, |x| far_from_singular(x).svd().1);
            one(&others, |x| far_from_singular(x).svd().2);
        }
    }
}
