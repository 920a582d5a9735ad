//! Operators that arrange, repeat, stack and take apart, and tensors in the shape of another.

use arenagrad::{DType, Expr, GridOrder};

use super::arguments::{Call, Value, held};
use super::{Operator, Refusal};

const LIKE: &[&str] = &["input", "*", "dtype", "layout", "device", "requires_grad", "memory_format"];
const FULL_LIKE: &[&str] = &["input", "fill_value", "*", "dtype", "layout", "device", "requires_grad", "memory_format"];

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "roll" => Some(Operator::new(&["input", "shifts", "dims"], roll)),
        "rot90" => Some(Operator::new(&["input", "k", "dims"], rot90)),
        "fliplr" => Some(Operator::new(&["input"], |call| Ok(call.tensor("input")?.fliplr()))),
        "flipud" => Some(Operator::new(&["input"], |call| Ok(call.tensor("input")?.flipud()))),
        "movedim" | "moveaxis" => Some(Operator::new(&["input", "source", "destination"], |call| {
            let [source, destination] = [axes(call, "source")?, axes(call, "destination")?];
            let input = call.tensor("input")?;
            // A scalar counts as having one axis.
            Ok(if input.shape()?.rank() == 0 { input } else { input.movedim(source, destination) })
        })),
        "diagonal" => Some(Operator::new(&["input", "offset", "dim1", "dim2"], |call| {
            let [offset, first, second] = diagonal(call, 0, 1)?;
            Ok(call.tensor("input")?.diagonal(offset, first, second))
        })),
        "diag_embed" => Some(Operator::new(&["input", "offset", "dim1", "dim2"], |call| {
            let [offset, first, second] = diagonal(call, -2, -1)?;
            Ok(call.tensor("input")?.diag_embed(offset, first, second))
        })),
        "diag" => Some(Operator::new(&["input", "diagonal", "*", "out"], |call| {
            Ok(call.tensor("input")?.diag(call.integer_or("diagonal", 0)? as isize))
        })),
        "diagonal_scatter" => Some(Operator::new(&["input", "src", "offset", "dim1", "dim2"], |call| {
            let [offset, first, second] = diagonal(call, 0, 1)?;
            Ok(call.tensor("input")?.diagonal_scatter(call.tensor("src")?, offset, first, second))
        })),
        "repeat" => Some(Operator::new(&["input", "repeats"], repeat).or(&["input", "sizes"])),
        "repeat_interleave" => Some(Operator::new(&["input", "repeats", "dim", "*", "output_size"], repeat_interleave)),
        "unflatten" => Some(Operator::new(&["input", "dim", "sizes"], unflatten)),
        "atleast_1d" => Some(Operator::several(&["tensors"], |call| each(call, |x| x.atleast_1d()))),
        "atleast_2d" => Some(Operator::several(&["tensors"], |call| each(call, |x| x.atleast_2d()))),
        "atleast_3d" => Some(Operator::several(&["tensors"], |call| each(call, |x| x.atleast_3d()))),
        "block_diag" => Some(Operator::new(&["tensors", "*"], |call| Ok(call.graph.block_diag(&alike(call)?)))),
        "hstack" => Some(Operator::new(&["tensors", "*", "out"], |call| Ok(call.graph.hstack(&alike(call)?)))),
        "vstack" | "row_stack" => {
            Some(Operator::new(&["tensors", "*", "out"], |call| Ok(call.graph.vstack(&alike(call)?))))
        }
        "dstack" => Some(Operator::new(&["tensors", "*", "out"], |call| Ok(call.graph.dstack(&alike(call)?)))),
        "column_stack" => {
            Some(Operator::new(&["tensors", "*", "out"], |call| Ok(call.graph.column_stack(&alike(call)?))))
        }
        "meshgrid" => Some(Operator::several(&["tensors", "*", "indexing"], meshgrid)),
        "unbind" => Some(Operator::several(&["input", "dim"], |call| {
            Ok(call.tensor("input")?.unbind(call.integer_or("dim", 0)? as isize)?)
        })),
        "chunk" => Some(Operator::several(&["input", "chunks", "dim"], |call| {
            let chunks = count(call.integer("chunks")?)?;
            Ok(call.tensor("input")?.chunk(chunks, call.integer_or("dim", 0)? as isize)?)
        })),
        "split" | "split_with_sizes" => {
            Some(Operator::several(&["input", "split_size_or_sections", "dim"], split).or(&[
                "input",
                "split_sizes",
                "dim",
            ]))
        }
        "tensor_split" => Some(
            Operator::several(&["input", "indices_or_sections", "dim"], tensor_split)
                .or(&["input", "indices", "dim"])
                .or(&["input", "sections", "dim"]),
        ),
        "select_scatter" => Some(Operator::new(&["input", "src", "dim", "index"], |call| {
            let (input, source) = (call.tensor("input")?, call.tensor("src")?);
            Ok(input.select_scatter(source, call.integer("dim")? as isize, call.integer("index")? as isize))
        })),
        "full_like" => Some(Operator::new(FULL_LIKE, |call| {
            call.same_dtype()?;
            let input = call.tensor("input")?;
            Ok(input.full_like(held(call.number_or("fill_value", 0.0)?, input.dtype()?)))
        })),
        "zeros_like" => Some(Operator::new(LIKE, |call| {
            call.same_dtype()?;
            Ok(call.tensor("input")?.zeros_like())
        })),
        "ones_like" => Some(Operator::new(LIKE, |call| {
            call.same_dtype()?;
            Ok(call.tensor("input")?.ones_like())
        })),
        _ => None,
    }
}

/// A list of axes or shifts, or one.
fn axes(call: &Call<'_, '_>, name: &str) -> Result<Vec<isize>, Refusal> {
    Ok(call.integers(name)?.into_iter().map(|number| number as isize).collect())
}

fn count(number: i64) -> Result<usize, Refusal> {
    usize::try_from(number).map_err(|_| Refusal::failed(format!("a count of {number}")))
}

fn counts(numbers: Vec<i64>) -> Result<Vec<usize>, Refusal> {
    numbers.into_iter().map(count).collect()
}

/// The integers of a list, a number or a tensor.
fn numbers(call: &Call<'_, '_>, name: &str) -> Result<Vec<i64>, Refusal> {
    match call.get(name) {
        Some(Value::Tensor { values, .. }) if !values.element.is_float() => {
            Ok(values.data.iter().map(|&value| value as i64).collect())
        }
        _ => call.integers(name),
    }
}

/// Whether an argument is one number, or a tensor without axes.
fn is_number(call: &Call<'_, '_>, name: &str) -> bool {
    match call.get(name) {
        Some(Value::Integer(_)) => true,
        Some(Value::Tensor { values, .. }) => values.shape.is_empty(),
        Some(Value::Float(_) | Value::Boolean(_) | Value::Text(_) | Value::None | Value::List(_)) | None => false,
    }
}

fn roll<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let dims = if call.get("dims").is_some() { axes(call, "dims")? } else { Vec::new() };
    let input_shape = input.shape()?;
    let shifts = axes(call, "shifts")?;
    // A scalar counts as having one axis.
    Ok(if input_shape.rank() == 0 { input } else { input.roll(shifts, dims) })
}

fn rot90<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let dims = if call.get("dims").is_some() { axes(call, "dims")? } else { vec![0, 1] };
    let [first, second] = *dims else { return Err(Refusal::failed("rot90 turns in a plane of two axes")) };
    Ok(call.tensor("input")?.rot90(call.integer_or("k", 1)? as isize, [first, second]))
}

fn diagonal(call: &Call<'_, '_>, first: i64, second: i64) -> Result<[isize; 3], Refusal> {
    let numbers = [call.integer_or("offset", 0)?, call.integer_or("dim1", first)?, call.integer_or("dim2", second)?];
    Ok(numbers.map(|number| number as isize))
}

/// As many repeats as axes at least.
fn repeat<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let repeats = counts(call.integers(if call.get("repeats").is_some() { "repeats" } else { "sizes" })?)?;
    if repeats.len() < input.shape()?.rank() {
        return Err(Refusal::failed("repeat needs a number for each axis"));
    }
    Ok(input.tile(repeats))
}

/// Without an axis the elements are flattened.
fn repeat_interleave<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    if call.get("repeats").is_none() {
        // Counts alone: each index as often as its count says.
        let repeats = counts(numbers(call, "input")?)?;
        return Ok(call.graph.iota([repeats.len()], 0).repeat_interleave_counts(&repeats, 0));
    }
    let (input, axis) = match call.get("dim") {
        None => (input.flatten(), 0),
        Some(_) => {
            let rank = input.shape()?.rank();
            (input.atleast_1d(), call.axis("dim", rank)?)
        }
    };
    let repeats = counts(numbers(call, "repeats")?)?;
    let axis = axis as isize;
    Ok(match *repeats {
        [repeat] => input.repeat_interleave(repeat, axis),
        _ => input.repeat_interleave_counts(&repeats, axis),
    })
}

/// One extent may be -1: whatever is left for it.
fn unflatten<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    let sizes = call.integers("sizes")?;
    let known: i64 = sizes.iter().filter(|&&size| size != -1).product();
    let extents = sizes.into_iter().map(|size| if size == -1 { shape[axis] as i64 / known.max(1) } else { size });
    Ok(input.unflatten(axis as isize, counts(extents.collect())?))
}

/// One tensor, or each of several.
fn given<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    match call.get("tensors") {
        Some(Value::Tensor { expr, .. }) => Ok(vec![*expr]),
        _ => call.tensors("tensors"),
    }
}

fn each<'g>(call: &Call<'_, 'g>, function: impl Fn(Expr<'g>) -> Expr<'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    Ok(given(call)?.into_iter().map(function).collect())
}

/// The tensors of a list in their common dtype.
fn alike<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    let tensors = given(call)?;
    let dtypes = tensors.iter().map(|tensor| tensor.dtype()).collect::<Result<Vec<_>, _>>()?;
    let common = if dtypes.iter().any(|dtype| dtype.is_float()) {
        call.dtype
    } else if dtypes.iter().all(|&dtype| dtype == DType::Bool) {
        DType::Bool
    } else {
        DType::I32
    };
    Ok(tensors.into_iter().map(|tensor| tensor.cast(common)).collect())
}

fn meshgrid<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    let order = match call.text_or("indexing", "ij")? {
        "ij" => GridOrder::Ij,
        "xy" => GridOrder::Xy,
        other => return Err(Refusal::failed(format!("a grid of indexing {other:?}"))),
    };
    Ok(call.graph.meshgrid(&given(call)?, order)?)
}

fn split<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    let name = if call.get("split_sizes").is_some() { "split_sizes" } else { "split_size_or_sections" };
    let (input, axis) = (call.tensor("input")?, call.integer_or("dim", 0)? as isize);
    Ok(if is_number(call, name) {
        input.split(count(call.integer(name)?)?, axis)?
    } else {
        input.split_sizes(counts(numbers(call, name)?)?, axis)?
    })
}

fn tensor_split<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    let names = ["indices_or_sections", "indices", "sections"];
    let name = names.into_iter().find(|name| call.get(name).is_some()).unwrap_or(names[0]);
    let (input, axis) = (call.tensor("input")?, call.integer_or("dim", 0)? as isize);
    Ok(if is_number(call, name) {
        input.tensor_split(count(call.integer(name)?)?, axis)?
    } else {
        let indices: Vec<isize> = numbers(call, name)?.into_iter().map(|number| number as isize).collect();
        input.tensor_split_at(indices, axis)?
    })
}
