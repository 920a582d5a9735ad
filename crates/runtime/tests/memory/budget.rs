//! Plans under a budget compute the same bits as those that compute everything once, in the memory that they may take.

use super::networks::{self, Gpt, Network};
use crate::suite::devices::gpu;
use crate::suite::random::Random;
use crate::suite::run::tensor;
use arenagrad::graph::DeclarationKind;
use arenagrad::plan::MemoryReport;
use arenagrad::{AdamW, DType, Device, Error, Graph, Session, Tensor, Trainer};

/// Numbers for every input of a graph: labels and tokens below ten.
pub(super) fn inputs(graph: &Graph, seed: u64) -> Vec<(String, Tensor)> {
    let mut random = Random(seed);
    let declared = graph.declarations().into_iter().filter(|declared| declared.kind == DeclarationKind::Input);
    declared
        .map(|declared| {
            let count = declared.shape.elements();
            let elements = match declared.dtype {
                DType::I32 => random.integers(count, 0, 9),
                DType::F32 | DType::F64 | DType::Bool => random.floats(count, -1.0, 1.0),
            };
            (declared.name, tensor(&declared.shape, declared.dtype, &elements).cast(declared.storage))
        })
        .collect()
}

pub(super) fn borrowed(inputs: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

/// The bits of the losses of some steps, and all parameters and states after them.
pub(super) fn trained(session: &mut Session, graph: &Graph, steps: u64) -> (Vec<u64>, Vec<(String, Tensor)>) {
    let losses = (0..steps).map(|step| session.step(&borrowed(&inputs(graph, step))).unwrap().to_bits()).collect();
    let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
    let values = names.into_iter().map(|name| {
        let value = session.parameter(&name).unwrap();
        (name, value)
    });
    (losses, values.collect())
}

/// A budget that leaves that part of the bytes of results of a plan.
pub(super) fn part_of(once: &MemoryReport, part: f64) -> u64 {
    once.peak_bytes - once.result_bytes() + (once.result_bytes() as f64 * part) as u64
}

fn session(network: Network, dtype: DType, device: &Device, budget: Option<u64>) -> Result<(Graph, Session), Error> {
    let graph = Graph::new();
    let session = {
        let loss = (network.loss)(&graph, dtype);
        let builder = Session::builder(device.clone()).seed(3);
        let builder = if let Some(budget) = budget { builder.memory_budget(budget) } else { builder };
        builder.train(&graph, loss, &AdamW::new(1e-2))?
    };
    Ok((graph, session))
}

/// The aim: a model of language of twelve layers trains in half of the memory that its results take, at no more than 35 % more operations.
#[test]
fn twelve_layers_train_in_half_of_their_activation_memory() {
    for dropout in [0.0, 0.1] {
        let size = Gpt { layers: 12, batch: 4, length: 32, width: 32, heads: 4, dropout };
        let graph = Graph::new();
        let loss = networks::gpt(&graph, DType::F32, size);
        let optimizer = AdamW::new(1e-3);
        let mut once = Session::train(&graph, loss, &optimizer, Device::cpu()).unwrap();
        let before = once.plan().memory();
        let budget = part_of(&before, 0.5);
        let builder = Session::builder(Device::cpu()).memory_budget(budget);
        let mut again = builder.train(&graph, loss, &optimizer).unwrap();
        let after = again.plan().memory();
        let cost = after.recomputation.as_ref().expect("half of the memory is not enough for everything");
        println!(
            "dropout {dropout}: {} and {} bytes of results, {} and {} of activations, {} and {} allocated, {:.1} % more operations in {} steps",
            before.result_bytes(),
            after.result_bytes(),
            before.activation_bytes,
            after.activation_bytes,
            before.allocated_bytes,
            after.allocated_bytes,
            100.0 * cost.more_operations(),
            cost.steps.len(),
        );
        assert!(after.allocated_bytes <= budget, "{after}");
        assert!(after.result_bytes() * 2 <= before.result_bytes(), "{after}");
        assert!(after.activation_bytes * 2 <= before.activation_bytes, "{after}");
        assert!(cost.more_operations() <= 0.35, "{after}");
        assert_eq!(cost.peak_bytes_once, before.peak_bytes);
        assert_eq!(cost.allocated_bytes_once, before.allocated_bytes);
        assert!(trained(&mut once, &graph, 3) == trained(&mut again, &graph, 3), "other bits");
    }
}

/// Every network under budgets that leave less and less: each fits and has the same bits, or the error says what would fit, and that does.
fn keeps_its_bits(network: Network, device: &Device, dtypes: &[DType], parts: &[f64]) {
    for &dtype in dtypes {
        let (graph, mut once) = session(network, dtype, device, None).unwrap();
        let before = once.plan().memory();
        let expected = trained(&mut once, &graph, 2);
        let mut recomputed = 0;
        for &part in parts {
            let budget = part_of(&before, part);
            let (budget, (graph, mut again)) = match session(network, dtype, device, Some(budget)) {
                Ok(again) => (budget, again),
                Err(Error::MemoryBudget { budget: named, least, .. }) => {
                    assert_eq!(named, budget);
                    assert!(least > budget && least <= before.allocated_bytes, "{least}, {budget}");
                    let again = session(network, dtype, device, Some(least));
                    (least, again.unwrap_or_else(|error| panic!("{} {dtype}: {error}", network.name)))
                }
                Err(error) => panic!("{} {dtype}: {error}", network.name),
            };
            let after = again.plan().memory();
            assert!(after.allocated_bytes <= budget, "{} {dtype} {part}: {after}", network.name);
            if let Some(cost) = &after.recomputation {
                recomputed += 1;
                println!(
                    "{} {dtype} {part}: {} of {} bytes of results, {} of {} allocated, {:.1} % more operations",
                    network.name,
                    after.result_bytes(),
                    before.result_bytes(),
                    after.allocated_bytes,
                    before.allocated_bytes,
                    100.0 * cost.more_operations()
                );
                assert!(!cost.steps.is_empty() && cost.operations > cost.operations_once);
            }
            assert!(trained(&mut again, &graph, 2) == expected, "{} {dtype} {part}: other bits", network.name);
        }
        assert!(recomputed > 0, "{} {dtype}: no budget had anything computed again\n{before}", network.name);
    }
}

#[test]
fn networks_keep_their_bits_under_budgets() {
    for network in networks::ALL {
        keeps_its_bits(network, &Device::cpu(), &[DType::F32, DType::F64], &[0.9, 0.7, 0.5, 0.3]);
    }
}

#[test]
fn networks_keep_their_bits_under_budgets_on_a_gpu() {
    let Some(device) = gpu() else { return };
    for network in networks::ALL {
        keeps_its_bits(network, &device, &[DType::F32], &[0.6]);
    }
}

#[test]
fn gradients_keep_their_bits_under_a_budget() {
    let size = Gpt { layers: 4, batch: 2, length: 8, width: 16, heads: 2, dropout: 0.2 };
    let (tokens, next) = {
        let g = Graph::new();
        let _ = networks::gpt(&g, DType::F32, size);
        let mut given = inputs(&g, 7);
        (given.remove(0).1, given.remove(0).1)
    };
    let trainer = || {
        Trainer::new(Device::cpu(), AdamW::new(1e-3), move |inputs| {
            networks::gpt_of(inputs.get("tokens"), inputs.get("next"), DType::F32, size)
        })
    };
    let batch = [("tokens", &tokens), ("next", &next)];
    let mut once = trainer();
    let function = once.first_training().unwrap();
    let before = once.plan_of(function, &batch).unwrap().memory();
    let mut again = trainer().memory_budget(part_of(&before, 0.6));
    let function = again.first_training().unwrap();
    let after = again.plan_of(function, &batch).unwrap().memory();
    assert!(after.recomputation.is_some_and(|cost| !cost.steps.is_empty()));
    for _ in 0..2 {
        assert!(once.gradients(&batch).unwrap() == again.gradients(&batch).unwrap(), "other bits");
        assert_eq!(once.step(&batch).unwrap().loss.to_bits(), again.step(&batch).unwrap().loss.to_bits());
    }
}

#[test]
fn a_budget_that_is_enough_changes_nothing() {
    let network = networks::ALL[0];
    let (_, once) = session(network, DType::F32, &Device::cpu(), None).unwrap();
    let enough = once.plan().memory().allocated_bytes;
    let (_, same) = session(network, DType::F32, &Device::cpu(), Some(enough)).unwrap();
    assert_eq!(same.plan().to_string(), once.plan().to_string());
    assert_eq!(same.plan().memory(), once.plan().memory());
}

#[test]
fn a_budget_that_cannot_be_kept_is_an_error_that_says_what_could() {
    let network = networks::ALL[3];
    let (_, once) = session(network, DType::F32, &Device::cpu(), None).unwrap();
    let before = once.plan().memory();
    let error = session(network, DType::F32, &Device::cpu(), Some(1)).err().unwrap();
    let Error::MemoryBudget { budget: 1, least, standing } = error else { panic!("{error}") };
    assert_eq!(standing, before.peak_bytes - before.result_bytes());
    assert!(standing < least && least < before.allocated_bytes, "{standing}, {least}, {}", before.allocated_bytes);
    let text = error.to_string();
    assert!(text.contains(&least.to_string()) && text.contains(&standing.to_string()), "{text}");
}

/// A session's budget holds for plans that are added later.
#[test]
fn a_plan_that_is_added_keeps_the_budget() {
    let g = Graph::new();
    let x = g.input("x", [64, 64]);
    let mut session = Session::builder(Device::cpu()).memory_budget(20_000).evaluate(&g, &[x.sum(..)]).unwrap();
    let error = session.add(&g, &[x.exp()]).err().unwrap();
    assert!(matches!(error, Error::MemoryBudget { budget: 20_000, .. }), "{error}");
    session.run(&borrowed(&inputs(&g, 0))).unwrap();
}
