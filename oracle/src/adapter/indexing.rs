//! Operators that read or add at indices.

use arenagrad::{DType, EmbeddingOptions, Expr};

use super::arguments::Call;
use super::{Operator, Refusal};

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
    let shape = input.shape()?;
    let axis = call.axis("dim", shape.rank())?;
    if index.shape()?.elements() == 0 {
        return Ok(input);
    }
    let (target, index, mut source) = (at_least_vector(input)?, at_least_vector(index)?, at_least_vector(source)?);
    for (axis, &extent) in index.shape()?.iter().enumerate() {
        source = source.slice(axis as isize, 0, extent);
    }
    Ok(target.scatter_add(axis as isize, index, source).reshape(shape))
}

/// Rows of `weight` at the indices in `input`. PyTorch's own samples give the two in the other order; the dtypes tell
/// which is which. The row `padding_idx` gets no gradient.
fn embedding<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let swapped = call.tensor("weight")?.dtype()? == DType::I32 && call.tensor("input")?.dtype()?.is_float();
    let (tokens, table) = if swapped { ("weight", "input") } else { ("input", "weight") };
    let (tokens, table) = (call.indices(tokens)?, call.tensor(table)?);
    Ok(table.embedding(tokens, how_rows_are_read(call, table)?))
}

/// The arguments that `embedding` and `embedding_bag` have in common.
pub(super) fn how_rows_are_read<'g>(call: &Call<'_, 'g>, table: Expr<'g>) -> Result<EmbeddingOptions, Refusal> {
    let rows = table.shape()?.first().copied().unwrap_or(0);
    let padding = call.get("padding_idx").map(|_| call.integer("padding_idx")).transpose()?;
    Ok(EmbeddingOptions {
        padding_index: padding.map(|padding| if padding < 0 { padding + rows as i64 } else { padding } as usize),
        max_norm: call.get("max_norm").map(|_| call.number_or("max_norm", 0.0)).transpose()?,
        norm_type: call.number_or("norm_type", 2.0)?,
        scale_grad_by_freq: call.boolean_or("scale_grad_by_freq", false)?,
    })
}
