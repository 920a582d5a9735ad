//! Random graphs under random budgets give the bits that they give without one.
//!
//! `ARENAGRAD_SEED=n` runs one seed alone.

use crate::suite::random::Random;
use crate::suite::random_graph::{Builder, Sizes};
use crate::suite::run::{borrowed, inputs, set_parameters};
use arenagrad::{DType, Device, Error, Expr, Graph, Session, Tensor};

/// Runs a random graph with its gradients under some random budgets. Says how many of them had something computed again.
fn check(seed: u64, dtype: DType) -> usize {
    let graph = Graph::new();
    let mut random = Random(seed ^ 0x3E30);
    let mut builder = Builder::new(&graph, &mut random, dtype, Sizes::SMALL);
    let leaves: Vec<Expr<'_>> = builder.pool.iter().map(|(leaf, _)| *leaf).collect();
    let operations = 10 + builder.random.below(60);
    builder.grow(operations);
    let total = builder.pool.iter().rev().take(12).fold(graph.zeros([], dtype), |total, (x, _)| total + x.sum(..));
    let mut outputs = vec![total];
    outputs.extend(graph.gradients(&[total], &[graph.ones([], dtype)], &leaves).unwrap());
    let given = builder.given;
    let device = Device::cpu();
    let compute = |session: &mut Session| -> Vec<Tensor> {
        set_parameters(session, &given).unwrap();
        let inputs = inputs(session.plan(), &graph, &given);
        session.run(&borrowed(&inputs)).unwrap()
    };
    let mut once = Session::evaluate(&graph, &outputs, &device).unwrap();
    let before = once.plan().memory();
    let expected = bits(&compute(&mut once));
    let mut again = 0;
    for _ in 0..4 {
        let results = before.allocated_bytes - (before.peak_bytes - before.result_bytes());
        let budget = before.allocated_bytes - (results as f64 * random.unit()) as u64;
        let session = |budget| Session::builder(device.clone()).memory_budget(budget).evaluate(&graph, &outputs);
        let (budget, mut session) = match session(budget) {
            Ok(session) => (budget, session),
            Err(Error::MemoryBudget { least, .. }) => {
                assert!(least > budget && least <= before.allocated_bytes, "seed {seed}");
                (least, session(least).unwrap_or_else(|error| panic!("seed {seed}: {error}")))
            }
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let after = session.plan().memory();
        assert!(after.allocated_bytes <= budget, "seed {seed}, budget {budget}: {after}");
        assert_eq!(bits(&compute(&mut session)), expected, "seed {seed}, budget {budget}\n{}", session.plan());
        again += usize::from(after.recomputation.is_some());
    }
    again
}

fn bits(tensors: &[Tensor]) -> Vec<Vec<u64>> {
    tensors.iter().map(|tensor| tensor.to_f64_vec().into_iter().map(f64::to_bits).collect()).collect()
}

#[test]
fn random_graphs_under_random_budgets() {
    let seeds = match std::env::var("ARENAGRAD_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..120,
    };
    let count = seeds.end - seeds.start;
    let again: usize = seeds.map(|seed| check(seed, if seed % 2 == 0 { DType::F32 } else { DType::F64 })).sum();
    println!("{again} of {} plans computed something again", 4 * count);
    assert!(count == 1 || again as u64 >= count / 4, "only {again} of {} plans computed something again", 4 * count);
}
