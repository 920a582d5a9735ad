//! Parameters that only some steps of a training function reach: what optimisers count is then counted for each alone, as PyTorch's do, and what
//! they share goes by all steps.

use arenagrad::graph::Half;
use arenagrad::nn::{Linear, Phase};
use arenagrad::train::Trained;
use arenagrad::train::schedules::Exponential;
use arenagrad::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, DType, Device, Error, Expr, Graph, Init, Inputs, Lamb, Lion, Muon, NAdam,
    Optimizer, Precision, RAdam, RmsProp, Session, Sgd, Tensor, Trainer,
};

pub(crate) type Boxed = Box<dyn Optimizer + Send>;

/// An optimiser, made anew each time.
pub(crate) type Make = fn() -> Boxed;

/// Which steps reach the parameter `b`: at first, later, in turns.
pub(crate) const PATTERNS: [&[bool]; 4] = [
    &[true, false, false, true, true, false, true],
    &[false, false, false, true, false, true, true],
    &[true, true, true, false, true, false],
    &[false, true, true, true],
];

pub(crate) fn optimisers() -> Vec<(&'static str, Make)> {
    vec![
        ("sgd", || Box::new(Sgd::new(0.1).momentum(0.9).dampening(0.5))),
        ("adam", || Box::new(Adam::new(0.1).amsgrad())),
        ("adamw", || Box::new(AdamW::new(0.1).weight_decay(0.1).scale_rate("*", 0.5))),
        ("adamax", || Box::new(Adamax::new(0.1))),
        ("nadam", || Box::new(NAdam::new(0.1))),
        ("radam", || Box::new(RAdam::new(0.1))),
        ("lamb", || Box::new(Lamb::new(0.1))),
        ("lion", || Box::new(Lion::new(0.1))),
        ("adagrad", || Box::new(Adagrad::new(0.1).rate_decay(0.1))),
        ("adadelta", || Box::new(Adadelta::new(0.1))),
        ("rmsprop", || Box::new(RmsProp::new(0.1))),
        ("group", || Box::new(Sgd::new(0.1).group("all", "*", Adam::new(0.2)))),
    ]
}

pub(crate) fn a<'g>(g: &'g Graph) -> Expr<'g> {
    g.shared_parameter("a", [3], DType::F64, Init::Constant(1.0))
}

pub(crate) fn b<'g>(g: &'g Graph) -> Expr<'g> {
    g.shared_parameter("b", [2], DType::F64, Init::Constant(2.0))
}

pub(crate) fn loss_of_b(b: Expr<'_>) -> Expr<'_> {
    b.square().sum(..) * 0.7
}

/// A loss of `a`, and of `b` where the batch has `extra`.
fn loss<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
    let g = inputs.graph();
    let loss = (a(g) * inputs.get("x")).square().sum(..);
    if inputs.has("extra") { loss + loss_of_b(b(g)) * inputs.get("extra") } else { loss }
}

pub(crate) fn trainer<'f>(optimizer: Boxed) -> Trainer<'f> {
    Trainer::new(Device::cpu(), optimizer, loss)
}

pub(crate) fn step(trainer: &mut Trainer<'_>, reaches: bool) -> Result<(), Error> {
    let one = Tensor::scalar(1.0f64);
    if reaches {
        trainer.step(&[("x", &one), ("extra", &one)])?
    } else {
        trainer.step(&[("x", &one)])?
    };
    Ok(())
}

fn values(session: &Session, name: &str) -> Vec<f64> {
    session.parameter(name).unwrap().to_f64_vec()
}

pub(crate) fn assert_near(found: &[f64], expected: &[f64], what: &str) {
    let is_near = |(found, expected): (&f64, &f64)| (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3);
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(is_near),
        "{what}: {found:?}, and not {expected:?}"
    );
}

#[test]
fn a_parameter_moves_as_if_other_steps_were_not() {
    for (name, optimizer) in optimisers() {
        // Alone in a graph of its own, by as many steps as reach it.
        let g = Graph::new();
        let mut alone = Session::train(&g, loss_of_b(b(&g)), optimizer(), Device::cpu()).unwrap();
        let mut expected = vec![values(&alone, "b")];
        for _ in 0..4 {
            alone.advance(&[]).unwrap();
            expected.push(values(&alone, "b"));
        }
        for pattern in PATTERNS {
            let mut trainer = trainer(optimizer());
            let mut reached = 0;
            for (number, &reaches) in pattern.iter().enumerate() {
                step(&mut trainer, reaches).unwrap();
                reached += usize::from(reaches);
                if reached > 0 {
                    let what = format!("{name}, {pattern:?}, step {number}");
                    assert_near(&values(trainer.session(), "b"), &expected[reached], &what);
                }
            }
        }
    }
}

#[test]
fn steps_that_all_reach_the_same_have_one_count() {
    let mut trainer = trainer(Box::new(Adam::new(0.1)));
    for _ in 0..3 {
        step(&mut trainer, true).unwrap();
    }
    let names: Vec<&str> = trainer.session().parameter_names().collect();
    assert_eq!(trainer.plans(), 1);
    assert!(names.contains(&"updates") && !names.iter().any(|name| name.ends_with(".updates")), "{names:?}");
}

#[test]
fn schedules_go_by_all_steps() {
    let mut trainer = trainer(Box::new(Sgd::new(0.1).schedule(Exponential::new(0.5))));
    let mut expected = 2.0;
    for (number, reaches) in [false, true, false, false, true].into_iter().enumerate() {
        step(&mut trainer, reaches).unwrap();
        if reaches {
            expected -= 0.1 * 0.5f64.powi(number as i32) * 1.4 * expected;
        }
    }
    assert_near(&values(trainer.session(), "b"), &[expected; 2], "b");
}

/// The averages of PyTorch's `AveragedModel`, which looks at all parameters after each update.
#[test]
fn averages_begin_with_the_parameter_and_follow_it() {
    let (rate, decay) = (0.1, 0.75);
    for pattern in PATTERNS {
        let mut trainer = trainer(Box::new(Sgd::new(rate).moving_average(decay)));
        let one = Tensor::scalar(1.0f64);
        trainer.prepare(&[("x", &one), ("extra", &one)]).unwrap();
        let (mut b, mut average) = (2.0, 2.0);
        for (number, &reaches) in pattern.iter().enumerate() {
            step(&mut trainer, reaches).unwrap();
            if reaches {
                b -= rate * 1.4 * b;
            }
            average = if number == 0 { b } else { average * decay + b * (1.0 - decay) };
            let what = format!("{pattern:?}, step {number}");
            let found = trainer.session_mut().with_averages(|session| Ok(values(session, "b"))).unwrap();
            // An average is brought up to date by the steps that reach its parameter.
            if reaches || !pattern[..=number].contains(&true) {
                assert_near(&found, &[average; 2], &what);
            }
            assert_near(&values(trainer.session(), "b"), &[b; 2], &what);
        }
    }
}

/// Whether gradients of `b` come with the first or the second of two batches, or now and then: each two of them make an update.
#[test]
fn batches_accumulate_for_each_parameter() {
    for pattern in [&[true, false][..], &[false, true], &[true, true, false], &[false, false, true]] {
        let mut trainer = trainer(Box::new(Sgd::new(0.1).accumulate(2)));
        let (mut a, mut b, mut reached) = (1.0, 2.0, 0);
        for number in 1..=12 {
            let reaches = pattern[(number - 1) % pattern.len()];
            step(&mut trainer, reaches).unwrap();
            reached += usize::from(reaches);
            if number % 2 == 0 {
                a -= 0.1 * 2.0 * a;
            }
            if reaches && reached % 2 == 0 {
                b -= 0.1 * 1.4 * b;
            }
            let what = format!("{pattern:?}, step {number}");
            assert_near(&values(trainer.session(), "a"), &[a; 3], &what);
            if reached > 0 {
                assert_near(&values(trainer.session(), "b"), &[b; 2], &what);
            }
        }
    }
}

/// As one optimiser's, whichever of several a parameter belongs to, and whether any other of its parameters is reached.
#[test]
fn schedules_of_groups_go_by_all_steps() {
    let half = || Exponential::new(0.5);
    let sgd = || Sgd::new(0.1);
    let optimisers: [(&str, Boxed); 5] = [
        ("around", Box::new(sgd().group("g", "b", sgd()).schedule(half()))),
        ("within", Box::new(sgd().schedule(half()).group("g", "b", sgd().schedule(half())))),
        ("rest", Box::new(sgd().group("g", "a", sgd()).schedule(half()))),
        ("nested", Box::new(sgd().group("g", "*", sgd().group("h", "b", sgd())).schedule(half()))),
        ("muon", Box::new(Muon::new(0.1).rest(sgd()).schedule(half()))),
    ];
    let one = Tensor::scalar(1.0f64);
    for (name, optimizer) in optimisers {
        let mut trainer = trainer(optimizer);
        trainer.prepare(&[("x", &one), ("extra", &one)]).unwrap();
        let mut expected = 2.0;
        for (number, reaches) in [false, true, false, false, true].into_iter().enumerate() {
            step(&mut trainer, reaches).unwrap();
            if reaches {
                expected -= 0.1 * 0.5f64.powi(number as i32) * 1.4 * expected;
            }
            assert_near(&values(trainer.session(), "b"), &[expected; 2], &format!("{name}, step {number}"));
        }
    }
}

/// Counts the updates of each parameter by a state that it declares itself.
struct Counting;

impl Optimizer for Counting {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let names = trained.iter().flat_map(|one| [format!("{}.seen", one.name), format!("seen of {}", one.name)]);
        let counted = names.map(|name| {
            let count = graph.state(name, [], DType::F64, Init::Constant(0.0));
            (count, count + 1.0)
        });
        Ok(counted.collect())
    }
}

#[test]
fn states_of_ones_own_stand_still_where_a_group_is_missed() {
    let mut trainer = trainer(Box::new(Sgd::new(0.1).group("g", "b", Counting)));
    for reaches in [true, false, false, true] {
        step(&mut trainer, reaches).unwrap();
    }
    assert_eq!(values(trainer.session(), "b.seen"), [2.0]);
    assert_eq!(values(trainer.session(), "seen of b"), [2.0]);
}

/// The scalars of a group have one dtype, whichever of its parameters a step reaches.
#[test]
fn groups_of_two_dtypes() {
    let half = || Exponential::new(0.5);
    let optimizer = Sgd::new(0.1).schedule(half()).group("g", "g.*", Sgd::new(0.1).schedule(half()));
    let mut trainer = Trainer::new(Device::cpu(), optimizer, |inputs: &Inputs<'_>| {
        let g = inputs.graph();
        let of = |name, dtype| g.shared_parameter(name, [], dtype, Init::Constant(1.0)).square().cast(DType::F64);
        let loss = of("w", DType::F32) * inputs.get("x");
        let loss = if inputs.has("narrow") { loss + of("g.narrow", DType::F32) } else { loss };
        if inputs.has("wide") { loss + of("g.wide", DType::F64) } else { loss }
    });
    let one = Tensor::scalar(1.0f64);
    let batches = [&["x", "narrow", "wide"][..], &["x"], &["x", "narrow"], &["x", "wide"], &["x"], &["x", "wide"]];
    for batch in batches {
        let batch: Vec<(&str, &Tensor)> = batch.iter().map(|name| (*name, &one)).collect();
        trainer.step(&batch[..]).unwrap();
    }
    let wide = [0, 3, 5].into_iter().fold(1.0, |w, step| w - 0.1 * 0.5f64.powi(step) * 2.0 * w);
    assert_near(&values(trainer.session(), "g.wide"), &[wide], "wide");
}

/// What accumulates of a part that a step misses is no gradient of that step.
#[test]
fn norms_of_groups_are_of_steps_that_reach_them() {
    let member = || Sgd::new(0.1).clip_norm(1e9).accumulate(2);
    let mut trainer = trainer(Box::new(Sgd::new(0.1).group("g", "b", member())));
    for reaches in [true, true, true, false] {
        step(&mut trainer, reaches).unwrap();
    }
    let b = 2.0;
    assert_near(&values(trainer.session(), "g.gradient_norm"), &[1.4 * b * 2.0f64.sqrt()], "the norm of two batches");
}

/// Plans that were made before it was known what others reach are made anew.
#[test]
fn groups_learn_of_parameters_that_come_later() {
    let half = || Exponential::new(0.5);
    let mut trainer = trainer(Box::new(Sgd::new(0.1).group("g", "a", Sgd::new(0.1)).schedule(half())));
    let mut expected = 2.0;
    for (number, reaches) in [false, false, true, false, false, true].into_iter().enumerate() {
        step(&mut trainer, reaches).unwrap();
        if reaches {
            // What was unknown until then begins with the first step that reaches it.
            expected -= 0.1 * 0.5f64.powi(number as i32 - 2) * 1.4 * expected;
        }
    }
    assert_near(&values(trainer.session(), "b"), &[expected; 2], "b");
}

#[test]
fn averages_of_groups_follow_parameters_at_all_steps() {
    let average = |optimizer: Boxed| {
        let mut trainer = trainer(optimizer);
        for reaches in [true, true, false, false, false, true] {
            step(&mut trainer, reaches).unwrap();
        }
        values(trainer.session(), "b.average")
    };
    let alone = average(Box::new(Sgd::new(0.1).moving_average(0.5)));
    let around = average(Box::new(Sgd::new(0.1).moving_average(0.5).group("g", "a", Sgd::new(0.1))));
    assert_near(&around, &alone, "the average of b");
}

/// What is not updated at a step is no part of the norm by which others are clipped, and the norm is kept of each update.
#[test]
fn batches_that_accumulate_are_clipped_by_what_is_updated() {
    for scale in [0.0, 100.0] {
        let optimizer = Sgd::new(1.0).clip_norm(1.0).accumulate(2);
        let mut trainer = Trainer::new(Device::cpu(), optimizer, move |inputs: &Inputs<'_>| {
            let w = |name| inputs.graph().shared_parameter(name, [], DType::F64, Init::Constant(0.0));
            let loss = w("body") * inputs.get("x") * scale;
            if inputs.has("extra") { loss + w("head") * inputs.get("extra") } else { loss }
        });
        let one = Tensor::scalar(1.0f64);
        trainer.prepare(&[("x", &one), ("extra", &one)]).unwrap();
        for reaches in [false, true, true] {
            step(&mut trainer, reaches).unwrap();
        }
        assert_near(&values(trainer.session(), "head"), &[-1.0 / (1.0 + 1e-6)], &format!("head, {scale}"));
        assert_near(&values(trainer.session(), "gradient_norm"), &[1.0], &format!("norm, {scale}"));
    }
}

/// Each has the average of its own weights after its own updates.
#[test]
fn averages_of_what_accumulates_are_of_each_update() {
    let mut trainer = trainer(Box::new(Sgd::new(0.1).accumulate(2).moving_average(0.5)));
    let one = Tensor::scalar(1.0f64);
    trainer.prepare(&[("x", &one), ("extra", &one)]).unwrap();
    let (mut b, mut average, mut reached) = (2.0, 0.0, 0);
    for number in 0..9 {
        let reaches = number > 0;
        step(&mut trainer, reaches).unwrap();
        reached += usize::from(reaches);
        if reaches && reached % 2 == 0 {
            b -= 0.1 * 1.4 * b;
            average = if reached == 2 { b } else { 0.5 * average + 0.5 * b };
            assert_near(&values(trainer.session(), "b"), &[b; 2], &format!("step {number}"));
            assert_near(&values(trainer.session(), "b.average"), &[average; 2], &format!("average, step {number}"));
        }
    }
}

pub(crate) fn everything() -> Boxed {
    Box::new(Adam::new(0.1).clip_norm(1.0).accumulate(2).moving_average(0.75).schedule(Exponential::new(0.9)))
}

/// The parameters and their averages, as far as steps have asked for them.
fn state(trainer: &Trainer<'_>) -> Vec<(&'static str, Vec<f64>)> {
    let known: Vec<&str> = trainer.session().parameter_names().collect();
    let names = ["a", "b", "a.average", "b.average", "updates"].into_iter().filter(|name| known.contains(name));
    names.map(|name| (name, values(trainer.session(), name))).collect()
}

#[test]
fn training_goes_on_from_a_checkpoint_at_any_step() {
    let nadam: Make = || Box::new(NAdam::new(0.1));
    for optimizer in [everything, nadam] {
        for pattern in PATTERNS {
            let mut whole = trainer(optimizer());
            let mut checkpoints = Vec::new();
            for &reaches in pattern {
                step(&mut whole, reaches).unwrap();
                checkpoints.push(whole.checkpoint().unwrap());
            }
            let expected = state(&whole);
            let go_on = |trainer: &mut Trainer<'_>, done: usize| {
                for &reaches in &pattern[done + 1..] {
                    step(trainer, reaches).unwrap_or_else(|error| panic!("{pattern:?} after {done}: {error}"));
                }
                let found = state(trainer);
                let is_expected = found.iter().all(|one| expected.contains(one));
                assert!(is_expected, "{pattern:?} after {done}: {found:?}, and not {expected:?}");
            };
            for (done, checkpoint) in checkpoints.iter().enumerate() {
                let mut fresh = trainer(optimizer());
                fresh.restore(checkpoint).unwrap();
                go_on(&mut fresh, done);
                // The same trainer goes back to where it was, perhaps before it knew what some steps do not reach.
                if pattern[..=done].contains(&true) {
                    whole.restore(checkpoint).unwrap();
                    go_on(&mut whole, done);
                }
            }
        }
    }
}

#[test]
fn another_optimisers_checkpoint_is_refused_all_the_same() {
    let mut first = trainer(Box::new(Adam::new(0.1)));
    for reaches in [true, false, true] {
        step(&mut first, reaches).unwrap();
    }
    let checkpoint = first.checkpoint().unwrap();
    for reaches in [true, false] {
        let mut other = trainer(Box::new(Sgd::new(0.1).momentum(0.9)));
        other.restore(&checkpoint).unwrap();
        let error = step(&mut other, reaches).unwrap_err();
        assert!(matches!(error, Error::Checkpoint(_)), "{error}");
    }
}

/// A checkpoint of steps that all reach the same, for a trainer that has planned one which reaches less.
#[test]
fn training_goes_on_where_fewer_are_reached_than_before() {
    let mut whole = trainer(everything());
    for _ in 0..3 {
        step(&mut whole, true).unwrap();
    }
    let checkpoint = whole.checkpoint().unwrap();
    let one = Tensor::scalar(1.0f64);
    let (mut prepared, mut other) = (trainer(everything()), trainer(everything()));
    prepared.prepare(&[("x", &one)]).unwrap();
    other.prepare(&[("x", &one)]).unwrap();
    other.prepare(&[("x", &one), ("extra", &one)]).unwrap();
    for trainer in [&mut prepared, &mut other] {
        trainer.restore(&checkpoint).unwrap();
    }
    for reaches in [false, true, false, false, true, true] {
        for trainer in [&mut whole, &mut prepared, &mut other] {
            step(trainer, reaches).unwrap();
        }
        assert_eq!(values(prepared.session(), "a"), values(whole.session(), "a"));
        assert_eq!(state(&other), state(&whole));
    }
    assert_eq!(state(&prepared), state(&whole));
}

/// A pattern for what only some batches reach is a typing error only as long as nobody has asked for a parameter of such a name.
#[test]
fn patterns_may_be_of_what_other_steps_reach() {
    let optimizer: Boxed = Box::new(AdamW::new(0.1).no_decay("b"));
    let mut trainer = trainer(optimizer);
    let error = step(&mut trainer, false).unwrap_err();
    assert!(matches!(&error, Error::UnmatchedPattern { pattern, .. } if pattern == "b"), "{error}");
    step(&mut trainer, true).unwrap();
    step(&mut trainer, false).unwrap();
}

/// Layers `body` and, where the batch has `extra`, `head`; half of what `body` gives is dropped where the batch has `noise`.
fn layers<'g>(inputs: &Inputs<'g>) -> Expr<'g> {
    let x = inputs.get("x");
    let mut body = Linear::new("body", 2, 2).apply(x).tanh();
    if inputs.has("noise") {
        body = body.dropout_in(Phase::Training, 0.5);
    }
    let loss = body.square().sum(..);
    if inputs.has("extra") { loss + Linear::new("head", 2, 1).apply(x).tanh().square().sum(..) } else { loss }
}

/// A step of [`layers`] for a batch with that beside `x`.
fn step_with(trainer: &mut Trainer<'_>, beside: &[&str]) -> Result<(), Error> {
    let (x, one) = (Tensor::from([[1.0f32, -2.0]]), Tensor::scalar(1.0f32));
    let batch: Vec<(&str, &Tensor)> =
        std::iter::once(("x", &x)).chain(beside.iter().map(|name| (*name, &one))).collect();
    trainer.step(&batch[..]).map(drop)
}

/// What is said of layers whose names have a pattern.
type ByPattern = fn(Trainer<'static>, &str) -> Trainer<'static>;

/// A pattern for a layer that some batches alone have is a typing error only as long as no step of the function has had such a layer.
#[test]
fn patterns_may_be_of_layers_that_other_steps_have() {
    let make = || Trainer::new(Device::cpu(), Adam::new(0.1), layers);
    let by_patterns: [(&str, ByPattern); 3] = [
        ("keep", |trainer, pattern| trainer.keep(pattern)),
        ("recompute", |trainer, pattern| trainer.recompute(pattern)),
        ("keep_f32", |trainer, pattern| trainer.precision(Precision::mixed(Half::Bf16).keep_f32(pattern))),
    ];
    let is_unmatched = |error: &Error, wrong: &str| {
        matches!(error, Error::UnmatchedName { pattern, .. } if pattern == wrong)
            || matches!(error, Error::UnmatchedPrecision { pattern, .. } if pattern == wrong)
    };
    for (what, with_pattern) in by_patterns {
        let mut trainer = with_pattern(make(), "head");
        let error = step_with(&mut trainer, &[]).unwrap_err();
        assert!(is_unmatched(&error, "head"), "{what}: {error}");
        step_with(&mut trainer, &["extra"]).unwrap();
        step_with(&mut trainer, &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
        let (x, batch) = (Tensor::from([[1.0f32, -2.0]]), Tensor::from([[1.0f32, -2.0], [0.5, 0.5]]));
        trainer.gradients(&[("x", &x)]).unwrap_or_else(|error| panic!("{what}: {error}"));
        trainer.step(&[("x", &batch)]).unwrap_or_else(|error| panic!("{what}: {error}"));
        // Another function has to have it itself.
        let other = trainer.add_training("other", Adam::new(0.1), |inputs| {
            Linear::new("body", 2, 2).apply(inputs.get("x")).square().sum(..)
        });
        let error = trainer.step_of(other, &[("x", &x)]).unwrap_err();
        assert!(is_unmatched(&error, "head"), "{what}: {error}");
        let mut misspelt = with_pattern(make(), "haed");
        for beside in [&["extra"][..], &[]] {
            let error = step_with(&mut misspelt, beside).unwrap_err();
            assert!(is_unmatched(&error, "haed"), "{what}: {error}");
        }
    }
}
