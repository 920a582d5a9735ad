//! Functions of matrices and systems of equations at their edges: norms from 0 to past the largest, ranks that are not full, singular values that are
//! equal; and counts in bins. What PyTorch computes stands in the oracle's cases, and here where these do not say it.

use arenagrad::check::GradCheck;
use arenagrad::{DType, Device, Error, Expr, Graph, Session, Tape, Tensor};

use crate::suite::devices::everywhere;

/// The results for one input `a`.
fn of<const N: usize>(
    device: &Device,
    a: &Tensor,
    f: impl for<'g> Fn(Expr<'g>) -> [Expr<'g>; N],
) -> Result<[Vec<f64>; N], Error> {
    let graph = Graph::new();
    let results = f(graph.input_of("a", a.shape(), a.dtype()));
    let found = Session::evaluate(&graph, &results, device)?.run(&[("a", a)])?;
    Ok(std::array::from_fn(|place| found[place].to_f64_vec()))
}

fn is_near(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(x, y)| (x - y).abs() <= tolerance)
}

/// `a` times `[[0, 1], [-1, 0]]`, whose exponential is a rotation.
fn turns(angles: &[f64]) -> Tensor {
    Tensor::new([angles.len(), 2, 2], angles.iter().flat_map(|a| [0.0, *a, -a, 0.0]).collect::<Vec<f64>>()).unwrap()
}

#[test]
fn the_exponential_holds_for_norms_up_to_its_largest() {
    let angles = [0.0, 1e-3, 0.7, 1.0, 1.5, 2.0, 31.0, 500.0, 4096.0];
    for (device, dtype) in everywhere() {
        let [found] = of(&device, &turns(&angles).cast(dtype), |a| [a.matrix_exp()]).unwrap();
        let angle = |place: usize| if dtype == DType::F32 { f64::from(angles[place] as f32) } else { angles[place] };
        for (place, matrix) in found.chunks(4).enumerate() {
            let (sin, cos) = angle(place).sin_cos();
            // As many halvings as it takes double the error as often.
            let tolerance = if dtype == DType::F32 { 4e-7 } else { 1e-15 } * angle(place).max(1.0);
            assert!(is_near(matrix, &[cos, sin, -sin, cos], tolerance), "{device}, {dtype}, {place}: {matrix:?}");
        }
        let beyond = Tensor::new([1, 2, 2], vec![0.0, 5000.0, -5000.0, 0.0]).unwrap().cast(dtype);
        let [found] = of(&device, &beyond, |a| [a.matrix_exp()]).unwrap();
        assert!(found.iter().all(|x| x.is_nan()), "{device}: {found:?}");
        // What leaves the range by its last squaring does so alone.
        let exponent = if dtype == DType::F32 { 100.0 } else { 1000.0 };
        let large = Tensor::new([2, 2], vec![exponent, 0.0, 0.0, 0.0]).unwrap().cast(dtype);
        let [found] = of(&device, &large, |a| [a.matrix_exp()]).unwrap();
        assert_eq!(found, [f64::INFINITY, 0.0, 0.0, 1.0], "{device}, {dtype}");
    }
}

/// Matrices that need different numbers of squarings in one batch, one of which overflows where it is squared once more.
#[test]
fn gradients_of_the_exponential_are_those_of_central_differences() {
    let batch = vec![0.0, 0.0, 0.0, 0.0, 0.25, -0.5, 0.125, 0.25, 2.5, -1.0, 0.5, 1.75, -9.0, 3.0, 1.0, -5.0];
    let inputs = [Tensor::new([4, 2, 2], batch).unwrap()];
    let report = GradCheck::new().functions(|x| vec![x[0].matrix_exp()], &inputs).unwrap();
    assert!(report.passed(), "{report}");
    // e^60 squared is past f32, but no row of the batch needs that square.
    let large = Tensor::new([2, 2, 2], vec![60.0f32, 0.0, 0.0, 60.0, 0.5, 0.0, 0.0, -300.0]).unwrap();
    let [value, gradient] = of(&Device::cpu(), &large, |a| {
        let y = a.matrix_exp();
        let [gradient] = y.sum(..).grad([a]).unwrap();
        [y, gradient]
    })
    .unwrap();
    assert!((value[0] / 60f64.exp() - 1.0).abs() < 1e-5 && value[7] == 0.0, "{value:?}");
    assert!((gradient[0] / 60f64.exp() - 1.0).abs() < 1e-5 && gradient.iter().all(|x| x.is_finite()), "{gradient:?}");
}

#[test]
fn powers_of_integers_and_of_none_are_whole() {
    let a = Tensor::new([2, 2], vec![1, 1, 1, 0]).unwrap();
    for (device, _) in everywhere() {
        let [fibonacci, none, once] =
            of(&device, &a, |a| [a.matrix_power(30), a.matrix_power(0).matmul(a), a.matrix_power(1)]).unwrap();
        assert_eq!(fibonacci, [1_346_269.0, 832_040.0, 832_040.0, 514_229.0], "{device}");
        assert_eq!((none, once), (vec![1.0, 1.0, 1.0, 0.0], vec![1.0, 1.0, 1.0, 0.0]), "{device}");
    }
}

#[cfg(feature = "linear_algebra")]
#[test]
fn a_power_below_0_of_a_singular_matrix_is_an_error_of_the_run() {
    let singular = Tensor::new([2, 2], vec![1.0f64, 2.0, 2.0, 4.0]).unwrap();
    let error = of(&Device::cpu(), &singular, |a| [a.matrix_power(i32::MIN)]).unwrap_err();
    assert!(error.to_string().contains("singular"), "{error}");
}

/// PyTorch's solutions and gradients, of a tall matrix, a wide one, and one of rank 1 (by its driver `gelsd`).
#[cfg(feature = "linear_algebra")]
#[test]
fn least_squares_are_pytorchs() {
    let tall = Tensor::new([3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 7.0]).unwrap();
    let [x, of_a, of_b] = of(&Device::cpu(), &tall, |a| {
        let b = a.graph().literal([3], vec![1.0, -2.0, 0.5]);
        let x = a.lstsq(b, None);
        let [of_a, of_b] = (x * a.graph().literal([2], vec![1.0, -0.5])).sum(..).grad([a, b]).unwrap();
        [x, of_a, of_b]
    })
    .unwrap();
    assert!(is_near(&x, &[-3.5714285714285823, 2.5000000000000084], 1e-12), "{x:?}");
    let expected = [
        -12.938775510204083,
        9.089285714285706,
        -4.887755102040769,
        3.5178571428571086,
        6.23469387755107,
        -4.4285714285714635,
    ];
    assert!(is_near(&of_a, &expected, 1e-11), "{of_a:?}");
    assert!(is_near(&of_b, &[-2.821428571428571, 1.035714285714287, 0.1428571428571422], 1e-12), "{of_b:?}");
    let wide = Tensor::new([2, 3], vec![1.0, 3.0, 5.0, 2.0, 4.0, 7.0]).unwrap();
    let [x, of_a, of_b] = of(&Device::cpu(), &wide, |a| {
        let b = a.graph().literal([2, 1], vec![1.0, -2.0]);
        let x = a.lstsq(b, None);
        let [of_a, of_b] = (x * a.graph().literal([3, 1], vec![1.0, -0.5, 2.0])).sum(..).grad([a, b]).unwrap();
        [x, of_a, of_b]
    })
    .unwrap();
    assert!(is_near(&x, &[-5.071428571428571, 1.7857142857142947, 0.1428571428571374], 1e-12), "{x:?}");
    let expected = [
        -14.882653061224396,
        -7.61224489795916,
        7.979591836734708,
        11.607142857142758,
        5.071428571428567,
        -5.714285714285723,
    ];
    assert!(is_near(&of_a, &expected, 1e-11), "{of_a:?}");
    assert!(is_near(&of_b, &[-2.1785714285714235, 1.749999999999996], 1e-12), "{of_b:?}");
    let deficient = Tensor::new([3, 2], vec![1.0, 2.0, 2.0, 4.0, 3.0, 6.0]).unwrap();
    let [x] = of(&Device::cpu(), &deficient, |a| [a.lstsq(a.graph().literal([3], vec![1.0, 1.0, 0.0]), None)]).unwrap();
    assert!(is_near(&x, &[0.04285714285714286, 0.08571428571428567], 1e-14), "{x:?}");
    // A batch of vectors, and one vector for all.
    let batch = Tensor::new([2, 2, 2], vec![2.0, 0.0, 0.0, 4.0, 1.0, 0.0, 0.0, 0.5]).unwrap();
    let [each, all] = of(&Device::cpu(), &batch, |a| {
        let g = a.graph();
        [a.lstsq(g.literal([2, 2], vec![2.0, 4.0, 3.0, 1.0]), None), a.lstsq(g.literal([2], vec![1.0, 1.0]), None)]
    })
    .unwrap();
    assert!(is_near(&each, &[1.0, 1.0, 3.0, 2.0], 1e-14) && is_near(&all, &[0.5, 0.25, 1.0, 2.0], 1e-14));
}

/// Where singular values are equal their vectors are not determined; the pseudoinverse is, and its gradient.
#[cfg(feature = "linear_algebra")]
#[test]
fn gradients_of_the_pseudoinverse_need_no_singular_values_apart() {
    for matrix in [vec![2.0, 0.0, 0.0, 2.0, 0.0, 0.0], vec![1.0, 2.0, -2.0, 1.0, 0.5, -0.5]] {
        let inputs = [Tensor::new([3, 2], matrix).unwrap()];
        let report = GradCheck::new().functions(|x| vec![x[0].pinv(None)], &inputs).unwrap();
        assert!(report.passed(), "{report}");
    }
    let nothing = Tensor::new([2, 0, 3], Vec::<f64>::new()).unwrap();
    let graph = Graph::new();
    let inverse = graph.input_of("a", nothing.shape(), DType::F64).pinv(None);
    assert_eq!(inverse.shape().unwrap().dims(), [2, 3, 0]);
}

#[test]
fn counts_are_of_what_lies_within() {
    let x = Tensor::new([2, 3], vec![f64::NAN, 0.5, f64::INFINITY, -0.5, 2.0, 0.0]).unwrap();
    for (device, dtype) in everywhere() {
        let [bounded, unbounded] =
            of(&device, &x.cast(dtype), |x| [x.histc(2, 0.0, 2.0), x.histc(2, 0.0, 0.0)]).unwrap();
        assert_eq!((bounded, unbounded), (vec![2.0, 1.0], vec![0.0, 0.0]), "{device}, {dtype}");
        let labels = Tensor::new([6], vec![0, 2, 2, 1, 2, 4]).unwrap();
        let [counts, sums, computed] = of(&device, &labels, |labels| {
            let weights = labels.graph().literal([6], vec![0.5f32, 1.0, 2.0, -1.0, 0.25, 3.0]);
            // What is computed and out of range is not counted.
            [labels.bincount(6, None), labels.bincount(6, Some(weights)), (labels * 3 - 3).bincount(6, None)]
        })
        .unwrap();
        assert_eq!(counts, [1.0, 1.0, 3.0, 0.0, 1.0, 0.0], "{device}");
        assert_eq!(sums, [0.5, -1.0, 3.25, 0.0, 3.0, 0.0], "{device}");
        assert_eq!(computed, [1.0, 0.0, 0.0, 3.0, 0.0, 0.0], "{device}");
        let error = of(&device, &labels, |labels| [labels.bincount(4, None)]).unwrap_err();
        assert!(error.to_string().contains('4'), "{error}");
    }
    let graph = Graph::new();
    assert!(graph.literal([2], [0, 4]).bincount(4, None).check().is_err());
}

/// Each as a method of variables, with gradients where it has any.
#[test]
fn variables_have_them_too() {
    let tape = Tape::new(Device::cpu());
    let leaf = |shape: &[usize], data: &[f64]| tape.leaf(Tensor::new(shape, data.to_vec()).unwrap()).requires_grad();
    let data = |variable: arenagrad::Variable| variable.data().unwrap().to_f64_vec();
    let a = leaf(&[2, 2], &[2.0, 0.0, 0.0, 0.5]);
    let v = leaf(&[2], &[1.0, f64::INFINITY]);
    assert_eq!(data(a.matrix_power(3)), [8.0, 0.0, 0.0, 0.125]);
    assert!(is_near(&data(a.matrix_exp()), &[2f64.exp(), 0.0, 0.0, 0.5f64.exp()], 1e-14));
    assert_eq!(data(v.nan_to_num(None, Some(3.0), None)), [1.0, 3.0]);
    assert_eq!(
        data(tape.block_diag(&[&a, &v.nan_to_num(None, Some(3.0), None)])),
        [2.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0, 3.0]
    );
    assert_eq!(data(a.histc(2, 0.0, 1.0)), [2.0, 1.0]);
    let labels = tape.leaf(Tensor::new([2], vec![1, 1]).unwrap());
    let weights = leaf(&[2], &[0.5, 4.0]);
    assert_eq!(
        (data(labels.bincount(2, None)), data(labels.bincount(2, Some(&weights)))),
        (vec![0.0, 2.0], vec![0.0, 4.5])
    );
    let (anchor, positive, negative) =
        (leaf(&[1, 2], &[0.0, 0.0]), leaf(&[1, 2], &[1.0, 1.0]), leaf(&[1, 2], &[0.0, 2.5]));
    let loss = anchor.triplet_margin_with_distance_loss(
        &positive,
        &negative,
        |x, y| (x - y).abs().sum(-1),
        1.0,
        false,
        arenagrad::Reduction::Mean,
    );
    loss.backward().unwrap();
    assert_eq!((loss.item().unwrap(), positive.grad().unwrap().to_f64_vec()), (0.5, vec![1.0, 1.0]));
    if cfg!(feature = "linear_algebra") {
        let b = leaf(&[2, 1], &[4.0, 1.0]);
        assert!(is_near(&data(a.cholesky_solve(&b, false)), &[1.0, 4.0], 1e-14));
        assert!(is_near(&data(a.pinv(None)), &[0.5, 0.0, 0.0, 2.0], 1e-14));
        assert!(is_near(&data(a.lstsq(&b, None)), &[2.0, 2.0], 1e-14));
    }
}
