//! Every op on every device against the evaluator, and every gradient against central differences.
//!
//! `cases` (in `ops/cases.rs`) matches every `OpKind`: an op without cases does not compile. All cases of a kind are outputs of
//! one plan for each device and dtype.

mod cases;

use crate::suite::devices::gpu;
use crate::suite::evaluate::{Given, evaluate};
use crate::suite::random::Random;
use crate::suite::respawn::{with_all_dispatches_joined, with_kernels_of_a_gpu};
use crate::suite::run::numbers;
use arenagrad::{DType, Device, Expr, Graph, OpKind};
use cases::{Case, Element, cases};

/// The cases of a kind in one graph.
struct Built<'g> {
    given: Given,
    cases: Vec<BuiltCase<'g>>,
}

struct BuiltCase<'g> {
    /// The operands that have gradients, by name.
    inputs: Vec<(String, Expr<'g>)>,
    y: Expr<'g>,
    gradients: Vec<Expr<'g>>,
    /// `<upstream, y>`, whose differences the gradients are.
    product: Option<Expr<'g>>,
    terms: usize,
}

fn build<'g>(graph: &'g Graph, kind: OpKind, cases: &[Case], dtype: DType) -> Built<'g> {
    let mut random = Random(kind.name().bytes().map(u64::from).sum());
    let mut built = Built { given: Given::new(), cases: Vec::new() };
    for (number, case) in cases.iter().enumerate() {
        let (mut operands, mut inputs) = (Vec::new(), Vec::new());
        for (place, operand) in case.operands.iter().enumerate() {
            let name = format!("case{number}.x{place}");
            let count = operand.shape.iter().product();
            let (own, elements) = match operand.element {
                Element::Float(low, high) => (dtype, random.spread(count, low, high)),
                Element::Integer(low, high) => (DType::I32, random.integers(count, low, high)),
                Element::Bool => (DType::Bool, random.integers(count, 0, 1)),
            };
            let expr = graph.input_of(&name, operand.shape.clone(), own);
            built.given.insert(name.clone(), elements);
            if own.is_float() {
                inputs.push((name, expr));
            }
            operands.push(expr);
        }
        let y = (case.function)(graph, &operands).check().unwrap_or_else(|e| panic!("{}: {e}", kind.name()));
        let (mut gradients, mut product) = (Vec::new(), None);
        if y.dtype().unwrap() == dtype && case.differentiable && !inputs.is_empty() {
            let shape = y.shape().unwrap();
            let name = format!("case{number}.upstream");
            let upstream = graph.input_of(&name, &shape, dtype);
            built.given.insert(name, random.floats(shape.elements(), 0.5, 1.5));
            let wanted: Vec<Expr<'g>> = inputs.iter().map(|(_, x)| *x).collect();
            gradients = graph.gradients(&[y], &[upstream], &wanted).unwrap();
            product = Some((y * upstream).sum(..));
        }
        built.cases.push(BuiltCase { inputs, y, gradients, product, terms: case.terms });
    }
    built
}

impl<'g> Built<'g> {
    /// Everything that is compared: for each case its value, then its gradients.
    fn outputs(&self) -> Vec<Expr<'g>> {
        self.cases.iter().flat_map(|case| std::iter::once(case.y).chain(case.gradients.iter().copied())).collect()
    }

    /// What sums of `terms` terms may be off, relative to the sum of magnitudes.
    fn terms(&self) -> Vec<usize> {
        self.cases.iter().flat_map(|case| vec![case.terms; 1 + case.gradients.len()]).collect()
    }
}

/// Holds results against references. `epsilon` is half an ulp of 1 in the dtype. Functions of an element may be off by 16
/// ulps of it (of 1, where it is smaller): what the argument's reduction, WGSL's accuracy and the products around them lose.
/// A sum of k terms may be off by `4 sqrt(k) epsilon` more, of the largest result, which stands for the sum of magnitudes.
fn compare(what: &str, kind: OpKind, found: &[Vec<f64>], expected: &[Vec<f64>], terms: &[usize], epsilon: f64) {
    for (output, ((found, expected), &terms)) in found.iter().zip(expected).zip(terms).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}: {}", kind.name());
        let largest = expected.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let scale = if terms > 1 { largest } else { expected.abs().max(1.0) };
            let tolerance = (32.0 + 4.0 * (terms as f64).sqrt()) * epsilon * scale;
            let same = found == expected || (found.is_nan() && expected.is_nan());
            assert!(
                same || (found - expected).abs() <= tolerance,
                "{what}: {}, output {output}[{place}]: {found:e}, not {expected:e} (tolerance {tolerance:e})",
                kind.name()
            );
        }
    }
}

const HALF_ULP_F32: f64 = f32::EPSILON as f64 / 2.0;
const HALF_ULP_F64: f64 = f64::EPSILON / 2.0;

/// The evaluator's values and gradients, in f64 but for constants, which have the dtype.
fn reference(kind: OpKind, cases: &[Case], dtype: DType) -> Vec<Vec<f64>> {
    let graph = Graph::new();
    let built = build(&graph, kind, cases, dtype);
    let ids: Vec<_> = built.outputs().iter().map(|output| output.id().unwrap()).collect();
    evaluate(&graph, &ids, &built.given)
}

/// Functions of matrices are computed on the CPU alone, by a build with that feature.
fn is_computed_by(kind: OpKind, device: &Device) -> bool {
    !matches!(kind, OpKind::LinearAlgebra(_)) || (cfg!(feature = "linear_algebra") && device.is_cpu())
}

fn check_on(device: &Device, dtype: DType) {
    for kind in OpKind::all() {
        let cases = cases(kind);
        assert!(!cases.is_empty(), "{} has no cases", kind.name());
        if !is_computed_by(kind, device) {
            continue;
        }
        let graph = Graph::new();
        let built = build(&graph, kind, &cases, dtype);
        let found = numbers(&graph, &built.outputs(), &built.given, device);
        let epsilon = if dtype == DType::F64 { HALF_ULP_F64 } else { HALF_ULP_F32 };
        let what = format!("{device}, {dtype}");
        compare(&what, kind, &found, &reference(kind, &cases, dtype), &built.terms(), epsilon);
    }
}

#[test]
fn cpu_in_f64() {
    check_on(&Device::cpu(), DType::F64);
}

#[test]
fn cpu_in_f32() {
    check_on(&Device::cpu(), DType::F32);
}

#[test]
fn gpu_in_f32() {
    let Some(device) = gpu() else { return };
    check_on(&device, DType::F32);
}

/// Gradients that the CPU computes in f64 against central differences of the evaluator, at up to twelve places an operand.
#[test]
fn gradients_against_differences() {
    const STEP: f64 = 1e-5;
    for kind in OpKind::all().filter(|kind| is_computed_by(*kind, &Device::cpu())) {
        let cases = cases(kind);
        let graph = Graph::new();
        let built = build(&graph, kind, &cases, DType::F64);
        let gradients: Vec<Expr<'_>> = built.cases.iter().flat_map(|case| case.gradients.clone()).collect();
        let mut found = numbers(&graph, &gradients, &built.given, &Device::cpu()).into_iter();
        for (number, case) in built.cases.iter().enumerate() {
            let Some(product) = case.product else { continue };
            let product = product.id().unwrap();
            for (name, _) in &case.inputs {
                let found = found.next().unwrap();
                let mut given = built.given.clone();
                for place in (0..found.len()).step_by(found.len().div_ceil(12).max(1)) {
                    let x = built.given[name][place];
                    let mut at = |x| {
                        given.get_mut(name).unwrap()[place] = x;
                        evaluate(&graph, &[product], &given)[0][0]
                    };
                    let difference = (at(x + STEP) - at(x - STEP)) / (2.0 * STEP);
                    at(x);
                    // Differences of a sum over the whole result lose digits in proportion to it.
                    let tolerance = 1e-6 * (1.0 + difference.abs());
                    assert!(
                        (found[place] - difference).abs() <= tolerance,
                        "{}, case {number}: by {name}[{place}] {}, differences say {difference}",
                        kind.name(),
                        found[place]
                    );
                }
            }
        }
    }
}

#[test]
fn gpu_with_the_kernels_of_a_gpu() {
    with_kernels_of_a_gpu(&["ops::gpu_in_f32"]);
}

#[test]
fn with_all_that_can_be_joined() {
    with_all_dispatches_joined(&["ops::gpu_in_f32"]);
}
