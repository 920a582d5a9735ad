//! The entry of lowering: what is refused, and which file lowers which kernel.

use crate::choice::Choice;
use crate::view::View;
use crate::wgsl::cumulative::Cumulative;
use crate::wgsl::emit::{BoundProgram, Place, Shared};
use crate::wgsl::matmul::Product;
use crate::wgsl::output::{Output, elementwise, input_places, output_places};
use crate::wgsl::positions::{Quad, quad};
use crate::wgsl::reduce::Reduction;
use crate::wgsl::scatter::Scatter;
use crate::wgsl::{AdapterProfile, LowerError, Lowered, Resource, argsort, assemble, attention, indexing, nest};
use crate::{BinaryFunction, DType, Kernel, ProductExtents, Program, ProgramInput, Stored};

/// Lowers a kernel for an adapter.
///
/// # Errors
///
/// [`LowerError::HostAlone`] for a function of matrices, [`LowerError::DoublePrecision`] if any element is f64, [`LowerError::TooManyElements`] if a buffer or a domain is past what
/// 32-bit indices reach.
pub fn lower(kernel: &Kernel, profile: &AdapterProfile) -> Result<Lowered, LowerError> {
    lower_stored(kernel, Stored::default(), profile, Choice::Usual)
}

/// [`lower`] of a kernel whose buffers hold their values in these storage types, to be computed so.
fn lower_stored(
    kernel: &Kernel,
    stored: Stored<'_>,
    profile: &AdapterProfile,
    choice: Choice,
) -> Result<Lowered, LowerError> {
    check(kernel)?;
    let mut lowered = Lowered::over(stored, choice, profile);
    match kernel {
        Kernel::Elementwise(program) => {
            let inputs = input_places(0..program.inputs.len());
            let outputs = output_places(program.outputs.len());
            elementwise(&BoundProgram { program, inputs: &inputs, outputs: &outputs }, profile, &mut lowered);
        }
        Kernel::Reduce { function, program, kept, reduced, epilogue } => {
            let results = kept.iter().map(|axis| axis.extent).product();
            let dtype = program.output_dtype(0);
            let output = Output::of_kernel(dtype, results, epilogue.as_ref(), program.inputs.len());
            let inputs = input_places(0..program.inputs.len());
            Reduction {
                function: *function,
                program: program.clone(),
                inputs,
                kept: kept.clone(),
                reduced: reduced.clone(),
            }
            .lower(output, profile, &mut lowered);
        }
        Kernel::Nest(nest) => nest::lower(nest, profile, &mut lowered),
        Kernel::ArgMax { dtype, outer, extent, inner } => {
            indexing::argmax(*dtype, [*outer, *extent, *inner], profile, &mut lowered);
        }
        Kernel::MatMul { dtype, lhs, rhs, epilogue, .. } => {
            let results = ProductExtents::new(lhs, rhs).results();
            let output = Output::of_kernel(*dtype, results, epilogue.as_ref(), 2);
            Product::new(lhs, rhs).lower(output, profile, &mut lowered);
        }
        Kernel::Attention(kernel) => attention::lower(kernel, profile, &mut lowered),
        Kernel::Gather { dtype, operand_shape, indices_shape, axis, indices } => {
            indexing::gather(*dtype, [operand_shape, indices_shape], *axis, indices, profile, &mut lowered);
        }
        Kernel::ScatterAdd { dtype, operand_shape, updates_shape, axis, indices, updates, in_place, factor } => {
            let (dtype, axis, in_place, factor) = (*dtype, *axis, *in_place, *factor);
            let (shapes, views) = ([operand_shape, updates_shape], [indices, updates]);
            let function = Some(BinaryFunction::Add);
            Scatter { dtype, function, shapes, axis, views, in_place, factor, profile }.lower(&mut lowered);
        }
        Kernel::ScatterReduce { dtype, function, operand_shape, updates_shape, axis, indices, updates, in_place } => {
            let (dtype, axis, in_place, factor) = (*dtype, *axis, *in_place, None);
            let (shapes, views) = ([operand_shape, updates_shape], [indices, updates]);
            let function = function.combination();
            Scatter { dtype, function, shapes, axis, views, in_place, factor, profile }.lower(&mut lowered);
        }
        Kernel::Assemble { dtype, elements, fill, pieces } => {
            assemble::assemble(*dtype, *elements, *fill, pieces, profile, &mut lowered);
        }
        Kernel::LinearAlgebra { .. } => unreachable!("refused before"),
        Kernel::Cumulative { function, dtype, outer, extent, inner, is_reversed } => {
            let (function, dtype, is_reversed) = (*function, *dtype, *is_reversed);
            Cumulative { function, dtype, extents: [*outer, *extent, *inner], is_reversed, profile }
                .lower(&mut lowered);
        }
        Kernel::ArgSort { dtype, rows, extent, count, is_descending } => {
            argsort::argsort(*dtype, [*rows, *extent, *count], *is_descending, profile, &mut lowered);
        }
        Kernel::SearchSorted { dtype, length, values, row, is_right } => {
            argsort::searchsorted(*dtype, [*length, *values, *row], *is_right, profile, &mut lowered);
        }
    }
    Ok(lowered)
}

/// [`lower`] of a step of a plan, whose inputs stand in `buffers` and whose buffers hold their values as `stored` says: inputs of an elementwise kernel that stand in one buffer take one
/// binding.
///
/// # Errors
///
/// Those of [`lower`].
pub fn lower_step(
    kernel: &Kernel,
    buffers: &[u32],
    stored: Stored<'_>,
    profile: &AdapterProfile,
) -> Result<Lowered, LowerError> {
    lower_step_as(kernel, buffers, stored, profile, Choice::Usual)
}

/// [`lower_step`] of a kernel that is to be computed so: one of the candidates of [`crate::choice::on_adapter`]. A choice that the kernel does not have is as the
/// usual one.
///
/// # Errors
///
/// Those of [`lower`].
pub fn lower_step_as(
    kernel: &Kernel,
    buffers: &[u32],
    stored: Stored<'_>,
    profile: &AdapterProfile,
    choice: Choice,
) -> Result<Lowered, LowerError> {
    let Kernel::Elementwise(program) = kernel else { return lower_stored(kernel, stored, profile, choice) };
    check(kernel)?;
    let mut lowered = Lowered::over(stored, choice, profile);
    let outputs = output_places(program.outputs.len());
    elementwise(
        &BoundProgram { program, inputs: &shared_places(program, buffers), outputs: &outputs },
        profile,
        &mut lowered,
    );
    Ok(lowered)
}

/// The places of a program's inputs, of which those with the same buffer share the first one's.
fn shared_places(program: &Program, buffers: &[u32]) -> Vec<Place> {
    let is_alone = |input: &ProgramInput| input.in_place.is_some();
    let same = |input: usize| {
        let inputs = program.inputs.iter().zip(buffers).enumerate();
        inputs.filter(move |(_, (other, buffer))| !is_alone(other) && **buffer == buffers[input])
    };
    (0..program.inputs.len())
        .map(|input| {
            let place = Resource::Input(input as u32);
            if buffers.len() < program.inputs.len() || is_alone(&program.inputs[input]) || same(input).count() < 2 {
                return place.into();
            }
            let first = same(input).next().map_or(input, |(first, _)| first);
            let is_vector = same(input).all(|(_, (other, _))| quad(&other.view) == Quad::Vector);
            Place::Shared(Shared { resource: Resource::Input(first as u32), input: input as u32, is_vector })
        })
        .collect()
}

/// The most elements of a buffer or domain: half of what 32-bit indices reach, so that rounding up to whole workgroups and
/// blocks cannot wrap.
const MOST_ELEMENTS: usize = i32::MAX as usize;

/// Refuses what WGSL cannot do.
fn check(kernel: &Kernel) -> Result<(), LowerError> {
    let name = kernel.name();
    let dtype = |dtype: DType| match dtype {
        DType::F64 => Err(LowerError::DoublePrecision { kernel: name }),
        DType::F32 | DType::I32 | DType::Bool => Ok(()),
    };
    let size = |elements: usize| match elements <= MOST_ELEMENTS {
        true => Ok(()),
        false => Err(LowerError::TooManyElements { kernel: name, elements, limit: MOST_ELEMENTS }),
    };
    let view = |view: &View| size(view.end()).and_then(|()| size(view.elements()));
    let program = |program: &Program| {
        program.dtypes.iter().try_for_each(|of| dtype(*of))?;
        size(program.elements)?;
        program.inputs.iter().try_for_each(|input| dtype(input.dtype).and_then(|()| view(&input.view)))
    };
    match kernel {
        Kernel::Elementwise(elementwise) => program(elementwise),
        Kernel::Reduce { program: reduced, epilogue, function: _, kept: _, reduced: _ } => {
            program(reduced)?;
            epilogue.as_ref().map_or(Ok(()), program)
        }
        Kernel::Nest(nest) => {
            nest.values.iter().try_for_each(|value| dtype(value.dtype))?;
            size(nest.rows.saturating_mul(nest.columns))?;
            nest.inputs.iter().try_for_each(|input| dtype(input.dtype).and_then(|()| view(&input.view)))
        }
        Kernel::ArgMax { dtype: of, outer, extent, inner } => {
            dtype(*of)?;
            size(outer.saturating_mul(*extent).saturating_mul(*inner))
        }
        Kernel::MatMul { dtype: of, lhs, rhs, padding, epilogue } => {
            if padding.iter().any(Option::is_some) {
                return Err(LowerError::HostAlone { kernel: name });
            }
            dtype(*of)?;
            size(ProductExtents::new(lhs, rhs).results())?;
            size(lhs.view().end())?;
            size(rhs.view().end())?;
            epilogue.as_ref().map_or(Ok(()), program)
        }
        Kernel::Attention(attention) => {
            dtype(attention.dtype)?;
            let mask = attention.mask.as_ref().map(|mask| &mask.scores);
            let operands = [&attention.query, &attention.key, &attention.value].into_iter();
            operands
                .chain(attention.upstream.as_ref())
                .chain(mask)
                .try_for_each(|operand| size(operand.view().end()))?;
            attention.results.iter().try_for_each(|&result| size(attention.elements(result)))
        }
        Kernel::Gather { dtype: of, operand_shape, indices_shape, axis: _, indices } => {
            dtype(*of)?;
            size(operand_shape.elements())?;
            size(indices_shape.elements())?;
            view(indices)
        }
        Kernel::ScatterAdd { dtype: of, operand_shape, updates_shape, indices, updates, .. }
        | Kernel::ScatterReduce { dtype: of, operand_shape, updates_shape, indices, updates, .. } => {
            dtype(*of)?;
            size(operand_shape.elements())?;
            size(updates_shape.elements())?;
            view(indices)?;
            view(updates)
        }
        Kernel::Assemble { dtype: of, elements, fill: _, pieces } => {
            dtype(*of)?;
            size(*elements)?;
            pieces.iter().try_for_each(|piece| view(&piece.source).and_then(|()| view(&piece.destination)))
        }
        Kernel::LinearAlgebra { .. } => Err(LowerError::HostAlone { kernel: name }),
        Kernel::Cumulative { function: _, dtype: of, outer, extent, inner, is_reversed: _ } => {
            dtype(*of)?;
            size(outer.saturating_mul(*extent).saturating_mul(*inner))
        }
        Kernel::ArgSort { dtype: of, rows, extent, count: _, is_descending: _ } => {
            dtype(*of)?;
            size(rows.saturating_mul(*extent))
        }
        Kernel::SearchSorted { dtype: of, length, values, row, is_right: _ } => {
            dtype(*of)?;
            size(*values)?;
            size(values.div_ceil(*row).saturating_mul(*length))
        }
    }
}
