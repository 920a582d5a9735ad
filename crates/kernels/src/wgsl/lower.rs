//! The entry of lowering: what is refused, where results go, and elementwise kernels. The other kernels have files of their own.

use crate::view::View;
use crate::wgsl::emit::{BoundProgram, Place, Shared};
use crate::wgsl::matmul::Product;
use crate::wgsl::module::{Grid, WORKGROUP};
use crate::wgsl::positions::{Quad, quad};
use crate::wgsl::reduce::Reduction;
use crate::wgsl::scatter::Scatter;
use crate::wgsl::{AdapterProfile, LowerError, Lowered, Resource, assemble, indexing, nest};
use crate::{BinaryFunction, DType, Elementwise, Instruction, Kernel, Program, ProgramInput, Stored, cost};

/// Lowers a kernel for an adapter.
///
/// # Errors
///
/// [`LowerError::DoublePrecision`] if any element is f64, [`LowerError::TooManyElements`] if a buffer or a domain is past what
/// 32-bit indices reach.
pub fn lower(kernel: &Kernel, profile: &AdapterProfile) -> Result<Lowered, LowerError> {
    lower_stored(kernel, Stored::default(), profile)
}

/// [`lower`] of a kernel whose buffers hold their values in these storage types.
fn lower_stored(kernel: &Kernel, stored: Stored<'_>, profile: &AdapterProfile) -> Result<Lowered, LowerError> {
    check(kernel)?;
    let mut lowered = Lowered::over(stored);
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
        Kernel::MatMul { dtype, batch, m, k, n, lhs, rhs, epilogue } => {
            let results = batch.iter().map(|axis| axis.extent).product::<usize>() * m * n;
            let output = Output::of_kernel(*dtype, results, epilogue.as_ref(), 2);
            Product::new(batch, [*m, *k, *n], *lhs, *rhs).lower(output, profile, &mut lowered);
        }
        Kernel::Gather { dtype, operand_shape, indices_shape, axis, indices } => {
            indexing::gather(*dtype, [operand_shape, indices_shape], *axis, indices, profile, &mut lowered);
        }
        Kernel::ScatterAdd { dtype, operand_shape, updates_shape, axis, indices, updates, in_place, factor } => {
            let (dtype, axis, in_place, factor) = (*dtype, *axis, *in_place, *factor);
            let (shapes, views) = ([operand_shape, updates_shape], [indices, updates]);
            Scatter { dtype, shapes, axis, views, in_place, factor, profile }.lower(&mut lowered);
        }
        Kernel::Assemble { dtype, elements, fill, pieces } => {
            assemble::assemble(*dtype, *elements, *fill, pieces, profile, &mut lowered);
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
    let Kernel::Elementwise(program) = kernel else { return lower_stored(kernel, stored, profile) };
    check(kernel)?;
    let mut lowered = Lowered::over(stored);
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

/// Appends the dispatch of a fused elementwise kernel.
pub(super) fn elementwise(bound: &BoundProgram<'_>, profile: &AdapterProfile, lowered: &mut Lowered) {
    let width = if bound.program.elements.is_multiple_of(4) { 4 } else { 1 };
    let blocks = bound.program.elements / width;
    let mut module = lowered.module();
    module.parameter("blocks", blocks);
    module.declare(format!("const WIDTH: u32 = {width}u;"));
    bound.declare_write(&mut module, width, None);
    let skeleton = include_str!("../../shaders/elementwise.wgsl");
    let operations = width * cost::operations_per_element(bound.program);
    module.dispatch(skeleton, "elementwise", Grid { count: blocks, each: WORKGROUP, operations }, profile, lowered);
}

/// Where the results of a reduction or a matrix product go, and what is made of each before.
#[derive(Clone, Debug)]
pub(super) struct Output {
    program: Program,
    inputs: Vec<Place>,
    outputs: Vec<Place>,
    /// Whether the program does anything but store what was computed.
    has_epilogue: bool,
}

impl Output {
    /// A kernel's outputs, its epilogue's inputs after `own_inputs` of its own.
    fn of_kernel(dtype: DType, results: usize, epilogue: Option<&Program>, own_inputs: usize) -> Self {
        let Some(epilogue) = epilogue else { return Output::plain(dtype, results, Resource::Output(0)) };
        let inputs = input_places(own_inputs..own_inputs + epilogue.inputs.len());
        Output::of_epilogue(epilogue.clone(), inputs, output_places(epilogue.outputs.len()))
    }

    /// What a program whose accumulators are the results makes of them.
    pub(super) fn of_epilogue(program: Program, inputs: Vec<Place>, outputs: Vec<Place>) -> Self {
        Output { program, inputs, outputs, has_epilogue: true }
    }

    /// The results as they are.
    pub(super) fn plain(dtype: DType, results: usize, place: impl Into<Place>) -> Self {
        let program = Program {
            elements: results,
            inputs: Vec::new(),
            instructions: vec![Instruction::Accumulator],
            dtypes: vec![dtype],
            outputs: vec![0],
        };
        Output { program, inputs: Vec::new(), outputs: vec![place.into()], has_epilogue: false }
    }

    /// The f32 results added to what stands there.
    pub(super) fn accumulating(results: usize, resource: Resource) -> Self {
        let view = View::contiguous(results);
        let program = Program {
            elements: results,
            inputs: vec![ProgramInput { dtype: DType::F32, view, in_place: Some(0) }],
            instructions: vec![
                Instruction::Load { input: 0 },
                Instruction::Accumulator,
                Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs: 0, rhs: 1 }),
            ],
            dtypes: vec![DType::F32; 3],
            outputs: vec![2],
        };
        Output { program, inputs: vec![resource.into()], outputs: vec![resource.into()], has_epilogue: false }
    }

    /// What is done to each result, in simple operations.
    pub(super) fn operations(&self) -> usize {
        cost::operations_per_element(&self.program)
    }

    /// The program with its buffers.
    pub(super) fn bound(&self) -> BoundProgram<'_> {
        BoundProgram { program: &self.program, inputs: &self.inputs, outputs: &self.outputs }
    }

    /// Where `elements` results can stand until the epilogue: in the output itself if there is none, else in new scratch.
    pub(super) fn without_epilogue(&self, elements: usize, lowered: &mut Lowered) -> Resource {
        if self.has_epilogue { new_scratch(elements, lowered) } else { self.outputs[0].resource() }
    }

    /// Appends the epilogue as a dispatch of its own, over results that stand in `results`.
    pub(super) fn finish(&self, results: Resource, profile: &AdapterProfile, lowered: &mut Lowered) {
        if !self.has_epilogue {
            return;
        }
        let mut program = self.program.clone();
        let mut inputs = self.inputs.clone();
        let accumulator = Instruction::Load { input: inputs.len() as u32 };
        for instruction in
            program.instructions.iter_mut().filter(|instruction| **instruction == Instruction::Accumulator)
        {
            *instruction = accumulator;
        }
        let view = View::contiguous(program.elements);
        program.inputs.push(ProgramInput { dtype: DType::F32, view, in_place: None });
        inputs.push(results.into());
        elementwise(&BoundProgram { program: &program, inputs: &inputs, outputs: &self.outputs }, profile, lowered);
    }
}

/// The step's inputs of these numbers.
fn input_places(numbers: std::ops::Range<usize>) -> Vec<Place> {
    numbers.map(|number| Resource::Input(number as u32).into()).collect()
}

/// The step's outputs.
fn output_places(count: usize) -> Vec<Place> {
    (0..count).map(|number| Resource::Output(number as u32).into()).collect()
}

/// A new buffer for intermediate results, of that many words.
pub(super) fn new_scratch(words: usize, lowered: &mut Lowered) -> Resource {
    lowered.scratch.push(words);
    Resource::Scratch(lowered.scratch.len() as u32 - 1)
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
        Kernel::MatMul { dtype: of, batch, m, k, n, lhs, rhs, epilogue } => {
            dtype(*of)?;
            let batches = batch.iter().fold(1usize, |product, axis| product.saturating_mul(axis.extent));
            size(batches.saturating_mul(*m).saturating_mul(*n))?;
            for (matrix, rows, columns, side) in [(lhs, *m, *k, 0), (rhs, *k, *n, 1)] {
                let last = batch.iter().fold(matrix.offset, |last, axis| {
                    let stride = if side == 0 { axis.lhs_stride } else { axis.rhs_stride };
                    last.saturating_add((axis.extent - 1).saturating_mul(stride))
                });
                let last = last.saturating_add((rows - 1).saturating_mul(matrix.row_stride));
                size(last.saturating_add((columns - 1).saturating_mul(matrix.column_stride)).saturating_add(1))?;
            }
            epilogue.as_ref().map_or(Ok(()), program)
        }
        Kernel::Gather { dtype: of, operand_shape, indices_shape, axis: _, indices } => {
            dtype(*of)?;
            size(operand_shape.elements())?;
            size(indices_shape.elements())?;
            view(indices)
        }
        Kernel::ScatterAdd { dtype: of, operand_shape, updates_shape, indices, updates, .. } => {
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
    }
}
