//! Checkpoints of trainers of whose steps some do not reach all parameters, or do not draw at random: a trainer takes its own at any time, and those
//! of one that has planned other batches.

use crate::reached_at_times::{Boxed, Make, everything, optimisers, step, trainer};
use arenagrad::nn::Phase;
use arenagrad::train::schedules::Exponential;
use arenagrad::{
    Adam, Checkpoint, CheckpointError, Device, Error, Init, Inputs, NAdam, Optimizer, Sgd, Tensor, Trainer,
};

fn halved() -> impl Optimizer + Send {
    Sgd::new(0.1).momentum(0.9).schedule(Exponential::new(0.5))
}

/// All parameters and states that a trainer knows.
fn values(trainer: &Trainer<'_>) -> Vec<(String, Tensor)> {
    let session = trainer.session();
    session.parameter_names().map(|name| (name.to_owned(), session.parameter(name).unwrap())).collect()
}

/// That one trainer has all parameters and states of another, with the same bits.
fn assert_same(found: &Trainer<'_>, expected: &Trainer<'_>, what: &str) {
    let found = values(found);
    for one in values(expected) {
        assert!(found.contains(&one), "{what}: {one:?} is not among {found:?}");
    }
}

/// Plans a trainer for batches that reach all parameters, or not.
fn prepare(trainer: &mut Trainer<'_>, kinds: &[bool]) {
    let one = Tensor::scalar(1.0f64);
    for reaches in kinds {
        match reaches {
            true => trainer.prepare(&[("x", &one), ("extra", &one)]).unwrap(),
            false => trainer.prepare(&[("x", &one)]).unwrap(),
        }
    }
}

/// The counts of a parameter whose plan was given up are no states of the session until it comes again.
#[test]
fn a_trainer_takes_its_own_checkpoint_before_a_parameter_comes_again() {
    let mut all: Vec<(&str, Make)> = optimisers();
    all.push(("accumulated", || Box::new(Sgd::new(0.1).accumulate(2))));
    all.push(("averaged", || Box::new(Sgd::new(0.1).moving_average(0.5))));
    all.push(("both", || Box::new(NAdam::new(0.1).accumulate(2).moving_average(0.5))));
    all.push(("everything", everything));
    all.push(("a group beside", || Box::new(halved().group("g", "a", Adam::new(0.1).schedule(Exponential::new(0.5))))));
    all.push(("an averaged rest", || Box::new(halved().moving_average(0.5).group("g", "a", halved().accumulate(2)))));
    for (name, optimizer) in all {
        for before in [&[false][..], &[true, false], &[true, true, false, false]] {
            let mut unbroken = trainer(optimizer());
            prepare(&mut unbroken, &[true]);
            for &reaches in before {
                step(&mut unbroken, reaches).unwrap();
            }
            let checkpoint = unbroken.checkpoint().unwrap();
            let checkpoint = Checkpoint::from_bytes(checkpoint.to_bytes().unwrap()).unwrap();
            let mut others: Vec<(&[bool], Trainer<'_>)> = Vec::new();
            for kinds in [&[][..], &[true], &[false], &[true, false], &[false, true]] {
                let mut other = trainer(optimizer());
                prepare(&mut other, kinds);
                others.push((kinds, other));
            }
            // To where it is, and once it has gone on.
            unbroken.restore(&checkpoint).unwrap_or_else(|error| panic!("{name}, {before:?}: {error}"));
            let mut back = trainer(optimizer());
            prepare(&mut back, &[true]);
            for &reaches in before.iter().chain(&[false, true]) {
                step(&mut back, reaches).unwrap();
            }
            others.push((before, back));
            for (kinds, other) in &mut others {
                let restored = other.restore(&checkpoint);
                restored.unwrap_or_else(|error| panic!("{name}, {before:?}, planned for {kinds:?}: {error}"));
            }
            for reaches in [false, true, false, true, true] {
                step(&mut unbroken, reaches).unwrap();
                for (kinds, other) in &mut others {
                    step(other, reaches).unwrap_or_else(|error| panic!("{name}, {before:?}, {kinds:?}: {error}"));
                }
            }
            // Alone from the first step to the last.
            let mut straight = trainer(optimizer());
            prepare(&mut straight, &[true]);
            for &reaches in before.iter().chain(&[false, true, false, true, true]) {
                step(&mut straight, reaches).unwrap();
            }
            others.push((before, unbroken));
            for (kinds, other) in &others {
                assert_same(other, &straight, &format!("{name}, {before:?}, {kinds:?}"));
            }
        }
    }
}

#[test]
fn a_checkpoint_of_other_training_is_refused_by_planned_trainers() {
    let checkpoint = |optimizer: Boxed| {
        let mut trainer = trainer(optimizer);
        prepare(&mut trainer, &[true]);
        step(&mut trainer, false).unwrap();
        trainer.checkpoint().unwrap()
    };
    let (plain, adam) = (|| Box::new(Sgd::new(0.1)) as Boxed, || Box::new(Adam::new(0.1)) as Boxed);
    let accumulated = || Box::new(Sgd::new(0.1).accumulate(2)) as Boxed;
    for kinds in [&[true][..], &[false], &[true, false], &[false, true]] {
        for (here, there, is_missing) in [
            (plain as fn() -> Boxed, adam as fn() -> Boxed, false),
            (plain, accumulated, false),
            (adam, plain, true),
            (accumulated, adam, true),
        ] {
            let mut trainer = trainer(here());
            prepare(&mut trainer, kinds);
            let before = values(&trainer);
            let error = trainer.restore(&checkpoint(there())).unwrap_err();
            let is_expected = match is_missing {
                true => matches!(error, Error::Checkpoint(CheckpointError::Missing { .. })),
                false => matches!(error, Error::Checkpoint(CheckpointError::Unused { .. })),
            };
            assert!(is_expected, "{kinds:?}: {error}");
            assert_eq!(values(&trainer), before, "{kinds:?}");
        }
    }
}

/// What random draws go on from is of no optimiser.
#[test]
fn what_some_batches_draw_by_waits_for_them() {
    let make = || {
        Trainer::new(Device::cpu(), Adam::new(0.1), |inputs: &Inputs<'_>| {
            let w = inputs.graph().parameter("w", [16], Init::Constant(0.5));
            let loss = (w * inputs.get("x") - 1.0).square();
            let loss = if inputs.has("noise") { loss.dropout_in(Phase::Training, 0.5) } else { loss };
            loss.sum(..)
        })
        .seed(5)
    };
    let one = Tensor::scalar(1.0f32);
    let noisy = [("x", &one), ("noise", &one)];
    let (plain, noisy) = (&noisy[..1], &noisy[..]);
    let mut whole = make();
    for batch in [plain, noisy, noisy, plain] {
        whole.step(batch).unwrap();
    }
    let checkpoint = whole.checkpoint().unwrap();
    let mut others = [make(), make(), make()];
    others[0].prepare(plain).unwrap();
    others[1].prepare(noisy).unwrap();
    for other in &mut others {
        other.restore(&checkpoint).unwrap();
    }
    for batch in [plain, noisy, plain, noisy] {
        whole.step(batch).unwrap();
        for other in &mut others {
            other.step(batch).unwrap();
        }
    }
    for other in &others {
        assert_same(other, &whole, "drawn");
    }
}
