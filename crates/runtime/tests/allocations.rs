//! A compiled step on the CPU allocates nothing once it is warm: a counting allocator watches every thread.

#[path = "suite/random.rs"]
#[allow(dead_code, unreachable_pub)] // This uses a part of it.
mod random;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arenagrad::{Adam, Attention, DType, Device, Expr, Graph, Init, Session, Sgd, Tensor};
use random::Random;

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

/// How many allocations `steps` further steps make. A thread of a pool allocates its bookkeeping once, when it first looks for
/// work, which on a busy machine may be long after the pool was made; what steps allocate shows each time.
fn allocations(session: &mut Session, inputs: &[(&str, &Tensor)], steps: usize) -> u64 {
    let mut count = || {
        ALLOCATIONS.store(0, Ordering::SeqCst);
        WATCHING.store(true, Ordering::SeqCst);
        for _ in 0..steps {
            session.step(inputs).unwrap();
        }
        WATCHING.store(false, Ordering::SeqCst);
        ALLOCATIONS.load(Ordering::SeqCst)
    };
    // The first steps warm up; then a round without any allocation settles it.
    count();
    (0..4).map(|_| count()).find(|&count| count == 0).unwrap_or_else(count)
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

/// Functions of each element, one after the other.
type Chain = for<'g> fn(Expr<'g>) -> Expr<'g>;

/// A session of one kernel after another over about `elements` elements, and its inputs.
type Case = (&'static str, Session, Vec<(&'static str, Tensor)>);

/// Chains of functions of every class, reductions, products, scatters and gathers over about `elements` elements: what is
/// cheap, what is dear, and what lies between, on either side of every threshold from which work is divided.
fn cases(elements: usize) -> Vec<Case> {
    let evaluate = |g: &Graph, output: Expr<'_>| {
        // A loss makes a step of it; its value is all that comes back.
        Session::train(g, output.mean(..), Sgd::new(1e-3), Device::cpu()).unwrap()
    };
    let mut cases: Vec<Case> = Vec::new();
    let chains: [(&'static str, Chain); 5] = [
        ("sums and products", |x| (x * 0.5 + 0.25).relu() - x * x),
        ("quotients", |x| (x.abs() + 1.0).sqrt() / (x * x + 2.0)),
        ("exp and tanh", |x| (x.tanh() * 0.5).exp().tanh()),
        ("sin, erf and log", |x| (x.sin() + x.erf() + 3.0).log()),
        ("powers", |x| (x.abs() + 0.5).pow(x)),
    ];
    for (name, chain) in chains {
        let g = Graph::new();
        let w = g.parameter("w", [elements], Init::Uniform { low: -1.0, high: 1.0 });
        cases.push((name, evaluate(&g, chain(w)), vec![]));
    }
    let g = Graph::new();
    let w = g.parameter("w", [elements / 32, 32], Init::Uniform { low: -1.0, high: 1.0 });
    cases.push(("reductions", evaluate(&g, w.exp().sum([0]).log() + w.max([0]) + w.softmax(1).sum([0])), vec![]));
    let side = (elements as f64).cbrt() as usize;
    let g = Graph::new();
    let w = g.parameter("w", [side, 3 * side], Init::Uniform { low: -1.0, high: 1.0 });
    cases.push(("products", evaluate(&g, w.matmul(w.t()).tanh().matmul(w)), vec![]));
    let (rows, width) = (elements / 16, 16);
    let g = Graph::new();
    let table = g.parameter("w", [rows, width], Init::Uniform { low: -1.0, high: 1.0 });
    let index = g.input_of("index", [rows], DType::I32).reshape([rows, 1]).broadcast_to([rows, width]);
    let rows_of = (0..rows).map(|i| (i * 7 % rows) as i32).collect::<Vec<i32>>();
    cases.push((
        "look-ups of rows",
        evaluate(&g, table.gather(0, index).square()),
        vec![("index", Tensor::new([rows], rows_of).unwrap())],
    ));
    let g = Graph::new();
    let table = g.parameter("w", [elements / 8], Init::Uniform { low: -1.0, high: 1.0 });
    let index = g.input_of("index", [elements], DType::I32);
    let of = (0..elements).map(|i| (i * 31 % (elements / 8)) as i32).collect::<Vec<i32>>();
    cases.push((
        "look-ups of elements",
        evaluate(&g, table.gather(0, index).square()),
        vec![("index", Tensor::new([elements], of).unwrap())],
    ));
    let g = Graph::new();
    let width = elements / 64;
    let w = g.parameter("w", [16, 16], Init::Uniform { low: -0.1, high: 0.1 });
    let x = g.parameter("x", [8, width / 16 + 1, 16], Init::Uniform { low: -1.0, high: 1.0 });
    let scanned = g.scan(&[x.select_index(0, 0)], &[x], |state, x| {
        let next = (state[0].matmul(w) + x[0]).tanh();
        (vec![next], vec![next])
    });
    cases.push(("a loop", evaluate(&g, scanned.unwrap().outputs[0].square()), vec![]));
    let positions = ((elements / 8) as f64).sqrt() as usize + 1;
    let g = Graph::new();
    let w = g.parameter("w", [2, positions, 3, 8], Init::Uniform { low: -1.0, high: 1.0 }).transpose(1, 2);
    let causal = Attention { is_causal: true, ..Attention::default() };
    cases.push(("attention", evaluate(&g, w.scaled_dot_product_attention(w, w, None, causal)), vec![]));
    cases
}

/// The cases whose steps allocate.
fn allocating(threads: &str) -> Vec<String> {
    let mut found = Vec::new();
    for elements in [1024, 4096, 8192, 12_288, 24_576, 65_536] {
        for (name, mut session, inputs) in cases(elements) {
            let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
            // Rayon's queue takes a block of memory every 63rd time: fewer steps might miss it.
            let count = allocations(&mut session, &inputs, 70);
            if count > 0 {
                found.push(format!("{name} over {elements}, {threads}: {count} allocations"));
            }
        }
    }
    found
}

/// Names the process that a thread outside of all pools drives, and how many threads it has.
const ALONE: &str = "ARENAGRAD_TEST_THREADS";

/// One test, for the counter is the whole program's.
#[test]
fn a_warm_step_allocates_nothing() {
    if std::env::var_os(ALONE).is_some() {
        // A first round lets the pool's threads start, which allocates.
        of_each_session();
        assert_eq!(of_each_session(), [0; 3], "gaussians, mnist_mlp, classifier from outside the pool");
        assert_eq!(allocating("from outside the pool"), Vec::<String>::new());
        return;
    }
    // Steps that a thread of a pool drives.
    for threads in 1..=3 {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(of_each_session);
        assert_eq!(pool.install(of_each_session), [0; 3], "gaussians, mnist_mlp, classifier, {threads} threads");
        let found = pool.install(|| allocating(&format!("on a pool of {threads}")));
        assert_eq!(found, Vec::<String>::new());
    }
    // Steps that another thread drives: how many threads share them is settled once a process.
    for threads in ["1", "2", "3"] {
        let program = std::env::current_exe().expect("the path of this program");
        let output = std::process::Command::new(program)
            .args(["a_warm_step_allocates_nothing", "--exact"])
            .env(ALONE, threads)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .expect("it starts again");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{threads} threads: {text}");
    }
}
