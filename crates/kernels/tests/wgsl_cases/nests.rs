//! Nests of every kind that lowering tells apart, named, with the inputs that they are run on.

#![allow(dead_code)] // Each test program uses a part.

use arenagrad_kernels::cpu::random;
use arenagrad_kernels::{
    Axis, BinaryFunction, CompareFunction, DType, Elementwise, Instruction, Nest, NestInstruction, NestValue,
    ProgramInput, ReduceFunction, Space, UnaryFunction, View,
};

/// A nest under construction: each call adds a value and gives its number.
pub(crate) struct Builder(Nest);

impl Builder {
    pub(crate) fn new([rows, columns]: [usize; 2]) -> Self {
        Builder(Nest { rows, columns, inputs: Vec::new(), values: Vec::new(), outputs: Vec::new() })
    }

    fn push(&mut self, space: Space, dtype: DType, instruction: NestInstruction) -> u32 {
        self.0.values.push(NestValue { space, dtype, instruction });
        self.0.values.len() as u32 - 1
    }

    pub(crate) fn compute(&mut self, space: Space, dtype: DType, instruction: Instruction) -> u32 {
        self.push(space, dtype, NestInstruction::Compute(instruction))
    }

    pub(crate) fn load_view(&mut self, space: Space, dtype: DType, view: View) -> u32 {
        self.0.inputs.push(ProgramInput { dtype, view, in_place: None });
        self.compute(space, dtype, Instruction::Load { input: self.0.inputs.len() as u32 - 1 })
    }

    pub(crate) fn load(&mut self, space: Space, dtype: DType) -> u32 {
        self.load_view(space, dtype, View::contiguous(self.0.extent(space)))
    }

    /// An element for each column, as a vector lies in memory.
    pub(crate) fn load_by_column(&mut self, dtype: DType) -> u32 {
        let [rows, columns] = [self.0.rows, self.0.columns];
        let view = View::new([Axis { extent: rows, stride: 0 }, Axis { extent: columns, stride: 1 }], 0);
        self.load_view(Space::Element, dtype, view)
    }

    pub(crate) fn constant(&mut self, space: Space, dtype: DType, value: f64) -> u32 {
        self.compute(space, dtype, Instruction::Constant { value })
    }

    fn space_of(&self, operands: &[u32]) -> Space {
        // Of two spaces the one that the other is repeated over.
        let spaces = operands.iter().map(|&operand| self.0.values[operand as usize].space);
        spaces.reduce(|a, b| if a.reaches(b) { b } else { a }).expect("operands")
    }

    fn dtype(&self, operand: u32) -> DType {
        self.0.values[operand as usize].dtype
    }

    pub(crate) fn unary(&mut self, function: UnaryFunction, operand: u32) -> u32 {
        self.compute(
            self.space_of(&[operand]),
            self.dtype(operand),
            Instruction::Elementwise(Elementwise::Unary { function, operand }),
        )
    }

    pub(crate) fn binary(&mut self, function: BinaryFunction, lhs: u32, rhs: u32) -> u32 {
        self.compute(
            self.space_of(&[lhs, rhs]),
            self.dtype(lhs),
            Instruction::Elementwise(Elementwise::Binary { function, lhs, rhs }),
        )
    }

    fn add(&mut self, lhs: u32, rhs: u32) -> u32 {
        self.binary(BinaryFunction::Add, lhs, rhs)
    }

    fn sub(&mut self, lhs: u32, rhs: u32) -> u32 {
        self.binary(BinaryFunction::Sub, lhs, rhs)
    }

    fn mul(&mut self, lhs: u32, rhs: u32) -> u32 {
        self.binary(BinaryFunction::Mul, lhs, rhs)
    }

    fn div(&mut self, lhs: u32, rhs: u32) -> u32 {
        self.binary(BinaryFunction::Div, lhs, rhs)
    }

    fn compare(&mut self, function: CompareFunction, lhs: u32, rhs: u32) -> u32 {
        self.compute(
            self.space_of(&[lhs, rhs]),
            DType::Bool,
            Instruction::Elementwise(Elementwise::Compare { function, lhs, rhs }),
        )
    }

    fn choose(&mut self, condition: u32, on_true: u32, on_false: u32) -> u32 {
        let space = self.space_of(&[condition, on_true, on_false]);
        self.compute(
            space,
            self.dtype(on_true),
            Instruction::Elementwise(Elementwise::Where { condition, on_true, on_false }),
        )
    }

    fn cast(&mut self, dtype: DType, operand: u32) -> u32 {
        self.compute(self.space_of(&[operand]), dtype, Instruction::Elementwise(Elementwise::Cast { operand }))
    }

    pub(crate) fn fold(&mut self, function: ReduceFunction, space: Space, operand: u32) -> u32 {
        self.push(space, self.dtype(operand), NestInstruction::Fold { function, operand })
    }

    fn sum(&mut self, space: Space, operand: u32) -> u32 {
        self.fold(ReduceFunction::Sum, space, operand)
    }

    /// The mean of a row.
    pub(crate) fn mean(&mut self, operand: u32) -> u32 {
        let sum = self.sum(Space::Row, operand);
        let share = self.constant(Space::Row, DType::F32, 1.0 / self.0.columns as f64);
        self.mul(sum, share)
    }

    pub(crate) fn output(&mut self, value: u32) {
        self.0.outputs.push(value);
    }

    /// An output in the buffer of an input, if memory planning may put it there.
    pub(crate) fn output_over(&mut self, value: u32, input: usize) {
        self.output(value);
        let output = self.0.outputs.len() - 1;
        if self.0.may_overwrite(output, input) {
            self.0.inputs[input].in_place = Some(output as u32);
        }
    }

    pub(crate) fn done(self) -> Nest {
        self.0
    }
}

/// `[x - max, exp of it, its sum]` of each row.
fn exponentials(b: &mut Builder, x: u32) -> [u32; 3] {
    let largest = b.fold(ReduceFunction::Max, Space::Row, x);
    let shifted = b.sub(x, largest);
    let exponential = b.unary(UnaryFunction::Exp, shifted);
    let sum = b.sum(Space::Row, exponential);
    [shifted, exponential, sum]
}

pub(crate) fn softmax(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let [_, exponential, sum] = exponentials(&mut b, x);
    let y = b.div(exponential, sum);
    b.output_over(y, 0);
    b.done()
}

/// The log of the sum of exponentials, and nothing else.
fn log_sum_exp(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let largest = b.fold(ReduceFunction::Max, Space::Row, x);
    let shifted = b.sub(x, largest);
    let exponential = b.unary(UnaryFunction::Exp, shifted);
    let sum = b.sum(Space::Row, exponential);
    let log = b.unary(UnaryFunction::Log, sum);
    let result = b.add(log, largest);
    b.output(result);
    b.done()
}

/// The mean loss of i32 labels, and the gradient with respect to the logits, in their place; with the gradient of a bias.
pub(crate) fn cross_entropy(shape: [usize; 2], bias: bool) -> Nest {
    let [rows, columns] = shape;
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let label = b.load(Space::Row, DType::I32);
    let [shifted, exponential, sum] = exponentials(&mut b, x);
    let column = b.compute(Space::Element, DType::I32, Instruction::Iota { inner: 1, extent: columns, first: 0 });
    let is_label = b.compare(CompareFunction::Equal, column, label);
    let zero = b.constant(Space::Element, DType::F32, 0.0);
    let of_label = b.choose(is_label, shifted, zero);
    let picked = b.sum(Space::Row, of_label);
    let log = b.unary(UnaryFunction::Log, sum);
    let loss = b.sub(log, picked);
    let total = b.sum(Space::Whole, loss);
    let share = b.constant(Space::Whole, DType::F32, 1.0 / rows as f64);
    let mean = b.mul(total, share);
    let probability = b.div(exponential, sum);
    let one_hot = b.cast(DType::F32, is_label);
    let difference = b.sub(probability, one_hot);
    let scale = b.constant(Space::Element, DType::F32, 1.0 / rows as f64);
    let gradient = b.mul(difference, scale);
    b.output(mean);
    b.output_over(gradient, 0);
    if bias {
        let of_bias = b.sum(Space::Column, gradient);
        b.output(of_bias);
    }
    b.done()
}

/// Mean and inverse deviation of each row.
pub(crate) fn moments(b: &mut Builder, x: u32) -> [u32; 2] {
    let mean = b.mean(x);
    let centred = b.sub(x, mean);
    let square = b.mul(centred, centred);
    let variance = b.mean(square);
    let epsilon = b.constant(Space::Row, DType::F32, 1e-5);
    let sum = b.add(variance, epsilon);
    let deviation = b.unary(UnaryFunction::Sqrt, sum);
    let one = b.constant(Space::Row, DType::F32, 1.0);
    [mean, b.div(one, deviation)]
}

pub(crate) fn layer_norm(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let scale = b.load_by_column(DType::F32);
    let shift = b.load_by_column(DType::F32);
    let [mean, inverse] = moments(&mut b, x);
    let centred = b.sub(x, mean);
    let normal = b.mul(centred, inverse);
    let scaled = b.mul(normal, scale);
    let y = b.add(scaled, shift);
    b.output(y);
    b.output(mean);
    b.output(inverse);
    b.done()
}

/// The gradients of a layer norm with respect to its operand, in place of the upstream gradient, scale and shift. The moments are
/// loaded, or computed again.
pub(crate) fn layer_norm_backward(shape: [usize; 2], loaded: bool) -> Nest {
    let mut b = Builder::new(shape);
    let upstream = b.load(Space::Element, DType::F32);
    let x = b.load(Space::Element, DType::F32);
    let scale = b.load_by_column(DType::F32);
    let [mean, inverse] =
        if loaded { [b.load(Space::Row, DType::F32), b.load(Space::Row, DType::F32)] } else { moments(&mut b, x) };
    let centred = b.sub(x, mean);
    let normal = b.mul(centred, inverse);
    let of_scale = b.mul(upstream, normal);
    let of_scale = b.sum(Space::Column, of_scale);
    let of_shift = b.sum(Space::Column, upstream);
    let scaled = b.mul(upstream, scale);
    let mean_scaled = b.mean(scaled);
    let along = b.mul(scaled, normal);
    let mean_along = b.mean(along);
    let part = b.mul(normal, mean_along);
    let rest = b.sub(scaled, mean_scaled);
    let difference = b.sub(rest, part);
    let gradient = b.mul(difference, inverse);
    b.output_over(gradient, 0);
    b.output(of_scale);
    b.output(of_shift);
    b.done()
}

/// Sum, largest and smallest of a product, which is written in place of a factor.
fn flat_folds(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let y = b.load(Space::Element, DType::F32);
    let product = b.mul(x, y);
    let sum = b.sum(Space::Whole, product);
    let largest = b.fold(ReduceFunction::Max, Space::Whole, product);
    let smallest = b.fold(ReduceFunction::Min, Space::Whole, x);
    let range = b.sub(largest, smallest);
    b.output_over(product, 0);
    b.output(sum);
    b.output(range);
    b.done()
}

/// One sum with an epilogue that reads and writes an input of the whole.
fn flat_sum(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let square = b.mul(x, x);
    let sum = b.sum(Space::Whole, square);
    let before = b.load(Space::Whole, DType::F32);
    let after = b.add(sum, before);
    b.output_over(after, 1);
    let root = b.unary(UnaryFunction::Sqrt, sum);
    b.output(root);
    b.done()
}

/// i32 and bool: sums, whether any and all hold, outputs of every space and dtype, with or without folds to columns, a transposed
/// operand.
fn truths_and_integers(shape: [usize; 2], columns_too: bool) -> Nest {
    let [rows, columns] = shape;
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::I32);
    let transposed = View::new([Axis { extent: rows, stride: 1 }, Axis { extent: columns, stride: rows as isize }], 0);
    let y = b.load_view(Space::Element, DType::F32, transposed);
    let flag = b.load(Space::Row, DType::Bool);
    let zero = b.constant(Space::Element, DType::F32, 0.0);
    let positive = b.compare(CompareFunction::Greater, y, zero);
    let any = b.fold(ReduceFunction::Max, Space::Row, positive);
    let all = b.fold(ReduceFunction::Min, Space::Row, positive);
    let largest = b.fold(ReduceFunction::Max, Space::Row, x);
    let both = b.binary(BinaryFunction::And, any, flag);
    let minus = b.unary(UnaryFunction::Neg, x);
    let chosen = b.choose(both, x, minus);
    let total = b.sum(Space::Row, chosen);
    let is_largest = b.compare(CompareFunction::Equal, x, largest);
    let row_of =
        b.compute(Space::Element, DType::I32, Instruction::Iota { inner: columns, extent: rows, first: 2 * columns });
    let flat = b.compute(Space::Element, DType::I32, Instruction::Iota { inner: 2, extent: 3, first: 5 });
    let place = b.add(row_of, flat);
    let moved = b.add(chosen, place);
    let of_columns = b.sum(Space::Column, moved);
    let of_columns_any = b.fold(ReduceFunction::Sum, Space::Column, is_largest);
    let of_all = b.fold(ReduceFunction::Min, Space::Whole, all);
    let of_totals = b.sum(Space::Whole, total);
    let outputs = if columns_too {
        [moved, all, of_columns, of_columns_any, of_all]
    } else {
        [moved, is_largest, all, total, of_totals]
    };
    for output in outputs {
        b.output(output);
    }
    b.done()
}

/// Sums of columns without any of rows; a value of the whole over columns; a column's output in its input's place.
fn column_folds(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let factor = b.load(Space::Row, DType::F32);
    let twice = b.add(factor, factor);
    let weighted = b.mul(x, twice);
    let sum = b.sum(Space::Column, weighted);
    let largest = b.fold(ReduceFunction::Max, Space::Whole, x);
    let bias = b.load(Space::Column, DType::F32);
    let scale = b.unary(UnaryFunction::Abs, largest);
    let change = b.mul(sum, scale);
    let next = b.sub(bias, change);
    let relu = b.unary(UnaryFunction::Relu, weighted);
    b.output_over(next, 2);
    b.output(scale);
    b.output_over(relu, 0);
    b.output_over(twice, 1);
    b.done()
}

/// One sum of columns with an epilogue in the place of an input.
fn column_sum(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let sum = b.sum(Space::Column, x);
    let bias = b.load(Space::Column, DType::F32);
    let rate = b.constant(Space::Whole, DType::F32, 0.1);
    let change = b.mul(sum, rate);
    let next = b.sub(bias, change);
    b.output_over(next, 1);
    b.done()
}

/// Outputs of three levels, a dropout, and an input of rows that is written over and needed after.
fn levels(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let x = b.load(Space::Element, DType::F32);
    let factor = b.load(Space::Row, DType::F32);
    let step = b.constant(Space::Element, DType::I32, 3.0);
    let random = b.compute(Space::Element, DType::F32, Instruction::Uniform { seed: 0x1234_5678_9abc, step, first: 0 });
    let half = b.constant(Space::Element, DType::F32, 0.5);
    let kept = b.compare(CompareFunction::Less, random, half);
    let zero = b.constant(Space::Element, DType::F32, 0.0);
    let dropped = b.choose(kept, x, zero);
    let mean = b.mean(dropped);
    let centred = b.sub(dropped, mean);
    let size = b.unary(UnaryFunction::Abs, centred);
    let largest = b.fold(ReduceFunction::Max, Space::Row, size);
    let row_step = b.constant(Space::Row, DType::I32, 5.0);
    let row_random = b.compute(Space::Row, DType::F32, Instruction::Uniform { seed: 77, step: row_step, first: 0 });
    let scale = b.add(largest, row_random);
    let scaled = b.div(centred, scale);
    let by_factor = b.mul(scaled, factor);
    let next_factor = b.add(factor, largest);
    let of_columns = b.sum(Space::Column, by_factor);
    b.output(kept);
    b.output(centred);
    b.output_over(by_factor, 0);
    b.output_over(next_factor, 1);
    b.output(of_columns);
    b.done()
}

/// A softmax of a sum of `inputs` tensors, over one of them or beside them, and a fold over the rows if asked for: as many buffers as a
/// kernel may bind.
pub(crate) fn many_buffers(shape: [usize; 2], inputs: usize, in_place: bool, fold: Option<Space>) -> Nest {
    let mut b = Builder::new(shape);
    let mut x = b.load(Space::Element, DType::F32);
    for _ in 1..inputs {
        let other = b.load(Space::Element, DType::F32);
        x = b.add(x, other);
    }
    let [_, exponential, sum] = exponentials(&mut b, x);
    let y = b.div(exponential, sum);
    if in_place {
        b.output_over(y, inputs / 2);
    } else {
        b.output(y);
    }
    if let Some(space) = fold {
        let folded = b.sum(space, y);
        b.output(folded);
    }
    b.done()
}

/// Eight tensors, each written over by its difference from the mean of their sum.
pub(crate) fn eight_in_place(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let loads: Vec<u32> = (0..8).map(|_| b.load(Space::Element, DType::F32)).collect();
    let sum = loads[1..].iter().fold(loads[0], |sum, &load| b.add(sum, load));
    let mean = b.mean(sum);
    for (input, &load) in loads.iter().enumerate() {
        let neighbour = b.sub(loads[(input + 1) % 8], load);
        let difference = b.sub(neighbour, mean);
        b.output_over(difference, input);
    }
    b.done()
}

/// Seven vectors and a sum of columns that no input is needed for.
pub(crate) fn many_columns(shape: [usize; 2]) -> Nest {
    let mut b = Builder::new(shape);
    let step = b.constant(Space::Element, DType::I32, 1.0);
    let random = b.compute(Space::Element, DType::F32, Instruction::Uniform { seed: 9, step, first: 0 });
    let mut total = b.sum(Space::Column, random);
    for _ in 0..7 {
        let vector = b.load(Space::Column, DType::F32);
        total = b.add(total, vector);
    }
    b.output(total);
    b.done()
}

/// Every kind of nest of one shape.
pub(crate) fn nests_of(shape: [usize; 2]) -> Vec<(String, Nest)> {
    let [rows, columns] = shape;
    let all = [
        ("softmax", softmax(shape)),
        ("log_sum_exp", log_sum_exp(shape)),
        ("cross_entropy", cross_entropy(shape, false)),
        ("cross_entropy with bias", cross_entropy(shape, true)),
        ("layer_norm", layer_norm(shape)),
        ("layer_norm_backward", layer_norm_backward(shape, true)),
        ("layer_norm_backward without moments", layer_norm_backward(shape, false)),
        ("flat_folds", flat_folds(shape)),
        ("flat_sum", flat_sum(shape)),
        ("truths_and_integers", truths_and_integers(shape, false)),
        ("truths_and_integers of columns", truths_and_integers(shape, true)),
        ("column_folds", column_folds(shape)),
        ("column_sum", column_sum(shape)),
        ("levels", levels(shape)),
        ("many_buffers 6 whole", many_buffers(shape, 6, false, Some(Space::Whole))),
        ("many_buffers 7 column", many_buffers(shape, 7, true, Some(Space::Column))),
        ("many_buffers 7", many_buffers(shape, 7, false, None)),
        ("many_buffers 8", many_buffers(shape, 8, true, None)),
        ("eight_in_place", eight_in_place(shape)),
        ("many_columns", many_columns(shape)),
    ];
    all.into_iter().map(|(name, nest)| (format!("{name} {rows} x {columns}"), nest)).collect()
}

/// The shapes on both sides of where lowering takes another form.
pub(crate) const SHAPES: [[usize; 2]; 20] = [
    [1, 1],
    [2, 3],
    [7, 4],
    [64, 5],
    [1000, 1],
    [1000, 3],
    [7, 16],
    [7, 20],
    [2, 63],
    [64, 64],
    [7, 65],
    [7, 255],
    [64, 256],
    [2, 257],
    [1000, 64],
    [9, 1000],
    [7, 4097],
    [7, 8192],
    [1, 70_001],
    [2, 98_304],
];

/// What an input holds: small numbers, labels that fit the columns, or truth values.
pub(crate) fn elements(nest: &Nest, input: usize, extremes: bool) -> Vec<f64> {
    let declared = &nest.inputs[input];
    let noise = |i: usize| f64::from(random::uniform(11 + input as u64, 7, i as u64)) * 2.0 - 1.0;
    let mut values: Vec<f64> = (0..declared.view.end())
        .map(|i| match declared.dtype {
            DType::F32 | DType::F64 => 2.0 * noise(i),
            DType::I32 => f64::from(((noise(i) + 1.0) * 0.5 * nest.columns.min(1000) as f64) as i32),
            DType::Bool => f64::from(u8::from(noise(i) > 0.3)),
        })
        .map(|value| declared.dtype.round(value))
        .collect();
    if extremes && declared.dtype == DType::F32 && values.len() > nest.columns {
        let last = values.len() - 1;
        values[last] = f64::NAN;
        values[0] = f64::INFINITY;
        let third = (2 * nest.columns).min(last - 1);
        values[third] = f64::NEG_INFINITY;
    }
    values
}
