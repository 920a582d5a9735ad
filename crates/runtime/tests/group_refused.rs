//! What ends a group, and what it is told as.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::suite::members::members;
use arenagrad::group::{Exchange, Group, GroupError, Share, Threads, Values};
use arenagrad::nn::Linear;
use arenagrad::{Device, Error, Graph, GraphError, Init, Optimizer, Session, Sgd, Tensor, Trainer};

fn x() -> Tensor {
    Tensor::new([2, 3], vec![0.5f32; 6]).unwrap()
}

/// What a step of each of two members comes to whose networks differ.
fn differing(networks: impl Fn(usize) -> Vec<Linear> + Sync) -> Vec<Error> {
    members(2, |group| {
        let layers = networks(group.rank());
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            let losses = layers.iter().map(|layer| layer.apply(inputs.get("x")).square().mean(..));
            losses.reduce(|a, b| a + b).expect("a layer")
        })
        .in_group(group);
        let first = trainer.step(&[("x", &x())]).map(drop).unwrap_err();
        // The group is at its end.
        let again = trainer.step(&[("x", &x())]).map(drop).unwrap_err();
        assert!(matches!(&again, Error::Group(_)), "{again}");
        first
    })
}

#[test]
fn members_with_other_parameters_are_named() {
    // Other sizes: the exchanges differ, too.
    for error in differing(|rank| vec![Linear::new("line", 3, 2 + rank)]) {
        let Error::Group(GroupError::ParametersDiffer { rank: 1, parameter, .. }) = &error else { panic!("{error}") };
        assert_eq!(parameter, "line.bias");
        assert!(error.to_string().contains("rank 1 declares \"line.bias\" as f32[3], but rank 0 declares"), "{error}");
    }
    // One has a parameter of another name, of the same size.
    for error in differing(|rank| vec![Linear::new(["line", "other"][rank], 3, 2)]) {
        let Error::Group(GroupError::ParametersDiffer { rank: 1, parameter, .. }) = &error else { panic!("{error}") };
        assert_eq!(parameter, "line.bias");
        let text = "rank 1 declares no \"line.bias\", but rank 0 declares \"line.bias\" as f32[2]";
        assert!(error.to_string().contains(text), "{error}");
    }
    // The same parameters in another order, which gradients are exchanged in.
    let both = ["line", "other"];
    for error in differing(|rank| vec![Linear::new(both[rank], 3, 2), Linear::new(both[1 - rank], 3, 2)]) {
        assert!(matches!(error, Error::Group(GroupError::StepsDiffer { .. })), "{error}");
    }
}

#[test]
fn changed_parameters_are_found_and_taken_from_the_first() {
    let results = members(3, |group| {
        let rank = group.rank();
        let line = Linear::new("line", 3, 2);
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.0), |inputs| line.apply(inputs.get("x")).square().mean(..))
                .seed(rank as u64)
                .in_group(group);
        trainer.step(&[("x", &x())]).unwrap();
        // Seeds differed, and the first one's values were taken.
        let weight = trainer.session().parameter("line.weight").unwrap();
        let mut changed = weight.clone();
        if rank == 2 {
            changed.as_mut_slice::<f32>().unwrap()[1] += 1.0;
        }
        trainer.session_mut().set_parameter("line.weight", &changed).unwrap();
        let error = trainer.session_mut().compare_members().unwrap_err();
        (weight, error)
    });
    let expected = GroupError::ValuesDiffer { rank: 2, parameter: "line.weight".to_owned() };
    for (weight, error) in &results {
        assert_eq!(*error, Error::Group(expected.clone()));
        assert_eq!(*weight, results[0].0);
    }
}

#[test]
fn a_member_that_ends_is_named_at_once() {
    let begun = Instant::now();
    let results = members(3, |group| {
        let rank = group.rank();
        let line = Linear::new("line", 3, 2);
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| line.apply(inputs.get("x")).square().mean(..))
                .in_group(group);
        for step in 0.. {
            if rank == 1 && step == 4 {
                return None;
            }
            if let Err(error) = trainer.step(&[("x", &x())]) {
                return Some((step, error));
            }
        }
        None
    });
    for rank in [0, 2] {
        let Some((step, error)) = &results[rank] else { panic!("rank {rank} did not end with an error") };
        assert_eq!(*step, 4);
        let Error::Group(GroupError::RankLeft { rank: 1, size: 3, own, .. }) = error else { panic!("{error}") };
        assert_eq!(*own, rank);
    }
    assert!(results[1].is_none());
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_step_that_fails_on_one_member_ends_it_for_all() {
    let results = members(2, |group| {
        let rank = group.rank();
        let line = Linear::new("line", 3, 2);
        let mut trainer = Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| {
            line.apply(inputs.get("x")).cross_entropy(inputs.get("labels"))
        })
        .in_group(group);
        let labels = Tensor::new([2], vec![0, if rank == 1 { 5 } else { 1 }]).unwrap();
        trainer.step(&[("x", &x()), ("labels", &labels)]).map(drop).unwrap_err()
    });
    assert!(matches!(&results[1], Error::IndexOutOfRange { value: 5, .. }), "{}", results[1]);
    let Error::Group(GroupError::RankLeft { rank: 1, reason, .. }) = &results[0] else { panic!("{}", results[0]) };
    assert!(reason.contains("outside 0..2"), "{reason}");
}

#[test]
fn members_at_different_places_are_told() {
    let results = members(2, |group| {
        let line = Linear::new("line", 3, 2);
        let is_first = group.rank() == 0;
        let mut trainer =
            Trainer::new(Device::cpu(), Sgd::new(0.1), |inputs| line.apply(inputs.get("x")).square().mean(..))
                .in_group(group);
        trainer.step(&[("x", &x())]).unwrap();
        if is_first { trainer.session_mut().compare_members() } else { trainer.step(&[("x", &x())]).map(drop) }
    });
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(&error, Error::Group(GroupError::StepsDiffer { .. })), "{error}");
        assert!(error.to_string().contains("a comparison"), "{error}");
    }
}

#[test]
fn waiting_has_an_end() {
    let mut group = Threads::with_patience(2, Duration::from_millis(50)).into_iter();
    let (first, _second) = (group.next().unwrap(), group.next().unwrap());
    let error = first.all_reduce(vec![1.0f32].into()).unwrap_err();
    assert!(matches!(&error, GroupError::TimedOut { bytes: 4, size: 2, own: 0, .. }), "{error}");
}

#[test]
fn exchanges_that_do_not_fit_are_refused() {
    let results = members(2, |group| {
        let values = if group.rank() == 0 { Values::F32([1.0][..].into()) } else { Values::F32([1.0, 2.0][..].into()) };
        let wrong = group.begin(Exchange::Sum, values).wait().unwrap_err();
        let bytes = group.all_reduce(vec![1u8].into()).unwrap_err();
        let integers = group.all_reduce_mean(vec![1i32].into()).unwrap_err();
        let nobody = group.broadcast(vec![1u8].into(), 2).unwrap_err();
        (wrong, bytes, integers, nobody)
    });
    for (wrong, bytes, integers, nobody) in results {
        assert!(matches!(wrong, GroupError::StepsDiffer { .. }), "{wrong}");
        assert_eq!(bytes, GroupError::NoSum { what: "sum", values: "bytes" });
        assert_eq!(integers, GroupError::NoSum { what: "mean", values: "i32" });
        assert_eq!(nobody, GroupError::NoSuchRank { rank: 2, size: 2 });
    }
    assert_eq!(Share::new(0, 2, 0), Err(GroupError::NoShards));
}

#[test]
fn a_failed_first_member_is_told_to_all() {
    let results = members(2, |group| {
        group.on_first(|| Err::<(), Error>(Error::NotTraining)).map_err(|error| (group.rank(), error))
    });
    for result in results {
        match result.unwrap_err() {
            (0, error) => assert_eq!(error, Error::NotTraining),
            (_, error) => assert!(error.to_string().contains("rank 0 failed: this session"), "{error}"),
        }
    }
}

#[test]
fn sums_in_a_loop_are_refused_when_it_is_planned() {
    let g = Graph::new();
    let x = g.input("x", [4, 2]);
    let start = g.parameter("start", [2], Init::Constant(0.0));
    let scanned = g.scan(&[start], &[x], |carries, elements| {
        let next = (carries[0] + elements[0]).all_reduce();
        (vec![next], vec![])
    });
    let last = scanned.unwrap().carries[0];
    let error = Session::evaluate(&g, &[last], &Device::cpu()).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Graph(GraphError::AllReduceInLoop { .. })), "{error}");
    assert!(error.to_string().contains("group_refused.rs"), "{error}");
}

/// A mistake of the loss names the caller's loss and its line, as it does without a group.
#[test]
fn a_mistake_of_the_loss_is_told_as_without_a_group() {
    let refusal = |group: Option<Arc<dyn Group>>, gradients: bool| {
        let trainer = Trainer::new(Device::cpu(), Sgd::new(0.1).freeze("w"), |inputs| {
            (inputs.graph().parameter("w", [], Init::Constant(1.0)) * inputs.get("x")).mean(..)
        });
        let mut trainer = match group {
            Some(group) => trainer.in_group(group),
            None => trainer,
        };
        let error = match gradients {
            true => trainer.gradients(&[("x", &x())]).map(drop).unwrap_err(),
            false => trainer.step(&[("x", &x())]).map(drop).unwrap_err(),
        };
        error.to_string()
    };
    for gradients in [false, true] {
        let alone = refusal(None, gradients);
        assert!(alone.starts_with(file!()), "{alone}");
        for told in members(2, |group| refusal(Some(group), gradients)) {
            assert_eq!(told, alone);
        }
    }
}
