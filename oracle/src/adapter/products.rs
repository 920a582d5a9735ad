//! Matrix products.

use arenagrad::{DType, Expr};

use super::arguments::{Call, held};
use super::{Operator, Refusal, elementwise};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "matmul" => Some(Operator::new(&["input", "other", "*", "out"], |call| product(call, "input", "other", &[]))),
        "mm" => Some(Operator::new(&["input", "mat2", "*", "out"], |call| product(call, "input", "mat2", &[2, 2]))),
        "bmm" => Some(Operator::new(&["input", "mat2", "*", "out"], |call| product(call, "input", "mat2", &[3, 3]))),
        "mv" => Some(Operator::new(&["input", "vec", "*", "out"], |call| product(call, "input", "vec", &[2, 1]))),
        "dot" => {
            Some(Operator::new(&["input", "tensor", "*", "out"], |call| product(call, "input", "tensor", &[1, 1])))
        }
        "addmm" => Some(Operator::new(&["input", "mat1", "mat2", "*", "beta", "alpha", "out"], |call| {
            added_product(call, "mat1", "mat2", &[2, 2])
        })),
        "baddbmm" => Some(Operator::new(&["input", "batch1", "batch2", "*", "beta", "alpha", "out"], |call| {
            added_product(call, "batch1", "batch2", &[3, 3])
        })),
        "outer" | "ger" => Some(Operator::new(&["input", "vec2", "*", "out"], outer)),
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "linear" => Some(Operator::new(&["input", "weight", "bias"], linear)),
        _ => None,
    }
}

/// The product of two operands, whose ranks must be those given, if any are.
fn product<'g>(call: &Call<'_, 'g>, lhs: &str, rhs: &str, ranks: &[usize]) -> Result<Expr<'g>, Refusal> {
    let (lhs, rhs) = call.arithmetic(lhs, rhs)?;
    let found = [lhs.shape()?.rank(), rhs.shape()?.rank()];
    if !ranks.is_empty() && ranks != found {
        return Err(Refusal::failed(format!("operands of ranks {found:?} where {ranks:?} are needed")));
    }
    Ok(lhs.matmul(rhs))
}

/// `beta * input + alpha * product`. With a beta of 0 the input is not looked at, even if it is NaN, and with an alpha of 0
/// the product of two matrices is not; that of two batches is.
fn added_product<'g>(call: &Call<'_, 'g>, lhs: &str, rhs: &str, ranks: &[usize]) -> Result<Expr<'g>, Refusal> {
    let product = product(call, lhs, rhs, ranks)?;
    let (shape, dtype) = (product.shape()?, product.dtype()?);
    let [alpha, beta] = factors(call, dtype)?;
    let scaled = match alpha {
        0.0 if ranks == [2, 2] => call.graph.zeros(&shape, dtype),
        1.0 => product,
        alpha => product * alpha,
    };
    if beta == 0.0 {
        return Ok(scaled);
    }
    let input = call.numeric("input")?.cast(dtype);
    let input = if beta == 1.0 { input } else { input * beta };
    Ok(input.broadcast_to(shape) + scaled)
}

/// The numbers `alpha` and `beta`, as tensors of that dtype take them.
pub(super) fn factors(call: &Call<'_, '_>, dtype: DType) -> Result<[f64; 2], Refusal> {
    Ok([held(call.number_or("alpha", 1.0)?, dtype), held(call.number_or("beta", 1.0)?, dtype)])
}

fn outer<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (column, row) = call.arithmetic("input", "vec2")?;
    if column.shape()?.rank() != 1 || row.shape()?.rank() != 1 {
        return Err(Refusal::failed("the outer product is of two vectors"));
    }
    elementwise::product(column.unsqueeze(1), row)
}

/// `input x weight^T + bias`; a weight of rank 1 gives one output, without an axis.
fn linear<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, weight) = call.arithmetic("input", "weight")?;
    let product = match (input.shape()?.rank(), weight.shape()?.rank()) {
        (2.., 2) => input.matmul_with(weight, false, true),
        (_, 2) => input.matmul(weight.t()),
        _ => input.matmul(weight),
    };
    Ok(match call.get("bias") {
        Some(_) => product + call.tensor("bias")?.cast(product.dtype()?),
        None => product,
    })
}
