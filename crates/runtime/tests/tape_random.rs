//! Random programs over variables, held against a plain evaluation in f64 beside them: operations, questions at random times,
//! clones, drops, frozen leaves, new values, refused operations in between, and two tapes mixed.

use crate::suite::random::Random;
use arenagrad::{Device, Error, Tape, Tensor, Variable};

/// What a variable should be: its value, and its derivative by each leaf.
#[derive(Clone)]
struct Expected {
    value: f64,
    slopes: Vec<f64>,
    requires_grad: bool,
}

struct Leaf {
    variable: Variable,
    value: f64,
    gradient: Option<f64>,
    requires_grad: bool,
}

/// A tape, and what it should hold.
struct Program {
    tape: Tape,
    leaves: Vec<Leaf>,
    held: Vec<(Variable, Expected)>,
}

const LEAVES: usize = 4;

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * (1.0 + expected.abs())
}

impl Program {
    fn new(random: &mut Random) -> Program {
        let tape = Tape::new(Device::cpu());
        let leaf = |value: f64, requires_grad: bool| {
            let variable = tape.leaf(Tensor::scalar(value));
            variable.set_requires_grad(requires_grad).unwrap();
            Leaf { variable, value, gradient: None, requires_grad }
        };
        let values = random.floats(LEAVES, -1.0, 1.0);
        let leaves = values.iter().enumerate().map(|(number, &value)| leaf(value, number % 2 == 0)).collect();
        Program { tape, leaves, held: Vec::new() }
    }

    /// An operand: a leaf, or something that is held.
    fn operand(&self, random: &mut Random) -> (Variable, Expected) {
        let number = random.below(LEAVES + self.held.len());
        if number >= LEAVES {
            return self.held[number - LEAVES].clone();
        }
        let leaf = &self.leaves[number];
        let slopes = (0..LEAVES).map(|other| f64::from(u8::from(other == number && leaf.requires_grad))).collect();
        (leaf.variable.clone(), Expected { value: leaf.value, slopes, requires_grad: leaf.requires_grad })
    }

    fn hold(&mut self, variable: Variable, expected: Expected, random: &mut Random) {
        if self.held.len() < 12 {
            self.held.push((variable, expected));
        } else {
            let place = random.below(self.held.len());
            self.held[place] = (variable, expected);
        }
    }

    fn step(&mut self, other: &Program, random: &mut Random) {
        let (a, x) = self.operand(random);
        let (b, y) = self.operand(random);
        let chain = |value: f64, by_x: f64, by_y: f64| Expected {
            value,
            slopes: x.slopes.iter().zip(&y.slopes).map(|(x, y)| by_x * x + by_y * y).collect(),
            requires_grad: x.requires_grad || y.requires_grad,
        };
        match random.below(16) {
            0 | 1 => {
                self.hold(&a + &b, chain(x.value + y.value, 1.0, 1.0), random);
            }
            2 | 3 => {
                let value = (x.value * y.value).tanh();
                let slope = 1.0 - value * value;
                self.hold((&a * &b).tanh(), chain(value, slope * y.value, slope * x.value), random);
            }
            4 => {
                let expected = Expected { requires_grad: x.requires_grad, ..chain(x.value.sin(), x.value.cos(), 0.0) };
                self.hold(a.sin(), expected, random);
            }
            5 => {
                let expected = Expected { value: x.value, slopes: vec![0.0; LEAVES], requires_grad: false };
                self.hold(a.detach(), expected, random);
            }
            6 => {
                let expected = Expected { value: x.value * 0.5 + 0.1, slopes: vec![0.0; LEAVES], requires_grad: false };
                let made = self.tape.no_grad(|| &a * 0.5 + 0.1);
                self.hold(made, expected, random);
            }
            7 => assert!(close(a.item().unwrap(), x.value), "{} not {}", a.item().unwrap(), x.value),
            8 => assert!(close(b.data().unwrap().item().unwrap(), y.value)),
            9 => {
                let leaf = random.below(LEAVES);
                let value = random.floats(1, -1.0, 1.0)[0];
                self.leaves[leaf].variable.set_data(Tensor::scalar(value));
                self.leaves[leaf].value = value;
            }
            10 => {
                let leaf = &mut self.leaves[random.below(LEAVES)];
                leaf.requires_grad = !leaf.requires_grad;
                leaf.variable.set_requires_grad(leaf.requires_grad).unwrap();
            }
            11 => match a.backward_retained() {
                Ok(()) => {
                    assert!(x.requires_grad);
                    for (leaf, slope) in self.leaves.iter_mut().zip(&x.slopes) {
                        if leaf.requires_grad && (*slope != 0.0 || leaf.variable.has_grad()) {
                            leaf.gradient = Some(leaf.gradient.unwrap_or(0.0) + slope);
                        }
                    }
                }
                Err(error) => assert!(!x.requires_grad, "{error}"),
            },
            12 => {
                // Refused in every way, by turns.
                let refused = match random.below(5) {
                    0 => (&a + &other.leaves[0].variable).check(),
                    1 => a.reshape([7]).data().map(drop),
                    2 => (&a + &self.tape.leaf(Tensor::scalar(1.0f32))).check(),
                    3 => a.map(|a| a.exp() + a.graph().input("0", [])).check(),
                    _ => (&a + &self.tape.leaf(Tensor::zeros([1; 17], arenagrad::DType::F64).unwrap())).check(),
                };
                assert!(matches!(refused, Err(Error::Graph(_))), "{refused:?}");
            }
            13 => {
                if !self.held.is_empty() {
                    let place = random.below(self.held.len());
                    drop(self.held.swap_remove(place));
                }
            }
            14 => {
                let wrt: Vec<&Variable> = self.leaves.iter().map(|leaf| &leaf.variable).collect();
                let Ok(gradients) = self.tape.gradients(&a, &wrt) else { return assert!(!x.requires_grad) };
                for ((leaf, slope), gradient) in self.leaves.iter().zip(&x.slopes).zip(gradients) {
                    let found = gradient.map_or(0.0, |gradient| gradient.item().unwrap());
                    let expected = if leaf.requires_grad { *slope } else { 0.0 };
                    assert!(close(found, expected), "{found}, not {expected}");
                }
            }
            _ => {
                self.tape.zero_grad();
                self.leaves.iter_mut().for_each(|leaf| leaf.gradient = None);
            }
        }
    }

    fn check(&self) {
        for (variable, expected) in &self.held {
            let found = variable.item().unwrap();
            assert!(close(found, expected.value), "{found}, not {}", expected.value);
            assert_eq!(variable.does_require_grad(), expected.requires_grad);
        }
        for leaf in &self.leaves {
            assert!(close(leaf.variable.item().unwrap(), leaf.value));
            let found = if leaf.variable.has_grad() { leaf.variable.grad().unwrap().item().unwrap() } else { 0.0 };
            let expected = leaf.gradient.unwrap_or(0.0);
            assert!(close(found, expected), "a gradient of {found}, not {expected}");
        }
    }
}

#[test]
fn random_programs_compute_what_plain_numbers_do() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let (mut first, mut second) = (Program::new(&mut random), Program::new(&mut random));
        for _ in 0..400 {
            first.step(&second, &mut random);
            second.step(&first, &mut random);
        }
        first.check();
        second.check();
    }
}
