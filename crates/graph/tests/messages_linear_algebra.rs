//! What methods of linear algebra say of operands that do not fit.

use arenagrad_graph::nn::Linear;
use arenagrad_graph::{DType, Graph, MatrixNorm};

use crate::told::says;

#[test]
fn matrices_that_do_not_fit() {
    let g = Graph::new();
    let (a, wide, v) = (g.input("a", [3, 3]), g.input("wide", [2, 3]), g.input("v", [4]));
    let i = g.input_of("i", [3, 3], DType::I32);
    let batch = g.input("batch", [2, 3, 3]);
    let _ = wide.inv();
    says(&g, "inv: \"wide\" of shape [2, 3] has 2 rows and 3 columns, but a square matrix is needed");
    let _ = v.det();
    says(&g, "det: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = i.cholesky();
    says(&g, "cholesky: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = wide.slogdet();
    says(&g, "slogdet: \"wide\" of shape [2, 3] has 2 rows and 3 columns, but a square matrix is needed");
    let _ = wide.eigh();
    says(&g, "eigh: \"wide\" of shape [2, 3] has 2 rows and 3 columns, but a square matrix is needed");
    let _ = v.qr();
    says(&g, "qr: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = v.svd();
    says(&g, "svd: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = v.svdvals();
    says(&g, "svdvals: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = a.solve(wide);
    says(&g, "solve: inner dimensions differ: lhs \"a\" is [3, 3], rhs \"wide\" is [2, 3] (3 != 2)");
    let _ = a.solve(i);
    says(&g, "solve: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = wide.solve(a);
    says(&g, "solve: \"wide\" of shape [2, 3] has 2 rows and 3 columns, but a square matrix is needed");
    let _ = a.solve_triangular(wide, true, true, false);
    says(&g, "solve_triangular: inner dimensions differ: lhs \"a\" is [3, 3], rhs \"wide\" is [2, 3] (3 != 2)");
    let _ = batch.solve(g.input("others", [4, 3, 1]));
    says(&g, "solve: batch dimensions differ: lhs \"batch\" is [2, 3, 3], rhs \"others\" is [4, 3, 1] (2 != 4)");
}

#[test]
fn compositions_that_do_not_fit() {
    let g = Graph::new();
    let (x, y, cube) = (g.input("x", [2, 3]), g.input("y", [4, 5]), g.input("cube", [2, 2, 3]));
    let i = g.input_of("i", [2, 3], DType::I32);
    let _ = x.vector_norm(f64::NAN, 0);
    says(&g, "vector_norm: p is NaN, but a number is needed");
    let _ = x.matrix_norm(MatrixNorm::Frobenius, [1, -1]);
    says(&g, "matrix_norm: axis 1 is named twice");
    let _ = i.matrix_norm(MatrixNorm::Nuclear, [0, 1]);
    says(&g, "matrix_norm: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = cube.cov(1.0, None, None);
    says(&g, "cov: \"cube\" of shape [2, 2, 3] has rank 3, but rank 2 or less is needed");
    let _ = x.cov(1.0, Some(x), None);
    says(&g, "cov: \"x\" is f32, but i32 is needed (cast it: .cast(DType::I32))");
    let _ = x.cov(1.0, None, Some(y));
    says(&g, "cov: shapes differ: the observations is [3], \"y\" is [4, 5]");
    let _ = cube.corrcoef();
    says(&g, "corrcoef: \"cube\" of shape [2, 2, 3] has rank 3, but rank 2 or less is needed");
    let _ = x.cdist(y, 2.0);
    says(&g, "cdist: inner dimensions differ: lhs \"x\" is [2, 3], rhs \"y\" is [4, 5] (3 != 5)");
    let _ = cube.pdist(2.0);
    says(&g, "pdist: \"cube\" of shape [2, 2, 3] has rank 3, but rank 2 is needed");
    let _ = x.pdist(-1.0);
    says(&g, "pdist: p is -1, but a number not below 0 is needed");
    let _ = x.sum(0).trace();
    let error = g.take_error().expect("a mistake").to_string();
    assert!(error.ends_with("of shape [3] has rank 1, but rank 2 or more is needed"), "{error}");
    let _ = x.bilinear(y, cube, None);
    says(&g, "bilinear: shapes differ: \"x\" is [2, 3], \"y\" is [4, 5]");
    let _ = x.bilinear(x, cube, None);
    says(&g, "bilinear: inner dimensions differ: lhs \"x\" is [2, 3], rhs \"cube\" is [2, 2, 3] (3 != 2)");
    let _ = g.multi_dot(&[x]);
    says(&g, "multi_dot: the number of operands is 1, but two or more is needed");
    let _ = g.multi_dot(&[x, y]);
    says(&g, "multi_dot: inner dimensions differ: lhs \"x\" is [2, 3], rhs \"y\" is [4, 5] (3 != 4)");
}

#[test]
fn functions_and_systems_of_matrices_that_do_not_fit() {
    let g = Graph::new();
    let (a, wide, v) = (g.input("a", [3, 3]), g.input("wide", [2, 3]), g.input("v", [4]));
    let (i, b) = (g.input_of("i", [3, 3], DType::I32), g.input_of("b", [3, 3], DType::Bool));
    let batch = g.input("batch", [2, 3, 3]);
    let _ = wide.matrix_power(2);
    says(&g, "matrix_power: \"wide\" of shape [2, 3] has 2 rows and 3 columns, but a square matrix is needed");
    let _ = v.matrix_power(0);
    says(&g, "matrix_power: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = b.matrix_power(2);
    says(&g, "matrix_power: \"b\" is bool, but a float or i32 is needed (cast it: .cast(DType::F32))");
    let _ = i.matrix_power(-2);
    says(&g, "matrix_power: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = wide.matrix_exp();
    says(&g, "matrix_exp: \"wide\" of shape [2, 3] has 2 rows and 3 columns, but a square matrix is needed");
    let _ = i.matrix_exp();
    says(&g, "matrix_exp: \"i\" is i32, but a float is needed (cast it: .cast(DType::F32))");
    let _ = a.cholesky_solve(wide, true);
    says(&g, "cholesky_solve: inner dimensions differ: lhs \"a\" is [3, 3], rhs \"wide\" is [2, 3] (3 != 2)");
    let _ = a.cholesky_solve(v, false);
    says(&g, "cholesky_solve: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = batch.cholesky_solve(g.input("others", [4, 3, 1]), false);
    says(
        &g,
        "cholesky_solve: batch dimensions differ: lhs \"batch\" is [2, 3, 3], rhs \"others\" is [4, 3, 1] (2 != 4)",
    );
    let _ = v.pinv(None);
    says(&g, "pinv: \"v\" of shape [4] has rank 1, but rank 2 or more is needed");
    let _ = a.pinv(Some(-0.5));
    says(&g, "pinv: rtol is -0.5, but a finite number not below 0 is needed");
    let _ = wide.lstsq(v, None);
    says(&g, "lstsq: inner dimensions differ: lhs \"wide\" is [2, 3], rhs \"v\" is [4] (2 != 4)");
    let _ = wide.lstsq(g.scalar(1.0), None);
    let error = g.take_error().expect("a mistake").to_string();
    assert!(error.ends_with("of shape [] has rank 0, but rank 1 or more is needed"), "{error}");
    let _ = g.block_diag(&[a, batch]);
    says(&g, "block_diag: \"batch\" of shape [2, 3, 3] has rank 3, but rank 2 or less is needed");
    let _ = g.block_diag(&[a, i]);
    says(&g, "block_diag: dtypes differ: \"a\" is f32, \"i\" is i32; cast one of them");
    let _ = g.block_diag(&[]);
    says(&g, "block_diag: the number of blocks is 0, but at least 1 is needed");
}

/// A chain of products is multiplied where it is cheapest.
#[test]
fn multi_dot_multiplies_where_it_is_cheapest() {
    let g = Graph::new();
    let [a, b, c] = [("a", [10, 100]), ("b", [100, 5]), ("c", [5, 50])].map(|(name, shape)| g.input(name, shape));
    let product = g.multi_dot(&[a, b, c]);
    assert_eq!(product.shape().unwrap().dims(), [10, 50]);
    let text = g.display(&[product]).to_string();
    assert!(text.contains("matmul(a, b) : f32[10, 5]"), "{text}");
    let column = g.input("v", [50]);
    let product = g.multi_dot(&[a, b, c, column]);
    assert_eq!(product.shape().unwrap().dims(), [10]);
    let text = g.display(&[product]).to_string();
    assert!(text.contains("f32[100, 1]") && !text.contains("f32[10, 5]"), "{text}");
}

/// Operands are named with the shapes that are multiplied, whose extents do differ: a weight `[out, in]` transposed.
#[test]
fn transposed_operands_are_named_as_they_are_multiplied() {
    let g = Graph::new();
    let (x, weight) = (g.input("x", [2, 3, 8]), g.input("weight", [8, 3]));
    let _ = Linear::new("l", 3, 8).apply(x);
    says(&g, "Linear: inner dimensions differ: lhs \"x\" is [2, 3, 8], rhs \"l.weight\" transposed is [3, 8] (8 != 3)");
    let _ = x.matmul_with(weight, false, true);
    says(
        &g,
        "matmul_with: inner dimensions differ: lhs \"x\" is [2, 3, 8], rhs \"weight\" transposed is [3, 8] (8 != 3)",
    );
}
