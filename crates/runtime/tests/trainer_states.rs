//! What a trainer keeps between steps, over all shapes and functions: counters, running statistics, random masks, hyperparameters,
//! gradients that are looked at, and values that are set, saved and read again.

use crate::suite::devices::devices;
use arenagrad::data::Batch;
use arenagrad::graph::StorageType;
use arenagrad::nn::{Linear, Phase};
use arenagrad::train::append_step;
use arenagrad::{
    Adam, AdamW, Checkpoint, DType, Device, Error, Expr, Graph, Init, Inputs, Optimizer, Session, Sgd, Tensor, Trainer,
};

fn vector(values: &[f32]) -> Tensor {
    Tensor::new([values.len()], values.to_vec()).unwrap()
}

fn item(trainer: &Trainer<'_>, name: &str) -> f64 {
    trainer.session().parameter(name).unwrap().item().unwrap()
}

/// A mean that training keeps up, as batch normalisation does.
fn running_mean<'g>(x: Expr<'g>, phase: Phase) -> Expr<'g> {
    let graph = x.graph();
    let mean = graph.shared_state("mean", [], DType::F32, Init::Constant(0.0));
    if phase.is_training() {
        graph.update(mean, graph.latest(mean) * 0.5 + x.mean(..) * 0.5);
        x - x.mean(..)
    } else {
        x - mean
    }
}

#[test]
fn states_change_in_training_steps_alone() {
    for device in devices() {
        let build = |inputs: &Inputs<'_>, phase: Phase| {
            let x = running_mean(inputs.get("x"), phase);
            let w = inputs.graph().shared_parameter("w", [], DType::F32, Init::Constant(1.0));
            (x * w - 1.0).square().mean(..).id().unwrap()
        };
        let mut trainer = Trainer::new(device.clone(), Sgd::new(0.1), |inputs| {
            let number = inputs.graph().step().cast(DType::F32);
            inputs.report("step", number);
            inputs.graph().expr(build(inputs, Phase::Training))
        });
        let second = trainer.add_training("second", Sgd::new(0.1), |inputs| {
            inputs.report("step", inputs.graph().step());
            inputs.graph().expr(build(inputs, Phase::Training))
        });
        let check = trainer.add_evaluation(|inputs| {
            inputs.report("step", inputs.graph().step());
            vec![inputs.graph().expr(build(inputs, Phase::Evaluation))]
        });
        let (two, three) = (vector(&[1.0, 3.0]), vector(&[5.0, 6.0, 7.0]));
        trainer.step(&[("x", &two)]).unwrap();
        assert_eq!(item(&trainer, "mean"), 1.0, "{device}");
        let outcome = trainer.step(&[("x", &three)]).unwrap();
        assert_eq!((item(&trainer, "mean"), outcome.metric("step").unwrap().item()), (3.5, Ok(1.0)), "{device}");
        for batch in [&two, &three] {
            let results = trainer.evaluate_with_metrics(check, &[("x", batch)]).unwrap();
            assert_eq!(results.metric("step").unwrap().item(), Ok(2.0), "{device}");
            trainer.gradients(&[("x", batch)]).unwrap();
            trainer.prepare_of(second, &[("x", batch)]).unwrap();
        }
        assert_eq!((item(&trainer, "mean"), item(&trainer, "step")), (3.5, 2.0), "{device}");
        trainer.advance_of(second, &[("x", &two)]).unwrap();
        assert_eq!((item(&trainer, "mean"), item(&trainer, "step")), (2.75, 3.0), "{device}");
    }
}

/// The masks of two places: which elements of ones are kept.
fn masks(device: &Device, seed: u64, steps: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut trainer = Trainer::new(device.clone(), Sgd::new(0.0), |inputs| {
        let x = inputs.get("x");
        let w = inputs.graph().shared_parameter("w", [], DType::F32, Init::Constant(1.0));
        let (first, second) = (x.dropout_in(Phase::Training, 0.5), x.dropout_in(Phase::Training, 0.5));
        inputs.report("first", first);
        inputs.report("second", second);
        (first * w + second).mean(..)
    })
    .seed(seed);
    let ones = Tensor::new([64], vec![1.0f32; 64]).unwrap();
    let mut draw = || {
        let outcome = trainer.step(&[("x", &ones)]).unwrap();
        ["first", "second"].map(|name| outcome.metric(name).unwrap().to_f64_vec())
    };
    (0..steps).map(|_| draw()).map(|[first, second]| (first, second)).collect()
}

#[test]
fn masks_are_of_place_step_and_seed() {
    let mut of_devices = Vec::new();
    for device in devices() {
        let (once, again, other) = (masks(&device, 1, 3), masks(&device, 1, 3), masks(&device, 2, 3));
        assert_eq!(once, again, "{device}");
        let all: Vec<&Vec<f64>> = once.iter().chain(&other).flat_map(|(first, second)| [first, second]).collect();
        for (place, mask) in all.iter().enumerate() {
            assert!(mask.iter().all(|kept| *kept == 0.0 || *kept == 2.0), "{device}");
            assert!(all[..place].iter().all(|before| before != mask), "{device}: mask {place} came before");
        }
        of_devices.push(once);
    }
    assert!(of_devices.iter().all(|masks| *masks == of_devices[0]), "all devices draw the same");
}

#[test]
fn first_values_are_of_seed_and_name() {
    let value = |seed: u64, first: &'static str, second: &'static str| {
        let mut trainer = Trainer::without_loss(Device::cpu()).seed(seed);
        let both = trainer.add_evaluation(move |inputs| {
            [first, second].map(|name| Linear::new(name, 3, 2).apply(inputs.get("x"))).to_vec()
        });
        trainer.prepare_of(both, &[("x", &Tensor::zeros([1, 3], DType::F32).unwrap())]).unwrap();
        trainer.session().parameter("a.weight").unwrap()
    };
    assert_eq!(value(7, "a", "b"), value(7, "b", "a"));
    assert_ne!(value(7, "a", "b"), value(8, "a", "b"));
}

#[test]
fn the_learning_rate_is_one_for_all_shapes_and_may_be_set_before_the_first() {
    for device in devices() {
        let mut trainer = Trainer::new(device.clone(), Sgd::new(0.5), |inputs| {
            (inputs.graph().parameter("w", [], Init::Constant(1.0)) * inputs.get("x")).mean(..)
        });
        let (one, two) = (vector(&[1.0]), vector(&[1.0, 1.0]));
        trainer.set_learning_rate(0.25).unwrap();
        trainer.step(&[("x", &one)]).unwrap();
        assert_eq!(item(&trainer, "w"), 0.75, "{device}");
        trainer.step(&[("x", &two)]).unwrap();
        assert_eq!(item(&trainer, "w"), 0.5, "{device}");
        trainer.set_learning_rate(0.125).unwrap();
        trainer.step(&[("x", &one)]).unwrap();
        trainer.step(&[("x", &two)]).unwrap();
        assert_eq!(item(&trainer, "w"), 0.25, "{device}");
        assert!(matches!(trainer.set_learning_rate(f64::NAN), Err(Error::Hyperparameter { .. })));
    }
    struct Fixed;
    impl Optimizer for Fixed {
        fn update<'g>(
            &self,
            _: &'g Graph,
            trained: &[arenagrad::train::Trained<'g>],
        ) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
            Ok(trained.iter().map(|one| (one.parameter, one.parameter - one.gradient)).collect())
        }
    }
    let mut trainer = Trainer::new(Device::cpu(), Fixed, |inputs| {
        (inputs.graph().parameter("w", [], Init::Constant(1.0)) * inputs.get("x")).mean(..)
    });
    trainer.set_learning_rate(0.1).unwrap();
    let error = trainer.step(&[("x", &vector(&[1.0]))]).unwrap_err();
    assert!(matches!(&error, Error::UnknownParameter { name, .. } if name == "learning_rate"), "{error}");

    // Behind the first step it is told at once, and nothing waits for the next plan.
    let mut trainer = Trainer::new(Device::cpu(), Fixed, |inputs| {
        (inputs.graph().parameter("w", [], Init::Constant(1.0)) * inputs.get("x")).mean(..)
    });
    trainer.step(&[("x", &vector(&[1.0]))]).unwrap();
    let error = trainer.set_learning_rate(0.1).unwrap_err();
    assert!(matches!(&error, Error::UnknownParameter { name, .. } if name == "learning_rate"), "{error}");
    trainer.step(&[("x", &vector(&[1.0, 2.0]))]).unwrap();
}

#[test]
fn a_batch_of_another_float_says_where_the_type_of_a_parameter_comes_from() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(1.0), |inputs| {
        Linear::new("head", 1, 1).apply(inputs.get("x")).square().mean(..)
    });
    trainer.step(&[("x", &Tensor::new([2, 1], vec![1.0f32, 2.0]).unwrap())]).unwrap();
    let error = trainer.step(&[("x", &Tensor::new([2, 1], vec![1.0f64, 2.0]).unwrap())]).unwrap_err().to_string();
    assert!(
        error.starts_with("parameter \"head.weight\" holds f32 but was given f64 by its declaration at "),
        "{error}"
    );
    assert!(error.ends_with("; a layer declares its parameters in the type of what it is applied to"), "{error}");
}

#[test]
fn gradients_are_those_of_the_next_step_and_change_nothing() {
    for device in devices() {
        let mut trainer = Trainer::new(device.clone(), Sgd::new(1.0), |inputs| {
            let x = inputs.get("x").dropout_in(Phase::Training, 0.5);
            Linear::new("head", 4, 2).apply(x).square().mean(..)
        });
        let x = Tensor::new([3, 4], (0..12).map(|x| x as f32 * 0.1 + 0.1).collect()).unwrap();
        let batch = [("x", &x)];
        trainer.advance(&batch).unwrap();
        let before: Vec<Tensor> =
            ["head.weight", "head.bias"].map(|name| trainer.session().parameter(name).unwrap()).to_vec();
        let gradients = trainer.gradients(&batch).unwrap();
        assert_eq!(gradients, trainer.gradients(&batch).unwrap());
        trainer.step(&batch).unwrap();
        assert_eq!(gradients.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["head.weight", "head.bias"]);
        for ((name, gradient), before) in gradients.iter().zip(&before) {
            let after = trainer.session().parameter(name).unwrap().to_f64_vec();
            for ((before, after), gradient) in before.to_f64_vec().iter().zip(after).zip(gradient.to_f64_vec()) {
                assert!((before - after - gradient).abs() < 1e-5, "{name}, {device}: {before} {after} {gradient}");
            }
        }
        // The dropout masks were those of the step: another step has others.
        assert_ne!(gradients, trainer.gradients(&batch).unwrap());
    }
}

#[test]
fn what_no_gradient_reaches_or_nobody_trains_stays() {
    for device in devices() {
        let mut trainer = Trainer::new(device.clone(), AdamW::new(0.1), |inputs| {
            let [w, v] = ["w", "v"].map(|name| inputs.graph().parameter(name, [], Init::Constant(1.0)));
            (w * v.stop_gradient() - inputs.get("target")).square().mean(..)
        });
        let frozen = trainer.add_training("frozen", AdamW::new(0.1).freeze("v"), |inputs| {
            let [w, v] = ["w", "v"].map(|name| inputs.graph().parameter(name, [], Init::Constant(1.0)));
            (w * v - inputs.get("target")).square().mean(..)
        });
        let target = vector(&[3.0]);
        for _ in 0..100 {
            trainer.advance(&[("target", &target)]).unwrap();
            trainer.advance_of(frozen, &[("target", &target)]).unwrap();
        }
        assert_eq!(item(&trainer, "v"), 1.0, "{device}");
        assert!((item(&trainer, "w") - 3.0).abs() < 0.3, "{device}");
        assert!(!trainer.session().parameter_names().any(|name| name.contains("v.")), "{device}");
        let gradients = trainer.gradients_of(frozen, &[("target", &target)]).unwrap();
        assert_eq!(gradients.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["w"]);
        let nothing = trainer.add_training("nothing", Sgd::new(0.1).only("w").freeze("w"), |inputs| {
            (inputs.graph().parameter("w", [], Init::Constant(1.0)) - inputs.get("target")).square().mean(..)
        });
        let error = trainer.step_of(nothing, &[("target", &target)]).unwrap_err();
        assert!(error.to_string().contains("the optimiser trains none of the parameters of the loss"), "{error}");
    }
}

#[test]
fn a_session_of_a_graph_and_a_trainer_do_the_same_to_the_bit() {
    fn loss<'g>(x: Expr<'g>, y: Expr<'g>) -> Expr<'g> {
        let hidden = Linear::new("hidden", 2, 5).apply(x).tanh().dropout_in(Phase::Training, 0.25);
        (Linear::new("output", 5, 1).apply(hidden) - y).square().mean(..)
    }
    for device in devices() {
        let graph = Graph::new();
        let loss_of_graph = loss(graph.input("x", [3, 2]), graph.input("y", [3, 1]));
        let mut session =
            Session::builder(device.clone()).seed(5).train(&graph, loss_of_graph, &Adam::new(0.01)).unwrap();
        let mut trainer =
            Trainer::new(device.clone(), Adam::new(0.01), |inputs| loss(inputs.get("x"), inputs.get("y"))).seed(5);
        let batch = Batch::new()
            .with("x", Tensor::new([3, 2], vec![0.5f32, 1.0, -1.0, 0.0, 2.0, 1.0]).unwrap())
            .with("y", Tensor::new([3, 1], vec![1.0f32, 0.0, -1.0]).unwrap());
        for step in 0..10 {
            let inputs = [("x", batch.get("x").unwrap()), ("y", batch.get("y").unwrap())];
            let expected = session.step(&inputs).unwrap();
            assert_eq!(trainer.step(&batch).unwrap().loss.to_bits(), expected.to_bits(), "step {step}, {device}");
        }
        for name in session.parameter_names() {
            assert_eq!(trainer.session().parameter(name), session.parameter(name), "{name}, {device}");
        }
        assert!(append_step(loss_of_graph, &Adam::new(0.01)).is_ok());
    }
}

#[test]
fn values_are_set_saved_and_read_again() {
    for (number, device) in devices().into_iter().enumerate() {
        let file = std::env::temp_dir().join(format!("arenagrad-trainer-{}-{number}", std::process::id()));
        let make = || {
            Trainer::new(device.clone(), Adam::new(0.1), |inputs| {
                let x = inputs.get("x").dropout_in(Phase::Training, 0.5);
                Linear::new("head", 2, 1).apply(x).square().mean(..)
            })
            .seed(9)
        };
        let (two, one) =
            (Tensor::new([2, 2], vec![1.0f32; 4]).unwrap(), Tensor::new([1, 2], vec![2.0f32, -1.0]).unwrap());
        let mut trainer = make();
        trainer.prepare(&[("x", &two)]).unwrap();
        trainer.session_mut().set_parameter("head.weight", &Tensor::new([1, 2], vec![1.0f32, 2.0]).unwrap()).unwrap();
        trainer.step(&[("x", &two)]).unwrap();
        trainer.step(&[("x", &one)]).unwrap();
        trainer.session().save(&file).unwrap();
        let expected: Vec<f64> = [&one, &two, &one].map(|x| trainer.step(&[("x", x)]).unwrap().loss).to_vec();
        let mut resumed = make();
        resumed.prepare(&[("x", &one)]).unwrap();
        resumed.session_mut().load(&file).unwrap();
        let found: Vec<f64> = [&one, &two, &one].map(|x| resumed.step(&[("x", x)]).unwrap().loss).to_vec();
        assert_eq!(found, expected, "{device}");
        assert_eq!(item(&resumed, "updates"), 5.0);
        // Read before anything was planned, values wait for their parameters, and are saved on.
        let mut waiting = make();
        waiting.session_mut().load(&file).unwrap();
        assert_eq!(waiting.session().parameter_names().count(), 0);
        assert!(waiting.session().waiting_names().any(|name| name == "head.weight.first_moment"));
        waiting.session().save(&file).unwrap();
        let found: Vec<f64> = [&one, &two, &one].map(|x| waiting.step(&[("x", x)]).unwrap().loss).to_vec();
        assert_eq!((found, waiting.session().waiting_names().count()), (expected.clone(), 0), "{device}");
        let mut again = make();
        again.session_mut().load(&file).unwrap();
        assert_eq!(again.step(&[("x", &one)]).unwrap().loss, expected[0], "{device}");
        // One that does not fit is an error when it is needed, and waits on.
        let mut wide = Trainer::new(device.clone(), Adam::new(0.1), |inputs| {
            Linear::new("head", 3, 1).apply(inputs.get("x")).square().mean(..)
        });
        wide.session_mut().load(&file).unwrap();
        let error = wide.step(&[("x", &Tensor::new([1, 3], vec![1.0f32; 3]).unwrap())]).unwrap_err();
        assert!(matches!(&error, Error::ParameterShape { name, .. } if name == "head.weight"), "{error}");
        std::fs::write(&file, "no parameters").unwrap();
        assert!(matches!(make().session_mut().load(&file), Err(Error::ParameterFile { .. })));
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_session_of_a_trainer_takes_plans_of_a_graph() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.5), |inputs| {
        (inputs.graph().parameter("w", [], Init::Constant(1.0)) * inputs.get("x")).mean(..)
    });
    trainer.step(&[("x", &vector(&[1.0, 3.0]))]).unwrap();
    let graph = Graph::new();
    let y = graph.parameter("w", [], Init::Constant(1.0)) * graph.input("z", [2]);
    let plan = trainer.session_mut().add(&graph, &[y]).unwrap();
    let results = trainer.session_mut().run_plan(plan, &[("z", &vector(&[1.0, 2.0]))]).unwrap();
    assert_eq!(results[0].to_f64_vec(), [0.0, 0.0]);
    trainer.step(&[("x", &vector(&[1.0, 3.0]))]).unwrap();
    let results = trainer.session_mut().run_plan(plan, &[("z", &vector(&[1.0, 2.0]))]).unwrap();
    assert_eq!(results[0].to_f64_vec(), [-1.0, -2.0]);
}

#[test]
fn plans_that_have_not_run_for_longest_are_dropped() {
    for device in devices() {
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let planned = || calls.load(std::sync::atomic::Ordering::Relaxed);
        let mut trainer = Trainer::new(device.clone(), Sgd::new(0.5), |inputs| {
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (inputs.graph().parameter("w", [], Init::Constant(0.0)) - inputs.get("x")).square().mean(..)
        })
        .plans_kept(2);
        let step = |trainer: &mut Trainer<'_>, extent: usize| {
            let x = vector(&vec![4.0; extent]);
            trainer.step(&[("x", &x)]).unwrap();
            assert_eq!(item(trainer, "w"), 4.0, "{extent}, {device}");
        };
        step(&mut trainer, 1);
        step(&mut trainer, 2);
        step(&mut trainer, 1);
        step(&mut trainer, 3); // in the place of the plan for 2
        assert_eq!((planned(), trainer.plans()), (3, 2));
        step(&mut trainer, 1);
        assert_eq!(planned(), 3);
        step(&mut trainer, 2);
        assert_eq!((planned(), trainer.plans()), (4, 2), "{device}");
    }
}

fn line<'f>() -> Trainer<'f> {
    Trainer::new(Device::cpu(), Sgd::new(0.5), |inputs| {
        (inputs.graph().parameter("w", [], Init::Constant(1.0)) * inputs.get("x")).mean(..)
    })
}

#[test]
fn a_learning_rate_that_waits_is_refused_until_it_can_be_used() {
    let (mut trainer, one) = (line(), vector(&[1.0]));
    trainer.set_learning_rate(1e300).unwrap();
    for _ in 0..2 {
        assert!(matches!(trainer.step(&[("x", &one)]), Err(Error::Hyperparameter { .. })));
        assert_eq!(trainer.plans(), 0);
    }
    trainer.set_learning_rate(0.25).unwrap();
    trainer.step(&[("x", &one)]).unwrap();
    assert_eq!(item(&trainer, "w"), 0.75);
}

#[test]
fn a_learning_rate_that_waits_is_kept_by_checkpoints() {
    let one = vector(&[1.0]);
    let mut trainer = line();
    trainer.set_learning_rate(0.25).unwrap();
    let checkpoint = Checkpoint::from_bytes(trainer.checkpoint().unwrap().to_bytes().unwrap()).unwrap();
    let mut resumed = line();
    resumed.restore(&checkpoint).unwrap();
    resumed.step(&[("x", &one)]).unwrap();
    assert_eq!(item(&resumed, "w"), 0.75);
    // One that has no rate leaves what was set; one that has one takes its place.
    trainer.restore(&line().checkpoint().unwrap()).unwrap();
    trainer.step(&[("x", &one)]).unwrap();
    assert_eq!(item(&trainer, "w"), 0.75);
    let mut other = line();
    other.set_learning_rate(0.125).unwrap();
    other.restore(&trainer.checkpoint().unwrap()).unwrap();
    other.step(&[("x", &one)]).unwrap();
    assert_eq!(item(&other, "w"), 0.5);
}

/// What is loaded before a function is planned is converted and refused as what is loaded after.
#[test]
fn values_that_wait_are_converted_and_checked() {
    let (folder, one) = (std::env::temp_dir(), vector(&[1.0]));
    let path = folder.join(format!("arenagrad-waiting-{}.safetensors", std::process::id()));
    let mut planned = line();
    planned.prepare(&[("x", &one)]).unwrap();
    for (name, number) in [("w", 2.0f32), ("learning_rate", f32::NAN)] {
        let mut weights = planned.session().weights().unwrap();
        for known in ["updates", "learning_rate", "step"] {
            if let Ok(value) = planned.session().parameter(known) {
                weights = weights.with(known, value);
            }
        }
        let value = Tensor::scalar(number);
        let value = if name == "w" { value.cast(StorageType::F16) } else { value };
        weights.with(name, value).save(&path).unwrap();
        let after = planned.session_mut().load(&path);
        let mut trainer = line();
        trainer.session_mut().load(&path).unwrap();
        let before = trainer.prepare(&[("x", &one)]);
        // As texts, because one of them has NaN in it.
        assert_eq!(format!("{before:?}"), format!("{after:?}"), "{name}");
        assert_eq!(before.is_err(), name == "learning_rate", "{before:?}");
        if before.is_ok() {
            assert_eq!(item(&trainer, "w"), 2.0);
        }
    }
    std::fs::remove_file(path).unwrap();
}
