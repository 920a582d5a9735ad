//! Cumulative operations, sorting, and further reductions.

use arenagrad::{DType, Expr};

use super::arguments::{Call, Value};
use super::{Operator, Refusal};

const CUMULATIVE: &[&str] = &["input", "dim", "*", "dtype", "out"];
const REDUCTION: &[&str] = &["input", "dim", "keepdim", "*", "dtype", "out"];
const SPREAD: &[&str] = &["input", "dim", "unbiased", "keepdim", "*", "correction", "out"];

pub(super) fn find(name: &str) -> Option<Operator> {
    Some(match name {
        "cumsum" => Operator::new(CUMULATIVE, |call| cumulative(call, call.arithmetic_operand("input")?, Expr::cumsum)),
        "cumprod" => {
            Operator::new(CUMULATIVE, |call| cumulative(call, call.arithmetic_operand("input")?, Expr::cumprod))
        }
        "logcumsumexp" => Operator::new(CUMULATIVE, |call| cumulative(call, call.float("input")?, Expr::logcumsumexp)),
        "cummax" => Operator::several(CUMULATIVE, |call| both_along(call, "dim", None, Expr::cummax)),
        "cummin" => Operator::several(CUMULATIVE, |call| both_along(call, "dim", None, Expr::cummin)),
        "sort" => Operator::several(&["input", "dim", "descending", "stable", "*", "out"], |call| {
            let is_descending = call.boolean_or("descending", false)?;
            both_along(call, "dim", Some(-1), |x, axis| x.sort(axis, is_descending))
        }),
        "argsort" => Operator::new(&["input", "dim", "descending", "stable"], |call| {
            let is_descending = call.boolean_or("descending", false)?;
            Ok(both_along(call, "dim", Some(-1), |x, axis| (x, x.argsort(axis, is_descending)))?[1])
        }),
        "histc" => Operator::new(&["input", "bins", "min", "max", "*", "out"], |call| {
            let bins = usize::try_from(call.integer_or("bins", 100)?).map_err(|_| Refusal::failed("no bins"))?;
            Ok(call.float("input")?.histc(bins, call.number_or("min", 0.0)?, call.number_or("max", 0.0)?))
        }),
        "msort" => Operator::new(&["input", "*", "out"], |call| Ok(call.numeric("input")?.msort())),
        "topk" => Operator::several(&["input", "k", "dim", "largest", "sorted", "*", "out"], |call| {
            let (k, is_largest) = (count(call, "k")?, call.boolean_or("largest", true)?);
            both_along(call, "dim", Some(-1), |x, axis| x.topk(k, axis, is_largest))
        }),
        "kthvalue" => Operator::several(&["input", "k", "dim", "keepdim", "*", "out"], |call| {
            let k = count(call, "k")?;
            chosen_along(call, Some(-1), |x, axis| x.kthvalue(k, axis))
        }),
        "median" => Operator::several(&["input", "dim", "keepdim", "*", "out"], |call| median(call, Expr::median)),
        "nanmedian" => {
            Operator::several(&["input", "dim", "keepdim", "*", "out"], |call| median(call, Expr::nanmedian))
        }
        "searchsorted" => Operator::new(
            &["sorted_sequence", "input", "*", "out_int32", "right", "side", "out", "sorter"],
            searchsorted,
        ),
        "bucketize" => Operator::new(&["input", "boundaries", "*", "out_int32", "right", "out"], |call| {
            let (values, boundaries) = call.promoted("input", "boundaries")?;
            Ok(values.bucketize(boundaries, call.boolean_or("right", false)?))
        }),
        "prod" => Operator::new(REDUCTION, |call| {
            call.same_dtype()?;
            reduce(call, call.arithmetic_operand("input")?, Expr::prod, Expr::prod_keepdims)
        }),
        "any" => Operator::new(REDUCTION, |call| quantify(call, Expr::any, Expr::any_keepdims)),
        "all" => Operator::new(REDUCTION, |call| quantify(call, Expr::all, Expr::all_keepdims)),
        "count_nonzero" => Operator::new(&["input", "dim"], |call| {
            let input = call.tensor("input")?;
            let axes = call.axes("dim", input.shape()?.rank())?;
            Ok(input.count_nonzero(axes))
        }),
        "argmax" => Operator::new(REDUCTION, |call| index(call, |x, axes| x.argmax(axes))),
        "argmin" => Operator::new(REDUCTION, |call| index(call, |x, axes| x.argmin(axes))),
        "aminmax" => Operator::several(&["input", "*", "dim", "keepdim", "out"], |call| {
            let input = call.tensor("input")?;
            let least = reduce(call, input, Expr::min, Expr::min_keepdims)?;
            Ok(vec![least, reduce(call, input, Expr::max, Expr::max_keepdims)?])
        }),
        "nansum" => Operator::new(REDUCTION, |call| {
            call.same_dtype()?;
            let input = call.numeric("input")?;
            if !input.dtype()?.is_float() {
                return reduce(call, input, Expr::sum, Expr::sum_keepdims);
            }
            reduce(call, input, Expr::nansum, Expr::nansum_keepdims)
        }),
        "nanmean" => Operator::new(REDUCTION, |call| {
            call.same_dtype()?;
            reduce(call, call.float("input")?, Expr::nanmean, Expr::nanmean_keepdims)
        }),
        "std" => Operator::new(SPREAD, |call| Ok(spread(call, Expr::std_mean)?[0])),
        "std_mean" => Operator::several(SPREAD, |call| spread(call, Expr::std_mean)),
        "var_mean" => Operator::several(SPREAD, |call| spread(call, Expr::var_mean)),
        "diff" => Operator::new(&["input", "n", "dim", "prepend", "append", "*", "out"], diff),
        "trapezoid" | "trapz" => Operator::new(&["y", "x", "*", "dx", "dim"], trapezoid),
        "gradient" => Operator::several(&["input", "*", "spacing", "dim", "edge_order"], gradient),
        _ => return None,
    })
}

/// An axis that there is; PyTorch gives a scalar one.
fn with_an_axis<'g>(x: Expr<'g>) -> Result<Expr<'g>, Refusal> {
    Ok(if x.shape()?.rank() == 0 { x.reshape([1]) } else { x })
}

fn cumulative<'g>(
    call: &Call<'_, 'g>,
    input: Expr<'g>,
    function: impl FnOnce(Expr<'g>, isize) -> Expr<'g>,
) -> Result<Expr<'g>, Refusal> {
    call.same_dtype()?;
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    Ok(function(with_an_axis(input)?, axis as isize).reshape(shape))
}

/// Two results along an axis, which stays; of a scalar they are scalars.
fn both_along<'g>(
    call: &Call<'_, 'g>,
    name: &str,
    default: Option<i64>,
    function: impl FnOnce(Expr<'g>, isize) -> (Expr<'g>, Expr<'g>),
) -> Result<Vec<Expr<'g>>, Refusal> {
    let input = call.numeric("input")?;
    let rank = input.shape()?.rank();
    let axis = match default {
        Some(default) => call.axis_or(name, default, rank)?,
        None => call.axis(name, rank)?,
    };
    let dtype = call.tensor("input")?.dtype()?;
    let (values, indices) = function(with_an_axis(input)?, axis as isize);
    let values = if dtype == DType::Bool { values.not_equal(0) } else { values };
    let scalar = |x: Expr<'g>| if rank == 0 { x.reshape([]) } else { x };
    Ok(vec![scalar(values), scalar(indices)])
}

/// Two results along an axis, which falls away unless `keepdim` says otherwise.
fn chosen_along<'g>(
    call: &Call<'_, 'g>,
    default: Option<i64>,
    function: impl FnOnce(Expr<'g>, isize) -> (Expr<'g>, Expr<'g>),
) -> Result<Vec<Expr<'g>>, Refusal> {
    let input = call.numeric("input")?;
    let rank = input.shape()?.rank();
    let axis = match default {
        Some(default) => call.axis_or("dim", default, rank)?,
        None => call.axis("dim", rank)?,
    };
    let (values, indices) = function(with_an_axis(input)?, axis as isize);
    let keeps = rank > 0 && call.boolean_or("keepdim", false)?;
    let kept = |x: Expr<'g>| if keeps { x.unsqueeze(axis as isize) } else { x };
    Ok(vec![kept(values), kept(indices)])
}

/// A number of elements.
fn count(call: &Call<'_, '_>, name: &str) -> Result<usize, Refusal> {
    let given = call.integer(name)?;
    usize::try_from(given).map_err(|_| Refusal::failed(format!("{name} is {given}")))
}

/// The median of all elements alone, or along an axis with its index.
fn median<'g>(
    call: &Call<'_, 'g>,
    function: impl FnOnce(Expr<'g>, Vec<usize>) -> (Expr<'g>, Expr<'g>),
) -> Result<Vec<Expr<'g>>, Refusal> {
    let input = call.numeric("input")?;
    if call.get("dim").is_some() {
        return chosen_along(call, None, |x, axis| function(x, vec![axis as usize]));
    }
    let all = (0..input.shape()?.rank()).collect();
    let value = function(input, all).0;
    if !input.dtype()?.is_float() {
        return Ok(vec![value]);
    }
    // What is equal to the median of all shares its gradient; each share is a part of a number whose value is 0.
    let value = value.stop_gradient();
    let is_it = input.equal(value) | (input.isnan() & value.isnan());
    let movable = (is_it & input.isfinite()).where_(input, 0.0);
    let share = is_it.cast(call.dtype).sum(..);
    Ok(vec![value + (movable - movable.stop_gradient()).sum(..) / share])
}

fn searchsorted<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (sequence, values) = call.promoted("sorted_sequence", "input")?;
    let is_right = match call.text_or("side", "")? {
        "right" => true,
        "left" => false,
        _ => call.boolean_or("right", false)?,
    };
    let sequence = match call.get("sorter") {
        Some(_) => sequence.gather(-1, call.indices("sorter")?),
        None => sequence,
    };
    Ok(sequence.searchsorted(values, is_right))
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

/// A quantifier over the axes in `dim`. An empty list means none of them, where other reductions take it for all.
fn quantify<'g>(
    call: &Call<'_, 'g>,
    dropping: impl FnOnce(Expr<'g>, Vec<usize>) -> Expr<'g>,
    keeping: impl FnOnce(Expr<'g>, Vec<usize>) -> Expr<'g>,
) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    if call.get("dim").is_some() && call.integers("dim")?.is_empty() {
        return Ok(input.cast(DType::Bool));
    }
    reduce(call, input, dropping, keeping)
}

/// An index over the axis in `dim`, or over all.
fn index<'g>(
    call: &Call<'_, 'g>,
    function: impl FnOnce(Expr<'g>, Vec<usize>) -> Expr<'g>,
) -> Result<Expr<'g>, Refusal> {
    let input = call.numeric("input")?;
    let shape = input.shape()?;
    let axes = call.axes("dim", shape.rank())?;
    let kept = shape.reduced(axes.iter().copied().collect());
    let index = function(input, axes);
    Ok(if call.boolean_or("keepdim", false)? { index.reshape(kept) } else { index })
}

/// A spread and the mean: `(input, dim, unbiased, keepdim)`, `(input, unbiased)` and `(input, dim, *, correction, keepdim)`.
fn spread<'g>(
    call: &Call<'_, 'g>,
    function: impl FnOnce(Expr<'g>, Vec<usize>, f64) -> (Expr<'g>, Expr<'g>),
) -> Result<Vec<Expr<'g>>, Refusal> {
    let input = call.float("input")?;
    let shape = input.shape()?;
    let unbiased_alone = matches!(call.get("dim"), Some(Value::Boolean(_)));
    let unbiased = call.boolean_or(if unbiased_alone { "dim" } else { "unbiased" }, true)?;
    let correction = call.number_or("correction", f64::from(u8::from(unbiased)))?;
    let axes = if unbiased_alone { (0..shape.rank()).collect() } else { call.axes("dim", shape.rank())? };
    let kept = shape.reduced(axes.iter().copied().collect());
    let (spread, mean) = function(input, axes, correction);
    let keeps = call.boolean_or("keepdim", false)?;
    Ok([spread, mean].map(|x| if keeps { x.reshape(kept.clone()) } else { x }).to_vec())
}

fn diff<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let n = match call.get("n") {
        Some(_) => count(call, "n")?,
        None => 1,
    };
    let axis = call.axis_or("dim", -1, input.shape()?.rank())?;
    let other = |name: &str| call.get(name).map(|_| call.tensor(name)).transpose();
    let (axis, before, after) = (axis as isize, other("prepend")?, other("append")?);
    Ok(input.diff_with(n, axis, before, after))
}

fn trapezoid<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let y = call.float("y")?;
    let axis = call.axis_or("dim", -1, y.shape()?.rank())? as isize;
    match call.optional_float("x")? {
        Some(x) => Ok(y.trapezoid_at(x, axis)),
        None => Ok(y.trapezoid(call.number_or("dx", 1.0)?, axis)),
    }
}

fn gradient<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    let input = call.float("input")?;
    let axes = match call.get("dim") {
        Some(_) => {
            let rank = input.shape()?.rank();
            call.integers("dim")?
                .into_iter()
                .map(|axis| super::arguments::axis(axis, rank))
                .collect::<Result<Vec<_>, _>>()?
        }
        None => (0..input.shape()?.rank()).collect(),
    };
    let edge_order = usize::try_from(call.integer_or("edge_order", 1)?).unwrap_or(usize::MAX);
    let along = |axis: usize, spacing: &Value<'_, 'g>| match spacing {
        Value::Tensor { expr, .. } => Ok(input.numerical_gradient_at(expr.cast(call.dtype), axis as isize, edge_order)),
        Value::Integer(spacing) => Ok(input.numerical_gradient(*spacing as f64, axis as isize, edge_order)),
        Value::Float(spacing) => Ok(input.numerical_gradient(*spacing, axis as isize, edge_order)),
        Value::Boolean(_) | Value::Text(_) | Value::None | Value::List(_) => {
            Err(Refusal::failed("a spacing is neither a number nor a tensor"))
        }
    };
    let one = Value::Integer(1);
    axes.iter()
        .enumerate()
        .map(|(number, &axis)| match call.get("spacing") {
            None => along(axis, &one),
            Some(Value::List(list)) => match list.get(number) {
                Some(spacing) => along(axis, spacing),
                None => Err(Refusal::failed("fewer spacings than axes")),
            },
            Some(spacing) => along(axis, spacing),
        })
        .collect()
}
