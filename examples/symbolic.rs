//! Differentiates, simplifies and evaluates an expression, as SymPy's `diff`, `simplify` and `evalf` do.
//!
//! ```text
//! cargo run --release --example symbolic -- --diff x --at x=2 -- 'x*sin(x)'
//! ```

use std::process::ExitCode;

use arenagrad::{Formula, evaluate, parse};

const USAGE: &str = "usage: symbolic [--diff NAME]... [--at NAME=NUMBER,...] [--latex] -- EXPRESSION

  --diff   differentiates with respect to that name; given again, differentiates the derivative again
  --at     prints the value there as well, in 17 significant digits
  --latex  prints LaTeX instead of text

An expression has + - * / ^ and parentheses, numbers, pi, names, and the functions
exp log sqrt sin cos tan tanh sigmoid relu abs sign step: 'a*x^2 + exp(-x/2)'";

/// What is shown when nothing is asked for.
const TOUR: [(&str, &[&str]); 8] = [
    ("(x + y)*z", &["x"]),
    ("x^3 - 2*x + 1", &["x"]),
    ("x/(1 + x)", &["x"]),
    ("tanh(x)", &["x"]),
    ("sigmoid(w*x + b)", &["w"]),
    ("exp(-x^2/2)", &["x", "x"]),
    ("x^y", &["x", "y"]),
    ("log(x + sqrt(x^2 + 1))", &["x"]),
];

struct Options {
    expression: Option<String>,
    names: Vec<String>,
    at: Option<Vec<(String, f64)>>,
    latex: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("symbolic: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let Some(expression) = &options.expression else {
        if !options.names.is_empty() || options.at.is_some() {
            return Err(format!("an expression is missing\n{USAGE}"));
        }
        return tour(options.latex);
    };
    let formula = parse(expression).map_err(|error| error.to_string())?;
    let derivative = options.names.iter().fold(formula.clone(), |formula, name| formula.diff(name));
    // Simplified after each step, a derivative of high order stays short.
    let simplified = options.names.iter().fold(formula.simplify(), |formula, name| formula.diff(name).simplify());
    // Everything that was asked for is checked before anything is printed.
    let value =
        options.at.as_ref().map(|at| value(&formula, &derivative, &simplified, &options.names, at)).transpose()?;
    let what = if options.names.is_empty() { "expression" } else { "derivative" };
    println!("{what}: {}", if options.latex { simplified.latex() } else { simplified.to_string() });
    if let Some(value) = value {
        println!("value: {}", seventeen_digits(value));
    }
    Ok(())
}

/// The value of a derivative at a point. It is that of the derivative as the engine built it, which rounds less than what was
/// rearranged to be short; where that is not defined, for it divides by what cancels, it is that of the simplified one.
fn value(
    formula: &Formula,
    derivative: &Formula,
    simplified: &Formula,
    names: &[String],
    at: &[(String, f64)],
) -> Result<f64, String> {
    let known = formula.known_symbols();
    let mut point: Vec<(&str, f64)> = Vec::new();
    for (name, number) in at {
        if known.contains(name) {
            point.push((name, *number));
        } else if !names.contains(name) {
            let known = if known.is_empty() { "no names".to_owned() } else { known.join(", ") };
            return Err(format!("--at: the expression has no {name:?}; it has {known}"));
        }
    }
    if let Some(missing) = derivative.symbols().iter().find(|symbol| !at.iter().any(|(name, _)| name == *symbol)) {
        return Err(format!("--at: the value depends on {missing:?}, for which no number is given"));
    }
    let told = |error: arenagrad::Error| error.to_string();
    let built = evaluate(derivative, &point).map_err(told)?;
    if built.is_nan() { evaluate(simplified, &point).map_err(told) } else { Ok(built) }
}

fn tour(latex: bool) -> Result<(), String> {
    for (expression, names) in TOUR {
        let formula = parse(expression).map_err(|error| error.to_string())?;
        let derivative = names.iter().fold(formula.clone(), |formula, name| formula.diff(name)).simplify();
        let by = names.iter().map(|name| format!("d/d{name} ")).collect::<String>();
        let shown = |formula: &Formula| if latex { formula.latex() } else { formula.to_string() };
        println!("{:<32} = {}", format!("{by}[{}]", shown(&formula)), shown(&derivative));
    }
    println!("\n{USAGE}");
    Ok(())
}

/// A number in 17 significant digits, which tell every f64 from every other, as C's `%.17g` writes it.
fn seventeen_digits(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let stripped = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        stripped(&format!("{value:.places$}", places = (16 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", stripped(mantissa), exponent.unsigned_abs())
    }
}

/// The options given, or nothing after `--help`.
fn options() -> Result<Option<Options>, String> {
    let mut options = Options { expression: None, names: Vec::new(), at: None, latex: false };
    let wrong = |error: lexopt::Error| format!("{error}\n{USAGE}");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next().map_err(wrong)? {
        use lexopt::prelude::*;
        match argument {
            Long("diff") => options.names.push(name(parser.value().and_then(|value| value.string()).map_err(wrong)?)?),
            Long("at") => {
                let text = parser.value().and_then(|value| value.string()).map_err(wrong)?;
                point(&text, options.at.get_or_insert_default())?;
            }
            Long("latex") => options.latex = true,
            Short('h') | Long("help") => {
                println!("{USAGE}");
                return Ok(None);
            }
            Value(value) if options.expression.is_none() => options.expression = Some(value.string().map_err(wrong)?),
            Value(_) => return Err("one expression is expected; put it in quotes".to_owned()),
            option @ (Short(_) | Long(_)) => return Err(wrong(option.unexpected())),
        }
    }
    Ok(Some(options))
}

/// A name that an expression could have.
fn name(text: String) -> Result<String, String> {
    let is_symbol = parse(&text).is_ok_and(|formula| formula.symbols() == [text.as_str()]);
    if is_symbol { Ok(text) } else { Err(format!("--diff: {text:?} is not a name")) }
}

/// Adds the numbers of `x=1,y=2` to a point.
fn point(text: &str, point: &mut Vec<(String, f64)>) -> Result<(), String> {
    for part in text.split(',') {
        let Some((name, number)) = part.split_once('=') else {
            return Err(format!("--at: {part:?} is not of the form NAME=NUMBER"));
        };
        let (name, number) = (name.trim(), number.trim());
        if name.is_empty() {
            return Err(format!("--at: {part:?} lacks a name"));
        }
        let number = number.parse().map_err(|_| format!("--at: {number:?} is not a number"))?;
        if point.iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("--at: {name:?} is given twice"));
        }
        point.push((name.to_owned(), number));
    }
    Ok(())
}
