//! Linear algebra, sums of products, covariances and distances.

use arenagrad::{DType, Expr, MatrixNorm};

use super::arguments::{Call, Value};
use super::{Operator, Refusal, elementwise, products};

pub(super) fn find(name: &str) -> Option<Operator> {
    const MATRIX: &[&str] = &["A", "*", "out"];
    const INPUT: &[&str] = &["input", "*", "out"];
    match name {
        "linalg.solve" => Some(Operator::new(&["A", "B", "*", "left", "out"], |call| {
            let (a, b) = call.floats("A", "B")?;
            if call.boolean_or("left", true)? {
                return Ok(a.solve(b));
            }
            Ok(a.transpose(-2, -1).solve(b.transpose(-2, -1)).transpose(-2, -1))
        })),
        "linalg.solve_triangular" => {
            Some(Operator::new(&["A", "B", "*", "upper", "left", "unitriangular", "out"], |call| {
                let (a, b) = call.floats("A", "B")?;
                let (upper, left) = (call.boolean_or("upper", false)?, call.boolean_or("left", true)?);
                Ok(a.solve_triangular(b, upper, left, call.boolean_or("unitriangular", false)?))
            }))
        }
        "linalg.inv" => Some(Operator::new(MATRIX, |call| Ok(call.float("A")?.inv()))),
        "inverse" => Some(Operator::new(INPUT, |call| Ok(call.float("input")?.inv()))),
        "linalg.det" => Some(Operator::new(MATRIX, |call| Ok(call.float("A")?.det()))),
        "det" => Some(Operator::new(INPUT, |call| Ok(call.float("input")?.det()))),
        "linalg.slogdet" => Some(Operator::several(MATRIX, |call| sign_and_logarithm(call.float("A")?))),
        "slogdet" => Some(Operator::several(INPUT, |call| sign_and_logarithm(call.float("input")?))),
        "logdet" => Some(Operator::new(INPUT, |call| {
            // Of a negative determinant the logarithm is NaN.
            let (sign, logarithm) = call.float("input")?.slogdet();
            Ok(sign.less(0.0).where_(f64::NAN, logarithm))
        })),
        "linalg.cholesky" => Some(Operator::new(&["A", "*", "upper", "out"], |call| {
            let upper = call.boolean_or("upper", false)?;
            let a = call.float("A")?;
            // Of the upper factor the upper triangle is read.
            Ok(if upper { a.transpose(-2, -1).cholesky().transpose(-2, -1) } else { a.cholesky() })
        })),
        "cholesky_solve" => Some(Operator::new(&["B", "L", "upper", "*", "out"], |call| {
            let (b, factor) = call.floats("B", "L")?;
            Ok(factor.cholesky_solve(b, call.boolean_or("upper", false)?))
        })),
        "linalg.matrix_power" => Some(Operator::new(&["A", "n", "*", "out"], |call| power(call, "A"))),
        "matrix_power" => Some(Operator::new(&["input", "n", "*", "out"], |call| power(call, "input"))),
        "linalg.matrix_exp" => Some(Operator::new(&["A"], |call| Ok(call.float("A")?.matrix_exp()))),
        "matrix_exp" => Some(Operator::new(&["input"], |call| Ok(call.float("input")?.matrix_exp()))),
        "linalg.pinv" => Some(Operator::new(&["A", "*", "rtol", "out"], |call| {
            let rtol = call.get("rtol").map(|_| call.number_or("rtol", 0.0)).transpose()?;
            Ok(call.float("A")?.pinv(rtol))
        })),
        "pinverse" => Some(Operator::new(&["input"], |call| Ok(call.float("input")?.pinv(None)))),
        "linalg.svdvals" => Some(Operator::new(&["A", "*", "driver", "out"], |call| Ok(call.float("A")?.svdvals()))),
        "linalg.matrix_norm" => Some(Operator::new(&["A", "ord", "dim", "keepdim", "*", "dtype", "out"], matrix_norm)),
        "linalg.vector_norm" => Some(Operator::new(&["x", "ord", "dim", "keepdim", "*", "dtype", "out"], vector_norm)),
        "linalg.multi_dot" => {
            Some(Operator::new(&["tensors", "*", "out"], |call| Ok(call.graph.multi_dot(&call.tensors("tensors")?))))
        }
        "trace" => Some(Operator::new(INPUT, |call| {
            let input = call.numeric("input")?;
            if input.shape()?.rank() != 2 { Err(Refusal::failed("a trace is of a matrix")) } else { Ok(input.trace()) }
        })),
        "cov" => Some(Operator::new(&["input", "*", "correction", "fweights", "aweights"], cov)),
        "corrcoef" => Some(Operator::new(&["input"], |call| Ok(call.float("input")?.corrcoef()))),
        "cdist" => Some(Operator::new(&["x1", "x2", "p", "compute_mode"], |call| {
            let (x, y) = call.floats("x1", "x2")?;
            Ok(x.cdist(y, call.number_or("p", 2.0)?))
        })),
        "pdist" => Some(Operator::new(&["input", "p"], pdist)),
        "addmv" => Some(Operator::new(&["input", "mat", "vec", "*", "beta", "alpha", "out"], |call| {
            let (matrix, vector) = call.arithmetic("mat", "vec")?;
            added(call, matrix.matmul(vector))
        })),
        "addr" => Some(Operator::new(&["input", "vec1", "vec2", "*", "beta", "alpha", "out"], |call| {
            let (column, row) = call.arithmetic("vec1", "vec2")?;
            added(call, elementwise::product(column.unsqueeze(1), row)?)
        })),
        "addbmm" => Some(Operator::new(&["input", "batch1", "batch2", "*", "beta", "alpha", "out"], |call| {
            let (lhs, rhs) = call.arithmetic("batch1", "batch2")?;
            added(call, lhs.matmul(rhs).sum(0))
        })),
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "pdist" => Some(Operator::new(&["input", "p"], pdist)),
        "bilinear" => Some(Operator::new(&["input1", "input2", "weight", "bias"], |call| {
            call.needs_floats("input1")?;
            let (x, y) = call.floats("input1", "input2")?;
            Ok(x.bilinear(y, call.float("weight")?, call.optional_float("bias")?))
        })),
        _ => None,
    }
}

fn sign_and_logarithm(matrix: Expr<'_>) -> Result<Vec<Expr<'_>>, Refusal> {
    let (sign, logarithm) = matrix.slogdet();
    Ok(vec![sign, logarithm])
}

fn power<'g>(call: &Call<'_, 'g>, matrix: &str) -> Result<Expr<'g>, Refusal> {
    let exponent = i32::try_from(call.integer("n")?).map_err(|_| Refusal::failed("the exponent is no i32"))?;
    Ok(call.numeric(matrix)?.matrix_power(exponent))
}

/// `beta * input + alpha * product`; with a beta of 0 the input is not looked at, even if it is NaN.
fn added<'g>(call: &Call<'_, 'g>, product: Expr<'g>) -> Result<Expr<'g>, Refusal> {
    let (shape, dtype) = (product.shape()?, product.dtype()?);
    let [alpha, beta] = products::factors(call, dtype)?;
    let times = |tensor: Expr<'g>, factor: f64| {
        if factor == 1.0 { Ok(tensor) } else { elementwise::product(tensor, call.graph.full([], factor, dtype)) }
    };
    let scaled = times(product, alpha)?;
    if beta == 0.0 {
        return Ok(scaled);
    }
    let input = times(call.tensor("input")?.cast(dtype), beta)?.broadcast_to(shape);
    Ok(if dtype == DType::Bool { input | scaled } else { input + scaled })
}

fn pdist<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    Ok(call.float("input")?.pdist(call.number_or("p", 2.0)?))
}

fn cov<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let frequencies = match call.get("fweights") {
        Some(_) => Some(call.indices("fweights")?),
        None => None,
    };
    Ok(call.float("input")?.cov(call.number_or("correction", 1.0)?, frequencies, call.optional_float("aweights")?))
}

fn vector_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    call.same_dtype()?;
    let input = call.float("x")?;
    let shape = input.shape()?;
    let axes = call.axes("dim", shape.rank())?;
    let norm = input.vector_norm(call.number_or("ord", 2.0)?, axes.clone());
    let is_kept = call.boolean_or("keepdim", false)?;
    Ok(if is_kept { norm.reshape(shape.reduced(axes.into_iter().collect())) } else { norm })
}

fn matrix_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    call.same_dtype()?;
    let input = call.float("A")?;
    let shape = input.shape()?;
    let norm = match call.get("ord") {
        None | Some(Value::Text("fro")) => MatrixNorm::Frobenius,
        Some(Value::Text("nuc")) => MatrixNorm::Nuclear,
        Some(_) => {
            let norms = [
                (f64::INFINITY, MatrixNorm::LargestRow),
                (f64::NEG_INFINITY, MatrixNorm::LeastRow),
                (1.0, MatrixNorm::LargestColumn),
                (-1.0, MatrixNorm::LeastColumn),
                (2.0, MatrixNorm::Spectral),
                (-2.0, MatrixNorm::LeastSingular),
            ];
            let order = call.number_or("ord", 2.0)?;
            let found = norms.into_iter().find(|(of, _)| *of == order);
            found.ok_or_else(|| Refusal::failed(format!("no matrix norm is of order {order}")))?.1
        }
    };
    let axes = match call.get("dim") {
        None => vec![-2, -1],
        Some(_) => call.integers("dim")?,
    };
    let [rows, columns] = axes[..] else { return Err(Refusal::failed("a matrix norm is over two axes")) };
    let result = input.matrix_norm(norm, [rows as isize, columns as isize]);
    if !call.boolean_or("keepdim", false)? {
        return Ok(result);
    }
    let axes = axes.into_iter().map(|axis| axis.rem_euclid(shape.rank() as i64) as usize);
    Ok(result.reshape(shape.reduced(axes.collect())))
}
