//! Convolutions of many geometries, transposed ones included: results and gradients are those of direct loops over the numbers, on every
//! device, and no plan holds anything larger than input and output together.

use crate::suite::devices::gpu;
use crate::suite::evaluate::{Given, evaluate};
use crate::suite::random::Random;
use crate::suite::run::numbers;
use arenagrad::{AdapterKind, Convolution, ConvolutionTranspose, DType, Device, Expr, Graph, Session};

/// The numbers of a convolution over two axes, or of a transposed one.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    n: usize,
    groups: usize,
    /// Channels and features of a group.
    channels: [usize; 2],
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    /// The output padding of a transposed convolution; none of a plain one.
    transposed: Option<[usize; 2]>,
}

impl Geometry {
    fn random(random: &mut Random) -> Geometry {
        let mut pick = |from: usize, to: usize| from + (random.unit() * (to - from + 1) as f64) as usize;
        let mut pair = |from, to| [pick(from, to), pick(from, to)];
        let (kernel, stride, dilation) = (pair(1, 4), pair(1, 4), pair(1, 3));
        let size = pair(1, 9);
        let span = [0, 1].map(|a| (kernel[a] - 1) * dilation[a] + 1);
        let channels = pair(1, 5);
        let [n, groups] = pair(1, 3);
        if pick(0, 1) == 0 {
            let most = [0, 1].map(|a| stride[a].max(dilation[a]) - 1);
            let output_padding = most.map(|most| pick(0, most));
            // So little that the result has elements.
            let padding = [0, 1].map(|a| pick(0, ((size[a] - 1) * stride[a] + span[a] - 1) / 2).min(4));
            let transposed = Some(output_padding);
            return Geometry { n, groups, channels, size, kernel, stride, padding, dilation, transposed };
        }
        // So much that the kernel fits.
        let padding = [0, 1].map(|a| span[a].saturating_sub(size[a]).div_ceil(2) + pick(0, 2));
        Geometry { n, groups, channels, size, kernel, stride, padding, dilation, transposed: None }
    }

    /// Of single channels and one or two features of each, and so large that lines are several vectors and the places of a sum some hundred.
    fn depthwise(random: &mut Random) -> Geometry {
        let Geometry { n, kernel, stride, dilation, .. } = Geometry::random(random);
        let mut pick = |from: usize, to: usize| from + (random.unit() * (to - from + 1) as f64) as usize;
        let (groups, channels) = (pick(2, 9), [1, pick(1, 2)]);
        let padding = [pick(0, 3), pick(0, 3)];
        let size = [0, 1].map(|a| (kernel[a] - 1) * dilation[a] + 1 + pick(0, if a == 0 { 9 } else { 36 }));
        Geometry { n, groups, channels, size, kernel, stride, padding, dilation, transposed: None }
    }

    /// Of kernels that are large beside elements or results, so that much of what they see is outside, and of so many elements that this is
    /// worth a few steps more.
    fn reaching(random: &mut Random) -> Geometry {
        let mut pick = |from: usize, to: usize| from + (random.unit() * (to - from + 1) as f64) as usize;
        let kernel = [pick(4, 9), pick(2, 9)];
        let (stride, dilation) = ([pick(1, 2), pick(1, 3)], [1, pick(1, 2)]);
        let span = [0, 1].map(|a| (kernel[a] - 1) * dilation[a] + 1);
        let (n, groups, channels) = (pick(6, 12), pick(1, 2), [pick(4, 7), pick(4, 7)]);
        if pick(0, 1) == 0 {
            let size = [pick(1, 5), pick(2, 6)];
            let padding = [0, 1].map(|a| pick(0, ((size[a] - 1) * stride[a] + span[a] - 1) / 2).min(4));
            let transposed = Some([pick(0, stride[0].max(dilation[0]) - 1), 0]);
            return Geometry { n, groups, channels, size, kernel, stride, padding, dilation, transposed };
        }
        let size = [0, 1].map(|a| span[a] + pick(0, 6));
        let padding = [0, 1].map(|a| pick(0, span[a] - 1));
        Geometry { n, groups, channels, size, kernel, stride, padding, dilation, transposed: None }
    }

    /// The result, the gradients of input and weight for an upstream gradient, and the gradient of all of these again.
    fn build<'g>(&self, g: &'g Graph, dtype: DType) -> Vec<Expr<'g>> {
        let Geometry { n, groups, channels: [c, o], size: [h, w], kernel: [kh, kw], .. } = *self;
        let x = g.input_of("x", [n, groups * c, h, w], dtype);
        let weight_shape = match self.transposed {
            None => [groups * o, c, kh, kw],
            Some(_) => [groups * c, o, kh, kw],
        };
        let weight = g.input_of("weight", weight_shape, dtype);
        let y = self.convolve(x, weight);
        let upstream = g.input_of("upstream", y.shape().expect("a geometry that can be"), dtype);
        let first = g.gradients(&[y], &[upstream], &[x, weight]).expect("gradients of floats");
        let of_both = (first[0] * first[0]).sum(..) + (first[1] * first[1]).sum(..) * 0.5;
        let second = of_both.grad([x, weight, upstream]).expect("a scalar of floats");
        [&[y], &first[..], &second[..]].concat()
    }

    fn convolve<'g>(&self, x: Expr<'g>, weight: Expr<'g>) -> Expr<'g> {
        let Geometry { groups, stride, padding, dilation, .. } = *self;
        match self.transposed {
            None => {
                let options = Convolution::new().stride(stride).padding(padding).dilation(dilation).groups(groups);
                x.conv2d(weight, None, &options)
            }
            Some(output_padding) => {
                let options = ConvolutionTranspose::new().stride(stride).padding(padding).dilation(dilation);
                x.conv_transpose2d(weight, None, &options.output_padding(output_padding).groups(groups))
            }
        }
    }

    /// The result by PyTorch's formulas.
    fn direct(&self, x: &[f64], weight: &[f64], output: [usize; 2]) -> Vec<f64> {
        let Geometry { n, groups, channels: [c, o], size: [h, w], kernel: [kh, kw], stride, padding, dilation, .. } =
            *self;
        let [oh, ow] = output;
        let mut y = vec![0.0; n * groups * o * oh * ow];
        let place = |at: usize, tap: usize, axis: usize| at * stride[axis] + tap * dilation[axis];
        for image in 0..n {
            for group in 0..groups {
                for (channel, feature) in (0..c).flat_map(|channel| (0..o).map(move |feature| (channel, feature))) {
                    let x = &x[((image * groups + group) * c + channel) * h * w..][..h * w];
                    let y = &mut y[((image * groups + group) * o + feature) * oh * ow..][..oh * ow];
                    for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                        // The narrow side of each axis is the result of a plain convolution, the input of a transposed one.
                        let (narrow, wide) =
                            if self.transposed.is_none() { ([oh, ow], [h, w]) } else { ([h, w], output) };
                        let (outer, inner) =
                            if self.transposed.is_none() { (feature, channel) } else { (channel, feature) };
                        let width = if self.transposed.is_none() { c } else { o };
                        let outer = group * if self.transposed.is_none() { o } else { c } + outer;
                        let factor = weight[((outer * width + inner) * kh + i) * kw + j];
                        for (a, b) in (0..narrow[0]).flat_map(|a| (0..narrow[1]).map(move |b| (a, b))) {
                            let (p, q) = (place(a, i, 0), place(b, j, 1));
                            if p < padding[0]
                                || q < padding[1]
                                || p - padding[0] >= wide[0]
                                || q - padding[1] >= wide[1]
                            {
                                continue;
                            }
                            let (near, far) = (a * narrow[1] + b, (p - padding[0]) * wide[1] + q - padding[1]);
                            match self.transposed {
                                None => y[near] += factor * x[far],
                                Some(_) => y[far] += factor * x[near],
                            }
                        }
                    }
                }
            }
        }
        y
    }

    fn given(&self, graph: &Graph, random: &mut Random) -> Given {
        let declared = graph.declarations();
        // Of so few digits that every sum is exact in f64, so that order decides nothing.
        let mut numbers = |count: usize| (0..count).map(|_| (random.unit() * 9.0).floor() - 4.0).collect();
        declared.iter().map(|declared| (declared.name.clone(), numbers(declared.shape.elements()))).collect()
    }
}

const GEOMETRIES: usize = 150;

const REACHING: usize = 40;

/// Of single channels: so few taps that a sum of them is written out in several kernels, and so many that it is not.
const DEPTHWISE: Geometry = Geometry {
    n: 2,
    groups: 3,
    channels: [1, 1],
    size: [9, 10],
    kernel: [7, 7],
    stride: [1, 1],
    padding: [3, 3],
    dilation: [1, 1],
    transposed: None,
};

/// Of eight channels and rows of 16: so that vectors of one tile stand in two rows of the input.
const TWO_ROWS: Geometry =
    Geometry { groups: 1, channels: [8, 8], size: [16, 16], kernel: [3, 3], padding: [1, 1], ..DEPTHWISE };

const DIRECTED: [Geometry; 8] = [
    DEPTHWISE,
    TWO_ROWS,
    Geometry { channels: [3, 17], size: [12, 24], ..TWO_ROWS },
    Geometry { size: [32, 33], stride: [2, 2], ..TWO_ROWS },
    Geometry { kernel: [11, 11], stride: [2, 1], padding: [5, 5], ..DEPTHWISE },
    Geometry { kernel: [12, 12], padding: [6, 6], ..DEPTHWISE },
    // So much to sum for a weight that it is the depth of a product, some images at a time, and one.
    Geometry { n: 19, channels: [3, 17], size: [8, 9], ..TWO_ROWS },
    Geometry { n: 5, channels: [3, 17], stride: [1, 2], size: [17, 32], ..TWO_ROWS },
];

/// So large that a software adapter puts their channels side by side in fours: products by images, and of few results by all images at once, with
/// features as rows and as columns; of their weights' gradients four images are neighbours.
const IN_FOURS: [Geometry; 7] = [
    Geometry { n: 4, channels: [8, 16], ..TWO_ROWS },
    Geometry { n: 8, channels: [16, 16], size: [17, 16], stride: [2, 1], ..TWO_ROWS },
    Geometry { n: 4, groups: 2, channels: [4, 8], size: [24, 25], ..TWO_ROWS },
    Geometry {
        n: 4,
        channels: [12, 16],
        size: [21, 13],
        kernel: [5, 3],
        dilation: [2, 3],
        padding: [3, 1],
        ..TWO_ROWS
    },
    Geometry { n: 16, channels: [32, 32], size: [6, 6], ..TWO_ROWS },
    Geometry { n: 5, channels: [128, 16], size: [6, 5], ..TWO_ROWS },
    Geometry { n: 4, channels: [16, 8], size: [12, 11], stride: [2, 2], transposed: Some([1, 0]), ..TWO_ROWS },
];

/// How many of these are tried on a GPU too, whose compiler takes long for sums of so many terms as the others have.
const DIRECTED_ON_GPU: usize = 4;

/// The geometry of that number: first those of interest, then random ones.
fn geometry(number: usize, directed: &[Geometry], random: &mut Random) -> Geometry {
    directed.get(number).copied().unwrap_or_else(|| Geometry::random(random))
}

/// Holds the first outputs of a geometry, at most so many, to direct loops and to the op's definition.
fn check(geometry: Geometry, dtype: DType, most: usize, random: &mut Random) {
    let graph = Graph::new();
    let outputs = geometry.build(&graph, dtype);
    let outputs = &outputs[..most.min(outputs.len())];
    let given = geometry.given(&graph, random);
    let found = numbers(&graph, outputs, &given, &Device::cpu());
    let shape = outputs[0].shape().expect("a geometry that can be");
    let direct = geometry.direct(&given["x"], &given["weight"], [shape[2], shape[3]]);
    assert_eq!(found[0], direct, "{geometry:?}");
    // Every convolution in there, derivatives of derivatives included, by the op's definition.
    let ids: Vec<_> = outputs.iter().map(|output| output.id().expect("a node")).collect();
    for (place, expected) in evaluate(&graph, &ids, &given).iter().enumerate() {
        assert_eq!(&found[place], expected, "output {place}: {geometry:?}");
    }
}

#[test]
fn results_are_those_of_direct_loops_and_derivatives_those_of_the_definition() {
    let mut random = Random(11);
    for number in 0..GEOMETRIES {
        check(geometry(number, &DIRECTED, &mut random), DType::F64, usize::MAX, &mut random);
    }
}

#[test]
fn so_are_those_of_depthwise_convolutions() {
    let mut random = Random(13);
    for _ in 0..GEOMETRIES {
        let geometry = Geometry::depthwise(&mut random);
        check(geometry, DType::F64, usize::MAX, &mut random);
        // The result and its first gradients, whose sums are exact in f32 as well.
        check(geometry, DType::F32, 3, &mut random);
    }
}

#[test]
fn so_are_those_of_kernels_that_reach_far_outside() {
    let mut random = Random(14);
    let mut cut = 0;
    for _ in 0..REACHING {
        let geometry = Geometry::reaching(&mut random);
        check(geometry, DType::F64, 3, &mut random);
        let graph = Graph::new();
        let outputs = geometry.build(&graph, DType::F32);
        cut += usize::from(outputs[..2].iter().any(|&output| {
            let session = Session::evaluate(&graph, &[output], &Device::cpu()).expect("a plan");
            session.plan().to_string().matches("matmul").count() > 4
        }));
    }
    assert!(cut >= REACHING / 4, "{cut} of {REACHING} are cut into parts");
}

#[test]
fn devices_agree() {
    let Some(gpu) = gpu() else { return };
    let (mut random, cpu) = (Random(12), Device::cpu());
    for number in 0..25 {
        let geometry = geometry(number, &DIRECTED[..DIRECTED_ON_GPU], &mut random);
        let graph = Graph::new();
        let outputs = geometry.build(&graph, DType::F32);
        let given = geometry.given(&graph, &mut random);
        let (expected, found) = (numbers(&graph, &outputs, &given, &cpu), numbers(&graph, &outputs, &given, &gpu));
        for (place, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let largest = expected.iter().fold(1.0f64, |largest, x| largest.max(x.abs()));
            let is_close = expected.iter().zip(found).all(|(a, b)| (a - b).abs() <= 1e-5 * largest);
            assert!(is_close, "{number}, output {place}: {geometry:?}");
        }
    }
}

#[test]
fn devices_agree_on_channels_in_fours() {
    let Some(gpu) = gpu() else { return };
    let (mut random, cpu) = (Random(15), Device::cpu());
    let mut in_fours = 0;
    for geometry in IN_FOURS {
        let graph = Graph::new();
        let outputs = &geometry.build(&graph, DType::F32)[..3];
        let given = geometry.given(&graph, &mut random);
        // Sums are exact in f32, so order decides nothing.
        assert_eq!(numbers(&graph, outputs, &given, &gpu), numbers(&graph, outputs, &given, &cpu), "{geometry:?}");
        for output in outputs {
            let plan = Session::evaluate(&graph, &[*output], &gpu).expect("a plan").plan().to_string();
            in_fours += usize::from(plan.lines().any(|line| line.contains("pad: ") && line.ends_with(", 4]")));
        }
    }
    let is_software = gpu.adapter().is_some_and(|adapter| adapter.kind == AdapterKind::Software);
    if is_software && std::env::var_os("ARENAGRAD_ADAPTER_CLASS").is_none() {
        assert!(in_fours >= IN_FOURS.len(), "{in_fours} copies have fours");
    }
}

/// Of a convolution and each of its gradients alone, nothing that is computed is larger than its operands and result together.
#[test]
fn no_plan_holds_columns() {
    let plain = Geometry {
        n: 4,
        groups: 1,
        channels: [8, 16],
        size: [16, 16],
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        transposed: None,
    };
    for geometry in [
        plain,
        Geometry { stride: [2, 2], ..plain },
        // An image so large that the padding is a small part of it.
        Geometry { size: [64, 64], kernel: [5, 5], padding: [4, 4], dilation: [2, 2], ..plain },
        Geometry { kernel: [4, 4], stride: [4, 4], padding: [0, 0], ..plain },
        Geometry { groups: 8, channels: [1, 1], ..plain },
        Geometry { groups: 2, channels: [4, 4], stride: [1, 2], ..plain },
        Geometry { stride: [2, 2], transposed: Some([1, 1]), ..plain },
        Geometry { stride: [2, 2], kernel: [4, 4], transposed: Some([0, 0]), ..plain },
    ] {
        let graph = Graph::new();
        let outputs = geometry.build(&graph, DType::F32);
        let elements = |name: &str| {
            let declared = graph.declarations();
            declared.iter().find(|declared| declared.name == name).map_or(0, |declared| declared.shape.elements())
        };
        let most = elements("x") + elements("weight") + elements("upstream");
        for output in &outputs[..3] {
            let session = Session::evaluate(&graph, &[*output], &Device::cpu()).expect("a plan");
            let plan = session.plan();
            // With their padding, which for so small images is a good part of them.
            let largest = plan.buffers().iter().map(|buffer| buffer.elements).max().expect("buffers");
            assert!(largest <= most, "{geometry:?}: {largest} of {most}\n{plan}");
        }
    }
}
