//! Nests evaluated value by value in f64, and their construction.

use arenagrad_kernels::cpu::{Buffer, Compiled, Operands, random};
use arenagrad_kernels::{
    BinaryFunction, CompareFunction, DType, Elements, Elementwise, Instruction, Kernel, Nest, NestInstruction,
    NestValue, ProgramInput, ReduceFunction, Space, UnaryFunction, View,
};

use super::{binary, buffer, compare, unary, values};

/// The elements of every value of a nest, given its inputs' elements. A value is rounded to its dtype if `rounds`.
pub(crate) fn evaluate(nest: &Nest, inputs: &[Vec<f64>], rounds: bool) -> Vec<Vec<f64>> {
    let mut known: Vec<Vec<f64>> = Vec::new();
    for value in &nest.values {
        let extent = nest.extent(value.space);
        let dtype =
            if rounds || value.dtype == DType::I32 || value.dtype == DType::Bool { value.dtype } else { DType::F64 };
        let elements = match &value.instruction {
            NestInstruction::Fold { function, operand } => {
                fold(nest, &known[*operand as usize], nest.values[*operand as usize].space, value.space, |elements| {
                    match function {
                        ReduceFunction::Sum if dtype != DType::I32 => dtype.round(sum(&elements)),
                        ReduceFunction::Sum | ReduceFunction::Max | ReduceFunction::Min | ReduceFunction::Product => {
                            super::reduce(*function, dtype, elements.into_iter())
                        }
                    }
                })
            }
            NestInstruction::Compute(instruction) => (0..extent)
                .map(|index| {
                    let at = |operand: u32| {
                        let from = nest.values[operand as usize].space;
                        known[operand as usize][position(nest, from, value.space, index)]
                    };
                    element(instruction, dtype, index, at, nest, inputs)
                })
                .collect(),
        };
        known.push(elements);
    }
    known
}

/// Where the element of a value of space `from` stands that belongs to position `index` of space `to`.
fn position(nest: &Nest, from: Space, to: Space, index: usize) -> usize {
    assert!(from.reaches(to), "a value of {from:?} is not an operand of one of {to:?}");
    match (from, to) {
        (Space::Row, Space::Element) => index / nest.columns,
        (Space::Whole, _) => 0,
        (Space::Element | Space::Row | Space::Column, _) => index,
    }
}

fn element(
    instruction: &Instruction,
    dtype: DType,
    index: usize,
    at: impl Fn(u32) -> f64,
    nest: &Nest,
    inputs: &[Vec<f64>],
) -> f64 {
    match *instruction {
        Instruction::Load { input } => inputs[input as usize][nest.inputs[input as usize].view.position(index)],
        Instruction::Accumulator => panic!("a nest has no accumulator"),
        Instruction::Constant { value } => value,
        Instruction::Iota { inner, extent, first } => (((first + index) / inner) % extent) as f64,
        Instruction::Uniform { seed, step, first } => {
            f64::from(random::uniform(seed, at(step) as i32, (first + index) as u64))
        }
        Instruction::Elementwise(Elementwise::Unary { function, operand }) => unary(function, dtype, at(operand)),
        Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs }) => {
            binary(function, dtype, at(lhs), at(rhs))
        }
        Instruction::Elementwise(Elementwise::Compare { function, lhs, rhs }) => compare(function, at(lhs), at(rhs)),
        Instruction::Elementwise(Elementwise::Where { condition, on_true, on_false }) => {
            at(if at(condition) != 0.0 { on_true } else { on_false })
        }
        Instruction::Elementwise(Elementwise::Cast { operand }) => dtype.round(at(operand)),
        Instruction::Elementwise(Elementwise::RoundTo { half, operand }) => dtype.round(half.round(at(operand))),
    }
}

/// The sum of elements, with what the roundings of f64 take from it added at the end.
fn sum(elements: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0, 0.0);
    for &element in elements {
        let next: f64 = sum + element;
        lost += if f64::abs(sum) >= element.abs() { (sum - next) + element } else { (element - next) + sum };
        sum = next;
    }
    if sum.is_finite() { sum + lost } else { sum }
}

fn fold(nest: &Nest, operand: &[f64], from: Space, to: Space, reduce: impl Fn(Vec<f64>) -> f64) -> Vec<f64> {
    let (rows, columns) = (nest.rows, nest.columns);
    match (from, to) {
        (Space::Element, Space::Row) => operand.chunks(columns).map(|row| reduce(row.to_vec())).collect(),
        (Space::Element, Space::Column) => {
            (0..columns).map(|column| reduce((0..rows).map(|row| operand[row * columns + column]).collect())).collect()
        }
        (Space::Element | Space::Row, Space::Whole) => vec![reduce(operand.to_vec())],
        (from, to) => panic!("a fold of {from:?} does not give {to:?}"),
    }
}

/// Runs a nest, with what shares an output's buffer in that output, and gives the outputs. Runs it twice, for the second run must
/// not see what the first left behind.
pub(crate) fn run(nest: &Nest, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut compiled = Compiled::new(&Kernel::Nest(nest.clone()));
    run_compiled(&mut compiled, nest, inputs);
    run_compiled(&mut compiled, nest, inputs).iter().map(values).collect()
}

/// Runs a nest that has been made ready.
pub(crate) fn run_compiled(compiled: &mut Compiled, nest: &Nest, inputs: &[Vec<f64>]) -> Vec<Elements> {
    let slots: Vec<u32> = (0..inputs.len() as u32).collect();
    // One element more than the kernel touches, which must stay as it is.
    let mut outputs: Vec<Elements> = nest
        .outputs
        .iter()
        .map(|&output| {
            let value = &nest.values[output as usize];
            buffer(value.dtype, &vec![1.0; nest.extent(value.space) + 1])
        })
        .collect();
    let buffers = nest.inputs.iter().zip(inputs).map(|(input, elements)| match input.in_place {
        None => buffer(input.dtype, elements),
        Some(output) => {
            let with_one_more: Vec<f64> = elements.iter().copied().chain([1.0]).collect();
            outputs[output as usize] = buffer(input.dtype, &with_one_more);
            // What stands in the slot itself is never read.
            buffer(input.dtype, &[])
        }
    });
    let buffers: Vec<Buffer> = buffers.map(Buffer::from).collect();
    compiled.run(Operands { buffers: &buffers, slots: &slots }, &mut outputs);
    outputs.into_iter().map(without_last).collect()
}

fn without_last(output: Elements) -> Elements {
    let elements = values(&output);
    let (last, rest) = elements.split_last().expect("an element more");
    assert_eq!(*last, 1.0, "an element past the result was written");
    buffer(output.dtype(), rest)
}

/// A nest under construction: each call adds a value and gives its number.
pub(crate) struct NestBuilder(pub(crate) Nest);

impl NestBuilder {
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        NestBuilder(Nest { rows, columns, inputs: Vec::new(), values: Vec::new(), outputs: Vec::new() })
    }

    pub(crate) fn value(&self, number: u32) -> &NestValue {
        &self.0.values[number as usize]
    }

    fn push(&mut self, space: Space, dtype: DType, instruction: NestInstruction) -> u32 {
        self.0.values.push(NestValue { space, dtype, instruction });
        self.0.values.len() as u32 - 1
    }

    pub(crate) fn compute(&mut self, space: Space, dtype: DType, instruction: Instruction) -> u32 {
        self.push(space, dtype, NestInstruction::Compute(instruction))
    }

    pub(crate) fn load(&mut self, space: Space, dtype: DType, view: View) -> u32 {
        assert_eq!(view.elements(), self.0.extent(space));
        self.0.inputs.push(ProgramInput { dtype, view, in_place: None });
        self.compute(space, dtype, Instruction::Load { input: self.0.inputs.len() as u32 - 1 })
    }

    pub(crate) fn contiguous(&mut self, space: Space, dtype: DType) -> u32 {
        self.load(space, dtype, View::contiguous(self.0.extent(space)))
    }

    pub(crate) fn constant(&mut self, space: Space, dtype: DType, value: f64) -> u32 {
        self.compute(space, dtype, Instruction::Constant { value })
    }

    pub(crate) fn unary(&mut self, function: UnaryFunction, operand: u32) -> u32 {
        let &NestValue { space, dtype, .. } = self.value(operand);
        self.compute(space, dtype, Instruction::Elementwise(Elementwise::Unary { function, operand }))
    }

    /// The space of a value that reads two others.
    pub(crate) fn joined(&self, a: u32, b: u32) -> Space {
        let (a, b) = (self.value(a).space, self.value(b).space);
        if a.reaches(b) { b } else { a }
    }

    pub(crate) fn binary(&mut self, function: BinaryFunction, lhs: u32, rhs: u32) -> u32 {
        let (space, dtype) = (self.joined(lhs, rhs), self.value(lhs).dtype);
        self.compute(space, dtype, Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs }))
    }

    pub(crate) fn compare(&mut self, function: CompareFunction, lhs: u32, rhs: u32) -> u32 {
        let space = self.joined(lhs, rhs);
        self.compute(space, DType::Bool, Instruction::Elementwise(Elementwise::Compare { function, lhs, rhs }))
    }

    pub(crate) fn choose(&mut self, condition: u32, on_true: u32, on_false: u32) -> u32 {
        let dtype = self.value(on_true).dtype;
        let spaces = [condition, on_true, on_false].map(|operand| self.value(operand).space);
        let space = spaces.into_iter().min_by_key(|&space| self.order(space)).expect("three spaces");
        self.compute(space, dtype, Instruction::Elementwise(Elementwise::Where { condition, on_true, on_false }))
    }

    fn order(&self, space: Space) -> usize {
        match space {
            Space::Element | Space::Column => 0,
            Space::Row | Space::Whole => 1,
        }
    }

    pub(crate) fn cast(&mut self, dtype: DType, operand: u32) -> u32 {
        let space = self.value(operand).space;
        self.compute(space, dtype, Instruction::Elementwise(Elementwise::Cast { operand }))
    }

    pub(crate) fn fold(&mut self, space: Space, function: ReduceFunction, operand: u32) -> u32 {
        let dtype = self.value(operand).dtype;
        self.push(space, dtype, NestInstruction::Fold { function, operand })
    }

    pub(crate) fn outputs(mut self, outputs: &[u32]) -> Nest {
        self.0.outputs.extend(outputs);
        self.0
    }
}
