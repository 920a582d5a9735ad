//! Reductions over axes, and what is normalised by one.

use arenagrad::{Expr, MatrixNorm};

use super::arguments::{Call, Value, axis};
use super::{Operator, Refusal};

const REDUCTION: &[&str] = &["input", "dim", "keepdim", "*", "dtype", "out"];

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "sum" => Some(Operator::new(REDUCTION, |call| {
            call.same_dtype()?;
            reduce(call, call.tensor("input")?, Expr::sum, Expr::sum_keepdims)
        })),
        "mean" => Some(Operator::new(REDUCTION, |call| {
            call.same_dtype()?;
            reduce(call, call.float("input")?, Expr::mean, Expr::mean_keepdims)
        })),
        "amax" => {
            Some(Operator::new(REDUCTION, |call| reduce(call, call.tensor("input")?, Expr::max, Expr::max_keepdims)))
        }
        "amin" => {
            Some(Operator::new(REDUCTION, |call| reduce(call, call.tensor("input")?, Expr::min, Expr::min_keepdims)))
        }
        "var" => Some(Operator::new(&["input", "dim", "unbiased", "keepdim", "*", "correction", "out"], var)),
        "logsumexp" | "special.logsumexp" => Some(Operator::new(REDUCTION, logsumexp)),
        "softmax" | "special.softmax" => Some(Operator::new(&["input", "dim", "dtype", "*", "out"], softmax)),
        "log_softmax" | "special.log_softmax" => {
            Some(Operator::new(&["input", "dim", "dtype", "*", "out"], log_softmax))
        }
        "norm" => Some(Operator::new(&["input", "p", "dim", "keepdim", "out", "dtype"], norm)),
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "softmax" => Some(Operator::new(&["input", "dim", "_stacklevel", "dtype"], softmax)),
        "log_softmax" => Some(Operator::new(&["input", "dim", "_stacklevel", "dtype"], log_softmax)),
        _ => None,
    }
}

/// Reduces over the axes in `dim`, in the form that `keepdim` asks for.
fn reduce<'g>(
    call: &Call<'_, 'g>,
    input: Expr<'g>,
    dropping: impl FnOnce(Expr<'g>, Vec<usize>) -> Expr<'g>,
    keeping: impl FnOnce(Expr<'g>, Vec<usize>) -> Expr<'g>,
) -> Result<Expr<'g>, Refusal> {
    let axes = call.axes("dim", input.shape()?.rank())?;
    Ok(if call.boolean_or("keepdim", false)? { keeping(input, axes) } else { dropping(input, axes) })
}

/// `var(input, dim, unbiased, keepdim)`, `var(input, unbiased)` and `var(input, dim, *, correction, keepdim)`.
fn var<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let unbiased_alone = matches!(call.get("dim"), Some(Value::Boolean(_)));
    let unbiased = call.boolean_or(if unbiased_alone { "dim" } else { "unbiased" }, true)?;
    let correction = call.number_or("correction", f64::from(u8::from(unbiased)))?;
    if unbiased_alone {
        return Ok(input.var(.., correction));
    }
    let dropping = |x: Expr<'g>, axes| x.var(axes, correction);
    let keeping = |x: Expr<'g>, axes| x.var_keepdims(axes, correction);
    reduce(call, input, dropping, keeping)
}

fn logsumexp<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    reduce(call, call.float("input")?, Expr::logsumexp, Expr::logsumexp_keepdims)
}

/// The axis of a softmax; without one, the axis that PyTorch's deprecated default picks by the rank.
fn softmax_axis(call: &Call<'_, '_>, rank: usize) -> Result<usize, Refusal> {
    call.same_dtype()?;
    call.axis_or("dim", i64::from(!matches!(rank, 0 | 1 | 3)), rank)
}

fn softmax<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    along_axis(call, |x, axis| x.softmax(axis))
}

fn log_softmax<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    along_axis(call, |x, axis| x.log_softmax(axis))
}

/// Applies a function along the axis `dim`; a scalar is a vector of one element for that.
fn along_axis<'g>(
    call: &Call<'_, 'g>,
    function: impl FnOnce(Expr<'g>, isize) -> Expr<'g>,
) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let axis = softmax_axis(call, shape.rank())?;
    let vector = if shape.rank() == 0 { input.reshape([1]) } else { input };
    Ok(function(vector, axis as isize).reshape(shape))
}

/// The p-norm over the axes.
fn norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    call.same_dtype()?;
    let input = call.float("input")?;
    let order = match call.get("p") {
        None => 2.0,
        Some(Value::Text("fro")) => 2.0,
        Some(Value::Text("nuc")) => return nuclear_norm(call, input),
        Some(_) => call.number_or("p", 2.0)?,
    };
    let shape = input.shape()?;
    let axes = call.axes("dim", shape.rank())?;
    let norm = input.norm(order, axes.clone());
    if !call.boolean_or("keepdim", false)? {
        return Ok(norm);
    }
    Ok(norm.reshape(shape.reduced(axes.into_iter().collect())))
}

/// The nuclear norm of the matrices along two axes, the last two where none are named.
fn nuclear_norm<'g>(call: &Call<'_, 'g>, input: Expr<'g>) -> Result<Expr<'g>, Refusal> {
    let shape = input.shape()?;
    let rank = shape.rank();
    let given = if call.get("dim").is_some() { call.integers("dim")? } else { vec![-2, -1] };
    let axes = given.into_iter().map(|given| axis(given, rank)).collect::<Result<Vec<usize>, _>>()?;
    let [rows, columns] = axes[..] else { return Err(Refusal::failed("the nuclear norm is over two axes")) };
    let norm = input.matrix_norm(MatrixNorm::Nuclear, [rows as isize, columns as isize]);
    let is_kept = call.boolean_or("keepdim", false)?;
    Ok(if is_kept { norm.reshape(shape.reduced(axes.into_iter().collect())) } else { norm })
}
