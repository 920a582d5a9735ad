//! Fourier transforms against their definition, for lengths of every kind: of one product, of several, with a large prime factor. Derivatives stand in
//! the table of operators.

use arenagrad::{DType, Device, Expr, Graph, Session, Tensor};

use crate::suite::devices::everywhere;
use crate::suite::random::Random;

/// Of one matrix, of two and three, with primes that are factors, and with primes that are too large for that.
const LENGTHS: &[usize] = &[1, 2, 3, 8, 15, 61, 64, 65, 67, 96, 100, 122, 127, 134, 243, 400, 1009, 1024, 2187];

/// Real and imaginary parts.
type Complex = (Vec<f64>, Vec<f64>);

/// `sum_j x[j] e^(sign 2 pi i j k / n)` for the first `count` of k.
fn defined((real, imaginary): &Complex, sign: f64, count: usize) -> Complex {
    let n = real.len();
    let angles: Vec<(f64, f64)> =
        (0..n).map(|place| (sign * std::f64::consts::TAU * place as f64 / n as f64).sin_cos()).collect();
    let of = |k: usize| {
        let mut sum = (0.0, 0.0);
        for j in 0..n {
            let (sine, cosine) = angles[j * k % n];
            sum.0 += real[j] * cosine - imaginary[j] * sine;
            sum.1 += real[j] * sine + imaginary[j] * cosine;
        }
        sum
    };
    (0..count).map(of).unzip()
}

/// What a device computes of two inputs of one shape.
fn computed<const N: usize>(
    device: &Device,
    dtype: DType,
    shape: &[usize],
    (real, imaginary): &Complex,
    f: impl for<'g> Fn(Expr<'g>, Expr<'g>) -> [Expr<'g>; N],
) -> [Vec<f64>; N] {
    let graph = Graph::new();
    let inputs = ["real", "imaginary"].map(|name| graph.input_of(name, shape, dtype));
    let mut session = Session::evaluate(&graph, &f(inputs[0], inputs[1]), device).unwrap();
    let [real, imaginary] = [real, imaginary].map(|part| Tensor::new(shape, part.clone()).unwrap().cast(dtype));
    let found = session.run(&[("real", &real), ("imaginary", &imaginary)]).unwrap();
    std::array::from_fn(|place| found[place].to_f64_vec())
}

/// The largest distance over the largest magnitude.
fn distance(found: &[f64], expected: &[f64], scale: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max) / scale
}

fn scale((real, imaginary): &Complex) -> f64 {
    real.iter().zip(imaginary).map(|(real, imaginary)| real.hypot(*imaginary)).fold(1e-30, f64::max)
}

/// Numbers that f32 holds.
fn signal(n: usize) -> Complex {
    let mut random = Random(n as u64);
    let mut part = || random.spread(n, -1.0, 1.0).into_iter().map(|x| f64::from(x as f32)).collect();
    (part(), part())
}

#[test]
fn transforms_are_what_they_are_defined_to_be() {
    for (device, dtype) in everywhere() {
        let tolerance = if dtype == DType::F32 { 1.5e-6 } else { 4e-15 };
        for &n in LENGTHS {
            let x = signal(n);
            let spectrum = defined(&x, -1.0, n);
            let half = n / 2 + 1;
            let halved = defined(&(x.0.clone(), vec![0.0; n]), -1.0, half);
            let found = computed(&device, dtype, &[n], &x, |real, imaginary| {
                let forward = real.fft(imaginary, 0);
                let backward = forward.0.ifft(forward.1, 0);
                let of_real = real.rfft(0);
                [forward.0, forward.1, backward.0, backward.1, of_real.0, of_real.1, of_real.0.irfft(of_real.1, n, 0)]
            });
            let expected = [&spectrum.0, &spectrum.1, &x.0, &x.1, &halved.0, &halved.1, &x.0].map(Vec::as_slice);
            let scales = [scale(&spectrum), scale(&x), scale(&halved), scale(&x)];
            for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                let distance = distance(found, expected, scales[place / 2]);
                assert!(distance < tolerance, "{device}, {dtype}, length {n}, result {place}: {distance:e}");
            }
        }
    }
}

#[test]
fn rows_are_transformed_along_any_axis() {
    let x = signal(3 * 70 * 2);
    let row = |first: usize, last: usize| -> Complex {
        let of = |part: &[f64]| (0..70).map(|place| part[(first * 70 + place) * 2 + last]).collect();
        (of(&x.0), of(&x.1))
    };
    for (device, dtype) in everywhere() {
        let [real, imaginary] = computed(&device, dtype, &[3, 70, 2], &x, |real, imaginary| {
            let (real, imaginary) = real.fft(imaginary, -2);
            [real, imaginary].map(|part| part.transpose(1, 2))
        });
        for (number, (real, imaginary)) in real.chunks(70).zip(imaginary.chunks(70)).enumerate() {
            let expected = defined(&row(number / 2, number % 2), -1.0, 70);
            let furthest = distance(real, &expected.0, 1.0).max(distance(imaginary, &expected.1, 1.0));
            assert!(furthest < if dtype == DType::F32 { 2e-5 } else { 1e-13 }, "{device}: {furthest:e}");
        }
        // An axis of one element and rows of which there are none.
        let [alone, empty @ ..] = computed(&device, dtype, &[4], &signal(4), |real, imaginary| {
            let column = real.unsqueeze(1);
            let nothing = real.broadcast_to([3, 4]).slice(0, 0, 0);
            let window = real.graph().hann_window(4, true, dtype);
            let spectra = nothing.stft(window, 1, true);
            [
                column.fft(imaginary.unsqueeze(1), 1).1,
                nothing.rfft(1).0,
                nothing.ifft(nothing, 1).1,
                nothing.irfft(nothing, 5, 1),
                spectra.1,
                spectra.0.istft(spectra.1, window, 1, true, None),
            ]
        });
        assert_eq!(distance(&alone, &signal(4).1, 1.0), 0.0);
        assert!(empty.iter().all(Vec::is_empty));
    }
}

/// PyTorch 2.15: `torch.fft.irfft(X, n)` of `X = [1+5j, -2+0.5j, 3-1j, 0.25+2j]`.
#[test]
fn halves_of_spectra_are_cut_and_filled_up_as_in_pytorch() {
    let half = (vec![1.0, -2.0, 3.0, 0.25], vec![5.0, 0.5, -1.0, 2.0]);
    let expected: [(usize, &[f64]); 4] = [
        (1, &[1.0]),
        (4, &[0.0, -0.75, 2.0, -0.25]),
        (5, &[0.6, -0.9731311910919365, 0.7200543317733387, 1.7160136457264508, -1.0629367864078536]),
        (
            9,
            &[
                0.38888888888888884,
                -0.3788402694749119,
                -0.26882380962292085,
                -0.2331195790392573,
                0.44592668489122206,
                1.5774149021882224,
                0.34423069015036845,
                -0.9717869537955617,
                0.09610944581394987,
            ],
        ),
    ];
    for (device, dtype) in everywhere() {
        for (n, expected) in expected {
            let [found] = computed(&device, dtype, &[4], &half, |real, imaginary| [real.irfft(imaginary, n, 0)]);
            let tolerance = if dtype == DType::F32 { 5e-7 } else { 1e-15 };
            assert!(distance(&found, expected, 1.0) < tolerance, "{device}, {n}: {found:?}");
        }
    }
}

/// PyTorch 2.15: `torch.stft(x, 4, 3, window=w, center=..)`, `torch.istft(S, 4, 2, window=w, center=.., length=..)`, and with five elements of w.
#[test]
fn windows_of_a_signal_are_those_of_pytorch() {
    let x = (vec![0.5, -1.0, 2.0, 0.25, -0.75, 1.5, 3.0, -2.0, 0.125], vec![0.0; 9]);
    let spectra =
        (vec![1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 1.0, -1.0, 0.5], vec![1.0, 0.0, 0.0, 0.5, -1.0, 0.25, 0.0, 0.0, 3.0]);
    for (device, dtype) in everywhere() {
        let tolerance = if dtype == DType::F32 { 2e-6 } else { 1e-14 };
        let near = |found: &[f64], expected: &[f64]| {
            assert!(distance(found, expected, 1.0) < tolerance, "{device}, {dtype}: {found:?}");
        };
        let [real, imaginary, shorter] = computed(&device, dtype, &[9], &x, |x, _| {
            let (real, imaginary) = x.stft(window(x, 4), 3, true);
            [real, imaginary, x.stft(window(x, 4), 3, false).0]
        });
        near(&real, &[-0.625, 1.5625, 2.5625, -0.375, 0.125, -0.4375, -2.4375, 1.0, 2.375, -1.6875, 1.5625, -3.625]);
        near(&imaginary, &[0.0, 0.0, 0.0, 0.0, 0.5, -2.375, -2.5, 1.375, 0.0, 0.0, 0.0, 0.0]);
        near(&shorter, &[0.75, 1.9375, -1.375, -1.0625, 2.5, 0.4375]);
        let found = computed(&device, dtype, &[3, 3], &spectra, |real, imaginary| {
            let signal = |n, is_centered, length| real.istft(imaginary, window(real, n), 2, is_centered, length);
            [
                signal(4, true, None),
                signal(4, true, Some(5)),
                signal(4, false, None),
                signal(4, false, Some(10)),
                signal(5, true, Some(7)),
            ]
        });
        let whole = [2.0, -0.25, 0.9, 1.1, 0.45, 0.5, -1.0 / 6.0, 1.5, 0.0, 0.0];
        near(&found[0], &whole[2..6]);
        near(&found[1], &whole[2..7]);
        near(&found[2], &whole[..8]);
        near(&found[3], &whole);
        near(
            &found[4],
            &[
                0.40725969674978124,
                1.1585745008978052,
                0.6562601506483422,
                -0.20496128477119072,
                1.2999443910965227,
                -2.1357989818998107,
                2.9717163020109036,
            ],
        );
    }
}

/// The first elements of a window, as constants beside an expression.
fn window<'g>(beside: Expr<'g>, n: usize) -> Expr<'g> {
    let elements = &[0.25f32, 1.0, 0.75, 0.5, 0.5][..n];
    beside.graph().literal([n], elements).cast(beside.dtype().unwrap())
}

/// PyTorch 2.15: `torch.hann_window(5)`, `hamming_window(4, periodic=False)`, `blackman_window(3)`, and what these are of one element and of none.
#[test]
fn windows_are_those_of_pytorch() {
    for (device, dtype) in everywhere() {
        let graph = Graph::new();
        let windows = [
            graph.hann_window(5, true, dtype),
            graph.hamming_window(4, false, dtype),
            graph.blackman_window(3, true, dtype),
            graph.hann_window(1, false, dtype),
            graph.hann_window(0, true, dtype),
            graph.hann_window(2, false, dtype),
            graph.blackman_window(1, true, dtype),
        ];
        let found = Session::evaluate(&graph, &windows, &device).unwrap().run(&[]).unwrap();
        let expected: [&[f64]; 7] = [
            &[0.0, 0.3454915028125263, 0.9045084971874737, 0.9045084971874737, 0.3454915028125263],
            &[0.08, 0.77, 0.77, 0.08],
            &[0.0, 0.63, 0.63],
            &[1.0],
            &[],
            &[0.0, 0.0],
            &[1.0],
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(distance(&found.to_f64_vec(), expected, 1.0) < 1e-7, "{device}: {found}");
        }
    }
}

/// What is behind a signal's middle is given back by the windows' transforms, whatever the windows are.
#[test]
fn a_signal_comes_back_from_its_windows() {
    let x = signal(130);
    for (device, dtype) in everywhere() {
        for (n, hop, is_centered) in [(16, 4, true), (15, 5, true), (64, 17, true), (33, 11, false), (8, 8, false)] {
            let [back, known] = computed(&device, dtype, &[130], &x, |real, _| {
                let window = real.graph().hamming_window(n, true, dtype);
                let spectra = real.stft(window, hop, is_centered);
                let length = (!is_centered).then_some(140);
                let back = spectra.0.istft(spectra.1, window, hop, is_centered, length);
                [back, spectra.0]
            });
            let frames = known.len() / (n / 2 + 1);
            let covered = (frames - 1) * hop + n - if is_centered { 2 * (n / 2) } else { 0 };
            assert_eq!(back.len(), if is_centered { covered } else { 140 });
            let covered = covered.min(130);
            let furthest = distance(&back[..covered], &x.0[..covered], 1.0);
            assert!(furthest < if dtype == DType::F32 { 5e-6 } else { 1e-14 }, "{device}, {n}, {hop}: {furthest:e}");
            assert!(back.iter().skip(130).all(|element| *element == 0.0 || is_centered), "{back:?}");
        }
    }
}
