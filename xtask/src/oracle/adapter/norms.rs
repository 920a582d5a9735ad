//! Normalisation layers.

use arenagrad::Expr;

use super::arguments::Call;
use super::{Operator, Refusal};

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
        _ => None,
    }
}

fn layer_norm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let normalized: Vec<usize> = call.integers("normalized_shape")?.into_iter().map(|extent| extent as usize).collect();
    if !shape.ends_with(&normalized) || normalized.is_empty() {
        return Err(Refusal::failed(format!("a layer norm over {normalized:?} of {shape}")));
    }
    let axes: Vec<usize> = (shape.rank() - normalized.len()..shape.rank()).collect();
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
