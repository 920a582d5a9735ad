//! Pooling.

use arenagrad::{Expr, PerAxis, Pooling};

use super::arguments::{Call, Value};
use super::{Operator, Refusal, Signature};

const MAX: Signature = &["input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"];
const AVERAGE_1D: Signature = &["input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"];
const AVERAGE: Signature =
    &["input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"];
const POWER: Signature = &["input", "norm_type", "kernel_size", "stride", "ceil_mode"];
const ADAPTIVE_AVERAGE: Signature = &["input", "output_size"];
const ADAPTIVE_MAX: Signature = &["input", "output_size", "return_indices"];

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "max_pool1d" => Some(Operator::several(MAX, |call| max(call, 1))),
        "max_pool2d" => Some(Operator::several(MAX, |call| max(call, 2))),
        "max_pool3d" => Some(Operator::several(MAX, |call| max(call, 3))),
        "avg_pool1d" => Some(Operator::new(AVERAGE_1D, |call| average(call, 1))),
        "avg_pool2d" => Some(Operator::new(AVERAGE, |call| average(call, 2))),
        "avg_pool3d" => Some(Operator::new(AVERAGE, |call| average(call, 3))),
        "lp_pool1d" => Some(Operator::new(POWER, |call| power(call, 1))),
        "lp_pool2d" => Some(Operator::new(POWER, |call| power(call, 2))),
        "lp_pool3d" => Some(Operator::new(POWER, |call| power(call, 3))),
        "adaptive_avg_pool1d" => Some(Operator::new(ADAPTIVE_AVERAGE, |call| adaptive_average(call, 1))),
        "adaptive_avg_pool2d" => Some(Operator::new(ADAPTIVE_AVERAGE, |call| adaptive_average(call, 2))),
        "adaptive_avg_pool3d" => Some(Operator::new(ADAPTIVE_AVERAGE, |call| adaptive_average(call, 3))),
        "adaptive_max_pool1d" => Some(Operator::several(ADAPTIVE_MAX, |call| adaptive_max(call, 1))),
        "adaptive_max_pool2d" => Some(Operator::several(ADAPTIVE_MAX, |call| adaptive_max(call, 2))),
        "adaptive_max_pool3d" => Some(Operator::several(ADAPTIVE_MAX, |call| adaptive_max(call, 3))),
        _ => None,
    }
}

/// Numbers that are not below 0: one for all axes, or one for each.
fn numbers(call: &Call<'_, '_>, name: &str) -> Result<Vec<usize>, Refusal> {
    let list = call.integers(name)?.into_iter().map(usize::try_from).collect::<Result<Vec<usize>, _>>();
    list.map_err(|_| Refusal::failed(format!("a number of {name:?} is negative")))
}

/// The windows that a call says. A stride of nothing, or of no numbers, is the kernel.
fn windows(call: &Call<'_, '_>) -> Result<Pooling, Refusal> {
    let mut pooling = Pooling::new(numbers(call, "kernel_size")?).ceil_mode(call.boolean_or("ceil_mode", false)?);
    if call.get("stride").is_some() {
        let stride = numbers(call, "stride")?;
        if !stride.is_empty() {
            pooling = pooling.stride(stride);
        }
    }
    if call.get("padding").is_some() {
        pooling = pooling.padding(numbers(call, "padding")?);
    }
    if call.get("dilation").is_some() {
        pooling = pooling.dilation(numbers(call, "dilation")?);
    }
    Ok(pooling)
}

fn max<'g>(call: &Call<'_, 'g>, axes: usize) -> Result<Vec<Expr<'g>>, Refusal> {
    let (input, pooling) = (call.numeric("input")?, windows(call)?);
    if !call.boolean_or("return_indices", false)? {
        let values = match axes {
            1 => input.max_pool1d(pooling),
            2 => input.max_pool2d(pooling),
            _ => input.max_pool3d(pooling),
        };
        return Ok(vec![values]);
    }
    let (values, indices) = match axes {
        1 => input.max_pool1d_with_indices(pooling),
        2 => input.max_pool2d_with_indices(pooling),
        _ => input.max_pool3d_with_indices(pooling),
    };
    Ok(vec![values, indices])
}

fn average<'g>(call: &Call<'_, 'g>, axes: usize) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let mut pooling = windows(call)?.count_include_pad(call.boolean_or("count_include_pad", true)?);
    if call.get("divisor_override").is_some() {
        pooling = pooling.divisor(call.integer("divisor_override")? as f64);
    }
    Ok(match axes {
        1 => input.avg_pool1d(pooling),
        2 => input.avg_pool2d(pooling),
        _ => input.avg_pool3d(pooling),
    })
}

fn power<'g>(call: &Call<'_, 'g>, axes: usize) -> Result<Expr<'g>, Refusal> {
    let (input, pooling, p) = (call.tensor("input")?, windows(call)?, call.number_or("norm_type", 2.0)?);
    Ok(match axes {
        1 => input.lp_pool1d(p, pooling),
        2 => input.lp_pool2d(p, pooling),
        _ => input.lp_pool3d(p, pooling),
    })
}

/// The size of a result: `None` for an axis is its own extent.
fn size(call: &Call<'_, '_>, input: Expr<'_>, axes: usize) -> Result<PerAxis, Refusal> {
    let Some(Value::List(items)) = call.get("output_size") else { return Ok(numbers(call, "output_size")?.into()) };
    let shape = input.shape()?;
    let own = shape.get(shape.rank().saturating_sub(axes)..).unwrap_or_default();
    let sizes = items.iter().enumerate().map(|(place, item)| match item {
        Value::None => own.get(place).copied(),
        Value::Integer(size) => usize::try_from(*size).ok(),
        Value::Tensor { .. } | Value::Float(_) | Value::Boolean(_) | Value::Text(_) | Value::List(_) => None,
    });
    let sizes = sizes.collect::<Option<Vec<usize>>>();
    Ok(sizes.ok_or_else(|| Refusal::failed("a size is no number"))?.into())
}

fn adaptive_average<'g>(call: &Call<'_, 'g>, axes: usize) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let size = size(call, input, axes)?;
    Ok(match axes {
        1 => input.adaptive_avg_pool1d(size),
        2 => input.adaptive_avg_pool2d(size),
        _ => input.adaptive_avg_pool3d(size),
    })
}

fn adaptive_max<'g>(call: &Call<'_, 'g>, axes: usize) -> Result<Vec<Expr<'g>>, Refusal> {
    let input = call.numeric("input")?;
    let size = size(call, input, axes)?;
    if !call.boolean_or("return_indices", false)? {
        let values = match axes {
            1 => input.adaptive_max_pool1d(size),
            2 => input.adaptive_max_pool2d(size),
            _ => input.adaptive_max_pool3d(size),
        };
        return Ok(vec![values]);
    }
    let (values, indices) = match axes {
        1 => input.adaptive_max_pool1d_with_indices(size),
        2 => input.adaptive_max_pool2d_with_indices(size),
        _ => input.adaptive_max_pool3d_with_indices(size),
    };
    Ok(vec![values, indices])
}
