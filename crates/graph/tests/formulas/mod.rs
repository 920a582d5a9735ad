//! Random formulas, and their values by the reference evaluator.
#![allow(dead_code, unreachable_pub)] // Each test program that includes this uses a part of it.

pub mod points;

use std::fmt::Write as _;

use arenagrad_graph::symbolic::Formula;
use arenagrad_graph::{DType, Graph, NodeId};

use super::evaluate::{evaluate, given};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

const LEAVES: [&str; 12] = ["x", "y", "z", "x", "y", "x", "2", "3", "0.5", "pi", "1e-1", "10"];
const FUNCTIONS: [&str; 12] =
    ["exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "sigmoid", "relu", "abs", "sign", "step"];

/// The text of a random formula over x, y and z: `steps` times an operator or a function is applied to what is there.
pub fn random_text(random: &mut Random, steps: usize) -> String {
    let mut pool: Vec<String> = (0..4).map(|_| random.pick(&LEAVES).to_owned()).collect();
    for _ in 0..steps {
        let a = pool.swap_remove(random.below(pool.len()));
        let b = pool[random.below(pool.len())].clone();
        let mut text = String::new();
        match random.below(12) {
            0 | 1 => write!(text, "({a} + {b})"),
            2 | 3 => write!(text, "({a} - {b})"),
            4 | 5 => write!(text, "({a})*({b})"),
            6 => write!(text, "({a})/({b})"),
            7 => write!(text, "({a})^{}", random.pick(&["2", "3", "(-1)", "(1/2)", "1.5", "(-2)", "x"])),
            8 => write!(text, "-({a})"),
            _ => write!(text, "{}({a})", random.pick(&FUNCTIONS)),
        }
        .expect("a string takes everything");
        pool.push(text);
    }
    pool.pop().unwrap_or_default()
}

/// The text of a random formula whose functions stand inside each other: roots, powers, reciprocals and logarithms of what has a
/// kink, an edge or a pole.
pub fn nested_text(random: &mut Random, steps: usize) -> String {
    let mut text = kinked(random);
    for _ in 0..steps {
        text = match random.below(18) {
            0 => format!("sqrt({text})"),
            1 | 2 => format!("({text})^{}", random.pick(&EXPONENTS)),
            3 => format!("{}/({text})", random.pick(&["1", "-1", "x", "y", "2"])),
            4 => format!("log({text})"),
            5 => format!("exp({text})"),
            6 | 7 => format!("{}({text})", random.pick(&["relu", "abs", "step", "sign"])),
            8 => format!("{}({text})", random.pick(&["tanh", "sigmoid", "sin", "cos", "tan"])),
            9 => format!("({text})*{}", kinked(random)),
            10 => format!("{}*({text})", kinked(random)),
            11 => format!("({text}) + {}", kinked(random)),
            12 => format!("{} - ({text})", kinked(random)),
            13 => format!("({text})/({})", kinked(random)),
            14 => format!("-({text})"),
            15 => format!("exp(-({text}))"),
            16 => format!("({})^({text})", random.pick(&["x", "abs(y)", "relu(x)", "2", "y"])),
            _ => format!("({text})*({})", random_text(random, 2)),
        };
    }
    text
}

/// Powers of all kinds: whole and not, above and below 0, and with symbols.
const EXPONENTS: [&str; 14] =
    ["2", "3", "4", "(1/2)", "0.25", "1.5", "(-1)", "(-2)", "(-1/2)", "(2/3)", "(-1.5)", "y", "x", "(y + 1)"];

/// Something with a kink, or a symbol.
fn kinked(random: &mut Random) -> String {
    let inner = random.pick(&["x", "x", "y", "-x", "x - 1", "1 - x", "x*y", "x + y", "y - x", "x^2 - 1", "z", "2*x"]);
    match random.below(12) {
        0..=2 => format!("relu({inner})"),
        3 | 4 => format!("abs({inner})"),
        5 => format!("step({inner})"),
        6 => format!("sign({inner})"),
        7 => format!("relu({inner})*step({})", random.pick(&["x", "y", "-x", "y - x"])),
        8 => format!("{}*step({inner})", random.pick(&["x", "y", "1/x", "log(x)", "sqrt(y)"])),
        9 => random.pick(&["x", "y", "z"]).to_owned(),
        _ => format!("({inner})"),
    }
}

/// Points on both sides of the kinks and exactly at them, near and far.
pub fn random_point(random: &mut Random) -> [f64; 3] {
    const COORDINATES: [f64; 20] = [
        0.0, 0.0, 0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 1e-6, -1e-6, 1e3, -1e3, 0.7, -1.3, 1.9, -0.4, 40.0, -40.0,
    ];
    [0; 3].map(|_| random.pick(&COORDINATES))
}

/// The values of formulas at one point, by the reference evaluator.
pub fn values(formulas: &[&Formula], at: [(&str, f64); 3]) -> Vec<f64> {
    let graph = Graph::new();
    let symbols = at.map(|(name, _)| (name, graph.input_of(name, [], DType::F64)));
    let mut outputs: Vec<NodeId> = Vec::new();
    for formula in formulas {
        let known = formula.known_symbols();
        let arguments: Vec<_> =
            symbols.iter().copied().filter(|(name, _)| known.iter().any(|own| own == name)).collect();
        outputs.push(formula.apply(&graph, &arguments).unwrap().id().unwrap());
    }
    let given = given(at.map(|(name, value)| (name, vec![value])));
    evaluate(&graph, &outputs, &given).into_iter().map(|elements| elements[0]).collect()
}

/// Whether two values agree to about nine digits, or to what is lost when terms of size `scale` cancel.
pub fn agree(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + 1e-12 * scale
}
