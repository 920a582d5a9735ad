//! A refused operation is the mistake of what comes from it: what is innocent works as before, and the tape holds what it held.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arenagrad::{
    Context, DType, Device, Error, Expr, Function, GradientTape, Graph, GraphError, Init, Tape, Tensor, Variable, parse,
};

fn wide() -> Tensor {
    Tensor::zeros([1; 17], DType::F32).unwrap()
}

fn pair() -> Tensor {
    Tensor::new([2], vec![1.0f32, 2.0]).unwrap()
}
use arenagrad_graph::{Leaf, Op, Origin, Shape};

/// Two good leaves, and what they are good for.
struct Innocent {
    a: Variable,
    w: Variable,
    before: Variable,
}

impl Innocent {
    fn on(tape: &Tape) -> Innocent {
        let (a, w) = (tape.leaf(3.0), tape.leaf(2.0).requires_grad());
        let before = &a * &w;
        Innocent { a, w, before }
    }

    fn assert_well(&self, tape: &Tape, after: &str) {
        assert_eq!((&self.a + &self.a).item(), Ok(6.0), "{after}");
        assert_eq!(self.before.item(), Ok(6.0), "{after}");
        self.w.zero_grad();
        (&self.before * &self.w).backward_retained().unwrap_or_else(|error| panic!("{after}: {error}"));
        assert_eq!(self.w.grad().unwrap().item(), Ok(12.0), "{after}");
        assert_eq!(tape.leaf(pair()).sum(..).item(), Ok(3.0), "{after}");
    }
}

/// A call that is refused, with whatever it reports.
type Refused = fn(&Tape, &Innocent) -> Result<(), Error>;

fn refused() -> Vec<(&'static str, Refused)> {
    vec![
        ("a leaf of too many axes", |tape, _| {
            let x = tape.leaf(wide());
            (&x + &x).item().map(drop)
        }),
        ("a good leaf beside a bad one", |tape, good| (&tape.leaf(1.0) + &tape.leaf(wide()) + &good.a).check()),
        ("shapes", |tape, good| (&tape.leaf(pair()) + &tape.leaf(Tensor::zeros([3], DType::F32)?) + &good.w).check()),
        ("dtypes", |tape, good| (&good.a + &tape.leaf(1)).check()),
        ("a method", |tape, _| tape.leaf(pair()).reshape([3]).sum(..).data().map(drop)),
        ("a composition", |_, good| good.a.map(|a| a.exp().sin().reshape([7]).cos()).data().map(drop)),
        ("a record", |tape, good| tape.record("r", &[&good.a, &good.w], |x| (x[0] * x[1]).permute([5])).check()),
        ("a formula", |tape, good| tape.apply_formula("f", &parse("x + y").unwrap(), &[("x", &good.a)]).check()),
        ("a formula of a wide leaf", |tape, _| {
            let wide = tape.leaf(wide());
            tape.apply_formula("f", &parse("exp(x)").unwrap(), &[("x", &wide)]).check()
        }),
        ("another tape", |_, good| (&good.a + &Tape::new(Device::cpu()).leaf(1.0)).check()),
        ("a detached mistake", |tape, _| tape.leaf(wide()).detach().check()),
        ("a mistake of a mistake", |tape, good| ((&tape.leaf(pair()).reshape([5]) * &good.w) + 1.0).backward()),
        ("backward of a leaf of too many axes", |tape, _| tape.leaf(wide()).requires_grad().backward()),
        ("backward of several elements", |tape, good| (&good.w * &tape.leaf(pair())).backward()),
        ("backward of what requires none", |_, good| (&good.a * 2.0).backward()),
        ("an upstream of too many axes", |_, good| (&good.w * 2.0).backward_with(wide())),
        ("an upstream of another shape", |_, good| (&good.w * 2.0).backward_with(pair())),
        ("an upstream of another dtype", |_, good| (&good.w * 2.0).backward_with_retained(Tensor::scalar(1i32))),
        ("gradients with a wide upstream", |tape, good| {
            let upstream = tape.leaf(wide());
            tape.gradients_with(&(&good.w * 2.0), &upstream, &[&good.w]).map(drop)
        }),
        ("gradients with a wrong upstream", |tape, good| {
            tape.gradients_with(&(&good.w * 2.0), &tape.leaf(pair()), &[&good.w]).map(drop)
        }),
        ("gradients with a mistake", |tape, good| {
            tape.gradients_with(&(&good.w * 2.0), &tape.leaf(pair()).reshape([9]), &[&good.w]).map(drop)
        }),
        ("gradients of a mistake", |tape, good| tape.gradients(&good.w.reshape([9]), &[&good.w]).map(drop)),
        ("gradients by a wide leaf", |tape, good| {
            let wide = tape.leaf(wide()).requires_grad();
            tape.gradients(&(&good.w * &wide), &[&wide]).map(drop)
        }),
        ("a Jacobian of too many axes", |tape, _| {
            let x = tape.leaf(Tensor::zeros([1; 10], DType::F32).unwrap()).requires_grad();
            tape.jacobian(&x.exp(), &x).check()
        }),
        ("a Jacobian by a constant", |tape, good| tape.jacobian(&good.before, &good.a).check()),
        ("a Jacobian by a wide leaf", |tape, good| {
            tape.jacobian(&good.before, &tape.leaf(wide()).requires_grad()).check()
        }),
        ("a gradient tape's upstream", |tape, good| {
            GradientTape::on(tape).gradient_with(&good.before, &tape.leaf(wide()), &[&good.w]).map(drop)
        }),
        ("an index", |tape, _| {
            let index = tape.leaf(Tensor::new([1], vec![9i32]).unwrap());
            tape.record("gather", &[&tape.leaf(pair()), &index], |x| x[0].gather(0, x[1])).data().map(drop)
        }),
        ("indices that are no integers", |tape, _| {
            let x = tape.leaf(pair());
            tape.record("gather", &[&x, &x], |x| x[0].gather(0, x[1])).check()
        }),
        ("a placeholder", |_, good| {
            let sum = good.a.map(|a| {
                let shape = Shape::scalar();
                let placeholder =
                    a.graph().insert(Op::Leaf(Leaf::Placeholder), Some(&shape), Some(DType::F32), Origin::here());
                a + a.graph().expr(placeholder.unwrap())
            });
            sum.data().map(drop)
        }),
    ]
}

#[test]
fn an_error_belongs_to_what_comes_from_the_refused_operation() {
    for (name, call) in refused() {
        let tape = Tape::new(Device::cpu());
        let good = Innocent::on(&tape);
        good.assert_well(&tape, "before");
        let error = call(&tape, &good).expect_err(name);
        good.assert_well(&tape, &format!("{name}: {error}"));
        // Whoever is refused again is refused for the same reason, and takes no more room.
        for _ in 0..300 {
            assert!(call(&tape, &good).is_err(), "{name}");
        }
        assert!(tape.len() < 512, "{name}: {} nodes", tape.len());
        good.assert_well(&tape, name);
    }
}

/// A question that was refused was none, and an operation that was refused consumed nothing.
#[test]
fn nothing_is_counted_that_was_refused() {
    let tape = GradientTape::new(Device::cpu());
    let (w, v) = (tape.variable(2.0), tape.variable(pair()));
    let f = &w * &w;
    let elsewhere = Tape::new(Device::cpu()).leaf(1.0);
    assert!(tape.gradient(&f, &[&elsewhere]).is_err());
    assert!(tape.gradient(&v.reshape([5]), &[&v]).is_err());
    assert!(tape.gradient_with(&f, &v, &[&w]).is_err());
    assert!(tape.jacobian(&f, &tape.constant(1.0)).is_err());
    assert_eq!((w.consumers(), v.consumers()), (2, 0));
    assert_eq!(tape.gradient(&f, &[&w]).unwrap()[0].as_ref().unwrap().item(), Ok(4.0));
    assert_eq!(tape.gradient(&f, &[&w]).map(drop), Err(Error::TapeUsed));
}

/// What is refused while it is recorded leaves the arena as it was, operands that were put there for it included.
#[test]
fn a_refused_operation_leaves_nothing() {
    let tape = Tape::new(Device::cpu());
    let good = Innocent::on(&tape);
    good.assert_well(&tape, "before");
    let (fresh, other) = (tape.leaf(pair()), tape.leaf(Tensor::zeros([3], DType::F32).unwrap()));
    let nodes = tape.len();
    assert!((&fresh + &other).check().is_err());
    assert!(fresh.map(|x| x.exp().reshape([9])).check().is_err());
    assert!((&fresh + &tape.leaf(wide())).check().is_err());
    assert!(tape.record("mean", &[&fresh], |x| x[0].softmax(0).gather(0, x[0])).check().is_err());
    assert!((&good.w * 2.0).check().is_ok());
    assert_eq!(tape.len(), nodes + 2);
}

fn forget(_: Expr<'_>) {}

/// What a function may not do in the graph of a tape.
#[test]
fn functions_may_add_operations_and_nothing_else() {
    type Forbidden = for<'g> fn(Expr<'g>);
    let forbidden: [(&str, Forbidden); 10] = [
        ("input", |x| forget(x.graph().input("1", []))),
        ("input", |x| forget(x.graph().input_of("name", [2], DType::I32))),
        ("parameter", |x| forget(x.graph().parameter("w", [], Init::Constant(0.0)))),
        ("parameter", |x| forget(x.graph().parameter_of("w", [], DType::F64, Init::Constant(0.0)))),
        ("parameter", |x| forget(x.graph().state("s", [], DType::I32, Init::Constant(0.0)))),
        ("retain", |x| drop(x.graph().retain(&[]))),
        ("retain", |x| drop(x.graph().retain(&[x.id().unwrap()]))),
        ("remove", |x| drop(x.graph().remove(x.exp().id().unwrap()))),
        ("remove", |x| drop(x.graph().remove(x.graph().ids()[0]))),
        ("rewind", |x| drop(x.graph().rewind(x.graph().mark()))),
    ];
    /// Does what is forbidden in one of its passes.
    struct Forbids {
        what: Forbidden,
        in_backward: bool,
    }
    impl Function for Forbids {
        fn forward<'g>(&self, _: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
            if !self.in_backward {
                (self.what)(operands[0]);
            }
            operands[0] * 2.0
        }

        fn backward<'g>(&self, _: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
            if self.in_backward {
                (self.what)(upstream);
            }
            vec![Some(upstream * 2.0)]
        }
    }
    for (op, what) in forbidden {
        let tape = Tape::new(Device::cpu());
        let good = Innocent::on(&tape);
        good.assert_well(&tape, "before");
        let nodes = tape.len();
        let wrong = [
            good.a.map(|x| {
                what(x);
                x + 1.0
            }),
            tape.record("record", &[&good.w, &good.a], |x| {
                what(x[0]);
                x[0] + x[1]
            }),
            tape.apply(&Forbids { what, in_backward: false }, &[&good.w]),
            tape.apply(&Forbids { what, in_backward: true }, &[&good.w]),
        ];
        assert_eq!(tape.len(), nodes, "{op}");
        for wrong in wrong {
            let error = wrong.data().unwrap_err();
            assert!(
                matches!(&error, Error::Graph(GraphError::Owned { op: found, owner: "a tape", .. }) if *found == op),
                "{error}"
            );
            assert!(error.to_string().contains("operations may be added"), "{error}");
            good.assert_well(&tape, op);
        }
        // Leaves that come later find their places.
        let many: Vec<Variable> = (0..200).map(|number| &tape.leaf(f64::from(number)) + &good.a).collect();
        assert!(many.iter().enumerate().all(|(number, sum)| sum.item() == Ok(number as f64 + 3.0)), "{op}");
    }
}

/// What a function may do: look, mark, verify, take its own mistake back, differentiate, apply functions, draw.
#[test]
fn functions_may_look_and_build() {
    let tape = Tape::new(Device::cpu());
    let good = Innocent::on(&tape);
    let looked = good.a.map(|x| {
        let graph = x.graph();
        let _ = (graph.mark(), graph.declarations(), graph.ids(), graph.index_bounds(), graph.len());
        assert_eq!((arenagrad_graph::verify(graph), graph.check()), (Ok(()), Ok(())));
        x + 1.0
    });
    assert_eq!(looked.item(), Ok(4.0));
    let tried = good.a.map(|x| {
        let wrong = x.exp().reshape([7]);
        assert!(x.graph().take_error().is_some() && wrong.id().is_err());
        x * 2.0
    });
    assert_eq!(tried.item(), Ok(6.0));
    let attempted = good.a.map(|x| x.graph().attempt(|| x.reshape([7]).id()).map_or(x * 3.0, |id| x.graph().expr(id)));
    assert_eq!(attempted.item(), Ok(9.0));
    let differentiated = good.w.map(|x| x.powf(3.0).grad([x]).unwrap()[0]);
    assert_eq!(differentiated.item(), Ok(12.0));
    let drawn = good.a.map(|x| x.dropout(0.0, x.graph().literal([], [3]), 1));
    assert_eq!(drawn.item(), Ok(3.0));
    // An error that was taken poisons what was made of it all the same.
    let swallowed = good.a.map(|x| {
        let wrong = x.reshape([7]);
        x.graph().take_error();
        wrong
    });
    assert!(matches!(swallowed.data(), Err(Error::Graph(GraphError::StaleNode { .. }))));
    good.assert_well(&tape, "looking");
}

#[test]
fn an_expression_of_another_graph_is_refused() {
    let elsewhere: &'static Graph = Box::leak(Box::new(Graph::new()));
    let foreign = elsewhere.input("x", []);
    let tape = Tape::new(Device::cpu());
    let good = Innocent::on(&tape);
    good.assert_well(&tape, "before");
    let nodes = tape.len();
    for wrong in [good.a.map(|_| foreign), good.a.map(|x| x + foreign), tape.record("r", &[&good.w], |_| foreign)] {
        assert!(matches!(wrong.data(), Err(Error::Graph(GraphError::ForeignNode { .. }))), "{wrong:?}");
        elsewhere.take_error();
    }
    assert_eq!(tape.len(), nodes);
    (0..500).for_each(|_| good.assert_well(&tape, "foreign"));
}

/// Operations of the same tape and of another inside of one: each stands for itself.
#[test]
fn operations_inside_of_a_refused_one_are_kept() {
    let (tape, other) = (Tape::new(Device::cpu()), Tape::new(Device::cpu()));
    let (good, elsewhere) = (Innocent::on(&tape), Innocent::on(&other));
    let mut kept = Vec::new();
    for number in 0..200 {
        let outer = tape.record("outer", &[&good.a], |x| {
            let wrong = x[0].reshape([7]);
            let leaf = tape.leaf(f64::from(number));
            kept.push(&leaf * &good.w);
            kept.push(&other.leaf(1.0) * &elsewhere.w);
            assert_eq!(kept[kept.len() - 2].item(), Ok(2.0 * f64::from(number)));
            assert!((&leaf + &tape.leaf(pair()).reshape([5])).check().is_err());
            (&leaf * &good.w).backward().unwrap();
            wrong
        });
        assert!(matches!(outer.data(), Err(Error::Graph(GraphError::Reshape { .. }))));
        good.w.zero_grad();
    }
    for (number, pair) in kept.chunks(2).enumerate() {
        assert_eq!((pair[0].item(), pair[1].item()), (Ok(2.0 * number as f64), Ok(2.0)));
    }
    good.assert_well(&tape, "operations inside");
    elsewhere.assert_well(&other, "operations inside");
}

#[test]
fn a_panic_inside_leaves_nothing() {
    let tape = Tape::new(Device::cpu());
    let good = Innocent::on(&tape);
    good.assert_well(&tape, "before");
    let nodes = tape.len();
    let panics = || {
        let panicking = || {
            good.a.map(|x| {
                let _ = (x.exp(), x.reshape([7]));
                std::panic::resume_unwind(Box::new(()))
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    };
    panics();
    assert_eq!(tape.len(), nodes);
    (0..200).for_each(|_| panics());
    good.assert_well(&tape, "a panic");
}

#[test]
fn an_operation_that_fails_of_itself_leaves_nothing() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf([1.0, 2.0, 3.0]).requires_grad();
    let seen = x.exp();
    let (nodes, consumers) = (tape.len(), x.consumers());
    let own = || Error::TapeUsed;
    fn shared(x: Expr<'_>) -> Expr<'_> {
        x * x.graph().shared_parameter("w", [3], DType::F32, Init::Constant(1.0))
    }
    let refused = [
        tape.try_record("failing", &[&x], |x| {
            let _made = x[0].sin() * 2.0;
            Err(own())
        }),
        x.try_map(|x| {
            let _made = x.cos().sum(..);
            Err(own())
        }),
    ];
    assert_eq!((tape.len(), x.consumers()), (nodes, consumers));
    for refused in refused {
        assert_eq!(refused.check(), Err(own()));
        assert_eq!((&refused + 1.0).data(), Err(own()));
    }
    // What an operator does wrong goes before what is returned of it, as in a trainer.
    let parts = x.try_map(|x| Ok(x.split_sizes([1, 1], 0)?[0]));
    assert!(parts.check().unwrap_err().to_string().contains("split_sizes: "));
    let wrong = tape.try_record("wrong", &[&x], |x| Ok(x[0].reshape([7])));
    assert!(matches!(wrong.check(), Err(Error::Graph(GraphError::Reshape { .. }))));
    assert_eq!((tape.len(), x.consumers()), (nodes, consumers));
    // Parameters that it asked for are forgotten too.
    let asked = x.try_map(|x| {
        let _made = shared(x);
        Err(own())
    });
    assert_eq!((asked.check(), tape.parameters().len()), (Err(own()), 0));
    drop(seen);

    let kept = tape.try_record("kept", &[&x], |x| Ok(shared(x[0].split_sizes([3], 0)?[0])));
    assert_eq!((kept.grad_fn(), tape.parameters().len()), (Some("kept"), 1));
    kept.sum(..).backward().unwrap();
    assert_eq!(tape.parameter("w").unwrap().grad().unwrap(), Tensor::from([1.0f32, 2.0, 3.0]));
}
