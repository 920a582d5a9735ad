//! Leaves that only some steps of a tape's optimiser reach, beside a trainer whose steps reach the same: they have what PyTorch's have, counts of
//! their own, and one norm, schedule and average with all others.

use arenagrad::train::schedules::Exponential;
use arenagrad::{
    Adam, Checkpoint, DType, Device, Error, Expr, Graph, Init, NAdam, Optimizer, Session, Sgd, Tape, TapeOptimizer,
    Tensor, Variable,
};

use crate::reached_at_times::{
    Boxed, Make, PATTERNS, a, assert_near, b, everything, loss_of_b, optimisers, step, trainer,
};

/// A loss of `a`, and of `b` where it is reached.
fn loss<'g>(x: Expr<'g>, reaches: bool) -> Expr<'g> {
    let g = x.graph();
    let loss = (a(g) * x).square().sum(..);
    if reaches { loss + loss_of_b(b(g)) * x } else { loss }
}

fn record(tape: &Tape, reaches: bool) -> Variable {
    tape.leaf(Tensor::scalar(1.0f64)).map(|x| loss(x, reaches))
}

/// A tape on which both are parameters before the first step, or each from the first step on that reaches it.
fn start(optimizer: Boxed, is_late: bool) -> (Tape, TapeOptimizer) {
    let tape = Tape::new(Device::cpu());
    if !is_late {
        let _ = record(&tape, true);
    }
    let optimizer = TapeOptimizer::of_parameters(&tape, optimizer).unwrap();
    (tape, optimizer)
}

fn advance(tape: &Tape, optimizer: &mut TapeOptimizer, reaches: bool) -> Result<(), Error> {
    optimizer.zero_grad();
    record(tape, reaches).backward()?;
    optimizer.step()
}

/// What a parameter is, if there is one of that name.
fn value(tape: &Tape, name: &str) -> Option<Vec<f64>> {
    Some(tape.parameter(name).ok()?.data().unwrap().to_f64_vec())
}

fn state_named(optimizer: &TapeOptimizer, name: &str) -> Option<Vec<f64>> {
    let state = optimizer.state().unwrap();
    state.into_iter().find(|(own, _)| own == name).map(|(_, value)| value.to_f64_vec())
}

fn halved() -> impl Optimizer + Send {
    Sgd::new(0.1).momentum(0.9).schedule(Exponential::new(0.5))
}

/// Every optimiser, and what stands around one.
fn all() -> Vec<(&'static str, Make)> {
    let mut all = optimisers();
    all.push(("everything", everything));
    all.push(("clipped", || Box::new(Sgd::new(0.5).momentum(0.9).clip_norm(0.7))));
    all.push(("group of a", || Box::new(halved().group("g", "a", Adam::new(0.2).schedule(Exponential::new(0.5))))));
    all.push(("group of b", || Box::new(Adam::new(0.1).group("g", "b", halved()).moving_average(0.5))));
    all.push(("averaged group", || Box::new(halved().group("g", "b", halved().moving_average(0.5)))));
    all.push(("scheduled", || Box::new(Adam::new(0.1).schedule(Exponential::new(0.5)))));
    all
}

#[test]
fn steps_are_those_of_a_trainer() {
    for (name, optimizer) in all() {
        for (pattern, is_late) in PATTERNS.iter().flat_map(|pattern| [(pattern, false), (pattern, true)]) {
            if is_late && !pattern[0] && optimizer().patterns().contains(&"b".to_owned()) {
                // The first step would find nothing of that name.
                continue;
            }
            let (tape, mut on_tape) = start(optimizer(), is_late);
            let (mut trainer, one) = (trainer(optimizer()), Tensor::scalar(1.0f64));
            if !is_late {
                trainer.prepare(&[("x", &one), ("extra", &one)]).unwrap();
            }
            for (number, &reaches) in pattern.iter().enumerate() {
                step(&mut trainer, reaches).unwrap();
                advance(&tape, &mut on_tape, reaches).unwrap();
                let what = format!("{name}, {pattern:?}, step {number}, late {is_late}");
                for parameter in ["a", "b"] {
                    if let (Ok(expected), Some(found)) =
                        (trainer.session().parameter(parameter), value(&tape, parameter))
                    {
                        assert_near(&found, &expected.to_f64_vec(), &format!("{what}, {parameter}"));
                    }
                }
                for count in ["updates", "b.updates", "a.average", "b.average", "averaged", "gradient_norm"] {
                    if let (Ok(expected), Some(found)) =
                        (trainer.session().parameter(count), state_named(&on_tape, count))
                    {
                        assert_near(&found, &expected.to_f64_vec(), &format!("{what}, {count}"));
                    }
                }
            }
        }
    }
}

#[test]
fn a_norm_is_that_of_all_gradients() {
    let (tape, mut optimizer) = start(Box::new(Sgd::new(0.1).clip_norm(1e9)), false);
    for reaches in [true, false, true] {
        let (a, b) = (value(&tape, "a").unwrap(), value(&tape, "b").unwrap());
        advance(&tape, &mut optimizer, reaches).unwrap();
        let of_b = if reaches { b.iter().map(|b| (1.4 * b).powi(2)).sum() } else { 0.0 };
        let norm = (a.iter().map(|a| (2.0 * a).powi(2)).sum::<f64>() + of_b).sqrt();
        assert_near(&state_named(&optimizer, "gradient_norm").unwrap(), &[norm], "norm");
    }
}

#[test]
fn leaves_that_every_step_reaches_have_one_count() {
    let (tape, mut optimizer) = start(Box::new(Adam::new(0.1)), false);
    for _ in 0..3 {
        advance(&tape, &mut optimizer, true).unwrap();
    }
    let names =
        |optimizer: &TapeOptimizer| optimizer.state().unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert!(!names(&optimizer).iter().any(|name| name.ends_with(".updates")), "{:?}", names(&optimizer));
    advance(&tape, &mut optimizer, false).unwrap();
    assert_eq!(state_named(&optimizer, "b.updates"), Some(vec![3.0]));
    // A value that is refused parts nothing.
    let wrong = Tensor::zeros([2], DType::F32).unwrap();
    assert!(optimizer.set_state("a.updates", &wrong).is_err());
    assert_eq!(state_named(&optimizer, "a.updates"), None);
    assert_eq!(state_named(&optimizer, "updates"), Some(vec![4.0]));
    assert!(!names(&optimizer).contains(&"a.updates".to_owned()));
}

/// States that were given before anything ran count for leaves that are applied late, also in a checkpoint that is made before they step.
#[test]
fn a_checkpoint_of_leaves_that_are_about_to_join() {
    let (tape, mut whole) = start(Box::new(Adam::new(0.1)), false);
    for _ in 0..3 {
        advance(&tape, &mut whole, true).unwrap();
    }
    let (other, mut resumed) = start(Box::new(Adam::new(0.1)), true);
    for (name, value) in tape.parameters() {
        other.set_later_parameter(&name, &value.data().unwrap()).unwrap();
    }
    for (name, value) in whole.state().unwrap() {
        resumed.set_state(&name, &value).unwrap();
    }
    for (tape, optimizer) in [(&tape, &mut whole), (&other, &mut resumed)] {
        advance(tape, optimizer, false).unwrap();
        let _ = record(tape, true);
    }
    assert_eq!(state_named(&resumed, "b.updates"), Some(vec![3.0]));
    let checkpoint = resumed.checkpoint().unwrap();
    let (third, mut again) = start(Box::new(Adam::new(0.1)), false);
    again.restore(&checkpoint).unwrap();
    for (tape, optimizer) in [(&tape, &mut whole), (&other, &mut resumed), (&third, &mut again)] {
        advance(tape, optimizer, true).unwrap();
    }
    assert_eq!(value(&other, "b"), value(&tape, "b"));
    assert_eq!(value(&third, "b"), value(&tape, "b"));
}

/// By a checkpoint, and by values and states alone, into another tape and back on the same.
#[test]
fn training_goes_on_from_any_step() {
    let nadam: Make = || Box::new(NAdam::new(0.1));
    for optimizer in [everything, nadam] {
        for (pattern, is_late) in PATTERNS.iter().flat_map(|pattern| [(pattern, false), (pattern, true)]) {
            let (tape, mut whole) = start(optimizer(), is_late);
            let mut kept = Vec::new();
            for &reaches in *pattern {
                advance(&tape, &mut whole, reaches).unwrap();
                let values = tape.parameters().into_iter().map(|(name, value)| (name, value.data().unwrap()));
                kept.push((whole.checkpoint().unwrap(), values.collect::<Vec<_>>(), whole.state().unwrap()));
            }
            let (expected, states) = (["a", "b"].map(|name| value(&tape, name)), sorted(&whole));
            let go_on = |tape: &Tape, optimizer: &mut TapeOptimizer, done: usize| {
                for &reaches in &pattern[done + 1..] {
                    advance(tape, optimizer, reaches).unwrap();
                }
                let what = format!("{pattern:?} after {done}, late {is_late}");
                assert_eq!(["a", "b"].map(|name| value(tape, name)), expected, "{what}");
                assert_eq!(sorted(optimizer), states, "{what}");
            };
            for (done, (checkpoint, values, states)) in kept.iter().enumerate() {
                let (other, mut resumed) = start(optimizer(), is_late);
                // What the checkpoint knows must have been asked for.
                let _ = record(&other, values.len() > 1);
                let file = checkpoint.to_bytes().unwrap();
                resumed.restore(&Checkpoint::from_bytes(file).unwrap()).unwrap();
                go_on(&other, &mut resumed, done);

                for is_applied in [true, false] {
                    let (other, mut resumed) = start(optimizer(), is_late);
                    if is_applied {
                        let _ = record(&other, values.len() > 1);
                    }
                    for (name, value) in values {
                        other.set_later_parameter(name, value).unwrap();
                    }
                    for (name, value) in states.iter().rev() {
                        resumed.set_state(name, value).unwrap();
                    }
                    // States alone do not say of what joins now that it is new, and none are told of what has not joined.
                    let is_whole = is_applied || pattern[done + 1..].contains(&true);
                    if (!is_late || values.len() > 1) && is_whole {
                        go_on(&other, &mut resumed, done);
                    }
                }

                if values.len() == tape.parameters().len() {
                    whole.restore(checkpoint).unwrap();
                    go_on(&tape, &mut whole, done);
                }
            }
        }
    }
}

fn sorted(optimizer: &TapeOptimizer) -> Vec<(String, Vec<f64>)> {
    let state = optimizer.state().unwrap().into_iter().map(|(name, value)| (name, value.to_f64_vec()));
    let mut state: Vec<(String, Vec<f64>)> = state.collect();
    state.sort_by(|left, right| left.0.cmp(&right.0));
    state
}

fn loss_of_narrow(g: &Graph) -> Expr<'_> {
    g.shared_parameter("narrow", [2], DType::F32, Init::Constant(1.0)).square().sum(..)
}

/// Scalars are f64 as soon as a leaf is, whichever of them a step reaches.
#[test]
fn leaves_of_two_dtypes() {
    for is_late in [false, true] {
        let tape = Tape::new(Device::cpu());
        let record = |first: bool, second: bool| {
            tape.leaf(Tensor::scalar(1.0f64)).map(|x| {
                let g = x.graph();
                let narrow = if first { loss_of_narrow(g).cast(DType::F64) * x } else { x };
                if second { narrow + loss_of_b(b(g)) } else { narrow }
            })
        };
        if !is_late {
            let _ = record(true, true);
        }
        let mut optimizer = TapeOptimizer::of_parameters(&tape, Adam::new(0.1)).unwrap();
        let g = Graph::new();
        let mut alone = Session::train(&g, loss_of_b(b(&g)), Adam::new(0.1), Device::cpu()).unwrap();
        let steps = [(true, false), (true, true), (false, true), (true, true), (true, false), (false, true)];
        for (number, (first, second)) in steps.into_iter().enumerate() {
            optimizer.zero_grad();
            record(first, second).backward().unwrap();
            optimizer.step().unwrap();
            if second {
                alone.advance(&[]).unwrap();
                let expected = alone.parameter("b").unwrap().to_f64_vec();
                assert_near(&value(&tape, "b").unwrap(), &expected, &format!("step {number}, late {is_late}"));
            }
        }
        // The rate is the number that it was set to, though f32 held it for a while where the leaf of f64 came later.
        assert_eq!(state_named(&optimizer, "learning_rate"), Some(vec![0.1]));
        assert_eq!(state_named(&optimizer, "updates"), Some(vec![6.0]));
    }
}

/// What a group counts has the dtype of its widest leaf, also while a step misses that one.
#[test]
fn counts_of_a_group_are_as_wide_as_its_widest_leaf() {
    let tape = Tape::new(Device::cpu());
    let narrow = tape.leaf(Tensor::scalar(1.0f32)).requires_grad().named("g.narrow");
    let wide = tape.leaf(Tensor::scalar(1.0f64)).requires_grad().named("g.wide");
    let other = tape.leaf(Tensor::scalar(1.0f32)).requires_grad().named("other");
    let grouped = Sgd::new(0.1).group("g", "g", Adam::new(0.1).schedule(Exponential::new(0.5)));
    let mut optimizer = TapeOptimizer::new(&tape, &[&narrow, &wide, &other], grouped).unwrap();
    for reached in [[true; 3], [false, false, true], [true, false, true], [false, true, true], [true; 3]] {
        optimizer.zero_grad();
        for leaf in [&narrow, &wide, &other].into_iter().zip(reached).filter_map(|(leaf, is)| is.then_some(leaf)) {
            leaf.square().backward().unwrap();
        }
        optimizer.step().unwrap();
    }
    let states = optimizer.state().unwrap();
    let counts: Vec<_> = states.iter().filter(|(name, _)| name.ends_with("updates")).collect();
    assert_eq!(counts.len(), 3, "{counts:?}");
    for (name, value) in counts {
        let expected = if name == "g.updates" { 5.0 } else { 3.0 };
        assert_eq!((value.dtype(), value.to_f64_vec()), (DType::F64, vec![expected]), "{name}");
    }
}
