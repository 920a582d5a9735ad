//! Whatever an expression can do, a variable of a tape can: the public methods of both are read from their sources and compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arenagrad::{CrossEntropy, DType, Device, Reduction, Tape, Tensor};

/// Methods of expressions that have another form on a tape, or no meaning there, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("cross_entropy_probabilities", "`cross_entropy_with` takes labels and probabilities"),
    ("hessian", "a transform of a graph"),
    ("hvp", "a transform of a graph"),
    ("jvp", "a transform of a graph"),
    ("vjp", "a transform of a graph"),
    ("grad", "`backward` asks for gradients"),
    ("all_reduce", "a sum over processes is part of a training step, and a tape belongs to one process"),
    ("check", "`data` and `item` return the error"),
];

/// All Rust files under a path.
fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder of sources") {
            sources(&entry.expect("an entry of the folder").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

fn texts(paths: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    for path in paths {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &mut files);
    }
    files.iter().map(|file| fs::read_to_string(file).expect("a source")).collect()
}

fn name_at(text: &str) -> &str {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// The signatures of public functions, from the name up to the body.
fn public_functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("pub fn ").skip(1).map(|rest| rest.split('{').next().unwrap_or_default())
}

/// Names in the lists that macros make methods of: `name;` or `name => Function;`.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let name = name_at(line);
        let rest = line[name.len()..].strip_suffix(';')?;
        (!name.is_empty() && (rest.is_empty() || rest.starts_with(" => "))).then_some(name)
    })
}

fn of_expressions() -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    for text in texts(&["../graph/src/expr/elementwise.rs"]) {
        methods.extend(listed(&text).map(str::to_owned));
    }
    for text in texts(&["../graph/src/expr", "../graph/src/compose", "../graph/src/autodiff"]) {
        for function in public_functions(&text) {
            let Some((parameters, result)) = function.split_once("->") else { continue };
            let takes_self = parameters.split_once('(').is_some_and(|(_, rest)| rest.trim_start().starts_with("self"));
            if takes_self && result.contains("Expr<'g>") {
                methods.insert(name_at(function).to_owned());
            }
        }
    }
    methods
}

fn of_variables() -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    let lists = texts(&["../graph/src/expr/elementwise.rs"]);
    for text in texts(&["src/tape"]).iter().chain(&lists) {
        methods.extend(listed(text).map(str::to_owned));
    }
    for text in texts(&["src/tape"]) {
        methods.extend(public_functions(&text).map(|function| name_at(function).to_owned()));
        // Lines of the lists of `methods!`: a name, variables, a semicolon, and arguments; of others, a name and its results.
        let lines = text.lines().filter(|line| {
            line.starts_with("    ") && (line.contains('(') && line.contains(';') || line.contains(" -> ("))
        });
        methods.extend(lines.map(|line| name_at(line.trim()).to_owned()));
    }
    methods
}

#[test]
fn a_variable_can_do_what_an_expression_can() {
    let (expressions, variables) = (of_expressions(), of_variables());
    assert!(expressions.len() > 100 && variables.len() > 100, "the methods are not found where they stand");
    let otherwise = |name: &str| OTHERWISE.iter().any(|(other, _)| *other == name);
    let missing: Vec<&String> =
        expressions.iter().filter(|name| !variables.contains(*name) && !otherwise(name)).collect();
    assert!(missing.is_empty(), "methods of expressions that variables lack: {missing:?}");
}

/// One of each form of list, with what may be left out given and not.
#[test]
fn methods_record_what_those_of_expressions_append() {
    let tape = Tape::new(Device::cpu());
    let leaf = |shape: &[usize], data: &[f64]| {
        tape.leaf(Tensor::new(shape, data.to_vec()).expect("as many elements as the shape has")).requires_grad()
    };
    let x = leaf(&[2, 3], &[1.0, 2.0, 4.0, -1.0, 0.0, 3.0]);
    let weight = leaf(&[3], &[1.0, 2.0, 0.5]);
    let data = |variable: arenagrad::Variable| variable.data().expect("a value").to_f64_vec();
    assert_eq!(data(x.leaky_relu(0.5)), [1.0, 2.0, 4.0, -0.5, 0.0, 3.0]);
    assert_eq!(data(x.flip(1)), [4.0, 2.0, 1.0, 3.0, 0.0, -1.0]);
    assert_eq!(data(x.pad([(0, 0), (1, 0)], 7.0)), [7.0, 1.0, 2.0, 4.0, 7.0, -1.0, 0.0, 3.0]);
    let indices = tape.leaf(Tensor::new([2, 1], vec![2, 0]).expect("two elements"));
    assert_eq!(data(x.gather(1, &indices)), [4.0, -1.0]);
    let plain = data(x.layer_norm(1, None, None, 0.0));
    let scaled = data(x.layer_norm(1, Some(&weight), None, 0.0));
    let shifted = data(x.layer_norm(1, Some(&weight), Some(&weight), 0.0));
    for (place, plain) in plain.iter().enumerate() {
        let weight = [1.0, 2.0, 0.5][place % 3];
        assert!(
            (scaled[place] - plain * weight).abs() < 1e-6 && (shifted[place] - plain * weight - weight).abs() < 1e-6
        );
    }
    let labels = tape.leaf(Tensor::new([2], vec![0, 2]).expect("two elements"));
    let options = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
    let (plain, weighted) = (
        data(x.cross_entropy_with(&labels, None, options)),
        data(x.cross_entropy_with(&labels, Some(&weight), options)),
    );
    assert!((weighted[0] - plain[0]).abs() < 1e-6 && (weighted[1] - 0.5 * plain[1]).abs() < 1e-6);
    x.layer_norm(1, Some(&weight), None, 0.0).square().sum(..).backward().expect("a gradient");
    let gradient = weight.grad().expect("a gradient").to_f64_vec();
    assert!(gradient.iter().all(|x| x.is_finite() && *x != 0.0));
}

/// A list of numbers has the dtypes that numbers have: literals of floats are f32 beside each other, in lists too.
#[test]
fn leaves_are_made_of_lists_of_numbers() {
    let tape = Tape::new(Device::cpu());
    let x = tape.leaf([1.0, 2.0]).requires_grad();
    (&x * &tape.leaf(3.0)).sum(..).backward().unwrap();
    assert_eq!(x.grad().unwrap(), Tensor::from([3.0f32, 3.0]));
    let of_floats = [
        (tape.leaf([1.0f32, 2.0]), &[2][..]),
        (tape.leaf(vec![1.0, 2.0, 3.0]), &[3]),
        (tape.leaf(&[1.0f32, 2.0, 3.0][..]), &[3]),
        (tape.leaf([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), &[3, 2]),
        (tape.leaf([[[1.0f32; 4]; 1]; 2]), &[2, 1, 4]),
        (tape.leaf([[[[0.5; 2]; 3]; 4]; 5]), &[5, 4, 3, 2]),
    ];
    for (leaf, shape) in of_floats {
        assert_eq!((leaf.dtype(), leaf.shape().unwrap().dims()), (Ok(DType::F32), shape));
    }
    let labels = tape.leaf(vec![2, 0]);
    assert_eq!((labels.dtype(), labels.data().unwrap()), (Ok(DType::I32), Tensor::from([2, 0])));
    assert_eq!(tape.leaf([[1, 2]]).dtype(), Ok(DType::I32));
    assert_eq!(tape.leaf(Tensor::from([1.0, 2.0])).dtype(), Ok(DType::F64), "a tensor keeps its dtype");
}
