//! What a session's memory holds after calls that were refused: exactly what it held before.

use arenagrad_graph::{DType, Expr, Graph, Init, StorageType};

use crate::device::Device;
use crate::error::{Error, Given};
use crate::plan::{Plan, Request};
use crate::session::Session;
use crate::session::parameters::Waiting;
use crate::tensor::Tensor;
use crate::train::{Sgd, Trainer};

/// The CPU, and the adapter if there is one.
fn devices() -> Vec<Device> {
    let gpu = match Device::gpu() {
        Ok(device) => Some(device),
        Err(error) => {
            let required = std::env::var("ARENAGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "ARENAGRAD_REQUIRE_GPU is set: {error}");
            None
        }
    };
    std::iter::once(Device::cpu()).chain(gpu).collect()
}

/// A session with a plan, a parameter of two elements named `w`, and its input.
fn session(device: &Device) -> (Session, Tensor) {
    let g = Graph::new();
    let w = g.parameter("w", [2], Init::Constant(1.0));
    let loss = (w * g.input("x", [2]) - 1.0).square().sum(..);
    let session = Session::train(&g, loss, Sgd::new(0.1).momentum(0.5), device.clone()).unwrap();
    (session, Tensor::new([2], vec![1.0f32, 2.0]).unwrap())
}

/// That a call is refused fifty times, and leaves the session as it was.
#[track_caller]
fn leaves_nothing(session: &mut Session, what: &str, call: &mut dyn FnMut(&mut Session) -> Option<Error>) {
    let state = |session: &Session| {
        let values: Vec<(String, Tensor)> =
            session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect();
        (session.memory.size(), session.plans.len(), values)
    };
    let before = state(session);
    for _ in 0..50 {
        assert!(call(session).is_some(), "{what} was not refused");
        assert_eq!(state(session), before, "{what}, {}", session.device);
    }
}

/// A graph whose plan needs a megabyte before it comes to what is refused.
fn a_megabyte(g: &Graph) -> Expr<'_> {
    let large = g.parameter("large", [1 << 17], Init::KaimingUniform);
    let literal = g.literal([1 << 17], vec![0.5f32; 1 << 17]);
    ((large * literal + g.input("y", [1 << 17])).exp().sum(..) + large.max(..)).named("megabyte")
}

#[test]
fn plans_that_are_refused() {
    for device in devices() {
        let (mut session, _) = session(&device);
        leaves_nothing(&mut session, "a parameter of another shape", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.parameter("w", [3], Init::Constant(0.0)).sum(..);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "a parameter of another dtype", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.parameter_of("w", [2], DType::I32, Init::Constant(0.0)).sum(..).cast(DType::F32);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "a parameter past the memory", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.parameter("huge", [1 << 30, 1 << 28], Init::Constant(0.0)).sum(..);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "an input past the memory", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.input("huge", [1 << 30, 1 << 28]).sum(..);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "an intermediate result past the memory", &mut |session| {
            let g = Graph::new();
            let table = (g.input("rows", [1 << 29, 1]) * g.input("columns", [1, 1 << 29])).argmax(0);
            let y = a_megabyte(&g) + table.sum(..).cast(DType::F32);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "a graph with a mistake", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.input("z", [2]) + g.input("t", [3]);
            session.add(&g, &[y]).err()
        });
        // After all that the session does what it did, and takes what is right.
        let g = Graph::new();
        let y = a_megabyte(&g);
        let plan = session.add(&g, &[y]).unwrap();
        let (y, x) = (Tensor::zeros([1 << 17], DType::F32).unwrap(), Tensor::zeros([2], DType::F32).unwrap());
        assert!(session.run_plan(plan, &[("y", &y)]).unwrap()[0].item().unwrap().is_finite());
        session.step(&[("x", &x)]).unwrap();
    }
}

#[test]
fn plans_that_a_gpu_cannot_make() {
    for device in devices().into_iter().filter(|device| !device.is_cpu()) {
        let (mut session, _) = session(&device);
        leaves_nothing(&mut session, "f64 in the middle of a plan", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.input("z", [2]).cast(DType::F64).exp().sum(..).cast(DType::F32);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "an f64 parameter", &mut |session| {
            let g = Graph::new();
            let precise = g.parameter_of("precise", [2], DType::F64, Init::Constant(0.0));
            let y = a_megabyte(&g) + precise.sum(..).cast(DType::F32);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "a binding past the adapter's limit", &mut |session| {
            let g = Graph::new();
            let y = a_megabyte(&g) + g.input("huge", [1 << 17, 1 << 17]).sum(..);
            session.add(&g, &[y]).err()
        });
        leaves_nothing(&mut session, "an output that cannot be read back", &mut |session| {
            let g = Graph::new();
            let wide = g.input("z", [1 << 16, 1]) + g.input("t", [1, 1 << 18]);
            let y = a_megabyte(&g);
            session.add(&g, &[y, wide]).err()
        });
    }
}

#[test]
fn values_and_runs_that_are_refused() {
    for (number, device) in devices().into_iter().enumerate() {
        let (mut session, x) = session(&device);
        session.step(&[("x", &x)]).unwrap();
        let short = Tensor::new([1], vec![1.0f32]).unwrap();
        let folder = std::env::temp_dir();
        let name = |what: &str| folder.join(format!("arenagrad-session-{}-{number}-{what}", std::process::id()));
        let (foreign, missing) = (name("foreign"), name("missing"));
        std::fs::write(&foreign, "no parameters").unwrap();
        leaves_nothing(&mut session, "a value of another shape", &mut |session| {
            session.set_parameter("w", &short).err()
        });
        leaves_nothing(&mut session, "a value of another dtype", &mut |session| {
            session.set_parameter("w", &Tensor::new([2], vec![1, 2]).unwrap()).err()
        });
        leaves_nothing(&mut session, "a value for nothing", &mut |session| session.set_parameter("v", &x).err());
        leaves_nothing(&mut session, "a learning rate", &mut |session| session.set_learning_rate(f64::NAN).err());
        leaves_nothing(&mut session, "a foreign file", &mut |session| session.load(&foreign).err());
        leaves_nothing(&mut session, "no file", &mut |session| session.load(&missing).err());
        leaves_nothing(&mut session, "a folder that is not there", &mut |session| {
            session.save(missing.join("x")).err()
        });
        leaves_nothing(&mut session, "inputs that are missing", &mut |session| session.step(&[]).err());
        leaves_nothing(&mut session, "an input of another shape", &mut |session| {
            session.advance(&[("x", &short)]).err()
        });
        leaves_nothing(&mut session, "an input of no name", &mut |session| session.step(&[("x", &x), ("z", &x)]).err());
        leaves_nothing(&mut session, "an input given twice", &mut |session| {
            session.step(&[("x", &x), ("x", &x)]).err()
        });
        leaves_nothing(&mut session, "a run without a plan", &mut |session| session.run(&[("x", &x)]).err());
        std::fs::remove_file(&foreign).unwrap();
        session.step(&[("x", &x)]).unwrap();
    }
}

/// A plan that shares the scratch buffers of the session, and would have them larger, leaves them as they were.
#[test]
fn scratch_buffers_of_refused_plans() {
    for device in devices() {
        let (mut session, x) = session(&device);
        let sum = |extent: usize| {
            let g = Graph::new();
            let y = g.input("z", [extent]).square().sum(..);
            let mut outputs = vec![y];
            if extent > 1 << 16 {
                outputs.push(g.input("huge", [1 << 30, 1 << 28]).sum(..));
            }
            let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
            Plan::new(&g, &Request { outputs: ids, ..Request::default() }).unwrap()
        };
        let small = session.prepare(sum(1 << 12)).unwrap();
        let before = session.memory.size();
        for _ in 0..3 {
            assert!(session.prepare(sum(1 << 20)).is_err());
            assert_eq!(session.memory.size(), before, "{device}");
        }
        let ones = Tensor::new([1 << 12], vec![1.0f32; 1 << 12]).unwrap();
        assert_eq!(session.run_plan(small, &[("z", &ones)]).unwrap()[0].item(), Ok(4096.0), "{device}");
        session.step(&[("x", &x)]).unwrap();
    }
}

/// A network of a width, over batches of any size.
fn trainer_of_width(device: &Device, width: usize) -> Trainer<'static> {
    Trainer::new(device.clone(), Sgd::new(0.01).momentum(0.5), move |inputs| {
        let x = inputs.get("x");
        let first = arenagrad_graph::nn::Linear::new("first", 4, width).apply(x).tanh();
        let literal = inputs.graph().literal([width], (0..width).map(|value| value as f32).collect::<Vec<_>>());
        let second = arenagrad_graph::nn::Linear::new("second", width, width).apply(first * literal).tanh();
        second.matmul_with(second, false, true).softmax(-1).square().mean(..)
    })
}

fn rows(count: usize) -> Tensor {
    Tensor::new([count, 4], (0..count * 4).map(|value| (value % 7) as f32 * 0.1).collect()).unwrap()
}

#[test]
fn plans_for_many_shapes_share_their_buffers() {
    for device in devices() {
        let alone = |count: usize| {
            let mut trainer = trainer_of_width(&device, 64);
            trainer.step(&[("x", &rows(count))]).unwrap();
            (trainer.session().memory.size().0, trainer.session().parameter("second.weight").unwrap())
        };
        let (largest, _) = alone(96);
        // Smaller ones need little of their own: their literals. What is too small for the next is not kept.
        let (ascending, descending) = ((65..=96).collect::<Vec<_>>(), (65..=96).rev().collect::<Vec<_>>());
        let mixed: Vec<usize> = (0..32).map(|number| 65 + number * 7 % 32).collect();
        for counts in [&descending, &ascending, &mixed] {
            let mut trainer = trainer_of_width(&device, 64);
            // On a GPU plans that were outgrown are made anew in a second round, and those of the third are kept.
            for round in 0..3 {
                for count in counts {
                    trainer.step(&[("x", &rows(*count))]).unwrap();
                }
                let (bytes, _) = trainer.session().memory.size();
                assert!(bytes < largest + largest / 2, "{bytes} bytes for 32 shapes, {largest} for one, {device}");
                assert!(trainer.plans() == 32 || (round == 0 && !device.is_cpu()), "{device}, round {round}");
            }
        }
    }
}

/// What was planned in whatever order trains to the same bits, also where buffers grew under plans that go on.
#[test]
fn plans_whose_buffers_grew_change_no_bit() {
    for device in devices() {
        let run = |counts: &[usize]| {
            let mut trainer = trainer_of_width(&device, 16);
            counts.iter().for_each(|count| trainer.prepare(&[("x", &rows(*count))]).unwrap());
            let losses: Vec<u64> = [3usize, 40, 17, 3, 29, 40, 17]
                .into_iter()
                .map(|count| trainer.step(&[("x", &rows(count))]).unwrap().loss.to_bits())
                .collect();
            (losses, trainer.session().parameter("second.weight").unwrap())
        };
        assert_eq!(run(&[3, 17, 29, 40]), run(&[40, 29, 17, 3]), "{device}");
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_shapes() {
    for device in devices() {
        let mut trainer = trainer_of_width(&device, 16).plans_kept(4);
        let mut sizes = Vec::new();
        for round in 0..3 {
            for count in (1..60).map(|count| count * 37 % 59 + 1) {
                trainer.step(&[("x", &rows(count))]).unwrap();
                assert!(trainer.plans() <= 4, "round {round}");
            }
            sizes.push(trainer.session().memory.size());
        }
        assert_eq!((sizes[1], sizes[1]), (sizes[0], sizes[2]), "{device}");
    }
}

/// What a trainer computes does not depend on which plans it had before, nor on whose buffers these used.
#[test]
fn shared_and_reused_buffers_change_no_bit() {
    for device in devices() {
        let run = |kept: usize| {
            let mut trainer = trainer_of_width(&device, 16).plans_kept(kept);
            let check = trainer.add_evaluation(|inputs| vec![inputs.get("x").sum([1]), inputs.get("x").square()]);
            let mut losses = Vec::new();
            for count in [5, 9, 2, 9, 5, 13, 1, 2, 13, 5, 9] {
                let x = rows(count);
                losses.push(trainer.step(&[("x", &x)]).unwrap().loss.to_bits());
                let outputs = trainer.evaluate(check, &[("x", &x)]).unwrap();
                let squares: Vec<f32> = x.as_slice::<f32>().unwrap().iter().map(|value| value * value).collect();
                assert_eq!(outputs[1].as_slice::<f32>().unwrap(), squares, "{device}");
            }
            (losses, trainer.session().parameter("first.weight").unwrap())
        };
        assert_eq!(run(1), run(32), "{device}");
    }
}

/// A value that waits is converted for the parameter that takes it. If the plan of that is refused, it waits as it was given.
#[test]
fn a_value_waits_as_it_was_given() {
    for device in devices() {
        let mut session = Session::of_outside_plans(device.clone());
        let prepare = |session: &mut Session, storage: StorageType, elements: usize| {
            let g = Graph::new();
            let w = g.parameter_of("w", [], storage, Init::Constant(0.0));
            let y = w * g.parameter("v", [elements], Init::Constant(1.0));
            let request = Request { outputs: vec![y.id().unwrap()], ..Request::default() };
            session.prepare_outside(Plan::new(&g, &request).unwrap()).map(drop)
        };
        prepare_other(&mut session);
        let given = Tensor::scalar(1.2345678f32);
        let waiting = Waiting { value: Ok(given.clone()), is_training_state: false };
        session.parameters.set_waiting([("w".to_owned(), waiting)], Given::Argument);
        assert!(prepare(&mut session, StorageType::Bf16, 3).is_err());
        prepare(&mut session, StorageType::F32, 2).unwrap();
        assert_eq!(session.parameter("w").unwrap(), given, "{device}");
    }
}

/// A plan over the parameter `v` of two elements.
fn prepare_other(session: &mut Session) {
    let g = Graph::new();
    let y = g.parameter("v", [2], Init::Constant(1.0)) * 2.0;
    let request = Request { outputs: vec![y.id().unwrap()], ..Request::default() };
    session.prepare_outside(Plan::new(&g, &request).unwrap()).unwrap();
}

/// A function that is refused when it is planned leaves neither parameters nor buffers, and the next good call works.
#[test]
fn functions_that_are_refused() {
    for device in devices() {
        let mut trainer = trainer_of_width(&device, 16);
        let huge = trainer.add_training("huge", Sgd::new(0.1), |inputs| {
            let w = inputs.graph().parameter("huge", [1 << 30, 1 << 28], Init::Constant(0.0));
            inputs.get("x").sum(..) * w.sum(..)
        });
        trainer.step(&[("x", &rows(3))]).unwrap();
        let state = |trainer: &Trainer<'_>| (trainer.session().memory.size(), trainer.session().parameters.len());
        let before = state(&trainer);
        for _ in 0..3 {
            trainer.step_of(huge, &[("x", &rows(3))]).unwrap_err();
            trainer.step(&[("x", &Tensor::zeros([3, 5], DType::F32).unwrap())]).unwrap_err();
            trainer.step(&[("y", &rows(3))]).unwrap_err();
            assert_eq!(state(&trainer), before, "{device}");
        }
        trainer.step(&[("x", &rows(3))]).unwrap();
    }
}
