//! A naive reference: programs and kernels evaluated element by element in f64, with the functions of the tables.

#![allow(dead_code)] // Each test file uses a part.

pub(crate) mod nest;
pub(crate) mod nest_values;

use arenagrad_kernels::cpu::{Buffer, Compiled, Operands, random};
use arenagrad_kernels::{
    Axis, BinaryFunction, Choice, CompareFunction, DType, Elements, Elementwise, Instruction, Kernel, Program,
    ProgramInput, ReduceFunction, StorageType, Stored, UnaryFunction, View,
};

/// The elements of a buffer as f64.
pub(crate) fn values(buffer: &Elements) -> Vec<f64> {
    buffer.to_f64_vec()
}

/// A buffer that holds these values.
pub(crate) fn buffer(storage: impl Into<StorageType>, values: &[f64]) -> Elements {
    Elements::from_f64(storage, values)
}

/// Inputs as the slots of a plan hold them.
pub(crate) fn own_buffers(inputs: &[Elements]) -> Vec<Buffer> {
    inputs.iter().cloned().map(Buffer::from).collect()
}

/// Values in `[-1, 1)` from a counter, the same in every run.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<f64> {
    (0..count as u64).map(|i| f64::from(random::uniform(seed, 7, i)) * 2.0 - 1.0).collect()
}

pub(crate) fn unary(function: UnaryFunction, dtype: DType, x: f64) -> f64 {
    function.row().of(x, dtype)
}

pub(crate) fn binary(function: BinaryFunction, dtype: DType, a: f64, b: f64) -> f64 {
    function.row().of(a, b, dtype)
}

pub(crate) fn compare(function: CompareFunction, a: f64, b: f64) -> f64 {
    f64::from(u8::from(function.holds(a, b)))
}

pub(crate) fn reduce(function: ReduceFunction, dtype: DType, values: impl Iterator<Item = f64>) -> f64 {
    let combine = |a: f64, b: f64| match function {
        ReduceFunction::Sum => a + b,
        ReduceFunction::Max | ReduceFunction::Min if a.is_nan() || b.is_nan() => f64::NAN,
        ReduceFunction::Max => a.max(b),
        ReduceFunction::Min => a.min(b),
        ReduceFunction::Product if dtype == DType::I32 => f64::from((a as i32).wrapping_mul(b as i32)),
        ReduceFunction::Product => a * b,
    };
    let value = values.reduce(combine).expect("a reduction of nothing");
    match dtype {
        DType::I32 => f64::from(value as i64 as i32),
        DType::F32 | DType::F64 | DType::Bool => dtype.round(value),
    }
}

/// The outputs of a program, given its inputs' elements and what an epilogue reads.
pub(crate) fn program(program: &Program, inputs: &[Vec<f64>], accumulators: &[f64]) -> Vec<Vec<f64>> {
    let mut outputs = vec![Vec::with_capacity(program.elements); program.outputs.len()];
    let mut values: Vec<f64> = Vec::new();
    for index in 0..program.elements {
        values.clear();
        for (instruction, &dtype) in program.instructions.iter().zip(&program.dtypes) {
            let at = |value: u32| values[value as usize];
            let value = match *instruction {
                Instruction::Load { input } => {
                    inputs[input as usize][program.inputs[input as usize].view.position(index)]
                }
                Instruction::Accumulator => accumulators[index],
                Instruction::Constant { value } => value,
                Instruction::Iota { inner, extent, first } => (((first + index) / inner) % extent) as f64,
                Instruction::Uniform { seed, step, first } => {
                    f64::from(random::uniform(seed, at(step) as i32, (first + index) as u64))
                }
                Instruction::Elementwise(Elementwise::Unary { function, operand }) => {
                    unary(function, dtype, at(operand))
                }
                Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs }) => {
                    binary(function, dtype, at(lhs), at(rhs))
                }
                Instruction::Elementwise(Elementwise::Compare { function, lhs, rhs }) => {
                    compare(function, at(lhs), at(rhs))
                }
                Instruction::Elementwise(Elementwise::Where { condition, on_true, on_false }) => {
                    if at(condition) != 0.0 { at(on_true) } else { at(on_false) }
                }
                Instruction::Elementwise(Elementwise::Cast { operand }) => dtype.round(at(operand)),
                Instruction::Elementwise(Elementwise::RoundTo { half, operand }) => {
                    dtype.round(half.round(at(operand)))
                }
            };
            values.push(value);
        }
        for (output, &value) in outputs.iter_mut().zip(&program.outputs) {
            output.push(values[value as usize]);
        }
    }
    outputs
}

/// A program under construction: each call adds an instruction and gives the number of its value.
pub(crate) struct Builder(pub(crate) Program);

impl Builder {
    pub(crate) fn new(elements: usize) -> Self {
        let (inputs, instructions, dtypes, outputs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Builder(Program { elements, inputs, instructions, dtypes, outputs })
    }

    pub(crate) fn push(&mut self, instruction: Instruction, dtype: DType) -> u32 {
        self.0.instructions.push(instruction);
        self.0.dtypes.push(dtype);
        self.0.instructions.len() as u32 - 1
    }

    pub(crate) fn load(&mut self, dtype: DType, view: View) -> u32 {
        self.0.inputs.push(ProgramInput { dtype, view, in_place: None });
        self.push(Instruction::Load { input: self.0.inputs.len() as u32 - 1 }, dtype)
    }

    pub(crate) fn contiguous(&mut self, dtype: DType) -> u32 {
        self.load(dtype, View::contiguous(self.0.elements))
    }

    pub(crate) fn constant(&mut self, dtype: DType, value: f64) -> u32 {
        self.push(Instruction::Constant { value }, dtype)
    }

    pub(crate) fn unary(&mut self, function: UnaryFunction, operand: u32) -> u32 {
        self.push(Instruction::Elementwise(Elementwise::Unary { function, operand }), self.0.dtypes[operand as usize])
    }

    pub(crate) fn binary(&mut self, function: BinaryFunction, lhs: u32, rhs: u32) -> u32 {
        self.push(Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs }), self.0.dtypes[lhs as usize])
    }

    pub(crate) fn output(mut self, values: &[u32]) -> Program {
        self.0.outputs.extend(values);
        self.0
    }
}

/// Axes from pairs of extent and stride.
pub(crate) fn axes(pairs: &[(usize, isize)]) -> Vec<Axis> {
    pairs.iter().map(|&(extent, stride)| Axis { extent, stride }).collect()
}

/// A view from pairs of extent and stride.
pub(crate) fn view(pairs: &[(usize, isize)], offset: usize) -> View {
    View::new(axes(pairs), offset)
}

/// Runs a kernel over inputs, with outputs of the given dtypes and lengths, and gives the outputs. Runs it twice, for the
/// second run must not see what the first left behind.
pub(crate) fn run(kernel: &Kernel, inputs: &[Elements], outputs: &[(DType, usize)]) -> Vec<Elements> {
    run_by(kernel, Choice::Usual, inputs, outputs)
}

/// As [`run`], computed as `choice` says.
pub(crate) fn run_by(
    kernel: &Kernel,
    choice: Choice,
    inputs: &[Elements],
    outputs: &[(DType, usize)],
) -> Vec<Elements> {
    let slots: Vec<u32> = (0..inputs.len() as u32).collect();
    let stored: Vec<StorageType> = inputs.iter().map(Elements::storage).collect();
    let mut compiled = Compiled::with_choice(kernel, Stored { inputs: &stored, outputs: &[] }, choice);
    // One element more than the kernel touches, which must stay as it is.
    let mut found: Vec<Elements> = outputs.iter().map(|&(dtype, n)| buffer(dtype, &vec![1.0; n + 1])).collect();
    let buffers = own_buffers(inputs);
    compiled.run(Operands { buffers: &buffers, slots: &slots }, &mut found);
    compiled.run(Operands { buffers: &buffers, slots: &slots }, &mut found);
    for (output, &(_, n)) in found.iter_mut().zip(outputs) {
        assert_eq!(values(output)[n], 1.0, "an element past the result was written");
        *output = output.first(n);
    }
    found
}

/// Asserts that the found values lie within `relative` of the expected, NaN and infinities alike.
pub(crate) fn assert_close(found: &[f64], expected: &[f64], relative: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let close = (f.is_nan() && e.is_nan()) || f == e || (f - e).abs() <= relative * e.abs().max(1e-30);
        assert!(close, "{what}: element {i} is {f}, expected {e}");
    }
}
