//! Plans as a reader sees them, plans that once were or could be wrong, and plans of enormous graphs.
//!
//! Texts are held against `tests/snapshots`; `ARENAGRAD_UPDATE_SNAPSHOTS=1` writes them anew.

use std::path::Path;

use crate::suite::devices::devices;
use crate::suite::evaluate::{evaluate, given};
use crate::suite::run::{numbers, run};
use arenagrad::plan::BufferRole;
use arenagrad::train::{Trained, append_step};
use arenagrad::{Adam, DType, Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd, Tensor};

fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var("ARENAGRAD_UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert_eq!(kept, text, "{name} has changed; ARENAGRAD_UPDATE_SNAPSHOTS=1 accepts it");
}

/// A perceptron of two layers over four samples, and its cross-entropy.
fn perceptron(g: &Graph) -> Expr<'_> {
    let x = g.input("x", [4, 3]);
    let labels = g.input_of("labels", [4], DType::I32);
    let w1 = g.parameter("w1", [3, 5], Init::KaimingUniform);
    let b1 = g.parameter("b1", [5], Init::Constant(0.0));
    let w2 = g.parameter("w2", [5, 2], Init::XavierUniform);
    let hidden = (x.matmul(w1) + b1).relu().named("hidden");
    hidden.matmul(w2).named("logits").cross_entropy(labels).named("loss")
}

/// A program over the inputs of a directed case.
type Build = for<'g> fn(&[Expr<'g>]) -> Vec<Expr<'g>>;

#[test]
fn plan_of_a_training_step() {
    let g = Graph::new();
    let loss = perceptron(&g);
    let session = Session::train(&g, loss, Sgd::new(0.1).momentum(0.9), Device::cpu()).unwrap();
    snapshot("perceptron_sgd.plan.txt", &session.plan().to_string());
    let g = Graph::new();
    let loss = perceptron(&g);
    let session = Session::train(&g, loss, Adam::new(0.1), Device::cpu()).unwrap();
    snapshot("perceptron_adam.plan.txt", &session.plan().to_string());
}

#[test]
fn graph_of_a_training_step() {
    let g = Graph::new();
    let loss = perceptron(&g);
    append_step(loss, &Sgd::new(0.1)).unwrap();
    snapshot("perceptron_sgd.graph.txt", &g.to_string());
}

#[test]
fn updates_stand_in_place_and_slots_are_shared() {
    let g = Graph::new();
    let loss = perceptron(&g);
    let session = Session::train(&g, loss, Sgd::new(0.1), Device::cpu()).unwrap();
    let plan = session.plan();
    let parameters: Vec<u32> = (0..plan.buffers().len())
        .filter(|&buffer| matches!(plan.buffers()[buffer].role, BufferRole::Parameter(_)))
        .map(|buffer| buffer as u32)
        .collect();
    let in_place: Vec<u32> = plan.steps().iter().flat_map(|step| &step.in_place).copied().collect();
    let updated = parameters.iter().filter(|parameter| in_place.contains(parameter)).count();
    assert_eq!(updated, 3, "every trained parameter is updated in place\n{plan}");
    assert!(plan.steps().iter().all(|step| !step.kernel.starts_with("copy")), "nothing is copied\n{plan}");
    let written = plan.steps().iter().map(|step| step.writes.len()).sum::<usize>();
    let slots = plan.buffers().iter().filter(|buffer| buffer.role == BufferRole::Slot).count();
    assert!(slots < written - updated, "{slots} slots for {} results\n{plan}", written - updated);
}

#[test]
fn a_chain_of_elementwise_functions_is_one_kernel() {
    let g = Graph::new();
    let x = g.input("x", [1000]);
    let y = ((x * 2.0 + 1.0).tanh() * x.sigmoid()).exp().maximum(x).sqrt();
    let session = Session::evaluate(&g, &[y], &Device::cpu()).unwrap();
    assert_eq!(session.plan().steps().len(), 1, "{}", session.plan());
    // A reduction takes in what stands before it and what follows.
    let mean = (y - x).square().mean(..).sqrt();
    let session = Session::evaluate(&g, &[mean], &Device::cpu()).unwrap();
    assert_eq!(session.plan().steps().len(), 1, "{}", session.plan());
}

/// Two products that two kernels read both: neither product may draw in a kernel that needs the other's, twice over.
#[test]
fn contractions_without_a_sum_are_one_kernel() {
    for (equation, first, second) in [
        ("ij,j->ij", 2, 1),
        ("ij,i->ij", 2, 1),
        ("j,ij->ij", 1, 2),
        ("i,j->ij", 1, 1),
        ("i,j->ji", 1, 1),
        ("ij,ij->ij", 2, 2),
    ] {
        let g = Graph::new();
        let operand = |name: &'static str, rank: usize| g.input(name, vec![6; rank]);
        let (x, y) = (operand("x", first), operand("y", second));
        let session = Session::evaluate(&g, &[g.einsum(equation, &[x, y])], &Device::cpu()).unwrap();
        assert_eq!(session.plan().steps().len(), 1, "{equation}: {}", session.plan());
    }
}

#[test]
fn products_with_two_common_readers() {
    for device in devices() {
        let g = Graph::new();
        let names = ["a", "b", "c", "d"];
        let [a, b, c, d] = names.map(|name| g.input(name, [3, 3]));
        let (m, n) = (a.matmul(b), c.matmul(d));
        let given =
            given([0, 1, 2, 3].map(|i| (names[i], (0..9).map(|x| f64::from((x * (i as i32 + 2)) % 5)).collect())));
        for outputs in [
            vec![m + n, m * n],
            vec![m + n, m * n, m - n],
            vec![(m + n).sum(0), (m * n).sum(1)],
            vec![m + n.sum_keepdims(..), n + m.sum_keepdims(..)],
            vec![m + n.t(), n + m.t(), m],
            vec![(m + n).matmul(m * n), m.relu() - n],
        ] {
            let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
            assert_eq!(numbers(&g, &outputs, &given, &device), evaluate(&g, &ids, &given), "{device}");
        }
    }
}

#[test]
fn outputs_may_be_leaves_views_and_each_other() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [2, 3]);
        let w = g.parameter("w", [3], Init::Values(vec![1.0, 2.0, 3.0]));
        let outputs = [
            x,
            x,
            x.t(),
            x.slice(1, 1, 3),
            w,
            w.broadcast_to([2, 3]),
            x.reshape([3, 2]),
            g.iota([2, 2], 1),
            g.scalar(7.0),
        ];
        let given = given([("x", vec![1.0, -2.0, 3.0, -4.0, 5.0, -6.0])]);
        let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
        assert_eq!(numbers(&g, &outputs, &given, &device), evaluate(&g, &ids, &given), "{device}");
        let results = run(&g, &outputs, &given, &device).unwrap();
        assert_eq!(results[7].dtype(), DType::I32);
    }
}

/// Gives parameters the values that a function of the old ones has.
struct Rewire(for<'g> fn(&[Expr<'g>]) -> Vec<Expr<'g>>);

impl Optimizer for Rewire {
    fn update<'g>(&self, _: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let old: Vec<Expr<'g>> = trained.iter().map(|trained| trained.parameter).collect();
        Ok(old.iter().copied().zip((self.0)(&old)).collect())
    }
}

#[test]
fn updates_read_old_values_whatever_their_order() {
    let functions: [(&str, Build); 6] = [
        ("swapped", |p| vec![p[1], p[0]]),
        ("a ring of functions", |p| vec![p[1] + 1.0, p[0] * 2.0]),
        ("the same next value", |p| vec![p[0] + p[1], p[0] + p[1]]),
        ("transposed", |p| vec![p[0].t(), p[1].t() + p[0]]),
        ("multiplied", |p| vec![p[0].matmul(p[1]), p[1].matmul(p[0])]),
        ("constant and kept", |p| vec![p[0] * 0.0 + 5.0, p[1]]),
    ];
    for device in devices() {
        for (name, function) in functions {
            let g = Graph::new();
            let x = g.input("x", []);
            let p = g.parameter("p", [2, 2], Init::Values(vec![1.0, 2.0, 3.0, 4.0]));
            let q = g.parameter("q", [2, 2], Init::Values(vec![5.0, -6.0, 7.0, -8.0]));
            let loss = (p * q).sum(..) * x;
            let mut given =
                given([("x", vec![1.0]), ("p", vec![1.0, 2.0, 3.0, 4.0]), ("q", vec![5.0, -6.0, 7.0, -8.0])]);
            let next: Vec<_> = function(&[p, q]).iter().map(|next| next.id().unwrap()).collect();
            let mut session = Session::train(&g, loss, Rewire(function), device.clone()).unwrap();
            for step in 0..3 {
                let expected = evaluate(&g, &next, &given);
                session.step(&[("x", &Tensor::scalar(1.0f32))]).unwrap();
                for (parameter, expected) in ["p", "q"].into_iter().zip(expected) {
                    let found = session.parameter(parameter).unwrap().to_f64_vec();
                    assert_eq!(found, expected, "{device}: {name}, step {step}, {parameter}\n{}", session.plan());
                    given.insert(parameter.to_owned(), expected);
                }
            }
        }
    }
}

#[test]
fn a_chain_of_a_million_nodes_runs() {
    let g = Graph::with_capacity(1_000_003);
    let x = g.input_of("x", [], DType::F64);
    let mut y = x;
    for number in 0..500_000 {
        y = if number % 2 == 0 { y + x } else { y - x };
    }
    // Halving and doubling in turn keeps numbers exact; the odd count leaves one of each.
    for _ in 0..250_000 {
        y = (y * 0.5).abs() + (y * 0.5).abs();
    }
    assert!(g.len() > 1_000_000);
    let given = given([("x", vec![3.0])]);
    assert_eq!(numbers(&g, &[y], &given, &Device::cpu()), [vec![3.0]]);
}

#[test]
fn the_gradient_of_a_long_chain_runs() {
    let g = Graph::new();
    let x = g.input_of("x", [2], DType::F64);
    let mut y = x;
    for _ in 0..100_000 {
        y = (y * 1.00001).sin();
    }
    let [dx] = y.sum(..).grad([x]).unwrap();
    let found = numbers(&g, &[y, dx], &given([("x", vec![0.3, -0.2])]), &Device::cpu());
    for (place, start) in [0.3f64, -0.2].into_iter().enumerate() {
        let (mut value, mut slope) = (start, 1.0);
        for _ in 0..100_000 {
            slope *= 1.00001 * (value * 1.00001).cos();
            value = (value * 1.00001).sin();
        }
        assert!((found[0][place] - value).abs() < 1e-9, "{} is not {value}", found[0][place]);
        assert!((found[1][place] - slope).abs() < 1e-9, "{} is not {slope}", found[1][place]);
    }
}
