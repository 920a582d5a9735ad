//! A trainer: one set of parameters, whatever shapes its batches have.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::suite::devices::devices;
use arenagrad::data::Batch;
use arenagrad::nn::{Linear, Phase};
use arenagrad::train::Lbfgs;
use arenagrad::{Adam, AdamW, DType, Device, Error, Expr, GraphError, Init, Inputs, Optimizer, Sgd, Tensor, Trainer};

/// `y = 2 x - 1` at some points, as one batch.
fn points(x: &[f32]) -> Batch {
    let column = |values: Vec<f32>| Tensor::new([values.len(), 1], values).unwrap();
    let y = x.iter().map(|x| 2.0 * x - 1.0).collect();
    Batch::new().with("x", column(x.to_vec())).with("y", column(y))
}

/// The loss of a line over such a batch.
fn line<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
    (Linear::new("line", 1, 1).apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
}

#[test]
fn batches_of_all_sizes_train_one_network_with_one_state() {
    let batches = [points(&[0.0, 1.0, 2.0]), points(&[-1.0, 0.5]), points(&[3.0]), points(&[0.0, 1.0, 2.0])];
    // Adam by its formula, in f64.
    let reference = |weight: f64, bias: f64| {
        let (mut parameters, mut first, mut second) = ([weight, bias], [0.0; 2], [0.0; 2]);
        let mut losses = Vec::new();
        for step in 0..40 {
            let batch = &batches[step % batches.len()];
            let (x, y) = (batch.get("x").unwrap(), batch.get("y").unwrap());
            let pairs: Vec<(f64, f64)> = x
                .as_slice::<f32>()
                .unwrap()
                .iter()
                .zip(y.as_slice::<f32>().unwrap())
                .map(|(x, y)| (f64::from(*x), f64::from(*y)))
                .collect();
            let count = pairs.len() as f64;
            let residual = |(x, y): &(f64, f64)| parameters[0] * x + parameters[1] - y;
            losses.push(pairs.iter().map(|pair| residual(pair).powi(2)).sum::<f64>() / count);
            let gradients = [
                pairs.iter().map(|pair| 2.0 * residual(pair) * pair.0).sum::<f64>() / count,
                pairs.iter().map(|pair| 2.0 * residual(pair)).sum::<f64>() / count,
            ];
            let number = step as i32 + 1;
            for (place, gradient) in gradients.into_iter().enumerate() {
                first[place] = 0.9 * first[place] + 0.1 * gradient;
                second[place] = 0.999 * second[place] + 0.001 * gradient * gradient;
                let mean = first[place] / (1.0 - 0.9f64.powi(number));
                let deviation = (second[place] / (1.0 - 0.999f64.powi(number))).sqrt();
                parameters[place] -= 0.05 * mean / (deviation + 1e-8);
            }
        }
        (parameters, losses)
    };
    for device in devices() {
        let mut trainer = Trainer::new(device.clone(), Adam::new(0.05), line).seed(3);
        trainer.prepare(&batches[0]).unwrap();
        let value = |trainer: &Trainer<'_>, name: &str| trainer.session().parameter(name).unwrap().item().unwrap();
        let (expected, losses) = reference(value(&trainer, "line.weight"), value(&trainer, "line.bias"));
        for (step, expected) in losses.into_iter().enumerate() {
            let loss = trainer.step(&batches[step % batches.len()]).unwrap().loss;
            assert!((loss - expected).abs() < 1e-4 * (1.0 + expected), "step {step}: {loss} for {expected}, {device}");
        }
        for (name, expected) in [("line.weight", expected[0]), ("line.bias", expected[1])] {
            assert!((value(&trainer, name) - expected).abs() < 1e-4, "{name}, {device}");
        }
        assert_eq!(value(&trainer, "updates"), 40.0);
        assert_eq!(trainer.plans(), 3, "one for each batch size");
    }
}

#[test]
fn metrics_come_back_under_their_names() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let logits = Linear::new("head", 2, 3).apply(inputs.get("x"));
        inputs.report("accuracy", logits.accuracy(inputs.get("labels")));
        inputs.report("logits", logits);
        logits.cross_entropy(inputs.get("labels"))
    });
    let check = trainer.add_evaluation(|inputs| {
        let logits = Linear::new("head", 2, 3).apply(inputs.get("x"));
        inputs.report("largest", logits.max(..));
        vec![logits, logits.argmax(-1)]
    });
    let x = Tensor::new([2, 2], vec![1.0f32, 0.0, 0.0, 1.0]).unwrap();
    let labels = Tensor::new([2], vec![0, 2]).unwrap();
    let batch = [("x", &x), ("labels", &labels)];
    let before = trainer.evaluate_with_metrics(check, &batch).unwrap();
    let outcome = trainer.step(&batch).unwrap();
    assert_eq!(outcome.metrics.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["accuracy", "logits"]);
    assert_eq!(outcome.metric("logits"), Ok(&before.outputs[0]), "metrics are those before the update");
    let largest = before.outputs[0].as_slice::<f32>().unwrap().iter().copied().fold(f32::MIN, f32::max);
    assert_eq!(before.metric("largest").unwrap().item(), Ok(f64::from(largest)));
    assert_eq!(before.outputs.len(), 2);
    assert_eq!(before.outputs[1].dtype(), DType::I32);
    let error = outcome.metric("accurcy").unwrap_err();
    assert_eq!(error.to_string(), "no metric is named \"accurcy\"; the function reports \"accuracy\", \"logits\"");
    trainer.advance(&batch).unwrap();
    assert_ne!(trainer.evaluate(check, &batch).unwrap()[0], before.outputs[0]);
}

#[test]
fn what_a_function_gets_wrong_is_told_with_its_line_and_leaves_nothing() {
    let calls = AtomicUsize::new(0);
    let line_of = AtomicUsize::new(0);
    let x = Tensor::new([2, 2], vec![1.0f32; 4]).unwrap();
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        calls.fetch_add(1, Ordering::Relaxed);
        let w = inputs.graph().parameter("w", [2, 2], Init::Constant(1.0));
        line_of.store(line!() as usize + 1, Ordering::Relaxed);
        let (x, y) = (inputs.get("x"), inputs.get("y"));
        (x.matmul(w) - y).square().mean(..)
    });
    let place = |offset: usize| format!("{}:{}", file!(), line_of.load(Ordering::Relaxed) + offset);
    let error = trainer.step(&[("x", &x), ("z", &x)]).unwrap_err();
    assert!(matches!(&error, Error::Graph(GraphError::InputNotGiven { .. })), "{error}");
    assert_eq!(error.to_string(), format!("{}: no input \"y\" was given; given were \"x\", \"z\"", place(0)));
    let wide = Tensor::new([2, 3], vec![1.0f32; 6]).unwrap();
    let error = trainer.step(&[("x", &wide), ("y", &x)]).unwrap_err().to_string();
    assert!(error.starts_with(&place(1)) && error.contains("matmul"), "{error}");
    let error = trainer.step(&[("x", &x), ("y", &x), ("x", &x)]).unwrap_err();
    assert_eq!(error, Error::RepeatedInput { name: "x".to_owned() });
    assert_eq!((trainer.plans(), trainer.session().parameter_names().count()), (0, 0));
    let loss = trainer.step(&[("x", &x), ("y", &x)]).unwrap().loss;
    assert_eq!(loss, 1.0);
    assert_eq!(calls.load(Ordering::Relaxed), 3, "the repeated name was refused before the function was called");
    // Of what is planned no more is built, and what is wrong with other shapes changes nothing.
    trainer.step(&[("x", &x), ("y", &x), ("left alone", &wide)]).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    let before = trainer.session().parameter("w").unwrap();
    trainer.step(&[("x", &wide), ("y", &x)]).unwrap_err();
    assert_eq!(trainer.session().parameter("w").unwrap(), before);
    trainer.step(&[("x", &x), ("y", &x)]).unwrap();
}

#[test]
fn what_a_run_refuses_of_its_inputs_leaves_no_plan_and_no_parameter() {
    let x = Tensor::from([[1.0f32, 2.0]]);
    let (labels, wrong) = (Tensor::from([0i32]), Tensor::from([7i32]));
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        let mut logits = Linear::new("l", 2, 2).apply(inputs.get("x"));
        if inputs.has("labels") {
            return logits.cross_entropy(inputs.get("labels"));
        }
        logits = logits + inputs.graph().input("z", [1, 1]);
        logits.square().mean(..)
    });
    let outputs = trainer.add_evaluation(|inputs| {
        vec![Linear::new("m", 2, 2).apply(inputs.get("x")) + inputs.graph().input("z", [1, 1])]
    });
    let seen = |trainer: &Trainer<'_>| (trainer.plans(), trainer.session().parameter_names().count());
    let missing = |error: Error| assert!(matches!(&error, Error::DeclaredInput { name, .. } if name == "z"), "{error}");
    let batch = [("x", &x)];
    missing(trainer.step(&batch).unwrap_err());
    assert_eq!(seen(&trainer), (0, 0));
    missing(trainer.advance(&batch).unwrap_err());
    missing(trainer.gradients(&batch).map(drop).unwrap_err());
    missing(trainer.evaluate(outputs, &batch).map(drop).unwrap_err());
    missing(trainer.minimise(&mut Lbfgs::new(1.0), &batch).map(drop).unwrap_err());
    let error = trainer.step(&[("x", &x), ("labels", &wrong)]).unwrap_err();
    assert!(matches!(&error, Error::IndexOutOfRange { value: 7, bound: 2, .. }), "{error}");
    assert_eq!(seen(&trainer), (0, 0));
    // To be looked at a plan needs no values.
    trainer.step(&[("x", &x), ("labels", &labels)]).unwrap();
    let parameters = trainer.session().parameter_names().count();
    assert_eq!(seen(&trainer), (1, parameters));
    missing(trainer.step(&batch).unwrap_err());
    assert_eq!(seen(&trainer), (1, parameters));
    assert!(trainer.plan_of(outputs, &batch).is_err(), "after a step what it needs is untrained");
    trainer.prepare_of(outputs, &batch).unwrap();
    assert_eq!(trainer.plans(), 2);
}

#[test]
fn mistakes_with_inputs_and_metrics() {
    let x = Tensor::new([2], vec![1.0f32; 2]).unwrap();
    let refused = |loss: for<'g> fn(&Inputs<'g>) -> Expr<'g>| {
        Trainer::new(Device::cpu(), Sgd::new(0.1), loss).step(&[("x", &x)]).unwrap_err()
    };
    let error = refused(|inputs| {
        inputs.report("mean", inputs.get("x").mean(..));
        inputs.report("mean", inputs.get("x").sum(..));
        inputs.get("x").sum(..)
    });
    assert!(matches!(&error, Error::RepeatedMetric { name, .. } if name == "mean"), "{error}");
    let error = refused(|inputs| inputs.get("x").sum(..) * inputs.extent("x", 1) as f64);
    assert!(matches!(error, Error::InputAxis { axis: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("input \"x\" of shape [2] has no axis 1"), "{error}");
    let error = refused(|inputs| inputs.get("x").sum(..) * inputs.extent("y", 0) as f64);
    assert!(error.to_string().ends_with("no input \"y\" was given; given was \"x\""), "{error}");
    // The first mistake counts.
    let error = refused(|inputs| inputs.get("x").sum(7) + inputs.extent("x", 1) as f64);
    assert!(matches!(error, Error::Graph(_)) && error.to_string().contains("sum"), "{error}");
    let error = refused(|inputs| inputs.get("x"));
    assert!(matches!(error, Error::LossNotScalar { .. }), "{error}");
    let error = refused(|inputs| inputs.get("x").sum(..));
    assert!(matches!(error, Error::NothingToTrain { .. }), "{error}");
}

#[test]
fn an_input_is_declared_as_the_tensor_that_came() {
    let seen = std::sync::Mutex::new(Vec::new());
    let mut trainer = Trainer::without_loss(Device::cpu());
    let sum = trainer.add_evaluation(|inputs| {
        let x = inputs.get("x");
        assert_eq!(x.id(), inputs.get("x").id());
        seen.lock().unwrap().push((x.shape().unwrap(), x.dtype().unwrap(), inputs.extent("x", 0), inputs.has("mask")));
        let x =
            if inputs.has("mask") { inputs.get("mask").where_(x.cast(DType::F32), 0.0) } else { x.cast(DType::F32) };
        vec![x.sum(..)]
    });
    let mut of = |tensors: &[(&str, &Tensor)]| trainer.evaluate(sum, tensors).unwrap()[0].item().unwrap();
    let floats = Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap();
    let mask = Tensor::new([3], vec![1, 0, 1]).unwrap().cast(DType::Bool);
    assert_eq!(of(&[("x", &floats)]), 6.0);
    assert_eq!(of(&[("x", &floats), ("mask", &mask)]), 4.0);
    assert_eq!(of(&[("x", &floats)]), 6.0);
    assert_eq!(of(&[("x", &Tensor::new([2], vec![1, 2]).unwrap())]), 3.0);
    assert_eq!(of(&[("x", &Tensor::new([2], vec![1.0f64, 2.5]).unwrap())]), 3.5);
    assert_eq!(of(&[("x", &floats.cast(arenagrad::StorageType::F16))]), 6.0);
    let dtypes: Vec<_> = seen.lock().unwrap().iter().map(|(_, dtype, extent, mask)| (*dtype, *extent, *mask)).collect();
    let expected = [
        (DType::F32, 3, false),
        (DType::F32, 3, true),
        (DType::I32, 2, false),
        (DType::F64, 2, false),
        (DType::F32, 3, false),
    ];
    assert_eq!(dtypes, expected);
}

#[test]
fn several_optimisers_over_one_set_of_parameters() {
    struct Only<O>(&'static str, O);
    impl<O: Optimizer> Optimizer for Only<O> {
        fn update<'g>(
            &self,
            graph: &'g arenagrad::Graph,
            trained: &[arenagrad::train::Trained<'g>],
        ) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
            assert!(trained.iter().all(|trained| self.trains(&trained.name)));
            self.1.update(graph, trained)
        }

        fn trains(&self, name: &str) -> bool {
            name.starts_with(self.0)
        }
    }
    for device in devices() {
        let product = |inputs: &Inputs<'_>| {
            let graph = inputs.graph();
            let [a, b] = ["a.w", "b.w"].map(|name| graph.shared_parameter(name, [], DType::F32, Init::Constant(2.0)));
            (a.id().unwrap(), b.id().unwrap())
        };
        let mut trainer = Trainer::new(device.clone(), Only("a.", Adam::new(0.5)), |inputs| {
            let (a, b) = product(inputs);
            (inputs.graph().expr(a) * inputs.graph().expr(b) - inputs.get("target")).square()
        });
        let second = trainer.add_training("second", Only("b.", AdamW::new(0.25)), |inputs| {
            let (a, b) = product(inputs);
            (inputs.graph().expr(a) * inputs.graph().expr(b) + inputs.get("target")).square()
        });
        let target = Tensor::scalar(1.0f32);
        let batch = [("target", &target)];
        let value = |trainer: &Trainer<'_>, name: &str| trainer.session().parameter(name).unwrap().item().unwrap();
        trainer.step(&batch).unwrap();
        assert_eq!((value(&trainer, "a.w"), value(&trainer, "b.w")), (1.5, 2.0), "{device}");
        trainer.step_of(second, &batch).unwrap();
        trainer.step_of(second, &batch).unwrap();
        assert_eq!(value(&trainer, "a.w"), 1.5, "{device}");
        assert!((value(&trainer, "b.w") - 1.491606).abs() < 1e-5, "{device}");
        assert_eq!((value(&trainer, "updates"), value(&trainer, "second.updates")), (1.0, 2.0));
        let mut names: Vec<&str> = trainer.session().parameter_names().collect();
        names.sort_unstable();
        let expected = [
            "a.w",
            "a.w.first_moment",
            "a.w.second_moment",
            "b.w",
            "learning_rate",
            "second.b.w.first_moment",
            "second.b.w.second_moment",
            "second.learning_rate",
            "second.updates",
            "updates",
        ];
        assert_eq!(names, expected);
        trainer.set_learning_rate_of(second, 0.0).unwrap();
        trainer.step_of(second, &batch).unwrap();
        trainer.step(&batch).unwrap();
        assert!(value(&trainer, "b.w") > 1.49 && value(&trainer, "a.w") < 1.5, "{device}");
        // The scalars of each optimiser are guarded under their names.
        let refused = trainer.session_mut().set_parameter("second.updates", &Tensor::scalar(0.5f32)).unwrap_err();
        assert!(matches!(refused, Error::Hyperparameter { .. }), "{refused}");
    }
}

#[test]
fn functions_are_told_apart() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), line);
    let predict = trainer.add_evaluation(|inputs| vec![Linear::new("line", 1, 1).apply(inputs.get("x"))]);
    let batch = points(&[1.0, 2.0]);
    let first = trainer.first_training().unwrap();
    let error = trainer.step_of(predict, &batch).unwrap_err();
    assert_eq!(error.to_string(), "the function is an evaluation, and not a training function");
    let error = trainer.evaluate(first, &batch).unwrap_err();
    assert_eq!(error.to_string(), "the first training function is a training function, and not an evaluation");
    let mut other = Trainer::new(Device::cpu(), Sgd::new(0.1), line);
    assert_eq!(other.step_of(first, &batch).unwrap_err(), Error::ForeignFunction);
    assert_eq!(other.evaluate(predict, &batch).unwrap_err(), Error::ForeignFunction);
    let again = trainer.add_training("", Sgd::new(0.2), line);
    let error = trainer.step_of(again, &batch).unwrap_err();
    assert_eq!(error, Error::RepeatedFunction { name: String::new() });
    let mut evaluator = Trainer::without_loss(Device::cpu());
    let error = evaluator.step(&batch).unwrap_err();
    assert!(error == Error::NoTrainingFunction && error.to_string().starts_with("this trainer was made"), "{error}");
    let predict = evaluator.add_evaluation(|inputs| vec![Linear::new("line", 1, 1).apply(inputs.get("x"))]);
    assert_eq!(evaluator.evaluate(predict, &batch).unwrap()[0].shape().dims(), [2, 1]);
    assert_eq!(evaluator.session().plan().steps().len(), 0);
    assert_eq!(evaluator.session_mut().step(&[]).unwrap_err(), Error::NotTraining);
    assert_eq!(evaluator.session_mut().run(&[]).unwrap_err(), Error::NothingToRun);
}

/// A trainer and what it borrows may go to another thread.
#[test]
fn a_trainer_is_sent_to_a_thread() {
    let network = Linear::new("line", 1, 1);
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
        (network.apply(inputs.get("x")) - inputs.get("y")).square().mean(..)
    });
    let loss = std::thread::scope(|scope| {
        scope.spawn(|| trainer.step(&points(&[1.0, 2.0])).map(|outcome| outcome.loss)).join().unwrap()
    });
    assert!(loss.unwrap().is_finite());
    let _phase = Phase::Training;
}

/// Functions that may fail train what those train that may not, and what they return is the error of the call, unless something was wrong
/// before.
#[test]
fn functions_may_fail() {
    fn recurrent<'g>(inputs: &Inputs<'g>) -> Result<Expr<'g>, Error> {
        let g = inputs.graph();
        let decay = g.parameter("decay", [2], Init::Constant(0.5));
        let start = g.zeros([2], DType::F32);
        let states = g.scan(&[start], &[inputs.get("x")], |state, x| (vec![decay * state[0] + x[0]], vec![]))?;
        Ok(states.carries[0].square().mean(..))
    }
    fn written_out<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
        let decay = inputs.graph().parameter("decay", [2], Init::Constant(0.5));
        let x = inputs.get("x");
        let state = (0..3).fold(inputs.graph().zeros([2], DType::F32), |state, t| decay * state + x.select_index(0, t));
        state.square().mean(..)
    }
    let x = Tensor::from([[1.0f32, 2.0], [3.0, -1.0], [0.5, 4.0]]);
    for device in devices() {
        let mut failing = Trainer::try_new(device.clone(), Sgd::new(0.01), recurrent);
        let mut other = Trainer::new(device.clone(), Sgd::new(0.01), written_out);
        for _ in 0..3 {
            let (a, b) = (failing.step(&[("x", &x)]).unwrap().loss, other.step(&[("x", &x)]).unwrap().loss);
            assert!((a - b).abs() < 1e-6 * b, "{device}: {a} and {b}");
        }
        let outputs = failing.try_add_evaluation(|inputs| Ok(vec![recurrent(inputs)?]));
        let value = failing.evaluate(outputs, &[("x", &x)]).unwrap()[0].item().unwrap();
        assert!((value - failing.step(&[("x", &x)]).unwrap().loss).abs() < 1e-6, "{device}");

        // A loop of another dtype, told at its line; an input that is missing, told before what follows from it; an error of one's own.
        let wrong = failing.try_add_training("wrong", Sgd::new(0.01), |inputs| {
            let start = inputs.graph().zeros([2], DType::F32);
            let states =
                inputs.graph().scan(&[start], &[inputs.get("x")], |_, x| (vec![x[0].cast(DType::I32)], vec![]))?;
            Ok(states.carries[0].mean(..))
        });
        let line = line!() - 3;
        let error = failing.step_of(wrong, &[("x", &x)]).map(drop).unwrap_err().to_string();
        assert!(error.contains(&format!("trainer.rs:{line}: scan: dtypes differ")), "{error}");
        let missing = failing.try_add_training("missing", Sgd::new(0.01), |inputs| {
            let scanned = inputs.graph().scan(&[], &[inputs.get("y")], |_, y| (vec![], vec![y[0].exp()]))?;
            Ok(scanned.outputs[0].mean(..))
        });
        let error = failing.step_of(missing, &[("x", &x)]).map(drop).unwrap_err();
        assert!(matches!(&error, Error::Graph(GraphError::InputNotGiven { name, .. }) if name == "y"), "{error}");
        let own =
            failing.try_add_evaluation(|_| Err(Error::UnknownParameter { name: "mine".into(), known: "none".into() }));
        let error = failing.evaluate(own, &[("x", &x)]).map(drop).unwrap_err();
        assert!(matches!(error, Error::UnknownParameter { .. }), "{error}");
        assert!(failing.step(&[("x", &x)]).is_ok());
    }
}

#[test]
fn an_input_that_the_graph_declares_is_told_where_inputs_come_from() {
    let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.01), |inputs| {
        let w = inputs.graph().input("w", [2]);
        (inputs.graph().parameter("p", [2], Init::Constant(0.0)) * w).sum(..)
    });
    let line = line!() - 3;
    let w = Tensor::from([1.0f32, 2.0]);
    let error = trainer.step(&[("w", &w)]).map(drop).unwrap_err();
    let expected = format!(
        "input \"w\" ([2]) was declared at {}:{line} by the graph, and nobody gives it; a function of a trainer takes what is in a batch \
         by inputs.get(\"w\")",
        file!()
    );
    assert_eq!(error.to_string(), expected);
}
