//! Random nests all of whose values are integers, so that their results are exact.

use arenagrad_kernels::cpu::random;
use arenagrad_kernels::{
    BinaryFunction, CompareFunction, DType, Instruction, Nest, ReduceFunction, Space, UnaryFunction, View,
};

use super::over_rows;
use crate::reference::nest::NestBuilder;
use crate::reference::view;

/// Choices from a counter, the same in every run.
pub(crate) struct Choices {
    pub(crate) seed: u64,
    pub(crate) count: u64,
}

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.count += 1;
        (f64::from(random::uniform(self.seed, 11, self.count)) * limit as f64) as usize
    }

    pub(crate) fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A random nest all of whose values are integers that every dtype holds exactly, so that a result has one right value whatever
/// the order of the sums. `bounds` are the largest magnitudes.
struct Random {
    b: NestBuilder,
    bounds: Vec<f64>,
    choices: Choices,
}

/// What f32 holds exactly, with room for one more operation.
const EXACT: f64 = (1 << 22) as f64;

impl Random {
    fn add(&mut self, value: u32, bound: f64) -> u32 {
        assert_eq!(value as usize, self.bounds.len());
        self.bounds.push(bound);
        value
    }

    fn view(&mut self, space: Space) -> View {
        let (rows, columns) = (self.b.0.rows, self.b.0.columns);
        let extent = self.b.0.extent(space);
        match (self.choices.below(6), space) {
            (0, _) => view(&[(extent, 0)], 3),
            (1, Space::Element) => over_rows(rows, columns),
            (2, Space::Element) => view(&[(rows, 1), (columns, 0)], 1),
            (3, Space::Element) => view(&[(rows, 1), (columns, rows as isize)], 0),
            (1..=3, _) => view(&[(extent, 2)], 1),
            _ => View::contiguous(extent),
        }
    }

    fn operand(&mut self, accepts: impl Fn(&NestBuilder, u32) -> bool) -> Option<u32> {
        let fitting: Vec<u32> = (0..self.bounds.len() as u32).filter(|&value| accepts(&self.b, value)).collect();
        (!fitting.is_empty()).then(|| {
            // Late values more often, so that there are long chains.
            let at = self.choices.below(fitting.len()).max(self.choices.below(fitting.len()));
            fitting[at]
        })
    }

    fn source(&mut self) {
        let space =
            self.choices.of(&[Space::Element, Space::Element, Space::Element, Space::Row, Space::Column, Space::Whole]);
        let dtype = self.choices.of(&[DType::F32, DType::F32, DType::F64, DType::I32, DType::Bool]);
        let extent = self.b.0.extent(space);
        match self.choices.below(6) {
            0 => {
                let value = self.choices.below(2) as f64;
                let value = self.b.constant(space, dtype, value);
                self.add(value, 1.0);
            }
            1 => {
                let inner = self.choices.of(&[1, 2, self.b.0.columns]);
                let iota = Instruction::Iota { inner, extent: (extent / inner).clamp(1, 9), first: 0 };
                let value = self.b.compute(space, DType::I32, iota);
                self.add(value, 9.0);
            }
            _ => {
                let view = self.view(space);
                let value = self.b.load(space, dtype, view);
                self.add(value, 3.0);
            }
        }
    }

    fn arithmetic(&mut self) {
        let Some(a) = self.operand(|_, _| true) else { return };
        let (space, dtype) = (self.b.value(a).space, self.b.value(a).dtype);
        let pairs = |b: &NestBuilder, other: u32| {
            let other = b.value(other);
            other.dtype == dtype && (other.space.reaches(space) || space.reaches(other.space))
        };
        let other = self.operand(pairs).expect("the value itself");
        let (bound, other_bound) = (self.bounds[a as usize], self.bounds[other as usize]);
        if dtype == DType::Bool {
            let function = self.choices.of(&[BinaryFunction::And, BinaryFunction::Or]);
            let value = self.b.binary(function, a, other);
            self.add(value, 1.0);
            return;
        }
        let (value, bound) = match self.choices.below(9) {
            0 if bound * other_bound < EXACT => (self.b.binary(BinaryFunction::Mul, a, other), bound * other_bound),
            1 | 2 if bound + other_bound < EXACT => (self.b.binary(BinaryFunction::Add, a, other), bound + other_bound),
            3 if bound + other_bound < EXACT => (self.b.binary(BinaryFunction::Sub, a, other), bound + other_bound),
            4 => (self.b.unary(UnaryFunction::Sign, a), 1.0),
            5 => {
                let function = self.choices.of(&[CompareFunction::Less, CompareFunction::Equal]);
                (self.b.compare(function, a, other), 1.0)
            }
            6 => {
                let function = self.choices.of(&[UnaryFunction::Neg, UnaryFunction::Abs, UnaryFunction::Relu]);
                let is_defined = function.row().dtypes.contains(&dtype);
                let function = if is_defined { function } else { UnaryFunction::Neg };
                (self.b.unary(function, a), bound)
            }
            7 => {
                let to = self.choices.of(&[DType::F32, DType::F64, DType::I32]);
                (self.b.cast(to, a), bound)
            }
            _ => (self.b.binary(BinaryFunction::Maximum, a, other), bound.max(other_bound)),
        };
        self.add(value, bound);
    }

    fn choose(&mut self) {
        let Some(condition) = self.operand(|b, value| b.value(value).dtype == DType::Bool) else { return };
        let space = self.b.value(condition).space;
        let near =
            |b: &NestBuilder, value: u32| b.value(value).space.reaches(space) || space.reaches(b.value(value).space);
        let on_true = self.operand(near).expect("the condition itself");
        let dtype = self.b.value(on_true).dtype;
        let on_false = self.operand(|b, value| near(b, value) && b.value(value).dtype == dtype).expect("the same");
        let bound = self.bounds[on_true as usize].max(self.bounds[on_false as usize]);
        let value = self.b.choose(condition, on_true, on_false);
        self.add(value, bound);
    }

    /// A fold, and what makes a large sum small again.
    fn fold(&mut self) {
        let foldable = |b: &NestBuilder, value: u32| {
            matches!(b.value(value).space, Space::Element | Space::Row) && b.value(value).dtype != DType::Bool
        };
        let Some(operand) = self.operand(foldable) else { return };
        let from = self.b.value(operand).space;
        let to = match from {
            Space::Row => Space::Whole,
            Space::Element | Space::Column | Space::Whole => {
                self.choices.of(&[Space::Row, Space::Row, Space::Row, Space::Column, Space::Whole])
            }
        };
        let bound = self.bounds[operand as usize];
        let sum_bound = bound * (self.b.0.extent(from) / self.b.0.extent(to)) as f64;
        let is_exact = self.b.value(operand).dtype == DType::I32 || sum_bound < 4.0 * EXACT;
        let (function, bound) = match self.choices.below(4) {
            0 => (ReduceFunction::Max, bound),
            1 => (ReduceFunction::Min, bound),
            _ if is_exact => (ReduceFunction::Sum, sum_bound),
            _ => (ReduceFunction::Min, bound),
        };
        let value = self.b.fold(to, function, operand);
        self.add(value, bound);
        if bound > 50.0 {
            let dtype = self.b.value(value).dtype;
            let limit = self.b.constant(to, dtype, 20.0);
            self.add(limit, 20.0);
            let limited = self.b.binary(BinaryFunction::Minimum, value, limit);
            self.add(limited, bound.max(20.0));
            let negative = self.b.constant(to, dtype, -20.0);
            self.add(negative, 20.0);
            let limited = self.b.binary(BinaryFunction::Maximum, limited, negative);
            self.add(limited, 20.0);
        }
    }
}

pub(crate) fn random_nest(seed: u64, rows: usize, columns: usize) -> Nest {
    let choices = Choices { seed, count: 0 };
    let mut random = Random { b: NestBuilder::new(rows, columns), bounds: Vec::new(), choices };
    (0..2 + random.choices.below(4)).for_each(|_| random.source());
    for _ in 0..4 + random.choices.below(24) {
        match random.choices.below(12) {
            0 => random.source(),
            1 => random.choose(),
            2..5 => random.fold(),
            _ => random.arithmetic(),
        }
    }
    let count = random.bounds.len();
    let mut outputs: Vec<u32> = Vec::new();
    while outputs.len() < 1 + random.choices.below(5).min(count - 1) {
        let output = random.choices.below(count).max(random.choices.below(count)) as u32;
        if !outputs.contains(&output) {
            outputs.push(output);
        }
    }
    let mut nest = random.b.outputs(&outputs);
    // Inputs that are read once move to the place of an output wherever they may.
    for input in 0..nest.inputs.len() {
        let taken: Vec<u32> = nest.inputs.iter().filter_map(|input| input.in_place).collect();
        let fits = |&output: &usize| {
            let value = &nest.values[nest.outputs[output] as usize];
            value.dtype == nest.inputs[input].dtype
                && !taken.contains(&(output as u32))
                && nest.may_overwrite(output, input)
        };
        let output = (0..nest.outputs.len()).find(fits);
        nest.inputs[input].in_place = output.map(|output| output as u32);
    }
    nest
}
