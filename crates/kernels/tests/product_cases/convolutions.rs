//! Convolutions over two axes as matrix products of windows, without a column matrix, and both their gradients, with what direct loops give in
//! f64.
//!
//! The input `[b, groups * c, h, w]` is padded beforehand, the weights are `[groups * o, c, kh, kw]`, the result
//! `[b, groups * o, oh, ow]`.

use arenagrad_kernels::{Axes, Axis, Matrices};

use super::super::reference::noise;

/// A product, its operands' elements, and what it must give.
pub(crate) struct Contraction {
    pub(crate) name: String,
    pub(crate) lhs: Matrices,
    pub(crate) rhs: Matrices,
    pub(crate) operands: [Vec<f64>; 2],
    pub(crate) expected: Vec<f64>,
}

/// The extents of a convolution; both axes have the same kinds of numbers, the first for the height.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    b: usize,
    groups: usize,
    /// Channels of the input and the result in each group.
    c: usize,
    o: usize,
    size: [usize; 2],
    window: [usize; 2],
    step: [usize; 2],
    dilation: [usize; 2],
}

pub(crate) const CONVOLUTIONS: [Convolution; 11] = [
    Convolution { b: 1, groups: 1, c: 1, o: 1, size: [5, 6], window: [3, 3], step: [1, 1], dilation: [1, 1] },
    Convolution { b: 2, groups: 1, c: 3, o: 4, size: [9, 11], window: [3, 2], step: [1, 1], dilation: [1, 1] },
    Convolution { b: 2, groups: 1, c: 3, o: 8, size: [16, 18], window: [5, 5], step: [2, 2], dilation: [1, 1] },
    Convolution { b: 2, groups: 2, c: 3, o: 5, size: [12, 13], window: [3, 3], step: [2, 1], dilation: [1, 2] },
    // Depthwise: a channel each.
    Convolution { b: 2, groups: 6, c: 1, o: 1, size: [14, 14], window: [3, 3], step: [1, 1], dilation: [1, 1] },
    Convolution { b: 1, groups: 3, c: 2, o: 2, size: [17, 19], window: [2, 3], step: [3, 2], dilation: [2, 3] },
    // 1 x 1, and a window as large as the input.
    Convolution { b: 3, groups: 1, c: 8, o: 16, size: [7, 7], window: [1, 1], step: [2, 2], dilation: [1, 1] },
    Convolution { b: 2, groups: 1, c: 16, o: 33, size: [28, 28], window: [5, 5], step: [1, 1], dilation: [1, 1] },
    // Lines of results as long as a vector or a whole part of one, of several images with the same weights, sums of several blocks.
    Convolution { b: 3, groups: 1, c: 9, o: 60, size: [18, 18], window: [3, 3], step: [1, 1], dilation: [1, 1] },
    Convolution { b: 5, groups: 1, c: 7, o: 11, size: [10, 10], window: [3, 3], step: [1, 1], dilation: [1, 1] },
    Convolution { b: 4, groups: 2, c: 5, o: 9, size: [6, 6], window: [3, 3], step: [1, 1], dilation: [1, 1] },
];

fn axes(pairs: &[(usize, usize)]) -> Axes {
    Axes::new(pairs.iter().map(|&(extent, stride)| Axis { extent, stride: stride as isize }))
}

impl Convolution {
    /// The extents of the result.
    fn output(&self) -> [usize; 2] {
        [0, 1].map(|a| (self.size[a] - (self.window[a] - 1) * self.dilation[a] - 1) / self.step[a] + 1)
    }

    fn input_at(&self, b: usize, channel: usize, [y, x]: [usize; 2]) -> usize {
        ((b * self.groups * self.c + channel) * self.size[0] + y) * self.size[1] + x
    }

    fn result_at(&self, b: usize, channel: usize, [y, x]: [usize; 2]) -> usize {
        let [oh, ow] = self.output();
        ((b * self.groups * self.o + channel) * oh + y) * ow + x
    }

    fn weight_at(&self, output: usize, c: usize, [i, j]: [usize; 2]) -> usize {
        ((output * self.c + c) * self.window[0] + i) * self.window[1] + j
    }

    /// Calls `visit` with the places of result, input and weight of each product.
    fn for_each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [oh, ow] = self.output();
        for b in 0..self.b {
            for output in 0..self.groups * self.o {
                let group = output / self.o;
                for place in (0..oh * ow).map(|p| [p / ow, p % ow]) {
                    for c in 0..self.c {
                        for w in (0..self.window[0] * self.window[1]).map(|w| [w / self.window[1], w % self.window[1]])
                        {
                            let at = [0, 1].map(|a| place[a] * self.step[a] + w[a] * self.dilation[a]);
                            visit(
                                self.result_at(b, output, place),
                                self.input_at(b, group * self.c + c, at),
                                self.weight_at(output, c, w),
                            );
                        }
                    }
                }
            }
        }
    }

    /// The forward product, the gradient of the input and that of the weights.
    pub(crate) fn contractions(&self, seed: u64) -> [Contraction; 3] {
        let Convolution { b, groups, c, o, size: [h, w], window: [kh, kw], step, dilation } = *self;
        let [oh, ow] = self.output();
        let taps = kh * kw;
        let round = |values: Vec<f64>| values.into_iter().map(|x| f64::from(x as f32)).collect::<Vec<f64>>();
        let input = round(noise(seed, b * groups * c * h * w));
        let weights = round(noise(seed + 1, groups * o * c * taps));
        let upstream = round(noise(seed + 2, b * groups * o * oh * ow));
        let (mut result, mut of_input, mut of_weights) =
            (vec![0.0; upstream.len()], vec![0.0; input.len()], vec![0.0; weights.len()]);
        self.for_each_product(|at_result, at_input, at_weight| {
            result[at_result] += input[at_input] * weights[at_weight];
            of_input[at_input] += upstream[at_result] * weights[at_weight];
            of_weights[at_weight] += upstream[at_result] * input[at_input];
        });

        // [b, groups] x [o] x [c, kh, kw] and [b, groups] x [c, kh, kw] x [oh, ow].
        let forward = Contraction {
            name: format!("forward {self:?}"),
            lhs: Matrices {
                offset: 0,
                batch: axes(&[(b, 0), (groups, o * c * taps)]),
                rows: axes(&[(o, c * taps)]),
                columns: axes(&[(c * taps, 1)]),
            },
            rhs: Matrices {
                offset: 0,
                batch: axes(&[(b, groups * c * h * w), (groups, c * h * w)]),
                rows: axes(&[(c, h * w), (kh, dilation[0] * w), (kw, dilation[1])]),
                columns: axes(&[(oh, step[0] * w), (ow, step[1])]),
            },
            operands: [weights.clone(), input.clone()],
            expected: result,
        };

        // The upstream gradient with zeros between its elements and around them, so that each element of the input sees it
        // through a window of the reversed weights: [b, groups] x [c] x [o, kh, kw] and [b, groups] x [o, kh, kw] x [h, w].
        let around = [(kh - 1) * dilation[0], (kw - 1) * dilation[1]];
        let stuffed = [h + around[0], w + around[1]];
        let mut spread = vec![0.0; b * groups * o * stuffed[0] * stuffed[1]];
        for matrix in 0..b * groups * o {
            for (y, x) in (0..oh * ow).map(|p| (p / ow, p % ow)) {
                let [to_y, to_x] = [around[0] + y * step[0], around[1] + x * step[1]];
                spread[(matrix * stuffed[0] + to_y) * stuffed[1] + to_x] = upstream[(matrix * oh + y) * ow + x];
            }
        }
        let [zh, zw] = stuffed;
        let input_gradient = Contraction {
            name: format!("gradient of the input {self:?}"),
            lhs: Matrices {
                offset: taps - 1,
                batch: axes(&[(b, 0), (groups, o * c * taps)]),
                rows: axes(&[(c, taps)]),
                columns: Axes::new([
                    Axis { extent: o, stride: (c * taps) as isize },
                    Axis { extent: kh, stride: -(kw as isize) },
                    Axis { extent: kw, stride: -1 },
                ]),
            },
            rhs: Matrices {
                offset: 0,
                batch: axes(&[(b, groups * o * zh * zw), (groups, o * zh * zw)]),
                rows: axes(&[(o, zh * zw), (kh, dilation[0] * zw), (kw, dilation[1])]),
                columns: axes(&[(h, zw), (w, 1)]),
            },
            operands: [weights, spread],
            expected: of_input,
        };

        // [groups] x [o] x [b, oh, ow] and [groups] x [b, oh, ow] x [c, kh, kw].
        let weight_gradient = Contraction {
            name: format!("gradient of the weights {self:?}"),
            lhs: Matrices {
                offset: 0,
                batch: axes(&[(groups, o * oh * ow)]),
                rows: axes(&[(o, oh * ow)]),
                columns: axes(&[(b, groups * o * oh * ow), (oh * ow, 1)]),
            },
            rhs: Matrices {
                offset: 0,
                batch: axes(&[(groups, c * h * w)]),
                rows: axes(&[(b, groups * c * h * w), (oh, step[0] * w), (ow, step[1])]),
                columns: axes(&[(c, h * w), (kh, dilation[0] * w), (kw, dilation[1])]),
            },
            operands: [upstream, input],
            expected: of_weights,
        };
        [forward, input_gradient, weight_gradient]
    }
}
