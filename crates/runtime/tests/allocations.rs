//! A compiled step on the CPU allocates nothing once it is warm: a counting allocator watches every thread.

mod suite;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arenagrad::{Adam, DType, Device, Expr, Graph, Init, Session, Sgd, Tensor};
use suite::random::Random;

static WATCHING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which counts while `WATCHING`.
struct Counting;

fn count() {
    if WATCHING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every method hands its arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is this one's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`, which is this one's.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, which is this one's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `steps` further steps make.
fn allocations(session: &mut Session, inputs: &[(&str, &Tensor)], steps: usize) -> u64 {
    for _ in 0..5 {
        session.step(inputs).unwrap();
    }
    ALLOCATIONS.store(0, Ordering::SeqCst);
    WATCHING.store(true, Ordering::SeqCst);
    for _ in 0..steps {
        session.step(inputs).unwrap();
    }
    WATCHING.store(false, Ordering::SeqCst);
    ALLOCATIONS.load(Ordering::SeqCst)
}

fn random_tensor(shape: &[usize], seed: u64) -> Tensor {
    let elements = Random(seed).floats(shape.iter().product(), -1.0, 1.0);
    Tensor::new(shape, elements.iter().map(|&x| x as f32).collect()).unwrap()
}

/// Layers without biases between ReLUs.
fn layers<'g>(g: &'g Graph, x: Expr<'g>, widths: &[usize]) -> Expr<'g> {
    let mut h = x;
    for (number, pair) in widths.windows(2).enumerate() {
        h = h.matmul(g.parameter(format!("w{number}"), [pair[0], pair[1]], Init::KaimingUniform));
        if number + 2 < widths.len() {
            h = h.relu();
        }
    }
    h
}

fn perceptron(batch: usize, widths: &[usize]) -> Session {
    let g = Graph::new();
    let y = layers(&g, g.input("x", [batch, widths[0]]), widths);
    let loss = (y - g.input("t", [batch, widths[widths.len() - 1]])).square().mean(..);
    Session::train(&g, loss, Sgd::new(1e-3), Device::cpu()).unwrap()
}

/// The allocations of steps of three sessions: gaussians, mnist_mlp, and a classifier with dropout under Adam.
fn of_each_session() -> [u64; 3] {
    let (x, t) = (random_tensor(&[1, 2], 1), random_tensor(&[1, 2], 2));
    let gaussians = allocations(&mut perceptron(1, &[2, 10, 2]), &[("x", &x), ("t", &t)], 2000);
    let (x, t) = (random_tensor(&[64, 784], 1), random_tensor(&[64, 10], 2));
    let mnist_mlp = allocations(&mut perceptron(64, &[784, 256, 10]), &[("x", &x), ("t", &t)], LARGE_STEPS);

    let g = Graph::new();
    let logits = layers(&g, g.input("x", [32, 20]).dropout(0.25, g.step(), 1), &[20, 30, 5]);
    let loss = logits.cross_entropy(g.input_of("labels", [32], DType::I32));
    let mut session = Session::train(&g, loss, Adam::new(1e-3), Device::cpu()).unwrap();
    let (x, labels) = (random_tensor(&[32, 20], 3), Tensor::new([32], (0..32).map(|i| i % 5).collect()).unwrap());
    let classifier = allocations(&mut session, &[("x", &x), ("labels", &labels)], 500);
    [gaussians, mnist_mlp, classifier]
}

const LARGE_STEPS: usize = 200;

/// One test, for the counter is the whole program's.
#[test]
fn a_warm_step_allocates_nothing() {
    // Steps that a thread of the pool drives: nothing at all. A first round lets the pool's threads start, which allocates.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.install(of_each_session);
    assert_eq!(pool.install(of_each_session), [0; 3], "gaussians, mnist_mlp, classifier on a thread of the pool");

    // Steps that another thread drives, too.
    of_each_session();
    assert_eq!(of_each_session(), [0; 3], "gaussians, mnist_mlp, classifier from outside the pool");
}
