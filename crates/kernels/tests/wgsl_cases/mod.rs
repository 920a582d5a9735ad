//! Kernels of every variant, named: what the tests of the lowering go through.

pub(crate) mod attention;
pub(crate) mod nests;
mod ordered;

use arenagrad_graph::{Elementwise, Shape};
use arenagrad_kernels::{
    Axes, Axis, BinaryFunction, CompareFunction, DType, Factor, Half, Instruction, Kernel, Matrices, Piece, Program,
    ProgramInput, ReduceFunction, ScatterFunction, UnaryFunction, View,
};

pub(crate) fn axis(extent: usize, stride: usize) -> Axis {
    Axis { extent, stride: stride as isize }
}
pub(crate) fn input(view: View) -> ProgramInput {
    ProgramInput { dtype: DType::F32, view, in_place: None }
}
/// One f32 load.
pub(crate) fn load(n: usize) -> Program {
    Program {
        elements: n,
        inputs: vec![input(View::contiguous(n))],
        instructions: vec![Instruction::Load { input: 0 }],
        dtypes: vec![DType::F32],
        outputs: vec![0],
    }
}
pub(crate) fn unary(function: UnaryFunction, n: usize) -> Program {
    let mut p = load(n);
    if !function.row().dtypes.contains(&DType::F32) {
        p.inputs[0].dtype = function.row().dtypes[0];
        p.dtypes[0] = function.row().dtypes[0];
    }
    p.instructions.push(Instruction::Elementwise(Elementwise::Unary { function, operand: 0 }));
    p.dtypes.push(p.dtypes[0]);
    p.outputs = vec![1];
    p
}
pub(crate) fn binary(function: BinaryFunction, dtype: DType, n: usize) -> Program {
    let one = ProgramInput { dtype, view: View::contiguous(n), in_place: None };
    Program {
        elements: n,
        inputs: vec![one.clone(), one],
        instructions: vec![
            Instruction::Load { input: 0 },
            Instruction::Load { input: 1 },
            Instruction::Elementwise(Elementwise::Binary { function, lhs: 0, rhs: 1 }),
        ],
        dtypes: vec![dtype; 3],
        outputs: vec![2],
    }
}
pub(crate) fn compare(function: CompareFunction, dtype: DType, n: usize) -> Program {
    let mut p = binary(BinaryFunction::Add, dtype, n);
    p.instructions[2] = Instruction::Elementwise(Elementwise::Compare { function, lhs: 0, rhs: 1 });
    p.dtypes[2] = DType::Bool;
    p
}
/// relu(accumulator + bias) and its bool mask as a second output; bias is over the last `n` of `[rows, n]`.
pub(crate) fn bias_relu(rows: usize, n: usize) -> Program {
    Program {
        elements: rows * n,
        inputs: vec![input(View::new([axis(rows, 0), axis(n, 1)], 0))],
        instructions: vec![
            Instruction::Accumulator,
            Instruction::Load { input: 0 },
            Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs: 0, rhs: 1 }),
            Instruction::Elementwise(Elementwise::Unary { function: UnaryFunction::Relu, operand: 2 }),
            Instruction::Constant { value: 0.0 },
            Instruction::Elementwise(Elementwise::Compare { function: CompareFunction::Greater, lhs: 2, rhs: 4 }),
        ],
        dtypes: vec![DType::F32, DType::F32, DType::F32, DType::F32, DType::F32, DType::Bool],
        outputs: vec![3, 5],
    }
}
/// accumulator * 0.37 + what stands in the output's place.
pub(crate) fn scaled_in_place(n: usize) -> Program {
    Program {
        elements: n,
        inputs: vec![ProgramInput { in_place: Some(0), ..input(View::contiguous(n)) }],
        instructions: vec![
            Instruction::Accumulator,
            Instruction::Constant { value: 0.37 },
            Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Mul, lhs: 0, rhs: 1 }),
            Instruction::Load { input: 0 },
            Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Add, lhs: 2, rhs: 3 }),
        ],
        dtypes: vec![DType::F32; 5],
        outputs: vec![4],
    }
}

/// The shape of a matrix product, and which operands are stored transposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
    pub(crate) transpose_lhs: bool,
    pub(crate) transpose_rhs: bool,
}
/// A batch axis: its extent, and its strides in lhs and rhs.
pub(crate) type BatchAxis = (usize, usize, usize);
pub(crate) fn matmul(shape: Product, batch: Vec<BatchAxis>, epilogue: Option<Program>) -> Kernel {
    let Product { m, k, n, transpose_lhs, transpose_rhs } = shape;
    let matrix = |rows: usize, columns: usize, is_transposed: bool, stride: fn(&BatchAxis) -> usize| Matrices {
        batch: Axes::new(batch.iter().map(|of| axis(of.0, stride(of)))),
        ..part(0, rows, columns, if is_transposed { rows } else { columns }, is_transposed)
    };
    let lhs = matrix(m, k, transpose_lhs, |of| of.1);
    let rhs = matrix(k, n, transpose_rhs, |of| of.2);
    Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue }
}
/// A matrix in the rows, or the columns, of one with rows of `stride` elements.
pub(crate) fn part(offset: usize, rows: usize, columns: usize, stride: usize, is_transposed: bool) -> Matrices {
    let strides = if is_transposed { (1, stride as isize) } else { (stride as isize, 1) };
    Matrices::single(offset, Axes::strided(rows, strides.0), Axes::strided(columns, strides.1))
}

pub(crate) fn reduce(
    function: ReduceFunction,
    program: Program,
    kept: Vec<Axis>,
    reduced: Vec<Axis>,
    epilogue: Option<Program>,
) -> Kernel {
    Kernel::Reduce { function, program, kept, reduced, epilogue }
}

pub(crate) fn elementwise() -> Vec<(String, Kernel)> {
    let mut all = Vec::new();
    for n in [1, 3, 64, 1021, 4096] {
        for f in UnaryFunction::ALL {
            all.push((format!("{} {n}", f.name()), Kernel::Elementwise(unary(f, n))));
        }
        for f in BinaryFunction::ALL {
            let dtypes = f.row().dtypes;
            let dtype = if dtypes.contains(&DType::F32) { DType::F32 } else { dtypes[0] };
            all.push((format!("{} {n}", f.name()), Kernel::Elementwise(binary(f, dtype, n))));
            if matches!(
                f,
                BinaryFunction::Add
                    | BinaryFunction::Sub
                    | BinaryFunction::Mul
                    | BinaryFunction::Maximum
                    | BinaryFunction::Minimum
            ) {
                all.push((format!("{} i32 {n}", f.name()), Kernel::Elementwise(binary(f, DType::I32, n))));
            }
        }
        for f in CompareFunction::ALL {
            for d in [DType::F32, DType::I32, DType::Bool] {
                all.push((format!("{} {d} {n}", f.name()), Kernel::Elementwise(compare(f, d, n))));
            }
        }
        for f in [UnaryFunction::Neg, UnaryFunction::Abs, UnaryFunction::Sign] {
            let mut p = unary(f, n);
            p.inputs[0].dtype = DType::I32;
            p.dtypes.fill(DType::I32);
            all.push((format!("{} i32 {n}", f.name()), Kernel::Elementwise(p)));
        }
        for from in [DType::F32, DType::I32, DType::Bool] {
            for to in [DType::F32, DType::I32, DType::Bool] {
                let mut p = load(n);
                p.inputs[0].dtype = from;
                p.instructions.push(Instruction::Elementwise(Elementwise::Cast { operand: 0 }));
                p.dtypes = vec![from, to];
                p.outputs = vec![1];
                all.push((format!("cast {from} {to} {n}"), Kernel::Elementwise(p)));
            }
        }
        for half in Half::ALL {
            let mut p = load(n);
            p.instructions.push(Instruction::Elementwise(Elementwise::RoundTo { half, operand: 0 }));
            p.dtypes.push(DType::F32);
            p.outputs = vec![1];
            all.push((format!("round to {half} {n}"), Kernel::Elementwise(p)));
        }
        // iota, uniform, where, constants that WGSL cannot write, two outputs, one of them in place of an input.
        let p = Program {
            elements: n,
            inputs: vec![
                ProgramInput { in_place: Some(1), ..input(View::contiguous(n)) },
                ProgramInput { dtype: DType::I32, view: View::new([axis(n, 0)], 2), in_place: None },
                ProgramInput { dtype: DType::Bool, view: View::contiguous(n), in_place: None },
            ],
            instructions: vec![
                Instruction::Load { input: 1 },
                Instruction::Uniform { seed: 0x1234_5678_9abc_def0, step: 0, first: 0 },
                Instruction::Iota { inner: 3, extent: 7, first: 0 },
                Instruction::Load { input: 0 },
                Instruction::Load { input: 2 },
                Instruction::Elementwise(Elementwise::Where { condition: 4, on_true: 1, on_false: 3 }),
                Instruction::Constant { value: f64::NEG_INFINITY },
                Instruction::Elementwise(Elementwise::Where { condition: 4, on_true: 3, on_false: 6 }),
            ],
            dtypes: vec![
                DType::I32,
                DType::F32,
                DType::I32,
                DType::F32,
                DType::Bool,
                DType::F32,
                DType::F32,
                DType::F32,
            ],
            outputs: vec![2, 5, 7, 4, 1],
        };
        all.push((format!("mixed {n}"), Kernel::Elementwise(p)));
    }
    // Views: transposed, broadcast rows and columns, strided, offset, reversed ranks.
    let views: Vec<(usize, View)> = vec![
        (24, View::new([axis(4, 1), axis(6, 4)], 0)),
        (24, View::new([axis(4, 0), axis(6, 1)], 0)),
        (32, View::new([axis(4, 0), axis(8, 1)], 4)),
        (32, View::new([axis(4, 1), axis(8, 0)], 3)),
        (30, View::new([axis(2, 1), axis(3, 0), axis(5, 2)], 1)),
        (48, View::new([axis(2, 24), axis(3, 4), axis(8, 0)], 1)),
        (48, View::new([axis(2, 0), axis(3, 16), axis(8, 2)], 0)),
        (40, View::new([axis(40, 3)], 2)),
        (40, View::new([axis(40, 0)], 2)),
        (40, View::new([axis(40, 1)], 2)),
        (40, View::new([axis(40, 1)], 4)),
        (48, View::new([axis(2, 32), axis(3, 8), axis(8, 1)], 8)),
        (120, View::new([axis(2, 1), axis(3, 0), axis(4, 7), axis(5, 2)], 0)),
    ];
    for (n, view) in views {
        let mut p = binary(BinaryFunction::Sub, DType::F32, n);
        p.inputs[1].view = view.clone();
        all.push((format!("view {view:?}"), Kernel::Elementwise(p.clone())));
        for i in &mut p.inputs {
            i.dtype = DType::Bool;
        }
        p.dtypes.fill(DType::Bool);
        p.instructions[2] =
            Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::And, lhs: 0, rhs: 1 });
        all.push((format!("bool view {view:?}"), Kernel::Elementwise(p)));
    }
    all
}

pub(crate) fn reductions() -> Vec<(String, Kernel)> {
    let mut all = Vec::new();
    let mut push = |name: String, k: Kernel| all.push((name, k));
    for f in ReduceFunction::ALL {
        for n in [1, 2, 3, 5, 63, 64, 65, 257, 1000, 4096, 10_007, 100_003, 1_000_000] {
            push(format!("{} all {n}", f.name()), reduce(f, load(n), vec![], vec![axis(n, 1)], None));
        }
        for (r, c) in [
            (1, 7),
            (7, 1),
            (3, 5),
            (64, 10),
            (10, 64),
            (64, 784),
            (128, 4),
            (5, 20_001),
            (20_001, 5),
            (3, 100_000),
            (100_000, 4),
            (2048, 64),
        ] {
            let n = r * c;
            push(format!("{} rows {r}x{c}", f.name()), reduce(f, load(n), vec![axis(r, c)], vec![axis(c, 1)], None));
            push(format!("{} columns {r}x{c}", f.name()), reduce(f, load(n), vec![axis(c, 1)], vec![axis(r, c)], None));
        }
        let n = 6 * 10 * 8;
        push(
            format!("{} middle", f.name()),
            reduce(f, load(n), vec![axis(6, 80), axis(8, 1)], vec![axis(10, 8)], None),
        );
        push(
            format!("{} outer and inner", f.name()),
            reduce(f, load(n), vec![axis(10, 8)], vec![axis(6, 80), axis(8, 1)], None),
        );
        push(
            format!("{} two and two", f.name()),
            reduce(f, load(4 * 5 * 6 * 7), vec![axis(4, 210), axis(6, 7)], vec![axis(5, 42), axis(7, 1)], None),
        );
        for (r, c) in [(64, 10), (8, 100_000), (16, 64)] {
            let n = r * c;
            // sum of exp(x - m[row]) with an epilogue over rows, and columns in place.
            let mut p = binary(BinaryFunction::Sub, DType::F32, n);
            p.inputs[1].view = View::new([axis(r, 1), axis(c, 0)], 0);
            p.instructions
                .push(Instruction::Elementwise(Elementwise::Unary { function: UnaryFunction::Sigmoid, operand: 2 }));
            p.dtypes.push(DType::F32);
            p.outputs = vec![3];
            push(
                format!("{} prologue and epilogue {r}x{c}", f.name()),
                reduce(f, p.clone(), vec![axis(r, c)], vec![axis(c, 1)], Some(bias_relu(1, r))),
            );
            push(
                format!("{} columns, in place {r}x{c}", f.name()),
                reduce(f, p, vec![axis(c, 1)], vec![axis(r, c)], Some(scaled_in_place(c))),
            );
        }
        for (dtype, n) in [(DType::I32, 1000), (DType::I32, 99_999), (DType::Bool, 1000), (DType::Bool, 77)] {
            if dtype == DType::Bool && f == ReduceFunction::Sum {
                continue;
            }
            let mut p = load(n);
            p.inputs[0].dtype = dtype;
            p.dtypes[0] = dtype;
            push(format!("{} {dtype} {n}", f.name()), reduce(f, p, vec![], vec![axis(n, 1)], None));
        }
    }
    all
}

pub(crate) fn indexing() -> Vec<(String, Kernel)> {
    let mut all = Vec::new();
    for dtype in [DType::F32, DType::I32, DType::Bool] {
        for (outer, extent, inner) in
            [(1, 1, 1), (64, 10, 1), (3, 5, 7), (1, 100_000, 1), (2, 40_001, 3), (1, 1_000_000, 1)]
        {
            all.push((
                format!("argmax {dtype} {outer} {extent} {inner}"),
                Kernel::ArgMax { dtype, outer, extent, inner },
            ));
        }
        if dtype != DType::Bool {
            all.extend(ordered::of(dtype));
        }
        for (os, is, axis_, view) in [
            (vec![5, 4], vec![3, 4], 0, None),
            (vec![5, 4], vec![5, 2], 1, None),
            (vec![100, 16], vec![64, 16], 0, Some(View::new([axis(64, 1), axis(16, 0)], 0))),
            (vec![3, 7, 5], vec![2, 9, 5], 1, None),
            (vec![1000], vec![1], 0, None),
            (vec![64, 10], vec![64, 1], 1, Some(View::new([axis(64, 1)], 3))),
        ] {
            let (operand, indexed): (Vec<usize>, Vec<usize>) = (os, is);
            let n = indexed.iter().product();
            let indices = view.clone().unwrap_or(View::contiguous(n));
            let (operand_shape, indices_shape) = (Shape::from(operand.clone()), Shape::from(indexed.clone()));
            all.push((
                format!("gather {dtype} {operand:?} {indexed:?} {axis_}"),
                Kernel::Gather {
                    dtype,
                    operand_shape: operand_shape.clone(),
                    indices_shape: indices_shape.clone(),
                    axis: axis_,
                    indices: indices.clone(),
                },
            ));
            let functions = ScatterFunction::ALL.into_iter().filter(|function| function.takes(dtype));
            for (function, in_place) in functions.flat_map(|function| [(function, false), (function, true)]) {
                all.push((
                    format!("{} {dtype} {operand:?} {indexed:?} {axis_} {in_place}", function.name()),
                    Kernel::ScatterReduce {
                        dtype,
                        function,
                        operand_shape: operand_shape.clone(),
                        updates_shape: indices_shape.clone(),
                        axis: axis_,
                        indices: indices.clone(),
                        updates: View::contiguous(n),
                        in_place,
                    },
                ));
            }
            if dtype != DType::Bool {
                let factors = [None, Some(Factor::Constant(-2.0)), Some(Factor::Input { is_negated: true })];
                for (in_place, factor) in [false, true].into_iter().flat_map(|place| factors.map(|f| (place, f))) {
                    for updates in [View::contiguous(n), View::new([axis(n, 0)], 1)] {
                        all.push((
                            format!("scatter_add {dtype} {operand:?} {indexed:?} {axis_} {in_place} {factor:?}"),
                            Kernel::ScatterAdd {
                                dtype,
                                operand_shape: operand_shape.clone(),
                                updates_shape: indices_shape.clone(),
                                axis: axis_,
                                indices: indices.clone(),
                                updates,
                                in_place,
                                factor,
                            },
                        ));
                    }
                }
            }
        }
    }
    for (in_place, factor) in [
        (false, None),
        (true, None),
        (false, Some(Factor::Constant(f64::INFINITY))),
        (true, Some(Factor::Constant(f64::INFINITY))),
        (true, Some(Factor::Input { is_negated: false })),
    ] {
        all.push((
            format!("scatter_add long {in_place} {factor:?}"),
            Kernel::ScatterAdd {
                dtype: DType::F32,
                operand_shape: [7, 3].into(),
                updates_shape: [100_000, 3].into(),
                axis: 0,
                indices: View::new([axis(100_000, 1), axis(3, 0)], 0),
                updates: View::contiguous(300_000),
                in_place,
                factor,
            },
        ));
    }
    for (in_place, function) in [false, true].into_iter().flat_map(|p| ScatterFunction::ALL.map(|f| (p, f))) {
        all.push((
            format!("{} long {in_place}", function.name()),
            Kernel::ScatterReduce {
                dtype: DType::F32,
                function,
                operand_shape: [7, 3].into(),
                updates_shape: [100_000, 3].into(),
                axis: 0,
                indices: View::new([axis(100_000, 1), axis(3, 0)], 0),
                updates: View::contiguous(300_000),
                in_place,
            },
        ));
    }
    let piece = |n: usize, at: usize| Piece { source: View::contiguous(n), destination: View::new([axis(n, 1)], at) };
    for dtype in [DType::F32, DType::I32, DType::Bool] {
        all.push((
            format!("concat {dtype}"),
            Kernel::Assemble { dtype, elements: 100, fill: None, pieces: vec![piece(40, 0), piece(60, 40)] },
        ));
        all.push((
            format!("concat columns {dtype}"),
            Kernel::Assemble {
                dtype,
                elements: 60,
                fill: None,
                pieces: vec![
                    Piece { source: View::contiguous(20), destination: View::new([axis(10, 6), axis(2, 1)], 0) },
                    Piece {
                        source: View::new([axis(10, 1), axis(4, 10)], 0),
                        destination: View::new([axis(10, 6), axis(4, 1)], 2),
                    },
                ],
            },
        ));
        all.push((
            format!("pad {dtype}"),
            Kernel::Assemble {
                dtype,
                elements: 64,
                fill: Some(3.0),
                pieces: vec![Piece {
                    source: View::contiguous(9),
                    destination: View::new([axis(3, 16), axis(3, 2)], 9),
                }],
            },
        ));
        all.push((
            format!("concat twelve {dtype}"),
            Kernel::Assemble { dtype, elements: 60, fill: None, pieces: (0..12).map(|i| piece(5, 5 * i)).collect() },
        ));
    }
    all.push((
        "pad only".into(),
        Kernel::Assemble { dtype: DType::F32, elements: 5, fill: Some(f64::NEG_INFINITY), pieces: vec![] },
    ));
    all
}

pub(crate) fn matmuls() -> Vec<(String, Kernel)> {
    let mut all = Vec::new();
    for (m, k, n) in [
        (1, 2, 10),
        (1, 10, 2),
        (1, 1, 1),
        (2, 1, 3),
        (3, 5, 7),
        (7, 1, 1),
        (1, 7, 1),
        (4, 4, 4),
        (5, 8, 4),
        (16, 16, 16),
        (17, 19, 23),
        (64, 784, 256),
        (784, 64, 256),
        (64, 256, 10),
        (256, 64, 10),
        (64, 10, 256),
        (10, 8, 64),
        (64, 64, 64),
        (65, 65, 65),
        (68, 20, 72),
        (130, 33, 70),
        (100, 1, 100),
        (8, 300, 12),
        (1, 100, 400),
        (400, 100, 1),
        (2, 100_000, 3),
        (4, 100_000, 4),
        (1, 100_000, 8),
        (33, 100_000, 20),
    ] {
        for (transpose_lhs, transpose_rhs) in [(false, false), (true, false), (false, true), (true, true)] {
            let shape = Product { m, k, n, transpose_lhs, transpose_rhs };
            all.push((format!("matmul {shape:?}"), matmul(shape, vec![], None)));
            all.push((format!("matmul bias relu {shape:?}"), matmul(shape, vec![], Some(bias_relu(m, n)))));
            all.push((format!("matmul in place {shape:?}"), matmul(shape, vec![], Some(scaled_in_place(m * n)))));
        }
    }
    for (m, k, n) in [(3, 5, 7), (8, 12, 16), (20, 40, 68)] {
        for (transpose_lhs, transpose_rhs) in [(false, false), (true, false), (false, true), (true, true)] {
            let shape = Product { m, k, n, transpose_lhs, transpose_rhs };
            all.push((format!("batched {shape:?}"), matmul(shape, vec![(3, m * k, k * n)], None)));
            all.push((
                format!("broadcast {shape:?}"),
                matmul(shape, vec![(2, 0, k * n), (3, m * k, 0)], Some(bias_relu(6 * m, n))),
            ));
        }
    }
    // Rows and columns of larger matrices, with offsets.
    for (offset, stride) in [(4, 40), (5, 41), (3, 40)] {
        for t in [false, true] {
            for (name, m) in [("part", 20), ("part row", 1)] {
                let (lhs, rhs) = (part(offset, m, 24, stride, t), part(offset, 24, 28, stride, t));
                let kernel = Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue: None };
                all.push((format!("{name} {offset} {stride} {t}"), kernel));
            }
        }
    }
    all
}
