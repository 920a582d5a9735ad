//! Sums of products: einsum and the products that have names.

use arenagrad::{DType, Expr};

use super::arguments::{Call, Value, axis};
use super::{Operator, Refusal};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "einsum" => Some(Operator::new(&["equation", "operands"], einsum)),
        "tensordot" => Some(Operator::new(&["input", "other", "dims", "out"], tensordot)),
        "kron" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            Ok(input.kron(other))
        })),
        "inner" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            Ok(input.inner(other))
        })),
        "vdot" => Some(Operator::new(&["input", "other", "*", "out"], |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            Ok(input.dot(other))
        })),
        "cross" => Some(Operator::new(&["input", "other", "dim", "*", "out"], cross)),
        "linalg.cross" => Some(Operator::new(&["input", "other", "*", "dim", "out"], |call| {
            let (input, other) = call.arithmetic("input", "other")?;
            Ok(input.cross(other, call.integer_or("dim", -1)? as isize))
        })),
        _ => None,
    }
}

/// PyTorch's samples give the operands before the equation; types tell which is which.
fn einsum<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let swapped = matches!(call.get("operands"), Some(Value::Text(_)));
    let (equation, operands) = if swapped { ("operands", "equation") } else { ("equation", "operands") };
    let tensors = match call.get(operands) {
        Some(Value::Tensor { expr, .. }) => vec![*expr],
        _ => call.tensors(operands)?,
    };
    let mut is_float = false;
    for tensor in &tensors {
        is_float |= tensor.dtype()?.is_float();
    }
    let common = if is_float { call.dtype } else { DType::I32 };
    let tensors: Vec<Expr<'g>> = tensors.into_iter().map(|tensor| tensor.cast(common)).collect();
    Ok(call.graph.einsum(call.text_or(equation, "")?, &tensors))
}

/// A number of axes, the last of the one and the first of the other, or two lists.
fn tensordot<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, other) = call.arithmetic("input", "other")?;
    let lists = match call.get("dims") {
        Some(Value::List(items)) => items.iter().map(list).collect::<Option<Vec<Vec<isize>>>>(),
        Some(Value::Integer(count)) => {
            let (rank, count) = (input.shape()?.rank() as isize, *count as isize);
            Some(vec![(rank - count..rank).collect(), (0..count).collect()])
        }
        None => {
            let rank = input.shape()?.rank() as isize;
            Some(vec![(rank - 2..rank).collect(), vec![0, 1]])
        }
        Some(Value::Tensor { .. } | Value::Float(_) | Value::Boolean(_) | Value::Text(_) | Value::None) => None,
    };
    match lists.as_deref() {
        Some([own, others]) => Ok(input.tensordot(other, own, others)),
        _ => Err(Refusal::failed("tensordot's dims are a number or two lists")),
    }
}

fn list(value: &Value<'_, '_>) -> Option<Vec<isize>> {
    let number = |value: &Value<'_, '_>| if let Value::Integer(number) = value { Some(*number as isize) } else { None };
    if let Value::List(items) = value { items.iter().map(number).collect() } else { number(value).map(|one| vec![one]) }
}

/// Without an axis, the first that has three elements.
fn cross<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, other) = call.arithmetic("input", "other")?;
    let shape = input.shape()?;
    let along = match call.get("dim") {
        Some(_) => axis(call.integer("dim")?, shape.rank())?,
        None => match shape.iter().position(|&extent| extent == 3) {
            Some(axis) => axis,
            None => return Err(Refusal::failed("cross needs an axis of three elements")),
        },
    };
    Ok(input.cross(other, along as isize))
}
