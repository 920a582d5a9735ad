//! Normalisation layers.

use arenagrad::{Expr, Shape};

use super::arguments::{Call, Operand};
use super::{Operator, Refusal};
use crate::case::Element;

/// PyTorch's default for what is added to a variance.
const EPSILON: f64 = 1e-5;

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "layer_norm" => Some(Operator::new(&["input", "normalized_shape", "weight", "bias", "eps"], layer_norm)),
        "group_norm" => Some(Operator::new(&["input", "num_groups", "weight", "bias", "eps"], group_norm)),
        "batch_norm" => Some(Operator::new(
            &["input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"],
            batch_norm,
        )),
        "rms_norm" => Some(Operator::new(&["input", "normalized_shape", "weight", "eps"], rms_norm)),
        "instance_norm" => Some(Operator::new(
            &["input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"],
            instance_norm,
        )),
        "local_response_norm" => Some(Operator::new(&["input", "size", "alpha", "beta", "k"], local_response_norm)),
        _ => None,
    }
}

/// PyTorch's default for what is added is the smallest step from 1 of the dtype that the case has, whichever it is run in.
fn rms_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let axes = normalized_axes(call, &input.shape()?)?;
    let epsilon = match call.operand("input")? {
        Operand::Tensor { element: Element::F32, .. } => f64::from(f32::EPSILON),
        Operand::Tensor { .. } | Operand::Number { .. } => f64::EPSILON,
    };
    Ok(input.rms_norm(axes, call.optional_float("weight")?, call.number_or("eps", epsilon)?))
}

/// Each channel of each sample is a group of its own; with running statistics that are used, it is a batch norm.
fn instance_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let (weight, bias) = (call.optional_float("weight")?, call.optional_float("bias")?);
    let eps = call.number_or("eps", EPSILON)?;
    if !call.boolean_or("use_input_stats", true)? {
        let statistics = (call.float("running_mean")?, call.float("running_var")?);
        return Ok(input.batch_norm(statistics, weight, bias, eps));
    }
    if shape.rank() < 2 {
        return Err(Refusal::failed(format!("an instance norm of {shape}")));
    }
    Ok(input.group_norm(shape[1], weight, bias, eps))
}

fn local_response_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let size = usize::try_from(call.integer("size")?).map_err(|_| Refusal::failed("a negative size"))?;
    let (alpha, beta, k) = (call.number_or("alpha", 1e-4)?, call.number_or("beta", 0.75)?, call.number_or("k", 1.0)?);
    Ok(call.float("input")?.local_response_norm(size, alpha, beta, k))
}

/// The last axes, which `normalized_shape` has the extents of.
fn normalized_axes(call: &Call<'_, '_>, shape: &Shape) -> Result<Vec<usize>, Refusal> {
    let normalized: Vec<usize> = call.integers("normalized_shape")?.into_iter().map(|extent| extent as usize).collect();
    if !shape.ends_with(&normalized) || normalized.is_empty() {
        return Err(Refusal::failed(format!("a norm over {normalized:?} of {shape}")));
    }
    Ok((shape.rank() - normalized.len()..shape.rank()).collect())
}

fn layer_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let axes = normalized_axes(call, &shape)?;
    let (weight, bias) = (call.optional_float("weight")?, call.optional_float("bias")?);
    Ok(input.layer_norm(axes, weight, bias, call.number_or("eps", EPSILON)?))
}

fn group_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let groups = usize::try_from(call.integer("num_groups")?);
    let groups = groups.map_err(|_| Refusal::failed("a negative number of groups"))?;
    let (weight, bias) = (call.optional_float("weight")?, call.optional_float("bias")?);
    Ok(call.float("input")?.group_norm(groups, weight, bias, call.number_or("eps", EPSILON)?))
}

/// In training the batch's own statistics count, else the running ones; momentum concerns only how those are updated.
fn batch_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    if shape.rank() == 1 && shape.elements() == 0 {
        // PyTorch takes a vector here only if it is empty, and returns it.
        return Ok(input);
    }
    let statistics = if call.boolean_or("training", false)? {
        input.batch_statistics()
    } else {
        (call.float("running_mean")?, call.float("running_var")?)
    };
    let (weight, bias) = (call.optional_float("weight")?, call.optional_float("bias")?);
    Ok(input.batch_norm(statistics, weight, bias, call.number_or("eps", EPSILON)?))
}
