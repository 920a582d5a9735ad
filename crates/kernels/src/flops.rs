//! How many floating-point operations a kernel is, counted as the literature does, so that rates can be compared with those of
//! processors and of other programs.
//!
//! Each addition, multiplication, division and function of a float counts one, a multiplication that is added to a sum two. Loads,
//! stores, comparisons, selections, casts and arithmetic of integers count nothing. [`crate::cost`] is another measure: what a kernel
//! costs, in additions, where an exponential counts twelve.
//!
//! Counts saturate instead of overflowing.

use arenagrad_graph::{CumulativeFunction, Elementwise};

use crate::DType;
use crate::attention::Attention;
use crate::cost;
use crate::kernel::{Cumulation, Factor, Kernel, ProductExtents};
use crate::nest::{Nest, NestInstruction};
use crate::program::{Instruction, Program};

/// The operations of a score beside its products: it is scaled, its maximum subtracted, its exponential taken and added.
const OF_SCORE: usize = 4;

/// The operations of a score's gradient beside its products, and beside those of the score, which is computed again.
const OF_SCORE_GRADIENT: usize = 3;

impl Kernel {
    /// How many floating-point operations one run is, its epilogue included.
    pub fn flops(&self) -> usize {
        match self {
            Kernel::Elementwise(program) => elementwise(program),
            Kernel::Reduce { program, epilogue, .. } => {
                let combined = if program.output_dtype(0).is_float() { program.elements } else { 0 };
                elementwise(program).saturating_add(combined).saturating_add(of_epilogue(epilogue.as_ref()))
            }
            Kernel::Nest(kernel) => nest(kernel),
            Kernel::MatMul { lhs, rhs, epilogue, .. } => {
                let extents = ProductExtents::new(lhs, rhs);
                let products = extents.results().saturating_mul(extents.k).saturating_mul(2);
                products.saturating_add(of_epilogue(epilogue.as_ref()))
            }
            Kernel::Attention(kernel) => attention(kernel),
            Kernel::ScatterAdd { dtype, updates_shape, factor, .. } if dtype.is_float() => {
                let of_update = match factor {
                    None => 1,
                    Some(Factor::Constant(_) | Factor::Input { .. }) => 3,
                };
                updates_shape.elements().saturating_mul(of_update)
            }
            Kernel::ScatterReduce { dtype, function, updates_shape, .. }
                if dtype.is_float() && function.combination().is_some() =>
            {
                updates_shape.elements()
            }
            // The cost model counts a function of matrices in multiplications that are added to a sum.
            Kernel::LinearAlgebra { function, dtype, extents } => {
                cost::linear_algebra(*function, *dtype, *extents).operations.saturating_mul(2)
            }
            Kernel::Cumulative { function, dtype, outer, extent, inner, .. } if dtype.is_float() => {
                let of_element = match function {
                    Cumulation::Function(CumulativeFunction::Sum | CumulativeFunction::Product) => 1,
                    Cumulation::Function(CumulativeFunction::ArgMax | CumulativeFunction::ArgMin) => 0,
                    Cumulation::Recurrence => 2,
                };
                outer.saturating_mul(*extent).saturating_mul(*inner).saturating_mul(of_element)
            }
            Kernel::ScatterAdd { .. }
            | Kernel::ScatterReduce { .. }
            | Kernel::Cumulative { .. }
            | Kernel::ArgMax { .. }
            | Kernel::Gather { .. }
            | Kernel::Assemble { .. }
            | Kernel::ArgSort { .. }
            | Kernel::SearchSorted { .. } => 0,
        }
    }
}

fn of_epilogue(epilogue: Option<&Program>) -> usize {
    epilogue.map_or(0, elementwise)
}

fn elementwise(program: &Program) -> usize {
    let each = program.instructions.iter().zip(&program.dtypes);
    let of_element: usize = each.map(|(instruction, &dtype)| of_instruction(instruction, dtype)).sum();
    program.elements.saturating_mul(of_element)
}

fn nest(nest: &Nest) -> usize {
    let of_value = |value: &crate::nest::NestValue| match &value.instruction {
        NestInstruction::Compute(instruction) => {
            nest.extent(value.space).saturating_mul(of_instruction(instruction, value.dtype))
        }
        NestInstruction::Fold { operand, .. } if value.dtype.is_float() => {
            nest.extent(nest.values[*operand as usize].space)
        }
        NestInstruction::Fold { .. } => 0,
    };
    nest.values.iter().map(of_value).fold(0, usize::saturating_add)
}

fn attention(attention: &Attention) -> usize {
    let (depth, width) = (attention.depth(), attention.width());
    let of_pair = match attention.is_backward() {
        false => 2 * (depth + width) + OF_SCORE,
        true => 2 * (3 * depth + 2 * width) + OF_SCORE + OF_SCORE_GRADIENT,
    };
    attention.pairs().saturating_mul(of_pair)
}

/// The operations of an instruction for each element; `dtype` is that of its value.
fn of_instruction(instruction: &Instruction, dtype: DType) -> usize {
    match instruction {
        Instruction::Elementwise(Elementwise::Unary { .. } | Elementwise::Binary { .. }) => {
            usize::from(dtype.is_float())
        }
        Instruction::Elementwise(
            Elementwise::Compare { .. }
            | Elementwise::Where { .. }
            | Elementwise::Cast { .. }
            | Elementwise::RoundTo { .. },
        )
        | Instruction::Load { .. }
        | Instruction::Accumulator
        | Instruction::Constant { .. }
        | Instruction::Iota { .. }
        | Instruction::Uniform { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::{BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction};

    use super::*;
    use crate::kernel::Matrices;
    use crate::nest::{NestValue, Space};
    use crate::program::ProgramInput;
    use crate::view::{Axes, Axis, View};

    fn load(elements: usize, dtype: DType) -> ProgramInput {
        ProgramInput { dtype, view: View::contiguous(elements), in_place: None }
    }

    /// `exp(x) + x` where `x < x`, of which two operations of five count for floats, and none for integers.
    fn program(elements: usize, dtype: DType) -> Program {
        let unary = if dtype.is_float() { UnaryFunction::Exp } else { UnaryFunction::Neg };
        Program {
            elements,
            inputs: vec![load(elements, dtype)],
            instructions: vec![
                Instruction::Load { input: 0 },
                Instruction::Elementwise(Elementwise::Unary { function: unary, operand: 0 }),
                Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs: 1, rhs: 0 }),
                Instruction::Elementwise(Elementwise::Compare { function: CompareFunction::Less, lhs: 0, rhs: 2 }),
                Instruction::Elementwise(Elementwise::Where { condition: 3, on_true: 2, on_false: 0 }),
            ],
            dtypes: vec![dtype, dtype, dtype, DType::Bool, dtype],
            outputs: vec![4],
        }
    }

    #[test]
    fn arithmetic_of_floats_counts_and_nothing_else() {
        assert_eq!(Kernel::Elementwise(program(100, DType::F32)).flops(), 200);
        assert_eq!(Kernel::Elementwise(program(100, DType::F64)).flops(), 200);
        assert_eq!(Kernel::Elementwise(program(100, DType::I32)).flops(), 0);
    }

    #[test]
    fn a_product_is_two_operations_for_each_step_of_the_depth() {
        let matrix = |rows: usize, columns: usize| Matrices {
            batch: Axes::new([Axis { extent: 3, stride: (rows * columns) as isize }]),
            ..Matrices::single(0, Axes::strided(rows, columns as isize), Axes::strided(columns, 1))
        };
        let (lhs, rhs) = (matrix(5, 7), matrix(7, 11));
        let product = |epilogue| Kernel::MatMul {
            dtype: DType::F32,
            lhs: lhs.clone(),
            rhs: rhs.clone(),
            padding: [None, None],
            epilogue,
        };
        assert_eq!(product(None).flops(), 2 * 3 * 5 * 7 * 11);
        let epilogue = program(3 * 5 * 11, DType::F32);
        assert_eq!(product(Some(epilogue)).flops(), 2 * 3 * 5 * 7 * 11 + 2 * 3 * 5 * 11);
    }

    #[test]
    fn a_fold_is_one_operation_for_each_element_that_it_takes_in() {
        let value = |space, instruction| NestValue { space, dtype: DType::F32, instruction };
        let nest = Nest {
            rows: 6,
            columns: 9,
            inputs: vec![load(54, DType::F32)],
            values: vec![
                value(Space::Element, NestInstruction::Compute(Instruction::Load { input: 0 })),
                value(Space::Row, NestInstruction::Fold { function: ReduceFunction::Sum, operand: 0 }),
                value(
                    Space::Row,
                    NestInstruction::Compute(Instruction::Elementwise(Elementwise::Unary {
                        function: UnaryFunction::Sqrt,
                        operand: 1,
                    })),
                ),
            ],
            outputs: vec![2],
        };
        assert_eq!(Kernel::Nest(nest).flops(), 54 + 6);
    }

    #[test]
    fn what_is_too_large_to_count_saturates() {
        assert_eq!(Kernel::Elementwise(program(usize::MAX, DType::F32)).flops(), usize::MAX);
    }
}
