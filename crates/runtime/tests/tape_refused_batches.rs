//! A batch that cannot be computed, on a tape whose layers keep running statistics: it is refused, and nothing after it.

use crate::suite::devices::devices;
use arenagrad::nn::{BatchNorm, Linear, Parameter, Phase};
use arenagrad::{DType, Device, Error, Expr, Init, Sgd, Tape, TapeOptimizer, Tensor, Variable};

const ROWS: usize = 4;

/// Rows of a table through a layer of running statistics and a linear one.
fn network<'g>(index: Expr<'g>, phase: Phase) -> Expr<'g> {
    let values = (0..2 * ROWS).map(|n| n as f64 * 0.25 - 0.5).collect();
    let table = Parameter::new("table", [ROWS, 2], Init::Values(values)).of(index.graph(), DType::F32);
    let h = BatchNorm::new("norm", 2).apply(table.index_select(0, index), phase);
    Linear::new("head", 2, 1).apply(h.tanh()).square().mean(..)
}

/// The loss of a batch; index `ROWS` is out of range.
fn loss(tape: &Tape, first: i32) -> Variable {
    let index = tape.leaf(Tensor::new([3], vec![first, 1, 2]).unwrap());
    tape.record("network", &[&index], |index| network(index[0], Phase::Training))
}

fn is_refused<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::IndexOutOfRange { .. }))
}

fn values(named: Vec<(String, Variable)>) -> Vec<(String, Vec<f64>)> {
    named.into_iter().map(|(name, value)| (name, value.data().unwrap().to_f64_vec())).collect()
}

/// Parameters and states after three good batches, between which another may be done.
fn trained(device: &Device, between: impl Fn(&Tape, &mut TapeOptimizer)) -> Vec<(String, Vec<f64>)> {
    let tape = Tape::new(device.clone());
    let mut optimizer = TapeOptimizer::of_parameters(&tape, Sgd::new(0.1)).unwrap();
    for first in [0, 3, 2] {
        optimizer.zero_grad();
        let loss = loss(&tape, first);
        loss.backward().unwrap();
        optimizer.step().unwrap();
        assert!(loss.item().unwrap().is_finite());
        between(&tape, &mut optimizer);
    }
    assert!(optimizer.checkpoint().is_ok());
    values(tape.parameters().into_iter().chain(tape.states()).collect())
}

#[test]
fn a_batch_that_is_refused_with_its_step() {
    for device in devices() {
        let expected = trained(&device, |_, _| {});
        let found = trained(&device, |tape, optimizer| {
            optimizer.zero_grad();
            loss(tape, ROWS as i32).backward().unwrap();
            assert!(is_refused(optimizer.step()));
            optimizer.zero_grad();
        });
        assert_eq!(found, expected, "{device}");
        // So it is before anything was computed.
        let tape = Tape::new(device);
        let mut optimizer = TapeOptimizer::of_parameters(&tape, Sgd::new(0.1)).unwrap();
        // No parameter has joined yet, so the pass is computed at once.
        assert!(is_refused(loss(&tape, -1).backward()));
        loss(&tape, 0).backward().unwrap();
        optimizer.step().unwrap();
    }
}

/// Whether its loss is asked, or its gradients, or the state itself: that question is answered with the mistake, and no other.
#[test]
fn a_batch_that_is_refused_where_something_is_asked() {
    for device in devices() {
        let expected = trained(&device, |_, _| {});
        let asked = trained(&device, |tape, _| assert!(is_refused(loss(tape, ROWS as i32).item())));
        let of_gradient = trained(&device, |tape, optimizer| {
            optimizer.zero_grad();
            loss(tape, ROWS as i32).backward().unwrap();
            assert!(is_refused(tape.parameter("head.weight").unwrap().grad()));
            optimizer.zero_grad();
        });
        let of_state = trained(&device, |tape, _| {
            loss(tape, ROWS as i32).check().unwrap();
            let mean = tape.parameter("norm.running_mean").unwrap();
            assert!(is_refused(mean.data()) && mean.data().is_ok());
        });
        assert_eq!([&asked, &of_gradient, &of_state], [&expected; 3], "{device}");
    }
}

/// Without an optimiser a backward pass computes at once.
#[test]
fn a_batch_whose_backward_pass_is_refused() {
    let run = |bad: bool| {
        let tape = Tape::new(Device::cpu());
        for first in [0, 3, 2] {
            loss(&tape, first).backward().unwrap();
            assert!(!bad || is_refused(loss(&tape, ROWS as i32).backward()));
        }
        let gradients = tape.parameters().into_iter().map(|(_, value)| value.grad().unwrap().to_f64_vec());
        (values(tape.states()), gradients.collect::<Vec<_>>())
    };
    assert_eq!(run(true), run(false));
}

/// A batch of which nothing is asked is refused to nobody, and counts for nothing: those beside it are as without it.
#[test]
fn a_batch_that_is_abandoned() {
    for device in devices() {
        let run = |is_bad: bool| {
            let tape = Tape::new(device.clone());
            let mut optimizer = TapeOptimizer::of_parameters(&tape, Sgd::new(0.1)).unwrap();
            let abandon = || {
                if is_bad {
                    drop(loss(&tape, ROWS as i32));
                }
            };
            for first in [0, 3, 2] {
                optimizer.zero_grad();
                abandon();
                loss(&tape, first).backward().unwrap();
                optimizer.step().unwrap();
                // Where the second pass finds the first waiting.
                optimizer.zero_grad();
                let earlier = loss(&tape, first);
                abandon();
                let later = loss(&tape, 1);
                earlier.backward().unwrap();
                later.backward().unwrap();
                optimizer.step().unwrap();
                // What reads the states after it, in one run with its own passes.
                abandon();
                let index = tape.leaf(Tensor::new([3], vec![first, 0, 1]).unwrap());
                let evaluated = tape.record("network", &[&index], |index| network(index[0], Phase::Evaluation));
                loss(&tape, 0).backward().unwrap();
                assert!(evaluated.item().unwrap().is_finite());
            }
            values(tape.parameters().into_iter().chain(tape.states()).collect())
        };
        // What is computed after a refusal is computed in other runs, which may round otherwise.
        for ((name, found), (_, expected)) in run(true).iter().zip(&run(false)) {
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs().max(0.1),
                    "{name} on {device}: {found}, {expected}"
                );
            }
        }
    }
}

/// As many updates as may wait of states, with one among them that cannot be computed.
#[test]
fn a_batch_that_is_abandoned_among_many() {
    let run = |is_bad: bool| {
        let tape = Tape::new(Device::cpu());
        for number in 0..20 {
            if is_bad && number % 5 == 3 {
                drop(loss(&tape, ROWS as i32));
            }
            loss(&tape, number % 4).check().unwrap();
        }
        loss(&tape, 0).backward().unwrap();
        values(tape.states())
    };
    assert_eq!(run(true), run(false));
}

/// A gradient that no step computes is still known to be one, also while another pass waits.
#[test]
fn a_gradient_that_was_left_out_is_told() {
    for device in devices() {
        let tape = Tape::new(device);
        let w = tape.leaf(Tensor::new([2], vec![1.0f32, 2.0]).unwrap()).requires_grad();
        let free = tape.leaf(2.0).requires_grad();
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.25)).unwrap();
        let index = tape.leaf(Tensor::new([1], vec![7]).unwrap());
        (w.gather(0, &index) * &free).sum(..).backward().unwrap();
        assert!(is_refused(optimizer.step()));
        optimizer.zero_grad();
        w.square().sum(..).backward().unwrap();
        optimizer.step().unwrap();
        optimizer.zero_grad();
        w.square().sum(..).backward().unwrap();
        assert!(is_refused(free.grad()));
        free.zero_grad();
        assert!(matches!(free.grad(), Err(Error::NoGradient { .. })));
        assert_eq!(w.grad().unwrap().to_f64_vec(), [1.0, 2.0]);
    }
}

/// What is held of a batch that was refused does not make later steps fail, and what is held of the others is computed with them.
#[test]
fn what_is_held_of_a_batch_that_was_refused() {
    for device in devices() {
        let tape = Tape::new(device.clone());
        let w = tape.leaf(Tensor::new([2], vec![1.0f32, 2.0]).unwrap()).requires_grad();
        let free = tape.leaf(2.0).requires_grad();
        let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.25)).unwrap();
        let mut held = Vec::new();
        let (mut expected, mut plans) = ([1.0, 2.0], 0);
        for step in 0..8i32 {
            let is_bad = step == 2;
            optimizer.zero_grad();
            free.zero_grad();
            let index = tape.leaf(Tensor::new([1], vec![if is_bad { 7 } else { step % 2 }]).unwrap());
            let h = (&w * 1.0).gather(0, &index);
            let (loss, metric) = ((&h * &free).sum(..), (&h.detach() * 2.0).sum(..));
            loss.backward().unwrap();
            assert_eq!(is_refused(optimizer.step()), is_bad, "step {step} on {device}");
            let value = expected[(step % 2) as usize];
            if !is_bad {
                assert_eq!(h.grad().unwrap().item(), Ok(2.0));
                expected[(step % 2) as usize] -= 0.5;
            }
            held.push((is_bad, value, h, loss, metric));
            if step == 4 {
                plans = tape.plans();
            }
        }
        assert_eq!(w.data().unwrap().to_f64_vec(), expected, "{device}");
        assert!(tape.plans() <= plans, "{plans} plans, then {}", tape.plans());
        for (is_bad, value, h, loss, metric) in held {
            if is_bad {
                assert!(is_refused(h.item()) && is_refused(loss.item()) && is_refused(metric.item()));
            } else {
                assert_eq!((h.item(), loss.item(), metric.item()), (Ok(value), Ok(2.0 * value), Ok(2.0 * value)));
            }
        }
    }
}

/// The running statistics of all layers are computed in one run, with the backward pass or when they are next needed.
#[test]
fn the_states_of_many_layers_are_computed_together() {
    let layers = 6;
    for is_differentiated in [true, false] {
        let tape = Tape::new(Device::cpu());
        let mut plans = Vec::new();
        for step in 0..4 {
            let x =
                tape.leaf(Tensor::new([2, 3], (0..6).map(|n| (n * (step + 1)) as f32).collect::<Vec<_>>()).unwrap());
            let y = x.map(|x| {
                (0..layers).fold(x, |x, number| BatchNorm::new(format!("{number}"), 3).apply(x, Phase::Training).tanh())
            });
            let y = y.square().mean(..);
            if is_differentiated {
                y.backward().unwrap();
            } else {
                assert!(y.item().is_ok());
                y.backward_retained().unwrap();
                drop(y);
                // The next pass finds them to be of an earlier one.
                tape.parameter("0.weight").unwrap().square().sum(..).backward().unwrap();
            }
            plans.push(tape.plans());
        }
        assert!(plans[3] == plans[2] && plans[3] <= 4, "{plans:?} plans");
    }
}

/// A mistake in a run is told of what was recorded for it, and not of the first computation that was like it.
#[test]
fn an_index_is_told_of_the_operation_that_reads_it() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(Tensor::new([2], vec![1.0f32, 2.0]).unwrap()).requires_grad();
    let index = |value: i32| tape.leaf(Tensor::new([1], vec![value]).unwrap());
    assert!(w.gather(0, &index(1)).item().is_ok());
    let (first, unnamed) = (index(7).named("labels"), index(-1));
    let (line, named) = (line!(), w.gather(0, &first));
    let told = |error: Error| {
        let Error::IndexOutOfRange { name, position, value, bound, origin, .. } = error else { panic!("{error}") };
        (name, position, value, bound, origin)
    };
    let (name, position, value, bound, origin) = told(named.item().unwrap_err());
    assert_eq!((name.as_str(), position, value, bound), ("labels", 0, 7, 2));
    let here = |origin: &str, line: u32| origin.ends_with(&format!("tape_refused_batches.rs:{line}"));
    assert!(here(&origin, line), "{origin}");
    let (line, unnamed) = (line!(), w.gather(0, &unnamed));
    let (name, .., origin) = told(unnamed.item().unwrap_err());
    assert_eq!(name, "a leaf of shape [1]");
    assert!(here(&origin, line), "{origin}");

    // In a step, where other inputs stay on the device.
    let mut optimizer = TapeOptimizer::new(&tape, &[&w], Sgd::new(0.1)).unwrap();
    let x = tape.leaf(2.0);
    let loss = |index: &Variable| (&x * &w).sum(..) + w.gather(0, index).sum(..);
    loss(&index(1)).backward().unwrap();
    optimizer.step().unwrap();
    optimizer.zero_grad();
    let (line, loss) = (line!(), (&x * &w).sum(..) + w.gather(0, &first).sum(..));
    loss.backward().unwrap();
    let (name, .., origin) = told(optimizer.step().unwrap_err());
    assert_eq!(name, "labels");
    assert!(here(&origin, line), "{origin}");
}
