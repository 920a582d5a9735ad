//! Plans whose small dispatches are joined, against the same plans dispatched step by step and against the CPU; without an adapter each
//! test says `skipped`.

use std::time::Duration;

use arenagrad_graph::{DType, Elements, Expr, Graph, Init, Reduction, StorageType};
use arenagrad_kernels::wgsl::Joining;

use super::{GpuDevice, Selector};
use crate::device::Device;
use crate::session::Session;
use crate::tensor::Tensor;
use crate::train::{AdamW, Sgd};

fn adapter() -> Option<GpuDevice> {
    super::test_device::present(super::test_device::open_now(&Selector::Any))
}

fn device(adapter: &GpuDevice, joining: Joining) -> Device {
    Device::of_adapter(adapter.with_joining(joining, Duration::ZERO))
}

/// Numbers from a seed, each by a multiplication: enough for tests.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.below(4001) as f32 / 1000.0 - 2.0).collect()
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    match tensor.data() {
        Elements::F32(data) => data.iter().map(|x| x.to_bits()).collect(),
        Elements::I32(data) => data.iter().map(|&x| x as u32).collect(),
        Elements::Bool(data) => data.iter().map(|&x| u32::from(x)).collect(),
        Elements::F64(_) => unreachable!("no f64 on a GPU"),
        Elements::F16(data) => data.iter().map(|x| u32::from(x.to_bits())).collect(),
        Elements::Bf16(data) => data.iter().map(|x| u32::from(x.to_bits())).collect(),
        Elements::I8(data) => data.iter().map(|x| x.get() as u32).collect(),
        Elements::I64(data) => data.iter().map(|x| x.get() as u32).collect(),
        Elements::U8(data) => data.iter().map(|x| u32::from(x.get())).collect(),
    }
}

/// Holds the results joined against those of single dispatches, which must have the same bits, and against the CPU. Gives how
/// many dispatches it was joined, and one by one.
#[track_caller]
fn compare(adapter: &GpuDevice, joining: Joining, run: &dyn Fn(&Device) -> (Vec<Tensor>, usize)) -> [usize; 2] {
    let (joined, few) = run(&device(adapter, joining));
    let (alone, many) = run(&device(adapter, Joining::Never));
    let (expected, _) = run(&Device::cpu());
    assert_eq!((joined.len(), alone.len()), (expected.len(), expected.len()));
    for (number, ((joined, alone), expected)) in joined.iter().zip(&alone).zip(&expected).enumerate() {
        assert_eq!(bits(joined), bits(alone), "result {number} joined and alone");
        for (found, expected) in joined.to_f64_vec().iter().zip(expected.to_f64_vec()) {
            let near = (found - expected).abs() <= 1e-4 * expected.abs().max(1.0);
            let same = *found == expected || (found.is_nan() && expected.is_nan());
            assert!(near || same, "result {number}: {found}, but {expected} on the CPU");
        }
    }
    [few, many]
}

/// Trains and gives the losses and all parameters.
fn trained(mut session: Session, inputs: &[(&str, &Tensor)]) -> (Vec<Tensor>, usize) {
    let mut results = Vec::new();
    for _ in 0..4 {
        results.push(Tensor::scalar(session.step(inputs).unwrap() as f32));
    }
    let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
    results.extend(names.iter().map(|name| session.parameter(name).unwrap()));
    (results, session.dispatches())
}

/// A network of layers of that width, and its mean squared error.
fn network<'g>(graph: &'g Graph, widths: &[usize]) -> Expr<'g> {
    let mut h = graph.input("x", [2, widths[0]]);
    for (layer, width) in widths.windows(2).enumerate() {
        let weight = graph.parameter(format!("w{layer}"), [width[0], width[1]], Init::KaimingUniform);
        let bias = graph.parameter(format!("b{layer}"), [width[1]], Init::Constant(0.1));
        h = (h.matmul(weight) + bias).tanh();
    }
    let t = graph.input("t", [2, widths[widths.len() - 1]]);
    h.mse_loss(t, Reduction::Mean)
}

fn given(shape: &[usize], seed: u64) -> Tensor {
    let count = shape.iter().product();
    Tensor::new(shape.to_vec(), Numbers(seed).floats(count)).unwrap()
}

#[test]
fn a_training_step_of_a_small_network_is_one_dispatch() {
    let Some(adapter) = adapter() else { return };
    let (x, t) = (given(&[2, 3], 1), given(&[2, 2], 2));
    for joining in [Joining::WhereItPays, Joining::Always] {
        let [few, many] = compare(&adapter, joining, &|device| {
            let graph = Graph::new();
            let loss = network(&graph, &[3, 10, 2]);
            let session = Session::train(&graph, loss, Sgd::new(0.05), device.clone()).unwrap();
            trained(session, &[("x", &x), ("t", &t)])
        });
        assert!(few == 1 && many > 3, "{joining:?}: {few} and {many} dispatches");
    }
}

#[test]
fn many_more_tensors_than_a_dispatch_binds_take_few_dispatches() {
    let Some(adapter) = adapter() else { return };
    let (x, t) = (given(&[2, 5], 3), given(&[2, 3], 4));
    let [few, many] = compare(&adapter, Joining::Always, &|device| {
        let graph = Graph::new();
        // Four layers: eight parameters with two moments each, all updated in place.
        let loss = network(&graph, &[5, 8, 6, 4, 3]);
        let session = Session::train(&graph, loss, AdamW::new(0.01), device.clone()).unwrap();
        trained(session, &[("x", &x), ("t", &t)])
    });
    assert!(3 * few <= many, "{few} and {many} dispatches");
}

#[test]
fn what_is_large_stays_a_dispatch_between_those_that_are_joined() {
    let Some(adapter) = adapter() else { return };
    for joining in [Joining::WhereItPays, Joining::Always] {
        let [few, many] = compare(&adapter, joining, &|device| {
            let graph = Graph::new();
            let x = graph.input("x", [3, 4]);
            let small = x.softmax(-1).matmul(x.transpose(0, 1)).sum([0isize]).tanh();
            let columns = graph.iota([3, 1 << 18], 1).cast(DType::F32);
            let large = (small.reshape([3, 1]) * columns * 1e-5).sin();
            let end = large.sum([1isize]).softmax(0).reshape([1, 3]).matmul(x).tanh().softmax(-1);
            let mut session = Session::evaluate(&graph, &[end, small, large], device).unwrap();
            let results = session.run(&[("x", &given(&[3, 4], 5))]).unwrap();
            (results, session.dispatches())
        });
        assert!(few >= 3 && few < many, "{joining:?}: {few} and {many} dispatches");
    }
}

#[test]
fn rows_of_a_large_table_are_read_beside_small_tensors() {
    let Some(adapter) = adapter() else { return };
    let [few, many] = compare(&adapter, Joining::WhereItPays, &|device| {
        let graph = Graph::new();
        let table = graph.parameter("table", [5000, 3], Init::KaimingUniform);
        let rows = graph.input_of("rows", [4], DType::I32);
        let chosen = table.index_select(0, rows);
        let loss = (chosen.softmax(-1) * chosen.tanh()).sum([1isize]).square().mean(..);
        let session = Session::train(&graph, loss, Sgd::new(0.1), device.clone()).unwrap();
        let rows = Tensor::new([4], vec![4999i32, 3, 3, 70]).unwrap();
        trained(session, &[("rows", &rows)])
    });
    assert!(few < many, "{few} and {many} dispatches");
}

#[test]
fn plans_of_one_session_share_what_is_joined() {
    let Some(adapter) = adapter() else { return };
    compare(&adapter, Joining::Always, &|device| {
        let graph = Graph::new();
        let (x, t) = (given(&[2, 3], 6), given(&[2, 2], 7));
        let loss = network(&graph, &[3, 6, 2]);
        let mut session = Session::train(&graph, loss, AdamW::new(0.02), device.clone()).unwrap();
        // A plan that is added once the chunk is full stands partly in another.
        let other = Graph::new();
        let weight = other.parameter("w0", [3, 6], Init::KaimingUniform);
        let filling: Vec<Expr<'_>> =
            (0..9).map(|n| other.parameter(format!("p{n}"), [2048], Init::Constant(0.5))).collect();
        let sum = filling.iter().fold(weight.sum(..), |sum, part| sum + part.slice(0, 0, 3).tanh().sum(..));
        let plan = session.add(&other, &[sum]).unwrap();
        let mut results = Vec::new();
        for _ in 0..3 {
            results.push(Tensor::scalar(session.step(&[("x", &x), ("t", &t)]).unwrap() as f32));
            results.extend(session.run_plan(plan, &[]).unwrap());
        }
        (results, session.dispatches())
    });
}

/// A network of layers whose weights and inputs are of a type narrower than their values.
fn narrow_network<'g>(graph: &'g Graph, widths: &[usize], storage: StorageType) -> Expr<'g> {
    let mut h = graph.input_of("x", [2, widths[0]], storage);
    for (layer, width) in widths.windows(2).enumerate() {
        let weight = graph.parameter_of(format!("w{layer}"), [width[0], width[1]], storage, Init::KaimingUniform);
        let bias = graph.parameter_of(format!("b{layer}"), [width[1]], storage, Init::Constant(0.1));
        h = (h.matmul(weight) + bias).tanh();
    }
    h.softmax(-1)
}

#[test]
fn what_reads_narrow_elements_is_joined() {
    let Some(adapter) = adapter() else { return };
    for storage in [StorageType::F16, StorageType::Bf16] {
        // An odd number of elements ends within a word.
        for widths in [[3, 7, 5, 3], [4, 8, 8, 4]] {
            let x = given(&[2, widths[0]], 8);
            let [few, many] = compare(&adapter, Joining::Always, &|device| {
                let graph = Graph::new();
                let end = narrow_network(&graph, &widths, storage);
                let mut session = Session::evaluate(&graph, &[end], device).unwrap();
                (session.run(&[("x", &x)]).unwrap(), session.dispatches())
            });
            assert!(few == 1 && many > 3, "{storage}: {few} and {many} dispatches");
        }
    }
}

/// Updates that end within a word store their elements one by one, between others that are joined.
#[test]
fn narrow_parameters_are_trained_beside_others_in_a_chunk() {
    let Some(adapter) = adapter() else { return };
    for storage in [StorageType::F16, StorageType::Bf16] {
        for widths in [[3, 7, 5, 3], [4, 8, 8, 4]] {
            let (x, t) = (given(&[2, widths[0]], 9), given(&[2, widths[3]], 10));
            let train = |joining: Joining| {
                let graph = Graph::new();
                let target = graph.input("t", [2, widths[3]]);
                let loss = narrow_network(&graph, &widths, storage).mse_loss(target, Reduction::Mean);
                let device = device(&adapter, joining);
                let session = Session::train(&graph, loss, AdamW::new(0.05), device).unwrap();
                trained(session, &[("x", &x), ("t", &t)])
            };
            let ((joined, few), (alone, many)) = (train(Joining::Always), train(Joining::Never));
            assert!(few < many, "{storage}: {few} and {many} dispatches");
            for (number, (joined, alone)) in joined.iter().zip(&alone).enumerate() {
                assert_eq!(bits(joined), bits(alone), "{storage}: result {number} joined and alone");
            }
            assert!(joined[0] != joined[3], "{storage}: nothing was learnt");
        }
    }
}

/// A graph of some operations over small tensors of all dtypes; its outputs.
fn random_graph<'g>(graph: &'g Graph, numbers: &mut Numbers) -> Vec<Expr<'g>> {
    let columns = [4, 3, 8][numbers.below(3)];
    let shape = [1 + numbers.below(6), columns];
    let mut floats: Vec<Expr<'g>> = vec![graph.input("x", shape), graph.parameter("w", shape, Init::Constant(0.3))];
    let mut indices: Vec<Expr<'g>> = vec![graph.input_of("i", shape, DType::I32)];
    let mut truths: Vec<Expr<'g>> = vec![floats[0].greater(0.25)];
    for _ in 0..4 + numbers.below(14) {
        let float = floats[numbers.below(floats.len())];
        let other = floats[numbers.below(floats.len())];
        let index = indices[numbers.below(indices.len())];
        let truth = truths[numbers.below(truths.len())];
        match numbers.below(16) {
            0 => floats.push(float * other + 0.5),
            1 => floats.push(float.tanh()),
            2 => floats.push((float * 0.5).exp() - other),
            3 => floats.push(float.softmax(-1)),
            4 => floats.push(float.sum([1isize]).reshape([shape[0], 1]).tanh() * other),
            5 => floats.push(float.matmul(other.transpose(0, 1)).tanh().matmul(other) * 0.25),
            6 => floats.push(truth.where_(float, other)),
            7 => floats.push(index.cast(DType::F32) * 0.125 + float),
            8 => floats.push(float.max([0isize]).reshape([1, columns]) - other),
            9 => floats.push(float.gather(1, index) * other),
            10 => floats.push(graph.concat(&[float.slice(1, 0, 2), other.slice(1, 2, columns)], 1)),
            11 => indices.push((float.floor() * 0.5).cast(DType::I32).maximum(0).minimum(columns as i32 - 1)),
            12 => indices.push(truth.cast(DType::I32)),
            13 => truths.push(float.less(other)),
            14 => truths.push(index.equal(1)),
            _ => floats.push(float.mean([0isize]).reshape([1, columns]) + other),
        }
    }
    let mut outputs = vec![floats[floats.len() - 1], indices[indices.len() - 1], truths[truths.len() - 1]];
    outputs.push(floats[floats.len() / 2].argmax(1));
    outputs
}

#[test]
fn random_small_plans_give_the_same_bits_joined_and_alone() {
    let Some(adapter) = adapter() else { return };
    let (mut joined, mut alone) = (0, 0);
    for seed in 0..24 {
        let [few, many] = compare(&adapter, Joining::Always, &|device| {
            let graph = Graph::new();
            let mut numbers = Numbers(seed);
            let outputs = random_graph(&graph, &mut numbers);
            let shape = graph.declarations()[0].shape.clone();
            let x = Tensor::new(shape.clone(), numbers.floats(shape.elements())).unwrap();
            let indices = (0..shape.elements()).map(|_| numbers.below(shape[1]) as i32).collect::<Vec<_>>();
            let i = Tensor::new(shape, indices).unwrap();
            let mut session = Session::evaluate(&graph, &outputs, device).unwrap();
            (session.run(&[("x", &x), ("i", &i)]).unwrap(), session.dispatches())
        });
        joined += few;
        alone += many;
    }
    assert!(2 * joined < alone, "{joined} dispatches instead of {alone}");
}

#[test]
fn a_plan_that_has_run_for_long_is_joined_between_two_runs() {
    let Some(adapter) = adapter() else { return };
    let (x, t) = (given(&[2, 3], 6), given(&[2, 2], 7));
    let losses = |joining, join_after| {
        let graph = Graph::new();
        let loss = network(&graph, &[3, 10, 2]);
        let device = Device::of_adapter(adapter.with_joining(joining, join_after));
        let mut session = Session::train(&graph, loss, AdamW::new(0.05), device).unwrap();
        let mut dispatches = vec![session.dispatches()];
        let mut losses = Vec::new();
        for _ in 0..6 {
            losses.push(session.step(&[("x", &x), ("t", &t)]).unwrap().to_bits());
            dispatches.push(session.dispatches());
        }
        (losses, dispatches)
    };
    let (alone, many) = losses(Joining::Never, Duration::ZERO);
    // The second run takes longer than that; the first does not count.
    let (joined, found) = losses(Joining::Always, Duration::from_nanos(1));
    assert_eq!(joined, alone);
    assert_eq!(found[..3], many[..3], "the first runs are as they were");
    assert!(found[3..].iter().all(|&dispatches| dispatches < many[0]), "{found:?} after {many:?}");
}
