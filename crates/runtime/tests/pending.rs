//! Results that come later: the bits of the calls that block, in their order, from several runs at once, whoever awaits them or not.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::suite::devices::devices;
use arenagrad::nn::Linear;
use arenagrad::{Adam, Device, Error, Graph, Init, Pending, Session, Sgd, Tensor, Trainer};

/// Wakes the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The least executor there is: it sleeps until it is woken, and fails if that never happens.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let begun = Instant::now();
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        thread::park_timeout(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody woke the executor");
    }
}

/// A session that trains, with a metric, and the inputs of one of its steps.
fn session(device: &Device) -> Session {
    let g = Graph::new();
    let (x, t) = (g.input("x", [8, 3]), g.input("t", [8, 2]));
    let (w, v) = (g.parameter("w", [3, 5], Init::XavierUniform), g.parameter("v", [5, 2], Init::XavierUniform));
    let y = x.matmul(w).tanh().matmul(v);
    let loss = (y - t).square().mean(..);
    let largest = y.abs().max(..);
    let mut session = Session::builder(device.clone()).metrics(&[largest]).train(&g, loss, &Adam::new(0.01)).unwrap();
    session.add(&g, &[y]).unwrap();
    session
}

fn inputs(step: usize) -> (Tensor, Tensor) {
    let values =
        |count: usize| (0..count).map(move |i| ((i * 7 + step * 13) % 11) as f32 / 5.0 - 1.0).collect::<Vec<_>>();
    (Tensor::new([8, 3], values(24)).unwrap(), Tensor::new([8, 2], values(16)).unwrap())
}

/// Losses and last parameters of steps that block.
fn blocking(device: &Device, steps: usize) -> (Vec<u64>, Vec<Tensor>) {
    let mut session = session(device);
    let losses = (0..steps).map(|step| {
        let (x, t) = inputs(step);
        session.step(&[("x", &x), ("t", &t)]).unwrap().to_bits()
    });
    let losses = losses.collect();
    (losses, ["w", "v"].map(|name| session.parameter(name).unwrap()).into())
}

fn start(session: &mut Session, step: usize) -> Pending<f64> {
    let (x, t) = inputs(step);
    session.step_async(&[("x", &x), ("t", &t)])
}

fn parameters(session: &Session) -> Vec<Tensor> {
    ["w", "v"].map(|name| session.parameter_async(name).wait().unwrap()).into()
}

#[test]
fn a_checkpoint_that_comes_later_is_the_one_that_blocks() {
    for device in devices() {
        let line = Linear::new("line", 3, 2);
        let mut trainer = Trainer::new(device, Adam::new(0.01), |inputs| {
            (line.apply(inputs.get("x")) - inputs.get("t")).square().mean(..)
        });
        let other = trainer.add_training("other", Sgd::new(0.1), |inputs| line.apply(inputs.get("x")).mean(..));
        trainer.set_learning_rate_of(other, 0.25).unwrap(); // which nothing is planned for yet
        let (x, t) = inputs(0);
        let under_way = [(); 3].map(|()| trainer.step_async(&[("x", &x), ("t", &t)]));
        // As it is after the steps that were submitted before, whoever has awaited them.
        let coming = trainer.checkpoint_async();
        trainer.advance(&[("x", &x), ("t", &t)]).unwrap();
        let found = coming.wait().unwrap().to_bytes().unwrap();
        under_way.into_iter().for_each(|step| assert!(step.wait().is_ok()));

        let mut other = Trainer::new(trainer.device().clone(), Adam::new(0.01), |inputs| {
            (line.apply(inputs.get("x")) - inputs.get("t")).square().mean(..)
        });
        let also = other.add_training("other", Sgd::new(0.1), |inputs| line.apply(inputs.get("x")).mean(..));
        other.set_learning_rate_of(also, 0.25).unwrap();
        (0..3).for_each(|_| assert!(other.step(&[("x", &x), ("t", &t)]).is_ok()));
        assert!(found == other.checkpoint().unwrap().to_bytes().unwrap(), "on {}", other.device());
    }
}

#[test]
fn steps_under_way_have_the_bits_of_steps_that_block() {
    for device in devices() {
        let (losses, last) = blocking(&device, 24);
        // One after the other.
        let mut alone = session(&device);
        let found: Vec<u64> = (0..24).map(|step| block_on(start(&mut alone, step)).unwrap().to_bits()).collect();
        assert_eq!(found, losses, "{device}");
        assert_eq!(parameters(&alone), last);
        // Eight at a time, in order, and from the last to the first.
        for reversed in [false, true] {
            let mut session = session(&device);
            let mut found = Vec::new();
            for first in (0..24).step_by(8) {
                let mut pending: Vec<_> = (first..first + 8).map(|step| start(&mut session, step)).collect();
                let order: Vec<usize> = if reversed { (0..8).rev().collect() } else { (0..8).collect() };
                let mut together = vec![0; 8];
                for place in order {
                    together[place] = block_on(&mut pending[place]).unwrap().to_bits();
                }
                found.extend(together);
            }
            assert_eq!(found, losses, "{device}, reversed: {reversed}");
            assert_eq!(parameters(&session), last);
        }
    }
}

#[test]
fn all_under_way_may_be_polled_together() {
    for device in devices() {
        let (losses, last) = blocking(&device, 12);
        let mut session = session(&device);
        let mut pending: Vec<Option<Pending<f64>>> = (0..12).map(|step| Some(start(&mut session, step))).collect();
        let mut found = vec![0; 12];
        block_on(std::future::poll_fn(|context| {
            for (pending, found) in pending.iter_mut().zip(&mut found) {
                if let Some(coming) = pending
                    && let Poll::Ready(loss) = Pin::new(coming).poll(context)
                {
                    (*found, *pending) = (loss.unwrap().to_bits(), None);
                }
            }
            if pending.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        }));
        assert_eq!(found, losses, "{device}");
        assert_eq!(parameters(&session), last);
    }
}

#[test]
fn a_result_that_nobody_takes_harms_nothing() {
    for device in devices() {
        let (losses, last) = blocking(&device, 30);
        let mut session = session(&device);
        let mut found = Vec::new();
        for step in 0..30 {
            let mut pending = start(&mut session, step);
            match step % 5 {
                // Dropped before anybody asks, after somebody asked, and when it may have come.
                0 => drop(pending),
                1 => {
                    let _ = Pin::new(&mut pending).poll(&mut Context::from_waker(Waker::noop()));
                }
                2 => {
                    session.wait().unwrap();
                    drop(pending);
                }
                _ => found.push((step, pending.wait().unwrap().to_bits())),
            }
        }
        assert!(found.iter().all(|(step, loss)| *loss == losses[*step]), "{device}");
        assert_eq!(parameters(&session), last);
        // What is under way outlives its session.
        let pending = start(&mut session, 0);
        drop(session);
        assert!(block_on(pending).unwrap().is_finite());
    }
}

#[test]
fn what_is_refused_is_told_by_the_result_and_changes_nothing() {
    for device in devices() {
        let mut session = session(&device);
        let before = parameters(&session);
        let (x, t) = inputs(0);
        let refused = session.step_async(&[("x", &x)]).wait().unwrap_err();
        assert!(matches!(&refused, Error::MissingInput { name, .. } if name == "t"), "{refused}");
        let refused = block_on(session.advance_async(&[("x", &t), ("t", &t)])).unwrap_err();
        assert!(matches!(&refused, Error::InputShape { name, .. } if name == "x"), "{refused}");
        assert!(matches!(session.parameter_async("u").wait(), Err(Error::UnknownParameter { .. })));
        assert_eq!(parameters(&session), before, "{device}");
        let mut other = self::session(&device);
        let g = Graph::new();
        let foreign = other.add(&g, &[g.input("x", [1]) + 1.0]).unwrap();
        assert_eq!(session.run_plan_async(foreign, &[]).wait(), Err(Error::ForeignPlan));
        // A result comes once.
        let mut pending = session.step_async(&[("x", &x), ("t", &t)]);
        block_on(&mut pending).unwrap();
        assert_eq!(block_on(&mut pending), Err(Error::ResultTaken));
        assert_eq!(pending.wait(), Err(Error::ResultTaken));
    }
}

#[test]
fn values_that_are_read_are_those_between_the_steps_around() {
    for device in devices() {
        let mut session = session(&device);
        let mut values = vec![parameters(&session)];
        for step in 0..3 {
            start(&mut session, step).wait().unwrap();
            values.push(parameters(&session));
        }
        let mut again = self::session(&device);
        let mut read = Vec::new();
        for step in 0..3 {
            read.push((again.parameter_async("w"), again.weights_async()));
            drop(start(&mut again, step));
        }
        read.push((again.parameter_async("w"), again.weights_async()));
        for ((parameter, weights), expected) in read.into_iter().zip(&values) {
            assert_eq!(block_on(parameter).unwrap(), expected[0], "{device}");
            let weights = block_on(weights).unwrap();
            assert_eq!(weights.names().collect::<Vec<_>>(), ["w", "v"]);
            assert_eq!(weights.get("v").unwrap(), expected[1]);
        }
        assert_eq!(again.weights_async().wait().unwrap().to_bytes(), again.weights().unwrap().to_bytes());
    }
}

#[test]
fn steps_and_evaluations_mix() {
    for device in devices() {
        let (mut session, mut twin) = (session(&device), session(&device));
        for step in 0..12 {
            let (x, t) = inputs(step);
            let (both, alone) = ([("x", &x), ("t", &t)], [("x", &x)]);
            let stepped = session.step_with_metrics_async(&both);
            let room = session.advance_async(&both);
            let output = session.run_async(&alone);
            let expected = twin.step_with_metrics(&both).unwrap();
            twin.advance(&both).unwrap();
            assert_eq!(block_on(output).unwrap(), twin.run(&alone).unwrap(), "{device}");
            block_on(room).unwrap();
            assert_eq!(block_on(stepped).unwrap(), expected, "{device}");
        }
        block_on(session.wait_async()).unwrap();
    }
}

#[test]
fn a_trainer_gives_what_it_gives_when_it_blocks() {
    let line = Linear::new("line", 1, 1);
    for device in devices() {
        let new = || {
            let mut trainer = Trainer::new(device.clone(), Sgd::new(0.05), |inputs| {
                let error = line.apply(inputs.get("x")) - inputs.get("y");
                inputs.report("largest", error.abs().max(..));
                error.square().mean(..)
            });
            let predict = trainer.add_evaluation(|inputs| vec![line.apply(inputs.get("x"))]);
            (trainer, predict)
        };
        let ((mut trainer, predict), (mut twin, of_twin)) = (new(), new());
        for count in [3usize, 2, 3, 1, 2] {
            let column = |factor: f32| {
                let values: Vec<f32> = (0..count).map(|i| factor * i as f32 - 1.0).collect();
                Tensor::new([count, 1], values).unwrap()
            };
            let (x, y) = (column(0.5), column(1.5));
            let (batch, alone) = ([("x", &x), ("y", &y)], [("x", &x)]);
            let gradients = trainer.gradients_async(&batch);
            let outcome = trainer.step_async(&batch);
            let room = trainer.advance_async(&batch);
            let outputs = trainer.evaluate_async(predict, &alone);
            assert_eq!(block_on(gradients), twin.gradients(&batch), "{device}");
            assert_eq!(block_on(outcome), twin.step(&batch), "{device}");
            twin.advance(&batch).unwrap();
            block_on(room).unwrap();
            assert_eq!(block_on(outputs), twin.evaluate(of_twin, &alone), "{device}");
        }
        let training = trainer.first_training().unwrap();
        assert!(matches!(trainer.evaluate_async(training, &[]).wait(), Err(Error::FunctionKind { .. })));
        assert!(matches!(trainer.step_of_async(predict, &[]).wait(), Err(Error::FunctionKind { .. })));
        assert_eq!(trainer.step_of_async(of_twin, &[]).wait(), Err(Error::ForeignFunction));
    }
}

#[test]
fn devices_are_opened_without_blocking_as_they_are_with_it() {
    assert_eq!(block_on(Device::adapters_async()), Device::adapters());
    for name in ["cpu", "CPU ", "auto", "gpu", "software", "", "no such adapter"] {
        let (later, now) = (block_on(Device::named_async(name)), Device::named(name));
        match (later, now) {
            (Ok(later), Ok(now)) => {
                assert_eq!(later.adapter(), now.adapter(), "{name:?}");
                assert_eq!(later.note(), now.note());
            }
            (later, now) => assert_eq!(later.err(), now.err(), "{name:?}"),
        }
    }
    // Results and what opens a device may go to other threads.
    fn is_send<T: Send>(_: &T) {}
    is_send(&Device::auto_async());
    for device in devices() {
        let mut session = session(&device);
        let pending = start(&mut session, 0);
        is_send(&pending);
        assert!(thread::spawn(move || pending.wait()).join().unwrap().is_ok());
    }
}
