//! Padding, interpolation, sampling on grids, and bags of embeddings.

use arenagrad::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, Expr, GridMode, GridPadding, GridSample, Interpolation,
    InterpolationMode, PadMode,
};

use super::arguments::{Call, Value, held};
use super::{Operator, Refusal, Signature, indexing};

const INTERPOLATE: Signature =
    &["input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"];
const UPSAMPLE: Signature = &["input", "size", "scale_factor"];
const BAG: Signature = &[
    "input",
    "weight",
    "offsets",
    "max_norm",
    "norm_type",
    "scale_grad_by_freq",
    "mode",
    "sparse",
    "per_sample_weights",
    "include_last_offset",
    "padding_idx",
];

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    match name {
        "pad" => Some(Operator::new(&["input", "pad", "mode", "value"], pad)),
        "interpolate" => Some(Operator::new(INTERPOLATE, interpolate)),
        "upsample_nearest" => {
            Some(Operator::new(UPSAMPLE, |call| Ok(call.tensor("input")?.upsample_nearest(interpolation(call)?))))
        }
        "upsample_bilinear" => {
            Some(Operator::new(UPSAMPLE, |call| Ok(call.tensor("input")?.upsample_bilinear(interpolation(call)?))))
        }
        "pixel_shuffle" => Some(Operator::new(&["input", "upscale_factor"], |call| {
            Ok(call.tensor("input")?.pixel_shuffle(factor(call, "upscale_factor")?))
        })),
        "pixel_unshuffle" => Some(Operator::new(&["input", "downscale_factor"], |call| {
            Ok(call.tensor("input")?.pixel_unshuffle(factor(call, "downscale_factor")?))
        })),
        "channel_shuffle" => Some(Operator::new(&["input", "groups"], |call| {
            Ok(call.tensor("input")?.channel_shuffle(factor(call, "groups")?))
        })),
        "affine_grid" => Some(Operator::new(&["theta", "size", "align_corners"], affine_grid)),
        "grid_sample" => Some(Operator::new(&["input", "grid", "mode", "padding_mode", "align_corners"], grid_sample)),
        "embedding_bag" => Some(Operator::new(BAG, embedding_bag)),
        _ => None,
    }
}

fn factor(call: &Call<'_, '_>, name: &str) -> Result<usize, Refusal> {
    usize::try_from(call.integer(name)?).map_err(|_| Refusal::failed(format!("{name:?} is negative")))
}

/// Pairs `(before, after)` of the last axes, the last one first.
fn pad<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let amounts: Vec<isize> = call.integers("pad")?.into_iter().map(|amount| amount as isize).collect();
    if !amounts.len().is_multiple_of(2) {
        return Err(Refusal::failed("an odd number of amounts"));
    }
    let pairs: Vec<(isize, isize)> = amounts.chunks(2).rev().map(|pair| (pair[0], pair[1])).collect();
    let input = call.tensor("input")?;
    let mode = match call.text_or("mode", "constant")? {
        "constant" => PadMode::Constant(held(call.number_or("value", 0.0)?, input.dtype()?)),
        "reflect" => PadMode::Reflect,
        "replicate" => PadMode::Replicate,
        "circular" => PadMode::Circular,
        other => return Err(Refusal::failed(format!("padding of mode {other:?}"))),
    };
    Ok(input.pad_with(pairs, mode))
}

/// A number, or a list of numbers.
fn numbers(value: &Value<'_, '_>) -> Option<Vec<f64>> {
    match value {
        Value::Integer(integer) => Some(vec![*integer as f64]),
        Value::Float(float) => Some(vec![*float]),
        Value::List(items) => {
            let lists = items.iter().map(numbers).collect::<Option<Vec<Vec<f64>>>>()?;
            Some(lists.into_iter().flatten().collect())
        }
        Value::Tensor { values, .. } => Some(values.data.clone()),
        Value::Boolean(_) | Value::Text(_) | Value::None => None,
    }
}

/// To a size, or by factors.
fn interpolation(call: &Call<'_, '_>) -> Result<Interpolation, Refusal> {
    if call.get("size").is_some() {
        let size = call.integers("size")?.into_iter().map(usize::try_from).collect::<Result<Vec<usize>, _>>();
        let size = size.map_err(|_| Refusal::failed("a negative size"))?;
        return Ok(Interpolation::to_size(size));
    }
    let factors = call.get("scale_factor").and_then(numbers);
    Ok(Interpolation::by_factors(factors.ok_or_else(|| Refusal::failed("neither a size nor a factor"))?))
}

fn interpolate<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    if call.boolean_or("antialias", false)? {
        return Err(Refusal::unsupported("interpolation with antialiasing"));
    }
    let mode = match call.text_or("mode", "nearest")? {
        "nearest" => InterpolationMode::Nearest,
        "nearest-exact" => InterpolationMode::NearestExact,
        "linear" | "bilinear" | "trilinear" => InterpolationMode::Linear,
        "bicubic" => InterpolationMode::Cubic,
        "area" => InterpolationMode::Area,
        other => return Err(Refusal::failed(format!("interpolation of mode {other:?}"))),
    };
    let interpolation = interpolation(call)?
        .mode(mode)
        .align_corners(call.boolean_or("align_corners", false)?)
        .recompute_scale_factor(call.boolean_or("recompute_scale_factor", false)?);
    Ok(call.tensor("input")?.interpolate(interpolation))
}

fn affine_grid<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let size = call.integers("size")?.into_iter().map(usize::try_from).collect::<Result<Vec<usize>, _>>();
    let size = size.map_err(|_| Refusal::failed("a negative size"))?;
    // Batch and channels stand in front.
    let extents = size.get(2..).unwrap_or_default();
    Ok(call.float("theta")?.affine_grid(extents, call.boolean_or("align_corners", false)?))
}

fn grid_sample<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let mode = match call.text_or("mode", "bilinear")? {
        "bilinear" => GridMode::Linear,
        "nearest" => GridMode::Nearest,
        "bicubic" => GridMode::Cubic,
        other => return Err(Refusal::failed(format!("sampling of mode {other:?}"))),
    };
    let padding = match call.text_or("padding_mode", "zeros")? {
        "zeros" => GridPadding::Zeros,
        "border" => GridPadding::Border,
        "reflection" => GridPadding::Reflection,
        other => return Err(Refusal::failed(format!("padding of mode {other:?}"))),
    };
    let options = GridSample { mode, padding, align_corners: call.boolean_or("align_corners", false)? };
    Ok(call.float("input")?.grid_sample(call.float("grid")?, options))
}

/// Bags of rows of `weight` at the indices in `input`. PyTorch's own samples give the two in the other order; the dtypes tell which is
/// which.
fn embedding_bag<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let swapped = call.tensor("input")?.dtype()?.is_float();
    let (tokens, table) = if swapped { ("weight", "input") } else { ("input", "weight") };
    let tokens = call.indices(tokens)?;
    let table = call.tensor(table)?;
    let mode = match call.text_or("mode", "mean")? {
        "sum" => BagMode::Sum,
        "mean" => BagMode::Mean,
        "max" => BagMode::Max,
        other => return Err(Refusal::failed(format!("bags of mode {other:?}"))),
    };
    let offsets = match call.get("offsets") {
        None => None,
        Some(value) => {
            let list = numbers(value).ok_or_else(|| Refusal::failed("offsets that are no numbers"))?;
            Some(list.into_iter().map(|offset| offset as usize).collect())
        }
    };
    let include_last_offset = call.boolean_or("include_last_offset", false)?;
    let EmbeddingOptions { padding_index, max_norm, norm_type, scale_grad_by_freq } =
        indexing::how_rows_are_read(call, table)?;
    let bags = EmbeddingBagOptions {
        mode,
        offsets,
        include_last_offset,
        padding_index,
        max_norm,
        norm_type,
        scale_grad_by_freq,
    };
    Ok(table.embedding_bag(tokens, call.optional_float("per_sample_weights")?, bags))
}
