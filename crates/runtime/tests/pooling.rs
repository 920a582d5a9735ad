//! Pooling against direct loops over windows, as PyTorch's own are: sizes, values, the places of largest elements, gradients; of windows that
//! overlap, leave gaps, begin in padding or pass the end, with equal elements, infinite ones and NaN.

use arenagrad::check::GradCheck;
use arenagrad::{DType, Device, Expr, Graph, PadMode, Pooling, Session, Tape, Tensor};

use crate::suite::devices::gpu;
use crate::suite::evaluate::{Given, given};
use crate::suite::random::Random;
use crate::suite::run::numbers;

/// One axis: its extent, and how windows stand along it.
#[derive(Clone, Copy, Debug)]
struct Axis {
    extent: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    count: usize,
}

impl Axis {
    /// A random axis that has a window.
    fn random(random: &mut Random, most_dilation: usize, ceil_mode: bool) -> Axis {
        loop {
            let (extent, kernel) = (1 + random.below(9), 1 + random.below(5));
            let (stride, dilation) = (1 + random.below(4), 1 + random.below(most_dilation));
            let padding = random.below(kernel / 2 + 1);
            let last = (extent + 2 * padding) as isize - (dilation * (kernel - 1) + 1) as isize;
            let rounded = if ceil_mode { last + stride as isize - 1 } else { last };
            let mut count = rounded.div_euclid(stride as isize) + 1;
            if ceil_mode && (count - 1) * stride as isize >= (extent + padding) as isize {
                count -= 1;
            }
            let axis = Axis { extent, kernel, stride, padding, dilation, count: count.max(0) as usize };
            // A window of padding alone has no element that could be chosen.
            if axis.count > 0 && (0..axis.count).all(|window| axis.elements(window).next().is_some()) {
                return axis;
            }
        }
    }

    /// The elements of a window.
    fn elements(self, window: usize) -> impl Iterator<Item = usize> {
        (0..self.kernel).filter_map(move |tap| {
            let at = (window * self.stride + tap * self.dilation) as isize - self.padding as isize;
            usize::try_from(at).ok().filter(|&at| at < self.extent)
        })
    }

    /// How many elements of a window count where padding does.
    fn with_padding(self, window: usize) -> usize {
        let begin = window * self.stride;
        (begin + self.kernel).min(self.extent + 2 * self.padding) - begin
    }
}

struct Case {
    axes: Vec<Axis>,
    ceil_mode: bool,
    leading: [usize; 2],
}

impl Case {
    fn random(random: &mut Random, most_dilation: usize) -> Case {
        let ceil_mode = random.one_in(2);
        let axes = (0..1 + random.below(3)).map(|_| Axis::random(random, most_dilation, ceil_mode)).collect();
        Case { axes, ceil_mode, leading: [1 + random.below(2), 1 + random.below(3)] }
    }

    fn list(&self, number: fn(&Axis) -> usize) -> Vec<usize> {
        self.axes.iter().map(number).collect()
    }

    fn pooling(&self) -> Pooling {
        Pooling::new(self.list(|axis| axis.kernel))
            .stride(self.list(|axis| axis.stride))
            .padding(self.list(|axis| axis.padding))
            .dilation(self.list(|axis| axis.dilation))
            .ceil_mode(self.ceil_mode)
    }

    fn shape(&self, number: fn(&Axis) -> usize) -> Vec<usize> {
        self.leading.into_iter().chain(self.list(number)).collect()
    }

    /// For each window of each plane the places of its elements among all elements, row by row, and how many elements count with padding.
    fn windows(&self) -> Vec<(Vec<usize>, usize)> {
        let plane: usize = self.list(|axis| axis.extent).iter().product();
        let counts = self.list(|axis| axis.count);
        let mut windows = Vec::new();
        for number in 0..self.leading.iter().product() {
            for window in 0..counts.iter().product() {
                let (mut places, mut counted, mut rest) = (vec![0usize], 1, window);
                let mut stride = 1;
                for axis in self.axes.iter().rev() {
                    let at = rest % axis.count;
                    rest /= axis.count;
                    counted *= axis.with_padding(at);
                    places = axis
                        .elements(at)
                        .flat_map(|element| {
                            places.iter().map(move |place| place + element * stride).collect::<Vec<_>>()
                        })
                        .collect();
                    stride *= axis.extent;
                }
                places.sort_unstable();
                windows.push((places.iter().map(|place| place + number * plane).collect(), counted));
            }
        }
        windows
    }
}

/// The place that PyTorch chooses: the first of the largest, but each NaN in the place of what is before it.
fn chosen(elements: &[f64], places: &[usize]) -> usize {
    let mut best = places[0];
    for &place in &places[1..] {
        if elements[place] > elements[best] || elements[place].is_nan() {
            best = place;
        }
    }
    if places.iter().any(|&place| elements[place].is_nan()) && !elements[best].is_nan() {
        // Only the very first is NaN.
        best = places[0];
    }
    best
}

/// Few different numbers, some of them NaN or infinite.
fn elements(random: &mut Random, count: usize) -> Vec<f64> {
    let pick = |random: &mut Random| match random.below(24) {
        0 => f64::NAN,
        1 | 2 => f64::NEG_INFINITY,
        3 => f64::INFINITY,
        other => (other % 5) as f64 - 2.0,
    };
    (0..count).map(|_| pick(random)).collect()
}

fn assert_same(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_same = found == expected || found.is_nan() && expected.is_nan();
        let is_near = (found - expected).abs() <= tolerance * expected.abs().max(1.0);
        assert!(is_same || is_near, "{what}: element {place} is {found}, expected {expected}");
    }
}

fn max_pool<'g>(x: Expr<'g>, axes: usize, pooling: Pooling) -> (Expr<'g>, Expr<'g>) {
    match axes {
        1 => x.max_pool1d_with_indices(pooling),
        2 => x.max_pool2d_with_indices(pooling),
        _ => x.max_pool3d_with_indices(pooling),
    }
}

fn avg_pool<'g>(x: Expr<'g>, axes: usize, pooling: Pooling) -> Expr<'g> {
    match axes {
        1 => x.avg_pool1d(pooling),
        2 => x.avg_pool2d(pooling),
        _ => x.avg_pool3d(pooling),
    }
}

fn check_largest(case: &Case, random: &mut Random, device: &Device, dtype: DType) {
    let what = format!("{:?} ceil {} of {:?} on {device}", case.axes, case.ceil_mode, case.leading);
    let shape = case.shape(|axis| axis.extent);
    let count: usize = shape.iter().product();
    let windows = case.windows();
    let x = if dtype == DType::I32 { random.integers(count, -2, 2) } else { elements(random, count) };
    let upstream = random.integers(windows.len(), 1, 9);
    let places: Vec<usize> = windows.iter().map(|(places, _)| chosen(&x, places)).collect();
    let plane: usize = case.list(|axis| axis.extent).iter().product();
    let mut gradient = vec![0.0; count];
    places.iter().zip(&upstream).for_each(|(&place, upstream)| gradient[place] += upstream);

    let g = Graph::new();
    let input = g.input_of("x", shape, dtype);
    let (values, indices) = max_pool(input, case.axes.len(), case.pooling());
    let mut outputs = vec![values, indices];
    if dtype != DType::I32 {
        let direction = g.input_of("upstream", case.shape(|axis| axis.count), dtype);
        outputs
            .extend(g.gradients(&[values], &[direction], &[input]).unwrap_or_else(|error| panic!("{what}: {error}")));
    }
    let given: Given = given([("x", x.clone()), ("upstream", upstream)]);
    let found = numbers(&g, &outputs, &given, device);
    let expected: Vec<f64> = places.iter().map(|&place| x[place]).collect();
    assert_same(&found[0], &expected, 0.0, &what);
    let expected: Vec<f64> = places.iter().map(|&place| (place % plane) as f64).collect();
    assert_same(&found[1], &expected, 0.0, &what);
    if dtype != DType::I32 {
        assert_same(&found[2], &gradient, 0.0, &what);
    }
}

#[test]
fn largest_elements_their_places_and_their_gradients_are_those_of_direct_loops() {
    let mut random = Random(11);
    for number in 0..90 {
        let case = Case::random(&mut random, 2);
        let dtype = *random.pick(&[DType::F32, DType::F64, DType::I32]);
        check_largest(&case, &mut random, &Device::cpu(), dtype);
        if number % 5 == 0
            && let Some(gpu) = gpu()
        {
            check_largest(&case, &mut random, &gpu, DType::F32);
        }
    }
}

#[test]
fn means_and_their_gradients_are_those_of_direct_loops() {
    let mut random = Random(12);
    for number in 0..90 {
        let case = Case::random(&mut random, 1);
        let include = random.one_in(2);
        let divisor = random.one_in(3).then_some(-2.5);
        let shape = case.shape(|axis| axis.extent);
        let count: usize = shape.iter().product();
        let windows = case.windows();
        let (x, upstream) = (random.floats(count, -2.0, 2.0), random.floats(windows.len(), -2.0, 2.0));
        let mut gradient = vec![0.0; count];
        let mut expected = Vec::new();
        for ((places, counted), upstream) in windows.iter().zip(&upstream) {
            let by = divisor.unwrap_or(if include { *counted } else { places.len() } as f64);
            expected.push(places.iter().map(|&place| x[place]).sum::<f64>() / by);
            places.iter().for_each(|&place| gradient[place] += upstream / by);
        }
        let mut pooling = case.pooling().count_include_pad(include);
        if let Some(divisor) = divisor {
            pooling = pooling.divisor(divisor);
        }
        let mut settings = vec![(Device::cpu(), DType::F64, 1e-13), (Device::cpu(), DType::F32, 1e-5)];
        if number % 5 == 0 {
            settings.extend(gpu().map(|gpu| (gpu, DType::F32, 1e-5)));
        }
        for (device, dtype, tolerance) in settings {
            let what = format!("{:?} {pooling:?} on {device}", case.axes);
            let g = Graph::new();
            let input = g.input_of("x", shape.clone(), dtype);
            let direction = g.input_of("upstream", case.shape(|axis| axis.count), dtype);
            let values = avg_pool(input, case.axes.len(), pooling.clone());
            let [derived] = g.gradients(&[values], &[direction], &[input]).unwrap()[..] else { panic!("{what}") };
            let given: Given = given([("x", x.clone()), ("upstream", upstream.clone())]);
            let found = numbers(&g, &[values, derived], &given, &device);
            assert_same(&found[0], &expected, tolerance, &what);
            assert_same(&found[1], &gradient, tolerance, &what);
        }
    }
}

#[test]
fn adaptive_windows_go_from_the_rounded_down_to_the_rounded_up() {
    let mut random = Random(13);
    for _ in 0..40 {
        let extents = [1 + random.below(9), 1 + random.below(9)];
        let sizes = [1 + random.below(9), 1 + random.below(9)];
        let plane = extents[0] * extents[1];
        let x = elements(&mut random, 2 * plane);
        let smooth = random.floats(2 * plane, -2.0, 2.0);
        let upstream = random.integers(2 * sizes[0] * sizes[1], 1, 9);
        let bounds = |axis: usize, number: usize| {
            let (extent, size) = (extents[axis], sizes[axis]);
            number * extent / size..((number + 1) * extent).div_ceil(size)
        };
        let (mut values, mut places, mut means) = (Vec::new(), Vec::new(), Vec::new());
        let (mut gradient, mut of_means) = (vec![0.0; 2 * plane], vec![0.0; 2 * plane]);
        for (number, upstream) in upstream.iter().enumerate() {
            let (channel, i, j) = (number / (sizes[0] * sizes[1]), number / sizes[1] % sizes[0], number % sizes[1]);
            let window: Vec<usize> = bounds(0, i)
                .flat_map(|row| bounds(1, j).map(move |column| channel * plane + row * extents[1] + column))
                .collect();
            let place = chosen(&x, &window);
            values.push(x[place]);
            places.push((place % plane) as f64);
            gradient[place] += upstream;
            means.push(window.iter().map(|&place| smooth[place]).sum::<f64>() / window.len() as f64);
            window.iter().for_each(|&place| of_means[place] += upstream / window.len() as f64);
        }
        let g = Graph::new();
        let shape = [2, extents[0], extents[1]];
        let (input, even) = (g.input_of("x", shape, DType::F64), g.input_of("smooth", shape, DType::F64));
        let direction = g.input_of("upstream", [2, sizes[0], sizes[1]], DType::F64);
        let (largest, indices) = input.adaptive_max_pool2d_with_indices(sizes);
        let mean = even.adaptive_avg_pool2d(sizes);
        let derived = g.gradients(&[largest, mean], &[direction, direction], &[input, even]).unwrap();
        let given: Given = given([("x", x), ("smooth", smooth), ("upstream", upstream)]);
        let found = numbers(&g, &[largest, indices, derived[0], mean, derived[1]], &given, &Device::cpu());
        for (found, expected) in found.iter().zip([values, places, gradient, means, of_means]) {
            assert_same(found, &expected, 1e-13, &format!("{extents:?} to {sizes:?}"));
        }
    }
}

#[test]
fn gradients_are_linear_in_the_upstream_one_and_differentiate_again() {
    type Build = for<'g> fn(Expr<'g>) -> Expr<'g>;
    let poolings: [(&str, Build); 6] = [
        ("tiles", |x| x.max_pool2d(2)),
        ("overlapping", |x| x.max_pool2d(Pooling::new(3).stride(2).padding(1))),
        ("one axis after the other", |x| x.max_pool2d(Pooling::new(5).stride(1).padding(2))),
        ("scattered", |x| x.max_pool2d(Pooling::new([1, 24]).stride(1).padding([0, 12]))),
        ("adaptive", |x| x.adaptive_max_pool2d([4, 5])),
        ("means", |x| x.avg_pool2d(Pooling::new(3).stride(2).padding(1))),
    ];
    let mut random = Random(14);
    for (what, build) in poolings {
        let shape = [2, 6, 25];
        let g = Graph::new();
        let pooled = build(g.input_of("x", shape, DType::F64)).shape().unwrap();
        let x = Tensor::new(shape, random.spread(2 * 6 * 25, -2.0, 2.0)).unwrap();
        let upstream = Tensor::new(pooled.clone(), random.spread(pooled.elements(), -2.0, 2.0)).unwrap();
        let report = GradCheck::new()
            .functions(
                |x| {
                    let gradient = x[0].graph().gradients(&[build(x[0])], &[x[1]], &[x[0]]).unwrap()[0];
                    // Squared, so that the derivative by the upstream gradient is no constant.
                    vec![gradient * gradient]
                },
                &[x, upstream],
            )
            .unwrap();
        assert!(report.passed(), "{what}: {report}");
    }
}

/// Neither way stores windows: no buffer is larger than input and output together.
#[test]
fn plans_hold_no_windows() {
    for (pooling, is_mean) in [
        (Pooling::new(2), false),
        (Pooling::new(3).stride(2).padding(1), false),
        (Pooling::new(5).stride(1).padding(2), false),
        (Pooling::new(3).stride(2).padding(1), true),
        (Pooling::new(7).stride(1).padding(3), true),
    ] {
        let g = Graph::new();
        let x = g.input("x", [2, 3, 26, 26]);
        let y = if is_mean { x.avg_pool2d(pooling.clone()) } else { x.max_pool2d(pooling.clone()) };
        let upstream = g.input("upstream", y.shape().unwrap());
        let gradient = g.gradients(&[y], &[upstream], &[x]).unwrap()[0];
        let session = Session::evaluate(&g, &[y, gradient], &Device::cpu()).unwrap();
        let plan = session.plan();
        let bound = x.shape().unwrap().elements() + y.shape().unwrap().elements();
        let largest = plan.buffers().iter().map(|buffer| buffer.elements).max();
        assert!(largest <= Some(bound), "{pooling:?}: {largest:?} of {bound}\n{plan}");
        let scatters = plan.steps().iter().filter(|step| step.kernel.starts_with("scatter")).count();
        assert_eq!(scatters, 0, "{pooling:?}\n{plan}");
    }
    // Windows that tile the input are elementwise work alone, two steps but for the places of windows.
    let g = Graph::new();
    let x = g.input("x", [2, 3, 26, 26]);
    let y = x.max_pool2d(2);
    let upstream = g.input("upstream", y.shape().unwrap());
    let gradient = g.gradients(&[y], &[upstream], &[x]).unwrap()[0];
    let session = Session::evaluate(&g, &[y, gradient], &Device::cpu()).unwrap();
    let kernels: Vec<&str> = session.plan().steps().iter().map(|step| step.kernel.as_str()).collect();
    assert!(kernels.len() == 3 && kernels.iter().all(|kernel| kernel.starts_with("elementwise")), "{kernels:?}");
}

#[test]
fn variables_are_pooled_as_expressions_are() {
    let tape = Tape::new(Device::cpu());
    let elements = vec![1.0f32, 5.0, 2.0, 2.0, 5.0, 3.0, 0.0, 2.0];
    let x = tape.leaf(Tensor::new([1, 2, 4], elements).unwrap()).requires_grad();
    let (values, indices) = x.max_pool2d_with_indices(2);
    assert_eq!(values.data().unwrap().to_f64_vec(), [5.0, 2.0]);
    assert_eq!(indices.data().unwrap().to_f64_vec(), [1.0, 2.0]);
    (&values * 3.0).sum(..).backward().unwrap();
    assert_eq!(x.grad().unwrap().to_f64_vec(), [0.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let padded = x.avg_pool2d([1, 4]).pad_with([(1, 0)], PadMode::Replicate);
    assert_eq!(padded.data().unwrap().to_f64_vec(), [2.5, 2.5, 2.5, 2.5]);
}

#[test]
fn batches_without_samples_are_taken() {
    let g = Graph::new();
    let x = g.input("x", [0, 3, 8, 8]);
    let results = [x.max_pool2d(2), x.avg_pool2d(2), x.adaptive_avg_pool2d(3), x.adaptive_max_pool2d(3)];
    let found = numbers(&g, &results, &given([("x", Vec::new())]), &Device::cpu());
    assert!(found.iter().all(Vec::is_empty));
    let empty = g.input("empty", [2, 3, 8, 8]).adaptive_max_pool2d([0, 4]);
    assert_eq!(empty.shape().unwrap().dims(), &[2, 3, 0, 4]);
}
