//! Simplification: what a person would write, and the same function.

use crate::formulas::{Random, agree, random_text, values};
use arenagrad_graph::symbolic::{Formula, parse};

fn simplified(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{error}")).simplify().to_string()
}

/// The formula differentiated with respect to each of the names, and simplified once at the end and after each step.
fn derivatives(text: &str, names: &str) -> [String; 2] {
    let formula = parse(text).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = names.split_whitespace().collect();
    let once = names.iter().fold(formula.clone(), |formula, name| formula.diff(name)).simplify();
    let stepwise = names.iter().fold(formula, |formula, name| formula.diff(name).simplify());
    [once.to_string(), stepwise.to_string()]
}

#[test]
fn first_derivatives_are_what_a_person_would_write() {
    let table = [
        ("(x + y)*z", "x", "z"),
        ("(x + y)*z", "z", "x + y"),
        ("x", "x", "1"),
        ("y", "x", "0"),
        ("x^3", "x", "3*x^2"),
        ("x*x*x", "x", "3*x^2"),
        ("x^3 - 2*x + 1", "x", "3*x^2 - 2"),
        ("a*x^2 + b*x + c", "x", "2*a*x + b"),
        ("sin(x)*x", "x", "x*cos(x) + sin(x)"),
        ("log(x)", "x", "1/x"),
        ("1/x", "x", "-1/x^2"),
        ("x/3", "x", "1/3"),
        ("x^1.5", "x", "1.5*sqrt(x)"),
        ("x^(1/3)", "x", "1/(3*x^(2/3))"),
        ("x^(-2)", "x", "-2/x^3"),
        ("sqrt(x)", "x", "1/(2*sqrt(x))"),
        ("sqrt(1 - x^2)", "x", "-x/sqrt(1 - x^2)"),
        ("sqrt(x^2 + y^2)", "x", "x/sqrt(x^2 + y^2)"),
        ("exp(x)", "x", "exp(x)"),
        ("exp(2*x)", "x", "2*exp(2*x)"),
        ("exp(-x^2/2)", "x", "-x*exp(-x^2/2)"),
        ("exp(-1/x)", "x", "exp(-1/x)/x^2"),
        ("2^x", "x", "2^x*log(2)"),
        ("x*exp(x)", "x", "(x + 1)*exp(x)"),
        ("tanh(x)", "x", "1 - tanh(x)^2"),
        ("tanh(x)^2", "x", "2*tanh(x)*(1 - tanh(x)^2)"),
        ("tan(x)", "x", "tan(x)^2 + 1"),
        ("tan(x^2)", "x", "2*x*(tan(x^2)^2 + 1)"),
        ("cos(x)/sin(x)", "x", "-1/sin(x)^2"),
        ("sin(x)^2", "x", "2*sin(x)*cos(x)"),
        ("log(sin(x))", "x", "1/tan(x)"),
        ("log(cos(x))", "x", "-tan(x)"),
        ("exp(-(x - m)^2/(2*s^2))/(s*sqrt(2*pi))", "x", "(m - x)*exp(-(m - x)^2/(2*s^2))/(s^3*sqrt(2*pi))"),
        ("log(log(x))", "x", "1/(x*log(x))"),
        ("log(x)/x", "x", "(1 - log(x))/x^2"),
        ("x*log(x) - x", "x", "log(x)"),
        ("sigmoid(x)", "x", "sigmoid(x)*(1 - sigmoid(x))"),
        ("sigmoid(w*x + b)", "w", "x*sigmoid(w*x + b)*(1 - sigmoid(w*x + b))"),
        ("log(1 + exp(x))", "x", "exp(x)/(exp(x) + 1)"),
        ("(exp(x) - exp(-x))/(exp(x) + exp(-x))", "x", "4/(exp(x) + exp(-x))^2"),
        ("log(x + sqrt(x^2 + 1))", "x", "1/sqrt(x^2 + 1)"),
        ("x^y", "x", "y*x^(y - 1)"),
        ("x^y", "y", "x^y*log(x)"),
        ("x^x", "x", "x^x*(log(x) + 1)"),
        ("x/(1 + x)", "x", "1/(x + 1)^2"),
        ("x/(x^2 + 1)", "x", "(1 - x^2)/(x^2 + 1)^2"),
        ("(a*x + b)/(c*x + d)", "x", "(a*d - b*c)/(c*x + d)^2"),
        ("x*y/(x + y)", "x", "y^2/(x + y)^2"),
        ("(x + 1)^2", "x", "2*(x + 1)"),
        ("(1 - x)^2", "x", "2*(x - 1)"),
        ("(x - y)^3", "y", "-3*(x - y)^2"),
        ("x/y/z", "y", "-x/(y^2*z)"),
        ("2*pi*x^2", "x", "4*pi*x"),
        ("relu(x)", "x", "step(x)"),
        ("2*relu(x*y)", "x", "2*y*step(x*y)"),
        ("2*relu(x*(x + pi))", "x", "2*(2*x + pi)*step(x*(x + pi))"),
        ("3*relu(-x)", "x", "-3*step(-x)"),
        ("relu(x)^2", "x", "2*relu(x)"),
        ("relu(2*x + 1)", "x", "2*step(2*x + 1)"),
        ("abs(x)", "x", "sign(x)"),
        ("abs(x)^3", "x", "3*x*abs(x)"),
        ("x*abs(x)", "x", "2*abs(x)"),
        ("log(abs(x))", "x", "1/x"),
        ("x/4.5", "x", "2/9"),
        ("log(y - x*y)", "y", "1/y"),
        ("(x/1.5)^(2*x)", "x", "2*(2*x/3)^(2*x)*(log(2*x/3) + 1)"),
        ("sqrt(x^x)", "x", "sqrt(x^x)*(log(x) + 1)/2"),
        ("exp(a*x)*cos(b*x)", "x", "exp(a*x)*(a*cos(b*x) - b*sin(b*x))"),
        ("exp(x)*(1 + tanh(x))", "x", "exp(x)*(tanh(x) - tanh(x)^2 + 2)"),
    ];
    for (text, name, expected) in table {
        assert_eq!(derivatives(text, name)[0], expected, "d/d{name} {text}");
    }
}

#[test]
fn higher_derivatives_stay_short() {
    let table = [
        ("(x + 1)^2", "x x", "2"),
        ("x^4", "x x x x x", "0"),
        ("1/x", "x x x", "-6/x^4"),
        ("sin(x)", "x x x x", "sin(x)"),
        ("x*exp(x)", "x x x", "(x + 3)*exp(x)"),
        ("exp(-x^2/2)", "x x", "(x^2 - 1)*exp(-x^2/2)"),
        ("exp(-x^2/2)", "x x x", "x*(3 - x^2)*exp(-x^2/2)"),
        ("tanh(x)", "x x", "2*tanh(x)*(tanh(x)^2 - 1)"),
        ("tanh(x)", "x x x", "2*(1 - tanh(x)^2)*(3*tanh(x)^2 - 1)"),
        ("sigmoid(x)", "x x", "sigmoid(x)*(1 - sigmoid(x))*(1 - 2*sigmoid(x))"),
        ("sigmoid(x)", "x x x", "sigmoid(x)*(1 - sigmoid(x))*(6*sigmoid(x)^2 - 6*sigmoid(x) + 1)"),
        ("tan(x)", "x x", "2*tan(x)^3 + 2*tan(x)"),
        ("x^y", "x x", "y*x^(y - 2)*(y - 1)"),
        ("x^y", "y y", "x^y*log(x)^2"),
        ("(a + b*x)^n", "x x", "b^2*n*(n - 1)*(b*x + a)^(n - 2)"),
        ("1/(1 + x^2)", "x x", "2*(3*x^2 - 1)/(x^2 + 1)^3"),
        ("x/(x^2 + 1)", "x x", "2*x*(x^2 - 3)/(x^2 + 1)^3"),
        ("log(1 + exp(x))", "x x", "exp(x)/(exp(x) + 1)^2"),
        ("exp(x)*sin(x)", "x x", "2*exp(x)*cos(x)"),
        ("sqrt(x^2 + y^2)", "x y", "-x*y/(x^2 + y^2)^(3/2)"),
        ("log(x)/x", "x x", "(2*log(x) - 3)/x^3"),
        ("sin(x)/x", "x x", "-((x^2 - 2)*sin(x) + 2*x*cos(x))/x^3"),
        ("cos(x^2 + pi*x)", "x x", "-(2*x + pi)^2*cos(x^2 + pi*x) - 2*sin(x^2 + pi*x)"),
        ("sqrt(1 - x^2)", "x x", "-1/(1 - x^2)^(3/2)"),
        ("(x + y)^3", "x y", "6*(x + y)"),
    ];
    for (text, names, expected) in table {
        assert_eq!(derivatives(text, names), [expected, expected], "d/d {names} of {text}");
    }
    let tangent = derivatives("tan(x)", "x x x x x x x x");
    assert_eq!(tangent[1], "128*tan(x)*(tan(x)^2 + 1)*(315*tan(x)^6 + 630*tan(x)^4 + 378*tan(x)^2 + 62)");
}

#[test]
fn expressions_are_shortened_where_that_changes_no_value() {
    let table = [
        ("x - x", "0"),
        ("x/x", "1"),
        ("x + x + x", "3*x"),
        ("2*x*3*y", "6*x*y"),
        ("x*y - y*x", "0"),
        ("y + x", "x + y"),
        ("1 + x^2 + x", "x^2 + x + 1"),
        ("y^2 + x*y + x^2", "x^2 + x*y + y^2"),
        ("1 - x", "1 - x"),
        ("-x - 1", "-x - 1"),
        ("3 - (x - 2)", "5 - x"),
        ("2*(x + 1) + 3", "2*x + 5"),
        ("a*(b + c) - a*b", "a*c"),
        ("0.1*x + 0.2*x", "0.3*x"),
        ("x/3 + x/6", "x/2"),
        ("0.5*x^2", "0.5*x^2"),
        ("sqrt(8)", "2*sqrt(2)"),
        ("sqrt(4*x)", "2*sqrt(x)"),
        ("sqrt(x)*sqrt(x)", "x"),
        ("1/sqrt(2*pi)", "1/sqrt(2*pi)"),
        ("sqrt(2*pi)^2", "2*pi"),
        ("sqrt(pi^2*x)", "pi*sqrt(x)"),
        ("sqrt(exp(2*x)*y)", "sqrt(y)*exp(x)"),
        ("x/sqrt(x)", "sqrt(x)"),
        ("x^2*x^(-3)", "1/x"),
        ("x^y*x^z", "x^(y + z)"),
        ("exp(x)*exp(y)", "exp(x + y)"),
        ("exp(x)^2", "exp(2*x)"),
        ("log(exp(x))", "x"),
        ("exp(2*log(x))", "x^2"),
        ("exp(y*log(x))", "x^y"),
        ("sin(x)^2 + cos(x)^2", "1"),
        ("y*sin(x)^2 + y*cos(x)^2 + 1", "y + 1"),
        ("1 - sin(x)^2", "cos(x)^2"),
        ("sin(x)/cos(x)", "tan(x)"),
        ("tan(x)*cos(x)", "sin(x)"),
        ("sin(-x)", "-sin(x)"),
        ("cos(-x)", "cos(x)"),
        ("sin(pi)", "0"),
        ("cos(pi/2)", "0"),
        ("(x^2 - 1)/(x - 1)", "x + 1"),
        ("(x^2 - y^2)/(x + y)", "x - y"),
        ("1/(1 + 1/x)", "x/(x + 1)"),
        ("1/(1/x + 1/y)", "x*y/(x + y)"),
        ("sqrt(x^2)", "abs(x)"),
        ("(x^4)^(1/4)", "abs(x)"),
        ("abs(x)^2", "x^2"),
        ("abs(-x)", "abs(x)"),
        ("abs(exp(x))", "exp(x)"),
        ("x*sign(x)", "abs(x)"),
        ("x*step(x)", "relu(x)"),
        ("relu(relu(x))", "relu(x)"),
        ("relu(3*x)", "3*relu(x)"),
        ("pi*pi", "pi^2"),
        ("2^10", "1024"),
        ("exp(1)", "exp(1)"),
    ];
    for (text, expected) in table {
        assert_eq!(simplified(text), expected, "{text}");
    }
}

#[test]
fn what_holds_for_some_signs_alone_is_left() {
    for text in
        ["log(x^2)", "sqrt(x*y)", "(x^2)^y", "sqrt(x^2*y)", "sign(x)^2", "log(x*y)", "(x^y)^z", "1/0*x", "sqrt(-1)"]
    {
        let formula = parse(text).unwrap();
        let (before, after) = (formula.to_string(), formula.simplify().to_string());
        let short = |text: &str| text.replace(' ', "");
        assert!(short(&before) == short(&after) || text == "1/0*x", "{before} became {after}");
    }
    // (x^2)^(y/2) at a negative x is abs(x)^y, which x^y is not.
    let f = parse("(x^2)^(y/2)").unwrap();
    let point = [("x", -2.0), ("y", 3.0), ("z", 0.0)];
    assert_eq!(values(&[&f, &f.simplify()], point), [8.0, 8.0]);
}

#[test]
fn what_has_no_value_anywhere_stands() {
    for text in ["0/0", "(x - x)/(x - x)", "0*(1/0)", "1/0 - 1/0", "0*(x + 1/0)", "0/0 + x", "0^2/(1 - 1)", "x*(0/0)*y"]
    {
        let formula = parse(text).unwrap();
        let simple = formula.simplify();
        assert_eq!(simple.to_string(), formula.to_string(), "{text}");
        assert!(values(&[&simple], [("x", 2.0), ("y", 3.0), ("z", 0.0)])[0].is_nan(), "{text}");
    }
    // What is infinite within may have a value outside.
    assert_eq!(simplified("0*exp(-1/0)"), "0");
}

#[test]
fn simplified_formulas_have_the_same_values() {
    let mut random = Random(3);
    let (mut compared, mut defined) = (0, 0);
    for round in 0..1500 {
        let text = random_text(&mut random, 2 + round % 10);
        let formula = parse(&text).unwrap();
        let name = random.pick(&["x", "y", "z"]);
        let derivative = formula.diff(name);
        let second = derivative.diff("x");
        for formula in [&formula, &derivative, &second] {
            let simple = formula.simplify();
            for at in [[0.7, 1.9, -0.4], [-1.3, 0.6, 2.2], [3.1, -0.8, 0.35]] {
                let point = [("x", at[0]), ("y", at[1]), ("z", at[2])];
                let shifted =
                    |by: f64| [("x", at[0] * (1.0 + by)), ("y", at[1] * (1.0 - by)), ("z", at[2] * (1.0 + by))];
                let found = values(&[formula, &simple], point);
                compared += 1;
                if !found[0].is_finite() {
                    continue;
                }
                // How far the value moves with its arguments' last digits says how exactly either form can give it.
                let nearby = values(&[formula], shifted(1e-13))[0];
                let moved = (nearby - found[0]).abs();
                let close = agree(found[0], found[1], 1.0 + moved * 1e12);
                assert!(close || !moved.is_finite(), "{text}\n  {formula}\n  {simple}\n  at {at:?}: {found:?}");
                defined += 1;
            }
        }
    }
    assert!(defined * 2 > compared, "{defined} of {compared} have a value");
}

#[test]
fn simplifying_twice_changes_nothing_more() {
    let mut random = Random(4);
    let mut unstable = Vec::new();
    for round in 0..500 {
        let text = random_text(&mut random, 2 + round % 8);
        let once = parse(&text).unwrap().diff("x").simplify();
        let twice = once.simplify();
        let length = |formula: &Formula| formula.to_string().len();
        assert!(length(&twice) <= length(&once) + 2, "{text}: {once} became {twice}");
        if once.to_string() != twice.to_string() {
            unstable.push(text);
        }
    }
    // Nothing promises that one pass finds the shortest form, but it nearly always does.
    assert!(unstable.len() <= 25, "{unstable:?}");
}

#[test]
fn numbers_lose_no_digits() {
    let table = [
        ("0.1234567890123456*x", "0.1234567890123456*x"),
        ("1e300*1e300*x", "1e300*1e300*x"),
        ("x*0.1^30", "1e-30*x"),
        ("9007199254740991*x", "9.007199254740991e15*x"),
    ];
    for (text, expected) in table {
        assert_eq!(simplified(text), expected, "{text}");
    }
    // The coefficients are Fibonacci numbers. Rounded, the numerator would be a multiple of the denominator.
    let nested = |depth| format!("{}x{}", "1/(1 + ".repeat(depth), ")".repeat(depth));
    assert_eq!(simplified(&nested(20)), "(4181*x + 6765)/(6765*x + 10946)");
    let deep = parse(&nested(100)).unwrap();
    assert_eq!(deep.simplify().symbols(), ["x"]);
}
