//! Which types of the public face go from one thread to another, and which are looked at by several. That this compiles is
//! the test.

use arenagrad::check::{AdjointReport, CheckError, Differences, GradCheck, GradientReport, Parity, ParityReport};
use arenagrad::graph::passes::Optimised;
use arenagrad::graph::{AxisSet, Declaration, Extracted, IndexBound, Mark, Node, Op, Origin, Structure, VerifyError};
#[cfg(feature = "least_squares")]
use arenagrad::least_squares::{
    Fit, GaussNewton, GradientDescent, Iteration, LeastSquares, LeastSquaresError, LevenbergMarquardt, Limits,
    Linearised,
};
use arenagrad::plan::{BufferRole, BufferSpec, HeldBuffer, MemoryReport, MemoryRole, PlanStep, Recomputation};
use arenagrad::symbolic::{ApplyError, ParseError, ParseProblem};
use arenagrad::{
    Adam, AdamW, AdapterDescription, AdapterKind, DType, Device, Elements, Error, Graph, GraphError, Init, Lambdified,
    NodeId, OpKind, Plan, PlanId, Session, Sgd, Shape, StepOutcome, Tensor,
};

const fn goes_to_another_thread<T: Send>() {}
const fn is_seen_by_several_threads<T: Send + Sync>() {}
const fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}

macro_rules! every {
    ($check:ident: $($type:ty),* $(,)?) => {
        const _: () = { $($check::<$type>();)* };
    };
}

// What runs: one thread at a time.
every!(goes_to_another_thread: Session, Lambdified, Graph);

// Devices, plans and all that only holds values.
every!(is_seen_by_several_threads: Session, Lambdified, Device, AdapterDescription, AdapterKind, Tensor);
every!(is_seen_by_several_threads: Plan, PlanId, PlanStep, BufferRole, BufferSpec, StepOutcome);
every!(is_seen_by_several_threads: MemoryReport, MemoryRole, HeldBuffer, Recomputation);
every!(is_seen_by_several_threads: Shape, AxisSet, DType, Elements, Init, NodeId, Node, Op, OpKind, Origin, Mark);
every!(is_seen_by_several_threads: Declaration, IndexBound, Structure);
every!(is_seen_by_several_threads: Sgd, Adam, AdamW, Differences, GradCheck, Parity);
every!(is_seen_by_several_threads: GradientReport, ParityReport, AdjointReport);

// Graphs that are made of graphs.
every!(goes_to_another_thread: Extracted, Optimised);

every!(is_an_error: Error, GraphError, ParseError, ParseProblem, ApplyError, CheckError, VerifyError);

#[cfg(feature = "least_squares")]
mod least_squares {
    use super::*;

    every!(goes_to_another_thread: LeastSquares);
    every!(is_seen_by_several_threads: LeastSquares, GradientDescent, GaussNewton, LevenbergMarquardt, Limits);
    every!(is_seen_by_several_threads: Fit, Iteration, Linearised);
    every!(is_an_error: LeastSquaresError);
}

/// A session that one thread made trains on another, beside a second one on a third, and both come back.
#[test]
fn sessions_train_on_other_threads() {
    let graph = Graph::new();
    let w = graph.parameter("w", [2], Init::Constant(1.0));
    let session = || Session::train(&graph, w.square().sum(..), Sgd::new(0.25), Device::cpu()).unwrap();
    let trained = std::thread::scope(|scope| {
        let threads = [session(), session()].map(|mut session| {
            scope.spawn(move || {
                session.step(&[]).unwrap();
                session
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    for session in trained {
        assert_eq!(session.parameter("w").unwrap().to_f64_vec(), [0.5, 0.5]);
    }
}

/// Nor does a graph mind where it is built.
#[test]
fn a_graph_is_built_on_another_thread() {
    let graph = Graph::new();
    let graph = std::thread::spawn(move || {
        let _ = graph.input("x", [2]);
        graph
    });
    assert_eq!(graph.join().unwrap().len(), 1);
}
