//! A parameter that no gradient reaches is left alone by every optimiser, its state included; one whose gradient happens to be
//! zero is not.

use crate::suite::devices::devices;
use arenagrad::train::{Trained, append_step};
use arenagrad::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, DType, Device, Error, Expr, Graph, Init, Lamb, Lion, NAdam, Optimizer,
    RAdam, RmsProp, Session, Sgd, Tape, TapeOptimizer, Tensor, Variable,
};

/// Every optimiser of this crate that takes a scalar, in every variant that changes a parameter whose gradient is zero.
fn optimizers() -> Vec<Box<dyn Optimizer>> {
    vec![
        Box::new(Sgd::new(0.1)),
        Box::new(Sgd::new(0.1).weight_decay(0.5)),
        Box::new(Sgd::new(0.1).weight_decay(0.5).momentum(0.9)),
        Box::new(Sgd::new(0.1).weight_decay(0.5).momentum(0.9).nesterov()),
        Box::new(Adam::new(0.1)),
        Box::new(AdamW::new(0.1)),
        Box::new(AdamW::new(0.1).weight_decay(0.5)),
        Box::new(AdamW::new(0.1).weight_decay(0.5).amsgrad()),
        Box::new(Adam::new(0.1).weight_decay(0.5)),
        Box::new(RmsProp::new(0.1).weight_decay(0.5).momentum(0.5).centered()),
        Box::new(Adagrad::new(0.1).weight_decay(0.5).rate_decay(0.5)),
        Box::new(Adadelta::new(1.0).weight_decay(0.5)),
        Box::new(Adamax::new(0.1).weight_decay(0.5)),
        Box::new(NAdam::new(0.1).weight_decay(0.5).decoupled_weight_decay(0.5)),
        Box::new(RAdam::new(0.1).decoupled_weight_decay(0.5)),
        Box::new(Lion::new(0.1).weight_decay(0.25)),
        Box::new(Lamb::new(0.1).weight_decay(0.5)),
    ]
}

/// A loss over `w` in which `v` has some part.
type Loss = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>) -> Expr<'g>;

#[test]
fn a_parameter_that_no_gradient_reaches_stays() {
    let losses: [(&str, Loss); 6] = [
        ("stopped", |_, w, v| (w * v.stop_gradient() - 3.0).square()),
        ("not in the loss", |_, w, _| (w - 3.0).square()),
        ("compared", |_, w, v| (w * v.greater(0.0).cast(DType::F32) - 3.0).square()),
        ("an index", |g, w, v| {
            (w * g.literal([2], [1.0f32, 2.0]).gather(0, v.cast(DType::I32).reshape([1])).sum(..)).square()
        }),
        ("a condition", |_, w, v| v.less(5.0).where_(w, 0.0).square()),
        ("behind another that is stopped", |_, w, v| (w * (v * 2.0).exp().stop_gradient()).square()),
    ];
    for device in devices() {
        for (what, loss) in losses {
            for optimizer in optimizers() {
                let g = Graph::new();
                let (w, v) = (g.parameter("w", [], Init::Constant(2.0)), g.parameter("v", [], Init::Constant(1.0)));
                let loss = loss(&g, w, v);
                let mut session = Session::builder(device.clone()).train(&g, loss, &*optimizer).unwrap();
                for _ in 0..100 {
                    session.advance(&[]).unwrap();
                }
                assert_eq!(session.parameter("v").unwrap().item(), Ok(1.0), "{what}, {device}");
                assert_ne!(session.parameter("w").unwrap().item(), Ok(2.0), "{what}, {device}");
                let of_v: Vec<&str> = session.parameter_names().filter(|name| name.starts_with("v.")).collect();
                assert!(of_v.is_empty(), "{what}: no state is kept for it: {of_v:?}");
            }
        }
    }
}

#[test]
fn a_gradient_that_happens_to_be_zero_decays_the_parameter() {
    let losses: [Loss; 4] = [
        |_, w, v| w.square() + v * 0.0,
        |_, w, v| w.square() + v.floor(),
        |_, w, v| w.square() + (v - 10.0).relu(),
        |_, w, v| w.square() + v - v,
    ];
    for device in devices() {
        for loss in losses {
            let after = |optimizer: &dyn Optimizer| {
                let g = Graph::new();
                let (w, v) = (g.parameter("w", [], Init::Constant(2.0)), g.parameter("v", [], Init::Constant(1.0)));
                let loss = loss(&g, w, v);
                let mut session = Session::builder(device.clone()).train(&g, loss, optimizer).unwrap();
                for _ in 0..100 {
                    session.advance(&[]).unwrap();
                }
                session.parameter("v").unwrap().item().unwrap()
            };
            // (1 - 0.1 * 0.01)^100, as PyTorch's AdamW and SGD have it.
            let decayed = 0.999f64.powi(100);
            assert!((after(&AdamW::new(0.1)) - decayed).abs() < 1e-5, "{device}");
            assert!((after(&Sgd::new(0.1).weight_decay(0.01)) - decayed).abs() < 1e-5, "{device}");
            assert_eq!(after(&Sgd::new(0.1)), 1.0, "{device}");
        }
    }
}

/// An optimiser of a caller's own, which adds 1 to all that it is told of.
struct AddOne;

impl Optimizer for AddOne {
    fn update<'g>(&self, graph: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let mut pairs = Vec::new();
        for Trained { name, parameter, .. } in trained {
            let steps = graph.state(format!("{name}.steps"), [], DType::F32, Init::Constant(0.0));
            pairs.extend([(*parameter, *parameter + 1.0), (steps, steps + 1.0)]);
        }
        Ok(pairs)
    }
}

#[test]
fn an_optimiser_of_ones_own_hears_of_what_the_gradient_reaches() {
    let g = Graph::new();
    let [w, v] = ["w", "v"].map(|name| g.parameter(name, [], Init::Constant(1.0)));
    let loss = w * v.stop_gradient();
    let mut session = Session::train(&g, loss, AddOne, Device::cpu()).unwrap();
    session.step(&[]).unwrap();
    assert_eq!(session.parameter("w").unwrap().item(), Ok(2.0));
    assert_eq!(session.parameter("v").unwrap().item(), Ok(1.0));
    assert!(matches!(session.parameter("v.steps"), Err(Error::UnknownParameter { .. })));
    let step = append_step(loss, &AddOne).unwrap();
    assert_eq!(step.trained.iter().map(|trained| trained.name.as_str()).collect::<Vec<_>>(), ["w"]);
}

#[test]
fn a_loss_without_parameters_cannot_be_trained() {
    for device in devices() {
        let train = |build: for<'g> fn(&'g Graph) -> Expr<'g>| {
            let g = Graph::new();
            let loss = build(&g);
            let (length, declarations) = (g.len(), g.declarations().len());
            let error = Session::train(&g, loss, Adam::new(0.1), device.clone()).err().expect("nothing is trained");
            assert_eq!((g.len(), g.declarations().len()), (length, declarations), "the graph is as it was");
            assert!(append_step(loss, &Sgd::new(0.1)).is_err());
            assert_eq!((g.len(), g.declarations().len()), (length, declarations), "the graph is as it was");
            assert!(matches!(error, Error::NothingToTrain { .. }), "{error}");
            error.to_string()
        };
        let none = train(|g| g.input("x", [3]).square().sum(..).named("energy"));
        assert!(none.contains("no trainable parameter") && none.contains("energy"), "{none}");
        assert!(none.starts_with(&format!("{}:{}: nothing can be trained", file!(), line!() - 2)), "{none}");
        train(|g| g.state("s", [], DType::F32, Init::Constant(1.0)).square());
        train(|g| g.scalar(1.0));
        let stopped = train(|g| g.parameter("w", [], Init::Constant(1.0)).stop_gradient().square());
        assert!(stopped.contains("no gradient") && stopped.contains("\"w\""), "{stopped}");
        train(|g| {
            let _elsewhere = g.parameter("w", [], Init::Constant(1.0));
            g.input("x", []).square()
        });
    }
}

#[test]
fn leaves_without_a_gradient_are_left_alone_on_a_tape() {
    for device in devices() {
        let optimizer = Sgd::new(0.5).weight_decay(0.5).momentum(0.5);
        let tape = Tape::new(device.clone());
        let leaf = |value: f64| tape.leaf(value).requires_grad();
        let (a, b) = (leaf(1.0), leaf(2.0));
        let mut trained = TapeOptimizer::new(&tape, &[&a, &b], optimizer).unwrap();
        let step = |optimizer: &mut TapeOptimizer, loss: &Variable| {
            optimizer.zero_grad();
            loss.backward().unwrap();
            optimizer.step().unwrap();
        };
        step(&mut trained, &(&a * 3.0));
        assert_eq!(b.item(), Ok(2.0), "{device}");
        // g = 3 + 0.5 * 1, v = 3.5, a = 1 - 0.5 * 3.5.
        assert_eq!(a.item(), Ok(-0.75), "{device}");
        step(&mut trained, &(&b * 1.0));
        // b's velocity starts with this step: g = 1 + 0.5 * 2, b = 2 - 0.5 * 2.
        assert_eq!((a.item(), b.item()), (Ok(-0.75), Ok(1.0)), "{device}");
        step(&mut trained, &(&a * 3.0));
        // a's velocity is as its first step left it: g = 3 - 0.375, v = 1.75 + 2.625, a = -0.75 - 0.5 * 4.375.
        assert_eq!((a.item(), b.item()), (Ok(-2.9375), Ok(1.0)), "{device}");
        // A gradient of zero is one: g = 0.5 * 1, v = 0.5 * 2 + 0.5, b = 1 - 0.75.
        step(&mut trained, &(&b * 0.0));
        assert_eq!((a.item(), b.item()), (Ok(-2.9375), Ok(0.25)), "{device}");
        trained.zero_grad();
        assert!(matches!(trained.step(), Err(Error::NoGradient { .. })));
        assert_eq!((a.item(), b.item()), (Ok(-2.9375), Ok(0.25)), "{device}");
    }
}

/// Adam corrects its moments by the number of updates that the leaf had, not by that of the optimiser's steps.
#[test]
fn updates_are_counted_for_each_leaf() {
    for device in devices() {
        let alone = |steps: usize| {
            let tape = Tape::new(device.clone());
            let w = tape.leaf(1.0).requires_grad();
            let mut optimizer = TapeOptimizer::new(&tape, &[&w], AdamW::new(0.1)).unwrap();
            (0..steps)
                .map(|_| {
                    optimizer.zero_grad();
                    (&w * &w).backward().unwrap();
                    optimizer.step().unwrap();
                    w.item().unwrap()
                })
                .collect::<Vec<f64>>()
        };
        let expected = alone(4);
        let tape = Tape::new(device.clone());
        let (w, often) = (tape.leaf(1.0).requires_grad(), tape.leaf(1.0).requires_grad());
        let mut optimizer = TapeOptimizer::new(&tape, &[&often, &w], AdamW::new(0.1)).unwrap();
        let mut found = Vec::new();
        for step in 0..12 {
            optimizer.zero_grad();
            let mut loss = &often * &often;
            if step % 3 == 2 {
                loss = &loss + &(&w * &w);
            }
            loss.backward().unwrap();
            optimizer.step().unwrap();
            if step % 3 == 2 {
                found.push(w.item().unwrap());
            }
        }
        assert_eq!(found, expected, "{device}");
        assert_eq!(often.item().unwrap(), *alone(12).last().unwrap(), "{device}");
    }
}

#[test]
fn optimisers_over_no_leaf_or_one_leaf_twice() {
    let tape = Tape::new(Device::cpu());
    let w = tape.leaf(Tensor::scalar(1.0f32)).requires_grad();
    assert!(matches!(TapeOptimizer::new(&tape, &[], Sgd::new(0.1)), Err(Error::NothingToTrain { .. })));
    assert!(matches!(TapeOptimizer::new(&tape, &[&w, &w], Sgd::new(0.1)), Err(Error::RepeatedLeaf { .. })));
    assert!(matches!(TapeOptimizer::new(&tape, &[&w, &w.clone()], Sgd::new(0.1)), Err(Error::RepeatedLeaf { .. })));
}
