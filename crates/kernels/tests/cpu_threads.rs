//! Results have the same bits on any number of threads, and runs allocate nothing on any of them.

mod nest_cases;
mod reference;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use arenagrad_graph::Shape;
use arenagrad_kernels::cpu::{Compiled, Operands};
use arenagrad_kernels::{
    Attention, AttentionResult, Axes, BinaryFunction, Cumulation, CumulativeFunction, DType, Elements, Factor,
    Instruction, Kernel, Matrices, Nest, Piece, ReduceFunction, ScatterFunction, UnaryFunction, View,
};
use reference::{Builder, axes, buffer, noise, own_buffers, view};

/// Counts the allocations of the test's thread and of the pools' threads. The test harness has a thread of its own, which
/// allocates when it says that a test takes long.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTED.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A kernel with the counts of its inputs' elements and its outputs.
struct Case {
    name: &'static str,
    kernel: Kernel,
    inputs: Vec<(DType, usize)>,
    outputs: Vec<(DType, usize)>,
}

fn cumulative(name: &'static str, function: Cumulation, extents: [usize; 3], is_reversed: bool) -> Case {
    let [outer, extent, inner] = extents;
    let (elements, dtype) = (outer * extent * inner, DType::F32);
    let result = match function {
        Cumulation::Function(function) if function.gives_indices() => DType::I32,
        Cumulation::Function(_) | Cumulation::Recurrence => dtype,
    };
    let operands = if function == Cumulation::Recurrence { 2 } else { 1 };
    Case {
        name,
        kernel: Kernel::Cumulative { function, dtype, outer, extent, inner, is_reversed },
        inputs: vec![(dtype, elements); operands],
        outputs: vec![(result, elements)],
    }
}

fn argsort(name: &'static str, dtype: DType, [rows, extent, count]: [usize; 3]) -> Case {
    Case {
        name,
        kernel: Kernel::ArgSort { dtype, rows, extent, count, is_descending: true },
        inputs: vec![(dtype, rows * extent)],
        outputs: vec![(DType::I32, rows * count)],
    }
}

fn elementwise(elements: usize) -> Case {
    let mut b = Builder::new(elements);
    let (x, y) = (b.contiguous(DType::F32), b.load(DType::F32, view(&[(elements, 0)], 0)));
    let tanh = b.unary(UnaryFunction::Tanh, x);
    let product = b.binary(BinaryFunction::Mul, tanh, y);
    let step = b.constant(DType::I32, 3.0);
    let random = b.push(Instruction::Uniform { seed: 5, step, first: 0 }, DType::F32);
    let sum = b.binary(BinaryFunction::Add, random, product);
    Case {
        name: "elementwise",
        kernel: Kernel::Elementwise(b.output(&[sum, tanh])),
        inputs: vec![(DType::F32, elements), (DType::F32, 1)],
        outputs: vec![(DType::F32, elements); 2],
    }
}

fn reduction(name: &'static str, elements: usize, kept: &[(usize, isize)], reduced: &[(usize, isize)]) -> Case {
    let mut b = Builder::new(elements);
    let x = b.contiguous(DType::F32);
    let exp = b.unary(UnaryFunction::Exp, x);
    let program = b.output(&[exp]);
    let results = kept.iter().map(|axis| axis.0).product();
    let mut b = Builder::new(results);
    let accumulator = b.push(Instruction::Accumulator, DType::F32);
    let log = b.unary(UnaryFunction::Log, accumulator);
    let (kept, reduced) = (axes(kept), axes(reduced));
    let epilogue = Some(b.output(&[log]));
    Case {
        name,
        kernel: Kernel::Reduce { function: ReduceFunction::Sum, program, kept, reduced, epilogue },
        inputs: vec![(DType::F32, elements)],
        outputs: vec![(DType::F32, results)],
    }
}

fn matmul(name: &'static str, batches: usize, [m, k, n]: [usize; 3], has_epilogue: bool) -> Case {
    let mut b = Builder::new(batches * m * n);
    let product = b.push(Instruction::Accumulator, DType::F32);
    let relu = b.unary(UnaryFunction::Relu, product);
    let epilogue = has_epilogue.then(|| b.output(&[relu]));
    let strided = |extent: usize, stride: usize| Axes::strided(extent, stride as isize);
    let lhs = Matrices { offset: 0, batch: strided(batches, m * k), rows: strided(m, k), columns: strided(k, 1) };
    let rhs = Matrices { offset: 0, batch: strided(batches, k * n), rows: strided(k, 1), columns: strided(n, k) };
    Case {
        name,
        kernel: Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue },
        inputs: vec![(DType::F32, batches * m * k), (DType::F32, batches * k * n)],
        outputs: vec![(DType::F32, batches * m * n)],
    }
}

fn scatter(name: &'static str, places: usize, updates: usize) -> Case {
    Case {
        name,
        kernel: Kernel::ScatterAdd {
            dtype: DType::F32,
            operand_shape: [places].into(),
            updates_shape: [updates].into(),
            axis: 0,
            indices: View::contiguous(updates),
            updates: View::contiguous(updates),
            in_place: false,
            factor: None,
        },
        inputs: vec![(DType::F32, places), (DType::I32, updates), (DType::F32, updates)],
        outputs: vec![(DType::F32, places)],
    }
}

/// Rows of that width in the place of others.
fn replace(name: &'static str, [rows, updates]: [usize; 2], width: usize) -> Case {
    Case {
        name,
        kernel: Kernel::ScatterReduce {
            dtype: DType::F32,
            function: ScatterFunction::Replace,
            operand_shape: [rows, width].into(),
            updates_shape: [updates, width].into(),
            axis: 0,
            indices: view(&[(updates, 1), (width, 0)], 0),
            updates: View::contiguous(updates * width),
            in_place: false,
        },
        inputs: vec![(DType::F32, rows * width), (DType::I32, updates), (DType::F32, updates * width)],
        outputs: vec![(DType::F32, rows * width)],
    }
}

fn nest(name: &'static str, nest: Nest) -> Case {
    let inputs = nest.inputs.iter().map(|input| (input.dtype, input.view.end())).collect();
    let outputs = nest.outputs.iter().map(|&output| {
        let value = &nest.values[output as usize];
        (value.dtype, nest.extent(value.space))
    });
    let outputs = outputs.collect();
    Case { name, kernel: Kernel::Nest(nest), inputs, outputs }
}

fn cases() -> Vec<Case> {
    let shape = |rows| Shape::from([rows, 300]);
    vec![
        elementwise(10),
        elementwise(1_000_003),
        reduction("reduce all", 2_000_003, &[], &[(2_000_003, 1)]),
        reduction("reduce rows", 1_000_000, &[(1000, 1000)], &[(1000, 1)]),
        reduction("reduce columns", 1_000_000, &[(5000, 1)], &[(200, 5000)]),
        reduction("reduce few columns", 1_000_000, &[(10, 1)], &[(100_000, 10)]),
        reduction("reduce outer and inner", 1_000_000, &[(10, 1000)], &[(100, 10_000), (1000, 1)]),
        reduction("reduce little", 40, &[(4, 10)], &[(10, 1)]),
        nest("nest of a few rows", nest_cases::softmax(3, 10)),
        nest("nest of short rows", nest_cases::cross_entropy(5000, 10)),
        nest("nest of rows", nest_cases::softmax(60, 1000)),
        nest("nest of long rows", nest_cases::softmax(3, 20_000)),
        nest("nest with folds of columns", nest_cases::layer_norm_backward(100, 600)),
        nest("nest with folds of few columns", nest_cases::layer_norm_backward(4000, 12)),
        nest("flat nest", nest_cases::flat(100_003)),
        matmul("matmul of a row", 1, [1, 2, 10], true),
        matmul("matmul", 1, [200, 300, 150], false),
        matmul("matmul with epilogue", 1, [300, 70, 300], true),
        matmul("matmul of batches", 50, [20, 30, 25], true),
        matmul("matmul of a few rows and batches", 3, [16, 300, 500], true),
        matmul("matmul over a long depth", 1, [20, 20_000, 30], true),
        matmul("matmul of a row over a long depth", 1, [1, 40_000, 30], false),
        Case {
            name: "argmax",
            kernel: Kernel::ArgMax { dtype: DType::F32, outer: 700, extent: 900, inner: 1 },
            inputs: vec![(DType::F32, 630_000)],
            outputs: vec![(DType::I32, 700)],
        },
        cumulative("cumsum of one axis", Cumulation::Function(CumulativeFunction::Sum), [1, 1_000_003, 1], false),
        cumulative("cumsum of columns", Cumulation::Function(CumulativeFunction::Sum), [1, 5000, 70], true),
        cumulative("cumsum of rows", Cumulation::Function(CumulativeFunction::Sum), [400, 1000, 1], false),
        cumulative("cumsum of short rows", Cumulation::Function(CumulativeFunction::Sum), [200_003, 3, 1], false),
        cumulative("cumprod of short rows", Cumulation::Function(CumulativeFunction::Product), [50_001, 8, 1], true),
        cumulative("cumprod of columns", Cumulation::Function(CumulativeFunction::Product), [1, 60_000, 9], false),
        cumulative("cumprod", Cumulation::Function(CumulativeFunction::Product), [3, 100_000, 1], true),
        cumulative("cumargmax", Cumulation::Function(CumulativeFunction::ArgMax), [1, 300_001, 1], false),
        cumulative("linear_recurrence", Cumulation::Recurrence, [2, 70_000, 3], false),
        argsort("argsort of a long row", DType::F32, [1, 600_001, 600_001]),
        argsort("argsort of long rows in f64", DType::F64, [2, 100_001, 100_001]),
        argsort("argsort of short rows", DType::I32, [3000, 100, 100]),
        argsort("few of a long row", DType::F32, [1, 1_000_000, 65]),
        argsort("few of rows", DType::F32, [70, 5000, 8]),
        Case {
            name: "searchsorted",
            kernel: Kernel::SearchSorted {
                dtype: DType::F32,
                length: 1000,
                values: 300_000,
                row: 300_000,
                is_right: false,
            },
            inputs: vec![(DType::F32, 1000), (DType::F32, 300_000)],
            outputs: vec![(DType::I32, 300_000)],
        },
        Case {
            name: "gather",
            kernel: Kernel::Gather {
                dtype: DType::F32,
                operand_shape: shape(100),
                indices_shape: shape(1000),
                axis: 0,
                indices: View::contiguous(300_000),
            },
            inputs: vec![(DType::F32, 30_000), (DType::I32, 300_000)],
            outputs: vec![(DType::F32, 300_000)],
        },
        Case {
            name: "scatter_add of few updates to each line",
            kernel: Kernel::ScatterAdd {
                dtype: DType::F32,
                operand_shape: [500, 400].into(),
                updates_shape: [500, 100].into(),
                axis: 1,
                indices: View::contiguous(50_000),
                updates: View::contiguous(50_000),
                in_place: false,
                factor: None,
            },
            inputs: vec![(DType::F32, 200_000), (DType::I32, 50_000), (DType::F32, 50_000)],
            outputs: vec![(DType::F32, 200_000)],
        },
        Case {
            name: "scatter_max of elements",
            kernel: Kernel::ScatterReduce {
                dtype: DType::F32,
                function: ScatterFunction::Max,
                operand_shape: [70, 200].into(),
                updates_shape: [70, 3000].into(),
                axis: 1,
                indices: View::contiguous(210_000),
                updates: View::contiguous(210_000),
                in_place: false,
            },
            inputs: vec![(DType::F32, 14_000), (DType::I32, 210_000), (DType::F32, 210_000)],
            outputs: vec![(DType::F32, 14_000)],
        },
        Case {
            name: "scatter_add",
            kernel: Kernel::ScatterAdd {
                dtype: DType::F32,
                operand_shape: shape(100),
                updates_shape: shape(1000),
                axis: 0,
                indices: view(&[(1000, 1), (300, 0)], 0),
                updates: View::contiguous(300_000),
                in_place: false,
                factor: None,
            },
            inputs: vec![(DType::F32, 30_000), (DType::I32, 1000), (DType::F32, 300_000)],
            outputs: vec![(DType::F32, 30_000)],
        },
        replace("scatter_replace of rows", [2000, 1500], 300),
        replace("scatter_replace of few rows", [200_000, 90], 7),
        replace("scatter_replace of elements", [1000, 700_000], 1),
        Case {
            name: "scatter_add with a factor",
            kernel: Kernel::ScatterAdd {
                dtype: DType::F32,
                operand_shape: shape(2000),
                updates_shape: shape(1000),
                axis: 0,
                indices: view(&[(1000, 1), (300, 0)], 0),
                updates: View::contiguous(300_000),
                in_place: false,
                factor: Some(Factor::Input { is_negated: true }),
            },
            inputs: vec![(DType::F32, 600_000), (DType::I32, 1000), (DType::F32, 300_000), (DType::F32, 1)],
            outputs: vec![(DType::F32, 600_000)],
        },
        scatter("scatter_add to few places", 90, 400_000),
        scatter("scatter_add to one place", 1, 300_000),
        scatter("scatter_add to many places", 300_000, 60_000),
        attention(
            "attention of several heads",
            [6, 200, 300, 40, 24],
            &[AttentionResult::Output, AttentionResult::SoftmaxStatistics],
        ),
        attention("gradients of attention of several heads", [12, 130, 150, 40, 24], &GRADIENTS),
        attention("gradients of attention of a head", [1, 500, 600, 33, 20], &GRADIENTS),
        Case {
            name: "assemble",
            kernel: Kernel::Assemble {
                dtype: DType::F32,
                elements: 3000,
                fill: Some(2.0),
                pieces: vec![Piece { source: View::contiguous(1000), destination: view(&[(1000, 2)], 1) }],
            },
            inputs: vec![(DType::F32, 1000)],
            outputs: vec![(DType::F32, 3000)],
        },
    ]
}

const GRADIENTS: [AttentionResult; 3] =
    [AttentionResult::QueryGradient, AttentionResult::KeyGradient, AttentionResult::ValueGradient];

/// Contiguous causal attention, each of whose groups has two heads or one.
fn attention(
    name: &'static str,
    [heads, positions, keys, depth, width]: [usize; 5],
    results: &[AttentionResult],
) -> Case {
    let matrices = |[batch, rows, columns]: [usize; 3]| Matrices {
        offset: 0,
        batch: Axes::strided(batch, (rows * columns) as isize),
        rows: Axes::strided(rows, columns as isize),
        columns: Axes::strided(columns, 1),
    };
    let groups = heads.div_ceil(2);
    let is_backward = results[0].is_gradient();
    let (query, key, value) = ([heads, positions, depth], [groups, keys, depth], [groups, keys, width]);
    let upstream = [heads, positions, width];
    let (pairs, rows) = ([heads, positions, 2], [heads, positions]);
    let kernel = Attention {
        dtype: DType::F32,
        query: matrices(query),
        key: matrices(key),
        value: matrices(value),
        mask: None,
        upstream: is_backward.then(|| matrices(upstream)),
        is_causal: true,
        scale: 0.1,
        results: results.to_vec(),
    };
    let further = if is_backward { vec![upstream.to_vec(), pairs.to_vec(), rows.to_vec()] } else { Vec::new() };
    let inputs = [query, key, value].map(|shape| shape.to_vec()).into_iter().chain(further);
    Case {
        name,
        inputs: inputs.map(|shape| (DType::F32, shape.iter().product())).collect(),
        outputs: results.iter().map(|&result| (DType::F32, kernel.elements(result))).collect(),
        kernel: Kernel::Attention(Box::new(kernel)),
    }
}

impl Case {
    fn inputs(&self) -> Vec<Elements> {
        let of = |dtype: DType, count| {
            noise(1, count).into_iter().map(move |x| if dtype == DType::I32 { x * 90.0 } else { x })
        };
        self.inputs.iter().map(|&(dtype, count)| buffer(dtype, &of(dtype, count).collect::<Vec<f64>>())).collect()
    }

    /// The outputs' bits, and the allocations of `runs` runs after the first ones.
    fn run(&self, runs: usize) -> (Vec<Vec<u64>>, u64) {
        let inputs = own_buffers(&self.inputs());
        let slots: Vec<u32> = (0..inputs.len() as u32).collect();
        let mut outputs: Vec<Elements> =
            self.outputs.iter().map(|&(dtype, count)| Elements::zeros(dtype, count).unwrap()).collect();
        let mut compiled = Compiled::new(&self.kernel);
        let operands = Operands { buffers: &inputs, slots: &slots };
        // The pool's threads allocate their own bookkeeping when they first share work.
        for _ in 0..20 {
            compiled.run(operands, &mut outputs);
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..runs {
            compiled.run(operands, &mut outputs);
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let bits =
            outputs.iter().map(|output| reference::values(output).iter().map(|x| x.to_bits()).collect()).collect();
        (bits, allocations)
    }
}

/// Waits until every thread of a pool has taken work. A thread allocates its bookkeeping when it first looks for some, which on
/// a busy machine may be long after the pool was made.
fn start_all_threads(pool: &rayon::ThreadPool) {
    let threads = pool.current_num_threads();
    let all_have_one = std::sync::Barrier::new(threads);
    let wait = |_: &rayon::Scope<'_>| {
        all_have_one.wait();
    };
    pool.scope(|scope| (0..threads).for_each(|_| scope.spawn(wait)));
}

// One test, for the count of allocations is that of all its threads together.
#[test]
fn same_bits_and_no_allocations_on_one_and_two_threads() {
    IS_COUNTED.set(true);
    let counted =
        |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(|_| IS_COUNTED.set(true));
    let pool = |threads| counted(threads).build().expect("a pool");
    let pools = [pool(1), pool(2), pool(3)];
    pools.iter().for_each(start_all_threads);
    for case in cases() {
        let [one, two, three] = [&pools[0], &pools[1], &pools[2]].map(|pool| pool.install(|| case.run(50)));
        assert!(one.0 == two.0 && one.0 == three.0, "{}: bits differ with the number of threads", case.name);
        for (threads, found) in [(1, one.1), (2, two.1), (3, three.1)] {
            assert_eq!(found, 0, "{} allocates on {threads} threads", case.name);
        }
    }
    counted(0).build_global().expect("the global pool");
    // A thread outside of the pool hands its work over by a queue of rayon's, which takes a block of memory for some
    // dozens of hand-overs: a caller that runs many steps enters the pool once.
    let (_, allocations) = elementwise(1_000_003).run(200);
    println!("from outside of the pool: {allocations} allocations in 200 runs");
    assert!(allocations <= 200 / 16, "{allocations} allocations in 200 runs from outside of the pool");
}
