//! Operators that put, add, fill and take at indices. A scalar counts as having one axis.

use arenagrad::{DType, Expr, ScatterReduction, Shape};

use super::arguments::{Call, Value, held};
use super::{Operator, Refusal};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "scatter" => Some(
            Operator::new(&["input", "dim", "index", "src", "*", "reduce"], scatter)
                .or(&["input", "dim", "index", "value", "*", "reduce"]),
        ),
        "scatter_reduce" => {
            Some(Operator::new(&["input", "dim", "index", "src", "reduce", "*", "include_self"], scatter_reduce))
        }
        "index_add" => Some(Operator::new(&["input", "dim", "index", "source", "*", "alpha", "out"], |call| {
            let slices = Slices::new(call)?;
            let alpha = held(call.number_or("alpha", 1.0)?, slices.input.dtype()?);
            Ok(slices.whole(slices.input.index_add(slices.axis, slices.index, slices.source, alpha)))
        })),
        "index_copy" => Some(Operator::new(&["input", "dim", "index", "source", "*", "out"], |call| {
            let slices = Slices::new(call)?;
            Ok(slices.whole(slices.input.index_copy(slices.axis, slices.index, slices.source)))
        })),
        "index_reduce" => {
            Some(Operator::new(&["input", "dim", "index", "source", "reduce", "*", "include_self", "out"], |call| {
                let slices = Slices::new(call)?;
                let (reduction, include_self) = (reduction(call)?, call.boolean_or("include_self", true)?);
                let Slices { input, axis, index, source, .. } = slices;
                Ok(slices.whole(input.index_reduce(axis, index, source, reduction, include_self)))
            }))
        }
        "index_fill" => Some(Operator::new(&["input", "dim", "index", "value"], index_fill)),
        "index_put" => Some(Operator::new(&["input", "indices", "values", "accumulate"], index_put)),
        "masked_fill" => Some(Operator::new(&["input", "mask", "value"], masked_fill)),
        "take" => {
            Some(Operator::new(&["input", "index"], |call| Ok(call.tensor("input")?.take(call.indices("index")?))))
        }
        "put" => Some(Operator::new(&["input", "index", "source", "accumulate"], |call| {
            let accumulate = call.boolean_or("accumulate", false)?;
            Ok(call.tensor("input")?.put(call.indices("index")?, call.tensor("source")?, accumulate))
        })),
        "take_along_dim" => Some(Operator::new(&["input", "indices", "dim", "*", "out"], take_along_dim)),
        _ => None,
    }
}

fn at_least_vector(tensor: Expr<'_>) -> Expr<'_> {
    tensor.atleast_1d()
}

/// The operands of an operator of slices.
#[derive(Clone)]
struct Slices<'g> {
    shape: Shape,
    input: Expr<'g>,
    axis: isize,
    index: Expr<'g>,
    source: Expr<'g>,
}

impl<'g> Slices<'g> {
    fn new(call: &Call<'_, 'g>) -> Result<Slices<'g>, Refusal> {
        let (input, source) = call.promoted("input", "source")?;
        let shape = input.shape()?;
        let axis = call.axis("dim", shape.rank())? as isize;
        let index = call.indices("index")?.flatten();
        // A slice of a vector may be given as a scalar.
        Ok(Slices { shape, input: at_least_vector(input), axis, index, source: at_least_vector(source) })
    }

    fn whole(&self, result: Expr<'g>) -> Expr<'g> {
        result.reshape(self.shape.clone())
    }
}

fn reduction(call: &Call<'_, '_>) -> Result<ScatterReduction, Refusal> {
    match call.text_or("reduce", "")? {
        "sum" | "add" => Ok(ScatterReduction::Sum),
        "mean" => Ok(ScatterReduction::Mean),
        "prod" | "multiply" => Ok(ScatterReduction::Prod),
        "amax" => Ok(ScatterReduction::Amax),
        "amin" => Ok(ScatterReduction::Amin),
        other => Err(Refusal::failed(format!("a reduction {other:?}"))),
    }
}

/// The reduction for elements of that dtype.
fn reduction_of(dtype: DType, reduction: ScatterReduction) -> Result<ScatterReduction, Refusal> {
    if reduction == ScatterReduction::Mean && !dtype.is_float() {
        return Err(Refusal::unsupported("the mean of what is scattered, of integers"));
    }
    Ok(reduction)
}

/// Updates are a tensor or a number, whichever name they were given under.
fn scatter<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, index) = (call.tensor("input")?, call.indices("index")?);
    let (shape, dtype) = (input.shape()?, input.dtype()?);
    let axis = call.axis("dim", shape.rank())? as isize;
    if index.shape()?.elements() == 0 {
        return Ok(input);
    }
    let name = if call.get("src").is_some() { "src" } else { "value" };
    let updates = match call.get(name) {
        Some(Value::Tensor { expr, .. }) => at_least_vector(expr.cast(dtype)),
        _ => call.operand(name)?.expr(call.graph, dtype),
    };
    let (target, index) = (at_least_vector(input), at_least_vector(index));
    let is_number = updates.shape()?.rank() == 0;
    let updates = if is_number { updates.broadcast_to(index.shape()?) } else { updates };
    let scattered = match call.get("reduce") {
        Some(_) => target.scatter_reduce(axis, index, updates, reduction_of(dtype, reduction(call)?)?, true),
        None => target.scatter(axis, index, updates),
    };
    Ok(scattered.reshape(shape))
}

fn scatter_reduce<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, source) = call.arithmetic("input", "src")?;
    let index = call.indices("index")?;
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())? as isize;
    if index.shape()?.elements() == 0 {
        return Ok(input);
    }
    let (include_self, dtype) = (call.boolean_or("include_self", true)?, input.dtype()?);
    let [target, index, source] = [input, index, source].map(at_least_vector);
    let reduction = reduction_of(dtype, reduction(call)?)?;
    Ok(target.scatter_reduce(axis, index, source, reduction, include_self).reshape(shape))
}

fn index_fill<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let (shape, dtype) = (input.shape()?, input.dtype()?);
    let axis = call.axis("dim", shape.rank())? as isize;
    let value = call.operand("value")?.expr(call.graph, dtype);
    let (input, index) = (at_least_vector(input), call.indices("index")?.flatten());
    Ok(input.index_fill(axis, index, value).reshape(shape))
}

/// Truth values say which elements, so they must be known when the graph is built: they stand in it.
fn index_put<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let values = call.operand("values")?.expr(call.graph, input.dtype()?);
    let Some(Value::List(items)) = call.get("indices") else { return Err(Refusal::failed("indices are a list")) };
    let index = |item: &Value<'_, 'g>| match item {
        Value::None => Ok(None),
        Value::Tensor { expr, values } if expr.dtype()? == DType::Bool => {
            let holds: Vec<bool> = values.data.iter().map(|&value| value != 0.0).collect();
            Ok(Some(call.graph.literal(values.shape.clone(), holds)))
        }
        Value::Tensor { expr, .. } => Ok(Some(*expr)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Text(_) | Value::List(_) => {
            Err(Refusal::failed("an index is no tensor"))
        }
    };
    let indices = items.iter().map(index).collect::<Result<Vec<_>, Refusal>>()?;
    Ok(input.index_put(&indices, values, call.boolean_or("accumulate", false)?))
}

fn masked_fill<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let value = call.operand("value")?.expr(call.graph, input.dtype()?);
    Ok(input.masked_fill(call.tensor("mask")?, value))
}

/// Without an axis the elements of both are flattened.
fn take_along_dim<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, indices) = (call.tensor("input")?, call.indices("indices")?);
    Ok(match call.get("dim") {
        None => input.flatten().take_along_dim(0, indices.flatten()),
        Some(_) => {
            let rank = input.shape()?.rank();
            let axis = call.axis("dim", rank)? as isize;
            let taken = at_least_vector(input).take_along_dim(axis, at_least_vector(indices));
            if rank == 0 { taken.reshape([]) } else { taken }
        }
    })
}
