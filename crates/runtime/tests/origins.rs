//! Whatever takes an expression beside a graph, called with one that is stale or of another graph, and optimisers that do something wrong:
//! the error names the caller's line and the method that the caller wrote, and nothing is left behind.

use std::sync::OnceLock;

use arenagrad::check::{Adjoint, Differences, GradCheck, adjoint, anomaly, gradcheck, parity};
use arenagrad::graph::verify;
use arenagrad::train::{Objective, Scalars, Trained, append_step};
use arenagrad::{
    Adam, DType, Device, Error, Expr, Graph, GraphError, Init, Optimizer, Session, Sgd, Tape, TapeOptimizer, Tensor,
    Trainer,
};

/// A call with a graph, an expression of it, and a bad one.
type Call = for<'g> fn(&'g Graph, Expr<'g>, Expr<'g>) -> Result<(), Error>;

fn cpu() -> Device {
    Device::cpu()
}

/// A scalar of a graph that lives as long as the program.
fn foreign() -> Expr<'static> {
    Box::leak(Box::new(Graph::new())).input("z", [])
}

/// Asserts that the error is told on a line that begins at most some lines behind the one given: the formatter breaks long calls.
#[track_caller]
fn told(error: &Error, line: u32, method: &str) {
    let text = error.to_string();
    let begins = |line: u32| text.starts_with(&format!("{}:{line}: {method}", file!()));
    assert!((line..line + 6).any(begins), "line {line}, {method}: {text}");
}

#[test]
fn bad_expressions_are_told_at_the_caller_s_line_and_leave_nothing() {
    let calls: Vec<(u32, &str, Call)> = vec![
        (line!(), "Session::evaluate", |g, _, bad| Session::evaluate(g, &[bad], &cpu()).map(drop)),
        (line!(), "Session::add", |g, w, bad| Session::evaluate(g, &[w], &cpu())?.add(g, &[bad]).map(drop)),
        (line!(), "Session::train", |g, _, bad| Session::train(g, bad, Sgd::new(0.1), cpu()).map(drop)),
        (line!(), "Session::train", |g, w, bad| {
            Session::builder(cpu()).metrics(&[bad]).train(g, w, &Sgd::new(0.1)).map(drop)
        }),
        (line!(), "Objective::new", |g, w, bad| {
            Objective::new(&mut Session::evaluate(g, &[w], &cpu())?, g, bad).map(drop)
        }),
        (line!(), "Objective::by", |g, w, bad| {
            Objective::by(&mut Session::evaluate(g, &[w], &cpu())?, g, bad, |_| true).map(drop)
        }),
        (line!(), "anomaly", |g, _, bad| anomaly(g, &[bad], &[], &cpu()).map(drop)),
        (line!(), "parity", |g, _, bad| parity(g, &[bad], &[], [&cpu(), &cpu()]).map(drop)),
        (line!(), "gradcheck", |g, _, bad| GradCheck::new().graph(g, &[bad], &[], &[]).map(drop)),
        (line!(), "adjoint", |g, _, bad| Adjoint::new().graph(g, &[bad], &[], &[]).map(drop)),
    ];
    let (g, other) = (Graph::new(), Graph::new());
    let w = g.parameter("w", [], Init::Constant(1.0));
    let mark = g.mark();
    let stale = w.exp();
    g.rewind(mark).unwrap();
    let before = g.to_string();
    for (line, method, call) in calls {
        for (bad, what) in [(stale, "stale"), (other.input(format!("z{line}"), []), "another graph")] {
            let error = call(&g, w, bad).expect_err(method);
            told(&error, line, &format!("{method}: a node"));
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!((g.to_string(), g.check(), verify(&g)), (before.clone(), Ok(()), Ok(())), "{method}");
        }
    }
    // What asks the expression for its graph.
    let line = line!() + 1;
    told(&append_step(stale, &Sgd::new(0.1)).unwrap_err(), line, "append_step: a node is stale");
    let line = line!() + 1;
    let slopes = Differences::central().jacobian(stale, &["w"], &[], &cpu());
    told(&slopes.unwrap_err(), line, "jacobian: a node is stale");
    Session::train(&g, w.square(), Sgd::new(0.1), cpu()).unwrap().step(&[]).unwrap();
}

#[cfg(feature = "least_squares")]
#[test]
fn residuals_are_told_at_the_caller_s_line_and_leave_nothing() {
    use arenagrad::least_squares::LeastSquares;

    let (g, other) = (Graph::new(), Graph::new());
    let w = g.parameter("w", [2], Init::Constant(1.0));
    let stale = {
        let mark = g.mark();
        let stale = w.exp();
        g.rewind(mark).unwrap();
        stale
    };
    let bad = [stale, other.input("z", [2]), w.cast(DType::I32)];
    let before = g.to_string();
    let said = [
        "a node is stale",
        "a node belongs to another graph, or to another tape",
        "cast (node 1) is i32, through which no gradient",
    ];
    for (bad, said) in bad.into_iter().zip(said) {
        let line = line!() + 1;
        let error = LeastSquares::new(&g, bad, &[], &cpu()).map(drop).unwrap_err();
        told(&error, line, &format!("LeastSquares::new: {said}"));
        assert_eq!((g.to_string(), g.check(), verify(&g)), (before.clone(), Ok(()), Ok(())));
    }
    assert!(LeastSquares::new(&g, w, &[], &cpu()).is_ok());
    assert_eq!(g.to_string(), before);
}

#[test]
fn what_checks_and_trainers_build_is_told_where_they_were_given_it() {
    let x = Tensor::from([[1.0f32, 2.0]]);
    let wide = [x.cast(DType::F64)];
    let line = line!() + 1;
    told(&gradcheck(|_: &[Expr<'_>]| foreign(), &wide).unwrap_err(), line, "gradcheck: a node belongs");
    let line = line!() + 1;
    told(&adjoint(|_: &[Expr<'_>]| foreign(), &wide).unwrap_err(), line, "adjoint: a node belongs");
    let batch = [("x", &x)];
    let line = line!() + 1;
    let mut trainer = Trainer::new(cpu(), Sgd::new(0.1), |_| foreign());
    told(&trainer.step(&batch).unwrap_err(), line, "loss: a node belongs");
    let line = line!() + 1;
    let other = trainer.add_training("other", Sgd::new(0.1), |_| foreign());
    told(&trainer.step_of(other, &batch).unwrap_err(), line, "loss: a node belongs");
    let line = line!() + 1;
    let outputs = trainer.add_evaluation(|inputs| vec![inputs.get("x"), foreign()]);
    told(&trainer.evaluate(outputs, &batch).unwrap_err(), line, "outputs: a node belongs");
    static REPORTED: OnceLock<u32> = OnceLock::new();
    let mut trainer = Trainer::new(cpu(), Sgd::new(0.1), |inputs| {
        let w = inputs.graph().parameter("w", [], Init::Constant(1.0));
        REPORTED.get_or_init(|| line!() + 1);
        inputs.report("metric", foreign());
        w.square()
    });
    told(&trainer.step(&batch).unwrap_err(), REPORTED.get().copied().unwrap(), "report: a node belongs");
    assert_eq!((trainer.plans(), trainer.session().parameter_names().count()), (0, 0));
}

/// What an optimiser of a caller's own does wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    State,
    Rate,
    Foreign,
    Stale,
    StaleTarget,
}

/// The lines of the mistakes that are made in an optimiser.
const LINES: [u32; 2] = [line!() + 6, line!() + 9];

impl Optimizer for Wrong {
    fn update<'g>(&self, g: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let p = trained[0].parameter;
        let start = g.mark();
        Ok(match self {
            Wrong::State => {
                let _state = trained[0].state(g, "state", f64::NAN)?;
                vec![]
            }
            Wrong::Rate => Scalars::new(g, trained, f64::NAN)?.updates(),
            Wrong::Foreign => vec![(p, foreign())],
            Wrong::Stale | Wrong::StaleTarget => {
                let next = p * 2.0;
                g.rewind(start)?;
                if matches!(self, Wrong::Stale) { vec![(p, next)] } else { vec![(next, p)] }
            }
        })
    }
}

#[test]
fn mistakes_of_an_optimiser_are_told_in_its_file() {
    let g = Graph::new();
    let w = g.parameter("w", [], Init::Constant(1.0));
    let loss = w.square();
    let before = g.to_string();
    for wrong in [Wrong::State, Wrong::Rate, Wrong::Foreign, Wrong::Stale, Wrong::StaleTarget] {
        let line = line!() + 1;
        let session = Session::train(&g, loss, wrong, cpu()).map(drop).unwrap_err();
        let made = line!() + 1;
        let mut trainer = Trainer::new(cpu(), wrong, |inputs| {
            inputs.graph().parameter("w", [], Init::Constant(1.0)).square() * inputs.get("x")
        });
        let trainer = trainer.step(&[("x", &Tensor::scalar(1.0f32))]).unwrap_err();
        let tape = Tape::new(cpu());
        let leaf = tape.leaf(1.0).requires_grad().named("w");
        let on_tape = line!() + 1;
        let tape = TapeOptimizer::new(&tape, &[&leaf], wrong).map(drop).unwrap_err();
        let all = [(session, line), (trainer, made), (tape, on_tape)];
        for (error, line) in all {
            match wrong {
                Wrong::State => told(&error, LINES[0], "parameter \"w.state\""),
                Wrong::Rate => told(&error, LINES[1], "parameter \"learning_rate\""),
                Wrong::Foreign => {
                    told(&error, line, "Optimizer::update: a node belongs to another graph, or to another tape")
                }
                Wrong::Stale | Wrong::StaleTarget => {
                    told(&error, line, "Optimizer::update: a node is stale");
                }
            }
        }
        assert_eq!((g.to_string(), g.check(), verify(&g)), (before.clone(), Ok(()), Ok(())), "{wrong:?}");
    }
}

/// An optimiser that rewinds the graph to before the loss was differentiated.
struct Rewinds<'g>(&'g Graph, arenagrad::graph::Mark);

impl Optimizer for Rewinds<'_> {
    fn update<'g>(&self, _: &'g Graph, _: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        self.0.rewind(self.1)?;
        Ok(vec![])
    }
}

#[test]
fn an_optimiser_that_rewinds_the_graph_is_refused() {
    let g = Graph::new();
    let w = g.parameter("w", [], Init::Constant(1.0));
    let loss = w.square();
    let mark = g.mark();
    let _late = (g.input("late", []), g.input("later", []));
    let line = line!() + 1;
    let error = Session::train(&g, loss, Rewinds(&g, mark), cpu()).map(drop).unwrap_err();
    told(&error, line, "Optimizer::update: the mark is stale");
    assert_eq!((g.check(), verify(&g), g.declarations().len()), (Ok(()), Ok(()), 1));
}

#[test]
fn a_leaf_of_a_reserved_name_is_told_where_the_optimiser_was_made() {
    let tape = Tape::new(cpu());
    for name in ["updates", "learning_rate"] {
        let leaf = tape.leaf(1.0).requires_grad().named(name);
        let line = line!() + 1;
        let error = TapeOptimizer::new(&tape, &[&leaf], Adam::new(0.1)).map(drop).unwrap_err();
        assert!(matches!(&error, Error::ReservedName { .. }), "{error}");
        told(&error, line, &format!("the name {name:?} is reserved"));
    }
}

#[test]
fn a_graph_that_a_tape_lends_is_not_trained_in() {
    let tape = Tape::new(cpu());
    let x = tape.leaf(2.0).requires_grad();
    let mut refused = Vec::new();
    // What is recorded has the line of the recording.
    let line = line!() + 1;
    let y = tape.record("record", &[&x], |e| {
        refused.push(Session::train(e[0].graph(), e[0].square(), Sgd::new(0.1), cpu()).map(drop));
        refused.push(append_step(e[0].square(), &Sgd::new(0.1)).map(drop));
        e[0].square()
    });
    for (error, method) in refused.into_iter().zip(["Session::train", "append_step"]) {
        let error = error.unwrap_err();
        assert!(matches!(&error, Error::Graph(GraphError::Owned { .. })), "{error}");
        told(&error, line, &format!("{method}: the graph belongs to"));
    }
    assert_eq!(y.item(), Ok(4.0));
}

/// What `main` prints of an error that it returns, and `unwrap` of one that it meets, is its message.
#[test]
fn errors_print_in_words() {
    let g = Graph::new();
    let (x, y) = (g.input("x", [3]), g.input("y", [4]));
    let refused = (x + y).shape().unwrap_err();
    assert_eq!(format!("{refused:?}"), refused.to_string());
    let error = Error::from(refused);
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(format!("{error:?}").contains("origins.rs"));
}
