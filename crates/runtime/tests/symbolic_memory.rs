//! Compiled formulas that are dropped leave nothing behind: an allocator counts the bytes that are in use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use arenagrad::{DType, Device, Lambdified, evaluate, parse};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which knows how many bytes are in use.
struct Counting;

// SAFETY: every method hands its arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, which is this one's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes more are in use after `rounds` rounds than before, at the least of several times: what a round keeps is there
/// every time, what the threads of the pool and of the test harness allocate meanwhile is not.
fn growth(rounds: usize, mut round: impl FnMut()) -> isize {
    (0..20).for_each(|_| round());
    let mut once = || {
        let before = IN_USE.load(Ordering::SeqCst);
        (0..rounds).for_each(|_| round());
        (IN_USE.load(Ordering::SeqCst) as isize - before as isize).max(0)
    };
    (0..5).map(|_| once()).min().unwrap_or(0)
}

#[test]
fn what_is_dropped_is_gone() {
    let f = parse("x^3*sin(x*y)/(1 + exp(-relu(x)))").unwrap();
    let point = [("x", 0.5), ("y", 2.0)];
    let slope = f.diff("x").simplify();
    let compile = || Lambdified::new(&[&f, &slope], &["x", "y"], 4, DType::F64, &Device::cpu()).unwrap();
    let vectors: [&[f64]; 2] = [&[0.1, 0.2, 0.3, 0.4], &[1.0, 2.0, 3.0, 4.0]];
    let mut compiled = compile();
    assert_eq!(growth(60, || drop(compile())), 0, "lambdify");
    assert_eq!(growth(60, || drop(compile().call(&vectors).unwrap())), 0, "lambdify and call");
    assert_eq!(growth(60, || drop(compiled.call(&vectors).unwrap())), 0, "call");
    assert_eq!(growth(60, || assert!(evaluate(&f.diff("x"), &point).is_ok())), 0, "evaluate a derivative");
    assert_eq!(growth(60, || drop(evaluate(&f, &point[..1]))), 0, "a symbol without a value");
}
