//! Where results go: elementwise kernels, the programs at the end of reductions and products, and scratch.
//!
//! Every file that lowers a kernel builds on this one; it knows none of them.

use crate::choice::Choice;
use crate::view::View;
use crate::wgsl::emit::{BoundProgram, Place};
use crate::wgsl::module::{Grid, WORKGROUP};
use crate::wgsl::{AdapterProfile, Lowered, Resource};
use crate::{BinaryFunction, DType, Elementwise, Instruction, Program, ProgramInput, cost};

/// Appends the dispatch of a fused elementwise kernel.
pub(super) fn elementwise(bound: &BoundProgram<'_>, profile: &AdapterProfile, lowered: &mut Lowered) {
    let width = if bound.program.elements.is_multiple_of(4) { 4 } else { 1 };
    let blocks = bound.program.elements / width;
    let mut module = lowered.module();
    module.parameter("blocks", blocks);
    module.declare(format!("const WIDTH: u32 = {width}u;"));
    bound.declare_write(&mut module, width, None);
    let invocations = match lowered.choice {
        Choice::Invocations(count) => count,
        Choice::Usual
        | Choice::Registers { .. }
        | Choice::Workgroup { .. }
        | Choice::Cooperative { .. }
        | Choice::Panels(_)
        | Choice::PackedInTurn(_)
        | Choice::Columns(_) => WORKGROUP,
    };
    module.declare(format!("const WORKGROUP_SIZE: u32 = {invocations}u;"));
    let skeleton = include_str!("../../shaders/elementwise.wgsl");
    let operations = width * cost::operations_per_element(bound.program);
    module.dispatch(
        skeleton,
        "elementwise",
        Grid { count: blocks, each: invocations, operations, iterations: 0 },
        profile,
        lowered,
    );
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
    pub(super) fn of_kernel(dtype: DType, results: usize, epilogue: Option<&Program>, own_inputs: usize) -> Self {
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
pub(super) fn input_places(numbers: std::ops::Range<usize>) -> Vec<Place> {
    numbers.map(|number| Resource::Input(number as u32).into()).collect()
}

/// The step's outputs.
pub(super) fn output_places(count: usize) -> Vec<Place> {
    (0..count).map(|number| Resource::Output(number as u32).into()).collect()
}

/// A new buffer for intermediate results, of that many words.
pub(super) fn new_scratch(words: usize, lowered: &mut Lowered) -> Resource {
    lowered.scratch.push(words);
    Resource::Scratch(lowered.scratch.len() as u32 - 1)
}
