//! Convolutions, transposed convolutions, and sliding blocks.

use arenagrad::{Convolution, ConvolutionPadding, ConvolutionTranspose, DType, Expr, SlidingBlocks};

use super::arguments::{Call, Value};
use super::{Operator, Refusal};

pub(super) fn find(name: &str) -> Option<Operator> {
    match name {
        "unfold" => Some(Operator::new(&["input", "dimension", "size", "step"], unfold)),
        _ => None,
    }
}

pub(super) fn find_functional(name: &str) -> Option<Operator> {
    const CONVOLUTION: &[&str] = &["input", "weight", "bias", "stride", "padding", "dilation", "groups"];
    const TRANSPOSED: &[&str] =
        &["input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"];
    match name {
        "conv1d" => Some(Operator::new(CONVOLUTION, conv1d)),
        "conv2d" => Some(Operator::new(CONVOLUTION, conv2d)),
        "conv3d" => Some(Operator::new(CONVOLUTION, conv3d)),
        "conv_transpose1d" => Some(Operator::new(TRANSPOSED, conv_transpose1d)),
        "conv_transpose2d" => Some(Operator::new(TRANSPOSED, conv_transpose2d)),
        "conv_transpose3d" => Some(Operator::new(TRANSPOSED, conv_transpose3d)),
        "unfold" => Some(Operator::new(&["input", "kernel_size", "dilation", "padding", "stride"], im2col)),
        "fold" => {
            Some(Operator::new(&["input", "output_size", "kernel_size", "dilation", "padding", "stride"], col2im))
        }
        _ => None,
    }
}

/// A number for each axis: one for all of them, in a list or not, or one each.
fn per_axis<const D: usize>(call: &Call<'_, '_>, name: &str, default: Option<usize>) -> Result<[usize; D], Refusal> {
    match (call.get(name), default) {
        (None | Some(Value::None), Some(default)) => Ok([default; D]),
        _ => {
            let numbers = call.integers(name)?;
            let numbers: Vec<usize> = numbers
                .iter()
                .map(|&number| usize::try_from(number))
                .collect::<Result<_, _>>()
                .map_err(|_| Refusal::failed(format!("{name} of {numbers:?}")))?;
            match numbers[..] {
                [number] => Ok([number; D]),
                _ => <[usize; D]>::try_from(&numbers[..])
                    .map_err(|_| Refusal::failed(format!("{name} of {numbers:?} for {D} axes"))),
            }
        }
    }
}

fn groups(call: &Call<'_, '_>) -> Result<usize, Refusal> {
    usize::try_from(call.integer_or("groups", 1)?).map_err(|_| Refusal::failed("a negative number of groups"))
}

fn convolution<const D: usize>(call: &Call<'_, '_>) -> Result<Convolution<D>, Refusal> {
    let padding = match call.get("padding") {
        Some(Value::Text("same")) => ConvolutionPadding::Same,
        Some(Value::Text("valid")) => ConvolutionPadding::Valid,
        _ => per_axis(call, "padding", Some(0))?.into(),
    };
    Ok(Convolution::new()
        .stride(per_axis(call, "stride", Some(1))?)
        .padding(padding)
        .dilation(per_axis(call, "dilation", Some(1))?)
        .groups(groups(call)?))
}

fn transposed<const D: usize>(call: &Call<'_, '_>) -> Result<ConvolutionTranspose<D>, Refusal> {
    Ok(ConvolutionTranspose::new()
        .stride(per_axis(call, "stride", Some(1))?)
        .padding(per_axis(call, "padding", Some(0))?)
        .output_padding(per_axis(call, "output_padding", Some(0))?)
        .groups(groups(call)?)
        .dilation(per_axis(call, "dilation", Some(1))?))
}

macro_rules! convolutions {
    ($($method:ident by $options:ident;)*) => {$(
        fn $method<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
            call.needs_floats("input")?;
            let (input, weight, bias) = (call.float("input")?, call.float("weight")?, call.optional_float("bias")?);
            Ok(input.$method(weight, bias, &$options(call)?))
        }
    )*};
}
convolutions! {
    conv1d by convolution;
    conv2d by convolution;
    conv3d by convolution;
    conv_transpose1d by transposed;
    conv_transpose2d by transposed;
    conv_transpose3d by transposed;
}

fn blocks(call: &Call<'_, '_>) -> Result<SlidingBlocks, Refusal> {
    Ok(SlidingBlocks::new(per_axis::<2>(call, "kernel_size", None)?)
        .dilation(per_axis::<2>(call, "dilation", Some(1))?)
        .padding(per_axis::<2>(call, "padding", Some(0))?)
        .stride(per_axis::<2>(call, "stride", Some(1))?))
}

fn im2col<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let dtype = call.tensor("input")?.dtype()?;
    let columns = call.float("input")?.im2col(&blocks(call)?);
    // What is moved stays what it is.
    Ok(if dtype == DType::Bool { columns.cast(dtype) } else { columns })
}

fn col2im<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let extents = per_axis(call, "output_size", None)?;
    Ok(call.float("input")?.col2im(extents, &blocks(call)?))
}

/// PyTorch takes a scalar for a tensor of one element here.
fn unfold<'g>(call: &Call<'_, 'g>) -> Result<Expr<'g>, Refusal> {
    let input = call.tensor("input")?;
    let rank = input.shape()?.rank();
    let numbers = [call.integer("size")?, call.integer("step")?];
    let [size, step] = numbers.map(usize::try_from);
    let (Ok(size), Ok(step)) = (size, step) else {
        return Err(Refusal::failed(format!("a size and step of {numbers:?}")));
    };
    let axis = call.axis("dimension", rank.max(1))?;
    if rank == 0 {
        return Ok(if size == 0 { input.reshape([1]).slice(0, 0, 0) } else { input.reshape([1]) });
    }
    Ok(input.unfold(axis as isize, size, step))
}
