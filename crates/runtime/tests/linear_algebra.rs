//! Linear algebra on the CPU: decompositions of matrices of any kind, what a run says of a matrix without a result, and what it leaves.

use arenagrad::{DType, Device, Error, Expr, Graph, Session, Tensor};

use crate::suite::devices::gpu;

fn tensor(shape: &[usize], data: Vec<f64>, dtype: DType) -> Tensor {
    Tensor::new(shape.to_vec(), data).unwrap().cast(dtype)
}

/// The results for one input `a`.
fn of<const N: usize>(a: &Tensor, f: impl for<'g> Fn(Expr<'g>) -> [Expr<'g>; N]) -> Result<[Vec<f64>; N], Error> {
    let g = Graph::new();
    let x = g.input_of("a", a.shape(), a.dtype());
    let results = f(x);
    let mut session = Session::evaluate(&g, &results, &Device::cpu())?;
    let given = [("a", a)];
    let is_read = session.plan().buffers().iter().any(|b| matches!(b.role, arenagrad::plan::BufferRole::Input(_)));
    let found = session.run(if is_read { &given } else { &[] })?;
    Ok(std::array::from_fn(|place| found[place].to_f64_vec()))
}

/// Without the feature, what names it is the error; the other tests here need it.
#[cfg(not(feature = "linear_algebra"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let error = of(&tensor(&[2, 2], vec![1.0, 0.0, 0.0, 1.0], DType::F32), |a| [a.inv()]).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("inv of a") && error.to_string().contains("linear_algebra"), "{error}");
}

#[test]
fn a_gpu_says_what_it_cannot_compute() {
    let Some(gpu) = gpu() else { return };
    let g = Graph::new();
    let a = g.input("a", [3, 3]);
    let Err(error) = Session::evaluate(&g, &[a.cholesky().sum(..)], &gpu) else { panic!("it runs") };
    assert_eq!(
        error.to_string(),
        "cholesky of a: f32[3, 3]: this device cannot compute it: cholesky: a GPU has no kernel for it; run this part of the graph \
         in a session on the CPU (Device::cpu())"
    );
}

#[cfg(feature = "linear_algebra")]
mod computed {
    use arenagrad::{Init, MatrixFailure, Sgd, StorageType, Tape};

    use super::*;
    use crate::suite::random::Random;

    /// The largest difference of `product(l, r)`, `[rows, inner] x [inner, columns]`, from what is expected.
    fn off(l: &[f64], r: &[f64], inner: usize, columns: usize, expected: impl Fn(usize, usize) -> f64) -> f64 {
        let rows = l.len() / inner.max(1);
        let mut largest = 0.0f64;
        for row in 0..rows {
            for column in 0..columns {
                let sum: f64 = (0..inner).map(|k| l[row * inner + k] * r[k * columns + column]).sum();
                largest = largest.max((sum - expected(row, column)).abs());
            }
        }
        largest
    }

    fn transposed(x: &[f64], columns: usize) -> Vec<f64> {
        let rows = x.len() / columns;
        (0..x.len()).map(|place| x[place % rows * columns + place / rows]).collect()
    }

    fn identity(row: usize, column: usize) -> f64 {
        f64::from(u8::from(row == column))
    }

    /// Matrices of many kinds: random, of low rank, of zeros, diagonal, with equal singular values, graded over many magnitudes.
    fn matrices(rows: usize, columns: usize) -> Vec<Vec<f64>> {
        let mut random = Random((rows * 31 + columns) as u64);
        let count = rows * columns;
        let left = random.floats(rows, -1.0, 1.0);
        let right = random.floats(columns, -1.0, 1.0);
        let at = |place: usize| (place / columns, place % columns);
        let of = |element: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            (0..count).map(|place| element(at(place).0, at(place).1)).collect()
        };
        let full = random.floats(count, -1.0, 1.0);
        let scaled_rows = |scales: &[f64]| of(&|row, column| full[row * columns + column] * scales[row % scales.len()]);
        vec![
            random.floats(count, -1.0, 1.0),
            of(&|row, column| left[row] * right[column]),
            vec![0.0; count],
            vec![1.0; count],
            of(&identity),
            of(&|row, column| if row == column { 10f64.powi(-3 * row as i32) } else { 0.0 }),
            of(&|row, column| 1.0 / (row + column + 1) as f64),
            random.floats(count, -1.0, 1.0).iter().map(|x| x * 1e-30).collect(),
            // Rows whose squares vanish, or keep a few digits, beside an ordinary one.
            scaled_rows(&[1.0, 1e-155, 1e-165, 1e-300]),
            scaled_rows(&[1e-158, 1.0, 1e-161]),
            scaled_rows(&[1.0, 1e-160, 1e-161, 1e-162]),
            of(&|row, column| if row == column { [1.0, 1e-155, 1e-160][row % 3] } else { 0.0 }),
        ]
    }

    const SIZES: [(usize, usize); 9] = [(1, 1), (2, 2), (3, 3), (5, 2), (2, 5), (1, 6), (6, 1), (40, 40), (33, 17)];

    #[test]
    fn singular_vectors_are_orthonormal_and_give_the_matrix() {
        for (rows, columns) in SIZES {
            for (kind, data) in matrices(rows, columns).into_iter().enumerate() {
                let what = format!("{rows}x{columns}, kind {kind}");
                let largest = data.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                let k = rows.min(columns);
                for (dtype, epsilon) in [(DType::F64, 1e-13), (DType::F32, 2e-6)] {
                    let a = tensor(&[rows, columns], data.clone(), dtype);
                    let [u, s, vt, values] = of(&a, |a| [a.svd().0, a.svd().1, a.svd().2, a.svdvals()]).unwrap();
                    assert_eq!(s, values);
                    assert!(s.iter().all(|s| *s >= 0.0), "{what}: {s:?}");
                    assert!(s.windows(2).all(|pair| pair[0] >= pair[1] - epsilon * largest), "{what}: {s:?}");
                    assert!(off(&transposed(&u, k), &u, rows, k, identity) < epsilon, "{what}: U");
                    assert!(off(&vt, &transposed(&vt, columns), columns, k, identity) < epsilon, "{what}: V");
                    let scaled: Vec<f64> = u.iter().enumerate().map(|(place, x)| x * s[place % k]).collect();
                    // f32 has no digits of the smallest elements.
                    let given = a.to_f64_vec();
                    let error = off(&scaled, &vt, k, columns, |row, column| given[row * columns + column]);
                    assert!(error <= epsilon * (rows + columns) as f64 * largest, "{what}, {dtype}: {error:e}");
                }
            }
        }
    }

    /// Values far below the largest have digits and vectors of their own, and so have gradients that are made of them.
    #[test]
    fn small_singular_values_keep_their_vectors() {
        let diagonal = [1.0, 1e-155, 1e-160];
        let data: Vec<f64> = (0..9).map(|place| if place % 4 == 0 { diagonal[place / 4] } else { 0.0 }).collect();
        let a = tensor(&[3, 3], data, DType::F64);
        let [u, s, vt] = of(&a, |a| [a.svd().0, a.svd().1, a.svd().2]).unwrap();
        for (value, expected) in s.iter().zip(diagonal) {
            assert!((value / expected - 1.0).abs() < 1e-13, "{s:?}");
        }
        for place in 0..9 {
            let product = if place % 4 == 0 { 1.0 } else { 0.0 };
            assert!((u[place].abs() - product).abs() < 1e-13 && (vt[place] - u[place]).abs() < 1e-13, "{u:?}, {vt:?}");
        }
        let [gradient] = of(&a, |a| a.det().grad([a]).unwrap()).unwrap();
        // The product of the others, of which the first is near the end of the range.
        let cofactors = [1e-315, 1e-160, 1e-155];
        for (place, found) in gradient.iter().enumerate() {
            let expected = if place % 4 == 0 { cofactors[place / 4] } else { 0.0 };
            assert!((found - expected).abs() <= 1e-12 * expected.max(1e-300), "{gradient:?}");
        }
    }

    #[test]
    fn eigenvectors_are_orthonormal_and_give_the_matrix() {
        for n in [1, 2, 3, 7, 40] {
            for (kind, data) in matrices(n, n).into_iter().enumerate() {
                let what = format!("{n}, kind {kind}");
                // The upper triangle is not read, whatever stands there.
                let read = |row: usize, column: usize| data[row.max(column) * n + row.min(column)];
                let given: Vec<f64> =
                    (0..n * n).map(|place| if place % n > place / n { f64::MAX } else { data[place] }).collect();
                let largest = data.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                let a = tensor(&[n, n], given, DType::F64);
                let [w, v] = of(&a, |a| [a.tril(0).eigh().0, a.eigh().1]).unwrap();
                assert!(w.windows(2).all(|pair| pair[0] <= pair[1] + 1e-13 * largest), "{what}: {w:?}");
                assert!(off(&transposed(&v, n), &v, n, n, identity) < 1e-13, "{what}: V");
                let scaled: Vec<f64> = v.iter().enumerate().map(|(place, x)| x * w[place % n]).collect();
                let error = off(&scaled, &transposed(&v, n), n, n, read);
                assert!(error <= 1e-13 * n as f64 * largest, "{what}: {error:e}");
            }
        }
    }

    #[test]
    fn qr_of_any_matrix() {
        for (rows, columns) in SIZES {
            let mut kinds = matrices(rows, columns);
            for scale in [1e160, 1e-161, 1e300, 1e-300] {
                kinds.push(kinds[0].iter().map(|x| x * scale).collect());
            }
            for (kind, data) in kinds.into_iter().enumerate() {
                let (what, k) = (format!("{rows}x{columns}, kind {kind}"), rows.min(columns));
                let largest = data.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                let a = tensor(&[rows, columns], data.clone(), DType::F64);
                let [q, r] = of(&a, |a| [a.qr().0, a.qr().1]).unwrap();
                assert!(off(&transposed(&q, k), &q, rows, k, identity) < 1e-13, "{what}: Q");
                let is_upper = (0..k).all(|row| (0..row).all(|column| r[row * columns + column] == 0.0));
                assert!(is_upper && (0..k).all(|row| r[row * columns + row] >= -1e-14 * largest), "{what}: {r:?}");
                let error = off(&q, &r, k, columns, |row, column| data[row * columns + column]);
                assert!(error <= 1e-13 * (rows + columns) as f64 * largest, "{what}: {error:e}");
            }
        }
    }

    #[test]
    fn solutions_and_inverses_of_large_matrices_and_batches() {
        let mut random = Random(11);
        let (batch, n, k) = (70, 24, 3);
        let mut data = random.floats(batch * n * n, -1.0, 1.0);
        (0..batch * n).for_each(|row| data[row * n + row % n] += 6.0);
        let b = random.floats(batch * n * k, -1.0, 1.0);
        let g = Graph::new();
        let (a, rhs) = (g.input_of("a", [batch, n, n], DType::F64), g.input_of("b", [batch, n, k], DType::F64));
        let results = [a.solve(rhs), a.inv(), a.matmul(a.transpose(-2, -1)).cholesky()];
        let mut session = Session::evaluate(&g, &results, &Device::cpu()).unwrap();
        let given = [tensor(&[batch, n, n], data.clone(), DType::F64), tensor(&[batch, n, k], b.clone(), DType::F64)];
        let found = session.run(&[("a", &given[0]), ("b", &given[1])]).unwrap();
        let [x, inverse, lower] = [0, 1, 2].map(|place| found[place].to_f64_vec());
        for number in 0..batch {
            let part = |all: &[f64], size: usize| all[number * size..][..size].to_vec();
            let a = part(&data, n * n);
            let b = part(&b, n * k);
            assert!(off(&a, &part(&x, n * k), n, k, |row, column| b[row * k + column]) < 1e-13);
            assert!(off(&a, &part(&inverse, n * n), n, n, identity) < 1e-13);
            let lower = part(&lower, n * n);
            let squared = |row: usize, column: usize| (0..n).map(|i| a[row * n + i] * a[column * n + i]).sum();
            assert!(off(&lower, &transposed(&lower, n), n, n, squared) < 1e-12);
        }
        // The bits are those of a matrix by itself, which one thread computes.
        let first = |tensor: &Tensor, size: usize| tensor.to_f64_vec()[..size].to_vec();
        let alone = Graph::new();
        let (a, rhs) = (alone.input_of("a", [n, n], DType::F64), alone.input_of("b", [n, k], DType::F64));
        let mut single = Session::evaluate(&alone, &[a.solve(rhs), a.inv()], &Device::cpu()).unwrap();
        let given =
            [tensor(&[n, n], data[..n * n].to_vec(), DType::F64), tensor(&[n, k], b[..n * k].to_vec(), DType::F64)];
        let of_one = single.run(&[("a", &given[0]), ("b", &given[1])]).unwrap();
        assert_eq!(of_one[0].to_f64_vec(), first(&found[0], n * k));
        assert_eq!(of_one[1].to_f64_vec(), first(&found[1], n * n));
    }

    #[test]
    fn cofactors_of_regular_and_of_nearly_singular_matrices() {
        // From far from singular to singular: [[1, 2, 3], [2, 4 + d, 6], [1, 0, 1]], whose cofactors are linear in d.
        for d in [4.0, 1.0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-9, 0.0] {
            let matrix = tensor(&[3, 3], vec![1.0, 2.0, 3.0, 2.0, 4.0 + d, 6.0, 1.0, 0.0, 1.0], DType::F64);
            let [gradient] = of(&matrix, |a| a.det().grad([a]).unwrap()).unwrap();
            let expected = [4.0 + d, 4.0, -4.0 - d, -2.0, -2.0, 2.0, -3.0 * d, 0.0, d];
            for (found, expected) in gradient.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{d}: {gradient:?}");
            }
        }
    }

    #[test]
    fn determinants_of_singular_and_of_no_matrices() {
        let [det, gradient, sign, log] = of(&tensor(&[2, 3, 3], singular(), DType::F64), |a| {
            let [gradient] = a.det().sum(..).grad([a]).unwrap();
            [a.det(), gradient, a.slogdet().0, a.slogdet().1]
        })
        .unwrap();
        assert_eq!(det, [0.0, 0.0]);
        assert_eq!(sign, [0.0, 0.0]);
        assert_eq!(log, [f64::NEG_INFINITY; 2]);
        // The cofactors of [[1, 2, 3], [2, 4, 6], [1, 0, 1]], and those of a matrix of rank 1, which are 0.
        let expected = [4.0, 4.0, -4.0, -2.0, -2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-13, "{gradient:?}");
        }
        let empty = Tensor::new([2, 0, 0], Vec::<f64>::new()).unwrap();
        let [det, sign, log] = of(&empty, |a| [a.det(), a.slogdet().0, a.slogdet().1]).unwrap();
        assert_eq!((det, sign, log), (vec![1.0; 2], vec![1.0; 2], vec![0.0; 2]));
        // Where the determinant itself would overflow.
        let large = tensor(&[2, 2], vec![1e200, 0.0, 0.0, -1e200], DType::F64);
        let [sign, log] = of(&large, |a| [a.slogdet().0, a.slogdet().1]).unwrap();
        assert!(sign == [-1.0] && (log[0] - 400.0 * std::f64::consts::LN_10).abs() < 1e-11);
    }

    fn singular() -> Vec<f64> {
        vec![1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]
    }

    /// A batch `[2, 2, 2, 2]` whose third matrix is of zeros.
    fn batch() -> Tensor {
        let mut data: Vec<f64> = [2.0, 1.0, 1.0, 2.0].repeat(4);
        data[8..12].fill(0.0);
        tensor(&[2, 2, 2, 2], data, DType::F32)
    }

    #[test]
    fn a_run_names_op_operand_and_matrix() {
        let file = file!();
        let expect = |error: Error, line: u32, text: &str, reason: MatrixFailure| {
            assert!(
                matches!(&error, Error::Matrix { index, reason: r, .. } if *index == [1, 0] && *r == reason),
                "{error}"
            );
            assert_eq!(error.to_string(), format!("{file}:{line}: {text}"));
        };
        let line = line!() + 1;
        let error = of(&batch(), |a| [a.inv()]).unwrap_err();
        expect(error, line, "inv: a of shape [2, 2, 2, 2]: matrix [1, 0] is singular", MatrixFailure::Singular);
        let line = line!() + 1;
        let error = of(&batch(), |a| [a.solve(a) + 1.0]).unwrap_err();
        expect(error, line, "solve: a and a of shape [2, 2, 2, 2]: matrix [1, 0] is singular", MatrixFailure::Singular);
        let line = line!() + 1;
        let error = of(&batch(), |a| [a.cholesky()]).unwrap_err();
        let text = "cholesky: a of shape [2, 2, 2, 2]: matrix [1, 0] is not positive definite";
        expect(error, line, text, MatrixFailure::NotPositiveDefinite);
        let nan = tensor(&[2, 2], vec![1.0, 0.0, f64::NAN, 1.0], DType::F64);
        for error in [of(&nan, |a| [a.eigh().1]).unwrap_err(), of(&nan, |a| [a.svdvals()]).unwrap_err()] {
            assert!(error.to_string().ends_with("the matrix has elements that are not finite"), "{error}");
        }
        // PyTorch's solutions of a triangle with a 0 on its diagonal are infinite, and those of NaN are NaN.
        let zero = tensor(&[2, 2], vec![0.0, 0.0, 1.0, 1.0], DType::F64);
        let [x] = of(&zero, |a| [a.solve_triangular(a, false, true, false)]).unwrap();
        assert!(x[0].is_nan() && x[1].is_nan());
        let [det, inverse] = of(&nan, |a| [a.det(), a.inv()]).unwrap();
        assert!(det[0].is_nan() && inverse.iter().any(|x| x.is_nan()));
    }

    #[test]
    fn a_failed_run_changes_no_parameter_and_the_session_goes_on() {
        // The first parameter's update needs nothing of the second's gradient, so it may be made before that fails.
        let g = Graph::new();
        let a = g.input("a", [2, 2]);
        let parameters: Vec<Expr<'_>> =
            (0..4).map(|number| g.parameter(format!("p{number}"), [2, 2], Init::Constant(1.0))).collect();
        let last = a.matmul(parameters[3]) + a;
        let loss = parameters[..3].iter().fold(last.inv().sum(..), |loss, p| loss + (*p * a).square().sum(..));
        let mut session = Session::train(&g, loss, Sgd::new(0.1).momentum(0.9), Device::cpu()).unwrap();
        let good = tensor(&[2, 2], vec![2.0, 0.0, 1.0, 2.0], DType::F32);
        let bad = tensor(&[2, 2], vec![1.0, 1.0, 1.0, 1.0], DType::F32);
        session.step(&[("a", &good)]).unwrap();
        let names: Vec<String> = session.parameter_names().map(str::to_owned).collect();
        let values =
            |session: &Session| -> Vec<Tensor> { names.iter().map(|name| session.parameter(name).unwrap()).collect() };
        let before = values(&session);
        for _ in 0..2 {
            let error = session.step(&[("a", &bad)]).unwrap_err();
            assert!(matches!(error, Error::Matrix { op: "inv", reason: MatrixFailure::Singular, .. }), "{error}");
            assert_eq!(values(&session), before);
        }
        // What follows is what would have followed.
        session.step(&[("a", &good)]).unwrap();
        let mut other = Session::train(&g, loss, Sgd::new(0.1).momentum(0.9), Device::cpu()).unwrap();
        other.step(&[("a", &good)]).unwrap();
        other.step(&[("a", &good)]).unwrap();
        assert_eq!(values(&session), values(&other));
        assert_ne!(values(&session), before);
    }

    /// A next value that is written straight into its parameter.
    #[test]
    fn a_parameter_that_is_a_failed_solution_keeps_its_value() {
        let tape = Tape::new(Device::cpu());
        let a = tape.leaf(tensor(&[2, 2], vec![4.0, 2.0, 2.0, 3.0], DType::F64)).requires_grad();
        let l = a.cholesky();
        let log = (&l * 1.0).trace();
        log.backward().unwrap();
        assert!(a.grad().is_ok());
        let singular = tape.leaf(tensor(&[2, 2], vec![1.0; 4], DType::F64));
        let error = singular.inv().data().unwrap_err();
        assert!(matches!(error, Error::Matrix { .. }), "{error}");
        // The tape goes on.
        let (sign, value) = a.slogdet();
        assert_eq!(sign.item().unwrap(), 1.0);
        assert!((value.item().unwrap() - 8f64.ln()).abs() < 1e-14);
        let (u, s, vt) = a.svd();
        assert!((s.data().unwrap().to_f64_vec().iter().product::<f64>() - 8.0).abs() < 1e-13);
        assert_eq!(u.data().unwrap().shape(), vt.data().unwrap().shape());
        let product = tape.multi_dot(&[&a, &a.inv(), &a]);
        let found = product.data().unwrap().to_f64_vec();
        assert!(found.iter().zip([4.0, 2.0, 2.0, 3.0]).all(|(x, y)| (x - y).abs() < 1e-14));
        let covariance = a.cov(0.0, None, None);
        assert_eq!(covariance.data().unwrap().to_f64_vec(), [1.0, -0.5, -0.5, 0.25]);
    }

    #[test]
    fn a_jacobian_is_one_batch() {
        let a = tensor(&[2, 2], vec![3.0, 1.0, 1.0, 2.0], DType::F64);
        let [jacobian, inverse] = of(&a, |a| [a.inv().jacobian(a).unwrap(), a.inv()]).unwrap();
        for (place, found) in jacobian.iter().enumerate() {
            let [i, j, k, l] = [place / 8, place / 4 % 2, place / 2 % 2, place % 2];
            let expected = -inverse[i * 2 + k] * inverse[l * 2 + j];
            assert!((found - expected).abs() < 1e-15);
        }
    }

    #[test]
    fn parameters_of_narrow_types_and_views_are_read() {
        let g = Graph::new();
        let w = g.parameter_of("w", [2, 2], StorageType::F16, Init::Values(vec![1.0, 2.0, 3.0, 5.0]));
        let a = g.literal([2, 2], [1.0f32, 2.0, 3.0, 5.0]);
        let results = [w.inv(), a.t().inv().t(), a.flip(0).inv().flip(1)];
        let mut session = Session::evaluate(&g, &results, &Device::cpu()).unwrap();
        for found in session.run(&[]).unwrap() {
            let expected = [-5.0, 2.0, 3.0, -1.0];
            assert!(found.to_f64_vec().iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-5), "{found:?}");
        }
    }
}

/// The most elements that a plan stores between its steps in one buffer.
fn largest_slot(outputs: &[Expr<'_>]) -> usize {
    let session = Session::evaluate(outputs[0].graph(), outputs, &Device::cpu()).unwrap();
    let slots = session.plan().buffers().iter().filter(|buffer| buffer.role == arenagrad::plan::BufferRole::Slot);
    slots.map(|buffer| buffer.elements).max().unwrap_or(0)
}

/// Products that are summed, and differences that a distance is made of, are computed where they are needed.
#[test]
fn sums_of_products_and_distances_store_no_terms() {
    let g = Graph::new();
    let (m, n, d) = (20, 30, 50);
    let (i, j) = (g.input_of("i", [m, d], DType::I32), g.input_of("j", [d, n], DType::I32));
    assert_eq!(largest_slot(&[i.matmul(j)]), m * n);
    let (x, y) = (g.input("x", [m, d]), g.input("y", [n, d]));
    for p in [1.0, 2.0, 3.0, f64::INFINITY] {
        // Points may be copied or moved, but no differences of pairs stored.
        assert!(largest_slot(&[x.cdist(y, p)]) <= (m * n).max(n * d), "p = {p}");
    }
}
