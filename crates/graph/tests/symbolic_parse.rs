//! The text form: what it means, how it is printed, and what is wrong with a text that is none.

use std::thread;

use crate::formulas::{Random, random_text, values};
use arenagrad_graph::symbolic::{ParseProblem, parse};

const AT: [(&str, f64); 3] = [("x", 2.0), ("y", -3.0), ("z", 0.5)];

fn value(text: &str) -> f64 {
    let formula = parse(text).unwrap_or_else(|error| panic!("{error}"));
    values(&[&formula], AT)[0]
}

#[test]
fn operators_bind_and_associate_as_in_mathematics() {
    let (x, y, z) = (2.0f64, -3.0f64, 0.5f64);
    let table = [
        ("x + y*z", x + y * z),
        ("(x + y)*z", (x + y) * z),
        ("x - y - z", x - y - z),
        ("x - (y - z)", x - (y - z)),
        ("x/y/z", x / y / z),
        ("x/(y/z)", x / (y / z)),
        ("x/y*z", x / y * z),
        ("-x^2", -4.0),
        ("(-x)^2", 4.0),
        ("2^-x", 0.25),
        ("2^-x^2", 1.0 / 16.0),
        ("2^3^2", 512.0),
        ("(2^3)^2", 64.0),
        ("-2^-2", -0.25),
        ("2^-x*3", 0.75),
        ("x*-y", 6.0),
        ("x - -y", -1.0),
        ("x + +y", -1.0),
        ("--x", 2.0),
        ("-x*y", 6.0),
        ("-x/y", 2.0 / 3.0),
        ("+x", 2.0),
        ("x^-1", 0.5),
        ("2^+x", 4.0),
        ("  x\t*\ny ", -6.0),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn functions_and_numbers_are_what_they_are_called() {
    let x = 2.0f64;
    let table = [
        ("exp(x)", x.exp()),
        ("log(x)", x.ln()),
        ("sqrt(x)", x.sqrt()),
        ("sin(x)", x.sin()),
        ("cos(x)", x.cos()),
        ("tan(x)", x.sin() / x.cos()),
        ("tanh(x)", x.tanh()),
        ("sigmoid(x)", 1.0 / (1.0 + (-x).exp())),
        ("relu(x)", 2.0),
        ("relu(y)", 0.0),
        ("abs(y)", 3.0),
        ("sign(y)", -1.0),
        ("step(x)", 1.0),
        ("step(y)", 0.0),
        ("step(x - x)", 0.0),
        ("sin (x)", x.sin()),
        ("exp(sin(x) + 1)", (x.sin() + 1.0).exp()),
        ("pi", std::f64::consts::PI),
        ("1", 1.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 1e-3),
        ("1E3", 1e3),
        ("2.5e+1", 25.0),
        ("0.1", 0.1),
        ("12345678901234567890", 12345678901234567890.0),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn symbols_are_listed_by_first_appearance() {
    assert_eq!(parse("y + x*y - x_1*_b2").unwrap().symbols(), ["y", "x", "x_1", "_b2"]);
    assert_eq!(parse("pi + 2").unwrap().symbols(), Vec::<String>::new());
    assert_eq!(parse("sine + exp1*pix").unwrap().symbols(), ["sine", "exp1", "pix"]);
    assert_eq!(parse("α*x").unwrap().symbols(), ["α", "x"]);
    let sum = parse("x + y*z").unwrap();
    assert_eq!(sum.diff("y").symbols(), ["z"]);
    assert_eq!(sum.diff("y").known_symbols(), ["x", "y", "z"]);
}

#[test]
fn errors_name_the_column_and_what_is_wrong() {
    type Check = fn(&ParseProblem) -> bool;
    let table: [(&str, usize, Check); 31] = [
        ("", 1, |p| matches!(p, ParseProblem::Empty)),
        ("  \t ", 1, |p| matches!(p, ParseProblem::Empty)),
        ("2x", 2, |p| matches!(p, ParseProblem::MissingOperator { .. })),
        ("x y", 3, |p| matches!(p, ParseProblem::MissingOperator { .. })),
        ("2(x)", 2, |p| matches!(p, ParseProblem::MissingOperator { .. })),
        ("(x)(y)", 4, |p| matches!(p, ParseProblem::MissingOperator { .. })),
        ("x 2", 3, |p| matches!(p, ParseProblem::MissingOperator { .. })),
        ("2e", 2, |p| matches!(p, ParseProblem::MissingOperator { .. })),
        ("x +", 4, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("x + ", 5, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("x * / y", 5, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("x ** 2", 4, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("* x", 1, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("-", 2, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("()", 2, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("sin()", 5, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
        ("(x + y", 1, |p| matches!(p, ParseProblem::UnclosedParenthesis)),
        ("z*(x + (y)", 3, |p| matches!(p, ParseProblem::UnclosedParenthesis)),
        ("sin(x", 4, |p| matches!(p, ParseProblem::UnclosedParenthesis)),
        ("x + y)", 6, |p| matches!(p, ParseProblem::UnopenedParenthesis)),
        ("3*sin x", 3, |p| matches!(p, ParseProblem::FunctionWithoutParentheses { .. })),
        ("exp", 1, |p| matches!(p, ParseProblem::FunctionWithoutParentheses { .. })),
        ("x + sinh(x)", 5, |p| matches!(p, ParseProblem::UnknownFunction { .. })),
        ("x(y + 1)", 1, |p| matches!(p, ParseProblem::UnknownFunction { .. })),
        ("1.2.3", 1, |p| matches!(p, ParseProblem::BadNumber { .. })),
        ("x + .", 5, |p| matches!(p, ParseProblem::BadNumber { .. })),
        ("1e999", 1, |p| matches!(p, ParseProblem::NumberTooLarge { .. })),
        ("x # y", 3, |p| matches!(p, ParseProblem::UnexpectedCharacter { found: '#' })),
        // A raised digit is no part of a name.
        ("x² + 1", 2, |p| matches!(p, ParseProblem::UnexpectedCharacter { found: '²' })),
        ("sin(x, y)", 6, |p| matches!(p, ParseProblem::UnexpectedCharacter { found: ',' })),
        ("α + é*)", 7, |p| matches!(p, ParseProblem::ExpectedOperand { .. })),
    ];
    for (text, column, is_expected) in table {
        let error = parse(text).expect_err(text);
        assert!(is_expected(error.problem()), "{text}: {error}");
        assert_eq!(error.column(), column, "{text}: {error}");
        let printed = error.to_string();
        let lines: Vec<&str> = printed.lines().collect();
        assert!(lines[0].starts_with(&format!("column {column}: ")), "{printed}");
        assert_eq!(lines[2].chars().position(|c| c == '^'), Some(column + 1), "{printed}");
    }
}

#[test]
fn of_a_long_text_the_neighbourhood_is_shown() {
    let text = format!("{}2x{}", "x + ".repeat(1000), " + y".repeat(1000));
    let error = parse(&text).unwrap_err();
    assert_eq!(error.column(), 4002);
    let printed = error.to_string();
    let lines: Vec<&str> = printed.lines().collect();
    let caret = lines[2].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[1].chars().nth(caret), Some('x'), "{printed}");
    assert!(lines[1].chars().count() < 100 && lines[1].contains('…'), "{printed}");
    // So is what is wrong with it.
    let digits = "9".repeat(100_000);
    for text in [digits.clone(), format!("{digits}.1.2"), format!("x {digits}"), format!("{}(x)", "a".repeat(100_000))]
    {
        let printed = parse(&text).unwrap_err().to_string();
        assert!(printed.len() < 600, "{printed}");
    }
}

#[test]
fn formulas_are_printed_with_the_parentheses_they_need_and_no_others() {
    let same = [
        "-x^2",
        "(-x)^2",
        "2^(-x)",
        "a^b^c",
        "(a^b)^c",
        "a - (b - c)",
        "a - b - c",
        "a/(b*c)",
        "a/b*c",
        "tan(x)",
        "step(x)",
        "pi*x",
        "(a + b)*c",
        "a*(b + c)",
        "-(a + b)",
        "-a*b",
        "sqrt(x)",
        "x^(1/2)",
        "x^1.5",
        "0.5*x",
        "1e20*x",
        "1e-7",
        "exp(-x^2/2)",
        "abs(x)*sign(x)",
        "relu(x)",
        "2^(x + 1)",
        "sin(x)^2",
        "(x + 1)^(-1)",
        "a + b*c^d",
    ];
    for text in same {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    for (text, printed) in [("((x))", "x"), ("(a*b)*c", "a*b*c"), ("a + -b", "a - b"), ("a - -b", "a + b"), ("+x", "x")]
    {
        assert_eq!(parse(text).unwrap().to_string(), printed);
    }
}

#[test]
fn what_is_printed_reads_back_to_the_same_function() {
    let mut random = Random(1);
    let mut compared = 0;
    for round in 0..600 {
        let text = random_text(&mut random, 3 + round % 12);
        let formula = parse(&text).unwrap();
        for formula in [formula.clone(), formula.diff("x"), formula.diff("x").diff("y"), formula.simplify()] {
            let printed = formula.to_string();
            let again = parse(&printed).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(again.to_string(), printed, "{text}");
            let point = [("x", 0.7), ("y", 1.9), ("z", -0.4)];
            let found = values(&[&formula, &again], point);
            let same = found[0] == found[1] || found[0].is_nan();
            compared += usize::from(found[0] == found[1]);
            assert!(same, "{text} is printed {printed}: {found:?}");
        }
    }
    assert!(compared > 1200, "{compared} of 2400 have a value");
}

#[test]
fn no_text_brings_the_parser_down() {
    let pieces = ["x", "2", "+", "-", "*", "/", "^", "(", ")", "sin", "sin(", "pi", " ", ".", "e", "#", "é", "1e", ","];
    let mut random = Random(2);
    for _ in 0..20_000 {
        let text: String = (0..random.below(12)).map(|_| random.pick(&pieces)).collect();
        if let Err(error) = parse(&text) {
            assert!(error.column() >= 1 && error.column() <= text.chars().count() + 1, "{text}: {error}");
        }
    }
}

#[test]
fn deep_and_wide_formulas_need_no_stack() {
    let work = || {
        const DEPTH: usize = 100_000;
        let nested =
            |open: &str, core: &str, close: &str| format!("{}{core}{}", open.repeat(DEPTH), close.repeat(DEPTH));
        let parentheses = parse(&nested("(", "x", ")")).unwrap();
        assert_eq!(parentheses.to_string(), "x");
        assert_eq!(parse(&nested("-", "x", "")).unwrap().simplify().to_string(), "x");
        let sines = parse(&nested("sin(", "x", ")")).unwrap();
        assert_eq!(sines.to_string(), sines.simplify().to_string());
        assert!(sines.latex().len() > DEPTH);
        // Its derivative has as many factors as there are sines. It would be a long read, but it is there.
        assert_eq!(sines.diff("x").simplify().symbols(), ["x"]);
        let horner = parse(&nested("1 + x*(", "x", ")")).unwrap();
        assert!(horner.diff("x").symbols() == ["x"]);
        let tower = parse(&vec!["x"; DEPTH].join("^")).unwrap();
        assert_eq!(tower.simplify().to_string(), tower.to_string());
        let sum = parse(&vec!["x"; 1_000_000].join(" + ")).unwrap();
        assert_eq!(sum.simplify().to_string(), "1000000*x");
        assert_eq!(sum.diff("x").simplify().to_string(), "1000000");
        let product = parse(&vec!["x"; DEPTH].join("*")).unwrap();
        assert_eq!(product.diff("x").simplify().to_string(), "100000*x^99999");
        let quotient = parse("(x^2 - 1)^300000/(x - 1)^300000").unwrap();
        assert_eq!(quotient.simplify().to_string(), "(x + 1)^300000");
        let factors = |number| format!("x{number}*step(x{number})");
        let selected = parse(&(0..10_000).map(factors).collect::<Vec<_>>().join("*")).unwrap().simplify().to_string();
        assert!(selected.matches("relu(").count() == 10_000 && !selected.contains("step("));
        let unclosed = parse(&"(".repeat(DEPTH)).unwrap_err();
        assert_eq!(unclosed.column(), DEPTH + 1);
    };
    thread::Builder::new().stack_size(256 * 1024).spawn(work).expect("a thread").join().expect("no overflow");
}
