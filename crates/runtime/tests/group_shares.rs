//! Members whose shares, plans or calls differ: what must not matter does not, and what does is told.

use std::sync::Arc;

use crate::suite::members::members;
use arenagrad::data::{Batch, Dataset};
use arenagrad::group::{Alone, Group, GroupError, share_of};
use arenagrad::nn::{BatchNorm, Linear, Phase};
use arenagrad::{Device, Error, Expr, Graph, Init, Inputs, Session, Sgd, Tensor, Trainer};

/// So many samples of six features.
fn x(samples: usize) -> Tensor {
    Tensor::new([samples, 6], (0..samples * 6).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<f32>>()).unwrap()
}

#[test]
fn a_share_of_one_sample_is_exchanged_in_the_same_order() {
    // For one sample neither parameter is broadcast, so its gradient is a node that other shares make elsewhere.
    let train = |group: Arc<dyn Group>, x: Tensor| {
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.01), |inputs| {
            let b = inputs.graph().parameter("b", [1], Init::Constant(0.5));
            let w = inputs.graph().parameter("w", [1], Init::Constant(2.0));
            ((inputs.get("x") + b) * w).square().mean(..)
        })
        .in_group(group);
        let gradients = trainer.gradients(&[("x", &x)]).unwrap();
        for _ in 0..5 {
            trainer.step(&[("x", &x)]).unwrap();
        }
        let mut values: Vec<f64> = gradients.iter().map(|(_, gradient)| gradient.item().unwrap()).collect();
        values.extend(["b", "w"].map(|name| trainer.session().parameter(name).unwrap().item().unwrap()));
        values
    };
    let expected = train(Arc::new(Alone), Tensor::new([3], vec![1.0f32, -2.0, 0.25]).unwrap());
    assert!((expected[0] - expected[1]).abs() > 1.0, "{expected:?}");
    let found = members(2, |group| {
        let own = if group.rank() == 0 { vec![1.0f32] } else { vec![-2.0, 0.25] };
        train(group, Tensor::new([own.len()], own).unwrap())
    });
    for found in found {
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{found:?} for {expected:?}");
    }
}

/// What becomes of two members that make different calls, which exchange as much.
fn different_calls(
    call: impl Fn(&mut Trainer<'_>, usize, [arenagrad::FunctionId; 2]) -> Result<(), Error> + Sync,
) -> Vec<Error> {
    let layers = [Linear::new("first", 6, 2), Linear::new("second", 6, 2)];
    let results = members(2, |group| {
        let rank = group.rank();
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| square(&layers[0], inputs)).in_group(group);
        let other = trainer.add_training("other", Sgd::new(0.1), |inputs| square(&layers[1], inputs));
        let first = trainer.first_training().unwrap();
        // Both are known to all, and so alike.
        for function in [first, other] {
            trainer.step_of(function, &[("x", &x(2))]).unwrap();
        }
        call(&mut trainer, rank, [first, other])
    });
    results.into_iter().map(Result::unwrap_err).collect()
}

fn square<'g>(layer: &Linear, inputs: &Inputs<'g>) -> Expr<'g> {
    layer.apply(inputs.get("x")).square().mean(..)
}

#[test]
fn gradients_beside_a_step_are_told() {
    let errors = different_calls(|trainer, rank, _| {
        let x = x(2);
        if rank == 0 { trainer.gradients(&[("x", &x)]).map(drop) } else { trainer.step(&[("x", &x)]).map(drop) }
    });
    for error in errors {
        assert!(matches!(&error, Error::Group(GroupError::StepsDiffer { .. })), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("gradients of the first training function")
                && text.contains("a step of the first training function"),
            "{text}"
        );
    }
}

#[test]
fn steps_of_different_functions_are_told() {
    let errors =
        different_calls(|trainer, rank, functions| trainer.step_of(functions[rank], &[("x", &x(2))]).map(drop));
    for error in errors {
        assert!(matches!(&error, Error::Group(GroupError::StepsDiffer { .. })), "{error}");
        let text = error.to_string();
        let told = ["a step of the first training function", "a step of the function \"other\""];
        assert!(told.iter().all(|told| text.contains(told)), "{text}");
    }
}

#[test]
fn metrics_that_differ_are_told() {
    let errors = members(2, |group| {
        let is_first = group.rank() == 0;
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            if is_first {
                inputs.report("size", inputs.get("x").abs().mean(..));
            }
            inputs.get("x").mean(..) * inputs.graph().parameter("scale", [], Init::Constant(1.0))
        })
        .in_group(group);
        trainer.step(&[("x", &x(2))]).map(drop).unwrap_err()
    });
    let told = ["a step of the first training function that reports nothing", "that reports \"size\""];
    for error in errors {
        let text = error.to_string();
        assert!(told.iter().all(|told| text.contains(told)), "{text}");
    }
}

#[test]
fn one_member_may_evaluate_before_the_first_step() {
    let (first, second) = (Linear::new("first", 6, 4), Linear::new("second", 4, 2));
    let results = members(2, |group| {
        let rank = group.rank();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1).momentum(0.9), |inputs| {
            second.apply(first.apply(inputs.get("x")).tanh()).square().mean(..)
        })
        .seed(rank as u64)
        .in_group(group);
        // Declares what is behind first.
        let end = trainer.add_evaluation(|inputs| vec![second.apply(inputs.get("h"))]);
        if rank == 0 {
            trainer.evaluate(end, &[("h", &Tensor::new([1, 4], vec![1.0f32; 4])?)])?;
        }
        trainer.step(&[("x", &x(3))])?;
        trainer.session_mut().compare_members()?;
        trainer.session().parameter("first.weight")
    });
    let values: Vec<Tensor> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(values[0], values[1]);
}

/// The samples by their mean over all members.
fn centred(x: Expr<'_>) -> Expr<'_> {
    let graph = x.graph();
    let count = graph.scalar(x.shape().unwrap()[0] as f64);
    x - x.sum(0).all_reduce() / count.all_reduce()
}

#[test]
fn a_member_may_have_evaluations_of_its_own_beside_those_of_all() {
    let found = members(2, |group| {
        let rank = group.rank();
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| inputs.get("x").mean(..)).in_group(Arc::clone(&group));
        if rank == 1 {
            let own = trainer.add_evaluation(|inputs| vec![inputs.get("x").sum(..)]);
            trainer.evaluate(own, &[("x", &x(2))])?;
        }
        let shared = trainer.add_evaluation(|inputs| vec![centred(inputs.get("x"))]);
        let by_trainer = trainer.evaluate(shared, &[("x", &x(2 + rank))])?.remove(0);
        // And so the plans of a session, of which the second member has more for another number of samples.
        let g = Graph::new();
        let plain = g.input("x", [2, 6]);
        let mut session = Session::builder(Device::cpu()).in_group(group).evaluate(&g, &[plain.sum(..)])?;
        let mut plan = session.add(&g, &[centred(plain)])?;
        let first = session.run_plan(plan, &[("x", &x(2))])?.remove(0);
        if rank == 1 {
            let g = Graph::new();
            plan = session.add(&g, &[centred(g.input("x", [3, 6]))])?;
        }
        let second = session.run_plan(plan, &[("x", &x(2 + rank))])?.remove(0);
        assert_eq!((by_trainer.shape().dims(), second.shape().dims()), (&[2 + rank, 6][..], &[2 + rank, 6][..]));
        Ok::<_, Error>((by_trainer, first, second))
    });
    for found in found {
        let (by_trainer, first, second) = found.unwrap();
        assert_eq!(by_trainer, second);
        assert_ne!(first.to_f64_vec()[0], second.to_f64_vec()[0], "the means are others");
    }
}

#[test]
fn evaluations_that_compute_other_things_are_told() {
    let errors = members(2, |group| {
        let rank = group.rank();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| inputs.get("x").mean(..)).in_group(group);
        // As much is exchanged.
        let evaluations = [
            trainer.add_evaluation(|inputs| vec![inputs.get("x").sum(0).all_reduce()]),
            trainer.add_evaluation(|inputs| vec![inputs.get("x").max(0).all_reduce().sum(..)]),
        ];
        trainer.evaluate(evaluations[rank], &[("x", &x(2))]).map(drop).unwrap_err()
    });
    for error in errors {
        assert!(matches!(&error, Error::Group(GroupError::StepsDiffer { .. })), "{error}");
        assert!(error.to_string().contains("an evaluation that gives"), "{error}");
    }
}

#[test]
fn a_batch_of_which_nobody_has_a_sample_changes_nothing() {
    let (layer, norm) = (Linear::new("layer", 6, 4), BatchNorm::new("norm", 4));
    for shards in [None, Some(2)] {
        let results = members(2, |group| {
            let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1).momentum(0.9), |inputs| {
                norm.apply(layer.apply(inputs.get("x")), Phase::Training).square().mean(..)
            })
            .in_group(group);
            if let Some(shards) = shards {
                trainer = trainer.deterministic(shards);
            }
            trainer.step(&[("x", &x(3))])?;
            let state = |trainer: &Trainer<'_>| {
                let names: Vec<String> = trainer.session().parameter_names().map(str::to_owned).collect();
                names.iter().map(|name| trainer.session().parameter(name)).collect::<Result<Vec<_>, _>>()
            };
            let before = state(&trainer)?;
            let error = trainer.step(&[("x", &x(0))]).map(drop).unwrap_err();
            assert!(matches!(&error, Error::EmptyBatch { inputs } if inputs.contains('x')), "{error}");
            assert_eq!(state(&trainer)?, before, "shards {shards:?}");
            // All alike, so the group goes on.
            trainer.step(&[("x", &x(3))]).map(drop)
        });
        for result in results {
            result.unwrap();
        }
    }
}

#[test]
fn an_input_that_is_as_long_as_some_shares_is_refused_in_the_deterministic_mode() {
    let layer = Linear::new("layer", 6, 3);
    let results = members(2, |group| {
        // Of five samples in two shards the second member has three, as many as there are classes.
        let own = 2 + group.rank();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            (layer.apply(inputs.get("x")) * inputs.get("weights")).square().mean(..)
        })
        .in_group(group)
        .deterministic(2);
        let weights = Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap();
        trainer.step(&[("x", &x(own)), ("weights", &weights)]).map(drop).unwrap_err()
    });
    for error in results {
        assert!(matches!(&error, Error::Group(GroupError::NotDeterministic { .. })), "{error}");
        assert!(error.to_string().contains("the input \"weights\""), "{error}");
    }
}

#[test]
fn an_input_without_rows_beside_a_share_without_samples_is_no_difference() {
    let layer = Linear::new("layer", 6, 3);
    let losses = |group: Arc<dyn Group>, shards: usize| {
        // Of one sample in two shards one member has none.
        let own = arenagrad::group::Share::new(group.rank(), group.size(), shards).unwrap().range(1);
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            layer.apply(inputs.get("x")).square().mean(..) + inputs.get("edges").sum(..)
        })
        .in_group(group)
        .deterministic(shards);
        let edges = Tensor::new([0, 2], Vec::<f32>::new()).unwrap();
        trainer.step(&[("x", &x(own.len())), ("edges", &edges)]).map(|outcome| outcome.loss)
    };
    let expected = losses(Arc::new(Alone), 2).unwrap();
    for found in members(2, |group| losses(group, 2)) {
        assert_eq!(found.unwrap(), expected);
    }
}

#[test]
fn what_is_reported_of_each_sample_is_each_members_own_of_one_sample_too() {
    let layer = Linear::new("layer", 6, 1);
    let reported = members(2, |group| {
        let own = 1 + group.rank();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            let squares = layer.apply(inputs.get("x")).square().mean(1);
            inputs.report("each", squares);
            squares.mean(..)
        })
        .in_group(group);
        let outcome = trainer.step(&[("x", &x(own))]).unwrap();
        (outcome.loss, outcome.metric("each").unwrap().to_f64_vec())
    });
    assert_eq!(reported.iter().map(|(_, each)| each.len()).collect::<Vec<_>>(), [1, 2]);
    let whole = (reported[0].1[0] + reported[1].1[0] + reported[1].1[1]) / 3.0;
    assert!(reported.iter().all(|(loss, _)| (loss - whole).abs() < 1e-6), "{reported:?}");
}

#[test]
fn a_row_for_all_samples_is_none_of_one_sample() {
    // In the deterministic mode a part of one row is the row, whatever it is of.
    let layer = Linear::new("layer", 6, 3);
    let train = |group: Arc<dyn Group>| {
        // Of three samples in two shards the first member has one.
        let own = arenagrad::group::Share::new(group.rank(), group.size(), 2).unwrap().range(3);
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            (layer.apply(inputs.get("x")) * inputs.get("row")).square().mean(..)
        })
        .in_group(group)
        .deterministic(2);
        let x = x(3).slice(0, own.start, own.end).unwrap();
        let row = Tensor::new([1, 3], vec![1.0f32, 2.0, 3.0]).unwrap();
        trainer.step(&[("x", &x), ("row", &row)]).unwrap().loss.to_bits()
    };
    let expected = train(Arc::new(Alone));
    assert_eq!(members(2, train), [expected; 2]);
}

/// Two steps over batches of four and two numbers, beside weights of three classes: the loss and the gradient of the last, and the mean over an
/// epoch. What stands first in a batch, and what the function asks for first, is as it is said.
fn of_batches(group: Arc<dyn Group>, weights_first: bool, asked_first: bool) -> Result<[f64; 3], Error> {
    let share = share_of(&*group);
    let trainer = || {
        Trainer::new(Device::cpu(), Sgd::new(0.0), move |inputs| {
            let scale = inputs.graph().parameter("scale", [], Init::Constant(1.0));
            let weights = || inputs.get("weights").sum(..) * 0.0;
            let loss = || (inputs.get("x") * scale).mean(..);
            if asked_first { weights() + loss() } else { loss() + weights() }
        })
        .in_group(Arc::clone(&group))
    };
    let x = Tensor::new([6, 1], vec![1.0f32, 1.0, 1.0, 1.0, 10.0, 13.0])?;
    let batches = Dataset::of([("x", x)])?.batches(4).share(share).map(move |batch| {
        let weights = Tensor::from([1.0f32, 2.0, 3.0]);
        let x = batch.get("x").cloned().unwrap_or_else(|| weights.clone());
        Ok(if weights_first {
            Batch::new().with("weights", weights).with("x", x)
        } else {
            batch.with("weights", weights)
        })
    });
    let last = batches.epoch(0).last().expect("two batches")?;
    let mut one = trainer();
    let gradient = one.gradients(&last)?[0].1.item()?;
    Ok([one.step(&last)?.loss, gradient, trainer().train(&batches, 1)?])
}

#[test]
fn order_does_not_matter_where_a_batch_knows_its_samples() {
    for (weights_first, asked_first) in [(false, false), (true, false), (false, true), (true, true)] {
        for size in 1..=3 {
            for found in members(size, |group| of_batches(group, weights_first, asked_first)) {
                let near = found.unwrap().map(|value| (value * 1e4).round() / 1e4);
                assert_eq!(near, [11.5, 11.5, 4.5], "{weights_first} {asked_first} {size}");
            }
        }
    }
}

#[test]
fn a_batch_by_hand_says_its_samples_where_something_else_stands_first() {
    let shares = [[1.0f32, 2.0].as_slice(), &[6.0]];
    let results = members(2, |group| {
        let x = shares[group.rank()].to_vec();
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            let scale = inputs.graph().parameter("scale", [], Init::Constant(1.0));
            (inputs.get("x") * scale).mean(..) + inputs.get("weights").sum(..) * 0.0
        })
        .in_group(group);
        let samples = x.len();
        let batch = Batch::new().with("weights", Tensor::from([1.0f32; 3])).with("x", Tensor::from(x));
        trainer.step(&batch.of_samples(samples)).map(|outcome| outcome.loss)
    });
    for loss in results {
        assert_eq!(loss.unwrap(), 3.0);
    }
}
