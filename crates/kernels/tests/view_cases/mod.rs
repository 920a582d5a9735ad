//! Kernels of every variant that read through views with strides below 0 and through windows that overlap, with what they give.

#![allow(dead_code)] // Each test file uses a part.

pub(crate) mod random;

use arenagrad_graph::Shape;
use arenagrad_kernels::{
    BinaryFunction, DType, Elementwise, Instruction, Kernel, NestInstruction, NestValue, Piece, ReduceFunction, Space,
    UnaryFunction, View,
};
use arenagrad_kernels::{Nest, ProgramInput};

use super::reference::nest_values::nest_values;
use super::reference::{Builder, noise, program, reduce, view};

/// A kernel, what it reads and what it writes.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) kernel: Kernel,
    pub(crate) inputs: Vec<(DType, Vec<f64>)>,
    pub(crate) outputs: Vec<(DType, Vec<f64>)>,
}

/// Views of 48 elements: flips, slices from the end, windows with and without steps, dilated and flipped.
pub(crate) fn views() -> Vec<View> {
    vec![
        view(&[(48, -1)], 47),
        view(&[(48, -2)], 97),
        view(&[(4, 12), (12, -1)], 11),
        view(&[(4, -12), (12, 1)], 36),
        view(&[(4, -12), (3, 4), (4, -1)], 39),
        view(&[(6, 1), (8, -6)], 42),
        view(&[(12, 1), (4, 1)], 0),
        view(&[(12, 1), (4, 1)], 3),
        view(&[(12, 2), (4, 3)], 1),
        view(&[(12, -2), (4, 1)], 22),
        view(&[(12, 1), (4, -1)], 3),
        view(&[(4, 8), (3, 8), (2, 1), (2, 1)], 4),
        view(&[(2, 4), (6, 0), (4, 1)], 4),
        view(&[(3, -4), (16, 1)], 8),
        view(&[(6, -4), (4, 0), (2, 1)], 20),
    ]
}

fn elements(dtype: DType, seed: u64, count: usize) -> Vec<f64> {
    let values = noise(seed, count).into_iter();
    match dtype {
        DType::F32 | DType::F64 => values.map(|x| dtype.round(x)).collect(),
        DType::I32 => values.map(|x| (x * 100.0).round()).collect(),
        DType::Bool => values.map(|x| f64::from(u8::from(x > 0.0))).collect(),
    }
}

/// The cases of one dtype over the views of a domain of so many elements.
pub(crate) fn cases(dtype: DType, views: &[View]) -> Vec<Case> {
    views
        .iter()
        .flat_map(|view| {
            let mut cases = vec![elementwise(dtype, view), assembled(dtype, view)];
            cases.extend(reductions(dtype, view));
            if dtype != DType::Bool {
                cases.push(scattered(dtype, view));
            }
            if dtype == DType::F32 {
                cases.extend(nests(view));
                cases.push(gathered(view));
            }
            cases
        })
        .collect()
}

/// `x[view] + x[view]` where the second is read in order, or the same with `or`.
fn elementwise(dtype: DType, view: &View) -> Case {
    let mut b = Builder::new(view.elements());
    let x = b.load(dtype, view.clone());
    let y = b.contiguous(dtype);
    let function = if dtype == DType::Bool { BinaryFunction::Or } else { BinaryFunction::Add };
    let sum = b.binary(function, x, y);
    let sum = b.output(&[sum]);
    let inputs = vec![elements(dtype, 1, view.end()), elements(dtype, 2, view.elements())];
    let expected = program(&sum, &inputs, &[]).remove(0);
    Case {
        name: format!("elementwise {dtype} {view:?}"),
        kernel: Kernel::Elementwise(sum),
        inputs: inputs.into_iter().map(|values| (dtype, values)).collect(),
        outputs: vec![(dtype, expected)],
    }
}

/// The largest elements along the last axes and along the first ones.
fn reductions(dtype: DType, view: &View) -> Vec<Case> {
    let all = view.elements();
    // Truth values have no order.
    if dtype == DType::Bool {
        return Vec::new();
    }
    let values = elements(dtype, 3, view.end());
    let halves = [(all / 4, 4), (4, all / 4)].into_iter().filter(|(a, b)| a * b == all);
    halves
        .flat_map(|(outer, inner)| {
            let mut b = Builder::new(all);
            let x = b.load(dtype, view.clone());
            let program = b.output(&[x]);
            let at = |o: usize, i: usize| values[view.position(o * inner + i)];
            let function = ReduceFunction::Max;
            let of_columns: Vec<f64> =
                (0..outer).map(|o| reduce(function, dtype, (0..inner).map(|i| at(o, i)))).collect();
            let of_rows: Vec<f64> = (0..inner).map(|i| reduce(function, dtype, (0..outer).map(|o| at(o, i)))).collect();
            let axis = |extent: usize, stride: usize| super::reference::axes(&[(extent, stride as isize)]);
            let (rows, columns) = (axis(outer, inner), axis(inner, 1));
            [(rows.clone(), columns.clone(), of_columns), (columns, rows, of_rows)].map(|(kept, reduced, expected)| {
                Case {
                    name: format!("reduce {dtype} {outer}x{inner} {view:?}"),
                    kernel: Kernel::Reduce { function, program: program.clone(), kept, reduced, epilogue: None },
                    inputs: vec![(dtype, values.clone())],
                    outputs: vec![(dtype, expected)],
                }
            })
        })
        .collect()
}

/// The row's elements less their largest, and a sum over all rows, for rows that end with an axis and rows that do not.
fn nests(view: &View) -> Vec<Case> {
    let all = view.elements();
    let shapes = [(all / 4, 4), (all / 12, 12), (all / 16, 16)].into_iter().filter(|(a, b)| a * b == all);
    shapes
        .map(|(rows, columns)| {
            let value = |space, instruction| NestValue { space, dtype: DType::F32, instruction };
            let compute = NestInstruction::Compute;
            let fold = |function, operand| NestInstruction::Fold { function, operand };
            let nest = Nest {
                rows,
                columns,
                inputs: vec![ProgramInput { dtype: DType::F32, view: view.clone(), in_place: None }],
                values: vec![
                    value(Space::Element, compute(Instruction::Load { input: 0 })),
                    value(Space::Row, fold(ReduceFunction::Max, 0)),
                    value(
                        Space::Element,
                        compute(Instruction::Elementwise(Elementwise::Binary {
                            function: BinaryFunction::Sub,
                            lhs: 0,
                            rhs: 1,
                        })),
                    ),
                    value(
                        Space::Element,
                        compute(Instruction::Elementwise(Elementwise::Unary {
                            function: UnaryFunction::Abs,
                            operand: 2,
                        })),
                    ),
                    value(Space::Column, fold(ReduceFunction::Sum, 3)),
                ],
                outputs: vec![2, 4],
            };
            let values = elements(DType::F32, 4, view.end());
            let expected = nest_values(&nest, std::slice::from_ref(&values));
            Case {
                name: format!("nest {rows}x{columns} {view:?}"),
                kernel: Kernel::Nest(nest),
                inputs: vec![(DType::F32, values)],
                outputs: expected.into_iter().map(|values| (DType::F32, values)).collect(),
            }
        })
        .collect()
}

/// The view's elements in the middle of a result filled with ones, backwards in the result itself.
fn assembled(dtype: DType, view: &View) -> Case {
    let all = view.elements();
    let values = elements(dtype, 5, view.end());
    let destination = super::reference::view(&[(all, -1)], all + 1);
    let mut expected = vec![1.0; all + 4];
    (0..all).for_each(|i| expected[all + 1 - i] = values[view.position(i)]);
    Case {
        name: format!("assemble {dtype} {view:?}"),
        kernel: Kernel::Assemble {
            dtype,
            elements: all + 4,
            fill: Some(1.0),
            pieces: vec![Piece { source: view.clone(), destination }],
        },
        inputs: vec![(dtype, values)],
        outputs: vec![(dtype, expected)],
    }
}

/// Rows of a table by indices that stand as the view says.
fn gathered(indices: &View) -> Case {
    let (rows, columns) = (7, 4);
    let lines = indices.elements() / columns;
    let table = elements(DType::F32, 6, rows * columns);
    let numbers: Vec<f64> = (0..indices.end()).map(|i| ((i * 5 + 3) % rows) as f64).collect();
    let at = |i: usize| numbers[indices.position(i)] as usize * columns + i % columns;
    let expected = (0..lines * columns).map(|i| table[at(i)]).collect();
    Case {
        name: format!("gather {indices:?}"),
        kernel: Kernel::Gather {
            dtype: DType::F32,
            operand_shape: Shape::from([rows, columns]),
            indices_shape: Shape::from([lines, columns]),
            axis: 0,
            indices: indices.clone(),
        },
        inputs: vec![(DType::F32, table), (DType::I32, numbers)],
        outputs: vec![(DType::F32, expected)],
    }
}

/// Updates that stand as the view says, added to rows of a table by one index a row, the indices from the end. The sums are of
/// so few digits that they are exact in any order.
fn scattered(dtype: DType, updates: &View) -> Case {
    let (rows, columns) = (5, 4);
    let lines = updates.elements() / columns;
    let exact = |seed, count| noise(seed, count).into_iter().map(|x| (x * 64.0).round()).collect::<Vec<f64>>();
    let (table, values) = (exact(7, rows * columns), exact(8, updates.end()));
    let numbers: Vec<f64> = (0..lines).map(|i| ((i * 3 + 1) % rows) as f64).collect();
    let indices = view(&[(lines, -1), (columns, 0)], lines - 1);
    let mut expected = table.clone();
    for i in 0..lines * columns {
        expected[numbers[indices.position(i)] as usize * columns + i % columns] += values[updates.position(i)];
    }
    Case {
        name: format!("scatter_add {dtype} {updates:?}"),
        kernel: Kernel::ScatterAdd {
            dtype,
            operand_shape: Shape::from([rows, columns]),
            updates_shape: Shape::from([lines, columns]),
            axis: 0,
            indices,
            updates: updates.clone(),
            in_place: false,
            factor: None,
        },
        inputs: vec![(dtype, table), (DType::I32, numbers), (dtype, values)],
        outputs: vec![(dtype, expected)],
    }
}
