//! Attention against the formula composed of products and a softmax, forward and its gradients, on both devices; what a plan stores for it; and
//! long rows.

use std::time::Instant;

use arenagrad::plan::BufferRole;
use arenagrad::{Attention, DType, Device, Expr, Graph, RotaryEmbedding, RotaryPairs, RotaryScaling, Session};

use crate::suite::devices::{devices, gpu};
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
use crate::suite::respawn::{with_all_dispatches_joined, with_kernels_of_a_gpu};
use crate::suite::run::numbers;

/// What attention is tried with.
struct Case {
    query: &'static [usize],
    key: &'static [usize],
    width: usize,
    mask: Option<(&'static [usize], DType)>,
    options: Attention,
}

const PLAIN: Attention = Attention { is_causal: false, scale: None, enable_gqa: false };
const CAUSAL: Attention = Attention { is_causal: true, ..PLAIN };
const GROUPED: Attention = Attention { enable_gqa: true, ..CAUSAL };

fn cases() -> Vec<Case> {
    let case = |query, key, width, options| Case { query, key, width, mask: None, options };
    vec![
        case(&[1, 1], &[1, 1], 1, PLAIN),
        case(&[2, 2, 70, 12], &[2, 2, 130, 12], 9, PLAIN),
        case(&[3, 129, 33], &[3, 65, 33], 40, CAUSAL),
        case(&[2, 6, 67, 16], &[2, 2, 67, 16], 16, GROUPED),
        case(&[2, 4, 20, 8], &[2, 1, 31, 8], 8, Attention { scale: Some(-0.3), ..PLAIN }),
        Case { mask: Some((&[66, 70], DType::Bool)), ..case(&[2, 3, 66, 8], &[2, 3, 70, 8], 8, CAUSAL) },
        Case { mask: Some((&[3, 1, 70], DType::F32)), ..case(&[2, 3, 66, 8], &[2, 3, 70, 8], 5, PLAIN) },
    ]
}

/// The formula as PyTorch's documentation has it; of a bool mask every row attends something.
fn composed<'g>(q: Expr<'g>, k: Expr<'g>, v: Expr<'g>, mask: Option<Expr<'g>>, options: Attention) -> Expr<'g> {
    let shape = |x: Expr<'g>| x.shape().expect("a shape");
    let (query, key) = (shape(q), shape(k));
    let (rank, depth) = (query.rank(), query[query.rank() - 1]);
    let repeat = |x: Expr<'g>| {
        let own = shape(x);
        if !options.enable_gqa || own[rank - 3] == query[rank - 3] {
            return x;
        }
        let times = query[rank - 3] / own[rank - 3];
        let mut split = own.to_vec();
        split.insert(rank - 2, 1);
        let mut wide = split.clone();
        wide[rank - 2] = times;
        let mut joined = own.to_vec();
        joined[rank - 3] *= times;
        x.reshape(split).broadcast_to(wide).reshape(joined)
    };
    let scale = options.scale.unwrap_or(1.0 / (depth as f64).sqrt());
    let mut scores = q.matmul_with(repeat(k), false, true) * scale;
    if let Some(mask) = mask {
        let is_bool = mask.dtype() == Ok(DType::Bool);
        scores = if is_bool { mask.where_(scores, f64::NEG_INFINITY) } else { scores + mask };
    }
    if options.is_causal {
        let seen = q.graph().ones([query[rank - 2], key[rank - 2]], DType::Bool).tril(0);
        scores = seen.where_(scores, f64::NEG_INFINITY);
    }
    scores.softmax(-1).matmul(repeat(v))
}

/// The output and all gradients, of attention itself and of the composed formula.
fn both<'g>(g: &'g Graph, case: &Case, given: &mut Given) -> [Vec<Expr<'g>>; 2] {
    let mut random = Random(11);
    let mut input = |name: &str, shape: &[usize], dtype: DType| {
        let count = shape.iter().product();
        let elements = match dtype {
            // The first key is always attended.
            DType::Bool => {
                let keys = shape[shape.len() - 1];
                let drawn = random.integers(count, 0, 2);
                drawn.iter().enumerate().map(|(i, &x)| f64::from(u8::from(x != 0.0 || i % keys == 0))).collect()
            }
            DType::F32 | DType::F64 | DType::I32 => random.floats(count, -1.0, 1.0),
        };
        given.insert(name.to_owned(), elements);
        g.input_of(name, shape, dtype)
    };
    let value: Vec<usize> = case.key[..case.key.len() - 1].iter().copied().chain([case.width]).collect();
    let (q, k, v) =
        (input("q", case.query, DType::F32), input("k", case.key, DType::F32), input("v", &value, DType::F32));
    let mask = case.mask.map(|(shape, dtype)| input("mask", shape, dtype));
    let output: Vec<usize> = case.query[..case.query.len() - 1].iter().copied().chain([case.width]).collect();
    let upstream = input("upstream", &output, DType::F32);
    let mut wanted = vec![q, k, v];
    wanted.extend(mask.filter(|mask| mask.dtype() == Ok(DType::F32)));
    let with_gradients = |y: Expr<'g>| {
        let gradients = g.gradients(&[y], &[upstream], &wanted).expect("gradients");
        std::iter::once(y).chain(gradients).collect::<Vec<_>>()
    };
    [
        with_gradients(q.scaled_dot_product_attention(k, v, mask, case.options)),
        with_gradients(composed(q, k, v, mask, case.options)),
    ]
}

#[test]
fn values_and_gradients_are_those_of_the_composed_formula() {
    for device in devices() {
        for (number, case) in cases().iter().enumerate() {
            let (g, mut given) = (Graph::new(), Given::new());
            let [own, composed] = both(&g, case, &mut given);
            let own = numbers(&g, &own, &given, &device);
            let composed = numbers(&g, &composed, &given, &Device::cpu());
            for (result, (own, composed)) in own.iter().zip(&composed).enumerate() {
                let largest = composed.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                for (place, (own, composed)) in own.iter().zip(composed).enumerate() {
                    let is_close = (own - composed).abs() <= 3e-6 * largest.max(1e-3);
                    assert!(is_close, "case {number}, result {result}[{place}] on {device}: {own} for {composed}");
                }
            }
        }
    }
}

/// The output of attention whose scores are some hundreds or thousands, gradients, and gradients of a sum of these. The scores are whole
/// thirty-seconds, which f32 holds, and no more than a few apart in a row.
fn of_large_scores<'g>(g: &'g Graph, case: &Case, dtype: DType, given: &mut Given) -> [Vec<Expr<'g>>; 3] {
    let mut random = Random(29);
    let mut quarters = |shape: &[usize]| -> Vec<f64> {
        random.integers(shape.iter().product(), -4, 4).iter().map(|x| x / 4.0).collect()
    };
    // The first column makes the scores large, and each row of them nearly alike.
    let with_first = |mut elements: Vec<f64>, first: &[f64]| {
        let rows = elements.chunks_exact_mut(case.query[case.query.len() - 1]);
        rows.zip(first.iter().cycle()).for_each(|(row, &first)| row[0] = first);
        elements
    };
    let mut input = |name: &str, shape: &[usize], dtype: DType, elements: Vec<f64>| {
        given.insert(name.to_owned(), elements);
        g.input_of(name, shape, dtype)
    };
    let with_width = |shape: &[usize]| -> Vec<usize> { [&shape[..shape.len() - 1], &[case.width]].concat() };
    let q = input("q", case.query, dtype, with_first(quarters(case.query), &[64.0, -40.0, 125.0, -125.0, 375.0]));
    let k = input("k", case.key, dtype, with_first(quarters(case.key), &[16.0]));
    let v = input("v", &with_width(case.key), dtype, quarters(&with_width(case.key)));
    let upstream = input("upstream", &with_width(case.query), dtype, quarters(&with_width(case.query)));
    let mask = case.mask.map(|(shape, of)| {
        if of != DType::Bool {
            return input("mask", shape, dtype, quarters(shape));
        }
        // The second row attends nothing, and each other one the first key at least.
        let keys = shape[shape.len() - 1];
        let is_attended = |(place, x): (usize, &f64)| place / keys != 1 && (*x > 0.0 || place.is_multiple_of(keys));
        let elements = quarters(shape).iter().enumerate().map(|at| f64::from(u8::from(is_attended(at)))).collect();
        input("mask", shape, DType::Bool, elements)
    });
    let mut wanted = vec![q, k, v];
    wanted.extend(mask.filter(|mask| mask.dtype() == Ok(dtype)));
    let y = q.scaled_dot_product_attention(k, v, mask, case.options);
    let first = g.gradients(&[y], &[upstream], &wanted).expect("gradients");
    let mut sum = g.zeros([], dtype);
    for (number, (gradient, of)) in first.iter().zip(&wanted).enumerate() {
        let shape = of.shape().expect("a shape");
        let direction = input(&format!("direction {number}"), &shape, dtype, quarters(&shape));
        sum = sum + (*gradient * direction).sum(..);
    }
    wanted.push(upstream);
    let second = g.gradients(&[sum], &[g.ones([], dtype)], &wanted).expect("gradients of gradients");
    [vec![y], first, second]
}

/// A row keeps its largest score and the logarithm of the sum that is left apart: their sum would have no digits for the logarithm.
#[test]
fn large_scores_keep_the_digits_of_their_sums() {
    let half = Attention { scale: Some(0.5), ..PLAIN };
    let grouped = Attention { scale: Some(0.5), ..GROUPED };
    let case = |query, key, mask, options| Case { query, key, width: 3, mask, options };
    let cases = [
        case(&[2, 10, 4], &[2, 70, 4], Some((&[2, 1, 70][..], DType::F32)), half),
        case(&[2, 10, 4], &[2, 20, 4], Some((&[10, 20], DType::Bool)), half),
        case(&[1, 4, 67, 4], &[1, 2, 67, 4], None, grouped),
    ];
    let mut is_close = true;
    for device in devices() {
        for (number, case) in cases.iter().enumerate() {
            let [own, exact] = [(DType::F32, &device), (DType::F64, &Device::cpu())].map(|(dtype, device)| {
                let (g, mut given) = (Graph::new(), Given::new());
                let outputs = of_large_scores(&g, case, dtype, &mut given);
                outputs.map(|outputs| numbers(&g, &outputs, &given, device))
            });
            for (order, tolerance) in [2e-6, 1e-5, 1e-4].into_iter().enumerate() {
                for (result, (own, exact)) in own[order].iter().zip(&exact[order]).enumerate() {
                    let largest = exact.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                    let off = own.iter().zip(exact).map(|(own, exact)| (own - exact).abs());
                    let off = off.fold(0.0, |most: f64, x| if x > most || x.is_nan() { x } else { most }) / largest;
                    println!(
                        "{device}, case {number}, order {order}, result {result}: off by {off:e} of {tolerance:e}"
                    );
                    is_close &= off <= tolerance;
                }
            }
        }
    }
    assert!(is_close, "farther off than allowed, see above");
}

#[test]
fn the_same_with_kernels_of_a_gpu_and_joined() {
    let formula = "attention::values_and_gradients_are_those_of_the_composed_formula";
    with_kernels_of_a_gpu(&[formula, "attention::large_scores_keep_the_digits_of_their_sums"]);
    with_all_dispatches_joined(&[formula]);
}

#[test]
fn a_position_that_attends_nothing_gives_zero() {
    for device in devices() {
        let g = Graph::new();
        let (q, k, v) = (g.input("q", [2, 3]), g.input("k", [4, 3]), g.input("v", [4, 2]));
        let mask = g.input_of("mask", [2, 4], DType::Bool);
        let y = q.scaled_dot_product_attention(k, v, Some(mask), PLAIN);
        let gradients = g.gradients(&[y], &[g.ones([2, 2], DType::F32)], &[q, k, v]).unwrap();
        let mut random = Random(3);
        let mut given = Given::new();
        for (name, count) in [("q", 6), ("k", 12), ("v", 8)] {
            given.insert(name.to_owned(), random.floats(count, -1.0, 1.0));
        }
        given.insert("mask".to_owned(), vec![0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let results = numbers(&g, &[y, gradients[0], gradients[1], gradients[2]], &given, &device);
        assert_eq!(results[0][..2], [0.0, 0.0], "{device}");
        assert_eq!(results[1][..3], [0.0; 3], "{device}");
        assert!(results.iter().flatten().all(|x| x.is_finite()), "{device}: {results:?}");
        assert!(results[0][2] != 0.0 && results[3][0] != 0.0 && results[3][2] == 0.0, "{device}: {results:?}");
    }
}

#[test]
fn a_row_with_nan_gives_nan_and_others_do_not() {
    for device in devices() {
        let g = Graph::new();
        let (q, k, v) = (g.input("q", [3, 2]), g.input("k", [5, 2]), g.input("v", [5, 2]));
        let y = q.scaled_dot_product_attention(k, v, None, PLAIN);
        let mut random = Random(5);
        let mut given = Given::new();
        for (name, count) in [("q", 6), ("k", 10), ("v", 10)] {
            given.insert(name.to_owned(), random.floats(count, -1.0, 1.0));
        }
        given.get_mut("q").unwrap()[2] = f64::NAN;
        let results = numbers(&g, &[y], &given, &device);
        let is_nan: Vec<bool> = results[0].iter().map(|x| x.is_nan()).collect();
        assert_eq!(is_nan, [false, false, true, true, false, false], "{device}");
        given.get_mut("q").unwrap()[2] = 0.5;
        given.get_mut("k").unwrap()[6] = f64::NAN;
        assert!(numbers(&g, &[y], &given, &device)[0].iter().all(|x| x.is_nan()), "{device}");
    }
}

/// The loss of causal self-attention of that many positions, and its gradients.
fn causal<'g>(g: &'g Graph, shape: [usize; 4]) -> Vec<Expr<'g>> {
    let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, shape));
    let y = q.scaled_dot_product_attention(k, v, None, CAUSAL);
    let loss = (y * g.input("weights", shape)).sum(..);
    let [dq, dk, dv] = loss.grad([q, k, v]).expect("gradients");
    vec![y, dq, dk, dv]
}

#[test]
fn no_buffer_has_an_element_for_each_pair() {
    for positions in [128, 512] {
        let g = Graph::new();
        let outputs = causal(&g, [1, 2, positions, 16]);
        let session = Session::evaluate(&g, &outputs, &Device::cpu()).unwrap();
        let largest = session.plan().buffers().iter().map(|buffer| buffer.elements).max();
        assert_eq!(largest, Some(2 * positions * 16), "{}", session.plan().explain());
        let slots = session.plan().buffers().iter().filter(|buffer| buffer.role == BufferRole::Slot);
        let elements: usize = slots.map(|buffer| buffer.elements).sum();
        assert!(elements <= 6 * 2 * positions * 16, "{elements} elements for {positions} positions");
        let steps = session.plan().steps().len();
        assert!(steps <= 5, "{}", session.plan().explain());
    }
}

/// Both devices on one long input: the first rows, a few in between and the sum of all.
fn long_rows_agree(shape: [usize; 4]) {
    let Some(gpu) = gpu() else { return };
    let (g, mut given) = (Graph::new(), Given::new());
    let outputs = causal(&g, shape);
    let mut random = Random(23);
    for name in ["q", "k", "v", "weights"] {
        given.insert(name.to_owned(), random.floats(shape.iter().product(), -1.0, 1.0));
    }
    let started = Instant::now();
    let found = numbers(&g, &outputs, &given, &gpu);
    let on_gpu = started.elapsed();
    println!("{shape:?}, forward and backward: {on_gpu:?} on {gpu}");
    let expected = numbers(&g, &outputs, &given, &Device::cpu());
    println!("{:?} in all", started.elapsed());
    for (result, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let is_close = (found - expected).abs() <= 2e-6 * largest;
            assert!(is_close, "result {result}[{place}]: {found} on {gpu}, {expected} on the CPU");
        }
    }
}

#[test]
fn long_rows() {
    long_rows_agree([1, 1, 1024, 64]);
}

/// The size of a language model's context, whose scores would take half a gigabyte: minutes on a software adapter.
#[test]
#[ignore = "takes minutes on a software adapter"]
fn long_rows_of_a_language_model() {
    long_rows_agree([1, 8, 4096, 64]);
}

/// Attention of one group of heads by its definition in f64: the output, and the gradients of the sum of its products with the weights by
/// queries, keys and values. All have two columns.
fn by_definition(heads: usize, causal: bool, [q, k, v, weights]: [&[[f64; 2]]; 4]) -> [Vec<f64>; 4] {
    let dot = |a: [f64; 2], b: [f64; 2]| a[0] * b[0] + a[1] * b[1];
    let add =
        |sum: &mut [f64; 2], factor: f64, x: [f64; 2]| (0..2).for_each(|column| sum[column] += factor * x[column]);
    let scale = 0.5f64.sqrt();
    let [mut output, mut by_query] = [(); 2].map(|()| vec![[0.0; 2]; q.len()]);
    let [mut by_key, mut by_value] = [(); 2].map(|()| vec![[0.0; 2]; k.len()]);
    for row in 0..q.len() {
        let position = row % (q.len() / heads);
        let seen = if causal { k.len().min(position + 1) } else { k.len() };
        let mut shares: Vec<f64> = k[..seen].iter().map(|&key| (dot(q[row], key) * scale).exp()).collect();
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        shares.iter().zip(v).for_each(|(&share, &value)| add(&mut output[row], share, value));
        let expected = dot(weights[row], output[row]);
        for (key, &share) in shares.iter().enumerate() {
            add(&mut by_value[key], share, weights[row]);
            let by_score = share * (dot(weights[row], v[key]) - expected) * scale;
            add(&mut by_query[row], by_score, k[key]);
            add(&mut by_key[key], by_score, q[row]);
        }
    }
    [output, by_query, by_key, by_value].map(|rows| rows.concat())
}

/// Rows so long that the CPU adds up runs of keys and of queries, across whose borders nothing is lost or counted twice; on any number of
/// threads, which decides how the work is divided, to the same bits.
#[test]
fn rows_of_several_runs() {
    let cases = [
        (1, 70, 8300, false),
        (1, 8300, 70, false),
        (2, 2190, 4230, false),
        (1, 4300, 4300, true),
        (3, 2700, 130, true),
    ];
    for (heads, positions, keys, is_causal) in cases {
        let mut random = Random(7);
        let mut rows = |count: usize| -> Vec<[f64; 2]> {
            // As f32 holds them.
            let drawn =
                random.floats(2 * count, -1.0, 1.0).into_iter().map(|x| f64::from(x as f32)).collect::<Vec<_>>();
            drawn.chunks(2).map(|row| [row[0], row[1]]).collect()
        };
        let [q, weights] = [(); 2].map(|()| rows(heads * positions));
        let [k, v] = [(); 2].map(|()| rows(keys));
        let expected = by_definition(heads, is_causal, [&q, &k, &v, &weights]);
        let given: Given = [("q", &q), ("k", &k), ("v", &v), ("weights", &weights)]
            .into_iter()
            .map(|(name, rows)| (name.to_owned(), rows.concat()))
            .collect();
        for (dtype, error) in [(DType::F32, 2e-6), (DType::F64, 1e-13)] {
            let computed = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let g = Graph::new();
                    let input = |name: &str, heads: usize, rows: usize| g.input_of(name, [heads, rows, 2], dtype);
                    let (q, weights) = (input("q", heads, positions), input("weights", heads, positions));
                    let (k, v) = (input("k", 1, keys), input("v", 1, keys));
                    let options = Attention { is_causal, enable_gqa: heads > 1, ..PLAIN };
                    let y = q.scaled_dot_product_attention(k, v, None, options);
                    let [by_query, by_key, by_value] = (y * weights).sum(..).grad([q, k, v]).unwrap();
                    numbers(&g, &[y, by_query, by_key, by_value], &given, &Device::cpu())
                })
            };
            let found = computed(1);
            for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
                for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                    assert!(
                        (found - expected).abs() <= error * largest,
                        "{heads} x {positions} queries, {keys} keys, {dtype}, result {number}[{place}]: {found}, not {expected}"
                    );
                }
            }
            for threads in [2, 3] {
                assert!(computed(threads) == found, "{heads} x {positions} queries, {keys} keys, {threads} threads");
            }
        }
    }
}

#[test]
fn rotary_positions_turn_pairs() {
    for device in devices() {
        let g = Graph::new();
        let x = g.input("x", [3, 4]);
        let halves = x.rotary_embedding(None, RotaryEmbedding { theta: 100.0, ..RotaryEmbedding::default() });
        let positions = g.literal([3], [0i32, 1, 2]);
        let options = RotaryEmbedding { pairs: RotaryPairs::Interleaved, theta: 100.0, ..RotaryEmbedding::default() };
        let interleaved = x.rotary_embedding(Some(positions), options);
        let elements: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.0).collect();
        let given = Given::from([("x".to_owned(), elements.clone())]);
        let results = numbers(&g, &[halves, interleaved], &given, &device);
        for position in 0..3 {
            for pair in 0..2 {
                // theta^(-2 * 1 / 4) is a tenth.
                let angle = position as f64 * if pair == 0 { 1.0 } else { 0.1 };
                for (result, places) in [(0, [pair, pair + 2]), (1, [2 * pair, 2 * pair + 1])] {
                    let [a, b] = places.map(|place| elements[4 * position + place]);
                    let turned = [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()];
                    for (place, expected) in places.into_iter().zip(turned) {
                        let found: f64 = results[result][4 * position + place];
                        assert!((found - expected).abs() < 2e-6, "{device}: {found} for {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn scaled_rotary_positions_turn_less_and_grow() {
    let yarn = RotaryScaling::Yarn {
        factor: 4.0,
        original_positions: 64,
        beta_fast: 8.0,
        beta_slow: 1.0,
        attention_factor: Some(1.5),
    };
    for (scaling, frequencies, grows) in
        // The second pair is half way along YaRN's ramp.
        [
            (RotaryScaling::Linear { factor: 4.0 }, [0.25, 0.025], 1.0),
            (yarn, [1.0, (0.1 / 4.0 + 0.1) / 2.0], 1.5),
        ]
    {
        for device in devices() {
            let g = Graph::new();
            let x = g.input("x", [3, 4]);
            let turned =
                x.rotary_embedding(None, RotaryEmbedding { theta: 100.0, scaling, ..RotaryEmbedding::default() });
            let elements: Vec<f64> = (0..12).map(|i| f64::from(i) - 5.0).collect();
            let given = Given::from([("x".to_owned(), elements.clone())]);
            let found: Vec<f64> = numbers(&g, &[turned], &given, &device).remove(0);
            for position in 0..3 {
                for pair in 0..2 {
                    let angle = position as f64 * frequencies[pair];
                    let (a, b) = (elements[4 * position + pair], elements[4 * position + pair + 2]);
                    let expected = [a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()];
                    for (half, expected) in expected.into_iter().enumerate() {
                        let found = found[4 * position + pair + 2 * half];
                        assert!((found - grows * expected).abs() < 3e-6, "{device}: {found} for {grows} {expected}");
                    }
                }
            }
        }
    }
}
