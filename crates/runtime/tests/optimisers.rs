//! Optimisers, and what stands around them, against PyTorch: the parameters of a network after some updates, in f64 to the last digits
//! and in f32 within its rounding.

use std::collections::HashMap;

use serde_json::Value;

use crate::suite::devices::devices;
use arenagrad::train::optimisers::MuonRate;
use arenagrad::train::schedules::OneCycle;
use arenagrad::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, DType, Device, Expr, Graph, Init, Lamb, Lion, Muon, NAdam, Optimizer,
    RAdam, RmsProp, Session, Sgd, Tensor,
};

/// The parameters of the network, and their shapes.
pub(crate) const PARAMETERS: [(&str, &[usize]); 4] = [("w1", &[3, 4]), ("b1", &[4]), ("w2", &[4, 2]), ("s", &[])];

/// The lines of a file of reference values.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Numbers of a line, which may be one alone.
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(values) => values.iter().map(|value| value.as_f64().expect("a number")).collect(),
        None => vec![value.as_f64().expect("a number")],
    }
}

fn reference() -> Vec<Value> {
    lines(include_str!("optimisers/parameters.jsonl"))
}

/// The network's loss, and its inputs by name.
pub(crate) fn network(g: &Graph, dtype: DType) -> (Expr<'_>, Vec<(&'static str, Tensor)>) {
    let inputs = &reference()[0];
    let [w1, b1, w2, s] =
        PARAMETERS.map(|(name, shape)| g.parameter_of(name, shape, dtype, Init::Values(numbers(&inputs[name]))));
    let (x, t) = (g.input_of("x", [5, 3], dtype), g.input_of("t", [5, 2], dtype));
    let loss = ((x.matmul(w1) + b1).tanh().matmul(w2) * s - t).square().mean(..);
    let tensor = |name: &str, shape: [usize; 2]| Tensor::new(shape, numbers(&inputs[name])).unwrap().cast(dtype);
    (loss, vec![("x", tensor("x", [5, 3])), ("t", tensor("t", [5, 2]))])
}

/// Holds the parameters, or the states beside them with that suffix, to the values of a case.
fn follows(case: &str, optimizer: &dyn Optimizer, suffix: &str) {
    let reference = reference();
    let expected: HashMap<u64, &Value> = reference
        .iter()
        .filter(|line| line["case"] == case)
        .map(|line| (line["step"].as_u64().unwrap(), line))
        .collect();
    assert_eq!(expected.len(), 2, "{case}");
    let runs = std::iter::once((Device::cpu(), DType::F64)).chain(devices().into_iter().map(|d| (d, DType::F32)));
    for (device, dtype) in runs {
        let g = Graph::new();
        let (loss, inputs) = network(&g, dtype);
        let mut session = Session::builder(device.clone()).train(&g, loss, optimizer).unwrap();
        let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
        for step in 1..=25 {
            session.step(&inputs).unwrap();
            let Some(line) = expected.get(&step) else { continue };
            for (name, _) in PARAMETERS {
                let found = session.parameter(&format!("{name}{suffix}")).unwrap().to_f64_vec();
                let values = numbers(&line[name]);
                let largest = values.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
                // Each update rounds some ten times, and what it makes of that the next ones carry on.
                let tolerance = match dtype {
                    DType::F64 => 1e-12,
                    DType::F32 | DType::I32 | DType::Bool => 4.0 * f64::from(f32::EPSILON) * (10.0 + step as f64),
                };
                for (found, expected) in found.iter().zip(&values) {
                    let difference = (found - expected).abs();
                    assert!(
                        difference <= tolerance * largest,
                        "{case}, {device}, {dtype}, {name} after {step}: {found}, not {expected}, off by {difference:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn sgd() {
    follows("sgd", &Sgd::new(0.1), "");
    follows("sgd_momentum_decay", &Sgd::new(0.05).momentum(0.9).weight_decay(0.01), "");
    follows("sgd_nesterov", &Sgd::new(0.05).momentum(0.8).nesterov(), "");
    follows("sgd_dampening", &Sgd::new(0.05).momentum(0.9).dampening(0.3), "");
    follows("sgd_maximize", &Sgd::new(0.001).momentum(0.5).weight_decay(0.1).maximize(), "");
}

#[test]
fn adam() {
    follows("adam", &Adam::new(0.02), "");
    follows("adam_decay", &Adam::new(0.02).betas(0.8, 0.95).eps(1e-6).weight_decay(0.05), "");
    follows("adam_amsgrad", &Adam::new(0.05).betas(0.7, 0.6).amsgrad(), "");
    follows("adam_maximize", &Adam::new(0.01).weight_decay(0.1).maximize(), "");
    follows("adamw", &AdamW::new(0.02), "");
    follows("adamw_amsgrad", &AdamW::new(0.05).betas(0.7, 0.6).weight_decay(0.2).amsgrad(), "");
    follows("adamw_maximize", &AdamW::new(0.01).maximize(), "");
}

#[test]
fn nadam_and_radam() {
    follows("nadam", &NAdam::new(0.02), "");
    follows("nadam_decay", &NAdam::new(0.02).betas(0.8, 0.95).weight_decay(0.05).momentum_decay(0.01), "");
    follows("nadam_decoupled", &NAdam::new(0.02).decoupled_weight_decay(0.3).maximize(), "");
    follows("radam", &RAdam::new(0.02), "");
    follows("radam_decay", &RAdam::new(0.02).betas(0.8, 0.95).weight_decay(0.05), "");
    follows("radam_decoupled", &RAdam::new(0.02).betas(0.85, 0.9).decoupled_weight_decay(0.3), "");
}

#[test]
fn rmsprop() {
    follows("rmsprop", &RmsProp::new(0.01), "");
    let all = RmsProp::new(0.005).alpha(0.9).eps(1e-6).weight_decay(0.05).momentum(0.8).centered();
    follows("rmsprop_all", &all, "");
    follows("rmsprop_maximize", &RmsProp::new(0.002).centered().maximize(), "");
}

#[test]
fn adagrad_adadelta_and_adamax() {
    follows("adagrad", &Adagrad::new(0.1), "");
    let all = Adagrad::new(0.1).rate_decay(0.1).weight_decay(0.05).initial_sum(0.2).eps(1e-6);
    follows("adagrad_all", &all, "");
    follows("adagrad_maximize", &Adagrad::new(0.01).maximize(), "");
    follows("adadelta", &Adadelta::new(1.0), "");
    follows("adadelta_all", &Adadelta::new(0.5).rho(0.8).eps(1e-4).weight_decay(0.05), "");
    follows("adadelta_maximize", &Adadelta::new(0.5).eps(1e-4).maximize(), "");
    follows("adamax", &Adamax::new(0.02), "");
    follows("adamax_all", &Adamax::new(0.02).betas(0.8, 0.9).eps(1e-3).weight_decay(0.05), "");
    follows("adamax_maximize", &Adamax::new(0.005).maximize(), "");
}

#[test]
fn lion_and_lamb() {
    follows("lion", &Lion::new(0.01), "");
    follows("lion_decay", &Lion::new(0.01).betas(0.7, 0.8).weight_decay(0.5), "");
    follows("lamb", &Lamb::new(0.02), "");
    follows("lamb_all", &Lamb::new(0.02).betas(0.8, 0.9).eps(1e-3).weight_decay(0.2), "");
}

#[test]
fn muon() {
    follows("muon", &Muon::new(0.02).rest(AdamW::new(0.01)), "");
    let all = Muon::new(0.02).weight_decay(0.5).momentum(0.7).without_nesterov().adjustment(MuonRate::MatchAdamW);
    follows("muon_all", &all.rest(Sgd::new(0.05)), "");
    let spectral = Muon::new(0.02).adjustment(MuonRate::Spectral);
    follows("muon_spectral", &Sgd::new(0.05).group("matrices", "w*", spectral), "");
}

#[test]
fn clipped_gradients() {
    follows("clip_norm", &Adam::new(0.02).clip_norm(0.5), "");
    follows("clip_norm_sgd", &Sgd::new(0.1).momentum(0.9).clip_norm(0.25), "");
    follows("clip_value", &Sgd::new(0.1).momentum(0.9).clip_value(0.1), "");
}

#[test]
fn groups() {
    let groups = AdamW::new(0.02).weight_decay(0.05).no_decay("b*").no_decay("s");
    follows("groups", &groups.scale_rate("w2", 0.2).scale_decay("w2", 0.5), "");
    let two = Adam::new(0.02).group("sgd", "w2", Sgd::new(0.05).momentum(0.9));
    follows("two_optimisers", &two.group("other", "s", Sgd::new(0.05).momentum(0.9)), "");
    follows("frozen", &Adam::new(0.02).freeze("w1").freeze("s"), "");
    follows("frozen", &Adam::new(0.02).freeze("w1").freeze("s").accumulate(1), "");
}

#[test]
fn momentum_that_a_schedule_says() {
    follows("one_cycle_adam", &Adam::new(0.1).schedule(OneCycle::new(25)), "");
    follows("one_cycle_sgd", &Sgd::new(0.1).momentum(0.9).schedule(OneCycle::new(25)), "");
    follows("one_cycle_rmsprop", &RmsProp::new(0.1).momentum(0.9).schedule(OneCycle::new(25)), "");
}

#[test]
fn moving_averages() {
    follows("average", &Adam::new(0.05).moving_average(0.9), ".average");
}

/// The variance of gradients that hardly change is a small difference of large squares, which must not be computed as one.
#[test]
fn centred_rmsprop_under_a_steady_gradient() {
    let trained = |dtype: DType, device: &Device| {
        let g = Graph::new();
        let w = g.parameter_of("w", [2], dtype, Init::Constant(1.0));
        let slopes =
            if dtype == DType::F64 { g.literal([2], vec![0.1f64, 7.7]) } else { g.literal([2], vec![0.1f32, 7.7]) };
        let loss = (slopes * w).sum(..);
        let mut session = Session::train(&g, loss, RmsProp::new(0.001).centered(), device.clone()).unwrap();
        for _ in 0..1400 {
            session.step(&[]).unwrap();
        }
        session.parameter("w").unwrap().to_f64_vec()
    };
    let exact = trained(DType::F64, &Device::cpu());
    for device in devices() {
        let found = trained(DType::F32, &device);
        for (found, exact) in found.iter().zip(&exact) {
            assert!((found / exact - 1.0).abs() < 1e-3, "{device}: {found}, in f64 {exact}");
        }
    }
}
