//! Matrix products over several axes against the naive sum: tables, windows, operands at random, and convolutions with their
//! gradients against direct loops.

use arenagrad_kernels::cpu::{Compiled, Operands};
use arenagrad_kernels::{Axes, DType, Elements, Kernel, Matrices, ProductExtents, StorageType, Stored};

use crate::product_cases::convolutions::{CONVOLUTIONS, Contraction};
use crate::product_cases::{Product, at_random, products, sliding, tables};
use crate::reference::{Builder, buffer, noise, own_buffers, run, values};

fn unit(dtype: DType) -> f64 {
    if dtype == DType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) }
}

fn check(product: &Product) {
    let Product { name, lhs, rhs } = product;
    let extents = ProductExtents::new(lhs, rhs);
    for dtype in [DType::F32, DType::F64] {
        let operand = |seed, count| noise(seed, count).into_iter().map(|x| dtype.round(x)).collect::<Vec<f64>>();
        let operands = [operand(1, lhs.view().end()), operand(2, rhs.view().end())];
        let (expected, magnitude) = products(lhs, rhs, &operands);
        let inputs = operands.map(|operand| buffer(dtype, &operand));
        let mut b = Builder::new(expected.len());
        let accumulator = b.push(arenagrad_kernels::Instruction::Accumulator, dtype);
        for epilogue in [None, Some(b.output(&[accumulator]))] {
            let kernel = Kernel::MatMul { dtype, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue };
            let found = values(&run(&kernel, &inputs, &[(dtype, expected.len())])[0]);
            let gamma = (extents.k as f64 + 1.0) * unit(dtype);
            for (i, ((f, e), magnitude)) in found.iter().zip(&expected).zip(&magnitude).enumerate() {
                assert!((f - e).abs() <= gamma * magnitude, "{name} of {dtype}: element {i} is {f}, expected {e}");
            }
        }
    }
}

#[test]
fn axes_in_every_group() {
    tables().iter().for_each(check);
}

#[test]
fn windows_that_slide() {
    sliding().iter().for_each(check);
}

#[test]
fn operands_at_random() {
    at_random(3, 150).iter().for_each(check);
}

#[test]
fn convolutions_and_their_gradients() {
    for (number, convolution) in CONVOLUTIONS.iter().enumerate() {
        for Contraction { name, lhs, rhs, operands, expected } in convolution.contractions(number as u64) {
            let (_, magnitude) = products(&lhs, &rhs, &operands);
            let depth = lhs.columns.count() as f64;
            for dtype in [DType::F32, DType::F64] {
                let inputs = operands.each_ref().map(|operand| buffer(dtype, operand));
                let kernel =
                    Kernel::MatMul { dtype, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue: None };
                let found = values(&run(&kernel, &inputs, &[(dtype, expected.len())])[0]);
                for (i, ((f, e), magnitude)) in found.iter().zip(&expected).zip(&magnitude).enumerate() {
                    let allowed = (depth + 1.0) * unit(dtype) * magnitude;
                    assert!((f - e).abs() <= allowed, "{name} of {dtype}: element {i} is {f}, expected {e}");
                }
            }
        }
    }
}

/// What a run packs for several matrices is packed anew by the next run.
#[test]
fn operands_that_change_between_runs() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let [_, Contraction { lhs, rhs, .. }, _] = CONVOLUTIONS[9].contractions(3);
    let elements = ProductExtents::new(&lhs, &rhs).results();
    let kernel =
        Kernel::MatMul { dtype: DType::F32, lhs: lhs.clone(), rhs: rhs.clone(), padding: [None, None], epilogue: None };
    let mut compiled = pool.install(|| Compiled::new(&kernel));
    let mut found = [buffer(DType::F32, &vec![0.0; elements])];
    for seed in [1, 2] {
        let inputs =
            [(seed, &lhs), (seed + 7, &rhs)].map(|(seed, of)| buffer(DType::F32, &noise(seed, of.view().end())));
        pool.install(|| compiled.run(Operands { buffers: &own_buffers(&inputs), slots: &[0, 1] }, &mut found));
        assert!(values(&found[0]) == values(&run(&kernel, &inputs, &[(DType::F32, elements)])[0]), "seed {seed}");
    }
}

/// A right operand that is kept stays what it was, whatever its buffer holds by then, until it is said to have changed; with the bits of one that is
/// packed in each run.
#[test]
fn right_operands_that_are_kept() {
    let plain = [[4, 9, 17], [5, 300, 33], [16, 64, 256], [16, 1100, 70], [64, 256, 1024], [700, 130, 65]];
    let plain = plain.into_iter().flat_map(|[m, k, n]| {
        let lhs = Matrices {
            offset: 0,
            batch: Axes::strided(1, 0),
            rows: Axes::strided(m, k as isize),
            columns: Axes::strided(k, 1),
        };
        [[n, 1], [1, k]].map(|[row, column]| Product {
            name: format!("{m} x {k} x {n}, columns {column} apart"),
            lhs: lhs.clone(),
            rhs: Matrices {
                offset: 0,
                batch: Axes::strided(1, 0),
                rows: Axes::strided(k, row as isize),
                columns: Axes::strided(n, column as isize),
            },
        })
    });
    let cases: Vec<Product> = plain.chain(tables()).chain(sliding()).chain(at_random(9, 60)).collect();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let mut kept = 0;
        for Product { name, lhs, rhs } in &cases {
            let elements = ProductExtents::new(lhs, rhs).results();
            let kernel = Kernel::MatMul {
                dtype: DType::F32,
                lhs: lhs.clone(),
                rhs: rhs.clone(),
                padding: [None, None],
                epilogue: None,
            };
            for storage in [StorageType::F32, StorageType::Bf16] {
                let left = [1, 2].map(|seed| buffer(DType::F32, &noise(seed, lhs.view().end())));
                let right = [3, 4].map(|seed| buffer(storage, &noise(seed, rhs.view().end())));
                let expected = |left: &Elements, right: &Elements| {
                    pool.install(|| run(&kernel, &[left.clone(), right.clone()], &[(DType::F32, elements)])).remove(0)
                };
                let stored = Stored { inputs: &[StorageType::F32, storage], outputs: &[StorageType::F32] };
                let mut compiled = pool.install(|| Compiled::with_storage(&kernel, stored));
                let is_kept = compiled.keep_rhs();
                let mut found = |left: &Elements, right: &Elements, has_changed: bool| {
                    let mut found = [buffer(DType::F32, &vec![0.0; elements])];
                    if has_changed {
                        compiled.rhs_changed();
                    }
                    let operands = own_buffers(&[left.clone(), right.clone()]);
                    pool.install(|| compiled.run(Operands { buffers: &operands, slots: &[0, 1] }, &mut found));
                    let [found] = found;
                    values(&found)
                };
                let what = format!("{name} of {storage} on {threads} threads");
                let ([a, b], [c, d]) = (&left, &right);
                assert!(found(a, c, false) == values(&expected(a, c)), "{what}: at first");
                assert!(found(b, d, false) == values(&expected(b, if is_kept { c } else { d })), "{what}: kept");
                assert!(found(b, d, true) == values(&expected(b, d)), "{what}: changed");
                kept += usize::from(is_kept);
            }
        }
        assert!(kept >= 40, "{kept} of {} on {threads} threads", 2 * cases.len());
    }
}

/// Operands that are narrower than their values, one or both: what they hold is widened exactly, so a product is as near as of f32.
#[test]
fn narrow_operands() {
    let of_types = [
        [StorageType::F16, StorageType::F32],
        [StorageType::F32, StorageType::Bf16],
        [StorageType::Bf16, StorageType::F16],
    ];
    let convolutions = CONVOLUTIONS.iter().zip(7..).flat_map(|(convolution, seed)| convolution.contractions(seed));
    let convolutions = convolutions.map(|Contraction { name, lhs, rhs, .. }| Product { name, lhs, rhs });
    for Product { name, lhs, rhs } in tables().into_iter().chain(sliding()).chain(at_random(5, 100)).chain(convolutions)
    {
        let operands = [(1, &lhs), (2, &rhs)].map(|(seed, of)| noise(seed, of.view().end()));
        let k = ProductExtents::new(&lhs, &rhs).k as f64;
        for storage in of_types {
            let inputs = [0, 1].map(|side| buffer(storage[side], &operands[side]));
            let (expected, magnitude) = products(&lhs, &rhs, &inputs.each_ref().map(values));
            let kernel = Kernel::MatMul {
                dtype: DType::F32,
                lhs: lhs.clone(),
                rhs: rhs.clone(),
                padding: [None, None],
                epilogue: None,
            };
            let found = values(&run(&kernel, &inputs, &[(DType::F32, expected.len())])[0]);
            for (i, ((f, e), magnitude)) in found.iter().zip(&expected).zip(&magnitude).enumerate() {
                let allowed = (k + 1.0) * unit(DType::F32) * magnitude;
                assert!((f - e).abs() <= allowed, "{name} of {storage:?}: element {i} is {f}, expected {e}");
            }
        }
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let pools = [1, 2, 5].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool"));
    let large = CONVOLUTIONS[7..9].iter().flat_map(|convolution| convolution.contractions(5));
    let large = large.map(|Contraction { name, lhs, rhs, .. }| Product { name, lhs, rhs });
    for Product { name, lhs, rhs } in tables().into_iter().step_by(4).chain(large) {
        let operands = [(1, &lhs), (2, &rhs)].map(|(seed, of)| noise(seed, of.view().end()));
        let elements = ProductExtents::new(&lhs, &rhs).results();
        let kernel = Kernel::MatMul { dtype: DType::F32, lhs, rhs, padding: [None, None], epilogue: None };
        for storage in [StorageType::F32, StorageType::F16] {
            let inputs = operands.each_ref().map(|operand| buffer(storage, operand));
            let bits = |pool: &rayon::ThreadPool| -> Vec<u64> {
                let outputs = pool.install(|| run(&kernel, &inputs, &[(DType::F32, elements)]));
                values(&outputs[0]).iter().map(|x| x.to_bits()).collect()
            };
            let one = bits(&pools[0]);
            for pool in &pools[1..] {
                let threads = pool.current_num_threads();
                assert!(bits(pool) == one, "{name} of {storage}: other bits on {threads} threads");
            }
        }
    }
}
