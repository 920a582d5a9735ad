//! Losses: an elementwise error, perhaps weighted, and its reduction.

use arenagrad::{CrossEntropy, Expr, Reduction};

use super::arguments::Call;
use super::{Operator, Refusal};

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "mse_loss" => {
            Some(Operator::new(&["input", "target", "size_average", "reduce", "reduction", "weight"], |call| {
                averaged_by_weight(call, Expr::mse_loss)
            }))
        }
        "l1_loss" => {
            Some(Operator::new(&["input", "target", "size_average", "reduce", "reduction", "weight"], |call| {
                averaged_by_weight(call, Expr::l1_loss)
            }))
        }
        "huber_loss" => Some(Operator::new(&["input", "target", "reduction", "delta", "weight"], huber_loss)),
        "smooth_l1_loss" => {
            Some(Operator::new(&["input", "target", "size_average", "reduce", "reduction", "beta"], smooth_l1_loss))
        }
        "kl_div" => {
            Some(Operator::new(&["input", "target", "size_average", "reduce", "reduction", "log_target"], kl_div))
        }
        "binary_cross_entropy" => Some(Operator::new(
            &["input", "target", "weight", "size_average", "reduce", "reduction"],
            binary_cross_entropy,
        )),
        "binary_cross_entropy_with_logits" => Some(Operator::new(
            &["input", "target", "weight", "size_average", "reduce", "reduction", "pos_weight"],
            binary_cross_entropy_with_logits,
        )),
        "nll_loss" => Some(Operator::new(
            &["input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction"],
            nll_loss,
        )),
        "cross_entropy" => Some(Operator::new(
            &["input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"],
            cross_entropy,
        )),
        _ => None,
    }
}

/// The reduction by name, unless the two deprecated flags speak of one.
pub(super) fn reduction(call: &Call<'_, '_>) -> Result<Reduction, Refusal> {
    if call.get("size_average").is_some() || call.get("reduce").is_some() {
        let (reduced, averaged) = (call.boolean_or("reduce", true)?, call.boolean_or("size_average", true)?);
        return Ok(match (reduced, averaged) {
            (true, true) => Reduction::Mean,
            (true, false) => Reduction::Sum,
            (false, _) => Reduction::None,
        });
    }
    match call.text_or("reduction", "mean")? {
        "none" => Ok(Reduction::None),
        "sum" => Ok(Reduction::Sum),
        "mean" => Ok(Reduction::Mean),
        other => Err(Refusal::failed(format!("no reduction {other:?}"))),
    }
}

pub(super) fn reduced<'g>(losses: Expr<'g>, reduction: Reduction) -> Expr<'g> {
    match reduction {
        Reduction::None => losses,
        Reduction::Sum => losses.sum(..),
        Reduction::Mean => losses.mean(..),
    }
}

/// Input and target as floats of one shape: PyTorch's regression losses broadcast, the engine's do not.
pub(super) fn pair<'g>(call: &Call<'_, 'g>) -> Result<(Expr<'g>, Expr<'g>), Refusal> {
    let (input, target) = (call.float("input")?, call.float("target")?);
    let (lhs, rhs) = (input.shape()?, target.shape()?);
    let common = lhs.broadcast(&rhs).map_err(|_| Refusal::failed(format!("losses of {lhs} and {rhs}")))?;
    Ok((input.broadcast_to(&common), target.broadcast_to(&common)))
}

/// A loss whose mean, if there are weights, is over the sum of the weights.
fn averaged_by_weight<'g>(
    call: &Call<'_, 'g>,
    loss: impl FnOnce(Expr<'g>, Expr<'g>, Reduction) -> Expr<'g>,
) -> Result<Expr<'g>, Refusal> {
    let (input, target) = pair(call)?;
    let reduction = reduction(call)?;
    let Some(weight) = call.optional_float("weight")? else { return Ok(loss(input, target, reduction)) };
    let weighted = loss(input, target, Reduction::None) * weight;
    Ok(match reduction {
        Reduction::Mean => weighted.sum(..) / weight.sum(..),
        Reduction::None | Reduction::Sum => reduced(weighted, reduction),
    })
}

/// A loss whose elements are multiplied by the argument `weight`, if it was given, and then reduced.
fn scaled_by_weight<'g>(call: &Call<'_, 'g>, loss: impl FnOnce(Reduction) -> Expr<'g>) -> Result<Expr<'g>, Refusal> {
    let reduction = reduction(call)?;
    Ok(match call.optional_float("weight")? {
        Some(weight) => reduced(loss(Reduction::None) * weight, reduction),
        None => loss(reduction),
    })
}

fn huber_loss<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, target) = pair(call)?;
    let delta = call.number_or("delta", 1.0)?;
    scaled_by_weight(call, |reduction| input.huber_loss(target, delta, reduction))
}

fn smooth_l1_loss<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, target) = pair(call)?;
    Ok(input.smooth_l1_loss(target, call.number_or("beta", 1.0)?, reduction(call)?))
}

/// The reduction `batchmean` is the sum over the batch's size.
fn kl_div<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let batch = call.float("input")?.shape()?.first().copied();
    let (input, target) = pair(call)?;
    let log_target = call.boolean_or("log_target", false)?;
    let flags = call.get("size_average").is_some() || call.get("reduce").is_some();
    if flags || call.text_or("reduction", "mean")? != "batchmean" {
        return Ok(input.kl_div(target, log_target, reduction(call)?));
    }
    let total = input.kl_div(target, log_target, Reduction::Sum);
    Ok(match batch {
        Some(batch) => total / batch as f64,
        None => total,
    })
}

fn binary_cross_entropy<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, target) = (call.float("input")?, call.float("target")?);
    scaled_by_weight(call, |reduction| input.binary_cross_entropy(target, reduction))
}

fn binary_cross_entropy_with_logits<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, target) = (call.float("input")?, call.float("target")?);
    let (weight, pos_weight) = (call.optional_float("weight")?, call.optional_float("pos_weight")?);
    Ok(input.binary_cross_entropy_with_logits_weighted(target, weight, pos_weight, reduction(call)?))
}

fn nll_loss<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let options = CrossEntropy { ignore_index: Some(ignored(call)?), ..options(call)? };
    Ok(call.float("input")?.nll_loss_with(call.indices("target")?, options))
}

/// Targets of floats are class probabilities, for which PyTorch ignores no class.
fn cross_entropy<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let options = CrossEntropy { label_smoothing: call.number_or("label_smoothing", 0.0)?, ..options(call)? };
    let input = call.float("input")?;
    if call.tensor("target")?.dtype()?.is_float() {
        return Ok(input.cross_entropy_with(call.float("target")?, options));
    }
    let options = CrossEntropy { ignore_index: Some(ignored(call)?), ..options };
    Ok(input.cross_entropy_with(call.indices("target")?, options))
}

fn options<'g>(call: &Call<'_, 'g>) -> Result<CrossEntropy<'g>, Refusal> {
    let (weight, reduction) = (call.optional_float("weight")?, reduction(call)?);
    Ok(CrossEntropy { weight, reduction, ..CrossEntropy::default() })
}

fn ignored(call: &Call<'_, '_>) -> Result<i32, Refusal> {
    let ignored = call.integer_or("ignore_index", -100)?;
    i32::try_from(ignored).map_err(|_| Refusal::unsupported("an ignore_index past 32 bits"))
}
