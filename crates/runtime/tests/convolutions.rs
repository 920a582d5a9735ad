//! Convolutions over two axes, made of windows and a matrix product: the plan reads windows where they stand, in the forward product and in both
//! gradients, and what it gives is that of direct loops, of differences and of the gradients that a session derives.

use crate::suite::devices::gpu;
use crate::suite::evaluate::{Given, given};
use crate::suite::random::Random;
use crate::suite::run::numbers;
use arenagrad::{DType, Device, Expr, Graph, Session};

/// The extents of a convolution with the same numbers along both axes.
#[derive(Clone, Copy, Debug)]
struct Convolution {
    b: usize,
    c: usize,
    o: usize,
    size: [usize; 2],
    window: [usize; 2],
    step: usize,
    dilation: usize,
    padding: usize,
}

const CONVOLUTIONS: [Convolution; 4] = [
    Convolution { b: 2, c: 3, o: 4, size: [8, 9], window: [3, 3], step: 1, dilation: 1, padding: 1 },
    Convolution { b: 2, c: 2, o: 5, size: [11, 9], window: [3, 2], step: 2, dilation: 1, padding: 0 },
    Convolution { b: 1, c: 4, o: 3, size: [12, 12], window: [3, 3], step: 1, dilation: 2, padding: 2 },
    Convolution { b: 3, c: 1, o: 2, size: [20, 20], window: [4, 4], step: 2, dilation: 2, padding: 1 },
];

/// What a convolution is made of: its result, and its gradients for an upstream gradient, by contractions of their own.
struct Built<'g> {
    result: Expr<'g>,
    of_input: Expr<'g>,
    of_weights: Expr<'g>,
    /// The scalar whose gradients the others are.
    loss: Expr<'g>,
    input: Expr<'g>,
    weights: Expr<'g>,
}

impl Convolution {
    fn padded(&self) -> [usize; 2] {
        self.size.map(|extent| extent + 2 * self.padding)
    }

    fn output(&self) -> [usize; 2] {
        [0, 1].map(|a| (self.padded()[a] - (self.window[a] - 1) * self.dilation - 1) / self.step + 1)
    }

    fn build<'g>(&self, g: &'g Graph, dtype: DType) -> Built<'g> {
        let Convolution { b, c, o, size: [h, w], window: [kh, kw], step, dilation, padding } = *self;
        let ([oh, ow], [ph, pw], taps) = (self.output(), self.padded(), kh * kw);
        let input = g.input_of("input", [b, c, h, w], dtype);
        let weights = g.input_of("weights", [o, c, kh, kw], dtype);
        let upstream = g.input_of("upstream", [b, o, oh, ow], dtype);
        let around = [(0, 0), (0, 0), (padding, padding), (padding, padding)];
        let windows = input.pad(around, 0.0).windows([2, 3], [kh, kw], [step, step], [dilation, dilation]);
        let columns = windows.permute([0, 1, 4, 5, 2, 3]).reshape([b, c * taps, oh * ow]);
        let result = weights.reshape([o, c * taps]).matmul(columns).reshape([b, o, oh, ow]);

        // [o, b * oh * ow] x [b * oh * ow, c * kh * kw].
        let rows = upstream.permute([1, 0, 2, 3]).reshape([o, b * oh * ow]);
        let positions = windows.permute([0, 2, 3, 1, 4, 5]).reshape([b * oh * ow, c * taps]);
        let of_weights = rows.matmul(positions).reshape([o, c, kh, kw]);

        // Zeros between the elements of the upstream gradient and around them, and the weights reversed.
        let between = upstream
            .reshape([b, o, oh, 1, ow, 1])
            .pad([(0, 0), (0, 0), (0, 0), (0, step - 1), (0, 0), (0, step - 1)], 0.0);
        let between = between.reshape([b, o, oh * step, ow * step]);
        let between = between.slice(2, 0, (oh - 1) * step + 1).slice(3, 0, (ow - 1) * step + 1);
        let [before, beside] = [(kh - 1) * dilation, (kw - 1) * dilation];
        let [after, behind] = [ph - (oh - 1) * step - 1, pw - (ow - 1) * step - 1];
        let spread = between.pad([(0, 0), (0, 0), (before, after), (beside, behind)], 0.0);
        let windows = spread.windows([2, 3], [kh, kw], [1, 1], [dilation, dilation]);
        let columns = windows.permute([0, 1, 4, 5, 2, 3]).reshape([b, o * taps, ph * pw]);
        let reversed = weights.flip([2, 3]).permute([1, 0, 2, 3]).reshape([c, o * taps]);
        let of_input = reversed.matmul(columns).reshape([b, c, ph, pw]);
        let of_input = of_input.slice(2, padding, padding + h).slice(3, padding, padding + w);
        Built { result, of_input, of_weights, loss: (result * upstream).sum(..), input, weights }
    }

    fn given(&self, seed: u64) -> Given {
        let Convolution { b, c, o, size: [h, w], window: [kh, kw], .. } = *self;
        let [oh, ow] = self.output();
        let mut random = Random(seed);
        let mut numbers =
            |count: usize| (0..count).map(|_| f64::from((random.unit() * 4.0 - 2.0) as f32)).collect::<Vec<f64>>();
        given([
            ("input", numbers(b * c * h * w)),
            ("weights", numbers(o * c * kh * kw)),
            ("upstream", numbers(b * o * oh * ow)),
        ])
    }

    /// Result and gradients by direct loops.
    fn direct(&self, given: &Given) -> [Vec<f64>; 3] {
        let Convolution { b, c, o, size: [h, w], window: [kh, kw], step, dilation, padding } = *self;
        let [oh, ow] = self.output();
        let (input, weights, upstream) = (&given["input"], &given["weights"], &given["upstream"]);
        let mut result = vec![0.0; upstream.len()];
        let (mut of_input, mut of_weights) = (vec![0.0; input.len()], vec![0.0; weights.len()]);
        for place in 0..b * o * oh * ow {
            let (image, output, y, x) = (place / (o * oh * ow), place / (oh * ow) % o, place / ow % oh, place % ow);
            for tap in 0..c * kh * kw {
                let (channel, i, j) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                let (y, x) = (y * step + i * dilation, x * step + j * dilation);
                if y < padding || x < padding || y - padding >= h || x - padding >= w {
                    continue;
                }
                let at_input = ((image * c + channel) * h + y - padding) * w + x - padding;
                let at_weight = output * c * kh * kw + tap;
                result[place] += input[at_input] * weights[at_weight];
                of_input[at_input] += upstream[place] * weights[at_weight];
                of_weights[at_weight] += upstream[place] * input[at_input];
            }
        }
        [result, of_input, of_weights]
    }
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{what}: element {place} is {found}, expected {expected}");
    }
}

fn check_on(device: &Device, dtype: DType) {
    // Sums of at most 36 products of numbers up to 2, and of 192 for the weights.
    let tolerance = if dtype == DType::F64 { 1e-12 } else { 2e-4 };
    for (number, convolution) in CONVOLUTIONS.iter().enumerate() {
        let graph = Graph::new();
        let built = convolution.build(&graph, dtype);
        let derived = built.loss.grad([built.input, built.weights]).expect("a scalar of floats");
        let outputs = [built.result, built.of_input, built.of_weights, derived[0], derived[1]];
        let given = convolution.given(number as u64);
        let found = numbers(&graph, &outputs, &given, device);
        let [result, of_input, of_weights] = convolution.direct(&given);
        let expected = [&result, &of_input, &of_weights, &of_input, &of_weights];
        for ((found, expected), what) in found.iter().zip(expected).zip([
            "result",
            "of input",
            "of weights",
            "derived of input",
            "derived of weights",
        ]) {
            assert_close(found, expected, tolerance, &format!("{device} {dtype} {convolution:?}: {what}"));
        }
    }
}

#[test]
fn cpu_in_f64_and_f32() {
    check_on(&Device::cpu(), DType::F64);
    check_on(&Device::cpu(), DType::F32);
}

#[test]
fn gpu_in_f32() {
    let Some(device) = gpu() else { return };
    check_on(&device, DType::F32);
}

#[test]
fn gradients_are_those_of_differences() {
    const STEP: f64 = 1e-5;
    for (number, convolution) in CONVOLUTIONS.iter().enumerate() {
        let graph = Graph::new();
        let built = convolution.build(&graph, DType::F64);
        let mut given = convolution.given(number as u64);
        let gradients = numbers(&graph, &[built.of_input, built.of_weights], &given, &Device::cpu());
        for (name, gradient) in ["input", "weights"].into_iter().zip(gradients) {
            for place in (0..gradient.len()).step_by(gradient.len().div_ceil(9)) {
                let x = given[name][place];
                let mut at = |x: f64| {
                    given.get_mut(name).unwrap()[place] = x;
                    numbers(&graph, &[built.loss], &given, &Device::cpu())[0][0]
                };
                let difference = (at(x + STEP) - at(x - STEP)) / (2.0 * STEP);
                at(x);
                let (found, what) = (gradient[place], format!("{convolution:?}: {name} {place}"));
                assert!((found - difference).abs() <= 1e-6 * (1.0 + found.abs()), "{what}: {found}, {difference}");
            }
        }
    }
}

/// Neither the forward product nor a gradient copies windows: no step writes as many elements as they have.
#[test]
fn plans_hold_no_windows() {
    for convolution in CONVOLUTIONS {
        let graph = Graph::new();
        let built = convolution.build(&graph, DType::F32);
        let Convolution { b, c, o, window: [kh, kw], .. } = convolution;
        let ([oh, ow], [ph, pw]) = (convolution.output(), convolution.padded());
        for (output, of_windows) in [
            (built.result, b * c * kh * kw * oh * ow),
            (built.of_weights, b * c * kh * kw * oh * ow),
            (built.of_input, b * o * kh * kw * ph * pw),
        ] {
            let session = Session::evaluate(&graph, &[output], &Device::cpu()).expect("a plan");
            let plan = session.plan();
            let products = plan.steps().iter().filter(|step| step.kernel.starts_with("matmul")).count();
            assert_eq!(products, 1, "{convolution:?}\n{plan}");
            let largest = plan.buffers().iter().map(|buffer| buffer.elements).max();
            assert!(largest < Some(of_windows), "{convolution:?}: {largest:?} of {of_windows}\n{plan}");
            // What is left beside the product brings padding about, or takes it away.
            let others = plan.steps().iter().filter(|step| !step.kernel.starts_with("matmul"));
            let copies = others.filter(|step| step.fused.is_empty() && step.kernel.starts_with("elementwise")).count();
            assert!(copies <= 1, "{convolution:?}\n{plan}");
        }
    }
}
