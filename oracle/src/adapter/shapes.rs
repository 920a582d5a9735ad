//! Operators that move elements without computing, and the triangles of a matrix.

use arenagrad::{DType, Expr};

use super::arguments::{Call, axis};
use super::{Operator, Refusal};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "reshape" | "view" => Some(Operator::new(&["input", "shape"], reshape).or(&["input", "size"])),
        "permute" => Some(Operator::new(&["input", "dims"], permute)),
        "transpose" | "swapaxes" | "swapdims" => Some(Operator::new(&["input", "dim0", "dim1"], transpose)),
        "t" => Some(Operator::new(&["input"], t)),
        "flatten" => Some(Operator::new(&["input", "start_dim", "end_dim"], flatten)),
        "squeeze" => Some(Operator::new(&["input", "dim"], squeeze)),
        "unsqueeze" => Some(Operator::new(&["input", "dim"], unsqueeze)),
        "expand" | "broadcast_to" => Some(Operator::new(&["input", "size", "*", "implicit"], expand)),
        "tile" => Some(Operator::new(&["input", "dims"], tile)),
        "narrow" => Some(Operator::new(&["input", "dim", "start", "length"], narrow)),
        "select" => Some(Operator::new(&["input", "dim", "index"], select)),
        "cat" | "concat" | "concatenate" => Some(Operator::new(&["tensors", "dim", "*", "out"], cat)),
        "stack" => Some(Operator::new(&["tensors", "dim", "*", "out"], stack)),
        "flip" => Some(Operator::new(&["input", "dims"], flip)),
        "tril" => Some(Operator::new(&["input", "diagonal", "*", "out"], |call| {
            Ok(call.tensor("input")?.tril(call.integer_or("diagonal", 0)? as isize))
        })),
        "triu" => Some(Operator::new(&["input", "diagonal", "*", "out"], |call| {
            Ok(call.tensor("input")?.triu(call.integer_or("diagonal", 0)? as isize))
        })),
        _ => None,
    }
}

/// A list of extents of which one may be -1: whatever is left for it.
fn reshape<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let extents = call.integers(if call.get("shape").is_some() { "shape" } else { "size" })?;
    let elements = input.shape()?.elements();
    let known: i64 = extents.iter().filter(|&&extent| extent != -1).product();
    let shape = extents
        .into_iter()
        .map(|extent| match extent {
            -1 if known > 0 => Ok(elements / known as usize),
            0.. => Ok(extent as usize),
            _ => Err(Refusal::failed(format!("an extent of {extent} for {elements} elements"))),
        })
        .collect::<Result<Vec<usize>, _>>()?;
    Ok(input.reshape(shape))
}

fn permute<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let axes: Vec<isize> = call.integers("dims")?.into_iter().map(|axis| axis as isize).collect();
    Ok(call.tensor("input")?.permute(axes))
}

fn transpose<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let rank = input.shape()?.rank();
    let (first, second) = (call.axis("dim0", rank)?, call.axis("dim1", rank)?);
    Ok(if rank == 0 { input } else { input.transpose(first as isize, second as isize) })
}

/// The transpose of a matrix; vectors and scalars as they are.
fn t<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    match input.shape()?.rank() {
        0 | 1 => Ok(input),
        2 => Ok(input.t()),
        rank => Err(Refusal::failed(format!("t of a tensor of rank {rank}"))),
    }
}

fn flatten<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let shape = input.shape()?;
    let rank = shape.rank();
    let (start, end) = (call.axis_or("start_dim", 0, rank)?, call.axis_or("end_dim", -1, rank)?);
    if rank == 0 {
        return Ok(input.reshape([1]));
    }
    if start > end {
        return Err(Refusal::failed(format!("flatten from axis {start} to axis {end}")));
    }
    let joined = shape[start..=end].iter().product();
    let extents: Vec<usize> =
        shape[..start].iter().copied().chain([joined]).chain(shape[end + 1..].iter().copied()).collect();
    Ok(input.reshape(extents))
}

/// Without the named axes of extent 1, or without all of them. An empty list names none.
fn squeeze<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let shape = input.shape()?;
    let rank = shape.rank();
    let axes = match call.get("dim") {
        None => (0..rank).collect(),
        Some(_) => {
            let given = call.integers("dim")?;
            given.into_iter().map(|given| axis(given, rank)).collect::<Result<Vec<usize>, _>>()?
        }
    };
    let extents: Vec<usize> =
        (0..rank).filter(|axis| !axes.contains(axis) || shape[*axis] != 1).map(|axis| shape[axis]).collect();
    Ok(input.reshape(extents))
}

fn unsqueeze<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    Ok(call.tensor("input")?.unsqueeze(call.integer("dim")? as isize))
}

/// An extent of -1 stays what it is; new axes stand in front.
fn expand<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let shape = input.shape()?;
    let sizes = call.integers("size")?;
    let missing = sizes.len().checked_sub(shape.rank());
    let missing = missing.ok_or_else(|| Refusal::failed("expand to fewer axes than there are"))?;
    let extents = sizes
        .into_iter()
        .enumerate()
        .map(|(axis, size)| match size {
            -1 if axis >= missing => Ok(shape[axis - missing]),
            0.. => Ok(size as usize),
            _ => Err(Refusal::failed(format!("expand to an extent of {size}"))),
        })
        .collect::<Result<Vec<usize>, _>>()?;
    Ok(input.broadcast_to(extents))
}

fn tile<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let repeats = call.integers("dims")?.into_iter().map(usize::try_from).collect::<Result<Vec<usize>, _>>();
    let repeats = repeats.map_err(|_| Refusal::failed("a number of copies is negative"))?;
    Ok(call.tensor("input")?.tile(repeats))
}

/// `length` elements from `start` on; a negative start counts from the end.
fn narrow<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    let extent = shape.get(axis).copied().unwrap_or(1) as i64;
    let (start, length) = (call.integer("start")?, call.integer("length")?);
    let start = if start < 0 { start + extent } else { start };
    if start < 0 || length < 0 || start + length > extent {
        return Err(Refusal::failed(format!("narrow to {length} from {start} along an axis of {extent}")));
    }
    Ok(input.slice(axis as isize, start as usize, (start + length) as usize))
}

fn select<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    let extent = shape.get(axis).copied().unwrap_or(0) as i64;
    let index = call.integer("index")?;
    let resolved = if index < 0 { index + extent } else { index };
    if !(0..extent).contains(&resolved) {
        return Err(Refusal::failed(format!("select {index} along an axis of {extent}")));
    }
    Ok(input.select_index(axis as isize, resolved as usize))
}

/// The tensors of a list in their common dtype.
fn alike<'g>(call: &Call<'_, 'g>) -> Result<Vec<Expr<'g>>, Refusal> {
    let tensors = call.tensors("tensors")?;
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

/// An empty vector among the tensors is left out, whatever the others' rank: PyTorch keeps that for old programs.
fn cat<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let tensors = alike(call)?;
    let Some(&first) = tensors.first() else { return Err(Refusal::failed("cat of no tensors")) };
    let mut kept = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        if tensor.shape()?.dims() != [0] {
            kept.push(tensor);
        }
    }
    let Some(shape) = kept.first().map(|tensor| tensor.shape()).transpose()? else { return Ok(first) };
    let axis = call.axis_or("dim", 0, shape.rank())?;
    Ok(call.graph.concat(&kept, axis as isize))
}

fn stack<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    Ok(call.graph.stack(&alike(call)?, call.integer_or("dim", 0)? as isize))
}

/// Reversed along the axes.
fn flip<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let rank = input.shape()?.rank();
    // PyTorch takes axis 0 and -1 of a scalar, which has none.
    let axes = call.integers("dims")?.into_iter().map(|given| axis(given, rank)).collect::<Result<Vec<usize>, _>>()?;
    let axes: Vec<isize> = axes.into_iter().filter(|&axis| axis < rank).map(|axis| axis as isize).collect();
    Ok(input.flip(axes))
}
