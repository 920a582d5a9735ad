//! A million nodes: built, differentiated, verified, printed and rewritten in a thread whose stack has no room for a
//! recursion that deep. The times are printed; see them with `--nocapture`.

use std::thread;
use std::time::Instant;

use arenagrad_graph::{Context, Dot, Expr, Function, Graph, passes, verify};

const NODES: usize = 1_000_000;

/// Runs on a stack of 64 KiB; one frame a node would need at least sixteen times that.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(64 * 1024).spawn(work).expect("a thread").join().expect("no overflow");
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    println!("{what}: {:?}", start.elapsed());
    result
}

#[test]
fn a_chain_of_a_million_nodes_needs_no_recursion() {
    on_a_small_stack(|| {
        let g = Graph::new();
        let x = g.input("x", [8]);
        let y = timed("build", || (1..NODES).fold(x, |y, _| y.sin()));
        assert_eq!(g.len(), NODES);
        let loss = y.sum(..);
        let [gradient] = timed("differentiate", || loss.grad([x])).unwrap();
        // A sine's derivative is a cosine and a product; the sum is a reduction and a reshape, its derivative a one, reshaped
        // and repeated.
        assert_eq!(g.len(), NODES + 2 + 3 + 2 * (NODES - 1));
        timed("verify", || verify(&g)).unwrap();
        let outputs = [loss.id().unwrap(), gradient.id().unwrap()];
        let optimised = timed("optimise all three million", || passes::optimise(&g, &outputs)).unwrap();
        // The derivative of the sum is a one repeated, by which nothing need be multiplied.
        assert!(optimised.graph.len() < g.len() && optimised.graph.len() >= 3 * NODES - 2);
        verify(&optimised.graph).unwrap();
        let forward = timed("optimise a million", || passes::optimise(&g, &outputs[..1])).unwrap();
        assert_eq!(forward.graph.len(), NODES + 2);
        let removed = timed("remove dead nodes", || passes::dce(&g, &outputs[..1])).unwrap();
        assert_eq!(removed.graph.len(), NODES + 2);
        let text = timed("print a million", || g.display(&[loss]).to_string());
        assert_eq!(text.lines().count(), NODES + 3);
        let dot = timed("draw a million", || Dot::of(&g, &[loss]).to_string());
        assert!(dot.lines().count() > 2 * NODES);
        timed("drop", move || drop((optimised, forward, removed)));
    });
}

#[test]
fn a_million_equal_nodes_become_one() {
    on_a_small_stack(|| {
        let g = Graph::new();
        let x = g.input("x", []);
        let mut sum = x.exp();
        for _ in 0..NODES / 2 {
            sum = sum.maximum(x.exp());
        }
        let output = sum.id().unwrap();
        let optimised = timed("share", || passes::optimise(&g, &[output])).unwrap();
        // maximum(y, y) is y, all the way up.
        assert_eq!(optimised.graph.len(), 2);
    });
}

/// Half of `x^2`.
struct HalfSquare;

impl Function for HalfSquare {
    fn forward<'g>(&self, context: &mut Context<'g>, operands: &[Expr<'g>]) -> Expr<'g> {
        context.save_for_backward(operands);
        operands[0].square() * 0.5
    }

    fn backward<'g>(&self, context: &Context<'g>, upstream: Expr<'g>) -> Vec<Option<Expr<'g>>> {
        vec![Some(upstream * context.saved()[0])]
    }
}

/// A search of the arena for each function would visit ten thousand million nodes here.
#[test]
fn a_long_chain_of_functions_is_differentiated_in_both_modes() {
    on_a_small_stack(|| {
        let g = Graph::new();
        let x = g.input("x", [8]);
        let y = timed("apply", || (0..40_000).fold(x, |y, _| g.apply(&HalfSquare, &[y])));
        let _tangent = timed("forward mode", || y.jvp([x], [x])).unwrap();
        let [gradient] = timed("reverse mode", || y.sum(..).grad([x])).unwrap();
        let _tangent = timed("forward over reverse mode", || gradient.jvp([x], [x])).unwrap();
        verify(&g).unwrap();
    });
}

#[test]
fn mark_and_rewind_keep_the_arena_flat() {
    let g = Graph::new();
    let w = g.parameter("w", [4], arenagrad_graph::Init::Constant(1.0));
    let mark = g.mark();
    let mut bound = None;
    for step in 0..10_000 {
        let x = g.input("x", [4]);
        let loss = (x * w).tanh().sum(..).named("loss");
        let [_gradient] = loss.grad([w]).unwrap();
        let _mistake = x.reshape([3]);
        assert!(g.check().is_err());
        g.rewind(mark).unwrap();
        assert!(g.check().is_ok());
        assert_eq!((g.len(), g.declarations().len()), (1, 1));
        // Ordinals are given anew, so tables indexed by them do not grow either.
        assert_eq!(*bound.get_or_insert(g.ordinal_bound()), g.ordinal_bound(), "step {step}");
        assert!(loss.id().is_err());
    }
    verify(&g).unwrap();
}
