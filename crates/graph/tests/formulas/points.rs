//! Formulas evaluated at many points, with a stricter notion of having a value than that of floats.

use arenagrad_graph::symbolic::Formula;
use arenagrad_graph::{BinaryFunction, CompareFunction, DType, Elementwise, Graph, Leaf, NodeId, Op, UnaryFunction};

use super::super::evaluate::functions;

/// The names of the symbols, in the order of a point's coordinates.
pub const SYMBOLS: [&str; 3] = ["x", "y", "z"];

/// A formula as a list of operations on scalars.
pub struct Compiled {
    operations: Vec<Operation>,
}

enum Operation {
    Symbol(usize),
    Constant(f64),
    Unary(UnaryFunction, usize),
    Binary(BinaryFunction, usize, usize),
    Compare(CompareFunction, usize, usize),
    Where(usize, usize, usize),
}

/// What is known of the sign of an operation's values, whatever the point.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Unknown,
    NotNegative,
    NotPositive,
}

impl Compiled {
    pub fn new(formula: &Formula) -> Compiled {
        let graph = Graph::new();
        let known = formula.known_symbols();
        let arguments: Vec<_> = SYMBOLS
            .into_iter()
            .filter(|name| known.iter().any(|known| known == name))
            .map(|name| (name, graph.input_of(name, [], DType::F64)))
            .collect();
        let output = formula.apply(&graph, &arguments).unwrap().id().unwrap();
        let mut places = vec![0; graph.ordinal_bound()];
        let place = |places: &[usize], id: &NodeId| places[graph.ordinal(*id).unwrap()];
        let mut operations = Vec::new();
        for id in graph.needed(&[output]).unwrap() {
            let operation = match graph.node(id).unwrap().op {
                Op::Leaf(Leaf::Input { .. }) => {
                    let name = graph.label(id).unwrap();
                    Operation::Symbol(SYMBOLS.iter().position(|known| *known == name).unwrap())
                }
                Op::Leaf(Leaf::Constant { value }) => Operation::Constant(value),
                Op::Elementwise(Elementwise::Unary { function, operand }) => {
                    Operation::Unary(function, place(&places, &operand))
                }
                Op::Elementwise(Elementwise::Binary { function, lhs, rhs }) => {
                    Operation::Binary(function, place(&places, &lhs), place(&places, &rhs))
                }
                Op::Elementwise(Elementwise::Compare { function, lhs, rhs }) => {
                    Operation::Compare(function, place(&places, &lhs), place(&places, &rhs))
                }
                Op::Elementwise(Elementwise::Where { condition, on_true, on_false }) => {
                    Operation::Where(place(&places, &condition), place(&places, &on_true), place(&places, &on_false))
                }
                op @ (Op::Leaf(Leaf::Parameter { .. })
                | Op::Leaf(Leaf::Literal { .. })
                | Op::Leaf(Leaf::Iota { .. })
                | Op::Uniform { .. }
                | Op::Leaf(Leaf::Placeholder)
                | Op::Elementwise(Elementwise::Cast { .. } | Elementwise::RoundTo { .. })
                | Op::StopGradient { .. }
                | Op::AllReduce { .. }
                | Op::CustomGradient { .. }
                | Op::View { .. }
                | Op::Assembly(_)
                | Op::Reduce { .. }
                | Op::ArgMax { .. }
                | Op::Ordered(_)
                | Op::MatMul { .. }
                | Op::Attention(_)
                | Op::Convolution { .. }
                | Op::Indexing(_)
                | Op::Scan { .. }
                | Op::LinearAlgebra { .. }) => panic!("{} in a formula", op.name()),
            };
            places[graph.ordinal(id).unwrap()] = operations.len();
            operations.push(operation);
        }
        Compiled { operations }
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// The value as floats have it.
    pub fn value(&self, at: [f64; 3]) -> f64 {
        let mut values: Vec<f64> = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            values.push(float(operation, &values, at));
        }
        values.last().copied().unwrap_or(f64::NAN)
    }

    /// The value where the formula has one, else NaN, and how far rounding may have moved it. It has none where a part has none
    /// that the value is computed from, be it that the float of the value is a number: what a selection leaves out does not
    /// count, but what it selects by does. Neither has a division by a zero that might as well be a zero of the other sign, for
    /// floats then choose between both infinities, nor what is too large or too small for a float.
    pub fn strict_value(&self, at: [f64; 3]) -> (f64, f64) {
        let mut parts: Vec<Part> = Vec::with_capacity(self.operations.len());
        let mut values: Vec<f64> = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let value = float(operation, &values, at);
            let mut part = strict(operation, value, &parts, &self.operations);
            // So small a number has lost digits.
            if value != 0.0 && value.abs() < f64::MIN_POSITIVE {
                part.value = f64::NAN;
            }
            values.push(part.value);
            parts.push(part);
        }
        match parts.last() {
            Some(part) if part.value.is_finite() => (part.value, part.error),
            Some(_) | None => (f64::NAN, f64::NAN),
        }
    }

    /// Whether summands on the way cancel to what may be rounding alone.
    pub fn cancels(&self, at: [f64; 3]) -> bool {
        let mut parts: Vec<Part> = Vec::with_capacity(self.operations.len());
        let mut values: Vec<f64> = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let value = float(operation, &values, at);
            let part = strict(operation, value, &parts, &self.operations);
            let is_sum = matches!(operation, Operation::Binary(BinaryFunction::Add | BinaryFunction::Sub, ..));
            if is_sum && part.error > 0.0 && value.abs() <= part.error {
                return true;
            }
            values.push(value);
            parts.push(part);
        }
        false
    }

    /// Whether a number on the way is too large for a float, or too small if those count.
    pub fn leaves_range(&self, at: [f64; 3], small_counts: bool) -> bool {
        let mut values: Vec<f64> = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let value = float(operation, &values, at);
            let finite = |place: usize| values[place].is_finite();
            let out_of_range = value.is_infinite() || small_counts && value.abs() < f64::MIN_POSITIVE;
            let left = match *operation {
                Operation::Unary(UnaryFunction::Exp | UnaryFunction::Sigmoid, x) => out_of_range && finite(x),
                Operation::Binary(BinaryFunction::Div | BinaryFunction::Mul | BinaryFunction::Pow, a, b) => {
                    out_of_range && finite(a) && finite(b) && values[a] != 0.0 && values[b] != 0.0
                }
                Operation::Binary(BinaryFunction::Add | BinaryFunction::Sub, a, b) => {
                    value.is_infinite() && finite(a) && finite(b)
                }
                Operation::Symbol(_)
                | Operation::Constant(_)
                | Operation::Unary(..)
                | Operation::Binary(..)
                | Operation::Compare(..)
                | Operation::Where(..) => false,
            };
            if left {
                return true;
            }
            values.push(value);
        }
        false
    }
}

/// What is known of an operation's value at a point.
#[derive(Clone, Copy)]
struct Part {
    value: f64,
    /// How far rounding may have moved it.
    error: f64,
    sign: Sign,
    /// Whether it is a zero that is one from one side alone, as the root of `x` at 0, or one over an infinity.
    edge: bool,
}

fn strict(operation: &Operation, value: f64, parts: &[Part], operations: &[Operation]) -> Part {
    let rounding = value.abs() * f64::EPSILON;
    let nothing = Part { value: f64::NAN, error: f64::NAN, sign: Sign::Unknown, edge: false };
    let sign = sign(operation, parts, operations);
    let part =
        |error: f64| Part { value, error: if error.is_nan() { f64::INFINITY } else { error }, sign, edge: false };
    // A value that rounding may have moved over a kink.
    let unsure = |part: Part| part.error > 0.0 && part.value.abs() <= part.error;
    match *operation {
        Operation::Symbol(_) | Operation::Constant(_) => part(0.0),
        Operation::Unary(function, x) => {
            let x = parts[x];
            let kept = Part { edge: x.edge && value == 0.0, ..part(x.error + rounding) };
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "the others are no steeper than the identity, or in no formula"
            )]
            match function {
                _ if x.value.is_nan() => nothing,
                UnaryFunction::Exp if x.value.is_finite() && (value == 0.0 || value.is_infinite()) => nothing,
                UnaryFunction::Exp => part(value * x.error + rounding),
                UnaryFunction::Sigmoid if value == 0.0 && x.value.is_finite() => nothing,
                UnaryFunction::Sigmoid => part(x.error + f64::EPSILON),
                UnaryFunction::Sqrt | UnaryFunction::Log if unsure(x) => nothing,
                UnaryFunction::Log if x.value == 0.0 && (x.sign != Sign::NotNegative || x.edge) => nothing,
                UnaryFunction::Log => {
                    part(x.error / x.value.abs() + rounding + if x.value == 1.0 { 0.0 } else { f64::EPSILON })
                }
                UnaryFunction::Sqrt if x.value == 0.0 && x.edge => nothing,
                UnaryFunction::Sqrt if x.value == 0.0 => {
                    Part { edge: x.sign != Sign::NotNegative, ..part(x.error.sqrt()) }
                }
                UnaryFunction::Sqrt => part(x.error / value + rounding),
                UnaryFunction::Sign if unsure(x) => nothing,
                UnaryFunction::Sign => Part { edge: kept.edge, ..part(0.0) },
                UnaryFunction::Sin | UnaryFunction::Cos => part(x.error + x.value.abs() * f64::EPSILON + rounding),
                _ => kept,
            }
        }
        Operation::Binary(function, a, b) => {
            let (a, b) = (parts[a], parts[b]);
            let finite = a.value.is_finite() && b.value.is_finite();
            let certain = |part: Part| match part.sign {
                _ if part.edge => false,
                Sign::Unknown => false,
                Sign::NotNegative => part.value.is_sign_positive(),
                Sign::NotPositive => part.value.is_sign_negative(),
            };
            let edge = value == 0.0 && (a.edge || b.edge);
            #[expect(clippy::wildcard_enum_match_arm, reason = "formulas have no others")]
            match function {
                BinaryFunction::ReluBackward if b.value.is_nan() || unsure(b) => nothing,
                BinaryFunction::ReluBackward if b.value <= 0.0 => part(0.0),
                BinaryFunction::ReluBackward => Part { value, ..a },
                _ if a.value.is_nan() || b.value.is_nan() => nothing,
                BinaryFunction::Add | BinaryFunction::Sub => Part { edge, ..part(a.error + b.error + rounding) },
                BinaryFunction::Mul if value == 0.0 && a.value != 0.0 && b.value != 0.0 => nothing,
                BinaryFunction::Mul if value.is_infinite() && finite => nothing,
                BinaryFunction::Mul => {
                    let error = if finite { a.value.abs() * b.error + b.value.abs() * a.error + rounding } else { 0.0 };
                    Part { edge, ..part(error) }
                }
                BinaryFunction::Div if b.value == 0.0 && !certain(b) => nothing,
                BinaryFunction::Div if b.value.is_infinite() => Part { edge: true, ..part(0.0) },
                BinaryFunction::Div if b.value == 0.0 => part(0.0),
                BinaryFunction::Div if finite && (value.is_infinite() || value == 0.0 && a.value != 0.0) => nothing,
                BinaryFunction::Div => {
                    Part { edge, ..part((a.error + value.abs() * b.error) / b.value.abs() + rounding) }
                }
                BinaryFunction::Pow => {
                    let whole = b.value.fract() == 0.0;
                    match () {
                        // Floats have a root of minus infinity, and a power 0 of whatever there is.
                        () if a.value < 0.0 && !whole || a.value.is_infinite() && b.value == 0.0 => nothing,
                        () if a.value == 1.0 && b.value.is_infinite() => nothing,
                        () if a.value == 0.0 && b.value < 0.0 && a.edge => nothing,
                        () if a.value == 0.0 && b.value < 0.0 && !whole && a.sign != Sign::NotNegative => nothing,
                        () if a.value == 0.0 && b.value < 0.0 && b.value % 2.0 != 0.0 && !certain(a) => nothing,
                        () if a.value == 0.0 && a.edge && !whole => nothing,
                        () if unsure(a) && (!whole || b.value < 0.0 || a.value == 0.0) => nothing,
                        () if a.value == 0.0 && b.error > 0.0 => nothing,
                        () if a.value == 0.0 => Part { edge: !whole && a.sign != Sign::NotNegative, ..part(a.error) },
                        () if finite && (value == 0.0 || value.is_infinite()) => nothing,
                        () if a.value.is_infinite() && value == 0.0 => Part { edge: true, ..part(0.0) },
                        () if !finite => part(0.0),
                        () => {
                            let by_base = (b.value * a.error / a.value).abs();
                            let by_exponent = a.value.abs().ln().abs() * (b.error + b.value.abs() * f64::EPSILON);
                            part(value.abs() * (by_base + by_exponent) + rounding)
                        }
                    }
                }
                _ => part(a.error + b.error),
            }
        }
        Operation::Compare(_, a, b) => {
            let (a, b) = (parts[a], parts[b]);
            let difference = Part { value: a.value - b.value, error: a.error + b.error, ..nothing };
            if a.value.is_nan() || b.value.is_nan() || unsure(difference) { nothing } else { part(0.0) }
        }
        Operation::Where(condition, a, b) => {
            let condition = parts[condition].value;
            if condition.is_nan() {
                nothing
            } else if condition != 0.0 {
                parts[a]
            } else {
                parts[b]
            }
        }
    }
}

fn float(operation: &Operation, values: &[f64], at: [f64; 3]) -> f64 {
    match *operation {
        Operation::Symbol(place) => at[place],
        Operation::Constant(value) => value,
        Operation::Unary(function, x) => functions::unary(function, values[x], DType::F64),
        Operation::Binary(function, a, b) => functions::binary(function, values[a], values[b], DType::F64),
        Operation::Compare(function, a, b) => f64::from(u8::from(function.holds(values[a], values[b]))),
        Operation::Where(condition, a, b) => {
            if values[condition] != 0.0 {
                values[a]
            } else {
                values[b]
            }
        }
    }
}

fn sign(operation: &Operation, parts: &[Part], operations: &[Operation]) -> Sign {
    let signs = |place: usize| parts[place].sign;
    let negated = |sign| match sign {
        Sign::Unknown => Sign::Unknown,
        Sign::NotNegative => Sign::NotPositive,
        Sign::NotPositive => Sign::NotNegative,
    };
    match *operation {
        Operation::Constant(value) if value.is_sign_negative() => Sign::NotPositive,
        Operation::Constant(_) => Sign::NotNegative,
        Operation::Unary(UnaryFunction::Neg, x) => negated(signs(x)),
        Operation::Unary(UnaryFunction::Sign | UnaryFunction::Tanh, x) => signs(x),
        Operation::Unary(
            UnaryFunction::Abs
            | UnaryFunction::Relu
            | UnaryFunction::Exp
            | UnaryFunction::Sqrt
            | UnaryFunction::Sigmoid,
            _,
        ) => Sign::NotNegative,
        Operation::Binary(BinaryFunction::Add, a, b) if signs(a) == signs(b) => signs(a),
        Operation::Binary(BinaryFunction::Sub, a, b) if signs(a) == negated(signs(b)) => signs(a),
        Operation::Binary(BinaryFunction::Mul, a, b) if a == b => Sign::NotNegative,
        Operation::Binary(BinaryFunction::Mul | BinaryFunction::Div, a, b) => match (signs(a), signs(b)) {
            (Sign::Unknown, _) | (_, Sign::Unknown) => Sign::Unknown,
            (a, b) if a == b => Sign::NotNegative,
            _ => Sign::NotPositive,
        },
        Operation::Binary(BinaryFunction::ReluBackward, a, _) => signs(a),
        Operation::Binary(BinaryFunction::Pow, a, b) => {
            let is_even_or_broken = matches!(operations[b], Operation::Constant(exponent)
                if exponent % 2.0 == 0.0 || exponent.fract() != 0.0);
            if is_even_or_broken || signs(a) == Sign::NotNegative { Sign::NotNegative } else { Sign::Unknown }
        }
        Operation::Where(_, a, b) if signs(a) == signs(b) => signs(a),
        Operation::Where(_, a, b) => {
            if matches!(operations[a], Operation::Constant(0.0)) {
                signs(b)
            } else {
                Sign::Unknown
            }
        }
        Operation::Symbol(_) | Operation::Unary(..) | Operation::Binary(..) | Operation::Compare(..) => Sign::Unknown,
    }
}
