//! Tensors past what an adapter's kernels see at once: kernels over parts of them, or a refusal by name.

use super::budget::{borrowed, inputs};
use crate::suite::devices::gpu;
use crate::suite::respawn::{lowered_binding, with_bindings_of, with_bindings_of_and_joined};
use arenagrad::{
    AdapterKind, Attention, DType, Device, Error, Expr, Gelu, Graph, Init, Session, Sgd, StorageType, Tensor,
};

/// What the process of these tests binds at most.
const LIMIT: u64 = 1 << 16;

/// A limit at which no tensor ends.
const UNEVEN_LIMIT: u64 = LIMIT - 4;

/// The adapter, in a process where it binds no more than 64 KiB.
fn adapter() -> Option<Device> {
    lowered_binding().filter(|&limit| limit == LIMIT).and_then(|_| gpu())
}

#[test]
fn large_tensors_under_a_lowered_limit() {
    with_bindings_of(
        LIMIT,
        &[
            "memory::binding::kernels_over_parts_give_what_kernels_over_all_give",
            "memory::binding::an_update_over_parts",
            "memory::binding::what_cannot_be_cut_is_refused_by_name",
            "memory::binding::what_is_kept_in_between_is_bound_too",
            "memory::binding::small_tensors_in_buffers_of_large_ones",
        ],
    );
}

#[test]
fn a_limit_between_two_sizes() {
    with_bindings_of(UNEVEN_LIMIT, &["memory::binding::what_is_kept_in_between_grows_up_to_an_uneven_limit"]);
}

/// What is joined binds buffers whole.
#[test]
fn the_same_joined() {
    with_bindings_of_and_joined(
        LIMIT,
        &[
            "memory::binding::kernels_over_parts_give_what_kernels_over_all_give",
            "memory::binding::an_update_over_parts",
            "memory::binding::small_tensors_in_buffers_of_large_ones",
        ],
    );
}

/// Builds outputs over one graph, and holds those of the adapter against the CPU's.
fn compare(name: &str, device: &Device, build: impl for<'g> Fn(&'g Graph) -> Vec<Expr<'g>>) {
    let graph = Graph::new();
    let outputs = build(&graph);
    let given = inputs(&graph, 11);
    let compute = |device: &Device| -> Result<Vec<Tensor>, Error> {
        Session::evaluate(&graph, &outputs, device)?.run(&borrowed(&given))
    };
    let found = compute(device).unwrap_or_else(|error| panic!("{name}: {error}"));
    for (number, (found, expected)) in found.iter().zip(compute(&Device::cpu()).unwrap()).enumerate() {
        let (found, expected) = (found.to_f64_vec(), expected.to_f64_vec());
        assert_eq!(found.len(), expected.len(), "{name}, output {number}");
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs();
            assert!(error <= 1e-4 * (1.0 + expected.abs()), "{name}, output {number}, {place}: {found}, {expected}");
        }
    }
}

/// Every large tensor here is of more than 64 KiB, that is 16,384 floats, and odd where that can be.
#[test]
fn kernels_over_parts_give_what_kernels_over_all_give() {
    let Some(device) = adapter() else { return };
    compare("elementwise", &device, |g| {
        let (x, y) = (g.input("x", [54_321]), g.input("y", [54_321]));
        vec![(x * 2.0 + y).tanh(), x.maximum(y)]
    });
    compare("several results of one kernel", &device, |g| {
        let x = g.input("x", [40_001]);
        let y = x.exp();
        vec![y, y * x, y - x]
    });
    compare("many parts of one tensor in one kernel", &device, |g| {
        let x = g.input("x", [50_030]);
        let part = |number: usize| x.slice(0, number * 3, number * 3 + 50_000) * (number + 1) as f64;
        vec![(1..10).fold(part(0), |sum, number| sum + part(number))]
    });
    // No tensor here is too large by itself.
    compare("rows that are kept in between", &device, |g| {
        let softmaxes = |name: &str, rows: usize, columns: usize| {
            let x = g.input(name, [rows, columns]);
            (x.softmax(-1) * x).exp().softmax(-1)
        };
        vec![softmaxes("x", 160, 100), softmaxes("y", 4, 4000), softmaxes("z", 1, 16_000)]
    });
    compare("repeated rows and columns", &device, |g| {
        let (x, row, column) = (g.input("x", [300, 96]), g.input("row", [96]), g.input("column", [300, 1]));
        vec![x * row + column]
    });
    compare("rows backwards", &device, |g| vec![g.input("x", [256, 130]).flip(0) * 2.0]);
    compare("a part of a large tensor", &device, |g| vec![g.input("x", [99_999]).slice(0, 50_001, 50_007) + 1.0]);
    compare("a sum and a concatenation of parts of a large tensor", &device, |g| {
        let x = g.input("x", [99_999]);
        let (a, b) = (x.slice(0, 20_000, 20_300), x.slice(0, 90_007, 90_021));
        vec![a.sum(..), g.concat(&[a, b], 0)]
    });
    compare("sums of rows, whatever they are", &device, |g| {
        let x = g.input("x", [512, 65]);
        vec![x.sum(1), (x * x).mean(1).sqrt(), x.max(1)]
    });
    compare("softmax and layer norm", &device, |g| {
        let x = g.input("x", [512, 64]);
        vec![x.softmax(-1), x.layer_norm(-1, None, None, 1e-5)]
    });
    compare("products by rows", &device, |g| {
        let (x, w, b) = (g.input("x", [1024, 48]), g.input("w", [48, 32]), g.input("b", [32]));
        vec![(x.matmul(w) + b).gelu(Gelu::Erf)]
    });
    compare("products by matrices", &device, |g| {
        let (x, y) = (g.input("x", [8, 64, 64]), g.input("y", [8, 64, 64]));
        vec![x.matmul(y)]
    });
    compare("random numbers and coordinates", &device, |g| {
        let x = g.input("x", [50_001]);
        let kept = g.uniform([50_001], g.literal([], [3]), 12_345).less(0.7);
        let (row, column) = (g.iota([300, 96], 0), g.iota([300, 96], 1));
        vec![kept.where_(x * 2.0, 0.0), (row * 1000 + column).cast(DType::F32), g.iota([40_000], 0) + 1]
    });
    compare("softmax under a causal mask, with dropout", &device, |g| {
        let x = g.input("x", [256, 96]);
        let before = g.iota([256, 96], 1).less_equal(g.iota([256, 96], 0));
        let kept = g.uniform([256, 96], g.literal([], [5]), 77).less(0.8);
        vec![kept.where_(before.where_(x, -1e9).softmax(-1), 0.0)]
    });
    compare("products and sums of rows with dropout", &device, |g| {
        let (x, w) = (g.input("x", [1024, 48]), g.input("w", [48, 32]));
        let noise = |extents: [usize; 2], seed: u64| g.uniform(extents, g.literal([], [1]), seed);
        vec![x.matmul(w) * noise([1024, 32], 9), (x * noise([1024, 48], 10)).sum(1)]
    });
    compare("narrow elements and truth values", &device, |g| {
        let x = g.input_of("x", [50_001], StorageType::Bf16);
        let mask = g.input_of("mask", [50_001], DType::Bool);
        vec![mask.where_(x * 3.0, -1.0)]
    });
}

/// An update of parameters that are too large to be bound whole, in place.
#[test]
fn an_update_over_parts() {
    let Some(device) = adapter() else { return };
    let trained = |device: Device| -> Vec<f64> {
        let g = Graph::new();
        let x = g.input("x", [512, 64]);
        let scale = g.parameter("scale", [512, 64], Init::Constant(0.5));
        // The sum of each row, and of these sums: no kernel goes over all elements for one result.
        let loss = (x * scale).tanh().square().sum(1).matmul(g.input("weights", [512]));
        let mut session = Session::train(&g, loss, Sgd::new(0.1).momentum(0.9), device).unwrap();
        let given = inputs(&g, 3);
        let losses: Vec<f64> = (0..3).map(|_| session.step(&borrowed(&given)).unwrap()).collect();
        losses.into_iter().chain(session.parameter("scale").unwrap().to_f64_vec()).collect()
    };
    for (found, expected) in trained(device).into_iter().zip(trained(Device::cpu())) {
        assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found}, {expected}");
    }
}

/// A slot is as large as the largest of its results, and so is a buffer that plans share. What stands there at another time may
/// be past the limit; a kernel that cannot be cut is refused for what it reads and writes itself alone.
#[test]
fn small_tensors_in_buffers_of_large_ones() {
    let Some(device) = adapter() else { return };
    compare("a cumulative sum whose slot a large product takes next", &device, |g| {
        let small = g.input("s", [48, 32]).cumsum(0).cumsum(1);
        let large = g.input("x", [1024, 48]).matmul(small);
        vec![large.matmul(g.input("w", [32, 8]))]
    });
    let g = Graph::new();
    let large = g.input("x", [50_000]).exp() * 2.0;
    let small = g.input("s", [48, 32]).cumsum(0).cumsum(1);
    let given = inputs(&g, 5);
    let found = |device: &Device| -> Result<Vec<f64>, Error> {
        let mut session = Session::evaluate(&g, &[large], device)?;
        let plan = session.add(&g, &[small])?;
        Ok(session.run_plan(plan, &borrowed(&given[1..]))?.remove(0).to_f64_vec())
    };
    let (found, expected) = (found(&device).unwrap(), found(&Device::cpu()).unwrap());
    let is_close = |(found, expected): (&f64, &f64)| (found - expected).abs() <= 1e-4 * (1.0 + expected.abs());
    assert!(found.len() == expected.len() && found.iter().zip(&expected).all(is_close));
}

/// What a session's kernels keep grows by factors of two, up to the limit and no further: plans that fit are not refused for the rest.
#[test]
fn what_is_kept_in_between_grows_up_to_an_uneven_limit() {
    let Some(device) = lowered_binding().filter(|&limit| limit == UNEVEN_LIMIT).and_then(|_| gpu()) else { return };
    let g = Graph::new();
    let attended = |name: &str, length: usize| {
        let [q, k, v] = ["q", "k", "v"].map(|part| g.input(format!("{name}.{part}"), [1, length, 4]));
        q.scaled_dot_product_attention(k, v, None, Attention::default())
    };
    // Of 3600 scores and of 12,100, on a software adapter.
    let (few, more) = (attended("few", 60), attended("more", 110));
    let mut session = Session::evaluate(&g, &[few], &device).unwrap();
    session.add(&g, &[more]).unwrap();
}

#[test]
fn what_cannot_be_cut_is_refused_by_name() {
    let Some(device) = adapter() else { return };
    let refused = |graph: &Graph, output: Expr<'_>| Session::evaluate(graph, &[output], &device).err().unwrap();

    let g = Graph::new();
    let wide = g.input("x", [300, 100]).tanh().cumsum(0).named("wide");
    let error = refused(&g, wide);
    let Error::BufferTooLarge { bytes, limit, adapter, origin, .. } = &error else { panic!("{error}") };
    assert_eq!((*bytes, *limit), (120_000, LIMIT), "{error}");
    assert_eq!(*adapter, device.adapter().unwrap().name);
    assert!(origin.unwrap().file().ends_with("binding.rs"), "{error}");
    let text = error.to_string();
    assert!(text.contains("120000") && text.contains("65536") && text.contains("binding.rs:"), "{text}");

    // What is read wherever an index says: the table is named, at the line of its declaration.
    let g = Graph::new();
    let table = g.parameter("table", [1000, 100], Init::Constant(0.0));
    let line = line!() - 1;
    let error = refused(&g, table.index_select(0, g.input_of("rows", [5], DType::I32)));
    let Error::BufferTooLarge { bytes: 400_000, origin: Some(origin), .. } = &error else { panic!("{error}") };
    assert!(origin.file().ends_with("binding.rs") && origin.line() == line, "{error}");

    // Past what a buffer may be at all.
    let g = Graph::new();
    let error = refused(&g, g.input("huge", [1 << 17, 1 << 17]).sum(..));
    let Error::BufferTooLarge { what, origin: Some(_), .. } = &error else { panic!("{error}") };
    assert!(what.contains("\"huge\""), "{error}");
}

/// What a kernel keeps between its dispatches, where no tensor of it is too large.
#[test]
fn what_is_kept_in_between_is_bound_too() {
    let Some(device) = adapter() else { return };
    // Blocks of scores are kept on a software adapter alone.
    let g = Graph::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, [4, 100, 4]));
    let line = line!() + 1;
    let y = q.scaled_dot_product_attention(k, v, None, Attention::default()).named("attended");
    match Session::evaluate(&g, &[y], &device) {
        Ok(_) => assert_ne!(device.adapter().unwrap().kind, AdapterKind::Software),
        Err(error) => {
            let Error::BufferTooLarge { what, bytes, limit, origin: Some(origin), .. } = &error else {
                panic!("{error}")
            };
            assert!(what.contains("an intermediate result of attended"), "{error}");
            assert_eq!((*bytes, *limit, origin.line()), (160_000, LIMIT, line), "{error}");
        }
    }
}
