//! Operators that read or add at indices.

use arenagrad::{DType, Expr};

use super::arguments::Call;
use super::{Operator, Refusal, reductions};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "gather" => Some(Operator::new(&["input", "dim", "index", "*", "sparse_grad", "out"], gather)),
        "index_select" => Some(Operator::new(&["input", "dim", "index", "*", "out"], index_select)),
        "scatter_add" => Some(Operator::new(&["input", "dim", "index", "src"], scatter_add)),
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "embedding" => Some(Operator::new(
            &["input", "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"],
            embedding,
        )),
        _ => None,
    }
}

/// A scalar as a vector of one element, all else as it is.
fn at_least_vector(tensor: Expr<'_>) -> Result<Expr<'_>, Refusal> {
    Ok(if tensor.shape()?.rank() == 0 { tensor.reshape([1]) } else { tensor })
}

fn gather<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, index) = (call.tensor("input")?, call.indices("index")?);
    let shape = index.shape()?;
    let axis = call.axis("dim", input.shape()?.rank())?;
    if shape.elements() == 0 {
        // PyTorch takes an empty index of any rank.
        return Ok(input.flatten().slice(0, 0, 0).reshape(shape));
    }
    let (input, index) = (at_least_vector(input)?, at_least_vector(index)?);
    Ok(input.gather(axis as isize, index).reshape(shape))
}

fn index_select<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, index) = (call.tensor("input")?, at_least_vector(call.indices("index")?)?);
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    let selected = at_least_vector(input)?.index_select(axis as isize, index);
    Ok(if shape.rank() == 0 { selected.reshape([]) } else { selected })
}

/// The updates may be larger than the index: only the part that it covers counts. Sums of truth values are truth values.
fn scatter_add<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let (input, source) = call.arithmetic("input", "src")?;
    let index = call.indices("index")?;
    let (shape, dtype) = (input.shape()?, input.dtype()?);
    let axis = call.axis("dim", shape.rank())?;
    if index.shape()?.elements() == 0 {
        return Ok(input);
    }
    let (target, index, mut source) = (at_least_vector(input)?, at_least_vector(index)?, at_least_vector(source)?);
    for (axis, &extent) in index.shape()?.iter().enumerate() {
        source = source.slice(axis as isize, 0, extent);
    }
    let numeric = |tensor: Expr<'g>| if dtype == DType::Bool { tensor.cast(DType::I32) } else { tensor };
    Ok(numeric(target).scatter_add(axis as isize, index, numeric(source)).cast(dtype).reshape(shape))
}

/// Rows of `weight` at the indices in `input`. PyTorch's own samples give the two in the other order; the dtypes tell
/// which is which. The row `padding_idx` gets no gradient.
fn embedding<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let swapped = call.tensor("weight")?.dtype()? == DType::I32 && call.tensor("input")?.dtype()?.is_float();
    let (tokens, table) = if swapped { ("weight", "input") } else { ("input", "weight") };
    let (tokens, table) = (call.indices(tokens)?, call.tensor(table)?);
    let shape = table.shape()?;
    let [rows, _] = *shape.dims() else { return Err(Refusal::failed("an embedding's table is no matrix")) };
    let table = match call.get("padding_idx") {
        None => table,
        Some(_) => {
            let padding = call.integer("padding_idx")?;
            let row = if padding < 0 { padding + rows as i64 } else { padding };
            let held = call.graph.iota([rows, 1], 0).equal(row as i32);
            held.where_(table.stop_gradient(), table)
        }
    };
    Ok(prepared(call, table, tokens)?.index_select(0, tokens))
}

/// The table as the arguments `max_norm`, `norm_type` and `scale_grad_by_freq` have it read. PyTorch shortens the long rows of the table
/// itself, so that no gradient passes through that; a row's gradient may be divided by how often the row was read.
pub(super) fn prepared<'g>(call: &Call<'_, 'g>, table: Expr<'g>, tokens: Expr<'g>) -> Result<Expr<'g>, Refusal> {
    let shape = table.shape()?;
    let [rows, _] = *shape.dims() else { return Err(Refusal::failed("an embedding's table is no matrix")) };
    let mut table = table;
    if call.boolean_or("scale_grad_by_freq", false)? {
        let tokens = tokens.flatten();
        let ones = call.graph.full(tokens.shape()?, 1.0, call.dtype);
        let counts = call.graph.zeros([rows], call.dtype).scatter_add(0, tokens, ones);
        let divisor = counts.maximum(1.0).unsqueeze(1);
        table = table.stop_gradient() + (table - table.stop_gradient()) / divisor;
    }
    if call.get("max_norm").is_some() {
        let (most, order) = (call.number_or("max_norm", 0.0)?, call.number_or("norm_type", 2.0)?);
        let held = table.stop_gradient();
        let norm = reductions::norm_over(call, held, order, &[1])?.unsqueeze(1);
        // PyTorch adds 1e-7 to the norms that it divides by.
        let shortened = norm.greater(most).where_(held * (most / (norm + 1e-7)), held);
        table = shortened + (table - held);
    }
    Ok(table)
}
