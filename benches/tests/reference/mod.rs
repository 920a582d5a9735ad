//! The workloads' losses by other means: plain loops in f64 on the host, which share nothing with the engine but the numbers that
//! they begin with. Gradients are held to what these losses change by when all parameters move a little.

mod layers;
mod losses;

use std::collections::BTreeMap;

use arenagrad::{Device, Session, Tensor};
use arenagrad_benches::{Phase, Program, workload};

pub(crate) use losses::{attention, embedding, gpt, gru, layer_norm, perceptron};

/// What a loss is computed from: parameters, states and inputs by name, each row-major.
#[derive(Clone)]
pub(crate) struct Values(BTreeMap<String, Vec<f64>>);

/// How many directions the parameters are moved in, both ways.
const DIRECTIONS: u64 = 2;

/// How far the loss moves, more or less: little, for a loss has bends (where a ReLU begins), and f64 has digits enough.
const STEP: f64 = 1e-7;

/// How far two derivatives may be apart, where that of each parameter is about 1: a parameter whose gradient is wrong by a
/// thousandth of its norm shows, even among fifty.
const TOLERANCE: f64 = 1e-4;

impl Values {
    fn of(program: &Program) -> Values {
        let session = program.session().unwrap();
        let parameters = session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap()));
        let inputs = program.inputs().iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Values(parameters.chain(inputs).map(|(name, value): (String, Tensor)| (name, value.to_f64_vec())).collect())
    }

    /// The elements of that name.
    fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("the workload has nothing named {name:?}"))
    }

    fn indices(&self, name: &str) -> Vec<usize> {
        self.get(name).iter().map(|&index| index as usize).collect()
    }

    /// These values with a multiple of a direction added.
    fn moved(&self, direction: &BTreeMap<String, Vec<f64>>, factor: f64) -> Values {
        let mut moved = self.clone();
        for (name, direction) in direction {
            let value = moved.0.get_mut(name).unwrap();
            value.iter_mut().zip(direction).for_each(|(value, direction)| *value += factor * direction);
        }
        moved
    }
}

/// Holds a workload's loss, and its gradients with respect to all parameters, to a loss that is computed by other means.
pub(crate) fn hold(name: &str, devices: &[Device], loss: impl Fn(&Values) -> f64) {
    let mut programs = Vec::new();
    for device in devices {
        let mut program = workload(name).unwrap().program(Phase::ForwardBackward, device).unwrap();
        let reported = program.call().unwrap();
        programs.push((device, program, reported));
    }
    let values = Values::of(&programs[0].1);
    let expected = loss(&values);
    for (device, _, reported) in &programs {
        assert!((reported - expected).abs() <= 1e-5 * expected.abs(), "{name} on {device}: {reported}, not {expected}");
    }

    let gradients: Vec<_> = programs.iter().map(|(_, program, _)| gradients(program.session().unwrap())).collect();
    for seed in 0..DIRECTIONS {
        let direction = direction(&gradients[0], seed);
        let [above, below] = [STEP, -STEP].map(|factor| loss(&values.moved(&direction, factor)));
        let numerical = (above - below) / (2.0 * STEP);
        for ((device, ..), gradients) in programs.iter().zip(&gradients) {
            let analytic: f64 = gradients.iter().map(|(name, gradient)| dot(gradient, &direction[name])).sum();
            assert!((analytic - numerical).abs() < TOLERANCE, "{name} on {device}: {analytic}, not {numerical}");
        }
    }
}

fn gradients(session: &Session) -> BTreeMap<String, Vec<f64>> {
    let gradient = |name: &str| session.parameter(&format!("{name}.gradient")).unwrap().to_f64_vec();
    session.trainable_names().map(|name| (name.to_owned(), gradient(name))).collect()
}

/// A step in every element of every parameter, up or down by chance. Its length is such that each parameter's gradient weighs as
/// much as any other's.
fn direction(gradients: &BTreeMap<String, Vec<f64>>, seed: u64) -> BTreeMap<String, Vec<f64>> {
    let mut state = seed;
    let mut direction = BTreeMap::new();
    for (name, gradient) in gradients {
        let norm = dot(gradient, gradient).sqrt();
        assert!(norm > 0.0, "{name} has no gradient");
        direction.insert(name.clone(), gradient.iter().map(|_| sign(&mut state) / norm).collect());
    }
    direction
}

/// 1 or -1, by the generator SplitMix64 (Steele et al. 2014).
fn sign(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (mixed ^ (mixed >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
}

/// The sum of products, added up in runs: one long sum of millions would lose the digits that differences are made of.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let runs = a.chunks(1024).zip(b.chunks(1024));
    runs.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()).sum()
}
