//! Statistics of channels, of which the CPU's plans make one nest: random compositions of them against the evaluator, to the last bit.
//!
//! All numbers are integers that f32 holds exactly, so there is no tolerance. A failure prints its seed and plan.

use crate::suite::evaluate::{Given, evaluate};
use crate::suite::exact::is_exact;
use crate::suite::random::Random;
use crate::suite::run::run;
use arenagrad::{DType, Device, Expr, Graph, Init, Session};

/// Images, values of their channels, and what a graph makes of both.
struct Images<'g, 'r> {
    graph: &'g Graph,
    random: &'r mut Random,
    shape: [usize; 4],
    step: Expr<'g>,
    elements: Vec<Expr<'g>>,
    channels: Vec<Expr<'g>>,
    given: Given,
}

impl<'g, 'r> Images<'g, 'r> {
    fn new(graph: &'g Graph, random: &'r mut Random, shape: [usize; 4], dtype: DType) -> Self {
        let [n, c, h, w] = shape;
        let step = graph.input_of("step", [], DType::I32);
        let given = Given::from([("step".to_owned(), vec![3.0])]);
        let mut images = Images { graph, random, shape, step, elements: vec![], channels: vec![], given };
        let mut leaf = |name: &str, shape: &[usize]| {
            let count = shape.iter().product();
            images.given.insert(name.to_owned(), images.random.integers(count, -3, 3));
            graph.parameter_of(name, shape, dtype, Init::Constant(0.0))
        };
        let (x, y) = (leaf("x", &[n, c, h, w]), leaf("y", &[n, c, h, w]));
        let (by_channels, turned) = (leaf("by_channels", &[c, n, h, w]), leaf("turned", &[w, h, n, c]));
        let (scale, shift) = (leaf("scale", &[1, c, 1, 1]), leaf("shift", &[c, 1, 1]));
        images.elements = vec![x, y, by_channels.permute([1, 0, 2, 3]), turned.permute([2, 3, 1, 0]), x.flip([0, 3])];
        images.channels = vec![scale, shift.reshape([1, c, 1, 1])];
        images
    }

    fn element(&mut self) -> Expr<'g> {
        *self.random.pick(&self.elements)
    }

    fn channel(&mut self) -> Expr<'g> {
        *self.random.pick(&self.channels)
    }

    /// Keeps numbers small enough that sums of them are exact.
    fn small(x: Expr<'g>) -> Expr<'g> {
        x.clamp(Some(-5.0), Some(5.0))
    }

    fn grow(&mut self) {
        let (a, b, row) = (self.element(), self.element(), self.channel());
        match self.random.below(12) {
            0 => self.elements.push(a - row),
            1 => self.elements.push(Self::small(a * b)),
            2 => self.elements.push(a.relu() + row),
            3 => self.elements.push(a.greater(row).where_(b, row)),
            4 => {
                let positions = self.graph.iota(self.shape, self.random.below(4)).cast(a.dtype().unwrap());
                self.elements.push(Self::small(a - positions));
            }
            5 => {
                let draw = self.graph.uniform(self.shape, self.step, 7).less(0.5);
                self.elements.push(draw.where_(a, b));
            }
            6 => {
                let other = self.channel();
                self.channels.push(Self::small(row * other + 1.0));
            }
            _ => {
                let x = *self.random.pick(&[a, a - row, Self::small(a * (b - row))]);
                let statistic = match self.random.below(4) {
                    0 => x.max_keepdims([0, 2, 3]),
                    1 => x.min_keepdims([0, -2, -1]),
                    _ => x.sum_keepdims([0, 2, 3]),
                };
                self.channels.push(Self::small(statistic));
                if self.random.one_in(3) {
                    self.channels.push(statistic);
                }
            }
        }
    }

    fn outputs(&mut self) -> Vec<Expr<'g>> {
        let mut outputs = vec![self.channels[self.channels.len() - 1], self.elements[self.elements.len() - 1]];
        for _ in 0..self.random.below(4) {
            outputs.push(if self.random.one_in(3) { self.element() } else { self.channel() });
        }
        outputs
    }
}

/// Compares one random graph over images of that shape; says whether it was exact.
fn compare(seed: u64, shape: [usize; 4], dtype: DType) -> bool {
    let graph = Graph::new();
    let mut random = Random(seed);
    let mut images = Images::new(&graph, &mut random, shape, dtype);
    for _ in 0..4 + images.random.below(14) {
        images.grow();
    }
    let (outputs, given) = (images.outputs(), images.given);
    let ids: Vec<_> = outputs.iter().map(|output| output.id().unwrap()).collect();
    if !is_exact(&graph, &ids, &given) {
        return false;
    }
    let expected = evaluate(&graph, &ids, &given);
    let found = run(&graph, &outputs, &given, &Device::cpu()).unwrap();
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let plan = || Session::evaluate(&graph, &outputs, &Device::cpu()).unwrap().plan().to_string();
        assert!(&found.to_f64_vec() == expected, "seed {seed}, output {number}:\n{graph}\n{}", plan());
    }
    true
}

#[test]
fn random_statistics_of_channels() {
    let shapes = [[2, 3, 2, 2], [3, 5, 1, 4], [1, 2, 3, 3], [4, 16, 4, 4], [2, 17, 3, 7], [5, 2, 1, 1]];
    let seeds = 0..400u64;
    let exact = seeds.clone().filter(|&seed| {
        compare(seed, shapes[seed as usize % shapes.len()], if seed % 2 == 0 { DType::F32 } else { DType::F64 })
    });
    assert!(exact.count() > 200);
}

#[test]
fn random_statistics_of_channels_that_threads_divide() {
    let exact = (400..440u64).filter(|&seed| compare(seed, [6, 19, 33, 9], DType::F32));
    assert!(exact.count() > 20);
}

/// Normalisation over the batch with all gradients: one nest for mean and variance, one for the sums of the backward pass.
#[test]
fn normalisation_is_a_nest_in_each_direction() {
    let g = Graph::new();
    let (x, w) = (g.input("x", [4, 6, 8, 8]), g.input("w", [4, 6, 8, 8]));
    let [scale, shift] = ["scale", "shift"].map(|name| g.parameter(name, [6], Init::Constant(1.0)));
    let normal = x.batch_norm(x.batch_statistics(), Some(scale), Some(shift), 1e-5);
    let gradients = (normal * w).sum(..).grad([x, scale, shift]).unwrap();
    let session = Session::evaluate(&g, &gradients, &Device::cpu()).unwrap();
    let kernels: Vec<&str> = session.plan().steps().iter().map(|step| step.kernel.as_str()).collect();
    assert_eq!(kernels, ["nest 6x256", "nest 6x256", "elementwise 1536"]);
}

#[test]
fn nothing_has_sums_of_zero() {
    for shape in [[0, 3, 2, 2], [2, 3, 0, 2], [2, 3, 2, 0], [2, 0, 3, 3]] {
        let g = Graph::new();
        let (x, y) = (g.input("x", shape), g.input("y", shape));
        let (sum, product) = (x.sum([0, 2, 3]), (x * y).sum([0, 2, 3]));
        let (mean, variance) = x.batch_statistics();
        let of_differences = (x - sum.reshape([shape[1], 1, 1])).square().sum([0, 2, 3]);
        let given = Given::from(["x", "y"].map(|name| (name.to_owned(), Vec::new())));
        let found = run(&g, &[sum, product, of_differences, mean, variance], &given, &Device::cpu()).unwrap();
        for (place, output) in found.iter().enumerate() {
            let is_right = |value: f64| if place < 3 { value == 0.0 } else { value.is_nan() };
            assert_eq!(output.shape()[..], [shape[1]]);
            assert!(output.to_f64_vec().into_iter().all(is_right), "{shape:?}: result {place} is {output:?}");
        }
    }
}
