//! Fragments beside the interpreter: the same bits, of every function, of random programs, for both kinds of vectors.

use arenagrad_graph::{
    AlignedVec, BinaryFunction, CompareFunction, DType, Elements, Elementwise, ReduceFunction, StorageType,
    UnaryFunction,
};

use super::Vectors;
use crate::cpu::ahead::Ahead;
use crate::cpu::buffer::{Buffer, Operands, parts};
use crate::cpu::code::{Code, Translation};
use crate::cpu::interpret::{Accumulators, Outputs, Sources, run_block, run_prologue, store_block};
use crate::cpu::nest::Nest as KernelNest;
use crate::cpu::processor::detect;
use crate::cpu::registers::BLOCK;
use crate::program::{Instruction, Program, ProgramInput};
use crate::view::{Axis, View};
use crate::{Nest, NestInstruction, NestValue, Space};

/// The vectors that this processor has, of which AVX-512 includes those of AVX2.
fn kinds() -> Vec<Vectors> {
    match super::vectors(detect()) {
        Some(Vectors::Evex) => vec![Vectors::Evex, Vectors::Vex],
        Some(Vectors::Vex) => vec![Vectors::Vex],
        None => Vec::new(),
    }
}

/// Numbers that follow one another as a linear congruence has them.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// A number of any size, or a special one.
    fn float(&mut self) -> f32 {
        const SPECIAL: [f32; 12] = [
            0.0,
            -0.0,
            1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MIN_POSITIVE,
            1e-40,
            f32::MAX,
            -103.5,
            88.7,
            0.5,
        ];
        match self.below(4) {
            0 => SPECIAL[self.below(SPECIAL.len())],
            1 => f32::from_bits(self.below(1 << 31) as u32 | (self.below(2) as u32) << 31),
            _ => (self.below(1 << 20) as f32 / 65_536.0 - 8.0) * [1.0, 0.1, 10.0][self.below(3)],
        }
    }
}

/// The bits of all elements; those of NaN are one.
fn bits(elements: &Elements) -> Vec<u32> {
    if let Elements::F32(list) = elements {
        return list.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect();
    }
    if let Elements::I32(list) = elements {
        return list.iter().map(|&x| x as u32).collect();
    }
    let Elements::Bool(list) = elements else { panic!("no program here writes {}", elements.storage()) };
    list.iter().map(|&x| u32::from(x)).collect()
}

/// What a program writes, over outputs that hold what `outputs` do.
fn run(program: &Program, vectors: Option<Vectors>, buffers: &[Buffer], outputs: &[Elements]) -> Vec<Vec<u32>> {
    let translation = Translation::storing_with(program, vectors, BLOCK, &[]);
    let slots: Vec<u32> = (0..buffers.len() as u32).collect();
    let operands = Operands { buffers, slots: &slots };
    let accumulators = Accumulators::None;
    let sources = Sources { operands, first: 0, inputs: &program.inputs, accumulators, accumulator_base: 0 };
    let mut bank = translation.bank();
    let mut outputs = outputs.to_vec();
    run_prologue(detect(), &translation.setup, &mut bank, &sources);
    for start in (0..program.elements).step_by(BLOCK) {
        let range = start..program.elements.min(start + BLOCK);
        let mut parts = parts(&mut outputs, program.elements);
        let place = (0, range.clone());
        let written = Outputs::Written(&mut parts);
        run_block(detect(), &translation.body, &mut bank, &sources, written, place, &mut Ahead::none());
        store_block(&translation, &bank, &mut parts, 0, range);
    }
    outputs.iter().map(bits).collect()
}

/// Makes sure that a program has the same bits with fragments and without. Gives whether it has some.
fn assert_the_same(program: &Program, buffers: &[Buffer], outputs: &[Elements]) -> bool {
    let expected = run(program, None, buffers, outputs);
    let mut has_fragments = false;
    for vectors in kinds() {
        let code = Translation::storing_with(program, Some(vectors), BLOCK, &[]).body.code;
        has_fragments = code.iter().any(|code| matches!(code, Code::Fragment { .. }));
        let found = run(program, Some(vectors), buffers, outputs);
        for (output, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
            if let Some(at) = differs {
                let (found, expected) = (found[at], expected[at]);
                panic!("{vectors:?}, output {output}, element {at}: {found:x} for {expected:x} of {program:#?}");
            }
        }
    }
    has_fragments
}

fn zeros(dtype: DType, elements: usize) -> Elements {
    match dtype {
        DType::F32 => Elements::from(vec![0f32; elements]),
        DType::I32 => Elements::from(vec![0i32; elements]),
        DType::Bool => Elements::Bool(AlignedVec::zeros(elements)),
        DType::F64 => panic!("no program here computes in f64"),
    }
}

fn input(dtype: DType, axes: &[(usize, isize)]) -> ProgramInput {
    let axes = axes.iter().map(|&(extent, stride)| Axis { extent, stride });
    ProgramInput { dtype, view: View::new(axes, 0), in_place: None }
}

#[test]
fn every_function_gives_the_bits_of_the_interpreter() {
    const ELEMENTS: usize = 3 * BLOCK + 7;
    let mut random = Random(1);
    let mut list = || Buffer::from(Elements::from((0..ELEMENTS).map(|_| random.float()).collect::<Vec<f32>>()));
    let buffers = [list(), list()];
    let inputs = vec![input(DType::F32, &[(ELEMENTS, 1)]), input(DType::F32, &[(ELEMENTS, 1)])];
    // Each function of a value that a fragment has computed.
    let first = [
        Instruction::Load { input: 0 },
        Instruction::Load { input: 1 },
        Instruction::Constant { value: 1.0 },
        Instruction::Elementwise(Elementwise::Binary { function: BinaryFunction::Mul, lhs: 0, rhs: 2 }),
    ];
    let (mut tried, mut in_fragments) = (0, 0);
    let mut check = |operation: Elementwise<u32>, dtype| {
        let instructions = [&first[..], &[Instruction::Elementwise(operation)]].concat();
        let dtypes = vec![DType::F32, DType::F32, DType::F32, DType::F32, dtype];
        let program = Program { elements: ELEMENTS, inputs: inputs.clone(), instructions, dtypes, outputs: vec![4] };
        in_fragments += usize::from(assert_the_same(&program, &buffers, &[zeros(dtype, ELEMENTS)]));
        tried += 1;
    };
    for &function in UnaryFunction::ALL.iter().filter(|function| function.row().dtypes.contains(&DType::F32)) {
        check(Elementwise::Unary { function, operand: 3 }, DType::F32);
    }
    for &function in BinaryFunction::ALL.iter().filter(|function| function.row().dtypes.contains(&DType::F32)) {
        check(Elementwise::Binary { function, lhs: 3, rhs: 1 }, DType::F32);
    }
    for function in CompareFunction::ALL {
        check(Elementwise::Compare { function, lhs: 3, rhs: 1 }, DType::Bool);
    }
    assert!(tried > 40, "{tried}");
    // Fifteen functions of one value, eight of two, six comparisons.
    let expected = if kinds().is_empty() { 0 } else { 29 };
    assert_eq!(in_fragments, expected);
}

/// The operations that random programs are made of, over values of these dtypes.
fn random_operation(random: &mut Random, dtypes: &[DType]) -> Option<(Elementwise<u32>, DType)> {
    let of = |random: &mut Random, dtype: DType| {
        let numbers: Vec<u32> = (0..dtypes.len()).filter(|&i| dtypes[i] == dtype).map(|i| i as u32).collect();
        // The last ones more often, so that values are used up and also live long.
        let place = random.below(numbers.len().max(1)).max(random.below(numbers.len().max(1)));
        numbers.get(place).copied()
    };
    let f32 = |random: &mut Random| of(random, DType::F32);
    Some(match random.below(12) {
        0..=3 => {
            const FUNCTIONS: [BinaryFunction; 8] = [
                BinaryFunction::Add,
                BinaryFunction::Sub,
                BinaryFunction::Mul,
                BinaryFunction::Div,
                BinaryFunction::Maximum,
                BinaryFunction::Minimum,
                BinaryFunction::ReluBackward,
                BinaryFunction::Copysign,
            ];
            let function = FUNCTIONS[random.below(FUNCTIONS.len())];
            (Elementwise::Binary { function, lhs: f32(random)?, rhs: f32(random)? }, DType::F32)
        }
        4 | 5 => {
            const FUNCTIONS: [UnaryFunction; 10] = [
                UnaryFunction::Exp,
                UnaryFunction::Tanh,
                UnaryFunction::Sigmoid,
                UnaryFunction::Erf,
                UnaryFunction::Log,
                UnaryFunction::Sqrt,
                UnaryFunction::Relu,
                UnaryFunction::Neg,
                // No fragment has these.
                UnaryFunction::Sin,
                UnaryFunction::Log1p,
            ];
            (
                Elementwise::Unary { function: FUNCTIONS[random.below(FUNCTIONS.len())], operand: f32(random)? },
                DType::F32,
            )
        }
        6 => {
            let function = CompareFunction::ALL[random.below(6)];
            (Elementwise::Compare { function, lhs: f32(random)?, rhs: f32(random)? }, DType::Bool)
        }
        7 => {
            let function = CompareFunction::ALL[random.below(6)];
            let (lhs, rhs) = (of(random, DType::I32)?, of(random, DType::I32)?);
            (Elementwise::Compare { function, lhs, rhs }, DType::Bool)
        }
        8 => {
            let (condition, dtype) = (of(random, DType::Bool)?, [DType::F32, DType::I32][random.below(2)]);
            let (on_true, on_false) = (of(random, dtype)?, of(random, dtype)?);
            (Elementwise::Where { condition, on_true, on_false }, dtype)
        }
        9 => {
            let dtype = [DType::I32, DType::Bool][random.below(2)];
            (Elementwise::Cast { operand: of(random, dtype)? }, DType::F32)
        }
        10 => {
            let function = [BinaryFunction::Add, BinaryFunction::Sub, BinaryFunction::Mul][random.below(3)];
            let (lhs, rhs) = (of(random, DType::I32)?, of(random, DType::I32)?);
            (Elementwise::Binary { function, lhs, rhs }, DType::I32)
        }
        _ if random.below(3) == 0 => {
            (Elementwise::Unary { function: UnaryFunction::Not, operand: of(random, DType::Bool)? }, DType::Bool)
        }
        _ => {
            let function = [BinaryFunction::And, BinaryFunction::Or][random.below(2)];
            let (lhs, rhs) = (of(random, DType::Bool)?, of(random, DType::Bool)?);
            (Elementwise::Binary { function, lhs, rhs }, DType::Bool)
        }
    })
}

#[test]
fn random_programs_give_the_bits_of_the_interpreter() {
    // Rows that are whole chunks, and others; blocks begin within rows of 96, and within those of 1360 there are several.
    const EXTENTS: [(usize, usize); 8] = [(9, 130), (16, 130), (1, 1), (5, 1), (8, 128), (40, 96), (3, 1360), (64, 16)];
    let mut random = Random(7);
    let mut in_fragments = 0;
    for round in 0..400 {
        let (rows, width) = EXTENTS[round % EXTENTS.len()];
        let elements = rows * width;
        // In order, one for all, a row repeated, each of a row repeated, and that again for every fourth row.
        let images: &[(usize, isize)] =
            if rows.is_multiple_of(4) { &[(rows / 4, 0), (4, 1), (width, 0)] } else { &[(elements, 1)] };
        let views: [&[(usize, isize)]; 5] =
            [&[(elements, 1)], &[(elements, 0)], &[(rows, 0), (width, 1)], &[(rows, 1), (width, 0)], images];
        let mut program =
            Program { elements, inputs: Vec::new(), instructions: Vec::new(), dtypes: Vec::new(), outputs: Vec::new() };
        let mut buffers = Vec::new();
        for number in 0..3 + random.below(9) {
            let dtype = [DType::F32, DType::F32, DType::I32, DType::Bool][(number + random.below(2)) % 4];
            let view = views[random.below(5)];
            buffers.push(Buffer::from(match dtype {
                DType::F32 => Elements::from((0..elements).map(|_| random.float()).collect::<Vec<f32>>()),
                DType::I32 => Elements::from((0..elements).map(|_| random.below(9) as i32 - 4).collect::<Vec<i32>>()),
                DType::Bool | DType::F64 => Elements::Bool((0..elements).map(|_| random.below(2) as u8).collect()),
            }));
            program.inputs.push(input(dtype, view));
            program.instructions.push(Instruction::Load { input: number as u32 });
            program.dtypes.push(dtype);
        }
        let mut outputs: Vec<Elements> = Vec::new();
        // An input that shares the memory of the first output.
        let is_over = random.below(2) == 0;
        if is_over {
            let list: Vec<f32> = (0..elements).map(|_| random.float()).collect();
            outputs.push(Elements::from(list));
            let mut described = input(DType::F32, views[0]);
            described.in_place = Some(0);
            program.instructions.push(Instruction::Load { input: program.inputs.len() as u32 });
            program.inputs.push(described);
            program.dtypes.push(DType::F32);
            buffers.push(Buffer::from(zeros(DType::F32, elements)));
        }
        for value in [1.0, -0.5, 3.0] {
            program.instructions.push(Instruction::Constant { value });
            program.dtypes.push(DType::F32);
        }
        program.instructions.push(Instruction::Iota { inner: 1 + random.below(3), extent: 7, first: 0 });
        program.dtypes.push(DType::I32);
        for _ in 0..1 + random.below([4, 20, 90][round % 3]) {
            if let Some((operation, dtype)) = random_operation(&mut random, &program.dtypes) {
                program.instructions.push(Instruction::Elementwise(operation));
                program.dtypes.push(dtype);
            }
        }
        let is_f32 = |program: &Program, value: usize| program.dtypes[value] == DType::F32;
        if is_over {
            let last = (0..program.dtypes.len()).rev().find(|&value| is_f32(&program, value));
            program.outputs.push(last.expect("there are constants") as u32);
        }
        for _ in 0..1 + random.below(3) {
            let output = program.dtypes.len() - 1 - random.below(program.dtypes.len().min(6));
            if !program.outputs.contains(&(output as u32)) {
                outputs.push(zeros(program.dtypes[output], elements));
                program.outputs.push(output as u32);
            }
        }
        in_fragments += usize::from(assert_the_same(&program, &buffers, &outputs));
    }
    assert!(kinds().is_empty() || in_fragments > 100, "{in_fragments} of 400 programs have fragments");
}

#[test]
fn a_program_of_more_values_than_registers_is_several_fragments() {
    const COUNT: u32 = 60;
    let elements = 2 * BLOCK;
    let list: Vec<f32> = (0..elements).map(|i| i as f32 / 64.0).collect();
    // All values are alive until the sums in the end.
    let mut instructions = vec![Instruction::Load { input: 0 }, Instruction::Constant { value: 1.5 }];
    for value in 1..COUNT {
        let operation = Elementwise::Binary { function: BinaryFunction::Add, lhs: 0, rhs: value };
        instructions.push(Instruction::Elementwise(operation));
    }
    for value in 2..COUNT {
        let lhs = instructions.len() as u32 - 1;
        let operation = Elementwise::Binary { function: BinaryFunction::Sub, lhs, rhs: value };
        instructions.push(Instruction::Elementwise(operation));
    }
    let dtypes = vec![DType::F32; instructions.len()];
    let outputs = vec![instructions.len() as u32 - 1];
    let inputs = vec![input(DType::F32, &[(elements, 1)])];
    let program = Program { elements, inputs, instructions, dtypes, outputs };
    let buffers = [Buffer::from(Elements::from(list))];
    assert!(assert_the_same(&program, &buffers, &[zeros(DType::F32, elements)]) != kinds().is_empty());
}

/// A nest's values, as they are written down.
struct Values(Vec<NestValue>);

impl Values {
    fn push(&mut self, space: Space, dtype: DType, instruction: NestInstruction) -> u32 {
        self.0.push(NestValue { space, dtype, instruction });
        self.0.len() as u32 - 1
    }

    fn load(&mut self, space: Space, input: u32) -> u32 {
        self.push(space, DType::F32, NestInstruction::Compute(Instruction::Load { input }))
    }

    fn fold(&mut self, space: Space, function: ReduceFunction, operand: u32) -> u32 {
        self.push(space, DType::F32, NestInstruction::Fold { function, operand })
    }

    fn compute(&mut self, space: Space, dtype: DType, operation: Elementwise<u32>) -> u32 {
        self.push(space, dtype, NestInstruction::Compute(Instruction::Elementwise(operation)))
    }

    fn binary(&mut self, space: Space, function: BinaryFunction, lhs: u32, rhs: u32) -> u32 {
        self.compute(space, DType::F32, Elementwise::Binary { function, lhs, rhs })
    }
}

/// A softmax of elements scaled by columns and moved by rows, with a mask, times weights, and sums of all kinds, or without those of columns and of all.
fn nest_of(rows: usize, columns: usize, function: ReduceFunction, of_rows_alone: bool) -> Nest {
    let mut values = Values(Vec::new());
    let (x, w, scale) =
        (values.load(Space::Element, 0), values.load(Space::Element, 1), values.load(Space::Element, 2));
    let moved = values.load(Space::Element, 3);
    let scaled = values.binary(Space::Element, BinaryFunction::Mul, x, scale);
    let scaled = values.binary(Space::Element, BinaryFunction::Add, scaled, moved);
    let most = values.fold(Space::Row, ReduceFunction::Max, scaled);
    let least = values.fold(Space::Row, ReduceFunction::Min, x);
    let below = values.binary(Space::Element, BinaryFunction::Sub, scaled, most);
    let exp =
        values.compute(Space::Element, DType::F32, Elementwise::Unary { function: UnaryFunction::Exp, operand: below });
    let total = values.fold(Space::Row, function, exp);
    let share = values.binary(Space::Element, BinaryFunction::Div, exp, total);
    let is_small = values.compute(
        Space::Element,
        DType::Bool,
        Elementwise::Compare { function: CompareFunction::Less, lhs: x, rhs: w },
    );
    let weighted = values.binary(Space::Element, BinaryFunction::Mul, share, w);
    let of_rows = values.fold(Space::Row, ReduceFunction::Sum, weighted);
    let of_columns = values.fold(Space::Column, function, weighted);
    let of_all = values.fold(Space::Whole, ReduceFunction::Sum, share);
    let less = values.binary(Space::Element, BinaryFunction::Sub, weighted, of_rows);
    let coordinate = NestInstruction::Compute(Instruction::Iota { inner: 1, extent: columns, first: 0 });
    let coordinate = values.push(Space::Element, DType::I32, coordinate);
    let label = values.push(Space::Row, DType::I32, NestInstruction::Compute(Instruction::Load { input: 4 }));
    let is_label = values.compute(
        Space::Element,
        DType::Bool,
        Elementwise::Compare { function: CompareFunction::Equal, lhs: coordinate, rhs: label },
    );
    let less = values.compute(
        Space::Element,
        DType::F32,
        Elementwise::Where { condition: is_label, on_true: x, on_false: less },
    );
    let chosen = values.compute(
        Space::Element,
        DType::F32,
        Elementwise::Where { condition: is_small, on_true: less, on_false: share },
    );
    let elements = rows * columns;
    let mut inputs = vec![
        input(DType::F32, &[(elements, 1)]),
        input(DType::F32, &[(elements, 1)]),
        input(DType::F32, &[(rows, 0), (columns, 1)]),
        input(DType::F32, &[(rows, 1), (columns, 0)]),
        input(DType::I32, &[(rows, 1)]),
    ];
    inputs[0].in_place = Some(0);
    let mut outputs = vec![chosen, least, of_rows, share];
    if !of_rows_alone {
        outputs.extend([of_columns, of_all]);
    }
    Nest { rows, columns, inputs, values: values.0, outputs }
}

#[test]
fn nests_give_the_bits_of_the_interpreter() {
    let mut random = Random(3);
    let mut list = |count: usize| {
        Elements::from((0..count).map(|_| random.below(1 << 16) as f32 / 8192.0 - 4.0).collect::<Vec<f32>>())
    };
    for columns in [16, 30, 48, 64, 96, 128, 130, 192, 512, 528, 1000, 1024, 1040, 2048, 2064, 5000] {
        for (number, rows) in [1, 2, 17, 40, 150].into_iter().enumerate().filter(|(_, rows)| rows * columns < 100_000) {
            for function in ReduceFunction::ALL {
                let nest = nest_of(rows, columns, function, number % 2 == 1);
                assert!(nest.may_overwrite(0, 0));
                let [mut of_columns, mut of_rows] = [list(columns), list(rows)];
                if function == ReduceFunction::Max {
                    [of_columns, of_rows] = [of_columns, of_rows].map(|list| list.converted(StorageType::Bf16));
                }
                let labels = Elements::from((0..rows as i32).map(|row| row * 7 % columns as i32).collect::<Vec<i32>>());
                let buffers = [zeros(DType::F32, rows * columns), list(rows * columns), of_columns, of_rows, labels];
                let stored = buffers.each_ref().map(|list| list.storage());
                let buffers = buffers.map(Buffer::from);
                let operands = Operands { buffers: &buffers, slots: &[0, 1, 2, 3, 4] };
                let mut outputs: Vec<Elements> = nest
                    .outputs
                    .iter()
                    .map(|&output| zeros(DType::F32, nest.extent(nest.values[output as usize].space)))
                    .collect();
                outputs[0] = list(rows * columns);
                let run = |vectors: Option<Vectors>| {
                    let mut outputs = outputs.clone();
                    KernelNest::with_vectors(&nest, vectors, &stored).run(operands, &mut outputs);
                    outputs.iter().map(bits).collect::<Vec<_>>()
                };
                let expected = run(None);
                for vectors in kinds() {
                    assert!(run(Some(vectors)) == expected, "{vectors:?}: {rows} x {columns}, {function:?}");
                }
            }
        }
    }
}
