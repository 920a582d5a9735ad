//! Code of a caller's own that panics: what it ran in is as it was before.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arenagrad::graph::verify;
use arenagrad::train::{Objective, Trained, append_step};
use arenagrad::{Device, Error, Expr, Graph, Init, Optimizer, Session, Sgd};

/// An optimiser that declares a state, computes something, and panics.
struct Panics;

impl Optimizer for Panics {
    fn update<'g>(&self, g: &'g Graph, trained: &[Trained<'g>]) -> Result<Vec<(Expr<'g>, Expr<'g>)>, Error> {
        let state = trained[0].state(g, "state", 0.0)?;
        let _sum = state + trained[0].gradient;
        panic!("on purpose")
    }
}

fn panics<T>(work: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(|| drop(work()))).is_err());
}

#[test]
fn a_graph_is_as_it_was() {
    let g = Graph::new();
    let w = g.parameter("w", [], Init::Constant(1.0));
    let loss = w.square();
    let before = g.to_string();
    let mut session = Session::evaluate(&g, &[loss], &Device::cpu()).unwrap();
    panics(|| Session::train(&g, loss, Panics, Device::cpu()));
    assert_eq!((g.to_string(), verify(&g)), (before.clone(), Ok(())));
    panics(|| append_step(loss, &Panics));
    panics(|| Objective::by(&mut session, &g, loss, |_| panic!("on purpose")));
    assert_eq!((g.to_string(), g.check(), verify(&g)), (before.clone(), Ok(()), Ok(())));
    // The names that it had declared are free.
    let mut session = Session::train(&g, loss, Sgd::new(0.25), Device::cpu()).unwrap();
    session.step(&[]).unwrap();
    assert_eq!(session.parameter("w").unwrap().item(), Ok(0.5));
    assert_eq!(g.to_string(), before);
}

#[test]
fn parameters_get_their_own_values_back_from_their_averages() {
    let g = Graph::new();
    let w = g.parameter("w", [], Init::Constant(1.0));
    let optimizer = Sgd::new(0.1).moving_average(0.9);
    let mut session = Session::train(&g, w.square(), optimizer, Device::cpu()).unwrap();
    for _ in 0..3 {
        session.step(&[]).unwrap();
    }
    let values = |session: &Session| ["w", "w.average"].map(|name| session.parameter(name).unwrap());
    let before = values(&session);
    assert_ne!(before[0], before[1]);
    panics(|| {
        session.with_averages(|session| -> Result<(), Error> {
            assert_eq!(session.parameter("w")?, before[1]);
            panic!("on purpose")
        })
    });
    assert_eq!(values(&session), before);
    let refused = session.with_averages(|_| -> Result<(), Error> { Err(Error::NothingToRun) });
    assert_eq!(refused, Err(Error::NothingToRun));
    assert_eq!(values(&session), before);
}
