//! A program that drops formulas keeps nothing of them: an allocator counts the bytes that each thread has in use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use arenagrad_graph::symbolic::{Formula, parse};
use arenagrad_graph::{DType, Graph};

thread_local! {
    /// Of this thread alone: those of the test harness allocate when they like.
    static IN_USE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counter any more.
    let _ = IN_USE.try_with(|in_use| in_use.set(in_use.get() + bytes));
}

/// The system's allocator, which counts the bytes in use.
struct Counting;

// SAFETY: every method hands its arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, which is this one's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes more are in use after `rounds` rounds than after the first few.
fn growth(rounds: usize, mut round: impl FnMut()) -> isize {
    (0..5).for_each(|_| round());
    let before = IN_USE.get();
    (0..rounds).for_each(|_| round());
    IN_USE.get() - before
}

#[test]
fn what_is_dropped_is_gone() {
    let f = parse("x^3*sin(x*y)/(1 + exp(-relu(x)))").unwrap();
    let graph = Graph::new();
    let (x, y) = (graph.input_of("x", [], DType::F64), graph.input_of("y", [], DType::F64));
    let arguments = [("x", x), ("y", y)];
    let patterns: [(&str, &dyn Fn()); 12] = [
        ("parse", &|| drop(parse("x^3*sin(x*y)/(1 + exp(-relu(x)))"))),
        ("a text that is no formula", &|| drop(parse("x^3*sin(x*y)/(1 + "))),
        ("clone", &|| drop(f.clone())),
        ("diff", &|| drop(f.diff("x"))),
        ("diff with respect to no symbol of the formula", &|| drop(f.diff("w"))),
        ("diff of diff", &|| drop(f.diff("x").diff("y").diff("x"))),
        ("simplify", &|| drop(f.simplify())),
        ("diff and simplify by turns", &|| drop(f.diff("x").simplify().diff("y").simplify())),
        ("a derivative of a clone", &|| drop(f.clone().diff("y").clone())),
        ("text and LaTeX", &|| drop((f.to_string(), f.latex(), f.symbols(), f.known_symbols()))),
        ("apply to another graph", &|| {
            let mark = graph.mark();
            let _ = f.apply(&graph, &arguments).unwrap();
            let _ = f.apply_accurately(&graph, &arguments).unwrap();
            graph.rewind(mark).unwrap();
        }),
        ("refused arguments", &|| drop(f.apply(&graph, &arguments[..1]))),
    ];
    for (what, round) in patterns {
        assert_eq!(growth(500, round), 0, "{what}");
    }
    // What is kept is what the value needs, not what it came from.
    let long = parse(&vec!["sin(x)*y"; 2000].join(" + ")).unwrap();
    let symbol = size(|| parse("x + y").unwrap().diff("x"));
    assert!(size(|| long.diff("z")) <= 2 * symbol, "the derivative 0 of a long sum keeps the sum");
    let mut formula = parse("exp(-x)*y").unwrap();
    let derivative = size(|| formula.diff("x").simplify());
    for _ in 0..100 {
        formula = formula.diff("x").simplify();
    }
    assert!(size(|| formula.diff("x").simplify()) <= 2 * derivative, "a derivative keeps those that it came from");
}

/// The bytes that a formula takes, which `make` makes.
fn size(make: impl Fn() -> Formula) -> isize {
    drop(make());
    let before = IN_USE.get();
    let formula = make();
    let after = IN_USE.get();
    drop(formula);
    after - before
}
