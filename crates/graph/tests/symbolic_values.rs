//! Simplified and printed formulas keep their values: at kinks, on both sides of them, at poles and edges of domains.

use crate::formulas::points::Compiled;
use crate::formulas::{Random, agree, nested_text, random_point, random_text};
use arenagrad_graph::symbolic::{Formula, parse};

/// What was compared, and the first differences.
#[derive(Default)]
struct Report {
    compared: usize,
    defined: usize,
    differences: Vec<String>,
}

impl Report {
    /// Holds a formula against another form of it at points.
    fn compare(&mut self, what: &str, formula: &Formula, other: &Formula, points: &[[f64; 3]]) {
        let (before, after) = (Compiled::new(formula), Compiled::new(other));
        for &at in points {
            self.compared += 1;
            let (expected, error) = before.strict_value(at);
            if expected.is_nan() {
                continue;
            }
            self.defined += 1;
            let found = after.value(at);
            let (_, other_error) = after.strict_value(at);
            let error = 64.0 * error + if other_error.is_nan() { 0.0 } else { 64.0 * other_error };
            if (expected - found).abs() <= error || agree(expected, found, 1e-3) {
                continue;
            }
            let excused = match found.is_finite() {
                true => after.leaves_range(at, false),
                false => error.is_infinite() || after.leaves_range(at, true) || after.cancels(at),
            };
            if excused {
                continue;
            }
            self.differences
                .push(format!("{what}\n    {formula}\n    {other}\n    at {at:?}: {expected} became {found}"));
            return;
        }
    }

    /// Holds a formula, its first and its second derivatives against their simplified and printed forms.
    fn check(&mut self, text: &str, points: &[[f64; 3]]) {
        let formula = parse(text).unwrap_or_else(|error| panic!("{error}"));
        let mut family = vec![(text.to_owned(), formula)];
        for name in ["x", "y"] {
            let first = family[0].1.diff(name);
            let second = first.diff("x");
            family.push((format!("d/d{name} {text}"), first));
            family.push((format!("d2/d{name}dx {text}"), second));
        }
        for (what, formula) in &family {
            if Compiled::new(formula).len() > 400 {
                continue;
            }
            let simple = formula.simplify();
            self.compare(&format!("simplify {what}"), formula, &simple, points);
            for formula in [formula, &simple] {
                let printed = formula.to_string();
                let again = parse(&printed).unwrap_or_else(|error| panic!("{what}: {error}"));
                self.compare(&format!("print {what}"), formula, &again, points);
            }
        }
    }
}

/// How many formulas, unless the environment asks for more.
fn rounds(usual: usize) -> usize {
    std::env::var("FORMULAS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// The values of a formula, of its simplified form and of what either is printed as, at one point.
fn four_values(formula: &Formula, at: [f64; 3]) -> [f64; 4] {
    let simple = formula.simplify();
    let again = |formula: &Formula| parse(&formula.to_string()).unwrap();
    [formula, &simple, &again(formula), &again(&simple)].map(|formula| Compiled::new(formula).value(at))
}

#[test]
fn a_kinks_other_side_keeps_its_value() {
    // Each is differentiated with respect to x. On the other side of the kink the outer function has a pole.
    let table = [
        ("sqrt(relu(x))", -1.0, 0.0),
        ("sqrt(relu(x))", 0.0, 0.0),
        ("sqrt(relu(x))", 4.0, 0.25),
        ("relu(x)^0.25", -2.0, 0.0),
        ("relu(x)^(1/3)", -1e-6, 0.0),
        ("tanh(sqrt(relu(x)))", -1000.0, 0.0),
        ("exp(-1/relu(x))", -0.5, 0.0),
        ("exp(-1/relu(x))", 1.0, (-1.0f64).exp()),
        ("log(relu(x))", -3.0, 0.0),
        ("y/sqrt(relu(x))", -3.0, 0.0),
        ("sqrt(relu(x)) + sqrt(relu(-x))", 4.0, 0.25),
        ("sqrt(relu(x)) + sqrt(relu(-x))", -4.0, -0.25),
        ("sqrt(relu(x)) + sqrt(relu(-x))", 0.0, 0.0),
        ("1/(1/relu(x) + 1)", -2.0, 0.0),
        ("x*sqrt(relu(x - 1))", 0.0, 0.0),
    ];
    for (text, x, expected) in table {
        let found = four_values(&parse(text).unwrap().diff("x"), [x, 3.0, 0.0]);
        assert!(found.iter().all(|&found| agree(found, expected, 1e-3)), "d/dx {text} at {x}: {found:?}");
    }
}

#[test]
fn the_edges_of_a_powers_derivative_keep_their_values() {
    let table = [
        ("x^y", "x", [0.0, 0.0, 0.0], 0.0),
        ("x^y", "y", [0.0, 2.0, 0.0], 0.0),
        ("x^y", "y", [0.0, 0.0, 0.0], 0.0),
        ("x^x", "x", [0.0, 0.0, 0.0], 0.0),
        ("x^y", "x y", [0.0, 1.0, 0.0], 1.0),
        ("x^y", "x y", [0.0, 2.0, 0.0], 0.0),
        ("x^y", "y y", [0.0, 2.0, 0.0], 0.0),
        ("z*x^(2*y)", "y", [0.0, 1.0, 3.0], 0.0),
        ("relu(x)^y", "y", [-1.0, 2.0, 0.0], 0.0),
    ];
    for (text, names, at, expected) in table {
        let formula = names.split(' ').fold(parse(text).unwrap(), |formula, name| formula.diff(name));
        assert_eq!(four_values(&formula, at), [expected; 4], "d/d {names} {text} at {at:?}: {formula}");
    }
}

#[test]
fn an_infinity_on_the_way_counts_where_its_sign_is_certain() {
    let table = [
        ("exp(-1/x^2 - 1/y^2)", [0.0, 0.0, 0.0], 0.0),
        ("1/(1/x^2 + 1/abs(y))", [0.0, 0.0, 0.0], 0.0),
        ("1/log(relu(x)) + y", [0.0, 2.0, 0.0], 2.0),
        ("exp(-(3 - x)/y^2)", [1.0, 0.0, 0.0], 0.0),
        ("sign(exp(-1/abs(x)))", [0.0, 0.0, 0.0], 0.0),
        ("relu(exp(1/abs(y))*x)", [-1.0, 0.0, 0.0], 0.0),
        ("tanh(1/relu(x) + 1/x^2)", [0.0, 0.0, 0.0], 1.0),
        ("tanh(2/(abs(y - x)*relu(x + y)*step(y - x)))", [2.0, -1.0, 0.0], 1.0),
        ("exp(x - y) + exp(x)", [-1000.0, -1000.0, 0.0], 1.0),
        ("exp(-1/relu(x))^y", [-1.0, 0.0, 0.0], 1.0),
        ("(2^(-1/relu(x)))^y", [-1.0, 0.0, 0.0], 1.0),
    ];
    for (text, at, expected) in table {
        assert_eq!(four_values(&parse(text).unwrap(), at), [expected; 4], "{text} at {at:?}");
    }
}

#[test]
fn whole_exponents_beyond_exact_numbers_keep_the_sign_of_a_power() {
    let table =
        [("abs(x^(3*1e16/1e16))", 8.0), ("(x^1e16)^1e-16", 1.0), ("sqrt((x/2)^(2*1e16/1e16))", 1.0), ("abs(x^3)", 8.0)];
    for (text, expected) in table {
        let formula = parse(text).unwrap();
        let found = four_values(&formula, [if text.contains("1e-16") { -1.0 } else { -2.0 }, 0.0, 0.0]);
        assert!(found.iter().all(|&found| agree(found, expected, 1e-9)), "{text}: {found:?}, {}", formula.simplify());
    }
}

/// What a derivative selects is found again among however many factors.
#[test]
fn long_products_read_back_with_their_selections() {
    for count in [3, 31, 100] {
        let factors: Vec<String> = (1..=count).map(|number| format!("(x + {number})")).collect();
        let formula = parse(&format!("({}*z)^y", factors.join("*"))).unwrap().diff("z");
        let again = parse(&formula.to_string()).unwrap();
        let values = [&formula, &again].map(|formula| Compiled::new(formula).value([1.0, 0.0, 0.0]));
        assert_eq!(values, [0.0, 0.0], "{count}");
    }
}

#[test]
fn selections_are_written_where_the_factors_do_not_imply_them() {
    let table = [
        ("sqrt(relu(x))", "x", "step(x)/(2*sqrt(x))"),
        ("log(relu(x))", "x", "step(x)/x"),
        ("x^y", "x y", "y*x^(y - 1)*log(x) + x^(y - 1)*step(abs(x) + abs(y))"),
    ];
    for (text, names, expected) in table {
        let formula = names.split(' ').fold(parse(text).unwrap(), |formula, name| formula.diff(name));
        assert_eq!(formula.simplify().to_string(), expected, "d/d {names} {text}");
    }
    // What is written is kept as it is written.
    for text in
        ["step(x)*y", "-step(x)/x", "step(x)/sqrt(x)*y", "log(x)*step(y)*step(x)", "x^y*log(x)", "1/(step(x)*y)"]
    {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn derivatives_are_what_is_printed_of_them() {
    let texts = [
        "step(x)*sqrt(x)",
        "step(x)/sqrt(x)",
        "x*step(x)*sqrt(x)",
        "step(x)*sin(sqrt(x))",
        "step(x)*log(x)*step(y)*sqrt(y)",
        "sqrt(y)*relu(x)",
        "relu(x*y)*log(y)/sqrt(x)",
        "exp(step(x)*sqrt(x))*y",
        "step(x - y)*(x - y)^1.5",
        "(step(x)*sqrt(x) + 1)^2",
        "sqrt(relu(x))*log(y)",
        "abs(x)*step(y)/sqrt(y)",
        "step(x)*sqrt(x) + step(y)*sqrt(x)",
        "sin(step(x)*sqrt(x)*y)/x",
    ];
    let mut differences = Vec::new();
    for text in texts {
        for names in ["x", "y", "xx", "xy", "yx", "yy", "xxx"] {
            let derivative = names.chars().fold(parse(text).unwrap(), |formula, name| formula.diff(&name.to_string()));
            let points = [-2.0, -0.6, 0.4, 1.7].into_iter().flat_map(|x| [-0.9, 0.5, 2.0].map(|y| [x, y, 0.0]));
            let same = |at| {
                let [value, simple, printed, both] = four_values(&derivative, at);
                let agree = |other: f64| value.is_nan() && other.is_nan() || agree(value, other, 1.0);
                agree(printed) && (value.is_nan() || agree(simple) && agree(both))
            };
            if let Some(at) = points.into_iter().find(|&at| !same(at)) {
                differences
                    .push(format!("d/d{names} {text} at {at:?}: {:?}\n    {derivative}", four_values(&derivative, at)));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Below 0 the function is 0, and so are its derivatives.
    for text in ["step(x)*sqrt(x)", "step(x)/sqrt(x)", "x*step(x)*sqrt(x)", "step(x)*sin(sqrt(x))"] {
        for names in ["x", "xx", "xxx"] {
            let derivative = names.chars().fold(parse(text).unwrap(), |formula, name| formula.diff(&name.to_string()));
            assert_eq!(four_values(&derivative, [-0.6, 0.0, 0.0]), [0.0; 4], "d/d{names} {text}: {derivative}");
            let [value, others @ ..] = four_values(&derivative, [0.6, 0.0, 0.0]);
            assert!(value != 0.0 && others.iter().all(|other| agree(value, *other, 1.0)), "d/d{names} {text}");
        }
    }
}

#[test]
fn nested_formulas_keep_their_values() {
    hold(11, |random, round| nested_text(random, 1 + round % 5));
}

#[test]
fn formulas_keep_their_values_at_kinks() {
    hold(12, |random, round| random_text(random, 2 + round % 6));
}

/// Checks random formulas at random points.
fn hold(seed: u64, text: fn(&mut Random, usize) -> String) {
    let mut random = Random(seed);
    let mut report = Report::default();
    for round in 0..rounds(600) {
        // The simplifier takes pi for what it is: the sine of the float beside it is not 0.
        let text = text(&mut random, round).replace("pi", "0.7");
        let points: Vec<_> = (0..12).map(|_| random_point(&mut random)).collect();
        report.check(&text, &points);
    }
    let count = report.differences.len();
    let mut shown = report.differences;
    shown.sort_by_key(String::len);
    shown.truncate(25);
    assert!(shown.is_empty(), "{count} of {} differ:\n{}", report.defined, shown.join("\n"));
    assert!(report.defined * 3 > report.compared, "{} of {} have a value", report.defined, report.compared);
}
