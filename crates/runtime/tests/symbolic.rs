//! Formulas as plans: values against SymPy's, against finite differences, and on both devices.

use crate::suite::devices::{devices, gpu};
use crate::suite::random::Random;
use arenagrad::symbolic::ApplyError;
use arenagrad::{DType, Device, Error, Formula, Lambdified, evaluate, parse};

/// Derivatives at points, with the values that SymPy gives them; the file says how it was made.
const SYMPY: &str = include_str!("symbolic/sympy.txt");

fn differentiated(text: &str, names: &str) -> Formula {
    let formula = parse(text).unwrap_or_else(|error| panic!("{error}"));
    names.split_whitespace().fold(formula, |formula, name| formula.diff(name))
}

#[test]
fn values_are_those_of_sympy() {
    let mut rows = 0;
    for line in SYMPY.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [text, names, at, value] = fields[..] else { panic!("{line}") };
        let point: Vec<(&str, f64)> = at
            .split_whitespace()
            .map(|part| part.split_once('=').unwrap())
            .map(|(n, v)| (n, v.parse().unwrap()))
            .collect();
        let expected: f64 = value.parse().unwrap();
        let derivative = differentiated(text, names);
        for formula in [derivative.clone(), derivative.simplify()] {
            let found = evaluate(&formula, &point).unwrap();
            // The derivative's terms may cancel; those of these rows have at most a few thousand times its size.
            let close = (found - expected).abs() <= 1e-11 * expected.abs().max(1e-2);
            assert!(close, "{line}\n  {formula}\n  gives {found:?}");
        }
        rows += 1;
    }
    assert_eq!(rows, 150);
}

#[test]
fn derivatives_agree_with_finite_differences() {
    let table = [
        "x^y + sin(x*y)",
        "tanh(x)/sigmoid(y)",
        "log(x)*sqrt(x + y)",
        "exp(-x*y)*cos(x)",
        "abs(x - y)^3",
        "relu(x*y - 1)*tan(y)",
    ];
    for text in table {
        let f = parse(text).unwrap();
        for (name, other) in [("x", "y"), ("y", "x")] {
            let (at, elsewhere, step) = (1.3, 0.9, 1e-5);
            let value = |by: f64| evaluate(&f, &[(name, at + by), (other, elsewhere)]).unwrap();
            let difference = (value(step) - value(-step)) / (2.0 * step);
            let exact = evaluate(&f.diff(name), &[(name, at), (other, elsewhere)]).unwrap();
            assert!(
                (exact - difference).abs() < 1e-8 * exact.abs().max(1.0),
                "d/d{name} {text}: {exact}, {difference}"
            );
        }
    }
}

#[test]
fn compiled_formulas_take_vectors_on_every_device() {
    const LENGTH: usize = 1000;
    let f = parse("x*exp(-y^2) + tanh(x*y)/(1 + relu(y)) + abs(x)^1.5 - tan(y/4)*sigmoid(x)").unwrap();
    let (dx, dy) = (f.diff("x"), f.diff("y"));
    let (simple_dx, second) = (dx.simplify(), f.diff("x").diff("y").simplify());
    let formulas = [&f, &dx, &dy, &simple_dx, &second];
    let mut random = Random(11);
    let (x, y) = (random.spread(LENGTH, -3.0, 3.0), random.spread(LENGTH, -3.0, 3.0));
    let mut exact = Lambdified::new(&formulas, &["x", "y"], LENGTH, DType::F64, &Device::cpu()).unwrap();
    let exact = exact.call(&[&x, &y]).unwrap();
    for place in (0..LENGTH).step_by(97) {
        for (formula, values) in formulas.iter().zip(&exact) {
            let alone = evaluate(formula, &[("x", x[place]), ("y", y[place])]).unwrap();
            assert!(
                (alone - values[place]).abs() <= 1e-12 * alone.abs().max(1.0),
                "{formula}: {alone}, {}",
                values[place]
            );
        }
    }
    for (built, simplified) in exact[1].iter().zip(&exact[3]) {
        assert!((built - simplified).abs() <= 1e-12 * built.abs().max(1.0), "{built} {simplified}");
    }
    for device in devices() {
        let mut compiled = Lambdified::new(&formulas, &["x", "y"], LENGTH, DType::F32, &device).unwrap();
        let found = compiled.call(&[&x, &y]).unwrap();
        for (formula, (found, exact)) in formulas.iter().zip(found.iter().zip(&exact)) {
            for place in 0..LENGTH {
                let (found, exact) = (found[place], exact[place]);
                // Terms up to 20 in f32, each within a few units of the last place.
                assert!(
                    (found - exact).abs() <= 2e-5 * exact.abs().max(1.0),
                    "{device}: {formula} gives {found}, not {exact}"
                );
            }
        }
    }
}

#[test]
fn constants_and_missing_symbols_fill_vectors() {
    let f = parse("3*x + pi*y").unwrap();
    let formulas = [f.diff("x"), f.diff("y"), parse("1/3").unwrap(), f.diff("x").diff("x")];
    let formulas: Vec<&Formula> = formulas.iter().collect();
    for device in devices() {
        let mut compiled = Lambdified::new(&formulas, &["x"], 4, DType::F32, &device).unwrap();
        let found = compiled.call(&[&[0.0; 4]]).unwrap();
        let third = f64::from(1.0f32 / 3.0);
        let pi = f64::from(std::f32::consts::PI);
        assert_eq!(found, [[3.0; 4], [pi; 4], [third; 4], [0.0; 4]], "{device}");
    }
    let mut alone = Lambdified::new(&[&parse("1/3").unwrap()], &[], 2, DType::F64, &Device::cpu()).unwrap();
    assert_eq!(alone.call(&[]).unwrap(), [[1.0 / 3.0; 2]]);
    assert_eq!(evaluate(&parse("1/3").unwrap(), &[]).unwrap(), 1.0 / 3.0);
}

#[test]
fn a_formula_and_its_derivative_are_one_plan() {
    let f = parse("exp(-x^2/2)*sin(3*x)").unwrap();
    let compiled = Lambdified::new(&[&f, &f.diff("x")], &["x"], 1 << 12, DType::F64, &Device::cpu()).unwrap();
    // Everything is of one shape, so it fuses into one kernel.
    assert_eq!(
        compiled.session().plan().to_string().matches("elementwise 4096").count(),
        1,
        "{}",
        compiled.session().plan()
    );
}

#[test]
fn wrong_calls_are_typed_errors() {
    let f = parse("x*y").unwrap();
    let new = |symbols: &[&str]| Lambdified::new(&[&f], symbols, 3, DType::F64, &Device::cpu());
    assert!(matches!(new(&["x"]).err(), Some(Error::Formula(ApplyError::MissingArgument { name, .. })) if name == "y"));
    assert!(matches!(new(&["x", "y", "z"]).err(), Some(Error::UnknownSymbol { name, .. }) if name == "z"));
    assert!(matches!(new(&["x", "y", "x"]).err(), Some(Error::Graph(_) | Error::Formula(_))));
    let integers = Lambdified::new(&[&f], &["x", "y"], 3, DType::I32, &Device::cpu());
    assert!(matches!(integers.err(), Some(Error::Formula(ApplyError::Graph(_)))));
    let mut compiled = new(&["x", "y"]).unwrap();
    let count = compiled.call(&[&[1.0; 3]]).unwrap_err();
    assert!(matches!(count, Error::VectorCount { expected: 2, found: 1, .. }), "{count}");
    assert!(matches!(compiled.call(&[&[1.0; 3], &[1.0; 2]]), Err(Error::ElementCount { elements: 2, .. })));
    assert_eq!(compiled.call(&[&[1.0, 2.0, 3.0], &[2.0; 3]]).unwrap(), [[2.0, 4.0, 6.0]]);
    if let Some(gpu) = gpu() {
        let double = Lambdified::new(&[&f], &["x", "y"], 3, DType::F64, &gpu);
        assert!(matches!(double.err(), Some(Error::Unsupported { .. })));
    }
    assert!(matches!(evaluate(&f, &[("x", 1.0)]), Err(Error::Formula(ApplyError::MissingArgument { .. }))));
    assert!(matches!(
        evaluate(&f, &[("x", 1.0), ("x", 1.0)]),
        Err(Error::Formula(ApplyError::RepeatedArgument { .. }))
    ));
    assert!(matches!(evaluate(&f, &[("w", 1.0)]), Err(Error::Formula(ApplyError::UnknownArgument { .. }))));
}

#[test]
fn differences_that_would_cancel_keep_their_digits() {
    // Computed by mpmath in 50 digits.
    let table = [
        ("sigmoid(x)", "x", 30.0, 9.357622968838423e-14),
        ("sigmoid(x)", "x x", 30.0, -9.357622968836672e-14),
        ("tanh(x)", "x", 15.0, 3.743049187535369e-13),
        ("tanh(x)", "x x", 15.0, -7.486098375069338e-13),
        ("log(1 + exp(x))", "", -30.0, 9.357622968839737e-14),
        ("log(1 - x)", "", 1e-12, -1.0000000000005e-12),
        ("exp(x) - 1", "", 1e-12, 1.0000000000005e-12),
    ];
    for (text, names, at, expected) in table {
        let found = evaluate(&differentiated(text, names), &[("x", at)]).unwrap();
        assert!((found / expected - 1.0).abs() < 1e-14, "{text}, {names} at {at}: {found:?}, not {expected:?}");
    }
}
