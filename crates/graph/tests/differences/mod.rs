//! Gradients held against central differences.
//!
//! For a function `y = f(x)` and random `u`, `v` the gradient of `<u, y>` is compared with differences of `<u, y>`, and then
//! the gradient of `<v, gradient>` with differences of that: the second derivative. All in f64, where a step of 1e-5 leaves
//! errors of about 1e-10; the tolerance is 1e-6 of the largest element.
#![allow(dead_code, unreachable_pub)] // Each test program that includes this uses a part of it.

use std::sync::Arc;

use arenagrad_graph::{DType, Expr, Graph, Mode, NodeId, Shape, verify};

use crate::evaluate::{Given, evaluate};

type Function = Arc<dyn for<'g> Fn(&'g Graph, &[Expr<'g>]) -> Expr<'g>>;

/// A function and where it is differentiated.
#[derive(Clone)]
pub struct Case {
    inputs: Vec<(Vec<usize>, f64, f64)>,
    function: Function,
}

impl Case {
    /// `function` of inputs with these shapes, with elements between the two numbers and away from kinks.
    pub fn new(
        inputs: &[(Vec<usize>, f64, f64)],
        function: impl for<'g> Fn(&'g Graph, &[Expr<'g>]) -> Expr<'g> + 'static,
    ) -> Self {
        Case { inputs: inputs.to_vec(), function: Arc::new(function) }
    }
}

const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-6;

/// Checks first and second derivatives of a case.
pub fn check(name: &str, case: &Case) {
    let mut random = Random(0x5EED ^ name.len() as u64);
    let graph = Graph::new();
    let mut elements = Given::new();
    let mut inputs = Vec::new();
    for (number, (shape, low, high)) in case.inputs.iter().enumerate() {
        let input = format!("x{number}");
        inputs.push(graph.input_of(&input, shape.clone(), DType::F64));
        elements.insert(input, random.spread(Shape::from(shape.clone()).elements(), *low, *high));
    }
    let y = (case.function)(&graph, &inputs);
    let shape = y.check().unwrap_or_else(|error| panic!("{name}: {error}")).shape().unwrap();
    let upstream = graph.input_of("upstream", &shape, DType::F64);
    elements.insert("upstream".to_owned(), random.spread(shape.elements(), 0.5, 1.5));
    let first = (y * upstream).sum(..);
    let gradients = compare(name, "first", &graph, first, &inputs, &elements);

    let mut directions = Vec::new();
    let mut second = graph.zeros([], DType::F64);
    for (number, gradient) in gradients.iter().enumerate() {
        let direction = format!("direction{number}");
        let shape = gradient.shape().unwrap();
        elements.insert(direction.clone(), random.spread(shape.elements(), 0.5, 1.5));
        let direction = graph.input_of(&direction, &shape, DType::F64);
        second = second + (*gradient * direction).sum(..);
        directions.push(direction);
    }
    let seconds = compare(name, "second", &graph, second, &inputs, &elements);
    forward_agrees(name, &graph, first, &gradients, &seconds, &inputs, &directions, &elements);
    jacobians_agree(name, &graph, y, upstream, &gradients, &inputs, &elements);
    assert_eq!(verify(&graph), Ok(()), "{name}");
}

/// Forward mode against reverse mode: `<J v, 1> = <v, J^T 1>` for the scalar, and for its gradients, whose tangents are the
/// Hessian times the directions.
#[allow(clippy::too_many_arguments)]
fn forward_agrees<'g>(
    name: &str,
    graph: &'g Graph,
    first: Expr<'g>,
    gradients: &[Expr<'g>],
    seconds: &[Expr<'g>],
    inputs: &[Expr<'g>],
    directions: &[Expr<'g>],
    elements: &Given,
) {
    let tangent = graph.jvp(&[first], inputs, directions).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut product = graph.zeros([], DType::F64);
    for (gradient, direction) in gradients.iter().zip(directions) {
        product = product + (*gradient * *direction).sum(..);
    }
    agree(name, "tangent", graph, &tangent, &[product], elements);
    let tangents = graph.jvp(gradients, inputs, directions).unwrap_or_else(|error| panic!("{name}: {error}"));
    agree(name, "tangent of the gradient", graph, &tangents, seconds, elements);
}

/// Both ways to a Jacobian against each other, and against the gradient that it is with its upstream gradient.
fn jacobians_agree<'g>(
    name: &str,
    graph: &'g Graph,
    y: Expr<'g>,
    upstream: Expr<'g>,
    gradients: &[Expr<'g>],
    inputs: &[Expr<'g>],
    elements: &Given,
) {
    let [reverse, forward] = [Mode::Reverse, Mode::Forward]
        .map(|mode| graph.jacobians(y, inputs, Some(mode)).unwrap_or_else(|error| panic!("{name}: {error}")));
    agree(name, "Jacobian by forward mode", graph, &forward, &reverse, elements);
    let rows = y.shape().unwrap().elements();
    for ((jacobian, gradient), input) in forward.iter().zip(gradients).zip(inputs) {
        let shape = input.shape().unwrap();
        let rows = jacobian.reshape([rows, shape.elements()]);
        let product = upstream.reshape([1, y.shape().unwrap().elements()]).matmul(rows).reshape(&shape);
        agree(name, "Jacobian and its upstream gradient", graph, &[product], &[*gradient], elements);
    }
}

/// Holds what should be the same, but is computed another way, to 1e-12 of the largest element.
fn agree(name: &str, what: &str, graph: &Graph, found: &[Expr<'_>], expected: &[Expr<'_>], elements: &Given) {
    let values = |exprs: &[Expr<'_>]| {
        let ids: Vec<NodeId> = exprs.iter().map(|expr| expr.check().unwrap().id().unwrap()).collect();
        evaluate(graph, &ids, elements)
    };
    for (found, expected) in values(found).iter().zip(&values(expected)) {
        assert_eq!(found.len(), expected.len(), "{name}: {what}");
        let scale = expected.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-12 * scale, "{name}: the {what} is {a}, not {b}\n{graph}");
        }
    }
}

/// The gradients of a scalar, after they were compared with its differences.
fn compare<'g>(
    name: &str,
    order: &str,
    graph: &'g Graph,
    scalar: Expr<'g>,
    inputs: &[Expr<'g>],
    elements: &Given,
) -> Vec<Expr<'g>> {
    let one = graph.ones([], DType::F64);
    let gradients =
        graph.gradients(&[scalar], &[one], inputs).unwrap_or_else(|error| panic!("{name}, {order}: {error}"));
    let ids: Vec<NodeId> = gradients.iter().map(|gradient| gradient.id().unwrap()).collect();
    let output = scalar.id().unwrap();
    for (number, analytic) in evaluate(graph, &ids, elements).iter().enumerate() {
        let input = format!("x{number}");
        let differences: Vec<f64> = (0..analytic.len())
            .map(|position| {
                let at = |offset: f64| {
                    let mut moved = elements.clone();
                    moved.get_mut(&input).unwrap()[position] += offset;
                    evaluate(graph, &[output], &moved)[0][0]
                };
                (at(STEP) - at(-STEP)) / (2.0 * STEP)
            })
            .collect();
        let scale = differences.iter().fold(1.0f64, |scale, d| scale.max(d.abs()));
        for (position, (a, d)) in analytic.iter().zip(&differences).enumerate() {
            assert!(
                (a - d).abs() <= TOLERANCE * scale,
                "{name}: the {order} derivative by {input}[{position}] is {a}, differences say {d}\n{graph}"
            );
        }
    }
    gradients
}

/// SplitMix64: random enough, and the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Shuffled elements between `low` and `high`, no two alike and none near a multiple of one half, where roundings,
    /// signs and pieces of functions have their kinks.
    pub fn spread(&mut self, count: usize, low: f64, high: f64) -> Vec<f64> {
        let width = (high - low) / count.max(1) as f64;
        let mut elements: Vec<f64> = (0..count)
            .map(|place| {
                let x = low + width * (place as f64 + 0.2 + 0.6 * self.unit());
                let kink = (x * 2.0).round() / 2.0;
                if (x - kink).abs() < 0.01 { kink + 0.01_f64.copysign(x - kink) } else { x }
            })
            .collect();
        for place in (1..count).rev() {
            elements.swap(place, (self.bits() % (place as u64 + 1)) as usize);
        }
        elements
    }
}
