//! Lowering of reductions: one stage where an invocation can take a result's whole extent, else chunks and further stages.

use crate::view::{Axis, View};
use crate::wgsl::emit::{BoundProgram, Place};
use crate::wgsl::functions;
use crate::wgsl::module::{Grid, Module, of_width, value_type};
use crate::wgsl::output::{Output, new_scratch};
use crate::wgsl::positions::declare_position;
use crate::wgsl::tiles::reduce_chunks;
use crate::wgsl::{AdapterClass, AdapterProfile, Lowered};
use crate::{BinaryFunction, DType, Instruction, Program, ProgramInput, ReduceFunction, cost};

/// A reduction, or one stage of it.
#[derive(Clone, Debug)]
pub(super) struct Reduction {
    pub(super) function: ReduceFunction,
    /// What is reduced.
    pub(super) program: Program,
    /// The buffers of the program's inputs.
    pub(super) inputs: Vec<Place>,
    /// The axes of the result over the program's domain.
    pub(super) kept: Vec<Axis>,
    /// The axes reduced over the program's domain.
    pub(super) reduced: Vec<Axis>,
}

/// What the four numbers of a load are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lanes {
    /// A load is one number.
    One,
    /// Four elements of one result.
    OfReduced,
    /// An element each of four results.
    OfKept,
}

impl Reduction {
    /// Appends the dispatches that reduce into `output`.
    pub(super) fn lower(mut self, output: Output, profile: &AdapterProfile, lowered: &mut Lowered) {
        loop {
            let lanes = self.lanes();
            let (kept, reduced) = match lanes {
                Lanes::One => (self.kept.clone(), self.reduced.clone()),
                Lanes::OfReduced => (self.kept.clone(), in_fours(&self.reduced)),
                Lanes::OfKept => (in_fours(&self.kept), self.reduced.clone()),
            };
            let (results, extent) = (count(&self.kept), count(&reduced));
            let strided = self.kept.last().is_some_and(|axis| axis.stride == 1);
            let chunks = reduce_chunks(profile, count(&kept), extent, strided);
            let last = chunks == 1;
            let dtype = self.program.output_dtype(0);
            let partial = if last { None } else { Some(new_scratch(results * chunks, lowered)) };
            let target = partial.map(|scratch| Output::plain(dtype, results * chunks, scratch));
            self.dispatch(lanes, [&kept, &reduced], chunks, target.as_ref().unwrap_or(&output), profile, lowered);
            let Some(scratch) = partial else { return };
            self = Reduction::of_parts(self.function, dtype, scratch, [chunks, results]);
        }
    }

    /// The reduction of `[parts, results]` to `[results]`.
    pub(super) fn of_parts(
        function: ReduceFunction,
        dtype: DType,
        source: impl Into<Place>,
        [parts, results]: [usize; 2],
    ) -> Self {
        Reduction {
            function,
            program: load(dtype, parts * results),
            inputs: vec![source.into()],
            kept: if results == 1 { Vec::new() } else { vec![Axis { extent: results, stride: 1 }] },
            reduced: vec![Axis { extent: parts, stride: results as isize }],
        }
    }

    /// Whether four neighbouring positions can be loaded at once, and what they then are. All starts are multiples of four,
    /// because all strides but the innermost one are.
    fn lanes(&self) -> Lanes {
        let ends_in_fours = |axes: &[Axis], others: &[Axis]| match axes.split_last() {
            Some((inner, outer)) => {
                inner.stride == 1
                    && inner.extent.is_multiple_of(4)
                    && outer.iter().chain(others).all(|axis| axis.stride % 4 == 0)
            }
            None => false,
        };
        if ends_in_fours(&self.reduced, &self.kept) {
            Lanes::OfReduced
        } else if ends_in_fours(&self.kept, &self.reduced) {
            Lanes::OfKept
        } else {
            Lanes::One
        }
    }

    fn dispatch(
        &self,
        lanes: Lanes,
        [kept, reduced]: [&[Axis]; 2],
        chunks: usize,
        output: &Output,
        profile: &AdapterProfile,
        lowered: &mut Lowered,
    ) {
        let width = if lanes == Lanes::One { 1 } else { 4 };
        let results = count(kept);
        let dtype = self.program.output_dtype(0);
        let mut module = lowered.module();
        let each = module.long_running_workgroup(profile);
        module.parameter("invocations", results * chunks);
        let extent = count(reduced);
        let (chunk_stride, chunk_span, step) = match profile.class {
            AdapterClass::Cpu => (extent.div_ceil(chunks), extent.div_ceil(chunks), 1),
            AdapterClass::Gpu => (1, extent, chunks),
        };
        module.parameter("extent", extent);
        module.parameter("chunks", chunks);
        module.parameter("chunk_stride", chunk_stride);
        module.parameter("chunk_span", chunk_span);
        module.parameter("step", step);
        module.parameter("results", results);
        self.declare_arithmetic(&mut module, width);
        declare_position(&mut module, "kept_position", kept, 0);
        declare_position(&mut module, "reduced_position", reduced, 0);
        // Neighbouring invocations read what is near: chunks of one result, or one chunk of several results.
        let reduced_innermost =
            reduced.last().is_some_and(|axis| axis.stride < 4 || lanes == Lanes::OfReduced && axis.stride == 4);
        let split = if chunks == 1 {
            "Part(invocation, 0u)"
        } else if reduced_innermost {
            "Part(invocation / parameters.chunks, invocation % parameters.chunks)"
        } else {
            "Part(invocation % parameters.results, invocation / parameters.results)"
        };
        module.declare("struct Part {\n    result: u32,\n    chunk: u32,\n}\n");
        module.declare(format!("fn split(invocation: u32) -> Part {{\n    return {split};\n}}\n"));
        let index = if chunks == 1 { "part.result" } else { "part.chunk * parameters.results + part.result" };
        let (index, value) = match lanes {
            Lanes::One => (index.to_owned(), "total".to_owned()),
            Lanes::OfKept => (format!("4u * ({index})"), "total".to_owned()),
            Lanes::OfReduced => {
                let combine = module.call(combination(self.function, dtype));
                let value = format!("{combine}({combine}(total.x, total.y), {combine}(total.z, total.w))");
                (index.to_owned(), value)
            }
        };
        module
            .declare(format!("fn finish(part: Part, total: Accumulator) {{\n    write_block({index}, {value});\n}}\n"));
        BoundProgram { program: &self.program, inputs: &self.inputs, outputs: &[] }.declare_load(&mut module, width);
        output.bound().declare_write(&mut module, if lanes == Lanes::OfKept { 4 } else { 1 }, Some(dtype));
        let per_load = width * (cost::operations_per_element(&self.program) + 1);
        let operations = extent.div_ceil(chunks).saturating_mul(per_load).saturating_add(width * output.operations());
        // Four loads an iteration, in runs of 64, and what is left of a run one by one.
        let loads = extent.div_ceil(chunks);
        let grid = Grid { count: results * chunks, each, operations, iterations: loads / 4 + loads / 64 + 8 };
        module.dispatch(include_str!("../../shaders/reduce.wgsl"), "reduce", grid, profile, lowered);
    }

    /// Declares Accumulator, identity and combine.
    fn declare_arithmetic(&self, module: &mut Module, width: usize) {
        let dtype = self.program.output_dtype(0);
        let accumulator = of_width(value_type(dtype), width);
        let identity = identity(module, self.function, dtype, &accumulator);
        let combine = module.call(combination(self.function, dtype));
        let value = if width == 1 {
            format!("{combine}(a, b)")
        } else {
            let lanes = ["x", "y", "z", "w"].map(|lane| format!("{combine}(a.{lane}, b.{lane})"));
            format!("Accumulator({})", lanes.join(", "))
        };
        module.declare(format!("alias Accumulator = {accumulator};"));
        module.declare(format!("fn identity() -> Accumulator {{\n    return {identity};\n}}\n"));
        module.declare(format!(
            "fn combine(a: Accumulator, b: Accumulator) -> Accumulator {{\n    return {value};\n}}\n"
        ));
    }
}

/// The expression of what combines with any number to that number, of the WGSL type `accumulator`.
pub(super) fn identity(module: &mut Module, function: ReduceFunction, dtype: DType, accumulator: &str) -> String {
    // Infinities cannot be written in WGSL, so the extremes travel as parameters.
    let mut extreme = |name: &str, dtype: &'static str, bits: u32| {
        format!("{accumulator}({})", module.word(name.to_owned(), dtype, bits))
    };
    match (function, dtype) {
        (ReduceFunction::Sum, DType::F32 | DType::F64 | DType::I32 | DType::Bool) => format!("{accumulator}()"),
        (ReduceFunction::Max, DType::F32 | DType::F64) => extreme("least_f32", "f32", f32::NEG_INFINITY.to_bits()),
        (ReduceFunction::Min, DType::F32 | DType::F64) => extreme("largest_f32", "f32", f32::INFINITY.to_bits()),
        (ReduceFunction::Max, DType::I32) => extreme("least_i32", "i32", i32::MIN as u32),
        (ReduceFunction::Min, DType::I32) => extreme("largest_i32", "i32", i32::MAX as u32),
        (ReduceFunction::Max, DType::Bool) => format!("{accumulator}(false)"),
        (ReduceFunction::Min | ReduceFunction::Product, DType::Bool) => format!("{accumulator}(true)"),
        (ReduceFunction::Product, DType::F32 | DType::F64) => format!("{accumulator}(1.0)"),
        (ReduceFunction::Product, DType::I32) => format!("{accumulator}(1)"),
    }
}

/// The function of `shaders/functions` that combines two numbers.
pub(super) fn combination(function: ReduceFunction, dtype: DType) -> &'static str {
    let combined = match (function, dtype) {
        (_, DType::F32 | DType::F64 | DType::I32) => function.combination(),
        // Of truth values the sum and the largest tell whether any holds, the smallest and the product whether all do.
        (ReduceFunction::Sum | ReduceFunction::Max, DType::Bool) => BinaryFunction::Or,
        (ReduceFunction::Min | ReduceFunction::Product, DType::Bool) => BinaryFunction::And,
    };
    functions::named(combined.name(), dtype)
}

fn count(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.extent).product()
}

/// The axes over blocks of four along the innermost one.
fn in_fours(axes: &[Axis]) -> Vec<Axis> {
    let mut axes = axes.to_vec();
    if let Some(inner) = axes.last_mut() {
        *inner = Axis { extent: inner.extent / 4, stride: 4 };
    }
    axes
}

/// The program that loads one contiguous input.
fn load(dtype: DType, elements: usize) -> Program {
    Program {
        elements,
        inputs: vec![ProgramInput { dtype, view: View::contiguous(elements), in_place: None }],
        instructions: vec![Instruction::Load { input: 0 }],
        dtypes: vec![dtype],
        outputs: vec![0],
    }
}
