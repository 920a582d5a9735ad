//! What a kernel costs: one model for whoever must choose, be it how many threads share a kernel, how much is submitted to a
//! GPU at once, or which device runs a plan.
//!
//! A *simple operation* is an addition of two elements that stand in the cache; everything else is counted in these, as
//! measured on a processor with AVX-512. The model knows what a kernel computes and not who computes it: how many threads
//! there are, and from which cost on a second one pays, is the business of each backend. Counts saturate instead of
//! overflowing.

use arenagrad_graph::{CumulativeFunction, DType, Effort, Elementwise, Half, MatrixFunction, Shape};

use crate::attention::Attention;
use crate::kernel::{Cumulation, Kernel, Matrices, MatrixExtents, Piece, ProductExtents};
use crate::nest::{Nest, NestInstruction};
use crate::padding::Padding;
use crate::program::{Instruction, Program, ProgramInput};

/// What a kernel costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Simple operations.
    pub operations: usize,
    /// Bytes that are read if each element that is touched moves once.
    pub read: usize,
    /// Bytes that are written if each element that is touched moves once.
    pub written: usize,
}

/// Multiplications and additions of a matrix product that cost as much as one simple operation: they work on registers.
const PRODUCTS_PER_OPERATION: usize = 2;

/// What following an index costs for each element.
const INDEXING: usize = 4;

/// What bringing an update to its place among those of its index costs, beside the addition of its elements.
const SORTING: usize = 16;

impl Cost {
    /// Both costs.
    #[must_use]
    pub fn and(self, other: Cost) -> Cost {
        Cost {
            operations: self.operations.saturating_add(other.operations),
            read: self.read.saturating_add(other.read),
            written: self.written.saturating_add(other.written),
        }
    }
}

impl Kernel {
    /// What one run costs, its epilogue included.
    pub fn cost(&self) -> Cost {
        match self {
            Kernel::Elementwise(program) => elementwise(program),
            Kernel::Reduce { program, kept, epilogue, .. } => {
                let results = kept.iter().map(|axis| axis.extent).product();
                with_epilogue(reduce(program, results), epilogue.as_ref())
            }
            Kernel::Nest(kernel) => nest(kernel),
            Kernel::ArgMax { dtype, outer, extent, inner } => argmax(*dtype, [*outer, *extent, *inner]),
            Kernel::MatMul { dtype, lhs, rhs, padding, epilogue } => {
                let mut product = matmul(*dtype, lhs, rhs);
                product.read = [lhs, rhs].iter().zip(padding).fold(0, |read, (operand, padding)| {
                    let read_of = |padding: &Padding| padding.blocks.saturating_mul(padding.piece.source.distinct());
                    let elements = padding.as_deref().map_or_else(|| operand.view().distinct(), read_of);
                    read.saturating_add(elements.saturating_mul(size(*dtype)))
                });
                with_epilogue(product, epilogue.as_ref())
            }
            Kernel::Attention(kernel) => attention(kernel),
            Kernel::Gather { dtype, indices_shape, .. } => gather(*dtype, indices_shape),
            Kernel::ScatterAdd { dtype, operand_shape, updates_shape, in_place, factor, .. } => {
                scatter_add(*dtype, [operand_shape, updates_shape], *in_place, factor.is_some())
            }
            Kernel::ScatterReduce { dtype, operand_shape, updates_shape, in_place, .. } => {
                scatter_add(*dtype, [operand_shape, updates_shape], *in_place, false)
            }
            Kernel::Assemble { dtype, elements, fill, pieces } => assemble(*dtype, *elements, fill.is_some(), pieces),
            Kernel::LinearAlgebra { function, dtype, extents } => linear_algebra(*function, *dtype, *extents),
            Kernel::Cumulative { function, dtype, outer, extent, inner, .. } => {
                cumulative(*function, *dtype, [*outer, *extent, *inner])
            }
            Kernel::ArgSort { dtype, rows, extent, count, .. } => argsort(*dtype, [*rows, *extent, *count]),
            Kernel::SearchSorted { dtype, length, values, .. } => searchsorted(*dtype, *length, *values),
        }
    }
}

/// A fused elementwise kernel.
pub fn elementwise(program: &Program) -> Cost {
    let written: usize = (0..program.outputs.len()).map(|output| size(program.output_dtype(output))).sum();
    Cost {
        operations: program.elements.saturating_mul(operations_per_element(program)),
        read: read_bytes(&program.inputs),
        written: program.elements.saturating_mul(written),
    }
}

/// A reduction of a program's value to that many results, without its epilogue.
pub fn reduce(program: &Program, results: usize) -> Cost {
    Cost {
        operations: program.elements.saturating_mul(operations_per_element(program) + 1),
        read: read_bytes(&program.inputs),
        written: results.saturating_mul(size(program.output_dtype(0))),
    }
}

/// A nest: each value computed once, each element that is touched moved once.
pub fn nest(nest: &Nest) -> Cost {
    let values = nest.values.iter().map(|value| {
        let operations = match &value.instruction {
            NestInstruction::Compute(instruction) => {
                nest.extent(value.space).saturating_mul(of_instruction(instruction, value.dtype))
            }
            NestInstruction::Fold { operand, .. } => nest.extent(nest.values[*operand as usize].space),
        };
        Cost { operations, ..Cost::default() }
    });
    let outputs = nest.outputs.iter().map(|&output| {
        let value = &nest.values[output as usize];
        let elements = nest.extent(value.space);
        Cost { operations: elements, read: 0, written: elements.saturating_mul(size(value.dtype)) }
    });
    let inputs = Cost { read: read_bytes(&nest.inputs), ..Cost::default() };
    values.chain(outputs).fold(inputs, Cost::and)
}

/// An argmax over `[outer, extent, inner]`.
pub fn argmax(dtype: DType, [outer, extent, inner]: [usize; 3]) -> Cost {
    let results = outer.saturating_mul(inner);
    let elements = results.saturating_mul(extent);
    Cost {
        operations: elements.saturating_mul(2),
        read: elements.saturating_mul(size(dtype)),
        written: results.saturating_mul(size(DType::I32)),
    }
}

/// A matrix product without its epilogue. Each element of an operand counts once, however often it is repeated.
pub fn matmul(dtype: DType, lhs: &Matrices, rhs: &Matrices) -> Cost {
    let extents = ProductExtents::new(lhs, rhs);
    let read = lhs.view().distinct().saturating_add(rhs.view().distinct());
    Cost {
        operations: extents.results().saturating_mul(extents.k) / PRODUCTS_PER_OPERATION,
        read: read.saturating_mul(size(dtype)),
        written: extents.results().saturating_mul(size(dtype)),
    }
}

/// What the exponential of a score costs, with what is done to the score before.
const EXPONENTIAL: usize = 16;

/// Attention: two products for each pair of a query and a key forward, five backward.
pub fn attention(attention: &Attention) -> Cost {
    let (depth, width) = (attention.depth(), attention.width());
    let products = if attention.is_backward() { 3 * depth + 2 * width } else { depth + width };
    let operands = [Some(&attention.query), Some(&attention.key), Some(&attention.value), attention.upstream.as_ref()];
    let mask = attention.mask.as_ref().map(|mask| &mask.scores);
    let read = operands.into_iter().chain([mask]).flatten().map(|operand| operand.view().distinct());
    let written: usize = attention.results.iter().map(|&result| attention.elements(result)).sum();
    Cost {
        operations: attention.pairs().saturating_mul(products / PRODUCTS_PER_OPERATION + EXPONENTIAL),
        read: read.fold(0usize, usize::saturating_add).saturating_mul(size(attention.dtype)),
        written: written.saturating_mul(size(attention.dtype)),
    }
}

/// A gather of elements in the shape of the indices.
pub fn gather(dtype: DType, indices_shape: &Shape) -> Cost {
    let elements = indices_shape.elements();
    Cost {
        operations: elements.saturating_mul(INDEXING),
        read: elements.saturating_mul(size(dtype) + size(DType::I32)),
        written: elements.saturating_mul(size(dtype)),
    }
}

/// A scatter-add to a tensor of the first shape of updates of the second. In place the operand is not copied; with a factor the totals
/// are multiplied before they are added.
pub fn scatter_add(dtype: DType, shapes: [&Shape; 2], in_place: bool, has_factor: bool) -> Cost {
    let [places, updates] = shapes.map(Shape::elements);
    let copied = if in_place { 0 } else { places };
    let of_update = SORTING + if has_factor { 2 } else { 0 };
    Cost {
        operations: updates.saturating_mul(of_update).saturating_add(copied),
        read: updates
            .saturating_mul(2 * size(dtype) + size(DType::I32))
            .saturating_add(copied.saturating_mul(size(dtype))),
        written: updates.saturating_add(copied).saturating_mul(size(dtype)),
    }
}

/// An assembly of regions, each element of the result written once, or twice under a fill.
pub fn assemble(dtype: DType, elements: usize, filled: bool, pieces: &[Piece]) -> Cost {
    let copied = pieces.iter().fold(0usize, |sum, piece| sum.saturating_add(piece.source.elements()));
    let written = copied.saturating_add(if filled { elements } else { 0 });
    Cost { operations: written, read: copied.saturating_mul(size(dtype)), written: written.saturating_mul(size(dtype)) }
}

/// A function of each matrix of a batch: so many products of rows, of which the iterations of eigenvalues and singular values need the most.
pub fn linear_algebra(function: MatrixFunction, dtype: DType, extents: MatrixExtents) -> Cost {
    let MatrixExtents { batches, rows, columns, rhs_columns } = extents;
    let product = |a: usize, b: usize, c: usize| a.saturating_mul(b).saturating_mul(c);
    let operations = match function {
        MatrixFunction::Solve => product(rows, rows, rhs_columns).saturating_add(product(rows, rows, rows) / 3),
        MatrixFunction::SolveTriangular { .. } => product(rows, rows, rhs_columns) / 2,
        MatrixFunction::Inverse => product(rows, rows, rows),
        MatrixFunction::Determinant | MatrixFunction::SignLogDeterminant | MatrixFunction::Cholesky => {
            product(rows, rows, rows) / 3
        }
        MatrixFunction::Orthonormal => product(rows, columns, columns).saturating_mul(2),
        MatrixFunction::Eigenvectors | MatrixFunction::Cofactors | MatrixFunction::SingularVectors => {
            product(rows, columns, rows.max(columns)).saturating_mul(10)
        }
    };
    let read = product(batches, rows, columns.saturating_add(rhs_columns));
    Cost {
        operations: batches.saturating_mul(operations.saturating_add(read / batches.max(1))),
        read: read.saturating_mul(size(dtype)),
        written: batches.saturating_mul(extents.results(function)).saturating_mul(size(dtype)),
    }
}

/// A cumulative operation over `[outer, extent, inner]`: each element is gone through twice.
pub fn cumulative(function: Cumulation, dtype: DType, [outer, extent, inner]: [usize; 3]) -> Cost {
    let elements = outer.saturating_mul(extent).saturating_mul(inner);
    let (operands, of_element, result) = match function {
        Cumulation::Function(CumulativeFunction::Sum) => (1, 4, dtype),
        Cumulation::Function(CumulativeFunction::Product) => (1, 8, dtype),
        Cumulation::Function(CumulativeFunction::ArgMax | CumulativeFunction::ArgMin) => (1, 6, DType::I32),
        Cumulation::Recurrence => (2, 12, dtype),
    };
    Cost {
        operations: elements.saturating_mul(of_element),
        read: elements.saturating_mul(operands * size(dtype)),
        written: elements.saturating_mul(size(result)),
    }
}

/// A sort of rows of which the first `count` indices are wanted. What it costs to bring an element to its place grows with the digits of
/// its key and with how far memory is away; where few are wanted most elements are only looked at.
pub fn argsort(dtype: DType, [rows, extent, count]: [usize; 3]) -> Cost {
    let elements = rows.saturating_mul(extent);
    let of_element = if count <= extent / 8 { 2 } else { 2 * SORTING * size(dtype) / 4 };
    Cost {
        operations: elements.saturating_mul(of_element),
        read: elements.saturating_mul(size(dtype)),
        written: rows.saturating_mul(count).saturating_mul(size(DType::I32)),
    }
}

/// A search for values in sequences of that length, by halving.
pub fn searchsorted(dtype: DType, length: usize, values: usize) -> Cost {
    let steps = (usize::BITS - length.leading_zeros()) as usize;
    Cost {
        operations: values.saturating_mul(steps * INDEXING),
        read: values.saturating_mul((steps + 1) * size(dtype)),
        written: values.saturating_mul(size(DType::I32)),
    }
}

/// The operations of a program for each element of its domain: its instructions, and one for each output that is written.
pub fn operations_per_element(program: &Program) -> usize {
    let instructions = program.instructions.iter().zip(&program.dtypes);
    program.outputs.len() + instructions.map(|(instruction, &dtype)| of_instruction(instruction, dtype)).sum::<usize>()
}

/// The operations of an instruction for each element; `dtype` is that of its value.
pub fn of_instruction(instruction: &Instruction, dtype: DType) -> usize {
    match instruction {
        Instruction::Constant { .. } => 0,
        Instruction::Load { .. } | Instruction::Accumulator => 1,
        Instruction::Iota { .. } => 16,
        Instruction::Uniform { .. } => 32,
        Instruction::Elementwise(elementwise) => of_elementwise(elementwise, dtype),
    }
}

/// The operations of an elementwise operation for each element; `dtype` is that of its value.
pub fn of_elementwise<V>(elementwise: &Elementwise<V>, dtype: DType) -> usize {
    match elementwise {
        Elementwise::Unary { function, .. } => of_function(function.row().effort, dtype),
        Elementwise::Binary { function, .. } => of_function(function.row().effort, dtype),
        Elementwise::Compare { .. } | Elementwise::Where { .. } | Elementwise::Cast { .. } => 2,
        // Arithmetic of bits: about ten instructions for f16, half of them for bf16.
        Elementwise::RoundTo { half: Half::F16, .. } => 6,
        Elementwise::RoundTo { half: Half::Bf16, .. } => 3,
    }
}

/// The operations of a function of that much work.
fn of_function(effort: Effort, dtype: DType) -> usize {
    match effort {
        Effort::Simple => 1,
        Effort::Division => 4,
        // Vectors of f64 have half as many elements, and its polynomials twice as many terms.
        Effort::Transcendental if dtype == DType::F64 => 40,
        Effort::Transcendental => 12,
        Effort::Power => 64,
    }
}

/// A kernel and its epilogue, which reads the kernel's results where they have been computed: they are not written themselves.
fn with_epilogue(cost: Cost, epilogue: Option<&Program>) -> Cost {
    epilogue.map_or(cost, |epilogue| Cost { written: 0, ..cost }.and(elementwise(epilogue)))
}

/// The bytes that inputs hold, each element that a view touches counted once.
fn read_bytes(inputs: &[ProgramInput]) -> usize {
    inputs.iter().fold(0usize, |sum, input| sum.saturating_add(input.view.distinct().saturating_mul(size(input.dtype))))
}

/// The bytes of an element in host memory.
pub fn size(dtype: DType) -> usize {
    match dtype {
        DType::F32 | DType::I32 => 4,
        DType::F64 => 8,
        DType::Bool => 1,
    }
}

#[cfg(test)]
mod tests {
    use arenagrad_graph::{BinaryFunction, UnaryFunction};

    use super::*;
    use crate::view::{Axes, Axis, View};

    fn matrix(rows: usize, columns: usize) -> Matrices {
        Matrices::single(0, Axes::strided(rows, columns as isize), Axes::strided(columns, 1))
    }

    /// `exp(x) + y` with y broadcast, over `[rows, columns]`.
    fn program(rows: usize, columns: usize) -> Program {
        let input = |view| ProgramInput { dtype: DType::F32, view, in_place: None };
        let row = View::new([Axis { extent: rows, stride: 0 }, Axis { extent: columns, stride: 1 }], 0);
        Program {
            elements: rows * columns,
            inputs: vec![input(View::contiguous(rows * columns)), input(row)],
            instructions: vec![
                Instruction::Load { input: 0 },
                Instruction::Load { input: 1 },
                Instruction::Elementwise(Elementwise::Unary { function: UnaryFunction::Exp, operand: 0 }),
                Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs: 2, rhs: 1 }),
            ],
            dtypes: vec![DType::F32; 4],
            outputs: vec![3],
        }
    }

    #[test]
    fn functions_and_bytes_count() {
        // Two loads, an exponential, an addition, a store.
        let cost = Kernel::Elementwise(program(10, 6)).cost();
        assert_eq!(cost, Cost { operations: 60 * (2 + 12 + 1 + 1), read: 4 * (60 + 6), written: 4 * 60 });
        let lhs = Matrices { batch: Axes::strided(5, 6), ..matrix(2, 3) };
        let rhs = Matrices { batch: Axes::strided(5, 0), ..matrix(3, 4) };
        let product = matmul(DType::F64, &lhs, &rhs);
        assert_eq!(product, Cost { operations: 5 * 24 / 2, read: 8 * (5 * 6 + 12), written: 8 * 5 * 8 });
        // The epilogue reads the product where it has been computed.
        let with_epilogue = with_epilogue(product, Some(&program(5, 8)));
        assert_eq!((with_epilogue.read, with_epilogue.written), (product.read + 4 * (40 + 8), 4 * 40));
    }

    #[test]
    fn what_is_too_large_to_count_saturates() {
        let column = Matrices::single(0, Axes::strided(usize::MAX >> 1, 1), Axes::strided(3, 0));
        let large = matmul(DType::F32, &column, &matrix(3, 8));
        assert_eq!(large.operations, usize::MAX / PRODUCTS_PER_OPERATION);
        assert_eq!(large.and(large).read, usize::MAX);
    }
}
