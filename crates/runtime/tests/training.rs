//! Training sessions: optimisers against plain f64 implementations, both devices against each other, and everything that makes
//! a run repeatable.

use std::path::PathBuf;

use crate::suite::devices::{devices, gpu};
use crate::suite::random::Random;
use arenagrad::{Adam, AdamW, DType, Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd, Tensor};

/// A network of two layers, 3-6-2, over five samples, and its mean squared error.
fn network(g: &Graph) -> Expr<'_> {
    let (x, t) = (g.input("x", [5, 3]), g.input("t", [5, 2]));
    let w1 = g.parameter("w1", [3, 6], Init::KaimingUniform);
    let b1 = g.parameter("b1", [6], Init::Uniform { low: -0.1, high: 0.1 });
    let w2 = g.parameter("w2", [6, 2], Init::Normal { mean: 0.0, deviation: 0.5 });
    let y = (x.matmul(w1) + b1).tanh().matmul(w2).named("y");
    (y - t).square().mean(..).named("loss")
}

fn batch(seed: u64) -> (Tensor, Tensor) {
    let mut random = Random(seed);
    let mut tensor = |shape: [usize; 2]| {
        let elements = random.floats(shape[0] * shape[1], -1.0, 1.0);
        Tensor::new(shape, elements.iter().map(|&x| x as f32).collect()).unwrap()
    };
    (tensor([5, 3]), tensor([5, 2]))
}

fn parameters(session: &Session) -> Vec<(String, Tensor)> {
    session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect()
}

/// The losses of that many steps, each on a batch of its own.
fn losses(session: &mut Session, steps: std::ops::Range<u64>) -> Vec<f64> {
    steps
        .map(|step| {
            let (x, t) = batch(step);
            session.step(&[("x", &x), ("t", &t)]).unwrap()
        })
        .collect()
}

/// One parameter's update, in f64: the count of updates from 1, gradient, parameter, and two states.
type Rule = fn(i32, f64, &mut f64, &mut [f64; 2]);

/// Trains `sum(c (p - target)^2) / 2`, whose gradient is `c (p - target)`, and holds each step against the rule.
fn follows(optimizer: &dyn Optimizer, rule: Rule) {
    let (c, target) = ([1.0, 0.5, 3.0, 0.25], [1.0, -2.0, 0.5, 4.0]);
    let start = [2.0, 1.0, -1.0, 0.5];
    for device in devices() {
        let g = Graph::new();
        let p = g.parameter("p", [4], Init::Values(start.to_vec()));
        let c32 = g.literal([4], c.map(|c| c as f32));
        let loss = (c32 * (p - g.literal([4], target.map(|t| t as f32))).square()).sum(..) * 0.5;
        let mut session = Session::builder(device.clone()).train(&g, loss, optimizer).unwrap();
        let (mut p, mut states) = (start, [[0.0; 2]; 4]);
        for step in 1..=20 {
            let expected: f64 = (0..4).map(|i| 0.5 * c[i] * (p[i] - target[i]).powi(2)).sum();
            let found = session.step(&[]).unwrap();
            assert!(
                (found - expected).abs() <= 1e-5 * (1.0 + expected),
                "{device}, step {step}: {found}, not {expected}"
            );
            for i in 0..4 {
                rule(step, c[i] * (p[i] - target[i]), &mut p[i], &mut states[i]);
            }
            let found = session.parameter("p").unwrap().to_f64_vec();
            for (found, expected) in found.iter().zip(p) {
                // Each of `step` updates rounds a few times, relative to numbers of about 4.
                let tolerance = 4.0 * 16.0 * f64::from(step) * f64::from(f32::EPSILON);
                assert!((found - expected).abs() <= tolerance, "{device}, step {step}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn sgd_follows_its_formula() {
    follows(&Sgd::new(0.1), |_, g, p, _| *p -= 0.1 * g);
    follows(&Sgd::new(0.1).weight_decay(0.05), |_, g, p, _| *p -= 0.1 * (g + 0.05 * *p));
    follows(&Sgd::new(0.1).momentum(0.9), |_, g, p, [v, _]| {
        *v = 0.9 * *v + g;
        *p -= 0.1 * *v;
    });
    follows(&Sgd::new(0.05).momentum(0.8).nesterov().weight_decay(0.01), |_, g, p, [v, _]| {
        let g = g + 0.01 * *p;
        *v = 0.8 * *v + g;
        *p -= 0.05 * (g + 0.8 * *v);
    });
}

fn adam(step: i32, g: f64, p: &mut f64, [m, v]: &mut [f64; 2], rate: f64, betas: (f64, f64), epsilon: f64) {
    *m = betas.0 * *m + (1.0 - betas.0) * g;
    *v = betas.1 * *v + (1.0 - betas.1) * g * g;
    let (m_hat, v_hat) = (*m / (1.0 - betas.0.powi(step)), *v / (1.0 - betas.1.powi(step)));
    *p -= rate * m_hat / (v_hat.sqrt() + epsilon);
}

#[test]
fn adam_follows_its_formula() {
    follows(&Adam::new(0.01), |t, g, p, s| adam(t, g, p, s, 0.01, (0.9, 0.999), 1e-8));
    follows(&Adam::new(0.02).betas(0.5, 0.75).eps(0.125), |t, g, p, s| adam(t, g, p, s, 0.02, (0.5, 0.75), 0.125));
    follows(&AdamW::new(0.01), |t, g, p, s| {
        *p *= 1.0 - 0.01 * 0.01;
        adam(t, g, p, s, 0.01, (0.9, 0.999), 1e-8);
    });
    follows(&AdamW::new(0.02).weight_decay(0.25).betas(0.8, 0.9).eps(1e-3), |t, g, p, s| {
        *p *= 1.0 - 0.02 * 0.25;
        adam(t, g, p, s, 0.02, (0.8, 0.9), 1e-3);
    });
}

/// `f64` parameters train in f64, with the learning rate that they were given but for its rounding to f32.
#[test]
fn double_precision_trains() {
    let g = Graph::new();
    let p = g.parameter_of("p", [2], DType::F64, Init::Values(vec![1.0, -3.0]));
    let mut session = Session::train(&g, p.square().sum(..), Sgd::new(0.125), Device::cpu()).unwrap();
    for _ in 0..4 {
        session.step(&[]).unwrap();
    }
    assert_eq!(session.parameter("p").unwrap().as_slice::<f64>().unwrap(), [0.31640625, -0.94921875]);
}

#[test]
fn devices_agree_on_a_loss_curve() {
    let Some(gpu) = gpu() else { return };
    let optimizers: [&dyn Optimizer; 3] = [&Sgd::new(0.1).momentum(0.9), &Adam::new(0.01), &AdamW::new(0.01)];
    for optimizer in optimizers {
        let [cpu, gpu] = [Device::cpu(), gpu.clone()].map(|device| {
            let g = Graph::new();
            let loss = network(&g);
            losses(&mut Session::builder(device).seed(7).train(&g, loss, optimizer).unwrap(), 0..60)
        });
        assert!(cpu[59] < cpu[0]);
        for (step, (cpu, gpu)) in cpu.iter().zip(&gpu).enumerate() {
            assert!((cpu - gpu).abs() < 1e-4 * (1.0 + cpu), "step {step}: {cpu} on the CPU, {gpu} on the GPU");
        }
    }
}

#[test]
fn the_learning_rate_can_be_changed() {
    for device in devices() {
        let g = Graph::new();
        let p = g.parameter("p", [], Init::Constant(1.0));
        let mut session = Session::train(&g, p * 1.0, Sgd::new(0.25), device.clone()).unwrap();
        let mut value = 1.0;
        for rate in [0.25, 0.5, 0.0, 2.0] {
            session.set_learning_rate(rate).unwrap();
            session.step(&[]).unwrap();
            value -= rate;
            assert_eq!(session.parameter("p").unwrap().item().unwrap(), value, "{device}");
        }
        for rate in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(matches!(session.set_learning_rate(rate), Err(Error::Hyperparameter { .. })), "{rate}");
        }
    }
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn a_resumed_run_continues_bit_for_bit() {
    for (number, device) in devices().into_iter().enumerate() {
        let g = Graph::new();
        let loss = network(&g);
        let make = |seed| Session::builder(device.clone()).seed(seed).train(&g, loss, &AdamW::new(0.02)).unwrap();
        let mut whole = make(1);
        losses(&mut whole, 0..10);
        let path = file(&format!("resumed{number}.safetensors"));
        whole.save(&path).unwrap();
        let rest = losses(&mut whole, 10..25);
        let mut resumed = make(2);
        resumed.load(&path).unwrap();
        assert_eq!(losses(&mut resumed, 10..25), rest, "{device}");
        assert_eq!(parameters(&resumed), parameters(&whole), "{device}");
        // A file from one device continues on another.
        let mut elsewhere = Session::train(&g, loss, AdamW::new(0.02), Device::cpu()).unwrap();
        elsewhere.load(&path).unwrap();
        for (a, b) in losses(&mut elsewhere, 10..25).iter().zip(&rest) {
            assert!((a - b).abs() < 1e-4, "{device}: {a} and {b}");
        }
    }
}

#[test]
fn plans_of_a_session_share_its_parameters() {
    for device in devices() {
        let g = Graph::new();
        let loss = network(&g);
        let mut session = Session::builder(device.clone()).seed(3).train(&g, loss, &Sgd::new(0.1)).unwrap();
        losses(&mut session, 0..5);
        // The same network on one sample, built anew.
        let single = Graph::new();
        let x = single.input("x", [1, 3]);
        let w1 = single.parameter("w1", [3, 6], Init::Constant(9.0));
        let b1 = single.parameter("b1", [6], Init::Constant(9.0));
        let w2 = single.parameter("w2", [6, 2], Init::Constant(9.0));
        let extra = single.parameter("extra", [], Init::Constant(2.0));
        let y = (x.matmul(w1) + b1).tanh().matmul(w2);
        let plan = session.add(&single, &[y * extra, w1]).unwrap();
        for steps in 0..3u64 {
            losses(&mut session, 5 * steps..5 * steps + 5);
            let x = Tensor::new([1, 3], vec![0.5f32, -0.25, 1.0]).unwrap();
            let results = session.run_plan(plan, &[("x", &x)]).unwrap();
            let w1 = session.parameter("w1").unwrap();
            assert_eq!(results[1], w1, "{device}");
            let [w1, b1, w2] = ["w1", "b1", "w2"].map(|name| session.parameter(name).unwrap().to_f64_vec());
            let hidden: Vec<f64> =
                (0..6).map(|j| (0.5 * w1[j] - 0.25 * w1[6 + j] + w1[12 + j] + b1[j]).tanh()).collect();
            for (column, found) in results[0].to_f64_vec().iter().enumerate() {
                let expected: f64 = (0..6).map(|j| 2.0 * hidden[j] * w2[2 * j + column]).sum();
                assert!((found - expected).abs() < 1e-5, "{device}: {found}, not {expected}");
            }
            assert_eq!(session.run(&[("x", &x)]).unwrap(), results, "run takes the first added plan");
        }
    }
}

#[test]
fn metrics_are_of_the_step_that_reports_them() {
    for device in devices() {
        let g = Graph::new();
        let loss = network(&g);
        let w2 = g.expr(g.declarations()[4].node);
        let metrics = [loss * 2.0, w2, g.step().cast(DType::F32)];
        let mut session =
            Session::builder(device.clone()).seed(5).metrics(&metrics).train(&g, loss, &Sgd::new(0.5)).unwrap();
        for step in 0..4 {
            let before = session.parameter("w2").unwrap();
            let (x, t) = batch(step);
            let outcome = session.step_with_metrics(&[("x", &x), ("t", &t)]).unwrap();
            assert_eq!(outcome.metrics[0].item().unwrap(), 2.0 * outcome.loss, "{device}");
            assert_eq!(outcome.metrics[1], before, "{device}: a metric is read before the update");
            assert_eq!(outcome.metrics[2].item().unwrap(), step as f64, "{device}");
            assert_ne!(session.parameter("w2").unwrap(), before, "{device}");
        }
        assert_eq!(session.parameter("step").unwrap().item().unwrap(), 4.0, "{device}");
    }
}

#[test]
fn seeds_decide_the_first_values() {
    let initial = |seed: u64, device: &Device| {
        let g = Graph::new();
        let loss = network(&g);
        let session = Session::builder(device.clone()).seed(seed).train(&g, loss, &Sgd::new(0.1)).unwrap();
        parameters(&session)
    };
    let cpu = initial(1, &Device::cpu());
    assert_ne!(cpu, initial(2, &Device::cpu()));
    for device in devices() {
        assert_eq!(initial(1, &device), cpu, "{device}");
    }
}

#[test]
fn dropout_draws_anew_each_step_and_the_same_in_each_run() {
    let masks = |device: &Device| {
        let g = Graph::new();
        let w = g.parameter("w", [1000], Init::Constant(1.0));
        let dropped = w.dropout(0.25, g.step(), 11);
        let mut session = Session::builder(device.clone())
            .metrics(&[dropped.greater(0.0)])
            .train(&g, dropped.mean(..), &Sgd::new(0.0))
            .unwrap();
        (0..4).map(|_| session.step_with_metrics(&[]).unwrap().metrics[0].to_f64_vec()).collect::<Vec<_>>()
    };
    let cpu = masks(&Device::cpu());
    for (step, mask) in cpu.iter().enumerate() {
        let kept: f64 = mask.iter().sum();
        // Six standard deviations of a binomial of 1000 at 3/4.
        assert!((kept - 750.0).abs() < 6.0 * (1000.0f64 * 0.1875).sqrt(), "{kept} of 1000 kept");
        assert!(!cpu[..step].contains(mask), "step {step} repeats an earlier mask");
    }
    for device in devices() {
        assert_eq!(masks(&device), cpu, "{device}");
    }
}

#[test]
fn two_runs_on_one_device_give_the_same_bits() {
    for device in devices() {
        let run = || {
            let g = Graph::new();
            let loss = network(&g);
            let mut session = Session::builder(device.clone()).seed(9).train(&g, loss, &Adam::new(0.05)).unwrap();
            (losses(&mut session, 0..20), parameters(&session))
        };
        assert_eq!(run(), run(), "{device}");
    }
}

/// A step large enough that kernels use threads.
fn large_step() -> (Vec<f64>, Vec<(String, Tensor)>) {
    let g = Graph::new();
    let (x, labels) = (g.input("x", [256, 300]), g.input_of("labels", [256], DType::I32));
    let w1 = g.parameter("w1", [300, 260], Init::KaimingUniform);
    let w2 = g.parameter("w2", [260, 10], Init::XavierUniform);
    let loss = x.matmul(w1).relu().matmul(w2).cross_entropy(labels) + w1.square().sum(..) * 1e-4;
    let mut session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
    let mut random = Random(77);
    let elements = random.floats(256 * 300, -1.0, 1.0).iter().map(|&x| x as f32).collect();
    let x = Tensor::new([256, 300], elements).unwrap();
    let labels = Tensor::new([256], (0..256).map(|_| random.below(10) as i32).collect()).unwrap();
    let losses = (0..4).map(|_| session.step(&[("x", &x), ("labels", &labels)]).unwrap()).collect();
    (losses, parameters(&session))
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let [one, two, three] = [1, 2, 3]
        .map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(large_step));
    assert_eq!(one.0, two.0);
    assert!(one.1 == two.1, "parameters differ between one thread and two");
    assert!(one == three, "one thread and three differ");
}

#[test]
fn a_step_is_one_submit() {
    let Some(device) = gpu() else { return };
    let g = Graph::new();
    let loss = network(&g);
    let mut session = Session::train(&g, loss, AdamW::new(0.1), device).unwrap();
    let (x, t) = batch(0);
    let inputs = [("x", &x), ("t", &t)];
    assert_eq!(session.submits(), 0);
    for step in 1..=5 {
        session.step(&inputs).unwrap();
        assert_eq!(session.submits(), step);
    }
    session.advance(&inputs).unwrap();
    session.step_with_metrics(&inputs).unwrap();
    assert_eq!(session.submits(), 7);
}

#[test]
fn advancing_is_stepping_without_a_look() {
    for device in devices() {
        let [looked, advanced] = [true, false].map(|look| {
            let g = Graph::new();
            let loss = network(&g);
            let mut session = Session::builder(device.clone()).seed(4).train(&g, loss, &Adam::new(0.05)).unwrap();
            for step in 0..10 {
                // Inputs of one step must not be overwritten by the next while the device still reads them.
                let (x, t) = batch(step);
                let inputs = [("x", &x), ("t", &t)];
                if look {
                    session.step(&inputs).unwrap();
                } else {
                    session.advance(&inputs).unwrap();
                }
            }
            session.wait().unwrap();
            parameters(&session)
        });
        assert_eq!(looked, advanced, "{device}");
    }
}

#[test]
fn training_leaves_the_graph_as_it_was() {
    let g = Graph::new();
    let loss = network(&g);
    let (length, declarations, text) = (g.len(), g.declarations().len(), g.to_string());
    for _ in 0..3 {
        Session::train(&g, loss, Adam::new(0.1), Device::cpu()).unwrap();
        assert_eq!((g.len(), g.declarations().len()), (length, declarations));
        assert_eq!(g.to_string(), text);
    }
    assert!(g.check().is_ok());
}

#[test]
fn parameters_that_the_loss_does_not_need_stay() {
    for device in devices() {
        let g = Graph::new();
        let w = g.parameter("w", [2], Init::Constant(1.0));
        let _idle = g.parameter("idle", [3], Init::Constant(4.0));
        let frozen = g.state("frozen", [2], DType::F32, Init::Constant(3.0));
        let mut session = Session::train(&g, (w * frozen).sum(..), Sgd::new(0.5), device.clone()).unwrap();
        session.step(&[]).unwrap();
        assert_eq!(session.trainable_names().collect::<Vec<_>>(), ["w", "idle"]);
        assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [-0.5; 2], "{device}");
        assert_eq!(session.parameter("idle").unwrap().to_f64_vec(), [4.0; 3], "{device}");
        assert_eq!(session.parameter("frozen").unwrap().to_f64_vec(), [3.0; 2], "{device}");
    }
}
