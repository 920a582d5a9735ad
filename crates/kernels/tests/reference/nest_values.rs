//! A naive reference for nests: whole values, one after the other, folds in f64.

use arenagrad_kernels::cpu::random;
use arenagrad_kernels::{Elementwise, Instruction, Nest, NestInstruction, Space};

use super::{binary, compare, reduce, unary};

/// The outputs of a nest, given its inputs' elements.
pub(crate) fn nest_values(nest: &Nest, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for value in &nest.values {
        let extent = nest.extent(value.space);
        let dtype = value.dtype;
        // An operand's element at a position of this value.
        let at = |operand: u32, index: usize| {
            let from = nest.values[operand as usize].space;
            let place = match (from, value.space) {
                (Space::Row, Space::Element) => index / nest.columns,
                (Space::Whole, Space::Column) => 0,
                (from, to) => {
                    assert_eq!(from, to, "an operand of another space");
                    index
                }
            };
            values[operand as usize][place]
        };
        let computed: Vec<f64> = (0..extent)
            .map(|index| match value.instruction {
                NestInstruction::Fold { function, operand } => {
                    let operands = &values[operand as usize];
                    let (rows, columns) = (nest.rows, nest.columns);
                    match value.space {
                        Space::Row => reduce(function, dtype, operands[index * columns..][..columns].iter().copied()),
                        Space::Column => reduce(function, dtype, (0..rows).map(|row| operands[row * columns + index])),
                        Space::Whole => reduce(function, dtype, operands.iter().copied()),
                        Space::Element => panic!("a fold to elements"),
                    }
                }
                NestInstruction::Compute(instruction) => match instruction {
                    Instruction::Load { input } => {
                        inputs[input as usize][nest.inputs[input as usize].view.position(index)]
                    }
                    Instruction::Accumulator => panic!("an accumulator in a nest"),
                    Instruction::Constant { value } => dtype.round(value),
                    Instruction::Iota { inner, extent, first } => (((first + index) / inner) % extent) as f64,
                    Instruction::Uniform { seed, step, first } => {
                        f64::from(random::uniform(seed, at(step, index) as i32, (first + index) as u64))
                    }
                    Instruction::Elementwise(Elementwise::Unary { function, operand }) => {
                        unary(function, dtype, at(operand, index))
                    }
                    Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs }) => {
                        binary(function, dtype, at(lhs, index), at(rhs, index))
                    }
                    Instruction::Elementwise(Elementwise::Compare { function, lhs, rhs }) => {
                        compare(function, at(lhs, index), at(rhs, index))
                    }
                    Instruction::Elementwise(Elementwise::Where { condition, on_true, on_false }) => {
                        if at(condition, index) != 0.0 { at(on_true, index) } else { at(on_false, index) }
                    }
                    Instruction::Elementwise(Elementwise::Cast { operand }) => dtype.round(at(operand, index)),
                    Instruction::Elementwise(Elementwise::RoundTo { half, operand }) => {
                        dtype.round(half.round(at(operand, index)))
                    }
                },
            })
            .collect();
        values.push(computed);
    }
    nest.outputs.iter().map(|&output| values[output as usize].clone()).collect()
}
