//! Operators by PyTorch's names: every row of the table computes the same on every device, as one plan and differentiated twice;
//! its gradients are those of central differences, and forward mode agrees with reverse mode. The page `docs/pytorch.md` is
//! made of the same rows, so that what it says compiles and runs.
//!
//! A file here has the rows of one family. What the values should be stands elsewhere: in the oracle's cases, of
//! which the repository has some and a directory of more is given to the command, and in tests of their own.

mod activations;
mod attention;
mod convolution;
mod elementwise;
mod first_things;
mod fourier;
mod indexing;
mod integers;
mod linear_algebra;
mod loops;
mod losses;
mod order;
mod pooling;
mod sampling;
mod shapes;
mod table;

use std::fmt::Write;
use std::path::Path;

use arenagrad::check::{Adjoint, GradCheck};
use arenagrad::{DType, Device, Error, Expr, Graph, Session, Tensor};

use crate::suite::devices::gpu;
use crate::suite::evaluate::Given;
use crate::suite::random::Random;
use crate::suite::run::numbers;
use table::{Element, Operator, dtype};

/// The families, in the order of the page, with the headings that they have there.
const FAMILIES: &[(&str, &[Operator])] = &[
    ("First things", first_things::OPERATORS),
    ("Functions of elements", elementwise::OPERATORS),
    ("Integers", integers::OPERATORS),
    ("Activations", activations::OPERATORS),
    ("Losses", losses::OPERATORS),
    ("Convolution", convolution::OPERATORS),
    ("Pooling", pooling::OPERATORS),
    ("Interpolation, padding, sampling", sampling::OPERATORS),
    ("Attention", attention::OPERATORS),
    ("Reductions, scans, order", order::OPERATORS),
    ("Gathering and scattering", indexing::OPERATORS),
    ("Shapes and contractions", shapes::OPERATORS),
    ("Loops", loops::OPERATORS),
    ("Fourier transforms", fourier::OPERATORS),
    ("Linear algebra", linear_algebra::OPERATORS),
];

/// What this build can compute.
fn rows() -> impl Iterator<Item = &'static Operator> {
    let all = FAMILIES.iter().flat_map(|(_, operators)| operators.iter());
    all.filter(|operator| cfg!(feature = "linear_algebra") || !operator.cpu_alone)
}

/// The elements of each operand, the same in every run.
fn elements(operator: &Operator) -> Vec<Vec<f64>> {
    let seed = operator.torch.bytes().chain(operator.here.bytes()).map(u64::from).sum();
    let mut random = Random(seed);
    let elements = operator.operands.iter().map(|operand| {
        let count = operand.shape.iter().product();
        match operand.element {
            Element::Float(low, high) => random.spread(count, low, high),
            Element::Integer(low, high) => random.integers(count, low, high),
            Element::Bool => random.integers(count, 0, 1),
        }
    });
    elements.collect()
}

fn of(operand: table::Operand, float: DType) -> DType {
    match operand.element {
        Element::Float(..) => float,
        Element::Integer(..) => DType::I32,
        Element::Bool => DType::Bool,
    }
}

/// The floats of a row's results, as a function of its operands that are floats: what checks of derivatives take.
fn floats<'g>(operator: &Operator, given: &[Expr<'g>]) -> Vec<Expr<'g>> {
    let graph = given[0].graph();
    let mut given = given.iter().copied();
    let operands: Vec<Expr<'g>> = operator
        .operands
        .iter()
        .zip(elements(operator))
        .map(|(operand, elements)| match operand.element {
            Element::Float(..) => given.next().expect("a tensor for each operand of floats"),
            Element::Integer(..) => {
                graph.literal(operand.shape, elements.iter().map(|&x| x as i32).collect::<Vec<i32>>())
            }
            Element::Bool => {
                graph.literal(operand.shape, elements.iter().map(|&x| x as i32).collect::<Vec<i32>>()).not_equal(0)
            }
        })
        .collect();
    let results = (operator.function)(graph, &operands);
    results.into_iter().filter(|result| dtype(*result).is_float()).collect()
}

/// The tensors of a row's operands that are floats; none if nothing of the row is differentiable.
fn differentiated(operator: &Operator) -> Vec<Tensor> {
    let graph = Graph::new();
    let operands: Vec<Expr<'_>> = operator
        .operands
        .iter()
        .enumerate()
        .map(|(i, operand)| graph.input_of(format!("x{i}"), operand.shape, of(*operand, DType::F64)))
        .collect();
    let results = (operator.function)(&graph, &operands);
    graph.check().unwrap_or_else(|error| panic!("{}: {error}", operator.torch));
    if !results.iter().any(|result| dtype(*result).is_float()) {
        return Vec::new();
    }
    let pairs = operator.operands.iter().zip(elements(operator));
    pairs
        .filter(|(operand, _)| matches!(operand.element, Element::Float(..)))
        .map(|(operand, elements)| Tensor::new(operand.shape, elements).expect("as many elements as the shape has"))
        .collect()
}

#[test]
fn gradients_are_those_of_central_differences() {
    for operator in rows() {
        let inputs = differentiated(operator);
        if inputs.is_empty() {
            continue;
        }
        let report = GradCheck::new().functions(|x| floats(operator, x), &inputs);
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", operator.torch));
        assert!(report.passed(), "{}, {}: {report}", operator.torch, operator.here);
    }
}

#[test]
fn forward_mode_agrees_with_reverse_mode() {
    for operator in rows() {
        let inputs = differentiated(operator);
        if inputs.is_empty() {
            continue;
        }
        // All results as one, so that each has its part in the products.
        let report = Adjoint::new().function(
            |x| {
                let results = floats(operator, x);
                let rows: Vec<Expr<'_>> = results.iter().map(|result| result.flatten()).collect();
                x[0].graph().concat(&rows, 0)
            },
            &inputs,
        );
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", operator.torch));
        assert!(report.passed(), "{}, {}: {report}", operator.torch, operator.here);
    }
}

/// Results, gradients, and gradients of gradients.
fn derived(operator: &Operator, device: &Device) -> Vec<(DType, Vec<f64>)> {
    let graph = Graph::new();
    let mut random = Random(7);
    let mut given = Given::new();
    let mut wanted = Vec::new();
    let mut operands = Vec::new();
    for (i, (operand, elements)) in operator.operands.iter().zip(elements(operator)).enumerate() {
        let name = format!("x{i}");
        let x = graph.input_of(name.as_str(), operand.shape, of(*operand, DType::F32));
        given.insert(name, elements);
        if dtype(x).is_float() {
            wanted.push(x);
        }
        operands.push(x);
    }
    let mut upstream = |prefix: &str, exprs: &[Expr<'_>]| -> Vec<(String, Vec<f64>)> {
        let named = exprs.iter().enumerate().map(|(i, expr)| {
            let count = expr.shape().expect("a row of the table").elements();
            (format!("{prefix}{i}"), random.spread(count, 0.5, 1.5))
        });
        named.collect()
    };
    let results = (operator.function)(&graph, &operands);
    graph.check().unwrap_or_else(|error| panic!("{}: {error}", operator.torch));
    let mut outputs = results.clone();
    let mut last: Vec<Expr<'_>> = results.into_iter().filter(|result| dtype(*result).is_float()).collect();
    for prefix in ["first", "second"] {
        if last.is_empty() || wanted.is_empty() {
            break;
        }
        let directions: Vec<Expr<'_>> = upstream(prefix, &last)
            .into_iter()
            .zip(&last)
            .map(|((name, elements), expr)| {
                let direction = graph.input(name.as_str(), expr.shape().expect("a row of the table"));
                given.insert(name, elements);
                direction
            })
            .collect();
        last = graph.gradients(&last, &directions, &wanted).unwrap_or_else(|e| panic!("{}: {e}", operator.torch));
        outputs.extend(&last);
    }
    let dtypes = outputs.iter().map(|output| dtype(*output));
    dtypes.zip(numbers(&graph, &outputs, &given, device)).collect()
}

/// What a row's operands of floats are, when derivatives are taken by them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    /// Inputs.
    Inputs,
    /// Views of these.
    Views,
    /// Inputs of which all elements are one number.
    EvenInputs,
    /// Constants of that number.
    Constants,
}

/// The gradients of all results by a row's operands of floats.
fn gradients_by(operator: &Operator, leaves: Leaves) -> Vec<Vec<f64>> {
    let graph = Graph::new();
    let (mut given, mut wanted, mut operands) = (Given::new(), Vec::new(), Vec::new());
    for (i, (operand, elements)) in operator.operands.iter().zip(elements(operator)).enumerate() {
        let Element::Float(low, high) = operand.element else {
            operands.push(graph.input_of(format!("x{i}"), operand.shape, of(*operand, DType::F64)));
            given.insert(format!("x{i}"), elements);
            continue;
        };
        let number = low + 0.4 * (high - low);
        let leaf = match leaves {
            Leaves::Constants => graph.full(operand.shape, number, DType::F64),
            Leaves::Inputs | Leaves::Views | Leaves::EvenInputs => {
                graph.input_of(format!("x{i}"), operand.shape, DType::F64)
            }
        };
        match leaves {
            Leaves::Inputs | Leaves::Views => drop(given.insert(format!("x{i}"), elements)),
            Leaves::EvenInputs => drop(given.insert(format!("x{i}"), vec![number; elements.len()])),
            Leaves::Constants => {}
        }
        let leaf = if leaves == Leaves::Views { leaf.unsqueeze(0).squeeze(0) } else { leaf };
        wanted.push(leaf);
        operands.push(leaf);
    }
    let results = (operator.function)(&graph, &operands);
    let results: Vec<Expr<'_>> = results.into_iter().filter(|result| dtype(*result).is_float()).collect();
    if wanted.is_empty() || results.is_empty() {
        return Vec::new();
    }
    let upstream: Vec<Expr<'_>> = results.iter().map(|result| result.cos()).collect();
    let gradients = graph.gradients(&results, &upstream, &wanted).unwrap_or_else(|e| panic!("{}: {e}", operator.torch));
    numbers(&graph, &gradients, &given, &Device::cpu())
}

/// A node that a construct copies, or looks through, is none by which it has a derivative.
#[test]
fn gradients_by_views_and_by_constants_are_those_by_inputs() {
    for operator in rows() {
        for (leaves, inputs) in [(Leaves::Views, Leaves::Inputs), (Leaves::Constants, Leaves::EvenInputs)] {
            if operator.cpu_alone && leaves == Leaves::Constants {
                // A matrix of one number is singular.
                continue;
            }
            let (found, expected) = (gradients_by(operator, leaves), gradients_by(operator, inputs));
            for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
                for (found, expected) in found.iter().zip(expected) {
                    let distance = (found - expected).abs();
                    assert!(
                        found.to_bits() == expected.to_bits()
                            || distance <= 1e-9 * expected.abs().max(1.0)
                            || found.is_nan() && expected.is_nan(),
                        "{}, {}, by {leaves:?}, operand {number}: {found:e}, {expected:e}",
                        operator.torch,
                        operator.here
                    );
                }
            }
        }
    }
}

/// A row that a GPU has no kernel for is refused there, by name and with what to do.
fn refused(operator: &Operator, gpu: &Device) {
    let graph = Graph::new();
    let operands = operator.operands.iter().enumerate();
    let operands: Vec<Expr<'_>> =
        operands.map(|(i, operand)| graph.input_of(format!("x{i}"), operand.shape, of(*operand, DType::F32))).collect();
    let results = (operator.function)(&graph, &operands);
    let Err(error) = Session::evaluate(&graph, &results, gpu) else { panic!("{} runs on {gpu}", operator.torch) };
    assert!(matches!(error, Error::Unsupported { .. }), "{}: {error}", operator.torch);
    let text = error.to_string();
    // It says of what, be it a name or the line that made it.
    let is_named =
        text.contains(" of x") || text.contains(&format!(" at {}", file!().replace("mod.rs", "linear_algebra.rs")));
    assert!(is_named && text.contains("Device::cpu()"), "{}: {text}", operator.torch);
}

#[test]
fn devices_agree() {
    let Some(gpu) = gpu() else { return };
    let cpu = Device::cpu();
    for operator in rows() {
        if operator.cpu_alone {
            refused(operator, &gpu);
            continue;
        }
        let (expected, found) = (derived(operator, &cpu), derived(operator, &gpu));
        assert_eq!(expected.len(), found.len(), "{}", operator.torch);
        for (number, ((dtype, expected), (_, found))) in expected.iter().zip(&found).enumerate() {
            let largest = expected.iter().filter(|x| x.is_finite()).fold(1.0f64, |largest, x| largest.max(x.abs()));
            for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
                let is_same = expected == found || expected.is_nan() && found.is_nan();
                assert!(
                    is_same || dtype.is_float() && (expected - found).abs() <= 2e-6 * largest,
                    "{}, {}, output {number}[{place}]: {found:e} on {gpu}, {expected:e} on the CPU",
                    operator.torch,
                    operator.here
                );
            }
        }
    }
}

/// The page as it should be.
fn page() -> String {
    let mut page = String::from(
        "# PyTorch's names here\n\n\
         How one says what PyTorch calls by the name at the left. Each expression is compiled and run by the tests, with its gradients; `x` and\n\
         the like are expressions, `g` is the graph. `torch.nn.functional` is written `F`. Every operator of an expression is a method of a\n\
         tape's variable too. What gives a list whose length depends on its arguments (`chunk`, `split` and their like, `unbind`, `meshgrid`), and\n\
         `scan`, gives a `Result`.\n",
    );
    for (heading, operators) in FAMILIES {
        if operators.is_empty() {
            continue;
        }
        let _ = write!(page, "\n## {heading}\n\n| PyTorch | here |\n| --- | --- |\n");
        for (place, operator) in operators.iter().enumerate() {
            // Some rows are there for other operands alone.
            if operators[..place].iter().any(|other| (other.torch, other.here) == (operator.torch, operator.here)) {
                continue;
            }
            let here = operator.here.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let where_ = if operator.cpu_alone { " (on the CPU alone)" } else { "" };
            let _ = writeln!(page, "| `{}` | `{here}`{where_} |", operator.torch);
        }
    }
    page
}

#[test]
fn the_page_of_names_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pytorch.md");
    let page = page();
    if std::env::var_os("ARENAGRAD_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &page).expect("the page is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/pytorch.md is not what the table says; ARENAGRAD_UPDATE_SNAPSHOTS=1 writes it");
}
