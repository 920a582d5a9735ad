//! Fused plans compute what their graphs say: random graphs, gradients and updates against the evaluator, to the last bit.
//!
//! The graphs hold integers small enough that f32 rounds nothing, so there is no tolerance: a difference is a wrong plan or
//! a wrong kernel. A failure prints its seed; `ARENAGRAD_SEED=n` runs that one alone, with the graph and the plan printed.

use std::ops::Range;

use crate::suite::devices::gpu;
use crate::suite::evaluate::{Given, evaluate};
use crate::suite::exact::is_exact;
use crate::suite::random::Random;
use crate::suite::random_graph::{Builder, Sizes};
use crate::suite::respawn::{with_all_dispatches_joined, with_kernels_of_a_gpu};
use crate::suite::run::{borrowed, inputs, run, set_parameters};
use arenagrad::train::{Trained, append_step};
use arenagrad::{DType, Device, Error, Expr, Graph, Init, NodeId, Optimizer, Session, Shape, Tensor};

/// The seeds of a test, or the one that the environment names.
fn seeds(all: Range<u64>) -> Range<u64> {
    match std::env::var("ARENAGRAD_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => all,
    }
}

fn ids(outputs: &[Expr<'_>]) -> Vec<NodeId> {
    outputs.iter().map(|output| output.id().unwrap()).collect()
}

/// Holds the outputs on a device against the evaluator.
fn compare(graph: &Graph, outputs: &[Expr<'_>], given: &Given, device: &Device, seed: u64) {
    let expected = evaluate(graph, &ids(outputs), given);
    if std::env::var_os("ARENAGRAD_SEED").is_some() {
        println!("{graph}\n{}", Session::evaluate(graph, outputs, device).unwrap().plan());
    }
    let found = run(graph, outputs, given, device).unwrap_or_else(|error| panic!("{device}, seed {seed}: {error}"));
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.shape(), &outputs[number].shape().unwrap(), "{device}, seed {seed}, output {number}");
        assert_eq!(&found.to_f64_vec(), expected, "{device}, seed {seed}, output {number}: {:?}", outputs[number]);
    }
}

/// Several expressions of the pool, the last one among them, and now and then a leaf or one output twice.
fn outputs<'g>(builder: &mut Builder<'g, '_>) -> Vec<Expr<'g>> {
    let count = builder.pool.len();
    let mut outputs = vec![builder.pool[count - 1].0];
    for _ in 0..builder.random.below(5) {
        outputs.push(builder.pool[builder.random.below(count)].0);
    }
    outputs
}

/// Runs one random graph; says whether it was exact.
fn forward(seed: u64, dtype: DType, device: &Device) -> bool {
    let graph = Graph::new();
    let mut random = Random(seed);
    let mut builder = Builder::new(&graph, &mut random, dtype, Sizes::SMALL);
    let operations = 5 + builder.random.below(56);
    builder.grow(operations);
    let outputs = outputs(&mut builder);
    let exact = is_exact(&graph, &ids(&outputs), &builder.given);
    if exact {
        compare(&graph, &outputs, &builder.given, device, seed);
    }
    exact
}

/// Runs the gradients of one random graph, beside some outputs; says whether they were exact.
fn backward(seed: u64, dtype: DType, device: &Device) -> bool {
    let graph = Graph::new();
    let mut random = Random(seed ^ 0xBACC);
    let mut builder = Builder::new(&graph, &mut random, dtype, Sizes::SMALL);
    let leaves: Vec<Expr<'_>> = builder.pool.iter().map(|(leaf, _)| *leaf).collect();
    let operations = 3 + builder.random.below(20);
    builder.grow(operations);
    let mut outputs = outputs(&mut builder);
    let given = builder.given;
    let total = outputs.iter().fold(graph.zeros([], dtype), |total, output| total + output.sum(..));
    let gradients = graph.gradients(&[total], &[graph.ones([], dtype)], &leaves).unwrap();
    outputs.extend(gradients);
    let exact = is_exact(&graph, &ids(&outputs), &given);
    if exact {
        compare(&graph, &outputs, &given, device, seed);
    }
    exact
}

/// Checks a share of the seeds at least, so that a change of the generator cannot empty the test.
fn most(seeds: Range<u64>, check: impl Fn(u64) -> bool) {
    let total = seeds.end - seeds.start;
    let exact = seeds.filter(|&seed| check(seed)).count() as u64;
    println!("{exact} of {total} random graphs were exact and compared");
    assert!(total == 1 || exact * 3 >= total, "only {exact} of {total} random graphs were exact");
}

#[test]
fn random_graphs_on_the_cpu_in_f64() {
    most(seeds(0..600), |seed| forward(seed, DType::F64, &Device::cpu()));
}

#[test]
fn random_graphs_on_the_cpu_in_f32() {
    most(seeds(600..1200), |seed| forward(seed, DType::F32, &Device::cpu()));
}

#[test]
fn random_graphs_on_the_gpu() {
    let Some(device) = gpu() else { return };
    most(seeds(2000..2060), |seed| forward(seed, DType::F32, &device));
}

#[test]
fn gradients_of_random_graphs_on_the_cpu() {
    most(seeds(0..500), |seed| backward(seed, if seed % 2 == 0 { DType::F64 } else { DType::F32 }, &Device::cpu()));
}

#[test]
fn gradients_of_random_graphs_on_the_gpu() {
    let Some(device) = gpu() else { return };
    most(seeds(3000..3030), |seed| backward(seed, DType::F32, &device));
}

/// Outputs, and for every other graph gradients, of tensors larger than the CPU's kernels take in one piece.
fn large_graph(graph: &Graph, seed: u64, dtype: DType) -> (Vec<Expr<'_>>, Given) {
    let mut random = Random(seed ^ 0x1A26E);
    let sizes = Sizes::large(&mut random);
    let mut builder = Builder::new(graph, &mut random, dtype, sizes);
    let leaves: Vec<Expr<'_>> = builder.pool.iter().map(|(leaf, _)| *leaf).collect();
    let operations = 2 + builder.random.below(14);
    builder.grow(operations);
    let mut outputs = outputs(&mut builder);
    if builder.random.one_in(2) {
        let total = outputs.iter().fold(graph.zeros([], dtype), |total, output| total + output.sum(..));
        outputs.extend(graph.gradients(&[total], &[graph.ones([], dtype)], &leaves).unwrap());
    }
    (outputs, builder.given)
}

/// The outputs of a graph of that seed as a device computes them, with as many threads for the CPU's kernels. Kernels are cut
/// for the pool that they are prepared in.
fn in_pool(threads: usize, seed: u64, dtype: DType, device: &Device, given: fn(&mut Given)) -> Vec<Tensor> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let graph = Graph::new();
        let (outputs, mut values) = large_graph(&graph, seed, dtype);
        given(&mut values);
        if std::env::var_os("ARENAGRAD_SEED").is_some() {
            println!("{graph}\n{}", Session::evaluate(&graph, &outputs, device).unwrap().plan());
        }
        run(&graph, &outputs, &values, device).unwrap_or_else(|error| panic!("{device}, seed {seed}: {error}"))
    })
}

/// Holds a graph of large tensors against the evaluator, on one, two and three threads; says whether it was exact.
fn large(seed: u64, dtype: DType, device: &Device) -> bool {
    let graph = Graph::new();
    let (outputs, given) = large_graph(&graph, seed, dtype);
    if !is_exact(&graph, &ids(&outputs), &given) {
        return false;
    }
    let expected = evaluate(&graph, &ids(&outputs), &given);
    for threads in if device.is_cpu() { 1..4 } else { 1..2 } {
        let found = in_pool(threads, seed, dtype, device, |_| ());
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let (output, found) = (outputs[number], found.to_f64_vec());
            assert_eq!(found.len(), expected.len(), "{device}, seed {seed}, output {number}: {output:?}");
            let differing = (0..found.len()).find(|&at| found[at] != expected[at]);
            let differing = differing.map(|at| (at, found[at], expected[at]));
            assert_eq!(differing, None, "{device}, {threads} threads, seed {seed}, output {number}: {output:?}");
        }
    }
    true
}

/// Gives the leaves fractions, so that every sum is rounded.
fn with_fractions(given: &mut Given) {
    for (name, elements) in given {
        let seed = name.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte));
        *elements = Random(seed).floats(elements.len(), -3.0, 3.0);
    }
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    tensor.to_f64_vec().into_iter().map(f64::to_bits).collect()
}

/// Whatever is rounded, it is rounded alike on any number of threads.
fn same_bits_on_any_number_of_threads(seed: u64, dtype: DType) {
    let [one, two, three] = [1, 2, 3].map(|threads| in_pool(threads, seed, dtype, &Device::cpu(), with_fractions));
    for (number, ((one, two), three)) in one.iter().zip(&two).zip(&three).enumerate() {
        assert!(bits(one) == bits(two) && bits(one) == bits(three), "seed {seed}, output {number} of {}", one.shape());
    }
}

#[test]
fn random_graphs_of_large_tensors_on_the_cpu() {
    most(seeds(5000..5060), |seed| large(seed, if seed % 2 == 0 { DType::F64 } else { DType::F32 }, &Device::cpu()));
}

#[test]
fn random_graphs_of_large_tensors_on_the_gpu() {
    let Some(device) = gpu() else { return };
    most(seeds(6000..6024), |seed| large(seed, DType::F32, &device));
}

#[test]
fn random_graphs_of_large_tensors_have_the_same_bits_on_any_number_of_threads() {
    for seed in seeds(7000..7040) {
        same_bits_on_any_number_of_threads(seed, if seed % 2 == 0 { DType::F64 } else { DType::F32 });
    }
}

/// An optimiser that makes each parameter a random function of old and new values of all of them, of gradients, and of
/// states of its own: what order the planner writes them in must not show.
struct Entangle {
    seed: u64,
}

impl Optimizer for Entangle {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let mut random = Random(self.seed ^ 0xE47A);
        let dtype = trained[0].parameter.dtype()?;
        let mut targets: Vec<Expr<'g>> = trained.iter().map(|trained| trained.parameter).collect();
        for number in 0..random.below(3) {
            let shape = targets[random.below(targets.len())].shape()?;
            targets.push(graph.state(format!("state{number}"), shape, dtype, Init::Constant(1.0)));
        }
        let mut pool: Vec<(Expr<'g>, f64)> = targets.iter().map(|target| (*target, 4.0)).collect();
        for trained in trained {
            pool.push((trained.gradient.minimum(4.0).maximum(-4.0), 4.0));
        }
        let mut builder = Builder { graph, random: &mut random, dtype, sizes: Sizes::SMALL, given: Given::new(), pool };
        let operations = builder.random.below(14);
        builder.grow(operations);
        let mut pairs = Vec::new();
        for target in targets.clone() {
            let shape = target.shape()?;
            let count = builder.pool.len();
            let next = match builder.random.below(8) {
                // Another's old value, as it is or reshaped: parameters that trade places.
                0 => {
                    let other = *builder.random.pick(&targets);
                    builder.fitted((other, 4.0), &shape).0
                }
                1 => graph.full(&shape, 2.0, dtype),
                2 if shape.rank() == 2 && shape[0] == shape[1] => target.t(),
                3 => continue,
                _ => {
                    let other = builder.pool[builder.random.below(count)];
                    builder.fitted(other, &shape).0
                }
            };
            let next = if builder.random.one_in(3) { next + target } else { next };
            // Integers of a small range stay integers of a small range, step after step.
            let next = if builder.random.one_in(4) && next.id()? == target.id()? {
                next
            } else {
                next.minimum(4.0).maximum(-4.0)
            };
            builder.pool.push((next, 4.0));
            pairs.push((target, next));
        }
        Ok(pairs)
    }
}

/// Trains four steps and holds loss, parameters and states against the evaluator after each; says whether all were exact.
fn training(seed: u64, dtype: DType, device: &Device) -> bool {
    let graph = Graph::new();
    let mut random = Random(seed ^ 0x7EA1);
    let x = graph.input_of("x", [3, 4], dtype);
    let mut given = Given::from([("x".to_owned(), random.integers(12, -2, 2))]);
    let shapes: [&[usize]; 6] = [&[4, 3], &[3, 3], &[3], &[], &[3, 3], &[4, 3]];
    let parameters: Vec<Expr<'_>> = (0..2 + random.below(4))
        .map(|number| {
            let shape = Shape::from(shapes[number]);
            given.insert(format!("p{number}"), random.integers(shape.elements(), -3, 3));
            graph.parameter_of(format!("p{number}"), shape, dtype, Init::Constant(0.0))
        })
        .collect();
    let mut hidden = x.matmul(parameters[0]).relu().minimum(6.0).matmul(parameters[1]);
    for parameter in &parameters[2..] {
        hidden = if parameter.shape().unwrap() == Shape::from([4, 3]) {
            hidden + x.matmul(*parameter)
        } else {
            hidden * *parameter
        };
    }
    let loss = hidden.minimum(5.0).maximum(-5.0).sum(..);
    let optimizer = Entangle { seed };

    let mut session = Session::builder(device.clone()).metrics(&[hidden]).train(&graph, loss, &optimizer).unwrap();
    set_parameters(&mut session, &given).unwrap();
    if std::env::var_os("ARENAGRAD_SEED").is_some() {
        println!("{graph}\n{}", session.plan());
    }
    // The whole step appended once more, for the evaluator to look at.
    let step = append_step(loss, &optimizer).unwrap();
    let mut outputs = vec![loss.id().unwrap(), hidden.id().unwrap()];
    outputs.extend(step.updates.iter().map(|(_, next)| *next));
    let names: Vec<String> =
        step.updates.iter().map(|(number, _)| graph.declarations()[*number as usize].name.clone()).collect();
    for number in 0..4 {
        if !is_exact(&graph, &outputs, &given) {
            return false;
        }
        let expected = evaluate(&graph, &outputs, &given);
        let fed = inputs(session.plan(), &graph, &given);
        let outcome = session.step_with_metrics(&borrowed(&fed)).unwrap();
        assert_eq!(outcome.loss, expected[0][0], "{device}, seed {seed}, step {number}: the loss");
        assert_eq!(outcome.metrics[0].to_f64_vec(), expected[1], "{device}, seed {seed}, step {number}: the metric");
        for (name, next) in names.iter().zip(&expected[2..]) {
            let found = session.parameter(name).unwrap().to_f64_vec();
            assert_eq!(&found, next, "{device}, seed {seed}, step {number}: {name:?}\n{graph}\n{}", session.plan());
            given.insert(name.clone(), next.clone());
        }
    }
    true
}

#[test]
fn random_updates_on_the_cpu() {
    most(seeds(0..500), |seed| training(seed, if seed % 2 == 0 { DType::F64 } else { DType::F32 }, &Device::cpu()));
}

#[test]
fn random_updates_on_the_gpu() {
    let Some(device) = gpu() else { return };
    most(seeds(4000..4030), |seed| training(seed, DType::F32, &device));
}

#[test]
fn with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&[
        "fusion::random_graphs_on_the_gpu",
        "fusion::gradients_of_random_graphs_on_the_gpu",
        "fusion::random_graphs_of_large_tensors_on_the_gpu",
        "fusion::random_updates_on_the_gpu",
    ]);
}

#[test]
fn with_all_that_can_be_joined() {
    with_all_dispatches_joined(&["fusion::gradients_of_random_graphs_on_the_gpu", "fusion::random_updates_on_the_gpu"]);
}
