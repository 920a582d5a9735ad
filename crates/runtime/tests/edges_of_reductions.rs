//! Reductions of infinite, vast and tiny elements, of zeros and of too few: values, and gradients that both modes agree on. They are
//! PyTorch's, but where a comment says otherwise.

use arenagrad::{DType, Expr, Graph, GraphError};

use crate::suite::devices::{devices, everywhere};
use crate::suite::evaluate::Given;
use crate::suite::run::numbers;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Holds value and gradient of a function of a vector to what is expected, and its tangent along all of the vector to the gradient's sum.
#[track_caller]
fn check(what: &str, function: impl for<'g> Fn(Expr<'g>) -> Expr<'g>, x: &[f64], value: &[f64], slopes: &[f64]) {
    for (device, dtype) in everywhere() {
        let g = Graph::new();
        let operand = g.input_of("x", [x.len()], dtype);
        let y = function(operand);
        let [gradient] = y.sum(..).grad([operand]).unwrap_or_else(|error| panic!("{what}: {error}"));
        let tangent = g.jvp(&[y.sum(..)], &[operand], &[operand.ones_like()]).expect("a tangent")[0];
        let given = Given::from([("x".to_owned(), x.to_vec())]);
        let found = numbers(&g, &[y, gradient, tangent], &given, &device);
        let tolerance = if dtype == DType::F64 { 1e-13 } else { 4e-6 };
        let agrees = |f: f64, e: f64| f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= tolerance * e.abs();
        let along: f64 = slopes.iter().sum();
        let mut pairs = vec![(&found[0], value), (&found[1], slopes)];
        // Nothing moves where there are no elements.
        if !x.is_empty() {
            pairs.push((&found[2], std::slice::from_ref(&along)));
        }
        for (found, expected) in pairs {
            let agree = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| agrees(*f, *e));
            assert!(agree, "{device}, {dtype}: {what} of {x:?}: {found:?}, not {expected:?}");
        }
    }
}

#[test]
fn norms_of_negative_orders() {
    let cases: &[(f64, &[f64], f64, &[f64])] = &[
        (-1.0, &[1.0, -2.0, 3.0], 6.0 / 11.0, &[36.0 / 121.0, -9.0 / 121.0, 4.0 / 121.0]),
        (
            -2.0,
            &[1.0, -2.0, 3.0],
            6.0 / 7.0,
            &[0.629_737_609_329_446, -0.078_717_201_166_180_75, 0.023_323_615_160_349_85],
        ),
        (
            -0.5,
            &[2.0, -2.0, 5.0],
            0.288_607_696_275_508_7,
            &[0.054_817_202_563_066_25, -0.054_817_202_563_066_25, 0.013_867_777_204_648_737],
        ),
        (-INF, &[2.0, -2.0, 5.0], 2.0, &[0.5, -0.5, 0.0]),
        (-INF, &[INF, -INF], INF, &[0.5, -0.5]),
        // One element of 0 is all that counts.
        (-1.0, &[1.0, 0.0, 3.0], 0.0, &[0.0; 3]),
        (-3.0, &[0.0, 0.0], 0.0, &[0.0; 2]),
        (-2.0, &[-INF, 0.0], 0.0, &[0.0; 2]),
        (-INF, &[1.0, 0.0], 0.0, &[0.0; 2]),
        (-1.0, &[1.0, INF], 1.0, &[1.0, 0.0]),
        (-2.0, &[INF, -INF], INF, &[NAN; 2]),
        (-1.0, &[1.0, NAN], NAN, &[NAN; 2]),
        (-2.0, &[0.0, NAN], NAN, &[NAN; 2]),
        // PyTorch has no slope here.
        (-INF, &[1.0, NAN], NAN, &[NAN; 2]),
        // Powers of these leave the range of either dtype, and PyTorch gives 0, infinity and NaN.
        (-30.0, &[1e-20, 1e-20], 1e-20 * 2f64.powf(-1.0 / 30.0), &[2f64.powf(-31.0 / 30.0); 2]),
        (-30.0, &[1e20, -1e20], 1e20 * 2f64.powf(-1.0 / 30.0), &[2f64.powf(-31.0 / 30.0), -2f64.powf(-31.0 / 30.0)]),
    ];
    for &(p, x, norm, slopes) in cases {
        check(&format!("the norm of order {p}"), |x| x.norm(p, ..), x, &[norm], slopes);
        check(&format!("the vector norm of order {p}"), |x| x.vector_norm(p, 0), x, &[norm], slopes);
    }
    check(
        "lengths of pairs",
        |x| x.reshape([2, 2]).norm(-1.0, 1),
        &[1.0, 1.0, 0.0, 4.0],
        &[0.5, 0.0],
        &[0.25, 0.25, 0.0, 0.0],
    );
}

#[test]
fn norms_of_negative_orders_over_nothing_are_refused() {
    for p in [-1.0, -INF] {
        let g = Graph::new();
        let _ = g.input("x", [2, 0]).norm(p, 1);
        let error = g.take_error().expect("no smallest of no elements");
        assert!(matches!(error, GraphError::EmptyAxis { .. }) && error.to_string().contains("norm"), "{error}");
        let none = g.input("none", [0, 2]).norm(p, 1);
        assert_eq!(none.shape().unwrap().dims(), [0]);
    }
}

/// The largest finite number counts for nothing beside an infinite one.
#[test]
fn logarithms_of_sums_beside_infinities() {
    let all = |x: &[f64], value: f64, slopes: &[f64]| {
        check("logsumexp", |x| x.logsumexp(..), x, &[value], slopes);
    };
    all(&[1.0, INF, 2.0], INF, &[0.0, NAN, 0.0]);
    all(&[1000.0, INF, 1e30], INF, &[0.0, NAN, 0.0]);
    all(&[INF, INF], INF, &[NAN, NAN]);
    all(&[-INF, -INF], -INF, &[NAN, NAN]);
    all(&[-INF, 1.0], 1.0, &[0.0, 1.0]);
    all(&[INF, -INF], INF, &[NAN, 0.0]);
    all(&[NAN, 1.0, INF], NAN, &[NAN; 3]);
    let (largest, least) = (f64::from(f32::MAX), f64::from(f32::MIN));
    all(&[largest, least], largest, &[1.0, 0.0]);
    all(&[least, least], least, &[0.5, 0.5]);
}

/// There is nothing to derive by, so every tangent is 0, and no quotient of two of them.
#[test]
fn logarithms_of_sums_of_nothing() {
    for (device, dtype) in everywhere() {
        let g = Graph::new();
        let x = g.input_of("x", [3, 0], dtype);
        let y = x.logsumexp(1);
        let tangent = y.jvp(x, x.ones_like()).unwrap();
        let of_tangent = tangent.sum(..).grad(x).unwrap();
        let given = Given::from([("x".to_owned(), vec![])]);
        let found = numbers(&g, &[y, tangent, of_tangent], &given, &device);
        assert_eq!(found, [vec![-INF; 3], vec![0.0; 3], vec![]], "{device}, {dtype}");
    }
}

#[test]
fn logarithms_of_cumulative_sums_beside_infinities() {
    let along = |x: &[f64], value: &[f64], slopes: &[f64]| {
        check("logcumsumexp", |x| x.logcumsumexp(0), x, value, slopes);
    };
    along(&[1.0, INF, 2.0], &[1.0, INF, INF], &[1.0, NAN, 0.0]);
    along(&[1.0, INF, 1000.0], &[1.0, INF, INF], &[1.0, NAN, 0.0]);
    along(&[INF, -INF], &[INF, INF], &[NAN, 0.0]);
    along(&[1.0, -INF, INF, INF, -INF], &[1.0, 1.0, INF, INF, INF], &[2.0, 0.0, NAN, NAN, 0.0]);
    let (two, share) = (2.313_261_687_518_223, 0.268_941_421_369_995_1);
    let slopes = [NAN, NAN, 2.0 + share, 0.0, 1.0 - share];
    along(&[-INF, -INF, 1.0, -INF, 2.0], &[-INF, -INF, 1.0, 1.0, two], &slopes);
    along(&[1.0, NAN, 2.0], &[1.0, NAN, NAN], &[NAN; 3]);
}

/// What is divided by no degrees of freedom is infinite, and of a single point it is 0 / 0.
#[test]
fn spreads_without_degrees_of_freedom() {
    for correction in [2.0, 3.0, 5.5] {
        // PyTorch gives both slopes of the variance one sign, and those of the deviation none.
        check("var", |x| x.var(.., correction), &[1.0, 2.0], &[INF], &[-INF, INF]);
        check("std", |x| x.std(.., correction), &[1.0, 2.0], &[INF], &[-INF, INF]);
        check("var", |x| x.var(.., correction), &[1.0, 1.0], &[NAN], &[NAN; 2]);
        check("std", |x| x.std(.., correction), &[1.0, 1.0], &[NAN], &[NAN; 2]);
    }
    for correction in [1.0, 2.0] {
        check("var", |x| x.var(.., correction), &[3.0], &[NAN], &[NAN]);
        check("std", |x| x.std(.., correction), &[3.0], &[NAN], &[NAN]);
    }
    check("var", |x| x.var(.., 0.0), &[], &[NAN], &[]);
    check("std", |x| x.std(.., 1.0), &[], &[NAN], &[]);
}

#[test]
fn no_median_of_no_elements() {
    for is_without_nan in [false, true] {
        let g = Graph::new();
        let x = g.input("x", [2, 0]);
        let _ = if is_without_nan { x.nanmedian(1) } else { x.median(1) };
        let error = g.take_error().expect("no median");
        assert!(matches!(error, GraphError::EmptyAxis { .. }) && error.to_string().contains("median"), "{error}");
    }
}

/// Sums of products of integers wrap.
#[test]
fn products_of_matrices_of_integers() {
    for device in devices() {
        let g = Graph::new();
        let a = g.input_of("a", [2, 3], DType::I32);
        let b = g.literal([3, 2], [1, 0, -1, 2, 1 << 30, 4]);
        let results = [
            g.multi_dot(&[a, b, a]),
            g.multi_dot(&[g.literal([3], [1, -1, 2]), b, g.literal([2], [5, 7])]),
            a.matmul_with(a, false, true),
            a.matmul_with(a, true, false),
            b.matmul_with(a, true, true),
            a.tensordot(b, [1], [0]),
            a.tensordot(b, [0, 1], [1, 0]),
        ];
        g.check().expect("no mistake");
        let given = Given::from([("a".to_owned(), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
        let found = numbers(&g, &results, &given, &device);
        let vast = f64::from(1 << 30);
        let three = [vast - 2_147_483_585.0, -2_147_483_570.0, vast + 93.0, -2_147_483_513.0, 168.0, -2_147_483_447.0];
        assert_eq!(found[0], three, "{device}");
        assert_eq!(found[1], [f64::from(i32::MIN) + 52.0], "{device}");
        assert_eq!(found[2], [14.0, 32.0, 32.0, 77.0], "{device}");
        assert_eq!(found[3], [17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0], "{device}");
        assert_eq!(found[4], [-vast - 1.0, f64::from(i32::MAX), 16.0, 34.0], "{device}");
        assert_eq!(found[5], [-vast - 1.0, 16.0, f64::from(i32::MAX), 34.0], "{device}");
        assert_eq!(found[6], [-vast + 33.0], "{device}");
    }
}
