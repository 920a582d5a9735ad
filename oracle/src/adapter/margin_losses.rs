//! Losses with a margin, likelihoods, and the distances that they are made of.

use arenagrad::{Expr, PoissonNll, Reduction, TripletMargin};

use super::arguments::Call;
use super::losses::{pair, reduced, reduction};
use super::{Operator, Refusal};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "dist" => Some(Operator::new(&["input", "other", "p"], |call| {
            let (input, other) = call.floats("input", "other")?;
            let difference = input - other;
            Ok(difference.norm(call.number_or("p", 2.0)?, ..))
        })),
        "renorm" => Some(Operator::new(&["input", "p", "dim", "maxnorm", "*", "out"], renorm)),
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "pairwise_distance" => Some(Operator::new(&["x1", "x2", "p", "eps", "keepdim"], pairwise_distance)),
        "cosine_similarity" => Some(Operator::new(&["x1", "x2", "dim", "eps"], |call| {
            let (x1, x2) = call.floats("x1", "x2")?;
            let rank = x1.shape()?.rank().max(x2.shape()?.rank());
            let axis = call.axis_or("dim", 1, rank)? as isize;
            // Two scalars are vectors of one element for that.
            let (x1, x2) = if rank == 0 { (x1.reshape([1]), x2.reshape([1])) } else { (x1, x2) };
            let eps = call.number_or("eps", 1e-8)?;
            let cosine = x1.cosine_similarity(x2, axis, eps);
            // Where PyTorch divides by `eps` it takes the gradient of the length that it left out.
            let (own, others) = (x1.shape()?, x2.shape()?);
            let common =
                own.broadcast(&others).map_err(|_| Refusal::failed(format!("cosines of {own} and {others}")))?;
            let [x1, x2] = [x1, x2].map(|x| x.broadcast_to(&common));
            let lengths = [x1, x2].map(|x| x.norm(2.0, [axis]).unsqueeze(axis));
            let [divisor1, divisor2] = lengths.map(|length| length + (length.maximum(eps) - length).stop_gradient());
            let as_pytorch = (x1 / divisor1 * (x2 / divisor2)).sum([axis]);
            let [short1, short2] = lengths.map(|length| length.squeeze(axis).less(eps));
            Ok((short1 | short2).where_(as_pytorch, cosine))
        })),
        "margin_ranking_loss" => Some(Operator::new(
            &["input1", "input2", "target", "margin", "size_average", "reduce", "reduction"],
            |call| {
                let (input1, input2, target) = (call.float("input1")?, call.float("input2")?, call.float("target")?);
                let margin = call.number_or("margin", 0.0)?;
                Ok(input1.margin_ranking_loss(input2, target, margin, reduction(call)?))
            },
        )),
        "hinge_embedding_loss" => {
            Some(Operator::new(&["input", "target", "margin", "size_average", "reduce", "reduction"], |call| {
                let (input, target) = pair(call)?;
                Ok(input.hinge_embedding_loss(target, call.number_or("margin", 1.0)?, reduction(call)?))
            }))
        }
        "soft_margin_loss" => {
            Some(Operator::new(&["input", "target", "size_average", "reduce", "reduction"], |call| {
                let (input, target) = pair(call)?;
                Ok(input.soft_margin_loss(target, reduction(call)?))
            }))
        }
        "cosine_embedding_loss" => Some(Operator::new(
            &["input1", "input2", "target", "margin", "size_average", "reduce", "reduction"],
            |call| {
                let (input1, input2, target) = (call.float("input1")?, call.float("input2")?, call.float("target")?);
                let margin = call.number_or("margin", 0.0)?;
                Ok(input1.cosine_embedding_loss(input2, target, margin, reduction(call)?))
            },
        )),
        "triplet_margin_loss" => Some(Operator::new(
            &["anchor", "positive", "negative", "margin", "p", "eps", "swap", "size_average", "reduce", "reduction"],
            |call| {
                let options = TripletMargin {
                    margin: call.number_or("margin", 1.0)?,
                    p: call.number_or("p", 2.0)?,
                    eps: call.number_or("eps", 1e-6)?,
                    swap: call.boolean_or("swap", false)?,
                    reduction: reduction(call)?,
                };
                Ok(call.float("anchor")?.triplet_margin_loss(call.float("positive")?, call.float("negative")?, options))
            },
        )),
        "triplet_margin_with_distance_loss" => Some(Operator::new(
            &["anchor", "positive", "negative", "*", "distance_function", "margin", "swap", "reduction"],
            |call| {
                let [anchor, positive, negative] = ["anchor", "positive", "negative"].map(|name| call.float(name));
                let (margin, swap) = (call.number_or("margin", 1.0)?, call.boolean_or("swap", false)?);
                let reduction = reduction(call)?;
                // A case holds no function, so it is PyTorch's default.
                Ok(anchor?.triplet_margin_with_distance_loss(
                    positive?,
                    negative?,
                    |x, y| x.pairwise_distance(y, 2.0, 1e-6),
                    margin,
                    swap,
                    reduction,
                ))
            },
        )),
        "multi_margin_loss" => Some(Operator::new(
            &["input", "target", "p", "margin", "weight", "size_average", "reduce", "reduction"],
            multi_margin_loss,
        )),
        "multilabel_margin_loss" => {
            Some(Operator::new(&["input", "target", "size_average", "reduce", "reduction"], |call| {
                Ok(call.float("input")?.multilabel_margin_loss(call.indices("target")?, reduction(call)?))
            }))
        }
        "multilabel_soft_margin_loss" => {
            Some(Operator::new(&["input", "target", "weight", "size_average", "reduce", "reduction"], |call| {
                let (input, target) = pair(call)?;
                let weight = call.optional_float("weight")?;
                Ok(input.multilabel_soft_margin_loss(target, weight, reduction(call)?))
            }))
        }
        "poisson_nll_loss" => Some(Operator::new(
            &["input", "target", "log_input", "full", "size_average", "eps", "reduce", "reduction"],
            |call| {
                let (input, target) = pair(call)?;
                let options = PoissonNll {
                    log_input: call.boolean_or("log_input", true)?,
                    full: call.boolean_or("full", false)?,
                    eps: call.number_or("eps", 1e-8)?,
                    reduction: reduction(call)?,
                };
                Ok(input.poisson_nll_loss(target, options))
            },
        )),
        "gaussian_nll_loss" => {
            Some(Operator::new(&["input", "target", "var", "full", "eps", "reduction"], gaussian_nll_loss))
        }
        _ => None,
    }
}

/// Parts along one axis brought to a norm of at most `maxnorm`.
fn renorm<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    let most = call.number_or("maxnorm", 0.0)?;
    let others: Vec<usize> = (0..shape.rank()).filter(|&other| other != axis).collect();
    let norm =
        input.norm(call.number_or("p", 2.0)?, others.clone()).reshape(shape.reduced(others.into_iter().collect()));
    let is_long = norm.greater(most);
    // PyTorch adds 1e-7 to the norms that it divides by.
    Ok(input * is_long.where_(most / (norm + 1e-7), 1.0))
}

fn pairwise_distance<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (x1, x2) = call.floats("x1", "x2")?;
    let distance = x1.pairwise_distance(x2, call.number_or("p", 2.0)?, call.number_or("eps", 1e-6)?);
    Ok(if call.boolean_or("keepdim", false)? { distance.unsqueeze(-1) } else { distance })
}

fn multi_margin_loss<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, labels) = (call.float("input")?, call.indices("target")?);
    let p = i32::try_from(call.integer_or("p", 1)?).map_err(|_| Refusal::failed("a p past 32 bits"))?;
    // A scalar is a row of one score, and a single row may have its label along an axis of its own.
    let rank = input.shape()?.rank();
    let input = if rank == 0 { input.reshape([1]) } else { input };
    let of_labels = labels.shape()?;
    let labels = if rank < 2 { labels.reshape([]) } else { labels };
    let (weight, reduction) = (call.optional_float("weight")?, reduction(call)?);
    let loss = input.multi_margin_loss(labels, p, call.number_or("margin", 1.0)?, weight, reduction);
    // Its loss has that axis too.
    Ok(if reduction == Reduction::None { loss.reshape(of_labels) } else { loss })
}

/// PyTorch broadcasts predictions and targets; a variance without the last axis is one for each row.
fn gaussian_nll_loss<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let own = call.float("input")?.shape()?;
    let (input, target) = pair(call)?;
    let shape = input.shape()?;
    let variance = call.operand("var")?.expr(call.graph, call.dtype);
    let given = variance.shape()?;
    let variance = if own.rank() > 0 && given != own && given[..] == own[..own.rank() - 1] {
        variance.unsqueeze(-1)
    } else {
        variance
    };
    let variance = variance.broadcast_to(&shape);
    let (full, eps) = (call.boolean_or("full", false)?, call.number_or("eps", 1e-6)?);
    let loss = input.gaussian_nll_loss(target, variance, full, eps, Reduction::None);
    Ok(reduced(loss, reduction(call)?))
}
